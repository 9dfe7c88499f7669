#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <unistd.h>

#include "tests/actors/link/tcp_node.hpp"

using namespace troupe;
using namespace troupe::test;
using link::ProbeResult;

namespace {

ProbeResult probe_once(const link::PeerAddress& address, Millis timeout_ms) {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<ProbeResult> seen;
  runtime::TcpProbe probe;
  probe.probe(address, timeout_ms, [&](ProbeResult result) {
    const std::lock_guard lock{mutex};
    seen = std::move(result);
    changed.notify_all();
  });
  std::unique_lock lock{mutex};
  REQUIRE(changed.wait_for(lock, patience, [&] { return seen.has_value(); }));
  return *seen;
}

}  // namespace

TEST_CASE("a probe tells an open port, a refused one, and a name that is none", "[link_tcp]") {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in local{};
  local.sin_family = AF_INET;
  local.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof local;
  REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&local), size) == 0);
  REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&local), &size) == 0);
  const auto port = ntohs(local.sin_port);
  CHECK(probe_once(at(port), 5'000).outcome == ProbeResult::Outcome::refused);
  REQUIRE(::listen(listener, 8) == 0);
  const auto open = probe_once({"localhost", port}, 5'000);
  CHECK(open.outcome == ProbeResult::Outcome::open);
  CHECK(open.address == "127.0.0.1");
  ::close(listener);
  const auto unknown = probe_once({"no such name", 1}, 5'000);
  CHECK(unknown.outcome == ProbeResult::Outcome::failed);
  CHECK_FALSE(unknown.reason.empty());
}

TEST_CASE("a probe that nobody needs any more ends with its owner", "[link_tcp]") {
  std::optional<ProbeResult> seen;
  {
    runtime::TcpProbe probe;
    probe.probe({"192.0.2.1", 9}, 60'000, [&](ProbeResult result) { seen = std::move(result); });
  }
  REQUIRE(seen);
  CHECK(seen->outcome == ProbeResult::Outcome::failed);
}

TEST_CASE("nodes with real sockets find each other, call each other, and notice an end and a return", "[link_tcp]") {
  Board board;
  TcpNode one{board, 1, {}};
  auto two = std::make_unique<TcpNode>(board, 2, std::map<BrokerId, link::PeerAddress>{{BrokerId{1}, at(one.port())}});
  const auto port = two->port();
  one.mesh.set_peers({{BrokerId{2}, at(port)}});
  REQUIRE(board.sees("node 1: 2 up"));
  REQUIRE(board.sees("node 2: 1 up"));
  one.call(2, 1'200'000);
  two->call(1, 3);
  CHECK(board.sees("node 1: answer 1200000"));
  CHECK(board.sees("node 2: answer 3"));

  two.reset();
  REQUIRE(board.sees("node 1: 2 down"));
  REQUIRE(board.sees("node 1: 2 refused"));
  two = std::make_unique<TcpNode>(board, 2, std::map<BrokerId, link::PeerAddress>{{BrokerId{1}, at(one.port())}},
                                  std::nullopt, port);
  REQUIRE(board.sees("node 1: 2 up", 2));
  one.call(2, 7);
  CHECK(board.sees("node 1: answer 7"));
}
