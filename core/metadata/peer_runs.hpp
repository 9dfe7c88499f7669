#pragma once

#include <map>

#include "base/clock.hpp"
#include "base/uuid.hpp"
#include "core/ids.hpp"

namespace troupe::metadata {

/// What this node's links know of the other nodes' processes, whoever is the controller: a new one begins with it.
///
///   up(run) ---> heard ---down(run, when)---> silent ---gone(run)---> ended
///                  ^------------up(run)----------'                      ^
///                  `--up(another run)-----------------------------------'   of the run before
class PeerRuns {
 public:
  /// There is a link to that run. One that was linked before is taken for ended: two do not share an id, and the link to it is lost.
  void up(BrokerId peer, const Uuid& run);
  /// The link to that run was lost; it was heard last at `heard_at`.
  void down(BrokerId peer, const Uuid& run, MonotonicMs heard_at);
  /// That run's process has ended.
  void gone(BrokerId peer, const Uuid& run);

  enum class Standing : std::uint8_t {
    unknown,  ///< there was no link to that run: nothing follows from that
    heard,
    silent,
    ended,
  };
  struct Sighting {
    Standing standing = Standing::unknown;
    MonotonicMs heard_at{0};  ///< silent: for the last time
  };
  Sighting of(BrokerId peer, const Uuid& run) const;

 private:
  struct Peer {
    Uuid run = {};  ///< the last one that there was a link to
    Sighting sighting = {};
    Uuid before = {};  ///< the run that `run` took the place of; nil: none
  };

  std::map<BrokerId, Peer> peers_;
};

}  // namespace troupe::metadata
