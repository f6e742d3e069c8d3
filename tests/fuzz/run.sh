#!/bin/sh
# tests/fuzz/run.sh TARGET [SECONDS]: reads random bytes with one of the readers (src/main.rs lists them), guided by coverage.
# Stable Rust and a C++ compiler suffice. Seeds are the fixtures of the tests; what breaks a reader is left in
# target/fuzz/found and, once it is mended, belongs into a test.
set -eu

target=${1:?which one: reply, patch, config, rpc, provider, names, stream}
seconds=${2:-60}
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
out=$root/target/fuzz

case $target in
    reply) seeds='replies edits evil' ;;
    patch) seeds=edits ;;
    config) seeds=config ;;
    rpc) seeds='rpc' ;;
    provider) seeds=cli ;;
    stream) seeds='run http' ;;
    *) seeds='' ;;
esac
corpus=$out/corpus/$target seeds_here=seeds/$target
mkdir -p "$corpus" "$out/found"
[ -d "$seeds_here" ] || seeds_here=
for folder in $seeds; do
    [ -d "$root/fixtures/$folder" ] || continue
    find "$root/fixtures/$folder" -type f -size -64k | while read -r file; do
        cp "$file" "$corpus/$(echo "$file" | cksum | cut -d ' ' -f 1)"
    done
done

# What cargo-fuzz passes, without its sanitizers, which need nightly: `unsafe` is forbidden here, so they have nothing to find.
RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing" \
    cargo build --release --locked --target-dir "$out" --target "$(rustc -vV | sed -n 's/^host: //p')"
binary=$(echo "$out"/*/release/mux-fuzz)
MUX_FUZZ=$target exec "$binary" -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=2048 \
    -artifact_prefix="$out/found/$target-" -print_final_stats=1 "$corpus" ${seeds_here:+"$seeds_here"}
