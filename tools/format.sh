#!/usr/bin/env bash
# Lays out all C++ files as .clang-format says. With --check it changes nothing and fails if a file would change.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

mapfile -d '' -t files < <(find . -regextype egrep \
  -regex '\./((core|ops|optim|models|apps|tests|bench|examples)/.*|tapestry)\.[ch]pp' -print0 | sort -z)
case ${1:-} in
  --check) exec clang-format-14 --dry-run --Werror "${files[@]}" ;;
  '') exec clang-format-14 -i "${files[@]}" ;;
  *)
    printf 'format: %s is not an option; there is --check\n' "$1" >&2
    exit 1
    ;;
esac
