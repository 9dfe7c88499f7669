#include "core/metadata/controller.hpp"

#include <algorithm>

#include "core/metadata/image_builder.hpp"
#include "core/metadata/partition_change.hpp"
#include "core/metadata/placement.hpp"

namespace troupe::metadata {
namespace {

Error unknown_topic(std::string_view name) {
  return {Errc::unknown_topic_or_partition, "there is no topic \"" + std::string(name) + "\""};
}

Status check_new_name(const MetadataImage& image, const std::string& name, Requester requester) {
  TROUPE_TRY(check_topic_name(name));
  if (requester == Requester::client && is_internal_topic(name)) {
    return Error{Errc::invalid_topic_exception, "names that begin with \"__\" are for internal topics: \"" + name + "\""};
  }
  const auto other = image.find_colliding_topic(name);
  if (!other) return ok();
  if (other->name == name) return Error{Errc::topic_already_exists, "topic \"" + name + "\" exists already"};
  return Error{Errc::invalid_topic_exception, "\"" + name + "\" and the topic \"" + other->name +
                                                  "\" differ in '.' and '_' only: metrics could not tell them apart"};
}

Result<TopicPtr> existing_topic(const MetadataImage& image, std::string_view name, Requester requester) {
  auto topic = image.find_topic(name);
  if (!topic) return unknown_topic(name);
  if (requester == Requester::client && is_internal_topic(name)) {
    return Error{Errc::topic_authorization_failed, "\"" + std::string(name) + "\" is an internal topic"};
  }
  return topic;
}

Status check_config(const std::map<std::string, std::string>& config, const ControllerLimits& limits) {
  for (const auto& [name, value] : config) {
    if (name.size() > metadata_string_bytes_max) {
      return Error{Errc::invalid_config, "the name of a topic setting has " + std::to_string(name.size()) + " bytes"};
    }
    if (value.size() > limits.config_value_bytes_max) {
      return Error{Errc::invalid_config, name + " has a value of " + std::to_string(value.size()) + " bytes, at most " +
                                             std::to_string(limits.config_value_bytes_max) + " are allowed"};
    }
  }
  TROUPE_TRY(parse_topic_config(config));
  return ok();
}

/// A setting that is reset. The error is the one that setting it would give.
Status check_setting_exists(const std::string& name) {
  const auto fields = topic_config_fields();
  if (std::ranges::find(fields, name, &TopicConfigField::name) != fields.end()) return ok();
  TROUPE_TRY(parse_topic_config({{name, ""}}));
  return ok();
}

Status check_partitions(const MetadataImage& image, std::int32_t wanted, std::int32_t existing,
                        std::size_t replication_factor, const ControllerLimits& limits) {
  if (wanted < 1 || wanted > limits.topic_partitions_max) {
    return Error{Errc::invalid_partitions,
                 std::to_string(wanted) + " partitions: a topic has 1 to " + std::to_string(limits.topic_partitions_max)};
  }
  const auto added = static_cast<std::size_t>(wanted - existing) * replication_factor;
  const auto replicas_max = limits.broker_replicas_max * image.registrations().size();
  if (image.replica_count() + added > replicas_max) {
    return Error{Errc::policy_violation, std::to_string(added) + " more partitions: there are " +
                                             std::to_string(image.replica_count()) + " of at most " +
                                             std::to_string(replicas_max) + " (" +
                                             std::to_string(limits.broker_replicas_max) + " a node, replicas counted)"};
  }
  return ok();
}

std::size_t min_insync_replicas_for(std::size_t replication_factor) { return replication_factor / 2 + 1; }

/// By default as many as brokers that take copies, at most three. One that is down counts, and gets its copy when it is back, as long as
/// those that live are enough in sync to write to the topic meanwhile.
Result<std::size_t> replication_factor_of(const MetadataImage& image, std::optional<std::int32_t> wanted) {
  constexpr std::size_t default_max = 3;
  if (image.registrations().empty()) return Error{Errc::leader_not_available, "no broker is registered yet: try again"};
  const auto brokers = placeable_brokers(image);
  if (brokers == 0) return Error{Errc::leader_not_available, "all brokers are draining: none takes new partitions"};
  if (!wanted) {
    const auto live = static_cast<std::size_t>(std::ranges::count_if(
        image.registrations(), [](const BrokerRegistration& one) { return !one.draining && !one.fenced; }));
    auto replicas = std::min(brokers, default_max);
    while (replicas > 1 && min_insync_replicas_for(replicas) > live) --replicas;
    return replicas;
  }
  TROUPE_TRY(check_replication_factor(image, *wanted));
  return static_cast<std::size_t>(*wanted);
}

/// Replicas as they were asked for: every partition as many, each on a broker that is registered.
Status check_assignments(const MetadataImage& image, const CreateTopicRequest& request) {
  const auto wrong = [](std::size_t partition, const std::string& what) {
    return Error{Errc::invalid_replica_assignment, "partition " + std::to_string(partition) + " " + what};
  };
  const auto& all = request.assignments;
  const auto replicas = all.front().size();
  if (request.partitions.value_or(static_cast<std::int32_t>(all.size())) != static_cast<std::int32_t>(all.size())) {
    return Error{Errc::invalid_partitions, std::to_string(*request.partitions) +
                                               " partitions were asked for, and replicas for " + std::to_string(all.size())};
  }
  if (request.replication_factor.value_or(static_cast<std::int32_t>(replicas)) != static_cast<std::int32_t>(replicas)) {
    return wrong(0, "has another number of replicas than the replication factor says");
  }
  const BrokerStates brokers{image};
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].empty()) return wrong(i, "has no replicas");
    if (all[i].size() != replicas) return wrong(i, "has another number of replicas than partition 0");
    for (std::size_t j = 0; j < all[i].size(); ++j) {
      const auto broker = all[i][j];
      if (brokers.find(broker) == nullptr)
        return wrong(i, "is to be on broker " + to_string(broker) + ", which is not registered");
      if (has_broker(std::span{all[i]}.first(j), broker))
        return wrong(i, "is to be on broker " + to_string(broker) + " twice");
    }
    const auto lives = [&](BrokerId broker) { return brokers.fitness(broker) != Fitness::fenced; };
    if (std::ranges::none_of(all[i], lives)) return wrong(i, "is to be on brokers of which none is alive");
  }
  return ok();
}

std::string min_insync_replicas_by_default(std::size_t replication_factor) {
  return std::to_string(min_insync_replicas_for(replication_factor));
}
constexpr const char* min_insync_replicas_name = "min.insync.replicas";

void add_partitions(std::vector<MetadataRecord>& records, const MetadataImage& image, const TopicId& id, std::int32_t first,
                    std::vector<std::vector<BrokerId>> replicas) {
  for (auto& one : replicas) records.emplace_back(new_partition(image, id, PartitionId{first++}, std::move(one)));
}

/// Eligible leader replicas hold what is committed as long as the ISR is too small to commit more. With a lower minimum it is not.
void forget_eligible_leaders(std::vector<MetadataRecord>& records, const MetadataImage& image, const TopicImage& topic,
                             const TopicConfig& config) {
  auto next = topic;
  next.config = config;
  const BrokerStates brokers{image};
  for (std::int32_t i = 0; i < topic.partition_count(); ++i) {
    const auto& partition = topic.partitions[static_cast<std::size_t>(i)];
    if (partition.eligible_leader_replicas.empty()) continue;
    PartitionChange change{brokers, next, PartitionId{i}, partition};
    if (auto record = change.finish()) records.emplace_back(std::move(*record));
  }
}

}  // namespace

Result<TopicDecision> decide_create(const MetadataImage& image, const CreateTopicRequest& request, Requester requester,
                                    const std::function<Uuid()>& new_uuid, const ControllerLimits& limits) {
  TROUPE_TRY(check_new_name(image, request.name, requester));
  const bool assigned = !request.assignments.empty();
  if (assigned) TROUPE_TRY(check_assignments(image, request));
  TROUPE_TRY_ASSIGN(const auto replication_factor, assigned ? Result<std::size_t>{request.assignments.front().size()}
                                                            : replication_factor_of(image, request.replication_factor));
  const auto partitions = assigned ? static_cast<std::int32_t>(request.assignments.size()) : request.partitions.value_or(1);
  TROUPE_TRY(check_partitions(image, partitions, 0, replication_factor, limits));
  if (image.topic_count() >= limits.topics_max) {
    return Error{Errc::policy_violation, "there are " + std::to_string(image.topic_count()) + " topics, at most " +
                                             std::to_string(limits.topics_max) + " are allowed"};
  }
  auto config = request.config;
  if (replication_factor > 1)
    config.try_emplace(min_insync_replicas_name, min_insync_replicas_by_default(replication_factor));
  TROUPE_TRY(check_config(config, limits));
  TROUPE_TRY_ASSIGN(auto replicas, assigned ? Result<std::vector<std::vector<BrokerId>>>{request.assignments}
                                            : place_replicas(image, {.partitions = static_cast<std::size_t>(partitions),
                                                                     .replication_factor = replication_factor,
                                                                     .start = image.topic_count()}));

  TopicDecision decision;
  do {
    decision.topic = new_uuid();
  } while (decision.topic.is_nil() || image.find_topic(decision.topic));
  decision.records.reserve(1 + config.size() + static_cast<std::size_t>(partitions));
  decision.records.emplace_back(TopicRecord{decision.topic, request.name});
  for (const auto& [name, value] : config) {
    decision.records.emplace_back(TopicConfigRecord{decision.topic, name, value});
  }
  add_partitions(decision.records, image, decision.topic, 0, std::move(replicas));
  return decision;
}

Result<TopicDecision> decide_alter(const MetadataImage& image, const AlterTopicRequest& request, Requester requester,
                                   const ControllerLimits& limits) {
  TROUPE_TRY_ASSIGN(const auto topic, existing_topic(image, request.name, requester));
  TopicDecision decision;
  decision.topic = topic->id;

  const auto replication_factor = topic->partitions.empty() ? std::size_t{1} : topic->partitions.front().replicas.size();
  auto config = topic->config_overrides;
  for (auto [name, value] : request.config) {
    if (!value && name == min_insync_replicas_name && replication_factor > 1) {
      value = min_insync_replicas_by_default(replication_factor);
    }
    const auto old = config.find(name);
    const bool was_set = old != config.end();
    if (value ? !was_set || old->second != *value : was_set) {
      decision.records.emplace_back(TopicConfigRecord{topic->id, name, value});
    }
    if (value) {
      config[name] = *value;
    } else {
      TROUPE_TRY(check_setting_exists(name));
      config.erase(name);
    }
  }
  TROUPE_TRY(check_config(config, limits));
  if (!decision.records.empty()) {
    TROUPE_TRY_ASSIGN(const auto parsed, parse_topic_config(config));
    forget_eligible_leaders(decision.records, image, *topic, parsed);
  }

  if (request.partitions) {
    const auto existing = topic->partition_count();
    if (*request.partitions <= existing) {
      return Error{Errc::invalid_partitions, "\"" + topic->name + "\" has " + std::to_string(existing) +
                                                 " partitions already, " + std::to_string(*request.partitions) +
                                                 " were asked for: they can only become more"};
    }
    TROUPE_TRY(check_partitions(image, *request.partitions, existing, replication_factor, limits));
    auto replicas = place_replicas(image, {.partitions = static_cast<std::size_t>(*request.partitions - existing),
                                           .replication_factor = replication_factor,
                                           .existing = topic->partitions});
    if (!replicas) {
      return Error{Errc::leader_not_available, "partitions like those that \"" + topic->name +
                                                   "\" has cannot be placed now: " + replicas.error().message};
    }
    add_partitions(decision.records, image, topic->id, existing, std::move(*replicas));
  }
  return decision;
}

Result<TopicDecision> decide_delete(const MetadataImage& image, std::string_view name, Requester requester) {
  TROUPE_TRY_ASSIGN(const auto topic, existing_topic(image, name, requester));
  return TopicDecision{topic->id, {TopicRemovedRecord{topic->id}}};
}

Result<TopicPtr> preview(const MetadataImage& image, const TopicDecision& decision) {
  ImageBuilder builder{std::make_shared<const MetadataImage>(image)};
  for (const auto& record : decision.records) TROUPE_TRY(builder.apply(record, image.applied()));
  const auto topic = builder.image().find_topic(decision.topic);
  TROUPE_ASSERT(topic != nullptr);
  return TopicPtr{std::make_shared<const TopicImage>(*topic)};  // a builder's topics may go on changing
}

}  // namespace troupe::metadata
