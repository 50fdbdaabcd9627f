#!/usr/bin/env bash
# Measures Tapestry and PyTorch in turn and writes build/bench/versus.md, versus.svg and versus.json. Takes about 25
# minutes on two cores, or ten with --quick; other options are those of bench/versus/driver.py.
#
#   PYTHON       a Python that has torch 2.13; without it one is installed into build/bench/venv
#   CIFAR10_DIR  CIFAR-10 as a folder or an archive; without it what lies in data/ or else a stand-in is used
set -euo pipefail
top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
out=$top/build/bench
say() { printf 'versus: %s\n' "$*" >&2; }

# Of what others in this shell may have set, nothing is to hold back either side.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE OPENBLAS_NUM_THREADS OMP_NUM_THREADS MKL_NUM_THREADS TAPESTRY_THREADS

"$top/tools/build.sh" bench bench_versus cifar_train >&2

python=${PYTHON:-$out/venv/bin/python}
if ! "$python" -c 'import torch' 2>/dev/null; then
  if [[ -n ${PYTHON:-} ]]; then
    say "$PYTHON has no torch"
    exit 1
  fi
  say "installing PyTorch into $out/venv"
  python3 -m venv "$out/venv"
  "$out/venv/bin/pip" install --quiet torch==2.13.0 numpy
fi

# Unpacked, because unpacking is not what is measured.
data=$out/cifar-10-batches-bin
if [[ ! -f $data/test_batch.bin ]]; then
  archive=${CIFAR10_DIR:-$top/data/cifar-10-binary.tar.gz}
  if [[ -f $archive ]]; then
    tar -xzf "$archive" -C "$out"
  elif [[ -f $archive/test_batch.bin ]]; then
    data=$archive
  else
    say "there is no CIFAR-10 here, so the start is timed with a stand-in"
    "$out/bench/versus" --synthetic "$data"
  fi
fi

exec "$python" "$top/bench/versus/driver.py" --out "$out" --versus "$out/bench/versus" \
  --cifar-train "$out/apps/cifar_train" --data "$data" "$@"
