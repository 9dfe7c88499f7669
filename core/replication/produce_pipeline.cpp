#include "core/replication/produce_pipeline.hpp"

#include <algorithm>
#include <limits>

#include "base/assert.hpp"

namespace troupe::replication {
namespace {

enum class Outcome : std::uint8_t {
  final,        ///< tell the client
  not_written,  ///< send it again, under the same or another sequence
  unknown,      ///< it may be in the log: send it again exactly as it was
};

Outcome outcome_of(Errc code) {
  switch (code) {
    case Errc::leader_not_available:
    case Errc::not_leader_or_follower:
    case Errc::fenced_leader_epoch:
    case Errc::log_offline:
    case Errc::out_of_order_sequence_number: return Outcome::not_written;
    case Errc::storage_error:
    case Errc::leadership_lost:
    case Errc::not_enough_replicas_after_append:
    case Errc::request_timed_out: return Outcome::unknown;
    default: return Outcome::final;
  }
}

/// A refusal that another try may not meet. Who may have been written already waits for that: "nothing was written" would not be true.
bool may_pass(Errc code) {
  return code == Errc::not_enough_replicas || code == Errc::overloaded || code == Errc::storage_full;
}

constexpr std::size_t sequenced_max = record::ProducerStates::batches_kept;
constexpr Errc unknown_outcome = Errc::request_timed_out;

Error not_taken() {
  return {Errc::leader_not_available, "the partition had no leader that could take it in time; nothing was written, retry"};
}

}  // namespace

void ProducePipeline::add(std::uint64_t part, std::span<const record::NewRecord> records, const std::optional<Claim>& claim,
                          MonotonicMs deadline, Acks acks) {
  TROUPE_ASSERT(!records.empty());
  std::size_t bytes = 0;
  for (const auto& record : records) {
    constexpr std::size_t overhead = 32;
    bytes += overhead + (record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0);
    for (const auto& header : record.headers) bytes += header.key.size() + (header.value ? header.value->size() : 0);
  }
  const auto near = [&](const Building& open) {
    return std::max(open.deadline, deadline) - std::min(open.earliest, deadline) <= merge_ms;
  };
  const bool fits = !building_.empty() && !claim && !building_.back().claim && near(building_.back()) &&
                    building_.back().builder.size_bytes() + bytes <= options_.batch_bytes_max;
  if (!fits) {
    building_.push_back({record::RecordBatchBuilder({.codec = options_.codec, .timestamp_type = options_.timestamp_type}),
                         {},
                         claim,
                         deadline,
                         deadline,
                         acks});
  }
  auto& batch = building_.back();
  batch.earliest = std::min(batch.earliest, deadline);
  batch.deadline = std::max(batch.deadline, deadline);
  batch.acks = std::max(batch.acks, acks);
  batch.parts.push_back({part, batch.builder.records_count()});

  auto rest = records;
  if (claim) {
    const auto encoded = encode_claim(*claim);
    std::vector<record::RecordHeader> headers(records.front().headers.begin(), records.front().headers.end());
    headers.push_back({as_bytes(claim_header), ByteView{encoded}});
    auto first = records.front();
    first.headers = headers;
    batch.builder.add(first);
    rest = rest.subspan(1);
  }
  for (const auto& record : rest) batch.builder.add(record);
}

void ProducePipeline::flush(MonotonicMs now, PipelineEffects& effects) {
  if (retry_at_) {
    on_deadline(now, effects);
    if (retry_at_) return;
  }
  send_pending(effects);
}

void ProducePipeline::send_pending(PipelineEffects& effects) {
  // The leader remembers so many batches of a producer, and knows a retry of no more.
  std::size_t sequenced = 0;
  for (const auto& slot : in_flight_) {
    sequenced +=
        static_cast<std::size_t>(std::ranges::count_if(slot.batches, [](const Sent& sent) { return !sent.batch.claim; }));
  }
  const auto may_send = [&] { return !building_.empty() && (building_.front().claim || sequenced < sequenced_max); };
  while (may_send() && in_flight_.size() < options_.slots_max) {
    Slot slot{next_slot_, {}};
    PipelineEffects::Send send{.slot = next_slot_, .terms = {.acks = Acks::none}};
    std::size_t bytes = 0;
    while (may_send() && bytes < options_.slot_bytes_max) {
      if (!building_.front().claim) ++sequenced;
      auto sent = build(std::move(building_.front()), effects);
      building_.pop_front();
      if (!sent) continue;
      bytes += sent->batch.bytes.size();
      join_terms(send.terms, *sent);
      send.batches.push_back(sent->batch);
      slot.batches.push_back(std::move(*sent));
    }
    if (slot.batches.empty()) continue;
    ++next_slot_;
    in_flight_.push_back(std::move(slot));
    effects.sends.push_back(std::move(send));
  }
}

std::optional<ProducePipeline::Sent> ProducePipeline::build(Building building, PipelineEffects& effects) {
  if (!building.claim) building.builder.set_producer(options_.producer_id, epoch_, next_sequence_);
  const auto count = building.builder.records_count();
  auto bytes = building.builder.build();
  if (!bytes) {  // the codec failed
    for (const auto& part : building.parts) effects.done.push_back({part.part, bytes.error()});
    return std::nullopt;
  }
  if (!building.claim) next_sequence_ = next_sequence_.plus(count);
  const auto header = record::parse_batch_header(*bytes);
  TROUPE_ASSERT(header.has_value());
  return Sent{{Bytes::adopt(std::move(*bytes)), *header, building.claim},
              std::move(building.parts),
              building.deadline,
              building.acks};
}

void ProducePipeline::join_terms(ProduceTerms& terms, const Sent& sent) {
  // Also a batch that nobody waits for is sent again when it was not taken: so the leader's word is wanted.
  terms.acks = std::max({terms.acks, sent.acks, Acks::leader});
  terms.deadline = terms.deadline ? std::max(*terms.deadline, sent.deadline) : sent.deadline;
}

void ProducePipeline::finish(const std::vector<Part>& parts, const Result<PlacedRecords>& result, PipelineEffects& effects) {
  for (const auto& part : parts) {
    if (!result) {
      effects.done.push_back({part.part, result.error()});
      continue;
    }
    auto placed = *result;
    placed.base_offset += part.first;
    effects.done.push_back({part.part, placed});
  }
}

void ProducePipeline::on_answer(std::uint64_t slot, std::vector<Result<PlacedRecords>> results, MonotonicMs now,
                                PipelineEffects& effects) {
  const auto found = std::ranges::find(in_flight_, slot, &Slot::number);
  if (found == in_flight_.end() || found->answered || found->batches.size() != results.size()) return;
  found->answered = true;
  std::vector<Sent> left;
  for (std::size_t i = 0; i < results.size(); ++i) {
    auto& sent = found->batches[i];
    auto& result = results[i];
    auto outcome = result ? Outcome::final : outcome_of(result.error().code);
    if (!result && sent.unknown && may_pass(result.error().code)) outcome = Outcome::unknown;
    // A client's own sequence that is too old is for the client to hear.
    if (outcome == Outcome::final || (sent.batch.claim && result.error().code == Errc::out_of_order_sequence_number)) {
      if (!result && !sent.batch.claim) hole_ = true;
      if (!result && sent.unknown) {
        finish(sent.parts,
               Error{unknown_outcome,
                     "whether an earlier try was written is unknown, the last one was refused: " + result.error().message},
               effects);
      } else {
        finish(sent.parts, result, effects);
      }
      continue;
    }
    // All before it was answered for good, and yet it is missing: lost with a leader whose word was not the quorum's. No retry
    // under this epoch will do.
    const bool first = found == in_flight_.begin() && left.empty();
    if (first && !sent.batch.claim && result.error().code == Errc::out_of_order_sequence_number) hole_ = true;
    sent.unknown = sent.unknown || outcome == Outcome::unknown;
    left.push_back(std::move(sent));
  }
  found->batches = std::move(left);
  settle(now, effects);
}

void ProducePipeline::on_leader_gone(MonotonicMs now, PipelineEffects& effects) {
  for (auto& slot : in_flight_) {
    if (slot.answered) continue;
    slot.answered = true;
    for (auto& sent : slot.batches) sent.unknown = true;
  }
  settle(now, effects);
}

/// Slots that are done go; what is left decides whether there is something to send again.
void ProducePipeline::settle(MonotonicMs now, PipelineEffects& effects) {
  const bool trouble =
      hole_ || std::ranges::any_of(in_flight_, [](const Slot& slot) { return slot.answered && !slot.batches.empty(); });
  std::erase_if(in_flight_, [](const Slot& slot) { return slot.answered && slot.batches.empty(); });
  if (!trouble) return send_pending(effects);
  if (!retry_at_) retry_at_ = now + options_.retry_ms;
  if (in_flight_.empty()) {  // nothing to wait for
    next_epoch();
    retry_at_.reset();
    send_pending(effects);
  }
}

void ProducePipeline::give_up(const Sent& sent, PipelineEffects& effects) {
  if (!sent.batch.claim) hole_ = true;
  finish(sent.parts,
         sent.unknown ? Error{unknown_outcome, "the partition's leader did not answer in time: the outcome is unknown"}
                      : not_taken(),
         effects);
}

/// What is with no leader, and has had its time.
void ProducePipeline::give_up_late(MonotonicMs now, PipelineEffects& effects) {
  for (auto& slot : in_flight_) {
    if (!slot.answered) continue;
    std::erase_if(slot.batches, [&](const Sent& sent) {
      if (sent.deadline > now) return false;
      give_up(sent, effects);
      return true;
    });
  }
  std::erase_if(in_flight_, [](const Slot& slot) { return slot.answered && slot.batches.empty(); });
  std::erase_if(building_, [&](const Building& waiting) {
    if (waiting.deadline > now) return false;
    finish(waiting.parts, not_taken(), effects);
    return true;
  });
}

void ProducePipeline::on_deadline(MonotonicMs now, PipelineEffects& effects) {
  give_up_late(now, effects);
  if (!retry_at_ || *retry_at_ > now) return;
  // While an answer is out, the leader may still be writing what came behind.
  if (!std::ranges::all_of(in_flight_, &Slot::answered)) return;
  resend(effects);
}

void ProducePipeline::resend(PipelineEffects& effects) {
  retry_at_.reset();
  // Behind a hole, with an outcome that only its old sequence number could tell.
  const auto lost = [&](const Sent& sent) {
    if (!hole_ || !sent.unknown || sent.batch.claim) return false;
    give_up(sent, effects);
    return true;
  };
  for (auto& slot : in_flight_) std::erase_if(slot.batches, lost);
  std::erase_if(in_flight_, [](const Slot& slot) { return slot.batches.empty(); });

  if (hole_) next_epoch();
  for (auto& slot : in_flight_) {
    slot.number = next_slot_++;
    slot.answered = false;
    PipelineEffects::Send send{.slot = slot.number, .terms = {.acks = Acks::none}};
    for (auto& sent : slot.batches) {
      const bool fenced = !sent.batch.claim && sent.batch.header.producer_epoch != epoch_;
      if (fenced) {
        auto bytes = ByteBuffer(sent.batch.bytes.view().begin(), sent.batch.bytes.view().end());
        record::stamp_producer(bytes, options_.producer_id, epoch_, next_sequence_);
        next_sequence_ = next_sequence_.plus(sent.batch.header.records_count);
        sent.batch.bytes = Bytes::adopt(std::move(bytes));
        sent.batch.header = *record::parse_batch_header(sent.batch.bytes);
      }
      join_terms(send.terms, sent);
      send.batches.push_back(sent.batch);
    }
    effects.sends.push_back(std::move(send));
  }
  send_pending(effects);
}

void ProducePipeline::next_epoch() {
  if (!hole_) return;
  hole_ = false;
  if (epoch_ == ProducerEpoch::max()) {
    ++options_.producer_id;  // ids are drawn far apart
    epoch_ = ProducerEpoch{0};
  } else {
    ++epoch_;
  }
  next_sequence_ = SequenceNumber{0};
}

std::optional<MonotonicMs> ProducePipeline::next_deadline() const {
  const bool all_answered = std::ranges::all_of(in_flight_, &Slot::answered);
  auto next = all_answered ? retry_at_ : std::nullopt;
  const auto consider = [&](MonotonicMs deadline) { next = std::min(next.value_or(deadline), deadline); };
  for (const auto& slot : in_flight_) {
    if (!slot.answered) continue;
    for (const auto& sent : slot.batches) consider(sent.deadline);
  }
  for (const auto& waiting : building_) consider(waiting.deadline);
  return next;
}

}  // namespace troupe::replication
