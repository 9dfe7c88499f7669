#include "tests/unit/http_server/rest_fixture.hpp"
#include "tests/unit/metadata/cluster_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using nlohmann::json;

namespace {

/// Three brokers, and topics whose replicas are known.
struct ClusterRoutesFixture : RestFixture {
  ClusterRoutesFixture() {
    show();
    broker.whole_cluster().set_voters(ids_of({1, 2, 3}));
    broker.whole_cluster().set_reachable(ids_of({1, 2, 3}));
  }
  void show() { broker.whole_cluster().set_image(cluster.image); }
  /// What the routes have made of it.
  const metadata::PartitionImage& now(const TopicId& topic, std::int32_t number = 0) {
    cluster.image = broker.whole_cluster().image();
    return cluster.partition(topic, number);
  }
  json post_json(const std::string& target, const std::string& body, unsigned status = 200) {
    const auto answer = body.empty() ? http.request("POST", target, "", "") : post(target, body);
    INFO(target << " " << body << " " << answer.body);
    CHECK(answer.status == status);
    return json::parse(answer.body, nullptr, false);
  }

  Cluster cluster{3};
};

}  // namespace

TEST_CASE("the cluster tells of its brokers", "[rest][cluster]") {
  ClusterRoutesFixture fixture;
  fixture.cluster.add_topic("rides", {{1, 2}});
  fixture.cluster.add_topic("maps", {{1}, {3}});
  fixture.cluster.fence(3);
  fixture.show();
  fixture.broker.whole_cluster().set_voters(ids_of({1, 2}));
  const auto cluster = fixture.get_json("/v1/cluster");
  CHECK(cluster["node_id"] == 1);
  REQUIRE(cluster["brokers"].size() == 3);
  const auto& one = cluster["brokers"][0];
  CHECK(one["id"] == 1);
  CHECK(one["host"] == "broker-1");
  CHECK(one["port"] == 8080);
  CHECK(one["rack"].is_null());
  CHECK(one["state"] == "up");
  CHECK(one["voter"] == true);
  CHECK(one["leads"] == 2);
  CHECK(one["replicas"] == 2);
  CHECK(one["epoch"].is_number_integer());
  CHECK(cluster["brokers"][2]["state"] == "fenced");
  CHECK(cluster["brokers"][2]["voter"] == false);
}

TEST_CASE("the cluster's health is a sum and sentences", "[rest][cluster]") {
  ClusterRoutesFixture fixture;
  fixture.cluster.add_topic("rides", {{1, 2, 3}});
  fixture.cluster.add_topic("maps", {{2}});
  fixture.show();
  CHECK(fixture.get_json("/v1/cluster/health") ==
        json::parse(R"({"healthy":true,"controller_id":1,"brokers":3,"brokers_up":3,"voters":3,"voters_up":3,)"
                    R"("partitions":2,"leaderless":0,"under_replicated":0,"under_min_isr":0,"reassigning":0,)"
                    R"("not_preferred":0,"problems":[]})"));
  fixture.cluster.fence(2);
  fixture.show();
  const auto ill = fixture.get_json("/v1/cluster/health");
  CHECK(ill["healthy"] == false);
  CHECK(ill["voters_up"] == 2);
  CHECK(ill["leaderless"] == 1);
  CHECK(ill["problems"][1] == "maps/0 has no leader: of its replicas 2 none that may lead is alive");
}

TEST_CASE("partitions of the cluster come page by page and by what is odd about them", "[rest][cluster]") {
  ClusterRoutesFixture fixture;
  fixture.cluster.add_topic("rides", {{1, 2}, {2, 3}}, {{"min.insync.replicas", "2"}});
  fixture.cluster.add_topic("maps", {{1}});
  fixture.cluster.add_topic("routes", {{3}});
  fixture.cluster.fence(3);
  fixture.show();
  const auto first = fixture.get_json("/v1/cluster/partitions?limit=3");
  CHECK(first["next"] == "rides:1");
  REQUIRE(first["partitions"].size() == 3);
  CHECK(first["partitions"][2] ==
        json::parse(R"({"topic":"rides","partition":1,"leader":2,"leader_epoch":0,"replicas":[2,3],"isr":[2],"elr":[3],)"
                    R"("adding":[],"removing":[],"min_isr":2})"));
  const auto second = fixture.get_json("/v1/cluster/partitions?limit=3&after=rides:1");
  CHECK(second["next"].is_null());
  REQUIRE(second["partitions"].size() == 1);
  CHECK(second["partitions"][0]["leader"].is_null());
  CHECK(fixture.get_json("/v1/cluster/partitions?only=leaderless")["partitions"].size() == 1);
  CHECK(fixture.get_json("/v1/cluster/partitions?topic=rides&broker=2")["partitions"].size() == 2);
  CHECK(fixture.get_json("/v1/cluster/reassignments") == json::parse(R"({"reassignments":[]})"));
  for (const std::string query : {"limit=0", "limit=10001", "limit=x", "only=odd", "broker=-1", "after=rides", "after=:1",
                                  "after=rides:-1", "after=rides:x", "topics=rides"}) {
    INFO(query);
    CHECK(fixture.failure(fixture.http.get("/v1/cluster/partitions?" + query)) == 400);
  }
  CHECK(fixture.failure(fixture.http.get("/v1/cluster/partitions?topic=none")) == 40401);
  CHECK(fixture.failure(fixture.http.get("/v1/cluster/partitions?broker=9")) == 404);
}

TEST_CASE("a broker is drained, used again, and removed when it is gone", "[rest][cluster]") {
  ClusterRoutesFixture fixture;
  const auto rides = fixture.cluster.add_topic("rides", {{1, 2}, {1, 2}});
  fixture.cluster.add_topic("maps", {{1}});
  fixture.show();
  const auto drained = fixture.post_json("/v1/cluster/brokers/1/drain", "");
  CHECK(drained == json::parse(R"({"broker":1,"state":"draining","leads":1,"moved":2,"left":1})"));
  CHECK(fixture.now(rides).leader == BrokerId{2});
  const auto again = fixture.post_json("/v1/cluster/brokers/1/drain", "");
  CHECK(again["moved"] == 0);
  CHECK(fixture.post_json("/v1/cluster/brokers/1/undrain", "")["state"] == "up");
  CHECK(fixture.post_json("/v1/cluster/brokers/2/drain", "")["state"] == "drained");

  const auto remove = [&](const std::string& id) {
    return fixture.http.request("DELETE", "/v1/cluster/brokers/" + id, "", "");
  };
  CHECK(fixture.failure(remove("3")) == 409);  // it is alive
  fixture.now(rides);
  fixture.cluster.fence(3);
  fixture.show();
  CHECK(remove("3").status == 204);
  CHECK(remove("3").status == 404);
  CHECK(fixture.get_json("/v1/cluster")["brokers"].size() == 2);
  for (const auto& [id, status] :
       {std::pair<std::string, unsigned>{"9", 404}, {"-1", 400}, {"x", 400}, {"1x", 400}, {"99999999999", 400}}) {
    INFO(id);
    CHECK(fixture.http.request("POST", "/v1/cluster/brokers/" + id + "/drain", "", "").status == status);
    CHECK(fixture.http.request("POST", "/v1/cluster/brokers/" + id + "/undrain", "", "").status == status);
    CHECK(remove(id).status == status);
  }
  for (const std::string body : {"{", "[]", "1", "null", R"({"broker":1})", R"({"drain":true})"}) {
    INFO(body);
    CHECK(fixture.failure(fixture.post("/v1/cluster/brokers/1/drain", body)) == 400);
    CHECK(fixture.failure(fixture.post("/v1/cluster/brokers/1/undrain", body)) == 400);
  }
  CHECK(fixture.post_json("/v1/cluster/brokers/1/undrain", "{}")["state"] == "up");
  fixture.broker.whole_cluster().fail(Error{Errc::leader_not_available, "there is no controller"});
  CHECK(fixture.http.request("POST", "/v1/cluster/brokers/1/drain", "", "").status == 503);
}

TEST_CASE("leaders are elected, each partition with its own answer", "[rest][cluster]") {
  ClusterRoutesFixture fixture;
  const auto rides = fixture.cluster.add_topic("rides", {{1, 2}, {2, 3}});
  fixture.cluster.add_topic("maps", {{3}});
  fixture.show();
  const auto elected = fixture.post_json(
      "/v1/cluster/elections",
      R"({"type":"to","to":2,"partitions":[{"topic":"rides","partition":0},{"topic":"none","partition":0},)"
      R"({"topic":"rides","partition":7},{"topic":"rides","partition":1},{"topic":"maps","partition":0}]})")["results"];
  REQUIRE(elected.size() == 5);
  CHECK(elected[0] == json::parse(R"({"topic":"rides","partition":0,"leader":2,"leader_epoch":1})"));
  CHECK(elected[1]["error"]["code"] == "unknown_topic");
  CHECK(elected[2]["error"]["code"] == "unknown_topic");
  CHECK(elected[3]["error"]["reason"] == "election_not_needed");
  CHECK(elected[4]["error"]["reason"] == "invalid_replica_assignment");
  CHECK(elected[4]["topic"] == "maps");
  CHECK(fixture.now(rides).leader == BrokerId{2});

  const auto all = fixture.post_json("/v1/cluster/elections", R"({"type":"preferred"})")["results"];
  CHECK(all == json::parse(R"([{"topic":"rides","partition":0,"leader":1,"leader_epoch":2}])"));
  CHECK(fixture.post_json("/v1/cluster/elections", R"({"type":"preferred"})")["results"].empty());

  fixture.now(rides);
  fixture.cluster.fence(3);
  fixture.show();
  const std::string third = R"("partitions":[{"topic":"maps","partition":0}]})";
  CHECK(fixture.post_json("/v1/cluster/elections", R"({"type":"unclean",)" + third)["results"][0]["error"]["reason"] ==
        "eligible_leaders_not_available");
}

TEST_CASE("an election that makes no sense is refused", "[rest][cluster]") {
  ClusterRoutesFixture fixture;
  fixture.cluster.add_topic("rides", {{1, 2}});
  fixture.show();
  const std::string one = R"("partitions":[{"topic":"rides","partition":0}])";
  for (const std::string& body :
       {std::string("{}"),
        std::string("[]"),
        std::string("{"),
        R"({"type":"best",)" + one + "}",
        R"({"type":3,)" + one + "}",
        R"({"type":"to",)" + one + "}",
        R"({"type":"preferred","to":1,)" + one + "}",
        std::string(R"({"type":"to","to":1})"),
        std::string(R"({"type":"unclean"})"),
        R"({"type":"to","to":-1,)" + one + "}",
        R"({"type":"to","to":"1",)" + one + "}",
        R"({"type":"to","to":2147483648,)" + one + "}",
        std::string(R"({"type":"preferred","partitions":[]})"),
        std::string(R"({"type":"preferred","partitions":{}})"),
        std::string(R"({"type":"preferred","partitions":[1]})"),
        std::string(R"({"type":"preferred","partitions":[{"topic":"rides"}]})"),
        std::string(R"({"type":"preferred","partitions":[{"partition":0}]})"),
        std::string(R"({"type":"preferred","partitions":[{"topic":"rides","partition":0.5}]})"),
        std::string(R"({"type":"preferred","partitions":[{"topic":"rides","partition":0,"p":1}]})"),
        std::string(
            R"({"type":"preferred","partitions":[{"topic":"rides","partition":0},{"topic":"rides","partition":0}]})"),
        R"({"type":"preferred","kind":1,)" + one + "}"}) {
    INFO(body);
    CHECK(fixture.failure(fixture.post("/v1/cluster/elections", body)) == 400);
  }
  CHECK(fixture.failure(fixture.post("/v1/cluster/elections", R"({"type":"to","to":9,)" + one + "}")) == 404);
  std::string many;
  for (int i = 0; i <= 10'000; ++i) many += std::string(i == 0 ? "" : ",") + R"({"topic":"rides","partition":0})";
  CHECK(fixture.failure(fixture.post("/v1/cluster/elections", R"({"type":"preferred","partitions":[)" + many + "]}")) ==
        400);
  CHECK(fixture.failure(fixture.post("/v1/cluster/elections", "{}", "text/plain")) == 415);
}

TEST_CASE("partitions get other replicas, and that is called off", "[rest][cluster]") {
  ClusterRoutesFixture fixture;
  const auto rides = fixture.cluster.add_topic("rides", {{1, 2}, {2, 1}});
  fixture.show();
  const auto begun =
      fixture.post_json("/v1/cluster/reassignments", R"({"reassignments":[{"topic":"rides","partition":0,"replicas":[3,2]},)"
                                                     R"({"topic":"rides","partition":1,"replicas":[2,9]},)"
                                                     R"({"topic":"none","partition":1,"replicas":[2]}]})")["results"];
  REQUIRE(begun.size() == 3);
  CHECK(begun[0]["adding"] == json::parse("[3]"));
  CHECK(begun[0]["removing"] == json::parse("[1]"));
  CHECK(begun[1]["error"]["reason"] == "broker_id_not_registered");
  CHECK(begun[1]["error"]["code"] == "not_found");
  CHECK(begun[2]["error"]["code"] == "unknown_topic");
  const auto open = fixture.get_json("/v1/cluster/reassignments")["reassignments"];
  REQUIRE(open.size() == 1);
  CHECK(open[0]["topic"] == "rides");
  CHECK(open[0]["adding"] == json::parse("[3]"));
  CHECK(open[0]["isr"] == json::parse("[1,2]"));
  CHECK(fixture.get_json("/v1/cluster/health")["reassigning"] == 1);

  const std::string off = R"({"reassignments":[{"topic":"rides","partition":0,"replicas":null}]})";
  CHECK(fixture.post_json("/v1/cluster/reassignments", off)["results"][0]["replicas"] == json::parse("[1,2]"));
  CHECK(fixture.post_json("/v1/cluster/reassignments", off)["results"][0]["error"]["reason"] ==
        "no_reassignment_in_progress");
  CHECK(numbers(fixture.now(rides).replicas) == Ids{1, 2});

  const std::string at = R"({"reassignments":[{"topic":"rides","partition":0)";
  for (const std::string& body : {std::string("{}"), std::string(R"({"reassignments":[]})"), at + "}]}",
                                  at + R"(,"replicas":[]}]})", at + R"(,"replicas":3}]})", at + R"(,"replicas":["1"]}]})",
                                  at + R"(,"replicas":[-1]}]})", at + R"(,"replicas":[1.5]}]})", at + R"(,"replica":[1]}]})",
                                  at + R"(,"replicas":[1]},{"topic":"rides","partition":0,"replicas":[2]}]})"}) {
    INFO(body);
    CHECK(fixture.failure(fixture.post("/v1/cluster/reassignments", body)) == 400);
  }
}

TEST_CASE("the quorum tells who votes and how far each is", "[rest][cluster]") {
  ClusterRoutesFixture fixture;
  quorum::QuorumReport report{
      .reporter = BrokerId{2},
      .leader = BrokerId{2},
      .epoch = LeaderEpoch{7},
      .high_watermark = Offset{90},
      .log_end = Offset{95},
      .voters = {{.key = {BrokerId{1}, Uuid{{1}}}, .near = true, .log_end = Offset{91}, .last_contact_ms = 12},
                 {.key = {BrokerId{2}, Uuid{{2}}}, .near = true, .log_end = Offset{95}},
                 {.key = {BrokerId{3}, Uuid{{3}}}, .near = false, .log_end = Offset{5}, .last_contact_ms = 9'000}},
      .observers = {{.key = {BrokerId{4}, Uuid{{4}}}, .near = true, .log_end = Offset{95}, .last_contact_ms = 1}}};
  fixture.broker.whole_cluster().set_report(report);
  const auto quorum = fixture.get_json("/v1/cluster/quorum");
  CHECK(quorum["leader_id"] == 2);
  CHECK(quorum["epoch"] == 7);
  CHECK(quorum["high_watermark"] == 90);
  REQUIRE(quorum["voters"].size() == 3);
  CHECK(quorum["voters"][0]["state"] == "follower");
  CHECK(quorum["voters"][0]["log_end"] == 91);
  CHECK(quorum["voters"][0]["lag"] == 4);
  CHECK(quorum["voters"][0]["last_contact_ms"] == 12);
  CHECK(quorum["voters"][1]["state"] == "leader");
  CHECK(quorum["voters"][1]["last_contact_ms"].is_null());
  CHECK(quorum["voters"][2]["state"] == "silent");
  CHECK(quorum["observers"][0]["state"] == "observer");
  CHECK(quorum["observers"][0]["id"] == 4);

  report.reporter = BrokerId{1};  // not the leader: it knows names only
  report.leader = BrokerId{-1};
  fixture.broker.whole_cluster().set_report(report);
  const auto unknown = fixture.get_json("/v1/cluster/quorum");
  CHECK(unknown["leader_id"] == -1);
  CHECK(unknown["voters"][0]["state"] == "unknown");
  CHECK(unknown["voters"][0]["log_end"].is_null());
}

TEST_CASE("a voter that lost its vote, and a link that is refused, are problems of the cluster", "[rest][cluster]") {
  ClusterRoutesFixture fixture;
  quorum::QuorumReport report{.reporter = BrokerId{1}, .leader = BrokerId{1}};
  for (const std::uint8_t id : {1, 2, 3}) report.voters.push_back({.key = {BrokerId{id}, Uuid{{id}}}, .near = id != 3});
  report.observers = {{.key = {BrokerId{3}, Uuid{{33}}}, .near = true}, {.key = {BrokerId{9}, Uuid{{9}}}, .near = false}};
  fixture.broker.whole_cluster().set_report(report);
  fixture.broker.set_checks({{"links", false, "no link to node 3"}, {"disk", true, "takes what is written"}});
  const auto ill = fixture.get_json("/v1/cluster/health");
  CHECK(ill["healthy"] == false);
  CHECK(ill["voters"] == 3);
  CHECK(ill["voters_up"] == 2);
  REQUIRE(ill["problems"].size() == 2);
  CHECK(ill["problems"][0].get<std::string>().starts_with("voter 3 has no vote"));
  CHECK(ill["problems"][1] == "this node's links: no link to node 3");
  // Nobody who could tell is not nobody who is lost: what is known is told.
  fixture.broker.whole_cluster().fail(Error{Errc::leader_not_available, "the metadata is not available"});
  CHECK(fixture.get_json("/v1/cluster/health")["voters_up"] == 3);
  fixture.broker.whole_cluster().fail(std::nullopt);

  const auto observers = fixture.get_json("/v1/cluster/quorum")["observers"];
  REQUIRE(observers.size() == 1);  // 9 was removed, and is silent
  CHECK(observers[0]["id"] == 3);
}

TEST_CASE("votes are given and taken, and leadership is handed over", "[rest][cluster]") {
  ClusterRoutesFixture fixture;
  auto& cluster = fixture.broker.whole_cluster();
  CHECK(fixture.post_json("/v1/cluster/quorum/voters", R"({"id":4})")["voters"].is_array());
  CHECK(fixture.http.request("DELETE", "/v1/cluster/quorum/voters/3", "", "").status == 200);
  CHECK(fixture.post_json("/v1/cluster/quorum/transfer", R"({"to":2})") == json::parse(R"({"leader_id":1,"epoch":0})"));
  CHECK(fixture.post_json("/v1/cluster/quorum/transfer", "{}")["leader_id"] == 1);
  CHECK(fixture.post_json("/v1/cluster/quorum/transfer", "")["leader_id"] == 1);
  const auto asked = cluster.asked();
  REQUIRE(asked.size() == 5);
  CHECK(std::get<quorum::AddVoter>(asked[0]).broker == BrokerId{4});
  CHECK(std::get<quorum::RemoveVoter>(asked[1]).broker == BrokerId{3});
  CHECK(std::get<quorum::TransferLeadership>(asked[2]).to == BrokerId{2});
  CHECK(std::get<quorum::TransferLeadership>(asked[3]).to == no_broker);
  CHECK(std::get<quorum::TransferLeadership>(asked[4]).to == no_broker);

  for (const std::string body : {"{}", R"({"id":-1})", R"({"id":"4"})", R"({"id":4,"voter":true})", "[4]"}) {
    INFO(body);
    CHECK(fixture.failure(fixture.post("/v1/cluster/quorum/voters", body)) == 400);
  }
  for (const std::string body : {R"({"to":-1})", R"({"to":"2"})", R"({"at":2})", "2"}) {
    INFO(body);
    CHECK(fixture.failure(fixture.post("/v1/cluster/quorum/transfer", body)) == 400);
  }
  CHECK(fixture.http.request("DELETE", "/v1/cluster/quorum/voters/x", "", "").status == 400);
  CHECK(fixture.failure(fixture.post("/v1/cluster/quorum/transfer", R"({"to":9})")) == 404);
  CHECK(cluster.asked().size() == 5);
  cluster.fail(Error{Errc::conflict, "another change of voters is open"});
  CHECK(fixture.failure(fixture.post("/v1/cluster/quorum/voters", R"({"id":4})")) == 409);
  cluster.fail(Error{Errc::not_found, "there is no broker 4"});
  CHECK(fixture.failure(fixture.post("/v1/cluster/quorum/voters", R"({"id":4})")) == 404);
}

TEST_CASE("the actors of all nodes, or why one does not tell", "[rest][cluster]") {
  ClusterRoutesFixture fixture;
  std::vector<NodeTree> trees(2);
  trees[0].node = BrokerId{1};
  trees[0].actors.value().push_back({.kind = "supervisor", .name = "node", .state = "running"});
  trees[1].node = BrokerId{2};
  trees[1].actors = Error{Errc::broker_not_available, "there is no link to broker 2"};
  fixture.broker.whole_cluster().set_trees(std::move(trees));
  const auto nodes = fixture.get_json("/v1/cluster/tree")["nodes"];
  REQUIRE(nodes.size() == 2);
  CHECK(nodes[0]["node_id"] == 1);
  CHECK(nodes[0]["actors"][0]["name"] == "node");
  CHECK(nodes[1]["node_id"] == 2);
  CHECK(nodes[1]["error"]["message"] == "there is no link to broker 2");
  CHECK_FALSE(nodes[1].contains("actors"));
  CHECK(fixture.get_json("/v1/cluster/tree?node=2")["nodes"].size() == 1);
  CHECK(fixture.failure(fixture.http.get("/v1/cluster/tree?node=x")) == 400);
  CHECK(fixture.failure(fixture.http.get("/v1/cluster/tree?node=9")) == 404);
  CHECK(fixture.failure(fixture.http.get("/v1/cluster/tree?nodes=1")) == 400);
}
