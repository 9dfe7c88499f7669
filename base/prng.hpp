#pragma once

#include <cstdint>
#include <random>

namespace troupe {

/// Seeded pseudo-random numbers: the same seed gives the same sequence on every platform (the engine is fixed by the
/// standard, and the standard's distributions, which are not, are not used). Not for secrets.
class Prng {
 public:
  explicit Prng(std::uint64_t seed) : engine_(seed) {}

  std::uint64_t next() { return engine_(); }
  /// Uniform in [0, bound); 0 when bound is 0.
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
  /// Uniform in [low, high].
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  /// True `numerator` times in `denominator`.
  bool chance(std::uint64_t numerator, std::uint64_t denominator) { return below(denominator) < numerator; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace troupe
