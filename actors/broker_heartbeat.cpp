#include "actors/broker_heartbeat.hpp"

#include <chrono>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "base/log.hpp"
#include "core/metadata/heartbeat_codec.hpp"

namespace troupe::actors {

/// From a broker_heartbeat to itself.
struct HeartbeatTick {};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::HeartbeatTick)

namespace troupe::actors {
namespace {

constexpr Millis answer_ms_max = 1'000;
constexpr auto registration_timeout = std::chrono::seconds(10);
/// While somebody waits for the node to end, each answer brings it nearer.
constexpr Millis stopping_interval_ms = 25;

class BrokerHeartbeatState {
 public:
  using Self = caf::stateful_actor<BrokerHeartbeatState>;
  static constexpr const char* name = "broker_heartbeat";

  caf::behavior make_behavior(Self* self, BrokerHeartbeatOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    row_->set_state(ActorState::running);
    beat();
    return {
        [this](const HeartbeatTick&) { handle([&] { beat(); }); },
        [this](const PeerAnswer& answer) {
          handle([&] {
            if (answer.token == number_) answered(answer.answer);
          });
        },
    };
  }

 private:
  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now_of(*self_), mailbox_depth(*self_)};
    work();
  }

  void beat() {
    const bool stopping = options_.standing->wants_shutdown.load();
    const auto pause = stopping ? std::min(stopping_interval_ms, options_.interval_ms) : options_.interval_ms;
    self_->delayed_send(self_, std::chrono::milliseconds(pause), HeartbeatTick{});
    const auto image = options_.images->get();
    if (options_.on_image && image != seen_) options_.on_image(*image);
    seen_ = image;
    const auto* registered = image->find_broker(options_.broker.id);
    const auto controller = image->controller_id();
    if (registered == nullptr || controller == no_broker) return;  // of the first registration metadata_quorum takes care
    // An answer that is still out is not waited for: what it would say is old.
    const auto bytes = metadata::encode_heartbeat({.broker = options_.broker.id,
                                                   .broker_epoch = BrokerEpoch{registered->broker_epoch.value()},
                                                   .applied = image->applied(),
                                                   .wants_shutdown = stopping});
    options_.links->call(controller, Channel::metadata, Bytes::copy_of(bytes), answer_ms_max, ++number_,
                         caf::actor_cast<caf::actor>(self_));
  }

  void answered(const Result<Bytes>& answer) {
    auto& standing = *options_.standing;
    const auto said = answer ? metadata::decode_heartbeat_answer(answer->view()) : answer.error();
    standing.heard = said.has_value();
    if (said) {
      if (said->fenced && !standing.fenced) log::warn("this broker is fenced: others lead its partitions");
      if (!said->fenced && standing.fenced) log::info("this broker is no longer fenced");
      standing.fenced = said->fenced;
      standing.drained = said->drained;
      standing.may_stop = said->may_stop;
      return;
    }
    const auto code = said.error().code;
    if (code == Errc::stale_broker_epoch || code == Errc::broker_id_not_registered) register_anew(said.error());
  }

  /// This image may only be behind: then the registration changes nothing.
  void register_anew(const Error& why) {
    const auto quorum = options_.metadata_quorum();
    if (!quorum || registering_) return;
    registering_ = true;
    log::warn("this broker registers anew", {log::kv("why", why)});
    self_->request(quorum, registration_timeout, RegisterBroker{options_.broker, options_.incarnation})
        .then([this](const Done&) { registering_ = false; },
              [this](caf::error& error) {
                registering_ = false;
                row_->set_last_error(to_string(from_caf_error(error)));
              });
  }

  Self* self_ = nullptr;
  BrokerHeartbeatOptions options_;
  ActorRowPtr row_;
  std::uint64_t number_ = 0;
  metadata::ImagePtr seen_;
  bool registering_ = false;
};

caf::behavior broker_heartbeat(BrokerHeartbeatState::Self* self, BrokerHeartbeatOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_broker_heartbeat(caf::actor_system& system, BrokerHeartbeatOptions options, ActorRowPtr row) {
  return system.spawn(broker_heartbeat, std::move(options), std::move(row));
}

}  // namespace troupe::actors
