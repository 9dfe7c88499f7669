#include "tests/support/fake_cluster.hpp"

#include <utility>

#include "core/metadata/cluster_rules.hpp"
#include "core/metadata/image_builder.hpp"

namespace troupe::test {
namespace {

metadata::ImagePtr applied(const metadata::ImagePtr& before, const std::vector<metadata::MetadataRecord>& records) {
  metadata::ImageBuilder builder{before};
  auto offset = before->applied();
  for (const auto& record : records) {
    const auto done = builder.apply(record, offset);
    TROUPE_ASSERT(done);
    ++offset;
  }
  return builder.finish(offset, BrokerId{1}).after;
}

}  // namespace

FakeCluster::FakeCluster(std::int32_t brokers) {
  std::vector<metadata::MetadataRecord> records{metadata::ClusterRecord{Uuid{{7}}}};
  for (std::int32_t number = 1; number <= brokers; ++number) {
    const BrokerId id{number};
    records.emplace_back(metadata::BrokerRegisteredRecord{id, Uuid{{1}}, "127.0.0.1", 8080, {}});
    voters_.push_back(id);
    report_.voters.push_back({.key = {id, Uuid{{1}}}});
  }
  reachable_ = voters_;
  image_ = applied(std::make_shared<const metadata::MetadataImage>(), records);
  report_.reporter = report_.leader = BrokerId{1};
}

void FakeCluster::set_image(metadata::ImagePtr image) {
  const std::lock_guard lock(mutex_);
  image_ = std::move(image);
}
void FakeCluster::commit(const std::vector<metadata::MetadataRecord>& records) {
  const std::lock_guard lock(mutex_);
  image_ = applied(image_, records);
}
void FakeCluster::set_voters(std::vector<BrokerId> voters) {
  const std::lock_guard lock(mutex_);
  voters_ = std::move(voters);
}
void FakeCluster::set_reachable(std::vector<BrokerId> nodes) {
  const std::lock_guard lock(mutex_);
  reachable_ = std::move(nodes);
}
void FakeCluster::fail(std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  error_ = std::move(error);
}
void FakeCluster::set_report(quorum::QuorumReport report) {
  const std::lock_guard lock(mutex_);
  report_ = std::move(report);
}
void FakeCluster::set_trees(std::vector<NodeTree> trees) {
  const std::lock_guard lock(mutex_);
  trees_ = std::move(trees);
}

std::vector<quorum::QuorumRequest> FakeCluster::asked() const {
  const std::lock_guard lock(mutex_);
  return asked_;
}

metadata::ImagePtr FakeCluster::image() const {
  const std::lock_guard lock(mutex_);
  return image_;
}
std::vector<BrokerId> FakeCluster::voters() const {
  const std::lock_guard lock(mutex_);
  return voters_;
}
std::vector<BrokerId> FakeCluster::reachable() const {
  const std::lock_guard lock(mutex_);
  return reachable_;
}

Result<metadata::ClusterAnswer> FakeCluster::decide(const metadata::ClusterRequest& request) {
  const std::lock_guard lock(mutex_);
  if (error_) return *error_;
  TROUPE_TRY_ASSIGN(auto decision, metadata::decide_cluster(*image_, request));
  image_ = applied(image_, decision.records);
  return std::move(decision.answer);
}

void FakeCluster::change_cluster(OperatorRequest request, Reply<metadata::ClusterAnswer> reply) {
  reply(decide(std::visit([](auto& one) { return metadata::ClusterRequest{std::move(one)}; }, request)));
}

void FakeCluster::ask_quorum(quorum::QuorumRequest request, Reply<quorum::QuorumReport> reply) {
  const auto answer = [&]() -> Result<quorum::QuorumReport> {
    const std::lock_guard lock(mutex_);
    asked_.push_back(request);
    if (error_) return *error_;
    return report_;
  }();
  reply(answer);
}

void FakeCluster::actor_trees(std::vector<BrokerId> nodes, Reply<std::vector<NodeTree>> reply) {
  std::vector<NodeTree> trees;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& tree : trees_) {
      if (nodes.empty() || tree.node == nodes.front()) trees.push_back(tree);
    }
  }
  reply(std::move(trees));
}

}  // namespace troupe::test
