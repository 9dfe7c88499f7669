#pragma once

#include <memory>
#include <vector>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/messages.hpp"
#include "actors/spawn_mode.hpp"

namespace troupe::actors {

/// A few actors that read from disk, so that a cold read delays neither an append nor a scheduled actor.
///
///   caller -- read() --> [door: room for it?] --> log_reader i --> ReadResult to reply_to
///                              `-- no --> ReadResult{overloaded}
///
/// A partition's requests go to the same reader and are answered in order. Any thread may call; calls never block on a disk.
/// Every request is answered once, also when its reader goes down before it comes to it (overloaded: try again).
/// Keeps no reader alive.
class LogReaders {
 public:
  struct Options {
    std::size_t readers = 2;
    std::size_t requests_max = 1024;                ///< waiting at one reader
    std::size_t bytes_max = std::size_t{64} << 20;  ///< that one reader may have been asked for; a larger request goes alone
  };

  explicit LogReaders(const Options& options);
  ~LogReaders();
  LogReaders(const LogReaders&) = delete;
  LogReaders& operator=(const LogReaders&) = delete;

  std::size_t size() const { return slots_.size(); }

  /// Starts reader `index`, or its successor: the start function of a supervised child.
  caf::actor start_reader(std::size_t index, caf::actor_system& system, SpawnMode mode, ActorRowPtr row);

  void read(ReadLog request) const;
  void find(FindTimestamp request) const;

  /// Requests that wait at all readers.
  std::size_t waiting() const;

 private:
  struct Slot;
  Slot& slot_of(const TopicIdPartition& partition) const;

  const Options options_;
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace troupe::actors
