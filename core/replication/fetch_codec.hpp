#pragma once

#include "core/replication/fetch_messages.hpp"

/// Fetch requests and answers as bytes, version 1, between nodes. docs/formats/replica-fetch.md has the layout.
///
/// Part of the wire between nodes: fields are never renumbered; a change is a new version, and a node speaks the one that both know.
namespace troupe::replication {

inline constexpr std::uint8_t fetch_version = 1;
/// More partitions than this in one message is no message of ours.
inline constexpr std::size_t fetch_partitions_max = 100'000;

ByteBuffer encode_fetch_request(const FetchRequest& request);
/// Errors: corrupt_message (another version, cut off, bytes left over, a number out of its range).
Result<FetchRequest> decode_fetch_request(ByteView bytes);

ByteBuffer encode_fetch_answer(const FetchAnswer& answer);
/// Records share the memory of `bytes`, and are not looked into.
/// Errors: as above.
Result<FetchAnswer> decode_fetch_answer(const Bytes& bytes);

}  // namespace troupe::replication
