#include "runtime/cli/cluster_app.hpp"

#include <memory>

#include <CLI/CLI.hpp>

#include "runtime/cli/cluster_changes.hpp"
#include "runtime/cli/cluster_commands.hpp"
#include "runtime/cli/command_group.hpp"
#include "runtime/cli/number_option.hpp"
#include "runtime/cli/reassign_command.hpp"

namespace troupe::cli {
namespace {

void add_views(CommandGroup& cluster) {
  cluster.add("status", "Who is there, and is all well with this node", cluster_status, "cluster status",
              std::make_shared<NodeOptions>());

  const auto health = std::make_shared<HealthOptions>();
  auto* command = cluster.add("health", "Is all well with the cluster: 1 when it is not", cluster_health,
                              "cluster health --exit-when-healthy --timeout 2m", health);
  command->add_flag("--exit-when-healthy", health->until_healthy, "Wait until all is well, for the timeout at most");

  cluster.add("brokers", "The brokers, and what each of them leads and holds", cluster_brokers, "cluster brokers",
              std::make_shared<NodeOptions>());

  const auto partitions = std::make_shared<PartitionsOptions>();
  command = cluster.add("partitions", "The partitions: leaders, replicas, who is in sync", cluster_partitions,
                        "cluster partitions --only under_replicated", partitions);
  command->add_option("-t,--topic", partitions->topic, "Of this topic")->type_name("TOPIC");
  command->add_option("--only", partitions->only, "Only those that are so")
      ->check(CLI::IsMember({"leaderless", "under_replicated", "under_min_isr", "reassigning", "not_preferred"}));
  command->add_option("--broker", partitions->broker, "Of which this broker has a copy")
      ->type_name("ID")
      ->check(whole_number());
  command->add_option("-n,--count", partitions->count, "That many at most")->type_name("N")->check(whole_number(1));

  cluster.add("quorum", "The voters of the metadata, and how far each is", cluster_quorum, "cluster quorum",
              std::make_shared<NodeOptions>());
}

void add_broker_changes(CommandGroup& cluster) {
  const auto add = [&](const char* name, const char* description, int (*run)(const BrokerOptions&),
                       const std::string& example) {
    const auto options = std::make_shared<BrokerOptions>();
    auto* command = cluster.add(name, description, run, example, options);
    command->add_option("BROKER", options->broker, "Its id")->check(whole_number());
    return std::pair{command, options};
  };
  const auto [drain, drained] =
      add("drain", "Give a broker's leaderships to others, and no new copies to it", drain_broker, "cluster drain 2 --wait");
  drain->add_flag("--self", drained->self, "The broker that is asked");
  drain->add_flag("--wait", drained->wait, "Until it leads nothing; ends when nothing has moved for the timeout");
  const auto [undrain, undrained] = add("undrain", "Take a broker back into service", undrain_broker, "cluster undrain 2");
  undrain->add_flag("--self", undrained->self, "The broker that is asked");
  add("remove-broker", "Forget a broker that has ended and holds no copies", remove_broker, "cluster remove-broker 4");
}

void add_partition_changes(CommandGroup& cluster) {
  const auto elect = std::make_shared<ElectOptions>();
  auto* command = cluster.add("elect", "Elect leaders: the preferred ones, unless told otherwise", elect_leaders,
                              "cluster elect --topic orders --partition 3 --to 2", elect);
  command->add_option("-t,--topic", elect->topic, "Of this topic; else of all")->type_name("TOPIC");
  command->add_option("-p,--partition", elect->partition, "Of this partition; else of all")
      ->type_name("N")
      ->check(whole_number());
  command->add_option("--to", elect->to, "This broker")->type_name("ID")->check(whole_number());
  command->add_flag("--unclean", elect->unclean,
                    "Where nobody in sync is alive: anybody who is. Records that the new leader lacks are lost");
  command->add_flag("-y,--yes", elect->yes, "Do not ask");

  const auto reassignment = std::make_shared<ReassignOptions>();
  command = cluster.add("reassign", "Move replicas to other brokers; alone: show what is under way", reassign,
                        "cluster reassign --topic orders --partition 3 --replicas 1,2,4 --watch", reassignment);
  command->add_option("-t,--topic", reassignment->topic, "Topic of the partition to move")->type_name("TOPIC");
  command->add_option("-p,--partition", reassignment->partition, "The partition to move")
      ->type_name("N")
      ->check(whole_number());
  command->add_option("--replicas", reassignment->replicas, "Where to, the preferred leader first")
      ->type_name("ID,ID")
      ->delimiter(',')
      ->check(whole_number());
  command->add_option("--file", reassignment->file, "Many partitions, as --generate prints them; \"-\": standard input")
      ->type_name("PLAN");
  command->add_flag("--cancel", reassignment->cancel, "Call off what is named; alone: all that is under way");
  command->add_flag("--watch", reassignment->watch, "Until it is done");
  command->add_flag("--generate", reassignment->generate, "Print a plan that evens out copies and leaders; change nothing");
  command->add_option("--brokers", reassignment->brokers, "With --generate: on these brokers; else all that are not drained")
      ->type_name("ID,ID")
      ->delimiter(',')
      ->check(whole_number());
  command->add_option("--topics", reassignment->topics, "With --generate: of these topics; else of all")
      ->type_name("TOPIC,TOPIC")
      ->delimiter(',');
}

void add_quorum_changes(CommandGroup& cluster, int& exit_code) {
  const auto to = std::make_shared<VoterOptions>();
  auto* command =
      cluster.add("transfer", "Make another voter the controller", transfer_controller, "cluster transfer --to 2", to);
  command->add_option("--to", to->id, "This one; else the one that is furthest")->type_name("ID")->check(whole_number());

  CommandGroup voters(cluster.app(), "voters", "Change who keeps the metadata", exit_code);
  const auto add = [&](const char* name, const char* description, int (*run)(const VoterOptions&), const char* example) {
    const auto options = std::make_shared<VoterOptions>();
    voters.add(name, description, run, example, options)
        ->add_option("NODE", options->id, "Its id")
        ->required()
        ->check(whole_number());
  };
  add("add", "Make a node of the cluster a voter", add_voter, "cluster voters add 4");
  add("remove", "Make a voter a node without a vote", remove_voter, "cluster voters remove 1");
}

}  // namespace

void add_cluster_commands(CLI::App& app, int& exit_code) {
  CommandGroup cluster(app, "cluster", "Look at the cluster and change it", exit_code);
  add_views(cluster);
  add_broker_changes(cluster);
  add_partition_changes(cluster);
  add_quorum_changes(cluster, exit_code);

  CommandGroup actor(app, "actor", "Look at the actors of the nodes", exit_code);
  const auto tree = std::make_shared<TreeOptions>();
  actor.add("tree", "The supervision trees of all nodes", actor_tree, "actor tree --node 1", tree)
      ->add_option("--node", tree->of, "Only this node's")
      ->type_name("ID")
      ->check(whole_number());
}

}  // namespace troupe::cli
