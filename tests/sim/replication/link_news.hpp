#pragma once

#include <map>
#include <utility>

#include "tests/sim/replication/sim_network.hpp"

namespace troupe::sim {

/// What nodes are told of their links to each other: that one is down some time after the network was cut, or at once when the other
/// node has ended, and that it is up some time after that is over. Late news is of how it is by then; now and then a link is taken for
/// one that is down, and is not. Of a link that a run of a node never had it hears nothing.
class LinkNews {
 public:
  LinkNews(SimWorld& world, const SimNetwork& network) : world_(world), network_(network) {}

  /// Something between these two has changed, a cut or a mend; addresses that are no nodes are passed over.
  void changed(int one, int other);
  /// A node has started, or has ended.
  void changed(int one);

  std::function<SimNode*(int address)> node;  ///< null: no node

 private:
  void look_later(int at, int peer, std::int64_t delay_us);
  bool linked(int one, int other) const;

  SimWorld& world_;
  const SimNetwork& network_;
  struct Told {
    std::uint64_t run = 0;
    bool up = false;
  };
  std::map<SimNetwork::Pair, Told> told_;
};

}  // namespace troupe::sim
