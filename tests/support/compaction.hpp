#pragma once

#include <map>
#include <optional>
#include <string>

#include "storage/partition_log.hpp"

/// What a compacted log may look like, and how a test compacts one.
namespace troupe::test {

/// A record as text: "key=value", "key" for a tombstone, "=value" without a key.
using RecordTexts = std::map<Offset, std::string>;

/// All records of a log from its start to its end. Every batch has to stand behind the one before.
RecordTexts records_of(const storage::LogView& view);
/// Adds those of `batches` that are not below `from`.
void add_records(RecordTexts& texts, ByteView batches, Offset from);
/// The key of such a text; nullopt: none.
std::optional<std::string> key_of(const std::string& text);

/// What is wrong with `found` when `appended` was, and was compacted or not: each record is as it was appended, each key still has
/// its latest one. `tombstones_may_go`: unless that is a tombstone. nullopt: nothing.
std::optional<std::string> wrong_compaction(const RecordTexts& appended, const RecordTexts& found, bool tombstones_may_go);

/// Compacts `log` as far as it goes, in steps of `step_bytes`. Returns how many plans that took. `first_dirty` is moved on.
Result<int> compact(storage::PartitionLog& log, Offset& first_dirty, Offset removable_before,
                    const storage::LogCleaning::Options& options = {}, std::size_t step_bytes = 1000);

}  // namespace troupe::test
