#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/consumer/subscription.hpp"
#include "core/consumer_api.hpp"
#include "http/stream/feed.hpp"

namespace troupe::http {

/// What a client asks for when it reads as a member of a group.
struct GroupDefinition {
  std::string group = {};
  std::vector<std::string> topics = {};
  std::string pattern = {};                     ///< and all topics whose names it matches; empty: none
  std::string assignor = {};                    ///< uniform, range, load; empty: any
  std::string instance = {};                    ///< of a static member; empty: a dynamic one
  bool manual_ack = false;                      ///< the client says what is done; else what was handed to the socket is
  OffsetReset otherwise = OffsetReset::latest;  ///< where to begin when the group has no position
  RecordFormat format = RecordFormat::auto_;
  bool events = false;  ///< for an event stream

  friend bool operator==(const GroupDefinition&, const GroupDefinition&) = default;
  RenderKind kind() const {
    return {.format = format, .events = events, .with_topic = topics.size() != 1 || !pattern.empty()};
  }
};

/// Who reads, as its group is told.
struct ClientName {
  std::string id = {};
  std::string host = {};  ///< an address; empty: not known
};

/// One member of a group behind a socket: what came for it, what of that was handed on, what was acknowledged. It outlives its socket:
/// while nobody is attached it keeps its membership, lets go of what is revoked, and gets no more than its window.
///
///   consumer --event--> inbox --take()--> notes, and batches a partition --pull()--> a message --sent()--> consumed, or: until acked
///
/// On one thread, that of whoever is attached, but for `on_event`.
class GroupStream final : public ConsumerListener, public std::enable_shared_from_this<GroupStream> {
 public:
  /// Errors: of group::check_group_name and check_profile.
  static Result<std::shared_ptr<GroupStream>> open(ConsumerApi& consumers, GroupDefinition definition,
                                                   const consumer::Credit& credit, ClientName client);
  ~GroupStream() override;

  const GroupDefinition& definition() const { return definition_; }

  /// `wake`: called on any thread when there is something to take.
  void attach(std::function<void()> wake);
  /// Nobody is there; what was handed on without an acknowledgement comes again, from `resume` on.
  void detach();
  /// Attached again, with new credit; the notes begin with all that it has.
  void resume(std::function<void()> wake, const consumer::Credit& credit);

  /// What came, in order, but for records: those are to be pulled after the notes were told.
  std::vector<ConsumerEvent> take();
  /// Puts what fits into `sink`; returns the bytes.
  std::size_t pull(consumer::Room room, FeedSink& sink);
  /// What was pulled has left.
  void sent();

  void add_credit(const consumer::Credit& more);
  void pause();
  void resume_reading();

  using Positions = std::vector<std::pair<TopicIdPartition, Offset>>;
  /// The partition of that name that it has, or is to let go of. nullopt: none.
  std::optional<TopicIdPartition> find(const std::string& topic, PartitionId partition) const;
  std::string topic_of(const TopicIdPartition& id) const;
  /// All below these positions is done. Errors: invalid_argument (more than was handed on), fenced_member_epoch (not its own).
  Status ack(const Positions& positions);
  /// As `ack`, and stores it. `done` on any thread.
  Status commit(const Positions& positions, Reply<std::vector<CommittedPosition>> done);
  void released(group::PartitionList partitions) { consumer_->released(std::move(partitions)); }

  /// The positions behind what was pulled, a cursor a topic, joined by '.'.
  std::string cursor() const;
  /// Of a cursor: the positions in partitions that it has. Errors: invalid_argument.
  Result<Positions> positions_of(const std::string& cursor) const;
  bool is_over() const { return over_; }

  // ConsumerListener
  void on_event(ConsumerEvent event) override;

 private:
  struct Queued {
    std::shared_ptr<SharedBatch> batch;
    Offset next;
    std::int64_t bytes;  ///< of credit to give back
  };
  struct Part {
    std::string topic = {};
    std::deque<Queued> queue = {};
    Offset position{0};  ///< behind what was pulled
    Offset done{0};      ///< behind what was acknowledged, or consumed
    bool revoking = false;
    bool rewinding = false;  ///< what comes is from before the seek under way
  };

  explicit GroupStream(GroupDefinition definition) : definition_(std::move(definition)) {}

  void take_in(ConsumerAssigned& event);
  void take_in(ConsumerRecords& event);
  void take_in(const ConsumerReset& event);
  /// False: not for the client to hear.
  bool take_note(ConsumerEvent& event);
  void forget(const group::PartitionList& partitions);
  void drop_queue(Part& part);
  std::size_t pull_batch(Part& part, consumer::Room room, FeedSink& sink);
  bool fits(std::size_t bytes, consumer::Room room, std::size_t used) const;
  void spend(std::size_t bytes);
  void give_back(std::int64_t bytes);

  const GroupDefinition definition_;
  std::unique_ptr<Consumer> consumer_;
  consumer::Credit credit_;
  bool untouched_ = true;      ///< nothing was spent since credit was given
  bool paused_ = false;        ///< by the client
  bool group_paused_ = false;  ///< by an operator: what has come waits
  bool over_ = false;
  group::GroupEpoch epoch_{0};
  std::map<TopicIdPartition, Part> parts_;
  std::map<TopicId, std::string> names_;  ///< of all that it has had
  std::size_t turn_ = 0;
  std::int64_t owed_ = 0;               ///< bytes of credit that are to be given back
  std::vector<ConsumerEvent> to_tell_;  ///< before what is in the inbox

  std::mutex mutex_;  ///< held to move events and the wake, never in a call
  std::deque<ConsumerEvent> inbox_;
  std::function<void()> wake_;
  bool attached_ = false;
  bool begun_ = false;  ///< `consumer_` is there
};

}  // namespace troupe::http
