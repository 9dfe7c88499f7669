#include "core/replication/produce_rules.hpp"

#include <algorithm>
#include <set>

#include "core/record/partitioner.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::replication;

namespace {

metadata::TopicImage topic_of(std::int32_t partitions, const std::string& name = "orders", std::uint8_t id = 1) {
  metadata::TopicImage topic{.name = name, .id = TopicId{{id}}};
  topic.partitions.resize(static_cast<std::size_t>(partitions));
  return topic;
}

Errc refusal_of(const Status& status) {
  REQUIRE_FALSE(status);
  return status.error().code;
}

}  // namespace

TEST_CASE("a record that its topic does not take is refused by its whole size, and one that just fits is not", "[produce]") {
  auto topic = topic_of(1);
  topic.config.max_message_bytes = 1000 + static_cast<std::int64_t>(record_overhead_max);
  const std::string bytes(1001, 'x');
  const auto part = [&](std::size_t size) { return as_bytes(bytes).first(size); };
  CHECK(check_record({.value = part(1000)}, {}, topic));
  const auto refused = check_record({.value = part(1001)}, {}, topic);
  CHECK(refusal_of(refused) == Errc::message_too_large);
  CHECK(refused.error().message.find("1001") != std::string::npos);
  CHECK(refused.error().message.find(std::to_string(topic.config.max_message_bytes)) != std::string::npos);
  CHECK(check_record({.key = part(400), .value = part(600)}, {}, topic));
  CHECK(refusal_of(check_record({.key = part(401), .value = part(600)}, {}, topic)) == Errc::message_too_large);
  CHECK(check_record({.value = part(600), .headers = {{part(100), part(300)}}}, {}, topic));
  CHECK(refusal_of(check_record({.value = part(600), .headers = {{part(101), part(300)}}}, {}, topic)) ==
        Errc::message_too_large);
  CHECK(refusal_of(check_record({.value = part(600), .headers = {{part(100), part(301)}}}, {}, topic)) ==
        Errc::message_too_large);
  CHECK(check_record({.key = {}, .value = {}, .headers = {{part(3), std::nullopt}}}, {}, topic));
}

TEST_CASE("topics and header names of the system's own are not for clients", "[produce]") {
  const auto internal = topic_of(1, "__positions");
  CHECK(refusal_of(check_record({}, {}, internal)) == Errc::topic_authorization_failed);
  CHECK(check_record({}, {.internal = true}, internal));
  const auto topic = topic_of(1);
  const auto named = [](std::string_view name) { return ProduceRecord{.headers = {{as_bytes(name), std::nullopt}}}; };
  CHECK(refusal_of(check_record(named("__troupe.claim"), {}, topic)) == Errc::invalid_record);
  CHECK(refusal_of(check_record(named("__troupe"), {}, topic)) == Errc::invalid_record);
  CHECK(check_record(named("__troup"), {}, topic));
  CHECK(check_record(named("my__troupe"), {}, topic));
  auto second = named("trace");
  second.headers.push_back({as_bytes("__troupe.x"), std::nullopt});
  CHECK(refusal_of(check_record(second, {}, topic)) == Errc::invalid_record);
}

TEST_CASE("a compacted topic takes no record without a key, and one without a value", "[produce]") {
  for (const auto* policy : {"compact", "compact,delete"}) {
    metadata::TopicImage topic{.name = "t", .config = *metadata::parse_topic_config({{"cleanup.policy", policy}})};
    CHECK(refusal_of(check_record({.value = as_bytes("v")}, {}, topic)) == Errc::invalid_record);
    CHECK(refusal_of(check_record({.value = as_bytes("v")}, {.internal = true}, topic)) == Errc::invalid_record);
    CHECK(check_record({.key = as_bytes("k"), .value = as_bytes("v")}, {}, topic));
    CHECK(check_record({.key = as_bytes("k")}, {}, topic));
    CHECK(check_record({.key = ByteView{}}, {}, topic));
  }
  const metadata::TopicImage plain{.name = "t"};
  CHECK(check_record({.value = as_bytes("v")}, {}, plain));
}

TEST_CASE("a record goes where it says, else by its key, else by its request's idempotence id", "[produce]") {
  Prng random(1);
  PartitionChooser chooser;
  const auto topic = topic_of(7);
  const auto choose = [&](const ProduceRecord& record, const ProduceRequest& request = {}) {
    return chooser.choose(record, request, topic, random);
  };
  const ProduceRequest keyed_request{.idempotence = IdempotenceKey{.client_id = "ana"}};
  for (std::int32_t p = 0; p < 7; ++p) {
    const ProduceRecord named{.key = as_bytes("k"), .partition = PartitionId{p}};
    CHECK(choose(named, keyed_request).value() == PartitionId{p});
  }
  for (const std::int32_t p : {-1, 7, INT32_MIN, INT32_MAX}) {
    const auto refused = choose({.partition = PartitionId{p}});
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::unknown_topic_or_partition);
  }
  for (int i = 0; i < 100; ++i) {
    const auto key = "key " + std::to_string(i);
    const auto of_key = record::partition_for_key(as_bytes(key), 7);
    CHECK(choose({.key = as_bytes(key)}).value() == of_key);
    CHECK(choose({.key = as_bytes(key)}, keyed_request).value() == of_key);
    const ProduceRequest request{.idempotence = IdempotenceKey{.client_id = key, .sequence = static_cast<std::uint64_t>(i)}};
    CHECK(choose({.value = as_bytes("v")}, request).value() == of_key);
    chooser.on_batch_sent(topic.id);
    CHECK(choose({.value = as_bytes("v")}, request).value() == of_key);  // also when it comes again
  }
  CHECK(choose({.key = ByteView{}}).value() == record::partition_for_key({}, 7));  // an empty key is a key
}

TEST_CASE("records without a key stay together until their batch is sent, and reach all partitions alike", "[produce]") {
  const auto seed = test::seed_or(3);
  INFO("TROUPE_SEED=" << seed);
  Prng random(seed);
  PartitionChooser chooser;
  const auto topic = topic_of(8);
  const auto other = topic_of(8, "other", 2);
  std::map<PartitionId, int> batches;
  for (int batch = 0; batch < 4000; ++batch) {
    const auto chosen = chooser.choose({}, {}, topic, random).value();
    CHECK(chooser.choose({}, {}, topic, random).value() == chosen);
    (void)chooser.choose({}, {}, other, random);
    chooser.on_batch_sent(other.id);
    CHECK(chooser.choose({}, {}, topic, random).value() == chosen);  // another topic's batches are not this one's
    chooser.on_batch_sent(topic.id);
    ++batches[chosen];
  }
  REQUIRE(batches.size() == 8);
  for (const auto& [partition, count] : batches) {
    CAPTURE(partition.value());
    CHECK((count > 350 && count < 650));
  }
  // A topic of fewer partitions than the choice that was made for it.
  (void)chooser.choose({}, {}, topic, random);
  for (int i = 0; i < 50; ++i) {
    const auto count = static_cast<std::int32_t>(random.between(1, 8));
    CHECK(chooser.choose({}, {}, topic_of(count), random).value() < PartitionId{count});
  }
}

TEST_CASE("a claim is of one client and one sequence, and its digest of all that the client gave", "[produce]") {
  const std::string text = "abcdef";
  const auto part = [&](std::size_t from, std::size_t size) { return as_bytes(text).subspan(from, size); };
  const auto request_of = [](std::vector<ProduceRecord> records) {
    return ProduceRequest{.records = std::move(records), .idempotence = IdempotenceKey{.client_id = "ana", .sequence = 5}};
  };
  const auto claim = [](const ProduceRequest& request) { return make_claim(request, "", TimestampMs{1000}); };
  const ProduceRecord full{.key = part(0, 1),
                           .value = part(1, 2),
                           .headers = {{part(3, 1), part(4, 1)}},
                           .timestamp = TimestampMs{77},
                           .partition = PartitionId{2}};
  const auto first = claim(request_of({full}));
  CHECK(first.sequence == 5);
  CHECK(first.claimed_at == TimestampMs{1000});
  CHECK(claim(request_of({full})) == first);
  CHECK(make_claim(request_of({full}), "", TimestampMs{2000}).digest == first.digest);

  // Who: another id or another principal is another client, also when the two together spell the same.
  auto other_client = request_of({full});
  other_client.idempotence->client_id = "anb";
  CHECK(claim(other_client).client != first.client);
  CHECK(claim(other_client).digest == first.digest);
  CHECK(make_claim(request_of({full}), "eva", TimestampMs{1000}).client != first.client);
  other_client.idempotence->client_id = "na";
  CHECK(make_claim(other_client, "a", TimestampMs{1000}).client != first.client);

  // What: every change is another request.
  std::vector<ProduceRequest> others;
  const auto changed = [&](auto change) {
    auto record = full;
    change(record);
    others.push_back(request_of({std::move(record)}));
  };
  changed([&](ProduceRecord& one) { one.key = part(1, 1); });
  changed([&](ProduceRecord& one) { one.key.reset(); });
  changed([&](ProduceRecord& one) { one.key = ByteView{}; });
  changed([&](ProduceRecord& one) { one.value = part(2, 2); });
  changed([&](ProduceRecord& one) { one.value.reset(); });
  changed([&](ProduceRecord& one) { one.value = ByteView{}; });
  changed([&](ProduceRecord& one) {  // the same bytes, cut elsewhere
    one.key = part(0, 2);
    one.value = part(2, 1);
  });
  changed([&](ProduceRecord& one) { one.timestamp = TimestampMs{78}; });
  changed([&](ProduceRecord& one) { one.timestamp = no_timestamp; });
  changed([&](ProduceRecord& one) { one.partition = PartitionId{3}; });
  changed([&](ProduceRecord& one) { one.partition.reset(); });
  changed([&](ProduceRecord& one) { one.headers[0].key = part(5, 1); });
  changed([&](ProduceRecord& one) { one.headers[0].value = part(5, 1); });
  changed([&](ProduceRecord& one) { one.headers[0].value.reset(); });
  changed([&](ProduceRecord& one) { one.headers.push_back(one.headers[0]); });
  changed([&](ProduceRecord& one) { one.headers.clear(); });
  others.push_back(request_of({full, full}));
  others.push_back(request_of({full, {}}));
  std::set<std::uint64_t> digests{first.digest};
  for (const auto& other : others) {
    CHECK(claim(other).client == first.client);
    digests.insert(claim(other).digest);
  }
  CHECK(digests.size() == others.size() + 1);
}
