#pragma once

namespace troupe::cli {

/// `troupe version`: one line.
int print_version(bool json);

}  // namespace troupe::cli
