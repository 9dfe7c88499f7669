#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/replication/produce_pipeline.hpp"
#include "tests/sim/replication/sim_node.hpp"

namespace troupe {
struct ProduceRequest;
namespace metadata {
struct TopicImage;
}
}  // namespace troupe

namespace troupe::sim {

/// One idempotent producer of one partition: a real ProducePipeline that looks for the leader, retries, and sometimes asks the wrong node.
/// It speaks in the bytes of leader_calls.
///
/// One that `claims` is a client with an idempotence key: it says again, under the same key, what has an unknown outcome.
class SimClient {
 public:
  SimClient(SimWorld& world, int id, std::size_t partition, replication::Acks acks, bool claims = false);

  int id() const { return id_; }
  std::size_t partition() const { return partition_; }
  replication::Acks acks() const { return acks_; }
  bool claims() const { return claims_; }

  /// One more record, to be given up at `deadline`.
  void add(MonotonicMs deadline);
  void answered(std::uint64_t slot, std::vector<Result<replication::PlacedRecords>> results);
  void look_at_the_clock();

  bool idle() const { return pipeline_.idle(); }
  /// What it waits for, for people.
  std::string waits_for() const;
  std::uint64_t added() const { return next_part_; }
  /// Offsets of the records that were acknowledged, by their numbers.
  const std::map<std::uint64_t, Offset>& acknowledged() const { return acknowledged_; }
  /// The value of record `part`.
  std::string value(std::uint64_t part) const { return std::to_string(id_) + "/" + std::to_string(part); }

  std::function<void(int node, int client, std::uint64_t slot, std::size_t partition, std::vector<replication::NewBatch>,
                     replication::ProduceTerms)>
      produce;

 private:
  struct Sent {
    std::vector<replication::NewBatch> batches;
    MonotonicMs patience;
  };
  void perform(replication::PipelineEffects effects);
  void look_for_leader();
  void add_part(std::uint64_t part, MonotonicMs deadline);
  void ask_wrongly(const ProduceRequest& right, const metadata::TopicImage& topic);

  SimWorld& world_;
  const int id_;
  const std::size_t partition_;
  const replication::Acks acks_;
  const bool claims_;
  std::map<std::uint64_t, std::set<std::uint32_t>> claimed_;  ///< the batches of a part, each with another time in its claim
  std::vector<std::uint64_t> again_;  ///< parts with an unknown outcome, to be sent again by their claims
  replication::ProducePipeline pipeline_;
  BrokerId leader_ = no_broker;
  Errc last_refusal_ = Errc::unknown_error;
  std::map<std::uint64_t, Sent> sent_;
  std::map<std::uint64_t, Offset> acknowledged_;
  std::uint64_t next_part_ = 0;
  bool known_ = false;  ///< the log has a batch of this producer
  bool first_under_way_ = false;
};

}  // namespace troupe::sim
