#include "tests/sim/replication/sim_node.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "core/record/record_batch.hpp"
#include "core/replication/fetch_codec.hpp"
#include "core/replication/leader_calls.hpp"

namespace troupe::sim {

using namespace replication;

namespace {

constexpr std::int64_t flush_interval_us = 400'000;

int address(BrokerId broker) { return broker.value(); }

}  // namespace

SimNode::SimNode(SimWorld& world, BrokerId id)
    : world_(world),
      id_(id),
      disk_(static_cast<std::size_t>(world.settings.partitions)),
      image_(static_cast<std::size_t>(world.settings.partitions)),
      lost_(static_cast<std::size_t>(world.settings.partitions)) {}

/// With where its log stands.
void SimNode::say(std::size_t partition, const std::string& what) const {
  if (!world_.log) return;
  const auto& log = disk_[partition];
  world_.log("n" + to_string(id_) + " partition " + std::to_string(partition) + " " + what + "; log " +
             to_string(log.log_start()) + " to " + to_string(log.log_end()) + ", on disk " + to_string(log.durable_end()) +
             ", hw " + to_string(roles_[partition].seen_high_watermark));
}

// --- life and death

void SimNode::start() {
  up_ = true;
  ++run_;
  roles_.clear();
  roles_.resize(disk_.size());
  for (std::size_t p = 0; p < disk_.size(); ++p) {
    disk_[p].sync(disk_[p].log_end());  // what recovery found, it syncs
    roles_[p].seen_high_watermark = std::clamp(disk_[p].stored_high_watermark, disk_[p].log_start(), disk_[p].log_end());
  }
  server_.emplace(FetchSessionServer::Options{.first_id = FetchSessionId{static_cast<std::int64_t>(world_.prng.next() >> 2)},
                                              .partition_bytes_max = 2'048});
  world_.control->started(*this);
  if (world_.settings.flush == Flush::interval) flush_later();
}

void SimNode::crash(CrashKind kind) {
  up_ = paused_ = dying_ = false;
  ++run_;
  if (kind == CrashKind::disk_lost) {
    for (auto& log : disk_) log = SimLog{};
    intact_ = false;
    lost_.assign(lost_.size(), true);
  }
  if (kind == CrashKind::power) {
    for (std::size_t p = 0; p < disk_.size(); ++p) {
      const bool lost = disk_[p].lose_unsynced(world_.prng);
      if (lost) ++world_.marks["torn tail cut"];
      if (world_.settings.flush == Flush::interval && lost) {
        intact_ = false;
        lost_[p] = true;
      }
    }
  }
  roles_.clear();
  fetchers_.clear();
  server_.reset();
  refusals_.clear();
  unlinked_.clear();
  stash_.clear();
  armed_.reset();
  broker_epoch_ = no_broker_epoch;
}

void SimNode::run(std::uint64_t run, SimWorld::Work work) {
  if (!up_ || run != run_ || dying_) return;
  if (paused_) {
    stash_.push_back(std::move(work));
    return;
  }
  work();
  if (up_) after();
}

void SimNode::resume() {
  paused_ = false;
  auto stash = std::move(stash_);
  stash_.clear();
  for (auto& work : stash) run(run_, std::move(work));
}

void SimNode::take(std::size_t partition, const PartitionState& state) {
  image_[partition] = state;
  if (auto& leader = roles_[partition].leader) {
    LeaderEffects effects;
    leader->on_partition(state, now(), effects);
    perform(partition, std::move(effects));
  }
}

void SimNode::settle_roles() {
  for (std::size_t p = 0; p < roles_.size(); ++p) reconcile(p);
}

void SimNode::act_as(BrokerEpoch epoch) {
  if (epoch == broker_epoch_) return;
  broker_epoch_ = epoch;
  fetchers_.clear();  // they speak for the run before
  for (auto& role : roles_) role.followed = no_broker;
  settle_roles();
}

void SimNode::broker_back(BrokerId broker) {
  for (std::size_t p = 0; p < roles_.size(); ++p) {
    if (!roles_[p].leader || !contains(image_[p].replicas, broker)) continue;
    LeaderEffects effects;
    roles_[p].leader->on_broker_back(now(), effects);
    perform(p, std::move(effects));
  }
}

// --- roles

LeaderReplica::Options SimNode::leader_options(LeaderEpoch epoch) const {
  const auto& settings = world_.settings;
  return {.epoch = epoch,
          .min_insync_replicas = static_cast<std::int32_t>(settings.min_insync_replicas),
          .flush = settings.flush,
          .replica_lag_max_ms = settings.lag_max_ms,
          .unlinked_max_ms = settings.unlinked_max_ms,
          .alter_retry_ms = 300};
}

void SimNode::reconcile(std::size_t partition) {
  if (broker_epoch_ == no_broker_epoch || dying_) return;
  auto& role = roles_[partition];
  const auto& state = image_[partition];
  const bool leads = state.leader == id_;
  if (role.leader && (!leads || role.leader->epoch() != state.leader_epoch || role.leader->ended())) end_leader(partition);
  if (leads && role.follower) end_follower(partition);
  if (role.writing || !role.writes.empty()) return;  // again when the list is empty
  if (leads && !role.leader) return lead(partition);
  if (leads) return;
  if (contains(state.replicas, id_)) return follow(partition);
  if (role.follower) end_follower(partition);  // the log stays
}

void SimNode::lead(std::size_t partition) {
  auto& role = roles_[partition];
  const auto& log = disk_[partition];
  const auto& state = image_[partition];
  role.incarnation = next_incarnation_++;
  const bool in_force = world_.control->state(partition).leader_epoch == state.leader_epoch;
  world_.invariants.leader_begins(partition, id_, state.leader_epoch, in_force, log);
  if (world_.log) say(partition, "leads epoch " + to_string(state.leader_epoch));
  if (role.seen_high_watermark < log.log_end()) ++world_.marks["leader elected with an uncommitted tail"];
  role.leader.emplace(leader_options(state.leader_epoch), IsrMember{id_, broker_epoch_}, state,
                      ReplicaStart{.log_start = log.log_start(),
                                   .log_end = log.log_end(),
                                   .durable_end = log.durable_end(),
                                   .high_watermark = role.seen_high_watermark,
                                   .epochs = log.epochs(),
                                   .producers = log.producers()});
  LeaderEffects effects;
  role.leader->begin(now(), effects);
  for (const auto peer : unlinked_) role.leader->on_link(peer, false, now(), effects);
  perform(partition, std::move(effects));
}

void SimNode::end_leader(std::size_t partition) {
  auto& role = roles_[partition];
  LeaderEffects effects;
  role.leader->resign(effects);
  perform(partition, std::move(effects));
  role.leader.reset();
  role.incarnation = next_incarnation_++;
  role.slots.clear();
  role.own_slots.clear();
  role.parked.clear();
  role.unsynced.clear();
  role.sync_queued = false;
}

void SimNode::end_follower(std::size_t partition) {
  auto& role = roles_[partition];
  if (const auto session = fetchers_.find(role.followed); session != fetchers_.end()) {
    session->second.remove(partition_id(partition));
  }
  role.followed = no_broker;
  FollowerEffects effects;
  role.follower->stop(effects);
  role.follower.reset();
  role.incarnation = next_incarnation_++;
  role.sync_queued = false;
}

void SimNode::follow(std::size_t partition) {
  auto& role = roles_[partition];
  const auto& log = disk_[partition];
  const auto& state = image_[partition];
  if (!role.follower) {
    role.incarnation = next_incarnation_++;
    role.follower.emplace(FollowerReplica::Options{role.incarnation, 60},
                          FollowerReplica::Log{.log_start = log.log_start(),
                                               .log_end = log.log_end(),
                                               .durable_end = log.durable_end(),
                                               .high_watermark = role.seen_high_watermark,
                                               .epochs = log.epochs()});
    if (world_.settings.flush == Flush::fsync && log.durable_end() < log.log_end()) queue_follower_sync(partition);
  }
  if (role.followed != state.leader) {
    if (const auto session = fetchers_.find(role.followed); session != fetchers_.end()) {
      session->second.remove(partition_id(partition));
    }
    role.followed = state.leader;
  }
  FollowerEffects effects;
  if (state.leader == no_broker) {
    role.follower->stop(effects);
  } else {
    fetchers_.try_emplace(state.leader, FetchSession::Options{.replica = id_,
                                                              .broker_epoch = broker_epoch_,
                                                              .wait_ms_max = 300,
                                                              .answer_ms_max = 400,
                                                              .retry_ms = 20,
                                                              .bytes_max = world_.settings.fetch_bytes_max});
    role.follower->follow(state.leader_epoch, effects);
  }
  perform(partition, std::move(effects));
}

const LeaderReplica* SimNode::leader(std::size_t partition) const {
  if (!up_ || roles_.empty() || !roles_[partition].leader || roles_[partition].leader->ended()) return nullptr;
  return &*roles_[partition].leader;
}

Offset SimNode::log_start(std::size_t partition) const {
  const auto on_disk = disk_[partition].log_start();
  if (!up_ || !roles_[partition].follower) return on_disk;
  return std::max(on_disk, roles_[partition].follower->log_start());
}

Offset SimNode::high_watermark(std::size_t partition) const { return roles_[partition].seen_high_watermark; }

// --- effects

void SimNode::perform(std::size_t partition, LeaderEffects effects) {
  auto& role = roles_[partition];
  for (auto& append : effects.appends) this->append(partition, std::move(append));
  watch(partition);
  for (auto& answer : effects.answers) {
    if (auto own = role.own_slots.extract(answer.slot)) {
      world_.queue.after_us(0, [this, run = run_, answered = std::move(own.mapped()), results = std::move(answer.results)] {
        this->run(run, [&] { answered(results); });
      });
      continue;
    }
    const auto slot = role.slots.find(answer.slot);
    if (slot == role.slots.end()) continue;
    for (const auto& result : answer.results) {
      if (result && result->duplicate) ++world_.marks["duplicate answered"];
      if (!result) ++world_.marks["produce: " + std::string(to_string(result.error().code))];
    }
    const auto [client, number] = slot->second;
    role.slots.erase(slot);
    const auto bytes = Bytes::adopt(encode_leader_answer(ProduceSlotAnswer{std::move(answer.results)}));
    world_.send(address(id_), client, [this, client = client, number = number, bytes] {
      auto told = decode_produce_answer(bytes);
      if (!told) return world_.invariants.fail("MessagesDecode", told.error().message);
      world_.answer_client(client, number, std::move(told->results));
    });
  }
  for (const auto broker : effects.followers_ready) server_->on_news(broker, partition_id(partition));
  if (effects.alter) {
    if (world_.log) {
      std::string wanted = "asks for the isr";
      for (const auto& member : effects.alter->isr) wanted += " " + to_string(member.broker);
      say(partition, wanted);
    }
    world_.control->alter(*this, partition, *effects.alter);
  }
  for (const auto token : effects.readable) {
    const auto at = role.parked.find(token);
    if (at == role.parked.end()) continue;
    const auto [reader, number, from] = at->second;
    role.parked.erase(at);
    answer_reader(reader, number, committed_records(partition, from));
  }
  if (effects.load_claims) load_claims(partition);
  if (effects.sync) queue_leader_sync(partition);
  if (effects.reopen) {
    const auto incarnation = role.incarnation;
    write(partition, [this, partition, incarnation] {
      auto& now_role = roles_[partition];
      if (now_role.incarnation != incarnation || !now_role.leader) return;
      const auto& log = disk_[partition];
      LeaderEffects more;
      now_role.leader->on_reopened(log.log_start(), log.log_end(), log.producers(), more);
      perform(partition, std::move(more));
    });
  }
}

void SimNode::append(std::size_t partition, LeaderEffects::Append append) {
  auto& role = roles_[partition];
  ByteBuffer bytes;
  for (const auto& batch : append.batches) {
    const auto at = bytes.size();
    append_bytes(bytes, batch.bytes);
    record::stamp_batch(MutableByteView{bytes}.subspan(at), batch.base_offset, role.leader->epoch());
  }
  const bool full = world_.prng.chance(world_.settings.full_disk_permille, 1000);
  write(partition, [this, partition, full, incarnation = role.incarnation, token = append.token,
                    run_of_bytes = Bytes::adopt(std::move(bytes))] {
    const auto status = full ? Status{Error{Errc::storage_full, "no space"}} : disk_[partition].append(run_of_bytes);
    auto& now_role = roles_[partition];
    if (now_role.incarnation != incarnation || !now_role.leader) return;
    LeaderEffects effects;
    if (world_.settings.flush == Flush::interval) {
      now_role.leader->on_appended(token, status, effects);
    } else {
      now_role.unsynced.emplace_back(token, status);
      if (world_.settings.written_told && status) now_role.leader->on_written(disk_[partition].log_end(), effects);
      queue_leader_sync(partition);
    }
    perform(partition, std::move(effects));
  });
}

void SimNode::queue_leader_sync(std::size_t partition) {
  auto& role = roles_[partition];
  if (std::exchange(role.sync_queued, true)) return;
  const bool fails =
      world_.settings.failing_sync_permille > 0 && world_.prng.chance(world_.settings.failing_sync_permille, 1000);
  write(partition, [this, partition, fails, incarnation = role.incarnation] {
    auto& now_role = roles_[partition];
    if (fails && now_role.incarnation == incarnation && now_role.leader) return sync_failed(partition);
    disk_[partition].sync(disk_[partition].log_end());
    if (now_role.incarnation != incarnation || !now_role.leader) return;
    now_role.sync_queued = false;
    LeaderEffects effects;
    now_role.leader->on_durable(std::min(disk_[partition].log_end(), now_role.leader->epoch_start()), effects);
    for (const auto& [token, status] : std::exchange(now_role.unsynced, {})) {
      now_role.leader->on_appended(token, status, effects);
    }
    perform(partition, std::move(effects));
  });
}

/// Nobody knows what is on the disk: the leader ends, and the node begins anew from what it finds there.
void SimNode::sync_failed(std::size_t partition) {
  auto& role = roles_[partition];
  ++world_.marks["sync failed"];
  LeaderEffects effects;
  for (const auto& [token, status] : std::exchange(role.unsynced, {})) {
    role.leader->on_appended(token, Error{Errc::storage_error, "the sync failed"}, effects);
  }
  dying_ = true;
  perform(partition, std::move(effects));
  world_.disk_failed(id_);
}

void SimNode::perform(std::size_t partition, FollowerEffects effects) {
  auto& role = roles_[partition];
  const auto done = [this, partition, incarnation = role.incarnation](std::uint64_t token, const Status& status) {
    auto& now_role = roles_[partition];
    if (now_role.incarnation != incarnation || !now_role.follower) return;
    FollowerEffects more;
    now_role.follower->on_stored(incarnation, token, status, now(), more);
    perform(partition, std::move(more));
    if (status && world_.settings.flush == Flush::fsync) queue_follower_sync(partition);
  };
  if (effects.log_start) {
    write(partition, [this, partition, offset = *effects.log_start] {
      disk_[partition].move_start(offset, chain_of_lost(partition, offset));
    });
  }
  if (effects.append) {
    const bool full = world_.prng.chance(world_.settings.full_disk_permille, 1000);
    write(partition, [this, partition, done, full, append = *effects.append] {
      done(append.token, full ? Status{Error{Errc::storage_full, "no space"}} : disk_[partition].append(append.batches));
    });
  }
  if (effects.truncate) {
    ++world_.marks["follower truncated"];
    write(partition, [this, partition, done, truncate = *effects.truncate] {
      disk_[partition].truncate(truncate.offset);
      if (world_.log) say(partition, "was cut");
      if (disk_[partition].log_end() != truncate.offset)
        world_.invariants.fail("TruncatedAtBatch", to_string(truncate.offset));
      world_.check_isr(partition);
      done(truncate.token, ok());
    });
  }
  if (effects.restart) {
    ++world_.marks["follower started over"];
    if (effects.restart->offset > Offset{0}) world_.invariants.producers_forgotten(partition);
    write(partition, [this, partition, done, restart = *effects.restart] {
      disk_[partition].restart(restart.offset, chain_of_lost(partition, restart.offset).value_or(0));
      done(restart.token, ok());
    });
  }
  if (effects.records_lost && !world_.invariants.lossy(partition)) {
    world_.invariants.fail("AckedRecordsSurvive", "broker " + to_string(id_) + ": " + effects.warning->message);
  }
  watch(partition);
  if (effects.moved) state_position(partition);
}

/// The chain of the records below `offset`, which this log does not keep: what was committed there, or else what its leader has.
std::optional<std::uint64_t> SimNode::chain_of_lost(std::size_t partition, Offset offset) const {
  if (const auto committed = world_.invariants.committed_chain(partition, offset)) return committed;
  for (const auto& one : world_.replicas(partition)) {
    if (one.broker == roles_[partition].followed) return one.log->chain_at(offset);
  }
  return std::nullopt;
}

void SimNode::queue_follower_sync(std::size_t partition) {
  auto& role = roles_[partition];
  if (std::exchange(role.sync_queued, true)) return;
  write(partition, [this, partition, incarnation = role.incarnation] {
    disk_[partition].sync(disk_[partition].log_end());
    auto& now_role = roles_[partition];
    if (now_role.incarnation != incarnation || !now_role.follower) return;
    now_role.sync_queued = false;
    FollowerEffects effects;
    now_role.follower->on_durable(incarnation, disk_[partition].durable_end(), effects);
    perform(partition, std::move(effects));
  });
}

/// One after another, each after a while: what was begun before a crash may not have happened.
void SimNode::write(std::size_t partition, SimWorld::Work work) {
  auto& role = roles_[partition];
  const auto& settings = world_.settings;
  auto delay_us = static_cast<std::int64_t>(50 + world_.prng.below(static_cast<std::uint64_t>(settings.disk_us_max)));
  if (settings.slow_disk_permille > 0 && world_.prng.chance(settings.slow_disk_permille, 1000))
    delay_us = settings.slow_disk_us;
  role.writes.push_back({delay_us, std::move(work)});
  if (!role.writing) next_write(partition);
}

void SimNode::next_write(std::size_t partition) {
  auto& role = roles_[partition];
  if (role.writes.empty()) {
    role.writing = false;
    return reconcile(partition);
  }
  role.writing = true;
  auto next = std::move(role.writes.front());
  role.writes.pop_front();
  const auto run = run_;
  world_.queue.after_us(next.delay_us, [this, run, partition, work = std::move(next.work)] {
    this->run(run, [this, partition, work] {
      work();
      next_write(partition);
    });
  });
}

void SimNode::flush_later() {
  const auto run = run_;
  world_.queue.after_us(flush_interval_us, [this, run] {
    this->run(run, [this] {
      for (auto& log : disk_) log.sync(log.log_end());
      for (std::size_t p = 0; p < roles_.size(); ++p) {
        if (!roles_[p].follower) continue;
        FollowerEffects effects;
        roles_[p].follower->on_durable(roles_[p].incarnation, disk_[p].durable_end(), effects);
        perform(p, std::move(effects));
      }
      flush_later();
    });
  });
}

/// The watermark as it is now goes to the invariants, and sometimes to the disk.
void SimNode::watch(std::size_t partition) {
  auto& role = roles_[partition];
  if (role.leader && !role.leader->ended()) {
    world_.invariants.leader_view(partition, id_, role.leader->isr().committed());
  }
  if (!role.leader && !role.follower) return;
  const auto at = role.leader ? role.leader->high_watermark() : role.follower->high_watermark();
  const auto start = role.leader ? role.leader->log_start() : role.follower->log_start();
  if (at == role.seen_high_watermark) return;
  world_.note(static_cast<std::uint64_t>(at.value()) * 31 + static_cast<std::uint64_t>(id_.value()));
  world_.invariants.high_watermark(partition, id_, role.seen_high_watermark, at, start, disk_[partition],
                                   world_.replicas(partition),
                                   std::min(world_.copies_needed(partition), image_[partition].replicas.size()));
  role.seen_high_watermark = at;
  if (world_.log) say(partition, role.leader ? "moves its watermark" : "hears of the watermark");
  world_.check_isr(partition);
  if (world_.prng.chance(1, 8)) disk_[partition].stored_high_watermark = at;
}

// --- messages

void SimNode::produce(int client, std::uint64_t slot, std::size_t partition, std::vector<NewBatch> batches,
                      const ProduceTerms& terms) {
  auto& role = roles_[partition];
  if (!role.leader) {
    std::vector<Result<PlacedRecords>> refused(batches.size(), Error{Errc::not_leader_or_follower, "not the leader"});
    return world_.send(address(id_), client,
                       [this, client, slot, refused = std::move(refused)] { world_.answer_client(client, slot, refused); });
  }
  const auto number = role.next_slot++;
  role.slots.emplace(number, std::pair{client, slot});
  LeaderEffects effects;
  role.leader->on_produce(number, std::move(batches), terms, effects);
  perform(partition, std::move(effects));
}

void SimNode::fetch_request(const Bytes& bytes) {
  const auto request = decode_fetch_request(bytes);
  TROUPE_ASSERT(request);
  FetchServerEffects effects;
  server_->on_request(*request, now(), effects);
  for (auto& refusal : effects.refusals) {
    ++world_.marks["session refused: " + std::string(to_string(*refusal.error))];
    world_.send(address(id_), address(request->replica),
                [this, to = request->replica, answer = Bytes::adopt(encode_fetch_answer(refusal))] {
                  world_.deliver_answer(address(id_), address(to), answer);
                });
  }
  for (const auto& [session, id, fetch] : effects.statements) {
    const auto partition = world_.index_of(id);
    auto& role = roles_[partition];
    refusals_.erase({fetch.replica, partition});
    if (!role.leader) {
      refusals_[{fetch.replica, partition}] = {.error = Errc::not_leader_or_follower,
                                               .fetch_offset = fetch.position.fetch_offset,
                                               .last_fetched_epoch = fetch.position.last_fetched_epoch};
      server_->on_news(session, id);
      continue;
    }
    LeaderEffects leader_effects;
    const auto has_news = role.leader->on_fetch(fetch, now(), leader_effects);
    if (!has_news) {
      ++world_.marks["fetch refused: " + std::string(to_string(has_news.error().code))];
      refusals_[{fetch.replica, partition}] = role.leader->refusal_answer(fetch, has_news.error().code);
    }
    if (!has_news || *has_news) server_->on_news(session, id);
    perform(partition, std::move(leader_effects));
  }
}

void SimNode::fetch_answer(int from, const Bytes& bytes) {
  auto answer = decode_fetch_answer(bytes);
  TROUPE_ASSERT(answer);
  const auto session = fetchers_.find(BrokerId{from});
  if (session == fetchers_.end()) return;
  for (auto& [id, one] : session->second.on_answer(*std::move(answer), now())) {
    const auto partition = world_.index_of(id);
    auto& role = roles_[partition];
    if (!role.follower || role.followed != BrokerId{from}) continue;
    if (one.diverging) ++world_.marks["diverging epoch told"];
    FollowerEffects effects;
    role.follower->on_answer(one, now(), effects);
    perform(partition, std::move(effects));
  }
}

void SimNode::alter_answer(std::size_t partition, std::uint64_t request, const Result<PartitionState>& answer) {
  auto& role = roles_[partition];
  if (!role.leader) return;
  LeaderEffects effects;
  role.leader->on_alter_answer(request, answer, now(), effects);
  perform(partition, std::move(effects));
}

void SimNode::move_log_start(std::size_t partition, Offset offset) {
  auto& role = roles_[partition];
  if (!role.leader || role.leader->ended()) return;
  const auto to = std::min(offset, role.leader->high_watermark());
  write(partition, [this, partition, to, incarnation = role.incarnation] {
    auto& now_role = roles_[partition];
    if (now_role.incarnation != incarnation || !now_role.leader) return;
    disk_[partition].move_start(to);
    LeaderEffects effects;
    now_role.leader->on_log_start(disk_[partition].log_start(), effects);
    perform(partition, std::move(effects));
  });
}

// --- pumps and timers

void SimNode::state_position(std::size_t partition) {
  auto& role = roles_[partition];
  const auto session = fetchers_.find(role.followed);
  if (!role.follower || session == fetchers_.end()) return;
  if (const auto position = role.follower->position()) {
    session->second.set(partition_id(partition), *position);
  } else {
    session->second.pause(partition_id(partition));
  }
}

void SimNode::pump_fetchers() {
  for (auto& [peer, session] : fetchers_) {
    while (const auto request = session.next_request(now())) {
      world_.send(address(id_), address(peer), [this, to = peer, bytes = Bytes::adopt(encode_fetch_request(*request))] {
        world_.deliver_request(address(to), bytes);
      });
    }
  }
}

void SimNode::pump_server() {
  for (const auto session : server_->due(now())) {
    const auto peer = server_->replica_of(session);
    while (const auto turn = server_->next_turn(session)) {
      const auto partition = world_.index_of(turn->id);
      auto& role = roles_[partition];
      ReplicaAnswer answer{.error = Errc::not_leader_or_follower};
      const auto refusal = refusals_.find({turn->replica, partition});
      if (refusal != refusals_.end()) {
        answer = refusal->second;
        refusals_.erase(refusal);
      } else if (role.leader) {
        if (auto told = role.leader->answer_follower(turn->replica)) answer = *std::move(told);
        if (!answer.error && !answer.diverging && answer.log_end > answer.fetch_offset) {
          answer.records = disk_[partition].read(answer.fetch_offset, answer.log_end, turn->bytes_max);
        }
      }
      server_->put(session, turn->id, std::move(answer));
    }
    const auto answer = server_->finish(session);
    if (!answer || !peer) continue;
    world_.send(address(id_), address(*peer), [this, to = *peer, bytes = Bytes::adopt(encode_fetch_answer(*answer))] {
      world_.deliver_answer(address(id_), address(to), bytes);
    });
  }
}

void SimNode::after() {
  pump_server();
  pump_fetchers();
  arm();
}

void SimNode::arm() {
  std::optional<MonotonicMs> next = server_->next_deadline();
  const auto keep = [&](std::optional<MonotonicMs> one) {
    if (one && (!next || *one < *next)) next = one;
  };
  for (const auto& role : roles_) {
    if (role.leader) keep(role.leader->next_deadline());
    if (role.follower) keep(role.follower->next_deadline());
  }
  for (const auto& [peer, session] : fetchers_) keep(session.next_deadline());
  if (!next || (armed_ && *armed_ <= *next)) return;
  armed_ = next;
  const auto run = run_;
  const auto delay_us = std::max<std::int64_t>(1'000, (*next - now()) * 1'000);
  world_.queue.after_us(delay_us, [this, run, at = *next] {
    this->run(run, [this, at] {
      if (armed_ == at) armed_.reset();
      for (std::size_t p = 0; p < roles_.size(); ++p) {
        if (roles_[p].leader) {
          LeaderEffects effects;
          roles_[p].leader->on_deadline(now(), effects);
          perform(p, std::move(effects));
        }
        if (roles_[p].follower) {
          FollowerEffects effects;
          roles_[p].follower->on_deadline(now(), effects);
          perform(p, std::move(effects));
        }
      }
      for (auto& [peer, session] : fetchers_) session.on_deadline(now());
    });
  });
}

}  // namespace troupe::sim
