#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <caf/fwd.hpp>

#include "actors/disk_space.hpp"
#include "actors/handles.hpp"
#include "actors/spawn_mode.hpp"

namespace troupe::actors {

/// Owns one data directory: opens it when it starts, is its only writer, and closes it when it is told to stop.
///
///   mailbox   A1 A2 B1 [end of turn] A3 ...        the first append of a turn sends "end of turn" behind what already waits
///   disk      a1 a2 b1 sync          a3 ...        appends go to the page cache as they come, one sync makes them durable
///   replies            A{1,2} B{1}                 then each requester gets one AppendResults
///
/// A turn also ends when it has taken `turn_bytes_max` or `turn_ms_max`, and before any other request is carried out.
///
/// When the disk fails under one log, that log goes offline; with `logs_fail_alone` the others go on, and the listener decides about
/// it. When the directory fails, or one log without that, everything that waits is answered with storage_error, what is still in the
/// mailbox with log_offline, and the actor ends with that error: its supervisor starts it again, and the new one recovers the
/// directory from disk.
/// A wish to stop (an exit message, but for kill) is fulfilled behind what already waits in the mailbox.
struct DiskWorkerOptions {
  storage::FileSystem* file_system = nullptr;  ///< outlives the actor
  storage::DataDirectory::Options directory = {};
  std::size_t turn_bytes_max = std::size_t{8} << 20;
  Millis turn_ms_max = 10;
  caf::actor listener = {};               ///< gets DirectoryOpened and LogFailed; may be null
  bool logs_fail_alone = false;           ///< there are other nodes, which may hold what a log that fails should
  Millis failed_log_ms_max = 30'000;      ///< the listener has that long to decide
  std::shared_ptr<DiskSpace> space = {};  ///< may be null
  /// Whose the directory is, when that shows only later: a node that joins a cluster. Null: `directory` says it. As long as it answers
  /// nullopt, everything is refused as log_offline.
  std::function<std::optional<Uuid>()> cluster_id = {};
};

DiskWorker spawn_disk_worker(caf::actor_system& system, SpawnMode mode, DiskWorkerOptions options, ActorRowPtr row);

}  // namespace troupe::actors
