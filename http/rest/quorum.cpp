#include <algorithm>

#include "http/rest/answers.hpp"
#include "http/rest/cluster_json.hpp"
#include "http/rest/handlers.hpp"

/// The metadata quorum: who votes, how far they are, who leads.
namespace troupe::http {
namespace {

using quorum::QuorumReport;
using quorum::ReplicaReport;

std::string_view state_of(const QuorumReport& report, const ReplicaReport& replica, bool votes) {
  if (replica.key.id == report.leader && votes) return "leader";
  if (!report.leads()) return "unknown";
  if (!replica.near) return "silent";
  return votes ? "follower" : "observer";
}

Json replicas_json(const QuorumReport& report, const metadata::MetadataImage& image, bool votes) {
  Json all = Json::array();
  for (const auto& one : votes ? report.voters : report.observers) {
    const auto* broker = image.find_broker(one.key.id);
    const bool addressed = broker != nullptr && broker->broker.cluster_port != 0;
    const bool measured = report.leads() && one.log_end.has_value();
    all.push_back(
        {{"id", one.key.id.value()},
         {"host", addressed ? Json(broker->broker.cluster_host) : Json()},
         {"port", addressed ? Json(broker->broker.cluster_port) : Json()},
         {"state", state_of(report, one, votes)},
         {"directory_id", to_string(one.key.directory_id)},
         {"log_end", measured ? Json(one.log_end->value()) : Json()},
         {"lag", measured ? Json(std::max<std::int64_t>(0, report.log_end.value() - one.log_end->value())) : Json()},
         {"last_contact_ms", one.last_contact_ms ? Json(*one.last_contact_ms) : Json()}});
  }
  return all;
}

void ask(Rest& rest, const CallPtr& call, const quorum::QuorumRequest& request) {
  const bool transfers = std::holds_alternative<quorum::TransferLeadership>(request);
  auto take = [&rest, transfers](const CallPtr& to, Result<QuorumReport> report) {
    if (!report) return answer_error(to, Dialect::v1, http_error(report.error()));
    Json body{{"leader_id", report->leader.value()}, {"epoch", report->epoch.value()}};
    if (!transfers) {
      const auto image = rest.broker.cluster_api().image();
      // A broker that was removed is heard of no more, and still in the leader's list for a while.
      *report = report->without_ghosts([&](BrokerId id) { return image->find_broker(id) != nullptr; });
      body["high_watermark"] = report->high_watermark.value();
      body["voters"] = replicas_json(*report, *image, true);
      body["observers"] = replicas_json(*report, *image, false);
    }
    to->answer({.body = dump(body)});
  };
  rest.broker.cluster_api().ask_quorum(request, reply_on<QuorumReport>(call, std::move(take)));
}

}  // namespace

void show_quorum(Rest& rest, const CallPtr& call, Request&) { ask(rest, call, quorum::DescribeQuorum{}); }

void add_voter(Rest& rest, const CallPtr& call, Request& request) {
  Json body;
  std::int32_t id = 0;
  auto wrong = read_json_object(std::move(request.body), {"id"}, body);
  if (!wrong) wrong = read_id(body, "id", "", id);
  if (wrong) return answer_error(call, request, *wrong);
  ask(rest, call, quorum::AddVoter{BrokerId{id}});
}

void remove_voter(Rest& rest, const CallPtr& call, Request& request) {
  if (const auto broker = find_broker_id(call, request)) ask(rest, call, quorum::RemoveVoter{*broker});
}

void transfer_quorum(Rest& rest, const CallPtr& call, Request& request) {
  quorum::TransferLeadership transfer;
  if (!request.body.empty()) {
    Json body;
    std::int32_t to = 0;
    auto wrong = read_json_object(std::move(request.body), {"to"}, body);
    const bool named = !wrong && body.contains("to") && !body["to"].is_null();
    if (named) wrong = read_id(body, "to", "", to);
    if (wrong) return answer_error(call, request, *wrong);
    if (named) wrong = check_broker(*rest.broker.cluster_api().image(), BrokerId{to});
    if (wrong) return answer_error(call, request, *wrong);
    if (named) transfer.to = BrokerId{to};
  }
  ask(rest, call, transfer);
}

}  // namespace troupe::http
