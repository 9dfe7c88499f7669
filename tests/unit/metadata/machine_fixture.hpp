#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/metadata/metadata_machine.hpp"
#include "core/metadata/snapshot.hpp"
#include "tests/unit/metadata/metadata_fixture.hpp"

namespace troupe::test {

/// The machine of node 1 on a quorum that is a list, driven by hand: effects wait until the test performs them.
class MachineFixture {
 public:
  using Machine = metadata::MetadataMachine;
  using Entry = quorum::LogEntry;

  explicit MachineFixture(Machine::Options options = {}) {
    options.broker = {BrokerId{1}, "localhost", 8080};
    if (options.incarnation.is_nil()) options.incarnation = uuid(50);
    options.new_uuid = ids();
    machine.emplace(std::move(options));
    machine->formatted(cluster);
  }

  // --- the quorum

  Offset end() const { return log.empty() ? snapshot_end : log.back().end_offset(); }

  /// The disk is opened, and what is in the log is delivered.
  void open() {
    take(machine->opened(snapshot, end(), time()));
    deliver();
  }
  /// This node leads from now on, in the next epoch.
  void elect() {
    follow(1);
    append_control(1);
    deliver();
    take(machine->ready_to_lead(time()));
    settle();
  }
  void append_control(std::int32_t leader) {
    ++epoch;
    const quorum::ReplicaKey key{BrokerId{leader}, uuid(static_cast<std::uint8_t>(leader))};
    const auto payload = quorum::encode_control_entry({key, *quorum::VoterSet::of({key})});
    log.push_back({end(), epoch, quorum::EntryKind::leader_change, 1, Bytes::copy_of(payload)});
  }
  void follow(std::int32_t leader) {
    take(machine->leader_changed(BrokerId{leader}, time()));
    settle();
  }
  /// The whole log: the machine passes over what it has.
  void deliver() {
    take(machine->delivered(log, time()));
    settle();
  }
  /// Opened, replayed, leading and registered.
  void become_ready() {
    open();
    elect();
    REQUIRE(ready);
  }

  // --- commands

  std::uint64_t submit(metadata::MetadataCommand command, Millis deadline = 1'000) {
    take(machine->submit(++last_token, std::move(command), MonotonicMs{now + deadline}, time()));
    return last_token;
  }
  std::uint64_t submit_of_peer(metadata::MetadataCommand command, Millis deadline = 1'000) {
    take(machine->submit_of_peer(++last_token, std::move(command), MonotonicMs{now + deadline}, time()));
    return last_token;
  }
  std::uint64_t create(const std::string& name, bool validate_only = false) {
    return submit(metadata::CreateTopicCommand{{.name = name, .validate_only = validate_only}});
  }
  std::uint64_t remove(const std::string& name) { return submit(metadata::DeleteTopicCommand{name}); }

  // --- effects

  void take(metadata::MetadataEffects effects) {
    for (auto& effect : effects) waiting.push_back(std::move(effect));
  }
  /// Performs what waits, and what that leads to.
  void settle() {
    while (!waiting.empty()) {
      auto effect = std::move(waiting.front());
      waiting.pop_front();
      std::visit([this](auto& one) { perform(one); }, effect);
    }
  }

  /// What a proposal is in the log.
  static Entry entry(const metadata::ProposeMetadata& proposal) {
    return {proposal.place.base_offset, proposal.place.epoch, quorum::EntryKind::data, proposal.records, proposal.batch};
  }
  void commit(const metadata::ProposeMetadata& proposal) {
    REQUIRE(proposal.place.base_offset == end());
    log.push_back(entry(proposal));
    take(machine->delivered({log.back()}, time()));
    take(machine->proposed(proposal.token, end(), time()));
    settle();
  }
  metadata::ProposeMetadata take_held() {
    REQUIRE(held);
    return *std::exchange(held, std::nullopt);
  }
  void release() {
    hold = false;
    if (held) commit(take_held());
  }

  void perform(const metadata::ProposeMetadata& proposal) {
    ++proposals;
    if (hold) {
      REQUIRE_FALSE(held);
      held = proposal;
    } else if (!proposal_errors.empty()) {
      const auto error = proposal_errors.front();
      proposal_errors.pop_front();
      take(machine->proposed(proposal.token, error, time()));
    } else {
      commit(proposal);
    }
  }
  void perform(const metadata::ConfirmLeader& effect) {
    if (hold_confirmations) return confirmations.push_back(effect.token);
    take(machine->proposed(effect.token, end(), time()));
  }
  /// The quorum's answer to what it was asked about this leader.
  void confirm(const Result<Offset>& answer) {
    for (const auto token : std::exchange(confirmations, {})) take(machine->proposed(token, answer, time()));
    settle();
  }
  void perform(const metadata::CallController& call) { calls.push_back(call); }
  void perform(metadata::AnswerMetadata& answer) {
    INFO("token " << answer.token);
    REQUIRE(answers.emplace(answer.token, std::move(answer.answer)).second);
  }
  void perform(metadata::AnswerPeer& answer) {
    REQUIRE(peer_answers.emplace(answer.token, std::move(answer.answer)).second);
  }
  void perform(const metadata::MetadataIsReady&) {
    REQUIRE_FALSE(ready);
    ready = true;
    shown = machine->image();
  }
  void perform(const metadata::PublishMetadata& effect) {
    REQUIRE(ready);
    REQUIRE(effect.delta->before == shown);  // without holes
    shown = effect.delta->after;
    last_delta = effect.delta;
    ++published;
  }
  void perform(const metadata::WantTurn&) {
    std::optional<quorum::QuorumNode::Place> place;
    if (!handing_over) place = {end(), epoch};
    take(machine->turn(place, TimestampMs{1'700'000'000'000}, time()));
  }
  void perform(const metadata::TakeSnapshot& effect) {
    if (snapshot_error) return take(machine->snapshot_written(*snapshot_error));
    const auto decoded = metadata::decode_snapshot(metadata::encode_snapshot(*effect.image));
    REQUIRE(decoded);
    snapshot = *decoded;
    snapshot_end = snapshot->applied();
    std::erase_if(log, [&](const Entry& one) { return one.end_offset() <= snapshot_end; });
    ++snapshots;
    take(machine->snapshot_written(ok()));
  }
  void perform(const metadata::NoteMetadata& effect) { notes.push_back(effect.text); }
  void perform(const metadata::FailMetadata& effect) { failure = effect.error; }

  MonotonicMs time() const { return MonotonicMs{now}; }
  void pass(Millis ms) {
    now += ms;
    take(machine->on_deadline(time()));
    settle();
  }
  /// Answers the only call that is open.
  metadata::CallController take_call() {
    REQUIRE(calls.size() == 1);
    const auto call = calls.front();
    calls.clear();
    return call;
  }
  void answer_call(const metadata::CallController& call, metadata::CommandAnswer answer) {
    take(machine->called(call.call, Result<metadata::CommandAnswer>{std::move(answer)}, time()));
    settle();
  }
  void fail_call(const metadata::CallController& call, Error error) {
    take(machine->called(call.call, Result<metadata::CommandAnswer>{std::move(error)}, time()));
    settle();
  }

  Errc refusal(std::uint64_t token) const {
    REQUIRE(answers.contains(token));
    const auto& answer = answers.at(token);
    REQUIRE_FALSE(answer);
    return answer.error().code;
  }
  bool granted(std::uint64_t token) const { return answers.contains(token) && answers.at(token).has_value(); }
  metadata::TopicPtr topic(std::uint64_t token) const {
    REQUIRE(granted(token));
    return answers.at(token)->topic;
  }

  std::optional<Machine> machine;
  std::deque<metadata::MetadataEffect> waiting;
  std::int64_t now = 0;
  std::uint64_t last_token = 0;
  bool hold = false;  ///< proposals
  bool hold_confirmations = false;
  std::vector<std::uint64_t> confirmations;
  bool handing_over = false;
  std::optional<metadata::ProposeMetadata> held;
  std::deque<Error> proposal_errors;
  std::optional<Error> snapshot_error;

  // the disk
  std::vector<Entry> log;
  LeaderEpoch epoch{0};
  metadata::ImagePtr snapshot;
  Offset snapshot_end{0};

  // what came of it
  std::map<std::uint64_t, Result<metadata::MetadataAnswer>> answers;
  std::map<std::uint64_t, metadata::CommandAnswer> peer_answers;
  std::vector<metadata::CallController> calls;
  metadata::ImagePtr shown;
  metadata::DeltaPtr last_delta;
  bool ready = false;
  std::size_t proposals = 0;
  std::size_t published = 0;
  std::size_t snapshots = 0;
  std::vector<std::string> notes;
  std::optional<Error> failure;
};

/// A new run on the disk of an old one.
inline void restart(MachineFixture& next, const MachineFixture& old) {
  next.log = old.log;
  next.epoch = old.epoch;
  next.snapshot = old.snapshot;
  next.snapshot_end = old.snapshot_end;
}

}  // namespace troupe::test
