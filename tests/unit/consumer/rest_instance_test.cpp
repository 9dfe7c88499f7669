#include "core/consumer/rest_instance.hpp"
#include "core/record/batch_builder.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::consumer;

namespace {

using Values = std::vector<std::string>;
using Kind = SeekTarget::Kind;

const TopicId topic_id{Uuid{{7}}};
TopicIdPartition part(std::int32_t number) { return {topic_id, PartitionId{number}}; }

/// An instance, a consumer that is this test, and a reader that shows values.
struct InstanceFixture {
  explicit InstanceFixture(RestOptions options = {}) : instance(named(std::move(options))) {}

  static RestOptions named(RestOptions options) {
    options.group = "g";
    options.name = "c1";
    return options;
  }

  void subscribe() { REQUIRE(instance.subscribe({"t"}, "", fx)); }
  void tell(ConsumerEvent event) { instance.on_event(instance.run(), std::move(event), fx); }
  void assigned(std::int32_t number, std::int64_t next = 0) {
    tell(ConsumerAssigned{group::GroupEpoch{1}, {{part(number), "t", Offset{next}}}});
  }
  /// One batch of `count` records, whose values are their offsets; told as from `from`.
  std::int64_t records(std::int32_t number, std::int64_t base, std::int64_t count, std::int64_t from = -1,
                       record::BatchBuilderOptions options = {}) {
    options.base_offset = Offset{base};
    record::RecordBatchBuilder builder(options);
    for (std::int64_t i = 0; i < count; ++i) {
      const auto value = std::to_string(base + i);
      builder.add({.timestamp = TimestampMs{1}, .value = as_bytes(value)});
    }
    auto bytes = Bytes::adopt(builder.build().value());
    const auto size = static_cast<std::int64_t>(bytes.size());
    tell(ConsumerRecords{part(number), "t", Offset{from < 0 ? base : from}, Offset{base + count}, count, std::move(bytes)});
    return size;
  }

  /// What one poll gives, at most `room` records; `refused` cannot be shown.
  Result<std::size_t> poll(std::size_t room = 1'000) {
    instance.begin_read(fx);
    std::size_t left = room;
    auto answer = instance.show_records(
        [&](const std::string& topic, PartitionId partition, const record::RecordView& one) {
          const std::string value(as_text(*one.value));
          if (value == refused) return RestInstance::Shown::not_in_format;
          if (left == 0) return RestInstance::Shown::full;
          --left;
          shown.push_back(topic + "-" + to_string(partition) + ":" + value);
          return RestInstance::Shown::yes;
        },
        fx);
    return answer;
  }
  Values take_shown() { return std::exchange(shown, {}); }
  RestInstanceEffects take_effects() { return std::exchange(fx, {}); }

  RestInstance instance;
  RestInstanceEffects fx;
  std::string refused;
  Values shown;
};

}  // namespace

TEST_CASE("topics and partitions exclude each other until it is unsubscribed", "[rest_instance]") {
  InstanceFixture fixture;
  auto& instance = fixture.instance;
  auto& fx = fixture.fx;
  REQUIRE(instance.subscribe({"b", "a", "b"}, "", fx));
  CHECK(instance.subscription() == Values{"a", "b"});
  REQUIRE(fx.open);
  CHECK(fx.open->profile.topics == Values{"a", "b"});
  CHECK(fx.open->profile.client_id == "c1");
  CHECK(instance.assign({{part(0), "t"}}, fx).error().code == Errc::conflict);
  fixture.take_effects();
  REQUIRE(instance.subscribe({"c"}, "", fx));
  CHECK(fx.change);
  CHECK_FALSE(fx.open);
  CHECK(instance.subscription() == Values{"c"});

  fixture.take_effects();
  instance.unsubscribe(fx);
  CHECK(fx.end);
  CHECK(instance.subscription().empty());
  const auto before = instance.run() - 1;
  REQUIRE(instance.assign({{part(1), "t"}, {part(0), "t"}, {part(1), "t"}}, fx));
  // The one before has not left yet.
  CHECK_FALSE(fx.open);
  instance.on_event(before, ConsumerClosed{}, fx);
  REQUIRE(fx.open);
  CHECK(fx.open->partitions == std::vector{part(0), part(1)});
  CHECK(fx.open->profile.topics.empty());
  CHECK(instance.assignment().size() == 2);
  CHECK(instance.subscription().empty());
  CHECK(instance.subscribe({"t"}, "", fx).error().code == Errc::conflict);
  CHECK(instance.subscribe({}, "t", fx).error().code == Errc::conflict);
  REQUIRE(instance.assign({}, fx));
  CHECK(instance.assignment().empty());
  REQUIRE(instance.subscribe({}, "t.*", fx));
}

TEST_CASE("what no member may say is refused, and changes nothing", "[rest_instance]") {
  InstanceFixture fixture;
  CHECK(fixture.instance.subscribe({"no topic"}, "", fixture.fx).error().code == Errc::invalid_topic_exception);
  const auto wrong = fixture.instance.subscribe({}, "a(", fixture.fx);
  CHECK(wrong.error().code == Errc::invalid_regular_expression);
  CHECK_FALSE(fixture.fx.open);
  CHECK(fixture.instance.to_commit(std::nullopt).error().code == Errc::conflict);
  CHECK(fixture.instance.seek({{part(0), {}}}, fixture.fx).error().code == Errc::conflict);
  CHECK(fixture.poll().value() == 0);
}

TEST_CASE("what has been shown makes room for as much", "[rest_instance]") {
  InstanceFixture fixture;
  fixture.subscribe();
  CHECK(fixture.fx.open->credit.bytes == RestInstance::window_bytes);
  CHECK(fixture.fx.open->profile.instance_id == "rest:c1");
  fixture.assigned(0);
  CHECK(fixture.poll().value() == 0);
  const auto bytes = fixture.records(0, 0, 4);
  CHECK(fixture.poll(2).value() == 2);
  CHECK(fixture.take_effects().credit_bytes == 0);
  CHECK(fixture.poll().value() == 2);
  CHECK(fixture.take_effects().credit_bytes == bytes);
  CHECK(fixture.take_shown() == Values{"t-0:0", "t-0:1", "t-0:2", "t-0:3"});
}

TEST_CASE("a paused group's instance shows nothing, not even what it has, until the group goes on", "[rest_instance]") {
  InstanceFixture fixture;
  fixture.subscribe();
  fixture.assigned(0);
  fixture.records(0, 0, 2);
  REQUIRE(fixture.instance.has_enough());
  fixture.tell(ConsumerPaused{true});
  CHECK(!fixture.instance.has_enough());
  CHECK(fixture.poll().value() == 0);
  fixture.tell(ConsumerPaused{false});
  CHECK(fixture.instance.has_enough());
  CHECK(fixture.poll().value() == 2);
}

TEST_CASE("a record that does not fit comes with the next poll", "[rest_instance]") {
  InstanceFixture fixture;
  fixture.subscribe();
  fixture.assigned(0);
  fixture.assigned(1);
  fixture.records(0, 0, 2);
  fixture.records(1, 10, 2);
  CHECK(fixture.poll(3).value() == 3);
  CHECK(fixture.take_shown() == Values{"t-0:0", "t-0:1", "t-1:10"});
  CHECK(fixture.poll(3).value() == 1);
  CHECK(fixture.take_shown() == Values{"t-1:11"});
}

TEST_CASE("a batch that begins before the position is shown from there", "[rest_instance]") {
  InstanceFixture fixture;
  fixture.subscribe();
  fixture.assigned(0, 3);
  fixture.records(0, 0, 5, 3);
  CHECK(fixture.poll().value() == 2);
  CHECK(fixture.take_shown() == Values{"t-0:3", "t-0:4"});
  // Markers of transactions are no records; the position passes them.
  fixture.records(0, 5, 1, -1, {.transactional = true, .control = true});
  CHECK(fixture.poll().value() == 0);
  CHECK(fixture.instance.to_commit(std::nullopt).value() == RestInstance::Positions{{part(0), Offset{6}}});
}

TEST_CASE("the position does not move past a record of another format until somebody seeks", "[rest_instance]") {
  InstanceFixture fixture;
  fixture.subscribe();
  fixture.assigned(0);
  fixture.records(0, 0, 4);
  fixture.refused = "2";
  CHECK(fixture.poll().value() == 2);
  for (int i = 0; i < 3; ++i) {
    const auto stuck = fixture.poll();
    REQUIRE(!stuck);
    CHECK(stuck.error().code == Errc::invalid_record);
    CHECK(stuck.error().message.find("t-0 2") != std::string::npos);
  }
  CHECK(fixture.instance.to_commit(std::nullopt).value() == RestInstance::Positions{{part(0), Offset{2}}});
  fixture.take_effects();
  REQUIRE(fixture.instance.seek({{part(0), {.offset = Offset{3}}}}, fixture.fx));
  REQUIRE(fixture.fx.seeks.size() == 1);
  fixture.tell(ConsumerReset{ConsumerReset::Reason::seek, part(0), "t", Offset{4}, Offset{3}});
  fixture.records(0, 0, 4, 3);
  fixture.take_shown();
  CHECK(fixture.poll().value() == 1);
  CHECK(fixture.take_shown() == Values{"t-0:3"});
}

TEST_CASE("what was shown counts as consumed with the next poll, with auto commit only", "[rest_instance]") {
  const bool auto_commit = GENERATE(true, false);
  InstanceFixture fixture({.auto_commit = auto_commit});
  fixture.subscribe();
  CHECK(fixture.fx.open->auto_commit == auto_commit);
  fixture.assigned(0);
  fixture.records(0, 0, 3);
  fixture.take_effects();
  CHECK(fixture.poll(2).value() == 2);
  CHECK(fixture.take_effects().consumed.empty());
  CHECK(fixture.poll(0).value() == 0);
  auto fx = fixture.take_effects();
  if (auto_commit) {
    CHECK(fx.consumed == RestInstance::Positions{{part(0), Offset{2}}});
  } else {
    CHECK(fx.consumed.empty());
  }
  // Ending it is a call like any other.
  CHECK(fixture.poll().value() == 1);
  fixture.take_effects();
  fixture.instance.close(fixture.fx);
  CHECK(fixture.fx.end);
  CHECK(fixture.fx.consumed.size() == (auto_commit ? 1 : 0));
  CHECK(fixture.poll().error().code == Errc::not_found);
}

TEST_CASE("a partition that is to go is let go of when what was shown of it is settled", "[rest_instance]") {
  InstanceFixture fixture({.auto_commit = false});
  fixture.subscribe();
  fixture.assigned(0);
  fixture.assigned(1);
  const auto bytes = fixture.records(0, 0, 3);
  CHECK(fixture.poll(1).value() == 1);
  fixture.take_effects();

  // Nothing was shown of one of them; of the other a record was. What is kept of it is not shown any more.
  fixture.tell(ConsumerRevoking{{part(0), part(1)}, 10'000});
  auto fx = fixture.take_effects();
  CHECK(fx.released == group::PartitionList{part(1)});
  CHECK(fx.credit_bytes == bytes);
  CHECK(fixture.instance.assignment().empty());
  CHECK(fixture.instance.to_commit(std::nullopt).value() == RestInstance::Positions{{part(0), Offset{1}}});

  SECTION("by a commit") {
    fixture.instance.on_committed({{part(0), Error{Errc::request_timed_out, ""}}}, fixture.fx);
    CHECK(fixture.take_effects().released.empty());
    fixture.instance.on_committed({{part(0), Offset{1}}}, fixture.fx);
    CHECK(fixture.take_effects().released == group::PartitionList{part(0)});
  }
  SECTION("by a poll") {
    CHECK(fixture.poll().value() == 0);
    CHECK(fixture.take_effects().released == group::PartitionList{part(0)});
  }
  SECTION("by time") {
    fixture.tell(ConsumerRevoked{{part(0)}, false});
    CHECK(fixture.take_effects().released.empty());
    CHECK(fixture.instance.to_commit(std::nullopt).value().empty());
  }
}

TEST_CASE("what is lost is neither shown nor committed, and comes again where the group stands", "[rest_instance]") {
  InstanceFixture fixture;
  fixture.subscribe();
  fixture.assigned(0);
  fixture.records(0, 0, 3);
  CHECK(fixture.poll(1).value() == 1);
  fixture.take_effects();
  fixture.tell(ConsumerLost{{part(0)}});
  CHECK(fixture.poll().value() == 0);
  CHECK(fixture.take_effects().consumed.empty());
  fixture.assigned(0, 0);
  fixture.records(0, 0, 3);
  fixture.take_shown();
  CHECK(fixture.poll().value() == 3);
}

TEST_CASE("a seek goes as soon as there is a place to go from, and hides what was before", "[rest_instance]") {
  InstanceFixture fixture;
  REQUIRE(fixture.instance.assign({{part(0), "t"}, {part(1), "t"}}, fixture.fx));
  fixture.take_effects();
  // All or none.
  CHECK(fixture.instance.seek({{part(0), {.offset = Offset{5}}}, {part(9), {}}}, fixture.fx).error().code == Errc::conflict);
  REQUIRE(fixture.instance.seek({{part(0), {.offset = Offset{5}}}}, fixture.fx));
  CHECK(fixture.take_effects().seeks.empty());
  fixture.assigned(0);
  fixture.assigned(1);
  auto fx = fixture.take_effects();
  REQUIRE(fx.seeks.size() == 1);
  CHECK(fx.seeks.front().first == part(0));
  CHECK(fx.seeks.front().second.offset == Offset{5});

  // On its way: what comes is from before. Nothing of it is committed either.
  const auto bytes = fixture.records(0, 0, 2);
  CHECK(fixture.take_effects().credit_bytes == bytes);
  CHECK(fixture.instance.to_commit(std::nullopt).value() == RestInstance::Positions{{part(1), Offset{0}}});
  // It did not come through: once more, for nobody would know where it stands. Unless it is another's.
  fixture.instance.on_sought(fixture.instance.run(), part(0), Error{Errc::request_timed_out, ""}, fixture.fx);
  CHECK(fixture.take_effects().seeks.size() == 1);
  fixture.instance.on_sought(fixture.instance.run(), part(0), Error{Errc::fenced_member_epoch, ""}, fixture.fx);
  fixture.instance.on_sought(fixture.instance.run() - 1, part(0), Error{Errc::request_timed_out, ""}, fixture.fx);
  CHECK(fixture.take_effects().seeks.empty());
  fixture.tell(ConsumerReset{ConsumerReset::Reason::seek, part(0), "t", Offset{0}, Offset{5}});
  fixture.records(0, 4, 3, 5);
  CHECK(fixture.poll().value() == 2);
  CHECK(fixture.take_shown() == Values{"t-0:5", "t-0:6"});
}

TEST_CASE("a position that is set from outside, or lost to retention, is where it goes on", "[rest_instance]") {
  InstanceFixture fixture;
  fixture.subscribe();
  fixture.assigned(0);
  fixture.records(0, 0, 5);
  CHECK(fixture.poll(2).value() == 2);
  fixture.tell(ConsumerReset{ConsumerReset::Reason::group, part(0), "t", Offset{5}, Offset{1}});
  fixture.take_effects();
  fixture.records(0, 0, 5, 1);
  fixture.take_shown();
  CHECK(fixture.poll().value() == 4);
  CHECK(fixture.take_shown().front() == "t-0:1");
  // What was shown before the reset is not consumed by the poll behind it: the group is to stand where it was set.
  CHECK(fixture.take_effects().consumed.empty());
}

TEST_CASE("what an earlier consumer says is dropped", "[rest_instance]") {
  InstanceFixture fixture;
  fixture.subscribe();
  const auto before = fixture.instance.run();
  fixture.instance.unsubscribe(fixture.fx);
  fixture.subscribe();
  fixture.instance.on_event(before, ConsumerAssigned{group::GroupEpoch{1}, {{part(0), "t", Offset{0}}}}, fixture.fx);
  CHECK(fixture.instance.assignment().empty());
  fixture.instance.on_event(before, ConsumerFailed{Error{Errc::overloaded, ""}}, fixture.fx);
  CHECK(fixture.poll().value() == 0);
}

TEST_CASE("a consumer that failed is told at each call, until another subscription", "[rest_instance]") {
  InstanceFixture fixture;
  fixture.subscribe();
  fixture.assigned(0);
  fixture.tell(ConsumerFailed{Error{Errc::group_max_size_reached, "full"}});
  fixture.tell(ConsumerClosed{});
  CHECK(fixture.instance.has_enough());
  CHECK(fixture.poll().error().code == Errc::group_max_size_reached);
  CHECK(fixture.instance.to_commit(std::nullopt).error().code == Errc::group_max_size_reached);
  CHECK(fixture.instance.seek({}, fixture.fx).error().code == Errc::group_max_size_reached);
  fixture.take_effects();
  fixture.subscribe();
  CHECK(fixture.fx.end);
  CHECK(fixture.fx.open);
  CHECK(fixture.poll().value() == 0);
}

TEST_CASE("a record of another format does not stop other partitions", "[rest_instance]") {
  InstanceFixture fixture;
  fixture.subscribe();
  fixture.assigned(0);
  fixture.assigned(1);
  fixture.records(0, 0, 2);
  fixture.records(1, 10, 2);
  fixture.refused = "0";
  CHECK(fixture.poll().value() == 2);
  CHECK(fixture.take_shown() == Values{"t-1:10", "t-1:11"});
  CHECK(fixture.poll().error().code == Errc::invalid_record);
}

TEST_CASE("an answer that got lost comes again, unless something was committed since", "[rest_instance]") {
  const bool auto_commit = GENERATE(true, false);
  InstanceFixture fixture({.auto_commit = auto_commit});
  fixture.subscribe();
  fixture.assigned(0);
  fixture.records(0, 0, 4);
  CHECK(fixture.poll(2).value() == 2);
  CHECK(fixture.poll(1).value() == 1);
  fixture.take_effects();
  fixture.instance.answer_lost();
  SECTION("back to where the lost answer began") {
    CHECK(fixture.poll().value() == 0);
    const auto fx = fixture.take_effects();
    CHECK(fx.consumed.empty());
    REQUIRE(fx.seeks.size() == 1);
    CHECK(fx.seeks.front().second.offset == Offset{2});
    CHECK_FALSE(fixture.instance.settled());
    fixture.tell(ConsumerReset{ConsumerReset::Reason::seek, part(0), "t", Offset{3}, Offset{2}});
    CHECK(fixture.instance.settled());
    fixture.records(0, 0, 4, 2);
    fixture.take_shown();
    CHECK(fixture.poll().value() == 2);
    CHECK(fixture.take_shown() == Values{"t-0:2", "t-0:3"});
  }
  SECTION("who commits has got it") {
    CHECK(fixture.instance.to_commit(RestInstance::Positions{{part(0), Offset{3}}}));
    CHECK(fixture.poll().value() == 1);
    CHECK(fixture.take_effects().seeks.empty());
  }
}

TEST_CASE("who takes an instance over reads on as the same member, and does not know what was read", "[rest_instance]") {
  InstanceFixture before({.format = RestFormat::json, .auto_commit = false});
  before.subscribe();
  const auto definition = decode_definition(encode_definition(before.instance.definition())).value();
  CHECK(definition == before.instance.definition());
  RestInstanceEffects fx;
  RestInstance after(definition.options);
  REQUIRE(after.take_over(definition.reading, fx));
  REQUIRE(fx.open);
  CHECK(fx.open->profile == before.fx.open->profile);
  CHECK(after.subscription() == Values{"t"});
  CHECK(after.to_commit(std::nullopt).error().code == Errc::conflict);
  CHECK(after.to_commit(RestInstance::Positions{{part(0), Offset{3}}}));
  after.begin_read(fx);
  CHECK(after.to_commit(std::nullopt));
}

TEST_CASE("where an instance begins to read from now on is committed", "[rest_instance]") {
  const auto reset = GENERATE(OffsetReset::latest, OffsetReset::earliest);
  InstanceFixture fixture({.reset = reset, .auto_commit = false});
  fixture.subscribe();
  fixture.tell(ConsumerAssigned{group::GroupEpoch{1}, {{part(0), "t", Offset{7}, true}, {part(1), "t", Offset{3}}}});
  const RestInstance::Positions begun{{part(0), Offset{7}}};
  CHECK(fixture.fx.commit == (reset == OffsetReset::latest ? begun : RestInstance::Positions{}));
}

TEST_CASE("calls and answers come through the links as they went in", "[rest_instance]") {
  const RestRequest read{"g", "c", 3, RestRead{7, 1'000, true}};
  const auto read_again = decode_request(encode_request(read)).value();
  CHECK(read_again.name == "c");
  CHECK(read_again.epoch == 3);
  CHECK(std::get<RestRead>(read_again.call).id == 7);
  CHECK(std::get<RestRead>(read_again.call).hurry);
  const RestCall calls[] = {RestSubscribe{{"t"}, "u.*"},
                            RestAssign{{{part(0), "t"}}},
                            RestSubscription{},
                            RestAssignment{},
                            RestRead{1, 2, false},
                            RestHurry{9},
                            RestCommit{},
                            RestCommit{{{{part(0), Offset{3}}}}},
                            RestSeek{{{part(0), {.offset = Offset{4}}}}},
                            RestTouch{},
                            RestRemove{}};
  for (const auto& call : calls) {
    const auto bytes = encode_request({"g", "c", 1, call});
    const auto again = decode_request(bytes);
    REQUIRE(again);
    CHECK(again->call.index() == call.index());
    CHECK(encode_request(*again) == bytes);
    // Cut anywhere, it is refused.
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode_request(ByteView(bytes).first(size)));
  }
  const RestAnswer answers[] = {
      std::monostate{}, RestTopics{{"a", "b"}}, RestPartitions{{{"t", PartitionId{1}}}}, RestPage{"[{}]"},
      std::vector<CommittedPosition>{{part(0), Offset{3}}, {part(1), Error{Errc::fenced_member_epoch, "gone"}}}};
  for (const auto& answer : answers) {
    const auto bytes = encode_answer(answer);
    const auto again = decode_answer(bytes);
    REQUIRE(again);
    CHECK(encode_answer(*again) == bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode_answer(ByteView(bytes).first(size)));
  }
}

TEST_CASE("a poll waits for as many bytes as were asked for", "[rest_instance]") {
  const auto enough_with_one_batch = [](std::int64_t fetch_bytes_min) {
    InstanceFixture fixture({.fetch_bytes_min = fetch_bytes_min});
    fixture.subscribe();
    fixture.assigned(0);
    CHECK_FALSE(fixture.instance.has_enough());
    fixture.records(0, 0, 1);
    return fixture.instance.has_enough();
  };
  CHECK(enough_with_one_batch(0));
  CHECK(enough_with_one_batch(1));
  CHECK_FALSE(enough_with_one_batch(1'000));
  CHECK_FALSE(enough_with_one_batch(-1));
  // More than is ever kept: what is kept is enough.
  InstanceFixture fixture({.fetch_bytes_min = std::int64_t{1} << 40});
  fixture.subscribe();
  fixture.assigned(0);
  std::int64_t bytes = 0;
  for (std::int64_t base = 0; bytes < RestInstance::window_bytes; base += 1'000) bytes += fixture.records(0, base, 1'000);
  CHECK(fixture.instance.has_enough());
}

TEST_CASE("a batch whose bytes are damaged is an error, not a loop", "[rest_instance]") {
  InstanceFixture fixture;
  fixture.subscribe();
  fixture.assigned(0);
  fixture.tell(ConsumerRecords{part(0), "t", Offset{0}, Offset{1}, 1, Bytes::copy_of(as_bytes("no batch"))});
  CHECK(fixture.poll().error().code == Errc::corrupt_message);
  CHECK(fixture.poll().error().code == Errc::corrupt_message);
}
