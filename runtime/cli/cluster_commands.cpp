#include "runtime/cli/cluster_commands.hpp"

#include <map>
#include <set>
#include <vector>

#include "runtime/cli/table.hpp"

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

void print_status(Output& out, const Json& cluster, const Json& health) {
  out.line("cluster     " + plain(text_of(cluster, "cluster_id")));
  out.line("node        " + plain(text_of(cluster, "node_id")));
  out.line("controller  " + plain(text_of(cluster, "controller_id")));
  const auto healthy = text_of(health, "healthy");
  if (!healthy.empty()) out.line(std::string("healthy     ") + (healthy == "true" ? "yes" : "no"));
  Table brokers({"BROKER>", "HOST", "PORT>"});
  for (const auto& broker : array_of(cluster, "brokers")) {
    brokers.add({text_of(broker, "id"), text_of(broker, "host"), text_of(broker, "port")});
  }
  brokers.print(out);
  const auto& checks = array_of(health, "checks");
  if (checks.empty()) return;
  Table table({"CHECK", "OK", "DETAIL"});
  for (const auto& check : checks) {
    table.add({text_of(check, "name"), text_of(check, "ok") == "true" ? "yes" : "no", text_of(check, "detail")});
  }
  table.print(out);
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

int actor_tree(const NodeOptions& options) {
  auto session = NodeSession::open(options);
  if (!session) return complain(session.error().message, exit_usage);
  const auto answer = (*session)->call("GET", "/v1/cluster/tree");
  if (!answer) return complain_no_answer(answer.error());
  if (!answer->ok()) return complain((*session)->refusal(*answer, "actors"), exit_code_of(*answer));
  Output out{options.json};
  if (out.json()) {
    out.print(answer->body);
  } else {
    Tree(list_of(answer->body, "actors")).print(out);
  }
  return out.finish() ? exit_ok : exit_failed;
}

}  // namespace troupe::cli
