#include "core/metadata/metadata_machine.hpp"
#include "tests/unit/metadata/metadata_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

/// The machine on a disk that does everything at once.
class Node {
 public:
  Node() : machine_({.broker = {.id = BrokerId{1}}, .incarnation = uuid(50), .new_uuid = ids()}) {
    perform(machine_.opened({.cluster_id = cluster}));
    REQUIRE(machine_.ready());
  }

  AnswerMetadata ask(const MetadataCommand& command) {
    answers_.clear();
    perform(machine_.submit(++token_, command, MonotonicMs{1'000}));
    REQUIRE(answers_.size() == 1);
    CHECK(answers_[0].token == token_);
    return answers_[0];
  }
  const MetadataImage& image() const { return *machine_.image(); }

 private:
  void perform(const MetadataEffects& effects) {
    for (const auto& effect : effects) {
      if (std::holds_alternative<WantTurn>(effect)) perform(machine_.turn(TimestampMs{1}));
      if (const auto* append = std::get_if<AppendMetadata>(&effect)) {
        perform(machine_.appended(append->place.token, ok(), MonotonicMs{1}));
      }
      if (const auto* answer = std::get_if<AnswerMetadata>(&effect)) answers_.push_back(*answer);
    }
  }

  MetadataMachine machine_;
  std::vector<AnswerMetadata> answers_;
  std::uint64_t token_ = 0;
};

}  // namespace

TEST_CASE("requests of the cluster are decided, committed and answered like those for topics", "[metadata_machine]") {
  Node node;
  REQUIRE(node.ask(RegisterBrokerRequest{.broker = {.id = BrokerId{2}}, .incarnation = uuid(51)}).answer);
  REQUIRE(node.image().find_broker(BrokerId{2})->fenced);
  const BrokerEpoch epoch{node.image().find_broker(BrokerId{2})->broker_epoch.value()};
  REQUIRE(node.ask(ClusterRequest{UnfenceBrokerRequest{BrokerId{2}, epoch}}).answer);
  CHECK_FALSE(node.image().find_broker(BrokerId{2})->fenced);
  const auto created = node.ask(CreateTopicCommand{{.name = "rides"}});
  REQUIRE(created.answer);
  CHECK(created.cluster == nullptr);
  const TopicIdPartition id{(*created.answer)->id, PartitionId{0}};
  const auto leader = node.image().find_topic("rides")->partitions[0].leader;
  const auto other = leader == BrokerId{1} ? BrokerId{2} : BrokerId{1};

  const auto elected = node.ask(ClusterRequest{ElectLeadersRequest{.partitions = {id}, .to = other}});
  REQUIRE(elected.answer);
  REQUIRE(elected.cluster != nullptr);
  REQUIRE(elected.cluster->partitions.size() == 1);
  CHECK(*elected.cluster->partitions[0] == node.image().find_topic("rides")->partitions[0]);
  CHECK(node.image().find_topic("rides")->partitions[0].leader == other);

  // Fulfilled as things are: an answer without a record.
  const auto again = node.ask(ClusterRequest{ElectLeadersRequest{.partitions = {id}, .to = other}});
  REQUIRE(again.cluster != nullptr);
  CHECK(again.cluster->partitions[0].error().code == Errc::election_not_needed);

  const auto refused = node.ask(ClusterRequest{FenceBrokerRequest{BrokerId{2}, BrokerEpoch{99}}});
  REQUIRE_FALSE(refused.answer);
  CHECK(refused.answer.error().code == Errc::stale_broker_epoch);
  CHECK(refused.cluster == nullptr);
}
