#include "runtime/client/line_reader.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::client;

namespace {

struct Pipe {
  int ends[2] = {-1, -1};
  Pipe() { REQUIRE(::pipe2(ends, O_CLOEXEC) == 0); }
  ~Pipe() {
    ::close(ends[0]);
    finish();
  }
  void write(std::string_view text) { REQUIRE(::write(ends[1], text.data(), text.size()) == ssize_t(text.size())); }
  void finish() {
    if (ends[1] >= 0) ::close(ends[1]);
    ends[1] = -1;
  }
};

}  // namespace

TEST_CASE("lines come out as they went in", "[client]") {
  Pipe pipe;
  LineReader reader(pipe.ends[0], 100);
  pipe.write("one\n\nthree\r\n\xff no end");
  pipe.finish();
  CHECK(reader.next().value() == "one");
  CHECK(reader.next().value() == "");
  CHECK(reader.next().value() == "three\r");
  CHECK(reader.next().value() == "\xff no end");
  CHECK(reader.next().value() == std::nullopt);
  CHECK(reader.next().value() == std::nullopt);
}

TEST_CASE("a reader says whether it would have to wait", "[client]") {
  Pipe pipe;
  LineReader reader(pipe.ends[0], 100);
  CHECK_FALSE(reader.is_ready());
  pipe.write("a\nb");
  CHECK(reader.is_ready());
  CHECK(reader.next().value() == "a");
  CHECK_FALSE(reader.is_ready());
  pipe.write("c\n");
  CHECK(reader.is_ready());
  CHECK(reader.next().value() == "bc");
  pipe.finish();
  CHECK(reader.is_ready());
  CHECK(reader.next().value() == std::nullopt);
}

TEST_CASE("a line above the bound is refused", "[client]") {
  Pipe pipe;
  LineReader reader(pipe.ends[0], 5);
  pipe.write("12345\n123456");
  CHECK(reader.next().value() == "12345");
  CHECK(reader.is_ready());
  CHECK(reader.next().error().code == Errc::message_too_large);
}

TEST_CASE("a descriptor that cannot be read is an error", "[client]") {
  LineReader reader(-1, 5);
  CHECK(reader.next().error().code == Errc::storage_error);
}
