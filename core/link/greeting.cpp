#include "core/link/greeting.hpp"

#include <algorithm>

#include "base/byte_codec.hpp"

namespace troupe::link {
namespace {

constexpr std::size_t sentence_bytes_max = 1000;

class Writer {
 public:
  void put(const Uuid& uuid) { out_.bytes(std::as_bytes(std::span{uuid.bytes()})); }
  void put(const Identity& identity) {
    put(identity.cluster_id);
    out_.integer(identity.broker.value());
    put(identity.incarnation);
  }
  template <class Int>
  void number(Int value) {
    out_.integer(value);
  }
  void text(std::string_view value) { out_.bytes(as_bytes(value)); }
  ByteBuffer take() { return std::move(buffer_); }

 private:
  ByteBuffer buffer_;
  ByteWriter out_{buffer_};
};

class Reader {
 public:
  explicit Reader(ByteView bytes) : in_(bytes) {}

  template <class Int>
  Int number() {
    return in_.integer<Int>().value_or(Int{});
  }
  Uuid uuid() {
    std::array<std::uint8_t, 16> bytes{};
    if (const auto view = in_.bytes(bytes.size())) std::memcpy(bytes.data(), view->data(), bytes.size());
    return Uuid{bytes};
  }
  Identity identity() {
    Identity read;
    read.cluster_id = uuid();
    read.broker = BrokerId{number<std::int32_t>()};
    read.incarnation = uuid();
    refuse_unless(read.broker.value() >= 0 && !read.incarnation.is_nil());
    return read;
  }
  bool flag() {
    const auto value = number<std::uint8_t>();
    refuse_unless(value <= 1);
    return value == 1;
  }
  std::uint64_t session() {
    const auto value = number<std::uint64_t>();
    refuse_unless(value != 0);
    return value;
  }
  std::string text() {
    const auto size = number<std::uint16_t>();
    refuse_unless(size <= sentence_bytes_max);
    const auto view = good_ ? in_.bytes(size) : std::nullopt;
    return view ? std::string(as_text(*view)) : std::string{};
  }
  void refuse_unless(bool right) { good_ = good_ && right; }

  template <class Message>
  Result<Message> finish(Message message, const char* what) const {
    if (in_.failed()) return Error{Errc::corrupt_message, std::string(what) + " of a link ends early"};
    if (!good_) return Error{Errc::corrupt_message, std::string(what) + " of a link with a field out of its range"};
    return message;
  }

 private:
  ByteReader in_;
  bool good_ = true;
};

std::string range_text(VersionRange range) { return std::to_string(range.low) + " to " + std::to_string(range.high); }

/// Nodes that are not formatted belong to whoever they meet.
bool same_cluster(const Uuid& a, const Uuid& b) { return a.is_nil() || b.is_nil() || a == b; }

std::string other_cluster(const Identity& self, const Uuid& theirs) {
  return "broker " + to_string(self.broker) + " is of cluster " + to_string(self.cluster_id) + ", the other one of " +
         to_string(theirs);
}

}  // namespace

std::string to_string(const PeerAddress& address) {
  const bool v6 = address.host.find(':') != std::string::npos;
  return (v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

Errc to_errc(RefusalReason reason) noexcept {
  switch (reason) {
    case RefusalReason::version: return Errc::policy_violation;
    case RefusalReason::cluster: return Errc::inconsistent_cluster_id;
    case RefusalReason::duplicate: return Errc::duplicate_broker_registration;
    case RefusalReason::broker_id:
    case RefusalReason::proof:
    case RefusalReason::self: return Errc::wrong_owner;
    case RefusalReason::busy:
    case RefusalReason::full: return Errc::overloaded;
  }
  return Errc::unknown_error;
}

std::optional<std::uint16_t> common_version(VersionRange a, VersionRange b) {
  const auto version = std::min(a.high, b.high);
  if (version < std::max(a.low, b.low)) return std::nullopt;
  return version;
}

std::optional<Refusal> object_to(const Identity& self, VersionRange versions, const Hello& hello, const Proof& proof) {
  const auto refuse = [&](RefusalReason reason, std::string sentence) {
    return Refusal{reason, self, hello.session, std::move(sentence)};
  };
  if (hello.from.incarnation == self.incarnation) {
    return refuse(RefusalReason::self, "this address leads back to the node that called it");
  }
  if (auto wrong = object_to(proof, hello.from.broker)) return refuse(RefusalReason::proof, std::move(*wrong));
  if (!common_version(versions, hello.versions)) {
    return refuse(RefusalReason::version, "broker " + to_string(self.broker) + " speaks the link's versions " +
                                              range_text(versions) + ", the other one " + range_text(hello.versions));
  }
  if (!same_cluster(self.cluster_id, hello.from.cluster_id)) {
    return refuse(RefusalReason::cluster, other_cluster(self, hello.from.cluster_id));
  }
  if (hello.to != no_broker && hello.to != self.broker) {
    return refuse(RefusalReason::broker_id,
                  "broker " + to_string(hello.to) + " was wanted, and this is broker " + to_string(self.broker));
  }
  if (hello.from.broker == self.broker) {
    return refuse(RefusalReason::duplicate, "both nodes have the broker id " + to_string(self.broker));
  }
  return std::nullopt;
}

Status check_welcome(const Identity& self, const Hello& hello, const Welcome& welcome, const Proof& proof) {
  if (welcome.from.incarnation == self.incarnation) {
    return Error{Errc::wrong_owner, "the address leads back to this node"};
  }
  if (auto wrong = object_to(proof, welcome.from.broker)) return Error{Errc::wrong_owner, std::move(*wrong)};
  if (welcome.version < hello.versions.low || welcome.version > hello.versions.high) {
    return Error{Errc::policy_violation, "the other side chose the link's version " + std::to_string(welcome.version) +
                                             ", we speak " + range_text(hello.versions)};
  }
  if (!same_cluster(self.cluster_id, welcome.from.cluster_id)) {
    return Error{Errc::inconsistent_cluster_id, other_cluster(self, welcome.from.cluster_id)};
  }
  if (hello.to != no_broker && hello.to != welcome.from.broker) {
    return Error{Errc::wrong_owner, "broker " + to_string(hello.to) + " was wanted, and broker " +
                                        to_string(welcome.from.broker) + " answers there"};
  }
  return ok();
}

ByteBuffer encode(const Hello& hello) {
  Writer out;
  out.number(hello.versions.low);
  out.number(hello.versions.high);
  out.put(hello.from);
  out.number(hello.to.value());
  out.number(hello.session);
  out.number(hello.attempt);
  out.number(static_cast<std::uint8_t>(hello.asks ? 1 : 0));
  return out.take();
}

ByteBuffer encode(const Welcome& welcome) {
  Writer out;
  out.number(welcome.version);
  out.put(welcome.from);
  out.number(welcome.session);
  out.number(welcome.attempt);
  return out.take();
}

ByteBuffer encode(const Refusal& refusal) {
  const auto sentence = std::string_view(refusal.sentence).substr(0, sentence_bytes_max);
  Writer out;
  out.number(static_cast<std::uint8_t>(refusal.reason));
  out.put(refusal.from);
  out.number(refusal.session);
  out.number(static_cast<std::uint16_t>(sentence.size()));
  out.text(sentence);
  return out.take();
}

Result<Hello> decode_hello(ByteView bytes) {
  Reader in{bytes};
  Hello hello;
  hello.versions.low = in.number<std::uint16_t>();
  hello.versions.high = in.number<std::uint16_t>();
  in.refuse_unless(hello.versions.low <= hello.versions.high);
  hello.from = in.identity();
  hello.to = BrokerId{in.number<std::int32_t>()};
  in.refuse_unless(hello.to >= no_broker);
  hello.session = in.session();
  hello.attempt = in.number<std::uint64_t>();
  hello.asks = in.flag();
  return in.finish(hello, "a hello");
}

Result<Welcome> decode_welcome(ByteView bytes) {
  Reader in{bytes};
  Welcome welcome;
  welcome.version = in.number<std::uint16_t>();
  welcome.from = in.identity();
  welcome.session = in.session();
  welcome.attempt = in.number<std::uint64_t>();
  return in.finish(welcome, "a welcome");
}

Result<Refusal> decode_refusal(ByteView bytes) {
  Reader in{bytes};
  Refusal refusal;
  const auto reason = in.number<std::uint8_t>();
  in.refuse_unless(reason >= 1 && reason <= 8);
  refusal.reason = static_cast<RefusalReason>(reason);
  refusal.from = in.identity();
  refusal.session = in.session();
  refusal.sentence = in.text();
  return in.finish(std::move(refusal), "a refusal");
}

}  // namespace troupe::link
