#include "storage/segment_scan.hpp"

#include <algorithm>

namespace troupe::storage {
namespace {

constexpr std::size_t window_bytes = std::size_t{1} << 20;

/// A part of a file in memory that moves forward.
class Window {
 public:
  Window(const File& file, std::uint64_t end) : file_(file), end_(end) {}

  /// At least `wanted` bytes at `position`, or what the file has up to its end.
  Result<ByteView> at(std::uint64_t position, std::size_t wanted) {
    const auto available = static_cast<std::size_t>(std::min<std::uint64_t>(end_ - position, wanted));
    if (position < start_ || position + available > start_ + buffer_.size()) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(end_ - position, std::max(wanted, window_bytes)));
      buffer_.resize(size);
      start_ = position;
      TROUPE_TRY_ASSIGN(const auto got, file_.read_at(position, buffer_));
      buffer_.resize(got);
    }
    const auto skip = static_cast<std::size_t>(position - start_);
    return ByteView{buffer_}.subspan(skip, std::min(wanted, buffer_.size() - skip));
  }

 private:
  const File& file_;
  std::uint64_t end_;
  std::uint64_t start_ = 0;
  ByteBuffer buffer_;
};

std::optional<std::string> wrong_place(const record::RecordBatchHeader& header, const BatchExpectation& expectation) {
  const bool in_place = expectation.holes_allowed ? header.base_offset >= expectation.base_offset
                                                  : header.base_offset == expectation.base_offset;
  if (!in_place) {
    return "base offset " + to_string(header.base_offset) + ", expected " + to_string(expectation.base_offset);
  }
  if (header.leader_epoch < expectation.epoch_min) {
    return "leader epoch " + to_string(header.leader_epoch) + " after " + to_string(expectation.epoch_min);
  }
  return std::nullopt;
}

}  // namespace

Result<ScanEnd> scan_batches(const File& file, std::uint64_t from, std::uint64_t to, BatchExpectation expectation,
                             ScanDepth depth, const ScanVisitor& visit) {
  Window window{file, to};
  ScanEnd end{from, expectation.base_offset, expectation.epoch_min, std::nullopt};
  const auto damaged = [&](std::string why) {
    end.damage = std::move(why);
    return end;
  };
  while (end.position < to) {
    TROUPE_TRY_ASSIGN(const auto head, window.at(end.position, record::batch_header_bytes));
    auto header = record::parse_batch_header(head);
    if (!header) return damaged(std::move(header).error().message);
    const auto size = header->size_bytes();
    if (size > stored_batch_bytes_max || size > to - end.position) {
      return damaged("batch of " + std::to_string(size) + " bytes, " + std::to_string(to - end.position) + " are left");
    }
    if (auto wrong = wrong_place(*header, expectation)) return damaged(std::move(*wrong));
    TROUPE_TRY_ASSIGN(const auto bytes, window.at(end.position, size));
    if (bytes.size() < size) return damaged("file ends inside the batch");
    const record::RecordBatchView batch{*header, bytes};
    if (depth == ScanDepth::checksums && !record::crc_matches(batch)) return damaged("checksum does not match");
    visit(batch, static_cast<std::uint32_t>(end.position));
    end.position += size;
    end.next_offset = header->next_offset();
    end.last_epoch = header->leader_epoch;
    expectation.base_offset = end.next_offset;
    expectation.epoch_min = end.last_epoch;
  }
  return end;
}

Result<std::optional<std::uint64_t>> find_intact_batch(const File& file, std::uint64_t from, std::uint64_t to,
                                                       Offset offset_min) {
  constexpr std::int64_t segment_offsets_max = std::int64_t{1} << 31;
  Window window{file, to};
  Window body{file, to};
  for (auto position = from; position + record::batch_header_bytes <= to; ++position) {
    TROUPE_TRY_ASSIGN(const auto head, window.at(position, record::batch_header_bytes));
    if (head.size() < record::batch_header_bytes) break;
    if (std::to_integer<int>(head[16]) != 2) continue;
    const auto header = record::parse_batch_header(head);
    if (!header || header->base_offset < offset_min || header->base_offset - offset_min > segment_offsets_max) continue;
    const auto size = header->size_bytes();
    if (size > stored_batch_bytes_max || size > to - position) continue;
    TROUPE_TRY_ASSIGN(const auto bytes, body.at(position, size));
    if (bytes.size() == size && record::crc_matches({*header, bytes})) return std::optional{position};
  }
  return std::optional<std::uint64_t>{};
}

}  // namespace troupe::storage
