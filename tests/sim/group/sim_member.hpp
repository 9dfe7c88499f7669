#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "core/consumer/group_consumer.hpp"
#include "tests/sim/group/sim_coordinators.hpp"

namespace troupe::sim {

/// A member, who reads for it, and the way between it and its coordinator.
class SimMember : public std::enable_shared_from_this<SimMember> {
 public:
  struct Weather {
    std::uint64_t loss_percent = 0;
    std::int64_t delay_us_max = 2'000;
    std::uint64_t zombie_percent = 0;
  };
  struct World {
    EventQueue& events;
    Prng& random;
    SimCoordinators& coordinators;
    Weather& weather;
    std::function<void(const SimMember&, const TopicIdPartition&, Offset)> on_consumed;
  };

  SimMember(World& world, consumer::GroupConsumer::Options options, metadata::ImagePtr image, bool holds_on);

  void start();
  void close();
  /// No word of it any more.
  void die() { dead_ = true; }
  /// What comes to it waits until then.
  void freeze(std::int64_t for_us) { frozen_until_us_ = world_.events.now_us() + for_us; }
  void nudge();
  void update(const metadata::ImagePtr& image) { machine_.update(image); }

  const std::string& id() const { return id_; }
  bool alive() const { return !dead_ && machine_.phase() != consumer::GroupConsumer::Phase::closed; }
  bool frozen() const { return frozen_until_us_ > world_.events.now_us(); }
  /// What its reader works on: it was told so, and has not stopped.
  const std::map<TopicIdPartition, Offset>& reading() const { return reading_; }
  const consumer::GroupConsumer& machine() const { return machine_; }
  bool stops_holding_on = false;

 private:
  using Call = std::function<void(consumer::GroupConsumerEffects&)>;
  /// Now, or when it is not frozen any more; never when it is dead.
  void wake(std::function<void()> work);
  void call(const Call& what);
  void perform(consumer::GroupConsumerEffects effects);
  template <class Answer>
  void send(std::function<Answer(group::GroupCoordinator&, group::Turn&)> handler,
            std::function<void(const Answer&, consumer::GroupConsumerEffects&)> take);
  void arm();
  void work();
  MonotonicMs now() const { return world_.events.now(); }

  World& world_;
  std::string id_;
  consumer::GroupConsumer machine_;
  bool holds_on_ = false;
  bool dead_ = false;
  std::int64_t frozen_until_us_ = 0;
  std::int64_t last_arrival_us_ = 0;  ///< requests arrive in their order
  std::map<TopicIdPartition, Offset> reading_;
  std::uint64_t alarm_ = 0;
};

}  // namespace troupe::sim
