#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "actors/disk_worker.hpp"
#include "actors/errors.hpp"
#include "actors/log_reader.hpp"
#include "actors/supervisor.hpp"
#include "storage/posix_file_system.hpp"
#include "tests/support/actor_fixture.hpp"
#include "tests/support/batches.hpp"
#include "tests/support/temp_directory.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::actors;

namespace {

TopicIdPartition partition(int number) { return {Uuid{{9, 9}}, PartitionId{number}}; }

storage::LogConfig config() {
  return {.segment_bytes_max = 16 << 10, .index_interval_bytes = 512, .retention_bytes = 32 << 10};
}

/// Counts down; a test waits for zero with a deadline.
class Countdown {
 public:
  explicit Countdown(int count) : left_(count) {}
  void count() {
    if (left_.fetch_sub(1) == 1) done_.set_value();
  }
  void wait() { REQUIRE(done_.get_future().wait_for(std::chrono::seconds(60)) == std::future_status::ready); }

 private:
  std::atomic<int> left_;
  std::promise<void> done_;
};

/// A real actor system with a disk_worker and log readers in threads of their own.
struct ThreadsFixture {
  TempDirectory folder;
  storage::PosixFileSystem disk;
  ActorTable table;
  struct Config : caf::actor_system_config {
    Config() {
      set("scheduler.policy", caf::atom("sharing"));
      set("scheduler.max-threads", std::size_t{2});
    }
  } caf_config;
  caf::actor_system system{caf_config};
  LogReaders readers{{.readers = 2}};
  Supervisor supervisor;
  DiskWorker worker;

  ThreadsFixture() {
    SupervisorOptions options;
    options.table = &table;
    options.children.push_back({"disk_worker", "disk-0", [this](caf::actor_system& where, const ActorRowPtr& row) {
                                  DiskWorkerOptions worker_options;
                                  worker_options.file_system = &disk;
                                  worker_options.directory = {.path = folder / "data",
                                                              .cluster_id = Uuid{{7}},
                                                              .node_id = BrokerId{1},
                                                              .commit_file_bytes = 256 << 10,
                                                              .commit_grow_bytes = 64 << 10};
                                  return caf::actor_cast<caf::actor>(
                                      spawn_disk_worker(where, SpawnMode::detached, std::move(worker_options), row));
                                }});
    for (std::size_t i = 0; i < readers.size(); ++i) {
      options.children.push_back(
          {"log_reader", "reader-" + std::to_string(i), [this, i](caf::actor_system& where, const ActorRowPtr& row) {
             return readers.start_reader(i, where, SpawnMode::detached, row);
           }});
    }
    supervisor = spawn_supervisor(system, std::move(options));
    worker = caf::actor_cast<DiskWorker>(ask<Child>(supervisor, GetChild{"disk-0"}).handle);
  }

  ~ThreadsFixture() { caf::anon_send_exit(supervisor, caf::exit_reason::user_shutdown); }

  /// Waits for an answer; the test fails when there is none.
  template <class Reply, class Handle, class Request>
  Reply ask(const Handle& actor, Request request) {
    auto promise = std::make_shared<std::promise<caf::expected<Reply>>>();
    auto future = promise->get_future();
    const auto asker = [promise](caf::event_based_actor* self, const Handle& whom, const Request& what) {
      self->request(whom, caf::infinite, what)
          .then([promise](const Reply& reply) { promise->set_value(reply); },
                [promise](caf::error& error) { promise->set_value(std::move(error)); });
    };
    system.spawn(asker, actor, std::move(request));
    if (future.wait_for(std::chrono::seconds(60)) != std::future_status::ready) throw std::runtime_error("no answer");
    auto answer = future.get();
    if (!answer) throw std::runtime_error(caf::to_string(answer.error()));
    return std::move(*answer);
  }
};

/// Appends batch after batch to a log that it alone writes, and reads each back, cold, while others do the same.
struct Client {
  TopicIdPartition partition;
  int batches;
  DiskWorker worker;
  const LogReaders* readers;
  std::shared_ptr<Countdown> done;

  Offset next_offset{0};
  int in_flight = 0;
  int sent = 0;
  int outstanding_reads = 0;
  std::optional<storage::LogView> view;
  std::atomic<int> failures{0};
};

caf::behavior client(caf::event_based_actor* self, const std::shared_ptr<Client>& state) {
  const auto fill = [self, state] {
    while (state->in_flight < 8 && state->sent < state->batches) {
      AppendBatches request{state->partition,
                            static_cast<std::uint64_t>(state->sent),
                            {make_batch(state->next_offset, {.records = 5, .value = std::string(100, 'v')})},
                            caf::actor_cast<caf::actor>(self)};
      state->next_offset += 5;
      ++state->sent;
      ++state->in_flight;
      self->send(caf::actor_cast<caf::actor>(state->worker), std::move(request));
    }
    if (state->sent == state->batches && state->in_flight == 0 && state->outstanding_reads == 0) {
      state->done->count();
      self->quit();
    }
  };
  fill();
  return {[=](const AppendResults& answer) {
            Offset end{0};
            for (const auto& result : answer.results) {
              --state->in_flight;
              if (!result.status) {
                ++state->failures;
              } else {
                end = result.log_end_offset;
              }
            }
            for (const auto& log : answer.logs) state->view = log.view;
            if (state->view && end > Offset{0}) {
              ++state->outstanding_reads;
              state->readers->read({.partition = state->partition,
                                    .token = static_cast<std::uint64_t>(end.value()),
                                    .view = *state->view,
                                    .from = std::max(state->view->log_start_offset(), end - 50),
                                    .bytes_max = 64 << 10,
                                    .reply_to = caf::actor_cast<caf::actor>(self)});
            }
            fill();
          },
          [=](const ReadResult& result) {
            --state->outstanding_reads;
            // A slice ends with its segment.
            const Offset end{static_cast<std::int64_t>(result.token)};
            const bool good = result.slice && result.slice->next_offset > end - 50 && result.slice->next_offset <= end;
            if (!good && !(!result.slice && result.slice.error().code == Errc::overloaded)) ++state->failures;
            fill();
          }};
}

}  // namespace

TEST_CASE("clients append and read cold while retention runs, each in its own thread", "[disk_threads]") {
  constexpr int clients = 6;
  constexpr int batches = 150;
  ThreadsFixture fixture;
  auto done = std::make_shared<Countdown>(clients);
  std::vector<std::shared_ptr<Client>> states;
  for (int i = 0; i < clients; ++i) {
    fixture.ask<LogSnapshot>(fixture.worker, OpenLog{partition(i), config()});
    states.push_back(std::make_shared<Client>(partition(i), batches, fixture.worker, &fixture.readers, done));
  }
  for (const auto& state : states) fixture.system.spawn(client, state);
  // Retention removes segments under the readers; the table is read all the while.
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < clients; ++i) {
      const auto before = fixture.ask<LogSnapshot>(fixture.worker, ApplyRetention{partition(i), std::nullopt});
      caf::anon_send(fixture.worker, SetHighWatermark{partition(i), before.view.log_end_offset()});
    }
    CHECK(fixture.table.snapshot().size() == 4);
  }
  done->wait();
  for (int i = 0; i < clients; ++i) {
    CHECK(states[static_cast<std::size_t>(i)]->failures == 0);
    const auto end = fixture.ask<LogSnapshot>(fixture.worker, ApplyRetention{partition(i), std::nullopt});
    CHECK(end.view.log_end_offset() == Offset{batches * 5});
    CHECK(end.view.log_start_offset() > Offset{0});
    CHECK(read_log(end.view, end.view.log_start_offset()) ==
          expected_records(end.view.log_start_offset(), Offset{batches * 5}, std::string(100, 'v')));
  }
}

TEST_CASE("a view that is read while its log is truncated shows its records or says that it is stale", "[disk_threads]") {
  ThreadsFixture fixture;
  auto opened = fixture.ask<LogSnapshot>(fixture.worker, OpenLog{partition(0), config()});
  std::mutex mutex;
  storage::LogView current = opened.view;
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<int> good{0};
  std::atomic<int> stale{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        storage::LogView view;
        {
          const std::lock_guard lock{mutex};
          view = current;
        }
        const auto slice = view.read(Offset{0}, 1 << 20);
        if (!slice) {
          ++(slice.error().code == Errc::stale_log_view ? stale : wrong);
        } else {
          ++(slice->next_offset == view.log_end_offset() ? good : wrong);
        }
      }
    });
  }
  for (int round = 0; round < 60; ++round) {
    const auto heard = std::make_shared<std::promise<AppendResults>>();
    const auto once = [](caf::event_based_actor* self,
                         const std::shared_ptr<std::promise<AppendResults>>& into) -> caf::behavior {
      return {[self, into](const AppendResults& results) {
        into->set_value(results);
        self->quit();
      }};
    };
    const Offset base{round == 0 ? 0 : 10};
    caf::anon_send(fixture.worker, AppendBatches{partition(0),
                                                 0,
                                                 {make_batch(base, {.records = 10}), make_batch(base + 10, {.records = 10})},
                                                 fixture.system.spawn(once, heard)});
    auto future = heard->get_future();
    REQUIRE(future.wait_for(std::chrono::seconds(60)) == std::future_status::ready);
    const auto results = future.get();
    REQUIRE(results.results.at(0).status);
    {
      const std::lock_guard lock{mutex};
      current = results.logs.at(0).view;
    }
    const auto cut = fixture.ask<LogSnapshot>(fixture.worker, TruncateLog{partition(0), Offset{10}});
    const std::lock_guard lock{mutex};
    current = cut.view;
  }
  stop = true;
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(good > 0);
}

TEST_CASE("a node's disk actors stop in order, and the directory opens clean", "[disk_threads]") {
  auto fixture = std::make_unique<ThreadsFixture>();
  fixture->ask<LogSnapshot>(fixture->worker, OpenLog{partition(0), config()});
  auto done = std::make_shared<Countdown>(1);
  auto state = std::make_shared<Client>(partition(0), 20, fixture->worker, &fixture->readers, done);
  fixture->system.spawn(client, state);
  done->wait();
  CHECK(fixture->ask<ChildrenStopped>(fixture->supervisor, StopChildren{}).killed.empty());
  auto again = storage::DataDirectory::open(
      fixture->disk, {.path = fixture->folder / "data", .cluster_id = Uuid{{7}}, .node_id = BrokerId{1}});
  REQUIRE(again);
  CHECK(again->repaired_batches == 0);
}
