#include "base/result.hpp"

#include <memory>
#include <string>

#include "tests/support/catch.hpp"

using namespace troupe;

namespace {

Result<int> parse_digit(char c) {
  if (c < '0' || c > '9') return Error{Errc::invalid_argument, std::string("no digit: ") + c};
  return c - '0';
}

Result<int> sum(std::string_view text) {
  int total = 0;
  for (const char c : text) {
    TROUPE_TRY_ASSIGN(const int digit, parse_digit(c));
    total += digit;
  }
  return total;
}

Result<std::unique_ptr<int>> boxed(char c) {
  TROUPE_TRY_ASSIGN(const int digit, parse_digit(c));
  return std::make_unique<int>(digit);
}

Result<std::unique_ptr<int>> boxed_sum(char a, char b) {
  TROUPE_TRY_ASSIGN(auto first, boxed(a));
  TROUPE_TRY_ASSIGN(const auto second, boxed(b));
  *first += *second;
  return first;
}

Status require_digits(std::string_view text, int& looked_at) {
  for (const char c : text) {
    ++looked_at;
    TROUPE_TRY(parse_digit(c));
  }
  return ok();
}

Status forwarded(std::string_view text, int& looked_at) {
  if (text.empty())
    TROUPE_TRY(Status(Error{Errc::not_found, "nothing"}));
  else
    TROUPE_TRY(require_digits(text, looked_at));
  return ok();
}

}  // namespace

TEST_CASE("a result holds a value or an error", "[base]") {
  const Result<int> good = 7;
  REQUIRE(good);
  CHECK(good.has_value());
  CHECK(*good == 7);
  const Result<int> bad = Error{Errc::not_found, "no key"};
  CHECK_FALSE(bad);
  CHECK_FALSE(bad.has_value());
  CHECK(bad.error().code == Errc::not_found);
  CHECK(bad.error().message == "no key");
}

TEST_CASE("a result gives access to members and can be changed", "[base]") {
  Result<std::string> text = std::string("abc");
  CHECK(text->size() == 3);
  *text += "d";
  CHECK(text.value() == "abcd");
  const auto taken = *std::move(text);
  CHECK(taken == "abcd");
}

TEST_CASE("a value that converts to false is still a value", "[base]") {
  CHECK(Result<bool>(false));
  CHECK(Result<int>(0));
  CHECK(Result<std::unique_ptr<int>>(nullptr));
}

TEST_CASE("a status is success unless it holds an error", "[base]") {
  CHECK(ok());
  CHECK(Status{});
  const Status bad = Error{Errc::storage_full, "no space"};
  CHECK_FALSE(bad);
  CHECK(bad.error().code == Errc::storage_full);
}

TEST_CASE("TRY_ASSIGN gives the value or returns the error", "[base]") {
  CHECK(*sum("1234") == 10);
  CHECK(*sum("") == 0);
  const auto bad = sum("12x4");
  REQUIRE_FALSE(bad);
  CHECK(to_string(bad.error()) == "invalid_argument: no digit: x");
}

TEST_CASE("TRY_ASSIGN moves values that cannot be copied", "[base]") {
  auto good = boxed_sum('3', '4');
  REQUIRE(good);
  const auto taken = std::move(good).value();
  CHECK(*taken == 7);
  CHECK(boxed_sum('3', '-').error().message == "no digit: -");
  CHECK(boxed_sum('+', '4').error().message == "no digit: +");
}

TEST_CASE("TRY goes on after success and stops at the first error", "[base]") {
  int looked_at = 0;
  CHECK(require_digits("123", looked_at));
  CHECK(looked_at == 3);
  looked_at = 0;
  CHECK(require_digits("1a2b", looked_at).error().message == "no digit: a");
  CHECK(looked_at == 2);
}

TEST_CASE("TRY is one statement, also between if and else", "[base]") {
  int looked_at = 0;
  CHECK(forwarded("12", looked_at));
  CHECK(forwarded("", looked_at).error().code == Errc::not_found);
  CHECK(forwarded("?", looked_at).error().code == Errc::invalid_argument);
}

TEST_CASE("TRY evaluates its expression once", "[base]") {
  int calls = 0;
  const auto once = [&]() -> Status {
    const auto count = [&]() -> Status {
      ++calls;
      return ok();
    };
    TROUPE_TRY(count());
    return ok();
  };
  CHECK(once());
  CHECK(calls == 1);
}
