#include "http/stream/ws_session.hpp"

#include <algorithm>
#include <utility>

#include "http/json/json_syntax.hpp"
#include "http/stream/ws_parts.hpp"

namespace troupe::http {
namespace {

constexpr int malformed_max = 3;
constexpr Millis tick_ms = 1000;

std::string_view name_of(consumer::Phase phase) {
  switch (phase) {
    case consumer::Phase::snapshot: return "snapshot";
    case consumer::Phase::replay: return "replay";
    case consumer::Phase::live: break;
  }
  return "live";
}

}  // namespace

/// Writes what a feed gives as one `records` push. Nothing at all when there is nothing.
class WsSession::Sink final : public FeedSink {
 public:
  Sink(WsSession& session, Sub& sub, OutMessage& message) : session_(session), sub_(sub), message_(message) {}

  void records(SharedBatch& batch, const std::shared_ptr<const Rendering>& rendering, std::size_t begin,
               std::size_t end) override {
    open();
    message_.append(rendering, rendering->starts[begin], rendering->starts[end] - rendering->starts[begin]);
    count(topic_index(batch.topic()), end - begin);
    auto& oldest = session_.oldest_news_;
    if (batch.arrived > MonotonicMs{0} && (oldest == MonotonicMs{0} || batch.arrived < oldest)) oldest = batch.arrived;
  }
  void held(std::string text) override {
    open();
    message_.append(text);
    count(0, 1);
  }
  bool finish(MonotonicMs now) {
    if (!open_) return false;
    tell_counter();
    auto& subscription = sub_.feed->subscription();
    message_.drop_last();  // the comma behind the last record
    message_.append("],\"c\":\"");
    message_.append(subscription.cursor());
    message_.append("\"");
    if (const auto conflated = subscription.take_conflated(); conflated > 0)
      message_.append(",\"conflated\":" + std::to_string(conflated));
    message_.append("}\n");
    subscription.cursor_sent(now);
    return true;
  }

 private:
  void open() {
    if (std::exchange(open_, true)) return;
    message_.append(sub_.head);
    message_.append(name_of(sub_.feed->subscription().phase()));
    message_.append("\",\"r\":[");
  }
  std::size_t topic_index(const std::string& topic) const {
    if (sub_.topics.size() == 1) return 0;
    const auto found = std::ranges::find(sub_.topics, topic);
    return found == sub_.topics.end() ? 0 : static_cast<std::size_t>(found - sub_.topics.begin());
  }
  /// A counter costs more than a record: it hears of a topic's records together.
  void count(std::size_t topic, std::size_t records) {
    if (topic != counted_topic_) tell_counter();
    counted_topic_ = topic;
    counted_ += records;
  }
  void tell_counter() { sub_.records_out[counted_topic_].add(static_cast<double>(std::exchange(counted_, 0))); }

  WsSession& session_;
  Sub& sub_;
  OutMessage& message_;
  std::size_t counted_topic_ = 0;
  std::size_t counted_ = 0;
  bool open_ = false;
};

WsSession::WsSession(const StreamEnv& env, WsTransport& transport, bool connected)
    : env_(env),
      transport_(&transport),
      connected_(connected),
      opened_at_(env.now()),
      flushed_at_(MonotonicMs{0}),
      pinged_at_(opened_at_),
      ping_ms_(env_.limits.ping_ms) {
  env_.counters->ws_clients.add(1);
}

WsSession::~WsSession() {
  closed();
  env_.counters->ws_clients.add(-1);
}

// --- from the socket --------------------------------------------------------------------------------------------------------------

void WsSession::on_text(std::string_view text) {
  if (closed_) return;
  for (const auto piece : split_json(text)) {
    on_command(piece);
    if (closed_) return;
  }
  flush_now();
  check_reading();
}

void WsSession::on_binary() { close(CloseCode::not_for_us, "this connection speaks JSON: send text"); }

void WsSession::on_pong() { pong_wanted_ = false; }

void WsSession::on_command(std::string_view text) {
  auto parsed = parse_command(text);
  if (!parsed) {
    if (++malformed_ >= malformed_max) return close(CloseCode::malformed, "three times no command");
    return reply_error(std::nullopt, parsed.error());
  }
  const auto id = parsed->id;
  if (id && open_ids_.contains(*id))
    return reply_error(std::nullopt, "bad_request", 400, "id: a command with this id is not done yet");
  if (!parsed->command) return reply_error(id, parsed->command.error());
  if (!connected_ && !std::holds_alternative<ConnectCommand>(*parsed->command)) {
    return reply_error(id, "bad_request", 400, "connect first");
  }
  std::visit([&](auto&& command) { run(id, std::move(command)); }, std::move(*parsed->command));
}

void WsSession::sent() {
  writing_ = false;
  env_.counters->buffered_bytes -= in_flight_bytes_;
  in_flight_bytes_ = 0;
  for (const auto& [name, group] : groups_) group->stream->sent();
  if (closed_) return;
  if (!queued_.empty() || full_) {
    flush_now();
  } else if (dirty_) {
    wants_flush();
  } else if (!histories_.empty() || !subscriptions_.empty()) {
    arm(env_.now());
  }
  check_reading();
  // What was asked for before is still answered.
  if (draining_ && !writing_ && !closed_ && produce_inflight_ == 0) close_drained();
}

void WsSession::closed() {
  transport_ = nullptr;
  if (std::exchange(closed_, true)) return;
  env_.counters->buffered_bytes -= std::exchange(in_flight_bytes_, 0);
  const auto now = env_.now();
  for (auto& sub : order_) sub->feed->close(now);
  env_.counters->ws_subscriptions.add(-static_cast<double>(order_.size()));
  order_.clear();
  subscriptions_.clear();
  close_histories(now);
  leave_session(false);
}

void WsSession::close(CloseCode code, std::string_view reason) {
  if (closed_) return;
  auto* transport = transport_;
  if (code == CloseCode::slow_consumer) env_.counters->slow_disconnects.add();
  if (!writing_ && !queued_.empty()) {
    // What was answered before still goes out.
    OutMessage message;
    message.append(std::string_view(queued_).substr(0, queued_.size() - 1));
    transport->send(message);
  }
  transport->close(code, reason);
  closed();
}

// --- what goes out ----------------------------------------------------------------------------------------------------------------

void WsSession::push(std::string object) {
  queued_ += object;
  queued_ += '\n';
}

void WsSession::done(const std::optional<std::uint64_t>& id) {
  if (id) open_ids_.erase(*id);
}

void WsSession::reply_ok(const std::optional<std::uint64_t>& id, std::string_view ok) {
  done(id);
  if (!id) return;
  std::string text = "{\"re\":" + std::to_string(*id) + ",\"ok\":";
  text += ok;
  text += '}';
  push(std::move(text));
}

void WsSession::reply_error(const std::optional<std::uint64_t>& id, const Error& error) {
  done(id);
  std::string text = id ? "{\"re\":" + std::to_string(*id) + ",\"err\":" : std::string("{\"err\":");
  append_error(text, error);
  text += '}';
  push(std::move(text));
}

void WsSession::reply_error(const std::optional<std::uint64_t>& id, std::string_view code, int number,
                            std::string_view message, bool retry) {
  done(id);
  std::string text = id ? "{\"re\":" + std::to_string(*id) + ",\"err\":" : std::string("{\"err\":");
  append_error(text, code, number, message, retry, std::nullopt);
  text += '}';
  push(std::move(text));
}

void WsSession::check_reading() {
  if (closed_) return;
  const auto& limits = env_.limits;
  const bool pause = produce_inflight_ >= limits.produce_inflight_max ||
                     produce_inflight_bytes_ >= limits.produce_inflight_bytes_max ||
                     queued_.size() >= limits.send_queue_bytes_max;
  if (pause == reading_paused_) return;
  reading_paused_ = pause;
  if (pause) pong_wanted_ = false;  // it is not read now either
  pinged_at_ = env_.now();
  transport_->pause_reading(pause);
}

void WsSession::wants_flush() {
  dirty_ = true;
  if (closed_ || writing_ || flushing_) return;
  if (env_.now() - flushed_at_ >= env_.hub->pause_ms(env_.limits.flush_ms)) return flush_now();
  if (!std::exchange(flush_asked_, true)) env_.flush_soon(weak_from_this());
}

void WsSession::flush_now() { flush(env_.now()); }

void WsSession::flush(MonotonicMs now) {
  flush_asked_ = false;
  // Owed: `sent` sees to it.
  if (writing_ || flushing_) dirty_ = true;
  if (closed_ || writing_ || flushing_) return;
  flushing_ = true;
  dirty_ = false;
  full_ = false;
  oldest_news_ = MonotonicMs{0};
  OutMessage message = std::move(*env_.spare);
  message.clear();

  for (std::size_t i = 0; i < order_.size(); ++i) begin(*order_[i], now);
  if (!histories_.empty()) {
    for (const auto& history : std::set(histories_)) pull_history(history);
  }
  message.append(queued_);
  queued_.clear();
  const bool crowded = env_.counters->buffered_bytes > env_.limits.all_send_queues_bytes_max;
  const auto room = env_.limits.send_queue_bytes_max;
  const auto count = crowded || draining_ ? 0 : order_.size();
  const auto groups = crowded || draining_ ? decltype(groups_){} : groups_;
  auto sharers = count + groups.size();
  for (std::size_t i = 0; i < count && !closed_; ++i) {
    const auto sub = order_[(turn_ + i) % count];
    const auto left = room - std::min(room, message.size());
    full_ = pull(*sub, left / sharers--, now, message) || full_;
  }
  for (const auto& [name, group] : groups) {
    if (closed_) break;
    const auto left = room - std::min(room, message.size());
    full_ = pull_group(*group, left / sharers--, now, message) || full_;
  }
  ++turn_;
  flushing_ = false;
  if (closed_) return;
  remove_over();
  if (crowded && !(order_.empty() && groups_.empty())) dirty_ = true;

  if (message.empty()) {
    if (dirty_ && !std::exchange(flush_asked_, true)) env_.flush_soon(weak_from_this());
    arm(now);
    return;
  }
  if (oldest_news_ > MonotonicMs{0})
    env_.counters->delivery_seconds.observe(static_cast<double>(now - oldest_news_) / 1000.0);
  message.drop_last();  // the line end behind the last object
  writing_ = true;
  flushed_at_ = now;
  in_flight_bytes_ = message.size();
  env_.counters->buffered_bytes += in_flight_bytes_;
  transport_->send(message);
  message.clear();
  *env_.spare = std::move(message);
}

/// What a subscription has, as far as its share of the room goes. True when there is more.
bool WsSession::pull(Sub& sub, std::size_t share, MonotonicMs now, OutMessage& message) {
  if (!sub.replied || sub.over) return false;
  auto& subscription = sub.feed->subscription();
  std::size_t used = 0;
  bool told = false;
  while (true) {
    for (const auto& note : subscription.take_notes()) {
      tell(sub, note);
      if (closed_) return false;
    }
    message.append(queued_);
    queued_.clear();
    if (subscription.ended()) {
      over_ = sub.over = true;
      return false;
    }
    Sink sink(*this, sub, message);
    const auto phase = subscription.phase();
    const auto got = sub.feed->pull(now, {.bytes = share - std::min(share, used), .untouched = used == 0}, sink);
    told = sink.finish(now) || told;
    used += got;
    if (got == 0 && phase == subscription.phase() && !subscription.has_notes()) break;
  }
  if (!told && subscription.wants_progress(now)) {
    std::string text = "{\"ev\":\"progress\",\"sub\":";
    append_json_string(text, sub.name);
    text += ",\"c\":\"" + subscription.cursor() + "\"}\n";
    message.append(text);
    subscription.cursor_sent(now);
  }
  return used > 0;
}

void WsSession::drain(Millis within_ms, const std::vector<std::string>& nodes) {
  if (closed_ || draining_) return;
  elsewhere_ = !nodes.empty();
  draining_ = !elsewhere_;
  std::string text = "{\"ev\":\"goaway\",\"within_ms\":" + std::to_string(within_ms) + ",\"nodes\":[";
  for (const auto& node : nodes) {
    if (!text.ends_with('[')) text += ',';
    append_json_string(text, node);
  }
  push(text + "]}");
  // Before the deadline, at which sockets are closed without a word.
  close_at_ = env_.now() + within_ms * 3 / 4;
  cut_at_ = env_.now() + within_ms * 7 / 8;
  env_.wake_at(weak_from_this(), *close_at_);
  flush_now();
}

void WsSession::close_drained() {
  elsewhere_ ? close(CloseCode::draining, "the node drains") : close(CloseCode::going_away, "the node stops");
}

// --- time -------------------------------------------------------------------------------------------------------------------------

void WsSession::tick(MonotonicMs now) {
  armed_.reset();
  if (closed_) return;
  const auto& limits = env_.limits;
  if (close_at_ && now >= *close_at_) {
    const bool idle = !writing_ && queued_.empty() && produce_inflight_ == 0;
    if (std::exchange(draining_, true) || idle) return close_drained();
    close_at_ = cut_at_;
    env_.wake_at(weak_from_this(), cut_at_);
  }
  if (!connected_ && now - opened_at_ >= limits.connect_ms_max) return close(CloseCode::not_connected, "no connect in time");
  if (writing_ && now - flushed_at_ >= limits.write_stall_ms_max)
    return close(CloseCode::slow_consumer, "nothing was taken for too long");
  if (pong_wanted_ && now - pinged_at_ >= std::min(ping_ms_, limits.pong_ms_max)) {
    // On a thin line the ping waits behind what was sent before it. A peer that still takes that is not dead.
    const auto left = transport_->unacknowledged();
    if (left == 0 || left == unacknowledged_) return close(CloseCode::no_pong, "no pong");
    unacknowledged_ = left;
    pinged_at_ = now;
  }
  if (!pong_wanted_ && !reading_paused_ && now - pinged_at_ >= ping_ms_) {
    pong_wanted_ = true;
    unacknowledged_ = 0;
    pinged_at_ = now;
    transport_->ping();
  }
  if (!resumable_.empty() && now - opened_at_ >= resume_grace_ms) resumable_.clear();  // nobody asked for them
  for (const auto& history : histories_) tick_history(*history, now);
  bool due = false;
  for (std::size_t i = 0; i < order_.size(); ++i) {
    const auto sub = order_[i];
    auto& subscription = sub->feed->subscription();
    // Taken before: what is due is done by the tick, and then there is something to read.
    const auto deadline = subscription.next_deadline();
    sub->feed->tick(now);
    due = due || subscription.has_notes() || (deadline && *deadline <= now);
    if (!writing_ || !subscription.ended()) continue;
    // The socket is busy, perhaps for ever: who asked to be cut off is cut off now.
    for (const auto& note : subscription.take_notes()) {
      tell(*sub, note);
      if (closed_) return;
    }
    over_ = sub->over = true;
  }
  remove_over();
  if (due || !histories_.empty()) {
    dirty_ = true;
    flush(now);
  } else {
    arm(now);
  }
}

/// Asks to be woken when something is due before the next regular tick.
void WsSession::arm(MonotonicMs now) {
  if (closed_ || writing_) return;
  auto earliest = now + tick_ms;
  for (const auto& sub : order_) {
    if (const auto deadline = sub->feed->subscription().next_deadline()) earliest = std::min(earliest, *deadline);
  }
  if (earliest >= now + tick_ms) return;
  earliest = std::max(earliest, now + 1);
  if (armed_ && *armed_ <= earliest) return;
  armed_ = earliest;
  env_.wake_at(weak_from_this(), earliest);
}

}  // namespace troupe::http
