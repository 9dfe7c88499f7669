#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "core/broker_api.hpp"
#include "core/consumer/instance_links.hpp"
#include "http/rest/consumer_instance.hpp"
#include "http/router/call.hpp"

namespace troupe::http {

/// The consumer instances of the cluster, as one node's door sees them: those that it has, and the way to those that others have.
/// Any thread.
///
///   a call --> here --> the instance
///          --> elsewhere, as the group's coordinator said --> the links --> the instance there
///          --> its node is gone, or has lost it --> claimed from the coordinator, which gives it to one --> here
///
/// docs/decisions/0027
class ConsumerInstances final : public InstanceServer, public std::enable_shared_from_this<ConsumerInstances> {
 public:
  using Key = std::pair<std::string, std::string>;  ///< group and name

  static constexpr std::size_t instances_max = 10'000;
  static constexpr Millis idle_ms_max = 300'000;
  /// How often the coordinator hears of those that are used: it forgets the others after 420 s.
  static constexpr Millis keep_ms = 60'000;

  /// `broker` outlives it.
  explicit ConsumerInstances(BrokerApi& broker) : broker_(broker) {}
  /// Makes one, on this node. Errors: conflict (there is one of that name), overloaded (as many as a node may have), and those of GroupApi.
  void create(consumer::RestOptions options, const CallPtr& call, MonotonicMs now, Reply<Nothing> reply);

  /// Sees what the instance was made with, before anything is asked of it; once. Says how long a read may wait; nullopt: the call has its
  /// answer.
  using Check = std::function<std::optional<Millis>(const consumer::RestOptions&)>;
  /// Answered on the call's thread. Errors: not_found, those of ConsumerInstance; coordinator_not_available, request_timed_out.
  /// On the call's thread.
  void ask(const CallPtr& call, Key key, consumer::RestCall what, MonotonicMs now, Reply<consumer::RestAnswer> reply,
           Check check = {});

  /// Closes those that nobody used for `idle_ms_max`, and tells the coordinators of the others.
  void sweep(MonotonicMs now);
  std::size_t size() const;
  /// All threads of the door have ended: nobody is answered any more, and other nodes may take over what is here.
  void end();

  // InstanceServer
  void on_call(BrokerId from, Bytes call, Reply<Bytes> reply) override;
  void on_link(BrokerId node) override;

 private:
  class Question;
  struct Here {
    std::shared_ptr<ConsumerInstance> instance;
    std::uint64_t checked = 0;  ///< that it is this node's, after so many changes of the links
    MonotonicMs kept_at{0};
  };
  /// An instance that another node has.
  struct Elsewhere {
    BrokerId node{-1};
    std::int32_t epoch = 0;
    consumer::RestOptions options = {};
  };

  std::shared_ptr<ConsumerInstance> find(const Key& key, MonotonicMs now, bool* checked);
  void mark_checked(const Key& key);
  /// The instance as the coordinator gave it to this node. Errors: overloaded, corrupt_message.
  Result<std::shared_ptr<ConsumerInstance>> begin(const Key& key, const group::InstanceEntry& entry, const CallPtr& call,
                                                  MonotonicMs now);
  std::optional<Elsewhere> elsewhere(const Key& key) const;
  void learn(const Key& key, Elsewhere where);
  void unlearn(const Key& key);
  /// That one is not this node's (any more).
  void drop(const Key& key, const std::shared_ptr<ConsumerInstance>& instance);
  void end_making(const Key& key);
  /// Whoever has an instance answers for it. The links may come after the door.
  void serve_others();
  bool is_self(const group::InstanceEntry& entry) const;
  void keep(const Key& key, const std::shared_ptr<ConsumerInstance>& instance, group::InstanceRequest::Kind kind);
  InstanceLinks* links() const { return broker_.consumer_api().instance_links(); }

  BrokerApi& broker_;
  const SystemClock clock_;
  mutable std::mutex mutex_;
  std::map<Key, Here> here_;
  std::set<Key> making_;
  std::map<Key, Elsewhere> elsewhere_;
  std::uint64_t link_changes_ = 0;
  std::atomic<bool> serves_ = false;
  MonotonicMs swept_at_{0};
};

}  // namespace troupe::http
