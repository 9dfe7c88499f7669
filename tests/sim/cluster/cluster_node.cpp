#include "tests/sim/cluster/cluster_node.hpp"

#include "core/metadata/command_codec.hpp"
#include "core/metadata/heartbeat_codec.hpp"
#include "core/metadata/snapshot.hpp"

namespace troupe::sim {

using namespace metadata;

namespace {

constexpr Millis heartbeat_ms = 250;
constexpr Millis stopping_heartbeat_ms = 25;
constexpr Millis duty_ms_max = 10'000;
constexpr Millis alter_ms_max = 2'000;

}  // namespace

replication::PartitionState partition_state_of(const PartitionImage& image) {
  return {.leader_epoch = image.leader_epoch,
          .partition_epoch = image.partition_epoch,
          .leader = image.leader,
          .replicas = image.replicas,
          .isr = image.isr,
          .eligible_leader_replicas = image.eligible_leader_replicas};
}

ClusterNode::ClusterNode(ClusterWorld& world, BrokerId id)
    : world_(world), id_(id), replicas_(world.replication, id), prng_(world.replication.prng.next()) {}

metadata::BrokerImage ClusterNode::self() const {
  return {.id = id_, .host = "host-" + to_string(id_), .port = 8080, .directory_id = disk_of(id_, disks_)};
}

// --- life and death

void ClusterNode::start() {
  if (up()) return;
  incarnation_ = Uuid::random(prng_);
  formatted_ = false;
  machine_.emplace(MetadataMachine::Options{.broker = self(),
                                            .incarnation = incarnation_,
                                            .new_uuid = [this] { return Uuid::random(prng_); },
                                            .snapshot_records_min = world_.snapshot_records_min,
                                            .may_register = [this](const RegisterBrokerRequest& request) -> Status {
                                              if (request.broker.id == id_) return ok();  // that is this process
                                              auto allowed = duties_->check_registration(request, now());
                                              check_replaced(request, allowed);
                                              return allowed;
                                            }});
  duties_.emplace(ControllerDuties::Options{.liveness = world_.liveness, .balance_ms = 1'500});
  const auto& disk = world_.quorum.disk(id_);
  if (disk.hard_state && !disk.hard_state->cluster_id.is_nil()) machine_->formatted(disk.hard_state->cluster_id);
  ImagePtr image;
  if (disk.snapshot) {
    auto decoded = decode_snapshot(state_of(disk.snapshot->bytes));
    if (!decoded) return world_.quorum.violated("SnapshotsDecode", decoded.error().message);
    image = std::move(*decoded);
  }
  const auto log_end = disk.log.end();
  replicas_.start();
  perform(machine_->opened(image, log_end, now()));
  world_.quorum.start(id_);
  note_formatted();
  heartbeat();
}

void ClusterNode::crash(CrashKind kind) {
  if (!up()) return;
  replicas_.crash(kind);
  if (kind == CrashKind::disk_lost) {
    ++disks_;
    world_.quorum.wipe(id_);
  } else {
    world_.quorum.crash(id_);
  }
  machine_.reset();
  duties_.reset();
  asked_.clear();
  askers_.clear();
  calls_.clear();
  armed_for_.reset();
  on_stopped_ = nullptr;
  registering_ = false;
  heard_.clear();
}

void ClusterNode::pause() {
  world_.quorum.pause(id_);
  replicas_.pause();
}

void ClusterNode::resume() {
  world_.quorum.resume(id_);
  replicas_.resume();
}

void ClusterNode::stop_in_order(std::function<void()> on_stopped) { on_stopped_ = std::move(on_stopped); }

void ClusterNode::later(Millis delay_ms, SimWorld::Work work) {
  world_.replication.queue.after_us(
      delay_ms * 1'000, [this, run = replicas_.current_run(), work = std::move(work)] { replicas_.run(run, work); });
}

// --- commands

void ClusterNode::command(MetadataCommand command, Millis timeout_ms, Answered answered) {
  const auto token = ++last_token_;
  asked_.emplace(token, std::move(answered));
  perform(machine_->submit(token, std::move(command), now() + timeout_ms, now()));
}

void ClusterNode::alter(std::size_t partition, const replication::AlterPartition& request) {
  const auto* registration = image()->find_broker(id_);
  if (registration == nullptr) return;
  const auto id = world_.replication.id_of(partition);
  if (!image()->find_topic(id.topic_id)) return;
  IsrProposal proposal{.partition = id, .leader_epoch = request.leader_epoch, .partition_epoch = request.partition_epoch};
  for (const auto& member : request.isr) proposal.isr.push_back({member.broker, member.broker_epoch});
  AlterPartitionsRequest wanted{
      .broker = id_, .broker_epoch = BrokerEpoch{registration->broker_epoch.value()}, .proposals = {proposal}};
  command(ClusterCommand{wanted}, alter_ms_max,
          [this, partition, number = request.request](const Result<MetadataAnswer>& answer) {
            auto& marks = world_.replication.marks;
            if (!answer) {
              ++marks["alter failed: " + std::string(to_string(answer.error().code))];
              return;
            }
            const auto& one = std::get<ClusterAnswer>(answer->result).partitions.at(0);
            ++marks[one ? (one->isr.size() > 1 ? "isr changed" : "isr of one")
                        : "alter refused: " + std::string(to_string(one.error().code))];
            replicas_.alter_answer(partition, number,
                                   one ? Result<replication::PartitionState>{partition_state_of(*one)}
                                       : Result<replication::PartitionState>{one.error()});
          });
}

// --- the network

void ClusterNode::call(BrokerId to, Bytes request, Millis timeout_ms, std::function<void(const Result<Bytes>&)> answered) {
  const auto number = ++last_token_;
  calls_.emplace(number, std::move(answered));
  later(timeout_ms, [this, number] { answered_by_peer(number, Error{Errc::request_timed_out, "no answer in time"}); });
  auto& peer = world_.node(to);
  if (!peer.up() && prng_.chance(1, 2)) {
    return later(1, [this, number] { answered_by_peer(number, Error{Errc::broker_not_available, "there is no link"}); });
  }
  world_.replication.send(address(), to.value(), [&peer, from = id_, number, request = std::move(request)] {
    auto& replicas = peer.replicas_;
    replicas.run(replicas.current_run(), [&peer, from, number, request] { peer.called_by_peer(from, number, request); });
  });
}

void ClusterNode::called_by_peer(BrokerId from, std::uint64_t call, const Bytes& request) {
  const auto token = ++last_token_;
  if (is_heartbeat(request)) {
    const auto heartbeat = decode_heartbeat(request);
    if (!heartbeat) return world_.quorum.violated("MessagesDecode", heartbeat.error().message);
    askers_.emplace(token, Asker{from, call});
    duties_->on_image(machine_->image(), now());
    const auto* known = image()->find_broker(heartbeat->broker);
    if (known != nullptr && known->broker_epoch.value() == heartbeat->broker_epoch.value() && !known->stopping) {
      heard_[heartbeat->broker] = {known->incarnation, now()};
    }
    return perform(duties_->heartbeat(token, *heartbeat, now()));
  }
  auto sent = decode_command(request);
  if (!sent) return world_.quorum.violated("MessagesDecode", sent.error().message);
  askers_.emplace(token, Asker{from, call});
  perform(machine_->submit_of_peer(token, std::move(sent->command), now() + sent->timeout_ms, now()));
}

/// LiveRunsAreNotReplaced: a process that runs, and spoke to this controller within its session, is not replaced by another one that says
/// it is the same broker, a registration of an earlier run that comes late among them.
void ClusterNode::check_replaced(const RegisterBrokerRequest& request, const Status& allowed) {
  if (!allowed) {
    ++world_.replication.marks["registration refused: the broker is alive"];
    return;
  }
  const auto& other = world_.node(request.broker.id);
  const auto* known = image()->find_broker(request.broker.id);
  const auto heard = heard_.find(request.broker.id);
  const bool alive = known != nullptr && heard != heard_.end() && heard->second.first == known->incarnation &&
                     now() - heard->second.second < world_.liveness.session_timeout_ms && other.up() && !other.stopping() &&
                     other.incarnation() == known->incarnation;
  if (!alive || request.incarnation == known->incarnation) return;
  world_.replication.invariants.fail("LiveRunsAreNotReplaced", "broker " + to_string(request.broker.id) + " was heard of " +
                                                                   std::to_string(now() - heard->second.second) + " ms ago");
}

void ClusterNode::answer_peer(const Asker& asker, Result<Bytes> answer) {
  auto& peer = world_.node(asker.from);
  world_.replication.send(address(), asker.from.value(), [&peer, call = asker.call, answer = std::move(answer)] {
    auto& replicas = peer.replicas_;
    replicas.run(replicas.current_run(), [&peer, call, answer] { peer.answered_by_peer(call, answer); });
  });
}

/// Numbers are never used again, not by a later run either.
void ClusterNode::answered_by_peer(std::uint64_t call, const Result<Bytes>& answer) {
  const auto at = calls_.find(call);
  if (at == calls_.end()) return;
  const auto answered = std::move(at->second);
  calls_.erase(at);
  answered(answer);
}

void ClusterNode::peer_gone(BrokerId peer, const Uuid& incarnation) {
  if (!up()) return;
  duties_->on_image(machine_->image(), now());
  perform(duties_->peer_gone(peer, incarnation, now()));
  world_.quorum.hint_down(id_, peer);
}

void ClusterNode::peer_back(BrokerId peer, const Uuid& incarnation) {
  if (!up()) return;
  duties_->on_image(machine_->image(), now());
  perform(duties_->peer_up(peer, incarnation, now()));
  world_.quorum.hint_up(id_, peer);
}

// --- the quorum

void ClusterNode::note_formatted() {
  if (formatted_ || !machine_ || !world_.quorum.up(id_)) return;
  const auto& cluster = world_.quorum.node(id_).cluster_id();
  if (cluster.is_nil()) return;
  formatted_ = true;
  machine_->formatted(cluster);
}

void ClusterNode::delivered(const std::vector<quorum::LogEntry>& entries) {
  note_formatted();
  perform(machine_->delivered(entries, now()));
}

void ClusterNode::installed(const Bytes& state) {
  note_formatted();
  auto image = decode_snapshot(state);
  if (!image) return world_.quorum.violated("SnapshotsDecode", image.error().message);
  perform(machine_->installed(*image, now()));
}

void ClusterNode::proposed(std::uint64_t token, const Result<Offset>& answer) {
  perform(machine_->proposed(token, answer, now()));
}

void ClusterNode::role_changed(const quorum::RoleChanged& role) {
  note_formatted();
  if (role.leader != id_) duties_->end();
  perform(machine_->leader_changed(role.leader, now()));
}

void ClusterNode::leader_ready() {
  perform(machine_->ready_to_lead(now()));
  ++world_.replication.marks["controller ready"];
  perform(duties_->begin(machine_->image(), now()));
}

void ClusterNode::snapshot_written(const Status& status) { perform(machine_->snapshot_written(status)); }

// --- effects

void ClusterNode::perform(MetadataEffects effects) {
  const auto run = replicas_.current_run();
  for (auto& effect : effects) {
    if (!up() || run != replicas_.current_run()) return;
    std::visit([this](auto& one) { perform_one(one); }, effect);
  }
  arm();
}

void ClusterNode::perform(DutyEffects effects) {
  for (auto& effect : effects) {
    if (!up()) return;
    if (auto* answer = std::get_if<AnswerHeartbeat>(&effect)) {
      const auto asker = askers_.find(answer->token);
      if (asker == askers_.end()) continue;
      answer_peer(asker->second, answer->answer ? Result<Bytes>{Bytes::adopt(encode_heartbeat_answer(*answer->answer))}
                                                : Result<Bytes>{answer->answer.error()});
      askers_.erase(asker);
    } else {
      auto& wanted = std::get<DecideCluster>(effect);
      if (std::holds_alternative<FenceBrokerRequest>(wanted.request)) ++world_.replication.marks["broker fenced"];
      command(ClusterCommand{std::move(wanted.request)}, duty_ms_max);
    }
  }
  arm();
}

void ClusterNode::perform_one(ProposeMetadata& effect) {
  world_.quorum.propose(id_, effect.token, effect.place, effect.records, std::move(effect.batch));
}

void ClusterNode::perform_one(const ConfirmLeader& effect) { world_.quorum.read(id_, effect.token); }

void ClusterNode::perform_one(const CallController& effect) {
  call(effect.controller, Bytes::adopt(encode_command({effect.command, effect.timeout_ms})), effect.timeout_ms,
       [this, number = effect.call](const Result<Bytes>& answer) {
         auto decoded = answer ? decode_command_answer(*answer) : Result<CommandAnswer>{answer.error()};
         if (answer && !decoded) world_.quorum.violated("MessagesDecode", decoded.error().message);
         perform(machine_->called(number, decoded, now()));
       });
}

void ClusterNode::perform_one(AnswerMetadata& effect) {
  const auto asked = asked_.find(effect.token);
  if (asked == asked_.end()) return;
  const auto answered = std::move(asked->second);
  asked_.erase(asked);
  if (answered) answered(effect.answer);
}

void ClusterNode::perform_one(const AnswerPeer& effect) {
  const auto asker = askers_.find(effect.token);
  if (asker == askers_.end()) return;
  answer_peer(asker->second, Bytes::adopt(encode_command_answer(effect.answer)));
  askers_.erase(asker);
}

void ClusterNode::perform_one(const MetadataIsReady&) { show(nullptr); }

void ClusterNode::perform_one(const PublishMetadata& effect) { show(effect.delta); }

void ClusterNode::perform_one(const WantTurn&) {
  later(0, [this] {
    duties_->on_image(machine_->image(), now());
    const auto place = world_.quorum.up(id_) ? world_.quorum.node(id_).next_place() : std::nullopt;
    perform(machine_->turn(place, world_.wall_clock(id_), now()));
  });
}

void ClusterNode::perform_one(const TakeSnapshot& effect) {
  world_.quorum.take_snapshot(id_, effect.image->applied(), Bytes::adopt(encode_snapshot(*effect.image)));
}

void ClusterNode::perform_one(const NoteMetadata& effect) {
  if (world_.replication.log) world_.replication.log("n" + to_string(id_) + " metadata: " + effect.text);
}

void ClusterNode::perform_one(const FailMetadata& effect) {
  world_.quorum.violated("NobodyFails", "the metadata of broker " + to_string(id_) + ": " + to_string(effect.error));
}

/// A new image: the replicas hear of their partitions. `before`: null for the first one of this run.
void ClusterNode::show(const DeltaPtr& delta) {
  const auto* before = delta ? delta->before.get() : nullptr;
  const auto shown = machine_->image();
  world_.committed.check_shown(id_, *shown);
  world_.replication.note(static_cast<std::uint64_t>(shown->applied().value()) * 37 +
                          static_cast<std::uint64_t>(id_.value()));
  const auto* own = shown->find_broker(id_);
  const bool known = own != nullptr && own->incarnation == incarnation_;
  if (!known) replicas_.act_as(no_broker_epoch);
  for (const auto& replicated : world_.replication.topics) {
    const auto topic = shown->find_topic(replicated.name);
    if (!topic) continue;
    const auto was = before != nullptr ? before->find_topic(topic->id) : nullptr;
    for (std::size_t p = 0; p < topic->partitions.size(); ++p) {
      if (was && was->partitions.size() > p && was->partitions[p] == topic->partitions[p]) continue;
      replicas_.take(replicated.first + p, partition_state_of(topic->partitions[p]));
    }
  }
  if (known) replicas_.act_as(BrokerEpoch{own->broker_epoch.value()});
  for (const auto& one : shown->registrations()) {
    const auto* was = before != nullptr ? before->find_broker(one.broker.id) : nullptr;
    if (!one.fenced && (was == nullptr || was->fenced || was->broker_epoch != one.broker_epoch))
      replicas_.broker_back(one.broker.id);
  }
  replicas_.settle_roles();
  if (world_.shown) world_.shown(*this, delta);
  later(0, [] {});  // what that brought about goes out behind what waits
}

// --- heartbeats

void ClusterNode::heartbeat() {
  later(stopping() ? stopping_heartbeat_ms : heartbeat_ms, [this] { heartbeat(); });
  if (!ready()) return;
  const auto* registered = image()->find_broker(id_);
  const auto controller = image()->controller_id();
  if (registered == nullptr || controller == no_broker) return;
  const auto bytes = encode_heartbeat({.broker = id_,
                                       .broker_epoch = BrokerEpoch{registered->broker_epoch.value()},
                                       .applied = image()->applied(),
                                       .wants_shutdown = stopping()});
  call(controller, Bytes::copy_of(bytes), 1'000, [this](const Result<Bytes>& answer) {
    heartbeat_answered(answer ? decode_heartbeat_answer(*answer) : Result<HeartbeatAnswer>{answer.error()});
  });
}

void ClusterNode::heartbeat_answered(const Result<HeartbeatAnswer>& answer) {
  if (answer) {
    if (!answer->may_stop || !stopping()) return;
    ++world_.replication.marks["stopped in order"];
    // Not in the midst of this node's own work.
    return world_.replication.queue.after_us(0, std::exchange(on_stopped_, nullptr));
  }
  const auto code = answer.error().code;
  if (code == Errc::stale_broker_epoch || code == Errc::broker_id_not_registered) register_anew();
}

/// This image may only be behind: then the registration changes nothing.
void ClusterNode::register_anew() {
  if (std::exchange(registering_, true)) return;
  ++world_.replication.marks["registered anew"];
  command(ClusterCommand{RegisterBrokerRequest{self(), incarnation_}}, 10'000,
          [this](const Result<MetadataAnswer>&) { registering_ = false; });
}

// --- time

void ClusterNode::arm() {
  if (!up() || !machine_) return;
  auto due = machine_->next_deadline();
  if (const auto of_duties = duties_->next_deadline(); of_duties && (!due || *of_duties < *due)) due = of_duties;
  if (!due || (armed_for_ && *armed_for_ <= *due)) return;
  armed_for_ = due;
  later(std::max(Millis{1}, *due - now()), [this, due] {
    if (armed_for_ != due) return;
    armed_for_.reset();
    perform(machine_->on_deadline(now()));
    duties_->on_image(machine_->image(), now());
    perform(duties_->on_deadline(now()));
  });
}

}  // namespace troupe::sim
