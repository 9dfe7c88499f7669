#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/disk_worker.hpp"
#include "actors/errors.hpp"
#include "actors/supervisor.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/batches.hpp"
#include "tests/support/faulty_file_system.hpp"

namespace troupe::test {

inline TopicIdPartition partition(int number) { return {Uuid{{9, 9}}, PartitionId{number}}; }

inline storage::DataDirectory::Options small_directory(std::string path) {
  return {.path = std::move(path),
          .cluster_id = Uuid{{7}},
          .node_id = BrokerId{1},
          .commit_file_bytes = 256 << 10,
          .commit_grow_bytes = 64 << 10};
}

inline storage::LogConfig small_config() { return {.segment_bytes_max = 16 << 10, .index_interval_bytes = 512}; }

/// What an actor that appends has sent and heard. One thread at a time looks at it.
struct Writer {
  TopicIdPartition partition;
  Offset next_offset{0};  ///< of the next batch that is sent
  std::uint64_t next_token = 0;
  int left = 0;  ///< batches that it still sends by itself, each when one was acknowledged
  std::string value = "value";
  actors::DiskWorker worker;
  caf::actor actor;

  std::vector<std::uint64_t> answered;  ///< tokens, in order of their answers
  std::vector<Error> errors;
  std::size_t completions = 0;  ///< messages
  Offset acknowledged{0};       ///< everything below was acknowledged
  std::optional<storage::LogView> view;
  std::function<void(const Writer&)> on_answer = [](const Writer&) {};

  void append(int records = 1) {
    actors::AppendBatches request{
        partition, next_token++, {make_batch(next_offset, {.records = records, .value = value})}, actor};
    next_offset += records;
    caf::anon_send(worker, std::move(request));
  }

  void handle(const actors::AppendResults& answer) {
    ++completions;
    for (const auto& result : answer.results) {
      answered.push_back(result.token);
      if (result.status) {
        acknowledged = result.log_end_offset;
      } else {
        errors.push_back(result.status.error());
      }
    }
    for (const auto& log : answer.logs) view = log.view;
    on_answer(*this);
    for (std::size_t i = 0; i < answer.results.size() && left > 0; ++i, --left) append();
  }

  std::size_t count(Errc code) const {
    return static_cast<std::size_t>(
        std::count_if(errors.begin(), errors.end(), [&](const auto& error) { return error.code == code; }));
  }
};

inline caf::behavior writer(caf::event_based_actor*, const std::shared_ptr<Writer>& state) {
  return {[state](const actors::AppendResults& answer) { state->handle(answer); }};
}

/// Tokens 0, 1, 2, ... up to `count`.
inline std::vector<std::uint64_t> tokens(std::uint64_t count) {
  std::vector<std::uint64_t> all;
  for (std::uint64_t i = 0; i < count; ++i) all.push_back(i);
  return all;
}

/// A supervised disk_worker on a disk in memory, everything in one thread.
struct DiskFixture {
  FaultyFileSystem disk;
  actors::ActorTable table;
  actors::RestartPolicy::Options restart{
      .restarts_max = 3, .backoff_ms_min = 100, .backoff_ms_max = 1'000, .jitter_percent = 0};
  std::function<void(actors::DiskWorkerOptions&)> configure = [](auto&) {};
  SeededScheduler scheduler;
  actors::Supervisor supervisor;
  actors::DiskWorker worker;
  std::vector<std::shared_ptr<Writer>> writers;

  explicit DiskFixture(std::uint64_t seed = 1) : scheduler(seed) {}
  ~DiskFixture() {
    for (auto& writer : writers) writer->actor = nullptr;  // it holds the actor that holds it
  }

  void start() {
    actors::SupervisorOptions options;
    options.table = &table;
    options.restart = restart;
    options.children.push_back({"disk_worker", "disk-0", [this](caf::actor_system& system, const actors::ActorRowPtr& row) {
                                  actors::DiskWorkerOptions worker_options;
                                  worker_options.file_system = &disk;
                                  worker_options.directory = small_directory("/data");
                                  configure(worker_options);
                                  return caf::actor_cast<caf::actor>(actors::spawn_disk_worker(
                                      system, actors::SpawnMode::scheduled, std::move(worker_options), row));
                                }});
    supervisor = scheduler.own(actors::spawn_supervisor(scheduler.system(), std::move(options)));
    resolve();
  }

  /// Asks for the worker by name; null when there is none now.
  void resolve() {
    const auto child = scheduler.ask<actors::Child>(supervisor, actors::GetChild{"disk-0"});
    REQUIRE(child);
    worker = caf::actor_cast<actors::DiskWorker>(child->handle);
    if (worker) scheduler.own(worker);
    for (auto& writer : writers) writer->worker = worker;
  }

  actors::ActorStatus status() const {
    for (const auto& row : table.snapshot()) {
      if (row.name == "disk-0") return row;
    }
    FAIL("no row for disk-0");
    return {};
  }

  actors::LogSnapshot open_log(int number, const storage::LogConfig& config = small_config()) {
    auto opened = scheduler.ask<actors::LogSnapshot>(worker, actors::OpenLog{partition(number), config});
    if (!opened) FAIL(caf::to_string(opened.error()));
    return *opened;
  }

  /// A writer of a log that is opened for it.
  Writer& add_writer(int number, const storage::LogConfig& config = small_config()) {
    const auto opened = open_log(number, config);
    auto state = std::make_shared<Writer>();
    state->partition = partition(number);
    state->next_offset = opened.view.log_end_offset();
    state->worker = worker;
    state->actor = scheduler.own(scheduler.system().spawn(writer, state));
    writers.push_back(state);
    return *state;
  }

  /// Where a log would end after a power cut now, that spares nothing that was not synced.
  Offset durable_end(int number) const {
    KeepSynced choices;
    auto image = disk.power_cut(choices);
    auto opened = storage::DataDirectory::open(image, small_directory("/data"));
    if (!opened) FAIL(to_string(opened.error()));
    auto log = opened->directory->log(partition(number), small_config());
    if (!log) FAIL(to_string(log.error()));
    return (*log)->log_end_offset();
  }

  /// Every log holds what its writer was promised, whatever else, in order.
  void check_promises_after_power_cut() const {
    KeepSynced choices;
    auto image = disk.power_cut(choices);
    auto opened = storage::DataDirectory::open(image, small_directory("/data"));
    if (!opened) FAIL(to_string(opened.error()));
    for (const auto& writer : writers) {
      auto log = opened->directory->log(writer->partition, small_config());
      if (!log) FAIL(to_string(log.error()));
      REQUIRE((*log)->log_end_offset() >= writer->acknowledged);
      REQUIRE(read_log((*log)->view(), Offset{0}) == expected_records(Offset{0}, (*log)->log_end_offset(), writer->value));
    }
  }
};

}  // namespace troupe::test
