#include "storage/segment.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "base/log.hpp"
#include "storage/segment_scan.hpp"

namespace troupe::storage {
namespace {

constexpr std::size_t name_digits = 20;
constexpr std::uint64_t index_bytes_max = std::uint64_t{64} << 20;

std::uint64_t next_serial() {
  static std::atomic<std::uint64_t> serials{0};
  return serials.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

std::string segment_file_name(Offset base_offset, std::string_view extension) {
  char digits[name_digits + 1];
  std::snprintf(digits, sizeof digits, "%020lld", static_cast<long long>(base_offset.value()));
  return digits + std::string(extension);
}

std::optional<Offset> parse_segment_file_name(std::string_view name, std::string_view extension) {
  if (name.size() != name_digits + extension.size() || name.substr(name_digits) != extension) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : name.substr(0, name_digits)) {
    if (c < '0' || c > '9') return std::nullopt;
    if (value > std::numeric_limits<std::uint64_t>::max() / 10 - 1) return std::nullopt;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
  return Offset{static_cast<std::int64_t>(value)};
}

Segment::Segment(std::shared_ptr<OpenFiles> files, std::string directory, Offset base_offset,
                 std::uint32_t index_interval_bytes)
    : serial_(next_serial()),
      files_(std::move(files)),
      directory_(std::move(directory)),
      base_offset_(base_offset),
      index_interval_bytes_(index_interval_bytes) {}

Segment::~Segment() {
  if (!doomed_.load(std::memory_order_acquire)) return;
  for (const auto extension : {log_extension, index_extension}) {
    const auto path = path_of(extension);
    files_->forget(path);
    const auto removed = files_->file_system().remove(path);
    if (!removed && removed.error().code != Errc::not_found) {
      log::warn("segment file not removed", {log::kv("path", path), log::kv("error", removed.error())});
    }
  }
}

std::string Segment::path_of(std::string_view extension) const {
  auto path = directory_ + "/" + segment_file_name(base_offset_, extension);
  // With its number: another segment of this name may be doomed while a reader still holds this one.
  if (doomed_.load(std::memory_order_acquire)) path += deleted_suffix();
  return path;
}

std::string Segment::deleted_suffix() const { return "." + std::to_string(serial_) + std::string(deleted_extension); }

std::string Segment::path() const { return path_of(log_extension); }

Result<std::shared_ptr<File>> Segment::file() const {
  const bool doomed = doomed_.load(std::memory_order_acquire);
  auto file = files_->get(path());
  // Doomed between the path and the look-up: the name is gone by now, or is that of the segment which took its place.
  const bool renamed = doomed_.load(std::memory_order_acquire) != doomed;
  if (!renamed && (file || file.error().code != Errc::not_found)) return file;
  const std::lock_guard lock{names_mutex_};
  return files_->get(path());
}

template <class Key>
Result<SegmentIndex::Entry> Segment::find_floor(Key key, std::uint32_t end_position) const {
  const std::lock_guard lock{index_mutex_};
  if (growing_index_) return growing_index_->floor(key);
  auto index = closed_index_.lock();
  if (!index) {
    TROUPE_TRY_ASSIGN(auto loaded, load_or_rebuild(end_position));
    index = std::make_shared<const SegmentIndex>(std::move(loaded));
    closed_index_ = index;
    files_->keep_index(index);
  }
  return index->floor(key);
}

Result<SegmentIndex::Entry> Segment::floor(Offset offset, std::uint32_t end_position) const {
  return find_floor(offset, end_position);
}

Result<SegmentIndex::Entry> Segment::floor(TimestampMs timestamp, std::uint32_t end_position) const {
  return find_floor(timestamp, end_position);
}

void Segment::note(const record::RecordBatchHeader& batch, std::uint32_t position) {
  const std::lock_guard lock{index_mutex_};
  TROUPE_ASSERT(growing_index_);
  growing_index_->note(batch, position);
}

void Segment::set_index(SegmentIndex index) {
  const std::lock_guard lock{index_mutex_};
  growing_index_ = std::move(index);
  closed_index_.reset();  // of the bytes that the segment had when it was closed before
}

Status Segment::resume_index(std::uint32_t end_position) {
  const std::lock_guard lock{index_mutex_};
  if (growing_index_) return ok();
  TROUPE_TRY_ASSIGN(growing_index_, load_or_rebuild(end_position));
  return ok();
}

void Segment::close_index() {
  const std::lock_guard lock{index_mutex_};
  growing_index_.reset();
}

Status Segment::save_index() const {
  ByteBuffer bytes;
  {
    const std::lock_guard lock{index_mutex_};
    if (!growing_index_) return ok();
    bytes = growing_index_->encode();
  }
  // Not replaced atomically and not synced: its checksum tells a torn one from a whole one, and it can be rebuilt.
  const auto path = path_of(index_extension);
  TROUPE_TRY_ASSIGN(const auto file, files_->file_system().open(path, OpenMode::create));
  TROUPE_TRY(file->truncate(0));
  return file->write_at(0, bytes);
}

Result<SegmentIndex> Segment::load_saved_index() const {
  auto index = read_saved_index();
  // It can be rebuilt, but neither damage nor a disk that does not answer is passed over in silence.
  if (!index && index.error().code != Errc::not_found)
    log::warn("segment index not usable; it is rebuilt", {log::kv("error", index.error())});
  return index;
}

Result<SegmentIndex> Segment::read_saved_index() const {
  const auto open = [this] {
    const std::lock_guard lock{names_mutex_};
    return files_->file_system().open(path_of(index_extension), OpenMode::read);
  };
  TROUPE_TRY_ASSIGN(const auto file, open());
  TROUPE_TRY_ASSIGN(const auto size, file->size());
  if (size > index_bytes_max) return Error{Errc::corrupt_message, "segment index: " + std::to_string(size) + " bytes"};
  ByteBuffer bytes(static_cast<std::size_t>(size));
  TROUPE_TRY_ASSIGN(const auto got, file->read_at(0, bytes));
  bytes.resize(got);
  return SegmentIndex::decode(bytes, base_offset_);
}

Status Segment::remove_saved_index() const {
  auto removed = files_->file_system().remove(path_of(index_extension));
  if (!removed && removed.error().code == Errc::not_found) return ok();
  return removed;
}

Result<SegmentIndex> Segment::load_or_rebuild(std::uint32_t end_position) const {
  auto saved = load_saved_index();
  if (saved && saved->end_position() == end_position) return saved;
  TROUPE_TRY_ASSIGN(const auto file, this->file());
  SegmentIndex index{base_offset_, index_interval_bytes_};
  const BatchExpectation anything{base_offset_, true};
  TROUPE_TRY_ASSIGN(const auto end, scan_batches(*file, 0, end_position, anything, ScanDepth::headers,
                                                 [&](const record::RecordBatchView& batch, std::uint32_t position) {
                                                   index.note(batch.header, position);
                                                 }));
  if (end.damage) {
    return Error{Errc::corrupt_message, "batch at " + std::to_string(end.position) + " in " + path() + ": " + *end.damage};
  }
  return index;
}

Status Segment::doom() {
  auto& file_system = files_->file_system();
  const std::lock_guard lock{names_mutex_};
  for (const auto extension : {log_extension, index_extension}) {
    const auto path = path_of(extension);
    const auto renamed = file_system.rename(path, path + deleted_suffix());
    if (!renamed && renamed.error().code != Errc::not_found) return renamed;
    files_->forget(path);
  }
  doomed_.store(true, std::memory_order_release);
  return ok();
}

}  // namespace troupe::storage
