#include "core/consumer/cursor.hpp"

#include <limits>

#include "base/base64.hpp"
#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using consumer::Cursor;

namespace {

Cursor cursor_of(std::map<PartitionId, consumer::CursorPosition> positions) {
  return {.topic_id = TopicId{{0x6b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}}, .positions = std::move(positions)};
}

/// `bytes` and their checksum, as text.
std::string sealed(ByteBuffer bytes) {
  const auto checksum = crc32c(bytes);
  ByteWriter(bytes).integer(checksum);
  std::string text;
  append_base64_url(text, bytes);
  return text;
}

/// A cursor with these varints behind topic id zero, and a right checksum.
std::string raw(const std::vector<std::int64_t>& numbers, std::byte version = std::byte{1}) {
  ByteBuffer bytes(17, std::byte{0});
  bytes[0] = version;
  ByteWriter writer(bytes);
  for (const auto number : numbers) writer.varlong(number);
  return sealed(std::move(bytes));
}

void check_refused(std::string_view text) {
  CAPTURE(text);
  const auto decoded = Cursor::decode(text);
  REQUIRE_FALSE(decoded);
  CHECK(decoded.error().code == Errc::invalid_argument);
}

}  // namespace

TEST_CASE("a cursor's text is fixed: part of the format", "[cursor]") {
  CHECK(cursor_of({}).encode() == "AWsBAgMEBQYHCAkKCwwNDg_weVHh");
  const auto one = cursor_of({{PartitionId{3}, {LeaderEpoch{0}, Offset{1043}}}});
  CHECK(one.encode() == "AWsBAgMEBQYHCAkKCwwNDg8GAKYQUppx6A");
  CHECK(Cursor::decode("AWsBAgMEBQYHCAkKCwwNDg8GAKYQUppx6A").value() == one);
  const auto three = cursor_of({{PartitionId{0}, {LeaderEpoch{-1}, Offset{0}}},
                                {PartitionId{1}, {LeaderEpoch{7}, Offset{500}}},
                                {PartitionId{9}, {LeaderEpoch{6}, Offset{490}}}});
  CHECK(three.encode() == "AWsBAgMEBQYHCAkKCwwNDg8AAQAAEOgHDgETxAFmag");
  CHECK(Cursor::decode(three.encode()).value() == three);
}

TEST_CASE("random cursors come back from their text", "[cursor]") {
  const auto seed = test::seed_or(7);
  INFO("TROUPE_SEED=" << seed);
  Prng prng(seed);
  for (int round = 0; round < 400; ++round) {
    Cursor cursor{.topic_id = Uuid::random(prng), .positions = {}};
    const auto count = prng.below(60);
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto high = prng.chance(1, 4) ? std::numeric_limits<std::int64_t>::max() : 100'000;
      const auto partitions = prng.chance(1, 8) ? std::numeric_limits<std::int32_t>::max() : 100;
      cursor.positions[PartitionId{static_cast<std::int32_t>(prng.between(0, partitions))}] = {
          LeaderEpoch{
              static_cast<std::int32_t>(prng.between(-1, prng.chance(1, 8) ? std::numeric_limits<std::int32_t>::max() : 9))},
          Offset{prng.between(0, high)}};
    }
    const auto decoded = Cursor::decode(cursor.encode());
    REQUIRE(decoded);
    CHECK(*decoded == cursor);
  }
}

TEST_CASE("a cursor of 100 partitions takes about 400 characters more than none", "[cursor]") {
  Cursor cursor = cursor_of({});
  for (std::int32_t p = 0; p < 100; ++p) cursor.positions[PartitionId{p}] = {LeaderEpoch{2}, Offset{4000 + p % 7}};
  CHECK(cursor.encode().size() < 450);
}

TEST_CASE("a cursor that was cut off is refused, wherever the cut is", "[cursor]") {
  Cursor whole = cursor_of({});
  for (std::int32_t p = 0; p < 40; ++p) {
    whole.positions[PartitionId{p}] = {LeaderEpoch{3}, Offset{p % 3 == 0 ? 9'000'000'000 + p : 70'000}};
  }
  const auto text = whole.encode();
  REQUIRE(Cursor::decode(text).value() == whole);
  for (std::size_t size = 0; size < text.size(); ++size) {
    check_refused(text.substr(0, size));
    if (size > 0) check_refused(text.substr(size));
  }
}

TEST_CASE("a cursor of which a letter was changed, lost, doubled or swapped is refused", "[cursor]") {
  constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const auto text = cursor_of({{PartitionId{0}, {LeaderEpoch{3}, Offset{70'000}}},
                               {PartitionId{5}, {LeaderEpoch{3}, Offset{9'000'000'000}}}})
                        .encode();
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const char letter : alphabet) {
      auto changed = text;
      changed[at] = letter;
      if (changed != text) check_refused(changed);
    }
    check_refused(text.substr(0, at) + text.substr(at + 1));
    check_refused(text.substr(0, at) + text.substr(at, 1) + text.substr(at));
    auto swapped = text;
    if (at > 0) std::swap(swapped[at], swapped[at - 1]);
    if (swapped != text) check_refused(swapped);
  }
  check_refused(text + text);
}

TEST_CASE("what is no cursor is refused with a sentence", "[cursor]") {
  check_refused("");
  check_refused("A");
  check_refused("earliest");
  check_refused("AQ3x0A");
  check_refused(std::string("\0\xff\n", 3));
  check_refused(raw({0, 0, 0}, std::byte{2}));
  check_refused(raw({0, 0, 0}) + "=");
  check_refused(raw({-1, 0, 0}));                                        // the same partition again
  check_refused(raw({0, -2, 0}));                                        // an epoch below -1
  check_refused(raw({0, std::int64_t{1} << 31, 0}));                     // an epoch of 33 bits
  check_refused(raw({0, std::numeric_limits<std::int64_t>::min(), 0}));  // sums must not overflow
  check_refused(raw({0, 0, -1}));                                        // an offset below 0
  check_refused(raw({0, 0, std::numeric_limits<std::int64_t>::max(), 0, 0, 1}));
  check_refused(raw({std::numeric_limits<std::int32_t>::max(), 0, 0, 0, 0, 0}));
  check_refused(raw({std::int64_t{1} << 33, 0, 0}));
  check_refused(raw({0, 0}));
  ByteBuffer padded(17, std::byte{0});
  padded[0] = std::byte{1};
  append_bytes(padded, as_bytes(std::string_view("\x80\x00\x00\x00", 4)));  // partition 0 in two bytes
  check_refused(sealed(padded));
  check_refused(sealed(ByteBuffer(16, std::byte{1})));  // a checksum that is right does not make it whole
}

TEST_CASE("a cursor of 10,000 partitions is read, one of a million is refused at once", "[cursor]") {
  Cursor cursor = cursor_of({});
  for (std::int32_t p = 0; p < 10'000; ++p) cursor.positions[PartitionId{p}] = {LeaderEpoch{1}, Offset{1'000'000 + p}};
  CHECK(Cursor::decode(cursor.encode()).value() == cursor);
  cursor.positions[PartitionId{10'000}] = {};
  check_refused(cursor.encode());
  check_refused(raw(std::vector<std::int64_t>(3'000'000, 0)));
}

TEST_CASE("garbage is never a crash, and what is read is written the same", "[cursor]") {
  const auto seed = test::seed_or(11);
  INFO("TROUPE_SEED=" << seed);
  Prng prng(seed);
  int read = 0;
  for (int round = 0; round < 20'000; ++round) {
    ByteBuffer bytes(17 + prng.below(24));
    for (auto& byte : bytes) byte = static_cast<std::byte>(prng.chance(1, 2) ? prng.below(8) : prng.below(256));
    bytes[0] = std::byte{1};
    auto text = sealed(std::move(bytes));
    if (prng.chance(1, 10)) text[prng.below(text.size())] = static_cast<char>(prng.below(256));
    const auto decoded = Cursor::decode(text);
    if (!decoded) continue;
    ++read;
    CHECK(decoded->encode() == text);
  }
  CHECK(read > 100);
}
