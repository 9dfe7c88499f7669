#include "actors/led_log.hpp"
#include "tests/support/batches.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

/// Batches [0..1] [2..4] [5..5], as a log has them.
Bytes three_batches() {
  ByteBuffer bytes;
  std::int64_t offset = 0;
  for (const int records : {2, 3, 1}) {
    const auto placed = make_batch(Offset{offset}, {.records = records});
    const auto at = bytes.size();
    append_bytes(bytes, placed.batch);
    record::stamp_batch(MutableByteView{bytes}.subspan(at), Offset{offset}, LeaderEpoch{1});
    offset += records;
  }
  return Bytes::adopt(std::move(bytes));
}

struct Clipped {
  std::vector<std::int64_t> base_offsets;
  Offset next;
  bool operator==(const Clipped&) const = default;
};

Clipped clipped(std::int64_t from, std::int64_t up_to, std::size_t bytes_max = SIZE_MAX) {
  Clipped result{{}, Offset{99}};
  const auto bytes = actors::clip(three_batches(), Offset{from}, Offset{up_to}, bytes_max, result.next);
  for (std::size_t at = 0; at < bytes.size();) {
    const auto header = record::parse_batch_header(bytes.view().subspan(at)).value();
    result.base_offsets.push_back(header.base_offset.value());
    at += header.size_bytes();
  }
  return result;
}

}  // namespace

TEST_CASE("of a run of batches those are taken that hold what is wanted", "[actors]") {
  CHECK(clipped(0, 6) == Clipped{{0, 2, 5}, Offset{6}});
  CHECK(clipped(2, 6) == Clipped{{2, 5}, Offset{6}});  // what ends at or before the first wanted offset stays behind
  CHECK(clipped(3, 6) == Clipped{{2, 5}, Offset{6}});  // a batch is never split
  CHECK(clipped(0, 5) == Clipped{{0, 2}, Offset{5}});
  CHECK(clipped(0, 4) == Clipped{{0, 2}, Offset{5}});  // it begins below
  CHECK(clipped(5, 5) == Clipped{{}, Offset{99}});
  CHECK(clipped(6, 9) == Clipped{{}, Offset{99}});
}

TEST_CASE("a run of batches is cut to its room, but for the first one", "[actors]") {
  const auto first = record::parse_batch_header(three_batches()).value().size_bytes();
  CHECK(clipped(0, 6, 1) == Clipped{{0}, Offset{2}});
  CHECK(clipped(2, 6, 1) == Clipped{{2}, Offset{5}});
  CHECK(clipped(0, 6, first) == Clipped{{0}, Offset{2}});
  CHECK(clipped(0, 6, three_batches().size() - 1) == Clipped{{0, 2}, Offset{5}});
  CHECK(clipped(0, 6, three_batches().size()) == Clipped{{0, 2, 5}, Offset{6}});
}

TEST_CASE("bytes that are no batches give none", "[actors]") {
  auto next = Offset{7};
  CHECK(actors::clip(Bytes{}, Offset{0}, Offset{5}, 100, next).empty());
  CHECK(actors::clip(Bytes::copy_of(as_bytes("no batch at all")), Offset{0}, Offset{5}, 100, next).empty());
  CHECK(next == Offset{7});
}
