#include "actors/leader_claims.hpp"

#include <algorithm>

#include <caf/event_based_actor.hpp>

namespace troupe::actors {
namespace {

constexpr std::size_t read_bytes = std::size_t{1} << 20;

}  // namespace

void LeaderClaims::load() {
  // With what is not committed yet: it may be, and then a retry of it is one.
  until_ = log_.view.log_end_offset();
  const auto since = clock_.wall_now() - replication::ClaimIndex::kept_ms;
  log_.readers->find({.partition = log_.partition,
                      .token = token_,
                      .view = log_.view,
                      .timestamp = since,
                      .reply_to = caf::actor_cast<caf::actor>(&self_)});
}

std::optional<Status> LeaderClaims::found(const TimestampResult& result) {
  if (!result.found) return result.found.error();
  if (!*result.found) return ok();
  return read_on(std::max((*result.found)->offset, log_.replica->log_start()));
}

std::optional<Status> LeaderClaims::read_on(Offset from) {
  if (from >= until_) return ok();
  log_.readers->read({.partition = log_.partition,
                      .token = token_,
                      .view = log_.view,
                      .from = from,
                      .bytes_max = read_bytes,
                      .up_to = until_,
                      .reply_to = caf::actor_cast<caf::actor>(&self_)});
  return std::nullopt;
}

std::optional<Status> LeaderClaims::read(const ReadResult& result) {
  if (!result.slice) return result.slice.error();
  const auto bytes = result.slice->batches.view();
  for (std::size_t at = 0; at < bytes.size();) {
    const auto batch = record::parse_batch(bytes.subspan(at));
    if (!batch) return batch.error();
    log_.replica->on_claims(*batch);
    at += batch->bytes.size();
  }
  if (bytes.empty()) return ok();
  return read_on(result.slice->next_offset);
}

}  // namespace troupe::actors
