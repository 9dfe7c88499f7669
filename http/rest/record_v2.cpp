#include "http/rest/record_v2.hpp"

#include <vector>

#include "base/base64.hpp"
#include "http/json/json_syntax.hpp"
#include "http/json/record_output.hpp"
#include "http/rest/answers.hpp"

namespace troupe::http {
namespace {

void append_base64_text(std::string& out, ByteView bytes) {
  out += '"';
  append_base64(out, bytes);
  out += '"';
}

/// False: it cannot be shown in that format. A key can always: one that is not JSON is a string.
bool append_part(std::string& out, const std::optional<ByteView>& bytes, consumer::RestFormat format, bool key) {
  if (!bytes) {
    out += "null";
    return true;
  }
  const auto text = as_text(*bytes);
  if (format == consumer::RestFormat::binary) {
    append_base64_text(out, *bytes);
  } else if (format == consumer::RestFormat::json && is_json(text)) {
    out += text;
  } else if ((format == consumer::RestFormat::text || key) && is_utf8(text)) {
    append_json_string(out, text);
  } else if (key) {
    append_base64_text(out, *bytes);
  } else {
    return false;
  }
  return true;
}

/// As Strimzi's bridge writes them.
void append_metadata(std::string& out, const record::RecordView& record) {
  out += ",\"timestamp\":";
  append_number(out, record.timestamp.value());
  out += ",\"headers\":[";
  const auto headers = record::decode_headers(record);
  for (const auto& header : headers ? *headers : std::vector<record::RecordHeader>{}) {
    if (as_text(header.key).starts_with("__troupe") || !is_utf8(as_text(header.key))) continue;
    out += out.back() == '[' ? "{\"key\":" : ",{\"key\":";
    append_json_string(out, as_text(header.key));
    out += ",\"value\":";
    if (header.value) {
      append_base64_text(out, *header.value);
    } else {
      out += "null";
    }
    out += '}';
  }
  out += ']';
}

}  // namespace

std::string_view records_type(consumer::RestFormat format) {
  switch (format) {
    case consumer::RestFormat::json: return "application/vnd.kafka.json.v2+json";
    case consumer::RestFormat::text: return "application/vnd.kafka.text.v2+json";
    case consumer::RestFormat::binary: break;
  }
  return "application/vnd.kafka.binary.v2+json";
}

bool append_record_v2(std::string& out, const std::string& topic, PartitionId partition, const record::RecordView& record,
                      const consumer::RestOptions& options) {
  const auto before = out.size();
  out += out.back() == '[' ? "{\"topic\":" : ",{\"topic\":";
  append_json_string(out, topic);
  out += ",\"key\":";
  append_part(out, record.key, options.format, true);
  out += ",\"value\":";
  if (!append_part(out, record.value, options.format, false)) {
    out.resize(before);
    return false;
  }
  out += ",\"partition\":";
  append_number(out, partition.value());
  out += ",\"offset\":";
  append_number(out, record.offset.value());
  if (options.with_metadata) append_metadata(out, record);
  out += '}';
  return true;
}

}  // namespace troupe::http
