#include <fstream>
#include <iterator>

#include <nlohmann/json.hpp>

#include "tests/integration/cli/process.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/temp_directory.hpp"

using namespace troupe::test;
using Catch::Matchers::Contains;
using Json = nlohmann::json;

namespace {

struct File {
  TempDirectory folder;
  std::string path = folder / "t.toml";
  explicit File(const std::string& content) { std::ofstream(path, std::ios::binary) << content; }
};

std::string content(const std::string& path) {
  std::ifstream file{std::string(TROUPE_SOURCE_DIR) + "/" + path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

/// A variable of the environment for the length of a test.
struct Variable {
  const char* name;
  Variable(const char* name_, const char* value) : name(name_) { ::setenv(name, value, 1); }
  ~Variable() { ::unsetenv(name); }
};

}  // namespace

TEST_CASE("a good configuration is ok, and its values can be seen with their sources", "[cli]") {
  const File file("[gateway]\nlisten = \"127.0.0.1:9000\"\n");
  CHECK(run_troupe({"config", "check"}).out == "ok\n");
  CHECK(run_troupe({"config", "check", "--config", file.path, "--json"}).out == "{\"ok\":true}\n");
  const Variable io_threads("TROUPE_GATEWAY__IO_THREADS", "3");
  const auto ran = run_troupe(
      {"config", "check", "--config", file.path, "--node-id", "7", "--set", "demo.enabled=true", "--effective", "--json"});
  CHECK(ran.exit_code == 0);
  std::map<std::string, std::pair<Json, std::string>> values;
  for (const auto& each : Json::parse(ran.out)) values[each["name"]] = {each["value"], each["source"]};
  CHECK(values["gateway.listen"] == std::pair<Json, std::string>("127.0.0.1:9000", file.path + ":2"));
  CHECK(values["gateway.io_threads"] == std::pair<Json, std::string>(3, "TROUPE_GATEWAY__IO_THREADS"));
  CHECK(values["node.id"] == std::pair<Json, std::string>(7, "--node-id"));
  CHECK(values["demo.enabled"] == std::pair<Json, std::string>(true, "--set"));
  CHECK(values["storage.commit_file_bytes"] == std::pair<Json, std::string>(134'217'728, "default"));
}

TEST_CASE("each problem of a configuration is one line, and the exit code is 2", "[cli]") {
  const File file("[gateway]\nlisen = \"x\"\nio_threads = \"two\"\n");
  const auto ran = run_troupe({"config", "check", "--config", file.path, "--set", "node.id=0"});
  CHECK(ran.exit_code == 2);
  CHECK(ran.out.empty());
  CHECK(ran.err == "troupe: " + file.path + ":2:1: unknown setting \"gateway.lisen\"; did you mean \"gateway.listen\"?\n" +
                       "troupe: " + file.path +
                       ":3:14: gateway.io_threads: got the string \"two\", expected an integer from 1 to 64\n" +
                       "troupe: --set node.id: got 0, expected an integer from 1 to 2147483647\n");
}

TEST_CASE("serve refuses what check refuses", "[cli]") {
  const File unknown("htpp.port = 1\n");
  for (const auto& [arguments, why] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--config", unknown.path}, "unknown setting \"htpp.port\""},
           {{"--config", unknown.folder / "none.toml"}, "No such file or directory"},
           {{"--config", "/dev/zero"}, "larger than 1MiB"},
           {{"--http", "0.0.0.0:8080"}, "`insecure_no_auth = true` under [gateway]"},
           {{"--http", "127.0.0.1:70000"}, "--http: got \"127.0.0.1:70000\", expected ADDRESS:PORT"},
           {{"--set", "gateway.io_threds=1"}, "did you mean \"gateway.io_threads\"?"},
           {{"--set", "gateway.io_threads"}, "got \"\", expected an integer"},
           {{"--kafka", "127.0.0.1:9092"}, "has no Kafka port yet"},
           {{"--voters", "1@127.0.0.1:9071"}, "cluster.listen is not"},
           {{"--cluster", "0.0.0.0:9071"}, "give the node TLS"},
           {{"--cluster", "127.0.0.1:9071", "--join", "127.0.0.1"}, "expected HOST:PORT"},
           {{"--htpp", "127.0.0.1:1"}, "did you mean \"--http\"?"},
           {{"extra"}, "unexpected argument \"extra\""}}) {
    auto all = arguments;
    all.insert(all.begin(), "serve");
    const auto ran = run_troupe(all);
    CHECK(ran.exit_code == 2);
    CHECK(ran.out.empty());
    CHECK_THAT(ran.err, Contains(why));
    CHECK(std::count(ran.err.begin(), ran.err.end(), '\n') == 1);
  }
}

TEST_CASE("a variable that is no setting is warned of", "[cli]") {
  const Variable wrong("TROUPE_NODE__IDD", "7");
  const auto ran = run_troupe({"config", "check"});
  CHECK(ran.exit_code == 0);
  CHECK_THAT(ran.err, Contains("warning: the environment variable \"TROUPE_NODE__IDD\"") &&
                          Contains("did you mean TROUPE_NODE__ID?"));
}

TEST_CASE("the default file is printed as it is kept", "[cli]") {
  CHECK(run_troupe({"config", "default"}).out == content("configs/single.toml"));
  CHECK(run_troupe({"config", "describe", "--markdown"}).out == content("docs/configuration.md"));
  CHECK(run_troupe({"config", "check", "--config", std::string(TROUPE_SOURCE_DIR) + "/configs/single.toml"}).exit_code == 0);
}

TEST_CASE("a setting is explained", "[cli]") {
  CHECK_THAT(run_troupe({"config", "describe", "gateway.listen"}).out,
             Contains("TROUPE_GATEWAY__LISTEN") && Contains("--http"));
  const auto one = Json::parse(run_troupe({"config", "describe", "gateway.ping_ms", "--json"}).out);
  CHECK(one["default"] == 25'000);
  CHECK(one["kind"] == "duration");
  CHECK(Json::parse(run_troupe({"config", "describe", "--json"}).out).size() > 50);
  const auto unknown = run_troupe({"config", "describe", "gateway.lisen"});
  CHECK(unknown.exit_code == 3);
  CHECK_THAT(unknown.err, Contains("did you mean \"gateway.listen\"?"));
}

TEST_CASE("what is mistyped is answered with what was meant", "[cli]") {
  for (const auto& [arguments, why] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{}, "troupe: a command is missing; `troupe --help` lists them\n"},
           {{"topic"}, "troupe: a command is missing; `troupe topic --help` lists them\n"},
           {{"srve"}, "troupe: unknown command \"srve\"; did you mean \"serve\"?\n"},
           {{"topic", "lst"}, "troupe: unknown command \"lst\"; did you mean \"list\"?\n"},
           {{"topic", "list", "--jsn"}, "troupe: unknown option \"--jsn\"; did you mean \"--json\"?\n"},
           {{"xyzzy"}, "troupe: unknown command \"xyzzy\"; `troupe --help` lists them\n"},
           {{"version", "x"}, "troupe: unexpected argument \"x\"; `troupe version --help` lists the options\n"}}) {
    const auto ran = run_troupe(arguments);
    CHECK(ran.exit_code == 2);
    CHECK(ran.err == why);
  }
}

TEST_CASE("every command has a help with an example", "[cli]") {
  for (const auto& command : std::vector<std::vector<std::string>>{{"serve"},
                                                                   {"config", "check"},
                                                                   {"config", "default"},
                                                                   {"config", "describe"},
                                                                   {"topic", "create"},
                                                                   {"topic", "list"},
                                                                   {"topic", "describe"},
                                                                   {"topic", "alter"},
                                                                   {"topic", "delete"},
                                                                   {"produce"},
                                                                   {"consume"},
                                                                   {"group", "describe"},
                                                                   {"group", "pause"},
                                                                   {"cluster", "status"},
                                                                   {"actor", "tree"}}) {
    auto arguments = command;
    arguments.emplace_back("--help");
    const auto ran = run_troupe(arguments);
    CHECK(ran.exit_code == 0);
    CHECK_THAT(ran.out, (Contains("Example: ") || Contains("Examples: ")) && Contains("troupe " + command[0]));
  }
}
