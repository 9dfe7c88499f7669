#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "core/broker_api.hpp"
#include "http/limits.hpp"
#include "http/router/produce_turn.hpp"
#include "http/stream/fanout_hub.hpp"
#include "http/stream/out_message.hpp"
#include "http/stream/session_book.hpp"
#include "http/stream/stream_counters.hpp"

namespace troupe::http {

/// A stream as its thread's clockwork sees it.
class Scheduled {
 public:
  virtual ~Scheduled() = default;
  /// Sends what there is, if the socket is free.
  virtual void flush(MonotonicMs now) = 0;
  /// Looks at its deadlines: about every second, and when it asked for it.
  virtual void tick(MonotonicMs now) = 0;
};

/// What a stream has around it. One for all streams of a thread.
struct StreamEnv {
  BrokerApi& broker;
  ProduceTurn& produce_turn;
  std::shared_ptr<FanoutHub> hub;
  /// The memory of a message, for the next one: taken out while somebody writes into it.
  std::shared_ptr<OutMessage> spare;
  Limits limits;
  std::shared_ptr<StreamCounters> counters;
  std::shared_ptr<SessionBook> sessions;  ///< of all threads
  std::function<MonotonicMs()> now;
  std::function<TimestampMs()> wall_now;
  /// `flush` soon: after Limits::flush_ms or FanoutHub::pause_ms, together with others.
  std::function<void(std::weak_ptr<Scheduled>)> flush_soon;
  /// `tick` and `flush` then.
  std::function<void(std::weak_ptr<Scheduled>, MonotonicMs)> wake_at;
};

/// The topic that a client may read.
/// Errors: unknown_topic_or_partition, topic_authorization_failed.
Result<metadata::TopicPtr> readable_topic(const BrokerApi& broker, const std::string& name);

/// The partitions that records of these keys go to; all of them without keys. Records that were produced to an explicit partition, or
/// before the topic was given more partitions, may lie elsewhere: they are not found.
std::vector<PartitionId> partitions_of_keys(const metadata::TopicImage& topic,
                                            const std::set<std::string, std::less<>>& keys);

}  // namespace troupe::http
