#include "actors/replica_fetcher.hpp"

#include <unordered_map>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "base/log.hpp"
#include "core/replication/fetch_codec.hpp"

namespace troupe::actors {

/// From a replica_fetcher to itself.
struct FetcherWakeup {
  enum class Kind : std::uint8_t { end_turn, deadline };
  Kind kind;
  std::uint64_t token;  ///< of the timer; a stale one is dropped
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::FetcherWakeup)

namespace troupe::actors {
namespace {

class ReplicaFetcherState {
 public:
  using Self = caf::stateful_actor<ReplicaFetcherState>;
  static constexpr const char* name = "replica_fetcher";

  caf::behavior make_behavior(Self* self, ReplicaFetcherOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    up_ = options_.peer_up;
    session_.emplace(replication::FetchSession::Options{.replica = options_.node_id,
                                                        .broker_epoch = options_.broker_epoch,
                                                        .wait_ms_max = options_.wait_ms_max,
                                                        .answer_ms_max = options_.answer_ms_max,
                                                        .retry_ms = options_.retry_ms,
                                                        .bytes_max = options_.bytes_max});
    row_->set_state(ActorState::running);
    return {
        [this](const FollowPartition& request) { handle([&] { followers_[request.partition] = request.follower; }); },
        [this](const UnfollowPartition& request) { handle([&] { unfollow(request.partition); }); },
        [this](const FollowerPosition& position) { handle([&] { take_position(position); }); },
        [this](const PeerAnswer& answer) { handle([&] { answered(answer); }); },
        [this](const PeerState& state) { handle([&] { peer_changed(state); }); },
        [this](const FetcherWakeup& wakeup) { handle([&] { on_wakeup(wakeup); }); },
    };
  }

 private:
  MonotonicMs now() const { return now_of(*self_); }

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now(), mailbox_depth(*self_)};
    work();
  }

  void unfollow(const TopicIdPartition& id) {
    if (followers_.erase(id) == 0) return;
    session_->remove(id);
    pump_later();
  }

  void take_position(const FollowerPosition& position) {
    const auto found = followers_.find(position.partition);
    if (found == followers_.end() || self_->current_sender() != found->second) return;
    if (position.position) {
      session_->set(position.partition, *position.position);
      pump_later();
    } else {
      session_->pause(position.partition);
    }
  }

  // --- the peer

  void answered(const PeerAnswer& answer) {
    auto decoded = answer.answer ? replication::decode_fetch_answer(*answer.answer)
                                 : Result<replication::FetchAnswer>{answer.answer.error()};
    if (!decoded) {
      if (answer.answer || decoded.error().code != Errc::broker_not_available)
        row_->set_last_error(to_string(decoded.error()));
      // Ends the session, unless that request was of an earlier one.
      decoded = replication::FetchAnswer{.number = static_cast<std::int64_t>(answer.token), .error = decoded.error().code};
    }
    for (auto& [id, one] : session_->on_answer(*std::move(decoded), now())) {
      const auto follower = followers_.find(id);
      if (follower != followers_.end()) self_->send(follower->second, FollowerAnswer{std::move(one)});
    }
    pump_later();
  }

  void peer_changed(const PeerState& state) {
    if (state.id != options_.peer) return;
    up_ = state.up;
    session_->on_closed(now());  // another connection, or another run of the peer
    pump();
  }

  /// Behind what waits in the mailbox: followers that moved together are stated together.
  void pump_later() {
    if (!std::exchange(turn_open_, true)) self_->send(self_, FetcherWakeup{FetcherWakeup::Kind::end_turn, 0});
  }

  void pump() {
    while (up_) {
      const auto request = session_->next_request(now());
      if (!request) break;
      options_.links->call(options_.peer, Channel::replica, Bytes::adopt(replication::encode_fetch_request(*request)),
                           options_.wait_ms_max + options_.answer_ms_max, static_cast<std::uint64_t>(request->number),
                           caf::actor_cast<caf::actor>(self_));
    }
    arm();
  }

  void arm() {
    const auto due = session_->next_deadline();
    if (!up_ || !due || (armed_for_ && *armed_for_ <= *due)) return;
    armed_for_ = due;
    const auto delay = std::max(Millis{1}, *due - now());
    self_->delayed_send(self_, std::chrono::milliseconds(delay), FetcherWakeup{FetcherWakeup::Kind::deadline, ++timer_});
  }

  void on_wakeup(const FetcherWakeup& wakeup) {
    if (wakeup.kind == FetcherWakeup::Kind::end_turn) {
      turn_open_ = false;
      return pump();
    }
    if (wakeup.token != timer_) return;
    armed_for_.reset();
    session_->on_deadline(now());
    pump();
  }

  Self* self_ = nullptr;
  ReplicaFetcherOptions options_;
  ActorRowPtr row_;
  std::optional<replication::FetchSession> session_;
  std::unordered_map<TopicIdPartition, caf::actor> followers_;
  bool up_ = true;
  bool turn_open_ = false;
  std::uint64_t timer_ = 0;
  std::optional<MonotonicMs> armed_for_;
};

caf::behavior replica_fetcher(ReplicaFetcherState::Self* self, ReplicaFetcherOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_replica_fetcher(caf::actor_system& system, ReplicaFetcherOptions options, ActorRowPtr row) {
  return system.spawn(replica_fetcher, std::move(options), std::move(row));
}

}  // namespace troupe::actors
