#include "core/group/group_place.hpp"

namespace troupe::group {
namespace {

constexpr std::uint32_t replacement = 0xfffd;

bool is_continuation(unsigned char byte) { return (byte & 0xc0U) == 0x80U; }

/// The code point at the front of `text`, which it is taken from; a byte that begins none is one of its own.
std::uint32_t take_code_point(std::string_view& text) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const auto first = byte(0);
  const std::size_t size = first < 0x80 ? 1 : (first >> 5U) == 6 ? 2 : (first >> 4U) == 14 ? 3 : (first >> 3U) == 30 ? 4 : 0;
  bool whole = size != 0 && size <= text.size();
  for (std::size_t at = 1; whole && at < size; ++at) whole = is_continuation(byte(at));
  std::uint32_t point = replacement;
  if (whole) {
    constexpr std::uint32_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    point = first & masks[size];
    for (std::size_t at = 1; at < size; ++at) point = (point << 6U) | (byte(at) & 0x3fU);
  }
  text.remove_prefix(whole ? size : 1);
  return point;
}

}  // namespace

std::int32_t java_hash(std::string_view text) noexcept {
  std::uint32_t hash = 0;
  while (!text.empty()) {
    const auto point = take_code_point(text);
    if (point < 0x10000) {
      hash = hash * 31 + point;
      continue;
    }
    const auto rest = point - 0x10000;
    hash = hash * 31 + (0xd800U | ((rest >> 10U) & 0x3ffU));
    hash = hash * 31 + (0xdc00U | (rest & 0x3ffU));
  }
  return static_cast<std::int32_t>(hash);
}

PartitionId partition_of_group(std::string_view group) noexcept {
  // Kafka's abs: the smallest number, which has no opposite, becomes 0.
  const auto hash = java_hash(group);
  const auto positive = hash == INT32_MIN ? 0 : hash < 0 ? -hash : hash;
  return PartitionId{positive % offsets_partitions};
}

}  // namespace troupe::group
