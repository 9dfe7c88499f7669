#include "actors/processor_manager.hpp"

#include <chrono>
#include <map>
#include <set>

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/handle_slot.hpp"
#include "actors/processor_positions.hpp"
#include "actors/restart_policy.hpp"
#include "base/log.hpp"

namespace troupe::actors {

/// From processor_manager to itself.
struct ManagerTick {};
struct RestartChild {
  std::uint64_t number;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ManagerTick)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::RestartChild)

namespace troupe::actors {
namespace {

constexpr auto tick_pause = std::chrono::seconds(1);
constexpr Millis log_pause_ms = 60'000;
constexpr Millis create_pause_ms = 5'000;

/// It is never given up: the bound is above what the pauses let happen within the window.
RestartPolicy::Options restarts(processing::OnError on_error) {
  return {.restarts_max = 100'000,
          .window_ms = 600'000,
          .backoff_ms_min = 100,
          .backoff_ms_max = on_error == processing::OnError::skip ? 1'000 : 30'000};
}

class ProcessorManagerState {
 public:
  using Self = caf::stateful_actor<ProcessorManagerState>;
  static constexpr const char* name = "processor_manager";

  ~ProcessorManagerState() {
    for (const auto& [number, child] : children_) {
      if (child.handle) caf::anon_send_exit(child.handle, caf::exit_reason::user_shutdown);
    }
  }

  caf::behavior make_behavior(Self* self, ProcessorManagerOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    random_ = Prng{options_.seed};
    self_->set_down_handler([this](const caf::down_msg& down) { handle([&] { on_down(down); }); });
    self_->set_exit_handler([this](const caf::exit_msg& exit) { handle([&] { stop(exit.reason); }); });
    row_->set_state(ActorState::running);
    look();
    return {
        [this](const LookForPartitions&) { handle([&] { look(); }); },
        [this](const ManagerTick&) {
          handle([&] {
            ticking_ = false;
            look();
          });
        },
        [this](const RestartChild& restart) {
          handle([&] {
            const auto found = children_.find(restart.number);
            if (found == children_.end() || found->second.handle || stopping_) return;
            found->second.row->count_restart();
            start(found->second);
          });
        },
    };
  }

 private:
  /// One processor on one partition; the positions have none.
  struct Key {
    std::string processor;
    TopicIdPartition partition;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Child {
    std::uint64_t number;
    std::optional<Key> key;  ///< none: the positions
    std::function<caf::actor()> start;
    ActorRowPtr row;
    RestartPolicy policy;
    caf::actor handle;  ///< null unless it runs
    bool wanted = true;
    std::optional<MonotonicMs> logged_at;
  };

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now_of(*self_), mailbox_depth(*self_)};
    work();
  }

  /// Makes what runs the same as what is to run.
  void look() {
    if (stopping_) return;
    const auto specs = options_.processors();
    if (specs.empty() && children_.empty()) return;
    if (!has_positions_) start_positions();
    std::set<Key> wanted;
    for (const auto& spec : specs) {
      for (const auto& output : spec->outputs) make_topic(output);
      for (const auto& input : spec->inputs) want_partitions(spec, input, wanted);
    }
    for (auto at = hosts_.begin(); at != hosts_.end();) {
      const auto current = at++;
      if (!wanted.contains(current->first)) end(children_.at(current->second));
    }
    if (!std::exchange(ticking_, true)) self_->delayed_send(self_, tick_pause, ManagerTick{});
  }

  void want_partitions(const ProcessorSpecPtr& spec, const std::string& input, std::set<Key>& wanted) {
    const auto topic = options_.broker->topic(input);
    if (!topic) return;
    const auto self = options_.broker->cluster().node_id;
    for (std::int32_t number = 0; number < topic->partition_count(); ++number) {
      if (topic->partitions[static_cast<std::size_t>(number)].leader != self) continue;
      Key key{spec->name, {topic->id, PartitionId{number}}};
      wanted.insert(key);
      if (!hosts_.contains(key)) start_host(spec, input, std::move(key));
    }
  }

  void start_positions() {
    has_positions_ = true;
    auto row = options_.table->add("processor_positions", "processor_positions", options_.name);
    add_child(std::nullopt, row, restarts(processing::OnError::skip), [this, row] {
      auto actor =
          spawn_processor_positions(self_->system(), {.broker = options_.broker, .trim_after = options_.trim_after}, row);
      positions_->set(actor);
      return actor;
    });
  }

  void start_host(const ProcessorSpecPtr& spec, const std::string& topic, Key key) {
    auto row = options_.table->add("processor_host", spec->name + "/" + topic + "/" + to_string(key.partition.partition),
                                   options_.name);
    ProcessorHostOptions host{.spec = spec,
                              .topic = topic,
                              .partition = key.partition,
                              .broker = options_.broker,
                              .positions = [slot = positions_] { return slot->get(); },
                              .memory = std::make_shared<ProcessorMemory>(),
                              .counters = counters(spec->name)};
    host.memory->ledger = processing::FailureLedger{*spec};
    const auto mode = spec->blocking ? SpawnMode::detached : SpawnMode::scheduled;
    add_child(std::move(key), row, restarts(spec->on_error),
              [this, mode, host, row] { return spawn_processor_host(self_->system(), mode, host, row); });
  }

  ProcessorCounters counters(const std::string& processor) const {
    if (options_.metrics == nullptr) return {};
    const metrics::Labels labels{{"processor", processor}};
    const auto counter = [&](const char* name_of, const char* help) {
      return options_.metrics->counter(name_of, help, labels);
    };
    return {.processed = counter("troupe_processor_records_total", "Records given to a processor, repeats included."),
            .passed_over = counter("troupe_processor_records_passed_over_total", "Records that failed too often."),
            .sent = counter("troupe_processor_outputs_total", "Output records acknowledged, repeats included."),
            .already_written = counter("troupe_processor_outputs_already_written_total",
                                       "Requests whose place an earlier run had taken with something else.")};
  }

  void add_child(std::optional<Key> key, ActorRowPtr row, const RestartPolicy::Options& policy,
                 std::function<caf::actor()> start_child) {
    const auto number = next_number_++;
    if (key) hosts_.emplace(*key, number);
    auto& child =
        children_
            .emplace(
                number,
                Child{number, std::move(key), std::move(start_child), std::move(row), RestartPolicy{policy}, {}, true, {}})
            .first->second;
    start(child);
  }

  void start(Child& child) {
    child.row->set_state(ActorState::starting);
    child.handle = child.start();
    self_->monitor(child.handle);
  }

  /// Its partition is gone. Another one may have its name already.
  void end(Child& child) {
    child.wanted = false;
    hosts_.erase(*child.key);
    if (child.handle) {
      child.row->set_state(ActorState::stopping);
      return self_->send_exit(child.handle, caf::exit_reason::user_shutdown);
    }
    forget(child);
  }

  void forget(const Child& child) {
    const auto row = child.row;
    children_.erase(child.number);
    // The row is of the name: a host of the topic that took the old one's place goes on with it.
    for (const auto& [number, other] : children_) {
      if (other.row == row) return;
    }
    options_.table->remove(row->kind(), row->name());
  }

  void on_down(const caf::down_msg& down) {
    const auto found = std::find_if(children_.begin(), children_.end(), [&](const auto& one) {
      return one.second.handle && one.second.handle.address() == down.source;
    });
    if (found == children_.end()) return;
    auto& child = found->second;
    child.handle = nullptr;
    if (stopping_) {
      child.row->set_state(ActorState::stopped);
      return stop_next();
    }
    if (!child.wanted) return forget(child);

    const auto error = from_caf_error(down.reason);
    child.row->set_last_error(to_string(error));
    child.row->set_state(ActorState::waiting_restart);
    const auto now = now_of(*self_);
    const auto pause = child.policy.on_failure(now, random_).value_or(0);
    if (!child.logged_at || now - *child.logged_at >= log_pause_ms) {
      child.logged_at = now;
      log::warn("processor failed", {log::kv("name", child.row->name()), log::kv("restarts", child.row->restarts()),
                                     log::kv("restart_in_ms", pause), log::kv("error", error)});
    }
    self_->delayed_send(self_, std::chrono::milliseconds(pause), RestartChild{child.number});
  }

  void make_topic(const processing::OutputTopic& output) {
    if (options_.broker->topic(output.name)) return;
    const auto now = now_of(*self_);
    const auto [asked, first] = asked_at_.try_emplace(output.name, now);
    if (!first && now - asked->second < create_pause_ms) return;
    asked->second = now;
    options_.broker->create_topic({.name = output.name, .partitions = output.partitions},
                                  Reply<metadata::TopicPtr>{[topic = output.name](const Result<metadata::TopicPtr>& made) {
                                    if (made || made.error().code == Errc::topic_already_exists) return;
                                    log::warn("a processor's output topic could not be made",
                                              {log::kv("topic", topic), log::kv("error", made.error())});
                                  }});
  }

  // --- the end: the hosts together, then the positions

  void stop(const caf::error& reason) {
    if (std::exchange(stopping_, true)) return;
    exit_reason_ = reason;
    for (auto& [number, child] : children_) {
      if (!child.handle) child.row->set_state(ActorState::stopped);
      if (child.key && child.handle) tell_to_stop(child);
    }
    stop_next();
  }

  void tell_to_stop(Child& child) {
    child.row->set_state(ActorState::stopping);
    self_->send_exit(child.handle, caf::exit_reason::user_shutdown);
  }

  void stop_next() {
    Child* positions = nullptr;
    for (auto& [number, child] : children_) {
      if (!child.handle) continue;
      if (child.key) return;
      positions = &child;
    }
    if (positions == nullptr) return self_->quit(exit_reason_);
    tell_to_stop(*positions);
  }

  Self* self_ = nullptr;
  ProcessorManagerOptions options_;
  ActorRowPtr row_;
  Prng random_{0};
  bool ticking_ = false;
  bool has_positions_ = false;
  const std::shared_ptr<HandleSlot<caf::actor>> positions_ = std::make_shared<HandleSlot<caf::actor>>();
  std::map<std::uint64_t, Child> children_;
  std::map<Key, std::uint64_t> hosts_;  ///< those that are wanted
  std::uint64_t next_number_ = 1;
  std::map<std::string, MonotonicMs> asked_at_;  ///< output topics to make
  bool stopping_ = false;
  caf::error exit_reason_;
};

caf::behavior processor_manager(ProcessorManagerState::Self* self, ProcessorManagerOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_processor_manager(caf::actor_system& system, ProcessorManagerOptions options, ActorRowPtr row) {
  return system.spawn(processor_manager, std::move(options), std::move(row));
}

}  // namespace troupe::actors
