#include <algorithm>
#include <string>

#include "core/record/record_batch.hpp"
#include "core/record/record_walk.hpp"

namespace troupe::record {
namespace {

std::optional<ByteView> view_of(const Piece& piece) noexcept {
  if (piece.data == nullptr) return std::nullopt;
  return ByteView{piece.data, static_cast<std::size_t>(piece.size)};
}

}  // namespace

std::optional<RecordView> RecordReader::next() {
  if (wrong_ != nullptr || read_ == header_.records_count) return std::nullopt;
  const auto* at = rest_.data();
  const auto* const block_end = at + rest_.size();
  WalkedRecord walked;
  if (const auto* wrong = walk_record(at, block_end, header_.last_offset_delta, walked)) {
    wrong_ = wrong;
    return std::nullopt;
  }
  rest_ = ByteView{at, block_end};
  ++read_;
  return RecordView{header_.base_offset + walked.offset_delta,
                    record_timestamp(header_, walked.timestamp_delta),
                    view_of(walked.key),
                    view_of(walked.value),
                    walked.headers_count,
                    ByteView{walked.headers, walked.end}};
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

Result<std::vector<RecordHeader>> decode_headers(const RecordView& record) {
  std::vector<RecordHeader> headers;
  const auto* at = record.headers.data();
  const auto* const end = at + record.headers.size();
  // A header takes two bytes at least: a made-up count buys no memory.
  const auto headers_max = static_cast<std::size_t>(std::max(record.headers_count, 0));
  headers.reserve(std::min(headers_max, record.headers.size() / 2));
  for (std::int32_t i = 0; i < record.headers_count; ++i) {
    Piece key;
    Piece value;
    if (!walk_piece(at, end, key) || key.data == nullptr || !walk_piece(at, end, value)) {
      return Error{Errc::corrupt_message,
                   "header " + std::to_string(i) + " of " + std::to_string(record.headers_count) + ": malformed"};
    }
    headers.push_back({*view_of(key), view_of(value)});
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
  if (!walk_headers(at, end, headers_count)) return std::nullopt;
  return static_cast<std::size_t>(at - bytes.data());
}

}  // namespace troupe::record
