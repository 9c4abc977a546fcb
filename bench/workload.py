# SPDX-License-Identifier: BSD-2-Clause
"""Runs inside a guest: file operations on the shares /mnt/0 to /mnt/(N - 1), timed.

    workload.py ROUNDS N

For each operation on each share it prints `begin SHARE` and `end SHARE NAME COUNT SECONDS`, tabs
between, and waits for a line on standard input after each, so that whoever reads can sample the
server in between.
"""
import os
import sys
import time

FILES = 200
BIG = 32 << 20
SMALL_IOS = 400


def drop(what):
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write(what)


def say(text):
    print(text, flush=True)
    sys.stdin.readline()


def names():
    return [f"f{i}" for i in range(FILES)]


def create():
    for name in names():
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    return FILES


def stat_cold():
    for name in names():
        os.stat(name)
    return FILES


def open_close():
    for name in names():
        os.close(os.open(name, os.O_RDONLY))
    return FILES


def scan():
    return sum(1 for e in os.scandir(".") if e.stat())


def rename():
    for name in names():
        os.rename(name, "g" + name)
    for name in names():
        os.rename("g" + name, name)
    return 2 * FILES


def mkdir_rmdir():
    for i in range(FILES // 2):
        os.mkdir("d")
        os.rmdir("d")
    return FILES // 2


def unlink():
    for name in names():
        os.unlink(name)
    return FILES


def write_4k():
    data = b"x" * 4096
    fd = os.open("small", os.O_CREAT | os.O_WRONLY)
    for i in range(SMALL_IOS):
        os.pwrite(fd, data, i * 4096)
    os.close(fd)
    return SMALL_IOS


def write_1m():
    data = b"x" * (1 << 20)
    fd = os.open("big", os.O_CREAT | os.O_WRONLY)
    for at in range(0, BIG, 1 << 20):
        os.pwrite(fd, data, at)
    os.close(fd)
    return BIG >> 20


def read_4k():
    fd = os.open("big", os.O_RDONLY)
    for i in range(SMALL_IOS):
        os.pread(fd, 4096, i * 7919 % (BIG // 4096) * 4096)
    os.close(fd)
    return SMALL_IOS


def read_1m():
    fd = os.open("big", os.O_RDONLY)
    for at in range(0, BIG, 1 << 20):
        os.pread(fd, 1 << 20, at)
    os.close(fd)
    return BIG >> 20


# name, what the guest forgets before it (drop_caches), operation
PHASES = [
    ("create", None, create),
    ("stat, cold", "2", stat_cold),
    ("open+close", None, open_close),
    ("scandir+stat, cold", "2", scan),
    ("rename", None, rename),
    ("mkdir+rmdir", None, mkdir_rmdir),
    ("unlink", None, unlink),
    ("write 4 KiB", None, write_4k),
    ("write 1 MiB", None, write_1m),
    ("read 4 KiB random, cold", "1", read_4k),
    ("read 1 MiB, cold", "1", read_1m),
]


def main():
    rounds, shares = int(sys.argv[1]), [int(n) for n in range(int(sys.argv[2]))]
    # A round that does not count lets both daemons and the guest warm up.
    for n in range(rounds + 1):
        for name, forget, operation in PHASES:
            for share in shares[::-1 if n % 2 else 1]:
                os.chdir(f"/mnt/{share}")
                if forget:
                    drop(forget)
                if n > 0:
                    say(f"begin\t{share}")
                start = time.monotonic()
                count = operation()
                if n > 0:
                    say(f"end\t{share}\t{name}\t{count}\t{time.monotonic() - start}")
        for share in shares:
            for name in ("small", "big"):
                os.unlink(f"/mnt/{share}/{name}")


main()
