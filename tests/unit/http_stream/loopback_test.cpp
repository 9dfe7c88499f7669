#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "http/stream/streams.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fake_broker.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/websocket.hpp>

using namespace troupe;
using nlohmann::json;
namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using tcp = asio::ip::tcp;

namespace {

/// The gateway's thread in small: accepts, reads the request, hands it to Streams.
class Server {
 public:
  explicit Server(http::Limits limits = {}) {
    options_.limits = limits;
    shared_ = http::Streams::share(options_, registry);
    streams_ = std::make_unique<http::Streams>(io_, broker, produce_turn_, options_, shared_);
    accept();
    thread_ = std::thread([this] { io_.run(); });
  }
  ~Server() {
    asio::post(io_, [this] {
      streams_.reset();
      io_.stop();
    });
    thread_.join();
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void drain(Millis within_ms) {
    asio::post(io_, [this, within_ms] { streams_->drain(within_ms); });
  }
  std::size_t open() {
    std::atomic<std::size_t> count{SIZE_MAX};
    asio::post(io_, [&] { count = streams_->open(); });
    while (count == SIZE_MAX) std::this_thread::yield();
    return count;
  }
  /// Waits until that many streams are open, 10 s at most.
  bool await_open(std::size_t wanted) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (open() != wanted) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  test::FakeBroker broker;
  metrics::Registry registry;

 private:
  struct Request {
    explicit Request(http::TcpSocket taken) : stream(std::move(taken)) {}
    http::TcpSocket stream;
    beast::flat_buffer buffer;
    http::EmptyRequest request;
  };
  void accept() {
    acceptor_.async_accept([this](boost::system::error_code error, http::TcpSocket socket) {
      if (error) return;
      auto one = std::make_shared<Request>(http::TcpSocket(std::move(socket)));
      http::bhttp::async_read(
          one->stream, one->buffer, one->request, [this, one](boost::system::error_code failed, std::size_t) {
            if (failed) return;
            const std::string target(one->request.target().data(), one->request.target().size());
            const auto mark = target.find('?');
            const auto query = mark == std::string::npos ? "" : target.substr(mark + 1);
            if (target.starts_with("/v1/ws")) {
              streams_->accept_websocket(std::move(one->stream), std::move(one->buffer), std::move(one->request), query);
            } else {
              streams_->accept_events(std::move(one->stream), std::move(one->request), "Chat", query);
            }
          });
      accept();
    });
  }

  asio::io_context io_;
  http::GatewayOptions options_;
  std::shared_ptr<http::Streams::Shared> shared_;
  http::ProduceTurn produce_turn_{broker, [this] { asio::post(io_, [this] { produce_turn_.flush(); }); }};
  std::unique_ptr<http::Streams> streams_;
  asio::basic_socket_acceptor<tcp, asio::io_context::executor_type> acceptor_{
      io_, tcp::endpoint(asio::ip::address_v4::loopback(), 0)};
  std::thread thread_;
};

/// A blocking client by another hand: Beast's own.
class Client {
 public:
  explicit Client(Server& server, const std::string& target = "/v1/ws?auto=1",
                  const std::string& protocol = "troupe.v1.json")
      : ws_(io_) {
    ws_.next_layer().connect({asio::ip::address_v4::loopback(), server.port()});
    if (!protocol.empty()) {
      ws_.set_option(websocket::stream_base::decorator([protocol](websocket::request_type& request) {
        request.set(beast::http::field::sec_websocket_protocol, protocol);
      }));
    }
    websocket::response_type response;
    ws_.handshake(response, "localhost", target, error_);
    status = response.result_int();
    selected = std::string(response[beast::http::field::sec_websocket_protocol]);
  }
  void say(const json& command) { say_text(command.dump()); }
  void say_text(const std::string& text) { ws_.write(asio::buffer(text), error_); }
  /// The next object; null when the connection has ended.
  json hear() {
    while (objects_.empty()) {
      beast::flat_buffer buffer;
      ws_.read(buffer, error_);
      if (error_) return nullptr;
      const auto text = beast::buffers_to_string(buffer.data());
      for (std::size_t at = 0; at <= text.size();) {
        const auto end = std::min(text.find('\n', at), text.size());
        objects_.push_back(json::parse(text.substr(at, end - at)));
        at = end + 1;
      }
    }
    auto object = std::move(objects_.front());
    objects_.pop_front();
    return object;
  }
  json hear_until(const std::string& ev) {
    while (true) {
      auto object = hear();
      if (object.is_null() || object.value("ev", "") == ev) return object;
    }
  }
  int close_code() {
    while (!error_) hear();
    return ws_.reason().code;
  }
  websocket::stream<tcp::socket>& ws() { return ws_; }

  unsigned status = 0;
  std::string selected;

 private:
  asio::io_context io_;
  websocket::stream<tcp::socket> ws_;
  boost::system::error_code error_;
  std::deque<json> objects_;
};

/// A masked client frame, as bytes.
std::string frame(unsigned first, const std::string& payload) {
  return std::string(1, static_cast<char>(first)) + static_cast<char>(0x80U | payload.size()) + std::string(4, '\0') +
         payload;
}

}  // namespace

TEST_CASE("a WebSocket over a real socket: connect, produce, subscribe, close", "[loopback]") {
  Server server;
  server.broker.add_topic("Chat", 1);
  Client client(server, "/v1/ws", "chat.v2, troupe.v1.json, troupe.bearer.c2VjcmV0");
  CHECK(client.status == 101);
  CHECK(client.selected == "troupe.v1.json");
  client.say_text("{\"id\":1,\"op\":\"connect\"}\n{\"id\":2,\"op\":\"subscribe\",\"sub\":\"s\",\"topics\":[\"Chat\"]}");
  CHECK(client.hear()["ok"]["resumed"] == false);
  CHECK(client.hear()["ok"]["sub"] == "s");
  CHECK(client.hear()["state"] == "caught_up");
  client.say({{"id", 3}, {"op", "produce"}, {"topic", "Chat"}, {"key", "a"}, {"value", {{"x", 1}}}});
  bool answered = false;
  bool seen = false;
  while (!answered || !seen) {
    const auto object = client.hear();
    REQUIRE_FALSE(object.is_null());
    if (object.contains("re")) answered = object["ok"]["o"] == 0;
    if (object.value("ev", "") == "records") seen = object["r"][0]["v"]["x"] == 1;
  }
  CHECK(server.open() == 1);
  boost::system::error_code error;
  client.ws().close(websocket::close_code::normal, error);
  CHECK(server.await_open(0));
}

TEST_CASE("a subprotocol that is not ours is refused before the upgrade", "[loopback]") {
  Server server;
  CHECK(Client(server, "/v1/ws", "troupe.v9.json").status == 400);
  Client plain(server, "/v1/ws", "");
  CHECK(plain.status == 101);
  CHECK(plain.selected.empty());
  CHECK(server.await_open(1));
}

TEST_CASE("large batches cross a socket whole and in order", "[loopback]") {
  Server server;
  server.broker.add_topic("Chat", 1);
  for (int i = 0; i < 300; ++i) {
    server.broker.append("Chat", PartitionId{0}, {{"k", '"' + std::string(20'000, 'x') + '"'}, {"k", std::to_string(i)}});
  }
  Client client(server);
  client.say({{"id", 1}, {"op", "subscribe"}, {"sub", "s"}, {"topics", {"Chat"}}, {"from", {{"earliest", true}}}});
  std::int64_t next = 0;
  while (next < 600) {
    const auto object = client.hear_until("records");
    REQUIRE_FALSE(object.is_null());
    for (const auto& record : object["r"]) REQUIRE(record["o"] == next++);
  }
}

TEST_CASE("a client that reads late gets everything in order, and the pongs to its pings", "[loopback]") {
  Server server;
  server.broker.add_topic("Chat", 1);
  constexpr int values = 40;
  const std::string filler(400'000, 'x');  // 16 MB in all: no socket buffer takes that
  for (int i = 0; i < values; ++i) {
    server.broker.append("Chat", PartitionId{0}, {{"", '"' + std::to_string(i) + filler + '"'}});
  }
  Client client(server);
  int pongs = 0;
  client.ws().control_callback([&](websocket::frame_type kind, beast::string_view) {
    if (kind == websocket::frame_type::pong) ++pongs;
  });
  client.say({{"id", 1}, {"op", "subscribe"}, {"sub", "s"}, {"topics", {"Chat"}}, {"from", {{"earliest", true}}}});
  // The pings' answers lie behind what the socket has not taken, and before what is written later.
  for (int i = 0; i < 10; ++i) client.ws().ping({});

  int next = 0;
  while (next < values) {
    const auto push = client.hear_until("records");
    REQUIRE_FALSE(push.is_null());
    for (const auto& record : push["r"]) {
      CHECK(record["o"] == next);
      CHECK(record["v"].get<std::string>().size() == filler.size() + std::to_string(next).size());
      ++next;
    }
  }
  CHECK(pongs == 10);
}

TEST_CASE("wrong frames are closed with their code", "[loopback]") {
  http::Limits limits;
  limits.frame_in_bytes_max = 10'000;
  Server server(limits);
  server.broker.add_topic("Chat", 1);
  const auto code_after = [&](const std::string& bytes) {
    Client client(server);
    boost::system::error_code error;
    asio::write(client.ws().next_layer(), asio::buffer(bytes), error);
    return client.close_code();
  };
  CHECK(code_after(frame(0x82, "{}")) == 1003);
  CHECK(code_after(std::string("\x81\x02hi", 4)) == 1002);  // not masked
  CHECK(code_after(frame(0x81, "\xff\xfe")) == 1007);
  CHECK(code_after(frame(0xc1, "{}")) == 1002);  // RSV1
  CHECK(code_after(frame(0x83, "{}")) == 1002);  // opcode 3
  std::string fragments = frame(0x01, "{");
  for (int i = 0; i < 5000; ++i) fragments += frame(0x00, "");
  CHECK(code_after(fragments) == 4506);
  std::string pings;
  for (int i = 0; i < 101; ++i) pings += frame(0x89, "");
  CHECK(code_after(pings) == 4506);
  CHECK(code_after(std::string("\x81\xfe\x75\x30", 4) + std::string(4, '\0') + std::string(30'000, ' ')) == 1009);
  CHECK(code_after(frame(0x81, "5") + frame(0x81, "5") + frame(0x81, "5")) == 4502);
  CHECK(server.await_open(0));
}

TEST_CASE("a drained node says goaway and closes with 1001", "[loopback]") {
  Server server;
  server.broker.add_topic("Chat", 1);
  Client client(server);
  client.say({{"id", 1}, {"op", "ping"}});
  client.hear();
  server.drain(2000);
  CHECK(client.hear()["ev"] == "goaway");
  CHECK(client.close_code() == 1001);
  CHECK(server.await_open(0));
}

TEST_CASE("clients of a broker that is drained are sent to the others, once", "[loopback]") {
  Server server;
  server.broker.add_topic("Chat", 1);
  test::FakeCluster cluster(3);
  server.broker.whole_cluster().set_image(cluster.image());
  Client client(server);
  client.say({{"id", 1}, {"op", "ping"}});
  client.hear();
  cluster.change_cluster(metadata::DrainBrokerRequest{.broker = BrokerId{1}, .drain = true}, {});
  server.broker.whole_cluster().set_image(cluster.image());
  const auto told = client.hear();
  CHECK(told["ev"] == "goaway");
  CHECK(told["within_ms"] == 10'000);
  CHECK(told["nodes"].size() == 2);
  // It is served meanwhile, and so is who comes now.
  client.say({{"id", 2}, {"op", "ping"}});
  CHECK(client.hear()["re"] == 2);
  Client late(server);
  late.say({{"id", 3}, {"op", "ping"}});
  CHECK(late.hear()["re"] == 3);
}

TEST_CASE("an event stream over a real socket, chunked", "[loopback]") {
  Server server;
  server.broker.add_topic("Chat", 1);
  server.broker.append("Chat", PartitionId{0}, {{"a", "1"}});
  asio::io_context io;
  const auto read = [&](const std::string& request, std::string_view until) {
    tcp::socket socket(io);
    socket.connect({asio::ip::address_v4::loopback(), server.port()});
    asio::write(socket, asio::buffer(request));
    std::string answer;
    boost::system::error_code error;
    asio::read_until(socket, asio::dynamic_buffer(answer), until, error);
    return answer;
  };
  const auto answer = read("GET /v1/topics/Chat/events?from=earliest HTTP/1.1\r\nHost: x\r\n\r\n", "}\n\n\r\n");
  CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(answer.find("Content-Type: text/event-stream; charset=utf-8\r\n") != std::string::npos);
  CHECK(answer.find("Troupe-Cursor: ") != std::string::npos);
  CHECK(answer.find("Transfer-Encoding: chunked\r\n") != std::string::npos);
  CHECK(answer.find("retry: 2000\n: connected node=1\n\n") != std::string::npos);
  CHECK(answer.find("data: {\"p\":0,\"o\":0") != std::string::npos);
  CHECK(server.await_open(0));
  CHECK(read("GET /v1/topics/Chat/events?from=earliest HTTP/1.0\r\n\r\n", "}\n\n").find("chunked") == std::string::npos);
  CHECK(read("GET /v1/topics/Chat/events?from=nowhere HTTP/1.1\r\nHost: x\r\n\r\n", "}").starts_with("HTTP/1.1 400 "));
  CHECK(server.await_open(0));
}
