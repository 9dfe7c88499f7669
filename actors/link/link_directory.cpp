#include "actors/link/link_directory.hpp"

#include <set>

#include <caf/actor_cast.hpp>
#include <caf/send.hpp>

namespace troupe::actors {

void LinkDirectory::set_link(BrokerId peer, const caf::actor& link) {
  const std::lock_guard lock{mutex_};
  links_[peer] = caf::actor_cast<caf::actor_addr>(link);
}

void LinkDirectory::remove_link(BrokerId peer) {
  const std::lock_guard lock{mutex_};
  links_.erase(peer);
}

void LinkDirectory::note_trouble(BrokerId peer, const Error& error) {
  const std::lock_guard lock{mutex_};
  troubles_.insert_or_assign(peer, error);
}

void LinkDirectory::forget_trouble(BrokerId peer) {
  const std::lock_guard lock{mutex_};
  troubles_.erase(peer);
}

std::map<BrokerId, Error> LinkDirectory::troubles() const {
  const std::lock_guard lock{mutex_};
  return troubles_;
}

caf::actor LinkDirectory::link_to(BrokerId peer) const {
  const std::lock_guard lock{mutex_};
  const auto found = links_.find(peer);
  return found == links_.end() ? caf::actor{} : caf::actor_cast<caf::actor>(found->second);
}

void LinkDirectory::serve(Channel channel, const caf::actor& receiver) {
  const std::lock_guard lock{mutex_};
  served_[link::index_of(channel)] = caf::actor_cast<caf::actor_addr>(receiver);
  for (const auto& [id, state] : up_) caf::anon_send(receiver, state);
}

caf::actor LinkDirectory::receiver(Channel channel) const {
  const std::lock_guard lock{mutex_};
  return caf::actor_cast<caf::actor>(served_[link::index_of(channel)]);
}

void LinkDirectory::tell(const PeerState& state) {
  const std::lock_guard lock{mutex_};
  if (state.up) {
    troubles_.erase(state.id);
    up_[state.id] = state;
  } else {
    up_.erase(state.id);
  }
  std::set<caf::actor_addr> told;  // an actor that serves two channels hears once
  for (const auto& address : served_) {
    if (!told.insert(address).second) continue;
    if (const auto receiver = caf::actor_cast<caf::actor>(address)) caf::anon_send(receiver, state);
  }
}

std::vector<PeerState> LinkDirectory::up() const {
  const std::lock_guard lock{mutex_};
  std::vector<PeerState> states;
  for (const auto& [id, state] : up_) states.push_back(state);
  return states;
}

}  // namespace troupe::actors
