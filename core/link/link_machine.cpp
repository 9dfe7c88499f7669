#include "core/link/link_machine.hpp"

#include <algorithm>
#include <limits>

namespace troupe::link {
namespace {

/// The shell answers within the timeouts that it is given, or a little later.
constexpr Millis shell_grace_ms = 200;
/// After so many bytes the other side hears of them at once, and not with the next packet.
constexpr std::uint64_t acknowledge_bytes = packet_bytes_max;
/// Marks the number of a probe that only looks whether the process is there.
constexpr std::uint64_t look_bit = std::uint64_t{1} << 63;
constexpr Millis timeout_ms_max = Millis{24} * 3600 * 1000;

Error timed_out(const std::string& what) { return {Errc::request_timed_out, what + ": the outcome is unknown"}; }

}  // namespace

std::string_view to_string(LinkMachine::State state) noexcept {
  switch (state) {
    case LinkMachine::State::idle: return "idle";
    case LinkMachine::State::resting: return "resting";
    case LinkMachine::State::probing: return "probing";
    case LinkMachine::State::expecting: return "expecting";
    case LinkMachine::State::connecting: return "connecting";
    case LinkMachine::State::greeting: return "greeting";
    case LinkMachine::State::confirming: return "confirming";
    case LinkMachine::State::up: return "up";
  }
  return "unknown";
}

LinkMachine::LinkMachine(const Options& options)
    : options_(options),
      random_(options.seed),
      outbox_(options.outbox),
      calls_(options.calls_max, random_.next() >> 1),
      incoming_(options.incoming_max, random_.next() >> 1) {}

// --- coming up

LinkEffects LinkMachine::start(MonotonicMs now) {
  if (options_.address) probe(now);
  return take_effects();
}

LinkEffects LinkMachine::set_address(MonotonicMs now, std::optional<PeerAddress> address) {
  if (address == options_.address) return {};
  options_.address = std::move(address);
  if (state_ == State::up || state_ == State::confirming) return {};
  drop_greeting();
  pause_ms_ = 0;
  if (options_.address) {
    probe(now);
  } else {
    state_ = State::idle;
    due_.reset();
  }
  return take_effects();
}

void LinkMachine::probe(MonotonicMs now) {
  state_ = State::probing;
  due_ = now + options_.probe_timeout_ms + shell_grace_ms;
  effects_.emplace_back(StartProbe{++attempt_, *options_.address, options_.probe_timeout_ms});
}

LinkEffects LinkMachine::probed(MonotonicMs now, std::uint64_t attempt, const ProbeResult& result) {
  if ((attempt & look_bit) != 0) {
    looked(now, attempt, result);
    return take_effects();
  }
  if (state_ != State::probing || attempt != attempt_) return {};
  switch (result.outcome) {
    case ProbeResult::Outcome::open:
      numeric_ = {result.address, options_.address->port};
      if (is_our_turn()) {
        connect(now);
      } else {
        state_ = State::expecting;
        due_ = now + options_.patience_ms +
               static_cast<Millis>(random_.below(static_cast<std::uint64_t>(options_.patience_ms) + 1));
      }
      break;
    case ProbeResult::Outcome::refused: tell_refused(); [[fallthrough]];
    case ProbeResult::Outcome::failed:
      fail(now, {Errc::broker_not_available, to_string(*options_.address) + ": " + result.reason});
      break;
  }
  return take_effects();
}

bool LinkMachine::waits_for_peer() const {
  return state_ == State::expecting || state_ == State::connecting || state_ == State::greeting;
}

void LinkMachine::look_again(MonotonicMs now) {
  look_at_.reset();
  if (!tell_refused_ || !options_.address) return;
  look_pause_ms_ *= 2;
  if (look_pause_ms_ <= options_.look_ms_max) look_at_ = now + look_pause_ms_;
  if (waits_for_peer()) effects_.emplace_back(StartProbe{look_bit | ++looks_, *options_.address, options_.probe_timeout_ms});
}

void LinkMachine::looked(MonotonicMs now, std::uint64_t attempt, const ProbeResult& result) {
  const bool gone = tell_refused_ && waits_for_peer() && result.outcome == ProbeResult::Outcome::refused;
  if (attempt != (look_bit | looks_) || !gone) return;
  drop_greeting();
  tell_refused();
  fail(now, {Errc::broker_not_available, to_string(*options_.address) + ": " + result.reason});
}

void LinkMachine::tell_refused() {
  if (!std::exchange(tell_refused_, false)) return;
  effects_.emplace_back(TellState{peer_.incarnation, false, true, heard_at_,
                                  Error{Errc::broker_not_available, "nobody listens at " + to_string(*options_.address)}});
}

void LinkMachine::connect(MonotonicMs now) {
  state_ = State::connecting;
  due_ = now + options_.connect_timeout_ms + shell_grace_ms;
  effects_.emplace_back(StartConnect{++attempt_, numeric_, options_.connect_timeout_ms});
}

LinkEffects LinkMachine::connected(MonotonicMs now, std::uint64_t attempt, Result<Remote> remote) {
  if (state_ != State::connecting || attempt != attempt_) {
    if (remote) effects_.emplace_back(ForgetRemote{*remote});
  } else if (!remote) {
    fail(now, remote.error().with_context(to_string(*options_.address)));
  } else {
    greet(now, *remote);
  }
  return take_effects();
}

/// CAF may have given a handle of an actor that is gone, or of this node: only an answer proves the opposite.
void LinkMachine::greet(MonotonicMs now, Remote remote) {
  state_ = State::greeting;
  due_ = now + options_.hello_timeout_ms;
  greeted_ = remote;
  hello_ = {.versions = options_.versions,
            .from = options_.self,
            .to = options_.peer,
            .session = std::max<std::uint64_t>(1, random_.next()),
            .attempt = ++hellos_,
            .asks = options_.peer == no_broker};
  effects_.emplace_back(SendEnvelope{remote, EnvelopeType::hello, 1, Bytes::adopt(encode(hello_))});
}

void LinkMachine::drop_greeting() {
  if (const auto remote = std::exchange(greeted_, 0); remote != 0) effects_.emplace_back(ForgetRemote{remote});
}

/// The other side's link is one actor over many greetings, so what is said of it now may be about the one of the session.
void LinkMachine::forget(Remote remote) {
  if (remote != remote_) effects_.emplace_back(ForgetRemote{remote});
}

void LinkMachine::welcomed(MonotonicMs now, Remote from, const Bytes& body, const Proof& proof) {
  const auto welcome = decode_welcome(body);
  if (state_ != State::greeting || !welcome || welcome->session != hello_.session) {
    forget(from);
    return;
  }
  drop_greeting();
  if (auto status = check_welcome(options_.self, hello_, *welcome, proof); !status) {
    forget(from);
    return misfit(now, std::move(status).error());
  }
  if (hello_.asks) {
    forget(from);
    effects_.emplace_back(TellIdentity{welcome->from});
    state_ = State::idle;
    due_.reset();
    return;
  }
  peer_hellos_ = welcome->attempt;
  prepare(now, from, welcome->from, welcome->version, hello_.session);
  rise();
  send_packet(now, encode(head(), {}));  // the other side waits for it
}

void LinkMachine::refused(MonotonicMs now, const Bytes& body) {
  const auto refusal = decode_refusal(body);
  if (state_ != State::greeting || !refusal || refusal->session != hello_.session) return;
  drop_greeting();
  Error error{to_errc(refusal->reason), "broker " + to_string(refusal->from.broker) + " refuses: " + refusal->sentence};
  switch (refusal->reason) {
    case RefusalReason::busy: return rest(now, options_.retry_ms_min);
    case RefusalReason::duplicate:
    case RefusalReason::full: return fail(now, std::move(error));
    case RefusalReason::version:
    case RefusalReason::cluster:
    case RefusalReason::broker_id:
    case RefusalReason::proof:
    case RefusalReason::self: return misfit(now, std::move(error));
  }
}

LinkEffects LinkMachine::greeted(MonotonicMs now, Remote from, const Hello& hello) {
  auto refusal = object_to(options_.self, options_.versions, hello);
  if (!refusal && hello.from.broker != options_.peer) {
    refusal = {RefusalReason::broker_id, options_.self, hello.session,
               "this is the link to broker " + to_string(options_.peer)};
  }
  if (!refusal && state_ == State::up && hello.from.incarnation != peer_.incarnation) {
    refusal = {RefusalReason::duplicate, options_.self, hello.session,
               "another process is broker " + to_string(options_.peer) + ", incarnation " + to_string(peer_.incarnation)};
  }
  // One that was on its way while the session began: its sender has given it up.
  if (!refusal && state_ == State::up && hello.attempt <= peer_hellos_) {
    refusal = {RefusalReason::busy, options_.self, hello.session, "this hello comes late"};
  }
  if (!refusal && state_ == State::greeting && is_our_turn()) {
    refusal = {RefusalReason::busy, options_.self, hello.session, "both sides connect"};
  }
  if (refusal) {
    effects_.emplace_back(SendEnvelope{from, EnvelopeType::refusal, 1, Bytes::adopt(encode(*refusal))});
    forget(from);
    return take_effects();
  }
  // The same run greets again: it has lost the session, and so have we.
  if (state_ == State::up) end_session({Errc::broker_not_available, "the other side began anew"}, from);
  if (state_ == State::confirming && remote_ != from) effects_.emplace_back(ForgetRemote{remote_});
  drop_greeting();
  const auto version = *common_version(options_.versions, hello.versions);
  effects_.emplace_back(SendEnvelope{from, EnvelopeType::welcome, 1,
                                     Bytes::adopt(encode(Welcome{version, options_.self, hello.session, hellos_}))});
  peer_hellos_ = hello.attempt;
  prepare(now, from, hello.from, version, hello.session);
  state_ = State::confirming;
  due_ = now + options_.hello_timeout_ms;
  return take_effects();
}

void LinkMachine::prepare(MonotonicMs now, Remote remote, const Identity& identity, std::uint16_t version,
                          std::uint64_t session) {
  ++attempt_;  // what is under way of an attempt of our own comes too late
  remote_ = remote;
  peer_ = identity;
  version_ = version;
  session_ = session;
  sent_packets_ = received_packets_ = received_bytes_ = told_bytes_ = 0;
  heard_at_ = sent_at_ = now;
  outbox_.reset();
  inbox_.reset();
  effects_.emplace_back(WatchRemote{remote});
}

void LinkMachine::rise() {
  state_ = State::up;
  due_.reset();
  pause_ms_ = 0;
  trouble_.reset();
  tell_refused_ = false;
  effects_.emplace_back(TellState{peer_.incarnation, true, false, heard_at_, std::nullopt});
}

/// A session that never came to be.
void LinkMachine::abandon(MonotonicMs now, Error reason) {
  effects_.emplace_back(ForgetRemote{std::exchange(remote_, 0)});
  session_ = 0;
  if (options_.address) return fail(now, std::move(reason));
  state_ = State::idle;
  due_.reset();
}

// --- not coming up

void LinkMachine::rest(MonotonicMs now, Millis at_most_ms) {
  state_ = State::resting;
  pause_ms_ = std::clamp(pause_ms_ * 2, options_.retry_ms_min, std::max(options_.retry_ms_min, at_most_ms));
  due_ = now + less_by_chance(pause_ms_);
}

void LinkMachine::fail(MonotonicMs now, Error error) {
  note(std::move(error));
  rest(now, options_.retry_ms_max);
}

void LinkMachine::misfit(MonotonicMs now, Error error) {
  note(std::move(error));
  state_ = State::resting;
  due_ = now + less_by_chance(options_.misfit_retry_ms);
}

void LinkMachine::note(Error error) {
  const bool same = trouble_ && trouble_->code == error.code && trouble_->message == error.message;
  trouble_ = std::move(error);
  if (!same) effects_.emplace_back(NoteTrouble{*trouble_});
}

// --- going down

void LinkMachine::end_calls(const std::vector<std::uint64_t>& unsent, const std::string& reason) {
  for (const auto number : unsent) {
    if (const auto call = calls_.take(number))
      effects_.emplace_back(EndCall{call->key, Error{Errc::broker_not_available, reason}});
  }
  for (const auto number : calls_.numbers()) {
    if (const auto call = calls_.take(number)) effects_.emplace_back(EndCall{call->key, timed_out(reason)});
  }
}

void LinkMachine::end_session(const Error& reason, Remote keep) {
  const auto remote = std::exchange(remote_, 0);
  if (remote != keep) effects_.emplace_back(ForgetRemote{remote});
  session_ = 0;
  end_calls(outbox_.reset(), "the link to broker " + to_string(options_.peer) + " went down: " + reason.message);
  inbox_.reset();
  for (const auto number : incoming_.numbers()) incoming_.take(number);
  effects_.emplace_back(TellState{peer_.incarnation, false, false, heard_at_, reason});
}

void LinkMachine::lose(MonotonicMs now, Error reason) {
  end_session(reason);
  const bool broken = reason.code == Errc::corrupt_message;
  trouble_ = std::move(reason);
  tell_refused_ = true;
  look_pause_ms_ = options_.look_ms_min;
  look_at_ = now + look_pause_ms_;
  if (options_.address && broken) {  // the next session may be no better
    state_ = State::resting;
    due_ = now + less_by_chance(options_.retry_ms_max);
  } else if (options_.address) {
    probe(now);
  } else {
    state_ = State::idle;
    due_.reset();
  }
}

LinkEffects LinkMachine::remote_down(MonotonicMs now, Remote remote) {
  if (state_ == State::up && remote == remote_) {
    lose(now, {Errc::broker_not_available, "the connection was closed"});
  } else if (state_ == State::confirming && remote == remote_) {
    abandon(now, {Errc::broker_not_available, "the connection was closed while we were greeted"});
  } else if (state_ == State::greeting && remote == greeted_) {
    drop_greeting();
    fail(now, {Errc::broker_not_available, "the connection was closed while we greeted"});
  }
  return take_effects();
}

LinkEffects LinkMachine::stop() {
  if (state_ == State::up) {
    end_session({Errc::cancelled, "this node's link was ended"});
  }
  if (state_ == State::confirming) effects_.emplace_back(ForgetRemote{std::exchange(remote_, 0)});
  drop_greeting();
  state_ = State::idle;
  due_.reset();
  return take_effects();
}

// --- packets

LinkEffects LinkMachine::received(MonotonicMs now, Remote from, EnvelopeType type, std::uint16_t version, const Bytes& body,
                                  const Proof& proof) {
  switch (type) {
    case EnvelopeType::welcome: welcomed(now, from, body, proof); break;
    case EnvelopeType::refusal: refused(now, body); break;
    case EnvelopeType::packet:
      if ((state_ == State::up || state_ == State::confirming) && from == remote_) {
        if (version == version_) {
          packet(now, body);
        } else if (state_ == State::up) {
          lose(now, {Errc::corrupt_message, "a packet of version " + std::to_string(version)});
        }
      }
      break;
    case EnvelopeType::hello: break;  // `greeted`
  }
  return take_effects();
}

void LinkMachine::packet(MonotonicMs now, const Bytes& body) {
  auto decoded = decode_packet(body);
  if (decoded && decoded->head.session != session_) return;  // of an earlier session between the same two
  if (state_ == State::confirming) {
    if (!decoded) return;
    rise();
  }
  auto status = decoded ? take(now, std::move(*decoded), body.size()) : Status{decoded.error()};
  if (!status) lose(now, std::move(status).error());
}

Status LinkMachine::take(MonotonicMs now, Packet packet, std::size_t size) {
  // The connection keeps order, so a gap is a loss, and a repetition a mistake.
  if (packet.head.number != received_packets_ + 1) {
    return Error{Errc::corrupt_message, "packet " + std::to_string(packet.head.number) + " of the link came after packet " +
                                            std::to_string(received_packets_)};
  }
  ++received_packets_;
  heard_at_ = now;
  const auto under_way = outbox_.under_way();
  TROUPE_TRY(outbox_.acknowledged(packet.head.acknowledged));
  if (outbox_.under_way() != under_way) want_flush();
  if (packet.chunks.empty()) return ok();
  received_bytes_ += size;
  if (received_bytes_ - told_bytes_ >= acknowledge_bytes) want_flush();
  for (auto& chunk : packet.chunks) {
    TROUPE_TRY_ASSIGN(auto whole, inbox_.add(std::move(chunk)));
    if (whole) TROUPE_TRY(deliver(now, std::move(*whole)));
  }
  return ok();
}

Status LinkMachine::deliver(MonotonicMs now, Chunk whole) {
  if (whole.kind == ChunkKind::answer || whole.kind == ChunkKind::failure) {
    const auto call = calls_.take(whole.call);
    if (!call) return ok();  // it came too late
    if (whole.kind == ChunkKind::failure) {
      effects_.emplace_back(EndCall{call->key, decode_failure(whole.bytes)});
    } else {
      effects_.emplace_back(EndCall{call->key, std::move(whole.bytes)});
    }
    return ok();
  }
  DeliverMessage message{peer_.broker, peer_.incarnation, whole.channel, 0, std::move(whole.bytes)};
  if (whole.kind == ChunkKind::call) {
    const IncomingCall call{whole.call, whole.channel};
    if (incoming_.full()) {
      put_answer(call, Error{Errc::overloaded, "too many calls wait for an answer"});
      return ok();
    }
    message.call = incoming_.add(call, now + whole.timeout_ms);
  }
  effects_.emplace_back(std::move(message));
  return ok();
}

LinkEffects LinkMachine::send(Channel channel, Bytes payload) {
  if (state_ != State::up || !outbox_.put({.kind = ChunkKind::message, .channel = channel, .payload = std::move(payload)})) {
    ++dropped_;
  } else {
    want_flush();
  }
  return take_effects();
}

LinkEffects LinkMachine::call(MonotonicMs now, Channel channel, Bytes payload, Millis timeout_ms, std::uint64_t key) {
  const auto refuse = [&](Error error) {
    effects_.emplace_back(EndCall{key, std::move(error)});
    return take_effects();
  };
  if (state_ != State::up) {
    return refuse({Errc::broker_not_available, "there is no link to broker " + to_string(options_.peer) +
                                                   (trouble_ ? ": " + trouble_->message : std::string{})});
  }
  if (calls_.full()) return refuse({Errc::overloaded, "too many calls to broker " + to_string(options_.peer)});
  timeout_ms = std::clamp(timeout_ms, Millis{0}, timeout_ms_max);
  const auto number = calls_.add({key, channel}, now + timeout_ms);
  auto put = outbox_.put({.kind = ChunkKind::call,
                          .channel = channel,
                          .call = number,
                          .timeout_ms = static_cast<std::uint32_t>(timeout_ms),
                          .payload = std::move(payload)});
  if (!put) {
    calls_.take(number);
    return refuse(std::move(put).error());
  }
  want_flush();
  return take_effects();
}

LinkEffects LinkMachine::answer(std::uint64_t call, Result<Bytes> answer) {
  if (const auto waiting = incoming_.take(call)) put_answer(*waiting, std::move(answer));
  return take_effects();
}

/// What does not fit becomes an error, and what that is depends on the caller: it may have been carried out.
void LinkMachine::put_answer(const IncomingCall& call, Result<Bytes> answer) {
  const auto put = [&](ChunkKind kind, Bytes payload) {
    return outbox_.put({.kind = kind, .channel = call.channel, .call = call.number, .payload = std::move(payload)});
  };
  if (!answer) {
    if (!put(ChunkKind::failure, Bytes::adopt(encode_failure(answer.error())))) ++dropped_;
  } else if (const auto taken = put(ChunkKind::answer, std::move(*answer)); !taken) {
    ++dropped_;
    // The caller's deadline ends it when this does not fit either.
    static_cast<void>(
        put(ChunkKind::failure, Bytes::adopt(encode_failure(timed_out("the answer: " + taken.error().message)))));
  }
  want_flush();
}

void LinkMachine::want_flush() {
  if (!std::exchange(flush_wanted_, true)) effects_.emplace_back(WantFlush{});
}

LinkEffects LinkMachine::flush(MonotonicMs now) {
  flush_wanted_ = false;
  if (state_ == State::up) pump(now);
  return take_effects();
}

PacketHead LinkMachine::head() const { return {session_, sent_packets_ + 1, received_bytes_}; }

void LinkMachine::send_packet(MonotonicMs now, ByteBuffer body) {
  ++sent_packets_;
  told_bytes_ = received_bytes_;
  sent_at_ = now;
  effects_.emplace_back(SendEnvelope{remote_, EnvelopeType::packet, version_, Bytes::adopt(std::move(body))});
}

void LinkMachine::pump(MonotonicMs now) {
  while (auto body = outbox_.next(head())) send_packet(now, std::move(*body));
  if (received_bytes_ - told_bytes_ >= acknowledge_bytes) send_packet(now, encode(head(), {}));
}

// --- time

std::optional<MonotonicMs> LinkMachine::next_deadline() const {
  auto next = due_;
  const auto sooner = [&](std::optional<MonotonicMs> other) {
    if (other && (!next || *other < *next)) next = other;
  };
  if (state_ == State::up) {
    sooner(sent_at_ + options_.ping_ms);
    sooner(heard_at_ + options_.suspicion_ms);
  }
  sooner(look_at_);
  sooner(calls_.next_deadline());
  sooner(incoming_.next_deadline());
  return next;
}

void LinkMachine::expire_calls(MonotonicMs now) {
  for (const auto number : calls_.due(now)) {
    const auto call = calls_.take(number);
    outbox_.take_back(call->channel, number);
    effects_.emplace_back(EndCall{call->key, timed_out("broker " + to_string(options_.peer) + " did not answer in time")});
  }
  for (const auto number : incoming_.due(now)) incoming_.take(number);
}

LinkEffects LinkMachine::tick(MonotonicMs now) {
  expire_calls(now);
  if (look_at_ && *look_at_ <= now) look_again(now);
  if (state_ == State::up) {
    // A tick that is late by a ping or more shows that it was we who stood still: what the peer said meanwhile may be waiting unread.
    const auto late = now - std::min(sent_at_ + options_.ping_ms, now);
    if (late >= options_.suspicion_ms / 2) heard_at_ = std::max(heard_at_, now - options_.suspicion_ms / 2);
    if (now - heard_at_ >= options_.suspicion_ms) {
      lose(now, {Errc::broker_not_available, "nothing was heard for " + std::to_string(now - heard_at_) + " ms"});
    } else if (now - sent_at_ >= options_.ping_ms) {
      send_packet(now, encode(head(), {}));
    }
  } else if (due_ && *due_ <= now) {
    switch (state_) {
      case State::resting: probe(now); break;
      case State::probing: fail(now, {Errc::broker_not_available, to_string(*options_.address) + ": no answer"}); break;
      case State::expecting: connect(now); break;
      case State::connecting:
        fail(now, {Errc::broker_not_available, to_string(*options_.address) + ": no connection in time"});
        break;
      case State::greeting:
        drop_greeting();
        fail(now, {Errc::broker_not_available, to_string(*options_.address) + ": no answer to our hello"});
        break;
      case State::confirming: abandon(now, {Errc::broker_not_available, "it greeted us and says no more"}); break;
      case State::idle:
      case State::up: due_.reset(); break;
    }
  }
  return take_effects();
}

}  // namespace troupe::link
