#include "runtime/cli/version.hpp"

#include "runtime/cli/output.hpp"

namespace troupe::cli {

const char* version_number() { return TROUPE_VERSION; }

const char* version_text() {
  return "troupe " TROUPE_VERSION " (commit " TROUPE_COMMIT ", " TROUPE_COMPILER ", " TROUPE_BUILD_TYPE ")";
}

int print_version(bool json) {
  Output out{json};
  if (json) {
    out.print(Json{{"version", TROUPE_VERSION},
                   {"commit", TROUPE_COMMIT},
                   {"compiler", TROUPE_COMPILER},
                   {"build_type", TROUPE_BUILD_TYPE}});
  } else {
    out.line(version_text());
  }
  return out.finish() ? exit_ok : exit_failed;
}

}  // namespace troupe::cli
