#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "core/link/channel.hpp"

namespace troupe::link {

/// Calls that wait for their end, by number, each with a deadline. Numbers count up and do not repeat.
template <class Call>
class CallTable {
 public:
  /// Numbers begin above `last`: one by chance keeps those of two tables, one after the other, apart.
  CallTable(std::size_t calls_max, std::uint64_t last) : calls_max_(calls_max), last_(last) {}

  bool full() const { return calls_.size() >= calls_max_; }
  std::size_t size() const { return calls_.size(); }

  std::uint64_t add(Call call, MonotonicMs deadline) {
    const auto number = ++last_;
    calls_.emplace(number, Entry{std::move(call), deadline});
    deadlines_.emplace(deadline, number);
    return number;
  }
  /// It has ended; nullopt: it had already, or there was none.
  std::optional<Call> take(std::uint64_t number) {
    const auto found = calls_.find(number);
    if (found == calls_.end()) return std::nullopt;
    deadlines_.erase({found->second.deadline, number});
    auto call = std::move(found->second.call);
    calls_.erase(found);
    return call;
  }
  /// Those whose deadline has come, in its order; they stay until they are taken.
  std::vector<std::uint64_t> due(MonotonicMs now) const {
    std::vector<std::uint64_t> numbers;
    for (auto at = deadlines_.begin(); at != deadlines_.end() && at->first <= now; ++at) numbers.push_back(at->second);
    return numbers;
  }
  /// All, in the order of their deadlines.
  std::vector<std::uint64_t> numbers() const {
    std::vector<std::uint64_t> all;
    for (const auto& [deadline, number] : deadlines_) all.push_back(number);
    return all;
  }
  std::optional<MonotonicMs> next_deadline() const {
    if (deadlines_.empty()) return std::nullopt;
    return deadlines_.begin()->first;
  }

 private:
  struct Entry {
    Call call;
    MonotonicMs deadline;
  };

  std::size_t calls_max_;
  std::uint64_t last_;
  std::unordered_map<std::uint64_t, Entry> calls_ = {};
  std::set<std::pair<MonotonicMs, std::uint64_t>> deadlines_ = {};
};

/// A call that this node made. Its caller is known to the shell by `key`.
struct OutgoingCall {
  std::uint64_t key = 0;
  Channel channel = Channel::quorum;
};

/// A call that came in: the number that its caller knows it by.
struct IncomingCall {
  std::uint64_t number = 0;
  Channel channel = Channel::quorum;
};

}  // namespace troupe::link
