#include "storage/segment_index.hpp"

#include <algorithm>

#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"

namespace troupe::storage {
namespace {

constexpr std::uint32_t index_magic = 0x54494458;  // "TIDX"
constexpr std::uint32_t index_version = 1;
constexpr std::size_t index_head_bytes = 4 + 4 + 4 + 8 + 4 + 8 + 4 + 8 + 4;
constexpr std::size_t index_entry_bytes = 8 + 4 + 8;

}  // namespace

void SegmentIndex::note(const record::RecordBatchHeader& batch, std::uint32_t position) {
  if (entries_.empty() || position - entries_.back().position >= interval_bytes_) {
    entries_.push_back({batch.base_offset, position, max_timestamp_});
  }
  max_timestamp_ = std::max(max_timestamp_, batch.max_timestamp);
  next_offset_ = batch.next_offset();
  end_position_ = position + static_cast<std::uint32_t>(batch.size_bytes());
}

SegmentIndex::Entry SegmentIndex::floor(Offset offset) const {
  const auto after = std::upper_bound(entries_.begin(), entries_.end(), offset,
                                      [](Offset wanted, const Entry& entry) { return wanted < entry.offset; });
  return after == entries_.begin() ? Entry{base_offset_, 0, no_timestamp} : *std::prev(after);
}

SegmentIndex::Entry SegmentIndex::floor(TimestampMs timestamp) const {
  const auto after = std::partition_point(entries_.begin(), entries_.end(),
                                          [&](const Entry& entry) { return entry.max_timestamp_before < timestamp; });
  return after == entries_.begin() ? Entry{base_offset_, 0, no_timestamp} : *std::prev(after);
}

ByteBuffer SegmentIndex::encode() const {
  ByteBuffer bytes;
  bytes.reserve(index_head_bytes + entries_.size() * index_entry_bytes);
  ByteWriter out{bytes};
  out.integer(index_magic);
  out.integer(std::uint32_t{0});  // checksum, below
  out.integer(index_version);
  out.integer(base_offset_.value());
  out.integer(interval_bytes_);
  out.integer(next_offset_.value());
  out.integer(end_position_);
  out.integer(max_timestamp_.value());
  out.integer(static_cast<std::uint32_t>(entries_.size()));
  for (const auto& entry : entries_) {
    out.integer(entry.offset.value());
    out.integer(entry.position);
    out.integer(entry.max_timestamp_before.value());
  }
  store_big_endian(bytes.data() + 4, crc32c(ByteView{bytes}.subspan(8)));
  return bytes;
}

Result<SegmentIndex> SegmentIndex::decode(ByteView bytes, Offset base_offset) {
  const auto corrupt = [](const char* what) { return Error{Errc::corrupt_message, std::string("segment index: ") + what}; };
  if (bytes.size() < index_head_bytes) return corrupt("shorter than its head");
  ByteReader in{bytes};
  if (*in.integer<std::uint32_t>() != index_magic) return corrupt("wrong magic");
  if (*in.integer<std::uint32_t>() != crc32c(bytes.subspan(8))) return corrupt("wrong checksum");
  if (*in.integer<std::uint32_t>() != index_version) return corrupt("unknown version");
  if (*in.integer<std::int64_t>() != base_offset.value()) return corrupt("of another segment");
  SegmentIndex index{base_offset};
  index.interval_bytes_ = *in.integer<std::uint32_t>();
  index.next_offset_ = Offset{*in.integer<std::int64_t>()};
  index.end_position_ = *in.integer<std::uint32_t>();
  index.max_timestamp_ = TimestampMs{*in.integer<std::int64_t>()};
  const auto count = *in.integer<std::uint32_t>();
  if (in.remaining() != count * index_entry_bytes) return corrupt("count and size differ");
  index.entries_.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    const Entry entry{Offset{*in.integer<std::int64_t>()}, *in.integer<std::uint32_t>(),
                      TimestampMs{*in.integer<std::int64_t>()}};
    if (!index.entries_.empty() &&
        (entry.position <= index.entries_.back().position || entry.offset <= index.entries_.back().offset)) {
      return corrupt("entries do not ascend");
    }
    index.entries_.push_back(entry);
  }
  return index;
}

}  // namespace troupe::storage
