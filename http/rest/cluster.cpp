#include <algorithm>
#include <charconv>
#include <limits>

#include "core/metadata/cluster_report.hpp"
#include "http/rest/answers.hpp"
#include "http/rest/cluster_json.hpp"
#include "http/rest/handlers.hpp"

/// What people and machines ask about the cluster.
namespace troupe::http {
namespace {

Json partition_json(const metadata::PartitionAt& at) {
  const auto& now = at.image();
  return {{"topic", at.topic->name},
          {"partition", at.partition.value()},
          {"leader", broker_json(now.leader)},
          {"leader_epoch", now.leader_epoch.value()},
          {"replicas", numbers_json(now.replicas)},
          {"isr", numbers_json(now.isr)},
          {"elr", numbers_json(now.eligible_leader_replicas)},
          {"adding", numbers_json(now.adding_replicas)},
          {"removing", numbers_json(now.removing_replicas)},
          {"min_isr", at.topic->config.min_insync_replicas}};
}

std::string place_of(const metadata::PartitionAt& at) { return at.topic->name + ":" + to_string(at.partition); }

/// "orders:3"; nullopt: it is none.
std::optional<std::pair<std::string, PartitionId>> parse_place(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return std::nullopt;
  std::int32_t number = 0;
  const auto* const end_of_text = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data() + colon + 1, end_of_text, number);
  if (error != std::errc{} || end != end_of_text || number < 0) return std::nullopt;
  return std::pair{std::string(text.substr(0, colon)), PartitionId{number}};
}

std::optional<HttpError> read_query(const Query& query, metadata::PartitionQuery& out) {
  constexpr std::int64_t limit_max = 10'000;
  std::int64_t limit = static_cast<std::int64_t>(out.limit), broker = -1;
  if (auto wrong = read_number(query, "limit", 1, limit_max, false, limit)) return wrong;
  if (auto wrong = read_number(query, "broker", 0, std::numeric_limits<std::int32_t>::max(), false, broker)) return wrong;
  out.limit = static_cast<std::size_t>(limit);
  if (broker >= 0) out.broker = BrokerId{static_cast<std::int32_t>(broker)};
  if (const auto topic = query.find("topic")) out.topic = std::string(*topic);
  if (const auto only = query.find("only")) {
    out.only = metadata::parse_partition_filter(*only);
    if (!out.only) return bad_request("only is leaderless, under_replicated, under_min_isr, reassigning or not_preferred");
  }
  if (const auto after = query.find("after")) {
    out.after = parse_place(*after);
    if (!out.after) return bad_request("after is TOPIC:PARTITION, as next of the page before");
  }
  return std::nullopt;
}

Json actors_json(const std::vector<ActorInfo>& tree) {
  Json actors = Json::array();
  for (const auto& actor : tree) {
    actors.push_back({{"kind", actor.kind},
                      {"name", actor.name},
                      {"parent", actor.parent},
                      {"state", actor.state},
                      {"mailbox_depth", actor.mailbox_depth},
                      {"messages_handled", actor.messages_handled},
                      {"busy_ms", actor.busy_ms ? Json(*actor.busy_ms) : Json()},
                      {"restarts", actor.restarts},
                      {"last_error", actor.last_error ? Json(*actor.last_error) : Json()}});
  }
  return actors;
}

}  // namespace

void show_cluster(Rest& rest, const CallPtr& call, Request&) {
  const auto info = rest.broker.cluster();
  auto& api = rest.broker.cluster_api();
  const auto voters = api.voters();
  Json brokers = Json::array();
  for (const auto& one : metadata::report_brokers(*api.image())) {
    const auto& broker = one.broker;
    brokers.push_back({{"id", broker.id.value()},
                       {"host", broker.host},
                       {"port", broker.port},
                       {"rack", broker.rack.empty() ? Json() : Json(broker.rack)},
                       {"state", metadata::to_string(one.state)},
                       {"voter", std::ranges::find(voters, broker.id) != voters.end()},
                       {"leads", one.leads},
                       {"replicas", one.replicas},
                       {"epoch", one.epoch.value()}});
  }
  call->answer({.body = dump({{"cluster_id", to_string(info.cluster_id)},
                              {"node_id", info.node_id.value()},
                              {"controller_id", info.controller_id.value()},
                              {"brokers", std::move(brokers)}})});
}

namespace {

Response cluster_health(Rest& rest, const std::vector<BrokerId>& lost_voters) {
  auto& api = rest.broker.cluster_api();
  auto health = metadata::check_health(*api.image(), api.voters(), api.reachable(), lost_voters);
  // What this node alone knows: who does not take it and whom it does not take, and its disk.
  for (const auto& check : rest.broker.health().checks) {
    if (!check.ok && (check.name == "links" || check.name == "disk")) {
      health.problems.push_back("this node's " + check.name + ": " + check.detail);
    }
  }
  return {.body = dump({{"healthy", health.healthy()},
                        {"controller_id", health.controller.value()},
                        {"brokers", health.brokers},
                        {"brokers_up", health.brokers_up},
                        {"voters", health.voters},
                        {"voters_up", health.voters_up},
                        {"partitions", health.partitions},
                        {"leaderless", health.leaderless},
                        {"under_replicated", health.under_replicated},
                        {"under_min_isr", health.under_min_isr},
                        {"reassigning", health.reassigning},
                        {"not_preferred", health.not_preferred},
                        {"problems", health.problems}})};
}

}  // namespace

/// Whether a voter has lost its vote its leader knows, or whoever has heard it.
void show_cluster_health(Rest& rest, const CallPtr& call, Request&) {
  auto take = [&rest](const CallPtr& to, const Result<quorum::QuorumReport>& report) {
    to->answer(cluster_health(rest, report ? report->lost_voters() : std::vector<BrokerId>{}));
  };
  rest.broker.cluster_api().ask_quorum(quorum::DescribeQuorum{}, reply_on<quorum::QuorumReport>(call, std::move(take)));
}

void list_cluster_partitions(Rest& rest, const CallPtr& call, Request& request) {
  metadata::PartitionQuery query;
  if (const auto wrong = read_query(request.query, query)) return answer_error(call, request, *wrong);
  const auto image = rest.broker.cluster_api().image();
  const auto unknown = query.broker ? check_broker(*image, *query.broker) : std::nullopt;
  if (unknown) return answer_error(call, request, *unknown);
  if (query.topic && !image->find_topic(*query.topic)) {
    return answer_error(call, request,
                        http_error(Error{Errc::unknown_topic_or_partition, "there is no topic " + shown(*query.topic)}));
  }
  const auto page = metadata::find_partitions(*image, query);
  Json partitions = Json::array();
  for (const auto& at : page.partitions) partitions.push_back(partition_json(at));
  call->answer({.body = dump({{"partitions", std::move(partitions)},
                              {"next", page.more ? Json(place_of(page.partitions.back())) : Json()}})});
}

void list_reassignments(Rest& rest, const CallPtr& call, Request&) {
  const auto image = rest.broker.cluster_api().image();
  const metadata::PartitionQuery query{.only = metadata::PartitionFilter::reassigning,
                                       .limit = std::numeric_limits<std::size_t>::max()};
  Json all = Json::array();
  for (const auto& at : metadata::find_partitions(*image, query).partitions) {
    const auto& now = at.image();
    all.push_back({{"topic", at.topic->name},
                   {"partition", at.partition.value()},
                   {"replicas", numbers_json(now.replicas)},
                   {"adding", numbers_json(now.adding_replicas)},
                   {"removing", numbers_json(now.removing_replicas)},
                   {"isr", numbers_json(now.isr)}});
  }
  call->answer({.body = dump({{"reassignments", std::move(all)}})});
}

void show_tree(Rest& rest, const CallPtr& call, Request& request) {
  std::int64_t node = -1;
  const auto wrong = read_number(request.query, "node", 0, std::numeric_limits<std::int32_t>::max(), false, node);
  if (wrong) return answer_error(call, request, *wrong);
  std::vector<BrokerId> nodes;
  if (node >= 0) {
    // This node knows itself before the metadata does.
    const BrokerId id{static_cast<std::int32_t>(node)};
    const auto unknown =
        id == rest.broker.cluster().node_id ? std::nullopt : check_broker(*rest.broker.cluster_api().image(), id);
    if (unknown) return answer_error(call, request, *unknown);
    nodes.push_back(id);
  }
  auto take = [](const CallPtr& to, Result<std::vector<NodeTree>> trees) {
    if (!trees) return answer_error(to, Dialect::v1, read_error(trees.error()));
    Json all = Json::array();
    for (const auto& tree : *trees) {
      Json one{{"node_id", tree.node.value()}};
      tree.actors ? one["actors"] = actors_json(*tree.actors) : one["error"] = error_json(tree.actors.error());
      all.push_back(std::move(one));
    }
    to->answer({.body = dump({{"nodes", std::move(all)}})});
  };
  rest.broker.cluster_api().actor_trees(std::move(nodes), reply_on<std::vector<NodeTree>>(call, std::move(take)));
}

}  // namespace troupe::http
