#include <deque>
#include <map>

#include "base/assert.hpp"
#include "http/rest/consumer_instances.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fake_broker.hpp"

using namespace troupe;
using namespace troupe::test;
using consumer::RestAnswer;
using http::ConsumerInstances;

/// Consumer instances of three nodes, without sockets: what one node's door does with those of the others.
namespace {

/// Runs what is posted when the test says so, in order.
class TestExecutor final : public http::Executor {
 public:
  void run() {
    while (!work_.empty()) {
      auto next = std::move(work_.front());
      work_.pop_front();
      next->run();
    }
  }

 private:
  void post_work(std::unique_ptr<Work> work) override { work_.push_back(std::move(work)); }
  std::deque<std::unique_ptr<Work>> work_;
};

struct TestCall final : http::Call {
  explicit TestCall(std::shared_ptr<http::Executor> on) : thread(std::move(on)) {}
  void answer(http::Response) override {}
  const std::shared_ptr<http::Executor>& executor() const override { return thread; }
  http::ProduceTurn& produce_turn() override { assertion_failed("nothing is produced", __FILE__, __LINE__); }
  void on_hurry(Millis, std::function<void()> now) override { hurry = std::move(now); }

  const std::shared_ptr<http::Executor> thread;
  std::function<void()> hurry;
};

class TestCluster;

/// The shared coordinator, asked by one node.
class NodeGroups final : public GroupApi {
 public:
  NodeGroups(BrokerId node, FakeGroups& groups) : node_(node), groups_(groups) {}

  void heartbeat(group::HeartbeatRequest request, Millis ms, Reply<group::HeartbeatAnswer> reply) override {
    groups_.heartbeat(std::move(request), ms, std::move(reply));
  }
  void commit(group::CommitRequest request, Millis ms, Reply<std::vector<Status>> reply) override {
    groups_.commit(std::move(request), ms, std::move(reply));
  }
  void offsets(group::OffsetsRequest request, Millis ms, Reply<std::vector<group::Position>> reply) override {
    groups_.offsets(std::move(request), ms, std::move(reply));
  }
  void reset(group::ResetRequest, Millis, Reply<std::vector<Status>>) override {}
  void pause(group::PauseRequest, Millis, Reply<Nothing>) override {}
  void join(group::ClassicJoinRequest, Millis, Reply<group::ClassicJoinAnswer>) override {}
  void sync(group::ClassicSyncRequest, Millis, Reply<group::ClassicSyncAnswer>) override {}
  void heartbeat(group::ClassicHeartbeatRequest, Millis, Reply<Nothing>) override {}
  void leave(group::ClassicLeaveRequest, Millis, Reply<std::vector<Status>>) override {}
  void delete_group(std::string, Millis, Reply<Nothing>) override {}
  void delete_offsets(std::string, std::vector<group::GroupPartition>, Millis, Reply<std::vector<Status>>) override {}
  void describe(std::string, Millis, Reply<group::GroupDescription>) override {}
  void list(Millis, Reply<GroupListings>) override {}
  void instance(group::InstanceRequest request, Millis, Reply<group::InstanceEntry> reply) override {
    groups_.instance_of(node_, std::move(request), std::move(reply));
  }
  std::unique_ptr<GroupListening> listen(std::string group, std::string member, std::function<void()> on_news) override {
    return groups_.listen(std::move(group), std::move(member), std::move(on_news));
  }

 private:
  const BrokerId node_;
  FakeGroups& groups_;
};

class TestNode final : public FakeBroker, public ConsumerApi, public InstanceLinks {
 public:
  TestNode(TestCluster& cluster, FakeBroker& logs, BrokerId id)
      : id_(id), cluster_(cluster), groups_(id, logs.groups()), logs_(logs) {}

  // What instances use of a broker.
  ClusterInfo cluster() const override { return {.node_id = id_}; }
  GroupApi& group_api() override { return groups_; }
  ConsumerApi& consumer_api() override { return *this; }
  std::unique_ptr<Consumer> open(ConsumerOptions options, std::shared_ptr<ConsumerListener> listener) override {
    return logs_.consumers().open(std::move(options), std::move(listener));
  }
  InstanceLinks* instance_links() override { return this; }
  void serve(std::weak_ptr<InstanceServer> server) override { server_ = std::move(server); }
  void call(BrokerId node, Bytes call, Millis timeout_ms, Reply<Bytes> reply) override;

  std::shared_ptr<ConsumerInstances> instances = std::make_shared<ConsumerInstances>(*this);
  bool lives = true;
  bool cut = false;  ///< it hears what it is asked, and its answers are lost

 private:
  friend class TestCluster;
  const BrokerId id_;
  TestCluster& cluster_;
  NodeGroups groups_;
  FakeBroker& logs_;
  std::weak_ptr<InstanceServer> server_;
};

class TestCluster {
 public:
  TestCluster() {
    logs.add_topic("t", 1);
    for (int id = 1; id <= 3; ++id) nodes.push_back(std::make_unique<TestNode>(*this, logs, BrokerId{id}));
  }
  ~TestCluster() {
    for (auto& one : nodes) one->instances.reset();
    executor->run();
  }

  TestNode& node(int id) { return *nodes.at(static_cast<std::size_t>(id) - 1); }
  Result<Nothing> create(int at, const std::string& name, consumer::RestOptions options = {}) {
    options.group = "g";
    options.name = name;
    Result<Nothing> made = Error{Errc::unknown_error, "no answer"};
    const auto call = std::make_shared<TestCall>(executor);
    node(at).instances->create(options, call, now, Reply<Nothing>{[&](Result<Nothing> done) { made = std::move(done); }});
    executor->run();
    return made;
  }
  Result<RestAnswer> ask(int at, const std::string& name, consumer::RestCall what) {
    Result<RestAnswer> said = Error{Errc::unknown_error, "no answer"};
    const auto call = std::make_shared<TestCall>(executor);
    node(at).instances->ask(call, {"g", name}, std::move(what), now,
                            Reply<RestAnswer>{[&](Result<RestAnswer> done) { said = std::move(done); }},
                            [](const consumer::RestOptions& options) { return std::optional{options.request_ms_max}; });
    executor->run();
    if (call->hurry) call->hurry();
    executor->run();
    return said;
  }
  std::string page(int at, const std::string& name) {
    auto said = ask(at, name, consumer::RestRead{.bytes_max = 1'000});
    if (!said) return to_string(said.error());
    return std::get<consumer::RestPage>(*said).text;
  }
  void append(const std::string& value) { logs.append("t", PartitionId{0}, {{"k", value}}); }
  Result<RestAnswer> commit(int at, const std::string& name, std::int64_t next) {
    const TopicIdPartition id{logs.topic("t")->id, PartitionId{0}};
    return ask(at, name, consumer::RestCommit{{{{id, Offset{next}}}}});
  }
  /// Its process is gone, and its members with it: nobody has said goodbye.
  void kill(int at) {
    node(at).lives = false;
    for (auto& one : nodes) {
      if (one->lives) one->instances->on_link(BrokerId{at});
    }
    executor->run();
  }

  FakeBroker logs;
  std::vector<std::unique_ptr<TestNode>> nodes;
  const std::shared_ptr<TestExecutor> executor = std::make_shared<TestExecutor>();
  MonotonicMs now{1'000'000};
};

void TestNode::call(BrokerId node, Bytes call, Millis, Reply<Bytes> reply) {
  auto& other = cluster_.node(node.value());
  if (!other.lives) return reply(Error{Errc::broker_not_available, "it is gone"});
  const auto server = other.server_.lock();
  if (!server) return reply(Error{Errc::not_coordinator, "no door"});
  server->on_call(id_, std::move(call), Reply<Bytes>{[&other, reply = std::move(reply)](Result<Bytes> said) mutable {
                    if (std::exchange(other.cut, false)) {
                      said = Error{Errc::request_timed_out, "cut"};
                      other.instances->on_link(BrokerId{2});
                    }
                    reply(std::move(said));
                  }});
}

consumer::RestOptions json_reader() {
  return {.format = consumer::RestFormat::json, .reset = OffsetReset::earliest, .auto_commit = false};
}

std::string shown(std::int64_t first, const std::vector<std::string>& values) {
  std::string all = "[";
  for (std::size_t i = 0; i < values.size(); ++i) {
    all += std::string(i == 0 ? "" : ",") + R"({"topic":"t","key":"k","value":)" + values[i] +
           R"(,"partition":0,"offset":)" + std::to_string(first + static_cast<std::int64_t>(i)) + "}";
  }
  return all + "]";
}

}  // namespace

TEST_CASE("an instance answers on any node", "[instances]") {
  TestCluster cluster;
  REQUIRE(cluster.create(1, "c", json_reader()));
  CHECK(cluster.create(2, "c", json_reader()).error().code == Errc::conflict);
  CHECK(cluster.create(1, "c", json_reader()).error().code == Errc::conflict);
  REQUIRE(cluster.ask(2, "c", consumer::RestSubscribe{{"t"}, {}}));
  CHECK(std::get<consumer::RestTopics>(*cluster.ask(3, "c", consumer::RestSubscription{})).topics ==
        std::vector<std::string>{"t"});
  cluster.append("1");
  cluster.append("2");
  CHECK(cluster.page(3, "c") == shown(0, {"1", "2"}));
  CHECK(cluster.page(2, "c") == "[]");
  REQUIRE(cluster.commit(2, "c", 2));
  CHECK(cluster.logs.groups().committed("g", "t", 0) == Offset{2});
  // One who waits is woken on another node, too.
  CHECK(cluster.node(1).instances->size() == 1);
  CHECK(cluster.node(2).instances->size() == 0);
  REQUIRE(cluster.ask(3, "c", consumer::RestRemove{}));
  CHECK(cluster.logs.groups().members("g") == 0);
  for (int node = 1; node <= 3; ++node) CHECK(cluster.ask(node, "c", consumer::RestTouch{}).error().code == Errc::not_found);
  CHECK(cluster.create(2, "c", json_reader()));
}

TEST_CASE("an instance outlives its node: who is asked next goes on with it", "[instances]") {
  TestCluster cluster;
  REQUIRE(cluster.create(1, "c", json_reader()));
  REQUIRE(cluster.ask(1, "c", consumer::RestSubscribe{{"t"}, {}}));
  cluster.append("1");
  CHECK(cluster.page(2, "c") == shown(0, {"1"}));
  REQUIRE(cluster.commit(2, "c", 1));
  cluster.append("2");
  CHECK(cluster.page(3, "c") == shown(1, {"2"}));
  cluster.kill(1);
  // What was read and not committed comes again. Its partition was never anybody else's.
  CHECK(cluster.ask(3, "c", consumer::RestCommit{}).error().code == Errc::conflict);
  CHECK(cluster.page(2, "c") == shown(1, {"2"}));
  CHECK(cluster.ask(2, "c", consumer::RestCommit{}));
  CHECK(cluster.logs.groups().committed("g", "t", 0) == Offset{2});
  CHECK(cluster.logs.groups().members("g") == 1);
  CHECK(cluster.node(3).instances->size() == 1);

  // The old node comes back, as it was: it is told that the instance is another's.
  cluster.node(1).lives = true;
  cluster.node(1).instances->on_link(BrokerId{2});
  cluster.append("3");
  CHECK(cluster.page(1, "c") == shown(2, {"3"}));
  CHECK(cluster.node(1).instances->size() == 0);
}

TEST_CASE("an answer that was lost on its way through the links comes again", "[instances]") {
  TestCluster cluster;
  REQUIRE(cluster.create(1, "c", json_reader()));
  REQUIRE(cluster.ask(1, "c", consumer::RestSubscribe{{"t"}, {}}));
  cluster.append("1");
  REQUIRE(cluster.ask(2, "c", consumer::RestTouch{}));
  cluster.node(1).cut = true;
  CHECK(cluster.page(2, "c") == shown(0, {"1"}));
}

TEST_CASE("an instance that nobody uses leaves its group", "[instances]") {
  TestCluster cluster;
  for (const auto* name : {"used", "idle"}) {
    REQUIRE(cluster.create(1, name));
    REQUIRE(cluster.ask(1, name, consumer::RestAssign{{{{cluster.logs.topic("t")->id, PartitionId{0}}, "t"}}}));
  }
  auto& instances = *cluster.node(1).instances;
  cluster.now = cluster.now + ConsumerInstances::idle_ms_max - 1'000;
  CHECK(cluster.ask(1, "used", consumer::RestTouch{}));
  cluster.now = cluster.now + 1'000;
  instances.sweep(cluster.now);
  cluster.executor->run();
  CHECK(instances.size() == 1);
  CHECK(cluster.ask(3, "idle", consumer::RestTouch{}).error().code == Errc::not_found);
  CHECK(cluster.ask(3, "used", consumer::RestTouch{}));
}

TEST_CASE("an instance that its coordinator has forgotten is no more", "[instances]") {
  TestCluster cluster;
  REQUIRE(cluster.create(1, "c"));
  cluster.logs.groups().instance_of(BrokerId{1}, {group::InstanceRequest::Kind::remove, "g", "c", 1, {}}, {});
  CHECK(cluster.ask(2, "c", consumer::RestSubscribe{{"t"}, {}}).error().code == Errc::not_found);
  CHECK(cluster.ask(1, "c", consumer::RestSubscribe{{"t"}, {}}).error().code == Errc::not_found);
  CHECK(cluster.create(1, "c"));
}
