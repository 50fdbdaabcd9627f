#!/usr/bin/env bash
# The build is left out here (a cmake that does nothing) and cifar_train prints what it was given.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
train="$project/tools/train.sh"
mirror="$scratch/mirror.tar.gz"
head -c 1000 /dev/urandom >"$mirror"
CIFAR10_MD5=$(md5sum <"$mirror" | cut -d' ' -f1)
export CIFAR10_MD5 CIFAR10_URL="file://$mirror" PATH="$bin:$PATH"

fake cmake <<<'printf "%s\n" "$*" >>"${0%/*}/../cmake.log"'
fake dpkg-query <<<'echo installed'
mkdir -p -- "$project/build/release/apps"
fake cifar_train <<<'printf "[%s]" "$@"; exit 7'
mv -- "$bin/cifar_train" "$project/build/release/apps/"

cd /
run "$train" --epochs 2 'an argument'
archive="$project/data/cifar-10-binary.tar.gz"
expect 'the data come first, then the arguments' [ "$out" = "[train][--data][$archive][--epochs][2][an argument]" ]
expect "cifar_train's exit code is passed through" [ "$status" = 7 ]
expect 'it configures' grep -q -e '--preset release' "$scratch/cmake.log"
expect 'it builds cifar_train' grep -q -e '--build --preset release --target cifar_train' "$scratch/cmake.log"

rm -r -- "$project/data"
export CIFAR10_URL=file:///nowhere
run "$train"
expect 'nothing to download: the stand-in' [ "$out" = '[train][--data][synthetic]' ]
expect 'nothing to download: says that it is one' says 'synthetic stand-in'

run "$train" --data '/some where'
expect '--data wins' [ "$out" = '[train][--data][/some where]' ]
expect '--data: nothing is said about a stand-in' [ -z "$err" ]
CIFAR10_DIR=$mirror run "$train" --data=/there
expect '--data= wins over CIFAR10_DIR' [ "$out" = '[train][--data=/there]' ]
CIFAR10_DIR=$mirror run "$train"
expect 'CIFAR10_DIR' [ "$out" = "[train][--data][$mirror]" ]
run "$train" --help
expect '--help gets no data' [ "$out" = '[train][--help]' ]

CIFAR10_URL="file://$mirror" CIFAR10_MD5=0 run "$train"
expect 'a wrong checksum ends it' [ "$status" = 1 ]
expect 'a wrong checksum: no training' [ -z "$out" ]

fake cmake <<<'echo "CMake Error: no compiler"; exit 1'
run "$train"
expect 'a failed configuration ends it' [ "$status" = 1 ]
expect 'a failed configuration is shown' says 'CMake Error: no compiler'
finish
