#!/usr/bin/env bash
# A file that no longer fits in your head is two files.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
find . -regextype egrep -regex '\./(core|ops|optim|models|apps)/.*\.[ch]pp' -exec awk '
  FNR == 451 { print FILENAME " has more than 450 lines"; failed = 1 }
  END { exit failed }' {} +
