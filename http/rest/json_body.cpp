#include "http/rest/json_body.hpp"

#include <algorithm>
#include <limits>
#include <set>
#include <span>

#include "base/nearest_name.hpp"
#include "http/json/json_check.hpp"
#include "http/json/produce_body.hpp"

namespace troupe::http {

std::optional<HttpError> read_json_object(ByteBuffer body, std::initializer_list<std::string_view> known, Json& out) {
  // Checked first: nlohmann's own reader has no limit of depth.
  if (body.capacity() < body.size() + json_padding_bytes) grow_capacity(body, body.size() + json_padding_bytes);
  const auto* const begin = reinterpret_cast<const char*>(body.data());
  if (body.empty()) return bad_request("the body is empty: a JSON object is wanted");
  if (auto wrong = check_json(begin, body.size())) return bad_request(std::move(*wrong));
  // The last one of two equal names would win without a word.
  std::vector<std::set<std::string>> open;
  std::optional<std::string> twice;
  const auto once = [&](int, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) open.emplace_back();
    if (event == Json::parse_event_t::object_end) open.pop_back();
    if (event == Json::parse_event_t::key && !open.back().insert(parsed.get<std::string>()).second) {
      twice = parsed.get<std::string>();
    }
    return true;
  };
  out = Json::parse(begin, begin + body.size(), once, false);
  if (twice) return bad_request("the field " + shown(*twice) + " is there twice");
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
