#include <algorithm>
#include <limits>

#include "core/consumer/cursor.hpp"
#include "core/group/group_rules.hpp"
#include "http/rest/answers.hpp"
#include "http/rest/cluster_json.hpp"
#include "http/rest/group_view.hpp"
#include "http/rest/handlers.hpp"

/// What operators do to the positions of a group.
namespace troupe::http {
namespace {

using Partitions = std::vector<group::GroupPartition>;

/// Where to. Names as kafka-consumer-groups has them.
struct Aim {
  enum class Kind : std::uint8_t { earliest, latest, offset, time, shift, current };
  Kind kind = Kind::latest;
  std::int64_t number = 0;
};

struct Reset {
  std::string group = {};
  Aim aim = {};
  bool dry_run = false;
  std::optional<Partitions> partitions = {};  ///< nullopt: all that the group has
};

/// One partition of a reset on its way.
struct Place {
  group::GroupPartition partition = {};
  std::optional<Offset> before = {};
  Result<Offset> after = Offset{0};
};

std::optional<HttpError> read_aim(const Json& body, Aim& out) {
  const auto number_of = [&](const char* name, std::int64_t least) -> std::optional<HttpError> {
    const auto& value = body[name];
    const bool fits =
        value.is_number_integer() &&
        (!value.is_number_unsigned() || value.get<std::uint64_t>() <= std::numeric_limits<std::int64_t>::max()) &&
        value.get<std::int64_t>() >= least;
    if (!fits) return bad_request(std::string(name) + (least < 0 ? " is a whole number" : " is a whole number from 0 on"));
    out.number = value.get<std::int64_t>();
    return std::nullopt;
  };
  const auto has = [&](const char* name) { return body.contains(name) && !body[name].is_null(); };
  const int aims = (has("to") ? 1 : 0) + (has("to_offset") ? 1 : 0) + (has("to_time") ? 1 : 0) + (has("shift_by") ? 1 : 0);
  if (aims != 1) return bad_request("one of to, to_offset, to_time and shift_by says where to");
  if (has("to_offset")) {
    out.kind = Aim::Kind::offset;
    return number_of("to_offset", 0);
  }
  if (has("to_time")) {
    out.kind = Aim::Kind::time;
    if (!body["to_time"].is_string()) return number_of("to_time", 0);
    const auto time = consumer::parse_time(body["to_time"].get<std::string>());
    if (!time) return bad_request("to_time: " + time.error().message);
    out.number = time->value();
    return std::nullopt;
  }
  if (has("shift_by")) {
    out.kind = Aim::Kind::shift;
    return number_of("shift_by", std::numeric_limits<std::int64_t>::min());
  }
  const auto word = body["to"].is_string() ? body["to"].get<std::string>() : std::string();
  if (word != "earliest" && word != "latest" && word != "current") return bad_request("to is earliest, latest or current");
  out.kind = word == "earliest" ? Aim::Kind::earliest : word == "latest" ? Aim::Kind::latest : Aim::Kind::current;
  return std::nullopt;
}

/// "topics": all partitions of each; "partitions": these.
std::optional<HttpError> read_places(Rest& rest, const Json& body, std::optional<Partitions>& out) {
  const auto has = [&](const char* name) { return body.contains(name) && !body[name].is_null(); };
  if (has("topics")) {
    const auto& topics = body["topics"];
    if (!topics.is_array() || topics.empty() || topics.size() > named_partitions_max) {
      return bad_request("topics is a list of names");
    }
    out.emplace();
    for (const auto& name : topics) {
      const auto topic = name.is_string() ? rest.broker.topic(name.get<std::string>()) : nullptr;
      if (!topic) return http_error(Error{Errc::unknown_topic_or_partition, "there is no topic " + shown(dump(name))});
      for (std::int32_t i = 0; i < topic->partition_count(); ++i) out->push_back({topic->name, PartitionId{i}});
    }
  }
  if (has("partitions")) {
    std::vector<NamedPartition> named;
    if (auto wrong = read_named_partitions(body, "partitions", {}, named)) return wrong;
    if (!out) out.emplace();
    for (const auto& one : named) out->push_back({one.topic, PartitionId{one.partition}});
  }
  if (!out) return std::nullopt;
  std::ranges::sort(*out);
  out->erase(std::unique(out->begin(), out->end()), out->end());
  if (out->size() > named_partitions_max) {
    return bad_request(std::to_string(out->size()) + " partitions are named: at most " +
                       std::to_string(named_partitions_max) + " at once");
  }
  return std::nullopt;
}

/// Where a partition is to go on; never outside what the log has.
Result<Offset> aim_at(const Aim& aim, const Place& place, const OffsetAnswer& found) {
  const auto within = [&](std::int64_t offset) {
    return Offset{std::clamp(offset, found.log_start_offset.value(), found.high_watermark.value())};
  };
  switch (aim.kind) {
    case Aim::Kind::earliest:
    case Aim::Kind::latest:
    case Aim::Kind::time: return within(found.offset.value());
    case Aim::Kind::offset: return within(aim.number);
    case Aim::Kind::current:
    case Aim::Kind::shift: break;
  }
  if (!place.before)
    return Error{Errc::invalid_argument, "the group has committed nothing there: there is nowhere to start from"};
  const auto from = place.before->value();
  if (aim.kind == Aim::Kind::current) return within(from);
  const auto farthest = std::numeric_limits<std::int64_t>::max();
  if (aim.number > 0 && from > farthest - aim.number) return within(farthest);
  return within(from + aim.number);
}

OffsetSpec spec_of(const Aim& aim) {
  switch (aim.kind) {
    case Aim::Kind::earliest: return {.kind = OffsetSpec::Kind::earliest};
    case Aim::Kind::time: return {.kind = OffsetSpec::Kind::timestamp, .timestamp = TimestampMs{aim.number}};
    default: return {.kind = OffsetSpec::Kind::latest};
  }
}

void answer_reset(const CallPtr& call, const Reset& reset, const std::vector<Place>& places) {
  Json results = Json::array();
  for (const auto& one : places) {
    Json result{{"topic", one.partition.topic},
                {"partition", one.partition.partition.value()},
                {"before", one.before ? Json(one.before->value()) : Json()}};
    one.after ? result["after"] = one.after->value() : result["error"] = error_json(one.after.error());
    results.push_back(std::move(result));
  }
  call->answer({.body = dump({{"group", reset.group}, {"dry_run", reset.dry_run}, {"results", std::move(results)}})});
}

void commit_reset(Rest& rest, const CallPtr& call, const Reset& reset, std::vector<Place> places) {
  group::ResetRequest request{reset.group, {}};
  for (const auto& one : places) {
    if (one.after) request.positions.push_back({one.partition, *one.after});
  }
  if (reset.dry_run || request.positions.empty()) return answer_reset(call, reset, places);
  auto take = [reset, places = std::move(places)](const CallPtr& to, Result<std::vector<Status>> done) mutable {
    if (!done) return answer_error(to, Dialect::v1, http_error(done.error()));
    std::size_t next = 0;
    for (auto& one : places) {
      if (!one.after) continue;
      if (next == done->size())
        return answer_error(to, Dialect::v1, http_error(500, "internal", "the coordinator's answer is not whole"));
      if (const auto& status = (*done)[next++]; !status) one.after = status.error();
    }
    answer_reset(to, reset, places);
  };
  rest.broker.group_api().reset(std::move(request), group_timeout_ms, reply_on<std::vector<Status>>(call, std::move(take)));
}

void find_places(Rest& rest, const CallPtr& call, Reset reset, const std::vector<group::Position>& committed) {
  Partitions wanted;
  if (reset.partitions) {
    wanted = *reset.partitions;
  } else {
    for (const auto& [partition, offset] : committed) wanted.push_back(partition);
  }
  std::vector<Place> places;
  for (const auto& partition : wanted) {
    const auto found = std::ranges::find(committed, partition, &group::Position::first);
    places.push_back(
        {partition, found != committed.end() && found->second ? std::optional{found->second->offset} : std::nullopt});
  }
  const auto spec = spec_of(reset.aim);
  auto take = [&rest, reset = std::move(reset), places = std::move(places)](
                  const CallPtr& to, std::vector<Result<OffsetAnswer>> found) mutable {
    for (std::size_t i = 0; i < places.size(); ++i) {
      places[i].after = found[i] ? aim_at(reset.aim, places[i], *found[i]) : Result<Offset>{found[i].error()};
    }
    commit_reset(rest, to, reset, std::move(places));
  };
  find_offsets(rest, call, wanted, spec, std::move(take));
}

}  // namespace

void reset_group(Rest& rest, const CallPtr& call, Request& request) {
  Json body;
  Reset reset{.group = request.parameters.front()};
  auto wrong = read_json_object(std::move(request.body),
                                {"to", "to_offset", "to_time", "shift_by", "topics", "partitions", "dry_run"}, body);
  if (!wrong) wrong = read_aim(body, reset.aim);
  if (!wrong) wrong = read_flag(body, "dry_run", reset.dry_run);
  if (!wrong) wrong = read_places(rest, body, reset.partitions);
  if (wrong) return answer_error(call, request, *wrong);
  if (const auto named = group::check_group_name(reset.group); !named)
    return answer_error(call, request, http_error(named.error()));
  auto take = [&rest, reset](const CallPtr& to, Result<std::vector<group::Position>> committed) mutable {
    if (!committed) return answer_error(to, Dialect::v1, read_error(committed.error()));
    if (!reset.partitions && committed->empty()) {
      return answer_error(
          to, Dialect::v1,
          http_error(Error{Errc::group_id_not_found,
                           "there is no group '" + reset.group + "' with committed offsets: name topics or partitions"}));
    }
    find_places(rest, to, std::move(reset), *committed);
  };
  rest.broker.group_api().offsets({reset.group, {}, {}}, group_timeout_ms,
                                  reply_on<std::vector<group::Position>>(call, std::move(take)));
}

void delete_group_offsets(Rest& rest, const CallPtr& call, Request& request) {
  const auto topic = request.query.find("topic");
  if (!topic) return answer_error(call, request, bad_request("topic is missing: whose offsets are to go"));
  std::int64_t partition = -1;
  if (auto wrong = read_number(request.query, "partition", 0, std::numeric_limits<std::int32_t>::max(), false, partition)) {
    return answer_error(call, request, *wrong);
  }
  const auto group = request.parameters.front();
  auto forget = [&rest, group](const CallPtr& to, const Partitions& partitions) {
    auto take = [group, partitions](const CallPtr& at, Result<std::vector<Status>> done) {
      if (!done) return answer_error(at, Dialect::v1, http_error(done.error()));
      Json results = Json::array();
      for (std::size_t i = 0; i < partitions.size() && i < done->size(); ++i) {
        Json one{{"topic", partitions[i].topic}, {"partition", partitions[i].partition.value()}};
        if (!(*done)[i]) one["error"] = error_json((*done)[i].error());
        results.push_back(std::move(one));
      }
      at->answer({.body = dump({{"group", group}, {"results", std::move(results)}})});
    };
    rest.broker.group_api().delete_offsets(group, partitions, group_timeout_ms,
                                           reply_on<std::vector<Status>>(to, std::move(take)));
  };
  if (partition >= 0) return forget(call, {{std::string(*topic), PartitionId{static_cast<std::int32_t>(partition)}}});
  auto all = [forget, name = std::string(*topic)](const CallPtr& to, Result<std::vector<group::Position>> committed) {
    if (!committed) return answer_error(to, Dialect::v1, read_error(committed.error()));
    Partitions partitions;
    for (const auto& [one, offset] : *committed) {
      if (one.topic == name) partitions.push_back(one);
    }
    forget(to, partitions);
  };
  rest.broker.group_api().offsets({group, {}, {}}, group_timeout_ms,
                                  reply_on<std::vector<group::Position>>(call, std::move(all)));
}

void add_v1_groups(std::vector<Route>& all) {
  const auto add = [&](Method method, std::string_view pattern, std::string_view op, std::string_view summary,
                       Route::Handler handler, std::vector<unsigned> statuses) -> Route& {
    all.push_back({method, pattern, op, summary, Dialect::v1, handler, {}, {}, std::move(statuses)});
    return all.back();
  };
  add(Method::get, "/v1/groups", "groups", "All consumer groups by name", list_groups, {200, 503});
  add(Method::get, "/v1/groups/{group}", "group", "One group: members, what each reads, committed offsets and lag",
      describe_group, {200, 404, 503});
  add(Method::delete_, "/v1/groups/{group}", "delete_group", "Deletes a group without members, and its offsets",
      delete_group, {204, 404, 409, 500, 503});
  add(Method::get, "/v1/groups/{group}/offsets", "group_offsets", "A group's committed offsets and lag", group_offsets,
      {200, 404, 503});
  auto& forget =
      add(Method::delete_, "/v1/groups/{group}/offsets", "delete_group_offsets",
          "Deletes the group's offsets of a topic that no member reads", delete_group_offsets, {200, 400, 404, 500, 503});
  forget.query = {{"topic", "string", "Of this topic"}, {"partition", "integer", "Only of this partition"}};
  add(Method::post, "/v1/groups/{group}/pause", "pause_group",
      "Members stay and keep their partitions, but read nothing until the group is resumed", pause_group,
      {200, 400, 404, 500, 503});
  add(Method::post, "/v1/groups/{group}/resume", "resume_group", "A paused group goes on where it stands", resume_group,
      {200, 400, 404, 500, 503});
  add(Method::post, "/v1/groups/{group}/reset", "reset_group",
      "Sets positions: to earliest, latest, an offset, a time, or by a number of records; also while members read",
      reset_group, {200, 400, 404, 415, 500, 503})
      .body_types = {"application/json"};
}

}  // namespace troupe::http
