#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "base/assert.hpp"
#include "base/uuid.hpp"
#include "core/ids.hpp"

namespace troupe::quorum {

/// One disk of one node. A node that comes back with an empty disk draws another directory id and so is another replica: it has
/// never voted, it acknowledged nothing, and it has no vote until it is added (KIP-853, "Directory ids").
struct ReplicaKey {
  BrokerId id{-1};
  Uuid directory_id = {};

  friend auto operator<=>(const ReplicaKey&, const ReplicaKey&) = default;
};

/// "3/01020000-..."
inline std::string to_string(const ReplicaKey& key) { return to_string(key.id) + "/" + to_string(key.directory_id); }

/// Nobody has a use for more: 7 voters survive 3 failures, and each more makes every commit slower.
inline constexpr std::size_t voters_max = 7;

/// Those whose majority decides: at most `voters_max`, each node once, in the order of ids.
class VoterSet {
 public:
  VoterSet() = default;

  /// nullopt: too many, a node twice, or an id below 0.
  static std::optional<VoterSet> of(std::vector<ReplicaKey> voters) {
    std::ranges::sort(voters);
    const auto same_node = [](const ReplicaKey& a, const ReplicaKey& b) { return a.id == b.id; };
    if (voters.size() > voters_max || std::ranges::adjacent_find(voters, same_node) != voters.end()) return std::nullopt;
    if (!voters.empty() && voters.front().id < BrokerId{0}) return std::nullopt;
    VoterSet set;
    set.voters_ = std::move(voters);
    return set;
  }

  bool empty() const { return voters_.empty(); }
  std::size_t size() const { return voters_.size(); }
  auto begin() const { return voters_.begin(); }
  auto end() const { return voters_.end(); }

  std::vector<BrokerId> ids() const {
    std::vector<BrokerId> all;
    for (const auto& voter : voters_) all.push_back(voter.id);
    return all;
  }
  std::size_t majority() const { return voters_.size() / 2 + 1; }
  bool contains(const ReplicaKey& key) const { return std::ranges::binary_search(voters_, key); }
  bool contains(BrokerId id) const { return std::ranges::find(voters_, id, &ReplicaKey::id) != voters_.end(); }

  /// `key` must be of a node that has no vote yet; the set must not be full.
  VoterSet with(const ReplicaKey& key) const {
    TROUPE_ASSERT(!contains(key.id) && size() < voters_max);
    auto set = *this;
    set.voters_.insert(std::ranges::upper_bound(set.voters_, key), key);
    return set;
  }
  VoterSet without(const ReplicaKey& key) const {
    auto set = *this;
    std::erase(set.voters_, key);
    return set;
  }

  /// The highest value that a majority has reached. `value_of`: ReplicaKey -> a value that can be compared. The set must not be empty.
  ///
  ///   values 40 10 30 20 0  ->  20: three of five are there or further
  template <class ValueOf>
  auto majority_value(ValueOf value_of) const {
    TROUPE_ASSERT(!voters_.empty());
    std::array<decltype(value_of(voters_.front())), voters_max> values{};
    for (std::size_t i = 0; i < voters_.size(); ++i) values[i] = value_of(voters_[i]);
    std::sort(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(voters_.size()), std::greater<>{});
    return values[majority() - 1];
  }

  friend bool operator==(const VoterSet&, const VoterSet&) = default;

 private:
  std::vector<ReplicaKey> voters_;
};

}  // namespace troupe::quorum
