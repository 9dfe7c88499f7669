#include "tests/sim/replication/sim_network.hpp"

#include <algorithm>

namespace troupe::sim {

void SimNetwork::send(int from, int to, SimWorld::Work work) {
  auto& prng = world_.prng;
  const auto& settings = world_.settings;
  const auto delay = [&] {
    return 100 + static_cast<std::int64_t>(prng.below(static_cast<std::uint64_t>(settings.delay_us_max)));
  };
  if (!healed_ && prng.chance(settings.loss_permille, 1000)) return;
  // One sending of a produce arrives once at most, as on any connection; the retries are what repeats it.
  const bool repeats = !healed_ && from < first_client && prng.chance(settings.repeat_permille, 1000);
  const int times = repeats ? 2 : 1;
  const auto clogged = clogged_.find({from, to});
  for (int i = 0; i < times; ++i) {
    auto at = world_.queue.now_us() + delay();
    if (clogged != clogged_.end()) at = std::max(at, clogged->second);
    if (!settings.reorder) {
      auto& last = last_delivery_us_[{from, to}];
      at = last = std::max(last, at);
    }
    // A copy may have been on a connection that was closed since, and come when nobody thinks of it any more.
    if (i > 0 && prng.chance(1, 2)) at += prng.between(0, 2'000'000);
    world_.queue.after_us(at - world_.queue.now_us(), [this, from, to, work] {
      if (!is_cut(from, to) && reachable(to)) work();
    });
  }
}

void SimNetwork::send_in_order(int from, int to, SimWorld::Work work) {
  const auto now = world_.queue.now_us();
  auto at =
      now + 100 + static_cast<std::int64_t>(world_.prng.below(static_cast<std::uint64_t>(world_.settings.delay_us_max)));
  if (const auto clogged = clogged_.find({from, to}); clogged != clogged_.end()) at = std::max(at, clogged->second);
  auto& last = last_in_order_us_[{from, to}];
  at = last = std::max(last, at);
  world_.queue.after_us(at - now, [this, from, to, work = std::move(work)] {
    if (!is_cut(from, to) && reachable(to)) work();
  });
}

void SimNetwork::cut(const std::set<Pair>& pairs) {
  cut_.insert(pairs.begin(), pairs.end());
  tell_of(pairs);
}

void SimNetwork::mend(const std::set<Pair>& pairs) {
  for (const auto& pair : pairs) cut_.erase(pair);
  tell_of(pairs);
}

void SimNetwork::tell_of(const std::set<Pair>& pairs) const {
  std::set<Pair> links;
  for (const auto& [from, to] : pairs) links.insert(std::minmax(from, to));
  for (const auto& [one, other] : links) cut_or_mended(one, other);
}

void SimNetwork::heal() {
  healed_ = true;
  tell_of(std::exchange(cut_, {}));
  clogged_.clear();
}

}  // namespace troupe::sim
