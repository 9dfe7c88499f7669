#include "actors/actor_table.hpp"

#include <algorithm>

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

std::vector<ActorRowPtr>::iterator ActorTable::find(const std::string& kind, const std::string& name) {
  return std::find_if(rows_.begin(), rows_.end(),
                      [&](const auto& row) { return row->kind() == kind && row->name() == name; });
}

ActorRowPtr ActorTable::add(const std::string& kind, const std::string& name) {
  const std::lock_guard lock{mutex_};
  if (const auto found = find(kind, name); found != rows_.end()) return *found;
  rows_.push_back(std::make_shared<ActorRow>(kind, name));
  return rows_.back();
}

void ActorTable::remove(const std::string& kind, const std::string& name) {
  const std::lock_guard lock{mutex_};
  if (const auto found = find(kind, name); found != rows_.end()) rows_.erase(found);
}

std::vector<ActorStatus> ActorTable::snapshot() const {
  std::vector<ActorStatus> all;
  const std::lock_guard lock{mutex_};
  for (const auto& row : rows_) all.push_back(row->status());
  return all;
}

}  // namespace troupe::actors
