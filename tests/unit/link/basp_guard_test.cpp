#include "core/link/basp_guard.hpp"

#include <algorithm>

#include "base/byte_codec.hpp"
#include "base/prng.hpp"
#include "core/link/proof.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::link;
using Side = BaspGuard::Side;

namespace {

enum Operation : std::uint8_t { server_handshake, client_handshake, direct, routed, monitor, down, heartbeat };

ByteBuffer frame(std::uint8_t operation, std::size_t size, std::optional<std::uint32_t> said = std::nullopt) {
  ByteBuffer out(32 + size, std::byte{0x5a});
  out[0] = std::byte{operation};
  store_big_endian(&out[4], said.value_or(static_cast<std::uint32_t>(size)));
  return out;
}

ByteBuffer operator+(ByteBuffer a, const ByteBuffer& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

bool refuses(Side side, const ByteBuffer& bytes) {
  BaspGuard guard{side};
  const auto taken = guard.take(bytes);
  if (!taken) CHECK(taken.error().code == Errc::policy_violation);
  return !taken;
}

}  // namespace

TEST_CASE("what two nodes say to each other over CAF is let through", "[link]") {
  BaspGuard accepted{Side::accepted};
  CHECK_FALSE(accepted.greeted());
  const auto claim = accepted.take(frame(client_handshake, 32));
  REQUIRE(claim);
  REQUIRE(*claim);
  CHECK((*claim)->handshake);
  CHECK(std::ranges::count((*claim)->from, std::byte{0x5a}) == 32);
  CHECK(accepted.greeted());
  CHECK(accepted.take(frame(client_handshake, 32)));
  CHECK(accepted.take(frame(direct, 300'000) + frame(heartbeat, 0) + frame(direct, 1)));
  auto watch = frame(monitor, 64);
  watch[64] = std::byte{1};
  const auto watched = accepted.take(watch);
  REQUIRE(watched);
  REQUIRE(*watched);
  CHECK_FALSE((*watched)->handshake);
  CHECK((*watched)->from == (*claim)->from);
  CHECK((*watched)->to[0] == std::byte{1});
  CHECK((*watched)->to[1] == std::byte{0x5a});
  CHECK(accepted.take(frame(down, 90)));

  BaspGuard opened{Side::opened};
  CHECK(opened.take(frame(server_handshake, 100)));
  CHECK(opened.greeted());
  CHECK(opened.take(frame(heartbeat, 0) + frame(direct, 12)));
}

TEST_CASE("frames that harm CAF are refused at their header, before their payload has come", "[link]") {
  const auto hello = frame(client_handshake, 32);
  // Each of these two ends a process of CAF 0.17.
  CHECK(refuses(Side::accepted, frame(client_handshake, 0)));
  CHECK(refuses(Side::opened, frame(server_handshake, 0)));
  // It would make room for 4 GiB.
  CHECK(refuses(Side::accepted, hello + frame(direct, 0, 0xffffffff)));
  CHECK(refuses(Side::accepted, frame(client_handshake, 0, 0xffffffff)));
  CHECK(refuses(Side::accepted, hello + frame(direct, 0, BaspGuard::payload_bytes_max + 1)));
  CHECK_FALSE(refuses(Side::accepted, hello + frame(direct, 0, BaspGuard::payload_bytes_max)));
  CHECK(refuses(Side::accepted, frame(client_handshake, 0, BaspGuard::claim_bytes_max + 1)));
  CHECK(refuses(Side::accepted, frame(client_handshake, 31)));
  CHECK(refuses(Side::accepted, frame(client_handshake, 33)));
  CHECK(refuses(Side::opened, frame(server_handshake, 31)));
  CHECK(refuses(Side::accepted, hello + frame(monitor, 0)));
  CHECK(refuses(Side::accepted, hello + frame(monitor, 65)));
  CHECK(refuses(Side::accepted, hello + frame(down, 63)));
  CHECK(refuses(Side::accepted, hello + frame(down, 0, BaspGuard::claim_bytes_max + 1)));
  CHECK(refuses(Side::accepted, hello + frame(direct, 0)));
}

TEST_CASE("nobody speaks before it has said who it is, or for another", "[link]") {
  const auto hello = frame(client_handshake, 32);
  for (const auto operation : {direct, monitor, down}) CHECK(refuses(Side::accepted, frame(operation, 64)));
  CHECK(refuses(Side::accepted, frame(heartbeat, 0)));
  CHECK(refuses(Side::accepted, hello + frame(routed, 40)));
  CHECK(refuses(Side::accepted, frame(server_handshake, 40)));
  CHECK(refuses(Side::opened, hello));
  CHECK(refuses(Side::opened, frame(server_handshake, 40) + frame(server_handshake, 40)));
  CHECK(refuses(Side::accepted, hello + frame(7, 0)));
  CHECK(refuses(Side::accepted, hello + hello));  // in one piece: CAF reads a frame at a time
  CHECK(refuses(Side::accepted, hello + frame(heartbeat, 3)));
}

TEST_CASE("bytes are judged the same however they are cut", "[link]") {
  const auto seed = test::seed_or(1);
  Prng random{seed};
  for (int round = 0; round < 300; ++round) {
    auto all = frame(client_handshake, 32);
    const auto count = random.below(8);
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto operation = static_cast<std::uint8_t>(random.below(8));
      all = all + frame(operation, operation == heartbeat ? 0 : operation == monitor ? 64 : 64 * random.below(3));
    }
    // Byte by byte at first: no two claims come in one piece.
    const auto judge = [&](bool by_chance) {
      BaspGuard guard{Side::accepted};
      std::size_t claims = 0;
      std::size_t at = 0;
      while (at < all.size()) {
        const auto size = by_chance ? std::min<std::size_t>(all.size() - at, 1 + random.below(30)) : 1;
        const auto taken = guard.take(ByteView{all}.subspan(at, size));
        if (!taken) return std::pair(claims, false);
        claims += *taken ? 1 : 0;
        at += size;
      }
      return std::pair(claims, true);
    };
    INFO("TROUPE_SEED=" << seed << ", round " << round);
    CHECK(judge(false) == judge(true));
  }
}

TEST_CASE("a name in a certificate is of one broker, or of none", "[link]") {
  CHECK(broker_named("broker-0") == BrokerId{0});
  CHECK(broker_named("broker-12") == BrokerId{12});
  CHECK(broker_named(certificate_name(BrokerId{2'147'483'647})) == BrokerId{2'147'483'647});
  for (const auto* name : {"", "broker-", "broker--1", "broker-01", "broker-+1", "broker-2147483648", "broker-1 ",
                           "broker-1.example", "Broker-1", "xbroker-1", "*", "broker-*"}) {
    INFO(name);
    CHECK(broker_named(name) == no_broker);
  }
}

TEST_CASE("whoever has to prove who it is says nothing else", "[link]") {
  CHECK_FALSE(object_to(Proof{}, BrokerId{3}));
  CHECK_FALSE(object_to(Proof{true, BrokerId{3}}, BrokerId{3}));
  CHECK(object_to(Proof{true, BrokerId{2}}, BrokerId{3}) ==
        "its certificate is of broker-2, and it says that it is broker 3");
  CHECK(object_to(Proof{true, no_broker}, BrokerId{3}) == "nothing proves that it is broker 3");
  CHECK(object_to(Proof{true, no_broker}, no_broker));
}
