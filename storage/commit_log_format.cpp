#include "storage/commit_log_format.hpp"

#include <algorithm>
#include <cstring>

#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "core/record/record_batch.hpp"

namespace troupe::storage::commit_log_format {

void encode_entry_head(ByteBuffer& out, EntryKind kind, const TopicIdPartition& id, Offset offset, LeaderEpoch epoch,
                       const Bytes& batch) {
  ByteWriter writer{out};
  out.push_back(static_cast<std::byte>(kind));
  writer.bytes(std::as_bytes(std::span{id.topic_id.bytes()}));
  writer.integer(id.partition.value());
  writer.integer(offset.value());
  writer.integer(epoch.value());
  writer.integer(static_cast<std::uint32_t>(batch.size()));
  // The batch's own checksum, a second time: a batch of an older turn in the same place checks out, but not as this one.
  const bool has_batch = batch.size() >= record::batch_header_bytes;
  writer.integer(has_batch ? load_big_endian<std::uint32_t>(batch.data() + 17) : std::uint32_t{0});
}

namespace {

std::uint32_t checksum(std::uint64_t file, ByteView covered) {
  std::array<std::byte, 8> number;
  store_big_endian(number.data(), file);
  return crc32c(covered, crc32c(number));
}

}  // namespace

void encode_turn_head(ByteBuffer& heads, std::uint64_t file, std::uint64_t number, std::uint32_t frame_bytes,
                      std::uint32_t entries) {
  store_big_endian(heads.data(), turn_magic);
  store_big_endian(heads.data() + 8, number);
  store_big_endian(heads.data() + 16, frame_bytes);
  store_big_endian(heads.data() + 20, entries);
  store_big_endian(heads.data() + 4, checksum(file, ByteView{heads}.subspan(8)));
}

std::optional<DecodedTurn> TurnReader::turn_at(std::size_t position, std::size_t& size) const {
  const auto rest = file_.view().subspan(position);
  if (rest.size() < turn_head_bytes || load_big_endian<std::uint32_t>(rest.data()) != turn_magic) return std::nullopt;
  const auto number = load_big_endian<std::uint64_t>(rest.data() + 8);
  const auto frame_bytes = load_big_endian<std::uint32_t>(rest.data() + 16);
  const auto entries = load_big_endian<std::uint32_t>(rest.data() + 20);
  if (number > turn_number_max || frame_bytes > rest.size() || frame_bytes < turn_head_bytes) return std::nullopt;
  if (entries > (frame_bytes - turn_head_bytes) / entry_head_bytes) return std::nullopt;
  const auto heads_bytes = turn_head_bytes + entries * entry_head_bytes;
  if (checksum(number_, rest.subspan(8, heads_bytes - 8)) != load_big_endian<std::uint32_t>(rest.data() + 4))
    return std::nullopt;

  DecodedTurn turn{number, position, frame_bytes, {}};
  turn.entries.reserve(entries);
  ByteReader in{rest.subspan(turn_head_bytes, entries * entry_head_bytes)};
  auto body = heads_bytes;
  for (std::uint32_t i = 0; i < entries; ++i) {
    DecodedEntry entry{};
    entry.kind = static_cast<EntryKind>(*in.integer<std::uint8_t>());
    std::array<std::uint8_t, 16> topic_id{};
    std::memcpy(topic_id.data(), in.bytes(topic_id.size())->data(), topic_id.size());
    entry.id.topic_id = TopicId{topic_id};
    entry.id.partition = PartitionId{*in.integer<std::int32_t>()};
    entry.batch.base_offset = Offset{*in.integer<std::int64_t>()};
    entry.batch.leader_epoch = LeaderEpoch{*in.integer<std::int32_t>()};
    const auto batch_bytes = *in.integer<std::uint32_t>();
    const auto batch_crc = *in.integer<std::uint32_t>();
    if (batch_bytes > frame_bytes - body) return std::nullopt;
    if (entry.batch.base_offset < Offset{0} || entry.id.partition < PartitionId{0}) return std::nullopt;
    if (entry.kind == EntryKind::batch) {
      const auto batch = record::parse_batch(rest.subspan(body, batch_bytes));
      if (!batch || batch->bytes.size() != batch_bytes || batch->header.crc != batch_crc || !record::crc_matches(*batch)) {
        return std::nullopt;
      }
      // A copy of its own: one small batch must not keep a whole commit-log file in memory.
      ByteBuffer stamped(batch->bytes.begin(), batch->bytes.end());
      record::stamp_batch(stamped, entry.batch.base_offset, entry.batch.leader_epoch);
      entry.batch.batch = Bytes::adopt(std::move(stamped));
      body += batch_bytes;
    } else if (entry.kind != EntryKind::truncate && entry.kind != EntryKind::reset && entry.kind != EntryKind::reset_done) {
      return std::nullopt;
    }
    turn.entries.push_back(std::move(entry));
  }
  size = frame_bytes;
  return turn;
}

std::optional<DecodedTurn> TurnReader::next() {
  const auto first = position_;
  for (auto position = position_; position + turn_head_bytes <= file_.size(); position += turn_alignment) {
    std::size_t size = 0;
    auto turn = turn_at(position, size);
    // What is not a turn, or one of an earlier use of the file, ends the file, unless a later turn stands behind it.
    if (!turn || (last_turn_ && turn->number <= *last_turn_)) continue;
    const bool follows = !last_turn_ || turn->number == *last_turn_ + 1 || turn->number == *last_turn_ + turn_number_gap;
    if (position != first || !follows) {
      damage_ = "before turn " + std::to_string(turn->number) + " at " + std::to_string(position) + ": the turns after " +
                (last_turn_ ? std::to_string(*last_turn_) : std::string("the start")) + " cannot be read";
    }
    last_turn_ = turn->number;
    position_ = position + (size + turn_alignment - 1) / turn_alignment * turn_alignment;
    return turn;
  }
  position_ = file_.size();
  return std::nullopt;
}

}  // namespace troupe::storage::commit_log_format
