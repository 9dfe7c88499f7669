#include "http/stream/fanout_hub.hpp"

#include <algorithm>

#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "core/record/batch_builder.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fake_broker.hpp"

using namespace troupe;
using http::FanoutHub;

namespace {

/// A broker that keeps what it is asked: the test answers, when and in the order that it likes.
struct HandBroker final : test::FakeBroker {
  struct Detach final : TailAttachment {
    explicit Detach(std::size_t& attached_now) : attached(attached_now) { ++attached; }
    ~Detach() override { --attached; }
    std::size_t& attached;
  };
  struct Asked {
    FetchRequest request;
    Reply<FetchResponse> reply;
  };

  std::unique_ptr<TailAttachment> attach_tail(TopicIdPartition /*partition*/,
                                              std::shared_ptr<TailListener> listener) override {
    listeners.push_back(std::move(listener));
    return std::make_unique<Detach>(attached);
  }
  CallId fetch(FetchRequest request, Reply<FetchResponse> reply) override {
    asked.push_back({request, std::move(reply)});
    return asked.size();
  }

  std::vector<std::shared_ptr<TailListener>> listeners;
  std::size_t attached = 0;
  std::vector<Asked> asked;
};

/// One batch with a record at each of [from, to), as a leader of `epoch` stamped it.
Bytes batch_of(std::int64_t from, std::int64_t to, std::int32_t epoch = 1) {
  record::RecordBatchBuilder builder({.base_offset = Offset{from}});
  for (auto offset = from; offset < to; ++offset) builder.add({.timestamp = TimestampMs{1}, .value = as_bytes("v")});
  auto bytes = std::move(builder.build()).value();
  record::stamp_batch(bytes, Offset{from}, LeaderEpoch{epoch});
  return Bytes::adopt(std::move(bytes));
}

struct HubFixture {
  explicit HubFixture(http::HubOptions options = {})
      : hub(std::make_shared<FanoutHub>(
            broker,
            [this](std::function<void()> work) {
              if (!going) posted.push_back(std::move(work));
            },
            options)) {
    hub->set_clock([this] { return now; });
  }
  /// Fetches that are never answered answer when they go, and post: while there is something to post to.
  ~HubFixture() {
    going = true;
    broker.asked.clear();
  }
  void settle() {
    for (auto& work : std::exchange(posted, {})) work();
  }
  void tick(Millis after_ms) {
    now += after_ms;
    hub->tick(now);
    settle();
  }
  /// An event for the listener of the `attachment`th time that the hub attached.
  void event(std::size_t attachment, TailEvent event) {
    event.partition = id;
    broker.listeners.at(attachment)->on_tail(std::move(event));
    settle();
  }
  void attached(std::size_t attachment, std::int64_t end, std::int32_t epoch = 1, std::int64_t start = 0) {
    event(attachment, {.kind = TailEvent::Kind::attached,
                       .leader_epoch = LeaderEpoch{epoch},
                       .next_offset = Offset{end},
                       .log_start_offset = Offset{start}});
  }
  void committed(std::size_t attachment, std::int64_t from, std::int64_t to, std::int64_t start = 0, Bytes batches = {}) {
    event(attachment, {.leader_epoch = LeaderEpoch{1},
                       .from = Offset{from},
                       .next_offset = Offset{to},
                       .log_start_offset = Offset{start},
                       .batches = batches.empty() ? batch_of(from, to) : std::move(batches)});
  }
  void ended(std::size_t attachment, Errc code) {
    event(attachment, {.kind = TailEvent::Kind::ended, .reason = Error{code, "because"}});
  }
  FanoutHub::Look look(std::int64_t from) { return hub->look(id, Offset{from}).what; }
  /// "from-to" of the batches that an answered fetch gave, or its error.
  std::string answer_fetch(std::size_t number, Result<FetchResponse> response, std::int64_t from, std::int64_t up_to) {
    std::string told = "nothing was asked";
    hub->fetch(id, Offset{from}, Offset{up_to}, [&](const Result<FanoutHub::Batches>& batches) {
      told.clear();
      if (!batches) told = to_string(batches.error().code);
      for (const auto& one : batches ? *batches : FanoutHub::Batches{}) {
        told += to_string(one->run().from) + "-" + to_string(one->run().next) + " ";
      }
    });
    broker.asked.at(number).reply(std::move(response));
    settle();
    return told;
  }

  HandBroker broker;
  std::vector<std::function<void()>> posted;
  bool going = false;
  MonotonicMs now{10'000};
  const TopicIdPartition id{TopicId{{1}}, PartitionId{0}};
  std::shared_ptr<FanoutHub> hub;
};

using Look = FanoutHub::Look;

}  // namespace

TEST_CASE("what came as news is found from any of its offsets, and behind it is the tail", "[hub]") {
  HubFixture fixture;
  CHECK(fixture.look(0) == Look::missing);
  fixture.hub->open(fixture.id, "t", fixture.now);
  CHECK(fixture.look(0) == Look::missing);
  fixture.attached(0, 10);
  CHECK(fixture.look(9) == Look::missing);
  CHECK(fixture.look(10) == Look::at_tail);
  fixture.committed(0, 10, 13);
  fixture.committed(0, 13, 14);
  for (const std::int64_t from : {10, 11, 12, 13}) {
    CAPTURE(from);
    REQUIRE(fixture.look(from) == Look::found);
    const auto run = fixture.hub->look(fixture.id, Offset{from}).batch->run();
    CHECK((run.from <= Offset{from} && run.next > Offset{from}));
  }
  CHECK(fixture.look(14) == Look::at_tail);
  // A commit without its batches is a hole of the cache, and not of the log.
  fixture.event(0, {.leader_epoch = LeaderEpoch{1}, .from = Offset{14}, .next_offset = Offset{16}});
  fixture.committed(0, 16, 17);
  CHECK(fixture.look(14) == Look::missing);
  CHECK(fixture.look(15) == Look::missing);
  CHECK(fixture.look(16) == Look::found);
}

TEST_CASE("records below the log's start are not found, also where their batch is still there", "[hub]") {
  HubFixture fixture;
  fixture.hub->open(fixture.id, "t", fixture.now);
  fixture.attached(0, 0);
  fixture.committed(0, 0, 5);
  REQUIRE(fixture.look(1) == Look::found);
  fixture.committed(0, 5, 6, 3);
  CHECK(fixture.look(1) == Look::missing);
  CHECK(fixture.look(3) == Look::found);
  CHECK(fixture.hub->tail(fixture.id)->log_start_offset == Offset{3});
}

TEST_CASE("a tail that ended is attached again after a while, and what the old one still says is dropped", "[hub]") {
  HubFixture fixture;
  fixture.hub->open(fixture.id, "t", fixture.now);
  fixture.attached(0, 4);
  fixture.ended(0, Errc::leader_not_available);
  CHECK_FALSE(fixture.hub->tail(fixture.id));
  CHECK(fixture.look(4) == Look::missing);
  CHECK(fixture.broker.attached == 0);
  fixture.tick(50);
  CHECK(fixture.broker.listeners.size() == 1);
  fixture.tick(50);
  REQUIRE(fixture.broker.listeners.size() == 2);
  fixture.committed(0, 4, 9);
  CHECK_FALSE(fixture.hub->tail(fixture.id));
  CHECK(fixture.look(4) == Look::missing);
  fixture.attached(1, 4);
  fixture.ended(0, Errc::unknown_topic_or_partition);
  CHECK(fixture.look(4) == Look::at_tail);
}

TEST_CASE("what was kept of an earlier leader, or of a longer log, is forgotten", "[hub]") {
  HubFixture fixture;
  fixture.hub->open(fixture.id, "t", fixture.now);
  fixture.attached(0, 0);
  fixture.committed(0, 0, 5);
  fixture.ended(0, Errc::leader_not_available);
  fixture.tick(200);
  fixture.attached(1, 5);
  CHECK(fixture.look(2) == Look::found);  // the same leader's, the same log
  fixture.ended(1, Errc::leader_not_available);
  fixture.tick(200);
  fixture.attached(2, 5, 2);
  CHECK(fixture.look(2) == Look::missing);
  CHECK(fixture.hub->cached_bytes() == 0);
  fixture.event(2,
                {.leader_epoch = LeaderEpoch{2}, .from = Offset{5}, .next_offset = Offset{7}, .batches = batch_of(5, 7, 2)});
  CHECK(fixture.look(5) == Look::found);
  fixture.ended(2, Errc::leader_not_available);
  fixture.tick(200);
  fixture.attached(3, 6, 2);
  CHECK(fixture.look(5) == Look::missing);
}

TEST_CASE("a partition whose topic was deleted is gone, and nobody asks for it again", "[hub]") {
  HubFixture fixture;
  fixture.hub->open(fixture.id, "t", fixture.now);
  fixture.attached(0, 4);
  fixture.ended(0, Errc::unknown_topic_or_partition);
  REQUIRE(fixture.look(4) == Look::gone);
  CHECK(fixture.hub->look(fixture.id, Offset{0}).error->code == Errc::unknown_topic_or_partition);
  fixture.tick(1'000);
  fixture.hub->open(fixture.id, "t", fixture.now);
  CHECK(fixture.broker.listeners.size() == 1);
}

TEST_CASE("a partition that nobody follows is let go after a while, and held while somebody does", "[hub]") {
  HubFixture fixture;
  fixture.hub->open(fixture.id, "t", fixture.now);
  fixture.hub->open(fixture.id, "t", fixture.now);
  fixture.attached(0, 0);
  fixture.committed(0, 0, 5);
  fixture.hub->close(fixture.id, fixture.now);
  fixture.tick(60'000);
  CHECK(fixture.broker.attached == 1);
  fixture.hub->close(fixture.id, fixture.now);
  fixture.tick(29'000);
  CHECK(fixture.broker.attached == 1);  // who comes back soon finds everything warm
  CHECK(fixture.look(0) == Look::found);
  fixture.tick(1'500);
  CHECK(fixture.broker.attached == 0);
  CHECK(fixture.hub->partitions() == 0);
  CHECK(fixture.hub->cached_bytes() == 0);
}

TEST_CASE("who wants the same shares one fetch, and only so many are out at a time", "[hub]") {
  HubFixture fixture({.fetches_max = 2});
  int answered = 0;
  const auto fetch = [&](std::int64_t from) {
    fixture.hub->fetch(fixture.id, Offset{from}, Offset::max(), [&](const Result<FanoutHub::Batches>&) { ++answered; });
  };
  for (int i = 0; i < 3; ++i) fetch(0);
  CHECK(fixture.broker.asked.size() == 1);
  fetch(10);
  fetch(20);
  fetch(20);
  fetch(30);
  CHECK(fixture.broker.asked.size() == 2);
  fixture.broker.asked[0].reply(FetchResponse{.batches = batch_of(0, 2), .next_offset = Offset{2}});
  fixture.settle();
  CHECK(answered == 3);
  REQUIRE(fixture.broker.asked.size() == 3);
  CHECK(fixture.broker.asked[2].request.from == Offset{20});
  fixture.broker.asked[1].reply(Error{Errc::leader_not_available, "not now"});
  fixture.settle();
  CHECK(answered == 4);
  REQUIRE(fixture.broker.asked.size() == 4);
  fixture.broker.asked[2].reply(FetchResponse{});
  fixture.broker.asked[3].reply(FetchResponse{});
  fixture.settle();
  CHECK(answered == 7);
  fetch(0);  // what was answered is asked anew
  CHECK(fixture.broker.asked.size() == 5);
}

TEST_CASE("an answer without batches is a hole of the log, or that there is nothing yet", "[hub]") {
  HubFixture fixture;
  const auto max = Offset::max().value();
  CHECK(fixture.answer_fetch(0, FetchResponse{.batches = batch_of(3, 6), .next_offset = Offset{6}}, 2, max) == "2-6 ");
  CHECK(fixture.answer_fetch(1, FetchResponse{.next_offset = Offset{9}, .high_watermark = Offset{9}}, 4, max) == "4-9 ");
  CHECK(fixture.answer_fetch(2, FetchResponse{.next_offset = Offset{4}, .high_watermark = Offset{9}}, 4, 7) == "4-7 ");
  CHECK(fixture.answer_fetch(3, FetchResponse{.next_offset = Offset{4}, .high_watermark = Offset{4}}, 4, 7).empty());
  CHECK(fixture.answer_fetch(4, FetchResponse{.next_offset = Offset{4}, .high_watermark = Offset{4}}, 4, max).empty());
  CHECK(fixture.answer_fetch(5, Error{Errc::offset_out_of_range, "gone"}, 4, max) == "offset_out_of_range");
  auto damaged = batch_of(3, 6);
  CHECK(fixture.answer_fetch(6, FetchResponse{.batches = damaged.slice(0, damaged.size() - 1), .next_offset = Offset{6}}, 3,
                             max) == "corrupt_message");
}

TEST_CASE("what is cached already does not give way to less", "[hub]") {
  HubFixture fixture;
  fixture.hub->open(fixture.id, "t", fixture.now);
  fixture.attached(0, 0);
  fixture.committed(0, 0, 5);
  const auto bytes = fixture.hub->cached_bytes();
  CHECK(fixture.answer_fetch(0, FetchResponse{.batches = batch_of(0, 2), .next_offset = Offset{2}}, 0, 2) == "0-2 ");
  CHECK(fixture.hub->cached_bytes() == bytes);
  CHECK(fixture.look(4) == Look::found);
  CHECK(fixture.answer_fetch(1, FetchResponse{.batches = batch_of(0, 6), .next_offset = Offset{6}}, 0, 6) == "0-6 ");
  CHECK(fixture.hub->cached_bytes() > bytes);
}

TEST_CASE("the records of a transaction's control batch are nobody's, its offsets are passed over", "[hub]") {
  const auto plain = batch_of(0, 2);
  ByteBuffer bytes(plain.view().begin(), plain.view().end());
  constexpr std::size_t crc_at = 17;
  constexpr std::size_t attributes_at = 21;
  bytes[attributes_at + 1] |= std::byte{0x20};
  store_big_endian(bytes.data() + crc_at, crc32c(ByteView{bytes}.subspan(attributes_at)));
  const auto control = http::SharedBatch::decode(PartitionId{0}, "t", Bytes::adopt(std::move(bytes)), Offset{0});
  REQUIRE(control);
  CHECK((*control)->run().records.empty());
  CHECK((*control)->run().next == Offset{2});
  CHECK((*control)->render({})->text.empty());
  const auto data = http::SharedBatch::decode(PartitionId{0}, "t", plain, Offset{0});
  CHECK((*data)->run().records.size() == 2);
}
