#pragma once

#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "core/metadata/metadata_image.hpp"

namespace troupe::metadata {

/// Which logs on a node's disk nobody needs: their partitions were assigned to other nodes, or their topics deleted, perhaps while the node
/// was down. Pure; docs/decisions/0020.
///
///   on the disk, and the image says            so
///   this node holds a replica                  it stays
///   others do, lead it and are in sync         it is left: goes when that was so for `grace_ms`
///   others do, but nobody leads, or too few    it stays: it may be the best copy there is
///    are in sync
///   no such partition, and it was known        its topic was deleted: goes after `grace_ms`
///   no such partition, and it was not known    nobody knows whose it is: a stray, moved aside
///
/// "Known" means that an image had the partition, and at which offset of the metadata log; it is stored beside the logs. What an
/// earlier run knew is believed only by a run that was registered behind it: a node whose metadata were taken back to an older state
/// deletes nothing.
class LeftLogs {
 public:
  struct Options {
    BrokerId node = no_broker;
    Millis grace_ms = 600'000;  ///< within it an operator may change his mind
  };
  using Known = std::unordered_map<TopicIdPartition, Offset>;

  struct Findings {
    std::vector<TopicIdPartition> remove = {};  ///< nobody needs them
    std::vector<TopicIdPartition> strays = {};  ///< nobody knows whose they are
    bool learned = false;                       ///< `known` has changed: to be stored
  };

  explicit LeftLogs(Options options) : options_(options) {}

  /// As stored by an earlier run, or by this one before its logs were opened again.
  void recall(const Known& known);
  /// `run`: of this node, as the image has it; no_broker_epoch: it does not know this run, and nothing is found.
  Findings look(const MetadataImage& image, BrokerEpoch run, const std::vector<TopicIdPartition>& on_disk, MonotonicMs now);

  /// Partitions that have logs here, and the offset of the metadata at which they were last known.
  Known known() const;

 private:
  struct Seen {
    Offset at{0};
    bool this_run = false;
  };
  enum class Verdict : std::uint8_t { stays, left, stray };

  Verdict judge(const MetadataImage& image, BrokerEpoch run, const TopicIdPartition& id, bool& learned);

  Options options_;
  std::unordered_map<TopicIdPartition, Seen> known_;
  std::unordered_map<TopicIdPartition, MonotonicMs> left_since_;
};

}  // namespace troupe::metadata
