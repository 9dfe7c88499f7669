#include <algorithm>

#include "http/rest/group_view.hpp"
#include "http/rest/v3.hpp"

/// Consumer groups, their members, and how far they are behind.
namespace troupe::http::v3 {
namespace {

using group::PartitionLag;

/// A segment of a URL.
std::string encoded(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char character : text) {
    const auto byte = static_cast<unsigned char>(character);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
                       std::string_view("-._~").find(character) != std::string_view::npos;
    if (plain) {
      out += character;
    } else {
      out += '%';
      out += digits[byte >> 4U];
      out += digits[byte & 15U];
    }
  }
  return out;
}

std::string group_path(const std::string& group) { return "/consumer-groups/" + encoded(group); }
std::string consumer_path(const std::string& group, const std::string& consumer) {
  return group_path(group) + "/consumers/" + encoded(consumer);
}
std::string place_path(const group::GroupPartition& place) {
  return encoded(place.topic) + "/partitions/" + to_string(place.partition);
}
std::string topic_path_of(const group::GroupPartition& place) { return "/topics/" + place_path(place); }

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

std::string_view state_name(group::GroupState state) {
  switch (state) {
    case group::GroupState::empty: return "EMPTY";
    case group::GroupState::reconciling: return "RECONCILING";
    case group::GroupState::stable: return "STABLE";
    case group::GroupState::preparing_rebalance: return "PREPARING_REBALANCE";
    case group::GroupState::completing_rebalance: return "COMPLETING_REBALANCE";
  }
  return "UNKNOWN";
}

struct Summary {
  const std::string& group;
  group::GroupState state;
  group::GroupEpoch epoch;
  const std::string& assignor;
  group::GroupType type;
};

Json group_json(Rest& rest, const Origin& origin, const Summary& one) {
  auto json = resource(origin, "KafkaConsumerGroup", group_path(one.group), "consumer-group=" + one.group);
  json["consumer_group_id"] = one.group;
  json["is_simple"] = one.epoch == group::GroupEpoch{0};
  json["partition_assignor"] = one.assignor;
  json["state"] = state_name(one.state);
  json["type"] = one.type == group::GroupType::classic ? "CLASSIC" : "CONSUMER";
  json["is_mixed_consumer_group"] = false;
  const auto coordinator = coordinator_of(rest, one.group);
  if (coordinator.value() >= 0) json["coordinator"] = related(origin, "/brokers/" + to_string(coordinator));
  json["consumers"] = related(origin, group_path(one.group) + "/consumers");
  json["lag_summary"] = related(origin, group_path(one.group) + "/lag-summary");
  return json;
}

Json consumer_json(const Origin& origin, const std::string& group, const group::MemberDescription& one) {
  const auto path = consumer_path(group, one.member);
  auto json = resource(origin, "KafkaConsumer", path, "consumer-group=" + group + "/consumer=" + one.member);
  json["consumer_group_id"] = group;
  json["consumer_id"] = one.member;
  json["instance_id"] = text_or_null(one.profile.instance_id);
  json["client_id"] = one.profile.client_id;
  json["assignments"] = related(origin, path + "/assignments");
  return json;
}

Json assignment_json(const Origin& origin, const std::string& group, const PartitionLag& one) {
  const auto number = to_string(one.partition.partition);
  auto json = resource(
      origin, "KafkaConsumerAssignment", consumer_path(group, one.member) + "/assignments/" + place_path(one.partition),
      "consumer-group=" + group + "/consumer=" + one.member + "/assignment=" + one.partition.topic + "/partition=" + number);
  json["consumer_group_id"] = group;
  json["consumer_id"] = one.member;
  json["topic_name"] = one.partition.topic;
  json["partition_id"] = one.partition.partition.value();
  json["partition"] = related(origin, topic_path_of(one.partition));
  json["lag"] = related(origin, group_path(group) + "/lags/" + place_path(one.partition));
  return json;
}

Json lag_json(const Origin& origin, const std::string& group, const PartitionLag& one) {
  auto json = resource(
      origin, "KafkaConsumerLag", group_path(group) + "/lags/" + place_path(one.partition),
      "consumer-group=" + group + "/lag=" + one.partition.topic + "/partition=" + to_string(one.partition.partition));
  json["consumer_group_id"] = group;
  json["topic_name"] = one.partition.topic;
  json["partition_id"] = one.partition.partition.value();
  json["current_offset"] = one.committed->offset.value();
  json["log_end_offset"] = one.log_end->value();
  json["lag"] = *one.lag();
  json["consumer_id"] = one.member;
  json["instance_id"] = text_or_null(one.instance_id);
  json["client_id"] = one.client_id;
  return json;
}

Json summary_json(const Origin& origin, const std::string& group, const std::vector<PartitionLag>& partitions) {
  const auto summary = group::summarise(partitions);
  auto json = resource(origin, "KafkaConsumerGroupLagSummary", group_path(group) + "/lag-summary",
                       "consumer-group=" + group + "/lag-summary");
  json["consumer_group_id"] = group;
  json["max_lag_consumer_id"] = summary.most->member;
  json["max_lag_instance_id"] = text_or_null(summary.most->instance_id);
  json["max_lag_client_id"] = summary.most->client_id;
  json["max_lag_topic_name"] = summary.most->partition.topic;
  json["max_lag_partition_id"] = summary.most->partition.partition.value();
  json["max_lag"] = *summary.most->lag();
  json["total_lag"] = summary.total;
  if (!summary.most->member.empty()) {
    json["max_lag_consumer"] = related(origin, consumer_path(group, summary.most->member));
  }
  json["max_lag_partition"] = related(origin, topic_path_of(summary.most->partition));
  return json;
}

void refuse_group(const CallPtr& call, const std::string& group, const Error& error) {
  if (error.code == Errc::group_id_not_found)
    return refuse(call, not_found("Consumer group " + shown(group) + " cannot be found."));
  refuse(call, error);
}

/// Calls `use(call, view)` with the group that the request names, or an error was answered.
template <class Use>
void with_group(Rest& rest, const CallPtr& call, const Request& request, Use use) {
  const auto name = request.parameters[1];
  gather_group(rest, call, name, [name, use](const CallPtr& to, Result<GroupView> view) {
    if (!view) return refuse_group(to, name, view.error());
    use(to, *view);
  });
}

/// The same without what is committed and how far the logs go.
template <class Use>
void with_description(Rest& rest, const CallPtr& call, const Request& request, Use use) {
  const auto name = request.parameters[1];
  auto take = [name, use](const CallPtr& to, Result<group::GroupDescription> group) {
    if (!group) return refuse_group(to, name, group.error());
    use(to, *group);
  };
  rest.broker.group_api().describe(name, group_timeout_ms, reply_on<group::GroupDescription>(call, std::move(take)));
}

const group::MemberDescription* find_consumer(const CallPtr& call, const group::GroupDescription& group,
                                              const std::string& id) {
  const auto found = std::ranges::find(group.members, id, &group::MemberDescription::member);
  if (found != group.members.end()) return &*found;
  refuse(call, not_found("Consumer " + shown(id) + " of consumer group " + group.group + " cannot be found."));
  return nullptr;
}

const PartitionLag* find_place(const std::vector<PartitionLag>& all, const std::string& topic, const std::string& number) {
  const auto found = std::ranges::find_if(all, [&](const PartitionLag& one) {
    return one.partition.topic == topic && to_string(one.partition.partition) == number;
  });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace

void list_consumer_groups(Rest& rest, const CallPtr& call, Request&, const Origin& origin) {
  auto take = [&rest, origin](const CallPtr& to, Result<GroupListings> listings) {
    if (!listings) return refuse(to, listings.error());
    Json data = Json::array();
    for (const auto& one : listings->groups)
      data.push_back(group_json(rest, origin, {one.group, one.state, one.epoch, one.assignor, one.type}));
    answer(to, list(origin, "KafkaConsumerGroupList", "/consumer-groups", std::move(data)));
  };
  rest.broker.group_api().list(group_timeout_ms, reply_on<GroupListings>(call, std::move(take)));
}

void show_consumer_group(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  with_description(rest, call, request, [&rest, origin](const CallPtr& to, const group::GroupDescription& one) {
    answer(to, group_json(rest, origin, {one.group, one.state, one.epoch, one.assignor, one.type}));
  });
}

void list_consumers(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  with_description(rest, call, request, [origin](const CallPtr& to, const group::GroupDescription& group) {
    Json data = Json::array();
    for (const auto& one : group.members) data.push_back(consumer_json(origin, group.group, one));
    answer(to, list(origin, "KafkaConsumerList", group_path(group.group) + "/consumers", std::move(data)));
  });
}

void show_consumer(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  with_description(rest, call, request,
                   [origin, id = request.parameters[2]](const CallPtr& to, const group::GroupDescription& group) {
                     if (const auto* one = find_consumer(to, group, id))
                       answer(to, consumer_json(origin, group.group, *one));
                   });
}

void list_assignments(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  with_group(rest, call, request, [origin, id = request.parameters[2]](const CallPtr& to, const GroupView& view) {
    const auto& group = view.group.group;
    if (find_consumer(to, view.group, id) == nullptr) return;
    Json data = Json::array();
    for (const auto& one : view.partitions) {
      if (one.member == id) data.push_back(assignment_json(origin, group, one));
    }
    answer(to, list(origin, "KafkaConsumerAssignmentList", consumer_path(group, id) + "/assignments", std::move(data)));
  });
}

void show_assignment(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  with_group(rest, call, request, [origin, parameters = request.parameters](const CallPtr& to, const GroupView& view) {
    const auto& id = parameters[2];
    if (find_consumer(to, view.group, id) == nullptr) return;
    const auto* one = find_place(view.partitions, parameters[3], parameters[4]);
    if (one == nullptr || one->member != id) return refuse(to, not_found("The assignment cannot be found."));
    answer(to, assignment_json(origin, view.group.group, *one));
  });
}

void list_lags(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  with_group(rest, call, request, [origin](const CallPtr& to, GroupView view) {
    std::erase_if(view.partitions, [](const PartitionLag& one) { return !one.lag(); });
    if (view.partitions.empty()) return refuse(to, not_found("Consumer lags not found."));
    std::ranges::stable_sort(view.partitions, std::ranges::greater{}, [](const PartitionLag& one) { return *one.lag(); });
    Json data = Json::array();
    for (const auto& one : view.partitions) data.push_back(lag_json(origin, view.group.group, one));
    answer(to, list(origin, "KafkaConsumerLagList", group_path(view.group.group) + "/lags", std::move(data)));
  });
}

void show_lag(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  with_group(rest, call, request, [origin, parameters = request.parameters](const CallPtr& to, const GroupView& view) {
    const auto* one = find_place(view.partitions, parameters[2], parameters[3]);
    if (one == nullptr || !one->lag()) return refuse(to, not_found("Consumer lag not found."));
    answer(to, lag_json(origin, view.group.group, *one));
  });
}

void show_lag_summary(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  with_group(rest, call, request, [origin](const CallPtr& to, const GroupView& view) {
    if (group::summarise(view.partitions).most == nullptr)
      return refuse(to, not_found("Consumer group lag summary not found."));
    answer(to, summary_json(origin, view.group.group, view.partitions));
  });
}

}  // namespace troupe::http::v3
