#include "tests/support/fake_links.hpp"

#include "tests/support/actor_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::actors;

namespace {

/// What an actor of one node has heard.
struct Heard {
  std::vector<std::string> messages = {};  ///< "1:hello"
  std::vector<std::string> answers = {};   ///< "7:hello" or "7:request_timed_out"
  std::vector<std::string> states = {};    ///< "2 up", "2 down", "2 refused"
  std::vector<PeerMessage> open_calls = {};
};

caf::behavior listener(caf::event_based_actor*, const std::shared_ptr<Heard>& heard) {
  return {
      [heard](const PeerMessage& message) {
        heard->messages.push_back(to_string(message.from) + ":" + std::string(as_text(message.payload)));
        if (message.call != 0) heard->open_calls.push_back(message);
      },
      [heard](const PeerAnswer& answer) {
        const auto said =
            answer.answer ? std::string(as_text(*answer.answer)) : std::string(to_string(answer.answer.error().code));
        heard->answers.push_back(std::to_string(answer.token) + ":" + said);
      },
      [heard](const PeerState& state) {
        heard->states.push_back(to_string(state.id) + (state.up ? " up" : state.refused ? " refused" : " down"));
      },
  };
}

Bytes bytes(std::string_view text) { return Bytes::copy_of(as_bytes(text)); }
using Words = std::vector<std::string>;

struct FakeFixture {
  SeededScheduler scheduler{11};
  FakeLinks network{scheduler.system()};
  std::shared_ptr<Heard> one = std::make_shared<Heard>();
  std::shared_ptr<Heard> two = std::make_shared<Heard>();
  caf::actor first = scheduler.own(scheduler.system().spawn(listener, one));
  caf::actor second = scheduler.own(scheduler.system().spawn(listener, two));

  FakeFixture() {
    network.start(BrokerId{1}).serve(Channel::quorum, first);
    network.start(BrokerId{2}).serve(Channel::quorum, second);
    scheduler.run();
  }

  void send(std::string_view text) { network.of(BrokerId{1}).send(BrokerId{2}, Channel::quorum, bytes(text)); }
  void call(std::uint64_t token, Channel channel = Channel::quorum) {
    network.of(BrokerId{1}).call(BrokerId{2}, channel, bytes("q" + std::to_string(token)), 100, token, first);
    scheduler.run();
  }
};

}  // namespace

TEST_CASE("messages arrive in order, calls are answered once", "[fake_links]") {
  FakeFixture fixture;
  fixture.send("a");
  fixture.send("b");
  fixture.call(7);
  CHECK(fixture.two->messages == Words{"1:a", "1:b", "1:q7"});
  REQUIRE(fixture.two->open_calls.size() == 1);
  CHECK(fixture.two->open_calls[0].incarnation == fixture.network.incarnation_of(BrokerId{1}));
  fixture.network.of(BrokerId{2}).answer(fixture.two->open_calls[0], bytes("yes"));
  fixture.network.of(BrokerId{2}).answer(fixture.two->open_calls[0], bytes("no"));
  fixture.call(8);
  fixture.network.of(BrokerId{2}).answer(fixture.two->open_calls[1], Error{Errc::not_controller, "ask 3"});
  fixture.call(9, Channel::replica);
  fixture.scheduler.advance(200);
  CHECK(fixture.one->answers == Words{"7:yes", "8:not_controller", "9:broker_not_available"});
}

TEST_CASE("a call that is not answered ends at its deadline", "[fake_links]") {
  FakeFixture fixture;
  fixture.call(1);
  fixture.scheduler.advance(90);
  CHECK(fixture.one->answers.empty());
  fixture.scheduler.advance(20);
  CHECK(fixture.one->answers == Words{"1:request_timed_out"});
}

TEST_CASE("a cut is heard on both sides and loses what is on its way", "[fake_links]") {
  FakeFixture fixture;
  CHECK(fixture.one->states == Words{"2 up"});
  CHECK(fixture.two->states == Words{"1 up"});
  fixture.call(1);
  fixture.network.hold(BrokerId{1}, BrokerId{2});
  fixture.send("held");
  fixture.network.cut(BrokerId{1}, BrokerId{2});
  fixture.send("cut");
  fixture.call(2);
  fixture.network.heal(BrokerId{2}, BrokerId{1});
  fixture.network.release(BrokerId{1}, BrokerId{2});
  fixture.send("after");
  fixture.scheduler.run();
  CHECK(fixture.one->states == Words{"2 up", "2 down", "2 up"});
  CHECK(fixture.two->states == Words{"1 up", "1 down", "1 up"});
  CHECK(fixture.one->answers == Words{"1:request_timed_out", "2:broker_not_available"});
  CHECK(fixture.two->messages == Words{"1:q1", "1:after"});
}

TEST_CASE("held messages come in order when they are released; some are lost on demand", "[fake_links]") {
  FakeFixture fixture;
  fixture.network.hold(BrokerId{1}, BrokerId{2});
  fixture.network.lose_if([](const FakeLinks::Passing& passing) { return as_text(passing.payload) == "b"; });
  for (const auto* text : {"a", "b", "c"}) fixture.send(text);
  fixture.scheduler.run();
  CHECK(fixture.two->messages.empty());
  fixture.network.release(BrokerId{1}, BrokerId{2});
  fixture.send("d");
  fixture.scheduler.run();
  CHECK(fixture.two->messages == Words{"1:a", "1:c", "1:d"});
}

TEST_CASE("a node that stops is refused, and its next run is another one", "[fake_links]") {
  FakeFixture fixture;
  const auto before = fixture.network.incarnation_of(BrokerId{2});
  fixture.call(1);
  fixture.network.stop(BrokerId{2});
  fixture.scheduler.run();
  CHECK(fixture.one->answers == Words{"1:request_timed_out"});
  auto& next = fixture.network.start(BrokerId{2});
  fixture.send("nobody serves yet");
  next.serve(Channel::quorum, fixture.second);
  fixture.send("now");
  fixture.scheduler.run();
  CHECK(fixture.one->states == Words{"2 up", "2 refused", "2 up"});
  CHECK(fixture.two->messages == Words{"1:q1", "1:now"});
  CHECK(fixture.network.incarnation_of(BrokerId{2}) != before);
}
