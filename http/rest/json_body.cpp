#include "http/rest/json_body.hpp"

#include <algorithm>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/nearest_name.hpp"
#include "http/json/json_check.hpp"
#include "http/json/produce_body.hpp"

namespace troupe::http {
namespace {

/// What the reader would take without a word: of two equal names the last one would win, and an object of many names would take time that
/// grows with their square. Text that has passed check_json.
struct FieldCheck final : nlohmann::json_sax<Json> {
  static constexpr std::size_t fields_max = 1'000;

  bool null() override { return true; }
  bool boolean(bool) override { return true; }
  bool number_integer(number_integer_t) override { return true; }
  bool number_unsigned(number_unsigned_t) override { return true; }
  bool number_float(number_float_t, const string_t&) override { return true; }
  bool string(string_t&) override { return true; }
  bool binary(binary_t&) override { return true; }
  bool start_array(std::size_t) override { return true; }
  bool end_array() override { return true; }
  bool start_object(std::size_t) override {
    open.emplace_back();
    return true;
  }
  bool end_object() override {
    open.pop_back();
    return true;
  }
  bool key(string_t& name) override {
    if (!open.back().insert(name).second) wrong = "the field " + shown(name) + " is there twice";
    if (open.back().size() > fields_max) wrong = "an object has more than " + std::to_string(fields_max) + " fields";
    return !wrong;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

  std::vector<std::set<std::string>> open = {};
  std::optional<std::string> wrong = {};
};

}  // namespace

std::optional<HttpError> read_json_object(ByteBuffer body, std::initializer_list<std::string_view> known, Json& out) {
  // Checked first: nlohmann's own reader has no limit of depth.
  if (body.capacity() < body.size() + json_padding_bytes) grow_capacity(body, body.size() + json_padding_bytes);
  const auto* const begin = reinterpret_cast<const char*>(body.data());
  if (body.empty()) return bad_request("the body is empty: a JSON object is wanted");
  if (auto wrong = check_json(begin, body.size())) return bad_request(std::move(*wrong));
  FieldCheck fields;
  Json::sax_parse(begin, begin + body.size(), &fields);
  if (fields.wrong) return bad_request(std::move(*fields.wrong));
  out = Json::parse(begin, begin + body.size(), nullptr, false);
  if (!out.is_object()) return bad_request("the body is no JSON object");
  for (const auto& [name, value] : out.items()) {
    if (std::ranges::find(known, std::string_view(name)) != known.end()) continue;
    std::string message = "there is no field " + shown(name);
    if (const auto near = nearest_name(name, std::span(known.begin(), known.size())))
      message += "; " + std::string(*near) + "?";
    return bad_request(message);
  }
  return std::nullopt;
}

std::optional<std::int32_t> whole_number(const Json& value) {
  constexpr std::int64_t largest = std::numeric_limits<std::int32_t>::max();
  if (!value.is_number_integer()) return std::nullopt;
  const auto number = value.is_number_unsigned()
                          ? static_cast<std::int64_t>(std::min<std::uint64_t>(value.get<std::uint64_t>(), largest))
                          : value.get<std::int64_t>();
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(number, -1, largest));
}

std::optional<HttpError> read_count(const Json& body, const char* name, std::optional<std::int32_t>& out) {
  const auto found = body.find(name);
  if (found == body.end() || found->is_null()) return std::nullopt;
  const auto number = whole_number(*found);
  if (!number) return bad_request(std::string(name) + " is a whole number");
  out = number;
  return std::nullopt;
}

std::optional<HttpError> read_flag(const Json& body, const char* name, bool& out) {
  const auto found = body.find(name);
  if (found == body.end() || found->is_null()) return std::nullopt;
  if (!found->is_boolean()) return bad_request(std::string(name) + " is true or false");
  out = found->get<bool>();
  return std::nullopt;
}

std::optional<std::string> setting_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_integer() || value.is_boolean()) return dump(value);
  return std::nullopt;
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace troupe::http
