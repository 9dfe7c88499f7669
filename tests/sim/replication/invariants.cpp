#include "tests/sim/replication/invariants.hpp"

#include <algorithm>

#include "core/record/record_batch.hpp"

namespace troupe::sim {
namespace {

std::string place(std::size_t partition, BrokerId broker) {
  return "partition " + std::to_string(partition) + ", broker " + to_string(broker) + ": ";
}

}  // namespace

std::optional<std::uint64_t> Invariants::committed_chain(std::size_t partition, Offset boundary) const {
  const auto& chains = partitions_[partition].chains;
  const auto found = chains.find(boundary);
  if (found == chains.end()) return std::nullopt;
  return found->second;
}

/// Whether `log` holds the records below `boundary` whose chain that is. A log that begins above it has deleted them: it did hold them.
bool Invariants::holds(const SimLog& log, Offset log_start, Offset boundary, std::uint64_t chain, Offset end) const {
  if (boundary <= log_start) return true;
  return boundary <= end && log.chain_at(boundary) == chain;
}

void Invariants::leader_begins(std::size_t partition, BrokerId broker, LeaderEpoch epoch, bool in_force, const SimLog& log) {
  auto& committed = partitions_[partition];
  const auto [leader, added] = committed.leaders.emplace(epoch, broker);
  if (!added) {
    return fail("SingleLeaderPerEpoch", place(partition, broker) + "epoch " + to_string(epoch) + " was led by broker " +
                                            to_string(leader->second) + " already");
  }
  const auto before = committed.ends_at_election.find(epoch);
  const auto known =
      before == committed.ends_at_election.end() ? committed.chains.end() : committed.chains.find(before->second);
  if (known != committed.chains.end() && !holds(log, log.log_start(), known->first, known->second, log.log_end())) {
    return fail("AckedRecordsSurvive", place(partition, broker) + "leads epoch " + to_string(epoch) +
                                           " without what was committed up to " + to_string(known->first) +
                                           " when it was elected");
  }
  const auto end = committed.end();
  if (in_force && !holds(log, log.log_start(), end, committed.chains.rbegin()->second, log.log_end())) {
    fail("AckedRecordsSurvive", place(partition, broker) + "leads epoch " + to_string(epoch) + " with log end " +
                                    to_string(log.log_end()) + " and without all that was committed up to " +
                                    to_string(end));
  }
}

void Invariants::elected(std::size_t partition, LeaderEpoch epoch) {
  auto& committed = partitions_[partition];
  committed.ends_at_election.emplace(epoch, committed.end());
}

void Invariants::high_watermark(std::size_t partition, BrokerId broker, Offset before, Offset now, Offset log_start,
                                const SimLog& log, const std::vector<Holder>& replicas, std::size_t copies_needed) {
  auto& committed = partitions_[partition];
  if (now < before) {
    if (committed.lossy) return;
    return fail("HighWatermarkNeverRetreats",
                place(partition, broker) + "from " + to_string(before) + " to " + to_string(now));
  }
  const auto end = committed.end();
  const auto to = log.boundary_below(now);
  const auto shared = std::min(to, end);
  const auto known = committed.chains.find(shared);
  if (shared > log_start && (known == committed.chains.end() || log.chain_at(shared) != known->second)) {
    return fail("NoConsumerSeesUncommitted",
                place(partition, broker) + "what it shows below " + to_string(shared) + " is not what was committed there");
  }
  if (to <= end) return;
  const auto chain = *log.chain_at(to);
  const auto copies = static_cast<std::size_t>(std::ranges::count_if(replicas, [&](const Holder& one) {
    return one.has_lost || holds(*one.log, one.log_start, to, chain, one.log->end_that_counts(flush_));
  }));
  if (copies < copies_needed) {
    return fail("NoConsumerSeesUncommitted", place(partition, broker) + "shows records below " + to_string(to) + " that " +
                                                 std::to_string(copies) + " replicas hold");
  }
  for (const auto& batch : log.batches()) {
    if (batch.next <= end || batch.next > to) continue;
    committed.chains.emplace(batch.next, batch.chain);
    committed.crcs.emplace(batch.base, record::parse_batch_header(batch.bytes)->crc);
  }
}

void Invariants::leader_view(std::size_t partition, BrokerId broker, const std::vector<BrokerId>& isr) {
  if (!replication::contains(isr, broker)) fail("LeaderInIsr", place(partition, broker) + "leads, and is not in its ISR");
}

void Invariants::strong_isr(std::size_t partition, const std::vector<Holder>& members) {
  const auto& committed = partitions_[partition];
  const auto end = committed.end();
  for (const auto& one : members) {
    if (holds(*one.log, one.log_start, end, committed.chains.rbegin()->second, one.log->end_that_counts(flush_))) continue;
    return fail("StrongIsr", place(partition, one.broker) + "may be elected, and does not hold all below " + to_string(end) +
                                 ", which has been shown");
  }
}

bool Invariants::holds_committed(std::size_t partition, const SimLog& log) const {
  const auto& committed = partitions_[partition];
  return holds(log, log.log_start(), committed.end(), committed.chains.rbegin()->second, log.log_end());
}

void Invariants::acknowledged(std::size_t partition, Offset base, Offset next, const std::set<std::uint32_t>& crcs) {
  const auto& committed = partitions_[partition];
  const auto found = committed.crcs.find(base);
  if (next <= committed.end() && found != committed.crcs.end() && crcs.contains(found->second)) return;
  fail("AckedRecordsSurvive", "partition " + std::to_string(partition) + ": records at " + to_string(base) +
                                  " were acknowledged, and are not what is committed there");
}

void Invariants::shown(std::size_t partition, Offset base, Offset next, std::uint32_t crc) {
  const auto& committed = partitions_[partition];
  if (committed.lossy) return;
  const auto found = committed.crcs.find(base);
  if (next <= committed.end() && found != committed.crcs.end() && found->second == crc) return;
  fail("NoConsumerSeesUncommitted", "partition " + std::to_string(partition) + ": a consumer was given records at " +
                                        to_string(base) + " that are not what is committed there");
}

void Invariants::unclean_recovery(std::size_t partition, const SimLog& new_leader) {
  auto& committed = partitions_[partition];
  committed.lossy = true;
  while (committed.end() > Offset{0} && !holds(new_leader, new_leader.log_start(), committed.end(),
                                               committed.chains.rbegin()->second, new_leader.log_end())) {
    committed.chains.erase(std::prev(committed.chains.end()));
  }
  committed.crcs.erase(committed.crcs.lower_bound(committed.end()), committed.crcs.end());
}

}  // namespace troupe::sim
