#include "actors/processor_positions.hpp"

#include <chrono>
#include <map>

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "base/log.hpp"
#include "core/processing/fetched_records.hpp"

namespace troupe::actors {

/// From processor_positions to itself.
struct OpenPositions {};
struct PositionsTopicMade {
  Result<metadata::TopicPtr> topic;
};
struct PositionsRange {
  Result<OffsetAnswer> range;
};
struct PositionsFetched {
  Result<FetchResponse> response;
};
struct PositionsProduced {
  Result<ProduceResponse> response;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::OpenPositions)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::PositionsTopicMade)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::PositionsRange)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::PositionsFetched)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::PositionsProduced)

namespace troupe::actors {
namespace {

constexpr auto retry_pause = std::chrono::milliseconds(200);

class ProcessorPositionsState {
 public:
  using Self = caf::stateful_actor<ProcessorPositionsState>;
  static constexpr const char* name = "processor_positions";

  caf::behavior make_behavior(Self* self, ProcessorPositionsOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = options;
    row_ = std::move(row);
    open();
    return {
        [this](const AskPosition& ask) { return handle([&] { return answer(ask); }); },
        [this](const CommitPosition& commit) { return handle([&] { return take(commit); }); },
        [this](const OpenPositions&) { handle([&] { open(); }); },
        [this](const PositionsTopicMade& made) { handle([&] { on_made(made.topic); }); },
        [this](const PositionsRange& answer) { handle([&] { on_range(answer.range); }); },
        [this](const PositionsFetched& answer) { handle([&] { on_fetched(answer.response); }); },
        [this](const PositionsProduced& answer) { handle([&] { on_produced(answer.response); }); },
    };
  }

 private:
  using AskPromise = caf::typed_response_promise<PositionAnswer>;
  using CommitPromise = caf::typed_response_promise<Done>;

  template <class Work>
  std::invoke_result_t<Work> handle(Work work) {
    const Handling handling{*row_, now_of(*self_), mailbox_depth(*self_)};
    return work();
  }

  // --- reading

  void open() {
    topic_ = options_.broker->topic(processing::positions_topic);
    if (topic_) return find_range();
    options_.broker->create_topic({.name = std::string(processing::positions_topic), .partitions = 1, .internal = true},
                                  answer_as<metadata::TopicPtr>(self_, [](Result<metadata::TopicPtr> topic) {
                                    return PositionsTopicMade{std::move(topic)};
                                  }));
  }

  void open_later() { self_->delayed_send(self_, retry_pause, OpenPositions{}); }

  void on_made(const Result<metadata::TopicPtr>& topic) {
    if (!topic) return open_later();
    topic_ = *topic;
    find_range();
  }

  TopicIdPartition partition() const { return {topic_->id, PartitionId{0}}; }

  void find_range() {
    options_.broker->find_offset(
        partition(), {.kind = OffsetSpec::Kind::earliest},
        answer_as<OffsetAnswer>(self_, [](Result<OffsetAnswer> range) { return PositionsRange{std::move(range)}; }));
  }

  void on_range(const Result<OffsetAnswer>& range) {
    if (!range) return open_later();
    table_ = {};
    records_ = 0;
    next_ = range->offset;
    end_ = range->high_watermark;
    read_on();
  }

  void read_on() {
    if (next_ >= end_) return answer_asks();
    options_.broker->fetch({.partition = partition(), .from = next_},
                           answer_as<FetchResponse>(
                               self_, [](Result<FetchResponse> response) { return PositionsFetched{std::move(response)}; }));
  }

  void on_fetched(const Result<FetchResponse>& response) {
    if (!response || response->next_offset <= next_) return open_later();
    processing::FetchedRecords records{processing::positions_topic, PartitionId{0}, response->batches, next_,
                                       response->next_offset};
    while (true) {
      const auto record = records.front();
      if (!record) return self_->quit(to_caf_error(record.error().with_context("the processors' positions")));
      if (*record == nullptr) break;
      if (const auto applied = table_.apply((*record)->key, (*record)->value); !applied) {
        log::warn("a record of the processors' positions is passed over",
                  {log::kv("offset", (*record)->offset), log::kv("error", applied.error())});
      }
      ++records_;
      records.pop();
    }
    next_ = response->next_offset;
    read_on();
  }

  void answer_asks() {
    ready_ = true;
    row_->set_state(ActorState::running);
    for (auto& [ask, promise] : std::exchange(asks_, {}))
      promise.deliver(PositionAnswer{table_.find(ask.key, ask.topic_id)});
    flush();
  }

  AskPromise answer(const AskPosition& ask) {
    auto promise = self_->make_response_promise<PositionAnswer>();
    if (ready_) {
      promise.deliver(PositionAnswer{table_.find(ask.key, ask.topic_id)});
    } else {
      asks_.emplace_back(ask, promise);
    }
    return promise;
  }

  // --- writing: one request on its way

  CommitPromise take(const CommitPosition& commit) {
    auto promise = self_->make_response_promise<Done>();
    waiting_.set(commit.key, commit.position);
    waiting_promises_.push_back(promise);
    if (ready_) flush();
    return promise;
  }

  void flush() {
    if (writing_ || waiting_promises_.empty()) return;
    writing_ = true;
    written_ = std::exchange(waiting_, {});
    written_promises_ = std::exchange(waiting_promises_, {});
    trimming_ = records_ >= options_.trim_after;
    auto all = trimming_ ? table_ : processing::PositionTable{};
    for (const auto& [key, position] : written_.all()) all.set(key, position);

    std::string memory;
    std::vector<std::pair<std::size_t, std::size_t>> sizes;  // of keys and values
    for (const auto& [key, position] : all.all()) {
      const auto key_text = processing::encode_position_key(key);
      const auto value_text = processing::encode_position(position);
      memory += key_text;
      memory += value_text;
      sizes.emplace_back(key_text.size(), value_text.size());
    }
    ProduceRequest request{.topic = topic_, .memory = Bytes::copy_of(as_bytes(memory)), .internal = true};
    std::size_t at = 0;
    for (const auto& [key_size, value_size] : sizes) {
      const auto bytes = request.memory.view();
      request.records.push_back({.key = bytes.subspan(at, key_size),
                                 .value = bytes.subspan(at + key_size, value_size),
                                 .partition = PartitionId{0}});
      at += key_size + value_size;
    }
    options_.broker->produce(std::move(request), answer_as<ProduceResponse>(self_, [](Result<ProduceResponse> response) {
                               return PositionsProduced{std::move(response)};
                             }));
  }

  void on_produced(const Result<ProduceResponse>& response) {
    writing_ = false;
    auto promises = std::exchange(written_promises_, {});
    if (const auto error = error_of(response)) {
      for (auto& promise : promises) promise.deliver(to_caf_error(*error));
      return flush();
    }
    for (const auto& [key, position] : written_.all()) table_.set(key, position);
    records_ += response->records.size();
    if (trimming_) delete_before(*response);
    for (auto& promise : promises) promise.deliver(Done{});
    flush();
  }

  static std::optional<Error> error_of(const Result<ProduceResponse>& response) {
    if (!response) return response.error();
    for (const auto& record : response->records) {
      if (!record) return record.error();
    }
    return std::nullopt;
  }

  void delete_before(const ProduceResponse& response) {
    auto first = Offset::max();
    for (const auto& record : response.records) first = std::min(first, record->offset);
    records_ = response.records.size();
    // When it fails, the next time does it.
    options_.broker->delete_records({.partition = partition(), .before = first}, Reply<Offset>{[](Result<Offset>) {}});
  }

  Self* self_ = nullptr;
  ProcessorPositionsOptions options_;
  ActorRowPtr row_;
  metadata::TopicPtr topic_;
  processing::PositionTable table_;  ///< what is in the topic
  bool ready_ = false;
  Offset next_{0};
  Offset end_{0};
  std::size_t records_ = 0;  ///< of the topic, about
  std::vector<std::pair<AskPosition, AskPromise>> asks_;

  processing::PositionTable waiting_;
  std::vector<CommitPromise> waiting_promises_;
  bool writing_ = false;
  bool trimming_ = false;
  processing::PositionTable written_;
  std::vector<CommitPromise> written_promises_;
};

caf::behavior processor_positions(ProcessorPositionsState::Self* self, ProcessorPositionsOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, options, std::move(row));
}

}  // namespace

caf::actor spawn_processor_positions(caf::actor_system& system, ProcessorPositionsOptions options, ActorRowPtr row) {
  return system.spawn(processor_positions, options, std::move(row));
}

}  // namespace troupe::actors
