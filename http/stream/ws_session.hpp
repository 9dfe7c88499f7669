#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "http/stream/feed.hpp"
#include "http/stream/out_message.hpp"
#include "http/stream/session_book.hpp"
#include "http/stream/stream_env.hpp"
#include "http/stream/ws_command.hpp"

namespace troupe::http {

/// Close codes of troupe.v1. Part of the protocol. websocket-sse.md C2.5
enum class CloseCode : std::uint16_t {
  normal = 1000,
  going_away = 1001,
  not_for_us = 1003,  ///< a binary frame where JSON was agreed on
  draining = 4000,    ///< other nodes were named
  slow_consumer = 4001,
  no_pong = 4002,
  taken_over = 4003,  ///< its session goes on with another socket
  overloaded = 4005,
  not_connected = 4501,
  malformed = 4502,
  too_large = 4505,
  hard_limit = 4506,
};

/// What a session needs of a socket. Never calls back from within these.
class WsTransport {
 public:
  virtual ~WsTransport() = default;
  /// One text message, looked at during the call only. `WsSession::sent` follows, once.
  virtual void send(const OutMessage& message) = 0;
  virtual void ping() = 0;
  /// Bytes that the peer has not acknowledged yet: while they become fewer it lives, however late its pong.
  virtual std::size_t unacknowledged() const = 0;
  /// The last call. What was handed to `send` still goes out.
  virtual void close(CloseCode code, std::string_view reason) = 0;
  virtual void pause_reading(bool paused) = 0;
  /// The peer's address; empty: not known.
  virtual std::string peer_host() const { return {}; }
};

/// The protocol troupe.v1.json on one connection, without a socket.
///
///   unconnected --connect--> connected --(limits, slow, drained, no pong)--> closing
///
/// What goes out is one message at a time: answers and pushes first, then each subscription's records up to the room of the send queue, all
/// in one text message, separated by line ends. While it is on its way nothing is queued but answers: a subscription is a position, and
/// is read from again when the socket is free. Beyond the queue's bound nothing more is read from the client.
class WsSession final : public Scheduled, public std::enable_shared_from_this<WsSession> {
 public:
  WsSession(const StreamEnv& env, WsTransport& transport, bool connected);
  ~WsSession() override;

  // From the socket.
  void on_text(std::string_view text);
  void on_binary();
  void on_pong();
  void sent();
  /// The socket is gone: the transport is called no more.
  void closed();

  // From the clock.
  void flush(MonotonicMs now) override;
  void tick(MonotonicMs now) override;

  /// Says goaway. With `nodes` to go to, the client is served for three quarters of the time, or until it leaves; without, no record
  /// follows, and the session closes once all has been sent.
  void drain(Millis within_ms, const std::vector<std::string>& nodes);
  void close(CloseCode code, std::string_view reason);

  bool is_closed() const { return closed_; }
  std::size_t subscriptions() const { return subscriptions_.size() + groups_.size(); }

 private:
  struct Sub {
    std::string name;
    std::string head;  ///< {"ev":"records","sub":"room"
    std::shared_ptr<Feed> feed;
    std::vector<std::string> topics;
    std::optional<std::uint64_t> reply_to;
    bool replied = false;
    bool by_cursor = false;
    bool over = false;                          ///< ended and told: removed when nobody looks at it
    std::vector<metrics::Counter> records_out;  ///< one a topic
  };
  /// A subscription as a member of a group.
  struct Group {
    std::string name;
    std::string head;  ///< {"ev":"records","sub":"w"
    std::shared_ptr<GroupStream> stream;
    std::map<std::string, metrics::Counter, std::less<>> records_out;
  };
  class Sink;
  class GroupSink;
  struct History;

  void on_command(std::string_view text);
  void run(const std::optional<std::uint64_t>& id, ConnectCommand&& command);
  void run(const std::optional<std::uint64_t>& id, PingCommand&& command);
  void run(const std::optional<std::uint64_t>& id, ProduceCommand&& command);
  void run(const std::optional<std::uint64_t>& id, SubscribeCommand&& command);
  void run(const std::optional<std::uint64_t>& id, JoinCommand&& command);
  void run(const std::optional<std::uint64_t>& id, AckCommand&& command);
  void run(const std::optional<std::uint64_t>& id, RevokedCommand&& command);
  void run(const std::optional<std::uint64_t>& id, UnsubscribeCommand&& command);
  void run(const std::optional<std::uint64_t>& id, CreditCommand&& command);
  void run(const std::optional<std::uint64_t>& id, PauseCommand&& command);
  void run(const std::optional<std::uint64_t>& id, HistoryCommand&& command);
  void run(const std::optional<std::uint64_t>& id, UnsupportedCommand&& command);

  Result<std::shared_ptr<Sub>> make_sub(SubscribeCommand&& command);
  void on_produced(std::optional<std::uint64_t> id, bool inline_record, std::size_t bytes, Result<ProduceResponse> response);
  Result<std::shared_ptr<History>> make_history(const HistoryCommand& command);
  void pull_history(const std::shared_ptr<History>& history);
  static void tick_history(History& history, MonotonicMs now);
  void close_histories(MonotonicMs now);

  // ws_group.cpp
  void on_claimed(std::optional<std::uint64_t> id, GroupStreams streams);
  void reply_connected(const std::optional<std::uint64_t>& id, bool resumed);
  Group* find_group(const std::string& name);
  bool remove_group(const std::string& name);
  bool pull_group(Group& group, std::size_t share, MonotonicMs now, OutMessage& message);
  void tell(Group& group, const ConsumerEvent& event);
  void on_committed(std::optional<std::uint64_t> id, const Result<std::vector<CommittedPosition>>& answer,
                    const std::map<TopicIdPartition, std::string>& topics);
  GroupStreams detach_groups();
  void leave_session(bool taken_over);

  Sub* find(const std::string& name);
  void remove(const std::string& name);
  void remove_over();
  void reply_ok(const std::optional<std::uint64_t>& id, std::string_view ok);
  void reply_error(const std::optional<std::uint64_t>& id, const Error& error);
  void reply_error(const std::optional<std::uint64_t>& id, std::string_view code, int number, std::string_view message,
                   bool retry = false);
  void push(std::string object);
  void done(const std::optional<std::uint64_t>& id);
  void check_reading();

  void wants_flush();
  /// Sends at once what there is, if nothing is on its way.
  void flush_now();
  void begin(Sub& sub, MonotonicMs now);
  bool pull(Sub& sub, std::size_t share, MonotonicMs now, OutMessage& message);
  void tell(Sub& sub, const consumer::Note& note);
  void finish_starting(Sub& sub, MonotonicMs now);
  void arm(MonotonicMs now);
  void close_drained();

  const StreamEnv& env_;
  WsTransport* transport_;
  bool connected_;
  bool closed_ = false;
  bool draining_ = false;   ///< no record follows, and then the end
  bool elsewhere_ = false;  ///< the client knows where to go
  bool writing_ = false;
  bool flushing_ = false;
  bool dirty_ = false;  ///< records may be there
  bool full_ = false;   ///< the last message took all its room
  bool flush_asked_ = false;
  bool over_ = false;  ///< a subscription is
  bool reading_paused_ = false;
  int malformed_ = 0;
  std::string queued_;  ///< answers and pushes, a line each
  std::size_t in_flight_bytes_ = 0;
  MonotonicMs opened_at_;
  MonotonicMs flushed_at_;
  MonotonicMs pinged_at_;
  Millis ping_ms_;  ///< as this client wants it
  bool pong_wanted_ = false;
  std::size_t unacknowledged_ = 0;       ///< when a pong was last found missing
  std::optional<MonotonicMs> close_at_;  ///< told to go: politely, as soon as nothing is on its way
  MonotonicMs cut_at_{0};                ///< and whatever is on its way
  std::optional<MonotonicMs> armed_;
  std::size_t produce_inflight_ = 0;
  std::size_t produce_inflight_bytes_ = 0;
  std::set<std::uint64_t> open_ids_;
  std::map<std::string, std::shared_ptr<Sub>, std::less<>> subscriptions_;
  std::vector<std::shared_ptr<Sub>> order_;  ///< of pulling
  std::string session_;                      ///< empty: it cannot be resumed
  std::string client_ = "websocket";         ///< what it calls itself
  Millis grace_ms_ = resume_grace_ms;        ///< of this one, when its socket is lost
  GroupStreams resumable_;                   ///< of the session before, not asked for yet
  std::map<std::string, std::shared_ptr<Group>, std::less<>> groups_;
  std::size_t turn_ = 0;
  std::set<std::shared_ptr<History>> histories_;
  MonotonicMs oldest_news_{0};  ///< of what goes into the message
};

/// Where each of several topics begins, from one cursor text with a part a topic, joined by '.'.
/// Errors: invalid_argument.
Status apply_cursor(const std::string& text, std::vector<consumer::TopicSelection>& topics);

}  // namespace troupe::http
