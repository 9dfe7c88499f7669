#include "core/metadata/controller_duties.hpp"

#include <algorithm>

namespace troupe::metadata {

DutyEffects ControllerDuties::begin(const ImagePtr& image, MonotonicMs now) {
  image_ = image;
  liveness_.start(*image_, now);
  balance_at_ = now + options_.balance_ms;
  DutyEffects effects;
  fence_silent(now, effects);
  return effects;
}

void ControllerDuties::on_image(const ImagePtr& image, MonotonicMs now) {
  if (!image_) return;
  image_ = image;
  liveness_.update(*image_, now);
}

DutyEffects ControllerDuties::heartbeat(std::uint64_t token, const HeartbeatRequest& request, MonotonicMs now) {
  DutyEffects effects;
  if (!image_) {
    effects.emplace_back(AnswerHeartbeat{token, Error{Errc::not_controller, "this node is not the active controller"}});
    return effects;
  }
  auto outcome = liveness_.heartbeat(*image_, request, now);
  if (!outcome) {
    effects.emplace_back(AnswerHeartbeat{token, std::move(outcome).error()});
    return effects;
  }
  effects.emplace_back(AnswerHeartbeat{token, outcome->answer});
  if (outcome->wants) effects.emplace_back(DecideCluster{std::move(*outcome->wants)});
  return effects;
}

DutyEffects ControllerDuties::peer_up(BrokerId broker, const Uuid& incarnation, MonotonicMs now) {
  DutyEffects effects;
  liveness_.peer_up(broker, incarnation, now);
  fence_silent(now, effects);
  return effects;
}

DutyEffects ControllerDuties::peer_down(BrokerId broker, const Uuid& incarnation, MonotonicMs heard_at, MonotonicMs now) {
  DutyEffects effects;
  liveness_.peer_down(broker, incarnation, heard_at);
  fence_silent(now, effects);
  return effects;
}

DutyEffects ControllerDuties::peer_gone(BrokerId broker, const Uuid& incarnation, MonotonicMs now) {
  DutyEffects effects;
  liveness_.peer_gone(broker, incarnation, now);
  fence_silent(now, effects);
  return effects;
}

Status ControllerDuties::check_registration(const RegisterBrokerRequest& request, MonotonicMs now) const {
  return image_ ? liveness_.check_registration(request, now) : ok();
}

std::optional<MonotonicMs> ControllerDuties::next_deadline() const {
  if (!image_) return std::nullopt;
  const auto silent = liveness_.next_deadline();
  return silent ? std::min(*silent, balance_at_) : balance_at_;
}

DutyEffects ControllerDuties::on_deadline(MonotonicMs now) {
  DutyEffects effects;
  if (!image_) return effects;
  fence_silent(now, effects);
  if (balance_at_ <= now) {
    balance_at_ = now + options_.balance_ms;
    // Alone there is nobody to lead instead.
    if (image_->registrations().size() > 1) {
      effects.emplace_back(DecideCluster{BalanceLeadersRequest{.moves_max = options_.balance_moves_max}});
    }
  }
  return effects;
}

void ControllerDuties::fence_silent(MonotonicMs now, DutyEffects& effects) {
  if (!image_) return;
  for (auto& one : liveness_.take_silent(now)) effects.emplace_back(DecideCluster{one});
}

}  // namespace troupe::metadata
