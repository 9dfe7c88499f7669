#include "http/message/body_coding.hpp"

#include <algorithm>

#include <zlib.h>

namespace troupe::http {
namespace {

constexpr std::size_t any_ratio_up_to_bytes = std::size_t{1} << 20;

/// zlib's state, ended when it goes.
struct Inflater {
  z_stream stream = {};
  bool ready = false;

  explicit Inflater(ContentCoding coding) {
    constexpr int window = 15, gzip_header = 16;
    ready = inflateInit2(&stream, coding == ContentCoding::gzip ? window + gzip_header : window) == Z_OK;
  }
  ~Inflater() {
    if (ready) inflateEnd(&stream);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
};

}  // namespace

std::optional<HttpError> unpack_body(ContentCoding coding, const Limits& limits, ByteBuffer& body) {
  if (coding == ContentCoding::identity) return std::nullopt;
  Inflater inflater(coding);
  if (!inflater.ready) return http_error(500, "internal", "the body could not be unpacked");
  auto& stream = inflater.stream;
  stream.next_in = reinterpret_cast<Bytef*>(body.data());
  stream.avail_in = static_cast<uInt>(body.size());

  const std::size_t bytes_max =
      std::min(limits.inflated_bytes_max, std::max(any_ratio_up_to_bytes, body.size() * limits.inflate_ratio_max));
  ByteBuffer plain;
  int status = Z_OK;
  while (status == Z_OK) {
    const auto filled = plain.size();
    if (filled > bytes_max) break;
    // One byte beyond the limit tells what is too large from what just fits.
    plain.resize(std::min(std::max(filled * 2, body.size() * 4 + 256), bytes_max + 1));
    if (plain.size() == filled) break;
    stream.next_out = reinterpret_cast<Bytef*>(plain.data() + filled);
    stream.avail_out = static_cast<uInt>(plain.size() - filled);
    status = inflate(&stream, Z_NO_FLUSH);
    plain.resize(plain.size() - stream.avail_out);
    if (status == Z_BUF_ERROR && stream.avail_in > 0 && stream.avail_out == 0) status = Z_OK;
  }
  if (plain.size() > bytes_max) {
    return http_error(413, "too_large", "the body unpacks to more than " + std::to_string(bytes_max) + " bytes");
  }
  if (status != Z_STREAM_END) return bad_request("the body is not what Content-Encoding says: damaged, or cut off");
  if (stream.avail_in > 0) return bad_request("the packed body is followed by something else");
  body = std::move(plain);
  return std::nullopt;
}

}  // namespace troupe::http
