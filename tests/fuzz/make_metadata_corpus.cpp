#include "base/crc32c.hpp"
#include "core/metadata/command_codec.hpp"
#include "core/metadata/quorum_storage.hpp"
#include "core/metadata/heartbeat_codec.hpp"
#include "core/record/batch_builder.hpp"
#include "core/replication/leader_calls.hpp"
#include "tests/fuzz/make_corpus.hpp"

/// Seeds of fuzz_metadata_command, fuzz_quorum_message and fuzz_leader_call: one of each kind.

using namespace troupe;

namespace fs = std::filesystem;

namespace {

Uuid uuid(std::uint8_t number) { return Uuid{{number, 2, 3}}; }

bool write_commands(const fs::path& folder) {
  using namespace metadata;
  const TopicIdPartition id{uuid(9), PartitionId{3}};
  const std::pair<const char*, MetadataCommand> commands[] = {
      {"create", CreateTopicCommand{.request = {.name = "rides", .partitions = 3, .config = {{"flush", "interval"}}},
                                    .topic_id = uuid(1),
                                    .earlier_ids = {uuid(2)}}},
      {"alter", AlterTopicCommand{.request = {.name = "rides", .config = {{"flush", std::nullopt}}}}},
      {"delete", DeleteTopicCommand{.name = "rides"}},
      {"delete-again", DeleteTopicCommand{.name = "rides", .before = TopicSeen{uuid(1), 3, 7}}},
      {"register", ClusterCommand{RegisterBrokerRequest{{BrokerId{1}, "host", 8080, "inside", 9000, "rack"}, uuid(3)}}},
      {"fence", ClusterCommand{FenceBrokerRequest{BrokerId{2}, BrokerEpoch{7}}}},
      {"drain", ClusterCommand{DrainBrokerRequest{BrokerId{2}}}},
      {"alter-partitions",
       ClusterCommand{AlterPartitionsRequest{
           BrokerId{1}, BrokerEpoch{4}, {{id, LeaderEpoch{2}, PartitionEpoch{9}, {{BrokerId{1}, BrokerEpoch{4}}}}}}}},
      {"elect", ClusterCommand{ElectLeadersRequest{{id}, BrokerId{2}, true}}},
      {"reassign",
       ClusterCommand{ReassignPartitionsRequest{{{id, std::vector{BrokerId{1}, BrokerId{3}}}, {id, std::nullopt}}}}},
  };
  ClusterAnswer changed;
  changed.partitions.emplace_back(PartitionImage{.leader = BrokerId{1}, .replicas = {BrokerId{1}}, .isr = {BrokerId{1}}});
  changed.partitions.emplace_back(Error{Errc::fenced_leader_epoch, "led in epoch 3"});
  changed.unclean.push_back({id, BrokerId{1}, LeaderEpoch{3}, true});
  const std::pair<const char*, CommandAnswer> answers[] = {
      {"done", CommandDone{Offset{42}, uuid(1)}},
      {"changed", CommandDone{Offset{42}, changed}},
      {"refused", CommandRefused{Offset{42}, {Errc::topic_already_exists, "there is one"}}},
      {"elsewhere", NotController{BrokerId{2}}},
  };
  bool written = true;
  for (const auto& [name, command] : commands) written &= fuzz::write_seed(folder, name, encode_command({command, 30'000}));
  for (const auto& [name, answer] : answers) written &= fuzz::write_seed(folder, name, encode_command_answer(answer));
  return written;
}

bool write_quorum(const fs::path& folder) {
  using namespace quorum;
  const ReplicaKey one{BrokerId{1}, uuid(1)};
  const ReplicaKey two{BrokerId{2}, uuid(2)};
  const auto voters = *VoterSet::of({one, two});
  record::RecordBatchBuilder builder{{.base_offset = Offset{5}, .leader_epoch = LeaderEpoch{2}}};
  builder.add({.value = as_bytes("value")});
  const LogEntry data{Offset{5}, LeaderEpoch{2}, EntryKind::data, 1, Bytes::adopt(builder.build().value())};
  const LogEntry control{Offset{4}, LeaderEpoch{2}, EntryKind::leader_change, 1,
                         Bytes::adopt(encode_control_entry({one, voters}))};
  const auto image = as_bytes("image");
  const SnapshotMeta meta{Offset{9}, LeaderEpoch{2}, voters, image.size(), crc32c(image)};
  const std::pair<const char*, Message::Body> bodies[] = {
      {"hello", Hello{.listed = {BrokerId{1}, BrokerId{2}}}},
      {"vote", VoteRequest{.log_end_offset = Offset{4}, .last_epoch = LeaderEpoch{1}}},
      {"vote-response", VoteResponse{.granted = true}},
      {"append", AppendRequest{Offset{4}, LeaderEpoch{1}, Offset{4}, 7, {control, data}}},
      {"append-response", AppendResponse{.accepted = true, .round = 7}},
      {"snapshot", SnapshotRequest{meta, 0, 7, Bytes::copy_of(image)}},
      {"snapshot-response", SnapshotResponse{Offset{9}, meta.crc, 5, 7, true}},
      {"timeout-now", TimeoutNow{}},
      {"follow", Follow{Offset{4}}},
      {"leader-hint", LeaderHint{BrokerId{1}}},
  };
  bool written = true;
  const auto write = [&](const char* name, std::uint8_t kind, ByteView bytes) {
    ByteBuffer seed(1, std::byte{kind});
    append_bytes(seed, bytes);
    written &= fuzz::write_seed(folder, name, seed);
  };
  for (const auto& [name, body] : bodies) write(name, 0, encode_message({uuid(9), one, two, LeaderEpoch{2}, body}));
  write("hard-state", 1, encode_hard_state({uuid(1), uuid(9), LeaderEpoch{2}, two, voters}));
  write("control-entry", 2, control.payload);
  write("snapshot-file", 3, encode_snapshot_file(meta, image));
  ByteBuffer log;
  append_bytes(log, entry_batch(control));
  append_bytes(log, entry_batch(data));
  write("log", 4, log);
  return written;
}

bool write_leader_calls(const fs::path& folder) {
  using namespace replication;
  record::RecordBatchBuilder builder{{}};
  builder.add({.value = as_bytes("value")});
  NewBatch batch{.bytes = Bytes::adopt(builder.build().value())};
  batch.claim = Claim{.client = {1, 2}, .sequence = 3, .digest = 4, .claimed_at = TimestampMs{5}};
  const std::pair<const char*, LeaderCall::Body> bodies[] = {
      {"produce", ProduceSlotCall{{batch}, replication::Acks::leader, 500}},
      {"fetch", FetchCommittedCall{Offset{3}, 1'000, Offset{9}, 20}},
      {"find", FindOffsetCall{{OffsetSpec::Kind::timestamp, TimestampMs{7}}}},
      {"delete", DeleteRecordsCall{Offset{4}}},
      {"cancel", CancelFetchCall{}},
  };
  bool written = true;
  for (const auto& [name, body] : bodies) {
    written &= fuzz::write_seed(folder, name, encode_leader_call({{uuid(1), PartitionId{2}}, LeaderEpoch{3}, 4, body}));
  }
  ProduceSlotAnswer produced;
  produced.results.emplace_back(PlacedRecords{Offset{4}, TimestampMs{5}, true});
  produced.results.emplace_back(Error{Errc::storage_full, "no space"});
  written &= fuzz::write_seed(folder, "produced", encode_leader_answer(produced));
  written &= fuzz::write_seed(folder, "fetched", encode_leader_answer(FetchResponse{batch.bytes, Offset{1}}));
  written &= fuzz::write_seed(folder, "found", encode_leader_answer(OffsetAnswer{Offset{1}}));
  written &= fuzz::write_seed(folder, "deleted", encode_leader_answer(Offset{1}));
  written &= fuzz::write_seed(folder, "heartbeat", metadata::encode_heartbeat({BrokerId{1}, BrokerEpoch{2}, Offset{3}}));
  written &= fuzz::write_seed(folder, "heartbeat-answer", metadata::encode_heartbeat_answer({}));
  return written;
}

}  // namespace

bool troupe::fuzz::write_metadata_seeds(const fs::path& corpus) {
  return write_commands(corpus / "fuzz_metadata_command") && write_quorum(corpus / "fuzz_quorum_message") &&
         write_leader_calls(corpus / "fuzz_leader_call");
}
