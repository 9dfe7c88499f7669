#include "runtime/cli/config_commands.hpp"

#include <memory>
#include <optional>

#include <CLI/CLI.hpp>

#include "runtime/cli/node_flags.hpp"
#include "runtime/cli/output.hpp"
#include "runtime/cli/table.hpp"
#include "runtime/cli/version.hpp"
#include "runtime/config/describe.hpp"
#include "runtime/config/schema.hpp"
#include "runtime/node/serve.hpp"

namespace troupe::cli {
namespace {

using runtime::LoadedConfig;
using runtime::Setting;
using runtime::SettingKind;

/// A value as JSON has it; sizes and durations as numbers.
Json to_json(const Setting& setting, const runtime::SettingValue& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  if (const auto* strings = std::get_if<std::vector<std::string>>(&value)) return *strings;
  const auto* number = std::get_if<std::int64_t>(&value);
  if (number != nullptr && setting.kind != SettingKind::choice) return *number;
  return to_text(setting, value);
}

int print_problems(const LoadedConfig& loaded) {
  for (const auto& warning : loaded.warnings) complain("warning: " + warning);
  for (const auto& problem : loaded.problems) complain(problem);
  return loaded.problems.empty() ? exit_ok : exit_usage;
}

int print_effective(const LoadedConfig& loaded, bool json) {
  Output out{json};
  if (json) {
    auto all = Json::array();
    for (const auto& [setting, source] : loaded.origins) {
      all.push_back(
          {{"name", setting->name}, {"value", to_json(*setting, setting->get(loaded.config))}, {"source", source}});
    }
    out.print(all);
  } else {
    Table table({"SETTING", "VALUE", "SOURCE"});
    for (const auto& [setting, source] : loaded.origins) {
      table.add({std::string(setting->name), to_toml(*setting, setting->get(loaded.config)), source});
    }
    table.print(out);
  }
  return out.finish() ? exit_ok : exit_failed;
}

int check_config(const NodeFlags& flags, bool effective, bool json) {
  const auto loaded = load_config(flags.sources());
  if (const int wrong = print_problems(loaded); wrong != exit_ok) return wrong;
  if (effective) return print_effective(loaded, json);
  Output out{json};
  json ? out.print(Json{{"ok", true}}) : out.line("ok");
  return out.finish() ? exit_ok : exit_failed;
}

int print_text(std::string_view text) {
  Output out{false};
  if (text.ends_with('\n')) text.remove_suffix(1);
  out.line(text);
  return out.finish() ? exit_ok : exit_failed;
}

Json describe_one(const Setting& setting) {
  static constexpr std::string_view kinds[] = {"boolean",    "integer",   "size",     "duration", "text",
                                               "maybe_text", "text_list", "endpoint", "choice"};
  Json object{{"name", setting.name},
              {"kind", kinds[static_cast<std::size_t>(setting.kind)]},
              {"default", to_json(setting, setting.get(runtime::NodeConfig{}))}};
  const bool number =
      setting.kind == SettingKind::integer || setting.kind == SettingKind::size || setting.kind == SettingKind::duration;
  if (number) {
    object["min"] = setting.min;
    object["max"] = setting.max;
  }
  if (!setting.choices.empty()) object["choices"] = setting.choices;
  object["environment"] = environment_name(setting);
  object["flag"] = setting.flag.empty() ? Json(nullptr) : Json(setting.flag);
  object["description"] = setting.description;
  return object;
}

int describe_config(const std::string& name, bool json) {
  const auto* one = name.empty() ? nullptr : runtime::find_setting(name);
  if (!name.empty() && one == nullptr) return complain(runtime::unknown_setting(name), exit_not_found);
  Output out{json};
  if (json && one != nullptr) {
    out.print(describe_one(*one));
  } else if (json) {
    auto all = Json::array();
    for (const auto& setting : runtime::settings()) all.push_back(describe_one(setting));
    out.print(all);
  } else if (one != nullptr) {
    out.line(std::string(one->name) + ": " + std::string(one->description));
    out.line("  default      " + to_toml(*one, one->get(runtime::NodeConfig{})));
    out.line("  value        " + expected(*one));
    out.line("  environment  " + environment_name(*one));
    out.line("  flag         " +
             (one->flag.empty() ? "--set " + std::string(one->name) + "=VALUE" : std::string(one->flag)));
  } else {
    Table table({"SETTING", "DEFAULT", "MEANING"});
    for (const auto& setting : runtime::settings()) {
      table.add({std::string(setting.name), to_toml(setting, setting.get(runtime::NodeConfig{})),
                 std::string(setting.description)});
    }
    table.print(out);
  }
  return out.finish() ? exit_ok : exit_failed;
}

}  // namespace

void add_config_commands(CLI::App& app, int& exit_code) {
  auto* config = app.add_subcommand("config", "Look at the settings of a node");
  config->require_subcommand(1);

  struct Options {
    NodeFlags flags;
    bool effective = false;
    bool json = false;
    bool markdown = false;
    std::string name;
  };
  const auto options = std::make_shared<Options>();

  auto* check =
      config->add_subcommand("check", "Say what is wrong with a configuration, as `troupe serve` would be given it");
  options->flags.add_to(*check);
  check->add_flag("--effective", options->effective, "Print every setting with its value and where that came from");
  check->add_flag("--json", options->json, "One JSON document");
  check->footer(
      "Example: troupe config check --config configs/single.toml --effective\nExit codes: 0 good; 2 something is wrong.");
  check->callback([options, &exit_code] { exit_code = check_config(options->flags, options->effective, options->json); });

  auto* print = config->add_subcommand("default", "Print a whole file with every setting at its default, explained");
  print->footer("Example: troupe config default > troupe.toml");
  print->callback([&exit_code] { exit_code = print_text(runtime::default_toml()); });

  auto* describe = config->add_subcommand("describe", "Explain the settings, or one of them");
  describe->add_option("NAME", options->name, "For instance gateway.listen");
  describe->add_flag("--json", options->json, "One JSON document");
  describe->add_flag("--markdown", options->markdown, "The page docs/configuration.md");
  describe->footer("Example: troupe config describe gateway.listen\nExit codes: 0 ok; 3 no such setting.");
  describe->callback([options, &exit_code] {
    exit_code =
        options->markdown ? print_text(runtime::configuration_page()) : describe_config(options->name, options->json);
  });
}

void add_serve_command(CLI::App& app, int& exit_code) {
  auto* serve = app.add_subcommand("serve", "Run a node");
  const auto flags = std::make_shared<NodeFlags>();
  flags->add_to(*serve);
  serve->footer(
      "Flags are stronger than TROUPE_... in the environment, that is stronger than the file.\n"
      "Example: troupe serve --data-dir ./data --http 127.0.0.1:9000 --set topics.default_partitions=4\n"
      "Exit codes: 0 stopped when asked to; 1 could not start or had to give up; 2 wrong usage or configuration.");
  serve->callback([flags, &exit_code] { exit_code = runtime::serve(load_config(flags->sources()), version_number()); });
}

}  // namespace troupe::cli
