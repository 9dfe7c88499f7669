#pragma once

namespace troupe::cli {

/// "0.1.0"
const char* version_number();

/// `troupe version`: one line.
int print_version(bool json);

}  // namespace troupe::cli
