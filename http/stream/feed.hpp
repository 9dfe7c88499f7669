#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "http/stream/fanout_hub.hpp"

namespace troupe::http {

/// Takes what a feed gives: into a message, into an answer.
class FeedSink {
 public:
  virtual ~FeedSink() = default;
  /// Records [begin, end) of a batch.
  virtual void records(SharedBatch& batch, const std::shared_ptr<const Rendering>& rendering, std::size_t begin,
                       std::size_t end) = 0;
  /// One record that was held back.
  virtual void held(std::string text) = 0;
};

/// One subscription, driven: does with the hub what the pure machine wants done. Its owner is told when there may be something to pull, and
/// pulls when it has room. Made by make_shared; `close` before the last owner lets go.
class Feed : public std::enable_shared_from_this<Feed> {
 public:
  /// `topics`: a name each of the subscription's topics. `on_ready` may be called at any time until `close`, also within `pull`.
  Feed(std::shared_ptr<FanoutHub> hub, consumer::Subscription subscription, RenderKind kind,
       const std::vector<std::string>& topics, std::function<void()> on_ready, MonotonicMs now);

  /// Puts into `sink` what fits into `room` and is at hand; asks for what is not. Returns the bytes. Also moves starts and scans on:
  /// call it once to begin, with no room if need be. Stops early where the owner has to say something in between: at a note, and where
  /// the phase changes. Pull again until it returns 0 and there are no notes.
  std::size_t pull(MonotonicMs now, consumer::Room room, FeedSink& sink);

  /// Moves what depends on time on: also how far behind a feed is whose socket is busy.
  void tick(MonotonicMs now);

  /// Nobody is called any more; partitions are let go.
  void close(MonotonicMs now);

  consumer::Subscription& subscription() { return subscription_; }
  const consumer::Subscription& subscription() const { return subscription_; }
  RenderKind kind() const { return kind_; }

  // From the hub.
  void tail_moved(std::size_t index, Offset end);

 private:
  std::size_t read(const consumer::Step& step, MonotonicMs now, consumer::Room room, FeedSink& sink);
  void find(const consumer::Step& step);
  void ready() {
    if (on_ready_) on_ready_();
  }

  struct Arrived {
    std::size_t index = 0;
    Offset from{0};
    Result<FanoutHub::Batches> batches;
  };

  std::shared_ptr<FanoutHub> hub_;
  consumer::Subscription subscription_;
  RenderKind kind_;
  std::function<void()> on_ready_;
  bool fetching_ = false;
  MonotonicMs now_;                 ///< of the last pull
  std::optional<Arrived> arrived_;  ///< until the end of the next pull: a small cache may have let go of it by then
  std::vector<consumer::Subscription::Range> ranges_;
};

}  // namespace troupe::http
