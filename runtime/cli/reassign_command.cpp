#include "runtime/cli/reassign_command.hpp"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <set>

#include "core/metadata/reassignment_plan.hpp"
#include "runtime/cli/cluster_commands.hpp"
#include "runtime/cli/patience.hpp"
#include "runtime/cli/table.hpp"
#include "runtime/config/value_text.hpp"

namespace troupe::cli {
namespace {

constexpr const char* target = "/v1/cluster/reassignments";
constexpr std::size_t entries_max = 5'000;  ///< of one request
constexpr std::size_t file_bytes_max = std::size_t{256} << 20;

using Key = std::pair<std::string, std::string>;
Key key_of(const Json& entry) { return {text_of(entry, "topic"), text_of(entry, "partition")}; }

Status wrong_usage(std::string message) { return Error{Errc::invalid_argument, std::move(message)}; }

Status check(const ReassignOptions& options) {
  const bool named = !options.topic.empty() || options.partition;
  if (named && (options.topic.empty() || !options.partition)) return wrong_usage("--topic and --partition belong together");
  if (named && !options.file.empty()) return wrong_usage("name one partition, or a --file of them");
  if (options.generate && (named || !options.file.empty() || options.cancel || options.watch)) {
    return wrong_usage("--generate prints a plan; it takes --brokers and --topics, and changes nothing");
  }
  if (!options.generate && !(options.brokers.empty() && options.topics.empty())) {
    return wrong_usage("--brokers and --topics belong to --generate");
  }
  if (named && !options.cancel && options.replicas.empty()) return wrong_usage("--replicas is missing, such as 1,2,3");
  if (!options.replicas.empty() && (!named || options.cancel)) {
    return wrong_usage("--replicas belongs to --topic and --partition");
  }
  return ok();
}

/// The entries of a plan: as --generate prints it, or as Kafka's tools do.
Result<Json> read_plan(const std::string& path) {
  const auto wrong = [&](const std::string& what) {
    return Error{Errc::invalid_argument, runtime::quote(path) + ": " + what};
  };
  std::string text;
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) return wrong("cannot be read");
  }
  auto& in = path == "-" ? std::cin : file;
  char bytes[65536];
  while (in.read(bytes, sizeof bytes), in.gcount() > 0) {
    text.append(bytes, static_cast<std::size_t>(in.gcount()));
    if (text.size() > file_bytes_max) return wrong("is larger than 256MiB");
  }
  const auto plan = Json::parse(text, nullptr, false);
  const auto& entries =
      plan.is_object() && plan.contains("partitions") ? array_of(plan, "partitions") : array_of(plan, "reassignments");
  if (entries.empty()) return wrong("is no plan: {\"reassignments\":[{\"topic\",\"partition\",\"replicas\"}]} is expected");
  auto all = Json::array();
  for (const auto& each : entries) {
    const bool whole = each.is_object() && each.contains("topic") && each.contains("partition") && each.contains("replicas");
    if (!whole) return wrong("entry " + std::to_string(all.size()) + " has no topic, no partition or no replicas");
    all.push_back({{"topic", each["topic"]}, {"partition", each["partition"]}, {"replicas", each["replicas"]}});
  }
  return all;
}

Result<Answer> under_way(NodeSession& session) { return session.call("GET", target); }

/// What to ask for; none: nothing was named. Errors: invalid_argument (the plan), those of a call.
Result<std::optional<Json>> wanted(NodeSession& session, const ReassignOptions& options, Answer& asked) {
  auto entries = Json::array();
  if (!options.topic.empty()) {
    entries.push_back({{"topic", options.topic}, {"partition", *options.partition}, {"replicas", options.replicas}});
  } else if (!options.file.empty()) {
    TROUPE_TRY_ASSIGN(entries, read_plan(options.file));
  } else if (options.cancel) {
    TROUPE_TRY_ASSIGN(asked, under_way(session));
    for (const auto& each : array_of(asked.body, "reassignments")) {
      entries.push_back({{"topic", each["topic"]}, {"partition", each["partition"]}, {"replicas", nullptr}});
    }
  } else {
    return std::optional<Json>{};
  }
  if (options.cancel) {
    for (auto& each : entries) each["replicas"] = nullptr;
  }
  return std::optional{std::move(entries)};
}

void print_under_way(Output& out, const Json& list) {
  if (list.empty()) return out.line("no partition is being reassigned");
  Table table({"TOPIC", "PARTITION>", "REPLICAS", "ADDING", "REMOVING", "ISR"});
  for (const auto& each : list) {
    table.add({text_of(each, "topic"), text_of(each, "partition"), numbers_of(each, "replicas"), numbers_of(each, "adding"),
               numbers_of(each, "removing"), numbers_of(each, "isr")});
  }
  table.print(out);
}

/// Sends the entries, and takes what was said of each. The exit code: of a call that was not answered, or refused as a whole.
int submit(NodeSession& session, const Json& entries, Json& results) {
  for (std::size_t from = 0; from < entries.size(); from += entries_max) {
    const auto to = std::min(entries.size(), from + entries_max);
    auto some = Json::array();
    for (auto i = from; i < to; ++i) some.push_back(entries[i]);
    const auto answer = session.call("POST", target, {{"reassignments", std::move(some)}});
    if (!answer) return complain_no_answer(answer.error());
    if (!answer->ok()) return complain(session.refusal(*answer, "reassignment"), exit_code_of(*answer));
    for (const auto& each : array_of(answer->body, "results")) {
      if (each.is_object()) results.push_back(each);
    }
  }
  return exit_ok;
}

/// Of those under way, who is to get a copy and is down; empty: nobody, or it is not known.
std::set<std::string> targets_down(NodeSession& session, const std::vector<const Json*>& under_way) {
  std::set<std::string> targets, down;
  for (const auto* each : under_way) {
    for (const auto& broker : array_of(*each, "adding")) targets.insert(broker.dump());
  }
  const auto cluster = session.call("GET", "/v1/cluster");
  if (!cluster || !cluster->ok()) return down;
  for (const auto& each : array_of(cluster->body, "brokers")) {
    if (text_of(each, "state") == "fenced" && targets.contains(text_of(each, "id"))) down.insert(text_of(each, "id"));
  }
  return down;
}

/// Until none of `keys` is under way; of all, when there are none: `keys` has those that were seen then.
int watch(NodeSession& session, std::set<Key>& keys) {
  constexpr int looks_max = 6;  // a target that starts again, and is seen down so often in a row, takes its time
  Patience patience(session);
  std::optional<std::size_t> before;
  const bool all = keys.empty();
  int looks = 0;
  while (true) {
    const auto answer = under_way(session);
    if (answer && answer->ok()) {
      patience.renew();
      std::vector<const Json*> left;
      for (const auto& each : array_of(answer->body, "reassignments")) {
        if (all) keys.insert(key_of(each));
        if (keys.contains(key_of(each))) left.push_back(&each);
      }
      if (left.empty()) return exit_ok;
      if (left.size() != before) {
        complain(std::to_string(left.size()) + (left.size() == 1 ? " partition" : " partitions") + " under way");
      }
      before = left.size();
      const auto down = targets_down(session, left);
      looks = down.empty() ? 0 : looks + 1;
      if (looks >= looks_max) {
        return complain(
            "broker " + plain(*down.begin()) +
            " is to get copies and is down: they are made when it is back; `troupe cluster reassign --watch` waits "
            "again, --cancel calls it off");
      }
    } else if (!Patience::may_come(answer) || patience.is_over()) {
      if (!answer) return complain_no_answer(answer.error());
      return complain(session.refusal(*answer, "reassignments"), exit_code_of(*answer));
    }
    if (const auto waited = patience.pause(500); !waited) return complain_no_answer(waited.error());
  }
}

/// What became of `keys`, as the partitions are now; those that were refused as they were told.
void refresh(NodeSession& session, const std::set<Key>& keys, Json& results) {
  std::map<Key, Json> now;
  std::set<std::string> topics;
  for (const auto& [topic, partition] : keys) topics.insert(topic);
  for (const auto& topic : topics) {
    const auto answer = all_partitions(session, {.topic = topic});
    if (!answer || !answer->ok()) continue;
    for (const auto& each : array_of(answer->body, "partitions")) now.emplace(key_of(each), each);
  }
  std::set<Key> told;
  for (auto& each : results) {
    told.insert(key_of(each));
    const auto found = now.find(key_of(each));
    if (found == now.end() || each.contains("error")) continue;
    for (const auto* field : {"replicas", "adding", "removing", "isr"}) each[field] = array_of(found->second, field);
  }
  for (const auto& key : keys) {
    const auto found = now.find(key);
    if (told.contains(key) || found == now.end()) continue;
    Json one{{"topic", found->second["topic"]}, {"partition", found->second["partition"]}};
    for (const auto* field : {"replicas", "adding", "removing", "isr"}) one[field] = array_of(found->second, field);
    results.push_back(std::move(one));
  }
}

void print_results(Output& out, const Json& results) {
  if (out.json()) return out.print(Json{{"results", results}});
  if (results.empty()) return out.line("no partition is being reassigned");
  Table table({"TOPIC", "PARTITION>", "REPLICAS", "ADDING", "REMOVING", "RESULT"});
  for (const auto& each : results) {
    const bool refused = each.contains("error");
    const bool moves = !array_of(each, "adding").empty() || !array_of(each, "removing").empty();
    table.add({text_of(each, "topic"), text_of(each, "partition"), numbers_of(each, "replicas"), numbers_of(each, "adding"),
               numbers_of(each, "removing"),
               refused ? text_of(each["error"], "message")
               : moves ? "under way"
                       : "in place"});
  }
  table.print(out);
}

/// The brokers that a plan is for, with their racks; or the exit code.
int plan_brokers(NodeSession& session, const ReassignOptions& options, std::vector<metadata::PlanBroker>& out) {
  const auto cluster = session.call("GET", "/v1/cluster");
  if (!cluster) return complain_no_answer(cluster.error());
  if (!cluster->ok()) return complain(session.refusal(*cluster, "cluster"), exit_code_of(*cluster));
  std::set<std::int32_t> known;
  for (const auto& each : array_of(cluster->body, "brokers")) {
    if (!each.is_object() || !each.contains("id") || !each["id"].is_number_integer()) return complain(session.no_json());
    const auto id = each["id"].get<std::int32_t>();
    const auto state = text_of(each, "state");
    known.insert(id);
    const bool chosen = options.brokers.empty() ? state != "draining" && state != "drained"
                                                : std::ranges::find(options.brokers, id) != options.brokers.end();
    if (chosen) out.push_back({BrokerId{id}, text_of(each, "rack")});
  }
  for (const auto id : options.brokers) {
    if (known.contains(id)) continue;
    return complain("there is no broker " + std::to_string(id) + "; `troupe cluster brokers` shows who is there",
                    exit_not_found);
  }
  return exit_ok;
}

/// The partitions that a plan is about; or the exit code.
int plan_partitions(NodeSession& session, const ReassignOptions& options, std::vector<metadata::ReplicaPlan>& out) {
  auto topics = options.topics;
  if (topics.empty()) topics.emplace_back();
  for (const auto& topic : topics) {
    const auto answer = all_partitions(session, {.topic = topic});
    if (!answer) return complain_no_answer(answer.error());
    if (!answer->ok()) {
      return complain(topic.empty() ? session.refusal(*answer, "partitions") : session.topic_refusal(*answer, topic),
                      exit_code_of(*answer));
    }
    for (const auto& each : array_of(answer->body, "partitions")) {
      if (!array_of(each, "adding").empty() || !array_of(each, "removing").empty()) {
        return complain(
            "partitions are being reassigned already: `troupe cluster reassign --watch` waits for them, "
            "--cancel calls them off",
            exit_conflict);
      }
      metadata::ReplicaPlan one{.topic = text_of(each, "topic")};
      if (!each.is_object() || !each.contains("partition") || !each["partition"].is_number_integer()) {
        return complain(session.no_json());
      }
      one.partition = PartitionId{each["partition"].get<std::int32_t>()};
      for (const auto& replica : array_of(each, "replicas")) {
        if (!replica.is_number_integer()) return complain(session.no_json());
        one.replicas.emplace_back(replica.get<std::int32_t>());
      }
      out.push_back(std::move(one));
    }
  }
  return exit_ok;
}

/// Copies that are where none was.
std::size_t moves_of(const std::vector<metadata::ReplicaPlan>& now, const std::vector<metadata::ReplicaPlan>& plan) {
  std::size_t moves = 0;
  auto old = now.begin();
  for (const auto& one : plan) {
    while (old->topic != one.topic || old->partition != one.partition) ++old;  // the same order, and each of them is there
    for (const auto broker : one.replicas) {
      moves += std::ranges::find(old->replicas, broker) == old->replicas.end() ? 1U : 0U;
    }
  }
  return moves;
}

int generate(NodeSession& session, const ReassignOptions& options) {
  std::vector<metadata::PlanBroker> brokers;
  std::vector<metadata::ReplicaPlan> now;
  if (const int failed = plan_brokers(session, options, brokers); failed != exit_ok) return failed;
  if (const int failed = plan_partitions(session, options, now); failed != exit_ok) return failed;
  const auto plan = metadata::plan_reassignment(now, brokers);
  if (!plan) return complain(plan.error().message);
  auto entries = Json::array();
  for (const auto& one : *plan) {
    auto replicas = Json::array();
    for (const auto broker : one.replicas) replicas.push_back(broker.value());
    entries.push_back({{"topic", one.topic}, {"partition", one.partition.value()}, {"replicas", std::move(replicas)}});
  }
  complain(std::to_string(plan->size()) + " of " + std::to_string(now.size()) + " partitions change, " +
           std::to_string(moves_of(now, *plan)) +
           (plan->empty() ? " copies move" : " copies move; `troupe cluster reassign --file PLAN` carries it out"));
  Output out{true};
  out.print(Json{{"reassignments", std::move(entries)}});
  return out.finish() ? exit_ok : exit_failed;
}

}  // namespace

int reassign(const ReassignOptions& options) {
  if (const auto right = check(options); !right) return complain(right.error().message, exit_usage);
  auto session = NodeSession::open(options.node, options.watch);
  if (!session) return complain(session.error().message, exit_usage);
  if (options.generate) return generate(**session, options);

  Answer asked{.status = 200};
  const auto entries = wanted(**session, options, asked);
  if (!entries) {
    const bool usage = entries.error().code == Errc::invalid_argument;
    return usage ? complain(entries.error().message, exit_usage) : complain_no_answer(entries.error());
  }
  if (!asked.ok()) return complain((*session)->refusal(asked, "reassignments"), exit_code_of(asked));

  Output out{options.node.json};
  auto results = Json::array();
  std::set<Key> keys;
  int ended = exit_ok;
  const bool submits = *entries && !(*entries)->empty();
  if (submits) {
    ended = submit(**session, **entries, results);
    for (const auto& each : results) {
      if (!each.contains("error")) keys.insert(key_of(each));
    }
  } else if (!options.watch) {
    const auto answer = under_way(**session);
    if (!answer) return complain_no_answer(answer.error());
    if (!answer->ok()) return complain((*session)->refusal(*answer, "reassignments"), exit_code_of(*answer));
    out.json() ? out.print(answer->body) : print_under_way(out, array_of(answer->body, "reassignments"));
    return out.finish() ? exit_ok : exit_failed;
  }
  // With none of its own under way there is nothing to wait for.
  if (options.watch && ended == exit_ok && (!submits || !keys.empty())) {
    ended = watch(**session, keys);
    refresh(**session, keys, results);
  }
  if (ended == exit_ok || !results.empty()) print_results(out, results);
  if (!out.finish()) return exit_failed;
  if (ended != exit_ok) return ended;
  return std::ranges::any_of(results, [](const Json& each) { return each.contains("error"); }) ? exit_failed : exit_ok;
}

}  // namespace troupe::cli
