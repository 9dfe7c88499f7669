#include <algorithm>

#include "base/crc32c.hpp"
#include "core/metadata/quorum_node.hpp"

/// Following: entries and snapshots from the leader of the epoch.
namespace troupe::quorum {

/// Whether the sender of entries or of a snapshot is this replica's leader from now on.
bool QuorumNode::accept_leader(const Message& message) {
  if (message.epoch < hard_.epoch) {
    send(message.from, AppendResponse{});  // its epoch tells the sender that there is a newer one
    return false;
  }
  if (message.epoch > hard_.epoch) adopt_epoch(message.epoch);
  if (leader_ && *leader_ != message.from) {
    note_once(to_string(message.from) + " claims to lead epoch " + to_string(hard_.epoch) + ", as " + to_string(*leader_) +
              " does");
    return false;
  }
  follow(&message.from);
  return true;
}

void QuorumNode::on(const Message& message, const AppendRequest& request) {
  if (!accept_leader(message)) return;
  leader_round_ = std::max(leader_round_, request.round);
  // Nothing below the high watermark is looked at: it is the same on every leader.
  std::size_t first = 0;
  auto base = request.base_offset;
  while (first < request.entries.size() && base < log_.start_offset()) base = request.entries[first++].end_offset();
  if (installing()) return refuse(message, request, log_.last_epoch(), log_.end_offset());
  if (base >= log_.start_offset()) {
    if (base > log_.end_offset()) return refuse(message, request, log_.last_epoch(), log_.end_offset());
    const auto leaders = first == 0 ? request.previous_epoch : request.entries[first - 1].epoch;
    const auto ours = *log_.epoch_before(base);
    if (ours != leaders && base <= high_watermark_) {
      return fail({Errc::corrupt_message, "node " + to_string(message.from.id) + " leads epoch " + to_string(hard_.epoch) +
                                              " with epoch " + to_string(leaders) + " before offset " + to_string(base) +
                                              ", where epoch " + to_string(ours) + " is committed"});
    }
    if (ours != leaders) {
      // The follower's last epoch that the leader can have, too, and how far it goes here: KIP-595, and thesis 3.5's back-off.
      if (ours < leaders) return refuse(message, request, ours, std::min(log_.end_of_epoch(ours)->end_offset, base));
      const auto end = log_.end_of_epoch(leaders);
      return end ? refuse(message, request, end->epoch, end->end_offset)
                 : refuse(message, request, *log_.epoch_before(log_.start_offset()), log_.start_offset());
    }
    if (first < request.entries.size() && disk_.size() >= options_.disk_queue_max) return;
    const auto taken = take_entries(request, first, base);
    if (role_ == QuorumRole::failed) return;
    matched_end_ = std::max(matched_end_, taken);
  } else {
    matched_end_ = std::max(matched_end_, log_.start_offset());
  }
  high_watermark_ = std::max(high_watermark_, std::min(request.high_watermark, matched_end_));
  refresh_role();
  acknowledge(request.round, request.base_offset);
}

/// Appends those of request.entries[first..] that are not here yet. What stands in their way goes. Returns up to where the log is
/// now as the leader's.
Offset QuorumNode::take_entries(const AppendRequest& request, std::size_t first, Offset base) {
  for (auto at = request.entries.begin() + static_cast<std::ptrdiff_t>(first); at != request.entries.end(); ++at) {
    const auto& entry = *at;
    const bool here = entry.end_offset() <= log_.end_offset() && log_.epoch_before(entry.end_offset()) == entry.epoch;
    if (!here) {
      if (entry.kind != EntryKind::data && !decode_control_entry(entry.payload)) {
        note_once("the leader's control entry at " + to_string(base) + " cannot be read: is it of a newer version?");
        return base;
      }
      if (base < log_.end_offset()) {
        if (base < high_watermark_) {
          fail({Errc::corrupt_message, "the leader of epoch " + to_string(hard_.epoch) + " sent another entry at " +
                                           to_string(base) + ", and all below " + to_string(high_watermark_) +
                                           " is committed"});
          return base;
        }
        truncate_log(base);
      }
      append_entry(entry);
    }
    base = entry.end_offset();
  }
  return base;
}

void QuorumNode::refuse(const Message& message, const AppendRequest& request, LeaderEpoch hint_epoch, Offset hint_end) {
  send(message.from, AppendResponse{.round = request.round,
                                    .base_offset = request.base_offset,
                                    .hint_epoch = hint_epoch,
                                    .hint_end_offset = hint_end});
}

/// What is new is acknowledged again when it is on the disk.
void QuorumNode::acknowledge(std::uint64_t round, Offset base_offset) {
  send(*leader_, AppendResponse{.accepted = true,
                                .round = round,
                                .base_offset = base_offset,
                                .matched_offset = matched_end_,
                                .durable_offset = std::min(matched_end_, durable_end_)});
}

// --- snapshots

void QuorumNode::on(const Message& message, const SnapshotRequest& request) {
  if (!accept_leader(message)) return;
  leader_round_ = std::max(leader_round_, request.round);
  const auto& snapshot = request.snapshot;
  const auto answer_with = [&](std::uint64_t position, bool done) {
    send(message.from, SnapshotResponse{snapshot.end_offset, snapshot.crc, position, request.round, done});
  };
  if (installing()) return;
  const auto have = snapshot.end_offset <= log_.end_offset() ? log_.epoch_before(snapshot.end_offset) : std::nullopt;
  if (snapshot.end_offset <= high_watermark_ || have == snapshot.epoch) {
    // Its end is in this log: it holds nothing that is not here (thesis 5.1: the rest of the log is kept).
    incoming_.reset();
    return answer_with(snapshot.size_bytes, true);
  }
  if (snapshot.size_bytes > options_.snapshot_bytes_max) {
    return note_once("a snapshot of " + std::to_string(snapshot.size_bytes) + " bytes is too large: at most " +
                     std::to_string(options_.snapshot_bytes_max));
  }
  if (!incoming_ || incoming_->snapshot != snapshot) {
    if (request.position > 0) return answer_with(0, false);
    incoming_ = Incoming{snapshot, {}};
  }
  if (request.position == incoming_->bytes.size()) append_bytes(incoming_->bytes, request.chunk);
  if (incoming_->bytes.size() < snapshot.size_bytes) return answer_with(incoming_->bytes.size(), false);
  if (const auto crc = crc32c(incoming_->bytes); crc != snapshot.crc) {
    note("a snapshot that ends at " + to_string(snapshot.end_offset) + " arrived damaged, and is fetched again");
    incoming_.reset();
    return answer_with(0, false);
  }
  snapshot_complete();
}

void QuorumNode::snapshot_complete() {
  unsent_install_ = InstallSnapshot{0, incoming_->snapshot, Bytes::adopt(std::move(incoming_->bytes))};
  incoming_->bytes = {};
}

// --- who has no vote asks for the log

void QuorumNode::ask_to_follow() {
  follow_at_ = now_ + options_.hello_ms;
  const auto all = everybody();
  BrokerId target = std::exchange(hint_, BrokerId{-1});
  if (target == BrokerId{-1} && !all.empty()) target = all[asked_++ % all.size()];
  if (target != BrokerId{-1}) send({target, {}}, Follow{log_.end_offset()});
}

void QuorumNode::on(const Message&, const LeaderHint& hint) {
  if (role_ != QuorumRole::observer || leader_ || hint.leader == options_.id || hint.leader == BrokerId{-1}) return;
  if (hint_ == hint.leader) return;  // asked already
  hint_ = hint.leader;
  send({hint.leader, {}}, Follow{log_.end_offset()});
}

}  // namespace troupe::quorum
