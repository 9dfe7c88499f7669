#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"

/// Base64 as RFC 4648 has it: the standard alphabet with padding, and the one for URLs without.
namespace troupe {

/// Appends `bytes` in the standard alphabet, padded with '='.
void append_base64(std::string& out, ByteView bytes);
/// Appends `bytes` in the alphabet for URLs, without padding.
void append_base64_url(std::string& out, ByteView bytes);

/// The bytes that `text` stands for, standard alphabet, padded; nullopt when it is not exactly that (a character that does not belong,
/// missing padding, bits behind the last byte that are not zero): every text that is read has one spelling.
std::optional<ByteBuffer> decode_base64(std::string_view text);
/// The same for the alphabet for URLs, without padding.
std::optional<ByteBuffer> decode_base64_url(std::string_view text);

}  // namespace troupe
