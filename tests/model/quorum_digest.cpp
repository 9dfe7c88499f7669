#include <concepts>

#include "tests/model/explorer.hpp"
#include "tests/model/quorum_model.hpp"

/// What decides how a QuorumNode goes on, most of which it keeps to itself. An explicit instantiation may name private members, and hands
/// pointers to them on: the machine needs no door for its tests.
namespace troupe::model {
namespace {

using namespace quorum;

template <class Name, auto member>
struct Reveal {
  friend constexpr auto of(Name) { return member; }
};

// clang-format off
struct Hard { friend constexpr auto of(Hard); };
struct HardDirty { friend constexpr auto of(HardDirty); };
struct HardToken { friend constexpr auto of(HardToken); };
struct DiskToken { friend constexpr auto of(DiskToken); };
struct PersistedToken { friend constexpr auto of(PersistedToken); };
struct DurableEnd { friend constexpr auto of(DurableEnd); };
struct HeldBack { friend constexpr auto of(HeldBack); };
struct LeaderHeardAt { friend constexpr auto of(LeaderHeardAt); };
struct Granted { friend constexpr auto of(Granted); };
struct Refused { friend constexpr auto of(Refused); };
struct MatchedEnd { friend constexpr auto of(MatchedEnd); };
struct OwnLeadership { friend constexpr auto of(OwnLeadership); };
struct ProbeSent { friend constexpr auto of(ProbeSent); };
struct Window { friend constexpr auto of(Window); };
struct Matched { friend constexpr auto of(Matched); };
struct Refusals { friend constexpr auto of(Refusals); };
struct OnItsWay { friend constexpr auto of(OnItsWay); };
// clang-format on

template struct Reveal<Hard, &QuorumNode::hard_>;
template struct Reveal<HardDirty, &QuorumNode::hard_dirty_>;
template struct Reveal<HardToken, &QuorumNode::hard_token_>;
template struct Reveal<DiskToken, &QuorumNode::disk_token_>;
template struct Reveal<PersistedToken, &QuorumNode::persisted_token_>;
template struct Reveal<DurableEnd, &QuorumNode::durable_end_>;
template struct Reveal<HeldBack, &QuorumNode::held_>;
template struct Reveal<LeaderHeardAt, &QuorumNode::leader_heard_at_>;
template struct Reveal<Granted, &QuorumNode::granted_>;
template struct Reveal<Refused, &QuorumNode::refused_>;
template struct Reveal<MatchedEnd, &QuorumNode::matched_end_>;
template struct Reveal<OwnLeadership, &QuorumNode::leadership_>;
template struct Reveal<ProbeSent, &Progress::probe_sent_>;
template struct Reveal<Window, &Progress::window_>;
template struct Reveal<Matched, &Progress::matched_>;
template struct Reveal<Refusals, &Progress::refusals_>;
template struct Reveal<OnItsWay, &Progress::inflight_>;

/// Gathers values into one hash.
class Digest {
 public:
  template <std::integral T>
  Digest& operator<<(T value) {
    hash_ = mix(hash_, static_cast<std::uint64_t>(value));
    return *this;
  }
  template <class T>
  requires requires(const T& value) { value.value(); } &&(!std::integral<T>)Digest& operator<<(const T& value) {
    return *this << value.value();
  }
  Digest& operator<<(const ReplicaKey& key) { return *this << key.id; }
  Digest& operator<<(const HardState& hard) {
    return *this << hard.epoch << (hard.voted_for ? hard.voted_for->id.value() : -1);
  }
  Digest& operator<<(const sim::MetadataLog& log) { return *this << log.end() << *log.chain_at(log.end()); }
  Digest& operator<<(const Message& message) { return *this << hash_bytes(encode_message(message)); }
  Digest& operator<<(const std::set<ReplicaKey>& keys) {
    for (const auto& key : keys) *this << key;
    return *this << keys.size();
  }
  Digest& operator<<(const Persist& work) {
    if (work.hard_state) *this << *work.hard_state;
    for (const auto& entry : work.entries) *this << entry.base_offset << entry.epoch << hash_bytes(entry.payload.view());
    return *this << (work.truncate_to ? work.truncate_to->value() : -1) << work.entries.size();
  }

  std::uint64_t hash() const { return hash_; }

 private:
  std::uint64_t hash_ = 0;
};

void add(Digest& digest, const Leadership& leadership, MonotonicMs now) {
  digest << leadership.epoch_start << leadership.ready << leadership.round << now - leadership.since;
  for (const auto& [key, one] : leadership.followers) {
    digest << key << static_cast<int>(one.state()) << one.next() << one.durable() << one.round() << now - one.heard_at();
    digest << one.*of(ProbeSent{}) << one.*of(Window{}) << one.*of(Matched{}) << one.*of(Refusals{});
    for (const auto& sent : one.*of(OnItsWay{})) digest << sent.end;
  }
}

}  // namespace

std::uint64_t digest_of(const QuorumModel::Node& node) {
  Digest digest;
  if (node.disk.hard_state) digest << *node.disk.hard_state;
  digest << node.disk.log << node.works.size();
  for (const auto& work : node.works) digest << std::get<Persist>(work);
  if (!node.machine) return digest.hash();
  const auto& machine = *node.machine;
  const auto persisted = machine.*of(PersistedToken{});
  digest << static_cast<int>(machine.role()) << machine.*of(Hard{}) << machine.*of(HardDirty{})
         << machine.*of(HardToken{}) - persisted << machine.*of(DiskToken{}) - persisted;
  // Within the shortest election timeout a leader is near; how long ago it was heard of does not matter else.
  digest << machine.leader() << (node.clock - machine.*of(LeaderHeardAt{}) < QuorumOptions{}.election_timeout_min_ms);
  digest << node.log << machine.high_watermark() << machine.applied() << machine.*of(DurableEnd{})
         << machine.*of(MatchedEnd{}) << machine.*of(Granted{}) << machine.*of(Refused{});
  for (const auto& held : machine.*of(HeldBack{})) digest << held.token - persisted << held.message;
  if (const auto& leadership = machine.*of(OwnLeadership{})) add(digest, *leadership, node.clock);
  return digest.hash();
}

}  // namespace troupe::model
