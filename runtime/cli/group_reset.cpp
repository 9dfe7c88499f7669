#include <algorithm>

#include "runtime/cli/group_commands.hpp"
#include "runtime/cli/table.hpp"
#include "runtime/cli/times.hpp"
#include "runtime/config/value_text.hpp"

namespace troupe::cli {
namespace {

/// "orders" in `topics`, "orders:0,3" in `partitions`. False: it is neither.
bool add_place(const std::string& text, Json& topics, Json& partitions) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) {
    topics.push_back(text);
    return !text.empty();
  }
  const auto topic = text.substr(0, colon);
  for (std::size_t from = colon + 1; from <= text.size();) {
    const auto comma = std::min(text.find(',', from), text.size());
    const auto number = runtime::parse_integer(text.substr(from, comma - from));
    if (topic.empty() || !number || *number < 0) return false;
    partitions.push_back({{"topic", topic}, {"partition", *number}});
    from = comma + 1;
  }
  return true;
}

Result<Json> body_of(const GroupResetOptions& options) {
  auto body = Json::object();
  int aims = 0;
  const auto aim = [&](const char* name, Json value) {
    body[name] = std::move(value);
    ++aims;
  };
  if (options.to_earliest) aim("to", "earliest");
  if (options.to_latest) aim("to", "latest");
  if (options.to_current) aim("to", "current");
  if (options.to_offset) aim("to_offset", *options.to_offset);
  if (options.shift_by) aim("shift_by", *options.shift_by);
  if (options.to_time) {
    const auto number = runtime::parse_integer(*options.to_time);
    aim("to_time", number ? Json(*number) : Json(whole_time(*options.to_time)));
  }
  if (aims != 1) {
    return Error{
        Errc::invalid_argument,
        "say where to by one of --to-earliest, --to-latest, --to-current, --to-offset, --to-datetime and --shift-by"};
  }
  auto topics = Json::array();
  auto partitions = Json::array();
  for (const auto& text : options.topics) {
    if (add_place(text, topics, partitions)) continue;
    return Error{Errc::invalid_argument,
                 "--topic " + runtime::quote(text) + ": expected TOPIC or TOPIC:PARTITION,PARTITION"};
  }
  if (!topics.empty()) body["topics"] = std::move(topics);
  if (!partitions.empty()) body["partitions"] = std::move(partitions);
  body["dry_run"] = !options.execute;
  return body;
}

}  // namespace

int reset_group(const GroupResetOptions& options) {
  const auto body = body_of(options);
  if (!body) return complain(body.error().message, exit_usage);
  auto session = NodeSession::open(options.node);
  if (!session) return complain(session.error().message, exit_usage);
  const auto answer = (*session)->call("POST", group_path(options.group) + "/reset", *body);
  if (!answer) return complain_no_answer(answer.error());
  if (!answer->ok()) {
    return complain((*session)->refusal(*answer, "group " + runtime::quote(options.group)), exit_code_of(*answer));
  }
  Output out{options.node.json};
  int failures = 0;
  Table table({"GROUP", "TOPIC", "PARTITION>", "CURRENT-OFFSET>", "NEW-OFFSET>", "ERROR"});
  for (const auto& one : array_of(answer->body, "results")) {
    const auto error = one.find("error");
    failures += error == one.end() ? 0 : 1;
    table.add({options.group, text_of(one, "topic"), text_of(one, "partition"), text_of(one, "before"),
               text_of(one, "after"), error == one.end() ? "" : text_of(*error, "message")});
  }
  out.json() ? out.print(answer->body) : table.print(out);
  if (!out.finish()) return exit_failed;
  if (failures > 0) return complain(std::to_string(failures) + " partitions were left as they are");
  if (!options.execute && !out.json()) complain("nothing was changed; --execute does it", exit_ok);
  return exit_ok;
}

}  // namespace troupe::cli
