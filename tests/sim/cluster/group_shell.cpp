#include "tests/sim/cluster/group_shell.hpp"

#include <algorithm>
#include <map>

#include "core/group/group_batches.hpp"
#include "core/group/group_place.hpp"

namespace troupe::sim {

using namespace group;

namespace {

constexpr Millis retry_ms = 25;
constexpr std::int64_t mark_pause_us = 100'000;

/// A call of a node that waits for its answer.
struct OpenCall {
  GroupWorld& world;
  ClusterNode& node;
  GroupCall call;
  MonotonicMs deadline;
  GroupWorld::Answer<GroupAnswer> take;

  void answer(Result<GroupAnswer> result) {
    if (const auto once = std::exchange(take, nullptr)) once(std::move(result));
  }
};

void attempt(const std::shared_ptr<OpenCall>& open);

void retry(const std::shared_ptr<OpenCall>& open) {
  if (open->world.clock(open->node) >= open->deadline) {
    return open->answer(Error{Errc::request_timed_out, "the group's coordinator did not answer in time"});
  }
  open->world.later_us(open->node, retry_ms * 1'000, [open] { attempt(open); });
}

void attempt(const std::shared_ptr<OpenCall>& open) {
  auto& world = open->world;
  auto& node = open->node;
  if (!node.ready()) return retry(open);
  const auto topic = node.image()->find_topic(offsets_topic);
  if (!topic) return retry(open);
  const auto number = partition_of(open->call).value() % topic->partition_count();
  const auto leader = topic->partitions[static_cast<std::size_t>(number)].leader;
  if (leader == no_broker) return retry(open);
  auto& to = world.cluster.node(leader);
  const auto serve = [&world, &to, number, from = node.id(),
                      bytes = encode_call(open->call)](GroupWorld::Answer<Bytes> answer) {
    const auto decoded = decode_call(bytes);
    if (!decoded) return world.cluster.quorum.violated("MessagesDecode", decoded.error().message);
    const auto shell = world.coordinator(to.id(), PartitionId{number});
    if (!shell) return answer(Error{Errc::not_coordinator, "this node does not coordinate the group (now)"});
    shell->take(*decoded, from, [answer](const Result<GroupAnswer>& one) {
      answer(one ? Result<Bytes>{Bytes::adopt(encode_answer(*one))} : Result<Bytes>{one.error()});
    });
  };
  const auto left = std::max<Millis>(1, open->deadline - world.clock(node));
  world.ask<Bytes>(node, to, left, serve, [open](const Result<Bytes>& bytes) {
    auto answer = bytes ? decode_answer(bytes->view()) : Result<GroupAnswer>{bytes.error()};
    if (bytes && !answer) return open->world.cluster.quorum.violated("MessagesDecode", answer.error().message);
    if (answer) return open->answer(std::move(answer));
    switch (answer.error().code) {
      case Errc::not_coordinator:
      case Errc::coordinator_load_in_progress:
      case Errc::coordinator_not_available:
      case Errc::broker_not_available: return retry(open);
      case Errc::leadership_lost:
      case Errc::request_timed_out: return is_repeatable(open->call) ? retry(open) : open->answer(std::move(answer));
      default: return open->answer(std::move(answer));
    }
  });
}

}  // namespace

void call_coordinator(GroupWorld& world, ClusterNode& node, GroupCall call, GroupWorld::Answer<GroupAnswer> take) {
  const auto deadline = world.clock(node) + world.settings.request_ms;
  attempt(std::make_shared<OpenCall>(OpenCall{world, node, std::move(call), deadline, std::move(take)}));
}

// --- one run of a coordinator

GroupShell::GroupShell(GroupWorld& world, ClusterNode& node, std::size_t partition)
    : world_(world),
      node_(node),
      partition_(partition),
      run_(node.replicas().current_run()),
      leader_(node.replicas().incarnation(partition)),
      machine_(GroupCoordinator::Options{}, node.image()) {}

bool GroupShell::runs() const {
  const auto& replicas = node_.replicas();
  return phase_ != Phase::ended && replicas.up() && replicas.current_run() == run_ &&
         replicas.incarnation(partition_) == leader_ && replicas.leader(partition_) != nullptr;
}

template <class Work>
void GroupShell::later_us(std::int64_t delay_us, Work work) {
  world_.later_us(node_, delay_us, [self = shared_from_this(), work] {
    // It belongs to that leader, and ends with it.
    if (!self->runs()) return self->end({Errc::not_coordinator, "the partition's leader ended"});
    work(*self);
  });
}

void GroupShell::begin() { mark_log(); }

void GroupShell::end(const Error& error) {
  if (phase_ == Phase::ended) return;
  phase_ = Phase::ended;
  world_.mark("coordinator ended: " + std::string(to_string(error.code)));
}

void GroupShell::append(std::vector<ByteBuffer> batches) {
  if (!runs()) return end({Errc::not_coordinator, "the partition's leader ended"});
  std::vector<replication::NewBatch> all;
  for (auto& batch : batches) {
    const auto header = record::parse_batch_header(batch);
    TROUPE_ASSERT(header);
    all.push_back({.bytes = Bytes::adopt(std::move(batch)), .header = *header});
  }
  node_.replicas().produce_here(partition_, std::move(all),
                                [self = shared_from_this(), slot = ++slot_](const auto& results) {
                                  if (self->phase_ != Phase::ended && slot == self->slot_) self->appended(results);
                                });
}

void GroupShell::appended(const std::vector<Result<replication::PlacedRecords>>& results) {
  if (phase_ == Phase::marking) return marked(results.at(0));
  for (const auto& result : results) {
    if (!result) return end(result.error());
  }
  for (auto& free : log_.committed()) free.ticket(std::move(free.answer));
  flush();
}

// --- loading

void GroupShell::mark_log() {
  std::vector<ByteBuffer> batches;
  batches.push_back(encode_load_mark(world_.now(node_).wall));
  append(std::move(batches));
}

void GroupShell::marked(const Result<replication::PlacedRecords>& result) {
  if (result) {
    mark_ = result->base_offset;
    phase_ = Phase::reading;
    next_ = node_.replicas().log_start(partition_);
    return read_on();
  }
  const auto code = result.error().code;
  if (code == Errc::leadership_lost || code == Errc::not_leader_or_follower) return end(result.error());
  later_us(mark_pause_us, [](GroupShell& self) { self.mark_log(); });
}

void GroupShell::read_on() {
  if (next_ >= mark_) return replay();
  const auto end_offset = node_.replicas().high_watermark(partition_);
  const auto bytes = node_.replicas().log(partition_).read(next_, end_offset, 16'384);
  for (auto left = bytes.view(); !left.empty();) {
    const auto batch = record::parse_batch(left);
    TROUPE_ASSERT(batch);
    left = left.subspan(batch->bytes.size());
    next_ = batch->header.next_offset();
    const auto read = replay_batches(batch->bytes, Offset{0}, mark_, [&](const Record& record) {
      auto encoded = encode(record);
      read_.push_back({batch->header.base_offset, std::move(encoded.key), encoded.value.has_value(), record});
    });
    TROUPE_ASSERT(read);
  }
  later_us(world_.prng.between(100, 3'000), [](GroupShell& self) { self.read_on(); });
}

/// Sometimes as the cleaner would have left the log: below some place only the last record of each key, and no old tombstones.
void GroupShell::replay() {
  const auto clean_below = world_.prng.chance(1, 2) ? read_.size() : world_.prng.below(read_.size() + 1);
  const bool compacted = world_.prng.chance(1, 2);
  const bool without_tombstones = world_.prng.chance(1, 2);
  std::map<ByteBuffer, std::size_t> last;
  for (std::size_t i = 0; i < clean_below; ++i) last[read_[i].key] = i;
  for (std::size_t i = 0; i < read_.size(); ++i) {
    const auto& one = read_[i];
    const bool cleaned = compacted && i < clean_below && (last[one.key] != i || (without_tombstones && !one.has_value));
    if (!cleaned) machine_.replay(one.record);
  }
  if (compacted) world_.mark("read a compacted log");
  read_.clear();
  phase_ = Phase::running;
  world_.mark("coordinator loaded");
  Turn turn;
  machine_.begin(world_.now(node_), turn);
  for (const auto& delta : std::exchange(deltas_, {})) machine_.update(*delta, world_.now(node_), turn);
  finish(std::move(turn));
}

// --- calls

void GroupShell::take(const GroupCall& call, BrokerId from, GroupWorld::Answer<GroupAnswer> answer) {
  if (phase_ != Phase::running) {
    return answer(Error{Errc::coordinator_load_in_progress, "the group's coordinator reads its log"});
  }
  Turn turn;
  auto result = answer_call(machine_, call, from, world_.now(node_), turn);
  finish(std::move(turn));
  if (auto free = log_.hold({std::move(answer), std::move(result)})) free->ticket(std::move(free->answer));
}

void GroupShell::take(const metadata::DeltaPtr& delta) {
  if (phase_ == Phase::ended) return;
  if (phase_ != Phase::running) return deltas_.push_back(delta);
  Turn turn;
  machine_.update(*delta, world_.now(node_), turn);
  finish(std::move(turn));
}

void GroupShell::node_lost(BrokerId node) {
  if (phase_ != Phase::running) return;
  Turn turn;
  machine_.node_lost(node, world_.now(node_), turn);
  if (!turn.records.empty()) world_.mark("members went with their node");
  finish(std::move(turn));
}

void GroupShell::finish(Turn turn) {
  log_.write(std::move(turn.records));
  nudged_.insert(turn.nudged.begin(), turn.nudged.end());
  if ((log_.has_open() || !nudged_.empty()) && !std::exchange(flushing_, true)) {
    later_us(world_.prng.between(1, 300), [](GroupShell& self) {
      self.flushing_ = false;
      self.flush();
    });
  }
  arm();
}

void GroupShell::flush() {
  tell_news();
  auto batches = log_.take_append(world_.now(node_).wall);
  TROUPE_ASSERT(batches);
  if (!batches->empty()) append(*std::move(batches));
}

void GroupShell::tell_news() {
  std::map<BrokerId, std::vector<MemberName>> by_node;
  for (const auto& member : std::exchange(nudged_, {})) by_node[machine_.node_of(member)].push_back(member);
  for (auto& [id, members] : by_node) {
    if (id == no_broker) continue;
    auto& to = world_.cluster.node(id);
    world_.send(node_, to, [this_world = &world_, &to, bytes = encode_news(members)] {
      const auto decoded = decode_news(bytes);
      TROUPE_ASSERT(decoded);
      this_world->tell(to, *decoded);
    });
  }
}

void GroupShell::arm() {
  const auto due = machine_.next_deadline();
  if (!due || (armed_for_ && *armed_for_ <= *due)) return;
  armed_for_ = due;
  later_us(std::max<Millis>(0, *due - world_.clock(node_)) * 1'000, [due](GroupShell& self) {
    if (self.armed_for_ != due || self.phase_ != Phase::running) return;
    self.armed_for_.reset();
    Turn turn;
    self.machine_.on_deadline(self.world_.now(self.node_), turn);
    if (!turn.records.empty()) self.world_.mark("members expired");
    self.finish(std::move(turn));
  });
}

std::string GroupShell::describe() const {
  std::string text = "coordinator on n" + to_string(node_.id()) + (phase_ == Phase::running ? "" : " (not running)");
  for (const auto& listed : machine_.list()) {
    text += " group " + listed.group + " epoch " + to_string(listed.epoch) + ":";
    const auto described = machine_.describe(listed.group);
    for (const auto& one : described->members) {
      text += " " + one.member + "/" + one.profile.instance_id + " epoch " + to_string(one.current.epoch) + " state " +
              std::to_string(static_cast<int>(one.current.state)) + " has " + std::to_string(one.current.assigned.size()) +
              " gives up " + std::to_string(one.current.revoking.size()) + " of " + std::to_string(one.target.size()) + ";";
    }
  }
  return text;
}

}  // namespace troupe::sim
