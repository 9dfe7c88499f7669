#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

/// Goes through every history that a small configuration of the real machines can have.
///
/// A model has a State, which is a value; `moves(state)`: what can happen next; `after(state, move)`: the state in which it has; and
/// `violation(state)`. Its bounds (how many crashes, timeouts, records) are part of the state, so that every history ends. A state is
/// known by `digest(state)`: those with the same one are gone on with once.
namespace troupe::model {

inline std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  hash ^= value + 0x9e3779b97f4a7c15ULL + (hash << 6) + (hash >> 2);
  hash *= 0xff51afd7ed558ccdULL;
  return hash ^ (hash >> 31);
}

template <class Range>
std::uint64_t hash_bytes(const Range& bytes, std::uint64_t hash = 0xcbf29ce484222325ULL) {
  for (const auto byte : bytes) hash = (hash ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3ULL;
  return mix(hash, bytes.size());
}

struct Outcome {
  std::uint64_t states = 0;
  std::uint64_t moves = 0;
  std::size_t longest = 0;  ///< moves of the longest history
  bool whole = true;        ///< false: it was ended at `states_max`
  std::optional<std::string> violation = {};
  std::vector<std::string> history = {};  ///< that led to it
};

template <class Model>
class Explorer {
 public:
  Explorer(const Model& model, std::uint64_t states_max) : model_(model), states_max_(states_max) {}

  /// Depth first.
  Outcome run() {
    const auto first = model_.first();
    known_.insert(model_.digest(first));
    outcome_.states = 1;
    if (!judge(first)) go_on(first);
    return std::move(outcome_);
  }

 private:
  using State = typename Model::State;

  bool judge(const State& state) {
    outcome_.longest = std::max(outcome_.longest, path_.size());
    outcome_.violation = model_.violation(state);
    if (outcome_.violation) outcome_.history = path_;
    return outcome_.violation.has_value();
  }

  void go_on(const State& state) {
    for (const auto& move : model_.moves(state)) {
      const auto next = model_.after(state, move);
      ++outcome_.moves;
      if (!known_.insert(model_.digest(next)).second) continue;
      if (++outcome_.states >= states_max_) outcome_.whole = false;
      path_.push_back(model_.describe(state, move));
      if (!judge(next) && outcome_.whole) go_on(next);
      path_.pop_back();
      if (outcome_.violation || !outcome_.whole) return;
    }
  }

  const Model& model_;
  const std::uint64_t states_max_;
  std::unordered_set<std::uint64_t> known_;
  std::vector<std::string> path_;
  Outcome outcome_;
};

template <class Model>
Outcome explore(const Model& model, std::uint64_t states_max) {
  return Explorer<Model>{model, states_max}.run();
}

}  // namespace troupe::model
