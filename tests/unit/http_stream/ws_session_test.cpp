#include "http/stream/ws_session.hpp"

#include <algorithm>

#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/http_stream/stream_fixture.hpp"

using namespace troupe;
using nlohmann::json;
using test::StreamFixture;
using test::subscribe;
using test::WsClient;
using test::words;
using Offsets = std::vector<std::int64_t>;

TEST_CASE("a session begins with connect, once", "[ws]") {
  StreamFixture fixture;
  WsClient client(fixture, false);
  CHECK(client.ask({{"op", "ping"}})["code"] == "bad_request");
  const auto connected = client.ask({{"op", "connect"}, {"client", "test/1"}});
  CHECK(connected["node"] == 1);
  CHECK(connected["ping_ms"] == 25'000);
  CHECK(connected["limits"]["subs"] == 128);
  CHECK(connected["resumed"] == false);
  CHECK(client.ask({{"op", "connect"}})["code"] == "bad_request");
  CHECK(client.ask({{"op", "ping"}})["now"] == 1'764'000'000'000);
}

TEST_CASE("who does not connect in time is closed", "[ws]") {
  StreamFixture fixture;
  WsClient client(fixture, false);
  fixture.advance(9'000, {client.session.get()});
  CHECK(client.close_code == 0);
  fixture.advance(2'000, {client.session.get()});
  CHECK(client.close_code == 4501);
}

TEST_CASE("pings go out every 25 s, and want a pong", "[ws]") {
  StreamFixture fixture;
  WsClient client(fixture);
  fixture.advance(26'000, {client.session.get()});
  CHECK(client.pings == 1);
  client.session->on_pong();
  fixture.advance(30'000, {client.session.get()});
  CHECK(client.pings == 2);
  CHECK(client.close_code == 0);
  fixture.advance(12'000, {client.session.get()});
  CHECK(client.close_code == 4002);
}

TEST_CASE("a client may want to be asked more often, and has as long to answer", "[ws]") {
  StreamFixture fixture;
  WsClient client(fixture, false);
  CHECK(client.ask({{"op", "connect"}, {"ping_ms", 999}}).contains("code"));
  CHECK(client.ask({{"op", "connect"}, {"ping_ms", 2'000}})["ping_ms"] == 2'000);
  fixture.advance(3'000, {client.session.get()});
  CHECK(client.pings == 1);
  client.session->on_pong();
  fixture.advance(2'500, {client.session.get()});
  CHECK(client.pings == 2);
  CHECK(client.close_code == 0);
  fixture.advance(2'500, {client.session.get()});
  CHECK(client.close_code == 4002);

  WsClient other(fixture, false);
  CHECK(other.ask({{"op", "connect"}, {"ping_ms", 90'000}})["ping_ms"] == 25'000);
}

TEST_CASE("a late pong is waited for while the peer still takes what was sent before the ping", "[ws]") {
  StreamFixture fixture;
  WsClient client(fixture);
  client.backlog = 100'000;
  fixture.advance(26'000, {client.session.get()});
  for (int i = 0; i < 5; ++i) {
    fixture.advance(10'000, {client.session.get()});
    client.backlog -= 10'000;
  }
  CHECK(client.close_code == 0);
  fixture.advance(22'000, {client.session.get()});
  CHECK(client.close_code == 4002);
}

TEST_CASE("a read that failed for now is tried again, and the subscription goes on", "[ws]") {
  // Goal: the tick that makes the retry due also flushes; nothing else may ever happen on this socket.
  StreamFixture fixture;
  fixture.broker.add_topic("t");
  fixture.broker.append("t", PartitionId{0}, {{"", "1"}});
  fixture.broker.fail_next_fetch({Errc::leader_not_available, "not now"});
  WsClient client(fixture);
  client.ask({{"op", "subscribe"}, {"sub", "s"}, {"topics", {"t"}}, {"from", {{"earliest", true}}}});
  fixture.advance(500, {client.session.get()});
  CHECK(client.records("s").size() == 1);
}

TEST_CASE("news for one socket goes at once, news for many waits to go together", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("t");
  const auto append = [&] {
    fixture.broker.append("t", PartitionId{0}, {{"", "1"}});
    fixture.settle();
  };
  const json subscribe{{"op", "subscribe"}, {"sub", "s"}, {"topics", {"t"}}};
  WsClient first(fixture);
  first.ask(subscribe);
  append();
  append();
  CHECK(first.records("s").size() == 2);

  std::vector<std::unique_ptr<WsClient>> others;
  for (int i = 0; i < 500; ++i) {
    others.push_back(std::make_unique<WsClient>(fixture));
    others.back()->say(subscribe);
  }
  fixture.advance(50, {});
  append();
  append();
  append();
  CHECK(first.records("s").size() == 3);
  CHECK(others.back()->records("s").size() == 1);
  fixture.advance(20, {});
  CHECK(first.records("s").size() == 5);
  CHECK(others.back()->records("s").size() == 3);
}

TEST_CASE("what is no command is answered, three times", "[ws]") {
  StreamFixture fixture;
  WsClient client(fixture);
  CHECK(client.ask({{"op", "nope"}})["code"] == "bad_request");
  client.say_text(R"({"op":1,"id":1})");
  client.say_text(R"({"id":-1,"op":"ping"})");
  CHECK(client.close_code == 0);
  client.received.clear();
  client.say_text("5");
  client.say_text("[]");
  REQUIRE(client.received.size() == 2);
  CHECK(client.received[0]["err"]["code"] == "bad_request");
  CHECK_FALSE(client.received[0].contains("re"));
  client.say_text("{\"op\":");
  CHECK(client.close_code == 4502);
}

TEST_CASE("a binary frame is closed with 1003", "[ws]") {
  StreamFixture fixture;
  WsClient client(fixture);
  client.session->on_binary();
  CHECK(client.close_code == 1003);
}

TEST_CASE("records are produced inline and in a list", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  WsClient client(fixture);
  const auto one = client.ask(
      {{"op", "produce"}, {"topic", "Chat"}, {"key", "a"}, {"value", {{"text", "hi"}}}, {"pid", "tab"}, {"seq", 1}});
  CHECK(one["p"] == 0);
  CHECK(one["o"] == 0);
  CHECK(one["dup"] == false);
  CHECK(client.ask({{"op", "produce"},
                    {"topic", "Chat"},
                    {"key", "a"},
                    {"value", {{"text", "hi"}}},
                    {"pid", "tab"},
                    {"seq", 1}})["dup"] == true);
  const auto list = client.ask({{"op", "produce"}, {"topic", "Chat"}, {"records", {{{"value", 1}}, {{"value", 2}}}}});
  CHECK(list["results"].size() == 2);
  CHECK(list["results"][1]["o"] == 2);
  CHECK(fixture.broker.records("Chat", PartitionId{0})[0].second == R"({"text":"hi"})");
  CHECK(client.ask({{"op", "produce"}, {"topic", "Chet"}, {"value", 1}})["num"] == 40401);
  CHECK(client.ask({{"op", "produce"}, {"topic", "__x"}, {"value", 1}})["code"] == "forbidden");
  CHECK(client.ask({{"op", "produce"}, {"topic", "Chat"}, {"value", 1}, {"partition", 7}})["num"] == 40402);
  CHECK(client.ask({{"op", "produce"}, {"topic", "Chat"}, {"value", 1}, {"pid", "x"}})["code"] == "bad_request");
  CHECK(client.ask({{"op", "produce"}, {"topic", "Chat"}, {"value", 1}, {"acks", 7}})["code"] == "bad_request");
  CHECK(client.ask({{"op", "produce"}, {"topic", "Chat"}, {"records", json::array()}})["code"] == "bad_request");
  fixture.broker.fail_produce(Error{Errc::storage_full, "no space"});
  const auto full = client.ask({{"op", "produce"}, {"topic", "Chat"}, {"value", 1}});
  CHECK(full["code"] == "storage_full");
  CHECK(full["retry"] == true);
}

TEST_CASE("beyond the produce window nothing more is read", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  fixture.broker.hold_produce();
  WsClient client(fixture);
  for (int i = 0; i < 64; ++i) {
    CHECK_FALSE(client.reading_paused);
    client.say({{"id", i}, {"op", "produce"}, {"topic", "Chat"}, {"value", i}});
  }
  CHECK(client.reading_paused);
  client.received.clear();
  client.say({{"id", 7}, {"op", "ping"}});
  CHECK(client.received[0]["err"]["code"] == "bad_request");  // the id is in use
  fixture.broker.release_produce();
  fixture.advance(20, {client.session.get()});
  CHECK_FALSE(client.reading_paused);
  CHECK(client.received.size() == 65);
}

TEST_CASE("a subscription answers, replays, catches up and lives", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 2);
  fixture.broker.append("Chat", PartitionId{0}, {{"a", "1"}, {"b", "2"}});
  fixture.broker.append("Chat", PartitionId{1}, {{"c", "3"}});
  WsClient client(fixture);
  const auto ok = client.ask(subscribe("s", {{"earliest", true}}));
  CHECK(ok["sub"] == "s");
  CHECK(ok["partitions"] == json{{"Chat", {0, 1}}});
  CHECK(client.records("s").size() == 3);
  CHECK(client.states("s") == std::vector<std::string>{"caught_up"});
  CHECK(words(client).front() == "ok");
  CHECK(words(client).back() == "caught_up");
  client.received.clear();
  fixture.broker.append("Chat", PartitionId{1}, {{"d", R"({"x":1})"}});
  fixture.settle();
  fixture.advance(10, {client.session.get()});
  REQUIRE(client.received.size() == 1);
  CHECK(client.received[0]["phase"] == "live");
  CHECK(client.received[0]["r"][0] == json{{"p", 1}, {"o", 1}, {"ts", 1'764'000'000'000}, {"k", "d"}, {"v", {{"x", 1}}}});
  CHECK(fixture.registry.expose().find("troupe_records_out_total{topic=\"Chat\",via=\"ws\"} 4") != std::string::npos);
}

TEST_CASE("every form of from is understood", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  for (int i = 0; i < 10; ++i) {
    fixture.broker.append("Chat", PartitionId{0}, {{"k", std::to_string(i)}},
                          TimestampMs{1'764'000'000'000 - 1000 * (10 - i)});
  }
  WsClient client(fixture);
  const auto given = [&](const json& from) {
    static int number = 0;
    const auto sub = "s" + std::to_string(++number);
    client.ask(subscribe(sub, from));
    fixture.advance(20, {client.session.get()});
    return client.offsets(sub);
  };
  CHECK(given({{"earliest", true}}).size() == 10);
  CHECK(given({{"latest", true}}).empty());
  CHECK(given(nullptr).empty());
  CHECK(given({{"last", 3}}) == Offsets{7, 8, 9});
  CHECK(given({{"offset", {{"0", 8}}}}) == Offsets{8, 9});
  CHECK(given({{"time", 1'763'999'998'000}}) == Offsets{8, 9});
  CHECK(given({{"time", "2025-11-24T15:59:59Z"}}) == Offsets{9});
  CHECK(given({{"time", "9999-12-31T23:59:59Z"}}).empty());
  CHECK(given({{"ago_ms", 2000}}) == Offsets{8, 9});
  const auto cursor =
      consumer::Cursor{fixture.broker.topic("Chat")->id, {{PartitionId{0}, {LeaderEpoch{0}, Offset{6}}}}}.encode();
  CHECK(given({{"cursor", cursor}}) == Offsets{6, 7, 8, 9});

  const auto code = [&](const json& from) { return client.ask(subscribe("bad", from))["code"].get<std::string>(); };
  CHECK(code({{"earliest", true}, {"last", 1}}) == "bad_request");
  CHECK(code(json::object()) == "bad_request");
  CHECK(code({{"last", -1}}) == "bad_request");
  CHECK(code({{"offset", {{"3", 0}}}}) == "unknown_partition");
  CHECK(code({{"cursor", "x"}}) == "bad_request");
  CHECK(code({{"time", "soon"}}) == "bad_request");
}

TEST_CASE("a subscription that cannot be is answered with its reason", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  WsClient client(fixture);
  CHECK(client.ask({{"op", "subscribe"}, {"sub", "s"}, {"topics", {"Nope"}}})["code"] == "unknown_topic");
  CHECK(client.ask({{"op", "subscribe"}, {"sub", "s"}, {"topics", {"__consumer_offsets"}}})["code"] == "forbidden");
  CHECK(client.ask({{"op", "subscribe"}, {"sub", std::string(10'000, 'x')}, {"topics", {"Chat"}}})["code"] == "bad_request");
  for (const auto* name : {"filter", "presence"}) {
    CHECK(client.ask(subscribe("s", nullptr, {{name, "x"}}))["code"] == "unsupported");
  }
  CHECK(client.ask(subscribe("s", nullptr, {{"slow", {{"policy", "drop_oldest"}}}}))["code"] == "unsupported");
  CHECK(client.ask(subscribe("s", nullptr))["sub"] == "s");
  CHECK(client.ask(subscribe("s", nullptr))["code"] == "bad_request");
  CHECK(client.ask({{"op", "unsubscribe"}, {"sub", "t"}})["code"] == "unknown_sub");
  CHECK(client.ask({{"op", "credit"}, {"sub", "s"}, {"msgs", -1}})["code"] == "bad_request");
  CHECK(client.ask({{"op", "credit"}, {"sub", "t"}, {"msgs", 1}})["code"] == "unknown_sub");
  CHECK(client.ask({{"op", "unsubscribe"}, {"sub", "s"}}) == json::object());
  CHECK(client.session->subscriptions() == 0);
  fixture.broker.add_topic("Wide", 9'000);
  const json wide{{"topics", {"Wide"}}};
  CHECK(client.ask(subscribe("w1", nullptr, wide)).contains("cursor"));
  CHECK(client.ask(subscribe("w2", nullptr, wide)).contains("cursor"));
  CHECK(client.ask(subscribe("w3", nullptr, wide))["code"] == "rate_limited");
  client.ask({{"op", "unsubscribe"}, {"sub", "w1"}});
  client.ask({{"op", "unsubscribe"}, {"sub", "w2"}});
  for (int i = 0; i < 128; ++i) CHECK(client.ask(subscribe("n" + std::to_string(i), nullptr)).contains("cursor"));
  CHECK(client.ask(subscribe("more", nullptr))["code"] == "rate_limited");
}

TEST_CASE("credits are kept to, and pause holds everything", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  for (int i = 0; i < 10; ++i) fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  WsClient client(fixture);
  client.ask(subscribe("s", {{"earliest", true}}, {{"credit", {{"msgs", 3}}}}));
  fixture.advance(2000, {client.session.get()});
  CHECK(client.offsets("s") == Offsets{0, 1, 2});
  client.ask({{"op", "credit"}, {"sub", "s"}, {"msgs", 2}});
  CHECK(client.offsets("s").size() == 5);
  client.ask({{"op", "pause"}, {"sub", "s"}});
  client.ask({{"op", "credit"}, {"sub", "s"}, {"msgs", 18'000'000'000'000'000'000U}});
  CHECK(client.offsets("s").size() == 5);
  client.ask({{"op", "resume"}, {"sub", "s"}});
  CHECK(client.offsets("s").size() == 10);
}

TEST_CASE("several topics share one cursor, and records say theirs", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  fixture.broker.add_topic("News", 1);
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}, {"k", "2"}});
  fixture.broker.append("News", PartitionId{0}, {{"k", "3"}});
  WsClient client(fixture);
  client.ask(subscribe("s", {{"earliest", true}}, {{"topics", {"Chat", "News"}}}));
  const auto records = client.records("s");
  REQUIRE(records.size() == 3);
  // Order is kept within a partition, not between topics.
  CHECK(std::ranges::count_if(records, [](const json& record) { return record["t"] == "Chat"; }) == 2);
  CHECK(std::ranges::count_if(records, [](const json& record) { return record["t"] == "News"; }) == 1);
  const auto cursor = client.cursor("s");
  fixture.broker.append("News", PartitionId{0}, {{"k", "4"}});
  client.ask(subscribe("again", {{"cursor", cursor}}, {{"topics", {"News", "Chat"}}}));
  REQUIRE(client.records("again").size() == 1);
  CHECK(client.records("again")[0]["v"] == 4);
}

TEST_CASE("a client that reads nothing costs one message, and misses nothing later", "[ws]") {
  StreamFixture fixture(http::Limits{}, {.cache_bytes_max = std::size_t{64} << 10});
  fixture.broker.add_topic("Chat", 1);
  WsClient client(fixture);
  client.ask(subscribe("s", {{"latest", true}}));
  client.reads = false;
  for (int i = 0; i < 2000; ++i) {
    fixture.broker.append("Chat", PartitionId{0}, {{"k", '"' + std::string(1000, 'x') + '"'}});
    fixture.settle();
  }
  fixture.advance(5000, {client.session.get()});
  CHECK(fixture.counters->buffered_bytes <= fixture.env.limits.send_queue_bytes_max + 2048);
  CHECK(fixture.env.hub->cached_bytes() < std::size_t{1} << 20);
  CHECK(client.close_code == 0);
  client.reads = true;
  client.take();
  fixture.advance(2000, {client.session.get()});
  const auto offsets = client.offsets("s");
  REQUIRE(offsets.size() == 2000);
  for (std::size_t i = 0; i < offsets.size(); ++i) REQUIRE(offsets[i] == static_cast<std::int64_t>(i));
  for (const auto size : client.message_sizes) CHECK(size <= fixture.env.limits.send_queue_bytes_max + 2048);
}

TEST_CASE("a client that asked to be cut off when slow is, also while nothing can be written", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  WsClient client(fixture);
  client.ask(subscribe("s", {{"latest", true}}, {{"slow", {{"policy", "disconnect"}, {"after_ms", 3000}}}}));
  client.reads = false;
  for (int i = 0; i < 3; ++i) fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  fixture.settle();
  fixture.advance(2000, {client.session.get()});
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  fixture.settle();
  fixture.advance(6000, {client.session.get()});
  CHECK(client.close_code == 4001);
}

TEST_CASE("a client that is too far behind is cut off although its socket is busy", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  WsClient client(fixture);
  client.ask(subscribe("s", {{"latest", true}}, {{"slow", {{"policy", "disconnect"}, {"max_lag", 20}}}}));
  client.reads = false;
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  fixture.settle();
  fixture.advance(2000, {client.session.get()});
  CHECK(client.close_code == 0);
  for (int i = 0; i < 30; ++i) fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  fixture.settle();
  fixture.advance(2000, {client.session.get()});
  CHECK(client.close_code == 4001);
}

TEST_CASE("records that come while a subscription begins reach it at once, whatever overtakes what", "[ws]") {
  for (int before = 0; before < 12; ++before) {
    StreamFixture fixture;
    fixture.broker.add_topic("Chat", 1);
    WsClient client(fixture);
    auto command = subscribe("s", {{"earliest", true}});
    command["id"] = 1;
    client.session->on_text(command.dump());
    const auto run_one = [&] {
      const auto next = std::move(fixture.posted.front());
      fixture.posted.pop_front();
      next();
    };
    for (int i = 0; i < before && !fixture.posted.empty(); ++i) run_one();
    fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
    // The answer that says "nothing yet" comes behind the news that there is something.
    if (fixture.posted.size() > 1) std::rotate(fixture.posted.begin(), fixture.posted.begin() + 1, fixture.posted.end());
    fixture.settle();
    fixture.advance(100, {client.session.get()});
    CAPTURE(before);
    CHECK(client.offsets("s") == std::vector<std::int64_t>{0});
  }
}

TEST_CASE("who stalls a write for 30 s is closed", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  WsClient client(fixture);
  client.ask(subscribe("s", {{"latest", true}}));
  client.reads = false;
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  fixture.settle();
  for (int i = 0; i < 32 && client.close_code == 0; ++i) {
    client.session->on_pong();
    fixture.advance(1000, {client.session.get()});
  }
  CHECK(client.close_code == 4001);
}

TEST_CASE("a gap is told before the records behind it", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  for (int i = 0; i < 10; ++i) fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  fixture.broker.advance_log_start("Chat", PartitionId{0}, Offset{6});
  WsClient client(fixture);
  const auto cursor =
      consumer::Cursor{fixture.broker.topic("Chat")->id, {{PartitionId{0}, {LeaderEpoch{0}, Offset{2}}}}}.encode();
  client.ask(subscribe("s", {{"cursor", cursor}}));
  CHECK(words(client) == std::vector<std::string>{"ok", "gap", "records", "caught_up"});
  CHECK(client.received[1]["partitions"]["Chat"]["0"] == json{{"from", 2}, {"to", 6}});
  CHECK(client.received[1]["action"] == "continue");
  CHECK(client.offsets("s") == Offsets{6, 7, 8, 9});
  client.received.clear();
  client.ask(subscribe("f", {{"cursor", cursor}}, {{"on_gap", "fail"}}));
  CHECK(words(client) == std::vector<std::string>{"ok", "gap", "ended"});
  CHECK(client.session->subscriptions() == 1);
  CHECK(fixture.registry.expose().find("troupe_ws_resume_total{result=\"gap\"} 2") != std::string::npos);
}

TEST_CASE("a topic that is deleted ends its subscriptions", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  WsClient client(fixture);
  client.ask(subscribe("s", {{"latest", true}}));
  fixture.broker.delete_topic("Chat", {});
  fixture.settle();
  fixture.advance(20, {client.session.get()});
  CHECK(client.states("s").back() == "ended");
  CHECK(client.session->subscriptions() == 0);
  fixture.broker.add_topic("Chat", 1);
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  client.ask(subscribe(
      "s", {{"cursor", client.cursor("s").empty() ? consumer::Cursor{Uuid{{1}}, {}}.encode() : client.cursor("s")}}));
  CHECK(client.states("s").back() == "caught_up");
  CHECK(client.offsets("s") == Offsets{0});
}

TEST_CASE("a filtered stream hears of its progress once a second", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  WsClient client(fixture);
  client.ask(subscribe("s", nullptr, {{"keys", {"mine"}}}));
  client.received.clear();
  for (int i = 0; i < 40; ++i) {
    fixture.broker.append("Chat", PartitionId{0}, {{"other", "1"}});
    fixture.settle();
    fixture.advance(100, {client.session.get()});
  }
  CHECK(client.received.size() >= 3);
  CHECK(client.received.size() <= 5);
  CHECK(client.received.back()["ev"] == "progress");
  const auto cursor = consumer::Cursor::decode(client.cursor("s")).value();
  CHECK(cursor.positions.at(PartitionId{0}).next_offset > Offset{25});
}

TEST_CASE("a draining node says so, and closes in time", "[ws]") {
  StreamFixture fixture;
  WsClient client(fixture);
  client.session->drain(3000, {});
  CHECK(client.received.back()["ev"] == "goaway");
  CHECK(client.received.back()["within_ms"] == 3000);
  fixture.settle();
  CHECK(client.close_code == 1001);
  // What was produced before is still answered, and no record follows.
  fixture.broker.add_topic("Chat", 1);
  fixture.broker.hold_produce();
  WsClient busy(fixture);
  busy.ask(subscribe("s", nullptr));
  busy.say({{"id", 1}, {"op", "produce"}, {"topic", "Chat"}, {"value", 1}});
  busy.session->drain(3000, {});
  fixture.settle();
  CHECK(busy.close_code == 0);
  busy.received.clear();
  fixture.broker.release_produce();
  fixture.settle();
  REQUIRE(busy.received.size() == 1);
  CHECK(busy.received[0]["re"] == 1);
  CHECK(busy.close_code == 1001);
  WsClient stuck(fixture);
  stuck.reads = false;
  stuck.session->drain(3000, {});
  CHECK(stuck.close_code == 0);
  fixture.advance(4000, {stuck.session.get()});
  CHECK(stuck.close_code == 1001);
}

TEST_CASE("who is told where to go is served until then", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  WsClient client(fixture);
  client.ask(subscribe("s", nullptr));
  client.received.clear();
  client.session->drain(4000, {"ws://b:1/v1/ws", "ws://c:2/v1/ws"});
  fixture.settle();
  REQUIRE(client.received.size() == 1);
  CHECK(client.received[0] == json{{"ev", "goaway"}, {"within_ms", 4000}, {"nodes", {"ws://b:1/v1/ws", "ws://c:2/v1/ws"}}});
  fixture.broker.append("Chat", PartitionId{0}, {{"a", "1"}});
  fixture.advance(2000, {client.session.get()});
  CHECK(client.received.back()["ev"] == "records");
  CHECK(client.close_code == 0);
  fixture.advance(1100, {client.session.get()});
  CHECK(client.close_code == 4000);
  // What was asked for is waited for, though not for ever; told again, the later word counts.
  fixture.broker.hold_produce();
  for (const bool answered : {true, false}) {
    WsClient busy(fixture);
    busy.ask(subscribe("s", nullptr));
    busy.say({{"id", 1}, {"op", "produce"}, {"topic", "Chat"}, {"value", 1}});
    busy.session->drain(100'000, {"ws://b:1/v1/ws"});
    busy.session->drain(4000, {"ws://b:1/v1/ws"});
    fixture.advance(3100, {busy.session.get()});
    CHECK(busy.close_code == 0);
    if (answered) {
      fixture.broker.release_produce();
      fixture.settle();
      CHECK(busy.received.back()["re"] == 1);
      fixture.broker.hold_produce();
    } else {
      fixture.advance(500, {busy.session.get()});
    }
    CHECK(busy.close_code == 4000);
  }
}

TEST_CASE("a thousand subscribers of one topic share one tail and one rendering", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  std::vector<std::unique_ptr<WsClient>> clients;
  for (int i = 0; i < 1000; ++i) {
    clients.push_back(std::make_unique<WsClient>(fixture));
    clients.back()->say({{"id", 1}, {"op", "subscribe"}, {"sub", "s"}, {"topics", {"Chat"}}});
  }
  const auto fetches = fixture.broker.fetches();
  CHECK(fixture.broker.attachments() == 1);
  for (int i = 0; i < 20; ++i) {
    fixture.broker.append("Chat", PartitionId{0}, {{"k", std::to_string(i)}});
    fixture.advance(10, {});
  }
  CHECK(fixture.broker.fetches() == fetches);
  for (const auto& client : clients) REQUIRE(client->records("s").size() == 20);
  // All leave: the partition is let go after a while.
  for (const auto& client : clients) client->session->closed();
  fixture.advance(32'000, {});
  CHECK(fixture.broker.attachments() == 0);
}

TEST_CASE("whatever the socket does, each record comes once and in order, and a cursor resumes exactly", "[ws]") {
  const auto seed = test::seed_or(1);
  for (std::uint64_t round = 0; round < 25; ++round) {
    INFO("TROUPE_SEED=" << seed << " round " << round);
    Prng prng(seed * 100 + round);
    http::Limits limits;
    limits.send_queue_bytes_max = 300;
    StreamFixture fixture(limits, {.cache_bytes_max = prng.chance(1, 2) ? 3000U : 1U << 20, .fetch_bytes = 500});
    fixture.broker.add_topic("Chat", 2);
    auto client = std::make_unique<WsClient>(fixture);
    client->ask(subscribe("s", {{"earliest", true}}));
    std::map<int, std::vector<std::int64_t>> seen;
    std::string cursor;
    const auto collect = [&] {
      for (const auto& record : client->records("s")) seen[record["p"]].push_back(record["o"]);
      if (const auto last = client->cursor("s"); !last.empty()) cursor = last;
      client->received.clear();
    };
    for (int step = 0; step < 150; ++step) {
      if (step < 120 && prng.chance(2, 3)) {
        std::vector<std::pair<std::string, std::string>> records(1 + prng.below(4), {"k", "12345"});
        fixture.broker.append("Chat", PartitionId{static_cast<std::int32_t>(prng.below(2))}, records);
      }
      client->reads = step >= 120 || prng.chance(1, 2);
      if (client->reads) client->take();
      fixture.advance(static_cast<Millis>(prng.below(30)), {client->session.get()});
      collect();
      if (prng.chance(1, 15) && !cursor.empty()) {
        client = std::make_unique<WsClient>(fixture);
        client->ask(subscribe("s", {{"cursor", cursor}}));
        collect();
      }
    }
    fixture.advance(3000, {client->session.get()});
    collect();
    for (const int partition : {0, 1}) {
      const auto total = fixture.broker.records("Chat", PartitionId{partition}).size();
      REQUIRE(seen[partition].size() == total);
      for (std::size_t i = 0; i < total; ++i) REQUIRE(seen[partition][i] == static_cast<std::int64_t>(i));
    }
  }
}
