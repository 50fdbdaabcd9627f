#!/usr/bin/env bash
# Prints the path of a CIFAR-10 archive or folder in the binary format, downloading the official archive (170 MB) to
# data/ if need be.
#
#   CIFAR10_DIR  a folder or archive to use as it is
#   CIFAR10_URL  a mirror of the archive; file:// works too
#   CIFAR10_MD5  the checksum of a mirror's own archive
#
# Exit codes: 0 the path is printed; 1 something is wrong, one sentence says what; 3 the data cannot be had from here.
set -euo pipefail
top=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
url=${CIFAR10_URL:-https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz}
md5=${CIFAR10_MD5:-c32a1d4ab5d03f1284b67883e8d87530}
archive=$top/data/cifar-10-binary.tar.gz
part=$archive.part

say() { printf 'data: %s\n' "$*" >&2; }
verified() { [[ -f $1 ]] && [[ $(md5sum <"$1") == "$md5 "* ]]; }
found() {
  printf '%s\n' "$archive"
  exit 0
}

# Appends to what is already in the partial file.
download() {
  local progress=(--silent --show-error)
  [[ ! -t 2 ]] || progress=(--progress-bar)
  curl --fail --location "${progress[@]}" --connect-timeout 20 --retry 3 --continue-at - --output "$part" -- "$url"
}

if [[ -n ${CIFAR10_DIR:-} ]]; then
  if [[ ! -e $CIFAR10_DIR ]]; then
    say "CIFAR10_DIR names $CIFAR10_DIR, which does not exist"
    exit 1
  fi
  printf '%s\n' "$CIFAR10_DIR"
  exit 0
fi

if [[ -f $archive ]]; then
  ! verified "$archive" || found
  mv -f -- "$archive" "$archive.bad"
  say "$archive has not the md5 $md5; it is now $archive.bad and will not be used (--data takes any archive as it is)"
fi

mkdir -p -- "$top/data"
if [[ -s $part ]] && verified "$part"; then
  mv -f -- "$part" "$archive"
  found
fi
if ! command -v curl >/dev/null; then
  say "there is no curl to download $url with"
  exit 3
fi

resumed=no
if [[ -s $part ]]; then
  resumed=yes
  say "resuming the download of $url at byte $(stat -c %s -- "$part")"
else
  say "downloading $url"
fi
status=0
download || status=$?
# A partial file that the server can't continue, or that continued to something else, is worth one fresh start.
if [[ $resumed == yes ]]; then
  case $status in
    0) ! verified "$part" || { mv -f -- "$part" "$archive" && found; } ;;&
    0 | 22 | 33 | 36)
      say "the partial file does not fit the mirror's; starting anew"
      rm -f -- "$part"
      status=0
      download || status=$?
      ;;
  esac
fi
if [[ $status == 23 ]]; then
  say "$part could not be written; is there room on the disk?"
  exit 1
elif [[ $status != 0 ]]; then
  kept=
  [[ ! -s $part ]] || kept="; $part will be continued next time"
  say "$url could not be downloaded (curl's exit code $status)$kept"
  exit 3
fi
if ! verified "$part"; then
  mv -f -- "$part" "$archive.bad"
  say "what $url sent has not the md5 $md5; it is kept as $archive.bad and will not be used"
  exit 1
fi
mv -f -- "$part" "$archive"
found
