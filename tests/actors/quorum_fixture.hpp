#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "actors/handle_slot.hpp"
#include "actors/metadata_quorum.hpp"
#include "tests/actors/disk_fixture.hpp"

namespace troupe::test {

/// What a subscriber has heard. Checks that there are no holes.
struct Subscriber {
  caf::actor actor;
  std::size_t updates = 0;
  metadata::ImagePtr image;
  std::vector<std::string> created;
  std::vector<std::string> deleted;

  void handle(const metadata::ImageDelta& delta) {
    ++updates;
    if (image) {
      REQUIRE(delta.before == image);
    } else {
      REQUIRE(delta.before->topic_count() == 0);
      REQUIRE(delta.created.size() == delta.after->topic_count());
    }
    image = delta.after;
    for (const auto& topic : delta.created) created.push_back(topic->name);
    for (const auto& topic : delta.deleted) deleted.push_back(topic->name);
  }
};

inline caf::behavior subscriber(caf::event_based_actor*, const std::shared_ptr<Subscriber>& state) {
  return {[state](const actors::MetadataUpdate& update) { state->handle(*update.delta); }};
}

/// A metadata quorum with its disk worker and a log reader, supervised, on a disk in memory, everything in one thread.
struct QuorumFixture {
  FaultyFileSystem disk;
  actors::ActorTable table;
  actors::LogReaders readers{{.readers = 1}};
  actors::HandleSlot<actors::DiskWorker> worker;
  actors::HandleSlot<actors::MetadataQuorum> quorum;
  std::shared_ptr<actors::ImageHolder> images = std::make_shared<actors::ImageHolder>();
  std::shared_ptr<Prng> ids;
  actors::MetadataQuorumOptions options;
  actors::RestartPolicy::Options restart{
      .restarts_max = 1'000, .backoff_ms_min = 100, .backoff_ms_max = 100, .jitter_percent = 0};
  SeededScheduler scheduler;
  actors::Supervisor supervisor;
  std::vector<std::shared_ptr<Subscriber>> subscribers;

  explicit QuorumFixture(std::uint64_t seed = 1, FaultyFileSystem on = {})
      : disk(std::move(on)), ids(std::make_shared<Prng>(seed)), scheduler(seed) {
    options.broker = {BrokerId{1}, "localhost", 8080};
    options.disk_worker = [this] { return worker.get(); };
    options.readers = &readers;
    options.images = images;
    options.new_uuid = [random = ids] { return Uuid::random(*random); };
    options.incarnation = Uuid::random(*ids);
    options.segment_bytes = 4 << 10;
  }
  ~QuorumFixture() {
    for (auto& one : subscribers) one->actor = nullptr;  // it holds the actor that holds it
  }

  /// Starts everything. The metadata is ready when the scheduler has run, unless the disk is not.
  void start() {
    actors::SupervisorOptions tree;
    tree.table = &table;
    tree.restart = restart;
    tree.children.push_back(
        {"disk_worker", "metadata-disk", [this](caf::actor_system& system, const actors::ActorRowPtr& row) {
           actors::DiskWorkerOptions worker_options;
           worker_options.file_system = &disk;
           worker_options.directory = small_directory("/metadata");
           auto started = actors::spawn_disk_worker(system, actors::SpawnMode::scheduled, std::move(worker_options), row);
           worker.set(started);
           return caf::actor_cast<caf::actor>(scheduler.own(started));
         }});
    tree.children.push_back({"log_reader", "reader-0", [this](caf::actor_system& system, const actors::ActorRowPtr& row) {
                               return scheduler.own(readers.start_reader(0, system, actors::SpawnMode::scheduled, row));
                             }});
    tree.children.push_back(
        {"metadata_quorum", "metadata_quorum", [this](caf::actor_system& system, const actors::ActorRowPtr& row) {
           auto started = actors::spawn_metadata_quorum(system, options, row);
           quorum.set(started);
           return caf::actor_cast<caf::actor>(scheduler.own(started));
         }});
    supervisor = scheduler.own(actors::spawn_supervisor(scheduler.system(), std::move(tree)));
    scheduler.run();
  }

  Subscriber& subscribe() {
    auto state = std::make_shared<Subscriber>();
    state->actor = scheduler.own(scheduler.system().spawn(subscriber, state));
    subscribers.push_back(state);
    caf::anon_send(quorum.get(), actors::SubscribeMetadata{state->actor});
    return *state;
  }

  actors::ActorStatus status(const std::string& name = "metadata_quorum") const {
    for (const auto& row : table.snapshot()) {
      if (row.name == name) return row;
    }
    FAIL("no row for " << name);
    return {};
  }

  using TopicAnswer = std::shared_ptr<std::optional<caf::expected<actors::TopicAnswer>>>;
  TopicAnswer create(const std::string& name, std::int32_t partitions = 1, Millis timeout_ms = 30'000) {
    return scheduler.start_asking<actors::TopicAnswer>(
        quorum.get(), actors::CreateTopic{.request = {.name = name, .partitions = partitions}, .timeout_ms = timeout_ms});
  }
  static Errc code(const TopicAnswer& answer) {
    REQUIRE(answer->has_value());
    REQUIRE_FALSE(**answer);
    return actors::from_caf_error((**answer).error()).code;
  }
  static bool granted(const TopicAnswer& answer) { return answer->has_value() && static_cast<bool>(**answer); }
};

}  // namespace troupe::test
