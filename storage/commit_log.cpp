#include "storage/commit_log.hpp"

#include <algorithm>
#include <cstring>

#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "core/record/record_batch.hpp"
#include "storage/commit_log_format.hpp"
#include "storage/paths.hpp"
#include "storage/quarantine.hpp"
#include "storage/segment.hpp"

namespace troupe::storage {
namespace {

using namespace commit_log_format;

/// Of files that will be written again: recovery does not read them, what they hold is settled.

void apply(CommittedTails& tails, const DecodedEntry& entry) {
  auto& tail = tails[entry.id];
  const auto cut = [&](Offset offset) {
    while (!tail.batches.empty() && tail.batches.back().base_offset >= offset) tail.batches.pop_back();
  };
  switch (entry.kind) {
    case EntryKind::batch:
      // A batch whose turn failed may have been written again with a later turn; the later one counts.
      cut(entry.batch.base_offset);
      tail.batches.push_back(entry.batch);
      break;
    case EntryKind::truncate:
      cut(entry.batch.base_offset);
      tail.lowest_cut = std::min(tail.lowest_cut, entry.batch.base_offset);
      break;
    case EntryKind::reset:
      tail.batches.clear();
      tail.lowest_cut = std::min(tail.lowest_cut, entry.batch.base_offset);
      tail.reset_to = entry.batch.base_offset;
      break;
    case EntryKind::reset_done: tail.reset_to.reset(); break;
  }
}

}  // namespace

Result<CommitLog::Recovered> CommitLog::open(FileSystem& file_system, Options options) {
  TROUPE_TRY(create_directories_durably(file_system, options.directory));
  Recovered recovered{std::unique_ptr<CommitLog>(new CommitLog(file_system, std::move(options))), {}, {}, 0};
  auto& log = *recovered.log;

  TROUPE_TRY_ASSIGN(const auto names, file_system.list(log.options_.directory));
  for (const auto& entry : names) {
    const auto number = parse_segment_file_name(entry.name, commit_extension);
    if (number && entry.type == EntryType::file) {
      log.old_files_.push_back({static_cast<std::uint64_t>(number->value()), log.options_.directory + "/" + entry.name});
    } else if (entry.type == EntryType::file && entry.name.ends_with(spare_extension)) {
      TROUPE_TRY(file_system.remove(log.options_.directory + "/" + entry.name));
    }
  }
  std::sort(log.old_files_.begin(), log.old_files_.end(), [](auto& a, auto& b) { return a.number < b.number; });

  std::optional<std::uint64_t> last_turn;
  for (const auto& old_file : log.old_files_) {
    TROUPE_TRY_ASSIGN(const auto file, file_system.open(old_file.path, OpenMode::read));
    file->drop_cache();  // a turn whose sync failed must not be taken for one that is on the disk (S2)
    TROUPE_TRY_ASSIGN(const auto size, file->size());
    ByteBuffer content(static_cast<std::size_t>(size));
    TROUPE_TRY_ASSIGN(const auto got, file->read_at(0, content));
    content.resize(got);
    const auto bytes = Bytes::adopt(std::move(content));
    TurnReader reader{old_file.number, bytes, last_turn};
    while (const auto turn = reader.next()) {
      for (const auto& entry : turn->entries) apply(recovered.tails, entry);
      last_turn = turn->number;
      ++recovered.turns;
    }
    if (reader.damage()) recovered.damage = old_file.path + ": " + *reader.damage();
  }
  if (!log.old_files_.empty()) log.current_file_ = log.old_files_.back().number + 1;
  // Numbers grow over restarts, too: a turn of an earlier life must never pass for a later one.
  log.next_turn_ = last_turn.value_or(0) + turn_number_gap;
  return recovered;
}

void CommitLog::add(const TopicIdPartition& id, const PlacedBatch& batch) {
  turn_bytes_ += entry_head_bytes + batch.batch.size();
  entries_.push_back({static_cast<std::uint8_t>(EntryKind::batch), id, batch});
}

void CommitLog::add_truncation(const TopicIdPartition& id, Offset offset) {
  turn_bytes_ += entry_head_bytes;
  entries_.push_back({static_cast<std::uint8_t>(EntryKind::truncate), id, {offset, no_leader_epoch, {}}});
}

void CommitLog::add_reset(const TopicIdPartition& id, Offset offset) {
  turn_bytes_ += entry_head_bytes;
  entries_.push_back({static_cast<std::uint8_t>(EntryKind::reset), id, {offset, no_leader_epoch, {}}});
}

void CommitLog::add_reset_done(const TopicIdPartition& id, Offset offset) {
  turn_bytes_ += entry_head_bytes;
  entries_.push_back({static_cast<std::uint8_t>(EntryKind::reset_done), id, {offset, no_leader_epoch, {}}});
}

void CommitLog::abandon_turn() {
  entries_.clear();
  turn_bytes_ = 0;
}

Status CommitLog::commit() {
  if (offline_) return Error{Errc::log_offline, "the commit log failed earlier and has to be recovered"};
  if (entries_.empty()) return ok();
  auto written = write_turn();
  abandon_turn();
  if (!written && written.error().code != Errc::storage_full) offline_ = true;
  return written;
}

Status CommitLog::write_turn() {
  const auto frame_bytes = turn_head_bytes + turn_bytes_;
  const auto padded = (frame_bytes + turn_alignment - 1) / turn_alignment * turn_alignment;
  if (!file_ || (position_ > 0 && position_ + padded > options_.file_bytes)) TROUPE_TRY(start_file());
  TROUPE_TRY(reserve(position_ + padded));

  ByteBuffer heads;
  heads.reserve(turn_head_bytes + entries_.size() * entry_head_bytes);
  heads.resize(turn_head_bytes);
  for (const auto& entry : entries_) {
    encode_entry_head(heads, static_cast<EntryKind>(entry.kind), entry.id, entry.batch.base_offset, entry.batch.leader_epoch,
                      entry.batch.batch);
  }
  encode_turn_head(heads, current_file_, next_turn_, static_cast<std::uint32_t>(frame_bytes),
                   static_cast<std::uint32_t>(entries_.size()));

  // All entry heads first, then all batches: the heads are checked as one piece, the batches carry their own checksums.
  std::vector<ByteView> parts;
  parts.reserve(entries_.size() + 2);
  parts.emplace_back(heads);
  for (const auto& entry : entries_) {
    if (!entry.batch.batch.empty()) parts.push_back(entry.batch.batch.view());
  }
  static constexpr std::byte zeros[turn_alignment]{};
  parts.emplace_back(zeros, padded - frame_bytes);
  if (auto written = file_->write_at(position_, parts); !written) {
    // Not synced, so not a turn yet, and the next one overwrites it; but it must not be taken for one after a crash.
    if (written.error().code == Errc::storage_full && unwrite_turn(ByteView{zeros})) return written;
    return Error{Errc::storage_error, written.error().message};
  }
  if (auto synced = file_->sync(); !synced) return Error{Errc::storage_error, synced.error().message};
  position_ += padded;
  ++next_turn_;
  return ok();
}

/// Makes sure that what stands at the place of the next turn begins with no head.
Status CommitLog::unwrite_turn(ByteView zeros) {
  if (file_->write_at(position_, zeros)) return ok();
  // No room even for that, as under a file-size limit; to become shorter needs none.
  TROUPE_TRY(file_->truncate(position_));
  allocated_ = position_;
  return ok();
}

std::string CommitLog::path_of(std::uint64_t number) const {
  return options_.directory + "/" + segment_file_name(Offset{static_cast<std::int64_t>(number)}, commit_extension);
}

Status CommitLog::start_file() {
  const auto number = file_ ? current_file_ + 1 : current_file_;
  const auto path = path_of(number);
  if (!spare_files_.empty()) {
    TROUPE_TRY(file_system_.rename(spare_files_.front().path, path));
    spare_files_.erase(spare_files_.begin());
  }
  TROUPE_TRY_ASSIGN(auto file, file_system_.open(path, OpenMode::create));
  TROUPE_TRY_ASSIGN(const auto size, file->size());
  // Never "full", whatever it says: a later sync may succeed although the new name is lost (S2).
  if (auto synced = file_system_.sync_directory(options_.directory); !synced)
    return Error{Errc::storage_error, synced.error().message};
  if (file_) old_files_.push_back({current_file_, path_of(current_file_)});
  file_ = std::move(file);
  current_file_ = number;
  position_ = 0;
  allocated_ = size;
  return ok();
}

Status CommitLog::reserve(std::uint64_t bytes) {
  static const ByteBuffer zeros(std::size_t{64} << 10, std::byte{0});
  const auto wanted =
      std::min(std::max(options_.file_bytes, bytes), (bytes / options_.grow_bytes + 1) * options_.grow_bytes);
  if (bytes <= allocated_) return ok();
  while (allocated_ < wanted) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(zeros.size(), wanted - allocated_));
    TROUPE_TRY(file_->write_at(allocated_, ByteView{zeros}.first(size)));
    allocated_ += size;
  }
  return ok();
}

Status CommitLog::release_all() {
  if (file_) {
    old_files_.push_back({current_file_, path_of(current_file_)});
    file_.reset();
    ++current_file_;
    position_ = allocated_ = 0;
  }
  return release(current_file_);
}

std::uint64_t CommitLog::oldest_file() const { return old_files_.empty() ? current_file_ : old_files_.front().number; }

double CommitLog::fullness() const {
  return std::min(1.0, static_cast<double>(position_) / static_cast<double>(options_.file_bytes));
}

Status CommitLog::release(std::uint64_t file) {
  constexpr std::size_t spare_files_max = 2;
  while (!old_files_.empty() && old_files_.front().number <= file) {
    auto old_file = old_files_.front();
    if (spare_files_.size() < spare_files_max) {
      const auto spare = old_file.path + std::string(spare_extension);
      TROUPE_TRY(file_system_.rename(old_file.path, spare));
      spare_files_.push_back({old_file.number, spare});
    } else {
      TROUPE_TRY(file_system_.remove(old_file.path));
    }
    old_files_.erase(old_files_.begin());
  }
  return file_system_.sync_directory(options_.directory);
}

Status CommitLog::move_recovered_files(const std::string& directory) {
  for (const auto& old_file : old_files_)
    TROUPE_TRY(quarantine_path(file_system_, old_file.path, directory, std::string(file_name(old_file.path))));
  old_files_.clear();
  return ok();
}

}  // namespace troupe::storage
