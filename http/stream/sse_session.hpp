#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/message/http_error.hpp"
#include "http/router/target.hpp"
#include "http/stream/feed.hpp"
#include "http/stream/out_message.hpp"
#include "http/stream/stream_env.hpp"

namespace troupe::http {

/// What an event stream needs of a socket. Never calls back from within these.
class SseTransport {
 public:
  virtual ~SseTransport() = default;
  /// Answers 200; a body follows. `cursor`: where it begins.
  virtual void begin(const std::string& cursor) = 0;
  /// Answers something else; the last call.
  virtual void refuse(const HttpError& error) = 0;
  /// A piece of the body. `SseSession::sent` follows, once.
  virtual void send(OutMessage piece) = 0;
  /// The end of the body, behind what was handed to `send`; the last call. `at_once`: what is on its way need not arrive.
  virtual void end(bool at_once) = 0;
  /// The peer's address; empty: not known.
  virtual std::string peer_host() const { return {}; }
};

/// Server-sent events of one topic, without a socket. websocket-sse.md C3
///
/// An event's id is the cursor after it; in one piece of the body only the last event has one. Nothing is queued while a piece is on
/// its way.
class SseSession final : public Scheduled, public std::enable_shared_from_this<SseSession> {
 public:
  SseSession(const StreamEnv& env, SseTransport& transport);
  ~SseSession() override;

  /// `query`: the target's, still encoded. `last_event_id`: the header's, if there is one.
  void start(const std::string& topic, std::string_view query, const std::optional<std::string>& last_event_id);

  void sent();
  void closed();
  void flush(MonotonicMs now) override;
  void tick(MonotonicMs now) override;
  /// Tells the client to come back soon, and ends.
  void drain();

  bool is_closed() const { return closed_; }

 private:
  class Sink;
  std::optional<HttpError> open(const std::string& topic, std::string_view query,
                                const std::optional<std::string>& last_event_id);
  // sse_group.cpp
  std::optional<HttpError> open_group(const std::string& topic, const Query& query,
                                      const std::optional<std::string>& last_event_id);
  std::optional<HttpError> join(GroupDefinition definition, GroupStreams streams);
  void pull_group(OutMessage& message);
  void leave_group();

  void begin(MonotonicMs now);
  void pull(MonotonicMs now, OutMessage& message);
  void tell(const consumer::Note& note, OutMessage& message);
  void wants_flush();
  void finish(bool at_once);
  void arm(MonotonicMs now);

  const StreamEnv& env_;
  SseTransport* transport_;
  std::shared_ptr<Feed> feed_;
  bool in_group_ = false;               ///< it has no feed, and `group_` once it has joined
  std::shared_ptr<GroupStream> group_;  ///< a member's
  std::string session_;                 ///< by which its membership is taken over
  metrics::Counter records_out_;
  bool by_cursor_ = false;
  bool begun_ = false;
  bool closed_ = false;
  bool draining_ = false;
  bool over_ = false;  ///< the subscription has ended: so does the stream
  bool writing_ = false;
  bool flushing_ = false;
  bool dirty_ = false;
  bool full_ = false;
  bool flush_asked_ = false;
  std::size_t in_flight_bytes_ = 0;
  MonotonicMs flushed_at_;
  std::optional<MonotonicMs> armed_;
  std::string queued_;
};

}  // namespace troupe::http
