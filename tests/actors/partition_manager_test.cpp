#include <algorithm>

#include "tests/actors/node_fixture.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

class Listener final : public TailListener {
 public:
  void on_tail(TailEvent event) override { events.push_back(std::move(event)); }
  bool ended() const { return !events.empty() && events.back().kind == TailEvent::Kind::ended; }
  std::size_t records() const {
    return static_cast<std::size_t>(
        std::ranges::count(events, TailEvent::Kind::records, [](const TailEvent& event) { return event.kind; }));
  }
  std::vector<TailEvent> events;
};

/// A disk with a log of `records` records, as a node before this one may have left it behind.
void leave_log(FaultyFileSystem& disk, const TopicIdPartition& id, int records = 3) {
  auto opened = storage::DataDirectory::open(disk, small_directory("/log"));
  REQUIRE(opened);
  auto& directory = *opened->directory;
  REQUIRE(directory.log(id, small_config()));
  const std::vector<storage::PlacedBatch> batches{make_batch(Offset{0}, {.records = records})};
  REQUIRE(directory.append(id, batches, MonotonicMs{1}));
  REQUIRE(directory.commit(MonotonicMs{1}));
  REQUIRE(directory.close());
}

}  // namespace

TEST_CASE("a topic that is deleted while nobody listens loses its leaders and files all the same", "[actors][manager]") {
  const auto seed = seed_or(733);
  INFO("TROUPE_SEED=" << seed);
  int deleted = 0;
  int unheard = 0;
  for (std::uint64_t round = 0; round < 60; ++round) {
    CAPTURE(round);
    NodeFixture node(seed + round);
    node.start_node();
    const auto gone = node.create_topic("gone", 2);
    const auto stays = node.create_topic("stays");
    for (int i = 0; i < 3; ++i) {
      node.produce(gone, "v");
      node.produce(stays, "v");
      node.scheduler.advance(20);
    }
    Prng random(seed + round);
    bool answered = false;
    node.broker->delete_topic("gone", Reply<Nothing>{[&](const Result<Nothing>& result) { answered = result.has_value(); }});
    for (auto steps = random.below(25); steps > 0; --steps) node.scheduler.step();
    const bool heard = answered;
    caf::anon_send_exit(caf::actor_cast<caf::actor>(node.quorum.get()), caf::exit_reason::kill);
    node.scheduler.advance(2'000);
    const bool known = node.broker->topic("gone") != nullptr;
    if (!known) {
      ++deleted;
      if (!heard) ++unheard;
      CHECK_FALSE(node.leader_of({gone->id, PartitionId{0}}));
      CHECK_FALSE(node.leader_of({gone->id, PartitionId{1}}));
      CHECK_FALSE(node.has_row("partition_leader", "gone/0"));
      CHECK(node.files_with(to_string(gone->id)).empty());
    } else {
      CHECK(node.values(gone).size() + node.values(gone, PartitionId{1}).size() == 3);
    }
    CHECK(node.values(stays).size() == 3);
    const auto later = node.create_topic("later");
    const auto written = node.produce(later, "v");
    node.scheduler.advance(200);
    CHECK(NodeFixture::record_of(written));
  }
  CHECK(deleted > 0);
  CHECK(unheard > 0);
}

TEST_CASE("logs that no topic owns are moved aside, and not a byte of them is deleted", "[actors][manager]") {
  FaultyFileSystem disk;
  TopicIdPartition beyond;
  {
    NodeFixture node;
    node.start_node();
    const auto topic = node.create_topic("t");
    node.produce(topic, "v");
    node.scheduler.advance(100);
    beyond = {topic->id, PartitionId{7}};
    disk = node.disk.clone();
  }
  const TopicIdPartition stray{Uuid{{0xab, 0xcd}}, PartitionId{0}};
  leave_log(disk, stray);
  leave_log(disk, beyond);
  NodeFixture node(2, std::move(disk));
  node.start_node();
  node.scheduler.advance(500);
  CHECK(node.status("data-disk").restarts == 0);
  for (const auto& id : {stray, beyond}) {
    INFO(to_string(id));
    CHECK(node.files_with("/partitions/" + to_string(id.topic_id) + "/" + to_string(id.partition) + "/").empty());
    const auto kept = node.files_with("quarantine");
    CHECK(std::ranges::any_of(kept, [&](const std::string& file) {
      const auto content = node.disk.content(file);
      return file.find(to_string(id.topic_id)) != std::string::npos && file.ends_with(".log") && content &&
             !content->empty();
    }));
  }
  CHECK(node.values(node.broker->topic("t")) == std::vector<std::string>{"v"});
}

TEST_CASE("a topic that is deleted while the disk is away leaves no log in place when it comes back", "[actors][manager]") {
  NodeFixture node;
  node.start_node();
  const auto topic = node.create_topic("t");
  node.produce(topic, "v");
  node.scheduler.advance(100);
  node.disk.fail({.kind = OperationKind::sync, .path_contains = "/log", .always = true});
  node.disk.fail({.kind = OperationKind::lock, .path_contains = "/log", .always = true});
  node.produce(topic, "w");
  node.scheduler.advance(50);
  REQUIRE(node.status("data-disk").state == actors::ActorState::waiting_restart);
  auto [deleted, reply] = NodeFixture::expect<Nothing>();
  node.broker->delete_topic("t", std::move(reply));
  node.scheduler.advance(300);
  REQUIRE(deleted->has_value());
  REQUIRE(**deleted);
  node.disk.clear_faults();
  node.scheduler.advance(1'000);
  REQUIRE(node.status("data-disk").state == actors::ActorState::running);
  CHECK(node.files_with("/partitions/" + to_string(topic->id)).empty());
}

TEST_CASE("when the metadata gives new leader epochs, leaders of the old ones end", "[actors][manager]") {
  NodeFixture node;
  node.start_node();
  const auto topic = node.create_topic("t");
  const TopicIdPartition id{topic->id, PartitionId{0}};
  node.produce(topic, "before");
  node.scheduler.advance(100);
  const auto before = node.directory.find(id);
  REQUIRE(before);
  caf::anon_send(node.quorum.get(), actors::RegisterBroker{node.options.broker, Uuid{{5, 5}}});
  node.scheduler.advance(500);
  const auto after = node.directory.find(id);
  REQUIRE(after);
  CHECK(after->epoch > before->epoch);
  CHECK(after->epoch == node.broker->topic("t")->partitions[0].leader_epoch);
  CHECK(after->leader != before->leader);
  const auto written = node.produce(topic, "after");
  node.scheduler.advance(100);
  REQUIRE(NodeFixture::record_of(written));
  const auto read = node.fetch({.partition = id, .from = Offset{1}});
  node.scheduler.advance(100);
  REQUIRE(**read);
  CHECK((**read)->leader_epoch == after->epoch);
  CHECK(record::parse_batch_header((**read)->batches).value().leader_epoch == after->epoch);
}

TEST_CASE("a directory that is not the one that the node is registered with is registered, as another run",
          "[actors][manager]") {
  NodeFixture node;
  node.options.broker.directory_id = Uuid{{9, 9}};  // as of a directory that is not there any more
  node.start_node();
  node.scheduler.advance(2'000);
  const auto contents = node.scheduler.ask<actors::DirectoryContents>(node.data_worker.get(), actors::ListLogs{});
  REQUIRE(contents);
  const auto* registration = node.images->get()->find_broker(BrokerId{1});
  REQUIRE(registration != nullptr);
  CHECK(registration->broker.directory_id == contents->directory_id);
  CHECK(registration->incarnation != node.options.incarnation);
  const auto topic = node.create_topic("t");
  const auto written = node.produce(topic, "v");
  node.scheduler.advance(100);
  CHECK(NodeFixture::record_of(written));
}

TEST_CASE("a disk that fails while the metadata is away, too, does not keep the node from coming back",
          "[actors][manager]") {
  const auto seed = seed_or(8123);
  INFO("TROUPE_SEED=" << seed);
  for (std::uint64_t round = 0; round < 30; ++round) {
    CAPTURE(round);
    NodeFixture node(seed + round);
    Prng random(seed + round);
    if (round % 2 == 1) node.restart.backoff_ms_min = node.restart.backoff_ms_max = 0;  // back before all have seen it go
    node.start_node();
    const auto topic = node.create_topic("t");
    std::vector<NodeFixture::Answer<ProduceResponse>> answers;
    node.disk.fail({.kind = OperationKind::sync, .path_contains = "/log/"});
    answers.push_back(node.produce(topic, "a"));
    const bool metadata_too = random.chance(2, 3);
    const auto moment = static_cast<std::int64_t>(random.below(120));
    node.scheduler.advance(moment);
    if (metadata_too) caf::anon_send_exit(caf::actor_cast<caf::actor>(node.quorum.get()), caf::exit_reason::kill);
    for (auto steps = random.below(20); steps > 0; --steps) node.scheduler.step();
    answers.push_back(node.produce(topic, "b"));
    node.scheduler.advance(10'000);
    for (const auto& answer : answers) CHECK(NodeFixture::record_of(answer));
    CHECK(node.values(topic) == std::vector<std::string>{"a", "b"});
  }
}

TEST_CASE("a manager that dies takes its leaders along, and its successor begins anew", "[actors][manager]") {
  NodeFixture node;
  node.start_node();
  const auto topic = node.create_topic("t");
  const TopicIdPartition id{topic->id, PartitionId{0}};
  const auto listener = std::make_shared<Listener>();
  const auto attachment = node.broker->attach_tail(id, listener);
  node.produce(topic, "a");
  node.scheduler.advance(100);
  const caf::actor_addr old = node.leader_of(id).address();
  caf::anon_send_exit(node.manager->get(), caf::exit_reason::kill);
  node.scheduler.run();
  CHECK_FALSE(node.serving->load());
  CHECK_FALSE(node.leader_of(id));
  CHECK_FALSE(caf::actor_cast<caf::actor>(old));  // nothing is left of it
  CHECK(listener->ended());
  const auto answer = node.produce(topic, "b");
  node.scheduler.advance(5'000);
  CHECK(NodeFixture::record_of(answer));
  CHECK(node.serving->load());
  CHECK(node.values(topic) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a leader that fails again and again is given up, and told as such", "[actors][manager]") {
  NodeFixture node;
  node.leader_restart.restarts_max = 5;
  node.start_node();
  const auto topic = node.create_topic("t", 2);
  const TopicIdPartition id{topic->id, PartitionId{0}};
  for (int left = 300; left > 0 && node.status("t/0").state != actors::ActorState::failed; --left) {
    if (node.leader_of(id)) node.kill_leader(id);
    node.scheduler.advance(100);
  }
  REQUIRE(node.status("t/0").state == actors::ActorState::failed);
  CHECK(node.status("t/0").restarts == 5);
  node.scheduler.advance(5'000);
  CHECK_FALSE(node.leader_of(id));
  const auto read = node.fetch({.partition = id, .from = Offset{0}});
  node.scheduler.advance(5'100);
  REQUIRE(read->has_value());
  CHECK((**read).error().code == Errc::leader_not_available);
  CHECK(node.values(topic, PartitionId{1}).empty());  // the other one serves
}

TEST_CASE("each listener comes and goes alone, and the last one takes the tail along", "[actors][manager]") {
  NodeFixture node;
  node.start_node();
  const auto topic = node.create_topic("t");
  const TopicIdPartition id{topic->id, PartitionId{0}};
  const auto first = std::make_shared<Listener>();
  const auto second = std::make_shared<Listener>();
  auto first_attachment = node.broker->attach_tail(id, first);
  node.scheduler.run();
  node.produce(topic, "a");
  node.scheduler.advance(50);
  auto second_attachment = node.broker->attach_tail(id, second);
  node.scheduler.run();
  REQUIRE(second->events.size() == 1);
  CHECK(second->events[0].kind == TailEvent::Kind::attached);
  CHECK(second->events[0].next_offset == Offset{1});
  node.produce(topic, "b");
  node.scheduler.advance(50);
  CHECK(first->records() == 2);
  CHECK(second->records() == 1);
  CHECK(node.has_row("partition_tail", "t/0"));

  first_attachment.reset();
  node.scheduler.run();
  const auto heard = first->records();
  node.produce(topic, "c");
  node.scheduler.advance(50);
  CHECK(first->records() == heard);
  CHECK(second->records() == 2);
  second_attachment.reset();
  node.scheduler.run();
  CHECK_FALSE(node.has_row("partition_tail", "t/0"));
}

TEST_CASE("who listens when the leader goes is told, and who comes back then hears all that follows", "[actors][manager]") {
  NodeFixture node;
  node.start_node();
  const auto topic = node.create_topic("t");
  const TopicIdPartition id{topic->id, PartitionId{0}};
  // The first one holds on to its attachment: the same tail serves both.
  const auto first = std::make_shared<Listener>();
  const auto first_attachment = node.broker->attach_tail(id, first);
  node.scheduler.run();
  node.kill_leader(id);
  node.scheduler.run();
  CHECK(first->ended());
  const auto early = std::make_shared<Listener>();
  const auto early_attachment = node.broker->attach_tail(id, early);
  node.scheduler.run();
  CHECK(early->ended());
  CHECK(early->events.back().reason->code == Errc::leader_not_available);
  node.scheduler.advance(1'000);
  const auto second = std::make_shared<Listener>();
  const auto second_attachment = node.broker->attach_tail(id, second);
  node.scheduler.run();
  REQUIRE(second->events.size() == 1);
  CHECK(second->events[0].kind == TailEvent::Kind::attached);
  CHECK(second->events[0].next_offset == Offset{0});
  node.produce(topic, "v");
  node.scheduler.advance(100);
  REQUIRE(second->records() == 1);
  CHECK_FALSE(second->events.back().batches.empty());
  CHECK(first->ended());
}
