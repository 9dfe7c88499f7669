#pragma once

#include "core/metadata/cluster_requests.hpp"

/// Heartbeats of brokers and their answers as bytes between nodes, beside the commands on the same channel: docs/formats/heartbeat.md
namespace troupe::metadata {

/// Whether these bytes are a heartbeat; else they are a command (command_codec.hpp), or nothing of ours.
bool is_heartbeat(ByteView bytes) noexcept;

ByteBuffer encode_heartbeat(const HeartbeatRequest& request);
/// Errors: corrupt_message.
Result<HeartbeatRequest> decode_heartbeat(ByteView bytes);

ByteBuffer encode_heartbeat_answer(const HeartbeatAnswer& answer);
/// Errors: corrupt_message.
Result<HeartbeatAnswer> decode_heartbeat_answer(ByteView bytes);

}  // namespace troupe::metadata
