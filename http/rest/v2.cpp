#include <algorithm>

#include "http/rest/answers.hpp"
#include "http/rest/handlers.hpp"
#include "http/rest/json_body.hpp"

/// Confluent's REST proxy, version 2: what needs no consumer. rest-api.md B1.2
namespace troupe::http {
namespace {

Json partition_json(std::size_t number, const metadata::PartitionImage& image) {
  Json replicas = Json::array();
  for (const auto broker : image.replicas) {
    const bool in_sync = std::ranges::find(image.isr, broker) != image.isr.end();
    replicas.push_back({{"broker", broker.value()}, {"leader", broker == image.leader}, {"in_sync", in_sync}});
  }
  return {{"partition", number}, {"leader", image.leader.value()}, {"replicas", std::move(replicas)}};
}

Json partitions_json(const metadata::TopicImage& topic) {
  Json all = Json::array();
  for (std::size_t i = 0; i < topic.partitions.size(); ++i) all.push_back(partition_json(i, topic.partitions[i]));
  return all;
}

void answer(const CallPtr& call, const Json& json) { call->answer({.content_type = v2_type, .body = dump(json)}); }

}  // namespace

void root_v2(Rest&, const CallPtr& call, Request&) { call->answer({.content_type = v2_type, .body = "{}"}); }

void list_brokers_v2(Rest& rest, const CallPtr& call, Request&) {
  Json ids = Json::array();
  for (const auto& broker : rest.broker.cluster().brokers) ids.push_back(broker.id.value());
  answer(call, {{"brokers", std::move(ids)}});
}

void list_topics_v2(Rest& rest, const CallPtr& call, Request&) {
  Json names = Json::array();
  for (const auto& topic : rest.broker.topics()) names.push_back(topic->name);
  answer(call, names);
}

void describe_topic_v2(Rest& rest, const CallPtr& call, Request& request) {
  const auto topic = find_topic(rest, call, request);
  if (!topic) return;
  Json config = Json::object();
  for (const auto& [name, value] : metadata::topic_config_entries(topic->config_overrides)) config[name] = value;
  answer(call, {{"name", topic->name}, {"configs", std::move(config)}, {"partitions", partitions_json(*topic)}});
}

void list_partitions_v2(Rest& rest, const CallPtr& call, Request& request) {
  if (const auto topic = find_topic(rest, call, request)) answer(call, partitions_json(*topic));
}

void describe_partition_v2(Rest& rest, const CallPtr& call, Request& request) {
  const auto topic = find_topic(rest, call, request);
  if (!topic) return;
  const auto partition = find_partition(call, request, *topic, request.parameters[1]);
  if (!partition) return;
  const auto number = static_cast<std::size_t>(partition->value());
  answer(call, partition_json(number, topic->partitions[number]));
}

void partition_offsets_v2(Rest& rest, const CallPtr& call, Request& request) {
  const auto topic = find_topic(rest, call, request);
  if (!topic) return;
  const auto partition = find_partition(call, request, *topic, request.parameters[1]);
  if (!partition) return;
  rest.broker.find_offset(
      {topic->id, *partition}, {OffsetSpec::Kind::latest},
      reply_on<OffsetAnswer>(call, [](const CallPtr& to, Result<OffsetAnswer> found) {
        if (!found) return answer_error(to, Dialect::v2, read_error(found.error()));
        answer(to, {{"beginning_offset", found->log_start_offset.value()}, {"end_offset", found->high_watermark.value()}});
      }));
}

}  // namespace troupe::http
