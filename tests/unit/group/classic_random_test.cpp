#include "base/prng.hpp"
#include "tests/support/seed.hpp"
#include "tests/unit/group/classic_fixture.hpp"

// A classic group, its members, and everything that goes wrong, by chance: answers get lost, members hang, die, leave and come back, the
// coordinator moves. What must hold all the time is checked as it goes; when all is quiet again, the group has to become stable.
namespace troupe::group {
namespace {

using test::ClassicFixture;
using test::taken;

/// What a member has been told, by generation: kept for the whole run, over all coordinators.
struct Told {
  std::map<GroupEpoch, std::pair<std::string, std::string>> generations;  ///< protocol, leader
  std::map<GroupEpoch, std::vector<std::string>> members;                 ///< as the leader has heard
  std::map<std::pair<GroupEpoch, std::string>, std::string> assignments;
};

class Client {
 public:
  Client(ClassicFixture& group, Prng& random, Told& told, std::string instance)
      : group_(group), random_(random), told_(told), instance_(std::move(instance)) {}

  bool is_stable() const { return phase_ == Phase::stable; }
  GroupEpoch generation() const { return generation_; }
  const std::string& member() const { return member_; }
  /// What the leader knows it by, over its runs.
  const std::string& owner() const { return instance_.empty() ? member_ : instance_; }
  const std::string& assignment() const { return assignment_; }

  void step() {
    switch (phase_) {
      case Phase::out: return join();
      case Phase::joining: return on_join();
      case Phase::syncing: return on_sync();
      case Phase::stable: return on_code(group_.beat(member_, generation_.value(), instance_));
      case Phase::away: return;
    }
  }
  void disturb() {
    switch (random_.below(6)) {
      case 0:
        if (phase_ != Phase::stable) return;
        ++news_;
        return join();  // it wants other topics
      case 1:
        if (member_.empty()) return;
        group_.leave({{member_, instance_}});
        return forget();
      case 2: return forget();                             // its process dies, and begins again
      case 3: phase_ = Phase::away; return;                // it hangs
      case 4: call_.reset(), phase_ = Phase::out; return;  // an answer gets lost: it asks again
      default: return;
    }
  }
  void wake() {
    if (phase_ == Phase::away) phase_ = Phase::out;
  }
  /// The coordinator went: what waited is answered by nobody.
  void lost_call() {
    if (!call_ || !group_.waits(*call_)) return;
    call_.reset();
    phase_ = Phase::out;
  }

 private:
  enum class Phase : std::uint8_t { out, joining, syncing, stable, away };

  void forget() {
    member_.clear();
    call_.reset();
    phase_ = Phase::out;
  }
  void join() {
    auto request = group_.request(member_, std::to_string(news_));
    request.instance_id = instance_;
    request.takes_id_first = random_.chance(3, 4);
    request.can_skip_assignment = true;
    request.protocols.push_back({"sticky", "s"});
    if (random_.chance(1, 2)) std::swap(request.protocols[0], request.protocols[1]);
    call_ = group_.start(request);
    phase_ = Phase::joining;
    on_join();
  }
  void on_join() {
    if (group_.waits(*call_)) return;
    const auto& answer = group_.delivered.at(*call_);
    if (!answer) return on_code(answer.error().code);
    const auto joined = std::get<ClassicJoinAnswer>(*answer);
    member_ = joined.member;
    phase_ = Phase::out;
    if (joined.join_again) return;
    generation_ = joined.generation;
    const auto& [protocol, leader] =
        told_.generations.try_emplace(generation_, joined.protocol, joined.leader).first->second;
    CHECK(protocol == joined.protocol);
    std::vector<ClassicAssignment> assignments;
    if (joined.leader == member_ && !joined.skip_assignment) {
      CHECK(leader == joined.leader);
      std::vector<std::string> ids;
      for (const auto& one : joined.members) {
        ids.push_back(one.member);
        const auto& owner = one.instance_id.empty() ? one.member : one.instance_id;
        assignments.push_back({one.member, owner + " by " + std::to_string(*call_)});
      }
      CHECK(told_.members.try_emplace(generation_, ids).first->second == ids);
    }
    call_ = group_.start_sync(member_, generation_.value(), std::move(assignments), instance_);
    phase_ = Phase::syncing;
    on_sync();
  }
  void on_sync() {
    if (group_.waits(*call_)) return;
    const auto& answer = group_.delivered.at(*call_);
    if (!answer) return on_code(answer.error().code);
    assignment_ = std::get<ClassicSyncAnswer>(*answer).assignment;
    phase_ = Phase::stable;
    // One generation, one assignment for a member, whoever coordinates, however often it asks.
    CHECK(told_.assignments.try_emplace({generation_, member_}, assignment_).first->second == assignment_);
  }
  void on_code(Errc code) {
    switch (code) {
      case taken: return;
      case Errc::unknown_member_id:
      case Errc::fenced_instance_id: return forget();
      case Errc::rebalance_in_progress:
      case Errc::illegal_generation: phase_ = Phase::out; return;
      default: FAIL_CHECK("a member was told " << to_string(code));
    }
  }

  ClassicFixture& group_;
  Prng& random_;
  Told& told_;
  const std::string instance_;
  std::string member_;
  GroupEpoch generation_{0};
  std::string assignment_;
  std::optional<ClassicFixture::Call> call_;
  int news_ = 0;
  Phase phase_ = Phase::out;
};

void run(std::uint64_t seed) {
  INFO("TROUPE_SEED=" << seed);
  Prng random(seed);
  auto options = ClassicFixture::at_once();
  options.initial_rebalance_delay_ms = static_cast<Millis>(random.below(3)) * 1'000;
  ClassicFixture group(options);
  Told told;
  std::vector<Client> clients;
  const auto count = 2 + random.below(4);
  for (std::uint64_t i = 0; i < count; ++i) {
    clients.emplace_back(group, random, told, random.chance(1, 3) ? "static-" + std::to_string(i) : std::string());
  }
  const auto pass = [&] { group.pass(static_cast<Millis>(random.below(1'500))); };
  const auto fail_over = [&] {
    const auto described = group.coordinator->describe("g");
    const auto before = described && described->state == GroupState::stable ? group.members() : std::vector<std::string>{};
    const auto generation = described ? described->epoch : GroupEpoch{0};
    group.fail_over(random.chance(1, 2));
    if (!before.empty()) {  // nobody is forgotten
      CHECK(group.members() == before);
      CHECK(group.group().epoch == generation);
      CHECK(group.state() == GroupState::stable);
    }
    for (auto& one : clients) one.lost_call();
  };
  for (int step = 0; step < 150; ++step) {
    auto& one = clients[random.below(clients.size())];
    const auto what = random.below(40);
    if (what == 0) {
      fail_over();
    } else if (what < 3) {
      one.disturb();
    } else if (what < 5) {
      one.wake();
    } else {
      one.step();
    }
    if (random.chance(1, 2)) pass();
  }
  // Now nothing goes wrong any more. What hung is out within a session, what was promised to nobody is forgotten.
  const auto all_stable = [&] {
    const auto shown = group.coordinator->describe("g");
    if (!shown || shown->state != GroupState::stable || shown->members.size() != clients.size()) return false;
    return std::ranges::all_of(clients,
                               [&](const Client& one) { return one.is_stable() && one.generation() == shown->epoch; });
  };
  int rounds = 0;
  for (; rounds < 300 && !all_stable(); ++rounds) {
    for (auto& one : clients) {
      one.wake();
      one.step();
    }
    group.pass(1'000);
  }
  REQUIRE(all_stable());
  for (const auto& one : clients) {
    CHECK(group.synced(group.start_sync(one.member(), one.generation().value())).assignment == one.assignment());
    CHECK(one.assignment().starts_with(one.owner()));
  }
}

}  // namespace

TEST_CASE("whatever happens, a generation has one assignment a member, nobody is forgotten, and all come together again",
          "[classic]") {
  const auto first = test::seed_or(1);
  const auto runs = test::from_environment("TROUPE_RUNS", 60);
  for (std::uint64_t i = 0; i < runs; ++i) run(first + i);
}

}  // namespace troupe::group
