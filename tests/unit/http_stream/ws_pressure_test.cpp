#include <algorithm>

#include "tests/support/catch.hpp"
#include "tests/unit/http_stream/stream_fixture.hpp"

/// A session under pressure: sockets that are not read, queues that are full, answers that overtake each other, histories in pieces.

using namespace troupe;
using nlohmann::json;
using test::StreamFixture;
using test::subscribe;
using test::WsClient;
using Offsets = std::vector<std::int64_t>;

namespace {

std::string json_text(std::size_t size) { return "\"" + std::string(size, 'x') + "\""; }

}  // namespace

TEST_CASE("news that overtakes the answer that there is nothing yet is not lost", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  WsClient client(fixture);
  auto command = subscribe("s", {{"earliest", true}});
  command["id"] = 1;
  client.session->on_text(command.dump());
  // Where the log begins is known before the tail is: the first read goes to the broker, which has nothing.
  REQUIRE(fixture.posted.size() == 2);
  std::swap(fixture.posted[0], fixture.posted[1]);
  const auto found = std::move(fixture.posted.front());
  fixture.posted.pop_front();
  found();
  REQUIRE(fixture.broker.fetches() == 1);
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  // That the tail is attached, then the record, and only then what the broker answered.
  std::rotate(fixture.posted.begin() + 1, fixture.posted.end() - 1, fixture.posted.end());
  fixture.settle();
  fixture.advance(500, {client.session.get()});
  CHECK(client.offsets("s") == Offsets{0});
}

TEST_CASE("what is asked for while a message is on its way is begun when that has gone", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  for (const auto& asked : {subscribe("s", {{"latest", true}}), json{{"op", "history"}, {"topic", "Chat"}},
                            json{{"op", "get"}, {"topic", "Chat"}, {"key", "k"}}}) {
    INFO(asked.dump());
    WsClient client(fixture);
    client.reads = false;
    client.say({{"id", 1}, {"op", "ping"}});
    REQUIRE(client.sending);
    auto command = asked;
    command["id"] = 2;
    client.say(command);
    client.reads = true;
    client.take();
    fixture.settle();
    fixture.advance(100, {client.session.get()});
    CHECK(std::ranges::any_of(client.received, [](const json& one) { return one.value("re", 0) == 2; }));
  }
}

TEST_CASE("subscriptions of one connection take turns when there is room for few", "[ws]") {
  http::Limits limits;
  limits.send_queue_bytes_max = 600;
  StreamFixture fixture(limits);
  fixture.broker.add_topic("Chat", 1);
  for (int i = 0; i < 60; ++i) fixture.broker.append("Chat", PartitionId{0}, {{"k", json_text(300)}});
  WsClient client(fixture);
  client.reads = false;
  std::string text;
  for (const auto* name : {"a", "b", "c"}) text += subscribe(name, {{"earliest", true}}).dump() + "\n";
  client.say_text(text);
  fixture.advance(50, {client.session.get()});
  for (int i = 0; i < 30; ++i) {
    client.take();
    fixture.advance(50, {client.session.get()});
  }
  for (const auto* name : {"a", "b", "c"}) {
    CAPTURE(name);
    CHECK(client.records(name).size() >= 8);
  }
}

TEST_CASE("when all sockets together hold too much, news waits, and comes when they have been read", "[ws]") {
  http::Limits limits;
  limits.all_send_queues_bytes_max = 2'000;
  StreamFixture fixture(limits);
  fixture.broker.add_topic("Chat", 1);
  WsClient slow(fixture);
  WsClient quick(fixture);
  slow.ask(subscribe("s", {{"latest", true}}));
  quick.ask(subscribe("s", {{"latest", true}}));
  slow.reads = false;
  fixture.broker.append("Chat", PartitionId{0}, {{"k", json_text(3'000)}});
  fixture.advance(50, {slow.session.get(), quick.session.get()});
  const auto before = quick.records("s").size();
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  fixture.advance(2'000, {slow.session.get(), quick.session.get()});
  CHECK(quick.records("s").size() == before);
  CHECK(quick.ask({{"op", "ping"}}).contains("now"));  // commands are answered all the same
  slow.take();
  slow.reads = true;
  fixture.advance(100, {slow.session.get(), quick.session.get()});
  CHECK(quick.offsets("s") == Offsets{0, 1});
  CHECK(slow.offsets("s") == Offsets{0, 1});
}

TEST_CASE("while its socket is not read from, a client owes no pong", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  fixture.broker.hold_produce();
  WsClient client(fixture);
  fixture.advance(26'000, {client.session.get()});
  REQUIRE(client.pings == 1);
  for (std::size_t i = 0; i < fixture.env.limits.produce_inflight_max; ++i) {
    client.say({{"op", "produce"}, {"topic", "Chat"}, {"value", 1}});
  }
  REQUIRE(client.reading_paused);
  fixture.advance(120'000, {client.session.get()});
  CHECK(client.close_code == 0);
  CHECK(client.pings == 1);
  fixture.broker.release_produce();
  fixture.settle();
  CHECK_FALSE(client.reading_paused);
  fixture.advance(26'000, {client.session.get()});
  CHECK(client.pings == 2);
}

TEST_CASE("beyond the bytes of the produce window nothing more is read", "[ws]") {
  http::Limits limits;
  limits.produce_inflight_bytes_max = 1'000;
  StreamFixture fixture(limits);
  fixture.broker.add_topic("Chat", 1);
  fixture.broker.hold_produce();
  WsClient client(fixture);
  client.say({{"op", "produce"}, {"topic", "Chat"}, {"value", std::string(400, 'x')}});
  CHECK_FALSE(client.reading_paused);
  client.say({{"op", "produce"}, {"topic", "Chat"}, {"value", std::string(700, 'x')}});
  CHECK(client.reading_paused);
  fixture.broker.release_produce();
  fixture.settle();
  CHECK_FALSE(client.reading_paused);
}

TEST_CASE("who asks for more answers than it reads is not read from", "[ws]") {
  http::Limits limits;
  limits.send_queue_bytes_max = 1'000;
  StreamFixture fixture(limits);
  WsClient client(fixture);
  client.reads = false;
  std::uint64_t asked = 0;
  while (!client.reading_paused && asked < 1'000) client.say({{"op", "ping"}, {"id", ++asked}});
  CHECK(client.reading_paused);
  CHECK(asked < 100);
  client.take();  // and the queue goes out as the next message
  CHECK_FALSE(client.reading_paused);
  client.take();
  CHECK(client.received.size() == asked);
}

TEST_CASE("a history larger than an answer comes in pieces, the newest first, each record once", "[ws]") {
  http::Limits limits;
  limits.frame_out_bytes_max = 1'500;
  StreamFixture fixture(limits);
  fixture.broker.add_topic("Chat", 2);
  // Partition 1 is older by time than partition 0, whatever the order of arrival.
  for (int i = 0; i < 12; ++i) {
    fixture.broker.append("Chat", PartitionId{i % 2}, {{"k", json_text(300)}},
                          TimestampMs{i % 2 == 0 ? 2'000 + i : 1'000 + i});
  }
  WsClient client(fixture);
  std::vector<std::int64_t> times;
  json command{{"op", "history"}, {"topic", "Chat"}, {"limit", 100}};
  bool end = false;
  for (int page = 0; page < 20 && !end; ++page) {
    const auto answer = client.ask(command);
    REQUIRE(answer.contains("records"));
    std::vector<std::int64_t> here;
    for (const auto& record : answer["records"]) here.push_back(record["ts"].get<std::int64_t>());
    CHECK(std::ranges::is_sorted(here));
    CHECK(answer.dump().size() < 2'500);
    times.insert(times.begin(), here.begin(), here.end());
    end = answer["end"].get<bool>();
    CHECK((end || !here.empty()));
    command["before"] = answer["cursor"];
  }
  CHECK(end);
  CHECK(times.size() == 12);
  CHECK(std::ranges::is_sorted(times));
}

TEST_CASE("four histories at a time, and none from another topic's cursor", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  fixture.broker.add_topic("Other", 1);
  fixture.broker.append("Chat", PartitionId{0}, {{"k", "1"}});
  WsClient client(fixture);
  std::string text;
  for (int id = 1; id <= 5; ++id) text += json{{"id", id}, {"op", "history"}, {"topic", "Chat"}}.dump() + "\n";
  client.say_text(text);
  fixture.advance(50, {client.session.get()});
  std::size_t refused = 0;
  for (const auto& one : client.received) refused += one.contains("err") && one["err"]["code"] == "rate_limited" ? 1U : 0U;
  CHECK(refused == 1);
  CHECK(client.received.size() == 5);
  const auto other = client.ask({{"op", "history"}, {"topic", "Other"}})["cursor"];
  CHECK(client.ask({{"op", "history"}, {"topic", "Chat"}, {"before", other}})["code"] == "bad_request");
  CHECK(client.ask({{"op", "history"}, {"topic", "Chat"}})["records"].size() == 1);
}
