#include "base/assert.hpp"

#include <csignal>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/catch.hpp"
#include "tests/unit/base/captured_stderr.hpp"

using namespace troupe;

TEST_CASE("an assertion that holds evaluates its expression once and goes on", "[base]") {
  int evaluated = 0;
  TROUPE_ASSERT(++evaluated == 1);
  CHECK(evaluated == 1);
}

TEST_CASE("an assertion that fails says what and where, and aborts, in every build", "[base]") {
  int status = 0;
  std::string said;
  {
    const CapturedStderr captured;
    const auto child = ::fork();
    if (child == 0) {
      std::signal(SIGABRT, SIG_DFL);  // not the test framework's handler
      const int high_watermark = 7;
      TROUPE_ASSERT(high_watermark < 5);
      ::_exit(0);
    }
    ::waitpid(child, &status, 0);
    said = captured.text();
  }
  REQUIRE(WIFSIGNALED(status));
  CHECK(WTERMSIG(status) == SIGABRT);
  CHECK(said.find("assertion failed: high_watermark < 5 (") != std::string::npos);
  CHECK(said.find("assert_test.cpp:") != std::string::npos);
}
