#include "core/link/link_machine.hpp"

#include <map>
#include <set>

#include "tests/support/seed.hpp"
#include "tests/unit/link/link_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::link;
using State = LinkMachine::State;
using Words = std::vector<std::string>;

TEST_CASE("the lower id connects, the other one is greeted, and both are up", "[link]") {
  LinkPair pair;
  pair.start();
  CHECK(pair.up(0));
  CHECK(pair.up(1));
  CHECK(pair.one().states == Words{"up"});
  CHECK(pair.two().states == Words{"up"});
  CHECK(pair.one().machine->incarnation() == uuid_of(2));
  CHECK(pair.two().machine->incarnation() == uuid_of(1));
  CHECK(pair.one().watched == std::vector<Remote>{pair.one().peer_link});
  pair.advance(1'000);
  CHECK(pair.two().connects.empty());
}

TEST_CASE("the higher id connects when nobody greets it", "[link]") {
  auto passive = link_options(1, 2);
  passive.address.reset();
  LinkPair pair{passive};
  pair.start();
  CHECK(pair.one().machine->state() == State::idle);
  CHECK(pair.two().machine->state() == State::expecting);
  pair.advance(700);
  CHECK(pair.up(0));
  CHECK(pair.up(1));
}

TEST_CASE("messages of a channel arrive in order, calls end once", "[link]") {
  LinkPair pair;
  pair.start();
  for (const auto* text : {"a", "b", "c"}) pair.send(0, text);
  pair.call(0, 7);
  pair.call(0, 8);
  pair.run();
  CHECK(pair.two().texts() == Words{"a", "b", "c", "q7", "q8"});
  pair.answer(1, 4, Error{Errc::not_controller, "ask broker 3"});
  pair.answer(1, 3, bytes_of("yes"));
  pair.answer(1, 3, bytes_of("again"));
  pair.run();
  CHECK(pair.one().ended == Words{"8:not_controller", "7:yes"});
}

TEST_CASE("a call ends at its deadline, and what comes later is nothing", "[link]") {
  LinkPair pair;
  pair.start();
  pair.call(0, 1, 200);
  pair.advance(190);
  CHECK(pair.one().ended.empty());
  pair.advance(20);
  CHECK(pair.one().ended == Words{"1:request_timed_out"});
  pair.answer(1, 0, bytes_of("late"));
  pair.run();
  CHECK(pair.one().ended.size() == 1);
}

TEST_CASE("a link that carries nothing stays up by its signs of life", "[link]") {
  LinkPair pair;
  pair.start();
  pair.advance(60'000);
  CHECK(pair.one().states == Words{"up"});
  CHECK(pair.two().states == Words{"up"});
}

TEST_CASE("a peer that is silent for 0.8 s is suspected, and back when it is heard again", "[link]") {
  LinkPair pair;
  pair.start();
  pair.call(0, 1, 5'000);
  pair.run();
  pair.joined = false;
  pair.advance(640);
  CHECK(pair.up(0));
  pair.call(0, 2, 5'000);
  pair.advance(200);
  CHECK(pair.one().states == Words{"up", "down"});
  CHECK(pair.two().states == Words{"up", "down"});
  CHECK(pair.one().ended == Words{"1:request_timed_out", "2:request_timed_out"});
  pair.call(0, 3);
  CHECK(pair.one().ended.back() == "3:broker_not_available");
  // What was under way arrives after all: it is of an earlier session.
  pair.joined = true;
  pair.advance(3'000);
  CHECK(pair.one().states == Words{"up", "down", "up"});
  CHECK(pair.two().states == Words{"up", "down", "up"});
  CHECK(pair.two().texts() == Words{"q1"});
}

TEST_CASE("a closed connection is tried anew at once, and a refusal says that the process is gone", "[link]") {
  LinkPair pair;
  pair.start();
  pair.reset();
  CHECK(pair.one().states == Words{"up", "down"});
  pair.run();
  CHECK(pair.one().states == Words{"up", "down", "up"});

  pair.listening[1] = false;
  pair.one().take(pair.one().machine->remote_down(pair.now, pair.one().peer_link));
  pair.sides[1].take(pair.sides[1].machine->stop());
  pair.run();
  CHECK(pair.one().states == Words{"up", "down", "up", "down", "refused"});
  pair.advance(5'000);
  CHECK(pair.one().states.size() == 5);
  CHECK(pair.one().troubles == std::vector{Errc::broker_not_available});
}

TEST_CASE("a process that takes connections while it ends is seen to be gone while it is waited for", "[link]") {
  LinkPair pair;
  pair.start();
  SECTION("by the side that is to be greeted") {
    auto& two = pair.two();
    two.take(two.machine->remote_down(pair.now, two.peer_link));
    pair.one().take(pair.one().machine->stop());
    pair.run();
    REQUIRE(two.machine->state() == LinkMachine::State::expecting);
    pair.listening[0] = false;
    pair.advance(30);
    CHECK(two.states == Words{"up", "down", "refused"});
    CHECK(two.machine->state() == LinkMachine::State::resting);
    pair.advance(5'000);
    CHECK(two.states.size() == 3);
  }
  SECTION("by the side that greets, and was given a handle of nobody") {
    auto& one = pair.one();
    one.take(one.machine->remote_down(pair.now, one.peer_link));
    pair.joined = false;
    one.take(one.machine->probed(pair.now, one.probes.at(0).attempt, {ProbeResult::Outcome::open, "10.0.0.1", {}}));
    one.take(one.machine->connected(pair.now, one.connects.at(0).attempt, Remote{44}));
    REQUIRE(one.machine->state() == LinkMachine::State::greeting);
    one.probes.clear();
    pair.advance(20);
    CHECK(one.probes.empty());
    pair.advance(10);
    REQUIRE(one.probes.size() == 1);
    // Still there. The pauses double.
    one.take(one.machine->probed(pair.now, one.probes.at(0).attempt, {ProbeResult::Outcome::open, "10.0.0.1", {}}));
    CHECK(one.machine->state() == LinkMachine::State::greeting);
    pair.advance(50);
    REQUIRE(one.probes.size() == 2);
    one.take(one.machine->probed(pair.now, one.probes.at(0).attempt, {ProbeResult::Outcome::refused, {}, "late"}));
    CHECK(one.states == Words{"up", "down"});
    one.take(one.machine->probed(pair.now, one.probes.at(1).attempt, {ProbeResult::Outcome::refused, {}, "refused"}));
    CHECK(one.states == Words{"up", "down", "refused"});
    CHECK(std::ranges::count(one.forgotten, Remote{44}) == 1);
  }
}

TEST_CASE("who only stands still is looked for a few times, and not for ever", "[link]") {
  LinkPair pair;
  pair.start();
  pair.joined = false;
  auto& two = pair.two();
  two.take(two.machine->remote_down(pair.now, two.peer_link));
  std::size_t probes = 0;
  for (int i = 0; i < 300; ++i) {
    pair.advance(10);
    for (const auto& probe : std::exchange(two.probes, {})) {
      ++probes;
      two.take(two.machine->probed(pair.now, probe.attempt, {ProbeResult::Outcome::open, "10.0.0.1", {}}));
    }
    for (const auto& connect : std::exchange(two.connects, {})) {
      two.take(two.machine->connected(pair.now, connect.attempt, Remote{1'000 + probes}));
    }
  }
  CHECK(probes > 4);
  CHECK(probes < 12);
  CHECK(two.states == Words{"up", "down"});
}

TEST_CASE("calls that were not sent say so when the link goes down", "[link]") {
  LinkPair pair;
  pair.start();
  pair.call(0, 1);
  pair.run();
  pair.call(0, 2);
  pair.reset();
  CHECK(pair.one().ended == Words{"2:broker_not_available", "1:request_timed_out"});
  // A number of the old session is none in the new one.
  pair.run();
  REQUIRE(pair.up(1));
  pair.answer(1, 0, bytes_of("late"));
  pair.run();
  CHECK(pair.one().ended.size() == 2);
}

TEST_CASE("another cluster is refused on both sides, a node without one is not", "[link]") {
  auto other = link_options(2, 1);
  other.self.cluster_id = uuid_of(201);
  LinkPair pair{link_options(1, 2), other};
  pair.start();
  pair.advance(10'000);
  CHECK(pair.one().states.empty());
  CHECK(pair.two().states.empty());
  REQUIRE(pair.one().machine->trouble());
  CHECK(pair.one().machine->trouble()->code == Errc::inconsistent_cluster_id);
  CHECK(pair.one().troubles.size() == 1);

  auto fresh = link_options(1, 2);
  fresh.self.cluster_id = {};
  LinkPair forming{fresh, link_options(2, 1)};
  forming.start();
  CHECK(forming.up(0));
  CHECK(forming.up(1));
}

TEST_CASE("an address that leads to another broker, or back to the node itself, gives no link", "[link]") {
  LinkPair wrong{link_options(1, 2), link_options(3, 1)};
  wrong.start();
  REQUIRE(wrong.one().machine->trouble());
  CHECK(wrong.one().machine->trouble()->code == Errc::wrong_owner);
  CHECK_FALSE(wrong.up(1));

  LinkPair self{link_options(1, 2), link_options(2, 1, 1)};
  self.start();
  REQUIRE(self.one().machine->trouble());
  CHECK(self.one().machine->trouble()->message.find("leads back") != std::string::npos);
}

TEST_CASE("versions that do not meet are refused with both ranges; else the highest common one is spoken", "[link]") {
  auto newer = link_options(2, 1);
  newer.versions = {2, 3};
  LinkPair pair{link_options(1, 2), newer};
  pair.start();
  REQUIRE(pair.one().machine->trouble());
  CHECK(pair.one().machine->trouble()->message.find("2 to 3, the other one 1 to 1") != std::string::npos);
  CHECK(common_version({1, 3}, {2, 5}) == 3);
  CHECK(common_version({1, 3}, {4, 5}) == std::nullopt);
}

TEST_CASE("another run of a broker is refused while the old one answers, and accepted when it does not", "[link]") {
  LinkPair pair;
  pair.start();
  const Hello hello{.from = {uuid_of(200), BrokerId{1}, uuid_of(77)}, .to = BrokerId{2}, .session = 5, .attempt = 2};
  pair.advance(300);
  pair.two().take(pair.two().machine->greeted(pair.now, 9, hello));
  REQUIRE_FALSE(pair.two().sent.empty());
  const auto envelope = pair.two().sent.back();
  CHECK(envelope.to == 9);
  REQUIRE(envelope.type == EnvelopeType::refusal);
  CHECK(decode_refusal(envelope.body)->reason == RefusalReason::duplicate);
  CHECK(pair.up(1));
  pair.two().sent.pop_back();

  pair.joined = false;
  pair.advance(900);
  pair.two().take(pair.two().machine->greeted(pair.now, 9, hello));
  CHECK(pair.two().sent.back().type == EnvelopeType::welcome);
  CHECK(pair.two().states == Words{"up", "down"});
  pair.two().take(
      pair.two().machine->received(pair.now, 9, EnvelopeType::packet, 1, Bytes::adopt(encode(PacketHead{5, 1, 0}, {}))));
  CHECK(pair.two().machine->incarnation() == uuid_of(77));
  CHECK(pair.two().states == Words{"up", "down", "up"});
}

TEST_CASE("when both greet at once the lower id's hello counts", "[link]") {
  LinkPair pair;
  pair.joined = false;
  pair.start();
  auto& one = pair.one();
  auto& two = pair.two();
  const ProbeResult open{ProbeResult::Outcome::open, "10.0.0.1", {}};
  two.take(two.machine->probed(pair.now, two.probes.at(0).attempt, open));
  pair.now += 700;
  two.take(two.machine->tick(pair.now));
  two.take(two.machine->connected(pair.now, two.connects.at(0).attempt, LinkPair::endpoint));
  one.take(one.machine->probed(pair.now, one.probes.at(0).attempt, open));
  one.take(one.machine->connected(pair.now, one.connects.at(0).attempt, LinkPair::endpoint));
  REQUIRE(one.machine->state() == State::greeting);
  REQUIRE(two.machine->state() == State::greeting);
  one.probes.clear();
  two.probes.clear();
  one.connects.clear();
  two.connects.clear();
  pair.joined = true;
  pair.run();
  CHECK(pair.up(0));
  CHECK(pair.up(1));
  CHECK(one.states == Words{"up"});
  CHECK(two.states == Words{"up"});
}

TEST_CASE("the same run that greets again takes the old session's place", "[link]") {
  LinkPair pair;
  pair.start();
  pair.call(1, 4);
  pair.run();
  const Hello hello{.from = {uuid_of(200), BrokerId{1}, uuid_of(1)}, .to = BrokerId{2}, .session = 5, .attempt = 2};
  pair.two().take(pair.two().machine->greeted(pair.now, 9, hello));
  CHECK(pair.two().states == Words{"up", "down"});
  CHECK(pair.two().machine->state() == State::confirming);
  CHECK(pair.two().ended == Words{"4:request_timed_out"});
  CHECK(pair.two().forgotten == std::vector<Remote>{2});
}

TEST_CASE("one side that loses the session alone greets anew, over the same two actors", "[link]") {
  LinkPair pair;
  pair.start();
  pair.one().take(pair.one().machine->remote_down(pair.now, pair.one().peer_link));
  pair.run();
  CHECK(pair.one().states == Words{"up", "down", "up"});
  CHECK(pair.two().states == Words{"up", "down", "up"});
  pair.call(1, 1);
  pair.run();
  pair.answer(0, 0, bytes_of("yes"));
  pair.run();
  CHECK(pair.two().ended == Words{"1:yes"});
  pair.advance(3'000);
  CHECK(pair.two().states.size() == 3);
}

TEST_CASE("a node that greets and says no more is not up", "[link]") {
  LinkSide side{link_options(2, 1)};
  MonotonicMs now{1'000};
  const Hello hello{.from = {uuid_of(200), BrokerId{1}, uuid_of(1)}, .to = BrokerId{2}, .session = 5, .attempt = 1};
  side.take(side.machine->greeted(now, 9, hello));
  side.take(side.machine->call(now, Channel::quorum, bytes_of("q"), 100, 1));
  CHECK(side.ended == Words{"1:broker_not_available"});
  now += 600;
  side.take(side.machine->tick(now));
  CHECK(side.states.empty());
  CHECK(side.forgotten == std::vector<Remote>{9});
  CHECK(side.machine->state() == State::resting);
}

TEST_CASE("a hello that comes after its sender has joined another session changes nothing", "[link]") {
  LinkPair pair;
  pair.joined = false;
  pair.start();
  auto& two = pair.two();
  two.take(two.machine->probed(pair.now, two.probes.at(0).attempt, {ProbeResult::Outcome::open, "10.0.0.1", {}}));
  pair.now += 700;
  two.take(two.machine->tick(pair.now));
  two.take(two.machine->connected(pair.now, two.connects.at(0).attempt, LinkPair::endpoint));
  REQUIRE(two.sent.size() == 1);
  const auto late = decode_hello(two.sent.front().body);
  REQUIRE(late);
  two.sent.clear();
  two.probes.clear();
  two.connects.clear();
  pair.joined = true;
  pair.run();
  REQUIRE(pair.up(0));
  REQUIRE(pair.up(1));
  pair.one().take(pair.one().machine->greeted(pair.now, pair.one().peer_link, *late));
  pair.run();
  pair.advance(3'000);
  CHECK(pair.one().states == Words{"up"});
  CHECK(pair.two().states == Words{"up"});
}

TEST_CASE("a handle that never answers the hello is not believed, and tried again", "[link]") {
  LinkPair pair;
  pair.joined = false;
  pair.start();
  auto& one = pair.one();
  one.take(one.machine->probed(pair.now, one.probes.at(0).attempt, {ProbeResult::Outcome::open, "10.0.0.1", {}}));
  CHECK(one.connects.at(0).address == PeerAddress{"10.0.0.1", 9000});
  one.take(one.machine->connected(pair.now, one.connects.at(0).attempt, Remote{44}));
  pair.advance(600);
  CHECK(one.forgotten == std::vector<Remote>{44});
  CHECK(one.probes.size() > 1);
  // An answer of an attempt that was given up changes nothing.
  one.take(one.machine->connected(pair.now, one.connects.at(0).attempt, Remote{45}));
  CHECK(one.forgotten.back() == 45);
}

TEST_CASE("pauses between attempts grow to a bound and come by chance", "[link]") {
  auto options = link_options(1, 2);
  LinkMachine machine{options};
  MonotonicMs now{0};
  auto effects = machine.start(now);
  std::vector<Millis> pauses;
  for (int i = 0; i < 20; ++i) {
    const auto* probe = std::get_if<StartProbe>(&effects.back());
    REQUIRE(probe != nullptr);
    machine.probed(now, probe->attempt, {ProbeResult::Outcome::refused, {}, "refused"});
    const auto due = machine.next_deadline();
    REQUIRE(due);
    pauses.push_back(*due - now);
    now = *due;
    effects = machine.tick(now);
  }
  CHECK(pauses[0] <= options.retry_ms_min);
  for (std::size_t i = 6; i < pauses.size(); ++i) {
    CHECK(pauses[i] >= options.retry_ms_max / 2);
    CHECK(pauses[i] <= options.retry_ms_max);
  }
  CHECK(std::set<Millis>(pauses.begin() + 6, pauses.end()).size() > 5);
}

TEST_CASE("a contact of which only the address is known says who it is", "[link]") {
  auto asking = link_options(1, 2);
  asking.peer = no_broker;
  LinkSide contact{asking};
  MonotonicMs now{0};
  contact.take(contact.machine->start(now));
  contact.take(contact.machine->probed(now, contact.probes.at(0).attempt, {ProbeResult::Outcome::open, "10.0.0.1", {}}));
  contact.take(contact.machine->connected(now, contact.connects.at(0).attempt, Remote{3}));
  const auto hello = decode_hello(contact.sent.at(0).body);
  REQUIRE(hello);
  CHECK(hello->asks);
  const Identity there{uuid_of(200), BrokerId{9}, uuid_of(9)};
  CHECK_FALSE(object_to(there, {}, *hello));
  contact.take(contact.machine->received(now, Remote{4}, EnvelopeType::welcome, 1,
                                         Bytes::adopt(encode(Welcome{1, there, hello->session, 0}))));
  CHECK(contact.identities == std::vector{there});
  CHECK(contact.states.empty());
}

TEST_CASE("who has to prove its broker id is held against what was proven, on both sides", "[link]") {
  const Identity self{uuid_of(200), BrokerId{1}, uuid_of(1)};
  const Hello hello{.from = {uuid_of(200), BrokerId{3}, uuid_of(3)}, .to = BrokerId{1}, .session = 5};
  CHECK_FALSE(object_to(self, {}, hello, Proof{true, BrokerId{3}}));
  const auto refusal = object_to(self, {}, hello, Proof{true, BrokerId{2}});
  REQUIRE(refusal);
  CHECK(refusal->reason == RefusalReason::proof);
  CHECK(decode_refusal(encode(*refusal))->sentence == "its certificate is of broker-2, and it says that it is broker 3");

  for (const auto proven : {BrokerId{2}, BrokerId{3}, no_broker}) {
    LinkSide side{link_options(1, 2)};
    const MonotonicMs now{0};
    side.take(side.machine->start(now));
    side.take(side.machine->probed(now, side.probes.at(0).attempt, {ProbeResult::Outcome::open, "10.0.0.1", {}}));
    side.take(side.machine->connected(now, side.connects.at(0).attempt, Remote{3}));
    const auto sent = decode_hello(side.sent.at(0).body);
    const Identity there{uuid_of(200), BrokerId{2}, uuid_of(2)};
    side.take(side.machine->received(now, Remote{4}, EnvelopeType::welcome, 1,
                                     Bytes::adopt(encode(Welcome{1, there, sent->session, 0})), Proof{true, proven}));
    CHECK((side.machine->state() == State::up) == (proven == BrokerId{2}));
    CHECK(side.troubles == (proven == BrokerId{2} ? std::vector<Errc>{} : std::vector{Errc::wrong_owner}));
  }
}

TEST_CASE("a packet that is broken, lost or repeated ends the session", "[link]") {
  LinkPair pair;
  pair.start();
  pair.send(0, "a");
  while (pair.one().sent.empty()) pair.step(0);
  auto packet = pair.one().sent.front();

  SECTION("repeated") {
    pair.run();
    pair.two().take(pair.two().machine->received(pair.now, pair.two().peer_link, packet.type, packet.version, packet.body));
  }
  SECTION("lost") {
    pair.one().sent.clear();
    pair.send(0, "b");
    pair.run();
    CHECK(pair.two().texts().empty());
  }
  SECTION("cut short") {
    pair.two().take(pair.two().machine->received(pair.now, pair.two().peer_link, packet.type, packet.version,
                                                 packet.body.slice(0, packet.body.size() - 1)));
  }
  SECTION("of another version") {
    pair.two().take(pair.two().machine->received(pair.now, pair.two().peer_link, packet.type, 2, packet.body));
  }
  CHECK(pair.two().states == Words{"up", "down"});
  pair.advance(4'000);
  CHECK(pair.up(0));
  CHECK(pair.up(1));
}

TEST_CASE("a packet of somebody else changes nothing", "[link]") {
  LinkPair pair;
  pair.start();
  pair.two().take(pair.two().machine->received(pair.now, Remote{99}, EnvelopeType::packet, 1, bytes_of("garbage")));
  const PacketHead other_session{12345, 1, 0};
  pair.two().take(pair.two().machine->received(pair.now, pair.two().peer_link, EnvelopeType::packet, 1,
                                               Bytes::adopt(encode(other_session, {}))));
  CHECK(pair.two().states == Words{"up"});
}

TEST_CASE("a node that stood still does not suspect the others for it", "[link]") {
  LinkPair pair;
  pair.start();
  pair.advance(500);
  // Both stand still for 5 s; what they said before is read after the tick.
  pair.now += 5'000;
  for (auto& side : pair.sides) side.take(side.machine->tick(pair.now));
  CHECK(pair.up(0));
  CHECK(pair.up(1));
  pair.run();
  pair.advance(2'000);
  CHECK(pair.one().states == Words{"up"});
  CHECK(pair.two().states == Words{"up"});
}

TEST_CASE("with one link full, calls are refused and Raft's messages dropped", "[link]") {
  auto options = link_options(1, 2);
  options.calls_max = 3;
  LinkPair pair{options};
  pair.start();
  for (std::uint64_t key = 1; key <= 4; ++key) pair.call(0, key);
  CHECK(pair.one().ended == Words{"4:overloaded"});
  pair.run();
  for (std::size_t i = 0; i < 3; ++i) pair.answer(1, i, bytes_of("ok"));
  pair.run();
  CHECK(pair.one().ended.size() == 4);

  const auto large = std::string(1 << 20, 'x');
  for (int i = 0; i < 6; ++i) pair.send(0, large);
  CHECK(pair.one().machine->dropped() == 2);
  pair.call(0, 9, 1'000, Channel::quorum);
  CHECK(pair.one().ended.back() == "9:overloaded");
  pair.run();
  CHECK(pair.two().delivered.size() == 3 + 4);
  const auto too_large = std::string(payload_bytes_max + 1, 'x');
  pair.one().take(pair.one().machine->call(pair.now, Channel::gateway, bytes_of(too_large), 1'000, 10));
  CHECK(pair.one().ended.back() == "10:message_too_large");
}

TEST_CASE("any order of messages, calls, breaks and silences keeps the promises of a link", "[link]") {
  const auto seed = seed_or(17);
  INFO("TROUPE_SEED=" << seed);
  Prng random{seed};
  for (int round = 0; round < 40; ++round) {
    auto one = link_options(1, 2);
    auto two = link_options(2, 1);
    one.seed = random.next();
    two.seed = random.next();
    LinkPair pair{one, two};
    pair.start();
    std::uint64_t number = 0;
    std::map<std::uint64_t, bool> calls;
    for (int i = 0; i < 400; ++i) {
      const int side = static_cast<int>(random.below(2));
      const auto channel = all_channels[random.below(channel_count)];
      switch (random.below(8)) {
        case 0:
        case 1:
        case 2: {
          auto text = std::to_string(1'000'000 + ++number);
          if (random.chance(1, 20)) text.resize(7 + random.below(1'500'000), 'x');
          pair.send(side, text, channel);
          break;
        }
        case 3: {
          const auto key = ++number;
          calls[key] = side == 0;
          pair.call(side, key, 1 + static_cast<Millis>(random.below(2'000)), channel);
          break;
        }
        case 4: {
          auto& delivered = pair.sides[side].delivered;
          if (delivered.empty()) break;
          const auto& message = delivered[random.below(delivered.size())];
          if (message.call != 0) {
            pair.sides[side].take(
                pair.sides[side].machine->answer(message.call, bytes_of("a" + std::string(as_text(message.payload)))));
          }
          break;
        }
        case 5: pair.advance(static_cast<Millis>(random.below(30)) * 10); break;
        case 6:
          for (auto left = random.below(20); left > 0; --left) pair.step(static_cast<int>(random.below(2)));
          break;
        case 7:
          if (random.chance(1, 10)) pair.reset();
          if (random.chance(1, 20)) pair.joined = !pair.joined;
          break;
      }
    }
    pair.joined = true;
    pair.advance(6'000);
    CHECK(pair.up(0));
    CHECK(pair.up(1));
    // Every call has ended once, and with its own answer.
    std::map<std::uint64_t, int> ends;
    for (const auto& side : pair.sides) {
      for (const auto& end : side.ended) {
        const auto key = std::stoull(end);
        ++ends[key];
        CHECK(calls.contains(key));
        const auto said = end.substr(end.find(':') + 1);
        if (said.starts_with("aq")) CHECK(said == "aq" + std::to_string(key));
      }
    }
    CHECK(ends.size() == calls.size());
    for (const auto& [key, count] : ends) CHECK(count == 1);
    // Nothing twice, and in the order of each channel.
    for (const auto& side : pair.sides) {
      std::map<Channel, std::string> last;
      for (const auto& message : side.delivered) {
        const auto text = std::string(as_text(message.payload.slice(0, std::min<std::size_t>(7, message.payload.size()))));
        if (message.call != 0) continue;
        CHECK(text > last[message.channel]);
        last[message.channel] = text;
      }
    }
  }
}
