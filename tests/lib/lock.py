#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A process with a lock, on the host or in a guest: lock.py try|hold|wait posix|ofd|flock FILE

try     takes the lock and ends: status 0, or 1 where it is another's
hold    the same, but says "held" and keeps it until its standard input ends
wait    says "waiting", waits for the lock, and goes on like hold

lock.py deadlock FILE: two processes that each wait for what the other has; says what came of it.
"""
import errno
import fcntl
import os
import struct
import sys

F_OFD_SETLK, F_OFD_SETLKW = 37, 38


def take(kind, fd, wait):
    if kind == "flock":
        fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    elif kind == "posix":
        fcntl.lockf(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    else:
        whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(fd, F_OFD_SETLKW if wait else F_OFD_SETLK, whole)


def byte(fd, at, wait=False):
    """Locks one byte: "got it" or what is wrong."""
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, at)
    except OSError as e:
        return "EDEADLK" if e.errno == errno.EDEADLK else os.strerror(e.errno)
    return "got it"


def deadlock(path):
    mine, theirs = 0, 1
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    fd = os.open(path, os.O_RDWR)
    if child == 0:
        mine, theirs = theirs, mine
    byte(fd, mine)
    if child == 0:
        os.write(ready[1], b"x")
        os.read(go[0], 1)
    else:
        os.read(ready[0], 1)
        os.write(go[1], b"x")
    print(byte(fd, theirs, wait=True), flush=True)
    os.close(fd)
    if child:
        os.waitpid(child, 0)


def main():
    if sys.argv[1] == "deadlock":
        return deadlock(sys.argv[2])
    how, kind, path = sys.argv[1:]
    fd = os.open(path, os.O_RDWR)
    if how == "wait":
        print("waiting", flush=True)
    try:
        take(kind, fd, how == "wait")
    except OSError as e:
        if e.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return 1
    if how != "try":
        print("held", flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
