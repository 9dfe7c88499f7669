#pragma once

#include <cstddef>
#include <cstdint>

#include "core/record/varint.hpp"

/// One step over the records of a block, without building anything: what the reader and the validator have in common, inlined into
/// both, since it runs for every record that enters a log. Internal to core/record.
///
/// A record, as it lies in the block:
///
///   varint length of what follows | int8 attributes, unused | varlong timestamp delta | varint offset delta |
///   varint key length, -1 null | key | varint value length, -1 null | value | varint headers count | headers
///
/// and a header: varint key length | key | varint value length, -1 null | value
namespace troupe::record {

/// A nullable piece of a record: null while `data` is.
struct Piece {
  const std::byte* data = nullptr;
  std::int32_t size = 0;
};

struct WalkedRecord {
  std::int64_t timestamp_delta = 0;
  std::int32_t offset_delta = 0;
  std::int32_t headers_count = 0;
  Piece key;
  Piece value;
  const std::byte* headers = nullptr;
  const std::byte* end = nullptr;

  std::size_t payload_bytes() const {
    return static_cast<std::size_t>(key.size) + static_cast<std::size_t>(value.size) +
           static_cast<std::size_t>(end - headers);
  }
};

/// Reads a length and as many bytes; false when they are not all there or the length is below -1.
[[gnu::always_inline]] inline bool walk_piece(const std::byte*& at, const std::byte* end, Piece& piece) noexcept {
  std::int32_t length = 0;
  if (!read_varint(at, end, length) || length < -1 || length > end - at) return false;
  piece = {};
  if (length == -1) return true;
  piece = {at, length};
  at += length;
  return true;
}

/// Steps over `count` headers; their keys may not be null.
inline bool walk_headers(const std::byte*& at, const std::byte* end, std::int32_t count) noexcept {
  for (std::int32_t i = 0; i < count; ++i) {
    Piece piece;
    if (!walk_piece(at, end, piece) || piece.data == nullptr) return false;
    if (!walk_piece(at, end, piece)) return false;
  }
  return true;
}

/// Steps over the record at `at`. Returns null, or what is wrong with the record, as the end of a sentence that names it.
[[gnu::always_inline]] inline const char* walk_record(const std::byte*& at, const std::byte* block_end,
                                                      std::int32_t last_offset_delta, WalkedRecord& record) noexcept {
  std::int32_t length = 0;
  if (at == block_end) return "the block ends before it";
  if (!read_varint(at, block_end, length)) return "malformed length";
  if (length < 1 || length > block_end - at) return "its length is not that of a record in this block";
  const auto* const end = at + length;
  ++at;  // attributes: no bit of them has a meaning, and readers are to ignore them
  if (!read_varint(at, end, record.timestamp_delta)) return "malformed timestamp delta";
  if (!read_varint(at, end, record.offset_delta)) return "malformed offset delta";
  if (record.offset_delta < 0 || record.offset_delta > last_offset_delta) return "its offset delta lies outside the batch";
  if (!walk_piece(at, end, record.key)) return "malformed key length";
  if (!walk_piece(at, end, record.value)) return "malformed value length";
  if (!read_varint(at, end, record.headers_count) || record.headers_count < 0) return "malformed headers count";
  record.headers = at;
  record.end = end;
  if (!walk_headers(at, end, record.headers_count) || at != end) return "its headers do not fill it";
  return nullptr;
}

}  // namespace troupe::record
