#include <cstdint>
#include <string>

#include <nlohmann/json.hpp>

#include "base/assert.hpp"
#include "http/json/json_syntax.hpp"
#include "http/json/produce_body.hpp"

/// Bytes as a produce request's body: whatever is taken is JSON to another reader too, its values are JSON by themselves, and every record
/// points into the request's memory.
///
///   input = format u8, body (the rest)

using namespace troupe;
using namespace troupe::http;

namespace {

void check_inside(const Bytes& memory, const std::optional<ByteView>& view) {
  if (!view || view->empty()) return;
  TROUPE_ASSERT(view->data() >= memory.data() && view->data() + view->size() <= memory.data() + memory.size());
}

void check_lines(std::string_view body) {
  while (!body.empty()) {
    const auto end = std::min(body.find('\n'), body.size());
    const auto line = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    if (line.find_first_not_of(" \r\t") != std::string_view::npos) TROUPE_ASSERT(nlohmann::json::accept(line));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const auto format = static_cast<ProduceFormat>(data[0] % 6);
  const std::string text(reinterpret_cast<const char*>(data + 1), size - 1);
  ByteBuffer body;
  append_bytes(body, as_bytes(text));
  ProduceBody read;
  const Limits limits;
  if (const auto problem = read_produce_body(std::move(body), format, limits, read)) {
    TROUPE_ASSERT(!problem->message.empty() && read.input.records.empty());
    return 0;
  }
  TROUPE_ASSERT(!read.input.records.empty());
  if (format == ProduceFormat::v1_lines) {
    check_lines(text);
  } else {
    TROUPE_ASSERT(nlohmann::json::accept(text));
  }
  for (const auto& record : read.input.records) {
    check_inside(read.input.memory, record.key);
    check_inside(read.input.memory, record.value);
    for (const auto& header : record.headers) {
      check_inside(read.input.memory, header.key);
      check_inside(read.input.memory, header.value);
      TROUPE_ASSERT(is_utf8(as_text(header.key)));
    }
    if (format == ProduceFormat::v2_json && record.value) TROUPE_ASSERT(is_json(as_text(*record.value)));
    if (format == ProduceFormat::v2_json && record.key) TROUPE_ASSERT(is_utf8(as_text(*record.key)));
  }
  return 0;
}
