#include "core/replication/isr.hpp"

#include <utility>

#include "base/assert.hpp"

namespace troupe::replication {

bool Isr::in_maximal(BrokerId broker) const {
  if (contains(committed_, broker)) return true;
  const auto* expand = std::get_if<Expand>(&change_);
  return expand != nullptr && expand->member == broker;
}

void Isr::propose_expand(BrokerId member) {
  TROUPE_ASSERT(!changing() && !contains(committed_, member));
  change_ = Expand{member};
}

void Isr::propose_shrink(std::vector<BrokerId> members) {
  TROUPE_ASSERT(!changing() && !members.empty());
  change_ = Shrink{std::move(members)};
}

std::vector<BrokerId> Isr::proposed() const {
  auto isr = committed_;
  if (const auto* expand = std::get_if<Expand>(&change_); expand != nullptr && !expand->taken_back) {
    isr.push_back(expand->member);
  }
  if (const auto* shrink = std::get_if<Shrink>(&change_)) {
    std::erase_if(isr, [&](BrokerId broker) { return contains(shrink->members, broker); });
  }
  return isr;
}

bool Isr::take_back() {
  auto* expand = std::get_if<Expand>(&change_);
  TROUPE_ASSERT(expand != nullptr);
  return !std::exchange(expand->taken_back, true);
}

void Isr::withdraw() {
  TROUPE_ASSERT(std::holds_alternative<Shrink>(change_));
  change_ = Settled{};
}

bool Isr::commit(std::vector<BrokerId> isr, PartitionEpoch partition_epoch) {
  if (partition_epoch <= partition_epoch_) return false;
  committed_ = std::move(isr);
  partition_epoch_ = partition_epoch;
  change_ = Settled{};
  return true;
}

}  // namespace troupe::replication
