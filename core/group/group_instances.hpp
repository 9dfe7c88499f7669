#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "core/group/consumer_group.hpp"

/// Consumer instances of the REST proxy, as the coordinator of their group knows them: which there are, and which node has each.
/// docs/decisions/0027
namespace troupe::group {

/// The group instance id with which an instance's member joins: who takes the instance over is the same member. No name that a client
/// chooses has a colon.
inline std::string member_instance_of(const std::string& instance) { return "rest:" + instance; }

/// Of one node, to the coordinator.
struct InstanceRequest {
  /// Part of the wire: never renumber.
  enum class Kind : std::uint8_t {
    find = 0,    ///< answers what there is
    make = 1,    ///< a new one, on the node that asks
    claim = 2,   ///< its node has lost it: it is the asking node's from now on
    save = 3,    ///< its definition is another
    keep = 4,    ///< somebody uses it
    remove = 5,  ///< it is over
  };
  Kind kind = Kind::find;
  std::string group = {};
  std::string name = {};
  std::int32_t epoch = 0;      ///< claim, save, keep, remove: the one that the node knows
  ByteBuffer definition = {};  ///< make, save: the doors' own
};

/// The instances of one coordinator. Pure: `instance` writes records, `apply` takes them in. How long ago somebody used an instance is not
/// in the log: a successor gives each its full time again.
class GroupInstances {
 public:
  struct Limits {
    std::size_t instances_max = 20'000;
    std::size_t definition_bytes_max = std::size_t{512} << 10;
    Millis idle_ms_max = 420'000;  ///< longer than a node lets its own live, and longer than it is silent about them
  };

  explicit GroupInstances(Limits limits) : limits_(limits) {}

  void apply(const InstanceRecord& record, MonotonicMs now);
  /// All count as used now.
  void begin(MonotonicMs now);

  /// The instance as it is then: who lost a race for it hears who has it. `host`, `host_epoch`: the node that asks.
  /// Errors: not_found, conflict (make: the name is taken), fenced_instance_id (save, keep, remove: it is another node's now),
  /// invalid_group_id, invalid_argument, message_too_large, policy_violation (as many as there may be).
  Result<InstanceEntry> answer(const InstanceRequest& request, BrokerId host, Offset host_epoch, MonotonicMs now,
                               Turn& turn);

  /// Nobody used them for too long.
  void expire(MonotonicMs now, Turn& turn);
  void forget_group(const std::string& group, Turn& turn);
  std::size_t size() const { return all_.size(); }

 private:
  using Key = std::pair<std::string, std::string>;
  struct Instance {
    InstanceEntry entry = {};
    MonotonicMs used_at{0};
  };

  Result<InstanceEntry> make(const InstanceRequest& request, BrokerId host, Offset host_epoch, MonotonicMs now, Turn& turn);
  void write(const Key& key, std::optional<InstanceEntry> entry, MonotonicMs now, Turn& turn);

  const Limits limits_;
  std::map<Key, Instance> all_;
};

}  // namespace troupe::group
