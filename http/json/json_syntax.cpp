#include "http/json/json_syntax.hpp"

#include <simdjson.h>

#include <algorithm>
#include <cstdint>

namespace troupe::http {
namespace {

constexpr unsigned depth_max = 64;

/// Walks over JSON text. Which brackets are open is one bit a level: 1 an object, 0 an array.
class Walk {
 public:
  explicit Walk(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

  ///        +---- value ----+ scalar, or the bracket that closes
  ///        v               |
  ///   [ open ] --------> [ after ] -- ',' --> [ name ':' in an object ] --> value
  bool run() {
    if (!value()) return false;
    while (depth_ > 0) {
      skip_space();
      if (at_ == end_) return false;
      const char character = *at_++;
      if (character == ',') {
        if (in_object() && !name()) return false;
        if (!value()) return false;
      } else if (character == (in_object() ? '}' : ']')) {
        --depth_;
      } else {
        return false;
      }
    }
    skip_space();
    return at_ == end_;
  }

 private:
  bool in_object() const { return (brackets_ >> (depth_ - 1) & 1U) != 0; }

  void skip_space() {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }
  bool literal(std::string_view word) {
    if (static_cast<std::size_t>(end_ - at_) < word.size() || std::string_view(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  bool digits() {
    const auto* start = at_;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    return at_ != start;
  }
  bool number() {
    if (*at_ == '-') ++at_;
    if (at_ != end_ && *at_ == '0') {
      ++at_;
    } else if (!digits()) {
      return false;
    }
    if (at_ != end_ && *at_ == '.') {
      ++at_;
      if (!digits()) return false;
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
      ++at_;
      if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
      if (!digits()) return false;
    }
    return true;
  }
  bool hex_digits() {
    for (int i = 0; i < 4; ++i, ++at_) {
      if (at_ == end_) return false;
      const char digit = *at_;
      if (!((digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f') || (digit >= 'A' && digit <= 'F')))
        return false;
    }
    return true;
  }
  /// From behind the opening quote to behind the closing one.
  bool rest_of_string() {
    while (at_ != end_) {
      const char character = *at_++;
      if (character == '"') return true;
      if (static_cast<unsigned char>(character) < 0x20U) return false;
      if (character != '\\') continue;
      if (at_ == end_) return false;
      const char escape = *at_++;
      if (escape == 'u') {
        if (!hex_digits()) return false;
      } else if (std::string_view("\"\\/bfnrt").find(escape) == std::string_view::npos) {
        return false;
      }
    }
    return false;
  }
  bool name() {
    skip_space();
    if (at_ == end_ || *at_++ != '"' || !rest_of_string()) return false;
    skip_space();
    return at_ != end_ && *at_++ == ':';
  }
  /// A scalar, or all opening brackets up to the first scalar within, or up to an empty pair.
  bool value() {
    while (true) {
      skip_space();
      if (at_ == end_) return false;
      switch (*at_) {
        case '{':
        case '[': {
          const bool object = *at_++ == '{';
          skip_space();
          if (depth_ == depth_max) return false;
          if (at_ != end_ && *at_ == (object ? '}' : ']')) {
            ++at_;
            return true;
          }
          const auto bit = std::uint64_t{1} << depth_;
          brackets_ = object ? brackets_ | bit : brackets_ & ~bit;
          ++depth_;
          if (object && !name()) return false;
          continue;
        }
        case '"': ++at_; return rest_of_string();
        case 't': return literal("true");
        case 'f': return literal("false");
        case 'n': return literal("null");
        default: return (*at_ == '-' || (*at_ >= '0' && *at_ <= '9')) && number();
      }
    }
  }

  const char* at_;
  const char* end_;
  unsigned depth_ = 0;
  std::uint64_t brackets_ = 0;
};

}  // namespace

namespace {

bool is_space(char character) { return character == ' ' || character == '\n' || character == '\r' || character == '\t'; }

/// The place behind the value that begins at `at`, told by brackets and strings; the end of the text when it is not closed.
std::size_t behind_value(std::string_view text, std::size_t at) {
  std::size_t depth = 0;
  bool quoted = false;
  for (; at < text.size(); ++at) {
    const char character = text[at];
    if (quoted) {
      if (character == '\\') {
        ++at;
      } else if (character == '"') {
        quoted = false;
        if (depth == 0) return at + 1;
      }
      continue;
    }
    if (character == '"') {
      quoted = true;
    } else if (character == '{' || character == '[') {
      ++depth;
    } else if (character == '}' || character == ']') {
      if (depth == 0) return at;  // of the object around
      if (--depth == 0) return at + 1;
    } else if (depth == 0 && (character == ',' || is_space(character))) {
      return at;
    }
  }
  return text.size();
}

}  // namespace

std::vector<JsonMember> json_members(std::string_view object) {
  std::vector<JsonMember> members;
  std::size_t at = 0;
  const auto skip = [&](std::string_view more) {
    while (at < object.size() && (is_space(object[at]) || more.find(object[at]) != std::string_view::npos)) ++at;
  };
  skip("");
  if (at == object.size() || object[at] != '{') return members;
  ++at;
  while (true) {
    skip(",");
    if (at >= object.size() || object[at] != '"') return members;
    const auto name_end = behind_value(object, at);
    const auto name = object.substr(at + 1, name_end - at - 2);
    at = name_end;
    skip(":");
    const auto value_end = behind_value(object, at);
    members.push_back({name, object.substr(at, value_end - at)});
    at = value_end;
  }
}

std::vector<std::string_view> split_json(std::string_view text) {
  std::vector<std::string_view> pieces;
  std::size_t at = 0;
  while (true) {
    while (at < text.size() && is_space(text[at])) ++at;
    if (at == text.size()) return pieces;
    const auto end = std::max(behind_value(text, at), at + 1);
    pieces.push_back(text.substr(at, end - at));
    at = end;
  }
}

bool is_utf8(std::string_view text) noexcept { return simdjson::validate_utf8(text.data(), text.size()); }

bool is_json(std::string_view text) noexcept { return Walk(text).run() && is_utf8(text); }

}  // namespace troupe::http
