#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "core/metadata/cluster_requests.hpp"
#include "core/metadata/metadata_image.hpp"
#include "core/metadata/peer_runs.hpp"

namespace troupe::metadata {

/// What the active controller alone knows of the brokers: when each was heard last. Nothing of it is written: a new controller begins with
/// what its links know (PeerRuns, which goes on whoever is the controller), and gives a full session to everybody else, so that a change of
/// controllers fences nobody who is well.
///
///   heard ----- session_timeout_ms -----> silent: to be fenced, again and again until the image says that it is
///                      `peer_gone` ----'
///
/// When it begins: a broker whose process has ended is silent at once, one whose link is lost a session after the link heard it last. A
/// broker that there was never a link to counts as heard now.
///
/// The caller shows every new image by `update` before anything else, and asks `take_silent` at `next_deadline`.
/// Source: KIP-631 (registration, heartbeats).
class Liveness {
 public:
  struct Options {
    /// Several heartbeats, and shorter than people notice. The links see most deaths much earlier.
    Millis session_timeout_ms = 1'500;
    Millis fence_retry_ms = 250;  ///< a fence that was not committed meanwhile is asked for again
  };

  explicit Liveness(Options options) : options_(options) {}

  /// This node is the active controller from now on. What peers do is told before that, too.
  void start(const MetadataImage& image, MonotonicMs now);
  void update(const MetadataImage& image, MonotonicMs now);

  struct Outcome {
    HeartbeatAnswer answer = {};
    std::optional<ClusterRequest> wants = {};  ///< to be decided: UnfenceBrokerRequest, StopBrokerRequest
  };
  /// Errors: broker_id_not_registered, stale_broker_epoch: in both cases it has to register.
  Result<Outcome> heartbeat(const MetadataImage& image, const HeartbeatRequest& request, MonotonicMs now);

  /// There is a link to that run of it. Another run that is registered has ended.
  void peer_up(BrokerId broker, const Uuid& incarnation, MonotonicMs now);
  /// The link to that run is lost, which was heard last at `heard_at`.
  void peer_down(BrokerId broker, const Uuid& incarnation, MonotonicMs heard_at);
  /// Its connection closed and a new one was refused. `incarnation`: of the run that is meant, nil for any; another one is passed over.
  void peer_gone(BrokerId broker, const Uuid& incarnation, MonotonicMs now);

  /// Whether a registration may be decided. Errors: duplicate_broker_registration (another run with this id is alive).
  Status check_registration(const RegisterBrokerRequest& request, MonotonicMs now) const;

  /// Whom to fence now.
  std::vector<FenceBrokerRequest> take_silent(MonotonicMs now);
  std::optional<MonotonicMs> next_deadline() const;

 private:
  struct Session {
    Uuid incarnation = {};
    Offset broker_epoch = no_offset;
    bool fenced = false;
    bool may_stop = false;                ///< it was told so: it is as good as gone
    MonotonicMs silent_at{0};             ///< unless it is heard before
    MonotonicMs granted{0};               ///< the full session that it had without having been heard
    MonotonicMs retry_at{0};              ///< of the fence, when it is silent
    Offset applied{0};                    ///< as it said last
    std::optional<Offset> stopping = {};  ///< who has applied the metadata below this knows that it stops
  };

  Session begin(const BrokerRegistration& broker, MonotonicMs now) const;
  bool everybody_knows(BrokerId stopping, Offset offset, MonotonicMs now) const;

  const Options options_;
  std::map<BrokerId, Session> sessions_;
  PeerRuns runs_;
};

}  // namespace troupe::metadata
