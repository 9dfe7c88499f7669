#include <memory>
#include <string>
#include <vector>

#include "bench/load.hpp"

/// Keeps one request under way on each of some keep-alive connections, and says what that cost the server.
///
///   http_load produce PORT PROCESS CONNECTIONS SECONDS PATH    10-record JSON bodies (1.1 KB), Confluent v2
///   http_load create PORT PROCESS CONNECTIONS COUNT            creates that many topics of one partition
///
/// PROCESS: the server's, whose processor time is measured.

namespace {

using namespace troupe::bench;

constexpr std::string_view json = "application/json";
constexpr double warm_up_s = 0.3;

/// {"records":[{"key":"driver-100","value":{...}}, ...]}, 1.1 KB
std::string produce_body() {
  std::string body = "{\"records\":[";
  for (int i = 0; i < 10; ++i) {
    if (i > 0) body += ',';
    const auto number = std::to_string(100 + i);
    body += R"({"key":"driver-)" + number + R"(","value":{"lat":51.5)" + number + R"(,"lon":-0.1)" + number +
            R"(,"speed":13.5,"heading":270,"status":"on_trip"}})";
  }
  return body + "]}";
}

class Load {
 public:
  Load(int port, int process, std::size_t connections) : cpu_(process), sockets_(connections), sent_ns_(connections) {
    for (std::size_t i = 0; i < connections; ++i) {
      sockets_[i] = std::make_unique<LoadSocket>();
      sockets_[i]->connect(port);
      poller_.add(sockets_[i]->file(), i);
    }
  }

  void produce(const std::string& path, double seconds) {
    const auto request = post(path, "application/vnd.kafka.json.v2+json", produce_body());
    run(warm_up_s, [&](std::size_t) { return request; });
    answered_ = 0;
    latencies_ = {};
    measure([&] { run(seconds, [&](std::size_t) { return request; }); });
  }

  void create(std::size_t count) {
    measure([&] {
      run(3600, [&](std::size_t number) {
        if (number >= count) return std::string();
        return post("/v1/topics", json, R"({"name":"topic-)" + std::to_string(number) + R"(","partitions":1})");
      });
    });
    if (answered_ != count) fail("not all were answered");
  }

 private:
  template <class Work>
  void measure(Work work) {
    const auto began = now_ns();
    const auto cpu = cpu_.seconds();
    work();
    const auto used = cpu_.seconds() - cpu;
    print_figures(answered_, static_cast<double>(now_ns() - began) * 1e-9, used, latencies_);
  }

  /// Until the time is over or `request(number)` is empty, and all is answered.
  template <class Request>
  void run(double seconds, Request request) {
    const auto end = now_ns() + static_cast<std::int64_t>(seconds * 1e9);
    std::size_t number = 0;
    std::size_t open = 0;
    const auto ask = [&](std::size_t i) {
      const std::string text = request(number);
      if (text.empty()) return;
      ++number;
      ++open;
      sent_ns_[i] = now_ns();
      sockets_[i]->send(text);
    };
    for (std::size_t i = 0; i < sockets_.size(); ++i) ask(i);
    while (open > 0) {
      poller_.wait(1000, [&](std::uint64_t i) {
        std::size_t size = 0;
        sockets_[i]->receive(buffer_, 0, [&](std::string_view text) { return size = response_size(text); });
        if (size == 0) return;
        --open;
        ++answered_;
        const auto now = now_ns();
        latencies_.add(now - sent_ns_[i]);
        if (now < end) ask(i);
      });
    }
  }

  ServerCpu cpu_;
  Poller poller_;
  std::vector<std::unique_ptr<LoadSocket>> sockets_;
  std::vector<std::int64_t> sent_ns_;
  std::vector<char> buffer_;
  std::size_t answered_ = 0;
  Latencies latencies_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool produces = arguments.size() == 6 && arguments[0] == "produce";
  const bool creates = arguments.size() == 5 && arguments[0] == "create";
  if (!produces && !creates) {
    std::fputs("usage: http_load produce PORT PROCESS CONNECTIONS SECONDS PATH | create PORT PROCESS CONNECTIONS COUNT\n",
               stderr);
    return 2;
  }
  Load load(std::stoi(arguments[1]), std::stoi(arguments[2]), std::stoul(arguments[3]));
  if (produces) {
    load.produce(arguments[5], std::stod(arguments[4]));
  } else {
    load.create(std::stoul(arguments[4]));
  }
  return 0;
}
