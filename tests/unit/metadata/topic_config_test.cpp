#include "core/metadata/topic_config.hpp"

#include <algorithm>
#include <vector>

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::metadata;

namespace {

Result<TopicConfig> parse(const std::string& name, const std::string& value) { return parse_topic_config({{name, value}}); }

}  // namespace

TEST_CASE("without overrides every setting has its default, and the table's defaults are those", "[topic_config]") {
  const auto parsed = parse_topic_config({});
  REQUIRE(parsed);
  CHECK(*parsed == TopicConfig{});
  const auto from_table = parse_topic_config(topic_config_entries({}));
  REQUIRE(from_table);
  CHECK(*from_table == TopicConfig{});
}

TEST_CASE("each setting takes both ends of its range and nothing beyond", "[topic_config]") {
  struct Range {
    std::string name;
    std::vector<std::string> good;
    std::vector<std::string> bad;
  };
  const std::vector<Range> ranges{
      {"cleanup.policy", {"delete", "compact", "compact,delete", "delete,compact"}, {"", "Compact", "compact,", "none"}},
      {"compression.type", {"producer", "none", "uncompressed", "gzip", "snappy", "lz4", "zstd"}, {"", "GZIP", "brotli"}},
      {"delete.retention.ms", {"0", "9223372036854775807"}, {"-1", "9223372036854775808"}},
      {"flush", {"fsync", "interval"}, {"", "FSYNC", "never"}},
      {"flush.ms", {"10", "3600000"}, {"9", "3600001", "-1", "1e3", "10 ", " 10", "10.5", ""}},
      {"max.compaction.lag.ms", {"1", "9223372036854775807"}, {"0", "-1"}},
      {"max.message.bytes", {"1024", "8388608"}, {"1023", "8388609", "-1"}},
      {"message.timestamp.type", {"CreateTime", "LogAppendTime"}, {"createtime", ""}},
      {"min.cleanable.dirty.ratio",
       {"0", "0.0", "0.5", "0.001", "1", "1.000"},
       {"", "-0.1", "1.001", "0.0005", ".5", "0.", "0,5", "2", "5e-1"}},
      {"min.compaction.lag.ms", {"0", "9223372036854775807"}, {"-1"}},
      {"min.insync.replicas", {"1", "32767"}, {"0", "32768"}},
      {"retention.bytes", {"-1", "1", "9223372036854775807"}, {"0", "-2", "9223372036854775808"}},
      {"retention.ms", {"-1", "1", "9223372036854775807"}, {"0", "-2", "0x10"}},
      {"retention.records", {"-1", "1"}, {"0", "-2"}},
      {"segment.bytes", {"4096", "2147483647"}, {"4095", "2147483648"}},
      {"segment.ms", {"1"}, {"0", "-1"}},
      {"unclean.leader.election.enable", {"true", "false"}, {"", "1", "True"}},
  };
  REQUIRE(ranges.size() == topic_config_fields().size());
  for (const auto& [name, good, bad] : ranges) {
    for (const auto& value : good) {
      INFO(name << " = " << value);
      CHECK(parse(name, value));
    }
    for (const auto& value : bad) {
      INFO(name << " = " << value);
      const auto refused = parse(name, value);
      REQUIRE_FALSE(refused);
      CHECK(refused.error().code == Errc::invalid_config);
      CHECK(refused.error().message.find(name) == 0);
    }
  }
}

TEST_CASE("a value arrives in the field that it is meant for", "[topic_config]") {
  const auto config = parse_topic_config({{"cleanup.policy", "compact,delete"},
                                          {"compression.type", "zstd"},
                                          {"delete.retention.ms", "16"},
                                          {"max.compaction.lag.ms", "17"},
                                          {"min.cleanable.dirty.ratio", "0.25"},
                                          {"min.compaction.lag.ms", "18"},
                                          {"flush", "interval"},
                                          {"flush.ms", "11"},
                                          {"max.message.bytes", "2048"},
                                          {"message.timestamp.type", "LogAppendTime"},
                                          {"min.insync.replicas", "2"},
                                          {"retention.bytes", "12"},
                                          {"retention.ms", "13"},
                                          {"retention.records", "14"},
                                          {"segment.bytes", "5000"},
                                          {"segment.ms", "15"},
                                          {"unclean.leader.election.enable", "true"}});
  REQUIRE(config);
  TopicConfig expected;
  expected.cleanup = CleanupPolicy::compact_and_remove;
  expected.delete_retention_ms = 16;
  expected.max_compaction_lag_ms = 17;
  expected.min_cleanable_dirty_permille = 250;
  expected.min_compaction_lag_ms = 18;
  expected.compression = record::CompressionCodec::zstd;
  expected.unclean_leader_election = true;
  expected.flush = FlushMode::interval;
  expected.flush_interval_ms = 11;
  expected.max_message_bytes = 2048;
  expected.timestamp_type = record::TimestampType::log_append_time;
  expected.min_insync_replicas = 2;
  expected.retention_bytes = 12;
  expected.retention_ms = 13;
  expected.retention_records = 14;
  expected.segment_bytes = 5000;
  expected.segment_ms = 15;
  CHECK(*config == expected);
}

TEST_CASE("an unknown setting is refused with the one that was probably meant", "[topic_config]") {
  const auto near = parse("retention.msec", "1");
  REQUIRE_FALSE(near);
  CHECK(near.error().code == Errc::invalid_config);
  CHECK(near.error().message == "unknown topic setting \"retention.msec\"; did you mean \"retention.ms\"?");
  const auto far = parse("colour", "red");
  REQUIRE_FALSE(far);
  CHECK(far.error().message == "unknown topic setting \"colour\"");
}

TEST_CASE("the table is sorted, and says something about each setting", "[topic_config]") {
  const auto fields = topic_config_fields();
  CHECK(std::ranges::is_sorted(fields, {}, &TopicConfigField::name));
  for (const auto& field : fields) {
    CHECK_FALSE(field.range.empty());
    CHECK(field.description.size() > 10);
  }
  const auto entries = topic_config_entries({{"flush", "interval"}});
  CHECK(entries.size() == fields.size());
  CHECK(entries.at("flush") == "interval");
  CHECK(entries.at("flush.ms") == "1000");
}

TEST_CASE("names of topics", "[topic_config]") {
  for (const auto& good : std::vector<std::string>{"a", "A.b_c-9", "...", "-", std::string(249, 'x')}) {
    CHECK(check_topic_name(good));
  }
  for (const auto& bad :
       std::vector<std::string>{"", ".", "..", "a b", "a/b", "a\\b", "\xc3\xbc", "a\n", "a\"", std::string(250, 'x')}) {
    INFO(bad);
    const auto refused = check_topic_name(bad);
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Errc::invalid_topic_exception);
  }
  CHECK_FALSE(check_topic_name(std::string_view{"a\0b", 3}));
  CHECK(is_internal_topic("__x"));
  CHECK_FALSE(is_internal_topic("_x"));
}
