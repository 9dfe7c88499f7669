#include "core/metadata/peer_runs.hpp"

#include <utility>

namespace troupe::metadata {

void PeerRuns::up(BrokerId peer, const Uuid& run) {
  auto& known = peers_[peer];
  if (known.run != run) known.before = std::exchange(known.run, run);
  known.sighting = {.standing = Standing::heard};
}

void PeerRuns::down(BrokerId peer, const Uuid& run, MonotonicMs heard_at) {
  const auto at = peers_.find(peer);
  if (at == peers_.end() || at->second.run != run) return;
  at->second.sighting = {.standing = Standing::silent, .heard_at = heard_at};
}

void PeerRuns::gone(BrokerId peer, const Uuid& run) {
  const auto at = peers_.find(peer);
  if (at == peers_.end() || at->second.run != run) return;
  at->second.sighting = {.standing = Standing::ended};
}

PeerRuns::Sighting PeerRuns::of(BrokerId peer, const Uuid& run) const {
  const auto at = peers_.find(peer);
  if (at == peers_.end() || run.is_nil()) return {};
  if (at->second.run == run) return at->second.sighting;
  if (at->second.before == run) return {.standing = Standing::ended};
  return {};
}

}  // namespace troupe::metadata
