#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/metadata/quorum_node.hpp"
#include "tests/sim/quorum_invariants.hpp"

namespace troupe::model {

/// How much happens in a QuorumModel.
struct QuorumBounds {
  int timeouts = 2;                                ///< of voters that hear of no leader, in all
  std::vector<std::size_t> impatient = {0, 1, 2};  ///< nodes that may time out
  int heartbeats = 0;                              ///< of leaders, in all
  int proposals = 1;                               ///< in all
  int crashes = 0;                                 ///< in all; each is followed by a restart, or by none
  std::size_t link_max = 2;  ///< messages on their way from one node to another; with one more the oldest is lost
  bool disk_at_once = true;  ///< else a disk takes its time, and a crash leaves any prefix of what waits for it
};

/// Three voters of the metadata quorum, the real machines, after the first election. Messages arrive in any order, or never.
class QuorumModel {
 public:
  static constexpr std::size_t voters = 3;

  struct Node {
    std::shared_ptr<quorum::QuorumNode> machine = {};  ///< null: it does not run
    sim::DurableState disk = {};
    sim::MetadataLog log = {};  ///< with what is not on the disk yet
    std::deque<sim::DiskWork> works = {};
    sim::Applied applied = {};
    Offset high_watermark{0};
    MonotonicMs clock{1'000};
    std::uint64_t sent = 0;
    std::uint64_t digest = 0;  ///< digest_of the rest
  };
  struct Packet {
    std::uint64_t hash = 0;
    std::uint64_t age = 0;  ///< how many its sender had sent before
    quorum::Message message = {};
  };
  struct State {
    std::array<std::shared_ptr<const Node>, voters> nodes = {};
    std::vector<std::shared_ptr<const Packet>> network = {};  ///< sorted by hash
    std::shared_ptr<const sim::QuorumInvariants> invariants = {};
    QuorumBounds left = {};
    std::uint64_t past = 0;  ///< who led, and what was committed when: what the invariants remember
  };
  enum class Kind : std::uint8_t { deliver, timeout, heartbeat, propose, persisted, crash, restart };
  struct Move {
    Kind kind;
    std::size_t at;        ///< a node, or a packet
    std::size_t part = 0;  ///< crash: how many steps of the waiting works reach the disk
  };

  explicit QuorumModel(const QuorumBounds& bounds) : bounds_(bounds) {}

  /// Node 1 leads, and everybody knows that everybody has its first entry.
  State first() const;
  std::vector<Move> moves(const State& state) const;
  State after(const State& state, const Move& move) const;
  std::optional<std::string> violation(const State& state) const { return state.invariants->violation(); }
  std::uint64_t digest(const State& state) const;
  std::string describe(const State& state, const Move& move) const;

 private:
  struct Step;

  const QuorumBounds bounds_;
};

/// quorum_digest.cpp
std::uint64_t digest_of(const QuorumModel::Node& node);

}  // namespace troupe::model
