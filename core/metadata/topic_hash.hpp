#pragma once

#include <cstdint>
#include <string_view>

#include "core/ids.hpp"

/// Hashes of the TopicTables. In memory only, never stored.
namespace troupe::metadata {

/// Names of metrics have no '.': two topics that differ in it alone would be one there. Source: Kafka's Topic.hasCollision.
constexpr char metric_letter(char letter) { return letter == '.' ? '_' : letter; }

/// The last step spreads over all bits: tables take their shard from the highest.
constexpr std::uint64_t mix(std::uint64_t hash) {
  hash ^= hash >> 33U;
  hash *= 0xff51afd7ed558ccdULL;
  return hash ^ (hash >> 33U);
}

/// The same for names that collide. FNV-1a.
constexpr std::uint64_t name_hash(std::string_view name) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char letter : name) {
    hash = (hash ^ static_cast<unsigned char>(metric_letter(letter))) * 0x100000001b3ULL;
  }
  return mix(hash);
}

inline std::uint64_t id_hash(const TopicId& id) {
  std::uint64_t hash = 0;
  for (const auto byte : id.bytes()) hash = hash * 0x100000001b3ULL + byte;
  return mix(hash);
}

}  // namespace troupe::metadata
