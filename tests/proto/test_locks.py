# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=240
"""Locks: between owners, daemons and a process of the host; waiting, and each way that it ends;
bounds; forged requests."""

import errno
import fcntl
import os
import re
import resource
import signal
import struct

import vu
from daemon import Daemon, make_share, sanitizer
from fuse import INIT_FLAGS, MAX64, ROOT, header, init_in
from harness import at_end, case, check, equal, errname, main, until
from ring import WRITE
from world import World

(EAGAIN, EBADF, EDEADLK, EINTR, EINVAL, EIO, ENOLCK, ENOSYS, ESTALE) = (
    -getattr(errno, n) for n in ("EAGAIN", "EBADF", "EDEADLK", "EINTR", "EINVAL", "EIO", "ENOLCK",
                                 "ENOSYS", "ESTALE"))
FLAGS = INIT_FLAGS | 1 << 1 | 1 << 10  # POSIX_LOCKS, FLOCK_LOCKS
FLOCK = 1
READ, WRITELK, UNLOCK = fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK
END = (1 << 63) - 1
O_RDONLY, O_WRONLY, O_RDWR = 0, 1, 2
F_OFD_SETLK = 37
RANGES, WAITS = 16384, 256
OWNERS = 4096  # or fewer: an eighth of the descriptors


def lk(fh, owner, kind=WRITELK, start=0, end=END, pid=77, flags=0):
    return struct.pack("<4Q4I", fh, owner, start & MAX64, end & MAX64, kind, pid, flags, 0)


class Guest:
    """A guest with the known file open, and what its kernel would send."""

    def __init__(self, *options, share=None, requests=1, size=128, both=True):
        locks = ("--posix-lock", "--flock") if both else ()
        self.w = World(*locks, requests=requests, size=size, init=False,
                       daemon=Daemon(*locks, *options, share=share))
        self.fs, self.daemon = self.w.fs, self.w.daemon
        self.fs.init(flags=FLAGS)
        self.node = self.fs.lookup("file").nodeid
        self.fh = self.open()
        self.path = os.path.join(self.daemon.share, "file")

    def open(self, flags=O_RDWR):
        return self.fs.open(self.node, flags)

    def set(self, owner, *more, want=0, fh=None, **kw):
        r = self.fs.call("SETLK", self.node, lk(fh or self.fh, owner, *more, **kw), 16)
        equal(errname(r.error), errname(want), f"SETLK of {owner:#x} {more}")

    def get(self, owner, *more, fh=None, **kw):
        """(type, start, end, pid) of the lock in the way; None where there is none."""
        data = self.fs.good("GETLK", self.node, lk(fh or self.fh, owner, *more, **kw), 40)
        start, end, kind, pid = struct.unpack("<QQII", data)
        return None if kind == UNLOCK else (kind, start, end, pid)

    def wait(self, owner, *more, fh=None, queue=1, **kw):
        """Starts a SETLKW; a token for finish()."""
        return self.fs.start("SETLKW", self.node, lk(fh or self.fh, owner, *more, **kw), 16,
                             queue=queue)

    def finish(self, token, want=0, what="SETLKW"):
        equal(errname(self.fs.finish(token).error), errname(want), what)

    def waits(self, n):
        """Until so many threads wait."""
        until(f"{n} waits", lambda: self.threads() == n)

    def threads(self):
        n = 0
        for tid in os.listdir(f"/proc/{self.daemon.pid}/task"):
            try:
                with open(f"/proc/{self.daemon.pid}/task/{tid}/comm") as f:
                    n += f.read() == "lock wait\n"
            except OSError:
                pass  # it has ended
        return n

    def flush(self, owner, fh=None):
        self.fs.good("FLUSH", self.node, struct.pack("<QIIQ", fh or self.fh, 0, 0, owner), 16)

    def blocked(self, token):
        """The request was not answered yet, though its ring was served since."""
        self.fs.getattr()
        q, head = token[:2]
        q.collect()
        check(head not in q.done, "a lock was granted that another holds")


def host_lock(path, kind, start=0, length=0, cmd=F_OFD_SETLK):
    """A lock of an open file description of this process: its descriptor, or -errno."""
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(fd, cmd, struct.pack("hhqqi4x", kind, 0, start, length, 0))
    except OSError as e:
        os.close(fd)
        return -e.errno
    return fd


@case("without the options: no flags, and ENOSYS")
def without():
    g = Guest(both=False)
    for option, flag, other in (("--posix-lock", 1 << 1, FLOCK), ("--flock", 1 << 10, 0)):
        w = World(option, init=False)
        equal(w.fs.init(flags=FLAGS)[3] & (1 << 1 | 1 << 10), flag, f"flags with {option}")
        node = w.fs.lookup("file").nodeid
        fh = w.fs.open(node)
        w.fs.fails(ENOSYS, "SETLK", node, lk(fh, 1, READ, flags=other))
        w.fs.good("SETLK", node, lk(fh, 1, READ, flags=FLOCK - other))
        w.check()
    for op in ("GETLK", "SETLK", "SETLKW"):
        for flags in (0, FLOCK):
            g.fs.fails(ENOSYS, op, g.node, lk(g.fh, 1, READ, flags=flags))
    g.w.check()


@case("owners of one guest exclude each other; GETLK names the process")
def owners():
    g = Guest()
    g.set(1, WRITELK, 10, 19, pid=1001)
    g.set(1, READ, 20, 29, pid=1001)
    for kind, start, end, found in (
            (READ, 0, 9, None), (WRITELK, 0, 9, None), (WRITELK, 30, END, None),
            (READ, 19, 19, (WRITELK, 10, 19, 1001)), (READ, 20, 40, None),
            (WRITELK, 20, 40, (READ, 20, 29, 1001)), (WRITELK, 0, END, (WRITELK, 10, 19, 1001))):
        equal(g.get(2, kind, start, end), found, f"GETLK {kind} {start} {end}")
        g.set(2, kind, start, end, want=EAGAIN if found else 0)
        g.set(2, UNLOCK)
    equal(g.get(1), None, "in the owner's own way")
    # Type F_UNLCK asks for the owner's own.
    equal(g.get(1, UNLOCK, 15, 50), (WRITELK, 10, 19, 1001), "own lock")
    equal(g.get(1, UNLOCK, 30, 50), None, "no own lock")
    g.set(1, UNLOCK, 12, 14)
    g.set(2, WRITELK, 12, 14)
    g.set(2, WRITELK, 11, 14, want=EAGAIN)
    g.set(1, WRITELK, 14, 20, want=EAGAIN)
    equal(g.get(1, WRITELK), (WRITELK, 12, 14, 77), "in the way of 1")
    g.w.check()


@case("two daemons and a process of the host exclude each other")
def foreign():
    share = make_share()
    a, b = Guest(share=share), Guest(share=share)
    a.set(1, WRITELK, 0, 9)
    b.set(1, WRITELK, 0, 9, want=EAGAIN)
    equal(b.get(1, READ, 5, 100), (WRITELK, 0, 9, 0), "seen by the other guest")
    equal(host_lock(a.path, WRITELK, 5, 1), EAGAIN, "a process of the host")
    fd = host_lock(a.path, READ, 100, 0)
    at_end(os.close, fd)
    for g in (a, b):
        g.set(9, WRITELK, 200, 201, want=EAGAIN)
        g.set(9, READ, 200, 201)
        equal(g.get(9, WRITELK, 300, 400), (READ, 100, END, 0), "the host's")
    # One of a process, whose number is nobody's affair.
    other = os.open(a.path, os.O_RDWR)
    at_end(os.close, other)
    fcntl.lockf(other, fcntl.LOCK_EX, 10, 50)
    equal(b.get(9, READ, 55, 55), (WRITELK, 50, 59, 0), "of a process of the host")
    token = b.wait(1, WRITELK, 0, 9)
    b.waits(1)
    b.blocked(token)
    a.set(1, UNLOCK)
    b.finish(token)
    a.set(1, READ, 0, 0, want=EAGAIN)
    fd = host_lock(a.path, WRITELK, 1000, 10)
    equal(fd, EAGAIN, "below a reader")
    for g in (a, b):
        g.w.check()


@case("flock between handles, daemons and a process of the host")
def flocks():
    share = make_share()
    a, b = Guest(share=share), Guest(share=share)
    first, second = a.open(O_RDONLY), a.open()
    a.set(0, WRITELK, fh=first, flags=FLOCK)
    a.set(0, READ, fh=second, flags=FLOCK, want=EAGAIN)
    b.set(0, READ, flags=FLOCK, want=EAGAIN)
    fd = os.open(a.path, os.O_RDWR)
    at_end(os.close, fd)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        check(False, "the host took a lock that a guest holds")
    except BlockingIOError:
        pass
    # Both kinds do not meet.
    a.set(7)
    a.set(7, UNLOCK)
    tokens = [a.wait(0, READ, fh=second, flags=FLOCK), b.wait(0, READ, flags=FLOCK)]
    a.waits(1)
    b.waits(1)
    a.set(0, UNLOCK, fh=first, flags=FLOCK)
    a.finish(tokens[0])
    b.finish(tokens[1])
    a.set(0, WRITELK, fh=first, flags=FLOCK, want=EAGAIN)
    a.fs.release(a.node, second)
    b.fs.release(b.node, b.fh)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    token = a.wait(0, WRITELK, fh=first, flags=FLOCK)
    a.waits(1)
    fcntl.flock(fd, fcntl.LOCK_UN)
    a.finish(token)
    a.w.check()


@case("FLUSH drops its owner's, RELEASE what was taken through the handle")
def dropped():
    g = Guest()
    other = g.open()
    g.set(1, WRITELK, 0, 9)
    g.set(2, WRITELK, 10, 19, fh=other)
    g.set(3, WRITELK, 20, 29, fh=other)
    fds = g.daemon.fds()
    g.flush(9)
    g.flush(1, other)  # another handle of the file, as with POSIX
    equal(g.get(99), (WRITELK, 10, 19, 77), "after FLUSH")
    g.flush(1)
    g.fs.release(g.node, other)
    equal(g.get(99), None, "after RELEASE")
    equal(g.daemon.fds(), fds - 4, "descriptors")
    g.set(99)
    g.fs.release(g.node, g.fh)
    fd = host_lock(g.path, WRITELK)
    check(fd >= 0, "the host's lock after the last RELEASE")
    os.close(fd)
    g.w.check()


@case("a lock for writing after one for reading, through another handle")
def upgrade():
    g = Guest()
    reader = g.open(O_RDONLY)
    g.set(1, READ, 0, 9, fh=reader)
    g.set(1, READ, 20, 29, fh=reader)
    g.set(1, WRITELK, 0, 9, fh=reader, want=EBADF)
    g.set(2, READ, 0, 100)
    g.set(1, WRITELK, 40, 49, want=EAGAIN)
    g.set(2, UNLOCK)
    g.set(1, WRITELK, 5, 24)
    equal(g.get(9, READ), (WRITELK, 5, 24, 77), "for writing")
    equal(g.get(9, WRITELK, 0, 4), (READ, 0, 4, 77), "still for reading")
    equal(g.get(9, WRITELK, 25, 99), (READ, 25, 29, 77), "still for reading")
    equal(host_lock(g.path, WRITELK, 29, 1), EAGAIN, "on the host")
    # One who waits for reading holds up such a change: it is refused, not forgotten.
    g.set(3, WRITELK, 60, 69)
    g.set(4, READ, 70, 70, fh=reader)
    token = g.wait(4, READ, 60, 60, fh=reader)
    g.waits(1)
    g.set(4, WRITELK, 80, 80, want=ENOLCK)
    g.set(3, UNLOCK)
    g.finish(token)
    g.set(4, WRITELK, 80, 80)
    writer = g.open(O_WRONLY)
    g.set(5, WRITELK, 90, 90, fh=writer)
    g.w.check()


@case("an owner with a reader's handle alone does not open the file for writing")
def readers():
    g = Guest()
    reader = g.open(O_RDONLY)
    g.set(1, READ, fh=reader)
    found = []
    for fd in os.listdir(f"/proc/{g.daemon.pid}/fd"):
        with open(f"/proc/{g.daemon.pid}/fdinfo/{fd}") as f:
            text = f.read()
        # Its name there is one in the sandbox.
        if "lock:" in text and os.path.samefile(f"/proc/{g.daemon.pid}/fd/{fd}", g.path):
            found.append(int(text.split("flags:")[1].split()[0], 8) & 3)
    equal(found, [O_RDONLY], "access of the description that has the lock")


def storm(g, n, queue=1):
    """n owners wait for what owner 1 has."""
    tokens = [g.wait(100 + i, queue=queue) for i in range(n)]
    g.waits(n)
    return tokens


@case("an unlock on the same queue while 200 wait; then each in its turn")
def many_wait():
    g = Guest(size=1024)
    g.set(1)
    tokens = storm(g, 200)
    g.w.check()
    g.set(1, UNLOCK)
    left = dict(enumerate(tokens))
    while left:
        q = tokens[0][0]
        until("one more has the lock",
              lambda: q.collect() or any(t[1] in q.done for t in left.values()))
        ready = [i for i, t in left.items() if t[1] in q.done]
        equal(len(ready), 1, "who have it at a time")
        g.finish(left.pop(ready[0]))
        g.set(100 + ready[0], UNLOCK)
    g.waits(0)
    equal(g.get(9), None, "in the end")
    g.w.check()


@case("deadlocks: of two, of three, across files; not where none is")
def deadlocks():
    g = Guest()
    for i in (1, 2, 3):
        g.set(i, WRITELK, i, i)
    first = g.wait(1, WRITELK, 2, 2)
    g.waits(1)
    g.finish(g.wait(2, WRITELK, 1, 1), EDEADLK, "1 for 2 and 2 for 1")
    second = g.wait(2, WRITELK, 3, 3)
    g.waits(2)
    g.finish(g.wait(3, WRITELK, 0, 1), EDEADLK, "1 for 2, 2 for 3, 3 for 1")
    # The same through another file, one that is only waited for.
    node = g.fs.create("other")[0].nodeid
    fh = g.fs.open(node, O_RDWR)
    g.fs.good("SETLK", node, lk(fh, 3))
    outside = g.fs.start("SETLKW", node, lk(fh, 4), 16)
    g.waits(3)
    g.set(4, WRITELK, 4, 4)
    g.finish(g.wait(3, WRITELK, 4, 4), EDEADLK, "3 for 4 in one file, 4 for 3 in the other")
    g.set(3, UNLOCK)
    g.finish(second)
    # 1 waits for 2, which holds 2 and 3: now 3 may wait for 1.
    third = g.wait(3, WRITELK, 1, 1)
    g.waits(3)
    g.set(2, UNLOCK)
    g.finish(first)
    g.set(1, UNLOCK)
    g.finish(third)
    g.fs.good("SETLK", node, lk(fh, 3, UNLOCK))
    g.finish(outside)
    # Readers that share, one of whom wants more.
    g.set(3, UNLOCK)
    g.set(5, READ, 50, 50)
    g.set(6, READ, 50, 50)
    token = g.wait(5, WRITELK, 50, 50)
    g.waits(1)
    g.finish(g.wait(6, WRITELK, 50, 50), EDEADLK, "two readers that both want to write")
    g.set(6, UNLOCK)
    g.finish(token)
    g.w.check()


def ended_with(op, args, nodeid=0):
    """Whatever op ends, all waits are answered before it is, on its queue and on another."""
    g = Guest(size=1024, requests=2)
    g.set(1)
    g.set(0, WRITELK, flags=FLOCK)
    other = g.open()
    fds = g.daemon.fds()
    mine = storm(g, 40)
    theirs = [g.wait(100 + i, queue=2) for i in range(40, 80)]
    theirs += [g.wait(0, READ, fh=other, flags=FLOCK, queue=2)]
    g.waits(81)
    q, head, places, unique = g.fs.start(op, nodeid, args, 80)
    until(f"{op} answered", lambda: (q.collect(), head in q.done)[1])
    # What is visible together with its answer counts; nothing may follow.
    q2 = theirs[0][0]
    q2.collect()
    for token in mine + theirs:
        ring = token[0]
        check(token[1] in ring.done, f"a wait was not answered before {op}")
    equal(list(q.done)[-1], head, "the last answer of the queue")
    for token in mine + theirs:
        g.finish(token, EINTR, f"a wait that {op} ended")
    equal(g.fs.finish((q, head, places, unique)).error, 0, op)
    g.waits(0)
    check(g.daemon.fds() < fds, "descriptors of locks are left")
    fd = host_lock(g.path, WRITELK)
    check(fd >= 0, "a lock is left")
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
    g.fs.init(flags=FLAGS)
    g.w.check((1, 2))


@case("DESTROY ends waits with EINTR, before it is answered")
def destroy():
    ended_with("DESTROY", b"")


@case("INIT again ends waits with EINTR, before it is answered")
def init_again():
    ended_with("INIT", init_in(flags=FLAGS))


@case("RELEASE ends the waits through its handle")
def release():
    g = Guest()
    g.set(1)
    g.set(0, WRITELK, flags=FLOCK)
    other = g.open()
    tokens = [g.wait(2, fh=other), g.wait(0, READ, fh=other, flags=FLOCK)]
    keep = g.wait(3)
    g.waits(3)
    g.fs.release(g.node, other)
    for token in tokens:
        g.finish(token, EINTR)
    g.set(1, UNLOCK)
    g.finish(keep)
    g.w.check()


@case("GET_VRING_BASE, disable and a new size: EINTR first, and no lock comes later")
def stopped():
    share = make_share()
    g, peer = Guest(share=share, size=512, requests=2), Guest(share=share)
    ways = {
        "GET_VRING_BASE": lambda: g.w.fe.stop_queue(2),
        "SET_VRING_ENABLE": lambda: g.w.fe.do(vu.SET_VRING_ENABLE, vu.vring_state(2, 0)),
        "SET_VRING_NUM": lambda: g.w.fe.do(vu.SET_VRING_NUM, vu.vring_state(2, 512)),
    }
    for way, stop in ways.items():
        peer.set(1)
        tokens = [g.wait(100 + i, queue=2) for i in range(30)]
        keep = g.wait(7, WRITELK, 5, 5)
        g.waits(31)
        stop()
        q = g.w.fe.queues[2]
        q.collect()
        for token in tokens:
            check(token[1] in q.done, f"a wait was not answered before {way}")
            g.finish(token, EINTR, way)
        g.waits(1)
        peer.set(1, UNLOCK)
        g.finish(keep)
        equal(g.get(9), (WRITELK, 5, 5, 77), f"the only lock after {way}")
        g.set(7, UNLOCK)
        peer.set(1)
        peer.set(1, UNLOCK)
        g.w.restart(2)
        g.w.check((1, 2))


@case("disconnected while they wait: nothing is left, and the next front-end locks")
def disconnected():
    share = make_share()
    peer = Guest(share=share)
    peer.set(1)
    daemon = Daemon("--posix-lock", "--flock", "--keep-listening", share=share, listen=True)
    World(daemon=daemon).close()  # what the first one makes the daemon start stays
    daemon.wait_quiet(1 << 20, 2 if sanitizer() == "tsan" else 1)
    tasks = daemon.tasks()
    for _ in range(3):
        w = World(daemon=daemon, size=512, init=False)
        w.fs.init(flags=FLAGS)
        node = w.fs.lookup("file").nodeid
        fh = w.fs.open(node, O_RDWR)
        w.fs.fails(EAGAIN, "SETLK", node, lk(fh, 1))
        for i in range(50):
            w.fs.start("SETLKW", node, lk(fh, i + 2), 16)
        w.fs.good("SETLK", node, lk(fh, 1, flags=FLOCK))
        until("50 waits", lambda: daemon.tasks() >= tasks + 2 + 50)  # and two queues
        w.close()
        daemon.wait_quiet(1 << 20, tasks)
        # Handles are closed after the threads have ended.
        until("a lock of flock(2) stays", lambda: peer.fs.call(
            "SETLK", peer.node, lk(peer.fh, 0, flags=FLOCK), 16).error == 0)
        peer.set(0, UNLOCK, flags=FLOCK)
    peer.set(1, UNLOCK)
    peer.set(2)
    peer.w.check()


@case("SIGTERM while they wait")
def terminated():
    g = Guest()
    g.set(1)
    storm(g, 20)
    g.daemon.terminate()


@case("locks are counted: owners, ranges, waits")
def counted():
    g = Guest()

    def counts():
        lines = len(g.daemon.stderr())
        os.kill(g.daemon.proc.pid, signal.SIGUSR1)
        until("no counters", lambda: b" waits\n" in g.daemon.stderr()[lines:])
        line = g.daemon.stderr()[lines:].decode()
        return tuple(map(int, re.search(r"locks: (\d+) owners, (\d+) ranges, (\d+) waits",
                                        line).groups()))

    equal(counts(), (0, 0, 0), "without locks")
    g.set(1, WRITELK, 0, 9)
    g.set(1, WRITELK, 20, 29)
    g.set(2, READ, 40, 49)
    token = g.wait(3, WRITELK, 0, 9)
    g.waits(1)
    equal(counts(), (3, 3, 1), "with locks of two, and one who waits")
    g.set(1, UNLOCK)
    g.finish(token)
    g.waits(0)
    g.set(3, UNLOCK)
    g.set(2, UNLOCK)
    equal(counts(), (0, 0, 0), "when all are dropped")
    g.w.check()


@case("INTERRUPT ends the one that it names, also when it comes first")
def interrupted():
    g = Guest()
    g.set(1)
    tokens = storm(g, 3)

    def interrupt(unique):
        r = g.fs.call("INTERRUPT", 0, struct.pack("<Q", unique), 0, queue=0)
        equal(r.used, 0, "used length of INTERRUPT")

    interrupt(tokens[1][3])
    g.finish(tokens[1], EINTR)
    g.waits(2)
    interrupt(12345679)  # nobody
    early = g.fs.unique + 2  # of the request behind the next
    interrupt(early)
    token = g.wait(9)
    equal(token[3], early, "unique")
    g.finish(token, EINTR, "interrupted before it began")
    g.set(1, UNLOCK)
    q = tokens[0][0]
    until("one of the others", lambda: q.collect() or q.done)
    winner = 0 if tokens[0][1] in q.done else 2
    g.finish(tokens[winner])
    g.set(100 + winner, UNLOCK)
    g.finish(tokens[2 - winner])
    g.w.check()


def fill(g):
    """Takes locks of ever more owners until there may be no more: how many there are."""
    for n in range(OWNERS + 1):
        r = g.fs.call("SETLK", g.node, lk(g.fh, n + 1, READ), 16)
        if r.error:
            equal(errname(r.error), "-ENOLCK", f"SETLK of owner {n + 1}")
            return n
    raise AssertionError("no end of owners")


@case("bounds: owners, ranges and waits; ENOLCK beyond, and all is usable again")
def bounds():
    g = Guest(size=1024)
    fds = g.daemon.fds()
    for i in range(RANGES - 1):
        g.set(1, READ, 2 * i, 2 * i)
    g.set(2, READ, 0, 0)
    g.set(1, READ, 1 << 40, 1 << 40, want=ENOLCK)
    g.set(3, READ, want=ENOLCK)
    g.set(1, READ, 1, 1)  # joins two
    g.set(2, READ, 2, 2)
    g.set(2, UNLOCK)
    g.set(1, READ, 100, 2 * RANGES)
    g.set(1, UNLOCK, 200, 200)  # splits one
    g.flush(1)
    equal(g.daemon.fds(), fds, "descriptors")
    n = fill(g)
    limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 8, OWNERS)
    check(limit * 3 // 4 < n <= limit, n, "owners, not", limit)
    g.flush(17)
    g.set(1 << 40, READ)
    g.flush(1 << 40)
    g.set(17, WRITELK, want=EAGAIN)
    for i in range(n):
        g.flush(i + 1)
    equal(g.daemon.fds(), fds, "descriptors")
    g.set(1)
    tokens = storm(g, WAITS)
    g.finish(g.wait(9999), ENOLCK, "one wait too many")
    g.fs.release(g.node, g.fh)
    for token in tokens:
        g.finish(token, EINTR)
    g.w.check()


@case("few descriptors: an eighth for locks, files can still be opened")
def few():
    g = Guest("--rlimit-nofile", "512")
    check(32 < fill(g) <= 64, "owners")
    handles = [g.open() for _ in range(100)]
    for fh in handles:
        g.fs.release(g.node, fh)
    g.w.check()


@case("forged: types, ranges, flags, handles, nodes, lengths")
def forged():
    g = Guest()
    directory = g.fs.lookup("dir").nodeid
    dir_fh = g.fs.opendir(directory)
    for op in ("GETLK", "SETLK", "SETLKW"):
        for kind in (3, 4, 5, 0x80, 0x10000, 0xFFFFFFFF):
            g.fs.fails(EINVAL, op, g.node, lk(g.fh, 1, kind))
        for start, end in ((1, 0), (0, 1 << 63), (1 << 63, 1 << 63), (0, MAX64), (MAX64, MAX64),
                           (MAX64, 0), (END, END - 1)):
            g.fs.fails(EINVAL, op, g.node, lk(g.fh, 1, READ, start, end))
        for flags in (2, 0x80000000, 0xFFFFFFFE, 3):
            g.fs.fails(EINVAL, op, g.node, lk(g.fh, 1, READ, flags=flags))
        for fh in (0, g.fh + 1, dir_fh, MAX64):
            for flags in (0, FLOCK)[:1 if op == "GETLK" else 2]:
                g.fs.fails(EBADF, op, g.node, lk(fh, 1, READ, flags=flags))
        for node, fh, want in ((directory, dir_fh, EBADF), (ROOT, g.fh, EBADF),
                               (1 << 40, g.fh, ESTALE), (0, g.fh, ESTALE)):
            g.fs.fails(want, op, node, lk(fh, 1, READ))
        for length in range(0, 48):
            g.fs.fails((EINVAL, EIO), op, g.node, lk(g.fh, 1, READ)[:length])
        g.fs.fails(EINVAL, op, g.node, lk(g.fh, 1, READ) + b"x")
    g.fs.fails(EINVAL, "GETLK", g.node, lk(g.fh, 1, READ, flags=FLOCK))
    for room in range(16, 40):
        g.fs.fails(EINVAL, "GETLK", g.node, lk(g.fh, 1, READ), out=room)
    for owner in (0, MAX64):
        g.set(owner, WRITELK, END, END)
        equal(g.get(7, READ), (WRITELK, END, END, 77), "the last byte")
        g.set(owner, WRITELK, 0, END)
        g.set(owner, UNLOCK)
    g.set(12345, UNLOCK)
    g.flush(54321)
    equal(g.get(7), None, "after all that")
    g.w.check()


@case("a wait whose queue breaks holds up nothing")
def broken():
    g = Guest(requests=2)
    g.set(1)
    g.wait(2)
    g.waits(1)
    q = g.w.fe.queues[1]
    q.desc(q.free[-1], 0, 16, WRITE)
    q.submit([(0, 16, WRITE)])
    q.kick()
    q.wait_error()
    g.fs.queue = 2
    g.set(1, UNLOCK)
    g.waits(0)
    g.w.restart(1)
    g.fs.init(flags=FLAGS)
    fd = host_lock(g.path, WRITELK)
    check(fd >= 0, "the lock is left")
    os.close(fd)
    g.w.check((1, 2))


main()
