#include "http/stream/watched_stream.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "tests/support/catch.hpp"

using namespace troupe;
namespace asio = boost::asio;

namespace {

/// A WatchedStream and its peer, both in one thread: nothing moves but by `io` and by what the peer reads.
struct Pair {
  Pair() {
    asio::basic_socket_acceptor<http::tcp, asio::io_context::executor_type> acceptor(io,
                                                                                     {asio::ip::address_v4::loopback(), 0});
    peer.connect({asio::ip::address_v4::loopback(), acceptor.local_endpoint().port()});
    stream.emplace(acceptor.accept(), http::beast::flat_buffer(), http::FrameWatch({}), [] { return MonotonicMs{1}; });
    stream->belong_to(
        owner, [] {}, [this](boost::system::error_code error) { drained = error; });
    peer.non_blocking(true);
  }
  void write(const std::string& text) {
    boost::system::error_code error;
    REQUIRE(stream->write_some(asio::buffer(text), error) == text.size());
    REQUIRE_FALSE(error);
  }
  /// Reads until `size` bytes in all have come; 10 s at most.
  void read(std::size_t size, bool stream_sends) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    std::string some(64 << 10, '\0');
    while (received.size() < size && std::chrono::steady_clock::now() < deadline) {
      if (stream_sends) io.poll();
      boost::system::error_code error;
      received.append(some, 0,
                      peer.read_some(asio::buffer(some.data(), std::min(some.size(), size - received.size())), error));
    }
    REQUIRE(received.size() == size);
  }

  asio::io_context io;
  http::TcpSocket peer{io};
  std::shared_ptr<int> owner = std::make_shared<int>();
  std::optional<http::WatchedStream> stream;
  std::optional<boost::system::error_code> drained;
  std::string received;
};

}  // namespace

TEST_CASE("what is written while a socket is full follows what was kept, also when there is room again", "[ws]") {
  Pair pair;
  const std::string first(std::size_t{16} << 20, 'a'), second(1'000, 'b');
  pair.write(first);
  REQUIRE(pair.stream->unsent() > 0);
  pair.read(std::size_t{2} << 20, false);  // there is room, and nobody has looked
  pair.write(second);
  CHECK_FALSE(pair.drained);
  pair.read(first.size() + second.size(), true);
  CHECK((pair.received == first + second));  // not printed: 16 MB
  pair.io.poll();
  REQUIRE(pair.drained);
  CHECK_FALSE(*pair.drained);
  CHECK(pair.stream->unsent() == 0);
}

TEST_CASE("a peer that goes away ends the waiting for room", "[ws]") {
  Pair pair;
  pair.write(std::string(std::size_t{16} << 20, 'a'));
  REQUIRE(pair.stream->unsent() > 0);
  pair.peer.close();
  pair.io.run_for(std::chrono::seconds(10));
  REQUIRE(pair.drained);
  CHECK(*pair.drained);
}

TEST_CASE("nobody is called when the owner is gone", "[ws]") {
  Pair pair;
  pair.write(std::string(std::size_t{16} << 20, 'a'));
  pair.owner.reset();
  pair.peer.close();
  pair.io.run_for(std::chrono::seconds(10));
  CHECK_FALSE(pair.drained);
}
