#pragma once

#include <cstdio>
#include <cstring>
#include <string>

#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "base/log.hpp"
#include "storage/log_view.hpp"
#include "tests/support/faulty_file_system.hpp"

/// What the targets that open logs share: files from bytes, checksums that let the fuzzer in, reading a log to its end.
namespace troupe::fuzz {

/// Once, and not with every input: damage is what these targets are about.
inline void silence_logs() {
  static const bool silenced = (log::configure(log::Level::off, log::Format::text), true);
  static_cast<void>(silenced);
}

/// A fuzzer does not find checksums. Writes the right one over every batch of a row of batches, as far as lengths lead.
inline void seal_batches(MutableByteView bytes) {
  while (bytes.size() >= record::batch_header_bytes) {
    const auto size = std::uint64_t{load_big_endian<std::uint32_t>(bytes.data() + 8)} + record::batch_length_overhead;
    if (size > bytes.size() || size < record::batch_header_bytes) return;
    store_big_endian(bytes.data() + 17, crc32c(bytes.subspan(record::batch_crc_start, size - record::batch_crc_start)));
    bytes = bytes.subspan(static_cast<std::size_t>(size));
  }
}

/// The value of a call that has no reason to fail; says why it did.
template <class T>
T must(Result<T> result) {
  if (!result) std::fprintf(stderr, "%s\n", to_string(result.error()).c_str());
  return std::move(result).value();
}

inline void write_file(storage::FileSystem& disk, const std::string& path, ByteView content) {
  const auto file = disk.open(path, storage::OpenMode::create).value();
  TROUPE_ASSERT(file->write_at(0, content).has_value() && file->sync().has_value());
}

struct ReadBack {
  ByteBuffer bytes;       ///< all batches that were served, one after another
  bool complete = false;  ///< the log end was reached; otherwise damage was reported
};

/// Reads a log from its start to its end and holds what is served against the promise: whole batches with right checksums,
/// each beginning where the one before ended.
inline ReadBack read_back(const storage::LogView& view) {
  ReadBack read;
  auto offset = view.log_start_offset();
  bool first = true;
  while (offset < view.log_end_offset()) {
    const auto slice = view.read(offset, 4096);
    if (!slice) {
      TROUPE_ASSERT(slice.error().code == Errc::corrupt_message);
      return read;
    }
    TROUPE_ASSERT(slice->next_offset > offset);
    for (ByteView rest = slice->batches; !rest.empty();) {
      const auto batch = record::parse_batch(rest);
      TROUPE_ASSERT(batch.has_value() && record::crc_matches(*batch));
      // Only the first may begin earlier: the log start may lie inside a batch.
      TROUPE_ASSERT(first ? batch->header.base_offset <= offset && batch->header.next_offset() > offset
                          : batch->header.base_offset == offset);
      first = false;
      offset = batch->header.next_offset();
      rest = rest.subspan(batch->bytes.size());
    }
    TROUPE_ASSERT(offset == slice->next_offset);
    append_bytes(read.bytes, slice->batches);
  }
  read.complete = true;
  return read;
}

}  // namespace troupe::fuzz
