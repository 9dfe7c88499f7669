#include "core/record/partitioner.hpp"

#include <string>
#include <utility>
#include <vector>

#include "tests/support/catch.hpp"

using namespace troupe;

TEST_CASE("keys are hashed as Kafka's clients hash them", "[record]") {
  const std::vector<std::pair<std::string, std::int32_t>> vectors{
      {"21", -973932308},
      {"foobar", -790332482},
      {"a-little-bit-long-string", -985981536},
      {"a-little-bit-longer-string", -1486304829},
      {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
      {"abc", 479470107},
  };
  for (const auto& [key, hash] : vectors) {
    CAPTURE(key);
    CHECK(static_cast<std::int32_t>(record::murmur2(as_bytes(key))) == hash);
  }
}

TEST_CASE("a key's partition is its hash without sign, modulo the partitions", "[record]") {
  CHECK(record::partition_for_key(as_bytes("abc"), 7) == PartitionId{479470107 % 7});
  CHECK(record::partition_for_key(as_bytes("21"), 10) ==
        PartitionId{static_cast<std::int32_t>((-973932308 & 0x7fffffff) % 10)});
  CHECK(record::partition_for_key(as_bytes("anything"), 1) == PartitionId{0});
}
