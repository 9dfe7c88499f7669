#!/usr/bin/env bash
# Holds C++ files against .clang-format; --fix applies it. Exit code 77: skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if ! command -v clang-format-14 >/dev/null; then
  echo "SKIPPED: package clang-format-14 is missing (other versions format differently)"
  exit 77
fi
mode=(--dry-run -Werror)
if [[ ${1:-} == --fix ]]; then mode=(-i); fi
# A file that git knows and that was just deleted is no problem of this check.
{ git ls-files -z --cached --others --exclude-standard '*.hpp' '*.cpp' | xargs -0 -r ls -d 2>/dev/null || true; } |
  xargs -r clang-format-14 "${mode[@]}"
echo "format: ok"
