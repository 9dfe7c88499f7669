#include "core/metadata/controller.hpp"

#include <set>

#include "core/metadata/broker_lifecycle.hpp"
#include "tests/unit/metadata/metadata_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

struct Rules {
  ImagePtr image = cluster_image();
  std::function<Uuid()> new_uuid = ids();
  ControllerLimits limits = {};

  void add(const CreateTopicRequest& request) { image = with_topic(image, request, new_uuid); }

  Result<TopicDecision> create(const CreateTopicRequest& request, Requester requester = Requester::client) const {
    return decide_create(*image, request, requester, new_uuid, limits);
  }
  Result<TopicDecision> alter(const AlterTopicRequest& request, Requester requester = Requester::client) const {
    return decide_alter(*image, request, requester, limits);
  }
  Result<TopicDecision> remove(const std::string& name, Requester requester = Requester::client) const {
    return decide_delete(*image, name, requester);
  }
  TopicPtr after(const Result<TopicDecision>& decision) const {
    if (!decision) FAIL(to_string(decision.error()));
    return apply_records(image, decision->records).after->find_topic(decision->topic);
  }
};

/// The code and what the message has to say.
void check_refused(const Result<TopicDecision>& decision, Errc code, const std::string& says) {
  REQUIRE_FALSE(decision);
  INFO(to_string(decision.error()));
  CHECK(decision.error().code == code);
  CHECK(decision.error().message.find(says) != std::string::npos);
}

}  // namespace

TEST_CASE("a topic has one partition on one broker unless something else was asked for", "[controller]") {
  const Rules rules;
  const auto topic = rules.after(rules.create({.name = "rides"}));
  CHECK(topic->name == "rides");
  CHECK_FALSE(topic->id.is_nil());
  CHECK(topic->partitions == std::vector{PartitionImage{BrokerId{1}, LeaderEpoch{0}, {BrokerId{1}}, {BrokerId{1}}}});
  CHECK(topic->config == TopicConfig{});

  const auto wide = rules.after(rules.create({.name = "wide", .partitions = 10'000, .config = {{"flush", "interval"}}}));
  CHECK(wide->partition_count() == 10'000);
  CHECK(wide->config.flush == FlushMode::interval);
}

TEST_CASE("replicas are spread over the brokers, each on another one, and leaders go round", "[controller]") {
  Rules rules;
  rules.image = cluster_image(4);
  const auto topic = rules.after(rules.create({.name = "rides", .partitions = 8}));
  std::map<BrokerId, int> leads;
  for (const auto& partition : topic->partitions) {
    CHECK(partition.replicas.size() == 3);  // as many as brokers, at most 3
    CHECK(std::set(partition.replicas.begin(), partition.replicas.end()).size() == 3);
    CHECK(partition.leader == partition.replicas.front());
    CHECK(partition.isr == partition.replicas);
    ++leads[partition.leader];
  }
  CHECK(leads == std::map<BrokerId, int>{{BrokerId{1}, 2}, {BrokerId{2}, 2}, {BrokerId{3}, 2}, {BrokerId{4}, 2}});
  CHECK(rules.after(rules.create({.name = "two", .replication_factor = 2}))->partitions[0].replicas.size() == 2);
}

TEST_CASE("a topic that may not be is refused with the reason", "[controller]") {
  Rules rules;
  rules.add({.name = "rides"});
  rules.add({.name = "chat.room_1"});
  check_refused(rules.create({.name = "rides"}), Errc::topic_already_exists, "\"rides\" exists already");
  check_refused(rules.create({.name = "chat_room.1"}), Errc::invalid_topic_exception, "\"chat.room_1\"");
  check_refused(rules.create({.name = ""}), Errc::invalid_topic_exception, "needs a name");
  check_refused(rules.create({.name = ".."}), Errc::invalid_topic_exception, "\"..\"");
  check_refused(rules.create({.name = "a/b"}), Errc::invalid_topic_exception, "letters, digits");
  check_refused(rules.create({.name = std::string(250, 'a')}), Errc::invalid_topic_exception, "250 bytes");
  check_refused(rules.create({.name = "__mine"}), Errc::invalid_topic_exception, "internal");
  check_refused(rules.create({.name = "x", .partitions = 0}), Errc::invalid_partitions, "1 to 10000");
  check_refused(rules.create({.name = "x", .partitions = -5}), Errc::invalid_partitions, "1 to 10000");
  check_refused(rules.create({.name = "x", .partitions = 10'001}), Errc::invalid_partitions, "1 to 10000");
  check_refused(rules.create({.name = "x", .replication_factor = 0}), Errc::invalid_replication_factor, "one broker");
  check_refused(rules.create({.name = "x", .replication_factor = 2}), Errc::invalid_replication_factor, "one broker");
  check_refused(rules.create({.name = "x", .config = {{"flsh", "fsync"}}}), Errc::invalid_config, "did you mean \"flush\"");
  check_refused(rules.create({.name = "x", .config = {{"flush", "never"}}}), Errc::invalid_config, "fsync | interval");
  check_refused(rules.create({.name = "x", .config = {{"retention.ms", std::string(300, '0') + "1"}}}), Errc::invalid_config,
                "301 bytes");
  rules.image = empty_image();
  check_refused(rules.create({.name = "x"}), Errc::leader_not_available, "no broker");
}

TEST_CASE("the node itself may make internal topics, and clients may not touch them", "[controller]") {
  Rules rules;
  REQUIRE(rules.create({.name = "__consumer_offsets", .partitions = 16}, Requester::system));
  rules.add({.name = "__consumer_offsets", .partitions = 16});
  check_refused(rules.remove("__consumer_offsets"), Errc::topic_authorization_failed, "internal");
  check_refused(rules.alter({.name = "__consumer_offsets", .partitions = 17}), Errc::topic_authorization_failed, "internal");
  CHECK(rules.remove("__consumer_offsets", Requester::system));
  check_refused(rules.remove("__nothing"), Errc::unknown_topic_or_partition, "__nothing");
}

TEST_CASE("there are at most so many topics, and partitions a node", "[controller]") {
  Rules rules;
  rules.limits = {.topics_max = 3, .topic_partitions_max = 8, .broker_replicas_max = 10};
  rules.add({.name = "a", .partitions = 8});
  check_refused(rules.create({.name = "b", .partitions = 3}), Errc::policy_violation, "8 of at most 10");
  CHECK(rules.create({.name = "b", .partitions = 2}));
  check_refused(rules.alter({.name = "a", .partitions = 9}), Errc::invalid_partitions, "1 to 8");
  rules.add({.name = "b"});
  check_refused(rules.alter({.name = "b", .partitions = 3}), Errc::policy_violation, "9 of at most 10");
  CHECK(rules.alter({.name = "b", .partitions = 2}));
  rules.add({.name = "c"});
  check_refused(rules.create({.name = "d"}), Errc::policy_violation, "at most 10");
  rules.limits.broker_replicas_max = 100;
  check_refused(rules.create({.name = "d"}), Errc::policy_violation, "at most 3");

  Rules wide;
  wide.image = cluster_image(2);
  wide.limits = {.broker_replicas_max = 10};
  CHECK(wide.create({.name = "a", .partitions = 10, .replication_factor = 2}));
  check_refused(wide.create({.name = "a", .partitions = 11, .replication_factor = 2}), Errc::policy_violation, "at most 20");
}

TEST_CASE("partitions can only become more, and settings are set and reset", "[controller]") {
  Rules rules;
  rules.add({.name = "rides", .partitions = 2, .config = {{"flush", "interval"}, {"retention.ms", "5"}}});
  const auto topic = rules.after(
      rules.alter({.name = "rides", .partitions = 4, .config = {{"flush", std::nullopt}, {"retention.bytes", "1000"}}}));
  CHECK(topic->partition_count() == 4);
  CHECK(topic->config_overrides == std::map<std::string, std::string>{{"retention.bytes", "1000"}, {"retention.ms", "5"}});
  CHECK(topic->config.flush == FlushMode::fsync);

  check_refused(rules.alter({.name = "rides", .partitions = 2}), Errc::invalid_partitions, "2 partitions already");
  check_refused(rules.alter({.name = "rides", .partitions = 1}), Errc::invalid_partitions, "only become more");
  check_refused(rules.alter({.name = "rides", .config = {{"flush", "x"}}}), Errc::invalid_config, "fsync | interval");
  check_refused(rules.alter({.name = "rides", .config = {{"flsh", std::nullopt}}}), Errc::invalid_config, "\"flush\"");
  check_refused(rules.alter({.name = "Rides", .partitions = 4}), Errc::unknown_topic_or_partition, "Rides");
}

TEST_CASE("what changes nothing writes nothing", "[controller]") {
  Rules rules;
  rules.add({.name = "rides", .config = {{"flush", "interval"}}});
  const auto same = rules.alter({.name = "rides", .config = {{"flush", "interval"}, {"flush.ms", std::nullopt}}});
  REQUIRE(same);
  CHECK(same->records.empty());
  const auto& known = rules.image->registrations().front();
  CHECK(decide_register(*rules.image, {known.broker, known.incarnation}).records.empty());
  CHECK(decide_register(*rules.image, {known.broker, uuid(44)}).records.size() == 1);
}

TEST_CASE("a preview shows the topic as it would be, and changes nothing", "[controller]") {
  Rules rules;
  rules.add({.name = "rides"});
  const auto decision = rules.alter({.name = "rides", .partitions = 5});
  REQUIRE(decision);
  const auto shown = preview(*rules.image, *decision);
  REQUIRE(shown);
  CHECK((*shown)->partition_count() == 5);
  CHECK(rules.image->find_topic("rides")->partition_count() == 1);
}
