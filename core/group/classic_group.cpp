#include "core/group/classic_group.hpp"

#include <algorithm>

#include "core/group/classic_rules.hpp"

namespace troupe::group {
namespace {

Error unknown_member(const std::string& group, const std::string& member) {
  return {Errc::unknown_member_id, "the group '" + group + "' has no member '" + member + "': join again"};
}
Error rebalancing(const std::string& group) {
  return {Errc::rebalance_in_progress, "the members of the group '" + group + "' are called together: join again"};
}
Error inconsistent(const std::string& group, const std::string& what) {
  return {Errc::inconsistent_group_protocol, "the group '" + group + "' " + what};
}

void deliver(std::optional<CallToken>& call, Result<ClassicAnswer> answer, Turn& turn) {
  if (!call) return;
  turn.delivered.push_back({*call, std::move(answer)});
  call.reset();
}
void deliver(CallToken call, Result<ClassicAnswer> answer, Turn& turn) {
  turn.delivered.push_back({call, std::move(answer)});
}

}  // namespace

// --- what the log says ----------------------------------------------------------------------------------------------------------------

void ClassicGroup::apply(const ClassicGroupRecord& record) { value_ = record.value; }

void ClassicGroup::apply(const ClassicMemberRecord& record) {
  if (record.value) {
    members_[record.member].profile = record.value;
  } else {
    members_.erase(record.member);
  }
}

void ClassicGroup::apply(const ClassicShareRecord& record) {
  if (record.value) {
    members_[record.member].share = record.value;
  } else if (const auto found = members_.find(record.member); found != members_.end()) {
    found->second.share.reset();
  }
}

void ClassicGroup::write(Record record, Turn& turn) {
  std::visit(
      [this](const auto& one) {
        if constexpr (requires { this->apply(one); }) this->apply(one);
      },
      record);
  turn.records.push_back(std::move(record));
}

GroupEpoch ClassicGroup::next_generation() const {
  return generation() == GroupEpoch::max() ? GroupEpoch{1} : generation() + 1;
}

bool ClassicGroup::is_consistent() const {
  if (members_.size() != value_->members || !members_.contains(value_->leader)) return false;
  if (phase() != ClassicPhase::stable) return phase() == ClassicPhase::completing;
  return std::ranges::all_of(
      members_, [&](const auto& one) { return one.second.share && one.second.share->generation == generation(); });
}

void ClassicGroup::begin(Now now, Turn& turn) {
  // In a compacted log an assignment may outlive its member.
  std::erase_if(members_, [](const auto& one) { return !one.second.profile; });
  // Half of the first generation: nobody was told of it.
  while (phase() == ClassicPhase::empty && !members_.empty()) forget(std::string(members_.begin()->first), turn);
  for (const auto& [id, member] : members_) {
    auto& seat = seats_[id];
    seat.profile = *member.profile;
    seat.is_new = false;
    keep_alive(seat, now);
    if (!seat.profile.instance_id.empty()) static_members_[seat.profile.instance_id] = id;
  }
  type_ = value_ ? value_->protocol_type : std::string();
  if (seats_.empty()) {
    if (phase() != ClassicPhase::empty) become_empty(now, turn);
  } else if (!is_consistent()) {
    gather(now, turn);
  } else if (phase() == ClassicPhase::completing) {
    for (const auto& [id, seat] : seats_) unsynced_.insert(id);
    sync_until_ = now.monotonic + rebalance_timeout();
    look_at(sync_until_);
  }
}

// --- who asks -------------------------------------------------------------------------------------------------------------------------

Result<ClassicGroup::Seats::const_iterator> ClassicGroup::find(const std::string& id, const std::string& instance) const {
  if (!instance.empty()) {
    const auto named = static_members_.find(instance);
    if (named == static_members_.end()) return unknown_member(name_, id);
    if (named->second != id) {
      return Error{Errc::fenced_instance_id, "the group instance id '" + instance + "' belongs to another member now"};
    }
  }
  const auto found = seats_.find(id);
  if (found == seats_.end()) return unknown_member(name_, id);
  return found;
}

Result<ClassicGroup::Seats::iterator> ClassicGroup::find(const std::string& id, const std::string& instance) {
  const auto found = std::as_const(*this).find(id, instance);
  if (!found) return found.error();
  return seats_.find(id);
}

Status ClassicGroup::check_generation(const std::string& id, GroupEpoch asked) const {
  if (members_.contains(id) && asked == generation()) return {};
  return Error{Errc::illegal_generation, "the group '" + name_ + "' is at generation " + to_string(generation()) +
                                             ", not at " + to_string(asked) + ": join again"};
}

Status ClassicGroup::check_protocols(const ClassicJoinRequest& request, const std::string& self) const {
  std::vector<const ClassicProfile*> others;
  for (const auto& [id, seat] : seats_) {
    if (id != self) others.push_back(&seat.profile);
  }
  if (seats_.empty()) return {};
  if (request.protocol_type != type_) {
    return inconsistent(name_, "has another type of protocols than the one who joins");
  }
  const bool shared = std::ranges::any_of(request.protocols, [&](const ClassicProtocol& mine) {
    return std::ranges::all_of(others, [&](const auto* one) { return find_protocol(one->protocols, mine.name) != nullptr; });
  });
  if (shared) return {};
  return inconsistent(name_, "has no protocol that all its members and the one who joins can speak");
}

Status ClassicGroup::check_room(const std::string& self, const ClassicProfile& profile) const {
  // Who is called together and has not come yet may lose its place to one who has.
  std::size_t taken = promised_.size() - promised_.count(self);
  std::size_t bytes = metadata_bytes(profile.protocols);
  for (const auto& [id, seat] : seats_) {
    if (id == self) continue;
    bytes += metadata_bytes(seat.profile.protocols);
    if (!gathering_ || seat.joining) ++taken;
  }
  const auto found = seats_.find(self);
  const bool has_place = found != seats_.end() && (!gathering_ || found->second.joining);
  if (!has_place && taken >= rules_.members_max) {
    return Error{Errc::group_max_size_reached,
                 "the group '" + name_ + "' has " + std::to_string(taken) + " members, the most that a group may have"};
  }
  if (bytes > rules_.metadata_bytes_max) {
    return Error{Errc::group_max_size_reached, "the members of the group '" + name_ + "' have " + std::to_string(bytes) +
                                                   " bytes of metadata with this one, at most " +
                                                   std::to_string(rules_.metadata_bytes_max) + " are taken"};
  }
  return {};
}

// --- join -----------------------------------------------------------------------------------------------------------------------------

void ClassicGroup::join(const ClassicJoinRequest& request, ClassicProfile profile, const std::string& id, CallToken call,
                        Now now, Turn& turn) {
  // The same call again, which the one before the last attempt reached: its member is there.
  const bool is_new = request.member.empty() && !seats_.contains(id);
  const auto& self = request.member.empty() ? id : request.member;
  const auto named = request.instance_id.empty() ? static_members_.end() : static_members_.find(request.instance_id);
  const bool replaces = is_new && named != static_members_.end();
  const auto& place = replaces ? named->second : self;
  const auto check = [&]() -> Status {
    const bool promised = promised_.contains(self) && request.instance_id.empty();
    if (!is_new && !promised) {
      const auto found = find(self, request.instance_id);
      if (!found) return found.error();
    }
    TROUPE_TRY(check_protocols(request, place));
    return check_room(place, profile);
  };
  if (auto checked = check(); !checked) {
    // Its place went to others while it was called: nobody waits for it.
    if (gathering_ && checked.error().code == Errc::group_max_size_reached) drop(place, checked.error(), turn);
    deliver(call, std::move(checked).error(), turn);
    return close_if_complete(now, turn);
  }

  if (replaces) return join_in_place(seats_.find(place), id, request, std::move(profile), call, now, turn);
  if (const auto found = seats_.find(self); found != seats_.end()) {
    return join_known(found, request, std::move(profile), call, now, turn);
  }
  if (is_new && request.instance_id.empty() && request.takes_id_first) {
    const auto until = now.monotonic + profile.session_timeout_ms;
    promised_[id] = until;
    look_at(until);
    ClassicJoinAnswer told;
    told.join_again = true;
    told.member = id;
    return deliver(call, ClassicAnswer{std::move(told)}, turn);
  }
  promised_.erase(self);
  if (seats_.empty()) type_ = request.protocol_type;
  seat(self, std::move(profile), call, now);
  gather(now, turn);
  close_if_complete(now, turn);
}

void ClassicGroup::seat(const std::string& id, ClassicProfile profile, CallToken call, Now now) {
  if (!profile.instance_id.empty()) static_members_[profile.instance_id] = id;
  auto& seat = seats_[id];
  seat.profile = std::move(profile);
  seat.joining = call;
  seat.arrival = ++arrivals_;
  seat.silent_until = now.monotonic + rules_.new_member_ms;
  look_at(seat.silent_until);
  if (gathering_) gathering_->has_newcomers = true;
}

void ClassicGroup::park_join(ClassicSeat& seat, CallToken call, Turn& turn) {
  if (!seat.joining) seat.arrival = ++arrivals_;
  deliver(seat.joining, Error{Errc::rebalance_in_progress, "the member has asked again meanwhile"}, turn);
  seat.joining = call;
}

void ClassicGroup::join_known(Seats::iterator at, const ClassicJoinRequest& request, ClassicProfile profile, CallToken call,
                              Now now, Turn& turn) {
  auto& [id, seat] = *at;
  const bool same = seat.profile.protocols == profile.protocols && request.protocol_type == type_;
  seat.profile = std::move(profile);
  // A leader that joins again wants new assignments; others that have nothing new did not get their answer.
  const bool again = same && (phase() == ClassicPhase::completing || (phase() == ClassicPhase::stable && !leads(id)));
  if (!gathering_ && again) {
    if (members_.at(id).profile != seat.profile) write(ClassicMemberRecord{name_, id, seat.profile}, turn);
    confirm(turn);
    keep_alive(seat, now);
    return deliver(call, ClassicAnswer{answer_for(id)}, turn);
  }
  park_join(seat, call, turn);
  gather(now, turn);
  close_if_complete(now, turn);
}

void ClassicGroup::join_in_place(Seats::iterator old, const std::string& id, const ClassicJoinRequest& request,
                                 ClassicProfile profile, CallToken call, Now now, Turn& turn) {
  const auto old_id = old->first;
  auto moved = std::move(old->second);
  seats_.erase(old);
  unsynced_.erase(old_id);
  const Error fenced{Errc::fenced_instance_id,
                     "the group instance id '" + request.instance_id + "' belongs to another member now"};
  deliver(moved.joining, fenced, turn);
  deliver(moved.syncing, fenced, turn);
  moved.profile = std::move(profile);
  if (const auto found = members_.find(old_id); found != members_.end()) {
    const auto share = found->second.share;
    forget(old_id, turn);
    write(ClassicMemberRecord{name_, id, moved.profile}, turn);
    if (share) write(ClassicShareRecord{name_, id, share}, turn);
    auto next = *value_;
    if (leads(old_id)) next.leader = id;
    // The leader would assign to the older run, at the next coordinator, too.
    if (phase() == ClassicPhase::completing) next.phase = ClassicPhase::preparing;
    if (next != *value_) write(ClassicGroupRecord{name_, std::move(next)}, turn);
  }
  static_members_[request.instance_id] = id;
  auto& seat = seats_[id] = std::move(moved);
  keep_alive(seat, now);

  std::vector<const ClassicProfile*> all;
  for (const auto& [other, one] : seats_) all.push_back(&one.profile);
  const bool stays = !gathering_ && phase() == ClassicPhase::stable &&
                     choose_protocol(all, seats_.at(value_->leader).profile) == value_->protocol;
  if (!stays) {
    park_join(seat, call, turn);
    gather(now, turn);
    return close_if_complete(now, turn);
  }
  // Nobody else notices. A leader that cannot be told to leave the assignments alone is told that somebody else leads.
  auto answer = answer_for(id);
  if (leads(id) && request.can_skip_assignment) {
    answer.skip_assignment = true;
  } else if (leads(id)) {
    answer.leader = old_id;
    answer.members.clear();
  }
  deliver(call, ClassicAnswer{std::move(answer)}, turn);
}

// --- generations ----------------------------------------------------------------------------------------------------------------------

void ClassicGroup::gather(Now now, Turn& turn) {
  if (gathering_) return;
  for (auto& [id, seat] : seats_) deliver(seat.syncing, rebalancing(name_), turn);
  unsynced_.clear();
  const auto timeout = rebalance_timeout();
  gathering_.emplace();
  if (phase() == ClassicPhase::empty && rules_.initial_delay_ms > 0) {
    gathering_->is_first = true;
    gathering_->until = now.monotonic + rules_.initial_delay_ms;
    gathering_->left_ms = std::max<Millis>(0, timeout - rules_.initial_delay_ms);
  } else {
    gathering_->until = now.monotonic + timeout;
  }
  look_at(gathering_->until);
}

void ClassicGroup::close_if_complete(Now now, Turn& turn) {
  if (!gathering_) return;
  if (seats_.empty()) return become_empty(now, turn);
  if (gathering_->is_first || !promised_.empty()) return;
  const bool all_here = std::ranges::all_of(seats_, [](const auto& one) { return one.second.joining.has_value(); });
  if (all_here) close(now, turn);
}

std::optional<std::string> ClassicGroup::elect() const {
  const auto led = value_ ? seats_.find(value_->leader) : seats_.end();
  if (led != seats_.end() && led->second.joining) return led->first;
  const Seats::value_type* first = nullptr;
  for (const auto& one : seats_) {
    if (one.second.joining && (first == nullptr || one.second.arrival < first->second.arrival)) first = &one;
  }
  return first == nullptr ? std::nullopt : std::optional{first->first};
}

void ClassicGroup::close(Now now, Turn& turn) {
  std::vector<std::string> late;
  for (const auto& [id, seat] : seats_) {
    if (!seat.joining && seat.profile.instance_id.empty()) late.push_back(id);
  }
  for (const auto& id : late) drop(id, unknown_member(name_, id), turn);
  if (seats_.empty()) return become_empty(now, turn);
  const auto leader = elect();
  if (!leader) {  // static members, all of them away: until their sessions are over
    gathering_->is_first = false;
    gathering_->until = now.monotonic + rebalance_timeout();
    return look_at(gathering_->until);
  }
  ClassicState next;
  next.phase = ClassicPhase::completing;
  next.generation = next_generation();
  next.protocol_type = type_;
  next.leader = *leader;
  next.members = static_cast<std::uint32_t>(seats_.size());
  std::vector<const ClassicProfile*> all;
  for (const auto& [id, seat] : seats_) {
    all.push_back(&seat.profile);
    const auto found = members_.find(id);
    if (found == members_.end() || found->second.profile != seat.profile) {
      write(ClassicMemberRecord{name_, id, seat.profile}, turn);
    }
  }
  next.protocol = choose_protocol(all, seats_.at(*leader).profile);
  write(ClassicGroupRecord{name_, std::move(next)}, turn);  // last: half of this is no generation
  gathering_.reset();
  sync_until_ = now.monotonic + rebalance_timeout();
  look_at(sync_until_);
  for (auto& [id, seat] : seats_) {
    if (!seat.joining) continue;
    unsynced_.insert(id);
    seat.is_new = false;
    keep_alive(seat, now);
    deliver(seat.joining, ClassicAnswer{answer_for(id)}, turn);
  }
}

void ClassicGroup::become_empty(Now now, Turn& turn) {
  gathering_.reset();
  unsynced_.clear();
  if (phase() == ClassicPhase::empty) return;  // nobody of those who came has stayed
  ClassicState next;
  next.generation = next_generation();
  next.protocol_type = value_->protocol_type;
  next.empty_since = now.wall;
  write(ClassicGroupRecord{name_, std::move(next)}, turn);
}

void ClassicGroup::drop(const std::string& id, const Error& why, Turn& turn) {
  const auto found = seats_.find(id);
  if (found == seats_.end()) return;
  deliver(found->second.joining, why, turn);
  deliver(found->second.syncing, why, turn);
  const auto named = static_members_.find(found->second.profile.instance_id);
  if (named != static_members_.end() && named->second == id) static_members_.erase(named);
  seats_.erase(found);
  unsynced_.erase(id);
  if (members_.contains(id)) forget(id, turn);
}

void ClassicGroup::forget(const std::string& id, Turn& turn) {
  write(ClassicShareRecord{name_, id, std::nullopt}, turn);
  write(ClassicMemberRecord{name_, id, std::nullopt}, turn);
}

// --- sync, heartbeat, leave -----------------------------------------------------------------------------------------------------------

void ClassicGroup::sync(const ClassicSyncRequest& request, CallToken call, Now now, Turn& turn) {
  const auto check = [&]() -> Status {
    const auto found = find(request.member, request.instance_id);
    if (!found) return found.error();
    TROUPE_TRY(check_generation(request.member, request.generation));
    const bool other_type = !request.protocol_type.empty() && request.protocol_type != value_->protocol_type;
    if (other_type || (!request.protocol.empty() && request.protocol != value_->protocol)) {
      return inconsistent(name_, "has another protocol than the one that the member syncs for");
    }
    if (gathering_) return rebalancing(name_);
    std::size_t bytes = 0;
    for (const auto& one : request.assignments) bytes += one.member.size() + one.assignment.size();
    if (bytes <= rules_.assignment_bytes_max) return {};
    return Error{Errc::message_too_large, "the assignments of the group '" + name_ + "' have " + std::to_string(bytes) +
                                              " bytes, at most " + std::to_string(rules_.assignment_bytes_max) +
                                              " are taken"};
  };
  if (auto checked = check(); !checked) return deliver(call, std::move(checked).error(), turn);
  auto& seat = seats_.at(request.member);
  deliver(seat.syncing, Error{Errc::rebalance_in_progress, "the member has asked again meanwhile"}, turn);
  seat.syncing = call;
  unsynced_.erase(request.member);
  if (phase() == ClassicPhase::completing) {
    if (leads(request.member)) assign(request, now, turn);
    return;
  }
  confirm(turn);
  answer_sync(request.member, seat, now, turn);
}

void ClassicGroup::assign(const ClassicSyncRequest& request, Now now, Turn& turn) {
  std::map<std::string_view, const std::string*> by_member;
  for (const auto& one : request.assignments) by_member.emplace(one.member, &one.assignment);
  for (const auto& [id, seat] : seats_) {
    const auto found = by_member.find(id);
    ClassicShare share{generation(), found == by_member.end() ? std::string() : *found->second};
    write(ClassicShareRecord{name_, id, std::move(share)}, turn);
  }
  auto next = *value_;
  next.phase = ClassicPhase::stable;
  write(ClassicGroupRecord{name_, std::move(next)}, turn);  // last: half of this is no assignment
  for (auto& [id, seat] : seats_) {
    if (seat.syncing) answer_sync(id, seat, now, turn);
  }
}

Status ClassicGroup::heartbeat(const ClassicHeartbeatRequest& request, Now now) {
  TROUPE_TRY_ASSIGN(const auto found, find(request.member, request.instance_id));
  TROUPE_TRY(check_generation(request.member, request.generation));
  keep_alive(found->second, now);
  if (gathering_) return rebalancing(name_);
  return {};
}

std::vector<Status> ClassicGroup::leave(const std::vector<ClassicLeaver>& members, Now now, Turn& turn) {
  std::vector<Status> answers;
  bool any = false;
  for (const auto& [given, instance] : members) {
    auto id = given;
    if (const auto named = static_members_.find(instance); id.empty() && named != static_members_.end()) id = named->second;
    if (instance.empty() && promised_.erase(id) > 0) {
      answers.emplace_back();
      continue;
    }
    if (const auto found = find(id, instance); !found) {
      answers.emplace_back(found.error());
      continue;
    }
    drop(id, unknown_member(name_, id), turn);
    answers.emplace_back();
    any = true;
  }
  if (any) gather(now, turn);
  close_if_complete(now, turn);
  return answers;
}

Status ClassicGroup::check_commit(const Committer& who) const {
  if (who.member.empty() && who.instance_id.empty() && who.epoch < GroupEpoch{0}) {
    if (empty()) return {};
    return Error{Errc::unknown_member_id,
                 "the group '" + name_ + "' has members: only they commit, or an operator resets its offsets"};
  }
  const auto found = find(who.member, who.instance_id);
  if (!found) return found.error();
  TROUPE_TRY(check_generation(who.member, who.epoch));
  if (!gathering_ && phase() == ClassicPhase::completing) return rebalancing(name_);
  return {};
}

void ClassicGroup::heard(const std::string& member, Now now) {
  if (const auto found = seats_.find(member); found != seats_.end()) keep_alive(found->second, now);
}

// --- answers --------------------------------------------------------------------------------------------------------------------------

ClassicJoinAnswer ClassicGroup::answer_for(const std::string& id) const {
  ClassicJoinAnswer answer;
  answer.member = id;
  answer.generation = value_->generation;
  answer.protocol_type = value_->protocol_type;
  answer.protocol = value_->protocol;
  answer.leader = value_->leader;
  if (!leads(id)) return answer;
  for (const auto& [member, seat] : seats_) {
    const auto* protocol = find_protocol(seat.profile.protocols, value_->protocol);
    answer.members.push_back({member, seat.profile.instance_id, protocol == nullptr ? std::string() : protocol->metadata});
  }
  return answer;
}

void ClassicGroup::answer_sync(const std::string& id, ClassicSeat& seat, Now now, Turn& turn) {
  const auto& share = members_.at(id).share;
  keep_alive(seat, now);
  ClassicSyncAnswer answer{value_->protocol_type, value_->protocol, share ? share->assignment : std::string()};
  deliver(seat.syncing, ClassicAnswer{std::move(answer)}, turn);
}

// --- time -----------------------------------------------------------------------------------------------------------------------------

Millis ClassicGroup::rebalance_timeout() const {
  Millis most = 0;
  for (const auto& [id, seat] : seats_) most = std::max(most, seat.profile.rebalance_timeout_ms);
  return most;
}

void ClassicGroup::look_at(MonotonicMs time) {
  if (!look_at_ || time < *look_at_) look_at_ = time;
}

void ClassicGroup::keep_alive(ClassicSeat& seat, Now now) {
  seat.silent_until = now.monotonic + seat.profile.session_timeout_ms;
  look_at(seat.silent_until);
}

void ClassicGroup::on_deadline(Now now, Turn& turn) {
  if (!look_at_ || now.monotonic < *look_at_) return;
  std::erase_if(promised_, [&](const auto& one) { return one.second <= now.monotonic; });
  std::vector<std::string> out;
  for (const auto& [id, seat] : seats_) {
    const bool waits = (seat.joining && !seat.is_new) || seat.syncing;  // who waits for us is not silent
    if (!waits && seat.silent_until <= now.monotonic) out.push_back(id);
  }
  if (!unsynced_.empty() && sync_until_ <= now.monotonic) out.insert(out.end(), unsynced_.begin(), unsynced_.end());
  for (const auto& id : out) drop(id, unknown_member(name_, id), turn);
  if (!out.empty()) gather(now, turn);
  close_if_complete(now, turn);
  if (gathering_ && gathering_->until <= now.monotonic) {
    auto& gathering = *gathering_;
    const auto more = std::min(rules_.initial_delay_ms, gathering.left_ms);
    if (gathering.is_first && gathering.has_newcomers && more > 0) {
      gathering.until = now.monotonic + more;
      gathering.left_ms -= more;
      gathering.has_newcomers = false;
    } else {
      close(now, turn);
    }
  }
  look_again();
}

void ClassicGroup::look_again() {
  look_at_.reset();
  for (const auto& [id, until] : promised_) look_at(until);
  for (const auto& [id, seat] : seats_) {
    if ((!seat.joining || seat.is_new) && !seat.syncing) look_at(seat.silent_until);
  }
  if (!unsynced_.empty()) look_at(sync_until_);
  if (gathering_) look_at(gathering_->until);
}

}  // namespace troupe::group
