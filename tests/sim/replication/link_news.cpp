#include "tests/sim/replication/link_news.hpp"

#include "core/replication/isr.hpp"

namespace troupe::sim {

using namespace replication;

bool LinkNews::linked(int one, int other) const {
  return node(one)->up() && node(other)->up() && !network_.is_cut(one, other) && !network_.is_cut(other, one);
}

void LinkNews::changed(int one, int other) {
  if (one == other || node(one) == nullptr || node(other) == nullptr) return;
  for (const auto& [at, peer] : {std::pair{one, other}, std::pair{other, one}}) {
    if (!node(at)->up()) continue;
    // An end is seen at once: the connection is closed. Silence is suspected after a while, and a new connection takes some time, too.
    const bool ended = !node(peer)->up();
    const auto late_us = linked(at, peer) ? 300'000 : 900'000;
    look_later(at, peer, world_.prng.between(1'000, ended ? 20'000 : late_us));
    if (world_.prng.chance(1, 16)) {
      world_.queue.after_us(world_.prng.between(1'000, 500'000), [this, at = at, peer = peer] {
        auto& there = *node(at);
        ++world_.marks["link wrongly suspected"];
        there.run(there.current_run(), [&there, peer] { there.link(BrokerId{peer}, false); });
        look_later(at, peer, world_.prng.between(1'000, 1'500'000));
      });
    }
  }
}

void LinkNews::changed(int one) {
  for (int other = 1; node(other) != nullptr; ++other) changed(one, other);
}

void LinkNews::look_later(int at, int peer, std::int64_t delay_us) {
  world_.queue.after_us(delay_us, [this, at, peer] {
    auto& there = *node(at);
    if (!there.up()) return;
    const bool up = linked(at, peer);
    auto& told = told_[{at, peer}];
    if (told.run != there.current_run() && !up) return;
    told = {there.current_run(), up};
    if (!up) ++world_.marks["link down"];
    there.run(there.current_run(), [&there, peer, up] { there.link(BrokerId{peer}, up); });
  });
}

/// The part of SimNode that hears of links.
void SimNode::link(BrokerId peer, bool up) {
  up ? static_cast<void>(unlinked_.erase(peer)) : static_cast<void>(unlinked_.insert(peer));
  for (std::size_t p = 0; p < roles_.size(); ++p) {
    if (!roles_[p].leader || !contains(image_[p].replicas, peer)) continue;
    LeaderEffects effects;
    roles_[p].leader->on_link(peer, up, now(), effects);
    perform(p, std::move(effects));
  }
}

}  // namespace troupe::sim
