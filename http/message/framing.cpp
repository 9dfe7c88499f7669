#include "http/message/framing.hpp"

#include <algorithm>
#include <charconv>

namespace troupe::http {
namespace {

char lower(char character) { return character >= 'A' && character <= 'Z' ? static_cast<char>(character + 32) : character; }

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char character) { return character >= '0' && character <= '9'; });
}

HttpError closing(HttpError error) {
  error.close = true;
  return error;
}

/// The fields that say what the message is, counted in one pass.
struct Fields {
  std::string_view host, transfer_encoding, content_length, expect, content_encoding, origin, fetch_site;
  std::size_t hosts = 0, transfer_encodings = 0, content_lengths = 0, expects = 0, content_encodings = 0, origins = 0;
  bool close = false, keep_alive = false;

  void take(const HeaderField& field) {
    const auto is = [&](std::string_view name) { return equal_ignoring_case(field.name, name); };
    switch (field.name.size()) {
      case 4:
        if (is("Host")) host = field.value, ++hosts;
        break;
      case 6:
        if (is("Expect")) expect = field.value, ++expects;
        if (is("Origin")) origin = field.value, ++origins;
        break;
      case 10:
        if (is("Connection")) {
          close = close || list_has_token(field.value, "close");
          keep_alive = keep_alive || list_has_token(field.value, "keep-alive");
        }
        break;
      case 14:
        if (is("Content-Length")) content_length = field.value, ++content_lengths;
        if (is("Sec-Fetch-Site")) fetch_site = field.value;
        break;
      case 16:
        if (is("Content-Encoding")) content_encoding = field.value, ++content_encodings;
        break;
      case 17:
        if (is("Transfer-Encoding")) transfer_encoding = field.value, ++transfer_encodings;
        break;
      default: break;
    }
  }
};

std::optional<HttpError> check_body(const Fields& fields, unsigned version, const Limits& limits, Framing& out) {
  if (fields.transfer_encodings > 0) {
    if (fields.transfer_encodings > 1) return broken_request("Transfer-Encoding stands there twice");
    if (fields.content_lengths > 0) return broken_request("Content-Length and Transfer-Encoding exclude each other");
    if (version == 10) return broken_request("HTTP/1.0 knows no Transfer-Encoding");
    const auto value = fields.transfer_encoding;
    if (!equal_ignoring_case(value, "chunked")) {
      if (value.empty() || value.find_first_of(",;\" \t") != std::string_view::npos) {
        return broken_request("Transfer-Encoding can only be \"chunked\"");
      }
      return closing(http_error(501, "unsupported", "Transfer-Encoding can only be \"chunked\""));
    }
    out.chunked = true;
  }
  if (fields.content_lengths > 0) {
    if (fields.content_lengths > 1) return broken_request("Content-Length stands there twice");
    const auto value = fields.content_length;
    if (!all_digits(value)) return broken_request("Content-Length is no number");
    std::uint64_t length = 0;
    if (std::from_chars(value.data(), value.data() + value.size(), length).ec != std::errc{}) {
      return broken_request("Content-Length is beyond 64 bits");
    }
    if (length > limits.body_bytes_max) {
      return closing(
          http_error(413, "too_large", "the body is longer than " + std::to_string(limits.body_bytes_max) + " bytes"));
    }
    out.content_length = length;
  }
  return std::nullopt;
}

std::optional<HttpError> check_coding(const Fields& fields, Framing& out) {
  if (fields.content_encodings == 0 || equal_ignoring_case(fields.content_encoding, "identity")) return std::nullopt;
  const auto unsupported = [] {
    return http_error(415, "unsupported", "Content-Encoding can be one of: gzip, deflate, identity");
  };
  if (fields.content_encodings > 1) return unsupported();
  if (equal_ignoring_case(fields.content_encoding, "gzip")) {
    out.coding = ContentCoding::gzip;
  } else if (equal_ignoring_case(fields.content_encoding, "deflate")) {
    out.coding = ContentCoding::deflate;
  } else {
    return unsupported();
  }
  return std::nullopt;
}

/// The name in "name", "name:port" or "[v6]:port"; nullopt for anything else.
std::optional<std::string_view> host_name(std::string_view host) {
  auto name_end = host.find(':');
  if (host.starts_with('[')) {
    const auto bracket = host.find(']');
    if (bracket == std::string_view::npos) return std::nullopt;
    const auto inside = host.substr(1, bracket - 1);
    if (inside.empty() || inside.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos)
      return std::nullopt;
    name_end = bracket + 1;
    if (name_end < host.size() && host[name_end] != ':') return std::nullopt;
  } else {
    const auto name = host.substr(0, name_end);
    constexpr std::string_view letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    if (name.empty() || name.find_first_not_of(letters) != std::string_view::npos) return std::nullopt;
  }
  name_end = std::min(name_end, host.size());
  if (name_end < host.size()) {
    const auto port = host.substr(name_end + 1);
    if (!port.empty() && (!all_digits(port) || port.size() > 5 || std::stoul(std::string(port)) > 65535))
      return std::nullopt;
  }
  return host.substr(0, name_end);
}

std::optional<HttpError> check_host(std::string_view host, const HostRules& rules) {
  const auto name = host_name(host);
  if (!name) return broken_request("Host is no name with an optional port");
  const auto ours = [&](const std::string& known) { return equal_ignoring_case(known, *name); };
  if (std::ranges::any_of(rules.names, ours)) return std::nullopt;
  std::string allowed;
  for (const auto& known : rules.names) allowed += (allowed.empty() ? "" : ", ") + known;
  return closing(http_error(421, "bad_request", "this server is called " + allowed + "; further names are a setting"));
}

/// "name:port" with the scheme's port when none is written.
std::string with_port(std::string_view host, bool tls) {
  const auto name = host_name(host);
  if (!name) return lower_case(host);
  auto port = host.substr(name->size());
  if (port.size() <= 1) port = tls ? ":443" : ":80";
  return lower_case(*name) + std::string(port);
}

bool same_origin(std::string_view origin, std::string_view host) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (origin.starts_with(scheme)) {
      const bool tls = scheme.size() == 8;
      return with_port(origin.substr(scheme.size()), tls) == with_port(host, tls);
    }
  }
  return false;
}

void read_origin(const Fields& fields, const HostRules& rules, Framing& out) {
  const bool cross_site = equal_ignoring_case(fields.fetch_site, "cross-site");
  if (fields.origins == 1) out.origin = fields.origin;
  if (fields.origins == 0) {
    out.foreign_origin = cross_site;
    return;
  }
  const auto listed = [&](const std::string& known) { return equal_ignoring_case(known, fields.origin); };
  out.allowed_origin = fields.origins == 1 && std::ranges::any_of(rules.allowed_origins, listed);
  out.foreign_origin =
      !out.allowed_origin && (cross_site || fields.origins > 1 || !same_origin(lower_case(fields.origin), out.host));
}

/// Splits an absolute target (RFC 9112 3.2.2) into the authority and the rest.
std::optional<HttpError> read_target(const RequestHead& head, Framing& out) {
  if (head.target.starts_with('/')) {
    out.path = head.target;
    return std::nullopt;
  }
  if (head.target == "*" && head.method == Method::options) {
    out.path = head.target;
    return std::nullopt;
  }
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!equal_ignoring_case(head.target.substr(0, scheme.size()), scheme)) continue;
    const auto rest = head.target.substr(scheme.size());
    const auto slash = std::min(rest.find_first_of("/?"), rest.size());
    out.host = rest.substr(0, slash);
    out.path = slash < rest.size() && rest[slash] == '/' ? rest.substr(slash) : std::string_view{"/"};
    return std::nullopt;
  }
  return broken_request("the request target does not begin with '/'");
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && std::ranges::equal(a, b, {}, lower, lower);
}

bool list_has_token(std::string_view list, std::string_view token) noexcept {
  while (true) {
    const auto comma = std::min(list.find(','), list.size());
    if (equal_ignoring_case(trimmed(list.substr(0, comma)), token)) return true;
    if (comma == list.size()) return false;
    list.remove_prefix(comma + 1);
  }
}

std::optional<std::string_view> RequestHead::field(std::string_view name) const {
  for (const auto& one : fields) {
    if (equal_ignoring_case(one.name, name)) return one.value;
  }
  return std::nullopt;
}

HostRules HostRules::of(const std::string& listen_host, const std::vector<std::string>& names,
                        const std::vector<std::string>& origins) {
  HostRules rules{{"localhost", "127.0.0.1", "[::1]"}, {}};
  const bool any_address = listen_host == "0.0.0.0" || listen_host == "::";
  if (!any_address) {
    const auto own = listen_host.find(':') == std::string::npos ? listen_host : "[" + listen_host + "]";
    if (std::ranges::find(rules.names, own) == rules.names.end()) rules.names.push_back(lower_case(own));
  }
  for (const auto& name : names) rules.names.push_back(lower_case(name));
  for (const auto& origin : origins) rules.allowed_origins.push_back(lower_case(origin));
  return rules;
}

std::optional<HttpError> check_framing(const RequestHead& head, const HostRules& hosts, const Limits& limits, Framing& out) {
  out = {};
  Fields fields;
  for (const auto& field : head.fields) fields.take(field);

  if (fields.hosts > 1) return broken_request("Host stands there twice");
  if (fields.hosts == 0 && head.version == 11) return broken_request("Host is missing");
  out.host = fields.host;
  if (auto wrong = check_body(fields, head.version, limits, out)) return wrong;
  if (auto wrong = read_target(head, out)) return wrong;
  // HTTP/1.0 may leave Host away; what names this server is checked all the same.
  if (!out.host.empty() || fields.hosts == 1) {
    if (auto wrong = check_host(out.host, hosts)) return wrong;
    if (fields.hosts == 1 && fields.host.data() != out.host.data()) {
      if (auto wrong = check_host(fields.host, hosts)) return wrong;
    }
  }
  if (fields.expects > 0) {
    if (fields.expects > 1 || !equal_ignoring_case(fields.expect, "100-continue")) {
      return closing(http_error(417, "unsupported", "Expect can only be \"100-continue\""));
    }
    out.expect_continue = head.version == 11;
  }
  if (auto wrong = check_coding(fields, out)) return wrong;
  read_origin(fields, hosts, out);
  out.keep_alive = head.version == 11 ? !fields.close : fields.keep_alive && !fields.close;
  return std::nullopt;
}

std::optional<HttpError> check_websocket(const RequestHead& head, const Framing& framing) {
  const auto upgrade_wanted = [&] {
    return http_error(426, "unsupported",
                      "this is a WebSocket: GET by HTTP/1.1 with Upgrade, Connection and Sec-WebSocket-Version 13");
  };
  if (framing.has_body() || framing.content_length || framing.chunked) return broken_request("an upgrade has no body");
  std::size_t upgrades = 0, keys = 0, versions = 0;
  bool connection = false;
  std::string_view upgrade, key, version;
  for (const auto& field : head.fields) {
    if (equal_ignoring_case(field.name, "Upgrade")) upgrade = field.value, ++upgrades;
    if (equal_ignoring_case(field.name, "Connection")) connection = connection || list_has_token(field.value, "upgrade");
    if (equal_ignoring_case(field.name, "Sec-WebSocket-Key")) key = field.value, ++keys;
    if (equal_ignoring_case(field.name, "Sec-WebSocket-Version")) version = field.value, ++versions;
  }
  if (head.version != 11 || upgrades != 1 || !connection || !list_has_token(upgrade, "websocket")) return upgrade_wanted();
  if (versions != 1 || version != "13") return upgrade_wanted();
  // 16 bytes in base64: 22 letters and "==".
  constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  if (keys != 1 || key.size() != 24 || !key.ends_with("==") || key.find_first_not_of(letters) != 22) {
    return broken_request("Sec-WebSocket-Key is not 16 bytes in base64");
  }
  return std::nullopt;
}

std::optional<HttpError> check_origin(Method method, const Framing& framing, bool reads_count) {
  if (!framing.foreign_origin) return std::nullopt;
  if (!reads_count && (method == Method::get || method == Method::head)) return std::nullopt;
  return HttpError{.status = 403,
                   .number = 40301,
                   .code = "forbidden",
                   .message = "pages of another origin may not do this; origins are allowed by a setting"};
}

}  // namespace troupe::http
