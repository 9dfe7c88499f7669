#include "http/json/json_slicer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace troupe::http {
namespace {

/// What ends a stretch of numbers, words, colons and space inside of a value.
constexpr auto structural = [] {
  std::array<bool, 256> marked{};
  for (const unsigned char character : {'"', '{', '[', '}', ']', ','}) marked[character] = true;
  return marked;
}();
bool is_structural(char character) { return structural[static_cast<unsigned char>(character)]; }

bool is_space(char character) { return character == ' ' || character == '\n' || character == '\r' || character == '\t'; }

/// Of eight bytes, how many come before the first quote or backslash. Without a branch a string of a few bytes costs no misprediction.
std::ptrdiff_t plain_bytes(const char* eight) {
  constexpr std::uint64_t ones = 0x0101010101010101U;
  constexpr std::uint64_t highs = ones << 7U;
  std::uint64_t word = 0;
  std::memcpy(&word, eight, sizeof word);
  if constexpr (std::endian::native == std::endian::big) word = __builtin_bswap64(word);
  // The lowest bit that is left stands for the first byte that is zero; those above it may be wrong.
  const auto zeros = [](std::uint64_t bytes) { return (bytes - ones) & ~bytes & highs; };
  return std::countr_zero(zeros(word ^ ones * '"') | zeros(word ^ ones * '\\')) / 8;
}

/// Behind the string whose opening quote is at `at`.
char* string_end(char* at, char* end) {
  ++at;
  while (at < end) {
    if (end - at >= 8) {
      const auto plain = plain_bytes(at);
      at += plain;
      if (plain == 8) continue;
    }
    if (*at == '"') return at + 1;
    at += *at == '\\' ? 2 : 1;
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
    } else if (open == 0) {
      if (is_space(character)) break;
      ++at_;
      continue;  // a number or word
    } else {
      do ++at_;
      while (at_ < end_ && !is_structural(*at_));
    }
    if (open == 0) break;
  }
  value.end = at_;
  return value;
}

void JsonSlicer::leave(const JsonSlicer& inside) {
  at_ = inside.at_;
  if (at_ < end_) ++at_;  // the closing bracket
  elements_ += 1 + inside.elements_;
}

bool JsonSlicer::next(std::string_view& name) {
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
  return true;
}

bool JsonSlicer::next(std::string_view& name, JsonSlice& value) {
  if (!next(name)) return false;
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
