#pragma once

namespace troupe {

/// Prints where and what, then aborts. Called by TROUPE_ASSERT only.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace troupe

/// Our own bug ends the process, in release builds too: data that a broken invariant would write is worth less than
/// a restart from the log. Never for input: bad input is an `Error`.
#define TROUPE_ASSERT(expression) \
  (static_cast<bool>(expression) ? void(0) : ::troupe::assertion_failed(#expression, __FILE__, __LINE__))
