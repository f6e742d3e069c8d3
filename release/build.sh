#!/bin/sh
# Builds the released binary for one target (default: this machine's) and packs it into
# target/dist/mux-VERSION-TARGET.tar.gz. On Linux the binary is linked statically. `universal-apple-darwin` is both of
# Apple's processors in one file.
#
# The same commit, compiler and linker give the same bytes in any directory: paths of this machine are cut out of the
# binary, and the archive has no times, owners or random order. `release/same.sh` shows it.
#
# On Linux the standard library is compiled too, for size and without the part that reads debug information for a backtrace
# (a stripped program has none). That is an option of cargo's that may change, so it is allowed for this one command, and the
# workflow names one version of Rust. Bytes of the static x86_64 binary with Rust 1.95, each line with those above it:
#
#   glibc                                               3 400 880
#   musl                                                2 716 384
#   packed relocations (musl reads them since 1.2.4)    2 618 000
#   standard library compiled for size                  2 333 168
#   (2 394 608 with what mux has learnt since)
#   no unwinder (build.rs)                              2 341 328
#
# Not taken: panics without a message (`panic=immediate-abort`), 2 185 680 before the unwinder went: a crash has to say where
# it was. LLVM's machine outliner, 57 KB less (a second pass of it saves nothing), for 6 to 13 % more instructions. lld, 7 KB
# less, and its `--icf=all`, another 16: too little for options that nobody else ships with. What the same flags make of
# others: `hello` 129 256, a program that reads YAML, posts JSON with ureq and reads the answer 497 968, both with the
# unwinder. So 1.8 MB are mux's own: 2900 functions, of which the largest 60 have half of the code.
#
# It costs 4 to 11 % more instructions in reading the ledger and a reply (`tests/bench/bench.py counts`), and saves as much
# in a short run.
set -eu

cd "$(dirname "$0")/.."
host=$(rustc -vV | sed -n 's/^host: //p')
target=${1:-$host}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
flags="--remap-path-prefix=$cargo_home=/cargo --remap-path-prefix=$(pwd)=/mux"
unset std
case $target in
    *-linux-*)
        sources=$(rustc --print sysroot)/lib/rustlib/src/rust
        [ -d "$sources" ] || { echo "build: rustup component add rust-src" >&2; exit 1; }
        flags="$flags --remap-path-prefix=$sources=/rust -C target-feature=+crt-static"
        std='-Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size'
        export RUSTC_BOOTSTRAP=1 ;;
esac
case $target in *-musl) flags="$flags -C link-arg=-Wl,-z,pack-relative-relocs" ;; esac

# build TARGET: builds for one target; prints where the binary is.
build() {
    # shellcheck disable=SC2086 # two options or none
    RUSTFLAGS=$flags cargo build --release --locked --target "$1" ${std-} >&2
    echo "${CARGO_TARGET_DIR:-target}/$1/release/mux"
}
case $target in
    universal-apple-darwin)
        binary=target/mux-universal
        arm=$(build aarch64-apple-darwin)
        intel=$(build x86_64-apple-darwin)
        lipo -create -output "$binary" "$arm" "$intel" ;;
    *) binary=$(build "$target") ;;
esac

name=mux-$version-$target
rm -rf "target/dist/$name"
mkdir -p "target/dist/$name"
cp "$binary" "target/dist/$name/mux"
cp LICENSE-MIT LICENSE-APACHE "target/dist/$name/"
cd target/dist
chmod 755 "$name" "$name/mux"
chmod 644 "$name"/LICENSE-*
TZ=UTC touch -t 202001010000 "$name/mux" "$name"/LICENSE-* "$name"
# The options for owners differ between GNU tar and macOS's.
if tar --version 2>/dev/null | grep -q GNU; then owner='--owner=0 --group=0 --numeric-owner'; else owner='--uid 0 --gid 0'; fi
# shellcheck disable=SC2086 # two options or four
tar --format ustar $owner -cf "$name.tar" "$name/LICENSE-APACHE" "$name/LICENSE-MIT" "$name/mux"
gzip -9 -n -f "$name.tar"
rm -r "$name"
echo "target/dist/$name.tar.gz"
