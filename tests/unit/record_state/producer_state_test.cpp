#include "core/record/producer_state.hpp"

#include <limits>

#include "tests/support/catch.hpp"
#include "tests/unit/record_state/batches.hpp"

using namespace troupe;
using namespace troupe::record;

namespace {

constexpr auto sequence_max = std::numeric_limits<std::int32_t>::max();

/// A log of ten-record batches of producer 7.
struct Log {
  ProducerStates states;
  std::int64_t end = 0;

  void append(BatchOf of) {
    of.offset = end;
    end += of.records;
    states.apply(data_batch(of));
  }
  void append_marker(BatchOf of) {
    of.offset = end++;
    states.apply(marker(of));
  }
  /// Appends batches of ten from `sequence` on, in epoch 0.
  void append_tens(int batches, std::int32_t sequence = 0) {
    for (int i = 0; i < batches; ++i) append({.sequence = sequence + 10 * i, .records = 10, .timestamp = 1000 + end});
  }
};

bool is_new(const Result<std::optional<ProducerStates::Duplicate>>& verdict) { return verdict && !*verdict; }

Errc refusal(const Result<std::optional<ProducerStates::Duplicate>>& verdict) {
  REQUIRE_FALSE(verdict.has_value());
  return verdict.error().code;
}

}  // namespace

TEST_CASE("a batch without producer is always new and leaves no state", "[producer_state]") {
  ProducerStates states;
  RecordBatchHeader plain;
  CHECK(is_new(states.check(plain)));
  states.apply(plain);
  CHECK(states.empty());
}

TEST_CASE("an unknown producer may start at any sequence and goes on from there", "[producer_state]") {
  Log log;
  CHECK(is_new(log.states.check(data_batch({.sequence = 500, .records = 10}))));
  log.append({.sequence = 500, .records = 10});
  CHECK(is_new(log.states.check(data_batch({.sequence = 510}))));
  CHECK(refusal(log.states.check(data_batch({.sequence = 511}))) == Errc::out_of_order_sequence_number);
  CHECK(refusal(log.states.check(data_batch({.sequence = 509}))) == Errc::out_of_order_sequence_number);
  CHECK(refusal(log.states.check(data_batch({.sequence = 0}))) == Errc::out_of_order_sequence_number);
}

TEST_CASE("each of the last five batches is recognised with its first place and time", "[producer_state]") {
  Log log;
  log.append_tens(7);
  for (int i = 2; i < 7; ++i) {
    const auto verdict = log.states.check(data_batch({.sequence = 10 * i, .records = 10, .timestamp = 99}));
    REQUIRE(verdict);
    REQUIRE(verdict->has_value());
    CHECK(**verdict == ProducerStates::Duplicate{Offset{10 * i}, Offset{10 * i + 9}, TimestampMs{1000 + 10 * i}});
  }
}

TEST_CASE("a retry of a batch older than the five kept is known to be in the log, but not where", "[producer_state]") {
  Log log;
  log.append_tens(7);
  CHECK(refusal(log.states.check(data_batch({.sequence = 10, .records = 10}))) == Errc::duplicate_sequence_number);
  CHECK(refusal(log.states.check(data_batch({.sequence = 0, .records = 20}))) == Errc::duplicate_sequence_number);
  CHECK(refusal(log.states.check(data_batch({.sequence = 0, .records = 1}))) == Errc::duplicate_sequence_number);
  // The last record of this one is in the oldest batch kept: no batch of the log ends there.
  CHECK(refusal(log.states.check(data_batch({.sequence = 10, .records = 11}))) == Errc::out_of_order_sequence_number);
}

TEST_CASE("a sequence before the first one known is not taken for a duplicate while a place is free", "[producer_state]") {
  // Goal: a batch lost on the way while the producer's state was gone must not be acknowledged.
  Log log;
  log.append_tens(4, 100);
  CHECK(refusal(log.states.check(data_batch({.sequence = 90, .records = 10}))) == Errc::out_of_order_sequence_number);
  log.append({.sequence = 140, .records = 10});
  CHECK(refusal(log.states.check(data_batch({.sequence = 90, .records = 10}))) == Errc::duplicate_sequence_number);
}

TEST_CASE("a batch that was cut anew on retry is out of order, not a duplicate", "[producer_state]") {
  Log log;
  log.append_tens(3);
  CHECK(refusal(log.states.check(data_batch({.sequence = 20, .records = 9}))) == Errc::out_of_order_sequence_number);
  CHECK(refusal(log.states.check(data_batch({.sequence = 20, .records = 11}))) == Errc::out_of_order_sequence_number);
  CHECK(refusal(log.states.check(data_batch({.sequence = 21, .records = 9}))) == Errc::out_of_order_sequence_number);
  CHECK(refusal(log.states.check(data_batch({.sequence = 10, .records = 20}))) == Errc::out_of_order_sequence_number);
  CHECK(is_new(log.states.check(data_batch({.sequence = 30, .records = 11}))));
}

TEST_CASE("after 2^31 - 1 comes 0 between batches", "[producer_state]") {
  Log log;
  log.append({.sequence = sequence_max - 9, .records = 10});
  CHECK(is_new(log.states.check(data_batch({.sequence = 0, .records = 10}))));
  CHECK(refusal(log.states.check(data_batch({.sequence = 1}))) == Errc::out_of_order_sequence_number);
  log.append({.sequence = 0, .records = 10});
  CHECK(is_new(log.states.check(data_batch({.sequence = 10}))));
  CHECK(log.states.check(data_batch({.sequence = sequence_max - 9, .records = 10}))->value().base_offset == Offset{0});
}

TEST_CASE("after 2^31 - 1 comes 0 inside a batch", "[producer_state]") {
  Log log;
  log.append({.sequence = sequence_max - 3, .records = 10});  // to 5
  CHECK(log.states.find(ProducerId{7})->batches[0].last_sequence == SequenceNumber{5});
  CHECK(is_new(log.states.check(data_batch({.sequence = 6}))));
  CHECK(log.states.check(data_batch({.sequence = sequence_max - 3, .records = 10}))->value().last_offset == Offset{9});
  CHECK(refusal(log.states.check(data_batch({.sequence = 5}))) == Errc::out_of_order_sequence_number);
}

TEST_CASE("what lies before the batches kept is told across the wrap", "[producer_state]") {
  Log log;
  for (int i = 0; i < 8; ++i)  // three batches up to the wrap, five after it
    log.append({.sequence = SequenceNumber{sequence_max - 29}.plus(10 * i).value(), .records = 10});
  CHECK(log.states.find(ProducerId{7})->batches[0].base_sequence == SequenceNumber{0});
  CHECK(refusal(log.states.check(data_batch({.sequence = sequence_max - 9, .records = 10}))) ==
        Errc::duplicate_sequence_number);
  CHECK(refusal(log.states.check(data_batch({.sequence = 100, .records = 10}))) == Errc::out_of_order_sequence_number);
  // Half of the circle is the limit of "before": 2^30 - 1 steps below the oldest kept, and 2^30.
  constexpr std::int32_t half = 1 << 30;
  CHECK(refusal(log.states.check(data_batch({.sequence = half + 1}))) == Errc::duplicate_sequence_number);
  CHECK(refusal(log.states.check(data_batch({.sequence = half}))) == Errc::out_of_order_sequence_number);
}

TEST_CASE("a new epoch starts at sequence 0 and fences the older one", "[producer_state]") {
  Log log;
  log.append_tens(2);
  CHECK(refusal(log.states.check(data_batch({.epoch = 1, .sequence = 20}))) == Errc::out_of_order_sequence_number);
  CHECK(is_new(log.states.check(data_batch({.epoch = 1, .sequence = 0, .records = 10}))));
  CHECK(is_new(log.states.check(data_batch({.epoch = 0, .sequence = 20}))));  // checking alone fences nobody
  log.append({.epoch = 1, .sequence = 0, .records = 5});
  CHECK(refusal(log.states.check(data_batch({.epoch = 0, .sequence = 20}))) == Errc::invalid_producer_epoch);
  CHECK(refusal(log.states.check(data_batch({.epoch = 0, .sequence = 10, .records = 10}))) == Errc::invalid_producer_epoch);
  CHECK(is_new(log.states.check(data_batch({.epoch = 1, .sequence = 5}))));
  CHECK(log.states.find(ProducerId{7})->batches_count == 1);
}

TEST_CASE("producers do not see each other's sequences", "[producer_state]") {
  Log log;
  log.append({.id = 1, .sequence = 0, .records = 10});
  log.append({.id = 2, .epoch = 4, .sequence = 0, .records = 3});
  CHECK(is_new(log.states.check(data_batch({.id = 1, .sequence = 10}))));
  CHECK(is_new(log.states.check(data_batch({.id = 2, .epoch = 4, .sequence = 3}))));
  CHECK(log.states.check(data_batch({.id = 2, .epoch = 4, .sequence = 0, .records = 3}))->value().base_offset == Offset{10});
  CHECK(log.states.size() == 2);
}

TEST_CASE("a marker of the same epoch moves the time but not the sequence", "[producer_state]") {
  Log log;
  log.append_tens(2);
  CHECK(is_new(log.states.check(marker({.epoch = 0}))));
  log.append_marker({.epoch = 0, .timestamp = 5000});
  CHECK(log.states.find(ProducerId{7})->last_timestamp == TimestampMs{5000});
  CHECK(log.states.find(ProducerId{7})->batches_count == 2);
  CHECK(is_new(log.states.check(data_batch({.sequence = 20}))));
  CHECK(log.states.check(data_batch({.sequence = 10, .records = 10}))->value().base_offset == Offset{10});
}

TEST_CASE("a marker of a newer epoch fences the older one and clears its batches", "[producer_state]") {
  Log log;
  log.append_tens(2);
  log.append_marker({.epoch = 1});
  CHECK(refusal(log.states.check(data_batch({.epoch = 0, .sequence = 20}))) == Errc::invalid_producer_epoch);
  CHECK(refusal(log.states.check(data_batch({.epoch = 0, .sequence = 10, .records = 10}))) == Errc::invalid_producer_epoch);
  CHECK(refusal(log.states.check(data_batch({.epoch = 1, .sequence = 20}))) == Errc::out_of_order_sequence_number);
  CHECK(is_new(log.states.check(data_batch({.epoch = 1, .sequence = 0}))));
}

TEST_CASE("a marker of an older epoch is refused", "[producer_state]") {
  Log log;
  log.append({.epoch = 3});
  CHECK(refusal(log.states.check(marker({.epoch = 2}))) == Errc::invalid_producer_epoch);
  CHECK(is_new(log.states.check(marker({.epoch = 3}))));
  CHECK(is_new(log.states.check(marker({.epoch = 4}))));
}

TEST_CASE("a marker makes an unknown producer's epoch known", "[producer_state]") {
  Log log;
  CHECK(is_new(log.states.check(marker({.epoch = 3}))));
  log.append_marker({.epoch = 3});
  CHECK(refusal(log.states.check(data_batch({.epoch = 2, .sequence = 0}))) == Errc::invalid_producer_epoch);
  CHECK(is_new(log.states.check(data_batch({.epoch = 3, .sequence = 0}))));
  CHECK(refusal(log.states.check(data_batch({.epoch = 3, .sequence = 8}))) == Errc::out_of_order_sequence_number);
}

TEST_CASE("a batch with a producer but without epoch or sequence is refused", "[producer_state]") {
  const ProducerStates states;
  CHECK(refusal(states.check(data_batch({.epoch = -1}))) == Errc::invalid_producer_epoch);
  CHECK(refusal(states.check(data_batch({.sequence = -1}))) == Errc::out_of_order_sequence_number);
}

TEST_CASE("apply follows the log even where check would have refused", "[producer_state]") {
  Log log;
  log.append_tens(2);

  SECTION("a gap: the sequence goes on behind it") {
    log.append({.sequence = 700, .records = 10});
    CHECK(is_new(log.states.check(data_batch({.sequence = 710}))));
    CHECK(refusal(log.states.check(data_batch({.sequence = 20}))) == Errc::out_of_order_sequence_number);
  }
  SECTION("the same batch twice: a retry is answered with the first") {
    log.append({.sequence = 10, .records = 10});
    CHECK(log.states.check(data_batch({.sequence = 10, .records = 10}))->value().base_offset == Offset{10});
    CHECK(is_new(log.states.check(data_batch({.sequence = 20}))));
  }
  SECTION("an epoch that does not start at 0") {
    log.append({.epoch = 2, .sequence = 60});
    CHECK(is_new(log.states.check(data_batch({.epoch = 2, .sequence = 61}))));
  }
  SECTION("an older epoch unfences nobody, and only keeps the producer from expiring") {
    log.append({.epoch = 2, .sequence = 0});
    auto expected = *log.states.find(ProducerId{7});
    log.append({.epoch = 1, .sequence = 0, .timestamp = 8000});
    expected.last_timestamp = TimestampMs{8000};
    CHECK(*log.states.find(ProducerId{7}) == expected);
  }
  SECTION("no epoch or a negative id: nothing is known of it") {
    const auto before = log.states;
    log.append({.id = 9, .epoch = -1});
    log.append({.id = -4});
    CHECK(log.states == before);
  }
  SECTION("no sequence number: the time alone") {
    log.append({.sequence = -1, .timestamp = 9000});
    CHECK(log.states.find(ProducerId{7})->last_timestamp == TimestampMs{9000});
    CHECK(is_new(log.states.check(data_batch({.sequence = 20}))));
  }
}

TEST_CASE("a producer expires when its last batch is older than the time given", "[producer_state]") {
  Log log;
  log.append({.id = 1, .timestamp = 1000});
  log.append({.id = 2, .timestamp = 2000});
  log.append({.id = 3, .timestamp = 3000});
  log.append_marker({.id = 1, .timestamp = 4000});
  log.states.expire_before(TimestampMs{2000});
  CHECK(log.states.size() == 3);
  log.states.expire_before(TimestampMs{2001});
  CHECK(log.states.find(ProducerId{2}) == nullptr);
  CHECK(log.states.find(ProducerId{1}) != nullptr);
  CHECK(log.states.find(ProducerId{3}) != nullptr);
  // Forgotten is unknown: any sequence, any epoch.
  CHECK(is_new(log.states.check(data_batch({.id = 2, .sequence = 77}))));
}

TEST_CASE("a refusal names the batch, what came and what was wanted", "[producer_state]") {
  Log log;
  log.append_tens(1);
  const auto verdict = log.states.check(data_batch({.sequence = 12, .records = 3}));
  REQUIRE_FALSE(verdict.has_value());
  CHECK(verdict.error().message == "batch of producer 7 epoch 0 sequence 12 to 14: wanted sequence 10");
}
