#include "http/rest/answers.hpp"
#include "http/rest/handlers.hpp"
#include "http/rest/json_body.hpp"

namespace troupe::http {
namespace {

Json numbers(const std::vector<BrokerId>& ids) {
  Json list = Json::array();
  for (const auto id : ids) list.push_back(id.value());
  return list;
}

Json topic_json(const metadata::TopicImage& topic, const std::vector<std::optional<OffsetAnswer>>& offsets) {
  Json json{{"name", topic.name}, {"id", to_string(topic.id)}};
  auto& partitions = json["partitions"] = Json::array();
  for (std::size_t i = 0; i < topic.partitions.size(); ++i) {
    const auto& image = topic.partitions[i];
    Json one{{"p", i},
             {"leader", image.leader.value()},
             {"epoch", image.leader_epoch.value()},
             {"replicas", numbers(image.replicas)},
             {"isr", numbers(image.isr)},
             {"start", nullptr},
             {"end", nullptr}};
    if (i < offsets.size() && offsets[i]) {
      one["start"] = offsets[i]->log_start_offset.value();
      one["end"] = offsets[i]->high_watermark.value();
    }
    partitions.push_back(std::move(one));
  }
  auto& config = json["config"] = Json::object();
  for (const auto& [name, value] : metadata::topic_config_entries(topic.config_overrides)) config[name] = value;
  return json;
}

/// Collects the ends of all partitions; one that does not answer stays unknown.
struct Offsets {
  std::vector<std::optional<OffsetAnswer>> answers;
  std::size_t left = 0;
};

void answer_topic(Rest& rest, const CallPtr& call, const metadata::TopicPtr& topic, Response response) {
  const auto offsets = std::make_shared<Offsets>();
  offsets->answers.resize(topic->partitions.size());
  offsets->left = topic->partitions.size();
  const auto shared_response = std::make_shared<Response>(std::move(response));
  for (std::int32_t number = 0; number < topic->partition_count(); ++number) {
    auto take = [offsets, topic, shared_response, number](const CallPtr& to, Result<OffsetAnswer> answer) {
      if (answer) offsets->answers[static_cast<std::size_t>(number)] = *answer;
      if (--offsets->left > 0) return;
      shared_response->body = dump(topic_json(*topic, offsets->answers));
      to->answer(std::move(*shared_response));
    };
    rest.broker.find_offset({topic->id, PartitionId{number}}, {OffsetSpec::Kind::latest},
                            reply_on<OffsetAnswer>(call, std::move(take)));
  }
}

/// Settings as text; numbers and booleans may be written as such; null only when `with_null`.
std::optional<HttpError> read_config(const Json& body, bool with_null,
                                     std::map<std::string, std::optional<std::string>>& out) {
  const auto found = body.find("config");
  if (found == body.end() || found->is_null()) return std::nullopt;
  if (!found->is_object()) return bad_request("config is an object of settings");
  for (const auto& [name, value] : found->items()) {
    if (auto text = setting_text(value)) {
      out[name] = std::move(text);
    } else if (value.is_null() && with_null) {
      out[name] = std::nullopt;
    } else {
      return bad_request("config." + shown(name) + " is a string");
    }
  }
  return std::nullopt;
}

bool answer_internal(const CallPtr& call, const Request& request, const std::string& name) {
  if (!metadata::is_internal_topic(name)) return false;
  answer_error(call, request,
               http_error(Error{Errc::topic_authorization_failed, "names that begin with \"__\" are the system's own"}));
  return true;
}

}  // namespace

void list_topics(Rest& rest, const CallPtr& call, Request&) {
  Json topics = Json::array();
  for (const auto& topic : rest.broker.topics()) {
    topics.push_back({{"name", topic->name},
                      {"id", to_string(topic->id)},
                      {"partition_count", topic->partition_count()},
                      {"internal", metadata::is_internal_topic(topic->name)}});
  }
  call->answer({.body = dump({{"topics", std::move(topics)}})});
}

void create_topic(Rest& rest, const CallPtr& call, Request& request) {
  Json body;
  CreateTopicRequest create;
  std::map<std::string, std::optional<std::string>> config;
  auto wrong = read_json_object(std::move(request.body),
                                {"name", "partitions", "replication_factor", "config", "validate_only"}, body);
  if (!wrong && !(body.contains("name") && body["name"].is_string())) wrong = bad_request("name is missing, or no string");
  if (!wrong) wrong = read_count(body, "partitions", create.partitions);
  if (!wrong) wrong = read_count(body, "replication_factor", create.replication_factor);
  if (!wrong) wrong = read_flag(body, "validate_only", create.validate_only);
  if (!wrong) wrong = read_config(body, false, config);
  if (wrong) return answer_error(call, request, *wrong);
  create.name = body["name"].get<std::string>();
  if (answer_internal(call, request, create.name)) return;
  for (auto& [name, value] : config) create.config[name] = std::move(*value);
  const bool validate_only = create.validate_only;
  rest.broker.create_topic(
      std::move(create),
      reply_on<metadata::TopicPtr>(call, [&rest, validate_only](const CallPtr& to, Result<metadata::TopicPtr> answer) {
        if (!answer) return answer_error(to, Dialect::v1, http_error(answer.error()));
        const auto& topic = *answer;
        if (validate_only) return to->answer({.body = dump(topic_json(*topic, {}))});
        answer_topic(rest, to, topic, {.status = 201, .headers = {{"Location", "/v1/topics/" + topic->name}}});
      }));
}

void describe_topic(Rest& rest, const CallPtr& call, Request& request) {
  if (const auto topic = find_topic(rest, call, request)) answer_topic(rest, call, topic, {});
}

void alter_topic(Rest& rest, const CallPtr& call, Request& request) {
  Json body;
  AlterTopicRequest alter{.name = request.parameters.front()};
  if (!find_topic(rest, call, request)) return;
  if (answer_internal(call, request, alter.name)) return;
  auto wrong = read_json_object(std::move(request.body), {"partitions", "config", "validate_only"}, body);
  if (!wrong) wrong = read_count(body, "partitions", alter.partitions);
  if (!wrong) wrong = read_flag(body, "validate_only", alter.validate_only);
  if (!wrong) wrong = read_config(body, true, alter.config);
  if (wrong) return answer_error(call, request, *wrong);
  const bool validate_only = alter.validate_only;
  rest.broker.alter_topic(
      std::move(alter),
      reply_on<metadata::TopicPtr>(call, [&rest, validate_only](const CallPtr& to, Result<metadata::TopicPtr> answer) {
        if (!answer) return answer_error(to, Dialect::v1, http_error(answer.error()));
        if (validate_only) return to->answer({.body = dump(topic_json(**answer, {}))});
        answer_topic(rest, to, *answer, {});
      }));
}

void delete_topic(Rest& rest, const CallPtr& call, Request& request) {
  if (!find_topic(rest, call, request)) return;
  if (answer_internal(call, request, request.parameters.front())) return;
  rest.broker.delete_topic(request.parameters.front(),
                           reply_on<Nothing>(call, [](const CallPtr& to, Result<Nothing> answer) {
                             if (!answer) return answer_error(to, Dialect::v1, http_error(answer.error()));
                             to->answer({.status = 204, .content_type = {}});
                           }));
}

}  // namespace troupe::http
