# SPDX-License-Identifier: BSD-2-Clause
"""INIT, DESTROY, and the lookup counts between them."""

import errno
import os
import struct

from fuse import (INIT_EXT, INIT_FLAGS, INIT_OUT, MAX64, MAX_PAGES, ROOT, init_in, name,
                  parse_dirents, parse_entry, read_in)
from harness import add, among, case, check, equal, main
from ops import Context
from world import World, fill

ESTALE, EIO, EINVAL = -errno.ESTALE, -errno.EIO, -errno.EINVAL


def world(*options):
    w = World(*options)
    return w, w.fs, w.daemon.share


def same_attr(attr, path, what):
    st = os.lstat(path)
    equal((attr.ino, attr.size, attr.mode, attr.nlink, attr.uid, attr.gid, attr.blocks,
           attr.mtime, attr.mtimensec, attr.ctime),
          (st.st_ino, st.st_size, st.st_mode, st.st_nlink, st.st_uid, st.st_gid, st.st_blocks,
           int(st.st_mtime_ns // 10**9), st.st_mtime_ns % 10**9, int(st.st_ctime_ns // 10**9)),
          what)


# INIT


def init_minor(minor):
    """From 7.27 on every minor is served, with the older structures where it is old."""
    w = World(init=False)
    r = w.fs.call("INIT", 0, init_in(minor=minor, short=minor < 36,
                                     flags=INIT_FLAGS & ~(INIT_EXT if minor < 36 else 0)), 80)
    equal(r.error, 0, f"INIT with minor {minor}")
    out = INIT_OUT.unpack(r.data.ljust(64, b"\0"))
    equal(out[0], 7, "major")
    check(27 <= out[1], "minor", out[1])
    w.check()


for number in (27, 28, 30, 31, 33, 35, 36, 37, 38, 40, 45, 60, 0xFFFF, 0xFFFFFFFF):
    add(f"INIT: minor {number} is served", init_minor, number)


@case("INIT: what is offered and granted")
def init_flags():
    w = World(init=False)
    major, minor, readahead, flags, background, congestion, max_write, gran, pages, _, _ = (
        w.fs.init())
    equal(major, 7, "major")
    check(minor >= 27, "minor", minor)
    equal(flags & ~INIT_FLAGS, 0, "flags granted that were not offered")
    check(readahead <= 131072, "max_readahead", readahead)
    check(max_write >= 1 << 20, "max_write", max_write)
    check(flags & MAX_PAGES and pages >= 256, "max_pages", pages)
    check(gran in (0, 1), "time granularity", gran)
    check(background == 0 or congestion <= background, "congestion threshold", congestion)
    flags = w.fs.init(flags=0)[3]
    equal(flags, 0, "flags granted when none were offered")
    w.check()


@case("INIT: a newer major is answered with ours only")
def init_major_8():
    w = World(init=False)
    r = w.fs.call("INIT", 0, init_in(major=8, minor=0), 80)
    equal(r.error, 0, "INIT with major 8")
    check(len(r.data) >= 8, "reply holds a version")
    equal(struct.unpack_from("<I", r.data)[0], 7, "major")
    w.fs.fails(EIO, "GETATTR", ROOT, bytes(16))  # nothing was agreed yet
    w.fs.init()
    w.check()


@case("INIT: too old is -EPROTO")
def init_old():
    w = World(init=False)
    for major, minor in ((7, 26), (7, 0), (7, 12), (6, 38), (0, 0), (1, 50)):
        w.fs.fails(-errno.EPROTO, "INIT", 0, init_in(major=major, minor=minor, short=True))
        w.fs.fails(EIO, "GETATTR", ROOT, bytes(16))
    w.fs.init()
    w.check()


@case("INIT: INIT_EXT with a short init_in is refused or ignored")
def init_ext_short():
    w = World(init=False)
    among(w.fs.call("INIT", 0, init_in(short=True), 80).error, (0, EINVAL, EIO))
    w.fs.init()
    w.check()


@case("INIT: every length")
def init_lengths():
    w = World(init=False)
    for n in range(0, 73):
        args = (init_in() + bytes(8))[:n]
        r = w.fs.call("INIT", 0, args, 80)
        if n < 16:
            among(r.error, (EINVAL, EIO, -errno.EPROTO), f"INIT with {n} bytes")
        elif n == 64:
            equal(r.error, 0, "INIT")
        else:
            among(r.error, (0, EINVAL, EIO), f"INIT with {n} bytes")
    for room in range(0, 80):
        r = w.fs.call("INIT", 0, init_in(), room)
        if room < 16:
            equal(r.used, 0, "used length")
        else:
            check(r.error != 0 or r.used <= room, "INIT in", room)
    w.fs.init()
    w.check()


@case("INIT again drops all nodes and handles, also without DESTROY")
def init_again():
    w = World()
    fds = None
    for destroy in (False, True, False, True):
        c = Context(w)
        for _ in range(20):
            w.fs.open(c.file)
            w.fs.opendir(c.dir)
        if destroy:
            w.fs.good("DESTROY", ROOT, b"")
        w.fs.init()
        for node in (c.file, c.work, c.dir, c.link):
            w.fs.stale(node)
            w.fs.fails((ESTALE, -errno.EBADF), "READ", node, read_in(c.file_fh, 0, 10))
        w.fs.fails((ESTALE, -errno.EBADF), "READDIR", c.dir, read_in(c.dir_fh, 0, 1000))
        fresh = w.fs.lookup("file").nodeid
        w.fs.fails(-errno.EBADF, "READ", fresh, read_in(c.file_fh, 0, 10))
        for node in (c.file, c.work, c.dir, c.link):
            check(node == fresh or w.fs.call("GETATTR", node, bytes(16)).error == ESTALE,
                  "a node of before is served again")
        w.fs.forget(fresh)
        w.check()
        fds = w.daemon.fds() if fds is None else fds
    equal(w.daemon.fds(), fds, "descriptors after INIT")


@case("DESTROY: all is dropped, nothing is served until INIT")
def destroy():
    w = World()
    c = Context(w)
    r = w.fs.call("DESTROY", ROOT, b"", 16)
    equal(r.error, 0, "DESTROY")
    w.fs.fails(EIO, "GETATTR", ROOT, bytes(16))
    w.fs.fails((EIO, 0), "DESTROY", ROOT, b"")
    w.fs.init()
    w.fs.stale(c.file)
    w.check()
    w.fs.good("DESTROY", ROOT, b"", 16)


# lookup counts


@case("lookup counts: as many FORGETs as replies, then stale")
def counts():
    w, fs, _ = world()
    node = [fs.lookup("file").nodeid for _ in range(5)]
    equal(len(set(node)), 1, "one file has one node")
    for n in (1, 2, 1):
        fs.forget(node[0], n)
        fs.getattr(node[0])
    fs.forget(node[0])
    fs.stale(node[0])
    w.check()


@case("lookup counts: FORGET of too many saturates")
def saturate():
    w, fs, _ = world()
    for n in (2, 1000, 1 << 32, 1 << 63, MAX64):
        node = fs.lookup("file").nodeid
        fs.forget(node, n)
        fs.stale(node)
        node = fs.lookup("file").nodeid
        fs.getattr(node)
        fs.forget(node)
        fs.stale(node)
    w.check()


@case("lookup counts: undone when the reply does not fit")
def undone():
    w, fs, root = world()
    path = os.path.join(root, "dir", "counted")
    directory = fs.lookup("dir").nodeid
    tries = {
        "LOOKUP": lambda i: (directory, name("counted")),
        "LINK": lambda i: (directory, struct.pack("<Q", work) + name(f"link{i}")),
    }
    work = fs.create("counted2", directory)[0].nodeid
    with open(path, "w") as f:
        f.write("x")
    for i, room in enumerate((0, 8, 16, 17, 100, 143)):
        for op, make in tries.items():
            node, args = make(i)
            r = fs.call(op, node, args, room)
            check(r.error != 0, op, "succeeded in", room, "bytes")
    node = fs.lookup("counted", directory).nodeid
    fs.forget(node)
    fs.stale(node)
    fs.forget(work)
    fs.stale(work)
    for op in ("CREATE", "MKNOD", "MKDIR", "SYMLINK"):
        for i, room in enumerate((0, 16, 143)):
            args = {"CREATE": struct.pack("<4I", 0o102, 0o644, 0, 0), "MKDIR": bytes(8),
                    "MKNOD": struct.pack("<4I", 0o100644, 0, 0, 0), "SYMLINK": b""}[op]
            text = f"{op}{i}"
            r = fs.call(op, directory, args + name(text) +
                        (name("target") if op == "SYMLINK" else b""), room)
            check(r.error != 0, op, "succeeded in", room, "bytes")
            if os.path.lexists(os.path.join(root, "dir", text)):
                node = fs.lookup(text, directory).nodeid
                fs.forget(node)
                fs.stale(node)
    w.check()


@case("lookup counts: READDIRPLUS counts what it returned, no more")
def readdirplus_counts():
    w, fs, root = world()
    fill(root, 200)
    directory = fs.lookup("dir").nodeid
    want = sorted(os.listdir(os.path.join(root, "dir")) + [".", ".."])
    for size, room in ((4096, 4112), (500, 516), (333, 4112), (4096, 700), (200, 216)):
        fh = fs.opendir(directory)
        seen, names, offset = {}, [], 0
        while True:
            r = fs.call("READDIRPLUS", directory, read_in(fh, offset, size), room)
            equal(r.error, 0, f"READDIRPLUS of {size} in {room}")
            part = parse_dirents(r.data, True)
            if not part:
                break
            for d in part:
                names.append(d.name)
                if d.name in (".", ".."):
                    equal(d.entry.nodeid, 0, f"node of {d.name}")
                else:
                    seen[d.entry.nodeid] = seen.get(d.entry.nodeid, 0) + 1
                    same_attr(d.entry.attr, os.path.join(root, "dir", d.name), d.name)
            offset = part[-1].off
        equal(sorted(names), want, "names")
        fs.release(directory, fh, "RELEASEDIR")
        for node, n in seen.items():
            fs.getattr(node)
            fs.forget(node, n)
            fs.stale(node)
    w.check()


@case("lookup counts: LOOKUP on one queue meets the last FORGET on another")
def race():
    w = World(requests=3)
    fs = w.fs
    held = {}
    node = fs.lookup("file").nodeid
    for _ in range(1500):
        tokens = [fs.start("LOOKUP", ROOT, name("file"), 144, queue=1),
                  fs.start("FORGET", node, struct.pack("<Q", 1), 0, queue=2),
                  fs.start("LOOKUP", ROOT, name("file"), 144, queue=3)]
        replies = [fs.finish(t) for t in tokens]
        got = [parse_entry(replies[i].data).nodeid for i in (0, 2) if not replies[i].error]
        equal(len(got), 2, "LOOKUPs that succeeded")
        for n in got:
            held[n] = held.get(n, 0) + 1
        node = got[0]
        held[node] -= 1
        fs.getattr(got[1])
        fs.forget(got[1])
        held[got[1]] -= 1
        equal(fs.getattr(node).size, 13, "size by the node that is held")
    equal(sum(held.values()), 0, "balance")
    fs.forget(node)
    fs.stale(node)
    w.check((1, 2, 3))


@case("lookup counts: BATCH_FORGET, also one whose count is beyond its data")
def batch():
    w, fs, root = world()
    fill(root, 20)
    directory = fs.lookup("dir").nodeid

    def send(count, items):
        args = struct.pack("<II", count & 0xFFFFFFFF, 0)
        args += b"".join(struct.pack("<QQ", n, k) for n, k in items)
        r = fs.call("BATCH_FORGET", 0, args, 0, queue=0)
        equal(r.used, 0, "used length of BATCH_FORGET")

    nodes = [fs.lookup(f"entry{i:04}", directory).nodeid for i in range(20)]
    send(20, [(n, 1) for n in nodes])
    for n in nodes:
        fs.stale(n)
    node = fs.lookup("file").nodeid
    for count in (0, 3, 100, 0x10000000, 0x10000001, 0xFFFFFFFF):
        send(count, [(0xDEAD, 1), (0xBEEF, MAX64)])
    fs.getattr(node)
    send(3, [(node, 1), (node, 1), (ROOT, MAX64)])
    fs.stale(node)
    w.check()


if __name__ == "__main__":
    main()
