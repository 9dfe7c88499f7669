#include "actors/link/wire_scribe.hpp"

#include <utility>
#include <vector>

#include <caf/io/middleman.hpp>
#include <caf/io/network/default_multiplexer.hpp>
#include <caf/io/network/stream_impl.hpp>

namespace troupe::actors {
namespace {

namespace network = caf::io::network;
using link::BaspGuard;

/// What CAF's stream reads from and writes to. All of it runs in the multiplexer's thread, but for the end of a system.
class WirePolicy {
 public:
  WirePolicy(WireConnectionPtr connection, BaspGuard::Side side, std::shared_ptr<NodeNames> names,
             const BaspGuard::NodeId& self)
      : connection_(std::move(connection)), side_(side), guard_(side), names_(std::move(names)), self_(self) {}
  /// Before CAF closes the socket.
  ~WirePolicy() {
    if (claimed_ && names_) names_->release(node_);
    connection_->ended();
  }
  WirePolicy(const WirePolicy&) = delete;
  WirePolicy& operator=(const WirePolicy&) = delete;

  network::rw_state read_some(std::size_t& result, network::native_socket, void* into, std::size_t size) {
    const MutableByteView view{static_cast<std::byte*>(into), size};
    const auto moved = connection_->read(view);
    result = moved.bytes;
    if (!moved.open) return network::rw_state::failure;
    if (auto status = judge(view.first(moved.bytes)); !status) {
      connection_->refuse(status.error().message);
      result = 0;
      return network::rw_state::failure;
    }
    return network::rw_state::success;
  }

  network::rw_state write_some(std::size_t& result, network::native_socket, const void* from, std::size_t size) {
    result = 0;
    if (size == 0) return network::rw_state::indeterminate;
    const auto moved = connection_->write({static_cast<const std::byte*>(from), size});
    result = moved.bytes;
    return moved.open ? network::rw_state::success : network::rw_state::failure;
  }

  bool must_read_more(network::native_socket, std::size_t threshold) { return connection_->unread() >= threshold; }

 private:
  Status judge(ByteView bytes) {
    TROUPE_TRY_ASSIGN(const auto claim, guard_.take(bytes));
    if (!claim) return ok();
    const auto wrong = [](const char* what) { return Error{Errc::policy_violation, what}; };
    if (claimed_ && claim->from != node_) return wrong("it speaks for another node than before");
    if (!claim->handshake) return claim->to == self_ ? ok() : Status{wrong("it speaks to another node by way of this one")};
    if (claimed_) return ok();
    if (claim->from == BaspGuard::NodeId{}) return wrong("a node without an id");
    // A connection that leads back to the node itself is ended by the greeting, which says so.
    if (side_ == BaspGuard::Side::accepted && claim->from == self_) return wrong("another process says that it is this one");
    if (names_ && !names_->claim(claim->from, connection_->broker())) return wrong("another broker has that node id");
    claimed_ = true;
    node_ = claim->from;
    connection_->greeted();
    return ok();
  }

  WireConnectionPtr connection_;
  BaspGuard::Side side_;
  BaspGuard guard_;
  std::shared_ptr<NodeNames> names_;
  BaspGuard::NodeId self_;
  BaspGuard::NodeId node_ = {};
  bool claimed_ = false;
};

class WireScribe final : public caf::io::scribe {
 public:
  template <class... Parts>
  WireScribe(network::default_multiplexer& multiplexer, int descriptor, Parts&&... policy)
      : scribe(network::conn_hdl_from_socket(descriptor)),
        stream_(multiplexer, descriptor, std::forward<Parts>(policy)...) {}

  void configure_read(caf::io::receive_policy::config config) override {
    stream_.configure_read(config);
    if (!std::exchange(launched_, true)) stream_.start(this);
  }
  void ack_writes(bool enable) override { stream_.ack_writes(enable); }
  std::vector<char>& wr_buf() override { return stream_.wr_buf(); }
  std::vector<char>& rd_buf() override { return stream_.rd_buf(); }
  void flush() override { stream_.flush(this); }
  void graceful_shutdown() override {
    stream_.graceful_shutdown();
    detach(&stream_.backend(), false);
  }
  std::string addr() const override {
    const auto address = network::remote_addr_of_fd(stream_.fd());
    return address ? *address : std::string{};
  }
  std::uint16_t port() const override {
    const auto port = network::remote_port_of_fd(stream_.fd());
    return port ? *port : std::uint16_t{0};
  }
  void add_to_loop() override { stream_.activate(this); }
  void remove_from_loop() override { stream_.passivate(); }

 private:
  bool launched_ = false;
  network::stream_impl<WirePolicy> stream_;
};

}  // namespace

caf::io::scribe_ptr make_wire_scribe(caf::actor_system& system, WireConnectionPtr connection, BaspGuard::Side side,
                                     std::shared_ptr<NodeNames> names) {
  auto& multiplexer = static_cast<network::default_multiplexer&>(system.middleman().backend());
  const int descriptor = connection->take_descriptor();
  return caf::make_counted<WireScribe>(multiplexer, descriptor, std::move(connection), side, std::move(names),
                                       bytes_of(system.node()));
}

}  // namespace troupe::actors
