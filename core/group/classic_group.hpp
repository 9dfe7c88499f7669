#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "core/group/group_requests.hpp"
#include "core/group/turn.hpp"
#include "core/metadata/metadata_image.hpp"

namespace troupe::group {

struct ClassicRules {
  std::size_t members_max = 1'000;
  std::size_t metadata_bytes_max = std::size_t{6} << 20;    ///< of all members
  std::size_t assignment_bytes_max = std::size_t{6} << 20;  ///< of all members
  /// The first members of a group wait that long for others, and again when one came. Kafka: group.initial.rebalance.delay.ms
  Millis initial_delay_ms = 500;
  /// Who joins for the first time sends no heartbeats meanwhile: it is given up after that.
  Millis new_member_ms = 300'000;
};

/// A member as it is, or will be when the generation that is being gathered begins. But for the profile nothing that a successor knows.
struct ClassicSeat {
  ClassicProfile profile = {};
  MonotonicMs silent_until{0};  ///< then it is out, unless one of its calls waits
  std::optional<CallToken> joining = {};
  std::optional<CallToken> syncing = {};
  std::uint64_t arrival = 0;  ///< the order of joins
  bool is_new = true;         ///< it has been in no generation yet
};

/// Members are being gathered for the next generation.
struct ClassicGathering {
  MonotonicMs until{0};
  bool is_first = false;       ///< of a group without members: the whole delay is waited for, who else comes
  bool has_newcomers = false;  ///< since the delay began
  Millis left_ms = 0;          ///< by which the delay can still grow
};

/// The members of one group that assign among themselves. Pure. Only records change what a successor would find in the log: handlers write
/// them, `apply` takes them in. Who has joined and waits is in no record: a successor is asked again.
///
///   empty --join--> gathering --all are back, or the time is over: generation + 1, leader, protocol--> completing
///     ^                ^  ^                                                                               |
///     |                |  `--join, leave, silence, no sync within the rebalance timeout-------------------+
///     |                `-----join with news, join of the leader, leave, silence---------stable <--leader's sync
///     `--the last one left
///
/// Generations begin with a record and are told when it is committed, so no number is used twice. Answers that a coordinator which was
/// deposed could give from memory are confirmed by a record, too.
/// Source: Kafka's group protocol; KIP-345 (static members), KIP-394 (ids first), KIP-814 (no new assignment for a static leader). Eager
/// and cooperative rebalances (KIP-429) are the members' affair.
class ClassicGroup {
 public:
  ClassicGroup(std::string name, ClassicRules rules) : name_(std::move(name)), rules_(rules) {}

  // --- what the log says ------------------------------------------------------------------------------------------------------------
  void apply(const ClassicGroupRecord& record);
  void apply(const ClassicMemberRecord& record);
  void apply(const ClassicShareRecord& record);
  /// All records are in. Members have their full time; if the log knows other members than those of the generation, all join again.
  void begin(Now now, Turn& turn);

  // --- what is asked: answers and records go to `turn` --------------------------------------------------------------------------------

  /// `id`: of the new member, if it is one. Errors, as the answer: unknown_member_id, fenced_instance_id, inconsistent_group_protocol,
  /// group_max_size_reached; rebalance_in_progress for an earlier call of the same member that still waits.
  void join(const ClassicJoinRequest& request, ClassicProfile profile, const std::string& id, CallToken call, Now now,
            Turn& turn);
  /// Errors, as the answer: unknown_member_id, fenced_instance_id, illegal_generation, inconsistent_group_protocol, rebalance_in_progress,
  /// message_too_large (the leader's assignments).
  void sync(const ClassicSyncRequest& request, CallToken call, Now now, Turn& turn);
  /// Errors: unknown_member_id, fenced_instance_id, illegal_generation, rebalance_in_progress (join again).
  Status heartbeat(const ClassicHeartbeatRequest& request, Now now);
  /// Errors, of each: unknown_member_id, fenced_instance_id.
  std::vector<Status> leave(const std::vector<ClassicLeaver>& members, Now now, Turn& turn);
  /// Whether that one may commit. Errors: as of `heartbeat`, but members that are called together may (and not those who have not got their
  /// assignment yet: rebalance_in_progress).
  Status check_commit(const Committer& who) const;
  /// It commits: it lives.
  void heard(const std::string& member, Now now);

  std::optional<MonotonicMs> next_deadline() const { return look_at_; }
  void on_deadline(Now now, Turn& turn);

  // --- what is known ----------------------------------------------------------------------------------------------------------------
  const std::string& name() const { return name_; }
  /// Nobody is in it, or on the way in.
  bool empty() const { return seats_.empty(); }
  /// As above, and nobody has got an id to come with.
  bool is_unused() const { return seats_.empty() && promised_.empty(); }
  std::size_t size() const { return seats_.size(); }
  /// Nobody is in it or has got an id to come with, and there is no record of it.
  bool is_nothing() const { return is_unused() && members_.empty() && !value_; }
  /// nullopt: there is no record of it.
  const std::optional<ClassicState>& value() const { return value_; }
  /// Whether a member reads that topic, as far as anybody can say.
  bool may_read(std::string_view topic) const;
  GroupState state() const;
  GroupListing list() const;
  GroupDescription describe(const metadata::MetadataImage& image) const;

 private:
  struct Member {
    std::optional<ClassicProfile> profile = {};
    std::optional<ClassicShare> share = {};
  };
  using Seats = std::map<std::string, ClassicSeat>;

  void write(Record record, Turn& turn);
  void confirm(Turn& turn) { write(ClassicGroupRecord{name_, value_}, turn); }
  ClassicPhase phase() const { return value_ ? value_->phase : ClassicPhase::empty; }
  GroupEpoch generation() const { return value_ ? value_->generation : GroupEpoch{0}; }
  GroupEpoch next_generation() const;
  bool leads(const std::string& id) const { return value_ && value_->leader == id; }
  bool is_consistent() const;

  Result<Seats::iterator> find(const std::string& id, const std::string& instance);
  Result<Seats::const_iterator> find(const std::string& id, const std::string& instance) const;
  Status check_generation(const std::string& id, GroupEpoch generation) const;
  Status check_protocols(const ClassicJoinRequest& request, const std::string& self) const;
  Status check_room(const std::string& self, const ClassicProfile& profile) const;

  void join_known(Seats::iterator seat, const ClassicJoinRequest& request, ClassicProfile profile, CallToken call, Now now,
                  Turn& turn);
  void join_in_place(Seats::iterator old, const std::string& id, const ClassicJoinRequest& request, ClassicProfile profile,
                     CallToken call, Now now, Turn& turn);
  void seat(const std::string& id, ClassicProfile profile, CallToken call, Now now);
  void park_join(ClassicSeat& seat, CallToken call, Turn& turn);
  void assign(const ClassicSyncRequest& request, Now now, Turn& turn);

  /// It is out: what waits of it is answered, and a record says so.
  void drop(const std::string& id, const Error& why, Turn& turn);
  void forget(const std::string& id, Turn& turn);
  /// All are to join again.
  void gather(Now now, Turn& turn);
  void close_if_complete(Now now, Turn& turn);
  void close(Now now, Turn& turn);
  void become_empty(Now now, Turn& turn);
  std::optional<std::string> elect() const;

  ClassicJoinAnswer answer_for(const std::string& id) const;
  void answer_join(const std::string& id, ClassicSeat& seat, Now now, Turn& turn);
  void answer_sync(const std::string& id, ClassicSeat& seat, Now now, Turn& turn);
  Millis rebalance_timeout() const;
  void look_at(MonotonicMs time);
  void keep_alive(ClassicSeat& seat, Now now);
  void look_again();

  std::string name_;
  ClassicRules rules_;

  // What the log says.
  std::optional<ClassicState> value_;
  std::map<std::string, Member> members_;

  // What a successor does not know.
  Seats seats_;
  std::string type_;                                   ///< of the seats' protocols
  std::map<std::string, std::string> static_members_;  ///< of the seats, by instance id
  std::map<std::string, MonotonicMs> promised_;        ///< ids that were told, and until when they are waited for
  std::optional<ClassicGathering> gathering_;
  std::set<std::string> unsynced_;  ///< who has not asked for its assignment of this generation
  MonotonicMs sync_until_{0};
  std::uint64_t arrivals_ = 0;
  std::optional<MonotonicMs> look_at_;  ///< nothing is due before; checked then
};

}  // namespace troupe::group
