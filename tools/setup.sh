#!/usr/bin/env bash
# Installs the Debian packages of tools/packages.txt that are missing. If none is, it touches nothing.
set -euo pipefail
top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf 'setup: %s\n' "$*" >&2; }

mapfile -t wanted < <(sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$top/tools/packages.txt")

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  say "this is no Debian or Ubuntu, so nothing is installed; what the build needs goes there by the names: ${wanted[*]}"
  exit 0
fi

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [[ $status == installed* ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

as_root=()
if [[ $(id -u) != 0 ]]; then
  if ! command -v sudo >/dev/null; then
    say "these packages are missing, and installing them takes root or sudo: ${missing[*]}"
    exit 1
  fi
  as_root=(sudo)
fi

say "installing with apt-get: ${missing[*]}"
log=$(mktemp)
trap 'rm -f -- "$log"' EXIT
# An index that could not be refreshed may still do, so only the installation's own result counts.
"${as_root[@]}" apt-get -q update >"$log" 2>&1 || true
if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${missing[@]}" \
  >>"$log" 2>&1; then
  tail -n 15 -- "$log" >&2
  say "apt-get could not install ${missing[*]}; is there a network? Its last words are above."
  exit 1
fi
say "done"
