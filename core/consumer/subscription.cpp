#include "core/consumer/subscription.hpp"

#include <algorithm>
#include <limits>

#include "base/assert.hpp"

namespace troupe::consumer {
namespace {

constexpr Millis progress_ms = 1000;
constexpr Millis retry_soon_ms = 100;
constexpr Millis retry_late_ms = 1000;
constexpr std::int64_t scan_window_min = 64;
constexpr std::int64_t scan_window_max = 65'536;
constexpr std::size_t held_bytes_max = std::size_t{1} << 20;
constexpr std::size_t snapshot_keys_max = 100'000;
constexpr std::size_t snapshot_bytes_max = std::size_t{8} << 20;
constexpr std::int64_t credit_max = std::int64_t{1} << 53;

/// After which failure a read is worth another try, and how soon. 0: it is not.
Millis retry_after(Errc code) {
  switch (code) {
    case Errc::leader_not_available:
    case Errc::not_leader_or_follower:
    case Errc::request_timed_out:
    case Errc::overloaded:
    case Errc::cancelled:
    case Errc::stale_log_view: return retry_soon_ms;
    case Errc::log_offline:
    case Errc::storage_error: return retry_late_ms;
    default: return 0;
  }
}

}  // namespace

Subscription::Subscription(SubscriptionOptions options, TimestampMs now) : options_(std::move(options)), now_(now) {
  for (std::size_t topic = 0; topic < options_.topics.size(); ++topic) {
    const auto& selection = options_.topics[topic];
    for (const auto partition : selection.partitions) {
      Part part{.topic = topic};
      ids_.push_back({selection.topic_id, partition});
      if (const auto limit = options_.before.find(ids_.back()); limit != options_.before.end()) part.until = limit->second;
      parts_.push_back(std::move(part));
    }
  }
  unresolved_ = parts_.size();
}

LatestPerKey& Subscription::held() {
  if (!held_) {
    const bool wide = options_.snapshot || options_.on_gap == OnGap::snapshot;
    held_.emplace(
        LatestPerKey::Bounds{.keys_max = wide ? std::max(snapshot_keys_max, options_.slow.keys_max) : options_.slow.keys_max,
                             .bytes_max = wide ? snapshot_bytes_max : held_bytes_max,
                             .interval_ms = options_.slow.policy == SlowPolicy::conflate ? options_.slow.interval_ms : 0});
  }
  return *held_;
}

bool Subscription::matches(const RunRecord& record) const {
  return options_.keys.empty() || (record.key && options_.keys.contains(*record.key));
}

// --- where to begin ---------------------------------------------------------------------------------------------------------------

void Subscription::found(std::size_t partition, const Found& found, MonotonicMs now) {
  auto& part = parts_[partition];
  if (part.state != State::finding) return;
  part.log_start = found.log_start_offset;
  part.end = std::max(part.end, found.high_watermark);
  part.state = State::ready;
  if (part.start_known) {
    check_position(partition, found, now);
    return;
  }
  if (options_.up_to_now) part.until = std::min(part.until, found.high_watermark);
  const auto& topic = options_.topics[part.topic];
  if (options_.snapshot && topic.from.kind != StartFrom::Kind::cursor) {
    begin_at(partition, found.log_start_offset, no_leader_epoch);
    begin_snapshot(part);
    return;
  }
  switch (topic.from.kind) {
    case StartFrom::Kind::earliest:
    case StartFrom::Kind::latest:
    case StartFrom::Kind::time:
    case StartFrom::Kind::ago: begin_at(partition, found.offset, no_leader_epoch); return;
    case StartFrom::Kind::last: begin_scan(part); return;
    case StartFrom::Kind::offsets: {
      const auto given = topic.from.offsets.find(ids_[partition].partition);
      const bool named = given != topic.from.offsets.end();
      begin_at(partition, named ? given->second : found.log_start_offset, no_leader_epoch);
      check_position(partition, found, now);
      return;
    }
    case StartFrom::Kind::cursor: {
      const auto& cursor = *topic.from.cursor;
      if (cursor.topic_id != topic.topic_id) {
        begin_at(partition, found.log_start_offset, no_leader_epoch);
        notes_.push_back({.kind = Note::Kind::reset,
                          .partition = partition,
                          .from = found.log_start_offset,
                          .to = found.log_start_offset});
        return;
      }
      const auto given = cursor.positions.find(ids_[partition].partition);
      if (given == cursor.positions.end()) {
        begin_at(partition, found.log_start_offset, no_leader_epoch);
      } else {
        begin_at(partition, given->second.next_offset, given->second.leader_epoch);
        check_position(partition, found, now);
      }
      return;
    }
  }
}

void Subscription::begin_at(std::size_t partition, Offset offset, LeaderEpoch epoch) {
  auto& part = parts_[partition];
  if (!part.start_known) --unresolved_;
  part.start_known = true;
  part.position = part.start = std::min(offset, part.until);
  part.leader_epoch = part.start_epoch = epoch;
  part.state = State::ready;
  moved_ = true;
}

/// The position may lie below the log's start (retention overtook it), or above its end (the log was cut, or is another one). Where it
/// ends a leader must say, and none from before the record that was given last: others may not have heard of what was committed since.
void Subscription::check_position(std::size_t partition, const Found& found, MonotonicMs now) {
  auto& part = parts_[partition];
  part.doubted =
      part.position > part.end && (found.leader_epoch == no_leader_epoch || found.leader_epoch < part.leader_epoch);
  if (part.doubted) {
    part.state = State::retry;
    part.back_to = State::find_wanted;
    part.retry_at = now + retry_soon_ms;
    return;
  }
  if (part.position < part.log_start) {
    notes_.push_back({.kind = Note::Kind::gap, .partition = partition, .from = part.position, .to = part.log_start});
    if (options_.on_gap == OnGap::fail) {
      end_with({Errc::offset_out_of_range, "records up to " + to_string(part.log_start) + " are gone: retention"});
      return;
    }
    part.position = std::min(part.log_start, part.until);
    moved_ = true;
    if (options_.on_gap == OnGap::snapshot && !options_.up_to_now) begin_snapshot(part);
  } else if (part.position > part.end) {
    notes_.push_back({.kind = Note::Kind::reset, .partition = partition, .from = part.position, .to = part.end});
    part.position = part.end;
    part.leader_epoch = no_leader_epoch;
    moved_ = true;
  }
}

// --- the last N -------------------------------------------------------------------------------------------------------------------

void Subscription::begin_scan(Part& part) {
  part.scan_to = part.scan_at = std::min(part.until, part.end);
  const auto wanted = options_.topics[part.topic].from.last;
  const auto width = std::clamp(wanted, scan_window_min, scan_window_max);
  part.scan_from = part.scan_at = std::max(part.log_start, part.scan_to - std::min(width, part.scan_to.value()));
  part.state = part.scan_from >= part.scan_to || wanted == 0 ? State::scanned : State::scan_wanted;
  if (part.state == State::scanned) choose_last();
}

void Subscription::scan(std::size_t partition, const RecordRun& run) {
  auto& part = parts_[partition];
  if (part.state != State::scan_reading) return;
  for (const auto& record : run.records) {
    if (record.offset < part.scan_at || record.offset >= part.scan_to || !matches(record)) continue;
    part.window.push_back({record.offset, record.timestamp});
  }
  part.scan_at = std::max(part.scan_at, run.next);
  part.state = State::scan_wanted;
  if (part.scan_at >= part.scan_to) window_done(partition);
}

void Subscription::window_done(std::size_t partition) {
  auto& part = parts_[partition];
  part.seen.insert(part.seen.begin(), part.window.begin(), part.window.end());
  part.window.clear();
  const auto wanted = static_cast<std::size_t>(options_.topics[part.topic].from.last);
  while (part.seen.size() > wanted) part.seen.pop_front();
  if (part.seen.size() >= wanted || part.scan_from <= part.log_start) {
    part.state = State::scanned;
    choose_last();
    return;
  }
  const auto width = std::min((part.scan_to - part.scan_from) * 2, scan_window_max);
  part.scan_to = part.scan_from;
  part.scan_from = part.scan_at = std::max(part.log_start, part.scan_to - std::min(width, part.scan_to.value()));
  part.state = State::scan_wanted;
}

/// Once every partition of the topic has named its last N: the newest N of all, by timestamp, but always the last ones of a partition.
void Subscription::choose_last() {
  for (std::size_t topic = 0; topic < options_.topics.size(); ++topic) {
    std::vector<std::size_t> mine;
    bool all = true;
    for (std::size_t i = 0; i < parts_.size(); ++i) {
      if (parts_[i].topic != topic) continue;
      mine.push_back(i);
      all = all && parts_[i].state == State::scanned;
    }
    if (!all || mine.empty()) continue;
    std::map<std::size_t, Offset> from;
    for (auto left = options_.topics[topic].from.last; left > 0; --left) {
      auto newest = parts_.size();
      for (const auto i : mine) {
        if (parts_[i].seen.empty()) continue;
        if (newest == parts_.size() || parts_[i].seen.back().timestamp > parts_[newest].seen.back().timestamp) newest = i;
      }
      if (newest == parts_.size()) break;
      from[newest] = parts_[newest].seen.back().offset;
      parts_[newest].seen.pop_back();
    }
    for (const auto i : mine) {
      const auto chosen = from.find(i);
      parts_[i].seen.clear();
      begin_at(i, chosen == from.end() ? std::min(parts_[i].until, parts_[i].end) : chosen->second, no_leader_epoch);
    }
  }
}

// --- what to do next --------------------------------------------------------------------------------------------------------------

bool Subscription::window_open(Room room) const {
  if (paused_ || (room.bytes == 0 && !room.untouched)) return false;
  const auto& credit = options_.credit;
  return (!credit.messages || *credit.messages > 0) && (!credit.bytes || *credit.bytes > 0);
}

bool Subscription::fits(std::size_t bytes, Room room) const {
  if (!window_open(room)) return false;
  const auto& credit = options_.credit;
  if (credit.bytes && static_cast<std::int64_t>(bytes) > *credit.bytes && !untouched_) return false;
  return room.untouched || bytes <= room.bytes;
}

void Subscription::spend(std::size_t bytes) {
  untouched_ = false;
  if (options_.credit.messages) --*options_.credit.messages;
  if (options_.credit.bytes) *options_.credit.bytes -= static_cast<std::int64_t>(bytes);
}

bool Subscription::may_read(const Part& part, Room room) const {
  if (paused_ || unresolved_ > 0) return false;
  if (held_ && held_->full()) return false;
  if (collecting()) return part.snapshot_to.has_value();
  if (options_.slow.policy == SlowPolicy::conflate) return true;
  return !snapshot_draining_ && fits(part.next_bytes, room);
}

Step Subscription::next(Room room) {
  if (ended_) return {};
  for (std::size_t count = 0; count < parts_.size(); ++count) {
    const auto i = (turn_ + count) % parts_.size();
    auto& part = parts_[i];
    if (part.state == State::find_wanted) {
      part.state = State::finding;
      turn_ = i;
      const auto& from = options_.topics[part.topic].from;
      Step step{.kind = Step::Kind::find, .partition = i, .of_leader = part.doubted};
      if (!part.start_known && !options_.snapshot) {
        using Kind = StartFrom::Kind;
        if (from.kind == Kind::earliest) step.spec = Step::Spec::earliest;
        if (from.kind == Kind::time || from.kind == Kind::ago) {
          step.spec = Step::Spec::time;
          step.time =
              from.kind == Kind::time ? from.time : TimestampMs{std::max<std::int64_t>(0, now_.value() - from.ago_ms)};
        }
      }
      return step;
    }
    if (part.state == State::scan_wanted) {
      part.state = State::scan_reading;
      turn_ = i;
      return {.kind = Step::Kind::read, .partition = i, .from = part.scan_at, .up_to = part.scan_to};
    }
    if (part.state != State::ready) continue;
    if (part.position >= part.until) {
      part.state = State::done;
      continue;
    }
    if (!may_read(part, room)) continue;
    part.state = State::reading;
    turn_ = i + 1;  // the others first, next time
    return {.kind = Step::Kind::read, .partition = i, .from = part.position, .up_to = part.snapshot_to.value_or(part.until)};
  }
  return {};
}

void Subscription::failed(std::size_t partition, const Error& error, MonotonicMs now) {
  auto& part = parts_[partition];
  const bool scanning = part.state == State::scan_reading;
  if (part.state != State::finding && part.state != State::reading && !scanning) return;
  if (error.code == Errc::offset_out_of_range) {
    // The log's start has moved: ask where it is. A scan begins again from there.
    part.state = State::find_wanted;
    part.window.clear();
    part.seen.clear();
    return;
  }
  const auto after = retry_after(error.code);
  if (after == 0) {
    end_with(error);
    return;
  }
  part.back_to = part.state == State::finding ? State::find_wanted : scanning ? State::scan_wanted : State::ready;
  part.state = State::retry;
  part.retry_at = now + after;
}

void Subscription::end_with(Error error) {
  if (ended_) return;
  ended_ = true;
  notes_.push_back({.kind = Note::Kind::ended, .error = std::move(error)});
}

void Subscription::at_tail(std::size_t partition) {
  auto& part = parts_[partition];
  // A scan that reaches the end of the log early has seen all there is.
  if (part.state == State::scan_reading) {
    part.scan_at = part.scan_to;
    part.state = State::scan_wanted;
    window_done(partition);
    return;
  }
  if (part.state != State::reading) return;
  part.end = part.position;
  if (part.snapshot_to) {
    part.snapshot_to = part.position;
    reached_snapshot_end(part);
  }
  part.state = State::at_tail;
  note_caught_up();
}

void Subscription::tail_moved(std::size_t partition) {
  if (parts_[partition].state == State::at_tail) parts_[partition].state = State::ready;
}

void Subscription::later(std::size_t partition) {
  auto& part = parts_[partition];
  part.back_to = part.state == State::finding        ? State::find_wanted
                 : part.state == State::scan_reading ? State::scan_wanted
                                                     : State::ready;
  part.state = State::parked;
}

void Subscription::go_on() {
  for (auto& part : parts_) {
    if (part.state == State::parked) part.state = part.back_to;
  }
}

void Subscription::high_watermark(std::size_t partition, Offset offset) {
  auto& part = parts_[partition];
  part.end = std::max(part.end, offset);
}

// --- records ----------------------------------------------------------------------------------------------------------------------

std::size_t Subscription::offer(std::size_t partition, const RenderedRun& rendered, Room room, MonotonicMs now,
                                std::vector<Range>& ranges) {
  auto& part = parts_[partition];
  if (part.state != State::reading) return 0;
  part.state = State::ready;
  const auto& run = *rendered.run;
  if (run.next <= part.position) return 0;

  const auto limit = part.snapshot_to.value_or(part.until);
  const bool hold_all = part.snapshot_to || (options_.slow.policy == SlowPolicy::conflate && options_.slow.interval_ms > 0);
  const bool hold_rest = options_.slow.policy == SlowPolicy::conflate;
  auto record = std::ranges::lower_bound(run.records, part.position, {}, &RunRecord::offset);
  std::size_t taken = 0;
  std::optional<Offset> stopped_at;
  part.next_bytes = 0;
  for (; record != run.records.end() && record->offset < limit; ++record) {
    if (!matches(*record)) continue;
    const auto i = static_cast<std::size_t>(record - run.records.begin());
    const std::size_t bytes = rendered.starts[i + 1] - rendered.starts[i];
    const bool direct = !hold_all && (!held_ || held_->empty());
    const Room left{.bytes = room.bytes - std::min(room.bytes, taken), .untouched = room.untouched && taken == 0};
    if (direct && fits(bytes, left)) {
      spend(bytes);
      taken += bytes;
      if (ranges.empty() || ranges.back().end != i) ranges.push_back({i, i});
      ranges.back().end = i + 1;
      continue;
    }
    if (!hold_all && !hold_rest) {
      stopped_at = record->offset;
      part.next_bytes = bytes;
      break;
    }
    if (held().full()) {
      stopped_at = record->offset;
      break;
    }
    if (part.snapshot_to && record->tombstone && !snapshot_given_) {
      held().drop(partition, record->key);
    } else {
      held().put(partition, record->offset, record->key, rendered.text.substr(rendered.starts[i], bytes), now);
    }
  }
  const auto before = part.position;
  part.position = stopped_at.value_or(std::min(run.next, limit));
  if (part.position > before) {
    part.leader_epoch = run.leader_epoch;
    moved_ = true;
    if (!caught_up_) behind_since_.reset();
  }
  part.end = std::max(part.end, part.position);
  if (part.snapshot_to && part.position >= *part.snapshot_to) reached_snapshot_end(part);
  return taken;
}

std::optional<std::string> Subscription::take_held(Room room, MonotonicMs now) {
  if (!held_ || ended_ || (collecting() && !held_->full())) return std::nullopt;
  const auto* text = held_->front(now);
  if (text == nullptr || !fits(text->size(), room)) return std::nullopt;
  spend(text->size());
  snapshot_given_ = snapshot_given_ || collecting();
  moved_ = true;
  std::optional<std::string> out = *text;
  held_->pop(now);
  if (held_->empty() && !collecting()) {
    snapshot_draining_ = false;
    note_caught_up();
  }
  return out;
}

void Subscription::begin_snapshot(Part& part) {
  if (part.position >= part.end) return;
  if (!part.snapshot_to) ++snapshot_parts_;
  part.snapshot_to = part.end;
}

void Subscription::reached_snapshot_end(Part& part) {
  part.snapshot_to.reset();
  if (--snapshot_parts_ > 0) return;
  snapshot_draining_ = held_ && !held_->empty();
  snapshot_given_ = false;
}

void Subscription::note_caught_up() {
  if (caught_up_ || collecting() || snapshot_draining_ || unresolved_ > 0) return;
  const bool all = std::ranges::all_of(
      parts_, [](const Part& part) { return part.state == State::at_tail || part.state == State::done; });
  if (!all) return;
  caught_up_ = true;
  notes_.push_back({.kind = Note::Kind::caught_up});
}

void Subscription::add_credit(const Credit& credit) {
  const auto add = [](std::optional<std::int64_t>& to, const std::optional<std::int64_t>& more) {
    if (more) to = std::clamp<std::int64_t>(to.value_or(0) + std::min(*more, credit_max), -credit_max, credit_max);
  };
  add(options_.credit.messages, credit.messages);
  add(options_.credit.bytes, credit.bytes);
  untouched_ = true;
}

// --- time -------------------------------------------------------------------------------------------------------------------------

void Subscription::tick(MonotonicMs now) {
  if (ended_) return;
  std::int64_t lag = 0;
  for (auto& part : parts_) {
    if (part.state == State::retry && now >= part.retry_at) part.state = part.back_to;
    lag += std::max<std::int64_t>(0, part.end - part.position);
  }
  if (options_.slow.policy != SlowPolicy::disconnect || unresolved_ > 0) return;
  if (lag == 0) {
    behind_since_.reset();
    return;
  }
  if (!behind_since_) behind_since_ = now;
  const bool too_long = options_.slow.after_ms && now - *behind_since_ > *options_.slow.after_ms;
  const bool too_far = caught_up_ && options_.slow.lag_max && lag > *options_.slow.lag_max;
  if (!too_long && !too_far) return;
  ended_ = true;
  notes_.push_back({.kind = Note::Kind::disconnect});
}

std::optional<MonotonicMs> Subscription::next_deadline() const {
  auto earliest = MonotonicMs::max();
  if (ended_) return std::nullopt;
  for (const auto& part : parts_) {
    if (part.state == State::retry) earliest = std::min(earliest, part.retry_at);
  }
  if (held_ && window_open({.bytes = 1})) earliest = std::min(earliest, held_->next_due().value_or(MonotonicMs::max()));
  if (behind_since_ && options_.slow.after_ms) earliest = std::min(earliest, *behind_since_ + *options_.slow.after_ms + 1);
  if (moved_ && resolved()) earliest = std::min(earliest, cursor_sent_at_ + progress_ms);
  if (earliest == MonotonicMs::max()) return std::nullopt;
  return earliest;
}

// --- where it stands --------------------------------------------------------------------------------------------------------------

bool Subscription::finished() const {
  if (!options_.up_to_now || unresolved_ > 0) return false;
  return std::ranges::all_of(parts_, [](const Part& part) { return part.position >= part.until; });
}

Phase Subscription::phase() const {
  if (collecting() || snapshot_draining_) return Phase::snapshot;
  return caught_up_ ? Phase::live : Phase::replay;
}

std::string Subscription::cursor() const {
  std::string text;
  std::size_t i = 0;
  for (std::size_t topic = 0; topic < options_.topics.size(); ++topic) {
    Cursor cursor{.topic_id = options_.topics[topic].topic_id, .positions = {}};
    for (; i < parts_.size() && parts_[i].topic == topic; ++i) {
      CursorPosition position{.leader_epoch = parts_[i].leader_epoch, .next_offset = parts_[i].position};
      if (held_) position.next_offset = std::min(position.next_offset, held_->lowest(i).value_or(position.next_offset));
      cursor.positions.emplace(ids_[i].partition, position);
    }
    if (topic > 0) text += '.';
    text += cursor.encode();
  }
  return text;
}

void Subscription::cursor_sent(MonotonicMs now) {
  moved_ = false;
  cursor_sent_at_ = now;
}

bool Subscription::wants_progress(MonotonicMs now) const {
  return moved_ && resolved() && !ended_ && now - cursor_sent_at_ >= progress_ms;
}

std::vector<Subscription::Place> Subscription::starts() const {
  std::vector<Place> places;
  for (const auto& part : parts_) places.push_back({{part.start_epoch, part.start}, part.log_start});
  return places;
}

}  // namespace troupe::consumer
