#include "core/group/group_batches.hpp"
#include "core/group/group_calls.hpp"
#include "core/record/record_batch.hpp"
#include "tests/fuzz/make_corpus.hpp"

/// Seeds of fuzz_group: one of each kind.

using namespace troupe;
using namespace troupe::group;

namespace {

constexpr TimestampMs wall{1'700'000'000'000};

ByteBuffer tagged(std::uint8_t kind, ByteView bytes) {
  ByteBuffer all{std::byte{kind}};
  append_bytes(all, bytes);
  return all;
}

}  // namespace

bool troupe::fuzz::write_group_seeds(const std::filesystem::path& corpus) {
  const auto folder = corpus / "fuzz_group";
  const TopicIdPartition id{Uuid{{1}}, PartitionId{3}};
  const GroupPartition named{"orders", PartitionId{3}};
  MemberProfile profile;
  profile.topics = {"orders"};
  profile.pattern = "ride.*";
  const CommittedOffset offset{Uuid{{1}}, Offset{9}, LeaderEpoch{2}, "note", wall, 1};
  const MemberAssignment current{GroupEpoch{2}, GroupEpoch{1}, MemberState::stable, {id}, {}};
  ClassicJoinRequest join;
  join.group = "g";
  join.instance_id = "i";
  join.protocol_type = "consumer";
  join.protocols = {{"range", "metadata"}, {"sticky", "more"}};
  ClassicJoinAnswer joined;
  joined.member = joined.leader = "m";
  joined.generation = GroupEpoch{2};
  joined.members = {{"m", "i", "metadata"}};
  GroupDescription classic;
  classic.group = "g";
  classic.state = GroupState::completing_rebalance;
  classic.type = GroupType::classic;
  classic.protocol_type = "consumer";
  classic.members.emplace_back().assignment = "bytes";
  std::vector<std::pair<const char*, GroupCall>> calls;
  const auto call_of = [&](const char* name, GroupCall one) { calls.emplace_back(name, std::move(one)); };
  call_of("classic-join", join);
  call_of("classic-sync", ClassicSyncRequest{"g", "m", "i", GroupEpoch{2}, "consumer", "range", {{"m", "bytes"}}});
  call_of("classic-heartbeat", ClassicHeartbeatRequest{"g", "m", "i", GroupEpoch{2}});
  call_of("classic-leave", ClassicLeaveRequest{"g", {{"m", "i"}, {{}, "j"}}});
  call_of("join", HeartbeatRequest{"g", "m", joining, profile, {}});
  call_of("heartbeat", HeartbeatRequest{"g", "m", GroupEpoch{1}, {}, PartitionList{id}});
  call_of("commit",
          CommitRequest{"g", {"m", GroupEpoch{1}}, {{"orders", PartitionId{3}, Offset{9}, LeaderEpoch{2}, "note", 1}}});
  call_of("offsets", OffsetsRequest{"g", {}, {{named}}});
  call_of("reset", ResetRequest{"g", {{named, Offset{5}}}});
  call_of("delete-group", DeleteGroupRequest{"g"});
  call_of("delete-offsets", DeleteOffsetsRequest{"g", {named}});
  call_of("describe", DescribeRequest{"g"});
  call_of("list", ListRequest{PartitionId{3}});
  call_of("pause", PauseRequest{"g", true});
  call_of("instance", InstanceRequest{InstanceRequest::Kind::save, "g", "c", 3, {std::byte{1}}});
  std::vector<std::pair<const char*, GroupAnswer>> answers;
  const auto answer_of = [&](const char* name, GroupAnswer one) { answers.emplace_back(name, std::move(one)); };
  answer_of("classic-joined", joined);
  answer_of("classic-synced", ClassicSyncAnswer{"consumer", "range", "bytes"});
  answer_of("classic-described", classic);
  answer_of("told", HeartbeatAnswer{GroupEpoch{2}, 3'000, {{{id, 1}}}});
  answer_of("statuses", std::vector<Status>{Status{}, Error{Errc::fenced_member_epoch, "not its own"}});
  answer_of("positions", std::vector<Position>{{named, offset}, {named, std::nullopt}});
  answer_of("described",
            GroupDescription{"g", GroupState::stable, GroupEpoch{2}, "uniform", {{"m", profile, current, {id}}}});
  answer_of("listed", std::vector<GroupListing>{{"g", GroupState::stable, 1, GroupEpoch{2}, "uniform"}});
  answer_of("nothing", std::monostate{});
  answer_of("instance-of", InstanceEntry{BrokerId{2}, Offset{9}, 3, {std::byte{1}}});
  std::vector<Record> records;
  records.emplace_back(OffsetRecord{"g", "orders", PartitionId{3}, offset});
  records.emplace_back(GroupRecord{"g", GroupRecord::Value{GroupEpoch{2}, GroupEpoch{2}, no_timestamp}});
  records.emplace_back(MemberRecord{"g", "m", profile});
  records.emplace_back(TargetRecord{"g", "m", PartitionList{id}});
  records.emplace_back(AssignmentRecord{"g", "m", current});
  records.emplace_back(AssignmentRecord{"g", "n", {}});
  auto batches = encode_batch(records, wall).value();
  auto mark = encode_load_mark(wall);
  record::stamp_batch(batches, Offset{0}, LeaderEpoch{1});
  record::stamp_batch(mark, Offset{6}, LeaderEpoch{1});
  append_bytes(batches, mark);
  const std::string assigned("\0\1\0\0\0\1\0\6orders\0\0\0\1\0\0\0\1", 22);
  const ClassicProfile member{"i", "app", "/::1", 10'000, 60'000, {{"range", "metadata"}}};
  const ClassicState state{ClassicPhase::stable, GroupEpoch{2}, "consumer", "range", "m", 1, no_timestamp};
  std::vector<Record> classic_records;
  classic_records.emplace_back(ClassicMemberRecord{"g", "m", member});
  classic_records.emplace_back(ClassicMemberRecord{"g", "n", {}});
  classic_records.emplace_back(ClassicShareRecord{"g", "m", ClassicShare{GroupEpoch{2}, assigned}});
  classic_records.emplace_back(ClassicGroupRecord{"g", state});
  auto classic_batch = encode_batch(classic_records, wall).value();
  record::stamp_batch(classic_batch, Offset{0}, LeaderEpoch{1});
  bool written = write_seed(folder, "classic-assignment", tagged(4, as_bytes(assigned))) &&
                 write_seed(folder, "classic-records", tagged(3, classic_batch)) &&
                 write_seed(folder, "news", tagged(2, encode_news({{"g", "m"}}))) &&
                 write_seed(folder, "records", tagged(3, batches));
  for (const auto& [name, call] : calls) written = write_seed(folder, name, tagged(0, encode_call(call))) && written;
  for (const auto& [name, answer] : answers) written = write_seed(folder, name, tagged(1, encode_answer(answer))) && written;
  return written;
}
