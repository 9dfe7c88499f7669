#include "http/rest/cluster_json.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <set>
#include <utility>

#include "http/error_mapping.hpp"
#include "http/rest/answers.hpp"

namespace troupe::http {

Json numbers_json(const std::vector<BrokerId>& ids) {
  Json list = Json::array();
  for (const auto id : ids) list.push_back(id.value());
  return list;
}

Json broker_json(BrokerId id) { return id == no_broker ? Json() : Json(id.value()); }

Json error_json(const Error& error) {
  return {{"code", view_of(error.code).code}, {"reason", to_string(error.code)}, {"message", shown(error.message)}};
}

std::optional<BrokerId> find_broker_id(const CallPtr& call, const Request& request) {
  const auto& text = request.parameters.front();
  std::int32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc{} && end == text.data() + text.size() && number >= 0) return BrokerId{number};
  answer_error(call, request, bad_request("a broker is a whole number from 0 on, not " + shown(text)));
  return std::nullopt;
}

std::optional<HttpError> check_broker(const metadata::MetadataImage& image, BrokerId id) {
  if (image.find_broker(id) != nullptr) return std::nullopt;
  return http_error(Error{Errc::broker_id_not_registered, "there is no broker " + to_string(id)});
}

std::optional<HttpError> read_id(const Json& object, std::string_view name, const std::string& where, std::int32_t& out) {
  const auto found = object.find(std::string(name));
  const auto wrong = [&] { return bad_request(where + std::string(name) + " is a whole number from 0 on"); };
  if (found == object.end() || !found->is_number_integer()) return wrong();
  if (found->is_number_unsigned() ? found->get<std::uint64_t>() > std::numeric_limits<std::int32_t>::max()
                                  : found->get<std::int64_t>() < 0) {
    return wrong();
  }
  out = found->get<std::int32_t>();
  return std::nullopt;
}

std::optional<HttpError> read_named_partitions(const Json& body, const char* name,
                                               std::initializer_list<std::string_view> more,
                                               std::vector<NamedPartition>& out) {
  const auto found = body.find(name);
  if (found == body.end() || !found->is_array() || found->empty()) {
    return bad_request(std::string(name) + " is a list of objects with topic and partition");
  }
  if (found->size() > named_partitions_max) {
    return bad_request(std::string(name) + " has " + std::to_string(found->size()) + " entries: at most " +
                       std::to_string(named_partitions_max) + " at once");
  }
  std::set<std::pair<std::string, std::int32_t>> named;
  for (std::size_t i = 0; i < found->size(); ++i) {
    const auto& entry = (*found)[i];
    const auto where = std::string(name) + "[" + std::to_string(i) + "].";
    if (!entry.is_object()) return bad_request(std::string(name) + " is a list of objects with topic and partition");
    for (const auto& [field, value] : entry.items()) {
      const bool known = field == "topic" || field == "partition" || std::ranges::find(more, field) != more.end();
      if (!known) return bad_request("there is no field " + where + shown(field));
    }
    NamedPartition one{.entry = &entry};
    const auto topic = entry.find("topic");
    if (topic == entry.end() || !topic->is_string()) return bad_request(where + "topic is missing, or no string");
    one.topic = topic->get<std::string>();
    if (auto wrong = read_id(entry, "partition", where, one.partition)) return wrong;
    if (!named.emplace(one.topic, one.partition).second) {
      return bad_request(where + "partition: " + std::to_string(one.partition) + " of " + shown(one.topic) +
                         " is named twice");
    }
    out.push_back(std::move(one));
  }
  return std::nullopt;
}

Result<TopicIdPartition> resolve(const metadata::MetadataImage& image, const NamedPartition& named) {
  const auto topic = image.find_topic(named.topic);
  if (topic && named.partition < topic->partition_count()) return TopicIdPartition{topic->id, PartitionId{named.partition}};
  return Error{Errc::unknown_topic_or_partition,
               topic ? "there is no partition " + std::to_string(named.partition) + " of topic " + named.topic
                     : "there is no topic " + shown(named.topic)};
}

}  // namespace troupe::http
