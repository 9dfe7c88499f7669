#include "core/metadata/metadata_machine.hpp"

#include "core/metadata/snapshot.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/metadata/metadata_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

/// The machine on a log in memory, driven by hand: effects wait until the test performs them.
class MachineFixture {
 public:
  using Answers = std::map<std::uint64_t, Result<TopicPtr>>;

  explicit MachineFixture(MetadataMachine::Options options = {}) {
    options.broker = {BrokerId{1}, "localhost", 8080};
    if (options.incarnation.is_nil()) options.incarnation = uuid(50);
    options.new_uuid = ids();
    machine.emplace(std::move(options));
  }

  /// Opened, replayed and registered.
  void become_ready() {
    take(machine->start());
    settle();
    REQUIRE(ready);
  }

  OpenedMetadataLog found() const {
    OpenedMetadataLog log{.cluster_id = cluster, .log_start_offset = log_start, .log_end_offset = end()};
    if (!batches.empty()) log.latest_epoch = epochs.back();
    log.snapshot = snapshot;
    return log;
  }
  Offset end() const { return ends.empty() ? Offset{0} : ends.back(); }

  std::uint64_t submit(MetadataCommand command, Millis deadline = 1'000) {
    take(machine->submit(++last_token, std::move(command), MonotonicMs{now + deadline}));
    return last_token;
  }
  std::uint64_t create(const std::string& name, bool validate_only = false) {
    return submit(CreateTopicCommand{{.name = name, .validate_only = validate_only}});
  }
  std::uint64_t remove(const std::string& name) { return submit(DeleteTopicCommand{name}); }

  void take(MetadataEffects effects) {
    for (auto& effect : effects) waiting.push_back(std::move(effect));
  }

  /// Performs what waits, and what that leads to.
  void settle() {
    while (!waiting.empty() && step()) {}
  }

  /// Performs one effect. False: it is an append that is being held back.
  bool step() {
    if (hold_appends && std::holds_alternative<AppendMetadata>(waiting.front())) return false;
    auto effect = std::move(waiting.front());
    waiting.pop_front();
    std::visit([this](auto& one) { perform(one); }, effect);
    return true;
  }

  /// Writes the batch of an append as the disk would.
  void write(const AppendMetadata& append) {
    const auto batch = record::parse_batch(append.batch);
    REQUIRE(batch);
    REQUIRE(append.place.base_offset == end());
    batches.push_back(append.batch);
    ends.push_back(end() + batch->header.records_count);
    epochs.push_back(append.place.leader_epoch);
  }

  void perform(const OpenMetadataLog&) { take(machine->opened(found())); }
  void perform(const ReadMetadataLog& read) {
    for (std::size_t i = 0; i < batches.size(); ++i) {
      if (ends[i] > read.from) return take(machine->read(batches[i], ends[i]));
    }
    FAIL("nothing at " << read.from.value());
  }
  void perform(const AppendMetadata& append) {
    ++appends;
    const auto status = append_errors.empty() ? ok() : Status{append_errors.front()};
    if (!append_errors.empty()) append_errors.pop_front();
    if (status) write(append);
    take(machine->appended(append.place.token, status, MonotonicMs{now}));
  }
  void perform(AnswerMetadata& answer) {
    INFO("token " << answer.token);
    REQUIRE(answers.emplace(answer.token, std::move(answer.answer)).second);
  }
  void perform(const MetadataIsReady&) {
    REQUIRE_FALSE(ready);
    ready = true;
    shown = machine->image();
  }
  void perform(const PublishMetadata& effect) {
    REQUIRE(ready);
    REQUIRE(same_content(*effect.delta->before, *shown));  // without holes
    shown = effect.delta->after;
    ++published;
  }
  void perform(const WantTurn&) { take(machine->turn(TimestampMs{1'700'000'000'000})); }
  void perform(const WriteSnapshot& effect) {
    if (snapshot_error) return take(machine->snapshot_written(*snapshot_error));
    snapshot = std::optional{effect.payload};
    take(machine->snapshot_written(ok()));
  }
  void perform(const CutMetadataLog& effect) { log_start = effect.before; }
  void perform(const NoteMetadata& effect) { notes.push_back(effect.text); }
  void perform(const FailMetadata& effect) { failure = effect.error; }

  Errc refusal(std::uint64_t token) const {
    REQUIRE(answers.contains(token));
    const auto& answer = answers.at(token);
    REQUIRE_FALSE(answer);
    return answer.error().code;
  }
  bool granted(std::uint64_t token) const { return answers.contains(token) && answers.at(token).has_value(); }

  std::optional<MetadataMachine> machine;
  std::deque<MetadataEffect> waiting;
  bool hold_appends = false;
  std::deque<Error> append_errors;
  std::optional<Error> snapshot_error;
  std::int64_t now = 0;
  std::uint64_t last_token = 0;

  // the disk
  std::vector<Bytes> batches;
  std::vector<Offset> ends;
  std::vector<LeaderEpoch> epochs;
  Offset log_start{0};
  Result<std::optional<Bytes>> snapshot = std::optional<Bytes>{};

  // what came of it
  Answers answers;
  ImagePtr shown;
  bool ready = false;
  std::size_t appends = 0;
  std::size_t published = 0;
  std::vector<std::string> notes;
  std::optional<Error> failure;
};

/// A new run on the disk of an old one.
void restart(MachineFixture& next, const MachineFixture& old) {
  next.batches = old.batches;
  next.ends = old.ends;
  next.epochs = old.epochs;
  next.log_start = old.log_start;
  next.snapshot = old.snapshot;
}

}  // namespace

TEST_CASE("an empty log becomes a cluster of one, and is shown when its broker is registered", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  CHECK(fixture.appends == 1);
  CHECK(fixture.shown->cluster_id() == cluster);
  CHECK(fixture.shown->controller_id() == BrokerId{1});
  CHECK(fixture.shown->brokers() == std::vector{BrokerImage{BrokerId{1}, "localhost", 8080}});
  CHECK(fixture.shown->features().at("metadata.version") == 2);
  CHECK(fixture.shown->applied() == fixture.end());
}

TEST_CASE("what was asked in one go is committed as one batch and answered in order", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  std::vector<std::uint64_t> tokens;
  for (int i = 0; i < 100; ++i) tokens.push_back(fixture.create("topic-" + std::to_string(i)));
  fixture.settle();
  CHECK(fixture.appends == 2);
  CHECK(fixture.published == 1);
  for (int i = 0; i < 100; ++i) {
    const auto token = tokens[static_cast<std::size_t>(i)];
    REQUIRE(fixture.granted(token));
    CHECK((*fixture.answers.at(token))->name == "topic-" + std::to_string(i));
  }
  CHECK(fixture.shown->topic_count() == 100);
}

TEST_CASE("a turn takes so many commands, the next one the others", "[metadata_machine]") {
  MachineFixture fixture{{.turn_commands_max = 10}};
  fixture.become_ready();
  for (int i = 0; i < 25; ++i) fixture.create("topic-" + std::to_string(i));
  fixture.settle();
  CHECK(fixture.appends == 4);
  CHECK(fixture.shown->topic_count() == 25);

  MachineFixture small{{.turn_bytes_max = 300}};
  small.become_ready();
  for (int i = 0; i < 25; ++i) small.create("topic-" + std::to_string(i));
  small.settle();
  CHECK(small.appends > 5);
  CHECK(small.shown->topic_count() == 25);
}

TEST_CASE("what comes while a batch is on its way waits for the next turn", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  fixture.hold_appends = true;
  const auto first = fixture.create("a");
  fixture.settle();
  const auto second = fixture.create("b");
  const auto again = fixture.create("a");
  CHECK(fixture.answers.empty());
  CHECK(fixture.waiting.size() == 1);
  fixture.hold_appends = false;
  fixture.settle();
  CHECK(fixture.granted(first));
  CHECK(fixture.granted(second));
  CHECK(fixture.refusal(again) == Errc::topic_already_exists);
}

TEST_CASE("commands of a turn see what those before them change, and refusals wait for it", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  fixture.hold_appends = true;
  const auto wrong = fixture.create("no/name");
  const auto created = fixture.create("a");
  const auto again = fixture.create("a");
  const auto tried = fixture.create("b", true);
  const auto altered = fixture.submit(AlterTopicCommand{{.name = "a", .partitions = 3}});
  fixture.settle();
  CHECK(fixture.refusal(wrong) == Errc::invalid_topic_exception);  // rests on nothing of this turn
  CHECK(fixture.answers.size() == 1);
  fixture.hold_appends = false;
  fixture.settle();
  CHECK(fixture.granted(created));
  CHECK(fixture.refusal(again) == Errc::topic_already_exists);
  CHECK((*fixture.answers.at(tried))->name == "b");
  CHECK_FALSE(fixture.shown->find_topic("b"));
  CHECK((*fixture.answers.at(altered))->partition_count() == 3);
  CHECK(fixture.appends == 2);
}

TEST_CASE("a topic is deleted in a later turn than it was changed in", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  const auto created = fixture.create("a");
  const auto removed = fixture.remove("a");
  const auto created_again = fixture.create("a");
  fixture.settle();
  CHECK((*fixture.answers.at(created))->name == "a");
  CHECK(fixture.granted(removed));
  CHECK((*fixture.answers.at(created_again))->id != (*fixture.answers.at(created))->id);
  CHECK(fixture.shown->topic_count() == 1);
  CHECK(fixture.refusal([&] {
    const auto token = fixture.remove("nothing");
    fixture.settle();
    return token;
  }()) == Errc::unknown_topic_or_partition);
}

TEST_CASE("a full disk refuses those who write, decides the others again, and recovers", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  fixture.append_errors.push_back({Errc::storage_full, "no space"});
  const auto created = fixture.create("a");
  const auto again = fixture.create("a");  // refused only if the first one was written
  const auto tried = fixture.create("a", true);
  fixture.settle();
  CHECK(fixture.refusal(created) == Errc::storage_full);
  CHECK(fixture.granted(again));
  CHECK(fixture.refusal(tried) == Errc::topic_already_exists);
  CHECK(fixture.shown->topic_count() == 1);
  CHECK(fixture.machine->waiting() == 0);
}

TEST_CASE("a node that cannot register itself for want of space tries again, and is not shown before",
          "[metadata_machine]") {
  MachineFixture fixture{{.registration_retry_ms = 500}};
  fixture.append_errors.assign(2, {Errc::storage_full, "no space"});
  fixture.take(fixture.machine->start());
  fixture.settle();
  CHECK_FALSE(fixture.ready);
  for (int attempt = 0; attempt < 2; ++attempt) {
    CHECK_FALSE(fixture.ready);
    REQUIRE(fixture.machine->next_deadline() == MonotonicMs{fixture.now + 500});
    fixture.now += 500;
    fixture.take(fixture.machine->on_deadline(MonotonicMs{fixture.now}));
    fixture.settle();
  }
  CHECK(fixture.ready);
  CHECK_FALSE(fixture.machine->next_deadline());
}

TEST_CASE("a batch of open outcome is settled by the log: it is there, or it is decided again", "[metadata_machine]") {
  for (const bool arrived : {true, false}) {
    INFO("arrived " << arrived);
    MachineFixture fixture;
    fixture.become_ready();
    fixture.hold_appends = true;
    const auto created = fixture.create("a");
    const auto again = fixture.create("a");
    fixture.settle();
    const auto append = std::get<AppendMetadata>(fixture.waiting.front());
    fixture.waiting.clear();
    if (arrived) fixture.write(append);
    const auto later = fixture.create("b");
    fixture.hold_appends = false;
    fixture.take(fixture.machine->lost());
    fixture.settle();
    CHECK(fixture.granted(created));
    CHECK(fixture.refusal(again) == Errc::topic_already_exists);
    CHECK(fixture.granted(later));
    CHECK(fixture.shown->topic_count() == 2);
    CHECK(fixture.batches.size() == (arrived ? 3U : 2U));
    CHECK(fixture.epochs.back() > fixture.epochs.front());  // another leadership of the log
    // The answer of the worker that went down comes late.
    CHECK(fixture.machine->appended(append.place.token, ok(), MonotonicMs{0}).empty());
  }
}

TEST_CASE("an append that fails in any other way leaves its outcome open", "[metadata_machine]") {
  for (const auto code :
       {Errc::storage_error, Errc::log_offline, Errc::invalid_argument, Errc::unknown_topic_or_partition}) {
    MachineFixture fixture;
    fixture.become_ready();
    fixture.append_errors.push_back({code, "no"});
    const auto created = fixture.create("a");
    fixture.settle();
    CHECK(fixture.granted(created));
    CHECK(fixture.batches.size() == 2);
  }
}

TEST_CASE("who waits too long is told what may have happened", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  fixture.hold_appends = true;
  const auto sent = fixture.submit(CreateTopicCommand{{.name = "a"}}, 100);
  fixture.settle();
  const auto queued = fixture.submit(CreateTopicCommand{{.name = "b"}}, 200);
  CHECK(fixture.machine->next_deadline() == MonotonicMs{100});
  fixture.take(fixture.machine->on_deadline(MonotonicMs{250}));
  const auto append = std::get<AppendMetadata>(fixture.waiting.front());
  fixture.waiting.pop_front();
  fixture.settle();
  CHECK(fixture.refusal(sent) == Errc::request_timed_out);
  CHECK(fixture.refusal(queued) == Errc::leader_not_available);
  CHECK_FALSE(fixture.machine->next_deadline());
  fixture.hold_appends = false;
  fixture.perform(append);
  fixture.settle();
  CHECK(fixture.shown->find_topic("a"));
  CHECK_FALSE(fixture.shown->find_topic("b"));
}

TEST_CASE("no more wait than may", "[metadata_machine]") {
  MachineFixture fixture{{.requests_max = 3}};
  fixture.become_ready();
  fixture.hold_appends = true;
  for (int i = 0; i < 3; ++i) fixture.create("topic-" + std::to_string(i));
  const auto refused = fixture.create("one-more");
  fixture.hold_appends = false;
  fixture.settle();
  CHECK(fixture.refusal(refused) == Errc::overloaded);
  CHECK(fixture.shown->topic_count() == 3);
  CHECK(fixture.granted([&] {
    const auto token = fixture.create("one-more");
    fixture.settle();
    return token;
  }()));
}

TEST_CASE("the next run finds the same metadata, and leads every partition in the next epoch", "[metadata_machine]") {
  MachineFixture first;
  first.become_ready();
  for (int i = 0; i < 10; ++i) first.create("topic-" + std::to_string(i));
  first.remove("topic-3");
  first.settle();

  MachineFixture second{{.incarnation = uuid(51)}};
  restart(second, first);
  second.become_ready();
  CHECK(second.shown->topic_count() == 9);
  for (const auto& before : first.shown->topics()) {
    auto expected = *before;
    expected.partitions.front().leader_epoch += 1;
    expected.partitions.front().partition_epoch += 1;
    REQUIRE(*second.shown->find_topic(before->name) == expected);
  }

  MachineFixture same{{.incarnation = uuid(51)}};  // of the same process: nothing is new
  restart(same, second);
  same.become_ready();
  CHECK(same.appends == 0);
  CHECK(same_content(*same.shown, *second.shown));
}

TEST_CASE("a snapshot takes the log's place, and the log after it goes on", "[metadata_machine]") {
  MachineFixture first{{.snapshot_records_min = 40}};
  first.become_ready();
  for (int i = 0; i < 100; ++i) {
    first.create("topic-" + std::to_string(i));
    first.settle();
  }
  CHECK(first.log_start > Offset{150});
  CHECK(first.end() - first.log_start < 40);

  MachineFixture second;
  restart(second, first);
  second.become_ready();
  CHECK(same_content(*second.shown, *first.shown));
  CHECK(second.notes.empty());
}

TEST_CASE("a snapshot that cannot be written is tried again later, and the log stays", "[metadata_machine]") {
  MachineFixture fixture{{.snapshot_records_min = 10}};
  fixture.snapshot_error = Error{Errc::storage_full, "no space"};
  fixture.become_ready();
  for (int i = 0; i < 20; ++i) {
    fixture.create("topic-" + std::to_string(i));
    fixture.settle();
  }
  CHECK(fixture.log_start == Offset{0});
  CHECK(fixture.notes.size() == 4);
  fixture.snapshot_error.reset();
  for (int i = 20; i < 30; ++i) {
    fixture.create("topic-" + std::to_string(i));
    fixture.settle();
  }
  CHECK(fixture.log_start > Offset{40});
}

TEST_CASE("a lost or damaged snapshot is mended from a whole log, and stops a node without one", "[metadata_machine]") {
  MachineFixture cut{{.snapshot_records_min = 10}};
  cut.become_ready();
  MachineFixture whole;
  whole.become_ready();
  for (int i = 0; i < 20; ++i) {
    for (auto* fixture : {&cut, &whole}) {
      fixture->create("topic-" + std::to_string(i));
      fixture->settle();
    }
  }
  auto damaged = ByteBuffer((*cut.snapshot)->view().begin(), (*cut.snapshot)->view().end());
  damaged.resize(damaged.size() - 1);
  const std::vector<Result<std::optional<Bytes>>> losses{std::optional<Bytes>{}, Error{Errc::corrupt_message, "crc"},
                                                         std::optional{Bytes::adopt(std::move(damaged))}};
  for (const auto& loss : losses) {
    MachineFixture mended;
    restart(mended, whole);
    mended.snapshot = loss;
    mended.become_ready();
    CHECK(mended.shown->topic_count() == 20);
    CHECK(mended.notes.size() == (loss && !*loss ? 0U : 1U));

    MachineFixture stopped;
    restart(stopped, cut);
    stopped.snapshot = loss;
    stopped.take(stopped.machine->start());
    stopped.settle();
    REQUIRE(stopped.failure);
    CHECK(stopped.failure->code == Errc::corrupt_message);
    CHECK(stopped.failure->message.find("metadata-snapshot") == 0);
    CHECK_FALSE(stopped.ready);
  }
}

TEST_CASE("metadata that cannot be trusted stops the machine with the reason", "[metadata_machine]") {
  MachineFixture old{{.snapshot_records_min = 10}};
  old.become_ready();
  for (int i = 0; i < 20; ++i) {
    old.create("topic-" + std::to_string(i));
    old.settle();
  }
  const auto stops = [&](OpenedMetadataLog log, Errc code) {
    MachineFixture next;
    restart(next, old);
    next.take(next.machine->opened(log));
    next.settle();
    REQUIRE(next.failure);
    INFO(next.failure->message);
    CHECK(next.failure->code == code);
  };
  auto log = old.found();
  log.cluster_id = uuid(99);
  stops(log, Errc::wrong_owner);
  log = old.found();
  log.log_end_offset = Offset{3};
  stops(log, Errc::corrupt_message);
  log = old.found();
  log.log_start_offset = log.log_end_offset;
  log.log_start_offset += 1;
  log.log_end_offset += 2;
  stops(log, Errc::corrupt_message);

  MachineFixture behind;
  behind.become_ready();
  behind.create("a");
  behind.settle();
  behind.batches.pop_back();
  behind.ends.pop_back();
  behind.epochs.pop_back();
  behind.take(behind.machine->lost());
  behind.settle();
  REQUIRE(behind.failure);
  CHECK(behind.failure->code == Errc::corrupt_message);
}

TEST_CASE("whatever the disk does, answers are kept: what was granted is there, what was refused is not",
          "[metadata_machine]") {
  const auto seed = seed_or(4'711);
  INFO("TROUPE_SEED=" << seed);
  Prng random{seed};
  for (int round = 0; round < 200; ++round) {
    MachineFixture fixture{{.turn_commands_max = 1 + random.below(5), .snapshot_records_min = 20}};
    fixture.become_ready();
    fixture.hold_appends = true;
    std::map<std::uint64_t, std::string> created;
    for (int i = 0; i < 60; ++i) {
      if (random.chance(1, 2)) {
        const auto name = "topic-" + std::to_string(i);
        created.emplace(fixture.create(name), name);
      }
      fixture.settle();
      if (fixture.waiting.empty()) continue;
      const auto append = std::get<AppendMetadata>(fixture.waiting.front());
      switch (random.below(5)) {
        case 0:  // the answer was lost with its worker, the batch was not
          fixture.write(append);
          [[fallthrough]];
        case 1:
          fixture.waiting.clear();
          fixture.take(fixture.machine->lost());
          break;
        case 2: fixture.append_errors.push_back({Errc::storage_full, "no space"}); [[fallthrough]];
        default:
          fixture.waiting.pop_front();
          fixture.perform(append);
          break;
      }
    }
    fixture.hold_appends = false;
    fixture.settle();
    REQUIRE_FALSE(fixture.failure);
    REQUIRE(fixture.machine->waiting() == 0);
    for (const auto& [token, name] : created) {
      REQUIRE(fixture.answers.contains(token));
      const auto& answer = fixture.answers.at(token);
      const auto topic = fixture.shown->find_topic(name);
      REQUIRE(answer.has_value() == (topic != nullptr));
      if (topic) REQUIRE((*answer)->id == topic->id);
    }
    MachineFixture next;
    restart(next, fixture);
    next.become_ready();
    REQUIRE(same_content(*next.shown, *fixture.shown));
  }
}
