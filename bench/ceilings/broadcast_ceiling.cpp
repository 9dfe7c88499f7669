#include <array>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/websocket/stream.hpp>

/// The least that a WebSocket server can do to pass each message on to everybody: one thread; each message is framed once, into
/// memory that all sockets share, and a socket is given in one write all that has come since its last. No log, no limits, no
/// positions to come back to. Prints its port.
///
///   broadcast_ceiling

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
using tcp = asio::ip::tcp;
using Socket = asio::basic_stream_socket<tcp, asio::io_context::executor_type>;

/// Frames behind each other. Whoever holds a block sees what comes after it.
struct Block {
  static constexpr std::size_t bytes_max = std::size_t{1} << 20;
  std::string bytes;
  std::shared_ptr<Block> next;
};

std::shared_ptr<Block> new_block() {
  auto block = std::make_shared<Block>();
  block->bytes.reserve(Block::bytes_max);  // so that it never moves
  return block;
}

/// A server's frame with a text, unmasked.
void append_frame(std::string& out, std::string_view text) {
  out += '\x81';
  if (text.size() < 126) {
    out += static_cast<char>(text.size());
  } else {
    out += '\x7e';
    out += static_cast<char>(text.size() >> 8U & 0xffU);
    out += static_cast<char>(text.size() & 0xffU);
  }
  out += text;
}

class Session;

struct Room {
  explicit Room(asio::io_context& io) : context(io) {}

  asio::io_context& context;
  std::shared_ptr<Block> last = new_block();
  std::vector<std::shared_ptr<Session>> sessions = {};
  bool told = false;

  void publish(std::string_view text);
  void tell_all();
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Socket socket, Room& room) : ws_(std::move(socket)), room_(room) {}

  void start() {
    ws_.async_accept([self = shared_from_this()](beast::error_code error) {
      if (error) return;
      self->block_ = self->room_.last;
      self->sent_ = self->block_->bytes.size();
      self->room_.sessions.push_back(self);
      self->read();
    });
  }

  /// What has come since the last write, if none is under way.
  void write() {
    if (writing_ || gone_) return;
    if (sent_ == block_->bytes.size()) {
      if (!block_->next) return;
      block_ = block_->next;
      sent_ = 0;
    }
    writing_ = true;
    ws_.next_layer().async_write_some(asio::buffer(block_->bytes.data() + sent_, block_->bytes.size() - sent_),
                                      [self = shared_from_this()](beast::error_code error, std::size_t size) {
                                        self->writing_ = false;
                                        self->sent_ += size;
                                        self->gone_ = self->gone_ || error;
                                        self->write();
                                      });
  }

 private:
  /// Raw bytes, so that all messages that are there are passed on together. Beast has done the handshake.
  void read() {
    ws_.next_layer().async_read_some(asio::buffer(bytes_),
                                     [self = shared_from_this()](beast::error_code error, std::size_t size) {
                                       if (error) {
                                         self->gone_ = true;
                                         std::erase(self->room_.sessions, self);
                                         return;
                                       }
                                       self->in_.append(self->bytes_.data(), size);
                                       self->take_frames();
                                       self->read();
                                     });
  }

  /// Of a client of ours: short texts, masked.
  void take_frames() {
    std::size_t at = 0;
    while (in_.size() - at >= 8) {
      const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(in_[at + i]); };
      std::size_t size = byte(1) & 0x7fU;
      std::size_t head = 6;
      if (size == 126) {
        size = static_cast<std::size_t>(byte(2)) << 8U | byte(3);
        head = 8;
      }
      if (in_.size() - at < head + size) break;
      for (std::size_t i = 0; i < size; ++i) in_[at + head + i] = static_cast<char>(byte(head + i) ^ byte(head - 4 + i % 4));
      room_.publish(std::string_view(in_).substr(at + head, size));
      at += head + size;
    }
    in_.erase(0, at);
  }

  beast::websocket::stream<Socket> ws_;
  Room& room_;
  std::array<char, 16384> bytes_;
  std::string in_;
  std::shared_ptr<Block> block_;
  std::size_t sent_ = 0;
  bool writing_ = false;
  bool gone_ = false;
};

void Room::publish(std::string_view text) {
  if (last->bytes.size() + text.size() + 16 > Block::bytes_max) {
    last->next = new_block();
    last = last->next;
  }
  append_frame(last->bytes, text);
  if (std::exchange(told, true)) return;
  asio::post(context, [this] { tell_all(); });
}

void Room::tell_all() {
  told = false;
  for (const auto& session : sessions) session->write();
}

using Acceptor = asio::basic_socket_acceptor<tcp, asio::io_context::executor_type>;

void accept(Acceptor& acceptor, Room& room) {
  acceptor.async_accept([&](beast::error_code error, Socket socket) {
    if (error) return;
    socket.set_option(tcp::no_delay(true));
    std::make_shared<Session>(std::move(socket), room)->start();
    accept(acceptor, room);
  });
}

}  // namespace

int main() {
  asio::io_context io{1};
  Acceptor acceptor(io.get_executor(), tcp::endpoint(asio::ip::address_v4::loopback(), 0));
  std::printf("%d\n", acceptor.local_endpoint().port());
  std::fflush(stdout);
  Room room(io);
  accept(acceptor, room);
  io.run();
  return 0;
}
