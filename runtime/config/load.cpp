#include "runtime/config/load.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/nearest_name.hpp"
#include "runtime/config/checks.hpp"
#include "runtime/config/toml_file.hpp"
#include "runtime/config/value_text.hpp"

namespace troupe::runtime {
namespace {

constexpr std::string_view environment_prefix = "TROUPE_";
/// Of the commands that speak to a node, and of the tests.
constexpr std::array<std::string_view, 2> other_variables = {"TROUPE_URL", "TROUPE_SEED"};

struct Loader {
  LoadedConfig loaded = {};

  void use(const Setting& setting, const SettingValue& value, std::string source) {
    setting.set(loaded.config, value);
    loaded.origins[static_cast<std::size_t>(&setting - settings().data())].source = std::move(source);
  }

  void use_text(const Setting& setting, const std::string& text, const std::string& source, const std::string& what) {
    auto value = parse_value(setting, text);
    if (value) {
      use(setting, *value, source);
    } else {
      loaded.problems.push_back(what + ": " + value.error().message);
    }
  }

  void use_file(const std::string& path) {
    auto file = read_toml_file(path);
    for (auto& entry : file.entries) use(*entry.setting, entry.value, std::move(entry.where));
    loaded.problems = std::move(file.problems);
  }

  void use_environment(const std::vector<std::pair<std::string, std::string>>& environment) {
    std::vector<std::string> names;
    for (const auto& setting : settings()) names.push_back(environment_name(setting));
    for (const auto& [name, text] : environment) {
      if (!name.starts_with(environment_prefix)) continue;
      const auto found = std::find(names.begin(), names.end(), name);
      if (found != names.end()) {
        use_text(settings()[static_cast<std::size_t>(found - names.begin())], text, name, name);
      } else if (std::find(other_variables.begin(), other_variables.end(), name) == other_variables.end()) {
        warn_of(name, {names.begin(), names.end()});
      }
    }
  }

  void warn_of(const std::string& name, const std::vector<std::string_view>& known) {
    const auto near = nearest_name(name, known);
    loaded.warnings.push_back("the environment variable " + quote(name) + " is no setting and is passed over" +
                              (near ? "; did you mean " + std::string(*near) + "?" : ""));
  }

  void use_flag(const ConfigSources::Flag& flag) {
    const bool set = flag.spelling == "--set";
    const auto* setting = find_setting(flag.name);
    if (setting == nullptr) {
      loaded.problems.push_back(flag.spelling + ": " + unknown_setting(flag.name));
    } else {
      use_text(*setting, flag.value, set ? "--set" : flag.spelling, set ? "--set " + flag.name : flag.spelling);
    }
  }
};

}  // namespace

LoadedConfig load_config(const ConfigSources& sources) {
  Loader loader;
  for (const auto& setting : settings()) loader.loaded.origins.push_back({&setting, "default"});
  if (sources.file) loader.use_file(*sources.file);
  loader.use_environment(sources.environment);
  for (const auto& flag : sources.flags) loader.use_flag(flag);
  // What was refused is not there to be compared.
  if (loader.loaded.problems.empty()) loader.loaded.problems = broken_relations(loader.loaded.config);
  return std::move(loader.loaded);
}

std::vector<std::pair<std::string, std::string>> process_environment() {
  std::vector<std::pair<std::string, std::string>> all;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals != std::string_view::npos) all.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return all;
}

}  // namespace troupe::runtime
