#include "http/stream/frame_watch.hpp"

#include <algorithm>

namespace troupe::http {
namespace {

constexpr Millis window_ms = 10'000;

}  // namespace

bool FrameWatch::pass(ByteView bytes, MonotonicMs now) {
  while (within_ && !bytes.empty()) {
    if (skip_ > 0) {
      const auto step = static_cast<std::size_t>(std::min<std::uint64_t>(skip_, bytes.size()));
      skip_ -= step;
      bytes = bytes.subspan(step);
      continue;
    }
    header_[have_++] = std::to_integer<std::uint8_t>(bytes.front());
    bytes = bytes.subspan(1);
    if (have_ == 2) begin_frame(now);
    if (have_ >= 2 && have_ == want_) end_header();
  }
  return within_;
}

void FrameWatch::begin_frame(MonotonicMs now) {
  const bool last = (header_[0] & 0x80U) != 0;
  const unsigned opcode = header_[0] & 0x0fU;
  if (opcode >= 8) {
    if (now - controls_since_ >= window_ms) {
      controls_since_ = now;
      controls_ = 0;
    }
    if (++controls_ > bounds_.control_frames_per_10s_max) within_ = false;
  } else {
    if (++fragments_ > bounds_.fragments_max) within_ = false;
    if (last) fragments_ = 0;
  }
  const unsigned length = header_[1] & 0x7fU;
  want_ = length == 126 ? 4 : length == 127 ? 10 : 2;
}

void FrameWatch::end_header() {
  std::uint64_t length = header_[1] & 0x7fU;
  if (length >= 126) {
    length = 0;
    for (std::size_t i = 2; i < want_; ++i) length = length << 8 | header_[i];
  }
  const bool masked = (header_[1] & 0x80U) != 0;
  // A length beyond 2^63 ends the connection before it is read: this need only not wrap around.
  skip_ = std::min<std::uint64_t>(length, std::uint64_t{1} << 63) + (masked ? 4 : 0);
  have_ = 0;
  want_ = 2;
}

}  // namespace troupe::http
