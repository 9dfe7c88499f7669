#include "http/stream/ws_command.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "http/json/json_syntax.hpp"

namespace troupe::http {
namespace {

using Json = nlohmann::json;

constexpr std::size_t sub_bytes_max = 128;
constexpr std::size_t session_bytes_max = 64;
constexpr std::int64_t resume_grace_ms_max = 300'000;
constexpr std::int64_t ping_ms_min = 1'000;
constexpr std::size_t pattern_bytes_max = 249;
constexpr std::size_t topics_max = 32;
constexpr std::size_t keys_max = 1000;
constexpr std::size_t client_id_bytes_max = 256;
constexpr std::int64_t last_max = 10'000;
constexpr std::int64_t history_max = 1000;
constexpr std::size_t conflate_keys_max = 100'000;

Error bad(std::string what) { return {Errc::invalid_argument, std::move(what)}; }

/// The members of one command, by name. The text has been found to be JSON.
class Members {
 public:
  explicit Members(std::string_view text) : members_(json_members(text)) {}

  const JsonMember* find(std::string_view name) const {
    const auto found = std::ranges::find(members_, name, &JsonMember::name);
    return found == members_.end() ? nullptr : &*found;
  }
  bool has(std::string_view name) const { return find(name) != nullptr; }
  /// null counts as absent.
  Json json(std::string_view name) const {
    const auto* member = find(name);
    return member == nullptr ? Json() : Json::parse(member->value, nullptr, false);
  }

 private:
  std::vector<JsonMember> members_;
};

Result<std::string> text_of(const Json& value, const char* name, std::size_t bytes_max) {
  if (!value.is_string()) return bad(std::string(name) + ": wants a string");
  const auto& text = value.get_ref<const std::string&>();
  if (text.empty() || text.size() > bytes_max)
    return bad(std::string(name) + ": wants 1 to " + std::to_string(bytes_max) + " bytes");
  return text;
}

/// A whole number of 0 or more; what does not fit is the largest that does.
Result<std::int64_t> count_of(const Json& value, const char* name) {
  constexpr auto largest = std::numeric_limits<std::int64_t>::max();
  if (value.is_number_unsigned())
    return static_cast<std::int64_t>(std::min<std::uint64_t>(value.get<std::uint64_t>(), largest));
  if (value.is_number_integer()) return bad(std::string(name) + ": wants 0 or more");
  if (value.is_number_float() && value.get<double>() >= 9.2e18) return largest;
  return bad(std::string(name) + ": wants a whole number of 0 or more");
}

Result<std::string> sub_of(const Members& members) { return text_of(members.json("sub"), "sub", sub_bytes_max); }
Result<std::string> topic_of(const Members& members) { return text_of(members.json("topic"), "topic", 249); }

Result<RecordFormat> format_of(const Members& members) {
  const auto value = members.json("format");
  if (value.is_null()) return RecordFormat::auto_;
  if (!value.is_string()) return bad("format: wants auto, json, text or binary");
  return parse_record_format(value.get_ref<const std::string&>());
}

Result<std::set<std::string, std::less<>>> keys_of(const Members& members) {
  std::set<std::string, std::less<>> keys;
  const auto value = members.json("keys");
  if (value.is_null()) return keys;
  if (!value.is_array() || value.empty() || value.size() > keys_max) return bad("keys: wants 1 to 1000 strings");
  for (const auto& key : value) {
    if (!key.is_string()) return bad("keys: wants 1 to 1000 strings");
    keys.insert(key.get_ref<const std::string&>());
  }
  return keys;
}

Result<consumer::Credit> credit_of(const Json& value) {
  consumer::Credit credit;
  if (!value.is_object()) return bad("credit: wants an object with msgs, bytes or both");
  if (value.contains("msgs")) {
    TROUPE_TRY_ASSIGN(credit.messages, count_of(value["msgs"], "msgs"));
  }
  if (value.contains("bytes")) {
    TROUPE_TRY_ASSIGN(credit.bytes, count_of(value["bytes"], "bytes"));
  }
  if (!credit.messages && !credit.bytes) return bad("credit: wants msgs, bytes or both");
  return credit;
}

Result<std::map<PartitionId, Offset>> offsets_of(const Json& value) {
  std::map<PartitionId, Offset> offsets;
  if (!value.is_object() || value.empty() || value.size() > 10'000) return bad("from.offset: wants {\"PARTITION\": offset}");
  for (const auto& [name, offset] : value.items()) {
    std::int32_t partition = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), partition);
    if (error != std::errc{} || end != name.data() + name.size() || partition < 0 || std::to_string(partition) != name) {
      return bad("from.offset: a partition is a number of 0 or more");
    }
    TROUPE_TRY_ASSIGN(const auto at, count_of(offset, "from.offset"));
    offsets[PartitionId{partition}] = Offset{at};
  }
  return offsets;
}

Status read_from(const Json& value, SubscribeCommand& command) {
  using Kind = consumer::StartFrom::Kind;
  static constexpr std::array names{"earliest", "latest", "last", "offset", "time", "ago_ms", "cursor", "committed"};
  if (value.is_null()) return ok();
  if (!value.is_object()) return bad("from: wants an object, as {\"earliest\":true}");
  const auto given = std::ranges::count_if(names, [&](const char* name) { return value.contains(name); });
  if (given != 1) return bad("from: wants exactly one of earliest, latest, last, offset, time, ago_ms, cursor");
  auto& from = command.from;
  if (value.contains("earliest") || value.contains("latest")) {
    const bool earliest = value.contains("earliest");
    if (value[earliest ? "earliest" : "latest"] != true) return bad("from: earliest and latest want true");
    from.kind = earliest ? Kind::earliest : Kind::latest;
  } else if (value.contains("last")) {
    TROUPE_TRY_ASSIGN(from.last, count_of(value["last"], "from.last"));
    if (from.last > last_max) return bad("from.last: at most 10000");
    from.kind = Kind::last;
  } else if (value.contains("offset")) {
    TROUPE_TRY_ASSIGN(from.offsets, offsets_of(value["offset"]));
    from.kind = Kind::offsets;
  } else if (value.contains("time")) {
    if (value["time"].is_string()) {
      TROUPE_TRY_ASSIGN(from.time, consumer::parse_time(value["time"].get_ref<const std::string&>()));
    } else {
      TROUPE_TRY_ASSIGN(const auto ms, count_of(value["time"], "from.time"));
      from.time = TimestampMs{ms};
    }
    from.kind = Kind::time;
  } else if (value.contains("ago_ms")) {
    TROUPE_TRY_ASSIGN(from.ago_ms, count_of(value["ago_ms"], "from.ago_ms"));
    from.kind = Kind::ago;
  } else if (value.contains("cursor")) {
    if (!value["cursor"].is_string()) return bad("from.cursor: wants a string");
    command.cursor = value["cursor"].get<std::string>();
  } else {
    return bad("from.committed: goes with a group");
  }
  return ok();
}

Status read_slow(const Json& value, consumer::SlowOptions& slow) {
  if (value.is_null()) return ok();
  if (!value.is_object() || !value.contains("policy") || !value["policy"].is_string()) {
    return bad("slow: wants an object with a policy: block, conflate or disconnect");
  }
  TROUPE_TRY_ASSIGN(slow, parse_slow_policy(value["policy"].get_ref<const std::string&>()));
  if (value.contains("max_keys")) {
    TROUPE_TRY_ASSIGN(const auto keys, count_of(value["max_keys"], "slow.max_keys"));
    if (keys < 1) return bad("slow.max_keys: wants 1 or more");
    slow.keys_max = std::min(static_cast<std::size_t>(keys), conflate_keys_max);
  }
  if (value.contains("max_rate")) {
    const auto rate = value["max_rate"].is_number() ? value["max_rate"].get<double>() : 0.0;
    if (!(rate >= 0.001 && rate <= 1000)) return bad("slow.max_rate: wants 0.001 to 1000 records per key and second");
    slow.interval_ms = std::max<Millis>(1, static_cast<Millis>(1000.0 / rate));
  }
  if (value.contains("after_ms")) {
    TROUPE_TRY_ASSIGN(slow.after_ms, count_of(value["after_ms"], "slow.after_ms"));
  }
  if (value.contains("max_lag")) {
    TROUPE_TRY_ASSIGN(slow.lag_max, count_of(value["max_lag"], "slow.max_lag"));
  }
  if (slow.policy == consumer::SlowPolicy::disconnect && !slow.after_ms && !slow.lag_max) slow.after_ms = 10'000;
  return ok();
}

Result<Command> read_connect(const Members& members) {
  if (members.has("will") && !members.json("will").is_null()) return Command{UnsupportedCommand{"will"}};
  ConnectCommand command;
  if (const auto session = members.json("session"); !session.is_null()) {
    TROUPE_TRY_ASSIGN(command.session, text_of(session, "session", session_bytes_max));
  }
  if (const auto client = members.json("client"); !client.is_null() && client != "") {
    TROUPE_TRY_ASSIGN(command.client, text_of(client, "client", client_id_bytes_max));
  }
  if (members.has("resume_grace_ms")) {
    TROUPE_TRY_ASSIGN(command.resume_grace_ms, count_of(members.json("resume_grace_ms"), "resume_grace_ms"));
    if (*command.resume_grace_ms > resume_grace_ms_max) {
      return bad("resume_grace_ms: at most " + std::to_string(resume_grace_ms_max));
    }
  }
  if (members.has("ping_ms")) {
    TROUPE_TRY_ASSIGN(command.ping_ms, count_of(members.json("ping_ms"), "ping_ms"));
    if (*command.ping_ms < ping_ms_min) return bad("ping_ms: at least " + std::to_string(ping_ms_min));
  }
  return Command{std::move(command)};
}

Result<Command> read_produce(const Members& members, std::string_view text) {
  ProduceCommand command{.text = text};
  TROUPE_TRY_ASSIGN(command.topic, topic_of(members));
  if (members.has("expect")) return Command{UnsupportedCommand{"expect"}};
  const auto acks = members.json("acks");
  if (acks == "none") {
    command.acks = Acks::none;
  } else if (acks == "leader") {
    command.acks = Acks::leader;
  } else if (!acks.is_null() && acks != "quorum") {
    return bad("acks: wants none, leader or quorum");
  }
  command.inline_record = !members.has("records");
  const auto pid = members.json("pid");
  const auto seq = members.json("seq");
  if (pid.is_null() != seq.is_null()) return bad("pid and seq: go together");
  if (!pid.is_null()) {
    if (!seq.is_number_unsigned()) return bad("seq: wants a whole number of 0 or more");
    TROUPE_TRY_ASSIGN(auto client_id, text_of(pid, "pid", client_id_bytes_max));
    command.idempotence = IdempotenceKey{.client_id = std::move(client_id), .sequence = seq.get<std::uint64_t>()};
  }
  return Command{std::move(command)};
}

Result<std::vector<std::string>> topics_of(const Json& topics) {
  std::vector<std::string> names;
  if (!topics.is_array() || topics.empty() || topics.size() > topics_max) return bad("topics: wants 1 to 32 names");
  for (const auto& topic : topics) {
    TROUPE_TRY_ASSIGN(auto name, text_of(topic, "topics", 249));
    if (std::ranges::find(names, name) != names.end()) return bad("topics: names one twice");
    names.push_back(std::move(name));
  }
  return names;
}

/// {"committed":true,"else":"earliest"}; without it, the committed position or else the latest.
Status read_committed(const Json& value, OffsetReset& otherwise) {
  if (value.is_null()) return ok();
  if (!value.is_object() || value.value("committed", Json()) != true || value.size() > 2) {
    return bad("from: a group goes on where it is: wants {\"committed\":true,\"else\":\"earliest\"}");
  }
  const auto name = value.value("else", Json("latest"));
  if (name == "earliest") {
    otherwise = OffsetReset::earliest;
  } else if (name == "none") {
    otherwise = OffsetReset::none;
  } else if (name != "latest") {
    return bad("from.else: wants earliest, latest or none");
  }
  return ok();
}

/// `subscribe` with a group.
Result<Command> read_join(const Members& members) {
  const auto mode = members.json("mode");
  if (mode == "share") return Command{UnsupportedCommand{"mode share"}};
  if (!mode.is_null() && mode != "group") return bad("mode: wants group");
  for (const auto* name : {"filter", "presence", "update"}) {
    if (members.has(name)) return Command{UnsupportedCommand{name}};
  }
  for (const auto* name : {"keys", "snapshot", "slow", "on_gap"}) {
    if (members.has(name)) return bad(std::string(name) + ": does not go with a group, whose members share all records");
  }
  JoinCommand command;
  auto& definition = command.definition;
  TROUPE_TRY_ASSIGN(command.sub, sub_of(members));
  TROUPE_TRY_ASSIGN(definition.group, text_of(members.json("group"), "group", 249));
  if (const auto pattern = members.json("pattern"); !pattern.is_null()) {
    TROUPE_TRY_ASSIGN(definition.pattern, text_of(pattern, "pattern", pattern_bytes_max));
  }
  if (definition.pattern.empty() || !members.json("topics").is_null()) {
    TROUPE_TRY_ASSIGN(definition.topics, topics_of(members.json("topics")));
  }
  if (const auto instance = members.json("instance"); !instance.is_null()) {
    TROUPE_TRY_ASSIGN(definition.instance, text_of(instance, "instance", 249));
  }
  if (const auto assignor = members.json("assignor"); !assignor.is_null()) {
    TROUPE_TRY_ASSIGN(definition.assignor, text_of(assignor, "assignor", 249));
  }
  const auto ack = members.json("ack");
  if (!ack.is_null() && ack != "auto" && ack != "manual") return bad("ack: wants auto or manual");
  definition.manual_ack = ack == "manual";
  TROUPE_TRY(read_committed(members.json("from"), definition.otherwise));
  if (const auto credit = members.json("credit"); !credit.is_null()) {
    TROUPE_TRY_ASSIGN(command.credit, credit_of(credit));
  }
  TROUPE_TRY_ASSIGN(definition.format, format_of(members));
  return Command{std::move(command)};
}

Result<PartitionId> partition_of(const std::string& name, const char* where) {
  std::int32_t partition = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), partition);
  if (error != std::errc{} || end != name.data() + name.size() || partition < 0) {
    return bad(std::string(where) + ": a partition is a number of 0 or more");
  }
  return PartitionId{partition};
}

Result<Command> read_ack(const Members& members) {
  AckCommand command;
  TROUPE_TRY_ASSIGN(command.sub, sub_of(members));
  const auto upto = members.json("upto");
  if (upto.is_string()) {
    command.cursor = upto.get<std::string>();
    return Command{std::move(command)};
  }
  if (!upto.is_object() || upto.empty() || upto.size() > 1000) {
    return bad("upto: wants a cursor, or {\"TOPIC\":{\"PARTITION\":offset}}");
  }
  for (const auto& [topic, offsets] : upto.items()) {
    if (!offsets.is_object() || offsets.size() > 10'000) return bad("upto: wants {\"TOPIC\":{\"PARTITION\":offset}}");
    for (const auto& [name, offset] : offsets.items()) {
      TROUPE_TRY_ASSIGN(const auto partition, partition_of(name, "upto"));
      TROUPE_TRY_ASSIGN(const auto at, count_of(offset, "upto"));
      if (at == std::numeric_limits<std::int64_t>::max()) return bad("upto: there is no such offset");
      command.done[topic][partition] = Offset{at};
    }
  }
  return Command{std::move(command)};
}

Result<Command> read_revoked(const Members& members) {
  RevokedCommand command;
  TROUPE_TRY_ASSIGN(command.sub, sub_of(members));
  const auto partitions = members.json("partitions");
  if (!partitions.is_object() || partitions.size() > 1000) return bad("partitions: wants {\"TOPIC\":[0,3]}");
  for (const auto& [topic, numbers] : partitions.items()) {
    if (!numbers.is_array() || numbers.size() > 10'000) return bad("partitions: wants {\"TOPIC\":[0,3]}");
    for (const auto& number : numbers) {
      TROUPE_TRY_ASSIGN(const auto partition, count_of(number, "partitions"));
      if (partition > std::numeric_limits<std::int32_t>::max()) return bad("partitions: there is no such partition");
      command.partitions[topic].emplace_back(static_cast<std::int32_t>(partition));
    }
  }
  return Command{std::move(command)};
}

Result<Command> read_subscribe(const Members& members) {
  if (members.has("group") && !members.json("group").is_null()) return read_join(members);
  for (const auto* name : {"mode", "ack", "assignor", "instance", "filter", "presence", "pattern", "update"}) {
    if (members.has(name) && !members.json(name).is_null() && members.json(name) != false)
      return Command{UnsupportedCommand{name}};
  }
  SubscribeCommand command;
  TROUPE_TRY_ASSIGN(command.sub, sub_of(members));
  TROUPE_TRY_ASSIGN(command.topics, topics_of(members.json("topics")));
  TROUPE_TRY(read_from(members.json("from"), command));
  if (!command.from.offsets.empty() && command.topics.size() > 1) return bad("from.offset: is for one topic");
  TROUPE_TRY_ASSIGN(command.keys, keys_of(members));
  if (const auto snapshot = members.json("snapshot"); !snapshot.is_null()) {
    if (snapshot != "latest_per_key") return bad("snapshot: wants latest_per_key");
    if (command.from.kind != consumer::StartFrom::Kind::latest)
      return bad("snapshot: goes with from latest or a cursor only");
    command.snapshot = true;
  }
  const auto slow = members.json("slow");
  if (slow.is_object() && slow.contains("policy") && (slow["policy"] == "drop_oldest" || slow["policy"] == "sample")) {
    return Command{UnsupportedCommand{"slow.policy " + slow["policy"].get<std::string>()}};
  }
  TROUPE_TRY(read_slow(slow, command.slow));
  if (const auto on_gap = members.json("on_gap"); !on_gap.is_null()) {
    if (on_gap == "snapshot") {
      command.on_gap = consumer::OnGap::snapshot;
    } else if (on_gap == "fail") {
      command.on_gap = consumer::OnGap::fail;
    } else if (on_gap != "continue") {
      return bad("on_gap: wants continue, snapshot or fail");
    }
  }
  if (const auto credit = members.json("credit"); !credit.is_null()) {
    TROUPE_TRY_ASSIGN(command.credit, credit_of(credit));
  }
  TROUPE_TRY_ASSIGN(command.format, format_of(members));
  return Command{std::move(command)};
}

Result<Command> read_credit(const Members& members) {
  CreditCommand command;
  TROUPE_TRY_ASSIGN(command.sub, sub_of(members));
  Json credit = Json::object();
  for (const auto* name : {"msgs", "bytes"}) {
    if (members.has(name)) credit[name] = members.json(name);
  }
  TROUPE_TRY_ASSIGN(command.credit, credit_of(credit));
  return Command{std::move(command)};
}

Result<Command> read_history(const Members& members) {
  HistoryCommand command;
  if (members.has("filter")) return Command{UnsupportedCommand{"filter"}};
  TROUPE_TRY_ASSIGN(command.topic, topic_of(members));
  if (const auto before = members.json("before"); !before.is_null()) {
    if (!before.is_string()) return bad("before: wants a cursor");
    command.before = before.get<std::string>();
  }
  if (const auto limit = members.json("limit"); !limit.is_null()) {
    TROUPE_TRY_ASSIGN(command.limit, count_of(limit, "limit"));
    if (command.limit < 1 || command.limit > history_max) return bad("limit: wants 1 to 1000");
  }
  TROUPE_TRY_ASSIGN(command.keys, keys_of(members));
  TROUPE_TRY_ASSIGN(command.format, format_of(members));
  return Command{std::move(command)};
}

Result<Command> read_get(const Members& members) {
  HistoryCommand command{.limit = 1, .one = true};
  TROUPE_TRY_ASSIGN(command.topic, topic_of(members));
  const auto key = members.json("key");
  if (!key.is_string()) return bad("key: wants a string");
  command.keys.insert(key.get<std::string>());
  TROUPE_TRY_ASSIGN(command.format, format_of(members));
  return Command{std::move(command)};
}

Result<Command> read_command(const Members& members, std::string_view text) {
  const auto op = members.json("op");
  if (!op.is_string()) return bad("op: wants a string");
  const auto& name = op.get_ref<const std::string&>();
  if (name == "produce") return read_produce(members, text);
  if (name == "credit") return read_credit(members);
  if (name == "ping") return Command{PingCommand{}};
  if (name == "connect") return read_connect(members);
  if (name == "subscribe") return read_subscribe(members);
  if (name == "history") return read_history(members);
  if (name == "get") return read_get(members);
  if (name == "ack") return read_ack(members);
  if (name == "revoked") return read_revoked(members);
  if (name == "unsubscribe") {
    TROUPE_TRY_ASSIGN(auto sub, sub_of(members));
    return Command{UnsubscribeCommand{std::move(sub)}};
  }
  if (name == "pause" || name == "resume") {
    TROUPE_TRY_ASSIGN(auto sub, sub_of(members));
    return Command{PauseCommand{std::move(sub), name == "pause"}};
  }
  for (const auto* known : {"auth", "seek", "call", "presence"}) {
    if (name == known) return Command{UnsupportedCommand{name}};
  }
  return bad("op: there is no such command");
}

}  // namespace

Result<consumer::SlowOptions> parse_slow_policy(std::string_view name) {
  if (name == "block") return consumer::SlowOptions{.policy = consumer::SlowPolicy::block};
  if (name == "conflate") return consumer::SlowOptions{.policy = consumer::SlowPolicy::conflate};
  if (name == "disconnect") return consumer::SlowOptions{.policy = consumer::SlowPolicy::disconnect};
  return bad("slow: wants block, conflate or disconnect");
}

Result<ParsedCommand> parse_command(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{' || !is_json(text)) {
    return bad("a command is one JSON object in UTF-8, nested at most 64 deep");
  }
  const Members members(text);
  const auto id = members.json("id");
  std::optional<std::uint64_t> number;
  if (id.is_number_unsigned()) number = id.get<std::uint64_t>();
  if (!id.is_null() && !number) return ParsedCommand{.id = {}, .command = bad("id: wants a whole number of 0 or more")};
  return ParsedCommand{.id = number, .command = read_command(members, text)};
}

}  // namespace troupe::http
