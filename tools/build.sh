#!/usr/bin/env bash
# tools/build.sh PRESET [TARGET...]: configures and builds, saying little unless something goes wrong.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
preset=$1
shift

log=build/$preset/configure.log
mkdir -p -- "build/$preset"
if ! cmake --preset "$preset" >"$log" 2>&1; then
  cat -- "$log" >&2
  printf 'build: configuring failed; what CMake said is above\n' >&2
  exit 1
fi
targets=()
[[ $# == 0 ]] || targets=(--target "$@")
NINJA_STATUS='[%f/%t, %e s] ' cmake --build --preset "$preset" "${targets[@]}"
