#pragma once

#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "core/metadata/cluster_requests.hpp"
#include "core/metadata/metadata_image.hpp"
#include "core/replication/follower_replica.hpp"
#include "core/replication/leader_replica.hpp"
#include "tests/sim/replication/invariants.hpp"
#include "tests/sim/replication/sim_log.hpp"

namespace troupe::model {

/// How much happens in a ReplicationModel, and in which partition.
struct ReplicationBounds {
  replication::Flush flush = replication::Flush::fsync;
  std::vector<int> isr = {1, 2, 3};     ///< at first; 1 leads
  int records = 2;                      ///< in all, each a batch of its own, at `quorum`
  int kills = 0;                        ///< of processes: what was written stays
  int power_cuts = 0;                   ///< what was not synced goes
  int suspicions = 0;                   ///< brokers that run and are fenced all the same
  std::vector<int> mortal = {1, 2, 3};  ///< brokers that may be killed or lose power
  int returns = 0;                      ///< brokers that were fenced and are in service again
};

/// One partition on three brokers, the real machines of replication, and the controller's rules on the real image. `min.insync.replicas` is
/// 2. Messages arrive in any order, or never; a broker hears of the metadata when it does. There are no sessions: what those would sort out
/// the machines themselves have to.
class ReplicationModel {
 public:
  static constexpr std::size_t brokers = 3;

  struct Node {
    sim::SimLog log = {};
    bool up = true;
    bool intact = true;     ///< false from a crash that lost something until the controller knows the next run
    bool has_lost = false;  ///< until it is in the ISR again
    BrokerEpoch broker_epoch = no_broker_epoch;
    std::size_t heard = 0;  ///< the image that it knows
    std::shared_ptr<replication::LeaderReplica> leader = {};
    std::shared_ptr<replication::FollowerReplica> follower = {};
    std::vector<std::uint64_t> unsynced = {};  ///< appends that wait for a sync
    bool sync_wanted = false;
    Offset high_watermark{0};
    std::optional<replication::FetchPosition> asked = {};
    std::uint64_t runs = 1;
    // for the digest: what the machines keep to themselves
    std::array<std::uint64_t, brokers> known = {};  ///< as a leader: the last fetch of each follower
    std::array<std::uint64_t, brokers> said = {};   ///< and what it was answered
    std::uint64_t alters = 0;
    std::pair<LeaderEpoch, Offset> told = {no_leader_epoch, Offset{0}};  ///< as a follower: the watermark of its leader
  };
  struct Fetch {
    BrokerId leader;
    replication::ReplicaFetch fetch;
  };
  struct FetchAnswer {
    BrokerId leader;
    BrokerId follower;
    replication::ReplicaAnswer answer;
  };
  struct Alter {
    metadata::AlterPartitionsRequest request;
    std::uint64_t number;
  };
  struct AlterAnswer {
    BrokerId leader;
    LeaderEpoch epoch;
    std::uint64_t number;
    Result<replication::PartitionState> answer;
  };
  using Body = std::variant<Fetch, FetchAnswer, Alter, AlterAnswer>;
  struct Packet {
    std::uint64_t hash = 0;
    Body body;
  };
  struct State {
    std::array<std::shared_ptr<const Node>, brokers> nodes = {};
    std::vector<std::shared_ptr<const Packet>> network = {};  ///< sorted by hash
    std::vector<metadata::ImagePtr> images = {};              ///< as they were committed
    std::vector<std::uint64_t> hashes = {};                   ///< of their contents
    std::uint64_t elections = 0;                              ///< a hash: what was committed at each
    std::set<BrokerId> suspects = {};                         ///< brokers that may have lost records
    bool power_went = false;
    std::shared_ptr<const sim::Invariants> invariants = {};
    ReplicationBounds left = {};
  };
  enum class Kind : std::uint8_t { deliver, hear, produce, sync, kill, power_cut, restart, fence, unfence };
  struct Move {
    Kind kind;
    std::size_t at;  ///< a node, or a packet
  };

  explicit ReplicationModel(const ReplicationBounds& bounds) : bounds_(bounds) {}

  State first() const;
  std::vector<Move> moves(const State& state) const;
  State after(const State& state, const Move& move) const;
  std::optional<std::string> violation(const State& state) const;
  std::uint64_t digest(const State& state) const;
  std::string describe(const State& state, const Move& move) const;

 private:
  struct Step;

  const ReplicationBounds bounds_;
};

}  // namespace troupe::model
