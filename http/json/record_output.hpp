#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "core/ids.hpp"
#include "core/record/record_batch.hpp"

namespace troupe::http {

/// How keys and values are shown. auto_: JSON if it parses, else text if it is UTF-8, else base64 (`vb`).
enum class RecordFormat : std::uint8_t { auto_, json, text, binary };

/// "auto", "json", "text", "binary". Errors: invalid_argument.
Result<RecordFormat> parse_record_format(std::string_view text);

/// Appends `text` as a JSON string, quotes included. `text` is UTF-8.
void append_json_string(std::string& out, std::string_view text);

/// Appends one record as it looks on every door of ours, on one line: {"p":0,"o":42,"ts":1764000000123,"k":"a","v":{...},"h":{"x":"y"}}.
/// `kb`, `vb`, `hb` hold base64 where text cannot; a null value is "v":null,"del":true. A JSON value stands there byte by byte, but for
/// line ends between its tokens. Internal headers (their names begin with "__troupe") are left out.
/// websocket-sse.md C2.4. The record must be well-formed, as validated.
void append_record(std::string& out, PartitionId partition, const record::RecordView& record, RecordFormat format);

}  // namespace troupe::http
