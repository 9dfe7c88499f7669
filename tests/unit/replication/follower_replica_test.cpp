#include "core/replication/follower_replica.hpp"

#include "core/record/batch_builder.hpp"
#include "core/record/batch_compaction.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::replication;

namespace {

/// Batches of `records` records each, from `base` on, of one epoch.
Bytes batches(std::int64_t base, std::initializer_list<int> records, int epoch) {
  ByteBuffer all;
  for (const auto count : records) {
    record::RecordBatchBuilder builder({.base_offset = Offset{base}, .leader_epoch = LeaderEpoch{epoch}});
    for (int i = 0; i < count; ++i) builder.add({.timestamp = TimestampMs{1}, .value = as_bytes("v")});
    append_bytes(all, std::move(builder.build()).value());
    base += count;
  }
  return Bytes::adopt(std::move(all));
}

/// A follower whose log is [0..9 e1] [10..39 e2], all of it durable, committed up to 10; it follows epoch 3.
struct FollowerFixture {
  static FollowerReplica::Log log() {
    return {.log_start = Offset{0},
            .log_end = Offset{40},
            .durable_end = Offset{40},
            .high_watermark = Offset{10},
            .epochs =
                record::LeaderEpochCache::from_entries({{LeaderEpoch{1}, Offset{0}}, {LeaderEpoch{2}, Offset{10}}}).value()};
  }

  FollowerReplica replica;
  FollowerEffects effects;
  MonotonicMs now{100};

  explicit FollowerFixture(FollowerReplica::Log from = log())
      : replica({.incarnation = 7, .retry_ms = 50}, std::move(from)) {
    replica.follow(LeaderEpoch{3}, effects);
  }

  /// An answer of epoch 3's leader to the position as it is.
  ReplicaAnswer answer() const {
    const auto at = replica.position();
    REQUIRE(at);
    return {.leader_epoch = LeaderEpoch{3},
            .fetch_offset = at->fetch_offset,
            .last_fetched_epoch = at->last_fetched_epoch,
            .log_end = Offset{100}};
  }
  void give(const ReplicaAnswer& one) {
    effects = {};
    replica.on_answer(one, now, effects);
  }
  void give_records(const Bytes& records, std::int64_t high_watermark = 0) {
    auto one = answer();
    one.records = records;
    one.high_watermark = Offset{high_watermark};
    give(one);
  }
  void diverge(int epoch, std::int64_t end) {
    auto one = answer();
    one.diverging = DivergingEpoch{LeaderEpoch{epoch}, Offset{end}};
    give(one);
  }
  void stored(std::uint64_t token, const Status& status = ok()) {
    effects = {};
    replica.on_stored(7, token, status, now, effects);
  }
};

}  // namespace

TEST_CASE("a follower serves what lies below its watermark, and says who may know more", "[follower]") {
  FollowerReplica replica(
      {.incarnation = 1},
      {.log_start = Offset{10}, .log_end = Offset{30}, .durable_end = Offset{30}, .high_watermark = Offset{20}});
  CHECK(replica.check_read(Offset{9}).error().code == Errc::offset_out_of_range);
  CHECK(replica.check_read(Offset{10}));
  CHECK(replica.check_read(Offset{19}));
  CHECK(replica.check_read(Offset{20}).error().code == Errc::leader_not_available);
  CHECK(replica.check_read(Offset{500}).error().code == Errc::leader_not_available);
}

TEST_CASE("a follower says where it stands", "[replication]") {
  FollowerFixture follower;
  CHECK(follower.effects.moved);
  CHECK(follower.replica.position() == FetchPosition{.leader_epoch = LeaderEpoch{3},
                                                     .fetch_offset = Offset{40},
                                                     .last_fetched_epoch = LeaderEpoch{2},
                                                     .durable_offset = Offset{40},
                                                     .log_start = Offset{0},
                                                     .high_watermark = Offset{10}});
}

TEST_CASE("records are appended one answer at a time, and counted when they are in the log", "[replication]") {
  FollowerFixture follower;
  follower.give_records(batches(40, {3, 2}, 3), 43);
  REQUIRE(follower.effects.append);
  CHECK(follower.effects.append->base_offset == Offset{40});
  CHECK(follower.effects.append->next_offset == Offset{45});
  CHECK(follower.effects.high_watermark == Offset{40});  // as far as the log reaches
  CHECK_FALSE(follower.replica.position());
  CHECK_FALSE(follower.replica.settled());

  follower.stored(follower.effects.append->token);
  CHECK(follower.effects.high_watermark == Offset{43});
  auto at = *follower.replica.position();
  CHECK(at.fetch_offset == Offset{45});
  CHECK(at.last_fetched_epoch == LeaderEpoch{3});
  CHECK(at.durable_offset == Offset{40});
  follower.effects = {};
  follower.replica.on_durable(7, Offset{45}, follower.effects);
  CHECK(follower.effects.moved);
  CHECK(follower.replica.position()->durable_offset == Offset{45});
}

TEST_CASE("R10: a log is cut where the epochs part, whatever the watermark says", "[replication]") {
  FollowerFixture follower;
  follower.diverge(2, 25);  // the leader's epoch 2 ends earlier
  REQUIRE(follower.effects.truncate);
  CHECK(follower.effects.truncate->offset == Offset{25});
  CHECK_FALSE(follower.effects.records_lost);
  CHECK_FALSE(follower.replica.position());
  follower.stored(follower.effects.truncate->token);
  CHECK(follower.replica.position()->fetch_offset == Offset{25});
  CHECK(follower.replica.position()->durable_offset == Offset{25});
  CHECK(follower.replica.position()->last_fetched_epoch == LeaderEpoch{2});
}

TEST_CASE("R10: of an epoch that only the leader has, the own one below it is asked about next", "[replication]") {
  // Epoch 2 is unknown to this follower: its log is [0..9 e1] [10..39 e4]. The leader's epoch 2 ends at 17, in the middle of nothing here.
  auto log = FollowerFixture::log();
  log.high_watermark = Offset{0};
  log.epochs = record::LeaderEpochCache::from_entries({{LeaderEpoch{1}, Offset{0}}, {LeaderEpoch{4}, Offset{10}}}).value();
  FollowerReplica replica({.incarnation = 7}, log);
  FollowerEffects effects;
  replica.follow(LeaderEpoch{5}, effects);
  const ReplicaAnswer answer{.leader_epoch = LeaderEpoch{5},
                             .fetch_offset = Offset{40},
                             .last_fetched_epoch = LeaderEpoch{4},
                             .log_end = Offset{50},
                             .diverging = DivergingEpoch{LeaderEpoch{2}, Offset{5}}};
  replica.on_answer(answer, MonotonicMs{0}, effects);
  REQUIRE(effects.truncate);
  CHECK(effects.truncate->offset == Offset{10});  // not 5: whether that ends a batch here only epoch 1 can tell
}

TEST_CASE("a log without an epoch in common starts over, and says so", "[replication]") {
  FollowerFixture follower;
  auto one = follower.answer();
  one.diverging = DivergingEpoch{LeaderEpoch{0}, Offset{4}};
  one.log_start = Offset{2};
  follower.give(one);
  REQUIRE(follower.effects.restart);
  CHECK(follower.effects.restart->offset == Offset{2});
  CHECK(follower.effects.records_lost);
  CHECK(follower.effects.warning);
  follower.stored(follower.effects.restart->token);
  CHECK(follower.replica.position()->fetch_offset == Offset{2});
  CHECK(follower.replica.position()->last_fetched_epoch == no_leader_epoch);
}

TEST_CASE("cutting below the watermark is said: committed records go", "[replication]") {
  FollowerFixture follower;
  follower.diverge(1, 6);
  REQUIRE(follower.effects.truncate);
  CHECK(follower.effects.truncate->offset == Offset{6});
  CHECK(follower.effects.records_lost);
  follower.stored(follower.effects.truncate->token);
  CHECK(follower.replica.high_watermark() == Offset{6});
}

TEST_CASE("a verdict about another position is not applied to this one", "[replication]") {
  FollowerFixture follower;
  auto about_before = follower.answer();
  about_before.diverging = DivergingEpoch{LeaderEpoch{1}, Offset{10}};
  follower.give(about_before);
  follower.stored(follower.effects.truncate->token);
  follower.give_records(batches(10, {30}, 3));
  follower.stored(follower.effects.append->token);
  CHECK(follower.replica.position()->fetch_offset == Offset{40});  // the same offset, another last epoch
  follower.give(about_before);
  CHECK_FALSE(follower.effects.truncate);
  auto elsewhere = follower.answer();
  elsewhere.fetch_offset = Offset{41};
  elsewhere.records = batches(41, {1}, 3);
  follower.give(elsewhere);
  CHECK_FALSE(follower.effects.append);
}

TEST_CASE("a divergence that cannot be is not believed", "[replication]") {
  FollowerFixture follower;
  follower.diverge(3, 50);  // an epoch above our last
  CHECK_FALSE(follower.effects.truncate);
  CHECK_FALSE(follower.effects.restart);
  follower.replica.on_deadline(MonotonicMs{150}, follower.effects);
  follower.diverge(2, 40);  // ends where ours ends
  CHECK_FALSE(follower.effects.truncate);
  CHECK_FALSE(follower.effects.restart);
}

TEST_CASE("answers of a leader of another epoch are fenced off", "[replication]") {
  FollowerFixture follower;
  for (const int epoch : {2, 4}) {
    auto one = follower.answer();
    one.leader_epoch = LeaderEpoch{epoch};
    one.records = batches(40, {1}, epoch);
    one.high_watermark = Offset{40};
    follower.give(one);
    CHECK_FALSE(follower.effects.append);
    CHECK_FALSE(follower.effects.high_watermark);
  }
}

TEST_CASE("fenced, it asks nothing more until it follows a newer epoch", "[replication]") {
  FollowerFixture follower;
  auto one = follower.answer();
  one.error = Errc::fenced_leader_epoch;
  one.leader_epoch = LeaderEpoch{3};  // said of the epoch before
  follower.give(one);
  CHECK(follower.replica.position());
  one.leader_epoch = LeaderEpoch{4};
  follower.give(one);
  CHECK_FALSE(follower.replica.position());
  CHECK_FALSE(follower.replica.next_deadline());
  follower.replica.follow(LeaderEpoch{3}, follower.effects);
  CHECK_FALSE(follower.replica.position());
  follower.replica.follow(LeaderEpoch{4}, follower.effects);
  CHECK(follower.replica.position()->leader_epoch == LeaderEpoch{4});
}

TEST_CASE("R2: an epoch older than the log's own is not followed", "[replication]") {
  FollowerReplica replica({}, FollowerFixture::log());
  FollowerEffects effects;
  replica.follow(LeaderEpoch{1}, effects);
  CHECK(effects.warning);
  CHECK_FALSE(replica.position());
  replica.follow(LeaderEpoch{2}, effects);
  CHECK(replica.position());
}

TEST_CASE("a leader that does not know yet is asked again after a while", "[replication]") {
  FollowerFixture follower;
  auto one = follower.answer();
  one.error = Errc::unknown_leader_epoch;
  one.leader_epoch = LeaderEpoch{2};
  follower.give(one);
  CHECK_FALSE(follower.replica.position());
  CHECK(follower.replica.next_deadline() == MonotonicMs{150});
  follower.effects = {};
  follower.replica.on_deadline(MonotonicMs{149}, follower.effects);
  CHECK_FALSE(follower.effects.moved);
  follower.replica.on_deadline(MonotonicMs{150}, follower.effects);
  CHECK(follower.effects.moved);
  CHECK(follower.replica.position());
}

TEST_CASE("behind the leader's log start it starts over from there", "[replication]") {
  FollowerFixture follower;
  auto one = follower.answer();
  one.error = Errc::offset_out_of_range;
  one.log_start = Offset{60};
  follower.give(one);
  REQUIRE(follower.effects.restart);
  CHECK(follower.effects.restart->offset == Offset{60});
  CHECK_FALSE(follower.effects.records_lost);  // deleted by the leader, not lost
  CHECK(follower.effects.warning);
  follower.stored(follower.effects.restart->token);
  CHECK(follower.replica.log_start() == Offset{60});
  CHECK(follower.replica.log_end() == Offset{60});
  CHECK(follower.effects.high_watermark == Offset{60});
}

TEST_CASE("a log that begins inside a batch is stored from the batch on, and shown from its start", "[replication]") {
  FollowerFixture follower{
      {.log_start = Offset{60}, .log_end = Offset{60}, .durable_end = Offset{60}, .high_watermark = Offset{60}}};
  const auto records = batches(55, {10, 5}, 3);
  follower.give_records(records, 70);
  REQUIRE(follower.effects.restart);
  CHECK(follower.effects.restart->offset == Offset{55});
  CHECK_FALSE(follower.effects.warning);
  follower.stored(follower.effects.restart->token);
  REQUIRE(follower.effects.append);
  CHECK(follower.effects.append->base_offset == Offset{55});
  CHECK(follower.effects.append->next_offset == Offset{70});
  CHECK(follower.replica.high_watermark() == Offset{60});
  follower.stored(follower.effects.append->token);
  CHECK(follower.effects.log_start == Offset{60});
  CHECK(follower.replica.log_start() == Offset{60});
  CHECK(follower.replica.log_end() == Offset{70});
  CHECK(follower.replica.high_watermark() == Offset{70});
}

TEST_CASE("the log start follows the leader's, as far as the log reaches", "[replication]") {
  FollowerFixture follower;
  auto one = follower.answer();
  one.log_start = Offset{12};
  follower.give(one);
  CHECK(follower.effects.log_start == Offset{12});
  CHECK(follower.replica.high_watermark() == Offset{12});  // what was deleted was committed
  one = follower.answer();
  one.log_start = Offset{5};
  follower.give(one);
  CHECK_FALSE(follower.effects.log_start);
  one.log_start = Offset{90};
  follower.give(one);
  CHECK(follower.replica.log_start() == Offset{40});
}

TEST_CASE("R3: a new leader that knows less does not pull the watermark back", "[replication]") {
  FollowerFixture follower;
  auto one = follower.answer();
  one.high_watermark = Offset{30};
  follower.give(one);
  CHECK(follower.replica.high_watermark() == Offset{30});
  follower.replica.follow(LeaderEpoch{4}, follower.effects);
  one = follower.answer();
  one.leader_epoch = LeaderEpoch{4};
  one.high_watermark = Offset{20};
  follower.give(one);
  CHECK(follower.replica.high_watermark() == Offset{30});
}

TEST_CASE("R4: nothing is appended but whole, sound batches of an epoch that the leader can have, at the log end",
          "[replication]") {
  FollowerFixture follower;
  const auto refused = [&](const Bytes& records) {
    follower.give_records(records);
    const bool appended = follower.effects.append.has_value();
    CHECK(follower.effects.warning);
    follower.now = follower.now + 1'000;
    follower.replica.on_deadline(follower.now, follower.effects);
    return !appended;
  };
  const auto good = batches(40, {2, 2}, 3);
  CHECK(refused(batches(39, {2}, 3)));
  CHECK(refused(batches(41, {2}, 3)));
  CHECK(refused(batches(40, {2}, 4)));
  CHECK(refused(batches(40, {2}, 1)));
  CHECK(refused(good.slice(0, good.size() - 1)));
  ByteBuffer flipped(good.view().begin(), good.view().end());
  flipped.back() ^= std::byte{1};
  CHECK(refused(Bytes::adopt(std::move(flipped))));
  follower.give_records(good);
  CHECK(follower.effects.append);
}

TEST_CASE("a full disk is waited for, any other failure ends the follower", "[replication]") {
  FollowerFixture follower;
  follower.give_records(batches(40, {1}, 3));
  follower.stored(follower.effects.append->token, Error{Errc::storage_full, "no space"});
  CHECK_FALSE(follower.replica.position());
  follower.replica.on_deadline(MonotonicMs{150}, follower.effects);
  CHECK(follower.replica.position()->fetch_offset == Offset{40});
  follower.give_records(batches(40, {1}, 3));
  follower.stored(follower.effects.append->token, Error{Errc::storage_error, "fsync"});
  CHECK(follower.replica.failed());
  CHECK_FALSE(follower.replica.position());
}

TEST_CASE("completions for another incarnation or another token are dropped", "[replication]") {
  FollowerFixture follower;
  follower.give_records(batches(40, {1}, 3));
  const auto token = follower.effects.append->token;
  follower.effects = {};
  follower.replica.on_stored(6, token, ok(), follower.now, follower.effects);
  follower.replica.on_stored(7, token + 1, ok(), follower.now, follower.effects);
  follower.replica.on_durable(6, Offset{41}, follower.effects);
  CHECK_FALSE(follower.replica.settled());
  CHECK(follower.replica.log_end() == Offset{40});
}

TEST_CASE("an append that was begun for one leader ends before the next is asked", "[replication]") {
  FollowerFixture follower;
  follower.give_records(batches(40, {5}, 3), 44);
  const auto token = follower.effects.append->token;
  follower.replica.follow(LeaderEpoch{4}, follower.effects);
  CHECK_FALSE(follower.replica.position());
  follower.stored(token);
  const auto at = *follower.replica.position();
  CHECK(at.leader_epoch == LeaderEpoch{4});
  CHECK(at.fetch_offset == Offset{45});
  CHECK(at.last_fetched_epoch == LeaderEpoch{3});
  CHECK(follower.replica.high_watermark() == Offset{40});  // what the old leader said of later records is not carried over
  CHECK(follower.replica.settled());
}

TEST_CASE("stopped, it asks nothing", "[replication]") {
  FollowerFixture follower;
  follower.replica.stop(follower.effects);
  CHECK_FALSE(follower.replica.position());
  follower.replica.follow(LeaderEpoch{3}, follower.effects);
  CHECK(follower.replica.position());
}

TEST_CASE("a follower whose log ends inside of what its leader has compacted takes the rest of it", "[follower]") {
  FollowerFixture fixture;
  // The leader has one gap for [25..59], and a batch behind it.
  auto bytes = record::build_gap(Offset{25}, Offset{59}, LeaderEpoch{2}, TimestampMs{7});
  append_bytes(bytes, batches(60, {2}, 3));
  fixture.give_records(Bytes::adopt(std::move(bytes)), 62);
  REQUIRE(fixture.effects.append);
  const auto& append = *fixture.effects.append;
  CHECK(append.base_offset == Offset{40});
  CHECK(append.next_offset == Offset{62});
  const auto gap = record::parse_batch(append.batches);
  REQUIRE(gap);
  CHECK(record::crc_matches(*gap));
  CHECK(record::is_gap(gap->header));
  CHECK(gap->header.base_offset == Offset{40});
  CHECK(gap->header.next_offset() == Offset{60});
  CHECK(gap->header.leader_epoch == LeaderEpoch{2});
  CHECK(gap->header.max_timestamp == TimestampMs{7});
  CHECK(append.batches.size() == gap->bytes.size() + batches(60, {2}, 3).size());
  fixture.stored(append.token);
  CHECK(fixture.replica.high_watermark() == Offset{62});
}

TEST_CASE("a gap that begins where the follower's log ends is taken as it is; one that ends there is no answer",
          "[follower]") {
  FollowerFixture fixture;
  const auto whole = Bytes::adopt(record::build_gap(Offset{40}, Offset{49}, LeaderEpoch{2}, TimestampMs{7}));
  fixture.give_records(whole);
  REQUIRE(fixture.effects.append);
  CHECK(equal_bytes(fixture.effects.append->batches, whole));

  FollowerFixture other;
  other.give_records(Bytes::adopt(record::build_gap(Offset{30}, Offset{39}, LeaderEpoch{2}, TimestampMs{7})));
  CHECK_FALSE(other.effects.append);
  CHECK(other.effects.warning);
}

TEST_CASE("a batch with records that begins inside of the follower's log is refused, compacted or not", "[follower]") {
  FollowerFixture fixture;
  fixture.give_records(batches(39, {2}, 2));
  CHECK_FALSE(fixture.effects.append);
  CHECK(fixture.effects.warning);
}
