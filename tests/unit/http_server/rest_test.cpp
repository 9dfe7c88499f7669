#include "tests/unit/http_server/rest_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using nlohmann::json;

namespace {

const std::string json_v2 = "application/vnd.kafka.json.v2+json";
const std::string binary_v2 = "application/vnd.kafka.binary.v2+json";

}  // namespace

TEST_CASE("records written through /v1 are read back", "[rest]") {
  RestFixture fixture;
  fixture.broker.add_topic("t");
  const auto written = fixture.post(
      "/v1/topics/t/records",
      R"({"records":[{"key":"a","value":{"x":[1, 2]},"headers":{"h":"1"},"ts":1764000000001},{"value":"text"},{"key":"a","value":null}],)"
      R"("acks":"leader"})");
  REQUIRE(written.status == 200);
  CHECK(json::parse(written.body) == json::parse(R"({"results":[{"p":0,"o":0,"ts":1764000000001,"dup":false},)"
                                                 R"({"p":0,"o":1,"ts":1764000000000,"dup":false},)"
                                                 R"({"p":0,"o":2,"ts":1764000000000,"dup":false}]})"));
  const auto page = fixture.get_json("/v1/topics/t/records");
  REQUIRE(page["records"].size() == 3);
  CHECK(page["end"] == true);
  CHECK(page["records"][0] == json::parse(R"({"p":0,"o":0,"ts":1764000000001,"k":"a","v":{"x":[1,2]},"h":{"h":"1"}})"));
  CHECK(page["records"][1]["v"] == "text");
  CHECK(page["records"][2]["del"] == true);

  const auto cursor = page["cursor"].get<std::string>();
  CHECK(fixture.get_json("/v1/topics/t/records?cursor=" + cursor)["records"].empty());
  const auto lines =
      fixture.post("/v1/topics/t/records?acks=none", "{\"value\":1}\n{\"value\":2}\n", "application/x-ndjson");
  CHECK(json::parse(lines.body) == json::parse(R"({"results":[{"p":0},{"p":0}]})"));
  CHECK(fixture.get_json("/v1/topics/t/records?cursor=" + cursor)["records"].size() == 2);
  CHECK(fixture.get_json("/v1/topics/t/records?order=desc&limit=1")["records"][0]["o"] == 4);
  CHECK(fixture.get_json("/v1/topics/t/records?from=last:2")["records"][0]["o"] == 3);
  CHECK(fixture.get_json("/v1/topics/t/records?limit=2")["records"].size() == 2);
  CHECK(fixture.get_json("/v1/topics/t/records?limit=999999999&max_bytes=1")["records"].size() == 1);
  CHECK(fixture.get_json("/v1/topics/t/partitions/0/records?offset=4")["records"].size() == 1);
}

TEST_CASE("a read that makes no sense is refused with a reason", "[rest]") {
  // Goal: rows 61 to 63.
  RestFixture fixture;
  const auto topic = fixture.broker.add_topic("t", 2);
  const auto other = fixture.broker.add_topic("other");
  fixture.broker.append("t", PartitionId{0}, {{"a", "1"}});
  const auto foreign = fixture.get_json("/v1/topics/other/records")["cursor"].get<std::string>();
  for (const std::string query :
       {"limit=0", "limit=-1", "limit=x", "max_bytes=0", "wait=-1", "from=never", "cursor=%00", "cursor=AAAA", "order=up",
        "from=earliest&cursor=x", "order=desc&wait=1", "form=earliest", "format=xml", "from=last:-1"}) {
    INFO(query);
    const auto answer = fixture.http.get("/v1/topics/t/records?" + query);
    CHECK(answer.status == 400);
    CHECK(fixture.failure(answer) == 400);
  }
  CHECK(fixture.http.get("/v1/topics/t/records?cursor=" + foreign).status == 400);
  CHECK(fixture.http.get("/v1/topics/t/records?form=earliest").body.find("from?") != std::string::npos);
  CHECK(fixture.failure(fixture.http.get("/v1/topics/t/records?from=offset:7:0")) == 40402);
  for (const std::string offset : {"-1", "-3", "9223372036854775808", "1e3", "abc", ""}) {
    CHECK(fixture.failure(fixture.http.get("/v1/topics/t/partitions/0/records?offset=" + offset)) == 400);
  }
  for (const std::string offset : {"2", "9223372036854775807"}) {
    const auto answer = fixture.http.get("/v1/topics/t/partitions/0/records?offset=" + offset);
    CHECK(fixture.failure(answer) == 416);
    CHECK(answer.body.find("earliest 0 to latest 1") != std::string::npos);
  }
  CHECK(fixture.failure(fixture.http.get("/v1/topics/t/partitions/2/records")) == 40402);
  CHECK(fixture.failure(fixture.http.get("/v1/topics/nope/records")) == 40401);
}

TEST_CASE("a long poll ends with the first record", "[rest]") {
  RestFixture fixture;
  fixture.broker.add_topic("t", 2);
  fixture.http.send("GET /v1/topics/t/records?from=latest&wait=999999999 HTTP/1.1\r\n" + fixture.http.host() + "\r\n");
  REQUIRE(GatewayFixture::eventually([&] { return fixture.broker.waiting_fetches() == 2; }));
  fixture.broker.append("t", PartitionId{1}, {{"a", "1"}});
  const auto answer = fixture.http.read();
  CHECK(json::parse(answer.body)["records"].size() == 1);
  // It ends by itself as well, and when the client has said goodbye.
  CHECK(fixture.get_json("/v1/topics/t/records?from=latest&wait=50")["records"].empty());
  HttpClient leaving(fixture.gateway.port());
  leaving.send("GET /v1/topics/t/records?from=latest&wait=60000 HTTP/1.1\r\n" + leaving.host() + "\r\n");
  REQUIRE(GatewayFixture::eventually([&] { return fixture.broker.waiting_fetches() == 2; }));
  leaving.end_sending();
  CHECK(leaving.read().status == 200);
  CHECK(GatewayFixture::eventually([&] { return fixture.broker.waiting_fetches() == 0; }));
}

TEST_CASE("the last record of a key has its offset for an ETag", "[rest]") {
  RestFixture fixture;
  fixture.broker.add_topic("t");
  fixture.broker.append("t", PartitionId{0}, {{"a/b", "1"}, {"a/b", "2"}, {"gone", "1"}});
  CHECK(fixture.post("/v1/topics/t/records", R"({"records":[{"key":"gone","value":null}]})").status == 200);
  const auto answer = fixture.http.get("/v1/topics/t/keys/a%2Fb");
  REQUIRE(answer.status == 200);
  CHECK(answer.fields.at("etag") == "\"1\"");
  CHECK(json::parse(answer.body)["v"] == 2);
  const auto known = fixture.http.get("/v1/topics/t/keys/a%2Fb", "If-None-Match: \"1\"\r\n");
  CHECK(known.status == 304);
  CHECK(known.body.empty());
  CHECK(fixture.http.get("/v1/topics/t/keys/none").status == 404);
  CHECK(fixture.http.get("/v1/topics/t/keys/gone").status == 404);
}

TEST_CASE("topics are created, shown, changed and deleted", "[rest]") {
  RestFixture fixture;
  const auto created =
      fixture.post("/v1/topics", R"({"name":"t","partitions":2,"config":{"retention.ms":60000,"flush":"interval"}})");
  REQUIRE(created.status == 201);
  CHECK(created.fields.at("location") == "/v1/topics/t");
  const auto topic = json::parse(created.body);
  CHECK(topic["partitions"].size() == 2);
  CHECK(topic["partitions"][1] == json::parse(R"({"p":1,"leader":1,"epoch":0,"replicas":[1],"isr":[1],"start":0,"end":0})"));
  CHECK(topic["config"]["retention.ms"] == "60000");
  CHECK(fixture.get_json("/v1/topics/t") == topic);
  CHECK(fixture.get_json("/v1/topics")["topics"][0]["name"] == "t");
  CHECK(fixture.failure(fixture.post("/v1/topics", R"({"name":"t"})")) == 409);
  CHECK(fixture.post("/v1/topics", R"({"name":"u","validate_only":true})").status == 200);
  CHECK(fixture.http.get("/v1/topics/u").status == 404);

  const auto changed = fixture.http.request("PATCH", "/v1/topics/t", R"({"partitions":3,"config":{"retention.ms":null}})");
  REQUIRE(changed.status == 200);
  CHECK(json::parse(changed.body)["partitions"].size() == 3);
  CHECK(fixture.failure(fixture.http.request("PATCH", "/v1/topics/t", R"({"partitions":2})")) == 40002);
  CHECK(fixture.http.request("DELETE", "/v1/topics/t", "", "").status == 204);
  CHECK(fixture.failure(fixture.http.request("DELETE", "/v1/topics/t", "", "")) == 40401);
}

TEST_CASE("a topic that cannot be is refused with the limit or the name", "[rest]") {
  // Goal: rows 57 and 60.
  RestFixture fixture;
  const std::vector<std::pair<std::string, int>> cases{
      {R"({"name":""})", 40002},
      {R"({"name":"."})", 40002},
      {R"({"name":".."})", 40002},
      {R"({"name":"a/b"})", 40002},
      {R"({"name":"a b"})", 40002},
      {R"({"name":"a\u0000b"})", 40002},
      {R"({"name":")" + std::string(250, 'a') + "\"}", 40002},
      {R"({"name":"__x"})", 40301},
      {R"({"name":"t","partitions":0})", 40002},
      {R"({"name":"t","partitions":-1})", 40002},
      {R"({"name":"t","partitions":1000001})", 40002},
      {R"({"name":"t","partitions":99999999999999999999})", 400},
      {R"({"name":"t","partitions":"2"})", 400},
      {R"({"name":"t","replication_factor":0})", 40002},
      {R"({"name":"t","replication_factor":99})", 40002},
      {R"({"name":"t","config":{"retention.ms":"abc"}})", 40002},
      {R"({"name":"t","config":{"no.such":"1"}})", 40002},
      {R"({"name":"t","config":{"retention.ms":[]}})", 400},
      {R"({"name":"t","partitons":2})", 400},
      {R"({"nam)", 400},
      {"", 400},
      {"[]", 400},
      {R"({"name":5})", 400},
      {"{}", 400},
      {std::string(100'000, '['), 400},
  };
  for (const auto& [body, number] : cases) {
    INFO(body.substr(0, 100));
    CHECK(fixture.failure(fixture.post("/v1/topics", body)) == number);
  }
  CHECK(fixture.get_json("/v1/topics")["topics"].empty());
}

TEST_CASE("records below an offset are deleted", "[rest]") {
  RestFixture fixture;
  fixture.broker.add_topic("t");
  fixture.broker.append("t", PartitionId{0}, {{"a", "1"}});
  fixture.broker.append("t", PartitionId{0}, {{"a", "2"}});
  const auto answer = fixture.http.request("DELETE", "/v1/topics/t/partitions/0/records?before=1", "", "");
  CHECK(answer.status == 200);
  CHECK(answer.body == R"({"start":1})");
  CHECK(fixture.get_json("/v1/topics/t/records")["records"].size() == 1);
  CHECK(fixture.http.request("DELETE", "/v1/topics/t/partitions/0/records", "", "").status == 400);
}

TEST_CASE("a produce waits as long as it says", "[rest]") {
  RestFixture fixture;
  fixture.broker.add_topic("t", 2);
  const std::string body = R"({"records":[{"value":1}]})";
  CHECK(fixture.post("/v1/topics/t/records", body).status == 200);
  CHECK(fixture.broker.produce_timeout_ms() == 30'000);
  CHECK(fixture.post("/v1/topics/t/records?timeout=1500", body).status == 200);
  CHECK(fixture.broker.produce_timeout_ms() == 1'500);
  const std::string v2 = "application/vnd.kafka.json.v2+json";
  CHECK(fixture.post("/topics/t?timeout=700", body, v2).status == 200);
  CHECK(fixture.broker.produce_timeout_ms() == 700);
  CHECK(fixture.post("/topics/t/partitions/1?timeout=800", body, v2).status == 200);
  CHECK(fixture.broker.produce_timeout_ms() == 800);
  for (const std::string wrong : {"0", "-1", "60001", "x", "", "1.5"}) {
    INFO(wrong);
    CHECK(fixture.failure(fixture.post("/v1/topics/t/records?timeout=" + wrong, body)) == 400);
  }
}

TEST_CASE("a failed produce answers the reason of all its records", "[rest]") {
  RestFixture fixture;
  fixture.broker.add_topic("t", 2);
  const std::string body = R"({"records":[{"value":1},{"value":2}]})";
  CHECK(fixture.failure(fixture.post("/v1/topics/nope/records", body)) == 40401);
  for (const auto& [code, status, number] : {std::tuple{Errc::storage_full, 507U, 507},
                                             {Errc::leader_not_available, 503U, 40404},
                                             {Errc::overloaded, 503U, 50302},
                                             {Errc::not_enough_replicas, 503U, 50003},
                                             {Errc::log_damaged, 500U, 50006},
                                             {Errc::request_timed_out, 500U, 50005},
                                             {Errc::conflict, 409U, 409}}) {
    fixture.broker.fail_produce(Error{code, "because"});
    const auto answer = fixture.post("/v1/topics/t/records", body);
    CHECK(answer.status == status);
    CHECK(fixture.failure(answer) == number);
    CHECK(answer.fields.contains("retry-after") == (status == 503));
  }
  fixture.broker.fail_produce(std::nullopt);
  const auto mixed = fixture.post("/v1/topics/t/records",
                                  R"({"records":[{"value":1},{"value":2,"partition":2},{"value":3,"partition":1}]})");
  CHECK(mixed.status == 200);
  const auto results = json::parse(mixed.body)["results"];
  CHECK(results[0]["p"] == 0);
  CHECK(results[1]["err"]["num"] == 40402);
  CHECK(results[1]["err"]["code"] == "unknown_partition");
  CHECK(results[2]["p"] == 1);
  for (const std::string partition : {"-1", "999"}) {
    CHECK(fixture.failure(fixture.post("/v1/topics/t/records",
                                       "{\"records\":[{\"value\":1,\"partition\":" + partition + "}]}")) == 40402);
  }
  fixture.broker.add_topic("__consumer_offsets");
  CHECK(fixture.failure(fixture.post("/v1/topics/__consumer_offsets/records", body)) == 40301);
}

TEST_CASE("an idempotency key makes a retry harmless", "[rest]") {
  RestFixture fixture;
  fixture.broker.add_topic("t");
  const std::string body = R"({"records":[{"value":1}]})", key = "Idempotency-Key: order-7\r\n";
  const auto first = json::parse(fixture.post("/v1/topics/t/records", body, "application/json", key).body)["results"][0];
  const auto second = json::parse(fixture.post("/v1/topics/t/records", body, "application/json", key).body)["results"][0];
  CHECK(first["dup"] == false);
  CHECK(second["dup"] == true);
  CHECK(first["o"] == second["o"]);
  CHECK(fixture.post("/v1/topics/t/records", body, "application/json", "Idempotency-Key: " + std::string(300, 'x') + "\r\n")
            .status == 400);
}

TEST_CASE("Confluent's v2: topics, partitions and brokers", "[rest]") {
  RestFixture fixture;
  fixture.broker.add_topic("t", 2, {{"retention.ms", "60000"}});
  fixture.broker.append("t", PartitionId{1}, {{"a", "1"}});
  const auto root = fixture.http.get("/");
  CHECK(root.body == "{}");
  CHECK(root.fields.at("content-type") == "application/vnd.kafka.v2+json");
  CHECK(fixture.get_json("/brokers") == json::parse(R"({"brokers":[1]})"));
  CHECK(fixture.get_json("/topics") == json::parse(R"(["t"])"));
  const auto topic = fixture.get_json("/topics/t");
  CHECK(topic["configs"]["retention.ms"] == "60000");
  CHECK(topic["partitions"][1] ==
        json::parse(R"({"partition":1,"leader":1,"replicas":[{"broker":1,"leader":true,"in_sync":true}]})"));
  CHECK(fixture.get_json("/topics/t/partitions") == topic["partitions"]);
  CHECK(fixture.get_json("/topics/t/partitions/1") == topic["partitions"][1]);
  CHECK(fixture.get_json("/topics/t/partitions/1/offsets/") == json::parse(R"({"beginning_offset":0,"end_offset":1})"));
  for (const std::string path :
       {"/topics/x", "/topics/x/partitions", "/topics/x/partitions/0", "/topics/x/partitions/0/offsets"}) {
    CHECK(fixture.get_json(path, 404) == json::parse(R"({"error_code":40401,"message":"Topic not found."})"));
  }
  for (const std::string number : {"2", "-1", "x", "99999999999"}) {
    CHECK(fixture.get_json("/topics/t/partitions/" + number, 404)["error_code"] == 40402);
  }
  CHECK(fixture.http.get("/topics", "Accept: application/json\r\n").status == 406);
  CHECK(fixture.http.get("/topics", "Accept: application/json, application/vnd.kafka.v2+json;q=0.5\r\n").status == 200);
  CHECK(fixture.http.get("/v1/topics", "Accept: image/png\r\n").status == 406);
}

TEST_CASE("Confluent's v2: produce", "[rest]") {
  // Goal: B6 lines 1 to 7.
  RestFixture fixture;
  fixture.broker.add_topic("t", 3);
  const auto answer = fixture.post(
      "/topics/t", R"({"records":[{"key":null,"value":{"a":[]}},{"key":"","value":"x","partition":2}]})", json_v2);
  REQUIRE(answer.status == 200);
  CHECK(answer.fields.at("content-type") == "application/vnd.kafka.v2+json");
  CHECK(json::parse(answer.body) ==
        json::parse(
            R"({"offsets":[{"partition":0,"offset":0,"error_code":null,"error":null},)"
            R"({"partition":2,"offset":0,"error_code":null,"error":null}],"key_schema_id":null,"value_schema_id":null})"));
  // A record's own partition wins over the path's.
  const auto placed = json::parse(
      fixture.post("/topics/t/partitions/1", R"({"records":[{"value":"AP8="},{"value":"","partition":2}]})", binary_v2)
          .body)["offsets"];
  CHECK(placed[0]["partition"] == 1);
  CHECK(placed[1]["partition"] == 2);
  CHECK(fixture.broker.records("t", PartitionId{1}).at(0).second == std::string("\0\xff", 2));
  CHECK(fixture.failure(fixture.post("/topics/t/partitions/7", R"({"records":[{"value":""}]})", binary_v2)) == 40402);

  const std::vector<std::tuple<std::string, unsigned, int>> cases{
      {R"({"records":[)", 400, 400},
      {R"({"records":[]})", 422, 42208},
      {"{}", 422, 42208},
      {"[]", 400, 400},
      {"null", 422, 42208},
      {"", 422, 42208},
      {R"({"records":[{"x":1}]})", 422, 422},
      {R"({"records":[{"value":1}],"records":[]})", 400, 400},
  };
  for (const auto& [body, status, number] : cases) {
    INFO(body);
    const auto refused = fixture.post("/topics/t", body, json_v2);
    CHECK(refused.status == status);
    CHECK(fixture.failure(refused) == number);
  }
  for (const std::string type : {"application/json", "text/plain", "application/x-www-form-urlencoded", ""}) {
    CHECK(fixture.failure(fixture.post("/topics/t", R"({"records":[{"value":1}]})", type)) == 415);
  }
  CHECK(fixture.post("/topics/t", R"({"records":[{"value":1}]})", json_v2 + "; charset=utf-16").status == 400);
  CHECK(fixture.failure(fixture.post("/topics/t", R"({"records":[{"value":1}]})", json_v2, "Accept: text/html\r\n")) == 406);
  const auto before = fixture.broker.records("t", PartitionId{0}).size();
  const auto base64 = fixture.post("/topics/t", R"({"records":[{"value":"aGk="},{"value":"***"}]})", binary_v2);
  CHECK(base64.status == 422);
  CHECK(base64.body.find("records[1].value") != std::string::npos);
  CHECK(fixture.broker.records("t", PartitionId{0}).size() == before);
  CHECK(fixture.failure(fixture.post("/topics/nope", R"({"records":[{"value":1}]})", json_v2)) == 40401);
  CHECK(fixture.post("/topics/t", R"({"records":[{"value":")" + std::string(1U << 20U, 'a') + "\"}]}", json_v2).status ==
        413);
}

TEST_CASE("the node tells of itself", "[rest]") {
  RestFixture fixture;
  CHECK(fixture.get_json("/healthz")["healthy"] == true);
  CHECK(fixture.get_json("/readyz")["checks"][0]["name"] == "fake");
  CHECK(fixture.get_json("/v1/cluster")["node_id"] == 1);
  CHECK(fixture.get_json("/v1/cluster/tree")["nodes"][0]["actors"][1]["messages_handled"] == 7);
  CHECK(fixture.get_json("/openapi.json")["paths"].contains("/v1/topics/{topic}/records"));
  const auto numbers = fixture.http.get("/metrics");
  CHECK(numbers.body.find("troupe_http_requests_total{code=\"200\",op=\"healthz\"} 1") != std::string::npos);
  CHECK(numbers.body.find("troupe_http_connections 1") != std::string::npos);
}

TEST_CASE("paths and methods that do not exist are JSON errors", "[rest]") {
  RestFixture fixture;
  CHECK(fixture.failure(fixture.http.get("/nothing?<script>")) == 404);
  CHECK(fixture.http.get("/nothing?<script>").body.find("script") == std::string::npos);
  const auto wrong = fixture.http.request("DELETE", "/v1/topics", "", "");
  CHECK(fixture.failure(wrong) == 405);
  CHECK(wrong.fields.at("allow") == "GET, HEAD, POST, OPTIONS");
  const auto head = fixture.http.request("HEAD", "/v1/topics", "", "");
  CHECK(head.status == 200);
  CHECK(head.fields.at("content-length") == "13");
  CHECK(fixture.http.get("/livez").status == 200);
}

TEST_CASE("pages of other origins are kept out unless they are listed", "[rest]") {
  // Goal: rows 65 and 66.
  http::GatewayOptions options;
  options.allowed_origins = {"https://app.example"};
  RestFixture fixture(options);
  fixture.broker.add_topic("t");
  const auto evil = fixture.post("/v1/topics/t/records", R"({"records":[{"value":1}]})", "application/json",
                                 "Origin: http://evil.example\r\n");
  CHECK(fixture.failure(evil) == 40301);
  CHECK_FALSE(evil.fields.contains("access-control-allow-origin"));
  CHECK(fixture.broker.records("t", PartitionId{0}).empty());
  const std::string preflight = "Access-Control-Request-Method: POST\r\n";
  const auto refused = fixture.http.request("OPTIONS", "/v1/topics/t/records", "", "", "Origin: null\r\n" + preflight);
  CHECK(refused.status == 403);
  const auto allowed =
      fixture.http.request("OPTIONS", "/v1/topics/t/records", "", "", "Origin: https://app.example\r\n" + preflight);
  CHECK(allowed.status == 204);
  CHECK(allowed.fields.at("access-control-allow-origin") == "https://app.example");
  CHECK(allowed.fields.at("access-control-allow-methods").find("POST") != std::string::npos);
  CHECK(allowed.fields.at("vary") == "Origin");
  CHECK(fixture
            .post("/v1/topics/t/records", R"({"records":[{"value":1}]})", "application/json",
                  "Origin: https://app.example\r\n")
            .status == 200);
}

TEST_CASE("static files are served with their headers", "[rest]") {
  http::GatewayOptions options;
  options.files = {{"/", "text/html; charset=utf-8", "<p>front</p>", "\"1\""},
                   {"/chat/", "text/html; charset=utf-8", "<p>chat</p>", "\"2\""}};
  RestFixture fixture(options);
  const auto page = fixture.http.get("/chat/");
  CHECK(page.body == "<p>chat</p>");
  CHECK(page.fields.at("content-security-policy").find("default-src 'self'") == 0);
  CHECK(page.fields.at("x-content-type-options") == "nosniff");
  CHECK(page.fields.at("etag") == "\"2\"");
  CHECK(fixture.http.get("/chat/", "If-None-Match: \"2\"\r\n").status == 304);
  CHECK(fixture.http.get("/chat/", "Range: bytes=0-0,0-0\r\n").body == "<p>chat</p>");
  const auto moved = fixture.http.get("/chat");
  CHECK(moved.status == 308);
  CHECK(moved.fields.at("location") == "/chat/");
  CHECK(fixture.http.get("/", "Accept: text/html,*/*\r\n").body == "<p>front</p>");
  CHECK(fixture.http.get("/").body == "{}");
  CHECK(fixture.http.request("POST", "/chat/", "", "").status == 404);
}

TEST_CASE("a field that is there twice is refused, not overlooked", "[rest]") {
  RestFixture fixture;
  CHECK(fixture.failure(fixture.post("/v1/topics", R"({"name":"x","name":"y"})")) == 400);
  CHECK(fixture.failure(fixture.post("/v1/topics", R"({"name":"x","config":{"flush":"fsync","flush":"interval"}})")) == 400);
  CHECK(fixture.get_json("/topics") == json::array());
}

TEST_CASE("the system's topics are not written to, whether they exist or not", "[rest]") {
  RestFixture fixture;
  const std::string body = R"({"records":[{"value":1}]})";
  CHECK(fixture.failure(fixture.post("/topics/__consumer_offsets", body, json_v2)) == 40301);
  CHECK(fixture.failure(fixture.post("/v1/topics/__consumer_offsets/records", body)) == 40301);
}

TEST_CASE("an event stream's parameters are known by name", "[rest]") {
  RestFixture fixture;
  fixture.broker.add_topic("t");
  const auto answer = fixture.http.get("/v1/topics/t/events?form=earliest");
  CHECK(fixture.failure(answer) == 400);
  CHECK(answer.body.find("from") != std::string::npos);
}
