#include "runtime/cli/topic_commands.hpp"

#include <unistd.h>

#include <cstdio>
#include <functional>
#include <set>

#include "runtime/cli/table.hpp"
#include "runtime/config/value_text.hpp"

namespace troupe::cli {
namespace {

/// How one topic of a command fared.
struct Outcome {
  int exit_code = exit_ok;
  std::string status = {};  ///< "created", or why not
};

/// Does something to each topic and prints a row for each. No answer at all ends it: the others would get none either.
int for_each_topic(const TopicOptions& options,
                   const std::function<Result<Outcome>(NodeSession&, const std::string&)>& act) {
  auto session = NodeSession::open(options.node);
  if (!session) return complain(session.error().message, exit_usage);
  Output out{options.node.json};
  Table table({"TOPIC", "STATUS"});
  auto rows = Json::array();
  std::set<int> failures;
  int unanswered = exit_ok;
  for (const auto& name : options.names) {
    auto outcome = act(**session, name);
    if (!outcome) {
      unanswered = complain_no_answer(outcome.error());
      break;
    }
    if (outcome->exit_code != exit_ok) {
      complain(outcome->status, outcome->exit_code);
      failures.insert(outcome->exit_code);
    }
    const auto status = outcome->exit_code == exit_ok ? outcome->status : "failed";
    table.add({name, status});
    rows.push_back({{"topic", name}, {"ok", outcome->exit_code == exit_ok}, {"status", outcome->status}});
  }
  if (out.json()) {
    out.print(rows);
  } else if (options.names.size() > 1) {
    table.print(out);
  } else if (failures.empty() && unanswered == exit_ok) {
    out.line(plain(options.names.front()) + " " + rows[0]["status"].get<std::string>());
  }
  if (!out.finish()) return exit_failed;
  if (unanswered != exit_ok || failures.empty()) return unanswered;
  return options.names.size() == 1 ? *failures.begin() : exit_failed;
}

/// "NAME=VALUE" in a member of `config`. False: no "=".
bool add_config(Json& config, const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return false;
  config[text.substr(0, equals)] = text.substr(equals + 1);
  return true;
}

Result<Json> config_of(const TopicOptions& options) {
  auto config = Json::object();
  for (const auto& text : options.config) {
    if (!add_config(config, text)) {
      return Error{Errc::invalid_argument,
                   "--config " + runtime::quote(text) + ": expected NAME=VALUE, such as retention.ms=60000"};
    }
  }
  for (const auto& name : options.unset) config[name] = nullptr;
  return config;
}

void print_topic(Output& out, const Json& topic) {
  out.line(plain(text_of(topic, "name")) + "  " + plain(text_of(topic, "id")));
  Table partitions({"PARTITION>", "LEADER>", "EPOCH>", "REPLICAS", "ISR", "START>", "END>"});
  for (const auto& each : array_of(topic, "partitions")) {
    partitions.add({text_of(each, "p"), text_of(each, "leader"), text_of(each, "epoch"), numbers_of(each, "replicas"),
                    numbers_of(each, "isr"), text_of(each, "start"), text_of(each, "end")});
  }
  partitions.print(out);
  const auto config = topic.is_object() ? topic.find("config") : topic.end();
  if (config == topic.end() || !config->is_object() || config->empty()) return;
  Table settings({"SETTING", "VALUE"});
  for (const auto& [name, value] : config->items()) {
    settings.add(
        {name, value.is_string() ? value.get<std::string>() : value.dump(-1, ' ', false, Json::error_handler_t::replace)});
  }
  settings.print(out);
}

/// Whether somebody who can be asked says yes.
bool confirmed(const TopicOptions& options) {
  std::fprintf(stderr, "delete %zu topic%s and all their records? [y/N] ", options.names.size(),
               options.names.size() == 1 ? "" : "s");
  const int answer = std::getchar();
  return answer == 'y' || answer == 'Y';
}

}  // namespace

int create_topics(const TopicOptions& options) {
  const auto config = config_of(options);
  if (!config) return complain(config.error().message, exit_usage);
  return for_each_topic(options, [&](NodeSession& session, const std::string& name) -> Result<Outcome> {
    Json body{{"name", name}};
    if (options.partitions) body["partitions"] = *options.partitions;
    if (options.replicas) body["replication_factor"] = *options.replicas;
    if (!config->empty()) body["config"] = *config;
    if (options.validate_only) body["validate_only"] = true;
    TROUPE_TRY_ASSIGN(const auto answer, session.call("POST", "/v1/topics", body));
    if (answer.ok()) return Outcome{exit_ok, options.validate_only ? "could be created" : "created"};
    if (answer.status == 409 && options.if_not_exists) return Outcome{exit_ok, "exists already"};
    return Outcome{exit_code_of(answer), session.refusal(answer, "topic " + runtime::quote(name))};
  });
}

int alter_topics(const TopicOptions& options) {
  const auto config = config_of(options);
  if (!config) return complain(config.error().message, exit_usage);
  if (!options.partitions && config->empty()) {
    return complain("nothing to alter: give --partitions, --config or --unset", exit_usage);
  }
  return for_each_topic(options, [&](NodeSession& session, const std::string& name) -> Result<Outcome> {
    auto body = Json::object();
    if (options.partitions) body["partitions"] = *options.partitions;
    if (!config->empty()) body["config"] = *config;
    if (options.validate_only) body["validate_only"] = true;
    TROUPE_TRY_ASSIGN(const auto answer, session.call("PATCH", topic_path(name), body));
    if (answer.ok()) return Outcome{exit_ok, options.validate_only ? "could be altered" : "altered"};
    return Outcome{exit_code_of(answer), session.topic_refusal(answer, name)};
  });
}

int delete_topics(const TopicOptions& options) {
  if (!options.yes) {
    if (::isatty(STDIN_FILENO) != 1) return complain("deleting topics needs --yes when nobody can be asked", exit_usage);
    if (!confirmed(options)) return complain("nothing was deleted");
  }
  return for_each_topic(options, [&](NodeSession& session, const std::string& name) -> Result<Outcome> {
    TROUPE_TRY_ASSIGN(const auto answer, session.call("DELETE", topic_path(name)));
    if (answer.ok()) return Outcome{exit_ok, "deleted"};
    return Outcome{exit_code_of(answer), session.topic_refusal(answer, name)};
  });
}

int list_topics(const TopicOptions& options) {
  auto session = NodeSession::open(options.node);
  if (!session) return complain(session.error().message, exit_usage);
  const auto answer = (*session)->call("GET", "/v1/topics");
  if (!answer) return complain_no_answer(answer.error());
  if (!answer->ok()) return complain((*session)->refusal(*answer, "topics"), exit_code_of(*answer));
  Output out{options.node.json};
  auto shown_topics = Json::array();
  Table table({"TOPIC", "PARTITIONS>", "ID"});
  for (const auto& topic : list_of(answer->body, "topics")) {
    const auto name = text_of(topic, "name");
    if ((text_of(topic, "internal") == "true" || name.starts_with("__")) && !options.internal) continue;
    if (options.names_only && !out.json()) {
      out.line(plain(name));
    } else if (out.json()) {
      shown_topics.push_back(options.names_only ? Json(name) : topic);
    } else {
      table.add({name, text_of(topic, "partition_count"), text_of(topic, "id")});
    }
  }
  if (out.json()) {
    out.print(shown_topics);
  } else if (!options.names_only) {
    table.print(out);
  }
  return out.finish() ? exit_ok : exit_failed;
}

int describe_topics(const TopicOptions& options) {
  auto session = NodeSession::open(options.node);
  if (!session) return complain(session.error().message, exit_usage);
  Output out{options.node.json};
  std::set<int> failures;
  bool first = true;
  for (const auto& name : options.names) {
    const auto answer = (*session)->call("GET", topic_path(name));
    if (!answer) return complain_no_answer(answer.error());
    if (!answer->ok()) {
      failures.insert(complain((*session)->topic_refusal(*answer, name), exit_code_of(*answer)));
    } else if (out.json()) {
      out.print(answer->body);
    } else {
      if (!first) out.line("");
      print_topic(out, answer->body);
      first = false;
    }
  }
  if (!out.finish()) return exit_failed;
  if (failures.empty()) return exit_ok;
  return options.names.size() == 1 ? *failures.begin() : exit_failed;
}

}  // namespace troupe::cli
