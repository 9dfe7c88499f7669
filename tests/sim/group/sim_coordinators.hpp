#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "core/group/group_coordinator.hpp"
#include "tests/sim/event_queue.hpp"

namespace troupe::sim {

/// The partition of `__consumer_offsets`: who leads it, what is committed, and those who led it and do not know that they no longer do.
class SimCoordinators {
 public:
  SimCoordinators(EventQueue& events, Prng& random, metadata::ImagePtr image);

  using Handler = std::function<void(group::GroupCoordinator&, group::Turn&)>;
  /// Lets the present one, or with `zombie` the one before, handle something. `answer(false)`: it could not, or nobody knows;
  /// `answer(true)` once all that was written until then is committed.
  void handle(bool zombie, const Handler& handler, std::function<void(bool)> answer);

  /// Another one takes over. Some of what is not committed may be kept.
  void fail_over();
  void update(const metadata::ImageDelta& delta);

  /// The present one; null while it reads the log.
  const group::GroupCoordinator* leader() const { return leader_ ? leader_->machine.get() : nullptr; }
  std::function<void(const group::Record&)> on_committed = {};
  std::function<void()> on_turn = {};
  std::function<void(const std::string&)> on_nudge = {};

 private:
  struct Batch {
    std::vector<group::Record> records = {};
    std::vector<std::function<void(bool)>> answers = {};
  };
  struct Leader {
    std::unique_ptr<group::GroupCoordinator> machine = {};
    std::deque<Batch> uncommitted = {};
    bool leads = true;
    std::uint64_t number = 0;
    MonotonicMs skew{0};
  };

  group::Now now() const { return {events_.now(), TimestampMs{1'700'000'000'000 + events_.now().value()}}; }
  void write(const std::shared_ptr<Leader>& leader, group::Turn turn, std::function<void(bool)> answer);
  void commit_next(const std::shared_ptr<Leader>& leader);
  void commit_front(Leader& leader);
  void wake(const std::shared_ptr<Leader>& leader);

  EventQueue& events_;
  Prng& random_;
  metadata::ImagePtr image_;
  std::vector<group::Record> log_;
  std::shared_ptr<Leader> leader_;
  std::shared_ptr<Leader> deposed_;
  std::uint64_t next_number_ = 1;
};

}  // namespace troupe::sim
