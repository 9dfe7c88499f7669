#include <chrono>
#include <future>
#include <iostream>

#include <caf/scoped_actor.hpp>

#include "actors/handle_slot.hpp"
#include "actors/metadata_quorum.hpp"
#include "actors/supervisor.hpp"
#include "storage/posix_file_system.hpp"
#include "tests/actors/disk_fixture.hpp"
#include "tests/support/temp_directory.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::actors;

namespace {

constexpr std::chrono::seconds patience{60};

double ms_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

/// A quorum with real threads on a real disk.
struct Node {
  struct Config : caf::actor_system_config {
    Config() { set("scheduler.policy", caf::atom("sharing")); }
  };

  storage::PosixFileSystem disk;
  ActorTable table;
  HandleSlot<DiskWorker> worker;
  HandleSlot<MetadataQuorum> quorum;
  std::shared_ptr<ImageHolder> images = std::make_shared<ImageHolder>();
  Config config;
  caf::actor_system system{config};
  LogReaders readers{{.readers = 1}};  // destroyed before the system, which waits for what it holds
  Supervisor supervisor;

  explicit Node(const std::string& path) {
    SupervisorOptions tree;
    tree.table = &table;
    tree.children.push_back(
        {"disk_worker", "disk", [this, path](caf::actor_system& where, const ActorRowPtr& row) {
           DiskWorkerOptions options;
           options.file_system = &disk;
           options.directory = {
               .path = path, .cluster_id = Uuid{{7}}, .node_id = BrokerId{1}, .commit_file_bytes = 8U << 20U};
           auto started = spawn_disk_worker(where, SpawnMode::detached, std::move(options), row);
           worker.set(started);
           return caf::actor_cast<caf::actor>(started);
         }});
    tree.children.push_back({"log_reader", "reader", [this](caf::actor_system& where, const ActorRowPtr& row) {
                               return readers.start_reader(0, where, SpawnMode::detached, row);
                             }});
    tree.children.push_back({"metadata_quorum", "quorum", [this](caf::actor_system& where, const ActorRowPtr& row) {
                               MetadataQuorumOptions options;
                               options.disk_worker = [this] { return worker.get(); };
                               options.readers = &readers;
                               options.images = images;
                               options.broker = {BrokerId{1}, "localhost", 8080};
                               auto started = spawn_metadata_quorum(where, std::move(options), row);
                               quorum.set(started);
                               return caf::actor_cast<caf::actor>(started);
                             }});
    supervisor = spawn_supervisor(system, std::move(tree));
    caf::scoped_actor self{system};
    bool started = false;
    self->request(supervisor, patience, GetChild{"quorum"})
        .receive([&](const Child&) { started = true; }, [](const caf::error&) {});
    REQUIRE(started);
  }
  ~Node() {
    caf::scoped_actor self{system};
    self->request(supervisor, patience, StopChildren{}).receive([](const ChildrenStopped&) {}, [](const caf::error&) {});
  }

  metadata::ImagePtr await() {
    metadata::ImagePtr image;
    caf::scoped_actor self{system};
    self->request(quorum.get(), patience, AwaitMetadata{})
        .receive([&](const MetadataReady& ready) { image = ready.image; }, [](const caf::error&) {});
    REQUIRE(image);
    return image;
  }

  /// Creates topics `prefix`0 to `prefix`<count - 1>, `at_once` of them waiting at any time. Milliseconds for all.
  double create(const std::string& prefix, int count, int at_once) {
    struct Progress {
      int sent = 0;
      int answered = 0;
      int failed = 0;
      std::promise<int> done;
      std::function<void()> next;
    };
    auto progress = std::make_shared<Progress>();
    auto future = progress->done.get_future();
    const auto start = std::chrono::steady_clock::now();
    const auto client = [=, quorum = quorum.get()](caf::event_based_actor* self, int) {
      progress->next = [=] {
        if (progress->sent == count) return;
        const auto answered = [=] {
          if (++progress->answered == count) return progress->done.set_value(progress->failed);
          progress->next();
        };
        self->request(quorum, caf::infinite, CreateTopic{.request = {.name = prefix + std::to_string(progress->sent++)}})
            .then([=](const TopicAnswer&) { answered(); },
                  [=](const caf::error&) {
                    ++progress->failed;
                    answered();
                  });
      };
      for (int i = 0; i < at_once; ++i) progress->next();
    };
    system.spawn(client, 0);
    REQUIRE(future.wait_for(patience) == std::future_status::ready);
    CHECK(future.get() == 0);
    const auto ms = ms_since(start);
    progress->next = nullptr;
    return ms;
  }
};

}  // namespace

TEST_CASE("10,000 topics are created and come back, on a real disk with real threads", "[metadata_quorum]") {
  const TempDirectory folder;
  double created_ms = 0;
  double one_by_one_ms = 0;
  double ready_ms = 0;
  metadata::ImagePtr before;
  {
    Node node{folder / "metadata"};
    node.await();
    one_by_one_ms = node.create("one-by-one-", 200, 1);
    created_ms = node.create("topic-", 10'000, 10'000);
    before = node.images->get();
  }
  {
    const auto start = std::chrono::steady_clock::now();
    Node node{folder / "metadata"};
    const auto after = node.await();
    ready_ms = ms_since(start);
    CHECK(after->topic_count() == 10'200);
    CHECK(before->topic_count() == 10'200);
    for (const auto& topic : before->topics()) {
      const auto found = after->find_topic(topic->name);
      REQUIRE(found);
      REQUIRE(found->id == topic->id);
      REQUIRE(found->partitions[0].leader_epoch == topic->partitions[0].leader_epoch + 1);
    }
  }
  std::cout << "10,000 topics at once: " << created_ms << " ms; one by one: " << one_by_one_ms / 200
            << " ms each; ready again with 10,200: " << ready_ms << " ms\n";
}
