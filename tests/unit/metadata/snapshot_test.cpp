#include "core/metadata/snapshot.hpp"

#include "tests/support/seed.hpp"
#include "tests/unit/metadata/metadata_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

ImagePtr image_of(int topics) {
  auto image = cluster_image(3);
  image = apply_records(image, {FeatureLevelRecord{"metadata.version", 1}}).after;
  const auto new_id = ids();
  std::vector<MetadataRecord> records;
  for (int i = 0; i < topics; ++i) {
    const auto id = new_id();
    records.emplace_back(TopicRecord{id, "topic-" + std::to_string(i)});
    records.emplace_back(TopicConfigRecord{id, "retention.ms", std::to_string(i + 1)});
    for (int partition = 0; partition < 3; ++partition) records.emplace_back(partition_record(id, partition, 1 + i % 3, i));
  }
  image = apply_records(image, records).after;
  return apply_records(image, {broker(2, 2)}).after;
}

/// A cluster in which everything is under way.
ImagePtr busy_image() {
  auto image = image_of(5);
  auto far = broker(4);
  far.cluster_host = "broker-4.internal";
  far.cluster_port = 9090;
  far.rack = "r1";
  far.fenced = true;
  image = apply_records(image, {far}).after;
  const auto& first = image->registrations()[0];
  const auto& second = image->registrations()[1];
  return apply_records(image,
                       {BrokerStateRecord{.id = first.broker.id, .broker_epoch = first.broker_epoch, .draining = true},
                        BrokerStateRecord{.id = second.broker.id, .broker_epoch = second.broker_epoch, .stopping = true},
                        PartitionRecord{.topic_id = image->topics().front()->id,
                                        .leader = BrokerId{1},
                                        .leader_epoch = LeaderEpoch{9},
                                        .replicas = {BrokerId{4}, BrokerId{1}, BrokerId{2}},
                                        .isr = {BrokerId{1}},
                                        .partition_epoch = PartitionEpoch{12},
                                        .eligible_leader_replicas = {BrokerId{2}},
                                        .adding_replicas = {BrokerId{4}},
                                        .removing_replicas = {BrokerId{2}},
                                        .replicas_before = {BrokerId{2}, BrokerId{1}}},
                        PartitionRecord{.topic_id = image->topics().back()->id,
                                        .leader_epoch = LeaderEpoch{3},
                                        .replicas = {BrokerId{1}, BrokerId{2}},
                                        .eligible_leader_replicas = {BrokerId{2}},
                                        .last_known_leader = BrokerId{1}}})
      .after;
}

}  // namespace

TEST_CASE("an image comes back from its snapshot as it was", "[metadata]") {
  for (const auto& image : {image_of(0), image_of(1), image_of(5'000), busy_image()}) {
    const auto payload = encode_snapshot(*image);
    const auto decoded = decode_snapshot(payload);
    REQUIRE(decoded);
    CHECK(same_content(**decoded, *image));
    CHECK((*decoded)->applied() == image->applied());
    CHECK((*decoded)->partition_count() == image->partition_count());
    CHECK((*decoded)->replica_count() == image->replica_count());
    CHECK(equal_bytes(encode_snapshot(**decoded), payload));
  }
}

TEST_CASE("a snapshot that was cut off anywhere is refused", "[metadata]") {
  const auto payload = encode_snapshot(*image_of(2));
  for (std::size_t size = 0; size < payload.size(); ++size) {
    CHECK_FALSE(decode_snapshot(ByteView{payload}.first(size)));
  }
  auto newer = payload;
  newer[0] = std::byte{2};
  CHECK(decode_snapshot(newer).error().code == Errc::invalid_record);
}

TEST_CASE("any bytes are a snapshot or an error", "[metadata]") {
  const auto seed = seed_or(31);
  INFO("TROUPE_SEED=" << seed);
  Prng random{seed};
  const auto payload = encode_snapshot(*busy_image());
  for (int i = 0; i < 4'000; ++i) {
    auto bytes = payload;
    for (std::uint64_t change = 0; change < 1 + random.below(3); ++change) {
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.below(256));
    }
    if (const auto decoded = decode_snapshot(bytes)) REQUIRE(decode_snapshot(encode_snapshot(**decoded)));
  }
}
