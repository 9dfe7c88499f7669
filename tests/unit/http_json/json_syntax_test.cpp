#include "http/json/json_syntax.hpp"

#include <nlohmann/json.hpp>

#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using http::is_json;

TEST_CASE("JSON is RFC 8259's", "[json]") {
  for (const auto* right : {"0", "-0", "1.5e+300", "123456789012345678901234567890", "1e999999", "true", "false", "null",
                            "\"\"", "\"\\u00e4\\n\"", "{}", "[]", " [ ] ", "{\"a\":{\"b\":[1,2,{}]},\"c\":[[]]}", "[1,\n2]",
                            "\"\xc3\xa4\"", "{\"\":0,\"\":1}"}) {
    CAPTURE(right);
    CHECK(is_json(right));
  }
  for (const auto* wrong : {"",
                            " ",
                            "01",
                            "+1",
                            "1.",
                            ".5",
                            "-",
                            "1e",
                            "1e+",
                            "tru",
                            "truex",
                            "nul",
                            "NaN",
                            "'a'",
                            "\"a",
                            "\"\\x\"",
                            "\"\\u12g4\"",
                            "\"\n\"",
                            "{",
                            "}",
                            "{\"a\"}",
                            "{\"a\":}",
                            "{\"a\":1,}",
                            "{a:1}",
                            "{1:2}",
                            "[",
                            "]",
                            "[1,]",
                            "[,1]",
                            "[1 2]",
                            "[1}",
                            "{\"a\":1]",
                            "1 2",
                            "[] []",
                            "\"\xff\"",
                            "\"\xc0\x80\"",
                            "\"\xed\xa0\x80\"",
                            "\"\\",
                            "\xef\xbb\xbf{}"}) {
    CAPTURE(wrong);
    CHECK_FALSE(is_json(wrong));
  }
}

TEST_CASE("JSON is nested at most 64 deep", "[json]") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(is_json(nested(64)));
  CHECK_FALSE(is_json(nested(65)));
  CHECK_FALSE(is_json(std::string(10'000'000, '[')));
  CHECK_FALSE(is_json(std::string(1'000'000, '{')));
}

TEST_CASE("what is JSON is what another parser takes for it", "[json]") {
  const auto seed = test::seed_or(3);
  INFO("TROUPE_SEED=" << seed);
  Prng prng(seed);
  static constexpr std::string_view pieces[] = {"{", "}", "[", "]",    ",",    ":", "\"a\"", "\"",    "1", "-",
                                                ".", "e", "0", "true", "null", " ", "\\",    "u0041", "\n"};
  int accepted = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string text;
    const auto count = 1 + prng.below(9);
    for (std::uint64_t i = 0; i < count; ++i) text += pieces[prng.below(std::size(pieces))];
    // accept() goes through without keeping numbers, as we do.
    const bool expected = nlohmann::json::accept(text);
    if (is_json(text) != expected) FAIL("they differ about: " << text);
    accepted += expected ? 1 : 0;
  }
  CHECK(accepted > 1000);
}

TEST_CASE("a text is cut into its objects, an object into its members", "[json]") {
  using Pieces = std::vector<std::string_view>;
  CHECK(http::split_json("") == Pieces{});
  CHECK(http::split_json(" {} \n{\"a\":[1,{\"}\":2}]}{}\n") == Pieces{"{}", "{\"a\":[1,{\"}\":2}]}", "{}"});
  CHECK(http::split_json("5 {\"a\"") == Pieces{"5", "{\"a\""});
  CHECK(http::split_json("}]") == Pieces{"}", "]"});
  const auto members = http::json_members("{ \"a\" : 1, \"b\\\"c\":{\"d\":[1, 2]} , \"e\":\"x,}\"}");
  REQUIRE(members.size() == 3);
  CHECK((members[0].name == "a" && members[0].value == "1"));
  CHECK((members[1].name == "b\\\"c" && members[1].value == "{\"d\":[1, 2]}"));
  CHECK((members[2].name == "e" && members[2].value == "\"x,}\""));
  CHECK(http::json_members("[1]").empty());
  CHECK(http::json_members("{}").empty());
}
