#include "base/byte_codec.hpp"
#include "base/crc32c.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;

TEST_CASE("crc32c gives the check value of RFC 3720", "[base]") {
  CHECK(crc32c(as_bytes("123456789")) == 0xe3069283U);
  CHECK(crc32c(as_bytes("6789"), crc32c(as_bytes("12345"))) == 0xe3069283U);
}
