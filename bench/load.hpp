#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/// What the load generators share: a socket of an epoll loop, the server's processor time, latencies.
namespace troupe::bench {

[[noreturn]] inline void fail(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}
[[noreturn]] inline void fail_errno(const char* what) { fail(std::string(what) + ": " + std::strerror(errno)); }

inline std::int64_t now_ns() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

/// The processor time of another process, user and system, all its threads.
class ServerCpu {
 public:
  explicit ServerCpu(int process) {
    if (::clock_getcpuclockid(process, &clock_) != 0) fail("no process " + std::to_string(process));
  }
  double seconds() const {
    timespec time{};
    if (::clock_gettime(clock_, &time) != 0) fail("the server is gone");
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  }

 private:
  clockid_t clock_ = 0;
};

class Latencies {
 public:
  void add(std::int64_t ns) { all_.push_back(static_cast<std::uint32_t>(std::clamp<std::int64_t>(ns, 0, UINT32_MAX))); }
  std::size_t count() const { return all_.size(); }
  /// In microseconds; of none 0.
  double percentile(double part) {
    if (all_.empty()) return 0;
    const auto at = std::min(all_.size() - 1, static_cast<std::size_t>(part * static_cast<double>(all_.size())));
    std::nth_element(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(at), all_.end());
    return all_[at] / 1000.0;
  }

 private:
  std::vector<std::uint32_t> all_;
};

/// What a run has found, as one line of JSON.
inline void print_figures(std::size_t count, double wall_s, double cpu_s, Latencies& latencies) {
  std::printf("{\"count\":%zu,\"wall_s\":%.6f,\"cpu_s\":%.6f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f}\n", count,
              wall_s, cpu_s, latencies.percentile(0.50), latencies.percentile(0.99), latencies.percentile(0.999));
}

/// A connection to a server on this machine: bytes in, bytes out, nothing waits once it is connected.
class LoadSocket {
 public:
  LoadSocket() = default;
  LoadSocket(const LoadSocket&) = delete;
  LoadSocket& operator=(const LoadSocket&) = delete;
  ~LoadSocket() {
    if (file_ >= 0) ::close(file_);
  }

  void connect(int port) {
    file_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file_ < 0) fail_errno("socket");
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(file_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail_errno("connect");
    const int on = 1;
    ::setsockopt(file_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  int file() const { return file_; }

  void send(std::string_view bytes) {
    out_ += bytes;
    flush();
  }
  /// What the kernel did not take before; call it when the socket is writable again.
  void flush() {
    while (!out_.empty()) {
      const auto sent = ::send(file_, out_.data(), out_.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
      if (sent < 0) fail_errno("send");
      out_.erase(0, static_cast<std::size_t>(sent));
    }
  }

  /// Reads once into `buffer`, behind what was left over; false when there is nothing. `use(text)` answers how much of it it used.
  template <class Use>
  bool receive(std::vector<char>& buffer, int flags, Use use) {
    if (buffer.size() < rest_.size() + receive_bytes) buffer.resize(rest_.size() + receive_bytes);
    std::memcpy(buffer.data(), rest_.data(), rest_.size());
    const auto got = ::recv(file_, buffer.data() + rest_.size(), receive_bytes, flags);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (got < 0) fail_errno("recv");
    if (got == 0) fail("the server closed a connection");
    const std::string_view text(buffer.data(), rest_.size() + static_cast<std::size_t>(got));
    const std::size_t used = use(text);
    rest_.assign(text.substr(used));
    return true;
  }

 private:
  static constexpr std::size_t receive_bytes = std::size_t{256} << 10;
  int file_ = -1;
  std::string out_;
  std::string rest_;
};

/// Waits for sockets; each is known by a number.
class Poller {
 public:
  Poller() : file_(::epoll_create1(EPOLL_CLOEXEC)) {
    if (file_ < 0) fail_errno("epoll_create1");
  }
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;
  ~Poller() { ::close(file_); }

  void add(int file, std::uint64_t number, bool writes = false) {
    epoll_event event{};
    event.events = EPOLLIN | (writes ? EPOLLOUT | EPOLLET : 0U);
    event.data.u64 = number;
    if (::epoll_ctl(file_, EPOLL_CTL_ADD, file, &event) != 0) fail_errno("epoll_ctl");
  }
  template <class Ready>
  void wait(int timeout_ms, Ready ready) {
    epoll_event events[256];
    const int count = ::epoll_wait(file_, events, 256, timeout_ms);
    if (count < 0 && errno != EINTR) fail_errno("epoll_wait");
    for (int i = 0; i < count; ++i) ready(events[i].data.u64);
  }

 private:
  int file_;
};

/// The length of the HTTP response at the start of `text`, 0 when it is not all there. Fails the program on any status but 2xx and 101.
inline std::size_t response_size(std::string_view text) {
  const auto end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) return 0;
  const auto status = text.substr(9, 3);
  std::size_t body = 0;
  for (const std::string_view name : {"Content-Length: ", "content-length: "}) {
    const auto at = text.substr(0, end).find(name);
    if (at != std::string_view::npos) body = std::strtoul(text.data() + at + name.size(), nullptr, 10);
  }
  if (status[0] != '2' && status != "101") fail("answered: " + std::string(text.substr(0, end + 4 + 300)));
  return text.size() >= end + 4 + body ? end + 4 + body : 0;
}

inline std::string post(std::string_view path, std::string_view type, std::string_view body) {
  std::string request = "POST ";
  request += path;
  request += " HTTP/1.1\r\nHost: localhost\r\nContent-Type: ";
  request += type;
  request += "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  request += body;
  return request;
}

}  // namespace troupe::bench
