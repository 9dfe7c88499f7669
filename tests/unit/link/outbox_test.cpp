#include "core/link/outbox.hpp"

#include "core/link/inbox.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/link/link_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::link;

namespace {

Outbox::Message message(Channel channel, std::size_t size, char letter = 'x') {
  return {.kind = ChunkKind::message, .channel = channel, .payload = bytes_of(std::string(size, letter))};
}
Outbox::Message call(std::uint64_t number, std::size_t size, Channel channel = Channel::gateway) {
  return {.kind = ChunkKind::call,
          .channel = channel,
          .call = number,
          .timeout_ms = 5,
          .payload = bytes_of(std::string(size, 'c'))};
}
Packet next(Outbox& outbox) {
  auto bytes = outbox.next({1, 1, 0});
  REQUIRE(bytes);
  CHECK(bytes->size() <= packet_bytes_max);
  auto packet = decode_packet(Bytes::adopt(std::move(*bytes)));
  REQUIRE(packet);
  return std::move(*packet);
}

}  // namespace

TEST_CASE("no more than 1 MiB of data is under way, and control goes past it", "[link]") {
  Outbox outbox;
  REQUIRE(outbox.put(message(Channel::replica, 8 << 20)));
  int packets = 0;
  while (outbox.next({1, 1, 0})) ++packets;
  CHECK(packets == 4);
  CHECK(outbox.under_way() <= 1 << 20);
  REQUIRE(outbox.put(message(Channel::quorum, 10)));
  const auto packet = next(outbox);
  REQUIRE(packet.chunks.size() == 1);
  CHECK(packet.chunks[0].channel == Channel::quorum);
  REQUIRE(outbox.put(message(Channel::quorum, 3 << 20)));
  while (outbox.next({1, 1, 0})) {}
  CHECK(outbox.under_way() <= 2 << 20);
  CHECK(outbox.under_way() > (2 << 20) - (512 << 10));
  REQUIRE(outbox.acknowledged(outbox.under_way()));
  CHECK(outbox.next({1, 1, 0}));
}

TEST_CASE("control comes first, data channels take turns", "[link]") {
  Outbox outbox;
  REQUIRE(outbox.put(message(Channel::gateway, 300 << 10)));
  REQUIRE(outbox.put(message(Channel::replica, 300 << 10)));
  REQUIRE(outbox.put(message(Channel::group, 300 << 10)));
  REQUIRE(outbox.put(message(Channel::metadata, 10)));
  REQUIRE(outbox.put(message(Channel::quorum, 10)));
  const auto first = next(outbox);
  REQUIRE(first.chunks.size() == 3);
  CHECK(first.chunks[0].channel == Channel::quorum);
  CHECK(first.chunks[1].channel == Channel::metadata);
  CHECK(first.chunks[2].channel == Channel::replica);
  CHECK(next(outbox).chunks[0].channel == Channel::gateway);
  CHECK(next(outbox).chunks[0].channel == Channel::group);
}

TEST_CASE("each channel's queue has its bound, answers twice of it", "[link]") {
  Outbox outbox;
  int taken = 0;
  while (outbox.put(call(1, 1 << 20))) ++taken;
  CHECK(taken == 32);
  CHECK(outbox.put(call(1, 1)).error().code == Errc::overloaded);
  CHECK(outbox.put({.kind = ChunkKind::answer, .channel = Channel::gateway, .call = 4, .payload = bytes_of("a")}));
  CHECK(outbox.put(message(Channel::replica, 1)));
  CHECK(outbox.put(message(Channel::replica, payload_bytes_max + 1)).error().code == Errc::message_too_large);
}

TEST_CASE("a call that has not begun is taken back, and counted as not sent", "[link]") {
  Outbox outbox;
  REQUIRE(outbox.put(call(1, 300 << 10)));
  REQUIRE(outbox.put(call(2, 10)));
  REQUIRE(outbox.put(call(3, 10)));
  next(outbox);
  CHECK_FALSE(outbox.take_back(Channel::gateway, 1));
  CHECK(outbox.take_back(Channel::gateway, 2));
  CHECK_FALSE(outbox.take_back(Channel::gateway, 2));
  CHECK(outbox.reset() == std::vector<std::uint64_t>{3});
  CHECK(outbox.waiting_bytes(Channel::gateway) == 0);
  CHECK(outbox.under_way() == 0);
}

TEST_CASE("an acknowledgement that cannot be is refused", "[link]") {
  Outbox outbox;
  REQUIRE(outbox.put(message(Channel::quorum, 100)));
  const auto size = outbox.next({1, 1, 0})->size();
  CHECK_FALSE(outbox.acknowledged(size + 1));
  REQUIRE(outbox.acknowledged(size));
  CHECK_FALSE(outbox.acknowledged(size - 1));
}

TEST_CASE("what goes into an outbox comes out of the inbox, channel by channel", "[link]") {
  const auto seed = seed_or(17);
  INFO("TROUPE_SEED=" << seed);
  Prng random{seed};
  Outbox outbox;
  Inbox inbox;
  std::array<std::deque<std::string>, channel_count> expected;
  std::uint64_t received = 0;
  std::size_t joined = 0;
  for (int i = 0; i < 2'000; ++i) {
    const auto channel = all_channels[random.below(channel_count)];
    const auto size = random.chance(1, 30) ? random.below(1'500'000) : random.below(300);
    const auto letter = static_cast<char>('a' + random.below(26));
    if (outbox.put(message(channel, size, letter))) expected[index_of(channel)].push_back(std::string(size, letter));
    if (!random.chance(1, 2)) continue;
    auto bytes = outbox.next({1, 1, 0});
    if (!bytes) {
      REQUIRE(outbox.acknowledged(received));
      continue;
    }
    received += bytes->size();
    auto packet = decode_packet(Bytes::adopt(std::move(*bytes)));
    REQUIRE(packet);
    for (auto& chunk : packet->chunks) {
      auto whole = inbox.add(std::move(chunk));
      REQUIRE(whole);
      if (!*whole) continue;
      auto& queue = expected[index_of((*whole)->channel)];
      REQUIRE_FALSE(queue.empty());
      REQUIRE(as_text((*whole)->bytes) == queue.front());
      queue.pop_front();
      ++joined;
    }
  }
  CHECK(joined > 500);
}
