#include "actors/leader_server.hpp"

#include <unordered_map>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/partition_messages.hpp"
#include "core/replication/leader_calls.hpp"

namespace troupe::actors {
namespace {

using replication::LeaderCall;

class LeaderServerState {
 public:
  using Self = caf::stateful_actor<LeaderServerState>;
  static constexpr const char* name = "leader_server";

  caf::behavior make_behavior(Self* self, LeaderServerOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = options;
    row_ = std::move(row);
    self_->set_down_handler([this](caf::down_msg& down) { handle([&] { leader_gone(down.source.id()); }); });
    options_.links->serve(Channel::gateway, self_handle());
    row_->set_state(ActorState::running);
    return {
        [this](const PeerMessage& message) { handle([&] { take(message); }); },
        [this](const PeerState& state) {
          handle([&] {
            if (!state.up) forget(state.id);
          });
        },
        [this](const SlotAnswered& answer) {
          handle(
              [&] { end(answer.slot, Bytes::adopt(encode_leader_answer(replication::ProduceSlotAnswer{answer.results}))); });
        },
        [this](const FetchAnswered& answer) { handle([&] { end(answer.token, encoded(answer.response)); }); },
        [this](const OffsetAnswered& answer) { handle([&] { end(answer.token, encoded(answer.answer)); }); },
        [this](const RecordsDeleted& answer) { handle([&] { end(answer.token, encoded(answer.log_start)); }); },
    };
  }

 private:
  struct Open {
    PeerMessage asked;  ///< without its payload
    std::uint64_t number;
    caf::actor leader;
    Error when_gone;  ///< the leader
  };

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now_of(*self_), mailbox_depth(*self_)};
    work();
  }
  caf::actor self_handle() const { return caf::actor_cast<caf::actor>(self_); }

  template <class T>
  static Result<Bytes> encoded(const Result<T>& answer) {
    if (!answer) return answer.error();
    return Bytes::adopt(replication::encode_leader_answer(*answer));
  }

  void take(const PeerMessage& message) {
    auto call = replication::decode_leader_call(message.payload);
    if (!call) return options_.links->answer(message, call.error());
    if (std::holds_alternative<replication::CancelFetchCall>(call->body)) return cancel(message, call->number);
    auto leader = leader_for(*call);
    if (!leader) return options_.links->answer(message, leader.error());
    const auto token = ++tokens_;
    std::visit([&](auto& body) { hand_over(*call, body, *leader, token); }, call->body);
    auto asked = message;
    asked.payload = {};
    open_.emplace(token, Open{std::move(asked), call->number, *leader, when_gone(*call)});
    if (auto& calls = calls_of_[leader->id()]; ++calls == 1) self_->monitor(*leader);
  }

  Result<caf::actor> leader_for(const LeaderCall& call) const {
    const auto entry = options_.directory->find(call.partition);
    const auto where = "partition " + to_string(call.partition.partition);
    if (!entry) return Error{Errc::not_leader_or_follower, where + " is not led here (now): look again"};
    if (call.leader_epoch == entry->epoch) return entry->leader;
    const auto epochs = " is led here in epoch " + to_string(entry->epoch) + ", not " + to_string(call.leader_epoch);
    if (call.leader_epoch < entry->epoch) return Error{Errc::fenced_leader_epoch, where + epochs};
    return Error{Errc::unknown_leader_epoch, where + epochs + " yet: retry"};
  }

  /// What its caller is told when the leader goes before it has answered.
  static Error when_gone(const LeaderCall& call) {
    if (std::holds_alternative<replication::ProduceSlotCall>(call.body)) {
      return {Errc::leadership_lost, "the partition's leader went down: the outcome is unknown"};
    }
    if (std::holds_alternative<replication::DeleteRecordsCall>(call.body)) {
      return {Errc::request_timed_out, "the partition's leader went down: the outcome is unknown"};
    }
    return {Errc::leader_not_available, "the partition's leader went down: retry"};
  }

  void hand_over(const LeaderCall& call, replication::ProduceSlotCall& body, const caf::actor& leader, std::uint64_t token) {
    replication::ProduceTerms terms{.acks = body.acks};
    if (body.wait_ms_max) terms.deadline = now_of(*self_) + *body.wait_ms_max;
    self_->send(leader, ProduceSlot{call.partition, token, std::move(body.batches), self_handle(), terms});
  }
  void hand_over(const LeaderCall& call, const replication::FetchCommittedCall& body, const caf::actor& leader,
                 std::uint64_t token) {
    const FetchRequest request{.partition = call.partition,
                               .from = body.from,
                               .bytes_max = body.bytes_max,
                               .up_to = body.up_to,
                               .wait_ms_max = body.wait_ms_max};
    self_->send(leader, FetchPartition{token, request, self_handle()});
  }
  void hand_over(const LeaderCall&, const replication::FindOffsetCall& body, const caf::actor& leader, std::uint64_t token) {
    self_->send(leader, FindOffset{token, body.spec, self_handle()});
  }
  void hand_over(const LeaderCall&, const replication::DeleteRecordsCall& body, const caf::actor& leader,
                 std::uint64_t token) {
    self_->send(leader, DeleteRecordsBefore{token, body.before, self_handle()});
  }
  void hand_over(const LeaderCall&, const replication::CancelFetchCall&, const caf::actor&, std::uint64_t) {}

  void cancel(const PeerMessage& message, std::uint64_t number) {
    for (const auto& [token, open] : open_) {
      if (open.asked.from != message.from || open.asked.incarnation != message.incarnation || open.number != number)
        continue;
      self_->send(open.leader, CancelFetch{token, self_handle()});
      return;
    }
  }

  void end(std::uint64_t token, const Result<Bytes>& answer) {
    const auto found = open_.find(token);
    if (found == open_.end()) return;
    options_.links->answer(found->second.asked, answer);
    close(found);
  }

  using OpenMap = std::unordered_map<std::uint64_t, Open>;

  OpenMap::iterator close(OpenMap::iterator at) {
    const auto leader = at->second.leader;
    const auto calls = calls_of_.find(leader.id());
    if (calls != calls_of_.end() && --calls->second == 0) {
      self_->demonitor(leader);
      calls_of_.erase(calls);
    }
    return open_.erase(at);
  }

  void leader_gone(caf::actor_id leader) {
    for (auto at = open_.begin(); at != open_.end();) {
      if (at->second.leader.id() != leader) {
        ++at;
        continue;
      }
      options_.links->answer(at->second.asked, at->second.when_gone);
      at = open_.erase(at);
    }
    calls_of_.erase(leader);
  }

  /// Nobody waits for these any more. What was handed over goes on.
  void forget(BrokerId peer) {
    for (auto at = open_.begin(); at != open_.end();) {
      if (at->second.asked.from != peer) {
        ++at;
        continue;
      }
      self_->send(at->second.leader, CancelFetch{at->first, self_handle()});  // means nothing when it is no fetch
      at = close(at);
    }
  }

  Self* self_ = nullptr;
  LeaderServerOptions options_;
  ActorRowPtr row_;
  std::uint64_t tokens_ = 0;
  OpenMap open_;
  std::unordered_map<caf::actor_id, std::size_t> calls_of_;  ///< of leaders that are watched
};

caf::behavior leader_server(LeaderServerState::Self* self, LeaderServerOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, options, std::move(row));
}

}  // namespace

caf::actor spawn_leader_server(caf::actor_system& system, LeaderServerOptions options, ActorRowPtr row) {
  return system.spawn(leader_server, options, std::move(row));
}

}  // namespace troupe::actors
