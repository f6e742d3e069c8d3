#!/bin/sh
# Fills install.sh and mux.rb in for one release: release/fill.sh OWNER/NAME VERSION DIST. DIST holds SHA256SUMS and gets
# the two files. Fails when a checksum is missing.
set -eu

here=$(dirname "$0") repository=$1 version=$2 dist=$3
set -- -e "s|@REPOSITORY@|$repository|g" -e "s|@VERSION@|$version|g"
for target in universal-apple-darwin x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do
    sum=$(awk -v name="mux-$version-$target.tar.gz" '$2 == name { print $1 }' "$dist/SHA256SUMS")
    [ -n "$sum" ] || { echo "fill: SHA256SUMS names no archive for $target" >&2; exit 1; }
    set -- "$@" -e "s|@SHA256_$(echo "$target" | tr a-z- A-Z_)@|$sum|g"
done
for file in install.sh mux.rb; do
    sed "$@" "$here/$file" >"$dist/$file"
done
! grep -n '@[A-Z0-9_]*@' "$dist/install.sh" "$dist/mux.rb"
