#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <malloc.h>

#include "base/prng.hpp"
#include "core/metadata/broker_lifecycle.hpp"
#include "core/metadata/cluster_rules.hpp"
#include "core/metadata/controller.hpp"
#include "core/metadata/image_builder.hpp"
#include "core/metadata/snapshot.hpp"

/// How long the controller thinks, and how large what it knows is: a cluster of many brokers and partitions, in memory, without disk or
/// network.
///
///   controller_load [brokers] [topics] [partitions a topic]      1,000 brokers, 10,000 topics of 10 partitions of 3 replicas

namespace {

using namespace troupe;
using namespace troupe::metadata;

double now_ms() {
  const auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double, std::milli>(time).count();
}

std::size_t heap_bytes() { return mallinfo2().uordblks + mallinfo2().hblkhd; }

[[noreturn]] void stop(const Error& error) {
  std::fprintf(stderr, "%s\n", to_string(error).c_str());
  std::exit(1);
}

ImagePtr after_records(const ImagePtr& before, const std::vector<MetadataRecord>& records) {
  ImageBuilder builder{before};
  auto offset = before->applied();
  for (const auto& record : records) {
    if (const auto applied = builder.apply(record, offset); !applied) stop(applied.error());
    ++offset;
  }
  return builder.finish(offset, BrokerId{1}).after;
}

std::size_t bytes_of(const std::vector<MetadataRecord>& records) {
  std::size_t bytes = 0;
  for (const auto& record : records) bytes += encode_metadata_record(record).size();
  return bytes;
}

/// Decides `rounds` times; prints the median and the worst, and what one decision writes.
void measure(const char* name, const ImagePtr& image, const std::function<ClusterRequest(int)>& request, int rounds) {
  std::vector<double> times;
  std::size_t records = 0;
  std::size_t bytes = 0;
  double apply_worst = 0;
  for (int i = 0; i < rounds; ++i) {
    const auto start = now_ms();
    const auto decision = decide_cluster(*image, request(i));
    times.push_back(now_ms() - start);
    if (!decision) stop(decision.error());
    const auto apply_start = now_ms();
    const auto next = after_records(image, decision->records);
    apply_worst = std::max(apply_worst, now_ms() - apply_start);
    records = std::max(records, decision->records.size());
    bytes = std::max(bytes, bytes_of(decision->records));
  }
  std::sort(times.begin(), times.end());
  std::printf(
      "{\"decision\":\"%s\",\"rounds\":%d,\"median_ms\":%.3f,\"worst_ms\":%.3f,\"records\":%zu,\"bytes\":%zu,"
      "\"apply_worst_ms\":%.3f}\n",
      name, rounds, times[times.size() / 2], times.back(), records, bytes, apply_worst);
}

int count_of(int argc, char** argv, int at, int otherwise) {
  return argc > at ? std::max(1, std::atoi(argv[at])) : otherwise;
}

BrokerImage broker_image(int id) {
  const auto number = std::to_string(id);
  return {.id = BrokerId{id},
          .host = "broker-" + number + ".example.org",
          .port = 8080,
          .cluster_host = "broker-" + number + ".inside.example.org",
          .cluster_port = 9090,
          .rack = "rack-" + std::to_string(id % 10)};
}

}  // namespace

int main(int argc, char** argv) {
  const auto brokers = count_of(argc, argv, 1, 1'000);
  const auto topics = count_of(argc, argv, 2, 10'000);
  const auto partitions = count_of(argc, argv, 3, 10);
  const auto random = std::make_shared<Prng>(1);
  const auto new_uuid = [random] { return Uuid::random(*random); };
  const auto heap_before = heap_bytes();

  std::vector<MetadataRecord> records{ClusterRecord{new_uuid()}};
  for (int id = 1; id <= brokers; ++id) records.emplace_back(to_record(broker_image(id), new_uuid()));
  auto image = after_records(std::make_shared<const MetadataImage>(), records);
  double create_worst = 0;
  const auto create_start = now_ms();
  for (int i = 0; i < topics; ++i) {
    const CreateTopicRequest request{
        .name = "topic-" + std::to_string(i), .partitions = partitions, .replication_factor = 3};
    const auto start = now_ms();
    const auto decision = decide_create(*image, request, Requester::client, new_uuid);
    create_worst = std::max(create_worst, now_ms() - start);
    if (!decision) stop(decision.error());
    image = after_records(image, decision->records);
  }
  const auto create_ms = now_ms() - create_start;
  const auto snapshot_start = now_ms();
  const auto snapshot = encode_snapshot(*image);
  const auto snapshot_ms = now_ms() - snapshot_start;
  std::printf(
      "{\"brokers\":%d,\"topics\":%zu,\"partitions\":%zu,\"replicas\":%zu,\"image_bytes\":%zu,\"snapshot_bytes\":%zu,"
      "\"snapshot_ms\":%.1f,\"create_ms_a_topic\":%.4f,\"create_worst_ms\":%.3f}\n",
      brokers, image->topic_count(), image->partition_count(), image->replica_count(),
      heap_bytes() - heap_before - snapshot.capacity(), snapshot.size(), snapshot_ms, create_ms / topics, create_worst);

  constexpr int rounds = 31;
  const auto broker_at = [&](int round) {
    return BrokerId{1 + static_cast<int>(static_cast<std::int64_t>(round) * 31 % brokers)};
  };
  const auto epoch_of = [](const ImagePtr& of, BrokerId id) {
    return BrokerEpoch{of->find_broker(id)->broker_epoch.value()};
  };
  measure(
      "fence", image,
      [&](int i) {
        return FenceBrokerRequest{broker_at(i), epoch_of(image, broker_at(i))};
      },
      rounds);
  measure(
      "stop", image,
      [&](int i) {
        return StopBrokerRequest{broker_at(i), epoch_of(image, broker_at(i))};
      },
      rounds);
  measure(
      "drain", image, [&](int i) { return DrainBrokerRequest{.broker = broker_at(i)}; }, rounds);
  measure(
      "register", image,
      [&](int i) { return RegisterBrokerRequest{.broker = broker_image(broker_at(i).value()), .incarnation = new_uuid()}; },
      rounds);
  measure(
      "balance, nothing to do", image, [](int) { return BalanceLeadersRequest{}; }, rounds);
  const auto dead = decide_fence(*image, {BrokerId{1}, epoch_of(image, BrokerId{1})});
  if (!dead) stop(dead.error());
  const auto without_one = after_records(image, dead->records);
  measure(
      "unfence", without_one,
      [&](int) {
        return UnfenceBrokerRequest{BrokerId{1}, epoch_of(without_one, BrokerId{1})};
      },
      rounds);

  // One broker that leads 1,000 partitions, as in a small cluster.
  std::vector<MetadataRecord> few{ClusterRecord{new_uuid()}};
  for (int id = 1; id <= 3; ++id) few.emplace_back(to_record(broker_image(id), new_uuid()));
  auto small = after_records(std::make_shared<const MetadataImage>(), few);
  const auto wide = decide_create(*small, {.name = "wide", .partitions = 3'000}, Requester::client, new_uuid);
  if (!wide) stop(wide.error());
  small = after_records(small, wide->records);
  measure(
      "fence, of 3 brokers, leads 1,000 of 3,000", small,
      [&](int) {
        return FenceBrokerRequest{BrokerId{1}, epoch_of(small, BrokerId{1})};
      },
      rounds);
  return 0;
}
