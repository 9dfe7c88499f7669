#include "actors/quorum_desk.hpp"

#include "actors/errors.hpp"

namespace troupe::actors {
namespace {

using namespace quorum;

/// The directory of that broker that follows this leader; of several the one that was heard last. What does not follow is refused by its
/// nil directory.
ReplicaKey follower_of(const QuorumReport& report, BrokerId broker) {
  ReplicaKey found{broker, {}};
  std::optional<Millis> silent_ms;
  for (const auto& one : report.observers) {
    if (one.key.id != broker || !one.last_contact_ms || (silent_ms && *silent_ms <= *one.last_contact_ms)) continue;
    found = one.key;
    silent_ms = one.last_contact_ms;
  }
  return found;
}

std::optional<ReplicaKey> voter_of(const QuorumReport& report, BrokerId broker) {
  for (const auto& one : report.voters) {
    if (one.key.id == broker) return one.key;
  }
  return std::nullopt;
}

}  // namespace

QuorumEffects QuorumDesk::ask(QuorumNode* node, const QuorumRequest& request, Promise promise, MonotonicMs now) {
  const auto refuse = [&](const Error& error) {
    promise.deliver(to_caf_error(error));
    return QuorumEffects{};
  };
  if (node == nullptr) {
    return refuse({Errc::leader_not_available, "this node's metadata is not available now: nothing was changed, retry"});
  }
  if (std::holds_alternative<DescribeQuorum>(request)) {
    promise.deliver(QuorumAnswered{std::make_shared<const QuorumReport>(node->report(now))});
    return {};
  }
  if (node->role() != QuorumRole::leader) {
    return refuse({Errc::not_controller, "this node does not lead the metadata quorum"});
  }
  const auto token = ++last_token_;
  open_.emplace(token, std::move(promise));
  return begin(*node, token, request, now);
}

QuorumEffects QuorumDesk::begin(QuorumNode& node, std::uint64_t token, const QuorumRequest& request, MonotonicMs now) {
  const auto report = node.report(now);
  const auto done = [&] { return QuorumEffects{AnswerQuorum{token, node.high_watermark()}}; };
  if (const auto* add = std::get_if<AddVoter>(&request)) {
    const auto follower = follower_of(report, add->broker);
    const auto voter = voter_of(report, add->broker);
    // It has its vote. With another directory it is another replica: add_voter says what is to be done.
    return node.add_voter(token, voter && follower.directory_id.is_nil() ? *voter : follower, now);
  }
  if (const auto* remove = std::get_if<RemoveVoter>(&request)) {
    const auto voter = voter_of(report, remove->broker);
    return voter ? node.remove_voter(token, *voter, now) : done();
  }
  const auto to = std::get<TransferLeadership>(request).to;
  return to == report.leader ? done() : node.transfer(token, to, now);
}

bool QuorumDesk::answered(const AnswerQuorum& answer, const QuorumNode& node, MonotonicMs now) {
  const auto at = open_.find(answer.token);
  if (at == open_.end()) return false;
  auto promise = std::move(at->second);
  open_.erase(at);
  if (answer.answer) {
    promise.deliver(QuorumAnswered{std::make_shared<const QuorumReport>(node.report(now))});
  } else {
    promise.deliver(to_caf_error(answer.answer.error()));
  }
  return true;
}

void QuorumDesk::lost() {
  for (auto& [token, promise] : open_) {
    promise.deliver(to_caf_error({Errc::request_timed_out, "the metadata's disk went away: the outcome is unknown"}));
  }
  open_.clear();
}

}  // namespace troupe::actors
