#pragma once

#include <map>
#include <optional>

#include "core/metadata/metadata_command.hpp"
#include "core/metadata/partition_change.hpp"

/// What operators asked, asked again because nobody knows what became of the first time.
///
///   operator 1: drain 2 ------------> done, and the answer is lost ------------> drain 2, again: refused, it was undrained since
///   operator 2: ........................................... undrain 2: done
///
/// The second time a request carries what was seen before the first. What is as it was asked for is done. What is as it was seen is decided
/// now. In between others have changed it: whether the first attempt succeeded is unknown, and what they did stays.
namespace troupe::metadata {

/// Since when a node knows who began or ceased to drain, and when that was last.
class DrainChanges {
 public:
  /// Nothing is known of what was below: the image came from a snapshot.
  void begin_at(Offset offset) {
    known_from_ = offset;
    changed_.clear();
  }
  void note(const ImageDelta& delta) {
    for (const auto& [broker, offset] : delta.drains_changed) changed_.insert_or_assign(broker, offset);
  }
  /// Whether it may have begun or ceased to drain at or above `offset`.
  bool changed_since(BrokerId broker, Offset offset) const {
    const auto at = changed_.find(broker);
    return offset < known_from_ || (at != changed_.end() && at->second >= offset);
  }

 private:
  Offset known_from_{0};
  std::map<BrokerId, Offset> changed_;
};

/// nullopt: a request that needs no memory of what was seen.
std::optional<ClusterSeen> seen(const MetadataImage& image, const ClusterRequest& request);

/// As decide_cluster, of a request that may have been carried out already. Errors: those, and request_timed_out (others have changed it
/// meanwhile; of partitions, in the answer).
Result<ClusterDecision> decide_repeated(const MetadataImage& image, const ClusterRequest& request, const ClusterSeen& before,
                                        const DrainChanges& drains);

}  // namespace troupe::metadata
