#include "core/processing/processing_task.hpp"

#include <algorithm>

#include "base/assert.hpp"

namespace troupe::processing {
namespace {

/// An earlier run has written something under this key, or it is so old that nobody knows any more: it is done.
bool written_before(Errc code) { return code == Errc::conflict || code == Errc::out_of_order_sequence_number; }

/// Sending it again would not help: it is the record's fault.
bool hopeless(Errc code) {
  switch (code) {
    case Errc::message_too_large:
    case Errc::invalid_record:
    case Errc::invalid_timestamp:
    case Errc::invalid_argument:
    case Errc::topic_authorization_failed: return true;
    default: return false;
  }
}

std::size_t bytes_of(const OutputRecord& record) {
  std::size_t bytes = (record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0);
  for (const auto& header : record.headers) bytes += header.name.size() + (header.value ? header.value->size() : 0);
  return bytes;
}

}  // namespace

void ProcessingTask::start(std::optional<Offset> position) {
  given_ = position;
  if (position && !options_.rebuild) {
    started_ = true;
    committed_ = next_ = live_from_ = *position;
  } else {
    range_wanted_ = true;
  }
}

void ProcessingTask::on_offsets(const Result<LogRange>& range, MonotonicMs now) {
  range_asked_ = false;
  if (!range) return pause(read_pause_, now);
  const auto [log_start, end, end_is_known] = *range;
  // A replica that follows says so, which may not have heard of all that there is: it is no reason to go back.
  if (started_ && next_ > end && !end_is_known) return pause(read_pause_, now);
  range_wanted_ = false;
  if (!started_) {
    read_pause_ = {};
    started_ = true;
    const bool from_end = options_.start == StartAt::latest && !options_.rebuild;
    next_ = from_end && !given_ ? end : log_start;
    live_from_ = given_ ? *given_ : options_.start == StartAt::latest ? end : log_start;
    if (given_) committed_ = *given_;
    return;
  }
  // The log does not hold what was to be read.
  const auto was = next_;
  next_ = std::clamp(next_, log_start, end);
  if (next_ == was) return pause(read_pause_, now);
  notes_.push_back("the log holds offsets " + to_string(log_start) + " to " + to_string(end) + ": reading goes on at " +
                   to_string(next_) + " instead of " + to_string(was));
  if (next_ < was) {  // the position goes back with the log
    committed_ = std::min(committed_, next_ - 1);
    uncommitted_.clear();
  }
  live_from_ = std::min(live_from_, std::max(next_, end));
}

void ProcessingTask::on_fetched(Result<Fetched> fetched, MonotonicMs now) {
  fetching_ = false;
  if (!fetched) {
    if (fetched.error().code == Errc::offset_out_of_range) {
      range_wanted_ = true;
    } else {
      pause(read_pause_, now);
    }
    return;
  }
  read_pause_ = {};
  fetched_ = FetchedRecords{options_.topic, options_.partition, std::move(fetched->batches), next_,
                            std::max(next_, fetched->next_offset)};
}

const InputRecord* ProcessingTask::next_record() {
  if (failure_ || !started_ || round_closed_ || round_records_ >= options_.in_flight_max) return nullptr;
  // Where a new task begins is written down first: a crash must not let it begin elsewhere and lose what lies between.
  if (committed_ == no_offset && next_ >= live_from_) return nullptr;
  if (uncommitted_.size() >= options_.uncommitted_max) return nullptr;
  while (true) {
    const auto front = fetched_.front();
    if (!front) {
      fail(std::nullopt, front.error());
      return nullptr;
    }
    if (*front == nullptr) {
      next_ = std::max(next_, fetched_.end());
      return nullptr;
    }
    auto& record = **front;
    if (!ledger_.skips(record.offset)) return &record;
    ++counts_.skipped;
    fetched_.pop();
    next_ = record.offset + 1;
  }
}

Status ProcessingTask::check(const std::vector<OutputRecord>& outputs) const {
  if (outputs.size() > options_.outputs_max) {
    return Error{Errc::message_too_large, "one record gave " + std::to_string(outputs.size()) + " outputs, at most " +
                                              std::to_string(options_.outputs_max) + " are allowed"};
  }
  std::size_t bytes = 0;
  for (const auto& output : outputs) {
    bytes += bytes_of(output);
    if (std::ranges::find(options_.outputs, output.topic) == options_.outputs.end()) {
      return Error{Errc::invalid_argument, "\"" + output.topic + "\" is not among the processor's outputs"};
    }
  }
  if (bytes > options_.output_bytes_max) {
    return Error{Errc::message_too_large, "one record gave outputs of " + std::to_string(bytes) + " bytes, at most " +
                                              std::to_string(options_.output_bytes_max) + " are allowed"};
  }
  return ok();
}

void ProcessingTask::on_processed(std::vector<OutputRecord> outputs) {
  const auto front = fetched_.front();
  TROUPE_ASSERT(front && *front != nullptr);
  const auto offset = (*front)->offset;
  const auto timestamp = (*front)->timestamp;
  if (auto checked = check(outputs); !checked) return fail(offset, std::move(checked).error());
  fetched_.pop();
  next_ = offset + 1;
  ++counts_.processed;
  if (outputs.empty() || offset < live_from_) return;

  ++round_records_;
  uncommitted_.push_back(offset);
  // One request a topic, topics in the order in which they first come.
  std::vector<std::pair<std::string, std::vector<OutputRecord>>> by_topic;
  for (auto& output : outputs) {
    if (output.timestamp == no_timestamp) output.timestamp = timestamp;
    auto place = std::ranges::find(by_topic, output.topic, [](const auto& one) { return one.first; });
    if (place == by_topic.end()) place = by_topic.insert(by_topic.end(), {output.topic, {}});
    place->second.push_back(std::move(output));
  }
  for (auto& [topic, records] : by_topic) {
    open_.emplace(next_token_++,
                  OpenRequest{.input_offset = offset,
                              .topic = topic,
                              .records = std::make_shared<const std::vector<OutputRecord>>(std::move(records)),
                              .pause = {}});
  }
}

void ProcessingTask::on_produced(std::uint64_t token, const std::vector<Error>& errors, MonotonicMs now) {
  const auto found = open_.find(token);
  if (found == open_.end()) return;
  auto& request = found->second;
  for (const auto& error : errors) {
    if (hopeless(error.code)) return fail(request.input_offset, error.with_context("output to \"" + request.topic + "\""));
  }
  const bool again = std::ranges::any_of(errors, [](const Error& error) { return !written_before(error.code); });
  if (again) {
    request.to_send = true;
    return pause(request.pause, now);
  }
  if (!errors.empty()) ++counts_.already_written;
  counts_.sent += request.records->size() - std::min(errors.size(), request.records->size());
  open_.erase(found);
  if (open_.empty()) {
    round_closed_ = false;
    round_records_ = 0;
  }
}

/// Everything below has been processed, and what it gave is acknowledged.
Offset ProcessingTask::committable() const {
  return open_.empty() ? next_ : std::min(next_, open_.begin()->second.input_offset);
}

bool ProcessingTask::commit_due(MonotonicMs now) const {
  if (!started_ || failure_ || committing_ || committable() <= committed_ || committable() < live_from_) return false;
  if (commit_pause_.until && *commit_pause_.until > now) return false;
  return committed_ == no_offset || uncommitted_.size() * 2 >= options_.uncommitted_max ||
         (commit_at_ && *commit_at_ <= now);
}

void ProcessingTask::on_committed(Offset position, const Status& status, MonotonicMs now) {
  if (committing_ != position) return;
  committing_.reset();
  if (!status) return pause(commit_pause_, now);
  commit_pause_ = {};
  commit_at_.reset();
  committed_ = position;
  while (!uncommitted_.empty() && uncommitted_.front() < committed_) uncommitted_.pop_front();
}

ProcessingTask::Effects ProcessingTask::take_effects(MonotonicMs now) {
  Effects effects;
  effects.notes = std::exchange(notes_, {});
  if (failure_) return effects;
  const auto over = [now](const Pause& pause) { return !pause.until || *pause.until <= now; };

  for (auto& [token, request] : open_) {
    if (!request.to_send || !over(request.pause)) continue;
    request.to_send = false;
    effects.sends.push_back({token, request.topic, request.input_offset, request.records});
  }
  round_closed_ = !open_.empty();

  if (range_wanted_ && !range_asked_ && over(read_pause_)) {
    effects.find_offsets = range_asked_ = true;
  }
  if (started_ && !range_wanted_ && !fetching_ && next_ >= fetched_.end() && over(read_pause_)) {
    const auto front = fetched_.front();
    if (front && *front == nullptr) {
      fetched_ = {};
      fetching_ = true;
      effects.fetch = Fetch{next_};
    }
  }

  if (started_ && !committing_ && committable() > committed_ && !commit_at_) commit_at_ = now + options_.commit_interval_ms;
  if (commit_due(now)) {
    committing_ = committable();
    effects.commit = committing_;
  }
  return effects;
}

std::optional<MonotonicMs> ProcessingTask::next_deadline() const {
  if (failure_) return std::nullopt;
  std::optional<MonotonicMs> first;
  const auto consider = [&first](const std::optional<MonotonicMs>& at) {
    if (at && (!first || *at < *first)) first = at;
  };
  const bool reads = !fetching_ && !range_asked_;
  if (reads) consider(read_pause_.until);
  for (const auto& [token, request] : open_) {
    if (request.to_send) consider(request.pause.until);
  }
  if (!committing_ && committable() > committed_ && committable() >= live_from_) {
    consider(commit_pause_.until ? commit_pause_.until : commit_at_);
  }
  return first;
}

void ProcessingTask::fail(std::optional<Offset> offset, Error error) {
  if (!failure_) failure_ = Failure{offset, std::move(error)};
}

void ProcessingTask::pause(Pause& pause, MonotonicMs now) const {
  pause.last_ms = std::clamp(pause.last_ms * 2, options_.retry_ms_min, options_.retry_ms_max);
  pause.until = now + pause.last_ms;
}

}  // namespace troupe::processing
