#include <algorithm>

#include "http/rest/v3.hpp"

/// Partitions, their replicas, and where replicas are on their way to.
namespace troupe::http::v3 {
namespace {

/// One partition of a topic that is there.
struct Partition {
  const metadata::TopicImage& topic;
  PartitionId id;

  const metadata::PartitionImage& image() const { return topic.partitions[static_cast<std::size_t>(id.value())]; }
  std::string path() const { return "/topics/" + topic.name + "/partitions/" + to_string(id); }
  std::string name() const { return "topic=" + topic.name + "/partition=" + to_string(id); }
};

template <class Visit>
void for_each_partition(const metadata::TopicImage& topic, Visit visit) {
  for (std::int32_t i = 0; i < topic.partition_count(); ++i) visit(Partition{topic, PartitionId{i}});
}

std::string replica_path(const Partition& partition, BrokerId broker) {
  return partition.path() + "/replicas/" + to_string(broker);
}

Json partition_resource(const Origin& origin, std::string_view kind, const Partition& partition, std::string_view below,
                        std::string_view name) {
  auto json = resource(origin, kind, partition.path() + std::string(below), partition.name() + std::string(name));
  json["topic_name"] = partition.topic.name;
  json["partition_id"] = partition.id.value();
  return json;
}

Json partition_json(const Origin& origin, const Partition& partition) {
  auto json = partition_resource(origin, "KafkaPartition", partition, "", "");
  const auto leader = partition.image().leader;
  if (leader.value() >= 0) json["leader"] = related(origin, replica_path(partition, leader));
  json["replicas"] = related(origin, partition.path() + "/replicas");
  json["reassignment"] = related(origin, partition.path() + "/reassignment");
  return json;
}

Json replica_json(const Origin& origin, const Partition& partition, BrokerId broker) {
  const auto& image = partition.image();
  auto json = partition_resource(origin, "KafkaReplica", partition, "/replicas/" + to_string(broker),
                                 "/replica=" + to_string(broker));
  json["broker_id"] = broker.value();
  json["is_leader"] = image.leader == broker;
  json["is_in_sync"] = std::ranges::find(image.isr, broker) != image.isr.end();
  json["broker"] = related(origin, "/brokers/" + to_string(broker));
  return json;
}

Json numbers(const std::vector<BrokerId>& brokers) {
  Json all = Json::array();
  for (const auto broker : brokers) all.push_back(broker.value());
  return all;
}

Json reassignment_json(const Origin& origin, const Partition& partition) {
  auto json = partition_resource(origin, "KafkaReassignment", partition, "/reassignment", "/reassignment");
  json["adding_replicas"] = numbers(partition.image().adding_replicas);
  json["removing_replicas"] = numbers(partition.image().removing_replicas);
  json["replicas"] = related(origin, partition.path() + "/replicas");
  return json;
}

void append_reassignments(Json& data, const Origin& origin, const metadata::TopicImage& topic) {
  for_each_partition(topic, [&](const Partition& one) {
    if (one.image().is_reassigned()) data.push_back(reassignment_json(origin, one));
  });
}

/// Calls `use(Partition)` with the partition that the request names, or 404 was answered.
template <class Use>
void with_partition(Rest& rest, const CallPtr& call, const Request& request, Use use) {
  const auto topic = find_topic(rest, call, request.parameters[1]);
  if (!topic) return;
  if (const auto partition = find_partition(call, *topic, request.parameters[2])) use(Partition{*topic, *partition});
}

}  // namespace

void list_partitions(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  const auto topic = find_topic(rest, call, request.parameters[1]);
  if (!topic) return;
  Json data = Json::array();
  for_each_partition(*topic, [&](const Partition& one) { data.push_back(partition_json(origin, one)); });
  answer(call, list(origin, "KafkaPartitionList", "/topics/" + topic->name + "/partitions", std::move(data)));
}

void show_partition(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  with_partition(rest, call, request, [&](const Partition& one) { answer(call, partition_json(origin, one)); });
}

void show_offsets(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  const auto type = request.query.find("offset_type").value_or("earliest_and_latest");
  if (type != "earliest_and_latest") return refuse(call, bad_request("offset_type is earliest_and_latest"));
  with_partition(rest, call, request, [&](const Partition& one) {
    auto json = partition_resource(origin, "KafkaPartitionWithOffsets", one, "/offset", "/offset");
    auto reply = [json = std::move(json)](const CallPtr& to, Result<OffsetAnswer> found) mutable {
      if (!found) return refuse(to, found.error());
      json["earliest_offset"] = found->log_start_offset.value();
      json["latest_offset"] = found->high_watermark.value();
      answer(to, json);
    };
    rest.broker.find_offset({one.topic.id, one.id}, {OffsetSpec::Kind::latest},
                            reply_on<OffsetAnswer>(call, std::move(reply)));
  });
}

void list_replicas(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  with_partition(rest, call, request, [&](const Partition& one) {
    Json data = Json::array();
    for (const auto broker : one.image().replicas) data.push_back(replica_json(origin, one, broker));
    answer(call, list(origin, "KafkaReplicaList", one.path() + "/replicas", std::move(data)));
  });
}

void show_replica(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  with_partition(rest, call, request, [&](const Partition& one) {
    for (const auto broker : one.image().replicas) {
      if (to_string(broker) == request.parameters[3]) return answer(call, replica_json(origin, one, broker));
    }
    refuse(call, not_found("Replica " + shown(request.parameters[3]) + " of partition " + to_string(one.id) + " of topic " +
                           one.topic.name + " cannot be found."));
  });
}

void list_replicas_of_broker(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  const auto broker = find_broker(rest, call, request.parameters[1]);
  if (!broker) return;
  Json data = Json::array();
  for (const auto& topic : rest.broker.topics()) {
    for_each_partition(*topic, [&](const Partition& one) {
      const auto& replicas = one.image().replicas;
      if (std::ranges::find(replicas, broker->id) != replicas.end()) data.push_back(replica_json(origin, one, broker->id));
    });
  }
  answer(call,
         list(origin, "KafkaReplicaList", "/brokers/" + to_string(broker->id) + "/partition-replicas", std::move(data)));
}

void show_reassignment(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  with_partition(rest, call, request, [&](const Partition& one) {
    if (one.image().is_reassigned()) return answer(call, reassignment_json(origin, one));
    refuse(call, not_found("Partition " + to_string(one.id) + " of topic " + one.topic.name + " is not reassigned."));
  });
}

void list_reassignments(Rest& rest, const CallPtr& call, Request& request, const Origin& origin) {
  const auto topic = find_topic(rest, call, request.parameters[1]);
  if (!topic) return;
  Json data = Json::array();
  append_reassignments(data, origin, *topic);
  answer(call,
         list(origin, "KafkaReassignmentList", "/topics/" + topic->name + "/partitions/-/reassignment", std::move(data)));
}

void list_all_reassignments(Rest& rest, const CallPtr& call, Request&, const Origin& origin) {
  Json data = Json::array();
  for (const auto& topic : rest.broker.topics()) append_reassignments(data, origin, *topic);
  answer(call, list(origin, "KafkaReassignmentList", "/topics/-/partitions/-/reassignment", std::move(data)));
}

}  // namespace troupe::http::v3
