#pragma once

#include <functional>
#include <span>
#include <vector>

#include "core/group/group_record.hpp"

/// Group records as record batches, and back.
namespace troupe::group {

/// One batch, in this order. One record at least. Errors: those of the batch builder.
Result<ByteBuffer> encode_batch(std::span<const Record> records, TimestampMs wall);

/// What a coordinator writes before it reads: when it is committed, everything before it is. A record without a value, of a kind that
/// readers pass over.
ByteBuffer encode_load_mark(TimestampMs wall);

/// Calls `visit` with each record of whole batches whose offset is in [from, up_to), in order; control batches and records of unknown kinds
/// are passed over. Errors: corrupt_message, and those of the batches' codec.
Status replay_batches(ByteView batches, Offset from, Offset up_to, const std::function<void(const Record&)>& visit);

}  // namespace troupe::group
