#include "storage/key_offsets.hpp"

#include <map>
#include <string>

#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::storage;

TEST_CASE("each key is known by the offset at which it was met last", "[cleaning]") {
  KeyOffsets keys{1 << 20};
  CHECK_FALSE(keys.find(as_bytes("a")));
  REQUIRE(keys.put(as_bytes("a"), Offset{0}));
  REQUIRE(keys.put(as_bytes(""), Offset{1}));
  REQUIRE(keys.put(as_bytes("a"), Offset{2}));
  CHECK(keys.find(as_bytes("a")) == Offset{2});
  CHECK(keys.find(as_bytes("")) == Offset{1});
  CHECK_FALSE(keys.find(as_bytes("b")));
  CHECK(keys.size() == 2);
}

TEST_CASE("it agrees with a map, and never takes more than its bytes", "[cleaning]") {
  const auto seed = test::seed_or(11);
  INFO("TROUPE_SEED=" << seed);
  Prng random{seed};
  constexpr std::size_t bytes_max = 400'000;
  KeyOffsets keys{bytes_max};
  std::map<std::string, Offset> model;
  std::size_t refused = 0;
  for (std::int64_t offset = 0; offset < 30'000; ++offset) {
    const auto key = std::to_string(random.below(15'000));
    if (keys.put(as_bytes(key), Offset{offset})) {
      model[key] = Offset{offset};
    } else {
      CHECK_FALSE(model.contains(key));  // a key that is known always has room
      ++refused;
    }
  }
  CHECK(refused > 0);
  CHECK(keys.bytes() <= bytes_max);
  CHECK(keys.size() * 4 * 24 > bytes_max);  // a quarter of the bytes holds keys at least
  REQUIRE(keys.size() == model.size());
  for (const auto& [key, offset] : model) CHECK(keys.find(as_bytes(key)) == offset);
}
