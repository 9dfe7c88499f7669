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

ActorRowPtr ActorTable::add(std::string kind, std::string name) {
  auto row = std::make_shared<ActorRow>(std::move(kind), std::move(name));
  const std::lock_guard lock{mutex_};
  std::erase_if(rows_, [](const auto& weak) { return weak.expired(); });
  rows_.push_back(row);
  return row;
}

std::vector<ActorStatus> ActorTable::snapshot() const {
  std::vector<ActorStatus> all;
  const std::lock_guard lock{mutex_};
  for (const auto& weak : rows_) {
    if (const auto row = weak.lock()) all.push_back(row->status());
  }
  return all;
}

}  // namespace troupe::actors
