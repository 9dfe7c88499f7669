#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/cluster_api.hpp"
#include "http/rest/json_body.hpp"
#include "http/rest/rest.hpp"

/// What the routes below /v1/cluster share.
namespace troupe::http {

/// [1,2,3]
Json numbers_json(const std::vector<BrokerId>& ids);
/// null for no_broker.
Json broker_json(BrokerId id);
/// {"code":"conflict","reason":"election_not_needed","message":"..."}: one of several, in an answer that is none.
Json error_json(const Error& error);

/// The broker that the route's only segment names; nullopt: 400 was answered.
std::optional<BrokerId> find_broker_id(const CallPtr& call, const Request& request);
/// 404: no such broker is registered.
std::optional<HttpError> check_broker(const metadata::MetadataImage& image, BrokerId id);

/// A whole number of [0, 2^31). 400 naming the field; `where` is before its name in the sentence.
std::optional<HttpError> read_id(const Json& object, std::string_view name, const std::string& where, std::int32_t& out);

/// {"topic":"orders","partition":3} and more.
struct NamedPartition {
  std::string topic = {};
  std::int32_t partition = 0;
  const Json* entry = nullptr;  ///< where it was read
};
inline constexpr std::size_t named_partitions_max = 10'000;
/// The array `name` of a body: objects with "topic", "partition" and no others than `more`, each partition once.
std::optional<HttpError> read_named_partitions(const Json& body, const char* name,
                                               std::initializer_list<std::string_view> more,
                                               std::vector<NamedPartition>& out);
/// Errors: unknown_topic_or_partition.
Result<TopicIdPartition> resolve(const metadata::MetadataImage& image, const NamedPartition& named);

}  // namespace troupe::http
