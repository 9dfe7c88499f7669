#include "actors/gateway.hpp"

#include <algorithm>
#include <chrono>
#include <unordered_map>
#include <unordered_set>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/partition_messages.hpp"
#include "actors/produce_desk.hpp"

namespace troupe::actors {

/// From a gateway to itself.
struct GatewayWakeup {
  enum class Kind : std::uint8_t { end_turn, tick, look_for_leaders };
  Kind kind;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::GatewayWakeup)

namespace troupe::actors {
namespace {

constexpr auto tick_pause = std::chrono::milliseconds(25);
constexpr auto look_pause = std::chrono::milliseconds(1);
constexpr Millis leaders_ms_max = 5'000;  ///< a new topic is answered without them after that
constexpr Millis call_ms_max = 30'000;    ///< for a leader to answer, besides the time it was told to wait
constexpr auto metadata_timeout = std::chrono::seconds(35);

Error no_leader(const TopicIdPartition& id) {
  return {Errc::leader_not_available, "partition " + to_string(id.partition) + " has no leader now: retry"};
}

/// Calls of one kind that wait for a leader: each is answered once, by the leader, when the leader goes, or when its time is over.
template <class T>
class OpenCalls {
 public:
  void add(std::uint64_t token, caf::actor_id leader, MonotonicMs deadline, Reply<T> reply) {
    calls_.emplace(token, Call{leader, deadline, std::move(reply)});
  }
  void answer(std::uint64_t token, Result<T> result) {
    const auto found = calls_.find(token);
    if (found == calls_.end()) return;
    auto reply = std::move(found->second.reply);
    calls_.erase(found);
    reply(std::move(result));
  }
  std::optional<caf::actor_id> leader_of(std::uint64_t token) const {
    const auto found = calls_.find(token);
    return found == calls_.end() ? std::nullopt : std::optional{found->second.leader};
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
    Reply<T> reply;
  };
  template <class Predicate>
  void answer_if(Predicate predicate, const Error& error) {
    std::vector<Reply<T>> replies;
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

class GatewayState {
 public:
  using Self = caf::stateful_actor<GatewayState>;
  static constexpr const char* name = "gateway";

  caf::behavior make_behavior(Self* self, GatewayActorOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    desk_.emplace(options_.seed);
    self_->set_down_handler([this](caf::down_msg& down) { handle([&] { leader_gone(down.source.id()); }); });
    row_->set_state(ActorState::running);
    return {
        [this](const Shared<AdmittedProduces>& calls) { handle([&] { produce(*calls); }); },
        [this](const SlotAnswered& answer) {
          handle([&] { send(desk_->on_answer(answer.partition, answer.slot, answer.results, now())); });
        },
        [this](const Shared<FetchCall>& call) { handle([&] { fetch(*call); }); },
        [this](const FetchAnswered& answer) { handle([&] { fetches_.answer(answer.token, answer.response); }); },
        [this](const CancelCall& call) { handle([&] { cancel(call.id); }); },
        [this](const Shared<FindOffsetCall>& call) { handle([&] { find_offset(*call); }); },
        [this](const OffsetAnswered& answer) { handle([&] { finds_.answer(answer.token, answer.answer); }); },
        [this](const Shared<DeleteRecordsCall>& call) { handle([&] { delete_records(*call); }); },
        [this](const RecordsDeleted& answer) { handle([&] { deletions_.answer(answer.token, answer.log_start); }); },
        [this](const Shared<CreateTopicCall>& call) { handle([&] { create_topic(call); }); },
        [this](const Shared<AlterTopicCall>& call) { handle([&] { alter_topic(call); }); },
        [this](const Shared<DeleteTopicCall>& call) { handle([&] { delete_topic(call); }); },
        [this](const GatewayWakeup& wakeup) { handle([&] { on_wakeup(wakeup); }); },
    };
  }

 private:
  struct NewTopic {
    metadata::TopicPtr topic;
    Reply<metadata::TopicPtr> reply;
    MonotonicMs deadline;
  };

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now(), mailbox_depth(*self_)};
    work();
  }
  MonotonicMs now() const { return now_of(*self_); }
  caf::actor self_handle() const { return caf::actor_cast<caf::actor>(self_); }

  /// The leader of a partition, watched from now on.
  caf::actor leader_of(const TopicIdPartition& id) {
    const auto entry = options_.directory->find(id);
    if (!entry) return nullptr;
    const auto [at, added] = watched_.try_emplace(entry->leader.id());
    if (added) self_->monitor(entry->leader);
    at->second = id;
    return entry->leader;
  }

  void leader_gone(caf::actor_id leader) {
    const auto found = watched_.find(leader);
    if (found == watched_.end()) return;
    const auto id = found->second;
    watched_.erase(found);
    send(desk_->on_leader_gone(id, now()));
    fetches_.leader_gone(leader, no_leader(id));
    finds_.leader_gone(leader, no_leader(id));
    deletions_.leader_gone(leader, {Errc::request_timed_out, "the partition's leader went down: the outcome is unknown"});
  }

  // --- produce

  void produce(AdmittedProduces& produces) {
    const auto image = options_.images->get();
    for (auto& one : produces.calls) {
      const auto topic = image->find_topic(one.call.request.topic->id);
      desk_->take(std::move(one), topic, now(), options_.clock->wall_now());
    }
    if (!std::exchange(turn_open_, true)) self_->send(self_, GatewayWakeup{GatewayWakeup::Kind::end_turn});
    keep_ticking();
  }

  void send(ProduceDesk::Sends sends) {
    // A lane without a leader answers with what is to be tried again later: no end of sends comes of it.
    for (auto& [id, slot] : sends.slots) {
      if (const auto leader = leader_of(id)) {
        self_->send(leader, ProduceSlot{id, slot.slot, std::move(slot.batches), self_handle(), slot.terms});
      } else {
        const std::vector<Result<replication::PlacedRecords>> refused(slot.batches.size(), no_leader(id));
        send(desk_->on_answer(id, slot.slot, refused, now()));
      }
    }
    keep_ticking();
  }

  // --- calls to a leader

  void fetch(FetchCall& call) {
    const auto& id = call.request.partition;
    const auto leader = known_leader(id, call.reply);
    if (!leader) return;
    fetches_.add(call.id, leader.id(), now() + call.request.wait_ms_max + call_ms_max, std::move(call.reply));
    self_->send(leader, FetchPartition{call.id, call.request, self_handle()});
    keep_ticking();
  }

  void cancel(CallId call) {
    const auto leader = fetches_.leader_of(call);
    if (!leader) return;
    const auto watched = watched_.find(*leader);
    const auto entry = watched == watched_.end() ? std::nullopt : options_.directory->find(watched->second);
    if (entry && entry->leader.id() == *leader) self_->send(entry->leader, CancelFetch{call, self_handle()});
  }

  void find_offset(FindOffsetCall& call) {
    const auto leader = known_leader(call.partition, call.reply);
    if (!leader) return;
    finds_.add(next_token_, leader.id(), now() + call_ms_max, std::move(call.reply));
    self_->send(leader, FindOffset{next_token_++, call.spec, self_handle()});
    keep_ticking();
  }

  void delete_records(DeleteRecordsCall& call) {
    const auto leader = known_leader(call.request.partition, call.reply);
    if (!leader) return;
    deletions_.add(next_token_, leader.id(), now() + call_ms_max, std::move(call.reply));
    self_->send(leader, DeleteRecordsBefore{next_token_++, call.request.before, self_handle()});
    keep_ticking();
  }

  /// Null when there is none; the reply has been answered then.
  template <class T>
  caf::actor known_leader(const TopicIdPartition& id, Reply<T>& reply) {
    if (auto leader = leader_of(id)) return leader;
    const auto topic = options_.images->get()->find_topic(id.topic_id);
    const bool known = topic && id.partition >= PartitionId{0} && id.partition.value() < topic->partition_count();
    reply(known ? no_leader(id) : Error{Errc::unknown_topic_or_partition, "there is no partition " + to_string(id)});
    return nullptr;
  }

  // --- topics

  template <class Answer, class Request, class Call, class Then>
  void ask_metadata(Request request, const Shared<Call>& call, Then then) {
    const auto quorum = options_.metadata_quorum();
    if (!quorum) return call->reply(Error{Errc::leader_not_available, "the metadata is not available now: retry"});
    self_->request(quorum, metadata_timeout, std::move(request))
        .then([this, call, then](const Answer& answer) { handle([&] { then(answer); }); },
              [call](caf::error& error) { call->reply(from_caf_error(error)); });
  }

  void create_topic(const Shared<CreateTopicCall>& call) {
    ask_metadata<TopicAnswer>(CreateTopic{call->request, call->request.internal ? Caller::system : Caller::client}, call,
                              [this, call](const TopicAnswer& answer) {
                                if (call->request.validate_only) return call->reply(answer.topic);
                                await_leaders(answer.topic, call->reply);
                              });
  }

  void alter_topic(const Shared<AlterTopicCall>& call) {
    ask_metadata<TopicAnswer>(AlterTopic{call->request}, call, [this, call](const TopicAnswer& answer) {
      if (call->request.validate_only) return call->reply(answer.topic);
      await_leaders(answer.topic, call->reply);
    });
  }

  void delete_topic(const Shared<DeleteTopicCall>& call) {
    ask_metadata<Done>(DeleteTopic{call->name}, call, [call](const Done&) { call->reply(Nothing{}); });
  }

  /// A topic that was just made can be used at once: its leaders are there when its creator hears of it.
  void await_leaders(metadata::TopicPtr topic, Reply<metadata::TopicPtr>& reply) {
    const bool first = new_topics_.empty();
    new_topics_.push_back({std::move(topic), std::move(reply), now() + leaders_ms_max});
    if (first) look_for_leaders();
  }

  void look_for_leaders() {
    std::erase_if(new_topics_, [&](NewTopic& one) {
      bool all = true;
      for (std::int32_t number = 0; all && number < one.topic->partition_count(); ++number) {
        all = options_.directory->find({one.topic->id, PartitionId{number}}).has_value();
      }
      if (!all && one.deadline > now()) return false;
      one.reply(std::move(one.topic));
      return true;
    });
    if (!new_topics_.empty()) self_->delayed_send(self_, look_pause, GatewayWakeup{GatewayWakeup::Kind::look_for_leaders});
  }

  // --- time

  void keep_ticking() {
    const bool busy = desk_->busy() || !fetches_.empty() || !finds_.empty() || !deletions_.empty();
    if (busy && !std::exchange(ticking_, true)) {
      self_->delayed_send(self_, tick_pause, GatewayWakeup{GatewayWakeup::Kind::tick});
    }
  }

  void on_wakeup(const GatewayWakeup& wakeup) {
    switch (wakeup.kind) {
      case GatewayWakeup::Kind::end_turn: turn_open_ = false; return send(desk_->end_turn(now()));
      case GatewayWakeup::Kind::look_for_leaders: return look_for_leaders();
      case GatewayWakeup::Kind::tick: break;
    }
    ticking_ = false;
    send(desk_->on_tick(now()));
    if (now() - last_sweep_ >= 1000) {
      last_sweep_ = now();
      fetches_.expire(last_sweep_);
      finds_.expire(last_sweep_);
      deletions_.expire(last_sweep_);
    }
    keep_ticking();
  }

  Self* self_ = nullptr;
  GatewayActorOptions options_;
  ActorRowPtr row_;
  std::optional<ProduceDesk> desk_;
  bool turn_open_ = false;
  bool ticking_ = false;
  MonotonicMs last_sweep_{0};
  std::unordered_map<caf::actor_id, TopicIdPartition> watched_;  ///< leaders
  OpenCalls<FetchResponse> fetches_;
  OpenCalls<OffsetAnswer> finds_;
  OpenCalls<Offset> deletions_;
  std::uint64_t next_token_ = 1;
  std::vector<NewTopic> new_topics_;
};

caf::behavior gateway(GatewayState::Self* self, GatewayActorOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_gateway(caf::actor_system& system, GatewayActorOptions options, ActorRowPtr row) {
  return system.spawn(gateway, std::move(options), std::move(row));
}

}  // namespace troupe::actors
