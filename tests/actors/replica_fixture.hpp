#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "actors/broker.hpp"
#include "actors/gateway.hpp"
#include "actors/leader_server.hpp"
#include "actors/log_config.hpp"
#include "actors/partition_manager.hpp"
#include "actors/remote_leader.hpp"
#include "tests/actors/disk_fixture.hpp"
#include "tests/actors/fake_controller.hpp"
#include "tests/support/fake_links.hpp"

namespace troupe::test {

struct StandingClock final : Clock {
  MonotonicMs monotonic_now() const override { return MonotonicMs{1}; }
  TimestampMs wall_now() const override { return TimestampMs{1'764'000'000'000}; }
};

/// A node's links, which note who uses them: nobody else has handles of those actors.
struct NotedLinks final : actors::PeerLinks {
  explicit NotedLinks(actors::PeerLinks& real) : links(real) {}

  void serve(actors::Channel channel, const caf::actor& receiver) override {
    if (channel == actors::Channel::replica) server = caf::actor_cast<caf::actor_addr>(receiver);
    links.serve(channel, receiver);
  }
  void send(BrokerId to, actors::Channel channel, Bytes payload) override { links.send(to, channel, std::move(payload)); }
  void call(BrokerId to, actors::Channel channel, Bytes payload, Millis timeout_ms, std::uint64_t token,
            const caf::actor& reply_to) override {
    if (channel == actors::Channel::replica) callers[to] = caf::actor_cast<caf::actor_addr>(reply_to);
    links.call(to, channel, std::move(payload), timeout_ms, token, reply_to);
  }
  void answer(const actors::PeerMessage& message, Result<Bytes> answer) override {
    links.answer(message, std::move(answer));
  }

  actors::PeerLinks& links;
  caf::actor_addr server;
  std::map<BrokerId, caf::actor_addr> callers;
};

/// One run of one node: its logs, partition actors and a gateway. The disk outlives the run.
struct ReplicaNode {
  BrokerId id;
  FaultyFileSystem disk;
  StandingClock clock;
  actors::ActorTable table;
  actors::LogReaders readers{{.readers = 1}};
  actors::PartitionDirectory directory;
  std::unique_ptr<actors::LeaderLocator> leaders;
  actors::HandleSlot<actors::DiskWorker> worker;
  actors::HandleSlot<actors::MetadataQuorum> quorum;
  std::shared_ptr<actors::HandleSlot<caf::actor>> manager = std::make_shared<actors::HandleSlot<caf::actor>>();
  std::shared_ptr<actors::HandleSlot<caf::actor>> gateway = std::make_shared<actors::HandleSlot<caf::actor>>();
  std::shared_ptr<actors::ImageHolder> images = std::make_shared<actors::ImageHolder>();
  std::unique_ptr<NotedLinks> links;
  caf::actor_addr isr_desk;
  caf::actor leader_server;
  actors::Supervisor supervisor;
  std::unique_ptr<actors::Broker> broker;

  actors::ActorStatus row(const std::string& kind, const std::string& name) const {
    for (const auto& row : table.snapshot()) {
      if (row.kind == kind && row.name == name) return row;
    }
    FAIL("no row " << kind << " " << name);
    return {};
  }
  std::size_t count(const std::string& kind) const {
    const auto rows = table.snapshot();
    return static_cast<std::size_t>(std::ranges::count(rows, kind, &actors::ActorStatus::kind));
  }
};

/// Nodes with disks in memory and links that the test may cut, under one controller, in one thread and in virtual time.
struct ReplicaFixture {
  static constexpr Millis lag_max_ms = 2'000;
  static constexpr Millis left_log_ms = 40'000;

  std::shared_ptr<FakeController> controller = std::make_shared<FakeController>();
  SeededScheduler scheduler;
  FakeLinks network;
  std::map<BrokerId, std::unique_ptr<ReplicaNode>> nodes;
  std::vector<std::unique_ptr<ReplicaNode>> gone;  ///< what is left of earlier runs may still be looked at by their actors

  const bool stand_ins;  ///< gateways and tails of a node reach leaders on others

  explicit ReplicaFixture(int count = 3, std::uint64_t seed = 1, bool with_stand_ins = false)
      : scheduler(seed), network(scheduler.system()), stand_ins(with_stand_ins) {
    for (int i = 1; i <= count; ++i) start(BrokerId{i}, {});
    scheduler.run();
  }
  ~ReplicaFixture() {
    while (!nodes.empty()) stop(nodes.begin()->first);
    scheduler.run();
  }

  ReplicaNode& node(int id) { return *nodes.at(BrokerId{id}); }

  void start(BrokerId id, FaultyFileSystem disk) {
    auto owned = std::make_unique<ReplicaNode>();
    auto& one = *owned;
    one.id = id;
    one.disk = std::move(disk);
    one.links = std::make_unique<NotedLinks>(network.start(id));
    actors::LeaderLocator::Spawn spawn;
    const auto hidden_row = [](const char* kind) { return std::make_shared<actors::ActorRow>(kind, kind); };
    if (stand_ins) {
      spawn = [this, &one, hidden_row](const actors::LeaderLocator::Remote& remote) {
        return scheduler.own(actors::spawn_remote_leader(scheduler.system(),
                                                         {.partition = remote.partition,
                                                          .broker = remote.broker,
                                                          .epoch = remote.epoch,
                                                          .links = one.links.get(),
                                                          .on_end = remote.on_end},
                                                         hidden_row("remote_leader")));
      };
      one.leader_server = scheduler.own(actors::spawn_leader_server(
          scheduler.system(), {.directory = &one.directory, .links = one.links.get()}, hidden_row("leader_server")));
    }
    one.leaders = std::make_unique<actors::LeaderLocator>(id, &one.directory, one.images, std::move(spawn));
    controller->join(id, one.images);
    const auto quorum = scheduler.own(scheduler.system().spawn(fake_quorum, controller, id));
    one.quorum.set(quorum);
    actors::SupervisorOptions tree;
    tree.name = "node";
    tree.table = &one.table;
    tree.restart = {.restarts_max = 1'000, .backoff_ms_min = 100, .backoff_ms_max = 100, .jitter_percent = 0};
    tree.children.push_back(
        {"partition_manager", "partition_manager", [this, &one](caf::actor_system& system, const actors::ActorRowPtr& row) {
           auto started = actors::spawn_partition_manager(
               system,
               {.node_id = one.id,
                .broker = {.id = one.id, .host = "localhost"},
                .disk_worker = [&one] { return one.worker.get(); },
                .metadata_quorum = [&one] { return one.quorum.get(); },
                .images = one.images,
                .readers = &one.readers,
                .clock = &one.clock,
                .directory = &one.directory,
                .leaders = one.leaders.get(),
                .table = &one.table,
                .left_log_ms = left_log_ms,
                .seed = static_cast<std::uint64_t>(one.id.value()) * 1'000 + gone.size(),
                .links = one.links.get(),
                .ask_controller =
                    [this, &one](const metadata::AlterPartitionsRequest& request, std::uint64_t token,
                                 const caf::actor& reply_to) {
                      one.isr_desk = caf::actor_cast<caf::actor_addr>(reply_to);
                      if (controller->is_deaf(one.id)) return;
                      ++controller->alter_requests;
                      caf::anon_send(reply_to, actors::AlterPartitionsAnswered{token, controller->alter(request)});
                    },
                .replica_lag_max_ms = lag_max_ms},
               row);
           one.manager->set(started);
           return scheduler.own(started);
         }});
    tree.children.push_back(
        {"disk_worker", "data-disk", [this, &one](caf::actor_system& system, const actors::ActorRowPtr& row) {
           actors::DiskWorkerOptions options;
           options.file_system = &one.disk;
           options.directory = small_directory("/log");
           options.directory.node_id = one.id;
           options.listener = one.manager->get();
           options.logs_fail_alone = true;
           auto started = actors::spawn_disk_worker(system, actors::SpawnMode::scheduled, std::move(options), row);
           one.worker.set(started);
           return caf::actor_cast<caf::actor>(scheduler.own(started));
         }});
    tree.children.push_back(
        {"log_reader", "reader-0", [this, &one](caf::actor_system& system, const actors::ActorRowPtr& row) {
           return scheduler.own(one.readers.start_reader(0, system, actors::SpawnMode::scheduled, row));
         }});
    tree.children.push_back(
        {"gateway", "gateway-0", [this, &one](caf::actor_system& system, const actors::ActorRowPtr& row) {
           auto started = actors::spawn_gateway(system,
                                                {.images = one.images,
                                                 .leaders = one.leaders.get(),
                                                 .metadata_quorum = [&one] { return one.quorum.get(); },
                                                 .clock = &one.clock,
                                                 .seed = static_cast<std::uint64_t>(one.id.value())},
                                                row);
           one.gateway->set(started);
           return scheduler.own(started);
         }});
    one.supervisor = scheduler.own(actors::spawn_supervisor(scheduler.system(), std::move(tree)));
    one.broker = std::make_unique<actors::Broker>(actors::Broker::Options{.node_id = one.id,
                                                                          .images = one.images,
                                                                          .gateways = {one.gateway},
                                                                          .partition_manager = one.manager,
                                                                          .table = &one.table,
                                                                          .clock = &one.clock,
                                                                          .health = [] { return HealthReport{}; }});
    nodes[id] = std::move(owned);
  }

  /// The process is killed: its disk is as the kernel has it.
  FaultyFileSystem stop(BrokerId id) {
    auto& one = *nodes.at(id);
    one.disk.process_kill();
    auto left = one.disk.clone();
    network.stop(id);
    controller->leave(id);
    caf::anon_send_exit(caf::actor_cast<caf::actor>(one.supervisor), caf::exit_reason::kill);
    one.supervisor = nullptr;
    one.leaders->clear();
    if (one.leader_server) caf::anon_send_exit(std::exchange(one.leader_server, nullptr), caf::exit_reason::kill);
    for (const auto& actor : {one.manager->get(), one.gateway->get(), caf::actor_cast<caf::actor>(one.worker.get()),
                              caf::actor_cast<caf::actor>(one.quorum.get())}) {
      if (actor) caf::anon_send_exit(actor, caf::exit_reason::kill);
    }
    scheduler.run();
    gone.push_back(std::move(nodes.at(id)));
    nodes.erase(id);
    return left;
  }

  template <class T>
  using Answer = std::shared_ptr<std::optional<Result<T>>>;
  template <class T>
  static std::pair<Answer<T>, Reply<T>> expect() {
    auto answer = std::make_shared<std::optional<Result<T>>>();
    return {answer, Reply<T>{[answer](Result<T> result) {
              REQUIRE_FALSE(answer->has_value());
              answer->emplace(std::move(result));
            }}};
  }

  Answer<ProduceResponse> produce(int at, const metadata::TopicPtr& topic, const std::string& value,
                                  Acks acks = Acks::quorum, PartitionId partition = PartitionId{0},
                                  Millis timeout_ms = 30'000) {
    ProduceRequest request{
        .topic = topic, .memory = Bytes::copy_of(as_bytes(value)), .acks = acks, .timeout_ms = timeout_ms};
    request.records.push_back({.value = request.memory.view(), .partition = partition});
    auto [answer, reply] = expect<ProduceResponse>();
    node(at).broker->produce(std::move(request), std::move(reply));
    return answer;
  }
  static Result<ProducedRecord> record_of(const Answer<ProduceResponse>& answer) {
    REQUIRE(answer->has_value());
    REQUIRE(**answer);
    return (**answer)->records.at(0);
  }
  Result<FetchResponse> fetch(int at, const TopicIdPartition& id, Offset from) {
    auto [answer, reply] = expect<FetchResponse>();
    node(at).broker->fetch({.partition = id, .from = from}, std::move(reply));
    scheduler.advance(100);
    REQUIRE(answer->has_value());
    return **answer;
  }
  Result<OffsetAnswer> find(int at, const TopicIdPartition& id, const OffsetSpec& spec) {
    auto [answer, reply] = expect<OffsetAnswer>();
    node(at).broker->find_offset(id, spec, std::move(reply));
    scheduler.advance(50);
    REQUIRE(answer->has_value());
    return **answer;
  }
  /// All values that consumers may read at a leader.
  std::vector<std::string> values(int at, const TopicIdPartition& id) {
    std::vector<std::string> all;
    for (Offset from{0};;) {
      const auto response = fetch(at, id, from);
      REQUIRE(response);
      if (response->batches.empty()) return all;
      for (std::size_t begin = 0; begin < response->batches.size();) {
        const auto batch = record::parse_batch(response->batches.view().subspan(begin)).value();
        record::RecordReader reader(batch.header, batch.records_block());
        while (const auto record = reader.next()) all.emplace_back(as_text(*record->value));
        begin += batch.bytes.size();
      }
      from = response->next_offset;
    }
  }

  /// Files of a partition that a node has in their place.
  std::size_t files(int at, const TopicIdPartition& id) {
    const auto all = node(at).disk.files();
    return static_cast<std::size_t>(std::ranges::count_if(all, [&](const std::string& file) {
      return file.starts_with("/log/partitions/" + to_string(id) + "/") && file.ends_with(".log");
    }));
  }
  actors::LogSnapshot log(int at, const TopicIdPartition& id) {
    const auto config = controller->topic(id.topic_id)->config;
    auto opened =
        scheduler.ask<actors::LogSnapshot>(node(at).worker.get(), actors::OpenLog{id, actors::log_config_of(config)});
    if (!opened) FAIL(caf::to_string(opened.error()));
    return *opened;
  }
  /// Every byte that a node has of a partition.
  std::string bytes(int at, const TopicIdPartition& id) {
    const auto view = log(at, id).view;
    std::string all;
    for (auto from = view.log_start_offset(); from < view.log_end_offset();) {
      const auto slice = view.read(from, 1 << 20);
      REQUIRE(slice);
      all += as_text(slice->batches.view());
      from = slice->next_offset;
    }
    return all;
  }
  void check_same_logs(const std::vector<int>& at, const TopicIdPartition& id) {
    const auto first = bytes(at.front(), id);
    for (const auto other : at) {
      CAPTURE(other);
      CHECK(log(other, id).view.log_end_offset() == log(at.front(), id).view.log_end_offset());
      CHECK((bytes(other, id) == first));  // too long to be shown
    }
  }
};

inline std::vector<BrokerId> brokers(std::initializer_list<int> ids) {
  std::vector<BrokerId> all;
  for (const auto id : ids) all.emplace_back(id);
  return all;
}

}  // namespace troupe::test
