#pragma once

#include <mutex>
#include <optional>
#include <vector>

#include "core/cluster_api.hpp"
#include "core/metadata/metadata_record.hpp"

namespace troupe::test {

/// The cluster of a FakeBroker: an image on which the controller's real rules decide, and canned answers for the rest. Answers at once, on
/// the caller's thread. Thread-safe.
class FakeCluster final : public ClusterApi {
 public:
  /// Brokers 1 to `brokers`, of which all vote and can be reached; this node is 1.
  explicit FakeCluster(std::int32_t brokers = 1);

  void set_image(metadata::ImagePtr image);
  /// As if the controller had committed these.
  void commit(const std::vector<metadata::MetadataRecord>& records);
  void set_voters(std::vector<BrokerId> voters);
  void set_reachable(std::vector<BrokerId> nodes);
  /// All changes and questions fail with this; nullopt: no longer.
  void fail(std::optional<Error> error);
  void set_report(quorum::QuorumReport report);
  void set_trees(std::vector<NodeTree> trees);

  /// What the quorum was asked so far.
  std::vector<quorum::QuorumRequest> asked() const;

  // ClusterApi
  metadata::ImagePtr image() const override;
  std::vector<BrokerId> voters() const override;
  std::vector<BrokerId> reachable() const override;
  void change_cluster(OperatorRequest request, Reply<metadata::ClusterAnswer> reply) override;
  void ask_quorum(quorum::QuorumRequest request, Reply<quorum::QuorumReport> reply) override;
  void actor_trees(std::vector<BrokerId> nodes, Reply<std::vector<NodeTree>> reply) override;

 private:
  Result<metadata::ClusterAnswer> decide(const metadata::ClusterRequest& request);

  mutable std::mutex mutex_;
  metadata::ImagePtr image_;
  std::vector<BrokerId> voters_;
  std::vector<BrokerId> reachable_;
  std::optional<Error> error_;
  quorum::QuorumReport report_;
  std::vector<NodeTree> trees_;
  std::vector<quorum::QuorumRequest> asked_;
};

}  // namespace troupe::test
