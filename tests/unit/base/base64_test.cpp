#include "base/base64.hpp"

#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;

namespace {

std::string encoded(std::string_view text) {
  std::string out;
  append_base64(out, as_bytes(text));
  return out;
}

}  // namespace

TEST_CASE("base64 is RFC 4648's", "[base64]") {
  CHECK(encoded("").empty());
  CHECK(encoded("f") == "Zg==");
  CHECK(encoded("fo") == "Zm8=");
  CHECK(encoded("foo") == "Zm9v");
  CHECK(encoded("foob") == "Zm9vYg==");
  CHECK(encoded("fooba") == "Zm9vYmE=");
  CHECK(encoded("foobar") == "Zm9vYmFy");
  CHECK(encoded("\xfb\xff") == "+/8=");
  std::string url;
  append_base64_url(url, as_bytes("\xfb\xff"));
  CHECK(url == "-_8");
}

TEST_CASE("every text that is read has one spelling", "[base64]") {
  for (const auto* wrong : {"Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9=", "Zm 9", "Zm-v", "Zg==Zg==", "Zm9v\n"}) {
    CAPTURE(wrong);
    CHECK_FALSE(decode_base64(wrong));
  }
  for (const auto* wrong : {"Z", "Zg==", "Zh", "Zm9vY", "Zm/v"}) {
    CAPTURE(wrong);
    CHECK_FALSE(decode_base64_url(wrong));
  }
}

TEST_CASE("random bytes come back from base64", "[base64]") {
  const auto seed = test::seed_or(1);
  INFO("TROUPE_SEED=" << seed);
  Prng prng(seed);
  for (int round = 0; round < 500; ++round) {
    ByteBuffer bytes(prng.below(70));
    for (auto& byte : bytes) byte = static_cast<std::byte>(prng.below(256));
    std::string text;
    append_base64(text, bytes);
    const auto back = decode_base64(text);
    REQUIRE(back);
    CHECK(equal_bytes(*back, bytes));
    std::string url;
    append_base64_url(url, bytes);
    const auto again = decode_base64_url(url);
    REQUIRE(again);
    CHECK(equal_bytes(*again, bytes));
  }
}
