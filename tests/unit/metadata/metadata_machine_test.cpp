#include "tests/unit/metadata/machine_fixture.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::metadata;

TEST_CASE("an empty log becomes a cluster of one, and is shown when its broker is registered", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  CHECK(fixture.proposals == 1);
  CHECK(fixture.shown->cluster_id() == cluster);
  CHECK(fixture.shown->controller_id() == BrokerId{1});
  CHECK(fixture.shown->brokers() == std::vector{BrokerImage{BrokerId{1}, "localhost", 8080}});
  CHECK(fixture.shown->features().at("metadata.version") == 2);
  CHECK(fixture.shown->applied() == fixture.end());
}

TEST_CASE("what was asked in one go is committed as one batch and answered in order", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  std::vector<std::uint64_t> tokens;
  for (int i = 0; i < 100; ++i) tokens.push_back(fixture.create("topic-" + std::to_string(i)));
  fixture.settle();
  CHECK(fixture.proposals == 2);
  CHECK(fixture.published == 1);
  for (int i = 0; i < 100; ++i) {
    const auto token = tokens[static_cast<std::size_t>(i)];
    REQUIRE(fixture.granted(token));
    CHECK(fixture.topic(token)->name == "topic-" + std::to_string(i));
  }
  CHECK(fixture.shown->topic_count() == 100);
}

TEST_CASE("a turn takes so many commands, the next one the others", "[metadata_machine]") {
  MachineFixture fixture{{.turn_commands_max = 10}};
  fixture.become_ready();
  for (int i = 0; i < 25; ++i) fixture.create("topic-" + std::to_string(i));
  fixture.settle();
  CHECK(fixture.proposals == 4);
  CHECK(fixture.shown->topic_count() == 25);

  MachineFixture small{{.turn_bytes_max = 300}};
  small.become_ready();
  for (int i = 0; i < 25; ++i) small.create("topic-" + std::to_string(i));
  small.settle();
  CHECK(small.proposals > 5);
  CHECK(small.shown->topic_count() == 25);
}

TEST_CASE("what comes while a batch is on its way waits for the next turn", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  fixture.hold = true;
  const auto first = fixture.create("a");
  fixture.settle();
  const auto second = fixture.create("b");
  const auto again = fixture.create("a");
  CHECK(fixture.answers.empty());
  CHECK(fixture.held);
  fixture.release();
  CHECK(fixture.granted(first));
  CHECK(fixture.granted(second));
  CHECK(fixture.refusal(again) == Errc::topic_already_exists);
}

TEST_CASE("commands of a turn see what those before them change, and refusals wait for it", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  fixture.hold = true;
  const auto wrong = fixture.create("no/name");
  const auto created = fixture.create("a");
  const auto again = fixture.create("a");
  const auto tried = fixture.create("b", true);
  const auto altered = fixture.submit(AlterTopicCommand{{.name = "a", .partitions = 3}});
  fixture.settle();
  CHECK(fixture.answers.empty());
  fixture.release();
  CHECK(fixture.refusal(wrong) == Errc::invalid_topic_exception);
  CHECK(fixture.granted(created));
  CHECK(fixture.refusal(again) == Errc::topic_already_exists);
  CHECK(fixture.topic(tried)->name == "b");
  CHECK_FALSE(fixture.shown->find_topic("b"));
  CHECK(fixture.topic(altered)->partition_count() == 3);
  CHECK(fixture.proposals == 2);
}

TEST_CASE("a topic is deleted in a later turn than it was changed in", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  const auto created = fixture.create("a");
  const auto removed = fixture.remove("a");
  const auto created_again = fixture.create("a");
  fixture.settle();
  CHECK(fixture.topic(created)->name == "a");
  CHECK(fixture.granted(removed));
  CHECK(fixture.topic(created_again)->id != fixture.topic(created)->id);
  CHECK(fixture.shown->topic_count() == 1);
  CHECK(fixture.refusal([&] {
    const auto token = fixture.remove("nothing");
    fixture.settle();
    return token;
  }()) == Errc::unknown_topic_or_partition);
}

TEST_CASE("without space what would be written is refused at once, what is on its way stays", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  fixture.hold = true;
  const auto sent = fixture.create("a");
  fixture.settle();
  const auto queued = fixture.create("b");
  fixture.take(fixture.machine->disk_full(Error{Errc::storage_full, "no space"}, fixture.time()));
  const auto later = fixture.create("c");
  fixture.settle();
  CHECK(fixture.refusal(queued) == Errc::storage_full);
  CHECK(fixture.refusal(later) == Errc::storage_full);
  CHECK_FALSE(fixture.answers.contains(sent));
  fixture.take(fixture.machine->disk_full(std::nullopt, fixture.time()));
  fixture.release();
  CHECK(fixture.granted(sent));
  const auto after = fixture.create("d");
  fixture.settle();
  CHECK(fixture.granted(after));
  CHECK(fixture.shown->topic_count() == 2);
}

TEST_CASE("a batch of open outcome is settled by the log: it is there, or it is decided again", "[metadata_machine]") {
  for (const bool arrived : {true, false}) {
    INFO("arrived " << arrived);
    MachineFixture fixture;
    fixture.become_ready();
    fixture.hold = true;
    const auto created = fixture.create("a");
    const auto again = fixture.create("a");
    fixture.settle();
    const auto proposal = fixture.take_held();
    if (arrived) fixture.log.push_back(MachineFixture::entry(proposal));
    const auto later = fixture.create("b");
    fixture.hold = false;
    fixture.take(fixture.machine->lost(fixture.time()));
    fixture.settle();
    CHECK(fixture.answers.empty());
    fixture.open();
    fixture.elect();
    CHECK(fixture.granted(created));
    CHECK(fixture.refusal(again) == Errc::topic_already_exists);
    CHECK(fixture.granted(later));
    CHECK(fixture.shown->topic_count() == 2);
    // The answer of the replica that was lost means nothing.
    CHECK(fixture.machine->proposed(proposal.token, Offset{99}, fixture.time()).empty());
  }
}

TEST_CASE("a proposal that is refused for good is decided again, one that is too large is not", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  fixture.proposal_errors = {{Errc::not_leader_or_follower, "no"}, {Errc::leader_not_available, "no"}};
  const auto created = fixture.create("a");
  fixture.settle();
  CHECK(fixture.granted(created));
  fixture.proposal_errors = {{Errc::message_too_large, "no"}};
  const auto large = fixture.create("b");
  const auto again = fixture.create("b");
  fixture.settle();
  CHECK(fixture.refusal(large) == Errc::message_too_large);
  CHECK(fixture.granted(again));  // it was only refused because of the other
  CHECK(fixture.machine->waiting() == 0);
}

TEST_CASE("who waits too long is told what may have happened", "[metadata_machine]") {
  MachineFixture fixture;
  fixture.become_ready();
  fixture.hold = true;
  const auto sent = fixture.submit(CreateTopicCommand{{.name = "a"}}, 100);
  fixture.settle();
  const auto queued = fixture.submit(CreateTopicCommand{{.name = "b"}}, 200);
  CHECK(fixture.machine->next_deadline() == MonotonicMs{100});
  fixture.pass(250);
  CHECK(fixture.refusal(sent) == Errc::request_timed_out);
  CHECK(fixture.refusal(queued) == Errc::leader_not_available);
  CHECK_FALSE(fixture.machine->next_deadline());
  fixture.release();
  CHECK(fixture.shown->find_topic("a"));
  CHECK_FALSE(fixture.shown->find_topic("b"));
}

TEST_CASE("no more wait than may", "[metadata_machine]") {
  MachineFixture fixture{{.requests_max = 3}};
  fixture.become_ready();
  fixture.hold = true;
  for (int i = 0; i < 3; ++i) fixture.create("topic-" + std::to_string(i));
  const auto refused = fixture.create("one-more");
  const auto of_peer = fixture.submit_of_peer(CreateTopicCommand{{.name = "one-more"}});
  fixture.settle();
  fixture.release();
  CHECK(fixture.refusal(refused) == Errc::overloaded);
  CHECK(std::get<CommandRefused>(fixture.peer_answers.at(of_peer)).error.code == Errc::overloaded);
  CHECK(fixture.shown->topic_count() == 3);
  const auto later = fixture.create("one-more");
  fixture.settle();
  CHECK(fixture.granted(later));
}

TEST_CASE("the next run finds the same metadata, and leads every partition in the next epoch", "[metadata_machine]") {
  MachineFixture first;
  first.become_ready();
  for (int i = 0; i < 10; ++i) first.create("topic-" + std::to_string(i));
  first.remove("topic-3");
  first.settle();

  MachineFixture second{{.incarnation = uuid(51)}};
  restart(second, first);
  second.become_ready();
  REQUIRE(second.shown->topic_count() == 9);
  for (const auto& before : first.shown->topics()) {
    auto expected = *before;
    expected.partitions.front().leader_epoch += 1;
    expected.partitions.front().partition_epoch += 1;
    REQUIRE(*second.shown->find_topic(before->name) == expected);
  }
  // The same run of the node again, as after a crash of its actor: nothing is written.
  MachineFixture third{{.incarnation = uuid(51)}};
  restart(third, second);
  third.become_ready();
  CHECK(third.proposals == 0);
  CHECK(same_content(*third.shown, *second.shown));
}

TEST_CASE("a snapshot takes the log's place, and the log after it goes on", "[metadata_machine]") {
  MachineFixture first{{.snapshot_records_min = 40}};
  first.become_ready();
  for (int i = 0; i < 100; ++i) {
    first.create("topic-" + std::to_string(i));
    first.settle();
  }
  CHECK(first.snapshot_end > Offset{150});
  CHECK(first.end() - first.snapshot_end < 40);

  MachineFixture second;
  restart(second, first);
  second.become_ready();
  CHECK(same_content(*second.shown, *first.shown));
}

TEST_CASE("a snapshot that cannot be written is tried again later, and the log stays", "[metadata_machine]") {
  MachineFixture fixture{{.snapshot_records_min = 10}};
  fixture.snapshot_error = Error{Errc::storage_full, "no space"};
  fixture.become_ready();
  for (int i = 0; i < 20; ++i) {
    fixture.create("topic-" + std::to_string(i));
    fixture.settle();
  }
  CHECK(fixture.snapshots == 0);
  CHECK(fixture.notes.size() == 4);
  fixture.snapshot_error.reset();
  for (int i = 20; i < 30; ++i) {
    fixture.create("topic-" + std::to_string(i));
    fixture.settle();
  }
  CHECK(fixture.snapshot_end > Offset{40});
}

TEST_CASE("metadata that cannot be trusted stops the machine with the reason", "[metadata_machine]") {
  MachineFixture old{{.snapshot_records_min = 10}};
  old.become_ready();
  for (int i = 0; i < 20; ++i) {
    old.create("topic-" + std::to_string(i));
    old.settle();
  }
  const auto stops = [](MachineFixture& next, Errc code) {
    next.settle();
    REQUIRE(next.failure);
    INFO(next.failure->message);
    CHECK(next.failure->code == code);
  };
  {
    MachineFixture foreign;
    restart(foreign, old);
    foreign.machine->formatted(uuid(99));
    foreign.take(foreign.machine->opened(foreign.snapshot, foreign.end(), foreign.time()));
    stops(foreign, Errc::wrong_owner);
  }
  {
    MachineFixture hole;
    restart(hole, old);
    hole.snapshot.reset();
    hole.take(hole.machine->opened(nullptr, hole.end(), hole.time()));
    hole.take(hole.machine->delivered(hole.log, hole.time()));
    stops(hole, Errc::corrupt_message);
  }
  {
    MachineFixture garbage;
    garbage.become_ready();
    garbage.take(garbage.machine->delivered(
        {{garbage.end(), garbage.epoch, quorum::EntryKind::data, 1, Bytes::copy_of(as_bytes("not a batch"))}},
        garbage.time()));
    stops(garbage, Errc::corrupt_message);
  }
  {
    MachineFixture shorter;
    shorter.become_ready();
    shorter.create("a");
    shorter.settle();
    shorter.log.pop_back();
    shorter.take(shorter.machine->lost(shorter.time()));
    shorter.take(shorter.machine->opened(nullptr, shorter.end(), shorter.time()));
    stops(shorter, Errc::corrupt_message);
  }
}

TEST_CASE("whatever the disk does, answers are kept: what was granted is there, what was refused is not",
          "[metadata_machine]") {
  const auto seed = seed_or(4'711);
  INFO("TROUPE_SEED=" << seed);
  Prng random{seed};
  for (int round = 0; round < 200; ++round) {
    MachineFixture fixture{{.turn_commands_max = 1 + random.below(5), .snapshot_records_min = 20}};
    fixture.become_ready();
    fixture.hold = true;
    std::map<std::uint64_t, std::string> created;
    for (int i = 0; i < 60; ++i) {
      if (random.chance(1, 2)) {
        const auto name = "topic-" + std::to_string(i);
        created.emplace(fixture.create(name), name);
      }
      fixture.settle();
      if (!fixture.held) continue;
      const auto proposal = fixture.take_held();
      switch (random.below(5)) {
        case 0:  // the answer was lost with its replica, the batch was not
          fixture.log.push_back(MachineFixture::entry(proposal));
          [[fallthrough]];
        case 1:
          fixture.take(fixture.machine->lost(fixture.time()));
          fixture.settle();
          fixture.open();
          fixture.elect();
          break;
        case 2:
          fixture.take(fixture.machine->proposed(proposal.token, Error{Errc::not_leader_or_follower, "no"}, fixture.time()));
          break;
        default: fixture.commit(proposal); break;
      }
    }
    fixture.release();
    fixture.settle();
    REQUIRE_FALSE(fixture.failure);
    REQUIRE(fixture.machine->waiting() == 0);
    for (const auto& [token, name] : created) {
      REQUIRE(fixture.granted(token));
      const auto topic = fixture.shown->find_topic(name);
      REQUIRE(topic);
      REQUIRE(fixture.topic(token)->id == topic->id);
    }
    MachineFixture next;
    restart(next, fixture);
    next.become_ready();
    REQUIRE(same_content(*next.shown, *fixture.shown));
  }
}
