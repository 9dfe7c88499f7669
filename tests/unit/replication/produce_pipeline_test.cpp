#include "core/replication/produce_pipeline.hpp"

#include <algorithm>
#include <map>
#include <string>

#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::replication;

namespace {

constexpr MonotonicMs far{1'000'000};

struct Pipeline {
  ProducePipeline pipeline{{.producer_id = ProducerId{77}}};
  PipelineEffects effects;

  void add(std::uint64_t part, const std::vector<std::string>& values, std::optional<Claim> claim = {},
           MonotonicMs deadline = far) {
    std::vector<record::NewRecord> records;
    for (const auto& value : values) records.push_back({.timestamp = TimestampMs{1}, .value = as_bytes(value)});
    pipeline.add(part, records, claim, deadline);
  }
  PipelineEffects flush(std::int64_t now = 0) {
    PipelineEffects made;
    pipeline.flush(MonotonicMs{now}, made);
    return made;
  }
  PipelineEffects answer(std::uint64_t slot, std::vector<Result<PlacedRecords>> results, std::int64_t now = 0) {
    PipelineEffects made;
    pipeline.on_answer(slot, std::move(results), MonotonicMs{now}, made);
    return made;
  }
  PipelineEffects at(std::int64_t now) {
    PipelineEffects made;
    pipeline.on_deadline(MonotonicMs{now}, made);
    return made;
  }
};

Result<PlacedRecords> placed(std::int64_t offset) { return PlacedRecords{Offset{offset}, no_timestamp, false}; }

}  // namespace

TEST_CASE("the requests of a turn share a batch, and each learns its own offset", "[replication]") {
  Pipeline one;
  one.add(1, {"a", "b"});
  one.add(2, {"c"});
  auto sent = one.flush();
  REQUIRE(sent.sends.size() == 1);
  REQUIRE(sent.sends[0].batches.size() == 1);
  CHECK(sent.sends[0].batches[0].header.records_count == 3);
  CHECK(sent.sends[0].batches[0].header.base_sequence == SequenceNumber{0});
  const auto done = one.answer(sent.sends[0].slot, {placed(40)});
  REQUIRE(done.done.size() == 2);
  CHECK(done.done[0].result->base_offset == Offset{40});
  CHECK(done.done[1].result->base_offset == Offset{42});
  CHECK(one.pipeline.idle());
}

TEST_CASE("at most five slots are on their way, what comes later gathers", "[replication]") {
  Pipeline one;
  std::vector<std::uint64_t> slots;
  for (std::uint64_t part = 0; part < 8; ++part) {
    one.add(part, {"x"});
    for (const auto& send : one.flush().sends) slots.push_back(send.slot);
  }
  CHECK(slots.size() == 5);
  const auto next = one.answer(slots[0], {placed(0)});
  REQUIRE(next.sends.size() == 1);
  CHECK(next.sends[0].batches[0].header.records_count == 3);
  CHECK(next.sends[0].batches[0].header.base_sequence == SequenceNumber{5});
}

TEST_CASE("a request with a claim has a batch of its own that says so", "[replication]") {
  Pipeline one;
  const Claim claim{.client = {4}, .sequence = 9, .digest = 3, .claimed_at = TimestampMs{1}};
  one.add(1, {"a"});
  one.add(2, {"b"}, claim);
  one.add(3, {"c"});
  const auto sent = one.flush();
  const auto& batches = sent.sends[0].batches;
  REQUIRE(batches.size() == 3);
  CHECK(batches[1].claim == claim);
  CHECK_FALSE(batches[1].header.has_producer());
  CHECK(claim_of(record::parse_batch(batches[1].bytes).value()) == claim);
  CHECK(batches[2].header.base_sequence == SequenceNumber{1});
}

TEST_CASE("what has an unknown outcome goes out again, unchanged and in order, when all is answered", "[replication]") {
  Pipeline one;
  one.add(1, {"a"});
  const auto first = one.flush().sends.at(0);
  one.add(2, {"b"});
  const auto second = one.flush().sends.at(0);
  CHECK(one.answer(first.slot, {Error{Errc::storage_error, "gone"}}, 10).done.empty());
  CHECK(one.pipeline.next_deadline() == far);  // the second is still out
  one.add(3, {"c"});
  CHECK(one.flush(20).sends.empty());
  CHECK(one.answer(second.slot, {Error{Errc::leader_not_available, "gone"}}, 30).done.empty());
  CHECK(one.pipeline.next_deadline() == MonotonicMs{60});
  const auto again = one.at(60);
  REQUIRE(again.sends.size() == 3);
  CHECK(equal_bytes(again.sends[0].batches[0].bytes, first.batches[0].bytes));
  CHECK(equal_bytes(again.sends[1].batches[0].bytes, second.batches[0].bytes));
  CHECK(again.sends[2].batches[0].header.base_sequence == SequenceNumber{2});
  // An answer to the slot's first sending comes too late to be believed.
  CHECK(one.answer(first.slot, {placed(7)}, 61).done.empty());
  CHECK(one.answer(again.sends[0].slot, {placed(7)}, 61).done.size() == 1);
}

TEST_CASE("a refused batch leaves a hole, and the next goes out under a new epoch", "[replication]") {
  Pipeline one;
  one.add(1, {"a"});
  const auto first = one.flush().sends.at(0);
  one.add(2, {"b"});
  const auto second = one.flush().sends.at(0);
  const auto refused = one.answer(first.slot, {Error{Errc::storage_full, "no space"}});
  CHECK(refused.done.at(0).result.error().code == Errc::storage_full);
  CHECK(one.answer(second.slot, {Error{Errc::out_of_order_sequence_number, "hole"}}).done.empty());
  const auto again = one.at(50);
  REQUIRE(again.sends.size() == 1);
  CHECK(again.sends[0].batches[0].header.producer_epoch == ProducerEpoch{1});
  CHECK(again.sends[0].batches[0].header.base_sequence == SequenceNumber{0});
  CHECK(record::crc_matches(record::parse_batch(again.sends[0].batches[0].bytes).value()));
  CHECK(one.answer(again.sends[0].slot, {placed(3)}).done.at(0).part == 2);
}

TEST_CASE("what is unknown behind a hole is given up: under another sequence it would be written twice", "[replication]") {
  Pipeline one;
  const Claim claim{.client = {4}, .sequence = 9, .digest = 3, .claimed_at = TimestampMs{1}};
  std::vector<PipelineEffects::Send> sends;
  one.add(1, {"refused"});
  sends.push_back(one.flush().sends.at(0));
  one.add(2, {"unknown"});
  sends.push_back(one.flush().sends.at(0));
  one.add(3, {"claimed"}, claim);
  sends.push_back(one.flush().sends.at(0));
  one.add(4, {"not written"});
  sends.push_back(one.flush().sends.at(0));
  CHECK(one.answer(sends[0].slot, {Error{Errc::storage_full, "no space"}}).done.at(0).part == 1);
  CHECK(one.answer(sends[1].slot, {Error{Errc::storage_error, "gone"}}).done.empty());
  CHECK(one.answer(sends[2].slot, {Error{Errc::storage_error, "gone"}}).done.empty());
  CHECK(one.answer(sends[3].slot, {Error{Errc::leader_not_available, "gone"}}).done.empty());
  const auto again = one.at(50);
  REQUIRE(again.done.size() == 1);
  CHECK(again.done[0].part == 2);
  CHECK(again.done[0].result.error().code == Errc::request_timed_out);
  // Its claim tells a claimed one from its first try; what was not written goes out under the next epoch, from 0.
  REQUIRE(again.sends.size() == 2);
  CHECK(equal_bytes(again.sends[0].batches.at(0).bytes, sends[2].batches.at(0).bytes));
  CHECK(again.sends[1].batches.at(0).header.producer_epoch == ProducerEpoch{1});
  CHECK(again.sends[1].batches.at(0).header.base_sequence == SequenceNumber{0});
  CHECK(one.answer(again.sends[0].slot, {placed(7)}).done.at(0).part == 3);
  CHECK(one.answer(again.sends[1].slot, {placed(8)}).done.at(0).part == 4);
  CHECK(one.pipeline.idle());
}

TEST_CASE("at its deadline an unknown outcome is told as such", "[replication]") {
  Pipeline one;
  one.add(1, {"a"}, {}, MonotonicMs{100});
  one.flush();
  PipelineEffects effects;
  one.pipeline.on_leader_gone(MonotonicMs{60}, effects);
  CHECK(effects.done.empty());
  const auto late = one.at(110);
  REQUIRE(late.done.size() == 1);
  CHECK(late.done[0].result.error().code == Errc::request_timed_out);
  one.add(2, {"b"});
  const auto next = one.flush(120).sends.at(0);
  CHECK(next.batches[0].header.producer_epoch == ProducerEpoch{1});
}

TEST_CASE("what may be in the log is not told to be refused by who comes after the leader that may have written it",
          "[replication]") {
  for (const auto code : {Errc::not_enough_replicas, Errc::overloaded, Errc::storage_full}) {
    Pipeline one;
    one.add(1, {"a"});
    one.flush();
    PipelineEffects effects;
    one.pipeline.on_leader_gone(MonotonicMs{10}, effects);
    const auto second = one.at(100).sends.at(0);
    CHECK(one.answer(second.slot, {Error{code, "not now"}}, 100).done.empty());
    const auto third = one.at(200).sends.at(0);
    CHECK(third.batches[0].header.base_sequence == second.batches[0].header.base_sequence);
    CHECK(third.batches[0].header.producer_epoch == second.batches[0].header.producer_epoch);
    const auto done = one.answer(third.slot, {placed(7)}, 200).done;
    REQUIRE(done.size() == 1);
    CHECK(done[0].result->base_offset == Offset{7});
  }
  Pipeline one;
  one.add(1, {"a"}, Claim{.client = {1}, .sequence = 5});
  one.flush();
  PipelineEffects effects;
  one.pipeline.on_leader_gone(MonotonicMs{10}, effects);
  const auto again = one.at(100).sends.at(0);
  const auto refused = one.answer(again.slot, {Error{Errc::out_of_order_sequence_number, "too old"}}, 100).done;
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].result.error().code == Errc::request_timed_out);
  // What was never on its way before is refused as it was.
  Pipeline fresh;
  fresh.add(1, {"a"});
  const auto first = fresh.flush().sends.at(0);
  CHECK(fresh.answer(first.slot, {Error{Errc::not_enough_replicas, "not now"}}).done.at(0).result.error().code ==
        Errc::not_enough_replicas);
}

TEST_CASE("a disk that is full when it is tried again does not make an unknown outcome a known one", "[replication]") {
  const auto full = [] { return std::vector<Result<PlacedRecords>>{Error{Errc::storage_full, "no space"}}; };
  for (const auto& claim : {std::optional<Claim>{}, std::optional{Claim{.client = {1}, .sequence = 5}}}) {
    CAPTURE(claim.has_value());
    Pipeline one;
    one.add(1, {"a"}, claim, MonotonicMs{1'000});
    auto slot = one.flush().sends.at(0).slot;
    // The first try: the leader's disk, its leadership or its answer was lost after the append.
    auto effects = one.answer(slot, {Error{Errc::leadership_lost, "the outcome is unknown"}}, 10);
    CHECK(effects.done.empty());
    std::int64_t now = 100;
    for (; now < 1'000; now += 100) {
      CAPTURE(now);
      const auto again = one.at(now);
      REQUIRE(again.sends.size() == 1);
      slot = again.sends[0].slot;
      CHECK(one.answer(slot, full(), now).done.empty());
    }
    const auto done = one.at(now).done;
    REQUIRE(done.size() == 1);
    REQUIRE_FALSE(done[0].result);
    CHECK(done[0].result.error().code == Errc::request_timed_out);
    CHECK_THAT(done[0].result.error().message, Catch::Contains("unknown"));
    CHECK(one.pipeline.idle());
  }
  // Where no try could have been written, a full disk is what is told, at once.
  for (const auto before : {Errc::leader_not_available, Errc::not_leader_or_follower}) {
    Pipeline one;
    one.add(1, {"a"});
    const auto first = one.flush().sends.at(0);
    CHECK(one.answer(first.slot, {Error{before, "nothing was written"}}, 10).done.empty());
    const auto second = one.at(100).sends.at(0);
    const auto done = one.answer(second.slot, full(), 100).done;
    REQUIRE(done.size() == 1);
    CHECK(done[0].result.error().code == Errc::storage_full);
  }
}

TEST_CASE("whatever a leader does, each record is written once and in order, and every answer is true", "[replication]") {
  const auto seed = test::seed_or(20261122);
  INFO("TROUPE_SEED=" << seed);
  Prng random(seed);
  for (int round = 0; round < 300; ++round) {
    CAPTURE(round);
    Pipeline one;
    LeaderReplica leader{{}, Offset{0}, Offset{0}, {}};
    std::vector<std::string> log;                   // what is durable: one value an offset
    std::vector<ByteBuffer> stored;                 // the same as batches
    record::ProducerStates durable;                 // a function of them
    std::vector<std::string> spoken;                // values in the order they were added
    std::map<std::uint64_t, std::string> value_of;  // by part
    std::map<std::uint64_t, Result<PlacedRecords>> told;
    std::deque<PipelineEffects::Send> to_leader;
    std::deque<LeaderEffects::Append> to_disk;
    std::deque<LeaderEffects::Answer> to_pipeline;
    std::int64_t now = 0;
    std::uint64_t part = 0;
    std::uint64_t claims = 0;

    const auto take = [&](PipelineEffects effects) {
      for (auto& send : effects.sends) to_leader.push_back(std::move(send));
      for (auto& done : effects.done) REQUIRE(told.emplace(done.part, std::move(done.result)).second);
    };
    const auto take_leader = [&](LeaderEffects effects) {
      for (auto& append : effects.appends) to_disk.push_back(std::move(append));
      for (auto& answer : effects.answers) to_pipeline.push_back(std::move(answer));
      if (effects.load_claims) {
        for (const auto& batch : stored) leader.on_claims(record::parse_batch(batch).value());
        LeaderEffects more;
        leader.on_claims_loaded(ok(), more);
        for (auto& append : more.appends) to_disk.push_back(std::move(append));
        for (auto& answer : more.answers) to_pipeline.push_back(std::move(answer));
      }
    };
    const auto write = [&](const LeaderEffects::Append& append) {
      for (const auto& batch : append.batches) {
        auto header = record::parse_batch_header(batch.bytes).value();
        header.base_offset = batch.base_offset;
        REQUIRE(batch.base_offset == Offset{static_cast<std::int64_t>(log.size())});
        durable.apply(header);
        stored.emplace_back(batch.bytes.view().begin(), batch.bytes.view().end());
        record::stamp_batch(stored.back(), batch.base_offset, LeaderEpoch{0});
        const auto view = record::parse_batch(batch.bytes).value();
        record::RecordReader reader(view.header, view.records_block());
        while (const auto record = reader.next()) log.emplace_back(as_text(*record->value));
      }
    };

    bool calm = false;
    for (int step = 0; step < 120 || !one.pipeline.idle() || !to_pipeline.empty(); ++step) {
      REQUIRE(step < 5000);
      calm = step >= 120;
      now += 5;
      const auto action = random.below(10);
      if (action < 4 && !calm) {
        const auto value = std::to_string(part);
        spoken.push_back(value);
        value_of[part] = value;
        std::optional<Claim> claim;
        if (random.chance(1, 4))
          claim = Claim{.client = {1}, .sequence = claims++, .digest = 1, .claimed_at = TimestampMs{1}};
        one.add(part++, {value}, claim, MonotonicMs{now + 100'000});
        if (random.chance(1, 2)) take(one.flush(now));
      } else if (action < 6 && !to_leader.empty()) {
        LeaderEffects effects;
        auto send = std::move(to_leader.front());
        to_leader.pop_front();
        leader.on_produce(send.slot, std::move(send.batches), effects);
        take_leader(std::move(effects));
      } else if (action < 8 && !to_disk.empty()) {
        const auto append = std::move(to_disk.front());
        to_disk.pop_front();
        LeaderEffects effects;
        write(append);
        leader.on_appended(append.token, ok(), effects);
        take_leader(std::move(effects));
      } else if (action == 8 && !to_pipeline.empty()) {
        auto answer = std::move(to_pipeline.front());
        to_pipeline.pop_front();
        take(one.answer(answer.slot, std::move(answer.results), now));
      } else if (action == 9 && !calm && random.chance(1, 3)) {
        // The leader dies: some of what was on its way to the disk is there, the answers may be lost.
        while (!to_disk.empty() && random.chance(1, 2)) {
          write(to_disk.front());
          to_disk.pop_front();
        }
        to_disk.clear();
        to_leader.clear();
        to_pipeline.clear();
        leader = LeaderReplica{{}, Offset{0}, Offset{static_cast<std::int64_t>(log.size())}, durable};
        PipelineEffects effects;
        one.pipeline.on_leader_gone(MonotonicMs{now}, effects);
        take(std::move(effects));
      } else {
        take(one.at(now));
        if (calm) take(one.flush(now));
      }
    }
    CHECK(log == spoken);
    for (const auto& [number, result] : told) {
      REQUIRE(result);
      CHECK(log.at(static_cast<std::size_t>(result->base_offset.value())) == value_of[number]);
    }
    CHECK(told.size() == value_of.size());
  }
}

TEST_CASE("a slot is answered as the strictest of its requests asks, and as late as the most patient one waits",
          "[replication]") {
  ProducePipeline pipeline{{.producer_id = ProducerId{77}}};
  const std::vector<record::NewRecord> records{{.timestamp = TimestampMs{1}, .value = as_bytes("v")}};
  const auto terms = [&](std::vector<std::pair<Acks, std::int64_t>> requests) {
    for (std::uint64_t part = 0; const auto& [acks, deadline] : requests)
      pipeline.add(part++, records, std::nullopt, MonotonicMs{deadline}, acks);
    PipelineEffects made;
    pipeline.flush(MonotonicMs{0}, made);
    REQUIRE(made.sends.size() == 1);
    return made.sends[0].terms;
  };
  CHECK(terms({{Acks::leader, 10}}).acks == Acks::leader);
  CHECK(terms({{Acks::none, 10}}).acks ==
        Acks::leader);  // nobody waits for it, and yet it is sent again when it was not taken
  const auto both = terms({{Acks::quorum, 10}, {Acks::leader, 30}, {Acks::none, 20}});
  CHECK(both.acks == Acks::quorum);
  CHECK(both.deadline == MonotonicMs{30});
}

TEST_CASE("what no leader has taken is refused when its time is over, and said to be retryable", "[replication]") {
  Pipeline one;
  one.add(1, {"a"}, {}, MonotonicMs{1'000});
  const auto first = one.flush().sends.at(0);
  CHECK(one.answer(first.slot, {Error{Errc::leader_not_available, "none"}}, 980).done.empty());
  one.add(2, {"b"}, {}, MonotonicMs{1'050});  // waits behind it
  CHECK(one.flush(985).sends.empty());
  one.add(3, {"c"}, {}, MonotonicMs{9'000});  // has another time, so another batch
  CHECK(one.flush(986).sends.empty());
  CHECK(one.pipeline.next_deadline() == MonotonicMs{1'000});
  CHECK(one.at(999).done.empty());
  const auto late = one.at(1'000);  // not when the next try is due
  REQUIRE(late.done.size() == 1);
  CHECK(late.done[0].part == 1);
  CHECK(late.done[0].result.error().code == Errc::leader_not_available);
  CHECK(one.pipeline.next_deadline() == MonotonicMs{1'030});
  const auto next = one.at(1'030).sends.at(0);
  REQUIRE(next.batches.size() == 2);
  CHECK(next.batches[0].header.producer_epoch == ProducerEpoch{1});  // "a" had a sequence number
  CHECK(next.batches[0].header.base_sequence == SequenceNumber{0});
  const std::vector<Result<PlacedRecords>> none(2, Error{Errc::leader_not_available, "none"});
  CHECK(one.answer(next.slot, none, 1'031).done.empty());
  const auto second = one.at(1'060);
  REQUIRE(second.done.size() == 1);
  CHECK(second.done[0].part == 2);
  CHECK(second.done[0].result.error().code == Errc::leader_not_available);
}

TEST_CASE("what waits behind a leader that does not answer is refused in time, what that leader has is not",
          "[replication]") {
  Pipeline one;
  std::vector<std::uint64_t> slots;
  for (std::uint64_t part = 0; part < 6; ++part) {
    one.add(part, {"x"}, {}, MonotonicMs{1'000});
    for (const auto& send : one.flush().sends) slots.push_back(send.slot);
  }
  REQUIRE(slots.size() == 5);
  const auto late = one.at(1'000);
  REQUIRE(late.done.size() == 1);
  CHECK(late.done[0].part == 5);
  CHECK(late.done[0].result.error().code == Errc::leader_not_available);
  PipelineEffects gone;
  one.pipeline.on_leader_gone(MonotonicMs{1'001}, gone);
  const auto unknown = one.at(1'002);
  REQUIRE(unknown.done.size() == 5);
  for (const auto& done : unknown.done) CHECK(done.result.error().code == Errc::request_timed_out);
  CHECK(one.at(1'060).done.empty());
  CHECK(one.pipeline.idle());
}
