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

}  // namespace

TEST_CASE("an image comes back from its snapshot as it was", "[metadata]") {
  for (const int topics : {0, 1, 5'000}) {
    const auto image = image_of(topics);
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
  const auto payload = encode_snapshot(*image_of(3));
  for (int i = 0; i < 4'000; ++i) {
    auto bytes = payload;
    for (std::uint64_t change = 0; change < 1 + random.below(3); ++change) {
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.below(256));
    }
    if (const auto decoded = decode_snapshot(bytes)) REQUIRE(decode_snapshot(encode_snapshot(**decoded)));
  }
}
