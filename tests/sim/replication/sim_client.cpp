#include "tests/sim/replication/sim_client.hpp"

#include <algorithm>

#include "core/replication/leader_calls.hpp"
#include "core/replication/produce_rules.hpp"

namespace troupe::sim {

using namespace replication;

namespace {

constexpr Millis patience_ms = 700;

}  // namespace

SimClient::SimClient(SimWorld& world, int id, std::size_t partition, replication::Acks acks, bool claims)
    : world_(world),
      id_(id),
      partition_(partition),
      acks_(acks),
      claims_(claims),
      pipeline_({.producer_id = ProducerId{id * 1'000'000}, .retry_ms = 30}) {}

void SimClient::add(MonotonicMs deadline) {
  // A leader takes the first batch of a producer that it does not know at any sequence number (KIP-360), so a second one in flight could
  // overtake it on this network, and be the first.
  if (!known_ && first_under_way_) return;
  first_under_way_ = true;
  if (!again_.empty() && world_.prng.chance(1, 2)) {
    add_part(again_.back(), deadline);
    again_.pop_back();
    ++world_.marks["claimed again"];
  } else {
    add_part(next_part_++, deadline);
  }
  PipelineEffects effects;
  pipeline_.flush(world_.queue.now(), effects);
  perform(std::move(effects));
}

void SimClient::add_part(std::uint64_t part, MonotonicMs deadline) {
  const auto text = value(part);
  const record::NewRecord record{.timestamp = TimestampMs{1}, .value = as_bytes(text)};
  std::optional<Claim> claim;
  if (claims_) {
    ProduceRequest asked{.records = {{.value = as_bytes(text)}}, .idempotence = IdempotenceKey{std::to_string(id_), part}};
    metadata::TopicImage topic{.name = "data",
                               .partitions = std::vector<metadata::PartitionImage>(world_.settings.partitions)};
    if (const auto right = check_record(asked.records[0], asked, topic); !right)
      world_.invariants.fail("RecordsAreRight", right.error().message);
    ask_wrongly(asked, topic);
    claim = make_claim(asked, "somebody", TimestampMs{world_.queue.now().value()});
  }
  pipeline_.add(part, {&record, 1}, claim, deadline);
}

/// As any client may: what is wrong is refused, and what names no partition goes where all of its client goes.
void SimClient::ask_wrongly(const ProduceRequest& right, const metadata::TopicImage& topic) {
  const auto expect = [&](Errc code, const ProduceRecord& record, const metadata::TopicImage& there) {
    const auto checked = check_record(record, right, there);
    if (checked || checked.error().code != code) world_.invariants.fail("RecordsAreRight", "a wrong record is taken");
  };
  auto record = right.records[0];
  auto there = topic;
  switch (world_.prng.below(16)) {
    case 0: there.name = "__of_the_system"; return expect(Errc::topic_authorization_failed, record, there);
    case 1: there.config.cleanup = metadata::CleanupPolicy::compact; return expect(Errc::invalid_record, record, there);
    case 2: there.config.max_message_bytes = 1; return expect(Errc::message_too_large, record, there);
    case 3: record.headers.push_back({as_bytes("__troupe.claim"), {}}); return expect(Errc::invalid_record, record, there);
    case 4: {
      PartitionChooser chooser;
      const auto by_client = chooser.choose(record, right, topic, world_.prng);
      const auto again = chooser.choose(record, right, topic, world_.prng);
      record.partition = PartitionId{topic.partition_count()};
      const auto beyond = chooser.choose(record, right, topic, world_.prng);
      record.partition = PartitionId{static_cast<std::int32_t>(partition_)};
      const auto named = chooser.choose(record, right, topic, world_.prng);
      if (!by_client || !again || *by_client != *again || beyond || !named || *named != *record.partition)
        world_.invariants.fail("RecordsAreRight", "a record goes where it should not");
      return;
    }
    default: return;
  }
}

void SimClient::look_for_leader() { leader_ = world_.control->state(partition_).leader; }

void SimClient::perform(PipelineEffects effects) {
  for (auto& done : effects.done) {
    first_under_way_ = false;
    if (done.result) known_ = true;
    if (done.result && acks_ != replication::Acks::none) acknowledged_[done.part] = done.result->base_offset;
    if (!done.result && claims_) again_.push_back(done.part);
  }
  for (auto& send : effects.sends) {
    if (leader_ == no_broker) look_for_leader();
    const auto at = world_.queue.now();
    for (const auto& batch : send.batches) {
      if (batch.claim) claimed_[batch.claim->sequence].insert(batch.header.crc);
    }
    sent_[send.slot] = {send.batches, at + patience_ms};
    const auto node = leader_.value();
    if (leader_ == no_broker) continue;  // its patience ends, then it looks again
    const LeaderCall call{.partition = world_.id_of(partition_),
                          .leader_epoch = world_.control->state(partition_).leader_epoch,
                          .number = send.slot,
                          .body = ProduceSlotCall{std::move(send.batches), acks_, patience_ms * 2}};
    world_.send(id_, node, [this, node, bytes = Bytes::adopt(encode_leader_call(call)), at] {
      auto told = decode_leader_call(bytes);
      if (!told) return world_.invariants.fail("MessagesDecode", told.error().message);
      auto& slot = std::get<ProduceSlotCall>(told->body);
      produce(node, id_, told->number, partition_, std::move(slot.batches), {slot.acks, at + *slot.wait_ms_max});
    });
  }
}

void SimClient::answered(std::uint64_t slot, std::vector<Result<PlacedRecords>> results) {
  const auto sent = sent_.find(slot);
  if (sent == sent_.end() || sent->second.batches.size() != results.size()) return;
  for (std::size_t i = 0; i < results.size(); ++i) {
    const auto& header = sent->second.batches[i].header;
    if (!results[i]) {
      leader_ = no_broker;
      last_refusal_ = results[i].error().code;
    } else if (acks_ == replication::Acks::quorum && !world_.invariants.lossy(partition_)) {
      const auto base = results[i]->base_offset;
      const auto& claim = sent->second.batches[i].claim;
      world_.invariants.acknowledged(partition_, base, base + header.records_count,
                                     claim ? claimed_[claim->sequence] : std::set{header.crc});
    }
  }
  sent_.erase(sent);
  PipelineEffects effects;
  pipeline_.on_answer(slot, std::move(results), world_.queue.now(), effects);
  perform(std::move(effects));
}

std::string SimClient::waits_for() const {
  std::string text = "producer " + std::to_string(id_) + " asks broker " + to_string(leader_) + ", last refusal " +
                     std::string(to_string(last_refusal_)) + ", waits for";
  for (const auto& [slot, one] : sent_) {
    text += " slot " + std::to_string(slot) + " of";
    for (const auto& batch : one.batches) {
      text += " epoch " + to_string(batch.header.producer_epoch) + " sequence " + to_string(batch.header.base_sequence);
    }
  }
  return text;
}

void SimClient::look_at_the_clock() {
  PipelineEffects effects;
  const auto now = world_.queue.now();
  const bool out_of_patience = std::ranges::any_of(sent_, [&](const auto& one) { return one.second.patience <= now; });
  if (out_of_patience) {
    sent_.clear();
    leader_ = no_broker;
    pipeline_.on_leader_gone(now, effects);
  }
  pipeline_.on_deadline(now, effects);
  perform(std::move(effects));
}

}  // namespace troupe::sim
