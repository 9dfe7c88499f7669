#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "http/rest/consumer_instance.hpp"

namespace troupe::http {

/// The consumer instances that this node has, by group and name. Any thread.
class ConsumerInstances {
 public:
  static constexpr std::size_t instances_max = 10'000;
  static constexpr Millis idle_ms_max = 300'000;

  explicit ConsumerInstances(ConsumerApi& consumers) : consumers_(consumers) {}

  /// Errors: conflict (there is one of that name), overloaded (as many as there may be).
  Status create(InstanceSettings settings, MonotonicMs now);
  /// nullptr: there is none. It counts as used.
  std::shared_ptr<ConsumerInstance> find(const std::string& group, const std::string& name, MonotonicMs now);
  /// False: there is none.
  bool remove(const std::string& group, const std::string& name);
  /// Closes those that nobody used for `idle_ms_max`.
  void sweep(MonotonicMs now);
  std::size_t size() const;

 private:
  ConsumerApi& consumers_;
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<ConsumerInstance>> all_;
  MonotonicMs swept_at_{0};
};

}  // namespace troupe::http
