#pragma once

#include <optional>
#include <string_view>

#include "base/prng.hpp"
#include "core/link/calls.hpp"
#include "core/link/inbox.hpp"
#include "core/link/link_effects.hpp"
#include "core/link/outbox.hpp"

namespace troupe::link {

/// One node's side of the link to one other node. Pure: time is an argument, what is to be done comes back as effects.
///
///                       .--------------------- an address ---------------------.
///                       v                                                      |
///   idle --address--> probing --open--> connecting --handle--> greeting --refused, no answer--.
///                      |  ^  \--open--> expecting --patience--^   |                            |
///                      |  |            (the lower id connects)    | welcome                    |
///          not open    v  |                                       v                            v
///                    resting <-- silence, end, broken packet --- up <-- a hello, in any state  resting
///
/// The node with the lower id opens the connection, since two connections at once would close each other; the other one waits for it and
/// does it itself when it has waited too long. A hello is accepted in every state but two: while up with another run of that broker
/// (duplicate, until the old one has ended or been silent for too long), and while greeting it when our id is the lower one (busy).
///
/// A peer is suspected, and the session ended, when nothing came for `suspicion_ms`; both sides send something at least every `ping_ms`.
/// A session that ends is tried anew at once: if nobody listens there any more, the process is gone, and that is told (`refused`). It is
/// looked for again meanwhile, in `expecting`, `connecting` and `greeting`.
class LinkMachine {
 public:
  struct Options {
    Identity self = {};
    BrokerId peer = no_broker;  ///< no_broker: only find out who answers at the address
    std::optional<PeerAddress> address = std::nullopt;
    VersionRange versions = {};
    Millis ping_ms = 150;
    Millis suspicion_ms = 800;
    Millis probe_timeout_ms = 500;
    Millis connect_timeout_ms = 1'000;
    Millis hello_timeout_ms = 500;
    Millis patience_ms = 300;  ///< for a peer that is to connect to us; and up to as much again, by chance
    Millis retry_ms_min = 50;  ///< after an attempt, doubled each time up to the most, and up to half less by chance
    Millis retry_ms_max = 1'000;
    /// A process that ends closes its connections first and its listener last, so that it seems to be there. After a loss it is looked for
    /// again at these pauses, which double, while an answer is waited for.
    Millis look_ms_min = 25;
    Millis look_ms_max = 400;
    Millis misfit_retry_ms = 3'000;  ///< after an answer that time alone will not change: another cluster, another broker
    std::size_t calls_max = 4'096;   ///< of this node, under way; beyond it: overloaded
    std::size_t incoming_max = 16'384;
    Outbox::Options outbox = {};
    std::uint64_t seed = 0;
  };
  /// confirming: the other side's hello is welcomed, and no packet of the session has come yet.
  enum class State : std::uint8_t { idle, resting, probing, expecting, connecting, greeting, confirming, up };

  explicit LinkMachine(const Options& options);

  // --- what the shell tells it

  LinkEffects start(MonotonicMs now);
  /// From the next attempt on; a session that is up goes on. nullopt: it waits to be greeted.
  LinkEffects set_address(MonotonicMs now, std::optional<PeerAddress> address);
  /// The node has been formatted.
  void set_cluster_id(const Uuid& cluster_id) { options_.self.cluster_id = cluster_id; }

  LinkEffects probed(MonotonicMs now, std::uint64_t attempt, const ProbeResult& result);
  LinkEffects connected(MonotonicMs now, std::uint64_t attempt, Result<Remote> remote);
  /// A hello for this link, from another node's link actor.
  LinkEffects greeted(MonotonicMs now, Remote from, const Hello& hello);
  /// Any other envelope from another node's link actor; `proof` is of the connection that it came over, and counts for a welcome.
  LinkEffects received(MonotonicMs now, Remote from, EnvelopeType type, std::uint16_t version, const Bytes& body,
                       const Proof& proof = {});
  LinkEffects remote_down(MonotonicMs now, Remote remote);

  LinkEffects send(Channel channel, Bytes payload);
  /// Ended by one EndCall with `key`, whatever happens.
  LinkEffects call(MonotonicMs now, Channel channel, Bytes payload, Millis timeout_ms, std::uint64_t key);
  LinkEffects answer(std::uint64_t call, Result<Bytes> answer);
  LinkEffects flush(MonotonicMs now);

  LinkEffects tick(MonotonicMs now);
  std::optional<MonotonicMs> next_deadline() const;
  /// The shell ends: calls under way are answered.
  LinkEffects stop();

  // --- what it is like

  State state() const { return state_; }
  const std::optional<Error>& trouble() const { return trouble_; }
  const Uuid& incarnation() const { return peer_.incarnation; }
  std::uint64_t dropped() const { return dropped_; }  ///< messages that did not fit
  bool has_address() const { return options_.address.has_value(); }

 private:
  void probe(MonotonicMs now);
  void connect(MonotonicMs now);
  void greet(MonotonicMs now, Remote remote);
  void rest(MonotonicMs now, Millis at_most_ms);
  bool waits_for_peer() const;
  void look_again(MonotonicMs now);
  void looked(MonotonicMs now, std::uint64_t attempt, const ProbeResult& result);
  void tell_refused();
  void fail(MonotonicMs now, Error error);
  void misfit(MonotonicMs now, Error error);
  void note(Error error);
  void prepare(MonotonicMs now, Remote remote, const Identity& identity, std::uint16_t version, std::uint64_t session);
  void rise();
  void abandon(MonotonicMs now, Error reason);
  /// `keep`: the remote that the next session is with.
  void end_session(const Error& reason, Remote keep = 0);
  void forget(Remote remote);
  void lose(MonotonicMs now, Error reason);
  void drop_greeting();
  void end_calls(const std::vector<std::uint64_t>& unsent, const std::string& reason);
  void welcomed(MonotonicMs now, Remote from, const Bytes& body, const Proof& proof);
  void refused(MonotonicMs now, const Bytes& body);
  void packet(MonotonicMs now, const Bytes& body);
  Status take(MonotonicMs now, Packet packet, std::size_t size);
  Status deliver(MonotonicMs now, Chunk whole);
  void put_answer(const IncomingCall& call, Result<Bytes> answer);
  void send_packet(MonotonicMs now, ByteBuffer body);
  PacketHead head() const;
  void pump(MonotonicMs now);
  void expire_calls(MonotonicMs now);
  bool is_our_turn() const { return options_.peer == no_broker || options_.self.broker < options_.peer; }
  Millis less_by_chance(Millis ms) {
    return ms - static_cast<Millis>(random_.below(static_cast<std::uint64_t>(ms) / 2 + 1));
  }
  void want_flush();
  LinkEffects take_effects() { return std::exchange(effects_, {}); }

  Options options_;
  Prng random_;
  State state_ = State::idle;
  std::optional<MonotonicMs> due_ = std::nullopt;  ///< when the state ends by itself; not of `up`
  Millis pause_ms_ = 0;                            ///< the last one
  std::uint64_t attempt_ = 0;
  PeerAddress numeric_ = {};  ///< as the last probe found it
  std::optional<Error> trouble_ = std::nullopt;
  bool tell_refused_ = false;  ///< it was up, and nobody knows yet that its process is gone
  std::optional<MonotonicMs> look_at_ = std::nullopt;
  Millis look_pause_ms_ = 0;
  std::uint64_t looks_ = 0;

  // greeting
  Remote greeted_ = 0;
  Hello hello_ = {};
  std::uint64_t hellos_ = 0;

  // up
  Remote remote_ = 0;
  Identity peer_ = {};
  std::uint64_t peer_hellos_ = 0;  ///< up to this one they are of before the session
  std::uint16_t version_ = 1;
  std::uint64_t session_ = 0;
  std::uint64_t sent_packets_ = 0;
  std::uint64_t received_packets_ = 0;
  std::uint64_t received_bytes_ = 0;  ///< of packets with chunks
  std::uint64_t told_bytes_ = 0;      ///< of these, acknowledged
  MonotonicMs heard_at_{0};
  MonotonicMs sent_at_{0};
  Outbox outbox_;
  Inbox inbox_ = {};
  CallTable<OutgoingCall> calls_;
  CallTable<IncomingCall> incoming_;
  bool flush_wanted_ = false;
  std::uint64_t dropped_ = 0;

  LinkEffects effects_ = {};
};

std::string_view to_string(LinkMachine::State state) noexcept;

}  // namespace troupe::link
