#pragma once

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

/// As text; what is not UTF-8 is replaced.
std::string dump(const Json& json);

}  // namespace troupe::http
