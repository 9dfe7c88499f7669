#include <functional>

#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "core/record/producer_state.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/record_state/batches.hpp"

using namespace troupe;
using namespace troupe::record;

namespace {

/// The worked example of docs/formats/producer-snapshot.md.
ProducerStates example() {
  ProducerStates states;
  states.apply(marker({.id = 4001, .epoch = 2, .offset = 3, .timestamp = 1'700'000'000'500}));
  states.apply(
      data_batch({.id = 4000, .epoch = 5, .sequence = 0, .records = 3, .offset = 4, .timestamp = 1'700'000'001'000}));
  return states;
}

constexpr std::string_view example_hex =
    "54525053"
    "4916facf"
    "0001"
    "00000002"
    "0000000000000fa0"
    "0005"
    "0000018bcfe56be8"
    "01"
    "00000000"
    "0000000000000004"
    "00000002"
    "0000018bcfe56be8"
    "0000000000000fa1"
    "0002"
    "0000018bcfe569f4"
    "00";

constexpr std::size_t first_producer = 14;
constexpr std::size_t first_batch = first_producer + 19;
constexpr std::size_t second_producer = first_batch + 24;

/// The example with a change, and a checksum that fits it.
Result<ProducerStates> decode_changed(const std::function<void(ByteBuffer&)>& change) {
  auto bytes = example().encode();
  change(bytes);
  store_big_endian(bytes.data() + 4, crc32c(ByteView{bytes}.subspan(8)));
  return ProducerStates::decode(bytes);
}

template <class Int>
Result<ProducerStates> decode_with(std::size_t at, Int value) {
  return decode_changed([&](ByteBuffer& bytes) { store_big_endian(bytes.data() + at, value); });
}

bool is_corrupt(const Result<ProducerStates>& decoded) { return !decoded && decoded.error().code == Errc::corrupt_message; }

}  // namespace

TEST_CASE("a snapshot has the bytes of the format's worked example", "[producer_snapshot]") {
  CHECK(to_hex(example().encode()) == example_hex);
}

TEST_CASE("a snapshot reads back as the state it was taken of", "[producer_snapshot]") {
  const auto bytes = example().encode();
  const auto decoded = ProducerStates::decode(bytes);
  REQUIRE(decoded);
  CHECK(*decoded == example());
  CHECK(decoded->find(ProducerId{4000})->batches[0].last_sequence == SequenceNumber{2});
  CHECK(ProducerStates::decode(ProducerStates{}.encode())->empty());
}

TEST_CASE("equal states are equal bytes, in whatever order their producers came", "[producer_snapshot]") {
  ProducerStates up;
  ProducerStates down;
  for (std::int64_t id = 0; id < 500; ++id) up.apply(data_batch({.id = id}));
  for (std::int64_t id = 499; id >= 0; --id) down.apply(data_batch({.id = id}));
  CHECK(up == down);
  CHECK(equal_bytes(up.encode(), down.encode()));
}

TEST_CASE("a batch that wraps its sequence survives a snapshot", "[producer_snapshot]") {
  ProducerStates states;
  states.apply(data_batch({.sequence = 0x7ffffffe, .records = 4}));
  CHECK(*ProducerStates::decode(states.encode()) == states);
}

TEST_CASE("every damaged bit and every length but the right one is refused", "[producer_snapshot]") {
  const auto good = example().encode();
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    CAPTURE(bit);
    auto bytes = good;
    bytes[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    REQUIRE(is_corrupt(ProducerStates::decode(bytes)));
  }
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    REQUIRE(is_corrupt(ProducerStates::decode(ByteView{good}.first(size))));
  }
  CHECK(is_corrupt(decode_changed([](ByteBuffer& bytes) { bytes.push_back(std::byte{0}); })));
}

TEST_CASE("what breaks the grammar is refused even when the checksum fits", "[producer_snapshot]") {
  CHECK(decode_changed([](ByteBuffer&) {}));
  CHECK(is_corrupt(decode_with(0, std::uint32_t{0x54525054})));
  CHECK(is_corrupt(decode_with(8, std::int16_t{0})));
  CHECK(is_corrupt(decode_with(8, std::int16_t{2})));
  CHECK(is_corrupt(decode_with(10, std::uint32_t{1})));
  CHECK(is_corrupt(decode_with(10, std::uint32_t{3})));
  CHECK(is_corrupt(decode_with(10, std::uint32_t{0xffffffff})));
  CHECK(is_corrupt(decode_with(first_producer, std::int64_t{-1})));
  CHECK(is_corrupt(decode_with(first_producer, std::int64_t{4001})));
  CHECK(is_corrupt(decode_with(first_producer, std::int64_t{5000})));
  CHECK(is_corrupt(decode_with(first_producer + 8, std::int16_t{-1})));
  CHECK(is_corrupt(decode_with(first_producer + 18, std::uint8_t{0})));
  CHECK(is_corrupt(decode_with(first_producer + 18, std::uint8_t{2})));
  CHECK(is_corrupt(decode_with(first_producer + 18, std::uint8_t{6})));
  CHECK(is_corrupt(decode_with(second_producer + 18, std::uint8_t{1})));
  CHECK(is_corrupt(decode_with(first_batch, std::int32_t{-1})));
  CHECK(is_corrupt(decode_with(first_batch + 4, std::int64_t{-1})));
  CHECK(is_corrupt(decode_with(first_batch + 4, Offset::max().value() - 2)));
  CHECK(is_corrupt(decode_with(first_batch + 12, std::int32_t{-1})));
  // Every truncation, with a checksum of its own.
  for (std::size_t size = 8; size < example().encode().size(); ++size) {
    CAPTURE(size);
    REQUIRE(is_corrupt(decode_changed([size](ByteBuffer& bytes) { bytes.resize(size); })));
  }
}

TEST_CASE("six batches of one producer, or batches that overlap in the log, are refused", "[producer_snapshot]") {
  ProducerStates states;
  for (std::int32_t i = 0; i < 5; ++i) states.apply(data_batch({.sequence = i, .offset = i}));
  const auto good = states.encode();
  const auto decode_edited = [](ByteBuffer bytes) {
    store_big_endian(bytes.data() + 4, crc32c(ByteView{bytes}.subspan(8)));
    return ProducerStates::decode(bytes);
  };
  CHECK(decode_edited(good));

  auto six = good;
  append_bytes(six, ByteView{good}.last(24));
  store_big_endian(six.data() + good.size() + 4, std::int64_t{5});
  store_big_endian(six.data() + first_producer + 18, std::uint8_t{6});
  CHECK(is_corrupt(decode_edited(six)));

  auto overlapping = good;
  store_big_endian(overlapping.data() + first_batch + 24 + 4, std::int64_t{0});
  CHECK(is_corrupt(decode_edited(overlapping)));
}

TEST_CASE("a refused snapshot says where and what", "[producer_snapshot]") {
  CHECK(decode_with(first_producer + 8, std::int16_t{-1}).error().message ==
        "producer snapshot: producer 0 of 2: epoch -1, wanted 0 or more");
  CHECK(decode_with(8, std::int16_t{9}).error().message == "producer snapshot: version 9, wanted 1");
}
