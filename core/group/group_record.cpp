#include "core/group/group_record.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <span>
#include <utility>

#include "base/byte_codec.hpp"

namespace troupe::group {
namespace {

/// What a key begins with. Kafka has 0 to 16. Part of the format: never renumber.
enum class KeyType : std::int16_t {
  offset_0 = 0,
  offset = 1,
  group = 1'000,
  member = 1'001,
  target = 1'002,
  assignment = 1'003,
  classic_group = classic_group_type,
  classic_member = classic_member_type,
  classic_share = classic_share_type,
  instance = 1'010,
};

constexpr std::int16_t offset_value_version = 4;
constexpr std::uint8_t own_version = 1;
constexpr std::uint8_t group_version = 2;          // since 2: pauses
constexpr std::uint32_t tag_topic_id = 0;          // Kafka's
constexpr std::uint32_t tag_reset_epoch = 10'000;  // ours

class Out {
 public:
  template <class Int>
  void integer(Int value) {
    out_.integer(value);
  }
  void unsigned_varint(std::uint32_t value) {
    for (; value >= 0x80; value >>= 7) integer(static_cast<std::uint8_t>(value | 0x80U));
    integer(static_cast<std::uint8_t>(value));
  }
  void text(std::string_view value) {  // Kafka's STRING
    integer(static_cast<std::int16_t>(value.size()));
    out_.bytes(as_bytes(value));
  }
  void compact_text(std::string_view value) {  // Kafka's COMPACT_STRING
    unsigned_varint(static_cast<std::uint32_t>(value.size() + 1));
    out_.bytes(as_bytes(value));
  }
  void blob(ByteView value) {
    integer(static_cast<std::uint32_t>(value.size()));
    out_.bytes(value);
  }
  void uuid(const Uuid& value) { out_.bytes(std::as_bytes(std::span{value.bytes()})); }
  void partitions(const PartitionList& list) {
    integer(static_cast<std::uint32_t>(list.size()));
    for (const auto& one : list) {
      uuid(one.topic_id);
      integer(one.partition.value());
    }
  }
  ByteBuffer take() { return std::move(buffer_); }

 private:
  ByteBuffer buffer_;
  ByteWriter out_{buffer_};
};

/// Reads fields; after the first that is not right all are empty, and `ended` says so.
class In {
 public:
  explicit In(ByteView bytes) : in_(bytes) {}

  template <class Int>
  Int integer(Int min = std::numeric_limits<Int>::min(), Int max = std::numeric_limits<Int>::max()) {
    const auto value = in_.integer<Int>();
    if (value && *value >= min && *value <= max) return *value;
    wrong_ = true;
    return Int{};
  }
  std::uint32_t unsigned_varint() {
    std::uint32_t value = 0;
    for (int shift = 0; shift < 35; shift += 7) {
      const auto group = integer<std::uint8_t>();
      if (shift == 28 && group > 0x0f) break;
      value |= static_cast<std::uint32_t>(group & 0x7fU) << shift;
      if ((group & 0x80U) == 0) return value;
    }
    wrong_ = true;
    return 0;
  }
  std::string text() { return raw(static_cast<std::size_t>(integer<std::int16_t>(0))); }
  std::string compact_text() {
    const auto size = unsigned_varint();
    if (size == 0) wrong_ = true;
    return raw(size == 0 ? 0 : size - 1);
  }
  Uuid uuid() {
    const auto bytes = in_.bytes(16);
    if (!bytes) {
      wrong_ = true;
      return {};
    }
    std::array<std::uint8_t, 16> copy{};
    std::ranges::transform(*bytes, copy.begin(), [](std::byte one) { return std::to_integer<std::uint8_t>(one); });
    return Uuid{copy};
  }
  ByteBuffer blob() {
    const auto size = integer<std::uint32_t>();
    const auto bytes = wrong_ ? std::nullopt : in_.bytes(size);
    if (!bytes) {
      wrong_ = true;
      return {};
    }
    return {bytes->begin(), bytes->end()};
  }
  PartitionList partitions() {
    PartitionList list;
    const auto count = integer<std::uint32_t>();
    if (count > in_.remaining() / 20) wrong_ = true;
    for (auto left = wrong_ ? 0 : count; left > 0; --left) {
      const auto topic = uuid();
      list.push_back({topic, PartitionId{integer<std::int32_t>(0)}});
    }
    if (std::ranges::adjacent_find(list, std::ranges::greater_equal{}) != list.end()) wrong_ = true;
    return list;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> all;
    for (auto left = integer<std::uint32_t>(); left > 0 && !wrong_; --left) all.push_back(text());
    return all;
  }
  /// One of Kafka's tagged fields that is not known here.
  void pass(std::size_t size) { wrong_ = wrong_ || !in_.bytes(size); }

  bool wrong() const { return wrong_; }
  bool ended() const { return !wrong_ && in_.remaining() == 0; }

 private:
  std::string raw(std::size_t size) {
    const auto bytes = wrong_ ? std::nullopt : in_.bytes(size);
    if (!bytes) {
      wrong_ = true;
      return {};
    }
    return std::string(as_text(*bytes));
  }

  ByteReader in_;
  bool wrong_ = false;
};

void put_key(Out& out, KeyType type, std::string_view group) {
  out.integer(static_cast<std::int16_t>(type));
  out.text(group);
}

// --- values -------------------------------------------------------------------------------------------------------------------------

void put(Out& out, const CommittedOffset& value) {
  out.integer(offset_value_version);
  out.integer(value.offset.value());
  out.integer(value.leader_epoch.value());
  out.compact_text(value.metadata);
  out.integer(value.committed_at.value());
  out.unsigned_varint(value.reset_epoch == 0 ? 1 : 2);
  out.unsigned_varint(tag_topic_id);
  out.unsigned_varint(16);
  out.uuid(value.topic_id);
  if (value.reset_epoch == 0) return;
  out.unsigned_varint(tag_reset_epoch);
  out.unsigned_varint(4);
  out.integer(value.reset_epoch);
}

CommittedOffset get_offset(In& in) {
  CommittedOffset value;
  in.integer(offset_value_version, offset_value_version);
  value.offset = Offset{in.integer<std::int64_t>(0)};
  value.leader_epoch = LeaderEpoch{in.integer<std::int32_t>(-1)};
  value.metadata = in.compact_text();
  value.committed_at = TimestampMs{in.integer<std::int64_t>()};
  for (auto left = in.unsigned_varint(); left > 0 && !in.wrong(); --left) {
    const auto tag = in.unsigned_varint();
    const auto size = in.unsigned_varint();
    if (tag == tag_topic_id && size == 16) {
      value.topic_id = in.uuid();
    } else if (tag == tag_reset_epoch && size == 4) {
      value.reset_epoch = in.integer<std::int32_t>(0);
    } else {
      in.pass(size);
    }
  }
  return value;
}

void put(Out& out, const GroupRecord::Value& value) {
  out.integer(group_version);
  out.integer(value.epoch.value());
  out.integer(value.target_epoch.value());
  out.integer(value.empty_since.value());
  out.integer(value.pause_epoch);
}

GroupRecord::Value get_group(In& in) {
  const auto version = in.integer<std::uint8_t>(1, group_version);
  GroupRecord::Value value;
  value.epoch = GroupEpoch{in.integer<std::int32_t>(0)};
  value.target_epoch = GroupEpoch{in.integer<std::int32_t>(0)};
  value.empty_since = TimestampMs{in.integer<std::int64_t>()};
  if (version >= 2) value.pause_epoch = in.integer<std::int32_t>(0);
  return value;
}

void put(Out& out, const MemberProfile& value) {
  out.integer(own_version);
  out.text(value.instance_id);
  out.text(value.rack);
  out.text(value.client_id);
  out.text(value.client_host);
  out.integer(static_cast<std::uint32_t>(value.topics.size()));
  for (const auto& topic : value.topics) out.text(topic);
  out.text(value.pattern);
  out.text(value.assignor);
  out.integer(value.session_timeout_ms);
  out.integer(value.rebalance_timeout_ms);
  out.integer(value.node.value());
  out.integer(value.node_epoch.value());
}

MemberProfile get_member(In& in) {
  in.integer(own_version, own_version);
  MemberProfile value;
  value.instance_id = in.text();
  value.rack = in.text();
  value.client_id = in.text();
  value.client_host = in.text();
  value.topics = in.texts();
  value.pattern = in.text();
  value.assignor = in.text();
  value.session_timeout_ms = in.integer<Millis>(1);
  value.rebalance_timeout_ms = in.integer<Millis>(1);
  value.node = BrokerId{in.integer<std::int32_t>(-1)};
  value.node_epoch = Offset{in.integer<std::int64_t>(-1)};
  return value;
}

void put(Out& out, const PartitionList& value) {
  out.integer(own_version);
  out.partitions(value);
}

PartitionList get_target(In& in) {
  in.integer(own_version, own_version);
  return in.partitions();
}

void put(Out& out, const MemberAssignment& value) {
  out.integer(own_version);
  out.integer(value.epoch.value());
  out.integer(value.previous_epoch.value());
  out.integer(static_cast<std::uint8_t>(value.state));
  out.partitions(value.assigned);
  out.partitions(value.revoking);
}

void put(Out& out, const InstanceEntry& value) {
  out.integer(own_version);
  out.integer(value.host.value());
  out.integer(value.host_epoch.value());
  out.integer(value.epoch);
  out.blob(value.definition);
}

InstanceEntry get_instance(In& in) {
  in.integer(own_version, own_version);
  InstanceEntry value;
  value.host = BrokerId{in.integer<std::int32_t>(-1)};
  value.host_epoch = Offset{in.integer<std::int64_t>(-1)};
  value.epoch = in.integer<std::int32_t>(1);
  value.definition = in.blob();
  return value;
}

MemberAssignment get_assignment(In& in) {
  in.integer(own_version, own_version);
  MemberAssignment value;
  value.epoch = GroupEpoch{in.integer<std::int32_t>(leaving_for_a_while.value())};
  value.previous_epoch = GroupEpoch{in.integer<std::int32_t>(leaving_for_a_while.value())};
  value.state = static_cast<MemberState>(in.integer<std::uint8_t>(0, static_cast<std::uint8_t>(MemberState::waiting)));
  value.assigned = in.partitions();
  value.revoking = in.partitions();
  return value;
}

// --- records ------------------------------------------------------------------------------------------------------------------------

template <class Value>
std::optional<ByteBuffer> encoded(const std::optional<Value>& value) {
  if (!value) return std::nullopt;
  Out out;
  put(out, *value);
  return out.take();
}

ByteBuffer member_key(KeyType type, std::string_view group, std::string_view member) {
  Out out;
  put_key(out, type, group);
  out.text(member);
  return out.take();
}

EncodedRecord encode_one(const OffsetRecord& record) {
  Out key;
  put_key(key, KeyType::offset, record.group);
  key.text(record.topic);
  key.integer(record.partition.value());
  return {key.take(), encoded(record.value)};
}
EncodedRecord encode_one(const GroupRecord& record) {
  Out key;
  put_key(key, KeyType::group, record.group);
  return {key.take(), encoded(record.value)};
}
EncodedRecord encode_one(const MemberRecord& record) {
  return {member_key(KeyType::member, record.group, record.member), encoded(record.value)};
}
EncodedRecord encode_one(const TargetRecord& record) {
  return {member_key(KeyType::target, record.group, record.member), encoded(record.value)};
}
EncodedRecord encode_one(const AssignmentRecord& record) {
  return {member_key(KeyType::assignment, record.group, record.member), encoded(record.value)};
}

template <class Value>
std::optional<ByteBuffer> encoded_classic(const std::optional<Value>& value) {
  return value ? std::optional{encode_classic(*value)} : std::nullopt;
}
EncodedRecord encode_one(const ClassicGroupRecord& record) {
  Out key;
  put_key(key, KeyType::classic_group, record.group);
  return {key.take(), encoded_classic(record.value)};
}
EncodedRecord encode_one(const ClassicMemberRecord& record) {
  return {member_key(KeyType::classic_member, record.group, record.member), encoded_classic(record.value)};
}
EncodedRecord encode_one(const ClassicShareRecord& record) {
  return {member_key(KeyType::classic_share, record.group, record.member), encoded_classic(record.value)};
}
EncodedRecord encode_one(const InstanceRecord& record) {
  return {member_key(KeyType::instance, record.group, record.name), encoded(record.value)};
}

/// Fills in what the record is without a value.
template <class Get>
bool get_value(std::optional<ByteView> bytes, Get get, auto& value) {
  if (!bytes) return true;
  In in(*bytes);
  value = get(in);
  return in.ended();
}

}  // namespace

EncodedRecord encode(const Record& record) {
  return std::visit([](const auto& one) { return encode_one(one); }, record);
}

Result<std::optional<Record>> decode(ByteView key, std::optional<ByteView> value) {
  const Error damaged{Errc::corrupt_message, "a record of the consumer groups does not read as its type says"};
  In in(key);
  const auto type = static_cast<KeyType>(in.integer<std::int16_t>());
  if (in.wrong()) return damaged;
  bool good = false;
  Record record;
  const auto fill = [&](auto one, auto get, auto... more) {
    one.group = in.text();
    (more(one), ...);
    good = in.ended() && get_value(value, get, one.value);
    record = std::move(one);
  };
  const auto fill_classic = [&](auto one, auto... more) {
    one.group = in.text();
    (more(one), ...);
    good = in.ended() && (!value || decode_classic(*value, one.value.emplace()));
    record = std::move(one);
  };
  const auto member = [&](auto& one) { one.member = in.text(); };
  switch (type) {
    case KeyType::offset_0:
    case KeyType::offset:
      fill(OffsetRecord{}, get_offset, [&](auto& one) {
        one.topic = in.text();
        one.partition = PartitionId{in.integer<std::int32_t>(0)};
      });
      break;
    case KeyType::group: fill(GroupRecord{}, get_group); break;
    case KeyType::member: fill(MemberRecord{}, get_member, member); break;
    case KeyType::target: fill(TargetRecord{}, get_target, member); break;
    case KeyType::assignment: fill(AssignmentRecord{}, get_assignment, member); break;
    case KeyType::classic_group: fill_classic(ClassicGroupRecord{}); break;
    case KeyType::classic_member: fill_classic(ClassicMemberRecord{}, member); break;
    case KeyType::classic_share: fill_classic(ClassicShareRecord{}, member); break;
    case KeyType::instance: fill(InstanceRecord{}, get_instance, [&](auto& one) { one.name = in.text(); }); break;
    default: return std::optional<Record>{};
  }
  if (!good) return damaged;
  return std::optional<Record>{std::move(record)};
}

}  // namespace troupe::group
