#pragma once

#include "http/rest/rest.hpp"

/// What the routes lead to. Each answers its call, now or later.
namespace troupe::http {

// produce.cpp
void produce_v1(Rest& rest, const CallPtr& call, Request& request);
void produce_v2(Rest& rest, const CallPtr& call, Request& request);

// read.cpp
void read_records(Rest& rest, const CallPtr& call, Request& request);
void read_partition(Rest& rest, const CallPtr& call, Request& request);
void read_key(Rest& rest, const CallPtr& call, Request& request);
void delete_records(Rest& rest, const CallPtr& call, Request& request);

// topics.cpp
void list_topics(Rest& rest, const CallPtr& call, Request& request);
void create_topic(Rest& rest, const CallPtr& call, Request& request);
void describe_topic(Rest& rest, const CallPtr& call, Request& request);
void alter_topic(Rest& rest, const CallPtr& call, Request& request);
void delete_topic(Rest& rest, const CallPtr& call, Request& request);

// v2.cpp
void root_v2(Rest& rest, const CallPtr& call, Request& request);
void list_brokers_v2(Rest& rest, const CallPtr& call, Request& request);
void list_topics_v2(Rest& rest, const CallPtr& call, Request& request);
void describe_topic_v2(Rest& rest, const CallPtr& call, Request& request);
void list_partitions_v2(Rest& rest, const CallPtr& call, Request& request);
void describe_partition_v2(Rest& rest, const CallPtr& call, Request& request);
void partition_offsets_v2(Rest& rest, const CallPtr& call, Request& request);

// consumers_v2.cpp
void create_instance(Rest& rest, const CallPtr& call, Request& request);
void delete_instance(Rest& rest, const CallPtr& call, Request& request);
void subscribe_instance(Rest& rest, const CallPtr& call, Request& request);
void show_subscription(Rest& rest, const CallPtr& call, Request& request);
void unsubscribe_instance(Rest& rest, const CallPtr& call, Request& request);
void assign_instance(Rest& rest, const CallPtr& call, Request& request);
void show_assignment(Rest& rest, const CallPtr& call, Request& request);
void read_instance(Rest& rest, const CallPtr& call, Request& request);
void commit_instance(Rest& rest, const CallPtr& call, Request& request);
void show_committed(Rest& rest, const CallPtr& call, Request& request);
void seek_instance(Rest& rest, const CallPtr& call, Request& request);
void seek_instance_to_beginning(Rest& rest, const CallPtr& call, Request& request);
void seek_instance_to_end(Rest& rest, const CallPtr& call, Request& request);
/// The rows below /consumers.
void add_v2_consumers(std::vector<Route>& all);

// cluster.cpp
void show_cluster(Rest& rest, const CallPtr& call, Request& request);
void show_cluster_health(Rest& rest, const CallPtr& call, Request& request);
void list_cluster_partitions(Rest& rest, const CallPtr& call, Request& request);
void list_reassignments(Rest& rest, const CallPtr& call, Request& request);
void show_tree(Rest& rest, const CallPtr& call, Request& request);

// cluster_changes.cpp
void drain_broker(Rest& rest, const CallPtr& call, Request& request);
void undrain_broker(Rest& rest, const CallPtr& call, Request& request);
void remove_broker(Rest& rest, const CallPtr& call, Request& request);
void elect_leaders(Rest& rest, const CallPtr& call, Request& request);
void reassign_partitions(Rest& rest, const CallPtr& call, Request& request);

// quorum.cpp
void show_quorum(Rest& rest, const CallPtr& call, Request& request);
void add_voter(Rest& rest, const CallPtr& call, Request& request);
void remove_voter(Rest& rest, const CallPtr& call, Request& request);
void transfer_quorum(Rest& rest, const CallPtr& call, Request& request);

/// cluster_routes.cpp: the rows below /v1/cluster.
void add_v1_cluster(std::vector<Route>& all);

// groups.cpp
void list_groups(Rest& rest, const CallPtr& call, Request& request);
void describe_group(Rest& rest, const CallPtr& call, Request& request);
void group_offsets(Rest& rest, const CallPtr& call, Request& request);
void pause_group(Rest& rest, const CallPtr& call, Request& request);
void resume_group(Rest& rest, const CallPtr& call, Request& request);
void delete_group(Rest& rest, const CallPtr& call, Request& request);

// group_changes.cpp
void reset_group(Rest& rest, const CallPtr& call, Request& request);
void delete_group_offsets(Rest& rest, const CallPtr& call, Request& request);
/// The rows below /v1/groups.
void add_v1_groups(std::vector<Route>& all);

// node.cpp
void show_health(Rest& rest, const CallPtr& call, Request& request);
void show_live(Rest& rest, const CallPtr& call, Request& request);
void show_ready(Rest& rest, const CallPtr& call, Request& request);
void show_metrics(Rest& rest, const CallPtr& call, Request& request);
void show_openapi(Rest& rest, const CallPtr& call, Request& request);

}  // namespace troupe::http
