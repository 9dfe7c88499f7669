#include "http/json/record_output.hpp"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/base64.hpp"
#include "http/json/json_syntax.hpp"

namespace troupe::http {
namespace {

constexpr std::string_view internal_header_prefix = "__troupe";

void append_number(std::string& out, std::int64_t number) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append(digits.data(), end);
}

void append_quoted_base64(std::string& out, ByteView bytes) {
  out += '"';
  append_base64(out, bytes);
  out += '"';
}

/// A header's name should be text; one that is not is shown with U+FFFD for each byte beyond ASCII, its value as it is.
void append_name(std::string& out, ByteView name) {
  const auto text = as_text(name);
  if (is_utf8(text)) return append_json_string(out, text);
  std::string readable;
  for (const char character : text) {
    if (static_cast<unsigned char>(character) < 0x80U) {
      readable += character;
    } else {
      readable += "\xef\xbf\xbd";
    }
  }
  append_json_string(out, readable);
}

/// JSON on one line: an event stream ends a field at a line end, a socket ends a frame there. In JSON a raw line end stands between
/// tokens only, and tokens do not need it to be told apart.
void append_one_line(std::string& out, std::string_view json) {
  if (json.find_first_of("\r\n") == std::string_view::npos) {
    out += json;
    return;
  }
  std::ranges::copy_if(json, std::back_inserter(out), [](char character) { return character != '\r' && character != '\n'; });
}

void append_key(std::string& out, const std::optional<ByteView>& key, RecordFormat format) {
  if (!key) {
    out += ",\"k\":null";
  } else if (format != RecordFormat::binary && is_utf8(as_text(*key))) {
    out += ",\"k\":";
    append_json_string(out, as_text(*key));
  } else {
    out += ",\"kb\":";
    append_quoted_base64(out, *key);
  }
}

void append_value(std::string& out, const std::optional<ByteView>& value, RecordFormat format) {
  if (!value) {
    out += ",\"v\":null,\"del\":true";
    return;
  }
  const auto text = as_text(*value);
  if ((format == RecordFormat::auto_ || format == RecordFormat::json) && is_json(text)) {
    out += ",\"v\":";
    append_one_line(out, text);
  } else if ((format == RecordFormat::auto_ || format == RecordFormat::text) && is_utf8(text)) {
    out += ",\"v\":";
    append_json_string(out, text);
  } else {
    out += ",\"vb\":";
    append_quoted_base64(out, *value);
  }
}

/// Whether the headers can be shown as an object of strings.
bool fit_an_object(const std::vector<record::RecordHeader>& headers) {
  for (auto one = headers.begin(); one != headers.end(); ++one) {
    if (!one->value || !is_utf8(as_text(*one->value)) || !is_utf8(as_text(one->key))) return false;
    const bool repeated =
        std::any_of(headers.begin(), one, [&](const auto& before) { return as_text(before.key) == as_text(one->key); });
    if (repeated) return false;
  }
  return true;
}

void append_headers(std::string& out, const record::RecordView& record, RecordFormat format) {
  if (record.headers_count == 0) return;
  auto decoded = record::decode_headers(record);
  if (!decoded) return;
  auto& headers = *decoded;
  std::erase_if(headers, [](const auto& header) { return as_text(header.key).starts_with(internal_header_prefix); });
  if (headers.empty()) return;

  const bool object = format != RecordFormat::binary && fit_an_object(headers);
  out += object ? ",\"h\":{" : ",\"hb\":[";
  bool first = true;
  for (const auto& header : headers) {
    if (!first) out += ',';
    first = false;
    if (object) {
      append_json_string(out, as_text(header.key));
      out += ':';
      append_json_string(out, as_text(*header.value));
      continue;
    }
    out += '[';
    append_name(out, header.key);
    out += ',';
    if (header.value) {
      append_quoted_base64(out, *header.value);
    } else {
      out += "null";
    }
    out += ']';
  }
  out += object ? '}' : ']';
}

}  // namespace

Result<RecordFormat> parse_record_format(std::string_view text) {
  if (text == "auto") return RecordFormat::auto_;
  if (text == "json") return RecordFormat::json;
  if (text == "text") return RecordFormat::text;
  if (text == "binary") return RecordFormat::binary;
  return Error{Errc::invalid_argument, "format: wants auto, json, text or binary"};
}

void append_json_string(std::string& out, std::string_view text) {
  static constexpr std::string_view hex = "0123456789abcdef";
  out += '"';
  std::size_t plain_from = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto character = static_cast<unsigned char>(text[i]);
    if (character >= 0x20U && character != '"' && character != '\\') continue;
    out.append(text, plain_from, i - plain_from);
    plain_from = i + 1;
    out += '\\';
    switch (character) {
      case '"':
      case '\\': out += text[i]; break;
      case '\n': out += 'n'; break;
      case '\r': out += 'r'; break;
      case '\t': out += 't'; break;
      default:
        out += "u00";
        out += hex[character >> 4];
        out += hex[character & 15U];
    }
  }
  out.append(text, plain_from);
  out += '"';
}

void append_record(std::string& out, PartitionId partition, const record::RecordView& record, RecordFormat format) {
  out += "{\"p\":";
  append_number(out, partition.value());
  out += ",\"o\":";
  append_number(out, record.offset.value());
  out += ",\"ts\":";
  append_number(out, record.timestamp.value());
  append_key(out, record.key, format);
  append_value(out, record.value, format);
  append_headers(out, record, format);
  out += '}';
}

}  // namespace troupe::http
