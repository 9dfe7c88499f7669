#include "core/link/listener_rule.hpp"

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::link;

TEST_CASE("without TLS other nodes are listened to on loopback only", "[link]") {
  for (const auto* address : {"127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1"}) {
    CAPTURE(address);
    CHECK(check_listener(address, {}));
  }
  for (const auto* address :
       {"0.0.0.0", "::", "10.0.0.1", "192.168.1.1", "128.0.0.1", "127.0.0.1.example.org", "127.0.0", "127.0.0.256",
        "127.0.0.1.", "localhost", "", "::ffff:10.0.0.1", "1127.0.0.1", "127.0.0.0001"}) {
    CAPTURE(address);
    const auto status = check_listener(address, {});
    REQUIRE_FALSE(status);
    CHECK(status.error().code == Errc::invalid_config);
    CHECK(check_listener(address, {"node.pem", "node.key", "ca.pem"}));
  }
}

TEST_CASE("a part of the files for TLS is refused everywhere", "[link]") {
  CHECK_FALSE(check_listener("127.0.0.1", {"node.pem", "node.key", ""}));
  CHECK_FALSE(check_listener("10.0.0.1", {"", "node.key", "ca.pem"}));
  CHECK_FALSE(check_listener("127.0.0.1", {"", "", "ca.pem"}));
}
