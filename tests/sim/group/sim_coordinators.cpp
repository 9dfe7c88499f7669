#include "tests/sim/group/sim_coordinators.hpp"

#include <set>
#include <utility>

#include "base/assert.hpp"

namespace troupe::sim {

SimCoordinators::SimCoordinators(EventQueue& events, Prng& random, metadata::ImagePtr image)
    : events_(events), random_(random), image_(std::move(image)) {
  fail_over();
}

void SimCoordinators::handle(bool zombie, const Handler& handler, std::function<void(bool)> answer) {
  const auto leader = zombie && deposed_ ? deposed_ : leader_;
  if (!leader || !leader->machine) {
    answer(false);
    return;
  }
  group::Turn turn;
  handler(*leader->machine, turn);
  write(leader, std::move(turn), std::move(answer));
}

void SimCoordinators::write(const std::shared_ptr<Leader>& leader, group::Turn turn, std::function<void(bool)> answer) {
  if (turn.records.empty() && leader->uncommitted.empty()) {
    if (answer) answer(true);
  } else if (turn.records.empty()) {
    if (answer) leader->uncommitted.back().answers.push_back(std::move(answer));
  } else {
    Batch batch{std::move(turn.records), {}};
    if (answer) batch.answers.push_back(std::move(answer));
    leader->uncommitted.push_back(std::move(batch));
    if (leader->uncommitted.size() == 1) commit_next(leader);
  }
  if (leader == leader_) {
    for (const auto& nudged : turn.nudged) on_nudge(nudged.member);
    if (on_turn) on_turn();
  }
}

void SimCoordinators::commit_next(const std::shared_ptr<Leader>& leader) {
  events_.after_us(random_.between(200, 20'000), [this, leader] {
    // One that was deposed writes, and nothing comes of it.
    if (!leader->leads || leader->uncommitted.empty()) return;
    commit_front(*leader);
    if (!leader->uncommitted.empty()) commit_next(leader);
  });
}

void SimCoordinators::commit_front(Leader& leader) {
  auto batch = std::move(leader.uncommitted.front());
  leader.uncommitted.pop_front();
  for (auto& record : batch.records) {
    on_committed(record);
    log_.push_back(std::move(record));
  }
  for (auto& answer : batch.answers) answer(true);
}

void SimCoordinators::fail_over() {
  if (leader_) {
    for (auto kept = random_.below(leader_->uncommitted.size() + 1); kept > 0; --kept) {
      // Committed by the successor: the answer was lost with the leader.
      leader_->uncommitted.front().answers.clear();
      commit_front(*leader_);
    }
    leader_->leads = false;
    deposed_ = leader_->machine && random_.chance(1, 2) ? leader_ : nullptr;
  }
  leader_ = std::make_shared<Leader>();
  leader_->number = next_number_++;
  // It reads the log for a while; nobody is answered meanwhile.
  const auto number = leader_->number;
  events_.after_us(random_.between(1'000, 300'000), [this, number] {
    if (leader_->number != number) return;
    leader_->machine = std::make_unique<group::GroupCoordinator>(group::GroupCoordinator::Options{}, image_);
    std::set<ByteBuffer> seen;
    std::vector<const group::Record*> kept;
    const bool compacted = random_.chance(1, 2);
    for (auto record = log_.rbegin(); record != log_.rend(); ++record) {
      if (!compacted || seen.insert(group::encode(*record).key).second) kept.push_back(&*record);
    }
    for (auto record = kept.rbegin(); record != kept.rend(); ++record) {
      const auto encoded = group::encode(**record);
      auto decoded = group::decode(encoded.key, encoded.value ? std::optional<ByteView>{*encoded.value} : std::nullopt);
      TROUPE_ASSERT(decoded && decoded->has_value());
      leader_->machine->replay(**decoded);
    }
    group::Turn turn;
    leader_->machine->begin(now(), turn);
    write(leader_, std::move(turn), {});
    wake(leader_);
  });
  events_.after_us(random_.between(0, 3'000'000), [this, number] {
    if (leader_->number == number) deposed_ = nullptr;
  });
}

void SimCoordinators::wake(const std::shared_ptr<Leader>& leader) {
  events_.after_us(50'000, [this, leader] {
    if (!leader->leads) return;
    group::Turn turn;
    leader->machine->on_deadline(now(), turn);
    write(leader, std::move(turn), {});
    wake(leader);
  });
}

void SimCoordinators::update(const metadata::ImageDelta& delta) {
  image_ = delta.after;
  if (!leader_->machine) return;
  group::Turn turn;
  leader_->machine->update(delta, now(), turn);
  write(leader_, std::move(turn), {});
}

}  // namespace troupe::sim
