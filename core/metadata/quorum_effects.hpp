#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/metadata/quorum_messages.hpp"
#include "core/record/leader_epoch_cache.hpp"

/// What a QuorumNode wants done, and what it is told at its start.
namespace troupe::quorum {

/// What a replica is (KRaft's words; `prospective` as in KIP-996).
enum class QuorumRole : std::uint8_t { starting, unformatted, observer, follower, prospective, candidate, leader, failed };

/// "leader"
std::string_view to_string(QuorumRole role);

/// The disk as it was found. `epochs` begins at or below the log start, as storage keeps it beside the log.
struct StoredState {
  std::optional<HardState> hard_state = {};  ///< nullopt: there is no file
  std::optional<SnapshotMeta> snapshot = {};
  Offset log_start_offset{0};
  Offset log_end_offset{0};
  record::LeaderEpochCache epochs = {};
};

// --- for the disk, in the order in which they come

/// Make durable, in this order: the hard state, the empty log that begins at `reset_to`, the log's end at `truncate_to`, the entries.
/// A crash may leave any prefix of that, cut between entries. Answered by `persisted(token)` when all of it is on the disk, or by
/// `failed` when nobody knows. Persist, InstallSnapshot and CutLog are done one after the other.
struct Persist {
  std::uint64_t token = 0;
  std::optional<HardState> hard_state = {};
  std::optional<Offset> reset_to = {};
  std::optional<Offset> truncate_to = {};
  std::vector<LogEntry> entries = {};
};
/// Check the bytes, make the snapshot durable, only then replace the log by an empty one that begins at the snapshot's end, and go on
/// with the snapshot's state. Answered by `persisted(token)`, or by `snapshot_rejected(token, ..)`: bytes that cannot be used, nothing
/// was changed.
struct InstallSnapshot {
  std::uint64_t token = 0;
  SnapshotMeta snapshot = {};
  Bytes bytes = {};
};
/// The log may forget what is below. Not answered.
struct CutLog {
  Offset before{0};
};
/// Read entries from `from` on, none behind `to`, up to about `bytes_max` but at least one; answered by `entries_read`.
struct ReadEntries {
  std::uint64_t token = 0;
  Offset from{0};
  Offset to{0};
  std::size_t bytes_max = 0;
};
/// Read [position, position + size) of a snapshot; answered by `snapshot_read`.
struct ReadSnapshot {
  std::uint64_t token = 0;
  SnapshotMeta snapshot = {};
  std::uint64_t position = 0;
  std::size_t size = 0;
};

// --- for the network and the state machine

struct SendMessage {
  Message message = {};
};
/// Committed, and on this disk: the next entries for the state machine, control entries included.
struct Deliver {
  std::vector<LogEntry> entries = {};
};
/// The end of what was asked under `token`, once. An offset: of a proposal or a change of voters, where it ends; of a read, what the state
/// machine must have applied (it has); of a transfer, the log end.
///
/// Errors: not_leader_or_follower (nothing came of it, and never will), leader_not_available (not now, nothing was written: try again),
/// overloaded, message_too_large, invalid_argument, not_found, conflict: nothing was written. request_timed_out: nobody can tell.
struct AnswerQuorum {
  std::uint64_t token = 0;
  Result<Offset> answer = Offset{-1};
};
/// This replica's role, its epoch, or whom it follows has changed.
struct RoleChanged {
  QuorumRole role = QuorumRole::starting;
  LeaderEpoch epoch{0};
  BrokerId leader{-1};  ///< -1: nobody known
};
/// This leader's own epoch is committed and delivered, and so is all before it: from now on it may propose. Elected is not ready (R13).
struct LeaderReady {
  LeaderEpoch epoch{0};
};
/// For people: something is odd.
struct NoteQuorum {
  std::string text = {};
};
/// This replica cannot be trusted any more and does nothing from here on. A restart from its disk may help.
struct FailQuorum {
  Error error = {Errc::unknown_error, {}};
};

using QuorumEffect = std::variant<Persist, InstallSnapshot, CutLog, ReadEntries, ReadSnapshot, SendMessage, Deliver,
                                  AnswerQuorum, RoleChanged, LeaderReady, NoteQuorum, FailQuorum>;
using QuorumEffects = std::vector<QuorumEffect>;

}  // namespace troupe::quorum
