#include "actors/disk_space.hpp"

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::actors;

TEST_CASE("a disk is full while what is written is refused for want of space", "[disk_worker]") {
  const Status refused = Error{Errc::storage_full, "no space left on device"};
  DiskSpace space;
  CHECK_FALSE(space.full());
  CHECK_FALSE(space.note(ok(), MonotonicMs{0}));
  CHECK(space.note(refused, MonotonicMs{100}));  // news
  CHECK(space.full());
  CHECK_FALSE(space.note(refused, MonotonicMs{50'000}));  // none: it is as it was
  CHECK_FALSE(space.note(Error{Errc::corrupt_message, "of another kind"}, MonotonicMs{50'001}));
  CHECK(space.full());
  CHECK(space.note(ok(), MonotonicMs{50'002}));
  CHECK_FALSE(space.full());
}

TEST_CASE("a disk with room for small batches only is no news for each of them", "[disk_worker]") {
  const Status refused = Error{Errc::storage_full, "no space left on device"};
  DiskSpace space;
  int news = 0;
  for (std::int64_t now = 0; now < 10'000; now += 2) {
    news += space.note(refused, MonotonicMs{now}) ? 1 : 0;
    news += space.note(ok(), MonotonicMs{now + 1}) ? 1 : 0;
  }
  CHECK(news == 1);
  CHECK(space.note(refused, MonotonicMs{10'000}));
}
