#include "core/metadata/command_codec.hpp"

#include <set>

#include "tests/support/seed.hpp"
#include "tests/unit/metadata/metadata_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

std::vector<SentCommand> commands() {
  return {
      {CreateTopicCommand{.request = {.name = "rides",
                                      .partitions = 3,
                                      .config = {{"flush", "interval"}, {"retention.ms", "1"}},
                                      .validate_only = true,
                                      .internal = true},
                          .requester = Requester::system,
                          .topic_id = uuid(1),
                          .earlier_ids = {uuid(2), uuid(3)}},
       30'000},
      {AlterTopicCommand{.request = {.name = "rides", .partitions = 9, .config = {{"flush", std::nullopt}, {"a", "b"}}}}, 1},
      {DeleteTopicCommand{.name = "rides", .requester = Requester::system}, 0},
      {ClusterCommand{RegisterBrokerRequest{.broker = {BrokerId{7}, "host", 80, "inside", 90, "rack-1", uuid(6)},
                                            .incarnation = uuid(4)}},
       5'000},
      {AlterTopicCommand{.request = {.name = "rides"}, .before = TopicSeen{uuid(9), 12, 0xfedcba98}}, 1},
      {DeleteTopicCommand{.name = "rides", .before = TopicSeen{uuid(9), 12, 7}}, 1},
      {ClusterCommand{DrainBrokerRequest{BrokerId{2}}}, 500},
  };
}

std::vector<CommandAnswer> answers() {
  return {CommandDone{Offset{4'711}, {}}, CommandDone{Offset{4'711}, uuid(5)},
          CommandRefused{Offset{0}, {Errc::topic_already_exists, "there is one"}}, NotController{BrokerId{3}},
          NotController{}};
}

}  // namespace

TEST_CASE("commands come as they were sent", "[command_codec]") {
  const auto all = commands();
  std::set<std::size_t> kinds;
  for (const auto& one : all) kinds.insert(one.command.index());
  REQUIRE(kinds.size() == std::variant_size_v<MetadataCommand>);
  for (const auto& one : all) {
    const auto decoded = decode_command(encode_command(one));
    REQUIRE(decoded);
    CHECK(decoded->timeout_ms == one.timeout_ms);
    CHECK(decoded->command.index() == one.command.index());
    const auto again = encode_command(*decoded);
    CHECK(again == encode_command(one));
  }
  const auto create = std::get<CreateTopicCommand>(decode_command(encode_command(all[0]))->command);
  CHECK(create.request.name == "rides");
  CHECK(create.request.partitions == 3);
  CHECK_FALSE(create.request.replication_factor);
  CHECK(create.request.config.at("retention.ms") == "1");
  CHECK(create.earlier_ids == std::vector<TopicId>{uuid(2), uuid(3)});
  const auto alter = std::get<AlterTopicCommand>(decode_command(encode_command(all[1]))->command);
  CHECK(alter.request.config.at("flush") == std::nullopt);
  const auto altered_again = std::get<AlterTopicCommand>(decode_command(encode_command(all[4]))->command);
  CHECK(altered_again.before == TopicSeen{uuid(9), 12, 0xfedcba98});
  const auto of_cluster = std::get<ClusterCommand>(decode_command(encode_command(all[3]))->command);
  const auto registered = std::get<RegisterBrokerRequest>(of_cluster.request);
  CHECK(registered.broker == BrokerImage{BrokerId{7}, "host", 80, "inside", 90, "rack-1", uuid(6)});
}

TEST_CASE("answers come as they were given", "[command_codec]") {
  for (const auto& one : answers()) {
    const auto decoded = decode_command_answer(encode_command_answer(one));
    REQUIRE(decoded);
    CHECK(decoded->index() == one.index());
    CHECK(encode_command_answer(*decoded) == encode_command_answer(one));
  }
  const auto refused = std::get<CommandRefused>(*decode_command_answer(encode_command_answer(answers()[2])));
  CHECK(refused.error.code == Errc::topic_already_exists);
  CHECK(refused.error.message == "there is one");
}

TEST_CASE("the bytes of a command are these", "[command_codec]") {
  const auto bytes = encode_command({DeleteTopicCommand{.name = "ab"}, 258});
  const std::vector<int> expected{1, 0, 0, 0, 0, 0, 0, 1, 2, 2, 0, 0, 0, 0, 2, 'a', 'b', 0};
  REQUIRE(bytes.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(std::to_integer<int>(bytes[i]) == expected[i]);
}

TEST_CASE("whatever else comes is refused", "[command_codec]") {
  const auto seed = seed_or(77);
  INFO("TROUPE_SEED=" << seed);
  Prng random{seed};
  for (const auto& one : commands()) {
    const auto bytes = encode_command(one);
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode_command(ByteView{bytes}.first(size)));
    auto longer = bytes;
    longer.push_back(std::byte{0});
    CHECK(decode_command(longer).error().code == Errc::corrupt_message);
    auto newer = bytes;
    newer[0] = std::byte{2};
    CHECK_FALSE(decode_command(newer));
    for (int i = 0; i < 500; ++i) {
      auto changed = bytes;
      for (std::uint64_t flips = random.below(4); flips < 4; ++flips) {
        changed[random.below(changed.size())] = static_cast<std::byte>(random.next());
      }
      if (const auto decoded = decode_command(changed)) REQUIRE(decode_command(encode_command(*decoded)));
    }
  }
  for (const auto& one : answers()) {
    const auto bytes = encode_command_answer(one);
    for (std::size_t size = 0; size < bytes.size(); ++size) CHECK_FALSE(decode_command_answer(ByteView{bytes}.first(size)));
  }
  // Counts that nothing stands behind cost nothing.
  auto many = encode_command({CreateTopicCommand{.request = {.name = ""}}, 0});
  for (std::size_t i = 18; i < 22; ++i) many[i] = std::byte{0xff};
  CHECK_FALSE(decode_command(many));
}
