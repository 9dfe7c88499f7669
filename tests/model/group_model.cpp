#include "tests/model/group_model.hpp"

#include <algorithm>
#include <bit>

#include "core/metadata/image_builder.hpp"
#include "tests/model/explorer.hpp"

namespace troupe::model {

using namespace group;
using consumer::GroupConsumer;
using consumer::GroupConsumerEffects;

namespace {

constexpr auto group_name = "g";
constexpr auto topic_name = "t";
const TopicId topic_id{{7}};
constexpr MonotonicMs now_ms{1'000'000};
constexpr Now now{now_ms, TimestampMs{1'700'000'000'000}};
constexpr Millis never_ms = 1'000'000'000;

std::string name_of(std::size_t member) { return "m" + std::to_string(member + 1); }
/// Each lives on a node of its own, so that one can be given up alone.
BrokerId node_of(std::size_t member) { return BrokerId{static_cast<std::int32_t>(member) + 1}; }

metadata::ImagePtr make_image() {
  metadata::ImageBuilder builder{std::make_shared<const metadata::MetadataImage>()};
  std::int64_t offset = 0;
  const auto add = [&](const metadata::MetadataRecord& record) { TROUPE_ASSERT(builder.apply(record, Offset{offset++})); };
  add(metadata::ClusterRecord{Uuid{{1}}});
  for (std::size_t i = 0; i < GroupModel::members; ++i) {
    add(metadata::BrokerRegisteredRecord{
        .id = node_of(i), .incarnation = Uuid{{static_cast<std::uint8_t>(i + 1)}}, .host = "host"});
  }
  add(metadata::TopicRecord{topic_id, topic_name});
  for (std::size_t p = 0; p < GroupModel::partitions; ++p) {
    add(metadata::PartitionRecord{
        topic_id, PartitionId{static_cast<std::int32_t>(p)}, BrokerId{1}, LeaderEpoch{0}, {BrokerId{1}}, {BrokerId{1}}});
  }
  return builder.finish(Offset{offset}, BrokerId{1}).after;
}

GroupConsumer::Options options_of(std::size_t member) {
  GroupConsumer::Options options{.group = group_name, .member = name_of(member)};
  options.profile.topics = {topic_name};
  options.auto_commit_interval_ms = never_ms;
  return options;
}

std::uint64_t hash_of(const Record& record) {
  const auto encoded = encode(record);
  return mix(hash_bytes(encoded.key), encoded.value ? hash_bytes(*encoded.value) : 0);
}

/// What a coordinator knows of the group, as the records that would say so.
std::uint64_t digest_of(const GroupCoordinator& coordinator) {
  std::uint64_t hash = 1;
  if (const auto described = coordinator.describe(group_name)) {
    hash = mix(hash, static_cast<std::uint64_t>(described->epoch.value()));
    for (const auto& one : described->members) {
      hash = mix(hash, hash_of(MemberRecord{group_name, one.member, one.profile}));
      hash = mix(hash, hash_of(TargetRecord{group_name, one.member, one.target}));
      hash = mix(hash, hash_of(AssignmentRecord{group_name, one.member, one.current}));
    }
  }
  const auto offsets = coordinator.offsets({group_name, {}, std::nullopt});
  for (const auto& [partition, offset] : *offsets) {
    hash = mix(hash, static_cast<std::uint64_t>(partition.partition.value() * 1'000 + offset->offset.value()));
  }
  return hash;
}

/// Whether `member` has that partition as of that epoch, in the eyes of `coordinator`.
bool may_act(const GroupCoordinator& coordinator, const std::string& member, GroupEpoch epoch,
             const TopicIdPartition& partition) {
  const auto described = coordinator.describe(group_name);
  if (!described || epoch == joining) return false;
  const auto found = std::ranges::find(described->members, member, &MemberDescription::member);
  if (found == described->members.end()) return false;
  const auto& current = found->current;
  return (epoch == current.epoch || epoch == current.previous_epoch) &&
         (contains(current.assigned, partition) || contains(current.revoking, partition));
}

}  // namespace

/// One move, and what comes of it.
struct GroupModel::Step {
  const GroupModel& model;
  State state;
  std::size_t at = 0;
  std::shared_ptr<GroupConsumer> machine = {};

  Step(const GroupModel& of, const State& before, std::size_t member) : model(of), state(before), at(member) {}

  Member& member() { return state.each[at]; }
  Request& request(Kind kind) { return member().requests[static_cast<std::size_t>(kind)]; }
  void wrong(const std::string& what) {
    if (state.wrong.empty()) state.wrong = what;
  }

  // --- a member

  template <class Work>
  void call(Work work) {
    machine = std::make_shared<GroupConsumer>(*member().machine);
    GroupConsumerEffects effects;
    work(*machine, effects);
    for (const auto& lost : effects.lost) member().at.erase(lost);
    for (const auto& one : effects.assigned) member().at[one.partition] = one.from.value_or(Offset{0});
    if (effects.commit) send(Kind::commit, *effects.commit);
    if (effects.heartbeat) send(Kind::heartbeat, *effects.heartbeat);
    if (effects.fetch_offsets) send(Kind::offsets, *effects.fetch_offsets);
    std::erase_if(member().at, [&](const auto& one) { return !machine->owns(one.first); });
    member().digest = model::digest_of(*machine);
    for (const auto& [id, next] : member().at)
      member().digest = mix(member().digest, static_cast<std::uint64_t>(id.partition.value() * 1'000 + next.value()));
    member().machine = std::move(machine);
  }
  void send(Kind kind, GroupCall call_of_group) {
    request(kind) = {Request::Stage::sent, std::make_shared<const GroupCall>(std::move(call_of_group)), {}};
  }
  void hear(Kind kind, const Result<GroupAnswer>& answer) {
    request(kind) = {};
    const auto as = [&]<class T>(T*) -> Result<T> {
      if (!answer) return answer.error();
      return std::get<T>(*answer);
    };
    call([&](GroupConsumer& one, GroupConsumerEffects& effects) {
      switch (kind) {
        case Kind::heartbeat: return one.on_heartbeat(as(static_cast<HeartbeatAnswer*>(nullptr)), now_ms, effects);
        case Kind::commit: return one.on_commit(as(static_cast<std::vector<Status>*>(nullptr)), now_ms, effects);
        case Kind::offsets: return one.on_offsets(as(static_cast<std::vector<Position>*>(nullptr)), now_ms, effects);
      }
    });
  }

  // --- the coordinator

  template <class Work>
  void turn(Work work) {
    auto coordinator = std::make_shared<GroupCoordinator>(*state.coordinator);
    Turn turn;
    work(*coordinator, turn);
    state.coordinator = std::move(coordinator);
    if (!turn.records.empty()) state.turns.push_back(std::make_shared<const std::vector<Record>>(std::move(turn.records)));
    check_targets();
  }
  void arrive(Kind kind) {
    auto& asked = request(kind);
    const auto call_of_group = asked.call;
    Result<GroupAnswer> answer = Error{Errc::unknown_error, ""};
    const auto before = state.coordinator;
    turn([&](GroupCoordinator& coordinator, Turn& turn) {
      answer = answer_call(coordinator, *call_of_group, node_of(at), now, turn);
    });
    if (const auto* commit = std::get_if<CommitRequest>(&*call_of_group); commit != nullptr && answer) {
      const auto& statuses = std::get<std::vector<Status>>(*answer);
      for (std::size_t i = 0; i < statuses.size(); ++i) {
        const TopicIdPartition id{topic_id, commit->offsets[i].partition};
        if (statuses[i] && !may_act(*before, commit->committer.member, commit->committer.epoch, id)) {
          wrong("FencedMembersCannotCommit: " + commit->committer.member + " of epoch " +
                to_string(commit->committer.epoch) + " commits partition " + to_string(id.partition));
        }
      }
    }
    asked.answer = std::make_shared<const Result<GroupAnswer>>(std::move(answer));
    asked.stage = state.turns.empty() ? Request::Stage::answered : Request::Stage::held;
  }

  /// The first turns are committed.
  void commit(std::size_t count) {
    auto committed = std::make_shared<GroupCoordinator>(*state.committed);
    for (std::size_t i = 0; i < count; ++i) {
      for (const auto& record : *state.turns[i]) {
        if (const auto* offset = std::get_if<OffsetRecord>(&record)) judge(*committed, *offset);
        committed->replay(record);
      }
    }
    state.turns.erase(state.turns.begin(), state.turns.begin() + static_cast<std::ptrdiff_t>(count));
    state.committed = std::move(committed);
    check_owners();
  }
  void judge(const GroupCoordinator& committed, const OffsetRecord& record) {
    const auto index = static_cast<std::size_t>(record.partition.value());
    const auto before =
        committed.offsets({group_name, {}, std::vector<GroupPartition>{{topic_name, record.partition}}})->front().second;
    const auto offset = record.value->offset;
    if (before && offset < before->offset) {
      wrong("CommittedOffsetsNeverRetreat: partition " + to_string(record.partition) + " from " + to_string(before->offset) +
            " to " + to_string(offset));
    }
    if (std::countr_one(state.worked[index]) < offset.value())
      wrong("NoRecordSkipped: partition " + to_string(record.partition) + " below " + to_string(offset));
  }

  void check_targets() {
    const auto described = state.coordinator->describe(group_name);
    if (!described || described->members.empty()) return;
    std::size_t least = SIZE_MAX;
    std::size_t most = 0;
    std::map<TopicIdPartition, std::string> owners;
    for (const auto& one : described->members) {
      least = std::min(least, one.target.size());
      most = std::max(most, one.target.size());
      for (const auto& partition : in_either(one.current.assigned, one.current.revoking)) {
        if (!owners.emplace(partition, one.member).second)
          wrong("OneOwnerPerPartitionPerEpoch: the coordinator gives partition " + to_string(partition.partition) +
                " to two");
      }
    }
    if (most - least > 1)
      wrong("AssignmentIsBalanced: " + std::to_string(least) + " to " + std::to_string(most) + " partitions");
  }
  /// Of two members that have the same partition, the epoch of one is over.
  void check_owners() {
    for (std::size_t p = 0; p < partitions; ++p) {
      const auto id = model.id_of(p);
      std::size_t owners = 0;
      for (std::size_t i = 0; i < members; ++i) {
        const auto& one = *state.each[i].machine;
        if (one.owns(id) && may_act(*state.committed, name_of(i), one.epoch(), id)) ++owners;
      }
      if (owners > 1)
        wrong("OneOwnerPerPartitionPerEpoch: partition " + std::to_string(p) + " is read by two, and neither is fenced");
    }
  }

  void release_held() {
    for (auto& one : state.each) {
      for (auto& asked : one.requests) {
        if (asked.stage == Request::Stage::held) asked.stage = Request::Stage::answered;
      }
    }
  }
  void fail_over(std::size_t kept) {
    commit(kept);
    state.turns.clear();
    // Nobody knows what came of what was not answered.
    for (auto& one : state.each) {
      for (auto& asked : one.requests) {
        if (asked.stage != Request::Stage::held) continue;
        asked.answer =
            std::make_shared<const Result<GroupAnswer>>(Error{Errc::request_timed_out, "the coordinator is another"});
        asked.stage = Request::Stage::answered;
      }
    }
    state.coordinator = state.committed;
    turn([](GroupCoordinator& coordinator, Turn& turn) { coordinator.begin(now, turn); });
  }

  State end() {
    check_owners();
    return std::move(state);
  }
};

GroupModel::GroupModel(const GroupBounds& bounds) : bounds_(bounds), image_(make_image()) {}

TopicIdPartition GroupModel::id_of(std::size_t partition) const {
  return {topic_id, PartitionId{static_cast<std::int32_t>(partition)}};
}

GroupModel::State GroupModel::first() const {
  State state{.left = bounds_};
  state.coordinator = state.committed = std::make_shared<const GroupCoordinator>(GroupCoordinator::Options{}, image_);
  for (std::size_t i = 0; i < members; ++i)
    state.each[i].machine = std::make_shared<const GroupConsumer>(options_of(i), image_);
  // The settled ones join one after the other, and everything is answered until each has what it shall.
  const auto rounds = 12;
  for (std::size_t i = 0; i < bounds_.settled; ++i) {
    state = after(state, {Move::What::start, i});
    for (int round = 0; round < rounds; ++round) {
      for (std::size_t j = 0; j <= i; ++j) {
        if (!holds_on_to(*state.each[j].machine).empty()) state = after(state, {Move::What::release, j});
        if (due_at(*state.each[j].machine)) state = after(state, {Move::What::timer, j});
        for (std::size_t kind = 0; kind < kinds; ++kind) {
          if (state.each[j].requests[kind].stage == Request::Stage::none) continue;
          state = after(state, {Move::What::arrive, j, kind});
          if (!state.turns.empty()) state = after(state, {Move::What::commit});
          state = after(state, {Move::What::hear, j, kind});
        }
      }
    }
  }
  state.left = bounds_;
  return state;
}

std::vector<GroupModel::Move> GroupModel::moves(const State& state) const {
  using What = Move::What;
  using Phase = GroupConsumer::Phase;
  std::vector<Move> all;
  if (!state.turns.empty()) all.push_back({What::commit});
  for (std::size_t i = 0; i < members; ++i) {
    const auto& one = state.each[i];
    const auto phase = one.machine->phase();
    if (phase == Phase::idle) {
      if (state.left.joins > 0) all.push_back({What::start, i});
      continue;
    }
    bool waits = false;
    for (std::size_t kind = 0; kind < kinds; ++kind) {
      const auto stage = one.requests[kind].stage;
      if (stage == Request::Stage::none) continue;
      waits = true;
      if (stage == Request::Stage::sent) all.push_back({What::arrive, i, kind});
      if (stage == Request::Stage::answered) all.push_back({What::hear, i, kind});
      if (state.left.losses > 0) all.push_back({What::lose, i, kind});
    }
    if (phase == Phase::closed || phase == Phase::failed) continue;
    if (!waits && due_at(*one.machine)) all.push_back({What::timer, i});
    if (!holds_on_to(*one.machine).empty()) all.push_back({What::release, i});
    if (phase == Phase::member && state.left.silences > 0) all.push_back({What::silence, i});
    if (phase == Phase::member && state.left.leaves > 0) all.push_back({What::leave, i});
    if (state.left.records > 0) {
      for (std::size_t p = 0; p < partitions; ++p) {
        if (one.at.contains(id_of(p))) all.push_back({What::work, i, p});
      }
    }
  }
  if (state.left.expiries > 0) {
    if (const auto described = state.coordinator->describe(group_name)) {
      for (std::size_t i = 0; i < members; ++i) {
        if (std::ranges::find(described->members, name_of(i), &MemberDescription::member) != described->members.end())
          all.push_back({What::expire, i});
      }
    }
  }
  if (state.left.failovers > 0) {
    for (std::size_t kept = 0; kept <= state.turns.size(); ++kept) all.push_back({What::fail_over, 0, kept});
  }
  return all;
}

GroupModel::State GroupModel::after(const State& state, const Move& move) const {
  using What = Move::What;
  Step step{*this, state, move.member};
  auto& left = step.state.left;
  const auto kind = static_cast<Kind>(move.part);
  switch (move.what) {
    case What::start:
      --left.joins;
      step.call([](auto& one, auto& effects) { one.start(now_ms, effects); });
      break;
    case What::arrive: step.arrive(kind); break;
    case What::commit:
      step.commit(step.state.turns.size());
      step.release_held();
      break;
    case What::hear: {
      const auto answer = step.request(kind).answer;
      step.hear(kind, *answer);
      break;
    }
    case What::lose:
      --left.losses;
      step.hear(kind, Error{Errc::request_timed_out, "no answer"});
      break;
    case What::timer: {
      const auto due = std::max(now_ms, *due_at(*step.member().machine));
      step.call([&](auto& one, auto& effects) { one.on_deadline(due, effects); });
      break;
    }
    case What::release: step.call([](auto& one, auto& effects) { one.released(holds_on_to(one), now_ms, effects); }); break;
    case What::work: {
      --left.records;
      const auto id = id_of(move.part);
      auto& next = step.member().at[id];
      step.state.worked[move.part] |= 1U << static_cast<unsigned>(next.value());
      next += 1;
      step.call([&, to = next](auto& one, auto& effects) {
        one.consumed(id, to, no_leader_epoch);
        one.commit(now_ms, effects);
      });
      break;
    }
    case What::leave:
      --left.leaves;
      step.call([](auto& one, auto& effects) { one.close(now_ms, effects); });
      break;
    case What::expire:
      --left.expiries;
      step.turn([&](GroupCoordinator& coordinator, Turn& turn) { coordinator.node_lost(node_of(move.member), now, turn); });
      break;
    case What::silence:
      --left.silences;
      step.call([](auto& one, auto& effects) {
        one.on_deadline(heard_at(one) + options_of(0).profile.session_timeout_ms, effects);
      });
      break;
    case What::fail_over:
      --left.failovers;
      step.fail_over(move.part);
      break;
  }
  return step.end();
}

std::optional<std::string> GroupModel::violation(const State& state) const {
  return state.wrong.empty() ? std::nullopt : std::optional{state.wrong};
}

std::uint64_t GroupModel::digest(const State& state) const {
  auto hash = mix(digest_of(*state.coordinator), digest_of(*state.committed));
  for (const auto& turn : state.turns) {
    hash = mix(hash, turn->size());
    for (const auto& record : *turn) hash = mix(hash, hash_of(record));
  }
  for (const auto& one : state.each) {
    hash = mix(hash, one.digest);
    for (const auto& asked : one.requests) {
      hash = mix(hash, static_cast<std::uint64_t>(asked.stage));
      if (asked.stage == Request::Stage::sent) hash = mix(hash, hash_bytes(encode_call(*asked.call)));
      if (!asked.answer) continue;
      hash = mix(hash, *asked.answer ? hash_bytes(encode_answer(**asked.answer))
                                     : static_cast<std::uint64_t>((*asked.answer).error().code));
    }
  }
  for (const auto bits : state.worked) hash = mix(hash, bits);
  const auto& left = state.left;
  for (const auto one : {left.joins, left.leaves, left.expiries, left.silences, left.failovers, left.losses, left.records})
    hash = mix(hash, static_cast<std::uint64_t>(one));
  return hash;
}

std::string GroupModel::describe(const State& state, const Move& move) const {
  using What = Move::What;
  constexpr const char* kinds_of[] = {"heartbeat", "commit", "question for offsets"};
  const auto who = name_of(move.member);
  switch (move.what) {
    case What::start: return who + " joins";
    case What::arrive: return who + "'s " + kinds_of[move.part] + " arrives";
    case What::commit: return std::to_string(state.turns.size()) + " turns are committed";
    case What::hear: return who + " hears the answer to its " + kinds_of[move.part];
    case What::lose: return who + "'s " + kinds_of[move.part] + " is lost, or its answer";
    case What::timer: return who + " does what is due";
    case What::release: return who + " lets go of what it shall";
    case What::work: return who + " works on a record of partition " + std::to_string(move.part) + ", and commits";
    case What::leave: return who + " leaves";
    case What::expire: return who + " is given up";
    case What::silence: return who + " gives itself up";
    case What::fail_over:
      return "the coordinator is another, " + std::to_string(move.part) + " of " + std::to_string(state.turns.size()) +
             " turns are kept";
  }
  return {};
}

}  // namespace troupe::model
