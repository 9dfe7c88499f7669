#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "actors/actor_table.hpp"
#include "actors/disk_worker.hpp"
#include "actors/errors.hpp"
#include "actors/log_reader.hpp"
#include "bench/measure.hpp"
#include "core/record/batch_validator.hpp"
#include "storage/posix_file_system.hpp"

/// The log as the node uses it: one actor a partition that validates batches and hands them to the disk_worker, with a window of
/// batches in flight; or one that reads a log from its start through a log_reader.
///
///   log_load append DIRECTORY BATCHES PARTITIONS IN_FLIGHT interval|fsync     IN_FLIGHT: of each partition
///   log_load read DIRECTORY

namespace {

using namespace troupe;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "log_load: %s\n", why.c_str());
  std::exit(1);
}

TopicIdPartition partition(std::size_t number) { return {Uuid{{1}}, PartitionId{static_cast<std::int32_t>(number)}}; }

/// What the producers of one run share; each is used by one actor at a time only through its atomics.
struct Run {
  actors::DiskWorker disk;
  Bytes batch;
  std::size_t in_flight;
  std::atomic<std::size_t> producers_left;
  std::promise<void> done;
};

/// Stands for a partition leader: gives offsets, keeps `in_flight` batches under way until it has appended `batches`.
caf::behavior producer(caf::event_based_actor* self, std::shared_ptr<Run> run, std::size_t number, std::size_t batches,
                       Offset log_end_offset) {
  struct State {
    std::size_t to_send;
    std::size_t to_hear;
    Offset next_offset;
  };
  auto state = std::make_shared<State>(State{batches, batches, log_end_offset});
  const auto send_one = [=] {
    const auto valid = record::validate_batch(run->batch, {}, record::BatchOrigin::client);
    if (!valid) fail(to_string(valid.error()));
    actors::AppendBatches request{partition(number), 0, {{state->next_offset, LeaderEpoch{0}, run->batch}}, self};
    state->next_offset += valid->header.last_offset_delta + 1;
    --state->to_send;
    self->send(run->disk, std::move(request));
  };
  for (std::size_t i = 0; i < run->in_flight && state->to_send > 0; ++i) send_one();
  return {[=](const actors::AppendResults& results) {
    for (const auto& result : results.results) {
      if (!result.status) fail(to_string(result.status.error()));
      if (state->to_send > 0) send_one();
      if (--state->to_hear > 0) continue;
      if (run->producers_left.fetch_sub(1) == 1) run->done.set_value();
      self->quit();
    }
  }};
}

bench::Figures append(caf::actor_system& system, const actors::DiskWorker& disk, std::size_t batches, std::size_t partitions,
                      std::size_t in_flight, const storage::LogConfig& config) {
  const auto bytes = Bytes::adopt(bench::make_batch());
  const auto run_all = [&](std::size_t per_partition, Offset from) {
    auto run = std::make_shared<Run>();
    run->disk = disk;
    run->batch = bytes;
    run->in_flight = in_flight;
    run->producers_left = partitions;
    auto done = run->done.get_future();
    for (std::size_t i = 0; i < partitions; ++i) system.spawn(producer, run, i, per_partition, from);
    done.get();
  };
  caf::scoped_actor self{system};
  for (std::size_t i = 0; i < partitions; ++i) {
    self->request(disk, caf::infinite, actors::OpenLog{partition(i), config})
        .receive([](const actors::LogSnapshot&) {}, [&](const caf::error& error) { fail(system.render(error)); });
  }
  run_all(1, Offset{0});  // files exist before the clock starts
  const auto per_partition = std::max<std::size_t>(1, batches / partitions);
  const bench::Stopwatch stopwatch;
  run_all(per_partition, Offset{static_cast<std::int64_t>(bench::records_per_batch)});
  const auto total = per_partition * partitions;
  return stopwatch.stop(total * bench::records_per_batch, total * bytes.size());
}

/// Stands for a consumer that catches up, one fetch after the other.
caf::behavior consumer(caf::event_based_actor* self, const actors::LogReaders* readers, storage::LogView view,
                       std::promise<std::size_t>* done) {
  constexpr std::size_t bytes_max = std::size_t{1} << 20;  // what a Kafka consumer asks of a partition by default
  auto bytes = std::make_shared<std::size_t>(0);
  const auto ask = [=](Offset from, const storage::ReadPosition& position) {
    readers->read({partition(0), 0, view, from, bytes_max, Offset::max(), position, self});
  };
  ask(Offset{0}, {});
  return {[=](const actors::ReadResult& result) {
    if (!result.slice) fail(to_string(result.slice.error()));
    *bytes += result.slice->batches.size();
    if (result.slice->next_offset < view.log_end_offset()) {
      ask(result.slice->next_offset, result.slice->position);
    } else {
      done->set_value(*bytes);
      self->quit();
    }
  }};
}

bench::Figures read(caf::actor_system& system, const actors::DiskWorker& disk,
                    const std::shared_ptr<actors::ActorTable>& table, const storage::LogConfig& config) {
  caf::scoped_actor self{system};
  storage::LogView view;
  self->request(disk, caf::infinite, actors::OpenLog{partition(0), config})
      .receive([&](const actors::LogSnapshot& log) { view = log.view; },
               [&](const caf::error& error) { fail(system.render(error)); });
  actors::LogReaders readers{{.readers = 1}};
  const auto reader = readers.start_reader(0, system, actors::SpawnMode::detached, table->add("log_reader", "0"));
  std::promise<std::size_t> done;
  auto bytes = done.get_future();
  const bench::Stopwatch stopwatch;
  system.spawn(consumer, &readers, view, &done);
  const auto total = bytes.get();
  const auto figures = stopwatch.stop(static_cast<std::size_t>(view.log_end_offset().value()), total);
  self->send_exit(reader, caf::exit_reason::user_shutdown);
  self->wait_for(reader);
  return figures;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const bool appends = arguments.size() == 6 && arguments[0] == "append";
  const bool reads = arguments.size() == 2 && arguments[0] == "read";
  if (!appends && !reads) {
    std::fputs("usage: log_load append DIRECTORY BATCHES PARTITIONS IN_FLIGHT interval|fsync | read DIRECTORY\n", stderr);
    return 2;
  }
  storage::PosixFileSystem files;
  storage::LogConfig config;
  caf::actor_system_config system_config;
  system_config.set("scheduler.policy", caf::atom("sharing"));
  system_config.set("scheduler.max-threads", std::size_t{2});
  caf::actor_system system{system_config};
  auto table = std::make_shared<actors::ActorTable>();
  actors::DiskWorkerOptions options;
  options.file_system = &files;
  options.directory = {.path = arguments[1], .cluster_id = Uuid{{1}}, .node_id = BrokerId{1}};
  const auto disk = actors::spawn_disk_worker(system, actors::SpawnMode::detached, options, table->add("disk_worker", "0"));
  if (appends) {
    config.flush = arguments[5] == "fsync" ? storage::FlushPolicy::fsync : storage::FlushPolicy::interval;
    append(system, disk, std::stoul(arguments[2]), std::stoul(arguments[3]), std::stoul(arguments[4]), config).print();
  } else {
    read(system, disk, table, config).print();
  }
  caf::scoped_actor self{system};
  self->request(disk, caf::infinite, actors::CloseDirectory{})
      .receive([](const actors::Done&) {}, [&](const caf::error& error) { fail(system.render(error)); });
  return 0;
}
