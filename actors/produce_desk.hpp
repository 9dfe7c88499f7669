#pragma once

#include <functional>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/gateway_messages.hpp"
#include "base/prng.hpp"
#include "core/metadata/topic_image.hpp"
#include "core/replication/produce_pipeline.hpp"
#include "core/replication/produce_rules.hpp"

namespace troupe::actors {

/// The produce requests of one gateway: which record goes where, what is still open, who is answered when. Knows no actor.
///
///   request --> checks --> by partition: a part --> lane (ProducePipeline) --> Done(part) --> results --> the last one: Reply
class ProduceDesk {
 public:
  explicit ProduceDesk(std::uint64_t seed);

  /// Takes a request; its lanes are dirty until the end of the turn. `topic` is the topic as it is now; null: it is gone.
  void take(AdmittedProduce call, const metadata::TopicPtr& topic, MonotonicMs now, TimestampMs wall);

  /// Slots to send, by partition.
  struct Sends {
    std::vector<std::pair<TopicIdPartition, replication::PipelineEffects::Send>> slots;
  };
  Sends end_turn(MonotonicMs now);
  Sends on_answer(const TopicIdPartition& partition, std::uint64_t slot,
                  std::vector<Result<replication::PlacedRecords>> results, MonotonicMs now);
  Sends on_leader_gone(const TopicIdPartition& partition, MonotonicMs now);
  /// Sends again what is due, and gives up requests whose time is over: their outcome is unknown.
  Sends on_tick(MonotonicMs now);

  /// Something waits for time to pass.
  bool busy() const { return !requests_.empty() || !stalled_.empty(); }

 private:
  using ResultOfRecord = Result<ProducedRecord>;
  struct Request {
    AdmittedProduce produce;
    std::vector<ResultOfRecord> results;  ///< without an offset as long as there is no answer
    std::size_t open = 0;
    MonotonicMs deadline{0};
  };
  struct Part {
    std::uint64_t request;
    PartitionId partition;
    std::vector<std::size_t> records;  ///< their places in the request
  };
  struct Lane {
    replication::ProducePipeline pipeline;
    record::TimestampType timestamp_type;
  };

  Result<PartitionId> place(const ProduceRecord& record, const ProduceRequest& request, const metadata::TopicPtr& topic);
  Lane& lane(const TopicIdPartition& id, const metadata::TopicImage& topic);
  void set_result(Request& request, std::size_t record, ResultOfRecord result);
  void finish(std::uint64_t number);
  void perform(const TopicIdPartition& id, Lane& lane, replication::PipelineEffects effects, Sends& sends);
  void note_stalled(const TopicIdPartition& id, const Lane& lane);

  Prng random_;
  std::unordered_map<TopicIdPartition, Lane> lanes_;
  std::set<TopicIdPartition> dirty_;
  std::set<TopicIdPartition> stalled_;  ///< wait for their next try
  replication::PartitionChooser chooser_;
  std::unordered_map<std::uint64_t, Request> requests_;
  std::set<std::pair<MonotonicMs, std::uint64_t>> deadlines_;
  std::unordered_map<std::uint64_t, Part> parts_;
  // Of the request that is being taken; kept for their memory.
  std::vector<std::pair<PartitionId, std::size_t>> chosen_;
  std::vector<record::NewRecord> records_;

  std::uint64_t next_request_ = 1;
  std::uint64_t next_part_ = 1;
};

}  // namespace troupe::actors
