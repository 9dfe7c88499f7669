#include "actors/processor_host.hpp"

#include <chrono>
#include <exception>

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "base/log.hpp"
#include "core/processing/processing_task.hpp"

namespace troupe::actors {

/// From a processor_host to itself.
struct HostWakeup {
  enum class Kind : std::uint8_t { go_on, deadline };
  Kind kind;
};
struct HostRange {
  Result<OffsetAnswer> range;
};
struct HostFetched {
  Result<FetchResponse> response;
};
struct HostProduced {
  std::uint64_t token;
  Result<ProduceResponse> response;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::HostWakeup)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::HostRange)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::HostFetched)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::HostProduced)

namespace troupe::actors {
namespace {

constexpr int records_a_turn = 256;
constexpr Millis turn_ms_max = 20;
constexpr Millis log_pause_ms = 60'000;
constexpr Millis fetch_wait_ms = 15'000;
constexpr auto positions_timeout = std::chrono::seconds(35);

/// A request in one piece of memory.
ProduceRequest request_of(const processing::ProcessingTask::Produce& send, metadata::TopicPtr topic, std::string client_id) {
  std::size_t size = 0;
  const auto measure = [&size](const std::optional<std::string>& text) { size += text ? text->size() : 0; };
  for (const auto& record : *send.records) {
    measure(record.key);
    measure(record.value);
    for (const auto& header : record.headers) {
      size += header.name.size();
      measure(header.value);
    }
  }
  ByteBuffer buffer;
  grow_capacity(buffer, size);
  std::vector<std::size_t> ends;
  const auto put = [&](const std::string& text) {
    append_bytes(buffer, as_bytes(text));
    ends.push_back(buffer.size());
  };
  for (const auto& record : *send.records) {
    if (record.key) put(*record.key);
    if (record.value) put(*record.value);
    for (const auto& header : record.headers) {
      put(header.name);
      if (header.value) put(*header.value);
    }
  }
  ProduceRequest request{
      .topic = std::move(topic),
      .memory = Bytes::adopt(std::move(buffer)),
      .acks = Acks::quorum,
      .idempotence = IdempotenceKey{std::move(client_id), static_cast<std::uint64_t>(send.input_offset.value())}};
  std::size_t at = 0;
  auto end = ends.begin();
  const auto take = [&] {
    const auto from = std::exchange(at, *end++);
    return request.memory.view().subspan(from, at - from);
  };
  for (const auto& record : *send.records) {
    ProduceRecord produced{.timestamp = record.timestamp, .partition = record.partition};
    if (record.key) produced.key = take();
    if (record.value) produced.value = take();
    for (const auto& header : record.headers) {
      auto& made = produced.headers.emplace_back(record::RecordHeader{.key = take(), .value = {}});
      if (header.value) made.value = take();
    }
    request.records.push_back(std::move(produced));
  }
  return request;
}

class ProcessorHostState {
 public:
  using Self = caf::stateful_actor<ProcessorHostState>;
  static constexpr const char* name = "processor_host";

  ~ProcessorHostState() {
    if (fetch_call_ != 0) options_.broker->cancel(fetch_call_);
  }

  caf::behavior make_behavior(Self* self, ProcessorHostOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    const auto& spec = *options_.spec;
    key_ = {spec.name, options_.topic, options_.partition.partition};
    client_id_ = spec.name + "/" + to_string(options_.partition);
    processing::ProcessingTask::Options task{.topic = options_.topic,
                                             .partition = options_.partition.partition,
                                             .start = spec.start,
                                             .rebuild = spec.rebuild,
                                             .in_flight_max = spec.in_flight_max};
    for (const auto& output : spec.outputs) task.outputs.push_back(output.name);
    task_.emplace(std::move(task), options_.memory->ledger);
    ask_position();
    return {
        [this](const HostWakeup& wakeup) { handle([&] { on_wakeup(wakeup); }); },
        [this](const HostRange& answer) { handle([&] { on_range(answer.range); }); },
        [this](const HostFetched& answer) { handle([&] { on_fetched(answer.response); }); },
        [this](const HostProduced& answer) { handle([&] { on_produced(answer); }); },
    };
  }

 private:
  using Task = processing::ProcessingTask;

  /// Every handler tells the task something; then it is worked on.
  template <class Tell>
  void handle(Tell tell) {
    const Handling handling{*row_, now(), mailbox_depth(*self_)};
    tell();
    work();
  }
  MonotonicMs now() const { return now_of(*self_); }

  void ask_position() {
    const auto positions = options_.positions();
    if (!positions) return self_->quit(to_caf_error({Errc::leader_not_available, "the positions are not available now"}));
    self_->request(positions, positions_timeout, AskPosition{key_, options_.partition.topic_id})
        .then([this](const PositionAnswer& answer) { handle([&] { begin(answer.position); }); },
              [this](caf::error& error) { self_->quit(std::move(error)); });
  }

  void begin(std::optional<Offset> position) {
    const processing::Assignment assignment{key_.processor, key_.topic, key_.partition};
    const auto made = run_user_code("its start", [&] {
      processor_ = options_.spec->make(assignment);
      if (processor_) processor_->on_start(assignment);
    });
    if (!made) return self_->quit(to_caf_error(made.error()));
    if (!processor_) return self_->quit(to_caf_error({Errc::invalid_argument, "the processor's make returned nothing"}));
    task_->start(position);
    row_->set_state(ActorState::running);
  }

  /// The one place where the user's code is called: whatever it throws becomes an error.
  template <class Code>
  Status run_user_code(const std::string& where, Code code) {
    try {
      code();
      return ok();
    } catch (const std::exception& thrown) {
      return Error{Errc::unknown_error, "the processor threw at " + where + ": " + thrown.what()};
    } catch (...) {
      return Error{Errc::unknown_error, "the processor threw at " + where};
    }
  }

  void work() {
    if (!processor_ || failed_) return;
    const auto until = now() + turn_ms_max;
    int left = records_a_turn;
    const processing::InputRecord* record = nullptr;
    while ((record = task_->next_record()) != nullptr && left-- > 0 && now() < until) {
      processing::Output output;
      const auto offset = record->offset;
      const auto done = run_user_code("offset " + to_string(offset), [&] { processor_->process(*record, output); });
      if (!done) return fail(offset, done.error());
      task_->on_processed(output.take());
    }
    if (record != nullptr && !task_->failure()) go_on_later();
    perform(task_->take_effects(now()));
    count();
    if (const auto& failure = task_->failure()) return fail(failure->offset, failure->error);
    arm_timer();
  }

  void count() {
    const auto& now_counts = task_->counts();
    const auto add = [](const metrics::Counter& counter, std::uint64_t before, std::uint64_t after) {
      if (after != before) counter.add(static_cast<double>(after - before));
    };
    add(options_.counters.processed, counted_.processed, now_counts.processed);
    add(options_.counters.sent, counted_.sent, now_counts.sent);
    add(options_.counters.already_written, counted_.already_written, now_counts.already_written);
    counted_ = now_counts;
  }

  /// Other messages, one to end among them, come in between.
  void go_on_later() {
    if (!std::exchange(going_on_, true)) self_->send(self_, HostWakeup{HostWakeup::Kind::go_on});
  }

  void fail(std::optional<Offset> offset, const Error& error) {
    failed_ = true;
    if (offset && options_.memory->ledger.on_failure(*offset)) {
      options_.counters.passed_over.add();
      tell_passed_over(*offset, error);
    }
    self_->quit(to_caf_error(error));
  }

  void tell_passed_over(Offset offset, const Error& error) {
    auto& logged_at = options_.memory->logged_at;
    if (logged_at && now() - *logged_at < log_pause_ms) return;
    logged_at = now();
    log::warn(
        "processor passes a record over",
        {log::kv("processor", key_.processor), log::kv("topic", key_.topic), log::kv("partition", key_.partition),
         log::kv("offset", offset), log::kv("passed_over", options_.memory->ledger.skipped()), log::kv("error", error)});
  }

  void perform(const Task::Effects& effects) {
    for (const auto& note : effects.notes) {
      log::warn("processor does not find what it was to read",
                {log::kv("processor", key_.processor), log::kv("topic", key_.topic), log::kv("partition", key_.partition),
                 log::kv("what", note)});
    }
    if (effects.find_offsets) {
      options_.broker->find_offset(
          options_.partition, {.kind = OffsetSpec::Kind::earliest},
          answer_as<OffsetAnswer>(self_, [](Result<OffsetAnswer> range) { return HostRange{std::move(range)}; }));
    }
    if (effects.fetch) {
      fetch_call_ = options_.broker->fetch(
          {.partition = options_.partition, .from = effects.fetch->from, .wait_ms_max = fetch_wait_ms},
          answer_as<FetchResponse>(self_, [](Result<FetchResponse> response) { return HostFetched{std::move(response)}; }));
    }
    for (const auto& send : effects.sends) produce(send);
    if (effects.commit) commit(*effects.commit);
  }

  void produce(const Task::Produce& send) {
    auto reply = answer_as<ProduceResponse>(self_, [token = send.token](Result<ProduceResponse> response) {
      return HostProduced{token, std::move(response)};
    });
    auto topic = options_.broker->topic(send.topic);
    if (!topic) return reply(Error{Errc::unknown_topic_or_partition, "there is no topic \"" + send.topic + "\" yet"});
    options_.broker->produce(request_of(send, std::move(topic), client_id_), std::move(reply));
  }

  void commit(Offset position) {
    const auto failed = [this, position](const Error& error) {
      handle([&] { task_->on_committed(position, error, now()); });
    };
    const auto positions = options_.positions();
    if (!positions) {
      task_->on_committed(position, Error{Errc::leader_not_available, "the positions are not available now"}, now());
      return;
    }
    self_->request(positions, positions_timeout, CommitPosition{key_, {options_.partition.topic_id, position}})
        .then(
            [this, position](const Done&) {
              handle([&] {
                options_.memory->ledger.on_committed(position);
                task_->on_committed(position, ok(), now());
              });
            },
            [failed](caf::error& error) { failed(from_caf_error(error)); });
  }

  void arm_timer() {
    const auto deadline = task_->next_deadline();
    if (!deadline || (armed_until_ && *armed_until_ <= *deadline)) return;
    armed_until_ = deadline;
    const auto pause = std::chrono::milliseconds(std::max(Millis{1}, *deadline - now()));
    self_->delayed_send(self_, pause, HostWakeup{HostWakeup::Kind::deadline});
  }

  void on_wakeup(const HostWakeup& wakeup) {
    if (wakeup.kind == HostWakeup::Kind::go_on) {
      going_on_ = false;
    } else if (armed_until_ && *armed_until_ <= now()) {
      armed_until_.reset();
    }
  }

  void on_range(const Result<OffsetAnswer>& range) {
    if (!range) return task_->on_offsets(range.error(), now());
    task_->on_offsets(Task::LogRange{range->log_start_offset, range->high_watermark, range->leader_epoch != no_leader_epoch},
                      now());
  }

  void on_fetched(const Result<FetchResponse>& response) {
    fetch_call_ = 0;
    if (!response) return task_->on_fetched(response.error(), now());
    task_->on_fetched(Task::Fetched{response->batches, response->next_offset}, now());
  }

  void on_produced(const HostProduced& answer) {
    std::vector<Error> errors;
    if (!answer.response) {
      errors.push_back(answer.response.error());
    } else {
      for (const auto& record : answer.response->records) {
        if (!record) errors.push_back(record.error());
      }
    }
    const auto before = task_->counts().already_written;
    task_->on_produced(answer.token, errors, now());
    if (task_->counts().already_written > before && !std::exchange(told_already_written_, true)) {
      log::info("an earlier run had written something else: that stands",
                {log::kv("processor", key_.processor), log::kv("topic", key_.topic), log::kv("partition", key_.partition)});
    }
  }

  Self* self_ = nullptr;
  ProcessorHostOptions options_;
  ActorRowPtr row_;
  processing::PositionKey key_;
  std::string client_id_;  ///< of the idempotence keys
  std::optional<Task> task_;
  std::unique_ptr<processing::Processor> processor_;
  Task::Counts counted_;  ///< told to the counters
  CallId fetch_call_ = 0;
  bool failed_ = false;
  bool going_on_ = false;
  bool told_already_written_ = false;
  std::optional<MonotonicMs> armed_until_;
};

caf::behavior processor_host(ProcessorHostState::Self* self, ProcessorHostOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_processor_host(caf::actor_system& system, SpawnMode mode, ProcessorHostOptions options, ActorRowPtr row) {
  if (mode == SpawnMode::detached) return system.spawn<caf::detached>(processor_host, std::move(options), std::move(row));
  return system.spawn(processor_host, std::move(options), std::move(row));
}

}  // namespace troupe::actors
