#include "http/router/target.hpp"

#include <algorithm>

#include "http/json/json_syntax.hpp"

namespace troupe::http {
namespace {

constexpr std::size_t pairs_max = 100;

int hex_digit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

/// False for a '%' that is not followed by two digits.
bool decode(std::string_view text, bool plus_is_space, std::string& out) {
  out.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      if (i + 2 >= text.size()) return false;
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return false;
      out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  return true;
}

HttpError nothing_here() { return http_error(404, "not_found", "there is nothing at this path"); }

}  // namespace

std::optional<HttpError> parse_target(std::string_view target, Target& out) {
  out = {};
  const auto question = target.find('?');
  out.path = target.substr(0, question);
  if (question != std::string_view::npos) out.query = target.substr(question + 1);

  auto rest = out.path.substr(1);
  while (!rest.empty()) {
    const auto slash = std::min(rest.find('/'), rest.size());
    Target::Segment segment;
    if (!decode(rest.substr(0, slash), false, segment.text)) return bad_request("the path's percent-encoding is broken");
    if (segment.text.empty() || segment.text == "." || segment.text == "..") return nothing_here();
    if (!is_utf8(segment.text)) return bad_request("the path is not UTF-8");
    constexpr std::string_view reserved{"/\\\0", 3};
    segment.reserved = segment.text.find_first_of(reserved) != std::string::npos;
    out.segments.push_back(std::move(segment));
    rest.remove_prefix(std::min(slash + 1, rest.size()));
  }
  return std::nullopt;
}

std::optional<HttpError> Query::parse(std::string_view text, Query& out) {
  out.pairs_.clear();
  while (!text.empty()) {
    const auto end = std::min(text.find('&'), text.size());
    const auto pair = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (pair.empty()) continue;
    const auto equals = std::min(pair.find('='), pair.size());
    std::string name, value;
    if (!decode(pair.substr(0, equals), true, name) ||
        !decode(pair.substr(std::min(equals + 1, pair.size())), true, value)) {
      return bad_request("the query's percent-encoding is broken");
    }
    if (!is_utf8(name) || !is_utf8(value)) return bad_request("the query is not UTF-8");
    if (out.pairs_.size() == pairs_max) return bad_request("the query has more than 100 parameters");
    out.pairs_.emplace_back(std::move(name), std::move(value));
  }
  return std::nullopt;
}

std::optional<HttpError> Query::check_unique() const {
  for (std::size_t i = 0; i < pairs_.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (pairs_[i].first == pairs_[j].first)
        return bad_request("a query parameter is there twice: " + shown(pairs_[i].first));
    }
  }
  return std::nullopt;
}

std::optional<std::string_view> Query::find(std::string_view name) const {
  for (const auto& [known, value] : pairs_) {
    if (known == name) return value;
  }
  return std::nullopt;
}

}  // namespace troupe::http
