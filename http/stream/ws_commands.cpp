#include <algorithm>
#include <utility>

#include "http/error_mapping.hpp"
#include "http/json/json_syntax.hpp"
#include "http/json/record_input.hpp"
#include "http/stream/ws_parts.hpp"
#include "http/stream/ws_session.hpp"

/// What a session does with each command.
namespace troupe::http {
namespace {

constexpr std::size_t message_bytes_max = 200;
constexpr std::size_t partitions_max = 20'000;  // followed by one connection

void append_produced(std::string& out, const Result<ProducedRecord>& record) {
  if (!record) {
    out += "{\"err\":";
    append_error(out, record.error());
    out += '}';
    return;
  }
  out += "{\"p\":" + std::to_string(record->partition.value());
  if (record->offset != no_offset) out += ",\"o\":" + std::to_string(record->offset.value());
  if (record->timestamp != no_timestamp) out += ",\"ts\":" + std::to_string(record->timestamp.value());
  out += record->duplicate ? ",\"dup\":true}" : ",\"dup\":false}";
}

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

/// {"Chat":{"3":{"from":400,"to":512}}}
std::string positions_of(const std::string& topic, PartitionId partition, Offset from, Offset to) {
  return "{" + quoted(topic) + ":{\"" + to_string(partition) + "\":{\"from\":" + to_string(from) +
         ",\"to\":" + to_string(to) + "}}}";
}

std::string_view action_of(consumer::OnGap on_gap) {
  switch (on_gap) {
    case consumer::OnGap::snapshot: return "snapshot";
    case consumer::OnGap::fail: return "fail";
    case consumer::OnGap::continue_: break;
  }
  return "continue";
}

}  // namespace

void append_error(std::string& out, std::string_view code, int number, std::string_view message, bool retry,
                  std::optional<Millis> after_ms) {
  // A message may hold a piece of what the client sent: never more than a little, and only as text.
  auto shown = std::string(message.substr(0, message_bytes_max));
  while (!shown.empty() && !is_utf8(shown)) shown.pop_back();
  out += "{\"code\":\"";
  out += code;
  out += "\",\"num\":" + std::to_string(number) + ",\"msg\":";
  append_json_string(out, shown);
  out += retry ? ",\"retry\":true" : ",\"retry\":false";
  if (after_ms) out += ",\"after_ms\":" + std::to_string(*after_ms);
  out += '}';
}

void append_error(std::string& out, const Error& error) {
  const auto view = view_of(error.code);
  append_error(out, view.code, view.number, error.message, view.retry, view.after_ms);
}

void WsSession::run(const std::optional<std::uint64_t>& id, PingCommand&& /*command*/) {
  reply_ok(id, "{\"now\":" + to_string(env_.wall_now()) + "}");
}

void WsSession::run(const std::optional<std::uint64_t>& id, UnsupportedCommand&& command) {
  reply_error(id, "unsupported", 400, command.what + " is not supported by this version");
}

// --- produce ----------------------------------------------------------------------------------------------------------------------

void WsSession::run(const std::optional<std::uint64_t>& id, ProduceCommand&& command) {
  auto topic = env_.broker.topic(command.topic);
  if (metadata::is_internal_topic(command.topic))
    return reply_error(id, "forbidden", 40301, "Internal topics are not for clients.");
  if (!topic) return reply_error(id, {Errc::unknown_topic_or_partition, "Topic not found."});
  auto input = read_v1_records(command.text, env_.limits, command.inline_record);
  if (!input) return reply_error(id, input.error());
  if (input->records.empty()) return reply_error(id, "bad_request", 400, "records: wants one or more");
  for (const auto& record : input->records) {
    if (record.partition && (record.partition->value() < 0 || record.partition->value() >= topic->partition_count())) {
      return reply_error(id, "unknown_partition", 40402, "Partition not found.");
    }
  }
  const auto bytes = command.text.size();
  if (id) open_ids_.insert(*id);
  ++produce_inflight_;
  produce_inflight_bytes_ += bytes;
  ProduceRequest request{.topic = std::move(topic),
                         .memory = std::move(input->memory),
                         .records = std::move(input->records),
                         .acks = command.acks,
                         .idempotence = std::move(command.idempotence)};
  env_.produce_turn.add(std::move(request),
                        [weak = weak_from_this(), post = env_.hub->post(), id, inline_record = command.inline_record,
                         bytes](Result<ProduceResponse> response) {
                          post([weak, id, inline_record, bytes, response = std::move(response)]() mutable {
                            if (const auto self = weak.lock())
                              self->on_produced(id, inline_record, bytes, std::move(response));
                          });
                        });
}

void WsSession::on_produced(std::optional<std::uint64_t> id, bool inline_record, std::size_t bytes,
                            Result<ProduceResponse> response) {
  --produce_inflight_;
  produce_inflight_bytes_ -= bytes;
  if (closed_) return;
  if (!response) {
    reply_error(id, response.error());
  } else if (inline_record && response->records.size() == 1 && !response->records.front()) {
    reply_error(id, response->records.front().error());
  } else {
    std::string ok;
    if (inline_record && response->records.size() == 1) {
      append_produced(ok, response->records.front());
    } else {
      ok = "{\"results\":[";
      for (const auto& record : response->records) {
        append_produced(ok, record);
        ok += ',';
      }
      if (ok.back() == ',') ok.pop_back();
      ok += "]}";
    }
    reply_ok(id, ok);
  }
  flush_now();
  check_reading();
}

// --- subscriptions ----------------------------------------------------------------------------------------------------------------

WsSession::Sub* WsSession::find(const std::string& name) {
  const auto found = subscriptions_.find(name);
  return found == subscriptions_.end() ? nullptr : found->second.get();
}

void WsSession::remove(const std::string& name) {
  const auto found = subscriptions_.find(name);
  if (found == subscriptions_.end()) return;
  found->second->feed->close(env_.now());
  std::erase(order_, found->second);
  subscriptions_.erase(found);
  env_.counters->ws_subscriptions.add(-1);
}

void WsSession::remove_over() {
  if (!std::exchange(over_, false)) return;
  for (const auto& sub : std::vector(order_)) {
    if (sub->over) remove(sub->name);
  }
}

Status apply_cursor(const std::string& text, std::vector<consumer::TopicSelection>& topics) {
  std::vector<consumer::Cursor> cursors;
  std::string_view rest = text;
  while (true) {
    const auto dot = rest.find('.');
    TROUPE_TRY_ASSIGN(auto cursor, consumer::Cursor::decode(rest.substr(0, dot)));
    cursors.push_back(std::move(cursor));
    if (dot == std::string_view::npos) break;
    if (cursors.size() > topics.size()) return Error{Errc::invalid_argument, "cursor: of more topics than were named"};
    rest.remove_prefix(dot + 1);
  }
  for (std::size_t i = 0; i < topics.size(); ++i) {
    const auto found = std::ranges::find(cursors, topics[i].topic_id, &consumer::Cursor::topic_id);
    if (found != cursors.end()) {
      topics[i].from = {.kind = consumer::StartFrom::Kind::cursor, .cursor = *found};
    } else if (cursors.size() == topics.size()) {
      topics[i].from = {.kind = consumer::StartFrom::Kind::cursor, .cursor = cursors[i]};
    } else {
      // Not a topic of this cursor: everything in it is new.
      topics[i].from = {.kind = consumer::StartFrom::Kind::earliest};
    }
  }
  return ok();
}

Result<std::shared_ptr<WsSession::Sub>> WsSession::make_sub(SubscribeCommand&& command) {
  auto sub = std::make_shared<Sub>();
  consumer::SubscriptionOptions options{.keys = std::move(command.keys),
                                        .snapshot = command.snapshot,
                                        .slow = command.slow,
                                        .on_gap = command.on_gap,
                                        .credit = command.credit};
  for (const auto& name : command.topics) {
    TROUPE_TRY_ASSIGN(const auto topic, readable_topic(env_.broker, name));
    for (const auto& [partition, offset] : command.from.offsets) {
      if (partition.value() >= topic->partition_count()) return Error{Errc::not_found, "Partition not found."};
    }
    options.topics.push_back(
        {.topic_id = topic->id, .partitions = partitions_of_keys(*topic, options.keys), .from = command.from});
    sub->records_out.push_back(env_.counters->records_out(name, "ws"));
  }
  if (command.cursor) {
    TROUPE_TRY(apply_cursor(*command.cursor, options.topics));
    sub->by_cursor = true;
  }
  sub->name = std::move(command.sub);
  sub->head = "{\"ev\":\"records\",\"sub\":" + quoted(sub->name) + ",\"phase\":\"";
  sub->topics = std::move(command.topics);
  const RenderKind kind{.format = command.format, .events = false, .with_topic = sub->topics.size() > 1};
  sub->feed = std::make_shared<Feed>(
      env_.hub, consumer::Subscription(std::move(options), env_.wall_now()), kind, sub->topics,
      [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->wants_flush();
      },
      env_.now());
  return sub;
}

void WsSession::run(const std::optional<std::uint64_t>& id, SubscribeCommand&& command) {
  if (find(command.sub) != nullptr || find_group(command.sub) != nullptr)
    return reply_error(id, "bad_request", 400, "sub: there is one of this name");
  if (subscriptions() >= env_.limits.subscriptions_max) {
    return reply_error(id, "rate_limited", 42901,
                       "at most " + std::to_string(env_.limits.subscriptions_max) + " subscriptions", true);
  }
  auto made = make_sub(std::move(command));
  if (!made) {
    if (made.error().code == Errc::not_found) return reply_error(id, "unknown_partition", 40402, made.error().message);
    return reply_error(id, made.error());
  }
  auto sub = std::move(*made);
  auto partitions = sub->feed->subscription().partitions().size();
  for (const auto& other : order_) partitions += other->feed->subscription().partitions().size();
  if (partitions > partitions_max) {
    sub->feed->close(env_.now());
    return reply_error(id, "rate_limited", 42901, "at most 20000 partitions a connection", true);
  }
  sub->reply_to = id;
  if (id) open_ids_.insert(*id);
  subscriptions_[sub->name] = sub;
  order_.push_back(std::move(sub));
  env_.counters->ws_subscriptions.add(1);
}

/// Finds out where a subscription begins; when that is known, answers.
void WsSession::begin(Sub& sub, MonotonicMs now) {
  if (sub.replied) return;
  class Nowhere final : public FeedSink {
    void records(SharedBatch&, const std::shared_ptr<const Rendering>&, std::size_t, std::size_t) override {}
    void held(std::string) override {}
  } nowhere;
  auto& subscription = sub.feed->subscription();
  if (!subscription.resolved()) sub.feed->pull(now, {}, nowhere);
  if (!subscription.resolved() && !subscription.ended()) {
    // A note (a gap at the start) stops a pull; the other starts are still to be found. Notes wait for the answer.
    dirty_ = dirty_ || subscription.has_notes();
    if (!subscription.has_notes()) return;
    auto notes = subscription.take_notes();
    sub.feed->pull(now, {}, nowhere);
    for (auto& note : notes) subscription.put_note(std::move(note));
    if (!subscription.resolved() && !subscription.ended()) return;
  }
  finish_starting(sub, now);
}

void WsSession::finish_starting(Sub& sub, MonotonicMs now) {
  auto& subscription = sub.feed->subscription();
  auto notes = subscription.take_notes();
  sub.replied = true;
  const auto has = [&](consumer::Note::Kind kind) {
    return std::ranges::find(notes, kind, &consumer::Note::kind) != notes.end();
  };
  if (subscription.ended() && !has(consumer::Note::Kind::gap)) {
    for (auto& note : notes) {
      if (note.error) reply_error(sub.reply_to, *note.error);
    }
    over_ = sub.over = true;
    return;
  }
  if (sub.by_cursor) {
    (has(consumer::Note::Kind::gap)     ? env_.counters->resumed_gap
     : has(consumer::Note::Kind::reset) ? env_.counters->resumed_reset
                                        : env_.counters->resumed)
        .add();
  }
  std::string ok = "{\"sub\":" + quoted(sub.name) + ",\"cursor\":\"" + subscription.cursor() + "\",\"partitions\":{";
  const auto& topics = subscription.options().topics;
  for (std::size_t i = 0; i < topics.size(); ++i) {
    if (i > 0) ok += ',';
    ok += quoted(sub.topics[i]) + ":[";
    for (const auto partition : topics[i].partitions) ok += to_string(partition) + ",";
    if (ok.back() == ',') ok.pop_back();
    ok += ']';
  }
  ok += "},\"state\":\"";
  ok += subscription.phase() == consumer::Phase::snapshot ? "snapshot" : "replay";
  ok += "\"}";
  subscription.cursor_sent(now);
  reply_ok(sub.reply_to, ok);
  for (auto& note : notes) subscription.put_note(std::move(note));
}

/// Says what a note says. The note of a subscription that ends comes last.
void WsSession::tell(Sub& sub, const consumer::Note& note) {
  using Kind = consumer::Note::Kind;
  const auto& subscription = sub.feed->subscription();
  std::string text = "{\"ev\":\"sub\",\"sub\":" + quoted(sub.name) + ",\"state\":";
  const auto where = [&] {
    std::size_t topic = 0;
    std::size_t behind = subscription.options().topics[0].partitions.size();
    while (note.partition >= behind) behind += subscription.options().topics[++topic].partitions.size();
    return positions_of(sub.topics[topic], subscription.partitions()[note.partition].partition, note.from, note.to);
  };
  switch (note.kind) {
    case Kind::caught_up: text += "\"caught_up\"}"; break;
    case Kind::gap:
      text += "\"gap\",\"partitions\":" + where() + ",\"reason\":\"retention\",\"action\":\"";
      text += action_of(subscription.options().on_gap);
      text += "\"}";
      break;
    case Kind::reset: text += "\"reset\",\"partitions\":" + where() + ",\"reason\":\"not_this_log\"}"; break;
    case Kind::ended:
      text += "\"ended\",\"err\":";
      append_error(text, *note.error);
      text += '}';
      break;
    case Kind::disconnect: return close(CloseCode::slow_consumer, "too slow for slow.policy disconnect");
  }
  push(std::move(text));
}

void WsSession::run(const std::optional<std::uint64_t>& id, UnsubscribeCommand&& command) {
  if (remove_group(command.sub)) return reply_ok(id, "{}");
  auto* sub = find(command.sub);
  if (sub == nullptr) return reply_error(id, "unknown_sub", 404, "there is no subscription of this name");
  if (!sub->replied) reply_error(sub->reply_to, {Errc::cancelled, "unsubscribed before it began"});
  remove(command.sub);
  reply_ok(id, "{}");
}

void WsSession::run(const std::optional<std::uint64_t>& id, CreditCommand&& command) {
  if (auto* group = find_group(command.sub)) {
    group->stream->add_credit(command.credit);
    return reply_ok(id, "{}");
  }
  auto* sub = find(command.sub);
  if (sub == nullptr) return reply_error(id, "unknown_sub", 404, "there is no subscription of this name");
  sub->feed->subscription().add_credit(command.credit);
  reply_ok(id, "{}");
}

void WsSession::run(const std::optional<std::uint64_t>& id, PauseCommand&& command) {
  if (auto* group = find_group(command.sub)) {
    command.paused ? group->stream->pause() : group->stream->resume_reading();
    return reply_ok(id, "{}");
  }
  auto* sub = find(command.sub);
  if (sub == nullptr) return reply_error(id, "unknown_sub", 404, "there is no subscription of this name");
  if (command.paused) {
    sub->feed->subscription().pause();
  } else {
    sub->feed->subscription().resume();
  }
  reply_ok(id, "{}");
}

}  // namespace troupe::http
