#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http/rest/json_body.hpp"
#include "http/rest/rest.hpp"

/// Confluent's REST API, version 3, as far as it is about clusters, brokers, topics and groups. rest-api.md B2
namespace troupe::http::v3 {

/// Where the resources of one answer are: below /v3 or /kafka/v3, whichever the client asked, of the host by which it asked.
struct Origin {
  std::string base = {};        ///< "http://localhost:8080/v3"
  std::string cluster_id = {};  ///< as it is written in URLs and answers

  /// `path` is below the cluster: "/topics/a", or empty for the cluster itself.
  std::string url(std::string_view path) const { return base + "/clusters/" + cluster_id + std::string(path); }
};
Origin origin_of(const Rest& rest, const Request& request);

/// {"related": url}
Json related(const Origin& origin, std::string_view path);
/// kind, metadata and cluster_id of one resource. `name`: its parts below the cluster, "topic=a/partition=0".
Json resource(const Origin& origin, std::string_view kind, std::string_view path, std::string_view name);
/// `kind` of the list: "KafkaTopicList".
Json list(const Origin& origin, std::string_view kind, std::string_view path, Json data);

void answer(const CallPtr& call, const Json& json);
void answer_nothing(const CallPtr& call);
void refuse(const CallPtr& call, const HttpError& error);
/// By the table of error_mapping.hpp, but for what version 3 numbers in another way.
void refuse(const CallPtr& call, const Error& error);
/// 404 with 404 in the body.
HttpError not_found(std::string message);

/// The topic, or 404 40403 was answered.
metadata::TopicPtr find_topic(Rest& rest, const CallPtr& call, std::string_view name);
/// The partition of this number, or 404 was answered.
std::optional<PartitionId> find_partition(const CallPtr& call, const metadata::TopicImage& topic, std::string_view text);
/// The broker of this number, or 404 was answered.
std::optional<metadata::BrokerImage> find_broker(Rest& rest, const CallPtr& call, std::string_view text);

/// The object in the body, or an error was answered: 422 42206 when there is none, 400 for what is no such object.
std::optional<Json> read_body(const CallPtr& call, Request& request, std::initializer_list<std::string_view> known);

using Handler = void (*)(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);

/// A handler of what is below /v3/clusters/{cluster}: another cluster's id is 404.
template <Handler handler>
void in_cluster(Rest& rest, const CallPtr& call, Request& request) {
  const auto origin = origin_of(rest, request);
  const auto& wanted = request.parameters.front();
  if (wanted != origin.cluster_id) return refuse(call, not_found("Cluster " + shown(wanted) + " cannot be found."));
  handler(rest, call, request, origin);
}

// v3.cpp
void list_clusters(Rest& rest, const CallPtr& call, Request& request);
void show_cluster(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void list_cluster_configs(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void list_brokers(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void show_broker(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void list_broker_configs(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void show_broker_config(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);

// v3_topics.cpp
void list_topics(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void show_topic(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void create_topic(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void add_partitions(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void delete_topic(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);

// v3_configs.cpp
void list_topic_configs(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void list_all_topic_configs(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void show_topic_config(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void set_topic_config(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void reset_topic_config(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void alter_topic_configs(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);

// v3_partitions.cpp
void list_partitions(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void show_partition(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void show_offsets(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void list_replicas(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void show_replica(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void list_replicas_of_broker(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void show_reassignment(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void list_reassignments(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void list_all_reassignments(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);

// v3_groups.cpp
void list_consumer_groups(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void show_consumer_group(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void list_consumers(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void show_consumer(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void list_assignments(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void show_assignment(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void list_lags(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void show_lag(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);
void show_lag_summary(Rest& rest, const CallPtr& call, Request& request, const Origin& origin);

/// v3_routes.cpp
void add_routes(std::vector<Route>& all);

}  // namespace troupe::http::v3
