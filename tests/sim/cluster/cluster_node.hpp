#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>

#include "core/metadata/controller_duties.hpp"
#include "core/metadata/metadata_machine.hpp"
#include "tests/sim/cluster/committed_image.hpp"
#include "tests/sim/quorum_cluster.hpp"
#include "tests/sim/replication/sim_node.hpp"

namespace troupe::sim {

class ClusterNode;

/// What the nodes of a simulated cluster share.
struct ClusterWorld {
  SimWorld& replication;
  QuorumCluster& quorum;
  CommittedImage& committed;
  std::function<ClusterNode&(BrokerId)> node;
  std::function<TimestampMs(BrokerId)> wall_clock;
  std::int64_t snapshot_records_min = 100;
  metadata::Liveness::Options liveness = {};
  /// A node shows another image; null: the first one of its run. May be empty.
  std::function<void(ClusterNode&, const metadata::DeltaPtr&)> shown = {};
};

/// One broker: the metadata machine and the controller's duties on the quorum's replica, and the replicas of partitions driven by the
/// images. Does what actors/metadata_quorum, broker_heartbeat, isr_desk and partition_roles do, over the simulated network.
class ClusterNode {
 public:
  using Answered = std::function<void(const Result<metadata::MetadataAnswer>&)>;

  ClusterNode(ClusterWorld& world, BrokerId id);

  BrokerId id() const { return id_; }
  SimNode& replicas() { return replicas_; }
  const SimNode& replicas() const { return replicas_; }
  const Uuid& incarnation() const { return incarnation_; }
  bool up() const { return replicas_.up(); }

  void start();
  void crash(CrashKind kind);
  void pause();
  void resume();
  /// It ends in order: `on_stopped` when the controller lets it.
  void stop_in_order(std::function<void()> on_stopped);
  bool stopping() const { return on_stopped_ != nullptr; }

  /// A command that is given here. `answered` may be empty.
  void command(metadata::MetadataCommand command, Millis timeout_ms, Answered answered = {});
  void alter(std::size_t partition, const replication::AlterPartition& request);
  /// The links saw that run of a node go, or a node come.
  void peer_gone(BrokerId peer, const Uuid& incarnation);
  void peer_back(BrokerId peer, const Uuid& incarnation);

  // of the quorum's replica
  void delivered(const std::vector<quorum::LogEntry>& entries);
  void installed(const Bytes& state);
  void proposed(std::uint64_t token, const Result<Offset>& answer);
  void role_changed(const quorum::RoleChanged& role);
  void leader_ready();
  void snapshot_written(const Status& status);

  bool ready() const { return machine_ && machine_->ready(); }
  const metadata::ImagePtr& image() const { return machine_->image(); }

 private:
  struct Asker {
    BrokerId from;
    std::uint64_t call;
  };

  metadata::BrokerImage self() const;
  MonotonicMs now() const { return world_.quorum.clock(id_); }
  int address() const { return id_.value(); }
  void later(Millis delay_ms, SimWorld::Work work);
  void note_formatted();
  void perform(metadata::MetadataEffects effects);
  void perform(metadata::DutyEffects effects);
  void perform_one(metadata::ProposeMetadata& effect);
  void perform_one(const metadata::ConfirmLeader& effect);
  void perform_one(const metadata::CallController& effect);
  void perform_one(metadata::AnswerMetadata& effect);
  void perform_one(const metadata::AnswerPeer& effect);
  void perform_one(const metadata::MetadataIsReady& effect);
  void perform_one(const metadata::PublishMetadata& effect);
  void perform_one(const metadata::WantTurn& effect);
  void perform_one(const metadata::TakeSnapshot& effect);
  void perform_one(const metadata::NoteMetadata& effect);
  void perform_one(const metadata::FailMetadata& effect);
  void show(const metadata::DeltaPtr& delta);
  void heartbeat();
  void heartbeat_answered(const Result<metadata::HeartbeatAnswer>& answer);
  void register_anew();
  /// Request and answer over the network; `answered` at most once, with an error when nothing came in time.
  void call(BrokerId to, Bytes request, Millis timeout_ms, std::function<void(const Result<Bytes>&)> answered);
  void called_by_peer(BrokerId from, std::uint64_t call, const Bytes& request);
  void answer_peer(const Asker& asker, Result<Bytes> answer);
  void answered_by_peer(std::uint64_t call, const Result<Bytes>& answer);
  void arm();
  void check_replaced(const metadata::RegisterBrokerRequest& request, const Status& allowed);

  ClusterWorld& world_;
  const BrokerId id_;
  SimNode replicas_;
  Prng prng_;
  std::uint8_t disks_ = 1;  ///< that it has had

  // of one run
  Uuid incarnation_;
  bool formatted_ = false;
  std::optional<metadata::MetadataMachine> machine_;
  std::optional<metadata::ControllerDuties> duties_;
  std::uint64_t last_token_ = 0;
  std::map<std::uint64_t, Answered> asked_;
  std::map<std::uint64_t, Asker> askers_;
  std::map<std::uint64_t, std::function<void(const Result<Bytes>&)>> calls_;
  std::optional<MonotonicMs> armed_for_;
  std::function<void()> on_stopped_;
  bool registering_ = false;
  std::map<BrokerId, std::pair<Uuid, MonotonicMs>>
      heard_;  ///< as the controller: which run of a broker spoke last, and when
};

/// A partition as its leader sees it.
replication::PartitionState partition_state_of(const metadata::PartitionImage& image);

}  // namespace troupe::sim
