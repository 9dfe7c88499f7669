#include "storage/log_view.hpp"

#include <algorithm>

#include "core/record/record_batch.hpp"
#include "storage/segment_scan.hpp"

namespace troupe::storage {
namespace {

/// Read on top of what was asked for, so that the batches before the wanted one (an index interval) do not cost a second read.
constexpr std::size_t read_ahead_bytes = 8192;

Error stale(const LogView::Part& part) {
  return {Errc::stale_log_view, part.segment->path() + " was truncated after this view was taken"};
}

/// A log that was set aside has taken its files along.
Result<std::shared_ptr<File>> file_of(const LogView::Part& part) {
  auto file = part.segment->file();
  if (!file && part.segment->generation() != part.generation) return stale(part);
  return file;
}

Error damage(const LogView::Part& part, std::uint64_t position, const std::string& what) {
  // A reader that overlaps a truncation sees bytes change under it; that is no damage.
  if (part.segment->generation() != part.generation) return stale(part);
  return {Errc::corrupt_message, "batch at " + std::to_string(position) + " in " + part.segment->path() + ": " + what};
}

/// For batches that were passed over by their headers alone, when they did not lead to the offset that one of them should hold.
Status check_passed_over(const LogView::Part& part, const File& file, std::uint64_t from, std::uint64_t to) {
  const BatchExpectation anything{Offset{0}, true};
  TROUPE_TRY_ASSIGN(const auto end, scan_batches(file, from, to, anything, ScanDepth::checksums,
                                                 [](const record::RecordBatchView&, std::uint32_t) {}));
  return end.damage ? Status{damage(part, end.position, *end.damage)} : ok();
}

/// A piece of a segment in memory, and how far it was walked.
struct Piece {
  ByteBuffer bytes;
  std::uint32_t position;  ///< of the first byte
};

Result<Piece> read_piece(const LogView::Part& part, const File& file, std::uint32_t position, std::size_t size) {
  Piece piece{ByteBuffer(std::min<std::size_t>(size, part.end_position - position)), position};
  TROUPE_TRY_ASSIGN(const auto got, file.read_at(position, piece.bytes));
  if (got < piece.bytes.size()) return damage(part, position + got, "file ends before the log does");
  return piece;
}

}  // namespace

LogView::LogView(std::shared_ptr<const Parts> closed, Part active, Offset log_start_offset, Offset log_end_offset,
                 std::optional<Offset> damaged_from)
    : closed_(std::move(closed)),
      active_(std::move(active)),
      log_start_offset_(log_start_offset),
      log_end_offset_(log_end_offset),
      damaged_from_(damaged_from) {}

std::size_t LogView::part_of(Offset offset) const {
  std::size_t low = 0;
  for (std::size_t high = part_count(); high - low > 1;) {
    const auto middle = (low + high) / 2;
    (part(middle).segment->base_offset() <= offset ? low : high) = middle;
  }
  return low;
}

Result<LogSlice> LogView::read(Offset from, std::size_t bytes_max, Offset up_to, const ReadPosition& hint) const {
  if (from < log_start_offset_ || from > log_end_offset_) {
    return Error{Errc::offset_out_of_range, "offset " + to_string(from) + " is outside the log's " +
                                                to_string(log_start_offset_) + " to " + to_string(log_end_offset_)};
  }
  if (damaged_from_ && from >= *damaged_from_) {
    return Error{Errc::corrupt_message, "the log is damaged from offset " + to_string(*damaged_from_) + " on"};
  }
  up_to = std::min(up_to, log_end_offset_);
  const LogSlice nothing{{}, from, hint};
  if (from >= up_to || part_count() == 0) return nothing;

  for (auto index = part_of(from); index < part_count(); ++index) {
    const auto& part = this->part(index);
    TROUPE_TRY_ASSIGN(const auto file, file_of(part));
    std::uint32_t position = 0;
    auto expected = part.segment->base_offset();  // of the batch at `position`
    bool exact = hint.offset == from && hint.segment == part.segment->serial() && hint.position <= part.end_position;
    if (exact) {
      position = hint.position;
      expected = from;
    } else if (from > part.segment->base_offset()) {
      TROUPE_TRY_ASSIGN(const auto entry, part.segment->floor(from, part.end_position));
      position = entry.position;
      expected = entry.offset;
    }
    if (position >= part.end_position) {
      if (from < part.next_offset) return damage(part, position, "the index leads behind the end of the segment");
      continue;
    }
    const auto searched_from = position;

    auto wanted = std::max(bytes_max, record::batch_header_bytes) + (exact ? 0 : read_ahead_bytes);
    TROUPE_TRY_ASSIGN(auto piece, read_piece(part, *file, position, wanted));
    std::size_t begin = 0;  // of the first batch of the answer, in the piece
    std::size_t end = 0;    // after the last one
    bool found = false;
    LogSlice slice = nothing;
    while (piece.position + end < part.end_position) {
      const auto rest = ByteView{piece.bytes}.subspan(end);
      const auto at = piece.position + end;
      const auto header = rest.size() >= record::batch_header_bytes ? record::parse_batch_header(rest)
                                                                    : Result<record::RecordBatchHeader>{Error{}};
      if (rest.size() >= record::batch_header_bytes) {
        if (!header) {
          if (found) break;
          return damage(part, at, header.error().message);
        }
        if (header->size_bytes() > part.end_position - at) {
          if (found) break;
          return damage(part, at, "batch is longer than the log");
        }
      }
      if (rest.size() < record::batch_header_bytes || rest.size() < header->size_bytes()) {
        // The piece ends inside a batch. Enough if there is something to answer; else go on from here, with room for it.
        if (found) break;
        if (part.end_position - at < record::batch_header_bytes) return damage(part, at, "no batch fits before the end");
        const auto size = rest.size() < record::batch_header_bytes ? wanted : std::max(wanted, header->size_bytes());
        TROUPE_TRY_ASSIGN(piece, read_piece(part, *file, static_cast<std::uint32_t>(at), size));
        begin = end = 0;
        continue;
      }
      // The checksum does not cover the offset, and a batch that is passed over is not checked: both would show here (S6).
      if (header->base_offset != expected || header->next_offset() > part.next_offset) {
        if (found) break;
        TROUPE_TRY(check_passed_over(part, *file, searched_from, at));
        return damage(part, at, "base offset " + to_string(header->base_offset) + ", expected " + to_string(expected));
      }
      expected = header->next_offset();
      if (header->last_offset() < from) {
        end += header->size_bytes();
        begin = end;
        continue;
      }
      if (header->last_offset() >= up_to) {
        // That there is nothing to answer is an answer, too: not on the word of a damaged header (S8).
        if (!found) TROUPE_TRY(check_passed_over(part, *file, at, at + header->size_bytes()));
        break;
      }
      if (found && end - begin + header->size_bytes() > bytes_max) break;
      const record::RecordBatchView batch{*header, rest.first(header->size_bytes())};
      if (!record::crc_matches(batch)) {
        if (found) break;
        return damage(part, at, "checksum does not match");
      }
      end += header->size_bytes();
      found = true;
      slice.next_offset = header->next_offset();
    }
    if (part.segment->generation() != part.generation) return stale(part);
    if (!found) {
      if (piece.position + end < part.end_position) return nothing;  // the next batch reaches `up_to`
      TROUPE_TRY(check_passed_over(part, *file, searched_from, part.end_position));
      if (from < part.next_offset) return damage(part, part.end_position, "no batch holds offset " + to_string(from));
      continue;
    }
    slice.position = {slice.next_offset, part.segment->serial(), static_cast<std::uint32_t>(piece.position + end)};
    slice.batches = Bytes::adopt(std::move(piece.bytes)).slice(begin, end - begin);
    return slice;
  }
  return damage(part(part_count() - 1), part(part_count() - 1).end_position,
                "offset " + to_string(from) + " is below the log end, but no batch holds it");
}

Result<std::optional<TimestampAndOffset>> LogView::find(TimestampMs timestamp) const {
  std::optional<TimestampAndOffset> found;
  for (std::size_t index = 0; index < part_count(); ++index) {
    const auto& part = this->part(index);
    if (part.max_timestamp < timestamp || part.next_offset <= log_start_offset_) continue;
    TROUPE_TRY_ASSIGN(const auto file, file_of(part));
    TROUPE_TRY_ASSIGN(const auto entry, part.segment->floor(timestamp, part.end_position));
    Status failed;
    bool done = false;
    const auto look_inside = [&](const record::RecordBatchView& batch, std::uint32_t) {
      if (done || !failed || batch.header.max_timestamp < timestamp || batch.header.last_offset() < log_start_offset_)
        return;
      auto block = record::open_records(batch, {});
      if (!block) {
        failed = std::move(block).error();
        return;
      }
      record::RecordReader reader{batch.header, block->bytes};
      while (const auto record = reader.next()) {
        if (record->timestamp < timestamp || record->offset < log_start_offset_) continue;
        found = TimestampAndOffset{record->timestamp, record->offset};
        done = true;
        return;
      }
    };
    // In steps, so that a match near the front of a large segment does not read all of it.
    BatchExpectation expectation{entry.offset, true};
    for (std::uint64_t position = entry.position; position < part.end_position && !done;) {
      const auto header_at = position;
      ByteBuffer head(record::batch_header_bytes);
      TROUPE_TRY_ASSIGN(const auto got, file->read_at(position, head));
      if (got < head.size()) return damage(part, header_at, "file ends before the log does");
      const auto header = record::parse_batch_header(head);
      if (!header) return damage(part, header_at, header.error().message);
      const auto next = position + header->size_bytes();
      if (header->max_timestamp >= timestamp && header->last_offset() >= log_start_offset_) {
        TROUPE_TRY_ASSIGN(const auto end, scan_batches(*file, position, std::min<std::uint64_t>(next, part.end_position),
                                                       expectation, ScanDepth::checksums, look_inside));
        if (end.damage) return damage(part, end.position, *end.damage);
        TROUPE_TRY(failed);
      }
      position = next;
      expectation.base_offset = header->next_offset();
    }
    if (part.segment->generation() != part.generation) return stale(part);
    if (done) break;
  }
  return found;
}

}  // namespace troupe::storage
