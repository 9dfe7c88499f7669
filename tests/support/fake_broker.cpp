#include "tests/support/fake_broker.hpp"

#include <algorithm>
#include <utility>

#include "core/record/partitioner.hpp"

namespace troupe::test {
namespace {

Error unknown(const TopicIdPartition& id) {
  return {Errc::unknown_topic_or_partition, "there is no partition " + to_string(id)};
}

}  // namespace

struct FakeBroker::Attachment final : TailAttachment {
  Attachment(FakeBroker& broker, TopicIdPartition partition, std::uint64_t number)
      : broker_(broker), partition_(partition), number_(number) {}
  ~Attachment() override {
    const std::lock_guard lock(broker_.mutex_);
    if (auto* partition = broker_.find(partition_)) partition->listeners.erase(number_);
  }
  FakeBroker& broker_;
  TopicIdPartition partition_;
  std::uint64_t number_;
};

FakeBroker::Partition* FakeBroker::find(const TopicIdPartition& id) {
  const auto found = partitions_.find(id);
  return found == partitions_.end() ? nullptr : &found->second;
}

const FakeBroker::Partition* FakeBroker::find(const TopicIdPartition& id) const {
  const auto found = partitions_.find(id);
  return found == partitions_.end() ? nullptr : &found->second;
}

void FakeBroker::run(Deferred& later) {
  for (auto& action : later) action();
}

metadata::TopicPtr FakeBroker::add_topic(const std::string& name, std::int32_t partitions,
                                         std::map<std::string, std::string> config) {
  const std::lock_guard lock(mutex_);
  auto topic = std::make_shared<metadata::TopicImage>();
  topic->name = name;
  topic->id = Uuid::random();
  topic->config_overrides = std::move(config);
  if (auto parsed = metadata::parse_topic_config(topic->config_overrides)) topic->config = *parsed;
  const metadata::PartitionImage image{
      .leader = BrokerId{1}, .leader_epoch = LeaderEpoch{0}, .replicas = {BrokerId{1}}, .isr = {BrokerId{1}}};
  topic->partitions.assign(static_cast<std::size_t>(partitions), image);
  for (std::int32_t number = 0; number < partitions; ++number) partitions_[{topic->id, PartitionId{number}}];
  topics_[name] = topic;
  tell_image(*topic);
  return topic;
}

/// The cluster's image has the topic, too.
void FakeBroker::tell_image(const metadata::TopicImage& topic) {
  std::vector<metadata::MetadataRecord> records;
  if (whole_cluster_.image()->find_topic(topic.id) == nullptr)
    records.emplace_back(metadata::TopicRecord{topic.id, topic.name});
  for (std::int32_t number = 0; number < topic.partition_count(); ++number) {
    const auto& image = topic.partitions[static_cast<std::size_t>(number)];
    records.emplace_back(metadata::PartitionRecord{topic.id, PartitionId{number}, image.leader, image.leader_epoch,
                                                   image.replicas, image.isr});
  }
  whole_cluster_.commit(records);
}

void FakeBroker::replace_topic(metadata::TopicImage image) {
  const std::lock_guard lock(mutex_);
  auto& topic = topics_.at(image.name);
  topic = std::make_shared<const metadata::TopicImage>(std::move(image));
}

Offset FakeBroker::append_locked(const TopicIdPartition& id, Partition& partition, record::RecordBatchBuilder& builder,
                                 TimestampMs newest, Deferred& later) {
  auto bytes = std::move(builder.build()).value();
  record::stamp_batch(bytes, partition.end, LeaderEpoch{0});
  const auto header = record::parse_batch_header(bytes).value();
  StoredBatch batch{partition.end, header.next_offset(), newest, Bytes::adopt(std::move(bytes))};
  partition.end = batch.next;
  partition.batches.push_back(batch);

  for (const auto& [number, listener] : partition.listeners) {
    TailEvent event{.kind = TailEvent::Kind::records,
                    .partition = id,
                    .leader_epoch = LeaderEpoch{0},
                    .from = batch.base,
                    .next_offset = batch.next,
                    .log_start_offset = partition.start};
    const std::size_t size = batch.bytes.size();
    if (*listener.held_bytes + size <= tail_bytes_max_) {
      *listener.held_bytes += size;
      event.batches = batch.bytes;
      event.credit = std::shared_ptr<void>(nullptr, [held = listener.held_bytes, size](void*) { *held -= size; });
    }
    later.push_back([taker = listener.taker, event = std::move(event)]() mutable { taker->on_tail(std::move(event)); });
  }
  for (auto waiting = waiting_.begin(); waiting != waiting_.end();) {
    if (waiting->request.partition != id) {
      ++waiting;
      continue;
    }
    auto reply = std::make_shared<Reply<FetchResponse>>(std::move(waiting->reply));
    later.push_back([reply, answer = read_locked(waiting->request)]() mutable { (*reply)(std::move(answer)); });
    waiting = waiting_.erase(waiting);
  }
  return batch.base;
}

Offset FakeBroker::append(const std::string& topic, PartitionId partition,
                          const std::vector<std::pair<std::string, std::string>>& records, TimestampMs timestamp) {
  Deferred later;
  Offset first;
  {
    const std::lock_guard lock(mutex_);
    const TopicIdPartition id{topics_.at(topic)->id, partition};
    record::RecordBatchBuilder builder;
    for (const auto& [key, value] : records) {
      builder.add({.timestamp = timestamp,
                   .key = key.empty() ? std::nullopt : std::optional{as_bytes(key)},
                   .value = as_bytes(value)});
    }
    first = append_locked(id, partitions_.at(id), builder, timestamp, later);
  }
  run(later);
  return first;
}

void FakeBroker::advance_log_start(const std::string& topic, PartitionId partition, Offset offset) {
  const std::lock_guard lock(mutex_);
  auto& one = partitions_.at({topics_.at(topic)->id, partition});
  one.start = std::max(one.start, offset);
  while (!one.batches.empty() && one.batches.front().next <= one.start) one.batches.pop_front();
}

std::vector<std::pair<std::string, std::string>> FakeBroker::records(const std::string& topic, PartitionId partition) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& batch : partitions_.at({topics_.at(topic)->id, partition}).batches) {
    const auto view = record::parse_batch(batch.bytes).value();
    const auto block = record::open_records(view, {}).value();
    record::RecordReader reader(view.header, block.bytes);
    while (const auto one = reader.next()) {
      all.emplace_back(one->key ? std::string(as_text(*one->key)) : "", one->value ? std::string(as_text(*one->value)) : "");
    }
  }
  return all;
}

void FakeBroker::fail_produce(std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  produce_error_ = std::move(error);
}

void FakeBroker::hold_produce() {
  const std::lock_guard lock(mutex_);
  hold_ = true;
}

std::size_t FakeBroker::held_produce() const {
  const std::lock_guard lock(mutex_);
  return held_.size();
}

void FakeBroker::release_produce() {
  std::vector<std::pair<ProduceRequest, Reply<ProduceResponse>>> held;
  {
    const std::lock_guard lock(mutex_);
    hold_ = false;
    held.swap(held_);
  }
  for (auto& [request, reply] : held) produce(std::move(request), std::move(reply));
}

void FakeBroker::fail_next_fetch(Error error) {
  const std::lock_guard lock(mutex_);
  fetch_error_ = std::move(error);
}

std::size_t FakeBroker::fetches() const {
  const std::lock_guard lock(mutex_);
  return fetches_;
}

std::size_t FakeBroker::attachments() const {
  const std::lock_guard lock(mutex_);
  std::size_t count = 0;
  for (const auto& [id, partition] : partitions_) count += partition.listeners.size();
  return count;
}

std::size_t FakeBroker::waiting_fetches() const {
  const std::lock_guard lock(mutex_);
  return waiting_.size();
}

std::size_t FakeBroker::cancelled() const {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

ClusterInfo FakeBroker::cluster() const {
  return {.cluster_id = Uuid{{1, 2, 3}},
          .node_id = BrokerId{1},
          .controller_id = BrokerId{1},
          .brokers = {{.id = BrokerId{1}, .host = "127.0.0.1", .port = 8080}}};
}

metadata::TopicPtr FakeBroker::topic(std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto found = topics_.find(name);
  return found == topics_.end() ? nullptr : found->second;
}

metadata::TopicPtr FakeBroker::topic(const TopicId& id) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, topic] : topics_) {
    if (topic->id == id) return topic;
  }
  return nullptr;
}

std::vector<metadata::TopicPtr> FakeBroker::topics() const {
  const std::lock_guard lock(mutex_);
  std::vector<metadata::TopicPtr> all;
  for (const auto& [name, topic] : topics_) all.push_back(topic);
  return all;
}

HealthReport FakeBroker::health() const {
  const std::lock_guard lock(mutex_);
  return {.ready = true, .healthy = true, .checks = checks_};
}

Millis FakeBroker::produce_timeout_ms() const {
  const std::lock_guard lock(mutex_);
  return produce_timeout_ms_;
}

void FakeBroker::set_checks(std::vector<HealthCheck> checks) {
  const std::lock_guard lock(mutex_);
  checks_ = std::move(checks);
}

std::vector<ActorInfo> FakeBroker::actor_tree() const {
  return {{.kind = "node", .name = "node", .parent = "", .state = "running"},
          {.kind = "gateway", .name = "gateway/0", .parent = "node", .state = "running", .messages_handled = 7}};
}

ProduceResponse FakeBroker::produce_locked(const ProduceRequest& request, Deferred& later) {
  produce_timeout_ms_ = request.timeout_ms;
  if (request.idempotence) {
    const auto known = idempotent_.find({request.idempotence->client_id, request.idempotence->sequence});
    if (known != idempotent_.end()) {
      auto again = known->second;
      for (auto& record : again.records) {
        if (record) record->duplicate = true;
      }
      return again;
    }
  }
  ProduceResponse response;
  const auto now = TimestampMs{1'764'000'000'000};
  for (const auto& record : request.records) {
    const auto number = record.partition ? *record.partition
                        : record.key     ? record::partition_for_key(*record.key, request.topic->partition_count())
                                         : PartitionId{0};
    const TopicIdPartition id{request.topic->id, number};
    auto* partition = find(id);
    if (partition == nullptr) {
      response.records.emplace_back(unknown(id));
      continue;
    }
    const auto timestamp = record.timestamp == no_timestamp ? now : record.timestamp;
    record::RecordBatchBuilder builder;
    builder.add({.timestamp = timestamp, .key = record.key, .value = record.value, .headers = record.headers});
    const auto offset = append_locked(id, *partition, builder, timestamp, later);
    response.records.emplace_back(ProducedRecord{number, offset, timestamp, false});
  }
  if (request.idempotence) idempotent_[{request.idempotence->client_id, request.idempotence->sequence}] = response;
  return response;
}

CallId FakeBroker::produce(ProduceRequest request, Reply<ProduceResponse> reply) {
  Deferred later;
  ProduceResponse response;
  {
    const std::lock_guard lock(mutex_);
    if (hold_) {
      held_.emplace_back(std::move(request), std::move(reply));
      return next_id_++;
    }
    if (produce_error_) {
      for (std::size_t i = 0; i < request.records.size(); ++i) response.records.emplace_back(*produce_error_);
    } else {
      response = produce_locked(request, later);
    }
  }
  reply(std::move(response));
  run(later);
  return 0;
}

Result<FetchResponse> FakeBroker::read_locked(const FetchRequest& request) const {
  const auto* partition = find(request.partition);
  if (partition == nullptr) return unknown(request.partition);
  if (request.from < partition->start || request.from > partition->end) {
    return Error{Errc::offset_out_of_range, "offset " + to_string(request.from) + " is outside " +
                                                to_string(partition->start) + " to " + to_string(partition->end)};
  }
  FetchResponse response{.next_offset = request.from,
                         .log_start_offset = partition->start,
                         .high_watermark = partition->end,
                         .leader_epoch = LeaderEpoch{0}};
  ByteBuffer bytes;
  for (const auto& batch : partition->batches) {
    if (batch.next <= request.from) continue;
    if (batch.base >= request.up_to || (!bytes.empty() && bytes.size() + batch.bytes.size() > request.bytes_max)) break;
    append_bytes(bytes, batch.bytes);
    response.next_offset = batch.next;
  }
  response.batches = Bytes::adopt(std::move(bytes));
  return response;
}

void FakeBroker::produce_all(std::vector<ProduceCall> calls) {
  for (auto& call : calls) produce(std::move(call.request), std::move(call.reply));
}

CallId FakeBroker::fetch(FetchRequest request, Reply<FetchResponse> reply) {
  Result<FetchResponse> answer = Error{Errc::unknown_error, ""};
  {
    const std::lock_guard lock(mutex_);
    ++fetches_;
    answer = fetch_error_ ? std::exchange(fetch_error_, std::nullopt).value() : read_locked(request);
    if (answer && answer->batches.empty() && request.wait_ms_max > 0 && answer->next_offset == answer->high_watermark) {
      const CallId call = next_id_++;
      waiting_.push_back({call, std::move(request), std::move(reply)});
      return call;
    }
  }
  reply(std::move(answer));
  return 0;
}

void FakeBroker::tell_as_follower(std::optional<Offset> heard) {
  const std::lock_guard lock(mutex_);
  heard_ = heard;
}

CallId FakeBroker::find_offset(TopicIdPartition partition, OffsetSpec spec, Reply<OffsetAnswer> reply) {
  Result<OffsetAnswer> answer = unknown(partition);
  {
    const std::lock_guard lock(mutex_);
    if (const auto* found = find(partition)) {
      OffsetAnswer position{.offset = found->end, .log_start_offset = found->start, .high_watermark = found->end};
      if (spec.kind == OffsetSpec::Kind::earliest) position.offset = found->start;
      if (spec.kind == OffsetSpec::Kind::timestamp) {
        const auto first =
            std::ranges::find_if(found->batches, [&](const auto& one) { return one.max_timestamp >= spec.timestamp; });
        if (first != found->batches.end()) position.offset = first->base;
      }
      if (heard_) {
        position.high_watermark = std::min(position.high_watermark, *heard_);
        position.leader_epoch = no_leader_epoch;
      }
      answer = position;
    }
  }
  reply(std::move(answer));
  return 0;
}

void FakeBroker::cancel(CallId call) {
  Reply<FetchResponse> reply;
  {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(waiting_, call, &WaitingFetch::call);
    if (found == waiting_.end()) return;
    ++cancelled_;
    reply = std::move(found->reply);
    waiting_.erase(found);
  }
  reply(Error{Errc::cancelled, "the caller gave up"});
}

std::unique_ptr<TailAttachment> FakeBroker::attach_tail(TopicIdPartition partition, std::shared_ptr<TailListener> listener) {
  TailEvent event{.kind = TailEvent::Kind::ended, .partition = partition, .reason = unknown(partition)};
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(mutex_);
    number = next_id_++;
    if (auto* found = find(partition)) {
      found->listeners[number] = {listener, std::make_shared<std::atomic<std::size_t>>(0)};
      event.kind = TailEvent::Kind::attached;
      event.reason.reset();
      event.from = event.next_offset = found->end;
      event.log_start_offset = found->start;
    }
  }
  listener->on_tail(std::move(event));
  return std::make_unique<Attachment>(*this, partition, number);
}

CallId FakeBroker::create_topic(CreateTopicRequest request, Reply<metadata::TopicPtr> reply) {
  if (auto named = metadata::check_topic_name(request.name); !named) {
    reply(std::move(named).error());
  } else if (auto config = metadata::parse_topic_config(request.config); !config) {
    reply(std::move(config).error());
  } else if (topic(request.name)) {
    reply(Error{Errc::topic_already_exists, "topic \"" + request.name + "\" exists"});
  } else if (request.partitions.value_or(1) < 1 || request.partitions.value_or(1) > 10'000) {
    reply(Error{Errc::invalid_partitions, "a topic has 1 to 10000 partitions"});
  } else if (request.replication_factor.value_or(1) != 1) {
    reply(Error{Errc::invalid_replication_factor, "there is one broker"});
  } else if (request.validate_only) {
    auto shown = std::make_shared<metadata::TopicImage>();
    shown->name = request.name;
    reply(metadata::TopicPtr{shown});
  } else {
    reply(add_topic(request.name, request.partitions.value_or(1), request.config));
  }
  return 0;
}

CallId FakeBroker::alter_topic(AlterTopicRequest request, Reply<metadata::TopicPtr> reply) {
  const auto old = topic(request.name);
  if (!old) {
    reply(Error{Errc::unknown_topic_or_partition, "there is no topic \"" + request.name + "\""});
    return 0;
  }
  auto changed = std::make_shared<metadata::TopicImage>(*old);
  for (const auto& [name, value] : request.config) {
    if (value)
      changed->config_overrides[name] = *value;
    else
      changed->config_overrides.erase(name);
  }
  auto config = metadata::parse_topic_config(changed->config_overrides);
  if (!config) {
    reply(std::move(config).error());
    return 0;
  }
  changed->config = *config;
  if (request.partitions && *request.partitions <= old->partition_count()) {
    reply(Error{Errc::invalid_partitions, "topic already has " + std::to_string(old->partition_count()) + " partitions"});
    return 0;
  }
  if (request.partitions) changed->partitions.resize(static_cast<std::size_t>(*request.partitions), old->partitions.front());
  if (!request.validate_only) {
    const std::lock_guard lock(mutex_);
    for (std::int32_t number = 0; number < changed->partition_count(); ++number)
      partitions_[{changed->id, PartitionId{number}}];
    topics_[request.name] = changed;
    tell_image(*changed);
  }
  reply(metadata::TopicPtr{changed});
  return 0;
}

CallId FakeBroker::delete_topic(std::string name, Reply<Nothing> reply) {
  Deferred later;
  {
    const std::lock_guard lock(mutex_);
    const auto found = topics_.find(name);
    if (found == topics_.end()) {
      later.push_back([&] { reply(Error{Errc::unknown_topic_or_partition, "there is no topic \"" + name + "\""}); });
    } else {
      for (std::int32_t number = 0; number < found->second->partition_count(); ++number) {
        const TopicIdPartition id{found->second->id, PartitionId{number}};
        for (const auto& [key, listener] : partitions_[id].listeners) {
          TailEvent event{.kind = TailEvent::Kind::ended, .partition = id, .reason = unknown(id)};
          later.push_back(
              [taker = listener.taker, event = std::move(event)]() mutable { taker->on_tail(std::move(event)); });
        }
        partitions_.erase(id);
      }
      if (whole_cluster_.image()->find_topic(found->second->id) != nullptr) {
        whole_cluster_.commit({metadata::TopicRemovedRecord{found->second->id}});
      }
      topics_.erase(found);
      later.push_back([&] { reply(Nothing{}); });
    }
  }
  run(later);
  return 0;
}

CallId FakeBroker::delete_records(DeleteRecordsRequest request, Reply<Offset> reply) {
  Result<Offset> answer = unknown(request.partition);
  {
    const std::lock_guard lock(mutex_);
    if (auto* found = find(request.partition)) {
      found->start = std::max(found->start, std::min(request.before, found->end));
      while (!found->batches.empty() && found->batches.front().next <= found->start) found->batches.pop_front();
      answer = found->start;
    }
  }
  reply(std::move(answer));
  return 0;
}

}  // namespace troupe::test
