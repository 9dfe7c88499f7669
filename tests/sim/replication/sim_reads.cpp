#include "core/replication/leader_calls.hpp"
#include "tests/sim/replication/sim_node.hpp"

/// The part of SimNode for who is beside its replicas: readers, the claims of a leader, coordinators of groups that write.
namespace troupe::sim {

using namespace replication;

void SimNode::load_claims(std::size_t partition) {
  ++world_.marks["claims loaded"];
  write(partition, [this, partition, incarnation = roles_[partition].incarnation] {
    auto& role = roles_[partition];
    if (role.incarnation != incarnation || !role.leader) return;
    for (const auto& stored : disk_[partition].batches()) role.leader->on_claims(*record::parse_batch(stored.bytes));
    LeaderEffects effects;
    role.leader->on_claims_loaded(ok(), effects);
    perform(partition, std::move(effects));
  });
}

Bytes SimNode::committed_records(std::size_t partition, Offset from) const {
  const auto& role = roles_[partition];
  const auto end = role.leader ? role.leader->high_watermark() : role.follower->high_watermark();
  FetchResponse response{.batches = disk_[partition].read(from, end, 1'000),
                         .next_offset = from,
                         .log_start_offset = log_start(partition),
                         .high_watermark = end,
                         .leader_epoch = image_[partition].leader_epoch};
  return Bytes::adopt(encode_leader_answer(response));
}

void SimNode::answer_reader(int reader, std::uint64_t number, Result<Bytes> answer) {
  world_.send(id_.value(), reader,
              [this, reader, number, answer = std::move(answer)] { world_.answer_reader(reader, number, answer); });
}

void SimNode::read(int reader, const Bytes& bytes) {
  const auto call = decode_leader_call(bytes);
  if (!call) return world_.invariants.fail("MessagesDecode", call.error().message);
  const auto partition = static_cast<std::size_t>(call->partition.partition.value());
  auto& role = roles_[partition];
  const auto refuse = [&](Error error) { answer_reader(reader, call->number, std::move(error)); };
  if (const auto* fetch = std::get_if<FetchCommittedCall>(&call->body)) {
    if (role.follower) {
      const auto readable = role.follower->check_read(fetch->from);
      if (!readable) return refuse(readable.error());
      ++world_.marks["read from a follower"];
      return answer_reader(reader, call->number, committed_records(partition, fetch->from));
    }
    if (!role.leader) return refuse({Errc::not_leader_or_follower, "no replica"});
    if (const auto there = role.leader->check_offset(fetch->from); !there) return refuse(there.error());
    if (role.leader->has_records_at(fetch->from)) {
      return answer_reader(reader, call->number, committed_records(partition, fetch->from));
    }
    const auto token = role.next_slot++;
    role.parked[token] = {reader, call->number, fetch->from};
    role.leader->park(token, now() + fetch->wait_ms_max);
    return;
  }
  if (std::holds_alternative<CancelFetchCall>(call->body)) {
    std::erase_if(role.parked, [&](const auto& one) {
      return one.second.reader == reader && one.second.number == call->number && role.leader->unpark(one.first);
    });
    return;
  }
  if (!role.leader) return refuse({Errc::not_leader_or_follower, "not the leader"});
  if (const auto* find = std::get_if<FindOffsetCall>(&call->body)) {
    OffsetAnswer answer{.offset = role.leader->log_start(),
                        .log_start_offset = role.leader->log_start(),
                        .high_watermark = role.leader->high_watermark(),
                        .leader_epoch = role.leader->epoch()};
    if (find->spec.kind == OffsetSpec::Kind::latest) {
      const auto end = role.leader->committed_end();
      if (!end) return refuse(end.error());
      answer.offset = *end;
    }
    return answer_reader(reader, call->number, Bytes::adopt(encode_leader_answer(answer)));
  }
  const auto before = std::min(std::get<DeleteRecordsCall>(call->body).before, role.leader->high_watermark());
  move_log_start(partition, before);
  answer_reader(reader, call->number, Bytes::adopt(encode_leader_answer(before)));
}

void SimNode::produce_here(std::size_t partition, std::vector<NewBatch> batches,
                           std::function<void(const std::vector<Result<PlacedRecords>>&)> answered) {
  auto& role = roles_[partition];
  if (!role.leader) {
    const std::vector<Result<PlacedRecords>> refused(batches.size(), Error{Errc::not_leader_or_follower, "not the leader"});
    return world_.queue.after_us(
        0, [this, run = run_, answered = std::move(answered), refused] { this->run(run, [&] { answered(refused); }); });
  }
  const auto number = role.next_slot++;
  role.own_slots.emplace(number, std::move(answered));
  LeaderEffects effects;
  role.leader->on_produce(number, std::move(batches), {}, effects);
  perform(partition, std::move(effects));
}

}  // namespace troupe::sim
