#pragma once

#include <caf/error.hpp>
#include <caf/result.hpp>

#include "base/result.hpp"

/// The one table between our errors and CAF's.
namespace troupe::actors {

/// As the answer to a request and as an actor's reason to end: code and message travel along.
caf::error to_caf_error(const Error& error);

/// Back again. What CAF itself reports (a timeout, an actor that is gone) leaves the outcome of a request open and becomes
/// `request_timed_out`; anything else that is not ours becomes `unknown_error`. The message says what CAF said.
Error from_caf_error(const caf::error& error);

/// A handler's answer.
template <class T>
caf::result<T> to_caf_result(Result<T> result) {
  if (!result) return to_caf_error(result.error());
  return std::move(result).value();
}

}  // namespace troupe::actors
