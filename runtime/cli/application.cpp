#include "runtime/cli/application.hpp"

#include <csignal>
#include <cstdio>
#include <exception>
#include <limits>
#include <string_view>

#include <CLI/CLI.hpp>

#include "base/log.hpp"
#include "base/nearest_name.hpp"
#include "runtime/cli/client_commands.hpp"
#include "runtime/cli/config_commands.hpp"
#include "runtime/cli/dump_log.hpp"
#include "runtime/cli/number_option.hpp"
#include "runtime/cli/output.hpp"
#include "runtime/cli/verify_log.hpp"
#include "runtime/cli/version.hpp"
#include "runtime/config/value_text.hpp"

namespace troupe::cli {
namespace {

constexpr const char* exit_codes =
    "Exit codes: 0 clean; 1 damage was found, or the command failed; 2 wrong usage; 3 no such path.";

/// "troupe topic": the command as far as it was understood.
std::string spelling(const CLI::App& command) {
  const auto* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : spelling(*parent) + " " + command.get_name();
}

/// What the parser says of a value that is no number, in our words: "Could not convert: --partitions = x".
std::string value_problem(const std::string& said) {
  constexpr std::string_view prefix = "Could not convert: ";
  const auto equals = said.find(" = ");
  if (!said.starts_with(prefix) || equals == std::string::npos) return said;
  return said.substr(prefix.size(), equals - prefix.size()) + ": a number is wanted, not " +
         runtime::quote(said.substr(equals + 3));
}

/// One line: what is wrong with the arguments, what was probably meant, where to look.
std::string usage_problem(const CLI::App& app, const CLI::ParseError& error) {
  const CLI::App* command = &app;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  const auto help = "; `" + spelling(*command) + " --help` lists ";
  const auto unknown = app.remaining(true);
  if (unknown.empty()) {
    const bool no_command =
        dynamic_cast<const CLI::RequiredError*>(&error) != nullptr && !command->get_subcommands({}).empty();
    if (no_command) return "a command is missing" + help + "them";
    return value_problem(error.what()) + help + "the options";
  }
  // The parser says what is missing, not what it could not make sense of.
  std::vector<std::string> known;
  const bool option = unknown.front().starts_with('-');
  if (option) {
    for (const auto* each : command->get_options()) known.push_back(each->get_name());
  } else {
    for (const auto* each : command->get_subcommands({})) known.push_back(each->get_name());
  }
  const auto what = std::string(option          ? "unknown option "
                                : known.empty() ? "unexpected argument "
                                                : "unknown command ") +
                    runtime::quote(unknown.front());
  const auto near = nearest_name(unknown.front(), std::vector<std::string_view>(known.begin(), known.end()));
  if (near) return what + "; did you mean \"" + std::string(*near) + "\"?";
  return what + help + (option || known.empty() ? "the options" : "them");
}

int run_command(int argc, char** argv) {
  CLI::App app{"Troupe, an event streaming runtime"};
  app.name("troupe");
  app.require_subcommand(1);
  int exit_code = exit_ok;

  app.set_version_flag("-V,--version", version_text(), "Say which version this is");

  bool json = false;
  auto* version = app.add_subcommand("version", "Say which version this is");
  version->add_flag("--json", json, "One JSON object");
  version->callback([&] { exit_code = print_version(json); });

  auto* debug = app.add_subcommand("debug", "Look into files of a log; nothing is ever changed");
  debug->require_subcommand(1);

  DumpOptions dump_options;
  std::int64_t from = 0;
  std::int64_t to = 0;
  auto* dump = debug->add_subcommand("dump-log", "Print what the files of a log hold, damaged places included");
  dump->add_option(
          "PATH", dump_options.paths,
          "A .log, .index, .state or .commit file, a manifest, a checkpoint, a partition directory or a data directory")
      ->required();
  dump->add_flag("-r,--records", dump_options.records, "Print the records of each batch, too");
  auto* from_option = dump->add_option("--from", from, "First offset to print")
                          ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()));
  auto* to_option = dump->add_option("--to", to, "Print offsets below this one")
                        ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()));
  dump->add_flag("--json", dump_options.json, "One JSON object a line");
  dump->footer(exit_codes);
  dump->callback([&] {
    if (*from_option) dump_options.from = Offset{from};
    if (*to_option) dump_options.to = Offset{to};
    exit_code = dump_log(dump_options);
  });

  VerifyOptions verify_options;
  auto* verify = debug->add_subcommand("verify-log", "Check every byte of a partition directory or a data directory");
  verify->add_option("PATH", verify_options.paths, "A partition directory or a data directory")->required();
  verify->add_flag("--json", verify_options.json, "One JSON object a line");
  verify->footer(exit_codes);
  verify->callback([&] { exit_code = verify_log(verify_options); });

  add_serve_command(app, exit_code);
  add_client_commands(app, exit_code);
  add_config_commands(app, exit_code);

  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {
    app.exit(request);  // --help
  } catch (const CLI::ParseError& error) {
    return complain(usage_problem(app, error), exit_usage);
  }
  return exit_code;
}

}  // namespace

int run(int argc, char** argv) {
  // A reader that has seen enough (`| head`) ends the command, not a signal.
  std::signal(SIGPIPE, SIG_IGN);
  // Findings are printed as findings; the same as log lines would be noise.
  log::configure(log::Level::off, log::Format::text);
  try {
    return run_command(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "troupe: %s\n", error.what());
    return exit_failed;
  }
}

}  // namespace troupe::cli
