#include "runtime/config/describe.hpp"

#include <fstream>
#include <iterator>

#include "runtime/config/load.hpp"
#include "runtime/config/toml_file.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::runtime;

namespace {

std::string content(const std::string& path) {
  std::ifstream file{std::string(TROUPE_SOURCE_DIR) + "/" + path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

}  // namespace

TEST_CASE("configs/single.toml is the default file: `troupe config default` writes it anew", "[config]") {
  CHECK(content("configs/single.toml") == default_toml());
}

TEST_CASE("docs/configuration.md is as the table says: `troupe config describe --markdown` writes it anew", "[config]") {
  CHECK(content("docs/configuration.md") == configuration_page());
}

TEST_CASE("the default file sets every setting to its default", "[config]") {
  const auto file = parse_toml(default_toml(), "single.toml");
  CHECK(file.problems.empty());
  CHECK(file.entries.size() == settings().size());
  const NodeConfig defaults;
  for (const auto& entry : file.entries) {
    INFO(entry.setting->name);
    CHECK(entry.value == entry.setting->get(defaults));
  }
}

TEST_CASE("values survive being written to a file", "[config]") {
  const auto& origins = *find_setting("gateway.allowed_origins");
  const SettingValue value = std::vector<std::string>{"https://a.example", "http://localhost:3000"};
  const auto file = parse_toml("[gateway]\nallowed_origins = " + to_toml(origins, value), "t.toml");
  REQUIRE(file.entries.size() == 1);
  CHECK(file.entries[0].value == value);

  const auto& directory = *find_setting("node.data_dir");
  const SettingValue odd = std::string("a \"quoted\\ n\xc3\xa4me") + std::string(300, 'x');
  const auto again = parse_toml("[node]\ndata_dir = " + to_toml(directory, odd), "t.toml");
  REQUIRE(again.entries.size() == 1);
  CHECK(again.entries[0].value == odd);
}
