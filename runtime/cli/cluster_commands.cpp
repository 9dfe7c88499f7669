#include "runtime/cli/cluster_commands.hpp"

#include <limits>
#include <map>
#include <set>
#include <vector>

#include "runtime/cli/patience.hpp"
#include "runtime/cli/table.hpp"
#include "runtime/client/url.hpp"

namespace troupe::cli {
namespace {

constexpr std::size_t depth_max = 32;

/// The actors as rows, children under their supervisor. Takes both forms: a flat list with `parent`, and `children` in each.
class Tree {
 public:
  explicit Tree(const Json& actors) {
    for (const auto& actor : actors) index(actor, text_of(actor, "parent"), 0);
  }

  void print(Output& out) {
    for (const auto& [name, actor] : actors_) {
      if (!actors_.contains(parents_[name])) add(name, 0);
    }
    // Supervisors of each other belong to nobody; they are shown all the same.
    for (const auto& [name, actor] : actors_) add(name, 0);
    table_.print(out);
  }

 private:
  void index(const Json& actor, const std::string& parent, std::size_t depth) {
    const auto name = text_of(actor, "name");
    if (!actor.is_object() || depth > depth_max || !actors_.emplace(name, &actor).second) return;
    parents_[name] = parent;
    children_[parent].push_back(name);
    for (const auto& child : array_of(actor, "children")) index(child, name, depth + 1);
  }

  void add(const std::string& name, std::size_t depth) {
    if (depth > depth_max || !shown_.insert(name).second) return;
    const auto& actor = *actors_.at(name);
    // A full name repeats what the indentation says.
    const auto& parent = parents_[name];
    const auto short_name = !parent.empty() && name.starts_with(parent + "/") ? name.substr(parent.size() + 1) : name;
    table_.add({std::string(2 * depth, ' ') + short_name, text_of(actor, "kind"), text_of(actor, "state"),
                text_of(actor, "mailbox_depth"), text_of(actor, "messages_handled"), text_of(actor, "busy_ms"),
                text_of(actor, "restarts"), text_of(actor, "last_error")});
    for (const auto& child : children_[name]) add(child, depth + 1);
  }

  Table table_{{"ACTOR", "KIND", "STATE", "MAILBOX>", "HANDLED>", "BUSY_MS>", "RESTARTS>", "LAST_ERROR"}};
  std::map<std::string, const Json*> actors_ = {};
  std::map<std::string, std::string> parents_ = {};
  std::map<std::string, std::vector<std::string>> children_ = {};
  std::set<std::string> shown_ = {};
};

void print_brokers(Output& out, const Json& cluster) {
  Table brokers({"BROKER>", "HOST", "PORT>", "RACK", "STATE", "VOTER", "LEADS>", "REPLICAS>", "EPOCH>"});
  for (const auto& broker : array_of(cluster, "brokers")) {
    const auto voter = text_of(broker, "voter");
    brokers.add({text_of(broker, "id"), text_of(broker, "host"), text_of(broker, "port"), text_of(broker, "rack"),
                 text_of(broker, "state"),
                 voter.empty()     ? voter
                 : voter == "true" ? "yes"
                                   : "no",
                 text_of(broker, "leads"), text_of(broker, "replicas"), text_of(broker, "epoch")});
  }
  brokers.print(out);
}

void print_status(Output& out, const Json& cluster, const Json& health) {
  out.line("cluster     " + plain(text_of(cluster, "cluster_id")));
  out.line("node        " + plain(text_of(cluster, "node_id")));
  out.line("controller  " + plain(text_of(cluster, "controller_id")));
  const auto healthy = text_of(health, "healthy");
  if (!healthy.empty()) out.line(std::string("healthy     ") + (healthy == "true" ? "yes" : "no"));
  print_brokers(out, cluster);
  const auto& checks = array_of(health, "checks");
  if (checks.empty()) return;
  Table table({"CHECK", "OK", "DETAIL"});
  for (const auto& check : checks) {
    table.add({text_of(check, "name"), text_of(check, "ok") == "true" ? "yes" : "no", text_of(check, "detail")});
  }
  table.print(out);
}

bool is_healthy(const Json& health) { return text_of(health, "healthy") == "true"; }

void print_health(Output& out, const Json& health) {
  out.line(std::string("healthy           ") + (is_healthy(health) ? "yes" : "no"));
  out.line("controller        " + plain(text_of(health, "controller_id")));
  for (const std::string name : {"brokers", "voters"}) {
    out.line(name + std::string(18 - name.size(), ' ') + plain(text_of(health, (name + "_up").c_str())) + " of " +
             plain(text_of(health, name.c_str())) + " up");
  }
  for (const std::string name :
       {"partitions", "leaderless", "under_replicated", "under_min_isr", "reassigning", "not_preferred"}) {
    out.line(name + std::string(18 - name.size(), ' ') + plain(text_of(health, name.c_str())));
  }
  for (const auto& problem : array_of(health, "problems")) {
    out.line("problem: " + plain(problem.is_string() ? problem.get<std::string>() : std::string()));
  }
}

/// One answer that is ok, printed.
int show(const NodeOptions& options, const std::string& target, const std::string& what,
         void (*print)(Output& out, const Json& body)) {
  auto session = NodeSession::open(options);
  if (!session) return complain(session.error().message, exit_usage);
  const auto answer = (*session)->call("GET", target);
  if (!answer) return complain_no_answer(answer.error());
  if (!answer->ok()) return complain((*session)->refusal(*answer, what), exit_code_of(*answer));
  Output out{options.json};
  out.json() ? out.print(answer->body) : print(out, answer->body);
  return out.finish() ? exit_ok : exit_failed;
}

}  // namespace

int cluster_status(const NodeOptions& options) {
  auto session = NodeSession::open(options);
  if (!session) return complain(session.error().message, exit_usage);
  const auto cluster = (*session)->call("GET", "/v1/cluster");
  if (!cluster) return complain_no_answer(cluster.error());
  if (!cluster->ok()) return complain((*session)->refusal(*cluster, "cluster"), exit_code_of(*cluster));
  // 503 is an answer, too: it says what is wrong.
  const auto health = (*session)->call("GET", "/healthz");
  if (!health) return complain_no_answer(health.error());
  const auto report = health->body.is_object() ? health->body : Json::object();
  Output out{options.json};
  if (out.json()) {
    out.print(Json{{"cluster", cluster->body}, {"health", report}});
  } else {
    print_status(out, cluster->body, report);
  }
  return out.finish() ? exit_ok : exit_failed;
}

int cluster_health(const HealthOptions& options) {
  auto session = NodeSession::open(options.node, options.until_healthy);
  if (!session) return complain(session.error().message, exit_usage);
  Patience patience(**session);
  Result<Answer> answer = Answer{};
  while (true) {
    // The timeout is for the whole of it, not for each call.
    answer = (*session)->call_text("GET", "/v1/cluster/health", "", patience.left() - (*session)->timeout_ms());
    if (answer && answer->ok() && answer->body.is_discarded()) return complain((*session)->no_json());
    const bool good = answer && answer->ok() && is_healthy(answer->body);
    if (good || !options.until_healthy) break;
    if (!(answer && answer->ok()) && !Patience::may_come(answer)) break;
    constexpr Millis between_ms = 500;
    if (patience.left() <= between_ms) break;
    if (const auto waited = patience.pause(between_ms); !waited) return complain_no_answer(waited.error());
  }
  if (!answer) return complain_no_answer(answer.error());
  if (!answer->ok()) return complain((*session)->refusal(*answer, "health"), exit_code_of(*answer));
  Output out{options.node.json};
  out.json() ? out.print(answer->body) : print_health(out, answer->body);
  return out.finish() && is_healthy(answer->body) ? exit_ok : exit_failed;
}

int cluster_brokers(const NodeOptions& options) { return show(options, "/v1/cluster", "cluster", print_brokers); }

Result<Answer> all_partitions(NodeSession& session, const PartitionsOptions& options) {
  constexpr std::uint32_t page_max = 1000;
  std::string query;
  if (!options.topic.empty()) query += "&topic=" + client::percent_encoded(options.topic);
  if (!options.only.empty()) query += "&only=" + client::percent_encoded(options.only);
  if (options.broker) query += "&broker=" + std::to_string(*options.broker);
  const auto wanted = options.count.value_or(std::numeric_limits<std::uint32_t>::max());
  auto found = Json::array();
  std::string after;
  while (found.size() < wanted) {
    const auto limit = std::min<std::size_t>(page_max, wanted - found.size());
    auto target = "/v1/cluster/partitions?limit=" + std::to_string(limit) + query;
    if (!after.empty()) target += "&after=" + client::percent_encoded(after);
    TROUPE_TRY_ASSIGN(auto answer, session.call("GET", target));
    if (!answer.ok()) return answer;
    for (const auto& each : array_of(answer.body, "partitions")) found.push_back(each);
    const auto next = text_of(answer.body, "next");
    if (next.empty() || next == after) break;
    after = next;
  }
  return Answer{200, {}, Json{{"partitions", std::move(found)}}};
}

int cluster_partitions(const PartitionsOptions& options) {
  auto session = NodeSession::open(options.node);
  if (!session) return complain(session.error().message, exit_usage);
  const auto answer = all_partitions(**session, options);
  if (!answer) return complain_no_answer(answer.error());
  if (!answer->ok()) {
    const bool of_topic = !options.topic.empty();
    return complain(
        of_topic ? (*session)->topic_refusal(*answer, options.topic) : (*session)->refusal(*answer, "partitions"),
        exit_code_of(*answer));
  }
  Output out{options.node.json};
  if (out.json()) {
    out.print(answer->body);
  } else {
    Table table({"TOPIC", "PARTITION>", "LEADER>", "EPOCH>", "REPLICAS", "ISR", "MIN_ISR>", "ELR", "ADDING", "REMOVING"});
    for (const auto& each : array_of(answer->body, "partitions")) {
      table.add({text_of(each, "topic"), text_of(each, "partition"), text_of(each, "leader"), text_of(each, "leader_epoch"),
                 numbers_of(each, "replicas"), numbers_of(each, "isr"), text_of(each, "min_isr"), numbers_of(each, "elr"),
                 numbers_of(each, "adding"), numbers_of(each, "removing")});
    }
    table.print(out);
  }
  return out.finish() ? exit_ok : exit_failed;
}

void print_quorum(Output& out, const Json& quorum) {
  out.line("leader          " + plain(text_of(quorum, "leader_id")));
  out.line("epoch           " + plain(text_of(quorum, "epoch")));
  out.line("high watermark  " + plain(text_of(quorum, "high_watermark")));
  Table table({"NODE>", "ROLE", "HOST", "PORT>", "STATE", "LOG_END>", "LAG>", "LAST_CONTACT_MS>"});
  for (const bool votes : {true, false}) {
    for (const auto& each : array_of(quorum, votes ? "voters" : "observers")) {
      table.add({text_of(each, "id"), votes ? "voter" : "observer", text_of(each, "host"), text_of(each, "port"),
                 text_of(each, "state"), text_of(each, "log_end"), text_of(each, "lag"), text_of(each, "last_contact_ms")});
    }
  }
  table.print(out);
}

int cluster_quorum(const NodeOptions& options) { return show(options, "/v1/cluster/quorum", "quorum", print_quorum); }

int actor_tree(const TreeOptions& options) {
  auto session = NodeSession::open(options.node);
  if (!session) return complain(session.error().message, exit_usage);
  const auto answer =
      (*session)->call("GET", "/v1/cluster/tree" + (options.of ? "?node=" + std::to_string(*options.of) : ""));
  if (!answer) return complain_no_answer(answer.error());
  if (!answer->ok()) return complain((*session)->refusal(*answer, "actors"), exit_code_of(*answer));
  Output out{options.node.json};
  if (out.json()) {
    out.print(answer->body);
    return out.finish() ? exit_ok : exit_failed;
  }
  const auto& nodes = array_of(answer->body, "nodes");
  std::size_t shown = 0;
  for (const auto& node : nodes) {
    const auto name = "node " + plain(text_of(node, "node_id"));
    if (node.is_object() && node.contains("error")) {
      complain(name + ": " + plain(text_of(node["error"], "message")));
      continue;
    }
    if (shown++ > 0) out.line("");
    if (nodes.size() > 1) out.line(name);
    Tree(array_of(node, "actors")).print(out);
  }
  if (!out.finish()) return exit_failed;
  return shown == 0 && !nodes.empty() ? exit_unreachable : exit_ok;
}

}  // namespace troupe::cli
