#include "runtime/client/json_slice.hpp"

#include <nlohmann/json.hpp>

#include "base/prng.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::client;
using Json = nlohmann::ordered_json;

TEST_CASE("a member is found as it was written", "[client]") {
  const std::string text =
      R"( { "a" : 1.10 , "b":"x,\"}]" ,"c": {"a":[2, {"d":3}]}, "n":123456789012345678901234567890 , "a":2 } )";
  CHECK(json_member(text, "a") == "1.10");
  CHECK(json_member(text, "b") == R"("x,\"}]")");
  CHECK(json_member(text, "c") == R"({"a":[2, {"d":3}]})");
  CHECK(json_member(text, "n") == "123456789012345678901234567890");
  CHECK(json_member(text, "d") == std::nullopt);
  CHECK(json_member("[1]", "a") == std::nullopt);
  CHECK(json_member("{}", "a") == std::nullopt);
}

TEST_CASE("elements are found as they were written", "[client]") {
  CHECK(json_elements(R"([1, "a,b" ,[2,3],{"x":[4,5]}])") ==
        std::vector<std::string_view>{"1", R"("a,b")", "[2,3]", R"({"x":[4,5]})"});
  CHECK(json_elements("[ ]").empty());
  CHECK(json_elements("{}").empty());
  CHECK(json_elements("").empty());
}

TEST_CASE("a text on one line is the same value", "[client]") {
  CHECK(on_one_line("{\r\n \"a\\n\": 1\n}") == "{   \"a\\n\": 1 }");
}

namespace {

Json random_value(Prng& prng, int depth) {
  switch (prng.below(depth > 3 ? 4 : 6)) {
    case 0: return nullptr;
    case 1: return prng.below(1000);
    case 2: return "a,\"\\]}[{:" + std::to_string(prng.below(10));
    case 3: return "";
    case 4: {
      auto array = Json::array();
      for (auto count = prng.below(4); count > 0; --count) array.push_back(random_value(prng, depth + 1));
      return array;
    }
    default: {
      auto object = Json::object();
      for (auto count = prng.below(4); count > 0; --count) {
        object["k" + std::to_string(prng.below(9))] = random_value(prng, depth + 1);
      }
      return object;
    }
  }
}

}  // namespace

TEST_CASE("taking JSON apart agrees with parsing it, and broken text does no harm", "[client]") {
  const auto seed = test::seed_or(20261122);
  INFO("TROUPE_SEED=" << seed);
  Prng prng{seed};
  for (int round = 0; round < 2000; ++round) {
    const auto value = Json{
        {"k0", random_value(prng, 0)}, {"k1", random_value(prng, 0)}, {"list", Json::array({random_value(prng, 0), 1})}};
    const auto text = value.dump(prng.below(2) == 0 ? -1 : 2);
    for (const auto& [name, member] : value.items()) {
      const auto found = json_member(text, name);
      REQUIRE(found);
      REQUIRE(Json::parse(*found) == member);
    }
    const auto elements = json_elements(*json_member(text, "list"));
    REQUIRE(elements.size() == 2);
    REQUIRE(Json::parse(elements[0]) == value["list"][0]);

    auto broken = text.substr(prng.below(text.size()), prng.below(text.size() + 1));
    if (!broken.empty()) broken[prng.below(broken.size())] = "\"\\{}[],:"[prng.below(8)];
    for (const auto element : json_elements(broken)) REQUIRE(element.size() <= broken.size());
    (void)json_member(broken, "k0");
  }
}
