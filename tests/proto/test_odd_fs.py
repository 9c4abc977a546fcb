# SPDX-License-Identifier: BSD-2-Clause
"""A FUSE file system below the share: its errors reach the guest as they are, a call that it does
not answer holds one queue alone, types it does not tell are not made up, offsets that are
positions lead where they led, and inodes without handles and birth times are found again."""
import errno
import os
import struct
import subprocess
import sys
import threading

import vu
from daemon import Daemon, make_share
from fuse import ROOT, name, parse_dirents, parse_entry, read_in, write_in
from harness import Skip, at_end, case, check, equal, errname, main, tempdir
from messages import extra_region
from ring import wait_fd
from world import World

sys.path.insert(0, os.path.join(os.environ["CAUSEWAY_SRC"], "tests/lib"))
import fuseserver  # noqa: E402

DT_UNKNOWN, DT_REG = 0, 8


class Odd:
    """A share with the odd file system at "odd", and a daemon on it."""

    def __init__(self, *options, requests=1, root=False):
        if os.geteuid() != 0 or not os.access("/dev/fuse", os.W_OK):
            raise Skip("needs root and /dev/fuse")
        share = make_share()
        self.path = f"{share}/odd" if not root else tempdir()
        os.makedirs(self.path, exist_ok=True)
        self.server = subprocess.Popen(
            [sys.executable, fuseserver.__file__, self.path], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        at_end(self.end)
        equal(self.server.stdout.readline(), "mounted\n", "the FUSE server")
        self.w = World(daemon=Daemon(*options, share=share), requests=requests)
        self.fs = self.w.fs
        self.node = self.fs.lookup("odd").nodeid

    def end(self):
        subprocess.run(["umount", "-l", self.path], check=False)
        self.server.stdin.close()
        equal(self.server.wait(20), 0, "status of the FUSE server")
        self.server.stdout.close()

    def let_all(self):
        """Whatever is slow from now on is answered."""
        while self.server.stdout.readline():
            self.server.stdin.write("go\n")
            self.server.stdin.flush()

    def open(self, text, flags=2):
        node = self.fs.lookup(text, self.node).nodeid
        return node, self.fs.open(node, flags)


@case("errors of the file system below are the guest's")
def errors():
    o = Odd()
    for text in ("ENOSPC", "EDQUOT"):
        node, fh = o.open(f"fail-{text}")
        o.fs.fails(-getattr(errno, text), "WRITE", node, write_in(fh, 0, 4) + b"data", 24)
    node, fh = o.open("broken-EIO")
    o.fs.fails(-errno.EIO, "READ", node, read_in(fh, 0, 100), 116)
    node, fh = o.open("plain")
    o.fs.write(node, fh, 0, b"DATA")
    equal(o.fs.read(node, fh, 0, 100), b"DATA of plain", "content")
    o.w.check()


@case("a file system below that is gone says so, and nothing else stops")
def gone():
    o = Odd()
    node, fh = o.open("plain")
    subprocess.run(["umount", "-f", o.path], check=False)
    o.fs.fails((-errno.ENOTCONN, -errno.ECONNABORTED), "READ", node, read_in(fh, 0, 100), 116)
    o.w.check()


@case("a call that is not answered holds one queue, not another")
def slow():
    o = Odd(requests=2)
    node, fh = o.open("slow")
    token = o.fs.start("READ", node, read_in(fh, 0, 100), 116, queue=2)
    equal(o.server.stdout.readline(), "slow\n", "the slow call")
    for _ in range(50):
        o.fs.alive(1)
    plain, plain_fh = o.open("plain")
    equal(o.fs.read(plain, plain_fh, 0, 100), b"data of plain", "content")
    o.server.stdin.write("go\n")
    o.server.stdin.flush()
    equal(o.fs.finish(token).data, b"data of slow", "the slow answer")
    o.w.check((1, 2))


class Slow:
    """A request that is not answered until somebody lets it be."""

    def __init__(self, o, op, **room):
        self.o, self.op = o, op
        self.node, self.fh = o.open("slow")
        self.token = self.read(0, 1, **room) if op == "READ" else \
            o.fs.start("FSYNC", self.node, struct.pack("<QII", self.fh, 0, 0), 16)
        equal(o.server.stdout.readline(), "slow\n", "the slow call")

    def read(self, offset, queue, **room):
        return self.o.fs.start("READ", self.node, read_in(self.fh, offset, 100), 116, queue, **room)

    def is_answered(self):
        self.token[0].collect()
        return self.token[1] in self.token[0].done

    def let(self):
        self.o.server.stdin.write("go\n")
        self.o.server.stdin.flush()

    def finish(self):
        answer = self.o.fs.finish(self.token)
        equal(errname(answer.error), "0", self.op)
        equal(answer.data, b"data of slow" if self.op == "READ" else b"", f"answer of {self.op}")


SLOW = ("FSYNC", "READ")


@case("an FSYNC or READ that takes long holds up nothing of its queue")
def beside():
    for op in SLOW:
        o = Odd()
        slow_one = Slow(o, op)
        for _ in range(50):
            o.fs.alive(1)
        check(not slow_one.is_answered(), f"{op} was answered early")
        slow_one.let()
        slow_one.finish()
        o.w.check()


@case("... but with --thread-pool-size 0 it does")
def in_turn():
    for op in SLOW:
        o = Odd("--thread-pool-size", "0")
        slow_one = Slow(o, op)
        later = o.fs.start("GETATTR", ROOT, bytes(16), 120)
        check(not wait_fd(later[0].call_fd, 0.2), f"a request overtook {op}")
        slow_one.let()
        slow_one.finish()
        equal(errname(o.fs.finish(later).error), "0", "GETATTR")
        o.w.check()


@case("a queue is stopped when what it began has ended, and was answered")
def stopped():
    for op in SLOW:
        o = Odd()
        slow_one = Slow(o, op)
        fe = o.w.fe
        fe.send(vu.GET_VRING_BASE, vu.vring_state(1, 0))
        check(not wait_fd(fe.sock, 0.2), f"stopped while {op} ran")
        slow_one.let()
        fe.recv()
        check(slow_one.is_answered(), f"the queue stopped before {op} was answered")
        slow_one.finish()


@case("guest memory changes when a READ into it has ended")
def memory():
    o = Odd()
    slow_one = Slow(o, "READ", wsizes=(16, 5, 1, 1 << 30))
    fe, more = o.w.fe, extra_region()
    fe.send(vu.ADD_MEM_REG, vu.mem_reg(more), [more.fd], need_reply=True)
    check(not wait_fd(fe.sock, 0.2), "memory changed while a READ went there")
    slow_one.let()
    equal(fe.recv()[2], bytes(8), "answer of ADD_MEM_REG")
    slow_one.finish()
    o.w.check()


@case("what a READ that takes long brings is recorded as it is, wherever it goes")
def recorded():
    for data, length in ((), 0), (("--record-data",), 12):
        path = f"{tempdir()}/record"
        o = Odd("--record", path, *data)
        slow_one = Slow(o, "READ", wsizes=(7, 20, 1, 1, 50, 1 << 30), indirect=True)
        slow_one.let()
        slow_one.finish()
        o.w.check()
        with open(path, "rb") as f:
            equal(f.read().count(b"data of slow"), int(length > 0), "contents in the recording")


@case("many READs that take long: all are answered, each with what is its own")
def crowd():
    o = Odd(requests=2)
    first = Slow(o, "READ")
    tokens = [first.read(i % 13, 1 + i % 2) for i in range(20)]
    plain, plain_fh = o.open("plain")
    token = o.fs.start("READ", plain, read_in(plain_fh, 0, 100), 116)
    first.let()
    threading.Thread(target=o.let_all, daemon=True).start()
    first.finish()
    for i, t in enumerate(tokens):
        equal(o.fs.finish(t).data, b"data of slow"[i % 13:], f"READ from {i % 13}")
    equal(o.fs.finish(token).data, b"data of plain", "READ of another file")
    o.w.check((1, 2))


@case("types that are not told: READDIR says so, READDIRPLUS knows")
def types():
    o = Odd()
    directory = o.fs.lookup("many", o.node).nodeid
    fh = o.fs.opendir(directory)
    got = [d for d in o.fs.readdir(directory, fh, 0, 4096) if d.name[0] != "."]
    equal({d.type for d in got}, {DT_UNKNOWN}, "types")
    got = [d for d in o.fs.readdir(directory, fh, 0, 8192, plus=True) if d.name[0] != "."]
    equal({d.type for d in got}, {DT_REG}, "types with entries")
    equal({d.entry.attr.mode for d in got}, {0o100644}, "modes")


@case("offsets that are positions: going on before the end of a reply loses nothing")
def positions():
    o = Odd()
    directory = o.fs.lookup("many", o.node).nodeid
    fh, seen, offset = o.fs.opendir(directory), [], 0
    size = 65536
    while part := parse_dirents(o.fs.good("READDIR", directory, read_in(fh, offset, size),
                                          size + 16)):
        # A program that has room for a third of it; what it has seen goes meanwhile.
        took = part[:max(1, len(part) // 3)]
        for d in took[:3]:
            if d.name.startswith("m"):
                os.unlink(f"{o.path}/many/{d.name}")
        seen += [d.name for d in took if d.name.startswith("m")]
        offset = took[-1].off
    wanted = sorted(f"m{i}" for i in range(fuseserver.MANY))
    equal(len(seen), len(set(seen)), "names seen once")
    missing = set(wanted) - set(seen)
    check(not missing, f"{len(missing)} names were not seen: {sorted(missing)[:5]}")


@case("a number given to the next file while the last one is known: two nodes")
def heirs():
    o = Odd()
    mortal = o.fs.lookup("mortal", o.node)
    o.fs.good("UNLINK", o.node, name("mortal"), 16)
    heir = o.fs.lookup("heir", o.node)
    equal(heir.attr.ino, mortal.attr.ino, "inode numbers")
    check(heir.nodeid != mortal.nodeid, "the heir was taken for what was unlinked")
    equal(o.fs.read(heir.nodeid, o.fs.open(heir.nodeid, 0), 0, 100), b"data of heir", "content")
    equal(o.fs.lookup("heir", o.node).nodeid, heir.nodeid, "the heir's node again")
    o.fs.fails(-errno.ENOENT, "GETATTR", mortal.nodeid, bytes(16), 120)
    twins = [o.fs.lookup(f"twin-{x}", o.node).nodeid for x in "abab"]
    equal(len(set(twins)), 1, "nodes of one file with two names")
    o.w.check()


@case("without file handles and birth times: known inodes are found again, or stale")
def cold():
    o = Odd("--rlimit-nofile", "300")
    directory = o.fs.lookup("many", o.node).nodeid
    known = {}
    for i in range(fuseserver.MANY):
        e = o.fs.lookup(f"m{i}", directory)
        known[i] = e.nodeid, e.attr.ino
    check(o.w.daemon.fds() < 300, o.w.daemon.fds(), "descriptors")
    for i in range(0, fuseserver.MANY, 7):
        equal(o.fs.getattr(known[i][0]).ino, known[i][1], f"inode of m{i}")
    o.fs.good("UNLINK", directory, name("m1"), 16)
    equal(o.fs.getattr(known[1][0]).ino, known[1][1], "inode of what the guest unlinked")
    os.unlink(f"{o.path}/many/m0")
    e = parse_entry(o.fs.good("LOOKUP", directory, name("m2"), 144))
    equal(e.nodeid, known[2][0], "the same node")
    o.w.check()


main()
