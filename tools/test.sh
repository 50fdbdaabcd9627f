#!/usr/bin/env bash
# Builds everything and runs all tests. Arguments go to ctest: tools/test.sh -R core/
# TAPESTRY_PRESET names another preset than release: debug, asan.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
preset=${TAPESTRY_PRESET:-release}

tools/setup.sh
tools/build.sh "$preset"
exec ctest --preset "$preset" -j "$(nproc)" "$@"
