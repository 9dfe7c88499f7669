#include "tests/sim/replication/sim_reader.hpp"

namespace troupe::sim {

using namespace replication;

namespace {

constexpr Millis patience_ms = 600;
constexpr Millis wait_ms_max = 300;

}  // namespace

void SimReader::send(int node, std::uint64_t number, LeaderCall::Body body) {
  const LeaderCall call{.partition = world_.id_of(partition_),
                        .leader_epoch = world_.control->state(partition_).leader_epoch,
                        .number = number,
                        .body = std::move(body)};
  world_.send(id_, node, [this, node, bytes = Bytes::adopt(encode_leader_call(call))] { read(node, id_, bytes); });
}

void SimReader::ask(int node, LeaderCall::Body body) {
  asked_ = Asked{++last_number_, node, world_.queue.now() + patience_ms, body};
  send(node, last_number_, std::move(body));
}

void SimReader::turn(int brokers) {
  if (asked_ && world_.prng.chance(1, 20)) {
    send(asked_->node, asked_->number, CancelFetchCall{});
    asked_.reset();
  }
  if (asked_ && asked_->patience > world_.queue.now()) return;
  auto node = world_.control->state(partition_).leader.value();
  if (world_.prng.chance(1, 4) || node < 1)
    node = 1 + static_cast<int>(world_.prng.below(static_cast<std::uint64_t>(brokers)));
  if (lost_ || world_.prng.chance(1, 12)) {
    return ask(node, FindOffsetCall{{.kind = lost_ ? OffsetSpec::Kind::earliest : OffsetSpec::Kind::latest}});
  }
  ask(node, FetchCommittedCall{.from = next_, .bytes_max = 1'000, .wait_ms_max = wait_ms_max});
}

void SimReader::delete_before(Offset offset) {
  const auto leader = world_.control->state(partition_).leader.value();
  if (leader > 0) send(leader, ++last_number_, DeleteRecordsCall{offset});
}

void SimReader::answered(std::uint64_t number, const Result<Bytes>& answer) {
  if (!asked_ || asked_->number != number) return;
  const auto asked = *std::exchange(asked_, std::nullopt);
  const auto wrong = [&](const Error& error) { world_.invariants.fail("MessagesDecode", error.message); };
  if (!answer) {
    lost_ = lost_ || answer.error().code == Errc::offset_out_of_range;
    return;
  }
  if (std::holds_alternative<FindOffsetCall>(asked.body)) {
    const auto told = decode_offset_answer(*answer);
    if (!told) return wrong(told.error());
    if (std::exchange(lost_, false)) next_ = told->offset;
    return;
  }
  const auto told = decode_fetch_response(*answer);
  if (!told) return wrong(told.error());
  take(*told);
}

void SimReader::take(const FetchResponse& response) {
  auto bytes = response.batches.view();
  while (!bytes.empty()) {
    const auto batch = record::parse_batch(bytes);
    if (!batch) return world_.invariants.fail("NoConsumerSeesUncommitted", batch.error().message);
    bytes = bytes.subspan(batch->bytes.size());
    const auto& header = batch->header;
    if (header.next_offset() <= next_) continue;
    ++world_.marks["batch read"];
    if (header.base_offset > next_ && next_ >= response.log_start_offset && !world_.invariants.lossy(partition_)) {
      return world_.invariants.fail("ReadersMissNothing", "partition " + std::to_string(partition_) + ": after " +
                                                              to_string(next_) + " came " + to_string(header.base_offset));
    }
    world_.invariants.shown(partition_, header.base_offset, header.next_offset(), header.crc);
    next_ = header.next_offset();
  }
}

}  // namespace troupe::sim
