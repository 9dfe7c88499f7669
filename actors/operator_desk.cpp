#include "actors/operator_desk.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <unordered_map>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "core/operation/operator_calls.hpp"

namespace troupe::actors {

/// From operator_desk to itself.
struct OperatorWakeup {
  std::function<void()> work;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::OperatorWakeup)

namespace troupe::actors {
namespace {

using operation::QuorumCall;
using operation::TreeCall;
using quorum::QuorumReport;

/// Of one command: what a link and a turn of the controller take with ease.
constexpr std::size_t partitions_a_part = 500;
constexpr Millis retry_ms = 50;
constexpr Millis describe_ms_max = 2'000;
constexpr Millis tree_ms_max = 2'000;
constexpr Millis brokers_ms = 500;
/// A broker that has just come, or has just lost its vote, asks the leader to follow it within that.
constexpr Millis follow_ms_max = 3'000;

template <class T, class Request, class Make>
std::vector<metadata::ClusterRequest> in_parts(const Request& request, const std::vector<T>& all, Make make) {
  std::vector<metadata::ClusterRequest> parts;
  for (std::size_t from = 0; from < all.size(); from += partitions_a_part) {
    const auto to = std::min(all.size(), from + partitions_a_part);
    parts.emplace_back(make(request, std::vector<T>(all.begin() + static_cast<std::ptrdiff_t>(from),
                                                    all.begin() + static_cast<std::ptrdiff_t>(to))));
  }
  return parts;
}

struct Parts {
  std::vector<metadata::ClusterRequest> operator()(const metadata::DrainBrokerRequest& one) const { return {one}; }
  std::vector<metadata::ClusterRequest> operator()(const metadata::UnregisterBrokerRequest& one) const { return {one}; }
  std::vector<metadata::ClusterRequest> operator()(const metadata::ElectLeadersRequest& one) const {
    return in_parts(one, one.partitions, [](metadata::ElectLeadersRequest part, auto partitions) {
      part.partitions = std::move(partitions);
      return part;
    });
  }
  std::vector<metadata::ClusterRequest> operator()(const metadata::ReassignPartitionsRequest& one) const {
    return in_parts(one, one.reassignments,
                    [](const auto&, auto some) { return metadata::ReassignPartitionsRequest{std::move(some)}; });
  }
};

std::size_t partitions_of(const metadata::ClusterRequest& part) {
  if (const auto* elect = std::get_if<metadata::ElectLeadersRequest>(&part)) return elect->partitions.size();
  if (const auto* reassign = std::get_if<metadata::ReassignPartitionsRequest>(&part)) return reassign->reassignments.size();
  return 0;
}

/// A change under way.
struct Change {
  std::shared_ptr<ChangeClusterCall> call;
  std::vector<metadata::ClusterRequest> parts;
  std::size_t next = 0;
  metadata::ClusterAnswer sum;
};

/// A question to the quorum under way.
struct Question {
  std::shared_ptr<AskQuorumCall> call;
  MonotonicMs deadline;
  std::optional<MonotonicMs> missing_since = {};  ///< the leader does not know that broker
  std::optional<QuorumReport> began = {};         ///< as this node saw it then
  bool handed_over = false;

  const quorum::TransferLeadership* transfer() const { return std::get_if<quorum::TransferLeadership>(&call->request); }
  bool describes() const { return std::holds_alternative<quorum::DescribeQuorum>(call->request); }
};

/// Trees that are being gathered.
struct Gathering {
  std::shared_ptr<ActorTreesCall> call;
  std::vector<NodeTree> trees;
  std::size_t left = 0;
};

class OperatorDeskState {
 public:
  using Self = caf::stateful_actor<OperatorDeskState>;
  static constexpr const char* name = "operator_desk";

  caf::behavior make_behavior(Self* self, OperatorDeskOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    if (options_.links != nullptr) options_.links->serve(Channel::node, caf::actor_cast<caf::actor>(self_));
    row_->set_state(ActorState::running);
    return {
        [this](const std::shared_ptr<ChangeClusterCall>& call) { handle([&] { change(call); }); },
        [this](const std::shared_ptr<AskQuorumCall>& call) { handle([&] { ask(call); }); },
        [this](const std::shared_ptr<ActorTreesCall>& call) { handle([&] { gather(call); }); },
        [this](const PeerMessage& message) { handle([&] { serve(message); }); },
        [this](const PeerAnswer& answer) { handle([&] { called(answer); }); },
        [this](const PeerState& state) { handle([&] { on_state(state); }); },
        [this](const OperatorWakeup& wakeup) { handle(wakeup.work); },
    };
  }

 private:
  using QuestionPtr = std::shared_ptr<Question>;
  using Taker = std::function<void(const Result<Bytes>&)>;

  template <class Work>
  void handle(const Work& work) {
    const Handling handling{*row_, now(), mailbox_depth(*self_)};
    work();
  }
  MonotonicMs now() const { return now_of(*self_); }

  static Error no_metadata() {
    return {Errc::leader_not_available, "this node's metadata is not available now: nothing was changed, retry"};
  }

  // --- other nodes

  void call(BrokerId to, const operation::OperatorCall& what, Millis timeout_ms, Taker taker) {
    if (options_.links == nullptr) {
      return taker(Error{Errc::broker_not_available, "this node has no links to other nodes"});
    }
    const auto token = ++last_token_;
    open_.emplace(token, std::move(taker));
    options_.links->call(to, Channel::node, Bytes::adopt(operation::encode_call(what)), timeout_ms, token,
                         caf::actor_cast<caf::actor>(self_));
  }
  void called(const PeerAnswer& answer) {
    const auto at = open_.find(answer.token);
    if (at == open_.end()) return;
    const auto taker = std::move(at->second);
    open_.erase(at);
    taker(answer.answer);
  }

  void serve(const PeerMessage& message) {
    if (message.call == 0) return;
    auto asked = operation::decode_call(message.payload);
    if (!asked) return options_.links->answer(message, asked.error());
    auto from = message;
    from.payload = {};
    if (const auto* about = std::get_if<QuorumCall>(&*asked)) {
      const bool describes = std::holds_alternative<quorum::DescribeQuorum>(about->request);
      return ask_here(about->request, about->timeout_ms, [this, from, describes](const Result<QuorumReport>& report) {
        if (!report) return options_.links->answer(from, report.error());
        if (describes && !report->leads()) {
          return options_.links->answer(from, Error{Errc::not_controller, "this node does not lead the metadata quorum"});
        }
        options_.links->answer(from, Bytes::adopt(operation::encode_report(*report)));
      });
    }
    if (std::holds_alternative<operation::BrokersCall>(*asked)) {
      return options_.links->answer(from, Bytes::adopt(operation::encode_brokers(options_.images->get()->brokers())));
    }
    options_.links->answer(from, Bytes::adopt(operation::encode_tree(options_.actor_tree())));
  }

  // --- joining

  /// A node that was told of one other knows nobody else: without the addresses it would never reach the controller.
  void on_state(const PeerState& state) {
    if (state.up && options_.on_brokers && looked_at_.insert(state.id).second) look_for_brokers(state.id);
  }
  void look_for_brokers(BrokerId peer) {
    if (!options_.images->get()->registrations().empty()) return;
    call(peer, operation::BrokersCall{}, describe_ms_max, [this, peer](const Result<Bytes>& answer) {
      if (!answer && answer.error().code == Errc::broker_not_available) {
        looked_at_.erase(peer);  // it will be told that it is up again
        return;
      }
      if (answer) {
        if (const auto brokers = operation::decode_brokers(*answer); brokers && !brokers->empty())
          options_.on_brokers(*brokers);
      }
      self_->delayed_send(self_, std::chrono::milliseconds(brokers_ms),
                          OperatorWakeup{[this, peer] { look_for_brokers(peer); }});
    });
  }

  // --- changes

  void change(const std::shared_ptr<ChangeClusterCall>& call) {
    const auto* leaver = std::get_if<metadata::UnregisterBrokerRequest>(&call->request);
    if (leaver != nullptr && std::ranges::count(options_.images->voters(), leaver->broker) > 0) {
      return call->reply(Error{
          Errc::conflict, "broker " + to_string(leaver->broker) + " votes in the metadata quorum: remove that vote first"});
    }
    change_on(std::make_shared<Change>(Change{call, std::visit(Parts{}, call->request), 0, {}}));
  }

  void change_on(const std::shared_ptr<Change>& change) {
    if (change->next == change->parts.size()) return change->call->reply(std::move(change->sum));
    const auto quorum = options_.metadata_quorum();
    if (!quorum) return part_failed(change, no_metadata());
    // Somewhat longer than the request's own time: its answer says more than that there was none.
    const std::chrono::milliseconds patience{options_.timeout_ms + 1'000};
    self_->request(quorum, patience, ChangeCluster{change->parts[change->next], options_.timeout_ms})
        .then(
            [this, change](const ClusterChanged& changed) {
              handle([&] {
                auto& sum = change->sum;
                const auto& part = *changed.answer;
                sum.partitions.insert(sum.partitions.end(), part.partitions.begin(), part.partitions.end());
                sum.unclean.insert(sum.unclean.end(), part.unclean.begin(), part.unclean.end());
                sum.moved += part.moved;
                sum.left += part.left;
                ++change->next;
                change_on(change);
              });
            },
            [this, change](const caf::error& error) { handle([&] { part_failed(change, from_caf_error(error)); }); });
  }

  /// What was done before has its answers; the rest has this one.
  static void part_failed(const std::shared_ptr<Change>& change, const Error& error) {
    if (change->next == 0) return change->call->reply(error);
    for (; change->next < change->parts.size(); ++change->next) {
      change->sum.partitions.insert(change->sum.partitions.end(), partitions_of(change->parts[change->next]), error);
    }
    change->call->reply(std::move(change->sum));
  }

  // --- the quorum

  template <class Then>
  void ask_here(const quorum::QuorumRequest& request, Millis timeout_ms, Then then) {
    const auto quorum = options_.metadata_quorum();
    if (!quorum) return then(Result<QuorumReport>{no_metadata()});
    self_->request(quorum, std::chrono::milliseconds(timeout_ms), AskQuorum{request})
        .then([this, then](const QuorumAnswered& said) { handle([&] { then(Result<QuorumReport>{*said.report}); }); },
              [this, then](const caf::error& error) { handle([&] { then(Result<QuorumReport>{from_caf_error(error)}); }); });
  }

  void ask(const std::shared_ptr<AskQuorumCall>& call) {
    const auto image = options_.images->get();
    const auto voters = options_.images->voters();
    const auto known = [&](BrokerId id) { return image->find_broker(id) != nullptr || std::ranges::count(voters, id) > 0; };
    const auto* add = std::get_if<quorum::AddVoter>(&call->request);
    const auto* remove = std::get_if<quorum::RemoveVoter>(&call->request);
    const auto about = add != nullptr ? add->broker : remove != nullptr ? remove->broker : options_.node_id;
    if (about != options_.node_id && !known(about)) {
      return call->reply(Error{Errc::not_found, "there is no broker " + to_string(about)});
    }
    const bool describes = std::holds_alternative<quorum::DescribeQuorum>(call->request);
    const auto patience = add != nullptr ? options_.catch_up_ms : describes ? describe_ms_max : options_.timeout_ms;
    look(std::make_shared<Question>(Question{call, now() + patience}));
  }

  /// First where the leader is; a leadership that was handed over has come to its end when another one is known.
  void look(const QuestionPtr& question) {
    ask_here(quorum::DescribeQuorum{}, describe_ms_max, [this, question](const Result<QuorumReport>& report) {
      report ? seen(question, *report) : again(question, report.error());
    });
  }

  void seen(const QuestionPtr& question, const QuorumReport& report) {
    if (!question->began) question->began = report;
    if (const auto* transfer = question->transfer(); transfer != nullptr && report.leader != no_broker) {
      const auto& began = *question->began;
      const bool another = report.epoch > began.epoch && report.leader != began.leader;
      if (report.leader == transfer->to || (transfer->to == no_broker && another)) return question->call->reply(report);
      if (question->handed_over && another) {
        return question->call->reply(Error{Errc::leader_not_available, "node " + to_string(report.leader) +
                                                                           " was elected in place of node " +
                                                                           to_string(transfer->to) + ": try again"});
      }
    }
    if (question->describes() && (report.leads() || report.leader == no_broker)) return question->call->reply(report);
    if (question->handed_over) {
      return again(question,
                   {Errc::request_timed_out, "the leadership was handed over, who has it now is not known: ask again"});
    }
    if (report.leader == no_broker) {
      return again(question, {Errc::leader_not_available, "the metadata quorum has no leader now: nothing was changed"});
    }
    const auto left_ms = std::max(Millis{1}, question->deadline - now());
    if (report.leads()) {
      return ask_here(question->call->request, left_ms,
                      [this, question](const Result<QuorumReport>& outcome) { answered(question, outcome); });
    }
    const auto timeout_ms = question->describes() ? describe_ms_max : left_ms;
    call(report.leader, QuorumCall{question->call->request, timeout_ms}, timeout_ms,
         [this, question, report](const Result<Bytes>& answer) {
           auto outcome = [&]() -> Result<QuorumReport> {
             TROUPE_TRY(answer);
             return operation::decode_report(*answer);
           }();
           if (!outcome && question->describes()) return question->call->reply(report);
           answered(question, outcome);
         });
  }

  void answered(const QuestionPtr& question, const Result<QuorumReport>& outcome) {
    if (outcome && question->transfer() != nullptr) {
      question->handed_over = true;
      return look(question);
    }
    if (outcome) return question->call->reply(*outcome);
    switch (outcome.error().code) {
      case Errc::not_found:
        if (!question->missing_since) question->missing_since = now();
        if (now() - *question->missing_since >= follow_ms_max) return question->call->reply(outcome.error());
        return again(question, outcome.error());
      case Errc::leader_not_available:
        // Nobody took over: that is the answer. Others wait until the leader is ready.
        if (question->transfer() != nullptr) return question->call->reply(outcome.error());
        return again(question, outcome.error());
      case Errc::not_controller:
      case Errc::not_leader_or_follower:
      case Errc::broker_not_available: return again(question, outcome.error());
      default: return question->call->reply(outcome.error());
    }
  }

  /// Each request may be asked again: the second time it finds done what the first did.
  void again(const QuestionPtr& question, const Error& why) {
    if (now() + retry_ms < question->deadline) {
      self_->delayed_send(self_, std::chrono::milliseconds(retry_ms), OperatorWakeup{[this, question] { look(question); }});
      return;
    }
    question->call->reply(why);
  }

  // --- actors

  void gather(const std::shared_ptr<ActorTreesCall>& call) {
    const auto image = options_.images->get();
    auto nodes = call->nodes;
    if (nodes.empty()) {
      for (const auto& broker : image->brokers()) nodes.push_back(broker.id);
      if (std::ranges::count(nodes, options_.node_id) == 0) nodes.push_back(options_.node_id);
    }
    const auto gathering = std::make_shared<Gathering>(Gathering{call, {}, nodes.size()});
    for (const auto node : nodes) gathering->trees.push_back({.node = node});
    for (std::size_t i = 0; i < nodes.size(); ++i) {
      const auto take = [gathering, i](Result<std::vector<ActorInfo>> actors) {
        gathering->trees[i].actors = std::move(actors);
        if (--gathering->left == 0) gathering->call->reply(std::move(gathering->trees));
      };
      if (nodes[i] == options_.node_id) {
        take(options_.actor_tree());
      } else if (image->find_broker(nodes[i]) == nullptr) {
        take(Error{Errc::not_found, "there is no broker " + to_string(nodes[i])});
      } else {
        this->call(nodes[i], TreeCall{}, tree_ms_max, [take](const Result<Bytes>& answer) {
          answer ? take(operation::decode_tree(*answer)) : take(answer.error());
        });
      }
    }
  }

  Self* self_ = nullptr;
  OperatorDeskOptions options_;
  ActorRowPtr row_;
  std::uint64_t last_token_ = 0;
  std::set<BrokerId> looked_at_;                   ///< while this node has no metadata
  std::unordered_map<std::uint64_t, Taker> open_;  ///< calls to other nodes
};

caf::behavior operator_desk(OperatorDeskState::Self* self, OperatorDeskOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_operator_desk(caf::actor_system& system, OperatorDeskOptions options, ActorRowPtr row) {
  return system.spawn(operator_desk, std::move(options), std::move(row));
}

}  // namespace troupe::actors
