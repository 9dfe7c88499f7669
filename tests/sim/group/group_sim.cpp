#include "tests/sim/group/group_sim.hpp"

#include <algorithm>
#include <memory>
#include <set>
#include <sstream>
#include <vector>

#include "core/metadata/image_builder.hpp"
#include "tests/sim/group/sim_member.hpp"

namespace troupe::sim {
namespace {

constexpr std::int64_t second_us = 1'000'000;
constexpr auto group_name = "g";
constexpr auto topic_name = "orders";
const TopicId topic_id{{7, 7}};

class GroupSim {
 public:
  explicit GroupSim(std::uint64_t seed) : random_(seed), image_(make_image()), coordinators_(events_, random_, image_) {
    coordinators_.on_committed = [this](const group::Record& record) { committed(record); };
    coordinators_.on_turn = [this] { check_owners(); };
    coordinators_.on_nudge = [this](const std::string& id) { nudge(id); };
    world_.on_consumed = [this](const SimMember& member, const TopicIdPartition& partition, Offset offset) {
      consumed(member, partition, offset);
    };
  }

  GroupSimReport run() {
    weather_.loss_percent = random_.chance(1, 3) ? 0 : random_.below(15);
    weather_.delay_us_max = random_.chance(1, 2) ? 5'000 : 120'000;
    weather_.zombie_percent = random_.below(50);
    holds_on_percent_ = random_.chance(1, 3) ? 30 : 0;
    session_ms_ = random_.between(1'500, 6'000);
    const auto trouble_us = random_.between(10, 60) * second_us;
    for (auto members = random_.between(1, 4); members > 0; --members) add_member();
    plan_trouble(trouble_us);
    play(trouble_us);
    if (!report_.violation) heal();
    report_.steps = events_.steps();
    return std::move(report_);
  }

 private:
  metadata::ImagePtr apply(metadata::ImagePtr before, const std::vector<metadata::MetadataRecord>& records) {
    metadata::ImageBuilder builder{std::move(before)};
    for (const auto& record : records) TROUPE_ASSERT(builder.apply(record, Offset{next_record_++}));
    delta_ = builder.finish(Offset{next_record_}, BrokerId{1});
    return delta_.after;
  }
  metadata::PartitionRecord partition(std::int32_t number) {
    return {topic_id, PartitionId{number}, BrokerId{1}, LeaderEpoch{0}, {BrokerId{1}}, {BrokerId{1}}};
  }
  metadata::ImagePtr make_image() {
    std::vector<metadata::MetadataRecord> records{metadata::ClusterRecord{Uuid{{1}}},
                                                  metadata::TopicRecord{topic_id, topic_name}};
    partitions_ = static_cast<std::int32_t>(random_.between(1, 8));
    for (std::int32_t number = 0; number < partitions_; ++number) records.emplace_back(partition(number));
    return apply(std::make_shared<const metadata::MetadataImage>(), records);
  }

  void mark(const std::string& what) { ++report_.marks[what]; }
  void violated(const std::string& invariant, const std::string& what) {
    if (report_.violation) return;
    std::ostringstream text;
    text << what << " at " << events_.now_us() / 1'000 << " ms";
    report_.violation = GroupSimReport::Violation{invariant, text.str()};
  }
  void play(std::int64_t until_us) {
    while (!report_.violation && events_.step(until_us)) {}
  }

  // --- what happens -----------------------------------------------------------------------------------------------------------------

  void add_member() {
    consumer::GroupConsumer::Options options;
    options.group = group_name;
    options.member = "m" + std::to_string(next_member_++);
    options.profile.topics = {topic_name};
    options.profile.session_timeout_ms = session_ms_;
    options.profile.rebalance_timeout_ms = 3'000;
    options.auto_commit_interval_ms = random_.between(100, 2'000);
    if (random_.chance(1, 4)) options.profile.instance_id = "s" + std::to_string(random_.below(3));
    options.comes_back = random_.chance(1, 2);
    auto member = std::make_shared<SimMember>(world_, options, image_, random_.chance(holds_on_percent_, 100));
    members_.push_back(member);
    member->start();
  }
  std::shared_ptr<SimMember> some_member() {
    std::vector<std::shared_ptr<SimMember>> alive;
    for (const auto& member : members_) {
      if (member->alive()) alive.push_back(member);
    }
    return alive.empty() ? nullptr : alive[random_.below(alive.size())];
  }
  void nudge(const std::string& id) {
    for (const auto& member : members_) {
      if (member->id() == id) member->nudge();
    }
  }

  void plan_trouble(std::int64_t until_us) {
    const auto at = events_.now_us() + random_.between(50'000, 4 * second_us);
    if (at >= until_us) return;
    events_.after_us(at - events_.now_us(), [this, until_us] {
      trouble();
      plan_trouble(until_us);
    });
  }

  void trouble() {
    const auto member = some_member();
    switch (random_.below(9)) {
      case 0:
      case 1:
        if (members_.size() < 12) add_member();
        break;
      case 2:
        if (member) member->close(), mark("left");
        break;
      case 3:
        if (member) member->die(), mark("died");
        break;
      case 4:
        if (member) member->freeze(random_.between(100'000, 8 * second_us)), mark("frozen");
        break;
      case 5:
      case 6: coordinators_.fail_over(), mark("failed over"); break;
      case 7: reset(); break;
      case 8: add_partition(); break;
    }
  }

  void reset() {
    group::ResetRequest request{group_name, {}};
    const PartitionId number{static_cast<std::int32_t>(random_.below(static_cast<std::uint64_t>(partitions_)))};
    const auto& worked = worked_[{topic_id, number}];
    request.positions.push_back(
        {{topic_name, number}, Offset{random_.between(0, static_cast<std::int64_t>(worked.size()) + 10)}});
    coordinators_.handle(
        false,
        [this, request](group::GroupCoordinator& machine, group::Turn& turn) {
          const auto now = group::Now{events_.now(), TimestampMs{1}};
          TROUPE_ASSERT(machine.reset(request, now, turn));
        },
        [this](bool done) {
          if (done) mark("reset");
        });
  }

  void add_partition() {
    if (partitions_ >= 12) return;
    image_ = apply(image_, {partition(partitions_++)});
    coordinators_.update(delta_);
    for (const auto& member : members_) member->update(image_);
    mark("partition added");
  }

  // --- what has to hold -------------------------------------------------------------------------------------------------------------

  /// A coordinator's own view: after each of its turns.
  void check_owners() {
    const auto* leader = coordinators_.leader();
    const auto described = leader->describe(group_name);
    if (!described) return;
    std::map<TopicIdPartition, std::string> owners;
    for (const auto& member : described->members) {
      for (const auto& partition : group::in_either(member.current.assigned, member.current.revoking)) {
        const auto [at, is_new] = owners.emplace(partition, member.member);
        if (!is_new) {
          violated("OneOwnerPerPartitionPerEpoch",
                   to_string(partition.partition) + " belongs to " + at->second + " and " + member.member);
        }
      }
      if (member.current.state == group::MemberState::revoking) mark("revoking");
      if (member.current.state == group::MemberState::waiting) mark("waiting");
    }
  }

  void consumed(const SimMember& member, const TopicIdPartition& partition, Offset offset) {
    ++report_.consumed;
    auto& worked = worked_[partition];
    const auto index = static_cast<std::size_t>(offset.value());
    if (worked.size() <= index) worked.resize(index + 1, false);
    if (worked[index]) mark("worked on again");
    worked[index] = true;
    const auto* leader = coordinators_.leader();
    if (leader == nullptr) return;
    for (const auto& other : members_) {
      if (other.get() == &member || !other->alive() || other->frozen() || !other->reading().contains(partition)) continue;
      const auto described = leader->describe(group_name);
      const auto is_member = [&](const std::string& id) {
        return described &&
               std::ranges::find(described->members, id, &group::MemberDescription::member) != described->members.end();
      };
      mark("read by two, one fenced");
      if (is_member(member.id()) && is_member(other->id())) {
        violated("OneOwnerPerPartitionPerEpoch",
                 member.id() + " and " + other->id() + " both read " + to_string(partition.partition));
      }
    }
  }

  void committed(const group::Record& record) {
    const auto* offset = std::get_if<group::OffsetRecord>(&record);
    if (offset == nullptr) return;
    const TopicIdPartition id{topic_id, offset->partition};
    auto& last = committed_[id];
    const bool is_reset = offset->value->reset_epoch > last.reset_epoch;
    const auto end = static_cast<std::size_t>(offset->value->offset.value());
    auto& worked = worked_[id];
    if (is_reset) {
      // What lies before it is given up on purpose.
      if (worked.size() < end) worked.resize(end, false);
      std::fill(worked.begin(), worked.begin() + static_cast<std::ptrdiff_t>(end), true);
    } else {
      mark("committed");
      if (offset->value->offset < last.offset) {
        violated("CommittedOffsetsNeverRetreat", "partition " + to_string(offset->partition) + " from " +
                                                     to_string(last.offset) + " to " + to_string(offset->value->offset));
      }
      if (worked.size() < end || std::find(worked.begin(), worked.begin() + static_cast<std::ptrdiff_t>(end), false) !=
                                     worked.begin() + static_cast<std::ptrdiff_t>(end)) {
        violated("NoRecordSkipped",
                 "partition " + to_string(offset->partition) + " below " + to_string(offset->value->offset));
      }
    }
    last = *offset->value;
  }

  // --- and in the end ---------------------------------------------------------------------------------------------------------------

  void heal() {
    weather_ = {0, 2'000, 0};
    for (const auto& member : members_) member->stops_holding_on = true;
    // Those that are about to leave do not count.
    const auto stays = [](const auto& member) {
      using Phase = consumer::GroupConsumer::Phase;
      return member->alive() && (member->machine().phase() == Phase::joining || member->machine().phase() == Phase::member);
    };
    if (std::ranges::none_of(members_, stays)) add_member();
    // Whoever was frozen wakes, whoever is silent is noticed, a static member that stays away is given up.
    play(events_.now_us() + 9 * second_us + 3 * session_ms_ * 1'000 + 5 * second_us);
    const auto before = committed_;
    play(events_.now_us() + 5 * second_us);
    if (report_.violation) return;
    std::map<TopicIdPartition, std::size_t> readers;
    std::size_t least = SIZE_MAX;
    std::size_t most = 0;
    for (const auto& member : members_) {
      if (!member->alive() || member->machine().phase() == consumer::GroupConsumer::Phase::joining) continue;
      for (const auto& [partition, next] : member->reading()) ++readers[partition];
      least = std::min(least, member->reading().size());
      most = std::max(most, member->reading().size());
    }
    for (std::int32_t number = 0; number < partitions_; ++number) {
      const TopicIdPartition id{topic_id, PartitionId{number}};
      if (readers[id] != 1)
        violated("EveryPartitionIsEventuallyOwned",
                 std::to_string(number) + " has " + std::to_string(readers[id]) + " readers; " + describe());
      if (committed_[id].offset <= before.at(id).offset)
        violated("OffsetsMoveOn", "partition " + std::to_string(number) + "; " + describe());
    }
    if (most - least > 1) violated("AssignmentIsBalanced", std::to_string(least) + " and " + std::to_string(most));
  }

  /// Who thinks what.
  std::string describe() const {
    std::ostringstream text;
    for (const auto& member : members_) {
      if (!member->alive()) continue;
      text << member->id() << " phase " << static_cast<int>(member->machine().phase()) << " epoch "
           << to_string(member->machine().epoch()) << " owns " << member->machine().owned().size() << " reads "
           << member->reading().size() << "; ";
    }
    if (coordinators_.leader() == nullptr) return text.str() + "no coordinator";
    const auto described = coordinators_.leader()->describe(group_name);
    if (!described) return text.str() + "no group";
    text << "group epoch " << to_string(described->epoch) << ": ";
    for (const auto& member : described->members) {
      text << member.member << "/" << member.profile.instance_id << " epoch " << to_string(member.current.epoch) << " state "
           << static_cast<int>(member.current.state) << " has " << member.current.assigned.size() << " gives up "
           << member.current.revoking.size() << " shall have " << member.target.size() << "; ";
    }
    return text.str();
  }

  EventQueue events_;
  Prng random_;
  std::int64_t next_record_ = 0;
  std::int32_t partitions_ = 0;
  metadata::ImageDelta delta_;
  metadata::ImagePtr image_;
  SimMember::Weather weather_;
  SimCoordinators coordinators_;
  SimMember::World world_{events_, random_, coordinators_, weather_, {}};
  std::uint64_t holds_on_percent_ = 0;
  Millis session_ms_ = 0;
  std::size_t next_member_ = 0;
  std::vector<std::shared_ptr<SimMember>> members_;
  std::map<TopicIdPartition, std::vector<bool>> worked_;
  std::map<TopicIdPartition, group::CommittedOffset> committed_;
  GroupSimReport report_;
};

}  // namespace

GroupSimReport run_group_sim(std::uint64_t seed) { return GroupSim(seed).run(); }

}  // namespace troupe::sim
