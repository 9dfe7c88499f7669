#include "tests/unit/http_server/rest_fixture.hpp"

// Consumer groups through /v1 and /v3.

using namespace troupe;
using namespace troupe::test;
using nlohmann::json;

namespace {

struct GroupsFixture : RestFixture {
  GroupsFixture() {
    broker.add_topic("orders", 2);
    broker.append("orders", PartitionId{0}, {{"", "a"}, {"", "b"}, {"", "c"}, {"", "d"}});
    broker.append("orders", PartitionId{1}, {{"", "e"}});
    root = "/v3/clusters/" + to_string(broker.cluster().cluster_id) + "/consumer-groups";
    base = "http://localhost:" + std::to_string(gateway.port()) + root;
  }
  group::HeartbeatAnswer join(const std::string& group, const std::string& member, const std::string& instance = {}) {
    group::MemberProfile profile;
    profile.topics = {"orders"};
    profile.instance_id = instance;
    profile.client_id = "worker";
    profile.client_host = "10.0.0.1";
    std::optional<group::HeartbeatAnswer> said;
    broker.groups().heartbeat({group, member, group::joining, profile, {}}, 1'000,
                              Reply<group::HeartbeatAnswer>{[&](Result<group::HeartbeatAnswer> answer) {
                                REQUIRE(answer);
                                said = *answer;
                              }});
    REQUIRE(said);
    return *said;
  }
  void commit(const std::string& group, std::int32_t partition, std::int64_t offset, group::Committer who = {}) {
    broker.groups().commit(
        {group, std::move(who), {{"orders", PartitionId{partition}, Offset{offset}, no_leader_epoch, "note", 0}}}, 1'000,
        Reply<std::vector<Status>>{[](Result<std::vector<Status>> answer) {
          REQUIRE(answer);
          REQUIRE(answer->at(0));
        }});
  }
  json reset(const std::string& group, const std::string& body, unsigned status = 200) {
    const auto answer = post("/v1/groups/" + group + "/reset", body);
    INFO(body << " " << answer.body);
    CHECK(answer.status == status);
    return json::parse(answer.body);
  }
  HttpAnswer remove(const std::string& path) { return http.request("DELETE", path, "", ""); }
  std::int64_t committed(const std::string& group, std::int32_t partition) {
    return broker.groups().committed(group, "orders", partition)->value();
  }

  std::string root;
  std::string base;
};

}  // namespace

TEST_CASE("groups are listed", "[rest][groups]") {
  GroupsFixture fixture;
  CHECK(fixture.get_json("/v1/groups") == json::parse(R"({"groups":[],"silent":[]})"));
  fixture.join("billing", "m1");
  fixture.commit("audit", 0, 1);
  const auto listed = fixture.get_json("/v1/groups");
  REQUIRE(listed["groups"].size() == 2);
  CHECK(listed["groups"][0] ==
        json::parse(R"({"group":"audit","state":"empty","paused":false,"members":0,"epoch":0,"assignor":"uniform",
                                               "type":"consumer","protocol_type":null})"));
  CHECK(listed["groups"][1]["group"] == "billing");
  CHECK(listed["groups"][1]["state"] == "stable");
  CHECK(listed["groups"][1]["members"] == 1);
}

TEST_CASE("a group of the classic protocol shows what its members have assigned", "[rest][groups]") {
  GroupsFixture fixture;
  group::ClassicJoinRequest join;
  join.group = "kafka";
  join.client_id = "app";
  join.client_host = "/10.0.0.7";
  join.protocol_type = "consumer";
  join.protocols = {{"range", std::string("\0\1\0\0\0\1\0\6orders", 14)}};
  std::string member;
  fixture.broker.groups().join(join, 1'000, Reply<group::ClassicJoinAnswer>{[&](Result<group::ClassicJoinAnswer> answer) {
                                 REQUIRE(answer);
                                 member = answer->member;
                               }});
  fixture.broker.groups().advance(500);
  REQUIRE_FALSE(member.empty());
  CHECK(fixture.get_json("/v1/groups/kafka")["state"] == "completing_rebalance");
  group::ClassicSyncRequest sync{"kafka", member, {}, group::GroupEpoch{1}, {}, {}, {}};
  sync.assignments = {{member, std::string("\0\1\0\0\0\1\0\6orders\0\0\0\1\0\0\0\1", 22)}};
  bool synced = false;
  fixture.broker.groups().sync(sync, 1'000, Reply<group::ClassicSyncAnswer>{[&](Result<group::ClassicSyncAnswer> answer) {
                                 synced = answer.has_value();
                               }});
  REQUIRE(synced);

  const auto shown = fixture.get_json("/v1/groups/kafka");
  CHECK(shown["type"] == "classic");
  CHECK(shown["protocol_type"] == "consumer");
  CHECK(shown["assignor"] == "range");
  CHECK(shown["state"] == "stable");
  CHECK(shown["epoch"] == 1);
  CHECK(shown["leader"] == member);
  REQUIRE(shown["members"].size() == 1);
  CHECK(shown["members"][0]["client_host"] == "/10.0.0.7");
  CHECK(shown["members"][0]["topics"] == json{"orders"});
  CHECK(shown["members"][0]["assigned"] == json::parse(R"([{"topic":"orders","partition":1}])"));
  CHECK(shown["partitions"][0]["member"] == member);
  const auto listed = fixture.get_json("/v1/groups")["groups"][0];
  CHECK(listed["type"] == "classic");
  CHECK(listed["protocol_type"] == "consumer");
  CHECK(fixture.get_json(fixture.root + "/kafka")["type"] == "CLASSIC");
  CHECK(fixture.reset("kafka", R"({"to":"earliest","topics":["orders"]})", 409)["error_code"] == 409);
}

TEST_CASE("a group shows its members, what they read, and how far behind it is", "[rest][groups]") {
  GroupsFixture fixture;
  const auto joined = fixture.join("billing", "m1", "worker-1");
  fixture.commit("billing", 0, 1, {"m1", joined.epoch});
  const auto group = fixture.get_json("/v1/groups/billing");
  CHECK(group["state"] == "stable");
  CHECK(group["epoch"] == 1);
  CHECK(group["assignor"] == "uniform");
  CHECK(group["coordinator"].is_null());  // the broker in memory has no topic for groups
  CHECK(group["lag"] == 3);
  REQUIRE(group["members"].size() == 1);
  const auto& member = group["members"][0];
  CHECK(member["member"] == "m1");
  CHECK(member["instance_id"] == "worker-1");
  CHECK(member["client_id"] == "worker");
  CHECK(member["client_host"] == "10.0.0.1");
  CHECK(member["topics"] == json::parse(R"(["orders"])"));
  CHECK(member["pattern"].is_null());
  CHECK(member["state"] == "stable");
  CHECK(member["assigned"] == json::parse(R"([{"topic":"orders","partition":0},{"topic":"orders","partition":1}])"));
  REQUIRE(group["partitions"].size() == 2);
  const auto& first = group["partitions"][0];
  CHECK(first["topic"] == "orders");
  CHECK(first["partition"] == 0);
  CHECK(first["committed"] == 1);
  CHECK(first["metadata"] == "note");
  CHECK(first["log_start"] == 0);
  CHECK(first["log_end"] == 4);
  CHECK(first["lag"] == 3);
  CHECK(first["member"] == "m1");
  CHECK(group["partitions"][1]["committed"].is_null());
  CHECK(group["partitions"][1]["lag"].is_null());
  const auto offsets = fixture.get_json("/v1/groups/billing/offsets");
  CHECK(offsets["partitions"] == group["partitions"]);
  CHECK(offsets["lag"] == 3);
  CHECK(fixture.failure(fixture.http.get("/v1/groups/none")) == 404);
  CHECK(fixture.failure(fixture.http.get("/v1/groups/none/offsets")) == 404);
}

TEST_CASE("positions are reset to where they are to go, never outside the log", "[rest][groups]") {
  GroupsFixture fixture;
  fixture.broker.advance_log_start("orders", PartitionId{0}, Offset{4});
  fixture.broker.append("orders", PartitionId{0}, {{"", "x"}, {"", "y"}}, TimestampMs{1'800'000'000'000});
  fixture.commit("audit", 0, 5);
  fixture.commit("audit", 1, 1);
  const auto after = [&](const std::string& body) {
    const auto answer = fixture.reset("audit", body);
    std::vector<json> all;
    for (const auto& one : answer["results"]) all.push_back(one.value("after", json()));
    return json(all);
  };
  CHECK(after(R"({"to":"earliest","dry_run":true})") == json::parse("[4,0]"));
  CHECK(fixture.committed("audit", 0) == 5);  // nothing was done
  CHECK(after(R"({"to":"earliest"})") == json::parse("[4,0]"));
  CHECK(fixture.committed("audit", 0) == 4);
  CHECK(after(R"({"to":"latest"})") == json::parse("[6,1]"));
  CHECK(after(R"({"shift_by":-1})") == json::parse("[5,0]"));
  CHECK(after(R"({"shift_by":-9223372036854775808})") == json::parse("[4,0]"));
  CHECK(after(R"({"shift_by":9223372036854775807})") == json::parse("[6,1]"));
  CHECK(after(R"({"to_offset":5})") == json::parse("[5,1]"));
  CHECK(after(R"({"to_offset":0,"partitions":[{"topic":"orders","partition":0}]})") == json::parse("[4]"));
  CHECK(after(R"({"to_time":1790000000000})") == json::parse("[4,1]"));
  CHECK(after(R"({"to_time":"2040-01-01T00:00:00Z"})") == json::parse("[6,1]"));
  CHECK(after(R"({"to":"current"})") == json::parse("[6,1]"));

  // A group that does not exist yet begins where it is told to, in the topics that are named.
  const auto made = fixture.reset("new", R"({"to":"earliest","topics":["orders"]})");
  CHECK(made["results"].size() == 2);
  CHECK(made["results"][0]["before"].is_null());
  CHECK(fixture.committed("new", 1) == 0);
  const auto nowhere = fixture.reset("newer", R"({"shift_by":1,"topics":["orders"]})");
  CHECK(nowhere["results"][0]["error"]["reason"] == "invalid_argument");
  const auto unknown = fixture.reset("new", R"({"to":"latest","partitions":[{"topic":"orders","partition":7}]})");
  CHECK(unknown["results"][0]["error"]["reason"] == "unknown_topic_or_partition");
}

TEST_CASE("positions are reset while members read", "[rest][groups]") {
  GroupsFixture fixture;
  const auto joined = fixture.join("billing", "m1");
  fixture.commit("billing", 0, 3, {"m1", joined.epoch});
  fixture.reset("billing", R"({"to_offset":1,"partitions":[{"topic":"orders","partition":0}]})");
  CHECK(fixture.committed("billing", 0) == 1);
}

TEST_CASE("a reset that makes no sense is refused, and says why", "[rest][groups]") {
  GroupsFixture fixture;
  fixture.commit("audit", 0, 1);
  const std::pair<std::string, std::string> wrong[] = {
      {R"({})", "one of to"},
      {R"({"to":"earliest","shift_by":1})", "one of to"},
      {R"({"to":"middle"})", "to is earliest, latest or current"},
      {R"({"to":3})", "to is earliest"},
      {R"({"to_offset":-1})", "to_offset"},
      {R"({"to_offset":18446744073709551615})", "to_offset"},
      {R"({"shift_by":1.5})", "shift_by"},
      {R"({"to_time":"yesterday"})", "to_time"},
      {R"({"to":"latest","topics":[]})", "topics"},
      {R"({"to":"latest","topics":"orders"})", "topics"},
      {R"({"to":"latest","partitions":[{"topic":"orders"}]})", "partitions[0].partition"},
      {R"({"to":"latest","dry_run":1})", "dry_run"},
      {R"({"to":"latest","execute":true})", "execute"},
      {R"([1])", ""},
  };
  for (const auto& [body, why] : wrong) {
    INFO(body);
    CHECK(fixture.reset("audit", body, 400)["message"].get<std::string>().find(why) != std::string::npos);
  }
  CHECK(fixture.reset("audit", R"({"to":"latest","topics":["none"]})", 404)["error_code"] == 40401);
  CHECK(fixture.reset("none", R"({"to":"latest"})", 404)["code"] == "unknown_group");
  CHECK(fixture.reset("no%20good", R"({"to":"latest","topics":["orders"]})", 400)["error_code"] == 400);
  CHECK(fixture.committed("audit", 0) == 1);
}

TEST_CASE("a group is paused and resumed", "[rest][groups]") {
  GroupsFixture fixture;
  CHECK(fixture.failure(fixture.post("/v1/groups/none/pause", "")) == 404);
  CHECK(fixture.failure(fixture.post("/v1/groups/no%20good/pause", "")) == 400);
  fixture.join("billing", "m1");
  const auto said = fixture.post("/v1/groups/billing/pause", "");
  CHECK(said.status == 200);
  CHECK(json::parse(said.body) == json::parse(R"({"group":"billing","paused":true})"));
  CHECK(fixture.get_json("/v1/groups/billing")["paused"] == true);
  CHECK(fixture.get_json("/v1/groups")["groups"][0]["paused"] == true);
  CHECK(fixture.join("billing", "m2").paused);
  CHECK(json::parse(fixture.post("/v1/groups/billing/resume", "{}").body)["paused"] == false);
  CHECK(fixture.get_json("/v1/groups/billing")["paused"] == false);
}

TEST_CASE("groups and their offsets are deleted", "[rest][groups]") {
  GroupsFixture fixture;
  fixture.join("billing", "m1");
  fixture.commit("audit", 0, 1);
  fixture.commit("audit", 1, 1);
  CHECK(fixture.failure(fixture.remove("/v1/groups/billing")) == 409);
  CHECK(fixture.failure(fixture.remove("/v1/groups/none")) == 404);
  CHECK(fixture.failure(fixture.remove("/v1/groups/audit/offsets")) == 400);
  CHECK(fixture.failure(fixture.remove("/v1/groups/audit/offsets?topic=orders&partition=x")) == 400);
  const auto one = json::parse(fixture.remove("/v1/groups/audit/offsets?topic=orders&partition=1").body);
  CHECK(one["results"] == json::parse(R"([{"topic":"orders","partition":1}])"));
  const auto missing = json::parse(fixture.remove("/v1/groups/audit/offsets?topic=orders&partition=1").body);
  CHECK(missing["results"][0]["error"]["reason"] == "unknown_topic_or_partition");
  CHECK(json::parse(fixture.remove("/v1/groups/audit/offsets?topic=orders").body)["results"].size() == 1);
  fixture.commit("audit", 0, 2);
  CHECK(fixture.remove("/v1/groups/audit").status == 204);
  CHECK(fixture.remove("/v1/groups/audit").status == 404);
}

TEST_CASE("a coordinator that is away is a 503, and says when to come again", "[rest][groups]") {
  GroupsFixture fixture;
  fixture.commit("audit", 0, 1);
  fixture.broker.groups().go_away();
  for (const std::string path : {"/v1/groups", "/v1/groups/audit", "/v1/groups/audit/offsets"}) {
    INFO(path);
    const auto answer = fixture.http.get(path);
    CHECK(answer.status == 503);
    CHECK(answer.fields.contains("retry-after"));
  }
  fixture.broker.groups().come_back();
  CHECK(fixture.get_json("/v1/groups/audit")["partitions"][0]["committed"] == 1);
}

TEST_CASE("version 3 shows groups, members, assignments and lags as Confluent does", "[rest][groups][v3]") {
  GroupsFixture fixture;
  const auto joined = fixture.join("billing", "m 1", "worker-1");
  fixture.commit("billing", 0, 1, {"m 1", joined.epoch});
  fixture.commit("billing", 1, 1, {"m 1", joined.epoch});
  fixture.commit("audit", 0, 0);

  const auto groups = fixture.get_json(fixture.root);
  CHECK(groups["kind"] == "KafkaConsumerGroupList");
  CHECK(groups["metadata"]["self"] == fixture.base);
  REQUIRE(groups["data"].size() == 2);
  CHECK(groups["data"][0]["consumer_group_id"] == "audit");
  CHECK(groups["data"][0]["is_simple"] == true);
  CHECK(groups["data"][0]["state"] == "EMPTY");

  const auto group = fixture.get_json(fixture.root + "/billing");
  CHECK(group == groups["data"][1]);
  CHECK(group["kind"] == "KafkaConsumerGroup");
  CHECK(group["is_simple"] == false);
  CHECK(group["partition_assignor"] == "uniform");
  CHECK(group["state"] == "STABLE");
  CHECK(group["type"] == "CONSUMER");
  CHECK(group["consumers"]["related"] == fixture.base + "/billing/consumers");
  CHECK(group["lag_summary"]["related"] == fixture.base + "/billing/lag-summary");

  const auto consumers = fixture.get_json(fixture.root + "/billing/consumers");
  REQUIRE(consumers["data"].size() == 1);
  const auto consumer = fixture.get_json(fixture.root + "/billing/consumers/m%201");
  CHECK(consumer == consumers["data"][0]);
  CHECK(consumer["consumer_id"] == "m 1");
  CHECK(consumer["instance_id"] == "worker-1");
  CHECK(consumer["client_id"] == "worker");
  CHECK(consumer["metadata"]["self"] == fixture.base + "/billing/consumers/m%201");

  const auto assignments = fixture.get_json(fixture.root + "/billing/consumers/m%201/assignments");
  REQUIRE(assignments["data"].size() == 2);
  const auto& assignment = assignments["data"][1];
  CHECK(assignment["kind"] == "KafkaConsumerAssignment");
  CHECK(assignment["topic_name"] == "orders");
  CHECK(assignment["partition_id"] == 1);
  CHECK(assignment["lag"]["related"] == fixture.base + "/billing/lags/orders/partitions/1");
  CHECK(fixture.get_json(fixture.root + "/billing/consumers/m%201/assignments/orders/partitions/1") == assignment);

  const auto lags = fixture.get_json(fixture.root + "/billing/lags");
  REQUIRE(lags["data"].size() == 2);
  CHECK(lags["data"][0]["lag"] == 3);  // the highest first
  CHECK(lags["data"][1]["lag"] == 0);
  const auto lag = fixture.get_json(fixture.root + "/billing/lags/orders/partitions/0");
  CHECK(lag == lags["data"][0]);
  CHECK(lag["kind"] == "KafkaConsumerLag");
  CHECK(lag["current_offset"] == 1);
  CHECK(lag["log_end_offset"] == 4);
  CHECK(lag["consumer_id"] == "m 1");

  const auto summary = fixture.get_json(fixture.root + "/billing/lag-summary");
  CHECK(summary["kind"] == "KafkaConsumerGroupLagSummary");
  CHECK(summary["max_lag"] == 3);
  CHECK(summary["total_lag"] == 3);
  CHECK(summary["max_lag_topic_name"] == "orders");
  CHECK(summary["max_lag_partition_id"] == 0);
  CHECK(summary["max_lag_consumer_id"] == "m 1");
  CHECK(summary["max_lag_instance_id"] == "worker-1");

  fixture.join("fresh", "m");
  for (const std::string path :
       {"/none", "/none/consumers", "/none/lags", "/none/lag-summary", "/billing/consumers/none",
        "/billing/consumers/none/assignments", "/billing/consumers/m%201/assignments/orders/partitions/9",
        "/billing/lags/orders/partitions/9", "/billing/lags/none/partitions/0", "/fresh/lags", "/fresh/lag-summary"}) {
    INFO(path);
    CHECK(fixture.failure(fixture.http.get(fixture.root + path)) == 404);
  }
}
