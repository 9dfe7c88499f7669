#include <set>

#include "tests/unit/http_server/rest_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using nlohmann::json;

namespace {

constexpr auto json_records = "application/vnd.kafka.json.v2+json";
constexpr auto binary_records = "application/vnd.kafka.binary.v2+json";
constexpr auto text_records = "application/vnd.kafka.text.v2+json";

struct InstancesFixture : RestFixture {
  InstancesFixture() { broker.add_topic("t", 2); }

  HttpAnswer create(const json& body, const std::string& group = "g", const std::string& fields = {}) {
    return post("/consumers/" + group, body.is_null() ? "" : body.dump(), "application/vnd.kafka.v2+json", fields);
  }
  /// Made, subscribed to `t`, from the earliest.
  std::string subscribed(const std::string& name, json settings = json::object()) {
    settings["name"] = name;
    if (!settings.contains("auto.offset.reset")) settings["auto.offset.reset"] = "earliest";
    if (!settings.contains("format")) settings["format"] = "json";
    REQUIRE(create(settings).status == 200);
    CHECK(call("POST", name, "subscription", {{"topics", {"t"}}}).status == 204);
    return name;
  }
  HttpAnswer call(const std::string& method, const std::string& name, const std::string& what, const json& body = nullptr) {
    const auto path = "/consumers/g/instances/" + name + (what.empty() ? "" : "/" + what);
    return http.request(method, path, body.is_null() ? "" : body.dump(),
                        body.is_null() ? "" : "application/vnd.kafka.v2+json");
  }
  HttpAnswer records(const std::string& name, const std::string& query = "timeout=500",
                     const std::string& accept = json_records) {
    return http.request("GET", "/consumers/g/instances/" + name + "/records?" + query, "", "", "Accept: " + accept + "\r\n");
  }
  /// Values of what `records` gives until it gives nothing.
  std::vector<json> values(const std::string& name) {
    std::vector<json> all;
    while (true) {
      const auto answer = records(name, "timeout=20");
      INFO(answer.body);
      REQUIRE(answer.status == 200);
      const auto page = json::parse(answer.body);
      if (page.empty()) return all;
      for (const auto& one : page) all.push_back(one["value"]);
    }
  }
  void append(std::int32_t partition, const std::vector<std::string>& texts) {
    for (const auto& text : texts) broker.append("t", PartitionId{partition}, {{"k", text}});
  }
  std::optional<Offset> committed(std::int32_t partition) { return broker.groups().committed("g", "t", partition); }
  static json at(std::int32_t partition, std::optional<std::int64_t> offset = {}) {
    json one{{"topic", "t"}, {"partition", partition}};
    if (offset) one["offset"] = *offset;
    return one;
  }
};

}  // namespace

TEST_CASE("an instance is made with a name or without, and its name is taken then", "[consumers]") {
  InstancesFixture fixture;
  const auto made = fixture.create({{"name", "c1"}, {"format", "JSON"}});
  CHECK(made.status == 200);
  CHECK(made.fields.at("content-type") == "application/vnd.kafka.v2+json");
  const auto port = std::to_string(fixture.gateway.port());
  CHECK(json::parse(made.body)["instance_id"] == "c1");
  CHECK(json::parse(made.body)["base_uri"].get<std::string>().ends_with("/consumers/g/instances/c1"));
  CHECK(fixture.failure(fixture.create({{"name", "c1"}})) == 40902);
  CHECK(fixture.create({{"name", "c1"}}, "other").status == 200);
  const auto unnamed = fixture.create(nullptr);
  CHECK(json::parse(unnamed.body)["instance_id"].get<std::string>().starts_with("rest-consumer-"));

  CHECK(fixture.call("DELETE", "c1", "").status == 204);
  CHECK(fixture.failure(fixture.call("DELETE", "c1", "")) == 40403);
  CHECK(fixture.failure(fixture.records("c1")) == 40403);
  CHECK(fixture.create({{"name", "c1"}}).status == 200);
}

TEST_CASE("what an instance is made with is checked", "[consumers]") {
  InstancesFixture fixture;
  const auto code = [&](const json& body) {
    const auto answer = fixture.create(body);
    return std::pair{answer.status, fixture.failure(answer)};
  };
  CHECK(code({{"format", "xml"}}) == std::pair{422U, 422});
  CHECK(code({{"format", "avro"}}) == std::pair{422U, 422});
  CHECK(code({{"auto.offset.reset", "tomorrow"}}) == std::pair{422U, 42204});
  CHECK(code({{"auto.commit.enable", "perhaps"}}) == std::pair{422U, 42204});
  CHECK(code({{"fetch.min.bytes", -2}}) == std::pair{422U, 40001});
  CHECK(code({{"name", "a/b"}}) == std::pair{422U, 42204});
  CHECK(code({{"colour", "red"}}) == std::pair{422U, 422});
  CHECK(fixture.failure(fixture.post("/consumers/g", "{", "application/vnd.kafka.v2+json")) == 400);
  CHECK(fixture.failure(fixture.create(json::object(), "a%20b")) == 42204);
  CHECK(fixture.create({{"auto.commit.enable", "false"}, {"consumer.request.timeout.ms", "20"}}).status == 200);
}

TEST_CASE("base_uri is where the client came, behind proxies too", "[consumers]") {
  InstancesFixture fixture;
  const auto uri = [&](const std::string& name, const std::string& fields) {
    return json::parse(fixture.create({{"name", name}}, "g", fields).body)["base_uri"].get<std::string>();
  };
  CHECK(uri("a", "Forwarded: for=1.2.3.4;host=\"api.example:8443\";proto=https\r\n") ==
        "https://api.example:8443/consumers/g/instances/a");
  CHECK(uri("b", "X-Forwarded-Host: h:443\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Path: /bridge/consumers/g\r\n") ==
        "https://h:443/bridge/consumers/g/instances/b");
  CHECK(uri("d", "X-Forwarded-Host: h\r\nX-Forwarded-Prefix: /bridge/\r\n") == "http://h/bridge/consumers/g/instances/d");
  CHECK(uri("c", "Forwarded: host=x;proto=mqtt\r\n").starts_with("http://"));
}

TEST_CASE("the first records after subscribe are there at once, in each format", "[consumers]") {
  InstancesFixture fixture;
  fixture.append(0, {R"({"n":1})", "7"});
  fixture.subscribed("j");
  auto answer = fixture.records("j", "timeout=1000");
  CHECK(answer.fields.at("content-type") == json_records);
  CHECK(json::parse(answer.body) == json::parse(R"([
    {"topic":"t","key":"k","value":{"n":1},"partition":0,"offset":0},
    {"topic":"t","key":"k","value":7,"partition":0,"offset":1}])"));
  CHECK(fixture.call("DELETE", "j", "").status == 204);

  fixture.append(0, {"plain"});
  fixture.subscribed("b", {{"format", "binary"}});
  CHECK(json::parse(fixture.records("b", "timeout=500", binary_records).body)[0]["value"] == "cGxhaW4=");
  CHECK(fixture.call("DELETE", "b", "").status == 204);
  fixture.append(0, {"more"});
  fixture.subscribed("x", {{"format", "text"}, {"include.metadata", true}});
  const auto text = json::parse(fixture.records("x", "timeout=500", text_records).body);
  CHECK(text[0]["value"] == "more");
  CHECK(text[0]["timestamp"] == 1'764'000'000'000);
  CHECK(text[0]["headers"] == json::array());
}

TEST_CASE("records waits for records, not longer than it may, and no longer than it has to", "[consumers]") {
  InstancesFixture fixture;
  fixture.subscribed("c", {{"consumer.request.timeout.ms", 5'000}});
  CHECK(fixture.records("c", "timeout=10").body == "[]");
  CHECK(fixture.records("c", "timeout=0").body == "[]");
  const auto begin = std::chrono::steady_clock::now();
  std::thread later([&] { fixture.append(1, {"1"}); });
  CHECK(json::parse(fixture.records("c", "timeout=60000").body).size() == 1);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(4));
  later.join();
  CHECK(fixture.failure(fixture.records("c", "timeout=x")) == 400);
}

TEST_CASE("the wrong Accept and data of another format are refused, and the position stays", "[consumers]") {
  InstancesFixture fixture;
  fixture.append(0, {"1", "not json", "3"});
  fixture.subscribed("c");
  CHECK(fixture.records("c", "timeout=100", binary_records).status == 406);
  CHECK(fixture.failure(fixture.records("c", "timeout=100", binary_records)) == 40601);
  CHECK(json::parse(fixture.records("c").body).size() == 1);
  for (int i = 0; i < 2; ++i) {
    const auto stuck = fixture.records("c");
    CHECK(stuck.status == 408);
    CHECK(fixture.failure(stuck) == 40801);
  }
  // Other partitions go on.
  fixture.append(1, {"9"});
  CHECK(json::parse(fixture.records("c").body)[0]["value"] == 9);
  CHECK(fixture.call("POST", "c", "positions", {{"offsets", {InstancesFixture::at(0, 2)}}}).status == 204);
  CHECK(json::parse(fixture.records("c").body)[0]["value"] == 3);
}

TEST_CASE("max_bytes smaller than a record gives one, and loses none", "[consumers]") {
  InstancesFixture fixture;
  fixture.broker.append("t", PartitionId{0}, {{"k", "1"}, {"k", "2"}, {"k", "3"}});
  fixture.subscribed("c");
  for (int i = 1; i <= 3; ++i) {
    const auto page = json::parse(fixture.records("c", "timeout=500&max_bytes=1").body);
    REQUIRE(page.size() == 1);
    CHECK(page[0]["value"] == i);
  }
}

TEST_CASE("commits: what was read, or what the body names, behind it", "[consumers]") {
  InstancesFixture fixture;
  fixture.append(0, {"1", "2", "3"});
  fixture.subscribed("c", {{"auto.commit.enable", "false"}});
  CHECK(fixture.values("c").size() == 3);
  const auto all = fixture.call("POST", "c", "offsets");
  CHECK(all.status == 200);
  CHECK(all.body == "[]");
  CHECK(fixture.committed(0) == Offset{3});
  CHECK(fixture.call("POST", "c", "offsets", {{"offsets", {InstancesFixture::at(0, 0)}}}).status == 200);
  CHECK(fixture.committed(0) == Offset{1});
  const auto shown = fixture.http.request("GET", "/consumers/g/instances/c/offsets",
                                          json{{"partitions", {InstancesFixture::at(0), InstancesFixture::at(1)}}}.dump(),
                                          "application/vnd.kafka.v2+json");
  CHECK(json::parse(shown.body) == json::parse(R"({"offsets":[{"topic":"t","partition":0,"offset":1,"metadata":""},
                                   {"topic":"t","partition":1,"offset":0,"metadata":""}]})"));
  CHECK(fixture.get_json("/consumers/g/instances/c/offsets?partitions=t:0")["offsets"][0]["offset"] == 1);
  CHECK(fixture.failure(fixture.http.get("/consumers/g/instances/c/offsets")) == 40402);
  CHECK(fixture.failure(fixture.call("POST", "c", "offsets",
                                     {{"offsets", {{{"topic", "x"}, {"partition", 0}, {"offset", 1}}}}})) == 40401);
}

TEST_CASE("with auto commit a record counts when the client comes back after it", "[consumers]") {
  InstancesFixture fixture;
  fixture.append(0, {"1", "2", "3"});
  fixture.subscribed("c");
  CHECK(fixture.values("c").size() == 3);
  CHECK(fixture.call("DELETE", "c", "").status == 204);
  CHECK(GatewayFixture::eventually([&] { return fixture.committed(0) == Offset{3}; }));
  fixture.append(0, {"4"});
  fixture.subscribed("c");
  CHECK(fixture.values("c") == std::vector<json>{4});
}

TEST_CASE("positions: offsets, times, the beginning and the end", "[consumers]") {
  InstancesFixture fixture;
  fixture.append(0, {"1", "2", "3"});
  fixture.subscribed("c");
  CHECK(fixture.values("c").size() == 3);
  CHECK(fixture.call("POST", "c", "positions/beginning", {{"partitions", {InstancesFixture::at(0)}}}).status == 204);
  CHECK(fixture.values("c").size() == 3);
  CHECK(fixture.call("POST", "c", "positions/end", {{"partitions", {InstancesFixture::at(0)}}}).status == 204);
  CHECK(fixture.values("c").empty());
  CHECK(fixture.call("POST", "c", "positions", {{"offsets", {InstancesFixture::at(0, 1)}}}).status == 204);
  CHECK(fixture.values("c") == std::vector<json>{2, 3});
  json time = InstancesFixture::at(0);
  time["timestamp"] = "2025-01-02T03:04:05Z";
  CHECK(fixture.call("POST", "c", "positions", {{"timestamps", {time}}}).status == 204);
  CHECK(fixture.values("c").size() == 3);
  CHECK(fixture.failure(fixture.call("POST", "c", "positions", {{"offsets", {InstancesFixture::at(7, 1)}}})) == 40402);
}

TEST_CASE("subscriptions and assignments exclude each other", "[consumers]") {
  InstancesFixture fixture;
  fixture.append(1, {"1"});
  fixture.subscribed("c");
  CHECK(json::parse(fixture.http.get("/consumers/g/instances/c/subscription").body) == json{{"topics", {"t"}}});
  CHECK(json::parse(fixture.http.get("/consumers/g/instances/c/assignments").body)["partitions"].size() == 2);
  const json partition{{"partitions", {InstancesFixture::at(1)}}};
  CHECK(fixture.failure(fixture.call("POST", "c", "assignments", partition)) == 40903);
  CHECK(fixture.failure(fixture.call("POST", "c", "subscription", {{"topics", {"t"}}, {"topic_pattern", "t.*"}})) == 40903);
  CHECK(fixture.failure(fixture.call("POST", "c", "subscription", json::object())) == 422);
  CHECK(fixture.failure(fixture.call("POST", "c", "subscription", {{"topics", {"__consumer_offsets"}}})) == 40301);
  CHECK(fixture.failure(fixture.call("POST", "c", "subscription", {{"topic_pattern", "("}})) == 422);
  CHECK(fixture.call("DELETE", "c", "subscription").status == 204);
  CHECK(fixture.broker.groups().members("g") == 0);
  CHECK(fixture.failure(fixture.call("POST", "c", "positions/end", partition)) == 40903);
  CHECK(fixture.failure(fixture.call("POST", "c", "offsets")) == 40903);

  CHECK(fixture.call("POST", "c", "assignments", partition).status == 204);
  CHECK(fixture.values("c") == std::vector<json>{1});
  CHECK(fixture.failure(fixture.call("POST", "c", "subscription", {{"topics", {"t"}}})) == 40903);
  CHECK(fixture.call("POST", "c", "offsets").status == 200);
  CHECK(fixture.committed(1) == Offset{1});
}

TEST_CASE("a pattern reads the topics of its kind", "[consumers]") {
  InstancesFixture fixture;
  fixture.append(0, {"1"});
  REQUIRE(fixture.create({{"name", "c"}, {"format", "json"}, {"auto.offset.reset", "earliest"}}).status == 200);
  CHECK(fixture.call("POST", "c", "subscription", {{"topic_pattern", "t|u"}}).status == 204);
  CHECK(fixture.values("c") == std::vector<json>{1});
  CHECK(fixture.get_json("/consumers/g/instances/c/subscription")["topics"] == json{"t"});
}

TEST_CASE("two instances share the partitions, and one has all when the other is gone", "[consumers]") {
  InstancesFixture fixture;
  fixture.subscribed("a");
  fixture.subscribed("b");
  const auto owned = [&](const std::string& name) {
    return fixture.get_json("/consumers/g/instances/" + name + "/assignments")["partitions"].size();
  };
  CHECK(GatewayFixture::eventually([&] { return owned("a") == 1 && owned("b") == 1; }));
  fixture.append(0, {"1"});
  fixture.append(1, {"2"});
  CHECK(fixture.values("a").size() == 1);
  CHECK(fixture.values("b").size() == 1);
  CHECK(fixture.call("DELETE", "a", "").status == 204);
  CHECK(GatewayFixture::eventually([&] { return owned("b") == 2; }));
}

TEST_CASE("what happens to the member is told by records", "[consumers]") {
  InstancesFixture fixture;
  fixture.broker.consumers().fail_open(Error{Errc::overloaded, "as many as there may be"});
  fixture.subscribed("c");
  CHECK(fixture.records("c").status == 503);
}
