#include "storage/log_cleaning.hpp"

#include <algorithm>
#include <limits>

#include "storage/log_recovery.hpp"

namespace troupe::storage {
namespace {

constexpr std::size_t write_bytes = std::size_t{1} << 20;
/// Positions are 32 bits, and a tombstone's batch grows by some bytes a record when it gets its horizon.
constexpr std::uint64_t segment_bytes_ceiling = std::uint64_t{3} << 30;
/// Offsets of one segment: what recovery looks for behind a damaged place lies that near.
constexpr std::int64_t segment_offsets_max = std::int64_t{1} << 30;

LogView view_of(const CleaningPlan& plan) {
  const auto first = plan.segments.front().segment->base_offset();
  return {std::make_shared<const LogView::Parts>(plan.segments), {}, first, plan.segments.back().next_offset, std::nullopt};
}

Error nothing_at(Offset offset) {
  return {Errc::corrupt_message, "no batch at offset " + to_string(offset) + " of a log that is to be compacted"};
}

}  // namespace

std::string swap_file_name(const OffsetRange& range) {
  return segment_file_name(range.base, "-") + segment_file_name(range.next, swap_extension);
}

std::optional<OffsetRange> parse_swap_file_name(std::string_view name) {
  const auto dash = name.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto base = parse_segment_file_name(name.substr(0, dash + 1), "-");
  const auto next = parse_segment_file_name(name.substr(dash + 1), swap_extension);
  if (!base || !next || *next <= *base) return std::nullopt;
  return OffsetRange{*base, *next};
}

/// The `.cleaned` file of one group. Removes it unless it was handed over.
class LogCleaning::Output {
 public:
  Output(const CleaningPlan& plan, Offset base_offset)
      : files_(plan.files),
        path_(plan.directory + "/" + segment_file_name(base_offset, cleaned_extension)),
        index_(base_offset, plan.config.index_interval_bytes) {}

  ~Output() {
    if (!file_ || handed_over_) return;
    file_.reset();
    (void)files_->file_system().remove(path_);  // or the next start does
  }

  /// Takes what is to stay of the log, batch by batch.
  Status add(ByteView batch) {
    TROUPE_TRY(end_gap());
    return write(batch);
  }

  /// Stands for a batch that is gone. In a row, and of one epoch, they become one.
  Status add_gap(const record::RecordBatchHeader& gone) {
    const bool one_more =
        gap_ && gap_->epoch == gone.leader_epoch && gone.last_offset() - gap_->base < record::gap_offsets_max;
    if (!one_more) {
      TROUPE_TRY(end_gap());
      // A gap of earlier compactions stays as it is when nothing joins it, however long.
      gap_ = Gap{gone.base_offset, gone.last_offset(), gone.leader_epoch, gone.max_timestamp};
      return ok();
    }
    gap_->last = gone.last_offset();
    gap_->max_timestamp = std::max(gap_->max_timestamp, gone.max_timestamp);
    return ok();
  }

  /// Everything is on the disk, under a name that nobody knows.
  Status finish() {
    TROUPE_TRY(end_gap());
    TROUPE_TRY(flush());
    return file_->sync();
  }

  std::uint64_t size() const { return index_.end_position(); }
  const std::string& path() const { return path_; }
  SegmentIndex& index() { return index_; }
  void hand_over() {
    file_.reset();
    handed_over_ = true;
  }

 private:
  struct Gap {
    Offset base;
    Offset last;
    LeaderEpoch epoch;
    TimestampMs max_timestamp;
  };

  Status end_gap() {
    if (!gap_) return ok();
    const auto gap = *std::exchange(gap_, std::nullopt);
    return write(record::build_gap(gap.base, gap.last, gap.epoch, gap.max_timestamp));
  }

  Status write(ByteView batch) {
    TROUPE_TRY_ASSIGN(const auto header, record::parse_batch_header(batch));
    if (index_.end_position() + std::uint64_t{batch.size()} > segment_bytes_ceiling) {
      return Error{Errc::message_too_large, path_ + " would grow beyond what a segment may be"};
    }
    index_.note(header, index_.end_position());
    append_bytes(buffer_, batch);
    return buffer_.size() < write_bytes ? ok() : flush();
  }

  Status flush() {
    if (!file_) {
      TROUPE_TRY_ASSIGN(file_, files_->file_system().open(path_, OpenMode::create));
      TROUPE_TRY(file_->truncate(0));
    }
    if (buffer_.empty()) return ok();
    TROUPE_TRY(file_->write_at(written_, buffer_));
    written_ += buffer_.size();
    buffer_.clear();
    file_->start_writeback();  // the sync at the end is not to come all at once
    return ok();
  }

  const std::shared_ptr<OpenFiles> files_;
  const std::string path_;
  SegmentIndex index_;
  std::unique_ptr<File> file_;
  ByteBuffer buffer_;
  std::uint64_t written_ = 0;
  std::optional<Gap> gap_;
  bool handed_over_ = false;
};

LogCleaning::LogCleaning(CleaningPlan plan, Options options)
    : plan_(std::move(plan)),
      options_(std::move(options)),
      view_(view_of(plan_)),
      rules_{.needed = [this](const record::RecordView& record) { return needed(record); },
             .now = options_.now,
             .delete_retention_ms = plan_.config.delete_retention_ms},
      keys_(options_.map_bytes_max) {}

LogCleaning::~LogCleaning() = default;

Result<LogCleaning::Step> LogCleaning::step(std::size_t bytes_max) {
  if (phase_ == Phase::begin) TROUPE_TRY(begin());
  if (phase_ == Phase::index) return index(bytes_max);
  if (phase_ == Phase::rewrite) return rewrite(bytes_max);
  return Step{.done = true};
}

/// Producers are known by the last batches that they have in the log. Where this log may be cut one day is above the plan's end, so
/// what counts is who is known there (P4).
Status LogCleaning::begin() {
  std::vector<RecoveredSegment> segments;
  for (const auto& part : plan_.segments) {
    segments.push_back({std::const_pointer_cast<Segment>(part.segment), part.next_offset, part.end_position,
                        part.max_timestamp, no_timestamp});
  }
  TROUPE_TRY_ASSIGN(const auto state, rebuild_state(*plan_.files, plan_.directory, segments, view_.log_start_offset(),
                                                    view_.log_end_offset()));
  for (const auto id : state.producers.ids()) {
    const auto* producer = state.producers.find(id);
    for (std::size_t i = 0; i < producer->batches_count; ++i)
      known_to_producers_.push_back(producer->batches[i].base_offset);
  }
  std::sort(known_to_producers_.begin(), known_to_producers_.end());
  phase_ = Phase::index;
  position_ = std::max(plan_.first_dirty, view_.log_start_offset());
  end_ = view_.log_end_offset();
  return ok();
}

Result<LogCleaning::Step> LogCleaning::index(std::size_t bytes_max) {
  Step step;
  const auto from = position_;
  TROUPE_TRY_ASSIGN(const auto slice, view_.read(from, bytes_max, Offset::max(), hint_));
  if (slice.batches.empty()) return nothing_at(from);
  step.bytes = slice.batches.size();
  totals_.bytes_read += step.bytes;
  for (auto bytes = slice.batches.view(); !bytes.empty() && phase_ == Phase::index;) {
    TROUPE_TRY_ASSIGN(const auto batch, record::parse_batch(bytes));
    bytes = bytes.subspan(batch.bytes.size());
    TROUPE_TRY(note_keys(batch));
  }
  position_ = slice.next_offset;
  hint_ = slice.position;
  if (phase_ == Phase::index && position_ < end_) return step;
  phase_ = Phase::rewrite;
  position_ = view_.log_start_offset();
  hint_ = {};
  begin_group();
  return step;
}

Status LogCleaning::note_keys(const record::RecordBatchView& batch) {
  const auto& header = batch.header;
  // Of a transaction nobody knows here whether it was aborted: its records take the place of none.
  if (header.is_control() || header.is_transactional()) return ok();
  TROUPE_TRY_ASSIGN(const auto block, record::open_stored_records(batch));
  record::RecordReader reader(header, block.bytes);
  bool full = false;
  while (const auto record = reader.next()) {
    if (record->key && !full) full = !keys_.put(*record->key, record->offset);
  }
  TROUPE_TRY(reader.finish());
  if (!full) return ok();
  // Those of its keys that found room are known by a record that stays. But a batch that fills the map alone has to be passed.
  const bool first = header.base_offset <= std::max(plan_.first_dirty, view_.log_start_offset());
  end_ = first ? header.next_offset() : header.base_offset;
  phase_ = Phase::rewrite;
  return ok();
}

bool LogCleaning::needed(const record::RecordView& record) const {
  if (!record.key) return true;  // of a time before the topic was compacted: nothing takes its place
  const auto latest = keys_.find(*record.key);
  if (!latest || record.offset >= *latest) return true;
  return options_.keep && options_.keep(record);
}

void LogCleaning::begin_group() {
  group_begin_ = group_end_;
  std::uint64_t bytes = 0;
  const auto base = plan_.segments[group_begin_].segment->base_offset();
  do {
    bytes += plan_.segments[group_end_++].end_position;
  } while (!last_group() && bytes + plan_.segments[group_end_].end_position <= plan_.config.segment_bytes_max &&
           plan_.segments[group_end_].next_offset - base <= segment_offsets_max);
  output_ = std::make_unique<Output>(plan_, base);
}

Result<LogCleaning::Step> LogCleaning::rewrite(std::size_t bytes_max) {
  Step step;
  const auto written_before = output_->size();
  TROUPE_TRY_ASSIGN(const auto slice, view_.read(position_, bytes_max, group_limit(), hint_));
  if (slice.batches.empty()) return nothing_at(position_);
  totals_.bytes_read += slice.batches.size();
  for (auto bytes = slice.batches.view(); !bytes.empty();) {
    TROUPE_TRY_ASSIGN(const auto batch, record::parse_batch(bytes));
    bytes = bytes.subspan(batch.bytes.size());
    TROUPE_TRY(rewrite_batch(batch));
  }
  position_ = slice.next_offset;
  hint_ = slice.position;
  const auto written = output_->size() - written_before;
  step.bytes = slice.batches.size() + written;
  totals_.bytes_written += written;
  if (position_ < group_limit()) return step;
  const bool last = last_group();
  TROUPE_TRY_ASSIGN(step.swap, end_group());
  if (!last) {
    begin_group();
    return step;
  }
  phase_ = Phase::done;
  return step;
}

Status LogCleaning::rewrite_batch(const record::RecordBatchView& batch) {
  const auto& header = batch.header;
  totals_.records_before += static_cast<std::uint64_t>(header.records_count);
  const auto keep_all = [&] {
    totals_.records_after += static_cast<std::uint64_t>(header.records_count);
    return output_->add(batch.bytes);
  };
  if (header.base_offset >= end_) return keep_all();  // the map does not know what comes behind
  TROUPE_TRY_ASSIGN(const auto compacted, record::compact_batch(batch, rules_));
  switch (compacted.kind) {
    case record::CompactedBatch::Kind::same: return keep_all();
    case record::CompactedBatch::Kind::rewritten: {
      TROUPE_TRY_ASSIGN(const auto left, record::parse_batch_header(compacted.bytes));
      totals_.records_after += static_cast<std::uint64_t>(left.records_count);
      rewritten_ = true;
      return output_->add(compacted.bytes);
    }
    case record::CompactedBatch::Kind::emptied: break;
  }
  const bool known = header.has_producer() &&
                     std::binary_search(known_to_producers_.begin(), known_to_producers_.end(), header.base_offset);
  if (known || header.last_offset_delta >= record::gap_offsets_max) return output_->add(record::empty_batch(batch));
  return output_->add_gap(header);
}

Result<std::optional<CleanedSegment>> LogCleaning::end_group() {
  const auto output = std::exchange(output_, nullptr);
  const std::vector<LogView::Part> replaced(plan_.segments.begin() + static_cast<std::ptrdiff_t>(group_begin_),
                                            plan_.segments.begin() + static_cast<std::ptrdiff_t>(group_end_));
  std::optional<CleanedSegment> cleaned;
  TROUPE_TRY(output->finish());
  TROUPE_ASSERT(output->index().next_offset() == replaced.back().next_offset);
  const bool changed = std::exchange(rewritten_, false) || output->size() != replaced.front().end_position;
  cleaned.emplace();
  if (last_group()) cleaned->clean_below = end_;
  if (replaced.size() > 1 || changed) {
    cleaned->path = output->path();
    cleaned->replaces = replaced;
    cleaned->plan_end = plan_.segments.back().next_offset;
    auto segment = std::make_shared<Segment>(plan_.files, plan_.directory, replaced.front().segment->base_offset(),
                                             plan_.config.index_interval_bytes);
    cleaned->part = {segment, output->index().next_offset(), output->index().end_position(), segment->generation(),
                     output->index().max_timestamp()};
    segment->set_index(std::move(output->index()));
    output->hand_over();
  } else if (!cleaned->clean_below) {
    cleaned.reset();  // nothing has changed
  }
  return cleaned;
}

}  // namespace troupe::storage
