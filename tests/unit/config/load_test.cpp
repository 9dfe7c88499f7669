#include "runtime/config/load.hpp"

#include <fstream>

#include "tests/support/catch.hpp"
#include "tests/support/temp_directory.hpp"

using namespace troupe;
using namespace troupe::runtime;
using Catch::Matchers::Contains;

namespace {

std::string source_of(const LoadedConfig& loaded, std::string_view name) {
  for (const auto& origin : loaded.origins) {
    if (origin.setting->name == name) return origin.source;
  }
  return "no such setting";
}

std::string only(const std::vector<std::string>& lines) {
  return lines.size() == 1 ? lines[0] : std::to_string(lines.size()) + " lines";
}

}  // namespace

TEST_CASE("flags are stronger than the environment, that than the file, that than the defaults", "[config]") {
  const test::TempDirectory folder;
  std::ofstream(folder / "t.toml") << "[node]\nid = 2\n[gateway]\nio_threads = 2\nlisten = \"127.0.0.1:2\"\n";
  const auto loaded =
      load_config({.file = folder / "t.toml",
                   .environment = {{"TROUPE_NODE__ID", "3"}, {"TROUPE_GATEWAY__IO_THREADS", "3"}, {"HOME", "x"}},
                   .flags = {{"--set", "node.id", "9"}, {"--node-id", "node.id", "4"}}});
  REQUIRE(loaded.problems.empty());
  CHECK(loaded.warnings.empty());
  CHECK(loaded.config.node_id == 4);
  CHECK(loaded.config.gateway.io_threads == 3);
  CHECK(loaded.config.gateway.port == 2);
  CHECK(loaded.config.readers == 2);
  CHECK(source_of(loaded, "node.id") == "--node-id");
  CHECK(source_of(loaded, "gateway.io_threads") == "TROUPE_GATEWAY__IO_THREADS");
  CHECK(source_of(loaded, "gateway.listen") == (folder / "t.toml") + ":5");
  CHECK(source_of(loaded, "storage.readers") == "default");
}

TEST_CASE("a wrong value is refused with where it came from", "[config]") {
  CHECK(only(load_config({.environment = {{"TROUPE_GATEWAY__IO_THREADS", "many"}}}).problems) ==
        "TROUPE_GATEWAY__IO_THREADS: got \"many\", expected an integer from 1 to 64");
  CHECK(only(load_config({.flags = {{"--node-id", "node.id", "0"}}}).problems) ==
        "--node-id: got 0, expected an integer from 1 to 2147483647");
  CHECK(only(load_config({.flags = {{"--set", "storage.readers", "0"}}}).problems) ==
        "--set storage.readers: got 0, expected an integer from 1 to 64");
  CHECK(only(load_config({.flags = {{"--set", "storage.reader", "1"}}}).problems) ==
        "--set: unknown setting \"storage.reader\"; did you mean \"storage.readers\"?");
}

TEST_CASE("an unknown variable of ours is warned of and passed over", "[config]") {
  const auto loaded = load_config({.environment = {{"TROUPE_GATEWAY__LISTN", "127.0.0.1:1"}, {"TROUPE_URL", "http://x"}}});
  CHECK(loaded.problems.empty());
  CHECK(only(loaded.warnings) ==
        "the environment variable \"TROUPE_GATEWAY__LISTN\" is no setting and is passed over; did you mean "
        "TROUPE_GATEWAY__LISTEN?");
}

TEST_CASE("an address that others reach is refused until somebody says that he means it", "[config]") {
  const ConfigSources::Flag everywhere{"--http", "gateway.listen", "0.0.0.0:8080"};
  CHECK_THAT(only(load_config({.flags = {everywhere}}).problems),
             Contains("\"0.0.0.0:8080\"") && Contains("`insecure_no_auth = true` under [gateway]"));
  CHECK(load_config({.flags = {everywhere, {"--insecure-no-auth", "gateway.insecure_no_auth", "true"}}}).problems.empty());
  CHECK_FALSE(load_config({.flags = {{"--http", "gateway.listen", "[::]:80"}}}).problems.empty());
  CHECK(load_config({.flags = {{"--http", "gateway.listen", "[::1]:80"}}}).problems.empty());
}

TEST_CASE("limits that contradict each other are refused", "[config]") {
  CHECK(only(load_config({.flags = {{"--set", "gateway.body_bytes_max", "64KiB"}}}).problems) ==
        "gateway.record_bytes_max (1MiB) is above gateway.body_bytes_max (64KiB): lower the first or raise the second");
  CHECK(only(load_config({.flags = {{"--set", "memory.produce_bytes_max", "1MiB"}}}).problems) ==
        "gateway.body_bytes_max (8MiB) is above memory.produce_bytes_max (1MiB): lower the first or raise the second");
}

TEST_CASE("settings of the cluster that do not fit together are refused in a sentence each", "[config]") {
  const auto problems = [](std::vector<std::pair<std::string, std::string>> set) {
    ConfigSources sources;
    for (auto& [name, value] : set) sources.flags.push_back({"--set", name, value});
    return load_config(sources).problems;
  };
  const std::string three = "1@127.0.0.1:9071,2@127.0.0.1:9072,3@[::1]:9073";
  CHECK(problems({{"cluster.listen", "127.0.0.1:9071"}, {"cluster.voters", three}}).empty());
  CHECK(
      problems({{"cluster.listen", "127.0.0.1:0"}, {"cluster.join", "node-2.example:9072"}, {"cluster.rack", "a"}}).empty());
  CHECK_THAT(only(problems({{"cluster.voters", three}})), Contains("cluster.listen is not"));
  CHECK_THAT(only(problems({{"cluster.listen", "127.0.0.1:9071"}, {"cluster.voters", three}, {"cluster.join", "a:1"}})),
             Contains("both set"));
  CHECK_THAT(only(problems({{"cluster.listen", "0.0.0.0:9071"}})),
             Contains("cluster.listen is at 0.0.0.0") && Contains("cluster.tls.certificate"));
  CHECK(problems({{"cluster.listen", "0.0.0.0:9071"},
                  {"cluster.tls.certificate", "node.pem"},
                  {"cluster.tls.key", "node.key"},
                  {"cluster.tls.authority", "ca.pem"}})
            .empty());
  CHECK_THAT(only(problems({{"cluster.listen", "127.0.0.1:9071"}, {"cluster.tls.key", "node.key"}})),
             Contains("one is missing"));
  CHECK_THAT(only(problems({{"cluster.listen", "127.0.0.1:9079"}, {"cluster.voters", three}})), Contains("at port 9071"));
  CHECK_THAT(only(problems({{"cluster.listen", "127.0.0.1:1"}, {"cluster.voters", "1@a:1,2@b:1,2@c:1"}})),
             Contains("names node 2 twice"));
  for (const std::string wrong :
       {"127.0.0.1:9071", "0@127.0.0.1:1", "1@127.0.0.1", "1@127.0.0.1:0", "x@a:1", "1@:1", "1@a b:1"}) {
    INFO(wrong);
    CHECK_THAT(only(problems({{"cluster.listen", "127.0.0.1:1"}, {"cluster.voters", wrong}})), Contains("1@127.0.0.1:9071"));
  }
  CHECK_THAT(only(problems({{"cluster.listen", "here"}})), Contains("ADDRESS:PORT"));
  CHECK_THAT(only(problems({{"cluster.listen", "127.0.0.1:1"}, {"cluster.join", "127.0.0.1"}})), Contains("HOST:PORT"));
  CHECK_THAT(only(problems({{"cluster.rack", "a b"}})), Contains("letters"));
}
