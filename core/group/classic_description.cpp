#include <algorithm>

#include "core/group/classic_group.hpp"
#include "core/group/classic_rules.hpp"
#include "core/group/consumer_protocol.hpp"

/// What those who watch are told of a classic group.
namespace troupe::group {

GroupState ClassicGroup::state() const {
  if (gathering_) return GroupState::preparing_rebalance;
  switch (phase()) {
    case ClassicPhase::empty: return GroupState::empty;
    case ClassicPhase::completing: return GroupState::completing_rebalance;
    case ClassicPhase::stable: return GroupState::stable;
    case ClassicPhase::preparing: return GroupState::preparing_rebalance;
  }
  return GroupState::empty;
}

bool ClassicGroup::may_read(std::string_view topic) const {
  if (type_ != consumer_protocol_type) return !empty();
  return std::ranges::any_of(seats_, [&](const auto& one) {
    return std::ranges::any_of(one.second.profile.protocols, [&](const ClassicProtocol& protocol) {
      const auto topics = topics_of_subscription(protocol.metadata);
      return !topics || std::ranges::binary_search(*topics, topic);
    });
  });
}

GroupListing ClassicGroup::list() const {
  GroupListing one;
  one.group = name_;
  one.state = state();
  one.members = size();
  one.epoch = generation();
  one.assignor = value_ ? value_->protocol : std::string();
  one.type = GroupType::classic;
  one.protocol_type = type_;
  return one;
}

GroupDescription ClassicGroup::describe(const metadata::MetadataImage& image) const {
  GroupDescription all;
  all.group = name_;
  all.state = state();
  all.epoch = generation();
  all.assignor = value_ ? value_->protocol : std::string();
  all.type = GroupType::classic;
  all.protocol_type = type_;
  all.leader = value_ ? value_->leader : std::string();
  for (const auto& [id, seat] : seats_) {
    MemberDescription one;
    one.member = id;
    one.profile.instance_id = seat.profile.instance_id;
    one.profile.client_id = seat.profile.client_id;
    one.profile.client_host = seat.profile.client_host;
    one.profile.session_timeout_ms = seat.profile.session_timeout_ms;
    one.profile.rebalance_timeout_ms = seat.profile.rebalance_timeout_ms;
    const auto* protocol = find_protocol(seat.profile.protocols, all.assignor);
    if (protocol == nullptr) protocol = &seat.profile.protocols.front();
    one.metadata = protocol->metadata;
    const auto member = members_.find(id);
    if (member != members_.end() && member->second.share && member->second.share->generation == generation()) {
      one.assignment = member->second.share->assignment;
      one.current.epoch = one.current.previous_epoch = generation();
    }
    if (type_ == consumer_protocol_type) {
      one.profile.topics = topics_of_subscription(one.metadata).value_or(std::vector<std::string>{});
      one.current.assigned = partitions_of_assignment(one.assignment, image).value_or(PartitionList{});
      one.target = one.current.assigned;
    }
    all.members.push_back(std::move(one));
  }
  return all;
}

}  // namespace troupe::group
