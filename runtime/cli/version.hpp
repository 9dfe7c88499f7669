#pragma once

namespace troupe::cli {

/// "0.1.0"
const char* version_number();

/// One line, with the commit and the compiler.
const char* version_text();

/// `troupe version`
int print_version(bool json);

}  // namespace troupe::cli
