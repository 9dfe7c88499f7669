#pragma once

#include <array>
#include <map>
#include <mutex>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>

#include "actors/peer_links.hpp"

namespace troupe::actors {

/// What a node's links share: which actor keeps the link to whom, who serves which channel, and who is up. Holds no actor alive. Any
/// thread; states are told in the order in which they came to be.
class LinkDirectory {
 public:
  void set_link(BrokerId peer, const caf::actor& link);
  void remove_link(BrokerId peer);
  /// Null: there is none, or it has just ended.
  caf::actor link_to(BrokerId peer) const;

  void serve(Channel channel, const caf::actor& receiver);
  /// Null: nobody serves it.
  caf::actor receiver(Channel channel) const;

  /// Remembers the state, and tells everybody who serves a channel.
  void tell(const PeerState& state);
  /// Why there is no link to that node; forgotten when it is up.
  void note_trouble(BrokerId peer, const Error& error);
  void forget_trouble(BrokerId peer);
  std::map<BrokerId, Error> troubles() const;
  /// Those that are up, by id.
  std::vector<PeerState> up() const;

 private:
  mutable std::mutex mutex_;
  std::map<BrokerId, caf::actor_addr> links_ = {};
  std::array<caf::actor_addr, link::channel_count> served_ = {};
  std::map<BrokerId, PeerState> up_ = {};
  std::map<BrokerId, Error> troubles_ = {};
};

}  // namespace troupe::actors
