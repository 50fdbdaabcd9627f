#!/usr/bin/env bash
# Mirrors here are files: the real download differs in the protocol only.
source "$(dirname -- "${BASH_SOURCE[0]}")/common.sh"
get="$project/tools/get_cifar10.sh"
archive="$project/data/cifar-10-binary.tar.gz"
mirror="$scratch/a mirror.tar.gz"
head -c 300000 /dev/urandom >"$mirror"
good=$(md5sum <"$mirror" | cut -d' ' -f1)
export CIFAR10_URL="file://${mirror// /%20}" CIFAR10_MD5=$good
clear_data() { rm -rf -- "$project/data"; }

cd /
run "$get"
expect 'a good mirror: success' [ "$status" = 0 ]
expect 'a good mirror: prints the path, and that alone' [ "$out" = "$archive" ]
expect 'a good mirror: the same bytes' same "$archive" "$mirror"
expect 'a good mirror: no partial file left' lacks "$archive.part"

CIFAR10_URL=file:///nowhere run "$get"
expect 'a verified archive needs no mirror' [ "$status $out" = "0 $archive" ]

clear_data
CIFAR10_MD5=00000000000000000000000000000000 run "$get"
expect 'a wrong checksum: exit code 1' [ "$status" = 1 ]
expect 'a wrong checksum: no path printed' [ -z "$out" ]
expect 'a wrong checksum: said' says 'has not the md5 00000000000000000000000000000000'
expect 'a wrong checksum: the archive is not there' lacks "$archive"
expect 'a wrong checksum: nor a partial file' lacks "$archive.part"
expect 'a wrong checksum: kept under another name' same "$archive.bad" "$mirror"

clear_data
mkdir -p -- "$project/data"
printf 'not the archive' >"$archive"
run "$get"
expect 'a bad file in place: replaced by a download' same "$archive" "$mirror"
expect 'a bad file in place: said' says 'will not be used'
expect 'a bad file in place: kept' grep -q 'not the archive' "$archive.bad"

clear_data
mkdir -p -- "$project/data"
head -c 100000 "$mirror" >"$archive.part"
{ head -c 100000 /dev/zero && tail -c +100001 "$mirror"; } >"$scratch/tail"  # so the first bytes can't come from it
CIFAR10_URL="file://$scratch/tail" run "$get"
expect 'a partial file: said' says 'resuming the download of'
expect 'a partial file: continued' same "$archive" "$mirror"

clear_data
mkdir -p -- "$project/data"
cp -- "$mirror" "$archive.part"
CIFAR10_URL=file:///nowhere run "$get"
expect 'a complete partial file: used at once' same "$archive" "$mirror"

for size in 100000 300000 400000; do  # too short, as long, too long
  clear_data
  mkdir -p -- "$project/data"
  head -c "$size" /dev/zero >"$archive.part"
  run "$get"
  expect "a foreign partial file of $size bytes: starts anew" same "$archive" "$mirror"
done

clear_data
CIFAR10_URL=file:///nowhere run "$get"
expect 'no mirror: exit code 3' [ "$status" = 3 ]
expect 'no mirror: said' says 'file:///nowhere could not be downloaded'
expect 'no mirror: nothing in place' lacks "$archive"

mkdir -p -- "$project/data"
head -c 1000 "$mirror" >"$archive.part"
CIFAR10_URL=http://127.0.0.1:9/archive run "$get"
expect 'no network: exit code 3' [ "$status" = 3 ]
expect 'no network: the partial file stays' [ "$(stat -c %s -- "$archive.part")" = 1000 ]
expect 'no network: said' says 'will be continued next time'

CIFAR10_DIR=$mirror run "$get"
expect 'CIFAR10_DIR: taken as it is' [ "$status $out" = "0 $mirror" ]
CIFAR10_DIR="$scratch/none" run "$get"
expect 'a CIFAR10_DIR that is not there: exit code 1' [ "$status" = 1 ]
expect 'a CIFAR10_DIR that is not there: said' says "CIFAR10_DIR names $scratch/none, which does not exist"

clear_data
bare_path
run "$get"
expect 'no curl: exit code 3' [ "$status" = 3 ]
expect 'no curl: said' says 'there is no curl'
finish
