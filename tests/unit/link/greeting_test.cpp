#include "core/link/greeting.hpp"

#include "base/prng.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/link/link_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::link;

namespace {

const Identity someone{uuid_of(200), BrokerId{3}, uuid_of(9)};
const Hello hello{
    .versions = {1, 4}, .from = someone, .to = BrokerId{7}, .session = 0xfedcba9876543210, .attempt = 6, .asks = true};

template <class Decode>
void refuses_every_prefix(const ByteBuffer& whole, Decode decode) {
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto cut = decode(ByteView{whole}.first(size));
    REQUIRE_FALSE(cut);
    CHECK(cut.error().code == Errc::corrupt_message);
  }
  auto longer = whole;
  longer.push_back(std::byte{1});
  CHECK(decode(longer));
}

}  // namespace

TEST_CASE("greetings are read as they were written, and what a later version adds is passed over", "[link]") {
  CHECK(*decode_hello(encode(hello)) == hello);
  const Welcome welcome{3, someone, 17, 5};
  CHECK(*decode_welcome(encode(welcome)) == welcome);
  const Refusal refusal{RefusalReason::cluster, someone, 18, "of another cluster"};
  CHECK(*decode_refusal(encode(refusal)) == refusal);
  refuses_every_prefix(encode(hello), decode_hello);
  refuses_every_prefix(encode(welcome), decode_welcome);
  refuses_every_prefix(encode(refusal), decode_refusal);
}

TEST_CASE("a hello keeps its bytes over all versions", "[link]") {
  CHECK(to_hex(encode(hello)) ==
        "00010004"
        "c80000000000400080000000000000010000000309000000000040008000000000000001"
        "00000007"
        "fedcba9876543210"
        "0000000000000006"
        "01");
}

TEST_CASE("a greeting with a field out of its range is refused", "[link]") {
  auto wrong = hello;
  SECTION("no session") { wrong.session = 0; }
  SECTION("no incarnation") { wrong.from.incarnation = {}; }
  SECTION("no broker") { wrong.from.broker = no_broker; }
  SECTION("versions the wrong way round") { wrong.versions = {3, 2}; }
  const auto read = decode_hello(encode(wrong));
  REQUIRE_FALSE(read);
  CHECK(read.error().code == Errc::corrupt_message);
}

TEST_CASE("random bytes are never a crash, and long sentences are cut", "[link]") {
  const auto seed = seed_or(17);
  INFO("TROUPE_SEED=" << seed);
  Prng random{seed};
  auto bytes = encode(Refusal{RefusalReason::cluster, someone, 18, std::string(5'000, 'x')});
  CHECK(decode_refusal(bytes)->sentence.size() == 1'000);
  for (int i = 0; i < 20'000; ++i) {
    bytes[random.below(bytes.size())] = static_cast<std::byte>(random.next());
    static_cast<void>(decode_hello(bytes));
    static_cast<void>(decode_welcome(bytes));
    if (const auto read = decode_refusal(bytes)) CHECK(read->sentence.size() <= 1'000);
  }
}

TEST_CASE("addresses are written as one types them", "[link]") {
  CHECK(to_string(PeerAddress{"node-1", 9000}) == "node-1:9000");
  CHECK(to_string(PeerAddress{"::1", 9000}) == "[::1]:9000");
}
