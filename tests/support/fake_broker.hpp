#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "core/broker_api.hpp"
#include "tests/support/fake_cluster.hpp"
#include "tests/support/fake_consumers.hpp"
#include "tests/support/fake_group.hpp"

namespace troupe::test {

/// A broker in memory, for tests of the doors: real batches and offsets, no actor, no disk. Answers at once, on the caller's thread,
/// unless it was told to hold. Thread-safe.
class FakeBroker : public BrokerApi {
 public:
  explicit FakeBroker(std::size_t tail_bytes_max = std::size_t{4} << 20) : tail_bytes_max_(tail_bytes_max) {
    std::vector<NodeTree> trees;
    trees.push_back({BrokerId{1}, FakeBroker::actor_tree()});
    whole_cluster_.set_trees(std::move(trees));
  }

  metadata::TopicPtr add_topic(const std::string& name, std::int32_t partitions = 1,
                               std::map<std::string, std::string> config = {});
  /// Another image of a topic that is there: other replicas, no leader.
  void replace_topic(metadata::TopicImage image);
  /// Appends one batch of records with these (key, value) pairs; an empty key is null. Returns the first offset.
  Offset append(const std::string& topic, PartitionId partition,
                const std::vector<std::pair<std::string, std::string>>& records,
                TimestampMs timestamp = TimestampMs{1'764'000'000'000});
  /// Retention: batches that lie wholly below `offset` go, the log starts there.
  void advance_log_start(const std::string& topic, PartitionId partition, Offset offset);

  /// Every record of a partition: (key, value), null as "".
  std::vector<std::pair<std::string, std::string>> records(const std::string& topic, PartitionId partition) const;

  /// Produce calls fail with this; nullopt: they succeed again.
  void fail_produce(std::optional<Error> error);
  /// What the last produce was given.
  Millis produce_timeout_ms() const;
  void set_checks(std::vector<HealthCheck> checks);
  /// Produce calls are kept until `release_produce`.
  void hold_produce();
  std::size_t held_produce() const;
  void release_produce();

  /// Positions are told as by a replica that follows, and has heard of what is committed up to there; nullopt: as by the leader.
  void tell_as_follower(std::optional<Offset> heard);

  /// The next call of fetch fails with this.
  void fail_next_fetch(Error error);

  std::size_t fetches() const;      ///< calls of fetch so far
  std::size_t attachments() const;  ///< tails attached now
  std::size_t waiting_fetches() const;
  std::size_t cancelled() const;

  /// As a node that starts: it does not know its topics yet.
  void set_ready(bool ready) { ready_ = ready; }

  FakeCluster& whole_cluster() { return whole_cluster_; }
  FakeGroups& groups() { return groups_; }
  FakeConsumers& consumers() { return consumers_; }

  // BrokerApi
  ClusterApi& cluster_api() override { return whole_cluster_; }
  GroupApi& group_api() override { return groups_; }
  ConsumerApi& consumer_api() override { return consumers_; }
  bool ready() const override { return ready_; }
  ClusterInfo cluster() const override;
  metadata::TopicPtr topic(std::string_view name) const override;
  metadata::TopicPtr topic(const TopicId& id) const override;
  std::vector<metadata::TopicPtr> topics() const override;
  HealthReport health() const override;
  std::vector<ActorInfo> actor_tree() const override;
  CallId produce(ProduceRequest request, Reply<ProduceResponse> reply) override;
  void produce_all(std::vector<ProduceCall> calls) override;
  CallId fetch(FetchRequest request, Reply<FetchResponse> reply) override;
  CallId find_offset(TopicIdPartition partition, OffsetSpec spec, Reply<OffsetAnswer> reply) override;
  void cancel(CallId call) override;
  std::unique_ptr<TailAttachment> attach_tail(TopicIdPartition partition, std::shared_ptr<TailListener> listener) override;
  CallId create_topic(CreateTopicRequest request, Reply<metadata::TopicPtr> reply) override;
  CallId alter_topic(AlterTopicRequest request, Reply<metadata::TopicPtr> reply) override;
  CallId delete_topic(std::string name, Reply<Nothing> reply) override;
  CallId delete_records(DeleteRecordsRequest request, Reply<Offset> reply) override;

 private:
  struct Listener {
    std::shared_ptr<TailListener> taker;
    std::shared_ptr<std::atomic<std::size_t>> held_bytes;
  };
  struct StoredBatch {
    Offset base;
    Offset next;
    TimestampMs max_timestamp;
    Bytes bytes;
  };
  struct Partition {
    std::deque<StoredBatch> batches;
    Offset start{0};
    Offset end{0};
    std::map<std::uint64_t, Listener> listeners;
  };
  struct WaitingFetch {
    CallId call;
    FetchRequest request;
    Reply<FetchResponse> reply;
  };
  struct Attachment;
  using Deferred = std::vector<std::function<void()>>;

  Partition* find(const TopicIdPartition& id);
  const Partition* find(const TopicIdPartition& id) const;
  Offset append_locked(const TopicIdPartition& id, Partition& partition, record::RecordBatchBuilder& builder,
                       TimestampMs newest, Deferred& later);
  ProduceResponse produce_locked(const ProduceRequest& request, Deferred& later);
  Result<FetchResponse> read_locked(const FetchRequest& request) const;
  static void run(Deferred& later);
  void tell_image(const metadata::TopicImage& topic);

  FakeCluster whole_cluster_;
  const std::size_t tail_bytes_max_;
  mutable std::mutex mutex_;
  std::map<std::string, metadata::TopicPtr, std::less<>> topics_;
  std::map<TopicIdPartition, Partition> partitions_;
  std::map<std::pair<std::string, std::uint64_t>, ProduceResponse> idempotent_;
  std::vector<WaitingFetch> waiting_;
  std::vector<std::pair<ProduceRequest, Reply<ProduceResponse>>> held_;
  bool hold_ = false;
  std::atomic<bool> ready_ = true;
  std::vector<HealthCheck> checks_{{"fake", true, "in memory"}};
  Millis produce_timeout_ms_ = 0;  ///< of the last one
  std::optional<Error> produce_error_;
  std::optional<Error> fetch_error_;
  std::optional<Offset> heard_;
  std::uint64_t next_id_ = 1;
  std::size_t fetches_ = 0;
  std::size_t cancelled_ = 0;
  FakeGroups groups_{[this] { return whole_cluster_.image(); }};
  FakeConsumers consumers_{*this, groups_};
};

}  // namespace troupe::test
