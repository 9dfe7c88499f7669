#pragma once

#include <deque>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "core/link/link_machine.hpp"
#include "tests/support/catch.hpp"

namespace troupe::test {

inline Bytes bytes_of(std::string_view text) { return Bytes::copy_of(as_bytes(text)); }
inline Uuid uuid_of(std::uint8_t number) { return Uuid{{number, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1}}; }

/// One LinkMachine and what it has said, sorted.
struct LinkSide {
  std::unique_ptr<link::LinkMachine> machine;
  std::deque<link::SendEnvelope> sent = {};
  std::vector<link::StartProbe> probes = {};
  std::vector<link::StartConnect> connects = {};
  std::vector<link::Remote> watched = {};
  std::vector<link::Remote> forgotten = {};
  std::vector<link::DeliverMessage> delivered = {};
  std::vector<std::string> ended = {};   ///< "7:yes" or "7:request_timed_out", by key
  std::vector<std::string> states = {};  ///< "up", "down", "refused"
  std::vector<Errc> troubles = {};
  std::vector<link::Identity> identities = {};
  bool wants_flush = false;
  link::Remote peer_link = 2;         ///< how the other side's link is known now
  std::set<link::Remote> stale = {};  ///< numbers that were forgotten: what is sent there is lost

  explicit LinkSide(const link::LinkMachine::Options& options) : machine(std::make_unique<link::LinkMachine>(options)) {}

  void take(link::LinkEffects effects) {
    for (auto& effect : effects) std::visit([this](auto& one) { sort(one); }, effect);
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const auto& message : delivered) all.emplace_back(as_text(message.payload));
    return all;
  }

 private:
  void sort(link::SendEnvelope& envelope) {
    if (!stale.contains(envelope.to)) sent.push_back(std::move(envelope));
  }
  void sort(link::StartProbe& probe) { probes.push_back(probe); }
  void sort(link::StartConnect& connect) { connects.push_back(connect); }
  void sort(link::WatchRemote& watch) { watched.push_back(watch.remote); }
  void sort(link::ForgetRemote& forget) {
    forgotten.push_back(forget.remote);
    if (forget.remote != peer_link) return;
    stale.insert(peer_link);
    peer_link += 100;
  }
  void sort(link::DeliverMessage& message) { delivered.push_back(std::move(message)); }
  void sort(link::EndCall& end) {
    ended.push_back(std::to_string(end.key) + ":" +
                    (end.answer ? std::string(as_text(*end.answer)) : std::string(to_string(end.answer.error().code))));
  }
  void sort(link::TellState& state) { states.emplace_back(state.up ? "up" : state.refused ? "refused" : "down"); }
  void sort(link::TellIdentity& told) { identities.push_back(told.identity); }
  void sort(link::NoteTrouble& trouble) { troubles.push_back(trouble.error.code); }
  void sort(link::WantFlush&) { wants_flush = true; }
};

inline link::LinkMachine::Options link_options(std::int32_t self, std::int32_t peer, std::uint8_t run = 0) {
  link::LinkMachine::Options options;
  options.self = {uuid_of(200), BrokerId{self}, uuid_of(run != 0 ? run : static_cast<std::uint8_t>(self))};
  options.peer = BrokerId{peer};
  options.address = link::PeerAddress{"node-" + std::to_string(peer), 9000};
  options.seed = static_cast<std::uint64_t>(self) * 100 + static_cast<std::uint64_t>(peer) + run;
  return options;
}

/// The two ends of one link, and a network that delivers what the test lets it. Side 0 is broker 1, side 1 broker 2. The endpoint of a
/// side is Remote 1 to the other, its link `LinkSide::peer_link`.
struct LinkPair {
  static constexpr link::Remote endpoint = 1;

  LinkSide sides[2];
  MonotonicMs now{10'000};
  bool listening[2] = {true, true};
  bool joined = true;  ///< false: nothing passes, and nobody is told

  explicit LinkPair(const link::LinkMachine::Options& one = link_options(1, 2),
                    const link::LinkMachine::Options& two = link_options(2, 1))
      : sides{LinkSide{one}, LinkSide{two}} {}

  LinkSide& one() { return sides[0]; }
  LinkSide& two() { return sides[1]; }
  bool up(int side) const { return sides[side].machine->state() == link::LinkMachine::State::up; }

  void start() {
    for (auto& side : sides) side.take(side.machine->start(now));
    run();
  }

  /// One thing that a side wants is done. False: nothing.
  bool step(int number) {
    auto& side = sides[number];
    auto& other = sides[1 - number];
    if (std::exchange(side.wants_flush, false)) {
      side.take(side.machine->flush(now));
      return true;
    }
    if (!side.probes.empty() && joined) {
      const auto probe = side.probes.front();
      side.probes.erase(side.probes.begin());
      const bool open = listening[1 - number];
      side.take(side.machine->probed(now, probe.attempt,
                                     {open ? link::ProbeResult::Outcome::open : link::ProbeResult::Outcome::refused,
                                      "10.0.0.1", "connection refused"}));
      return true;
    }
    if (!side.connects.empty() && joined) {
      const auto connect = side.connects.front();
      side.connects.erase(side.connects.begin());
      side.take(side.machine->connected(now, connect.attempt, endpoint));
      return true;
    }
    if (side.sent.empty() || !joined) return false;
    const auto envelope = side.sent.front();
    side.sent.pop_front();
    if (envelope.type == link::EnvelopeType::hello) {
      const auto hello = link::decode_hello(envelope.body);
      REQUIRE(hello);
      other.take(other.machine->greeted(now, other.peer_link, *hello));
    } else {
      other.take(other.machine->received(now, other.peer_link, envelope.type, envelope.version, envelope.body));
    }
    return true;
  }

  void run() {
    for (int i = 0; i < 1'000'000; ++i) {
      if (!step(0) && !step(1)) return;
    }
    FAIL("the machines never come to rest");
  }

  /// In moves of 10 ms.
  void advance(Millis ms) {
    for (Millis passed = 0; passed < ms; passed += 10) {
      now += 10;
      for (auto& side : sides) {
        if (const auto due = side.machine->next_deadline(); due && *due <= now) side.take(side.machine->tick(now));
      }
      run();
    }
  }

  /// The connection breaks, and both are told.
  void reset() {
    for (auto& side : sides) side.sent.clear();
    for (auto& side : sides) side.take(side.machine->remote_down(now, side.peer_link));
  }

  void send(int from, std::string_view text, link::Channel channel = link::Channel::quorum) {
    sides[from].take(sides[from].machine->send(channel, bytes_of(text)));
  }
  void call(int from, std::uint64_t key, Millis timeout_ms = 1'000, link::Channel channel = link::Channel::metadata) {
    sides[from].take(sides[from].machine->call(now, channel, bytes_of("q" + std::to_string(key)), timeout_ms, key));
  }
  void answer(int from, std::size_t index, Result<Bytes> with) {
    sides[from].take(sides[from].machine->answer(sides[from].delivered.at(index).call, std::move(with)));
  }
};

}  // namespace troupe::test
