#include "storage/partition_log.hpp"

#include <algorithm>
#include <cstring>

#include "base/byte_codec.hpp"
#include "base/log.hpp"
#include "storage/paths.hpp"
#include "storage/segment_scan.hpp"

namespace troupe::storage {
namespace {

/// Base offset, length and leader epoch: the part of a batch that is written anew for its place in the log.
constexpr std::size_t stamp_bytes = 16;

/// Positions in a segment are 32 bits; an append never comes near that, or the caller made one of gigabytes.
constexpr std::uint64_t segment_bytes_ceiling = std::uint64_t{3} << 30;

void write_stamp(std::byte* to, const PlacedBatch& batch) {
  store_big_endian(to, batch.base_offset.value());
  std::memcpy(to + 8, batch.batch.data() + 8, 4);
  store_big_endian(to + 12, batch.leader_epoch.value());
}

}  // namespace

Result<std::unique_ptr<PartitionLog>> PartitionLog::open(std::shared_ptr<OpenFiles> files, LogLocation location,
                                                         LogConfig config, const LogExpectation& expectation) {
  auto log = std::unique_ptr<PartitionLog>(new PartitionLog(std::move(files), std::move(location), config));
  TROUPE_TRY_ASSIGN(auto recovered, recover_log(log->files_, log->location_, config, expectation));
  log->adopt(std::move(recovered), expectation);
  return log;
}

void PartitionLog::adopt(RecoveredLog recovered, const LogExpectation& expectation) {
  log_start_offset_ = recovered.log_start_offset;
  log_end_offset_ = recovered.log_end_offset;
  recovery_point_ = std::min(expectation.recovery_point, log_end_offset_);
  state_ = std::move(recovered.state);
  health_ = std::move(recovered.health);
  directory_dirty_ = recovered.directory_changed;
  if (recovered.segments.empty()) return;
  auto closed = std::make_shared<LogView::Parts>();
  for (std::size_t i = 0; i + 1 < recovered.segments.size(); ++i) {
    auto& segment = recovered.segments[i];
    closed->push_back({segment.segment, segment.next_offset, segment.end_position, 0, segment.max_timestamp});
  }
  closed_ = std::move(closed);
  auto& last = recovered.segments.back();
  active_ = std::move(last.segment);
  end_position_ = last.end_position;
  max_timestamp_ = last.max_timestamp;
  first_timestamp_ = last.first_timestamp;
  // Bytes above the recovery point may be in the page cache only: whoever syncs next has to sync them, too.
  if (recovery_point_ < log_end_offset_) {
    directory_dirty_ = true;
    for (const auto& part : *closed_) {
      if (part.next_offset <= recovery_point_) continue;
      if (auto file = part.segment->file()) mark_dirty(*file);
    }
    if (auto file = active_->file()) mark_dirty(*file);
  }
}

Status PartitionLog::writable() const {
  if (health_.can_append()) return ok();
  return Error{Errc::log_offline,
               location_.directory + " is " + std::string(to_string(health_.kind)) + ": " + health_.reason};
}

Status PartitionLog::check(std::span<const PlacedBatch> batches, std::vector<record::RecordBatchHeader>& headers) const {
  auto expected = log_end_offset_;
  auto epoch = state_.epochs.latest_epoch().value_or(no_leader_epoch);
  for (const auto& placed : batches) {
    TROUPE_TRY_ASSIGN(auto batch, record::parse_batch(placed.batch));
    if (batch.bytes.size() != placed.batch.size() || batch.bytes.size() > stored_batch_bytes_max) {
      return Error{Errc::corrupt_message, "batch of " + std::to_string(placed.batch.size()) + " bytes says it has " +
                                              std::to_string(batch.bytes.size())};
    }
    if (placed.base_offset != expected || placed.leader_epoch < epoch) {
      return Error{Errc::invalid_argument, "batch at offset " + to_string(placed.base_offset) + " of epoch " +
                                               to_string(placed.leader_epoch) + ", but " + location_.directory +
                                               " ends at " + to_string(expected) + " of epoch " + to_string(epoch)};
    }
    batch.header.base_offset = placed.base_offset;
    batch.header.leader_epoch = placed.leader_epoch;
    expected = batch.header.next_offset();
    epoch = placed.leader_epoch;
    headers.push_back(batch.header);
  }
  return ok();
}

Status PartitionLog::append(std::span<const PlacedBatch> batches) {
  if (batches.empty()) return ok();
  TROUPE_TRY(writable());
  std::vector<record::RecordBatchHeader> headers;
  headers.reserve(batches.size());
  TROUPE_TRY(check(batches, headers));
  std::size_t bytes = 0;
  for (const auto& placed : batches) bytes += placed.batch.size();
  if (must_roll(headers.front(), bytes)) TROUPE_TRY(roll());
  if (!active_) TROUPE_TRY(start_segment(log_end_offset_));
  if (!active_file_) {
    auto file = active_->file();
    if (!file) return offline(file.error());
    active_file_ = std::move(*file);
  }
  TROUPE_TRY(write_at_end(batches));
  mark_dirty(active_file_);
  for (const auto& header : headers) {
    active_->note(header, end_position_);
    if (end_position_ == 0) first_timestamp_ = header.max_timestamp;
    end_position_ += static_cast<std::uint32_t>(header.size_bytes());
    max_timestamp_ = std::max(max_timestamp_, header.max_timestamp);
    log_end_offset_ = header.next_offset();
    state_.apply(header);
  }
  // Only recovery appends below the log start.
  if (headers.front().base_offset < log_start_offset_) state_.epochs.truncate_to_start(log_start_offset_);
  return ok();
}

Status PartitionLog::write_at_end(std::span<const PlacedBatch> batches) {
  ByteBuffer stamps(batches.size() * stamp_bytes);
  std::vector<ByteView> parts;
  parts.reserve(batches.size() * 2);
  for (std::size_t i = 0; i < batches.size(); ++i) {
    auto* stamp = stamps.data() + i * stamp_bytes;
    write_stamp(stamp, batches[i]);
    parts.emplace_back(stamp, stamp_bytes);
    parts.push_back(batches[i].batch.view().subspan(stamp_bytes));
  }
  auto written = active_file_->write_at(end_position_, parts);
  if (written) return written;
  // Half a batch must not stay behind the end: without it, a full disk is a refusal and no more (S7).
  if (written.error().code != Errc::storage_full) return offline(written.error());
  if (auto cut = active_file_->truncate(end_position_); !cut) return offline(cut.error());
  return written;
}

bool PartitionLog::must_roll(const record::RecordBatchHeader& next, std::size_t bytes) const {
  if (!active_ || end_position_ == 0) return false;
  TROUPE_ASSERT(bytes < segment_bytes_ceiling - config_.segment_bytes_max);
  if (end_position_ + std::uint64_t{bytes} > config_.segment_bytes_max) return true;
  return first_timestamp_ >= TimestampMs{0} && next.max_timestamp - first_timestamp_ > config_.segment_age_ms_max;
}

Status PartitionLog::start_segment(Offset base_offset) {
  if (!active_) {
    TROUPE_TRY_ASSIGN(const bool there, file_system().exists(location_.directory));
    if (!there) {
      TROUPE_TRY(file_system().create_directories(location_.directory));
      parents_dirty_ = true;  // durable with the first sync; the commit log holds what is promised before it
    }
  }
  auto segment = std::make_shared<Segment>(files_, location_.directory, base_offset, config_.index_interval_bytes);
  TROUPE_TRY_ASSIGN(auto file, files_->get(segment->path(), OpenMode::create));
  TROUPE_TRY_ASSIGN(const auto size, file->size());
  if (size != 0) TROUPE_TRY(file->truncate(0));
  segment->set_index(SegmentIndex{base_offset, config_.index_interval_bytes});
  active_ = std::move(segment);
  active_file_ = std::move(file);
  end_position_ = 0;
  max_timestamp_ = no_timestamp;
  first_timestamp_ = no_timestamp;
  directory_dirty_ = true;
  return ok();
}

Status PartitionLog::roll() {
  TROUPE_TRY(writable());
  if (!active_ || end_position_ == 0) return ok();
  const auto report = [](const Status& saved) {
    if (!saved) log::warn("derived file not saved; it will be rebuilt", {log::kv("error", saved.error())});
  };
  report(active_->save_index());
  report(save_log_state(file_system(), location_.directory, log_end_offset_, state_));
  const auto closed_segment = active_;
  const LogView::Part closing{active_, log_end_offset_, end_position_, active_->generation(), max_timestamp_};
  TROUPE_TRY(start_segment(log_end_offset_));
  auto closed = std::make_shared<LogView::Parts>(*closed_);
  closed->push_back(closing);
  closed_ = std::move(closed);
  closed_segment->close_index();
  return ok();
}

Error PartitionLog::offline(const Error& error) {
  fail(error.message);
  return {Errc::storage_error, error.message};
}

void PartitionLog::fail(std::string reason) {
  if (health_.kind == LogHealth::Kind::offline) return;
  log::error("log offline", {log::kv("path", location_.directory), log::kv("reason", reason)});
  health_ = {LogHealth::Kind::offline, recovery_point_, std::move(reason)};
}

void PartitionLog::mark_dirty(const std::shared_ptr<File>& file) {
  if (dirty_.empty() || dirty_.back() != file) dirty_.push_back(file);
}

void PartitionLog::start_writeback() {
  for (const auto& file : dirty_) file->start_writeback();
}

Status PartitionLog::sync() {
  TROUPE_TRY(writable());
  if (barrier_needed_) {
    if (auto synced = files_->sync_file_system(); !synced) return offline(synced.error());
    settled();
    return ok();
  }
  for (const auto& file : dirty_) {
    if (auto synced = file->sync(); !synced) return offline(synced.error());
  }
  if (directory_dirty_) {
    if (auto synced = file_system().sync_directory(location_.directory); !synced) return offline(synced.error());
  }
  if (parents_dirty_) {
    const auto topic = parent_path(location_.directory);
    for (const auto& parent : {topic, parent_path(topic)}) {
      if (auto synced = file_system().sync_directory(parent); !synced) return offline(synced.error());
    }
  }
  settled();
  return ok();
}

void PartitionLog::settled() {
  dirty_.clear();
  directory_dirty_ = false;
  parents_dirty_ = false;
  barrier_needed_ = false;
  recovery_point_ = log_end_offset_;
  active_file_.reset();  // reopened when it is written to again: a quiet partition needs no descriptor
}

void PartitionLog::release_files() {
  if (dirty_.empty()) return;
  dirty_.clear();
  active_file_.reset();
  barrier_needed_ = true;
}

std::vector<RecoveredSegment> PartitionLog::recovered_segments() const {
  std::vector<RecoveredSegment> segments;
  for (const auto& part : *closed_) {
    segments.push_back({std::const_pointer_cast<Segment>(part.segment), part.next_offset, part.end_position,
                        part.max_timestamp, no_timestamp});
  }
  if (active_) segments.push_back({active_, log_end_offset_, end_position_, max_timestamp_, first_timestamp_});
  return segments;
}

Status PartitionLog::truncate_to(Offset offset) {
  TROUPE_TRY(writable());
  if (offset >= log_end_offset_) return ok();
  if (offset < log_start_offset_) {
    return Error{Errc::offset_out_of_range,
                 "truncation to " + to_string(offset) + " below the log start " + to_string(log_start_offset_)};
  }
  auto segments = recovered_segments();
  auto keep = std::find_if(segments.rbegin(), segments.rend(),
                           [&](const auto& segment) { return segment.segment->base_offset() <= offset; });
  TROUPE_ASSERT(keep != segments.rend());
  TROUPE_TRY_ASSIGN(const auto file, keep->segment->file());
  // Where the batch at `offset` begins, and what the batches before it add up to.
  SegmentIndex index{keep->segment->base_offset(), config_.index_interval_bytes};
  std::uint32_t position = 0;
  bool boundary = offset == keep->segment->base_offset();
  const BatchExpectation anything{keep->segment->base_offset(), true};
  TROUPE_TRY_ASSIGN(const auto end, scan_batches(*file, 0, keep->end_position, anything, ScanDepth::headers,
                                                 [&](const record::RecordBatchView& batch, std::uint32_t at) {
                                                   if (batch.header.last_offset() >= offset) return;
                                                   index.note(batch.header, at);
                                                   position = at + static_cast<std::uint32_t>(batch.header.size_bytes());
                                                   boundary = batch.header.next_offset() == offset;
                                                 }));
  if (end.damage) return offline({Errc::corrupt_message, keep->segment->path() + ": " + *end.damage});
  if (!boundary) return Error{Errc::invalid_argument, "truncation to " + to_string(offset) + ", inside a batch"};

  recovery_point_ = std::min(recovery_point_, offset);
  // From the end backwards: a crash in between leaves a log that is longer than asked for, never one with a hole.
  TROUPE_TRY(remove_states_above(offset));
  for (auto segment = segments.rbegin(); segment != keep; ++segment) TROUPE_TRY(doom(segment->segment));
  if (auto removed = keep->segment->remove_saved_index(); !removed) return offline(removed.error());
  // What speaks of the bytes that go must be gone before they are, or it would be believed of those that come.
  if (auto synced = file_system().sync_directory(location_.directory); !synced) return offline(synced.error());
  auto closed = std::make_shared<LogView::Parts>(closed_->begin(), closed_->begin() + (segments.rend() - keep - 1));
  closed_ = std::move(closed);
  active_ = keep->segment;
  active_file_ = file;
  dirty_.clear();
  mark_dirty(file);
  directory_dirty_ = true;
  active_->begin_truncation();
  if (auto cut = file->truncate(position); !cut) return offline(cut.error());
  end_position_ = position;
  max_timestamp_ = index.max_timestamp();
  TimestampMs first = keep->first_timestamp;
  if (position == 0) first = no_timestamp;
  first_timestamp_ = first;
  active_->set_index(std::move(index));
  log_end_offset_ = offset;
  recovery_point_ = std::min(recovery_point_, offset);
  auto state = rebuild_state(*files_, location_.directory, recovered_segments(), log_start_offset_, log_end_offset_);
  if (!state) return offline(state.error());
  state_ = std::move(*state);
  // Segments before this one may have been dirty, too.
  for (const auto& part : *closed_) {
    if (part.next_offset <= recovery_point_) continue;
    auto other = part.segment->file();
    if (!other) return offline(other.error());
    mark_dirty(*other);
  }
  return sync();
}

Status PartitionLog::doom(std::shared_ptr<Segment>& segment) {
  segment->begin_truncation();
  if (auto doomed = segment->doom(); !doomed) return offline(doomed.error());
  return ok();
}

Status PartitionLog::remove_states_above(Offset offset) {
  auto entries = file_system().list(location_.directory);
  if (!entries && entries.error().code == Errc::not_found) return ok();
  if (!entries) return offline(entries.error());
  for (const auto& entry : *entries) {
    const auto of = parse_segment_file_name(entry.name, state_extension);
    if (!of || *of <= offset) continue;
    if (auto removed = file_system().remove(location_.directory + "/" + entry.name); !removed)
      return offline(removed.error());
  }
  return ok();
}

Status PartitionLog::reset_to(Offset offset) {
  if (health_.kind == LogHealth::Kind::offline) TROUPE_TRY(writable());
  auto segments = recovered_segments();
  TROUPE_TRY(remove_states_above(Offset{-1}));
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) TROUPE_TRY(doom(segment->segment));
  closed_ = std::make_shared<LogView::Parts>();
  active_.reset();
  active_file_.reset();
  dirty_.clear();
  health_ = {};
  state_ = {};
  log_start_offset_ = log_end_offset_ = recovery_point_ = offset;
  TROUPE_TRY(start_segment(offset));
  mark_dirty(active_file_);
  return sync();
}

Status PartitionLog::advance_log_start(Offset offset) {
  TROUPE_TRY(writable());
  if (offset > log_end_offset_) {
    return Error{Errc::offset_out_of_range,
                 "log start " + to_string(offset) + " above the log end " + to_string(log_end_offset_)};
  }
  if (offset <= log_start_offset_) return ok();
  log_start_offset_ = offset;
  state_.epochs.truncate_to_start(offset);
  auto closed = std::make_shared<LogView::Parts>(*closed_);
  while (!closed->empty() && closed->front().next_offset <= offset) {
    // Oldest first, so that a crash in between leaves a log without a hole. Unlike a truncation this leaves the bytes as they
    // are for the views that still read them.
    const auto segment = std::const_pointer_cast<Segment>(closed->front().segment);
    if (auto doomed = segment->doom(); !doomed) return offline(doomed.error());
    closed->erase(closed->begin());
    directory_dirty_ = true;
  }
  closed_ = std::move(closed);
  const auto first_kept = closed_->empty() ? active_->base_offset() : closed_->front().segment->base_offset();
  // Derived files that stay are in nobody's way.
  if (auto removed = remove_states_below(first_kept); !removed)
    log::warn("old log states left behind", {log::kv("path", location_.directory), log::kv("error", removed.error())});
  return ok();
}

Status PartitionLog::remove_states_below(Offset offset) {
  TROUPE_TRY_ASSIGN(const auto entries, file_system().list(location_.directory));
  for (const auto& entry : entries) {
    const auto of = parse_segment_file_name(entry.name, state_extension);
    if (of && *of < offset) TROUPE_TRY(file_system().remove(location_.directory + "/" + entry.name));
  }
  return ok();
}

Result<bool> PartitionLog::apply_retention(Offset removable_before, std::optional<TimestampMs> now) {
  TROUPE_TRY(writable());
  if (!active_) return false;
  std::vector<SegmentFacts> facts;
  for (const auto& part : *closed_) {
    facts.push_back({part.segment->base_offset(), part.next_offset, part.end_position, part.max_timestamp});
  }
  facts.push_back({active_->base_offset(), log_end_offset_, end_position_, max_timestamp_});
  const auto start = std::max(retained_from(facts, config_, removable_before, now), log_start_offset_);
  if (start == log_start_offset_) return false;
  if (start == log_end_offset_ && end_position_ > 0) TROUPE_TRY(roll());
  TROUPE_TRY(advance_log_start(start));
  return true;
}

Status PartitionLog::close() {
  if (!health_.can_append()) return ok();
  TROUPE_TRY(sync());
  if (!active_ || end_position_ == 0) return ok();
  TROUPE_TRY(active_->save_index());
  return save_log_state(file_system(), location_.directory, log_end_offset_, state_);
}

Status PartitionLog::remove_files() {
  auto segments = recovered_segments();
  if (!segments.empty()) TROUPE_TRY(remove_states_above(Offset{-1}));
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) TROUPE_TRY(doom(segment->segment));
  closed_ = std::make_shared<LogView::Parts>();
  active_.reset();
  active_file_.reset();
  dirty_.clear();
  directory_dirty_ = parents_dirty_ = barrier_needed_ = false;
  health_ = {LogHealth::Kind::offline, log_start_offset_, "the partition was removed"};
  return ok();
}

void PartitionLog::let_go() {
  for (auto& recovered : recovered_segments()) {
    recovered.segment->begin_truncation();
    files_->forget(recovered.segment->path());  // others will have the same name
  }
  closed_ = std::make_shared<LogView::Parts>();
  active_.reset();
  active_file_.reset();
  dirty_.clear();
  directory_dirty_ = parents_dirty_ = barrier_needed_ = false;
  health_ = {LogHealth::Kind::offline, log_start_offset_, "its files were set aside"};
}

LogView PartitionLog::view() const {
  LogView::Part active{active_, log_end_offset_, end_position_, active_ ? active_->generation() : 0, max_timestamp_};
  std::optional<Offset> damaged_from;
  if (health_.kind == LogHealth::Kind::damaged) damaged_from = health_.from;
  return LogView{closed_, std::move(active), log_start_offset_, log_end_offset_, damaged_from};
}

std::uint64_t PartitionLog::size_bytes() const {
  std::uint64_t size = end_position_;
  for (const auto& part : *closed_) size += part.end_position;
  return size;
}

}  // namespace troupe::storage
