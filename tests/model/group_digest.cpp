#include <algorithm>

#include "tests/model/explorer.hpp"
#include "tests/model/group_model.hpp"

/// As quorum_digest.cpp: an explicit instantiation may name private members. Times are left out: the model lets everything that is
/// due happen at any time.
namespace troupe::model {
namespace {

using consumer::GroupConsumer;

template <class Name, auto member>
struct Reveal {
  friend constexpr auto of(Name) { return member; }
};

// clang-format off
struct Partitions { friend constexpr auto of(Partitions); };
struct Beat { friend constexpr auto of(Beat); };
struct Committing { friend constexpr auto of(Committing); };
struct Locating { friend constexpr auto of(Locating); };
struct InCommit { friend constexpr auto of(InCommit); };
struct WantsCommit { friend constexpr auto of(WantsCommit); };
struct WantsBeat { friend constexpr auto of(WantsBeat); };
struct SaysOwned { friend constexpr auto of(SaysOwned); };
struct SaysProfile { friend constexpr auto of(SaysProfile); };
struct HeardAt { friend constexpr auto of(HeardAt); };
// clang-format on

template struct Reveal<Partitions, &GroupConsumer::partitions_>;
template struct Reveal<Beat, &GroupConsumer::beat_>;
template struct Reveal<Committing, &GroupConsumer::committing_>;
template struct Reveal<Locating, &GroupConsumer::locating_>;
template struct Reveal<InCommit, &GroupConsumer::in_commit_>;
template struct Reveal<WantsCommit, &GroupConsumer::wants_commit_>;
template struct Reveal<WantsBeat, &GroupConsumer::wants_beat_>;
template struct Reveal<SaysOwned, &GroupConsumer::says_owned_>;
template struct Reveal<SaysProfile, &GroupConsumer::says_profile_>;
template struct Reveal<HeardAt, &GroupConsumer::heard_at_>;

std::uint64_t number(const std::optional<Offset>& offset) {
  return offset ? static_cast<std::uint64_t>(offset->value()) + 1 : 0;
}

}  // namespace

std::uint64_t digest_of(const GroupConsumer& machine) {
  auto hash = mix(static_cast<std::uint64_t>(machine.phase()), static_cast<std::uint64_t>(machine.epoch().value() + 7));
  for (const auto& [id, one] : machine.*of(Partitions{})) {
    hash = mix(hash, static_cast<std::uint64_t>(id.partition.value()) * 8 + static_cast<std::uint64_t>(one.state));
    hash = mix(hash, (one.asked ? 1U : 0U) + (one.told ? 2U : 0U) + (one.released ? 4U : 0U));
    hash = mix(mix(hash, number(one.consumed)), number(one.committed));
  }
  const auto add = [&](const auto& request) {
    hash = mix(hash, (request.under_way ? 1U : 0U) + (request.outdated ? 2U : 0U) + (request.due ? 4U : 0U));
  };
  add(machine.*of(Beat{}));
  add(machine.*of(Committing{}));
  add(machine.*of(Locating{}));
  if ((machine.*of(Committing{})).under_way) {
    for (const auto& [id, next] : machine.*of(InCommit{})) {
      hash = mix(hash, static_cast<std::uint64_t>(id.partition.value()) * 1'000 + static_cast<std::uint64_t>(next.value()));
    }
  }
  return mix(hash, (machine.*of(WantsCommit{}) ? 1U : 0U) + (machine.*of(WantsBeat{}) ? 2U : 0U) +
                       (machine.*of(SaysOwned{}) ? 4U : 0U) + (machine.*of(SaysProfile{}) ? 8U : 0U));
}

MonotonicMs heard_at(const GroupConsumer& machine) { return machine.*of(HeardAt{}); }

std::optional<MonotonicMs> due_at(const GroupConsumer& machine) {
  using Phase = GroupConsumer::Phase;
  if (machine.phase() == Phase::idle || machine.phase() == Phase::closed || machine.phase() == Phase::failed)
    return std::nullopt;
  std::optional<MonotonicMs> due;
  const auto add = [&](const auto& request) {
    if (!request.under_way && request.due) due = std::max(due.value_or(MonotonicMs{0}), *request.due);
  };
  add(machine.*of(Beat{}));
  add(machine.*of(Committing{}));
  add(machine.*of(Locating{}));
  return due;
}

group::PartitionList holds_on_to(const GroupConsumer& machine) {
  group::PartitionList list;
  for (const auto& [id, one] : machine.*of(Partitions{})) {
    using State = std::decay_t<decltype(one.state)>;
    if (one.state == State::revoking && !one.released) list.push_back(id);
  }
  return list;
}

}  // namespace troupe::model
