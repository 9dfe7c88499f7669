// The actor of docs/writing-an-actor.md, as it is printed there, below a supervisor and over a broker in memory.
#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/processor_messages.hpp"
#include "actors/supervisor.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/fake_broker.hpp"

namespace troupe::actors {

/// To heartbeat. -> HeartbeatCount
struct AskHeartbeats {};
struct HeartbeatCount {
  std::uint64_t acknowledged = 0;
};

struct HeartbeatOptions {
  BrokerApi* broker = nullptr;  ///< outlives the actor
  std::string topic;
  Millis interval_ms = 1'000;
};

/// From heartbeat to itself.
struct HeartbeatTick {};
struct HeartbeatProduced {
  Result<ProduceResponse> response;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::AskHeartbeats)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::HeartbeatCount)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::HeartbeatTick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::HeartbeatProduced)

namespace troupe::actors {
namespace {

class HeartbeatState {
 public:
  using Self = caf::stateful_actor<HeartbeatState>;
  static constexpr const char* name = "heartbeat";

  caf::behavior make_behavior(Self* self, HeartbeatOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    row_->set_state(ActorState::running);
    beat();
    return {
        [this](const HeartbeatTick&) { handle([&] { beat(); }); },
        [this](const HeartbeatProduced& answer) { handle([&] { on_produced(answer.response); }); },
        [this](const AskHeartbeats&) { return HeartbeatCount{acknowledged_}; },
    };
  }

 private:
  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now_of(*self_), mailbox_depth(*self_)};
    work();
  }

  void beat() {
    self_->delayed_send(self_, std::chrono::milliseconds(options_.interval_ms), HeartbeatTick{});
    const auto topic = options_.broker->topic(options_.topic);
    if (!topic) return;
    ProduceRequest request{.topic = topic, .memory = Bytes::copy_of(as_bytes("alive"))};
    request.records.push_back({.value = request.memory.view()});
    options_.broker->produce(std::move(request), answer_as<ProduceResponse>(self_, [](Result<ProduceResponse> response) {
                               return HeartbeatProduced{std::move(response)};
                             }));
  }

  void on_produced(const Result<ProduceResponse>& response) {
    if (!response) return self_->quit(to_caf_error(response.error()));
    const auto& record = response->records.front();
    if (!record) return self_->quit(to_caf_error(record.error()));
    ++acknowledged_;
  }

  Self* self_ = nullptr;
  HeartbeatOptions options_;
  ActorRowPtr row_;
  std::uint64_t acknowledged_ = 0;
};

caf::behavior heartbeat(HeartbeatState::Self* self, HeartbeatOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_heartbeat(caf::actor_system& system, HeartbeatOptions options, ActorRowPtr row) {
  return system.spawn(heartbeat, std::move(options), std::move(row));
}

}  // namespace troupe::actors

using namespace troupe;
using namespace troupe::actors;

TEST_CASE("the actor of the guide beats, fails, and beats again", "[documentation]") {
  test::FakeBroker broker;
  ActorTable table;
  test::SeededScheduler scheduler{9};
  broker.add_topic("beats");
  SupervisorOptions options{.name = "node", .children = {}, .table = &table};
  options.children.push_back({"heartbeat", "heartbeat", [&](caf::actor_system& system, const ActorRowPtr& row) {
                                return scheduler.own(spawn_heartbeat(system, {.broker = &broker, .topic = "beats"}, row));
                              }});
  const auto supervisor = scheduler.own(spawn_supervisor(scheduler.system(), options));
  scheduler.advance(3'500);
  CHECK(broker.records("beats", PartitionId{0}).size() == 4);
  const auto child = scheduler.ask<Child>(supervisor, GetChild{"heartbeat"});
  REQUIRE(child);
  CHECK(scheduler.ask<HeartbeatCount>(child->handle, AskHeartbeats{})->acknowledged == 4);
  broker.fail_produce(Error{Errc::storage_full, "no space"});
  scheduler.advance(1'000);
  broker.fail_produce(std::nullopt);
  scheduler.advance(3'000);
  const auto rows = table.snapshot();
  CHECK(rows.at(1).restarts >= 1);
  CHECK(rows.at(1).last_error->find("no space") != std::string::npos);
  CHECK(broker.records("beats", PartitionId{0}).size() >= 6);
}
