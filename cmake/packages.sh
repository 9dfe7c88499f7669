# shellcheck shell=bash
# Sourced by ./run, which sets assume_yes: which Debian packages are missing (cmake/packages.txt), and how they get here.

# The name of a package on this release: of alternatives the installed or else the first known one; nothing for "-".
# Arguments: the table's first two columns.
package_name() {
  local names=$1
  # shellcheck source=/dev/null
  if [[ $(. /etc/os-release && echo "${VERSION_ID:-0}") -ge 13 && $2 != "=" ]]; then names=$2; fi
  [[ $names == "-" ]] && return
  local name
  for name in ${names//|/ }; do
    if is_installed "$name" || is_known "$name"; then
      echo "$name"
      return
    fi
  done
  echo "${names%%|*}"
}

is_known() { apt-cache show "$1" >/dev/null 2>&1; }

# node and npm also come from elsewhere than Debian, and then Debian's would not go in beside them.
is_installed() {
  case $1 in
    nodejs) command -v node >/dev/null && return ;;
    npm) command -v npm >/dev/null && return ;;
  esac
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# Prints the packages of the given classes that are not installed, one a line: name, class, purpose.
missing_packages() {
  local bookworm trixie class purpose name
  while read -r bookworm trixie class purpose; do
    [[ -z $bookworm || $bookworm == "#"* || " $* " != *" $class "* ]] && continue
    name=$(package_name "$bookworm" "$trixie")
    if [[ -n $name ]] && ! is_installed "$name"; then echo "$name $class $purpose"; fi
  done <cmake/packages.txt
}

# Whether installing could help: not when the archive's index is here and knows none of them, and the build needs none.
worth_installing() {
  local name class purpose
  compgen -G '/var/lib/apt/lists/*Packages*' >/dev/null || return 0
  while read -r name class purpose; do
    if [[ $class == build ]] || is_known "$name"; then return 0; fi
  done <<<"$1"
  return 1
}

# Sees to it that the packages of the given classes are installed; asks first, unless --yes or CI=true.
# A package of class build that cannot be had ends the run; of the other classes, what needs it skips and says so.
need_packages() {
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    echo "run: not a Debian system; installing nothing (cmake/packages.txt lists what is needed)" >&2
    return
  fi
  local missing
  missing=$(missing_packages "$@")
  [[ -z $missing ]] && return
  if ! worth_installing "$missing"; then
    echo "run: not in this release, and what needs them will be skipped: $(cut -d' ' -f1 <<<"$missing" | tr '\n' ' ')" >&2
    return
  fi
  local -a names sudo=()
  mapfile -t names < <(cut -d' ' -f1 <<<"$missing")
  [[ $(id -u) -eq 0 ]] || sudo=(sudo)
  echo "Debian packages to install: ${names[*]}"
  if [[ ${assume_yes:-false} != true ]]; then
    if [[ ! -t 0 ]]; then
      echo "run: no terminal to ask; say ./run --yes, or: ${sudo[*]} apt-get install ${names[*]}" >&2
      exit 1
    fi
    local answer
    read -r -p "Install them now? [Y/n] " answer
    [[ $answer == "" || $answer == [Yy]* ]] || exit 1
  fi
  "${sudo[@]}" apt-get -q update
  missing=$(missing_packages "$@")  # once more: alternatives are chosen by what the archive knows
  local -a wanted=()
  local name class purpose
  while read -r name class purpose; do
    if is_known "$name"; then
      wanted+=("$name")
    elif [[ $class == build ]]; then
      echo "run: this release has no package $name ($purpose), which the build needs" >&2
      exit 1
    else
      echo "run: this release has no package $name ($purpose); what needs it will be skipped" >&2
    fi
  done <<<"$missing"
  [[ ${#wanted[@]} -eq 0 ]] && return
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${wanted[@]}"
}
