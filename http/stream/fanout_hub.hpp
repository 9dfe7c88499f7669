#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/broker_api.hpp"
#include "http/stream/shared_batch.hpp"

namespace troupe::http {

class Feed;

/// Runs a function on the hub's thread, later. Callable from any thread.
using Post = std::function<void(std::function<void()>)>;

struct HubOptions {
  std::size_t cache_bytes_max = std::size_t{16} << 20;
  std::size_t fetch_bytes = std::size_t{256} << 10;
  std::size_t fetches_max = 16;  ///< in flight; others wait for their turn
  Millis idle_ms = 30'000;       ///< a partition without streams is let go after that
  Millis attach_again_ms = 100;
};

/// What all streams of one I/O thread share: one tail a partition, recent batches decoded and rendered once, one fetch for all who
/// want the same. On one thread only, but for what comes through `Post`.
///
///   broker --event--> post --> batches into the cache --> wake who waits at the tail --> they pull what they want from the cache
///   a stream that is behind: fetch --> cache --> pull, until it meets the tail
///
/// A stream is a position and nothing is queued for it, so a slow one costs no memory: it finds its batches gone from the cache, and
/// fetches.
class FanoutHub : public std::enable_shared_from_this<FanoutHub> {
 public:
  FanoutHub(BrokerApi& broker, Post post, HubOptions options = {});
  ~FanoutHub();
  FanoutHub(const FanoutHub&) = delete;
  FanoutHub& operator=(const FanoutHub&) = delete;

  void open(const TopicIdPartition& id, const std::string& topic, MonotonicMs now);
  void close(const TopicIdPartition& id, MonotonicMs now);

  enum class Look : std::uint8_t { found, at_tail, missing, gone };
  struct Looked {
    Look what = Look::missing;
    std::shared_ptr<SharedBatch> batch = {};
    std::optional<Error> error = {};
  };
  /// What is known here of the records from `from` on.
  Looked look(const TopicIdPartition& id, Offset from);
  /// Wakes the feed, once, when the partition's tail has moved: `feed->tail_moved(index)`.
  void wait(const TopicIdPartition& id, std::weak_ptr<Feed> feed, std::size_t index);
  /// The end and start of the log, if the tail is attached.
  std::optional<OffsetAnswer> tail(const TopicIdPartition& id) const;

  /// Consecutive batches, the first of which holds `from`. None: there is nothing at `from` yet.
  using Batches = std::vector<std::shared_ptr<SharedBatch>>;
  /// Called later, on this thread. The batches also go into the cache.
  using Fetched = std::function<void(const Result<Batches>&)>;
  void fetch(const TopicIdPartition& id, Offset from, Offset up_to, Fetched done);
  /// `of_leader`: also the end is asked for, though it is known here as far as the tail has come.
  void find(const TopicIdPartition& id, OffsetSpec spec, bool of_leader, std::function<void(Result<OffsetAnswer>)> done);

  /// Lets idle partitions go, attaches again where a tail ended. Every second or so.
  void tick(MonotonicMs now);

  /// How long a stream that has been written waits before it is written again, so that what comes meanwhile goes out together. A write
  /// costs microseconds however little it holds: the news of few streams goes at once, of many at most every 4 * `flush_ms`.
  Millis pause_ms(Millis flush_ms) const;

  BrokerApi& broker() { return broker_; }
  const Post& post() const { return post_; }
  /// Of the last tick or event: good enough to say how old a batch is.
  std::size_t cached_bytes() const { return cached_bytes_; }
  std::size_t partitions() const { return partitions_.size(); }
  void set_clock(std::function<MonotonicMs()> clock) { clock_ = std::move(clock); }

 private:
  class Listener;
  struct Cached {
    std::shared_ptr<SharedBatch> batch;
    std::size_t bytes = 0;
    std::list<std::pair<TopicIdPartition, Offset>>::iterator age;
  };
  struct Partition {
    std::string topic;
    std::size_t streams = 0;
    MonotonicMs idle_since{0};
    std::uint64_t attachment_number = 0;  ///< events of earlier attachments are dropped
    std::unique_ptr<TailAttachment> attachment;
    bool tail_known = false;
    Offset tail_end{0};
    Offset log_start{0};
    LeaderEpoch leader_epoch{0};
    std::optional<Error> gone;
    std::map<Offset, Cached> cache;  ///< by the first offset that a batch covers
    std::vector<std::pair<std::weak_ptr<Feed>, std::size_t>> waiting;
  };
  struct FetchKey {
    TopicIdPartition id;
    Offset from;
    Offset up_to;
    friend auto operator<=>(const FetchKey&, const FetchKey&) = default;
  };

  void attach(const TopicIdPartition& id, Partition& partition);
  void on_event(std::uint64_t attachment, TailEvent event);
  /// Decodes whole batches of [from, ...), keeps them in the cache.
  Result<Batches> keep_all(const TopicIdPartition& id, Partition* partition, const std::string& topic, const Bytes& batches,
                           Offset from, MonotonicMs arrived);
  void keep(const TopicIdPartition& id, Partition& partition, std::shared_ptr<SharedBatch> batch);
  void shrink();
  void forget(Partition& partition);
  void start_fetch(const FetchKey& key);
  void on_fetched(const FetchKey& key, Result<FetchResponse> answer);
  void wake(Partition& partition);

  BrokerApi& broker_;
  Post post_;
  HubOptions options_;
  std::function<MonotonicMs()> clock_;
  std::map<TopicIdPartition, Partition> partitions_;
  std::list<std::pair<TopicIdPartition, Offset>> ages_;  ///< of what is cached, the oldest first
  std::size_t cached_bytes_ = 0;
  std::map<FetchKey, std::vector<Fetched>> fetches_;
  std::deque<FetchKey> fetches_waiting_;
  std::size_t fetches_running_ = 0;
  std::uint64_t next_attachment_ = 1;
  std::size_t width_ = 0;  ///< streams of the partition that had news last
};

}  // namespace troupe::http
