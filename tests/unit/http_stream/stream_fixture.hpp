#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "http/stream/ws_session.hpp"
#include "tests/support/fake_broker.hpp"

namespace troupe::test {

/// A thread's streams without the thread: a clock that stands until it is moved, posts that run when asked to.
struct StreamFixture {
  StreamFixture() : StreamFixture(http::Limits{}) {}
  explicit StreamFixture(http::Limits limits, http::HubOptions hub_options = {})
      : counters(std::make_shared<http::StreamCounters>(registry)),
        produce_turn(broker, [this] { posted.emplace_back([this] { produce_turn.flush(); }); }),
        env{.broker = broker,
            .produce_turn = produce_turn,
            .hub = std::make_shared<http::FanoutHub>(
                broker, [this](std::function<void()> f) { posted.push_back(std::move(f)); }, hub_options),
            .spare = std::make_shared<http::OutMessage>(),
            .limits = limits,
            .counters = counters,
            .sessions = std::make_shared<http::SessionBook>(),
            .now = [this] { return now; },
            .wall_now = [] { return TimestampMs{1'764'000'000'000}; },
            .flush_soon = [this](std::weak_ptr<http::Scheduled> who) { to_flush.push_back(std::move(who)); },
            .wake_at = [this](std::weak_ptr<http::Scheduled> who,
                              MonotonicMs when) { wakes.emplace_back(when, std::move(who)); }} {
    env.hub->set_clock([this] { return now; });
  }

  /// Runs what was posted, and what that posts.
  void settle() {
    while (!posted.empty()) {
      auto next = std::move(posted.front());
      posted.pop_front();
      next();
    }
  }
  /// Lets the clock run, in steps of 5 ms: flushes, wakes, and a tick every second.
  void advance(Millis ms, const std::vector<http::Scheduled*>& streams) {
    for (Millis gone = 0; gone < ms; gone += 5) {
      now += 5;
      for (auto& who : std::exchange(to_flush, {})) {
        if (const auto alive = who.lock()) alive->flush(now);
      }
      auto due = std::exchange(wakes, {});
      for (auto& [when, who] : due) {
        if (when > now) {
          wakes.emplace_back(when, who);
        } else if (const auto alive = who.lock()) {
          alive->tick(now);
        }
      }
      if (now.value() % 1000 == 0) {
        env.hub->tick(now);
        for (auto* stream : streams) stream->tick(now);
      }
      settle();
    }
  }

  std::deque<std::function<void()>>
      posted;  ///< before the broker: who waits for an answer is told when that goes, and posts
  FakeBroker broker;
  metrics::Registry registry;
  std::shared_ptr<http::StreamCounters> counters;
  MonotonicMs now{10'000};
  std::vector<std::weak_ptr<http::Scheduled>> to_flush;
  std::vector<std::pair<MonotonicMs, std::weak_ptr<http::Scheduled>>> wakes;
  http::ProduceTurn produce_turn;
  http::StreamEnv env;
};

/// One WebSocket client whose socket takes messages at once, or when told to.
struct WsClient final : http::WsTransport {
  explicit WsClient(StreamFixture& stream_fixture, bool connected = true)
      : fixture(stream_fixture), session(std::make_shared<http::WsSession>(stream_fixture.env, *this, connected)) {}
  ~WsClient() override {
    if (!session->is_closed()) session->closed();
  }

  void send(const http::OutMessage& message) override {
    REQUIRE_FALSE(sending);
    message_sizes.push_back(message.size());
    const auto text = message.text();
    for (std::size_t at = 0; at <= text.size();) {
      const auto end = std::min(text.find('\n', at), text.size());
      auto object = nlohmann::json::parse(text.substr(at, end - at), nullptr, false);
      INFO(text);
      REQUIRE(object.is_object());
      received.push_back(std::move(object));
      at = end + 1;
    }
    sending = true;
    if (reads)
      fixture.posted.push_back([this, weak = std::weak_ptr(session)] {
        if (weak.lock()) take();
      });
  }
  void ping() override { ++pings; }
  std::size_t unacknowledged() const override { return backlog; }
  void close(http::CloseCode code, std::string_view why) override {
    close_code = static_cast<int>(code);
    close_reason = why;
  }
  void pause_reading(bool paused) override { reading_paused = paused; }

  /// The socket has taken the message that is on its way.
  void take() {
    if (!std::exchange(sending, false)) return;
    session->sent();
  }
  void say(const nlohmann::json& command) { say_text(command.dump()); }
  void say_text(const std::string& text) {
    session->on_text(text);
    fixture.settle();
  }
  /// What was received since the last call.
  std::vector<nlohmann::json> take_received() { return std::exchange(received, {}); }
  /// The answer to a command, which is said and awaited.
  nlohmann::json ask(nlohmann::json command) {
    const auto id = ++last_id;
    command["id"] = id;
    say(command);
    fixture.advance(20, {session.get()});
    for (const auto& one : received) {
      if (one.contains("re") && one["re"] == id) return one.contains("ok") ? one["ok"] : one["err"];
    }
    return nullptr;
  }
  /// The records of all `records` pushes for `sub`.
  std::vector<nlohmann::json> records(const std::string& sub) const {
    std::vector<nlohmann::json> all;
    for (const auto& one : received) {
      if (one.value("ev", "") != "records" || one["sub"] != sub) continue;
      for (const auto& record : one["r"]) all.push_back(record);
    }
    return all;
  }
  std::vector<std::int64_t> offsets(const std::string& sub) const {
    std::vector<std::int64_t> all;
    for (const auto& record : records(sub)) all.push_back(record["o"].get<std::int64_t>());
    return all;
  }
  std::string cursor(const std::string& sub) const {
    std::string last;
    for (const auto& one : received) {
      if (one.contains("c") && one["sub"] == sub) last = one["c"];
    }
    return last;
  }
  std::vector<std::string> states(const std::string& sub) const {
    std::vector<std::string> all;
    for (const auto& one : received) {
      if (one.value("ev", "") == "sub" && one["sub"] == sub) all.push_back(one["state"]);
    }
    return all;
  }

  StreamFixture& fixture;
  std::vector<nlohmann::json> received;
  std::vector<std::size_t> message_sizes;
  bool reads = true;
  bool sending = false;
  bool reading_paused = false;
  int pings = 0;
  std::size_t backlog = 0;
  int close_code = 0;
  std::string close_reason;
  std::uint64_t last_id = 100;
  std::shared_ptr<http::WsSession> session;
};

/// Each object in the order it came, as a word: "re", "records", "caught_up", ...
inline std::vector<std::string> words(const WsClient& client) {
  std::vector<std::string> all;
  for (const auto& one : client.received) {
    if (one.contains("re")) {
      all.emplace_back(one.contains("ok") ? "ok" : "err");
    } else if (one.value("ev", "") == "sub") {
      all.push_back(one["state"]);
    } else {
      all.push_back(one.value("ev", "error"));
    }
  }
  return all;
}

inline nlohmann::json subscribe(const std::string& sub, const nlohmann::json& from,
                                const nlohmann::json& more = nlohmann::json::object()) {
  nlohmann::json command{{"op", "subscribe"}, {"sub", sub}, {"topics", {"Chat"}}, {"from", from}};
  command.update(more);
  return command;
}

}  // namespace troupe::test
