#include "http/rest/records_read.hpp"

#include <algorithm>

#include "http/rest/records_walk.hpp"

namespace troupe::http {
namespace {

using consumer::StartFrom;

constexpr std::size_t lanes_at_once = 8;
constexpr std::size_t fetch_bytes_min = std::size_t{16} << 10;
constexpr std::size_t fetch_bytes_max = std::size_t{1} << 20;

constexpr std::int64_t window_min = 32, window_max = 65'536;
constexpr int restarts_max = 3;

}  // namespace

RecordsRead::RecordsRead(BrokerApi& broker, std::shared_ptr<Executor> executor, ReadPlan plan, const Clock& clock)
    : broker_(broker),
      executor_(std::move(executor)),
      plan_(std::move(plan)),
      clock_(clock),
      newest_of_all_(!plan_.descending && plan_.from.kind == StartFrom::Kind::last),
      backwards_(plan_.descending || newest_of_all_),
      limit_(plan_.limit) {
  if (plan_.from.kind == StartFrom::Kind::last) {
    limit_ = std::min(limit_, static_cast<std::size_t>(std::max<std::int64_t>(plan_.from.last, 0)));
  }
  for (const auto partition : plan_.partitions) lanes_.push_back({.partition = partition});
  page_.cursor.topic_id = plan_.topic->id;
}

void RecordsRead::start(Done done) {
  done_ = std::move(done);
  wait_until_ = clock_.monotonic_now() + plan_.wait_ms;
  if (lanes_.empty()) return finish();
  pending_ = lanes_.size();
  for (std::size_t i = 0; i < lanes_.size() && done_; ++i) resolve(i);
}

void RecordsRead::hurry() {
  hurried_ = true;
  if (waiting_) finish();
}

// --- where it begins ----------------------------------------------------------------------------------------------------------------

void RecordsRead::resolve(std::size_t lane) {
  OffsetSpec spec{.kind = OffsetSpec::Kind::latest};
  const auto& from = plan_.from;
  if (from.kind == StartFrom::Kind::earliest) spec.kind = OffsetSpec::Kind::earliest;
  if (from.kind == StartFrom::Kind::time) spec = {OffsetSpec::Kind::timestamp, from.time};
  if (from.kind == StartFrom::Kind::ago) spec = {OffsetSpec::Kind::timestamp, plan_.now - from.ago_ms};
  broker_.find_offset(id_of(lanes_[lane]), spec, [self = shared_from_this(), lane](Result<OffsetAnswer> answer) {
    self->executor_->post(
        [self, lane, answer = std::move(answer)]() mutable { self->on_resolved(lane, std::move(answer)); });
  });
}

void RecordsRead::on_resolved(std::size_t lane, Result<OffsetAnswer> answer) {
  if (!done_) return;
  if (!answer) return fail(std::move(answer).error());
  if (auto placed = place(lanes_[lane], *answer); !placed) return fail(std::move(placed).error());
  step_done();
}

Status RecordsRead::place(Lane& lane, const OffsetAnswer& answer) {
  lane.start = answer.log_start_offset;
  lane.high_watermark = answer.high_watermark;
  lane.position = answer.offset;
  const auto outside = [&](Offset offset) {
    return Error{Errc::offset_out_of_range, "partition " + to_string(lane.partition) + ": offset " + to_string(offset) +
                                                " is outside earliest " + to_string(lane.start) + " to latest " +
                                                to_string(lane.high_watermark)};
  };
  if (plan_.from.kind == StartFrom::Kind::offsets) {
    const auto wanted = plan_.from.offsets.find(lane.partition);
    lane.position = wanted == plan_.from.offsets.end() ? (backwards_ ? lane.high_watermark : lane.start) : wanted->second;
    if (lane.position < lane.start || lane.position > lane.high_watermark) return outside(lane.position);
  }
  if (plan_.from.kind == StartFrom::Kind::cursor) {
    const auto known = plan_.from.cursor->positions.find(lane.partition);
    // A partition that was added after the cursor was made: all of it is new.
    lane.position = lane.start;
    if (known != plan_.from.cursor->positions.end()) {
      lane.position = known->second.next_offset;
      lane.epoch = known->second.leader_epoch;
    }
    if (lane.position > lane.high_watermark &&
        (answer.leader_epoch == no_leader_epoch || answer.leader_epoch < lane.epoch)) {
      return Error{Errc::offset_not_available,
                   "partition " + to_string(lane.partition) + ": this node knows what is committed up to " +
                       to_string(lane.high_watermark) + ", and the cursor is at " + to_string(lane.position) + ": retry"};
    }
    if (lane.position > lane.high_watermark) return outside(lane.position);
    if (lane.position < lane.start) {
      if (!backwards_) page_.gaps.push_back({lane.partition, lane.position, lane.start});
      lane.position = lane.start;
    }
  }
  if (lane.epoch == no_leader_epoch && lane.position > lane.start) lane.epoch = answer.leader_epoch;
  lane.at_end = backwards_ ? lane.position <= lane.start : lane.position >= lane.high_watermark;
  lane.window = std::clamp(static_cast<std::int64_t>(limit_), window_min, window_max);
  return ok();
}

/// One call of a round has been answered.
void RecordsRead::step_done() {
  if (--pending_ == 0) proceed();
}

void RecordsRead::proceed() {
  if (heads_.empty() && round_.empty()) {
    for (const auto& lane : lanes_) {
      heads_.push_back({lane.epoch, lane.position});
      // Where a page begins decides who goes first: later pages begin elsewhere.
      first_ += static_cast<std::size_t>(lane.position.value());
    }
    first_ %= lanes_.size();
    if (limit_ == 0) return finish();
  }
  if (backwards_) return read_windows();
  give_in_turn();
  read_round();
}

// --- forwards -----------------------------------------------------------------------------------------------------------------------

std::size_t RecordsRead::quota() const {
  const auto active = static_cast<std::size_t>(std::ranges::count(lanes_, false, &Lane::at_end));
  return std::max<std::size_t>(1, (limit_ - page_.records.size() + active - 1) / std::max<std::size_t>(active, 1));
}

void RecordsRead::read_round() {
  if (full() || scanned_ >= plan_.scanned_bytes_max) return finish();
  round_.clear();
  for (std::size_t i = 0; i < lanes_.size() && round_.size() < lanes_at_once; ++i) {
    const auto lane = (first_ + i) % lanes_.size();
    if (!lanes_[lane].at_end) round_.push_back(lane);
  }
  if (round_.empty()) return page_.records.empty() && !hurried_ ? wait() : finish();
  first_ = (round_.back() + 1) % lanes_.size();
  const auto share = plan_.key ? fetch_bytes_max : (plan_.bytes_max - bytes_) / round_.size();
  pending_ = round_.size();
  for (const auto lane : std::vector(round_)) {
    fetch(lane, {.partition = id_of(lanes_[lane]),
                 .from = lanes_[lane].position,
                 .bytes_max = std::clamp(share, fetch_bytes_min, fetch_bytes_max)});
  }
}

void RecordsRead::fetch(std::size_t lane, FetchRequest request) {
  lanes_[lane].call = 0;
  const auto call = broker_.fetch(std::move(request), [self = shared_from_this(), lane](Result<FetchResponse> answer) {
    self->executor_->post([self, lane, answer = std::move(answer)]() mutable { self->on_fetched(lane, std::move(answer)); });
  });
  lanes_[lane].call = call;
}

void RecordsRead::on_fetched(std::size_t lane, Result<FetchResponse> answer) {
  if (!done_) return;
  lanes_[lane].call = 0;
  if (waiting_) return on_waited(lane, std::move(answer));
  if (!answer && answer.error().code == Errc::offset_out_of_range && lanes_[lane].restarts++ < restarts_max) {
    // Retention was faster: begin again where the log begins now.
    broker_.find_offset(id_of(lanes_[lane]), {OffsetSpec::Kind::earliest},
                        [self = shared_from_this(), lane](Result<OffsetAnswer> found) {
                          self->executor_->post([self, lane, found = std::move(found)]() mutable {
                            if (!self->done_) return;
                            if (!found) return self->fail(std::move(found).error());
                            auto& one = self->lanes_[lane];
                            one.start = found->log_start_offset;
                            if (one.position < one.start && !self->backwards_) {
                              self->page_.gaps.push_back({one.partition, one.position, one.start});
                            }
                            one.position = std::max(one.position, one.start);
                            one.at_end = self->backwards_ && one.position <= one.start;
                            self->step_done();
                          });
                        });
    return;
  }
  if (!answer) return fail(std::move(answer).error());
  scanned_ += answer->batches.size();
  if (backwards_) return take_backwards(lane, *answer);
  take_forwards(lanes_[lane], *answer);
  if (done_) step_done();
}

void RecordsRead::take_forwards(Lane& lane, const FetchResponse& fetched) {
  const auto share = quota();
  std::size_t bytes = 0;
  lane.read_to = lane.position;
  lane.high_watermark = fetched.high_watermark;
  auto walked = walk(fetched, lane, [&](const record::RecordView& record, LeaderEpoch epoch) {
    if (lane.records.size() >= share || (!lane.records.empty() && bytes >= plan_.bytes_max)) return false;
    ReadRecord read{lane.partition, record.offset, record.timestamp, !record.value};
    append_record(read.json, lane.partition, record, plan_.format);
    bytes += read.json.size();
    lane.records.push_back(std::move(read));
    lane.epoch = epoch;
    return true;
  });
  if (!walked) return fail(std::move(walked).error());
  const bool nothing_new = fetched.batches.empty();
  if (nothing_new) lane.read_to = std::max(lane.read_to, fetched.next_offset);
  if (nothing_new && lane.read_to == lane.position) lane.at_end = true;
}

/// One record of each partition, again and again: what does not fit stays in the log.
void RecordsRead::give_in_turn() {
  bool gave = true;
  while (gave && !full()) {
    gave = false;
    for (const auto number : round_) {
      auto& lane = lanes_[number];
      if (lane.records.empty() || full()) continue;
      if (!give(lane, std::move(lane.records.front()))) break;
      lane.position = lane.records.front().offset + 1;
      lane.records.pop_front();
      gave = true;
    }
  }
  for (const auto number : round_) {
    auto& lane = lanes_[number];
    if (lane.records.empty()) lane.position = std::max(lane.position, lane.read_to);
    lane.records.clear();
    lane.at_end = lane.at_end || lane.position >= lane.high_watermark;
  }
}

/// False when the page is full without it.
bool RecordsRead::give(Lane&, ReadRecord record) {
  if (!page_.records.empty() && bytes_ + record.json.size() > plan_.bytes_max) {
    bytes_ = std::max(bytes_, plan_.bytes_max);  // full
    return false;
  }
  bytes_ += record.json.size() + 1;
  page_.records.push_back(std::move(record));
  return true;
}

// --- waiting ------------------------------------------------------------------------------------------------------------------------

void RecordsRead::wait() {
  const auto left = wait_until_ - clock_.monotonic_now();
  if (left <= 0) return finish();
  waiting_ = true;
  pending_ = lanes_.size();
  for (std::size_t i = 0; i < lanes_.size() && done_; ++i) {
    fetch(i, {.partition = id_of(lanes_[i]), .from = lanes_[i].position, .bytes_max = fetch_bytes_max, .wait_ms_max = left});
  }
}

void RecordsRead::on_waited(std::size_t lane, Result<FetchResponse> answer) {
  auto& one = lanes_[lane];
  if (!answer) {
    if (answer.error().code != Errc::cancelled && answer.error().code != Errc::request_timed_out) {
      return fail(std::move(answer).error());
    }
  } else if (!answer->batches.empty()) {
    round_ = {lane};
    one.at_end = false;
    take_forwards(one, *answer);
    if (!done_) return;
    give_in_turn();
    const auto left = wait_until_ - clock_.monotonic_now();
    if (!page_.records.empty() || left <= 0) return finish();
    // Nothing for us among them: wait for the next.
    return fetch(lane, {.partition = id_of(one), .from = one.position, .bytes_max = fetch_bytes_max, .wait_ms_max = left});
  }
  if (--pending_ == 0) finish();
}

// --- the end ------------------------------------------------------------------------------------------------------------------------

void RecordsRead::cancel_all() {
  for (auto& lane : lanes_) {
    if (const auto call = std::exchange(lane.call, 0)) broker_.cancel(call);
  }
}

void RecordsRead::fail(Error error) {
  const auto done = std::exchange(done_, nullptr);
  if (!done) return;
  cancel_all();
  done(std::move(error));
}

void RecordsRead::finish() {
  const auto done = std::exchange(done_, nullptr);
  if (!done) return;
  cancel_all();
  if (newest_of_all_) std::ranges::reverse(page_.records);
  page_.end = newest_of_all_ || std::ranges::all_of(lanes_, &Lane::at_end);
  for (std::size_t i = 0; i < lanes_.size(); ++i) {
    const auto position = newest_of_all_ ? heads_[i] : consumer::CursorPosition{lanes_[i].epoch, lanes_[i].position};
    page_.cursor.positions[lanes_[i].partition] = position;
  }
  done(std::move(page_));
}

}  // namespace troupe::http
