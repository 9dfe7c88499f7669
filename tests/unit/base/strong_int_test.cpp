#include "base/strong_int.hpp"

#include <cstdint>
#include <type_traits>
#include <unordered_set>

#include "tests/support/catch.hpp"

using namespace troupe;

namespace {

using Offset = StrongInt<std::int64_t, struct OffsetTestTag>;
using Epoch = StrongInt<std::int32_t, struct EpochTestTag>;
using Small = StrongInt<std::int16_t, struct SmallTestTag>;

// One meaning does not pass for another, nor a plain number for either.
static_assert(!std::is_convertible_v<std::int64_t, Offset>);
static_assert(!std::is_convertible_v<Offset, std::int64_t>);
static_assert(!std::is_constructible_v<Offset, Epoch>);
static_assert(!std::is_assignable_v<Offset&, Epoch>);
static_assert(sizeof(Offset) == 8 && std::is_trivially_copyable_v<Offset>);

}  // namespace

TEST_CASE("a strong integer starts at 0 and keeps its value", "[base]") {
  CHECK(Offset{}.value() == 0);
  CHECK(Offset{-1}.value() == -1);
  CHECK(Small::min().value() == -32768);
  CHECK(Small::max().value() == 32767);
}

TEST_CASE("distances are plain integers", "[base]") {
  CHECK(Offset{40} + 2 == Offset{42});
  CHECK(Offset{40} - 2 == Offset{38});
  static_assert(std::is_same_v<decltype(Offset{1} - Offset{1}), std::int64_t>);
  CHECK(Offset{40} - Offset{42} == -2);
  Offset offset{1};
  offset += 4;
  CHECK(++offset == Offset{6});
  CHECK(Small{300} + std::int16_t{5} == Small{305});
}

TEST_CASE("strong integers are ordered by value", "[base]") {
  CHECK(Offset{-1} < Offset{0});
  CHECK(Offset{3} <= Offset{3});
  CHECK(Offset{4} > Offset{3});
  CHECK(Offset{4} != Offset{3});
}

TEST_CASE("strong integers can be keys and be printed", "[base]") {
  const std::unordered_set<Offset> set{Offset{1}, Offset{2}, Offset{1}};
  CHECK(set.size() == 2);
  CHECK(set.contains(Offset{2}));
  CHECK(to_string(Offset{-42}) == "-42");
}
