#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/broker.hpp"
#include "actors/gateway.hpp"
#include "actors/partition_manager.hpp"
#include "tests/actors/quorum_fixture.hpp"

namespace troupe::test {

struct FixedClock final : Clock {
  MonotonicMs monotonic_now() const override { return MonotonicMs{1}; }
  TimestampMs wall_now() const override { return wall; }
  TimestampMs wall{1'764'000'000'000};
};

/// All actors of one node on a disk in memory, in one thread: metadata, logs, leaders, tails, a gateway, and the broker over them.
struct NodeFixture : QuorumFixture {
  FixedClock clock;
  actors::PartitionDirectory directory;
  actors::LeaderLocator leaders{BrokerId{1}, &directory, images, nullptr};
  actors::HandleSlot<actors::DiskWorker> data_worker;
  std::shared_ptr<actors::HandleSlot<caf::actor>> manager = std::make_shared<actors::HandleSlot<caf::actor>>();
  std::shared_ptr<actors::HandleSlot<caf::actor>> gateway = std::make_shared<actors::HandleSlot<caf::actor>>();
  std::shared_ptr<std::atomic<bool>> serving = std::make_shared<std::atomic<bool>>(false);
  actors::RestartPolicy::Options leader_restart = actors::PartitionManagerOptions{}.restart;
  actors::Supervisor data;
  std::unique_ptr<actors::Broker> broker;

  explicit NodeFixture(std::uint64_t seed = 1, FaultyFileSystem on = {}) : QuorumFixture(seed, std::move(on)) {
    options.clock = &clock;
  }
  /// The actors go first: they use what is declared here.
  ~NodeFixture() { scheduler.end_owned(); }

  void start_node() {
    start();
    actors::SupervisorOptions tree;
    tree.name = "node";
    tree.table = &table;
    tree.restart = restart;
    tree.children.push_back(
        {"partition_manager", "partition_manager", [this](caf::actor_system& system, const actors::ActorRowPtr& row) {
           auto started = actors::spawn_partition_manager(system,
                                                          {.node_id = BrokerId{1},
                                                           .broker = options.broker,
                                                           .disk_worker = [this] { return data_worker.get(); },
                                                           .metadata_quorum = [this] { return quorum.get(); },
                                                           .images = images,
                                                           .readers = &readers,
                                                           .clock = &clock,
                                                           .directory = &directory,
                                                           .leaders = &leaders,
                                                           .table = &table,
                                                           .restart = leader_restart,
                                                           .serving = serving},
                                                          row);
           manager->set(started);
           return scheduler.own(started);
         }});
    tree.children.push_back({"disk_worker", "data-disk", [this](caf::actor_system& system, const actors::ActorRowPtr& row) {
                               actors::DiskWorkerOptions worker_options;
                               worker_options.file_system = &disk;
                               worker_options.directory = small_directory("/log");
                               worker_options.listener = manager->get();
                               auto started = actors::spawn_disk_worker(system, actors::SpawnMode::scheduled,
                                                                        std::move(worker_options), row);
                               data_worker.set(started);
                               return caf::actor_cast<caf::actor>(scheduler.own(started));
                             }});
    tree.children.push_back({"gateway", "gateway-0", [this](caf::actor_system& system, const actors::ActorRowPtr& row) {
                               auto started = actors::spawn_gateway(system,
                                                                    {.images = images,
                                                                     .leaders = &leaders,
                                                                     .metadata_quorum = [this] { return quorum.get(); },
                                                                     .clock = &clock,
                                                                     .seed = 7},
                                                                    row);
                               gateway->set(started);
                               return scheduler.own(started);
                             }});
    data = scheduler.own(actors::spawn_supervisor(scheduler.system(), std::move(tree)));
    broker = std::make_unique<actors::Broker>(actors::Broker::Options{.node_id = BrokerId{1},
                                                                      .images = images,
                                                                      .gateways = {gateway},
                                                                      .partition_manager = manager,
                                                                      .table = &table,
                                                                      .clock = &clock,
                                                                      .health = [] { return HealthReport{}; }});
    scheduler.run();
    REQUIRE(serving->load());
  }

  template <class T>
  using Answer = std::shared_ptr<std::optional<Result<T>>>;

  /// The answer of a call appears when it comes.
  template <class T>
  static std::pair<Answer<T>, Reply<T>> expect() {
    auto answer = std::make_shared<std::optional<Result<T>>>();
    return {answer, Reply<T>{[answer](Result<T> result) {
              REQUIRE_FALSE(answer->has_value());
              answer->emplace(std::move(result));
            }}};
  }

  metadata::TopicPtr create_topic(const std::string& name, std::int32_t partitions = 1,
                                  std::map<std::string, std::string> config = {}) {
    auto [answer, reply] = expect<metadata::TopicPtr>();
    broker->create_topic({.name = name, .partitions = partitions, .config = std::move(config)}, std::move(reply));
    scheduler.advance(100);
    REQUIRE(answer->has_value());
    REQUIRE(**answer);
    return ***answer;
  }

  Answer<ProduceResponse> produce(const metadata::TopicPtr& topic, const std::string& value,
                                  std::optional<IdempotenceKey> key = {}, Millis timeout_ms = 30'000) {
    ProduceRequest request{
        .topic = topic, .memory = Bytes::copy_of(as_bytes(value)), .idempotence = key, .timeout_ms = timeout_ms};
    request.records.push_back({.value = request.memory.view()});
    auto [answer, reply] = expect<ProduceResponse>();
    broker->produce(std::move(request), std::move(reply));
    return answer;
  }

  /// The topic with other settings, without waiting for what comes of it; fails the test when they are refused.
  metadata::TopicPtr alter_topic(AlterTopicRequest request) {
    auto [answer, reply] = expect<metadata::TopicPtr>();
    broker->alter_topic(std::move(request), std::move(reply));
    scheduler.advance(100);
    REQUIRE(answer->has_value());
    REQUIRE(**answer);
    return ***answer;
  }

  Answer<FetchResponse> fetch(const FetchRequest& request) {
    auto [answer, reply] = expect<FetchResponse>();
    broker->fetch(request, std::move(reply));
    return answer;
  }
  Answer<OffsetAnswer> find_offset(const TopicIdPartition& id, const OffsetSpec& spec) {
    auto [answer, reply] = expect<OffsetAnswer>();
    broker->find_offset(id, spec, std::move(reply));
    return answer;
  }
  Answer<Offset> delete_records(const TopicIdPartition& id, Offset before) {
    auto [answer, reply] = expect<Offset>();
    broker->delete_records({.partition = id, .before = before}, std::move(reply));
    return answer;
  }
  /// Where a partition's log begins now.
  Offset log_start(const TopicIdPartition& id) {
    const auto answer = find_offset(id, {.kind = OffsetSpec::Kind::earliest});
    scheduler.advance(50);
    REQUIRE(answer->has_value());
    REQUIRE(**answer);
    return (**answer)->offset;
  }

  caf::actor leader_of(const TopicIdPartition& id) const {
    const auto entry = directory.find(id);
    return entry ? entry->leader : nullptr;
  }
  void kill_leader(const TopicIdPartition& id) {
    const auto leader = leader_of(id);
    REQUIRE(leader);
    caf::anon_send_exit(leader, caf::exit_reason::kill);
  }
  bool has_row(const std::string& kind, const std::string& name) const {
    for (const auto& row : table.snapshot()) {
      if (row.kind == kind && row.name == name) return true;
    }
    return false;
  }
  /// Files below /log whose path contains `part`.
  std::vector<std::string> files_with(const std::string& part) const {
    std::vector<std::string> found;
    for (const auto& file : disk.files()) {
      if (file.starts_with("/log/") && file.find(part) != std::string::npos) found.push_back(file);
    }
    return found;
  }

  static Result<ProducedRecord> record_of(const Answer<ProduceResponse>& answer) {
    REQUIRE(answer->has_value());
    REQUIRE(**answer);
    return (**answer)->records.at(0);
  }

  /// All values of a partition, in order.
  std::vector<std::string> values(const metadata::TopicPtr& topic, PartitionId partition = PartitionId{0}) {
    std::vector<std::string> all;
    for (Offset from{0};;) {
      auto [answer, reply] = expect<FetchResponse>();
      broker->fetch({.partition = {topic->id, partition}, .from = from}, std::move(reply));
      scheduler.advance(100);
      REQUIRE(answer->has_value());
      REQUIRE(**answer);
      const auto& response = ***answer;
      if (response.batches.empty()) return all;
      for (std::size_t at = 0; at < response.batches.size();) {
        const auto batch = record::parse_batch(response.batches.view().subspan(at)).value();
        record::RecordReader reader(batch.header, batch.records_block());
        while (const auto record = reader.next()) all.emplace_back(as_text(*record->value));
        at += batch.bytes.size();
      }
      from = response.next_offset;
    }
  }
};

}  // namespace troupe::test
