#include <set>

#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/http_stream/stream_fixture.hpp"

using namespace troupe;
using nlohmann::json;
using test::StreamFixture;
using test::WsClient;
using Offsets = std::vector<std::int64_t>;
using Words = std::vector<std::string>;

namespace {

json join(const std::string& sub, const json& more = json::object()) {
  json command{{"op", "subscribe"},
               {"sub", sub},
               {"topics", {"Orders"}},
               {"group", "workers"},
               {"from", {{"committed", true}, {"else", "earliest"}}}};
  command.update(more);
  return command;
}

struct GroupStreamFixture : StreamFixture {
  GroupStreamFixture() { broker.add_topic("Orders", 2); }
  void append(std::int32_t partition, int count) {
    for (int i = 0; i < count; ++i)
      broker.append("Orders", PartitionId{partition}, {{"k", "{\"n\":" + std::to_string(i) + "}"}});
  }
  /// Time for the streams, for the members and for their coordinator.
  void pass(Millis time, const std::vector<http::Scheduled*>& streams) {
    for (Millis left = time; left > 0; left -= 100) {
      broker.groups().advance(100);
      broker.consumers().advance(100);
      settle();
      advance(100, streams);
    }
  }
  std::optional<Offset> committed(std::int32_t partition) {
    return broker.groups().committed("workers", "Orders", partition);
  }
};

/// The newest event of that state.
json last_event(const WsClient& client, const std::string& state) {
  json last;
  for (const auto& one : client.received) {
    if (one.value("ev", "") == "sub" && one["state"] == state) last = one;
  }
  return last;
}

}  // namespace

TEST_CASE("a subscription with a group joins it, is told what is its own, and gets that", "[ws][group]") {
  GroupStreamFixture fixture;
  fixture.append(0, 3);
  WsClient client(fixture);
  const auto reply = client.ask(join("w"));
  CHECK(reply["state"] == "joining");
  CHECK(reply["resumed"] == false);
  fixture.advance(50, {client.session.get()});
  CHECK(client.states("w") == Words{"assigned", "assigned"});
  CHECK(last_event(client, "assigned")["generation"].is_number());
  CHECK(last_event(client, "assigned")["partitions"].contains("Orders"));
  CHECK(client.offsets("w") == Offsets{0, 1, 2});
  CHECK_FALSE(client.cursor("w").empty());
  fixture.append(1, 2);
  fixture.advance(50, {client.session.get()});
  CHECK(client.offsets("w") == Offsets{0, 1, 2, 0, 1});
  CHECK(fixture.broker.attachments() == 0);
}

TEST_CASE("what was handed to the socket counts as done unless the client says it acknowledges", "[ws][group]") {
  GroupStreamFixture fixture;
  fixture.append(0, 3);
  WsClient client(fixture);
  SECTION("auto") {
    client.reads = false;
    client.say(join("w"));
    fixture.pass(2'000, {client.session.get()});
    CHECK(fixture.committed(0) == Offset{0});  // it is on its way
    client.reads = true;
    client.take();
    fixture.pass(2'000, {client.session.get()});
    CHECK(fixture.committed(0) == Offset{3});
  }
  SECTION("manual") {
    client.ask(join("w", {{"ack", "manual"}}));
    fixture.pass(2'000, {client.session.get()});
    CHECK(fixture.committed(0) == Offset{0});
    const auto done = client.ask({{"op", "ack"}, {"sub", "w"}, {"upto", {{"Orders", {{"0", 1}}}}}});
    CHECK(done == json{{"committed", {{"Orders", {{"0", 2}}}}}});
    CHECK(fixture.committed(0) == Offset{2});
    // Without an id nobody waits; it is stored all the same.
    client.say({{"op", "ack"}, {"sub", "w"}, {"upto", client.cursor("w")}});
    fixture.pass(2'000, {client.session.get()});
    CHECK(fixture.committed(0) == Offset{3});
    CHECK(client.ask({{"op", "ack"}, {"sub", "w"}, {"upto", {{"Orders", {{"0", 9}}}}}})["code"] == "bad_request");
    CHECK(client.ask({{"op", "ack"}, {"sub", "w"}, {"upto", {{"Orders", {{"7", 0}}}}}})["code"] == "fenced");
    CHECK(client.ask({{"op", "ack"}, {"sub", "x"}, {"upto", {{"Orders", {{"0", 0}}}}}})["code"] == "unknown_sub");
  }
}

TEST_CASE("partitions move when the client has let go, or when its time is up", "[ws][group]") {
  GroupStreamFixture fixture;
  WsClient first(fixture);
  first.ask(join("w", {{"ack", "manual"}}));
  fixture.append(0, 2);
  fixture.append(1, 2);
  fixture.pass(100, {first.session.get()});
  REQUIRE(first.offsets("w").size() == 4);
  WsClient second(fixture);
  second.ask(join("w", {{"ack", "manual"}}));
  fixture.pass(300, {first.session.get(), second.session.get()});
  const auto revoking = last_event(first, "revoking");
  REQUIRE(revoking.is_object());
  CHECK(revoking["deadline_ms"] == 5'000);
  CHECK(second.states("w").empty());
  const auto moving = revoking["partitions"]["Orders"][0].get<int>();
  const auto name = std::to_string(moving);
  SECTION("it has let go") {
    CHECK(first.ask({{"op", "ack"}, {"sub", "w"}, {"upto", {{"Orders", {{name, 0}}}}}})["committed"]["Orders"][name] == 1);
    CHECK(first.ask({{"op", "revoked"}, {"sub", "w"}, {"partitions", revoking["partitions"]}}) == json::object());
    fixture.pass(300, {first.session.get(), second.session.get()});
    CHECK(last_event(first, "revoked")["in_time"] == true);
    CHECK(second.offsets("w") == Offsets{1});
  }
  SECTION("its time is up") {
    fixture.pass(5'500, {first.session.get(), second.session.get()});
    CHECK(last_event(first, "revoked")["in_time"] == false);
    CHECK(second.offsets("w") == Offsets{0, 1});
    CHECK(first.ask({{"op", "ack"}, {"sub", "w"}, {"upto", {{"Orders", {{name, 1}}}}}})["code"] == "fenced");
  }
}

TEST_CASE("a client that acknowledges nothing by itself lets go at once", "[ws][group]") {
  GroupStreamFixture fixture;
  WsClient first(fixture);
  first.ask(join("w"));
  WsClient second(fixture);
  second.ask(join("w"));
  fixture.pass(500, {first.session.get(), second.session.get()});
  CHECK(last_event(first, "revoked")["in_time"] == true);
  CHECK(second.states("w") == Words{"assigned"});
}

TEST_CASE("a group subscription keeps exactly to the credit of its client", "[ws][group]") {
  const auto seed = test::seed_or(23);
  INFO("TROUPE_SEED=" << seed);
  Prng random(seed);
  GroupStreamFixture fixture;
  fixture.append(0, 40);
  fixture.append(1, 40);
  WsClient client(fixture);
  client.ask(join("w", {{"credit", {{"msgs", 3}}}}));
  std::size_t given = 3;
  while (given < 80) {
    fixture.advance(50, {client.session.get()});
    CHECK(client.records("w").size() == given);
    const auto more = std::min<std::size_t>(1 + random.below(7), 80 - given);
    client.ask({{"op", "credit"}, {"sub", "w"}, {"msgs", more}});
    given += more;
  }
  fixture.advance(50, {client.session.get()});
  CHECK(client.records("w").size() == 80);
}

TEST_CASE("a membership waits for the next socket of its client", "[ws][group]") {
  GroupStreamFixture fixture;
  fixture.append(0, 4);
  auto first = std::make_unique<WsClient>(fixture, false);
  const auto session = first->ask({{"op", "connect"}})["session"].get<std::string>();
  first->ask(join("w", {{"ack", "manual"}}));
  fixture.pass(200, {first->session.get()});
  REQUIRE(first->offsets("w") == Offsets{0, 1, 2, 3});
  first->ask({{"op", "ack"}, {"sub", "w"}, {"upto", {{"Orders", {{"0", 1}}}}}});

  SECTION("the socket was lost") {
    first->session->closed();
    fixture.pass(10'000, {});
    CHECK(fixture.broker.groups().members("workers") == 1);
    WsClient second(fixture, false);
    CHECK(second.ask({{"op", "connect"}, {"session", session}})["resumed"] == true);
    CHECK(second.ask(join("w", {{"ack", "manual"}}))["resumed"] == true);
    fixture.pass(200, {second.session.get()});
    // All that it has, and what was not acknowledged once more.
    CHECK(last_event(second, "assigned")["partitions"] == json{{"Orders", {0, 1}}});
    CHECK(second.offsets("w") == Offsets{2, 3});
    CHECK(fixture.broker.consumers().open_count() == 1);
  }
  SECTION("nobody has noticed that the socket is dead") {
    WsClient second(fixture, false);
    CHECK(second.ask({{"op", "connect"}, {"session", session}})["resumed"] == true);
    CHECK(first->close_code == 4003);
    CHECK(second.ask(join("w", {{"ack", "manual"}}))["resumed"] == true);
    fixture.pass(200, {second.session.get()});
    CHECK(second.offsets("w") == Offsets{2, 3});
  }
  SECTION("it wants something else") {
    first->session->closed();
    WsClient second(fixture, false);
    second.ask({{"op", "connect"}, {"session", session}});
    CHECK(second.ask(join("other"))["resumed"] == false);
    fixture.pass(31'000, {second.session.get()});
    CHECK(fixture.broker.groups().members("workers") == 1);
    CHECK(second.offsets("other") == Offsets{2, 3});
  }
  SECTION("it never comes") {
    first->session->closed();
    fixture.now += http::resume_grace_ms;
    CHECK_FALSE(fixture.env.sessions->sweep(fixture.now));
    fixture.pass(200, {});
    CHECK(fixture.broker.groups().members("workers") == 0);
    WsClient second(fixture, false);
    CHECK(second.ask({{"op", "connect"}, {"session", session}})["resumed"] == false);
  }
}

TEST_CASE("a client says how long its memberships wait for it", "[ws][group]") {
  GroupStreamFixture fixture;
  auto first = std::make_unique<WsClient>(fixture, false);
  SECTION("not at all: who loses the socket has left") {
    CHECK(first->ask({{"op", "connect"}, {"resume_grace_ms", 0}})["resume_grace_ms"] == 0);
    first->ask(join("w"));
    fixture.pass(200, {first->session.get()});
    REQUIRE(fixture.broker.groups().members("workers") == 1);
    first->session->closed();
    first.reset();
    fixture.pass(200, {});
    CHECK(fixture.broker.groups().members("workers") == 0);
  }
  SECTION("longer than others") {
    first->ask({{"op", "connect"}, {"resume_grace_ms", 60'000}});
    first->ask(join("w"));
    fixture.pass(200, {first->session.get()});
    first->session->closed();
    fixture.now += http::resume_grace_ms + 1;
    CHECK(fixture.env.sessions->sweep(fixture.now));
    CHECK(fixture.broker.groups().members("workers") == 1);
  }
}

TEST_CASE("while no socket is there, what is revoked goes at once", "[ws][group]") {
  GroupStreamFixture fixture;
  auto first = std::make_unique<WsClient>(fixture, false);
  first->ask({{"op", "connect"}});
  first->ask(join("w", {{"ack", "manual"}}));
  fixture.pass(200, {first->session.get()});
  first->session->closed();
  WsClient second(fixture);
  second.ask(join("w"));
  fixture.pass(500, {second.session.get()});
  CHECK(second.states("w") == Words{"assigned"});
}

TEST_CASE("who unsubscribes leaves, and nothing of it stays", "[ws][group]") {
  GroupStreamFixture fixture;
  fixture.append(0, 2);
  WsClient client(fixture);
  client.ask(join("w"));
  fixture.pass(100, {client.session.get()});
  CHECK(client.ask({{"op", "unsubscribe"}, {"sub", "w"}}) == json::object());
  CHECK(fixture.broker.groups().members("workers") == 0);
  CHECK(fixture.committed(0) == Offset{2});
  CHECK(client.ask({{"op", "unsubscribe"}, {"sub", "w"}})["code"] == "unknown_sub");
  CHECK(client.session->subscriptions() == 0);
}

TEST_CASE("a paused group subscription waits, and a group that is reset is told of", "[ws][group]") {
  GroupStreamFixture fixture;
  WsClient client(fixture);
  client.ask(join("w"));
  client.ask({{"op", "pause"}, {"sub", "w"}});
  fixture.append(0, 4);
  fixture.pass(200, {client.session.get()});
  CHECK(client.offsets("w").empty());
  client.ask({{"op", "resume"}, {"sub", "w"}});
  fixture.pass(2'000, {client.session.get()});
  CHECK(client.offsets("w") == Offsets{0, 1, 2, 3});
  const auto pause_group = [&](bool paused) {
    fixture.broker.groups().pause({"workers", paused}, 1'000, Reply<Nothing>{[](auto) {}});
    fixture.pass(200, {client.session.get()});
  };
  pause_group(true);
  CHECK(last_event(client, "paused")["sub"] == "w");
  fixture.append(0, 1);
  fixture.pass(2'000, {client.session.get()});
  CHECK(client.offsets("w").size() == 4);
  pause_group(false);
  CHECK(last_event(client, "resumed")["sub"] == "w");
  fixture.pass(2'000, {client.session.get()});
  CHECK(client.offsets("w") == Offsets{0, 1, 2, 3, 4});
  fixture.broker.groups().reset({"workers", {{{"Orders", PartitionId{0}}, Offset{3}}}}, 1'000,
                                Reply<std::vector<Status>>{[](auto) {}});
  fixture.pass(200, {client.session.get()});
  CHECK(last_event(client, "reset")["partitions"]["Orders"]["0"] == json{{"from", 5}, {"to", 3}});
  CHECK(last_event(client, "reset")["reason"] == "group");
  CHECK(client.offsets("w") == Offsets{0, 1, 2, 3, 4, 3, 4});
}

TEST_CASE("of a paused group nothing comes, not even what waited for credit", "[ws][group]") {
  GroupStreamFixture fixture;
  WsClient client(fixture);
  client.ask(join("w", {{"credit", {{"msgs", 1}, {"bytes", 100'000}}}}));
  fixture.append(0, 3);
  fixture.pass(200, {client.session.get()});
  REQUIRE(client.offsets("w") == Offsets{0});
  const auto pause_group = [&](bool paused) {
    fixture.broker.groups().pause({"workers", paused}, 1'000, Reply<Nothing>{[](auto) {}});
    fixture.pass(200, {client.session.get()});
  };
  pause_group(true);
  client.ask({{"op", "credit"}, {"sub", "w"}, {"msgs", 10}});
  fixture.pass(1'000, {client.session.get()});
  CHECK(client.offsets("w") == Offsets{0});
  pause_group(false);
  CHECK(client.offsets("w") == Offsets{0, 1, 2});
}

TEST_CASE("a session that the coordinator has forgotten loses its partitions, and says so", "[ws][group]") {
  GroupStreamFixture fixture;
  WsClient client(fixture);
  client.ask(join("w"));
  fixture.broker.groups().go_away();
  for (int i = 0; i < 5; ++i) {
    fixture.pass(9'500, {client.session.get()});
    client.session->on_pong();
  }
  CHECK(last_event(client, "lost")["partitions"] == json{{"Orders", {0, 1}}});
  fixture.broker.groups().come_back();
  fixture.pass(1'000, {client.session.get()});
  CHECK(client.states("w").back() == "assigned");
}

TEST_CASE("what is wrong with a group subscription is said, with its code", "[ws][group]") {
  GroupStreamFixture fixture;
  WsClient client(fixture);
  const auto code = [&](const json& more) { return client.ask(join("w", more)).value("code", "none"); };
  CHECK(code({{"group", "a/b"}}) == "bad_request");
  CHECK(code({{"topics", {"Nowhere"}}}) == "unknown_topic");
  CHECK(code({{"topics", {"__consumer_offsets"}}}) == "forbidden");
  CHECK(code({{"topics", json()}, {"pattern", "("}}) == "bad_request");
  CHECK(code({{"mode", "share"}}) == "unsupported");
  CHECK(code({{"mode", "else"}}) == "bad_request");
  CHECK(code({{"keys", {"a"}}}) == "bad_request");
  CHECK(code({{"ack", "never"}}) == "bad_request");
  CHECK(code({{"assignor", "best"}}) == "bad_request");
  CHECK(code({{"assignor", 3}}) == "bad_request");
  CHECK(code({{"from", {{"earliest", true}}}}) == "bad_request");
  CHECK(code({{"from", {{"committed", true}, {"else", "here"}}}}) == "bad_request");
  CHECK(client.ask({{"op", "ack"}, {"sub", "w"}, {"upto", 3}})["code"] == "bad_request");
  CHECK(client.ask({{"op", "revoked"}, {"sub", "w"}, {"partitions", {{"Orders", {-1}}}}})["code"] == "bad_request");
  CHECK(client.ask({{"op", "connect"}, {"session", 7}})["code"] == "bad_request");
  CHECK(client.ask({{"op", "connect"}, {"client", 7}})["code"] == "bad_request");
  CHECK(client.ask({{"op", "connect"}, {"client", std::string(257, 'x')}})["code"] == "bad_request");
  fixture.broker.consumers().fail_open(Error{Errc::overloaded, "as many as there may be"});
  CHECK(code({{"mode", "group"}}) == "none");
  fixture.advance(50, {client.session.get()});
  CHECK(last_event(client, "ended")["err"]["code"] == "overloaded");
  CHECK(client.session->subscriptions() == 0);
  fixture.broker.consumers().fail_open(std::nullopt);
  CHECK(code({{"assignor", "range"}}) == "none");
  CHECK(code(json::object()) == "bad_request");  // of this name there is one
}

TEST_CASE("a member is called what its client says", "[ws][group]") {
  GroupStreamFixture fixture;
  WsClient named(fixture, false);
  WsClient unnamed(fixture, false);
  named.ask({{"op", "connect"}, {"client", "worker 7"}});
  named.ask(join("w"));
  unnamed.ask({{"op", "connect"}, {"client", ""}});
  unnamed.ask(join("w"));
  fixture.pass(200, {named.session.get(), unnamed.session.get()});
  std::set<std::string> clients;
  fixture.broker.groups().describe("workers", 1000,
                                   Reply<group::GroupDescription>{[&](Result<group::GroupDescription> group) {
                                     REQUIRE(group.has_value());
                                     for (const auto& one : group->members) clients.insert(one.profile.client_id);
                                   }});
  CHECK(clients == std::set<std::string>{"websocket", "worker 7"});
}

TEST_CASE("a pattern reads all topics of its kind, each record with its topic", "[ws][group]") {
  GroupStreamFixture fixture;
  WsClient client(fixture);
  client.ask(join("w", {{"topics", json()}, {"pattern", "Ord.*"}}));
  fixture.append(0, 1);
  fixture.pass(200, {client.session.get()});
  REQUIRE(client.records("w").size() == 1);
  CHECK(client.records("w").front()["t"] == "Orders");
}
