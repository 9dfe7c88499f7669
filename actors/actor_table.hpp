#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"

namespace troupe::actors {

enum class ActorState : std::uint8_t {
  starting,         ///< spawned, not ready for work yet
  running,          ///< ready
  waiting_restart,  ///< it failed, and its supervisor lets some time pass
  stopping,         ///< told to stop, still running
  stopped,          ///< it was asked to
  failed,           ///< it failed, and nobody restarts it
};
std::string_view to_string(ActorState state) noexcept;

/// One actor as seen at one moment.
struct ActorStatus {
  std::string kind;    ///< "disk_worker"
  std::string name;    ///< unique among its kind on this node
  std::string parent;  ///< name of its supervisor; empty for the root
  ActorState state = ActorState::starting;
  std::uint64_t restarts = 0;
  std::optional<std::string> last_error;  ///< of the last run that failed
  std::uint64_t messages_handled = 0;     ///< over all runs
  std::optional<MonotonicMs> busy_since;  ///< in a handler since; long ago: stuck
  std::uint64_t mailbox_depth = 0;        ///< messages that waited when the last handler began
};

/// An actor's place in the table, over all its restarts. Written by the actor and its supervisor, read from any thread.
class ActorRow {
 public:
  ActorRow(std::string kind, std::string name, std::string parent = {})
      : kind_(std::move(kind)), name_(std::move(name)), parent_(std::move(parent)) {}

  const std::string& kind() const { return kind_; }
  const std::string& name() const { return name_; }
  const std::string& parent() const { return parent_; }
  std::uint64_t restarts() const { return restarts_.load(std::memory_order_relaxed); }
  ActorState state() const { return state_.load(std::memory_order_relaxed); }
  ActorStatus status() const;

  void set_state(ActorState state) { state_.store(state, std::memory_order_relaxed); }
  void count_restart() { restarts_.fetch_add(1, std::memory_order_relaxed); }
  void set_last_error(std::string error);

  void set_mailbox_depth(std::uint64_t depth) { mailbox_depth_.store(depth, std::memory_order_relaxed); }
  void begin_handler(MonotonicMs now) { busy_since_.store(now.value(), std::memory_order_relaxed); }
  void end_handler() {
    busy_since_.store(idle, std::memory_order_relaxed);
    messages_handled_.fetch_add(1, std::memory_order_relaxed);
  }

 private:
  static constexpr std::int64_t idle = -1;

  const std::string kind_;
  const std::string name_;
  const std::string parent_;
  std::atomic<ActorState> state_{ActorState::starting};
  std::atomic<std::uint64_t> restarts_{0};
  std::atomic<std::uint64_t> messages_handled_{0};
  std::atomic<std::int64_t> busy_since_{idle};
  std::atomic<std::uint64_t> mailbox_depth_{0};
  mutable std::mutex error_mutex_;  ///< held to copy a string, on failures and snapshots only
  std::optional<std::string> last_error_;
};
using ActorRowPtr = std::shared_ptr<ActorRow>;

/// For the length of a handler: `const Handling handling{*row_, now()};`
class Handling {
 public:
  Handling(ActorRow& row, MonotonicMs now) : row_(row) { row_.begin_handler(now); }
  /// With the number of messages that wait behind this one.
  Handling(ActorRow& row, MonotonicMs now, std::uint64_t mailbox_depth) : row_(row) {
    row_.set_mailbox_depth(mailbox_depth);
    row_.begin_handler(now);
  }
  ~Handling() { row_.end_handler(); }
  Handling(const Handling&) = delete;
  Handling& operator=(const Handling&) = delete;

 private:
  ActorRow& row_;
};

/// The actors of a node, for people and metrics: read without a message, so that one that hangs is seen to hang. Any thread.
class ActorTable {
 public:
  /// The row of that kind and name, a new one or the one that is there: counts and the last error go on when a whole branch of the
  /// tree is built anew.
  ActorRowPtr add(const std::string& kind, const std::string& name, const std::string& parent = {});
  /// An actor that will not come back. Until then a row shows how it ended.
  void remove(const std::string& kind, const std::string& name);
  /// In the order in which they were added.
  std::vector<ActorStatus> snapshot() const;

 private:
  using Key = std::pair<std::string, std::string>;  ///< kind, name

  mutable std::mutex mutex_;
  std::map<Key, std::uint64_t> numbers_;
  std::map<std::uint64_t, ActorRowPtr> rows_;  ///< in the order in which they were added
  std::uint64_t next_number_ = 0;
};

}  // namespace troupe::actors
