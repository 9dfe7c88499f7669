#include "core/record/batch_compaction.hpp"

#include <limits>

#include "base/assert.hpp"
#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "core/record/record_walk.hpp"

namespace troupe::record {
namespace {

// Where the fields lie that compaction writes. Part of the format: record_batch.hpp.
constexpr std::size_t batch_length_at = 8;
constexpr std::size_t crc_at = 17;
constexpr std::size_t attributes_at = 21;
constexpr std::size_t base_timestamp_at = 27;
constexpr std::size_t records_count_at = 57;
constexpr std::uint16_t delete_horizon_bit = 0x40;

/// These are in the log: they were held against their limits when they came.
constexpr InflateLimits stored_limits{.bytes_max = std::size_t{256} << 20,
                                      .ratio_max = std::numeric_limits<std::size_t>::max()};

std::optional<ByteView> view_of(const Piece& piece) {
  if (piece.data == nullptr) return std::nullopt;
  return ByteView{piece.data, static_cast<std::size_t>(piece.size)};
}

/// A record where it lies in the block.
struct Placed {
  WalkedRecord walked;
  const std::byte* begin;         ///< its length field
  const std::byte* offset_delta;  ///< what comes behind the timestamp delta
};

std::int64_t difference(std::int64_t a, std::int64_t b) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) - static_cast<std::uint64_t>(b));
}

TimestampMs later(TimestampMs now, Millis by) { return by > TimestampMs::max() - now ? TimestampMs::max() : now + by; }

class Compaction {
 public:
  Compaction(const RecordBatchView& batch, const CompactionRules& rules) : batch_(batch), rules_(rules) {}

  Result<CompactedBatch> run() {
    const auto& header = batch_.header;
    if (header.is_control() || header.is_transactional()) return CompactedBatch{};
    if (header.records_count == 0) return CompactedBatch{CompactedBatch::Kind::emptied};
    TROUPE_TRY_ASSIGN(const auto block, open_stored_records(batch_));
    TROUPE_TRY(choose(block.bytes));
    if (kept_.empty()) return CompactedBatch{CompactedBatch::Kind::emptied};
    const bool all = kept_.size() == static_cast<std::size_t>(header.records_count);
    const bool new_horizon = tombstones_ && !header.has_delete_horizon() && rules_.now;
    if (all && !new_horizon) return CompactedBatch{};
    return rewrite(new_horizon);
  }

 private:
  Status choose(ByteView block) {
    const auto& header = batch_.header;
    const bool expired = header.has_delete_horizon() && rules_.now && *rules_.now > header.base_timestamp;
    const auto* at = block.data();
    const auto* const end = at + block.size();
    for (std::int32_t i = 0; i < header.records_count; ++i) {
      Placed one{.walked = {}, .begin = at, .offset_delta = nullptr};
      if (const auto* wrong = walk_record(at, end, header.last_offset_delta, one.walked)) {
        return Error{Errc::corrupt_message, "record " + std::to_string(i) + " of the batch at offset " +
                                                to_string(header.base_offset) + ": " + wrong};
      }
      const auto& walked = one.walked;
      const RecordView record{header.base_offset + walked.offset_delta,
                              record_timestamp(header, walked.timestamp_delta),
                              view_of(walked.key),
                              view_of(walked.value),
                              walked.headers_count,
                              ByteView{walked.headers, walked.end}};
      const bool tombstone = record.key && !record.value;
      if (!rules_.needed(record) || (tombstone && expired)) continue;
      tombstones_ = tombstones_ || tombstone;
      one.offset_delta = behind_timestamp(one.begin, walked.end);
      kept_.push_back(one);
    }
    return ok();
  }

  /// Behind length, attributes and timestamp delta of a record that has been walked.
  static const std::byte* behind_timestamp(const std::byte* at, const std::byte* end) {
    std::int32_t length = 0;
    std::int64_t delta = 0;
    TROUPE_ASSERT(read_varint(at, end, length));
    ++at;
    TROUPE_ASSERT(read_varint(at, end, delta));
    return at;
  }

  Result<CompactedBatch> rewrite(bool new_horizon) const {
    const auto& header = batch_.header;
    const auto base = new_horizon ? later(*rules_.now, rules_.delete_retention_ms) : header.base_timestamp;
    const auto shift = difference(header.base_timestamp.value(), base.value());
    ByteBuffer plain;
    for (const auto& one : kept_) {
      if (shift == 0) {
        append_bytes(plain, ByteView{one.begin, one.walked.end});
        continue;
      }
      const auto delta = difference(one.walked.timestamp_delta, difference(0, shift));
      const ByteView rest{one.offset_delta, one.walked.end};
      const auto size = 1 + varlong_size(delta) + rest.size();
      std::byte head[32];
      auto* to = write_varint(head, static_cast<std::int64_t>(size));
      *to++ = std::byte{0};  // attributes
      to = write_varint(to, delta);
      append_bytes(plain, ByteView{head, to});
      append_bytes(plain, rest);
    }
    CompactedBatch result{CompactedBatch::Kind::rewritten};
    auto& bytes = result.bytes;
    append_bytes(bytes, batch_.bytes.first(batch_header_bytes));
    if (header.codec() == CompressionCodec::none) {
      append_bytes(bytes, plain);
    } else {
      TROUPE_TRY_ASSIGN(const auto packed, compress(header.codec(), plain));
      append_bytes(bytes, packed);
    }
    if (new_horizon) {
      store_big_endian(bytes.data() + attributes_at, static_cast<std::uint16_t>(header.attributes | delete_horizon_bit));
      store_big_endian(bytes.data() + base_timestamp_at, base.value());
    }
    store_big_endian(bytes.data() + records_count_at, static_cast<std::int32_t>(kept_.size()));
    seal(bytes);
    return result;
  }

 public:
  static void seal(ByteBuffer& bytes) {
    store_big_endian(bytes.data() + batch_length_at, static_cast<std::int32_t>(bytes.size() - batch_length_overhead));
    store_big_endian(bytes.data() + crc_at, crc32c(ByteView{bytes}.subspan(batch_crc_start)));
  }

 private:
  const RecordBatchView& batch_;
  const CompactionRules& rules_;
  std::vector<Placed> kept_;
  bool tombstones_ = false;
};

}  // namespace

Result<CompactedBatch> compact_batch(const RecordBatchView& batch, const CompactionRules& rules) {
  return Compaction{batch, rules}.run();
}

Result<RecordsBlock> open_stored_records(const RecordBatchView& batch) { return open_records(batch, stored_limits); }

ByteBuffer empty_batch(const RecordBatchView& batch) {
  ByteBuffer bytes;
  append_bytes(bytes, batch.bytes.first(batch_header_bytes));
  store_big_endian(bytes.data() + records_count_at, std::int32_t{0});
  Compaction::seal(bytes);
  return bytes;
}

ByteBuffer build_gap(Offset base, Offset last, LeaderEpoch leader_epoch, TimestampMs max_timestamp) {
  TROUPE_ASSERT(base >= Offset{0} && last >= base && last - base < gap_offsets_max);
  ByteBuffer bytes;
  ByteWriter out{bytes};
  out.integer(base.value());
  out.integer(std::int32_t{0});  // length, below
  out.integer(leader_epoch.value());
  out.integer(std::int8_t{2});    // magic
  out.integer(std::uint32_t{0});  // checksum, below
  out.integer(std::uint16_t{0});  // attributes
  out.integer(static_cast<std::int32_t>(last - base));
  out.integer(max_timestamp.value());
  out.integer(max_timestamp.value());
  out.integer(no_producer_id.value());
  out.integer(no_producer_epoch.value());
  out.integer(no_sequence_number.value());
  out.integer(std::int32_t{0});  // records
  TROUPE_ASSERT(bytes.size() == batch_header_bytes);
  Compaction::seal(bytes);
  return bytes;
}

bool is_gap(const RecordBatchHeader& header) {
  return header.records_count == 0 && !header.has_producer() && !header.is_control();
}

bool may_be_compacted_form(const RecordBatchHeader& found, const RecordBatchHeader& original) {
  if (original.is_control() || found.is_control() || found.leader_epoch != original.leader_epoch) return false;
  if (is_gap(found)) return found.base_offset <= original.base_offset && found.last_offset() >= original.last_offset();
  return found.base_offset == original.base_offset && found.last_offset_delta == original.last_offset_delta &&
         found.producer_id == original.producer_id && found.producer_epoch == original.producer_epoch &&
         found.base_sequence == original.base_sequence && found.max_timestamp == original.max_timestamp &&
         found.records_count <= original.records_count;
}

}  // namespace troupe::record
