#include "tests/model/quorum_model.hpp"

#include <algorithm>

#include "tests/model/explorer.hpp"

namespace troupe::model {

using namespace quorum;

namespace {

/// Election timeouts are drawn, and a voter's clock goes past all of them at once: what is drawn changes nothing.
Prng& any_prng() {
  static Prng prng{1};
  return prng;
}

ReplicaKey key_of(std::size_t node) {
  return {BrokerId{static_cast<std::int32_t>(node) + 1},
          Uuid{std::array<std::uint8_t, 16>{static_cast<std::uint8_t>(node + 1)}}};
}

QuorumOptions options_of(std::size_t node) {
  QuorumOptions options{.id = key_of(node).id};
  for (std::size_t i = 0; i < QuorumModel::voters; ++i) options.contacts.push_back(key_of(i).id);
  options.bootstrap_voters = options.contacts;
  return options;
}

std::size_t index_of(BrokerId id) { return static_cast<std::size_t>(id.value() - 1); }

std::string text_of(const Message& message) {
  const auto epoch = " of epoch " + to_string(message.epoch);
  if (const auto* vote = std::get_if<VoteRequest>(&message.body))
    return (vote->pre_vote ? "pre-vote request" : "vote request") + epoch;
  if (const auto* vote = std::get_if<VoteResponse>(&message.body)) return (vote->granted ? "vote" : "no vote") + epoch;
  if (const auto* append = std::get_if<AppendRequest>(&message.body)) {
    return std::to_string(append->entries.size()) + " entries at " + to_string(append->base_offset) + ", hw " +
           to_string(append->high_watermark) + epoch;
  }
  if (const auto* answer = std::get_if<AppendResponse>(&message.body))
    return (answer->accepted ? "has " + to_string(answer->durable_offset) : std::string("refusal")) + epoch;
  return "message" + epoch;
}

}  // namespace

/// One input to one node, and what comes of it.
struct QuorumModel::Step {
  State state;
  std::shared_ptr<Node> node = {};
  std::size_t at = 0;
  std::shared_ptr<sim::QuorumInvariants> invariants = {};
  const QuorumBounds& bounds;
  bool founded = true;

  Step(const State& before, std::size_t which, const QuorumBounds& of)
      : state(before),
        node(std::make_shared<Node>(*before.nodes[which])),
        at(which),
        invariants(std::make_shared<sim::QuorumInvariants>(*before.invariants)),
        bounds(of) {
    if (node->machine) node->machine = std::make_shared<QuorumNode>(*node->machine);
  }

  State end() {
    node->digest = digest_of(*node);
    state.nodes[at] = std::move(node);
    state.invariants = std::move(invariants);
    return std::move(state);
  }

  QuorumNode& machine() { return *node->machine; }

  void input(QuorumEffects effects) {
    for (auto& effect : effects) {
      std::visit([this](const auto& one) { perform(one); }, effect);
      if (!node->machine) return;
    }
    check();
    if (bounds.disk_at_once || !founded) persist();
  }

  void persist() {
    if (node->works.empty() || !node->machine) return;
    const auto work = std::move(node->works.front());
    node->works.pop_front();
    sim::perform(node->disk, work);
    if (const auto* persist = std::get_if<Persist>(&work)) input(machine().persisted(persist->token, node->clock));
  }

  void commits(Offset end) {
    const auto before = invariants->committed_end();
    invariants->committed(machine().key(), machine().epoch(), node->high_watermark, end, node->log);
    node->high_watermark = end;
    if (invariants->committed_end() == before) return;
    state.past +=
        mix(static_cast<std::uint64_t>(machine().epoch().value()), *invariants->committed_at(invariants->committed_end()));
  }

  void check() {
    if (machine().high_watermark() != node->high_watermark) commits(machine().high_watermark());
    invariants->applied(machine().key(), node->applied);
    if (machine().log_end_offset() != node->log.end()) {
      invariants->violated("PersistIsWhole", "the log ends at " + to_string(machine().log_end_offset()) +
                                                 ", the disk was told " + to_string(node->log.end()));
    }
  }

  void perform(const Persist& effect) {
    if (effect.truncate_to) {
      if (*effect.truncate_to < node->high_watermark)
        invariants->violated("CommittedMetadataNeverChanges", "a committed record is cut off");
      node->log.truncate_to(*effect.truncate_to);
    }
    for (const auto& entry : effect.entries) {
      node->log.append(entry);
      invariants->appended(machine().key(), entry, node->log);
    }
    node->works.push_back(effect);
  }
  void perform(const SendMessage& effect) {
    invariants->sends(effect.message, node->disk);
    const auto to = index_of(effect.message.to.id);
    if (to >= voters) return;
    // As connections do: what is sent into a full one takes the place of what has waited longest.
    const auto same_link = [&](const auto& one) {
      return one->message.from.id == effect.message.from.id && one->message.to.id == effect.message.to.id;
    };
    if (static_cast<std::size_t>(std::ranges::count_if(state.network, same_link)) >= bounds.link_max) {
      auto oldest = state.network.end();
      for (auto one = state.network.begin(); one != state.network.end(); ++one) {
        if (same_link(*one) && (oldest == state.network.end() || (*one)->age < (*oldest)->age)) oldest = one;
      }
      state.network.erase(oldest);
    }
    auto packet = std::make_shared<Packet>(Packet{hash_bytes(encode_message(effect.message)), node->sent++, effect.message});
    const auto place = std::ranges::upper_bound(state.network, packet->hash, {}, [](const auto& one) { return one->hash; });
    state.network.insert(place, std::move(packet));
  }
  void perform(const Deliver& effect) {
    const auto end = effect.entries.back().end_offset();
    if (end > node->high_watermark) commits(end);
    for (const auto& entry : effect.entries) {
      if (entry.base_offset != node->applied.end) invariants->violated("StateMachineSafety", "handed out of order");
      node->applied = {entry.end_offset(), sim::chain_after(node->applied.chain, entry)};
    }
  }
  void perform(const RoleChanged& effect) {
    if (effect.role != QuorumRole::leader) return;
    invariants->leads(machine().key(), effect.epoch, node->log);
    state.past += mix(at + 1, static_cast<std::uint64_t>(effect.epoch.value()));
  }
  void perform(const ReadEntries& effect) {
    input(machine().entries_read(effect.token, node->disk.log.read(effect.from, effect.to, effect.bytes_max), node->clock));
  }
  void perform(const FailQuorum& effect) { invariants->violated("NobodyFails", to_string(effect.error)); }
  void perform(const AnswerQuorum&) {}
  void perform(const LeaderReady&) {}
  void perform(const NoteQuorum&) {}
  // Nobody takes snapshots here.
  void perform(const InstallSnapshot&) {}
  void perform(const CutLog&) {}
  void perform(const ReadSnapshot&) {}

  void start() {
    node->machine = std::make_shared<QuorumNode>(options_of(at), any_prng());
    node->log = node->disk.log;
    node->applied = node->disk.applied();
    node->high_watermark = Offset{0};
    node->works.clear();
    input(machine().start(node->disk.stored(), node->clock));
  }
};

QuorumModel::State QuorumModel::first() const {
  State state{.invariants = std::make_shared<sim::QuorumInvariants>(), .left = bounds_};
  std::vector<ReplicaKey> keys;
  for (std::size_t i = 0; i < voters; ++i) keys.push_back(key_of(i));
  for (std::size_t i = 0; i < voters; ++i) {
    Node node;
    node.disk.hard_state = HardState{.directory_id = key_of(i).directory_id,
                                     .cluster_id = Uuid{std::array<std::uint8_t, 16>{9}},
                                     .genesis = *VoterSet::of(keys)};
    state.nodes[i] = std::make_shared<Node>(std::move(node));
    Step step{state, i, bounds_};
    step.founded = false;
    step.start();
    state = step.end();
  }
  const auto settle = [&] {
    while (!state.network.empty()) {
      const auto packet = state.network.front();
      state.network.erase(state.network.begin());
      Step step{state, index_of(packet->message.to.id), bounds_};
      step.founded = false;
      step.input(step.machine().receive(packet->message, step.node->clock));
      state = step.end();
    }
  };
  for (const Millis pause : {1'000, 100, 100}) {  // node 1 is elected, and tells how far all is committed
    Step step{state, 0, bounds_};
    step.founded = false;
    step.node->clock = step.node->clock + pause;
    step.input(step.machine().on_deadline(step.node->clock));
    state = step.end();
    settle();
  }
  return state;
}

std::vector<QuorumModel::Move> QuorumModel::moves(const State& state) const {
  std::vector<Move> all;
  for (std::size_t i = 0; i < state.network.size(); ++i) {
    const bool same = i > 0 && state.network[i]->hash == state.network[i - 1]->hash;
    if (!same && state.nodes[index_of(state.network[i]->message.to.id)]->machine) all.push_back({Kind::deliver, i});
  }
  for (std::size_t i = 0; i < voters; ++i) {
    const auto& node = *state.nodes[i];
    if (!node.machine) {
      all.push_back({Kind::restart, i});
      continue;
    }
    const bool leads = node.machine->role() == QuorumRole::leader;
    if (!node.works.empty()) all.push_back({Kind::persisted, i});
    const bool impatient = std::ranges::find(bounds_.impatient, i) != bounds_.impatient.end();
    if (!leads && impatient && state.left.timeouts > 0) all.push_back({Kind::timeout, i});
    if (leads && state.left.heartbeats > 0) all.push_back({Kind::heartbeat, i});
    if (node.machine->next_place() && state.left.proposals > 0) all.push_back({Kind::propose, i});
    if (state.left.crashes == 0) continue;
    std::size_t steps = 0;
    for (const auto& work : node.works) steps += sim::steps_of(work);
    for (std::size_t part = 0; part <= steps; ++part) all.push_back({Kind::crash, i, part});
  }
  return all;
}

QuorumModel::State QuorumModel::after(const State& state, const Move& move) const {
  const bool delivers = move.kind == Kind::deliver;
  const auto packet = delivers ? state.network[move.at] : nullptr;
  const auto at = delivers ? index_of(packet->message.to.id) : move.at;
  Step step{state, at, bounds_};
  auto& node = *step.node;
  auto& left = step.state.left;
  switch (move.kind) {
    case Kind::deliver:
      step.state.network.erase(step.state.network.begin() + static_cast<std::ptrdiff_t>(move.at));
      step.input(step.machine().receive(packet->message, node.clock));
      break;
    case Kind::timeout:
      --left.timeouts;
      node.clock = node.clock + options_of(at).election_timeout_max_ms;
      step.input(step.machine().on_deadline(node.clock));
      break;
    case Kind::heartbeat:
      --left.heartbeats;
      node.clock = node.clock + options_of(at).heartbeat_ms;
      step.input(step.machine().on_deadline(node.clock));
      break;
    case Kind::propose: {
      const auto token = static_cast<std::uint64_t>(left.proposals--);
      step.input(step.machine().propose(token, *step.machine().next_place(), 1,
                                        Bytes::copy_of(as_bytes(std::to_string(token) + " of " + std::to_string(at))),
                                        node.clock));
      break;
    }
    case Kind::persisted: step.persist(); break;
    case Kind::crash: {
      --left.crashes;
      auto steps = move.part;
      for (const auto& work : node.works) {
        sim::perform(node.disk, work, steps);
        steps -= std::min(steps, sim::steps_of(work));
      }
      node.works.clear();
      node.machine.reset();
      break;
    }
    case Kind::restart: step.start(); break;
  }
  return step.end();
}

std::uint64_t QuorumModel::digest(const State& state) const {
  auto hash = state.past;
  for (const auto& node : state.nodes) hash = mix(hash, node->digest);
  for (const auto& packet : state.network) hash = mix(hash, packet->hash);
  for (const auto left : {state.left.timeouts, state.left.heartbeats, state.left.proposals, state.left.crashes})
    hash = mix(hash, static_cast<std::uint64_t>(left));
  return hash;
}

std::string QuorumModel::describe(const State& state, const Move& move) const {
  constexpr const char* names[] = {"",        "times out", "sends heartbeats", "is given an entry", "has written",
                                   "crashes", "starts"};
  if (move.kind != Kind::deliver)
    return "n" + std::to_string(move.at + 1) + " " + names[static_cast<std::size_t>(move.kind)] +
           (move.kind == Kind::crash ? ", " + std::to_string(move.part) + " steps reach the disk" : "");
  const auto& message = state.network[move.at]->message;
  return "n" + to_string(message.from.id) + " -> n" + to_string(message.to.id) + ": " + text_of(message);
}

}  // namespace troupe::model
