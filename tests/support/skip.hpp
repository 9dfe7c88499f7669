#pragma once

#include <cstdio>

/// Leaves a TEST_CASE that this machine cannot run. `reason` begins with "package <name> is missing" or with "machine: ",
/// when no package mends it (no root, no loop devices): only the latter is accepted by `./run test --no-skips`.
/// At the start of a TEST_CASE, before the first assertion: a case that checked something has run.
#define TROUPE_SKIP(reason)                 \
  do {                                      \
    std::printf("SKIPPED: %s\n", (reason)); \
    return;                                 \
  } while (false)
