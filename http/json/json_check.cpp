#include "http/json/json_check.hpp"

#include <nlohmann/json.hpp>
#include <simdjson.h>

#include "http/json/produce_body.hpp"

namespace troupe::http {
namespace {

static_assert(json_padding_bytes >= simdjson::SIMDJSON_PADDING);

constexpr std::size_t depth_max = 80;  // the document's; a value's own limit is looked at by its reader
constexpr std::size_t kept_bytes_max = std::size_t{1} << 20;      // a parser keeps about 13 times its largest document
constexpr std::size_t located_bytes_max = std::size_t{64} << 10;  // finding the place is slow

/// Finds where a document goes wrong. The fast parser says only that it does.
class Locator final : public nlohmann::json_sax<nlohmann::json> {
 public:
  std::optional<std::size_t> position;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_object(std::size_t) override { return true; }
  bool key(string_t&) override { return true; }
  bool end_object() override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool parse_error(std::size_t at, const std::string&, const nlohmann::detail::exception&) override {
    position = at;
    return false;
  }
};

/// Whether brackets outside of strings are open on more than `levels`. The fast parser does not get there when one is left open.
bool deeper_than(const char* begin, std::size_t size, std::size_t levels) {
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < size; ++i) {
    if (begin[i] == '"') quoted = !quoted;
    if (quoted && begin[i] == '\\') ++i;
    if (quoted) continue;
    if ((begin[i] == '[' || begin[i] == '{') && ++depth > levels) return true;
    if ((begin[i] == ']' || begin[i] == '}') && depth > 0) --depth;
  }
  return false;
}

std::string describe(simdjson::error_code error, const char* begin, std::size_t size) {
  if (error == simdjson::DEPTH_ERROR || deeper_than(begin, size, depth_max)) {
    return "the JSON is nested deeper than 64 levels";
  }
  const std::string_view text{begin, size};
  if (text.starts_with("\xef\xbb\xbf")) return "not JSON: it begins with a byte order mark, at byte 0";
  std::string message = "not JSON: ";
  switch (error) {
    case simdjson::EMPTY: message += "it is empty"; break;
    case simdjson::UTF8_ERROR: message += "it is not UTF-8"; break;
    case simdjson::NUMBER_ERROR: message += "a number is malformed or out of range"; break;
    case simdjson::STRING_ERROR: message += "a string is malformed"; break;
    case simdjson::UNCLOSED_STRING: message += "a string does not end"; break;
    case simdjson::UNESCAPED_CHARS: message += "a string holds a control character"; break;
    default: message += "it is malformed"; break;
  }
  if (size > located_bytes_max) return message;
  Locator locator;
  try {
    nlohmann::json::sax_parse(begin, begin + size, &locator);
  } catch (const std::exception&) {
    return message;
  }
  if (locator.position) message += ", at byte " + std::to_string(*locator.position == 0 ? 0 : *locator.position - 1);
  return message;
}

}  // namespace

std::optional<std::string> check_json(const char* begin, std::size_t size) {
  const auto check = [&](simdjson::dom::parser& parser) -> std::optional<std::string> {
    if (parser.max_depth() != depth_max || parser.capacity() < size) {
      if (parser.allocate(std::max<std::size_t>(size, 4096), depth_max) != simdjson::SUCCESS)
        return "there is no memory for it";
    }
    simdjson::dom::element root;
    const auto error = parser.parse(begin, size, false).get(root);
    if (error != simdjson::SUCCESS) return describe(error, begin, size);
    return std::nullopt;
  };
  if (size > kept_bytes_max) {
    simdjson::dom::parser once;
    return check(once);
  }
  thread_local simdjson::dom::parser kept;
  return check(kept);
}

}  // namespace troupe::http
