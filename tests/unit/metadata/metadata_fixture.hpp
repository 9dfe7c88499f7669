#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "core/metadata/controller.hpp"
#include "core/metadata/image_builder.hpp"
#include "tests/support/catch.hpp"

/// Images made in one line.
namespace troupe::test {

inline const Uuid cluster{{7}};

inline Uuid uuid(std::uint8_t number) { return Uuid{{1, number}}; }

inline metadata::BrokerRegisteredRecord broker(std::int32_t id, std::uint8_t incarnation = 1) {
  return {BrokerId{id}, uuid(incarnation), "broker-" + std::to_string(id), 8080, {}};
}

inline metadata::PartitionRecord partition_record(const TopicId& topic, std::int32_t partition, std::int32_t leader = 1,
                                                  std::int32_t epoch = 0) {
  return {topic, PartitionId{partition}, BrokerId{leader}, LeaderEpoch{epoch}, {BrokerId{leader}}, {BrokerId{leader}}};
}

/// The delta of these records on top of `before`. Fails the test when they cannot follow.
inline metadata::ImageDelta apply_records(const metadata::ImagePtr& before,
                                          const std::vector<metadata::MetadataRecord>& records) {
  metadata::ImageBuilder builder{before};
  auto offset = before->applied();
  for (const auto& record : records) {
    const auto applied = builder.apply(record, offset);
    if (!applied) FAIL(to_string(applied.error()));
    ++offset;
  }
  return builder.finish(offset, BrokerId{1});
}

inline metadata::ImagePtr empty_image() { return std::make_shared<const metadata::MetadataImage>(); }

/// A cluster of `brokers` brokers without topics.
inline metadata::ImagePtr cluster_image(std::int32_t brokers = 1) {
  std::vector<metadata::MetadataRecord> records{metadata::ClusterRecord{cluster}};
  for (std::int32_t id = 1; id <= brokers; ++id) records.emplace_back(broker(id));
  return apply_records(empty_image(), records).after;
}

/// Seeded ids.
inline std::function<Uuid()> ids(std::uint64_t seed = 1) {
  return [random = std::make_shared<Prng>(seed)] { return Uuid::random(*random); };
}

/// `image` with a topic that the rules made.
inline metadata::ImagePtr with_topic(const metadata::ImagePtr& image, const CreateTopicRequest& request,
                                     const std::function<Uuid()>& new_uuid) {
  const auto decision = metadata::decide_create(*image, request, metadata::Requester::system, new_uuid);
  if (!decision) FAIL(to_string(decision.error()));
  return apply_records(image, decision->records).after;
}

}  // namespace troupe::test
