#!/bin/sh
# Fails when a binary is larger than its budget: release/size.sh BINARY. 1.5 MB were asked for and are not reached. The
# static x86_64 binary had 3 130 480 bytes at b06535d; git hooks and more terminal came after it. To be set to the measured
# size and 2 % at each release, so that a commit which adds a lot has to say so here.
set -eu

budget=3600000
bytes=$(wc -c <"$1" | tr -d ' ')
echo "$1: $bytes bytes, $budget are the most"
[ "$bytes" -le "$budget" ]
