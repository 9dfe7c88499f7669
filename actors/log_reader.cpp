#include "actors/log_reader.hpp"

#include <atomic>
#include <mutex>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"

namespace troupe::actors {
namespace {

/// What waits at one run of a reader.
struct Queue {
  std::atomic<std::size_t> requests{0};
  std::atomic<std::size_t> bytes{0};
};

/// Room in a queue, as long as it lives.
class Room {
 public:
  /// Null when there is none.
  static std::unique_ptr<Room> take(std::shared_ptr<Queue> queue, std::size_t bytes, const LogReaders::Options& options) {
    std::unique_ptr<Room> room{new Room(std::move(queue), bytes)};
    const bool fits = room->requests_before_ < options.requests_max &&
                      (room->bytes_before_ == 0 || room->bytes_before_ + bytes <= options.bytes_max);
    return fits ? std::move(room) : nullptr;
  }
  ~Room() {
    queue_->requests.fetch_sub(1, std::memory_order_relaxed);
    queue_->bytes.fetch_sub(bytes_, std::memory_order_relaxed);
  }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

 private:
  Room(std::shared_ptr<Queue> queue, std::size_t bytes)
      : queue_(std::move(queue)),
        bytes_(bytes),
        requests_before_(queue_->requests.fetch_add(1, std::memory_order_relaxed)),
        bytes_before_(queue_->bytes.fetch_add(bytes, std::memory_order_relaxed)) {}

  const std::shared_ptr<Queue> queue_;
  const std::size_t bytes_;
  const std::size_t requests_before_;
  const std::size_t bytes_before_;
};

ReadResult result_of(const ReadLog& request) {
  return {request.partition, request.token, request.view.read(request.from, request.bytes_max, request.up_to, request.hint)};
}
TimestampResult result_of(const FindTimestamp& request) {
  return {request.partition, request.token, request.view.find(request.timestamp)};
}
ReadResult refusal_of(const ReadLog& request, Error error) { return {request.partition, request.token, std::move(error)}; }
TimestampResult refusal_of(const FindTimestamp& request, Error error) {
  return {request.partition, request.token, std::move(error)};
}

std::size_t bytes_of(const ReadLog& request) { return request.bytes_max; }
/// A search reads some index entries and one stretch of a segment between two of them.
std::size_t bytes_of(const FindTimestamp&) { return 0; }

class Job {
 public:
  virtual ~Job() = default;
  virtual void run() = 0;
};

/// A request on its way to a reader. One that is thrown away instead of run answers all the same.
template <class Request>
class RequestJob final : public Job {
 public:
  RequestJob(Request request, std::unique_ptr<Room> room) : request_(std::move(request)), room_(std::move(room)) {}
  ~RequestJob() override {
    if (!room_) return;
    caf::anon_send(request_.reply_to,
                   refusal_of(request_, {Errc::overloaded, "the log reader went down before it came to this request"}));
  }

  void run() override {
    auto result = result_of(request_);
    room_.reset();
    caf::anon_send(request_.reply_to, std::move(result));
  }

 private:
  const Request request_;
  std::unique_ptr<Room> room_;
};

}  // namespace

/// The message. Delivered once, to one reader, so it may carry something that changes.
struct LogReaderJob {
  std::shared_ptr<Job> job;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::LogReaderJob)

namespace troupe::actors {
namespace {

class LogReaderState {
 public:
  using Pointer = caf::stateful_actor<LogReaderState>*;
  static constexpr const char* name = "log_reader";

  explicit LogReaderState(Pointer self) : self_(self) {}

  caf::behavior make_behavior(ActorRowPtr row) {
    row_ = std::move(row);
    row_->set_state(ActorState::running);
    return {[this](const LogReaderJob& message) {
      const Handling handling{*row_, now_of(*self_)};
      message.job->run();
    }};
  }

 private:
  const Pointer self_;
  ActorRowPtr row_;
};

caf::behavior log_reader(LogReaderState::Pointer self, ActorRowPtr row) { return self->state.make_behavior(std::move(row)); }

template <class Request>
void submit(const caf::actor& reader, std::shared_ptr<Queue> queue, const LogReaders::Options& options, Request request) {
  TROUPE_ASSERT(request.reply_to);
  if (!reader) {
    caf::anon_send(request.reply_to, refusal_of(request, {Errc::overloaded, "no log reader is running yet"}));
    return;
  }
  auto room = Room::take(std::move(queue), bytes_of(request), options);
  if (!room) {
    caf::anon_send(request.reply_to,
                   refusal_of(request, {Errc::overloaded, "partition " + to_string(request.partition) +
                                                              ": its log reader's queue is full (" +
                                                              std::to_string(options.requests_max) + " requests or " +
                                                              std::to_string(options.bytes_max) + " bytes)"}));
    return;
  }
  caf::anon_send(reader, LogReaderJob{std::make_shared<RequestJob<Request>>(std::move(request), std::move(room))});
}

}  // namespace

struct LogReaders::Slot {
  std::mutex mutex;        ///< held to copy a handle and a pointer
  caf::actor_addr reader;  ///< weak: a handle to a detached actor that somebody keeps would keep its thread
  std::shared_ptr<Queue> queue = std::make_shared<Queue>();

  std::pair<caf::actor, std::shared_ptr<Queue>> current() {
    const std::lock_guard lock{mutex};
    return {caf::actor_cast<caf::actor>(reader), queue};
  }
};

LogReaders::LogReaders(const Options& options) : options_(options) {
  TROUPE_ASSERT(options.readers > 0);
  for (std::size_t i = 0; i < options.readers; ++i) slots_.push_back(std::make_unique<Slot>());
}

LogReaders::~LogReaders() = default;

caf::actor LogReaders::start_reader(std::size_t index, caf::actor_system& system, SpawnMode mode, ActorRowPtr row) {
  auto reader = mode == SpawnMode::detached ? system.spawn<caf::detached>(log_reader, std::move(row))
                                            : system.spawn(log_reader, std::move(row));
  auto& slot = *slots_.at(index);
  const std::lock_guard lock{slot.mutex};
  slot.reader = caf::actor_cast<caf::actor_addr>(reader);
  slot.queue = std::make_shared<Queue>();
  return reader;
}

LogReaders::Slot& LogReaders::slot_of(const TopicIdPartition& partition) const {
  return *slots_[std::hash<TopicIdPartition>{}(partition) % slots_.size()];
}

void LogReaders::read(ReadLog request) const {
  auto [reader, queue] = slot_of(request.partition).current();
  submit(reader, std::move(queue), options_, std::move(request));
}

void LogReaders::find(FindTimestamp request) const {
  auto [reader, queue] = slot_of(request.partition).current();
  submit(reader, std::move(queue), options_, std::move(request));
}

std::size_t LogReaders::waiting() const {
  std::size_t waiting = 0;
  for (const auto& slot : slots_) waiting += slot->current().second->requests.load(std::memory_order_relaxed);
  return waiting;
}

}  // namespace troupe::actors
