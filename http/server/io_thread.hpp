#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "http/net.hpp"
#include "http/router/executor.hpp"
#include "http/router/produce_turn.hpp"
#include "http/server/shared.hpp"
#include "http/stream/streams.hpp"

namespace troupe::http {

class Session;

/// One thread with its connections. One sweep looks at all their deadlines: no connection has a timer.
class IoThread final : public Executor, public std::enable_shared_from_this<IoThread> {
 public:
  IoThread(std::shared_ptr<Shared> shared, std::shared_ptr<Streams::Shared> streams_shared);
  ~IoThread() override;

  void start();
  /// Ends the loop as it is, and waits for the thread.
  void stop();

  // On any thread.
  asio::io_context& io() { return io_; }
  const std::shared_ptr<Shared>& shared() const { return shared_; }
  /// Serves a connection that has been admitted.
  void serve(TcpSocket socket, std::string address);
  /// Idle connections go at once, others when they have been answered; `drained` is called on this thread when none is left.
  void drain(Millis deadline_ms, std::function<void()> drained);

  // On this thread.
  Streams& streams() { return *streams_; }
  ProduceTurn& produce_turn() { return produce_turn_; }
  void remove(Session& session);
  MonotonicMs now() const { return shared_->clock.monotonic_now(); }
  /// The Date field's value.
  std::string_view date();
  /// Streams count as connections as long as they are open.
  void count_streams();
  void count_request(const Route* route, unsigned status, double seconds);

 private:
  void post_work(std::unique_ptr<Work> work) override;
  void run();
  void run_works();
  void end();
  void arm_sweep();
  void sweep();

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard_;
  const std::shared_ptr<Shared> shared_;
  const std::shared_ptr<Streams::Shared> streams_shared_;
  ProduceTurn produce_turn_;
  std::unique_ptr<Streams> streams_;
  std::vector<std::shared_ptr<Session>> sessions_;
  Timer sweep_timer_;
  bool sweep_armed_ = false;
  std::size_t streams_counted_ = 0;
  std::function<void()> drained_;
  std::string date_;
  std::int64_t date_second_ = 0;
  std::unordered_map<std::uint64_t, metrics::Counter> requests_;
  std::unordered_map<const Route*, metrics::Histogram> seconds_;
  std::mutex works_mutex_;
  std::vector<std::unique_ptr<Work>> works_;  ///< posted, not run; under works_mutex_
  /// Under works_mutex_. What is posted to a loop that has ended would keep this object alive, which keeps the loop alive: it is dropped.
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace troupe::http
