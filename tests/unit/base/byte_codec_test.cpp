#include "base/byte_codec.hpp"

#include <cstdlib>
#include <limits>
#include <vector>

#include "base/prng.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;

namespace {

template <class... Byte>
ByteBuffer bytes_of(Byte... byte) {
  return {static_cast<std::byte>(byte)...};
}

std::string varint_hex(std::int32_t value) {
  ByteBuffer buffer;
  ByteWriter(buffer).varint(value);
  return to_hex(buffer);
}

std::string varlong_hex(std::int64_t value) {
  ByteBuffer buffer;
  ByteWriter(buffer).varlong(value);
  return to_hex(buffer);
}

std::optional<std::int32_t> read_varint(const ByteBuffer& bytes) { return ByteReader(bytes).varint(); }
std::optional<std::int64_t> read_varlong(const ByteBuffer& bytes) { return ByteReader(bytes).varlong(); }

constexpr auto int_min = std::numeric_limits<std::int32_t>::min();
constexpr auto int_max = std::numeric_limits<std::int32_t>::max();
constexpr auto long_min = std::numeric_limits<std::int64_t>::min();
constexpr auto long_max = std::numeric_limits<std::int64_t>::max();

}  // namespace

TEST_CASE("integers are written with the highest byte first", "[base]") {
  ByteBuffer buffer;
  ByteWriter writer(buffer);
  writer.integer(std::uint8_t{0x01});
  writer.integer(std::int16_t{0x0203});
  writer.integer(std::uint32_t{0x04050607});
  writer.integer(std::int64_t{0x08090a0b0c0d0e0f});
  writer.integer(std::int16_t{-2});
  CHECK(to_hex(buffer) == "0102030405060708090a0b0c0d0e0ffffe");
}

TEMPLATE_TEST_CASE("integers of every width read back as written", "[base]", std::int8_t, std::uint8_t, std::int16_t,
                   std::uint16_t, std::int32_t, std::uint32_t, std::int64_t, std::uint64_t) {
  using Limits = std::numeric_limits<TestType>;
  for (const TestType value : {Limits::min(), static_cast<TestType>(-1), TestType{0}, TestType{1}, Limits::max()}) {
    ByteBuffer buffer;
    ByteWriter(buffer).integer(value);
    CHECK(buffer.size() == sizeof(TestType));
    ByteReader reader(buffer);
    CHECK(reader.integer<TestType>() == value);
    CHECK(reader.remaining() == 0);
    CHECK_FALSE(reader.failed());
  }
}

TEST_CASE("integers may lie at any address", "[base]") {
  ByteBuffer buffer(32);
  for (std::size_t at = 0; at < 8; ++at) {
    store_big_endian(buffer.data() + at, std::int64_t{0x1122334455667788});
    CHECK(load_big_endian<std::int64_t>(buffer.data() + at) == 0x1122334455667788);
    CHECK(load_big_endian<std::int16_t>(buffer.data() + at + 1) == 0x2233);
  }
}

TEST_CASE("a read past the end fails, and so does everything after it", "[base]") {
  const auto buffer = bytes_of(1, 2, 3);
  ByteReader reader(buffer);
  CHECK(reader.integer<std::int16_t>() == 0x0102);
  CHECK_FALSE(reader.integer<std::int32_t>());
  CHECK(reader.failed());
  CHECK_FALSE(reader.integer<std::int8_t>());  // a byte was left, but the reader has lost its place
  CHECK_FALSE(reader.bytes(0));
  CHECK_FALSE(reader.varint());
  CHECK_FALSE(reader.varlong());
  CHECK(reader.remaining() == 0);
}

TEST_CASE("bytes are read as a view of the same memory", "[base]") {
  const auto buffer = bytes_of(1, 2, 3, 4);
  ByteReader reader(buffer);
  CHECK(reader.bytes(0)->empty());
  const auto view = reader.bytes(3);
  REQUIRE(view);
  CHECK(view->data() == buffer.data());
  CHECK(reader.rest().data() == buffer.data() + 3);
  CHECK_FALSE(reader.bytes(std::numeric_limits<std::size_t>::max()));
}

TEST_CASE("varints have the bytes of the zigzag code", "[base]") {
  CHECK(varint_hex(0) == "00");
  CHECK(varint_hex(-1) == "01");
  CHECK(varint_hex(1) == "02");
  CHECK(varint_hex(63) == "7e");
  CHECK(varint_hex(-64) == "7f");
  CHECK(varint_hex(64) == "8001");
  CHECK(varint_hex(-65) == "8101");
  CHECK(varint_hex(int_max) == "feffffff0f");
  CHECK(varint_hex(int_min) == "ffffffff0f");
  CHECK(varlong_hex(std::int64_t{int_max} + 1) == "8080808010");
  CHECK(varlong_hex(long_max) == "feffffffffffffffff01");
  CHECK(varlong_hex(long_min) == "ffffffffffffffffff01");
}

TEST_CASE("varints read back as written, and their size is known beforehand", "[base]") {
  const char* text = std::getenv("TROUPE_SEED");
  const std::uint64_t seed = text == nullptr ? 4711 : std::strtoull(text, nullptr, 10);
  CAPTURE(seed);
  Prng prng(seed);
  std::vector<std::int64_t> values{0, -1, 1, int_min, int_max, long_min, long_max};
  for (unsigned shift = 0; shift < 63; ++shift) {  // both sides of every change of size
    for (const std::int64_t near : {-2, -1, 0, 1}) values.push_back((std::int64_t{1} << shift) + near);
  }
  for (int i = 0; i < 2000; ++i) values.push_back(static_cast<std::int64_t>(prng.next() >> prng.below(64)));
  for (const auto magnitude : values) {
    for (const auto value : {magnitude, ~magnitude}) {
      CAPTURE(value);
      ByteBuffer buffer;
      ByteWriter(buffer).varlong(value);
      REQUIRE(buffer.size() == varlong_size(value));
      REQUIRE(read_varlong(buffer) == value);
      for (std::size_t size = 0; size < buffer.size(); ++size)
        REQUIRE_FALSE(ByteReader(ByteView{buffer}.first(size)).varlong());
      const bool fits = value >= int_min && value <= int_max;
      REQUIRE(read_varint(buffer) == (fits ? std::optional{static_cast<std::int32_t>(value)} : std::nullopt));
    }
  }
}

TEST_CASE("a varint that does not end in time, or holds too many bits, is refused", "[base]") {
  CHECK_FALSE(read_varint({}));
  CHECK_FALSE(read_varint(bytes_of(0x80)));
  CHECK(read_varint(bytes_of(0xff, 0xff, 0xff, 0xff, 0x0f)) == int_min);
  CHECK_FALSE(read_varint(bytes_of(0xff, 0xff, 0xff, 0xff, 0x1f)));
  CHECK_FALSE(read_varint(bytes_of(0x80, 0x80, 0x80, 0x80, 0x80, 0x00)));
  CHECK(read_varlong(bytes_of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)) == long_min);
  CHECK_FALSE(read_varlong(bytes_of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02)));
  CHECK_FALSE(read_varlong(bytes_of(0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00)));
}

TEST_CASE("a varint padded with zero groups is read, as Kafka reads it", "[base]") {
  CHECK(read_varint(bytes_of(0x80, 0x00)) == 0);
  CHECK(read_varint(bytes_of(0x82, 0x80, 0x80, 0x80, 0x00)) == 1);
}

TEST_CASE("a varint leaves what follows it", "[base]") {
  const auto buffer = bytes_of(0x80, 0x01, 0x2a);
  ByteReader reader(buffer);
  CHECK(reader.varint() == 64);
  CHECK(reader.integer<std::uint8_t>() == 0x2a);
}
