#include "actors/errors.hpp"

#include <caf/exit_reason.hpp>
#include <caf/sec.hpp>

#include "tests/support/catch.hpp"

using namespace troupe;
using actors::from_caf_error;
using actors::to_caf_error;

TEST_CASE("an error of ours comes out of CAF as it went in", "[actor_errors]") {
  for (const auto code : {Errc::offset_out_of_range, Errc::storage_full, Errc::unknown_error}) {
    const auto back = from_caf_error(to_caf_error({code, "what, where, got, wanted"}));
    CHECK(back.code == code);
    CHECK(back.message == "what, where, got, wanted");
  }
}

TEST_CASE("an actor that is gone leaves the outcome of a request open", "[actor_errors]") {
  CHECK(from_caf_error(caf::sec::request_receiver_down).code == Errc::request_timed_out);
  CHECK(from_caf_error(caf::sec::request_timeout).code == Errc::request_timed_out);
  CHECK(from_caf_error(caf::exit_reason::kill).code == Errc::request_timed_out);
  CHECK(from_caf_error(caf::sec::unexpected_message).code == Errc::unknown_error);
  CHECK(from_caf_error(caf::sec::unexpected_message).message.find("unexpected_message") != std::string::npos);
}

TEST_CASE("two different errors of ours are different in CAF", "[actor_errors]") {
  CHECK(to_caf_error({Errc::storage_full, "x"}) != to_caf_error({Errc::storage_error, "x"}));
  CHECK(to_caf_error({Errc::corrupt_message, "x"}) != caf::error{caf::sec::unexpected_response});
}
