#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/metadata/broker_lifecycle.hpp"
#include "tests/unit/metadata/cluster_fixture.hpp"

/// A cluster under the controller's rules, with as much of its brokers as it takes to see whether the rules lose records.
namespace troupe::test {

/// Each replica's log is a number of records. A record is committed when all of an ISR that is large enough hold it. A crash takes records
/// of topics with `flush = interval`. After every step all invariants are checked; the first that is broken ends the test.
class World {
 public:
  explicit World(std::int32_t brokers);

  // What can happen. False: not now.
  bool write(const TopicIdPartition& id);
  /// Fetches all that the leader has, and joins the ISR if it may.
  bool follow(const TopicIdPartition& id, BrokerId broker);
  bool shrink(const TopicIdPartition& id, BrokerId member);
  bool crash(BrokerId broker, std::int32_t records_kept);
  bool end_in_order(BrokerId broker);
  bool restart(BrokerId broker);
  bool fence(BrokerId broker);
  bool heartbeat(BrokerId broker);
  bool stop(BrokerId broker);
  /// Its log of one partition fails, and is begun anew if the controller has somebody else to lead.
  bool lose_log(const TopicIdPartition& id, BrokerId broker);
  bool drain(BrokerId broker, bool drain);
  bool balance(std::size_t moves_max);
  bool elect(const TopicIdPartition& id, BrokerId to, bool unclean);
  bool reassign(const TopicIdPartition& id, const std::optional<std::vector<BrokerId>>& replicas);
  bool set(const TopicId& topic, const std::string& name, const std::string& value);
  void create(const std::string& name, const std::vector<Ids>& assignments,
              const std::map<std::string, std::string>& config);

  /// All that matters for what comes next, without epochs.
  std::string key() const;
  /// The whole log replayed, and the snapshot of it, give this image.
  void check_replay() const;

  const metadata::MetadataImage& image() const { return *image_; }
  const std::vector<TopicIdPartition>& partitions() const { return partitions_; }
  const metadata::PartitionImage& partition(const TopicIdPartition& id) const;
  std::int32_t held(const TopicIdPartition& id, BrokerId broker) const { return logs_.at(id).held.at(broker); }
  std::size_t unclean_elections = 0;
  std::size_t refusals = 0;
  std::size_t reassignments_done = 0;
  std::size_t eligible_elections = 0;
  std::size_t logs_lost = 0;

 private:
  struct Process {
    bool alive = true;
    bool ended_in_order = true;
    bool lost_records = false;  ///< since it registered
  };
  struct Log {
    std::int32_t committed = 0;
    std::map<BrokerId, std::int32_t> held = {};
  };

  void commit(const metadata::ClusterRequest& request);
  void commit(std::vector<metadata::MetadataRecord> records, const std::vector<metadata::UncleanElection>& unclean);
  void advance(const TopicIdPartition& id);
  std::size_t min_insync_replicas(const TopicIdPartition& id) const;
  bool registered_fit(BrokerId broker) const;
  void check_step(const metadata::MetadataImage& before);
  void check_partition(const TopicIdPartition& id) const;

  metadata::ImagePtr image_;
  std::vector<metadata::MetadataRecord> log_;
  std::map<BrokerId, Process> processes_;
  std::vector<TopicIdPartition> partitions_;
  std::map<TopicIdPartition, Log> logs_;
  std::function<Uuid()> new_uuid_ = ids();
  std::uint8_t incarnation_ = 1;
  bool losing_log_ = false;  ///< the one reason for another epoch of the same leader
};

}  // namespace troupe::test
