#include "tests/unit/metadata/machine_fixture.hpp"

/// Commands on a node that is not the controller, and those of others on the one that is.

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

namespace {

/// Node 1 follows node 2, whose machine is real, too: what the one calls the other answers when the test says so.
struct TwoNodes {
  MachineFixture mine;
  MachineFixture controller{};

  TwoNodes() {
    controller.machine.emplace(
        MetadataMachine::Options{.broker = {BrokerId{2}, "elsewhere", 8080}, .incarnation = uuid(60), .new_uuid = ids(2)});
    controller.machine->formatted(cluster);
    controller.open();
    controller.follow(2);
    controller.append_control(2);
    controller.deliver();
    controller.take(controller.machine->ready_to_lead(controller.time()));
    controller.settle();
    REQUIRE(controller.ready);
    mine.open();
    mine.follow(2);
  }

  /// The answer of the controller.
  CommandAnswer execute(const CallController& call) {
    REQUIRE(call.controller == BrokerId{2});
    const auto token = controller.submit_of_peer(call.command);
    controller.settle();
    REQUIRE(controller.peer_answers.contains(token));
    return controller.peer_answers.at(token);
  }
  void replicate() {
    mine.log = controller.log;
    mine.epoch = controller.epoch;
    mine.deliver();
  }
  void become_ready() {
    const auto call = mine.take_call();
    mine.answer_call(call, execute(call));
    replicate();
    REQUIRE(mine.ready);
  }
};

}  // namespace

TEST_CASE("a node is ready when its registration is in its own image, not when the controller says so",
          "[metadata_machine]") {
  TwoNodes nodes;
  const auto call = nodes.mine.take_call();
  CHECK(std::holds_alternative<RegisterBrokerRequest>(std::get<ClusterCommand>(call.command).request));
  nodes.mine.answer_call(call, nodes.execute(call));
  CHECK_FALSE(nodes.mine.ready);
  nodes.replicate();
  CHECK(nodes.mine.ready);
  CHECK(nodes.mine.shown->brokers().size() == 2);
  CHECK(nodes.mine.shown->controller_id() == BrokerId{2});
}

TEST_CASE("a registration that is refused is asked for again", "[metadata_machine]") {
  TwoNodes nodes;
  auto call = nodes.mine.take_call();
  nodes.mine.answer_call(call, CommandRefused{Offset{0}, {Errc::duplicate_broker_registration, "another one lives"}});
  CHECK(nodes.mine.notes.size() == 1);
  CHECK(nodes.mine.calls.empty());
  nodes.mine.pass(1'000);
  nodes.become_ready();
}

TEST_CASE("a command is answered when this node has applied what it did", "[metadata_machine]") {
  TwoNodes nodes;
  nodes.become_ready();
  const auto token = nodes.mine.create("a");
  const auto refused = nodes.mine.create("a");
  nodes.mine.settle();
  REQUIRE(nodes.mine.calls.size() == 2);
  for (const auto& call : std::exchange(nodes.mine.calls, {})) nodes.mine.answer_call(call, nodes.execute(call));
  CHECK(nodes.mine.answers.empty());
  nodes.replicate();
  CHECK(nodes.mine.topic(token) == nodes.mine.shown->find_topic("a"));
  CHECK(nodes.mine.refusal(refused) == Errc::topic_already_exists);
  CHECK(nodes.mine.shown->find_topic("a")->id == nodes.controller.shown->find_topic("a")->id);
}

TEST_CASE("validate_only is answered by any node that is ready, without a call", "[metadata_machine]") {
  TwoNodes nodes;
  nodes.become_ready();
  const auto token = nodes.mine.create("a", true);
  const auto wrong = nodes.mine.create("no/name", true);
  nodes.mine.settle();
  CHECK(nodes.mine.calls.empty());
  CHECK(nodes.mine.topic(token)->name == "a");
  CHECK(nodes.mine.refusal(wrong) == Errc::invalid_topic_exception);
}

TEST_CASE("a create whose outcome is unknown is sent again, and makes one topic", "[metadata_machine]") {
  for (const bool arrived : {true, false}) {
    INFO("arrived " << arrived);
    TwoNodes nodes;
    nodes.become_ready();
    const auto token = nodes.mine.create("a");
    nodes.mine.settle();
    const auto first = nodes.mine.take_call();
    if (arrived) nodes.execute(first);
    nodes.mine.fail_call(first, Error{Errc::request_timed_out, "no answer"});
    CHECK(nodes.mine.calls.empty());  // not at once: what was wrong is wrong yet
    nodes.mine.pass(50);
    const auto second = nodes.mine.take_call();
    CHECK(std::get<CreateTopicCommand>(second.command).topic_id != std::get<CreateTopicCommand>(first.command).topic_id);
    nodes.mine.answer_call(second, nodes.execute(second));
    nodes.replicate();
    const auto made = std::get<CreateTopicCommand>(arrived ? first.command : second.command).topic_id;
    CHECK(nodes.mine.topic(token)->id == made);
    CHECK(nodes.mine.shown->topic_count() == 1);
  }
}

TEST_CASE("a create that somebody else's topic stands in the way of is not taken for an earlier attempt",
          "[metadata_machine]") {
  TwoNodes nodes;
  nodes.become_ready();
  const auto token = nodes.mine.create("a");
  nodes.mine.settle();
  nodes.mine.fail_call(nodes.mine.take_call(), Error{Errc::request_timed_out, "no answer"});
  nodes.controller.create("a");
  nodes.controller.settle();
  nodes.mine.pass(50);
  const auto call = nodes.mine.take_call();
  const auto answer = nodes.execute(call);
  CHECK(std::get<CommandRefused>(answer).error.code == Errc::topic_already_exists);
  nodes.mine.answer_call(call, answer);
  nodes.replicate();
  CHECK(nodes.mine.refusal(token) == Errc::request_timed_out);  // the first attempt may come yet, for all that is known
}

TEST_CASE("alter and delete of a topic that is not known here are not repeated", "[metadata_machine]") {
  TwoNodes nodes;
  nodes.become_ready();
  const auto altered = nodes.mine.submit(AlterTopicCommand{{.name = "a", .partitions = 3}});
  const auto deleted = nodes.mine.remove("a");
  nodes.mine.settle();
  for (const auto& call : std::exchange(nodes.mine.calls, {})) {
    nodes.mine.fail_call(call, Error{Errc::request_timed_out, "no answer"});
  }
  CHECK(nodes.mine.refusal(altered) == Errc::request_timed_out);
  CHECK(nodes.mine.refusal(deleted) == Errc::request_timed_out);
  nodes.mine.pass(1'000);
  CHECK(nodes.mine.calls.empty());
}

TEST_CASE("an unclean election of unknown outcome is not repeated: the second could cost other records",
          "[metadata_machine]") {
  for (const bool unclean : {true, false}) {
    CAPTURE(unclean);
    TwoNodes nodes;
    nodes.become_ready();
    const auto token = nodes.mine.submit(ClusterCommand{ElectLeadersRequest{.unclean = unclean}});
    nodes.mine.settle();
    nodes.mine.fail_call(nodes.mine.take_call(), Error{Errc::request_timed_out, "no answer"});
    CHECK(nodes.mine.answers.contains(token) == unclean);
    if (unclean) CHECK(nodes.mine.refusal(token) == Errc::request_timed_out);
    nodes.mine.pass(50);
    CHECK(nodes.mine.calls.empty() == unclean);
  }
}

TEST_CASE("a drain of unknown outcome does not undo that another operator took the broker back", "[metadata_machine]") {
  enum class Meanwhile { nothing, arrived, arrived_and_undrained };
  using enum Meanwhile;
  for (const auto meanwhile : {nothing, arrived, arrived_and_undrained}) {
    INFO("meanwhile " << static_cast<int>(meanwhile));
    TwoNodes nodes;
    nodes.become_ready();
    const ClusterCommand drain{DrainBrokerRequest{.broker = BrokerId{2}}};
    const auto token = nodes.mine.submit(drain);
    nodes.mine.settle();
    const auto first = nodes.mine.take_call();
    CHECK_FALSE(std::get<ClusterCommand>(first.command).before);
    if (meanwhile != nothing) nodes.execute(first);
    if (meanwhile == arrived_and_undrained) {
      nodes.controller.submit(ClusterCommand{DrainBrokerRequest{.broker = BrokerId{2}, .drain = false}});
      nodes.controller.settle();
    }
    nodes.mine.fail_call(first, Error{Errc::request_timed_out, "no answer"});
    nodes.mine.pass(50);
    const auto second = nodes.mine.take_call();
    REQUIRE(std::get<ClusterCommand>(second.command).before);
    nodes.mine.answer_call(second, nodes.execute(second));
    nodes.replicate();
    if (meanwhile == arrived_and_undrained) {
      CHECK(nodes.mine.refusal(token) == Errc::request_timed_out);
    } else {
      CHECK(nodes.mine.granted(token));
    }
    CHECK(nodes.mine.shown->find_broker(BrokerId{2})->draining == (meanwhile != arrived_and_undrained));
  }
}

TEST_CASE("a delete of unknown outcome is asked again, and takes no other topic", "[metadata_machine]") {
  enum class Meanwhile { nothing, arrived, made_anew };
  for (const auto meanwhile : {Meanwhile::nothing, Meanwhile::arrived, Meanwhile::made_anew}) {
    INFO("meanwhile " << static_cast<int>(meanwhile));
    TwoNodes nodes;
    nodes.become_ready();
    nodes.controller.create("a");
    nodes.controller.settle();
    nodes.replicate();
    const auto token = nodes.mine.remove("a");
    nodes.mine.settle();
    const auto first = nodes.mine.take_call();
    CHECK_FALSE(std::get<DeleteTopicCommand>(first.command).before);
    if (meanwhile != Meanwhile::nothing) nodes.execute(first);
    if (meanwhile == Meanwhile::made_anew) {
      nodes.controller.create("a");
      nodes.controller.settle();
    }
    nodes.mine.fail_call(first, Error{Errc::request_timed_out, "no answer"});
    nodes.mine.pass(50);
    const auto second = nodes.mine.take_call();
    REQUIRE(std::get<DeleteTopicCommand>(second.command).before);
    nodes.mine.answer_call(second, nodes.execute(second));
    nodes.replicate();
    if (meanwhile == Meanwhile::made_anew) {
      CHECK(nodes.mine.refusal(token) == Errc::request_timed_out);
      CHECK(nodes.mine.shown->find_topic("a"));
    } else {
      CHECK(nodes.mine.granted(token));
      CHECK_FALSE(nodes.mine.shown->find_topic("a"));
    }
  }
}

TEST_CASE("an alter of unknown outcome is done once, or its end stays unknown", "[metadata_machine]") {
  enum class Meanwhile { nothing, arrived, arrived_and_changed, changed, made_anew };
  using enum Meanwhile;
  for (const auto meanwhile : {nothing, arrived, arrived_and_changed, changed, made_anew}) {
    INFO("meanwhile " << static_cast<int>(meanwhile));
    TwoNodes nodes;
    nodes.become_ready();
    nodes.controller.create("a");
    nodes.controller.settle();
    nodes.replicate();
    const auto token =
        nodes.mine.submit(AlterTopicCommand{{.name = "a", .partitions = 3, .config = {{"retention.ms", "1000"}}}});
    nodes.mine.settle();
    const auto first = nodes.mine.take_call();
    if (meanwhile == arrived || meanwhile == arrived_and_changed) nodes.execute(first);
    if (meanwhile == arrived_and_changed || meanwhile == changed) {
      nodes.controller.submit(AlterTopicCommand{{.name = "a", .config = {{"retention.ms", "2000"}}}});
    } else if (meanwhile == made_anew) {
      nodes.controller.remove("a");
      nodes.controller.settle();
      nodes.controller.create("a");
    }
    nodes.controller.settle();
    nodes.mine.fail_call(first, Error{Errc::request_timed_out, "no answer"});
    nodes.mine.pass(50);
    const auto second = nodes.mine.take_call();
    const auto proposals = nodes.controller.proposals;
    nodes.mine.answer_call(second, nodes.execute(second));
    nodes.replicate();
    CHECK(nodes.controller.proposals == proposals + (meanwhile == nothing ? 1U : 0U));
    const auto topic = nodes.mine.shown->find_topic("a");
    if (meanwhile == nothing || meanwhile == arrived) {
      REQUIRE(nodes.mine.granted(token));
      CHECK(nodes.mine.topic(token)->partition_count() == 3);
      CHECK(topic->partition_count() == 3);
      CHECK(topic->config_overrides.at("retention.ms") == "1000");
    } else {
      CHECK(nodes.mine.refusal(token) == Errc::request_timed_out);
      CHECK(topic->partition_count() == (meanwhile == arrived_and_changed ? 3 : 1));
    }
  }
}

TEST_CASE("without a controller commands are refused after 2 s, and those that come later at once", "[metadata_machine]") {
  TwoNodes nodes;
  nodes.become_ready();
  nodes.controller.create("a");
  nodes.controller.settle();
  nodes.replicate();
  const auto uncertain = nodes.mine.submit(CreateTopicCommand{{.name = "b"}}, 30'000);
  nodes.mine.settle();
  nodes.mine.fail_call(nodes.mine.take_call(), Error{Errc::request_timed_out, "no answer"});
  nodes.mine.pass(10);
  nodes.mine.follow(-1);
  CHECK(nodes.mine.machine->leaderless_since() == nodes.mine.time());
  nodes.mine.pass(500);
  const auto waits = nodes.mine.submit(DeleteTopicCommand{"a"}, 30'000);
  nodes.mine.settle();
  CHECK(nodes.mine.machine->next_deadline() == nodes.mine.time() + 1'500);
  nodes.mine.pass(1'499);
  CHECK_FALSE(nodes.mine.answers.contains(waits));
  nodes.mine.pass(1);
  CHECK(nodes.mine.refusal(waits) == Errc::leader_not_available);
  const auto late = nodes.mine.submit(DeleteTopicCommand{"a"}, 30'000);
  nodes.mine.settle();
  REQUIRE(nodes.mine.machine->next_deadline());
  CHECK(*nodes.mine.machine->next_deadline() <= nodes.mine.time());
  nodes.mine.pass(0);
  CHECK(nodes.mine.refusal(late) == Errc::leader_not_available);

  // What may have been done is told when it is known.
  CHECK_FALSE(nodes.mine.answers.contains(uncertain));
  nodes.mine.follow(2);
  CHECK_FALSE(nodes.mine.machine->leaderless_since());
  const auto call = nodes.mine.take_call();
  nodes.mine.answer_call(call, nodes.execute(call));
  nodes.replicate();
  CHECK(nodes.mine.granted(uncertain));
  const auto goes_on = nodes.mine.remove("a");
  nodes.mine.settle();
  const auto again = nodes.mine.take_call();
  nodes.mine.answer_call(again, nodes.execute(again));
  nodes.replicate();
  CHECK(nodes.mine.granted(goes_on));
}

TEST_CASE("a controller that cannot be reached is none after 2 s", "[metadata_machine]") {
  TwoNodes nodes;
  nodes.become_ready();
  const auto token = nodes.mine.submit(CreateTopicCommand{{.name = "a"}}, 30'000);
  nodes.mine.settle();
  Millis passed = 0;
  for (; passed < 5'000 && !nodes.mine.answers.contains(token); passed += 50) {
    if (!nodes.mine.calls.empty())
      nodes.mine.fail_call(nodes.mine.take_call(), Error{Errc::broker_not_available, "no connection"});
    nodes.mine.pass(50);
  }
  CHECK(passed >= 2'000);
  CHECK(passed <= 2'200);
  CHECK(nodes.mine.refusal(token) == Errc::leader_not_available);
}

TEST_CASE("a turn that writes nothing is answered when a majority has confirmed its leader", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  fixture.hold_confirmations = true;
  const auto refused = fixture.remove("a");
  const auto validated = fixture.create("b", true);
  fixture.settle();
  CHECK(fixture.answers.empty());
  REQUIRE(fixture.confirmations.size() == 1);
  SECTION("it leads") {
    fixture.confirm(fixture.end());
    CHECK(fixture.refusal(refused) == Errc::unknown_topic_or_partition);
    CHECK(fixture.granted(validated));
    CHECK(fixture.proposals == 1);  // its own registration
  }
  SECTION("it cannot tell yet: decided anew") {
    fixture.confirm(Error{Errc::overloaded, "too many reads"});
    CHECK(fixture.answers.empty());
    fixture.pass(50);
    REQUIRE(fixture.confirmations.size() == 1);
    fixture.confirm(fixture.end());
    CHECK(fixture.refusal(refused) == Errc::unknown_topic_or_partition);
  }
  SECTION("another one leads: it is asked") {
    fixture.follow(3);
    CHECK(fixture.answers.size() == 1);  // to validate, an image is enough
    CHECK(std::get<DeleteTopicCommand>(fixture.take_call().command).name == "a");
    fixture.confirm(fixture.end());
    CHECK_FALSE(fixture.answers.contains(refused));
  }
  SECTION("its time is over first: nothing came of it") {
    fixture.pass(1'000);
    CHECK(fixture.refusal(refused) == Errc::leader_not_available);
    fixture.confirm(fixture.end());
  }
  SECTION("what writes confirms it, too") {
    fixture.confirm(fixture.end());
    const auto other = fixture.remove("a");
    const auto made = fixture.create("c");
    fixture.settle();
    CHECK(fixture.confirmations.empty());
    CHECK(fixture.granted(made));
    CHECK(fixture.refusal(other) == Errc::unknown_topic_or_partition);
  }
}

TEST_CASE("what was not sent is tried again, until its time is over", "[metadata_machine]") {
  TwoNodes nodes;
  nodes.become_ready();
  const auto token = nodes.mine.submit(DeleteTopicCommand{"a"}, 220);
  nodes.mine.settle();
  for (int i = 0; i < 4; ++i) {
    nodes.mine.fail_call(nodes.mine.take_call(), Error{Errc::broker_not_available, "no connection"});
    nodes.mine.pass(50);
  }
  nodes.mine.fail_call(nodes.mine.take_call(), Error{Errc::broker_not_available, "no connection"});
  nodes.mine.pass(50);
  CHECK(nodes.mine.refusal(token) == Errc::leader_not_available);
}

TEST_CASE("a node that is not the controller names the one that is, and is believed three times", "[metadata_machine]") {
  TwoNodes nodes;
  nodes.become_ready();
  nodes.mine.create("a");
  nodes.mine.settle();
  std::int32_t next = 3;
  for (int i = 0; i < 3; ++i, ++next) {
    nodes.mine.answer_call(nodes.mine.take_call(), NotController{BrokerId{next}});
    REQUIRE(nodes.mine.calls.size() == 1);
    CHECK(nodes.mine.calls.front().controller == BrokerId{next});
  }
  nodes.mine.answer_call(nodes.mine.take_call(), NotController{BrokerId{next}});
  CHECK(nodes.mine.calls.empty());
  nodes.mine.pass(50);
  CHECK(nodes.mine.take_call().controller == BrokerId{2});
}

TEST_CASE("a new leader is asked at once, also with what the old one has not answered", "[metadata_machine]") {
  TwoNodes nodes;
  nodes.become_ready();
  const auto created = nodes.mine.create("a");
  const auto deleted = nodes.mine.remove("b");
  nodes.mine.settle();
  const auto old = std::exchange(nodes.mine.calls, {});
  REQUIRE(old.size() == 2);
  nodes.mine.follow(-1);
  CHECK(nodes.mine.calls.empty());
  const auto waiting = nodes.mine.remove("c");
  nodes.mine.settle();
  nodes.mine.follow(3);
  REQUIRE(nodes.mine.calls.size() == 2);  // the delete of "b" waits for its answer
  for (const auto& call : nodes.mine.calls) CHECK(call.controller == BrokerId{3});
  nodes.mine.answer_call(old[0], CommandDone{Offset{0}, {}});  // too late: that attempt is over
  CHECK(nodes.mine.answers.empty());
  nodes.mine.answer_call(old[1], NotController{BrokerId{3}});
  CHECK(nodes.mine.calls.size() == 3);
  CHECK_FALSE(nodes.mine.answers.contains(created));
  CHECK_FALSE(nodes.mine.answers.contains(deleted));
  CHECK_FALSE(nodes.mine.answers.contains(waiting));
}

TEST_CASE("other nodes' commands are decided here, or sent on their way", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.open();
  const auto early = fixture.submit_of_peer(DeleteTopicCommand{"a"});
  fixture.settle();
  CHECK(std::get<NotController>(fixture.peer_answers.at(early)).controller == BrokerId{-1});
  fixture.elect();
  const auto created = fixture.submit_of_peer(CreateTopicCommand{.request = {.name = "a"}, .topic_id = uuid(77)});
  fixture.settle();
  const auto done = std::get<CommandDone>(fixture.peer_answers.at(created));
  CHECK(std::get<TopicId>(done.result) == uuid(77));
  CHECK(done.applied == fixture.end());
  fixture.hold = true;
  const auto on_its_way = fixture.submit_of_peer(DeleteTopicCommand{"a"});
  fixture.settle();
  const auto queued = fixture.submit_of_peer(DeleteTopicCommand{"a"});
  fixture.follow(3);
  CHECK(std::get<NotController>(fixture.peer_answers.at(queued)).controller == BrokerId{3});
  CHECK_FALSE(fixture.peer_answers.contains(on_its_way));
  fixture.append_control(3);  // in the place of the proposal
  fixture.deliver();
  CHECK(std::get<NotController>(fixture.peer_answers.at(on_its_way)).controller == BrokerId{3});
  CHECK(fixture.shown->find_topic("a"));
}

TEST_CASE("a turn that its leader could not commit goes to the next one, or is found in the log", "[metadata_machine]") {
  for (const bool committed : {true, false}) {
    INFO("committed " << committed);
    MachineFixture fixture;
    fixture.become_ready();
    fixture.hold = true;
    const auto token = fixture.create("a");
    fixture.settle();
    const auto proposal = fixture.take_held();
    fixture.follow(3);
    CHECK(fixture.calls.empty());
    if (committed) fixture.log.push_back(MachineFixture::entry(proposal));
    fixture.append_control(3);
    fixture.deliver();
    CHECK(fixture.granted(token) == committed);
    CHECK(fixture.calls.size() == (committed ? 0U : 1U));
  }
}

TEST_CASE("a snapshot of another node is shown as what it changes", "[metadata_machine]") {
  TwoNodes nodes;
  nodes.become_ready();
  nodes.controller.create("kept");
  nodes.controller.create("changed");
  nodes.controller.create("deleted");
  nodes.controller.settle();
  nodes.replicate();
  nodes.controller.submit(AlterTopicCommand{{.name = "changed", .partitions = 3}});
  nodes.controller.remove("deleted");
  nodes.controller.create("created");
  nodes.controller.settle();
  const auto snapshot = decode_snapshot(encode_snapshot(*nodes.controller.shown));
  REQUIRE(snapshot);
  nodes.mine.take(nodes.mine.machine->installed(*snapshot, nodes.mine.time()));
  nodes.mine.settle();
  CHECK(same_content(*nodes.mine.shown, *nodes.controller.shown));
  CHECK(nodes.mine.shown->applied() == nodes.controller.shown->applied());
  CHECK(nodes.mine.shown->controller_id() == BrokerId{2});
  const auto names = [](const std::vector<TopicPtr>& topics) {
    std::vector<std::string> all;
    for (const auto& topic : topics) all.push_back(topic->name);
    return all;
  };
  CHECK(names(nodes.mine.last_delta->created) == std::vector<std::string>{"created"});
  CHECK(names(nodes.mine.last_delta->changed) == std::vector<std::string>{"changed"});
  CHECK(names(nodes.mine.last_delta->deleted) == std::vector<std::string>{"deleted"});
}

TEST_CASE("a turn that a snapshot took the place of has an unknown outcome", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  fixture.hold = true;
  const auto refused = fixture.remove("nothing");
  const auto created = fixture.create("a");
  fixture.settle();
  fixture.take_held();
  fixture.follow(2);
  ImageBuilder later{fixture.shown};
  const auto image = later.finish(fixture.end() + 50, BrokerId{2}).after;
  fixture.take(fixture.machine->installed(image, fixture.time()));
  fixture.settle();
  // Both are asked for elsewhere: what would have written nothing as it was, the other as what it may have done.
  REQUIRE(fixture.calls.size() == 2);
  CHECK(std::get<DeleteTopicCommand>(fixture.calls[0].command).name == "nothing");
  CHECK(std::get<CreateTopicCommand>(fixture.calls[1].command).earlier_ids.size() == 1);
  CHECK_FALSE(fixture.answers.contains(refused));
  CHECK_FALSE(fixture.answers.contains(created));
}

TEST_CASE("while leadership is handed over, commands wait", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  fixture.handing_over = true;
  const auto token = fixture.create("a");
  fixture.settle();
  CHECK_FALSE(fixture.answers.contains(token));
  fixture.handing_over = false;
  fixture.pass(50);
  CHECK(fixture.granted(token));
}
