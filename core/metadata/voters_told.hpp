#pragma once

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/metadata/voter_set.hpp"

namespace troupe::quorum {

/// A node's list of voters is for the founding of its cluster; who votes since then is in the log. The sentence for people when the two
/// differ: a node that was meant for another cluster would not be noticed otherwise. nullopt: they do not differ, or one of them is empty.
inline std::optional<std::string> other_voters(const std::vector<BrokerId>& told, const VoterSet& are) {
  if (told.empty() || are.empty()) return std::nullopt;
  const std::set<BrokerId> listed(told.begin(), told.end());
  std::set<BrokerId> voting;
  for (const auto& key : are) voting.insert(key.id);
  if (listed == voting) return std::nullopt;
  const auto text = [](const std::set<BrokerId>& ids) {
    std::string all;
    for (const auto id : ids) all += (all.empty() ? "" : ",") + to_string(id);
    return all;
  };
  return "this node was told of the voters " + text(listed) + ", its metadata has the voters " + text(voting) +
         ": those count. If it was to join another cluster, empty its data directory first";
}

}  // namespace troupe::quorum
