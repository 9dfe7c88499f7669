#include "actors/link/link.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <unordered_map>
#include <variant>

#include <caf/actor_system.hpp>
#include <caf/atom.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/others.hpp>
#include <caf/send.hpp>
#include <caf/sec.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/link/envelope.hpp"
#include "actors/link/link_messages.hpp"
#include "base/log.hpp"

namespace troupe::actors {
namespace {

using namespace link;  // the machine's effects

/// Somebody listens there. invalid_config: it is not as it would have to be, and trying again will not help.
Error why_not_connected(const caf::error& error) {
  if (error == caf::sec::disconnect_during_handshake) {
    return {Errc::invalid_config,
            "the other side ended the connection before it said who it is, as a node with TLS does to one "
            "without"};
  }
  auto why = from_caf_error(error);
  return {why.code == Errc::invalid_config ? why.code : Errc::broker_not_available, std::move(why.message)};
}

class LinkState {
 public:
  using Self = caf::stateful_actor<LinkState>;
  static constexpr const char* name = "link";

  /// Calls that wait are ended by their tickets.
  ~LinkState() {
    if (machine_ && machine_->state() == LinkMachine::State::up) {
      options_.directory->tell({options_.machine.peer, machine_->incarnation(), false, false, now()});
    }
  }

  caf::behavior make_behavior(Self* self, LinkOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    machine_.emplace(options_.machine);
    self_->set_down_handler([this](const caf::down_msg& down) {
      handle([&] {
        const auto gone = numbers_.find(down.source);
        if (gone != numbers_.end()) perform(machine_->remote_down(now(), gone->second));
      });
    });
    // What another node sends that we do not know is no reason to stop.
    self_->set_default_handler(caf::drop);
    row_->set_state(ActorState::running);
    perform(machine_->start(now()));
    return {
        [this](const Envelope& envelope) { handle([&] { on_envelope(envelope); }); },
        [this](const LinkSend& send) { handle([&] { perform(machine_->send(send.channel, send.payload)); }); },
        [this](const LinkCall& call) { handle([&] { on_call(call); }); },
        [this](const LinkAnswer& answer) { handle([&] { perform(machine_->answer(answer.call, answer.answer)); }); },
        [this](const LinkFlush&) { handle([&] { perform(machine_->flush(now())); }); },
        [this](const LinkTick&) {
          handle([&] {
            armed_.reset();
            perform(machine_->tick(now()));
          });
        },
        [this](const LinkProbed& probed) {
          handle([&] { perform(machine_->probed(now(), probed.attempt, probed.result)); });
        },
        [this](const LinkGreeted& greeted) {
          handle([&] { perform(machine_->greeted(now(), number_of(greeted.from), greeted.hello)); });
        },
        [this](const LinkAddress& change) {
          handle([&] {
            may_end_ = true;
            perform(machine_->set_address(now(), change.address));
          });
        },
        [this](const LinkCluster& change) { handle([&] { machine_->set_cluster_id(change.cluster_id); }); },
    };
  }

 private:
  MonotonicMs now() const { return now_of(*self_); }

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now(), mailbox_depth(*self_)};
    work();
  }

  // --- actors of other nodes, as the machine knows them

  Remote number_of(const caf::actor& remote) {
    const auto [found, added] = numbers_.try_emplace(remote.address(), last_remote_ + 1);
    if (added) remotes_.emplace(++last_remote_, remote);
    return found->second;
  }
  void forget(Remote number) {
    const auto found = remotes_.find(number);
    if (found == remotes_.end()) return;
    if (watched_.erase(number) != 0) self_->demonitor(found->second);
    numbers_.erase(found->second.address());
    remotes_.erase(found);
  }

  void on_envelope(const Envelope& envelope) {
    const auto sender = caf::actor_cast<caf::actor>(self_->current_sender());
    if (!sender) return;
    // Only a welcome comes from an actor that we have not heard of.
    const auto type = static_cast<EnvelopeType>(envelope.type);
    const auto known = numbers_.find(sender.address());
    const auto from = known != numbers_.end()         ? known->second
                      : type == EnvelopeType::welcome ? number_of(sender)
                                                      : Remote{0};
    const bool begins = type == EnvelopeType::welcome && options_.names;
    perform(machine_->received(now(), from, type, envelope.version, envelope.body.bytes,
                               begins ? options_.names->proof_of(sender.node()) : Proof{}));
  }

  void on_call(const LinkCall& call) {
    const auto key = ++last_key_;
    tickets_.emplace(key, call.ticket);
    perform(machine_->call(now(), call.channel, call.payload, call.timeout_ms, key));
  }

  // --- effects

  void perform(LinkEffects effects) {
    for (auto& effect : effects) std::visit([this](auto& one) { perform_one(one); }, effect);
    arm_timer();
    may_end_ = may_end_ || machine_->state() != LinkMachine::State::idle;
    const bool useless = machine_->state() == LinkMachine::State::idle && !machine_->has_address();
    if (useless && may_end_ && !ended_) end();
  }

  void perform_one(const StartProbe& effect) {
    const auto done = [address = self_->address(), attempt = effect.attempt](ProbeResult result) {
      if (const auto self = caf::actor_cast<caf::actor>(address))
        caf::anon_send(self, LinkProbed{attempt, std::move(result)});
    };
    options_.probe->probe(effect.address, effect.timeout_ms, done);
  }

  void perform_one(const StartConnect& effect) {
    const auto attempt = effect.attempt;
    self_
        ->request(options_.middleman(self_->system()), std::chrono::milliseconds(effect.timeout_ms),
                  caf::connect_atom::value, effect.address.host, effect.address.port)
        .then(
            [this, attempt](const caf::node_id&, const caf::strong_actor_ptr& actor, const std::set<std::string>&) {
              handle([&] {
                const auto endpoint = caf::actor_cast<caf::actor>(actor);
                perform(endpoint ? machine_->connected(now(), attempt, number_of(endpoint))
                                 : machine_->connected(now(), attempt,
                                                       Error{Errc::broker_not_available, "nothing of ours listens there"}));
              });
            },
            [this, attempt](const caf::error& error) {
              handle([&] { perform(machine_->connected(now(), attempt, why_not_connected(error))); });
            });
  }

  void perform_one(const SendEnvelope& effect) {
    const auto found = remotes_.find(effect.to);
    if (found == remotes_.end()) return;
    self_->send(found->second, Envelope{static_cast<std::uint16_t>(effect.type), effect.version, {effect.body}});
  }

  void perform_one(const WatchRemote& effect) {
    const auto found = remotes_.find(effect.remote);
    if (found != remotes_.end() && watched_.insert(effect.remote).second) self_->monitor(found->second);
  }

  void perform_one(const ForgetRemote& effect) { forget(effect.remote); }

  void perform_one(DeliverMessage& effect) {
    const auto receiver = options_.directory->receiver(effect.channel);
    if (receiver) {
      caf::anon_send(receiver,
                     PeerMessage{effect.from, effect.incarnation, effect.channel, effect.call, std::move(effect.payload)});
    } else if (effect.call != 0) {
      caf::anon_send(self_,
                     LinkAnswer{effect.call, Error{Errc::broker_not_available, "nobody there serves that channel yet"}});
    }
  }

  void perform_one(EndCall& effect) {
    const auto found = tickets_.find(effect.key);
    if (found == tickets_.end()) return;
    found->second->end(std::move(effect.answer));
    tickets_.erase(found);
  }

  void perform_one(const TellState& effect) {
    const auto peer = options_.machine.peer;
    options_.directory->tell({peer, effect.incarnation, effect.up, effect.refused, effect.heard_at});
    if (effect.reason) row_->set_last_error(to_string(*effect.reason));
    if (effect.up) {
      log::info("link up", {log::kv("broker", peer), log::kv("incarnation", effect.incarnation)});
    } else {
      log::warn(effect.refused ? "broker gone" : "link down",
                {log::kv("broker", peer), log::kv("incarnation", effect.incarnation), log::kv("reason", *effect.reason)});
    }
  }

  void perform_one(const TellIdentity& effect) {
    if (options_.manager) caf::anon_send(options_.manager, LinkContact{*options_.machine.address, effect.identity});
    end();
  }

  void perform_one(const NoteTrouble& effect) {
    row_->set_last_error(to_string(effect.error));
    options_.directory->note_trouble(options_.machine.peer, effect.error);
    log::info("no link", {log::kv("broker", options_.machine.peer), log::kv("reason", effect.error)});
  }

  void perform_one(const WantFlush&) { self_->send(self_, LinkFlush{}); }

  void end() {
    ended_ = true;
    options_.directory->forget_trouble(options_.machine.peer);
    row_->set_state(ActorState::stopped);
    self_->quit();
  }

  /// One timer, for the earliest deadline; one that comes too early arms the next.
  void arm_timer() {
    const auto due = machine_->next_deadline();
    if (!due || (armed_ && *armed_ <= *due)) return;
    armed_ = due;
    self_->delayed_send(self_, std::chrono::milliseconds(std::max<Millis>(0, *due - now())), LinkTick{});
  }

  Self* self_ = nullptr;
  LinkOptions options_;
  ActorRowPtr row_;
  std::optional<LinkMachine> machine_;
  std::unordered_map<Remote, caf::actor> remotes_;
  std::map<caf::actor_addr, Remote> numbers_;
  std::set<Remote> watched_;
  Remote last_remote_ = 0;
  std::unordered_map<std::uint64_t, CallTicketPtr> tickets_;
  std::uint64_t last_key_ = 0;
  std::optional<MonotonicMs> armed_;
  bool may_end_ = false;  ///< not before its first greeting: it may have been made for one that comes now
  bool ended_ = false;
};

caf::behavior link_actor(LinkState::Self* self, LinkOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_link(caf::actor_system& system, LinkOptions options, ActorRowPtr row) {
  return system.spawn(link_actor, std::move(options), std::move(row));
}

}  // namespace troupe::actors
