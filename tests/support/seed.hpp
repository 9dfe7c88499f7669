#pragma once

#include <cstdint>
#include <cstdlib>

namespace troupe::test {

/// What the environment says of `name`, or `otherwise`.
inline std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* given = std::getenv(name);
  return given == nullptr ? otherwise : std::strtoull(given, nullptr, 10);
}

/// The seed of a random test: the environment's TROUPE_SEED, or `otherwise`. Print it: INFO("TROUPE_SEED=" << seed).
inline std::uint64_t seed_or(std::uint64_t otherwise) { return from_environment("TROUPE_SEED", otherwise); }

}  // namespace troupe::test
