#include "core/group/group_record.hpp"

#include "tests/support/catch.hpp"

namespace troupe::group {
namespace {

ByteBuffer bytes(std::initializer_list<int> values) {
  ByteBuffer buffer;
  for (const auto value : values) buffer.push_back(static_cast<std::byte>(value));
  return buffer;
}

std::vector<Record> examples() {
  MemberProfile profile;
  profile.instance_id = "rack-7";
  profile.topics = {"a", "b"};
  profile.pattern = "logs\\..*";
  profile.assignor = "range";
  const PartitionList some{{TopicId{{1}}, PartitionId{0}}, {TopicId{{1}}, PartitionId{4}}, {TopicId{{2}}, PartitionId{0}}};
  CommittedOffset offset{TopicId{{3}}, Offset{42}, LeaderEpoch{5}, "mine", TimestampMs{1'700'000'000'000}, 0};
  auto reset = offset;
  reset.reset_epoch = 2;
  return {
      OffsetRecord{"g", "orders", PartitionId{3}, offset},
      OffsetRecord{"g", "orders", PartitionId{3}, reset},
      OffsetRecord{"g", "orders", PartitionId{3}, std::nullopt},
      GroupRecord{"g", GroupRecord::Value{GroupEpoch{7}, GroupEpoch{6}, TimestampMs{5}}},
      GroupRecord{"g", std::nullopt},
      ClassicGroupRecord{"g", ClassicState{ClassicPhase::stable, GroupEpoch{3}, "consumer", "range", "m", 2, no_timestamp}},
      ClassicGroupRecord{"g", std::nullopt},
      ClassicMemberRecord{"g", "m",
                          ClassicProfile{"rack-7", "app", "/::1", 10'000, 60'000, {{"range", "abc"}, {"sticky", ""}}}},
      ClassicMemberRecord{"g", "m", std::nullopt},
      ClassicShareRecord{"g", "m", ClassicShare{GroupEpoch{3}, "bytes"}},
      ClassicShareRecord{"g", "m", std::nullopt},
      MemberRecord{"g", "m", profile},
      MemberRecord{"g", "m", std::nullopt},
      TargetRecord{"g", "m", some},
      TargetRecord{"g", "m", std::nullopt},
      AssignmentRecord{"g", "m", MemberAssignment{GroupEpoch{4}, leaving_for_a_while, MemberState::waiting, some, {}}},
      AssignmentRecord{"g", "m", std::nullopt},
      InstanceRecord{"g", "c1", InstanceEntry{BrokerId{2}, Offset{9}, 3, bytes({1, 2})}},
      InstanceRecord{"g", "c1", std::nullopt},
  };
}

std::optional<ByteView> view(const std::optional<ByteBuffer>& buffer) {
  return buffer ? std::optional<ByteView>{*buffer} : std::nullopt;
}

}  // namespace

TEST_CASE("each kind of record reads as it was written", "[group]") {
  for (const auto& record : examples()) {
    const auto encoded = encode(record);
    const auto decoded = decode(encoded.key, view(encoded.value));
    REQUIRE(decoded);
    REQUIRE(decoded->has_value());
    CHECK(**decoded == record);
  }
}

TEST_CASE("a committed offset has Kafka's bytes", "[group]") {
  // OffsetCommitKey version 1, OffsetCommitValue version 4 with the topic id as tagged field 0. Source: Kafka's message definitions.
  TopicId id{{0x10, 0x20}};
  const auto encoded = encode(
      OffsetRecord{"g", "ab", PartitionId{3}, CommittedOffset{id, Offset{258}, LeaderEpoch{5}, "x", TimestampMs{7}, 0}});
  CHECK(encoded.key == bytes({0, 1, 0, 1, 'g', 0, 2, 'a', 'b', 0, 0, 0, 3}));
  CHECK(*encoded.value == bytes({0, 4, 0, 0, 0,  0,    0,    0, 1, 2, 0, 0, 0, 5, 2, 'x', 0, 0, 0, 0, 0, 0,
                                 0, 7, 1, 0, 16, 0x10, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0,   0, 0, 0, 0, 0}));
}

TEST_CASE("an offset with tagged fields of somebody else's is read", "[group]") {
  const auto key = bytes({0, 1, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 0});
  const auto value = bytes({0, 4, 0, 0, 0, 0, 0, 0, 0, 9, 255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0, 7, 1, 3, 2, 1, 1});
  const auto decoded = decode(key, ByteView{value});
  REQUIRE(decoded);
  const auto& record = std::get<OffsetRecord>(**decoded);
  CHECK(record.value->offset == Offset{9});
  CHECK(record.value->metadata.empty());
}

TEST_CASE("a kind of record that is not known is passed over", "[group]") {
  const auto decoded = decode(bytes({0, 16, 0, 1, 'g'}), std::nullopt);
  REQUIRE(decoded);
  CHECK(!decoded->has_value());
}

TEST_CASE("records that are cut off, too long or of another version are corrupt", "[group]") {
  for (const auto& record : examples()) {
    const auto encoded = encode(record);
    for (std::size_t size = 0; size < encoded.key.size(); ++size) {
      INFO("key of " << size);
      const auto cut = decode(ByteView{encoded.key}.first(size), view(encoded.value));
      REQUIRE((!cut || !cut->has_value()));
    }
    auto longer = encoded.key;
    longer.push_back(std::byte{0});
    CHECK(!decode(longer, view(encoded.value)));
    if (!encoded.value) continue;
    for (std::size_t size = 0; size < encoded.value->size(); ++size) {
      INFO("value of " << size);
      REQUIRE(!decode(encoded.key, ByteView{*encoded.value}.first(size)));
    }
    auto other = *encoded.value;
    other[std::holds_alternative<OffsetRecord>(record) ? 1 : 0] = std::byte{99};
    CHECK(!decode(encoded.key, ByteView{other}));
  }
}

TEST_CASE("a list of partitions that is not sorted, or counts more than there is, is corrupt", "[group]") {
  const auto encoded =
      encode(TargetRecord{"g", "m", PartitionList{{TopicId{{2}}, PartitionId{0}}, {TopicId{{1}}, PartitionId{0}}}});
  CHECK(!decode(encoded.key, view(encoded.value)));
  CHECK(!decode(encoded.key, ByteView{bytes({1, 255, 255, 255, 255})}));
}

}  // namespace troupe::group
