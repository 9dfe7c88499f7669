#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "core/group/group_calls.hpp"
#include "tests/sim/cluster/cluster_node.hpp"
#include "tests/sim/cluster/cluster_settings.hpp"
#include "tests/sim/cluster/group_judge.hpp"
#include "tests/sim/replication/sim_network.hpp"

namespace troupe::sim {

class GroupShell;

/// What coordinators and members in a simulated cluster share.
struct GroupWorld {
  ClusterWorld& cluster;
  SimNetwork& network;
  Prng prng;
  GroupSettings settings;
  GroupJudge judge;
  /// The coordinator that runs on that node; null: none.
  std::function<std::shared_ptr<GroupShell>(BrokerId, PartitionId)> coordinator = {};
  /// Members on that node have news.
  std::function<void(ClusterNode&, const std::vector<group::MemberName>&)> tell = {};

  SimWorld& sim() { return cluster.replication; }
  void mark(const std::string& what) { ++sim().marks["group: " + what]; }
  void say(const std::string& what) {
    if (sim().log) sim().log(what);
  }
  /// Of a partition of the simulation; null: none that is known to lead.
  const replication::LeaderReplica* leader_of(std::size_t partition) {
    const auto leader = sim().control->state(partition).leader;
    return leader == no_broker ? nullptr : cluster.node(leader).replicas().leader(partition);
  }
  MonotonicMs clock(const ClusterNode& node) const { return cluster.quorum.clock(node.id()); }
  group::Now now(const ClusterNode& node) const { return {clock(node), cluster.wall_clock(node.id())}; }
  /// In that node, if it is the same run of it then.
  void later_us(ClusterNode& node, std::int64_t delay_us, SimWorld::Work work) {
    sim().queue.after_us(
        delay_us, [&node, run = node.replicas().current_run(), work = std::move(work)] { node.replicas().run(run, work); });
  }
  /// One way, from a node to another one or to itself.
  void send(ClusterNode& from, ClusterNode& to, std::function<void()> work) {
    const auto arrives = [&to, work = std::move(work)] { to.replicas().run(to.replicas().current_run(), work); };
    if (&from == &to) return sim().queue.after_us(prng.between(10, 200), arrives);
    network.send_in_order(from.id().value(), to.id().value(), arrives);
  }

  template <class T>
  using Answer = std::function<void(Result<T>)>;
  /// A question to a node and its answer, which comes once: request_timed_out when none did in time.
  template <class T>
  void ask(ClusterNode& from, ClusterNode& to, Millis timeout_ms, std::function<void(Answer<T>)> serve, Answer<T> take) {
    const auto is_open = std::make_shared<bool>(true);
    const auto deliver = [is_open, take = std::move(take)](Result<T> answer) {
      if (std::exchange(*is_open, false)) take(std::move(answer));
    };
    later_us(from, timeout_ms * 1'000, [deliver] { deliver(Error{Errc::request_timed_out, "no answer in time"}); });
    if (!to.up() && prng.chance(1, 2)) {
      return later_us(from, 1'000, [deliver] { deliver(Error{Errc::broker_not_available, "there is no link"}); });
    }
    send(from, to, [this, &from, &to, run = from.replicas().current_run(), serve = std::move(serve), deliver] {
      serve([this, &from, &to, run, deliver](Result<T> answer) {
        send(to, from, [&from, run, deliver, answer = std::move(answer)] {
          if (from.replicas().current_run() == run) deliver(answer);
        });
      });
    });
  }
};

/// A call of a group's coordinator, by a node, as actors/group_desk does it: asked again while nothing was done, and where that does no
/// harm also when nobody knows.
void call_coordinator(GroupWorld& world, ClusterNode& node, group::GroupCall call,
                      GroupWorld::Answer<group::GroupAnswer> take);

}  // namespace troupe::sim
