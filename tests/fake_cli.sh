#!/bin/sh
# Plays a cloud CLI from data. Linked into a test's PATH as claude, codex or gemini; `$0` tells which, and where the data is:
#   ../cli/NAME/N.stdout N.stderr N.exit    what the Nth call prints and returns
#   ../cli/NAME/N.sh                        what it does first, in its work directory (writes files, sleeps, ignores TERM)
#   ../calls/NAME.N.argv NAME.N.stdin       what it was given: one argument a line; stdin to its end
# A call that nobody recorded fails with 97.
name=${0##*/}
world=${0%/*}/..
n=1
# noclobber creates with O_EXCL: two calls at once get two numbers.
while ! (set -C && : >"$world/calls/$name.$n.argv") 2>/dev/null; do
    n=$((n + 1))
    [ "$n" -lt 100 ] || exit 98
done
for argument in "$@"; do
    printf '%s\n' "$argument"
done >"$world/calls/$name.$n.argv"
cat >"$world/calls/$name.$n.stdin"

played=$world/cli/$name/$n
known=
for part in "$played".*; do
    [ -e "$part" ] && known=yes
done
if [ -z "$known" ]; then
    echo "$name: call $n is not recorded" >&2
    exit 97
fi
[ ! -e "$played.sh" ] || . "$played.sh"
[ ! -e "$played.stdout" ] || cat "$played.stdout"
[ ! -e "$played.stderr" ] || cat "$played.stderr" >&2
[ ! -e "$played.exit" ] || exit "$(cat "$played.exit")"
exit 0
