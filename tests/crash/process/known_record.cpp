#include "tests/crash/process/known_record.hpp"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>

#include "base/crc32c.hpp"
#include "base/prng.hpp"

namespace troupe::test {
namespace {

constexpr TimestampMs first_timestamp{1'700'000'000'000};

Prng prng_of(const KnownRecord& known) {
  return Prng{known.sequence * 1'000'003 + static_cast<std::uint64_t>(known.partition)};
}

ByteBuffer filler(const KnownRecord& known, std::size_t bytes) {
  auto prng = prng_of(known);
  ByteBuffer value(bytes);
  for (std::size_t at = 0; at < bytes; at += sizeof(std::uint64_t)) {
    const auto random = prng.next();
    std::memcpy(value.data() + at, &random, std::min(sizeof random, bytes - at));
  }
  return value;
}

}  // namespace

void add_known_record(record::RecordBatchBuilder& builder, const KnownRecord& known, std::size_t value_bytes) {
  const auto value = filler(known, value_bytes);
  const auto key = std::to_string(known.partition) + ":" + std::to_string(known.sequence) + ":" +
                   std::to_string(value_bytes) + ":" + std::to_string(crc32c(value));
  builder.add({.timestamp = first_timestamp + static_cast<Millis>(known.sequence % 1'000'000),
               .key = as_bytes(key),
               .value = ByteView{value}});
}

Result<KnownRecord> parse_known_record(const record::RecordView& record) {
  const auto wrong = [&](const std::string& what) {
    return Error{Errc::corrupt_message, "record at offset " + to_string(record.offset) + ": " + what};
  };
  if (!record.key || !record.value) return wrong("no key or no value");
  const std::string key(as_text(*record.key));
  KnownRecord known;
  std::size_t bytes = 0;
  std::uint32_t crc = 0;
  int used = 0;
  if (std::sscanf(key.c_str(), "%" SCNd32 ":%" SCNu64 ":%zu:%" SCNu32 "%n", &known.partition, &known.sequence, &bytes, &crc,
                  &used) != 4 ||
      static_cast<std::size_t>(used) != key.size()) {
    return wrong("its key is none of ours");
  }
  if (record.value->size() != bytes) {
    return wrong(key + " has a value of " + std::to_string(record.value->size()) + " bytes");
  }
  if (crc32c(*record.value) != crc) return wrong(key + " has a value with another checksum");
  const auto expected = filler(known, bytes);
  if (!std::equal(expected.begin(), expected.end(), record.value->begin())) return wrong(key + " has another value");
  return known;
}

std::size_t value_bytes_of(const KnownRecord& known, std::size_t bytes_max) {
  auto prng = prng_of(known);
  std::size_t size = 0;
  switch (prng.below(16)) {
    case 0: size = 0; break;
    case 1: size = prng.below(100 << 10) + 1; break;
    case 2: size = 4096; break;
    case 3:
    case 4:
    case 5: size = prng.below(4000) + 100; break;
    default: size = prng.below(100); break;
  }
  return std::min(size, bytes_max);
}

TopicIdPartition known_partition(std::int32_t number) { return {Uuid{{0x7e, 0x57}}, PartitionId{number}}; }

}  // namespace troupe::test
