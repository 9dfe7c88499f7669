#include "http/rest/v3.hpp"

namespace troupe::http::v3 {
namespace {

using Parameters = std::vector<QueryParameter>;

class Table {
 public:
  explicit Table(std::vector<Route>& all) : all_(all) {}

  void read(std::string_view pattern, std::string_view op, std::string_view summary, Route::Handler handler,
            Parameters query = {}, std::vector<unsigned> statuses = {200, 404}) {
    add({Method::get, pattern, op, summary, Dialect::v3, handler, std::move(query), {}, std::move(statuses)});
  }
  void write(Method method, std::string_view pattern, std::string_view op, std::string_view summary, Route::Handler handler,
             std::vector<unsigned> statuses) {
    add({method, pattern, op, summary, Dialect::v3, handler, {}, {"application/json"}, std::move(statuses)});
  }
  void remove(std::string_view pattern, std::string_view op, std::string_view summary, Route::Handler handler) {
    add({Method::delete_, pattern, op, summary, Dialect::v3, handler, {}, {}, {204, 403, 404}});
  }

 private:
  void add(Route route) {
    route.also_below = "kafka";
    all_.push_back(std::move(route));
  }

  std::vector<Route>& all_;
};

void add_cluster(Table& table) {
  table.read("/v3/clusters", "v3_clusters", "The cluster, as a list of one", list_clusters, {}, {200});
  table.read("/v3/clusters/{cluster}", "v3_cluster", "The cluster", in_cluster<show_cluster>);
  table.read("/v3/clusters/{cluster}/broker-configs", "v3_cluster_configs",
             "Settings of all brokers that were changed while they run: none", in_cluster<list_cluster_configs>);
  table.read("/v3/clusters/{cluster}/brokers", "v3_brokers", "All brokers", in_cluster<list_brokers>);
  table.read("/v3/clusters/{cluster}/brokers/{broker}", "v3_broker", "One broker", in_cluster<show_broker>);
  table.read("/v3/clusters/{cluster}/brokers/{broker}/configs", "v3_broker_configs",
             "A broker's settings; another node sends there", in_cluster<list_broker_configs>, {}, {200, 307, 404});
  table.read("/v3/clusters/{cluster}/brokers/{broker}/configs/{name}", "v3_broker_config", "One of a broker's settings",
             in_cluster<show_broker_config>, {}, {200, 307, 404});
  table.read("/v3/clusters/{cluster}/brokers/{broker}/partition-replicas", "v3_broker_replicas",
             "The replicas that a broker has", in_cluster<list_replicas_of_broker>);
}

void add_topics(Table& table) {
  const Parameters operations{{"includeAuthorizedOperations", "boolean", "true: with what the client may do"}};
  const Parameters operations_of_one{{"include_authorized_operations", "boolean", "true: with what the client may do"}};
  table.read("/v3/clusters/{cluster}/topics", "v3_topics", "All topics by name", in_cluster<list_topics>, operations);
  table.write(Method::post, "/v3/clusters/{cluster}/topics", "v3_create_topic", "Creates a topic", in_cluster<create_topic>,
              {200, 201, 400, 404, 415, 422});
  table.read("/v3/clusters/{cluster}/topics/{topic}", "v3_topic", "One topic", in_cluster<show_topic>, operations_of_one);
  table.write(Method::patch, "/v3/clusters/{cluster}/topics/{topic}", "v3_add_partitions", "Adds partitions",
              in_cluster<add_partitions>, {200, 400, 403, 404, 415, 422});
  table.remove("/v3/clusters/{cluster}/topics/{topic}", "v3_delete_topic", "Deletes a topic and its records",
               in_cluster<delete_topic>);
}

void add_configs(Table& table) {
  table.read("/v3/clusters/{cluster}/topics/-/configs", "v3_all_topic_configs", "The settings of all topics",
             in_cluster<list_all_topic_configs>);
  table.read("/v3/clusters/{cluster}/topics/{topic}/configs", "v3_topic_configs", "A topic's settings",
             in_cluster<list_topic_configs>);
  table.write(Method::post, "/v3/clusters/{cluster}/topics/{topic}/configs:alter", "v3_alter_topic_configs",
              "Changes a topic's settings, all or none", in_cluster<alter_topic_configs>, {204, 400, 403, 404, 415, 422});
  table.read("/v3/clusters/{cluster}/topics/{topic}/configs/{name}", "v3_topic_config", "One of a topic's settings",
             in_cluster<show_topic_config>);
  table.write(Method::put, "/v3/clusters/{cluster}/topics/{topic}/configs/{name}", "v3_set_topic_config",
              "Changes one of a topic's settings", in_cluster<set_topic_config>, {204, 400, 403, 404, 415, 422});
  table.remove("/v3/clusters/{cluster}/topics/{topic}/configs/{name}", "v3_reset_topic_config",
               "Sets one of a topic's settings back to its default", in_cluster<reset_topic_config>);
}

/// What has a word in a place comes before what takes anything there.
void add_partitions_and_replicas(Table& table) {
  table.read("/v3/clusters/{cluster}/topics/-/partitions/-/reassignment", "v3_all_reassignments",
             "The partitions that are being reassigned", in_cluster<list_all_reassignments>);
  table.read("/v3/clusters/{cluster}/topics/{topic}/partitions/-/reassignment", "v3_reassignments",
             "A topic's partitions that are being reassigned", in_cluster<list_reassignments>);
  table.read("/v3/clusters/{cluster}/topics/{topic}/partitions", "v3_partitions", "A topic's partitions",
             in_cluster<list_partitions>);
  table.read("/v3/clusters/{cluster}/topics/{topic}/partitions/{partition}", "v3_partition", "One partition",
             in_cluster<show_partition>);
  table.read("/v3/clusters/{cluster}/topics/{topic}/partitions/{partition}/offset", "v3_offsets",
             "A partition's first and next offset", in_cluster<show_offsets>,
             {{"offset_type", "string", "earliest_and_latest"}}, {200, 400, 404, 503});
  table.read("/v3/clusters/{cluster}/topics/{topic}/partitions/{partition}/reassignment", "v3_reassignment",
             "Where a partition's replicas are going; 404 when they stay", in_cluster<show_reassignment>);
  table.read("/v3/clusters/{cluster}/topics/{topic}/partitions/{partition}/replicas", "v3_replicas",
             "A partition's replicas, the preferred leader first", in_cluster<list_replicas>);
  table.read("/v3/clusters/{cluster}/topics/{topic}/partitions/{partition}/replicas/{broker}", "v3_replica", "One replica",
             in_cluster<show_replica>);
}

void add_groups(Table& table) {
  const std::vector<unsigned> statuses{200, 404, 503};
  table.read("/v3/clusters/{cluster}/consumer-groups", "v3_groups", "All consumer groups", in_cluster<list_consumer_groups>,
             {}, statuses);
  table.read("/v3/clusters/{cluster}/consumer-groups/{group}", "v3_group", "One consumer group",
             in_cluster<show_consumer_group>, {}, statuses);
  table.read("/v3/clusters/{cluster}/consumer-groups/{group}/consumers", "v3_consumers", "A group's members",
             in_cluster<list_consumers>, {}, statuses);
  table.read("/v3/clusters/{cluster}/consumer-groups/{group}/consumers/{consumer}", "v3_consumer",
             "One of a group's members", in_cluster<show_consumer>, {}, statuses);
  table.read("/v3/clusters/{cluster}/consumer-groups/{group}/consumers/{consumer}/assignments", "v3_assignments",
             "What a member reads", in_cluster<list_assignments>, {}, statuses);
  table.read(
      "/v3/clusters/{cluster}/consumer-groups/{group}/consumers/{consumer}/assignments/{topic}/partitions/{partition}",
      "v3_assignment", "One partition that a member reads", in_cluster<show_assignment>, {}, statuses);
  table.read("/v3/clusters/{cluster}/consumer-groups/{group}/lags", "v3_lags",
             "How far a group is behind in each partition, the farthest first", in_cluster<list_lags>, {}, statuses);
  table.read("/v3/clusters/{cluster}/consumer-groups/{group}/lags/{topic}/partitions/{partition}", "v3_lag",
             "How far a group is behind in one partition", in_cluster<show_lag>, {}, statuses);
  table.read("/v3/clusters/{cluster}/consumer-groups/{group}/lag-summary", "v3_lag_summary",
             "How far a group is behind in all", in_cluster<show_lag_summary>, {}, statuses);
}

}  // namespace

void add_routes(std::vector<Route>& all) {
  Table table(all);
  add_cluster(table);
  add_topics(table);
  add_configs(table);
  add_partitions_and_replicas(table);
  add_groups(table);
}

}  // namespace troupe::http::v3
