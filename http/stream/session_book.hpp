#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.hpp"
#include "http/stream/group_stream.hpp"

namespace troupe::http {

/// A lost socket's memberships wait that long for the next one, unless the client says how long.
inline constexpr Millis resume_grace_ms = 30'000;

/// Group subscriptions by the names that their client gave them.
using GroupStreams = std::map<std::string, std::shared_ptr<GroupStream>>;

/// The sessions of a node's WebSockets: where the subscriptions of a client are that comes back with another socket, perhaps to another I/O
/// thread, perhaps before anybody has noticed that the one before is dead. A session's name is chosen by the node, and cannot be guessed:
/// who has it is its client. Any thread.
///
///   live --socket gone--> parked --claim, or its grace is over--> (gone)
///    `-----claim: the old socket's thread lets go of them----------^
class SessionBook {
 public:
  using Take = std::function<void(GroupStreams)>;
  /// Called on the claimer's thread; lets go on its own, and calls `take` there.
  using Give = std::function<void(Take)>;

  void live(const std::string& session, Give give);
  /// `until`: by then somebody has to have claimed them.
  void park(const std::string& session, GroupStreams streams, MonotonicMs until);
  void forget(const std::string& session);
  /// `take` gets what the session had, on any thread, at once or later; nothing when it is not known.
  void claim(const std::string& session, const Take& take);
  /// Gives up what was parked for too long. True: some are parked still.
  bool sweep(MonotonicMs now);

 private:
  struct Entry {
    Give give = {};  ///< while it lives
    GroupStreams parked = {};
    MonotonicMs until{0};
  };
  std::mutex mutex_;  ///< held to look up, never in a call
  std::map<std::string, Entry> sessions_;
};

}  // namespace troupe::http
