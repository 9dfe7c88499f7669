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

// node.cpp
void show_cluster(Rest& rest, const CallPtr& call, Request& request);
void show_tree(Rest& rest, const CallPtr& call, Request& request);
void show_health(Rest& rest, const CallPtr& call, Request& request);
void show_live(Rest& rest, const CallPtr& call, Request& request);
void show_ready(Rest& rest, const CallPtr& call, Request& request);
void show_metrics(Rest& rest, const CallPtr& call, Request& request);
void show_openapi(Rest& rest, const CallPtr& call, Request& request);

}  // namespace troupe::http
