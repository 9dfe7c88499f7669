#include "http/json/json_slicer.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace troupe::http {
namespace {

bool is_space(char character) { return character == ' ' || character == '\n' || character == '\r' || character == '\t'; }

/// Behind the string whose opening quote is at `at`.
char* string_end(char* at, char* end) {
  ++at;
  while (at < end) {
    auto* const quote = static_cast<char*>(std::memchr(at, '"', static_cast<std::size_t>(end - at)));
    if (quote == nullptr) return end;
    auto* const escape = static_cast<char*>(std::memchr(at, '\\', static_cast<std::size_t>(quote - at)));
    if (escape == nullptr) return quote + 1;
    at = std::min(escape + 2, end);
  }
  return end;
}

std::uint32_t hex4(const char* at) {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const char digit = at[i];
    const auto bits = digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10;
    value = value << 4U | static_cast<std::uint32_t>(bits & 15);
  }
  return value;
}

char* put_utf8(char* out, std::uint32_t code) {
  const auto put = [&out](std::uint32_t byte) { *out++ = static_cast<char>(byte); };
  if (code < 0x80U) {
    put(code);
  } else if (code < 0x800U) {
    put(0xc0U | code >> 6U), put(0x80U | (code & 0x3fU));
  } else if (code < 0x10000U) {
    put(0xe0U | code >> 12U), put(0x80U | (code >> 6U & 0x3fU)), put(0x80U | (code & 0x3fU));
  } else {
    put(0xf0U | code >> 18U), put(0x80U | (code >> 12U & 0x3fU)), put(0x80U | (code >> 6U & 0x3fU)),
        put(0x80U | (code & 0x3fU));
  }
  return out;
}

char unescaped(char letter) {
  switch (letter) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    default: return letter;
  }
}

}  // namespace

void JsonSlicer::skip_space() {
  while (at_ < end_ && is_space(*at_)) ++at_;
}

JsonSlice JsonSlicer::take_value() {
  JsonSlice value{at_, at_};
  ++elements_;
  std::size_t open = 0;
  while (at_ < end_) {
    const char character = *at_;
    if (character == '"') {
      at_ = string_end(at_, end_);
    } else if (character == '{' || character == '[') {
      depth_ = std::max(depth_, ++open);
      ++elements_;
      ++at_;
    } else if (character == '}' || character == ']') {
      if (open == 0) break;  // the one around this value
      --open;
      ++at_;
    } else if (character == ',') {
      if (open == 0) break;
      ++elements_;
      ++at_;
    } else if (open == 0 && is_space(character)) {
      break;
    } else {
      ++at_;
      if (open == 0) continue;  // a number or word
    }
    if (open == 0) break;
  }
  value.end = at_;
  return value;
}

bool JsonSlicer::next(std::string_view& name, JsonSlice& value) {
  skip_space();
  if (at_ < end_ && *at_ == ',') ++at_;
  skip_space();
  if (at_ >= end_ || *at_ == '}' || *at_ == ']') return false;
  name = {};
  if (*at_ == '"') {
    auto* const quote = at_;
    auto* const behind = string_end(at_, end_);
    auto* after = behind;
    while (after < end_ && is_space(*after)) ++after;
    if (after < end_ && *after == ':') {
      name = {quote + 1, static_cast<std::size_t>(behind - quote - 2)};
      at_ = after + 1;
      skip_space();
    }
  }
  value = take_value();
  return value.begin < value.end;
}

JsonSlice JsonSlicer::root(char* begin, char* end) {
  while (begin < end && is_space(*begin)) ++begin;
  while (begin < end && is_space(end[-1])) --end;
  return {begin, end};
}

ByteView unescape_in_place(JsonSlice string) {
  char* const begin = string.begin + 1;
  char* const end = string.end - 1;
  auto* at = static_cast<char*>(std::memchr(begin, '\\', static_cast<std::size_t>(end - begin)));
  if (at == nullptr) return as_bytes({begin, static_cast<std::size_t>(end - begin)});
  auto* out = at;
  while (at < end) {
    if (*at != '\\' || end - at < 2) {
      *out++ = *at++;
    } else if (at[1] != 'u' || end - at < 6) {
      *out++ = unescaped(at[1]);
      at += 2;
    } else {
      auto code = hex4(at + 2);
      at += 6;
      if (code >= 0xd800U && code < 0xdc00U && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
        code = 0x10000U + ((code - 0xd800U) << 10U) + (hex4(at + 2) - 0xdc00U);
        at += 6;
      }
      out = put_utf8(out, code);
    }
  }
  return as_bytes({begin, static_cast<std::size_t>(out - begin)});
}

}  // namespace troupe::http
