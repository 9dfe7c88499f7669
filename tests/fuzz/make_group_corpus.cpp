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
  const std::pair<const char*, GroupCall> calls[] = {
      {"classic-join", join},
      {"classic-sync", ClassicSyncRequest{"g", "m", "i", GroupEpoch{2}, "consumer", "range", {{"m", "bytes"}}}},
      {"classic-heartbeat", ClassicHeartbeatRequest{"g", "m", "i", GroupEpoch{2}}},
      {"classic-leave", ClassicLeaveRequest{"g", {{"m", "i"}, {{}, "j"}}}},
      {"join", HeartbeatRequest{"g", "m", joining, profile, {}}},
      {"heartbeat", HeartbeatRequest{"g", "m", GroupEpoch{1}, {}, PartitionList{id}}},
      {"commit",
       CommitRequest{"g", {"m", GroupEpoch{1}}, {{"orders", PartitionId{3}, Offset{9}, LeaderEpoch{2}, "note", 1}}}},
      {"offsets", OffsetsRequest{"g", {}, {{named}}}},
      {"reset", ResetRequest{"g", {{named, Offset{5}}}}},
      {"delete-group", DeleteGroupRequest{"g"}},
      {"delete-offsets", DeleteOffsetsRequest{"g", {named}}},
      {"describe", DescribeRequest{"g"}},
      {"list", ListRequest{PartitionId{3}}},
      {"instance", InstanceRequest{InstanceRequest::Kind::save, "g", "c", 3, {std::byte{1}}}}};
  const std::pair<const char*, GroupAnswer> answers[] = {
      {"classic-joined", joined},
      {"classic-synced", ClassicSyncAnswer{"consumer", "range", "bytes"}},
      {"classic-described", classic},
      {"told", HeartbeatAnswer{GroupEpoch{2}, 3'000, {{{id, 1}}}}},
      {"statuses", std::vector<Status>{Status{}, Error{Errc::fenced_member_epoch, "not its own"}}},
      {"positions", std::vector<Position>{{named, offset}, {named, std::nullopt}}},
      {"described", GroupDescription{"g", GroupState::stable, GroupEpoch{2}, "uniform", {{"m", profile, current, {id}}}}},
      {"listed", std::vector<GroupListing>{{"g", GroupState::stable, 1, GroupEpoch{2}, "uniform"}}},
      {"nothing", std::monostate{}},
      {"instance-of", InstanceEntry{BrokerId{2}, Offset{9}, 3, {std::byte{1}}}}};
  const std::vector<Record> records{OffsetRecord{"g", "orders", PartitionId{3}, offset},
                                    GroupRecord{"g", GroupRecord::Value{GroupEpoch{2}, GroupEpoch{2}, no_timestamp}},
                                    MemberRecord{"g", "m", profile},
                                    TargetRecord{"g", "m", PartitionList{id}},
                                    AssignmentRecord{"g", "m", current},
                                    AssignmentRecord{"g", "n", std::nullopt}};
  auto batches = encode_batch(records, wall).value();
  auto mark = encode_load_mark(wall);
  record::stamp_batch(batches, Offset{0}, LeaderEpoch{1});
  record::stamp_batch(mark, Offset{6}, LeaderEpoch{1});
  append_bytes(batches, mark);
  const std::string assigned("\0\1\0\0\0\1\0\6orders\0\0\0\1\0\0\0\1", 22);
  const ClassicProfile member{"i", "app", "/::1", 10'000, 60'000, {{"range", "metadata"}}};
  const ClassicState state{ClassicPhase::stable, GroupEpoch{2}, "consumer", "range", "m", 1, no_timestamp};
  const std::vector<Record> classic_records{
      ClassicMemberRecord{"g", "m", member}, ClassicMemberRecord{"g", "n", std::nullopt},
      ClassicShareRecord{"g", "m", ClassicShare{GroupEpoch{2}, assigned}}, ClassicGroupRecord{"g", state}};
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
