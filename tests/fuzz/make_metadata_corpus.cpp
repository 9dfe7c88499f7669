#include "base/crc32c.hpp"
#include "core/metadata/command_codec.hpp"
#include "core/metadata/quorum_storage.hpp"
#include "core/record/batch_builder.hpp"
#include "tests/fuzz/make_corpus.hpp"

/// Seeds of fuzz_metadata_command and fuzz_quorum_message: one of each kind.

using namespace troupe;

namespace fs = std::filesystem;

namespace {

Uuid uuid(std::uint8_t number) { return Uuid{{number, 2, 3}}; }

bool write_commands(const fs::path& folder) {
  using namespace metadata;
  const std::pair<const char*, MetadataCommand> commands[] = {
      {"create", CreateTopicCommand{.request = {.name = "rides", .partitions = 3, .config = {{"flush", "interval"}}},
                                    .topic_id = uuid(1),
                                    .earlier_ids = {uuid(2)}}},
      {"alter", AlterTopicCommand{.request = {.name = "rides", .config = {{"flush", std::nullopt}}}}},
      {"delete", DeleteTopicCommand{.name = "rides"}},
      {"register", RegisterBrokerCommand{{BrokerId{1}, "host", 8080, "inside", 9000, "rack"}, uuid(3)}},
  };
  const std::pair<const char*, CommandAnswer> answers[] = {
      {"done", CommandDone{Offset{42}, uuid(1)}},
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

}  // namespace

bool troupe::fuzz::write_metadata_seeds(const fs::path& corpus) {
  return write_commands(corpus / "fuzz_metadata_command") && write_quorum(corpus / "fuzz_quorum_message");
}
