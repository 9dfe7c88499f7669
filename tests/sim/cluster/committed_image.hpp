#pragma once

#include <functional>
#include <map>
#include <string>

#include "core/metadata/image_builder.hpp"
#include "core/metadata/quorum_messages.hpp"

namespace troupe::sim {

/// What a broker calls its directory: the how-manieth it has had, from 1.
inline Uuid disk_of(BrokerId broker, std::uint8_t number) {
  return Uuid{{static_cast<std::uint8_t>(broker.value()), number}};
}
inline int number_of_disk(const Uuid& directory_id) { return directory_id.bytes()[1]; }

/// The metadata as it is committed, whoever knows of it, and the rules that each image has to keep.
class CommittedImage {
 public:
  using Fail = std::function<void(const std::string& invariant, const std::string& what)>;

  explicit CommittedImage(Fail fail) : fail_(std::move(fail)) {}

  /// The next committed entry. What it changed; null: a control entry, nothing.
  metadata::DeltaPtr take(const quorum::LogEntry& entry);
  const metadata::ImagePtr& now() const { return now_; }
  /// StateMachineSafety: an image that a node shows.
  void check_shown(BrokerId node, const metadata::MetadataImage& image) const;

 private:
  void check_step(const metadata::ImageDelta& delta) const;
  void check_partition(const metadata::TopicImage& topic, PartitionId number) const;

  Fail fail_;
  metadata::ImagePtr now_ = std::make_shared<const metadata::MetadataImage>();
  std::map<Offset, metadata::ImagePtr> images_;  ///< by the offset that they have applied
};

}  // namespace troupe::sim
