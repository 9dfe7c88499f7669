#include "http/router/router.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/nearest_name.hpp"
#include "http/message/framing.hpp"

namespace troupe::http {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Whether an Accept field allows `type`. Preferences are not weighed: there is one form of each answer.
bool accepts(std::string_view field, std::string_view type) {
  type = type.substr(0, type.find(';'));
  const auto family = type.substr(0, type.find('/'));
  while (!field.empty()) {
    const auto comma = std::min(field.find(','), field.size());
    const auto range = trimmed(field.substr(0, std::min(comma, field.find(';'))));
    field.remove_prefix(std::min(comma + 1, field.size()));
    if (range == "*/*" || range == "*" || equal_ignoring_case(range, type)) return true;
    if (range.ends_with("/*") && equal_ignoring_case(range.substr(0, range.size() - 2), family)) return true;
  }
  return false;
}

bool charset_is_utf8(std::string_view content_type) {
  auto at = content_type.find(';');
  while (at != std::string_view::npos) {
    const auto end = std::min(content_type.find(';', at + 1), content_type.size());
    const auto parameter = trimmed(content_type.substr(at + 1, end - at - 1));
    const auto equals = std::min(parameter.find('='), parameter.size());
    if (equal_ignoring_case(parameter.substr(0, equals), "charset")) {
      auto value = parameter.substr(std::min(equals + 1, parameter.size()));
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"') value = value.substr(1, value.size() - 2);
      return equal_ignoring_case(value, "utf-8") || equal_ignoring_case(value, "utf8") ||
             equal_ignoring_case(value, "us-ascii");
    }
    at = end == content_type.size() ? std::string_view::npos : end;
  }
  return true;
}

std::string_view type_of(const Route& route) {
  if (!route.answer_type.empty()) return route.answer_type;
  return route.dialect == Dialect::v2 ? v2_type : json_type;
}

std::optional<HttpError> check_content_type(const Route& route, const RequestHead& head, bool has_body) {
  const auto given = head.field("Content-Type");
  if (route.body_types.empty() || (!given && !has_body)) return std::nullopt;
  const auto type = given ? media_type(*given) : std::string();
  if (std::ranges::find(route.body_types, std::string_view(type)) == route.body_types.end()) {
    std::string known;
    for (const auto one : route.body_types) known += (known.empty() ? "" : ", ") + std::string(one);
    return http_error(415, "unsupported", "Content-Type has to be one of: " + known);
  }
  if (!charset_is_utf8(*given)) return bad_request("charset can only be utf-8");
  return std::nullopt;
}

/// Streams have parameters that may be repeated.
std::optional<HttpError> check_parameters(const Route& route, const Query& query) {
  if (route.kind == RouteKind::handler) {
    if (auto wrong = query.check_unique()) return wrong;
  }
  if (route.dialect != Dialect::v1) return std::nullopt;
  for (const auto& [name, value] : query.all()) {
    if (std::ranges::find(route.query, std::string_view(name), &QueryParameter::name) != route.query.end()) continue;
    std::vector<std::string_view> known;
    for (const auto& one : route.query) known.push_back(one.name);
    std::string message = "there is no parameter " + shown(name);
    if (const auto near = nearest_name(name, known)) message += "; " + std::string(*near) + "?";
    return bad_request(message);
  }
  return std::nullopt;
}

}  // namespace

Router::Router(std::vector<Route> routes) : routes_(std::move(routes)) {
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    auto rest = routes_[i].pattern.substr(1);
    Pattern pattern{{}, i};
    while (!rest.empty()) {
      const auto slash = std::min(rest.find('/'), rest.size());
      pattern.segments.push_back(rest.substr(0, slash));
      rest.remove_prefix(std::min(slash + 1, rest.size()));
    }
    const auto size = pattern.segments.size();
    if (patterns_.size() <= size + 1) patterns_.resize(size + 2);
    if (const auto below = routes_[i].also_below; !below.empty()) {
      auto second = pattern;
      second.segments.insert(second.segments.begin(), below);
      patterns_[size + 1].push_back(std::move(second));
    }
    patterns_[size].push_back(std::move(pattern));
  }
}

bool Router::fits(const Pattern& pattern, const Target& target) {
  for (std::size_t i = 0; i < pattern.segments.size(); ++i) {
    const auto wanted = pattern.segments[i];
    const auto& segment = target.segments[i];
    if (wanted.front() != '{') {
      if (wanted != segment.text) return false;
    } else if (segment.reserved && wanted != "{key}") {
      return false;
    }
  }
  return true;
}

std::optional<HttpError> Router::find(Method method, const Target& target, Match& out) const {
  if (method == Method::head) method = Method::get;
  const auto size = target.segments.size();
  if (size < patterns_.size()) {
    for (const auto& pattern : patterns_[size]) {
      if (routes_[pattern.route].method != method || !fits(pattern, target)) continue;
      out.route = &routes_[pattern.route];
      out.parameters.clear();
      for (std::size_t i = 0; i < size; ++i) {
        if (pattern.segments[i].front() == '{') out.parameters.push_back(target.segments[i].text);
      }
      return std::nullopt;
    }
  }
  auto allow = allowed(target);
  if (allow.empty()) return http_error(404, "not_found", "there is nothing at this path");
  auto error = http_error(405, "unsupported", "this path knows " + allow);
  error.allow = std::move(allow);
  return error;
}

std::string Router::allowed(const Target& target) const {
  std::string all;
  const auto size = target.segments.size();
  if (size >= patterns_.size()) return all;
  for (const auto& pattern : patterns_[size]) {
    if (!fits(pattern, target)) continue;
    const auto method = routes_[pattern.route].method;
    all += std::string(to_string(method)) + ", ";
    if (method == Method::get) all += "HEAD, ";
  }
  return all.empty() ? all : all + "OPTIONS";
}

std::optional<HttpError> check_request(const Route& route, const RequestHead& head, bool has_body, const Query& query) {
  if (auto wrong = check_content_type(route, head, has_body)) return wrong;
  if (const auto accept = head.field("Accept"); accept && route.dialect != Dialect::plain && !route.any_answer) {
    if (!accept->empty() && !accepts(*accept, type_of(route))) {
      return http_error(406, "unsupported", "this is answered as " + std::string(type_of(route)));
    }
  }
  return check_parameters(route, query);
}

Response error_response(const HttpError& error, Dialect dialect) {
  Response response{.status = error.status,
                    .content_type = dialect == Dialect::v2 ? v2_type : json_type,
                    .body = error_body(error, dialect != Dialect::v2 && dialect != Dialect::v3),
                    .close = error.close};
  if (error.retry_after_ms)
    response.headers.emplace_back("Retry-After", std::to_string((*error.retry_after_ms + 999) / 1000));
  if (!error.allow.empty()) response.headers.emplace_back("Allow", error.allow);
  if (error.status == 426) {
    response.headers.emplace_back("Upgrade", "websocket");
    response.headers.emplace_back("Sec-WebSocket-Version", "13");
  }
  return response;
}

std::string media_type(std::string_view content_type) {
  std::string type(trimmed(content_type.substr(0, content_type.find(';'))));
  std::ranges::transform(type, type.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return type;
}

}  // namespace troupe::http
