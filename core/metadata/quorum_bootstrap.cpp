#include <algorithm>

#include "core/metadata/quorum_node.hpp"

/// Before there is a cluster.
///
/// Voters that were told of each other say hello. When all of them are there, empty, and were told the same list, the one with the lowest
/// id draws a cluster id, writes it down with the replica keys of all as the genesis, and tells it in its hellos. Whoever is not formatted
/// and hears of a cluster joins it: with a vote if its directory is one of the genesis' (it said hello before its id went there, and so
/// was empty then and has not voted since), otherwise without.
///
///   empty, empty, empty --all there--> the lowest founds --hello--> the others take the genesis --> first election
///   empty, formatted, formatted -----> joins: another directory than the genesis names, so an observer (M4, F19)
///
/// Source: KIP-853 (directory ids, bootstrap); the design, section 7.
namespace troupe::quorum {

std::vector<BrokerId> QuorumNode::everybody() const {
  std::set<BrokerId> all(options_.bootstrap_voters.begin(), options_.bootstrap_voters.end());
  all.insert(options_.contacts.begin(), options_.contacts.end());
  all.insert(met_.begin(), met_.end());
  for (const auto& voter : voters()) all.insert(voter.id);
  all.erase(options_.id);
  return {all.begin(), all.end()};
}

void QuorumNode::say_hello(const ReplicaKey& to, bool reply) {
  Hello hello{.reply = reply, .genesis = hard_.genesis, .leader = leader()};
  if (hard_.cluster_id.is_nil()) {
    hello.listed = options_.bootstrap_voters;
    std::ranges::sort(hello.listed);
  }
  send(to, std::move(hello));
}

void QuorumNode::say_hello_to_all() {
  hello_at_ = now_ + options_.hello_ms;
  for (const auto id : everybody()) say_hello({id, {}}, false);
}

void QuorumNode::on(const Message& message, const Hello& hello) {
  if (!hard_.cluster_id.is_nil()) {
    if (message.cluster_id.is_nil() && !hello.reply) return say_hello(message.from, true);
    if (!message.cluster_id.is_nil() && message.cluster_id != hard_.cluster_id) {
      note_once("node " + to_string(message.from.id) + " is of cluster " + to_string(message.cluster_id) + ", this one of " +
                to_string(hard_.cluster_id));
    }
    return;
  }
  if (!message.cluster_id.is_nil()) {
    hint_ = hello.leader;
    return format(message.cluster_id, hello.genesis);
  }
  if (!hello.reply) say_hello(message.from, true);
  auto listed = options_.bootstrap_voters;
  std::ranges::sort(listed);
  if (!std::ranges::binary_search(listed, message.from.id)) return;
  greetings_[message.from.id] = {message.from, hello.listed, now_};
  if (hello.listed != listed) {
    note_once("node " + to_string(message.from.id) +
              " was told of other voters than this node: there is no election before they agree");
  }
  if (listed.front() == options_.id) found_cluster();
}

void QuorumNode::found_cluster() {
  auto listed = options_.bootstrap_voters;
  std::ranges::sort(listed);
  std::vector<ReplicaKey> keys{key()};
  for (const auto id : listed) {
    if (id == options_.id) continue;
    const auto at = greetings_.find(id);
    if (at == greetings_.end() || now_ - at->second.at > options_.hello_fresh_ms || at->second.listed != listed) return;
    keys.push_back(at->second.key);
  }
  auto genesis = VoterSet::of(std::move(keys));
  TROUPE_ASSERT(genesis);
  format(options_.cluster_id.is_nil() ? Uuid::random(prng_) : options_.cluster_id, std::move(*genesis));
  for (const auto& voter : hard_.genesis) {
    if (voter != key()) say_hello(voter, true);
  }
}

void QuorumNode::format(const Uuid& cluster_id, VoterSet genesis) {
  hard_.cluster_id = cluster_id;
  // Who joins later learns from the log who votes; a genesis that is not its own would be out of date.
  if (genesis.contains(key())) hard_.genesis = std::move(genesis);
  hard_dirty_ = true;
  greetings_.clear();
  log_.open(Offset{0}, no_leader_epoch, Offset{0}, {}, Offset{0}, hard_.genesis);
  started();
}

}  // namespace troupe::quorum
