#!/usr/bin/env bash
# Installs what is missing, builds, gets CIFAR-10 and trains the notebook's network on it. Arguments go to
# `cifar_train train`: tools/train.sh --epochs 2. The data is --data PATH if given, else what tools/get_cifar10.sh
# finds; where there is none and no network, a synthetic stand-in.
set -euo pipefail
top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

get_data=yes
for argument in "$@"; do
  case $argument in
    --data | --data=* | --help | -h) get_data=no ;;
  esac
done

"$top/tools/setup.sh"
"$top/tools/build.sh" release cifar_train

data=()
if [[ $get_data == yes ]]; then
  status=0
  path=$("$top/tools/get_cifar10.sh") || status=$?
  case $status in
    0) data=(--data "$path") ;;
    3)
      printf '%s\n' 'train: CIFAR-10 cannot be had here, so this trains on a synthetic stand-in: ten classes of drawn' \
        'train: pictures, not photographs. Accuracies on it say nothing about CIFAR-10.' >&2
      data=(--data synthetic)
      ;;
    *) exit "$status" ;;
  esac
fi
exec "$top/build/release/apps/cifar_train" train "${data[@]}" "$@"
