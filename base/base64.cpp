#include "base/base64.hpp"

#include <array>
#include <cstdint>

namespace troupe {
namespace {

constexpr std::string_view standard = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view for_urls = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::uint8_t not_a_digit = 64;

constexpr std::array<std::uint8_t, 256> digits_of(std::string_view alphabet) {
  std::array<std::uint8_t, 256> digits{};
  for (auto& digit : digits) digit = not_a_digit;
  for (std::size_t i = 0; i < alphabet.size(); ++i)
    digits[static_cast<unsigned char>(alphabet[i])] = static_cast<std::uint8_t>(i);
  return digits;
}

constexpr auto standard_digits = digits_of(standard);
constexpr auto url_digits = digits_of(for_urls);

void append(std::string& out, ByteView bytes, std::string_view alphabet, bool padded) {
  out.reserve(out.size() + (bytes.size() + 2) / 3 * 4);
  const auto at = [&](std::size_t i) { return std::to_integer<std::uint32_t>(bytes[i]); };
  std::size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3) {
    const auto three = at(i) << 16 | at(i + 1) << 8 | at(i + 2);
    for (const int shift : {18, 12, 6, 0}) out += alphabet[(three >> shift) & 63U];
  }
  const auto left = bytes.size() - i;
  if (left == 0) return;
  const auto last = at(i) << 16 | (left == 2 ? at(i + 1) << 8 : 0U);
  out += alphabet[(last >> 18) & 63U];
  out += alphabet[(last >> 12) & 63U];
  if (left == 2) out += alphabet[(last >> 6) & 63U];
  if (padded) out.append(3 - left, '=');
}

std::optional<ByteBuffer> decode(std::string_view text, const std::array<std::uint8_t, 256>& digits) {
  const auto left = text.size() % 4;
  if (left == 1) return std::nullopt;
  ByteBuffer bytes;
  bytes.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  unsigned held = 0;
  for (const char character : text) {
    const auto digit = digits[static_cast<unsigned char>(character)];
    if (digit == not_a_digit) return std::nullopt;
    bits = (bits << 6 | digit) & 0xffffU;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes.push_back(static_cast<std::byte>((bits >> held) & 0xffU));
    }
  }
  if ((bits & ((1U << held) - 1U)) != 0) return std::nullopt;
  return bytes;
}

}  // namespace

void append_base64(std::string& out, ByteView bytes) { append(out, bytes, standard, true); }
void append_base64_url(std::string& out, ByteView bytes) { append(out, bytes, for_urls, false); }

std::optional<ByteBuffer> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  for (int padding = 0; padding < 2 && text.ends_with('='); ++padding) text.remove_suffix(1);
  return decode(text, standard_digits);
}

std::optional<ByteBuffer> decode_base64_url(std::string_view text) { return decode(text, url_digits); }

}  // namespace troupe
