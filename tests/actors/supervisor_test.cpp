#include "actors/supervisor.hpp"

#include "actors/errors.hpp"
#include "tests/support/actor_fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace troupe::actors;

namespace {

/// What a test tells a child to do.
struct FailWith {
  Errc code;
};
struct FinishNow {};

}  // namespace

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(FailWith)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(FinishNow)

namespace {

struct Journal {
  std::vector<std::string> events;
};

struct ChildOptions {
  std::string name;
  std::shared_ptr<Journal> journal;
  bool stubborn = false;  ///< takes no notice when it is told to stop
};

caf::behavior child(caf::event_based_actor* self, const ChildOptions& options, const ActorRowPtr& row) {
  row->set_state(ActorState::running);
  self->set_exit_handler([self, options](const caf::exit_msg& message) {
    options.journal->events.push_back("stop " + options.name);
    if (!options.stubborn) self->quit(message.reason);
  });
  return {[self](const FailWith& fail) {
            self->quit(to_caf_error({fail.code, "as told"}));
          },
          [self](const FinishNow&) { self->quit(); }};
}

struct SupervisorFixture {
  std::shared_ptr<Journal> journal = std::make_shared<Journal>();
  ActorTable table;
  SeededScheduler scheduler{3};
  SupervisorOptions options{.name = "disks",
                            .children = {},
                            .restart = {.restarts_max = 2,
                                        .window_ms = 10'000,
                                        .backoff_ms_min = 100,
                                        .backoff_ms_max = 1'000,
                                        .jitter_percent = 0},
                            .table = &table};
  Supervisor supervisor;
  std::shared_ptr<std::optional<caf::error>> ended = std::make_shared<std::optional<caf::error>>();

  void add(const std::string& name, bool stubborn = false) {
    options.children.push_back({"test", name, [this, name, stubborn](caf::actor_system& system, const ActorRowPtr& row) {
                                  journal->events.push_back("start " + name);
                                  return scheduler.own(system.spawn(child, ChildOptions{name, journal, stubborn}, row));
                                }});
  }

  void start() {
    supervisor = scheduler.own(spawn_supervisor(scheduler.system(), options));
    const auto parent = [](caf::event_based_actor* self, const Supervisor& below,
                           const std::shared_ptr<std::optional<caf::error>>& reason) -> caf::behavior {
      self->monitor(below);
      self->set_down_handler([reason](const caf::down_msg& message) { *reason = message.reason; });
      return {[](int) {}};
    };
    scheduler.own(scheduler.system().spawn(parent, supervisor, ended));
    scheduler.run();
  }

  Child get(const std::string& name) {
    auto found = scheduler.ask<Child>(supervisor, GetChild{name});
    REQUIRE(found);
    return *found;
  }
  void fail(const std::string& name, Errc code = Errc::storage_error) {
    const auto handle = get(name).handle;
    REQUIRE(handle);
    caf::anon_send(handle, FailWith{code});
    scheduler.run();
  }
  ActorStatus status(const std::string& name) const {
    for (const auto& row : table.snapshot()) {
      if (row.name == name) return row;
    }
    FAIL("no row for " << name);
    return {};
  }
};

}  // namespace

TEST_CASE("a child is found by name, and an unknown name is an error that says so", "[supervisor]") {
  SupervisorFixture fixture;
  fixture.add("a");
  fixture.start();
  CHECK(fixture.get("a").handle);
  CHECK(fixture.get("a").state == ActorState::running);
  const auto unknown = fixture.scheduler.ask<Child>(fixture.supervisor, GetChild{"b"});
  REQUIRE_FALSE(unknown);
  CHECK(from_caf_error(unknown.error()).code == Errc::not_found);
  CHECK(from_caf_error(unknown.error()).message == "disks has no child named \"b\"");
}

TEST_CASE("only the child that failed is started again, after its pause, under its name", "[supervisor]") {
  SupervisorFixture fixture;
  fixture.add("a");
  fixture.add("b");
  fixture.start();
  const auto before = fixture.get("a").handle;
  const auto other = fixture.get("b").handle;
  fixture.fail("a");
  CHECK(fixture.get("a").state == ActorState::waiting_restart);
  CHECK_FALSE(fixture.get("a").handle);
  CHECK(fixture.status("a").last_error == "storage_error: as told");
  fixture.scheduler.advance(90);
  CHECK_FALSE(fixture.get("a").handle);
  fixture.scheduler.advance(10);
  CHECK(fixture.get("a").handle);
  CHECK(fixture.get("a").handle != before);
  CHECK(fixture.get("b").handle == other);
  CHECK(fixture.status("a").restarts == 1);
  CHECK(fixture.status("b").restarts == 0);
  CHECK(fixture.journal->events == std::vector<std::string>{"start a", "start b", "start a"});
}

TEST_CASE("a child that fails too often ends its supervisor with its error, and the others are stopped first",
          "[supervisor]") {
  SupervisorFixture fixture;
  fixture.add("a");
  fixture.add("b");
  fixture.add("c");
  fixture.start();
  fixture.journal->events.clear();
  fixture.fail("b");
  fixture.scheduler.advance(100);
  fixture.fail("b");
  fixture.scheduler.advance(100);
  CHECK_FALSE(fixture.get("b").handle);  // the second pause is longer
  fixture.scheduler.advance(100);
  fixture.fail("b", Errc::wrong_owner);
  REQUIRE(fixture.ended->has_value());
  CHECK(from_caf_error(**fixture.ended).code == Errc::wrong_owner);
  CHECK(fixture.journal->events == std::vector<std::string>{"start b", "start b", "stop c", "stop a"});
}

TEST_CASE("failures that are far apart do not end a supervisor", "[supervisor]") {
  SupervisorFixture fixture;
  fixture.add("a");
  fixture.start();
  for (int i = 0; i < 10; ++i) {
    fixture.fail("a");
    fixture.scheduler.advance(6'000);
  }
  CHECK(fixture.status("a").restarts == 10);
  CHECK_FALSE(fixture.ended->has_value());
}

TEST_CASE("a child that is done is not started again", "[supervisor]") {
  SupervisorFixture fixture;
  fixture.add("a");
  fixture.start();
  caf::anon_send(fixture.get("a").handle, FinishNow{});
  fixture.scheduler.advance(20'000);
  CHECK(fixture.get("a").state == ActorState::stopped);
  CHECK(fixture.status("a").restarts == 0);
}

TEST_CASE("children are stopped in reverse order, each when the one after it is gone", "[supervisor]") {
  SupervisorFixture fixture;
  for (const char* name : {"a", "b", "c", "d"}) fixture.add(name);
  fixture.start();
  fixture.fail("c");  // it waits for its restart, and gets none
  fixture.journal->events.clear();
  const auto stopped = fixture.scheduler.ask<ChildrenStopped>(fixture.supervisor, StopChildren{});
  REQUIRE(stopped);
  CHECK(stopped->killed.empty());
  CHECK(fixture.journal->events == std::vector<std::string>{"stop d", "stop b", "stop a"});
  REQUIRE(fixture.ended->has_value());
  CHECK_FALSE(**fixture.ended);
  fixture.scheduler.advance(20'000);
  CHECK(fixture.journal->events.size() == 3);
}

TEST_CASE("a child that does not stop in time is killed and named", "[supervisor]") {
  SupervisorFixture fixture;
  fixture.add("a");
  fixture.add("b", true);
  fixture.start();
  const auto stubborn = fixture.get("b").handle;
  const auto answer = fixture.scheduler.start_asking<ChildrenStopped>(fixture.supervisor, StopChildren{500});
  fixture.scheduler.advance(490);
  CHECK_FALSE(answer->has_value());
  CHECK(fixture.status("b").state == ActorState::stopping);
  fixture.scheduler.advance(20);
  REQUIRE(answer->has_value());
  REQUIRE(*answer);
  CHECK((**answer)->killed == std::vector<std::string>{"b", "a"});
  CHECK(fixture.scheduler.ask<int>(stubborn, FinishNow{}).error() == caf::sec::request_receiver_down);
}

TEST_CASE("an exit message stops the children before the supervisor ends", "[supervisor]") {
  SupervisorFixture fixture;
  fixture.add("a");
  fixture.add("b");
  fixture.start();
  fixture.journal->events.clear();
  caf::anon_send_exit(fixture.supervisor, caf::exit_reason::user_shutdown);
  fixture.scheduler.run();
  CHECK(fixture.journal->events == std::vector<std::string>{"stop b", "stop a"});
  REQUIRE(fixture.ended->has_value());
  CHECK(**fixture.ended == caf::exit_reason::user_shutdown);
}

TEST_CASE("the children of a supervisor that is killed do not outlive it", "[supervisor]") {
  SupervisorFixture fixture;
  fixture.add("a");
  fixture.start();
  fixture.journal->events.clear();
  caf::anon_send_exit(fixture.supervisor, caf::exit_reason::kill);
  fixture.scheduler.run();
  CHECK(fixture.journal->events == std::vector<std::string>{"stop a"});
}
