#!/usr/bin/env bash
# Holds the shell scripts against shellcheck. Exit code 77: skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if ! command -v shellcheck >/dev/null; then
  echo "SKIPPED: package shellcheck is missing"
  exit 77
fi
# A file that git knows and that was just deleted is no problem of this check.
{ git ls-files -z --cached --others --exclude-standard | xargs -0 grep -slZE '^#!.*\bbash|^# shellcheck shell=' || true; } |
  xargs -0 -r shellcheck -x
echo "shellcheck: ok"
