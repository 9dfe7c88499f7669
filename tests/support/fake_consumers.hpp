#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "core/consumer_api.hpp"
#include "core/group_api.hpp"

namespace troupe::test {

/// The members of groups on a node, without actors: the real machine of each, over a broker and a coordinator in memory. Events come on the
/// thread that caused them, in order for each member. Time stands still but for `advance`. Thread-safe.
class FakeConsumers final : public ConsumerApi {
 public:
  /// Both outlive it.
  FakeConsumers(BrokerApi& broker, GroupApi& groups);
  ~FakeConsumers() override;

  void advance(Millis time);
  /// The next ones fail with this; nullopt: they succeed again.
  void fail_open(std::optional<Error> error);
  std::size_t open_count() const;

  std::unique_ptr<Consumer> open(ConsumerOptions options, std::shared_ptr<ConsumerListener> listener) override;

 private:
  class Member;
  class Handle;

  MonotonicMs now() const;

  BrokerApi& broker_;
  GroupApi& groups_;
  mutable std::mutex mutex_;
  MonotonicMs now_{0};
  std::optional<Error> open_error_;
  std::vector<std::shared_ptr<Member>> members_;
};

}  // namespace troupe::test
