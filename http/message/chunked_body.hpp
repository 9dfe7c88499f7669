#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "http/message/http_error.hpp"
#include "http/limits.hpp"

namespace troupe::http {

/// Takes a chunked body apart while its bytes come. RFC 9112 7.1, with nothing forgiven:
///
///   size --> extension --> data --> CRLF --> size ...        ... size 0 --> trailers --> done
///
/// Beast's own reader keeps a whole chunk header, and all trailers, in memory whatever their size; here both have bounds, and no byte of
/// them is kept. Trailers are dropped; one that would change the message's meaning is refused.
/// Pure: bytes in, bytes out.
class ChunkedBody {
 public:
  enum class State { more, done, refused };

  explicit ChunkedBody(const Limits& limits) : limits_(&limits) {}

  /// Takes from the front of `bytes` as much as belongs to this body and appends its content to `body`.
  State feed(std::string_view& bytes, ByteBuffer& body);
  const HttpError& error() const { return error_; }

 private:
  enum class Step {
    size_first,
    size,
    extension,
    size_lf,
    data,
    data_cr,
    data_lf,
    trailer_start,
    trailer_name,
    trailer_value,
    trailer_lf,
    end_lf,
    done
  };

  bool step(char byte);
  bool take_size(char byte);
  bool take_trailer(char byte);
  bool end_of_name();
  bool refuse(HttpError error);

  const Limits* limits_;
  Step step_ = Step::size_first;
  std::uint64_t left_ = 0;  ///< of the chunk
  std::size_t digits_ = 0;
  std::size_t line_bytes_ = 0;  ///< of the chunk header
  std::size_t trailer_bytes_ = 0;
  std::size_t trailers_ = 0;
  char name_[24] = {};  ///< of the trailer field, as far as it fits
  std::size_t name_bytes_ = 0;
  std::size_t body_bytes_ = 0;
  HttpError error_;
};

}  // namespace troupe::http
