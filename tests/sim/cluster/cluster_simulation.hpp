#pragma once

#include <deque>
#include <memory>
#include <set>
#include <vector>

#include "tests/sim/cluster/cluster_node.hpp"
#include "tests/sim/cluster/cluster_settings.hpp"
#include "tests/sim/cluster/cluster_sim.hpp"
#include "tests/sim/cluster/group_life.hpp"
#include "tests/sim/replication/control_plane.hpp"
#include "tests/sim/replication/link_news.hpp"
#include "tests/sim/replication/sim_client.hpp"
#include "tests/sim/replication/sim_network.hpp"
#include "tests/sim/replication/sim_reader.hpp"

namespace troupe::sim {

/// One run of run_cluster_seed.
class ClusterSimulation : private QuorumShell, private ControlPlane {
 public:
  ClusterSimulation(std::uint64_t seed, const ClusterSettings& settings, std::function<void(const std::string&)> log);

  ClusterReport run();

 private:
  Prng& prng() { return world_.prng; }
  bool violated() const { return quorum_.invariants().violation() || world_.invariants.violation(); }
  void fail(const std::string& invariant, const std::string& what) { world_.invariants.fail(invariant, what); }
  void say(const std::string& what) const;
  ClusterNode& node(BrokerId id) { return *nodes_[static_cast<std::size_t>(id.value() - 1)]; }
  ClusterNode& any_node() { return *nodes_[prng().below(nodes_.size())]; }
  /// One that runs and shows an image; null: none.
  ClusterNode* any_ready_node();
  std::size_t partitions() const { return states_.size(); }
  std::size_t any_partition() { return prng().below(partitions()); }
  TopicIdPartition partition_id(std::size_t partition) const;
  void later_us(std::int64_t delay_us, SimWorld::Work work) { world_.queue.after_us(delay_us, std::move(work)); }
  void mark(const std::string& what) { ++world_.marks[what]; }

  // cluster_sim.cpp: building, what is committed, clients, the end
  void wire();
  void step_until(std::int64_t end_us);
  bool run_until(std::int64_t end_us, const std::function<bool()>& done);
  void found();
  void make_topic();
  void clients_turn();
  void checks_turn();
  void heal();
  std::string unrest();
  void check_end();

  // of what is committed: ControlPlane, QuorumShell
  const replication::PartitionState& state(std::size_t partition) const override { return states_[partition]; }
  void started(SimNode&) override {}
  void alter(SimNode& one, std::size_t partition, const replication::AlterPartition& request) override {
    crash_joining(one, partition, request);
    node(one.id()).alter(partition, request);
  }
  void committed(const quorum::LogEntry& entry) override;
  void partition_committed(std::size_t partition, const metadata::PartitionImage* was, const metadata::PartitionImage& now);
  void unclean_election(std::size_t partition, BrokerId leader);
  void delivered(BrokerId id, const std::vector<quorum::LogEntry>& entries) override { node(id).delivered(entries); }
  void installed(BrokerId id, const Bytes& state) override { node(id).installed(state); }
  void proposed(BrokerId id, std::uint64_t token, const Result<Offset>& answer) override {
    node(id).proposed(token, answer);
  }
  void role_changed(BrokerId id, const quorum::RoleChanged& role) override { node(id).role_changed(role); }
  void leader_ready(BrokerId id) override { node(id).leader_ready(); }
  void snapshot_written(BrokerId id, const Status& status) override { node(id).snapshot_written(status); }
  void check_isr(std::size_t partition);

  // cluster_trouble.cpp
  void trouble();
  void strike(Trouble kind);
  bool draws(Trouble kind) const;
  void crash(ClusterNode& victim, CrashKind kind);
  void restart_later(ClusterNode& victim);
  void restart(ClusterNode& victim);
  void late_mail(ClusterNode& victim);
  void crash_joining(SimNode& leader, std::size_t partition, const replication::AlterPartition& request);
  void tell_of(BrokerId id, const Uuid& incarnation, bool up);
  void pause(ClusterNode& victim);
  void cut();
  void clog();
  bool may_lose_disk(BrokerId broker);
  void lose_disk(ClusterNode& victim);

  // cluster_operators.cpp
  void operate(metadata::MetadataCommand command, const char* what);
  void reassign();
  void reassign_by_plan(std::vector<BrokerId> brokers);
  void drain(BrokerId broker);
  void change_voters();
  void change_topics();
  void create_topic(const std::string& name);
  std::pair<std::string, std::string> any_setting();
  std::string any_side_name();
  void look_around();
  bool quorum_is_whole();

  const ClusterSettings settings_;
  SimWorld world_;
  QuorumCluster quorum_;
  CommittedImage committed_;
  SimNetwork network_;
  LinkNews news_{world_, network_};
  ClusterWorld shared_;
  std::vector<std::unique_ptr<ClusterNode>> nodes_;
  std::unique_ptr<GroupLife> groups_;  ///< null: there are none
  std::vector<std::unique_ptr<SimClient>> clients_;
  std::vector<std::unique_ptr<SimReader>> readers_;  ///< one a partition
  std::vector<replication::PartitionState> states_;
  struct Losses {
    std::set<BrokerId> suspects = {};  ///< crashed, and may have lost records
    bool any = false;                  ///< power went, or a disk: else nothing can be lost
  };
  std::vector<Losses> losses_;  ///< of each partition, since all its replicas held everything
  std::vector<Millis> wall_offsets_;
  std::function<void(const std::string&)> log_;
  bool topic_made_ = false;
  bool healed_ = false;
  bool only_groups_ = false;  ///< are not at rest
  bool disk_was_lost_ = false;
  std::optional<quorum::ReplicaKey> dead_voter_;
  std::set<BrokerId> drained_;
  int side_topics_ = 0;
  std::deque<std::pair<std::int64_t, Offset>> removable_;  ///< committed ends of a while ago, of partition 0
};

}  // namespace troupe::sim
