#include "core/link/packet.hpp"

#include "core/link/inbox.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/link/link_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::link;

namespace {

const PacketHead head{0x0102030405060708, 9, 10};

Chunk chunk(std::string_view text) {
  return {.kind = ChunkKind::call,
          .channel = Channel::metadata,
          .call = 11,
          .timeout_ms = 12,
          .total = static_cast<std::uint32_t>(text.size()),
          .position = 0,
          .bytes = bytes_of(text)};
}
Bytes packed(const std::vector<Chunk>& chunks) { return Bytes::adopt(encode(head, chunks)); }

}  // namespace

TEST_CASE("a packet is read as it was written, and keeps its bytes over all versions", "[link]") {
  const auto bytes = packed({chunk("hi")});
  CHECK(to_hex(bytes) ==
        "010203040506070800000000000000090000000000"
        "00000a0001"
        "0202000000000000000b0000000c0000000200000000000000026869");
  const auto packet = decode_packet(bytes);
  REQUIRE(packet);
  CHECK(packet->head.acknowledged == 10);
  REQUIRE(packet->chunks.size() == 1);
  CHECK(as_text(packet->chunks[0].bytes) == "hi");
  CHECK(packet->chunks[0].bytes.data() == bytes.data() + bytes.size() - 2);
  CHECK(decode_packet(packed({}))->chunks.empty());
}

TEST_CASE("a packet that ends early, goes on too long or holds what cannot be is refused", "[link]") {
  const auto whole = packed({chunk("hello"), chunk("")});
  for (std::size_t size = 0; size < whole.size(); ++size) CHECK_FALSE(decode_packet(whole.slice(0, size)));
  ByteBuffer longer{whole.view().begin(), whole.view().end()};
  longer.push_back(std::byte{0});
  CHECK_FALSE(decode_packet(Bytes::adopt(longer)));

  auto wrong = chunk("hello");
  SECTION("kind") { wrong.kind = static_cast<ChunkKind>(5); }
  SECTION("channel") { wrong.channel = static_cast<Channel>(0); }
  SECTION("channel above") { wrong.channel = static_cast<Channel>(channel_count + 1); }
  SECTION("total") { wrong.total = payload_bytes_max + 1; }
  SECTION("outside") { wrong.position = 1; }
  SECTION("far outside") { wrong.position = 0xffffffff; }
  SECTION("empty") { wrong.bytes = {}; }
  SECTION("no number") { wrong.call = 0; }
  SECTION("a message with a number") { wrong.kind = ChunkKind::message; }
  SECTION("a timeout on an answer") { wrong.kind = ChunkKind::answer; }
  const auto read = decode_packet(packed({wrong}));
  REQUIRE_FALSE(read);
  CHECK(read.error().code == Errc::corrupt_message);
}

TEST_CASE("random damage to a packet is never a crash", "[link]") {
  const auto seed = seed_or(17);
  INFO("TROUPE_SEED=" << seed);
  Prng random{seed};
  const auto whole = packed({chunk("hello"), chunk(std::string(300, 'y')), chunk("")});
  Inbox inbox;
  for (int i = 0; i < 50'000; ++i) {
    ByteBuffer damaged{whole.view().begin(), whole.view().end()};
    for (auto left = 1 + random.below(4); left > 0; --left)
      damaged[random.below(damaged.size())] = static_cast<std::byte>(random.next());
    auto packet = decode_packet(Bytes::adopt(damaged));
    if (!packet) continue;
    for (auto& one : packet->chunks) {
      if (!inbox.add(std::move(one))) inbox.reset();
    }
  }
}

TEST_CASE("chunks that do not go on where their message stands are refused", "[link]") {
  Inbox inbox;
  auto first = chunk("hel");
  first.total = 5;
  auto second = chunk("lo");
  second.total = 5;
  second.position = 3;
  SECTION("in order they are joined") {
    CHECK_FALSE(inbox.add(first)->has_value());
    const auto whole = inbox.add(second);
    REQUIRE(whole);
    REQUIRE(*whole);
    CHECK(as_text((*whole)->bytes) == "hello");
  }
  SECTION("a message that begins in its middle") { CHECK_FALSE(inbox.add(second)); }
  SECTION("a gap") {
    REQUIRE(inbox.add(first));
    second.position = 4;
    second.bytes = bytes_of("o");
    CHECK_FALSE(inbox.add(second));
  }
  SECTION("another message between") {
    REQUIRE(inbox.add(first));
    CHECK_FALSE(inbox.add(chunk("other")));
  }
  SECTION("another channel does not disturb") {
    REQUIRE(inbox.add(first));
    auto other = chunk("other");
    other.channel = Channel::gateway;
    CHECK(inbox.add(other)->has_value());
    CHECK(inbox.add(second)->has_value());
  }
}

TEST_CASE("an error travels with its code and its sentence", "[link]") {
  const auto error = decode_failure(encode_failure({Errc::not_controller, "ask broker 3"}));
  CHECK(error.code == Errc::not_controller);
  CHECK(error.message == "ask broker 3");
  CHECK(decode_failure({}).code == Errc::corrupt_message);
  const std::array unknown{std::byte{250}};
  CHECK(decode_failure(unknown).code == Errc::unknown_error);
  CHECK(decode_failure(encode_failure({Errc::overloaded, std::string(9'000, 'x')})).message.size() == 4'000);
}
