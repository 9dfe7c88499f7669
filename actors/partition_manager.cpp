#include "actors/partition_manager.hpp"

#include <deque>
#include <map>
#include <set>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/log_care.hpp"
#include "actors/partition_roles.hpp"
#include "actors/partition_tail.hpp"
#include "base/log.hpp"
#include "storage/retention.hpp"

namespace troupe::actors {

/// From the partition_manager to itself.
struct ManagerWakeup {
  enum class Kind : std::uint8_t { tick, restart, subscribe, revive, register_again };
  Kind kind;
  TopicIdPartition partition;  ///< of restart
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ManagerWakeup)

namespace troupe::actors {
namespace {

constexpr auto disk_timeout = std::chrono::seconds(60);
constexpr auto subscribe_pause = std::chrono::milliseconds(50);
constexpr auto revive_pause = std::chrono::milliseconds(500);
constexpr auto register_pause = std::chrono::milliseconds(1'000);

class PartitionManagerState {
 public:
  using Self = caf::stateful_actor<PartitionManagerState>;
  static constexpr const char* name = "partition_manager";

  ~PartitionManagerState() {
    for (auto& [id, tail] : tails_) caf::anon_send_exit(tail.actor, caf::exit_reason::user_shutdown);
    if (options_.serving) options_.serving->store(false);
  }

  caf::behavior make_behavior(Self* self, PartitionManagerOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    roles_.emplace(
        *self_, options_, *row_,
        [this](const TopicIdPartition& id, Millis pause) {
          wake_later(std::chrono::milliseconds(pause), ManagerWakeup::Kind::restart, id);
        },
        [this] { wake_later(revive_pause, ManagerWakeup::Kind::revive); });
    care_.emplace(*self_, options_, *roles_);
    self_->set_down_handler([this](caf::down_msg& down) { handle([&] { on_down(down); }); });
    self_->set_exit_handler([this](caf::exit_msg& exit) { stop(exit.reason); });
    roles_->revive();
    subscribe();
    ask_directory();
    tick();
    row_->set_state(ActorState::running);
    return {
        [this](const MetadataUpdate& update) { handle([&] { apply(*update.delta); }); },
        [this](const DirectoryOpened& opened) { handle([&] { directory_opened(opened.contents); }); },
        [this](const AttachListener& request) { handle([&] { attach(request); }); },
        [this](const DetachListener& request) { handle([&] { detach(request); }); },
        [this](const LogFailed& failed) { handle([&] { roles_->log_failed(failed); }); },
        [this](const LogRotten& rotten) { handle([&] { roles_->log_rotten(rotten); }); },
        [this](const PeerState& state) { handle([&] { roles_->peer_changed(state); }); },
        [this](const ManagerWakeup& wakeup) { handle([&] { on_wakeup(wakeup); }); },
    };
  }

 private:
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

  void subscribe_later() { wake_later(subscribe_pause, ManagerWakeup::Kind::subscribe); }

  void apply(const metadata::ImageDelta& delta) {
    const bool whole = delta.before->topic_count() == 0;
    image_ = delta.after;
    options_.leaders->on_image(*image_);
    note_registration();
    for (const auto& topic : delta.deleted) {
      for (std::int32_t number = 0; number < topic->partition_count(); ++number) remove({topic->id, PartitionId{number}});
    }
    // What was deleted while nobody listened.
    if (whole) roles_->drop_if_not([&](const TopicIdPartition& id) { return keep_or_remove(id); });
    for (const auto& topic : delta.created) roles_->take(topic);
    for (const auto& topic : delta.changed) roles_->take(topic);
    for (const auto& one : image_->registrations()) {
      const auto* before = delta.before->find_broker(one.broker.id);
      if (!one.fenced && (before == nullptr || before->fenced || before->broker_epoch != one.broker_epoch))
        roles_->broker_back(one.broker.id);
    }
    care_->metadata_changed();
    for (const auto& [id, tail] : tails_) self_->send(tail.actor, TailSourceChanged{});
    note_serving();
  }

  /// Whether the metadata knows of this run of the node's logs, or of a later one of the same process.
  void note_registration() {
    const auto* registration = image_->find_broker(options_.node_id);
    const auto epoch = registration == nullptr ? no_broker_epoch : BrokerEpoch{registration->broker_epoch.value()};
    if (incarnation_ && registration != nullptr) {
      const bool later = registered_ && epoch > epoch_before_;
      if (later || registration->incarnation == *incarnation_) incarnation_.reset();
    }
    roles_->set_broker_epoch(incarnation_ ? no_broker_epoch : epoch);
  }

  bool keep_or_remove(const TopicIdPartition& id) {
    if (image_->find_topic(id.topic_id)) return true;
    remove_files(id);
    return false;
  }

  /// For ever: the metadata says so.
  void remove(const TopicIdPartition& id) {
    roles_->drop(id);
    remove_files(id);
  }

  void remove_files(const TopicIdPartition& id) {
    const auto worker = options_.disk_worker();
    if (!worker) return;  // a stray when the disk is back
    roles_->forget_files(id);
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
                if (!roles_->directory_open()) directory_opened(contents);
              });
            },
            [](caf::error&) {});  // it goes down: DirectoryOpened comes from the next one
  }

  void directory_opened(const DirectoryContents& contents) {
    const bool again = roles_->directory_open();
    auto& known_as = options_.broker.directory_id;
    const bool another = !known_as.is_nil() && known_as != contents.directory_id;
    if (another) known_as = contents.directory_id;
    if (again || another) begin_incarnation();
    roles_->directory_opened({contents.partitions.begin(), contents.partitions.end()}, again || another);
    care_->directory_opened();
    if (again || another) register_again();
    note_serving();
  }

  void begin_incarnation() {
    incarnation_ = Uuid::random();
    registered_ = false;
    const auto* registration = image_ ? image_->find_broker(options_.node_id) : nullptr;
    if (registration != nullptr) epoch_before_ = BrokerEpoch{registration->broker_epoch.value()};
  }

  /// New epochs come with the next update; until then nobody leads.
  void register_again() {
    if (!incarnation_) return;  // the metadata knows of it
    const auto quorum = options_.metadata_quorum();
    if (!quorum) return not_registered();
    // The run before was this process's, too: it is not another one with the same id.
    const auto* before = image_ ? image_->find_broker(options_.node_id) : nullptr;
    RegisterBroker registration{options_.broker, *incarnation_};
    if (before != nullptr) registration.previous_incarnation = before->incarnation;
    self_->request(quorum, disk_timeout, std::move(registration))
        .then([this, incarnation = *incarnation_](
                  const Done&) { handle([&] { registered_ = registered_ || incarnation_ == incarnation; }); },
              [this](caf::error&) { handle([&] { not_registered(); }); });
  }

  void not_registered() {
    roles_->release_single();
    if (roles_->any_replicated()) wake_later(register_pause, ManagerWakeup::Kind::register_again);
  }

  void note_serving() {
    options_.serving->store(roles_->directory_open() && image_ != nullptr && options_.disk_worker() != nullptr);
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
    roles_->on_down(down, now_of(*self_));
  }

  // --- tails

  void attach(const AttachListener& request) {
    const auto& id = request.partition;
    const auto topic = options_.images->get()->find_topic(id.topic_id);
    if (!topic || (roles_->led_topic(id) == nullptr && !options_.leaders->knows(id) && !options_.leaders->follower(id))) {
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
    // Where it listens only it knows; to others this means nothing.
    if (const auto entry = options_.leaders->known(id)) self_->send(entry->leader, DetachTail{});
    if (const auto follower = options_.leaders->follower(id)) self_->send(follower, DetachTail{});
    options_.table->remove("partition_tail", tail.name);
    self_->demonitor(tail.actor);
    caf::anon_send_exit(tail.actor, caf::exit_reason::user_shutdown);
    tails_.erase(at);
  }

  // --- time

  void tick() { wake_later(std::chrono::seconds(1), ManagerWakeup::Kind::tick); }

  void wake_later(std::chrono::milliseconds pause, ManagerWakeup::Kind kind, const TopicIdPartition& partition = {}) {
    self_->delayed_send(self_, pause, ManagerWakeup{kind, partition});
  }

  void on_wakeup(const ManagerWakeup& wakeup) {
    switch (wakeup.kind) {
      case ManagerWakeup::Kind::tick: {
        retain_some();
        return tick();
      }
      case ManagerWakeup::Kind::restart: return roles_->restart(wakeup.partition);
      case ManagerWakeup::Kind::subscribe: return subscribe();
      case ManagerWakeup::Kind::revive: return roles_->revive();
      case ManagerWakeup::Kind::register_again: return register_again();
    }
  }

  /// Every partition comes up once in `retention_check_ms`, a few a second.
  void retain_some() {
    const auto now = now_of(*self_);
    const auto wall = wall_.observe(now, options_.clock->wall_now());
    if (due_.empty() && now >= next_retention_) {
      next_retention_ = now + options_.retention_check_ms;
      for (const auto& id : roles_->partitions()) due_.push_back(id);
      care_->look();
    }
    for (std::size_t i = 0; i < options_.retention_partitions && !due_.empty(); ++i) {
      roles_->tell(due_.front(), RunRetention{wall});
      due_.pop_front();
    }
  }

  void stop(const caf::error& reason) {
    roles_->end_all();
    while (!tails_.empty()) end_tail(tails_.begin());
    self_->quit(reason);
  }

  Self* self_ = nullptr;
  PartitionManagerOptions options_;
  ActorRowPtr row_;
  std::optional<PartitionRoles> roles_;
  std::optional<LogCare> care_;
  metadata::ImagePtr image_;
  caf::actor_addr quorum_;
  std::optional<Uuid> incarnation_;  ///< of logs that were recovered while the node ran, until the metadata has it
  bool registered_ = false;          ///< the controller has it
  BrokerEpoch epoch_before_ = no_broker_epoch;
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
