#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include <caf/actor.hpp>

#include "core/ids.hpp"

namespace troupe::actors {

/// What a coordinator has, for people and metrics. Written by the coordinator, read from any thread.
struct CoordinatorCounts {
  std::atomic<std::size_t> groups{0};
  std::atomic<std::size_t> held{0};  ///< answers that wait for the log
};

/// The coordinators of a node, by partition of the groups' topic. group_manager writes, group_desk reads; any thread. A handle may be of an
/// actor that has just ended: calls to it end with its ticket.
class GroupDirectory {
 public:
  struct Entry {
    caf::actor coordinator;
    std::shared_ptr<const CoordinatorCounts> counts;
  };

  void set(PartitionId partition, Entry entry) {
    const std::lock_guard lock(mutex_);
    std::swap(entries_[partition], entry);  // the old one goes after the lock
  }
  void remove(PartitionId partition) {
    Entry gone;
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(partition);
    if (found == entries_.end()) return;
    std::swap(gone, found->second);
    entries_.erase(found);
  }
  /// Null: there is none.
  caf::actor find(PartitionId partition) const {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(partition);
    return found == entries_.end() ? nullptr : found->second.coordinator;
  }
  std::vector<Entry> all() const {
    const std::lock_guard lock(mutex_);
    std::vector<Entry> list;
    for (const auto& [partition, entry] : entries_) list.push_back(entry);
    return list;
  }

 private:
  mutable std::mutex mutex_;
  std::map<PartitionId, Entry> entries_;
};

}  // namespace troupe::actors
