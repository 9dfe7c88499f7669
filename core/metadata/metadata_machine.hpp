#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/clock.hpp"
#include "core/metadata/cluster_requests.hpp"
#include "core/metadata/controller.hpp"
#include "core/metadata/image_builder.hpp"
#include "core/metadata/metadata_log.hpp"

/// The metadata quorum of one node as a pure machine: inputs in, effects out.
namespace troupe::metadata {

struct CreateTopicCommand {
  CreateTopicRequest request = {};
  Requester requester = Requester::client;
};
struct AlterTopicCommand {
  AlterTopicRequest request = {};
  Requester requester = Requester::client;
};
struct DeleteTopicCommand {
  std::string name = {};
  Requester requester = Requester::client;
};
using RegisterBrokerCommand = RegisterBrokerRequest;
using MetadataCommand =
    std::variant<CreateTopicCommand, AlterTopicCommand, DeleteTopicCommand, RegisterBrokerCommand, ClusterRequest>;

// --- effects: what the shell does, in order

/// Open the log (after a pause, if it was lost), and answer with `opened`.
struct OpenMetadataLog {};
/// Read on from here, and answer with `read` or `lost`.
struct ReadMetadataLog {
  Offset from;
};
/// Append the batch, and answer with `appended`, or with `lost` when nobody knows.
struct AppendMetadata {
  MetadataLog::Place place;
  Bytes batch;
};
/// A command's end. A topic for create and alter, null for the others.
struct AnswerMetadata {
  std::uint64_t token;
  Result<TopicPtr> answer;
  std::shared_ptr<const ClusterAnswer> cluster = {};  ///< of a ClusterRequest that did not fail
};
/// The image is complete and this node registered: it may be shown. Once, before all PublishMetadata.
struct MetadataIsReady {};
struct PublishMetadata {
  DeltaPtr delta;
};
/// Call `turn` when what already waits in the mailbox has come in.
struct WantTurn {};
/// Replace the snapshot's file, and answer with `snapshot_written`.
struct WriteSnapshot {
  Bytes payload;
};
/// Records below are in the snapshot. Not answered.
struct CutMetadataLog {
  Offset before;
};
/// For people: something was wrong, and was mended.
struct NoteMetadata {
  std::string text;
};
/// The metadata cannot be trusted, or cannot be read: the machine is of no use from here on.
struct FailMetadata {
  Error error;
};
using MetadataEffect = std::variant<OpenMetadataLog, ReadMetadataLog, AppendMetadata, AnswerMetadata, MetadataIsReady,
                                    PublishMetadata, WantTurn, WriteSnapshot, CutMetadataLog, NoteMetadata, FailMetadata>;
using MetadataEffects = std::vector<MetadataEffect>;

/// The log as it was found.
struct OpenedMetadataLog {
  Uuid cluster_id = {};  ///< the directory's
  Offset log_start_offset{0};
  Offset log_end_offset{0};
  std::optional<LeaderEpoch> latest_epoch = {};
  Result<std::optional<Bytes>> snapshot =
      std::optional<Bytes>{};  ///< nullopt: there is no file; looked at the first time only
};

/// Takes commands, decides them in turns, and has each turn's records committed as one batch.
///
///   submit A, B, C --> queue --WantTurn--> turn: A and B decided against the image and what A changed --> AppendMetadata
///   submit D, E ---------> queue ............................................................. appended --> answers A, B, C
///                                                                                         `--> WantTurn: D and E
///
/// Refusals of a turn are answered with it, since they may rest on what it changes. A turn that is refused (storage_full) fails those
/// that wanted to write; the others are decided again. A turn whose outcome is open is settled by replaying the log: it is there,
/// or its commands are decided again. Deadlines go on meanwhile.
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
    Millis registration_retry_ms = 1'000;  ///< of this node's own, when the disk is full
    ControllerLimits limits = {};
  };

  explicit MetadataMachine(Options options);

  MetadataEffects start() { return {OpenMetadataLog{}}; }
  MetadataEffects opened(const OpenedMetadataLog& log);
  /// Whole batches from where ReadMetadataLog said; `next_offset` is behind the last of them.
  MetadataEffects read(ByteView batches, Offset next_offset);
  MetadataEffects lost();

  /// `token`: the caller's, not 0, each once.
  MetadataEffects submit(std::uint64_t token, MetadataCommand command, MonotonicMs deadline);
  MetadataEffects turn(TimestampMs now);
  MetadataEffects appended(std::uint64_t token, const Status& status, MonotonicMs now);
  MetadataEffects snapshot_written(const Status& status);

  std::optional<MonotonicMs> next_deadline() const;
  MetadataEffects on_deadline(MonotonicMs now);

  bool ready() const { return ready_; }
  /// Never null. As committed.
  const ImagePtr& image() const { return image_; }
  std::size_t waiting() const { return pending_.size(); }

 private:
  static constexpr std::uint64_t own_registration = 0;

  struct Pending {
    MetadataCommand command;
    MonotonicMs deadline;
    bool sent = false;  ///< its records are on their way
  };
  struct Decided {
    std::vector<MetadataRecord> records;
    TopicId topic;                          ///< to answer with when it is committed; nil: nothing
    Result<TopicPtr> verdict = TopicPtr{};  ///< the answer, when there are no records
    std::shared_ptr<const ClusterAnswer> cluster = {};
  };
  struct TurnEntry {
    std::uint64_t token;
    bool writes;
    TopicId topic;
    Result<TopicPtr> verdict;
    std::shared_ptr<const ClusterAnswer> cluster = {};
  };
  struct Turn {
    std::vector<TurnEntry> entries;
    DeltaPtr delta;
  };

  MetadataEffects load(const OpenedMetadataLog& log);
  MetadataEffects replayed(const ImageDelta* delta);
  std::optional<Decided> decide(ImageBuilder& builder, std::uint64_t token) const;
  std::vector<MetadataRecord> decide_own_registration(const MetadataImage& image) const;
  void queue_own_registration();
  void settle_turn(MetadataEffects& effects);
  void redecide(const TurnEntry& entry);
  void answer(MetadataEffects& effects, std::uint64_t token, Result<TopicPtr> answer,
              std::shared_ptr<const ClusterAnswer> cluster = {});
  void become_ready(MetadataEffects& effects);
  void consider_snapshot(MetadataEffects& effects);
  void want_turn(MetadataEffects& effects);

  const Options options_;
  MetadataLog log_;
  ImagePtr image_ = std::make_shared<const MetadataImage>();
  bool loaded_ = false;  ///< the snapshot was looked at
  Uuid cluster_id_;
  std::optional<ImageBuilder> replay_;
  Offset read_from_{0};

  std::unordered_map<std::uint64_t, Pending> pending_;
  std::deque<std::uint64_t> queue_;  ///< tokens to decide; of some the command may have been answered
  std::set<std::pair<MonotonicMs, std::uint64_t>> deadlines_;
  std::optional<Turn> turn_;  ///< on its way, or of open outcome
  bool turn_wanted_ = false;
  bool own_queued_ = false;
  bool ready_ = false;
  std::optional<MonotonicMs> retry_registration_at_;

  Offset snapshot_at_{0};  ///< of the last snapshot, or of the last attempt
  std::optional<Offset> snapshot_on_its_way_;
};

}  // namespace troupe::metadata
