#include "actors/remote_leader.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <unordered_map>
#include <variant>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/partition_messages.hpp"
#include "core/replication/leader_calls.hpp"

namespace troupe::actors {

/// From a remote_leader to itself.
struct RemoteLeaderTick {};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::RemoteLeaderTick)

namespace troupe::actors {
namespace {

using replication::LeaderCall;

constexpr Millis answer_ms_max = 30'000;  ///< besides the time that a call is told to wait

/// A call that failed as a whole, in the words of who asked.
Error in_callers_words(Error error) {
  if (error.code == Errc::broker_not_available) {
    error = {Errc::leader_not_available, "the partition's leader cannot be reached now, nothing was written: retry"};
  }
  return error;
}

class RemoteLeaderState {
 public:
  using Self = caf::stateful_actor<RemoteLeaderState>;
  static constexpr const char* name = "remote_leader";

  ~RemoteLeaderState() {
    if (row_) row_->set_state(ActorState::stopped);
    if (options_.on_end) options_.on_end(id_);
  }

  caf::behavior make_behavior(Self* self, RemoteLeaderOptions options, ActorRowPtr row) {
    self_ = self;
    id_ = self->id();
    options_ = std::move(options);
    row_ = std::move(row);
    used_at_ = now();
    row_->set_state(ActorState::running);
    tick();
    return {
        [this](const ProduceSlot& request) { handle([&] { produce(request); }); },
        [this](const FetchPartition& request) { handle([&] { fetch(request); }); },
        [this](const CancelFetch& request) { handle([&] { cancel(request); }); },
        [this](const FindOffset& request) {
          handle([&] { call(replication::FindOffsetCall{request.spec}, 0, Find{request.token, request.reply_to}); });
        },
        [this](const DeleteRecordsBefore& request) {
          handle([&] {
            call(replication::DeleteRecordsCall{request.before}, 0, Deletion{request.token, request.reply_to});
          });
        },
        [this](const AttachTail& request) { handle([&] { attach(request.tail); }); },
        [this](const DetachTail&) {
          handle([&] {
            tail_ = nullptr;
            ++attachment_;
          });
        },
        [this](const PeerAnswer& answer) { handle([&] { answered(answer); }); },
        [this](const RemoteLeaderTick&) { handle([&] { on_tick(); }); },
    };
  }

 private:
  struct Slot {
    std::uint64_t slot;
    std::size_t batches;
    caf::actor reply_to;
  };
  struct Fetch {
    std::uint64_t token;
    caf::actor reply_to;
  };
  struct Find {
    std::uint64_t token;
    caf::actor reply_to;
  };
  struct Deletion {
    std::uint64_t token;
    caf::actor reply_to;
  };
  struct TailBegin {
    std::uint64_t attachment;
  };
  struct TailFetch {
    std::uint64_t attachment;
  };
  using Waiting = std::variant<Slot, Fetch, Find, Deletion, TailBegin, TailFetch>;

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now(), mailbox_depth(*self_)};
    work();
  }
  MonotonicMs now() const { return now_of(*self_); }

  std::uint64_t call(LeaderCall::Body body, Millis wait_ms, Waiting waiting) {
    used_at_ = now();
    const auto number = ++numbers_;
    waiting_.emplace(number, std::move(waiting));
    auto bytes = replication::encode_leader_call({options_.partition, options_.epoch, number, std::move(body)});
    options_.links->call(options_.broker, Channel::gateway, Bytes::adopt(std::move(bytes)), wait_ms + answer_ms_max, number,
                         caf::actor_cast<caf::actor>(self_));
    return number;
  }

  // --- requests

  void produce(const ProduceSlot& request) {
    std::optional<Millis> wait;
    if (request.terms.deadline) wait = std::max(Millis{0}, *request.terms.deadline - now());
    call(replication::ProduceSlotCall{request.batches, request.terms.acks, wait}, wait.value_or(0),
         Slot{request.slot, request.batches.size(), request.reply_to});
  }

  void fetch(const FetchPartition& request) {
    const auto& asked = request.request;
    const replication::FetchCommittedCall body{
        asked.from, static_cast<std::uint32_t>(std::min<std::size_t>(asked.bytes_max, UINT32_MAX)), asked.up_to,
        asked.wait_ms_max};
    call(body, asked.wait_ms_max, Fetch{request.token, request.reply_to});
  }

  void cancel(const CancelFetch& request) {
    for (auto at = waiting_.begin(); at != waiting_.end(); ++at) {
      const auto* fetch = std::get_if<Fetch>(&at->second);
      if (fetch == nullptr || fetch->token != request.token || fetch->reply_to != request.reply_to) continue;
      const LeaderCall cancelled{options_.partition, options_.epoch, at->first, replication::CancelFetchCall{}};
      options_.links->send(options_.broker, Channel::gateway, Bytes::adopt(replication::encode_leader_call(cancelled)));
      self_->send(request.reply_to, FetchAnswered{request.token, Error{Errc::cancelled, "the fetch was cancelled"}});
      waiting_.erase(at);
      return;
    }
  }

  // --- the tail

  void attach(const caf::actor& tail) {
    tail_ = tail;
    call(replication::FindOffsetCall{{.kind = OffsetSpec::Kind::latest}}, 0, TailBegin{++attachment_});
  }

  void read_on() {
    const replication::FetchCommittedCall body{next_, static_cast<std::uint32_t>(options_.tail_bytes_max), Offset::max(),
                                               options_.tail_wait_ms};
    call(body, options_.tail_wait_ms, TailFetch{attachment_});
  }

  /// The tail's listeners attach again, to whoever leads then.
  void lose_tail(const Error& error) {
    row_->set_last_error(to_string(error));
    self_->quit(to_caf_error({Errc::leader_not_available, error.message}));
  }

  // --- answers

  void answered(const PeerAnswer& answer) {
    const auto found = waiting_.find(answer.token);
    if (found == waiting_.end()) return;
    const auto waiting = std::move(found->second);
    waiting_.erase(found);
    std::visit([&](const auto& one) { take(one, answer.answer); }, waiting);
  }

  template <class T, class Decode>
  static Result<T> decoded(const Result<Bytes>& answer, Decode decode) {
    if (!answer) return in_callers_words(answer.error());
    return decode(*answer);
  }

  void take(const Slot& slot, const Result<Bytes>& answer) {
    auto result = decoded<replication::ProduceSlotAnswer>(answer, replication::decode_produce_answer);
    std::vector<Result<replication::PlacedRecords>> results;
    if (result && result->results.size() == slot.batches) {
      results = std::move(result->results);
    } else {
      // An answer that cannot be read does not say that nothing was written.
      const auto error = answer
                             ? Error{Errc::request_timed_out, "the leader's answer cannot be read: the outcome is unknown"}
                             : result.error();
      results.assign(slot.batches, error);
    }
    self_->send(slot.reply_to, SlotAnswered{options_.partition, slot.slot, std::move(results)});
  }
  void take(const Fetch& fetch, const Result<Bytes>& answer) {
    self_->send(fetch.reply_to,
                FetchAnswered{fetch.token, decoded<FetchResponse>(answer, replication::decode_fetch_response)});
  }
  void take(const Find& find, const Result<Bytes>& answer) {
    self_->send(find.reply_to, OffsetAnswered{find.token, decoded<OffsetAnswer>(answer, replication::decode_offset_answer)});
  }
  void take(const Deletion& deletion, const Result<Bytes>& answer) {
    self_->send(deletion.reply_to,
                RecordsDeleted{deletion.token, decoded<Offset>(answer, replication::decode_delete_answer)});
  }
  void take(const TailBegin& begin, const Result<Bytes>& answer) {
    if (!tail_ || begin.attachment != attachment_) return;
    const auto found = decoded<OffsetAnswer>(answer, replication::decode_offset_answer);
    if (!found) return lose_tail(found.error());
    next_ = found->high_watermark;
    self_->send(tail_, TailAttached{options_.epoch, next_, found->log_start_offset});
    read_on();
  }
  void take(const TailFetch& fetch, const Result<Bytes>& answer) {
    if (!tail_ || fetch.attachment != attachment_) return;
    const auto fetched = decoded<FetchResponse>(answer, replication::decode_fetch_response);
    if (!fetched) return lose_tail(fetched.error());
    if (fetched->next_offset > next_) {
      self_->send(tail_, TailCommitted{next_, fetched->next_offset, fetched->log_start_offset, fetched->batches});
      next_ = fetched->next_offset;
    }
    read_on();
  }

  // --- time

  void tick() { self_->delayed_send(self_, std::chrono::milliseconds(options_.idle_ms_max), RemoteLeaderTick{}); }

  void on_tick() {
    const bool idle = waiting_.empty() && !tail_ && now() - used_at_ >= options_.idle_ms_max;
    if (idle) return self_->quit();
    tick();
  }

  Self* self_ = nullptr;
  caf::actor_id id_ = 0;
  RemoteLeaderOptions options_;
  ActorRowPtr row_;
  std::uint64_t numbers_ = 0;
  std::unordered_map<std::uint64_t, Waiting> waiting_;
  caf::actor tail_;
  std::uint64_t attachment_ = 0;  ///< what was asked for an earlier one means nothing
  Offset next_{0};                ///< of the tail
  MonotonicMs used_at_{0};
};

caf::behavior remote_leader(RemoteLeaderState::Self* self, RemoteLeaderOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_remote_leader(caf::actor_system& system, RemoteLeaderOptions options, ActorRowPtr row) {
  return system.spawn(remote_leader, std::move(options), std::move(row));
}

}  // namespace troupe::actors
