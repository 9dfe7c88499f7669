#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/cluster/group_member.hpp"
#include "tests/sim/cluster/group_shell.hpp"

namespace troupe::sim {

/// Consumer groups on a simulated cluster: a coordinator beside each leader of the groups' topic, members on the nodes, operators who reset
/// positions, and what members do: come, leave, leave for a while, come back, dawdle, hold on.
class GroupLife {
 public:
  GroupLife(std::uint64_t seed, const GroupSettings& settings, ClusterWorld& cluster, SimNetwork& network);

  /// The topics are there.
  void begin();
  void shown(ClusterNode& node, const metadata::DeltaPtr& delta);
  /// A node's links see that another one's process is gone.
  void process_gone(ClusterNode& node, BrokerId gone);
  /// No more trouble.
  void heal();
  /// What is not as it should be; empty: nothing.
  std::string unrest();
  /// For people: how these groups are.
  std::string told() const;

 private:
  struct Group {
    std::string name;
    group::MemberProfile profile;
    std::vector<std::shared_ptr<GroupMember>> members;
  };

  void turn();
  void look(ClusterNode& node);
  void trouble();
  void watch();
  void add_member(Group& group);
  void reset(Group& group);
  ClusterNode* any_node();
  std::string describe(const Group& group) const;
  static bool waits_for_its_name(const Group& group, const GroupMember& member);

  GroupWorld world_;
  std::vector<Group> groups_;
  std::map<std::pair<BrokerId, std::size_t>, std::shared_ptr<GroupShell>> shells_;
  int next_member_ = 0;
  bool healed_ = false;
};

}  // namespace troupe::sim
