#include "core/metadata/quorum_messages.hpp"

#include <algorithm>
#include <span>
#include <string>

#include "base/byte_codec.hpp"

namespace troupe::quorum {
namespace {

constexpr std::uint8_t version = 1;

/// Part of the format: never renumber.
enum class Type : std::uint8_t {
  hello = 1,
  vote_request = 2,
  vote_response = 3,
  append_request = 4,
  append_response = 5,
  snapshot_request = 6,
  snapshot_response = 7,
  timeout_now = 8,
  follow = 9,
  leader_hint = 10,
};

// --- writing

class Writer {
 public:
  void number(std::uint8_t value) { out_.integer(value); }
  void number(std::uint32_t value) { out_.integer(value); }
  void number(std::uint64_t value) { out_.integer(value); }
  void number(std::int32_t value) { out_.integer(value); }
  void flag(bool value) { out_.integer(static_cast<std::uint8_t>(value ? 1 : 0)); }
  void put(Offset offset) { out_.integer(offset.value()); }
  void put(LeaderEpoch epoch) { out_.integer(epoch.value()); }
  void put(BrokerId id) { out_.integer(id.value()); }
  void put(const Uuid& uuid) { out_.bytes(std::as_bytes(std::span{uuid.bytes()})); }
  void put(const ReplicaKey& key) {
    put(key.id);
    put(key.directory_id);
  }
  void put(const VoterSet& voters) {
    number(static_cast<std::uint8_t>(voters.size()));
    for (const auto& voter : voters) put(voter);
  }
  void put(const Bytes& bytes) {
    number(static_cast<std::uint32_t>(bytes.size()));
    out_.bytes(bytes);
  }
  void put(const SnapshotMeta& snapshot) {
    put(snapshot.end_offset);
    put(snapshot.epoch);
    put(snapshot.voters);
    number(snapshot.size_bytes);
    number(snapshot.crc);
  }

  void put(const Hello& hello) {
    flag(hello.reply);
    number(static_cast<std::uint8_t>(hello.listed.size()));
    for (const auto id : hello.listed) put(id);
    put(hello.genesis);
    put(hello.leader);
  }
  void put(const VoteRequest& request) {
    flag(request.pre_vote);
    flag(request.transfer);
    put(request.log_end_offset);
    put(request.last_epoch);
  }
  void put(const VoteResponse& response) {
    flag(response.pre_vote);
    flag(response.granted);
    put(response.asked);
    put(response.leader);
  }
  void put(const AppendRequest& request) {
    put(request.base_offset);
    put(request.previous_epoch);
    put(request.high_watermark);
    number(request.round);
    number(static_cast<std::uint32_t>(request.entries.size()));
    for (const auto& entry : request.entries) {
      put(entry.epoch);
      number(static_cast<std::uint8_t>(entry.kind));
      number(entry.records);
      put(entry.payload);
    }
  }
  void put(const AppendResponse& response) {
    flag(response.accepted);
    number(response.round);
    put(response.base_offset);
    put(response.matched_offset);
    put(response.durable_offset);
    put(response.hint_epoch);
    put(response.hint_end_offset);
  }
  void put(const SnapshotRequest& request) {
    put(request.snapshot);
    number(request.position);
    number(request.round);
    put(request.chunk);
  }
  void put(const SnapshotResponse& response) {
    put(response.end_offset);
    number(response.crc);
    number(response.position);
    number(response.round);
    flag(response.done);
  }
  void put(const TimeoutNow&) {}
  void put(const Follow& follow) { put(follow.log_end_offset); }
  void put(const LeaderHint& hint) { put(hint.leader); }

  ByteBuffer take() { return std::move(buffer_); }

 private:
  ByteBuffer buffer_;
  ByteWriter out_{buffer_};
};

template <class Body>
constexpr Type type_of() {
  if constexpr (std::is_same_v<Body, Hello>) return Type::hello;
  if constexpr (std::is_same_v<Body, VoteRequest>) return Type::vote_request;
  if constexpr (std::is_same_v<Body, VoteResponse>) return Type::vote_response;
  if constexpr (std::is_same_v<Body, AppendRequest>) return Type::append_request;
  if constexpr (std::is_same_v<Body, AppendResponse>) return Type::append_response;
  if constexpr (std::is_same_v<Body, SnapshotRequest>) return Type::snapshot_request;
  if constexpr (std::is_same_v<Body, SnapshotResponse>) return Type::snapshot_response;
  if constexpr (std::is_same_v<Body, TimeoutNow>) return Type::timeout_now;
  if constexpr (std::is_same_v<Body, Follow>) return Type::follow;
  if constexpr (std::is_same_v<Body, LeaderHint>) return Type::leader_hint;
}

// --- reading: what is wrong shows at the end, in `finish`

class Reader {
 public:
  explicit Reader(ByteView bytes) : in_(bytes), whole_(bytes) {}
  /// Payloads that are read share `bytes`.
  explicit Reader(const Bytes& bytes) : in_(bytes), whole_(bytes), shared_(&bytes) {}

  template <class Int>
  Int integer() {
    return in_.integer<Int>().value_or(Int{});
  }
  bool flag() {
    const auto value = integer<std::uint8_t>();
    if (value > 1) wrong("a flag of " + std::to_string(value));
    return value == 1;
  }
  Offset offset() {
    const auto value = integer<std::int64_t>();
    // Sums of an offset and a message's records stay in range.
    if (value < 0 || value > INT64_MAX / 2) wrong("an offset of " + std::to_string(value));
    return Offset{value};
  }
  /// At least `lowest`.
  LeaderEpoch epoch(std::int32_t lowest) {
    const auto value = integer<std::int32_t>();
    if (value < lowest) wrong("an epoch of " + std::to_string(value));
    return LeaderEpoch{value};
  }
  BrokerId broker_id(std::int32_t lowest) {
    const auto value = integer<std::int32_t>();
    if (value < lowest) wrong("a node id of " + std::to_string(value));
    return BrokerId{value};
  }
  Uuid uuid() {
    std::array<std::uint8_t, 16> bytes{};
    if (const auto view = in_.bytes(bytes.size())) std::memcpy(bytes.data(), view->data(), bytes.size());
    return Uuid{bytes};
  }
  ReplicaKey key() {
    const auto id = broker_id(0);
    return {id, uuid()};
  }
  VoterSet voters() {
    const auto count = integer<std::uint8_t>();
    std::vector<ReplicaKey> keys;
    for (std::size_t i = 0; i < count && !failed(); ++i) keys.push_back(key());
    if (failed()) return {};
    if (!std::ranges::is_sorted(keys)) wrong("voters that do not ascend");
    auto set = VoterSet::of(std::move(keys));
    if (!set) wrong("a set of " + std::to_string(count) + " voters that cannot be");
    return set.value_or(VoterSet{});
  }
  Bytes bytes() {
    const auto size = integer<std::uint32_t>();
    const auto view = in_.bytes(size);
    if (!view || view->empty()) return {};
    if (shared_ == nullptr) return Bytes::copy_of(*view);
    return shared_->slice(static_cast<std::size_t>(view->data() - whole_.data()), view->size());
  }
  SnapshotMeta snapshot() {
    SnapshotMeta snapshot;
    snapshot.end_offset = offset();
    snapshot.epoch = epoch(-1);
    snapshot.voters = voters();
    snapshot.size_bytes = integer<std::uint64_t>();
    snapshot.crc = integer<std::uint32_t>();
    return snapshot;
  }

  Hello hello() {
    Hello hello;
    hello.reply = flag();
    const auto count = integer<std::uint8_t>();
    if (count > voters_max) wrong("a list of " + std::to_string(count) + " voters");
    for (std::size_t i = 0; i < count && !failed(); ++i) {
      const auto id = broker_id(0);
      if (!hello.listed.empty() && id <= hello.listed.back()) wrong("a list of voters that does not ascend");
      hello.listed.push_back(id);
    }
    hello.genesis = voters();
    hello.leader = broker_id(-1);
    return hello;
  }
  VoteRequest vote_request() {
    VoteRequest request;
    request.pre_vote = flag();
    request.transfer = flag();
    request.log_end_offset = offset();
    request.last_epoch = epoch(-1);
    return request;
  }
  VoteResponse vote_response() {
    VoteResponse response;
    response.pre_vote = flag();
    response.granted = flag();
    response.asked = epoch(0);
    response.leader = broker_id(-1);
    return response;
  }
  AppendRequest append_request(LeaderEpoch leader_epoch) {
    AppendRequest request;
    request.base_offset = offset();
    request.previous_epoch = epoch(-1);
    request.high_watermark = offset();
    request.round = integer<std::uint64_t>();
    const auto count = integer<std::uint32_t>();
    if (count > message_entries_max) wrong(std::to_string(count) + " entries");
    auto next = request.base_offset;
    auto last_epoch = request.previous_epoch;
    for (std::size_t i = 0; i < count && !failed(); ++i) {
      LogEntry entry;
      entry.base_offset = next;
      entry.epoch = epoch(0);
      if (entry.epoch < last_epoch || entry.epoch > leader_epoch) {
        wrong("an entry of epoch " + to_string(entry.epoch) + " after " + to_string(last_epoch) +
              " from a leader of epoch " + to_string(leader_epoch));
      }
      const auto kind = integer<std::uint8_t>();
      if (kind > static_cast<std::uint8_t>(EntryKind::voters)) wrong("an entry of kind " + std::to_string(kind));
      entry.kind = static_cast<EntryKind>(kind);
      entry.records = integer<std::int32_t>();
      if (entry.records < 1 || (entry.kind != EntryKind::data && entry.records != 1)) {
        wrong("an entry of " + std::to_string(entry.records) + " records");
      }
      entry.payload = bytes();
      next = entry.end_offset();
      last_epoch = entry.epoch;
      request.entries.push_back(std::move(entry));
    }
    return request;
  }
  AppendResponse append_response() {
    AppendResponse response;
    response.accepted = flag();
    response.round = integer<std::uint64_t>();
    response.base_offset = offset();
    response.matched_offset = offset();
    response.durable_offset = offset();
    response.hint_epoch = epoch(-1);
    response.hint_end_offset = offset();
    return response;
  }
  SnapshotRequest snapshot_request() {
    SnapshotRequest request;
    request.snapshot = snapshot();
    request.position = integer<std::uint64_t>();
    request.round = integer<std::uint64_t>();
    request.chunk = bytes();
    if (request.position > request.snapshot.size_bytes ||
        request.chunk.size() > request.snapshot.size_bytes - request.position) {
      wrong("a chunk at " + std::to_string(request.position) + " behind the end of its snapshot");
    }
    return request;
  }
  SnapshotResponse snapshot_response() {
    SnapshotResponse response;
    response.end_offset = offset();
    response.crc = integer<std::uint32_t>();
    response.position = integer<std::uint64_t>();
    response.round = integer<std::uint64_t>();
    response.done = flag();
    return response;
  }

  std::optional<Message::Body> body(Type type, LeaderEpoch sender_epoch) {
    switch (type) {
      case Type::hello: return hello();
      case Type::vote_request: return vote_request();
      case Type::vote_response: return vote_response();
      case Type::append_request: return append_request(sender_epoch);
      case Type::append_response: return append_response();
      case Type::snapshot_request: return snapshot_request();
      case Type::snapshot_response: return snapshot_response();
      case Type::timeout_now: return TimeoutNow{};
      case Type::follow: return Follow{offset()};
      case Type::leader_hint: return LeaderHint{broker_id(-1)};
    }
    return std::nullopt;
  }

  void expect_version() {
    const auto found = integer<std::uint8_t>();
    if (found != version) wrong("version " + std::to_string(found) + ", this node knows " + std::to_string(version));
  }
  void wrong(std::string what) {
    if (wrong_.empty()) wrong_ = std::move(what);
  }
  bool failed() const { return in_.failed() || !wrong_.empty(); }

  Status finish(const char* what) const {
    const auto context = std::string(what) + " of " + std::to_string(whole_.size()) + " bytes: ";
    if (!wrong_.empty()) return Error{Errc::corrupt_message, context + wrong_};
    if (in_.failed()) return Error{Errc::corrupt_message, context + "cut off"};
    if (in_.remaining() > 0) {
      return Error{Errc::corrupt_message, context + std::to_string(in_.remaining()) + " bytes behind its end"};
    }
    return ok();
  }

 private:
  ByteReader in_;
  ByteView whole_;
  const Bytes* shared_ = nullptr;
  std::string wrong_;
};

}  // namespace

ByteBuffer encode_message(const Message& message) {
  Writer out;
  out.number(version);
  out.number(static_cast<std::uint8_t>(
      std::visit([](const auto& body) { return type_of<std::decay_t<decltype(body)>>(); }, message.body)));
  out.put(message.cluster_id);
  out.put(message.from);
  out.put(message.to);
  out.put(message.epoch);
  std::visit([&](const auto& body) { out.put(body); }, message.body);
  return out.take();
}

Result<Message> decode_message(const Bytes& bytes) {
  Reader in{bytes};
  in.expect_version();
  const auto type = in.integer<std::uint8_t>();
  Message message;
  message.cluster_id = in.uuid();
  message.from = in.key();
  message.to = in.key();
  message.epoch = in.epoch(0);
  if (!in.failed()) {
    auto body = in.body(static_cast<Type>(type), message.epoch);
    if (!body) in.wrong("type " + std::to_string(type));
    if (body) message.body = std::move(*body);
  }
  TROUPE_TRY(in.finish("a message of the quorum"));
  return message;
}

ByteBuffer encode_hard_state(const HardState& state) {
  Writer out;
  out.number(version);
  out.put(state.directory_id);
  out.put(state.cluster_id);
  out.put(state.epoch);
  out.flag(state.voted_for.has_value());
  if (state.voted_for) out.put(*state.voted_for);
  out.put(state.genesis);
  return out.take();
}

Result<HardState> decode_hard_state(ByteView bytes) {
  Reader in{bytes};
  in.expect_version();
  HardState state;
  state.directory_id = in.uuid();
  state.cluster_id = in.uuid();
  state.epoch = in.epoch(0);
  if (in.flag()) state.voted_for = in.key();
  state.genesis = in.voters();
  if (state.directory_id.is_nil()) in.wrong("no directory id");
  TROUPE_TRY(in.finish("the quorum's hard state"));
  return state;
}

ByteBuffer encode_control_entry(const ControlEntry& entry) {
  Writer out;
  out.number(version);
  out.put(entry.leader);
  out.put(entry.voters);
  return out.take();
}

Result<ControlEntry> decode_control_entry(ByteView bytes) {
  Reader in{bytes};
  in.expect_version();
  ControlEntry entry;
  entry.leader = in.key();
  entry.voters = in.voters();
  if (entry.voters.empty()) in.wrong("no voters");
  TROUPE_TRY(in.finish("a control entry"));
  return entry;
}

ByteBuffer encode_snapshot_meta(const SnapshotMeta& snapshot) {
  Writer out;
  out.number(version);
  out.put(snapshot);
  return out.take();
}

Result<SnapshotMeta> decode_snapshot_meta(ByteView bytes) {
  Reader in{bytes};
  in.expect_version();
  auto snapshot = in.snapshot();
  TROUPE_TRY(in.finish("the head of a snapshot"));
  return snapshot;
}

}  // namespace troupe::quorum
