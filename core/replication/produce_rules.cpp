#include "core/replication/produce_rules.hpp"

#include <algorithm>
#include <string>

#include "base/assert.hpp"
#include "base/sha256.hpp"
#include "core/record/partitioner.hpp"

namespace troupe::replication {
namespace {

std::size_t bytes_of(const ProduceRecord& record) {
  std::size_t bytes = (record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0);
  for (const auto& header : record.headers) bytes += header.key.size() + (header.value ? header.value->size() : 0);
  return bytes;
}

}  // namespace

Status check_record(const ProduceRecord& record, const ProduceRequest& request, const metadata::TopicImage& topic) {
  if (metadata::is_internal_topic(topic.name) && !request.internal) {
    return Error{Errc::topic_authorization_failed, "topic \"" + topic.name + "\" is the system's own"};
  }
  if (!record.key && topic.config.compacts()) {
    return Error{Errc::invalid_record, "topic \"" + topic.name + "\" is compacted (cleanup.policy): its records need a key"};
  }
  const auto bytes = bytes_of(record);
  const auto bytes_max = static_cast<std::size_t>(topic.config.max_message_bytes);
  if (bytes + record_overhead_max > bytes_max) {
    return Error{Errc::message_too_large, "the record has " + std::to_string(bytes) +
                                              " bytes; max.message.bytes of the topic is " + std::to_string(bytes_max)};
  }
  for (const auto& header : record.headers) {
    if (!as_text(header.key).starts_with(internal_header_prefix)) continue;
    return Error{Errc::invalid_record, "header names that begin with \"__troupe\" are the system's own"};
  }
  return ok();
}

Result<PartitionId> PartitionChooser::choose(const ProduceRecord& record, const ProduceRequest& request,
                                             const metadata::TopicImage& topic, Prng& random) {
  const auto count = topic.partition_count();
  TROUPE_ASSERT(count > 0);
  if (record.partition) {
    if (*record.partition >= PartitionId{0} && record.partition->value() < count) return *record.partition;
    return Error{Errc::unknown_topic_or_partition, "topic \"" + topic.name + "\" has partitions 0 to " +
                                                       std::to_string(count - 1) + ", not " + to_string(*record.partition)};
  }
  if (record.key) return record::partition_for_key(*record.key, count);
  if (request.idempotence) return record::partition_for_key(as_bytes(request.idempotence->client_id), count);
  const auto [at, added] = sticky_.try_emplace(topic.id);
  if (added || at->second.value() >= count) {
    at->second = PartitionId{static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(count)))};
  }
  return at->second;
}

Claim make_claim(const ProduceRequest& request, std::string_view principal, TimestampMs now) {
  TROUPE_ASSERT(request.idempotence.has_value());
  Claim claim{.sequence = request.idempotence->sequence, .claimed_at = now};
  Sha256 client;
  client.add_sized(as_bytes(principal));
  client.add_sized(as_bytes(request.idempotence->client_id));
  const auto hash = client.finish();
  std::copy_n(hash.begin(), claim.client.size(), claim.client.begin());

  Sha256 content;
  const auto add = [&](const std::optional<ByteView>& bytes) {
    content.add(as_bytes(bytes ? "+" : "-"));
    if (bytes) content.add_sized(*bytes);
  };
  for (const auto& record : request.records) {
    add(record.key);
    add(record.value);
    content.add_sized(as_bytes(to_string(record.timestamp) + "/" + (record.partition ? to_string(*record.partition) : "") +
                               "/" + std::to_string(record.headers.size())));
    for (const auto& header : record.headers) {
      content.add_sized(header.key);
      add(header.value);
    }
  }
  const auto digest = content.finish();
  for (std::size_t i = 0; i < sizeof claim.digest; ++i) claim.digest = claim.digest << 8 | digest[i];
  return claim;
}

}  // namespace troupe::replication
