#include "actors/metadata_quorum.hpp"

#include <algorithm>

#include "core/metadata/image_builder.hpp"
#include "core/metadata/quorum_messages.hpp"
#include "core/metadata/snapshot.hpp"
#include "core/record/batch_builder.hpp"
#include "storage/checkpoint_file.hpp"
#include "tests/actors/quorum_fixture.hpp"
#include "tests/support/seed.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::actors;
using metadata::same_content;

namespace {

/// A metadata directory as nodes wrote it before there was a quorum: data batches of two runs, no hard state; with `snapshot`, the
/// first of them are in a snapshot without a head.
FaultyFileSystem disk_of_old(bool snapshot, const Uuid& incarnation) {
  FaultyFileSystem disk;
  auto opened = storage::DataDirectory::open(disk, small_directory("/metadata"));
  REQUIRE(opened);
  auto& directory = *opened->directory;
  auto config = small_config();
  config.retention_ms = -1;
  REQUIRE(directory.log(metadata_partition, config));
  metadata::ImageBuilder builder{std::make_shared<const metadata::MetadataImage>()};
  Offset at{0};
  const auto write = [&](LeaderEpoch epoch, const std::vector<metadata::MetadataRecord>& records) {
    record::RecordBatchBuilder batch{{.base_offset = at, .leader_epoch = epoch}};
    for (const auto& record : records) {
      const auto value = metadata::encode_metadata_record(record);
      batch.add({.value = ByteView{value}});
      REQUIRE(builder.apply(record, at + batch.records_count() - 1));
    }
    const auto count = batch.records_count();
    const std::vector<storage::PlacedBatch> batches{{at, epoch, Bytes::adopt(*batch.build())}};
    REQUIRE(directory.append(metadata_partition, batches, MonotonicMs{0}));
    REQUIRE(directory.commit(MonotonicMs{0}));
    at += count;
  };
  const Uuid id{{3}};
  write(LeaderEpoch{0}, {metadata::ClusterRecord{Uuid{{7}}}, metadata::FeatureLevelRecord{"metadata.version", 1},
                         metadata::BrokerRegisteredRecord{BrokerId{1}, Uuid{{8}}, "localhost", 8080, {}}});
  write(LeaderEpoch{0},
        {metadata::TopicRecord{id, "rides"},
         metadata::PartitionRecord{id, PartitionId{0}, BrokerId{1}, LeaderEpoch{0}, {BrokerId{1}}, {BrokerId{1}}}});
  if (snapshot) {
    const auto image = builder.finish(at, BrokerId{1}).after;
    REQUIRE(storage::write_checkpoint(disk, "/metadata/metadata-snapshot", metadata::snapshot_magic,
                                      metadata::encode_snapshot(*image)));
    REQUIRE(directory.advance_log_start(metadata_partition, at));
  } else {
    write(LeaderEpoch{1}, {metadata::BrokerRegisteredRecord{BrokerId{1}, incarnation, "localhost", 8080, {}}});
  }
  REQUIRE(directory.close());
  return disk;
}

}  // namespace

TEST_CASE("on an empty directory the metadata is ready at once, with this broker in it", "[metadata_quorum]") {
  QuorumFixture fixture;
  CHECK(fixture.images->get()->applied() == Offset{0});
  fixture.start();
  const auto ready = fixture.scheduler.ask<MetadataReady>(fixture.quorum.get(), AwaitMetadata{});
  REQUIRE(ready);
  CHECK(ready->image == fixture.images->get());
  CHECK(ready->image->cluster_id() == Uuid{{7}});
  CHECK(ready->image->brokers() == std::vector{metadata::BrokerImage{BrokerId{1}, "localhost", 8080}});
  CHECK(ready->image->controller_id() == BrokerId{1});
  CHECK(fixture.status().state == ActorState::running);
}

TEST_CASE("topics are created, altered and deleted, and everybody hears of it", "[metadata_quorum]") {
  QuorumFixture fixture;
  fixture.start();
  auto& early = fixture.subscribe();
  const auto created = fixture.create("rides", 2);
  fixture.create("chat");
  fixture.scheduler.run();
  REQUIRE(QuorumFixture::granted(created));
  CHECK((**created)->topic == fixture.images->get()->find_topic("rides"));

  const auto altered = fixture.scheduler.ask<TopicAnswer>(
      fixture.quorum.get(), AlterTopic{.request = {.name = "rides", .partitions = 3, .config = {{"flush", "interval"}}}});
  REQUIRE(altered);
  CHECK(altered->topic->partition_count() == 3);
  CHECK(altered->topic->config.flush == metadata::FlushMode::interval);
  CHECK(QuorumFixture::code([&] {
          auto again = fixture.create("rides");
          fixture.scheduler.run();
          return again;
        }()) == Errc::topic_already_exists);
  CHECK(fixture.scheduler.ask<Done>(fixture.quorum.get(), DeleteTopic{.name = "chat"}));
  const auto unknown = fixture.scheduler.ask<Done>(fixture.quorum.get(), DeleteTopic{.name = "chat"});
  REQUIRE_FALSE(unknown);
  CHECK(from_caf_error(unknown.error()).code == Errc::unknown_topic_or_partition);
  const auto internal = fixture.scheduler.ask<TopicAnswer>(
      fixture.quorum.get(), CreateTopic{.request = {.name = "__offsets"}, .caller = Caller::system});
  CHECK(internal);

  auto& late = fixture.subscribe();
  fixture.create("more");
  fixture.scheduler.run();
  CHECK(late.updates == 2);
  CHECK(late.created == std::vector<std::string>{"__offsets", "rides", "more"});
  std::ranges::sort(early.created);
  CHECK(early.created == std::vector<std::string>{"__offsets", "chat", "more", "rides"});
  CHECK(early.deleted == std::vector<std::string>{"chat"});
  CHECK(early.image == late.image);
  CHECK(early.image == fixture.images->get());
}

TEST_CASE("validate_only answers with the topic as it would be, and writes nothing", "[metadata_quorum]") {
  QuorumFixture fixture;
  fixture.start();
  const auto before = fixture.images->get();
  const auto tried = fixture.scheduler.ask<TopicAnswer>(
      fixture.quorum.get(), CreateTopic{.request = {.name = "rides", .partitions = 7, .validate_only = true}});
  REQUIRE(tried);
  CHECK(tried->topic->partition_count() == 7);
  CHECK(fixture.images->get() == before);
}

TEST_CASE("10,000 topics asked for at once take few batches, and are there after a power cut", "[metadata_quorum]") {
  QuorumFixture fixture;
  fixture.options.segment_bytes = 4 << 20;
  fixture.start();
  const auto syncs = fixture.disk.operation_count(OperationKind::sync);
  auto& heard = fixture.subscribe();
  std::vector<QuorumFixture::TopicAnswer> answers;
  for (int i = 0; i < 10'000; ++i) answers.push_back(fixture.create("topic-" + std::to_string(i)));
  fixture.scheduler.run();
  for (const auto& answer : answers) REQUIRE(QuorumFixture::granted(answer));
  CHECK(heard.created.size() == 10'000);
  CHECK(heard.updates < 200);
  CHECK(fixture.disk.operation_count(OperationKind::sync) - syncs < 1'000);
  CHECK(fixture.images->get()->topic_count() == 10'000);

  KeepSynced choices;
  QuorumFixture next{2, fixture.disk.power_cut(choices)};
  next.options.incarnation = fixture.options.incarnation;
  next.options.segment_bytes = 4 << 20;
  next.start();
  CHECK(same_content(*next.images->get(), *fixture.images->get()));
}

TEST_CASE("the next run replays the log, and leads every partition in the next epoch", "[metadata_quorum]") {
  QuorumFixture fixture;
  fixture.start();
  for (int i = 0; i < 20; ++i) fixture.create("topic-" + std::to_string(i));
  fixture.scheduler.run();
  fixture.disk.process_kill();

  QuorumFixture next{2, fixture.disk.clone()};
  next.start();
  const auto image = next.images->get();
  REQUIRE(image->topic_count() == 20);
  for (const auto& before : fixture.images->get()->topics()) {
    auto expected = *before;
    expected.partitions.front().leader_epoch += 1;
    expected.partitions.front().partition_epoch += 1;
    CHECK(*image->find_topic(before->name) == expected);
  }
}

TEST_CASE("a quorum that is started again in the same process changes nothing", "[metadata_quorum]") {
  QuorumFixture fixture;
  fixture.start();
  fixture.create("rides");
  fixture.scheduler.run();
  const auto before = fixture.images->get();
  caf::anon_send_exit(fixture.quorum.get(), caf::exit_reason::kill);
  fixture.scheduler.advance(200);
  CHECK(fixture.status().restarts == 1);
  CHECK(same_content(*fixture.images->get(), *before));
  CHECK(fixture.images->get()->applied() == before->applied() + 1);  // it leads in a new epoch
}

TEST_CASE("a broker registered anew leads its partitions in the next epoch, the same one again does not",
          "[metadata_quorum]") {
  QuorumFixture fixture;
  fixture.start();
  fixture.create("rides");
  fixture.scheduler.run();
  const RegisterBroker anew{fixture.options.broker, Uuid{{5}}};
  for (int i = 0; i < 3; ++i) REQUIRE(fixture.scheduler.ask<Done>(fixture.quorum.get(), anew));
  CHECK(fixture.images->get()->find_topic("rides")->partitions[0].leader_epoch == LeaderEpoch{1});
}

TEST_CASE("a full disk keeps what is on its way, refuses new topics, and goes on when there is space", "[metadata_quorum]") {
  QuorumFixture fixture;
  fixture.start();
  fixture.create("before");
  fixture.scheduler.run();
  fixture.disk.set_capacity(0);
  QuorumFixture::TopicAnswer stuck;
  for (int i = 0; i < 2'000; ++i) {  // what is allocated already takes some
    stuck = fixture.create("topic-" + std::to_string(i), 20);
    fixture.scheduler.run();
    if (!stuck->has_value()) break;
  }
  REQUIRE_FALSE(stuck->has_value());
  const auto known = fixture.images->get()->topic_count();
  const auto refused = fixture.create("refused");
  fixture.scheduler.advance(1'000);
  CHECK(QuorumFixture::code(refused) == Errc::storage_full);
  CHECK_FALSE(stuck->has_value());
  fixture.scheduler.advance(3'000);  // a leader whose disk is stuck gives up, and is elected again
  fixture.disk.set_capacity(std::uint64_t{1} << 40);
  fixture.scheduler.advance(2'000);
  CHECK(QuorumFixture::granted(stuck));
  const auto after = fixture.create("after");
  fixture.scheduler.run();
  CHECK(QuorumFixture::granted(after));
  CHECK(fixture.images->get()->topic_count() == known + 2);
  CHECK(fixture.status("metadata-disk").restarts == 0);
}

TEST_CASE("a disk worker that fails is waited for, and nobody hears of it", "[metadata_quorum]") {
  QuorumFixture fixture;
  fixture.start();
  auto& heard = fixture.subscribe();
  fixture.disk.fail({.kind = OperationKind::sync, .path_contains = "/commit/"});
  const auto during = fixture.create("during");
  fixture.scheduler.run();
  const auto meanwhile = fixture.create("meanwhile");
  fixture.scheduler.run();
  CHECK_FALSE(during->has_value());
  fixture.scheduler.advance(500);
  CHECK(QuorumFixture::granted(during));
  CHECK(QuorumFixture::granted(meanwhile));
  CHECK(fixture.status("metadata-disk").restarts == 1);
  CHECK(fixture.status().restarts == 0);
  CHECK(heard.image == fixture.images->get());
}

TEST_CASE("with the disk away, requests end with their time", "[metadata_quorum]") {
  QuorumFixture fixture;
  fixture.start();
  fixture.disk.fail({.kind = OperationKind::sync, .path_contains = "/commit/"});
  fixture.disk.fail({.kind = OperationKind::lock, .always = true});
  const auto sent = fixture.create("sent", 1, 1'000);
  fixture.scheduler.run();
  const auto queued = fixture.create("queued", 1, 500);
  fixture.scheduler.advance(900);
  CHECK(QuorumFixture::code(queued) == Errc::leader_not_available);
  CHECK_FALSE(sent->has_value());
  fixture.scheduler.advance(300);
  CHECK(QuorumFixture::code(sent) == Errc::request_timed_out);
  fixture.disk.clear_faults();
  fixture.scheduler.advance(1'000);
  const auto later = fixture.create("later");
  fixture.scheduler.run();
  CHECK(QuorumFixture::granted(later));
  CHECK_FALSE(fixture.images->get()->find_topic("queued"));
}

TEST_CASE("a snapshot takes the place of the log, on disk too", "[metadata_quorum]") {
  QuorumFixture fixture;
  fixture.options.snapshot_records_min = 100;
  fixture.start();
  for (int i = 0; i < 300; ++i) {
    fixture.create("topic-" + std::to_string(i));
    fixture.scheduler.run();
  }
  const auto log = fixture.scheduler.ask<LogSnapshot>(fixture.worker.get(), OpenLog{metadata_partition, small_config()});
  REQUIRE(log);
  CHECK(log->view.log_start_offset() > Offset{400});
  CHECK(log->view.log_end_offset() > Offset{600});

  KeepSynced choices;
  const auto cut = fixture.disk.power_cut(choices);
  QuorumFixture next{2, cut.clone()};
  next.options.incarnation = fixture.options.incarnation;
  next.start();
  CHECK(same_content(*next.images->get(), *fixture.images->get()));

  QuorumFixture damaged{3, cut.clone()};
  REQUIRE(damaged.disk.flip_bit("/metadata/metadata-snapshot", 200, 3));
  damaged.restart.restarts_max = 0;
  damaged.start();
  const auto status = damaged.status();
  CHECK(status.state == ActorState::failed);
  CHECK(status.last_error->find("corrupt_message: metadata-snapshot is needed, the log begins at") == 0);
  CHECK(damaged.images->get()->topic_count() == 0);
}

TEST_CASE("a damaged snapshot is mended while the log reaches back to its beginning", "[metadata_quorum]") {
  QuorumFixture fixture;
  fixture.start();
  for (int i = 0; i < 50; ++i) fixture.create("topic-" + std::to_string(i));
  fixture.scheduler.run();
  auto file = fixture.disk.open("/metadata/metadata-snapshot", storage::OpenMode::create);
  REQUIRE(file);
  REQUIRE((*file)->write_at(0, as_bytes("not a snapshot")));
  fixture.disk.process_kill();
  QuorumFixture next{2, fixture.disk.clone()};
  next.options.incarnation = fixture.options.incarnation;
  next.start();
  CHECK(same_content(*next.images->get(), *fixture.images->get()));
}

TEST_CASE("too many requests at once are refused at the door", "[metadata_quorum]") {
  QuorumFixture fixture;
  fixture.options.requests_max = 10;
  fixture.start();
  std::vector<QuorumFixture::TopicAnswer> answers;
  for (int i = 0; i < 200; ++i) answers.push_back(fixture.create("topic-" + std::to_string(i)));
  fixture.scheduler.run();
  std::size_t granted = 0;
  for (const auto& answer : answers) {
    if (QuorumFixture::granted(answer)) {
      ++granted;
    } else {
      CHECK(QuorumFixture::code(answer) == Errc::overloaded);
    }
  }
  CHECK(granted >= 10);
  CHECK(granted < answers.size());
  CHECK(fixture.images->get()->topic_count() == granted);
}

TEST_CASE("whoever is killed when: what was granted stays, what was refused is not there", "[metadata_quorum]") {
  const auto seed = seed_or(1'811);
  for (std::uint64_t round = 0; round < 40; ++round) {
    INFO("TROUPE_SEED=" << seed << ", round " << round);
    Prng random{seed + round};
    QuorumFixture fixture{random.next()};
    fixture.options.snapshot_records_min = 15;
    fixture.start();
    std::vector<std::pair<std::string, QuorumFixture::TopicAnswer>> asked;
    for (int i = 0; i < 40; ++i) {
      const auto name = "topic-" + std::to_string(i);
      if (fixture.quorum.get()) asked.emplace_back(name, fixture.create(name, 1, 5'000));
      const auto steps = random.below(40);
      for (std::uint64_t step = 0; step < steps && fixture.scheduler.step(); ++step) {}
      switch (random.below(12)) {
        case 0:
          if (const auto worker = fixture.worker.get()) caf::anon_send_exit(worker, caf::exit_reason::kill);
          break;
        case 1:
          if (const auto quorum = fixture.quorum.get()) caf::anon_send_exit(quorum, caf::exit_reason::kill);
          break;
        case 2:
          fixture.disk.fail({.kind = OperationKind::sync, .path_contains = "/metadata", .nth = 1 + random.below(3)});
          break;
        case 3: fixture.disk.set_capacity(random.chance(1, 2) ? 0 : std::uint64_t{1} << 40); break;
        case 4:
        case 5:
        case 6: fixture.scheduler.advance(static_cast<std::int64_t>(random.below(400))); break;
        default: break;
      }
    }
    fixture.disk.clear_faults();
    fixture.disk.set_capacity(std::uint64_t{1} << 40);
    fixture.scheduler.advance(10'000);
    const auto check = [&](const metadata::MetadataImage& image) {
      for (const auto& [name, answer] : asked) {
        REQUIRE(answer->has_value());
        const auto topic = image.find_topic(name);
        if (QuorumFixture::granted(answer)) {
          REQUIRE(topic);
          REQUIRE(topic->id == (**answer)->topic->id);
        } else if (QuorumFixture::code(answer) != Errc::request_timed_out) {
          REQUIRE_FALSE(topic);
        }
      }
    };
    REQUIRE(fixture.status().state == ActorState::running);
    check(*fixture.images->get());

    KeepSynced choices;
    QuorumFixture next{round, fixture.disk.power_cut(choices)};
    next.options.incarnation = fixture.options.incarnation;
    next.start();
    REQUIRE(same_content(*next.images->get(), *fixture.images->get()));
    check(*next.images->get());
  }
}

TEST_CASE("a directory from before there was a quorum is taken over, and is a quorum's from then on", "[metadata_quorum]") {
  for (const bool snapshot : {false, true}) {
    INFO("with a snapshot " << snapshot);
    QuorumFixture fixture{1, disk_of_old(snapshot, Uuid{{9}})};
    fixture.options.snapshot_records_min = 30;
    fixture.start();
    REQUIRE(fixture.status().state == ActorState::running);
    const auto rides = fixture.images->get()->find_topic("rides");
    REQUIRE(rides);
    CHECK(rides->partitions[0].leader_epoch == LeaderEpoch{snapshot ? 1 : 2});
    for (int i = 0; i < 5; ++i) fixture.create("topic-" + std::to_string(i));
    fixture.scheduler.run();
    CHECK(fixture.images->get()->topic_count() == 6);

    KeepSynced choices;
    auto cut = fixture.disk.power_cut(choices);
    QuorumFixture next{2, cut.clone()};
    next.options.incarnation = fixture.options.incarnation;
    next.start();
    CHECK(same_content(*next.images->get(), *fixture.images->get()));

    // From here on its vote is not to be forgotten.
    REQUIRE(cut.remove("/metadata/quorum-state"));
    QuorumFixture forgetful{3, std::move(cut)};
    forgetful.restart.restarts_max = 0;
    forgetful.start();
    CHECK(forgetful.status().state == ActorState::failed);
    INFO(forgetful.status().last_error.value_or(""));
    CHECK(forgetful.status().last_error->find("hard state is missing") != std::string::npos);
  }
}

TEST_CASE("a directory of another cluster than its metadata is refused", "[metadata_quorum]") {
  QuorumFixture fixture;
  fixture.start();
  fixture.disk.process_kill();
  QuorumFixture next{2, fixture.disk.clone()};
  const auto state = storage::read_checkpoint(next.disk, "/metadata/quorum-state", quorum::hard_state_magic);
  REQUIRE(state);
  REQUIRE(*state);
  auto hard = quorum::decode_hard_state(**state);
  REQUIRE(hard);
  hard->cluster_id = Uuid{{99}};
  REQUIRE(storage::write_checkpoint(next.disk, "/metadata/quorum-state", quorum::hard_state_magic,
                                    quorum::encode_hard_state(*hard)));
  next.restart.restarts_max = 0;
  next.start();
  CHECK(next.status().state == ActorState::failed);
  CHECK(next.status().last_error->find("wrong_owner: the metadata is of cluster") == 0);
}
