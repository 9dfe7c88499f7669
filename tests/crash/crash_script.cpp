#include "tests/crash/crash_script.hpp"

#include <algorithm>

namespace troupe::test {

using storage::DataDirectory;
using storage::FlushPolicy;
using storage::LogConfig;

CrashScript::CrashScript(std::uint64_t seed) : random_(seed) {
  oracle_.options = {.path = "/data",
                     .cluster_id = Uuid{{7}},
                     .node_id = BrokerId{1},
                     .open_files_max = 4,
                     .dirty_files_max = random_.chance(1, 4) ? std::size_t{1} : std::size_t{64},
                     .commit_file_bytes = 16 << 10,
                     .commit_grow_bytes = 4 << 10};
  for (int i = 0; i < 3; ++i) add_partition();
  if (!open()) return;
  for (const auto& id : order_) {
    if (auto log = directory_->log(id, oracle_.partitions.at(id).config); !log) failure_ = to_string(log.error());
  }
}

void CrashScript::on_change(std::function<void()> visit) {
  visit_ = std::move(visit);
  disk_.on_operation([this](const Operation& operation) {
    if (operation.changes_disk) visit_();
  });
}

void CrashScript::add_partition() {
  PartitionOracle partition;
  const bool compact = random_.chance(1, 2);
  partition.config = {
      .flush = random_.chance(1, 3) ? FlushPolicy::interval : FlushPolicy::fsync,
      .flush_interval_ms = 50,
      .segment_bytes_max = compact ? std::uint32_t{1024} : std::uint32_t{4096},  // only closed segments are compacted
      .index_interval_bytes = 256,
      .retention_ms = -1,
      .retention_bytes = 6000,
      .compact = compact,
      .min_dirty_permille = 0};
  const TopicIdPartition id{TopicId{Uuid::random(random_).bytes()},
                            PartitionId{static_cast<std::int32_t>(random_.below(3))}};
  oracle_.partitions.emplace(id, std::move(partition));
  order_.push_back(id);
}

bool CrashScript::fail(const std::string& what, const Status& status) {
  failure_ = what + ": " + to_string(status.error());
  return false;
}

bool CrashScript::open() {
  directory_.reset();
  auto opened = DataDirectory::open(disk_, oracle_.options);
  if (!opened) return fail("open", std::move(opened).error());
  directory_ = std::move(opened->directory);
  return true;
}

CrashScript::Entry& CrashScript::any_partition() {
  for (;;) {
    auto& entry = *oracle_.partitions.find(order_[random_.below(order_.size())]);
    if (entry.second.may_be_there) return entry;
  }
}

Offset CrashScript::any_boundary(const Lineage& log) {
  std::vector<Offset> boundaries{log.end()};
  for (const auto& batch : log.batches) {
    // What is compacted was committed: nobody cuts it off.
    if (batch->base >= std::max(log.start_max, log.compacted_max)) boundaries.push_back(batch->base);
  }
  // Near the end more often: a truncation that leaves nothing shows little.
  const auto at = std::min(random_.below(boundaries.size()), random_.below(boundaries.size()));
  std::sort(boundaries.rbegin(), boundaries.rend());
  return boundaries[at];
}

bool CrashScript::step() {
  struct Choice {
    const char* name;
    int weight;
    bool (CrashScript::*act)();
  };
  static constexpr Choice choices[] = {
      {"append", 40, &CrashScript::append},
      {"commit", 30, &CrashScript::commit},
      {"truncate", 8, &CrashScript::truncate},
      {"reset", 2, &CrashScript::reset},
      {"advance", 4, &CrashScript::advance_log_start},
      {"retention", 4, &CrashScript::retention},
      {"clean", 12, &CrashScript::clean},
      {"flush", 6, &CrashScript::flush},
      {"checkpoint", 3, &CrashScript::checkpoint},
      {"change-flush", 3, &CrashScript::change_flush},
      {"remove", 2, &CrashScript::remove},
      {"reopen", 2, &CrashScript::reopen},
      {"kill", 2, &CrashScript::kill},
  };
  if (!failure_.empty()) return false;
  auto left = random_.below(118);
  for (const auto& choice : choices) {
    if (left < static_cast<std::uint64_t>(choice.weight)) {
      steps_ += std::string(steps_.empty() ? "" : " ") + choice.name;
      return (this->*choice.act)();
    }
    left -= static_cast<std::uint64_t>(choice.weight);
  }
  return true;
}

bool CrashScript::append() {
  auto& [id, partition] = any_partition();
  if (random_.chance(1, 8)) partition.epoch = partition.epoch + 1;
  std::vector<storage::PlacedBatch> batches;
  const auto count = random_.chance(1, 10) ? 12 : random_.between(1, 3);
  for (int i = 0; i < count; ++i) {
    batches.push_back(random_batch(partition.log.end(), partition.epoch, random_));
    partition.log.batches.push_back(stored(batches.back()));
  }
  const auto appended = directory_->append(id, batches, now_);
  return appended ? true : fail("append", appended);
}

bool CrashScript::commit() {
  now_ = now_ + Millis{10};
  if (auto committed = directory_->commit(now_); !committed) return fail("commit", committed);
  for (auto& [id, partition] : oracle_.partitions) {
    if (partition.config.flush == FlushPolicy::fsync) partition.log.end_min = partition.log.end();
  }
  return true;
}

bool CrashScript::truncate() {
  auto& [id, partition] = any_partition();
  const auto offset = any_boundary(partition.log);
  partition.log.end_min = std::min(partition.log.end_min, offset);
  if (auto truncated = directory_->truncate(id, offset); !truncated) return fail("truncate", truncated);
  partition.log.cut(offset);
  // "Durable on return" goes for what is left, too.
  if (!partition.log.batches.empty()) partition.log.end_min = std::min(partition.log.end_min, partition.log.end());
  return true;
}

bool CrashScript::reset() {
  auto& [id, partition] = any_partition();
  const Offset offset{random_.between(0, partition.log.end().value() + 20)};
  partition.otherwise = Lineage{.base = offset, .end_min = offset, .start_min = offset, .start_max = offset};
  if (auto reset = directory_->reset(id, offset); !reset) return fail("reset", reset);
  partition.log = *partition.otherwise;
  partition.otherwise.reset();
  return true;
}

bool CrashScript::advance_log_start() {
  auto& [id, partition] = any_partition();
  auto& log = partition.log;
  const Offset offset{random_.between(log.start_max.value(), log.end().value())};
  log.start_max = offset;
  if (auto advanced = directory_->advance_log_start(id, offset); !advanced) return fail("advance", advanced);
  log.start_min = offset;
  return true;
}

bool CrashScript::retention() {
  auto& [id, partition] = any_partition();
  const auto before = partition.log.start_max;
  directory_->set_high_watermark(id, partition.log.end());
  partition.log.start_max = partition.log.end();
  const auto moved = directory_->apply_retention(id, std::nullopt);
  if (!moved) return fail("retention", moved.error());
  const auto log = directory_->log(id, partition.config);
  if (!log) return fail("log", log.error());
  partition.log.start_max = *moved ? (*log)->log_start_offset() : before;
  return true;
}

bool CrashScript::clean() {
  auto* chosen = &any_partition();
  for (int tries = 0; tries < 8 && !chosen->second.config.compact; ++tries) chosen = &any_partition();
  auto& [id, partition] = *chosen;
  if (!partition.config.compact) return true;
  // Committed is what was promised; it may go on while this compacts.
  auto& log = partition.log;
  directory_->set_high_watermark(id, log.end_min);
  log.compacted_max = std::max(log.compacted_max, log.end_min);
  std::vector<TopicIdPartition> others;
  std::ranges::copy_if(order_, std::back_inserter(others), [&](const auto& other) { return other != id; });
  auto plan = directory_->next_cleaning(std::nullopt, others);
  if (!plan) return fail("next_cleaning", plan.error());
  if (!*plan) return true;
  storage::LogCleaning cleaning{std::move(**plan), {.map_bytes_max = 0}};
  for (bool done = false; !done;) {
    const auto step = cleaning.step(800);
    if (!step) return fail("clean", step.error());
    if (random_.chance(1, 8) && !append()) return false;
    done = step->done;
    if (!step->swap) continue;
    if (auto replaced = directory_->replace(id, *step->swap); !replaced) return fail("replace", replaced);
    if (!step->swap->replaces.empty()) ++swaps_;
  }
  return true;
}

bool CrashScript::flush() {
  now_ = now_ + Millis{60};
  if (auto flushed = directory_->on_deadline(now_); !flushed) return fail("on_deadline", flushed);
  for (auto& [id, partition] : oracle_.partitions) {
    if (partition.config.flush == FlushPolicy::interval) partition.log.end_min = partition.log.end();
  }
  return true;
}

bool CrashScript::checkpoint() {
  if (auto done = directory_->checkpoint(); !done) return fail("checkpoint", done);
  for (auto& [id, partition] : oracle_.partitions) {
    if (!partition.may_be_there) continue;
    partition.log.end_min = partition.log.end();
    partition.log.start_min = partition.log.start_max;
  }
  return true;
}

bool CrashScript::change_flush() {
  auto& [id, partition] = any_partition();
  // Between turns: what is in a turn keeps the policy that it was appended under.
  if (!commit()) return false;
  const bool now_fsync = partition.config.flush == FlushPolicy::interval;
  partition.config.flush = now_fsync ? FlushPolicy::fsync : FlushPolicy::interval;
  if (auto log = directory_->log(id, partition.config); !log) return fail("log", log.error());
  if (now_fsync) partition.log.end_min = partition.log.end();
  return true;
}

bool CrashScript::remove() {
  auto& [id, partition] = any_partition();
  partition.may_be_gone = true;
  partition.log.end_min = Offset{0};
  partition.log.start_max = std::max(partition.log.start_max, partition.log.end());
  if (auto removed = directory_->remove(id); !removed) return fail("remove", removed);
  partition.may_be_there = false;
  add_partition();
  if (auto log = directory_->log(order_.back(), oracle_.partitions.at(order_.back()).config); !log)
    return fail("log", log.error());
  return true;
}

bool CrashScript::reopen() {
  if (auto closed = directory_->close(); !closed) return fail("close", closed);
  oracle_.promise_acknowledged();
  return open() && [this] {
    for (const auto& id : order_) {
      auto& partition = oracle_.partitions.at(id);
      if (!partition.may_be_there) continue;
      const auto log = directory_->log(id, partition.config);
      if (!log) return fail("log", log.error());
      Lineage recovered;
      if (auto wrong = check_log(**log, partition, recovered)) {
        failure_ = "after a restart: " + *wrong;
        return false;
      }
      partition.log = std::move(recovered);
    }
    return true;
  }();
}

bool CrashScript::kill() {
  disk_.process_kill();
  if (!open()) return false;
  // Only now: the power may have gone while this recovered, and taken what nobody had synced.
  oracle_.promise_acknowledged();
  for (const auto& id : order_) {
    auto& partition = oracle_.partitions.at(id);
    if (!partition.may_be_there) continue;
    const auto log = directory_->log(id, partition.config);
    if (!log) return fail("log", log.error());
    Lineage recovered;
    if (auto wrong = check_log(**log, partition, recovered)) {
      failure_ = "after kill -9: " + *wrong;
      return false;
    }
    partition.log = std::move(recovered);
  }
  return true;
}

}  // namespace troupe::test
