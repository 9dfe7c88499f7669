#include "http/rest/consumer_instances.hpp"

#include <vector>

namespace troupe::http {
namespace {

constexpr Millis sweep_ms = 1'000;

}  // namespace

Status ConsumerInstances::create(InstanceSettings settings, MonotonicMs now) {
  const std::pair key{settings.group, settings.name};
  const std::lock_guard lock(mutex_);
  if (all_.contains(key)) {
    return Error{Errc::conflict, "Consumer with specified consumer ID already exists in the specified consumer group."};
  }
  if (all_.size() >= instances_max) {
    return Error{Errc::overloaded, "the node has " + std::to_string(instances_max) + " consumer instances: ask another one"};
  }
  auto instance = std::make_shared<ConsumerInstance>(consumers_, std::move(settings));
  instance->touch(now);
  all_.emplace(key, std::move(instance));
  return ok();
}

std::shared_ptr<ConsumerInstance> ConsumerInstances::find(const std::string& group, const std::string& name,
                                                          MonotonicMs now) {
  std::shared_ptr<ConsumerInstance> instance;
  {
    const std::lock_guard lock(mutex_);
    const auto found = all_.find({group, name});
    if (found == all_.end()) return nullptr;
    instance = found->second;
  }
  instance->touch(now);
  return instance;
}

bool ConsumerInstances::remove(const std::string& group, const std::string& name) {
  std::shared_ptr<ConsumerInstance> instance;
  {
    const std::lock_guard lock(mutex_);
    auto node = all_.extract({group, name});
    if (node.empty()) return false;
    instance = std::move(node.mapped());
  }
  instance->close();
  return true;
}

void ConsumerInstances::sweep(MonotonicMs now) {
  std::vector<std::shared_ptr<ConsumerInstance>> idle;
  {
    const std::lock_guard lock(mutex_);
    if (now - swept_at_ < sweep_ms) return;
    swept_at_ = now;
    for (auto at = all_.begin(); at != all_.end();) {
      const auto used_at = at->second->used_at();
      const bool over = used_at <= now && now - used_at >= idle_ms_max;
      if (over) idle.push_back(at->second);
      at = over ? all_.erase(at) : std::next(at);
    }
  }
  for (const auto& instance : idle) instance->close();
}

std::size_t ConsumerInstances::size() const {
  const std::lock_guard lock(mutex_);
  return all_.size();
}

}  // namespace troupe::http
