#!/usr/bin/env bash
# Builds CAF (core and io) with ThreadSanitizer into build/caf-tsan, from the source package of the installed libcaf-dev.
#
# With Debian's own, uninstrumented CAF the sanitizer reports races that do not exist, and a suppression that silences
# them hides ours as well. So the library is built once and kept: a stamp names its version and flags.
#
# Usage: cmake/build_caf_tsan.sh [JOBS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

jobs=${1:-2}
prefix=$PWD/build/caf-tsan
work=$PWD/build/caf-tsan-work
flags="-fsanitize=thread -O1 -g1 -fno-omit-frame-pointer -include limits"  # CAF 0.17.6 forgets <limits> under g++ 12

version=$(dpkg-query -W -f '${source:Version}' libcaf-dev)
stamp="$version $(c++ -dumpfullversion) $flags"
if [[ -f $prefix/stamp && $(<"$prefix/stamp") == "$stamp" ]]; then
  echo "caf-tsan: $version is built already ($prefix)"
  exit 0
fi

# A private view of the archive: the lines of this machine's own sources, as deb-src; /etc stays as it is.
apt=$work/apt
rm -rf "$work" "$prefix"
mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$work/source"
# shellcheck disable=SC2016  # the placeholders are apt's
apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) [$(SIGNED_BY)] $(CREATED_BY)' |
  awk '$NF == "Packages" && !seen[$1 $2 $3]++ {
         option = ($4 ~ /^\[\//) ? "[signed-by=" substr($4, 2) " " : "";
         print "deb-src " option $1, $2, $3 }' >"$apt/sources.list"
if [[ ! -s $apt/sources.list ]]; then
  echo "caf-tsan: apt knows no package index; run apt-get update first" >&2
  exit 1
fi
options=(-q -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=)
apt-get "${options[@]}" update
(cd "$work/source" && apt-get "${options[@]}" source --download-only --tar-only "actor-framework=$version")
# The original archive is enough: Debian's patches touch its packaging.
tar -xf "$work"/source/actor-framework_*.orig.tar.* -C "$work/source"
tree=$(find "$work/source" -mindepth 1 -maxdepth 1 -type d)

cmake -S "$tree" -B "$work/build" -G Ninja -Wno-dev \
  -DCMAKE_BUILD_TYPE=None "-DCMAKE_CXX_FLAGS=$flags" -DCMAKE_CXX_COMPILER_LAUNCHER="$(command -v ccache || true)" \
  -DCMAKE_INSTALL_PREFIX="$prefix" -DCAF_LOG_LEVEL=QUIET \
  -DCAF_NO_AUTO_LIBCPP=ON -DCAF_NO_EXAMPLES=ON -DCAF_NO_UNIT_TESTS=ON -DCAF_NO_TOOLS=ON \
  -DCAF_NO_OPENCL=ON -DCAF_NO_OPENSSL=ON -DCAF_NO_PYTHON=ON
nice cmake --build "$work/build" -j "$jobs"
cmake --install "$work/build" >/dev/null
echo "$stamp" >"$prefix/stamp"
rm -rf "$work"
echo "caf-tsan: $version is in $prefix"
