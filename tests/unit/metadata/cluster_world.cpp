#include "tests/unit/metadata/cluster_world.hpp"

#include "core/metadata/snapshot.hpp"

namespace troupe::test {

using namespace metadata;

World::World(std::int32_t brokers) : image_(empty_image()) {
  std::vector<MetadataRecord> records{ClusterRecord{test::cluster}};
  for (std::int32_t id = 1; id <= brokers; ++id) {
    auto record = broker(id);
    record.rack = id % 2 == 0 ? "even" : "odd";
    records.emplace_back(record);
    processes_[BrokerId{id}] = {};
  }
  commit(std::move(records), {});
}

void World::create(const std::string& name, const std::vector<Ids>& assignments,
                   const std::map<std::string, std::string>& config) {
  CreateTopicRequest request{.name = name, .config = config};
  for (const auto& one : assignments) request.assignments.push_back(ids_of(one));
  const auto decision = decide_create(*image_, request, Requester::client, new_uuid_);
  if (!decision) FAIL(to_string(decision.error()));
  for (std::size_t i = 0; i < assignments.size(); ++i) {
    const TopicIdPartition id{decision->topic, PartitionId{static_cast<std::int32_t>(i)}};
    partitions_.push_back(id);
    for (const auto& [broker, process] : processes_) logs_[id].held[broker] = 0;
  }
  commit(decision->records, {});
}

const PartitionImage& World::partition(const TopicIdPartition& id) const {
  return image_->find_topic(id.topic_id)->partitions[static_cast<std::size_t>(id.partition.value())];
}

std::size_t World::min_insync_replicas(const TopicIdPartition& id) const {
  const auto configured = image_->find_topic(id.topic_id)->config.min_insync_replicas;
  return std::min(partition(id).replicas.size(), static_cast<std::size_t>(configured));
}

bool World::registered_fit(BrokerId broker) const {
  return processes_.at(broker).alive && !image_->find_broker(broker)->fenced;
}

// --- what brokers do

bool World::write(const TopicIdPartition& id) {
  const auto& now = partition(id);
  if (now.leader == no_broker || !processes_.at(now.leader).alive) return false;
  auto& log = logs_[id];
  const auto end = ++log.held[now.leader];
  for (const auto member : now.isr) {
    if (processes_.at(member).alive) log.held[member] = end;
  }
  advance(id);
  return true;
}

/// The leader's high watermark.
void World::advance(const TopicIdPartition& id) {
  const auto& now = partition(id);
  if (now.leader == no_broker || !processes_.at(now.leader).alive || now.isr.size() < min_insync_replicas(id)) return;
  auto& log = logs_[id];
  auto least = log.held[now.leader];
  for (const auto member : now.isr) least = std::min(least, log.held[member]);
  log.committed = std::max(log.committed, least);
}

bool World::follow(const TopicIdPartition& id, BrokerId broker) {
  const auto now = partition(id);
  if (now.leader == no_broker || now.leader == broker || !has_broker(now.replicas, broker)) return false;
  if (!processes_.at(broker).alive || !processes_.at(now.leader).alive) return false;
  logs_[id].held[broker] = logs_[id].held[now.leader];
  if (!has_broker(now.isr, broker)) {
    IsrProposal proposal{.partition = id, .leader_epoch = now.leader_epoch, .partition_epoch = now.partition_epoch};
    const auto add = [&](BrokerId member) {
      proposal.isr.push_back({member, BrokerEpoch{image_->find_broker(member)->broker_epoch.value()}});
    };
    for (const auto member : now.isr) add(member);
    add(broker);
    commit(
        AlterPartitionsRequest{now.leader, BrokerEpoch{image_->find_broker(now.leader)->broker_epoch.value()}, {proposal}});
    if (now.is_reassigned() && !partition(id).is_reassigned()) ++reassignments_done;
  }
  advance(id);
  return true;
}

bool World::shrink(const TopicIdPartition& id, BrokerId member) {
  const auto now = partition(id);
  if (now.leader == no_broker || now.leader == member || !has_broker(now.isr, member) || !processes_.at(now.leader).alive)
    return false;
  IsrProposal proposal{.partition = id, .leader_epoch = now.leader_epoch, .partition_epoch = now.partition_epoch};
  for (const auto other : now.isr) {
    if (other != member) proposal.isr.push_back({other, no_broker_epoch});
  }
  commit(AlterPartitionsRequest{now.leader, BrokerEpoch{image_->find_broker(now.leader)->broker_epoch.value()}, {proposal}});
  advance(id);
  return true;
}

bool World::crash(BrokerId broker, std::int32_t records_kept) {
  auto& process = processes_.at(broker);
  if (!process.alive) return false;
  process = {.alive = false, .ended_in_order = false, .lost_records = true};
  for (const auto& id : partitions_) {
    auto& held = logs_[id].held[broker];
    if (image_->find_topic(id.topic_id)->config.flush == FlushMode::interval) held = std::min(held, records_kept);
  }
  return true;
}

bool World::end_in_order(BrokerId broker) {
  auto& process = processes_.at(broker);
  if (!process.alive) return false;
  process = {.alive = false, .ended_in_order = true, .lost_records = process.lost_records};
  return true;
}

bool World::restart(BrokerId broker) {
  auto& process = processes_.at(broker);
  if (process.alive) return false;
  process.alive = true;
  process.lost_records = false;
  Uuid incarnation{{9, ++incarnation_}};
  commit(RegisterBrokerRequest{
      .broker = image_->find_broker(broker)->broker, .incarnation = incarnation, .clean = process.ended_in_order});
  return true;
}

bool World::fence(BrokerId broker) {
  const auto& known = *image_->find_broker(broker);
  if (known.fenced) return false;
  commit(FenceBrokerRequest{broker, BrokerEpoch{known.broker_epoch.value()}});
  return true;
}

bool World::heartbeat(BrokerId broker) {
  const auto& known = *image_->find_broker(broker);
  if (!known.fenced || !processes_.at(broker).alive) return false;
  commit(UnfenceBrokerRequest{broker, BrokerEpoch{known.broker_epoch.value()}});
  return true;
}

bool World::stop(BrokerId broker) {
  if (!registered_fit(broker)) return false;
  commit(StopBrokerRequest{broker, BrokerEpoch{image_->find_broker(broker)->broker_epoch.value()}});
  return true;
}

bool World::lose_log(const TopicIdPartition& id, BrokerId broker) {
  if (!processes_.at(broker).alive || !has_broker(partition(id).replicas, broker)) return false;
  const auto before = partition(id);
  losing_log_ = true;
  commit(GiveUpReplicasRequest{broker, BrokerEpoch{image_->find_broker(broker)->broker_epoch.value()}, {id}});
  losing_log_ = false;
  const auto& now = partition(id);
  if (now.leader_epoch == before.leader_epoch) {
    CHECK(now == before);
    return false;
  }
  CHECK(now.leader != no_broker);
  CHECK(now.leader != broker);
  CHECK_FALSE(has_broker(now.isr, broker));
  CHECK_FALSE(has_broker(now.eligible_leader_replicas, broker));
  logs_[id].held[broker] = 0;
  ++logs_lost;
  return true;
}

// --- what operators do

bool World::drain(BrokerId broker, bool drain) {
  if (image_->find_broker(broker)->draining == drain) return false;
  commit(DrainBrokerRequest{.broker = broker, .drain = drain});
  return true;
}

bool World::balance(std::size_t moves_max) {
  commit(BalanceLeadersRequest{.moves_max = moves_max});
  return true;
}

bool World::elect(const TopicIdPartition& id, BrokerId to, bool unclean) {
  commit(ElectLeadersRequest{.partitions = {id}, .to = to, .unclean = unclean});
  return true;
}

bool World::reassign(const TopicIdPartition& id, const std::optional<std::vector<BrokerId>>& replicas) {
  commit(ReassignPartitionsRequest{{{id, replicas}}});
  return true;
}

bool World::set(const TopicId& topic, const std::string& name, const std::string& value) {
  const auto found = image_->find_topic(topic);
  const auto decision = decide_alter(*image_, {.name = found->name, .config = {{name, value}}}, Requester::client);
  if (!decision) FAIL(to_string(decision.error()));
  if (decision->records.empty()) return false;
  commit(decision->records, {});
  for (const auto& id : partitions_) advance(id);
  return true;
}

// --- what must hold

void World::commit(const ClusterRequest& request) {
  auto decision = decide_cluster(*image_, request);
  if (!decision) FAIL(to_string(decision.error()));
  for (const auto& one : decision->answer.partitions) refusals += one ? 0 : 1;
  commit(std::move(decision->records), decision->answer.unclean);
}

void World::commit(std::vector<MetadataRecord> records, const std::vector<UncleanElection>& unclean) {
  for (auto& record : records) {
    const auto decoded = decode_metadata_record(encode_metadata_record(record));
    if (!decoded || *decoded != record) FAIL("a record does not come back from its bytes");
  }
  const auto before = image_;
  image_ = apply_records(image_, records).after;
  std::ranges::move(records, std::back_inserter(log_));
  unclean_elections += unclean.size();
  for (const auto& one : unclean) {
    auto& log = logs_[one.partition];
    log.committed = std::min(log.committed, log.held[one.leader]);
    REQUIRE(partition(one.partition).leader == one.leader);
    REQUIRE(partition(one.partition).leader_epoch == one.leader_epoch);
  }
  check_step(*before);
  for (const auto& id : partitions_) check_partition(id);
}

/// Epochs never go back; a change of a partition raises its partition epoch; another leader, or another run of it, the leader epoch.
void World::check_step(const MetadataImage& before) {
  const auto run_of = [](const MetadataImage& image, BrokerId broker) {
    const auto* known = image.find_broker(broker);
    return known == nullptr ? no_offset : known->broker_epoch;
  };
  for (const auto& id : partitions_) {
    const auto topic = before.find_topic(id.topic_id);
    if (!topic) continue;
    const auto& was = topic->partitions[static_cast<std::size_t>(id.partition.value())];
    const auto& now = partition(id);
    const auto hold = [&](bool holds, const char* rule) {
      if (!holds) FAIL(rule << "\nbefore: " << text(was) << "\nnow:    " << text(now));
    };
    hold(now == was || now.partition_epoch > was.partition_epoch, "every change raises the partition epoch");
    hold(now.leader_epoch >= was.leader_epoch, "leader epochs never go back");
    const bool same_run = now.leader == was.leader && run_of(*image_, now.leader) == run_of(before, was.leader);
    hold(same_run || now.leader_epoch > was.leader_epoch, "SingleLeaderPerEpoch");
    hold(!same_run || now.leader_epoch == was.leader_epoch || losing_log_, "a leader's epoch ends with its leadership");
    if (has_broker(was.eligible_leader_replicas, now.leader)) ++eligible_elections;
  }
}

void World::check_partition(const TopicIdPartition& id) const {
  const auto& now = partition(id);
  const auto& log = logs_.at(id);
  const auto hold = [&](bool holds, const char* rule) {
    if (!holds) FAIL(rule << "\n" << text(now));
  };
  const auto are_replicas = [&](const std::vector<BrokerId>& brokers) {
    return std::set(brokers.begin(), brokers.end()).size() == brokers.size() && without(brokers, now.replicas).empty();
  };
  const auto live = [&](BrokerId broker) { return !image_->find_broker(broker)->fenced; };
  hold(now.leader == no_broker || has_broker(now.isr, now.leader), "LeaderInIsr");
  hold(now.leader == no_broker || live(now.leader), "no leader is fenced");
  hold(!now.replicas.empty() && are_replicas(now.replicas), "each replica once");
  hold(are_replicas(now.isr), "the ISR is of replicas");
  hold(are_replicas(now.eligible_leader_replicas), "the ELR is of replicas");
  hold(are_replicas(now.adding_replicas) && are_replicas(now.removing_replicas), "what is added and removed are replicas");
  hold(without(now.adding_replicas, now.removing_replicas) == now.adding_replicas, "nothing is added and removed");
  hold(without(now.isr, now.eligible_leader_replicas) == now.isr, "ISR and ELR are disjoint");
  if (now.isr.empty()) {
    hold(now.leader == no_broker && now.last_known_leader != no_broker, "an empty ISR has a last known leader");
  } else {
    hold(now.last_known_leader == no_broker, "only an empty ISR has a last known leader");
  }
  hold(now.eligible_leader_replicas.empty() || now.isr.size() < min_insync_replicas(id), "an ELR only below the minimum");
  hold(now.isr.size() < 2 || std::ranges::all_of(now.isr, live), "only the last member of an ISR may be fenced");
  if (now.leader == no_broker) {
    hold(std::ranges::none_of(now.isr, live) && std::ranges::none_of(now.eligible_leader_replicas, live),
         "who can be elected cleanly is");
  }
  const auto holds_all = [&](BrokerId broker) {
    return processes_.at(broker).lost_records || log.held.at(broker) >= log.committed;
  };
  hold(std::ranges::all_of(now.isr, holds_all) && std::ranges::all_of(now.eligible_leader_replicas, holds_all),
       "AckedRecordsSurvive: whoever may be elected cleanly holds all that is committed");
}

void World::check_replay() const {
  const auto replayed = apply_records(empty_image(), log_).after;
  REQUIRE(same_content(*replayed, *image_));
  const auto restored = decode_snapshot(encode_snapshot(*image_));
  REQUIRE(restored);
  REQUIRE(same_content(**restored, *image_));
}

std::string World::key() const {
  std::string key;
  for (const auto& one : image_->registrations()) {
    const auto& process = processes_.at(one.broker.id);
    key += to_string(one.broker.id) + (one.fenced ? "f" : "") + (one.draining ? "d" : "") + (one.stopping ? "s" : "") +
           (process.alive ? "a" : "") + (process.ended_in_order ? "o" : "") + (process.lost_records ? "l" : "") + ";";
  }
  for (const auto& id : partitions_) {
    auto now = partition(id);
    now.leader_epoch = LeaderEpoch{0};
    key += text(now) + " last " + to_string(now.last_known_leader) + " committed " + std::to_string(logs_.at(id).committed);
    for (const auto& [broker, held] : logs_.at(id).held) key += " " + std::to_string(held);
  }
  return key;
}

}  // namespace troupe::test
