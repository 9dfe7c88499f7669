#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "core/consumer/cursor.hpp"
#include "core/consumer/latest_per_key.hpp"
#include "core/ids.hpp"

namespace troupe::consumer {

/// One committed record, as far as a subscription looks at it.
struct RunRecord {
  Offset offset{0};
  TimestampMs timestamp = no_timestamp;
  std::optional<std::string_view> key = {};
  bool tombstone = false;
};

/// All records of one partition in [from, next), in order; offsets without a record are holes that compaction left.
struct RecordRun {
  Offset from{0};
  Offset next{0};
  LeaderEpoch leader_epoch = no_leader_epoch;
  std::vector<RunRecord> records = {};
};

/// A run as a subscriber gets it: record i is text[starts[i], starts[i + 1]); `starts` has one entry more than there are records.
struct RenderedRun {
  const RecordRun* run = nullptr;
  std::string_view text = {};
  std::span<const std::uint32_t> starts = {};
};

enum class SlowPolicy : std::uint8_t { block, conflate, disconnect };
enum class OnGap : std::uint8_t { continue_, snapshot, fail };

struct SlowOptions {
  SlowPolicy policy = SlowPolicy::block;
  std::size_t keys_max = 10'000;             ///< conflate
  Millis interval_ms = 0;                    ///< conflate: between two records of one key; 0: any rate
  std::optional<Millis> after_ms = {};       ///< disconnect: behind for longer
  std::optional<std::int64_t> lag_max = {};  ///< disconnect: behind by more records, once it had caught up
};

/// What a client permits. Adding saturates; each is unlimited until it was given.
struct Credit {
  std::optional<std::int64_t> messages = {};
  std::optional<std::int64_t> bytes = {};
};

/// One topic of a subscription.
struct TopicSelection {
  TopicId topic_id = {};
  std::vector<PartitionId> partitions = {};
  StartFrom from = {};
};

struct SubscriptionOptions {
  std::vector<TopicSelection> topics = {};
  std::set<std::string, std::less<>> keys = {};  ///< empty: all records
  bool snapshot = false;                         ///< first the latest record of each key, then what follows
  SlowOptions slow = {};
  OnGap on_gap = OnGap::continue_;
  Credit credit = {};
  bool up_to_now = false;  ///< ends at the high watermark that it finds at its start, or at `before`
  std::map<TopicIdPartition, Offset> before = {};
};

/// Room that a connection has for this subscription now.
struct Room {
  std::size_t bytes = 0;
  bool untouched = false;  ///< nothing is in it yet: one record is taken however large it is
};

/// What the driver of a subscription shall do next.
struct Step {
  enum class Kind : std::uint8_t {
    idle,  ///< nothing, until an input comes
    find,  ///< look `spec` up, answer with `found` or `failed`
    read,  ///< read from `from`, nothing at or above `up_to`; answer with `offer`, `at_tail` or `failed`, or `later`
  };
  enum class Spec : std::uint8_t { earliest, latest, time };
  Kind kind = Kind::idle;
  std::size_t partition = 0;  ///< place in `partitions()`
  Spec spec = Spec::latest;
  TimestampMs time = no_timestamp;
  bool of_leader = false;  ///< of `find`: what this node knows by itself will not do
  Offset from{0};
  Offset up_to = Offset::max();
};

/// What a client has to be told besides records.
struct Note {
  enum class Kind : std::uint8_t {
    caught_up,  ///< everything that was there has been delivered
    gap,        ///< records in [from, to) are gone: retention
    reset,  ///< the position was not one of this log: another topic of that name, or a log that was cut; it goes on at `to`
    ended,  ///< no more records: see `error`
    disconnect,  ///< too slow, as the client's policy has it
  };
  Kind kind = Kind::caught_up;
  std::size_t partition = 0;
  Offset from{0};
  Offset to{0};
  std::optional<Error> error = {};
};

enum class Phase : std::uint8_t { snapshot, replay, live };

/// Follows one subscriber through one or more topics: where it stands, what it may be given, what has to be read for it. Knows no socket,
/// no clock, no broker: time and room are arguments, what it wants comes back as steps.
///
///   partition:  unknown --find--> [scan backwards for last:N] --> ready --read--> offer: records taken, position moves --> ready
///                                                                   ^              |  at_tail
///                                                                   +- tail_moved -+
///
/// Every matching committed record is delivered once, in order per partition; `cursor()` names the first not delivered. With conflation or
/// a snapshot: the newest per key at least, and the cursor names the first that may be wanting.
/// Source: websocket-sse.md C2.3 to C2.9.
class Subscription {
 public:
  /// Partitions are taken as they are: the caller has checked that they exist, and narrowed them to those of the keys. `now`: for `ago`.
  Subscription(SubscriptionOptions options, TimestampMs now);

  const std::vector<TopicIdPartition>& partitions() const { return ids_; }
  const SubscriptionOptions& options() const { return options_; }

  /// The next thing to do. Call again until it is idle.
  Step next(Room room);

  struct Found {
    Offset offset{0};
    Offset log_start_offset{0};
    Offset high_watermark{0};
    LeaderEpoch leader_epoch = no_leader_epoch;  ///< as in OffsetAnswer
  };
  void found(std::size_t partition, const Found& found, MonotonicMs now);
  /// A find or a read failed: tries again after a while, or ends, or learns that the log starts later now.
  void failed(std::size_t partition, const Error& error, MonotonicMs now);
  /// There is nothing at the position yet: `tail_moved` says when there is.
  void at_tail(std::size_t partition);
  void tail_moved(std::size_t partition);
  /// The read cannot be done now; it is wanted again after `go_on`.
  void later(std::size_t partition);
  void go_on();
  /// What is known of a partition's end: for the lag.
  void high_watermark(std::size_t partition, Offset offset);

  /// Records [begin, end) of the offered run.
  struct Range {
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  /// Whether the read goes to `scan` (keys and offsets only) and not to `offer`.
  bool scans(std::size_t partition) const { return parts_[partition].state == State::scan_reading; }
  void scan(std::size_t partition, const RecordRun& run);
  /// Takes what it may of the run, which holds the position. Appends what is to be sent to `ranges`; returns its bytes.
  std::size_t offer(std::size_t partition, const RenderedRun& run, Room room, MonotonicMs now, std::vector<Range>& ranges);
  /// The next record that was held back (snapshot, conflation), removed; nullopt when none may go now.
  std::optional<std::string> take_held(Room room, MonotonicMs now);
  /// Held records that gave way to newer ones since the last call.
  std::uint64_t take_conflated() { return held_ ? held_->take_conflated() : 0; }

  void add_credit(const Credit& credit);
  void pause() { paused_ = true; }
  void resume() { paused_ = false; }

  /// Looks at the clock: retries, slow policies.
  void tick(MonotonicMs now);
  /// When `tick` or `take_held` has something to do; nullopt: not by time alone.
  std::optional<MonotonicMs> next_deadline() const;

  std::vector<Note> take_notes() { return std::exchange(notes_, {}); }
  /// Puts a note back that is to be told later.
  void put_note(Note note) { notes_.push_back(std::move(note)); }
  bool has_notes() const { return !notes_.empty(); }
  /// All starts are known: `cursor` can be asked.
  bool resolved() const { return unresolved_ == 0; }
  bool ended() const { return ended_; }
  /// With `up_to_now`: all has been delivered.
  bool finished() const;
  Phase phase() const;

  /// Resumes exactly behind what was delivered. One cursor a topic, joined by '.'.
  std::string cursor() const;
  /// The next offset of one partition.
  Offset position(std::size_t partition) const { return parts_[partition].position; }
  /// A cursor is about to be sent.
  void cursor_sent(MonotonicMs now);
  /// The position moved but nothing matched for a second: the client should hear of it.
  bool wants_progress(MonotonicMs now) const;

  struct Place {
    CursorPosition position;
    Offset log_start_offset{0};
  };
  /// Where each partition began. After `resolved`.
  std::vector<Place> starts() const;

 private:
  enum class State : std::uint8_t {
    find_wanted,
    finding,
    scan_wanted,
    scan_reading,
    scanned,
    ready,
    reading,
    at_tail,
    parked,
    retry,
    done
  };
  struct Seen {
    Offset offset;
    TimestampMs timestamp;
  };
  struct Part {
    std::size_t topic = 0;
    State state = State::find_wanted;
    State back_to = State::find_wanted;  ///< of `parked` and `retry`
    MonotonicMs retry_at{0};
    bool start_known = false;
    bool doubted = false;  ///< its position lies beyond an end that may be out of date
    Offset position{0};
    std::size_t next_bytes = 0;  ///< of the record at the position, when it did not fit the last time
    LeaderEpoch leader_epoch = no_leader_epoch;
    Offset start{0};
    LeaderEpoch start_epoch = no_leader_epoch;
    Offset log_start{0};
    Offset end{0};                 ///< the high watermark as last heard
    Offset until = Offset::max();  ///< with up_to_now
    std::optional<Offset> snapshot_to = {};
    // Backwards for the last N: windows [scan_from, scan_to), read forwards, each before the other.
    Offset scan_from{0};
    Offset scan_to{0};
    Offset scan_at{0};
    std::deque<Seen> window = {};
    std::deque<Seen> seen = {};
  };

  bool matches(const RunRecord& record) const;
  bool may_read(const Part& part, Room room) const;
  bool window_open(Room room) const;
  bool fits(std::size_t bytes, Room room) const;
  void spend(std::size_t bytes);
  bool collecting() const { return snapshot_parts_ > 0; }
  void begin_at(std::size_t partition, Offset offset, LeaderEpoch epoch);
  void check_position(std::size_t partition, const Found& found, MonotonicMs now);
  void begin_scan(Part& part);
  void window_done(std::size_t partition);
  void choose_last();
  void begin_snapshot(Part& part);
  void reached_snapshot_end(Part& part);
  void end_with(Error error);
  void note_caught_up();
  LatestPerKey& held();

  SubscriptionOptions options_;
  TimestampMs now_;
  std::vector<TopicIdPartition> ids_;
  std::vector<Part> parts_;
  std::size_t unresolved_ = 0;
  std::size_t turn_ = 0;
  std::optional<LatestPerKey> held_;
  std::size_t snapshot_parts_ = 0;  ///< still collecting
  bool snapshot_draining_ = false;  ///< collected, not yet delivered
  bool snapshot_given_ = false;     ///< part of it was delivered: tombstones count from then on
  bool untouched_ = true;           ///< nothing was spent since credit was given
  bool paused_ = false;
  bool ended_ = false;
  bool caught_up_ = false;
  bool moved_ = false;  ///< since the last cursor that was sent
  MonotonicMs cursor_sent_at_ = MonotonicMs{0};
  std::optional<MonotonicMs> behind_since_;
  std::vector<Note> notes_;
};

}  // namespace troupe::consumer
