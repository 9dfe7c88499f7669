#include "actors/recent_batches.hpp"

#include <string>

#include "tests/support/catch.hpp"

using namespace troupe;
using actors::RecentBatches;

namespace {

Bytes bytes_of(const std::string& text) { return Bytes::copy_of(as_bytes(text)); }

std::string read_text(const RecentBatches& recent, Offset from, std::size_t bytes_max = 1000) {
  const auto range = recent.read(from, bytes_max);
  return range ? std::string(as_text(range->batches.view())) + " to " + to_string(range->next_offset) : "nothing";
}

}  // namespace

TEST_CASE("what was committed last can be read from any offset in it, in order and whole", "[recent]") {
  RecentBatches recent(1000);
  CHECK(read_text(recent, Offset{0}) == "nothing");
  recent.push(Offset{10}, Offset{12}, bytes_of("aa"));
  recent.push(Offset{12}, Offset{15}, bytes_of("bbb"));
  recent.push(Offset{15}, Offset{16}, bytes_of("c"));
  CHECK(read_text(recent, Offset{9}) == "nothing");
  CHECK(read_text(recent, Offset{10}) == "aabbbc to 16");
  CHECK(read_text(recent, Offset{11}) == "aabbbc to 16");
  CHECK(read_text(recent, Offset{12}) == "bbbc to 16");
  CHECK(read_text(recent, Offset{14}) == "bbbc to 16");
  CHECK(read_text(recent, Offset{15}) == "c to 16");
  CHECK(read_text(recent, Offset{16}) == "nothing");
  recent.clear();
  CHECK(read_text(recent, Offset{15}) == "nothing");
}

TEST_CASE("a read gives as many runs as fit, and one at least", "[recent]") {
  RecentBatches recent(1000);
  for (std::int64_t i = 0; i < 4; ++i) recent.push(Offset{i}, Offset{i + 1}, bytes_of("1234"));
  CHECK(read_text(recent, Offset{0}, 0) == "1234 to 1");
  CHECK(read_text(recent, Offset{0}, 7) == "1234 to 1");
  CHECK(read_text(recent, Offset{1}, 8) == "12341234 to 3");
  CHECK(read_text(recent, Offset{0}, 16) == "1234123412341234 to 4");
}

TEST_CASE("behind a hole nothing from before it is given: a reader would not see what is missing", "[recent]") {
  RecentBatches recent(1000);
  recent.push(Offset{0}, Offset{2}, bytes_of("aa"));
  recent.push(Offset{5}, Offset{6}, bytes_of("b"));
  for (const std::int64_t from : {0, 1, 2, 4}) {
    CAPTURE(from);
    CHECK(read_text(recent, Offset{from}) == "nothing");
  }
  CHECK(read_text(recent, Offset{5}) == "b to 6");
}

TEST_CASE("beyond its bound the oldest go, and what went gives its room back", "[recent]") {
  RecentBatches recent(10);
  for (std::int64_t i = 0; i < 100; ++i) {
    recent.push(Offset{i}, Offset{i + 1}, bytes_of("123"));
    CHECK(read_text(recent, Offset{i}) == "123 to " + std::to_string(i + 1));
  }
  CHECK(read_text(recent, Offset{96}) == "nothing");
  CHECK(read_text(recent, Offset{97}) == "123123123 to 100");
  recent.clear();
  for (std::int64_t i = 0; i < 3; ++i) recent.push(Offset{i}, Offset{i + 1}, bytes_of("123"));
  CHECK(read_text(recent, Offset{0}) == "123123123 to 3");
  recent.push(Offset{3}, Offset{4}, bytes_of(std::string(11, 'x')));  // alone too large
  CHECK(read_text(recent, Offset{3}) == "nothing");
  recent.push(Offset{4}, Offset{5}, bytes_of("y"));
  CHECK(read_text(recent, Offset{4}) == "y to 5");
}
