#pragma once

#include <map>
#include <set>
#include <utility>

#include "tests/sim/replication/sim_node.hpp"

namespace troupe::sim {

/// The network of a simulation: late, lost, repeated, overtaken, cut, clogged, as the seed says. Addresses from `first_client` on are
/// clients.
class SimNetwork {
 public:
  static constexpr int first_client = 100;
  using Pair = std::pair<int, int>;  ///< from, to

  explicit SimNetwork(SimWorld& world) : world_(world) {}

  void send(int from, int to, SimWorld::Work work);
  /// As over a connection: late, or lost when that is cut, but neither repeated nor overtaken by what is sent in this way.
  void send_in_order(int from, int to, SimWorld::Work work);
  /// What is on its way there is lost, too.
  void cut(const std::set<Pair>& pairs);
  void mend(const std::set<Pair>& pairs);
  bool is_cut(int from, int to) const { return cut_.contains({from, to}); }
  /// What is sent there meanwhile arrives after that.
  void clog(int from, int to, std::int64_t until_us) { clogged_[{from, to}] = until_us; }
  /// From now on it only takes its time.
  void heal();

  std::function<bool(int address)> reachable;             ///< false: a node that does not run
  std::function<void(int one, int other)> cut_or_mended;  ///< told after each, in one direction or both

 private:
  void tell_of(const std::set<Pair>& pairs) const;

  SimWorld& world_;
  std::set<Pair> cut_;
  std::map<Pair, std::int64_t> clogged_;
  std::map<Pair, std::int64_t> last_delivery_us_;
  std::map<Pair, std::int64_t> last_in_order_us_;
  bool healed_ = false;
};

}  // namespace troupe::sim
