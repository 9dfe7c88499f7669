#!/usr/bin/env bash
# ./run doctor: what this machine has, lacks and allows. Changes nothing; its scratch files are below build/ and go away.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
# shellcheck source=cmake/packages.sh
. cmake/packages.sh

line() { printf '  %-22s %s\n' "$1" "$2"; }
first_line() { "$@" 2>/dev/null | head -n 1; }

echo "machine"
# shellcheck source=/dev/null
line "system" "$(. /etc/os-release && echo "$PRETTY_NAME"), kernel $(uname -r), $(uname -m)"
line "cores, memory" "$(nproc), $(awk '/^MemTotal/ {t = $2} /^MemAvailable/ {a = $2}
  END {printf "%.1f GB, %.1f GB available", t / 1048576, a / 1048576}' /proc/meminfo)"
line "disk free" "$(df -h --output=avail,fstype,target . | tail -n 1 | awk '{print $1 " (" $2 " on " $3 ")"}')"
line "open files" "$(ulimit -Sn) soft, $(ulimit -Hn) hard$([[ $(ulimit -Sn) == unlimited || $(ulimit -Sn) -ge 4096 ]] ||
  echo "  <- low: a node wants 65536")"
line "core dumps" "$(ulimit -c)"

scratch=build/doctor
mkdir -p "$scratch"
trap 'rm -rf "$scratch"' EXIT
seconds=$(LC_ALL=C dd if=/dev/zero of="$scratch/sync" bs=4k count=200 oflag=dsync 2>&1 | awk -F', ' 'END {print $(NF - 1)}')
line "4 KiB synced write" "$(awk -v s="${seconds% s}" 'BEGIN {printf "%.2f ms each (200 in a row)", s * 1000 / 200}')"

loop_mount() {
  [[ $(id -u) -eq 0 ]] || { echo "no: needs root"; return; }
  command -v mkfs.ext4 >/dev/null || { echo "no: package e2fsprogs is missing"; return; }
  mkdir -p "$scratch/mount"
  truncate -s 16M "$scratch/image"
  mkfs.ext4 -q -F "$scratch/image" >/dev/null 2>&1 || { echo "no: mkfs.ext4 failed"; return; }
  mount -o loop "$scratch/image" "$scratch/mount" 2>/dev/null || { echo "no: the kernel refuses"; return; }
  umount "$scratch/mount"
  echo "yes (real power cuts can be tested)"
}
line "loop mount" "$(loop_mount)"

echo "tools"
line "cmake" "$(first_line cmake --version)"
line "ninja" "$(first_line ninja --version)"
line "g++" "$(first_line g++ --version)"
line "clang" "$(first_line clang-14 --version || first_line clang --version)"
line "ccache, mold" "$(first_line ccache --version), $(first_line mold --version)"
line "python3" "$(first_line python3 --version)"
line "strace" "$(first_line strace --version)"
caf=$(dpkg-query -W -f '${Version}' libcaf-dev 2>/dev/null) || caf="not installed"
line "CAF" "$caf; with ThreadSanitizer: $([[ -f build/caf-tsan/stamp ]] && echo built || echo "not built (./run check tsan)")"

echo "packages missing (cmake/packages.txt)"
missing=$(missing_packages build test bench check fuzz)
if [[ -z $missing ]]; then line "none" ""; fi
while read -r name class purpose; do
  if [[ -n $name ]]; then line "$name" "$class: $purpose"; fi
done <<<"$missing"
