#include "base/log.hpp"

#include <cstdlib>
#include <sstream>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/bytes.hpp"
#include "base/error.hpp"
#include "base/prng.hpp"
#include "base/strong_int.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/base/captured_stderr.hpp"

using namespace troupe;
using log::Format;
using log::format_fields;
using log::kv;
using nlohmann::json;

namespace {

using Offset = StrongInt<std::int64_t, struct LogTestTag>;

std::string json_line(std::string_view event, std::initializer_list<log::Field> fields = {}) {
  return "{" + format_fields(Format::json, event, fields) + "}";
}

/// What a reader of the line gets for `value`.
std::string through_json(std::string_view value) {
  return json::parse(json_line("e", {kv("k", value)}))["k"].get<std::string>();
}

/// The value as it stands in a JSON line, without its quotes.
std::string in_json(std::string_view value) {
  const auto line = json_line("e", {kv("k", value)});
  const std::string head = R"({"msg":"e","k":")";
  REQUIRE(line.substr(0, head.size()) == head);
  return line.substr(head.size(), line.size() - head.size() - 2);
}

/// The library's judgement: it refuses to write what is not UTF-8.
bool is_utf8(const std::string& text) {
  try {
    return !json(text).dump().empty();
  } catch (const json::type_error&) {
    return false;
  }
}

/// No byte that a terminal may obey, in ASCII or as UTF-8 of Latin-1's controls.
bool is_tame(std::string_view line) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto byte = static_cast<unsigned char>(line[i]);
    if (byte < 0x20 || byte == 0x7f) return false;
    if (byte == 0xc2 && i + 1 < line.size() && static_cast<unsigned char>(line[i + 1]) < 0xa0) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("a JSON line has the event and the fields, numbers and booleans bare", "[log]") {
  CHECK(json_line("isr shrunk", {kv("partition", "orders/3"), kv("isr", 2), kv("clean", true), kv("end", Offset{42})}) ==
        R"({"msg":"isr shrunk","partition":"orders/3","isr":2,"clean":true,"end":"42"})");
  CHECK(json_line("started") == R"({"msg":"started"})");
}

TEST_CASE("a text line has quotes only where a value needs them", "[log]") {
  CHECK(format_fields(Format::text, "isr shrunk", {kv("partition", "orders/3"), kv("isr", 2), kv("why", "too slow")}) ==
        R"(isr shrunk partition=orders/3 isr=2 why="too slow")");
  CHECK(format_fields(Format::text, "e", {kv("k", ""), kv("l", "a=b"), kv("m", "say \"hi\"")}) ==
        R"(e k="" l="a=b" m="say \"hi\"")");
  CHECK(format_fields(Format::text, "e", {kv("k", "Grüße")}) == "e k=\"Grüße\"");
}

TEST_CASE("anything with a to_string can be a field", "[log]") {
  CHECK(format_fields(Format::text, "e", {kv("error", Error{Errc::not_found, "no file"}), kv("code", Errc::storage_full)}) ==
        R"(e error="not_found: no file" code=storage_full)");
}

TEST_CASE("valid UTF-8 passes unchanged", "[log]") {
  for (const std::string_view text : {"Grüße", "Привет", "日本語", "🎭", "\u00a0", "\u07ff", "\u0800", "\ud7ff", "\ue000",
                                      "\uffff", "\U00010000", "\U0010ffff", "~ plain /ascii/ '"}) {
    CAPTURE(text);
    CHECK(in_json(text) == text);
  }
}

TEST_CASE("each byte that is no UTF-8 becomes the replacement character", "[log]") {
  const std::string r = "\ufffd";
  CHECK(in_json("a\xff"
                "b") == "a" + r + "b");
  CHECK(in_json("\x80") == r);  // continuation without a lead
  CHECK(in_json("\xc3") == r);  // cut off
  CHECK(in_json("\xe6\x97") == r + r);
  CHECK(in_json("\xf0\x9f\x8e") == r + r + r);
  CHECK(in_json("\xc3(") == r + "(");  // the byte after a bad lead is looked at anew
  CHECK(in_json("\xe6\x97(") == r + r + "(");
  CHECK(in_json("\xc0\xaf") == r + r);  // longer than need be
  CHECK(in_json("\xe0\x80\xaf") == r + r + r);
  CHECK(in_json("\xf0\x80\x80\xaf") == r + r + r + r);
  CHECK(in_json("\xed\xa0\x80") == r + r + r);          // a surrogate
  CHECK(in_json("\xf4\x90\x80\x80") == r + r + r + r);  // above U+10FFFF
  CHECK(in_json("\xf8\x88\x80\x80\x80") == r + r + r + r + r);
  CHECK(in_json("\xc3\"") == r + "\\\"");  // a lead cannot swallow the quote that ends it
}

TEST_CASE("controls are escaped and read back as they were", "[log]") {
  CHECK(in_json("a\nb\tc\\d\"e") == R"(a\nb\tc\\d\"e)");
  CHECK(in_json(std::string_view{"\0\x1b[2J\r\x7f", 7}) == R"(\u0000\u001b[2J\u000d\u007f)");
  CHECK(in_json("\u009b31m") == R"(\u009b31m)");
  CHECK(in_json("\u2028\u202e\u2066\u200f") == R"(\u2028\u202e\u2066\u200f)");
  std::string all;
  for (int code = 0; code < 0x80; ++code) all += static_cast<char>(code);
  all += "\u0080\u009f\u2029";
  CHECK(through_json(all) == all);
}

TEST_CASE("an event or a key cannot break out of its line either", "[log]") {
  CHECK(json::parse(json_line("a\"}\n{\"b", {kv("k\"\x1b", 1)})) == json{{"msg", "a\"}\n{\"b"}, {"k\"\x1b", 1}});
  CHECK(is_tame(format_fields(Format::text, "a\nb\x1b", {kv("k\r", "v\u0085")})));
}

TEST_CASE("whatever bytes a client sends, a line is valid JSON and tame", "[log]") {
  const char* text = std::getenv("TROUPE_SEED");
  const std::uint64_t seed = text == nullptr ? 7 : std::strtoull(text, nullptr, 10);
  CAPTURE(seed);
  Prng prng(seed);
  // Bytes at which something changes, so that near misses of UTF-8 are common.
  constexpr std::string_view edges = "\"\\a\n\x1b\x7f\x80\x8f\x90\x9f\xa0\xbf\xc0\xc2\xdf\xe0\xed\xef\xf0\xf4\xf5\xff";
  for (int run = 0; run < 20'000; ++run) {
    std::string value;
    for (auto size = prng.below(9); size > 0; --size)
      value += prng.chance(3, 4) ? edges[prng.below(edges.size())] : static_cast<char>(prng.below(256));
    CAPTURE(to_hex(as_bytes(value)));
    const auto line = json_line(value, {kv("k", value)});
    REQUIRE(is_tame(line));
    REQUIRE(is_tame(format_fields(Format::text, value, {kv("k", value)})));
    const auto parsed = json::parse(line, nullptr, false);
    REQUIRE_FALSE(parsed.is_discarded());
    REQUIRE(parsed["k"] == parsed["msg"]);
    const auto back = parsed["k"].get<std::string>();
    if (is_utf8(value)) {
      REQUIRE(back == value);
    } else {
      REQUIRE(back.find("\ufffd") != std::string::npos);
    }
  }
}

TEST_CASE("lines go to standard error as JSON objects with time and level, from the level chosen on", "[log]") {
  std::string written;
  {
    const CapturedStderr captured;
    log::configure(log::Level::info, Format::json);
    CHECK(log::enabled(log::Level::info));
    CHECK_FALSE(log::enabled(log::Level::debug));
    log::debug("not this");
    log::info("topic created", {kv("topic", "a\n{}%v\xff\x1b"), kv("partitions", 3)});
    log::error("disk failed");
    written = captured.text();
  }
  std::istringstream lines(written);
  std::string line;
  std::vector<json> parsed;
  while (std::getline(lines, line)) parsed.push_back(json::parse(line, nullptr, false));
  REQUIRE(parsed.size() == 2);
  CHECK(parsed[0]["msg"] == "topic created");
  CHECK(parsed[0]["topic"] == "a\n{}%v\ufffd\x1b");
  CHECK(parsed[0]["partitions"] == 3);
  CHECK(parsed[0]["lvl"] == "info");
  const auto time = parsed[0]["ts"].get<std::string>();
  CHECK(time.size() == std::string_view{"2024-01-01T00:00:00.000Z"}.size());
  CHECK(time.back() == 'Z');
  CHECK(parsed[1]["lvl"] == "error");
}
