#include "base/uuid.hpp"

#include <algorithm>
#include <cctype>
#include <unordered_set>

#include "base/prng.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;

TEST_CASE("a uuid is written in lower case with dashes", "[base]") {
  const Uuid uuid{{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54, 0x32, 0x10}};
  CHECK(to_string(uuid) == "01234567-89ab-cdef-fedc-ba9876543210");
  CHECK(to_string(Uuid{}) == "00000000-0000-0000-0000-000000000000");
}

TEST_CASE("a uuid reads back as written, in either case", "[base]") {
  Prng prng(11);
  for (int i = 0; i < 200; ++i) {
    const auto uuid = Uuid::random(prng);
    auto text = to_string(uuid);
    CAPTURE(text);
    REQUIRE(Uuid::parse(text) == uuid);
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    REQUIRE(Uuid::parse(text) == uuid);
  }
}

TEST_CASE("what is no uuid is refused", "[base]") {
  const std::string good = "01234567-89ab-cdef-fedc-ba9876543210";
  REQUIRE(Uuid::parse(good));
  CHECK_FALSE(Uuid::parse(""));
  CHECK_FALSE(Uuid::parse(good + "0"));
  CHECK_FALSE(Uuid::parse(" " + good.substr(1)));
  CHECK_FALSE(Uuid::parse("{" + good + "}"));
  CHECK_FALSE(Uuid::parse("0123456789abcdeffedcba9876543210"));
  for (std::size_t i = 0; i < good.size(); ++i) {
    CAPTURE(i);
    CHECK_FALSE(Uuid::parse(good.substr(0, i)));
    auto wrong = good;
    wrong[i] = good[i] == '-' ? '0' : '-';
    CHECK_FALSE(Uuid::parse(wrong));
    for (const char c : {'g', 'G', '/', ':', '@', '`', '\0', '\xb1'}) {
      wrong[i] = c;
      CHECK_FALSE(Uuid::parse(wrong));
    }
  }
}

TEST_CASE("random uuids are of version 4 and differ", "[base]") {
  std::unordered_set<Uuid> seen;
  Prng prng(12);
  for (int i = 0; i < 500; ++i) {
    for (const auto& uuid : {Uuid::random(), Uuid::random(prng)}) {
      const auto text = to_string(uuid);
      CAPTURE(text);
      REQUIRE(text[14] == '4');
      REQUIRE(std::string_view{"89ab"}.find(text[19]) != std::string_view::npos);
      REQUIRE_FALSE(uuid.is_nil());
      REQUIRE(seen.insert(uuid).second);
    }
  }
}

TEST_CASE("uuids of the same seed are the same", "[base]") {
  Prng a(13);
  Prng b(13);
  CHECK(Uuid::random(a) == Uuid::random(b));
  CHECK(Uuid::random(a) != Uuid{});
}

TEST_CASE("only all zeros is nil", "[base]") {
  CHECK(Uuid{}.is_nil());
  CHECK(Uuid::parse("00000000-0000-0000-0000-000000000000")->is_nil());
  CHECK_FALSE(Uuid::parse("00000000-0000-0000-0000-000000000001")->is_nil());
}

TEST_CASE("uuids are ordered byte by byte", "[base]") {
  CHECK(*Uuid::parse("00000000-0000-0000-0000-0000000000ff") < *Uuid::parse("01000000-0000-0000-0000-000000000000"));
}
