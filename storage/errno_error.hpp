#pragma once

#include <string_view>

#include "base/error.hpp"

namespace troupe::storage {

/// The reaction to an errno value: ENOSPC and EDQUOT are storage_full, ENOENT is not_found, the rest is storage_error.
Errc errc_of_errno(int error) noexcept;

/// What failed, on what, and why: "write 4096 bytes at 0 to /data/x.log: No space left on device (ENOSPC)".
/// For EMFILE and ENFILE a sentence names the limit that was reached.
Error errno_error(Errc code, int error, std::string_view what);
Error errno_error(int error, std::string_view what);

}  // namespace troupe::storage
