#!/bin/sh
# Builds the commit that is checked out twice, in two directories with two cargo homes, and compares the binaries byte
# for byte. Needs git, the crates in cargo's cache, 1 GB below $TMPDIR and some minutes.
set -eu

cd "$(dirname "$0")/.."
place=$(mktemp -d "${TMPDIR:-/tmp}/mux-same.XXXXXX")
trap 'rm -rf "$place"' EXIT
unset CARGO_TARGET_DIR
one=$place/one two=$place/a/longer/way/to/two
mkdir -p "$place/a/longer/way/to" "$place/home"
git clone -q . "$one"
git clone -q . "$two"
"$one/release/build.sh" "$@"
# With all crates that the first one wanted, those of the standard library among them.
cp -r "${CARGO_HOME:-$HOME/.cargo}/registry" "$place/home/"
CARGO_HOME=$place/home RUSTUP_HOME=${RUSTUP_HOME:-$HOME/.rustup} CARGO_NET_OFFLINE=true "$two/release/build.sh" "$@"
for archive in "$one"/target/dist/*.tar.gz; do
    cmp "$archive" "$two/target/dist/$(basename "$archive")"
    echo "the same bytes: $(basename "$archive")"
done
