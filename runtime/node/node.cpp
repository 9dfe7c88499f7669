#include "runtime/node/node.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <random>
#include <thread>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/atom.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "actors/broker.hpp"
#include "actors/consumer_manager.hpp"
#include "actors/consumers.hpp"
#include "actors/disk_worker.hpp"
#include "actors/errors.hpp"
#include "actors/gateway.hpp"
#include "actors/group_desk.hpp"
#include "actors/group_manager.hpp"
#include "actors/handle_slot.hpp"
#include "actors/instance_desk.hpp"
#include "actors/link/envelope.hpp"
#include "actors/log_cleaner.hpp"
#include "actors/metadata_quorum.hpp"
#include "actors/operator_desk.hpp"
#include "actors/partition_manager.hpp"
#include "actors/processor_manager.hpp"
#include "actors/supervisor.hpp"
#include "base/log.hpp"
#include "storage/data_directory.hpp"
#include "runtime/node/cluster.hpp"
#include "storage/posix_file_system.hpp"

namespace troupe::runtime {
namespace {

using namespace actors;

bool is_clustered(const NodeConfig& config) { return !config.cluster.listen.empty(); }

struct ActorConfig : caf::actor_system_config {
  explicit ActorConfig(const NodeConfig& config) {
    const auto cores = std::max(1U, std::thread::hardware_concurrency());
    const auto threads = config.scheduler_threads != 0 ? config.scheduler_threads : std::clamp<std::size_t>(cores, 2, 4);
    const bool sharing = config.scheduler_policy == SchedulerPolicy::sharing;
    set("scheduler.policy", sharing ? caf::atom("sharing") : caf::atom("stealing"));
    set("scheduler.max-threads", threads);
    if (is_clustered(config)) configure_links(*this, {});
  }
};

/// Creates what is missing of the data directory; only its owner may look into it.
Status make_data_directory(const std::string& path) {
  std::error_code failed;
  const std::filesystem::path directory{path};
  if (std::filesystem::is_directory(directory, failed)) return ok();
  if (directory.has_parent_path()) std::filesystem::create_directories(directory.parent_path(), failed);
  if (::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) return ok();
  return Error{Errc::storage_error, "the data directory " + path + " cannot be made: " + std::strerror(errno)};
}

/// The cluster of a data directory; nil: of none yet.
Result<Uuid> cluster_of(storage::FileSystem& files, const std::string& metadata, const std::string& log) {
  for (const auto& path : {metadata, log}) {
    TROUPE_TRY_ASSIGN(const auto owner, storage::DataDirectory::owner_of(files, path));
    if (owner && !owner->cluster_id.is_nil()) return owner->cluster_id;
  }
  return Uuid{};
}

/// What metadata's directory is opened as. One that was made before its cluster was known says so for ever: the quorum's hard state has
/// the cluster.
Result<std::optional<Uuid>> metadata_owner(storage::FileSystem& files, const std::string& metadata, const Uuid& cluster_id) {
  TROUPE_TRY_ASSIGN(const auto owner, storage::DataDirectory::owner_of(files, metadata));
  if (owner && owner->cluster_id.is_nil()) return std::optional<Uuid>{};
  return std::optional{cluster_id};
}

/// What the directory with the logs is called, or will be.
Result<Uuid> log_directory_id(storage::FileSystem& files, const std::string& path) {
  TROUPE_TRY_ASSIGN(const auto owner, storage::DataDirectory::owner_of(files, path));
  return owner ? owner->directory_id : Uuid::random();
}

}  // namespace

struct Node::Impl {
  Impl(const NodeConfig& node_config, metrics::Registry& registry);

  /// `cluster_id`: nil, it shows when the node is part of one. `metadata_cluster`: of metadata's directory; nullopt: whatever that says.
  SupervisorOptions tree(const metadata::BrokerImage& self, const Uuid& cluster_id, std::optional<Uuid> metadata_cluster);
  void add_groups(std::vector<ChildSpec>& children);
  HealthReport health() const;
  std::optional<Error> start_failure() const;
  void export_metrics();
  std::vector<BrokerId> linked_nodes() {
    std::vector<BrokerId> ids;
    if (!cluster) return ids;
    for (const auto& peer : cluster->links().up()) ids.push_back(peer.id);
    return ids;
  }
  LeaderLocator::Spawn stand_ins() {
    if (!is_clustered(config)) return nullptr;
    return [this](const LeaderLocator::Remote& remote) { return cluster->spawn_stand_in(*system, remote); };
  }

  const NodeConfig config;
  metrics::Registry& metrics;
  storage::PosixFileSystem files;
  SystemClock clock;
  const Uuid incarnation = Uuid::random();  ///< of this process
  ActorTable table;
  PartitionDirectory directory;
  LogReaders readers;
  const std::shared_ptr<ImageHolder> images = std::make_shared<ImageHolder>();
  LeaderLocator leaders;
  const std::shared_ptr<HandleSlot<DiskWorker>> data_disk = std::make_shared<HandleSlot<DiskWorker>>();
  const std::shared_ptr<HandleSlot<DiskWorker>> metadata_disk = std::make_shared<HandleSlot<DiskWorker>>();
  const std::shared_ptr<HandleSlot<MetadataQuorum>> quorum = std::make_shared<HandleSlot<MetadataQuorum>>();
  const std::shared_ptr<HandleSlot<caf::actor>> manager = std::make_shared<HandleSlot<caf::actor>>();
  std::vector<std::shared_ptr<HandleSlot<caf::actor>>> gateways;
  const std::shared_ptr<LogCleanerCounts> cleaner = std::make_shared<LogCleanerCounts>();
  const std::shared_ptr<HandleSlot<caf::actor>> operator_desk = std::make_shared<HandleSlot<caf::actor>>();
  const std::shared_ptr<HandleSlot<caf::actor>> group_desk = std::make_shared<HandleSlot<caf::actor>>();
  const std::shared_ptr<GroupListeners> group_listeners = std::make_shared<GroupListeners>();
  GroupDirectory coordinators;
  GroupFront groups{group_desk, group_listeners};
  const std::shared_ptr<HandleSlot<caf::actor>> instance_desk = std::make_shared<HandleSlot<caf::actor>>();
  InstanceFront instances{instance_desk};
  const std::shared_ptr<HandleSlot<caf::actor>> consumer_manager = std::make_shared<HandleSlot<caf::actor>>();
  const std::shared_ptr<HandleSlot<caf::actor>> processor_manager = std::make_shared<HandleSlot<caf::actor>>();
  mutable std::mutex processors_mutex;
  std::vector<ProcessorSpecPtr> processors;
  const std::shared_ptr<std::atomic<bool>> serving = std::make_shared<std::atomic<bool>>(false);
  const std::shared_ptr<DiskSpace> data_space = std::make_shared<DiskSpace>();
  const std::shared_ptr<DiskSpace> metadata_space = std::make_shared<DiskSpace>();
  std::atomic<bool> draining{false};
  Consumers consumers{{.broker = [this] { return broker.get(); },
                       .groups = &groups,
                       .manager = consumer_manager,
                       .table = &table,
                       .instances = [this]() -> InstanceLinks* { return cluster ? &instances : nullptr; }}};
  std::unique_ptr<Broker> broker;
  std::optional<Cluster> cluster;  ///< of a node that others can join

  // Last: their threads use everything above.
  ActorConfig actor_config;
  std::unique_ptr<caf::actor_system> system;
  std::optional<Supervisor> root;
  caf::actor watcher;

  std::mutex start_mutex;
  std::condition_variable start_changed;
  mutable std::mutex failure_mutex;
  std::optional<Error> failure;
};

Node::Impl::Impl(const NodeConfig& node_config, metrics::Registry& registry)
    : config(node_config),
      metrics(registry),
      readers({.readers = node_config.readers}),
      leaders(BrokerId{node_config.node_id}, &directory, images, stand_ins()),
      actor_config(node_config) {
  const auto threads = std::max<std::size_t>(1, config.gateway.io_threads);
  for (std::size_t i = 0; i < threads; ++i) gateways.push_back(std::make_shared<HandleSlot<caf::actor>>());
  broker = std::make_unique<Broker>(Broker::Options{.node_id = BrokerId{config.node_id},
                                                    .images = images,
                                                    .gateways = {gateways.begin(), gateways.end()},
                                                    .partition_manager = manager,
                                                    .operator_desk = operator_desk,
                                                    .serving = serving,
                                                    .table = &table,
                                                    .clock = &clock,
                                                    .default_partitions = config.default_partitions,
                                                    .produce_bytes_max = config.produce_bytes_max,
                                                    .health = [this] { return health(); },
                                                    .links = [this] { return linked_nodes(); },
                                                    .groups = &groups,
                                                    .consumers = &consumers});
  export_metrics();
}

/// Started in this order, ended in reverse.
SupervisorOptions Node::Impl::tree(const metadata::BrokerImage& self, const Uuid& cluster_id,
                                   std::optional<Uuid> metadata_cluster) {
  std::vector<ChildSpec> children;
  if (cluster) children.push_back(cluster->link_manager());
  for (std::size_t i = 0; i < readers.size(); ++i) {
    children.push_back(
        {"log_reader", "reader-" + std::to_string(i), [this, i](caf::actor_system& actors, const ActorRowPtr& row) {
           return readers.start_reader(i, actors, SpawnMode::detached, row);
         }});
  }
  const auto disk = [&](const std::string& name, const std::string& path, auto slot, std::uint64_t commit_file_bytes,
                        bool with_listener, std::optional<Uuid> of_cluster) {
    DiskWorkerOptions options{.file_system = &files,
                              .directory = {.path = path,
                                            .cluster_id = of_cluster,
                                            .node_id = BrokerId{config.node_id},
                                            .open_files_max = config.open_files_max,
                                            .dirty_files_max = config.open_files_max,
                                            .commit_file_bytes = commit_file_bytes},
                              .space = with_listener ? data_space : metadata_space};
    const auto first_id = std::make_shared<Uuid>(with_listener ? self.directory_id : Uuid{});
    if (with_listener && cluster) {
      options.cluster_id = [this]() -> std::optional<Uuid> {
        const auto known = images->get()->cluster_id();
        return known.is_nil() ? std::nullopt : std::optional{known};
      };
    }
    children.push_back({"disk_worker", name,
                        [this, options, slot, with_listener, first_id](caf::actor_system& actors, const ActorRowPtr& row) {
                          auto with = options;
                          if (with_listener) with.listener = manager->get();
                          with.logs_fail_alone = with_listener && cluster.has_value();
                          // One that has to be made a second time lost what was in the first.
                          with.directory.directory_id = std::exchange(*first_id, Uuid{});
                          const auto worker = spawn_disk_worker(actors, SpawnMode::detached, std::move(with), row);
                          slot->set(worker);
                          return caf::actor_cast<caf::actor>(worker);
                        }});
  };
  constexpr std::uint64_t metadata_commit_bytes = std::uint64_t{16} << 20;
  disk("metadata-disk", config.data_dir + "/metadata", metadata_disk, metadata_commit_bytes, false, metadata_cluster);
  children.push_back({"metadata_quorum", "metadata_quorum", [this, self](caf::actor_system& actors, const ActorRowPtr& row) {
                        MetadataQuorumOptions options{.disk_worker = [slot = metadata_disk] { return slot->get(); },
                                                      .readers = &readers,
                                                      .images = images,
                                                      .broker = self,
                                                      .incarnation = incarnation,
                                                      .clock = &clock};
                        if (cluster) cluster->complete(options);
                        const auto actor = spawn_metadata_quorum(actors, std::move(options), row);
                        quorum->set(actor);
                        return caf::actor_cast<caf::actor>(actor);
                      }});
  children.push_back(
      {"partition_manager", "partition_manager", [this, self](caf::actor_system& actors, const ActorRowPtr& row) {
         PartitionManagerOptions options{.node_id = BrokerId{config.node_id},
                                         .broker = self,
                                         .disk_worker = [slot = data_disk] { return slot->get(); },
                                         .metadata_quorum = [slot = quorum] { return slot->get(); },
                                         .images = images,
                                         .readers = &readers,
                                         .clock = &clock,
                                         .directory = &directory,
                                         .leaders = &leaders,
                                         .table = &table,
                                         .seed = std::random_device{}(),
                                         .serving = serving};
         if (cluster) cluster->complete(options);
         const auto actor = spawn_partition_manager(actors, std::move(options), row);
         manager->set(actor);
         return actor;
       }});
  disk("data-disk", config.data_dir + "/log", data_disk, config.commit_file_bytes, true, cluster_id);
  children.push_back({"log_cleaner", "log_cleaner", [this](caf::actor_system& actors, const ActorRowPtr& row) {
                        return spawn_log_cleaner(actors, SpawnMode::detached,
                                                 {.disk_worker = [slot = data_disk] { return slot->get(); },
                                                  .partition_manager = [slot = manager] { return slot->get(); },
                                                  .clock = &clock,
                                                  .counts = cleaner},
                                                 row);
                      }});
  if (cluster) std::ranges::move(cluster->others(self), std::back_inserter(children));
  children.push_back({"operator_desk", "operator_desk", [this](caf::actor_system& actors, const ActorRowPtr& row) {
                        const auto actor = spawn_operator_desk(actors,
                                                               {.node_id = BrokerId{config.node_id},
                                                                .images = images,
                                                                .metadata_quorum = [slot = quorum] { return slot->get(); },
                                                                .actor_tree = [this] { return broker->actor_tree(); },
                                                                .on_brokers =
                                                                    [this](const auto& brokers) {
                                                                      if (cluster) cluster->told_of(brokers);
                                                                    },
                                                                .links = cluster ? &cluster->links() : nullptr},
                                                               row);
                        operator_desk->set(actor);
                        return actor;
                      }});
  add_groups(children);
  for (std::size_t i = 0; i < gateways.size(); ++i) {
    children.push_back(
        {"gateway", "gateway-" + std::to_string(i), [this, i](caf::actor_system& actors, const ActorRowPtr& row) {
           const auto actor = spawn_gateway(actors,
                                            {.images = images,
                                             .leaders = &leaders,
                                             .metadata_quorum = [slot = quorum] { return slot->get(); },
                                             .clock = &clock,
                                             .seed = std::random_device{}() + i},
                                            row);
           gateways[i]->set(actor);
           return actor;
         }});
  }
  // Last, so that they are ended while everything that they need is there.
  children.push_back({"consumer_manager", "consumers", [this](caf::actor_system& actors, const ActorRowPtr& row) {
                        const auto actor = spawn_consumer_manager(actors, {.table = &table}, row);
                        consumer_manager->set(actor);
                        return actor;
                      }});
  children.push_back({"processor_manager", "processors", [this](caf::actor_system& actors, const ActorRowPtr& row) {
                        const auto actor = spawn_processor_manager(actors,
                                                                   {.broker = broker.get(),
                                                                    .processors =
                                                                        [this] {
                                                                          const std::lock_guard lock(processors_mutex);
                                                                          return processors;
                                                                        },
                                                                    .metrics = &metrics,
                                                                    .table = &table,
                                                                    .seed = std::random_device{}()},
                                                                   row);
                        processor_manager->set(actor);
                        return actor;
                      }});
  return {.name = "node", .children = std::move(children), .table = &table};
}

/// The coordinators go before the leaders that they write to.
void Node::Impl::add_groups(std::vector<ChildSpec>& children) {
  children.push_back({"group_manager", "groups", [this](caf::actor_system& actors, const ActorRowPtr& row) {
                        return spawn_group_manager(actors,
                                                   {.node_id = BrokerId{config.node_id},
                                                    .metadata_quorum = [slot = quorum] { return slot->get(); },
                                                    .leaders = &directory,
                                                    .directory = &coordinators,
                                                    .clock = &clock,
                                                    .table = &table,
                                                    .desk = group_desk,
                                                    .metrics = &metrics,
                                                    .seed = std::random_device{}()},
                                                   row);
                      }});
  children.push_back({"group_desk", "group_desk", [this](caf::actor_system& actors, const ActorRowPtr& row) {
                        const auto actor = spawn_group_desk(actors,
                                                            {.node_id = BrokerId{config.node_id},
                                                             .images = images,
                                                             .metadata_quorum = [slot = quorum] { return slot->get(); },
                                                             .directory = &coordinators,
                                                             .listeners = group_listeners,
                                                             .links = cluster ? &cluster->links() : nullptr},
                                                            row);
                        group_desk->set(actor);
                        return actor;
                      }});
  if (!cluster) return;
  children.push_back({"instance_desk", "instance_desk", [this](caf::actor_system& actors, const ActorRowPtr& row) {
                        const auto actor = spawn_instance_desk(
                            actors, {.images = images, .front = &instances, .links = &cluster->links()}, row);
                        instance_desk->set(actor);
                        return actor;
                      }});
}

HealthReport Node::Impl::health() const {
  HealthReport report;
  const bool metadata = images->get()->find_broker(BrokerId{config.node_id}) != nullptr;
  const bool log = serving->load();
  report.checks.push_back({"metadata", metadata, metadata ? "replayed, this node is registered" : "not replayed yet"});
  report.checks.push_back({"log", log, log ? "the data directory is open" : "the data directory is not open"});
  report.checks.push_back(
      {"draining", !draining.load(), draining.load() ? "the node is stopping" : "the node takes requests"});
  std::string failed;
  for (const auto& actor : table.snapshot()) {
    if (actor.state == ActorState::failed) failed += (failed.empty() ? "" : ", ") + actor.name;
  }
  report.ready = metadata && log && !draining.load();
  const bool full = data_space->full() || metadata_space->full();
  report.checks.push_back({"disk", !full,
                           full ? "full: records for what this node leads are refused with 507, what it follows waits"
                                : "takes what is written"});
  if (cluster) {
    report.checks.push_back(cluster->check());
    report.ready = report.ready && report.checks.back().ok;
    report.checks.push_back(cluster->check_links());
  }
  report.checks.push_back(
      {"actors", failed.empty(), failed.empty() ? "none has given up" : "these have given up: " + failed});
  report.healthy = report.ready && failed.empty();
  return report;
}

/// What a worker or the quorum said when it could not start.
std::optional<Error> Node::Impl::start_failure() const {
  for (const auto& actor : table.snapshot()) {
    const bool first = actor.kind == "disk_worker" || actor.kind == "metadata_quorum" || actor.kind == "link_manager";
    if (first && actor.last_error) return Error{Errc::storage_error, *actor.last_error};
  }
  return std::nullopt;
}

void Node::Impl::export_metrics() {
  const auto topics = metrics.gauge("troupe_topics", "Topics of the cluster.");
  const auto partitions = metrics.gauge("troupe_partitions", "Partitions of the cluster.");
  const auto produce_bytes = metrics.gauge("troupe_produce_bytes", "Bytes of produce requests that are not answered yet.");
  const auto reads = metrics.gauge("troupe_log_reads_waiting", "Reads from disk that wait for a reader.");
  const auto compactions = metrics.gauge("troupe_log_compactions", "Compactions of a log since the start.");
  const auto compactions_failed = metrics.gauge("troupe_log_compactions_failed", "Compactions that were given up.");
  const auto compaction_read = metrics.gauge("troupe_log_compaction_read_bytes", "Bytes that compactions have read.");
  const auto compaction_written =
      metrics.gauge("troupe_log_compaction_written_bytes", "Bytes that compactions have written.");
  const auto compaction_removed =
      metrics.gauge("troupe_log_compaction_records_removed", "Records that compactions have removed.");
  const auto ready = metrics.gauge("troupe_ready", "1 when the node serves clients.");
  const auto group_count = metrics.gauge("troupe_groups", "Consumer groups that this node coordinates.");
  const auto group_held = metrics.gauge("troupe_group_answers_held", "Answers of coordinators that wait for their logs.");
  const auto connections =
      metrics.gauge("troupe_cluster_connections", "Connections that other nodes have opened to this one.");
  const auto strangers = metrics.gauge("troupe_cluster_connections_refused",
                                       "Connections to the cluster listener that were refused since the start.");
  metrics.before_exposition([=, this] {
    const auto image = images->get();
    topics.set(static_cast<double>(image->topic_count()));
    partitions.set(static_cast<double>(image->partition_count()));
    produce_bytes.set(static_cast<double>(broker->produce_bytes()));
    reads.set(static_cast<double>(readers.waiting()));
    const auto as_number = [](const std::atomic<std::uint64_t>& count) { return static_cast<double>(count.load()); };
    compactions.set(as_number(cleaner->rounds));
    compactions_failed.set(as_number(cleaner->failures));
    compaction_read.set(as_number(cleaner->bytes_read));
    compaction_written.set(as_number(cleaner->bytes_written));
    compaction_removed.set(as_number(cleaner->records_removed));
    ready.set(health().ready ? 1 : 0);
    std::size_t groups_here = 0, held_here = 0;
    for (const auto& one : coordinators.all()) {
      groups_here += one.counts->groups.load(std::memory_order_relaxed);
      held_here += one.counts->held.load(std::memory_order_relaxed);
    }
    group_count.set(static_cast<double>(groups_here));
    group_held.set(static_cast<double>(held_here));
    if (cluster) {
      const auto counts = cluster->wire().counts();
      connections.set(static_cast<double>(counts.open));
      strangers.set(static_cast<double>(counts.refused));
    }
    struct Kind {
      double actors = 0;
      double handled = 0;
      double restarts = 0;
      double mailbox_max = 0;
      double busy = 0;
    };
    std::map<std::string, Kind> kinds;
    for (const auto& actor : table.snapshot()) {
      auto& kind = kinds[actor.kind];
      kind.actors += 1;
      kind.handled += static_cast<double>(actor.messages_handled);
      kind.restarts += static_cast<double>(actor.restarts);
      kind.mailbox_max = std::max(kind.mailbox_max, static_cast<double>(actor.mailbox_depth));
      kind.busy += actor.busy_since ? 1 : 0;
    }
    for (const auto& [kind, sums] : kinds) {
      const metrics::Labels labels{{"kind", kind}};
      metrics.gauge("troupe_actors", "Actors.", labels).set(sums.actors);
      metrics.gauge("troupe_actor_messages_handled", "Messages handled by the actors that are there.", labels)
          .set(sums.handled);
      metrics.gauge("troupe_actor_restarts", "Restarts of the actors that are there.", labels).set(sums.restarts);
      metrics.gauge("troupe_actor_mailbox_depth", "The longest mailbox.", labels).set(sums.mailbox_max);
      metrics.gauge("troupe_actors_busy", "Actors in a handler.", labels).set(sums.busy);
    }
  });
}

Node::Node(const NodeConfig& config, metrics::Registry& metrics) : impl_(std::make_unique<Impl>(config, metrics)) {}

Node::~Node() {
  if (impl_->system) stop(2000);
}

BrokerApi& Node::broker() { return *impl_->broker; }

Status Node::start(const metadata::BrokerImage& as_clients_reach_it, Millis deadline_ms,
                   const std::function<bool()>& give_up) {
  auto& node = *impl_;
  auto self = as_clients_reach_it;
  const auto log_path = node.config.data_dir + "/log";
  TROUPE_TRY(make_data_directory(node.config.data_dir));
  const auto metadata_path = node.config.data_dir + "/metadata";
  TROUPE_TRY_ASSIGN(auto cluster_id, cluster_of(node.files, metadata_path, log_path));
  TROUPE_TRY_ASSIGN(self.directory_id, log_directory_id(node.files, log_path));
  if (is_clustered(node.config)) {
    TROUPE_TRY_ASSIGN(auto wire, Cluster::make_wire(node.config));
    node.cluster.emplace(node.config, Cluster::Parts{.incarnation = node.incarnation,
                                                     .cluster_id = cluster_id,
                                                     .table = &node.table,
                                                     .directory = &node.directory,
                                                     .images = node.images,
                                                     .wire = std::move(wire),
                                                     .metadata_quorum = [slot = node.quorum] { return slot->get(); }});
    node.cluster->complete(self);
  } else if (cluster_id.is_nil()) {
    cluster_id = Uuid::random();
  }
  TROUPE_TRY_ASSIGN(const auto metadata_cluster, metadata_owner(node.files, metadata_path, cluster_id));
  node.system = std::make_unique<caf::actor_system>(node.actor_config);
  node.root = spawn_supervisor(*node.system, node.tree(self, cluster_id, metadata_cluster));
  // Whoever watches the root tells why it ended.
  const auto watch = [impl = impl_.get()](caf::event_based_actor* watcher, const Supervisor& root) {
    watcher->monitor(root);
    watcher->set_down_handler([impl](caf::down_msg& down) {
      const std::lock_guard lock(impl->failure_mutex);
      if (down.reason && down.reason != caf::exit_reason::user_shutdown) impl->failure = from_caf_error(down.reason);
    });
    return caf::behavior{[](const Done&) {}};  // it ends with the system
  };
  node.watcher = node.system->spawn<caf::hidden>(watch, *node.root);

  const auto deadline = node.clock.monotonic_now() + deadline_ms;
  std::unique_lock lock(node.start_mutex);
  while (!node.serving->load()) {
    if (auto failed = node.start_failure()) return std::move(*failed);
    if (auto failed = failure()) return std::move(*failed);
    if (give_up && give_up()) return Error{Errc::cancelled, "the node was told to stop before it was ready"};
    // Alone it depends on nobody; with others it waits for them.
    if (!node.cluster && node.clock.monotonic_now() > deadline) {
      return Error{Errc::request_timed_out, "the node was not ready within " + std::to_string(deadline_ms) + " ms"};
    }
    node.start_changed.wait_for(lock,
                                std::chrono::milliseconds(1));  // nobody notifies: the actors know nothing of this thread
  }
  if (const auto actor = node.processor_manager->get()) caf::anon_send(actor, LookForPartitions{});
  return ok();
}

Status Node::add_processor(processing::ProcessorSpec spec) {
  TROUPE_TRY(processing::check_spec(spec));
  {
    const std::lock_guard lock(impl_->processors_mutex);
    for (const auto& other : impl_->processors) {
      if (other->name != spec.name) continue;
      return Error{Errc::invalid_argument, "processor \"" + spec.name + "\": name: there is one of that name already"};
    }
    impl_->processors.push_back(std::make_shared<const processing::ProcessorSpec>(std::move(spec)));
  }
  if (const auto actor = impl_->processor_manager->get()) caf::anon_send(actor, LookForPartitions{});
  return ok();
}

std::optional<Error> Node::failure() const {
  const std::lock_guard lock(impl_->failure_mutex);
  return impl_->failure;
}

void Node::drain(Millis wait_ms_max) {
  impl_->draining = true;
  if (impl_->cluster) impl_->cluster->leave(wait_ms_max);
}

std::vector<std::string> Node::stop(Millis deadline_ms) {
  auto& node = *impl_;
  if (!node.system) return {};
  node.draining = true;
  std::vector<std::string> killed;
  if (node.root) {
    caf::scoped_actor self{*node.system};
    self->request(*node.root, std::chrono::milliseconds(deadline_ms + 500), StopChildren{deadline_ms})
        .receive([&](const ChildrenStopped& stopped) { killed = stopped.killed; }, [](caf::error&) {});
  }
  node.leaders.clear();
  node.root.reset();
  node.watcher = {};
  node.system.reset();
  return killed;
}

}  // namespace troupe::runtime
