#include "runtime/config/toml_file.hpp"

#include <fstream>

#include "tests/support/catch.hpp"
#include "tests/support/temp_directory.hpp"

using namespace troupe;
using namespace troupe::runtime;
using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

namespace {

TomlFile parse(std::string_view content) { return parse_toml(content, "t.toml"); }

/// The only problem of `content`.
std::string problem(std::string_view content) {
  const auto file = parse(content);
  return file.problems.size() == 1 ? file.problems[0] : std::to_string(file.problems.size()) + " problems";
}

}  // namespace

TEST_CASE("a file gives values with the line that they stand on", "[config]") {
  const auto file = parse(R"([node]
id = 7
[gateway]
listen = "127.0.0.1:9000"
host_names = ["a.example", "b.example"]
body_bytes_max = "4MiB"
ping_ms = 30_000
[demo]
enabled = true
)");
  REQUIRE(file.problems.empty());
  REQUIRE(file.entries.size() == 6);
  NodeConfig config;
  for (const auto& entry : file.entries) {
    entry.setting->set(config, entry.value);
    if (entry.setting->name == "gateway.listen") CHECK(entry.where == "t.toml:4");
  }
  CHECK(config.node_id == 7);
  CHECK(config.gateway.port == 9000);
  CHECK(config.gateway.host_names == std::vector<std::string>{"a.example", "b.example"});
  CHECK(config.gateway.limits.body_bytes_max == std::size_t{4} << 20);
  CHECK(config.gateway.limits.ping_ms == 30'000);
  CHECK(config.demo);
}

TEST_CASE("an empty file, dotted keys and inline tables are as good", "[config]") {
  CHECK(parse("").problems.empty());
  CHECK(parse("# only a comment").problems.empty());
  CHECK(parse("gateway.io_threads = 2\nnode = { id = 3 }").entries.size() == 2);
  CHECK(parse("[node]\r\nid = 3\r\n").entries.size() == 1);
  CHECK(parse("\xef\xbb\xbf[node]\nid = 3\n").entries.size() == 1);
}

TEST_CASE("an unknown key is refused with its line and the nearest known name", "[config]") {
  CHECK(problem("[gateway]\n  lisen = \"127.0.0.1:1\"") ==
        "t.toml:2:3: unknown setting \"gateway.lisen\"; did you mean \"gateway.listen\"?");
  CHECK(problem("[nod]\nid = 1") == "t.toml:2:1: unknown setting \"nod.id\"; did you mean \"node.id\"?");
  CHECK(problem("htpp.port = 1") == "t.toml:1:6: unknown setting \"htpp.port\"; `troupe config describe` lists them all");
  CHECK_THAT(problem("listen = 1"), StartsWith("t.toml:1:1: unknown setting \"listen\"; did you mean \"gateway.listen\"?"));
  CHECK_THAT(problem("[unheard]"), StartsWith("t.toml:1:2: unknown setting \"unheard\""));
  CHECK_THAT(problem("[gateway.listen]\nport = 1"),
             StartsWith("t.toml:1:1: gateway.listen: got a table, expected ADDRESS:PORT"));
}

TEST_CASE("a wrong type or value is refused with what was expected", "[config]") {
  CHECK(problem("[gateway]\nio_threads = \"two\"") ==
        "t.toml:2:14: gateway.io_threads: got the string \"two\", expected an integer from 1 to 64");
  CHECK(problem("[gateway]\nio_threads = 65") ==
        "t.toml:2:14: gateway.io_threads: got 65, expected an integer from 1 to 64");
  CHECK_THAT(problem("[gateway]\nping_ms = 1.5"),
             Contains("got a floating-point number, expected a duration from 100ms to 1h"));
  CHECK_THAT(problem("[gateway]\nping_ms = \"1e9x\""), Contains("gateway.ping_ms: got \"1e9x\", expected a duration"));
  CHECK_THAT(problem("[gateway]\nlisten = \"127.0.0.1:70000\""), Contains("got \"127.0.0.1:70000\", expected ADDRESS:PORT"));
  CHECK_THAT(problem("[gateway]\nlisten = 8080"), Contains("got the integer 8080, expected ADDRESS:PORT"));
  CHECK_THAT(problem("[gateway]\nhost_names = \"a\""), Contains("got the string \"a\", expected an array of strings"));
  CHECK_THAT(problem("[gateway]\nhost_names = [\"a\", 1]"), Contains("got the integer 1, expected an array of strings"));
  CHECK_THAT(problem("[demo]\nenabled = 1"), Contains("got the integer 1, expected true or false"));
  CHECK_THAT(problem("[log]\nlevel = 2020-01-01"), Contains("got a date or time, expected \"debug\""));
  CHECK_THAT(problem("gateway = 1"), Contains("got the integer 1, expected the table [gateway]"));
  CHECK_THAT(problem("[[gateway]]\nio_threads = 1"), Contains("got an array, expected the table [gateway]"));
}

TEST_CASE("all wrong settings are found at once", "[config]") {
  CHECK(parse("[node]\nid = 0\nname = \"x\"\n[gateway]\nio_threads = true\n").problems.size() == 3);
}

TEST_CASE("broken syntax is refused with its place", "[config]") {
  CHECK_THAT(problem("[node]\nid = 1\nid = 2"), StartsWith("t.toml:3:"));
  CHECK_THAT(problem("[node]\nid = 1\n[node]\n"), StartsWith("t.toml:3:"));
  CHECK_THAT(problem("[node\nid = 1"), StartsWith("t.toml:1:"));
  CHECK_THAT(problem("[node]\nid = "), StartsWith("t.toml:2:"));
  CHECK_THAT(problem("[node]\ndata_dir = \"never closed"), StartsWith("t.toml:2:"));
  CHECK_THAT(problem("\xff\xfe[node]"), StartsWith("t.toml:1:"));
  CHECK_THAT(problem("[node]\ndata_dir = \"\xc3\x28\""), StartsWith("t.toml:2:"));
  CHECK(problem(std::string_view("[node]\nid\0 = 1", 13)) == "t.toml:2:3: a NUL byte: this is no text file");
  CHECK_THAT(problem("a = [tr\n]"), Contains("saw 'tr\\u000a'"));
  CHECK_THAT(problem("a = " + std::string(5000, '[')), StartsWith("t.toml:1:"));
}

TEST_CASE("syntax that the parser takes for impossible is refused with its line, too", "[config]") {
  // toml++ 3.3 has an assertion there (its pull request 301).
  CHECK(problem("[#node]\nid = 1\n") == "t.toml:1:1: broken syntax");
  CHECK(problem("[node]\nid = 1\n[[[a]]]\nx = 1\n") == "t.toml:3:1: broken syntax");
  CHECK(problem("[node]\nid = 1\n[=]") == "t.toml:3:1: broken syntax");
}

TEST_CASE("letters where there may be none are refused", "[config]") {
  // Undefined behaviour in toml++ 3.3 as it comes: the fuzzer found it.
  CHECK_THAT(problem("[node]\nid = 1 \xcd\x8c"), StartsWith("t.toml:2:"));
  CHECK_THAT(problem("\xc3\xa9 = 1"), StartsWith("t.toml:1:"));
  CHECK_THAT(problem("[node]\nid\xe2\x80\x83= 1"), StartsWith("t.toml:2:"));
  CHECK_THAT(problem("[n\xc3\xb6_]"), StartsWith("t.toml:1:"));
}

TEST_CASE("a line or a file that is too long is refused before it is parsed", "[config]") {
  CHECK_THAT(problem("[node]\ndata_dir = \"" + std::string(100'000, 'x') + "\""),
             StartsWith("t.toml:2:65536: the line is longer than 64KiB"));
  CHECK_THAT(problem(std::string((std::size_t{1} << 20) + 1, '\n')), Contains("larger than 1MiB"));
}

TEST_CASE("a file that cannot be read is refused with the reason", "[config]") {
  const test::TempDirectory folder;
  CHECK(read_toml_file(folder / "none.toml").problems.at(0) == (folder / "none.toml") + ": No such file or directory");
  CHECK(read_toml_file(folder.path()).problems.at(0) == folder.path() + ": Is a directory");
  std::ofstream(folder / "a.toml") << "[node]\nid = 4\n";
  CHECK(read_toml_file(folder / "a.toml").entries.at(0).value == SettingValue(std::int64_t{4}));
}
