#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include <caf/actor_addr.hpp>

#include "base/assert.hpp"
#include "base/clock.hpp"
#include "core/broker_api.hpp"

/// What a gateway has asked partition leaders and was not told yet.
namespace troupe::actors {

/// Calls of one kind that are asked once: each is answered by the leader, when the leader goes, or when its time is over.
template <class Answer>
class OpenCalls {
 public:
  void add(std::uint64_t token, caf::actor_id leader, MonotonicMs deadline, Reply<Answer> reply) {
    calls_.emplace(token, Call{leader, deadline, std::move(reply)});
  }
  void answer(std::uint64_t token, Result<Answer> result) {
    const auto found = calls_.find(token);
    if (found == calls_.end()) return;
    auto reply = std::move(found->second.reply);
    calls_.erase(found);
    reply(std::move(result));
  }
  void leader_gone(caf::actor_id leader, const Error& error) {
    answer_if([&](const Call& call) { return call.leader == leader; }, error);
  }
  void expire(MonotonicMs now) {
    answer_if([&](const Call& call) { return call.deadline <= now; },
              {Errc::request_timed_out, "the partition's leader did not answer in time"});
  }
  bool empty() const { return calls_.empty(); }

 private:
  struct Call {
    caf::actor_id leader;
    MonotonicMs deadline;
    Reply<Answer> reply;
  };
  template <class Predicate>
  void answer_if(Predicate predicate, const Error& error) {
    std::vector<Reply<Answer>> replies;
    for (auto at = calls_.begin(); at != calls_.end();) {
      if (!predicate(at->second)) {
        ++at;
        continue;
      }
      replies.push_back(std::move(at->second.reply));
      at = calls_.erase(at);
    }
    for (auto& reply : replies) reply(error);
  }
  std::unordered_map<std::uint64_t, Call> calls_;
};

/// Whether another leader, or the same a little later, may answer better.
inline bool leader_may_be_elsewhere(Errc code) {
  switch (code) {
    case Errc::leader_not_available:
    case Errc::not_leader_or_follower:
    case Errc::fenced_leader_epoch:
    case Errc::unknown_leader_epoch:
    case Errc::offset_not_available:
    case Errc::log_offline:
    case Errc::leadership_lost:
    case Errc::request_timed_out: return true;  // the way to it was lost: of a call that changes nothing
    default: return false;
  }
}

/// Calls of one kind that change nothing, so that they can be asked again: a leader that goes, or is elsewhere now, is not the caller's
/// concern, unless there is none for `leaderless_ms_max`.
///
///   take -> asked ---- answer ----> answered
///             |  ^
///   leader    |  | again, each retry_ms
///   gone      v  |
///           waiting --- leaderless_ms_max ---> answered: leader_not_available
template <class Request, class Answer>
class PatientCalls {
 public:
  /// Asks a leader and says which; 0: there is none now. An error ends the call.
  using Ask = std::function<Result<caf::actor_id>(std::uint64_t token, Request& request)>;

  static constexpr Millis retry_ms = 50;
  static constexpr Millis leaderless_ms_max = 5'000;

  explicit PatientCalls(Ask ask) : ask_(std::move(ask)) {}

  /// Answered with request_timed_out at `deadline`.
  void take(std::uint64_t token, Request request, MonotonicMs deadline, Reply<Answer> reply, MonotonicMs now) {
    const auto [at, added] = calls_.try_emplace(token, Call{std::move(request), deadline, std::move(reply)});
    TROUPE_ASSERT(added);
    ask(at, now);
  }

  void answer(std::uint64_t token, Result<Answer> result, MonotonicMs now) {
    const auto found = calls_.find(token);
    if (found == calls_.end() || found->second.retry_at) return;
    if (!result && leader_may_be_elsewhere(result.error().code)) return wait(found, result.error(), now);
    end(found, std::move(result));
  }

  void leader_gone(caf::actor_id leader, MonotonicMs now) {
    for (const auto token : tokens_if([&](const Call& call) { return !call.retry_at && call.leader == leader; })) {
      wait(calls_.find(token), {Errc::leader_not_available, "the partition's leader went down: retry"}, now);
    }
  }

  /// Asks again for those that wait, when it is time.
  void retry(MonotonicMs now) {
    if (waiting_ == 0) return;
    for (const auto token : tokens_if([&](const Call& call) { return call.retry_at && *call.retry_at <= now; })) {
      ask(calls_.find(token), now);
    }
  }
  void expire(MonotonicMs now) {
    for (const auto token : tokens_if([&](const Call& call) { return call.deadline <= now; })) {
      end(calls_.find(token), Error{Errc::request_timed_out, "the partition's leader did not answer in time"});
    }
  }

  /// The leader that works on it; nullopt: no such call. One that waits for a leader ends here.
  std::optional<caf::actor_id> cancel(std::uint64_t token) {
    const auto found = calls_.find(token);
    if (found == calls_.end()) return std::nullopt;
    if (!found->second.retry_at) return found->second.leader;
    end(found, Error{Errc::cancelled, "the call was cancelled"});
    return std::nullopt;
  }

  bool empty() const { return calls_.empty(); }

 private:
  struct Call {
    Request request;
    MonotonicMs deadline;
    Reply<Answer> reply;
    caf::actor_id leader = 0;                       ///< that was asked last
    std::optional<MonotonicMs> retry_at = {};       ///< it waits until then
    std::optional<MonotonicMs> trouble_since = {};  ///< the first time that there was no leader
  };
  using Calls = std::unordered_map<std::uint64_t, Call>;

  void ask(typename Calls::iterator at, MonotonicMs now) {
    stop_waiting(at->second);
    const auto leader = ask_(at->first, at->second.request);
    if (!leader) return end(at, leader.error());
    at->second.leader = *leader;
    if (*leader == 0) wait(at, {Errc::leader_not_available, "the partition has no leader now: retry"}, now);
  }
  void wait(typename Calls::iterator at, Error error, MonotonicMs now) {
    auto& call = at->second;
    if (!call.trouble_since) call.trouble_since = now;
    if (now - *call.trouble_since >= leaderless_ms_max) return end(at, std::move(error));
    call.retry_at = now + retry_ms;
    ++waiting_;
  }
  void stop_waiting(Call& call) {
    if (std::exchange(call.retry_at, std::nullopt)) --waiting_;
  }
  void end(typename Calls::iterator at, Result<Answer> result) {
    stop_waiting(at->second);
    auto reply = std::move(at->second.reply);
    calls_.erase(at);
    reply(std::move(result));
  }
  template <class Predicate>
  std::vector<std::uint64_t> tokens_if(Predicate predicate) const {
    std::vector<std::uint64_t> tokens;
    for (const auto& [token, call] : calls_) {
      if (predicate(call)) tokens.push_back(token);
    }
    return tokens;
  }

  const Ask ask_;
  Calls calls_;
  std::size_t waiting_ = 0;
};

}  // namespace troupe::actors
