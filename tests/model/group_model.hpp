#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/consumer/group_consumer.hpp"
#include "core/group/group_calls.hpp"

namespace troupe::model {

/// How much happens in a GroupModel.
struct GroupBounds {
  std::size_t settled = 0;  ///< members that are in the group, and have what they shall, when it begins; the others may join
  int joins = 3;            ///< of the others
  int leaves = 0;
  int expiries = 0;  ///< the coordinator gives a member up
  int silences = 0;  ///< a member gives itself up: nobody has answered it for a session
  int failovers = 0;
  int losses = 0;   ///< of requests and of answers, in all
  int records = 0;  ///< that are worked on, and committed, in all
};

/// One group of three members and three partitions: the real GroupConsumers, the real GroupCoordinator, and what of its log is committed. A
/// failover keeps any prefix of the turns that are not; everything that is not in the log is lost with the coordinator.
class GroupModel {
 public:
  static constexpr std::size_t members = 3;
  static constexpr std::size_t partitions = 3;

  enum class Kind : std::uint8_t { heartbeat, commit, offsets };
  static constexpr std::size_t kinds = 3;
  /// One request of a member.
  struct Request {
    enum class Stage : std::uint8_t { none, sent, held, answered };
    Stage stage = Stage::none;
    std::shared_ptr<const group::GroupCall> call = {};
    std::shared_ptr<const Result<group::GroupAnswer>> answer = {};  ///< from `held` on
  };
  struct Member {
    std::shared_ptr<const consumer::GroupConsumer> machine = {};
    std::array<Request, kinds> requests = {};
    std::map<TopicIdPartition, Offset> at = {};  ///< where it goes on reading
    std::uint64_t digest = 0;                    ///< of the machine and `at`
  };
  struct State {
    std::shared_ptr<const group::GroupCoordinator> coordinator = {};
    std::shared_ptr<const group::GroupCoordinator> committed = {};  ///< one that has read what is committed, and no more
    std::vector<std::shared_ptr<const std::vector<group::Record>>> turns = {};  ///< that are not
    std::array<Member, members> each = {};
    std::array<std::uint32_t, partitions> worked = {};  ///< a bit for each record
    GroupBounds left = {};
    std::string wrong = {};
  };
  struct Move {
    enum class What : std::uint8_t {
      start,
      arrive,
      commit,
      hear,
      lose,
      timer,
      release,
      work,
      leave,
      expire,
      silence,
      fail_over
    };
    What what;
    std::size_t member = 0;
    std::size_t part = 0;  ///< the kind of a request; a partition; how many turns are kept
  };

  explicit GroupModel(const GroupBounds& bounds);

  State first() const;
  std::vector<Move> moves(const State& state) const;
  State after(const State& state, const Move& move) const;
  std::optional<std::string> violation(const State& state) const;
  std::uint64_t digest(const State& state) const;
  std::string describe(const State& state, const Move& move) const;

 private:
  struct Step;

  TopicIdPartition id_of(std::size_t partition) const;

  const GroupBounds bounds_;
  metadata::ImagePtr image_;
};

/// group_digest.cpp: what decides how a member goes on.
std::uint64_t digest_of(const consumer::GroupConsumer& machine);
/// What its clocks say: when it sent the heartbeat that was answered last, and when its next request is due (none: never).
MonotonicMs heard_at(const consumer::GroupConsumer& machine);
std::optional<MonotonicMs> due_at(const consumer::GroupConsumer& machine);
/// Partitions that it is to let go of, and has not.
group::PartitionList holds_on_to(const consumer::GroupConsumer& machine);

}  // namespace troupe::model
