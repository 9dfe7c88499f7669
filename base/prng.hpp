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
  /// Uniform in [low, high]; `low` must not be above `high`. Any two ends will do: the sums wrap as unsigned numbers.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    const auto distance = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
    const auto step = distance == UINT64_MAX ? next() : below(distance + 1);
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + step);
  }
  /// True `numerator` times in `denominator`.
  bool chance(std::uint64_t numerator, std::uint64_t denominator) { return below(denominator) < numerator; }

 private:
  std::mt19937_64 engine_;
};

}  // namespace troupe
