#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/crc32c.hpp"

/// The least that a log server can do between one client's record and another's: one epoll thread, records as [size][crc][bytes]:
/// check the CRC-32C, write(2), with `sync` one fdatasync a turn, answer the offset, and send the record on. Prints its port. A
/// connection whose first byte is 's' is a subscriber, any other a producer; the byte is not part of a record.
///
///   log_server_ceiling FILE sync|nosync

namespace {

using namespace troupe;

constexpr std::size_t head_bytes = 8;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

struct Client {
  bool known = false;
  bool subscriber = false;
  std::string in = {};
};

class Server {
 public:
  Server(const char* path, bool sync) : sync_(sync), log_(::open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600)) {
    if (log_ < 0) fail("open");
    poll_ = ::epoll_create1(EPOLL_CLOEXEC);
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* const where = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_, where, size) != 0 || ::listen(listener_, 64) != 0) fail("listen");
    if (::getsockname(listener_, where, &size) != 0) fail("getsockname");
    std::printf("%d\n", ntohs(address.sin_port));
    std::fflush(stdout);
    watch(listener_);
  }

  [[noreturn]] void run() {
    for (;;) {
      epoll_event events[64];
      const int count = ::epoll_wait(poll_, events, 64, -1);
      for (int i = 0; i < count; ++i) {
        if (events[i].data.fd == listener_) {
          accept();
        } else {
          read(events[i].data.fd);
        }
      }
      end_turn();
    }
  }

 private:
  struct Answer {
    int to;
    std::uint64_t offset;
  };

  void watch(int file) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = file;
    if (::epoll_ctl(poll_, EPOLL_CTL_ADD, file, &event) != 0) fail("epoll_ctl");
  }

  void accept() {
    const int file = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (file < 0) return;
    const int on = 1;
    ::setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (static_cast<std::size_t>(file) >= clients_.size()) clients_.resize(static_cast<std::size_t>(file) + 1);
    clients_[static_cast<std::size_t>(file)] = {};
    watch(file);
  }

  void read(int file) {
    auto& client = clients_[static_cast<std::size_t>(file)];
    char bytes[64 << 10];
    const auto got = ::recv(file, bytes, sizeof bytes, 0);
    if (got <= 0) {
      std::erase(subscribers_, file);
      ::close(file);
      return;
    }
    client.in.append(bytes, static_cast<std::size_t>(got));
    if (!client.known) {
      client.known = true;
      client.subscriber = client.in.front() == 's';
      client.in.erase(0, 1);
      if (client.subscriber) subscribers_.push_back(file);
    }
    std::size_t at = 0;
    while (client.in.size() - at >= head_bytes) {
      std::uint32_t size = 0;
      std::uint32_t crc = 0;
      std::memcpy(&size, client.in.data() + at, 4);
      std::memcpy(&crc, client.in.data() + at + 4, 4);
      if (client.in.size() - at < head_bytes + size) break;
      if (crc32c(as_bytes(std::string_view(client.in).substr(at + head_bytes, size))) != crc) fail("checksum");
      turn_.append(client.in, at, head_bytes + size);
      answers_.push_back({file, next_offset_++});
      at += head_bytes + size;
    }
    client.in.erase(0, at);
  }

  void end_turn() {
    if (turn_.empty()) return;
    if (::write(log_, turn_.data(), turn_.size()) != static_cast<ssize_t>(turn_.size())) fail("write");
    if (sync_ && ::fdatasync(log_) != 0) fail("fdatasync");
    for (const auto& answer : answers_) send(answer.to, &answer.offset, sizeof answer.offset);
    for (const int subscriber : subscribers_) send(subscriber, turn_.data(), turn_.size());
    turn_.clear();
    answers_.clear();
  }

  static void send(int file, const void* bytes, std::size_t size) {
    if (::send(file, bytes, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) std::perror("send");
  }

  bool sync_;
  int log_;
  int poll_ = -1;
  int listener_ = -1;
  std::vector<Client> clients_;
  std::vector<int> subscribers_;
  std::string turn_;
  std::vector<Answer> answers_;
  std::uint64_t next_offset_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string_view mode = argc == 3 ? argv[2] : "";
  if (mode != "sync" && mode != "nosync") {
    std::fputs("usage: log_server_ceiling FILE sync|nosync\n", stderr);
    return 2;
  }
  Server(argv[1], mode == "sync").run();
}
