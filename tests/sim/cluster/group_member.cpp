#include "tests/sim/cluster/group_member.hpp"

#include <algorithm>

#include "core/record/record_batch.hpp"

namespace troupe::sim {

using namespace group;

namespace {

constexpr Millis fetch_wait_ms_max = 1'000;
constexpr std::int64_t fetch_look_us = 30'000;

/// For people.
std::string told_by(const ConsumerEvent& event) {
  const auto list = [](const PartitionList& partitions) {
    std::string text;
    for (const auto& one : partitions) text += " " + to_string(one.partition);
    return text;
  };
  if (const auto* one = std::get_if<ConsumerAssigned>(&event)) {
    std::string text = "assigned in epoch " + to_string(one->epoch);
    for (const auto& each : one->partitions)
      text += " " + to_string(each.partition.partition) + " at " + to_string(each.next);
    return text;
  }
  if (const auto* one = std::get_if<ConsumerRecords>(&event)) {
    return "records of " + to_string(one->partition.partition) + ", " + to_string(one->from) + " to " + to_string(one->next);
  }
  if (const auto* one = std::get_if<ConsumerReset>(&event)) {
    return to_string(one->partition.partition) + " moves from " + to_string(one->from) + " to " + to_string(one->to);
  }
  if (const auto* one = std::get_if<ConsumerRevoking>(&event)) return "give up" + list(one->partitions);
  if (const auto* one = std::get_if<ConsumerRevoked>(&event)) return "given up" + list(one->partitions);
  if (const auto* one = std::get_if<ConsumerLost>(&event)) return "lost" + list(one->partitions);
  return std::holds_alternative<ConsumerFailed>(event) ? "failed" : "closed";
}

}  // namespace

GroupMember::GroupMember(GroupWorld& world, ClusterNode& node, ConsumerOptions options, std::string id, Habits habits)
    : world_(world),
      node_(node),
      options_(std::move(options)),
      id_(std::move(id)),
      habits_(habits),
      run_(node.replicas().current_run()),
      reader_(options_, id_, node.image()),
      image_(node.image()) {}

template <class Work>
void GroupMember::call(Work work) {
  if (!alive()) return;
  if (node_.ready() && node_.image() != image_) {
    image_ = node_.image();
    reader_.update(image_);
  }
  Effects effects;
  work(effects);
  perform(std::move(effects));
  if (!closed_) arm();
}

void GroupMember::start() {
  call([this](auto& effects) { reader_.start(now(), effects); });
}

void GroupMember::close() {
  if (std::exchange(closing_, true)) return;
  call([this](auto& effects) { reader_.close(now(), effects); });
}

void GroupMember::abandon() {
  closing_ = true;
  call([this](auto& effects) { reader_.abandon(now(), effects); });
}

void GroupMember::nudge() {
  call([this](auto& effects) { reader_.nudge(now(), effects); });
}

void GroupMember::arm() {
  const auto deadline = reader_.next_deadline();
  if (!deadline || (armed_until_ && *armed_until_ <= *deadline)) return;
  armed_until_ = deadline;
  const auto in_ms = std::max(Millis{1}, *deadline - now());
  world_.later_us(node_, in_ms * 1'000, [self = shared_from_this(), deadline] {
    self->call([&](auto& effects) {
      if (self->armed_until_ == deadline) self->armed_until_.reset();
      const auto due = self->reader_.next_deadline();
      if (due && *due <= self->now()) self->reader_.on_deadline(self->now(), effects);
    });
  });
}

void GroupMember::behave() {
  behaves_ = true;
  habits_.holds_on = false;
  if (habits_.commits) commit_all();
}

// --- effects

void GroupMember::perform(Effects effects) {
  for (auto& event : effects.events) {
    if (std::holds_alternative<ConsumerClosed>(event)) closed_ = true;
    post(std::move(event));
  }
  for (const auto& answer : effects.committed) {
    for (const auto& one : answer.positions) {
      const auto topic = image_->find_topic(one.partition.topic_id);
      if (!one.next || !topic) continue;
      world_.judge.acknowledged(options_.group, id_, {topic->name, one.partition.partition}, *one.next);
    }
  }
  ask_group(effects);
  for (const auto& wanted : effects.fetches) fetch(wanted);
  for (const auto& wanted : effects.finds) find(wanted);
}

template <class Wanted>
void GroupMember::ask(GroupCall call_of_group,
                      void (consumer::GroupReader::*take)(const Result<Wanted>&, MonotonicMs, Effects&)) {
  call_coordinator(world_, node_, std::move(call_of_group), [self = shared_from_this(), take](Result<GroupAnswer> answer) {
    const auto* said = answer ? std::get_if<Wanted>(&*answer) : nullptr;
    TROUPE_ASSERT(!answer || said != nullptr);
    const auto one = said != nullptr ? Result<Wanted>{*said} : Result<Wanted>{answer.error()};
    self->call([&](auto& effects) { (self->reader_.*take)(one, self->now(), effects); });
  });
}

void GroupMember::ask_group(Effects& effects) {
  if (effects.commit) {
    for (auto& offset : effects.commit->offsets) offset.metadata = commit_tag(id_, effects.commit->committer.epoch);
    ask<std::vector<Status>>(std::move(*effects.commit), &consumer::GroupReader::on_commit);
  }
  if (effects.heartbeat) ask<HeartbeatAnswer>(std::move(*effects.heartbeat), &consumer::GroupReader::on_heartbeat);
  if (effects.fetch_offsets)
    ask<std::vector<Position>>(std::move(*effects.fetch_offsets), &consumer::GroupReader::on_offsets);
}

ClusterNode* GroupMember::leader_of(const TopicIdPartition& id) const {
  const auto topic = image_->find_topic(id.topic_id);
  if (!topic) return nullptr;
  const auto leader = topic->partitions[static_cast<std::size_t>(id.partition.value())].leader;
  return leader == no_broker ? nullptr : &world_.cluster.node(leader);
}

void GroupMember::serve_fetch(ClusterNode& leader, const FetchRequest& request, MonotonicMs until,
                              const GroupWorld::Answer<FetchResponse>& answer) {
  const auto partition = world_.sim().index_of(request.partition);
  const auto* replica = leader.replicas().leader(partition);
  if (replica == nullptr) return answer(Error{Errc::not_leader_or_follower, "not the leader"});
  if (const auto checked = replica->check_offset(request.from); !checked) return answer(checked.error());
  FetchResponse response{.next_offset = request.from,
                         .log_start_offset = replica->log_start(),
                         .high_watermark = replica->high_watermark(),
                         .leader_epoch = replica->epoch()};
  if (!replica->has_records_at(request.from)) {
    if (world_.clock(leader) >= until) return answer(std::move(response));
    return world_.later_us(leader, fetch_look_us, [self = shared_from_this(), &leader, request, until, answer] {
      self->serve_fetch(leader, request, until, answer);
    });
  }
  response.batches = leader.replicas().log(partition).read(request.from, response.high_watermark, request.bytes_max);
  for (auto left = response.batches.view(); !left.empty();) {
    const auto batch = record::parse_batch(left);
    TROUPE_ASSERT(batch);
    response.next_offset = batch->header.next_offset();
    left = left.subspan(batch->bytes.size());
  }
  answer(std::move(response));
}

void GroupMember::fetch(const Effects::Fetch& wanted) {
  const auto take = [self = shared_from_this(), token = wanted.token](Result<FetchResponse> answer) {
    self->call([&](auto& effects) { self->reader_.on_fetched(token, std::move(answer), self->now(), effects); });
  };
  auto* leader = leader_of(wanted.request.partition);
  const auto wait_ms = std::min(wanted.request.wait_ms_max, fetch_wait_ms_max);
  if (!is_data(wanted.request.partition)) {  // of these there is metadata only: nothing is in them
    return world_.later_us(node_, wait_ms * 1'000,
                           [take, from = wanted.request.from] { take(FetchResponse{.next_offset = from}); });
  }
  if (leader == nullptr) {
    return world_.later_us(node_, 1'000, [take] { take(Error{Errc::leader_not_available, "no leader is known"}); });
  }
  world_.ask<FetchResponse>(
      node_, *leader, wait_ms + world_.settings.request_ms,
      [self = shared_from_this(), leader, request = wanted.request,
       wait_ms](const GroupWorld::Answer<FetchResponse>& answer) {
        self->serve_fetch(*leader, request, self->world_.clock(*leader) + wait_ms, answer);
      },
      take);
}

void GroupMember::find(const Effects::Find& wanted) {
  const auto take = [self = shared_from_this(), token = wanted.token](const Result<OffsetAnswer>& answer) {
    self->call([&](auto& effects) { self->reader_.on_found(token, answer, self->now(), effects); });
  };
  if (!is_data(wanted.partition)) {
    return world_.later_us(node_, 1'000, [take] { take(OffsetAnswer{}); });
  }
  auto* leader = leader_of(wanted.partition);
  if (leader == nullptr) {
    return world_.later_us(node_, 1'000, [take] { take(Error{Errc::leader_not_available, "no leader is known"}); });
  }
  world_.ask<OffsetAnswer>(
      node_, *leader, world_.settings.request_ms,
      [&world = world_, leader, wanted](const GroupWorld::Answer<OffsetAnswer>& answer) {
        const auto* replica = leader->replicas().leader(world.sim().index_of(wanted.partition));
        if (replica == nullptr) return answer(Error{Errc::not_leader_or_follower, "not the leader"});
        const auto end = replica->committed_end();
        const bool latest = wanted.spec.kind == OffsetSpec::Kind::latest;
        if (latest && !end) return answer(end.error());
        answer(OffsetAnswer{.offset = latest ? *end : replica->log_start(),
                            .log_start_offset = replica->log_start(),
                            .high_watermark = replica->high_watermark(),
                            .leader_epoch = replica->epoch()});
      },
      take);
}

// --- the listener

/// On a thread of its own: events come a little later, in order, and later still while it is busy.
void GroupMember::post(ConsumerEvent event) {
  auto& queue = world_.sim().queue;
  const auto at = std::max({last_event_us_, busy_until_us_, queue.now_us() + world_.prng.between(10, 2'000)});
  last_event_us_ = at;
  world_.later_us(
      node_, at - queue.now_us(),
      [self = shared_from_this(), event = std::make_shared<ConsumerEvent>(std::move(event))] { self->on_event(*event); });
}

void GroupMember::on_event(ConsumerEvent& event) {
  if (world_.sim().log) world_.say(id_ + " hears: " + told_by(event));
  if (const auto* assigned = std::get_if<ConsumerAssigned>(&event)) {
    for (const auto& one : assigned->partitions) expected_[one.partition] = one.next;
  } else if (const auto* records = std::get_if<ConsumerRecords>(&event)) {
    work_on(*records);
  } else if (const auto* reset = std::get_if<ConsumerReset>(&event)) {
    world_.mark("moved to another position");
    if (reset->reason == ConsumerReset::Reason::log_cut) {
      world_.sim().invariants.fail("NoRecordSkipped", id_ + " was at " + to_string(reset->from) + " of " + reset->topic +
                                                          ", which nobody lost, and is told that the log ends before it");
    }
    expected_[reset->partition] = reset->to;
  } else if (const auto* revoking = std::get_if<ConsumerRevoking>(&event)) {
    if (habits_.holds_on) return world_.mark("a listener holds on");
    world_.later_us(node_, world_.prng.between(0, 300'000),
                    [self = shared_from_this(), partitions = revoking->partitions] { self->say_released(partitions); });
  } else if (const auto* revoked = std::get_if<ConsumerRevoked>(&event)) {
    if (!revoked->in_time) world_.mark("revoked without having been released");
    for (const auto& id : revoked->partitions) expected_.erase(id);
  } else if (const auto* lost = std::get_if<ConsumerLost>(&event)) {
    world_.mark("lost everything");
    for (const auto& id : lost->partitions) expected_.erase(id);
  } else if (const auto* failed = std::get_if<ConsumerFailed>(&event)) {
    world_.sim().invariants.fail("NobodyFails", id_ + ": " + to_string(failed->error));
  }
}

template <class Work>
void GroupMember::tell_reader(Work work) {
  auto& queue = world_.sim().queue;
  last_call_us_ = std::max(last_call_us_, queue.now_us() + world_.prng.between(1, 800));
  world_.later_us(node_, last_call_us_ - queue.now_us(),
                  [self = shared_from_this(), work] { self->call([&](auto& effects) { work(*self, effects); }); });
}

void GroupMember::say_released(const PartitionList& partitions) {
  if (habits_.commits) commit_all();
  tell_reader([partitions](GroupMember& self, Effects& effects) { self.reader_.released(partitions, self.now(), effects); });
}

void GroupMember::work_on(const ConsumerRecords& records) {
  const auto expected = expected_.find(records.partition);
  if (expected == expected_.end() || expected->second != records.from) {
    return world_.sim().invariants.fail(
        "NoRecordSkipped", id_ + " is given records from " + to_string(records.from) + " of " + records.topic + "-" +
                               to_string(records.partition.partition) + " and was at " +
                               (expected == expected_.end() ? "nothing" : to_string(expected->second)));
  }
  expected->second = records.next;
  const auto number = static_cast<std::size_t>(records.partition.partition.value());
  auto at = records.from;
  for (auto left = records.batches.view(); !left.empty();) {
    const auto batch = record::parse_batch(left);
    TROUPE_ASSERT(batch);
    left = left.subspan(batch->bytes.size());
    record::RecordReader reader(batch->header, batch->records_block());
    while (const auto record = reader.next()) {
      if (record->offset < records.from) continue;
      if (record->offset != at) {
        return world_.sim().invariants.fail(
            "NoRecordSkipped", id_ + " is given " + to_string(record->offset) + " in place of " + to_string(at));
      }
      world_.judge.worked(options_.group, number, record->offset);
      at += 1;
    }
  }
  world_.mark("records worked on");
  const ConsumerCredit back{records.records, static_cast<std::int64_t>(records.batches.size())};
  tell_reader([id = records.partition, next = records.next, back](GroupMember& self, Effects& effects) {
    self.reader_.consumed(id, next);
    self.reader_.credit(back, self.now(), effects);
  });
  if (habits_.commits && (behaves_ || world_.prng.chance(1, 4))) commit_all();
}

void GroupMember::commit_all() {
  tell_reader(
      [](GroupMember& self, Effects& effects) { self.reader_.commit(++self.last_request_, {}, self.now(), effects); });
}

}  // namespace troupe::sim
