#include "core/cluster_api.hpp"
#include "http/rest/answers.hpp"
#include "http/rest/cluster_json.hpp"
#include "http/rest/group_view.hpp"
#include "http/rest/handlers.hpp"

/// Consumer groups: who is in them, what they read, how far they are behind.
namespace troupe::http {
namespace {

Json text_or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

template <class T>
Json value_or_null(const std::optional<T>& value) {
  return value ? Json(value->value()) : Json();
}

Json partitions_json(const metadata::MetadataImage& image, const group::PartitionList& list) {
  Json all = Json::array();
  for (const auto& id : list) {
    const auto topic = image.find_topic(id.topic_id);
    all.push_back(
        {{"topic", topic ? Json(topic->name) : Json(to_string(id.topic_id))}, {"partition", id.partition.value()}});
  }
  return all;
}

Json member_json(const metadata::MetadataImage& image, const group::MemberDescription& one) {
  static constexpr std::string_view states[] = {"stable", "revoking", "waiting"};
  const auto& profile = one.profile;
  return {{"member", one.member},
          {"instance_id", text_or_null(profile.instance_id)},
          {"client_id", text_or_null(profile.client_id)},
          {"client_host", text_or_null(profile.client_host)},
          {"rack", text_or_null(profile.rack)},
          {"topics", profile.topics},
          {"pattern", text_or_null(profile.pattern)},
          {"session_timeout_ms", profile.session_timeout_ms},
          {"epoch", one.current.epoch.value()},
          {"state", states[static_cast<std::size_t>(one.current.state)]},
          {"assigned", partitions_json(image, one.current.assigned)},
          {"revoking", partitions_json(image, one.current.revoking)},
          {"target", partitions_json(image, one.target)}};
}

Json lag_json(const group::PartitionLag& one) {
  const auto lag = one.lag();
  const auto& committed = one.committed;
  return {{"topic", one.partition.topic},
          {"partition", one.partition.partition.value()},
          {"committed", committed ? Json(committed->offset.value()) : Json()},
          {"metadata", committed ? Json(committed->metadata) : Json()},
          {"committed_at", committed ? Json(committed->committed_at.value()) : Json()},
          {"log_start", value_or_null(one.log_start)},
          {"log_end", value_or_null(one.log_end)},
          {"lag", lag ? Json(*lag) : Json()},
          {"member", text_or_null(one.member)},
          {"instance_id", text_or_null(one.instance_id)},
          {"client_id", text_or_null(one.client_id)},
          {"client_host", text_or_null(one.client_host)}};
}

Json lags_json(const GroupView& view) {
  Json all = Json::array();
  for (const auto& one : view.partitions) all.push_back(lag_json(one));
  return all;
}

}  // namespace

void list_groups(Rest& rest, const CallPtr& call, Request&) {
  auto take = [](const CallPtr& to, Result<GroupListings> listings) {
    if (!listings) return answer_error(to, Dialect::v1, read_error(listings.error()));
    Json groups = Json::array();
    for (const auto& one : listings->groups) {
      groups.push_back({{"group", one.group},
                        {"state", group::to_string(one.state)},
                        {"paused", one.paused},
                        {"members", one.members},
                        {"epoch", one.epoch.value()},
                        {"assignor", one.assignor},
                        {"type", group::to_string(one.type)},
                        {"protocol_type", text_or_null(one.protocol_type)}});
    }
    Json silent = Json::array();
    for (const auto partition : listings->silent) silent.push_back(partition.value());
    to->answer({.body = dump({{"groups", std::move(groups)}, {"silent", std::move(silent)}})});
  };
  rest.broker.group_api().list(group_timeout_ms, reply_on<GroupListings>(call, std::move(take)));
}

void describe_group(Rest& rest, const CallPtr& call, Request& request) {
  gather_group(rest, call, request.parameters.front(), [&rest](const CallPtr& to, Result<GroupView> view) {
    if (!view) return answer_error(to, Dialect::v1, read_error(view.error()));
    const auto image = rest.broker.cluster_api().image();
    Json members = Json::array();
    for (const auto& member : view->group.members) members.push_back(member_json(*image, member));
    to->answer({.body = dump({{"group", view->group.group},
                              {"state", group::to_string(view->group.state)},
                              {"paused", view->group.paused},
                              {"epoch", view->group.epoch.value()},
                              {"assignor", view->group.assignor},
                              {"type", group::to_string(view->group.type)},
                              {"protocol_type", text_or_null(view->group.protocol_type)},
                              {"leader", text_or_null(view->group.leader)},
                              {"coordinator", broker_json(coordinator_of(rest, view->group.group))},
                              {"lag", group::summarise(view->partitions).total},
                              {"members", std::move(members)},
                              {"partitions", lags_json(*view)}})});
  });
}

void group_offsets(Rest& rest, const CallPtr& call, Request& request) {
  gather_group(rest, call, request.parameters.front(), [](const CallPtr& to, Result<GroupView> view) {
    if (!view) return answer_error(to, Dialect::v1, read_error(view.error()));
    to->answer({.body = dump({{"group", view->group.group},
                              {"lag", group::summarise(view->partitions).total},
                              {"partitions", lags_json(*view)}})});
  });
}

namespace {

void set_paused(Rest& rest, const CallPtr& call, const std::string& group, bool paused) {
  auto take = [group, paused](const CallPtr& to, Result<Nothing> done) {
    if (!done) return answer_error(to, Dialect::v1, http_error(done.error()));
    to->answer({.body = dump({{"group", group}, {"paused", paused}})});
  };
  rest.broker.group_api().pause({group, paused}, group_timeout_ms, reply_on<Nothing>(call, std::move(take)));
}

}  // namespace

void pause_group(Rest& rest, const CallPtr& call, Request& request) {
  set_paused(rest, call, request.parameters.front(), true);
}

void resume_group(Rest& rest, const CallPtr& call, Request& request) {
  set_paused(rest, call, request.parameters.front(), false);
}

void delete_group(Rest& rest, const CallPtr& call, Request& request) {
  auto take = [](const CallPtr& to, Result<Nothing> done) {
    if (!done) return answer_error(to, Dialect::v1, http_error(done.error()));
    to->answer({.status = 204, .content_type = {}});
  };
  rest.broker.group_api().delete_group(request.parameters.front(), group_timeout_ms,
                                       reply_on<Nothing>(call, std::move(take)));
}

}  // namespace troupe::http
