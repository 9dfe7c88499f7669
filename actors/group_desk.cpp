#include "actors/group_desk.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <unordered_map>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "base/log.hpp"
#include "core/group/group_place.hpp"
#include "core/link/packet.hpp"

namespace troupe::actors {

/// From group_desk to itself.
struct GroupDeskTick {};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::GroupDeskTick)

namespace troupe::actors {
namespace {

constexpr Millis retry_ms = 25;
constexpr auto tick_pause = std::chrono::milliseconds(25);
/// A join may wait for the longest rebalance timeout, an hour.
constexpr Millis timeout_ms_max = 3'660'000;
constexpr Millis make_again_ms = 500;
/// A cluster that starts has not all of its nodes yet: the topic waits for them that long, then it has fewer replicas.
constexpr Millis all_replicas_ms = 3'000;
constexpr auto create_timeout = std::chrono::seconds(35);

/// A call of this node's that waits for its answer.
struct OpenCall {
  GroupCallPtr call;
  Bytes encoded;
  Reply<group::GroupAnswer> reply;
  MonotonicMs deadline;
  bool asked = false;             ///< an attempt is on its way
  bool may_be_done = false;       ///< an earlier one may have done it
  std::optional<Error> why = {};  ///< the last attempt failed
};

/// Lists that are gathered from all coordinators.
struct Gathering {
  Reply<GroupListings> reply;
  GroupListings sum = {};
  std::int32_t left = group::offsets_partitions;
};

class GroupDeskState {
 public:
  using Self = caf::stateful_actor<GroupDeskState>;
  static constexpr const char* name = "group_desk";

  caf::behavior make_behavior(Self* self, GroupDeskOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    if (options_.links != nullptr) options_.links->serve(Channel::group, handle_of_self());
    row_->set_state(ActorState::running);
    return {
        [this](const std::shared_ptr<GroupApiCall>& call) { handle([&] { take(*call); }); },
        [this](const std::shared_ptr<ListGroupsCall>& call) { handle([&] { list(*call); }); },
        [this](const CoordinatorAnswered& answer) { handle([&] { answered(answer); }); },
        [this](const PeerMessage& message) { handle([&] { serve(message); }); },
        [this](const PeerAnswer& answer) { handle([&] { answered(answer); }); },
        [this](const PeerState& state) { handle([&] { on_state(state); }); },
        [this](const MembersNews& news) { handle([&] { tell(news); }); },
        [this](const GroupDeskTick&) { handle([&] { tick(); }); },
    };
  }

 private:
  using Calls = std::unordered_map<std::uint64_t, OpenCall>;
  using Answer = Result<group::GroupAnswer>;

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now(), mailbox_depth(*self_)};
    work();
  }
  MonotonicMs now() const { return now_of(*self_); }
  caf::actor handle_of_self() const { return caf::actor_cast<caf::actor>(self_); }

  // --- calls of this node

  void take(GroupApiCall& call) { open(std::move(call.call), call.timeout_ms, std::move(call.reply)); }

  void open(group::GroupCall call, Millis timeout_ms, Reply<group::GroupAnswer> reply) {
    auto encoded = Bytes::adopt(group::encode_call(call));
    if (encoded.size() > options_.call_bytes_max) {
      return reply(Error{Errc::message_too_large, "a call to a group's coordinator has " + std::to_string(encoded.size()) +
                                                      " bytes, more than " + std::to_string(options_.call_bytes_max)});
    }
    if (calls_.size() >= options_.calls_max || bytes_ + encoded.size() > options_.bytes_max) {
      return reply(Error{Errc::overloaded, std::to_string(calls_.size()) + " calls of " + std::to_string(bytes_) +
                                               " bytes wait for coordinators of groups: nothing was done, retry later"});
    }
    bytes_ += encoded.size();
    const auto token = ++last_token_;
    const auto deadline = now() + std::clamp<Millis>(timeout_ms, 1, timeout_ms_max);
    const auto at = calls_
                        .emplace(token, OpenCall{std::make_shared<const group::GroupCall>(std::move(call)),
                                                 std::move(encoded), std::move(reply), deadline})
                        .first;
    deadlines_.emplace(deadline, token);
    attempt(at);
    keep_ticking();
  }

  void end(Calls::iterator at, Answer answer) {
    auto& [token, call] = *at;
    bytes_ -= call.encoded.size();
    deadlines_.erase({call.deadline, token});
    auto reply = std::move(call.reply);
    calls_.erase(at);
    reply(std::move(answer));
  }

  void wait(Calls::iterator at, Error why) {
    at->second.asked = false;
    at->second.why = std::move(why);
    retries_.emplace(now() + retry_ms, at->first);
  }

  void attempt(Calls::iterator at) {
    auto& [token, call] = *at;
    const auto image = options_.images->get();
    const auto topic = image->find_topic(group::offsets_topic);
    const auto partition = group::partition_of(*call.call);
    const auto what = "partition " + to_string(partition) + " of " + std::string(group::offsets_topic);
    if (!topic) return without_topic(at, *image);
    if (partition.value() >= topic->partition_count()) {
      return end(at, Error{Errc::coordinator_not_available, "there is no " + what});
    }
    const auto leader = topic->partitions[static_cast<std::size_t>(partition.value())].leader;
    if (leader == no_broker) return wait(at, {Errc::coordinator_not_available, what + " has no leader now"});
    if (leader == options_.node_id) {
      const auto coordinator = options_.directory->find(partition);
      if (!coordinator) return wait(at, {Errc::coordinator_load_in_progress, "the coordinator on this node begins"});
      call.asked = true;
      return send(coordinator, options_.node_id, call.call, token);
    }
    if (options_.links == nullptr) return wait(at, {Errc::coordinator_not_available, "there are no links to other nodes"});
    call.asked = true;
    options_.links->call(leader, Channel::group, call.encoded, std::max<Millis>(1, call.deadline - now()), token,
                         handle_of_self());
  }

  void send(const caf::actor& coordinator, BrokerId from, GroupCallPtr call, std::uint64_t token) {
    self_->send(coordinator,
                CoordinatorCall{from, std::move(call), std::make_shared<CoordinatorTicket>(handle_of_self(), token)});
  }

  void answered(const PeerAnswer& answer) {
    if (!answer.answer) return answered(answer.token, answer.answer.error());
    answered(answer.token, group::decode_answer(answer.answer->view()));
  }

  void answered(const CoordinatorAnswered& answer) {
    const auto served = served_.find(answer.token);
    if (served == served_.end()) return answered(answer.token, answer.answer);
    const auto asked = std::move(served->second);
    served_.erase(served);
    if (!answer.answer) return options_.links->answer(asked, answer.answer.error());
    auto encoded = Bytes::adopt(group::encode_answer(*answer.answer));
    if (encoded.size() > link::payload_bytes_max) {
      return options_.links->answer(asked, Error{Errc::message_too_large, "the coordinator's answer has " +
                                                                              std::to_string(encoded.size()) + " bytes"});
    }
    options_.links->answer(asked, std::move(encoded));
  }

  void answered(std::uint64_t token, Answer answer) {
    const auto at = calls_.find(token);
    if (at == calls_.end() || !at->second.asked) return;
    if (answer) return end(at, std::move(answer));
    switch (answer.error().code) {
      case Errc::not_coordinator:
      case Errc::coordinator_load_in_progress:
      case Errc::coordinator_not_available:
      case Errc::broker_not_available: return wait(at, std::move(answer).error());
      case Errc::leadership_lost:
      case Errc::request_timed_out:
        if (!group::is_repeatable(*at->second.call)) {
          return end(at, Error{Errc::request_timed_out, answer.error().message});
        }
        at->second.may_be_done = true;
        return wait(at, std::move(answer).error());
      default: return end(at, std::move(answer));
    }
  }

  void tick() {
    ticking_ = false;
    const auto time = now();
    while (!deadlines_.empty() && deadlines_.begin()->first <= time) expire(calls_.find(deadlines_.begin()->second));
    while (!retries_.empty() && retries_.begin()->first <= time) {
      const auto token = retries_.begin()->second;
      retries_.erase(retries_.begin());
      if (const auto at = calls_.find(token); at != calls_.end()) attempt(at);
    }
    keep_ticking();
  }

  void expire(Calls::iterator at) {
    const auto& call = at->second;
    if ((call.asked || call.may_be_done) && !group::is_question(*call.call)) {
      return end(at,
                 Error{Errc::request_timed_out, "the group's coordinator did not answer in time: the outcome is unknown"});
    }
    end(at, Error{Errc::coordinator_not_available,
                  call.why ? "nothing was done: " + call.why->message : "the group's coordinator did not answer in time"});
  }

  void keep_ticking() {
    if (!calls_.empty() && !std::exchange(ticking_, true)) self_->delayed_send(self_, tick_pause, GroupDeskTick{});
  }

  // --- lists

  void list(ListGroupsCall& call) {
    const auto gathering = std::make_shared<Gathering>(Gathering{std::move(call.reply)});
    for (std::int32_t number = 0; number < group::offsets_partitions; ++number) {
      const PartitionId partition{number};
      open(group::ListRequest{partition}, call.timeout_ms, Reply<group::GroupAnswer>{[gathering, partition](Answer answer) {
             auto* groups = answer ? std::get_if<std::vector<group::GroupListing>>(&*answer) : nullptr;
             auto& sum = gathering->sum;
             if (groups != nullptr) {
               std::ranges::move(*groups, std::back_inserter(sum.groups));
             } else {
               sum.silent.push_back(partition);
             }
             if (--gathering->left > 0) return;
             std::ranges::sort(sum.groups, {}, &group::GroupListing::group);
             std::ranges::sort(sum.silent);
             gathering->reply(std::move(sum));
           }});
    }
  }

  // --- the topic

  void without_topic(Calls::iterator at, const metadata::MetadataImage& image) {
    if (image.registrations().empty()) {
      return wait(at, {Errc::coordinator_not_available, "this node does not know its cluster yet"});
    }
    const auto call = at->second.call;
    if (group::is_question(*call)) {
      // As a coordinator without groups says.
      group::GroupCoordinator nobody({}, options_.images->get());
      group::Turn turn;
      return end(at, group::answer_call(nobody, *call, no_broker, {}, turn));
    }
    make_topic(image);
    wait(at, {Errc::coordinator_not_available, std::string(group::offsets_topic) + " does not exist yet"});
  }

  void make_topic(const metadata::MetadataImage& image) {
    const auto time = now();
    if (making_ || time < make_after_) return;
    const auto quorum = options_.metadata_quorum();
    if (!quorum) return;
    making_ = true;
    if (!made_first_at_) made_first_at_ = time;
    const auto there = image.registrations().size();
    const bool patient = time - *made_first_at_ < all_replicas_ms;
    const auto brokers = patient ? std::max(there, options_.images->voters().size()) : there;
    CreateTopicRequest request;
    request.name = std::string(group::offsets_topic);
    request.partitions = group::offsets_partitions;
    request.replication_factor = static_cast<std::int32_t>(std::min<std::size_t>(brokers, group::offsets_replicas_max));
    request.config = {{"cleanup.policy", "compact"}, {"retention.ms", "-1"}, {"segment.bytes", "104857600"}};
    request.internal = true;
    self_->request(quorum, create_timeout, CreateTopic{std::move(request), Caller::system, 10'000})
        .then(
            [this](const TopicAnswer& made) {
              handle([&] {
                making_ = false;
                log::info("topic of the groups made", {log::kv("partitions", made.topic->partition_count())});
              });
            },
            [this](const caf::error& failed) {
              handle([&] {
                making_ = false;
                make_after_ = now() + make_again_ms;
                const auto error = from_caf_error(failed);
                if (error.code == Errc::topic_already_exists) return;
                log::warn("the topic of the groups could not be made", {log::kv("error", error)});
              });
            });
  }

  // --- other nodes

  void serve(const PeerMessage& message) {
    if (message.call == 0) {
      if (const auto members = group::decode_news(message.payload.view())) options_.listeners->tell(*members);
      return;
    }
    auto call = group::decode_call(message.payload.view());
    if (!call) return options_.links->answer(message, call.error());
    if (served_.size() >= options_.calls_max) {
      return options_.links->answer(
          message, Error{Errc::overloaded, std::to_string(served_.size()) + " calls of other nodes wait here: retry later"});
    }
    const auto coordinator = options_.directory->find(group::partition_of(*call));
    if (!coordinator) {
      return options_.links->answer(message, Error{Errc::not_coordinator, "this node does not coordinate the group (now)"});
    }
    const auto token = ++last_token_;
    auto asked = message;
    asked.payload = {};
    served_.emplace(token, std::move(asked));
    send(coordinator, message.from, std::make_shared<const group::GroupCall>(*std::move(call)), token);
  }

  void on_state(const PeerState& state) {
    if (state.up || !state.refused) return;  // a link that is cut may come back; a process that is gone does not
    for (const auto& one : options_.directory->all()) self_->send(one.coordinator, GroupNodeLost{state.id});
  }

  void tell(const MembersNews& news) {
    if (news.node == options_.node_id) return options_.listeners->tell(news.members);
    if (options_.links != nullptr) {
      options_.links->send(news.node, Channel::group, Bytes::adopt(group::encode_news(news.members)));
    }
  }

  Self* self_ = nullptr;
  GroupDeskOptions options_;
  ActorRowPtr row_;
  std::uint64_t last_token_ = 0;
  Calls calls_;
  std::size_t bytes_ = 0;
  std::set<std::pair<MonotonicMs, std::uint64_t>> deadlines_;
  std::set<std::pair<MonotonicMs, std::uint64_t>> retries_;
  bool ticking_ = false;
  std::unordered_map<std::uint64_t, PeerMessage> served_;  ///< without their payloads
  bool making_ = false;
  MonotonicMs make_after_{0};
  std::optional<MonotonicMs> made_first_at_;
};

caf::behavior group_desk(GroupDeskState::Self* self, GroupDeskOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_group_desk(caf::actor_system& system, GroupDeskOptions options, ActorRowPtr row) {
  return system.spawn(group_desk, std::move(options), std::move(row));
}

}  // namespace troupe::actors
