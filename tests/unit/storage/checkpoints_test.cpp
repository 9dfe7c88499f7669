#include "storage/checkpoints.hpp"

#include "tests/support/faulty_file_system.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/storage/file_helpers.hpp"

using namespace troupe;
using namespace troupe::storage;
using namespace troupe::test;

namespace {

TopicIdPartition partition_of(std::uint8_t topic, std::int32_t partition) {
  std::array<std::uint8_t, 16> bytes{};
  bytes.front() = topic;
  return {TopicId{bytes}, PartitionId{partition}};
}

}  // namespace

TEST_CASE("offsets come back ascending by partition", "[storage][checkpoint]") {
  FaultyFileSystem disk;
  const std::string path = "/high-watermarks";
  CHECK(read_offsets(disk, path, CheckpointMagic::high_watermarks).value() == std::nullopt);
  REQUIRE(
      write_offsets(disk, path, CheckpointMagic::high_watermarks,
                    {{partition_of(2, 0), Offset{5}}, {partition_of(1, 9), Offset{0}}, {partition_of(1, 2), Offset::max()}})
          .has_value());
  CHECK(read_offsets(disk, path, CheckpointMagic::high_watermarks).value() ==
        PartitionOffsets{
            {partition_of(1, 2), Offset::max()}, {partition_of(1, 9), Offset{0}}, {partition_of(2, 0), Offset{5}}});
}

TEST_CASE("offsets of one kind are not read as another", "[storage][checkpoint]") {
  FaultyFileSystem disk;
  REQUIRE(write_offsets(disk, "/offsets", CheckpointMagic::recovery_points, {{partition_of(1, 1), Offset{5}}}).has_value());
  CHECK(failed_with(read_offsets(disk, "/offsets", CheckpointMagic::high_watermarks), Errc::corrupt_message));
  CHECK(failed_with(read_offsets(disk, "/offsets", CheckpointMagic::log_start_offsets), Errc::corrupt_message));
}

TEST_CASE("payloads have the bytes that docs/formats/checkpoint.md shows", "[storage][checkpoint]") {
  CHECK(to_hex(encode_offsets({{partition_of(0xab, 3), Offset{42}}})) ==
        "00000001"
        "ab000000000000000000000000000000"
        "00000003"
        "000000000000002a");

  FaultyFileSystem disk;
  REQUIRE(write_offsets(disk, "/a", CheckpointMagic::recovery_points, {{partition_of(0xab, 3), Offset{42}}}).has_value());
  CHECK(to_hex(disk.content("/a").value()) ==
        "54525250"
        "00000001"
        "00000020"
        "f7d3d029"
        "00000001"
        "ab000000000000000000000000000000"
        "00000003"
        "000000000000002a");
}

TEST_CASE("payloads of a wrong length are refused", "[storage][checkpoint]") {
  const auto offsets = encode_offsets({{partition_of(1, 1), Offset{5}}, {partition_of(1, 2), Offset{6}}});
  for (std::size_t size = 0; size < offsets.size(); ++size)
    CHECK(failed_with(decode_offsets(ByteView{offsets}.first(size)), Errc::corrupt_message));
  auto longer = offsets;
  longer.push_back(std::byte{0});
  CHECK(failed_with(decode_offsets(longer), Errc::corrupt_message));
  // Goal: a count of 4 Gi entries asks for no memory.
  longer.resize(4);
  std::fill(longer.begin(), longer.end(), std::byte{0xff});
  CHECK(failed_with(decode_offsets(longer), Errc::corrupt_message));
}

TEST_CASE("negative numbers, a wrong order and a partition twice are refused", "[storage][checkpoint]") {
  constexpr std::size_t entry_size = 28;
  const auto good = encode_offsets({{partition_of(1, 1), Offset{5}}, {partition_of(1, 2), Offset{6}}});
  REQUIRE(decode_offsets(good).has_value());
  const auto swapped = [&] {
    auto bytes = good;
    std::swap_ranges(bytes.begin() + 4, bytes.begin() + 4 + entry_size, bytes.begin() + 4 + entry_size);
    return bytes;
  }();
  CHECK_THAT(message_of(decode_offsets(swapped)),
             Catch::Contains("entry 1: partition 01000000-0000-0000-0000-000000000000/1 after"));
  const auto doubled = [&] {
    auto bytes = good;
    std::copy_n(bytes.begin() + 4, entry_size, bytes.begin() + 4 + entry_size);
    return bytes;
  }();
  CHECK(failed_with(decode_offsets(doubled), Errc::corrupt_message));
  for (const std::size_t sign : {4 + 16, 4 + 20}) {
    auto bytes = good;
    bytes[sign] |= std::byte{0x80};
    CHECK(failed_with(decode_offsets(bytes), Errc::corrupt_message));
  }
}

TEST_CASE("decoding random bytes never does more than fail", "[storage][checkpoint]") {
  const auto seed = seed_or(77);
  INFO("TROUPE_SEED=" << seed);
  Prng random(seed);
  for (int round = 0; round < 5'000; ++round) {
    ByteBuffer bytes(random.below(100));
    for (auto& byte : bytes) byte = static_cast<std::byte>(random.below(256));
    if (bytes.size() >= 4 && random.chance(3, 4)) {
      const auto entry_size = random.chance(1, 2) ? 12U : 28U;
      const auto count = (bytes.size() - 4) / entry_size;
      bytes.resize(4 + count * entry_size);
      bytes[0] = bytes[1] = bytes[2] = std::byte{0};
      bytes[3] = static_cast<std::byte>(count);
    }
    if (const auto offsets = decode_offsets(bytes)) CHECK(equal_bytes(encode_offsets(*offsets), bytes));
  }
}
