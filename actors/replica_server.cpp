#include "actors/replica_server.hpp"

#include <map>
#include <unordered_map>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "base/log.hpp"
#include "base/prng.hpp"
#include "core/replication/fetch_codec.hpp"

namespace troupe::actors {

/// From a replica_server to itself.
struct ReplicaServerWakeup {
  enum class Kind : std::uint8_t { end_turn, deadline };
  Kind kind;
  std::uint64_t token;  ///< of the timer; a stale one is dropped
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::ReplicaServerWakeup)

namespace troupe::actors {
namespace {

using replication::FetchServerEffects;
using replication::FetchSessionId;
using replication::ReplicaAnswer;

/// Partitions in one answer: a session whose leaders always have news is answered all the same.
constexpr std::size_t turns_max = 1'000;

class ReplicaServerState {
 public:
  using Self = caf::stateful_actor<ReplicaServerState>;
  static constexpr const char* name = "replica_server";

  caf::behavior make_behavior(Self* self, ReplicaServerOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    server_.emplace(replication::FetchSessionServer::Options{
        .first_id = FetchSessionId{static_cast<std::int64_t>(Prng{options_.seed}.next() >> 2) + 1},
        .sessions_max = options_.sessions_max,
        .partition_bytes_max = options_.partition_bytes_max});
    self_->set_down_handler([this](caf::down_msg& down) { handle([&] { leader_gone(down.source.id()); }); });
    options_.links->serve(Channel::replica, caf::actor_cast<caf::actor>(self_));
    row_->set_state(ActorState::running);
    return {
        [this](const PeerMessage& message) { handle([&] { requested(message); }); },
        [this](const PeerState& state) { handle([&] { peer_changed(state); }); },
        [this](const FollowerNews& news) {
          handle([&] {
            server_->on_news(news.replica, news.partition);
            pump_later();
          });
        },
        [this](const FollowerTurnAnswer& answer) { handle([&] { turn_answered(answer); }); },
        [this](const ReplicaServerWakeup& wakeup) { handle([&] { on_wakeup(wakeup); }); },
    };
  }

 private:
  /// A position as it was handed to a leader: what a refusal has to repeat.
  struct Stated {
    Offset fetch_offset{0};
    LeaderEpoch last_fetched_epoch = no_leader_epoch;
    caf::actor_id leader = 0;          ///< 0: there was none
    std::optional<Errc> refusal = {};  ///< to be told at its turn
  };
  struct Session {
    std::map<std::int64_t, PeerMessage> calls;  ///< not answered yet, by the request's number
    std::size_t turns = 0;                      ///< in the answer that is being made
  };

  MonotonicMs now() const { return now_of(*self_); }

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now(), mailbox_depth(*self_)};
    work();
  }

  // --- requests

  void requested(const PeerMessage& message) {
    if (message.call == 0) return;  // ours are all calls
    const auto request = replication::decode_fetch_request(message.payload);
    if (!request) return options_.links->answer(message, request.error());
    if (request->replica != message.from) {
      return options_.links->answer(
          message, Error{Errc::invalid_argument,
                         "a fetch of broker " + to_string(request->replica) + " from broker " + to_string(message.from)});
    }
    FetchServerEffects effects;
    server_->on_request(*request, now(), effects);
    for (const auto session : effects.ended) end_session(session);
    for (const auto& refusal : effects.refusals) answer_call(message, refusal);
    if (effects.refusals.empty()) take(message, *request, effects.statements);
    pump_later();
  }

  void take(const PeerMessage& message, const replication::FetchRequest& request,
            const std::vector<FetchServerEffects::Statement>& statements) {
    const auto session = session_of(request, statements);
    if (session == replication::no_fetch_session) {
      return options_.links->answer(message, Error{Errc::invalid_argument, "a fetch session without partitions"});
    }
    sessions_[session].calls.emplace(request.number, message);
    for (const auto& id : request.forgotten) forget(id, request.replica);
    for (const auto& statement : statements) state(statement);
  }

  /// A session that begins is named by its statements.
  static FetchSessionId session_of(const replication::FetchRequest& request,
                                   const std::vector<FetchServerEffects::Statement>& statements) {
    return statements.empty() ? request.session_id : statements.front().session;
  }

  void state(const FetchServerEffects::Statement& statement) {
    const auto& [session, id, fetch] = statement;
    auto& stated = stated_[id][fetch.replica];
    stated = {.fetch_offset = fetch.position.fetch_offset, .last_fetched_epoch = fetch.position.last_fetched_epoch};
    const auto entry = options_.directory->find(id);
    if (!entry) {
      stated.refusal = Errc::not_leader_or_follower;
      return server_->on_news(session, id);
    }
    stated.leader = entry->leader.id();
    if (leaders_.try_emplace(stated.leader, id).second) self_->monitor(entry->leader);
    self_->send(entry->leader, FollowerFetch{id, fetch});
  }

  void forget(const TopicIdPartition& id, BrokerId replica) {
    const auto found = stated_.find(id);
    if (found == stated_.end()) return;
    found->second.erase(replica);
    if (found->second.empty()) stated_.erase(found);
  }

  // --- turns

  void pump_later() {
    if (!std::exchange(turn_open_, true)) self_->send(self_, ReplicaServerWakeup{ReplicaServerWakeup::Kind::end_turn, 0});
  }

  void pump() {
    for (const auto session : server_->due(now())) {
      if (server_->turns_open(session) > 0) continue;  // what came meanwhile has the next round
      const auto found = sessions_.find(session);
      while (found != sessions_.end() && found->second.turns < turns_max) {
        const auto turn = server_->next_turn(session);
        if (!turn) break;
        ++found->second.turns;
        give_turn(session, *turn);
      }
      if (server_->turns_open(session) > 0 || !is_due(session)) continue;
      finish(session);
      if (is_due(session)) pump_later();
    }
    arm();
  }

  bool is_due(FetchSessionId session) const {
    const auto due = server_->due(now());
    return std::ranges::find(due, session) != due.end();
  }

  void give_turn(FetchSessionId session, const replication::FetchSessionServer::Turn& turn) {
    const auto known = stated_.find(turn.id);
    if (known == stated_.end() || !known->second.contains(turn.replica)) return server_->pass(session, turn.id);
    auto& stated = known->second.at(turn.replica);
    if (const auto refusal = std::exchange(stated.refusal, std::nullopt)) {
      return server_->put(
          session, turn.id,
          ReplicaAnswer{
              .error = *refusal, .fetch_offset = stated.fetch_offset, .last_fetched_epoch = stated.last_fetched_epoch});
    }
    const auto entry = options_.directory->find(turn.id);
    if (!entry || entry->leader.id() != stated.leader) {
      // Its end is on the way to here, or a position for its successor.
      return server_->pass(session, turn.id);
    }
    open_turns_[{session, turn.id}] = stated.leader;
    self_->send(entry->leader, FollowerTurn{turn.id, session, turn.replica, turn.bytes_max});
  }

  void turn_answered(const FollowerTurnAnswer& answered) {
    if (open_turns_.erase({answered.session, answered.partition}) == 0) return;
    if (answered.answer) {
      server_->put(answered.session, answered.partition, *answered.answer);
    } else {
      server_->pass(answered.session, answered.partition);
    }
    pump_later();
  }

  void finish(FetchSessionId session) {
    auto answer = server_->finish(session);
    const auto found = sessions_.find(session);
    if (!answer || found == sessions_.end()) return;
    found->second.turns = 0;
    const auto call = found->second.calls.find(answer->number);
    if (call == found->second.calls.end()) return;
    const auto message = std::move(call->second);
    found->second.calls.erase(call);
    answer_call(message, *answer);
  }

  void answer_call(const PeerMessage& message, const replication::FetchAnswer& answer) {
    options_.links->answer(message, Bytes::adopt(replication::encode_fetch_answer(answer)));
  }

  // --- ends

  void end_session(FetchSessionId session) {
    const auto found = sessions_.find(session);
    if (found == sessions_.end()) return;
    for (const auto& [number, message] : found->second.calls) {
      answer_call(message, {.session_id = session, .number = number, .error = Errc::fetch_session_id_not_found});
    }
    sessions_.erase(found);
    std::erase_if(open_turns_, [&](const auto& turn) { return turn.first.first == session; });
  }

  void peer_changed(const PeerState& state) {
    // Up, too: what was open was asked by an earlier run or over an earlier connection.
    std::vector<FetchSessionId> ended;
    for (const auto& [id, session] : sessions_) {
      if (server_->replica_of(id) == state.id) ended.push_back(id);
    }
    server_->on_closed(state.id);
    for (const auto session : ended) end_session(session);
    for (auto at = stated_.begin(); at != stated_.end();) {
      at->second.erase(state.id);
      at = at->second.empty() ? stated_.erase(at) : std::next(at);
    }
    if (options_.listener) self_->send(options_.listener, state);
  }

  void leader_gone(caf::actor_id leader) {
    const auto found = leaders_.find(leader);
    if (found == leaders_.end()) return;
    const auto id = found->second;
    leaders_.erase(found);
    for (auto at = open_turns_.begin(); at != open_turns_.end();) {
      if (at->second != leader) {
        ++at;
        continue;
      }
      server_->pass(at->first.first, at->first.second);
      at = open_turns_.erase(at);
    }
    if (const auto known = stated_.find(id); known != stated_.end()) {
      for (auto& [replica, stated] : known->second) {
        if (stated.leader != leader) continue;
        stated.refusal = Errc::not_leader_or_follower;
        server_->on_news(replica, id);
      }
    }
    pump_later();
  }

  // --- time

  void arm() {
    const auto due = server_->next_deadline();
    if (!due || (armed_for_ && *armed_for_ <= *due)) return;
    armed_for_ = due;
    const auto delay = std::max(Millis{1}, *due - now());
    self_->delayed_send(self_, std::chrono::milliseconds(delay),
                        ReplicaServerWakeup{ReplicaServerWakeup::Kind::deadline, ++timer_});
  }

  void on_wakeup(const ReplicaServerWakeup& wakeup) {
    if (wakeup.kind == ReplicaServerWakeup::Kind::end_turn) {
      turn_open_ = false;
      return pump();
    }
    if (wakeup.token != timer_) return;
    armed_for_.reset();
    pump();
  }

  Self* self_ = nullptr;
  ReplicaServerOptions options_;
  ActorRowPtr row_;
  std::optional<replication::FetchSessionServer> server_;
  std::map<FetchSessionId, Session> sessions_;
  std::unordered_map<TopicIdPartition, std::map<BrokerId, Stated>> stated_;
  std::unordered_map<caf::actor_id, TopicIdPartition> leaders_;                      ///< monitored
  std::map<std::pair<FetchSessionId, TopicIdPartition>, caf::actor_id> open_turns_;  ///< who has them
  bool turn_open_ = false;
  std::uint64_t timer_ = 0;
  std::optional<MonotonicMs> armed_for_;
};

caf::behavior replica_server(ReplicaServerState::Self* self, ReplicaServerOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_replica_server(caf::actor_system& system, ReplicaServerOptions options, ActorRowPtr row) {
  return system.spawn(replica_server, std::move(options), std::move(row));
}

}  // namespace troupe::actors
