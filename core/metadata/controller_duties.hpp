#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "core/metadata/liveness.hpp"

namespace troupe::metadata {

/// To be decided by the controller, as any command of its own node. Nobody waits for the answer: what was not done is asked for again.
struct DecideCluster {
  ClusterRequest request = {};
};
struct AnswerHeartbeat {
  std::uint64_t token = 0;
  Result<HeartbeatAnswer> answer = HeartbeatAnswer{};
};
using DutyEffect = std::variant<DecideCluster, AnswerHeartbeat>;
using DutyEffects = std::vector<DutyEffect>;

/// What the active controller does unasked: it hears brokers' heartbeats, takes partitions from those that fell silent, lets back those
/// that are there again, and keeps leaders where they belong.
///
///   passive --- begin ---> active --- end ---> passive
///
/// Passive it answers heartbeats with not_controller, and does nothing but remember what the links tell of other nodes.
class ControllerDuties {
 public:
  struct Options {
    Liveness::Options liveness = {};
    /// Between looks at who should lead what: a preferred leader is back, a draining one leads still, somebody can lead again.
    Millis balance_ms = 5'000;
    std::size_t balance_moves_max = 100;  ///< leaders that change at once: each makes its clients look again
  };

  explicit ControllerDuties(const Options& options) : options_(options), liveness_(options.liveness) {}

  /// This node may decide from now on; `image` is what it decides from.
  DutyEffects begin(const ImagePtr& image, MonotonicMs now);
  /// Another one may.
  void end() { image_ = nullptr; }
  /// The image has changed.
  void on_image(const ImagePtr& image, MonotonicMs now);

  /// Errors of the answer: not_controller, broker_id_not_registered, stale_broker_epoch.
  DutyEffects heartbeat(std::uint64_t token, const HeartbeatRequest& request, MonotonicMs now);
  /// There is a link to that run of a broker.
  DutyEffects peer_up(BrokerId broker, const Uuid& incarnation, MonotonicMs now);
  /// The link to that run is lost, which was heard last at `heard_at`.
  DutyEffects peer_down(BrokerId broker, const Uuid& incarnation, MonotonicMs heard_at, MonotonicMs now);
  /// That run of a broker is gone: its connection closed, and a new one was refused.
  DutyEffects peer_gone(BrokerId broker, const Uuid& incarnation, MonotonicMs now);
  /// Whether a registration may be decided. Errors: duplicate_broker_registration.
  Status check_registration(const RegisterBrokerRequest& request, MonotonicMs now) const;

  std::optional<MonotonicMs> next_deadline() const;
  DutyEffects on_deadline(MonotonicMs now);

 private:
  void fence_silent(MonotonicMs now, DutyEffects& effects);

  const Options options_;
  Liveness liveness_;
  ImagePtr image_;  ///< null: passive
  MonotonicMs balance_at_{0};
};

}  // namespace troupe::metadata
