#include "actors/produce_desk.hpp"

#include <algorithm>

namespace troupe::actors {
namespace {

replication::Acks acks_of(Acks acks) {
  switch (acks) {
    case Acks::none: return replication::Acks::none;
    case Acks::leader: return replication::Acks::leader;
    case Acks::quorum: break;
  }
  return replication::Acks::quorum;
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
    auto partition = place(asked.records[i], asked, topic);
    if (partition) {
      chosen_.emplace_back(*partition, i);
    } else {
      set_result(request, i, std::move(partition).error());
    }
  }
  std::sort(chosen_.begin(), chosen_.end());

  const auto claim =
      asked.idempotence && !chosen_.empty() ? std::optional{replication::make_claim(asked, {}, wall)} : std::nullopt;
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
    lane.pipeline.add(next_part_, records_, claim, request.deadline, acks_of(asked.acks));
    dirty_.insert(id);
    if (asked.acks != Acks::none) parts_.emplace(next_part_, std::move(part));
    ++next_part_;
  }
  if (request.open == 0 || asked.acks == Acks::none) return finish(number);
  deadlines_.emplace(request.deadline, number);
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

Result<PartitionId> ProduceDesk::place(const ProduceRecord& record, const ProduceRequest& request,
                                       const metadata::TopicPtr& topic) {
  if (!topic) return Error{Errc::unknown_topic_or_partition, "the topic does not exist any more"};
  TROUPE_TRY(replication::check_record(record, request, *topic));
  return chooser_.choose(record, request, *topic, random_);
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
    if (!effects.sends.empty()) chooser_.on_batch_sent(id.topic_id);
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
  // What no leader has taken was answered above, unless its batch has a little more time.
  constexpr Millis grace_ms = replication::ProducePipeline::merge_ms + 50;
  while (!deadlines_.empty() && deadlines_.begin()->first + grace_ms <= now) {
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
