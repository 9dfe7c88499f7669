#include "runtime/config/describe.hpp"

#include <string_view>

#include "runtime/config/schema.hpp"

namespace troupe::runtime {
namespace {

/// For a reader who knows the default already: "10ms to 1h", `"a" or "b"`.
std::string range(const Setting& setting) {
  switch (setting.kind) {
    case SettingKind::integer:
    case SettingKind::size:
    case SettingKind::duration: return to_text(setting, setting.min) + " to " + to_text(setting, setting.max);
    case SettingKind::endpoint: return "ADDRESS:PORT";
    default: return expected(setting);
  }
}

std::string other_forms(const Setting& setting) {
  const auto flag = setting.flag.empty() ? "" : ", flag " + std::string(setting.flag);
  return environment_name(setting) + flag;
}

}  // namespace

std::string default_toml() {
  std::string out =
      "# One node on this machine, with every setting at its default. An empty file means the same: keep what you change.\n"
      "#\n"
      "# A flag of `troupe serve` is stronger than the environment, the environment stronger than this file. Sizes are "
      "numbers of\n"
      "# bytes or \"64MiB\", durations numbers of ms or \"5s\". `troupe config check --config FILE` tells what is wrong "
      "with a file.\n";
  const NodeConfig defaults;
  std::string_view section;
  for (const auto& setting : settings()) {
    if (setting.section() != section) {
      section = setting.section();
      out += "\n# " + std::string(section_description(section)) + "\n[" + std::string(section) + "]\n";
    }
    out += "\n# " + std::string(setting.description) + "\n";
    out += "# " + range(setting) + "; " + other_forms(setting) + "\n";
    out += std::string(setting.key()) + " = " + to_toml(setting, setting.get(defaults)) + "\n";
  }
  return out;
}

std::string configuration_page() {
  std::string out =
      "# Configuration\n\n"
      "Every setting of a node. This page is printed by `troupe config describe --markdown`, from the table in\n"
      "runtime/config/schema.cpp.\n\n"
      "A node needs no configuration. A setting is given in a TOML file (`troupe serve --config FILE`), in the environment, "
      "or as a\n"
      "flag (`--http 127.0.0.1:9000`, or `--set gateway.io_threads=2` for what has no flag of its own). Flags are stronger "
      "than the\n"
      "environment, the environment is stronger than the file. Sizes are numbers of bytes or `64MiB`, durations numbers of\n"
      "milliseconds or `5s`; outside files, lists are written `a,b`.\n\n"
      "```toml\n"
      "[gateway]\n"
      "listen = \"127.0.0.1:9000\"    # or TROUPE_GATEWAY__LISTEN=127.0.0.1:9000, or --http 127.0.0.1:9000\n"
      "```\n\n"
      "An unknown setting, a wrong type or a value out of its range stops the start with exit code 2; the message names "
      "file, line,\n"
      "what was expected and the nearest known name. `troupe config check` says the same without starting,\n"
      "`troupe config default` prints a file to begin with ([configs/single.toml](../configs/single.toml)).\n";
  const NodeConfig defaults;
  std::string_view section;
  for (const auto& setting : settings()) {
    if (setting.section() != section) {
      section = setting.section();
      out += "\n## " + std::string(section) + "\n\n" + std::string(section_description(section)) +
             "\n\n| Setting | Default | Range | Meaning |\n| --- | --- | --- | --- |\n";
    }
    const auto flag = setting.flag.empty() ? "" : " (`" + std::string(setting.flag) + "`)";
    out += "| `" + std::string(setting.name) + "`" + flag + " | `" + to_toml(setting, setting.get(defaults)) + "` | " +
           range(setting) + " | " + std::string(setting.description) + " |\n";
  }
  return out;
}

}  // namespace troupe::runtime
