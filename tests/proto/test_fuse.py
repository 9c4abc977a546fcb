# SPDX-License-Identifier: BSD-2-Clause
"""Forged FUSE requests: wrong lengths, nodes, handles, names, sizes, reply space."""

import errno
import os
import struct

from fuse import (FATTR_FH, FATTR_SIZE, GETATTR_FH, MAX64, NO_REPLY, OPCODES, ROOT, name,
                  parse_entry, read_in, setattr_in)
from harness import add, among, case, check, equal, errname, main
from ops import BY_NODE, HANDLES, NODES, OPS, UNSUPPORTED, Context
from world import World

EIO, EINVAL, ESTALE, EBADF, ENOSYS = (-errno.EIO, -errno.EINVAL, -errno.ESTALE, -errno.EBADF,
                                      -errno.ENOSYS)
BAD_SIZE = (EINVAL, EIO)


def world():
    w = World()
    return w, Context(w)


def refused(r, want, op, *text):
    """A bad request: this error, or nothing at all for those that have no reply."""
    if op in NO_REPLY:
        among(r.error, (None, *want), op, *text)
    elif r.error not in want:
        check(False, op, *text, f"got {errname(r.error)}, want",
              " or ".join(errname(e) for e in want))


# lengths


def lengths(op):
    """Every length from nothing to eight bytes too many, told honestly in the header."""
    w, c = world()
    full = 40 + len(OPS[op](c)[1])
    for n in range(0, full + 9):
        node, args, out = OPS[op](c)
        readable, unique = w.fs.frame(op, node, args + bytes(8), hlen=n)
        pieces, places = w.fs.pieces(readable[:n], 16 + out)
        q = w.fe.queues[1]
        token = (q, q.submit(pieces), places, unique if n >= 40 else None)
        r = w.fs.finish(token)
        if n < 40:
            among(r.error, (None, EIO, EINVAL), op, f"with {n} bytes")
        elif n < full:
            refused(r, BAD_SIZE, op, f"with {n} of {full} bytes")
        elif n == full:
            among(r.error, (None, -errno.EAGAIN) if op in NO_REPLY else (0,),
                  f"{op} of the right length")
        else:
            refused(r, (0, EINVAL, EIO), op, f"with {n} of {full} bytes")
    w.check()


def header_length(op):
    """fuse_in_header.len that is not the number of readable bytes."""
    w, c = world()
    for delta in (None, -41, -1, 1, 8, 4096, 0x7FFFFFFF, 0xFFFFFFFF):
        node, args, out = OPS[op](c)
        length = 0 if delta is None else (40 + len(args) + delta) & 0xFFFFFFFF
        r = w.fs.call(op, node, args, 16 + out, hlen=length)
        refused(r, (EIO,), op, f"whose header says {length} instead of {40 + len(args)}")
    w.check()


def too_little_room(op):
    """Reply space from none to one byte less than success needs."""
    w, c = world()
    fds = None
    for _ in range(2):
        for room in sorted({0, 1, 8, 15, 16, 17, 24, 40, 15 + OPS[op](c)[2]}):
            node, args, out = OPS[op](c)
            if room >= 16 + out:
                continue
            if op in ("RELEASE", "RELEASEDIR") and fds is not None:
                continue  # each opens one that might stay
            r = w.fs.call(op, node, args, room)
            if room < 16:
                equal(r.used, 0, f"used length of {op} with {room} bytes for its reply")
            elif op in ("READ", "READLINK", "READDIR", "READDIRPLUS"):
                check(r.error is not None, op, "with", room, "bytes has no header")
            else:
                check(r.error, op, "succeeded in", room, "of", 16 + out, "bytes")
        w.check()
        if fds is None:
            fds = w.daemon.fds()
    if op in ("OPEN", "CREATE", "OPENDIR"):
        equal(w.daemon.fds(), fds, f"descriptors after {op} whose reply did not fit")


for opcode in OPS:
    add(f"every length: {opcode}", lengths, opcode)
    add(f"header length: {opcode}", header_length, opcode)
    add(f"too little room for the reply: {opcode}", too_little_room, opcode)


@case("no request at all: only reply space")
def only_writable():
    w = World()
    q = w.fe.queues[1]
    for n in (1, 16, 40, 4096):
        pieces, places = w.fs.pieces(b"", n)
        r = w.fs.finish((q, q.submit(pieces), places, None))
        among(r.error, (None, EIO, EINVAL))
    w.check()


# opcodes


@case("unknown opcodes: -ENOSYS")
def unknown_opcodes():
    w, _ = world()
    known = set(OPCODES.values())
    for op in (*range(0, 300), 4096, 1048576, 436207616, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
        if op not in known:
            w.fs.fails(ENOSYS, op, ROOT, bytes(64))
            w.fs.fails(ENOSYS, op, 99, b"")
    w.check()


@case("opcodes that are not served yet: -ENOSYS")
def unsupported():
    w, c = world()
    for op, args in UNSUPPORTED.items():
        w.fs.fails(ENOSYS, op, c.work, args(c))
        w.fs.fails(ENOSYS, op, 0xDEAD, args(c))
    w.check()


@case("before INIT: -EIO, then INIT works")
def before_init():
    w = World(init=False)
    c = type("Empty", (), {"__getattr__": lambda self, key: 5})()
    c.fresh = c.fresh_file = c.fresh_dir = lambda: "x"
    c.fs = type("Fs", (), {"open": lambda *a: 7, "opendir": lambda *a: 7})()
    for op in OPS:
        node, args, out = OPS[op](c)
        r = w.fs.call(op, node, args, 16 + out)
        refused(r, (EIO,), op, "before INIT")
    for op in list(range(52, 60)):
        w.fs.fails((EIO, ENOSYS), op, ROOT, b"")
    w.fs.init()
    w.check()


# nodes


def strange_nodes(*known):
    out = {0, 2, 3, 99, 1 << 16, 1 << 31, 1 << 32, (1 << 32) + 1, 1 << 63, MAX64, MAX64 - 1}
    for node in known:
        out |= {node ^ (1 << bit) for bit in range(64)} | {node + 1, node - 1, node + (1 << 32)}
    return sorted(n & MAX64 for n in out)


def unknown_node(op):
    w, c = world()
    known = {ROOT, c.file, c.work, c.dir, c.link}
    for forged in strange_nodes(c.file, c.dir):
        if forged in known:
            continue
        _, args, out = OPS[op](c)
        w.fs.fails(ESTALE, op, forged, args, 16 + out)
    w.check()


def unknown_second_node(op):
    w, c = world()
    known = {ROOT, c.file, c.work, c.dir, c.link}
    for forged in strange_nodes(c.work):
        if forged in known:
            continue
        node, args, out = OPS[op](c)
        at = NODES[op]
        args = args[:at] + struct.pack("<Q", forged) + args[at + 8:]
        w.fs.fails(ESTALE, op, node, args, 16 + out)
    w.check()


for opcode in BY_NODE:
    add(f"unknown node: {opcode}", unknown_node, opcode)
for opcode in NODES:
    add(f"unknown second node: {opcode}", unknown_second_node, opcode)


@case("unknown node with a good handle: an error or the handle's file, never harm")
def handle_without_node():
    w, c = world()
    for op in HANDLES:
        for node in (0, 99, c.dir, c.link, MAX64):
            _, args, out = OPS[op](c)
            among(w.fs.call(op, node, args, 16 + out).error, (0, ESTALE, EBADF, EINVAL, EIO), op)
    w.check()


@case("unknown node: FORGET and BATCH_FORGET are silent")
def forget_unknown():
    w, c = world()
    for node in strange_nodes(c.file):
        if node not in (c.file, c.work, c.dir, c.link, ROOT):
            w.fs.forget(node, 1)
            w.fs.forget(node, MAX64)
    w.fs.getattr(c.file)
    w.fs.forget(ROOT, MAX64)
    w.fs.forget(ROOT, 1)
    w.fs.getattr(ROOT)
    w.check()


@case("a forgotten node is stale, and stays so when another takes its place")
def stale():
    w, c = world()
    old = []
    for i in range(50):
        text = c.fresh_file()
        node = w.fs.lookup(text).nodeid
        w.fs.forget(node)
        w.fs.stale(node)
        os.unlink(os.path.join(c.root, text))
        old.append(node)
    now = [w.fs.lookup(c.fresh_file()).nodeid for _ in range(50)]
    check(not set(now) & set(old), "a node id is used again at once", set(now) & set(old))
    for node in old:
        w.fs.stale(node)
    w.check()


# handles


def unknown_handle(op):
    w, c = world()
    known = {c.file_fh, c.work_fh, c.dir_fh}
    node, args, out = OPS[op](c)
    real = struct.unpack_from("<Q", args)[0]
    known.add(real)
    forged = {0, 1, 2, 3, 1000, 1 << 31, 1 << 32, 1 << 63, MAX64, MAX64 - 1}
    forged |= {real ^ (1 << bit) for bit in range(64)}
    for fh in sorted(forged - known):
        w.fs.fails(EBADF, op, node, struct.pack("<Q", fh) + args[8:], 16 + out)
    wrong = w.fs.open(c.file) if "DIR" in op else w.fs.opendir(c.dir)
    # To sync or close whatever is open does no harm.
    bearable = (0,) if op in ("FSYNC", "FSYNCDIR", "RELEASE", "RELEASEDIR") else ()
    w.fs.fails((EBADF, *bearable), op, node, struct.pack("<Q", wrong) + args[8:], 16 + out)
    w.check()
    equal(w.fs.read(c.file, c.file_fh, 0, 5), b"hello", "the handle that was not released")


for opcode in HANDLES:
    add(f"unknown handle: {opcode}", unknown_handle, opcode)


@case("unknown handle: the target of COPY_FILE_RANGE, GETATTR and SETATTR by handle")
def other_handles():
    w, c = world()
    for fh in (0xDEAD, MAX64, c.dir_fh, c.work_fh ^ (1 << 40)):
        w.fs.fails(EBADF, "COPY_FILE_RANGE", c.file,
                   struct.pack("<7Q", c.file_fh, 0, c.work, fh, 0, 5, 0))
        if fh != c.dir_fh:
            w.fs.fails(EBADF, "GETATTR", c.work, struct.pack("<IIQ", GETATTR_FH, 0, fh))
            w.fs.fails(EBADF, "SETATTR", c.work, setattr_in(FATTR_FH | FATTR_SIZE, fh=fh, size=1))
    equal(w.fs.getattr(c.work).size, 100, "size of the file")
    w.check()


@case("double RELEASE and RELEASEDIR, use after release: -EBADF")
def double_release():
    w, c = world()
    fh, dfh = w.fs.open(c.file), w.fs.opendir(c.dir)
    w.fs.release(c.file, fh)
    w.fs.release(c.dir, dfh, "RELEASEDIR")
    for _ in range(2):
        w.fs.fails(EBADF, "RELEASE", c.file, struct.pack("<QIIQ", fh, 0, 0, 0))
        w.fs.fails(EBADF, "RELEASEDIR", c.dir, struct.pack("<QIIQ", dfh, 0, 0, 0))
        w.fs.fails(EBADF, "READ", c.file, read_in(fh, 0, 10))
        w.fs.fails(EBADF, "READDIR", c.dir, read_in(dfh, 0, 1000))
    w.fs.open(c.file)
    w.fs.fails(EBADF, "READ", c.file, read_in(fh, 0, 10))  # even though a new one took its slot
    w.check()


@case("TMPFILE: the entry of a file without a name is not to be asked for again")
def nameless():
    w = World("--entry-timeout", "0")
    data = w.fs.good("TMPFILE", ROOT, struct.pack("<4I", 0o20200002, 0o644, 0, 0) + name("/"), 160)
    entry = parse_entry(data[:128])
    check(entry.entry_valid >= 1 << 31, "valid for", entry.entry_valid, "s only")
    equal((entry.attr.nlink, entry.attr.mode), (0, 0o100644), "links and mode")
    linked = parse_entry(w.fs.good("LINK", ROOT, struct.pack("<Q", entry.nodeid) + name("linked")))
    equal((linked.nodeid, linked.entry_valid), (entry.nodeid, 0), "node and time of the name")


if __name__ == "__main__":
    main()
