#pragma once

#include <functional>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <caf/event_based_actor.hpp>

#include "actors/handle_slot.hpp"
#include "actors/partition_manager.hpp"
#include "actors/replica_messages.hpp"
#include "base/prng.hpp"
#include "core/replication/replica_care.hpp"

namespace troupe::actors {

/// What this node is to each partition, and the actors that do it. The part of partition_manager that knows roles.
///
///   the image says          now runs                 so
///   we lead, epoch e        a leader of e            it hears of the new ISR
///   we lead, epoch e        a leader of e-1, or a follower     that one ends; when it has, a leader of e begins
///   we follow               a follower               it hears of the leader
///   we follow               a leader                 it resigns; when it has ended, a follower begins with its log
///   neither                 either                   it ends; the log stays
///   its log cannot be used  either                   others take over, the log is set aside, and a follower copies it anew
///
/// One actor at a time has a partition's log: the next one begins when the one before has gone, and so has what it asked of the disk.
///
/// Replicated partitions wait until the metadata knows of this very run of the node's logs: leaders name it in what they ask of the
/// controller, followers in what they ask of leaders.
class PartitionRoles {
 public:
  /// `revive_later`: calls `revive` after a while. All but the function outlive this.
  PartitionRoles(caf::event_based_actor& self, const PartitionManagerOptions& options, const ActorRow& parent,
                 std::function<void(const TopicIdPartition&, Millis)> restart_later, std::function<void()> revive_later);
  ~PartitionRoles();
  PartitionRoles(const PartitionRoles&) = delete;
  PartitionRoles& operator=(const PartitionRoles&) = delete;

  // --- the metadata

  /// The run of this node that the metadata knows; no_broker_epoch: not this one.
  void set_broker_epoch(BrokerEpoch epoch);
  BrokerEpoch broker_epoch() const { return broker_epoch_; }
  /// A topic as it is now.
  void take(const metadata::TopicPtr& topic);
  /// A partition that is no more: its actor ends at once.
  void drop(const TopicIdPartition& id);
  /// Of topics for which this is false.
  void drop_if_not(const std::function<bool(const TopicIdPartition&)>& keeps);
  /// A broker is no longer fenced, or a new run of it registered.
  void broker_back(BrokerId broker);

  // --- the disk

  /// `written`: have files. What runs with an earlier opening of the directory ends. `again`: the logs were recovered while the node
  /// ran, so leaders wait for new epochs.
  void directory_opened(std::unordered_set<TopicIdPartition> written, bool again);
  bool directory_open() const { return directory_open_; }
  /// No new epochs will come for now: partitions whose only replica is here go on with the one they have.
  void release_single();
  void forget_files(const TopicIdPartition& id) { written_.erase(id); }

  // --- logs that cannot be used: core/replication/replica_care.hpp

  void log_failed(const LogFailed& failed);
  void log_rotten(const LogRotten& rotten);

  // --- actors

  /// False: nobody known here.
  bool on_down(const caf::down_msg& down, MonotonicMs now);
  void restart(const TopicIdPartition& id);
  /// Starts replica_server, isr_desk and fetchers that are not there.
  void revive();
  void peer_changed(const PeerState& state);
  void end_all();

  /// Whether the metadata says that this node leads; the topic's name, then.
  const std::string* led_topic(const TopicIdPartition& id) const;
  caf::actor leader(const TopicIdPartition& id) const;
  bool any_replicated() const;
  /// It has, or had until a moment ago, a role here.
  bool holds(const TopicIdPartition& id) const { return held_.contains(id); }
  std::vector<TopicIdPartition> partitions() const;
  /// To the actor of a partition, if there is one.
  template <class Message>
  void tell(const TopicIdPartition& id, const Message& message) {
    const auto found = held_.find(id);
    if (found != held_.end() && found->second.actor) self_.send(found->second.actor, message);
  }

 private:
  enum class Role : std::uint8_t { none, leader, follower };
  struct Held {
    metadata::TopicPtr topic;
    replication::PartitionState state;  ///< as last heard
    RestartPolicy restarts;
    caf::actor actor = {};
    Role role = Role::none;         ///< of `actor`
    bool ending = false;            ///< `actor` was told to
    bool failed = false;            ///< it ended in error too often, or for good
    LeaderEpoch led{-1};            ///< the last leader here was of this epoch
    LeaderEpoch leads_from{0};      ///< leaders of earlier epochs are not started
    BrokerId followed = no_broker;  ///< over the fetcher of that node
    LeaderEpoch followed_epoch{-1};
    std::optional<replication::ReplicaCare> care = {};  ///< its log cannot be used
    MonotonicMs rot_not_before{0};                      ///< nobody could take over: what readers find is not news until then
  };
  using HeldMap = std::unordered_map<TopicIdPartition, Held>;

  Role role_of(const replication::PartitionState& state) const;
  static std::string name_of(const HeldMap::value_type& held);
  static std::string kind_of(Role role) { return role == Role::leader ? "partition_leader" : "partition_follower"; }
  void ail(HeldMap::iterator at, replication::ReplicaCare::Cause cause);
  void tend(HeldMap::iterator at);
  void give_up(HeldMap::iterator at);
  void set_aside(HeldMap::iterator at);
  void tend_later(const HeldMap::value_type& held);
  void settle(HeldMap::iterator at);
  void settle_all();
  void start(HeldMap::iterator at);
  void start_leader(HeldMap::iterator at, const DiskWorker& worker);
  void start_follower(HeldMap::iterator at, const DiskWorker& worker);
  void follow(HeldMap::value_type& held);
  void unfollow(HeldMap::value_type& held);
  void end(HeldMap::value_type& held);
  void let_go(HeldMap::value_type& held);
  caf::actor fetcher_of(BrokerId peer);
  void end_fetchers();

  caf::event_based_actor& self_;
  const PartitionManagerOptions& options_;
  const ActorRow& parent_;
  std::function<void(const TopicIdPartition&, Millis)> restart_later_;
  std::function<void()> revive_later_;
  Prng random_;

  BrokerEpoch broker_epoch_ = no_broker_epoch;
  bool directory_open_ = false;
  std::unordered_set<TopicIdPartition> written_;
  HeldMap held_;
  std::unordered_map<caf::actor_id, TopicIdPartition> actors_;
  std::uint64_t next_incarnation_ = 1;

  std::shared_ptr<HandleSlot<caf::actor>> server_slot_ = std::make_shared<HandleSlot<caf::actor>>();
  std::shared_ptr<HandleSlot<caf::actor>> desk_slot_ = std::make_shared<HandleSlot<caf::actor>>();
  caf::actor server_;
  caf::actor desk_;
  std::map<BrokerId, caf::actor> fetchers_;
  std::set<BrokerId> peers_down_;
};

}  // namespace troupe::actors
