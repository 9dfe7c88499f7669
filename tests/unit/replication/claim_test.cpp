#include "core/replication/claim_index.hpp"

#include "tests/support/batches.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::replication;

namespace {

Claim claim(std::uint8_t client, std::uint64_t sequence, std::uint64_t digest = 7, std::int64_t at = 1000) {
  return {.client = {client}, .sequence = sequence, .digest = digest, .claimed_at = TimestampMs{at}};
}

ClaimedRecords at(std::int64_t offset) { return {Offset{offset}, 1, TimestampMs{5}}; }

}  // namespace

TEST_CASE("a claim survives its header, and other bytes are none", "[replication]") {
  const auto one = claim(3, UINT64_MAX, 99, -1);
  const auto bytes = encode_claim(one);
  CHECK(decode_claim(bytes) == one);
  for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode_claim(ByteView{bytes}.first(size)));
  auto other_version = bytes;
  other_version[0] = std::byte{2};
  CHECK_FALSE(decode_claim(other_version));
}

TEST_CASE("the same claim again is answered with the first one's records", "[replication]") {
  ClaimIndex index;
  CHECK(*index.check(claim(1, 5)) == std::nullopt);
  index.apply(claim(1, 5), at(40));
  CHECK(*index.check(claim(1, 5)) == at(40));
  CHECK(*index.check(claim(2, 5)) == std::nullopt);
  CHECK(*index.check(claim(1, 3)) == std::nullopt);  // gaps are allowed, and may be filled while they lie in the window
}

TEST_CASE("the same claim for another request is a conflict", "[replication]") {
  ClaimIndex index;
  index.apply(claim(1, 5, 7), at(40));
  const auto checked = index.check(claim(1, 5, 8));
  REQUIRE_FALSE(checked);
  CHECK(checked.error().code == Errc::conflict);
}

TEST_CASE("a sequence below the window is refused, for nobody remembers it", "[replication]") {
  ClaimIndex index;
  for (std::uint64_t sequence = 10; sequence <= 10 + ClaimIndex::sequences_kept; ++sequence) {
    index.apply(claim(1, sequence), at(static_cast<std::int64_t>(sequence)));
  }
  const auto checked = index.check(claim(1, 10));
  REQUIRE_FALSE(checked);
  CHECK(checked.error().code == Errc::out_of_order_sequence_number);
  CHECK(*index.check(claim(1, 11)) == at(11));
}

TEST_CASE("clients are forgotten after a day of silence, and beyond their number the most silent", "[replication]") {
  ClaimIndex index;
  index.apply(claim(1, 1, 7, 1000), at(1));
  index.apply(claim(2, 1, 7, 1000 + ClaimIndex::kept_ms), at(2));
  CHECK(index.clients() == 2);
  index.apply(claim(3, 1, 7, 1001 + ClaimIndex::kept_ms), at(3));
  CHECK(index.clients() == 2);
  CHECK(*index.check(claim(1, 1)) == std::nullopt);

  ClaimIndex crowd;
  for (std::size_t i = 0; i < ClaimIndex::clients_kept + 1; ++i) {
    Claim one{.client = {static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i >> 8)},
              .sequence = 1,
              .digest = 7,
              .claimed_at = TimestampMs{1000 + static_cast<std::int64_t>(i)}};
    crowd.apply(one, at(0));
  }
  CHECK(crowd.clients() == ClaimIndex::clients_kept);
  CHECK(*crowd.check(claim(0, 1)) == std::nullopt);
}
