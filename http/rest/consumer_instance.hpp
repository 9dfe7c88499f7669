#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/consumer_api.hpp"
#include "http/json/record_output.hpp"
#include "http/message/http_error.hpp"
#include "http/router/call.hpp"

namespace troupe::http {

/// What a REST consumer was made with. rest-api.md B1.3
struct InstanceSettings {
  std::string group = {};
  std::string name = {};
  RecordFormat format = RecordFormat::binary;  ///< never auto_
  OffsetReset reset = OffsetReset::latest;
  bool auto_commit = true;
  Millis request_ms_max = 1'000;     ///< that `records` waits at most
  std::int64_t fetch_min_bytes = 1;  ///< -1: `records` waits its full time
  bool with_metadata = false;        ///< records with headers and timestamps
};

/// One consumer instance of the REST proxy: reads as a member of its group, or partitions of its choice; keeps what came until `records`
/// asks for it. Thread-safe: its calls may come on any I/O thread, one after the other or at once.
///
/// Its position moves past what was answered, and no further: a record that cannot be shown in its format stays the next one.
/// What was answered counts as consumed with the call after it, so that nothing is committed that a client never saw.
class ConsumerInstance final : public std::enable_shared_from_this<ConsumerInstance> {
 public:
  ConsumerInstance(ConsumerApi& consumers, InstanceSettings settings)
      : consumers_(consumers), settings_(std::move(settings)) {}

  const InstanceSettings& settings() const { return settings_; }

  using Named = std::pair<std::string, PartitionId>;

  /// Errors: conflict (it has assigned partitions), those of group::check_profile.
  Status subscribe(std::vector<std::string> topics, std::string pattern);
  void unsubscribe();
  /// Errors: conflict (it has subscribed).
  Status assign(const std::vector<std::pair<TopicIdPartition, std::string>>& partitions);
  std::vector<std::string> subscription();
  std::vector<Named> assignment();

  /// Answers `call` with records as soon as there are any, after `wait_ms` in any case.
  void records(const CallPtr& call, Millis wait_ms, std::size_t bytes_max);

  using Positions = std::vector<std::pair<TopicIdPartition, Offset>>;
  /// Without positions: of all that was answered. Errors of a position: fenced_member_epoch. Errors: conflict (nothing is read).
  void commit(const std::optional<Positions>& positions, Reply<std::vector<CommittedPosition>> reply);
  /// Errors: conflict (nothing is read), fenced_member_epoch.
  void seek(const std::vector<std::pair<TopicIdPartition, SeekTarget>>& targets, std::function<void(Status)> done);
  /// Leaves; what was answered is committed with auto commit.
  void close();

  /// When it was used last.
  void touch(MonotonicMs now);
  MonotonicMs used_at();

 private:
  enum class Mode : std::uint8_t { nothing, subscribed, assigned };
  struct Part {
    std::string topic = {};
    Offset position{0};                 ///< behind what was answered
    std::optional<Offset> unsaid = {};  ///< answered, and not counted as consumed yet
    bool seeking = false;               ///< what comes is from before
  };
  struct Chunk {
    ConsumerRecords records;
    std::int64_t bytes;
  };
  struct Poll {
    CallPtr call;
    std::size_t bytes_max;
    bool done = false;
  };
  using PollPtr = std::shared_ptr<Poll>;

  void open(ConsumerOptions options);
  void end_reading();
  void take_in();
  void take_in(ConsumerEvent& event);
  void drop(const TopicIdPartition& id);
  void say_consumed();
  void serve(const PollPtr& poll, bool now);
  /// nullopt: nothing to answer yet.
  std::optional<Response> answer_for(const Poll& poll, bool now);
  /// What fits of the chunk, appended. False: a record that cannot be shown, before which it stopped.
  bool append_chunk(Chunk& chunk, std::string& out, std::size_t bytes_max);

  ConsumerApi& consumers_;
  const InstanceSettings settings_;

  std::mutex mutex_;  ///< of all below; events never wait for it
  Mode mode_ = Mode::nothing;
  group::MemberProfile profile_;
  std::shared_ptr<Consumer> consumer_;
  std::map<TopicIdPartition, Part> parts_;
  std::deque<Chunk> chunks_;
  std::int64_t chunk_bytes_ = 0;
  std::deque<PollPtr> polls_;
  std::optional<Error> failed_;
  MonotonicMs used_at_{0};

  std::mutex inbox_mutex_;  ///< held to move, never in a call
  std::deque<ConsumerEvent> inbox_;
  std::shared_ptr<Consumer> releaser_;  ///< lets go of what is revoked, whoever calls
  PollPtr waiting_;                     ///< the first poll
  std::uint64_t run_ = 0;               ///< of the consumer: events of earlier ones are dropped

  /// The listener of one consumer.
  class Ear;
};

}  // namespace troupe::http
