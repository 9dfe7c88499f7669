#include "core/replication/fetch_session.hpp"

#include <algorithm>
#include <limits>
#include <utility>

namespace troupe::replication {

void FetchSession::mark(const TopicIdPartition& id, Partition& partition) {
  if (std::exchange(partition.changed, true)) return;
  ++changed_count_;
  changed_.push_back(id);
}

void FetchSession::set(const TopicIdPartition& id, const FetchPosition& position) {
  auto& one = partitions_[id];
  // Only who has had an answer can have dropped it; the same offset under another epoch is another position.
  one.again = one.again || (one.given && one.position.fetch_offset == position.fetch_offset);
  one.given = false;
  one.position = position;
  mark(id, one);
}

void FetchSession::pause(const TopicIdPartition& id) {
  const auto found = partitions_.find(id);
  if (found == partitions_.end() || !std::exchange(found->second.changed, false)) return;
  --changed_count_;  // its place in the row is passed over
}

void FetchSession::remove(const TopicIdPartition& id) {
  const auto found = partitions_.find(id);
  if (found == partitions_.end()) return;
  if (found->second.changed) --changed_count_;
  if (found->second.known) forgotten_.insert(id);
  partitions_.erase(found);
}

std::optional<FetchRequest> FetchSession::next_request(MonotonicMs now) {
  if (not_before_ && *not_before_ > now) return std::nullopt;
  not_before_.reset();
  const bool begins = session_id_ == no_fetch_session;
  const bool news = changed_count_ > 0 || !forgotten_.empty();
  if (begins ? !open_.empty() || changed_count_ == 0 : open_.size() >= requests_open_max) return std::nullopt;
  if (!begins && !open_.empty() && !news) return std::nullopt;
  if (!begins && partitions_.empty() && forgotten_.empty()) return std::nullopt;

  FetchRequest request{.replica = options_.replica,
                       .broker_epoch = options_.broker_epoch,
                       .session_id = session_id_,
                       .session_epoch = next_epoch_,
                       .number = next_number_,
                       .wait_ms_max = static_cast<std::int32_t>(options_.wait_ms_max),
                       .bytes_max = options_.bytes_max};
  if (!begins) request.forgotten.assign(forgotten_.begin(), forgotten_.end());
  forgotten_.clear();
  while (!changed_.empty() && request.partitions.size() < options_.statements_max) {
    const auto id = changed_.front();
    changed_.pop_front();
    const auto found = partitions_.find(id);
    if (found == partitions_.end() || !std::exchange(found->second.changed, false)) continue;
    auto& one = found->second;
    --changed_count_;
    request.partitions.push_back({id, one.position, std::exchange(one.again, false) || !one.known});
    one.known = true;
  }
  open_.push_back({next_number_++, now + options_.wait_ms_max + options_.answer_ms_max});
  next_epoch_ = next_epoch_ == std::numeric_limits<std::int32_t>::max() ? 1 : next_epoch_ + 1;
  return request;
}

std::vector<FetchAnswer::Partition> FetchSession::on_answer(FetchAnswer answer, MonotonicMs now) {
  const bool begins = session_id_ == no_fetch_session;
  const auto open = std::ranges::find(open_, answer.number, &Open::number);
  if (open == open_.end()) return {};  // of an earlier session, or a repeated one
  if (answer.error || open != open_.begin() || (begins && answer.session_id == no_fetch_session)) {
    begin_anew(now);  // refused, or an answer before it was lost, and with it what it gave
    return {};
  }
  open_.pop_front();
  session_id_ = answer.session_id;
  for (const auto& [id, one] : answer.partitions) {
    const auto known = partitions_.find(id);
    if (known == partitions_.end()) continue;
    const bool acts = one.error || one.diverging || !one.records.empty();
    if (acts && one.fetch_offset == known->second.position.fetch_offset) known->second.given = true;
  }
  std::erase_if(answer.partitions, [&](const FetchAnswer::Partition& one) { return !partitions_.contains(one.id); });
  return std::move(answer.partitions);
}

void FetchSession::begin_anew(MonotonicMs now) {
  session_id_ = no_fetch_session;
  next_epoch_ = 0;
  open_.clear();
  forgotten_.clear();
  not_before_ = now + options_.retry_ms;
  for (auto& [id, one] : partitions_) {
    one.known = false;
    one.given = false;
    mark(id, one);
  }
}

void FetchSession::on_deadline(MonotonicMs now) {
  if (!open_.empty() && open_.front().deadline <= now) begin_anew(now);
}

std::optional<MonotonicMs> FetchSession::next_deadline() const {
  std::optional<MonotonicMs> next = not_before_;
  if (!open_.empty()) next = next ? std::min(*next, open_.front().deadline) : open_.front().deadline;
  return next;
}

}  // namespace troupe::replication
