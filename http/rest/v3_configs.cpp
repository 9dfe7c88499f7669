#include <algorithm>

#include "http/rest/v3.hpp"

/// Settings of topics.
namespace troupe::http::v3 {
namespace {

using Changes = std::map<std::string, std::optional<std::string>>;

Json config_json(const Origin& origin, const metadata::TopicImage& topic, const metadata::TopicConfigField& field) {
  const std::string name(field.name);
  const auto own = topic.config_overrides.find(name);
  const bool is_default = own == topic.config_overrides.end();
  auto json = resource(origin, "KafkaTopicConfig", "/topics/" + topic.name + "/configs/" + name,
                       "topic=" + topic.name + "/config=" + name);
  json["topic_name"] = topic.name;
  json["name"] = name;
  json["value"] = is_default ? std::string(field.default_value) : own->second;
  json["is_default"] = is_default;
  json["is_read_only"] = false;
  json["is_sensitive"] = false;
  json["source"] = is_default ? "DEFAULT_CONFIG" : "DYNAMIC_TOPIC_CONFIG";
  auto& synonyms = json["synonyms"] = Json::array();
  if (!is_default) synonyms.push_back({{"name", name}, {"value", own->second}, {"source", "DYNAMIC_TOPIC_CONFIG"}});
  synonyms.push_back({{"name", name}, {"value", field.default_value}, {"source", "DEFAULT_CONFIG"}});
  return json;
}

void append_configs(Json& data, const Origin& origin, const metadata::TopicImage& topic) {
  for (const auto& field : metadata::topic_config_fields()) data.push_back(config_json(origin, topic, field));
}

/// The setting of this name, or 404 was answered.
const metadata::TopicConfigField* find_field(const CallPtr& call, const Origin& origin, const std::string& topic,
                                             std::string_view name) {
  const auto fields = metadata::topic_config_fields();
  const auto found = std::ranges::find(fields, name, &metadata::TopicConfigField::name);
  if (found != fields.end()) return &*found;
  refuse(call, not_found("Config " + shown(name) + " cannot be found for TOPIC " + topic + " in cluster " +
                         origin.cluster_id + "."));
  return nullptr;
}

void alter(Rest& rest, const CallPtr& call, std::string topic, Changes changes, bool validate_only) {
  rest.broker.alter_topic({.name = std::move(topic), .config = std::move(changes), .validate_only = validate_only},
                          reply_on<metadata::TopicPtr>(call, [](const CallPtr& to, Result<metadata::TopicPtr> altered) {
                            if (!altered) return refuse(to, altered.error());
                            answer_nothing(to);
                          }));
}

/// One of {"name":"flush","operation":"SET","value":"fsync"}; SET is what is meant when nothing is said.
std::optional<HttpError> read_change(const Json& one, std::string& name, std::optional<std::string>& value) {
  if (!one.is_object() || !one.contains("name") || !one["name"].is_string()) {
    return bad_request("data is a list of {\"name\", \"operation\", \"value\"}");
  }
  for (const auto& [member, unused] : one.items()) {
    if (member != "name" && member != "operation" && member != "value") {
      return bad_request("data has no field " + shown(member));
    }
  }
  name = one["name"].get<std::string>();
  const auto given = one.find("operation");
  const bool set = given == one.end() || given->is_null() || *given == "SET";
  if (!set && *given != "DELETE") return bad_request("the operation for " + shown(name) + " is SET or DELETE");
  if (!set) return std::nullopt;
  value = one.contains("value") ? setting_text(one["value"]) : std::nullopt;
  if (!value) return bad_request("the value of " + shown(name) + " is a string");
  return std::nullopt;
}

}  // namespace

void list_topic_configs(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  const auto topic = find_topic(rest, call, request.parameters[1]);
  if (!topic) return;
  Json data = Json::array();
  append_configs(data, origin, *topic);
  answer(call, list(origin, "KafkaTopicConfigList", "/topics/" + topic->name + "/configs", std::move(data)));
}

void list_all_topic_configs(Rest& rest, const CallPtr& call, Request&, const Origin& origin) {
  Json data = Json::array();
  for (const auto& topic : rest.broker.topics()) append_configs(data, origin, *topic);
  answer(call, list(origin, "KafkaTopicConfigList", "/topics/-/configs", std::move(data)));
}

void show_topic_config(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  const auto topic = find_topic(rest, call, request.parameters[1]);
  if (!topic) return;
  if (const auto* field = find_field(call, origin, topic->name, request.parameters[2])) {
    answer(call, config_json(origin, *topic, *field));
  }
}

void set_topic_config(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  const auto topic = find_topic(rest, call, request.parameters[1]);
  if (!topic || find_field(call, origin, topic->name, request.parameters[2]) == nullptr) return;
  const auto body = read_body(call, request, {"value"});
  if (!body) return;
  auto value = body->contains("value") ? setting_text((*body)["value"]) : std::nullopt;
  if (!value) return refuse(call, bad_request("value is missing, or no string"));
  alter(rest, call, topic->name, {{request.parameters[2], std::move(value)}}, false);
}

void reset_topic_config(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  const auto topic = find_topic(rest, call, request.parameters[1]);
  if (!topic || find_field(call, origin, topic->name, request.parameters[2]) == nullptr) return;
  alter(rest, call, topic->name, {{request.parameters[2], std::nullopt}}, false);
}

void alter_topic_configs(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  const auto topic = find_topic(rest, call, request.parameters[1]);
  if (!topic) return;
  const auto body = read_body(call, request, {"data", "validate_only"});
  if (!body) return;
  bool validate_only = false;
  if (const auto wrong = read_flag(*body, "validate_only", validate_only)) return refuse(call, *wrong);
  const auto data = body->find("data");
  if (data == body->end() || !data->is_array()) return refuse(call, bad_request("data is missing, or no list"));
  Changes changes;
  for (const auto& one : *data) {
    std::string name;
    std::optional<std::string> value;
    if (const auto wrong = read_change(one, name, value)) return refuse(call, *wrong);
    if (find_field(call, origin, topic->name, name) == nullptr) return;
    if (!changes.emplace(name, std::move(value)).second) return refuse(call, bad_request("data names " + name + " twice"));
  }
  if (changes.empty()) return answer_nothing(call);
  alter(rest, call, topic->name, std::move(changes), validate_only);
}

}  // namespace troupe::http::v3
