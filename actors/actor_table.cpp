#include "actors/actor_table.hpp"

namespace troupe::actors {

std::string_view to_string(ActorState state) noexcept {
  switch (state) {
    case ActorState::starting: return "starting";
    case ActorState::running: return "running";
    case ActorState::waiting_restart: return "waiting_restart";
    case ActorState::stopping: return "stopping";
    case ActorState::stopped: return "stopped";
    case ActorState::failed: return "failed";
  }
  return "unknown";
}

ActorStatus ActorRow::status() const {
  ActorStatus status;
  status.kind = kind_;
  status.name = name_;
  status.parent = parent_;
  status.mailbox_depth = mailbox_depth_.load(std::memory_order_relaxed);
  status.state = state();
  status.restarts = restarts();
  status.messages_handled = messages_handled_.load(std::memory_order_relaxed);
  if (const auto since = busy_since_.load(std::memory_order_relaxed); since != idle) status.busy_since = MonotonicMs{since};
  const std::lock_guard lock{error_mutex_};
  status.last_error = last_error_;
  return status;
}

void ActorRow::set_last_error(std::string error) {
  const std::lock_guard lock{error_mutex_};
  last_error_ = std::move(error);
}

ActorRowPtr ActorTable::add(const std::string& kind, const std::string& name, const std::string& parent) {
  const std::lock_guard lock{mutex_};
  const auto [at, added] = numbers_.try_emplace(Key{kind, name}, next_number_);
  if (!added) return rows_.at(at->second);
  return rows_.emplace(next_number_++, std::make_shared<ActorRow>(kind, name, parent)).first->second;
}

void ActorTable::remove(const std::string& kind, const std::string& name) {
  const std::lock_guard lock{mutex_};
  const auto found = numbers_.find(Key{kind, name});
  if (found == numbers_.end()) return;
  rows_.erase(found->second);
  numbers_.erase(found);
}

std::vector<ActorStatus> ActorTable::snapshot() const {
  std::vector<ActorStatus> all;
  const std::lock_guard lock{mutex_};
  all.reserve(rows_.size());
  for (const auto& [number, row] : rows_) all.push_back(row->status());
  return all;
}

}  // namespace troupe::actors
