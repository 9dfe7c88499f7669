#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message/request_head.hpp"

namespace troupe::http {

/// How a body is packed inside of its framing.
enum class ContentCoding : unsigned char { identity, gzip, deflate };

/// By which names clients may call this node. Without ports: a tunnel may lead here from any port.
struct HostRules {
  std::vector<std::string> names;            ///< lower case, "[::1]" with brackets
  std::vector<std::string> allowed_origins;  ///< "https://app.example", lower case

  static HostRules of(const std::string& listen_host, const std::vector<std::string>& names,
                      const std::vector<std::string>& origins);
};

/// What the fields say about the message around them.
struct Framing {
  std::string_view host = {};  ///< name and port, as they came
  std::string_view path = {};  ///< the target from its first '/' on, or "*"
  std::optional<std::uint64_t> content_length = {};
  bool chunked = false;
  bool keep_alive = true;
  bool expect_continue = false;
  bool foreign_origin = false;   ///< sent by a page that is not ours
  bool allowed_origin = false;   ///< sent by a page of another origin that is on the list
  std::string_view origin = {};  ///< empty: none, or more than one
  ContentCoding coding = ContentCoding::identity;

  bool has_body() const { return chunked || content_length.value_or(0) > 0; }
};

/// The strict check between header and body: reliability.md 4.3 "S" and "Browser edge". Beast 1.81 alone lets requests through whose
/// end two readers see in different places; behind a proxy that is a second, smuggled request.
/// Pure: no socket, no state.
std::optional<HttpError> check_framing(const RequestHead& head, const HostRules& hosts, const Limits& limits, Framing& out);

/// Of `GET /v1/ws`: 426 for what is no proper upgrade, 400 for a bad key, 400 and the end for one with a body.
std::optional<HttpError> check_websocket(const RequestHead& head, const Framing& framing);

/// 403 for what a page of a foreign origin may not do: everything but GET and HEAD, and, `reads_count`, those too (streams).
std::optional<HttpError> check_origin(Method method, const Framing& framing, bool reads_count);

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;
/// Whether a comma-separated field value holds `token`, in whatever case.
bool list_has_token(std::string_view list, std::string_view token) noexcept;

}  // namespace troupe::http
