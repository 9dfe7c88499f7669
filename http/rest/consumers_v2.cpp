#include <algorithm>
#include <set>

#include "base/uuid.hpp"
#include "core/consumer/cursor.hpp"
#include "core/group/group_rules.hpp"
#include "core/group_api.hpp"
#include "core/metadata/topic_config.hpp"
#include "http/rest/answers.hpp"
#include "http/rest/consumer_instances.hpp"
#include "http/rest/handlers.hpp"
#include "http/rest/json_body.hpp"
#include "http/rest/record_v2.hpp"

/// Confluent's REST proxy, version 2: consumer instances. rest-api.md B1.3, docs/consumers.md
namespace troupe::http {
namespace {

using consumer::RestFormat;

constexpr Millis group_request_ms = 10'000;
constexpr std::int64_t records_bytes_max = std::int64_t{8} << 20;
constexpr std::int64_t request_ms_max = 60'000;

HttpError v2_error(unsigned status, int number, std::string message) {
  return {.status = status, .number = number, .message = std::move(message)};
}
HttpError not_found() { return v2_error(404, 40403, "Consumer instance not found."); }

/// An error of an instance, as the REST proxy numbers them.
HttpError instance_error(const Error& error) {
  switch (error.code) {
    case Errc::conflict: return v2_error(409, 40903, error.message);
    case Errc::fenced_member_epoch: return v2_error(409, 40903, "Illegal state: No current assignment for the partition.");
    case Errc::invalid_record: return v2_error(408, 40801, error.message);
    case Errc::invalid_argument:
    case Errc::invalid_topic_exception:
    case Errc::invalid_regular_expression: return v2_error(422, 422, error.message);
    default: return http_error(error);
  }
}

void answer(const CallPtr& call, const Json& json) { call->answer({.content_type = v2_type, .body = dump(json)}); }
void answer_nothing(const CallPtr& call) { call->answer({.status = 204, .content_type = {}}); }

/// Answers what went wrong, 404 for an instance that is not there.
void answer_failure(const CallPtr& call, const Error& error) {
  answer_error(call, Dialect::v2, error.code == Errc::not_found ? not_found() : instance_error(error));
}

/// Asks the instance that the route names, wherever it is. `then` gets the answer as `Answer`.
template <class Answer, class Then>
void ask(Rest& rest, const CallPtr& call, const Request& request, consumer::RestCall what, Then then,
         ConsumerInstances::Check check = {}) {
  rest.consumers->ask(call, {request.parameters[0], request.parameters[1]}, std::move(what), rest.clock.monotonic_now(),
                      Reply<consumer::RestAnswer>{[call, then = std::move(then)](Result<consumer::RestAnswer> said) mutable {
                        if (!said) return answer_failure(call, said.error());
                        auto* one = std::get_if<Answer>(&*said);
                        if (one == nullptr) return answer_failure(call, {Errc::corrupt_message, "that is no answer"});
                        then(std::move(*one));
                      }},
                      std::move(check));
}
void ask_to_do(Rest& rest, const CallPtr& call, const Request& request, consumer::RestCall what) {
  ask<std::monostate>(rest, call, request, std::move(what), [call](std::monostate) { answer_nothing(call); });
}

/// What is wrong with the request, if there is such an instance.
void answer_wrong(Rest& rest, const CallPtr& call, const Request& request, HttpError wrong) {
  ask<std::monostate>(rest, call, request, consumer::RestTouch{},
                      [call, wrong = std::move(wrong)](std::monostate) { answer_error(call, Dialect::v2, wrong); });
}

/// The object of a body with no other members than `known`; an empty body is an empty object.
std::optional<HttpError> read_body(ByteBuffer body, std::initializer_list<std::string_view> known, Json& out) {
  out = Json::object();
  if (as_text(body).find_first_not_of(" \t\r\n") == std::string_view::npos) return std::nullopt;
  auto wrong = read_json_object(std::move(body), known, out);
  // As the reference has it: JSON that it does not understand is not the same as no JSON.
  if (wrong && wrong->message.starts_with("there is no field")) wrong->status = wrong->number = 422;
  return wrong;
}

HttpError bad_config(const std::string& what) { return v2_error(422, 42204, "Invalid consumer configuration: " + what); }

/// Text, or a number or a truth value written as such: what clients send for one and the same setting.
std::optional<HttpError> read_setting(const Json& body, std::initializer_list<const char*> names,
                                      std::optional<std::string>& out) {
  for (const auto* name : names) {
    if (!body.contains(name) || body[name].is_null()) continue;
    out = setting_text(body[name]);
    if (!out) return bad_config(std::string(name) + " is no setting");
  }
  return std::nullopt;
}

std::optional<HttpError> read_whole(const Json& body, std::initializer_list<const char*> names, std::int64_t low,
                                    std::int64_t high, std::int64_t& out) {
  std::optional<std::string> text;
  if (auto wrong = read_setting(body, names, text)) return wrong;
  if (!text) return std::nullopt;
  const auto value = Json::parse(*text, nullptr, false);
  const bool huge = value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(high);
  if (!value.is_number_integer() || huge || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high) {
    return v2_error(422, 40001,
                    "Invalid consumer configuration. It does not abide by the constraints: " + std::string(*names.begin()) +
                        " is " + std::to_string(low) + " to " + std::to_string(high));
  }
  out = value.get<std::int64_t>();
  return std::nullopt;
}

/// The entry's `offset`, at most `most`.
std::optional<HttpError> read_offset(const Json& entry, Offset most, Offset& out) {
  if (!entry.contains("offset") || !entry["offset"].is_number_unsigned()) {
    return v2_error(422, 422, "an offset is a whole number of 0 or more");
  }
  const auto offset = std::min(entry["offset"].get<std::uint64_t>(), static_cast<std::uint64_t>(most.value()));
  out = Offset{static_cast<std::int64_t>(offset)};
  return std::nullopt;
}

std::optional<HttpError> read_truth(const Json& body, std::initializer_list<const char*> names, bool& out) {
  std::optional<std::string> text;
  if (auto wrong = read_setting(body, names, text)) return wrong;
  if (!text) return std::nullopt;
  if (*text != "true" && *text != "false") return bad_config(std::string(*names.begin()) + " is true or false");
  out = *text == "true";
  return std::nullopt;
}

std::optional<HttpError> read_format(const Json& body, RestFormat& format) {
  std::optional<std::string> text;
  if (auto wrong = read_setting(body, {"format"}, text)) return wrong;
  if (!text) return std::nullopt;
  std::ranges::transform(*text, text->begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  constexpr std::pair<std::string_view, RestFormat> formats[] = {
      {"binary", RestFormat::binary}, {"json", RestFormat::json}, {"text", RestFormat::text}};
  const auto found = std::ranges::find(formats, std::string_view(*text), [](const auto& one) { return one.first; });
  if (found == std::end(formats)) return v2_error(422, 422, "Invalid format type.");
  format = found->second;
  return std::nullopt;
}

std::optional<HttpError> read_reset(const Json& body, OffsetReset& reset) {
  std::optional<std::string> text;
  if (auto wrong = read_setting(body, {"auto.offset.reset"}, text)) return wrong;
  if (!text) return std::nullopt;
  if (*text != "earliest" && *text != "latest" && *text != "none") {
    return bad_config("auto.offset.reset is earliest, latest or none");
  }
  reset = *text == "earliest" ? OffsetReset::earliest : *text == "none" ? OffsetReset::none : OffsetReset::latest;
  return std::nullopt;
}

std::optional<HttpError> read_settings(const Json& body, consumer::RestOptions& settings) {
  std::optional<std::string> name;
  if (auto wrong = read_setting(body, {"id", "name"}, name)) return wrong;
  settings.name = name.value_or("rest-consumer-" + to_string(Uuid::random()));
  // It stands in URIs as it is.
  if (!group::check_group_name(settings.name)) return bad_config("name is 1 to 249 of a-z A-Z 0-9 . _ -");
  if (auto wrong = read_format(body, settings.format)) return wrong;
  if (auto wrong = read_reset(body, settings.reset)) return wrong;
  if (auto wrong = read_truth(body, {"auto.commit.enable", "enable.auto.commit"}, settings.auto_commit)) return wrong;
  if (auto wrong = read_truth(body, {"include.metadata"}, settings.with_metadata)) return wrong;
  if (auto wrong = read_whole(body, {"fetch.min.bytes", "responseMinBytes"}, -1, 10'000'000, settings.fetch_bytes_min)) {
    return wrong;
  }
  std::int64_t wait_ms = settings.request_ms_max;
  if (auto wrong = read_whole(body, {"consumer.request.timeout.ms", "requestWaitMs"}, 0, request_ms_max, wait_ms)) {
    return wrong;
  }
  settings.request_ms_max = wait_ms;
  return std::nullopt;
}

std::string_view before_comma(std::string_view field) {
  auto one = field.substr(0, field.find(','));
  while (!one.empty() && one.front() == ' ') one.remove_prefix(1);
  while (!one.empty() && one.back() == ' ') one.remove_suffix(1);
  return one;
}

/// host and proto of the first hop of `Forwarded`; empty when it lacks one. Source: RFC 7239.
std::string forwarded_origin(std::string_view field) {
  std::string host, proto;
  auto rest = field.substr(0, field.find(','));
  while (!rest.empty()) {
    const auto end = std::min(rest.find(';'), rest.size());
    auto pair = before_comma(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const auto equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    auto value = pair.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
    if (media_type(pair.substr(0, equals)) == "host") host = value;
    if (media_type(pair.substr(0, equals)) == "proto") proto = media_type(value);
  }
  if (host.empty() || (proto != "http" && proto != "https")) return {};
  return proto + "://" + host;
}

/// Where clients find this group's instances: as they came here, through proxies or not.
std::string base_uri(const Request& request) {
  const auto field = [&](std::string_view name) { return before_comma(request.head.field(name).value_or("")); };
  std::string origin = forwarded_origin(request.head.field("Forwarded").value_or(""));
  if (origin.empty()) {
    const auto forwarded = field("X-Forwarded-Host");
    const std::string host(forwarded.empty() ? std::string_view(request.head.field("Host").value_or("")) : forwarded);
    origin = (media_type(field("X-Forwarded-Proto")) == "https" ? "https://" : "http://") + host;
  }
  auto path = std::string(request.head.target.substr(0, request.head.target.find('?')));
  if (const auto given = field("X-Forwarded-Path"); !given.empty() && given.front() == '/') {
    path = given;
  } else if (auto prefix = field("X-Forwarded-Prefix"); !prefix.empty() && prefix.front() == '/') {
    while (prefix.ends_with('/')) prefix.remove_suffix(1);
    path = std::string(prefix) + path;
  }
  while (path.ends_with('/')) path.pop_back();
  return origin + path + "/instances/";
}

using Named = std::pair<TopicIdPartition, std::string>;

/// "topic" and "partition" of one entry; 404 when there is none.
std::optional<HttpError> read_partition_of(const Rest& rest, const Json& entry, Named& out) {
  if (!entry.is_object() || !entry.contains("topic") || !entry["topic"].is_string() || !entry.contains("partition")) {
    return v2_error(422, 422, "an entry wants a topic and a partition");
  }
  const auto number = whole_number(entry["partition"]);
  if (!number) return v2_error(422, 422, "a partition is a whole number");
  const auto name = entry["topic"].get<std::string>();
  const auto topic = rest.broker.topic(name);
  if (!topic || metadata::is_internal_topic(name)) return v2_error(404, 40401, "Topic not found.");
  if (*number < 0 || *number >= topic->partition_count()) return unknown_partition("Partition not found.");
  out = {{topic->id, PartitionId{*number}}, topic->name};
  return std::nullopt;
}

std::optional<HttpError> list_of(const Json& body, const char* name, bool wanted, Json& out) {
  out = body.contains(name) && !body[name].is_null() ? body[name] : Json();
  if (out.is_null() && !wanted) out = Json::array();
  if (out.is_array() && out.size() <= 10'000) return std::nullopt;
  return v2_error(422, 422, std::string(name) + " wants a list of at most 10000");
}

std::optional<HttpError> read_partitions(const Rest& rest, const Json& body, std::vector<Named>& out) {
  Json list;
  if (auto wrong = list_of(body, "partitions", true, list)) return wrong;
  for (const auto& entry : list) {
    Named one;
    if (auto wrong = read_partition_of(rest, entry, one)) return wrong;
    out.push_back(std::move(one));
  }
  return std::nullopt;
}

void seek_to(Rest& rest, const CallPtr& call, Request& request, SeekTarget::Kind kind) {
  Json body;
  std::vector<Named> partitions;
  auto wrong = read_body(std::move(request.body), {"partitions"}, body);
  if (!wrong) wrong = read_partitions(rest, body, partitions);
  if (wrong) return answer_wrong(rest, call, request, *wrong);
  consumer::RestSeek seek;
  for (const auto& [id, topic] : partitions) seek.targets.emplace_back(id, SeekTarget{.kind = kind});
  ask_to_do(rest, call, request, std::move(seek));
}

}  // namespace

// --- instances --------------------------------------------------------------------------------------------------------------------

void create_instance(Rest& rest, const CallPtr& call, Request& request) {
  Json body;
  auto wrong =
      read_body(std::move(request.body),
                {"name", "id", "format", "auto.offset.reset", "auto.commit.enable", "enable.auto.commit", "fetch.min.bytes",
                 "responseMinBytes", "consumer.request.timeout.ms", "requestWaitMs", "isolation.level", "include.metadata"},
                body);
  consumer::RestOptions settings{.group = request.parameters[0]};
  if (!wrong) wrong = read_settings(body, settings);
  if (wrong) return answer_error(call, request, *wrong);
  if (const auto good = group::check_group_name(settings.group); !good) {
    return answer_error(call, request, v2_error(422, 42204, good.error().message));
  }
  const auto name = settings.name;
  rest.consumers->create(std::move(settings), call, rest.clock.monotonic_now(),
                         Reply<Nothing>{[call, name, uri = base_uri(request) + name](const Result<Nothing>& made) {
                           if (made) return answer(call, {{"instance_id", name}, {"base_uri", uri}});
                           const bool taken = made.error().code == Errc::conflict;
                           answer_error(call, Dialect::v2,
                                        taken ? v2_error(409, 40902, made.error().message) : http_error(made.error()));
                         }});
}

void delete_instance(Rest& rest, const CallPtr& call, Request& request) {
  ask_to_do(rest, call, request, consumer::RestRemove{});
}

// --- what it reads ----------------------------------------------------------------------------------------------------------------

void subscribe_instance(Rest& rest, const CallPtr& call, Request& request) {
  Json body;
  if (auto wrong = read_body(std::move(request.body), {"topics", "topic_pattern"}, body)) {
    return answer_wrong(rest, call, request, *wrong);
  }
  const bool has_topics = body.contains("topics") && !body["topics"].is_null();
  const bool has_pattern = body.contains("topic_pattern") && !body["topic_pattern"].is_null();
  if (has_topics && has_pattern) {
    return answer_wrong(
        rest, call, request,
        v2_error(409, 40903, "Illegal state: Subscription to topics, partitions and pattern are mutually exclusive."));
  }
  std::vector<std::string> topics;
  std::string pattern;
  if (has_pattern) {
    if (!body["topic_pattern"].is_string())
      return answer_wrong(rest, call, request, v2_error(422, 422, "topic_pattern is a string"));
    pattern = body["topic_pattern"].get<std::string>();
  } else {
    if (!has_topics || !body["topics"].is_array()) {
      return answer_wrong(rest, call, request, v2_error(422, 422, "A list of topics or a topic_pattern must be specified."));
    }
    for (const auto& topic : body["topics"]) {
      if (!topic.is_string()) return answer_wrong(rest, call, request, v2_error(422, 422, "topics is a list of names"));
      topics.push_back(topic.get<std::string>());
      if (metadata::is_internal_topic(topics.back())) {
        return answer_wrong(rest, call, request, v2_error(403, 40301, "Internal topics are not for clients."));
      }
    }
  }
  ask_to_do(rest, call, request, consumer::RestSubscribe{std::move(topics), std::move(pattern)});
}

void show_subscription(Rest& rest, const CallPtr& call, Request& request) {
  ask<consumer::RestTopics>(rest, call, request, consumer::RestSubscription{}, [call](const consumer::RestTopics& said) {
    answer(call, {{"topics", said.topics}});
  });
}

void unsubscribe_instance(Rest& rest, const CallPtr& call, Request& request) {
  ask_to_do(rest, call, request, consumer::RestSubscribe{});
}

void assign_instance(Rest& rest, const CallPtr& call, Request& request) {
  Json body;
  std::vector<Named> partitions;
  auto wrong = read_body(std::move(request.body), {"partitions"}, body);
  if (!wrong) wrong = read_partitions(rest, body, partitions);
  if (wrong) return answer_wrong(rest, call, request, *wrong);
  ask_to_do(rest, call, request, consumer::RestAssign{std::move(partitions)});
}

void show_assignment(Rest& rest, const CallPtr& call, Request& request) {
  ask<consumer::RestPartitions>(rest, call, request, consumer::RestAssignment{},
                                [call](const consumer::RestPartitions& said) {
                                  Json all = Json::array();
                                  for (const auto& [topic, partition] : said.partitions) {
                                    all.push_back({{"topic", topic}, {"partition", partition.value()}});
                                  }
                                  answer(call, {{"partitions", std::move(all)}});
                                });
}

void read_instance(Rest& rest, const CallPtr& call, Request& request) {
  // The records would be gone, and nobody would have them.
  if (request.head.method == Method::head) return answer_error(call, request, v2_error(405, 405, "HEAD has no records"));
  std::int64_t wait_ms = request_ms_max, bytes = records_bytes_max;
  auto wrong = read_number(request.query, "timeout", 0, request_ms_max, true, wait_ms);
  const bool waits_its_own = !request.query.find("timeout").has_value();
  if (!wrong) wrong = read_number(request.query, "max_bytes", 1, records_bytes_max, true, bytes);
  if (wrong) return answer_wrong(rest, call, request, *wrong);
  const auto accept = media_type(before_comma(request.head.field("Accept").value_or("")));
  const auto format = std::make_shared<RestFormat>();
  auto check = [call, format, accept, waits_its_own,
                wait_ms](const consumer::RestOptions& options) -> std::optional<Millis> {
    const auto type = records_type(options.format);
    if (!accept.empty() && accept != "*/*" && accept != type) {
      answer_error(
          call, Dialect::v2,
          v2_error(406, 40601,
                   "The requested embedded data format does not match the deserializer for this consumer instance"));
      return std::nullopt;
    }
    *format = options.format;
    const auto wait = waits_its_own ? options.request_ms_max : std::min<Millis>(wait_ms, options.request_ms_max);
    return options.fetch_bytes_min < 0 ? std::max<Millis>(1, wait) : wait;
  };
  ask<consumer::RestPage>(
      rest, call, request, consumer::RestRead{.bytes_max = static_cast<std::uint64_t>(bytes)},
      [call, format](consumer::RestPage page) {
        call->answer({.content_type = records_type(*format), .body = std::move(page.text)});
      },
      std::move(check));
}

// --- positions --------------------------------------------------------------------------------------------------------------------

void commit_instance(Rest& rest, const CallPtr& call, Request& request) {
  Json body, list;
  auto wrong = read_body(std::move(request.body), {"offsets"}, body);
  std::optional<consumer::RestInstance::Positions> positions;
  if (!wrong && body.contains("offsets") && !body["offsets"].is_null()) {
    positions.emplace();
    wrong = list_of(body, "offsets", true, list);
    for (const auto& entry : list) {
      if (wrong) break;
      Named one;
      Offset offset{0};
      wrong = read_partition_of(rest, entry, one);
      if (!wrong) wrong = read_offset(entry, Offset::max() - 1, offset);
      if (wrong) break;
      // The last record that was read, as the reference has it: the position is behind it.
      positions->emplace_back(one.first, offset + 1);
    }
  }
  if (wrong) return answer_wrong(rest, call, request, *wrong);
  ask<std::vector<CommittedPosition>>(rest, call, request, consumer::RestCommit{std::move(positions)},
                                      [call](const std::vector<CommittedPosition>& done) {
                                        for (const auto& one : done) {
                                          if (!one.next) return answer_failure(call, one.next.error());
                                        }
                                        call->answer({.content_type = v2_type, .body = "[]"});
                                      });
}

void show_positions(Rest& rest, const CallPtr& call, std::string group, std::vector<group::GroupPartition> names) {
  rest.broker.group_api().offsets(
      {std::move(group), {}, std::move(names)}, group_request_ms,
      reply_on<std::vector<group::Position>>(call, [](const CallPtr& to, Result<std::vector<group::Position>> found) {
        if (!found) return answer_error(to, Dialect::v2, http_error(found.error()));
        Json offsets = Json::array();
        for (const auto& [name, position] : *found) {
          if (!position) continue;
          offsets.push_back({{"topic", name.topic},
                             {"partition", name.partition.value()},
                             {"offset", position->offset.value()},
                             {"metadata", position->metadata}});
        }
        answer(to, {{"offsets", std::move(offsets)}});
      }));
}

void show_committed(Rest& rest, const CallPtr& call, Request& request) {
  Json body;
  if (auto wrong = read_body(std::move(request.body), {"partitions"}, body))
    return answer_wrong(rest, call, request, *wrong);
  // Many clients and proxies drop the body of a GET: "a:0,a:1" says the same.
  if (const auto text = request.query.find("partitions"); text && !body.contains("partitions")) {
    body["partitions"] = Json::array();
    for (std::string_view rest_of = *text; !rest_of.empty();) {
      const auto comma = std::min(rest_of.find(','), rest_of.size());
      const auto one = rest_of.substr(0, comma);
      rest_of.remove_prefix(std::min(comma + 1, rest_of.size()));
      const auto colon = one.rfind(':');
      if (colon == std::string_view::npos)
        return answer_wrong(rest, call, request, bad_request("partitions wants topic:0,topic:1"));
      body["partitions"].push_back(
          {{"topic", std::string(one.substr(0, colon))}, {"partition", Json::parse(one.substr(colon + 1), nullptr, false)}});
    }
  }
  if (!body.contains("partitions")) return answer_wrong(rest, call, request, unknown_partition("Partition not found."));
  std::vector<Named> partitions;
  if (auto wrong = read_partitions(rest, body, partitions)) return answer_wrong(rest, call, request, *wrong);
  std::vector<group::GroupPartition> names;
  for (const auto& [id, topic] : partitions) names.push_back({topic, id.partition});
  // Who has it does not matter: the group's coordinator is asked. That it is there, does.
  ask<std::monostate>(rest, call, request, consumer::RestTouch{},
                      [call, &rest, group = request.parameters[0], names = std::move(names)](std::monostate) mutable {
                        show_positions(rest, call, std::move(group), std::move(names));
                      });
}

void seek_instance(Rest& rest, const CallPtr& call, Request& request) {
  Json body, offsets, times;
  auto wrong = read_body(std::move(request.body), {"offsets", "timestamps"}, body);
  if (!wrong) wrong = list_of(body, "offsets", false, offsets);
  if (!wrong) wrong = list_of(body, "timestamps", false, times);
  std::vector<std::pair<TopicIdPartition, SeekTarget>> targets;
  for (const auto& entry : offsets) {
    if (wrong) break;
    Named one;
    Offset offset{0};
    wrong = read_partition_of(rest, entry, one);
    if (!wrong) wrong = read_offset(entry, Offset::max(), offset);
    if (wrong) break;
    targets.emplace_back(one.first, SeekTarget{.offset = offset});
  }
  for (const auto& entry : times) {
    if (wrong) break;
    Named one;
    wrong = read_partition_of(rest, entry, one);
    if (wrong) break;
    const auto text = entry.contains("timestamp") ? setting_text(entry["timestamp"]) : std::nullopt;
    const auto time = consumer::parse_time(text.value_or(""));
    if (!time) {
      wrong = v2_error(422, 422, time.error().message);
    } else {
      targets.emplace_back(one.first, SeekTarget{.kind = SeekTarget::Kind::timestamp, .timestamp = *time});
    }
  }
  if (wrong) return answer_wrong(rest, call, request, *wrong);
  ask_to_do(rest, call, request, consumer::RestSeek{std::move(targets)});
}

void seek_instance_to_beginning(Rest& rest, const CallPtr& call, Request& request) {
  seek_to(rest, call, request, SeekTarget::Kind::earliest);
}

void seek_instance_to_end(Rest& rest, const CallPtr& call, Request& request) {
  seek_to(rest, call, request, SeekTarget::Kind::latest);
}

void add_v2_consumers(std::vector<Route>& all) {
  const auto add = [&](Method method, std::string_view pattern, std::string_view op, std::string_view summary,
                       Route::Handler handler, bool body, std::vector<unsigned> statuses) -> Route& {
    Route route{method, pattern, op, summary, Dialect::v2, handler, {}, {}, std::move(statuses)};
    if (body) {
      route.body_types = {v2_type, "application/vnd.kafka.json.v2+json", "application/vnd.kafka.binary.v2+json",
                          "application/vnd.kafka.text.v2+json", "application/json"};
    }
    return all.emplace_back(std::move(route));
  };
  add(Method::post, "/consumers/{group}", "v2_create_consumer", "Makes a consumer instance of a group", create_instance,
      true, {200, 400, 409, 415, 422, 503});
  add(Method::delete_, "/consumers/{group}/instances/{instance}", "v2_delete_consumer", "Ends it", delete_instance, false,
      {204, 404, 503});
  constexpr std::string_view subscription = "/consumers/{group}/instances/{instance}/subscription";
  add(Method::post, subscription, "v2_subscribe", "Reads topics, or all whose names match a pattern", subscribe_instance,
      true, {204, 400, 404, 409, 415, 422, 503});
  add(Method::get, subscription, "v2_subscription", "The topics that it reads", show_subscription, false, {200, 404, 503});
  add(Method::delete_, subscription, "v2_unsubscribe", "Reads nothing", unsubscribe_instance, false, {204, 404, 503});
  constexpr std::string_view assignments = "/consumers/{group}/instances/{instance}/assignments";
  add(Method::post, assignments, "v2_assign", "Reads partitions of its own choice, as no member", assign_instance, true,
      {204, 400, 404, 409, 415, 422, 503});
  add(Method::get, assignments, "v2_assignments", "The partitions that it has", show_assignment, false, {200, 404, 503});
  auto& records = add(Method::get, "/consumers/{group}/instances/{instance}/records", "v2_records",
                      "The next records, as soon as there are any", read_instance, false, {200, 400, 404, 406, 408, 503});
  records.any_answer = true;
  records.query = {{"timeout", "integer", "Milliseconds to wait for records, at most the instance's own limit"},
                   {"max_bytes", "integer", "Bytes of the answer at most; one record is given in any case"}};
  constexpr std::string_view offsets = "/consumers/{group}/instances/{instance}/offsets";
  add(Method::post, offsets, "v2_commit", "Commits all that was read, or what the body names", commit_instance, true,
      {200, 400, 404, 409, 415, 422, 503});
  add(Method::get, offsets, "v2_committed", "What is committed", show_committed, true, {200, 400, 404, 415, 422, 503})
      .query = {{"partitions", "string", "topic:0,topic:1, in place of a body"}};
  add(Method::post, "/consumers/{group}/instances/{instance}/positions", "v2_seek", "Goes on at offsets, or at times",
      seek_instance, true, {204, 400, 404, 409, 415, 422, 503});
  add(Method::post, "/consumers/{group}/instances/{instance}/positions/beginning", "v2_seek_beginning",
      "Goes on at the earliest records", seek_instance_to_beginning, true, {204, 400, 404, 409, 415, 422, 503});
  add(Method::post, "/consumers/{group}/instances/{instance}/positions/end", "v2_seek_end",
      "Goes on behind the last records", seek_instance_to_end, true, {204, 400, 404, 409, 415, 422, 503});
}

}  // namespace troupe::http
