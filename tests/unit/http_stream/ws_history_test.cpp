#include "http/stream/ws_session.hpp"

#include "tests/support/catch.hpp"
#include "tests/unit/http_stream/stream_fixture.hpp"

// What is asked of the past: pages of history, the last record of a key, snapshots.

using namespace troupe;
using nlohmann::json;
using test::StreamFixture;
using test::subscribe;
using test::WsClient;
using test::words;
using Offsets = std::vector<std::int64_t>;

TEST_CASE("history pages backwards to the start of the log", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 3);
  for (int i = 0; i < 70; ++i) {
    fixture.broker.append("Chat", PartitionId{i % 3}, {{"k" + std::to_string(i % 2), std::to_string(i)}},
                          TimestampMs{1000 + i});
  }
  WsClient client(fixture);
  json before = nullptr;
  std::vector<int> values;
  for (int page = 0; page < 20; ++page) {
    const auto answer = client.ask({{"op", "history"}, {"topic", "Chat"}, {"limit", 9}, {"before", before}});
    REQUIRE(answer.contains("records"));
    std::vector<int> one;
    for (const auto& record : answer["records"]) one.push_back(record["v"]);
    CHECK(std::ranges::is_sorted(one));
    values.insert(values.begin(), one.begin(), one.end());
    before = answer["cursor"];
    if (answer["end"] == true) break;
  }
  REQUIRE(values.size() == 70);
  for (int i = 0; i < 70; ++i) CHECK(values[static_cast<std::size_t>(i)] == i);
  CHECK(client.ask({{"op", "history"}, {"topic", "Chat"}, {"limit", 0}})["code"] == "bad_request");
  CHECK(client.ask({{"op", "history"}, {"topic", "Nope"}})["code"] == "unknown_topic");
  CHECK(client.ask({{"op", "history"}, {"topic", "Chat"}, {"before", "x"}})["code"] == "bad_request");
}

TEST_CASE("get answers the last record of a key, or null", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  for (int i = 0; i < 300; ++i)
    fixture.broker.append("Chat", PartitionId{0}, {{i == 5 ? "rare" : "often", std::to_string(i)}});
  WsClient client(fixture);
  CHECK(client.ask({{"op", "get"}, {"topic", "Chat"}, {"key", "often"}})["v"] == 299);
  CHECK(client.ask({{"op", "get"}, {"topic", "Chat"}, {"key", "rare"}})["v"] == 5);
  CHECK(client.ask({{"op", "get"}, {"topic", "Chat"}, {"key", "never"}}) == nullptr);
}

TEST_CASE("a snapshot comes first, then what follows", "[ws]") {
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 1);
  for (int i = 0; i < 50; ++i)
    fixture.broker.append("Chat", PartitionId{0}, {{"d" + std::to_string(i % 5), std::to_string(i)}});
  WsClient client(fixture);
  client.ask(subscribe("s", nullptr, {{"snapshot", "latest_per_key"}, {"slow", {{"policy", "conflate"}, {"max_rate", 1}}}}));
  fixture.advance(50, {client.session.get()});
  CHECK(client.offsets("s") == Offsets{45, 46, 47, 48, 49});
  CHECK(words(client) == std::vector<std::string>{"ok", "records", "caught_up"});
  CHECK(client.received[1]["phase"] == "snapshot");
  client.received.clear();
  for (int i = 0; i < 100; ++i) {
    fixture.broker.append("Chat", PartitionId{0}, {{"d1", std::to_string(i)}});
    fixture.settle();
    fixture.advance(50, {client.session.get()});
  }
  CHECK(client.records("s").size() >= 4);
  CHECK(client.records("s").size() <= 6);
  std::int64_t conflated = 0;
  for (const auto& one : client.received) conflated += one.value("conflated", 0);
  CHECK(conflated >= 90);
}

TEST_CASE("a snapshot begins for the second subscriber as for the first", "[ws]") {
  // Goal: where all tails are known the starts are found at once, within one pull, and the first that is found changes the phase.
  StreamFixture fixture;
  fixture.broker.add_topic("Chat", 4);
  fixture.broker.append("Chat", PartitionId{1}, {{"a", "1"}, {"b", "2"}});
  const auto command = subscribe("s", nullptr, {{"snapshot", "latest_per_key"}});
  WsClient first(fixture);
  first.ask(command);
  fixture.advance(50, {first.session.get()});
  CHECK(words(first) == std::vector<std::string>{"ok", "records", "caught_up"});
  WsClient second(fixture);
  second.ask(command);
  fixture.advance(50, {second.session.get()});
  CHECK(words(second) == std::vector<std::string>{"ok", "records", "caught_up"});
}
