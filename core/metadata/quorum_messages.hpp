#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "core/ids.hpp"
#include "core/metadata/voter_set.hpp"

/// What replicas of the metadata quorum tell each other, and what each keeps on its disk: values, and their bytes.
///
/// The words are Kafka's (leader epoch = Raft's term, high watermark = commit index), the rules Raft's. Sources: Ongaro and
/// Ousterhout, "In Search of an Understandable Consensus Algorithm"; Ongaro's thesis (sections in the text); KIP-595, KIP-630,
/// KIP-853, KIP-996.
namespace troupe::quorum {

/// Part of the format: never renumber.
enum class EntryKind : std::uint8_t {
  data = 0,           ///< the state machine's
  leader_change = 1,  ///< the first of an epoch; says who leads and who votes
  voters = 2,         ///< the voters from here on
};

/// What is proposed, stored and replicated as one: `records` records of the log at [base_offset, base_offset + records).
struct LogEntry {
  Offset base_offset{0};
  LeaderEpoch epoch{0};
  EntryKind kind = EntryKind::data;
  std::int32_t records = 1;  ///< 1 or more; control entries are one
  Bytes payload = {};

  Offset end_offset() const { return base_offset + records; }
};

/// Payload of leader_change and of voters entries.
struct ControlEntry {
  ReplicaKey leader = {};  ///< who wrote it
  VoterSet voters = {};

  friend bool operator==(const ControlEntry&, const ControlEntry&) = default;
};

/// A snapshot, and the state of the log at its end. Equal values mean equal bytes: a transfer can go on with another leader.
struct SnapshotMeta {
  Offset end_offset{0};                 ///< it holds all below
  LeaderEpoch epoch = no_leader_epoch;  ///< of the record before `end_offset`
  VoterSet voters = {};                 ///< at `end_offset`
  std::uint64_t size_bytes = 0;
  std::uint32_t crc = 0;  ///< CRC-32C of the bytes

  friend bool operator==(const SnapshotMeta&, const SnapshotMeta&) = default;
};

/// What must not be forgotten (Raft's currentTerm and votedFor), and who this replica is. One file, replaced as a whole: a disk
/// without it is another disk.
struct HardState {
  Uuid directory_id = {};
  Uuid cluster_id = {};  ///< nil: not formatted
  LeaderEpoch epoch{0};
  std::optional<ReplicaKey> voted_for = {};  ///< in `epoch`
  VoterSet genesis = {};                     ///< the voters before the log's first record; empty for who joined later

  friend bool operator==(const HardState&, const HardState&) = default;
};

// --- messages. Each can be lost, doubled, late or out of order.

/// Between nodes that may not be formatted yet: "I am here", and what I know.
struct Hello {
  bool reply = false;                 ///< not to be answered
  std::vector<BrokerId> listed = {};  ///< the voters that this node was told to wait for, ascending; of unformatted ones
  VoterSet genesis = {};              ///< of formatted ones
  BrokerId leader{-1};                ///< whom to follow, as far as the sender knows
};
/// Asks for a vote in the message's epoch, or (`pre_vote`) whether there would be one in the next. Thesis 3.4, 9.6; KIP-996.
struct VoteRequest {
  bool pre_vote = false;
  bool transfer = false;  ///< the leader wants it: it does not count that there is one. Thesis 3.10
  Offset log_end_offset{0};
  LeaderEpoch last_epoch = no_leader_epoch;  ///< of the last entry
};
struct VoteResponse {
  bool pre_vote = false;
  bool granted = false;
  LeaderEpoch asked{0};  ///< the request's epoch; the message's is the voter's own
  BrokerId leader{-1};   ///< whom the voter follows
};
/// Entries behind `base_offset`, or none: a heartbeat. Thesis 3.5, 6.2
struct AppendRequest {
  Offset base_offset{0};
  LeaderEpoch previous_epoch = no_leader_epoch;  ///< of the record before `base_offset`
  Offset high_watermark{0};
  std::uint64_t round = 0;  ///< who answers this or a later round had not left the leader when the round began. Thesis 6.4
  std::vector<LogEntry> entries = {};
};
struct AppendResponse {
  bool accepted = false;
  std::uint64_t round = 0;
  Offset base_offset{0};                     ///< the request's
  Offset matched_offset{0};                  ///< accepted: all below is as the leader has it
  Offset durable_offset{0};                  ///< accepted: and this much of it is on the disk
  LeaderEpoch hint_epoch = no_leader_epoch;  ///< refused: the follower's last epoch that can be the leader's, too
  Offset hint_end_offset{0};                 ///< refused: where that ends. KIP-595, "Log truncation"
};
/// Bytes [position, position + chunk) of a snapshot. Thesis 5.1, figure 5.3; KIP-630
struct SnapshotRequest {
  SnapshotMeta snapshot = {};
  std::uint64_t position = 0;
  std::uint64_t round = 0;
  Bytes chunk = {};
};
struct SnapshotResponse {
  Offset end_offset{0};  ///< which snapshot
  std::uint32_t crc = 0;
  std::uint64_t position = 0;  ///< what is wanted next
  std::uint64_t round = 0;
  bool done = false;  ///< nothing of it is wanted (any more)
};
/// Be elected at once. Thesis 3.10
struct TimeoutNow {};
/// From who has no vote, to who may lead: send me the log.
struct Follow {
  Offset log_end_offset{0};
};
/// Answer to Follow by who does not lead.
struct LeaderHint {
  BrokerId leader{-1};
};

struct Message {
  using Body = std::variant<Hello, VoteRequest, VoteResponse, AppendRequest, AppendResponse, SnapshotRequest,
                            SnapshotResponse, TimeoutNow, Follow, LeaderHint>;

  Uuid cluster_id = {};  ///< nil: the sender is not formatted
  ReplicaKey from = {};
  ReplicaKey to = {};    ///< without directory id: whoever is that node
  LeaderEpoch epoch{0};  ///< the sender's
  Body body = {};
};

// --- bytes: docs/formats/quorum.md

/// Entries of a message; more are corrupt.
inline constexpr std::size_t message_entries_max = 65'536;
/// Magic of the checkpoint file around a hard state ("TRQS").
inline constexpr std::uint32_t hard_state_magic = 0x54525153;

ByteBuffer encode_message(const Message& message);
/// Payloads of the result share `bytes`. Errors: corrupt_message.
Result<Message> decode_message(const Bytes& bytes);

ByteBuffer encode_hard_state(const HardState& state);
/// Errors: corrupt_message.
Result<HardState> decode_hard_state(ByteView bytes);

ByteBuffer encode_control_entry(const ControlEntry& entry);
/// Errors: corrupt_message.
Result<ControlEntry> decode_control_entry(ByteView bytes);

/// For the head of a snapshot's file. Errors of decoding: corrupt_message.
ByteBuffer encode_snapshot_meta(const SnapshotMeta& snapshot);
Result<SnapshotMeta> decode_snapshot_meta(ByteView bytes);

}  // namespace troupe::quorum
