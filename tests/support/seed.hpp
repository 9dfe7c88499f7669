#pragma once

#include <cstdint>
#include <cstdlib>

namespace troupe::test {

/// The seed of a random test: the environment's TROUPE_SEED, or `otherwise`. Print it: INFO("TROUPE_SEED=" << seed).
inline std::uint64_t seed_or(std::uint64_t otherwise) {
  const char* given = std::getenv("TROUPE_SEED");
  return given == nullptr ? otherwise : std::strtoull(given, nullptr, 10);
}

}  // namespace troupe::test
