#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "http/json/record_input.hpp"

namespace troupe::http {

/// How the records of a request are written.
enum class ProduceFormat : std::uint8_t {
  v1,            ///< {"records":[{"key","value","headers":{},"ts","partition"}],"acks":"quorum"}
  v1_or_inline,  ///< the same, or one record's members in the object itself
  v1_lines,      ///< one record a line
  v2_json,       ///< {"records":[{"key","value","partition","timestamp","headers":[{"key","value"}]}]}: any JSON
  v2_binary,     ///< keys and values are base64
  v2_text,       ///< keys and values are strings, kept without quotes
};

struct ProduceBody {
  RecordInput input = {};
  std::optional<Acks> acks = {};  ///< of v1
};

/// Why a body is no produce request.
struct InputProblem {
  enum class Kind : std::uint8_t {
    syntax,         ///< not JSON, too deep, too many values
    shape,          ///< a member of the wrong type, or twice
    missing,        ///< no record
    unknown_field,  ///< v2 only; v1 ignores what it does not know
    not_base64,
    too_large,
  };
  Kind kind = Kind::syntax;
  std::string message = {};  ///< what, and where: "records[3].key: ..."
};

/// Reads a request's records; `body` becomes their memory. Keys and values stay where they came; strings are unescaped in place.
/// The whole body has been checked to be JSON in UTF-8 when this succeeds.
std::optional<InputProblem> read_produce_body(ByteBuffer body, ProduceFormat format, const Limits& limits, ProduceBody& out);

/// Bytes that have to be readable behind a body, or it is copied: reserve them.
inline constexpr std::size_t json_padding_bytes = 64;

}  // namespace troupe::http
