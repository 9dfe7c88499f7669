#include "actors/partition_manager.hpp"

#include <deque>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/partition_leader.hpp"
#include "actors/partition_tail.hpp"
#include "base/log.hpp"
#include "storage/retention.hpp"

namespace troupe::actors {

/// From the partition_manager to itself.
struct ManagerWakeup {
  enum class Kind : std::uint8_t { tick, restart, subscribe };
  Kind kind;
  TopicIdPartition partition;  ///< of restart
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ManagerWakeup)

namespace troupe::actors {
namespace {

constexpr auto disk_timeout = std::chrono::seconds(60);
constexpr auto subscribe_pause = std::chrono::milliseconds(50);

class PartitionManagerState {
 public:
  using Self = caf::stateful_actor<PartitionManagerState>;
  static constexpr const char* name = "partition_manager";

  ~PartitionManagerState() {
    for (auto& [id, led] : led_) {
      if (!led.leader) continue;
      options_.directory->remove(id);
      caf::anon_send_exit(led.leader, caf::exit_reason::user_shutdown);
    }
    for (auto& [id, tail] : tails_) caf::anon_send_exit(tail.actor, caf::exit_reason::user_shutdown);
    if (options_.serving) options_.serving->store(false);
  }

  caf::behavior make_behavior(Self* self, PartitionManagerOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    random_.emplace(options_.seed);
    self_->set_down_handler([this](caf::down_msg& down) { handle([&] { on_down(down); }); });
    self_->set_exit_handler([this](caf::exit_msg& exit) { stop(exit.reason); });
    subscribe();
    ask_directory();
    tick();
    row_->set_state(ActorState::running);
    return {
        [this](const MetadataUpdate& update) { handle([&] { apply(*update.delta); }); },
        [this](const DirectoryOpened& opened) { handle([&] { directory_opened(opened.contents); }); },
        [this](const AttachListener& request) { handle([&] { attach(request); }); },
        [this](const DetachListener& request) { handle([&] { detach(request); }); },
        [this](const ManagerWakeup& wakeup) { handle([&] { on_wakeup(wakeup); }); },
    };
  }

 private:
  struct Led {
    metadata::TopicPtr topic;
    LeaderEpoch epoch{0};
    caf::actor leader;  ///< null while there is none
    RestartPolicy restarts;
  };
  struct Tail {
    caf::actor actor;
    std::string name;  ///< of its row
    std::set<std::uint64_t> listeners;
  };

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now_of(*self_), mailbox_depth(*self_)};
    work();
  }

  // --- metadata

  void subscribe() {
    const auto quorum = options_.metadata_quorum();
    if (!quorum) return subscribe_later();
    quorum_ = caf::actor_cast<caf::actor_addr>(quorum);
    self_->monitor(quorum);
    self_->send(quorum, SubscribeMetadata{caf::actor_cast<caf::actor>(self_)});
  }

  void subscribe_later() { self_->delayed_send(self_, subscribe_pause, ManagerWakeup{ManagerWakeup::Kind::subscribe, {}}); }

  void apply(const metadata::ImageDelta& delta) {
    const bool whole = delta.before->topic_count() == 0;
    image_ = delta.after;
    options_.leaders->on_image(*image_);
    for (const auto& topic : delta.deleted) {
      for (std::int32_t number = 0; number < topic->partition_count(); ++number) remove({topic->id, PartitionId{number}});
    }
    if (whole) remove_unknown();
    for (const auto& topic : delta.created) lead(topic);
    for (const auto& topic : delta.changed) lead(topic);
    quarantine_strays();
    note_serving();
  }

  /// What was deleted while nobody listened.
  void remove_unknown() {
    std::vector<TopicIdPartition> unknown;
    for (const auto& [id, led] : led_) {
      if (!image_->find_topic(id.topic_id)) unknown.push_back(id);
    }
    for (const auto& id : unknown) remove(id);
  }

  /// Makes the leaders of a topic what the metadata says.
  void lead(const metadata::TopicPtr& topic) {
    for (std::int32_t number = 0; number < topic->partition_count(); ++number) {
      const TopicIdPartition id{topic->id, PartitionId{number}};
      const auto& partition = topic->partitions[static_cast<std::size_t>(number)];
      const auto found = led_.find(id);
      if (partition.leader != options_.node_id) {
        if (found != led_.end()) resign(found);
        continue;
      }
      if (found == led_.end()) {
        start(led_.emplace(id, Led{topic, partition.leader_epoch, nullptr, RestartPolicy{options_.restart}}).first);
        continue;
      }
      auto& led = found->second;
      const bool other_config = !(led.topic->config == topic->config);
      led.topic = topic;
      if (led.epoch != partition.leader_epoch) {
        led.epoch = partition.leader_epoch;
        end_leader(found);
        start(found);
      } else if (other_config && led.leader) {
        self_->send(led.leader, ConfigChanged{topic->config});
      }
    }
  }

  using LedMap = std::unordered_map<TopicIdPartition, Led>;

  void start(LedMap::iterator at) {
    auto& [id, led] = *at;
    if (led.leader || !directory_open_) return;
    const auto worker = options_.disk_worker();
    if (!worker) return;  // DirectoryOpened will come
    const auto row = options_.table->add("partition_leader", led.topic->name + "/" + to_string(id.partition), row_->name());
    led.leader = spawn_partition_leader(self_->system(),
                                        {.partition = id,
                                         .topic = led.topic->name,
                                         .epoch = led.epoch,
                                         .config = led.topic->config,
                                         .disk_worker = worker,
                                         .readers = options_.readers,
                                         .clock = options_.clock,
                                         .has_files = written_.contains(id)},
                                        row);
    self_->monitor(led.leader);
    leaders_.emplace(led.leader.id(), id);
    options_.directory->set(id, {led.leader, led.epoch});
  }

  void end_leader(LedMap::iterator at) {
    auto& [id, led] = *at;
    if (!led.leader) return;
    options_.directory->remove(id);
    leaders_.erase(led.leader.id());
    self_->demonitor(led.leader);
    caf::anon_send_exit(led.leader, caf::exit_reason::user_shutdown);
    led.leader = nullptr;
  }

  void resign(LedMap::iterator at) {
    end_leader(at);
    options_.table->remove("partition_leader", at->second.topic->name + "/" + to_string(at->first.partition));
    led_.erase(at);
  }

  /// For ever: the metadata says so.
  void remove(const TopicIdPartition& id) {
    if (const auto found = led_.find(id); found != led_.end()) resign(found);
    const auto worker = options_.disk_worker();
    if (!worker) return;  // a stray when the disk is back
    written_.erase(id);
    self_->request(worker, disk_timeout, RemoveLog{id})
        .then([](const Done&) {},
              [id](caf::error& error) {
                log::warn("files of a deleted partition not removed",
                          {log::kv("partition", id), log::kv("error", from_caf_error(error))});
              });
  }

  // --- the disk

  /// An earlier run of this actor was told that the directory is open, and it is not told twice.
  void ask_directory() {
    const auto worker = options_.disk_worker();
    if (!worker) return;  // DirectoryOpened will come
    self_->request(worker, disk_timeout, ListLogs{})
        .then(
            [this](const DirectoryContents& contents) {
              handle([&] {
                if (!directory_open_) directory_opened(contents);
              });
            },
            [](caf::error&) {});  // it goes down: DirectoryOpened comes from the next one
  }

  void directory_opened(const DirectoryContents& contents) {
    written_ = {contents.partitions.begin(), contents.partitions.end()};
    const bool again = directory_open_;
    directory_open_ = true;
    for (auto at = led_.begin(); at != led_.end(); ++at) end_leader(at);
    strays_looked_for_ = false;
    quarantine_strays();
    const auto quorum = options_.metadata_quorum();
    if (again && quorum) {
      // New epochs come with the next update; until then nobody leads.
      self_->request(quorum, disk_timeout, RegisterBroker{options_.broker, Uuid::random()})
          .then([](const Done&) {}, [this](caf::error&) { handle([&] { start_all(); }); });
      return;
    }
    start_all();
  }

  void start_all() {
    for (auto at = led_.begin(); at != led_.end(); ++at) start(at);
    note_serving();
  }

  void note_serving() { options_.serving->store(directory_open_ && image_ != nullptr && options_.disk_worker() != nullptr); }

  /// Logs of topics that the metadata does not know: moved aside, never deleted.
  void quarantine_strays() {
    if (strays_looked_for_ || !directory_open_ || !image_) return;
    strays_looked_for_ = true;
    const auto worker = options_.disk_worker();
    if (!worker) return;
    for (const auto& id : written_) {
      const auto topic = image_->find_topic(id.topic_id);
      if (topic && id.partition.value() < topic->partition_count()) continue;
      log::warn("a log without a topic goes to the quarantine", {log::kv("partition", id)});
      self_->request(worker, disk_timeout, QuarantineLog{id})
          .then([](const Done&) {},
                [id](caf::error& error) {
                  log::warn("a log without a topic not moved to the quarantine",
                            {log::kv("partition", id), log::kv("error", from_caf_error(error))});
                });
    }
  }

  // --- failures

  void on_down(const caf::down_msg& down) {
    if (quorum_ == down.source) {
      quorum_ = nullptr;
      return subscribe_later();  // the slot may still name the one that has just ended
    }
    for (auto at = tails_.begin(); at != tails_.end(); ++at) {
      if (at->second.actor.address() != down.source) continue;
      tails_.erase(at);  // its listeners know: their tickets are gone
      return;
    }
    const auto known = leaders_.find(down.source.id());
    if (known == leaders_.end()) return;
    const auto id = known->second;
    leaders_.erase(known);
    const auto found = led_.find(id);
    if (found == led_.end()) return;
    auto& led = found->second;
    led.leader = nullptr;
    options_.directory->remove(id);
    const auto error = from_caf_error(down.reason ? down.reason : caf::error{caf::exit_reason::kill});
    if (error.code == Errc::log_offline || !options_.disk_worker())
      return;  // all of them, with the disk: DirectoryOpened will come
    const auto pause = led.restarts.on_failure(now_of(*self_), *random_);
    const auto row = options_.table->add("partition_leader", led.topic->name + "/" + to_string(id.partition), row_->name());
    row->set_last_error(to_string(error));
    if (!pause) {
      row->set_state(ActorState::failed);
      log::error("partition leader failed too often",
                 {log::kv("topic", led.topic->name), log::kv("partition", id.partition), log::kv("error", error)});
      return;
    }
    row->count_restart();
    row->set_state(ActorState::waiting_restart);
    log::warn("partition leader failed", {log::kv("topic", led.topic->name), log::kv("partition", id.partition),
                                          log::kv("error", error), log::kv("restart_ms", *pause)});
    self_->delayed_send(self_, std::chrono::milliseconds(*pause), ManagerWakeup{ManagerWakeup::Kind::restart, id});
  }

  // --- tails

  void attach(const AttachListener& request) {
    const auto& id = request.partition;
    const auto topic = options_.images->get()->find_topic(id.topic_id);
    if (!topic || (!led_.contains(id) && !options_.leaders->knows(id))) {
      const bool known = topic && id.partition >= PartitionId{0} && id.partition.value() < topic->partition_count();
      return request.ticket->end(known ? Error{Errc::leader_not_available, "the partition has no leader now"}
                                       : Error{Errc::unknown_topic_or_partition, "there is no partition " + to_string(id)});
    }
    auto& tail = tails_[id];
    if (!tail.actor) {
      tail.name = topic->name + "/" + to_string(id.partition);
      const auto row = options_.table->add("partition_tail", tail.name, row_->name());
      tail.actor = spawn_partition_tail(self_->system(), {.partition = id, .leaders = options_.leaders}, row);
      self_->monitor(tail.actor);
    }
    tail.listeners.insert(request.number);
    self_->send(tail.actor, request);
  }

  void detach(const DetachListener& request) {
    const auto found = tails_.find(request.partition);
    if (found == tails_.end() || found->second.listeners.erase(request.number) == 0) return;
    if (!found->second.listeners.empty()) {
      self_->send(found->second.actor, request);
      return;
    }
    end_tail(found);
  }

  void end_tail(std::map<TopicIdPartition, Tail>::iterator at) {
    const auto& [id, tail] = *at;
    if (options_.leaders->knows(id)) {
      if (const auto entry = options_.leaders->find(id)) self_->send(entry->leader, DetachTail{});
    }
    options_.table->remove("partition_tail", tail.name);
    self_->demonitor(tail.actor);
    caf::anon_send_exit(tail.actor, caf::exit_reason::user_shutdown);
    tails_.erase(at);
  }

  // --- time

  void tick() { self_->delayed_send(self_, std::chrono::seconds(1), ManagerWakeup{ManagerWakeup::Kind::tick, {}}); }

  void on_wakeup(const ManagerWakeup& wakeup) {
    switch (wakeup.kind) {
      case ManagerWakeup::Kind::tick: {
        retain_some();
        return tick();
      }
      case ManagerWakeup::Kind::restart: {
        if (const auto found = led_.find(wakeup.partition); found != led_.end()) start(found);
        return;
      }
      case ManagerWakeup::Kind::subscribe: return subscribe();
    }
  }

  /// Every partition comes up once in `retention_check_ms`, a few a second.
  void retain_some() {
    const auto now = now_of(*self_);
    const auto wall = wall_.observe(now, options_.clock->wall_now());
    if (due_.empty() && now >= next_retention_) {
      next_retention_ = now + options_.retention_check_ms;
      for (const auto& [id, led] : led_) due_.push_back(id);
    }
    for (std::size_t i = 0; i < options_.retention_partitions && !due_.empty(); ++i) {
      const auto found = led_.find(due_.front());
      due_.pop_front();
      if (found != led_.end() && found->second.leader) self_->send(found->second.leader, RunRetention{wall});
    }
  }

  void stop(const caf::error& reason) {
    for (auto at = led_.begin(); at != led_.end(); ++at) end_leader(at);
    while (!tails_.empty()) end_tail(tails_.begin());
    self_->quit(reason);
  }

  Self* self_ = nullptr;
  PartitionManagerOptions options_;
  ActorRowPtr row_;
  std::optional<Prng> random_;
  metadata::ImagePtr image_;
  caf::actor_addr quorum_;
  bool directory_open_ = false;
  bool strays_looked_for_ = false;
  std::unordered_set<TopicIdPartition> written_;  ///< have files, as of the last opening
  LedMap led_;
  std::unordered_map<caf::actor_id, TopicIdPartition> leaders_;
  std::map<TopicIdPartition, Tail> tails_;
  storage::SteadyWallClock wall_;
  MonotonicMs next_retention_{0};
  std::deque<TopicIdPartition> due_;
};

caf::behavior partition_manager(PartitionManagerState::Self* self, PartitionManagerOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_partition_manager(caf::actor_system& system, PartitionManagerOptions options, ActorRowPtr row) {
  return system.spawn(partition_manager, std::move(options), std::move(row));
}

}  // namespace troupe::actors
