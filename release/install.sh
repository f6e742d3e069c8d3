#!/bin/sh
# Installs a released mux for this machine: downloads the archive, checks it against SHA256SUMS of the same release, puts
# the program into $MUX_BIN (default: ~/.local/bin) and what man(1) and the shells read beside it. Nothing is installed when
# the checksum differs. No sudo. `--help` says the rest.
#
# Invariant: a page is this installer's if it is what the mux that is installed prints. Another is neither overwritten nor
# removed.
#
# SHA256SUMS comes from where the archive comes from: it finds broken downloads, not a taken-over release. That is what the
# attestation is for: gh attestation verify ARCHIVE --repo @REPOSITORY@
set -eu

repository=@REPOSITORY@
version=@VERSION@
base=${MUX_RELEASE_URL:-https://github.com/$repository/releases/download/v$version}
bin=${MUX_BIN:-$HOME/.local/bin}
data_home=$HOME/.local/share
case ${XDG_DATA_HOME-} in /*) data_home=$XDG_DATA_HOME ;; esac # a relative one counts as not set
bash=$data_home/bash-completion/completions/mux
fish=$data_home/fish/vendor_completions.d/mux.fish
zsh=$data_home/zsh/site-functions/_mux
man=$(dirname -- "$bin")/share/man/man1/mux.1

usage() {
    cat <<TEXT
usage: sh install.sh [--uninstall | --help]        through a pipe: … | sh -s -- --uninstall

  --uninstall  take mux out of claude, codex and gemini, and remove what the installer wrote; a page that is not what
               the installed mux prints is kept and named
  --help       this text

Writes (MUX_BIN=DIR chooses another directory for the program):
  $bin/mux
  $man
  $bash
  $fish
  $zsh
TEXT
}

die() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

# Everything is in functions and called in the last line: half a script does nothing.
main() {
    case ${1-} in
        '') install ;;
        --uninstall) uninstall ;;
        -h | --help) usage ;;
        *)
            printf 'install: unknown option: %s\n' "$1" >&2
            usage >&2
            exit 2 ;;
    esac
}

install() {
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
    # The mux that is replaced knows which pages were written with it.
    others=$(each_page name_other)
    # Renamed into place, so that a running mux is not disturbed.
    cp "$place/mux-$version-$target/mux" "$bin/mux.new"
    chmod 755 "$bin/mux.new"
    mv -f "$bin/mux.new" "$bin/mux"
    echo "installed $bin/mux ($("$bin/mux" --version))"
    each_page write_page
    [ -z "$(command -v zsh)" ] || echo "for zsh, before compinit in ~/.zshrc:  fpath=(${zsh%/*} \$fpath)"
    case :$PATH: in *:"$bin":*) ;; *) echo "$bin is not on PATH: export PATH=\"$bin:\$PATH\"" ;; esac
    echo "next: mux doctor; mux setup registers it with claude, codex and gemini"
}

uninstall() {
    [ -x "$bin/mux" ] || die "there is no $bin/mux"
    "$bin/mux" setup --remove </dev/null || echo "take the MCP server mux out by hand where it says FAILED"
    each_page remove_page
    rm -f "$bin/mux"
    echo "removed $bin/mux"
    echo "left: the configuration, the ledger and saved runs"
}

# each_page DO: calls DO PATH ARGUMENT... for each page and what makes mux print it.
each_page() {
    "$1" "$bash" completions bash
    "$1" "$fish" completions fish
    "$1" "$zsh" completions zsh
    "$1" "$man" man
}

# is_ours PATH ARGUMENT...: whether a page is what the mux in place prints.
is_ours() {
    ours=$1
    shift
    [ -x "$bin/mux" ] && "$bin/mux" "$@" </dev/null 2>/dev/null | cmp -s - "$ours"
}

# name_other PATH ARGUMENT...: prints the path of a page that somebody else has written.
name_other() { if [ -e "$1" ] && ! is_ours "$@"; then echo "$1"; fi; }

# write_page PATH ARGUMENT...: the program is in place, so that a page that cannot be written is no failure.
write_page() {
    page=$1
    if [ -n "$(name_other "$@")" ] && printf '%s\n' "$others" | grep -q -x -F -e "$page"; then
        echo "$page is not of this installer and stays as it is"
        return
    fi
    shift
    if mkdir -p "${page%/*}" && "$bin/mux" "$@" </dev/null >"$page.new" && mv -f "$page.new" "$page"; then
        echo "installed $page"
    else
        rm -f "$page.new"
        echo "cannot write $page"
    fi
}

remove_page() {
    [ -e "$1" ] || return 0
    if is_ours "$@"; then
        rm -f "$1"
        echo "removed $1"
    else
        echo "kept $1: it is not what mux prints"
    fi
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

main "$@"
