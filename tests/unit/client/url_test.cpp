#include "runtime/client/url.hpp"

#include "tests/support/catch.hpp"

using namespace troupe;
using namespace troupe::client;

TEST_CASE("a node's address is read in every form that people write", "[client]") {
  CHECK(parse_url("http://127.0.0.1:8080").value() == Url{"127.0.0.1", 8080, ""});
  CHECK(parse_url("HTTP://Node-1.example").value() == Url{"Node-1.example", 80, ""});
  CHECK(parse_url("localhost:9000").value() == Url{"localhost", 9000, ""});
  CHECK(parse_url("http://[::1]:9000/").value() == Url{"::1", 9000, ""});
  CHECK(parse_url("http://[2001:db8::1]").value() == Url{"2001:db8::1", 80, ""});
  CHECK(parse_url("http://proxy:80/a/b//").value() == Url{"proxy", 80, "/a/b"});
  CHECK(parse_url("http://[::1]:9000").value().authority() == "[::1]:9000");
}

TEST_CASE("what is no address of a node is refused", "[client]") {
  for (const auto* text : {"",
                           "http://",
                           "https://x",
                           "ftp://x:1",
                           "localhost",
                           "http://x:",
                           "http://x:0",
                           "http://x:65536",
                           "http://x:+1",
                           "http://x:8 0",
                           "http://u:p@x",
                           "http://x?q",
                           "http://x/#f",
                           "http://x/a b",
                           "http://[::1",
                           "http://[x]:1",
                           "http://[]:1",
                           "::1:80",
                           "http://a\r\nb",
                           "http://x/\r\n"}) {
    INFO(text);
    CHECK_FALSE(parse_url(text).has_value());
  }
}

TEST_CASE("several addresses stand behind commas", "[client]") {
  const auto urls = parse_urls("a:1,http://b/p,[::1]:2");
  REQUIRE(urls.has_value());
  CHECK(*urls == std::vector{Url{.host = "a", .port = 1}, Url{.host = "b", .port = 80, .prefix = "/p"},
                             Url{.host = "::1", .port = 2}});
  for (const auto* text : {"", "a:1,", ",a:1", "a:1,,b:2", "a:1, b:2"}) {
    INFO(text);
    CHECK_FALSE(parse_urls(text).has_value());
  }
}

TEST_CASE("a name becomes one segment of a path, whatever is in it", "[client]") {
  CHECK(percent_encoded("plain-Name_1.~") == "plain-Name_1.~");
  CHECK(percent_encoded("a/b?c#d%e f") == "a%2Fb%3Fc%23d%25e%20f");
  CHECK(percent_encoded("\xc3\xa4\r\n") == "%C3%A4%0D%0A");
  CHECK(percent_encoded(".") == "%2E");
  CHECK(percent_encoded("..") == "%2E%2E");
  CHECK(percent_encoded("...") == "...");
}
