#include "core/replication/claim_index.hpp"

#include <algorithm>

namespace troupe::replication {

Result<std::optional<ClaimedRecords>> ClaimIndex::check(const Claim& claim) const {
  const auto client = clients_.find(claim.client);
  if (client == clients_.end()) return std::optional<ClaimedRecords>{};
  const auto& sequences = client->second.sequences;
  const auto known = sequences.find(claim.sequence);
  if (known != sequences.end()) {
    if (known->second.digest == claim.digest) return std::optional{known->second.records};
    return Error{Errc::conflict, "the idempotency key with sequence " + std::to_string(claim.sequence) +
                                     " was used before, with another request: use a new one"};
  }
  if (client->second.dropped && claim.sequence < sequences.begin()->first) {
    return Error{Errc::out_of_order_sequence_number,
                 "sequence " + std::to_string(claim.sequence) + " is older than the last " + std::to_string(sequences_kept) +
                     " of this client, which begin at " + std::to_string(sequences.begin()->first)};
  }
  return std::optional<ClaimedRecords>{};
}

void ClaimIndex::apply(const Claim& claim, const ClaimedRecords& records) {
  const auto [at, added] = clients_.try_emplace(claim.client);
  auto& client = at->second;
  if (added || claim.claimed_at > client.last) {
    by_age_.erase({client.last, claim.client});
    client.last = claim.claimed_at;
    by_age_.emplace(client.last, claim.client);
  }
  client.sequences.try_emplace(claim.sequence, Entry{claim.digest, records});
  while (client.sequences.size() > sequences_kept) {
    client.sequences.erase(client.sequences.begin());
    client.dropped = true;
  }
  while (clients_.size() > clients_kept || claim.claimed_at - by_age_.begin()->first > kept_ms) forget_oldest();
}

void ClaimIndex::forget_oldest() {
  clients_.erase(by_age_.begin()->second);
  by_age_.erase(by_age_.begin());
}

}  // namespace troupe::replication
