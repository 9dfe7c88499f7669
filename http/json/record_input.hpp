#pragma once

#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "core/broker_api.hpp"
#include "http/limits.hpp"

namespace troupe::http {

/// Records as a client wrote them, ready for `ProduceRequest`: `memory` owns what the records point into.
struct RecordInput {
  Bytes memory;
  std::vector<ProduceRecord> records;
};

/// Reads the records of a /v1 produce, from a body or from a WebSocket command: `{"records":[{...}]}`, or one record inline
/// (`key`, `value`, `headers`, `ts`, `partition` as members of the object itself, when `inline_allowed`). Other members are the
/// caller's. A value is stored as the JSON text that came, byte by byte; a string key as its UTF-8 bytes, another key as its JSON text;
/// `vb` and `kb` (base64) in place of `value` and `key` give bytes; `headers` is an object of strings, or `hb` an array of
/// [name, base64]. null is null.
/// The whole document has been checked to be JSON in UTF-8 within depth and element limits before this returns.
/// Errors: invalid_argument (what, and where: `records[3].key`), message_too_large.
Result<RecordInput> read_v1_records(std::string_view json, const Limits& limits, bool inline_allowed);

}  // namespace troupe::http
