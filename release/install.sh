#!/bin/sh
# Installs a released mux for this machine: downloads the archive, checks it against SHA256SUMS of the same release, puts
# the program into $MUX_BIN (default: ~/.local/bin). Nothing is installed when the checksum differs. No sudo.
#
# SHA256SUMS comes from where the archive comes from: it finds broken downloads, not a taken-over release. That is what the
# attestation is for: gh attestation verify ARCHIVE --repo @REPOSITORY@
set -eu

repository=@REPOSITORY@
version=@VERSION@
base=${MUX_RELEASE_URL:-https://github.com/$repository/releases/download/v$version}
bin=${MUX_BIN:-$HOME/.local/bin}

die() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

# Everything is in functions and called in the last line: half a script does nothing.
main() {
    case $(uname -s)/$(uname -m) in
        Linux/x86_64 | Linux/amd64) target=x86_64-unknown-linux-musl ;;
        Linux/aarch64 | Linux/arm64) target=aarch64-unknown-linux-musl ;;
        Darwin/*) target=universal-apple-darwin ;;
        *) die "no release for $(uname -s) on $(uname -m); build it: cargo install --locked --path ." ;;
    esac
    archive=mux-$version-$target.tar.gz
    place=$(mktemp -d "${TMPDIR:-/tmp}/mux-install.XXXXXX")
    trap 'rm -rf "$place"' EXIT
    download "$archive"
    download SHA256SUMS
    wanted=$(awk -v name="$archive" '$2 == name || $2 == "*" name { print $1 }' "$place/SHA256SUMS")
    [ -n "$wanted" ] || die "SHA256SUMS does not name $archive"
    found=$(checksum "$place/$archive")
    [ "$wanted" = "$found" ] || die "$archive is not what was released: its SHA-256 is $found, wanted is $wanted"
    tar -xzf "$place/$archive" -C "$place" "mux-$version-$target/mux" || die "cannot unpack $archive"
    mkdir -p "$bin"
    # Renamed into place, so that a running mux is not disturbed.
    cp "$place/mux-$version-$target/mux" "$bin/mux.new"
    chmod 755 "$bin/mux.new"
    mv -f "$bin/mux.new" "$bin/mux"
    echo "installed $bin/mux ($("$bin/mux" --version))"
    case :$PATH: in *:"$bin":*) ;; *) echo "$bin is not on PATH: export PATH=\"$bin:\$PATH\"" ;; esac
    echo "next: mux doctor; mux setup registers it with claude, codex and gemini"
}

download() {
    if command -v curl >/dev/null; then
        curl -fsSL --proto '=https,file' -o "$place/$1" "$base/$1"
    elif command -v wget >/dev/null; then
        wget -q -O "$place/$1" "$base/$1"
    else
        die "curl or wget is needed"
    fi || die "cannot download $base/$1"
}

checksum() {
    if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

main
