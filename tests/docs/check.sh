#!/usr/bin/env bash
# check.sh PAGE BUILD_DIR PREFIX WORK [CMAKE_SETTING...]: a page of documentation says nothing that isn't so.
#
# - Each ```cpp block with a main is built against the installation in PREFIX and run; it must return 0. In a block
#   that starts ```cpp fails it must not, and what it prints must stand in the page, which calls the block's file
#   mistake.cpp. ```cpp builds is not run.
# - In ```console blocks, the programs, subcommands, options and presets of lines that begin with $ must exist.
# - Links to files must lead somewhere.
# A README has to have a program.
set -euo pipefail
top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
page=$(realpath -- "$1") build=$2 prefix=$3 work=$4
shift 4

failed=0
complain() {
  printf '%s: %s\n' "${page##*/}" "$*"
  failed=1
}
mentions() { grep -qE -e "(^|[^[:alnum:]_-])$1([^[:alnum:]_-]|$)"; }

rm -rf -- "$work"
mkdir -p -- "$work/blocks" "$work/programs" "$work/run"

# Block 3 of the page, ```cpp fails, goes to blocks/block_3_fails.cpp.
awk -v work="$work/blocks" '
  /^```/ && inside { inside = 0; close(out); next }
  /^```/ {
    inside = 1
    language = substr($1, 4)
    out = work "/block_" ++count ($2 == "" ? "" : "_" $2) "." (language == "" ? "text" : language)
    next
  }
  inside { print > out }' "$page"

# Programs.
shopt -s nullglob
for file in "$work"/blocks/*.cpp; do
  ! grep -q '^int main(' "$file" || cp -- "$file" "$work/programs/"
done
programs=("$work"/programs/*.cpp)
if [[ ${#programs[@]} == 0 ]]; then
  [[ ${page##*/} != README.md ]] || complain 'has no complete C++ program'
elif ! { cmake -S "$top/tests/docs/programs" -B "$work/build" -G Ninja -DPROGRAMS="$work/programs" \
  -DCMAKE_PREFIX_PATH="$prefix" "$@" && cmake --build "$work/build"; } >"$work/build.log" 2>&1; then
  cat -- "$work/build.log"
  complain 'a program does not build'
else
  for file in "${programs[@]}"; do
    name=$(basename -- "$file" .cpp)
    status=0
    [[ $name == *_builds ]] || (cd -- "$work/run" && "$work/build/$name") >"$work/$name.out" 2>&1 || status=$?
    if [[ $name == *_fails ]]; then
      [[ $status != 0 ]] || complain "$name should fail and does not"
      while IFS= read -r line; do
        grep -qF -e "$line" "$page" || complain "$name prints what the page does not show: $line"
      done < <(sed -e '/^terminate called/d' -e 's/^ *what(): *//' -e "s/$name\.cpp/mistake.cpp/g" "$work/$name.out")
    elif [[ $status != 0 ]]; then
      cat -- "$work/$name.out"
      complain "$name returns $status"
    fi
  done
fi

# check_cifar_train SUBCOMMAND WORD...
check_cifar_train() {
  local program=$build/apps/cifar_train subcommand=$1 word help
  shift
  [[ -x $program ]] || { complain 'cifar_train is not built' && return; }
  help=$("$program" --help)
  if [[ $subcommand != -* ]]; then
    mentions "$subcommand" <<<"$help" || complain "cifar_train has no subcommand $subcommand"
    help=$("$program" "$subcommand" --help)
  fi
  for word in "$@"; do
    [[ $word != --* ]] || mentions "${word%%=*}" <<<"$help" || complain "cifar_train $subcommand has no option $word"
  done
}

check_command() {
  local word previous=
  while [[ $1 == *=* && $1 != -* ]]; do shift; done  # variables
  case $1 in
    cifar_train | */cifar_train) check_cifar_train "${2:---help}" "${@:3}" ;;
    tools/train.sh) check_cifar_train train "${@:2}" ;;
    build/*) [[ -x $build/${1#build/*/} ]] || complain "$1 is not built" ;;
    */*) [[ -x $top/$1 ]] || complain "$1 is not there to be run" ;;
    cmake | ctest)
      for word in "$@"; do
        [[ $previous != --preset ]] || grep -q "\"name\": \"$word\"" "$top/CMakePresets.json" ||
          complain "there is no preset $word"
        previous=$word
      done
      ;;
    *) command -v -- "$1" >/dev/null || complain "$1 is no command" ;;
  esac
}

for file in "$work"/blocks/*.console; do
  while read -ra words; do
    [[ ${#words[@]} == 0 ]] || check_command "${words[@]}"
  done < <(sed -e ':join' -e '/\\$/{N;s/\\\n//;b join' -e '}' "$file" |
    sed -n -e 's/^\$ //p' | sed -e 's/  *#.*//' -e 's/ && \| | \|; /\n/g')
done

# Links, not those that lambdas look like.
while IFS= read -r link; do
  [[ -e ${page%/*}/$link ]] || complain "the link to $link leads nowhere"
done < <(awk '/^```/ { inside = !inside } !inside' "$page" | grep -oE '\]\([^)# ]+' | cut -c 3- | grep -v ':' | sort -u)

exit "$failed"
