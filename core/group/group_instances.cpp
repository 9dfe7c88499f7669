#include "core/group/group_instances.hpp"

#include <vector>

#include "core/group/group_rules.hpp"

namespace troupe::group {

void GroupInstances::apply(const InstanceRecord& record, MonotonicMs now) {
  const Key key{record.group, record.name};
  if (record.value) {
    all_[key] = {*record.value, now};
  } else {
    all_.erase(key);
  }
}

void GroupInstances::begin(MonotonicMs now) {
  for (auto& [key, instance] : all_) instance.used_at = now;
}

void GroupInstances::write(const Key& key, std::optional<InstanceEntry> entry, MonotonicMs now, Turn& turn) {
  InstanceRecord record{key.first, key.second, std::move(entry)};
  apply(record, now);
  turn.records.emplace_back(std::move(record));
}

Result<InstanceEntry> GroupInstances::make(const InstanceRequest& request, BrokerId host, Offset host_epoch, MonotonicMs now,
                                           Turn& turn) {
  TROUPE_TRY(check_group_name(request.group));
  if (!check_group_name(request.name)) {
    return Error{Errc::invalid_argument, "the name of an instance is 1 to 249 of a-z A-Z 0-9 . _ -"};
  }
  const InstanceEntry made{host, host_epoch, 1, request.definition};
  const Key key{request.group, request.name};
  if (const auto found = all_.find(key); found != all_.end()) {
    // The same once more: the first answer got lost.
    if (found->second.entry == made) return made;
    return Error{Errc::conflict, "Consumer with specified consumer ID already exists in the specified consumer group."};
  }
  if (all_.size() >= limits_.instances_max) {
    return Error{Errc::policy_violation, "the coordinator of '" + request.group + "' has " + std::to_string(all_.size()) +
                                             " consumer instances, the most that it may have: delete some"};
  }
  write(key, made, now, turn);
  return made;
}

Result<InstanceEntry> GroupInstances::answer(const InstanceRequest& request, BrokerId host, Offset host_epoch,
                                             MonotonicMs now, Turn& turn) {
  using Kind = InstanceRequest::Kind;
  if (request.definition.size() > limits_.definition_bytes_max) {
    return Error{Errc::message_too_large, "what the instance reads takes " + std::to_string(request.definition.size()) +
                                              " bytes, more than " + std::to_string(limits_.definition_bytes_max)};
  }
  if (request.kind == Kind::make) return make(request, host, host_epoch, now, turn);
  const Key key{request.group, request.name};
  const auto found = all_.find(key);
  if (found == all_.end()) return Error{Errc::not_found, "Consumer instance not found."};
  auto& instance = found->second;
  const auto before = instance.entry;
  if (request.kind == Kind::find) return before;
  const bool known = request.epoch == before.epoch;
  if (request.kind == Kind::claim) {
    // Who comes late hears who has it; who asks twice has it already.
    if (!known) return before;
    auto claimed = before;
    claimed.host = host;
    claimed.host_epoch = host_epoch;
    ++claimed.epoch;
    write(key, claimed, now, turn);
    return claimed;
  }
  if (!known || before.host != host) {
    return Error{Errc::fenced_instance_id,
                 "the instance '" + request.name + "' is on broker " + to_string(before.host) + " now"};
  }
  instance.used_at = now;
  if (request.kind == Kind::remove) {
    write(key, std::nullopt, now, turn);
  } else if (request.kind == Kind::save && request.definition != before.definition) {
    auto saved = before;
    saved.definition = request.definition;
    write(key, saved, now, turn);
    return saved;
  }
  return before;
}

void GroupInstances::expire(MonotonicMs now, Turn& turn) {
  std::vector<Key> idle;
  for (const auto& [key, instance] : all_) {
    if (now - instance.used_at >= limits_.idle_ms_max) idle.push_back(key);
  }
  for (const auto& key : idle) write(key, std::nullopt, now, turn);
}

void GroupInstances::forget_group(const std::string& group, Turn& turn) {
  std::vector<Key> gone;
  for (auto at = all_.lower_bound({group, {}}); at != all_.end() && at->first.first == group; ++at)
    gone.push_back(at->first);
  for (const auto& key : gone) write(key, std::nullopt, MonotonicMs{0}, turn);
}

}  // namespace troupe::group
