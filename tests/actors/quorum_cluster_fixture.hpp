#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/broker_heartbeat.hpp"
#include "actors/operator_desk.hpp"
#include "tests/actors/quorum_fixture.hpp"
#include "tests/support/fake_links.hpp"

namespace troupe::test {

/// Nodes with a metadata quorum each, over links in memory, on disks in memory, everything in one thread.
///
///   QuorumClusterFixture cluster;
///   cluster.start_voters(3);
///   REQUIRE(cluster.all_ready());
struct QuorumClusterFixture {
  /// One run of a node.
  struct Node {
    Node(BrokerId broker, FaultyFileSystem on) : id(broker), disk(std::move(on)) {}

    BrokerId id;
    FaultyFileSystem disk;
    actors::ActorTable table = {};
    actors::LogReaders readers{{.readers = 1}};
    actors::HandleSlot<actors::DiskWorker> worker = {};
    actors::HandleSlot<actors::MetadataQuorum> quorum = {};
    actors::HandleSlot<caf::actor> desk = {};
    std::vector<metadata::BrokerImage> told_of = {};  ///< by another node, before it had metadata
    std::shared_ptr<actors::ImageHolder> images = std::make_shared<actors::ImageHolder>();
    std::shared_ptr<actors::BrokerStanding> standing = std::make_shared<actors::BrokerStanding>();
    std::shared_ptr<actors::QuorumStanding> quorum_standing = std::make_shared<actors::QuorumStanding>();
    std::vector<caf::actor> actors = {};
    actors::Supervisor supervisor = {};
    bool runs = true;

    metadata::ImagePtr image() const { return images->get(); }
    /// The quorum's row; its state is `running` when the metadata is ready.
    actors::ActorStatus status() const {
      for (const auto& row : table.snapshot()) {
        if (row.name == "metadata_quorum") return row;
      }
      return {};
    }
    bool ready() const { return runs && status().state == actors::ActorState::running; }
  };

  SeededScheduler scheduler;
  FakeLinks network;
  Prng random;
  std::vector<BrokerId> voters;
  std::map<BrokerId, std::shared_ptr<Node>> nodes;
  std::vector<std::shared_ptr<Node>> dead;  ///< actors still refer to them
  std::size_t snapshot_records_min = 20'000;
  Uuid directory_cluster_id = {};  ///< of directories that are made; nil: of whatever cluster it becomes

  explicit QuorumClusterFixture(std::uint64_t seed = 1) : scheduler(seed), network(scheduler.system()), random(seed) {}
  ~QuorumClusterFixture() {
    for (const auto& [id, node] : nodes) end_actors(*node);
    scheduler.run();
  }

  static void end_actors(Node& node) {
    caf::anon_send_exit(node.supervisor, caf::exit_reason::kill);
    for (const auto& actor : node.actors) caf::anon_send_exit(actor, caf::exit_reason::kill);
    node.supervisor = nullptr;
    node.actors.clear();
    node.runs = false;
  }

  Node& start(std::int32_t number, std::vector<BrokerId> its_voters, std::vector<BrokerId> contacts,
              FaultyFileSystem disk = {}) {
    const BrokerId id{number};
    auto node = std::make_shared<Node>(id, std::move(disk));
    nodes[id] = node;
    auto& links = network.start(id);
    actors::MetadataQuorumOptions options;
    options.disk_worker = [node = node.get()] { return node->worker.get(); };
    options.readers = &node->readers;
    options.images = node->images;
    options.standing = node->quorum_standing;
    options.broker = {.id = id,
                      .host = "node-" + std::to_string(number),
                      .port = 8080,
                      .cluster_host = "node-" + std::to_string(number),
                      .cluster_port = 9071};
    options.incarnation = network.incarnation_of(id);
    options.new_uuid = [this] { return Uuid::random(random); };
    options.segment_bytes = 4 << 10;
    options.snapshot_records_min = snapshot_records_min;
    options.links = &links;
    options.voters = std::move(its_voters);
    options.contacts = std::move(contacts);
    actors::SupervisorOptions tree;
    tree.table = &node->table;
    tree.restart = {.restarts_max = 1'000, .backoff_ms_min = 100, .backoff_ms_max = 100, .jitter_percent = 0};
    tree.children.push_back({"disk_worker", "metadata-disk",
                             [this, node = node.get()](caf::actor_system& system, const actors::ActorRowPtr& row) {
                               actors::DiskWorkerOptions worker;
                               worker.file_system = &node->disk;
                               worker.directory = small_directory("/metadata");
                               worker.directory.cluster_id = directory_cluster_id;
                               worker.directory.node_id = node->id;
                               auto started =
                                   actors::spawn_disk_worker(system, actors::SpawnMode::scheduled, std::move(worker), row);
                               node->worker.set(started);
                               return keep(*node, caf::actor_cast<caf::actor>(started));
                             }});
    tree.children.push_back(
        {"log_reader", "reader-0", [this, node = node.get()](caf::actor_system& system, const actors::ActorRowPtr& row) {
           return keep(*node, node->readers.start_reader(0, system, actors::SpawnMode::scheduled, row));
         }});
    tree.children.push_back({"metadata_quorum", "metadata_quorum",
                             [this, options, node = node.get()](caf::actor_system& system, const actors::ActorRowPtr& row) {
                               auto started = actors::spawn_metadata_quorum(system, options, row);
                               node->quorum.set(started);
                               return keep(*node, caf::actor_cast<caf::actor>(started));
                             }});
    tree.children.push_back({"broker_heartbeat", "broker_heartbeat",
                             [this, options, node = node.get()](caf::actor_system& system, const actors::ActorRowPtr& row) {
                               actors::BrokerHeartbeatOptions heartbeat;
                               heartbeat.broker = options.broker;
                               heartbeat.incarnation = options.incarnation;
                               heartbeat.images = node->images;
                               heartbeat.metadata_quorum = [node] { return node->quorum.get(); };
                               heartbeat.links = options.links;
                               heartbeat.standing = node->standing;
                               return keep(*node, actors::spawn_broker_heartbeat(system, std::move(heartbeat), row));
                             }});
    tree.children.push_back({"operator_desk", "operator_desk",
                             [this, options, node = node.get()](caf::actor_system& system, const actors::ActorRowPtr& row) {
                               actors::OperatorDeskOptions desk;
                               desk.node_id = node->id;
                               desk.images = node->images;
                               desk.metadata_quorum = [node] { return node->quorum.get(); };
                               desk.actor_tree = [node] {
                                 std::vector<ActorInfo> actors;
                                 for (const auto& actor : node->table.snapshot()) actors.push_back({.name = actor.name});
                                 return actors;
                               };
                               desk.on_brokers = [node](const auto& brokers) { node->told_of = brokers; };
                               desk.links = options.links;
                               auto started = actors::spawn_operator_desk(system, std::move(desk), row);
                               node->desk.set(started);
                               return keep(*node, std::move(started));
                             }});
    node->supervisor = actors::spawn_supervisor(scheduler.system(), std::move(tree));
    scheduler.run();
    return *node;
  }
  caf::actor keep(Node& node, caf::actor actor) {
    node.actors.push_back(actor);
    return actor;
  }

  /// Voters 1 to `count` of a new cluster.
  void start_voters(std::int32_t count) {
    for (std::int32_t id = 1; id <= count; ++id) voters.push_back(BrokerId{id});
    for (std::int32_t id = 1; id <= count; ++id) start(id, voters, {});
  }
  Node& start_observer(std::int32_t number, FaultyFileSystem disk = {}) {
    return start(number, {}, voters, std::move(disk));
  }

  /// The process is gone, with what its disk had not synced.
  void kill(std::int32_t number) {
    auto& node = at(number);
    node.disk.process_kill();
    network.stop(node.id);
    end_actors(node);
    scheduler.run();
  }
  /// A new run on the disk as a power cut would have left it.
  Node& restart(std::int32_t number) {
    auto old = nodes.at(BrokerId{number});
    KeepSynced choices;
    auto disk = old->disk.power_cut(choices);
    dead.push_back(old);
    const bool votes = std::ranges::find(voters, old->id) != voters.end();
    return votes ? start(number, voters, {}, std::move(disk)) : start(number, {}, voters, std::move(disk));
  }
  void cut_off(std::int32_t number) {
    for (const auto& [id, node] : nodes) {
      if (id != BrokerId{number}) network.cut(BrokerId{number}, id);
    }
  }
  void heal(std::int32_t number) {
    for (const auto& [id, node] : nodes) {
      if (id != BrokerId{number}) network.heal(BrokerId{number}, id);
    }
  }

  Node& at(std::int32_t number) { return *nodes.at(BrokerId{number}); }

  template <class Condition>
  bool until(Condition condition, Millis ms = 10'000) {
    scheduler.run();
    for (Millis passed = 0; !condition(); passed += 10) {
      if (passed >= ms) return false;
      scheduler.advance(10);
    }
    return true;
  }
  bool all_ready() {
    return until([&] {
      return std::ranges::all_of(nodes, [](const auto& one) { return !one.second->runs || one.second->ready(); });
    });
  }
  /// Of all that run and see the same controller, who that is; -1: they do not agree.
  std::int32_t controller() const {
    BrokerId seen{-1};
    for (const auto& [id, node] : nodes) {
      if (!node->runs) continue;
      const auto its = node->image()->controller_id();
      if (its == BrokerId{-1} || (seen != BrokerId{-1} && its != seen)) return -1;
      seen = its;
    }
    return seen.value();
  }
  /// All that run have the same image.
  bool converged() const {
    const Node* first = nullptr;
    for (const auto& [id, node] : nodes) {
      if (!node->runs) continue;
      if (first == nullptr) first = node.get();
      if (node->image()->applied() != first->image()->applied() || !same_content(*node->image(), *first->image()))
        return false;
    }
    return true;
  }
  /// A voter that does not lead.
  std::int32_t follower() const {
    for (const auto id : voters) {
      if (nodes.at(id)->runs && id.value() != controller()) return id.value();
    }
    return -1;
  }

  QuorumFixture::TopicAnswer create(std::int32_t number, const std::string& name, Millis timeout_ms = 30'000) {
    return scheduler.start_asking<actors::TopicAnswer>(
        at(number).quorum.get(), actors::CreateTopic{.request = {.name = name, .partitions = 2}, .timeout_ms = timeout_ms});
  }
  /// Creates it by this node, and waits.
  bool created(std::int32_t number, const std::string& name) {
    const auto answer = create(number, name);
    return until([&] { return answer->has_value(); }) && QuorumFixture::granted(answer);
  }
};

}  // namespace troupe::test
