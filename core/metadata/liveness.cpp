#include "core/metadata/liveness.hpp"

#include <algorithm>

#include "core/metadata/broker_lifecycle.hpp"

namespace troupe::metadata {

void Liveness::start(const MetadataImage& image, MonotonicMs now) {
  sessions_.clear();
  update(image, now);
}

void Liveness::update(const MetadataImage& image, MonotonicMs now) {
  std::erase_if(sessions_, [&](const auto& session) { return image.find_broker(session.first) == nullptr; });
  for (const auto& broker : image.registrations()) {
    auto& session = sessions_[broker.broker.id];
    if (session.broker_epoch != broker.broker_epoch) session = begin(broker, now);
    session.fenced = broker.fenced;
    if (broker.stopping && !session.stopping) session.stopping = image.applied();
  }
}

Liveness::Session Liveness::begin(const BrokerRegistration& broker, MonotonicMs now) const {
  const auto full = now + options_.session_timeout_ms;
  Session session{
      .incarnation = broker.incarnation, .broker_epoch = broker.broker_epoch, .silent_at = full, .granted = full};
  const auto seen = runs_.of(broker.broker.id, broker.incarnation);
  if (seen.standing == PeerRuns::Standing::ended) session.silent_at = now;
  if (seen.standing == PeerRuns::Standing::silent) {
    session.silent_at = std::clamp(seen.heard_at + options_.session_timeout_ms, now, full);
  }
  return session;
}

Result<Liveness::Outcome> Liveness::heartbeat(const MetadataImage& image, const HeartbeatRequest& request, MonotonicMs now) {
  const auto* broker = image.find_broker(request.broker);
  const auto at = sessions_.find(request.broker);
  if (broker == nullptr || at == sessions_.end()) {
    return Error{Errc::broker_id_not_registered, "broker " + to_string(request.broker) + " is not registered"};
  }
  if (broker->broker_epoch.value() != request.broker_epoch.value()) {
    return Error{Errc::stale_broker_epoch, "broker " + to_string(request.broker) + " is registered with broker epoch " +
                                               to_string(broker->broker_epoch) + ", not " + to_string(request.broker_epoch)};
  }
  auto& session = at->second;
  session.silent_at = now + options_.session_timeout_ms;
  session.applied = std::max(session.applied, request.applied);

  Outcome outcome;
  outcome.answer.fenced = broker->fenced;
  if (broker->draining || broker->stopping) {
    const auto load = load_of(image, request.broker);
    outcome.answer.drained = broker->draining && load.leads == 0;
    outcome.answer.may_stop = request.wants_shutdown && load.movable == 0 && session.stopping &&
                              everybody_knows(request.broker, *session.stopping, now);
  }
  if (request.wants_shutdown) {
    if (broker->fenced) {
      outcome.answer.may_stop = true;
    } else if (!broker->stopping) {
      outcome.wants = StopBrokerRequest{request.broker, request.broker_epoch};
    }
  } else if (broker->fenced && request.applied > broker->broker_epoch) {
    outcome.wants = UnfenceBrokerRequest{request.broker, request.broker_epoch};
  }
  session.may_stop = outcome.answer.may_stop;
  return outcome;
}

/// Who is silent does not count: it will be fenced.
bool Liveness::everybody_knows(BrokerId stopping, Offset offset, MonotonicMs now) const {
  return std::ranges::all_of(sessions_, [&](const auto& one) {
    const auto& [id, session] = one;
    return id == stopping || session.fenced || session.silent_at <= now || session.applied >= offset;
  });
}

void Liveness::peer_up(BrokerId broker, const Uuid& incarnation, MonotonicMs now) {
  runs_.up(broker, incarnation);
  const auto at = sessions_.find(broker);
  if (at == sessions_.end()) return;
  auto& session = at->second;
  if (session.incarnation == incarnation) {
    session.silent_at = std::max(session.silent_at, session.granted);
  } else if (runs_.of(broker, session.incarnation).standing == PeerRuns::Standing::ended) {
    session.silent_at = std::min(session.silent_at, now);
  }
}

void Liveness::peer_down(BrokerId broker, const Uuid& incarnation, MonotonicMs heard_at) {
  runs_.down(broker, incarnation, heard_at);
  const auto at = sessions_.find(broker);
  if (at == sessions_.end() || incarnation != at->second.incarnation) return;
  at->second.silent_at = std::min(at->second.silent_at, heard_at + options_.session_timeout_ms);
}

void Liveness::peer_gone(BrokerId broker, const Uuid& incarnation, MonotonicMs now) {
  runs_.gone(broker, incarnation);
  const auto at = sessions_.find(broker);
  if (at == sessions_.end() || (!incarnation.is_nil() && incarnation != at->second.incarnation)) return;
  at->second.silent_at = std::min(at->second.silent_at, now);
}

Status Liveness::check_registration(const RegisterBrokerRequest& request, MonotonicMs now) const {
  const auto at = sessions_.find(request.broker.id);
  if (at == sessions_.end()) return ok();
  const auto& session = at->second;
  const bool same_process =
      session.incarnation == request.incarnation || session.incarnation == request.previous_incarnation;
  if (same_process || session.may_stop || session.silent_at <= now) return ok();
  return Error{Errc::duplicate_broker_registration, "another process is broker " + to_string(request.broker.id) +
                                                        ", and was alive within the last " +
                                                        std::to_string(options_.session_timeout_ms) + " ms"};
}

std::vector<FenceBrokerRequest> Liveness::take_silent(MonotonicMs now) {
  std::vector<FenceBrokerRequest> silent;
  for (auto& [id, session] : sessions_) {
    if (session.fenced || session.silent_at > now || session.retry_at > now) continue;
    session.retry_at = now + options_.fence_retry_ms;
    silent.push_back({id, BrokerEpoch{session.broker_epoch.value()}});
  }
  return silent;
}

std::optional<MonotonicMs> Liveness::next_deadline() const {
  std::optional<MonotonicMs> next;
  for (const auto& [id, session] : sessions_) {
    if (session.fenced) continue;
    const auto at = std::max(session.silent_at, session.retry_at);
    if (!next || at < *next) next = at;
  }
  return next;
}

}  // namespace troupe::metadata
