#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The static library for programs: archive.sh OUTPUT INPUT.a CC...
# One object of all, in which only what the API exports is global: hidden symbols are hidden to who
# links a shared library, but those of a static one meet the program's own.
set -e
out=$1
in=$2
shift 2
"$@" -r -nostdlib -o "$out.o" -Wl,--whole-archive "$in" -Wl,--no-whole-archive
objcopy --localize-hidden "$out.o"
rm -f "$out"
ar rcsD "$out" "$out.o"
rm -f "$out.o"
