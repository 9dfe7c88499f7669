#include "http/stream/frame_watch.hpp"

#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using http::FrameWatch;

namespace {

/// A masked client frame.
std::string frame(unsigned first, std::size_t size) {
  std::string out(1, static_cast<char>(first));
  if (size < 126) {
    out += static_cast<char>(0x80U | size);
  } else if (size < 65'536) {
    out += static_cast<char>(0xfe);
    out += static_cast<char>(size >> 8);
    out += static_cast<char>(size & 0xffU);
  } else {
    out += static_cast<char>(0xff);
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(size >> shift & 0xffU);
  }
  return out + std::string(4 + size, '\x89');
}

}  // namespace

TEST_CASE("fragments of a message and control frames are counted, however they are cut", "[frame_watch]") {
  const auto seed = test::seed_or(1);
  INFO("TROUPE_SEED=" << seed);
  Prng prng(seed);
  const auto passes = [&](const std::string& bytes, MonotonicMs now = MonotonicMs{1}) {
    FrameWatch watch({.fragments_max = 4, .control_frames_per_10s_max = 5});
    bool within = true;
    for (std::size_t at = 0; at < bytes.size();) {
      const auto size = std::min<std::size_t>(1 + prng.below(9000), bytes.size() - at);
      within = watch.pass(as_bytes(std::string_view(bytes).substr(at, size)), now);
      at += size;
    }
    return within;
  };
  for (int round = 0; round < 50; ++round) {
    std::string whole;
    for (int i = 0; i < 20; ++i) whole += frame(0x81, prng.below(70'000));
    CHECK(passes(whole));
    CHECK(passes(frame(0x01, 3) + frame(0x00, 0) + frame(0x00, 70'000) + frame(0x80, 1) + whole));
    CHECK_FALSE(passes(frame(0x01, 3) + frame(0x00, 0) + frame(0x00, 200) + frame(0x00, 0) + frame(0x80, 1)));
    std::string pings;
    for (int i = 0; i < 5; ++i) pings += frame(0x89, 7) + frame(0x82, 1000);
    CHECK(passes(pings));
    CHECK_FALSE(passes(pings + frame(0x8a, 0)));
  }
}

TEST_CASE("control frames are counted anew every ten seconds", "[frame_watch]") {
  FrameWatch watch({.fragments_max = 4, .control_frames_per_10s_max = 5});
  for (std::int64_t second = 1; second < 60; ++second) {
    CHECK(watch.pass(as_bytes(frame(0x89, 0)), MonotonicMs{second * 2500}));
  }
}
