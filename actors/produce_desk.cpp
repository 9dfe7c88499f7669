#include "actors/produce_desk.hpp"

#include <algorithm>

#include "base/sha256.hpp"
#include "core/record/partitioner.hpp"

namespace troupe::actors {
namespace {

/// What a record's batch needs besides it.
constexpr std::size_t batch_overhead = 256;

std::size_t bytes_of(const ProduceRecord& record) {
  std::size_t bytes = (record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0);
  for (const auto& header : record.headers) bytes += header.key.size() + (header.value ? header.value->size() : 0);
  return bytes;
}

/// There is one principal until there is authentication.
replication::Claim claim_of(const ProduceRequest& request, TimestampMs wall) {
  replication::Claim claim{.sequence = request.idempotence->sequence, .claimed_at = wall};
  Sha256 client;
  client.add_sized({});  // principal
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

}  // namespace

ProduceDesk::ProduceDesk(std::uint64_t seed) : random_(seed) {}

void ProduceDesk::take(AdmittedProduce call, const metadata::TopicPtr& topic, MonotonicMs now, TimestampMs wall) {
  const auto number = next_request_++;
  auto& request = requests_[number];
  request.produce = std::move(call);
  const auto& asked = request.produce.call.request;
  request.results.assign(asked.records.size(), ProducedRecord{});
  request.open = asked.records.size();
  request.deadline = now + asked.timeout_ms;

  chosen_.clear();
  for (std::size_t i = 0; i < asked.records.size(); ++i) {
    Result<PartitionId> partition = Error{Errc::unknown_topic_or_partition, "the topic does not exist any more"};
    if (topic) partition = choose(asked.records[i], asked, *topic);
    if (partition) {
      chosen_.emplace_back(*partition, i);
    } else {
      set_result(request, i, std::move(partition).error());
    }
  }
  std::sort(chosen_.begin(), chosen_.end());

  const auto claim = asked.idempotence && !chosen_.empty() ? std::optional{claim_of(asked, wall)} : std::nullopt;
  for (auto at = chosen_.begin(); at != chosen_.end();) {
    const auto partition = at->first;
    const TopicIdPartition id{topic->id, partition};
    auto& lane = this->lane(id, *topic);
    const bool broker_time = lane.timestamp_type == record::TimestampType::log_append_time;
    Part part{number, partition, {}};
    records_.clear();
    for (; at != chosen_.end() && at->first == partition; ++at) {
      const auto& record = asked.records[at->second];
      const auto timestamp = broker_time || record.timestamp == no_timestamp ? wall : record.timestamp;
      records_.push_back({.timestamp = timestamp, .key = record.key, .value = record.value, .headers = record.headers});
      request.results[at->second] = ProducedRecord{partition, no_offset, timestamp, false};
      part.records.push_back(at->second);
    }
    lane.pipeline.add(next_part_, records_, claim, request.deadline);
    dirty_.insert(id);
    if (asked.acks != Acks::none) parts_.emplace(next_part_, std::move(part));
    ++next_part_;
  }
  if (request.open == 0 || asked.acks == Acks::none) return finish(number);
  deadlines_.emplace(request.deadline, number);
}

Status ProduceDesk::check(const ProduceRecord& record, const ProduceRequest& request,
                          const metadata::TopicImage& topic) const {
  if (metadata::is_internal_topic(topic.name) && !request.internal) {
    return Error{Errc::topic_authorization_failed, "topic \"" + topic.name + "\" is the system's own"};
  }
  const auto bytes = bytes_of(record);
  const auto bytes_max = static_cast<std::size_t>(topic.config.max_message_bytes);
  if (bytes + batch_overhead > bytes_max) {
    return Error{Errc::message_too_large, "the record has " + std::to_string(bytes) +
                                              " bytes; max.message.bytes of the topic is " + std::to_string(bytes_max)};
  }
  for (const auto& header : record.headers) {
    if (!as_text(header.key).starts_with(replication::internal_header_prefix)) continue;
    return Error{Errc::invalid_record, "header names that begin with \"__troupe\" are the system's own"};
  }
  return ok();
}

/// As given, by key as Kafka does, by idempotence id, else one partition for a while.
Result<PartitionId> ProduceDesk::choose(const ProduceRecord& record, const ProduceRequest& request,
                                        const metadata::TopicImage& topic) {
  TROUPE_TRY(check(record, request, topic));
  const auto count = topic.partition_count();
  if (record.partition) {
    if (*record.partition >= PartitionId{0} && record.partition->value() < count) return *record.partition;
    return Error{Errc::unknown_topic_or_partition, "topic \"" + topic.name + "\" has partitions 0 to " +
                                                       std::to_string(count - 1) + ", not " + to_string(*record.partition)};
  }
  if (record.key) return record::partition_for_key(*record.key, count);
  if (request.idempotence) return record::partition_for_key(as_bytes(request.idempotence->client_id), count);
  auto [at, added] = sticky_.try_emplace(topic.id);
  if (added || at->second.value() >= count) {
    at->second = PartitionId{static_cast<std::int32_t>(random_.below(static_cast<std::uint64_t>(count)))};
  }
  return at->second;
}

ProduceDesk::Lane& ProduceDesk::lane(const TopicIdPartition& id, const metadata::TopicImage& topic) {
  auto found = lanes_.find(id);
  if (found == lanes_.end()) {
    const ProducerId producer{static_cast<std::int64_t>(random_.next() >> 2)};
    found = lanes_.emplace(id, Lane{replication::ProducePipeline{{.producer_id = producer}}, {}}).first;
  }
  auto& lane = found->second;
  lane.timestamp_type = topic.config.timestamp_type;
  lane.pipeline.configure(topic.config.compression.value_or(record::CompressionCodec::none), topic.config.timestamp_type,
                          std::min(static_cast<std::size_t>(topic.config.max_message_bytes), std::size_t{1} << 20));
  return lane;
}

void ProduceDesk::set_result(Request& request, std::size_t record, ResultOfRecord result) {
  request.results[record] = std::move(result);
  --request.open;
}

void ProduceDesk::finish(std::uint64_t number) {
  const auto found = requests_.find(number);
  auto request = std::move(found->second);
  requests_.erase(found);
  deadlines_.erase({request.deadline, number});
  request.produce.call.reply(ProduceResponse{std::move(request.results)});
}

void ProduceDesk::perform(const TopicIdPartition& id, Lane& lane, replication::PipelineEffects effects, Sends& sends) {
  for (auto& send : effects.sends) sends.slots.emplace_back(id, std::move(send));
  note_stalled(id, lane);
  for (auto& done : effects.done) {
    const auto found = parts_.find(done.part);
    if (found == parts_.end()) continue;  // given up, or nobody wanted to know
    const auto part = std::move(found->second);
    parts_.erase(found);
    const auto at = requests_.find(part.request);
    if (at == requests_.end()) continue;
    auto& request = at->second;
    for (std::size_t i = 0; i < part.records.size(); ++i) {
      const auto place = part.records[i];
      if (!done.result) {
        set_result(request, place, done.result.error());
        continue;
      }
      auto produced = *request.results[place];
      produced.offset = done.result->base_offset + static_cast<std::int64_t>(i);
      produced.duplicate = done.result->duplicate && request.produce.call.request.idempotence.has_value();
      if (produced.duplicate && done.result->timestamp != no_timestamp) produced.timestamp = done.result->timestamp;
      set_result(request, place, produced);
    }
    if (request.open == 0) finish(part.request);
  }
}

void ProduceDesk::note_stalled(const TopicIdPartition& id, const Lane& lane) {
  if (lane.pipeline.next_deadline()) {
    stalled_.insert(id);
  } else {
    stalled_.erase(id);
  }
}

ProduceDesk::Sends ProduceDesk::end_turn(MonotonicMs now) {
  Sends sends;
  auto dirty = std::move(dirty_);
  dirty_.clear();
  for (const auto& id : dirty) {
    auto& lane = lanes_.at(id);
    replication::PipelineEffects effects;
    lane.pipeline.flush(now, effects);
    if (!effects.sends.empty()) sticky_.erase(id.topic_id);  // the next batch may go elsewhere
    perform(id, lane, std::move(effects), sends);
  }
  return sends;
}

ProduceDesk::Sends ProduceDesk::on_answer(const TopicIdPartition& partition, std::uint64_t slot,
                                          std::vector<Result<replication::PlacedRecords>> results, MonotonicMs now) {
  Sends sends;
  const auto found = lanes_.find(partition);
  if (found == lanes_.end()) return sends;
  replication::PipelineEffects effects;
  found->second.pipeline.on_answer(slot, std::move(results), now, effects);
  perform(partition, found->second, std::move(effects), sends);
  return sends;
}

ProduceDesk::Sends ProduceDesk::on_leader_gone(const TopicIdPartition& partition, MonotonicMs now) {
  Sends sends;
  const auto found = lanes_.find(partition);
  if (found == lanes_.end()) return sends;
  replication::PipelineEffects effects;
  found->second.pipeline.on_leader_gone(now, effects);
  perform(partition, found->second, std::move(effects), sends);
  return sends;
}

ProduceDesk::Sends ProduceDesk::on_tick(MonotonicMs now) {
  Sends sends;
  const auto stalled = stalled_;
  for (const auto& id : stalled) {
    auto& lane = lanes_.at(id);
    replication::PipelineEffects effects;
    lane.pipeline.on_deadline(now, effects);
    perform(id, lane, std::move(effects), sends);
  }
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const auto number = deadlines_.begin()->second;
    for (auto& result : requests_.at(number).results) {
      const bool answered = !result || result->offset != no_offset;
      if (!answered) result = Error{Errc::request_timed_out, "not answered in time: the outcome is unknown"};
    }
    finish(number);
  }
  return sends;
}

}  // namespace troupe::actors
