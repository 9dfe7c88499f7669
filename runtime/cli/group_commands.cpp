#include "runtime/cli/group_commands.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <set>
#include <utility>

#include "runtime/cli/table.hpp"
#include "runtime/client/url.hpp"
#include "runtime/config/value_text.hpp"

namespace troupe::cli {
namespace {

std::string named(const std::string& group) { return "group " + runtime::quote(group); }

using Print = std::function<void(Output& out, const Json& group)>;

/// Asks about each group, or for something to be done to it, and shows what came; the exit code of the only failure, or of many.
int for_each_group(const GroupOptions& options, const Print& print, const char* method = "GET", const char* what = "") {
  auto session = NodeSession::open(options.node);
  if (!session) return complain(session.error().message, exit_usage);
  Output out{options.node.json};
  std::set<int> failures;
  bool first = true;
  for (const auto& name : options.groups) {
    const auto answer = (*session)->call(method, group_path(name) + what);
    if (!answer) return complain_no_answer(answer.error());
    if (!answer->ok()) {
      failures.insert(complain((*session)->refusal(*answer, named(name)), exit_code_of(*answer)));
    } else if (out.json()) {
      out.print(answer->body);
    } else {
      if (!std::exchange(first, false) && *what == 0) out.line("");
      print(out, answer->body);
    }
  }
  if (!out.finish()) return exit_failed;
  if (failures.empty()) return exit_ok;
  return options.groups.size() == 1 ? *failures.begin() : exit_failed;
}

bool is_paused(const Json& group) { return group.value("paused", Json()) == Json(true); }

void print_paused(Output& out, const Json& group) {
  out.line(plain(text_of(group, "group")) + (is_paused(group) ? " is paused: its members read nothing" : " goes on"));
}

void print_description(Output& out, const Json& group) {
  const bool classic = text_of(group, "type") == "classic";
  out.line(plain(text_of(group, "group")) + "  " + plain(text_of(group, "state")) +
           (is_paused(group) ? ", PAUSED, " : ", ") + std::to_string(array_of(group, "members").size()) +
           (array_of(group, "members").size() == 1 ? " member, assignor " : " members, assignor ") +
           plain(text_of(group, "assignor")) + ", coordinator " + plain(text_of(group, "coordinator")) +
           (classic ? ", classic " + plain(text_of(group, "protocol_type")) + " protocol, generation " +
                          plain(text_of(group, "epoch"))
                    : std::string()));
  Table table(
      {"GROUP", "TOPIC", "PARTITION>", "CURRENT-OFFSET>", "LOG-END-OFFSET>", "LAG>", "CONSUMER-ID", "HOST", "CLIENT-ID"});
  for (const auto& one : array_of(group, "partitions")) {
    table.add({text_of(group, "group"), text_of(one, "topic"), text_of(one, "partition"), text_of(one, "committed"),
               text_of(one, "log_end"), text_of(one, "lag"), text_of(one, "member"), text_of(one, "client_host"),
               text_of(one, "client_id")});
  }
  table.print(out);
}

void print_members(Output& out, const Json& group) {
  Table table({"GROUP", "CONSUMER-ID", "INSTANCE-ID", "HOST", "CLIENT-ID", "#PARTITIONS>", "EPOCH>", "STATE", "ASSIGNMENT"});
  for (const auto& member : array_of(group, "members")) {
    std::string assignment;
    std::string topic;
    for (const auto& one : array_of(member, "assigned")) {
      const auto name = text_of(one, "topic");
      assignment += name == topic ? "," : (assignment.empty() ? "" : " ") + name + ":";
      assignment += text_of(one, "partition");
      topic = name;
    }
    table.add({text_of(group, "group"), text_of(member, "member"), text_of(member, "instance_id"),
               text_of(member, "client_host"), text_of(member, "client_id"),
               std::to_string(array_of(member, "assigned").size()), text_of(member, "epoch"), text_of(member, "state"),
               assignment});
  }
  table.print(out);
}

std::int64_t lag_of(const Json& partition) {
  const auto found = partition.find("lag");
  return found != partition.end() && found->is_number_integer() ? found->get<std::int64_t>() : -1;
}

void print_lag(Output& out, const Json& group) {
  auto partitions = array_of(group, "partitions");
  std::stable_sort(partitions.begin(), partitions.end(), [](const Json& a, const Json& b) { return lag_of(a) > lag_of(b); });
  Table table({"GROUP", "TOPIC", "PARTITION>", "LAG>", "CONSUMER-ID"});
  for (const auto& one : partitions) {
    table.add({text_of(group, "group"), text_of(one, "topic"), text_of(one, "partition"), text_of(one, "lag"),
               text_of(one, "member")});
  }
  table.print(out);
  out.line("total lag " + plain(text_of(group, "lag")));
}

/// Whether somebody who can be asked says yes.
bool confirmed(const GroupOptions& options) {
  std::fprintf(stderr, "delete %s%s? [y/N] ", options.topic ? "the offsets of a topic of " : "",
               options.groups.size() == 1 ? named(options.groups.front()).c_str()
                                          : (std::to_string(options.groups.size()) + " groups").c_str());
  const int answer = std::getchar();
  return answer == 'y' || answer == 'Y';
}

/// How the deletion of one went: nothing, or the complaint was made and this is its exit code.
int delete_one(NodeSession& session, const GroupOptions& options, const std::string& name, Output& out) {
  const auto path =
      options.topic ? group_path(name) + "/offsets?topic=" + client::percent_encoded(*options.topic) : group_path(name);
  const auto answer = session.call("DELETE", path);
  if (!answer) return complain_no_answer(answer.error());
  if (!answer->ok()) return complain(session.refusal(*answer, named(name)), exit_code_of(*answer));
  int worst = exit_ok;
  for (const auto& one : array_of(answer->body, "results")) {
    const auto error = one.find("error");
    if (error == one.end()) continue;
    worst =
        complain(named(name) + ", partition " + plain(text_of(one, "partition")) + ": " + plain(text_of(*error, "message")),
                 exit_conflict);
  }
  if (worst != exit_ok) return worst;
  out.json() ? out.print(Json{{"group", name}, {"deleted", true}})
             : out.line(plain(name) + (options.topic ? ": offsets deleted" : " deleted"));
  return exit_ok;
}

}  // namespace

std::string group_path(const std::string& group) { return "/v1/groups/" + client::percent_encoded(group); }

int list_groups(const NodeOptions& options) {
  auto session = NodeSession::open(options);
  if (!session) return complain(session.error().message, exit_usage);
  const auto answer = (*session)->call("GET", "/v1/groups");
  if (!answer) return complain_no_answer(answer.error());
  if (!answer->ok()) return complain((*session)->refusal(*answer, "groups"), exit_code_of(*answer));
  Output out{options.json};
  if (out.json()) {
    out.print(answer->body);
  } else {
    Table table({"GROUP", "STATE", "#MEMBERS>", "ASSIGNMENT-STRATEGY"});
    for (const auto& one : array_of(answer->body, "groups")) {
      const auto state = text_of(one, "state") + (is_paused(one) ? " (paused)" : "");
      table.add({text_of(one, "group"), state, text_of(one, "members"), text_of(one, "assignor")});
    }
    table.print(out);
  }
  const auto silent = array_of(answer->body, "silent").size();
  if (!out.finish()) return exit_failed;
  if (silent == 0) return exit_ok;
  return complain("not all: " + std::to_string(silent) + " of the groups' coordinators did not answer", exit_unreachable);
}

int describe_groups(const GroupOptions& options) { return for_each_group(options, print_description); }
int list_group_members(const GroupOptions& options) { return for_each_group(options, print_members); }

int pause_groups(const GroupOptions& options) { return for_each_group(options, print_paused, "POST", "/pause"); }
int resume_groups(const GroupOptions& options) { return for_each_group(options, print_paused, "POST", "/resume"); }

int show_group_lag(const GroupOptions& options) {
  if (!options.watch) return for_each_group(options, print_lag);
  const auto every = runtime::parse_duration(options.every);
  if (!every || *every <= 0)
    return complain("--every " + runtime::quote(options.every) + ": expected a duration such as 2s", exit_usage);
  auto session = NodeSession::open(options.node, true);
  if (!session) return complain(session.error().message, exit_usage);
  while (true) {
    if (const int exit_code = for_each_group(options, print_lag); exit_code != exit_ok) return exit_code;
    if (const auto waited = (*session)->pause(*every); !waited) return complain_no_answer(waited.error());
  }
}

int delete_groups(const GroupOptions& options) {
  if (!options.yes) {
    if (::isatty(STDIN_FILENO) != 1) return complain("deleting needs --yes when nobody can be asked", exit_usage);
    if (!confirmed(options)) return complain("nothing was deleted");
  }
  auto session = NodeSession::open(options.node);
  if (!session) return complain(session.error().message, exit_usage);
  Output out{options.node.json};
  std::set<int> failures;
  for (const auto& name : options.groups) {
    const int exit_code = delete_one(**session, options, name, out);
    if (exit_code != exit_ok) failures.insert(exit_code);
    if (exit_code == exit_unreachable) break;
  }
  if (!out.finish()) return exit_failed;
  if (failures.empty()) return exit_ok;
  return options.groups.size() == 1 ? *failures.begin() : exit_failed;
}

}  // namespace troupe::cli
