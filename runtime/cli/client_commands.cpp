#include "runtime/cli/client_commands.hpp"

#include <memory>

#include <CLI/CLI.hpp>

#include "runtime/cli/cluster_app.hpp"
#include "runtime/cli/consume_command.hpp"
#include "runtime/cli/group_app.hpp"
#include "runtime/cli/node_options.hpp"
#include "runtime/cli/number_option.hpp"
#include "runtime/cli/produce_command.hpp"
#include "runtime/cli/topic_commands.hpp"

namespace troupe::cli {
namespace {

void add_topic_commands(CLI::App& app, int& exit_code) {
  auto* topic = app.add_subcommand("topic", "Create, list, describe, alter and delete topics");
  topic->require_subcommand(1);
  const auto options = std::make_shared<TopicOptions>();
  const auto add = [&](const char* name, const char* description, int (*run)(const TopicOptions&),
                       const std::string& example) {
    auto* command = topic->add_subcommand(name, description);
    add_node_options(*command, options->node);
    command->footer("Example: troupe topic " + example + node_exit_codes);
    command->callback([options, run, &exit_code] { exit_code = run(*options); });
    return command;
  };
  const auto with_names = [&](CLI::App* command) {
    command->add_option("TOPIC", options->names, "Names of topics")->required();
    return command;
  };
  const auto with_config = [&](CLI::App* command) {
    command->add_option("-p,--partitions", options->partitions, "Number of partitions")->type_name("N");
    command->add_option("-c,--config", options->config, "A setting of the topic; may be repeated")
        ->type_name("NAME=VALUE")
        ->allow_extra_args(false);
    command->add_flag("--validate-only", options->validate_only, "Ask whether it could be done, and do nothing");
  };

  auto* create = with_names(add("create", "Create topics", create_topics, "create orders -p 3 -c retention.ms=60000"));
  with_config(create);
  create->add_option("-r,--replicas", options->replicas, "Copies of each partition")->type_name("N");
  create->add_flag("--if-not-exists", options->if_not_exists, "A topic that exists is no error");

  auto* list = add("list", "List topics", list_topics, "list");
  list->add_flag("-q,--names", options->names_only, "Names only");
  list->add_flag("--internal", options->internal, "Those of the system, too");

  with_names(add("describe", "Show the partitions and settings of topics", describe_topics, "describe orders"));

  auto* alter =
      with_names(add("alter", "Change settings or add partitions", alter_topics, "alter orders -c retention.ms=60000"));
  with_config(alter);
  alter->add_option("-u,--unset", options->unset, "Back to the default; may be repeated")
      ->type_name("NAME")
      ->allow_extra_args(false);

  auto* remove = with_names(add("delete", "Delete topics and all their records", delete_topics, "delete orders --yes"));
  remove->add_flag("-y,--yes", options->yes, "Do not ask");
}

void add_produce_command(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("produce", "Write records, one a line");
  const auto options = std::make_shared<ProduceOptions>();
  command->add_option("TOPIC", options->topic, "Where to")->required();
  command->add_option("FILE", options->file, "Lines from this file; \"-\" or nothing: from standard input");
  command->add_option("-k,--key", options->key, "Key of all records");
  command->add_option("-K,--key-delimiter", options->key_delimiter, "Each line is key, this text, value");
  command->add_option("-H,--header", options->headers, "A header of all records; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command->add_option("-p,--partition", options->partition, "Partition; else by key")->type_name("N")->check(whole_number());
  command->add_option("--acks", options->acks, "Who has to have a record: none, leader or quorum (default)")
      ->check(CLI::IsMember({"none", "leader", "quorum"}));
  command->add_flag("--tombstone", options->tombstone, "One record without value: what the key stands for is deleted");
  add_node_options(*command, options->node);
  command->footer(std::string("Example: printf 'ana:hi\\nben:hello\\n' | troupe produce chat -K :") + node_exit_codes);
  command->callback([options, &exit_code] { exit_code = produce(*options); });
}

void add_consume_command(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("consume", "Print records as they come");
  const auto options = std::make_shared<ConsumeOptions>();
  command->add_option("TOPIC", options->topic, "Where from")->required();
  command
      ->add_option(
          "-o,--offset", options->offset,
          "Where to begin: start (default), end, +N from the start, -N the last N, N an offset, @TIME (ms since 1970, or "
          "2026-01-31T12:00 in UTC), @-5m ago")
      ->type_name("WHERE");
  command
      ->add_option(
          "-g,--group", options->group,
          "Read as a member of this group: its share of the partitions, from the group's positions on, committed as "
          "it is printed. -o start (default) or end says where a group begins that has no position")
      ->type_name("GROUP");
  command->add_option("--cursor", options->cursor, "Go on where an earlier read ended; stronger than -o");
  command->add_option("-n,--count", options->count, "End after that many records")->type_name("N");
  command->add_option("-k,--key", options->key, "Only records with this key");
  command->add_option("-p,--partitions", options->partitions, "Only these partitions, with commas")->type_name("N,...");
  command
      ->add_option(
          "-f,--format", options->format,
          "How to print a record: %t topic, %p partition, %o offset, %k key, %v value, %h headers, %T timestamp; \\n, \\t. "
          "'%v\\n' by default")
      ->type_name("FORMAT");
  command->add_flag("-e,--exit-at-end", options->exit_at_end, "End when there is nothing more, instead of waiting");
  add_node_options(*command, options->node);
  command->footer(std::string("Examples: troupe consume chat -o -10 -f '%p:%o %k %v\\n'\n"
                              "          troupe consume orders --group billing") +
                  node_exit_codes);
  command->callback([options, &exit_code] { exit_code = consume(*options); });
}

}  // namespace

void add_client_commands(CLI::App& app, int& exit_code) {
  add_topic_commands(app, exit_code);
  add_produce_command(app, exit_code);
  add_consume_command(app, exit_code);
  add_group_commands(app, exit_code);
  add_cluster_commands(app, exit_code);
}

}  // namespace troupe::cli
