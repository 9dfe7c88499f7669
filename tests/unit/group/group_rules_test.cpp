#include "core/group/group_rules.hpp"

#include "core/group/topic_pattern.hpp"
#include "tests/support/catch.hpp"

namespace troupe::group {
namespace {

MemberProfile profile() {
  MemberProfile one;
  one.topics = {"orders"};
  return one;
}

Errc refusal(const MemberProfile& one) {
  const auto checked = check_profile(one, {});
  return checked ? Errc::unknown_error : checked.error().code;
}

}  // namespace

TEST_CASE("names of groups", "[group]") {
  for (const auto* name : {"g", "Order-Processors_2.x", "__x"}) CHECK(check_group_name(name));
  for (const auto& name :
       {std::string{}, std::string{"a b"}, std::string{"a/b"}, std::string{"gr\xc3\xb6\xc3\x9f"}, std::string(250, 'a')}) {
    const auto checked = check_group_name(name);
    REQUIRE(!checked);
    CHECK(checked.error().code == Errc::invalid_group_id);
    CHECK(checked.error().message.size() < 160);
  }
  CHECK(check_group_name(std::string(249, 'a')));
}

TEST_CASE("ids of members", "[group]") {
  CHECK(check_member_id("rest-consumer-1 \xc3\xa4"));
  CHECK(!check_member_id(""));
  CHECK(!check_member_id("a\nb"));
  CHECK(!check_member_id(std::string(250, 'a')));
}

TEST_CASE("profiles that cannot be, each with its code", "[group]") {
  CHECK(check_profile(profile(), {}));
  auto one = profile();
  one.topics.clear();
  CHECK(refusal(one) == Errc::invalid_argument);
  one.pattern = "logs\\..*";
  CHECK(check_profile(one, {}));

  one = profile();
  one.topics = {"b", "a"};
  CHECK(refusal(one) == Errc::invalid_argument);
  one.topics = {"a", "a"};
  CHECK(refusal(one) == Errc::invalid_argument);
  one.topics = {"no name"};
  CHECK(refusal(one) == Errc::invalid_topic_exception);
  one.topics.clear();
  for (int number = 0; number < 1'001; ++number) one.topics.push_back("t" + std::to_string(10'000 + number));
  CHECK(refusal(one) == Errc::invalid_argument);

  one = profile();
  one.session_timeout_ms = 999;
  CHECK(refusal(one) == Errc::invalid_session_timeout);
  one.session_timeout_ms = 1'800'001;
  CHECK(refusal(one) == Errc::invalid_session_timeout);
  one = profile();
  one.rebalance_timeout_ms = 0;
  CHECK(refusal(one) == Errc::invalid_argument);
  one = profile();
  one.assignor = "fair";
  CHECK(refusal(one) == Errc::unsupported_assignor);
  one = profile();
  one.instance_id = "a\tb";
  CHECK(refusal(one) == Errc::invalid_argument);
}

TEST_CASE("a pattern that does not compile says where", "[group]") {
  const auto compiled = TopicPattern::compile("orders-(eu|us");
  REQUIRE(!compiled);
  CHECK(compiled.error().code == Errc::invalid_regular_expression);
  const auto bracket = TopicPattern::compile("a[z-b]c");
  REQUIRE(!bracket);
  CHECK(bracket.error().message.find("at character 3") != std::string::npos);
  CHECK(!TopicPattern::compile(std::string(1'025, 'a')));
  CHECK(!TopicPattern::compile("(a{1000}){1000}"));  // more than a mebibyte of automaton
}

TEST_CASE("a pattern means whole names, and none of the system's own", "[group]") {
  const auto pattern = TopicPattern::compile("logs.*");
  REQUIRE(pattern);
  CHECK(pattern->matches("logs"));
  CHECK(pattern->matches("logs.web"));
  CHECK(!pattern->matches("my-logs"));
  const auto all = TopicPattern::compile(".*");
  REQUIRE(all);
  CHECK(all->matches("_schemas"));
  CHECK(!all->matches("__consumer_offsets"));
}

}  // namespace troupe::group
