#include "actors/group_manager.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/restart_policy.hpp"
#include "base/log.hpp"
#include "core/group/group_place.hpp"

namespace troupe::actors {

/// From group_manager to itself.
struct GroupManagerTick {};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::GroupManagerTick)

namespace troupe::actors {
namespace {

/// How soon it looks again while something is missing; slower when it stays so.
constexpr Millis look_ms_min = 20;
constexpr Millis look_ms_max = 500;
constexpr auto subscribe_pause = std::chrono::milliseconds(100);
/// It is never given up: the bound is above what the pauses let happen within the window.
constexpr RestartPolicy::Options restarts{
    .restarts_max = 100'000, .window_ms = 600'000, .backoff_ms_min = 20, .backoff_ms_max = 5'000};

class GroupManagerState {
 public:
  using Self = caf::stateful_actor<GroupManagerState>;
  static constexpr const char* name = "group_manager";

  ~GroupManagerState() {
    for (const auto& [partition, shard] : shards_) {
      options_.directory->remove(partition);
      if (shard.coordinator) caf::anon_send_exit(shard.coordinator, caf::exit_reason::user_shutdown);
    }
  }

  caf::behavior make_behavior(Self* self, GroupManagerOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    random_ = Prng{options_.seed};
    if (options_.metrics != nullptr) count(*options_.metrics);
    self_->set_down_handler([this](const caf::down_msg& down) { handle([&] { on_down(down); }); });
    self_->set_exit_handler([this](const caf::exit_msg& exit) { handle([&] { stop(exit.reason); }); });
    row_->set_state(ActorState::running);
    subscribe();
    return {
        [this](const MetadataUpdate& update) { handle([&] { take(update.delta); }); },
        [this](const GroupManagerTick&) {
          handle([&] {
            tick_at_.reset();
            subscribe();
            look();
          });
        },
    };
  }

 private:
  struct Shard {
    caf::actor coordinator = {};  ///< null unless it runs
    caf::actor_id leader = 0;     ///< the one that it was begun with, or that its last run was
    ActorRowPtr row = {};
    RestartPolicy policy{restarts};
    MonotonicMs not_before{0};
    bool begun = false;
  };

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now_of(*self_), mailbox_depth(*self_)};
    work();
  }

  void count(metrics::Registry& registry) {
    counters_ = {.calls = registry.counter("troupe_group_calls_total", "Calls that coordinators of groups have taken."),
                 .appends = registry.counter("troupe_group_appends_total", "Appends of coordinators to their logs."),
                 .loads = registry.counter("troupe_group_loads_total", "Times that a coordinator has read its log.")};
  }

  // --- the metadata

  void subscribe() {
    if (subscribed_to_ || stopping_) return;
    const auto quorum = options_.metadata_quorum();
    if (!quorum) return tick(subscribe_pause);
    subscribed_to_ = caf::actor_cast<caf::actor>(quorum).id();
    self_->monitor(quorum);
    self_->send(quorum, SubscribeMetadata{caf::actor_cast<caf::actor>(self_)});
  }

  void take(const metadata::DeltaPtr& delta) {
    if (stopping_) return;
    const auto before = std::exchange(image_, delta->after);
    for (const auto& [partition, shard] : shards_) {
      if (shard.coordinator) self_->send(shard.coordinator, MetadataUpdate{delta});
    }
    for (const auto& broker : before->registrations()) {
      const auto* now = image_->find_broker(broker.broker.id);
      if (!broker.fenced && (now == nullptr || now->fenced)) lost(broker.broker.id);
    }
    look_ms_ = look_ms_min;
    look();
  }

  void lost(BrokerId node) {
    for (const auto& [partition, shard] : shards_) {
      if (shard.coordinator) self_->send(shard.coordinator, GroupNodeLost{node});
    }
  }

  // --- coordinators

  /// Makes what runs the same as what is to run.
  void look() {
    if (stopping_) return;
    const auto topic = image_->find_topic(group::offsets_topic);
    std::optional<Millis> again;
    for (std::int32_t number = 0; number < group::offsets_partitions; ++number) {
      const PartitionId partition{number};
      const bool led = topic && number < topic->partition_count() &&
                       topic->partitions[static_cast<std::size_t>(number)].leader == options_.node_id;
      if (!led) {
        end(partition);
      } else if (const auto pause = want(topic->id, partition)) {
        again = again ? std::min(*again, *pause) : pause;
      }
    }
    if (again) tick(std::chrono::milliseconds(*again));
  }

  /// When to look again; nullopt: it runs.
  std::optional<Millis> want(const TopicId& topic, PartitionId partition) {
    auto& shard = shards_[partition];
    const auto now = now_of(*self_);
    const auto entry = options_.leaders->find({topic, partition});
    if (shard.coordinator) return std::nullopt;  // one whose leader has ended ends by itself
    if (!entry) {
      look_ms_ = std::min(look_ms_max, look_ms_ + look_ms_ / 2);
      return look_ms_;
    }
    // Another leader is another try.
    if (entry->leader.id() == shard.leader && now < shard.not_before) return shard.not_before - now;
    start(shard, {topic, partition}, entry->leader);
    return std::nullopt;
  }

  void start(Shard& shard, const TopicIdPartition& id, const caf::actor& leader) {
    if (!shard.row) {
      shard.row = options_.table->add("group_coordinator", std::string(group::offsets_topic) + "/" + to_string(id.partition),
                                      row_->name());
    }
    if (std::exchange(shard.begun, true)) shard.row->count_restart();
    shard.row->set_state(ActorState::starting);
    shard.leader = leader.id();
    const auto counts = std::make_shared<CoordinatorCounts>();
    shard.coordinator = spawn_group_coordinator(self_->system(),
                                                {.partition = id,
                                                 .leader = leader,
                                                 .rules = options_.rules,
                                                 .image = image_,
                                                 .clock = options_.clock,
                                                 .desk = options_.desk,
                                                 .counts = counts,
                                                 .counters = counters_},
                                                shard.row);
    self_->monitor(shard.coordinator);
    options_.directory->set(id.partition, {shard.coordinator, counts});
  }

  /// Another node leads it.
  void end(PartitionId partition) {
    const auto found = shards_.find(partition);
    if (found == shards_.end()) return;
    auto& shard = found->second;
    if (shard.coordinator) {
      options_.directory->remove(partition);
      self_->demonitor(shard.coordinator);
      self_->send_exit(shard.coordinator, caf::exit_reason::user_shutdown);
    }
    if (shard.row) options_.table->remove(shard.row->kind(), shard.row->name());
    shards_.erase(found);
  }

  void on_down(const caf::down_msg& down) {
    if (subscribed_to_ && down.source.id() == *subscribed_to_) {
      subscribed_to_.reset();
      return subscribe();
    }
    const auto found = std::ranges::find_if(
        shards_, [&](const auto& one) { return one.second.coordinator && one.second.coordinator.address() == down.source; });
    if (found == shards_.end()) return;
    auto& [partition, shard] = *found;
    options_.directory->remove(partition);
    shard.coordinator = nullptr;
    if (stopping_) {
      shard.row->set_state(ActorState::stopped);
      return stop_when_empty();
    }
    const auto error = from_caf_error(down.reason);
    shard.row->set_last_error(to_string(error));
    shard.row->set_state(ActorState::waiting_restart);
    const auto now = now_of(*self_);
    const auto pause = shard.policy.on_failure(now, random_).value_or(0);
    shard.not_before = now + pause;
    if (error.code != Errc::not_coordinator) {
      log::warn("group coordinator ended",
                {log::kv("partition", partition), log::kv("restart_in_ms", pause), log::kv("error", error)});
    }
    look_ms_ = look_ms_min;
    look();
  }

  // --- time, and the end

  void tick(std::chrono::milliseconds pause) {
    const auto at = now_of(*self_) + pause.count();
    if (tick_at_ && *tick_at_ <= at) return;
    tick_at_ = at;
    self_->delayed_send(self_, pause, GroupManagerTick{});
  }

  void stop(const caf::error& reason) {
    if (std::exchange(stopping_, true)) return;
    exit_reason_ = reason;
    for (auto& [partition, shard] : shards_) {
      options_.directory->remove(partition);
      if (!shard.coordinator) continue;
      shard.row->set_state(ActorState::stopping);
      self_->send_exit(shard.coordinator, caf::exit_reason::user_shutdown);
    }
    stop_when_empty();
  }

  void stop_when_empty() {
    const bool empty = std::ranges::none_of(shards_, [](const auto& one) { return one.second.coordinator != nullptr; });
    if (empty) self_->quit(exit_reason_);
  }

  Self* self_ = nullptr;
  GroupManagerOptions options_;
  ActorRowPtr row_;
  Prng random_{0};
  GroupCounters counters_;
  std::optional<caf::actor_id> subscribed_to_;
  metadata::ImagePtr image_ = std::make_shared<const metadata::MetadataImage>();
  std::map<PartitionId, Shard> shards_;  ///< those that this node leads
  Millis look_ms_ = look_ms_min;
  std::optional<MonotonicMs> tick_at_;
  bool stopping_ = false;
  caf::error exit_reason_;
};

caf::behavior group_manager(GroupManagerState::Self* self, GroupManagerOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_group_manager(caf::actor_system& system, GroupManagerOptions options, ActorRowPtr row) {
  return system.spawn(group_manager, std::move(options), std::move(row));
}

}  // namespace troupe::actors
