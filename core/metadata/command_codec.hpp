#pragma once

#include "base/clock.hpp"
#include "core/metadata/metadata_command.hpp"

/// Commands for the active controller, and its answers, as bytes between nodes: docs/formats/metadata-commands.md
namespace troupe::metadata {

/// A larger one is not sent: what a link carries as one chunk, and some room.
inline constexpr std::size_t command_bytes_max = 192U << 10;

struct SentCommand {
  MetadataCommand command = {};
  Millis timeout_ms = 0;  ///< what is left of the asker's time
};

ByteBuffer encode_command(const SentCommand& command);
/// Errors: corrupt_message; unsupported versions and types, too: a newer node's.
Result<SentCommand> decode_command(ByteView bytes);

ByteBuffer encode_command_answer(const CommandAnswer& answer);
/// Errors: corrupt_message.
Result<CommandAnswer> decode_command_answer(ByteView bytes);

}  // namespace troupe::metadata
