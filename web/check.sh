#!/usr/bin/env bash
# Type-checks and tests the client, builds the pages anew and compares them with the committed ones.
# Exit code: 0 all is well, 1 it is not, 77 npm's registry cannot be reached from here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

skip() {
  echo "SKIPPED: $1"
  exit 77
}

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then skip "machine has no node or no npm"; fi
[[ $(node -p 'process.versions.node.split(".")[0]') -ge 20 ]] || skip "machine has node $(node -v), 20 is wanted"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# What is installed is used when it is what the lock file says; else it is fetched, by exact version and checksum.
if ! npm ls --all >/dev/null 2>&1; then
  if ! timeout 180 npm ci --ignore-scripts --no-audit --no-fund >"$scratch/npm.log" 2>&1; then
    if timeout 20 npm ping >/dev/null 2>&1; then
      cat "$scratch/npm.log"
      exit 1
    fi
    skip "machine cannot reach npm's registry"
  fi
fi

timeout 120 npx --no-install prettier --config .prettierrc.json --check --log-level warn . ../tests/browser
timeout 120 npx --no-install tsc --noEmit
timeout 120 npx --no-install vitest run
timeout 60 node build.mjs "$scratch/dist"
if ! diff -rq "$scratch/dist" dist; then
  echo "web/dist is not what its sources give: run 'npm run build' in web/ and commit the result"
  exit 1
fi
echo "web: dist is what its sources give"
