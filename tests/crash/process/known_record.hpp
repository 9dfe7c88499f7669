#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "core/ids.hpp"
#include "core/record/batch_builder.hpp"

/// Records that prove themselves: the key says which record it is and what its value is, and the value can be made again.
///
///   key "<partition>:<sequence>:<value bytes>:<CRC-32C of the value>"     value: filler of (partition, sequence, bytes)
namespace troupe::test {

struct KnownRecord {
  std::int32_t partition = 0;
  std::uint64_t sequence = 0;  ///< ascends in a partition, without holes in one run of a writer
};

/// Adds the record with this identity and a value of `value_bytes` to a batch.
void add_known_record(record::RecordBatchBuilder& builder, const KnownRecord& known, std::size_t value_bytes);

/// Which record this is. Errors: corrupt_message (not one of ours, or not the value that its key promises).
Result<KnownRecord> parse_known_record(const record::RecordView& record);

/// Sizes that meet the corners of the log: nothing at all, a few bytes, pages, and now and then up to `bytes_max`.
std::size_t value_bytes_of(const KnownRecord& known, std::size_t bytes_max);

/// The partitions of these tests: one topic, numbers from 0.
TopicIdPartition known_partition(std::int32_t number);

}  // namespace troupe::test
