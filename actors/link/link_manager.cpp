#include "actors/link/link_manager.hpp"

#include <chrono>
#include <set>
#include <string>

#include <caf/actor_system.hpp>
#include <caf/atom.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/others.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/clock.hpp"
#include "actors/errors.hpp"
#include "actors/link/envelope.hpp"
#include "actors/link/link_messages.hpp"
#include "base/log.hpp"

namespace troupe::actors {

/// From link_manager to itself.
struct RestartLink {
  std::string name;
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::RestartLink)

namespace troupe::actors {
namespace {

using namespace link;

constexpr std::chrono::seconds publish_timeout{5};

/// Links are never given up: the bound is above what the pauses let happen within the window.
constexpr RestartPolicy::Options restarts{
    .restarts_max = 100'000, .window_ms = 600'000, .backoff_ms_min = 50, .backoff_ms_max = 2'000, .jitter_percent = 20};

class LinkManagerState {
 public:
  using Self = caf::stateful_actor<LinkManagerState>;
  static constexpr const char* name = "link_manager";

  ~LinkManagerState() {
    for (const auto& [child_name, child] : children_) {
      if (child.handle) caf::anon_send_exit(child.handle, caf::exit_reason::user_shutdown);
    }
  }

  caf::behavior make_behavior(Self* self, LinkManagerOptions options, ActorRowPtr row) {
    self_ = self;
    options_ = std::move(options);
    row_ = std::move(row);
    random_ = Prng{options_.seed};
    self_->set_down_handler([this](const caf::down_msg& down) { handle([&] { on_down(down); }); });
    self_->set_default_handler(caf::drop);
    start_children();
    if (options_.listen) {
      close_and_publish();
    } else {
      row_->set_state(ActorState::running);
    }
    return {
        [this](const Envelope& envelope) { handle([&] { on_envelope(envelope); }); },
        [this](const LinkPeers& peers) { handle([&] { set_peers(peers.peers); }); },
        [this](const LinkCluster& cluster) { handle([&] { set_cluster(cluster); }); },
        [this](const LinkContact& contact) { handle([&] { on_contact(contact); }); },
        [this](const RestartLink& restart) {
          handle([&] {
            const auto found = children_.find(restart.name);
            if (found == children_.end() || found->second.handle) return;
            found->second.row->count_restart();
            start(found->second);
          });
        },
    };
  }

 private:
  struct Child {
    BrokerId peer = no_broker;  ///< no_broker: a contact
    std::optional<PeerAddress> address = std::nullopt;
    ActorRowPtr row = {};
    RestartPolicy policy{restarts};
    caf::actor handle = {};  ///< null unless it runs
  };

  template <class Work>
  void handle(Work work) {
    const Handling handling{*row_, now_of(*self_), mailbox_depth(*self_)};
    work();
  }

  // --- the listener

  /// An earlier run of this actor may have it: it goes on at the same port.
  void close_and_publish() {
    const auto port = options_.listener->port.load();
    if (port == 0) return publish(options_.listen->port);
    self_->request(middleman(), publish_timeout, caf::close_atom::value, port)
        .then([this, port] { publish(port); }, [this, port](const caf::error&) { publish(port); });
  }

  void publish(std::uint16_t port) {
    const auto published = [this](std::uint16_t bound) {
      handle([&] {
        options_.listener->port = bound;
        row_->set_state(ActorState::running);
        log::info("listening to other nodes", {log::kv("address", PeerAddress{options_.listen->host, bound})});
      });
    };
    const auto failed = [this](const caf::error& error) {
      handle([&] {
        const auto reason = Error{Errc::wrong_owner, from_caf_error(error).message}.with_context(
            "the cluster listener at " + to_string(*options_.listen) + " cannot be opened");
        row_->set_last_error(to_string(reason));
        self_->quit(to_caf_error(reason));
      });
    };
    self_
        ->request(middleman(), publish_timeout, caf::publish_atom::value, port,
                  caf::actor_cast<caf::strong_actor_ptr>(self_), std::set<std::string>{}, options_.listen->host, true)
        .then(published, failed);
  }

  caf::actor middleman() { return options_.middleman(self_->system()); }

  // --- hellos

  void on_envelope(const Envelope& envelope) {
    const auto from = caf::actor_cast<caf::actor>(self_->current_sender());
    if (!from || envelope.type != static_cast<std::uint16_t>(EnvelopeType::hello)) return;
    const auto hello = decode_hello(envelope.body.bytes);
    if (!hello) return log::warn("a hello that cannot be read", {log::kv("error", hello.error())});
    const auto proof = options_.names ? options_.names->proof_of(from.node()) : Proof{};
    if (const auto refusal = object_to(options_.self, options_.machine.versions, *hello, proof))
      return refuse(from, *refusal);
    if (hello->asks) {
      const Welcome welcome{*common_version(options_.machine.versions, hello->versions), options_.self, hello->session, 0};
      return answer(from, EnvelopeType::welcome, encode(welcome));
    }
    auto found = children_.find(name_of(hello->from.broker));
    if (found == children_.end()) {
      if (strangers() >= options_.strangers_max) {
        return refuse(from, {RefusalReason::full, options_.self, hello->session, "too many nodes have links to this one"});
      }
      found = add(name_of(hello->from.broker), hello->from.broker, std::nullopt);
    }
    if (found->second.handle) caf::anon_send(found->second.handle, LinkGreeted{*hello, from});
  }

  void refuse(const caf::actor& to, const Refusal& refusal) {
    log::info("a node refused", {log::kv("sentence", refusal.sentence)});
    answer(to, EnvelopeType::refusal, encode(refusal));
  }

  void answer(const caf::actor& to, EnvelopeType type, ByteBuffer body) {
    self_->send(to, Envelope{static_cast<std::uint16_t>(type), 1, {Bytes::adopt(std::move(body))}});
  }

  std::size_t strangers() const {
    std::size_t count = 0;
    for (const auto& [child_name, child] : children_) count += child.peer != no_broker && !child.address ? 1 : 0;
    return count;
  }

  // --- peers

  static std::string name_of(BrokerId peer) { return "link/" + to_string(peer); }
  static std::string name_of(const PeerAddress& contact) { return "link/" + to_string(contact); }

  void start_children() {
    add(name_of(options_.self.broker), options_.self.broker, std::nullopt);
    for (const auto& [peer, address] : options_.peers) set_peer(peer, address);
    for (const auto& contact : options_.contacts) {
      if (!children_.contains(name_of(contact))) add(name_of(contact), no_broker, contact);
    }
  }

  void set_peer(BrokerId peer, const PeerAddress& address) {
    if (peer == options_.self.broker || peer < BrokerId{0}) return;
    const auto found = children_.find(name_of(peer));
    if (found == children_.end()) {
      add(name_of(peer), peer, address);
    } else if (found->second.address != address) {
      found->second.address = address;
      if (found->second.handle) caf::anon_send(found->second.handle, LinkAddress{address});
    }
  }

  /// What the metadata says of a broker's address counts more than what was given at the start.
  void set_peers(const std::map<BrokerId, PeerAddress>& peers) {
    for (const auto& [peer, address] : peers) set_peer(peer, address);
    for (auto& [child_name, child] : children_) {
      const bool given = peers.contains(child.peer) || options_.peers.contains(child.peer);
      if (child.peer == no_broker || given || !child.address) continue;
      child.address.reset();  // it ends when its session does
      if (child.handle) caf::anon_send(child.handle, LinkAddress{});
    }
  }

  void set_cluster(const LinkCluster& cluster) {
    options_.self.cluster_id = cluster.cluster_id;
    for (const auto& [child_name, child] : children_) {
      if (child.handle) caf::anon_send(child.handle, cluster);
    }
  }

  void on_contact(const LinkContact& contact) {
    log::info("a contact has answered", {log::kv("address", contact.address), log::kv("broker", contact.identity.broker)});
    options_.peers.emplace(contact.identity.broker, contact.address);
    const auto found = children_.find(name_of(contact.identity.broker));
    if (found == children_.end() || !found->second.address) set_peer(contact.identity.broker, contact.address);
  }

  // --- children

  std::map<std::string, Child>::iterator add(const std::string& child_name, BrokerId peer,
                                             std::optional<PeerAddress> address) {
    const auto added = children_.try_emplace(child_name).first;
    auto& child = added->second;
    child.peer = peer;
    child.address = std::move(address);
    child.row = options_.table->add("link", child_name, row_->name());
    start(child);
    return added;
  }

  void start(Child& child) {
    child.row->set_state(ActorState::starting);
    if (child.peer == options_.self.broker) {
      child.handle = spawn_loopback(self_->system(), options_.self, options_.directory, child.row);
    } else {
      LinkOptions link{.machine = options_.machine,
                       .directory = options_.directory,
                       .probe = options_.probe,
                       .middleman = options_.middleman,
                       .names = options_.names,
                       .manager = {}};
      link.machine.self = options_.self;
      link.machine.peer = child.peer;
      link.machine.address = child.address;
      link.machine.seed = random_.next();
      // A cycle of handles, until the contact has answered or this actor ends it.
      if (child.peer == no_broker) link.manager = caf::actor_cast<caf::actor>(self_);
      child.handle = spawn_link(self_->system(), std::move(link), child.row);
    }
    self_->monitor(child.handle);
    if (child.peer != no_broker) options_.directory->set_link(child.peer, child.handle);
  }

  void on_down(const caf::down_msg& down) {
    const auto found = std::find_if(children_.begin(), children_.end(), [&](const auto& one) {
      return one.second.handle && one.second.handle.address() == down.source;
    });
    if (found == children_.end()) return;
    auto& child = found->second;
    child.handle = nullptr;
    // It has ended by itself; a peer that came back into the lists meanwhile has it again.
    if (!down.reason) {
      if (child.peer != no_broker && child.address) return start(child);
      if (child.peer != no_broker) options_.directory->remove_link(child.peer);
      options_.table->remove(child.row->kind(), child.row->name());
      children_.erase(found);
      return;
    }
    const auto error = from_caf_error(down.reason);
    child.row->set_last_error(to_string(error));
    child.row->set_state(ActorState::waiting_restart);
    const auto pause = child.policy.on_failure(now_of(*self_), random_).value_or(restarts.backoff_ms_max);
    log::warn("link failed", {log::kv("name", found->first), log::kv("restart_in_ms", pause), log::kv("error", error)});
    self_->delayed_send(self_, std::chrono::milliseconds(pause), RestartLink{found->first});
  }

  Self* self_ = nullptr;
  LinkManagerOptions options_;
  ActorRowPtr row_;
  Prng random_{0};
  std::map<std::string, Child> children_;
};

caf::behavior link_manager(LinkManagerState::Self* self, LinkManagerOptions options, ActorRowPtr row) {
  return self->state.make_behavior(self, std::move(options), std::move(row));
}

}  // namespace

caf::actor spawn_link_manager(caf::actor_system& system, LinkManagerOptions options, ActorRowPtr row) {
  return system.spawn(link_manager, std::move(options), std::move(row));
}

}  // namespace troupe::actors
