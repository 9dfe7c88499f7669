#include "http/rest/handlers.hpp"

namespace troupe::http {

void add_v1_cluster(std::vector<Route>& all) {
  const std::vector<std::string_view> json_body{"application/json"};
  const auto add = [&](Method method, std::string_view pattern, std::string_view op, std::string_view summary,
                       Route::Handler handler, std::vector<unsigned> statuses) -> Route& {
    all.push_back({method, pattern, op, summary, Dialect::v1, handler, {}, {}, std::move(statuses)});
    return all.back();
  };
  add(Method::get, "/v1/cluster", "cluster", "The cluster's ids and nodes", show_cluster, {200});
  add(Method::get, "/v1/cluster/health", "cluster_health", "Whether all is well in the cluster, and what is not",
      show_cluster_health, {200})
      .while_starting = true;
  add(Method::get, "/v1/cluster/partitions", "cluster_partitions", "Partitions with their replicas, page by page",
      list_cluster_partitions, {200, 400, 404})
      .query = {{"topic", "string", "Only of this topic"},
                {"only", "string", "leaderless, under_replicated, under_min_isr, reassigning or not_preferred"},
                {"broker", "integer", "Only those of which this broker holds a replica"},
                {"limit", "integer", "At most so many: 1 to 10,000, by default 1,000"},
                {"after", "string", "Goes on where another page ended: its next"}};
  add(Method::post, "/v1/cluster/brokers/{broker}/drain", "drain_broker",
      "Moves leaderships away from a broker; repeated until left is 0", drain_broker, {200, 400, 404, 500, 503, 507});
  add(Method::post, "/v1/cluster/brokers/{broker}/undrain", "undrain_broker", "The broker is to be used again",
      undrain_broker, {200, 400, 404, 500, 503, 507});
  add(Method::delete_, "/v1/cluster/brokers/{broker}", "remove_broker",
      "Forgets a broker that has ended and holds no copies", remove_broker, {204, 400, 404, 409, 500, 503, 507});
  add(Method::post, "/v1/cluster/elections", "elect_leaders", "Elects leaders: preferred, named, or unclean", elect_leaders,
      {200, 400, 404, 415, 500, 503, 507})
      .body_types = json_body;
  add(Method::get, "/v1/cluster/reassignments", "reassignments", "Partitions that get other replicas", list_reassignments,
      {200});
  add(Method::post, "/v1/cluster/reassignments", "reassign_partitions", "Gives partitions other replicas, or calls that off",
      reassign_partitions, {200, 400, 415, 500, 503, 507})
      .body_types = json_body;
  add(Method::get, "/v1/cluster/quorum", "quorum", "The metadata quorum: who votes, and how far each is", show_quorum,
      {200, 503})
      .while_starting = true;
  add(Method::post, "/v1/cluster/quorum/voters", "add_voter", "Gives a broker a vote", add_voter,
      {200, 400, 404, 409, 415, 500, 503})
      .body_types = json_body;
  add(Method::delete_, "/v1/cluster/quorum/voters/{broker}", "remove_voter", "Takes a broker's vote", remove_voter,
      {200, 400, 404, 409, 500, 503});
  add(Method::post, "/v1/cluster/quorum/transfer", "transfer_quorum", "Another voter leads the quorum", transfer_quorum,
      {200, 400, 404, 409, 415, 500, 503})
      .body_types = json_body;
  auto& tree = add(Method::get, "/v1/cluster/tree", "tree", "The actors of all nodes, or of one, and their supervisors",
                   show_tree, {200, 400, 404, 503});
  tree.query = {{"node", "integer", "Only this node"}};
  tree.while_starting = true;
}

}  // namespace troupe::http
