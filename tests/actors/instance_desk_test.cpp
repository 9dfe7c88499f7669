#include "actors/instance_desk.hpp"

#include <deque>

#include "tests/support/actor_fixture.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::actors;

namespace {

const BrokerId other{2};

Bytes text(const std::string& value) { return Bytes::copy_of(as_bytes(value)); }

/// Links to one node, which say what the test wants.
struct ScriptedLinks final : PeerLinks {
  void serve(Channel channel, const caf::actor& receiver) override {
    CHECK(channel == Channel::consumer);
    desk = caf::actor_cast<caf::actor_addr>(receiver);
  }
  void send(BrokerId, Channel, Bytes) override { CHECK(false); }
  void call(BrokerId to, Channel channel, Bytes payload, Millis, std::uint64_t token, const caf::actor& reply_to) override {
    CHECK(to == other);
    CHECK(channel == Channel::consumer);
    ++calls;
    Result<Bytes> said = Error{Errc::broker_not_available, "no connection"};
    if (up) said = text("answer to " + std::string(as_text(payload.view())));
    caf::anon_send(reply_to, PeerAnswer{token, to, std::move(said)});
  }
  void answer(const PeerMessage& message, Result<Bytes> said) override {
    answers.emplace_back(message.call, std::move(said));
  }

  template <class Message>
  void tell(Message message) {
    caf::anon_send(caf::actor_cast<caf::actor>(desk), std::move(message));
  }

  bool up = true;
  int calls = 0;
  caf::actor_addr desk;
  std::vector<std::pair<std::uint64_t, Result<Bytes>>> answers;
};

struct Door final : InstanceServer {
  void on_call(BrokerId from, Bytes call, Reply<Bytes> reply) override {
    CHECK(from == other);
    reply(text("door: " + std::string(as_text(call.view()))));
  }
  void on_link(BrokerId node) override { links.push_back(node); }

  std::vector<BrokerId> links;
};

struct DeskFixture {
  DeskFixture() {
    slot->set(scheduler.own(spawn_instance_desk(scheduler.system(), {.images = images, .front = &front, .links = &links},
                                                table.add("instance_desk", "instance_desk", "node"))));
    scheduler.run();
  }
  ~DeskFixture() { scheduler.end_owned(); }

  std::shared_ptr<std::optional<Result<Bytes>>> call(Millis timeout_ms = 1'000) {
    auto answer = std::make_shared<std::optional<Result<Bytes>>>();
    front.call(other, text("hello"), timeout_ms,
               Reply<Bytes>{[answer](Result<Bytes> said) { answer->emplace(std::move(said)); }});
    scheduler.run();
    return answer;
  }

  ActorTable table;
  std::shared_ptr<HandleSlot<caf::actor>> slot = std::make_shared<HandleSlot<caf::actor>>();
  const std::shared_ptr<ImageHolder> images = std::make_shared<ImageHolder>();
  InstanceFront front{slot};
  ScriptedLinks links;
  SeededScheduler scheduler{5};
};

}  // namespace

TEST_CASE("a call to an instance elsewhere waits for the link, unless the node's process is gone", "[instance_desk]") {
  DeskFixture fixture;
  auto answer = fixture.call();
  REQUIRE(answer->has_value());
  CHECK(as_text((**answer)->view()) == "answer to hello");

  fixture.links.up = false;
  SECTION("it comes back") {
    answer = fixture.call();
    fixture.scheduler.advance(100);
    CHECK_FALSE(answer->has_value());
    CHECK(fixture.links.calls > 2);
    fixture.links.up = true;
    fixture.scheduler.advance(50);
    REQUIRE(answer->has_value());
    CHECK(**answer);
  }
  SECTION("it does not, within the time of the call") {
    answer = fixture.call(200);
    fixture.scheduler.advance(400);
    REQUIRE(answer->has_value());
    CHECK((**answer).error().code == Errc::coordinator_not_available);
  }
  SECTION("its process is gone") {
    answer = fixture.call();
    fixture.links.tell(PeerState{.id = other, .up = false, .refused = true});
    fixture.scheduler.advance(50);
    REQUIRE(answer->has_value());
    CHECK((**answer).error().code == Errc::broker_not_available);
    // Another process of it is another matter.
    fixture.links.tell(PeerState{.id = other, .up = true});
    answer = fixture.call();
    CHECK_FALSE(answer->has_value());
  }
}

TEST_CASE("what other nodes ask goes to the door, as long as it is open", "[instance_desk]") {
  DeskFixture fixture;
  const auto ask = [&](std::uint64_t number) {
    fixture.links.tell(PeerMessage{.from = other, .channel = Channel::consumer, .call = number, .payload = text("who?")});
    fixture.scheduler.run();
    REQUIRE(fixture.links.answers.size() == number);
    CHECK(fixture.links.answers.back().first == number);
    return fixture.links.answers.back().second;
  };
  CHECK(ask(1).error().code == Errc::not_coordinator);
  auto door = std::make_shared<Door>();
  fixture.front.serve(door);
  CHECK(as_text(ask(2)->view()) == "door: who?");
  fixture.links.tell(PeerState{.id = other, .up = false});
  fixture.scheduler.run();
  CHECK(door->links == std::vector{other});
  door.reset();
  CHECK(ask(3).error().code == Errc::not_coordinator);
}
