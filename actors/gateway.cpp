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
#include "actors/open_calls.hpp"
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
constexpr int latest_tries_min = 20;      ///< PatientCalls asks each 50 ms
constexpr auto metadata_timeout = std::chrono::seconds(35);

Error no_leader(const TopicIdPartition& id) {
  return {Errc::leader_not_available, "partition " + to_string(id.partition) + " has no leader now: retry"};
}

class GatewayState {
 public:
  using Self = caf::stateful_actor<GatewayState>;
  static constexpr const char* name = "gateway";

  caf::behavior make_behavior(Self* self, GatewayActorOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    desk_.emplace(options_.seed);
    fetches_.emplace([this](std::uint64_t token, PatientFetch& fetch) { return ask(token, fetch); });
    finds_.emplace([this](std::uint64_t token, Find& find) { return ask(token, find); });
    self_->set_down_handler([this](caf::down_msg& down) { handle([&] { leader_gone(down.source.id()); }); });
    row_->set_state(ActorState::running);
    return {
        [this](const Shared<AdmittedProduces>& calls) { handle([&] { produce(*calls); }); },
        [this](const SlotAnswered& answer) {
          handle([&] { send(desk_->on_answer(answer.partition, answer.slot, answer.results, now())); });
        },
        [this](const Shared<FetchCall>& call) { handle([&] { fetch(*call); }); },
        [this](const FetchAnswered& answer) { handle([&] { fetches_->answer(answer.token, answer.response, now()); }); },
        [this](const CancelCall& call) { handle([&] { cancel(call.id); }); },
        [this](const Shared<FindOffsetCall>& call) { handle([&] { find_offset(*call); }); },
        [this](const OffsetAnswered& answer) { handle([&] { finds_->answer(answer.token, answer.answer, now()); }); },
        [this](const Shared<DeleteRecordsCall>& call) { handle([&] { delete_records(*call); }); },
        [this](const RecordsDeleted& answer) { handle([&] { deletions_.answer(answer.token, answer.log_start); }); },
        [this](const Shared<CreateTopicCall>& call) { handle([&] { create_topic(call); }); },
        [this](const Shared<AlterTopicCall>& call) { handle([&] { alter_topic(call); }); },
        [this](const Shared<DeleteTopicCall>& call) { handle([&] { delete_topic(call); }); },
        [this](const GatewayWakeup& wakeup) { handle([&] { on_wakeup(wakeup); }); },
    };
  }

 private:
  struct PatientFetch {
    FetchRequest request;
    MonotonicMs wait_until;
    int tries = 0;
  };
  struct Find {
    TopicIdPartition partition;
    OffsetSpec spec;
    int tries = 0;
  };
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
    const auto entry = options_.leaders->find(id);
    if (!entry) return nullptr;
    const auto [at, added] = watched_.try_emplace(entry->leader.id());
    if (added) self_->monitor(entry->leader);
    at->second = id;
    return entry->leader;
  }

  /// For reads: who leads, or, in turn with that, the replica of this node, once the leader could not be asked.
  caf::actor reader_of(const TopicIdPartition& id, int tries) {
    const bool nearby = tries % 2 == 1;
    if (!nearby) {
      if (auto leader = leader_of(id)) return leader;
    }
    const auto follower = options_.leaders->follower(id);
    if (!follower) return nearby ? leader_of(id) : nullptr;
    if (watched_followers_.insert(follower.id()).second) self_->monitor(follower);
    return follower;
  }

  void leader_gone(caf::actor_id leader) {
    if (watched_followers_.erase(leader) > 0) {
      fetches_->leader_gone(leader, now());
      finds_->leader_gone(leader, now());
      return;
    }
    const auto found = watched_.find(leader);
    if (found == watched_.end()) return;
    const auto id = found->second;
    watched_.erase(found);
    send(desk_->on_leader_gone(id, now()));
    fetches_->leader_gone(leader, now());
    finds_->leader_gone(leader, now());
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
    const auto wait_until = now() + call.request.wait_ms_max;
    fetches_->take(call.id, {call.request, wait_until}, wait_until + call_ms_max, std::move(call.reply), now());
    keep_ticking();
  }

  Result<caf::actor_id> ask(std::uint64_t token, PatientFetch& fetch) {
    const auto leader = reader_of(fetch.request.partition, fetch.tries++);
    if (!leader) return nobody(fetch.request.partition);
    auto request = fetch.request;
    request.wait_ms_max = std::max(Millis{0}, fetch.wait_until - now());
    self_->send(leader, FetchPartition{token, std::move(request), self_handle()});
    return leader.id();
  }

  void cancel(CallId call) {
    const auto leader = fetches_->cancel(call);
    if (!leader) return;
    const auto watched = watched_.find(*leader);
    const auto entry = watched == watched_.end() ? std::nullopt : options_.leaders->find(watched->second);
    if (entry && entry->leader.id() == *leader) self_->send(entry->leader, CancelFetch{call, self_handle()});
  }

  void find_offset(FindOffsetCall& call) {
    finds_->take(next_token_++, {call.partition, call.spec}, now() + call_ms_max, std::move(call.reply), now());
    keep_ticking();
  }

  Result<caf::actor_id> ask(std::uint64_t token, Find& find) {
    // Where the log ends now only its leader knows: it is given a second to come back.
    const auto tries = find.tries++;
    const bool patient = find.spec.kind == OffsetSpec::Kind::latest && tries < latest_tries_min;
    const auto leader = patient ? leader_of(find.partition) : reader_of(find.partition, tries);
    if (!leader) return nobody(find.partition);
    self_->send(leader, FindOffset{token, find.spec, self_handle()});
    return leader.id();
  }

  void delete_records(DeleteRecordsCall& call) {
    const auto& id = call.request.partition;
    const auto leader = leader_of(id);
    if (!leader) {
      const auto why = nobody(id);
      return call.reply(why ? no_leader(id) : why.error());
    }
    deletions_.add(next_token_, leader.id(), now() + call_ms_max, std::move(call.reply));
    self_->send(leader, DeleteRecordsBefore{next_token_++, call.request.before, self_handle()});
    keep_ticking();
  }

  /// No leader now; an error when there will be none.
  Result<caf::actor_id> nobody(const TopicIdPartition& id) const {
    const auto topic = options_.images->get()->find_topic(id.topic_id);
    if (topic && id.partition >= PartitionId{0} && id.partition.value() < topic->partition_count()) return caf::actor_id{0};
    return Error{Errc::unknown_topic_or_partition, "there is no partition " + to_string(id)};
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
        all = options_.leaders->knows({one.topic->id, PartitionId{number}});
      }
      if (!all && one.deadline > now()) return false;
      one.reply(std::move(one.topic));
      return true;
    });
    if (!new_topics_.empty()) self_->delayed_send(self_, look_pause, GatewayWakeup{GatewayWakeup::Kind::look_for_leaders});
  }

  // --- time

  void keep_ticking() {
    const bool busy = desk_->busy() || !fetches_->empty() || !finds_->empty() || !deletions_.empty();
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
    fetches_->retry(now());
    finds_->retry(now());
    if (now() - last_sweep_ >= 1000) {
      last_sweep_ = now();
      fetches_->expire(last_sweep_);
      finds_->expire(last_sweep_);
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
  std::unordered_set<caf::actor_id> watched_followers_;
  std::optional<PatientCalls<PatientFetch, FetchResponse>> fetches_;
  std::optional<PatientCalls<Find, OffsetAnswer>> finds_;
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
