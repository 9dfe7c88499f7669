#include "tests/sim/group/sim_member.hpp"

#include <utility>

namespace troupe::sim {
namespace {

constexpr std::int64_t request_timeout_us = 800'000;

}  // namespace

SimMember::SimMember(World& world, consumer::GroupConsumer::Options options, metadata::ImagePtr image, bool holds_on)
    : world_(world), id_(options.member), machine_(std::move(options), std::move(image)), holds_on_(holds_on) {}

void SimMember::start() {
  call([this](auto& effects) { machine_.start(now(), effects); });
  work();
}

void SimMember::close() {
  call([this](auto& effects) { machine_.close(now(), effects); });
}

void SimMember::nudge() {
  world_.events.after_us(world_.random.between(100, 5'000), [self = shared_from_this()] {
    self->wake([self] { self->call([&](auto& effects) { self->machine_.nudge(self->now(), effects); }); });
  });
}

void SimMember::wake(std::function<void()> work) {
  if (dead_) return;
  if (!frozen()) {
    work();
    return;
  }
  world_.events.after_us(frozen_until_us_ - world_.events.now_us(),
                         [self = shared_from_this(), work = std::move(work)] { self->wake(work); });
}

void SimMember::call(const Call& what) {
  if (dead_) return;
  consumer::GroupConsumerEffects effects;
  what(effects);
  perform(std::move(effects));
}

template <class Answer>
void SimMember::send(std::function<Answer(group::GroupCoordinator&, group::Turn&)> handler,
                     std::function<void(const Answer&, consumer::GroupConsumerEffects&)> take) {
  auto& random = world_.random;
  auto& weather = world_.weather;
  // Once: by the coordinator, or by the clock.
  const auto answered = std::make_shared<bool>(false);
  const auto deliver = [self = shared_from_this(), answered, take](const Answer& answer) {
    if (std::exchange(*answered, true)) return;
    self->wake([self, take, answer] { self->call([&](auto& effects) { take(answer, effects); }); });
  };
  world_.events.after_us(request_timeout_us, [deliver] { deliver(Answer{Error{Errc::request_timed_out, "no answer"}}); });
  if (random.chance(weather.loss_percent, 100)) return;
  const auto arrival = std::max(last_arrival_us_, world_.events.now_us() + random.between(50, weather.delay_us_max));
  last_arrival_us_ = arrival;
  const bool zombie = random.chance(weather.zombie_percent, 100);
  world_.events.after_us(arrival - world_.events.now_us(), [&world = world_, handler, deliver, zombie] {
    auto answer = std::make_shared<std::optional<Answer>>();
    world.coordinators.handle(
        zombie, [&](group::GroupCoordinator& machine, group::Turn& turn) { *answer = handler(machine, turn); },
        [&world, answer, deliver](bool committed) {
          auto sent = committed ? **answer : Answer{Error{Errc::coordinator_load_in_progress, "not now"}};
          if (world.random.chance(world.weather.loss_percent, 100)) return;
          world.events.after_us(world.random.between(50, world.weather.delay_us_max), [deliver, sent] { deliver(sent); });
        });
  });
}

void SimMember::perform(consumer::GroupConsumerEffects effects) {
  const auto wall = [this] { return group::Now{now(), TimestampMs{1'700'000'000'000 + now().value()}}; };
  for (const auto& lost : effects.lost) reading_.erase(lost);
  for (const auto& assigned : effects.assigned) reading_[assigned.partition] = assigned.from.value_or(Offset{0});
  if (effects.commit) {
    send<Result<std::vector<Status>>>(
        [request = *effects.commit, wall](auto& machine, auto& turn) { return machine.commit(request, wall(), turn); },
        [this](const auto& answer, auto& more) { machine_.on_commit(answer, now(), more); });
  }
  if (effects.heartbeat) {
    send<Result<group::HeartbeatAnswer>>(
        [request = *effects.heartbeat, wall](auto& machine, auto& turn) { return machine.heartbeat(request, wall(), turn); },
        [this](const auto& answer, auto& more) { machine_.on_heartbeat(answer, now(), more); });
  }
  if (effects.fetch_offsets) {
    send<Result<std::vector<group::Position>>>(
        [request = *effects.fetch_offsets](auto& machine, auto&) { return machine.offsets(request); },
        [this](const auto& answer, auto& more) { machine_.on_offsets(answer, now(), more); });
  }
  for (const auto& partition : effects.revoking) {
    // Its reader finishes what it has in hand; one that holds on does not hear at all.
    if (holds_on_ && !stops_holding_on) continue;
    world_.events.after_us(world_.random.between(0, 400'000), [self = shared_from_this(), partition] {
      self->wake([self, partition] {
        // It may have been lost, and given back, since it was told.
        if (group::contains(self->machine_.reading(), partition)) return;
        self->reading_.erase(partition);
        self->call([&](auto& more) { self->machine_.released({partition}, self->now(), more); });
      });
    });
  }
  arm();
}

void SimMember::arm() {
  const auto at = machine_.next_deadline();
  if (!at) return;
  const auto alarm = ++alarm_;
  const auto in_us = std::max<std::int64_t>(1'000, at->value() * 1'000 - world_.events.now_us());
  world_.events.after_us(in_us, [self = shared_from_this(), alarm] {
    self->wake([self, alarm] {
      if (self->alarm_ != alarm) return;
      self->call([&](auto& effects) { self->machine_.on_deadline(self->now(), effects); });
    });
  });
}

void SimMember::work() {
  world_.events.after_us(world_.random.between(10'000, 150'000), [self = shared_from_this()] {
    self->wake([self] {
      if (!self->alive()) return;
      for (auto& [partition, next] : self->reading_) {
        const auto records = self->world_.random.between(0, 5);
        for (std::int64_t record = 0; record < records; ++record) {
          self->world_.on_consumed(*self, partition, next);
          next += 1;
        }
        self->machine_.consumed(partition, next, LeaderEpoch{0});
      }
      self->arm();
      self->work();
    });
  });
}

}  // namespace troupe::sim
