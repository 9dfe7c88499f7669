#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <queue>
#include <vector>

#include "core/ids.hpp"

namespace troupe::sim {

/// What happens in a simulation, in the order of virtual time; at the same time in the order in which it was planned.
class EventQueue {
 public:
  using Work = std::function<void()>;

  std::int64_t now_us() const { return now_us_; }
  MonotonicMs now() const { return MonotonicMs{now_us_ / 1000}; }

  void after_us(std::int64_t delay_us, Work work) { events_.push({now_us_ + delay_us, next_++, std::move(work)}); }
  /// Lets the next thing happen; false when there is none before `end_us`.
  bool step(std::int64_t end_us) {
    if (events_.empty() || events_.top().at_us > end_us) return false;
    auto work = std::move(const_cast<Event&>(events_.top()).work);
    now_us_ = events_.top().at_us;
    events_.pop();
    ++steps_;
    work();
    return true;
  }
  /// Time goes on without anything happening.
  void pass_to(std::int64_t time_us) { now_us_ = std::max(now_us_, time_us); }
  std::uint64_t steps() const { return steps_; }

 private:
  struct Event {
    std::int64_t at_us;
    std::uint64_t number;
    Work work;
    bool operator<(const Event& other) const { return at_us != other.at_us ? at_us > other.at_us : number > other.number; }
  };

  std::int64_t now_us_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t steps_ = 0;
  std::priority_queue<Event> events_;
};

}  // namespace troupe::sim
