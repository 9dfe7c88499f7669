#include "http/json/produce_body.hpp"

#include "http/json/json_slicer.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::http;
using Kind = InputProblem::Kind;

namespace {

struct Read {
  std::optional<InputProblem> problem;
  ProduceBody body;

  std::string key(std::size_t i) const { return text(body.input.records.at(i).key); }
  std::string value(std::size_t i) const { return text(body.input.records.at(i).value); }
  static std::string text(const std::optional<ByteView>& bytes) { return bytes ? std::string(as_text(*bytes)) : "<null>"; }
};

Read read(const std::string& json, ProduceFormat format = ProduceFormat::v1, const Limits& limits = {}) {
  ByteBuffer body;
  append_bytes(body, as_bytes(json));
  Read result;
  result.problem = read_produce_body(std::move(body), format, limits, result.body);
  return result;
}

Kind kind_of(const std::string& json, ProduceFormat format = ProduceFormat::v1) {
  const auto result = read(json, format);
  INFO(json);
  REQUIRE(result.problem);
  CHECK_FALSE(result.problem->message.empty());
  return result.problem->kind;
}

std::string one(const std::string& members) { return "{\"records\":[{" + members + "}]}"; }

}  // namespace

TEST_CASE("a field's name may be written with escapes", "[http]") {
  const auto escaped = read(R"({"\u0072ecords":[{"\u006bey":"k","v\u0061lue":1}]})", ProduceFormat::v2_json);
  REQUIRE_FALSE(escaped.problem);
  CHECK(escaped.key(0) == "k");
  CHECK(escaped.value(0) == "1");
  const auto inlined = read(R"({"op":"produce","\u0076alue":{"\u0061":1}})", ProduceFormat::v1_or_inline);
  REQUIRE_FALSE(inlined.problem);
  CHECK(inlined.value(0) == R"({"\u0061":1})");
  CHECK(kind_of(R"({"records":[{"value":1}],"\u0072ecords":[{"value":2}]})") == Kind::shape);
  CHECK(kind_of(R"({"records":[{"value":1,"\u0076alue":2}]})") == Kind::shape);
}

TEST_CASE("brackets that never close are said to be too deep", "[http]") {
  for (const auto size : {100U, 100'000U, 1'000'000U}) {
    const auto result = read(std::string(size, '['), ProduceFormat::v1);
    REQUIRE(result.problem);
    CHECK(result.problem->message.find("deeper than 64") != std::string::npos);
  }
  const auto text = read("{\"records\":[\"" + std::string(1000, '['), ProduceFormat::v1);
  REQUIRE(text.problem);
  CHECK(text.problem->message.find("deeper") == std::string::npos);
}

TEST_CASE("values are kept as the bytes that came", "[http]") {
  for (const std::string value : {"{ \"a\" : [1, 2] }", "[]", "\"1\"", "1", "true", "\"\"", "\"\\u0041\\n\"",
                                  "9007199254740993", "-1.50e+3", "\"\\u0000\"", "\"\xc3\xa9\"", "{\"a\":\"}]\\\",\"}"}) {
    INFO(value);
    for (const auto format : {ProduceFormat::v1, ProduceFormat::v2_json}) {
      const auto result = read(one(" \"value\" : " + value + " , \"key\" : \"k\" "), format);
      REQUIRE_FALSE(result.problem);
      CHECK(result.value(0) == value);
      CHECK(result.key(0) == "k");
    }
    const auto line = read("{\"value\":" + value + "}\r\n\n{\"value\":2}", ProduceFormat::v1_lines);
    REQUIRE_FALSE(line.problem);
    CHECK(line.value(0) == value);
    CHECK(line.value(1) == "2");
    const auto inlined = read("{\"op\":\"produce\",\"value\":" + value + "}", ProduceFormat::v1_or_inline);
    REQUIRE_FALSE(inlined.problem);
    CHECK(inlined.value(0) == value);
  }
}

TEST_CASE("a string key is its text, any other key its JSON, null is none", "[http]") {
  const auto result =
      read(R"({"records":[{"key":"a\u00e9\"\ud83d\ude00\/","value":1},{"key":{"a":1},"value":1},{"key":7,"value":null},)"
           R"({"key":null,"value":1},{"key":"","value":1},{"value":1}]})");
  REQUIRE_FALSE(result.problem);
  CHECK(result.key(0) == "a\xc3\xa9\"\xf0\x9f\x98\x80/");
  CHECK(result.key(1) == R"({"a":1})");
  CHECK(result.key(2) == "7");
  CHECK(result.value(2) == "<null>");
  CHECK(result.key(3) == "<null>");
  CHECK(result.key(4) == "");
  CHECK(result.key(5) == "<null>");
}

TEST_CASE("base64, headers, time and partition of a record are read", "[http]") {
  const auto result = read(
      R"({"acks":"leader","records":[{"kb":"AP8=","vb":"aGk\u003d","headers":{"a":"b","\u0063":null},"ts":17,"partition":3},)"
      R"({"value":1,"hb":[["a","aGk="],["a",null]]}]})");
  REQUIRE_FALSE(result.problem);
  CHECK(result.body.acks == Acks::leader);
  CHECK(result.key(0) == std::string("\0\xff", 2));
  CHECK(result.value(0) == "hi");
  const auto& first = result.body.input.records[0];
  CHECK(first.timestamp == TimestampMs{17});
  CHECK(first.partition == PartitionId{3});
  REQUIRE(first.headers.size() == 2);
  CHECK(as_text(first.headers[1].key) == "c");
  CHECK_FALSE(first.headers[1].value);
  const auto& second = result.body.input.records[1];
  REQUIRE(second.headers.size() == 2);
  CHECK(Read::text(second.headers[0].value) == "hi");
  CHECK_FALSE(second.headers[1].value);

  const auto v2 = read(R"({"key_schema":null,"records":[{"key":"aGk=","value":"","timestamp":5,"partition":null,)"
                       R"("headers":[{"key":"h","value":"aGk="}]}]})",
                       ProduceFormat::v2_binary);
  REQUIRE_FALSE(v2.problem);
  CHECK(v2.key(0) == "hi");
  CHECK(v2.value(0) == "");
  CHECK(v2.body.input.records[0].timestamp == TimestampMs{5});
  CHECK(Read::text(v2.body.input.records[0].headers.at(0).value) == "hi");
  CHECK(read(R"({"records":[{"value":"a\nb"}]})", ProduceFormat::v2_text).value(0) == "a\nb");
}

TEST_CASE("what is no JSON is refused with its place", "[http]") {
  // Goal: rows 50 to 52.
  for (const std::string& bad :
       {std::string("{\"records\":["), one("\"value\":1e999"), one("\"value\":NaN"), one("\"value\":01"),
        one("\"value\":1") + "x", "\xef\xbb\xbf" + one("\"value\":1"), one("\"value\":\"\\ud800\""),
        one("\"value\":\"\xff\""), one("\"value\":\"a\nb\""), std::string("[")}) {
    INFO(bad);
    const auto result = read(bad);
    REQUIRE(result.problem);
    CHECK(result.problem->kind == Kind::syntax);
    CHECK(result.problem->message.find("at byte ") != std::string::npos);
  }
  const auto nested = [](int depth) {
    return one("\"value\":" + std::string(static_cast<std::size_t>(depth), '[') +
               std::string(static_cast<std::size_t>(depth), ']'));
  };
  CHECK_FALSE(read(nested(64)).problem);
  for (const int depth : {65, 70, 1000}) {
    const auto result = read(nested(depth));
    REQUIRE(result.problem);
    CHECK(result.problem->message.find("deeper than 64") != std::string::npos);
  }
  CHECK(kind_of(std::string(1'000'000, '[')) == Kind::syntax);
  CHECK(kind_of("{\"x\":" + std::string(1'000'000, '[')) == Kind::syntax);
  std::string many = "{\"records\":[{\"value\":[0";
  for (int i = 0; i < 100'000; ++i) many += ",0";
  CHECK(kind_of(many + "]}]}") == Kind::syntax);
}

TEST_CASE("a body without records is told from one that is wrong", "[http]") {
  for (const auto format : {ProduceFormat::v1, ProduceFormat::v2_json, ProduceFormat::v2_binary}) {
    for (const std::string none : {"{\"records\":[]}", "{}", "null", "", "{\"records\":null}"})
      CHECK(kind_of(none, format) == Kind::missing);
    for (const std::string wrong : {"[]", "5", "{\"records\":{}}", "{\"records\":[1]}", R"({"records":[],"records":[]})"}) {
      CHECK(kind_of(wrong, format) == Kind::shape);
    }
  }
  CHECK(kind_of("\n \n", ProduceFormat::v1_lines) == Kind::missing);
  CHECK(kind_of("{\"value\":1}\n{\"value\":}", ProduceFormat::v1_lines) == Kind::syntax);
  CHECK(read("{\"value\":1}\n{\"value\":}", ProduceFormat::v1_lines).problem->message.find("line 2") == 0);
  CHECK(kind_of("{\"records\":[{\"value\":1},{\"vlaue\":1}]}") == Kind::shape);
  CHECK(kind_of("{\"op\":1}", ProduceFormat::v1_or_inline) == Kind::missing);
}

TEST_CASE("a member of the wrong type is named with its record", "[http]") {
  for (const std::string members :
       {"\"value\":1,\"partition\":1.5", "\"value\":1,\"partition\":\"0\"", "\"value\":1,\"partition\":2147483648",
        "\"value\":1,\"ts\":-1", "\"value\":1,\"ts\":\"x\"", "\"value\":1,\"headers\":[]",
        "\"value\":1,\"headers\":{\"a\":1}", "\"value\":1,\"hb\":[[\"a\"]]", "\"vb\":5", "\"value\":1,\"value\":2",
        "\"value\":1,\"vb\":\"\"", "\"value\":1,\"headers\":{\"__troupe-id\":\"x\"}"}) {
    INFO(members);
    CHECK(kind_of(one(members)) == Kind::shape);
    CHECK(read(one(members)).problem->message.find("records[0]") == 0);
  }
  CHECK(kind_of(R"({"acks":"all","records":[]})") == Kind::shape);
  CHECK(read(one("\"value\":1,\"partition\":-1")).body.input.records.at(0).partition == PartitionId{-1});
}

TEST_CASE("v2 knows its fields and nothing else", "[http]") {
  CHECK(kind_of(one("\"value\":1,\"header\":1"), ProduceFormat::v2_json) == Kind::unknown_field);
  CHECK(kind_of("{\"records\":[],\"x\":1}", ProduceFormat::v2_json) == Kind::unknown_field);
  for (const std::string bad : {"\"***\"", "\"AB=C\"", "\"AB\"", "\"_-8=\""}) {
    CHECK(kind_of(one("\"value\":" + bad), ProduceFormat::v2_binary) == Kind::not_base64);
  }
  CHECK(kind_of(one("\"value\":1"), ProduceFormat::v2_binary) == Kind::shape);
  CHECK(kind_of(one("\"value\":1"), ProduceFormat::v2_text) == Kind::shape);
}

TEST_CASE("a record has a largest size", "[http]") {
  CHECK(kind_of(one("\"value\":\"" + std::string(std::size_t{1} << 20, 'a') + "\"")) == Kind::too_large);
  std::string headers;
  for (int i = 0; i < 65; ++i) headers += (i > 0 ? "," : "") + ("\"h" + std::to_string(i)) + "\":\"\"";
  CHECK(kind_of(one("\"value\":1,\"headers\":{" + headers + "}")) == Kind::too_large);
  const auto result = read_v1_records("{\"records\":[{\"value\":1}]}", {}, false);
  REQUIRE(result);
  CHECK(result->records.size() == 1);
  CHECK(read_v1_records(one("\"value\":1,\"ts\":{}"), {}, false).error().code == Errc::invalid_argument);
}
