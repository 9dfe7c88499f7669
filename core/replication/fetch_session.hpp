#pragma once

#include <cstddef>
#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "core/replication/fetch_messages.hpp"

/// One incremental fetch session per pair of nodes carries all partitions that they share: only what changed travels, and an idle
/// partition costs neither bytes nor time. The idea is KIP-227's; different from it, a request may follow while the one before is
/// still waiting for news, and releases it:
///
///   fetcher                                   server
///     | 0/0: positions of A B C    -------->    |                       0/0 session/epoch: begins one
///     | <--------  7/0: records of A            |
///     | 7/1: (nothing has changed) -------->    |   waits for news
///     | 7/2: A holds more now      -------->    |   7/1 is answered, empty; 7/2 waits
///     | <--------  7/1                          |
///     | <--------  7/2: high watermark of A     |   ... when a record of B, say, comes
///
/// A request with an epoch that is not the next one, or for a session that is not known, is refused, and the fetcher begins a new session
/// with everything it has. So a fetch is applied once and in order, whatever the network repeats or delays. After records of a partition
/// were given, it is quiet until its new position is stated.
namespace troupe::replication {

/// The fetching side: one per node that leads partitions we follow. Pure.
class FetchSession {
 public:
  struct Options {
    BrokerId replica = no_broker;  ///< this node
    BrokerEpoch broker_epoch = no_broker_epoch;
    Millis wait_ms_max = 500;
    Millis answer_ms_max = 2'000;  ///< after `wait_ms_max`: then the session is given up
    Millis retry_ms = 50;          ///< until a new session begins after one was refused
    std::int32_t bytes_max = 1 << 20;
    std::size_t statements_max = 2'000;  ///< partitions in one request, about 120 KB
  };
  static constexpr std::size_t requests_open_max = 2;

  /// Requests are numbered from the broker epoch on, so that no answer to an earlier run of the node is taken for one to this.
  explicit FetchSession(const Options& options) : options_(options), next_number_(options.broker_epoch.value() << 32) {}

  /// A follower's position: to be stated with the next request. What was given for the same position and not kept is asked for again.
  void set(const TopicIdPartition& id, const FetchPosition& position);
  /// The follower has nothing to ask now, and keeps its place.
  void pause(const TopicIdPartition& id);
  /// The partition is not followed over this session any more.
  void remove(const TopicIdPartition& id);

  /// What to send now, if anything; call it until it gives nothing.
  std::optional<FetchRequest> next_request(MonotonicMs now);

  /// The partitions' answers, for their followers; empty for an answer that nobody waits for. A refusal begins a new session.
  std::vector<FetchAnswer::Partition> on_answer(FetchAnswer answer, MonotonicMs now);
  /// The connection is gone, and what was on its way with it.
  void on_closed(MonotonicMs now) { begin_anew(now); }

  void on_deadline(MonotonicMs now);
  std::optional<MonotonicMs> next_deadline() const;

  std::size_t partitions() const { return partitions_.size(); }
  FetchSessionId session_id() const { return session_id_; }

 private:
  struct Partition {
    FetchPosition position;
    bool known = false;  ///< part of the session on the other side
    bool given = false;  ///< the position as stated was answered with something that it could act on
    bool again = false;
    bool changed = false;
  };
  struct Open {
    std::int64_t number = 0;
    MonotonicMs deadline{0};
  };

  void mark(const TopicIdPartition& id, Partition& partition);
  void begin_anew(MonotonicMs now);

  Options options_;
  std::unordered_map<TopicIdPartition, Partition> partitions_;
  std::deque<TopicIdPartition>
      changed_;                    ///< in the order of their changes; also some that have been paused or removed since
  std::size_t changed_count_ = 0;  ///< without those
  std::set<TopicIdPartition> forgotten_;
  FetchSessionId session_id_ = no_fetch_session;
  std::int32_t next_epoch_ = 0;
  std::int64_t next_number_;
  std::deque<Open> open_;
  std::optional<MonotonicMs> not_before_;
};

/// What a server of sessions wants done.
struct FetchServerEffects {
  /// A position for the partition's leader. When the leader has something to say now or later, `on_news`.
  struct Statement {
    FetchSessionId session = no_fetch_session;
    TopicIdPartition id = {};
    ReplicaFetch fetch = {};
  };
  std::vector<Statement> statements = {};
  std::vector<FetchAnswer> refusals = {};  ///< to send to who asked
  std::vector<FetchSessionId> ended = {};  ///< replaced or evicted: nothing to do but to forget them
};

/// The serving side: the sessions of all nodes that follow partitions led here. Pure.
///
/// Partitions with news stand in a row. An answer takes from its front until it is full; who was served stands at the end when it has news
/// again: so a busy partition delays others by one answer at most.
///
///   on_request --statements--> leaders --on_news--> [B C A] --next_turn--> read B --put--> ... --finish--> answer
class FetchSessionServer {
 public:
  struct Options {
    FetchSessionId first_id{1};            ///< of this run of the node: draw it by chance, so that runs do not share ids
    std::size_t sessions_max = 1'000;      ///< beyond, the one that was silent longest goes
    std::size_t partitions_max = 200'000;  ///< of one session
    std::int32_t partition_bytes_max = 256 << 10;
    Millis wait_ms_max = 30'000;
  };

  explicit FetchSessionServer(const Options& options) : options_(options), next_id_(options.first_id) {}

  void on_request(const FetchRequest& request, MonotonicMs now, FetchServerEffects& effects);
  /// There is something to say to the session's node about the partition. More often than needed does no harm.
  void on_news(FetchSessionId session, const TopicIdPartition& id);
  /// The same, for a leader that knows its followers by their brokers.
  void on_news(BrokerId replica, const TopicIdPartition& id);
  /// The connection to that node is gone, and its session with it.
  void on_closed(BrokerId replica);

  /// Sessions whose oldest request should be answered now: `next_turn` until it gives nothing, `put` for each turn, then `finish`.
  std::vector<FetchSessionId> due(MonotonicMs now) const;
  std::optional<MonotonicMs> next_deadline() const;

  /// A partition to answer, with room for `bytes_max` of records: whole batches, at least one.
  struct Turn {
    TopicIdPartition id = {};
    BrokerId replica = no_broker;
    std::size_t bytes_max = 0;
  };
  std::optional<Turn> next_turn(FetchSessionId session);
  /// What the leader says. A partition that is no longer part of the session is left out.
  void put(FetchSessionId session, const TopicIdPartition& id, ReplicaAnswer answer);
  /// The leader has nothing to say yet: `on_news` comes when it has, say after a slow read. Others are not kept waiting for it.
  void pass(FetchSessionId session, const TopicIdPartition& id);
  /// Turns that were not answered yet.
  std::size_t turns_open(FetchSessionId session) const;
  /// The answer to the session's oldest request; nullopt when the session has gone, no request is open, or turns have no answer yet.
  std::optional<FetchAnswer> finish(FetchSessionId session);

  std::size_t sessions() const { return sessions_.size(); }
  std::optional<BrokerId> replica_of(FetchSessionId session) const;

 private:
  struct Open {
    std::int32_t epoch = 0;
    std::int64_t number = 0;
    std::size_t bytes_max = 0;
    MonotonicMs deadline{0};
  };
  struct Session {
    FetchSessionId id = no_fetch_session;
    BrokerId replica = no_broker;
    BrokerEpoch broker_epoch = no_broker_epoch;
    std::int32_t next_epoch = 1;
    std::unordered_map<TopicIdPartition, bool> partitions = {};  ///< whether it stands in `ready`
    std::deque<TopicIdPartition> ready = {};
    std::deque<Open> open = {};
    std::vector<FetchAnswer::Partition> given = {};  ///< for the oldest of `open`
    std::size_t given_bytes = 0;
    std::map<TopicIdPartition, std::size_t> reading = {};  ///< turns without an answer yet, and the room they were promised
    std::size_t reserved_bytes = 0;                        ///< the sum of those
  };
  using Sessions = std::list<Session>;  ///< those that were silent longest first

  void refuse(const FetchRequest& request, Errc error, FetchServerEffects& effects) const;
  Session& begin(const FetchRequest& request, FetchServerEffects& effects);
  void end(Sessions::iterator session, FetchServerEffects& effects);
  Session* find(FetchSessionId id);

  Options options_;
  FetchSessionId next_id_;
  Sessions sessions_;
  std::map<FetchSessionId, Sessions::iterator> by_id_;
  std::map<BrokerId, Sessions::iterator> by_replica_;
};

}  // namespace troupe::replication
