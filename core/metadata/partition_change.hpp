#pragma once

#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "core/metadata/cluster_requests.hpp"
#include "core/metadata/metadata_image.hpp"
#include "core/metadata/metadata_record.hpp"

/// What the rules for leaders, ISRs and replicas have in common: one partition that is being changed.
namespace troupe::metadata {

/// What a request of the cluster changes, and its answer. No records: it is fulfilled as things are.
struct ClusterDecision {
  std::vector<MetadataRecord> records = {};
  ClusterAnswer answer = {};
};

/// How good a leader a broker would be, best first.
enum class Fitness : std::uint8_t { ready, draining, stopping, fenced };

/// The brokers of an image, one of them as it will be when the decision is committed. Refers to the image.
class BrokerStates {
 public:
  explicit BrokerStates(const MetadataImage& image) : image_(image) {}
  BrokerStates(const MetadataImage& image, BrokerRegistration changed) : image_(image), changed_(std::move(changed)) {}

  /// nullptr: not registered.
  const BrokerRegistration* find(BrokerId id) const;
  /// Who is not registered is fenced.
  Fitness fitness(BrokerId id) const;

 private:
  const MetadataImage& image_;
  std::optional<BrokerRegistration> changed_;
};

/// A partition on its way from one state to the next. Refers to what it was made with.
///
///   who may lead:   a live member of the ISR          clean
///                   a live eligible leader replica    clean: nothing was committed without it (KIP-966)
///                   the last known leader             unclean, when there is neither ISR nor ELR
///                   any live replica                  unclean, if the topic or the operator says so
///   in each of them ready before draining before stopping, then the order of the replicas
class PartitionChange {
 public:
  PartitionChange(const BrokerStates& brokers, const TopicImage& topic, PartitionId partition, const PartitionImage& before)
      : brokers_(brokers), topic_(topic), partition_(partition), before_(before), now_(before) {}

  const PartitionImage& before() const { return before_; }
  const PartitionImage& now() const { return now_; }

  /// A subset of the replicas, with the leader in it.
  void set_isr(std::vector<BrokerId> isr) { now_.isr = std::move(isr); }
  /// Towards `target`: see Reassignment.
  void reassign(const std::vector<BrokerId>& target);
  /// Back to the replicas before, in their order. False: none of them is in the ISR, or was its last member, or too few hold what is
  /// committed.
  bool cancel_reassignment();
  /// Its log may lack committed records.
  void distrust(BrokerId broker);
  /// Its log is gone: it does not lead by having led last, unless there is no other copy.
  void forget_log(BrokerId broker);

  /// Fenced and stopping members leave the ISR while it has others; who may not lead any more, or should not, is replaced.
  void settle();
  /// The next leader epoch, whoever leads.
  void begin_epoch() { new_epoch_ = true; }
  /// `to` is in the ISR.
  void lead(BrokerId to) { now_.leader = to; }
  /// `to`, or anybody who lives. Nothing happens when there is a leader, or nobody.
  void elect_unclean(BrokerId to = no_broker);

  /// A reassignment that is through ends, the ELR is what it must be, epochs are raised. nullopt: nothing has changed, and no new
  /// partition epoch was asked for.
  std::optional<PartitionRecord> finish(bool even_unchanged = false);
  /// After `finish`.
  std::optional<UncleanElection> unclean_election() const;

 private:
  /// Of those who hold all that is committed at least as many as an acknowledgement takes are among these, if there are as many. Else fewer
  /// lost disks than were promised could cost records.
  bool enough_stay(std::span<const BrokerId> staying) const;
  void drop_unfit_members();
  void ensure_leader();
  void complete_reassignment();
  void update_eligible_leader_replicas();
  bool lead_alone(BrokerId leader);
  /// The fittest, at least `worst`; no_broker: none.
  BrokerId fittest(std::span<const BrokerId> of, Fitness worst = Fitness::stopping) const;
  std::size_t min_insync_replicas() const;

  const BrokerStates& brokers_;
  const TopicImage& topic_;
  const PartitionId partition_;
  const PartitionImage& before_;
  PartitionImage now_;
  std::vector<BrokerId> distrusted_;
  bool new_epoch_ = false;
  bool unclean_ = false;
  bool last_known_leader_elected_ = false;
};

/// Changes of one decision: a later one sees what an earlier one made.
class ClusterChanges {
 public:
  explicit ClusterChanges(const MetadataImage& image) : image_(image) {}

  struct Found {
    TopicPtr topic;
    const PartitionImage* partition;  ///< until the next `commit` of this partition
  };
  /// Errors: unknown_topic_or_partition.
  Result<Found> find(const TopicIdPartition& id) const;
  /// The partition as the change leaves it.
  PartitionImage commit(PartitionChange& change, const TopicIdPartition& id, bool even_unchanged = false);

  ClusterDecision& decision() { return decision_; }

 private:
  const MetadataImage& image_;
  std::unordered_map<TopicIdPartition, PartitionImage> changed_;
  ClusterDecision decision_;
};

/// Records what `change` has become. True: it has changed.
bool commit_change(PartitionChange& change, ClusterDecision& decision);

/// Calls `visit(const TopicImage&, PartitionId, const PartitionImage&)` for each partition, in no order.
template <class Visit>
void for_each_partition(const MetadataImage& image, Visit visit) {
  image.for_each_topic([&](const TopicPtr& topic) {
    for (std::int32_t i = 0; i < topic->partition_count(); ++i) {
      visit(*topic, PartitionId{i}, topic->partitions[static_cast<std::size_t>(i)]);
    }
  });
}

bool has_broker(std::span<const BrokerId> brokers, BrokerId broker);
/// Those of `all` that are not in `others`, in their order.
std::vector<BrokerId> without(std::span<const BrokerId> all, std::span<const BrokerId> others);

}  // namespace troupe::metadata
