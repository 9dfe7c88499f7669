#include "core/metadata/quorum_storage.hpp"

#include <array>

#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "core/record/batch_builder.hpp"

namespace troupe::quorum {
namespace {

constexpr std::int16_t control_key_version = 0;
/// Kafka's types of control records in the metadata log. Part of the format: never renumber. Source: KIP-595, KIP-853.
constexpr std::int16_t leader_change_record = 2;
constexpr std::int16_t voters_record = 6;

/// The first byte of a snapshot's file. 1 is the image alone, as nodes wrote it before there was a quorum.
constexpr std::uint8_t image_alone = 1;
constexpr std::uint8_t described = 2;

Error damaged(std::string what) { return {Errc::corrupt_message, "metadata log: " + std::move(what)}; }

Result<LogEntry> control_entry(const record::RecordBatchView& batch, const Bytes& bytes) {
  const auto where = "control batch at " + to_string(batch.header.base_offset);
  TROUPE_TRY_ASSIGN(const auto block, record::open_records(batch, {}));
  record::RecordReader reader{batch.header, block.bytes};
  const auto record = reader.next();
  if (batch.header.codec_bits() != 0 || batch.header.records_count != 1 || !record || !record->key || !record->value) {
    return damaged(where + ": not one plain control record");
  }
  ByteReader key{*record->key};
  const auto version = key.integer<std::int16_t>();
  const auto type = key.integer<std::int16_t>();
  const bool known = version == control_key_version && (type == leader_change_record || type == voters_record);
  if (!known) return damaged(where + ": of a type that this program does not know");
  const auto value_at = static_cast<std::size_t>(record->value->data() - bytes.view().data());
  return LogEntry{batch.header.base_offset, batch.header.leader_epoch,
                  type == voters_record ? EntryKind::voters : EntryKind::leader_change, 1,
                  bytes.slice(value_at, record->value->size())};
}

}  // namespace

Bytes entry_batch(const LogEntry& entry) {
  if (entry.kind == EntryKind::data) return entry.payload;
  std::array<std::byte, 4> key{};
  store_big_endian(key.data(), control_key_version);
  store_big_endian(key.data() + 2, entry.kind == EntryKind::voters ? voters_record : leader_change_record);
  record::RecordBatchBuilder builder{{.base_offset = entry.base_offset, .leader_epoch = entry.epoch, .control = true}};
  builder.add({.key = ByteView{key}, .value = entry.payload.view()});
  auto batch = builder.build();
  TROUPE_ASSERT(batch);  // not empty, and not compressed
  return Bytes::adopt(std::move(*batch));
}

Result<std::vector<LogEntry>> entries_of(const Bytes& batches, Offset from) {
  std::vector<LogEntry> entries;
  std::size_t at = 0;
  while (at < batches.size()) {
    TROUPE_TRY_ASSIGN(const auto batch, record::parse_batch(batches.view().subspan(at)));
    const auto size = batch.bytes.size();
    if (batch.header.next_offset() > from) {
      if (batch.header.is_control()) {
        TROUPE_TRY_ASSIGN(auto entry, control_entry(batch, batches));
        entries.push_back(std::move(entry));
      } else {
        entries.push_back({batch.header.base_offset, batch.header.leader_epoch, EntryKind::data,
                           batch.header.last_offset_delta + 1, batches.slice(at, size)});
      }
    }
    at += size;
  }
  return entries;
}

Status check_entry(const LogEntry& entry) {
  if (entry.kind != EntryKind::data) return ok();  // decoded with the message
  const auto where = "the entry for " + to_string(entry.base_offset);
  TROUPE_TRY_ASSIGN(const auto batch, record::parse_batch(entry.payload));
  const bool right = batch.bytes.size() == entry.payload.size() && !batch.header.is_control() &&
                     batch.header.base_offset == entry.base_offset && batch.header.next_offset() == entry.end_offset() &&
                     record::crc_matches(batch);
  if (!right) return damaged(where + " is not one whole record batch for that place");
  return ok();
}

ByteBuffer encode_snapshot_file(const SnapshotMeta& snapshot, ByteView image) {
  const auto head = encode_snapshot_meta(snapshot);
  ByteBuffer payload;
  ByteWriter out{payload};
  out.integer(described);
  out.integer(static_cast<std::uint16_t>(head.size()));
  out.bytes(head);
  out.bytes(image);
  return payload;
}

Result<SnapshotFile> decode_snapshot_file(const Bytes& payload) {
  ByteReader in{payload};
  const auto version = in.integer<std::uint8_t>();
  if (version == image_alone) return SnapshotFile{std::nullopt, payload};
  if (version && *version > described) {
    return Error{Errc::invalid_record,
                 "metadata snapshot of version " + std::to_string(*version) + ": a newer version of this program wrote it"};
  }
  const auto head_size = in.integer<std::uint16_t>();
  const auto head = head_size ? in.bytes(*head_size) : std::nullopt;
  if (version != described || !head) return Error{Errc::corrupt_message, "metadata snapshot: it ends in its head"};
  TROUPE_TRY_ASSIGN(auto snapshot, decode_snapshot_meta(*head));
  if (snapshot.size_bytes != in.remaining() || snapshot.crc != crc32c(in.rest())) {
    return Error{Errc::corrupt_message, "metadata snapshot: its bytes are not those that its head describes"};
  }
  return SnapshotFile{std::move(snapshot), payload.slice(payload.size() - in.remaining(), in.remaining())};
}

HardState adopted_hard_state(const Uuid& cluster_id, const ReplicaKey& self, const record::LeaderEpochCache& epochs) {
  const auto genesis = VoterSet::of({self});
  TROUPE_ASSERT(genesis);
  return {.directory_id = self.directory_id,
          .cluster_id = cluster_id,
          .epoch = epochs.latest_epoch().value_or(LeaderEpoch{0}),
          .genesis = *genesis};
}

SnapshotMeta adopted_snapshot(Offset end_offset, ByteView image, VoterSet voters, const record::LeaderEpochCache& epochs) {
  // Nobody else has that log, so an epoch that is no longer known may be any that is not above the next one.
  auto epoch = epochs.epoch_at(end_offset - 1);
  if (!epoch) epoch = epochs.epoch_at(end_offset);
  return {.end_offset = end_offset,
          .epoch = epoch.value_or(LeaderEpoch{0}),
          .voters = std::move(voters),
          .size_bytes = image.size(),
          .crc = crc32c(image)};
}

}  // namespace troupe::quorum
