#include "actors/errors.hpp"

#include <caf/atom.hpp>
#include <caf/exit_reason.hpp>
#include <caf/message.hpp>
#include <caf/make_message.hpp>
#include <caf/sec.hpp>

namespace troupe::actors {
namespace {

constexpr auto category = caf::atom("troupe");

/// Nobody knows whether the request was carried out.
bool outcome_is_open(const caf::error& error) {
  if (error.category() == caf::make_error(caf::exit_reason::kill).category()) return true;
  return error == caf::sec::request_timeout || error == caf::sec::request_receiver_down;
}

}  // namespace

caf::error to_caf_error(const Error& error) {
  return caf::error{static_cast<std::uint8_t>(error.code), category, caf::make_message(error.message)};
}

Error from_caf_error(const caf::error& error) {
  TROUPE_ASSERT(error);
  if (error.category() == category) {
    const auto& context = error.context();
    const bool has_message = context.size() == 1 && context.match_element<std::string>(0);
    return Error{static_cast<Errc>(error.code()), has_message ? context.get_as<std::string>(0) : std::string{}};
  }
  return Error{outcome_is_open(error) ? Errc::request_timed_out : Errc::unknown_error, caf::to_string(error)};
}

}  // namespace troupe::actors
