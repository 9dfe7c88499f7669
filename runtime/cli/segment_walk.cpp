#include "runtime/cli/segment_walk.hpp"

#include <algorithm>

#include "storage/segment_scan.hpp"

namespace troupe::cli {
namespace {

Result<std::optional<record::RecordBatchHeader>> header_at(const storage::File& file, std::uint64_t position,
                                                           std::uint64_t end) {
  ByteBuffer head(static_cast<std::size_t>(std::min<std::uint64_t>(record::batch_header_bytes, end - position)));
  TROUPE_TRY_ASSIGN(const auto got, file.read_at(position, head));
  auto header = record::parse_batch_header(ByteView{head}.first(got));
  return header ? std::optional{*header} : std::nullopt;
}

/// The header of the batch at `position` if all of it is there and its checksum right.
Result<std::optional<record::RecordBatchHeader>> intact_at(const storage::File& file, std::uint64_t position,
                                                           std::uint64_t end) {
  std::optional<record::RecordBatchHeader> intact;
  TROUPE_TRY_ASSIGN(const auto header, header_at(file, position, end));
  if (!header || header->size_bytes() > end - position) return intact;
  const storage::BatchExpectation itself{header->base_offset};
  TROUPE_TRY_ASSIGN(const auto scanned, storage::scan_batches(file, position, position + header->size_bytes(), itself,
                                                              storage::ScanDepth::checksums,
                                                              [](const record::RecordBatchView&, std::uint32_t) {}));
  if (!scanned.damage) intact = header;
  return intact;
}

/// Where to go on after damage at `position`: at the batch itself when only its place is wrong, behind it when its length leads
/// to an intact one, else at the first intact one that a search finds. What a search finds may be a batch inside of a record's
/// value, hence the order.
Result<std::optional<std::uint64_t>> find_next(const storage::File& file, std::uint64_t position, std::uint64_t end,
                                               Offset expected) {
  std::optional<std::uint64_t> next;
  TROUPE_TRY_ASSIGN(const auto itself, intact_at(file, position, end));
  if (itself) {
    next = position;
    return next;
  }
  TROUPE_TRY_ASSIGN(const auto claims, header_at(file, position, end));
  if (claims && claims->size_bytes() < end - position) {
    TROUPE_TRY_ASSIGN(const auto behind, intact_at(file, position + claims->size_bytes(), end));
    if (behind && behind->base_offset >= expected) {
      next = position + claims->size_bytes();
      return next;
    }
  }
  return storage::find_intact_batch(file, position + 1, end, expected);
}

}  // namespace

Result<WalkEnd> walk_segment(const storage::File& file, std::uint64_t end, WalkStart start,
                             const std::function<void(const record::RecordBatchView&, std::uint64_t)>& on_batch,
                             const std::function<void(const DamagedPlace&)>& on_damage) {
  storage::BatchExpectation expectation{start.base_offset.value_or(Offset{0}), !start.base_offset, start.epoch_min};
  if (!start.base_offset) {
    TROUPE_TRY_ASSIGN(const auto first, header_at(file, 0, end));
    if (first) expectation = {first->base_offset, false, start.epoch_min};
  }
  WalkEnd walked{expectation.base_offset, start.epoch_min, 0};
  std::uint64_t position = 0;
  while (position < end) {
    auto at = position;
    const auto visit = [&](const record::RecordBatchView& batch, std::uint32_t) {
      on_batch(batch, at);
      at += batch.bytes.size();
    };
    TROUPE_TRY_ASSIGN(auto scanned,
                      storage::scan_batches(file, position, end, expectation, storage::ScanDepth::checksums, visit));
    if (scanned.position > position) walked = {scanned.next_offset, scanned.last_epoch, scanned.position};
    if (!scanned.damage) break;
    position = scanned.position;
    TROUPE_TRY_ASSIGN(auto claims, header_at(file, position, end));
    TROUPE_TRY_ASSIGN(const auto next, find_next(file, position, end, scanned.next_offset));
    on_damage({position, scanned.next_offset, std::move(*scanned.damage), claims, next});
    if (!next) break;
    TROUPE_TRY_ASSIGN(const auto header, intact_at(file, *next, end));
    if (!header) break;  // the file changed while it was read
    position = *next;
    expectation = {header->base_offset, false, no_leader_epoch};
  }
  return walked;
}

}  // namespace troupe::cli
