#include <algorithm>
#include <limits>
#include <string>
#include <utility>

#include "core/replication/fetch_session.hpp"

namespace troupe::replication {

FetchSessionServer::Session* FetchSessionServer::find(FetchSessionId id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &*found->second;
}

std::optional<BrokerId> FetchSessionServer::replica_of(FetchSessionId session) const {
  const auto found = by_id_.find(session);
  if (found == by_id_.end()) return std::nullopt;
  return found->second->replica;
}

void FetchSessionServer::refuse(const FetchRequest& request, Errc error, FetchServerEffects& effects) const {
  effects.refusals.push_back({.session_id = request.session_id, .number = request.number, .error = error});
}

void FetchSessionServer::end(Sessions::iterator session, FetchServerEffects& effects) {
  effects.ended.push_back(session->id);
  by_id_.erase(session->id);
  by_replica_.erase(session->replica);
  sessions_.erase(session);
}

FetchSessionServer::Session& FetchSessionServer::begin(const FetchRequest& request, FetchServerEffects& effects) {
  if (const auto old = by_replica_.find(request.replica); old != by_replica_.end()) end(old->second, effects);
  if (sessions_.size() >= options_.sessions_max) end(sessions_.begin(), effects);
  const auto id = next_id_;
  next_id_ = next_id_ == FetchSessionId::max() ? FetchSessionId{1} : next_id_ + 1;
  sessions_.push_back({.id = id, .replica = request.replica, .broker_epoch = request.broker_epoch});
  by_id_.emplace(id, std::prev(sessions_.end()));
  by_replica_.emplace(request.replica, std::prev(sessions_.end()));
  return sessions_.back();
}

void FetchSessionServer::on_request(const FetchRequest& request, MonotonicMs now, FetchServerEffects& effects) {
  Session* session = nullptr;
  if (request.session_id == no_fetch_session) {
    const auto old = by_replica_.find(request.replica);
    if (old != by_replica_.end() && request.broker_epoch < old->second->broker_epoch)
      return refuse(request, Errc::stale_broker_epoch, effects);
    if (request.partitions.size() > options_.partitions_max) return refuse(request, Errc::overloaded, effects);
    session = &begin(request, effects);
  } else {
    const auto known = by_id_.find(request.session_id);
    if (known == by_id_.end()) return refuse(request, Errc::fetch_session_id_not_found, effects);
    session = &*known->second;
    const bool same = session->replica == request.replica && session->broker_epoch == request.broker_epoch;
    if (!same) return refuse(request, Errc::fetch_session_id_not_found, effects);
    if (request.session_epoch != session->next_epoch || session->open.size() >= FetchSession::requests_open_max)
      return refuse(request, Errc::invalid_fetch_session_epoch, effects);
    if (session->partitions.size() + request.partitions.size() > options_.partitions_max + request.forgotten.size())
      return refuse(request, Errc::overloaded, effects);
    session->next_epoch = session->next_epoch == std::numeric_limits<std::int32_t>::max() ? 1 : session->next_epoch + 1;
    sessions_.splice(sessions_.end(), sessions_, known->second);
  }
  // Those in `ready` leave it when their turn comes.
  for (const auto& id : request.forgotten) session->partitions.erase(id);
  for (const auto& one : request.partitions) {
    session->partitions.try_emplace(one.id, false);
    effects.statements.push_back({session->id, one.id, {request.replica, request.broker_epoch, one.position, one.again}});
  }
  const auto wait = std::min<Millis>(request.wait_ms_max, options_.wait_ms_max);
  session->open.push_back({request.session_epoch, request.number, static_cast<std::size_t>(request.bytes_max), now + wait});
}

void FetchSessionServer::on_news(FetchSessionId session, const TopicIdPartition& id) {
  auto* one = find(session);
  if (one == nullptr) return;
  const auto partition = one->partitions.find(id);
  if (partition == one->partitions.end() || std::exchange(partition->second, true)) return;
  one->ready.push_back(id);
}

void FetchSessionServer::on_news(BrokerId replica, const TopicIdPartition& id) {
  const auto found = by_replica_.find(replica);
  if (found != by_replica_.end()) on_news(found->second->id, id);
}

void FetchSessionServer::on_closed(BrokerId replica) {
  const auto found = by_replica_.find(replica);
  if (found == by_replica_.end()) return;
  FetchServerEffects nobody_asks;
  end(found->second, nobody_asks);
}

std::vector<FetchSessionId> FetchSessionServer::due(MonotonicMs now) const {
  std::vector<FetchSessionId> due;
  for (const auto& session : sessions_) {
    if (session.open.empty()) continue;
    const auto& oldest = session.open.front();
    // A session that begins is answered at once: its fetcher needs to know the id.
    if (!session.ready.empty() || !session.given.empty() || session.open.size() > 1 || oldest.epoch == 0 ||
        oldest.deadline <= now)
      due.push_back(session.id);
  }
  return due;
}

std::optional<MonotonicMs> FetchSessionServer::next_deadline() const {
  std::optional<MonotonicMs> next;
  for (const auto& session : sessions_) {
    if (session.open.empty()) continue;
    const auto deadline = session.open.front().deadline;
    next = next ? std::min(*next, deadline) : deadline;
  }
  return next;
}

std::optional<FetchSessionServer::Turn> FetchSessionServer::next_turn(FetchSessionId session) {
  auto* one = find(session);
  if (one == nullptr || one->open.empty()) return std::nullopt;
  const auto used = one->given_bytes + one->reserved_bytes;
  const auto max = one->open.front().bytes_max;
  const bool empty = one->given.empty() && one->reserved_bytes == 0;
  while (!one->ready.empty() && (used < max || empty)) {
    const auto id = one->ready.front();
    one->ready.pop_front();
    const auto partition = one->partitions.find(id);
    if (partition == one->partitions.end() || !std::exchange(partition->second, false)) continue;  // forgotten since
    const auto room =
        std::min<std::size_t>(static_cast<std::size_t>(options_.partition_bytes_max), max - std::min(max, used));
    one->reserved_bytes += room;
    one->reading[id] = room;
    return Turn{id, one->replica, room};
  }
  return std::nullopt;
}

void FetchSessionServer::put(FetchSessionId session, const TopicIdPartition& id, ReplicaAnswer answer) {
  auto* one = find(session);
  if (one == nullptr) return;
  const auto turn = one->reading.find(id);
  if (turn == one->reading.end()) return;
  one->reserved_bytes -= turn->second;
  one->reading.erase(turn);
  if (!one->partitions.contains(id)) return;
  one->given_bytes += answer.records.size();
  one->given.push_back({id, std::move(answer)});
}

void FetchSessionServer::pass(FetchSessionId session, const TopicIdPartition& id) {
  auto* one = find(session);
  if (one == nullptr) return;
  const auto turn = one->reading.find(id);
  if (turn == one->reading.end()) return;
  one->reserved_bytes -= turn->second;
  one->reading.erase(turn);
}

std::size_t FetchSessionServer::turns_open(FetchSessionId session) const {
  const auto found = by_id_.find(session);
  return found == by_id_.end() ? 0 : found->second->reading.size();
}

std::optional<FetchAnswer> FetchSessionServer::finish(FetchSessionId session) {
  auto* one = find(session);
  if (one == nullptr || one->open.empty() || !one->reading.empty()) return std::nullopt;
  FetchAnswer answer{.session_id = session, .number = one->open.front().number, .partitions = std::move(one->given)};
  one->open.pop_front();
  one->given.clear();
  one->given_bytes = 0;
  return answer;
}

}  // namespace troupe::replication
