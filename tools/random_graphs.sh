#!/usr/bin/env bash
# Runs random graphs through the compiled pipeline and the reference: tools/random_graphs.sh [COUNT [SEED]],
# 100000 from a seed of the clock's unless told. They are those with the seeds SEED, SEED + 1, ..., shared out
# among the CPUs. One that fails is printed as a small C++ program; run it again with tools/random_graphs.sh 1
# and its seed. TAPESTRY_PRESET names another preset than release: debug, asan.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
count=${1:-100000}
seed=${2:-$(date +%s)000}
preset=${TAPESTRY_PRESET:-release}
test=build/$preset/tests/test_core

tools/build.sh "$preset"
jobs=$(nproc)
((jobs <= count)) || jobs=$count
logs=$(mktemp -d)
trap 'rm -rf -- "$logs"' EXIT
echo "$count random graphs from seed $seed"
pids=()
for ((i = 0; i < jobs; ++i)); do
  first=$((seed + count * i / jobs))
  TAPESTRY_GRAPH_SEED=$first TAPESTRY_GRAPHS=$((seed + count * (i + 1) / jobs - first)) TAPESTRY_THREADS=1 \
    "$test" --run_test=differential --color_output=no >"$logs/$i" 2>&1 &
  pids+=($!)
done
failed=0
for ((i = 0; i < jobs; ++i)); do
  wait "${pids[i]}" || { failed=1; cat "$logs/$i"; }
done
((failed == 0)) && echo "all agree"
exit "$failed"
