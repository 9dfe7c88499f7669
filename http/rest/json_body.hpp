#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "base/bytes.hpp"
#include "http/message/http_error.hpp"

/// JSON of small, rare requests and answers, by nlohmann. Nothing here throws.
namespace troupe::http {

using Json = nlohmann::ordered_json;

/// The object that `body` holds, with no other members than `known`. 400 naming what is wrong.
std::optional<HttpError> read_json_object(ByteBuffer body, std::initializer_list<std::string_view> known, Json& out);

/// A number of 32 bits, larger ones cut to the largest, negative ones to -1; nullopt for what is no whole number.
std::optional<std::int32_t> whole_number(const Json& value);
/// The member as `whole_number`; missing or null: `out` stays. 400 for anything else.
std::optional<HttpError> read_count(const Json& body, const char* name, std::optional<std::int32_t>& out);
/// The same for true and false.
std::optional<HttpError> read_flag(const Json& body, const char* name, bool& out);
/// The value of a setting: text, or a number or a truth value written as such. nullopt for anything else.
std::optional<std::string> setting_text(const Json& value);

/// As text; what is not UTF-8 is replaced.
std::string dump(const Json& json);

}  // namespace troupe::http
