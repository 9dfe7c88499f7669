#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/group/assignor.hpp"
#include "core/group/group_requests.hpp"
#include "core/group/topic_pattern.hpp"
#include "core/group/turn.hpp"
#include "core/metadata/metadata_image.hpp"

namespace troupe::group {

/// The members of one group whose assignment the coordinator computes, and the way each is brought to its target without anybody who does
/// not have to pausing. Pure. Only records change what a successor would find in the log: handlers write them, `apply` takes them in.
///
///   joins, leaves, profiles, topics  -->  epoch + 1  -->  targets (assignor)  -->  each member's heartbeats: reconcile.hpp
///
/// Source: KIP-848.
class ConsumerGroup {
 public:
  struct Member {
    MemberProfile profile = {};
    PartitionList target = {};
    MemberAssignment current = {};
    std::optional<TopicPattern> pattern = {};
    bool has_news = false;  ///< a reset or a pause that it has not been told of; nothing that a successor knows
    bool is_known = false;  ///< its own record was read: in a compacted log it may come behind the others
  };

  explicit ConsumerGroup(std::string name) : name_(std::move(name)) {}

  // --- what the log says ------------------------------------------------------------------------------------------------------------
  void apply(const GroupRecord& record);
  void apply(const MemberRecord& record);
  void apply(const TargetRecord& record);
  void apply(const AssignmentRecord& record);
  /// All records are in: who has no record of its own left before the log was compacted.
  void drop_unknown();

  // --- what is asked: each writes to `turn` -----------------------------------------------------------------------------------------

  /// A member joins, or joins again. Errors: unreleased_instance_id, group_max_size_reached.
  Status join(const std::string& id, const MemberProfile& profile, std::size_t members_max,
              const metadata::MetadataImage& image, TimestampMs wall, Turn& turn);
  /// Errors: unknown_member_id, fenced_member_epoch (not its epoch), fenced_instance_id.
  Status check_heartbeat(const std::string& id, const HeartbeatRequest& request) const;
  /// `profile`: it has another one now.
  void change(const std::string& id, const MemberProfile& profile, const metadata::MetadataImage& image, TimestampMs wall,
              Turn& turn);
  /// How many records wait in its partitions, for the assignor `load` at its next turn; of partitions that are not its own: nothing.
  void note_waiting(const std::string& id, const std::vector<std::pair<TopicIdPartition, std::int64_t>>& waiting);
  /// One step towards its target. `owned`: what the member says that it has; null: it does not say. True when what it may read, or its
  /// epoch, is another now.
  bool step(const std::string& id, const PartitionList* owned, Turn& turn);
  /// Writes once more what the member has: who can commit that is the coordinator.
  void confirm(const std::string& id, Turn& turn);
  /// They are out, and what they had is free.
  void remove(const std::vector<std::string>& ids, const metadata::MetadataImage& image, TimestampMs wall, Turn& turn);
  /// A static member that will be back: what it has waits for it.
  void set_aside(const std::string& id, Turn& turn);
  /// True when that is new. All members have news then.
  bool pause(bool paused, Turn& turn);
  /// A coordinator begins: the one before may have died with this untold.
  void tell_pauses();
  /// Targets anew if the topics are not those that the targets were computed for.
  void refresh(const metadata::MetadataImage& image, TimestampMs wall, Turn& turn);

  // --- what is known ----------------------------------------------------------------------------------------------------------------
  const std::string& name() const { return name_; }
  bool empty() const { return members_.empty(); }
  std::size_t size() const { return members_.size(); }
  const GroupRecord::Value& value() const { return value_; }
  const std::map<std::string, Member>& members() const { return members_; }
  Member* find(const std::string& id);
  const Member* find(const std::string& id) const;
  /// Who may commit for it; null: nobody.
  const std::string* owner(const TopicIdPartition& partition) const;
  bool subscribes_to(std::string_view topic) const;
  GroupState state() const;
  std::string_view assignor() const;
  GroupDescription describe() const;

 private:
  std::vector<TopicId> topics_of(const Member& member, const metadata::MetadataImage& image) const;
  void retarget(const metadata::MetadataImage& image, TimestampMs wall, Turn& turn);
  void write(Record record, Turn& turn);
  void write_assignment(const std::string& id, MemberAssignment next, Turn& turn);
  void own(const std::string& id, const MemberAssignment* before, const MemberAssignment* after);
  void nudge_waiting(const PartitionList& freed, Turn& turn);
  void replace_static(const std::string& old_id, const std::string& id, const MemberProfile& profile, Turn& turn);
  void erase(const std::string& id, Turn& turn);

  std::string name_;
  GroupRecord::Value value_ = {};
  std::map<std::string, Member> members_;
  std::map<std::string, std::string, std::less<>> static_members_;       ///< by group instance id
  std::unordered_map<TopicIdPartition, std::string> owners_;             ///< assigned to or being given up by
  std::set<std::string> waiting_;                                        ///< members in that state
  std::unordered_map<TopicIdPartition, std::uint64_t> records_waiting_;  ///< as members said last; a successor asks anew
};

}  // namespace troupe::group
