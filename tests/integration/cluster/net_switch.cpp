// A network of its own for each node, and the wires between them: a test's user-space switch.
//
//   net_switch COUNT SEED
//
// Makes COUNT network namespaces, each with a loopback and a TUN device at 127.9.0.N/24, and passes the devices' packets on by the
// rule of each directed link. Prints "namespace N PATH" for each, then "ready"; PATH is for setns(2) and good while this program runs.
// Nothing is left behind: namespaces and devices go with the last process that uses them. Root only; 77 and a reason where not permitted.
//
// The addresses are loopback's because a node without TLS listens nowhere else; the kernel routes them with route_localnet.
//
// Commands, one a line on stdin, each answered with one line; the end of stdin ends the program:
//
//   link FROM TO [cut|hold] [lose=P] [duplicate=P] [reorder=P] [delay=MS] [jitter=MS]     replaces the link's rule
//       cut: nothing passes; hold: nothing passes until the next rule, then all of it at once; probabilities are those of a packet
//   count      one JSON object, link "FROM-TO" -> how many packets were seen, delivered, cut, lost, duplicated, delayed, reordered, held
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iostream>
#include <queue>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Packet = std::vector<std::uint8_t>;

constexpr int skipped = 77;
constexpr std::size_t nodes_max = 9;
constexpr std::size_t held_max = 20'000;  // packets of one link; what comes later is lost
constexpr std::uint8_t network[3] = {127, 9, 0};

[[noreturn]] void give_up(const std::string& what) {
  const bool forbidden = errno == EPERM || errno == EACCES || errno == ENOENT || errno == ENODEV;
  std::cout << (forbidden ? "SKIPPED: machine: no " : "net_switch: ") << what << " (" << std::strerror(errno) << ")"
            << std::endl;
  std::exit(forbidden ? skipped : 1);
}

struct Rule {
  bool cut = false;
  bool hold = false;
  double lose = 0;
  double duplicate = 0;
  double reorder = 0;  ///< this one waits for some of its successors
  double delay_ms = 0;
  double jitter_ms = 0;
};

struct Counts {
  std::uint64_t seen = 0, delivered = 0, cut = 0, lost = 0, duplicated = 0, delayed = 0, reordered = 0, held = 0;
};

struct Link {
  Rule rule = {};
  Counts counts = {};
  std::uint64_t newest_delivered = 0;  ///< by number of arrival
  std::deque<Packet> held = {};
};

struct Due {
  Clock::time_point at;
  std::uint64_t order;   ///< among those due at the same time
  std::uint64_t number;  ///< of its arrival at the link
  std::size_t from, to;
  Packet packet;
  bool operator<(const Due& other) const {
    return at != other.at ? at > other.at : order > other.order;
  }  // a heap's top is the next
};

/// `name` gets `address` and a mask of `bits`, and is up. In the namespace of the calling thread.
void configure(const char* name, std::uint32_t address, int bits) {
  const int control = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  if (::ioctl(control, SIOCGIFFLAGS, &request) != 0) give_up("device flags");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  if (::ioctl(control, SIOCSIFFLAGS, &request) != 0) give_up("device that is up");
  const auto set = [&](unsigned long what, std::uint32_t value) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(value);
    std::memcpy(&request.ifr_addr, &to, sizeof(to));
    if (::ioctl(control, what, &request) != 0) give_up("device address");
  };
  set(SIOCSIFADDR, address);
  set(SIOCSIFNETMASK, bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits));
  ::close(control);
}

struct Node {
  int name_space = -1;
  int device = -1;
};

Node make_node(std::size_t number, int home) {
  Node node;
  if (::unshare(CLONE_NEWNET) != 0) give_up("network namespaces");
  node.name_space = ::open("/proc/self/ns/net", O_RDONLY);
  const int setting = ::open("/proc/sys/net/ipv4/conf/all/route_localnet", O_WRONLY | O_CLOEXEC);
  if (setting < 0 || ::write(setting, "1", 1) != 1) give_up("route_localnet");
  ::close(setting);
  node.device = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (node.device < 0) give_up("/dev/net/tun");
  ifreq request{};
  std::strncpy(request.ifr_name, "wire", IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (::ioctl(node.device, TUNSETIFF, &request) != 0) give_up("TUN device");
  // The loopback's own net is one address: the others of 127/8 are on the wire.
  configure("lo", 0x7f000001, 32);
  configure("wire",
            (std::uint32_t{network[0]} << 24) | (std::uint32_t{network[1]} << 16) | static_cast<std::uint32_t>(number), 24);
  if (::setns(home, CLONE_NEWNET) != 0) give_up("way back from a namespace");
  return node;
}

class Switch {
 public:
  Switch(std::size_t count, std::uint64_t seed) : links_(count * count), random_(seed) {
    const int home = ::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0) give_up("network namespaces");
    for (std::size_t n = 1; n <= count; ++n) nodes_.push_back(make_node(n, home));
    for (std::size_t n = 1; n <= count; ++n)
      std::cout << "namespace " << n << " /proc/" << ::getpid() << "/fd/" << nodes_[n - 1].name_space << "\n";
    std::cout << "ready" << std::endl;
  }

  void run() {
    std::vector<pollfd> polled{{STDIN_FILENO, POLLIN, 0}};
    for (const auto& node : nodes_) polled.push_back({node.device, POLLIN, 0});
    for (;;) {
      timespec wait{1, 0};
      if (!due_.empty()) {
        const auto left = std::max(Clock::duration::zero(), due_.top().at - Clock::now());
        const auto nanoseconds = std::min<std::int64_t>(std::chrono::nanoseconds(left).count(), 999'999'999);
        wait = {0, nanoseconds};
      }
      if (::ppoll(polled.data(), polled.size(), &wait, nullptr) < 0 && errno != EINTR) give_up("poll");
      for (std::size_t from = 0; from < nodes_.size(); ++from) {
        if ((polled[from + 1].revents & POLLIN) != 0) receive(from);
      }
      deliver_due();
      if ((polled[0].revents & (POLLIN | POLLHUP)) != 0 && !listen()) return;
    }
  }

 private:
  Link& link(std::size_t from, std::size_t to) { return links_[from * nodes_.size() + to]; }
  bool happens(double probability) {
    return probability > 0 && std::uniform_real_distribution<double>(0, 1)(random_) < probability;
  }

  void receive(std::size_t from) {
    std::array<std::uint8_t, 65536> bytes;
    for (int turn = 0; turn < 64; ++turn) {  // then the others have theirs
      const auto length = ::read(nodes_[from].device, bytes.data(), bytes.size());
      if (length < 20) return;
      if (bytes[0] >> 4 != 4 || std::memcmp(&bytes[16], network, sizeof(network)) != 0) continue;
      const std::size_t to = std::size_t{bytes[19]} - 1;
      if (to < nodes_.size() && to != from) forward(from, to, Packet(bytes.begin(), bytes.begin() + length));
    }
  }

  void forward(std::size_t from, std::size_t to, Packet packet) {
    auto& [rule, counts, newest, held] = link(from, to);
    ++counts.seen;
    if (rule.cut) {
      ++counts.cut;
    } else if (rule.hold) {
      ++counts.held;
      if (held.size() < held_max) held.push_back(std::move(packet));
    } else if (happens(rule.lose)) {
      ++counts.lost;
    } else {
      if (happens(rule.duplicate)) {
        ++counts.duplicated;
        send_later(from, to, packet);
      }
      send_later(from, to, std::move(packet));
    }
  }

  void send_later(std::size_t from, std::size_t to, Packet packet) {
    auto& [rule, counts, newest, held] = link(from, to);
    double ms = rule.delay_ms;
    if (rule.jitter_ms > 0) ms += std::uniform_real_distribution<double>(0, rule.jitter_ms)(random_);
    if (happens(rule.reorder)) ms += std::uniform_real_distribution<double>(1, 20)(random_);
    if (ms > 0) ++counts.delayed;
    const auto delay = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double, std::milli>(ms));
    due_.push({Clock::now() + delay, ++order_, counts.seen, from, to, std::move(packet)});
  }

  void deliver_due() {
    const auto now = Clock::now();
    while (!due_.empty() && due_.top().at <= now) {
      const auto& one = due_.top();
      auto& at = link(one.from, one.to);
      if (::write(nodes_[one.to].device, one.packet.data(), one.packet.size()) >= 0) ++at.counts.delivered;
      if (one.number < at.newest_delivered) ++at.counts.reordered;
      at.newest_delivered = std::max(at.newest_delivered, one.number);
      due_.pop();
    }
  }

  /// False when nobody will say anything any more.
  bool listen() {
    std::array<char, 4096> bytes;
    const auto length = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (length <= 0) return false;
    said_.append(bytes.data(), static_cast<std::size_t>(length));
    for (auto end = said_.find('\n'); end != std::string::npos; end = said_.find('\n')) {
      std::cout << obey(said_.substr(0, end)) << std::endl;
      said_.erase(0, end + 1);
    }
    return true;
  }

  std::string obey(const std::string& line) {
    std::istringstream words(line);
    std::string verb;
    words >> verb;
    if (verb == "count") return told();
    std::size_t from = 0, to = 0;
    if (verb != "link" || !(words >> from >> to) || from < 1 || to < 1 || from > nodes_.size() || to > nodes_.size() ||
        from == to)
      return "error: no such command: " + line;
    Rule rule;
    for (std::string word; words >> word;) {
      const auto equals = word.find('=');
      const auto name = word.substr(0, equals);
      const double value = equals == std::string::npos ? 0 : std::atof(word.c_str() + equals + 1);
      if (word == "cut")
        rule.cut = true;
      else if (word == "hold")
        rule.hold = true;
      else if (name == "lose")
        rule.lose = value;
      else if (name == "duplicate")
        rule.duplicate = value;
      else if (name == "reorder")
        rule.reorder = value;
      else if (name == "delay")
        rule.delay_ms = value;
      else if (name == "jitter")
        rule.jitter_ms = value;
      else
        return "error: no such rule: " + word;
    }
    auto& at = link(from - 1, to - 1);
    at.rule = rule;
    if (!rule.hold) {
      for (auto& packet : at.held) send_later(from - 1, to - 1, std::move(packet));
      at.held.clear();
    }
    return "ok";
  }

  std::string told() {
    std::ostringstream text;
    const char* comma = "{";
    for (std::size_t from = 0; from < nodes_.size(); ++from) {
      for (std::size_t to = 0; to < nodes_.size(); ++to) {
        if (from == to) continue;
        const auto& c = link(from, to).counts;
        text << comma << "\"" << from + 1 << "-" << to + 1 << "\":{\"seen\":" << c.seen << ",\"delivered\":" << c.delivered
             << ",\"cut\":" << c.cut << ",\"lost\":" << c.lost << ",\"duplicated\":" << c.duplicated
             << ",\"delayed\":" << c.delayed << ",\"reordered\":" << c.reordered << ",\"held\":" << c.held << "}";
        comma = ",";
      }
    }
    text << (nodes_.size() < 2 ? "{}" : "}");
    return text.str();
  }

  std::vector<Node> nodes_;
  std::vector<Link> links_;
  std::mt19937_64 random_;
  std::priority_queue<Due> due_;
  std::uint64_t order_ = 0;
  std::string said_;
};

}  // namespace

int main(int argc, char** argv) {
  const int count = argc == 3 ? std::atoi(argv[1]) : 0;
  if (count < 1 || static_cast<std::size_t>(count) > nodes_max) {
    std::cerr << "usage: net_switch COUNT SEED      COUNT is 1 to " << nodes_max << "\n";
    return 2;
  }
  Switch(static_cast<std::size_t>(count), std::strtoull(argv[2], nullptr, 10)).run();
}
