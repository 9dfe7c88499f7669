#include <charconv>

#include "http/rest/v3.hpp"

namespace troupe::http::v3 {
namespace {

Json topic_json(const Origin& origin, const metadata::TopicImage& topic, bool with_operations = false) {
  const auto path = "/topics/" + topic.name;
  auto json = resource(origin, "KafkaTopic", path, "topic=" + topic.name);
  json["topic_name"] = topic.name;
  json["is_internal"] = metadata::is_internal_topic(topic.name);
  json["replication_factor"] = topic.partitions.empty() ? 0 : topic.partitions.front().replicas.size();
  json["partitions_count"] = topic.partition_count();
  json["partitions"] = related(origin, path + "/partitions");
  json["configs"] = related(origin, path + "/configs");
  json["partition_reassignments"] = related(origin, path + "/partitions/-/reassignment");
  if (with_operations) {
    // There is no authorisation: everybody may do everything.
    json["authorized_operations"] = {"ALTER",    "ALTER_CONFIGS",    "CREATE", "DELETE",
                                     "DESCRIBE", "DESCRIBE_CONFIGS", "READ",   "WRITE"};
  }
  return json;
}

/// "Include the operations" is spelt in two ways: lists and single topics differ.
bool wants_operations(const Query& query) {
  return query.find("includeAuthorizedOperations") == "true" || query.find("include_authorized_operations") == "true";
}

std::optional<HttpError> read_configs(const Json& body, std::map<std::string, std::string>& out) {
  const auto found = body.find("configs");
  if (found == body.end() || found->is_null()) return std::nullopt;
  const auto wrong = [] { return bad_request("configs is a list of {\"name\", \"value\"}, both of them strings"); };
  if (!found->is_array()) return wrong();
  for (const auto& one : *found) {
    if (!one.is_object() || !one.contains("name") || !one["name"].is_string()) return wrong();
    const auto name = one["name"].get<std::string>();
    for (const auto& [member, value] : one.items()) {
      if (member != "name" && member != "value") return bad_request("configs has no field " + shown(member));
    }
    auto value = one.contains("value") ? setting_text(one["value"]) : std::nullopt;
    if (!value) return wrong();
    if (!out.emplace(name, std::move(*value)).second) return bad_request("configs names " + shown(name) + " twice");
  }
  return std::nullopt;
}

/// {"0":[1,2],"1":[2,3]}: the partitions are numbered from 0 without holes.
std::optional<HttpError> read_assignments(const Json& body, std::vector<std::vector<BrokerId>>& out) {
  const auto found = body.find("replicas_assignments");
  if (found == body.end() || found->is_null()) return std::nullopt;
  if (!found->is_object()) return bad_request("replicas_assignments is an object of lists of brokers");
  out.resize(found->size());
  for (const auto& [name, replicas] : found->items()) {
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error != std::errc{} || end != name.data() + name.size() || number >= out.size() || !out[number].empty()) {
      auto wrong = bad_request("replicas_assignments names partitions 0 to " + std::to_string(found->size() - 1) +
                               ", each once, or there are fewer or more of them");
      wrong.number = 40002;
      return wrong;
    }
    if (!replicas.is_array() || replicas.empty()) return bad_request("replicas_assignments has a partition without brokers");
    for (const auto& broker : replicas) {
      const auto id = whole_number(broker);
      if (!id) return bad_request("replicas_assignments holds what is no broker's number");
      out[number].emplace_back(*id);
    }
  }
  return std::nullopt;
}

}  // namespace

void list_topics(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  const bool with_operations = wants_operations(request.query);
  Json data = Json::array();
  for (const auto& topic : rest.broker.topics()) data.push_back(topic_json(origin, *topic, with_operations));
  answer(call, list(origin, "KafkaTopicList", "/topics", std::move(data)));
}

void show_topic(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  if (const auto topic = find_topic(rest, call, request.parameters[1])) {
    answer(call, topic_json(origin, *topic, wants_operations(request.query)));
  }
}

void create_topic(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  const auto body = read_body(
      call, request,
      {"topic_name", "partitions_count", "replication_factor", "replicas_assignments", "configs", "validate_only"});
  if (!body) return;
  CreateTopicRequest create;
  std::optional<HttpError> wrong;
  if (!(body->contains("topic_name") && (*body)["topic_name"].is_string())) {
    wrong = bad_request("topic_name is missing, or no string");
  }
  if (!wrong) wrong = read_count(*body, "partitions_count", create.partitions);
  if (!wrong) wrong = read_count(*body, "replication_factor", create.replication_factor);
  if (!wrong) wrong = read_flag(*body, "validate_only", create.validate_only);
  if (!wrong) wrong = read_configs(*body, create.config);
  if (!wrong) wrong = read_assignments(*body, create.assignments);
  if (wrong) return refuse(call, *wrong);
  create.name = (*body)["topic_name"].get<std::string>();
  const bool validate_only = create.validate_only;
  rest.broker.create_topic(
      std::move(create),
      reply_on<metadata::TopicPtr>(call, [origin, validate_only](const CallPtr& to, Result<metadata::TopicPtr> created) {
        if (!created) return refuse(to, created.error());
        const auto json = topic_json(origin, **created);
        if (validate_only) return answer(to, json);
        to->answer(
            {.status = 201, .body = dump(json), .headers = {{"Location", origin.url("/topics/" + (*created)->name)}}});
      }));
}

void add_partitions(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  if (!find_topic(rest, call, request.parameters[1])) return;
  AlterTopicRequest alter{.name = request.parameters[1]};
  const auto body = read_body(call, request, {"partitions_count"});
  if (!body) return;
  auto wrong = read_count(*body, "partitions_count", alter.partitions);
  if (!wrong && !alter.partitions) wrong = bad_request("partitions_count is missing");
  if (wrong) return refuse(call, *wrong);
  rest.broker.alter_topic(
      std::move(alter), reply_on<metadata::TopicPtr>(call, [origin](const CallPtr& to, Result<metadata::TopicPtr> altered) {
        if (!altered) return refuse(to, altered.error());
        answer(to, topic_json(origin, **altered));
      }));
}

void delete_topic(Rest& rest, const CallPtr& call, Request& request, const Origin&) {
  if (!find_topic(rest, call, request.parameters[1])) return;
  rest.broker.delete_topic(request.parameters[1], reply_on<Nothing>(call, [](const CallPtr& to, Result<Nothing> deleted) {
                             if (!deleted) return refuse(to, deleted.error());
                             answer_nothing(to);
                           }));
}

}  // namespace troupe::http::v3
