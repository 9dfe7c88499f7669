#include "core/consumer/subscription.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/consumer/subscription_fixture.hpp"

using namespace troupe;
using namespace troupe::consumer;
using test::SubscriptionFixture;

namespace {

StartFrom start(std::string_view text) { return parse_start(text).value(); }
StartFrom resume(const std::string& cursor) {
  return {.kind = StartFrom::Kind::cursor, .cursor = Cursor::decode(cursor).value()};
}

std::vector<Note::Kind> kinds(std::vector<Note> notes) {
  std::vector<Note::Kind> all;
  for (const auto& note : notes) all.push_back(note.kind);
  return all;
}
std::vector<std::int64_t> offsets(const SubscriptionFixture& fixture) {
  std::vector<std::int64_t> all;
  for (const auto& one : fixture.given) all.push_back(one.offset.value());
  return all;
}
using Offsets = std::vector<std::int64_t>;

}  // namespace

TEST_CASE("a subscription begins where it was told to", "[subscription]") {
  SubscriptionFixture fixture(1, 1);
  for (int i = 0; i < 10; ++i) fixture.append(0, 1);
  const auto given = [&](StartFrom from) {
    fixture.given.clear();
    auto subscription = fixture.subscribe(std::move(from));
    fixture.pump(subscription);
    CHECK(subscription.phase() == Phase::live);
    return offsets(fixture);
  };
  CHECK(given(start("earliest")).size() == 10);
  CHECK(given(start("latest")).empty());
  CHECK(given(start("last:3")) == Offsets{7, 8, 9});
  CHECK(given(start("last:0")).empty());
  CHECK(given(start("last:1000")).size() == 10);
  CHECK(given(start("offset:0:8")) == Offsets{8, 9});
  CHECK(given(start("time:1009")) == Offsets{8, 9});
  CHECK(given(start("time:99999999999")).empty());
  CHECK(given(start("ago:1ms")) == Offsets{8, 9});  // the fixture's clock stands at 1010
}

TEST_CASE("the last N are counted over all partitions, after the keys", "[subscription]") {
  SubscriptionFixture fixture(2, 3);
  for (int i = 0; i < 200; ++i) fixture.append(static_cast<std::size_t>(i % 3), 2, 4, true);
  SubscriptionOptions options;
  options.keys = {"k1"};
  auto subscription = fixture.subscribe(start("last:10"), options);
  fixture.pump(subscription);
  REQUIRE(fixture.given.size() == 10);
  // Appends took turns, so the newest ten by time are the last of each partition, in turns.
  std::vector<std::pair<TimestampMs, std::string>> all;
  for (const auto& partition : fixture.partitions) {
    for (const auto& batch : partition.batches) {
      for (const auto& record : batch->records) {
        if (record.key == "k1") all.emplace_back(record.timestamp, record.text);
      }
    }
  }
  std::ranges::sort(all);
  std::set<std::string> newest;
  for (std::size_t i = all.size() - 10; i < all.size(); ++i) newest.insert(all[i].second);
  for (const auto& one : fixture.given) CHECK(newest.contains(one.text));
}

TEST_CASE("the last N of a rare key are found through large batches, each counted once", "[subscription]") {
  for (const std::int64_t wanted : {1, 5, 40, 41, 1000}) {
    CAPTURE(wanted);
    SubscriptionFixture fixture(21, 1);
    for (int i = 0; i < 4; ++i) fixture.append(0, 150, 5, true);
    SubscriptionOptions options;
    options.keys = {"k1"};
    auto subscription = fixture.subscribe(start("last:" + std::to_string(wanted)), options);
    fixture.pump(subscription);
    auto expected = fixture.expected(0, Offset{0}, options.keys);
    if (expected.size() > static_cast<std::size_t>(wanted)) expected.erase(expected.begin(), expected.end() - wanted);
    CHECK(fixture.given_of(0) == expected);
  }
}

TEST_CASE("the last N of a log that begins later are what there is", "[subscription]") {
  SubscriptionFixture fixture(22, 1);
  for (int i = 0; i < 10; ++i) fixture.append(0, 1);
  fixture.cut_before(0, Offset{4});
  auto subscription = fixture.subscribe(start("last:1000"));
  fixture.pump(subscription);
  CHECK(offsets(fixture) == Offsets{4, 5, 6, 7, 8, 9});
  CHECK(kinds(subscription.take_notes()) == std::vector{Note::Kind::caught_up});
}

TEST_CASE("retention that overtakes the search for the last N lets it begin again", "[subscription]") {
  SubscriptionFixture fixture(23, 1);
  for (int i = 0; i < 10; ++i) fixture.append(0, 1);
  auto subscription = fixture.subscribe(start("last:100"));
  REQUIRE(subscription.next({}).kind == Step::Kind::find);
  subscription.found(0, {.offset = Offset{10}, .log_start_offset = Offset{0}, .high_watermark = Offset{10}}, fixture.now);
  for (std::size_t i = 0; i < 3; ++i) {
    REQUIRE(subscription.next({}).kind == Step::Kind::read);
    REQUIRE(subscription.scans(0));
    subscription.scan(0, fixture.partitions[0].batches[i]->run);
  }
  REQUIRE(subscription.next({}).kind == Step::Kind::read);
  fixture.cut_before(0, Offset{5});
  subscription.failed(0, {Errc::offset_out_of_range, "gone"}, fixture.now);
  fixture.pump(subscription);
  CHECK(offsets(fixture) == Offsets{5, 6, 7, 8, 9});
  CHECK(kinds(subscription.take_notes()) == std::vector{Note::Kind::caught_up});
}

TEST_CASE("what catches up is told once, and then lives", "[subscription]") {
  SubscriptionFixture fixture(3, 2);
  fixture.append(0, 3);
  auto subscription = fixture.subscribe(start("earliest"));
  CHECK_FALSE(subscription.resolved());
  fixture.pump(subscription);
  CHECK(kinds(subscription.take_notes()) == std::vector{Note::Kind::caught_up});
  fixture.append(1, 2);
  fixture.move_tails(subscription);
  fixture.pump(subscription);
  CHECK(fixture.given.size() == 5);
  CHECK(subscription.take_notes().empty());
}

TEST_CASE("credits are never overdrawn, but one record goes when the window is untouched", "[subscription]") {
  SubscriptionFixture fixture(4, 1);
  fixture.append(0, 20);
  SubscriptionOptions options;
  options.credit = {.messages = 3, .bytes = 1};
  auto subscription = fixture.subscribe(start("earliest"), options);
  fixture.pump(subscription);
  CHECK(fixture.given.size() == 1);  // larger than a byte, the window untouched
  subscription.add_credit({.messages = 1, .bytes = 1});
  fixture.pump(subscription);
  CHECK(fixture.given.size() == 1);  // the debt has not been paid
  subscription.add_credit({.messages = {}, .bytes = 100'000});
  fixture.pump(subscription);
  CHECK(fixture.given.size() == 4);  // three messages were left
  subscription.add_credit(
      {.messages = std::numeric_limits<std::int64_t>::max(), .bytes = std::numeric_limits<std::int64_t>::max()});
  fixture.pump(subscription);
  CHECK(fixture.given.size() == 20);
}

TEST_CASE("a window of bytes that something was taken from is not overdrawn", "[subscription]") {
  SubscriptionFixture fixture(24, 1);
  for (int i = 0; i < 20; ++i) fixture.append_one(0, "k", false, 20);
  SubscriptionOptions options;
  options.credit = {.bytes = 100};
  auto subscription = fixture.subscribe(start("earliest"), options);
  fixture.pump(subscription);
  CHECK(fixture.given.size() == 4);  // of 24 bytes each
  subscription.add_credit({.bytes = 24});
  fixture.pump(subscription);
  CHECK(fixture.given.size() == 5);
}

TEST_CASE("partitions take turns: one that has much does not keep the others waiting", "[subscription]") {
  SubscriptionFixture fixture(25, 3);
  for (std::size_t p = 0; p < 3; ++p) {
    for (int i = 0; i < 50; ++i) fixture.append(p, 1);
  }
  auto subscription = fixture.subscribe(start("earliest"));
  for (int i = 0; i < 30; ++i) fixture.pump(subscription, 1);
  REQUIRE(fixture.given.size() == 30);
  for (std::size_t p = 0; p < 3; ++p) CHECK(fixture.given_of(p).size() >= 9);
}

TEST_CASE("batches from before the position change nothing", "[subscription]") {
  SubscriptionFixture fixture(26, 1);
  for (int i = 0; i < 6; ++i) fixture.append(0, 1);
  auto subscription = fixture.subscribe(start("offset:0:4"));
  REQUIRE(subscription.next({}).kind == Step::Kind::find);
  subscription.found(0, {.offset = Offset{6}, .log_start_offset = Offset{0}, .high_watermark = Offset{6}}, fixture.now);
  const Room room{.bytes = 1000};
  REQUIRE(subscription.next(room).from == Offset{4});
  const auto& old = *fixture.partitions[0].batches[1];
  std::vector<Subscription::Range> ranges;
  CHECK(subscription.offer(0, {&old.run, old.text, old.starts}, room, fixture.now, ranges) == 0);
  CHECK(ranges.empty());
  CHECK(subscription.position(0) == Offset{4});
  fixture.pump(subscription);
  CHECK(offsets(fixture) == Offsets{4, 5});
}

TEST_CASE("a paused subscription is not given what was held back, either", "[subscription]") {
  SubscriptionFixture fixture(27, 1);
  fixture.reads_fail = false;
  SubscriptionOptions options;
  options.slow = {.policy = SlowPolicy::conflate, .interval_ms = 1000};
  auto subscription = fixture.subscribe(start("latest"), options);
  fixture.pump(subscription);
  for (int i = 0; i < 3; ++i) {
    fixture.append(0, 2, 2);
    fixture.move_tails(subscription);
    fixture.pump(subscription);
  }
  const auto given = fixture.given.size();
  subscription.pause();
  fixture.now += 5000;
  fixture.pump(subscription);
  CHECK(fixture.given.size() == given);
  subscription.resume();
  fixture.pump(subscription);
  CHECK(fixture.given.size() > given);
}

TEST_CASE("a paused subscription gets nothing, and goes on where it was", "[subscription]") {
  SubscriptionFixture fixture(5, 1);
  auto subscription = fixture.subscribe(start("latest"));
  fixture.pump(subscription);
  subscription.pause();
  fixture.append(0, 4);
  fixture.move_tails(subscription);
  fixture.pump(subscription);
  CHECK(fixture.given.empty());
  subscription.resume();
  fixture.pump(subscription);
  CHECK(fixture.given.size() == 4);
}

TEST_CASE("a gap is reported, then handled as the client chose", "[subscription]") {
  SubscriptionFixture fixture(6, 1);
  for (int i = 0; i < 10; ++i) fixture.append(0, 1, 2);
  auto first = fixture.subscribe(start("offset:0:2"));
  const auto cursor = [&] {
    fixture.pump(first, 1);  // one record
    return first.cursor();
  }();
  fixture.cut_before(0, Offset{7});
  for (const auto on_gap : {OnGap::continue_, OnGap::snapshot, OnGap::fail}) {
    fixture.given.clear();
    SubscriptionOptions options;
    options.on_gap = on_gap;
    auto subscription = fixture.subscribe(resume(cursor), options);
    fixture.pump(subscription);
    const auto notes = subscription.take_notes();
    REQUIRE_FALSE(notes.empty());
    CHECK(notes[0].kind == Note::Kind::gap);
    CHECK(notes[0].from == Offset{3});
    CHECK(notes[0].to == Offset{7});
    if (on_gap == OnGap::continue_) CHECK(offsets(fixture) == Offsets{7, 8, 9});
    if (on_gap == OnGap::snapshot) CHECK(fixture.given.size() <= 2);
    if (on_gap == OnGap::fail) {
      CHECK(fixture.given.empty());
      CHECK(subscription.ended());
      CHECK(notes.back().error->code == Errc::offset_out_of_range);
    }
  }
  // The same when retention overtakes a subscription that is there.
  fixture.given.clear();
  fixture.cut_before(0, Offset{9});
  first.take_notes();
  fixture.pump(first);
  CHECK(first.take_notes()[0].kind == Note::Kind::gap);
  CHECK(offsets(fixture) == Offsets{9});
}

TEST_CASE("a cursor of another topic or of a longer log is reset", "[subscription]") {
  SubscriptionFixture fixture(7, 1);
  fixture.append(0, 3);
  const auto begin = [&](TopicId topic, Offset offset) {
    fixture.given.clear();
    const Cursor cursor{.topic_id = topic, .positions = {{PartitionId{0}, {LeaderEpoch{0}, offset}}}};
    auto subscription = fixture.subscribe(resume(cursor.encode()));
    fixture.pump(subscription);
    // What lies before that place is not known.
    if (offset > Offset{3})
      CHECK(Cursor::decode(subscription.cursor())->positions.at(PartitionId{0}).leader_epoch == no_leader_epoch);
    return kinds(subscription.take_notes())[0];
  };
  CHECK(begin(Uuid::random(fixture.prng), Offset{2}) == Note::Kind::reset);
  CHECK(fixture.given.size() == 3);
  CHECK(begin(fixture.topic_id, Offset{4}) == Note::Kind::reset);
  CHECK(fixture.given.empty());
  CHECK(begin(fixture.topic_id, Offset{3}) == Note::Kind::caught_up);
}

TEST_CASE("a cursor that is ahead of what this node has heard of is not reset: the leader is asked", "[subscription]") {
  SubscriptionFixture fixture(7, 1);
  fixture.append(0, 6);
  const auto subscribe = [&](Offset offset) {
    fixture.given.clear();
    const Cursor cursor{.topic_id = fixture.topic_id, .positions = {{PartitionId{0}, {LeaderEpoch{3}, offset}}}};
    return fixture.subscribe(resume(cursor.encode()));
  };
  const auto pump_for_a_second = [&](Subscription& subscription) {
    for (int i = 0; i < 10; ++i) {
      fixture.now += 100;
      subscription.tick(fixture.now);
      fixture.pump(subscription);
    }
  };
  fixture.heard = Offset{2};
  auto subscription = subscribe(Offset{4});
  REQUIRE(subscription.next({}).kind == Step::Kind::find);
  subscription.found(0, {.high_watermark = Offset{2}}, fixture.now);
  CHECK(subscription.take_notes().empty());
  CHECK(subscription.next({}).kind == Step::Kind::idle);
  fixture.now += 100;
  subscription.tick(fixture.now);
  const auto again = subscription.next({});
  CHECK(again.kind == Step::Kind::find);
  CHECK(again.of_leader);
  // Nor by one who was the leader before what was read last was written, and has not heard that others came after it.
  subscription.found(0, {.high_watermark = Offset{3}, .leader_epoch = LeaderEpoch{2}}, fixture.now);
  CHECK(subscription.take_notes().empty());
  pump_for_a_second(subscription);
  CHECK(offsets(fixture) == Offsets{4, 5});
  CHECK(kinds(subscription.take_notes()) == std::vector{Note::Kind::caught_up});

  auto beyond = subscribe(Offset{9});
  pump_for_a_second(beyond);
  REQUIRE(kinds(beyond.take_notes()).at(0) == Note::Kind::reset);
  CHECK(beyond.position(0) == Offset{6});
}

TEST_CASE("a snapshot and what follows it is the fold of the log", "[subscription]") {
  const auto seed = test::seed_or(8);
  INFO("TROUPE_SEED=" << seed);
  for (std::uint64_t round = 0; round < 60; ++round) {
    SubscriptionFixture fixture(seed + round, 1 + round % 3);
    const auto append_some = [&] {
      for (std::size_t i = 0; i < fixture.partitions.size(); ++i) fixture.append(i, fixture.prng.below(30), 6, true);
    };
    for (int i = 0; i < 5; ++i) append_some();
    SubscriptionOptions options;
    options.snapshot = true;
    if (round % 2 == 0) options.slow.policy = SlowPolicy::conflate;
    auto subscription = fixture.subscribe(start("latest"), options);
    fixture.pump(subscription, fixture.prng.chance(1, 2) ? 20 : 1000);
    for (int i = 0; i < 200; ++i) {
      if (i < 5) append_some();
      fixture.move_tails(subscription);
      fixture.pump(subscription, i < 100 ? 50 : 100'000);
    }
    std::map<std::pair<std::size_t, std::string>, std::string> fold;
    std::map<std::pair<std::size_t, std::string>, std::string> shown;
    std::map<std::string, const SubscriptionFixture::Record*> by_text;
    for (std::size_t p = 0; p < fixture.partitions.size(); ++p) {
      for (const auto& batch : fixture.partitions[p].batches) {
        for (const auto& record : batch->records) {
          by_text[record.text] = &record;
          fold[{p, record.key}] = record.text;
          if (record.tombstone) fold.erase({p, record.key});
        }
      }
    }
    for (const auto& one : fixture.given) {
      const auto& record = *by_text.at(one.text);
      shown[{one.partition, record.key}] = one.text;
      if (record.tombstone) shown.erase({one.partition, record.key});
    }
    CHECK(shown == fold);
    CHECK(subscription.phase() == Phase::live);
  }
}

TEST_CASE("a key that is deleted after a large snapshot gave it is told as deleted", "[subscription]") {
  SubscriptionFixture fixture(28, 1);
  fixture.reads_fail = false;
  // More than a snapshot may hold back: part of it is given before its end is reached.
  for (int i = 0; i < 10; ++i) fixture.append_one(0, "k" + std::to_string(i), false, 1 << 20);
  for (int i = 0; i < 10; ++i) fixture.append_one(0, "k" + std::to_string(i), true);
  SubscriptionOptions options;
  options.snapshot = true;
  auto subscription = fixture.subscribe(start("latest"), options);
  for (int i = 0; i < 40; ++i) {
    fixture.pump(subscription);
    fixture.move_tails(subscription);
  }
  CHECK(subscription.phase() == Phase::live);
  std::map<std::string, bool> shown;  // by key: still there
  std::map<std::string, const SubscriptionFixture::Record*> by_text;
  for (const auto& batch : fixture.partitions[0].batches) by_text[batch->records[0].text] = &batch->records[0];
  for (const auto& one : fixture.given) shown[by_text.at(one.text)->key] = !by_text.at(one.text)->tombstone;
  CHECK_FALSE(shown.empty());
  for (const auto& [key, there] : shown) {
    CAPTURE(key);
    CHECK_FALSE(there);
  }
}

TEST_CASE("conflation gives the newest of each key, at most so often, and its cursor loses nothing", "[subscription]") {
  SubscriptionFixture fixture(9, 1);
  fixture.reads_fail = false;
  SubscriptionOptions options;
  options.slow = {.policy = SlowPolicy::conflate, .interval_ms = 1000};
  auto subscription = fixture.subscribe(start("latest"), options);
  fixture.pump(subscription);
  for (int i = 0; i < 400; ++i) {  // 10 s
    fixture.append(0, 3, 2);
    fixture.move_tails(subscription);
    fixture.pump(subscription);
    fixture.now += 25;
  }
  CHECK(fixture.given.size() >= 18);
  CHECK(fixture.given.size() <= 22);
  CHECK(subscription.take_conflated() > 1000);
  // What is held back is behind the cursor.
  const auto cursor = Cursor::decode(subscription.cursor()).value();
  for (const auto& batch : fixture.partitions[0].batches) {
    for (const auto& record : batch->records) {
      if (record.offset > Offset{1197} && subscription.next_deadline())
        CHECK(cursor.positions.at(PartitionId{0}).next_offset <= record.offset);
    }
  }
  fixture.now += 2000;
  fixture.pump(subscription);
  CHECK(Cursor::decode(subscription.cursor())->positions.at(PartitionId{0}).next_offset == fixture.partitions[0].end);
}

TEST_CASE("conflation stops reading at its bound of keys", "[subscription]") {
  SubscriptionFixture fixture(10, 1);
  SubscriptionOptions options;
  options.slow = {.policy = SlowPolicy::conflate, .keys_max = 10};
  auto subscription = fixture.subscribe(start("latest"), options);
  fixture.pump(subscription);
  for (int i = 0; i < 50; ++i) fixture.append(0, 10, 1000);
  fixture.move_tails(subscription);
  fixture.pump(subscription, 0);
  CHECK(fixture.given.empty());
  CHECK(Cursor::decode(subscription.cursor())->positions.at(PartitionId{0}).next_offset == Offset{0});
  while (fixture.given.empty() || fixture.given.back().offset.value() < 499) {
    const auto before = fixture.given.size();
    fixture.pump(subscription, 10);
    REQUIRE(fixture.given.size() > before);
  }
}

TEST_CASE("who asked to be cut off when slow is cut off", "[subscription]") {
  SubscriptionFixture fixture(11, 1);
  SubscriptionOptions options;
  options.slow = {.policy = SlowPolicy::disconnect, .after_ms = 500, .lag_max = 10};
  auto late = fixture.subscribe(start("latest"), options);
  fixture.pump(late);
  late.take_notes();
  fixture.append(0, 5);
  fixture.move_tails(late);
  late.tick(fixture.now);
  late.tick(fixture.now + 500);
  CHECK(late.take_notes().empty());
  CHECK(late.next_deadline().has_value());
  late.tick(fixture.now + 501);
  CHECK(kinds(late.take_notes()) == std::vector{Note::Kind::disconnect});

  auto far = fixture.subscribe(start("latest"), options);
  fixture.pump(far);
  far.take_notes();
  fixture.append(0, 11);
  fixture.move_tails(far);
  far.tick(fixture.now);
  CHECK(kinds(far.take_notes()) == std::vector{Note::Kind::disconnect});
  CHECK(far.ended());
}

TEST_CASE("who catches up, and who falls behind and catches up again, is not cut off", "[subscription]") {
  SubscriptionFixture fixture(29, 1);
  fixture.reads_fail = false;
  for (int i = 0; i < 100; ++i) fixture.append(0, 1);
  SubscriptionOptions options;
  options.slow = {.policy = SlowPolicy::disconnect, .after_ms = 500, .lag_max = 10};
  auto subscription = fixture.subscribe(start("earliest"), options);
  // A long replay: far behind all the time, but it goes on.
  while (subscription.phase() != Phase::live) {
    const auto before = fixture.given.size();
    fixture.pump(subscription, 1);
    REQUIRE((fixture.given.size() > before || subscription.phase() == Phase::live));
    fixture.now += 400;
    subscription.tick(fixture.now);
    REQUIRE_FALSE(subscription.ended());
  }
  // Behind for a while, again and again, never for too long.
  for (int i = 0; i < 10; ++i) {
    fixture.append(0, 1);
    fixture.move_tails(subscription);
    subscription.tick(fixture.now);
    fixture.now += 400;
    subscription.tick(fixture.now);
    fixture.pump(subscription);
    subscription.tick(fixture.now);
    REQUIRE_FALSE(subscription.ended());
  }
  CHECK(fixture.given.size() == 110);
}

TEST_CASE("a stream that has ended has no progress to tell", "[subscription]") {
  SubscriptionFixture fixture(30, 1);
  fixture.append(0, 2);
  auto subscription = fixture.subscribe(start("earliest"));
  fixture.reads_fail = false;
  fixture.pump(subscription);
  CHECK(subscription.wants_progress(fixture.now + 5000));
  fixture.append(0, 1);
  fixture.move_tails(subscription);
  REQUIRE(subscription.next({.bytes = 1000}).kind == Step::Kind::read);
  subscription.failed(0, {Errc::unknown_topic_or_partition, "deleted"}, fixture.now);
  CHECK(subscription.ended());
  CHECK_FALSE(subscription.wants_progress(fixture.now + 5000));
  CHECK(subscription.next_deadline() == std::nullopt);
}

TEST_CASE("a silent stream hears of its progress, at most once a second", "[subscription]") {
  SubscriptionFixture fixture(12, 1);
  SubscriptionOptions options;
  options.keys = {"nobody"};
  auto subscription = fixture.subscribe(start("latest"), options);
  fixture.pump(subscription);
  subscription.cursor_sent(fixture.now);
  CHECK_FALSE(subscription.wants_progress(fixture.now + 5000));
  fixture.append(0, 4);
  fixture.move_tails(subscription);
  fixture.pump(subscription);
  CHECK_FALSE(subscription.wants_progress(fixture.now + 999));
  CHECK(subscription.wants_progress(fixture.now + 1000));
  CHECK(Cursor::decode(subscription.cursor())->positions.at(PartitionId{0}).next_offset == Offset{4});
}

TEST_CASE("a subscription up to now ends there", "[subscription]") {
  SubscriptionFixture fixture(13, 2);
  for (int i = 0; i < 20; ++i) fixture.append(static_cast<std::size_t>(i % 2), 1);
  SubscriptionOptions options;
  options.up_to_now = true;
  options.before[{fixture.topic_id, PartitionId{0}}] = Offset{5};
  auto subscription = fixture.subscribe(start("last:6"), options);
  fixture.append(1, 3);
  fixture.pump(subscription);
  CHECK(subscription.finished());
  CHECK(fixture.given.size() == 6);
  fixture.append(1, 3);
  fixture.move_tails(subscription);
  fixture.pump(subscription);
  CHECK(fixture.given.size() == 6);
}

TEST_CASE("every matching record is given once and in order, whatever happens in between", "[subscription]") {
  const auto seed = test::seed_or(100);
  for (std::uint64_t round = 0; round < 300; ++round) {
    INFO("TROUPE_SEED=" << seed << " round " << round);
    SubscriptionFixture fixture(seed * 1000 + round, 1 + round % 4);
    auto& prng = fixture.prng;
    for (int i = 0; i < 8; ++i) fixture.append(prng.below(fixture.partitions.size()), prng.below(20), 5, true);
    SubscriptionOptions options;
    if (prng.chance(1, 2)) options.keys = {"k1", "k3"};
    const bool credits = prng.chance(1, 2);
    if (credits) options.credit = {.messages = 2, .bytes = 60};
    std::size_t messages_granted = 2;
    std::vector<Offset> from;
    for (const auto& partition : fixture.partitions) {
      from.push_back(Offset{prng.between(0, partition.end.value())});
    }
    StartFrom start_from{.kind = StartFrom::Kind::offsets};
    for (std::size_t i = 0; i < from.size(); ++i) start_from.offsets[PartitionId{static_cast<std::int32_t>(i)}] = from[i];
    auto subscription = fixture.subscribe(start_from, options);

    for (int step = 0; step < 120; ++step) {
      const bool last = step >= 100;
      if (!last && prng.chance(1, 2)) fixture.append(prng.below(fixture.partitions.size()), prng.below(12), 5, true);
      if (last || prng.chance(1, 2)) fixture.move_tails(subscription);
      if (last || prng.chance(1, 2)) fixture.answer_reads(subscription, last ? 1 << 20 : prng.below(120));
      if (credits && (last || prng.chance(1, 3))) {
        subscription.add_credit({.messages = last ? 1000 : 1, .bytes = last ? 100'000 : 40});
        messages_granted += last ? 1000 : 1;
      }
      fixture.pump(subscription, last ? 1 << 20 : prng.below(150), !last);
      CHECK((!credits || fixture.given.size() <= messages_granted));
      fixture.now += static_cast<std::int64_t>(prng.below(300));
      subscription.tick(fixture.now);
      if (subscription.resolved() && fixture.pending.empty() && prng.chance(1, 6)) {
        // Another connection: everything is forgotten but the cursor.
        auto again = options;
        again.credit = credits ? Credit{.messages = 1, .bytes = 10} : Credit{};
        messages_granted += 1;
        subscription = fixture.subscribe(resume(subscription.cursor()), again);
      }
    }
    for (std::size_t i = 0; i < from.size(); ++i) CHECK(fixture.given_of(i) == fixture.expected(i, from[i], options.keys));
  }
}
