#include "runtime/config/value_text.hpp"

#include "runtime/config/checks.hpp"
#include "tests/support/catch.hpp"

using namespace troupe::runtime;

TEST_CASE("sizes and durations are read in the units that people write", "[config]") {
  CHECK(parse_size("0") == 0);
  CHECK(parse_size("512B") == 512);
  CHECK(parse_size("16KiB") == 16'384);
  CHECK(parse_size("64MiB") == 67'108'864);
  CHECK(parse_size("1GiB") == 1'073'741'824);
  CHECK(parse_duration("250") == 250);
  CHECK(parse_duration("500ms") == 500);
  CHECK(parse_duration("5s") == 5000);
  CHECK(parse_duration("10m") == 600'000);
  CHECK(parse_duration("2h") == 7'200'000);
  CHECK(parse_duration("1d") == 86'400'000);
}

TEST_CASE("what is no number, no unit or too much is refused", "[config]") {
  for (const auto* text :
       {"", "KiB", "1KB", "1kib", "1 KiB", "1.5MiB", "-1KiB", "-1", "+1", "0x10", "9223372036854775808", "9000000000GiB"}) {
    INFO(text);
    CHECK_FALSE(parse_size(text));
  }
  for (const auto* text : {"", "s", "1e9x", "5 s", "1w", "-5s", "5S", "106751991168d"}) {
    INFO(text);
    CHECK_FALSE(parse_duration(text));
  }
}

TEST_CASE("sizes and durations are printed in the largest unit without a rest, and read back", "[config]") {
  CHECK(format_size(0) == "0B");
  CHECK(format_size(1000) == "1000B");
  CHECK(format_size(1536) == "1536B");
  CHECK(format_size(3 << 19) == "1536KiB");
  CHECK(format_duration(0) == "0ms");
  CHECK(format_duration(90'000) == "90s");
  CHECK(format_duration(120'000) == "2m");
  for (const std::int64_t number : {1LL, 1023LL, 1024LL, 60'000LL, 86'400'000LL, 1LL << 40, (1LL << 62) + 1}) {
    CHECK(parse_size(format_size(number)) == number);
    CHECK(parse_duration(format_duration(number)) == number);
  }
}

TEST_CASE("an endpoint is an address and a port", "[config]") {
  CHECK(parse_endpoint("127.0.0.1:8080") == Endpoint{"127.0.0.1", 8080});
  CHECK(parse_endpoint("[::1]:0") == Endpoint{"::1", 0});
  CHECK(parse_endpoint("localhost:65535") == Endpoint{"127.0.0.1", 65'535});
  for (const auto* text :
       {"", ":", "8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+1", "1.2.3:1", "::1:80",
        "[::1]", "[::1:80", "[127.0.0.1]:80", "example.org:80", "*:80", ":80", "127.0.0.1:8080 "}) {
    INFO(text);
    CHECK_FALSE(parse_endpoint(text));
  }
  CHECK(format_endpoint({"::1", 80}) == "[::1]:80");
  CHECK(format_endpoint({"10.0.0.1", 80}) == "10.0.0.1:80");
}

TEST_CASE("only addresses of this machine are loopback", "[config]") {
  for (const auto* host : {"127.0.0.1", "127.8.9.10", "::1", "localhost"}) CHECK(is_loopback(host));
  for (const auto* host : {"0.0.0.0", "::", "10.0.0.1", "127.evil.example", "::ffff:10.0.0.1"})
    CHECK_FALSE(is_loopback(host));
}

TEST_CASE("quoted text drives no terminal and is cut", "[config]") {
  CHECK(quote("plain \xc3\xa4") == "\"plain \xc3\xa4\"");
  CHECK(quote("a\"b\\c") == R"("a\"b\\c")");
  CHECK(quote("\x1b[31m\x7f\n") == R"("\u001b[31m\u007f\u000a")");
  CHECK(quote("\xc2\x9b") == R"("\u009b")");
  CHECK(quote("\xff\xc3") == R"("\xff\xc3")");
  CHECK(quote(std::string(300, 'x')) == "\"" + std::string(200, 'x') + "...\"");
  CHECK(is_plain_text("\xf0\x9f\x9a\x97"));
  for (const auto* text : {"\n", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"})
    CHECK_FALSE(is_plain_text(text));
}

TEST_CASE("an origin has a scheme, a host and nothing behind the port", "[config]") {
  for (const auto* text :
       {"https://app.example", "http://localhost:3000", "https://[2001:db8::1]", "https://[2001:db8::1]:8443"}) {
    INFO(text);
    CHECK(check_origin(text).has_value());
  }
  for (const auto* text :
       {"*", "null", "app.example", "https://", "https://app.example/", "https://app.example/x", "ftp://app.example",
        "https://a b", "https://app.example:99999", "https://u@app.example", "https://app.example:"}) {
    INFO(text);
    CHECK_FALSE(check_origin(text).has_value());
  }
}

TEST_CASE("a host name has no port", "[config]") {
  for (const auto* text : {"troupe.example", "node-1", "10.0.0.1", "[2001:db8::1]"})
    CHECK(check_host_name(text).has_value());
  for (const auto* text : {"troupe.example:8080", "http://x", "a..b", ".a", "-a", "a/b", "2001:db8::1"}) {
    INFO(text);
    CHECK_FALSE(check_host_name(text).has_value());
  }
}
