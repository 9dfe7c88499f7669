#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "core/consumer/group_reader.hpp"
#include "tests/sim/cluster/group_wire.hpp"

namespace troupe::sim {

/// One member on a node: a GroupReader, the shell around it (as actors/consumer_coordinator is), and whoever listens to it on a thread
/// of its own: what the reader says and what the listener says cross on their way.
class GroupMember : public std::enable_shared_from_this<GroupMember> {
 public:
  struct Habits {
    bool holds_on = false;  ///< does not let go of what it shall give up
    bool commits = false;   ///< by itself, after what it worked on; else automatically
  };

  GroupMember(GroupWorld& world, ClusterNode& node, ConsumerOptions options, std::string id, Habits habits);

  void start();
  void close();
  /// Nobody listens any more.
  void abandon();
  /// What its listener has to do waits for so long.
  void dawdle(std::int64_t for_us) { busy_until_us_ = world_.sim().queue.now_us() + for_us; }
  void nudge();
  /// No more trouble: it lets go of what it shall, and commits all that it works on.
  void behave();

  const std::string& id() const { return id_; }
  const ConsumerOptions& options() const { return options_; }
  ClusterNode& node() const { return node_; }
  /// Its node's run goes on, and it has not left.
  bool alive() const { return node_.up() && node_.replicas().current_run() == run_ && !closed_; }
  bool staying() const { return alive() && !closing_; }
  const consumer::GroupConsumer& machine() const { return reader_.member(); }

 private:
  using Effects = consumer::GroupReaderEffects;

  template <class Work>
  void call(Work work);
  void perform(Effects effects);
  void ask_group(Effects& effects);
  template <class Wanted>
  void ask(group::GroupCall call, void (consumer::GroupReader::*take)(const Result<Wanted>&, MonotonicMs, Effects&));
  void fetch(const Effects::Fetch& wanted);
  void find(const Effects::Find& wanted);
  ClusterNode* leader_of(const TopicIdPartition& partition) const;
  bool is_data(const TopicIdPartition& id) const { return id.topic_id == world_.sim().topics.front().id; }
  void serve_fetch(ClusterNode& leader, const FetchRequest& request, MonotonicMs until,
                   const GroupWorld::Answer<FetchResponse>& answer);
  void arm();

  // The listener.
  void post(ConsumerEvent event);
  void on_event(ConsumerEvent& event);
  void work_on(const ConsumerRecords& records);
  void commit_all();
  /// What it says comes a little later, in order.
  template <class Work>
  void tell_reader(Work work);
  void say_released(const group::PartitionList& partitions);
  MonotonicMs now() const { return world_.clock(node_); }

  GroupWorld& world_;
  ClusterNode& node_;
  const ConsumerOptions options_;
  const std::string id_;
  Habits habits_;
  bool behaves_ = false;
  const std::uint64_t run_;
  consumer::GroupReader reader_;
  metadata::ImagePtr image_;
  bool closing_ = false;
  bool closed_ = false;
  std::optional<MonotonicMs> armed_until_;
  std::uint64_t last_request_ = 0;
  std::int64_t last_event_us_ = 0;  ///< events come in order
  std::int64_t last_call_us_ = 0;
  std::int64_t busy_until_us_ = 0;
  std::map<TopicIdPartition, Offset> expected_;  ///< of what the listener was told that it has
};

}  // namespace troupe::sim
