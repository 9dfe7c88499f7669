#include "http/message/chunked_body.hpp"

#include <algorithm>

#include "http/message/framing.hpp"

namespace troupe::http {
namespace {

constexpr std::size_t trailers_max = 16;
constexpr std::size_t size_digits_max = 16;

int hex_digit(char byte) {
  if (byte >= '0' && byte <= '9') return byte - '0';
  if (byte >= 'a' && byte <= 'f') return byte - 'a' + 10;
  if (byte >= 'A' && byte <= 'F') return byte - 'A' + 10;
  return -1;
}

bool is_control(char byte) { return (static_cast<unsigned char>(byte) < 0x20 && byte != '\t') || byte == 0x7f; }

bool is_name(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '-' ||
         byte == '_';
}

}  // namespace

bool ChunkedBody::refuse(HttpError error) {
  error_ = std::move(error);
  error_.close = true;
  return false;
}

bool ChunkedBody::take_size(char byte) {
  const int digit = hex_digit(byte);
  if (digit >= 0) {
    if (++digits_ > size_digits_max) return refuse(broken_request("a chunk's size has more than 16 digits"));
    left_ = left_ << 4U | static_cast<std::uint64_t>(digit);
    step_ = Step::size;
    return true;
  }
  if (step_ == Step::size_first) return refuse(broken_request("a chunk begins with no size in hexadecimal digits"));
  if (left_ > limits_->body_bytes_max - std::min(body_bytes_, limits_->body_bytes_max)) {
    return refuse(
        http_error(413, "too_large", "the body is longer than " + std::to_string(limits_->body_bytes_max) + " bytes"));
  }
  if (byte == ';') {
    step_ = Step::extension;
  } else if (byte == '\r') {
    step_ = Step::size_lf;
  } else {
    return refuse(broken_request("a chunk's size is followed by something else than \";\" or a line end"));
  }
  return true;
}

bool ChunkedBody::end_of_name() {
  const std::string_view name{name_, std::min(name_bytes_, sizeof name_)};
  if (name.empty()) return refuse(broken_request("a trailer field has no name"));
  for (const std::string_view framing : {"Content-Length", "Transfer-Encoding", "Host", "Content-Encoding", "Trailer"}) {
    if (equal_ignoring_case(name, framing))
      return refuse(broken_request("this field cannot be a trailer: " + std::string(framing)));
  }
  step_ = Step::trailer_value;
  return true;
}

bool ChunkedBody::take_trailer(char byte) {
  if (++trailer_bytes_ > limits_->trailer_bytes_max) {
    return refuse(broken_request("the trailers are longer than " + std::to_string(limits_->trailer_bytes_max) + " bytes"));
  }
  if (step_ == Step::trailer_start) {
    if (byte == '\r') {
      step_ = Step::end_lf;
      return true;
    }
    if (++trailers_ > trailers_max) return refuse(broken_request("there are more than 16 trailer fields"));
    name_bytes_ = 0;
    step_ = Step::trailer_name;
  }
  if (step_ == Step::trailer_name) {
    if (byte == ':') return end_of_name();
    if (!is_name(byte)) return refuse(broken_request("a trailer field's name is no token"));
    if (name_bytes_ < sizeof name_) name_[name_bytes_] = byte;
    ++name_bytes_;
    return true;
  }
  if (byte == '\r') {
    step_ = Step::trailer_lf;
    return true;
  }
  return is_control(byte) ? refuse(broken_request("a trailer field holds a control character")) : true;
}

bool ChunkedBody::step(char byte) {
  switch (step_) {
    case Step::size_first:
    case Step::size:
    case Step::extension:
      if (++line_bytes_ > limits_->chunk_header_bytes_max) {
        return refuse(broken_request("a chunk's first line is longer than " +
                                     std::to_string(limits_->chunk_header_bytes_max) + " bytes"));
      }
      if (step_ != Step::extension) return take_size(byte);
      if (byte == '\r') {
        step_ = Step::size_lf;
        return true;
      }
      return is_control(byte) ? refuse(broken_request("a chunk extension holds a control character")) : true;
    case Step::size_lf:
      if (byte != '\n') return refuse(broken_request("a chunk's first line does not end with CR LF"));
      step_ = left_ == 0 ? Step::trailer_start : Step::data;
      digits_ = line_bytes_ = 0;
      return true;
    case Step::data_cr:
      if (byte != '\r') return refuse(broken_request("a chunk is longer than its size"));
      step_ = Step::data_lf;
      return true;
    case Step::data_lf:
      if (byte != '\n') return refuse(broken_request("a chunk does not end with CR LF"));
      step_ = Step::size_first;
      return true;
    case Step::trailer_start:
    case Step::trailer_name:
    case Step::trailer_value: return take_trailer(byte);
    case Step::trailer_lf:
      if (byte != '\n') return refuse(broken_request("a trailer field does not end with CR LF"));
      step_ = Step::trailer_start;
      return true;
    case Step::end_lf:
      if (byte != '\n') return refuse(broken_request("the body does not end with CR LF"));
      step_ = Step::done;
      return true;
    case Step::data:
    case Step::done: break;
  }
  return true;
}

ChunkedBody::State ChunkedBody::feed(std::string_view& bytes, ByteBuffer& body) {
  while (step_ != Step::done && !bytes.empty()) {
    if (step_ == Step::data) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
      append_bytes(body, as_bytes(bytes.substr(0, size)));
      bytes.remove_prefix(size);
      left_ -= size;
      body_bytes_ += size;
      if (left_ == 0) step_ = Step::data_cr;
      continue;
    }
    if (!step(bytes.front())) return State::refused;
    bytes.remove_prefix(1);
  }
  return step_ == Step::done ? State::done : State::more;
}

}  // namespace troupe::http
