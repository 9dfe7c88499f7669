#include "actors/metadata_quorum.hpp"

#include <algorithm>
#include <chrono>
#include <deque>
#include <set>
#include <variant>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include "actors/clock.hpp"
#include "actors/command_promises.hpp"
#include "actors/errors.hpp"
#include "actors/metadata_audience.hpp"
#include "actors/peer_links.hpp"
#include "actors/quorum_desk.hpp"
#include "actors/quorum_disk.hpp"
#include "actors/quorum_peers.hpp"
#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "base/log.hpp"
#include "core/metadata/command_codec.hpp"
#include "core/metadata/heartbeat_codec.hpp"
#include "core/metadata/metadata_machine.hpp"
#include "core/metadata/snapshot.hpp"
#include "core/metadata/voters_told.hpp"

namespace troupe::actors {

/// From a metadata_quorum to itself.
struct MetadataWakeup {
  enum class Kind : std::uint8_t { turn, deadline };
  Kind kind;
  std::uint64_t token;  ///< of the timer; a stale one is dropped
};

}  // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::MetadataWakeup)

namespace troupe::actors {
namespace {

using namespace metadata;  // the machine's effects

using MetadataQuorumSelf =
    MetadataQuorum::extend<caf::reacts_to<AppendResults>, caf::reacts_to<ReadResult>, caf::reacts_to<PeerMessage>,
                           caf::reacts_to<PeerAnswer>, caf::reacts_to<PeerState>, caf::reacts_to<QuorumDiskWakeup>,
                           caf::reacts_to<MetadataWakeup>>;

constexpr Millis request_ms_max = Millis{24} * 3600 * 1000;
/// Of what the controller wants by itself: it will want it again.
constexpr Millis duty_ms_max = 10'000;
/// What a checkpoint file takes, less the snapshot's head.
constexpr std::uint64_t snapshot_bytes_max = (std::uint64_t{16} << 20) - (4U << 10);

Requester requester(Caller caller) { return caller == Caller::client ? Requester::client : Requester::system; }

std::uint64_t seed_of(const Uuid& id) { return load_big_endian<std::uint64_t>(std::as_bytes(std::span{id.bytes()}).data()); }

/// The actor's state and handlers: a shell around QuorumNode and MetadataMachine, over QuorumDisk and PeerLinks.
///
/// What an input of the replica brings about is done before its next input, also when doing it is an input in its turn.
class MetadataQuorumState : public QuorumDiskOwner {
 public:
  using Pointer = MetadataQuorumSelf::stateful_pointer<MetadataQuorumState>;
  static constexpr const char* name = "metadata_quorum";

  explicit MetadataQuorumState(Pointer self) : self_(self) {}

  ~MetadataQuorumState() override {
    promises_.answer_all({Errc::request_timed_out, ended_unknown});
    audience_.end({Errc::leader_not_available, ended_unknown});
    desk_.lost();
    if (peers_) peers_->end({Errc::request_timed_out, ended_unknown});
  }

  MetadataQuorumSelf::behavior_type make_behavior(MetadataQuorumOptions options, ActorRowPtr row) {
    TROUPE_ASSERT(options.disk_worker && options.readers != nullptr && options.images);
    options_ = std::move(options);
    row_ = std::move(row);
    if (options_.clock == nullptr) options_.clock = &system_clock_;
    if (!options_.new_uuid) options_.new_uuid = [] { return Uuid::random(); };
    if (options_.voters.empty() && options_.contacts.empty() && !options_.joins) options_.voters = {options_.broker.id};
    TROUPE_ASSERT(alone() || options_.links != nullptr);
    prng_.emplace(seed_of(options_.new_uuid()));
    machine_.emplace(
        MetadataMachine::Options{.broker = options_.broker,
                                 .incarnation = options_.incarnation.is_nil() ? options_.new_uuid() : options_.incarnation,
                                 .new_uuid = options_.new_uuid,
                                 .requests_max = options_.requests_max,
                                 .snapshot_records_min = static_cast<std::int64_t>(options_.snapshot_records_min),
                                 .may_register = [this](const RegisterBrokerRequest& request) -> Status {
                                   if (request.broker.id == options_.broker.id) return ok();  // that is this process
                                   return duties_->check_registration(request, now());
                                 }});
    duties_.emplace(options_.duties);
    peers_.emplace(options_.links);
    self_->set_down_handler([this](caf::down_msg& message) { on_down(message); });
    if (options_.links != nullptr) {
      options_.links->serve(Channel::quorum, me());
      options_.links->serve(Channel::metadata, me());
    }
    disk_.emplace(self_, *this, options_, row_, alone());
    disk_->open();
    return {
        [this](const CreateTopic& request) {
          return submit<TopicAnswer>(CreateTopicCommand{request.request, requester(request.caller)}, request.timeout_ms);
        },
        [this](const AlterTopic& request) {
          return submit<TopicAnswer>(AlterTopicCommand{.request = request.request, .requester = requester(request.caller)},
                                     request.timeout_ms);
        },
        [this](const DeleteTopic& request) {
          return submit<Done>(DeleteTopicCommand{.name = request.name, .requester = requester(request.caller)},
                              request.timeout_ms);
        },
        [this](const RegisterBroker& request) {
          const RegisterBrokerRequest run{.broker = request.broker,
                                          .incarnation = request.incarnation,
                                          .previous_incarnation = request.previous_incarnation};
          return submit<Done>(ClusterCommand{run}, request.timeout_ms);
        },
        [this](const ChangeCluster& change) {
          return submit<ClusterChanged>(ClusterCommand{change.request}, change.timeout_ms);
        },
        [this](const AskQuorum& asked) {
          const auto time = now();
          const Handling handling{*row_, time};
          auto promise = self_->make_response_promise<QuorumAnswered>();
          perform(desk_.ask(node_ ? &*node_ : nullptr, asked.request, promise, time));
          return promise;
        },
        [this](const AwaitMetadata&) {
          const Handling handling{*row_, now()};
          auto promise = self_->make_response_promise<MetadataReady>();
          audience_.await(promise, *machine_);
          return promise;
        },
        [this](const SubscribeMetadata& request) { subscribe(request.subscriber); },
        [this](const AppendResults& answer) {
          const Handling handling{*row_, now()};
          disk_->on_appended(answer);
        },
        [this](const ReadResult& result) {
          const Handling handling{*row_, now()};
          disk_->on_read(result);
        },
        [this](const PeerMessage& message) { on_peer_message(message); },
        [this](const PeerAnswer& answer) { on_peer_answer(answer); },
        [this](const PeerState& state) { on_peer_state(state); },
        [this](const QuorumDiskWakeup& wakeup) {
          const Handling handling{*row_, now()};
          disk_->on_wakeup(wakeup);
        },
        [this](const MetadataWakeup& wakeup) { on_wakeup(wakeup); },
    };
  }

 private:
  static constexpr const char* ended_unknown = "the metadata quorum was ended: the outcome is unknown";

  MonotonicMs now() const { return now_of(*self_); }
  caf::actor me() const { return caf::actor_cast<caf::actor>(self_); }
  bool alone() const { return options_.contacts.empty() && options_.voters == std::vector{options_.broker.id}; }

  // --- requests

  template <class Answer>
  caf::typed_response_promise<Answer> submit(MetadataCommand command, Millis timeout_ms) {
    const auto time = now();
    const Handling handling{*row_, time};
    auto promise = self_->make_response_promise<Answer>();
    const auto token = ++request_token_;
    promises_.add(token, promise);
    perform(machine_->submit(token, std::move(command), time + std::clamp(timeout_ms, Millis{0}, request_ms_max), time));
    return promise;
  }

  void subscribe(const caf::actor& subscriber) {
    const Handling handling{*row_, now()};
    TROUPE_ASSERT(subscriber);
    if (audience_.subscribe(subscriber, *machine_)) self_->monitor(subscriber);
  }

  // --- other nodes

  void on_peer_message(const PeerMessage& message) {
    const auto time = now();
    const Handling handling{*row_, time};
    if (message.channel == Channel::metadata) return on_peer_command(message, time);
    if (!node_) return;
    const auto heard = QuorumPeers::heard(message, cluster_id_);
    if (!heard) return note_once(heard.error().message);
    perform(node_->receive(*heard, time));
  }

  void on_peer_command(const PeerMessage& message, MonotonicMs time) {
    if (message.call == 0) return;
    if (is_heartbeat(message.payload)) return on_heartbeat(message, time);
    auto sent = decode_command(message.payload);
    if (!sent) return options_.links->answer(message, sent.error());
    const auto token = ++request_token_;
    peers_->asked(token, message);
    perform(machine_->submit_of_peer(token, std::move(sent->command), time + sent->timeout_ms, time));
  }

  void on_heartbeat(const PeerMessage& message, MonotonicMs time) {
    const auto heartbeat = decode_heartbeat(message.payload);
    if (!heartbeat) return options_.links->answer(message, heartbeat.error());
    if (heartbeat->broker != message.from) {
      return options_.links->answer(
          message, Error{Errc::invalid_argument, "broker " + to_string(message.from) + " beats for another one"});
    }
    const auto token = ++request_token_;
    peers_->asked(token, message);
    duties_->on_image(machine_->image(), time);
    perform(duties_->heartbeat(token, *heartbeat, time));
  }

  void on_peer_answer(const PeerAnswer& answer) {
    const auto time = now();
    const Handling handling{*row_, time};
    auto decoded = [&]() -> Result<CommandAnswer> {
      TROUPE_TRY(answer.answer);
      return decode_command_answer(*answer.answer);
    }();
    perform(machine_->called(answer.token, decoded, time));
  }

  void on_peer_state(const PeerState& state) {
    const auto time = now();
    const Handling handling{*row_, time};
    duties_->on_image(machine_->image(), time);
    if (state.up) {
      perform(duties_->peer_up(state.id, state.incarnation, time));
    } else if (state.refused) {
      perform(duties_->peer_gone(state.id, state.incarnation, time));
    } else {
      perform(duties_->peer_down(state.id, state.incarnation, state.heard_at, time));
    }
    state.up ? static_cast<void>(up_.insert(state.id)) : static_cast<void>(up_.erase(state.id));
    if (!node_) return;
    if (state.up) {
      perform(node_->peer_up(state.id, time));
    } else if (state.refused) {
      perform(node_->peer_down(state.id, time));
    }
  }

  // --- effects of the machine

  void perform(MetadataEffects effects) {
    for (auto& effect : effects) {
      if (ended_) return;
      std::visit([this](auto& one) { perform_one(one); }, effect);
    }
    if (!performing_) disk_->work_on();
    arm_timer();
  }

  void perform_one(ProposeMetadata& effect) {
    TROUPE_ASSERT(node_);
    perform(node_->propose(effect.token, effect.place, effect.records, std::move(effect.batch), now()));
  }
  void perform_one(const ConfirmLeader& effect) {
    TROUPE_ASSERT(node_);
    perform(node_->read(effect.token, now()));
  }
  void perform_one(const CallController& effect) {
    auto bytes = encode_command({effect.command, effect.timeout_ms});
    if (options_.links == nullptr || bytes.size() > command_bytes_max) {
      const auto too_large = options_.links != nullptr;
      const Error error{too_large ? Errc::message_too_large : Errc::broker_not_available,
                        too_large ? "a change of metadata of " + std::to_string(bytes.size()) + " bytes: at most " +
                                        std::to_string(command_bytes_max)
                                  : "there are no links to other nodes"};
      return perform(machine_->called(effect.call, error, now()));
    }
    options_.links->call(effect.controller, Channel::metadata, Bytes::adopt(std::move(bytes)), effect.timeout_ms,
                         effect.call, me());
  }
  void perform_one(AnswerMetadata& effect) {
    if (effect.answer) note_unclean(effect.answer->result);
    promises_.answer(effect.token, std::move(effect.answer));
  }
  void perform_one(const AnswerPeer& effect) {
    peers_->answer(effect.token, Bytes::adopt(encode_command_answer(effect.answer)));
  }
  void perform_one(const MetadataIsReady&) {
    options_.images->set(machine_->image());
    row_->set_state(ActorState::running);
    log::info("metadata ready", {log::kv("topics", machine_->image()->topic_count()),
                                 log::kv("partitions", machine_->image()->partition_count()),
                                 log::kv("applied", machine_->image()->applied())});
    audience_.ready(*machine_);
  }
  void perform_one(const PublishMetadata& effect) {
    options_.images->set(effect.delta->after);
    audience_.publish(effect.delta);
  }
  void perform_one(const WantTurn&) { self_->send(self_, MetadataWakeup{MetadataWakeup::Kind::turn, 0}); }
  void perform_one(const TakeSnapshot& effect) {
    auto described = node_ ? node_->describe_snapshot(effect.image->applied()) : std::nullopt;
    if (!described) {
      return perform(machine_->snapshot_written(
          Error{Errc::conflict, "the log no longer holds offset " + to_string(effect.image->applied())}));
    }
    const auto image = Bytes::adopt(encode_snapshot(*effect.image));
    described->size_bytes = image.size();
    described->crc = crc32c(image);
    disk_->push(OwnSnapshot{std::move(*described), image});
  }
  void perform_one(const NoteMetadata& effect) { log::warn("metadata", {log::kv("note", effect.text)}); }
  void perform_one(const FailMetadata& effect) { fail(effect.error); }

  void fail(const Error& error) {
    if (std::exchange(ended_, true)) return;
    log::error("metadata cannot be used", {log::kv("error", error)});
    row_->set_last_error(to_string(error));
    self_->quit(to_caf_error(error));
  }

  // --- the active controller's duties

  void perform(DutyEffects effects) {
    for (auto& effect : effects) {
      if (auto* answer = std::get_if<AnswerHeartbeat>(&effect)) {
        peers_->answer(answer->token, answer->answer ? Result<Bytes>{Bytes::adopt(encode_heartbeat_answer(*answer->answer))}
                                                     : Result<Bytes>{answer->answer.error()});
      } else {
        const auto time = now();
        auto& wanted = std::get<DecideCluster>(effect);
        note_fencing(wanted.request);
        perform(machine_->submit(++request_token_, ClusterCommand{std::move(wanted.request)}, time + duty_ms_max, time));
      }
    }
    arm_timer();
  }

  static void note_fencing(const ClusterRequest& request) {
    if (const auto* fence = std::get_if<FenceBrokerRequest>(&request)) {
      log::warn("a broker is silent: others lead its partitions", {log::kv("broker", fence->broker)});
    }
  }

  static void note_unclean(const CommandResult& result) {
    const auto* answer = std::get_if<ClusterAnswer>(&result);
    if (answer == nullptr) return;
    for (const auto& one : answer->unclean) {
      log::warn("a leader was elected that may lack committed records",
                {log::kv("partition", one.partition), log::kv("leader", one.leader), log::kv("epoch", one.leader_epoch)});
    }
  }

  // --- effects of the quorum's replica

  /// An effect may be an input of the replica in its turn: what that brings about comes behind what is waiting.
  void perform(quorum::QuorumEffects effects) {
    if (!formatted_ && node_ && !node_->cluster_id().is_nil()) {
      formatted_ = true;
      machine_->formatted(node_->cluster_id());
    }
    for (auto& effect : effects) todo_.push_back(std::move(effect));
    if (performing_) return;
    performing_ = true;
    while (!todo_.empty() && !ended_) {
      auto effect = std::move(todo_.front());
      todo_.pop_front();
      std::visit([this](auto& one) { perform_one(one); }, effect);
    }
    performing_ = false;
    note_voters();
    disk_->work_on();
    arm_timer();
  }

  void note_voters() {
    if (!node_) return;
    options_.standing->set_lost_voters(node_->lost_voters());
    if (node_->voters() == voters_) return;
    voters_ = node_->voters();
    const auto ids = voters_.ids();
    options_.images->set_voters(ids);
    options_.standing->set_voters(ids);
  }

  void perform_one(quorum::Persist& effect) { disk_->push(std::move(effect)); }
  void perform_one(quorum::InstallSnapshot& effect) { disk_->push(std::move(effect)); }
  void perform_one(quorum::CutLog& effect) { disk_->push(effect); }
  void perform_one(const quorum::ReadEntries& effect) { disk_->read(effect); }
  void perform_one(const quorum::ReadSnapshot& effect) { disk_->read(effect); }
  void perform_one(const quorum::SendMessage& effect) {
    if (options_.links == nullptr) return;
    options_.links->send(effect.message.to.id, Channel::quorum, Bytes::adopt(quorum::encode_message(effect.message)));
  }
  void perform_one(const quorum::Deliver& effect) { perform(machine_->delivered(effect.entries, now())); }
  void perform_one(const quorum::AnswerQuorum& effect) {
    if (!node_ || !desk_.answered(effect, *node_, now())) perform(machine_->proposed(effect.token, effect.answer, now()));
  }
  void perform_one(const quorum::RoleChanged& effect) {
    log::info("metadata quorum", {log::kv("role", quorum::to_string(effect.role)), log::kv("epoch", effect.epoch),
                                  log::kv("leader", effect.leader)});
    note_other_voters();
    if (effect.leader != options_.broker.id) duties_->end();
    perform(machine_->leader_changed(effect.leader, now()));
    options_.standing->set_leaderless_since(machine_->leaderless_since());
  }
  void perform_one(const quorum::LeaderReady&) {
    perform(machine_->ready_to_lead(now()));
    if (options_.links == nullptr) return;  // alone there is nobody to hear
    // Those whose end made this node the leader are fenced first.
    perform(duties_->begin(machine_->image(), now()));
  }
  void perform_one(const quorum::NoteQuorum& effect) { log::warn("metadata quorum", {log::kv("note", effect.text)}); }
  void perform_one(const quorum::FailQuorum& effect) { fail(effect.error); }

  void note_other_voters() {
    const auto note = node_ ? quorum::other_voters(options_.voters, node_->voters()) : std::nullopt;
    if (note) note_once(*note);
  }

  void note_once(const std::string& text) {
    constexpr std::size_t remembered_max = 64;
    if (noted_.size() >= remembered_max) noted_.clear();
    if (noted_.insert(text).second) log::warn("metadata quorum", {log::kv("note", text)});
  }

  // --- the disk

  void disk_opened(OpenedQuorumDisk disk) override {
    cluster_id_ = disk.cluster_id;
    if (const auto& hard = disk.stored.hard_state; hard && !hard->cluster_id.is_nil()) {
      machine_->formatted(hard->cluster_id);
    }
    auto options = options_.quorum;
    options.id = options_.broker.id;
    options.bootstrap_voters = options_.voters;
    options.contacts = options_.contacts;
    options.cluster_id = cluster_id_;
    options.snapshot_bytes_max = std::min(options.snapshot_bytes_max, snapshot_bytes_max);
    perform(machine_->opened(disk.image, disk.stored.log_end_offset, now()));
    options_.standing->set_leaderless_since(machine_->leaderless_since());
    if (ended_) return;
    node_.emplace(std::move(options), *prng_);
    perform(node_->start(std::move(disk.stored), now()));
    for (const auto id : std::set<BrokerId>{up_}) {
      if (node_ && !ended_) perform(node_->peer_up(id, now()));
    }
  }

  /// The replica is gone, and begins anew from the disk.
  void disk_lost() override {
    node_.reset();
    todo_.clear();
    desk_.lost();
    duties_->end();
    perform(machine_->lost(now()));
    options_.standing->set_leaderless_since(machine_->leaderless_since());
  }
  void disk_failed(const Error& error) override { fail(error); }
  void disk_full(const std::optional<Error>& error) override { perform(machine_->disk_full(error, now())); }

  void work_done(const QuorumWorkDone& end) override {
    if (end.installed) perform(machine_->installed(end.installed, now()));
    if (end.persisted && node_) perform(node_->persisted(*end.persisted, now()));
    if (!end.snapshot_taken) return;
    perform(machine_->snapshot_written(ok()));
    if (node_) perform(node_->snapshot_taken(*end.snapshot_taken, now()));
  }
  void snapshot_rejected(std::uint64_t token, const Error& error) override {
    if (node_) perform(node_->snapshot_rejected(token, error, now()));
  }
  void own_snapshot_failed(const Error& error) override { perform(machine_->snapshot_written(error)); }
  void entries_read(std::uint64_t token, Result<std::vector<quorum::LogEntry>> entries) override {
    if (node_) perform(node_->entries_read(token, std::move(entries), now()));
  }
  void snapshot_read(std::uint64_t token, Result<Bytes> chunk) override {
    if (node_) perform(node_->snapshot_read(token, std::move(chunk), now()));
  }

  // --- time, and the end of others

  void on_down(const caf::down_msg& message) {
    const Handling handling{*row_, now()};
    if (disk_->on_down(message.source)) return;
    audience_.gone(message.source);
  }

  void on_wakeup(const MetadataWakeup& wakeup) {
    const auto time = now();
    const Handling handling{*row_, time};
    switch (wakeup.kind) {
      case MetadataWakeup::Kind::turn:
        duties_->on_image(machine_->image(), time);  // who registers is held against who is registered now
        return perform(machine_->turn(node_ ? node_->next_place() : std::nullopt, options_.clock->wall_now(), time));
      case MetadataWakeup::Kind::deadline:
        if (wakeup.token != timer_) return;
        armed_for_.reset();
        perform(machine_->on_deadline(time));
        if (node_ && !ended_) perform(node_->on_deadline(time));
        if (ended_) return;
        duties_->on_image(machine_->image(), time);
        perform(duties_->on_deadline(time));
    }
  }

  /// One timer for all. It may fire early, when what it was armed for has come to its end: it is then armed anew.
  void arm_timer() {
    auto due = machine_->next_deadline();
    const auto of_node = node_ ? node_->next_deadline() : std::nullopt;
    if (of_node && (!due || *of_node < *due)) due = of_node;
    const auto of_duties = duties_->next_deadline();
    if (of_duties && (!due || *of_duties < *due)) due = of_duties;
    if (ended_ || !due || (armed_for_ && *armed_for_ <= *due)) return;
    armed_for_ = due;
    const auto delay = std::max(Millis{0}, *due - now());
    self_->delayed_send(self_, std::chrono::milliseconds(delay), MetadataWakeup{MetadataWakeup::Kind::deadline, ++timer_});
  }

  const Pointer self_;
  const SystemClock system_clock_;
  MetadataQuorumOptions options_;
  ActorRowPtr row_;
  bool ended_ = false;

  std::optional<Prng> prng_;
  std::optional<quorum::QuorumNode> node_;  ///< while the disk is open
  QuorumDesk desk_;
  quorum::VoterSet voters_;  ///< as they were told last
  std::deque<quorum::QuorumEffect> todo_;
  bool performing_ = false;
  bool formatted_ = false;
  std::optional<MetadataMachine> machine_;
  std::optional<ControllerDuties> duties_;

  std::optional<QuorumDisk<Pointer>> disk_;
  Uuid cluster_id_;  ///< the directory's; nil: of whatever cluster it becomes

  std::uint64_t request_token_ = 0;
  CommandPromises promises_;
  std::optional<QuorumPeers> peers_;
  MetadataAudience audience_;
  std::set<BrokerId> up_;  ///< there is a link to them
  std::set<std::string> noted_;

  std::uint64_t timer_ = 0;
  std::optional<MonotonicMs> armed_for_;
};

MetadataQuorumSelf::behavior_type metadata_quorum(MetadataQuorumState::Pointer self, MetadataQuorumOptions options,
                                                  ActorRowPtr row) {
  return self->state.make_behavior(std::move(options), std::move(row));
}

}  // namespace

MetadataQuorum spawn_metadata_quorum(caf::actor_system& system, MetadataQuorumOptions options, ActorRowPtr row) {
  return system.spawn(metadata_quorum, std::move(options), std::move(row));
}

}  // namespace troupe::actors
