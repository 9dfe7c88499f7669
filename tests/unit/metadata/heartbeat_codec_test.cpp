#include "core/metadata/heartbeat_codec.hpp"

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::metadata;

TEST_CASE("a heartbeat comes out as it went in, and is told from a command", "[heartbeat]") {
  for (const bool stops : {false, true}) {
    const auto bytes = encode_heartbeat({BrokerId{3}, BrokerEpoch{70}, Offset{99}, stops});
    CHECK(is_heartbeat(bytes));
    const auto read = decode_heartbeat(bytes);
    REQUIRE(read);
    CHECK(read->broker == BrokerId{3});
    CHECK(read->broker_epoch == BrokerEpoch{70});
    CHECK(read->applied == Offset{99});
    CHECK(read->wants_shutdown == stops);
  }
  for (int flags = 0; flags < 8; ++flags) {
    const HeartbeatAnswer answer{(flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0};
    const auto read = decode_heartbeat_answer(encode_heartbeat_answer(answer));
    REQUIRE(read);
    CHECK(*read == answer);
  }
  const ByteBuffer command{std::byte{1}, std::byte{0}};
  CHECK_FALSE(is_heartbeat(command));
  CHECK_FALSE(is_heartbeat({}));
}

TEST_CASE("a heartbeat that is cut off, too long or out of range is refused", "[heartbeat]") {
  const auto refuses_changes_of_size = [](ByteBuffer bytes, const auto& decode) {
    for (std::size_t size = 0; size < bytes.size(); ++size)
      CHECK(decode(ByteView{bytes}.first(size)).error().code == Errc::corrupt_message);
    bytes.push_back(std::byte{0});
    CHECK_FALSE(decode(ByteView{bytes}));
  };
  refuses_changes_of_size(encode_heartbeat({BrokerId{3}, BrokerEpoch{70}, Offset{99}}), decode_heartbeat);
  refuses_changes_of_size(encode_heartbeat_answer({}), decode_heartbeat_answer);
  CHECK_FALSE(decode_heartbeat(encode_heartbeat({BrokerId{-1}, BrokerEpoch{70}, Offset{99}})));
  CHECK_FALSE(decode_heartbeat(encode_heartbeat({BrokerId{1}, BrokerEpoch{-1}, Offset{99}})));
  CHECK_FALSE(decode_heartbeat(encode_heartbeat({BrokerId{1}, BrokerEpoch{0}, Offset{-1}})));
  auto unknown_flags = encode_heartbeat_answer({});
  unknown_flags.back() = std::byte{8};
  CHECK_FALSE(decode_heartbeat_answer(unknown_flags));
}
