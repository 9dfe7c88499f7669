#include <cstdint>

#include "base/assert.hpp"
#include "base/bytes.hpp"
#include "core/metadata/command_codec.hpp"

/// What another node sends to the controller, and what that answers. What is read can be written and read again.

using namespace troupe;
using namespace troupe::metadata;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span{data, size});
  if (const auto command = decode_command(bytes)) {
    const auto again = decode_command(encode_command(*command));
    TROUPE_ASSERT(again && again->command.index() == command->command.index());
    TROUPE_ASSERT(encode_command(*again) == encode_command(*command));
  } else {
    TROUPE_ASSERT(command.error().code == Errc::corrupt_message);
  }
  if (const auto answer = decode_command_answer(bytes)) {
    const auto again = decode_command_answer(encode_command_answer(*answer));
    TROUPE_ASSERT(again && encode_command_answer(*again) == encode_command_answer(*answer));
  }
  return 0;
}
