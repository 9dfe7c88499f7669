#include "runtime/cli/group_app.hpp"

#include <limits>

#include "runtime/cli/command_group.hpp"
#include "runtime/cli/group_commands.hpp"
#include "runtime/cli/number_option.hpp"

namespace troupe::cli {
namespace {

std::shared_ptr<GroupOptions> add_named(CommandGroup& group, const char* name, const char* description,
                                        int (*run)(const GroupOptions&), const char* example,
                                        CLI::App** command_out = nullptr) {
  const auto options = std::make_shared<GroupOptions>();
  auto* command = group.add(name, description, run, example, options);
  command->add_option("GROUP", options->groups, "Names of groups")->required();
  if (command_out != nullptr) *command_out = command;
  return options;
}

void add_reset(CommandGroup& group) {
  const auto options = std::make_shared<GroupResetOptions>();
  auto* command =
      group.add("reset", "Set where a group goes on, also while it reads; shows what it would do, unless --execute",
                reset_group, "group reset billing --topic orders --to-earliest --execute", options);
  command->add_option("GROUP", options->group, "Name of the group")->required();
  command
      ->add_option("-t,--topic", options->topics,
                   "This topic, or these partitions of it; else all that the group has; may be repeated")
      ->type_name("TOPIC[:N,N]")
      ->allow_extra_args(false);
  command->add_flag("--to-earliest", options->to_earliest, "To the first record that there is");
  command->add_flag("--to-latest", options->to_latest, "To the end");
  command->add_flag("--to-current", options->to_current, "To where the group stands");
  command->add_option("--to-offset", options->to_offset, "To this offset")
      ->type_name("N")
      ->check(whole_number(0, std::numeric_limits<std::int64_t>::max()));
  command
      ->add_option("--to-datetime", options->to_time,
                   "To the first record of that time: 2026-01-31T12:00 (UTC), or ms since 1970")
      ->type_name("TIME");
  command->add_option("--shift-by", options->shift_by, "By that many records; a negative number goes back")->type_name("N");
  command->add_flag("--execute", options->execute, "Do it");
}

}  // namespace

void add_group_commands(CLI::App& app, int& exit_code) {
  CommandGroup group(app, "group", "Look at consumer groups, set their positions, pause them, delete them", exit_code);
  group.add("list", "All groups", list_groups, "group list", std::make_shared<NodeOptions>());
  add_named(group, "describe", "What a group reads, how far it is, and who reads it", describe_groups,
            "group describe billing");
  CLI::App* command = nullptr;
  const auto lag = add_named(group, "lag", "How far a group is behind, the farthest partitions first", show_group_lag,
                             "group lag billing --watch", &command);
  command->add_flag("--watch", lag->watch, "Again and again, until it is interrupted");
  command->add_option("--every", lag->every, "With --watch: how often")->type_name("DURATION")->capture_default_str();
  add_named(group, "members", "The members of a group, and what each reads", list_group_members, "group members billing");
  add_reset(group);
  add_named(group, "pause", "Members keep what they have and read nothing, until it is resumed", pause_groups,
            "group pause billing");
  add_named(group, "resume", "A paused group goes on where it stands", resume_groups, "group resume billing");
  const auto deletion = add_named(group, "delete", "Delete groups without members, or only their offsets of a topic",
                                  delete_groups, "group delete billing --yes", &command);
  command->add_option("-t,--topic", deletion->topic, "Only the offsets of this topic, which no member reads")
      ->type_name("TOPIC");
  command->add_flag("-y,--yes", deletion->yes, "Do not ask");
}

}  // namespace troupe::cli
