#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/prng.hpp"
#include "core/record/producer_state.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/record_state/batches.hpp"

using namespace troupe;
using namespace troupe::record;

namespace {

using Verdict = Result<std::optional<ProducerStates::Duplicate>>;

/// The rules once more, from the whole history of a log and with 64-bit positions instead of sequence numbers that wrap.
class Model {
 public:
  struct Sent {
    std::int64_t position;  ///< of the first record in the epoch, counted without wrap
    std::int32_t records;
    Offset base_offset;
    TimestampMs timestamp;
    std::int64_t end() const { return position + records; }
  };

  struct Producer {
    std::int16_t epoch;
    std::vector<Sent> sent;  ///< all of this epoch
    TimestampMs last_timestamp;
  };

  /// nullopt: new; a place: duplicate; an Errc otherwise.
  struct Answer {
    std::optional<Errc> refused;
    std::optional<Offset> duplicate_of;
    friend bool operator==(const Answer&, const Answer&) = default;
  };

  Answer check(std::int64_t id, std::int16_t epoch, std::int64_t position, std::int32_t records) const {
    const auto found = producers.find(id);
    if (found == producers.end()) return {};
    const auto& producer = found->second;
    if (epoch < producer.epoch) return {Errc::invalid_producer_epoch, {}};
    const bool at_zero = sequence(position) == 0;
    if (epoch > producer.epoch || producer.sent.empty())
      return at_zero ? Answer{} : Answer{Errc::out_of_order_sequence_number, {}};
    const auto& sent = producer.sent;
    const std::size_t first_kept = sent.size() > 5 ? sent.size() - 5 : 0;
    for (std::size_t i = first_kept; i < sent.size(); ++i) {
      if (sent[i].position == position && sent[i].records == records) return {{}, sent[i].base_offset};
    }
    if (position == sent.back().end()) return {};
    if (sent.size() >= 5 && position + records <= sent[first_kept].position) return {Errc::duplicate_sequence_number, {}};
    return {Errc::out_of_order_sequence_number, {}};
  }

  static std::int32_t sequence(std::int64_t position) { return static_cast<std::int32_t>(position & 0x7fffffff); }

  std::map<std::int64_t, Producer> producers;
};

Model::Answer answer_of(const Verdict& verdict) {
  if (!verdict) return {verdict.error().code, {}};
  if (!*verdict) return {};
  return {{}, (*verdict)->base_offset};
}

/// A new random batch of a log: mostly what a producer would send next, sometimes a gap, a newer epoch, a marker.
RecordBatchHeader random_log_batch(Prng& prng, std::int64_t end, std::map<std::int64_t, BatchOf>& last) {
  const auto id = prng.between(0, 4);
  auto& of =
      last.try_emplace(id, BatchOf{.id = id, .sequence = static_cast<std::int32_t>(prng.below(1U << 31)), .records = 0})
          .first->second;
  of.sequence = SequenceNumber{of.sequence}.plus(of.records).value();
  of.offset = end;
  of.records = static_cast<std::int32_t>(prng.between(1, 100));
  of.timestamp = prng.between(-1, 10'000);
  if (prng.chance(1, 10)) of.sequence = static_cast<std::int32_t>(prng.below(1U << 31));
  if (prng.chance(1, 12)) {
    of.epoch = static_cast<std::int16_t>(of.epoch + prng.between(-1, 2));
    of.sequence = 0;
  }
  if (!prng.chance(1, 8)) return data_batch(of);
  auto end_marker = of;
  of.records = 0;
  return marker(end_marker);
}

}  // namespace

TEST_CASE("random retries, gaps, epochs and markers are judged as by a model with full history", "[producer_state]") {
  const auto seed = test_seed();
  CAPTURE(seed);
  std::map<std::string, int> seen;
  for (std::uint64_t run = 0; run < 60; ++run) {
    CAPTURE(run);
    Prng prng(seed + run);
    ProducerStates states;
    Model model;
    std::int64_t end = 0;
    for (int step = 0; step < 400; ++step) {
      CAPTURE(step);
      const auto id = prng.between(1, 3);
      const auto found = model.producers.find(id);
      auto epoch = static_cast<std::int16_t>(found == model.producers.end() ? 2 : found->second.epoch);
      // Near the end of the numbers, so that many runs wrap within their first batches.
      std::int64_t position = (std::int64_t{1} << 31) - prng.between(-20, 60);
      auto records = static_cast<std::int32_t>(prng.between(1, 12));
      if (found != model.producers.end() && !found->second.sent.empty()) {
        const auto& sent = found->second.sent;
        position = sent.back().end();
        if (prng.chance(1, 3)) {  // a retry, of the last few more often
          const auto back = std::min<std::size_t>(sent.size(), 1 + prng.below(8));
          position = sent[sent.size() - back].position;
          records = sent[sent.size() - back].records;
        }
        if (prng.chance(1, 6)) position += prng.between(-15, 15);
        if (prng.chance(1, 10)) records = static_cast<std::int32_t>(prng.between(1, 12));
      } else if (prng.chance(1, 2)) {
        position = 0;
      }
      if (position < 0) position = 0;
      if (prng.chance(1, 15)) {
        epoch = static_cast<std::int16_t>(epoch + prng.between(-1, 1));
        // In the same epoch, position 0 would be another than 2^31, which has its sequence number.
        if (found != model.producers.end() && epoch != found->second.epoch && prng.chance(2, 3)) position = 0;
      }

      if (prng.chance(1, 12)) {
        const auto header = marker({.id = id, .epoch = epoch, .offset = end, .timestamp = step});
        const auto verdict = states.check(header);
        const bool fenced = found != model.producers.end() && epoch < found->second.epoch;
        REQUIRE(verdict.has_value() == !fenced);
        if (fenced) continue;
        states.apply(header);
        ++end;
        auto& producer = model.producers.try_emplace(id, Model::Producer{epoch, {}, TimestampMs{step}}).first->second;
        if (epoch > producer.epoch) producer = {epoch, {}, {}};
        producer.last_timestamp = TimestampMs{step};
        continue;
      }
      if (prng.chance(1, 100)) {
        const TimestampMs horizon{step - 20};
        states.expire_before(horizon);
        std::erase_if(model.producers, [horizon](const auto& item) { return item.second.last_timestamp < horizon; });
        continue;
      }

      const auto header = data_batch({.id = id,
                                      .epoch = epoch,
                                      .sequence = Model::sequence(position),
                                      .records = records,
                                      .offset = end,
                                      .timestamp = step});
      const auto before = states;
      const auto answer = answer_of(states.check(header));
      const auto wanted = model.check(id, epoch, position, records);
      REQUIRE(states == before);
      CAPTURE(id, epoch, position, records);
      REQUIRE(answer.refused == wanted.refused);
      REQUIRE(answer.duplicate_of == wanted.duplicate_of);
      ++seen[answer.refused ? std::string(to_string(*answer.refused)) : answer.duplicate_of ? "duplicate" : "new"];
      if (answer != Model::Answer{}) continue;
      states.apply(header);
      auto& producer = model.producers.try_emplace(id, Model::Producer{epoch, {}, {}}).first->second;
      if (epoch > producer.epoch) producer = {epoch, {}, {}};
      producer.sent.push_back({position, records, Offset{end}, TimestampMs{step}});
      producer.last_timestamp = TimestampMs{step};
      end += records;
    }
    REQUIRE(states.size() == model.producers.size());
  }
  // The generator reaches every verdict, or this test says little.
  for (const auto* verdict :
       {"new", "duplicate", "out_of_order_sequence_number", "duplicate_sequence_number", "invalid_producer_epoch"}) {
    CAPTURE(verdict);
    CHECK(seen[verdict] > 100);
  }
}

TEST_CASE("a state is a function of the log: snapshot and tail give what the whole log gives", "[producer_state]") {
  // Goal: P4, at every cut of random logs that no check() has filtered.
  const auto seed = test_seed();
  CAPTURE(seed);
  for (std::uint64_t run = 0; run < 20; ++run) {
    CAPTURE(run);
    Prng prng(seed + run);
    std::vector<RecordBatchHeader> log;
    std::map<std::int64_t, BatchOf> last;
    std::int64_t end = 0;
    while (log.size() < 60) {
      log.push_back(random_log_batch(prng, end, last));
      end = log.back().next_offset().value();
    }
    std::vector<ProducerStates> prefixes(1);
    for (const auto& batch : log) {
      prefixes.push_back(prefixes.back());
      prefixes.back().apply(batch);
    }
    for (std::size_t cut = 0; cut <= log.size(); ++cut) {
      CAPTURE(cut);
      const auto bytes = prefixes[cut].encode();
      auto restored = ProducerStates::decode(bytes);
      REQUIRE(restored);
      REQUIRE(*restored == prefixes[cut]);
      REQUIRE(equal_bytes(restored->encode(), bytes));
      for (std::size_t i = cut; i < log.size(); ++i) restored->apply(log[i]);
      REQUIRE(*restored == prefixes.back());
    }
  }
}
