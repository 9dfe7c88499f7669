#include "http/rest/instance_question.hpp"

#include <random>
#include <utility>

namespace troupe::http {
namespace {

/// A coordinator that moves is waited for.
constexpr Millis group_request_ms = 15'000;
/// Longer than what an instance itself waits for, a commit or a seek.
constexpr Millis there_ms = 35'000;
/// Of reads: besides the time for which they wait.
constexpr Millis read_ms_max = 60'000;
/// It moves from node to node faster than it can be followed: not in a cluster that works.
constexpr int steps_max = 20;

using Kind = group::InstanceRequest::Kind;

}  // namespace

ConsumerInstances::Question::Question(std::shared_ptr<ConsumerInstances> owner, CallPtr call, Key key,
                                      consumer::RestCall what, MonotonicMs now, Reply<consumer::RestAnswer> reply,
                                      Check check)
    : owner_(std::move(owner)),
      call_(std::move(call)),
      key_(std::move(key)),
      what_(std::move(what)),
      now_(now),
      reply_(std::move(reply)),
      check_(std::move(check)) {
  if (auto* read = std::get_if<consumer::RestRead>(&what_)) {
    thread_local std::mt19937_64 random{std::random_device{}()};
    read->id = random();
  }
}

void ConsumerInstances::Question::end(Result<consumer::RestAnswer> answer) {
  asked_here_.reset();
  asked_there_.reset();
  const bool gone = !answer && answer.error().code == Errc::not_found;
  if (gone && may_be_done_ && std::holds_alternative<consumer::RestRemove>(what_)) answer = consumer::RestAnswer{};
  reply_(std::move(answer));
}

bool ConsumerInstances::Question::may_go_on(const consumer::RestOptions& options) {
  if (!check_) return true;
  const auto wait_ms = std::exchange(check_, nullptr)(options);
  if (!wait_ms) {
    reply_ = {};
    return false;
  }
  if (auto* read = std::get_if<consumer::RestRead>(&what_); read != nullptr && *wait_ms <= 0) {
    read->hurry = hurried_ = true;
  } else if (read != nullptr) {
    // Not this itself: it holds the call.
    call_->on_hurry(*wait_ms, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->hurry();
    });
  }
  return true;
}

void ConsumerInstances::Question::step() {
  if (++steps_ > steps_max) {
    return end(Error{Errc::coordinator_not_available, "the instance does not stay on a node: nothing was done, retry"});
  }
  bool checked = false;
  const auto instance = owner_->find(key_, now_, &checked);
  if (instance && checked) return ask_here(instance);
  if (!instance) {
    if (const auto where = owner_->elsewhere(key_); where && where->epoch != lost_epoch_) return ask_there(*where);
  }
  ask_coordinator();
}

void ConsumerInstances::Question::hurry() {
  if (std::exchange(hurried_, true)) return;
  auto* read = std::get_if<consumer::RestRead>(&what_);
  if (read == nullptr) return;
  read->hurry = true;
  if (asked_here_) {
    asked_here_->ask(ConsumerInstance::nobody, consumer::RestHurry{read->id}, {});
  } else if (asked_there_ && owner_->links() != nullptr) {
    owner_->links()->call(asked_there_->node, encoded(asked_there_->epoch, consumer::RestHurry{read->id}), there_ms, {});
  }
}

Bytes ConsumerInstances::Question::encoded(std::int32_t epoch, consumer::RestCall what) const {
  return Bytes::adopt(consumer::encode_request({key_.first, key_.second, epoch, std::move(what)}));
}

// --- here, or there ---------------------------------------------------------------------------------------------------------------

void ConsumerInstances::Question::ask_here(const std::shared_ptr<ConsumerInstance>& instance) {
  if (!may_go_on(instance->options())) return;
  asked_here_ = instance;
  instance->ask(ConsumerInstance::nobody, what_,
                reply_on<consumer::RestAnswer>(
                    call_, [self = shared_from_this(), instance](const CallPtr&, Result<consumer::RestAnswer> answer) {
                      self->asked_here_.reset();
                      const bool moved = !answer && answer.error().code == Errc::not_coordinator;
                      if (!moved) return self->end(std::move(answer));
                      self->owner_->drop(self->key_, instance);
                      self->step();
                    }));
}

void ConsumerInstances::Question::ask_there(const Elsewhere& where) {
  auto* links = owner_->links();
  if (links == nullptr) return not_there(where.epoch);
  if (!may_go_on(where.options)) return;
  asked_there_ = where;
  const auto wait_ms = std::holds_alternative<consumer::RestRead>(what_) ? there_ms + read_ms_max : there_ms;
  links->call(
      where.node, encoded(where.epoch, what_), wait_ms,
      reply_on<Bytes>(call_, [self = shared_from_this(), epoch = where.epoch](const CallPtr&, const Result<Bytes>& said) {
        self->asked_there_.reset();
        if (said) return self->end(consumer::decode_answer(said->view()));
        switch (said.error().code) {
          case Errc::not_coordinator:
          case Errc::broker_not_available: return self->not_there(epoch);
          case Errc::request_timed_out:
            // The link was cut: the node takes back what it answered meanwhile, and everything else can be done twice.
            self->may_be_done_ = true;
            self->owner_->unlearn(self->key_);
            return self->step();
          default: return self->end(said.error());
        }
      }));
}

void ConsumerInstances::Question::not_there(std::int32_t epoch) {
  lost_epoch_ = epoch;
  owner_->unlearn(key_);
  step();
}

// --- the coordinator --------------------------------------------------------------------------------------------------------------

void ConsumerInstances::Question::ask_coordinator() {
  owner_->broker_.group_api().instance(
      {Kind::find, key_.first, key_.second, 0, {}}, group_request_ms,
      reply_on<group::InstanceEntry>(
          call_,
          [self = shared_from_this()](const CallPtr&, const Result<group::InstanceEntry>& entry) { self->found(entry); }));
}

void ConsumerInstances::Question::found(const Result<group::InstanceEntry>& entry) {
  const auto instance = owner_->find(key_, now_, nullptr);
  if (!entry) {
    if (entry.error().code != Errc::not_found) {
      // Nobody can say that it is another's: better to answer.
      if (instance) return ask_here(instance);
    } else if (instance) {
      owner_->drop(key_, instance);
    }
    return end(entry.error());
  }
  if (instance) {
    if (owner_->is_self(*entry) && instance->epoch() == entry->epoch) {
      owner_->mark_checked(key_);
    } else {
      owner_->drop(key_, instance);
    }
    return step();
  }
  if (owner_->is_self(*entry) || lost_epoch_ == entry->epoch) return claim(*entry);
  auto definition = consumer::decode_definition(entry->definition);
  if (!definition) return end(definition.error());
  owner_->learn(key_, {entry->host, entry->epoch, std::move(definition->options)});
  step();
}

void ConsumerInstances::Question::claim(const group::InstanceEntry& entry) {
  owner_->broker_.group_api().instance(
      {Kind::claim, key_.first, key_.second, entry.epoch, {}}, group_request_ms,
      reply_on<group::InstanceEntry>(
          call_, [self = shared_from_this()](const CallPtr& on, const Result<group::InstanceEntry>& claimed) {
            if (!claimed) return self->end(claimed.error());
            if (self->owner_->is_self(*claimed)) {
              const auto begun = self->owner_->begin(self->key_, *claimed, on, self->now_);
              if (!begun) return self->end(begun.error());
            }
            self->step();
          }));
}

}  // namespace troupe::http
