#include "http/router/produce_turn.hpp"

#include <deque>

#include "tests/support/catch.hpp"
#include "tests/support/fake_broker.hpp"

using namespace troupe;

namespace {

/// A thread's turn: `flush` waits behind what else there is to do.
struct Turn {
  test::FakeBroker broker;
  metadata::TopicPtr topic = broker.add_topic("Orders");
  std::size_t wanted = 0;  ///< times that a flush was asked for
  http::ProduceTurn produces{broker, [this] { ++wanted; }};
  std::vector<std::int64_t> offsets;  ///< as they were answered

  void add(const std::string& value) {
    ProduceRequest request{.topic = topic, .memory = Bytes::copy_of(as_bytes(value))};
    request.records.push_back({.value = request.memory.view(), .partition = PartitionId{0}});
    produces.add(std::move(request), [this](Result<ProduceResponse> answer) {
      REQUIRE(answer);
      offsets.push_back(answer->records.front()->offset.value());
    });
  }
  std::vector<std::string> values() {
    std::vector<std::string> all;
    for (auto& [key, value] : broker.records("Orders", PartitionId{0})) all.push_back(value);
    return all;
  }
};

}  // namespace

TEST_CASE("what a turn gathers goes to the broker at its end, in order", "[http]") {
  Turn turn;
  turn.add("a");
  turn.add("b");
  turn.add("c");
  CHECK(turn.values().empty());
  CHECK(turn.wanted == 1);

  turn.produces.flush();
  CHECK(turn.values() == std::vector<std::string>{"a", "b", "c"});
  CHECK(turn.offsets == std::vector<std::int64_t>{0, 1, 2});

  turn.produces.flush();  // with nothing to send
  turn.add("d");
  CHECK(turn.wanted == 2);
  turn.produces.flush();
  CHECK(turn.values().size() == 4);
}

TEST_CASE("a long turn sends what it has before its end", "[http]") {
  Turn turn;
  for (std::size_t i = 0; i < http::ProduceTurn::requests_max; ++i) turn.add(std::to_string(i));
  CHECK(turn.values().size() == http::ProduceTurn::requests_max);

  turn.add("next");
  CHECK(turn.values().size() == http::ProduceTurn::requests_max);
  turn.produces.flush();
  CHECK(turn.values().back() == "next");
  CHECK(turn.offsets.size() == http::ProduceTurn::requests_max + 1);
}

TEST_CASE("requests that are never sent are answered with an unknown outcome", "[http]") {
  test::FakeBroker broker;
  std::optional<Errc> answered;
  {
    http::ProduceTurn produces(broker, [] {});
    produces.add({.topic = broker.add_topic("Orders")},
                 [&](Result<ProduceResponse> answer) { answered = answer.error().code; });
  }
  CHECK(answered == Errc::request_timed_out);
}
