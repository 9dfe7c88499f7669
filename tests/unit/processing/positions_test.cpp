#include "core/processing/positions.hpp"

#include "core/processing/processor.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::processing;

namespace {

const TopicId topic{{1, 2, 3, 4}};

ProcessorSpec good_spec() {
  return {.name = "counter", .inputs = {"lines"}, .outputs = {{.name = "words"}}, .make = [](const Assignment&) {
            return std::unique_ptr<Processor>{};
          }};
}

}  // namespace

TEST_CASE("a position is read as it was written", "[processing]") {
  const PositionKey key{"word.count", "lines", PartitionId{12}};
  const Position position{topic, Offset{9'000'000'000}};
  CHECK(encode_position_key(key) == "word.count/lines/12");
  CHECK(encode_position(position) == "1 01020304-0000-0000-0000-000000000000 9000000000");
  CHECK(decode_position_key(encode_position_key(key)).value() == key);
  CHECK(decode_position(encode_position(position)).value() == position);
}

TEST_CASE("what is not a position is refused and changes nothing", "[processing]") {
  const std::string good = encode_position({topic, Offset{7}});
  for (const auto& bad :
       {std::string{}, std::string{"1 "}, std::string{"2"} + good.substr(1), good.substr(0, 38), good + "x",
        good.substr(0, good.size() - 1) + "-1", good + "99999999999999999999", "1 x" + good.substr(3)}) {
    INFO(bad);
    CHECK_FALSE(decode_position(bad));
  }
  for (const auto* bad : {"", "a", "a/b", "a/b/", "a/b/x", "a/b/-1", "a/b/99999999999"}) {
    INFO(bad);
    CHECK_FALSE(decode_position_key(bad));
  }
  PositionTable table;
  CHECK_FALSE(table.apply(std::nullopt, good));
  CHECK_FALSE(table.apply("a/b", good));
  CHECK_FALSE(table.apply("a/b/1", "something"));
  CHECK(table.all().empty());
}

TEST_CASE("the last position of a key counts, and only for the topic that it was written for", "[processing]") {
  PositionTable table;
  const PositionKey key{"p", "t", PartitionId{0}};
  REQUIRE(table.apply("p/t/0", encode_position({topic, Offset{5}})));
  REQUIRE(table.apply("p/t/0", encode_position({topic, Offset{3}})));
  CHECK(table.find(key, topic) == Offset{3});
  CHECK(table.find(key, TopicId{{9}}) == std::nullopt);
  CHECK(table.find({"p", "t", PartitionId{1}}, topic) == std::nullopt);
  REQUIRE(table.apply("p/t/0", std::nullopt));
  CHECK(table.find(key, topic) == std::nullopt);
}

TEST_CASE("a processor's definition is checked, and the error names the field", "[processing]") {
  CHECK(check_spec(good_spec()));
  const auto refused = [](auto change) {
    auto spec = good_spec();
    change(spec);
    const auto status = check_spec(spec);
    REQUIRE_FALSE(status);
    return status.error().message;
  };
  CHECK(refused([](auto& spec) { spec.name = "a/b"; }).find("name:") != std::string::npos);
  CHECK(refused([](auto& spec) { spec.name.clear(); }).find("name:") != std::string::npos);
  CHECK(refused([](auto& spec) { spec.make = nullptr; }).find("make:") != std::string::npos);
  CHECK(refused([](auto& spec) { spec.inputs.clear(); }).find("inputs:") != std::string::npos);
  CHECK(refused([](auto& spec) { spec.inputs = {"a", "a"}; }).find("twice") != std::string::npos);
  CHECK(refused([](auto& spec) { spec.outputs = {{.name = "__x"}}; }).find("outputs:") != std::string::npos);
  CHECK(refused([](auto& spec) { spec.outputs[0].partitions = 0; }).find("outputs:") != std::string::npos);
  CHECK(refused([](auto& spec) { spec.attempts_max = 0; }).find("attempts_max:") != std::string::npos);
  CHECK(refused([](auto& spec) { spec.in_flight_max = 33; }).find("in_flight_max:") != std::string::npos);
}
