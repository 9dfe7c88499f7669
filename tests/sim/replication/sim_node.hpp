#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "core/replication/fetch_session.hpp"
#include "core/replication/follower_replica.hpp"
#include "core/replication/leader_replica.hpp"
#include "tests/sim/event_queue.hpp"
#include "tests/sim/replication/control_plane.hpp"
#include "tests/sim/replication/invariants.hpp"
#include "tests/sim/replication/sim_log.hpp"

namespace troupe::sim {

/// What one seed draws for the whole run.
struct SimSettings {
  int brokers = 3;
  int partitions = 1;
  int group_partitions = 0;  ///< how many of them, the last ones, are of the groups' topic
  int replicas = 3;
  std::size_t min_insync_replicas = 2;
  replication::Flush flush = replication::Flush::fsync;
  bool written_told = true;  ///< leaders hear of writes before they are synced
  std::uint64_t loss_permille = 0;
  std::uint64_t repeat_permille = 0;
  bool reorder = false;
  std::int64_t delay_us_max = 2'000;
  std::int64_t disk_us_max = 3'000;
  std::uint64_t full_disk_permille = 0;
  std::uint64_t slow_disk_permille = 0;  ///< of works that take `slow_disk_us`
  std::int64_t slow_disk_us = 500'000;
  std::uint64_t failing_sync_permille = 0;
  Millis lag_max_ms = 1'500;
  Millis unlinked_max_ms = 1'000;
  Millis session_ms = 800;
  std::int32_t fetch_bytes_max = 4'096;
  bool retention = false;
  std::size_t metadata_changes_max = 1'000;  ///< that a node hears of at once: fewer, and it lags behind
};

enum class CrashKind : std::uint8_t {
  killed,     ///< the logs keep all that was written
  power,      ///< and what was not synced may be lost
  disk_lost,  ///< the logs are empty
};

/// What happened, so that a run that tests nothing can be told from one that does.
using Marks = std::map<std::string, std::uint64_t>;

/// A topic whose partitions are replicated: `count` of the simulation's partitions, from `first` on.
struct SimTopic {
  std::string name = {};
  std::size_t first = 0;
  std::size_t count = 0;
  TopicId id = {};
  bool made = false;
};

/// What the nodes of a simulation share.
struct SimWorld {
  SimWorld(std::uint64_t seed, const SimSettings& drawn)
      : prng(seed), settings(drawn), invariants(static_cast<std::size_t>(drawn.partitions), drawn.flush) {
    const auto of_groups = static_cast<std::size_t>(drawn.group_partitions);
    const auto of_data = static_cast<std::size_t>(drawn.partitions) - of_groups;
    topics.push_back({"data", 0, of_data, TopicId{std::array<std::uint8_t, 16>{1}}});
    if (of_groups > 0)
      topics.push_back({"__consumer_offsets", of_data, of_groups, TopicId{std::array<std::uint8_t, 16>{2}}});
  }

  const SimTopic& topic_of(std::size_t partition) const {
    return partition < topics.front().count ? topics.front() : topics.back();
  }
  TopicIdPartition id_of(std::size_t partition) const {
    const auto& topic = topic_of(partition);
    return {topic.id, PartitionId{static_cast<std::int32_t>(partition - topic.first)}};
  }
  std::size_t index_of(const TopicIdPartition& id) const {
    const auto& topic = id.topic_id == topics.front().id ? topics.front() : topics.back();
    return topic.first + static_cast<std::size_t>(id.partition.value());
  }

  EventQueue queue;
  Prng prng;
  SimSettings settings;
  Invariants invariants;
  ControlPlane* control = nullptr;  ///< set before the first node starts
  std::vector<SimTopic> topics;     ///< the data, and the groups'
  Marks marks;
  std::uint64_t trace = 0;  ///< a hash of what happened: the same seed gives the same

  using Work = std::function<void()>;
  std::function<void(const std::string&)> log;  ///< may be empty
  /// A message over the simulated network, 0 being the controller: late, lost, repeated, overtaken, as the seed says.
  std::function<void(int from, int to, Work)> send;
  std::function<std::vector<Invariants::Holder>(std::size_t partition)> replicas;
  std::function<std::size_t(std::size_t partition)> copies_needed;  ///< before a record may be shown
  std::function<void(std::size_t partition)> check_isr;             ///< StrongIsr
  std::function<MonotonicMs(BrokerId)> clock;                       ///< of a node; may be empty: all have the same
  std::function<void(BrokerId)> disk_failed;                        ///< a sync failed: what was not synced may be lost
  std::function<void(int to, const Bytes&)> deliver_request;
  std::function<void(int from, int to, const Bytes&)> deliver_answer;
  std::function<void(int client, std::uint64_t slot, std::vector<Result<replication::PlacedRecords>>)> answer_client;

  std::function<void(int reader, std::uint64_t number, const Result<Bytes>& answer)> answer_reader;

  void note(std::uint64_t value) { trace = trace * 1099511628211ULL + value; }
};

/// One node: the shells around the machines, as actors will be. What survives a crash is the disk: logs, and the metadata read so far.
class SimNode {
 public:
  SimNode(SimWorld& world, BrokerId id);

  BrokerId id() const { return id_; }
  bool up() const { return up_; }
  bool paused() const { return paused_; }
  const SimLog& log(std::size_t partition) const { return disk_[partition]; }

  void start();
  /// All that is in memory is gone.
  void crash(CrashKind kind);
  void pause() { paused_ = true; }
  void resume();
  /// Runs `work` in this node, if it is the same run of it; a paused node does it later.
  void run(std::uint64_t run, SimWorld::Work work);
  std::uint64_t current_run() const { return run_; }

  // Messages that come in.
  void produce(int client, std::uint64_t slot, std::size_t partition, std::vector<replication::NewBatch> batches,
               const replication::ProduceTerms& terms);
  /// From this node itself, at `quorum`: `answered` is called later, in this run, or never when the leader is gone without a word.
  void produce_here(std::size_t partition, std::vector<replication::NewBatch> batches,
                    std::function<void(const std::vector<Result<replication::PlacedRecords>>&)> answered);
  /// Bytes of a LeaderCall of a reader: what is committed, or where. Answered by `answer_reader`, at once or when there is something.
  void read(int reader, const Bytes& call);
  void fetch_request(const Bytes& bytes);
  void fetch_answer(int from, const Bytes& bytes);
  /// A partition as it is now; then `settle_roles`.
  void take(std::size_t partition, const replication::PartitionState& state);
  void settle_roles();
  /// The run of this node that the metadata knows, once that has been read; no_broker_epoch: not this one.
  void act_as(BrokerEpoch epoch);
  void known_to_controller() { intact_ = true; }
  void broker_back(BrokerId broker);
  /// News of a link: leaders hear of it, those that are elected later too.
  void link(BrokerId peer, bool up);
  void alter_answer(std::size_t partition, std::uint64_t request, const Result<replication::PartitionState>& answer);

  void move_log_start(std::size_t partition, Offset offset);
  const replication::LeaderReplica* leader(std::size_t partition) const;
  /// Names one leadership or followership of this node.
  std::uint64_t incarnation(std::size_t partition) const { return roles_[partition].incarnation; }
  Offset high_watermark(std::size_t partition) const;
  Offset log_start(std::size_t partition) const;
  /// False from a crash that lost something until the controller knows of it.
  bool intact() const { return intact_; }
  /// It has lost some of this partition in a crash, and has not been in the ISR since.
  bool has_lost(std::size_t partition) const { return lost_[partition]; }
  void holds_all_again(std::size_t partition) { lost_[partition] = false; }

 private:
  struct Write {
    std::int64_t delay_us = 0;
    SimWorld::Work work;
  };
  struct Role {
    std::optional<replication::LeaderReplica> leader;
    std::optional<replication::FollowerReplica> follower;
    BrokerId followed = no_broker;
    std::uint64_t incarnation = 0;
    std::deque<Write> writes;  ///< the one ordered list of the partition's storage effects
    bool writing = false;
    std::map<std::uint64_t, std::pair<int, std::uint64_t>> slots;
    std::map<std::uint64_t, std::function<void(const std::vector<Result<replication::PlacedRecords>>&)>> own_slots;
    std::vector<std::pair<std::uint64_t, Status>> unsynced;  ///< appends that wait for a sync, refused ones among them
    struct Parked {
      int reader;
      std::uint64_t number;
      Offset from;
    };
    std::map<std::uint64_t, Parked> parked;  ///< reads that wait for records
    std::uint64_t next_slot = 1;
    bool sync_queued = false;
    Offset seen_high_watermark{0};
  };

  void say(std::size_t partition, const std::string& what) const;
  MonotonicMs now() const { return world_.clock ? world_.clock(id_) : world_.queue.now(); }
  TopicIdPartition partition_id(std::size_t partition) const { return world_.id_of(partition); }
  replication::LeaderReplica::Options leader_options(LeaderEpoch epoch) const;
  void reconcile(std::size_t partition);
  void lead(std::size_t partition);
  void follow(std::size_t partition);
  void end_leader(std::size_t partition);
  void end_follower(std::size_t partition);
  void perform(std::size_t partition, replication::LeaderEffects effects);
  void perform(std::size_t partition, replication::FollowerEffects effects);
  void append(std::size_t partition, replication::LeaderEffects::Append append);
  void load_claims(std::size_t partition);
  void answer_reader(int reader, std::uint64_t number, Result<Bytes> answer);
  /// Committed records from there on.
  Bytes committed_records(std::size_t partition, Offset from) const;
  void queue_leader_sync(std::size_t partition);
  void sync_failed(std::size_t partition);
  void queue_follower_sync(std::size_t partition);
  std::optional<std::uint64_t> chain_of_lost(std::size_t partition, Offset offset) const;
  void write(std::size_t partition, SimWorld::Work work);
  void next_write(std::size_t partition);
  void state_position(std::size_t partition);
  void pump_fetchers();
  void pump_server();
  void watch(std::size_t partition);
  void after();
  void arm();
  void flush_later();

  SimWorld& world_;
  const BrokerId id_;
  std::vector<SimLog> disk_;
  std::vector<replication::PartitionState> image_;  ///< as it heard last
  bool intact_ = true;
  std::vector<bool> lost_;
  std::set<BrokerId> unlinked_;  ///< links that are down, as far as it was told
  bool dying_ = false;           ///< its disk failed

  std::uint64_t run_ = 0;
  std::uint64_t next_incarnation_ = 1;
  bool up_ = false;
  bool paused_ = false;
  std::vector<SimWorld::Work> stash_;
  BrokerEpoch broker_epoch_ = no_broker_epoch;
  std::vector<Role> roles_;
  std::map<BrokerId, replication::FetchSession> fetchers_;
  std::optional<replication::FetchSessionServer> server_;
  std::map<std::pair<BrokerId, std::size_t>, replication::ReplicaAnswer> refusals_;  ///< of fetches, until their turn comes
  std::optional<MonotonicMs> armed_;
};

}  // namespace troupe::sim
