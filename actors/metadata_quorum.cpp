#include "actors/metadata_quorum.hpp"

#include <algorithm>
#include <chrono>
#include <limits>
#include <unordered_map>
#include <variant>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "base/log.hpp"
#include "core/metadata/metadata_machine.hpp"
#include "core/metadata/snapshot.hpp"

namespace troupe::actors {

/// From a metadata_quorum to itself.
struct MetadataWakeup {
  enum class Kind : std::uint8_t { open, read, turn, deadline };
  Kind kind;
  std::uint64_t token;  ///< of the attempt to open, or of the timer; a stale one is dropped
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::MetadataWakeup)

namespace troupe::actors {
namespace {

using namespace metadata;  // the machine's effects

using MetadataQuorumSelf =
    MetadataQuorum::extend<caf::reacts_to<AppendResults>, caf::reacts_to<ReadResult>, caf::reacts_to<MetadataWakeup>>;

constexpr std::chrono::milliseconds reopen_pause{50};
/// Opening may have to recover a large log. Whoever waits longer than their own deadline is answered meanwhile.
constexpr std::chrono::minutes disk_timeout{2};
constexpr Millis request_ms_max = Millis{24} * 3600 * 1000;
constexpr std::size_t read_bytes = std::size_t{1} << 20;

Requester requester(Caller caller) { return caller == Caller::client ? Requester::client : Requester::system; }

/// The actor's state and handlers: a shell around MetadataMachine.
///
///   open: OpenLog, ListLogs, ReadSideFile ---> read ... read ---> serving ---> append, append, ...
///     ^                                                              |
///     `-- pause <-- the worker went down, or could not answer -------'
class MetadataQuorumState {
 public:
  using Pointer = MetadataQuorumSelf::stateful_pointer<MetadataQuorumState>;
  static constexpr const char* name = "metadata_quorum";

  explicit MetadataQuorumState(Pointer self) : self_(self) {}

  ~MetadataQuorumState() {
    for (auto& [token, promise] : promises_) deliver(promise, Error{Errc::request_timed_out, ended});
    for (auto& promise : awaiting_) promise.deliver(to_caf_error({Errc::leader_not_available, ended}));
  }

  MetadataQuorumSelf::behavior_type make_behavior(MetadataQuorumOptions options, ActorRowPtr row) {
    TROUPE_ASSERT(options.disk_worker && options.readers != nullptr && options.images);
    options_ = std::move(options);
    row_ = std::move(row);
    if (options_.clock == nullptr) options_.clock = &system_clock_;
    if (!options_.new_uuid) options_.new_uuid = [] { return Uuid::random(); };
    machine_.emplace(
        MetadataMachine::Options{.broker = options_.broker,
                                 .incarnation = options_.incarnation.is_nil() ? options_.new_uuid() : options_.incarnation,
                                 .new_uuid = options_.new_uuid,
                                 .requests_max = options_.requests_max,
                                 .snapshot_records_min = static_cast<std::int64_t>(options_.snapshot_records_min)});
    self_->set_down_handler([this](caf::down_msg& message) { on_down(message); });
    perform(machine_->start());
    return {
        [this](const CreateTopic& request) {
          return submit<TopicAnswer>(CreateTopicCommand{request.request, requester(request.caller)}, request.timeout_ms);
        },
        [this](const AlterTopic& request) {
          return submit<TopicAnswer>(AlterTopicCommand{request.request, requester(request.caller)}, request.timeout_ms);
        },
        [this](const DeleteTopic& request) {
          return submit<Done>(DeleteTopicCommand{request.name, requester(request.caller)}, request.timeout_ms);
        },
        [this](const RegisterBroker& request) {
          return submit<Done>(RegisterBrokerCommand{request.broker, request.incarnation}, request.timeout_ms);
        },
        [this](const AwaitMetadata&) {
          const Handling handling{*row_, now()};
          auto promise = self_->make_response_promise<MetadataReady>();
          if (machine_->ready()) {
            promise.deliver(MetadataReady{machine_->image()});
          } else {
            awaiting_.push_back(promise);
          }
          return promise;
        },
        [this](const SubscribeMetadata& request) { subscribe(request.subscriber); },
        [this](const AppendResults& answer) {
          const Handling handling{*row_, now()};
          for (const auto& result : answer.results) {
            if (result.token != append_token_ || append_attempt_ != attempt_) continue;
            perform(machine_->appended(result.token, result.status, now()));
          }
        },
        [this](const ReadResult& result) { on_read(result); },
        [this](const MetadataWakeup& wakeup) { on_wakeup(wakeup); },
    };
  }

 private:
  using TopicPromise = caf::typed_response_promise<TopicAnswer>;
  using DonePromise = caf::typed_response_promise<Done>;
  using Promise = std::variant<TopicPromise, DonePromise>;
  static constexpr const char* ended = "the metadata quorum was ended: the outcome is unknown";

  MonotonicMs now() const { return now_of(*self_); }

  // --- requests

  template <class Answer>
  caf::typed_response_promise<Answer> submit(MetadataCommand command, Millis timeout_ms) {
    const auto time = now();
    const Handling handling{*row_, time};
    auto promise = self_->make_response_promise<Answer>();
    const auto token = ++request_token_;
    promises_.emplace(token, promise);
    perform(machine_->submit(token, std::move(command), time + std::clamp(timeout_ms, Millis{0}, request_ms_max)));
    return promise;
  }

  static void deliver(Promise& promise, Result<TopicPtr> answer) {
    std::visit(
        [&](auto& one) {
          using One = std::decay_t<decltype(one)>;
          if (!answer) {
            one.deliver(to_caf_error(answer.error()));
          } else if constexpr (std::is_same_v<One, TopicPromise>) {
            one.deliver(TopicAnswer{std::move(*answer)});
          } else {
            one.deliver(Done{});
          }
        },
        promise);
  }

  void subscribe(const caf::actor& subscriber) {
    const Handling handling{*row_, now()};
    TROUPE_ASSERT(subscriber);
    if (std::ranges::find(subscribers_, subscriber) != subscribers_.end()) return;
    self_->monitor(subscriber);
    subscribers_.push_back(subscriber);
    if (machine_->ready()) caf::anon_send(subscriber, MetadataUpdate{whole_image()});
  }

  /// The image as if it had just come into being.
  DeltaPtr whole_image() const {
    auto delta = std::make_shared<ImageDelta>();
    delta->before = std::make_shared<const MetadataImage>();
    delta->after = machine_->image();
    delta->created = delta->after->topics();
    return delta;
  }

  // --- effects

  void perform(MetadataEffects effects) {
    for (auto& effect : effects) {
      std::visit([this](auto& one) { perform_one(one); }, effect);
    }
    arm_timer();
  }

  void perform_one(const OpenMetadataLog&) {
    ++attempt_;
    if (attempt_ == 1) return open();
    self_->delayed_send(self_, reopen_pause, MetadataWakeup{MetadataWakeup::Kind::open, attempt_});
  }
  void perform_one(const ReadMetadataLog& effect) {
    read_from_ = effect.from;
    read();
  }
  void perform_one(const AppendMetadata& effect) {
    append_token_ = effect.place.token;
    append_attempt_ = attempt_;
    AppendBatches request{metadata_partition, append_token_, {}, caf::actor_cast<caf::actor>(self_)};
    request.batches.push_back({effect.place.base_offset, effect.place.leader_epoch, effect.batch});
    caf::anon_send(worker_, std::move(request));
  }
  void perform_one(AnswerMetadata& effect) {
    const auto at = promises_.find(effect.token);
    if (at == promises_.end()) return;
    deliver(at->second, std::move(effect.answer));
    promises_.erase(at);
  }
  void perform_one(const MetadataIsReady&) {
    options_.images->set(machine_->image());
    row_->set_state(ActorState::running);
    log::info("metadata ready", {log::kv("topics", machine_->image()->topic_count()),
                                 log::kv("partitions", machine_->image()->partition_count()),
                                 log::kv("applied", machine_->image()->applied())});
    const auto delta = whole_image();
    for (const auto& subscriber : subscribers_) caf::anon_send(subscriber, MetadataUpdate{delta});
    for (auto& promise : awaiting_) promise.deliver(MetadataReady{machine_->image()});
    awaiting_.clear();
  }
  void perform_one(const PublishMetadata& effect) {
    options_.images->set(effect.delta->after);
    for (const auto& subscriber : subscribers_) caf::anon_send(subscriber, MetadataUpdate{effect.delta});
  }
  void perform_one(const WantTurn&) { self_->send(self_, MetadataWakeup{MetadataWakeup::Kind::turn, 0}); }
  void perform_one(const WriteSnapshot& effect) {
    const auto written = [this](const Status& status) {
      const Handling handling{*row_, now()};
      perform(machine_->snapshot_written(status));
    };
    self_->request(worker_, disk_timeout, WriteSideFile{snapshot_file_name, snapshot_magic, effect.payload})
        .then([written](const Done&) { written(ok()); },
              [written](const caf::error& error) { written(from_caf_error(error)); });
  }
  void perform_one(const CutMetadataLog& effect) {
    if (!worker_) return;
    self_->request(worker_, disk_timeout, AdvanceLogStart{metadata_partition, effect.before})
        .then([](const LogSnapshot&) {},
              [](const caf::error& error) { log::warn("metadata log not cut", {log::kv("error", from_caf_error(error))}); });
  }
  void perform_one(const NoteMetadata& effect) { log::warn("metadata", {log::kv("note", effect.text)}); }
  void perform_one(const FailMetadata& effect) {
    log::error("metadata cannot be used", {log::kv("error", effect.error)});
    row_->set_last_error(to_string(effect.error));
    self_->quit(to_caf_error(effect.error));
  }

  // --- the log

  void open() {
    auto worker = options_.disk_worker();
    if (!worker) return lost();
    if (worker != worker_) self_->monitor(worker);
    worker_ = std::move(worker);
    storage::LogConfig config;
    config.segment_bytes_max = static_cast<std::uint32_t>(std::min<std::uint64_t>(options_.segment_bytes, UINT32_MAX));
    config.segment_age_ms_max = std::numeric_limits<Millis>::max();  // age is no reason to roll
    config.retention_ms = -1;
    step<LogSnapshot>(OpenLog{metadata_partition, config}, [this](const LogSnapshot& log) {
      view_ = log.view;
      opened_.log_start_offset = log.view.log_start_offset();
      opened_.log_end_offset = log.view.log_end_offset();
      opened_.latest_epoch = log.state->epochs.latest_epoch();
      step<DirectoryContents>(ListLogs{}, [this](const DirectoryContents& contents) {
        opened_.cluster_id = contents.cluster_id;
        if (snapshot_seen_) return perform(machine_->opened(opened_));
        read_snapshot();
      });
    });
  }

  void read_snapshot() {
    step<SideFile>(
        ReadSideFile{snapshot_file_name, snapshot_magic}, [this](const SideFile& file) { loaded(file.payload); },
        [this](const Error& error) {
          if (error.code != Errc::corrupt_message) return lost();
          loaded(error);
        });
  }

  void loaded(Result<std::optional<Bytes>> snapshot) {
    snapshot_seen_ = true;
    opened_.snapshot = std::move(snapshot);
    perform(machine_->opened(opened_));
    opened_.snapshot = std::optional<Bytes>{};
  }

  /// One request of the attempt to open that goes on now. By default an error ends the attempt.
  template <class Answer, class Request, class Then>
  void step(Request request, Then then) {
    step<Answer>(std::move(request), std::move(then), [this](const Error& error) {
      log::warn("metadata log not open", {log::kv("error", error)});
      lost();
    });
  }
  template <class Answer, class Request, class Then, class Otherwise>
  void step(Request request, Then then, Otherwise otherwise) {
    self_->request(worker_, disk_timeout, std::move(request))
        .then(
            [this, attempt = attempt_, then](const Answer& answer) {
              const Handling handling{*row_, now()};
              if (attempt == attempt_) then(answer);
            },
            [this, attempt = attempt_, otherwise](const caf::error& error) {
              const Handling handling{*row_, now()};
              if (attempt == attempt_) otherwise(from_caf_error(error));
            });
  }

  void read() {
    options_.readers->read({.partition = metadata_partition,
                            .token = attempt_,
                            .view = view_,
                            .from = read_from_,
                            .bytes_max = read_bytes,
                            .hint = read_position_,
                            .reply_to = caf::actor_cast<caf::actor>(self_)});
  }

  void on_read(const ReadResult& result) {
    const Handling handling{*row_, now()};
    if (result.token != attempt_) return;
    if (result.slice) {
      read_position_ = result.slice->position;
      return perform(machine_->read(result.slice->batches, result.slice->next_offset));
    }
    switch (const auto& error = result.slice.error(); error.code) {
      case Errc::overloaded:
        self_->delayed_send(self_, reopen_pause, MetadataWakeup{MetadataWakeup::Kind::read, attempt_});
        return;
      case Errc::corrupt_message:
      case Errc::offset_out_of_range: return perform_one(FailMetadata{error.with_context("the metadata log")});
      default: lost();
    }
  }

  void lost() { perform(machine_->lost()); }

  void on_down(const caf::down_msg& message) {
    const Handling handling{*row_, now()};
    if (worker_ && worker_.address() == message.source) {
      worker_ = nullptr;
      return lost();
    }
    std::erase_if(subscribers_, [&](const auto& subscriber) { return subscriber.address() == message.source; });
  }

  // --- time

  void on_wakeup(const MetadataWakeup& wakeup) {
    const Handling handling{*row_, now()};
    switch (wakeup.kind) {
      case MetadataWakeup::Kind::open:
        if (wakeup.token == attempt_) open();
        return;
      case MetadataWakeup::Kind::read:
        if (wakeup.token == attempt_) read();
        return;
      case MetadataWakeup::Kind::turn: return perform(machine_->turn(options_.clock->wall_now()));
      case MetadataWakeup::Kind::deadline:
        if (wakeup.token != timer_) return;
        armed_for_.reset();
        return perform(machine_->on_deadline(now()));
    }
  }

  /// One timer for all requests. It may fire early, when the one that it was armed for was answered: it is then armed anew.
  void arm_timer() {
    const auto due = machine_->next_deadline();
    if (!due || (armed_for_ && *armed_for_ <= *due)) return;
    armed_for_ = due;
    const auto delay = std::max(Millis{0}, *due - now());
    self_->delayed_send(self_, std::chrono::milliseconds(delay), MetadataWakeup{MetadataWakeup::Kind::deadline, ++timer_});
  }

  const Pointer self_;
  const SystemClock system_clock_;
  MetadataQuorumOptions options_;
  ActorRowPtr row_;
  std::optional<MetadataMachine> machine_;

  DiskWorker worker_;          ///< monitored; null while it is away
  std::uint64_t attempt_ = 0;  ///< to open the log; answers of an earlier one are dropped
  bool snapshot_seen_ = false;
  OpenedMetadataLog opened_;
  storage::LogView view_;
  storage::ReadPosition read_position_;
  Offset read_from_{0};
  std::uint64_t append_token_ = 0;
  std::uint64_t append_attempt_ = 0;

  std::uint64_t request_token_ = 0;
  std::unordered_map<std::uint64_t, Promise> promises_;
  std::vector<caf::typed_response_promise<MetadataReady>> awaiting_;
  std::vector<caf::actor> subscribers_;

  std::uint64_t timer_ = 0;
  std::optional<MonotonicMs> armed_for_;
};

MetadataQuorumSelf::behavior_type metadata_quorum(MetadataQuorumState::Pointer self, MetadataQuorumOptions options,
                                                  ActorRowPtr row) {
  return self->state.make_behavior(std::move(options), std::move(row));
}

}  // namespace

MetadataQuorum spawn_metadata_quorum(caf::actor_system& system, MetadataQuorumOptions options, ActorRowPtr row) {
  return system.spawn(metadata_quorum, std::move(options), std::move(row));
}

}  // namespace troupe::actors
