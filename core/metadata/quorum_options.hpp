#pragma once

#include <cstdint>
#include <vector>

#include "base/clock.hpp"
#include "base/uuid.hpp"
#include "core/ids.hpp"

namespace troupe::quorum {

/// Every limit of a QuorumNode, with its reason.
struct QuorumOptions {
  BrokerId id{0};
  /// The voters of a cluster that is to be founded, this node among them; ignored once the disk is formatted. Empty: joins a cluster.
  /// This node alone: founds at once, asking nobody. Not to be kept when the cluster has grown: an empty disk would found another one.
  std::vector<BrokerId> bootstrap_voters = {};
  /// Whom to ask for the cluster and for its leader, besides the voters. Without these and `bootstrap_voters` it asks whoever it meets
  /// (`peer_up`).
  std::vector<BrokerId> contacts = {};
  /// The id of a cluster that this node founds; nil: drawn.
  Uuid cluster_id = {};

  /// Silence of a leader that makes a voter look for another: drawn anew each time from [min, max). A leader or a candidate
  /// within `min` is not disturbed. Thesis 3.4, 9.5; the design's figures.
  Millis election_timeout_min_ms = 400;
  Millis election_timeout_max_ms = 800;
  /// Four in the shortest election timeout: three may be lost.
  Millis heartbeat_ms = 100;
  /// A leader that does not hear a majority for so long steps down: its followers may have another (thesis 6.2).
  Millis check_quorum_ms = 800;
  /// A pre-vote follows `peer_down` of the leader after a time drawn from [0, max], so that two followers do not split the votes.
  Millis peer_down_delay_ms_max = 50;
  /// A candidate without a majority tries again after a time drawn from [1, 2] times this.
  Millis lost_election_pause_ms = 50;
  /// Between two rounds of hellos of a node that is not formatted.
  Millis hello_ms = 200;
  /// A voter that said hello within this is reachable.
  Millis hello_fresh_ms = 1'000;
  /// After that a transfer is given up and proposals are taken again: one election timeout (thesis 3.10).
  Millis transfer_timeout_ms = 800;
  /// A replica without a vote that is silent for so long is forgotten; it asks again when it is back.
  Millis observer_timeout_ms = 10'000;
  /// A chunk of a snapshot whose answer takes longer is sent again.
  Millis chunk_timeout_ms = 500;
  /// A leader whose disk takes longer than this hands its leadership over by silence: it could not commit (F9).
  Millis disk_stall_ms = 2'000;
  /// Catching up with a new voter: rounds, and time in all (thesis 4.2.1).
  int catch_up_rounds_max = 10;
  Millis catch_up_ms_max = 60'000;

  /// One message: what a link carries as one chunk (design, section 6). One entry may be larger.
  std::size_t append_bytes_max = 256U << 10;
  /// Sent to one follower and not yet on its disk: what the design lets one peer have in flight.
  std::size_t inflight_bytes_max = 1U << 20;
  /// The same in messages; one more stands on the other side of a turn of the disk.
  std::size_t inflight_messages_max = 16;
  /// Entries kept in memory for followers that are a little behind; others are read from the disk.
  std::size_t tail_bytes_max = 4U << 20;
  /// One entry. The controller's turns end at 512 KiB, plus one command.
  std::size_t entry_bytes_max = 4U << 20;
  /// Proposed and not committed: beyond it proposals are `overloaded`. The same bounds the memory of a leader without followers.
  std::size_t uncommitted_bytes_max = 8U << 20;
  std::size_t proposals_max = 1'024;
  /// Reads that wait for a majority; beyond it: overloaded.
  std::size_t reads_max = 4'096;
  /// Replicas without a vote that one leader serves: the brokers of a large cluster. Others are passed over, with a note.
  std::size_t observers_max = 1'000;
  /// Entries handed to the state machine, or read from the disk, as one.
  std::size_t deliver_bytes_max = 1U << 20;
  std::size_t snapshot_chunk_bytes = 256U << 10;
  /// A larger one is not taken: it is gathered in memory. 100,000 partitions make 10 MB.
  std::uint64_t snapshot_bytes_max = 256U << 20;
  /// Persists on their way. A follower leaves appends unanswered beyond it; its leader then sends them again.
  std::size_t disk_queue_max = 256;
  /// Messages that wait until a vote or an epoch is on the disk. More are dropped, as the network may.
  std::size_t held_messages_max = 1'024;
  /// A snapshot leaves so many records in the log for followers that are behind; a snapshot costs them more than those.
  std::int64_t cut_lag_records_max = 10'000;
};

}  // namespace troupe::quorum
