#include "runtime/client/url.hpp"

#include <algorithm>

#include "runtime/config/value_text.hpp"

namespace troupe::client {
namespace {

constexpr std::string_view unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

Error wrong(std::string_view text, std::string_view why) {
  return {Errc::invalid_argument, runtime::quote(text) + " is no address of a node: " + std::string(why)};
}

bool starts_without_case(std::string_view text, std::string_view lower_prefix) {
  return text.size() >= lower_prefix.size() &&
         std::equal(lower_prefix.begin(), lower_prefix.end(), text.begin(),
                    [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b); });
}

}  // namespace

std::string Url::authority() const {
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

Result<Url> parse_url(std::string_view text) {
  auto rest = text;
  if (starts_without_case(rest, "https://")) return wrong(text, "https is not spoken yet; use http://");
  const bool has_scheme = starts_without_case(rest, "http://");
  if (has_scheme) rest.remove_prefix(7);
  if (!has_scheme && rest.find("://") != std::string_view::npos) return wrong(text, "use http://HOST:PORT");

  const auto slash = std::min(rest.find('/'), rest.size());
  auto prefix = rest.substr(slash);
  auto authority = rest.substr(0, slash);
  while (prefix.ends_with('/')) prefix.remove_suffix(1);
  if (prefix.find_first_not_of(std::string(unreserved) + "/%!$&'()*+,;=:@") != std::string_view::npos) {
    return wrong(text, "what follows the host must be a plain path");
  }

  Url url{.port = 80, .prefix = std::string(prefix)};
  const bool brackets = authority.starts_with('[');
  const auto host_end = brackets ? authority.find(']') : authority.rfind(':');
  if (brackets && host_end == std::string_view::npos) return wrong(text, "\"]\" is missing");
  url.host = brackets ? authority.substr(1, host_end - 1) : authority.substr(0, host_end);
  const auto allowed = brackets ? "0123456789abcdefABCDEF:." : std::string(unreserved);
  if (url.host.empty() || url.host.find_first_not_of(allowed) != std::string::npos)
    return wrong(text, "use http://HOST:PORT");

  authority.remove_prefix(std::min(authority.size(), brackets ? host_end + 1 : host_end));
  if (authority.empty())
    return has_scheme ? Result<Url>(url) : wrong(text, "the port is missing, as in " + url.host + ":8080");
  const auto digits = authority.substr(1);
  const auto port = runtime::parse_integer(digits);
  if (authority[0] != ':' || digits.find_first_not_of("0123456789") != std::string_view::npos || !port || *port < 1 ||
      *port > 65'535) {
    return wrong(text, "the port must be from 1 to 65535");
  }
  url.port = static_cast<std::uint16_t>(*port);
  return url;
}

Result<std::vector<Url>> parse_urls(std::string_view text) {
  std::vector<Url> urls;
  for (std::size_t begin = 0; begin <= text.size();) {
    const auto end = std::min(text.find(',', begin), text.size());
    TROUPE_TRY_ASSIGN(auto url, parse_url(text.substr(begin, end - begin)));
    urls.push_back(std::move(url));
    begin = end + 1;
  }
  return urls;
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  // A segment of dots alone would be taken for a way up.
  const bool dots = !text.empty() && text.size() <= 2 && text.find_first_not_of('.') == std::string_view::npos;
  std::string out;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (!dots && unreserved.find(letter) != std::string_view::npos) {
      out += letter;
    } else {
      out += '%';
      out += digits[byte >> 4];
      out += digits[byte & 15];
    }
  }
  return out;
}

}  // namespace troupe::client
