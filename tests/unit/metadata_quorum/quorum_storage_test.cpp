#include "core/metadata/quorum_storage.hpp"

#include "core/record/batch_builder.hpp"
#include "base/crc32c.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::quorum;

namespace {

const ReplicaKey one{BrokerId{1}, Uuid{{1}}};
const ReplicaKey two{BrokerId{2}, Uuid{{2}}};

Bytes batch(Offset base, LeaderEpoch epoch, int records) {
  record::RecordBatchBuilder builder{{.base_offset = base, .leader_epoch = epoch}};
  for (int i = 0; i < records; ++i) builder.add({.value = as_bytes("value")});
  return Bytes::adopt(*builder.build());
}

std::vector<LogEntry> some_entries() {
  const auto control = Bytes::adopt(encode_control_entry({one, *VoterSet::of({one, two})}));
  return {{Offset{10}, LeaderEpoch{3}, EntryKind::leader_change, 1, control},
          {Offset{11}, LeaderEpoch{3}, EntryKind::data, 4, batch(Offset{11}, LeaderEpoch{3}, 4)},
          {Offset{15}, LeaderEpoch{3}, EntryKind::voters, 1, control},
          {Offset{16}, LeaderEpoch{4}, EntryKind::data, 1, batch(Offset{16}, LeaderEpoch{4}, 1)}};
}

Bytes stored(const std::vector<LogEntry>& entries) {
  ByteBuffer bytes;
  for (const auto& entry : entries) append_bytes(bytes, entry_batch(entry));
  return Bytes::adopt(std::move(bytes));
}

bool equal(ByteView a, ByteView b) { return std::ranges::equal(a, b); }

}  // namespace

TEST_CASE("entries come back from the log as they were written", "[quorum_storage]") {
  const auto entries = some_entries();
  const auto read = entries_of(stored(entries), Offset{11});
  REQUIRE(read);
  REQUIRE(read->size() == 3);
  for (std::size_t i = 0; i < read->size(); ++i) {
    const auto& got = (*read)[i];
    const auto& expected = entries[i + 1];
    CHECK(got.base_offset == expected.base_offset);
    CHECK(got.end_offset() == expected.end_offset());
    CHECK(got.epoch == expected.epoch);
    CHECK(got.kind == expected.kind);
    CHECK(equal(got.payload, expected.payload));
  }
  CHECK(decode_control_entry((*entries_of(stored(entries), Offset{0}))[0].payload));
}

TEST_CASE("control batches that are none of the quorum's are refused", "[quorum_storage]") {
  CHECK_FALSE(entries_of(Bytes::copy_of(as_bytes("no batch")), Offset{0}));
  const auto marker = record::build_transaction_marker(record::ControlRecordType::commit, Offset{0}, LeaderEpoch{0},
                                                       ProducerId{1}, ProducerEpoch{0}, 0, TimestampMs{0});
  CHECK(entries_of(Bytes::copy_of(marker), Offset{0}).error().code == Errc::corrupt_message);
  record::RecordBatchBuilder without_key{{.control = true}};
  without_key.add({.value = as_bytes("x")});
  CHECK_FALSE(entries_of(Bytes::adopt(*without_key.build()), Offset{0}));
}

TEST_CASE("only a whole batch for its very place is taken from another replica", "[quorum_storage]") {
  for (const auto& entry : some_entries()) CHECK(check_entry(entry));
  const auto good = some_entries()[1];
  auto elsewhere = good;
  elsewhere.base_offset += 1;
  CHECK_FALSE(check_entry(elsewhere));
  auto more = good;
  more.records = 5;
  CHECK_FALSE(check_entry(more));
  auto cut = good;
  cut.payload = good.payload.slice(0, good.payload.size() - 1);
  CHECK_FALSE(check_entry(cut));
  auto flipped = good;
  ByteBuffer bytes(good.payload.view().begin(), good.payload.view().end());
  bytes.back() ^= std::byte{1};
  flipped.payload = Bytes::adopt(std::move(bytes));
  CHECK_FALSE(check_entry(flipped));
}

TEST_CASE("a snapshot's file says what it holds, and one from before the quorum does not", "[quorum_storage]") {
  const auto image = as_bytes("\x01 stands for an image");
  const SnapshotMeta meta{.end_offset = Offset{40},
                          .epoch = LeaderEpoch{2},
                          .voters = *VoterSet::of({one, two}),
                          .size_bytes = image.size(),
                          .crc = crc32c(image)};
  const auto file = encode_snapshot_file(meta, image);
  const auto decoded = decode_snapshot_file(Bytes::copy_of(file));
  REQUIRE(decoded);
  CHECK(decoded->snapshot == meta);
  CHECK(equal(decoded->image, image));
  for (std::size_t size = 0; size < file.size(); ++size)
    CHECK_FALSE(decode_snapshot_file(Bytes::copy_of(ByteView{file}.first(size))));
  auto newer = file;
  newer[0] = std::byte{3};
  CHECK(decode_snapshot_file(Bytes::adopt(std::move(newer))).error().code == Errc::invalid_record);

  const auto old = decode_snapshot_file(Bytes::copy_of(image));
  REQUIRE(old);
  CHECK_FALSE(old->snapshot);
  CHECK(equal(old->image, image));
}

TEST_CASE("a disk from before the quorum is that of a quorum of one", "[quorum_storage]") {
  record::LeaderEpochCache epochs;
  epochs.assign(LeaderEpoch{4}, Offset{30});
  epochs.assign(LeaderEpoch{6}, Offset{50});
  const auto hard = adopted_hard_state(Uuid{{7}}, one, epochs);
  CHECK(hard.epoch == LeaderEpoch{6});
  CHECK(hard.genesis == *VoterSet::of({one}));
  CHECK(hard.cluster_id == Uuid{{7}});
  CHECK(*decode_hard_state(encode_hard_state(hard)) == hard);
  CHECK(adopted_snapshot(Offset{40}, {}, hard.genesis, epochs).epoch == LeaderEpoch{4});
  CHECK(adopted_snapshot(Offset{51}, {}, hard.genesis, epochs).epoch == LeaderEpoch{6});
  CHECK(adopted_snapshot(Offset{30}, {}, hard.genesis, epochs).epoch == LeaderEpoch{4});  // unknown: any that is not above
}
