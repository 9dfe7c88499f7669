#include <memory>
#include <string>
#include <vector>

#include <sys/timerfd.h>

#include "base/crc32c.hpp"
#include "bench/load.hpp"

/// Subscribers that check that nothing is lost, repeated or out of order, and one publisher of 100-byte values.
///
///   ws_load fanout troupe|bare PORT PROCESS TOPIC SUBSCRIBERS RATE SECONDS   RATE: values a second; 0: as many as go
///   ws_load latency troupe|bare PORT PROCESS TOPIC RATE SECONDS              from a POST to a WebSocket, microseconds
///
/// PROCESS: the server's, whose processor time is measured. bare: broadcast_ceiling for fanout, log_server_ceiling for latency.

namespace {

using namespace troupe::bench;

constexpr std::size_t value_bytes = 100;
constexpr std::size_t digits = 16;
constexpr std::size_t ahead_max = 200;  ///< values of the publisher that the subscribers have not all seen
constexpr std::int64_t second_ns = 1'000'000'000;
constexpr std::size_t producers = 16;  ///< connections of the latency run

/// A JSON string of 100 bytes that begins with the number.
std::string value_of(std::size_t number) {
  std::string text = "\"" + std::string(digits, '0');
  const auto plain = std::to_string(number);
  text.replace(1 + digits - plain.size(), plain.size(), plain);
  text.resize(value_bytes - 1, 'v');
  return text + '"';
}

/// A text from a client, masked with zeros.
std::string client_frame(std::string_view text) {
  std::string frame = "\x81";
  if (text.size() < 126) {
    frame += static_cast<char>(0x80U | text.size());
  } else {
    frame += '\xfe';
    frame += static_cast<char>(text.size() >> 8U & 0xffU);
    frame += static_cast<char>(text.size() & 0xffU);
  }
  frame.append(4, '\0');
  frame += text;
  return frame;
}

/// Calls `take(payload)` for each whole frame; answers the bytes of them.
template <class Take>
std::size_t for_each_frame(std::string_view text, Take take) {
  std::size_t at = 0;
  while (text.size() - at >= 2) {
    const auto byte = [&](std::size_t i) { return static_cast<std::uint64_t>(static_cast<unsigned char>(text[at + i])); };
    std::uint64_t size = byte(1) & 0x7fU;
    std::size_t head = 2;
    if (size >= 126) {
      const std::size_t more = size == 126 ? 2 : 8;
      if (text.size() - at < 2 + more) break;
      size = 0;
      for (std::size_t i = 0; i < more; ++i) size = size << 8U | byte(2 + i);
      head += more;
    }
    if (text.size() - at < head + size) break;
    if ((byte(0) & 0x0fU) == 8) fail("the server closed a subscription: " + std::string(text.substr(at + head, size)));
    take(text.substr(at + head, size));
    at += head + size;
  }
  return at;
}

/// Calls `take(number behind the needle)` for each record of a `records` push.
template <class Take>
void for_each_number(std::string_view push, std::string_view needle, Take take) {
  std::size_t at = 0;
  while ((at = push.find(needle, at)) != std::string_view::npos) {
    at += needle.size();
    take(std::strtoull(push.data() + at, nullptr, 10));
    at += value_bytes;  // a record is longer than its value
  }
}

struct Subscriber {
  LoadSocket socket = {};
  std::size_t next = 0;  ///< the offset, or the number, that has to come
};

/// Waits until the server has answered with what `whole(text)` takes as an answer.
template <class Whole>
void await(LoadSocket& socket, std::vector<char>& buffer, Whole whole) {
  std::size_t used = 0;
  while (used == 0) socket.receive(buffer, 0, [&](std::string_view text) { return used = whole(text); });
}

void upgrade(LoadSocket& socket, int port, std::vector<char>& buffer) {
  socket.connect(port);
  socket.send(
      "GET /v1/ws?auto=1 HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
  await(socket, buffer, response_size);
}

void subscribe(LoadSocket& socket, const std::string& topic, std::vector<char>& buffer) {
  socket.send(client_frame(R"({"id":1,"op":"subscribe","sub":"s","topics":[")" + topic + R"("],"from":{"earliest":true}})"));
  await(socket, buffer, [](std::string_view text) {
    bool subscribed = false;
    const auto used = for_each_frame(text, [&](std::string_view push) {
      if (push.find("\"err\"") != std::string_view::npos) fail(std::string(push));
      subscribed = subscribed || push.find("\"re\":1") != std::string_view::npos;
    });
    return subscribed ? used : 0;
  });
}

// --- fan-out

class Fanout {
 public:
  Fanout(bool bare, int port, int process, std::string topic, std::size_t subscribers)
      : bare_(bare), topic_(std::move(topic)), cpu_(process), subscribers_(subscribers) {
    for (std::size_t i = 0; i < subscribers; ++i) {
      subscribers_[i] = std::make_unique<Subscriber>();
      upgrade(subscribers_[i]->socket, port, buffer_);
      if (!bare) subscribe(subscribers_[i]->socket, topic_, buffer_);
      poller_.add(subscribers_[i]->socket.file(), i);
    }
    upgrade(publisher_, port, buffer_);
    poller_.add(publisher_.file(), subscribers, true);
  }

  void run(double rate, double seconds) {
    publish(rate, 0.5);
    latencies_ = {};
    const auto delivered = delivered_;
    const auto began = now_ns();
    const auto cpu = cpu_.seconds();
    publish(rate, seconds);
    const auto used = cpu_.seconds() - cpu;
    print_figures(delivered_ - delivered, static_cast<double>(now_ns() - began) * 1e-9, used, latencies_);
  }

 private:
  /// Until the time is over and every subscriber has had everything.
  void publish(double rate, double seconds) {
    const auto began = now_ns();
    const auto end = began + static_cast<std::int64_t>(seconds * 1e9);
    const auto before = published_at_.size();
    while (true) {
      const auto now = now_ns();
      const auto all = published_at_.size() * subscribers_.size();
      if (now >= end && delivered_ == all) return;
      if (now >= end + 20 * second_ns)
        fail("records were lost: " + std::to_string(all - delivered_) + " deliveries are missing");
      if (now < end) {
        const auto room = ahead_max - std::min(ahead_max, (all - delivered_) / subscribers_.size());
        const auto due = static_cast<std::size_t>(static_cast<double>(now - began) * 1e-9 * rate) + before;
        const auto wanted = rate == 0 ? room : due - std::min(due, published_at_.size());
        send(std::min(room, wanted), now);
      }
      poller_.wait(1, [&](std::uint64_t number) { ready(number); });
    }
  }

  void send(std::size_t count, std::int64_t now) {
    std::string frames;
    for (std::size_t i = 0; i < count; ++i) {
      const auto value = value_of(published_at_.size());
      frames += client_frame(bare_ ? value : R"({"op":"produce","topic":")" + topic_ + R"(","value":)" + value + '}');
      published_at_.push_back(now);
    }
    if (count > 0) publisher_.send(frames);
  }

  void ready(std::uint64_t number) {
    if (number == subscribers_.size()) {
      publisher_.flush();
      // The publisher of the ceiling is one of those who get everything; answers to its commands there are none.
      while (publisher_.receive(buffer_, MSG_DONTWAIT, [&](std::string_view text) {
        return bare_ ? text.size() : for_each_frame(text, [](std::string_view reply) {
          if (reply.find("\"err\"") != std::string_view::npos) fail(std::string(reply));
        });
      })) {}
      return;
    }
    auto& subscriber = *subscribers_[number];
    const auto before = subscriber.next;
    subscriber.socket.receive(buffer_, 0, [&](std::string_view text) {
      return for_each_frame(text, [&](std::string_view push) {
        if (bare_) {
          take(subscriber, std::strtoull(push.data() + 1, nullptr, 10));
        } else {
          for_each_number(push, "\"o\":", [&](std::size_t offset) { take(subscriber, offset); });
        }
      });
    });
    const auto news = subscriber.next - before;
    delivered_ += news;
    if (news > 0) latencies_.add(now_ns() - published_at_[before]);
  }

  static void take(Subscriber& subscriber, std::size_t number) {
    if (number != subscriber.next) {
      fail("a subscriber got " + std::to_string(number) + " where " + std::to_string(subscriber.next) + " had to come");
    }
    ++subscriber.next;
  }

  bool bare_;
  std::string topic_;
  ServerCpu cpu_;
  Poller poller_;
  std::vector<std::unique_ptr<Subscriber>> subscribers_;
  LoadSocket publisher_;
  std::vector<char> buffer_;
  std::vector<std::int64_t> published_at_;
  std::size_t delivered_ = 0;
  Latencies latencies_;
};

// --- latency

/// What the one subscriber of a latency run sees of a record, and how a record is sent.
class Latency {
 public:
  Latency(bool bare, int port, int process, std::string topic)
      : bare_(bare), path_("/v1/topics/" + topic + "/records"), cpu_(process), producers_(bare ? 1 : producers) {
    for (std::size_t i = 0; i < producers_.size(); ++i) {
      producers_[i] = std::make_unique<LoadSocket>();
      producers_[i]->connect(port);
      if (bare) producers_[i]->send("p");
      poller_.add(producers_[i]->file(), i);
      idle_.push_back(i);
    }
    if (bare) {
      subscriber_.connect(port);
      subscriber_.send("s");
    } else {
      upgrade(subscriber_, port, buffer_);
      subscribe(subscriber_, topic, buffer_);
    }
    poller_.add(subscriber_.file(), subscriber_number);
  }

  void run(double rate, double seconds) {
    const auto count = static_cast<std::size_t>(rate * seconds);
    const auto warm_up = static_cast<std::size_t>(rate / 2);
    publish(rate, warm_up);
    latencies_ = {};
    const auto began = now_ns();
    const auto cpu = cpu_.seconds();
    publish(rate, count);
    const auto used = cpu_.seconds() - cpu;
    print_figures(count, static_cast<double>(now_ns() - began) * 1e-9, used, latencies_);
  }

 private:
  static constexpr std::uint64_t subscriber_number = 1'000'000;
  static constexpr std::uint64_t timer_number = 1'000'001;

  /// `count` records, one each tick of a timer; a record waits for a connection that is free. Until all have come.
  void publish(double rate, std::size_t count) {
    const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    itimerspec every{};
    every.it_interval.tv_nsec = every.it_value.tv_nsec = static_cast<long>(1e9 / rate);
    if (timer < 0 || ::timerfd_settime(timer, 0, &every, nullptr) != 0) fail_errno("timerfd");
    poller_.add(timer, timer_number);
    const auto all = due_at_.size() + count;
    const auto deadline = now_ns() + static_cast<std::int64_t>(static_cast<double>(count) / rate * 1e9) + 20 * second_ns;
    while (seen_ < all) {
      if (now_ns() > deadline) fail("records were lost: " + std::to_string(all - seen_));
      poller_.wait(1000, [&](std::uint64_t number) {
        if (number == timer_number) {
          std::uint64_t ticks = 0;
          if (::read(timer, &ticks, sizeof ticks) != sizeof ticks) return;
          for (; ticks > 0 && due_at_.size() < all; --ticks) due_at_.push_back(now_ns());
        } else if (number == subscriber_number) {
          receive();
        } else {
          answered(number);
        }
        send_due();
      });
    }
    ::close(timer);
  }

  void send_due() {
    while (sent_ < due_at_.size() && !idle_.empty()) {
      const auto value = value_of(sent_++);
      if (bare_) {
        const auto size = static_cast<std::uint32_t>(value.size());
        const auto crc = troupe::crc32c(troupe::as_bytes(value));
        std::string record(8, '\0');
        std::memcpy(record.data(), &size, 4);
        std::memcpy(record.data() + 4, &crc, 4);
        producers_[0]->send(record + value);
        continue;
      }
      producers_[idle_.back()]->send(post(path_, "application/json", R"({"records":[{"value":)" + value + "}]}"));
      idle_.pop_back();
    }
  }

  void answered(std::uint64_t number) {
    std::size_t used = 0;
    producers_[number]->receive(buffer_, 0,
                                [&](std::string_view text) { return used = bare_ ? text.size() : response_size(text); });
    if (used > 0 && !bare_) idle_.push_back(number);
  }

  void receive() {
    const auto now = now_ns();
    subscriber_.receive(buffer_, 0, [&](std::string_view text) {
      if (!bare_) {
        return for_each_frame(text, [&](std::string_view push) {
          for_each_number(push, "\"v\":\"", [&](std::size_t number) { see(number, now); });
        });
      }
      constexpr std::size_t record_bytes = 8 + value_bytes;
      std::size_t at = 0;
      for (; text.size() - at >= record_bytes; at += record_bytes)
        see(std::strtoull(text.data() + at + 9, nullptr, 10), now);
      return at;
    });
  }

  void see(std::size_t number, std::int64_t now) {
    ++seen_;
    latencies_.add(now - due_at_.at(number));
  }

  bool bare_;
  std::string path_;
  ServerCpu cpu_;
  Poller poller_;
  std::vector<std::unique_ptr<LoadSocket>> producers_;
  std::vector<std::size_t> idle_;
  LoadSocket subscriber_;
  std::vector<char> buffer_;
  std::vector<std::int64_t> due_at_;
  std::size_t sent_ = 0;
  std::size_t seen_ = 0;
  Latencies latencies_;
};

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const auto is = [&](const char* what, std::size_t count) {
    return arguments.size() == count && arguments[0] == what && (arguments[1] == "troupe" || arguments[1] == "bare");
  };
  const bool fans_out = is("fanout", 8);
  if (!fans_out && !is("latency", 7)) {
    std::fputs(
        "usage: ws_load fanout troupe|bare PORT PROCESS TOPIC SUBSCRIBERS RATE SECONDS\n"
        "       ws_load latency troupe|bare PORT PROCESS TOPIC RATE SECONDS\n",
        stderr);
    return 2;
  }
  const bool bare = arguments[1] == "bare";
  const int port = std::stoi(arguments[2]);
  const int process = std::stoi(arguments[3]);
  if (fans_out) {
    Fanout(bare, port, process, arguments[4], std::stoul(arguments[5]))
        .run(std::stod(arguments[6]), std::stod(arguments[7]));
  } else {
    Latency(bare, port, process, arguments[4]).run(std::stod(arguments[5]), std::stod(arguments[6]));
  }
  return 0;
}
