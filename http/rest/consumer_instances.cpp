#include "http/rest/consumer_instances.hpp"

#include <vector>

#include "http/rest/instance_question.hpp"

namespace troupe::http {
namespace {

constexpr Millis sweep_ms = 1'000;
constexpr Millis group_request_ms = 10'000;
/// What is known of other nodes' instances; all is forgotten beyond that, and asked for again.
constexpr std::size_t elsewhere_max = 20'000;

using Kind = group::InstanceRequest::Kind;

Error taken() {
  return {Errc::conflict, "Consumer with specified consumer ID already exists in the specified consumer group."};
}
Error too_many() {
  return {Errc::overloaded,
          "the node has " + std::to_string(ConsumerInstances::instances_max) + " consumer instances: ask another one"};
}

}  // namespace

void ConsumerInstances::serve_others() {
  auto* others = links();
  if (others != nullptr && !serves_.exchange(true)) others->serve(weak_from_this());
}

// --- those that are here ----------------------------------------------------------------------------------------------------------

void ConsumerInstances::create(consumer::RestOptions options, const CallPtr& call, MonotonicMs now, Reply<Nothing> reply) {
  const Key key{options.group, options.name};
  std::shared_ptr<ConsumerInstance> there;
  {
    const std::lock_guard lock(mutex_);
    const auto found = here_.find(key);
    if (found != here_.end() && !found->second.instance->ended()) there = found->second.instance;
    if (!there) {
      if (here_.size() + making_.size() >= instances_max) return reply(too_many());
      if (!making_.insert(key).second) return reply(taken());
    }
  }
  auto& groups = broker_.group_api();
  if (there) {
    // Unless the coordinator has forgotten it: with its group, that was deleted.
    return groups.instance(
        {Kind::find, key.first, key.second, 0, {}}, group_request_ms,
        reply_on<group::InstanceEntry>(call, [self = shared_from_this(), key, there, options = std::move(options), now,
                                              reply = std::move(reply)](const CallPtr& on, auto found) mutable {
          if (found) return reply(taken());
          if (found.error().code != Errc::not_found) return reply(found.error());
          self->drop(key, there);
          self->create(std::move(options), on, now, std::move(reply));
        }));
  }
  auto definition = consumer::encode_definition({options, {}});
  groups.instance({Kind::make, key.first, key.second, 0, std::move(definition)}, group_request_ms,
                  reply_on<group::InstanceEntry>(call, [self = shared_from_this(), key, now, reply = std::move(reply)](
                                                           const CallPtr& on, auto made) mutable {
                    Result<Nothing> done = Nothing{};
                    if (!made) {
                      done = made.error();
                    } else if (const auto begun = self->begin(key, *made, on, now); !begun) {
                      done = begun.error();
                    }
                    self->end_making(key);
                    reply(std::move(done));
                  }));
}

void ConsumerInstances::end_making(const Key& key) {
  const std::lock_guard lock(mutex_);
  making_.erase(key);
}

std::shared_ptr<ConsumerInstance> ConsumerInstances::find(const Key& key, MonotonicMs now, bool* checked) {
  const std::lock_guard lock(mutex_);
  const auto found = here_.find(key);
  if (found == here_.end()) return nullptr;
  if (found->second.instance->ended()) {
    here_.erase(found);
    return nullptr;
  }
  found->second.instance->touch(now);
  if (checked != nullptr) *checked = found->second.checked == link_changes_;
  return found->second.instance;
}

void ConsumerInstances::mark_checked(const Key& key) {
  const std::lock_guard lock(mutex_);
  if (const auto found = here_.find(key); found != here_.end()) found->second.checked = link_changes_;
}

Result<std::shared_ptr<ConsumerInstance>> ConsumerInstances::begin(const Key& key, const group::InstanceEntry& entry,
                                                                   const CallPtr& call, MonotonicMs now) {
  TROUPE_TRY_ASSIGN(auto definition, consumer::decode_definition(entry.definition));
  auto instance = std::make_shared<ConsumerInstance>(broker_.consumer_api(), broker_.group_api(),
                                                     std::move(definition.options), entry.epoch, call->executor());
  instance->touch(now);
  std::shared_ptr<ConsumerInstance> before;
  {
    const std::lock_guard lock(mutex_);
    elsewhere_.erase(key);
    if (const auto found = here_.find(key); found != here_.end()) {
      // Two calls at once have claimed it, and one did.
      if (!found->second.instance->ended() && found->second.instance->epoch() >= entry.epoch) return found->second.instance;
      before = found->second.instance;
    } else if (here_.size() >= instances_max) {
      return too_many();
    }
    here_[key] = {instance, link_changes_, now};
  }
  serve_others();
  if (before) before->drop();
  instance->take_over(std::move(definition.reading));
  return instance;
}

void ConsumerInstances::drop(const Key& key, const std::shared_ptr<ConsumerInstance>& instance) {
  {
    const std::lock_guard lock(mutex_);
    const auto found = here_.find(key);
    if (found != here_.end() && found->second.instance == instance) here_.erase(found);
  }
  instance->drop();
}

bool ConsumerInstances::is_self(const group::InstanceEntry& entry) const {
  return entry.host == broker_.cluster().node_id || links() == nullptr;
}

void ConsumerInstances::end() {
  std::map<Key, Here> gone;
  {
    const std::lock_guard lock(mutex_);
    gone.swap(here_);
  }
  for (const auto& [key, here] : gone) here.instance->abandon();
}

std::size_t ConsumerInstances::size() const {
  const std::lock_guard lock(mutex_);
  return here_.size();
}

void ConsumerInstances::keep(const Key& key, const std::shared_ptr<ConsumerInstance>& instance, Kind kind) {
  broker_.group_api().instance(
      {kind, key.first, key.second, instance->epoch(), {}}, group_request_ms,
      Reply<group::InstanceEntry>{[weak = weak_from_this(), key, instance](const Result<group::InstanceEntry>& kept) {
        const auto self = weak.lock();
        if (!self || kept) return;
        const auto code = kept.error().code;
        if (code == Errc::fenced_instance_id || code == Errc::not_found) self->drop(key, instance);
      }});
}

void ConsumerInstances::sweep(MonotonicMs now) {
  std::vector<std::pair<Key, std::shared_ptr<ConsumerInstance>>> idle, used;
  {
    const std::lock_guard lock(mutex_);
    if (now - swept_at_ < sweep_ms) return;
    swept_at_ = now;
    for (auto at = here_.begin(); at != here_.end();) {
      auto& [key, here] = *at;
      const auto used_at = here.instance->used_at();
      if (here.instance->ended()) {
        at = here_.erase(at);
        continue;
      }
      if (used_at <= now && now - used_at >= idle_ms_max) {
        idle.emplace_back(key, here.instance);
        at = here_.erase(at);
        continue;
      }
      if (now - here.kept_at >= keep_ms && used_at > here.kept_at) {
        here.kept_at = now;
        used.emplace_back(key, here.instance);
      }
      ++at;
    }
  }
  for (const auto& [key, instance] : used) keep(key, instance, Kind::keep);
  for (const auto& [key, instance] : idle) {
    keep(key, instance, Kind::remove);
    instance->drop();
  }
}

// --- those that others have -------------------------------------------------------------------------------------------------------

std::optional<ConsumerInstances::Elsewhere> ConsumerInstances::elsewhere(const Key& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = elsewhere_.find(key);
  return found == elsewhere_.end() ? std::nullopt : std::optional{found->second};
}

void ConsumerInstances::learn(const Key& key, Elsewhere where) {
  const std::lock_guard lock(mutex_);
  if (elsewhere_.size() >= elsewhere_max) elsewhere_.clear();
  elsewhere_[key] = std::move(where);
}

void ConsumerInstances::unlearn(const Key& key) {
  const std::lock_guard lock(mutex_);
  elsewhere_.erase(key);
}

void ConsumerInstances::ask(const CallPtr& call, Key key, consumer::RestCall what, MonotonicMs now,
                            Reply<consumer::RestAnswer> reply, Check check) {
  std::make_shared<Question>(shared_from_this(), call, std::move(key), std::move(what), now, std::move(reply),
                             std::move(check))
      ->step();
}

// --- what others ask --------------------------------------------------------------------------------------------------------------

void ConsumerInstances::on_call(BrokerId from, Bytes call, Reply<Bytes> reply) {
  auto request = consumer::decode_request(call.view());
  if (!request) return reply(request.error());
  const Key key{std::move(request->group), std::move(request->name)};
  const auto instance = find(key, clock_.monotonic_now(), nullptr);
  if (!instance || instance->epoch() != request->epoch) {
    if (instance && instance->epoch() < request->epoch) drop(key, instance);
    return reply(Error{Errc::not_coordinator, "this node does not have the instance (now): nothing was done"});
  }
  instance->ask(from, std::move(request->call),
                Reply<consumer::RestAnswer>{[reply = std::move(reply)](const Result<consumer::RestAnswer>& answer) mutable {
                  if (!answer) return reply(answer.error());
                  reply(Bytes::adopt(consumer::encode_answer(*answer)));
                }});
}

void ConsumerInstances::on_link(BrokerId node) {
  std::vector<std::shared_ptr<ConsumerInstance>> all;
  {
    const std::lock_guard lock(mutex_);
    ++link_changes_;
    for (const auto& [key, here] : here_) all.push_back(here.instance);
  }
  for (const auto& instance : all) instance->on_cut(node);
}

}  // namespace troupe::http
