#pragma once

#include <optional>

#include "base/bytes.hpp"
#include "http/message/http_error.hpp"
#include "http/limits.hpp"
#include "http/message/framing.hpp"

namespace troupe::http {

/// Unpacks a body sent with Content-Encoding gzip or deflate (zlib's form, RFC 1950), in place. Refuses with 413 what unpacks to more than
/// the limits allow, before it allocates that much, and with 400 what is cut, damaged or followed by something else.
std::optional<HttpError> unpack_body(ContentCoding coding, const Limits& limits, ByteBuffer& body);

}  // namespace troupe::http
