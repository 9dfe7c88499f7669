#include "core/metadata/quorum_messages.hpp"

#include "base/prng.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/metadata_quorum/replica_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::quorum;

namespace {

SnapshotMeta some_snapshot() { return {Offset{500}, LeaderEpoch{7}, voters({1, 2, 3}), 1'000, 0xfeedbeef}; }

/// One of each, with every field set.
std::vector<Message> one_of_each() {
  const Message head{cluster_id, replica(1), replica(2), LeaderEpoch{9}, TimeoutNow{}};
  std::vector<Message::Body> bodies{
      Hello{true, {BrokerId{1}, BrokerId{2}, BrokerId{5}}, voters({1, 2, 5}), BrokerId{2}},
      VoteRequest{true, true, Offset{123}, LeaderEpoch{8}},
      VoteResponse{true, true, LeaderEpoch{9}, BrokerId{3}},
      AppendRequest{Offset{100},
                    LeaderEpoch{7},
                    Offset{90},
                    42,
                    {data_entry(100, 7, 20, 300), control_entry(120, 8, EntryKind::leader_change, 1, voters({1, 2})),
                     control_entry(121, 8, EntryKind::voters, 1, voters({1, 2, 3})), data_entry(122, 9, 1, 0)}},
      AppendResponse{true, 42, Offset{100}, Offset{123}, Offset{100}, LeaderEpoch{-1}, Offset{0}},
      AppendResponse{false, 42, Offset{100}, Offset{0}, Offset{0}, LeaderEpoch{5}, Offset{77}},
      SnapshotRequest{some_snapshot(), 300, 43, payload_of(200)},
      SnapshotResponse{Offset{500}, 0xfeedbeef, 500, 43, false},
      TimeoutNow{},
      Follow{Offset{12}},
      LeaderHint{BrokerId{3}},
  };
  std::vector<Message> all;
  for (auto& body : bodies) {
    all.push_back(head);
    all.back().body = std::move(body);
  }
  return all;
}

std::optional<Errc> decoding(const ByteBuffer& bytes) {
  const auto decoded = decode_message(Bytes::copy_of(bytes));
  return decoded ? std::nullopt : std::optional{decoded.error().code};
}

}  // namespace

TEST_CASE("a message comes out of its bytes as it went in", "[quorum]") {
  for (const auto& message : one_of_each()) {
    const auto bytes = encode_message(message);
    const auto decoded = decode_message(Bytes::copy_of(bytes));
    REQUIRE(decoded);
    CHECK(decoded->body.index() == message.body.index());
    CHECK(decoded->from == message.from);
    CHECK(decoded->to == message.to);
    CHECK(decoded->cluster_id == message.cluster_id);
    CHECK(decoded->epoch == message.epoch);
    CHECK(equal_bytes(encode_message(*decoded), bytes));
  }
}

TEST_CASE("entries of a message follow each other from its base offset", "[quorum]") {
  const auto decoded = decode_message(Bytes::copy_of(encode_message(one_of_each()[3])));
  REQUIRE(decoded);
  const auto& request = std::get<AppendRequest>(decoded->body);
  REQUIRE(request.entries.size() == 4);
  CHECK(request.entries[0].base_offset == Offset{100});
  CHECK(request.entries[1].base_offset == Offset{120});
  CHECK(request.entries[3].end_offset() == Offset{123});
  CHECK(request.entries[0].payload.size() == 300);
  CHECK(decode_control_entry(request.entries[2].payload)->voters == voters({1, 2, 3}));
}

TEST_CASE("a message that is cut off anywhere, or goes on behind its end, is corrupt", "[quorum]") {
  for (const auto& message : one_of_each()) {
    auto bytes = encode_message(message);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      CHECK(decoding(ByteBuffer(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size))) == Errc::corrupt_message);
    }
    bytes.push_back(std::byte{0});
    CHECK(decoding(bytes) == Errc::corrupt_message);
  }
}

TEST_CASE("a message of another version or of an unknown type is corrupt", "[quorum]") {
  auto bytes = encode_message(one_of_each()[8]);
  bytes[0] = std::byte{2};
  CHECK(decoding(bytes) == Errc::corrupt_message);
  bytes[0] = std::byte{1};
  CHECK_FALSE(decoding(bytes));
  bytes[1] = std::byte{11};
  CHECK(decoding(bytes) == Errc::corrupt_message);
  bytes[1] = std::byte{0};
  CHECK(decoding(bytes) == Errc::corrupt_message);
}

TEST_CASE("entries that no leader can have are corrupt", "[quorum]") {
  const auto with = [](LogEntry entry) {
    Message message{cluster_id, replica(1), replica(2), LeaderEpoch{9},
                    AppendRequest{Offset{100}, LeaderEpoch{7}, Offset{90}, 0, {entry}}};
    return decoding(encode_message(message));
  };
  CHECK_FALSE(with(data_entry(100, 7)));
  CHECK_FALSE(with(data_entry(100, 9)));
  CHECK(with(data_entry(100, 6)) == Errc::corrupt_message);   // older than what is before it
  CHECK(with(data_entry(100, 10)) == Errc::corrupt_message);  // newer than its leader
  CHECK(with(data_entry(100, 8, 0)) == Errc::corrupt_message);
  CHECK(with(data_entry(100, 8, -1)) == Errc::corrupt_message);
  auto control = control_entry(100, 8, EntryKind::voters, 1, voters({1}));
  control.records = 2;
  CHECK(with(control) == Errc::corrupt_message);
  control.records = 1;
  control.kind = static_cast<EntryKind>(3);
  CHECK(with(control) == Errc::corrupt_message);
}

TEST_CASE("a chunk lies inside its snapshot", "[quorum]") {
  const auto chunk_at = [](std::uint64_t position, std::size_t size) {
    Message message{cluster_id, replica(1), replica(2), LeaderEpoch{9},
                    SnapshotRequest{some_snapshot(), position, 0, payload_of(size)}};
    return decoding(encode_message(message));
  };
  CHECK_FALSE(chunk_at(0, 1'000));
  CHECK_FALSE(chunk_at(1'000, 0));
  CHECK(chunk_at(1, 1'000) == Errc::corrupt_message);
  CHECK(chunk_at(UINT64_MAX, 1) == Errc::corrupt_message);
}

TEST_CASE("a flipped bit gives an error or another message, never a crash", "[quorum]") {
  const auto seed = seed_or(20260805);
  INFO("TROUPE_SEED=" << seed);
  Prng prng{seed};
  const auto all = one_of_each();
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = encode_message(all[prng.below(all.size())]);
    for (std::uint64_t flips = 1 + prng.below(4); flips > 0; --flips) {
      bytes[prng.below(bytes.size())] ^= static_cast<std::byte>(1U << prng.below(8));
    }
    const auto decoded = decode_message(Bytes::copy_of(bytes));
    if (decoded) {
      CHECK(equal_bytes(encode_message(*decoded), bytes));
    } else {
      CHECK(decoded.error().code == Errc::corrupt_message);
      ++refused;
    }
  }
  CHECK(refused > 1'000);
}

TEST_CASE("the hard state comes out of its bytes as it went in", "[quorum]") {
  HardState state{uuid_of(3), cluster_id, LeaderEpoch{12}, replica(2), voters({1, 2, 3})};
  CHECK(*decode_hard_state(encode_hard_state(state)) == state);
  state.voted_for.reset();
  state.genesis = {};
  state.cluster_id = {};
  const auto bytes = encode_hard_state(state);
  CHECK(*decode_hard_state(bytes) == state);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CHECK(decode_hard_state(ByteView{bytes}.first(size)).error().code == Errc::corrupt_message);
  }
}

TEST_CASE("a hard state without a directory id, or with a negative epoch, is corrupt", "[quorum]") {
  CHECK(decode_hard_state(encode_hard_state({})).error().code == Errc::corrupt_message);
  CHECK(decode_hard_state(encode_hard_state({.directory_id = uuid_of(1), .epoch = LeaderEpoch{-1}})).error().code ==
        Errc::corrupt_message);
}

TEST_CASE("a control entry names voters, and a snapshot's head comes out as it went in", "[quorum]") {
  CHECK(decode_control_entry(encode_control_entry({replica(1), {}})).error().code == Errc::corrupt_message);
  CHECK(*decode_snapshot_meta(encode_snapshot_meta(some_snapshot())) == some_snapshot());
}

TEST_CASE("the bytes of the format do not change", "[quorum]") {
  const Message message{cluster_id, replica(1), replica(2), LeaderEpoch{9},
                        VoteRequest{true, false, Offset{258}, LeaderEpoch{8}}};
  CHECK(to_hex(encode_message(message)) ==
        "0102"                                      // version, vote_request
        "4d000000000000000000000000000000"          // cluster
        "0000000101000000000000000000000000000000"  // from node 1
        "0000000202000000000000000000000000000000"  // to node 2
        "00000009"                                  // epoch
        "0100"                                      // pre-vote, no transfer
        "0000000000000102"                          // log end
        "00000008");                                // last epoch
  CHECK(to_hex(encode_hard_state({uuid_of(3), cluster_id, LeaderEpoch{12}, replica(2), voters({2})})) ==
        "01"
        "03000000000000000000000000000000"
        "4d000000000000000000000000000000"
        "0000000c"
        "01"
        "0000000202000000000000000000000000000000"
        "01"
        "0000000202000000000000000000000000000000");
}
