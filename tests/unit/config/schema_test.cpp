#include "runtime/config/schema.hpp"

#include <set>

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::runtime;
using Catch::Matchers::Contains;

TEST_CASE("every setting is named once, explained, and its default is one of its values", "[config]") {
  const NodeConfig defaults;
  std::set<std::string_view> names;
  std::set<std::string_view> flags;
  for (const auto& setting : settings()) {
    INFO(setting.name);
    CHECK(names.insert(setting.name).second);
    CHECK((setting.flag.empty() || flags.insert(setting.flag).second));
    CHECK(setting.description.ends_with('.'));
    CHECK_FALSE(section_description(setting.section()).empty());
    const auto value = setting.get(defaults);
    CHECK(check_value(setting, value).has_value());
    const auto again = parse_value(setting, to_text(setting, value));
    REQUIRE(again);
    CHECK(*again == value);
  }
}

TEST_CASE("what is set is what is got, and nothing else changes", "[config]") {
  const NodeConfig defaults;
  for (const auto& setting : settings()) {
    INFO(setting.name);
    auto value = setting.get(defaults);
    switch (setting.kind) {
      case SettingKind::boolean: value = !std::get<bool>(value); break;
      case SettingKind::integer:
      case SettingKind::size:
      case SettingKind::duration: value = std::get<std::int64_t>(value) == setting.max ? setting.min : setting.max; break;
      case SettingKind::choice: value = (std::get<std::int64_t>(value) + 1) % std::int64_t(setting.choices.size()); break;
      case SettingKind::text:
      case SettingKind::maybe_text: value = std::string("other"); break;
      case SettingKind::text_list: value = std::vector<std::string>{"a", "b"}; break;
      case SettingKind::endpoint: value = Endpoint{"::1", 1}; break;
    }
    NodeConfig config;
    setting.set(config, value);
    CHECK(setting.get(config) == value);
    for (const auto& other : settings()) {
      if (&other != &setting) CHECK(other.get(config) == other.get(defaults));
    }
  }
}

TEST_CASE("every limit of the gateway is a setting", "[config]") {
  // All members of Limits are numbers of 8 bytes; the others of the section are not among them.
  const std::set<std::string_view> others = {"gateway.listen", "gateway.insecure_no_auth", "gateway.io_threads",
                                             "gateway.host_names", "gateway.allowed_origins"};
  std::size_t limits = 0;
  for (const auto& setting : settings()) {
    if (setting.section() == "gateway" && !others.contains(setting.name)) ++limits;
  }
  CHECK(limits == sizeof(http::Limits) / sizeof(Millis));
}

TEST_CASE("a value out of its range is refused with what would be right", "[config]") {
  const auto refused = [](std::string_view name, std::string_view text) {
    const auto value = parse_value(*find_setting(name), text);
    return value ? std::string("taken") : value.error().message;
  };
  CHECK(refused("gateway.io_threads", "0") == "got 0, expected an integer from 1 to 64");
  CHECK(refused("gateway.io_threads", "two") == "got \"two\", expected an integer from 1 to 64");
  CHECK(refused("gateway.ping_ms", "1e9x") ==
        "got \"1e9x\", expected a duration from 100ms to 1h, as a number of ms or with ms, s, m, h or d");
  CHECK_THAT(refused("gateway.body_bytes_max", "8MB"), Contains("got \"8MB\", expected a size from 1KiB to 1GiB"));
  CHECK(refused("demo.enabled", "yes") == "got \"yes\", expected true or false");
  CHECK(refused("log.format", "xml") == "got \"xml\", expected \"auto\", \"text\" or \"json\"");
  CHECK_THAT(refused("gateway.listen", "127.0.0.1:70000"), Contains("expected ADDRESS:PORT"));
  CHECK(refused("node.data_dir", "") == "got nothing, expected text");
  CHECK_THAT(refused("node.data_dir", std::string_view("a\0b", 3)), Contains("control characters"));
  CHECK_THAT(refused("gateway.host_names", "good.example,bad.example:80"), Contains("without port: \"bad.example\""));
}

TEST_CASE("lists outside files are divided by commas", "[config]") {
  const auto& setting = *find_setting("gateway.host_names");
  CHECK(parse_value(setting, "a.example, b.example").value() ==
        SettingValue(std::vector<std::string>{"a.example", "b.example"}));
  CHECK(parse_value(setting, "").value() == SettingValue(std::vector<std::string>{}));
  CHECK_FALSE(parse_value(setting, "a.example,,b.example"));
}

TEST_CASE("an unknown setting is answered with the one that was meant", "[config]") {
  CHECK(unknown_setting("gateway.lisen") == "unknown setting \"gateway.lisen\"; did you mean \"gateway.listen\"?");
  CHECK(unknown_setting("server.io_threads") ==
        "unknown setting \"server.io_threads\"; did you mean \"gateway.io_threads\"?");
  CHECK(unknown_setting("x") == "unknown setting \"x\"; `troupe config describe` lists them all");
  CHECK_THAT(unknown_setting(std::string(1000, 'y')), Contains("...\""));
}

TEST_CASE("every setting has a variable in the environment", "[config]") {
  CHECK(environment_name(*find_setting("gateway.listen")) == "TROUPE_GATEWAY__LISTEN");
  CHECK(environment_name(*find_setting("storage.open_files_max")) == "TROUPE_STORAGE__OPEN_FILES_MAX");
}
