#include "core/metadata/cluster_report.hpp"
#include "http/rest/answers.hpp"
#include "http/rest/cluster_json.hpp"
#include "http/rest/handlers.hpp"

/// What operators do to brokers and partitions.
namespace troupe::http {
namespace {

using metadata::ClusterAnswer;

/// Partitions as they were named, and where each one's answer comes from.
struct Named {
  std::vector<NamedPartition> partitions = {};
  std::vector<Result<TopicIdPartition>> found = {};
};

Json results_json(const Named& named, const ClusterAnswer& answer, Json (*shape)(const metadata::PartitionImage&)) {
  Json results = Json::array();
  std::size_t next = 0;
  for (std::size_t i = 0; i < named.partitions.size(); ++i) {
    Json one{{"topic", named.partitions[i].topic}, {"partition", named.partitions[i].partition}};
    if (!named.found[i]) {
      one["error"] = error_json(named.found[i].error());
    } else if (const auto& said = answer.partitions[next++]; !said) {
      one["error"] = error_json(said.error());
    } else {
      one.update(shape(*said));
    }
    results.push_back(std::move(one));
  }
  return results;
}

/// Answers "results" when the controller has said something of each partition that was found.
void change_partitions(Rest& rest, const CallPtr& call, OperatorRequest request, Named named,
                       Json (*shape)(const metadata::PartitionImage&)) {
  const auto shared = std::make_shared<Named>(std::move(named));
  std::size_t known = 0;
  for (const auto& one : shared->found) known += one ? 1U : 0U;
  if (known == 0) return call->answer({.body = dump({{"results", results_json(*shared, {}, shape)}})});
  auto take = [shared, shape, known](const CallPtr& to, Result<ClusterAnswer> answer) {
    if (!answer) return answer_error(to, Dialect::v1, http_error(answer.error()));
    if (answer->partitions.size() != known) {
      return answer_error(to, Dialect::v1, http_error(Error{Errc::unknown_error, "the controller's answer is not whole"}));
    }
    to->answer({.body = dump({{"results", results_json(*shared, *answer, shape)}})});
  };
  rest.broker.cluster_api().change_cluster(std::move(request), reply_on<ClusterAnswer>(call, std::move(take)));
}

Named look_up(const metadata::MetadataImage& image, std::vector<NamedPartition> partitions) {
  Named named{.partitions = std::move(partitions)};
  for (const auto& one : named.partitions) named.found.push_back(resolve(image, one));
  return named;
}

// --- elections

Json elected(const metadata::PartitionImage& now) {
  return {{"leader", broker_json(now.leader)}, {"leader_epoch", now.leader_epoch.value()}};
}

/// Every partition that another than its first replica leads.
std::vector<NamedPartition> not_preferred(const metadata::MetadataImage& image) {
  std::vector<NamedPartition> all;
  const metadata::PartitionQuery query{.only = metadata::PartitionFilter::not_preferred, .limit = SIZE_MAX};
  for (const auto& at : metadata::find_partitions(image, query).partitions) {
    all.push_back({at.topic->name, at.partition.value()});
  }
  return all;
}

std::optional<HttpError> read_election(const Json& body, metadata::ElectLeadersRequest& out) {
  const auto type = body.find("type");
  const auto word = type != body.end() && type->is_string() ? type->get<std::string>() : std::string();
  if (word != "preferred" && word != "to" && word != "unclean") return bad_request("type is preferred, to or unclean");
  const bool named = body.contains("to") && !body["to"].is_null();
  if (word == "preferred" && named) return bad_request("to belongs to the types to and unclean");
  if (word == "to" && !named) return bad_request("to is missing: the broker that is to lead");
  out.unclean = word == "unclean";
  if (!named) return std::nullopt;
  std::int32_t to = 0;
  auto wrong = read_id(body, "to", "", to);
  out.to = BrokerId{to};
  return wrong;
}

// --- reassignments

Json reassigned(const metadata::PartitionImage& now) {
  return {{"replicas", numbers_json(now.replicas)},
          {"adding", numbers_json(now.adding_replicas)},
          {"removing", numbers_json(now.removing_replicas)},
          {"isr", numbers_json(now.isr)}};
}

std::optional<HttpError> read_replicas(const Json& entry, std::optional<std::vector<BrokerId>>& out) {
  constexpr const char* what = "replicas is a list of broker ids, the preferred leader first, or null to call it off";
  constexpr std::size_t replicas_max = 1'000;
  const auto found = entry.find("replicas");
  if (found == entry.end()) return bad_request(what);
  if (found->is_null()) return std::nullopt;
  if (!found->is_array() || found->empty() || found->size() > replicas_max) return bad_request(what);
  out.emplace();
  for (const auto& one : *found) {
    std::int32_t id = 0;
    if (read_id(Json{{"id", one}}, "id", "", id)) return bad_request(what);
    out->emplace_back(id);
  }
  return std::nullopt;
}

// --- brokers

void drain_or_undrain(Rest& rest, const CallPtr& call, Request& request, bool drain) {
  const auto broker = find_broker_id(call, request);
  if (!broker) return;
  Json nothing;
  const auto wrong = request.body.empty() ? std::nullopt : read_json_object(std::move(request.body), {}, nothing);
  if (wrong) return answer_error(call, request, *wrong);
  auto take = [&rest, broker = *broker](const CallPtr& to, Result<ClusterAnswer> answer) {
    if (!answer) return answer_error(to, Dialect::v1, http_error(answer.error()));
    Json body{{"broker", broker.value()}};
    for (const auto& one : metadata::report_brokers(*rest.broker.cluster_api().image())) {
      if (one.broker.id != broker) continue;
      body["state"] = metadata::to_string(one.state);
      body["leads"] = one.leads;
    }
    body["moved"] = answer->moved;
    body["left"] = answer->left;
    to->answer({.body = dump(body)});
  };
  rest.broker.cluster_api().change_cluster(metadata::DrainBrokerRequest{.broker = *broker, .drain = drain},
                                           reply_on<ClusterAnswer>(call, std::move(take)));
}

}  // namespace

void drain_broker(Rest& rest, const CallPtr& call, Request& request) { drain_or_undrain(rest, call, request, true); }
void undrain_broker(Rest& rest, const CallPtr& call, Request& request) { drain_or_undrain(rest, call, request, false); }

void remove_broker(Rest& rest, const CallPtr& call, Request& request) {
  const auto broker = find_broker_id(call, request);
  if (!broker) return;
  auto take = [](const CallPtr& to, Result<ClusterAnswer> answer) {
    if (!answer) return answer_error(to, Dialect::v1, http_error(answer.error()));
    to->answer({.status = 204, .content_type = {}});
  };
  rest.broker.cluster_api().change_cluster(metadata::UnregisterBrokerRequest{*broker},
                                           reply_on<ClusterAnswer>(call, std::move(take)));
}

void elect_leaders(Rest& rest, const CallPtr& call, Request& request) {
  Json body;
  metadata::ElectLeadersRequest elect;
  std::vector<NamedPartition> partitions;
  const auto image = rest.broker.cluster_api().image();
  auto wrong = read_json_object(std::move(request.body), {"type", "to", "partitions"}, body);
  if (!wrong) wrong = read_election(body, elect);
  const bool all = !wrong && (!body.contains("partitions") || body["partitions"].is_null());
  if (all && (elect.unclean || elect.to != no_broker))
    wrong = bad_request("partitions is missing: of type preferred only that means all");
  if (!wrong && !all) wrong = read_named_partitions(body, "partitions", {}, partitions);
  if (!wrong && elect.to != no_broker) wrong = check_broker(*image, elect.to);
  if (wrong) return answer_error(call, request, *wrong);
  auto named = look_up(*image, all ? not_preferred(*image) : std::move(partitions));
  for (const auto& one : named.found) {
    if (one) elect.partitions.push_back(*one);
  }
  change_partitions(rest, call, std::move(elect), std::move(named), elected);
}

void reassign_partitions(Rest& rest, const CallPtr& call, Request& request) {
  Json body;
  std::vector<NamedPartition> partitions;
  auto wrong = read_json_object(std::move(request.body), {"reassignments"}, body);
  if (!wrong) wrong = read_named_partitions(body, "reassignments", {"replicas"}, partitions);
  std::vector<std::optional<std::vector<BrokerId>>> replicas(partitions.size());
  for (std::size_t i = 0; !wrong && i < partitions.size(); ++i) wrong = read_replicas(*partitions[i].entry, replicas[i]);
  if (wrong) return answer_error(call, request, *wrong);
  auto named = look_up(*rest.broker.cluster_api().image(), std::move(partitions));
  metadata::ReassignPartitionsRequest reassign;
  for (std::size_t i = 0; i < named.found.size(); ++i) {
    if (named.found[i]) reassign.reassignments.push_back({*named.found[i], std::move(replicas[i])});
  }
  change_partitions(rest, call, std::move(reassign), std::move(named), reassigned);
}

}  // namespace troupe::http
