#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>

#include "base/byte_codec.hpp"
#include "tests/actors/link/tcp_node.hpp"
#include "tests/support/skip.hpp"
#include "tests/support/temp_directory.hpp"

using namespace troupe;
using namespace troupe::test;
using runtime::ClusterTls;
using runtime::TlsContext;

namespace {

/// A certificate authority of a test, and certificates by it.
class Authority {
 public:
  explicit Authority(std::string folder) : folder_(std::move(folder)) {
    works_ = run("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=cluster -keyout ca.key -out ca.pem");
  }
  bool works() const { return works_; }

  /// With that subjectAltName; empty: with none.
  ClusterTls files(const std::string& names) {
    const auto file = "node-" + std::to_string(++made_);
    const auto extension = names.empty() ? std::string{} : " -addext subjectAltName=" + names;
    REQUIRE(run("openssl req -newkey rsa:2048 -nodes -subj /CN=node" + extension + " -keyout " + file + ".key -out " + file +
                ".csr && openssl x509 -req -days 2 -in " + file +
                ".csr -CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions " + "copy -out " + file + ".pem"));
    return {.certificate = folder_ + "/" + file + ".pem",
            .key = folder_ + "/" + file + ".key",
            .authority = folder_ + "/ca.pem"};
  }
  TlsContext of(int broker) {
    auto read = TlsContext::read(files("DNS:broker-" + std::to_string(broker)), BrokerId{broker});
    INFO((read ? std::string{} : read.error().message));
    REQUIRE(read);
    return std::move(read).value();
  }

 private:
  bool run(const std::string& command) {
    return std::system(("mkdir -p " + folder_ + " && cd " + folder_ + " && (" + command + ") > log 2>&1").c_str()) == 0;
  }

  std::string folder_;
  bool works_ = false;
  int made_ = 0;
};

/// A TCP connection of somebody who is no node.
class Stranger {
 public:
  explicit Stranger(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(port);
    connected_ = ::connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~Stranger() { ::close(socket_); }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  bool connected() const { return connected_; }
  void say(ByteView bytes) { static_cast<void>(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL)); }
  /// Whether the other side has closed within that time; what it says before is read.
  bool is_closed(int within_ms) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(within_ms);
    while (true) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
      pollfd wait{socket_, POLLIN, 0};
      if (left < 0 || ::poll(&wait, 1, static_cast<int>(left)) <= 0) return false;
      std::array<char, 4096> read{};
      if (::recv(socket_, read.data(), read.size(), 0) <= 0) return true;
    }
  }

 private:
  int socket_;
  bool connected_ = false;
};

ByteBuffer basp_frame(std::uint8_t operation, std::uint32_t size, std::size_t payload) {
  ByteBuffer frame(32 + payload);
  std::fill(frame.begin(), frame.end(), std::byte{0});
  frame[0] = std::byte{operation};
  store_big_endian(&frame[4], size);
  store_big_endian(&frame[8], std::uint64_t{operation == 0 ? 3U : 0U});
  return frame;
}

}  // namespace

TEST_CASE("strangers and nodes of another name knock all the time, and no link of the cluster is lost", "[link_tls]") {
  TempDirectory directory;
  Authority ours{directory / "ours"};
  if (!ours.works()) TROUPE_SKIP("package openssl is missing");
  Authority theirs{directory / "theirs"};
  Board board;
  TcpNode one{board, 1, {}, ours.of(1)};
  const std::map<BrokerId, link::PeerAddress> first{{BrokerId{1}, at(one.port())}};
  TcpNode two{board, 2, first, ours.of(2)};
  REQUIRE(board.sees("node 1: 2 up"));
  REQUIRE(board.sees("node 2: 1 up"));

  TcpNode other_authority{board, 3, first, theirs.of(3)};
  TcpNode without_tls{board, 4, first};
  // It has the key of node 2, and says that it is node 5.
  TcpNode other_name{board, 5, first, TlsContext::read(ours.files("DNS:broker-2"), std::nullopt).value()};
  // A second node 2, by its name.
  TcpNode wrong_target{board, 6, {{BrokerId{1}, at(two.port())}}, ours.of(6)};

  for (int round = 0; round < 30; ++round) {
    one.call(2, 300'000);
    two.call(1, 100'000);
    REQUIRE(board.sees("node 1: answer 300000", round + 1));
    REQUIRE(board.sees("node 2: answer 100000", round + 1));
    for (int i = 0; i < 5; ++i) Stranger{one.port()}.say(as_bytes("GET / HTTP/1.1\r\n\r\n"));
  }
  CHECK(other_authority.says("1", "certificate verify failed"));
  CHECK(without_tls.says("1", "as a node with TLS does to one without"));
  CHECK(other_name.says("1", "its certificate is of broker-2, and it says that it is broker 5"));
  CHECK(wrong_target.says("1", "broker 1 was wanted"));
  for (const auto* lost : {"node 1: 2 down", "node 2: 1 down", "node 1: 3 up", "node 1: 4 up", "node 1: 5 up"}) {
    INFO(lost);
    CHECK(board.count(lost) == 0);
  }
  CHECK(one.wire.counts().refused > 100);
  CHECK(one.wire.counts().open <= 3);
}

TEST_CASE("connections that never finish TLS are bounded in number and time, and keep nobody out", "[link_tls]") {
  TempDirectory directory;
  Authority ours{directory / "ours"};
  if (!ours.works()) TROUPE_SKIP("package openssl is missing");
  Board board;
  TcpNode one{board, 1, {}, ours.of(1), 0, {.handshake_timeout_ms = 1'000, .handshakes_max = 32}};
  std::vector<std::unique_ptr<Stranger>> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(std::make_unique<Stranger>(one.port()));
    REQUIRE(silent.back()->connected());
    // Half of them begin a ClientHello.
    if (i % 2 == 0) silent.back()->say(as_bytes(std::string("\x16\x03\x01\x02\x00\x01\x00", 7)));
  }
  CHECK(silent.front()->is_closed(15'000));
  TcpNode two{board, 2, {{BrokerId{1}, at(one.port())}}, ours.of(2)};
  REQUIRE(board.sees("node 1: 2 up"));
  for (auto& stranger : silent) CHECK(stranger->is_closed(15'000));
  CHECK(board.count("node 1: 2 down") == 0);
  CHECK(eventually([&] { return one.wire.counts().refused >= 200; }));
}

TEST_CASE("links go on when the actor that listens is started anew, and others can still connect", "[link_tls]") {
  TempDirectory directory;
  Authority ours{directory / "ours"};
  if (!ours.works()) TROUPE_SKIP("package openssl is missing");
  Board board;
  TcpNode one{board, 1, {}, ours.of(1)};
  const std::map<BrokerId, link::PeerAddress> first{{BrokerId{1}, at(one.port())}};
  TcpNode two{board, 2, first, ours.of(2)};
  REQUIRE(board.sees("node 1: 2 up"));
  for (int run = 1; run <= 3; ++run) {
    caf::anon_send_exit(one.manager, caf::exit_reason::kill);
    one.manager = one.mesh.start(*one.system, one.table.add("link_manager", "links"));
    REQUIRE(board.sees("node 1: 2 up", run + 1));
    REQUIRE(board.sees("node 2: 1 up", run + 1));
  }
  TcpNode three{board, 3, first, ours.of(3)};
  REQUIRE(board.sees("node 1: 3 up"));
  one.call(3, 10);
  CHECK(board.sees("node 1: answer 10"));
}

TEST_CASE("frames that end a process of CAF's end only the connection, without TLS too", "[link_tls]") {
  Board board;
  TcpNode one{board, 1, {}, std::nullopt, 0, {.greeting_timeout_ms = 300}};
  TcpNode two{board, 2, {{BrokerId{1}, at(one.port())}}};
  REQUIRE(board.sees("node 1: 2 up"));
  const auto frames = {basp_frame(1, 0, 0), basp_frame(0, 0, 0), basp_frame(2, 0xffffffff, 0), basp_frame(1, 0xffffffff, 0),
                       basp_frame(3, 64, 64)};
  for (const auto& frame : frames) {
    Stranger stranger{one.port()};
    stranger.say(frame);
    CHECK(stranger.is_closed(10'000));
  }
  // Another node of CAF's, which then speaks for a third one, to a third one, or as this node.
  const auto self = actors::bytes_of(one.system->node());
  auto other = self;
  other[9] ^= std::byte{0x55};
  auto third = self;
  third[9] ^= std::byte{0x33};
  const auto with = [](ByteBuffer frame, const actors::NodeNames::NodeId& from, const actors::NodeNames::NodeId& to) {
    std::copy(from.begin(), from.end(), frame.begin() + 32);
    if (frame.size() == 96) std::copy(to.begin(), to.end(), frame.begin() + 64);
    return frame;
  };
  const auto monitor = basp_frame(4, 64, 64);
  for (const auto& [from, to] : {std::pair{third, self}, std::pair{other, third}}) {
    Stranger stranger{one.port()};
    stranger.say(with(basp_frame(1, 32, 32), other, {}));
    stranger.say(with(monitor, from, to));
    CHECK(stranger.is_closed(10'000));
  }
  Stranger impostor{one.port()};
  impostor.say(with(basp_frame(1, 32, 32), self, {}));
  CHECK(impostor.is_closed(10'000));
  CHECK(eventually([&] { return one.wire.counts().refused >= frames.size() + 3; }));
  Stranger silent{one.port()};
  CHECK(silent.is_closed(10'000));
  one.call(2, 5);
  CHECK(board.sees("node 1: answer 5"));
  CHECK(board.count("node 1: 2 down") == 0);
}

TEST_CASE("a node id of CAF's is of the broker that had it first, as long as it has a connection", "[link_tls]") {
  actors::NodeNames names;
  TcpNode::Config config;
  const caf::actor_system system{config};
  const auto node = actors::bytes_of(system.node());
  REQUIRE(node != actors::NodeNames::NodeId{});
  CHECK(names.proof_of(system.node()) == link::Proof{true, no_broker});
  CHECK(names.claim(node, BrokerId{2}));
  CHECK_FALSE(names.claim(node, BrokerId{3}));
  CHECK(names.claim(node, BrokerId{2}));
  names.release(node);
  CHECK_FALSE(names.claim(node, BrokerId{3}));
  CHECK(names.proof_of(system.node()) == link::Proof{true, BrokerId{2}});
  names.release(node);
  CHECK(names.claim(node, BrokerId{3}));
  CHECK(names.proof_of(system.node()) == link::Proof{true, BrokerId{3}});
  CHECK(names.proof_of({}) == link::Proof{true, no_broker});
}

TEST_CASE("a node's files for TLS are wrong in one sentence each", "[link_tls]") {
  TempDirectory directory;
  Authority ours{directory / "ours"};
  if (!ours.works()) TROUPE_SKIP("package openssl is missing");
  Authority theirs{directory / "theirs"};
  const auto good = ours.files("DNS:broker-1");
  const auto foreign = theirs.files("DNS:broker-1");
  const auto refusal = [](const ClusterTls& files, int id = 1) {
    const auto read = TlsContext::read(files, BrokerId{id});
    if (read) return std::string("taken");
    CHECK(read.error().code == Errc::invalid_config);
    CHECK(read.error().message.find('\n') == std::string::npos);
    return read.error().message;
  };
  using Catch::Matchers::Contains;
  CHECK(refusal(good) == "taken");
  CHECK(refusal(ours.files("DNS:node-1.example,DNS:broker-1,IP:127.0.0.1")) == "taken");
  CHECK_THAT(refusal(good, 2), Contains("is of broker-1, and node.id is 2"));
  CHECK_THAT(refusal(ours.files("")), Contains("names no broker"));
  CHECK_THAT(refusal(ours.files("DNS:broker-1,DNS:broker-2")), Contains("names two brokers"));
  CHECK_THAT(refusal({good.certificate, good.key, foreign.authority}), Contains("the other nodes will refuse"));
  CHECK_THAT(refusal({good.certificate, foreign.key, good.authority}), Contains("cluster.tls.key"));
  CHECK_THAT(refusal({directory / "nothing", good.key, good.authority}), Contains("cluster.tls.certificate"));
  CHECK_THAT(refusal({good.certificate, good.key, directory / "nothing"}), Contains("cluster.tls.authority"));
  CHECK_THAT(refusal({good.key, good.key, good.authority}), Contains("cluster.tls.certificate"));
}
