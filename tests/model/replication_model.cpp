#include "tests/model/replication_model.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "core/metadata/cluster_rules.hpp"
#include "core/metadata/image_builder.hpp"
#include "core/record/batch_builder.hpp"
#include "tests/model/explorer.hpp"

namespace troupe::model {

using namespace replication;
using metadata::ClusterRequest;
using metadata::ImagePtr;

namespace {

constexpr MonotonicMs now{1'000};  // it stands still: nobody is late, nothing is asked twice
constexpr std::int32_t min_insync_replicas = 2;
const TopicId topic_id{std::array<std::uint8_t, 16>{1}};
const TopicIdPartition partition_id{topic_id, PartitionId{0}};

BrokerId broker_of(std::size_t node) { return BrokerId{static_cast<std::int32_t>(node) + 1}; }
std::size_t index_of(BrokerId id) { return static_cast<std::size_t>(id.value() - 1); }

Uuid incarnation_of(std::size_t node, std::uint64_t run) {
  return Uuid{std::array<std::uint8_t, 16>{7, static_cast<std::uint8_t>(node), static_cast<std::uint8_t>(run)}};
}

const metadata::PartitionImage& partition_of(const ImagePtr& image) { return image->find_topic(topic_id)->partitions[0]; }

PartitionState state_of(const ImagePtr& image) {
  const auto& one = partition_of(image);
  return {.leader_epoch = one.leader_epoch,
          .partition_epoch = one.partition_epoch,
          .leader = one.leader,
          .replicas = one.replicas,
          .isr = one.isr,
          .eligible_leader_replicas = one.eligible_leader_replicas};
}

BrokerEpoch epoch_of(const ImagePtr& image, BrokerId broker) {
  return BrokerEpoch{image->find_broker(broker)->broker_epoch.value()};
}

ImagePtr with(const ImagePtr& before, const std::vector<metadata::MetadataRecord>& records) {
  metadata::ImageBuilder builder{before};
  auto at = before->applied();
  for (const auto& record : records) {
    const auto applied = builder.apply(record, at);
    TROUPE_ASSERT(applied);
    at = at + 1;
  }
  return builder.finish(at, broker_of(0)).after;
}

template <class... Numbers>
std::uint64_t hash_of(Numbers... numbers) {
  std::uint64_t hash = 0;
  ((hash = mix(hash, static_cast<std::uint64_t>(numbers))), ...);
  return hash;
}
std::uint64_t hash_of_state(const PartitionState& state) {
  auto hash = hash_of(state.leader_epoch.value(), state.partition_epoch.value(), state.leader.value());
  for (const auto broker : state.isr) hash = mix(hash, static_cast<std::uint64_t>(broker.value()));
  for (const auto broker : state.eligible_leader_replicas)
    hash = mix(hash, static_cast<std::uint64_t>(broker.value() + 100));
  return hash;
}

std::uint64_t hash_of_image(const ImagePtr& image) {
  auto hash = hash_of_state(state_of(image));
  hash = mix(hash, static_cast<std::uint64_t>(partition_of(image).last_known_leader.value()));
  for (const auto& one : image->registrations()) hash = mix(hash, hash_of(one.broker_epoch.value(), one.fenced));
  return hash;
}

struct HashOf {
  std::uint64_t operator()(const ReplicationModel::Fetch& one) const {
    const auto& at = one.fetch.position;
    return hash_of(1, one.leader.value(), one.fetch.replica.value(), one.fetch.broker_epoch.value(), at.leader_epoch.value(),
                   at.fetch_offset.value(), at.last_fetched_epoch.value(), at.durable_offset.value(),
                   at.high_watermark.value());
  }
  std::uint64_t operator()(const ReplicationModel::FetchAnswer& one) const {
    const auto& answer = one.answer;
    const auto hash = hash_of(2, one.leader.value(), one.follower.value(),
                              answer.error ? static_cast<int>(*answer.error) : -1, answer.leader_epoch.value(),
                              answer.fetch_offset.value(), answer.last_fetched_epoch.value(), answer.high_watermark.value(),
                              answer.log_end.value(), answer.diverging ? answer.diverging->epoch.value() : -2,
                              answer.diverging ? answer.diverging->end_offset.value() : -2);
    return hash_bytes(answer.records.view(), hash);
  }
  std::uint64_t operator()(const ReplicationModel::Alter& one) const {
    const auto& proposal = one.request.proposals.front();
    auto hash = hash_of(3, one.request.broker.value(), one.request.broker_epoch.value(), one.number,
                        proposal.leader_epoch.value(), proposal.partition_epoch.value());
    for (const auto& member : proposal.isr) hash = mix(hash, hash_of(member.broker.value(), member.broker_epoch.value()));
    return hash;
  }
  std::uint64_t operator()(const ReplicationModel::AlterAnswer& one) const {
    const auto answer = one.answer ? hash_of_state(*one.answer) : static_cast<std::uint64_t>(one.answer.error().code);
    return hash_of(4, one.leader.value(), one.epoch.value(), one.number, answer);
  }
};

std::string name_of(BrokerId broker) { return "n" + to_string(broker); }

struct TextOf {
  std::string operator()(const ReplicationModel::Fetch& one) const {
    return name_of(one.fetch.replica) + " -> " + name_of(one.leader) + ": fetches " +
           to_string(one.fetch.position.fetch_offset) + " in epoch " + to_string(one.fetch.position.leader_epoch) +
           ", on disk " + to_string(one.fetch.position.durable_offset) + ", run " + to_string(one.fetch.broker_epoch);
  }
  std::string operator()(const ReplicationModel::FetchAnswer& one) const {
    return name_of(one.leader) + " -> " + name_of(one.follower) + ": answers " + to_string(one.answer.fetch_offset) +
           ", hw " + to_string(one.answer.high_watermark) + (one.answer.error ? ", an error" : "") +
           (one.answer.diverging ? ", diverging at " + to_string(one.answer.diverging->end_offset) : std::string{}) + ", " +
           std::to_string(one.answer.records.size()) + " bytes";
  }
  std::string operator()(const ReplicationModel::Alter& one) const {
    std::string text = name_of(one.request.broker) + " -> controller: ISR";
    for (const auto& member : one.request.proposals.front().isr)
      text += " " + to_string(member.broker) + " run " + to_string(member.broker_epoch);
    return text;
  }
  std::string operator()(const ReplicationModel::AlterAnswer& one) const {
    return "controller -> " + name_of(one.leader) + ": " + (one.answer ? "done" : to_string(one.answer.error()));
  }
};

}  // namespace

/// What happens in one state.
struct ReplicationModel::Step {
  State state;
  std::array<std::shared_ptr<Node>, brokers> changed = {};
  std::shared_ptr<sim::Invariants> invariants;
  Flush flush;

  Step(const State& before, Flush counted)
      : state(before), invariants(std::make_shared<sim::Invariants>(*before.invariants)), flush(counted) {}

  /// This node, to be changed.
  Node& node(std::size_t at) {
    auto& one = changed[at];
    if (!one) {
      one = std::make_shared<Node>(*state.nodes[at]);
      if (one->leader) one->leader = std::make_shared<LeaderReplica>(*one->leader);
      if (one->follower) one->follower = std::make_shared<FollowerReplica>(*one->follower);
      state.nodes[at] = one;
    }
    return *one;
  }

  /// Answers that can never matter again: of an earlier epoch than the one that is followed, or to a leadership that has ended.
  bool idle(const Body& body) const {
    if (const auto* one = std::get_if<FetchAnswer>(&body)) {
      const auto& to = *state.nodes[index_of(one->follower)];
      return !one->answer.error && to.follower && one->answer.leader_epoch < to.follower->epoch();
    }
    if (const auto* one = std::get_if<AlterAnswer>(&body)) {
      const auto& to = *state.nodes[index_of(one->leader)];
      return !to.leader || to.leader->epoch() != one->epoch;
    }
    return false;
  }

  State end() {
    check_isr();
    std::erase_if(state.network, [&](const auto& one) { return idle(one->body); });
    state.invariants = std::move(invariants);
    return std::move(state);
  }

  /// A session keeps one question and one answer of each pair of nodes on their way: a later one says all that the earlier one did. Of
  /// another run, or of another epoch, it is another session.
  static bool replaces(const Body& later, const Body& earlier) {
    if (const auto* one = std::get_if<Fetch>(&later)) {
      const auto* other = std::get_if<Fetch>(&earlier);
      return other != nullptr && one->leader == other->leader && one->fetch.replica == other->fetch.replica &&
             one->fetch.broker_epoch == other->fetch.broker_epoch;
    }
    if (const auto* one = std::get_if<FetchAnswer>(&later)) {
      const auto* other = std::get_if<FetchAnswer>(&earlier);
      return other != nullptr && one->leader == other->leader && one->follower == other->follower &&
             one->answer.leader_epoch == other->answer.leader_epoch;
    }
    return false;
  }

  void send(Body body) {
    std::erase_if(state.network, [&](const auto& one) { return replaces(body, one->body); });
    const auto hash = std::visit(HashOf{}, body);
    const auto place = std::ranges::upper_bound(state.network, hash, {}, [](const auto& one) { return one->hash; });
    state.network.insert(place, std::make_shared<Packet>(Packet{hash, std::move(body)}));
  }

  // --- the controller

  const ImagePtr& image() const { return state.images.back(); }

  Result<metadata::ClusterAnswer> decide(const ClusterRequest& request) {
    TROUPE_TRY_ASSIGN(auto decision, metadata::decide_cluster(*image(), request));
    if (!decision.records.empty()) commit(with(image(), decision.records));
    return std::move(decision.answer);
  }

  void commit(const ImagePtr& next) {
    const auto was = partition_of(image());
    const auto now_is = partition_of(next);
    state.images.push_back(next);
    state.hashes.push_back(hash_of_image(next));
    if (now_is.leader_epoch != was.leader_epoch)
      state.elections = mix(state.elections, hash_of(now_is.leader_epoch.value(), invariants->committed_end(0).value()));
    if (now_is.leader != no_broker && now_is.leader_epoch > was.leader_epoch) {
      const bool clean = contains(was.isr, now_is.leader) || contains(was.eligible_leader_replicas, now_is.leader);
      if (!clean) unclean_election(now_is.leader);
    }
    invariants->elected(0, now_is.leader_epoch);
    for (const auto broker : now_is.isr) {
      if (!contains(was.isr, broker) && state.nodes[index_of(broker)]->intact) node(index_of(broker)).has_lost = false;
    }
  }

  void unclean_election(BrokerId leader) {
    const auto& log = state.nodes[index_of(leader)]->log;
    if (invariants->holds_committed(0, log)) return;
    if (!state.power_went || state.suspects.size() < min_insync_replicas) {
      invariants->fail("AckedRecordsSurvive", name_of(leader) + " is elected uncleanly, and lacks what is committed");
    }
    invariants->unclean_recovery(0, log);
  }

  void check_isr() {
    const auto& now_is = partition_of(image());
    std::vector<sim::Invariants::Holder> members;
    for (const auto broker : now_is.replicas) {
      const auto& one = *state.nodes[index_of(broker)];
      const bool may_lead = contains(now_is.isr, broker) || contains(now_is.eligible_leader_replicas, broker);
      if (may_lead && one.intact) members.push_back({broker, &one.log, one.log.log_start()});
    }
    invariants->strong_isr(0, members);
  }

  // --- roles

  void reconcile(std::size_t at) {
    auto& one = node(at);
    if (!one.up) return;
    const auto known = state.images[one.heard];
    const auto wanted = state_of(known);
    const bool leads = wanted.leader == broker_of(at);
    if (one.leader) {
      LeaderEffects effects;
      one.leader->on_partition(wanted, now, effects);
      perform(at, std::move(effects));
      if (!leads || one.leader->epoch() != wanted.leader_epoch) {
        one.leader.reset();
        one.unsynced.clear();
        one.sync_wanted = false;
      }
    }
    if (leads && !one.leader) return lead(at, wanted);
    if (leads) return;
    if (!one.follower) {
      one.follower = std::make_shared<FollowerReplica>(FollowerReplica::Options{.incarnation = 1},
                                                       FollowerReplica::Log{.log_start = one.log.log_start(),
                                                                            .log_end = one.log.log_end(),
                                                                            .durable_end = one.log.durable_end(),
                                                                            .high_watermark = one.high_watermark,
                                                                            .epochs = one.log.epochs()});
      one.sync_wanted = one.log.durable_end() < one.log.log_end();
    }
    FollowerEffects effects;
    wanted.leader == no_broker ? one.follower->stop(effects) : one.follower->follow(wanted.leader_epoch, effects);
    perform(at, std::move(effects));
  }

  void lead(std::size_t at, const PartitionState& wanted) {
    auto& one = node(at);
    one.follower.reset();
    one.asked.reset();
    invariants->leader_begins(0, broker_of(at), wanted.leader_epoch,
                              partition_of(image()).leader_epoch == wanted.leader_epoch, one.log);
    one.known = one.said = {};
    one.leader = std::make_shared<LeaderReplica>(
        LeaderReplica::Options{.epoch = wanted.leader_epoch, .min_insync_replicas = min_insync_replicas, .flush = flush},
        IsrMember{broker_of(at), one.broker_epoch}, wanted,
        ReplicaStart{.log_start = one.log.log_start(),
                     .log_end = one.log.log_end(),
                     .durable_end = one.log.durable_end(),
                     .high_watermark = one.high_watermark,
                     .epochs = one.log.epochs(),
                     .producers = one.log.producers()});
    LeaderEffects effects;
    one.leader->begin(now, effects);
    perform(at, std::move(effects));
  }

  /// The watermark as it is now, after an input.
  void watch(std::size_t at) {
    auto& one = node(at);
    if (one.leader && !one.leader->ended()) invariants->leader_view(0, broker_of(at), one.leader->isr().committed());
    if (!one.leader && !one.follower) return;
    const auto high_watermark = one.leader ? one.leader->high_watermark() : one.follower->high_watermark();
    if (high_watermark == one.high_watermark) return;
    std::vector<sim::Invariants::Holder> holders;
    for (std::size_t i = 0; i < brokers; ++i) {
      const auto& each = *state.nodes[i];
      holders.push_back({broker_of(i), &each.log, each.log.log_start(), each.has_lost});
    }
    invariants->high_watermark(0, broker_of(at), one.high_watermark, high_watermark, one.log.log_start(), one.log, holders,
                               min_insync_replicas);
    one.high_watermark = high_watermark;
    check_isr();
  }

  // --- leaders

  void perform(std::size_t at, LeaderEffects effects) {
    auto& one = node(at);
    for (const auto& append : effects.appends) {
      ByteBuffer bytes;
      for (const auto& batch : append.batches) {
        const auto begin = bytes.size();
        append_bytes(bytes, batch.bytes);
        record::stamp_batch(MutableByteView{bytes}.subspan(begin), batch.base_offset, one.leader->epoch());
      }
      const auto appended = one.log.append(Bytes::adopt(std::move(bytes)));
      TROUPE_ASSERT(appended);
      LeaderEffects more;
      if (flush == Flush::interval) {
        one.leader->on_appended(append.token, ok(), more);
      } else {
        one.unsynced.push_back(append.token);
        one.sync_wanted = true;
        one.leader->on_written(one.log.log_end(), more);
      }
      perform(at, std::move(more));
    }
    watch(at);
    for (const auto& answer : effects.answers) {
      for (const auto& result : answer.results) {
        if (!result || invariants->lossy(0)) continue;
        const auto batch = std::ranges::find(one.log.batches(), result->base_offset, &sim::SimLog::Batch::base);
        TROUPE_ASSERT(batch != one.log.batches().end());
        invariants->acknowledged(0, batch->base, batch->next, {record::parse_batch_header(batch->bytes)->crc});
      }
    }
    if (effects.sync) one.sync_wanted = true;
    for (const auto broker : effects.followers_ready) answer(at, broker);
    if (!effects.alter) return;
    ++one.alters;
    metadata::IsrProposal proposal{.partition = partition_id,
                                   .leader_epoch = effects.alter->leader_epoch,
                                   .partition_epoch = effects.alter->partition_epoch};
    for (const auto& member : effects.alter->isr) proposal.isr.push_back({member.broker, member.broker_epoch});
    send(Alter{{broker_of(at), one.broker_epoch, {proposal}}, effects.alter->request});
  }

  void answer(std::size_t at, BrokerId follower) {
    auto& one = node(at);
    auto told = one.leader->answer_follower(follower);
    if (!told) return;
    told->log_end = std::max(told->log_end, one.leader->log_end());  // again, as the answer before may not have arrived
    if (!told->diverging && told->log_end > told->fetch_offset)
      told->records = one.log.read(told->fetch_offset, told->log_end, 4'096);
    one.said[index_of(follower)] = hash_of(told->high_watermark.value(), told->log_end.value());
    send(FetchAnswer{broker_of(at), follower, *std::move(told)});
  }

  // --- followers

  void perform(std::size_t at, FollowerEffects effects) {
    auto& one = node(at);
    const auto stored = [&](std::uint64_t token) {
      one.sync_wanted = flush == Flush::fsync;
      FollowerEffects more;
      one.follower->on_stored(1, token, ok(), now, more);
      perform(at, std::move(more));
    };
    if (effects.append) {
      const auto appended = one.log.append(effects.append->batches);
      TROUPE_ASSERT(appended);
      stored(effects.append->token);
    }
    if (effects.truncate) {
      one.log.truncate(effects.truncate->offset);
      if (one.log.log_end() != effects.truncate->offset)
        invariants->fail("TruncatedAtBatch", to_string(effects.truncate->offset));
      stored(effects.truncate->token);
    }
    if (effects.restart) {
      one.log.restart(effects.restart->offset, invariants->committed_chain(0, effects.restart->offset).value_or(0));
      stored(effects.restart->token);
    }
    if (effects.records_lost && !invariants->lossy(0)) invariants->fail("AckedRecordsSurvive", effects.warning->message);
    watch(at);
    ask(at);
  }

  void ask(std::size_t at) {
    auto& one = node(at);
    if (!one.follower) return;
    const auto position = one.follower->position();
    if (!position || position == one.asked) return;
    one.asked = position;
    const auto leader = partition_of(state.images[one.heard]).leader;
    if (leader != no_broker) send(Fetch{leader, {broker_of(at), one.broker_epoch, *position}});
  }

  // --- what happens

  void deliver(const Fetch& one) {
    const auto at = index_of(one.leader);
    auto& to = node(at);
    if (!to.leader) {
      return send(FetchAnswer{one.leader,
                              one.fetch.replica,
                              {.error = Errc::not_leader_or_follower,
                               .fetch_offset = one.fetch.position.fetch_offset,
                               .last_fetched_epoch = one.fetch.position.last_fetched_epoch}});
    }
    LeaderEffects effects;
    const auto news = to.leader->on_fetch(one.fetch, now, effects);
    to.known[index_of(one.fetch.replica)] =
        mix(HashOf{}(one),
            news ? 1 : 2 + static_cast<std::uint64_t>(news.error().code) + (to.known[index_of(one.fetch.replica)] << 1));
    if (!news) {
      send(FetchAnswer{one.leader, one.fetch.replica, to.leader->refusal_answer(one.fetch, news.error().code)});
    } else if (*news) {
      answer(at, one.fetch.replica);
    }
    perform(at, std::move(effects));
  }
  void deliver(const FetchAnswer& one) {
    auto& to = node(index_of(one.follower));
    if (!to.follower) return;
    const auto asked = to.follower->position();
    const bool believed = asked && asked->fetch_offset == one.answer.fetch_offset &&
                          asked->last_fetched_epoch == one.answer.last_fetched_epoch && !one.answer.error &&
                          !one.answer.diverging && one.answer.leader_epoch == to.follower->epoch();
    if (believed)
      to.told = {to.follower->epoch(),
                 std::max(to.told.first == to.follower->epoch() ? to.told.second : Offset{0}, one.answer.high_watermark)};
    FollowerEffects effects;
    to.follower->on_answer(one.answer, now, effects);
    perform(index_of(one.follower), std::move(effects));
  }
  void deliver(const Alter& one) {
    const auto answer = decide(one.request);
    TROUPE_ASSERT(answer);
    const auto& partition = answer->partitions.front();
    send(AlterAnswer{one.request.broker, one.request.proposals.front().leader_epoch, one.number,
                     partition ? Result<PartitionState>{state_of(image())} : Result<PartitionState>{partition.error()}});
  }
  void deliver(const AlterAnswer& one) {
    const auto at = index_of(one.leader);
    auto& to = node(at);
    if (!to.leader || to.leader->epoch() != one.epoch) return;
    LeaderEffects effects;
    to.leader->on_alter_answer(one.number, one.answer, now, effects);
    perform(at, std::move(effects));
  }

  void produce(std::size_t at) {
    auto& one = node(at);
    const auto number = static_cast<std::uint64_t>(state.left.records--);
    record::RecordBatchBuilder builder;
    const auto text = std::to_string(number);
    builder.add({.timestamp = TimestampMs{1}, .value = as_bytes(text)});
    auto bytes = Bytes::adopt(*builder.build());
    const auto header = *record::parse_batch_header(bytes);
    LeaderEffects effects;
    one.leader->on_produce(number, {{.bytes = std::move(bytes), .header = header}}, effects);
    perform(at, std::move(effects));
  }

  void sync(std::size_t at) {
    auto& one = node(at);
    one.sync_wanted = false;
    one.log.sync(one.log.log_end());
    if (one.leader) {
      LeaderEffects effects;
      one.leader->on_durable(std::min(one.log.log_end(), one.leader->epoch_start()), effects);
      for (const auto token : std::exchange(one.unsynced, {})) one.leader->on_appended(token, ok(), effects);
      perform(at, std::move(effects));
    } else if (one.follower) {
      FollowerEffects effects;
      one.follower->on_durable(1, one.log.durable_end(), effects);
      perform(at, std::move(effects));
    }
  }

  void crash(std::size_t at, bool power) {
    auto& one = node(at);
    if (power && one.log.durable_end() < one.log.log_end()) {
      one.log.truncate(one.log.durable_end());
      if (flush == Flush::interval) {
        one.intact = false;
        one.has_lost = true;
      }
    }
    if (flush == Flush::interval) state.suspects.insert(broker_of(at));
    state.power_went = state.power_went || power;
    one.up = false;
    one.leader.reset();
    one.follower.reset();
    one.unsynced.clear();
    one.sync_wanted = false;
    one.asked.reset();
    one.high_watermark = one.log.log_start();
  }

  void restart(std::size_t at) {
    auto& one = node(at);
    one.up = true;
    one.log.sync(one.log.log_end());
    const auto registered = decide(metadata::RegisterBrokerRequest{.broker = {broker_of(at), "host", 1},
                                                                   .incarnation = incarnation_of(at, ++one.runs)});
    TROUPE_ASSERT(registered);
    one.intact = true;
    one.broker_epoch = epoch_of(image(), broker_of(at));
    one.heard = state.images.size() - 1;
    reconcile(at);
  }
};

ReplicationModel::State ReplicationModel::first() const {
  std::vector<metadata::MetadataRecord> records{metadata::ClusterRecord{Uuid{std::array<std::uint8_t, 16>{9}}}};
  for (std::size_t i = 0; i < brokers; ++i) {
    records.emplace_back(metadata::BrokerRegisteredRecord{
        .id = broker_of(i), .incarnation = incarnation_of(i, 1), .host = "host", .port = 1});
  }
  records.emplace_back(metadata::TopicRecord{topic_id, "data"});
  records.emplace_back(metadata::TopicConfigRecord{topic_id, "min.insync.replicas", std::to_string(min_insync_replicas)});
  records.emplace_back(metadata::TopicConfigRecord{topic_id, "flush", bounds_.flush == Flush::fsync ? "fsync" : "interval"});
  std::vector<BrokerId> isr;
  for (const auto id : bounds_.isr) isr.emplace_back(id);
  records.emplace_back(metadata::PartitionRecord{.topic_id = topic_id,
                                                 .leader = broker_of(0),
                                                 .leader_epoch = LeaderEpoch{1},
                                                 .replicas = {broker_of(0), broker_of(1), broker_of(2)},
                                                 .isr = isr});
  State state{.images = {with(std::make_shared<metadata::MetadataImage>(), records)},
              .hashes = {0},
              .invariants = std::make_shared<sim::Invariants>(1, bounds_.flush),
              .left = bounds_};
  for (std::size_t i = 0; i < brokers; ++i) {
    Node node;
    node.broker_epoch = epoch_of(state.images.back(), broker_of(i));
    state.nodes[i] = std::make_shared<Node>(std::move(node));
  }
  Step step{state, bounds_.flush};
  step.invariants->elected(0, LeaderEpoch{1});
  for (std::size_t i = 0; i < brokers; ++i) step.reconcile(i);
  return step.end();
}

std::vector<ReplicationModel::Move> ReplicationModel::moves(const State& state) const {
  std::vector<Move> all;
  const auto& image = state.images.back();
  for (std::size_t i = 0; i < state.network.size(); ++i) {
    if (i > 0 && state.network[i]->hash == state.network[i - 1]->hash) continue;
    const auto& body = state.network[i]->body;
    auto to = no_broker;
    if (const auto* one = std::get_if<Fetch>(&body)) to = one->leader;
    if (const auto* one = std::get_if<FetchAnswer>(&body)) to = one->follower;
    if (const auto* one = std::get_if<AlterAnswer>(&body)) to = one->leader;
    if (to == no_broker || state.nodes[index_of(to)]->up) all.push_back({Kind::deliver, i});
  }
  for (std::size_t i = 0; i < brokers; ++i) {
    const auto& node = *state.nodes[i];
    const auto& registered = *image->find_broker(broker_of(i));
    if (!node.up) {
      all.push_back({Kind::restart, i});
      if (!registered.fenced) all.push_back({Kind::fence, i});
      continue;
    }
    if (node.heard + 1 < state.images.size()) all.push_back({Kind::hear, i});
    if (node.sync_wanted) all.push_back({Kind::sync, i});
    if (node.leader && !node.leader->ended() && state.left.records > 0) all.push_back({Kind::produce, i});
    const bool mortal = std::ranges::find(bounds_.mortal, broker_of(i).value()) != bounds_.mortal.end();
    if (mortal && state.left.kills > 0) all.push_back({Kind::kill, i});
    if (mortal && state.left.power_cuts > 0) all.push_back({Kind::power_cut, i});
    if (!registered.fenced && state.left.suspicions > 0) all.push_back({Kind::fence, i});
    const bool knows = epoch_of(state.images[node.heard], broker_of(i)).value() == registered.broker_epoch.value();
    if (registered.fenced && knows && state.left.returns > 0) all.push_back({Kind::unfence, i});
  }
  return all;
}

ReplicationModel::State ReplicationModel::after(const State& state, const Move& move) const {
  Step step{state, bounds_.flush};
  auto& left = step.state.left;
  if (move.kind == Kind::deliver) {
    const auto packet = state.network[move.at];
    step.state.network.erase(step.state.network.begin() + static_cast<std::ptrdiff_t>(move.at));
    std::visit([&](const auto& one) { step.deliver(one); }, packet->body);
    return step.end();
  }
  const auto at = move.at;
  const auto& registered = *state.images.back()->find_broker(broker_of(at));
  const BrokerEpoch epoch{registered.broker_epoch.value()};
  if (move.kind == Kind::fence || move.kind == Kind::unfence) {
    if (move.kind == Kind::fence && state.nodes[at]->up) --left.suspicions;
    if (move.kind == Kind::unfence) --left.returns;
    const auto request = move.kind == Kind::fence ? ClusterRequest{metadata::FenceBrokerRequest{broker_of(at), epoch}}
                                                  : ClusterRequest{metadata::UnfenceBrokerRequest{broker_of(at), epoch}};
    const auto done = step.decide(request);
    TROUPE_ASSERT(done);
    return step.end();
  }
  auto& node = step.node(at);
  switch (move.kind) {
    case Kind::hear:
      ++node.heard;
      step.reconcile(at);
      break;
    case Kind::produce: step.produce(at); break;
    case Kind::sync: step.sync(at); break;
    case Kind::kill:
      --left.kills;
      step.crash(at, false);
      break;
    case Kind::power_cut:
      --left.power_cuts;
      step.crash(at, true);
      break;
    case Kind::restart: step.restart(at); break;
    default: break;
  }
  return step.end();
}

std::optional<std::string> ReplicationModel::violation(const State& state) const {
  const auto& found = state.invariants->violation();
  return found ? std::optional{found->invariant + ": " + found->what} : std::nullopt;
}

/// Of all that decides what can happen from here on. The clock stands still, so nothing in the machines hangs on it.
std::uint64_t ReplicationModel::digest(const State& state) const {
  auto hash = state.elections;
  auto oldest = state.images.size() - 1;
  for (std::size_t i = 0; i < brokers; ++i) {
    const auto& node = *state.nodes[i];
    const auto& log = node.log;
    if (node.up) oldest = std::min(oldest, node.heard);
    hash = mix(hash, hash_of(node.up, node.intact, node.has_lost, node.broker_epoch.value(),
                             state.images.size() - node.heard, log.log_start().value(), log.log_end().value(),
                             log.durable_end().value(), *log.chain_at(log.log_end()), node.high_watermark.value(),
                             node.sync_wanted, node.unsynced.size(), node.runs));
    if (node.leader) {
      const auto& leader = *node.leader;
      hash = mix(hash, hash_of(leader.epoch().value(), leader.high_watermark().value(), leader.log_end().value(),
                               leader.epoch_start().value(), leader.ended(), leader.isr().changing(),
                               leader.isr().expanding(), leader.isr().partition_epoch().value(),
                               leader.next_deadline() ? leader.next_deadline()->value() : -1, node.alters));
      for (const auto broker : leader.isr().committed()) hash = mix(hash, static_cast<std::uint64_t>(broker.value()));
      for (const auto broker : leader.isr().proposed()) hash = mix(hash, static_cast<std::uint64_t>(broker.value() + 50));
      for (std::size_t other = 0; other < brokers; ++other) hash = mix(hash, mix(node.known[other], node.said[other]));
    }
    if (node.follower) {
      const auto& follower = *node.follower;
      const auto position = follower.position();
      const auto told = node.told.first == follower.epoch() ? node.told.second : Offset{0};
      hash = mix(
          hash,
          hash_of(follower.epoch().value(), position.has_value(), follower.failed(), follower.next_deadline().has_value(),
                  told.value(), node.asked.has_value(), node.asked ? node.asked->leader_epoch.value() : -1,
                  node.asked ? node.asked->fetch_offset.value() : -1, node.asked ? node.asked->durable_offset.value() : -1,
                  node.asked ? node.asked->high_watermark.value() : -1));
    }
  }
  for (auto i = oldest; i < state.hashes.size(); ++i) hash = mix(hash, state.hashes[i]);
  for (const auto& packet : state.network) hash = mix(hash, packet->hash);
  const auto end = state.invariants->committed_end(0);
  hash = mix(hash, hash_of(end.value(), *state.invariants->committed_chain(0, end), state.invariants->lossy(0),
                           state.suspects.size(), state.power_went));
  for (const auto broker : state.suspects) hash = mix(hash, static_cast<std::uint64_t>(broker.value()));
  for (const auto left :
       {state.left.records, state.left.kills, state.left.power_cuts, state.left.suspicions, state.left.returns})
    hash = mix(hash, static_cast<std::uint64_t>(left));
  return hash;
}

std::string ReplicationModel::describe(const State& state, const Move& move) const {
  constexpr const char* names[] = {
      "",          "hears of the metadata", "is given a record", "has synced", "is killed", "loses power", "starts again",
      "is fenced", "is in service again"};
  if (move.kind == Kind::deliver) return std::visit(TextOf{}, state.network[move.at]->body);
  return name_of(broker_of(move.at)) + " " + names[static_cast<std::size_t>(move.kind)];
}

}  // namespace troupe::model
