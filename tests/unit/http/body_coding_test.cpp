#include "http/message/body_coding.hpp"

#include <zlib.h>

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::http;

namespace {

ByteBuffer pack(const std::string& plain, int window_bits) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  ByteBuffer out(deflateBound(&stream, plain.size()) + 64);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  out.resize(out.size() - stream.avail_out);
  deflateEnd(&stream);
  return out;
}

ByteBuffer gzip(const std::string& plain) { return pack(plain, 31); }

unsigned status_of(ByteBuffer body, ContentCoding coding = ContentCoding::gzip) {
  const auto wrong = unpack_body(coding, {}, body);
  return wrong ? wrong->status : 0;
}

}  // namespace

TEST_CASE("packed bodies are unpacked", "[http]") {
  for (const auto& plain : {std::string("{\"records\":[]}"), std::string(), std::string(900'000, 'a')}) {
    auto body = gzip(plain);
    CHECK_FALSE(unpack_body(ContentCoding::gzip, {}, body));
    CHECK(as_text(body) == plain);
    body = pack(plain, 15);
    CHECK_FALSE(unpack_body(ContentCoding::deflate, {}, body));
    CHECK(as_text(body) == plain);
  }
}

TEST_CASE("a body that is no honest gzip is refused", "[http]") {
  // Goal: row 48.
  auto cut = gzip("hello hello hello");
  cut.resize(cut.size() - 4);
  CHECK(status_of(cut) == 400);
  auto damaged = gzip("hello hello hello");
  damaged[damaged.size() - 6] ^= std::byte{1};
  CHECK(status_of(damaged) == 400);
  auto followed = gzip("hello");
  followed.push_back(std::byte{0});
  CHECK(status_of(followed) == 400);
  CHECK(status_of({}) == 400);
  CHECK(status_of(gzip("x"), ContentCoding::deflate) == 400);
}

TEST_CASE("a bomb is refused before it unpacks", "[http]") {
  CHECK(status_of(gzip(std::string(64 << 20, '\0'))) == 413);
  CHECK(status_of(gzip(std::string(3 << 20, '\0'))) == 413);  // 1000 : 1
  Limits wide;
  wide.inflate_ratio_max = 2000;
  auto body = gzip(std::string(3 << 20, '\0'));
  CHECK_FALSE(unpack_body(ContentCoding::gzip, wide, body));
  CHECK(body.size() == 3U << 20U);
}
