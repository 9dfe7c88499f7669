#include "runtime/cli/cluster_changes.hpp"

#include <unistd.h>

#include <cstdio>

#include "runtime/cli/cluster_commands.hpp"
#include "runtime/cli/patience.hpp"
#include "runtime/cli/table.hpp"

namespace troupe::cli {
namespace {

struct Target {
  std::unique_ptr<NodeSession> session = {};
  std::string broker = {};
};

/// The session, and the broker that is meant; or the exit code.
int open_target(const BrokerOptions& options, Target& out) {
  if (options.broker.has_value() == options.self)
    return complain("name a broker, or --self for the one that is asked", exit_usage);
  auto session = NodeSession::open(options.node, options.wait);
  if (!session) return complain(session.error().message, exit_usage);
  out.session = std::move(*session);
  if (options.broker) {
    out.broker = std::to_string(*options.broker);
    return exit_ok;
  }
  const auto cluster = out.session->call("GET", "/v1/cluster");
  if (!cluster) return complain_no_answer(cluster.error());
  if (!cluster->ok()) return complain(out.session->refusal(*cluster, "cluster"), exit_code_of(*cluster));
  out.broker = text_of(cluster->body, "node_id");
  return out.broker.empty() ? complain(out.session->no_json()) : exit_ok;
}

std::string leaderships(const std::string& count) { return count + (count == "1" ? " leadership" : " leaderships"); }

int print_drain(const BrokerOptions& options, const std::string& broker, const Json& body) {
  Output out{options.node.json};
  if (out.json()) {
    out.print(body);
  } else {
    const auto left = text_of(body, "left");
    auto line = "broker " + plain(broker) + " " + plain(text_of(body, "state"));
    if (!left.empty() && left != "0") {
      line += ", " + plain(leaderships(left)) + " left; `troupe cluster drain " + plain(broker) + " --wait` waits for them";
    }
    out.line(line);
  }
  return out.finish() ? exit_ok : exit_failed;
}

/// Asks again until nothing is left; gives up when nothing has moved for the timeout.
int drain_and_wait(const BrokerOptions& options, NodeSession& session, const std::string& broker) {
  Patience patience(session);
  std::string left_before;
  while (true) {
    const auto answer = session.call("POST", "/v1/cluster/brokers/" + broker + "/drain", Json::object());
    if (!(answer && answer->ok()) && (!Patience::may_come(answer) || patience.is_over())) {
      if (!answer) return complain_no_answer(answer.error());
      return complain(session.refusal(*answer, "broker " + broker), exit_code_of(*answer));
    }
    if (answer && answer->ok()) {
      const auto left = text_of(answer->body, "left");
      if (left.empty()) return complain(session.no_json());
      if (left == "0") return print_drain(options, broker, answer->body);
      if (left != left_before) {
        complain("broker " + broker + ": " + plain(leaderships(left)) + " left");
        patience.renew();
        left_before = left;
      }
    }
    if (patience.is_over()) {
      return complain("broker " + broker + " still has " + plain(leaderships(left_before)) +
                          ": no other replica in sync can lead them; `troupe cluster partitions --broker " + broker +
                          "` shows them",
                      exit_unreachable);
    }
    if (const auto waited = patience.pause(300); !waited) return complain_no_answer(waited.error());
  }
}

Result<std::vector<Json>> partitions_of(NodeSession& session, const ElectOptions& options, Answer& refused) {
  std::vector<Json> all;
  if (options.partition) {
    all.push_back({{"topic", options.topic}, {"partition", *options.partition}});
    return all;
  }
  TROUPE_TRY_ASSIGN(refused, all_partitions(session, {.topic = options.topic}));
  for (const auto& each : array_of(refused.body, "partitions")) {
    if (each.is_object() && each.contains("partition"))
      all.push_back({{"topic", options.topic}, {"partition", each["partition"]}});
  }
  return all;
}

/// Nothing to be done is no failure.
bool is_failure(const Json& result) {
  return result.is_object() && result.contains("error") && text_of(result["error"], "reason") != "election_not_needed";
}

int print_elections(const NodeOptions& options, const Json& body) {
  Output out{options.json};
  const auto& results = array_of(body, "results");
  bool failed = false;
  Table table({"TOPIC", "PARTITION>", "LEADER>", "EPOCH>", "RESULT"});
  for (const auto& each : results) {
    const bool refused = each.is_object() && each.contains("error");
    failed = failed || is_failure(each);
    table.add({text_of(each, "topic"), text_of(each, "partition"), text_of(each, "leader"), text_of(each, "leader_epoch"),
               is_failure(each) ? text_of(each["error"], "message")
               : refused        ? "as it was"
                                : "elected"});
  }
  if (out.json()) {
    out.print(body);
  } else if (results.empty()) {
    out.line("every partition is led by its preferred leader");
  } else {
    table.print(out);
  }
  return out.finish() && !failed ? exit_ok : exit_failed;
}

/// A call that is answered with the quorum.
int change_quorum(const VoterOptions& options, const std::string& method, const std::string& target, const Json& body,
                  const std::string& what) {
  auto session = NodeSession::open(options.node);
  if (!session) return complain(session.error().message, exit_usage);
  const auto answer = (*session)->call(method, target, body);
  if (!answer) return complain_no_answer(answer.error());
  if (!answer->ok()) return complain((*session)->refusal(*answer, what), exit_code_of(*answer));
  Output out{options.node.json};
  out.json() ? out.print(answer->body) : print_quorum(out, answer->body);
  return out.finish() ? exit_ok : exit_failed;
}

}  // namespace

int drain_broker(const BrokerOptions& options) {
  Target target;
  if (const int failed = open_target(options, target); failed != exit_ok) return failed;
  if (options.wait) return drain_and_wait(options, *target.session, target.broker);
  const auto answer = target.session->call("POST", "/v1/cluster/brokers/" + target.broker + "/drain", Json::object());
  if (!answer) return complain_no_answer(answer.error());
  if (!answer->ok()) return complain(target.session->refusal(*answer, "broker " + target.broker), exit_code_of(*answer));
  return print_drain(options, target.broker, answer->body);
}

int undrain_broker(const BrokerOptions& options) {
  Target target;
  if (const int failed = open_target(options, target); failed != exit_ok) return failed;
  const auto answer = target.session->call("POST", "/v1/cluster/brokers/" + target.broker + "/undrain", Json::object());
  if (!answer) return complain_no_answer(answer.error());
  if (!answer->ok()) return complain(target.session->refusal(*answer, "broker " + target.broker), exit_code_of(*answer));
  Output out{options.node.json};
  out.json() ? out.print(answer->body)
             : out.line("broker " + plain(target.broker) + " " + plain(text_of(answer->body, "state")));
  return out.finish() ? exit_ok : exit_failed;
}

int remove_broker(const BrokerOptions& options) {
  Target target;
  if (const int failed = open_target(options, target); failed != exit_ok) return failed;
  const auto answer = target.session->call("DELETE", "/v1/cluster/brokers/" + target.broker);
  if (!answer) return complain_no_answer(answer.error());
  if (answer->status == 409) {
    return complain(
        target.session->refusal(*answer, "broker " + target.broker) +
            "; stop it, and move its copies first: `troupe cluster reassign --generate --brokers` with the others",
        exit_conflict);
  }
  if (!answer->ok()) return complain(target.session->refusal(*answer, "broker " + target.broker), exit_code_of(*answer));
  Output out{options.node.json};
  out.json() ? out.print({{"broker", *options.broker}, {"removed", true}})
             : out.line("broker " + plain(target.broker) + " removed");
  return out.finish() ? exit_ok : exit_failed;
}

int elect_leaders(const ElectOptions& options) {
  if (options.topic.empty() && (options.partition || options.to || options.unclean)) {
    return complain("--partition, --to and --unclean need --topic", exit_usage);
  }
  if (options.unclean && !options.yes) {
    if (::isatty(STDIN_FILENO) != 1) return complain("--unclean needs --yes when nobody can be asked", exit_usage);
    std::fprintf(stderr, "records that the new leaders lack are lost for ever; elect them? [y/N] ");
    const int said = std::getchar();
    if (said != 'y' && said != 'Y') return complain("nobody was elected");
  }
  auto session = NodeSession::open(options.node);
  if (!session) return complain(session.error().message, exit_usage);
  Json body{{"type", options.unclean ? "unclean" : options.to ? "to" : "preferred"}};
  if (options.to) body["to"] = *options.to;
  if (!options.topic.empty()) {
    Answer asked{.status = 200};
    const auto partitions = partitions_of(**session, options, asked);
    if (!partitions) return complain_no_answer(partitions.error());
    if (!asked.ok()) return complain((*session)->topic_refusal(asked, options.topic), exit_code_of(asked));
    body["partitions"] = *partitions;
  }
  const auto answer = (*session)->call("POST", "/v1/cluster/elections", body);
  if (!answer) return complain_no_answer(answer.error());
  if (!answer->ok()) return complain((*session)->refusal(*answer, "election"), exit_code_of(*answer));
  return print_elections(options.node, answer->body);
}

int transfer_controller(const VoterOptions& options) {
  auto session = NodeSession::open(options.node);
  if (!session) return complain(session.error().message, exit_usage);
  auto body = Json::object();
  if (options.id) body["to"] = *options.id;
  const auto answer = (*session)->call("POST", "/v1/cluster/quorum/transfer", body);
  if (!answer) return complain_no_answer(answer.error());
  if (!answer->ok()) return complain((*session)->refusal(*answer, "transfer"), exit_code_of(*answer));
  Output out{options.node.json};
  out.json() ? out.print(answer->body)
             : out.line("controller " + plain(text_of(answer->body, "leader_id")) + ", epoch " +
                        plain(text_of(answer->body, "epoch")));
  return out.finish() ? exit_ok : exit_failed;
}

int add_voter(const VoterOptions& options) {
  return change_quorum(options, "POST", "/v1/cluster/quorum/voters", {{"id", *options.id}},
                       "voter " + std::to_string(*options.id));
}

int remove_voter(const VoterOptions& options) {
  const auto id = std::to_string(*options.id);
  return change_quorum(options, "DELETE", "/v1/cluster/quorum/voters/" + id, nullptr, "voter " + id);
}

}  // namespace troupe::cli
