#include "tests/actors/link/sim_network.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::actors;
using Words = std::vector<std::string>;

namespace {

/// Two nodes that know each other.
struct TwoNodes : SimNetwork {
  explicit TwoNodes(std::uint64_t seed = 1) : SimNetwork(seed_or(seed)) {
    start(1, {.peers = {2}});
    start(2, {.peers = {1}});
    advance(2'000);
    REQUIRE(up(1) == std::vector{2});
    REQUIRE(up(2) == std::vector{1});
  }
};

}  // namespace

TEST_CASE("nodes that know each other's addresses are all linked, in any order of steps", "[link_actors]") {
  const auto seed = seed_or(1);
  for (std::uint64_t round = 0; round < 10; ++round) {
    INFO("TROUPE_SEED=" << seed + round);
    SimNetwork network{seed + round};
    for (const int id : {1, 2, 3}) network.start(id, {.peers = {1, 2, 3}});
    network.advance(2'000);
    CHECK(network.up(1) == std::vector{2, 3});
    CHECK(network.up(2) == std::vector{1, 3});
    CHECK(network.up(3) == std::vector{1, 2});
    CHECK(network.heard(3).states.size() == 2);
    network.advance(5'000);
    CHECK(network.heard(3).states.size() == 2);
  }
}

TEST_CASE("messages of a channel come in order, over many chunks, and calls are answered once", "[link_actors]") {
  TwoNodes network;
  const auto large = std::string(3 << 20, 'x');
  network.send(1, 2, "a");
  network.send(1, 2, large);
  network.send(1, 2, "b");
  network.call(1, 2, 7);
  network.run();
  auto& heard = network.heard(2);
  std::vector<std::string> quorum;
  for (const auto& message : heard.messages) {
    if (message != "1:q7") quorum.push_back(message);
  }
  CHECK(quorum == Words{"1:a", "1:" + large, "1:b"});
  REQUIRE(heard.calls.size() == 1);
  CHECK(heard.calls[0].incarnation == network.run_of(1));
  network.mesh(2).answer(heard.calls[0], bytes_of("yes"));
  network.mesh(2).answer(heard.calls[0], bytes_of("no"));
  network.call(1, 2, 8);
  network.run();
  network.mesh(2).answer(heard.calls[1], Error{Errc::not_controller, "ask broker 3"});
  network.call(1, 2, 9, 300, Channel::replica);
  network.call(1, 2, 10, 300);
  network.call(1, 3, 11, 300);
  network.advance(400);
  CHECK(network.heard(1).answers ==
        Words{"7:yes", "11:broker_not_available", "8:not_controller", "9:broker_not_available", "10:request_timed_out"});
}

TEST_CASE("a node is linked to itself without a connection", "[link_actors]") {
  SimNetwork network{seed_or(2)};
  network.start(1, {});
  network.send(1, 1, "a");
  network.call(1, 1, 1);
  network.call(1, 1, 2, 100);
  network.call(1, 1, 3, 100, Channel::replica);
  network.run();
  CHECK(network.heard(1).messages == Words{"1:a", "1:q1", "1:q2"});
  network.mesh(1).answer(network.heard(1).calls.at(0), bytes_of("yes"));
  network.advance(200);
  CHECK(network.heard(1).answers == Words{"3:broker_not_available", "1:yes", "2:request_timed_out"});
  CHECK(network.heard(1).states.empty());
}

TEST_CASE("a partition is suspected after 0.8 s, and the link is back when it heals", "[link_actors]") {
  TwoNodes network;
  network.call(1, 2, 1, 5'000);
  network.run();
  network.cut(1, 2);
  network.advance(600);
  CHECK(network.heard(1).states == Words{"2 up"});
  network.send(1, 2, "lost");
  network.advance(400);
  CHECK(network.heard(1).states == Words{"2 up", "2 down"});
  CHECK(network.heard(2).states == Words{"1 up", "1 down"});
  CHECK(network.heard(1).answers == Words{"1:request_timed_out"});
  network.call(1, 2, 2);
  network.run();
  CHECK(network.heard(1).answers.back() == "2:broker_not_available");

  network.heal(1, 2);
  network.advance(4'000);
  CHECK(network.heard(1).states == Words{"2 up", "2 down", "2 up"});
  CHECK(network.heard(2).states == Words{"1 up", "1 down", "1 up"});
  network.send(1, 2, "after");
  network.run();
  // What the connection still held was of the session before.
  CHECK(network.heard(2).messages == Words{"1:q1", "1:after"});
}

TEST_CASE("what one side loses alone is a new session for both, over the same connection", "[link_actors]") {
  TwoNodes network;
  network.hold(2, 1);
  network.advance(900);
  CHECK(network.heard(1).states == Words{"2 up", "2 down"});
  network.advance(3'000);
  // The one that is still heard hears greetings, and is not up for that.
  CHECK(network.heard(1).states == Words{"2 up", "2 down"});
  CHECK(network.heard(2).states == Words{"1 up", "1 down"});
  network.release(2, 1);
  network.advance(3'000);
  CHECK(network.heard(1).states == Words{"2 up", "2 down", "2 up"});
  CHECK(network.heard(2).states == Words{"1 up", "1 down", "1 up"});
  network.send(1, 2, "hello");
  network.send(2, 1, "hello");
  network.advance(2'000);
  CHECK(network.heard(1).messages == Words{"2:hello"});
  CHECK(network.heard(2).messages == Words{"1:hello"});
  CHECK(network.heard(1).states.size() == 3);
}

TEST_CASE("a connection that breaks is made anew at once", "[link_actors]") {
  TwoNodes network;
  for (int i = 0; i < 5; ++i) {
    network.reset(1, 2);
    network.advance(1'500);
    CHECK(network.up(1) == std::vector{2});
    CHECK(network.up(2) == std::vector{1});
  }
  CHECK(network.heard(1).states.size() == 11);
  CHECK(std::ranges::count(network.heard(1).states, "2 refused") == 0);
}

TEST_CASE("a process that ends is known to be gone at once, and its next run is another one", "[link_actors]") {
  TwoNodes network;
  const auto before = network.run_of(2);
  network.call(1, 2, 1, 60'000);
  network.run();
  network.stop(2);
  network.run();
  CHECK(network.heard(1).states == Words{"2 up", "2 down", "2 refused"});
  CHECK(network.heard(1).runs == std::vector(3, before));
  CHECK(network.heard(1).answers == Words{"1:request_timed_out"});
  CHECK(network.last_error(1, "link/2").find("connection refused") != std::string::npos);
  network.start(2, {.peers = {1}});
  network.advance(2'000);
  CHECK(network.heard(1).states.back() == "2 up");
  CHECK(network.heard(1).runs.back() == network.run_of(2));
  CHECK(network.run_of(2) != before);
}

TEST_CASE("a node of another cluster is refused, and both sides say why", "[link_actors]") {
  SimNetwork network{seed_or(3)};
  network.start(1, {.peers = {2}});
  network.start(2, {.cluster = uuid_of(201), .peers = {1}});
  network.advance(10'000);
  CHECK(network.up(1).empty());
  CHECK(network.up(2).empty());
  for (const int id : {1, 2}) {
    const auto error = network.last_error(id, "link/" + std::to_string(3 - id));
    CHECK(error.find("inconsistent_cluster_id") != std::string::npos);
    CHECK(error.find(to_string(uuid_of(201))) != std::string::npos);
  }
}

TEST_CASE("nodes without a cluster are linked to all, and say so when they have one", "[link_actors]") {
  SimNetwork network{seed_or(4)};
  network.start(1, {.peers = {2}});
  network.start(2, {.cluster = {}, .peers = {1}});
  network.advance(2'000);
  CHECK(network.up(1) == std::vector{2});
  network.mesh(2).set_cluster_id(uuid_of(201));
  network.reset(1, 2);
  network.advance(2'000);
  CHECK(network.up(1).empty());
  network.mesh(2).set_cluster_id(uuid_of(200));
  network.advance(4'000);
  CHECK(network.up(1) == std::vector{2});
}

TEST_CASE("an address that leads to another broker or to the node itself gives no link", "[link_actors]") {
  SimNetwork network{seed_or(5)};
  network.start(3, {});
  network.start(1, {.peers = {2}, .misled = {{2, 3}}});
  network.advance(1'000);
  CHECK(network.up(1).empty());
  CHECK(network.last_error(1, "link/2").find("broker 2 was wanted, and this is broker 3") != std::string::npos);
  network.mesh(1).set_peers({{BrokerId{2}, SimNetwork::address_of(1)}});
  network.advance(4'000);
  CHECK(network.up(1).empty());
}

TEST_CASE("versions that do not meet are said on both sides", "[link_actors]") {
  SimNetwork network{seed_or(6)};
  network.start(1, {.peers = {2}});
  network.start(2, {.peers = {1}, .version = 2});
  network.advance(5'000);
  CHECK(network.up(1).empty());
  CHECK(network.last_error(1, "link/2").find("versions") != std::string::npos);
  CHECK(network.last_error(2, "link/1").find("versions") != std::string::npos);
}

TEST_CASE("a second process with a broker id that is alive is refused, and takes over when the first is gone",
          "[link_actors]") {
  SimNetwork network{seed_or(7)};
  network.start(1, {});
  network.start(2, {.peers = {1}});
  network.advance(2'000);
  network.start(5, {.peers = {1}, .broker = 2});
  network.advance(3'000);
  CHECK(network.heard(1).states == Words{"2 up"});
  CHECK(network.up(5).empty());
  CHECK(network.last_error(5, "link/1").find("duplicate_broker_registration") != std::string::npos);
  network.stop(2);
  network.advance(3'000);
  CHECK(network.up(5) == std::vector{1});
  CHECK(network.heard(1).runs.back() == network.run_of(5));
}

TEST_CASE("a contact is known by its address alone, and links to whoever comes", "[link_actors]") {
  SimNetwork network{seed_or(8)};
  network.start(7, {.contacts = {3}});
  network.advance(3'000);
  network.start(3, {});
  network.advance(3'000);
  CHECK(network.up(7) == std::vector{3});
  CHECK(network.up(3) == std::vector{7});
  // A contact that has answered is none any more; the other side forgets a stranger with its session.
  CHECK(network.last_error(7, "link/node-3:9003") == "no such link");
  network.stop(7);
  network.advance(100);
  CHECK(network.heard(3).states.back() == "7 down");
  CHECK(network.last_error(3, "link/7") == "no such link");
}

TEST_CASE("links come and go with the brokers of the metadata", "[link_actors]") {
  SimNetwork network{seed_or(9)};
  for (const int id : {1, 2, 3}) network.start(id, {});
  const std::map<BrokerId, link::PeerAddress> all{{BrokerId{1}, SimNetwork::address_of(1)},
                                                  {BrokerId{2}, SimNetwork::address_of(2)},
                                                  {BrokerId{3}, SimNetwork::address_of(3)}};
  for (const int id : {1, 2, 3}) network.mesh(id).set_peers(all);
  network.advance(2'000);
  CHECK(network.up(2) == std::vector{1, 3});
  auto without = all;
  without.erase(BrokerId{3});
  for (const int id : {1, 2}) network.mesh(id).set_peers(without);
  network.stop(3);
  network.advance(2'000);
  CHECK(network.up(2) == std::vector{1});
  CHECK(network.last_error(2, "link/3") == "no such link");
}

TEST_CASE("the actor that links hang on is started again, at the same port", "[link_actors]") {
  TwoNodes network;
  network.call(1, 2, 1, 60'000);
  network.run();
  network.fail_manager(1);
  network.run();
  CHECK(network.heard(1).answers == Words{"1:request_timed_out"});
  network.advance(3'000);
  CHECK(network.up(1) == std::vector{2});
  CHECK(network.up(2) == std::vector{1});
  network.send(2, 1, "hello");
  network.run();
  CHECK(network.heard(1).messages == Words{"2:hello"});
}

TEST_CASE("partitions and breaks in any order end with all nodes linked", "[link_actors]") {
  const auto seed = seed_or(10);
  INFO("TROUPE_SEED=" << seed);
  for (std::uint64_t round = 0; round < 5; ++round) {
    SimNetwork network{seed + round};
    Prng random{seed + round};
    for (const int id : {1, 2, 3}) network.start(id, {.peers = {1, 2, 3}});
    for (int i = 0; i < 30; ++i) {
      const int a = 1 + static_cast<int>(random.below(3));
      const int b = 1 + static_cast<int>((static_cast<std::uint64_t>(a) + random.below(2)) % 3);
      switch (random.below(6)) {
        case 0: network.cut(a, b); break;
        case 1: network.heal(a, b); break;
        case 2: network.reset(a, b); break;
        case 3: network.hold(a, b); break;
        case 4: network.release(a, b); break;
        case 5:
          network.stop(a);
          network.start(a, {.peers = {1, 2, 3}});
          break;
      }
      network.advance(static_cast<Millis>(random.below(120)) * 10);
    }
    for (const auto& [a, b] : {std::pair{1, 2}, {1, 3}, {2, 3}}) {
      network.heal(a, b);
      network.release(a, b);
      network.release(b, a);
    }
    network.advance(5'000);
    CHECK(network.up(1) == std::vector{2, 3});
    CHECK(network.up(2) == std::vector{1, 3});
    CHECK(network.up(3) == std::vector{1, 2});
  }
}
