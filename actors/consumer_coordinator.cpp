#include "actors/consumer_coordinator.hpp"

#include <chrono>
#include <map>

#include <caf/actor_system.hpp>
#include <caf/exit_reason.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/consumer_messages.hpp"
#include "actors/processor_messages.hpp"
#include "core/cluster_api.hpp"
#include "core/consumer/group_reader.hpp"

namespace troupe::actors {
namespace {

/// Of one request to the group's coordinator: what takes longer is asked again.
constexpr Millis group_request_ms = 10'000;

class ConsumerCoordinatorState {
 public:
  using Self = caf::stateful_actor<ConsumerCoordinatorState>;
  static constexpr const char* name = "consumer_coordinator";

  ~ConsumerCoordinatorState() {
    if (!reader_) return;
    for (const auto& [token, call] : calls_) options_.broker->cancel(call);
    if (!closed_) {
      options_.listener->on_event(
          ConsumerFailed{{Errc::coordinator_not_available, "the node's consumers have been stopped"}});
      options_.listener->on_event(ConsumerClosed{});
    }
    options_.count->fetch_sub(1);
  }

  caf::behavior make_behavior(Self* self, ConsumerCoordinatorOptions options, const caf::actor& manager, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    image_ = options_.broker->cluster_api().image();
    reader_.emplace(options_.consumer, options_.member, image_);
    // A manager that is gone already says so at once: nobody is left without one.
    self_->monitor(manager);
    self_->set_down_handler([this](const caf::down_msg&) { self_->quit(caf::exit_reason::user_shutdown); });
    const auto address = caf::actor_addr{self_->address()};
    listening_ = options_.groups->listen(options_.consumer.group, options_.member, [address] {
      if (const auto actor = caf::actor_cast<caf::actor>(address)) {
        caf::anon_send(actor, std::make_shared<ConsumerInput>(ConsumerNews{}));
      }
    });
    handle([this](auto& effects) { reader_->start(now(), effects); });
    row_->set_state(ActorState::running);
    return {
        [this](const ConsumerInputPtr& input) {
          handle([&](auto& effects) { std::visit([&](auto& one) { take(one, effects); }, *input); });
        },
        [this](const ConsumerDeadline&) {
          handle([this](auto& effects) {
            if (armed_until_ && *armed_until_ <= now()) armed_until_.reset();
            const auto due = reader_->next_deadline();
            if (due && *due <= now()) reader_->on_deadline(now(), effects);
          });
        },
    };
  }

 private:
  using Effects = consumer::GroupReaderEffects;

  MonotonicMs now() const { return now_of(*self_); }

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now(), mailbox_depth(*self_)};
    if (auto image = options_.broker->cluster_api().image(); image != image_) {
      image_ = image;
      reader_->update(std::move(image));
    }
    Effects effects;
    work(effects);
    perform(std::move(effects));
    if (closed_) return self_->quit();
    arm_timer();
  }

  // --- inputs

  void take(const ConsumerCreditCall& call, Effects& effects) { reader_->credit(call.more, now(), effects); }
  void take(const ConsumerConsumedCall& call, Effects&) { reader_->consumed(call.partition, call.next); }
  void take(ConsumerCommitCall& call, Effects& effects) {
    commits_.emplace(++last_request_, std::move(call.reply));
    reader_->commit(last_request_, call.positions, now(), effects);
  }
  void take(const ConsumerReleasedCall& call, Effects& effects) { reader_->released(call.partitions, now(), effects); }
  void take(const ConsumerPauseCall& call, Effects& effects) {
    if (call.paused) return reader_->pause(call.partitions);
    reader_->resume(call.partitions, now(), effects);
  }
  void take(ConsumerSeekCall& call, Effects& effects) {
    seeks_.emplace(++last_request_, std::move(call.reply));
    reader_->seek(last_request_, call.partition, call.target, now(), effects);
  }
  void take(ConsumerChangeCall& call, Effects& effects) { reader_->change(std::move(call.profile), now(), effects); }
  void take(ConsumerCloseCall& call, Effects& effects) {
    row_->set_state(ActorState::stopping);
    closing_.push_back(std::move(call.reply));
    reader_->close(now(), effects);
  }
  void take(const ConsumerAbandoned&, Effects& effects) {
    row_->set_state(ActorState::stopping);
    reader_->abandon(now(), effects);
  }
  void take(const ConsumerHeartbeatAnswer& one, Effects& effects) {
    if (!one.answer) row_->set_last_error(to_string(one.answer.error()));
    reader_->on_heartbeat(one.answer, now(), effects);
  }
  void take(const ConsumerCommitAnswer& one, Effects& effects) { reader_->on_commit(one.answer, now(), effects); }
  void take(const ConsumerOffsetsAnswer& one, Effects& effects) { reader_->on_offsets(one.answer, now(), effects); }
  void take(ConsumerFetched& one, Effects& effects) {
    calls_.erase(one.token);
    reader_->on_fetched(one.token, std::move(one.answer), now(), effects);
  }
  void take(const ConsumerFound& one, Effects& effects) { reader_->on_found(one.token, one.answer, now(), effects); }
  void take(const ConsumerNews&, Effects& effects) { reader_->nudge(now(), effects); }

  // --- effects

  /// The answer of a call, wrapped, as an input.
  template <class T, class Wrap>
  Reply<T> as_input(Wrap wrap) {
    return answer_as<T>(self_,
                        [wrap](Result<T> answer) { return std::make_shared<ConsumerInput>(wrap(std::move(answer))); });
  }

  void perform(Effects effects) {
    for (auto& event : effects.events) {
      closed_ = closed_ || std::holds_alternative<ConsumerClosed>(event);
      if (const auto* failed = std::get_if<ConsumerFailed>(&event)) row_->set_last_error(to_string(failed->error));
      options_.listener->on_event(std::move(event));
    }
    for (auto& answer : effects.committed) answer_request(commits_, answer.request, std::move(answer.positions));
    for (auto& answer : effects.sought) answer_request(seeks_, answer.request, std::move(answer.position));
    if (closed_) {
      for (auto& reply : std::exchange(closing_, {})) reply(std::monostate{});
    }
    ask_group(effects);
    for (const auto token : effects.unwanted) {
      if (const auto call = calls_.extract(token)) options_.broker->cancel(call.mapped());
    }
    for (auto& fetch : effects.fetches) {
      calls_[fetch.token] = options_.broker->fetch(
          std::move(fetch.request), as_input<FetchResponse>([token = fetch.token](Result<FetchResponse> answer) {
            return ConsumerFetched{token, std::move(answer)};
          }));
    }
    for (const auto& find : effects.finds) {
      options_.broker->find_offset(find.partition, find.spec,
                                   as_input<OffsetAnswer>([token = find.token](Result<OffsetAnswer> answer) {
                                     return ConsumerFound{token, std::move(answer)};
                                   }));
    }
  }

  void ask_group(Effects& effects) {
    auto& groups = *options_.groups;
    if (effects.heartbeat) {
      groups.heartbeat(std::move(*effects.heartbeat), group_request_ms,
                       as_input<group::HeartbeatAnswer>([](Result<group::HeartbeatAnswer> answer) {
                         return ConsumerHeartbeatAnswer{std::move(answer)};
                       }));
    }
    if (effects.commit) {
      groups.commit(std::move(*effects.commit), group_request_ms,
                    as_input<std::vector<Status>>(
                        [](Result<std::vector<Status>> answer) { return ConsumerCommitAnswer{std::move(answer)}; }));
    }
    if (effects.fetch_offsets) {
      groups.offsets(std::move(*effects.fetch_offsets), group_request_ms,
                     as_input<std::vector<group::Position>>([](Result<std::vector<group::Position>> answer) {
                       return ConsumerOffsetsAnswer{std::move(answer)};
                     }));
    }
  }

  template <class T, class Answer>
  static void answer_request(std::map<std::uint64_t, Reply<T>>& open, std::uint64_t request, Answer answer) {
    if (auto found = open.extract(request)) found.mapped()(std::move(answer));
  }

  void arm_timer() {
    const auto deadline = reader_->next_deadline();
    if (!deadline || (armed_until_ && *armed_until_ <= *deadline)) return;
    armed_until_ = deadline;
    const auto pause = std::chrono::milliseconds(std::max(Millis{1}, *deadline - now()));
    self_->delayed_send(self_, pause, ConsumerDeadline{});
  }

  Self* self_ = nullptr;
  ConsumerCoordinatorOptions options_;
  ActorRowPtr row_;
  metadata::ImagePtr image_;
  std::optional<consumer::GroupReader> reader_;
  std::unique_ptr<GroupListening> listening_;
  std::map<std::uint64_t, CallId> calls_;  ///< fetches under way, by their tokens
  std::uint64_t last_request_ = 0;
  std::map<std::uint64_t, Reply<std::vector<CommittedPosition>>> commits_;
  std::map<std::uint64_t, Reply<Offset>> seeks_;
  std::vector<Reply<std::monostate>> closing_;
  std::optional<MonotonicMs> armed_until_;
  bool closed_ = false;
};

caf::behavior consumer_coordinator(ConsumerCoordinatorState::Self* self, ConsumerCoordinatorOptions options,
                                   const caf::actor& manager, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), manager, std::move(row));
}

}  // namespace

caf::actor spawn_consumer_coordinator(caf::actor_system& system, ConsumerCoordinatorOptions options,
                                      const caf::actor& manager, ActorRowPtr row) {
  return system.spawn(consumer_coordinator, std::move(options), manager, std::move(row));
}

}  // namespace troupe::actors
