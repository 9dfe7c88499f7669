#include "core/replication/fetch_codec.hpp"

#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::replication;

namespace {

TopicIdPartition some_id(Prng& random) {
  return {Uuid::random(random), PartitionId{static_cast<std::int32_t>(random.below(1'000))}};
}

FetchRequest some_request(Prng& random) {
  FetchRequest request{.replica = BrokerId{2}, .broker_epoch = BrokerEpoch{static_cast<std::int64_t>(random.below(1'000))}};
  request.number = static_cast<std::int64_t>(random.next());
  if (random.chance(1, 2)) {
    request.session_id = FetchSessionId{7};
    request.session_epoch = 1;
  }
  request.wait_ms_max = static_cast<std::int32_t>(random.below(1'000));
  request.bytes_max = 1 << 20;
  for (auto left = random.below(4); left > 0; --left) request.forgotten.push_back(some_id(random));
  for (auto left = random.below(4); left > 0; --left) {
    const auto offset = static_cast<std::int64_t>(random.below(1'000'000));
    request.partitions.push_back({some_id(random),
                                  {.leader_epoch = LeaderEpoch{4},
                                   .fetch_offset = Offset{offset},
                                   .last_fetched_epoch = random.chance(1, 2) ? no_leader_epoch : LeaderEpoch{3},
                                   .durable_offset = Offset{offset / 2},
                                   .log_start = Offset{offset / 3},
                                   .high_watermark = Offset{offset / 2}},
                                  random.chance(1, 2)});
  }
  return request;
}

FetchAnswer some_answer(Prng& random) {
  FetchAnswer answer{.session_id = FetchSessionId{7}, .number = static_cast<std::int64_t>(random.next())};
  if (random.chance(1, 4)) answer.error = Errc::fetch_session_id_not_found;
  for (auto left = random.below(4); left > 0; --left) {
    ReplicaAnswer one{.leader_epoch = LeaderEpoch{4},
                      .fetch_offset = Offset{static_cast<std::int64_t>(random.below(1'000))},
                      .last_fetched_epoch = LeaderEpoch{2},
                      .high_watermark = Offset{3},
                      .log_start = Offset{1},
                      .log_end = Offset{9}};
    if (random.chance(1, 4)) one.error = Errc::fenced_leader_epoch;
    if (random.chance(1, 4)) one.diverging = DivergingEpoch{LeaderEpoch{1}, Offset{5}};
    ByteBuffer bytes(random.below(50));
    for (auto& byte : bytes) byte = static_cast<std::byte>(random.next());
    one.records = Bytes::adopt(std::move(bytes));
    answer.partitions.push_back({some_id(random), one});
  }
  return answer;
}

}  // namespace

TEST_CASE("requests and answers come back as they were sent", "[replication]") {
  const auto seed = test::seed_or(41);
  INFO("TROUPE_SEED=" << seed);
  Prng random(seed);
  for (int round = 0; round < 300; ++round) {
    const auto request = some_request(random);
    CHECK(*decode_fetch_request(encode_fetch_request(request)) == request);
    const auto answer = some_answer(random);
    CHECK(*decode_fetch_answer(Bytes::adopt(encode_fetch_answer(answer))) == answer);
  }
}

TEST_CASE("a message that is cut off, too long or of another version is corrupt", "[replication]") {
  const auto seed = test::seed_or(42);
  INFO("TROUPE_SEED=" << seed);
  Prng random(seed);
  for (int round = 0; round < 50; ++round) {
    auto request = encode_fetch_request(some_request(random));
    auto answer = encode_fetch_answer(some_answer(random));
    for (std::size_t size = 0; size < request.size(); ++size) {
      const auto cut = decode_fetch_request(ByteView{request}.first(size));
      REQUIRE_FALSE(cut);
      REQUIRE(cut.error().code == Errc::corrupt_message);
    }
    for (std::size_t size = 0; size < answer.size(); ++size)
      REQUIRE_FALSE(decode_fetch_answer(Bytes::copy_of(ByteView{answer}.first(size))));
    CHECK_FALSE(decode_fetch_request(answer));
    CHECK_FALSE(decode_fetch_answer(Bytes::copy_of(request)));
    request.push_back(std::byte{0});
    answer.push_back(std::byte{0});
    CHECK_FALSE(decode_fetch_request(request));
    CHECK_FALSE(decode_fetch_answer(Bytes::copy_of(answer)));
    request.pop_back();
    request[0] = std::byte{2};
    CHECK_FALSE(decode_fetch_request(request));
  }
}

TEST_CASE("whatever bytes come, decoding ends, and what it takes it writes the same again", "[replication]") {
  const auto seed = test::seed_or(43);
  INFO("TROUPE_SEED=" << seed);
  Prng random(seed);
  for (int round = 0; round < 20'000; ++round) {
    auto request = encode_fetch_request(some_request(random));
    auto answer = encode_fetch_answer(some_answer(random));
    for (auto flips = 1 + random.below(4); flips > 0; --flips) {
      request[random.below(request.size())] = static_cast<std::byte>(random.next());
      answer[random.below(answer.size())] = static_cast<std::byte>(random.next());
    }
    if (const auto decoded = decode_fetch_request(request)) REQUIRE(equal_bytes(encode_fetch_request(*decoded), request));
    if (const auto decoded = decode_fetch_answer(Bytes::copy_of(answer)))
      REQUIRE(equal_bytes(encode_fetch_answer(*decoded), answer));
  }
}

TEST_CASE("positions that no follower can be at are corrupt", "[replication]") {
  const auto refused = [](const FetchPosition& position) {
    const FetchRequest request{.replica = BrokerId{2}, .broker_epoch = BrokerEpoch{1}, .partitions = {{{}, position}}};
    return !decode_fetch_request(encode_fetch_request(request));
  };
  const FetchPosition good{
      .fetch_offset = Offset{5}, .durable_offset = Offset{5}, .log_start = Offset{5}, .high_watermark = Offset{5}};
  CHECK_FALSE(refused(good));
  auto bad = good;
  bad.durable_offset = Offset{6};
  CHECK(refused(bad));
  bad = good;
  bad.log_start = Offset{6};
  CHECK(refused(bad));
  bad = good;
  bad.high_watermark = Offset{6};
  CHECK(refused(bad));
  bad = good;
  bad.fetch_offset = Offset{-1};
  CHECK(refused(bad));
  bad = good;
  bad.leader_epoch = no_leader_epoch;
  CHECK(refused(bad));
}
