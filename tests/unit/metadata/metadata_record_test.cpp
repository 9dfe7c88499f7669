#include "core/metadata/metadata_record.hpp"

#include "base/byte_codec.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/metadata/metadata_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

/// One of each type, with its bytes as docs/formats/metadata.md has them.
const std::vector<std::pair<MetadataRecord, std::string>>& golden() {
  static const std::vector<std::pair<MetadataRecord, std::string>> all{
      {ClusterRecord{cluster},
       "0101"
       "07000000000000000000000000000000"},
      {TopicRecord{uuid(2), "rides"},
       "0201"
       "01020000000000000000000000000000"
       "0005"
       "7269646573"},
      {PartitionRecord{uuid(2), PartitionId{3}, BrokerId{1}, LeaderEpoch{4}, {BrokerId{1}, BrokerId{2}}, {BrokerId{1}}},
       "0301"
       "01020000000000000000000000000000"
       "00000003"
       "00000001"
       "00000004"
       "0002"
       "00000001"
       "00000002"
       "0001"
       "00000001"},
      {TopicConfigRecord{uuid(2), "flush", "interval"},
       "0401"
       "01020000000000000000000000000000"
       "0005"
       "666c757368"
       "01"
       "0008"
       "696e74657276616c"},
      {TopicConfigRecord{uuid(2), "flush", {}},
       "0401"
       "01020000000000000000000000000000"
       "0005"
       "666c757368"
       "00"},
      {TopicRemovedRecord{uuid(2)},
       "0501"
       "01020000000000000000000000000000"},
      {BrokerRegisteredRecord{BrokerId{1}, uuid(9), "host", 8080, {}},
       "0601"
       "00000001"
       "01090000000000000000000000000000"
       "0004"
       "686f7374"
       "1f90"},
      {BrokerRegisteredRecord{BrokerId{1}, uuid(9), "host", 8080, Offset{5}},
       "0601"
       "00000001"
       "01090000000000000000000000000000"
       "0004"
       "686f7374"
       "1f90"
       "01"
       "0008"
       "0000000000000005"},
      {FeatureLevelRecord{"metadata.version", 1},
       "0701"
       "0010"
       "6d657461646174612e76657273696f6e"
       "0001"},
      {PartitionRecord{.topic_id = uuid(2),
                       .partition = PartitionId{3},
                       .leader = BrokerId{-1},
                       .leader_epoch = LeaderEpoch{4},
                       .replicas = {BrokerId{4}, BrokerId{1}},
                       .partition_epoch = PartitionEpoch{7},
                       .eligible_leader_replicas = {BrokerId{1}},
                       .adding_replicas = {BrokerId{4}},
                       .removing_replicas = {BrokerId{1}},
                       .last_known_leader = BrokerId{1},
                       .replicas_before = {BrokerId{1}}},
       "0301"
       "01020000000000000000000000000000"
       "00000003"
       "ffffffff"
       "00000004"
       "0002"
       "00000004"
       "00000001"
       "0000"
       "01000400000007"
       "020006000100000001"
       "030006000100000004"
       "040006000100000001"
       "05000400000001"
       "060006000100000001"},
      {BrokerRegisteredRecord{.id = BrokerId{1},
                              .incarnation = uuid(9),
                              .host = "host",
                              .port = 8080,
                              .cluster_host = "in",
                              .cluster_port = 9090,
                              .rack = "r1",
                              .directory_id = uuid(7),
                              .fenced = true,
                              .stopping = true},
       "0601"
       "00000001"
       "01090000000000000000000000000000"
       "0004"
       "686f7374"
       "1f90"
       "02000600"
       "02696e2382"
       "03000400027231"
       "04000105"
       "050010"
       "0107"
       "0000000000000000000000000000"},
      {BrokerStateRecord{.id = BrokerId{1}, .broker_epoch = Offset{5}, .fenced = true, .draining = true},
       "0801"
       "00000001"
       "0000000000000005"
       "03"},
      {BrokerUnregisteredRecord{BrokerId{1}, Offset{5}},
       "0901"
       "00000001"
       "0000000000000005"},
  };
  return all;
}

}  // namespace

TEST_CASE("metadata records have the bytes that the format says, and come back as they were", "[metadata]") {
  for (const auto& [record, bytes] : golden()) {
    const auto encoded = encode_metadata_record(record);
    CHECK(to_hex(encoded) == bytes);
    const auto decoded = decode_metadata_record(encoded);
    REQUIRE(decoded);
    CHECK(*decoded == record);
  }
}

namespace {

/// Without its optional fields, as large as the fixed ones.
std::size_t fixed_bytes(MetadataRecord record) {
  if (auto* registered = std::get_if<BrokerRegisteredRecord>(&record)) {
    record = BrokerRegisteredRecord{registered->id, registered->incarnation, registered->host, registered->port, {}};
  }
  if (auto* partition = std::get_if<PartitionRecord>(&record)) {
    record = PartitionRecord{partition->topic_id,     partition->partition, partition->leader,
                             partition->leader_epoch, partition->replicas,  partition->isr};
  }
  return encode_metadata_record(record).size();
}

bool ends_before_optional_field(const ByteBuffer& encoded, const MetadataRecord& record, std::size_t size) {
  auto at = fixed_bytes(record);
  while (at < encoded.size()) {
    if (at == size) return true;
    at += 3 + (std::to_integer<std::size_t>(encoded[at + 1]) << 8U) + std::to_integer<std::size_t>(encoded[at + 2]);
  }
  return false;
}

}  // namespace

TEST_CASE("a metadata record that was cut off anywhere is corrupt, and never another whole one", "[metadata]") {
  for (const auto& [record, bytes] : golden()) {
    const auto encoded = encode_metadata_record(record);
    for (std::size_t size = 0; size < encoded.size(); ++size) {
      INFO(bytes << " cut to " << size);
      const auto decoded = decode_metadata_record(ByteView{encoded}.first(size));
      if (ends_before_optional_field(encoded, record, size)) {
        REQUIRE(decoded);  // whole without it
        CHECK_FALSE(*decoded == record);
        continue;
      }
      REQUIRE_FALSE(decoded);
      CHECK(decoded.error().code == Errc::corrupt_message);
    }
  }
}

TEST_CASE("optional fields that a newer node wrote are passed over", "[metadata]") {
  for (const auto& [record, bytes] : golden()) {
    auto encoded = encode_metadata_record(record);
    ByteWriter out{encoded};
    out.integer(std::uint8_t{200});
    out.integer(std::uint16_t{3});
    out.bytes(as_bytes("new"));
    const auto decoded = decode_metadata_record(encoded);
    REQUIRE(decoded);
    CHECK(*decoded == record);
  }
}

TEST_CASE("types and versions that only a newer node knows are refused by that name", "[metadata]") {
  auto newer_version = encode_metadata_record(TopicRemovedRecord{uuid(1)});
  newer_version[1] = std::byte{2};
  auto newer_type = encode_metadata_record(TopicRemovedRecord{uuid(1)});
  newer_type[0] = std::byte{99};
  for (const auto& bytes : {newer_version, newer_type}) {
    const auto decoded = decode_metadata_record(bytes);
    REQUIRE_FALSE(decoded);
    CHECK(decoded.error().code == Errc::invalid_record);
    CHECK(decoded.error().message.find("a newer version of this program wrote it") != std::string::npos);
  }
}

TEST_CASE("numbers that cannot be are refused", "[metadata]") {
  auto negative_partition = partition_record(uuid(1), 0);
  negative_partition.partition = PartitionId{-1};
  auto negative_epoch = partition_record(uuid(1), 0);
  negative_epoch.leader_epoch = LeaderEpoch{-1};
  auto no_leader = partition_record(uuid(1), 0);
  no_leader.leader = BrokerId{-2};
  auto negative_broker = broker(1);
  negative_broker.id = BrokerId{-1};
  auto negative_broker_epoch = broker(1);
  negative_broker_epoch.broker_epoch = Offset{-1};
  auto negative_partition_epoch = partition_record(uuid(1), 0);
  negative_partition_epoch.partition_epoch = PartitionEpoch{-1};
  auto negative_eligible = partition_record(uuid(1), 0);
  negative_eligible.eligible_leader_replicas = {BrokerId{-1}};
  auto negative_last_leader = partition_record(uuid(1), 0);
  negative_last_leader.last_known_leader = BrokerId{-2};
  const std::vector<MetadataRecord> wrong{negative_partition,
                                          negative_epoch,
                                          no_leader,
                                          negative_broker,
                                          negative_broker_epoch,
                                          negative_partition_epoch,
                                          negative_eligible,
                                          negative_last_leader,
                                          BrokerStateRecord{BrokerId{-1}, Offset{0}},
                                          BrokerStateRecord{BrokerId{1}, Offset{-1}},
                                          BrokerUnregisteredRecord{BrokerId{-1}, Offset{0}},
                                          BrokerUnregisteredRecord{BrokerId{1}, Offset{-1}}};
  for (const auto& record : wrong) {
    const auto decoded = decode_metadata_record(encode_metadata_record(record));
    REQUIRE_FALSE(decoded);
    CHECK(decoded.error().code == Errc::corrupt_message);
  }
}

TEST_CASE("any bytes are a metadata record or an error", "[metadata]") {
  const auto seed = seed_or(20'261);
  INFO("TROUPE_SEED=" << seed);
  Prng random{seed};
  for (int i = 0; i < 50'000; ++i) {
    auto bytes = encode_metadata_record(golden()[random.below(golden().size())].first);
    const auto changes = 1 + random.below(4);
    for (std::uint64_t change = 0; change < changes; ++change) {
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.below(256));
    }
    bytes.resize(random.below(bytes.size() + 1));
    if (const auto decoded = decode_metadata_record(bytes)) {
      const auto again = decode_metadata_record(encode_metadata_record(*decoded));
      REQUIRE(again);
      REQUIRE(*again == *decoded);
    }
  }
}
