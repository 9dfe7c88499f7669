#!/usr/bin/env bash
# Holds the shell scripts against shellcheck. Exit code 77: skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if ! command -v shellcheck >/dev/null; then
  echo "SKIPPED: package shellcheck is missing"
  exit 77
fi
git ls-files -z --cached --others --exclude-standard | xargs -0 grep -lZE '^#!.*\bbash|^# shellcheck shell=' |
  xargs -0 -r shellcheck -x
echo "shellcheck: ok"
