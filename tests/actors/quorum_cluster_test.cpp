#include "tests/actors/quorum_cluster_fixture.hpp"

#include <algorithm>

#include "core/metadata/quorum_messages.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::actors;
using metadata::same_content;

TEST_CASE("voters that find each other found one cluster, and all register", "[metadata_quorum][cluster]") {
  for (const std::int32_t count : {3, 5}) {
    QuorumClusterFixture cluster;
    cluster.start_voters(count);
    REQUIRE(cluster.all_ready());
    REQUIRE(cluster.until([&] { return cluster.converged() && cluster.controller() > 0; }));
    const auto image = cluster.at(1).image();
    CHECK(image->brokers().size() == static_cast<std::size_t>(count));
    CHECK_FALSE(image->cluster_id().is_nil());
  }
}

TEST_CASE("as long as one of the voters is missing there is no cluster", "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.voters = {BrokerId{1}, BrokerId{2}, BrokerId{3}};
  cluster.start(1, cluster.voters, {});
  cluster.start(2, cluster.voters, {});
  CHECK_FALSE(cluster.until([&] { return cluster.at(1).ready() || cluster.at(2).ready(); }, 3'000));
  const auto answer = cluster.create(1, "rides", 1'000);
  REQUIRE(cluster.until([&] { return answer->has_value(); }));
  CHECK(QuorumFixture::code(answer) == Errc::leader_not_available);
  cluster.start(3, cluster.voters, {});
  CHECK(cluster.all_ready());
}

TEST_CASE("any node takes any command, and has what it answers in its image", "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  cluster.start_observer(4);
  REQUIRE(cluster.all_ready());
  for (std::int32_t node = 1; node <= 4; ++node) {
    const auto name = "topic-" + std::to_string(node);
    REQUIRE(cluster.created(node, name));
    CHECK(cluster.at(node).image()->find_topic(name));

    const auto again = cluster.create(node, name);
    REQUIRE(cluster.until([&] { return again->has_value(); }));
    CHECK(QuorumFixture::code(again) == Errc::topic_already_exists);

    const auto altered = cluster.scheduler.start_asking<TopicAnswer>(cluster.at(node).quorum.get(),
                                                                     AlterTopic{.request = {.name = name, .partitions = 5}});
    REQUIRE(cluster.until([&] { return altered->has_value(); }));
    REQUIRE(**altered);
    CHECK((**altered)->topic->partition_count() == 5);

    const auto tried = cluster.scheduler.start_asking<TopicAnswer>(
        cluster.at(node).quorum.get(), CreateTopic{.request = {.name = "tried", .validate_only = true}});
    REQUIRE(cluster.until([&] { return tried->has_value(); }));
    REQUIRE(**tried);
    CHECK((**tried)->topic->name == "tried");
    CHECK_FALSE(cluster.at(node).image()->find_topic("tried"));
  }
  const auto gone = cluster.scheduler.start_asking<Done>(cluster.at(4).quorum.get(), DeleteTopic{.name = "topic-1"});
  REQUIRE(cluster.until([&] { return gone->has_value(); }));
  CHECK(**gone);
  CHECK_FALSE(cluster.at(4).image()->find_topic("topic-1"));
  REQUIRE(cluster.until([&] { return cluster.converged(); }));
  CHECK(cluster.at(1).image()->topic_count() == 3);
}

TEST_CASE("the leader dies: the others go on, and it comes back as a follower", "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  REQUIRE(cluster.until([&] { return cluster.controller() > 0; }));
  const auto old = cluster.controller();
  REQUIRE(cluster.created(old, "before"));
  cluster.kill(old);
  const auto survivor = old == 1 ? 2 : 1;
  REQUIRE(cluster.created(survivor, "meanwhile"));
  REQUIRE(cluster.until([&] { return cluster.controller() > 0; }));
  CHECK(cluster.controller() != old);
  CHECK(cluster.at(survivor).image()->find_topic("before"));

  cluster.restart(old);
  REQUIRE(cluster.all_ready());
  CHECK(cluster.at(old).image()->find_topic("meanwhile"));
  REQUIRE(cluster.until([&] { return cluster.converged(); }));
  CHECK(cluster.at(old).image()->brokers().size() == 3);
}

TEST_CASE("a leader that is cut off commits nothing, and what it was told is there once", "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  REQUIRE(cluster.until([&] { return cluster.controller() > 0; }));
  const auto old = cluster.controller();
  const auto other = cluster.follower();
  cluster.cut_off(old);
  const auto waits = cluster.create(old, "told-to-the-old");
  const auto expires = cluster.create(old, "too-late", 500);
  REQUIRE(cluster.created(other, "told-to-the-others"));
  CHECK_FALSE(waits->has_value());
  REQUIRE(expires->has_value());
  // It was in a turn that nobody committed, or waited behind that one: then nothing was changed, and it says so.
  const auto why = QuorumFixture::code(expires);
  CHECK((why == Errc::request_timed_out || why == Errc::leader_not_available));
  CHECK_FALSE(cluster.at(old).image()->find_topic("told-to-the-old"));
  CHECK_FALSE(cluster.at(old).image()->find_topic("told-to-the-others"));
  REQUIRE(cluster.until([&] { return cluster.at(old).image()->controller_id() == BrokerId{-1}; }));

  cluster.heal(old);
  REQUIRE(cluster.until([&] { return waits->has_value(); }));
  REQUIRE(QuorumFixture::granted(waits));  // the log showed that nothing came of it, and it was decided elsewhere
  REQUIRE(cluster.until([&] { return cluster.converged(); }));
  const auto image = cluster.at(other).image();
  CHECK(image->find_topic("told-to-the-old")->id == (**waits)->topic->id);
  CHECK(image->find_topic("told-to-the-others"));
  if (why == Errc::leader_not_available) CHECK_FALSE(image->find_topic("too-late"));
}

TEST_CASE("an answer that is lost does not make a topic twice", "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  REQUIRE(cluster.until([&] { return cluster.controller() > 0; }));
  const auto node = cluster.follower();
  bool lost = false;
  cluster.network.lose_if([&](const FakeLinks::Passing& passing) {
    const bool answer = passing.channel == Channel::metadata && passing.is_answer;
    lost |= answer;
    return answer;
  });
  const auto created = cluster.create(node, "rides");
  const auto deleted = cluster.scheduler.start_asking<Done>(cluster.at(node).quorum.get(),
                                                            DeleteTopic{.name = "nothing", .timeout_ms = 2'000});
  REQUIRE(cluster.until([&] { return lost && cluster.at(node).image()->find_topic("rides"); }));
  const auto id = cluster.at(node).image()->find_topic("rides")->id;
  REQUIRE(cluster.until([&] { return deleted->has_value(); }));
  REQUIRE_FALSE(**deleted);
  CHECK(from_caf_error((**deleted).error()).code == Errc::request_timed_out);  // it is not repeated
  CHECK_FALSE(created->has_value());
  cluster.network.lose_if(nullptr);
  REQUIRE(cluster.until([&] { return created->has_value(); }));
  REQUIRE(QuorumFixture::granted(created));
  CHECK((**created)->topic->id == id);
  REQUIRE(cluster.until([&] { return cluster.converged(); }));
  CHECK(cluster.at(1).image()->topic_count() == 1);
}

TEST_CASE("a leader that dies with a command leaves one topic, whatever it had done", "[metadata_quorum][cluster]") {
  const auto seed = seed_or(2'117);
  for (std::uint64_t round = 0; round < 12; ++round) {
    INFO("TROUPE_SEED=" << seed << ", round " << round);
    QuorumClusterFixture cluster{seed + round};
    cluster.start_voters(3);
    REQUIRE(cluster.all_ready());
    REQUIRE(cluster.until([&] { return cluster.controller() > 0; }));
    const auto old = cluster.controller();
    const auto node = cluster.follower();
    const auto created = cluster.create(node, "rides");
    const auto steps = cluster.random.below(60);
    for (std::uint64_t step = 0; step < steps && cluster.scheduler.step(); ++step) {}
    cluster.kill(old);
    REQUIRE(cluster.until([&] { return created->has_value(); }));
    REQUIRE(QuorumFixture::granted(created));
    cluster.restart(old);
    REQUIRE(cluster.all_ready());
    REQUIRE(cluster.until([&] { return cluster.converged(); }));
    for (std::int32_t id = 1; id <= 3; ++id) {
      REQUIRE(cluster.at(id).image()->topic_count() == 1);
      REQUIRE(cluster.at(id).image()->find_topic("rides")->id == (**created)->topic->id);
    }
  }
}

TEST_CASE("an observer that joins late is sent a snapshot, and goes on from it", "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.snapshot_records_min = 60;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  for (int i = 0; i < 60; ++i) REQUIRE(cluster.created(1, "topic-" + std::to_string(i)));
  std::size_t chunks = 0;
  cluster.network.watch([&](const FakeLinks::Passing& passing) {
    if (passing.channel != Channel::quorum) return;
    const auto message = quorum::decode_message(passing.payload);
    chunks += message && std::holds_alternative<quorum::SnapshotRequest>(message->body) ? 1 : 0;
  });
  cluster.start_observer(9);
  REQUIRE(cluster.all_ready());
  CHECK(chunks > 0);
  CHECK(cluster.at(9).image()->topic_count() == 60);
  CHECK(cluster.at(9).image()->brokers().size() == 4);
  REQUIRE(cluster.created(9, "more"));
  REQUIRE(cluster.until([&] { return cluster.converged(); }));

  cluster.network.watch(nullptr);
  cluster.kill(9);
  REQUIRE(cluster.created(2, "while-away"));
  cluster.restart(9);
  REQUIRE(cluster.all_ready());
  CHECK(cluster.at(9).image()->find_topic("while-away"));
  REQUIRE(cluster.until([&] { return cluster.converged(); }));
}

TEST_CASE("a follower whose log is far behind gets a snapshot, and shows what that changed", "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.snapshot_records_min = 40;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  REQUIRE(cluster.until([&] { return cluster.controller() > 0; }));
  const auto away = cluster.follower();
  REQUIRE(cluster.created(away, "deleted"));
  auto heard = std::make_shared<Subscriber>();
  heard->actor = cluster.scheduler.own(cluster.scheduler.system().spawn(subscriber, heard));
  caf::anon_send(cluster.at(away).quorum.get(), SubscribeMetadata{heard->actor});
  cluster.scheduler.run();
  cluster.cut_off(away);
  const auto node = cluster.controller() > 0 ? cluster.controller() : (away == 1 ? 2 : 1);
  REQUIRE(cluster.until([&] { return cluster.at(away).image()->controller_id() == BrokerId{-1}; }));
  const auto gone = cluster.scheduler.start_asking<Done>(cluster.at(node).quorum.get(), DeleteTopic{.name = "deleted"});
  REQUIRE(cluster.until([&] { return gone->has_value(); }));
  for (int i = 0; i < 60; ++i) REQUIRE(cluster.created(node, "topic-" + std::to_string(i)));
  cluster.heal(away);
  REQUIRE(cluster.until([&] { return cluster.converged(); }));
  CHECK(cluster.at(away).image()->topic_count() == 60);
  CHECK(heard->image == cluster.at(away).image());
  CHECK(heard->deleted == std::vector<std::string>{"deleted"});
  heard->actor = nullptr;
}

TEST_CASE("a node of another cluster is not heard, and says so", "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  QuorumFixture other;  // its directory belongs to a cluster
  other.start();
  auto disk = other.disk.clone();
  cluster.directory_cluster_id = Uuid{{7}};
  cluster.start(1 + 8, {}, cluster.voters, std::move(disk));
  cluster.nodes.at(BrokerId{9})->runs = true;
  CHECK_FALSE(cluster.until([&] { return cluster.at(9).ready(); }, 3'000));
  CHECK(cluster.at(1).image()->brokers().size() == 3);
  REQUIRE(cluster.created(2, "rides"));
  CHECK_FALSE(cluster.at(9).image()->find_topic("rides"));
}

TEST_CASE("garbage from a peer changes nothing", "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  auto& stranger = cluster.network.start(BrokerId{66});
  const auto seed = seed_or(9'321);
  INFO("TROUPE_SEED=" << seed);
  Prng random{seed};
  const auto ignore = [](caf::event_based_actor*, int) -> caf::behavior { return {[](const PeerAnswer&) {}}; };
  const auto caller = cluster.scheduler.own(cluster.scheduler.system().spawn(ignore, 0));
  for (int i = 0; i < 200; ++i) {
    ByteBuffer bytes(random.below(200));
    for (auto& one : bytes) one = static_cast<std::byte>(random.next());
    if (!bytes.empty() && i % 2 == 0) bytes[0] = std::byte{1};
    const auto payload = Bytes::adopt(std::move(bytes));
    for (std::int32_t to = 1; to <= 3; ++to) {
      stranger.send(BrokerId{to}, Channel::quorum, payload);
      stranger.send(BrokerId{to}, Channel::metadata, payload);
      stranger.call(BrokerId{to}, Channel::metadata, payload, 1'000, 1, caller);
    }
  }
  // A vote for another epoch by who is not who he says he is.
  const auto key = quorum::ReplicaKey{BrokerId{2}, Uuid{{1}}};
  const quorum::Message forged{cluster.at(1).image()->cluster_id(),
                               key,
                               {BrokerId{1}, {}},
                               LeaderEpoch{1'000'000},
                               quorum::VoteRequest{.log_end_offset = Offset{1'000'000}, .last_epoch = LeaderEpoch{999'999}}};
  stranger.send(BrokerId{1}, Channel::quorum, Bytes::adopt(quorum::encode_message(forged)));
  cluster.scheduler.advance(1'000);
  REQUIRE(cluster.created(1, "rides"));
  REQUIRE(cluster.until([&] { return cluster.converged(); }));
}

TEST_CASE("a disk with a damaged hard state is refused, with the way out", "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  const auto broken = cluster.follower() > 0 ? cluster.follower() : 1;
  cluster.kill(broken);
  REQUIRE(cluster.at(broken).disk.flip_bit("/metadata/quorum-state", 30, 1));
  cluster.restart(broken);
  cluster.scheduler.advance(500);
  CHECK_FALSE(cluster.at(broken).ready());
  const auto error = cluster.at(broken).status().last_error.value_or("");
  INFO(error);
  CHECK(error.find("corrupt_message: quorum-state is damaged") == 0);
  CHECK(error.find("empty its metadata directory") != std::string::npos);
  REQUIRE(cluster.created(broken == 1 ? 2 : 1, "rides"));

  // The way out: the same node with an empty directory has no vote, and follows.
  cluster.kill(broken);
  cluster.dead.push_back(cluster.nodes.at(BrokerId{broken}));
  cluster.start(broken, cluster.voters, {});
  REQUIRE(cluster.all_ready());
  CHECK(cluster.at(broken).image()->find_topic("rides"));
}

TEST_CASE("whatever dies and is cut off: what was granted stays, once, on all nodes", "[metadata_quorum][cluster]") {
  const auto seed = seed_or(5'501);
  for (std::uint64_t round = 0; round < 8; ++round) {
    INFO("TROUPE_SEED=" << seed << ", round " << round);
    QuorumClusterFixture cluster{seed + round};
    cluster.snapshot_records_min = 30;
    cluster.start_voters(3);
    cluster.start_observer(4);
    REQUIRE(cluster.all_ready());
    auto& random = cluster.random;
    std::vector<std::pair<std::string, QuorumFixture::TopicAnswer>> asked;
    std::int32_t down = 0;
    std::int32_t cut = 0;
    for (int i = 0; i < 40; ++i) {
      const auto node = static_cast<std::int32_t>(random.between(1, 4));
      const auto name = "topic-" + std::to_string(i);
      if (cluster.at(node).runs && cluster.at(node).quorum.get()) {
        asked.emplace_back(name, cluster.create(node, name, 5'000));
      }
      const auto steps = random.below(80);
      for (std::uint64_t step = 0; step < steps && cluster.scheduler.step(); ++step) {}
      switch (random.below(10)) {
        case 0:
          if (down == 0) cluster.kill(down = static_cast<std::int32_t>(random.between(1, 4)));
          break;
        case 1:
          if (down != 0) cluster.restart(std::exchange(down, 0));
          break;
        case 2:
          if (cut == 0) cluster.cut_off(cut = static_cast<std::int32_t>(random.between(1, 4)));
          break;
        case 3:
          if (cut != 0) cluster.heal(std::exchange(cut, 0));
          break;
        case 4: {
          auto& any = cluster.at(static_cast<std::int32_t>(random.between(1, 4)));
          if (any.runs) any.disk.fail({.kind = OperationKind::sync, .path_contains = "/metadata", .nth = 1});
          break;
        }
        default: cluster.scheduler.advance(static_cast<std::int64_t>(random.below(600))); break;
      }
    }
    if (down != 0) cluster.restart(down);
    if (cut != 0) cluster.heal(cut);
    for (const auto& [id, node] : cluster.nodes) node->disk.clear_faults();
    REQUIRE(cluster.all_ready());
    REQUIRE(cluster.created(4, "last"));
    REQUIRE(cluster.until([&] { return cluster.converged(); }));
    const auto image = cluster.at(1).image();
    for (const auto& [name, answer] : asked) {
      if (!answer->has_value()) continue;  // its node died with it
      const auto topic = image->find_topic(name);
      if (QuorumFixture::granted(answer)) {
        REQUIRE(topic);
        REQUIRE(topic->id == (**answer)->topic->id);
      } else if (QuorumFixture::code(answer) == Errc::leader_not_available) {
        REQUIRE_FALSE(topic);
      }
    }
  }
}

TEST_CASE("a controller that is killed is fenced by the next one at once, not after a session",
          "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  REQUIRE(cluster.until([&] { return cluster.converged() && cluster.controller() > 0; }));
  const auto fenced = [&](std::int32_t looking, std::int32_t whom) {
    const auto* broker = cluster.at(looking).image()->find_broker(BrokerId{whom});
    return broker != nullptr && broker->fenced;
  };
  const auto killed = cluster.controller();
  const auto other = killed == 1 ? 2 : 1;
  REQUIRE(cluster.until([&] { return !fenced(other, 1) && !fenced(other, 2) && !fenced(other, 3); }));
  cluster.kill(killed);
  // An election takes some 0.1 s after a refused connection; the session of a silent broker is 1.5 s.
  CHECK(cluster.until([&] { return fenced(other, killed); }, 1'000));
  // Both that are left beat, and stay.
  CHECK_FALSE(cluster.until([&] { return fenced(other, killed == 3 ? 2 : 3) || fenced(other, other); }, 3'000));
}

TEST_CASE("a controller that falls silent is fenced a session after it was heard last, not after the next one's",
          "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  REQUIRE(cluster.until([&] { return cluster.converged() && cluster.controller() > 0; }));
  const auto silent = cluster.controller();
  const auto other = silent == 1 ? 2 : 1;
  const auto fenced = [&](std::int32_t whom) { return cluster.at(other).image()->find_broker(BrokerId{whom})->fenced; };
  REQUIRE(cluster.until([&] { return !fenced(1) && !fenced(2) && !fenced(3); }));
  cluster.cut_off(silent);
  // The election alone takes 0.4 s and more.
  CHECK_FALSE(cluster.until([&] { return fenced(silent); }, 1'400));
  CHECK(cluster.until([&] { return fenced(silent); }, 300));
  CHECK_FALSE(cluster.until([&] { return fenced(silent == 3 ? 2 : 3) || fenced(other); }, 3'000));
}

TEST_CASE("a controller that is killed and started at once does not wait for its own session",
          "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  REQUIRE(cluster.until([&] { return cluster.converged() && cluster.controller() > 0; }));
  const auto killed = cluster.controller();
  cluster.kill(killed);
  cluster.restart(killed);
  CHECK(cluster.until([&] { return cluster.at(killed).ready(); }, 1'000));
}

TEST_CASE("a broker that no longer beats is fenced after its session, and its return undoes that",
          "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  REQUIRE(cluster.until([&] { return cluster.converged() && cluster.controller() > 0; }));
  const auto looking = cluster.controller();
  const auto cut_off = looking == 1 ? 2 : 1;
  const auto fenced = [&] { return cluster.at(looking).image()->find_broker(BrokerId{cut_off})->fenced; };
  REQUIRE(cluster.until([&] { return !fenced(); }));
  for (std::int32_t id = 1; id <= 3; ++id) {
    if (id != cut_off) cluster.network.cut(BrokerId{cut_off}, BrokerId{id});
  }
  CHECK_FALSE(cluster.until(fenced, 1'000));
  CHECK(cluster.until(fenced, 1'500));
  for (std::int32_t id = 1; id <= 3; ++id) {
    if (id != cut_off) cluster.network.heal(BrokerId{cut_off}, BrokerId{id});
  }
  CHECK(cluster.until([&] { return !fenced(); }));
}

TEST_CASE("a leader that was away leads again when it is back in the ISR and heartbeats say that it lives",
          "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  REQUIRE(cluster.until([&] { return cluster.converged() && cluster.controller() > 0; }));
  const auto controller = cluster.controller();
  const auto image = [&] { return cluster.at(controller).image(); };
  const auto in_service = [&] {
    return std::ranges::all_of(image()->registrations(), [](const auto& one) { return !one.fenced; });
  };
  REQUIRE(cluster.until(in_service));
  REQUIRE(cluster.created(controller, "rides"));
  // Two partitions have two preferred leaders: one of them is not the controller.
  const auto topic = image()->find_topic("rides");
  const auto first = topic->partitions[0].replicas.front().value();
  const PartitionId number{first == controller ? 1 : 0};
  const auto preferred = first == controller ? topic->partitions[1].replicas.front().value() : first;
  REQUIRE(preferred != controller);
  const auto partition = [&] { return image()->find_topic("rides")->partitions[static_cast<std::size_t>(number.value())]; };

  cluster.kill(preferred);
  REQUIRE(cluster.until([&] { return partition().leader != BrokerId{preferred}; }, 1'000));
  cluster.restart(preferred);
  REQUIRE(cluster.until([&] { return cluster.at(preferred).ready() && in_service(); }));
  CHECK(partition().leader != BrokerId{preferred});

  const auto epoch_of = [&](BrokerId id) { return BrokerEpoch{image()->find_broker(id)->broker_epoch.value()}; };
  metadata::IsrProposal proposal{.partition = {topic->id, number},
                                 .leader_epoch = partition().leader_epoch,
                                 .partition_epoch = partition().partition_epoch};
  for (const auto id : partition().replicas) proposal.isr.push_back({id, epoch_of(id)});
  const auto caught_up = cluster.scheduler.start_asking<ClusterChanged>(
      cluster.at(controller).quorum.get(),
      ChangeCluster{metadata::AlterPartitionsRequest{partition().leader, epoch_of(partition().leader), {proposal}}});
  REQUIRE(cluster.until([&] { return caught_up->has_value() && partition().isr.size() == 3; }));
  CHECK(cluster.until([&] { return partition().leader == BrokerId{preferred}; }, 6'000));
}

TEST_CASE("another run of a living broker registers only if it is the same process", "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  REQUIRE(cluster.until([&] { return cluster.converged() && cluster.controller() > 0; }));
  const auto broker = cluster.follower();
  const auto known = *cluster.at(broker).image()->find_broker(BrokerId{broker});
  const auto asked = [&](const Uuid& run, const Uuid& before) -> std::optional<Errc> {
    const auto answer = cluster.scheduler.start_asking<Done>(cluster.at(broker).quorum.get(),
                                                             RegisterBroker{known.broker, run, 30'000, before});
    REQUIRE(cluster.until([&] { return answer->has_value(); }));
    if (**answer) return std::nullopt;
    return from_caf_error((**answer).error()).code;
  };
  const Uuid next{{1, 2, 3}};
  CHECK(asked(next, {}) == Errc::duplicate_broker_registration);
  CHECK(asked(next, Uuid{{9}}) == Errc::duplicate_broker_registration);
  CHECK_FALSE(asked(next, known.incarnation));
  CHECK(cluster.at(broker).image()->find_broker(BrokerId{broker})->incarnation == next);
}

TEST_CASE("without a majority commands are refused within 2 s, and go on when it is back", "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  REQUIRE(cluster.until([&] { return cluster.converged() && cluster.controller() > 0; }));
  const auto lonely = cluster.follower();
  const auto known = [&] { return cluster.at(lonely).quorum_standing->get(); };
  CHECK(known().voters == cluster.voters);
  CHECK_FALSE(known().leaderless_since);
  cluster.cut_off(lonely);
  // It notices within an election timeout.
  const auto refused = cluster.create(lonely, "never");
  REQUIRE(cluster.until([&] { return refused->has_value(); }, 3'000));
  CHECK(QuorumFixture::code(refused) == Errc::leader_not_available);
  CHECK(known().leaderless_since);
  REQUIRE(cluster.until([&] { return known().leaderless_since; }, 1'000));
  const auto next = cluster.create(lonely, "never-either");
  REQUIRE(cluster.until([&] { return next->has_value(); }, 2'000));
  CHECK(QuorumFixture::code(next) == Errc::leader_not_available);
  const auto at_once = cluster.create(lonely, "never-at-all");
  REQUIRE(cluster.until([&] { return at_once->has_value(); }, 20));
  CHECK(QuorumFixture::code(at_once) == Errc::leader_not_available);
  cluster.heal(lonely);
  REQUIRE(cluster.until([&] { return !known().leaderless_since; }));
  REQUIRE(cluster.created(lonely, "rides"));
  REQUIRE(cluster.until([&] { return cluster.converged(); }));
  CHECK(cluster.at(lonely).image()->topic_count() == 1);
}

TEST_CASE("a leader that is cut off refuses nothing by what it knows alone", "[metadata_quorum][cluster]") {
  QuorumClusterFixture cluster;
  cluster.start_voters(3);
  REQUIRE(cluster.all_ready());
  REQUIRE(cluster.until([&] { return cluster.converged() && cluster.controller() > 0; }));
  const auto old = cluster.controller();
  const auto other = cluster.follower();
  cluster.cut_off(old);
  // The others make the topic while the old leader thinks that it leads still: it must not say that there is none.
  REQUIRE(cluster.until([&] { return cluster.at(other).image()->controller_id().value() != old; }, 1'500));
  const auto answer =
      cluster.scheduler.start_asking<Done>(cluster.at(old).quorum.get(), DeleteTopic{.name = "rides", .timeout_ms = 30'000});
  REQUIRE(cluster.created(other, "rides"));
  cluster.heal(old);
  REQUIRE(cluster.until([&] { return answer->has_value(); }));
  CHECK(**answer);
  REQUIRE(cluster.until([&] { return cluster.converged(); }));
  CHECK_FALSE(cluster.at(old).image()->find_topic("rides"));
}
