#include <algorithm>

#include "core/metadata/metadata_machine.hpp"

/// Where a command goes, and its end.
namespace troupe::metadata {
namespace {

constexpr int redirects_max = 3;

/// Of alter and delete: the topic that they are about.
const std::string* named_topic(const MetadataCommand& command) {
  if (const auto* one = std::get_if<AlterTopicCommand>(&command)) return &one->request.name;
  if (const auto* one = std::get_if<DeleteTopicCommand>(&command)) return &one->name;
  return nullptr;
}

bool only_validates(const MetadataCommand& command) {
  if (const auto* one = std::get_if<CreateTopicCommand>(&command)) return one->request.validate_only;
  if (const auto* one = std::get_if<AlterTopicCommand>(&command)) return one->request.validate_only;
  return false;
}

}  // namespace

MetadataEffects MetadataMachine::submit(std::uint64_t token, MetadataCommand command, MonotonicMs deadline,
                                        MonotonicMs now) {
  TROUPE_ASSERT(token != own_registration && !pending_.contains(token));
  now_ = now;
  MetadataEffects effects;
  if (pending_.size() >= options_.requests_max) {
    effects.emplace_back(AnswerMetadata{
        token, Error{Errc::overloaded, std::to_string(pending_.size()) + " changes of metadata wait already: try again"}});
    return effects;
  }
  add(token, std::move(command), deadline, false);
  route(token, pending_.at(token), effects);
  return effects;
}

MetadataEffects MetadataMachine::submit_of_peer(std::uint64_t token, MetadataCommand command, MonotonicMs deadline,
                                                MonotonicMs now) {
  TROUPE_ASSERT(token != own_registration && !pending_.contains(token));
  now_ = now;
  MetadataEffects effects;
  if (!leads()) {
    effects.emplace_back(AnswerPeer{token, NotController{leader_}});
  } else if (pending_.size() >= options_.requests_max) {
    effects.emplace_back(AnswerPeer{
        token, CommandRefused{
                   applied_,
                   {Errc::overloaded, std::to_string(pending_.size()) + " changes of metadata wait already: try again"}}});
  } else {
    add(token, std::move(command), deadline, true);
    route(token, pending_.at(token), effects);
  }
  return effects;
}

void MetadataMachine::add(std::uint64_t token, MetadataCommand command, MonotonicMs deadline, bool of_peer) {
  auto* create = std::get_if<CreateTopicCommand>(&command);
  if (create != nullptr && create->topic_id.is_nil()) create->topic_id = options_.new_uuid();
  std::optional<TopicSeen> before;
  if (const auto* name = named_topic(command); name != nullptr && !of_peer) {
    if (const auto topic = image_->find_topic(*name)) before = seen(*topic);
  }
  std::optional<ClusterSeen> cluster_before;
  if (const auto* cluster = std::get_if<ClusterCommand>(&command); cluster != nullptr && !of_peer) {
    cluster_before = seen(*image_, cluster->request);
  }
  pending_.emplace(token, Pending{.command = std::move(command),
                                  .deadline = deadline,
                                  .since = now_,
                                  .of_peer = of_peer,
                                  .before = std::move(before),
                                  .cluster_before = std::move(cluster_before)});
  if (token != own_registration) deadlines_.emplace(deadline, token);
}

/// `pending` may be gone afterwards.
void MetadataMachine::route(std::uint64_t token, Pending& pending, MetadataEffects& effects) {
  waiting_.erase(token);
  if (deciding_) {
    if (disk_full_ && token != own_registration) return refuse(token, *disk_full_, effects);
    pending.stage = Stage::queued;
    token == own_registration ? queue_.push_front(token) : queue_.push_back(token);
    return want_turn(effects);
  }
  if (leads() || (leader_ == BrokerId{-1} && !pending.of_peer)) return wait(token, pending);
  if (pending.of_peer) return redirect(token, effects);
  if (ready_ && only_validates(pending.command)) {
    ImageBuilder as_it_is{image_};
    return finish(token, decide(as_it_is, pending.command)->verdict, effects);
  }
  call(token, pending, leader_, effects);
}

void MetadataMachine::route_waiting(MetadataEffects& effects) {
  for (const auto token : std::exchange(waiting_, {})) {
    if (const auto at = pending_.find(token); at != pending_.end()) route(token, at->second, effects);
  }
}

void MetadataMachine::wait(std::uint64_t token, Pending& pending) {
  const bool had_controller =
      pending.stage == Stage::queued || pending.stage == Stage::sent || pending.stage == Stage::confirming;
  if (had_controller) pending.since = now_;
  pending.stage = Stage::waiting;
  waiting_.insert(token);
}

void MetadataMachine::retry_later(std::uint64_t token, Pending& pending) {
  pending.redirects = 0;
  wait(token, pending);
  if (!retry_at_) retry_at_ = now_ + options_.retry_ms;
}

void MetadataMachine::call(std::uint64_t token, Pending& pending, BrokerId controller, MetadataEffects& effects) {
  pending.stage = Stage::called;
  pending.asked = controller;
  pending.call = ++last_call_;
  calls_.emplace(pending.call, token);
  auto timeout = token == own_registration ? options_.call_ms_max : std::max(Millis{1}, pending.deadline - now_);
  if (may_repeat(pending)) timeout = std::min(timeout, options_.call_ms_max);
  effects.emplace_back(CallController{pending.call, controller, pending.command, timeout});
}

MetadataEffects MetadataMachine::called(std::uint64_t call, const Result<CommandAnswer>& answer, MonotonicMs now) {
  now_ = now;
  MetadataEffects effects;
  const auto at = calls_.find(call);
  if (failed_ || at == calls_.end()) return effects;
  const auto token = at->second;
  calls_.erase(at);
  auto& pending = pending_.at(token);
  if (answer) {
    settle_answer(token, pending, *answer, effects);
  } else if (answer.error().code == Errc::broker_not_available) {
    retry_later(token, pending);
  } else if (answer.error().code == Errc::message_too_large) {
    settle_answer(token, pending, CommandRefused{applied_, answer.error()}, effects);
  } else {
    end_attempt(token, pending, answer.error(), effects);
  }
  return effects;
}

/// Nobody knows what became of it.
void MetadataMachine::end_attempt(std::uint64_t token, Pending& pending, const Error& error, MetadataEffects& effects) {
  calls_.erase(pending.call);
  if (!prepare_repeat(pending)) {
    return finish(
        token, Error{Errc::request_timed_out, "the controller has not answered, the outcome is unknown: " + error.message},
        effects);
  }
  pending.uncertain = true;
  retry_later(token, pending);
}

Error MetadataMachine::as_refused(const Pending& pending, const Error& error) {
  if (!pending.uncertain) return error;
  return {Errc::request_timed_out,
          "whether an earlier attempt succeeded is unknown, the last one was refused: " + error.message};
}

void MetadataMachine::refuse(std::uint64_t token, const Error& error, MetadataEffects& effects) {
  finish(token, as_refused(pending_.at(token), error), effects);
}

/// An election that may cost records: the second time it could cost others.
bool is_unclean(const MetadataCommand& command) {
  const auto* cluster = std::get_if<ClusterCommand>(&command);
  const auto* elect = cluster == nullptr ? nullptr : std::get_if<ElectLeadersRequest>(&cluster->request);
  return elect != nullptr && elect->unclean;
}

/// An attempt of which nobody knows the end can be told from the next one, or changes nothing that the next one would not.
bool MetadataMachine::may_repeat(const Pending& pending) {
  if (is_unclean(pending.command)) return false;
  return named_topic(pending.command) == nullptr || pending.before.has_value();
}

bool MetadataMachine::prepare_repeat(Pending& pending) {
  if (auto* create = std::get_if<CreateTopicCommand>(&pending.command)) {
    if (create->earlier_ids.size() >= command_attempts_max) return false;
    create->earlier_ids.push_back(create->topic_id);
    create->topic_id = options_.new_uuid();
  }
  if (auto* alter = std::get_if<AlterTopicCommand>(&pending.command)) alter->before = pending.before;
  if (auto* one = std::get_if<DeleteTopicCommand>(&pending.command)) one->before = pending.before;
  if (auto* one = std::get_if<ClusterCommand>(&pending.command)) one->before = pending.cluster_before;
  return may_repeat(pending);
}

// --- without a controller

/// Commands wait in the order in which they came. One that may have been done is not given up: the log may show it yet.
std::optional<MonotonicMs> MetadataMachine::next_given_up() const {
  for (const auto token : waiting_) {
    const auto& pending = pending_.at(token);
    if (token == own_registration || pending.uncertain) continue;
    const auto since = leaderless_since_ ? std::min(pending.since, *leaderless_since_) : pending.since;
    return since + options_.no_controller_ms;
  }
  return std::nullopt;
}

void MetadataMachine::give_up_waiting(MetadataEffects& effects) {
  const auto tokens = waiting_;
  for (const auto token : tokens) {
    const auto& pending = pending_.at(token);
    if (token == own_registration || pending.uncertain) continue;
    const auto since = leaderless_since_ ? std::min(pending.since, *leaderless_since_) : pending.since;
    if (since + options_.no_controller_ms > now_) return;
    const auto why = leaderless_since_ ? "there has been no controller for " + std::to_string(now_ - *leaderless_since_) +
                                             " ms: fewer than half of the voters can be reached"
                                       : "the controller, node " + to_string(leader_) + ", could not be asked for " +
                                             std::to_string(now_ - pending.since) + " ms";
    finish(token, Error{Errc::leader_not_available, why + "; nothing was changed, try again"}, effects);
  }
}

/// `pending` may be gone afterwards.
void MetadataMachine::settle_answer(std::uint64_t token, Pending& pending, CommandAnswer answer, MetadataEffects& effects) {
  if (const auto* elsewhere = std::get_if<NotController>(&answer)) {
    const auto next = elsewhere->controller;
    const bool heard_of = next != BrokerId{-1} && next != options_.broker.id && next != pending.asked;
    if (deciding_ || !heard_of || ++pending.redirects > redirects_max) return retry_later(token, pending);
    return call(token, pending, next, effects);
  }
  auto* refused = std::get_if<CommandRefused>(&answer);
  if (refused != nullptr && token != own_registration) refused->error = as_refused(pending, refused->error);
  pending.stage = Stage::applying;
  applying_.emplace(refused != nullptr ? refused->applied : std::get<CommandDone>(answer).applied, token);
  pending.answer = std::move(answer);
  settle_applied(effects);
}

/// Answers what rests on nothing that this node has not applied.
void MetadataMachine::settle_applied(MetadataEffects& effects) {
  while (!applying_.empty() && applying_.begin()->first <= applied_) {
    const auto token = applying_.begin()->second;
    applying_.erase(applying_.begin());
    const auto at = pending_.find(token);
    if (at == pending_.end()) continue;
    const auto answer = std::move(at->second.answer);
    show(effects);
    if (token == own_registration) {
      registration_answered(answer, effects);
    } else if (const auto* refused = std::get_if<CommandRefused>(&answer)) {
      finish(token, refused->error, effects);
    } else {
      const auto& done = std::get<CommandDone>(answer);
      const auto* topic = std::get_if<TopicId>(&done.result);
      MetadataAnswer mine{done.result, topic != nullptr ? image_->find_topic(*topic) : TopicPtr{}};
      if (topic != nullptr && !mine.topic && !at->second.of_peer) {
        finish(token, Error{Errc::unknown_topic_or_partition, "done, and the topic was deleted since"}, effects);
      } else {
        finish(token, std::move(mine), effects);
      }
    }
  }
}

void MetadataMachine::finish(std::uint64_t token, Result<MetadataAnswer> answer, MetadataEffects& effects) {
  const auto at = pending_.find(token);
  if (at == pending_.end()) return;
  const bool of_peer = at->second.of_peer;
  calls_.erase(at->second.call);
  deadlines_.erase({at->second.deadline, token});
  waiting_.erase(token);
  pending_.erase(at);
  if (!of_peer) {
    effects.emplace_back(AnswerMetadata{token, std::move(answer)});
  } else if (answer) {
    effects.emplace_back(AnswerPeer{token, CommandDone{applied_, std::move(answer->result)}});
  } else {
    effects.emplace_back(AnswerPeer{token, CommandRefused{applied_, std::move(answer).error()}});
  }
}

/// Another node's command, of which nothing came and nothing will.
void MetadataMachine::redirect(std::uint64_t token, MetadataEffects& effects) {
  const auto at = pending_.find(token);
  deadlines_.erase({at->second.deadline, token});
  waiting_.erase(token);
  pending_.erase(at);
  effects.emplace_back(AnswerPeer{token, NotController{leader_}});
}

// --- this node's own registration: before it, nothing may be shown

void MetadataMachine::ask_for_registration(MetadataEffects& effects) {
  const RegisterBrokerRequest request{.broker = options_.broker, .incarnation = options_.incarnation};
  add(own_registration, ClusterCommand{request}, MonotonicMs::max(), false);
  route(own_registration, pending_.at(own_registration), effects);
}

/// The image has all that the answer rests on: if this run of the node is in it, then so is everything that was committed before.
void MetadataMachine::registration_answered(const CommandAnswer& answer, MetadataEffects& effects) {
  pending_.erase(own_registration);
  const auto* known = image_->find_broker(options_.broker.id);
  if (std::holds_alternative<CommandDone>(answer) && known != nullptr && known->incarnation == options_.incarnation) {
    return become_ready(effects);
  }
  const auto* refused = std::get_if<CommandRefused>(&answer);
  effects.emplace_back(NoteMetadata{
      "this node could not be registered, and tries again: " +
      (refused != nullptr ? refused->error.message : std::string("another run of it took its place in the meantime"))});
  register_at_ = now_ + options_.registration_retry_ms;
}

void MetadataMachine::become_ready(MetadataEffects& effects) {
  if (std::exchange(ready_, true)) return;
  effects.emplace_back(MetadataIsReady{});
}

}  // namespace troupe::metadata
