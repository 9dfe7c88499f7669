#pragma once

#include <optional>

#include "core/replication/leader_calls.hpp"
#include "tests/sim/replication/sim_node.hpp"

namespace troupe::sim {

/// Reads one partition from its beginning, at its leader, or at whoever else has it. What it is given has to be what is committed, in
/// order and without holes. It speaks in the bytes of leader_calls.
class SimReader {
 public:
  SimReader(SimWorld& world, int id, std::size_t partition) : world_(world), id_(id), partition_(partition) {}

  int id() const { return id_; }
  /// Asks, if nothing is on its way; now and then it changes its mind.
  void turn(int brokers);
  void answered(std::uint64_t number, const Result<Bytes>& answer);
  /// Records are deleted up to there, by an operator.
  void delete_before(Offset offset);

  std::function<void(int node, int reader, const Bytes& call)> read;

 private:
  struct Asked {
    std::uint64_t number;
    int node;
    MonotonicMs patience;
    replication::LeaderCall::Body body;
  };
  void ask(int node, replication::LeaderCall::Body body);
  void send(int node, std::uint64_t number, replication::LeaderCall::Body body);
  void take(const FetchResponse& response);

  SimWorld& world_;
  const int id_;
  const std::size_t partition_;
  Offset next_{0};
  bool lost_ = false;  ///< where it was is not there any more: it asks where the log begins
  std::uint64_t last_number_ = 0;
  std::optional<Asked> asked_;
};

}  // namespace troupe::sim
