#!/bin/sh
# Compiles with the oldest versions of the ten dependencies that Cargo.toml allows, in a copy: a number there is a promise.
# The choice of versions is an unstable option of cargo, hence RUSTC_BOOTSTRAP for that one command.
set -eu

cd "$(dirname "$0")/.."
place=$(mktemp -d "${TMPDIR:-/tmp}/mux-oldest.XXXXXX")
trap 'rm -rf "$place"' EXIT
cp -r Cargo.toml build.rs README.md config src "$place/"
cd "$place"
RUSTC_BOOTSTRAP=1 cargo -Zdirect-minimal-versions generate-lockfile
cargo tree --locked --depth 1 --edges normal
CARGO_TARGET_DIR=$place/target cargo check --locked
