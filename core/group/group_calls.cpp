#include "core/group/group_calls.hpp"

#include "base/assert.hpp"
#include "core/group/classic_calls.hpp"
#include "core/group/group_place.hpp"
#include "core/metadata/command_fields.hpp"

namespace troupe::group {
namespace {

using metadata::In;
using metadata::Out;

// Part of the wire between nodes.
constexpr std::uint8_t version = 1;
constexpr std::size_t sentence_bytes_max = 4'096;

Error corrupt(const char* what) {
  return {Errc::corrupt_message, std::string(what) + " from another node cannot be read: damaged, or of a newer version"};
}

// --- lists

template <class T, class Write>
void write_list(Out& out, const std::vector<T>& list, Write write_one) {
  out.integer(static_cast<std::uint32_t>(list.size()));
  for (const auto& one : list) write_one(one);
}
template <class T, class Read>
std::vector<T> read_list(In& in, std::size_t bytes_each, Read read_one) {
  std::vector<T> list;
  for (auto left = in.count(bytes_each); left > 0 && !in.wrong(); --left) list.push_back(read_one());
  return list;
}

template <class T, class Write>
void write_optional(Out& out, const std::optional<T>& value, Write write_one) {
  out.flag(value.has_value());
  if (value) write_one(*value);
}
template <class T, class Read>
std::optional<T> read_optional(In& in, Read read_one) {
  if (!in.flag() || in.wrong()) return std::nullopt;
  return read_one();
}

void write(Out& out, const std::vector<std::string>& texts) {
  write_list(out, texts, [&](const std::string& text) { out.text(text); });
}
std::vector<std::string> read_texts(In& in) {
  return read_list<std::string>(in, 4, [&] { return in.text(); });
}

ByteBuffer read_definition(In& in) {
  const auto text = in.text(GroupInstances::Limits{}.definition_bytes_max);
  const auto bytes = as_bytes(text);
  return {bytes.begin(), bytes.end()};
}

void write(Out& out, const PartitionList& list) {
  write_list(out, list, [&](const TopicIdPartition& one) { out.id(one); });
}
PartitionList read_partitions(In& in) {
  auto list = read_list<TopicIdPartition>(in, 20, [&] { return in.id(); });
  // What works with these lists needs them in order, and none twice.
  std::ranges::sort(list);
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

// --- parts

void write(Out& out, const GroupPartition& one) {
  out.text(one.topic);
  out.integer(one.partition.value());
}
GroupPartition read_group_partition(In& in) {
  auto topic = in.text();
  return {std::move(topic), PartitionId{in.integer<std::int32_t>()}};
}
constexpr std::size_t group_partition_bytes = 4 + 4;

void write(Out& out, const std::vector<GroupPartition>& list) {
  write_list(out, list, [&](const GroupPartition& one) { write(out, one); });
}
std::vector<GroupPartition> read_group_partitions(In& in) {
  return read_list<GroupPartition>(in, group_partition_bytes, [&] { return read_group_partition(in); });
}

void write(Out& out, const Committer& one) {
  out.text(one.member);
  out.integer(one.epoch.value());
  out.text(one.instance_id);
}
Committer read_committer(In& in) {
  Committer one;
  one.member = in.text();
  one.epoch = GroupEpoch{in.integer<std::int32_t>()};
  one.instance_id = in.text();
  return one;
}

void write(Out& out, const MemberProfile& one) {
  out.text(one.instance_id);
  out.text(one.rack);
  out.text(one.client_id);
  out.text(one.client_host);
  write(out, one.topics);
  out.text(one.pattern);
  out.text(one.assignor);
  out.integer(one.session_timeout_ms);
  out.integer(one.rebalance_timeout_ms);
  out.integer(one.node.value());
  out.integer(one.node_epoch.value());
}
MemberProfile read_profile(In& in) {
  MemberProfile one;
  one.instance_id = in.text();
  one.rack = in.text();
  one.client_id = in.text();
  one.client_host = in.text();
  one.topics = read_texts(in);
  one.pattern = in.text();
  one.assignor = in.text();
  one.session_timeout_ms = in.integer<Millis>();
  one.rebalance_timeout_ms = in.integer<Millis>();
  one.node = BrokerId{in.integer<std::int32_t>(-1)};
  one.node_epoch = Offset{in.integer<std::int64_t>(-1)};
  return one;
}

void write(Out& out, const CommittedOffset& one) {
  out.uuid(one.topic_id);
  out.integer(one.offset.value());
  out.integer(one.leader_epoch.value());
  out.text(one.metadata);
  out.integer(one.committed_at.value());
  out.integer(one.reset_epoch);
}
CommittedOffset read_committed(In& in) {
  CommittedOffset one;
  one.topic_id = in.uuid();
  one.offset = Offset{in.integer<std::int64_t>(0)};
  one.leader_epoch = LeaderEpoch{in.integer<std::int32_t>(-1)};
  one.metadata = in.text();
  one.committed_at = TimestampMs{in.integer<std::int64_t>()};
  one.reset_epoch = in.integer<std::int32_t>(0);
  return one;
}

void write(Out& out, const MemberAssignment& one) {
  out.integer(one.epoch.value());
  out.integer(one.previous_epoch.value());
  out.integer(static_cast<std::uint8_t>(one.state));
  write(out, one.assigned);
  write(out, one.revoking);
}
MemberAssignment read_assignment(In& in) {
  MemberAssignment one;
  one.epoch = GroupEpoch{in.integer<std::int32_t>()};
  one.previous_epoch = GroupEpoch{in.integer<std::int32_t>()};
  one.state = static_cast<MemberState>(in.integer<std::uint8_t>(0, 2));
  one.assigned = read_partitions(in);
  one.revoking = read_partitions(in);
  return one;
}

GroupState read_state(In& in) { return static_cast<GroupState>(in.integer<std::uint8_t>(0, 4)); }
GroupType read_type(In& in) { return static_cast<GroupType>(in.integer<std::uint8_t>(0, 1)); }

void write(Out& out, const Status& status) {
  out.flag(status.has_value());
  if (status) return;
  out.integer(static_cast<std::uint8_t>(status.error().code));
  out.text(std::string_view(status.error().message).substr(0, sentence_bytes_max));
}
Status read_status(In& in) {
  if (in.flag() || in.wrong()) return {};
  const auto code = static_cast<Errc>(in.integer<std::uint8_t>(1));
  return Error{code, in.text(sentence_bytes_max)};
}

// --- calls

void write(Out& out, const HeartbeatRequest& one) {
  out.text(one.group);
  out.text(one.member);
  out.integer(one.epoch.value());
  write_optional(out, one.profile, [&](const MemberProfile& profile) { write(out, profile); });
  write_optional(out, one.owned, [&](const PartitionList& owned) { write(out, owned); });
  write_list(out, one.waiting, [&](const std::pair<TopicIdPartition, std::int64_t>& waiting) {
    out.id(waiting.first);
    out.integer(waiting.second);
  });
}
void read(In& in, HeartbeatRequest& one) {
  one.group = in.text();
  one.member = in.text();
  one.epoch = GroupEpoch{in.integer<std::int32_t>()};
  one.profile = read_optional<MemberProfile>(in, [&] { return read_profile(in); });
  one.owned = read_optional<PartitionList>(in, [&] { return read_partitions(in); });
  one.waiting = read_list<std::pair<TopicIdPartition, std::int64_t>>(in, 28, [&] {
    const auto partition = in.id();
    return std::pair{partition, in.integer<std::int64_t>(0)};
  });
}

void write(Out& out, const CommitRequest& one) {
  out.text(one.group);
  write(out, one.committer);
  write_list(out, one.offsets, [&](const OffsetToCommit& offset) {
    out.text(offset.topic);
    out.integer(offset.partition.value());
    out.integer(offset.offset.value());
    out.integer(offset.leader_epoch.value());
    out.text(offset.metadata);
    out.integer(offset.reset_epoch);
  });
}
void read(In& in, CommitRequest& one) {
  constexpr std::size_t bytes_each = 4 + 4 + 8 + 4 + 4 + 4;
  one.group = in.text();
  one.committer = read_committer(in);
  one.offsets = read_list<OffsetToCommit>(in, bytes_each, [&] {
    OffsetToCommit offset;
    offset.topic = in.text();
    offset.partition = PartitionId{in.integer<std::int32_t>()};
    offset.offset = Offset{in.integer<std::int64_t>()};
    offset.leader_epoch = LeaderEpoch{in.integer<std::int32_t>()};
    offset.metadata = in.text();
    offset.reset_epoch = in.integer<std::int32_t>();
    return offset;
  });
}

void write(Out& out, const OffsetsRequest& one) {
  out.text(one.group);
  write(out, one.asker);
  write_optional(out, one.partitions, [&](const auto& list) { write(out, list); });
}
void read(In& in, OffsetsRequest& one) {
  one.group = in.text();
  one.asker = read_committer(in);
  one.partitions = read_optional<std::vector<GroupPartition>>(in, [&] { return read_group_partitions(in); });
}

void write(Out& out, const ResetRequest& one) {
  out.text(one.group);
  write_list(out, one.positions, [&](const ResetRequest::Position& position) {
    write(out, position.partition);
    out.integer(position.offset.value());
  });
}
void read(In& in, ResetRequest& one) {
  one.group = in.text();
  one.positions = read_list<ResetRequest::Position>(in, group_partition_bytes + 8, [&] {
    auto partition = read_group_partition(in);
    return ResetRequest::Position{std::move(partition), Offset{in.integer<std::int64_t>()}};
  });
}

void write(Out& out, const DeleteGroupRequest& one) { out.text(one.group); }
void read(In& in, DeleteGroupRequest& one) { one.group = in.text(); }
void write(Out& out, const DeleteOffsetsRequest& one) {
  out.text(one.group);
  write(out, one.partitions);
}
void read(In& in, DeleteOffsetsRequest& one) {
  one.group = in.text();
  one.partitions = read_group_partitions(in);
}
void write(Out& out, const DescribeRequest& one) { out.text(one.group); }
void read(In& in, DescribeRequest& one) { one.group = in.text(); }
void write(Out& out, const ListRequest& one) { out.integer(one.partition.value()); }
void read(In& in, ListRequest& one) { one.partition = PartitionId{in.integer<std::int32_t>(0, offsets_partitions - 1)}; }

void write(Out& out, const PauseRequest& one) {
  out.text(one.group);
  out.flag(one.paused);
}
void read(In& in, PauseRequest& one) {
  one.group = in.text();
  one.paused = in.flag();
}

void write(Out& out, const InstanceRequest& one) {
  out.integer(static_cast<std::uint8_t>(one.kind));
  out.text(one.group);
  out.text(one.name);
  out.integer(one.epoch);
  out.text(as_text(one.definition));
}
void read(In& in, InstanceRequest& one) {
  using Kind = InstanceRequest::Kind;
  one.kind = static_cast<Kind>(in.integer<std::uint8_t>(0, static_cast<std::uint8_t>(Kind::remove)));
  one.group = in.text();
  one.name = in.text();
  one.epoch = in.integer<std::int32_t>(0);
  one.definition = read_definition(in);
}

// --- answers

void write(Out& out, const InstanceEntry& one) {
  out.integer(one.host.value());
  out.integer(one.host_epoch.value());
  out.integer(one.epoch);
  out.text(as_text(one.definition));
}
void read(In& in, InstanceEntry& one) {
  one.host = in.broker();
  one.host_epoch = Offset{in.integer<std::int64_t>(-1)};
  one.epoch = in.integer<std::int32_t>(1);
  one.definition = read_definition(in);
}

void write(Out& out, const HeartbeatAnswer& one) {
  out.integer(one.epoch.value());
  out.integer(one.heartbeat_interval_ms);
  write_optional(out, one.assignment, [&](const std::vector<AssignedPartition>& assignment) {
    write_list(out, assignment, [&](const AssignedPartition& assigned) {
      out.id(assigned.partition);
      out.integer(assigned.reset_epoch);
    });
  });
  out.flag(one.paused);
}
void read(In& in, HeartbeatAnswer& one) {
  one.epoch = GroupEpoch{in.integer<std::int32_t>()};
  one.heartbeat_interval_ms = in.integer<Millis>(0);
  one.assignment = read_optional<std::vector<AssignedPartition>>(in, [&] {
    return read_list<AssignedPartition>(in, 24, [&] {
      const auto partition = in.id();
      return AssignedPartition{partition, in.integer<std::int32_t>(0)};
    });
  });
  one.paused = in.flag();
}

void write(Out& out, const std::vector<Status>& list) {
  write_list(out, list, [&](const Status& one) { write(out, one); });
}
void read(In& in, std::vector<Status>& list) {
  list = read_list<Status>(in, 1, [&] { return read_status(in); });
}

void write(Out& out, const std::vector<Position>& list) {
  write_list(out, list, [&](const Position& one) {
    write(out, one.first);
    write_optional(out, one.second, [&](const CommittedOffset& offset) { write(out, offset); });
  });
}
void read(In& in, std::vector<Position>& list) {
  list = read_list<Position>(in, group_partition_bytes + 1, [&] {
    auto partition = read_group_partition(in);
    return Position{std::move(partition), read_optional<CommittedOffset>(in, [&] { return read_committed(in); })};
  });
}

void write(Out& out, const GroupDescription& one) {
  out.text(one.group);
  out.integer(static_cast<std::uint8_t>(one.state));
  out.integer(one.epoch.value());
  out.text(one.assignor);
  write_list(out, one.members, [&](const MemberDescription& member) {
    out.text(member.member);
    write(out, member.profile);
    write(out, member.current);
    write(out, member.target);
    out.text(member.metadata);
    out.text(member.assignment);
  });
  out.integer(static_cast<std::uint8_t>(one.type));
  out.text(one.protocol_type);
  out.text(one.leader);
  out.flag(one.paused);
}
void read(In& in, GroupDescription& one) {
  one.group = in.text();
  one.state = read_state(in);
  one.epoch = GroupEpoch{in.integer<std::int32_t>()};
  one.assignor = in.text();
  one.members = read_list<MemberDescription>(in, 64, [&] {
    MemberDescription member;
    member.member = in.text();
    member.profile = read_profile(in);
    member.current = read_assignment(in);
    member.target = read_partitions(in);
    member.metadata = read_blob(in);
    member.assignment = read_blob(in);
    return member;
  });
  one.type = read_type(in);
  one.protocol_type = in.text();
  one.leader = in.text();
  one.paused = in.flag();
}

void write(Out& out, const std::vector<GroupListing>& list) {
  write_list(out, list, [&](const GroupListing& one) {
    out.text(one.group);
    out.integer(static_cast<std::uint8_t>(one.state));
    out.integer(static_cast<std::uint32_t>(one.members));
    out.integer(one.epoch.value());
    out.text(one.assignor);
    out.integer(static_cast<std::uint8_t>(one.type));
    out.text(one.protocol_type);
    out.flag(one.paused);
  });
}
void read(In& in, std::vector<GroupListing>& list) {
  list = read_list<GroupListing>(in, 23, [&] {
    GroupListing one;
    one.group = in.text();
    one.state = read_state(in);
    one.members = in.integer<std::uint32_t>();
    one.epoch = GroupEpoch{in.integer<std::int32_t>()};
    one.assignor = in.text();
    one.type = read_type(in);
    one.protocol_type = in.text();
    one.paused = in.flag();
    return one;
  });
}

void write(Out&, const std::monostate&) {}
void read(In&, std::monostate&) {}

// --- which of them

/// Of classic groups, at the end of the variants. Their numbers stay when others are added before them.
constexpr std::size_t classic_count(const GroupCall*) { return 4; }
constexpr std::size_t classic_count(const GroupAnswer*) { return 2; }
constexpr std::size_t classic_first = 40;

template <class Variant>
constexpr std::size_t number_of(std::size_t index) {
  const auto plain = std::variant_size_v<Variant> - classic_count(static_cast<const Variant*>(nullptr));
  return index < plain ? index : classic_first + (index - plain);
}

template <class Variant>
ByteBuffer encode_one_of(const Variant& value) {
  ByteBuffer bytes;
  Out out(bytes);
  out.integer(version);
  out.integer(static_cast<std::uint8_t>(number_of<Variant>(value.index())));
  std::visit([&](const auto& one) { write(out, one); }, value);
  return bytes;
}

/// False: there is no such number.
template <class Variant, std::size_t... index>
bool read_alternative(In& in, std::uint8_t number, Variant& value, std::index_sequence<index...>) {
  return ((number == number_of<Variant>(index) && (read(in, value.template emplace<index>()), true)) || ...);
}

template <class Variant>
Result<Variant> decode_one_of(ByteView bytes, const char* what) {
  In in(bytes);
  in.integer<std::uint8_t>(version, version);
  Variant value;
  const auto number = in.integer<std::uint8_t>();
  const bool known =
      !in.wrong() && read_alternative(in, number, value, std::make_index_sequence<std::variant_size_v<Variant>>{});
  if (!known || !in.end()) return corrupt(what);
  return value;
}

template <class T>
Result<GroupAnswer> answer_of(Result<T> said) {
  if (!said) return std::move(said).error();
  return GroupAnswer{*std::move(said)};
}

}  // namespace

PartitionId partition_of(const GroupCall& call) {
  return std::visit(
      [](const auto& one) {
        if constexpr (std::is_same_v<std::decay_t<decltype(one)>, ListRequest>) {
          return one.partition;
        } else {
          return partition_of_group(one.group);
        }
      },
      call);
}

bool is_question(const GroupCall& call) {
  const auto* instance = std::get_if<InstanceRequest>(&call);
  if (instance != nullptr) return instance->kind == InstanceRequest::Kind::find;
  return std::holds_alternative<OffsetsRequest>(call) || std::holds_alternative<DescribeRequest>(call) ||
         std::holds_alternative<ListRequest>(call);
}

bool is_repeatable(const GroupCall& call) {
  return !std::holds_alternative<DeleteGroupRequest>(call) && !std::holds_alternative<DeleteOffsetsRequest>(call) &&
         !std::holds_alternative<ClassicLeaveRequest>(call);
}

bool may_wait(const GroupCall& call) {
  return std::holds_alternative<ClassicJoinRequest>(call) || std::holds_alternative<ClassicSyncRequest>(call);
}

void ask_later(GroupCoordinator& coordinator, const GroupCall& call, CallToken token, Now now, Turn& turn) {
  TROUPE_ASSERT(may_wait(call));
  if (const auto* join = std::get_if<ClassicJoinRequest>(&call)) coordinator.join(*join, token, now, turn);
  if (const auto* sync = std::get_if<ClassicSyncRequest>(&call)) coordinator.sync(*sync, token, now, turn);
}

GroupAnswer to_answer(ClassicAnswer answer) {
  return std::visit([](auto&& one) { return GroupAnswer{std::forward<decltype(one)>(one)}; }, std::move(answer));
}

Result<GroupAnswer> answer_call(GroupCoordinator& coordinator, const GroupCall& call, BrokerId from, Now now, Turn& turn) {
  TROUPE_ASSERT(!may_wait(call));
  return std::visit(
      [&](const auto& one) -> Result<GroupAnswer> {
        using Call = std::decay_t<decltype(one)>;
        if constexpr (std::is_same_v<Call, HeartbeatRequest>) {
          if (!one.profile) return answer_of(coordinator.heartbeat(one, now, turn));
          auto placed = one;
          coordinator.place(*placed.profile, from);
          return answer_of(coordinator.heartbeat(placed, now, turn));
        }
        if constexpr (std::is_same_v<Call, InstanceRequest>) return answer_of(coordinator.instance(one, from, now, turn));
        if constexpr (std::is_same_v<Call, CommitRequest>) return answer_of(coordinator.commit(one, now, turn));
        if constexpr (std::is_same_v<Call, OffsetsRequest>) return answer_of(coordinator.offsets(one));
        if constexpr (std::is_same_v<Call, ResetRequest>) return answer_of(coordinator.reset(one, now, turn));
        if constexpr (std::is_same_v<Call, DeleteOffsetsRequest>) {
          return answer_of(coordinator.delete_offsets(one.group, one.partitions, turn));
        }
        if constexpr (std::is_same_v<Call, DescribeRequest>) return answer_of(coordinator.describe(one.group));
        if constexpr (std::is_same_v<Call, ListRequest>) return GroupAnswer{coordinator.list()};
        if constexpr (std::is_same_v<Call, ClassicHeartbeatRequest>) {
          TROUPE_TRY(coordinator.heartbeat(one, now, turn));
        }
        if constexpr (std::is_same_v<Call, ClassicLeaveRequest>) return GroupAnswer{coordinator.leave(one, now, turn)};
        if constexpr (std::is_same_v<Call, DeleteGroupRequest>) {
          TROUPE_TRY(coordinator.delete_group(one.group, turn));
        }
        if constexpr (std::is_same_v<Call, PauseRequest>) {
          TROUPE_TRY(coordinator.pause(one, turn));
        }
        return GroupAnswer{std::monostate{}};
      },
      call);
}

ByteBuffer encode_call(const GroupCall& call) { return encode_one_of(call); }
Result<GroupCall> decode_call(ByteView bytes) { return decode_one_of<GroupCall>(bytes, "a call to a group's coordinator"); }
ByteBuffer encode_answer(const GroupAnswer& answer) { return encode_one_of(answer); }
Result<GroupAnswer> decode_answer(ByteView bytes) {
  return decode_one_of<GroupAnswer>(bytes, "the answer of a group's coordinator");
}

ByteBuffer encode_news(const std::vector<MemberName>& members) {
  ByteBuffer bytes;
  Out out(bytes);
  out.integer(version);
  write_list(out, members, [&](const MemberName& one) {
    out.text(one.group);
    out.text(one.member);
  });
  return bytes;
}

Result<std::vector<MemberName>> decode_news(ByteView bytes) {
  In in(bytes);
  in.integer<std::uint8_t>(version, version);
  auto members = read_list<MemberName>(in, 8, [&] {
    auto group = in.text();
    return MemberName{std::move(group), in.text()};
  });
  if (!in.end()) return corrupt("the news of a group");
  return members;
}

}  // namespace troupe::group
