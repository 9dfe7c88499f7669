#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "core/metadata/metadata_image.hpp"
#include "core/metadata/metadata_record.hpp"

namespace troupe::metadata {

/// The record that makes a partition what it is in an image.
PartitionRecord to_record(const TopicId& topic, PartitionId partition, const PartitionImage& image);
PartitionImage to_image(const PartitionRecord& record);
/// A registration that is not fenced, draining or stopping.
BrokerRegisteredRecord to_record(const BrokerImage& broker, const Uuid& incarnation);

/// Makes the next image out of an image and the records that follow it.
///
///   ImageBuilder builder(before);
///   TROUPE_TRY(builder.apply(record, offset));
///   ImageDelta delta = builder.finish(next_offset, controller);
///
/// Copies what the records change, and the shards those are in. A registration raises the epochs of all partitions that its broker
/// leads: that is done once, in `finish`, however many registrations there were, so that a replay costs what its records cost.
/// After an error the builder is of no use.
class ImageBuilder {
 public:
  explicit ImageBuilder(ImagePtr before);

  /// `offset`: the record's, in the metadata log.
  /// Errors: corrupt_message (a record that cannot follow what was there), wrong_owner (another cluster's), invalid_config (a setting
  /// that only a newer node knows).
  Status apply(const MetadataRecord& record, Offset offset);

  /// Whole record batches, whose checksums were verified. Records below `from` are passed over.
  /// Errors: as `apply`, decode_metadata_record and record::parse_batch.
  Status apply_batches(ByteView batches, Offset from);

  /// The image as it is so far, for the rules of the next request; epochs are raised first, which costs a walk over all topics when
  /// there was a registration. Its topics go on changing.
  const MetadataImage& image() {
    raise_epochs();
    return image_;
  }
  std::int64_t records_applied() const { return records_applied_; }
  /// Whether a record was about this topic.
  bool touched(const TopicId& id) const { return touched_.contains(id); }

  /// `applied`: the offset behind the last record.
  ImageDelta finish(Offset applied, BrokerId controller);

 private:
  struct Touched {
    std::shared_ptr<TopicImage> now;  ///< null: removed
    TopicPtr before;                  ///< null: created here
  };

  Status apply_one(const ClusterRecord& record);
  Status apply_one(const TopicRecord& record);
  Status apply_one(const PartitionRecord& record);
  Status apply_one(const TopicConfigRecord& record);
  Status apply_one(const TopicRemovedRecord& record);
  Status apply_one(const BrokerRegisteredRecord& record, Offset offset);
  Status apply_one(const FeatureLevelRecord& record);
  Status apply_one(const BrokerStateRecord& record, Offset offset);
  Status apply_one(const BrokerUnregisteredRecord& record);
  Result<std::vector<BrokerRegistration>::iterator> registration(BrokerId id, Offset broker_epoch);
  Result<TopicImage*> change(const TopicId& id);
  TopicImage& own(const TopicPtr& topic);
  std::int32_t raises_of(BrokerId broker) const;
  void raise_epochs();

  const ImagePtr before_;
  MetadataImage image_;
  std::unordered_map<TopicId, Touched> touched_;
  std::int64_t records_applied_ = 0;
  std::vector<TopicId> order_;  ///< of `touched_`, first touch first
  /// Registrations of a broker whose epochs are not raised yet. Until then a partition holds its epochs less those that came before it
  /// was written.
  std::unordered_map<BrokerId, std::int32_t> raises_;
  std::map<BrokerId, Offset> drains_changed_;
};

}  // namespace troupe::metadata
