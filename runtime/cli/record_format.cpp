#include "runtime/cli/record_format.hpp"

#include "base/base64.hpp"
#include "runtime/cli/output.hpp"
#include "runtime/cli/table.hpp"
#include "runtime/client/json_slice.hpp"
#include "runtime/config/value_text.hpp"

namespace troupe::cli {
namespace {

constexpr std::string_view verbs = "tpokvhT";

Result<std::optional<std::string>> bytes_of(std::string_view json, std::string_view name, std::string_view base64_name) {
  if (const auto encoded = client::json_member(json, base64_name)) {
    const auto text = Json::parse(*encoded, nullptr, false);
    const auto bytes = text.is_string() ? decode_base64(text.get_ref<const std::string&>()) : std::nullopt;
    if (!bytes) return Error{Errc::corrupt_message, "a record whose " + std::string(base64_name) + " is no base64"};
    return std::optional(std::string(as_text(*bytes)));
  }
  const auto raw = client::json_member(json, name);
  if (!raw) return std::optional<std::string>();
  if (!raw->starts_with('"')) return std::optional(client::on_one_line(*raw));
  const auto text = Json::parse(*raw, nullptr, false);
  if (!text.is_string()) return Error{Errc::corrupt_message, "a record whose " + std::string(name) + " is no JSON"};
  return std::optional(text.get<std::string>());
}

std::string raw_member(std::string_view json, std::string_view name) {
  return std::string(client::json_member(json, name).value_or(""));
}

}  // namespace

Result<ShownRecord> parse_shown_record(std::string_view json) {
  ShownRecord record{
      .partition = raw_member(json, "p"), .offset = raw_member(json, "o"), .timestamp = raw_member(json, "ts")};
  if (record.offset.empty()) return Error{Errc::corrupt_message, "the node's answer has a record without offset"};
  TROUPE_TRY_ASSIGN(record.value, bytes_of(json, "v", "vb"));
  if (client::json_member(json, "del") == "true") record.value.reset();
  TROUPE_TRY_ASSIGN(record.key, bytes_of(json, "k", "kb"));
  if (client::json_member(json, "k") == "null") record.key.reset();
  const auto headers = client::json_member(json, "h");
  record.headers = client::on_one_line(headers ? *headers : client::json_member(json, "hb").value_or("{}"));
  return record;
}

Result<RecordFormat> RecordFormat::parse(std::string_view text) {
  RecordFormat format;
  const auto wrong = [&](std::size_t at) {
    return Error{Errc::invalid_argument,
                 "-f: " + runtime::quote(text.substr(at, 2)) +
                     " means nothing; there are %t topic, %p partition, %o offset, %k key, %v value, "
                     "%h headers, %T timestamp in ms, %%, \\n, \\t, \\r, \\0, \\\\"};
  };
  const auto add_text = [&](char letter) {
    if (format.parts_.empty() || format.parts_.back().verb != 0) format.parts_.emplace_back();
    format.parts_.back().text += letter;
  };
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char letter = text[i];
    if (letter != '%' && letter != '\\') {
      add_text(letter);
      continue;
    }
    const char next = i + 1 < text.size() ? text[i + 1] : '\0';
    if (letter == '%' && next != '\0' && verbs.find(next) != std::string_view::npos) {
      format.parts_.push_back({next});
    } else if (next == letter) {
      add_text(letter);
    } else if (letter == '\\' && std::string_view("ntr0").find(next) != std::string_view::npos) {
      add_text(next == 'n' ? '\n' : next == 't' ? '\t' : next == 'r' ? '\r' : '\0');
    } else {
      return wrong(i);
    }
    ++i;
  }
  return format;
}

std::string RecordFormat::apply(const ShownRecord& record, const std::string& topic, bool for_terminal) const {
  const auto shown_bytes = [&](const std::optional<std::string>& bytes) {
    if (!bytes) return std::string("null");
    return for_terminal ? plain(*bytes) : *bytes;
  };
  std::string out;
  for (const auto& part : parts_) {
    switch (part.verb) {
      case 't': out += topic; break;
      case 'p': out += record.partition; break;
      case 'o': out += record.offset; break;
      case 'k': out += shown_bytes(record.key); break;
      case 'v': out += shown_bytes(record.value); break;
      case 'h': out += for_terminal ? plain(record.headers) : record.headers; break;
      case 'T': out += record.timestamp; break;
      default: out += part.text; break;
    }
  }
  return out;
}

}  // namespace troupe::cli
