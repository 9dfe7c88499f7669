#include "actors/remote_leader.hpp"

#include "actors/leader_server.hpp"
#include "actors/partition_tail.hpp"
#include "tests/actors/node_fixture.hpp"
#include "tests/support/fake_links.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

constexpr BrokerId here{2};
constexpr BrokerId there{1};

/// Node 1 leads everything; node 2 has a gateway and nothing else. Both know the same metadata.
struct TwoNodes : NodeFixture {
  FakeLinks network{scheduler.system()};
  actors::PartitionDirectory directory_here;
  std::unique_ptr<actors::LeaderLocator> leaders_here;
  std::shared_ptr<actors::HandleSlot<caf::actor>> gateway_here = std::make_shared<actors::HandleSlot<caf::actor>>();
  std::unique_ptr<actors::Broker> broker_here;
  caf::actor server;
  caf::actor gateway_actor;
  metadata::TopicPtr topic;
  TopicIdPartition id;
  Millis idle_ms_max = 60'000;

  TwoNodes() {
    start_node();
    network.start(there);
    auto& links_here = network.start(here);
    const auto row = [](const char* kind) { return std::make_shared<actors::ActorRow>(kind, kind); };
    server = scheduler.own(actors::spawn_leader_server(
        scheduler.system(), {.directory = &directory, .links = &network.of(there)}, row("leader_server")));
    leaders_here = std::make_unique<actors::LeaderLocator>(
        here, &directory_here, images, [this, &links_here, row](const actors::LeaderLocator::Remote& remote) {
          return scheduler.own(actors::spawn_remote_leader(scheduler.system(),
                                                           {.partition = remote.partition,
                                                            .broker = remote.broker,
                                                            .epoch = remote.epoch,
                                                            .links = &links_here,
                                                            .on_end = remote.on_end,
                                                            .idle_ms_max = idle_ms_max},
                                                           row("remote_leader")));
        });
    gateway_actor = scheduler.own(actors::spawn_gateway(scheduler.system(),
                                                        {.images = images,
                                                         .leaders = leaders_here.get(),
                                                         .metadata_quorum = [this] { return quorum.get(); },
                                                         .clock = &clock,
                                                         .seed = 9},
                                                        row("gateway")));
    gateway_here->set(gateway_actor);
    broker_here = std::make_unique<actors::Broker>(actors::Broker::Options{.node_id = here,
                                                                           .images = images,
                                                                           .gateways = {gateway_here},
                                                                           .partition_manager = manager,
                                                                           .table = &table,
                                                                           .clock = &clock,
                                                                           .health = [] { return HealthReport{}; }});
    std::swap(broker, broker_here);  // what the fixture does, it does through node 2
    topic = create_topic("t");
    id = {topic->id, PartitionId{0}};
  }
  ~TwoNodes() {
    leaders_here->clear();
    caf::anon_send_exit(gateway_actor, caf::exit_reason::kill);
    caf::anon_send_exit(server, caf::exit_reason::kill);
    gateway_actor = nullptr;
    server = nullptr;
    scheduler.run();
  }

  std::shared_ptr<const std::vector<TailEvent>> listen() {
    class Listener final : public TailListener {
     public:
      void on_tail(TailEvent event) override { events->push_back(std::move(event)); }
      std::shared_ptr<std::vector<TailEvent>> events = std::make_shared<std::vector<TailEvent>>();
    };
    const auto listener = std::make_shared<Listener>();
    tail = scheduler.own(actors::spawn_partition_tail(scheduler.system(), {.partition = id, .leaders = leaders_here.get()},
                                                      std::make_shared<actors::ActorRow>("partition_tail", "t")));
    caf::anon_send(tail, actors::AttachListener{id, 1, std::make_shared<actors::ListenerTicket>(id, listener)});
    return listener->events;
  }
  caf::actor tail;
};

caf::behavior collect(caf::event_based_actor* /*self*/, const std::shared_ptr<std::vector<actors::PeerAnswer>>& answers) {
  return {[answers](const actors::PeerAnswer& answer) { answers->push_back(answer); }};
}

}  // namespace

TEST_CASE("a node produces to and reads from a partition that another node leads", "[actors][remote]") {
  TwoNodes nodes;
  for (int i = 0; i < 20; ++i) {
    const auto answer = nodes.produce(nodes.topic, "value " + std::to_string(i));
    nodes.scheduler.advance(10);
    CHECK(NodeFixture::record_of(answer)->offset == Offset{i});
  }
  const auto read = nodes.values(nodes.topic);
  REQUIRE(read.size() == 20);
  CHECK(read.back() == "value 19");
  CHECK(nodes.log_start(nodes.id) == Offset{0});
  const auto latest = nodes.find_offset(nodes.id, {.kind = OffsetSpec::Kind::latest});
  const auto deleted = nodes.delete_records(nodes.id, Offset{5});
  nodes.scheduler.advance(10);
  CHECK(latest->value().value().offset == Offset{20});
  CHECK(deleted->value().value() == Offset{5});
  const auto below = nodes.fetch({.partition = nodes.id, .from = Offset{2}});
  nodes.scheduler.advance(10);
  CHECK((*below)->error().code == Errc::offset_out_of_range);
  CHECK(nodes.leaders_here->stand_ins() == 1);
}

TEST_CASE("a claim made through one node is known through another", "[actors][remote]") {
  TwoNodes nodes;
  const IdempotenceKey key{.client_id = "client-1", .sequence = 1};
  const auto first = nodes.produce(nodes.topic, "once", key);
  nodes.scheduler.advance(200);
  std::swap(nodes.broker, nodes.broker_here);
  const auto again = nodes.produce(nodes.topic, "once", key);
  nodes.scheduler.advance(200);
  CHECK_FALSE(NodeFixture::record_of(first)->duplicate);
  CHECK(NodeFixture::record_of(again)->duplicate);
  CHECK(NodeFixture::record_of(again)->offset == NodeFixture::record_of(first)->offset);
}

TEST_CASE("a fetch that waits at another node's leader is answered by the next record, and can be cancelled",
          "[actors][remote]") {
  TwoNodes nodes;
  const auto waiting = nodes.fetch({.partition = nodes.id, .from = Offset{0}, .wait_ms_max = 10'000});
  nodes.scheduler.advance(1'000);
  CHECK_FALSE(waiting->has_value());
  nodes.produce(nodes.topic, "v");
  nodes.scheduler.advance(10);
  REQUIRE(waiting->has_value());
  CHECK((*waiting)->value().next_offset == Offset{1});

  auto [answer, reply] = NodeFixture::expect<FetchResponse>();
  const auto call = nodes.broker->fetch({.partition = nodes.id, .from = Offset{1}, .wait_ms_max = 10'000}, std::move(reply));
  nodes.scheduler.advance(10);
  nodes.broker->cancel(call);
  nodes.scheduler.advance(10);
  REQUIRE(answer->has_value());
  CHECK((*answer)->error().code == Errc::cancelled);
}

TEST_CASE("listeners of a partition that another node leads hear every record in order", "[actors][remote]") {
  TwoNodes nodes;
  nodes.produce(nodes.topic, "before");
  nodes.scheduler.advance(10);
  const auto events = nodes.listen();
  nodes.scheduler.advance(10);
  REQUIRE(events->size() == 1);
  CHECK(events->front().kind == TailEvent::Kind::attached);
  CHECK(events->front().next_offset == Offset{1});
  for (int i = 0; i < 10; ++i) {
    nodes.produce(nodes.topic, std::to_string(i));
    nodes.scheduler.advance(i % 3 == 0 ? 10 : 0);
  }
  nodes.scheduler.advance(100);
  auto next = Offset{1};
  for (std::size_t i = 1; i < events->size(); ++i) {
    const auto& event = (*events)[i];
    CHECK(event.kind == TailEvent::Kind::records);
    CHECK(event.from == next);
    CHECK_FALSE(event.batches.empty());
    next = event.next_offset;
  }
  CHECK(next == Offset{11});

  nodes.network.stop(there);
  nodes.scheduler.advance(10);
  CHECK(events->back().kind == TailEvent::Kind::ended);
  CHECK(events->back().reason->code == Errc::leader_not_available);
  CHECK(nodes.leaders_here->stand_ins() == 0);
}

TEST_CASE("what was sent to a node that is lost for a moment arrives once", "[actors][remote]") {
  TwoNodes nodes;
  nodes.produce(nodes.topic, "first");
  nodes.scheduler.advance(10);
  nodes.network.hold(there, here);  // it is appended, and the answer does not come
  const auto open = nodes.produce(nodes.topic, "second");
  nodes.scheduler.advance(20);
  CHECK_FALSE(open->has_value());
  nodes.network.cut(here, there);
  nodes.scheduler.advance(500);
  CHECK_FALSE(open->has_value());
  nodes.network.release(there, here);
  nodes.network.heal(here, there);
  nodes.scheduler.advance(500);
  CHECK(NodeFixture::record_of(open)->offset == Offset{1});
  CHECK(nodes.values(nodes.topic) == std::vector<std::string>{"first", "second"});
}

TEST_CASE("without a way to the leader a produce ends when its time is over, and nothing was written", "[actors][remote]") {
  TwoNodes nodes;
  nodes.network.cut(here, there);
  const auto refused = nodes.produce(nodes.topic, "v", {}, 1'000);
  nodes.scheduler.advance(1'200);
  CHECK(NodeFixture::record_of(refused).error().code == Errc::leader_not_available);
  const auto fetch = nodes.fetch({.partition = nodes.id, .from = Offset{0}});
  nodes.scheduler.advance(5'100);
  REQUIRE(fetch->has_value());
  CHECK((*fetch)->error().code == Errc::leader_not_available);
  nodes.network.heal(here, there);
  CHECK(nodes.values(nodes.topic).empty());
}

TEST_CASE("a stand-in of another epoch is told so, and replaced when the metadata says more", "[actors][remote]") {
  TwoNodes nodes;
  nodes.produce(nodes.topic, "v");
  nodes.scheduler.advance(10);
  const auto entry = nodes.directory.find(nodes.id);
  REQUIRE(entry);
  nodes.directory.set(nodes.id, {entry->leader, entry->epoch + 1});
  const auto behind = nodes.delete_records(nodes.id, Offset{0});
  nodes.scheduler.advance(10);
  CHECK((*behind)->error().code == Errc::fenced_leader_epoch);
  if (entry->epoch > LeaderEpoch{0}) {
    nodes.directory.set(nodes.id, {entry->leader, entry->epoch - 1});
    const auto ahead = nodes.delete_records(nodes.id, Offset{0});
    nodes.scheduler.advance(10);
    CHECK((*ahead)->error().code == Errc::unknown_leader_epoch);
  }
  nodes.directory.remove(nodes.id);
  const auto nobody = nodes.delete_records(nodes.id, Offset{0});
  nodes.scheduler.advance(10);
  CHECK((*nobody)->error().code == Errc::not_leader_or_follower);
  nodes.directory.set(nodes.id, *entry);
  CHECK(nodes.leaders_here->stand_ins() == 1);
  nodes.leaders_here->on_image(metadata::MetadataImage{});  // the topic is gone
  CHECK(nodes.leaders_here->stand_ins() == 0);
}

TEST_CASE("a leader on another node that goes down and comes back is not noticed by who reads and writes",
          "[actors][remote]") {
  TwoNodes nodes;
  nodes.produce(nodes.topic, "v");
  nodes.scheduler.advance(10);
  const auto waiting = nodes.fetch({.partition = nodes.id, .from = Offset{1}, .wait_ms_max = 10'000});
  nodes.scheduler.advance(10);
  nodes.kill_leader(nodes.id);
  const auto produced = nodes.produce(nodes.topic, "w");
  nodes.scheduler.advance(2'000);
  REQUIRE(waiting->has_value());
  CHECK((*waiting)->value().next_offset == Offset{2});
  CHECK(NodeFixture::record_of(produced)->offset == Offset{1});
  CHECK(nodes.values(nodes.topic) == std::vector<std::string>{"v", "w"});
}

TEST_CASE("a stand-in that nobody uses ends", "[actors][remote]") {
  TwoNodes nodes;
  nodes.produce(nodes.topic, "v");
  nodes.scheduler.advance(10);
  CHECK(nodes.leaders_here->stand_ins() == 1);
  nodes.scheduler.advance(130'000);
  CHECK(nodes.leaders_here->stand_ins() == 0);
  CHECK(nodes.values(nodes.topic).size() == 1);  // and another one is there when it is needed
}

TEST_CASE("bytes that are no call are refused", "[actors][remote]") {
  TwoNodes nodes;
  const auto answers = std::make_shared<std::vector<actors::PeerAnswer>>();
  const auto collector = nodes.scheduler.own(nodes.scheduler.system().spawn(collect, answers));
  nodes.network.of(here).call(there, actors::Channel::gateway, Bytes::copy_of(as_bytes("GET / HTTP/1.1")), 1'000, 5,
                              collector);
  nodes.scheduler.advance(10);
  REQUIRE(answers->size() == 1);
  CHECK(answers->front().answer.error().code == Errc::corrupt_message);
}
