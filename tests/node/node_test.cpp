#include "runtime/node/node.hpp"

#include <atomic>
#include <cctype>
#include <chrono>
#include <future>
#include <map>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "tests/support/catch.hpp"
#include "tests/support/temp_directory.hpp"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

/// The answer of a call; fails the test when none comes.
template <class T, class Call>
Result<T> ask(Call call) {
  auto promise = std::make_shared<std::promise<Result<T>>>();
  auto future = promise->get_future();
  call(Reply<T>{[promise](Result<T> result) { promise->set_value(std::move(result)); }});
  REQUIRE(future.wait_for(30s) == std::future_status::ready);
  return future.get();
}

struct RunningNode {
  explicit RunningNode(const std::string& path, std::size_t gateways = 2) {
    config.data_dir = path;
    config.gateway.io_threads = gateways;
    config.commit_file_bytes = std::uint64_t{4} << 20;
    node.emplace(config, metrics);
  }
  Status start() { return node->start({.id = BrokerId{config.node_id}, .host = "127.0.0.1", .port = 1}, 30'000); }

  metadata::TopicPtr create(const std::string& name, std::int32_t partitions = 1,
                            std::map<std::string, std::string> settings = {}) {
    auto made = ask<metadata::TopicPtr>([&](auto reply) {
      node->broker().create_topic({.name = name, .partitions = partitions, .config = std::move(settings)}, std::move(reply));
    });
    REQUIRE(made);
    return *made;
  }

  Result<ProduceResponse> produce(const metadata::TopicPtr& topic,
                                  const std::vector<std::pair<std::string, std::string>>& records,
                                  std::optional<IdempotenceKey> idempotence = {}) {
    ProduceRequest request{.topic = topic, .idempotence = std::move(idempotence)};
    for (const auto& [key, value] : records) {
      ProduceRecord record{.value = as_bytes(value)};
      if (!key.empty()) record.key = as_bytes(key);
      request.records.push_back(record);
    }
    return ask<ProduceResponse>([&](auto reply) { node->broker().produce(std::move(request), std::move(reply)); });
  }

  std::vector<std::string> read(const metadata::TopicPtr& topic, PartitionId partition, Offset from = Offset{0}) {
    std::vector<std::string> values;
    while (true) {
      const auto response = ask<FetchResponse>([&](auto reply) {
        node->broker().fetch({.partition = {topic->id, partition}, .from = from}, std::move(reply));
      });
      INFO(from.value());
      REQUIRE(response);
      if (response->batches.empty()) return values;
      for (std::size_t at = 0; at < response->batches.size();) {
        const auto batch = record::parse_batch(response->batches.view().subspan(at)).value();
        const auto block = record::open_records(batch, {}).value();
        record::RecordReader reader(batch.header, block.bytes);
        while (const auto record = reader.next()) {
          if (record->offset >= from) values.emplace_back(as_text(*record->value));
        }
        at += batch.bytes.size();
      }
      from = response->next_offset;
    }
  }

  runtime::NodeConfig config;
  metrics::Registry metrics;
  std::optional<runtime::Node> node;
};

class Listener final : public TailListener {
 public:
  void on_tail(TailEvent event) override {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    changed_.notify_all();
  }
  std::vector<TailEvent> wait_for(std::size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, 30s, [&] { return events_.size() >= count; });
    return events_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TailEvent> events_;
};

}  // namespace

TEST_CASE("what a node acknowledged is there after a restart", "[node]") {
  const test::TempDirectory directory;
  TopicId id;
  {
    RunningNode running(directory.path());
    REQUIRE(running.start());
    CHECK(running.node->broker().health().ready);
    const auto topic = running.create("orders", 3);
    id = topic->id;
    for (int i = 0; i < 100; ++i) {
      const auto made = running.produce(topic, {{"k" + std::to_string(i % 7), "v" + std::to_string(i)}, {"", "w"}});
      REQUIRE(made);
      for (const auto& record : made->records) REQUIRE(record);
    }
    CHECK(running.node->stop(5000).empty());
  }
  RunningNode again(directory.path());
  REQUIRE(again.start());
  const auto topic = again.node->broker().topic("orders");
  REQUIRE(topic);
  CHECK(topic->id == id);
  std::size_t count = 0;
  for (std::int32_t p = 0; p < 3; ++p) count += again.read(topic, PartitionId{p}).size();
  CHECK(count == 200);
}

TEST_CASE("a request with an idempotence key is written once, also across a restart", "[node]") {
  const test::TempDirectory directory;
  const IdempotenceKey key{.client_id = "ana", .sequence = 4};
  {
    RunningNode running(directory.path());
    REQUIRE(running.start());
    const auto topic = running.create("chat");
    const auto first = running.produce(topic, {{"", "a"}, {"", "b"}}, key);
    const auto second = running.produce(topic, {{"", "a"}, {"", "b"}}, key);
    REQUIRE(first);
    REQUIRE(second);
    CHECK_FALSE(first->records[1]->duplicate);
    CHECK(second->records[1]->duplicate);
    CHECK(second->records[1]->offset == first->records[1]->offset);
    const auto other = running.produce(topic, {{"", "something else"}}, key);
    CHECK(other->records[0].error().code == Errc::conflict);
    running.node->stop(5000);
  }
  RunningNode again(directory.path());
  REQUIRE(again.start());
  const auto topic = again.node->broker().topic("chat");
  const auto third = again.produce(topic, {{"", "a"}, {"", "b"}}, key);
  REQUIRE(third);
  CHECK(third->records[0]->duplicate);
  CHECK(third->records[1]->offset == Offset{1});
  CHECK(again.read(topic, PartitionId{0}) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("a tail tells what was committed, in order and without holes, and ends with its topic", "[node]") {
  const test::TempDirectory directory;
  RunningNode running(directory.path());
  REQUIRE(running.start());
  const auto topic = running.create("t");
  REQUIRE(running.produce(topic, {{"", "before"}}));
  const auto listener = std::make_shared<Listener>();
  const auto attachment = running.node->broker().attach_tail({topic->id, PartitionId{0}}, listener);
  const auto attached = listener->wait_for(1);
  REQUIRE(attached.size() == 1);
  CHECK(attached[0].kind == TailEvent::Kind::attached);
  CHECK(attached[0].next_offset == Offset{1});
  Offset next{1};
  for (int i = 0; i < 20; ++i) REQUIRE(running.produce(topic, {{"", "v"}, {"", "w"}}));
  std::size_t seen = 1;
  while (next < Offset{41}) {
    const auto events = listener->wait_for(seen + 1);
    REQUIRE(events.size() > seen);
    for (; seen < events.size(); ++seen) {
      REQUIRE(events[seen].kind == TailEvent::Kind::records);
      CHECK(events[seen].from == next);
      CHECK(record::parse_batch(events[seen].batches).value().header.base_offset == next);
      next = events[seen].next_offset;
    }
  }
  REQUIRE(ask<Nothing>([&](auto reply) { running.node->broker().delete_topic("t", std::move(reply)); }));
  CHECK(listener->wait_for(seen + 1).back().kind == TailEvent::Kind::ended);
  const auto gone = running.produce(topic, {{"", "late"}});
  REQUIRE(gone);
  CHECK(gone->records[0].error().code == Errc::unknown_topic_or_partition);
}

TEST_CASE("a fetch at the end waits for a record, for its time, or until it is cancelled", "[node]") {
  const test::TempDirectory directory;
  RunningNode running(directory.path());
  REQUIRE(running.start());
  const auto topic = running.create("t");
  auto& broker = running.node->broker();
  const FetchRequest request{.partition = {topic->id, PartitionId{0}}, .from = Offset{0}, .wait_ms_max = 20'000};

  auto promise = std::make_shared<std::promise<Result<FetchResponse>>>();
  auto future = promise->get_future();
  broker.fetch(request, Reply<FetchResponse>{[promise](Result<FetchResponse> r) { promise->set_value(std::move(r)); }});
  REQUIRE(running.produce(topic, {{"", "x"}}));
  REQUIRE(future.wait_for(10s) == std::future_status::ready);
  CHECK(future.get()->next_offset == Offset{1});

  auto at_end = request;
  at_end.from = Offset{1};
  at_end.wait_ms_max = 30;
  const auto empty = ask<FetchResponse>([&](auto reply) { broker.fetch(at_end, std::move(reply)); });
  REQUIRE(empty);
  CHECK(empty->batches.empty());

  at_end.wait_ms_max = 25'000;
  auto cancelled = std::make_shared<std::promise<Result<FetchResponse>>>();
  auto outcome = cancelled->get_future();
  const auto call = broker.fetch(
      at_end, Reply<FetchResponse>{[cancelled](Result<FetchResponse> r) { cancelled->set_value(std::move(r)); }});
  // Once only is enough when the fetch is parked; its way there is not ours to see.
  for (int i = 0; i < 1000 && outcome.wait_for(10ms) != std::future_status::ready; ++i) broker.cancel(call);
  REQUIRE(outcome.wait_for(0s) == std::future_status::ready);
  CHECK(outcome.get().error().code == Errc::cancelled);

  at_end.from = Offset{7};
  const auto beyond = ask<FetchResponse>([&](auto reply) { broker.fetch(at_end, std::move(reply)); });
  REQUIRE_FALSE(beyond);
  CHECK(beyond.error().code == Errc::offset_out_of_range);
}

TEST_CASE("a second node on the same directory is refused and told who holds it", "[node]") {
  const test::TempDirectory directory;
  RunningNode first(directory.path());
  REQUIRE(first.start());
  RunningNode second(directory.path());
  const auto started = second.start();
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("lock") != std::string::npos);
  CHECK(first.node->broker().health().ready);
}

TEST_CASE("the directory of another node is refused", "[node]") {
  const test::TempDirectory directory;
  {
    RunningNode first(directory.path());
    REQUIRE(first.start());
    first.node->stop(5000);
  }
  RunningNode other(directory.path());
  other.config.node_id = 2;
  other.node.emplace(other.config, other.metrics);
  const auto started = other.start();
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("node 1") != std::string::npos);
}

TEST_CASE("records keep their order and are all there when many threads produce", "[node]") {
  const test::TempDirectory directory;
  RunningNode running(directory.path());
  REQUIRE(running.start());
  const auto topic = running.create("t", 2);
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        auto promise = std::make_shared<std::promise<Result<ProduceResponse>>>();
        auto future = promise->get_future();
        const auto value = std::to_string(t) + ":" + std::to_string(i);
        ProduceRequest request{.topic = topic};
        request.memory = Bytes::copy_of(as_bytes(value));
        request.records.push_back({.value = request.memory.view(), .partition = PartitionId{t % 2}});
        running.node->broker().produce(std::move(request), Reply<ProduceResponse>{[promise](Result<ProduceResponse> r) {
                                         promise->set_value(std::move(r));
                                       }});
        if (future.wait_for(30s) != std::future_status::ready) {
          ++failures;
          return;
        }
        const auto response = future.get();
        if (!response || !response->records[0]) ++failures;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(failures == 0);
  std::map<std::string, int> last;
  for (std::int32_t p = 0; p < 2; ++p) {
    for (const auto& value : running.read(topic, PartitionId{p})) {
      const auto colon = value.find(':');
      const int number = std::stoi(value.substr(colon + 1));
      const auto thread = value.substr(0, colon);
      CHECK(last[thread] == number);
      last[thread] = number + 1;
    }
  }
  for (int t = 0; t < 4; ++t) CHECK(last[std::to_string(t)] == 200);
}

namespace {

/// Writes its input in upper-case; fails once on "poison".
class Shouter final : public processing::Processor {
 public:
  explicit Shouter(std::shared_ptr<std::atomic<bool>> poisoned) : poisoned_(std::move(poisoned)) {}
  void process(const processing::InputRecord& record, processing::Output& output) override {
    std::string value{record.value.value_or("")};
    if (value == "poison" && !poisoned_->exchange(true)) throw std::runtime_error("there was poison");
    for (auto& letter : value) letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
    output.send({.topic = "loud", .value = value});
  }

 private:
  std::shared_ptr<std::atomic<bool>> poisoned_;
};

processing::ProcessorSpec shouter(bool blocking) {
  auto poisoned = std::make_shared<std::atomic<bool>>(false);
  return {.name = "shouter",
          .inputs = {"quiet"},
          .outputs = {{.name = "loud"}},
          .make = [poisoned](const processing::Assignment&) { return std::make_unique<Shouter>(poisoned); },
          .blocking = blocking};
}

/// Reads until there are so many values.
std::vector<std::string> read_until(RunningNode& running, const std::string& topic, std::size_t count) {
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  std::vector<std::string> values;
  while (values.size() < count && std::chrono::steady_clock::now() < deadline) {
    const auto made = running.node->broker().topic(topic);
    if (made) values = running.read(made, PartitionId{0});
    std::this_thread::yield();
  }
  return values;
}

}  // namespace

TEST_CASE("a processor of a real node survives its own exception and the node's restart", "[node]") {
  const test::TempDirectory directory;
  const bool blocking = GENERATE(false, true);
  std::vector<std::string> expected;
  {
    RunningNode running(directory.path());
    REQUIRE(running.node->add_processor(shouter(blocking)));
    CHECK(running.node->add_processor(shouter(blocking)).error().message.find("name:") != std::string::npos);
    REQUIRE(running.start());
    const auto topic = running.create("quiet");
    for (int i = 0; i < 200; ++i) {
      const bool poison = i == 120;
      REQUIRE(running.produce(topic, {{"", poison ? "poison" : "line " + std::to_string(i)}}));
      expected.push_back(poison ? "POISON" : "LINE " + std::to_string(i));
    }
    CHECK(read_until(running, "loud", expected.size()) == expected);
    bool found = false;
    for (const auto& actor : running.node->broker().actor_tree()) {
      if (actor.name != "shouter/quiet/0") continue;
      found = true;
      CHECK(actor.kind == "processor_host");
      CHECK(actor.restarts == 1);
      CHECK(actor.last_error.value_or("").find("there was poison") != std::string::npos);
    }
    CHECK(found);
    CHECK(running.produce(running.node->broker().topic("__processor_positions"), {{"", "x"}})->records[0].error().code ==
          Errc::topic_authorization_failed);
    CHECK(running.node->stop(5000).empty());
  }
  RunningNode again(directory.path());
  REQUIRE(again.start());
  REQUIRE(again.node->add_processor(shouter(blocking)));  // also while it runs
  REQUIRE(again.produce(again.node->broker().topic("quiet"), {{"", "at last"}}));
  expected.emplace_back("AT LAST");
  CHECK(read_until(again, "loud", expected.size()) == expected);
  CHECK(again.node->stop(5000).empty());
}
