#include "actors/group_coordinator.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/metadata_messages.hpp"
#include "actors/partition_messages.hpp"
#include "base/log.hpp"
#include "core/group/turn_log.hpp"

namespace troupe::actors {

/// From a group_coordinator to itself.
struct CoordinatorWakeup {
  enum class Kind : std::uint8_t { mark, flush, deadline };
  Kind kind;
  std::uint64_t token;  ///< of the timer; a stale one is dropped
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::CoordinatorWakeup)

namespace troupe::actors {
namespace {

using group::MemberName;

constexpr auto mark_pause = std::chrono::milliseconds(100);

/// An answer that may go when the log has what it rests on.
struct HeldAnswer {
  std::shared_ptr<CoordinatorTicket> ticket;
  Result<group::GroupAnswer> answer;
};

class GroupCoordinatorState {
 public:
  using Self = caf::stateful_actor<GroupCoordinatorState>;
  static constexpr const char* name = "group_coordinator";

  caf::behavior make_behavior(Self* self, GroupCoordinatorOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    machine_.emplace(options_.rules, options_.image);
    self_->monitor(options_.leader);
    self_->set_down_handler([this](caf::down_msg&) { end({Errc::not_coordinator, "the partition's leader ended"}); });
    mark();
    return {
        [this](const CoordinatorCall& call) { handle([&] { take(call); }); },
        [this](const MetadataUpdate& update) { handle([&] { take(update.delta); }); },
        [this](const GroupNodeLost& lost) { handle([&] { node_lost(lost.node); }); },
        [this](const SlotAnswered& answer) { handle([&] { appended(answer); }); },
        [this](const OffsetAnswered& answer) { handle([&] { found_start(answer); }); },
        [this](const FetchAnswered& answer) { handle([&] { fetched(answer); }); },
        [this](const CoordinatorWakeup& wakeup) { handle([&] { on_wakeup(wakeup); }); },
    };
  }

 private:
  enum class Phase : std::uint8_t { marking, reading, running, ended };

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, monotonic(), mailbox_depth(*self_)};
    if (phase_ == Phase::ended) return;
    work();
  }
  MonotonicMs monotonic() const { return now_of(*self_); }
  group::Now now() const { return {monotonic(), options_.clock->wall_now()}; }
  caf::actor handle_of_self() const { return caf::actor_cast<caf::actor>(self_); }

  void end(const Error& error) {
    if (phase_ == Phase::ended) return;
    phase_ = Phase::ended;
    row_->set_last_error(to_string(error));
    self_->quit(to_caf_error(error));
  }

  // --- loading

  void mark() {
    began_at_ = monotonic();
    std::vector<ByteBuffer> batches;
    batches.push_back(group::encode_load_mark(options_.clock->wall_now()));
    append(std::move(batches));
  }

  void marked(const Result<replication::PlacedRecords>& result) {
    if (result) {
      mark_ = result->base_offset;
      phase_ = Phase::reading;
      self_->send(options_.leader, FindOffset{0, {.kind = OffsetSpec::Kind::earliest}, handle_of_self()});
      return;
    }
    const auto code = result.error().code;
    if (code == Errc::leadership_lost || code == Errc::not_leader_or_follower) return end(result.error());
    // Too few replicas, no space: it may get better, and a mark more or less is nothing.
    row_->set_last_error(to_string(result.error()));
    self_->delayed_send(self_, mark_pause, CoordinatorWakeup{CoordinatorWakeup::Kind::mark, 0});
  }

  void found_start(const OffsetAnswered& answer) {
    if (phase_ != Phase::reading) return;
    if (!answer.answer) return end(answer.answer.error());
    next_ = answer.answer->offset;
    read_on();
  }

  void read_on() {
    if (next_ >= mark_) return loaded();
    self_->send(options_.leader, FetchPartition{0, {.partition = options_.partition, .from = next_}, handle_of_self()});
  }

  void fetched(const FetchAnswered& answer) {
    if (phase_ != Phase::reading) return;
    if (!answer.response) return end(answer.response.error());
    const auto& response = *answer.response;
    if (response.next_offset <= next_) {
      return end({Errc::unknown_error, "the log has nothing at offset " + to_string(next_) + ", and goes on behind it"});
    }
    const auto replayed = group::replay_batches(response.batches.view(), next_, mark_, [this](const group::Record& record) {
      ++replayed_;
      machine_->replay(record);
    });
    if (!replayed) {
      log::error("a record of a group cannot be read",
                 {log::kv("partition", options_.partition.partition), log::kv("error", replayed.error())});
      return end(replayed.error());
    }
    next_ = response.next_offset;
    read_on();
  }

  void loaded() {
    phase_ = Phase::running;
    options_.counters.loads.add();
    row_->set_state(ActorState::running);
    log::info("groups loaded",
              {log::kv("partition", options_.partition.partition), log::kv("groups", machine_->group_count()),
               log::kv("records", replayed_), log::kv("ms", monotonic() - began_at_)});
    group::Turn turn;
    machine_->begin(now(), turn);
    for (const auto& delta : std::exchange(deltas_, {})) machine_->update(*delta, now(), turn);
    finish(std::move(turn));
  }

  // --- calls

  void take(const CoordinatorCall& call) {
    if (phase_ != Phase::running) {
      return call.ticket->answer(
          Error{Errc::coordinator_load_in_progress, "the group's coordinator reads its log: nothing was done, retry"});
    }
    const auto waiting = log_.held() + parked_.size();
    if (waiting >= options_.held_max) {
      return call.ticket->answer(
          Error{Errc::overloaded,
                std::to_string(waiting) + " calls wait for the group's coordinator: nothing was done, retry later"});
    }
    call.ticket->take();
    options_.counters.calls.add();
    group::Turn turn;
    if (group::may_wait(*call.call)) {
      parked_.emplace(++last_parked_, call.ticket);
      group::ask_later(*machine_, *call.call, last_parked_, now(), turn);
      return finish(std::move(turn));
    }
    auto answer = group::answer_call(*machine_, *call.call, call.from, now(), turn);
    finish(std::move(turn));
    hold({call.ticket, std::move(answer)});
  }

  void hold(HeldAnswer answer) {
    if (auto free = log_.hold(std::move(answer))) free->ticket->answer(std::move(free->answer));
    options_.counts->held.store(log_.held(), std::memory_order_relaxed);
  }

  /// Answers of calls that waited for others.
  void deliver(group::ClassicDelivery delivery) {
    const auto found = parked_.find(delivery.call);
    if (found == parked_.end()) return;
    auto ticket = std::move(found->second);
    parked_.erase(found);
    if (delivery.answer) {
      hold({std::move(ticket), group::to_answer(*std::move(delivery.answer))});
    } else {
      hold({std::move(ticket), std::move(delivery.answer).error()});
    }
  }

  void take(const metadata::DeltaPtr& delta) {
    if (phase_ != Phase::running) return deltas_.push_back(delta);
    group::Turn turn;
    machine_->update(*delta, now(), turn);
    finish(std::move(turn));
  }

  void node_lost(BrokerId node) {
    if (phase_ != Phase::running) return;  // whoever begins looks who is there
    group::Turn turn;
    machine_->node_lost(node, now(), turn);
    if (!turn.records.empty()) {
      log::info("members of groups lost with their node",
                {log::kv("node", node), log::kv("partition", options_.partition.partition)});
    }
    finish(std::move(turn));
  }

  /// After every call of the machine: what the turn wrote, whom it concerns, when the next one is due.
  void finish(group::Turn turn) {
    log_.write(std::move(turn.records));
    for (auto& delivery : turn.delivered) deliver(std::move(delivery));
    nudged_.insert(turn.nudged.begin(), turn.nudged.end());
    if ((log_.has_open() || !nudged_.empty()) && !std::exchange(flushing_, true)) {
      self_->send(self_, CoordinatorWakeup{CoordinatorWakeup::Kind::flush, 0});
    }
    options_.counts->groups.store(machine_->group_count(), std::memory_order_relaxed);
    arm();
  }

  // --- the log

  void append(std::vector<ByteBuffer> batches) {
    ProduceSlot slot{.partition = options_.partition, .slot = ++slot_, .batches = {}, .reply_to = handle_of_self()};
    for (auto& batch : batches) {
      const auto header = record::parse_batch_header(batch);
      if (!header) return end(header.error());
      slot.batches.push_back({.bytes = Bytes::adopt(std::move(batch)), .header = *header});
    }
    self_->send(options_.leader, std::move(slot));
  }

  void flush() {
    tell_news();
    auto batches = log_.take_append(options_.clock->wall_now());
    if (!batches) return end(batches.error());
    if (batches->empty()) return;
    options_.counters.appends.add();
    append(*std::move(batches));
  }

  void appended(const SlotAnswered& answer) {
    if (answer.slot != slot_) return;
    if (phase_ == Phase::marking) return marked(answer.results.at(0));
    for (const auto& result : answer.results) {
      if (!result) return end(result.error());
    }
    for (auto& free : log_.committed()) free.ticket->answer(std::move(free.answer));
    options_.counts->held.store(log_.held(), std::memory_order_relaxed);
    flush();
  }

  void tell_news() {
    std::map<BrokerId, std::vector<MemberName>> by_node;
    for (const auto& member : std::exchange(nudged_, {})) {
      const auto node = machine_->node_of(member);
      if (node != no_broker) by_node[node].push_back(member);
    }
    const auto desk = by_node.empty() ? caf::actor{} : options_.desk->get();
    if (!desk) return;
    for (auto& [node, members] : by_node) self_->send(desk, MembersNews{node, std::move(members)});
  }

  // --- time

  void arm() {
    const auto due = machine_->next_deadline();
    if (!due || (armed_for_ && *armed_for_ <= *due)) return;
    armed_for_ = due;
    const auto pause = std::chrono::milliseconds(std::max(Millis{0}, *due - monotonic()));
    self_->delayed_send(self_, pause, CoordinatorWakeup{CoordinatorWakeup::Kind::deadline, ++timer_});
  }

  void on_wakeup(const CoordinatorWakeup& wakeup) {
    switch (wakeup.kind) {
      case CoordinatorWakeup::Kind::mark: return mark();
      case CoordinatorWakeup::Kind::flush: flushing_ = false; return flush();
      case CoordinatorWakeup::Kind::deadline: break;
    }
    if (wakeup.token != timer_) return;
    armed_for_.reset();
    group::Turn turn;
    machine_->on_deadline(now(), turn);
    finish(std::move(turn));
  }

  Self* self_ = nullptr;
  GroupCoordinatorOptions options_;
  ActorRowPtr row_;
  Phase phase_ = Phase::marking;
  std::optional<group::GroupCoordinator> machine_;
  std::uint64_t slot_ = 0;  ///< the append that is on its way, or was last

  MonotonicMs began_at_{0};
  Offset mark_{0};
  Offset next_{0};
  std::uint64_t replayed_ = 0;
  std::vector<metadata::DeltaPtr> deltas_;  ///< that came meanwhile

  group::TurnLog<HeldAnswer> log_;
  std::unordered_map<group::CallToken, std::shared_ptr<CoordinatorTicket>> parked_;  ///< until others have joined, or synced
  group::CallToken last_parked_ = 0;
  std::set<MemberName> nudged_;
  bool flushing_ = false;

  std::uint64_t timer_ = 0;
  std::optional<MonotonicMs> armed_for_;
};

caf::behavior group_coordinator(GroupCoordinatorState::Self* self, GroupCoordinatorOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_group_coordinator(caf::actor_system& system, GroupCoordinatorOptions options, ActorRowPtr row) {
  return system.spawn(group_coordinator, std::move(options), std::move(row));
}

}  // namespace troupe::actors
