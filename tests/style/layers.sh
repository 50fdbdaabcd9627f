#!/usr/bin/env bash
# Dependencies point one way: apps -> models -> {ops, optim} -> core. Kernels see tensors, never Graph or Var, so core
# may run them.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."

failed=0
# layer FOLDER ALLOWED [BUT_NOT]: files under FOLDER include only what matches ALLOWED.
layer() {
  local wrong
  wrong=$(grep -rnoE --include='*.[ch]pp' 'include <tapestry/[^>]+' "$1" ${3:+--exclude-dir="$3"} |
    grep -vE "<tapestry/($2)" || true)
  if [[ -n $wrong ]]; then
    printf '%s may not include:\n%s\n' "$1" "$wrong"
    failed=1
  fi
}
layer core 'core/|ops/kernels/'
layer ops/kernels 'core/(dtype|error|function_ref|random|shape|tensor|run/parallel)\.hpp|ops/kernels/'
layer ops 'core/|ops/' kernels
[[ ! -d optim ]] || layer optim 'core/|ops/|optim/'
layer models 'core/|ops/|optim/|models/'
exit "$failed"
