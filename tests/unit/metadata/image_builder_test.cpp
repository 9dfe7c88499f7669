#include "core/metadata/image_builder.hpp"

#include <limits>

#include "core/record/batch_builder.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/metadata/metadata_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

Errc refusal(const ImagePtr& before, const MetadataRecord& record) {
  ImageBuilder builder{before};
  const auto applied = builder.apply(record, before->applied());
  REQUIRE_FALSE(applied);
  return applied.error().code;
}

std::vector<std::string> names(const std::vector<TopicPtr>& topics) {
  std::vector<std::string> all;
  for (const auto& topic : topics) all.push_back(topic->name);
  return all;
}

}  // namespace

TEST_CASE("a topic is found by name and id, with its partitions and settings", "[metadata]") {
  const auto delta =
      apply_records(cluster_image(), {TopicRecord{uuid(1), "rides"}, TopicConfigRecord{uuid(1), "flush", "interval"},
                                      partition_record(uuid(1), 0), partition_record(uuid(1), 1)});
  const auto& image = *delta.after;
  const auto topic = image.find_topic("rides");
  REQUIRE(topic);
  CHECK(image.find_topic(uuid(1)) == topic);
  CHECK(topic->partition_count() == 2);
  CHECK(topic->config.flush == FlushMode::interval);
  CHECK(topic->partitions[1] == PartitionImage{BrokerId{1}, LeaderEpoch{0}, {BrokerId{1}}, {BrokerId{1}}});
  CHECK(image.topic_count() == 1);
  CHECK(image.partition_count() == 2);
  CHECK(image.replica_count() == 2);
  CHECK(image.controller_id() == BrokerId{1});
  CHECK(image.cluster_id() == cluster);
  CHECK(image.applied() == Offset{6});
  CHECK_FALSE(image.find_topic("Rides"));
  CHECK_FALSE(image.find_topic(uuid(2)));
  CHECK(names(delta.created) == std::vector<std::string>{"rides"});
  CHECK_FALSE(delta.before->find_topic("rides"));
}

TEST_CASE("one change among 10,000 topics copies two shards, and no other topic", "[metadata]") {
  std::vector<MetadataRecord> records;
  const auto new_id = ids();
  std::vector<TopicId> all;
  for (int i = 0; i < 10'000; ++i) {
    all.push_back(new_id());
    records.emplace_back(TopicRecord{all.back(), "topic-" + std::to_string(i)});
    records.emplace_back(partition_record(all.back(), 0));
  }
  const auto before = apply_records(cluster_image(), records).after;
  const auto delta = apply_records(before, {TopicConfigRecord{all[5'000], "retention.ms", "1000"}});
  CHECK(delta.after->shared_shards(*before) == 2 * TopicTable::shard_count - 2);
  CHECK(names(delta.changed) == std::vector<std::string>{"topic-5000"});
  for (const auto& id : all) {
    const bool same = before->find_topic(id) == delta.after->find_topic(id);
    REQUIRE(same == (id != all[5'000]));
  }
  CHECK(before->find_topic(all[5'000])->config.retention_ms != 1000);  // the old image is as it was
  CHECK(delta.after->find_topic(all[5'000])->config.retention_ms == 1000);

  const auto sorted = before->topics();
  REQUIRE(sorted.size() == 10'000);
  CHECK(std::ranges::is_sorted(sorted, {}, [](const auto& topic) { return topic->name; }));
}

TEST_CASE("a delta names what was created, changed and deleted, each topic once", "[metadata]") {
  const auto before = apply_records(cluster_image(), {TopicRecord{uuid(1), "kept"}, partition_record(uuid(1), 0),
                                                      TopicRecord{uuid(2), "changed"}, partition_record(uuid(2), 0),
                                                      TopicRecord{uuid(3), "gone"}, partition_record(uuid(3), 0)})
                          .after;
  const auto delta =
      apply_records(before, {TopicRecord{uuid(4), "new"}, partition_record(uuid(4), 0), partition_record(uuid(2), 1),
                             TopicConfigRecord{uuid(2), "flush.ms", "50"}, TopicRemovedRecord{uuid(3)},
                             TopicRecord{uuid(5), "short"}, TopicRemovedRecord{uuid(5)},
                             TopicConfigRecord{uuid(1), "flush", "fsync"}, TopicConfigRecord{uuid(1), "flush", {}}});
  CHECK(names(delta.created) == std::vector<std::string>{"new"});
  CHECK(names(delta.changed) == std::vector<std::string>{"changed"});
  CHECK(names(delta.deleted) == std::vector<std::string>{"gone"});
  CHECK(delta.deleted.front() == before->find_topic("gone"));
  CHECK(delta.after->topic_count() == 3);
  CHECK(delta.after->partition_count() == 4);
  CHECK(before->topic_count() == 3);
  CHECK(before->find_topic("gone"));
}

TEST_CASE("a topic created again under its name is another one", "[metadata]") {
  const auto before = apply_records(cluster_image(), {TopicRecord{uuid(1), "rides"}, partition_record(uuid(1), 0)}).after;
  const auto delta = apply_records(before, {TopicRemovedRecord{uuid(1)}, TopicRecord{uuid(2), "rides"}});
  CHECK(names(delta.created) == names(delta.deleted));
  CHECK(delta.after->find_topic("rides")->id == uuid(2));
  CHECK_FALSE(delta.after->find_topic(uuid(1)));
}

TEST_CASE("each registration of a broker raises the leader epochs of what it leads, and of nothing else", "[metadata]") {
  const auto before = apply_records(cluster_image(2), {TopicRecord{uuid(1), "a"}, partition_record(uuid(1), 0, 1, 5),
                                                       partition_record(uuid(1), 1, 2, 5), TopicRecord{uuid(2), "b"},
                                                       partition_record(uuid(2), 0, 2, 1)})
                          .after;
  const auto delta = apply_records(before, {broker(1, 2), broker(1, 3)});
  const auto a = delta.after->find_topic("a");
  CHECK(a->partitions[0].leader_epoch == LeaderEpoch{7});
  CHECK(a->partitions[0].partition_epoch == PartitionEpoch{2});
  CHECK(a->partitions[1].leader_epoch == LeaderEpoch{5});
  CHECK(names(delta.changed) == std::vector<std::string>{"a"});
  CHECK(delta.after->find_topic("b") == before->find_topic("b"));
  CHECK(delta.after->find_broker(BrokerId{1})->incarnation == uuid(3));
  CHECK(delta.after->find_broker(BrokerId{1})->broker_epoch == before->applied() + 1);
}

TEST_CASE("replayed in one go or record by record, a log gives the same image", "[metadata]") {
  const auto seed = seed_or(77);
  INFO("TROUPE_SEED=" << seed);
  Prng random{seed};
  for (int round = 0; round < 30; ++round) {
    std::vector<MetadataRecord> records{ClusterRecord{cluster}};
    auto image = apply_records(empty_image(), records).after;
    for (int i = 0; i < 200; ++i) {
      const auto topic = uuid(static_cast<std::uint8_t>(1 + random.below(10)));
      const auto leader = static_cast<std::int32_t>(1 + random.below(3));
      const auto known = image->find_topic(topic);
      MetadataRecord record = broker(leader, static_cast<std::uint8_t>(random.below(200)));
      if (!known && random.chance(2, 3)) {
        record = TopicRecord{topic, "topic-" + std::to_string(random.next())};
      } else if (known && random.chance(1, 10)) {
        record = TopicRemovedRecord{topic};
      } else if (known && random.chance(2, 3)) {
        const auto count = static_cast<std::uint64_t>(known->partition_count());
        const auto index = static_cast<std::int32_t>(random.below(count + 1));
        const auto epoch = index < known->partition_count()
                               ? known->partitions[static_cast<std::size_t>(index)].leader_epoch.value() + 1
                               : 0;
        record = partition_record(topic, index, leader, epoch);
      } else if (known && random.chance(1, 2)) {
        record = TopicConfigRecord{topic, "retention.ms", std::to_string(1 + random.below(1'000))};
      }
      image = apply_records(image, {record}).after;
      records.push_back(record);
    }
    const auto at_once = apply_records(empty_image(), records).after;
    REQUIRE(same_content(*at_once, *image));
    REQUIRE(at_once->applied() == image->applied());
    REQUIRE(at_once->partition_count() == image->partition_count());
    REQUIRE(at_once->replica_count() == image->replica_count());
  }
}

TEST_CASE("an epoch at the end of its range stays there", "[metadata]") {
  constexpr auto highest = std::numeric_limits<std::int32_t>::max();
  const auto image =
      apply_records(cluster_image(), {TopicRecord{uuid(1), "a"}, partition_record(uuid(1), 0, 1, highest)}).after;
  CHECK(apply_records(image, {broker(1, 2)}).after->find_topic("a")->partitions[0].leader_epoch == LeaderEpoch{highest});
}

TEST_CASE("records that cannot follow are refused", "[metadata]") {
  const auto image =
      apply_records(cluster_image(), {TopicRecord{uuid(1), "a.b"}, partition_record(uuid(1), 0), TopicRecord{uuid(2), "c"}})
          .after;
  CHECK(refusal(image, ClusterRecord{uuid(99)}) == Errc::wrong_owner);
  CHECK(refusal(image, ClusterRecord{}) == Errc::corrupt_message);
  CHECK(refusal(image, TopicRecord{uuid(1), "x"}) == Errc::corrupt_message);
  CHECK(refusal(image, TopicRecord{uuid(3), "a.b"}) == Errc::corrupt_message);
  CHECK(refusal(image, TopicRecord{uuid(3), "a_b"}) == Errc::corrupt_message);
  CHECK(refusal(image, TopicRecord{Uuid{}, "x"}) == Errc::corrupt_message);
  CHECK(refusal(image, TopicRecord{uuid(3), "no/name"}) == Errc::invalid_topic_exception);
  CHECK(refusal(image, partition_record(uuid(9), 0)) == Errc::corrupt_message);
  CHECK(refusal(image, partition_record(uuid(1), 2)) == Errc::corrupt_message);
  CHECK(refusal(image, TopicConfigRecord{uuid(9), "flush", "fsync"}) == Errc::corrupt_message);
  CHECK(refusal(image, TopicConfigRecord{uuid(1), "flash", "fsync"}) == Errc::invalid_config);
  CHECK(refusal(image, TopicRemovedRecord{uuid(9)}) == Errc::corrupt_message);
  CHECK(refusal(image, BrokerStateRecord{.id = BrokerId{2}, .broker_epoch = Offset{1}}) == Errc::corrupt_message);
  CHECK(refusal(image, BrokerStateRecord{.id = BrokerId{1}, .broker_epoch = Offset{9}}) == Errc::corrupt_message);
  CHECK(refusal(image, BrokerUnregisteredRecord{BrokerId{2}, Offset{1}}) == Errc::corrupt_message);
  CHECK(refusal(image, BrokerUnregisteredRecord{BrokerId{1}, Offset{9}}) == Errc::corrupt_message);
}

TEST_CASE("a broker is what its registration and the states after it say", "[metadata]") {
  auto registered = broker(2);
  registered.cluster_host = "inside";
  registered.cluster_port = 9090;
  registered.rack = "r1";
  registered.fenced = true;
  auto image = apply_records(cluster_image(), {registered}).after;
  const auto first = *image->find_broker(BrokerId{2});
  CHECK(first.broker == BrokerImage{BrokerId{2}, "broker-2", 8080, "inside", 9090, "r1"});
  CHECK(first.fenced);
  image = apply_records(image, {BrokerStateRecord{.id = BrokerId{2}, .broker_epoch = first.broker_epoch, .draining = true}})
              .after;
  const auto second = *image->find_broker(BrokerId{2});
  CHECK_FALSE(second.fenced);
  CHECK(second.draining);
  CHECK(second.broker_epoch == first.broker_epoch);
  image = apply_records(image, {BrokerUnregisteredRecord{BrokerId{2}, first.broker_epoch}}).after;
  CHECK(image->find_broker(BrokerId{2}) == nullptr);
  CHECK(image->find_broker(BrokerId{1}) != nullptr);
}

TEST_CASE("the rules that look between two records see epochs that a registration has raised", "[metadata]") {
  const auto before = apply_records(cluster_image(), {TopicRecord{uuid(1), "a"}, partition_record(uuid(1), 0, 1, 5)}).after;
  ImageBuilder builder{before};
  REQUIRE(builder.apply(broker(1, 2), before->applied()));
  CHECK(builder.image().find_topic("a")->partitions[0].leader_epoch == LeaderEpoch{6});
  auto next = partition_record(uuid(1), 0, 1, 6);
  next.partition_epoch = PartitionEpoch{2};
  REQUIRE(builder.apply(next, before->applied() + 1));
  const auto after = builder.finish(before->applied() + 2, BrokerId{1}).after;
  CHECK(after->find_topic("a")->partitions[0].leader_epoch == LeaderEpoch{6});
  CHECK(after->find_topic("a")->partitions[0].partition_epoch == PartitionEpoch{2});
}

TEST_CASE("batches are applied from an offset on, and what is wrong in them is named by its offset", "[metadata]") {
  record::RecordBatchBuilder batch{{.base_offset = Offset{10}}};
  const auto add = [&](const MetadataRecord& record) {
    const auto value = encode_metadata_record(record);
    batch.add({.value = ByteView{value}});
  };
  add(ClusterRecord{cluster});
  add(TopicRecord{uuid(1), "a"});
  const auto good = batch.build();
  REQUIRE(good);
  ImageBuilder builder{empty_image()};
  REQUIRE(builder.apply_batches(*good, Offset{11}));
  const auto image = builder.finish(Offset{12}, BrokerId{1}).after;
  CHECK(image->find_topic("a"));
  CHECK(image->cluster_id().is_nil());

  add(ClusterRecord{cluster});
  add(TopicRemovedRecord{uuid(8)});
  const auto bad = batch.build();
  ImageBuilder refusing{empty_image()};
  const auto refused = refusing.apply_batches(*bad, Offset{0});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("metadata record at offset 11") == 0);

  batch.add({.key = as_bytes("k")});
  const auto without_value = batch.build();
  ImageBuilder tombstone{empty_image()};
  CHECK_FALSE(tombstone.apply_batches(*without_value, Offset{0}));
}
