#include "storage/checkpoints.hpp"

#include <algorithm>

#include "base/byte_codec.hpp"

namespace troupe::storage {
namespace {

// Part of the format: docs/formats/checkpoint.md.
constexpr std::size_t offset_entry_size = 16 + 4 + 8;

/// Reads the count before `entry_size` bytes each; the payload must end with the last entry.
Result<std::size_t> read_count(ByteReader& reader, std::size_t entry_size) {
  const auto size = reader.remaining();
  const auto count = reader.integer<std::uint32_t>();
  if (!count) return Error{Errc::corrupt_message, "payload of " + std::to_string(size) + " bytes has no count"};
  if (reader.remaining() != std::uint64_t{*count} * entry_size) {
    return Error{Errc::corrupt_message, "count " + std::to_string(*count) + " of entries of " + std::to_string(entry_size) +
                                            " bytes, but " + std::to_string(reader.remaining()) + " bytes follow"};
  }
  return std::size_t{*count};
}

Error bad_entry(std::size_t index, const std::string& what) {
  return Error{Errc::corrupt_message, "entry " + std::to_string(index) + ": " + what};
}

Result<std::optional<ByteBuffer>> read_payload(FileSystem& files, const std::string& path, CheckpointMagic magic) {
  return read_checkpoint(files, path, static_cast<std::uint32_t>(magic));
}

}  // namespace

ByteBuffer encode_offsets(PartitionOffsets offsets) {
  std::sort(offsets.begin(), offsets.end());
  ByteBuffer payload;
  payload.reserve(4 + offsets.size() * offset_entry_size);
  ByteWriter writer(payload);
  writer.integer(static_cast<std::uint32_t>(offsets.size()));
  const TopicIdPartition* previous = nullptr;
  for (const auto& [partition, offset] : offsets) {
    TROUPE_ASSERT(previous == nullptr || *previous < partition);
    TROUPE_ASSERT(partition.partition >= PartitionId{0} && offset >= Offset{0});
    writer.bytes(std::as_bytes(std::span{partition.topic_id.bytes()}));
    writer.integer(partition.partition.value());
    writer.integer(offset.value());
    previous = &partition;
  }
  return payload;
}

Result<PartitionOffsets> decode_offsets(ByteView payload) {
  ByteReader reader(payload);
  TROUPE_TRY_ASSIGN(const auto count, read_count(reader, offset_entry_size));
  PartitionOffsets offsets;
  offsets.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    std::array<std::uint8_t, 16> topic_id;
    const auto topic_id_bytes = *reader.bytes(topic_id.size());
    std::transform(topic_id_bytes.begin(), topic_id_bytes.end(), topic_id.begin(), std::to_integer<std::uint8_t>);
    const TopicIdPartition partition{TopicId{topic_id}, PartitionId{*reader.integer<std::int32_t>()}};
    const Offset offset{*reader.integer<std::int64_t>()};
    if (partition.partition < PartitionId{0} || offset < Offset{0})
      return bad_entry(i, "offset " + to_string(offset) + " of partition " + to_string(partition) + ", wanted 0 or more");
    if (!offsets.empty() && offsets.back().first >= partition)
      return bad_entry(i, "partition " + to_string(partition) + " after " + to_string(offsets.back().first));
    offsets.emplace_back(partition, offset);
  }
  return offsets;
}

Status write_offsets(FileSystem& files, const std::string& path, CheckpointMagic magic, PartitionOffsets offsets) {
  TROUPE_ASSERT(magic != CheckpointMagic::owner);
  return write_checkpoint(files, path, static_cast<std::uint32_t>(magic), encode_offsets(std::move(offsets)));
}

Result<std::optional<PartitionOffsets>> read_offsets(FileSystem& files, const std::string& path, CheckpointMagic magic) {
  TROUPE_ASSERT(magic != CheckpointMagic::owner);
  TROUPE_TRY_ASSIGN(const auto payload, read_payload(files, path, magic));
  if (!payload) return std::optional<PartitionOffsets>{};
  auto offsets = decode_offsets(*payload);
  if (!offsets) return offsets.error().with_context("checkpoint " + path);
  return std::optional{std::move(offsets).value()};
}

}  // namespace troupe::storage
