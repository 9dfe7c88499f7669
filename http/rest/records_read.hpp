#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/broker_api.hpp"
#include "core/consumer/cursor.hpp"
#include "http/json/record_output.hpp"
#include "http/router/executor.hpp"

namespace troupe::http {

/// What a stateless read wants.
struct ReadPlan {
  metadata::TopicPtr topic = {};
  std::vector<PartitionId> partitions = {};  ///< those that are read; ascending
  consumer::StartFrom from = {};
  std::optional<std::string> key = {};                    ///< only records with this key
  std::size_t limit = 100;                                ///< records in all
  std::size_t bytes_max = std::size_t{1} << 20;           ///< of rendered records; one is given in any case
  std::size_t scanned_bytes_max = std::size_t{32} << 20;  ///< of log that is looked at before a page ends without being full
  Millis wait_ms = 0;                                     ///< when there is nothing
  bool descending = false;                                ///< backwards from `from`
  RecordFormat format = RecordFormat::auto_;
  TimestampMs now = no_timestamp;
};

struct ReadRecord {
  PartitionId partition;
  Offset offset;
  TimestampMs timestamp;
  bool tombstone = false;
  std::string json = {};
};

/// Records that retention took before they were read.
struct ReadGap {
  PartitionId partition;
  Offset from;
  Offset to;  ///< the first that is there
};

struct ReadPage {
  std::vector<ReadRecord> records = {};
  consumer::Cursor cursor = {};  ///< where the next page begins, in either direction
  bool end = false;              ///< there is nothing beyond it now
  std::vector<ReadGap> gaps = {};
};

/// Reads one page over any number of partitions through BrokerApi, keeping nothing between pages.
///
/// Forwards, partitions take turns: each gives an equal share of the page, so that none waits behind a full one. Backwards, the newest
/// records come first, by timestamp; each partition is read in windows of offsets:
///
///   partition 0   start ........ [ window ) <- position <- emitted
///   partition 1   start ............ [ window ) <- position
///
/// All functions run on `executor`'s thread.
class RecordsRead final : public std::enable_shared_from_this<RecordsRead> {
 public:
  using Done = std::function<void(Result<ReadPage>)>;

  RecordsRead(BrokerApi& broker, std::shared_ptr<Executor> executor, ReadPlan plan, const Clock& clock);

  /// `done` is called once.
  void start(Done done);
  /// Waits no longer: the page that there is, is the answer.
  void hurry();

 private:
  struct Lane {
    PartitionId partition;
    Offset position{0};  ///< forwards: the next to be read; backwards: all at and above it have been given
    LeaderEpoch epoch = no_leader_epoch;
    Offset start{0};
    Offset high_watermark{0};
    bool at_end = false;
    int restarts = 0;
    std::deque<ReadRecord> records = {};  ///< read and not given yet, ascending
    Offset read_to{0};                    ///< forwards: where the records end; backwards: where the window begins
    bool cut = false;                     ///< the window holds more matches, before `records`
    std::int64_t window = 0;
    Offset window_from{0};  ///< backwards: while a window is read
    std::size_t window_bytes = 0;
    CallId call = 0;
  };

  // Beginning.
  void resolve(std::size_t lane);
  void on_resolved(std::size_t lane, Result<OffsetAnswer> answer);
  Status place(Lane& lane, const OffsetAnswer& answer);
  void step_done();
  void proceed();

  // Forwards.
  void read_round();
  void fetch(std::size_t lane, FetchRequest request);
  void on_fetched(std::size_t lane, Result<FetchResponse> answer);
  void take_forwards(Lane& lane, const FetchResponse& fetched);
  void give_in_turn();
  void wait();
  void on_waited(std::size_t lane, Result<FetchResponse> answer);
  std::size_t quota() const;

  // Backwards.
  void read_windows();
  void read_window(std::size_t lane);
  void take_backwards(std::size_t lane, const FetchResponse& fetched);
  void end_window(Lane& lane);
  void give_newest();

  bool full() const { return page_.records.size() >= limit_ || bytes_ >= plan_.bytes_max; }
  bool give(Lane& lane, ReadRecord record);
  template <class Take>
  Status walk(const FetchResponse& fetched, Lane& lane, Take take);
  TopicIdPartition id_of(const Lane& lane) const { return {plan_.topic->id, lane.partition}; }
  void fail(Error error);
  void finish();
  void cancel_all();

  BrokerApi& broker_;
  const std::shared_ptr<Executor> executor_;
  const ReadPlan plan_;
  const Clock& clock_;
  Done done_;
  const bool newest_of_all_;  ///< last:N: backwards, then turned round
  const bool backwards_;
  std::size_t limit_;
  std::vector<Lane> lanes_;
  std::size_t first_ = 0;    ///< whose turn it is
  std::size_t pending_ = 0;  ///< calls under way in this round
  std::vector<std::size_t> round_;
  ReadPage page_;
  std::size_t bytes_ = 0;
  std::size_t scanned_ = 0;
  std::vector<consumer::CursorPosition> heads_;  ///< of last:N: where its cursor goes on
  bool hurried_ = false;
  bool waiting_ = false;
  MonotonicMs wait_until_{0};
};

}  // namespace troupe::http
