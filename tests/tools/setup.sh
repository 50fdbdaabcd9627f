#!/usr/bin/env bash
# Nothing is installed here: dpkg-query, apt-get, sudo and id are stand-ins.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
setup="$project/tools/setup.sh"
bare_path
cat >"$project/tools/packages.txt" <<'LIST'
# a comment

here     # is installed
g++      # is not
libfoo-dev
LIST

run "$setup"
expect 'another system: goes on' [ "$status" = 0 ]
expect 'another system: names the packages' says 'here g++ libfoo-dev'

fake apt-get <<<'printf "%s\n" "$*" >>"${0%/*}/../apt.log"'
fake dpkg-query <<<'echo installed'
run "$setup"
expect 'nothing is missing: success' [ "$status" = 0 ]
expect 'nothing is missing: silent' [ -z "$out$err" ]
expect 'nothing is missing: apt-get is not run' lacks "$scratch/apt.log"

rm -- "$bin/id"
fake id <<<'echo 1000'
fake dpkg-query <<<'[[ ${*: -1} == here ]] && echo installed || exit 1'
run "$setup"
expect 'neither root nor sudo: exit code 1' [ "$status" = 1 ]
expect 'neither root nor sudo: names what is missing' says 'takes root or sudo: g++ libfoo-dev'
expect 'neither root nor sudo: apt-get is not run' lacks "$scratch/apt.log"

fake sudo <<<'printf "sudo %s\n" "$*" >>"${0%/*}/../sudo.log"; exec "$@"'
run "$setup"
expect 'sudo: success' [ "$status" = 0 ]
expect 'sudo: says what it does' says 'installing with apt-get: g++ libfoo-dev'
expect 'sudo: installs what is missing, and that alone' [ "$(tail -n 1 "$scratch/apt.log")" = \
  '-q -y --no-install-recommends install g++ libfoo-dev' ]
expect 'sudo: is used' grep -q 'sudo apt-get -q update' "$scratch/sudo.log"

fake id <<<'echo 0'
rm -- "$scratch/sudo.log"
run "$setup"
expect 'root: success' [ "$status" = 0 ]
expect 'root: no sudo' lacks "$scratch/sudo.log"

fake apt-get <<<'[[ $* != *install* ]] || { echo "E: Unable to locate package g++"; exit 100; }'
run "$setup"
expect 'apt-get fails: exit code 1' [ "$status" = 1 ]
expect 'apt-get fails: its words' says 'E: Unable to locate package'
expect 'apt-get fails: one sentence' says 'could not install g++ libfoo-dev; is there a network?'

# Read rather than run with stand-ins: every line of the real list is a package name and a reason.
run grep -vE '^(#.*)?$|^[a-z0-9.+-]+ +# .+' "$source_dir/tools/packages.txt"
expect 'each package has a reason' [ "$status" = 1 ]
finish
