#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <caf/fwd.hpp>

#include "actors/actor_table.hpp"
#include "actors/handle_slot.hpp"
#include "actors/image_holder.hpp"
#include "actors/produce_budget.hpp"
#include "core/broker_api.hpp"
#include "core/cluster_api.hpp"

namespace troupe::actors {

struct AdmittedProduce;

/// BrokerApi and ClusterApi over the actors of this node: what is known is answered from the image, everything else goes to a gateway
/// actor, or to operator_desk.
///
/// A calling thread always has the same gateway, so that what it asks for in order is done in order. Reference: design section 4.
class Broker final : public BrokerApi, public ClusterApi {
 public:
  struct Options {
    BrokerId node_id{0};
    std::shared_ptr<const ImageHolder> images = {};
    std::vector<std::shared_ptr<const HandleSlot<caf::actor>>> gateways = {};  ///< one at least
    std::shared_ptr<const HandleSlot<caf::actor>> partition_manager = {};
    std::shared_ptr<const HandleSlot<caf::actor>> operator_desk = {};  ///< null: none
    std::shared_ptr<const std::atomic<bool>> serving = {};  ///< as partition_manager sets it; null: from the start
    const ActorTable* table = nullptr;
    const Clock* clock = nullptr;
    std::int32_t default_partitions = 1;  ///< of a topic that is created without a number
    std::size_t produce_bytes_max = std::size_t{256} << 20;
    std::function<HealthReport()> health = {};
    std::function<std::vector<BrokerId>()> links = {};  ///< nodes that there is a link to; null: there are none
    GroupApi* groups = nullptr;                         ///< outlives the broker
    ConsumerApi* consumers = nullptr;                   ///< outlives the broker
  };

  explicit Broker(Options options);

  bool ready() const override;
  ClusterInfo cluster() const override;
  metadata::TopicPtr topic(std::string_view name) const override;
  metadata::TopicPtr topic(const TopicId& id) const override;
  std::vector<metadata::TopicPtr> topics() const override;
  HealthReport health() const override;
  std::vector<ActorInfo> actor_tree() const override;
  ClusterApi& cluster_api() override { return *this; }
  GroupApi& group_api() override { return *options_.groups; }
  ConsumerApi& consumer_api() override { return *options_.consumers; }

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

  metadata::ImagePtr image() const override { return options_.images->get(); }
  std::vector<BrokerId> voters() const override { return options_.images->voters(); }
  std::vector<BrokerId> reachable() const override;
  void change_cluster(OperatorRequest request, Reply<metadata::ClusterAnswer> reply) override;
  void ask_quorum(quorum::QuorumRequest request, Reply<quorum::QuorumReport> reply) override;
  void actor_trees(std::vector<BrokerId> nodes, Reply<std::vector<NodeTree>> reply) override;

  /// Bytes of requests that are not answered yet.
  std::size_t produce_bytes() const { return budget_.taken(); }

 private:
  class Attachment;

  std::size_t gateway_index() const;
  std::optional<AdmittedProduce> admit(ProduceCall call);
  template <class Call>
  void send(Call call);
  template <class Call>
  void send_to_desk(Call call);
  template <class Call>
  void send_to(std::size_t gateway, Call call);

  const Options options_;
  ProduceBudget budget_;
  mutable std::atomic<bool> started_{false};
  std::atomic<std::uint64_t> next_call_{1};
  std::atomic<std::uint64_t> next_attachment_{1};
};

}  // namespace troupe::actors
