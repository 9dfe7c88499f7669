#include "core/replication/leader_calls.hpp"

#include "base/prng.hpp"
#include "core/record/batch_builder.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::replication;

namespace {

const TopicIdPartition partition{Uuid{{1, 2, 3}}, PartitionId{4}};

NewBatch batch_of(std::string_view value, std::optional<Claim> claim = {}) {
  record::RecordBatchBuilder builder{{}};
  builder.add({.timestamp = TimestampMs{5}, .value = as_bytes(value)});
  NewBatch batch;
  batch.bytes = Bytes::adopt(*builder.build());
  batch.header = *record::parse_batch_header(batch.bytes.view());
  batch.claim = claim;
  return batch;
}

LeaderCall call_with(LeaderCall::Body body) { return {partition, LeaderEpoch{7}, 99, std::move(body)}; }

Bytes encoded(const LeaderCall& call) { return Bytes::adopt(encode_leader_call(call)); }
template <class Answer>
Bytes encoded_answer(const Answer& answer) {
  return Bytes::adopt(encode_leader_answer(answer));
}

const Claim some_claim{.client = {9, 8, 7}, .sequence = 3, .digest = 17, .claimed_at = TimestampMs{1'000}};

std::vector<LeaderCall> one_of_each() {
  return {call_with(ProduceSlotCall{{batch_of("one"), batch_of("two", some_claim)}, replication::Acks::leader, 700}),
          call_with(FetchCommittedCall{Offset{3}, 1'000, Offset{40}, 500}),
          call_with(FindOffsetCall{{OffsetSpec::Kind::timestamp, TimestampMs{-1}}}),
          call_with(DeleteRecordsCall{Offset{12}}), call_with(CancelFetchCall{})};
}

}  // namespace

TEST_CASE("a call for a leader comes out as it went in", "[replication]") {
  for (const auto& call : one_of_each()) {
    const auto decoded = decode_leader_call(encoded(call));
    REQUIRE(decoded);
    CHECK(decoded->partition == partition);
    CHECK(decoded->leader_epoch == LeaderEpoch{7});
    CHECK(decoded->number == 99);
    CHECK(decoded->body.index() == call.body.index());
  }
  const auto calls = one_of_each();
  const auto produce = decode_leader_call(encoded(calls[0]));
  const auto& batches = std::get<ProduceSlotCall>(produce->body).batches;
  REQUIRE(batches.size() == 2);
  CHECK(to_hex(batches[0].bytes.view()) == to_hex(batch_of("one").bytes.view()));
  CHECK(batches[0].header.records_count == 1);
  CHECK_FALSE(batches[0].claim);
  CHECK(batches[1].claim == some_claim);
  CHECK(std::get<ProduceSlotCall>(produce->body).acks == replication::Acks::leader);
  CHECK(std::get<ProduceSlotCall>(produce->body).wait_ms_max == 700);
  const auto without = decode_leader_call(encoded(call_with(ProduceSlotCall{{batch_of("one")}})));
  CHECK(std::get<ProduceSlotCall>(without->body).acks == replication::Acks::quorum);
  CHECK_FALSE(std::get<ProduceSlotCall>(without->body).wait_ms_max);
  const auto fetch = std::get<FetchCommittedCall>(decode_leader_call(encoded(calls[1]))->body);
  CHECK(fetch.from == Offset{3});
  CHECK(fetch.bytes_max == 1'000);
  CHECK(fetch.up_to == Offset{40});
  CHECK(fetch.wait_ms_max == 500);
  const auto find = std::get<FindOffsetCall>(decode_leader_call(encoded(calls[2]))->body);
  CHECK(find.spec.kind == OffsetSpec::Kind::timestamp);
  CHECK(find.spec.timestamp == TimestampMs{-1});
  CHECK(std::get<DeleteRecordsCall>(decode_leader_call(encoded(calls[3]))->body).before == Offset{12});
}

TEST_CASE("a leader's answer comes out as it went in, errors with their sentence", "[replication]") {
  ProduceSlotAnswer answer;
  answer.results.emplace_back(PlacedRecords{Offset{41}, TimestampMs{5}, true});
  answer.results.emplace_back(Error{Errc::not_enough_replicas, "one of two"});
  answer.results.emplace_back(Error{Errc::storage_full, std::string(5'000, 'x')});
  const auto produced = decode_produce_answer(encoded_answer(answer));
  REQUIRE(produced);
  REQUIRE(produced->results.size() == 3);
  CHECK(*produced->results[0] == PlacedRecords{Offset{41}, TimestampMs{5}, true});
  CHECK(produced->results[1].error().code == Errc::not_enough_replicas);
  CHECK(produced->results[1].error().message == "one of two");
  CHECK(produced->results[2].error().message == std::string(1'024, 'x'));

  const FetchResponse fetched{Bytes::copy_of(as_bytes("batches")), Offset{9}, Offset{2}, Offset{10}, LeaderEpoch{3}};
  const auto fetch = decode_fetch_response(encoded_answer(fetched));
  REQUIRE(fetch);
  CHECK(as_text(fetch->batches.view()) == "batches");
  CHECK(fetch->next_offset == Offset{9});
  CHECK(fetch->log_start_offset == Offset{2});
  CHECK(fetch->high_watermark == Offset{10});
  CHECK(fetch->leader_epoch == LeaderEpoch{3});

  const auto found = decode_offset_answer(encoded_answer(OffsetAnswer{Offset{5}, Offset{1}, Offset{8}, LeaderEpoch{2}}));
  REQUIRE(found);
  CHECK(found->offset == Offset{5});
  CHECK(found->log_start_offset == Offset{1});
  CHECK(found->high_watermark == Offset{8});
  CHECK(found->leader_epoch == LeaderEpoch{2});

  CHECK(*decode_delete_answer(encoded_answer(Offset{77})) == Offset{77});
}

TEST_CASE("a call or an answer that is cut off, too long or of another kind is refused", "[replication]") {
  const auto longer = [](const Bytes& bytes) {
    auto more = ByteBuffer(bytes.view().begin(), bytes.view().end());
    more.push_back(std::byte{0});
    return Bytes::adopt(std::move(more));
  };
  for (const auto& call : one_of_each()) {
    const auto whole = encoded(call);
    for (std::size_t size = 0; size < whole.size(); ++size) {
      CHECK(decode_leader_call(whole.slice(0, size)).error().code == Errc::corrupt_message);
    }
    CHECK(decode_leader_call(longer(whole)).error().code == Errc::corrupt_message);
  }
  const auto offset = encoded_answer(OffsetAnswer{});
  for (std::size_t size = 0; size < offset.size(); ++size) CHECK_FALSE(decode_offset_answer(offset.slice(0, size)));
  CHECK_FALSE(decode_fetch_response(offset));
  CHECK_FALSE(decode_delete_answer(offset));
  CHECK_FALSE(decode_produce_answer(offset));
  CHECK_FALSE(decode_offset_answer(longer(offset)));
}

TEST_CASE("a batch that is not what its checksum says does not reach a leader", "[replication]") {
  const auto whole = encoded(call_with(ProduceSlotCall{{batch_of("payload")}}));
  auto damaged = ByteBuffer(whole.view().begin(), whole.view().end());
  damaged[damaged.size() - 3] ^= std::byte{1};
  CHECK(decode_leader_call(Bytes::adopt(std::move(damaged))).error().code == Errc::corrupt_message);
}

TEST_CASE("hostile bytes are refused or read, and never more memory than they are", "[replication]") {
  Prng random{test::seed_or(1)};
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    const auto calls = one_of_each();
    const auto whole = encoded(calls[random.below(calls.size())]);
    auto bytes = ByteBuffer(whole.view().begin(), whole.view().end());
    for (auto flips = 1 + random.below(4); flips > 0; --flips) {
      bytes[random.below(bytes.size())] = static_cast<std::byte>(random.next());
    }
    const auto hostile = Bytes::adopt(std::move(bytes));
    if (!decode_leader_call(hostile)) ++refused;
    (void)decode_produce_answer(hostile);
    (void)decode_fetch_response(hostile);
    (void)decode_offset_answer(hostile);
    (void)decode_delete_answer(hostile);
  }
  CHECK(refused > 1'000);
}
