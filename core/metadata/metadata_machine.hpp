#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "base/clock.hpp"
#include "core/metadata/image_builder.hpp"
#include "core/metadata/metadata_command.hpp"
#include "core/metadata/quorum_node.hpp"
#include "core/metadata/repeated_requests.hpp"
#include "core/record/batch_builder.hpp"

/// The metadata of one node as a pure machine on top of the quorum's log: inputs in, effects out.
namespace troupe::metadata {

/// What a command ends with on the node where it was given.
struct MetadataAnswer {
  CommandResult result = {};
  TopicPtr topic = {};  ///< of create and alter: as it is in the image now, with validate_only as it would be
};

// --- effects: what the shell does, in order

/// Ask the quorum whether this node leads still (ReadIndex), and answer with `proposed`.
struct ConfirmLeader {
  std::uint64_t token = 0;
};
/// Propose the batch for that place, and answer with `proposed` when the quorum answers.
struct ProposeMetadata {
  std::uint64_t token = 0;
  quorum::QuorumNode::Place place = {};
  std::int32_t records = 0;
  Bytes batch = {};
};
/// Ask that node, and answer with `called`.
struct CallController {
  std::uint64_t call = 0;
  BrokerId controller{-1};
  MetadataCommand command = {};
  Millis timeout_ms = 0;
};
/// The end of a command that was given here.
struct AnswerMetadata {
  std::uint64_t token = 0;
  Result<MetadataAnswer> answer = MetadataAnswer{};
};
/// The end of a command that another node sent.
struct AnswerPeer {
  std::uint64_t token = 0;
  CommandAnswer answer = {};
};
/// The image is complete and this node registered: it may be shown. Once, before all PublishMetadata.
struct MetadataIsReady {};
struct PublishMetadata {
  DeltaPtr delta = {};
};
/// Call `turn` when what already waits in the mailbox has come in.
struct WantTurn {};
/// Make a snapshot of `image`, in the order of the disk's other works, and answer with `snapshot_written`.
struct TakeSnapshot {
  ImagePtr image = {};
};
/// For people: something was wrong, and was mended.
struct NoteMetadata {
  std::string text = {};
};
/// The metadata cannot be trusted, or cannot be read: the machine is of no use from here on.
struct FailMetadata {
  Error error = {Errc::unknown_error, {}};
};
using MetadataEffect = std::variant<ProposeMetadata, ConfirmLeader, CallController, AnswerMetadata, AnswerPeer,
                                    MetadataIsReady, PublishMetadata, WantTurn, TakeSnapshot, NoteMetadata, FailMetadata>;
using MetadataEffects = std::vector<MetadataEffect>;

/// Replays what the quorum has committed into the image, on every node. Where the quorum's leader is, it decides commands in turns and
/// has each turn's records committed as one batch; elsewhere it asks the active controller.
///
///   leader:  submit A, B, C --> queue --WantTurn--> turn: decided against the image and what the turn changed --> ProposeMetadata
///            submit D, E ------> queue ..................................... delivered --> image, answers A, B, C
///                                                                                   `--> WantTurn: D and E
///   others:  submit F --> CallController --> called: "done, below 4711" --> delivered up to 4711 --> answers F
///
/// Refusals of a turn are answered with it, since they may rest on what it changes. Where a turn writes nothing a majority is asked first
/// whether this node leads still: what it refuses by is then no older than the command. A turn whose outcome is open is settled by the
/// log: what is delivered in its place is it, or it will never be and its commands are decided again, here or elsewhere.
///
/// A command that was sent elsewhere and not answered is repeated in a way that changes nothing which an earlier attempt did
/// (metadata_command.hpp). What no controller could be asked for `no_controller_ms` is refused: nothing came of it.
/// Whatever is answered is in this node's image first.
class MetadataMachine {
 public:
  struct Options {
    BrokerImage broker = {};                  ///< this node
    Uuid incarnation = {};                    ///< of this run
    std::function<Uuid()> new_uuid = {};      ///< for topic ids
    std::size_t requests_max = 32'768;        ///< waiting; beyond it: overloaded
    std::size_t turn_commands_max = 1'024;    ///< a turn is one call, which must not take long
    std::size_t turn_bytes_max = 512U << 10;  ///< may be exceeded by one command
    std::int64_t snapshot_records_min = 20'000;
    Millis registration_retry_ms = 1'000;  ///< of this node's own, when it was refused
    Millis retry_ms = 50;                  ///< between attempts to reach the controller, while nothing new is heard of it
    Millis no_controller_ms = 2'000;       ///< longer than an election takes, and short enough to be told while one looks
    Millis call_ms_max = 5'000;            ///< a repeatable command is sent anew then: a link loses without a word
    ControllerLimits limits = {};
    /// Whether this node, as the active controller, may decide a registration: who is alive is not in the image. Null: any.
    std::function<Status(const RegisterBrokerRequest&)> may_register = {};
  };

  explicit MetadataMachine(Options options);

  /// The disk was opened, at first or again. `image`: of its snapshot, null if there is none.
  MetadataEffects opened(const ImagePtr& image, Offset log_end_offset, MonotonicMs now);
  /// The quorum's replica is gone until the next `opened`: it neither leads nor delivers.
  MetadataEffects lost(MonotonicMs now);

  // --- from the quorum

  /// The quorum was founded or joined: whose metadata this is.
  void formatted(const Uuid& cluster_id) { cluster_id_ = cluster_id; }
  MetadataEffects delivered(const std::vector<quorum::LogEntry>& entries, MonotonicMs now);
  /// A snapshot that another node sent is on the disk.
  MetadataEffects installed(const ImagePtr& image, MonotonicMs now);
  /// Whom the quorum's replica follows, itself included; -1: nobody. This node may decide after `ready_to_lead`.
  MetadataEffects leader_changed(BrokerId leader, MonotonicMs now);
  MetadataEffects ready_to_lead(MonotonicMs now);
  /// The end of a ProposeMetadata or a ConfirmLeader.
  MetadataEffects proposed(std::uint64_t token, const Result<Offset>& answer, MonotonicMs now);

  // --- commands

  /// `token`: the caller's, not 0, each once. Ends in AnswerMetadata.
  MetadataEffects submit(std::uint64_t token, MetadataCommand command, MonotonicMs deadline, MonotonicMs now);
  /// From another node; ends in AnswerPeer.
  MetadataEffects submit_of_peer(std::uint64_t token, MetadataCommand command, MonotonicMs deadline, MonotonicMs now);
  /// `place`: the quorum's next one.
  MetadataEffects turn(std::optional<quorum::QuorumNode::Place> place, TimestampMs wall_now, MonotonicMs now);
  /// Errors: of the link (broker_not_available: it was not sent; message_too_large; others: nobody knows).
  MetadataEffects called(std::uint64_t call, const Result<CommandAnswer>& answer, MonotonicMs now);

  // --- from the disk

  /// While there is no space (an error), what would be written is refused at once; nullopt: there is space again.
  MetadataEffects disk_full(const std::optional<Error>& error, MonotonicMs now);
  MetadataEffects snapshot_written(const Status& status);

  std::optional<MonotonicMs> next_deadline() const;
  MetadataEffects on_deadline(MonotonicMs now);

  bool ready() const { return ready_; }
  /// Never null. As committed; before the machine is ready it may be older than `applied`.
  const ImagePtr& image() const { return image_; }
  /// All below was delivered.
  Offset applied() const { return applied_; }
  std::size_t waiting() const { return pending_.size(); }
  /// Since when this node knows of no controller; nullopt: it knows of one.
  std::optional<MonotonicMs> leaderless_since() const { return leaderless_since_; }

 private:
  static constexpr std::uint64_t own_registration = 0;

  enum class Stage : std::uint8_t {
    waiting,     ///< for a controller, or for the next attempt
    queued,      ///< for a turn here
    sent,        ///< in the turn that is on its way
    confirming,  ///< decided here without a record: answered when a majority has confirmed this leader
    called,      ///< by a call to the controller
    applying,    ///< answered; the image has to follow
  };
  struct Pending {
    MetadataCommand command;
    MonotonicMs deadline{0};
    MonotonicMs since{0};
    bool of_peer = false;
    bool uncertain = false;  ///< an attempt has ended, and nobody knows how
    Stage stage = Stage::waiting;
    int redirects = 0;
    std::uint64_t call = 0;
    BrokerId asked{-1};
    CommandAnswer answer = {};             ///< applying
    std::optional<TopicSeen> before = {};  ///< alter, delete: the topic before the first attempt, if it was known here
    std::optional<ClusterSeen> cluster_before = {};  ///< of an operator's request
  };
  struct Decided {
    std::vector<MetadataRecord> records = {};
    CommandResult result = {};                          ///< when the records are committed
    Result<MetadataAnswer> verdict = MetadataAnswer{};  ///< the answer, when there are none
  };
  struct TurnEntry {
    std::uint64_t token;
    bool writes;
    CommandResult result;
    Result<MetadataAnswer> verdict;
  };
  struct Turn {
    std::uint64_t token;
    quorum::QuorumNode::Place place;
    std::vector<TurnEntry> entries;
    DeltaPtr delta;
  };

  // metadata_machine.cpp: the image
  Status apply(const quorum::LogEntry& entry, MetadataEffects& effects);
  void show(MetadataEffects& effects);
  void show(const DeltaPtr& delta, MetadataEffects& effects);
  void consider_snapshot(MetadataEffects& effects);
  void install(const ImagePtr& image, MetadataEffects& effects);
  void fail(Error error, MetadataEffects& effects);

  // metadata_commands.cpp: where a command goes, and its end
  bool leads() const { return leader_ == options_.broker.id; }
  void add(std::uint64_t token, MetadataCommand command, MonotonicMs deadline, bool of_peer);
  void route(std::uint64_t token, Pending& pending, MetadataEffects& effects);
  void route_waiting(MetadataEffects& effects);
  void wait(std::uint64_t token, Pending& pending);
  void retry_later(std::uint64_t token, Pending& pending);
  void end_attempt(std::uint64_t token, Pending& pending, const Error& error, MetadataEffects& effects);
  void settle_answer(std::uint64_t token, Pending& pending, CommandAnswer answer, MetadataEffects& effects);
  void settle_applied(MetadataEffects& effects);
  void finish(std::uint64_t token, Result<MetadataAnswer> answer, MetadataEffects& effects);
  /// What a refusal is for a command whose earlier attempt may have succeeded: the outcome is unknown.
  static Error as_refused(const Pending& pending, const Error& error);
  void refuse(std::uint64_t token, const Error& error, MetadataEffects& effects);
  std::optional<MonotonicMs> next_given_up() const;
  void give_up_waiting(MetadataEffects& effects);
  static bool may_repeat(const Pending& pending);
  bool prepare_repeat(Pending& pending);
  void redirect(std::uint64_t token, MetadataEffects& effects);
  void call(std::uint64_t token, Pending& pending, BrokerId controller, MetadataEffects& effects);
  void ask_for_registration(MetadataEffects& effects);
  void registration_answered(const CommandAnswer& answer, MetadataEffects& effects);
  void become_ready(MetadataEffects& effects);

  // metadata_turns.cpp: deciding, where the quorum's leader is
  std::optional<Decided> decide(ImageBuilder& builder, const MetadataCommand& command) const;
  Status add_to_turn(ImageBuilder& builder, record::RecordBatchBuilder& batch, quorum::QuorumNode::Place place,
                     const std::vector<MetadataRecord>& records, TimestampMs wall_now) const;
  std::vector<MetadataRecord> first_records(const MetadataImage& image) const;
  void settle_verdict(const TurnEntry& entry, MetadataEffects& effects);
  void leadership_confirmed(std::uint64_t token, const Result<Offset>& answer, MetadataEffects& effects);
  void turn_committed(MetadataEffects& effects);
  void turn_dropped(MetadataEffects& effects);
  void turn_refused(const Error& error, MetadataEffects& effects);
  void turn_unknown(MetadataEffects& effects);
  void want_turn(MetadataEffects& effects);

  const Options options_;
  Uuid cluster_id_;
  ImagePtr image_ = std::make_shared<const MetadataImage>();
  std::optional<ImageBuilder> builder_;  ///< what was applied on top of `image_`
  Offset applied_{0};
  bool failed_ = false;
  bool ready_ = false;
  MonotonicMs now_{0};

  BrokerId leader_{-1};
  std::optional<MonotonicMs> leaderless_since_;
  bool deciding_ = false;  ///< this node leads, and is ready to
  DrainChanges drains_;

  std::unordered_map<std::uint64_t, Pending> pending_;
  std::set<std::uint64_t> waiting_;  ///< in the order in which they came
  std::deque<std::uint64_t> queue_;  ///< to decide; of some the command may have ended
  std::map<std::uint64_t, std::uint64_t> calls_;
  std::uint64_t last_call_ = 0;
  std::multimap<Offset, std::uint64_t> applying_;
  std::set<std::pair<MonotonicMs, std::uint64_t>> deadlines_;
  std::optional<MonotonicMs> retry_at_;
  std::optional<MonotonicMs> register_at_;

  std::optional<Turn> turn_;                                    ///< on its way, or of open outcome
  std::map<std::uint64_t, std::vector<TurnEntry>> confirming_;  ///< decided without a record, until the leader is confirmed
  std::uint64_t last_turn_ = 0;
  bool turn_wanted_ = false;
  std::optional<Error> disk_full_;

  Offset snapshot_at_{0};  ///< of the last snapshot, or of the last attempt
  bool snapshot_on_its_way_ = false;
};

}  // namespace troupe::metadata
