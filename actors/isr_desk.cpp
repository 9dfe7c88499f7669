#include "actors/isr_desk.hpp"

#include <deque>
#include <unordered_map>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"

namespace troupe::actors {

/// From an isr_desk to itself.
struct IsrDeskWakeup {
  enum class Kind : std::uint8_t { send, give_up };
  Kind kind;
  std::uint64_t token;  ///< of the request to give up
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::IsrDeskWakeup)

namespace troupe::actors {
namespace {

class IsrDeskState {
 public:
  using Self = caf::stateful_actor<IsrDeskState>;
  static constexpr const char* name = "isr_desk";

  caf::behavior make_behavior(Self* self, IsrDeskOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    row_->set_state(ActorState::running);
    return {
        [this](const ProposeIsr& proposal) { handle([&] { propose(proposal); }); },
        [this](const AlterPartitionsAnswered& answer) { handle([&] { answered(answer); }); },
        [this](const IsrDeskWakeup& wakeup) { handle([&] { on_wakeup(wakeup); }); },
    };
  }

 private:
  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now_of(*self_), mailbox_depth(*self_)};
    work();
  }

  void propose(const ProposeIsr& proposal) {
    if (const auto sent = sent_at_.find(proposal.partition); sent != sent_at_.end()) {
      const auto& one = sent_[sent->second];
      if (one.alter == proposal.alter && one.reply_to == proposal.reply_to) return;  // its answer is on the way
    }
    const auto [at, added] = pending_.insert_or_assign(proposal.partition, proposal);
    if (added) order_.push_back(proposal.partition);
    // Behind what waits in the mailbox: leaders that saw the same thing ask together.
    if (sent_.empty() && !std::exchange(turn_open_, true)) self_->send(self_, IsrDeskWakeup{IsrDeskWakeup::Kind::send, 0});
  }

  void send_next() {
    if (!sent_.empty() || order_.empty()) return;
    const auto image = options_.images->get();
    const auto* registration = image->find_broker(options_.node_id);
    metadata::AlterPartitionsRequest request{.broker = options_.node_id};
    if (registration != nullptr) request.broker_epoch = BrokerEpoch{registration->broker_epoch.value()};
    while (!order_.empty() && sent_.size() < options_.proposals_max) {
      const auto found = pending_.find(order_.front());
      order_.pop_front();
      auto proposal = std::move(found->second);
      pending_.erase(found);
      const auto& alter = proposal.alter;
      metadata::IsrProposal wanted{
          .partition = proposal.partition, .leader_epoch = alter.leader_epoch, .partition_epoch = alter.partition_epoch};
      for (const auto& member : alter.isr) wanted.isr.push_back({member.broker, member.broker_epoch});
      request.proposals.push_back(std::move(wanted));
      sent_at_.emplace(proposal.partition, sent_.size());
      sent_.push_back(std::move(proposal));
    }
    ++token_;
    self_->delayed_send(self_, std::chrono::milliseconds(options_.answer_ms_max),
                        IsrDeskWakeup{IsrDeskWakeup::Kind::give_up, token_});
    options_.ask_controller(std::move(request), token_, caf::actor_cast<caf::actor>(self_));
  }

  void answered(const AlterPartitionsAnswered& answered) {
    if (answered.token != token_ || sent_.empty()) return;  // of a request that was given up
    auto sent = std::move(sent_);
    forget_sent();
    if (answered.answer && answered.answer->size() == sent.size()) {
      for (std::size_t i = 0; i < sent.size(); ++i) {
        const auto& one = (*answered.answer)[i];
        self_->send(sent[i].reply_to,
                    IsrAnswered{sent[i].alter.request, one ? Result<replication::PartitionState>{partition_state_of(*one)}
                                                           : Result<replication::PartitionState>{one.error()}});
      }
    } else {
      row_->set_last_error(answered.answer ? "an answer to another request" : to_string(answered.answer.error()));
    }
    send_next();
  }

  void on_wakeup(const IsrDeskWakeup& wakeup) {
    if (wakeup.kind == IsrDeskWakeup::Kind::send) {
      turn_open_ = false;
      return send_next();
    }
    if (wakeup.token != token_ || sent_.empty()) return;
    forget_sent();
    send_next();
  }

  void forget_sent() {
    sent_.clear();
    sent_at_.clear();
  }

  Self* self_ = nullptr;
  IsrDeskOptions options_;
  ActorRowPtr row_;
  std::unordered_map<TopicIdPartition, ProposeIsr> pending_;
  std::deque<TopicIdPartition> order_;  ///< of `pending_`
  std::vector<ProposeIsr> sent_;        ///< in the request that is on its way; empty: there is none
  std::unordered_map<TopicIdPartition, std::size_t> sent_at_;
  std::uint64_t token_ = 0;  ///< of the last request
  bool turn_open_ = false;
};

caf::behavior isr_desk(IsrDeskState::Self* self, IsrDeskOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_isr_desk(caf::actor_system& system, IsrDeskOptions options, ActorRowPtr row) {
  return system.spawn(isr_desk, std::move(options), std::move(row));
}

replication::PartitionState partition_state_of(const metadata::PartitionImage& image) {
  return {.leader_epoch = image.leader_epoch,
          .partition_epoch = image.partition_epoch,
          .leader = image.leader,
          .replicas = image.replicas,
          .isr = image.isr,
          .eligible_leader_replicas = image.eligible_leader_replicas};
}

}  // namespace troupe::actors
