#include "core/processing/processing_task.hpp"

#include <algorithm>
#include <deque>
#include <set>

#include "base/prng.hpp"
#include "core/record/batch_builder.hpp"
#include "core/replication/claim_index.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::processing;

namespace {

/// An input partition of batches of records "v<offset>", with an output partition that remembers claims as a real one does.
struct World {
  std::vector<std::pair<Offset, Bytes>> batches;
  Offset log_start{0};
  Offset end{0};
  std::vector<std::pair<Offset, std::string>> output;  ///< (input offset, value), in the order of the log
  replication::ClaimIndex claims;
  std::optional<Offset> position;  ///< as it is written down

  void append(int records) {
    record::RecordBatchBuilder builder({.base_offset = end});
    for (int i = 0; i < records; ++i) {
      const auto value = "v" + to_string(end + i);
      builder.add({.timestamp = TimestampMs{1000 + i}, .key = as_bytes("k"), .value = as_bytes(value)});
    }
    batches.emplace_back(end, Bytes::adopt(builder.build().value()));
    end += records;
  }

  Result<ProcessingTask::Fetched> fetch(Offset from, std::size_t batches_max) const {
    if (from < log_start || from > end) return Error{Errc::offset_out_of_range, "outside"};
    ByteBuffer bytes;
    Offset next = from;
    std::size_t count = 0;
    for (const auto& [base, batch] : batches) {
      const auto after = record::parse_batch(batch).value().header.next_offset();
      if (after <= from || count == batches_max) continue;
      append_bytes(bytes, batch);
      next = after;
      ++count;
    }
    return ProcessingTask::Fetched{Bytes::adopt(std::move(bytes)), next};
  }

  std::vector<Error> produce(const ProcessingTask::Produce& request) {
    const auto sequence = static_cast<std::uint64_t>(request.input_offset.value());
    replication::Claim claim{.sequence = sequence,
                             .digest = std::hash<std::string>{}(request.records->front().value.value()),
                             .claimed_at = TimestampMs{1'000'000}};
    const auto known = claims.check(claim);
    if (!known) return std::vector<Error>(request.records->size(), known.error());
    if (*known) return {};
    claims.apply(claim, {Offset{static_cast<std::int64_t>(output.size())}, 1});
    for (const auto& record : *request.records) output.emplace_back(request.input_offset, *record.value);
    return {};
  }
};

std::vector<OutputRecord> echo(const InputRecord& record) {
  return {{.topic = "out", .key = "k", .value = "seen " + std::string(*record.value)}};
}

/// A task whose effects are performed at once.
struct TaskFixture {
  explicit TaskFixture(ProcessingTask::Options with = {}) : options(std::move(with)) {
    options.topic = "in";
    if (options.outputs.empty()) options.outputs = {"out"};
    begin();
  }
  void begin() {
    task.emplace(options, ledger);
    task->start(world.position);
  }
  /// Until nothing is left to do but to wait.
  void run() {
    for (int i = 0; i < 10'000; ++i) {
      while (const auto* record = task->next_record()) {
        seen.push_back(record->offset);
        task->on_processed(echo(*record));
      }
      auto effects = task->take_effects(now);
      notes.insert(notes.end(), effects.notes.begin(), effects.notes.end());
      if (effects.find_offsets) task->on_offsets(ProcessingTask::LogRange{world.log_start, world.end}, now);
      for (const auto& send : effects.sends) {
        auto errors = produce_error ? std::vector{*produce_error} : world.produce(send);
        task->on_produced(send.token, errors, now);
      }
      if (effects.commit) {
        world.position = effects.commit;
        task->on_committed(*effects.commit, ok(), now);
      }
      const bool idle = !effects.find_offsets && effects.sends.empty() && !effects.commit;
      if (effects.fetch) {
        auto fetched = world.fetch(effects.fetch->from, 3);
        if (fetched && fetched->batches.empty()) {
          waiting = true;  // at the end: the fetch stays parked
        } else {
          task->on_fetched(std::move(fetched), now);
          continue;
        }
      }
      if (idle) return;
    }
    FAIL("the task never rests");
  }
  void wake_fetch() {
    REQUIRE(waiting);
    waiting = false;
    task->on_fetched(world.fetch(*task->position(), 3), now);
    run();
  }

  ProcessingTask::Options options;
  World world;
  FailureLedger ledger;
  std::optional<ProcessingTask> task;
  std::vector<Offset> seen;
  std::vector<std::string> notes;
  std::optional<Error> produce_error;
  bool waiting = false;
  MonotonicMs now{0};
};

std::vector<Offset> offsets(std::int64_t from, std::int64_t to) {
  std::vector<Offset> all;
  for (; from < to; ++from) all.emplace_back(from);
  return all;
}

}  // namespace

TEST_CASE("records are processed in order and the position follows their outputs", "[processing]") {
  TaskFixture fixture;
  fixture.world.append(5);
  fixture.world.append(100);
  fixture.run();
  CHECK(fixture.seen == offsets(0, 105));
  CHECK(fixture.world.output.size() == 105);
  CHECK(fixture.task->counts().sent == 105);
  // What is not committed after the interval is committed then.
  fixture.now += 1'000;
  fixture.run();
  CHECK(fixture.world.position == Offset{105});
  CHECK_FALSE(fixture.task->next_deadline());
}

TEST_CASE("a task does not go back with what a replica says that may not have heard of all", "[processing]") {
  TaskFixture fixture({.start = StartAt::latest});
  fixture.world.append(10);
  REQUIRE(fixture.task->take_effects(fixture.now).find_offsets);
  fixture.task->on_offsets(ProcessingTask::LogRange{Offset{0}, Offset{10}}, fixture.now);
  auto effects = fixture.task->take_effects(fixture.now);
  REQUIRE(effects.fetch);
  // A leader of before, that does not have it.
  fixture.task->on_fetched(Error{Errc::offset_out_of_range, "outside"}, fixture.now);
  const auto ask_again = [&] {
    for (int i = 0; i < 100; ++i) {
      effects = fixture.task->take_effects(fixture.now);
      if (effects.find_offsets || effects.fetch) return;
      fixture.now += 100;
    }
  };
  ask_again();
  REQUIRE(effects.find_offsets);
  fixture.task->on_offsets(ProcessingTask::LogRange{Offset{0}, Offset{4}, false}, fixture.now);
  ask_again();
  CHECK_FALSE(effects.fetch);
  REQUIRE(effects.find_offsets);
  CHECK(effects.notes.empty());
  fixture.task->on_offsets(ProcessingTask::LogRange{Offset{0}, Offset{10}}, fixture.now);
  ask_again();
  REQUIRE(effects.fetch);
  CHECK(effects.fetch->from == Offset{10});
}

TEST_CASE("an input record carries topic, key, headers and time, and no header of the system's", "[processing]") {
  TaskFixture fixture;
  const std::vector<record::RecordHeader> headers{
      {as_bytes("a"), as_bytes("1")}, {as_bytes("__troupe.claim"), as_bytes("x")}, {as_bytes("b"), std::nullopt}};
  record::RecordBatchBuilder builder({.codec = record::CompressionCodec::lz4});
  builder.add({.timestamp = TimestampMs{77}, .headers = headers});
  fixture.world.batches.emplace_back(Offset{0}, Bytes::adopt(builder.build().value()));
  fixture.world.end = Offset{1};
  fixture.task->take_effects(fixture.now);
  fixture.task->on_offsets(ProcessingTask::LogRange{Offset{0}, Offset{1}}, fixture.now);
  auto effects = fixture.task->take_effects(fixture.now);
  REQUIRE(effects.commit == Offset{0});
  fixture.task->on_committed(Offset{0}, ok(), fixture.now);
  REQUIRE(effects.fetch);
  fixture.task->on_fetched(fixture.world.fetch(Offset{0}, 1), fixture.now);
  const auto* record = fixture.task->next_record();
  REQUIRE(record != nullptr);
  CHECK(record->topic == "in");
  CHECK(record->timestamp == TimestampMs{77});
  CHECK_FALSE(record->key);
  CHECK_FALSE(record->value);
  REQUIRE(record->headers.size() == 2);
  CHECK(record->headers[0].name == "a");
  CHECK(record->headers[0].value == "1");
  CHECK(record->headers[1].name == "b");
  CHECK_FALSE(record->headers[1].value);
  // An output without a time has its input's.
  fixture.task->on_processed({{.topic = "out"}, {.topic = "out", .timestamp = TimestampMs{5}}});
  effects = fixture.task->take_effects(fixture.now);
  REQUIRE(effects.sends.size() == 1);
  CHECK(effects.sends[0].records->at(0).timestamp == TimestampMs{77});
  CHECK(effects.sends[0].records->at(1).timestamp == TimestampMs{5});
}

TEST_CASE("a task that begins at the end writes that down before it processes anything", "[processing]") {
  TaskFixture fixture({.start = StartAt::latest});
  fixture.world.append(10);
  auto effects = fixture.task->take_effects(fixture.now);
  REQUIRE(effects.find_offsets);
  fixture.task->on_offsets(ProcessingTask::LogRange{Offset{0}, Offset{10}}, fixture.now);
  fixture.world.append(5);
  effects = fixture.task->take_effects(fixture.now);
  REQUIRE(effects.commit == Offset{10});
  REQUIRE(effects.fetch);
  fixture.task->on_fetched(fixture.world.fetch(effects.fetch->from, 3), fixture.now);
  CHECK(fixture.task->next_record() == nullptr);
  // The commit fails: it is tried again, and nothing is processed before.
  fixture.task->on_committed(Offset{10}, Error{Errc::request_timed_out, "?"}, fixture.now);
  CHECK(fixture.task->next_record() == nullptr);
  REQUIRE(fixture.task->next_deadline());
  fixture.now = *fixture.task->next_deadline();
  effects = fixture.task->take_effects(fixture.now);
  REQUIRE(effects.commit == Offset{10});
  fixture.task->on_committed(Offset{10}, ok(), fixture.now);
  const auto* record = fixture.task->next_record();
  REQUIRE(record != nullptr);
  CHECK(record->offset == Offset{10});
}

TEST_CASE("an output that fails is sent again, after a pause, and the position waits for it", "[processing]") {
  TaskFixture fixture;
  fixture.world.append(3);
  fixture.produce_error = Error{Errc::not_enough_replicas, "one is away"};
  fixture.run();
  CHECK(fixture.world.position == Offset{0});
  CHECK(fixture.world.output.empty());
  auto deadline = fixture.task->next_deadline();
  REQUIRE(deadline);
  CHECK(*deadline == MonotonicMs{100});
  fixture.now = *deadline;
  fixture.run();
  CHECK(*fixture.task->next_deadline() == MonotonicMs{300});
  fixture.produce_error.reset();
  fixture.now = MonotonicMs{300};
  fixture.run();
  CHECK(fixture.world.output.size() == 3);
  fixture.now += 5'000;
  fixture.run();
  CHECK(fixture.world.position == Offset{3});
}

TEST_CASE("an output that can never be written fails the run and names the record", "[processing]") {
  TaskFixture fixture;
  fixture.world.append(3);
  SECTION("the broker refuses it") {
    fixture.produce_error = Error{Errc::message_too_large, "too large"};
    fixture.run();
  }
  SECTION("its topic was not declared") {
    fixture.options.outputs = {"elsewhere"};
    fixture.begin();
    fixture.run();
  }
  SECTION("there are too many") {
    fixture.options.outputs_max = 0;
    fixture.begin();
    fixture.run();
  }
  REQUIRE(fixture.task->failure());
  CHECK(fixture.task->failure()->offset == Offset{0});
  CHECK(fixture.task->next_record() == nullptr);
  CHECK_FALSE(fixture.task->take_effects(fixture.now).fetch);
}

TEST_CASE("a batch that cannot be read fails the run, whatever its bytes", "[processing]") {
  const auto seed = test::seed_or(11);
  INFO("TROUPE_SEED=" << seed);
  Prng random(seed);
  for (int round = 0; round < 300; ++round) {
    TaskFixture fixture;
    fixture.world.position = Offset{0};
    fixture.begin();
    fixture.world.append(4);
    auto bytes = ByteBuffer(fixture.world.batches[0].second.view().begin(), fixture.world.batches[0].second.view().end());
    for (std::uint64_t i = 0; i <= random.below(4); ++i) bytes[random.below(bytes.size())] ^= std::byte{0x11};
    if (random.chance(1, 3)) bytes.resize(random.below(bytes.size()));
    REQUIRE(fixture.task->take_effects(fixture.now).fetch);
    fixture.task->on_fetched(ProcessingTask::Fetched{Bytes::adopt(std::move(bytes)), Offset{4}}, fixture.now);
    for (int i = 0; i < 10 && fixture.task->next_record() != nullptr; ++i) fixture.task->on_processed({});
    CHECK(fixture.task->next_record() == nullptr);
  }
}

TEST_CASE("what retention has deleted is passed over and reported", "[processing]") {
  TaskFixture fixture;
  fixture.world.append(10);
  fixture.world.append(10);
  fixture.world.position = Offset{2};
  fixture.world.log_start = Offset{10};
  fixture.begin();
  fixture.run();
  CHECK(fixture.seen == offsets(10, 20));
  REQUIRE(fixture.notes.size() == 1);
  CHECK(fixture.notes[0].find("goes on at 10 instead of 2") != std::string::npos);
}

TEST_CASE("a record that was failed on too often is passed over when the spec says so", "[processing]") {
  FailureLedger ledger(ProcessorSpec{.on_error = OnError::skip, .attempts_max = 2});
  CHECK_FALSE(ledger.on_failure(Offset{3}));
  CHECK(ledger.on_failure(Offset{3}));
  CHECK(ledger.skips(Offset{3}));
  TaskFixture fixture;
  fixture.ledger = ledger;
  fixture.world.append(5);
  fixture.run();
  CHECK(fixture.seen == std::vector{Offset{0}, Offset{1}, Offset{2}, Offset{4}});
  CHECK(fixture.task->counts().skipped == 1);
  ledger.on_committed(Offset{4});
  CHECK_FALSE(ledger.skips(Offset{3}));
  CHECK(ledger.skipped() == 1);
  FailureLedger patient(ProcessorSpec{});
  for (int i = 0; i < 1000; ++i) CHECK_FALSE(patient.on_failure(Offset{3}));
}

TEST_CASE("a processor that rebuilds sees everything again, and its old outputs are dropped", "[processing]") {
  TaskFixture fixture({.rebuild = true});
  fixture.world.append(10);
  fixture.world.position = Offset{6};
  fixture.begin();
  fixture.run();
  CHECK(fixture.seen == offsets(0, 10));
  REQUIRE(fixture.world.output.size() == 4);
  CHECK(fixture.world.output.front().first == Offset{6});
  fixture.now += 1'000;
  fixture.run();
  CHECK(fixture.world.position == Offset{10});
}

TEST_CASE("a processor that rebuilds and is new begins to write at the end", "[processing]") {
  TaskFixture fixture({.start = StartAt::latest, .rebuild = true});
  fixture.world.append(10);
  fixture.run();
  CHECK(fixture.seen == offsets(0, 10));
  CHECK(fixture.world.output.empty());
  CHECK(fixture.world.position == Offset{10});
  fixture.world.append(1);
  fixture.wake_fetch();
  CHECK(fixture.world.output.size() == 1);
}

namespace {

/// A task among a broker and a position store that answer late, fail, or do what they are asked and say that they did not; it is
/// crashed at any point, and what an earlier run had asked for may still happen.
class Simulation {
 public:
  Simulation(std::uint64_t seed, std::size_t in_flight_max) : random_(seed), in_flight_max_(in_flight_max) { begin(); }

  void step() {
    now_ += static_cast<Millis>(random_.below(40));
    switch (random_.below(8)) {
      case 0:
        if (world_.end < Offset{400}) world_.append(1 + static_cast<int>(random_.below(20)));
        break;
      case 1:
        if (random_.chance(1, 6)) begin();
        break;
      case 2:
      case 3: deliver(); break;
      case 4: produce_one(); break;
      default: work(); break;
    }
  }

  /// No more faults: everything comes to its end.
  void settle() {
    faults_ = false;
    for (int i = 0; i < 20'000 && world_.position != world_.end; ++i) {
      now_ += 50;
      work();
      produce_one();
      deliver();
    }
    while (!requests_.empty()) produce_one();
  }

  void check() const {
    CHECK(world_.position == world_.end);
    std::set<Offset> written;
    for (const auto& [offset, value] : world_.output) {
      CHECK(value == "seen v" + to_string(offset));
      CHECK(written.insert(offset).second);  // once only
    }
    CHECK(static_cast<std::int64_t>(written.size()) == world_.end.value());  // and all of them
    if (in_flight_max_ == 1) {
      CHECK(std::ranges::is_sorted(world_.output, {}, [](const auto& one) { return one.first; }));
    }
  }
  int crashes() const { return crashes_; }

 private:
  struct Answer {
    int run;
    std::function<void()> give;
  };
  struct Request {
    int run;
    ProcessingTask::Produce produce;
  };

  void begin() {
    ++run_;
    ++crashes_;
    task_.emplace(ProcessingTask::Options{.topic = "in", .outputs = {"out"}, .in_flight_max = in_flight_max_}, ledger_);
    task_->start(world_.position);
    last_seen_.reset();
  }

  bool fault() { return faults_ && random_.chance(1, 5); }

  void work() {
    for (auto left = 1 + random_.below(60); left > 0; --left) {
      const auto* record = task_->next_record();
      if (record == nullptr) break;
      if (last_seen_) CHECK(record->offset == *last_seen_ + 1);  // in order, none left out
      last_seen_ = record->offset;
      task_->on_processed(echo(*record));
    }
    const auto effects = task_->take_effects(now_);
    REQUIRE_FALSE(task_->failure());
    if (effects.find_offsets) {
      answer([this, bad = fault()] {
        bad ? task_->on_offsets(Error{Errc::leader_not_available, ""}, now_)
            : task_->on_offsets(ProcessingTask::LogRange{world_.log_start, world_.end}, now_);
      });
    }
    if (effects.fetch) {
      answer([this, from = effects.fetch->from, bad = fault()] {
        if (bad) return task_->on_fetched(Error{Errc::leader_not_available, ""}, now_);
        task_->on_fetched(world_.fetch(from, 1 + random_.below(3)), now_);
      });
    }
    for (const auto& send : effects.sends) requests_.push_back({run_, send});
    if (effects.commit) {
      const bool bad = fault();
      if (!bad || random_.chance(1, 2)) world_.position = effects.commit;
      answer([this, position = *effects.commit, bad] {
        task_->on_committed(position, bad ? Status{Error{Errc::request_timed_out, ""}} : ok(), now_);
      });
    }
  }

  /// The broker gets to a request: it keeps their order.
  void produce_one() {
    if (requests_.empty()) return;
    const auto request = requests_.front();
    requests_.pop_front();
    const bool bad = fault();
    std::vector<Error> errors;
    if (!bad || random_.chance(1, 2)) errors = world_.produce(request.produce);
    if (bad) errors = {{Errc::request_timed_out, "outcome unknown"}};
    answers_.push_back(
        {request.run, [this, token = request.produce.token, errors] { task_->on_produced(token, errors, now_); }});
  }

  void answer(std::function<void()> give) { answers_.push_back({run_, std::move(give)}); }

  void deliver() {
    if (answers_.empty()) return;
    const auto chosen = answers_.begin() + static_cast<std::ptrdiff_t>(random_.below(answers_.size()));
    const auto one = std::move(*chosen);
    answers_.erase(chosen);
    if (one.run == run_) one.give();
  }

  Prng random_;
  const std::size_t in_flight_max_;
  World world_;
  FailureLedger ledger_;
  std::optional<ProcessingTask> task_;
  std::deque<Request> requests_;
  std::vector<Answer> answers_;
  std::optional<Offset> last_seen_;
  MonotonicMs now_{0};
  bool faults_ = true;
  int run_ = 0;
  int crashes_ = -1;
};

}  // namespace

TEST_CASE("after crashes at any point every record was processed and every output is there once", "[processing]") {
  const auto seed = test::seed_or(4242);
  int crashes = 0;
  for (std::uint64_t i = 0; i < 150; ++i) {
    INFO("TROUPE_SEED=" << seed << " round " << i);
    Simulation simulation(seed + i, i % 3 == 0 ? 1 : 1 + i % 32);
    for (int step = 0; step < 1'500; ++step) simulation.step();
    simulation.settle();
    simulation.check();
    crashes += simulation.crashes();
  }
  CHECK(crashes > 1'000);
}
