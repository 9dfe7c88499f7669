#include "http/rest/v3.hpp"

#include <algorithm>
#include <charconv>

#include "http/message/authority.hpp"
#include "http/rest/answers.hpp"

namespace troupe::http::v3 {
namespace {

std::optional<std::int32_t> number_of(std::string_view text) {
  std::int32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 0) return std::nullopt;
  return number;
}

std::string broker_path(BrokerId broker) { return "/brokers/" + to_string(broker); }

Json cluster_json(const Origin& origin, BrokerId controller) {
  auto json = resource(origin, "KafkaCluster", "", "");
  if (controller.value() >= 0) json["controller"] = related(origin, broker_path(controller));
  json["acls"] = related(origin, "/acls");
  json["brokers"] = related(origin, "/brokers");
  json["broker_configs"] = related(origin, "/broker-configs");
  json["consumer_groups"] = related(origin, "/consumer-groups");
  json["topics"] = related(origin, "/topics");
  json["partition_reassignments"] = related(origin, "/topics/-/partitions/-/reassignment");
  return json;
}

Json broker_json(const Origin& origin, const metadata::BrokerImage& broker) {
  const auto path = broker_path(broker.id);
  auto json = resource(origin, "KafkaBroker", path, "broker=" + to_string(broker.id));
  json["broker_id"] = broker.id.value();
  json["host"] = broker.port == 0 ? Json() : Json(broker.host);
  json["port"] = broker.port == 0 ? Json() : Json(broker.port);
  json["rack"] = broker.rack.empty() ? Json() : Json(broker.rack);
  json["configs"] = related(origin, path + "/configs");
  json["partition_replicas"] = related(origin, path + "/partition-replicas");
  return json;
}

Json broker_config_json(const Origin& origin, BrokerId broker, const BrokerSetting& setting) {
  const bool is_default = setting.value == setting.default_value;
  auto json = resource(origin, "KafkaBrokerConfig", broker_path(broker) + "/configs/" + setting.name,
                       "broker=" + to_string(broker) + "/config=" + setting.name);
  json["broker_id"] = broker.value();
  json["name"] = setting.name;
  json["value"] = setting.value;
  json["is_default"] = is_default;
  json["is_read_only"] = true;
  json["is_sensitive"] = false;
  json["source"] = is_default ? "DEFAULT_CONFIG" : "STATIC_BROKER_CONFIG";
  json["synonyms"] = Json::array();
  if (!is_default) {
    json["synonyms"].push_back({{"name", setting.name}, {"value", setting.value}, {"source", "STATIC_BROKER_CONFIG"}});
  }
  json["synonyms"].push_back({{"name", setting.name}, {"value", setting.default_value}, {"source", "DEFAULT_CONFIG"}});
  return json;
}

/// Settings are in no metadata: each node knows its own. Whether this is the one that knows; else the client was sent there.
bool is_here(Rest& rest, const CallPtr& call, const Request& request, const metadata::BrokerImage& broker) {
  if (broker.id == rest.broker.cluster().node_id) return true;
  if (broker.port == 0 || !is_somewhere(broker.host)) {
    refuse(call, not_found("Only broker " + to_string(broker.id) + " knows its settings, and it has no gateway."));
    return false;
  }
  const auto& target = request.head.target;
  const auto path = target.substr(std::min(target.find("/v3/"), target.size()));
  call->answer({.status = 307,
                .body = "{}",
                .headers = {{"Location", "http://" + authority_of(broker.host, broker.port) + std::string(path)}}});
  return false;
}

}  // namespace

Origin origin_of(const Rest& rest, const Request& request) {
  const auto info = rest.broker.cluster();
  std::string host(request.head.field("Host").value_or(""));
  if (host.empty()) {
    const auto self = std::ranges::find(info.brokers, info.node_id, &metadata::BrokerImage::id);
    host = self == info.brokers.end() ? "localhost" : authority_of(self->host, self->port);
  }
  const bool secure = request.head.field("X-Forwarded-Proto").value_or("") == "https";
  const auto before = request.head.target.substr(0, request.head.target.find("/v3"));
  return {.base = (secure ? "https://" : "http://") + host + (before.ends_with("/kafka") ? "/kafka/v3" : "/v3"),
          .cluster_id = to_string(info.cluster_id)};
}

Json related(const Origin& origin, std::string_view path) { return {{"related", origin.url(path)}}; }

Json resource(const Origin& origin, std::string_view kind, std::string_view path, std::string_view name) {
  auto full_name = "crn:///kafka=" + origin.cluster_id;
  if (!name.empty()) full_name += "/" + std::string(name);
  return {{"kind", kind},
          {"metadata", {{"self", origin.url(path)}, {"resource_name", std::move(full_name)}}},
          {"cluster_id", origin.cluster_id}};
}

Json list(const Origin& origin, std::string_view kind, std::string_view path, Json data) {
  return {{"kind", kind}, {"metadata", {{"self", origin.url(path)}, {"next", nullptr}}}, {"data", std::move(data)}};
}

void answer(const CallPtr& call, const Json& json) { call->answer({.body = dump(json)}); }

void answer_nothing(const CallPtr& call) { call->answer({.status = 204, .content_type = {}}); }

void refuse(const CallPtr& call, const HttpError& error) { answer_error(call, Dialect::v3, error); }

void refuse(const CallPtr& call, const Error& error) {
  auto shown = http_error(error);
  if (error.code == Errc::unknown_topic_or_partition) {
    shown.number = 40403;
    shown.message = "This server does not host this topic-partition.";
  } else if (error.code == Errc::topic_already_exists) {
    shown.status = 400;
    shown.number = 40002;
  }
  refuse(call, shown);
}

HttpError not_found(std::string message) { return http_error(404, "not_found", std::move(message)); }

metadata::TopicPtr find_topic(Rest& rest, const CallPtr& call, std::string_view name) {
  auto topic = rest.broker.topic(name);
  if (!topic) refuse(call, Error{Errc::unknown_topic_or_partition, ""});
  return topic;
}

std::optional<PartitionId> find_partition(const CallPtr& call, const metadata::TopicImage& topic, std::string_view text) {
  const auto number = number_of(text);
  if (number && *number < topic.partition_count()) return PartitionId{*number};
  refuse(call, not_found("Partition " + shown(text) + " of topic " + topic.name + " cannot be found."));
  return std::nullopt;
}

std::optional<metadata::BrokerImage> find_broker(Rest& rest, const CallPtr& call, std::string_view text) {
  if (const auto number = number_of(text)) {
    const auto brokers = rest.broker.cluster().brokers;
    const auto found = std::ranges::find(brokers, BrokerId{*number}, &metadata::BrokerImage::id);
    if (found != brokers.end()) return *found;
  }
  refuse(call, not_found("Broker " + shown(text) + " cannot be found."));
  return std::nullopt;
}

std::optional<Json> read_body(const CallPtr& call, Request& request, std::initializer_list<std::string_view> known) {
  const auto text = as_text(request.body);
  const auto first = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  const auto content = text.substr(first, text.find_last_not_of(" \t\r\n") + 1 - first);
  if (content.empty() || content == "null") {
    refuse(call, {.status = 422,
                  .number = 42206,
                  .code = "bad_request",
                  .message = "Payload error. Null input provided. Data is required."});
    return std::nullopt;
  }
  Json body;
  if (const auto wrong = read_json_object(std::move(request.body), known, body)) {
    refuse(call, *wrong);
    return std::nullopt;
  }
  return body;
}

void list_clusters(Rest& rest, const CallPtr& call, Request& request) {
  const auto origin = origin_of(rest, request);
  auto json = list(origin, "KafkaClusterList", "", Json::array({cluster_json(origin, rest.broker.cluster().controller_id)}));
  json["metadata"]["self"] = origin.base + "/clusters";
  answer(call, json);
}

void show_cluster(Rest& rest, const CallPtr& call, Request&, const Origin& origin) {
  answer(call, cluster_json(origin, rest.broker.cluster().controller_id));
}

/// Settings of all brokers that were changed while they run: there is no such thing.
void list_cluster_configs(Rest&, const CallPtr& call, Request&, const Origin& origin) {
  answer(call, list(origin, "KafkaClusterConfigList", "/broker-configs", Json::array()));
}

void list_brokers(Rest& rest, const CallPtr& call, Request&, const Origin& origin) {
  Json data = Json::array();
  for (const auto& broker : rest.broker.cluster().brokers) data.push_back(broker_json(origin, broker));
  answer(call, list(origin, "KafkaBrokerList", "/brokers", std::move(data)));
}

void show_broker(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  if (const auto broker = find_broker(rest, call, request.parameters[1])) answer(call, broker_json(origin, *broker));
}

void list_broker_configs(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  const auto broker = find_broker(rest, call, request.parameters[1]);
  if (!broker || !is_here(rest, call, request, *broker)) return;
  Json data = Json::array();
  auto settings = rest.options.settings;
  std::ranges::sort(settings, {}, &BrokerSetting::name);
  for (const auto& setting : settings) data.push_back(broker_config_json(origin, broker->id, setting));
  answer(call, list(origin, "KafkaBrokerConfigList", broker_path(broker->id) + "/configs", std::move(data)));
}

void show_broker_config(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  const auto broker = find_broker(rest, call, request.parameters[1]);
  if (!broker || !is_here(rest, call, request, *broker)) return;
  const auto& settings = rest.options.settings;
  const auto found = std::ranges::find(settings, request.parameters[2], &BrokerSetting::name);
  if (found != settings.end()) return answer(call, broker_config_json(origin, broker->id, *found));
  refuse(call, not_found("Config " + shown(request.parameters[2]) + " cannot be found for BROKER " + to_string(broker->id) +
                         " in cluster " + origin.cluster_id + "."));
}

}  // namespace troupe::http::v3
