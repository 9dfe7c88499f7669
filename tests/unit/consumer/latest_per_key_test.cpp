#include "core/consumer/latest_per_key.hpp"

#include "tests/support/catch.hpp"

using namespace troupe;
using consumer::LatestPerKey;

namespace {

/// The text of what is due, removed; "nothing" when nothing is.
std::string take(LatestPerKey& held, std::int64_t now) {
  const auto* text = held.front(MonotonicMs{now});
  if (text == nullptr) return "nothing";
  const auto taken = *text;
  held.pop(MonotonicMs{now});
  return taken;
}
void put(LatestPerKey& held, std::int64_t offset, const std::string& key, std::int64_t now) {
  held.put(0, Offset{offset}, key, key + std::to_string(offset), MonotonicMs{now});
}

}  // namespace

TEST_CASE("the newest record of each key is held, in the order of the log", "[latest_per_key]") {
  LatestPerKey held({.keys_max = 10, .bytes_max = 1000, .interval_ms = 0});
  put(held, 1, "a", 0);
  put(held, 2, "b", 0);
  CHECK(held.lowest(0) == Offset{1});
  put(held, 3, "a", 0);
  CHECK(held.lowest(0) == Offset{2});
  CHECK(held.take_conflated() == 1);
  CHECK(take(held, 0) == "b2");
  CHECK(take(held, 0) == "a3");
  CHECK(take(held, 0) == "nothing");
  CHECK(held.empty());
}

TEST_CASE("a record that gives way after it was looked at is not given", "[latest_per_key]") {
  LatestPerKey held({.keys_max = 10, .bytes_max = 1000, .interval_ms = 0});
  put(held, 1, "a", 0);
  REQUIRE(*held.front(MonotonicMs{0}) == "a1");
  put(held, 2, "a", 0);
  CHECK(take(held, 0) == "a2");
  put(held, 3, "a", 0);
  REQUIRE(*held.front(MonotonicMs{0}) == "a3");
  held.drop(0, "a");
  CHECK(take(held, 0) == "nothing");
}

TEST_CASE("a key is given once in its interval, also after many others", "[latest_per_key]") {
  LatestPerKey held({.keys_max = 2, .bytes_max = 1000, .interval_ms = 100});
  put(held, 1, "a", 0);
  put(held, 2, "b", 0);
  CHECK(take(held, 0) == "a1");
  CHECK(take(held, 0) == "b2");
  put(held, 3, "a", 10);
  CHECK(take(held, 10) == "nothing");
  CHECK(held.next_due() == MonotonicMs{100});
  put(held, 4, "a", 60);  // its turn does not move back
  CHECK(take(held, 99) == "nothing");
  CHECK(take(held, 100) == "a4");
  // What was given long ago makes room for what is remembered of others.
  put(held, 5, "c", 500);
  CHECK(take(held, 500) == "c5");
  put(held, 6, "c", 501);
  CHECK(take(held, 501) == "nothing");
  put(held, 7, "d", 502);  // is due before it
  CHECK(held.next_due() == MonotonicMs{502});
  CHECK(take(held, 502) == "d7");
  CHECK(take(held, 600) == "c6");
}

TEST_CASE("what is held is bounded in keys and in bytes", "[latest_per_key]") {
  LatestPerKey keys({.keys_max = 2, .bytes_max = 1000, .interval_ms = 0});
  put(keys, 1, "a", 0);
  CHECK_FALSE(keys.full());
  put(keys, 2, "b", 0);
  CHECK(keys.full());
  put(keys, 3, "a", 0);
  CHECK(take(keys, 0) == "b2");
  CHECK_FALSE(keys.full());
  LatestPerKey bytes({.keys_max = 10, .bytes_max = 100, .interval_ms = 0});
  bytes.put(0, Offset{1}, "a", std::string(200, 'x'), MonotonicMs{0});
  CHECK(bytes.full());
  bytes.put(0, Offset{2}, "a", "small", MonotonicMs{0});  // in its place
  CHECK_FALSE(bytes.full());
}
