#include "actors/link/node_names.hpp"

#include <algorithm>
#include <vector>

#include <caf/binary_serializer.hpp>
#include <caf/error.hpp>

namespace troupe::actors {

link::BaspGuard::NodeId bytes_of(const caf::node_id& node) {
  link::BaspGuard::NodeId bytes = {};
  std::vector<char> written;
  caf::binary_serializer sink{nullptr, written};
  if (sink(node) || written.size() != bytes.size()) return bytes;
  std::ranges::transform(written, bytes.begin(), [](char one) { return static_cast<std::byte>(one); });
  return bytes;
}

bool NodeNames::claim(const NodeId& node, BrokerId broker) {
  const std::lock_guard lock{mutex_};
  auto& owner = owners_[node];
  if (owner.connections != 0 && owner.broker != broker) return false;
  owner.broker = broker;
  ++owner.connections;
  return true;
}

void NodeNames::release(const NodeId& node) {
  const std::lock_guard lock{mutex_};
  const auto found = owners_.find(node);
  if (found != owners_.end() && --found->second.connections == 0) owners_.erase(found);
}

link::Proof NodeNames::proof_of(const caf::node_id& node) const {
  const auto bytes = bytes_of(node);
  const std::lock_guard lock{mutex_};
  const auto found = owners_.find(bytes);
  return {true, found == owners_.end() ? no_broker : found->second.broker};
}

}  // namespace troupe::actors
