#include "core/replication/leader_replica.hpp"

#include "base/prng.hpp"
#include "core/record/batch_builder.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::replication;

namespace {

NewBatch batch(std::int32_t records, ProducerId producer = no_producer_id, std::int32_t sequence = -1,
               std::optional<Claim> claim = {}) {
  record::RecordBatchBuilder builder;
  for (std::int32_t i = 0; i < records; ++i) builder.add({.timestamp = TimestampMs{1000}, .value = as_bytes("v")});
  if (producer != no_producer_id) builder.set_producer(producer, ProducerEpoch{0}, SequenceNumber{sequence});
  auto bytes = std::move(builder.build()).value();
  const auto header = record::parse_batch_header(bytes).value();
  return {Bytes::adopt(std::move(bytes)), header, claim};
}

Claim claim(std::uint64_t sequence, std::uint64_t digest = 1) {
  return {.client = {1}, .sequence = sequence, .digest = digest, .claimed_at = TimestampMs{1000}};
}

struct Leader {
  LeaderReplica replica{{.epoch = LeaderEpoch{3}}, Offset{0}, Offset{0}, {}};
  LeaderEffects effects;

  std::uint64_t produce(std::uint64_t slot, std::vector<NewBatch> batches) {
    effects = {};
    replica.on_produce(slot, std::move(batches), effects);
    return effects.appends.empty() ? 0 : effects.appends.back().token;
  }
  void appended(std::uint64_t token, Status status = ok()) {
    effects = {};
    replica.on_appended(token, status, effects);
  }
};

}  // namespace

TEST_CASE("a leader gives offsets in a row and answers when they are in the log", "[replication]") {
  Leader leader;
  const auto first = leader.produce(1, {batch(3)});
  REQUIRE(first != 0);
  CHECK(leader.effects.appends[0].batches[0].base_offset == Offset{0});
  CHECK(leader.effects.answers.empty());
  const auto second = leader.produce(2, {batch(2), batch(1)});
  CHECK(leader.effects.appends[0].batches[1].base_offset == Offset{5});
  CHECK(leader.replica.high_watermark() == Offset{0});

  leader.appended(first);
  CHECK(leader.effects.high_watermark == Offset{3});
  REQUIRE(leader.effects.answers.size() == 1);
  CHECK(leader.effects.answers[0].slot == 1);
  CHECK(*leader.effects.answers[0].results[0] == PlacedRecords{Offset{0}, no_timestamp, false});

  leader.appended(second);
  CHECK(leader.replica.high_watermark() == Offset{6});
  CHECK(leader.effects.answers[0].results[1]->base_offset == Offset{5});
}

TEST_CASE("a producer's batch again is answered with its first offset, also while that is still in flight",
          "[replication]") {
  Leader leader;
  const auto token = leader.produce(1, {batch(2, ProducerId{9}, 0)});
  CHECK(leader.produce(2, {batch(2, ProducerId{9}, 0)}) == 0);
  CHECK(leader.effects.answers.empty());
  leader.appended(token);
  REQUIRE(leader.effects.answers.size() == 2);
  CHECK(leader.effects.answers[1].results[0]->duplicate);
  CHECK(leader.effects.answers[1].results[0]->base_offset == Offset{0});

  leader.produce(3, {batch(2, ProducerId{9}, 0)});
  REQUIRE(leader.effects.answers.size() == 1);
  CHECK(leader.effects.answers[0].results[0]->duplicate);
  CHECK(leader.replica.high_watermark() == Offset{2});
}

TEST_CASE("a batch with a hole before it is refused alone", "[replication]") {
  Leader leader;
  leader.produce(1, {batch(2, ProducerId{9}, 0), batch(2, ProducerId{9}, 5), batch(1)});
  REQUIRE(leader.effects.appends.size() == 1);
  CHECK(leader.effects.appends[0].batches.size() == 2);
  leader.appended(leader.effects.appends[0].token);
  const auto& results = leader.effects.answers[0].results;
  CHECK(results[0].has_value());
  CHECK(results[1].error().code == Errc::out_of_order_sequence_number);
  CHECK(results[2]->base_offset == Offset{2});
}

TEST_CASE("a full disk refuses what is in flight, and the leader goes on where the log is", "[replication]") {
  Leader leader;
  const auto first = leader.produce(1, {batch(1)});
  const auto second = leader.produce(2, {batch(1)});
  const auto third = leader.produce(3, {batch(1)});
  leader.appended(first);
  leader.appended(second, Error{Errc::storage_full, "no space"});
  CHECK(leader.effects.answers[0].results[0].error().code == Errc::storage_full);
  CHECK_FALSE(leader.effects.reopen);
  CHECK(leader.produce(4, {batch(1)}) == 0);
  CHECK(leader.effects.answers[0].results[0].error().code == Errc::storage_full);

  leader.appended(third, Error{Errc::invalid_argument, "base offset 2, the log ends at 1"});
  CHECK(leader.effects.answers[0].results[0].error().code == Errc::storage_full);
  CHECK(leader.effects.reopen);
  leader.replica.on_reopened(Offset{0}, Offset{1}, {}, leader.effects);
  leader.produce(5, {batch(1)});
  CHECK(leader.effects.appends[0].batches[0].base_offset == Offset{1});
}

TEST_CASE("an append with an unknown outcome ends the leader's work", "[replication]") {
  Leader leader;
  const auto first = leader.produce(1, {batch(1)});
  leader.produce(2, {batch(1)});
  leader.appended(first, Error{Errc::storage_error, "fsync failed"});
  REQUIRE(leader.effects.answers.size() == 2);
  for (const auto& answer : leader.effects.answers) CHECK(answer.results[0].error().code == Errc::storage_error);
  CHECK(leader.replica.failed());
  leader.produce(3, {batch(1)});
  CHECK(leader.effects.answers[0].results[0].error().code == Errc::leader_not_available);
  CHECK(leader.replica.high_watermark() == Offset{0});
}

TEST_CASE("claims wait until the log of the last day has been read, and what comes behind waits too", "[replication]") {
  LeaderReplica replica{{}, Offset{0}, Offset{10}, {}};
  LeaderEffects effects;
  replica.on_produce(1, {batch(1, no_producer_id, -1, claim(1)), batch(1, no_producer_id, -1, claim(2))}, effects);
  CHECK(effects.load_claims);
  CHECK(effects.appends.empty());
  effects = {};
  replica.on_produce(2, {batch(1)}, effects);
  CHECK_FALSE(effects.load_claims);
  CHECK(effects.appends.empty());

  // The log holds claim 1 at offset 4.
  record::RecordBatchBuilder builder({.base_offset = Offset{4}});
  const auto encoded = encode_claim(claim(1));
  const record::RecordHeader header{as_bytes(claim_header), ByteView{encoded}};
  builder.add({.timestamp = TimestampMs{55}, .value = as_bytes("v"), .headers = std::span{&header, 1}});
  const auto bytes = std::move(builder.build()).value();
  replica.on_claims(record::parse_batch(bytes).value());
  effects = {};
  replica.on_claims_loaded(ok(), effects);
  REQUIRE(effects.appends.size() == 2);
  CHECK(effects.appends[0].batches.size() == 1);
  CHECK(effects.appends[1].batches[0].base_offset == Offset{11});
  const auto token = effects.appends[0].token;
  effects = {};
  replica.on_appended(token, ok(), effects);
  CHECK(*effects.answers[0].results[0] == PlacedRecords{Offset{4}, TimestampMs{55}, true});
  CHECK(effects.answers[0].results[1]->base_offset == Offset{10});
}

TEST_CASE("a refused claim can be claimed again", "[replication]") {
  Leader leader;
  const auto token = leader.produce(1, {batch(1, no_producer_id, -1, claim(1))});
  leader.appended(token, Error{Errc::storage_full, "no space"});
  leader.replica.on_reopened(Offset{0}, Offset{0}, {}, leader.effects);
  CHECK(leader.produce(2, {batch(1, no_producer_id, -1, claim(1))}) != 0);
}

TEST_CASE("after a refusal the claims that are in the log are known again", "[replication]") {
  Leader leader;
  const auto written = leader.produce(1, {batch(1, no_producer_id, -1, claim(1))});
  leader.appended(written);
  const auto refused = leader.produce(2, {batch(1, no_producer_id, -1, claim(2))});
  leader.appended(refused, Error{Errc::storage_full, "no space"});
  leader.effects = {};
  leader.replica.on_reopened(Offset{0}, Offset{1}, {}, leader.effects);
  // What is remembered of claims is a function of the log: it is read again before the next one is judged.
  CHECK(leader.produce(3, {batch(1, no_producer_id, -1, claim(1)), batch(1, no_producer_id, -1, claim(2))}) == 0);
  REQUIRE(leader.effects.load_claims);
  record::RecordBatchBuilder builder;
  const auto encoded = encode_claim(claim(1));
  const record::RecordHeader header{as_bytes(claim_header), ByteView{encoded}};
  builder.add({.timestamp = TimestampMs{55}, .value = as_bytes("v"), .headers = std::span{&header, 1}});
  const auto bytes = std::move(builder.build()).value();
  leader.replica.on_claims(record::parse_batch(bytes).value());
  leader.effects = {};
  leader.replica.on_claims_loaded(ok(), leader.effects);
  REQUIRE(leader.effects.appends.size() == 1);
  CHECK(leader.effects.appends[0].batches.size() == 1);
  leader.appended(leader.effects.appends[0].token);
  const auto& results = leader.effects.answers.at(0).results;
  CHECK(results[0]->duplicate);
  CHECK(results[0]->base_offset == Offset{0});
  CHECK_FALSE(results[1]->duplicate);
  CHECK(results[1]->base_offset == Offset{1});
}

TEST_CASE("a parked fetch is woken by a commit or by its deadline", "[replication]") {
  Leader leader;
  leader.replica.park(7, MonotonicMs{100});
  leader.replica.park(8, MonotonicMs{50});
  CHECK(leader.replica.next_deadline() == MonotonicMs{50});
  leader.effects = {};
  leader.replica.on_deadline(MonotonicMs{50}, leader.effects);
  CHECK(leader.effects.readable == std::vector<std::uint64_t>{8});
  leader.appended(leader.produce(1, {batch(1)}));
  CHECK(leader.effects.readable == std::vector<std::uint64_t>{7});
  CHECK_FALSE(leader.replica.unpark(7));
  CHECK_FALSE(leader.replica.check_offset(Offset{2}));
  CHECK(leader.replica.check_offset(Offset{1}));
}

TEST_CASE("too much on its way to the disk is refused at the door", "[replication]") {
  LeaderReplica replica{{.bytes_in_flight_max = 10}, Offset{0}, Offset{0}, {}};
  LeaderEffects effects;
  replica.on_produce(1, {batch(1)}, effects);
  CHECK(effects.appends.size() == 1);
  replica.on_produce(2, {batch(1)}, effects);
  CHECK(effects.answers[0].results[0].error().code == Errc::overloaded);
}
