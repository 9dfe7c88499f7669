#include "actors/actor_table.hpp"

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::actors;

TEST_CASE("the table shows an actor in a handler as busy since when", "[actor_table]") {
  ActorTable table;
  const auto row = table.add("disk_worker", "disk-0");
  CHECK_FALSE(table.snapshot().at(0).busy_since);
  {
    const Handling handling{*row, MonotonicMs{42}};
    CHECK(table.snapshot().at(0).busy_since == MonotonicMs{42});
    CHECK(table.snapshot().at(0).messages_handled == 0);
  }
  CHECK_FALSE(table.snapshot().at(0).busy_since);
  CHECK(table.snapshot().at(0).messages_handled == 1);
}

TEST_CASE("the table lists actors in the order they came, until they are removed", "[actor_table]") {
  ActorTable table;
  table.add("a", "1");
  table.add("b", "2");
  const auto third = table.add("c", "3");
  third->set_last_error("storage_error: gone");
  third->count_restart();
  table.remove("b", "2");
  table.remove("b", "3");
  const auto rows = table.snapshot();
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].name == "1");
  CHECK(rows[1].kind == "c");
  CHECK(rows[1].last_error == "storage_error: gone");
  CHECK(rows[1].restarts == 1);
}

TEST_CASE("an actor that is added again goes on with its row", "[actor_table]") {
  ActorTable table;
  table.add("a", "1")->count_restart();
  CHECK(table.add("a", "1")->restarts() == 1);
  CHECK(table.snapshot().size() == 1);
}
