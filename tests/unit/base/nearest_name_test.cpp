#include "base/nearest_name.hpp"

#include <array>
#include <string>

#include "tests/support/catch.hpp"

using namespace troupe;

namespace {

constexpr std::array<std::string_view, 4> known{"retention.ms", "retention.bytes", "flush", "flush.ms"};

}  // namespace

TEST_CASE("the nearest name is the one with the fewest letters wrong", "[nearest_name]") {
  CHECK(nearest_name("flush", known) == "flush");
  CHECK(nearest_name("flsuh", known) == "flush");   // swapped
  CHECK(nearest_name("flus", known) == "flush");    // dropped
  CHECK(nearest_name("fllush", known) == "flush");  // added
  CHECK(nearest_name("flash", known) == "flush");   // changed
  CHECK(nearest_name("retention_ms", known) == "retention.ms");
  CHECK(nearest_name("retention.byte", known) == "retention.bytes");
  CHECK(nearest_name("flush.msec", known) == "flush.ms");
}

TEST_CASE("what is like none of them has no nearest name", "[nearest_name]") {
  CHECK_FALSE(nearest_name("colour", known));
  CHECK_FALSE(nearest_name("", known));
  CHECK_FALSE(nearest_name("x", known));
  CHECK_FALSE(nearest_name("flush", std::span<const std::string_view>{}));
  CHECK_FALSE(nearest_name(std::string(129, 'f'), known));
  CHECK_FALSE(nearest_name(std::string(100'000, 'f'), known));
}

TEST_CASE("a short name may have one letter wrong, a long one a third of them", "[nearest_name]") {
  constexpr std::array<std::string_view, 2> names{"ab", "abcdefghi"};
  CHECK(nearest_name("ax", names) == "ab");
  CHECK_FALSE(nearest_name("xy", names));
  CHECK(nearest_name("abcdefxyz", names) == "abcdefghi");
  CHECK_FALSE(nearest_name("abcdewxyz", names));
}

TEST_CASE("of names that are equally near the first one is taken", "[nearest_name]") {
  constexpr std::array<std::string_view, 2> names{"cat", "car"};
  CHECK(nearest_name("cab", names) == "cat");
}
