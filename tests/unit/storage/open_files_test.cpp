#include "storage/open_files.hpp"

#include "tests/support/catch.hpp"
#include "tests/support/faulty_file_system.hpp"

namespace troupe::storage {

TEST_CASE("what was open below a directory that was renamed is not what is opened there next", "[open_files]") {
  test::FaultyFileSystem disk;
  REQUIRE(disk.create_directories("/logs/a"));
  REQUIRE(disk.create_directories("/logs/ab"));
  OpenFiles files(disk, std::move(*disk.open_barrier("/")), 8);
  const auto old = *files.get("/logs/a/0.log", OpenMode::create);
  const auto neighbour = *files.get("/logs/ab/0.log", OpenMode::create);
  REQUIRE(files.size() == 2);

  REQUIRE(disk.rename("/logs/a", "/logs/aside"));
  files.forget_below("/logs/a");
  CHECK(files.size() == 1);
  CHECK(*files.get("/logs/ab/0.log") == neighbour);
  CHECK(files.get("/logs/a/0.log").error().code == Errc::not_found);
  REQUIRE(disk.create_directories("/logs/a"));
  const auto anew = files.get("/logs/a/0.log", OpenMode::create);
  REQUIRE(anew);
  CHECK(*anew != old);
  files.forget_below("/logs/nothing");
  CHECK(files.size() == 2);
}

}  // namespace troupe::storage
