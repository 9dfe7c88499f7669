#include "runtime/cli/node_flags.hpp"

#include <algorithm>

#include <CLI/CLI.hpp>

namespace troupe::cli {
namespace {

std::string value_name(const runtime::Setting& setting) {
  switch (setting.kind) {
    case runtime::SettingKind::endpoint: return "ADDRESS:PORT";
    case runtime::SettingKind::integer: return "N";
    default: return "TEXT";
  }
}

}  // namespace

void NodeFlags::add_to(CLI::App& command) {
  command.add_option("--config", file_, "Settings from this TOML file (`troupe config default` prints one)")
      ->type_name("FILE");
  for (const auto& setting : runtime::settings()) {
    if (setting.flag.empty()) continue;
    const auto flag = std::string(setting.flag);
    const auto description = std::string(setting.description);
    if (setting.kind == runtime::SettingKind::boolean) {
      command.add_flag_callback(
          flag,
          [this, &setting, flag] {
            flags_.push_back({flag, std::string(setting.name), "true"});
          },
          description);
    } else {
      command
          .add_option_function<std::string>(
              flag,
              [this, &setting, flag](const std::string& value) {
                flags_.push_back({flag, std::string(setting.name), value});
              },
              description)
          ->type_name(value_name(setting));
    }
  }
  command.add_option("--set", sets_, "Any setting, as NAME=VALUE; may be repeated")
      ->type_name("NAME=VALUE")
      ->type_size(1)
      ->allow_extra_args(false);
  // Flags of nodes to come, so that they are answered and not puzzled over. `group("")` keeps them out of the help.
  for (const std::string flag : {"--kafka"}) {
    command
        .add_option_function<std::string>(
            flag, [flag](const std::string&) { throw CLI::ValidationError(flag, "this version has no Kafka port yet"); })
        ->group("");
  }
}

runtime::ConfigSources NodeFlags::sources() const {
  runtime::ConfigSources all{.file = file_, .environment = runtime::process_environment()};
  for (const auto& text : sets_) {
    const auto equals = std::min(text.find('='), text.size());
    all.flags.push_back({"--set", text.substr(0, equals), text.substr(std::min(text.size(), equals + 1))});
  }
  all.flags.insert(all.flags.end(), flags_.begin(), flags_.end());
  return all;
}

}  // namespace troupe::cli
