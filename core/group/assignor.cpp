#include "core/group/assignor.hpp"

#include <algorithm>
#include <numeric>

#include "core/group/balance.hpp"

namespace troupe::group {
namespace {

/// How many each member shall have when all may have everything: the ones that have most keep the one that is left over.
std::vector<std::size_t> quotas(const Kept& kept) {
  std::vector<std::size_t> order(kept.lists.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::ranges::greater{}, [&](std::size_t member) { return kept.lists[member].size(); });
  auto all = kept.free.size();
  for (const auto& list : kept.lists) all += list.size();
  std::vector<std::size_t> quota(order.size(), all / order.size());
  for (std::size_t extra = 0; extra < all % order.size(); ++extra) ++quota[order[extra]];
  return quota;
}

std::vector<PartitionList> share_equally(Kept kept) {
  const auto quota = quotas(kept);
  for (std::size_t member = 0; member < quota.size(); ++member) {
    auto& list = kept.lists[member];
    while (list.size() > quota[member]) {
      kept.free.push_back(list.back());
      list.pop_back();
    }
  }
  std::ranges::sort(kept.free);
  // Round and round, so that a topic's partitions go to many members.
  std::size_t next = 0;
  for (const auto& partition : kept.free) {
    while (kept.lists[next].size() >= quota[next]) next = (next + 1) % quota.size();
    kept.lists[next].push_back(partition);
    next = (next + 1) % quota.size();
  }
  for (auto& list : kept.lists) std::ranges::sort(list);
  return std::move(kept.lists);
}

class Uniform final : public Assignor {
 public:
  std::string_view name() const override { return "uniform"; }
  std::vector<PartitionList> assign(const AssignorRequest& request) const override {
    if (request.members.empty()) return {};
    auto kept = keep_what_can_stay(request);
    if (same_subscriptions(request)) {
      if (request.members.front().topics.empty()) return std::move(kept.lists);
      return share_equally(std::move(kept));
    }
    AssignorRequest even{request.members, request.partitions, {}};
    return balance(even, std::move(kept), 0);
  }
};

class Load final : public Assignor {
 public:
  std::string_view name() const override { return "load"; }
  std::vector<PartitionList> assign(const AssignorRequest& request) const override {
    if (request.members.empty()) return {};
    return balance(request, keep_what_can_stay(request), 25);
  }
};

class Range final : public Assignor {
 public:
  std::string_view name() const override { return "range"; }
  std::vector<PartitionList> assign(const AssignorRequest& request) const override {
    std::vector<PartitionList> lists(request.members.size());
    std::vector<std::size_t> by_name(lists.size());
    std::iota(by_name.begin(), by_name.end(), std::size_t{0});
    std::ranges::sort(by_name, {}, [&](std::size_t member) { return request.members[member].name; });
    for (const auto& [topic, count] : request.partitions) {
      std::vector<std::size_t> readers;
      for (const auto member : by_name) {
        if (std::ranges::binary_search(request.members[member].topics, topic)) readers.push_back(member);
      }
      if (readers.empty()) continue;
      const auto each = static_cast<std::size_t>(count) / readers.size();
      const auto longer = static_cast<std::size_t>(count) % readers.size();
      std::int32_t next = 0;
      for (std::size_t at = 0; at < readers.size(); ++at) {
        for (auto left = each + (at < longer ? 1 : 0); left > 0; --left) {
          lists[readers[at]].push_back({topic, PartitionId{next++}});
        }
      }
    }
    return lists;  // sorted: topics come in order
  }
};

}  // namespace

const Assignor& uniform_assignor() {
  static const Uniform assignor;
  return assignor;
}

const Assignor& range_assignor() {
  static const Range assignor;
  return assignor;
}

const Assignor& load_assignor() {
  static const Load assignor;
  return assignor;
}

const Assignor* find_assignor(std::string_view name) {
  for (const Assignor* assignor : {&uniform_assignor(), &range_assignor(), &load_assignor()}) {
    if (assignor->name() == name) return assignor;
  }
  return nullptr;
}

}  // namespace troupe::group
