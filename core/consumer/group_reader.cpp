#include "core/consumer/group_reader.hpp"

#include <algorithm>

#include "core/group/assignor.hpp"
#include "core/record/record_batch.hpp"

namespace troupe::consumer {
namespace {

constexpr Millis fetch_wait_ms = 15'000;
constexpr Millis retry_ms_min = 100;
constexpr Millis retry_ms_max = 2'000;
/// An answer without records that came sooner than that was not waited for: the next one is.
constexpr Millis empty_pause_ms = 50;

GroupConsumer::Options group_options(const ConsumerOptions& options, std::string member) {
  return {.group = options.group,
          .member = std::move(member),
          .profile = options.profile,
          .auto_commit = options.auto_commit,
          .auto_commit_interval_ms = options.auto_commit_interval_ms,
          .comes_back = options.comes_back,
          .partitions = options.partitions};
}

OffsetSpec spec_of(const SeekTarget& target) {
  switch (target.kind) {
    case SeekTarget::Kind::earliest: return {.kind = OffsetSpec::Kind::earliest};
    case SeekTarget::Kind::timestamp: return {.kind = OffsetSpec::Kind::timestamp, .timestamp = target.timestamp};
    case SeekTarget::Kind::latest:
    case SeekTarget::Kind::offset: break;
  }
  return {.kind = OffsetSpec::Kind::latest};
}

Error not_its_own() { return {Errc::fenced_member_epoch, "the partition is not this member's (any more)"}; }

}  // namespace

GroupReader::GroupReader(ConsumerOptions options, std::string member, metadata::ImagePtr image)
    : options_(std::move(options)),
      image_(image),
      group_(group_options(options_, std::move(member)), std::move(image)),
      credit_(options_.credit),
      assignor_(options_.profile.assignor) {}

void GroupReader::update(metadata::ImagePtr image) {
  image_ = image;
  group_.update(std::move(image));
}

// --- the member's side ----------------------------------------------------------------------------------------------------------------

template <class Call>
void GroupReader::with_group(Call call, MonotonicMs now, Effects& effects) {
  GroupConsumerEffects from;
  call(from);
  group::PartitionList to_release;
  absorb(from, to_release, now, effects);
  while (!to_release.empty()) {
    GroupConsumerEffects more;
    group_.released(std::exchange(to_release, {}), now, more);
    absorb(more, to_release, now, effects);
  }
}

void GroupReader::start(MonotonicMs now, Effects& effects) {
  with_group([&](auto& from) { group_.start(now, from); }, now, effects);
  settle(now, effects);
}

void GroupReader::on_heartbeat(const Result<group::HeartbeatAnswer>& answer, MonotonicMs now, Effects& effects) {
  with_group([&](auto& from) { group_.on_heartbeat(answer, now, from); }, now, effects);
  settle(now, effects);
}

void GroupReader::on_commit(const Result<std::vector<Status>>& answer, MonotonicMs now, Effects& effects) {
  if (answer) {
    const auto& sent = group_.in_commit();
    for (std::size_t i = 0; i < sent.size() && i < answer->size(); ++i) {
      const auto& [id, next] = sent[i];
      const auto& status = (*answer)[i];
      for (auto& waiting : commits_) {
        const auto found = waiting.positions.find(id);
        if (found == waiting.positions.end() || found->second.outcome) continue;
        if (commits_sent_ < waiting.since && found->second.next != next) continue;
        found->second.outcome = status ? Result<Offset>{next} : Result<Offset>{status.error()};
      }
    }
  }
  with_group([&](auto& from) { group_.on_commit(answer, now, from); }, now, effects);
  settle(now, effects);
}

void GroupReader::on_offsets(const Result<std::vector<group::Position>>& answer, MonotonicMs now, Effects& effects) {
  with_group([&](auto& from) { group_.on_offsets(answer, now, from); }, now, effects);
  settle(now, effects);
}

void GroupReader::nudge(MonotonicMs now, Effects& effects) {
  with_group([&](auto& from) { group_.nudge(now, from); }, now, effects);
  settle(now, effects);
}

void GroupReader::change(group::MemberProfile profile, MonotonicMs now, Effects& effects) {
  assignor_ = profile.assignor;
  with_group([&](auto& from) { group_.change(std::move(profile), now, from); }, now, effects);
  settle(now, effects);
}

void GroupReader::absorb(GroupConsumerEffects& from, group::PartitionList& to_release, MonotonicMs now, Effects& effects) {
  if (from.heartbeat) {
    effects.heartbeat = std::move(from.heartbeat);
    if (assignor_ == group::load_assignor().name()) effects.heartbeat->waiting = records_waiting();
  }
  if (from.commit) {
    effects.commit = std::move(from.commit);
    ++commits_sent_;
  }
  if (from.fetch_offsets) effects.fetch_offsets = std::move(from.fetch_offsets);

  if (from.paused) {
    group_paused_ = *from.paused;
    if (!abandoned_) effects.events.emplace_back(ConsumerPaused{group_paused_});
  }
  group::PartitionList lost;
  for (const auto& id : from.lost) {
    const auto found = lanes_.find(id);
    if (found == lanes_.end()) continue;
    if (found->second.told) lost.push_back(id);
    stop_reading(id, found->second, effects);
    drop_seek(found->second, effects);
    lanes_.erase(found);
  }
  if (!lost.empty() && !abandoned_) effects.events.emplace_back(ConsumerLost{std::move(lost)});
  if (!from.revoking.empty()) leave(from.revoking, to_release, now, effects);
  for (const auto& one : from.assigned) begin(one, effects);
  look_for_gone(effects);
  if (from.failed) fail(*from.failed, effects);
  if (from.closed && !std::exchange(closed_, true)) {
    for (auto& [id, lane] : lanes_) {
      stop_reading(id, lane, effects);
      drop_seek(lane, effects);
    }
    lanes_.clear();
    effects.events.emplace_back(ConsumerClosed{});
  }
}

std::vector<std::pair<TopicIdPartition, std::int64_t>> GroupReader::records_waiting() const {
  std::vector<std::pair<TopicIdPartition, std::int64_t>> waiting;
  for (const auto& [id, lane] : lanes_) {
    if (lane.told && lane.state != State::leaving)
      waiting.emplace_back(id, std::max<std::int64_t>(0, lane.end - lane.position));
  }
  return waiting;
}

void GroupReader::begin(const GroupConsumerEffects::Assigned& assigned, Effects& effects) {
  const auto [at, is_new] = lanes_.try_emplace(assigned.partition);
  auto& lane = at->second;
  if (is_new) {
    const auto topic = image_->find_topic(assigned.partition.topic_id);
    lane.topic = topic == nullptr ? std::string() : topic->name;
  } else {
    stop_reading(at->first, lane, effects);
  }
  lane.leader_epoch = assigned.leader_epoch;
  lane.newest_epoch = std::max(lane.newest_epoch, assigned.leader_epoch);
  lane.pause_ms = 0;
  if (!assigned.from) return find(at->first, lane, Purpose::begin, effects);
  if (lane.told) {
    move(at->first, lane, *assigned.from, ConsumerReset::Reason::group, effects);
  } else {
    lane.position = lane.since = *assigned.from;
    tell_assigned(at->first, lane, false, effects);
  }
  lane.state = State::ready;
}

void GroupReader::tell_assigned(const TopicIdPartition& id, Lane& lane, bool chosen, Effects& effects) {
  lane.told = true;
  if (abandoned_) return;
  auto* last = effects.events.empty() ? nullptr : std::get_if<ConsumerAssigned>(&effects.events.back());
  if (last == nullptr) last = &std::get<ConsumerAssigned>(effects.events.emplace_back(ConsumerAssigned{group_.epoch(), {}}));
  last->partitions.push_back({id, lane.topic, lane.position, chosen});
}

void GroupReader::leave(const group::PartitionList& partitions, group::PartitionList& to_release, MonotonicMs now,
                        Effects& effects) {
  group::PartitionList told;
  for (const auto& id : partitions) {
    const auto found = lanes_.find(id);
    if (found == lanes_.end()) {
      to_release.push_back(id);
      continue;
    }
    auto& lane = found->second;
    stop_reading(id, lane, effects);
    drop_seek(lane, effects);
    lane.state = State::leaving;
    lane.leave_by = now + options_.release_ms_max;
    if (lane.told && !abandoned_) {
      told.push_back(id);
    } else {
      lane.released = true;
      to_release.push_back(id);
    }
  }
  if (!told.empty()) effects.events.emplace_back(ConsumerRevoking{std::move(told), options_.release_ms_max});
}

void GroupReader::look_for_gone(Effects& effects) {
  ConsumerRevoked in_time, late{{}, false};
  for (auto at = lanes_.begin(); at != lanes_.end();) {
    const auto& [id, lane] = *at;
    if (lane.state != State::leaving || group_.owns(id)) {
      ++at;
      continue;
    }
    if (lane.told && !abandoned_) (lane.in_time ? in_time : late).partitions.push_back(id);
    at = lanes_.erase(at);
  }
  for (auto* gone : {&in_time, &late}) {
    if (!gone->partitions.empty()) effects.events.emplace_back(std::move(*gone));
  }
}

void GroupReader::released(const group::PartitionList& partitions, MonotonicMs now, Effects& effects) {
  group::PartitionList let_go;
  for (const auto& id : partitions) {
    const auto found = lanes_.find(id);
    if (found == lanes_.end() || found->second.state != State::leaving || found->second.released) continue;
    found->second.released = true;
    let_go.push_back(id);
  }
  if (let_go.empty()) return;
  with_group([&](auto& from) { group_.released(let_go, now, from); }, now, effects);
  settle(now, effects);
}

void GroupReader::close(MonotonicMs now, Effects& effects) {
  with_group([&](auto& from) { group_.close(now, from); }, now, effects);
  settle(now, effects);
}

void GroupReader::abandon(MonotonicMs now, Effects& effects) {
  abandoned_ = true;
  group::PartitionList all;
  for (auto& [id, lane] : lanes_) {
    if (lane.state != State::leaving || lane.released) continue;
    lane.released = true;
    all.push_back(id);
  }
  if (!all.empty()) with_group([&](auto& from) { group_.released(all, now, from); }, now, effects);
  close(now, effects);
}

void GroupReader::fail(Error error, Effects& effects) {
  if (std::exchange(failed_, true)) return;
  for (auto& [id, lane] : lanes_) {
    stop_reading(id, lane, effects);
    drop_seek(lane, effects);
  }
  lanes_.clear();
  if (!abandoned_) effects.events.emplace_back(ConsumerFailed{std::move(error)});
}

void GroupReader::give_up(std::string what, MonotonicMs now, Effects& effects) {
  fail({Errc::offset_out_of_range, std::move(what)}, effects);
  close(now, effects);
}

// --- lanes ----------------------------------------------------------------------------------------------------------------------------

void GroupReader::stop_reading(const TopicIdPartition& id, Lane& lane, Effects& effects) {
  if (lane.state == State::held) std::erase(held_, id);
  if (lane.token != 0) {
    if (lane.state == State::fetching) effects.unwanted.push_back(lane.token);
    tokens_.erase(std::exchange(lane.token, 0));
  }
  lane.batches = {};
}

GroupReader::Lane* GroupReader::by_token(std::uint64_t token, TopicIdPartition& id) {
  const auto found = tokens_.find(token);
  if (found == tokens_.end()) return nullptr;
  id = found->second;
  tokens_.erase(found);
  auto& lane = lanes_.at(id);
  lane.token = 0;
  return &lane;
}

void GroupReader::find(const TopicIdPartition& id, Lane& lane, Purpose purpose, Effects& effects) {
  lane.state = State::finding;
  lane.purpose = purpose;
  OffsetSpec spec{.kind = OffsetSpec::Kind::earliest};
  if (purpose == Purpose::seek) spec = spec_of(lane.target);
  const bool at_end = purpose == Purpose::begin && options_.reset == OffsetReset::latest;
  if (at_end || purpose == Purpose::range) spec.kind = OffsetSpec::Kind::latest;  // its leader is asked
  lane.token = next_token_++;
  tokens_[lane.token] = id;
  effects.finds.push_back({lane.token, id, spec});
}

void GroupReader::try_later(Lane& lane, State then, MonotonicMs now) {
  lane.pause_ms = std::clamp(lane.pause_ms * 2, retry_ms_min, retry_ms_max);
  lane.retry_at = now + lane.pause_ms;
  lane.then = then;
  lane.state = State::waiting;
}

void GroupReader::on_found(std::uint64_t token, const Result<OffsetAnswer>& answer, MonotonicMs now, Effects& effects) {
  TopicIdPartition id;
  auto* lane = by_token(token, id);
  if (lane == nullptr) return;
  if (!answer) {
    try_later(*lane, State::finding, now);
    return;
  }
  lane->pause_ms = 0;
  switch (lane->purpose) {
    case Purpose::begin: {
      if (options_.reset == OffsetReset::none) {
        return give_up(
            "the group has no position in " + lane->topic + "-" + to_string(id.partition) + ", and it is not to choose one",
            now, effects);
      }
      if (lane->told) {
        move(id, *lane, answer->offset, ConsumerReset::Reason::group, effects);
      } else {
        lane->position = lane->since = answer->offset;
        tell_assigned(id, *lane, true, effects);
      }
      // Where it began is a position like any other: who comes after it must not begin later.
      if (options_.auto_commit) group_.consumed(id, answer->offset, no_leader_epoch);
      break;
    }
    case Purpose::seek:
      move(id, *lane, answer->offset, ConsumerReset::Reason::seek, effects);
      group_.consumed(id, answer->offset, no_leader_epoch);
      answer_seek(*lane, answer->offset, effects);
      break;
    case Purpose::range: found_range(id, *lane, *answer, now, effects); return;
  }
  lane->state = State::ready;
  settle(now, effects);
}

/// The log does not have the position, as its leader said.
void GroupReader::found_range(const TopicIdPartition& id, Lane& lane, const OffsetAnswer& range, MonotonicMs now,
                              Effects& effects) {
  if (range.leader_epoch != no_leader_epoch && range.leader_epoch < lane.newest_epoch)
    return try_later(lane, State::ready, now);  // it was deposed, and does not know it
  const bool below = lane.position < range.log_start_offset;
  const bool doubtful = range.leader_epoch == no_leader_epoch || range.leader_epoch < lane.leader_epoch;
  if (!below && lane.position > range.high_watermark && doubtful) return try_later(lane, State::finding, now);
  if (!below && lane.position <= range.high_watermark) {
    lane.state = State::ready;  // another leader has it
    settle(now, effects);
    return;
  }
  if (options_.reset == OffsetReset::none) {
    return give_up(lane.topic + "-" + to_string(id.partition) + " has records " + to_string(range.log_start_offset) +
                       " to " + to_string(range.high_watermark) + ", not " + to_string(lane.position),
                   now, effects);
  }
  const auto to = options_.reset == OffsetReset::earliest ? range.log_start_offset : range.high_watermark;
  move(id, lane, to, below ? ConsumerReset::Reason::retention : ConsumerReset::Reason::log_cut, effects);
  lane.state = State::ready;
  settle(now, effects);
}

void GroupReader::move(const TopicIdPartition& id, Lane& lane, Offset to, ConsumerReset::Reason reason, Effects& effects) {
  const auto from = std::exchange(lane.position, to);
  lane.since = to;
  if (!abandoned_) effects.events.emplace_back(ConsumerReset{reason, id, lane.topic, from, to});
}

void GroupReader::fetch_more(MonotonicMs now, Effects& effects) {
  if (!has_credit()) return;
  for (auto& [id, lane] : lanes_) {
    if (lane.state != State::ready || lane.paused) continue;
    lane.state = State::fetching;
    lane.asked_at = now;
    lane.token = next_token_++;
    tokens_[lane.token] = id;
    const auto bytes = std::min(options_.fetch_bytes_max, static_cast<std::size_t>(credit_.bytes));
    effects.fetches.push_back(
        {lane.token, {.partition = id, .from = lane.position, .bytes_max = bytes, .wait_ms_max = fetch_wait_ms}});
  }
}

void GroupReader::on_fetched(std::uint64_t token, Result<FetchResponse> answer, MonotonicMs now, Effects& effects) {
  TopicIdPartition id;
  auto* lane = by_token(token, id);
  if (lane == nullptr) return;
  if (!answer) {
    if (answer.error().code == Errc::offset_out_of_range) {
      find(id, *lane, Purpose::range, effects);
    } else {
      try_later(*lane, State::ready, now);
    }
    return;
  }
  lane->end = answer->high_watermark;
  if (answer->batches.empty()) {
    lane->position = std::max(lane->position, answer->next_offset);
    lane->state = State::ready;
    if (now - lane->asked_at < empty_pause_ms) {
      lane->retry_at = now + empty_pause_ms;
      lane->then = State::ready;
      lane->state = State::waiting;
    }
  } else {
    lane->batches = std::move(answer->batches);
    lane->next = answer->next_offset;
    lane->state = State::held;
    held_.push_back(id);
  }
  settle(now, effects);
}

/// Whole batches of what is held, as far as the credit goes.
Status GroupReader::deliver_some(const TopicIdPartition& id, Lane& lane, Effects& effects) {
  std::size_t bytes = 0;
  std::int64_t records = 0;
  auto next = lane.position;
  while (bytes < lane.batches.size() && credit_.records > records && credit_.bytes > static_cast<std::int64_t>(bytes)) {
    TROUPE_TRY_ASSIGN(const auto header, record::parse_batch_header(lane.batches.view().subspan(bytes)));
    if (header.size_bytes() > lane.batches.size() - bytes || header.next_offset() <= next) {
      return Error{Errc::corrupt_message, "an answer that is not of whole batches in their order"};
    }
    bytes += header.size_bytes();
    records += std::min<std::int64_t>(header.records_count, header.next_offset() - next);
    next = header.next_offset();
    lane.leader_epoch = header.leader_epoch;
    lane.newest_epoch = std::max(lane.newest_epoch, header.leader_epoch);
  }
  const bool all = bytes == lane.batches.size();
  if (all) next = std::max(next, lane.next);
  ConsumerRecords event{.partition = id,
                        .topic = lane.topic,
                        .from = lane.position,
                        .next = next,
                        .records = records,
                        .batches = lane.batches.slice(0, bytes)};
  credit_.records -= records;
  credit_.bytes -= static_cast<std::int64_t>(bytes);
  lane.position = next;
  lane.batches = all ? Bytes{} : lane.batches.slice(bytes, lane.batches.size() - bytes);
  if (!abandoned_) effects.events.emplace_back(std::move(event));
  return ok();
}

void GroupReader::deliver(MonotonicMs now, Effects& effects) {
  std::size_t paused = 0;
  while (has_credit() && held_.size() > paused) {
    const auto id = held_.front();
    held_.pop_front();
    const auto found = lanes_.find(id);
    if (found == lanes_.end() || found->second.state != State::held) continue;  // it went, or went elsewhere
    auto& lane = found->second;
    if (lane.paused) {
      held_.push_back(id);
      ++paused;
      continue;
    }
    if (!deliver_some(id, lane, effects)) {
      lane.batches = {};
      try_later(lane, State::ready, now);
    } else if (lane.batches.empty()) {
      lane.state = State::ready;
      lane.pause_ms = 0;
    } else {
      held_.push_back(id);
    }
  }
}

void GroupReader::settle(MonotonicMs now, Effects& effects) {
  if (!closed_ && !failed_ && !group_paused_) {
    deliver(now, effects);
    fetch_more(now, effects);
  }
  answer_commits(now, effects);
}

// --- the listener ---------------------------------------------------------------------------------------------------------------------

void GroupReader::credit(ConsumerCredit more, MonotonicMs now, Effects& effects) {
  constexpr std::int64_t most = std::int64_t{1} << 40;
  credit_.records = std::min(most, credit_.records + std::clamp<std::int64_t>(more.records, 0, most));
  credit_.bytes = std::min(most, credit_.bytes + std::clamp<std::int64_t>(more.bytes, 0, most));
  settle(now, effects);
}

void GroupReader::consumed(const TopicIdPartition& partition, Offset next) {
  const auto found = lanes_.find(partition);
  if (found == lanes_.end()) return;
  const auto& lane = found->second;
  // Said before it heard of a reset: a commit of that would undo the reset.
  if (next < lane.since || next > lane.position) return;
  group_.consumed(partition, next, lane.leader_epoch);
}

void GroupReader::pause(const group::PartitionList& partitions) {
  for (auto& [id, lane] : lanes_) {
    if (partitions.empty() || group::contains(partitions, id)) lane.paused = true;
  }
}

void GroupReader::resume(const group::PartitionList& partitions, MonotonicMs now, Effects& effects) {
  for (auto& [id, lane] : lanes_) {
    if (partitions.empty() || group::contains(partitions, id)) lane.paused = false;
  }
  settle(now, effects);
}

void GroupReader::seek(std::uint64_t request, const TopicIdPartition& partition, SeekTarget target, MonotonicMs now,
                       Effects& effects) {
  const auto found = lanes_.find(partition);
  if (found == lanes_.end() || !found->second.told || found->second.state == State::leaving) {
    effects.sought.push_back({request, not_its_own()});
    return;
  }
  auto& lane = found->second;
  stop_reading(partition, lane, effects);
  drop_seek(lane, effects);
  lane.target = target;
  lane.sought_by = request;
  lane.pause_ms = 0;
  seeks_[request] = now + options_.request_ms_max;
  if (target.kind != SeekTarget::Kind::offset) return find(partition, lane, Purpose::seek, effects);
  lane.state = State::ready;
  move(partition, lane, target.offset, ConsumerReset::Reason::seek, effects);
  group_.consumed(partition, target.offset, no_leader_epoch);
  answer_seek(lane, target.offset, effects);
  settle(now, effects);
}

void GroupReader::answer_seek(Lane& lane, Result<Offset> answer, Effects& effects) {
  const auto request = std::exchange(lane.sought_by, 0);
  if (seeks_.erase(request) > 0) effects.sought.push_back({request, std::move(answer)});
}

void GroupReader::drop_seek(Lane& lane, Effects& effects) {
  if (lane.sought_by != 0) answer_seek(lane, not_its_own(), effects);
}

void GroupReader::commit(std::uint64_t request, const std::vector<std::pair<TopicIdPartition, Offset>>& positions,
                         MonotonicMs now, Effects& effects) {
  Waiting waiting{request, commits_sent_ + 1, {}, now + options_.request_ms_max};
  const auto want = [&](const TopicIdPartition& id, Offset next) { waiting.positions[id] = {next, group_.owns(id), {}}; };
  for (const auto& [id, next] : positions) {
    want(id, next);
    const auto found = lanes_.find(id);
    group_.consumed(id, next, found == lanes_.end() ? no_leader_epoch : found->second.leader_epoch);
  }
  if (positions.empty()) {
    for (const auto& [id, next] : group_.consumed_positions()) {
      if (group_.dirty(id)) want(id, next);
    }
  }
  commits_.push_back(std::move(waiting));
  with_group([&](auto& from) { group_.commit(now, from); }, now, effects);
  settle(now, effects);
}

std::optional<Result<Offset>> GroupReader::outcome(const TopicIdPartition& id, const Waiting::Wanted& wanted) const {
  if (wanted.outcome) return wanted.outcome;
  if (!wanted.owned || !group_.owns(id)) return Result<Offset>{not_its_own()};
  if (group_.dirty(id)) return std::nullopt;
  const auto committed = group_.committed(id);
  if (committed == wanted.next) return Result<Offset>{*committed};
  return Result<Offset>{Error{Errc::stale_member_epoch, "the position was reset meanwhile"}};
}

void GroupReader::answer_commits(MonotonicMs now, Effects& effects) {
  std::erase_if(commits_, [&](const Waiting& waiting) {
    Effects::Committed answer{waiting.request, {}};
    bool open = false;
    for (const auto& [id, wanted] : waiting.positions) {
      auto known = outcome(id, wanted);
      open = open || !known;
      if (!known) known = Error{Errc::request_timed_out, "not known to be committed in time"};
      answer.positions.push_back({id, std::move(*known)});
    }
    if (open && now < waiting.until && !closed_) return false;
    effects.committed.push_back(std::move(answer));
    return true;
  });
}

// --- time -----------------------------------------------------------------------------------------------------------------------------

void GroupReader::on_deadline(MonotonicMs now, Effects& effects) {
  with_group([&](auto& from) { group_.on_deadline(now, from); }, now, effects);
  group::PartitionList late;
  for (auto& [id, lane] : lanes_) {
    if (lane.state == State::leaving && !lane.released && lane.leave_by <= now) {
      lane.released = true;
      lane.in_time = false;
      late.push_back(id);
    } else if (lane.state == State::waiting && lane.retry_at <= now) {
      lane.state = lane.then;
      if (lane.then == State::finding) find(id, lane, lane.purpose, effects);
    }
    if (lane.sought_by != 0 && seeks_[lane.sought_by] <= now) {
      answer_seek(lane, Error{Errc::request_timed_out, "the position was not found in time"}, effects);
    }
  }
  if (!late.empty()) with_group([&](auto& from) { group_.released(late, now, from); }, now, effects);
  settle(now, effects);
}

std::optional<MonotonicMs> GroupReader::next_deadline() const {
  auto next = group_.next_deadline();
  const auto at = [&](MonotonicMs when) {
    if (!next || when < *next) next = when;
  };
  for (const auto& [id, lane] : lanes_) {
    if (lane.state == State::leaving && !lane.released) at(lane.leave_by);
    if (lane.state == State::waiting) at(lane.retry_at);
  }
  for (const auto& [request, until] : seeks_) at(until);
  for (const auto& waiting : commits_) at(waiting.until);
  return next;
}

}  // namespace troupe::consumer
