#include <algorithm>
#include <string>

#include "base/byte_codec.hpp"
#include "core/record/record_batch.hpp"
#include "core/record/varint.hpp"

/// A record, as it lies in the block:
///
///   varint length of what follows | int8 attributes, unused | varlong timestamp delta | varint offset delta |
///   varint key length, -1 null | key | varint value length, -1 null | value | varint headers count | headers
///
/// and a header: varint key length | key | varint value length, -1 null | value
namespace troupe::record {
namespace {

/// Reads a length and as many bytes; false when they are not all there or the length is below -1.
bool read_nullable(const std::byte*& at, const std::byte* end, std::optional<ByteView>& bytes) noexcept {
  std::int32_t length = 0;
  if (!read_varint(at, end, length) || length < -1 || length > end - at) return false;
  if (length == -1) {
    bytes = std::nullopt;
  } else {
    bytes = ByteView{at, static_cast<std::size_t>(length)};
    at += length;
  }
  return true;
}

/// Reads one header; its key may not be null.
bool read_header(const std::byte*& at, const std::byte* end, RecordHeader& header) noexcept {
  std::optional<ByteView> key;
  if (!read_nullable(at, end, key) || !key) return false;
  header.key = *key;
  return read_nullable(at, end, header.value);
}

}  // namespace

std::optional<RecordView> RecordReader::next() {
  if (wrong_ != nullptr || read_ == header_.records_count) return std::nullopt;
  const auto* at = rest_.data();
  const auto* const block_end = at + rest_.size();

  std::int32_t length = 0;
  if (rest_.empty()) return stop("the block ends before it");
  if (!read_varint(at, block_end, length)) return stop("malformed length");
  if (length < 1 || length > block_end - at) return stop("its length is not that of a record in this block");
  const auto* const end = at + length;
  ++at;  // attributes: no bit of them has a meaning, and readers are to ignore them

  RecordView record;
  std::int64_t timestamp_delta = 0;
  std::int32_t offset_delta = 0;
  if (!read_varint(at, end, timestamp_delta)) return stop("malformed timestamp delta");
  if (!read_varint(at, end, offset_delta)) return stop("malformed offset delta");
  if (offset_delta < 0 || offset_delta > header_.last_offset_delta) return stop("its offset delta lies outside the batch");
  if (!read_nullable(at, end, record.key)) return stop("malformed key length");
  if (!read_nullable(at, end, record.value)) return stop("malformed value length");
  if (!read_varint(at, end, record.headers_count) || record.headers_count < 0) return stop("malformed headers count");
  record.headers = ByteView{at, end};
  if (skip_headers(record.headers, record.headers_count) != record.headers.size()) return stop("its headers do not fill it");

  record.offset = header_.base_offset + offset_delta;
  // Wraps around like every other implementation, so that no delta, however silly, makes a batch unreadable.
  record.timestamp = header_.timestamp_type() == TimestampType::log_append_time
                         ? header_.max_timestamp
                         : TimestampMs{static_cast<std::int64_t>(static_cast<std::uint64_t>(header_.base_timestamp.value()) +
                                                                 static_cast<std::uint64_t>(timestamp_delta))};
  rest_ = ByteView{end, block_end};
  ++read_;
  return record;
}

Status RecordReader::finish() const {
  const auto count = std::to_string(header_.records_count);
  if (wrong_ != nullptr) {
    return Error{Errc::corrupt_message, "record " + std::to_string(read_) + " of " + count + ": " + wrong_};
  }
  if (read_ != header_.records_count) {
    return Error{Errc::corrupt_message, "records: got " + std::to_string(read_) + ", wanted " + count};
  }
  if (!rest_.empty()) {
    return Error{Errc::corrupt_message, std::to_string(rest_.size()) + " bytes left over after " + count + " records"};
  }
  return ok();
}

std::optional<RecordView> RecordReader::stop(const char* reason) {
  wrong_ = reason;
  return std::nullopt;
}

Result<std::vector<RecordHeader>> decode_headers(const RecordView& record) {
  std::vector<RecordHeader> headers;
  const auto* at = record.headers.data();
  const auto* const end = at + record.headers.size();
  // A header takes two bytes at least: a made-up count buys no memory.
  const auto headers_max = static_cast<std::size_t>(std::max(record.headers_count, 0));
  headers.reserve(std::min(headers_max, record.headers.size() / 2));
  for (std::int32_t i = 0; i < record.headers_count; ++i) {
    RecordHeader header;
    if (!read_header(at, end, header)) {
      return Error{Errc::corrupt_message,
                   "header " + std::to_string(i) + " of " + std::to_string(record.headers_count) + ": malformed"};
    }
    headers.push_back(header);
  }
  if (at != end || record.headers_count < 0) {
    return Error{Errc::corrupt_message,
                 std::to_string(end - at) + " bytes left over after " + std::to_string(record.headers_count) + " headers"};
  }
  return headers;
}

std::optional<std::size_t> skip_headers(ByteView bytes, std::int32_t headers_count) noexcept {
  if (headers_count < 0) return std::nullopt;
  const auto* at = bytes.data();
  const auto* const end = at + bytes.size();
  RecordHeader header;
  for (std::int32_t i = 0; i < headers_count; ++i) {
    if (!read_header(at, end, header)) return std::nullopt;
  }
  return static_cast<std::size_t>(at - bytes.data());
}

}  // namespace troupe::record
