#include "core/metadata/snapshot.hpp"

#include "base/byte_codec.hpp"
#include "core/metadata/image_builder.hpp"
#include "core/record/batch_builder.hpp"

namespace troupe::metadata {
namespace {

constexpr std::uint8_t version = 1;
constexpr std::size_t batch_bytes = std::size_t{256} << 10;

/// Records of a snapshot, in batches behind one another.
class SnapshotWriter {
 public:
  explicit SnapshotWriter(ByteBuffer& out) : out_(out) {}

  void add(const MetadataRecord& record) {
    const auto value = encode_metadata_record(record);
    if (batch_.records_count() == 0) batch_ = record::RecordBatchBuilder{{.base_offset = Offset{records_}}};
    batch_.add({.value = ByteView{value}});
    ++records_;
    if (batch_.size_bytes() >= batch_bytes) end_batch();
  }

  std::int64_t end() {
    if (batch_.records_count() > 0) end_batch();
    return records_;
  }

 private:
  void end_batch() {
    const auto batch = batch_.build();
    TROUPE_ASSERT(batch);  // not empty, and not compressed
    append_bytes(out_, *batch);
  }

  ByteBuffer& out_;
  record::RecordBatchBuilder batch_;
  std::int64_t records_ = 0;
};

void add_topic(SnapshotWriter& out, const TopicImage& topic) {
  out.add(TopicRecord{topic.id, topic.name});
  for (const auto& [name, value] : topic.config_overrides) out.add(TopicConfigRecord{topic.id, name, value});
  for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
    const auto& partition = topic.partitions[i];
    out.add(to_record(topic.id, PartitionId{static_cast<std::int32_t>(i)}, partition));
  }
}

}  // namespace

ByteBuffer encode_snapshot(const MetadataImage& image) {
  ByteBuffer batches;
  SnapshotWriter records{batches};
  if (!image.cluster_id().is_nil()) records.add(ClusterRecord{image.cluster_id()});
  for (const auto& [name, level] : image.features()) records.add(FeatureLevelRecord{name, level});
  // Before the partitions: a registration raises the epochs of those that are there.
  for (const auto& one : image.registrations()) {
    auto record = to_record(one.broker, one.incarnation);
    record.broker_epoch = one.broker_epoch;
    record.fenced = one.fenced;
    record.draining = one.draining;
    record.stopping = one.stopping;
    records.add(record);
  }
  for (const auto& topic : image.topics()) add_topic(records, *topic);

  const auto count = records.end();
  ByteBuffer payload;
  ByteWriter out{payload};
  out.integer(version);
  out.integer(image.applied().value());
  out.integer(count);
  out.bytes(batches);
  return payload;
}

Result<ImagePtr> decode_snapshot(ByteView payload) {
  ByteReader in{payload};
  const auto written_version = in.integer<std::uint8_t>();
  const auto applied = in.integer<std::int64_t>();
  const auto count = in.integer<std::int64_t>();
  if (in.failed()) return Error{Errc::corrupt_message, "metadata snapshot: it ends in its head"};
  if (*written_version != version) {
    return Error{Errc::invalid_record, "metadata snapshot of version " + std::to_string(*written_version) +
                                           ": a newer version of this program wrote it"};
  }
  if (*applied < 0 || *count < 0) return Error{Errc::corrupt_message, "metadata snapshot: a negative number in its head"};
  ImageBuilder builder{std::make_shared<const MetadataImage>()};
  if (auto built = builder.apply_batches(in.rest(), Offset{0}); !built) {
    return built.error().with_context("metadata snapshot");
  }
  if (builder.records_applied() != *count) {
    return Error{Errc::corrupt_message, "metadata snapshot: " + std::to_string(builder.records_applied()) +
                                            " records instead of " + std::to_string(*count)};
  }
  return builder.finish(Offset{*applied}, BrokerId{-1}).after;
}

}  // namespace troupe::metadata
