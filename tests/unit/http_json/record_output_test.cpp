#include "http/json/record_output.hpp"

#include <nlohmann/json.hpp>

#include "base/prng.hpp"
#include "core/record/batch_builder.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using http::RecordFormat;

namespace {

using Text = std::optional<std::string_view>;
using Headers = std::vector<std::pair<std::string_view, Text>>;

std::optional<ByteView> bytes_of(const Text& text) { return text ? std::optional{as_bytes(*text)} : std::nullopt; }

/// One record, as it looks when it has been through a batch.
std::string shown(const Text& key, const Text& value, RecordFormat format = RecordFormat::auto_,
                  const Headers& headers = {}) {
  std::vector<record::RecordHeader> encoded;
  for (const auto& [name, content] : headers) encoded.push_back({.key = as_bytes(name), .value = bytes_of(content)});
  record::RecordBatchBuilder builder({.base_offset = Offset{42}});
  builder.add(
      {.timestamp = TimestampMs{1'764'000'000'123}, .key = bytes_of(key), .value = bytes_of(value), .headers = encoded});
  const auto batch = builder.build().value();
  const auto view = record::parse_batch(batch).value();
  record::RecordReader reader(view.header, view.records_block());
  std::string out;
  http::append_record(out, PartitionId{3}, reader.next().value(), format);
  return out;
}

const std::string head = R"({"p":3,"o":42,"ts":1764000000123,)";

}  // namespace

TEST_CASE("a record is one line of JSON with its value inside", "[record_output]") {
  CHECK(shown("room-7", R"({"from":"bo","text":"hello"})") == head + R"("k":"room-7","v":{"from":"bo","text":"hello"}})");
  CHECK(shown(std::nullopt, "12.50") == head + R"("k":null,"v":12.50})");
  CHECK(shown("", "") == head + R"("k":"","v":""})");
  CHECK(shown("a", std::nullopt) == head + R"("k":"a","v":null,"del":true})");
  CHECK(shown("a", "null") == head + R"("k":"a","v":null})");
}

TEST_CASE("what is no JSON is text, what is no text is base64", "[record_output]") {
  CHECK(shown("a", "hello, \"you\"\n\\\x01\x7f") == head + "\"k\":\"a\",\"v\":\"hello, \\\"you\\\"\\n\\\\\\u0001\x7f\"}");
  CHECK(shown("a", "\xff\xfe") == head + R"("k":"a","vb":"//4="})");
  CHECK(shown("\xff", "1") == head + R"("kb":"/w==","v":1})");
  CHECK(shown("a", "{\"x\":") == head + R"("k":"a","v":"{\"x\":"})");
}

TEST_CASE("a format decides what a value is shown as", "[record_output]") {
  CHECK(shown("a", "[1]", RecordFormat::json) == head + R"("k":"a","v":[1]})");
  CHECK(shown("a", "[1", RecordFormat::json) == head + R"("k":"a","vb":"WzE="})");
  CHECK(shown("a", "[1]", RecordFormat::text) == head + R"("k":"a","v":"[1]"})");
  CHECK(shown("a", "\xff", RecordFormat::text) == head + R"("k":"a","vb":"/w=="})");
  CHECK(shown("a", "[1]", RecordFormat::binary) == head + R"("kb":"YQ==","vb":"WzFd"})");
  CHECK(shown(std::nullopt, std::nullopt, RecordFormat::binary) == head + R"("k":null,"v":null,"del":true})");
  CHECK(http::parse_record_format("auto").value() == RecordFormat::auto_);
  CHECK(http::parse_record_format("binary").value() == RecordFormat::binary);
  CHECK(http::parse_record_format("AUTO").error().code == Errc::invalid_argument);
}

TEST_CASE("headers are an object while they can be one", "[record_output]") {
  const auto with = [](const Headers& headers, RecordFormat format = RecordFormat::auto_) {
    return shown("a", "1", format, headers);
  };
  const auto before = head + R"("k":"a","v":1)";
  CHECK(with({{"x", "y"}, {"z", ""}}) == before + R"(,"h":{"x":"y","z":""}})");
  CHECK(with({{"x", "y"}, {"x", "z"}}) == before + R"(,"hb":[["x","eQ=="],["x","eg=="]]})");
  CHECK(with({{"x", "\xff"}}) == before + R"(,"hb":[["x","/w=="]]})");
  CHECK(with({{"x", std::nullopt}}) == before + R"(,"hb":[["x",null]]})");
  CHECK(with({{"\xff!", "y"}}) == before + ",\"hb\":[[\"\xef\xbf\xbd!\",\"eQ==\"]]}");
}

TEST_CASE("internal headers are never shown", "[record_output]") {
  CHECK(shown("a", "1", RecordFormat::auto_, {{"__troupe-id", "secret"}}) == head + R"("k":"a","v":1})");
  CHECK(shown("a", "1", RecordFormat::auto_, {{"__troupe-id", "secret"}, {"x", "y"}}) ==
        head + R"("k":"a","v":1,"h":{"x":"y"}})");
}

TEST_CASE("no value breaks out of its line or of its place", "[record_output]") {
  CHECK(shown("a", "x\n\nevent: pwn\ndata: y").find('\n') == std::string::npos);
  CHECK(shown("a", "{\r\n \"x\" :\n 1 }") == head + R"("k":"a","v":{ "x" : 1 }})");
  const auto seed = test::seed_or(5);
  INFO("TROUPE_SEED=" << seed);
  Prng prng(seed);
  static constexpr std::string_view pieces[] = {"{",  "}",  "[",  "]",        ",",    ":",    "\"", "a",   "1",
                                                "\n", "\r", "\\", "\xc3\xa4", "\xff", "null", "<",  "\x01"};
  for (int round = 0; round < 20'000; ++round) {
    std::string key;
    std::string value;
    for (auto i = prng.below(4); i > 0; --i) key += pieces[prng.below(std::size(pieces))];
    for (auto i = prng.below(9); i > 0; --i) value += pieces[prng.below(std::size(pieces))];
    const auto format = static_cast<RecordFormat>(prng.below(4));
    const auto line = shown(key, value, format, {{key, value}});
    const auto parsed = nlohmann::json::parse(line, nullptr, false);
    INFO(line);
    REQUIRE(parsed.is_object());
    REQUIRE(line.find_first_of("\r\n") == std::string::npos);
    REQUIRE(parsed["o"] == 42);
    if (parsed.contains("k")) REQUIRE(parsed["k"] == key);
  }
}
