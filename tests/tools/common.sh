# shellcheck shell=bash
# For the scripts' tests: a copy of tools/ in an empty project whose path has a space, and a few assertions.
set -euo pipefail
source_dir=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT
project="$scratch/a project"
bin="$scratch/bin"
mkdir -p -- "$project" "$bin"
cp -r -- "$source_dir/tools" "$project/"
unset CIFAR10_DIR CIFAR10_URL CIFAR10_MD5 TAPESTRY_PRESET
failures=0

# run COMMAND...: sets $status, $out and $err.
run() {
  status=0
  "$@" >"$scratch/out" 2>"$scratch/err" </dev/null || status=$?
  out=$(<"$scratch/out")
  err=$(<"$scratch/err")
}

# expect WHAT CONDITION...: CONDITION is a command, such as [ ... ] or says.
expect() {
  local what=$1
  shift
  if ! "$@"; then
    printf 'FAILED: %s\n  exit code %s\n  stdout: %s\n  stderr: %s\n' "$what" "$status" "$out" "$err"
    failures=$((failures + 1))
  fi
}
says() { [[ $err == *"$1"* ]]; }
lacks() { [[ ! -e $1 ]]; }
same() { cmp -s -- "$1" "$2"; }

# fake NAME: puts a program on the PATH in front of the real ones; its text comes from stdin.
fake() {
  { printf '#!/usr/bin/env bash\n' && cat; } >"$bin/$1"
  chmod +x "$bin/$1"
}

# A PATH with nothing but what the scripts may take for granted, to which a test adds.
bare_path() {
  local name
  for name in bash env grep chmod sed sort tail cat cut dirname id mktemp rm mv mkdir md5sum stat; do
    ln -sf -- "$(command -v "$name")" "$bin/$name"
  done
  PATH=$bin
}

finish() {
  [[ $failures == 0 ]] || { printf '%s checks failed\n' "$failures" && exit 1; }
}
