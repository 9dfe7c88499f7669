#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <fcntl.h>
#include <simdjson.h>
#include <unistd.h>

/// The least that a Beast server can do with a produce request: one thread; parse the body, put keys and values into one buffer, one
/// write(2), answer the offsets. No checksum, no headers looked at, no limits, no second thread. Prints its port.
///
///   http_ceiling FILE

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using tcp = asio::ip::tcp;
using Socket = asio::basic_stream_socket<tcp, asio::io_context::executor_type>;

struct Log {
  int file;
  std::size_t next_offset = 0;
  simdjson::dom::parser parser{};
  std::string batch = {};

  void add(std::string_view text) {
    const auto size = static_cast<std::uint32_t>(text.size());
    batch.append(reinterpret_cast<const char*>(&size), sizeof size);
    batch += text;
  }

  /// The answer: one offset a record, in Confluent's form. What holds no records is a topic to create.
  std::string append(std::string& body) {
    body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
    batch.clear();
    std::string answer = "{\"offsets\":[";
    simdjson::dom::element root;
    simdjson::dom::array records;
    if (parser.parse(body.data(), body.size(), false).get(root) != simdjson::SUCCESS) return "{}";
    add(body);  // the values as they came: fewer copies than a batch of them would need
    if (root["records"].get(records) == simdjson::SUCCESS) {
      for (const auto record : records) {
        std::string_view key;
        simdjson::dom::object value;
        if (record["key"].get(key) != simdjson::SUCCESS || record["value"].get(value) != simdjson::SUCCESS) return "{}";
        add(key);
        if (answer.back() == '}') answer += ',';
        answer += "{\"partition\":0,\"offset\":" + std::to_string(next_offset++) + R"(,"error_code":null,"error":null})";
      }
    }
    if (::write(file, batch.data(), batch.size()) < 0) std::perror("write");
    return answer + "],\"key_schema_id\":null,\"value_schema_id\":null}";
  }
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Socket socket, Log& log) : socket_(std::move(socket)), log_(log) {}

  void read() {
    request_ = {};
    http::async_read(socket_, buffer_, request_, [self = shared_from_this()](auto error, std::size_t) {
      if (!error) self->answer();
    });
  }

 private:
  void answer() {
    response_ = {http::status::ok, 11};
    response_.set(http::field::content_type, "application/vnd.kafka.v2+json");
    response_.body() = log_.append(request_.body());
    response_.prepare_payload();
    http::async_write(socket_, response_, [self = shared_from_this()](auto error, std::size_t) {
      if (!error) self->read();
    });
  }

  Socket socket_;
  Log& log_;
  boost::beast::flat_buffer buffer_;
  http::request<http::string_body> request_;
  http::response<http::string_body> response_;
};

using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;

void accept(Acceptor& acceptor, Log& log) {
  acceptor.async_accept([&](auto error, Socket socket) {
    if (error) return;
    socket.set_option(tcp::no_delay(true));
    std::make_shared<Session>(std::move(socket), log)->read();
    accept(acceptor, log);
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: http_ceiling FILE\n", stderr);
    return 2;
  }
  Log log{.file = ::open(argv[1], O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600)};
  if (log.file < 0) {
    std::perror("open");
    return 1;
  }
  asio::io_context io{1};
  Acceptor acceptor(io.get_executor(), tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  std::printf("%d\n", acceptor.local_endpoint().port());
  std::fflush(stdout);
  accept(acceptor, log);
  io.run();
  return 0;
}
