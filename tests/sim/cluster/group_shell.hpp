#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <set>

#include "core/group/turn_log.hpp"
#include "tests/sim/cluster/group_wire.hpp"

namespace troupe::sim {

/// One run of a coordinator beside the leader of its partition, as actors/group_coordinator is: it marks the log, reads up to the mark, and
/// then answers calls, one append on its way at a time. It ends with its leader, or when an append fails.
class GroupShell : public std::enable_shared_from_this<GroupShell> {
 public:
  /// `partition`: of the simulation.
  GroupShell(GroupWorld& world, ClusterNode& node, std::size_t partition);

  void begin();
  /// False: it has ended, or its leader has.
  bool runs() const;
  bool loaded() const { return phase_ == Phase::running; }
  void take(const group::GroupCall& call, BrokerId from, GroupWorld::Answer<group::GroupAnswer> answer);
  void take(const metadata::DeltaPtr& delta);
  void node_lost(BrokerId node);
  /// For people: who thinks what.
  std::string describe() const;

 private:
  enum class Phase : std::uint8_t { marking, reading, running, ended };
  struct Held {
    GroupWorld::Answer<group::GroupAnswer> ticket;
    Result<group::GroupAnswer> answer;
  };
  struct Loaded {
    Offset offset;
    ByteBuffer key;
    bool has_value;
    group::Record record;
  };

  template <class Work>
  void later_us(std::int64_t delay_us, Work work);
  void end(const Error& error);
  void append(std::vector<ByteBuffer> batches);
  void appended(const std::vector<Result<replication::PlacedRecords>>& results);
  void mark_log();
  void marked(const Result<replication::PlacedRecords>& result);
  void read_on();
  void replay();
  void finish(group::Turn turn);
  void flush();
  void tell_news();
  void arm();

  GroupWorld& world_;
  ClusterNode& node_;
  const std::size_t partition_;
  const std::uint64_t run_;
  const std::uint64_t leader_;
  Phase phase_ = Phase::marking;
  group::GroupCoordinator machine_;
  std::uint64_t slot_ = 0;
  Offset mark_{0};
  Offset next_{0};
  std::vector<Loaded> read_;
  std::vector<metadata::DeltaPtr> deltas_;
  group::TurnLog<Held> log_;
  std::set<group::MemberName> nudged_;
  bool flushing_ = false;
  std::optional<MonotonicMs> armed_for_;
};

}  // namespace troupe::sim
