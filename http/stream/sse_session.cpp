#include "http/stream/sse_session.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "http/router/target.hpp"
#include "http/stream/ws_command.hpp"
#include "http/stream/ws_parts.hpp"

namespace troupe::http {
namespace {

constexpr Millis tick_ms = 1000;
constexpr std::size_t keys_max = 1000;
constexpr std::int64_t last_max = 10'000;

struct EventsRequest {
  std::optional<std::string> cursor = {};
  consumer::StartFrom from = {};
  consumer::SubscriptionOptions options = {};
  RecordFormat format = RecordFormat::auto_;
};

Result<std::int64_t> number_of(std::string_view name, std::string_view text, std::int64_t low) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < low) {
    return Error{Errc::invalid_argument,
                 std::string(name) + ": wants a whole number of " + std::to_string(low) + " or more"};
  }
  return number;
}

Status read_slow(const Query& query, consumer::SlowOptions& slow) {
  if (const auto policy = query.find("slow")) {
    TROUPE_TRY_ASSIGN(slow, parse_slow_policy(*policy));
  }
  if (const auto rate = query.find("max_rate")) {
    TROUPE_TRY_ASSIGN(const auto per_second, number_of("max_rate", *rate, 1));
    slow.interval_ms = std::max<Millis>(1, 1000 / per_second);
  }
  if (const auto after = query.find("after_ms")) {
    TROUPE_TRY_ASSIGN(slow.after_ms, number_of("after_ms", *after, 0));
  }
  if (const auto lag = query.find("max_lag")) {
    TROUPE_TRY_ASSIGN(slow.lag_max, number_of("max_lag", *lag, 0));
  }
  if (slow.policy == consumer::SlowPolicy::disconnect && !slow.after_ms && !slow.lag_max) slow.after_ms = 10'000;
  return ok();
}

Result<EventsRequest> read_request(const Query& query, const std::optional<std::string>& last_event_id,
                                   std::size_t id_bytes_max) {
  EventsRequest request;
  // The header wins over the query, which wins over `from`. websocket-sse.md C3
  auto id = last_event_id;
  if (!id || id->empty()) {
    if (const auto given = query.find("last_event_id")) id = std::string(*given);
  }
  if (id && id->size() > id_bytes_max)
    return Error{Errc::invalid_argument, "Last-Event-ID: longer than " + std::to_string(id_bytes_max)};
  if (id && !id->empty()) {
    request.cursor = std::move(id);
  } else if (const auto from = query.find("from")) {
    TROUPE_TRY_ASSIGN(request.from, consumer::parse_start(*from));
    if (request.from.last > last_max) return Error{Errc::invalid_argument, "from: last:10000 at most"};
  }
  for (const auto& [name, value] : query.all()) {
    if (name == "key") request.options.keys.insert(value);
  }
  if (request.options.keys.size() > keys_max) return Error{Errc::invalid_argument, "key: at most 1000 of them"};
  if (const auto format = query.find("format")) {
    TROUPE_TRY_ASSIGN(request.format, parse_record_format(*format));
  }
  if (const auto snapshot = query.find("snapshot")) {
    if (*snapshot != "latest_per_key") return Error{Errc::invalid_argument, "snapshot: wants latest_per_key"};
    if (!request.cursor && request.from.kind != consumer::StartFrom::Kind::latest) {
      return Error{Errc::invalid_argument, "snapshot: goes with from=latest or a cursor only"};
    }
    request.options.snapshot = true;
  }
  if (const auto on_gap = query.find("on_gap")) {
    if (*on_gap != "continue" && *on_gap != "snapshot" && *on_gap != "fail") {
      return Error{Errc::invalid_argument, "on_gap: wants continue, snapshot or fail"};
    }
    request.options.on_gap = *on_gap == "snapshot" ? consumer::OnGap::snapshot
                             : *on_gap == "fail"   ? consumer::OnGap::fail
                                                   : consumer::OnGap::continue_;
  }
  TROUPE_TRY(read_slow(query, request.options.slow));
  return request;
}

}  // namespace

/// Writes events as they come, but for the last one, which gets the id.
class SseSession::Sink final : public FeedSink {
 public:
  Sink(SseSession& session, OutMessage& message) : session_(session), message_(message) {}

  void records(SharedBatch& /*batch*/, const std::shared_ptr<const Rendering>& rendering, std::size_t begin,
               std::size_t end) override {
    write_last("");
    const auto& starts = rendering->starts;
    message_.append(rendering, starts[begin], starts[end - 1] - starts[begin]);
    last_ = rendering;
    last_begin_ = starts[end - 1];
    last_size_ = starts[end] - starts[end - 1];
    session_.records_out_.add(static_cast<double>(end - begin));
  }
  void held(std::string text) override {
    write_last("");
    held_ = std::move(text);
    session_.records_out_.add(1);
  }
  void finish(MonotonicMs now) {
    if (!last_ && held_.empty()) return;
    auto& subscription = session_.feed_->subscription();
    write_last("id: " + subscription.cursor() + "\n");
    subscription.cursor_sent(now);
  }

 private:
  void write_last(const std::string& id) {
    if (!last_ && held_.empty()) return;
    if (!id.empty()) message_.append(id);
    if (last_) message_.append(last_, last_begin_, last_size_);
    message_.append(held_);
    last_.reset();
    held_.clear();
  }

  SseSession& session_;
  OutMessage& message_;
  std::shared_ptr<const Rendering> last_;
  std::size_t last_begin_ = 0;
  std::size_t last_size_ = 0;
  std::string held_;
};

SseSession::SseSession(const StreamEnv& env, SseTransport& transport)
    : env_(env), transport_(&transport), flushed_at_(env.now()) {
  env_.counters->sse_clients.add(1);
}

SseSession::~SseSession() {
  closed();
  env_.counters->sse_clients.add(-1);
}

void SseSession::start(const std::string& topic, std::string_view query, const std::optional<std::string>& last_event_id) {
  if (const auto refused = open(topic, query, last_event_id)) {
    transport_->refuse(*refused);
    closed();
    return;
  }
  flush(env_.now());
}

std::optional<HttpError> SseSession::open(const std::string& topic_name, std::string_view query_text,
                                          const std::optional<std::string>& last_event_id) {
  Query query;
  if (auto wrong = Query::parse(query_text, query)) return wrong;
  const auto topic = readable_topic(env_.broker, topic_name);
  if (!topic) return http_error(topic.error());
  if (query.find("group")) return open_group(topic_name, query, last_event_id);
  auto request = read_request(query, last_event_id, env_.limits.last_event_id_bytes_max);
  if (!request) return http_error(request.error());
  for (const auto& [partition, offset] : request->from.offsets) {
    if (partition.value() >= (*topic)->partition_count()) return unknown_partition("Partition not found.");
  }
  auto& options = request->options;
  options.topics.push_back(
      {.topic_id = (*topic)->id, .partitions = partitions_of_keys(**topic, options.keys), .from = request->from});
  if (request->cursor) {
    auto cursor = consumer::Cursor::decode(*request->cursor);
    if (!cursor) return http_error(cursor.error());
    options.topics[0].from = {.kind = consumer::StartFrom::Kind::cursor, .cursor = std::move(*cursor)};
    by_cursor_ = true;
  }
  records_out_ = env_.counters->records_out(topic_name, "sse");
  feed_ = std::make_shared<Feed>(
      env_.hub, consumer::Subscription(std::move(options), env_.wall_now()),
      RenderKind{.format = request->format, .events = true}, std::vector<std::string>{topic_name},
      [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->wants_flush();
      },
      env_.now());
  return std::nullopt;
}

void SseSession::wants_flush() {
  dirty_ = true;
  if (closed_ || writing_ || flushing_) return;
  const auto now = env_.now();
  if (!begun_ || now - flushed_at_ >= env_.hub->pause_ms(env_.limits.flush_ms)) return flush(now);
  if (!std::exchange(flush_asked_, true)) env_.flush_soon(weak_from_this());
}

void SseSession::sent() {
  writing_ = false;
  env_.counters->buffered_bytes -= std::exchange(in_flight_bytes_, 0);
  if (group_) group_->sent();
  if (closed_) return;
  if (draining_ || over_) return finish(false);
  if (!queued_.empty() || full_) {
    flush(env_.now());
  } else if (dirty_) {
    wants_flush();
  } else {
    arm(env_.now());
  }
}

void SseSession::closed() {
  transport_ = nullptr;
  if (std::exchange(closed_, true)) return;
  env_.counters->buffered_bytes -= std::exchange(in_flight_bytes_, 0);
  if (feed_) feed_->close(env_.now());
  leave_group();
}

void SseSession::finish(bool at_once) {
  if (closed_) return;
  auto* transport = transport_;
  closed();
  transport->end(at_once);
}

/// Starts have to be known before the answer begins: its head says where it does.
void SseSession::begin(MonotonicMs now) {
  class Nowhere final : public FeedSink {
    void records(SharedBatch&, const std::shared_ptr<const Rendering>&, std::size_t, std::size_t) override {}
    void held(std::string) override {}
  } nowhere;
  auto& subscription = feed_->subscription();
  std::vector<consumer::Note> notes;
  while (true) {
    feed_->pull(now, {}, nowhere);
    if (!subscription.has_notes()) break;
    for (auto& note : subscription.take_notes()) notes.push_back(std::move(note));
    if (subscription.ended()) break;
  }
  const auto has = [&](consumer::Note::Kind kind) {
    return std::ranges::find(notes, kind, &consumer::Note::kind) != notes.end();
  };
  if (subscription.ended() && !has(consumer::Note::Kind::gap)) {
    auto* transport = transport_;
    const auto refused = http_error(notes.back().error.value_or(Error{Errc::unknown_error, "the stream cannot begin"}));
    closed();
    transport->refuse(refused);
    return;
  }
  for (auto& note : notes) subscription.put_note(std::move(note));
  if (!subscription.resolved() && !subscription.ended()) return;
  begun_ = true;
  if (by_cursor_) {
    (has(consumer::Note::Kind::gap)     ? env_.counters->resumed_gap
     : has(consumer::Note::Kind::reset) ? env_.counters->resumed_reset
                                        : env_.counters->resumed)
        .add();
  }
  transport_->begin(subscription.resolved() ? subscription.cursor() : std::string());
  subscription.cursor_sent(now);
  queued_ = "retry: 2000\n: connected node=" + to_string(env_.broker.cluster().node_id) + "\n\n" + queued_;
}

void SseSession::flush(MonotonicMs now) {
  flush_asked_ = false;
  if (closed_ || writing_ || flushing_) return;
  flushing_ = true;
  dirty_ = false;
  full_ = false;
  if (!begun_ && !in_group_) begin(now);
  if (closed_ || !begun_) {
    flushing_ = false;
    if (!closed_) arm(now);
    return;
  }
  OutMessage message;
  message.append(queued_);
  queued_.clear();
  if (!group_) {
    pull(now, message);
  } else if (!over_ && !draining_) {
    pull_group(message);
  }
  flushing_ = false;
  if (message.empty()) {
    if (over_) return finish(false);
    if (dirty_ && !std::exchange(flush_asked_, true)) env_.flush_soon(weak_from_this());
    arm(now);
    return;
  }
  writing_ = true;
  flushed_at_ = now;
  in_flight_bytes_ = message.size();
  env_.counters->buffered_bytes += in_flight_bytes_;
  transport_->send(std::move(message));
}

/// What goes into the next piece of the body.
void SseSession::pull(MonotonicMs now, OutMessage& message) {
  auto& subscription = feed_->subscription();
  const auto room = env_.limits.send_queue_bytes_max;
  std::size_t used = 0;
  while (!over_ && !draining_) {
    for (const auto& note : subscription.take_notes()) tell(note, message);
    if (subscription.ended()) {
      over_ = true;
      break;
    }
    Sink sink(*this, message);
    const auto phase = subscription.phase();
    const auto got = feed_->pull(now, {.bytes = room - std::min(room, used), .untouched = used == 0}, sink);
    sink.finish(now);
    used += got;
    if (got == 0 && phase == subscription.phase() && !subscription.has_notes()) break;
  }
  full_ = used > 0;
  if (!over_ && subscription.wants_progress(now)) {
    message.append("id: " + subscription.cursor() + "\n\n");
    subscription.cursor_sent(now);
  }
}

void SseSession::tell(const consumer::Note& note, OutMessage& message) {
  using Kind = consumer::Note::Kind;
  const auto where = [&] {
    return "{\"partitions\":{\"" + to_string(feed_->subscription().partitions()[note.partition].partition) +
           "\":{\"from\":" + to_string(note.from) + ",\"to\":" + to_string(note.to) + "}},\"reason\":\"";
  };
  switch (note.kind) {
    case Kind::caught_up: return;
    case Kind::gap: return message.append("event: gap\ndata: " + where() + "retention\"}\n\n");
    case Kind::reset: return message.append("event: reset\ndata: " + where() + "not_this_log\"}\n\n");
    case Kind::disconnect:
      env_.counters->slow_disconnects.add();
      return message.append("event: end\ndata: {\"code\":\"slow_consumer\"}\n\n");
    case Kind::ended: {
      std::string text = "event: end\ndata: ";
      append_error(text, *note.error);
      text += "\n\n";
      return message.append(text);
    }
  }
}

void SseSession::drain() {
  if (closed_ || std::exchange(draining_, true)) return;
  if (!begun_) {
    auto* transport = transport_;
    closed();
    transport->refuse(http_error({Errc::overloaded, "the node stops"}));
    return;
  }
  queued_ += "retry: 500\n\n";
  flush(env_.now());
}

void SseSession::tick(MonotonicMs now) {
  armed_.reset();
  if (closed_) return;
  const auto& limits = env_.limits;
  if (writing_ && now - flushed_at_ >= limits.write_stall_ms_max) {
    env_.counters->slow_disconnects.add();
    return finish(true);
  }
  if (in_group_) {
    if (begun_ && !writing_ && now - flushed_at_ >= limits.sse_comment_ms) queued_ += ": ka\n\n";
    return flush(now);
  }
  auto& subscription = feed_->subscription();
  // Taken before: what is due is done by the tick, and then there is something to read.
  const auto deadline = subscription.next_deadline();
  feed_->tick(now);
  if (writing_ && subscription.ended()) {
    const auto notes = subscription.take_notes();
    if (std::ranges::find(notes, consumer::Note::Kind::disconnect, &consumer::Note::kind) != notes.end()) {
      env_.counters->slow_disconnects.add();
      return finish(true);
    }
    over_ = true;
    return;
  }
  if (begun_ && !writing_ && now - flushed_at_ >= limits.sse_comment_ms) queued_ += ": ka\n\n";
  if (!begun_ || !queued_.empty() || subscription.has_notes() || (deadline && *deadline <= now)) {
    flush(now);
  } else {
    arm(now);
  }
}

void SseSession::arm(MonotonicMs now) {
  if (closed_ || writing_ || !feed_) return;
  const auto deadline = feed_->subscription().next_deadline();
  if (!deadline || *deadline >= now + tick_ms) return;
  const auto at = std::max(*deadline, now + 1);
  if (armed_ && *armed_ <= at) return;
  armed_ = at;
  env_.wake_at(weak_from_this(), at);
}

}  // namespace troupe::http
