#include "core/consumer/cursor.hpp"
#include "tests/support/catch.hpp"

using namespace troupe;
using consumer::parse_start;
using consumer::parse_time;
using consumer::StartFrom;

TEST_CASE("every form of a start position is read", "[start]") {
  using Kind = StartFrom::Kind;
  CHECK(parse_start("earliest").value() == StartFrom{.kind = Kind::earliest});
  CHECK(parse_start("latest").value() == StartFrom{.kind = Kind::latest});
  CHECK(parse_start("last:50").value() == StartFrom{.kind = Kind::last, .last = 50});
  CHECK(parse_start("last:0").value() == StartFrom{.kind = Kind::last, .last = 0});
  CHECK(parse_start("offset:0:120,7:0").value() ==
        StartFrom{.kind = Kind::offsets, .offsets = {{PartitionId{0}, Offset{120}}, {PartitionId{7}, Offset{0}}}});
  CHECK(parse_start("time:1764000000123").value() == StartFrom{.kind = Kind::time, .time = TimestampMs{1'764'000'000'123}});
  CHECK(parse_start("time:2026-01-02T03:04:05Z").value() ==
        StartFrom{.kind = Kind::time, .time = TimestampMs{1'767'323'045'000}});
  CHECK(parse_start("ago:500ms").value() == StartFrom{.kind = Kind::ago, .ago_ms = 500});
  CHECK(parse_start("ago:10s").value().ago_ms == 10'000);
  CHECK(parse_start("ago:5m").value().ago_ms == 300'000);
  CHECK(parse_start("ago:2h").value().ago_ms == 7'200'000);
  CHECK(parse_start("ago:1d").value().ago_ms == 86'400'000);
}

TEST_CASE("what is no start position is refused by name", "[start]") {
  for (const auto* wrong : {"",
                            "Earliest",
                            "earliest ",
                            "last",
                            "last:",
                            "last:-1",
                            "last:1.5",
                            "last:99999999999999999999",
                            "offset",
                            "offset:",
                            "offset:0",
                            "offset:0:",
                            "offset:0:1,",
                            "offset:,0:1",
                            "offset:0:-1",
                            "offset:-1:0",
                            "offset:0:1,0:2",
                            "offset:0:1:2",
                            "offset:4294967296:1",
                            "time:",
                            "time:yesterday",
                            "time:-5",
                            "ago:",
                            "ago:5",
                            "ago:m",
                            "ago:-5m",
                            "ago:5 m",
                            "ago:9223372036854775807d",
                            "cursor:x"}) {
    CAPTURE(wrong);
    const auto start = parse_start(wrong);
    REQUIRE_FALSE(start);
    CHECK(start.error().code == Errc::invalid_argument);
    CHECK_FALSE(start.error().message.empty());
  }
}

TEST_CASE("a time is milliseconds, or RFC 3339 with its zone", "[start]") {
  CHECK(parse_time("0").value() == TimestampMs{0});
  CHECK(parse_time("1970-01-01T00:00:00Z").value() == TimestampMs{0});
  CHECK(parse_time("1970-01-01t00:00:00.5z").value() == TimestampMs{500});
  CHECK(parse_time("2000-02-29 12:00:00.123456789Z").value() == TimestampMs{951'825'600'123});
  CHECK(parse_time("2026-01-02T08:34:05+05:30").value() == TimestampMs{1'767'323'045'000});
  CHECK(parse_time("2026-01-01T22:04:05-05:00").value() == TimestampMs{1'767'323'045'000});
  CHECK(parse_time("2016-12-31T23:59:60Z").value() == TimestampMs{1'483'228'800'000});
  CHECK(parse_time("9999-12-31T23:59:59Z").value() == TimestampMs{253'402'300'799'000});
  for (const auto* wrong :
       {"", "-1", "2026-01-02", "2026-01-02T03:04:05", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-01-32T00:00:00Z", "2026-01-02T24:00:00Z",
        "2026-01-02T03:60:00Z", "2026-01-02T03:04:61Z", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05+5:30",
        "2026-01-02T03:04:05+24:00", "2026-01-02T03:04:05Zx", "1969-12-31T23:59:59Z", "0000-01-01T00:00:00Z"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_time(wrong));
  }
}
