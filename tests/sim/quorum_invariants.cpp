#include "tests/sim/quorum_invariants.hpp"

#include <algorithm>

namespace troupe::sim {

using namespace quorum;

void QuorumInvariants::violated(const std::string& invariant, const std::string& what) {
  if (!violation_) violation_ = invariant + ": " + what;
}

void QuorumInvariants::leads(const ReplicaKey& node, LeaderEpoch epoch, const MetadataLog& log) {
  const auto [at, first] = leaders_.emplace(epoch, node);
  if (!first && at->second != node) {
    violated("ElectionSafety", to_string(node) + " and " + to_string(at->second) + " both lead epoch " + to_string(epoch));
  }
  // Elections of older epochs may be noticed late; they bind nobody.
  const auto before = std::find_if(committed_.rbegin(), committed_.rend(),
                                   [&](const auto& one) { return committed_in_.at(one.first) < epoch; });
  if (before == committed_.rend()) return;
  const auto& [end, chain] = *before;
  const bool has = log.start() > end || log.chain_at(end) == chain;
  if (!has) {
    violated("LeaderCompleteness", to_string(node) + " leads epoch " + to_string(epoch) +
                                       " without what is committed below " + to_string(end) + ", its log ends at " +
                                       to_string(log.end()));
  }
}

void QuorumInvariants::appended(const ReplicaKey& node, const LogEntry& entry, const MetadataLog& log) {
  const auto chain = *log.chain_at(entry.end_offset());
  const auto [at, first] = chains_.emplace(std::pair{entry.epoch, entry.end_offset()}, chain);
  if (!first && at->second != chain) {
    violated("LogMatching", to_string(node) + " has another log below " + to_string(entry.end_offset()) + " in epoch " +
                                to_string(entry.epoch) + " than a replica before it");
  }
}

void QuorumInvariants::proposes(const QuorumNode& node, const LogEntry& entry, const MetadataLog& log) {
  if (entry.kind != EntryKind::voters) return;
  const auto& entries = log.entries();
  const auto last =
      std::find_if(entries.rbegin(), entries.rend(), [](const auto& one) { return one.kind != EntryKind::data; });
  if (last == entries.rend()) return;
  if (last->end_offset() > node.high_watermark()) {
    violated("OneChangeAtATime", to_string(node.key()) + " changes the voters at " + to_string(entry.base_offset) +
                                     " while the control entry at " + to_string(last->base_offset) + " is not committed");
  }
  const auto before = decode_control_entry(last->payload)->voters;
  const auto after = decode_control_entry(entry.payload)->voters;
  std::vector<ReplicaKey> changed;
  std::ranges::set_symmetric_difference(before, after, std::back_inserter(changed));
  if (changed.size() > 1) violated("OneChangeAtATime", std::to_string(changed.size()) + " voters in one step");
}

void QuorumInvariants::truncated(const QuorumNode& node, const MetadataLog& log) {
  const auto& entries = log.entries();
  const auto last =
      std::find_if(entries.rbegin(), entries.rend(), [](const auto& one) { return one.kind != EntryKind::data; });
  if (last == entries.rend() || decode_control_entry(last->payload)->voters == node.voters()) return;
  violated("VotersAreTheLogs", to_string(node.key()) + " goes by voters that its log does not name since it was cut");
}

void QuorumInvariants::check_committed(const ReplicaKey& node, Offset end, Chain chain, const char* what) {
  const auto at = committed_.find(end);
  if (at != committed_.end() && at->second != chain) {
    violated(what, to_string(node) + " has something else committed below " + to_string(end));
  } else if (at == committed_.end() && end < committed_end()) {
    violated(what, to_string(node) + " has an entry that ends at " + to_string(end) + ", where none ends");
  }
}

void QuorumInvariants::committed(const ReplicaKey& node, LeaderEpoch epoch, Offset before, Offset high_watermark,
                                 const MetadataLog& log) {
  if (high_watermark < before) {
    violated("CommittedMetadataNeverChanges", to_string(node) + " moves its high watermark back from " + to_string(before));
  }
  if (high_watermark > Offset{0} && !log.chain_at(high_watermark) && high_watermark >= log.start()) {
    violated("CommittedMetadataNeverChanges", to_string(node) + " has its high watermark at " + to_string(high_watermark) +
                                                  ", its log ends at " + to_string(log.end()));
  }
  const auto& entries = log.entries();
  auto i = static_cast<std::size_t>(std::ranges::lower_bound(entries, before, {}, &LogEntry::base_offset) - entries.begin());
  for (; i < entries.size() && entries[i].end_offset() <= high_watermark; ++i) {
    const auto end = entries[i].end_offset();
    const auto chain = log.chain_before(i + 1);
    check_committed(node, end, chain, "CommittedMetadataNeverChanges");
    if (!committed_.emplace(end, chain).second) continue;
    committed_in_.emplace(end, epoch);
    entries_.emplace(end, entries[i]);
    if (on_committed && !violation_) on_committed(entries[i]);
  }
}

void QuorumInvariants::applied(const ReplicaKey& node, const Applied& applied) {
  if (applied.end == Offset{0}) return;
  check_committed(node, applied.end, applied.chain, "StateMachineSafety");
  if (applied.end > committed_end()) violated("StateMachineSafety", to_string(node) + " applies what nobody committed");
}

void QuorumInvariants::sends(const Message& message, const DurableState& disk) {
  const auto name = to_string(message.from);
  if (!disk.hard_state || disk.hard_state->epoch < message.epoch ||
      disk.hard_state->directory_id != message.from.directory_id) {
    return violated("PersistBeforeReply",
                    name + " speaks in epoch " + to_string(message.epoch) + ", which is not on its disk");
  }
  const auto& hard = *disk.hard_state;
  const auto kept = [&](LeaderEpoch epoch, const ReplicaKey& candidate) {
    if (hard.epoch < epoch || (hard.epoch == epoch && hard.voted_for != candidate)) {
      violated("VotesAreKept", name + " votes in epoch " + to_string(epoch) + ", and its disk does not know");
    }
    const auto [at, first] = votes_.emplace(std::pair{message.from, epoch}, candidate);
    if (!first && at->second != candidate) violated("VotesAreKept", name + " votes twice in epoch " + to_string(epoch));
  };
  if (const auto* vote = std::get_if<VoteResponse>(&message.body); vote != nullptr && vote->granted && !vote->pre_vote) {
    kept(vote->asked, message.to);
  }
  if (const auto* request = std::get_if<VoteRequest>(&message.body); request != nullptr && !request->pre_vote) {
    kept(message.epoch, message.from);
  }
  if (const auto* answer = std::get_if<AppendResponse>(&message.body); answer != nullptr && answer->accepted) {
    if (answer->durable_offset > disk.log.end() && answer->durable_offset > disk.applied().end) {
      violated("PersistBeforeReply", name + " acknowledges what is below " + to_string(answer->durable_offset) +
                                         ", its disk ends at " + to_string(disk.log.end()));
    }
  }
}

std::optional<Chain> QuorumInvariants::committed_at(Offset end) const {
  const auto at = committed_.find(end);
  return at == committed_.end() ? std::nullopt : std::optional{at->second};
}

}  // namespace troupe::sim
