#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The seccomp profile out of the source: tools/syscalls.py FILE... prints its C table.

A file says in comments, beside the functions that make them, which system calls it needs once a
front-end is being served:

    #syscalls: openat2 statx              always
    #syscalls(xattr): getxattr setxattr   with the options that use this group
    #syscalls: ioctl:1=FS_IOC_GETFLAGS    only where argument 1 (from 0) is this constant
    #syscalls: mmap:2&PROT_EXEC=0         only where these bits of argument 2 are this constant

Arguments are compared in their lower 32 bits; several lines for one call add up. A system call
that this machine's architecture does not have is left out. Constants are those of the headers
that src/daemon/seccomp.c includes.
"""
import re
import sys

LINE = re.compile(r"#syscalls(?:\(([a-z0-9-]+)\))?:\s*(.*)")
CALL = re.compile(r"^([a-z0-9_]+)(?::([0-5])(?:&(\w+))?=(\w+))?$")


def declared(path):
    """(group, system call, argument, mask, value) of each word of each declaration in a file."""
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            m = LINE.search(line)
            for word in m.group(2).replace("*/", "").split() if m else []:
                call = CALL.match(word)
                if not call:
                    raise SystemExit(f"{path}:{number}: '{word}' declares no system call")
                yield (m.group(1) or "always", *call.groups())


def collect(paths):
    return sorted({d for p in paths for d in declared(p)}, key=lambda d: [x or "" for x in d])


def main():
    print("/* Made by tools/syscalls.py from the declarations in the source. */")
    for group, name, arg, mask, value in collect(sys.argv[1:]):
        print(f"#ifdef __NR_{name}")
        print(f'PROFILE_ENTRY("{group}", {name}, {arg or -1}, {mask or "0xffffffff"}, {value or 0})')
        print("#endif")


if __name__ == "__main__":
    main()
