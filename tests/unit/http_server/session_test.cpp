#include "tests/unit/http_server/gateway_fixture.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

const std::string v1_body = R"({"records":[{"key":"a","value":1}]})";

std::string chunked_post(const HttpClient& client, const std::string& chunks) {
  return "POST /v1/topics/t/records HTTP/1.1\r\n" + client.host() +
         "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks;
}

std::string as_chunks(const std::string& body, std::size_t piece) {
  std::string out;
  for (std::size_t at = 0; at < body.size(); at += piece) {
    const auto part = body.substr(at, piece);
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", part.size());
    out += size + part + "\r\n";
  }
  return out + "0\r\n\r\n";
}

}  // namespace

TEST_CASE("a refused request ends its connection, and what follows it is not read", "[gateway]") {
  // Goal: rows 6 and 7: one answer, not two.
  GatewayFixture fixture;
  const auto client_host = fixture.client().host();
  const std::vector<std::pair<std::string, unsigned>> cases{
      {"Transfer-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabcGET /topics HTTP/1.1\r\n" + client_host + "\r\n", 400},
      {"Transfer-Encoding: xchunked\r\n\r\nGET /topics HTTP/1.1\r\n" + client_host + "\r\n", 501},
      {"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhelloGET /topics HTTP/1.1\r\n" + client_host + "\r\n", 400},
  };
  for (const auto& [rest, status] : cases) {
    HttpClient client(fixture.gateway.port());
    client.send("POST /topics/t HTTP/1.1\r\n" + client_host + rest);
    const auto answer = client.read();
    CHECK(answer.status == status);
    CHECK(answer.fields.at("connection") == "close");
    CHECK(answer.fields.at("content-type") == "application/json; charset=utf-8");
    CHECK(answer.body.find("\"error_code\":" + std::to_string(status)) != std::string::npos);
    CHECK(client.closed());
  }
}

TEST_CASE("bytes of TLS close the connection without a word", "[gateway]") {
  GatewayFixture fixture;
  HttpClient client(fixture.gateway.port());
  client.send(std::string("\x16\x03\x01\x02\x00\x01", 6));
  CHECK(client.closed());
}

TEST_CASE("a connection is kept, also after an error", "[gateway]") {
  GatewayFixture fixture;
  fixture.broker.add_topic("t");
  HttpClient client(fixture.gateway.port());
  CHECK(client.get("/topics/nope").status == 404);
  CHECK(client.request("POST", "/v1/topics/t/records", v1_body, "text/plain").status == 415);
  CHECK(client.request("POST", "/v1/topics/t/records", "{").status == 400);
  CHECK(client.request("POST", "/v1/topics/t/records", v1_body).status == 200);
  CHECK(client.get("/topics", "Connection: close\r\n").fields.at("connection") == "close");
  CHECK(client.closed());
}

TEST_CASE("pipelined requests are answered in their order", "[gateway]") {
  // Goal: row 44.
  GatewayFixture fixture;
  fixture.broker.add_topic("t");
  HttpClient client(fixture.gateway.port());
  std::string all;
  for (int i = 0; i < 40; ++i) {
    all += "GET /topics/t" + std::string(i % 2 == 0 ? "" : "/partitions/0") + " HTTP/1.1\r\n" + client.host() + "\r\n";
  }
  client.send(all);
  for (int i = 0; i < 40; ++i) {
    const auto answer = client.read();
    REQUIRE(answer.status == 200);
    CHECK(answer.body.find(i % 2 == 0 ? "\"configs\"" : "\"replicas\"") != std::string::npos);
    CHECK((answer.body.find("\"configs\"") == std::string::npos) == (i % 2 == 1));
  }
}

TEST_CASE("a chunked body is one body, however it is cut", "[gateway]") {
  GatewayFixture fixture;
  fixture.broker.add_topic("t");
  HttpClient client(fixture.gateway.port());
  for (const std::size_t piece : {1, 7, 1000}) {
    client.send(chunked_post(client, as_chunks(v1_body, piece)) + "GET /livez HTTP/1.1\r\n" + client.host() + "\r\n");
    CHECK(client.read().status == 200);
    CHECK(client.read().body == "{\"live\":true}");
  }
  CHECK(fixture.broker.records("t", PartitionId{0}).size() == 3);
  const auto large = R"({"records":[{"value":")" + std::string(300'000, 'x') + "\"}]}";
  client.send(chunked_post(client, as_chunks(large, 5000)) + "GET /livez HTTP/1.1\r\n" + client.host() + "\r\n");
  CHECK(client.read().status == 200);
  CHECK(client.read().body == "{\"live\":true}");
}

TEST_CASE("wrong chunks are refused at their limit, not at their end", "[gateway]") {
  // Goal: rows 35, 36 and 39.
  GatewayFixture fixture;
  fixture.broker.add_topic("t");
  std::string trailers = "0\r\n";
  for (int i = 0; i < 10; ++i) trailers += "X: " + std::string(1000, 'y') + "\r\n";
  for (const auto& chunks : {"5;" + std::string(1000, 'x'), trailers, std::string("5\nhello\n0\n\n")}) {
    HttpClient client(fixture.gateway.port());
    client.send(chunked_post(client, chunks));
    const auto answer = client.read();
    CHECK(answer.status == 400);
    CHECK(answer.fields.at("connection") == "close");
    CHECK(client.closed());
  }
  CHECK(fixture.broker.records("t", PartitionId{0}).empty());
}

TEST_CASE("a body that is too large is refused before it comes", "[gateway]") {
  // Goal: rows 41 and 42.
  GatewayFixture fixture;
  for (const std::string expect : {"", "Expect: 100-continue\r\n"}) {
    HttpClient client(fixture.gateway.port());
    client.send("POST /topics/t HTTP/1.1\r\n" + client.host() + expect + "Content-Length: 9000000\r\n\r\n");
    CHECK(client.read().status == 413);
    CHECK(client.closed());
  }
}

TEST_CASE("100 is sent when the body is wanted, and only then", "[gateway]") {
  GatewayFixture fixture;
  fixture.broker.add_topic("t");
  const auto post = [&](HttpClient& client, const std::string& topic) {
    client.send("POST /v1/topics/" + topic + "/records HTTP/1.1\r\n" + client.host() +
                "Content-Type: application/json\r\nExpect: 100-continue\r\nContent-Length: " +
                std::to_string(v1_body.size()) + "\r\n\r\n");
  };
  HttpClient client(fixture.gateway.port());
  post(client, "t");
  CHECK(client.read().status == 100);
  client.send(v1_body);
  CHECK(client.read().status == 200);

  HttpClient other(fixture.gateway.port());
  other.send("POST /nope HTTP/1.1\r\n" + other.host() + "Expect: 100-continue\r\nContent-Length: 10\r\n\r\n");
  CHECK(other.read().status == 404);
  CHECK(other.closed());
}

TEST_CASE("half a request writes nothing", "[gateway]") {
  // Goal: row 45.
  GatewayFixture fixture;
  fixture.broker.add_topic("t");
  HttpClient client(fixture.gateway.port());
  client.send("POST /v1/topics/t/records HTTP/1.1\r\n" + client.host() +
              "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n" + v1_body);
  client.end_sending();
  CHECK(client.closed());
  CHECK(fixture.broker.records("t", PartitionId{0}).empty());
}

TEST_CASE("slow headers and bodies run out of time", "[gateway]") {
  // Goal: rows 46 and 47.
  http::GatewayOptions options;
  options.limits.first_byte_ms_max = 200;
  options.limits.headers_ms_max = 200;
  options.limits.body_grace_ms = 200;
  options.limits.keep_alive_ms_max = 200;
  GatewayFixture fixture(options);
  fixture.broker.add_topic("t");
  HttpClient silent(fixture.gateway.port());
  HttpClient header(fixture.gateway.port());
  HttpClient body(fixture.gateway.port());
  HttpClient idle(fixture.gateway.port());
  header.send("GET / HTT");
  body.send("POST /v1/topics/t/records HTTP/1.1\r\n" + body.host() +
            "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{");
  CHECK(idle.get("/livez").status == 200);
  CHECK(header.read().status == 408);
  CHECK(header.closed());
  CHECK(body.read().status == 408);
  CHECK(body.closed());
  CHECK(silent.closed());
  CHECK(idle.closed());
  CHECK(fixture.broker.records("t", PartitionId{0}).empty());
}

TEST_CASE("HTTP/1.0 is answered and closed", "[gateway]") {
  GatewayFixture fixture;
  HttpClient client(fixture.gateway.port());
  client.send("GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  CHECK(client.read().fields.at("connection") == "keep-alive");
  client.send("GET /livez HTTP/1.0\r\n\r\n");
  CHECK(client.read().status == 200);
  CHECK(client.closed());
}

TEST_CASE("connections beyond the limit are told so", "[gateway]") {
  http::GatewayOptions options;
  options.limits.connections_max = 2;
  GatewayFixture fixture(options);
  HttpClient one(fixture.gateway.port());
  CHECK(one.get("/livez").status == 200);
  {
    HttpClient two(fixture.gateway.port());
    CHECK(two.get("/livez").status == 200);
    HttpClient three(fixture.gateway.port());
    const auto answer = three.read();
    CHECK(answer.status == 503);
    CHECK(answer.fields.at("retry-after") == "1");
  }
  CHECK(GatewayFixture::eventually([&] { return HttpClient(fixture.gateway.port()).get("/livez").status == 200; }));
}

TEST_CASE("streams get their connection with all that came on it", "[gateway]") {
  GatewayFixture fixture;
  const std::string upgrade =
      "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
      "dGhlIHNhbXBsZSBub25jZQ==\r\n";
  HttpClient client(fixture.gateway.port());
  client.send("GET /v1/ws?auto=1 HTTP/1.1\r\n" + client.host() + upgrade + "\r\nmore");
  CHECK(client.read_all() == "websocket dGhlIHNhbXBsZSBub25jZQ== query=auto=1 rest=more\n");

  HttpClient events(fixture.gateway.port());
  events.send("GET /v1/topics/a%20b/events?from=earliest HTTP/1.1\r\n" + events.host() +
              "Accept: text/event-stream\r\n\r\n");
  CHECK(events.read_all() == "events of a b query=from=earliest\n");

  HttpClient plain(fixture.gateway.port());
  const auto answer = plain.get("/v1/ws");
  CHECK(answer.status == 426);
  CHECK(answer.fields.at("sec-websocket-version") == "13");
  CHECK(plain.request("POST", "/v1/ws", "", "").status == 405);
  for (const std::string path : {"/v1/ws", "/v1/topics/t/events"}) {
    HttpClient evil(fixture.gateway.port());
    CHECK(evil.get(path, upgrade + "Origin: http://evil.example\r\n").status == 403);
  }
}

TEST_CASE("a gateway stops when its requests have been answered", "[gateway]") {
  GatewayFixture fixture;
  fixture.broker.add_topic("t");
  fixture.broker.hold_produce();
  HttpClient idle(fixture.gateway.port());
  CHECK(idle.get("/livez").status == 200);
  HttpClient busy(fixture.gateway.port());
  HttpClient waiting(fixture.gateway.port());
  busy.send("POST /v1/topics/t/records HTTP/1.1\r\n" + busy.host() +
            "Content-Type: application/json\r\nContent-Length: " + std::to_string(v1_body.size()) + "\r\n\r\n" + v1_body);
  waiting.send("GET /v1/topics/t/records?wait=60000 HTTP/1.1\r\n" + waiting.host() + "\r\n");
  REQUIRE(GatewayFixture::eventually(
      [&] { return fixture.broker.held_produce() == 1 && fixture.broker.waiting_fetches() == 1; }));
  std::thread stopping([&] { fixture.gateway.stop(8000); });
  CHECK(idle.closed());
  const auto page = waiting.read();
  CHECK(page.status == 200);
  CHECK(page.fields.at("connection") == "close");
  fixture.broker.release_produce();
  const auto answer = busy.read();
  CHECK(answer.status == 200);
  CHECK(answer.fields.at("connection") == "close");
  stopping.join();
}

TEST_CASE("an answer that comes after the gateway has gone is dropped", "[gateway]") {
  FakeBroker broker;
  broker.add_topic("t");
  broker.hold_produce();
  {
    metrics::Registry metrics;
    http::Gateway gateway({.port = 0}, broker, metrics);
    REQUIRE(gateway.start());
    HttpClient client(gateway.port());
    client.send("POST /v1/topics/t/records HTTP/1.1\r\n" + client.host() +
                "Content-Type: application/json\r\nContent-Length: " + std::to_string(v1_body.size()) + "\r\n\r\n" +
                v1_body);
    REQUIRE(GatewayFixture::eventually([&] { return broker.held_produce() == 1; }));
  }
  broker.release_produce();
  CHECK(broker.records("t", PartitionId{0}).size() == 1);
}

TEST_CASE("a port that is taken is an error that names it", "[gateway]") {
  GatewayFixture fixture;
  metrics::Registry metrics;
  http::Gateway second({.port = fixture.gateway.port()}, fixture.broker, metrics);
  const auto started = second.start();
  REQUIRE_FALSE(started);
  CHECK(started.error().code == Errc::overloaded);
  CHECK(started.error().message.find(std::to_string(fixture.gateway.port())) != std::string::npos);
  http::Gateway nowhere({.host = "no.such.host"}, fixture.broker, metrics);
  CHECK(nowhere.start().error().code == Errc::invalid_argument);
}

TEST_CASE("a node that does not know its topics yet says that it is starting, not that there are none", "[gateway]") {
  GatewayFixture fixture;
  fixture.broker.add_topic("t");
  fixture.broker.set_ready(false);
  auto client = fixture.client();
  for (const std::string path : {"/v1/topics/t", "/topics/t", "/v1/topics/t/records", "/v1/topics/t/events"}) {
    CAPTURE(path);
    client.send("GET " + path + " HTTP/1.1\r\n" + client.host() + "\r\n");
    const auto answer = client.read();
    CHECK(answer.status == 503);
    CHECK(answer.fields.count("retry-after") == 1);
    CHECK(answer.body.find("starting") != std::string::npos);
  }
  for (const std::string path : {"/livez", "/metrics", "/v1/cluster/tree"}) {
    CAPTURE(path);
    client.send("GET " + path + " HTTP/1.1\r\n" + client.host() + "\r\n");
    CHECK(client.read().status == 200);
  }
  fixture.broker.set_ready(true);
  client.send("GET /v1/topics/t HTTP/1.1\r\n" + client.host() + "\r\n");
  CHECK(client.read().status == 200);
}
