# SPDX-License-Identifier: BSD-2-Clause
# builds: plain asan tsan
"""Well-formed FUSE requests: right results, negotiation, lookup counts."""

import errno
import os
import stat
import struct

from fuse import (ATTR, FATTR_ATIME, FATTR_MODE, FATTR_MTIME, FATTR_SIZE, INIT_EXT, INIT_FLAGS,
                  INIT_OUT, MAX_PAGES, MAX64, ROOT, init_in, name, parse_attr, parse_dirents,
                  parse_entry, read_in, setattr_in)
from harness import add, among, case, check, equal, main
from ops import OPS, Context
from world import World

ESTALE, EIO, EINVAL, EROFS = -errno.ESTALE, -errno.EIO, -errno.EINVAL, -errno.EROFS
EEXIST, ENOENT, ENOTEMPTY, ENOTDIR = (-errno.EEXIST, -errno.ENOENT, -errno.ENOTEMPTY,
                                      -errno.ENOTDIR)


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


def fill(root, n):
    for i in range(n):
        with open(os.path.join(root, "dir", f"entry{i:04}"), "w") as f:
            f.write(str(i))


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


# results


@case("LOOKUP, GETATTR and STATX say what the host says")
def attributes():
    w, fs, root = world()
    for text in ("file", "big", "empty", "dir", "link", "fifo"):
        entry = fs.lookup(text)
        same_attr(entry.attr, os.path.join(root, text), f"LOOKUP {text}")
        same_attr(fs.getattr(entry.nodeid), os.path.join(root, text), f"GETATTR {text}")
        check(entry.nodeid not in (0, ROOT), "node id", entry.nodeid)
        data = fs.good("STATX", entry.nodeid, struct.pack("<IIQII", 0, 0, 0, 0, 0x7FF), 304)
        equal(len(data), 288, "size of statx_out")
        st = os.lstat(os.path.join(root, text))
        _, blksize, _, nlink, uid, gid, mode, ino, size = struct.unpack_from("<IIQIIIH2xQQ",
                                                                             data, 32)
        equal((nlink, uid, gid, mode, ino, size), (st.st_nlink, st.st_uid, st.st_gid, st.st_mode,
                                                   st.st_ino, st.st_size), f"STATX {text}")
    same_attr(fs.getattr(ROOT), root, "root")
    fs.fails(ENOENT, "LOOKUP", ROOT, name("missing"))
    fs.fails(ENOTDIR, "LOOKUP", fs.lookup("file").nodeid, name("x"))
    w.check()


@case("timeouts of the caching modes stand in entries and attributes")
def timeouts():
    for options, lo, hi in ((("--cache", "none"), 0, 0), (("--cache", "auto"), 1, 1),
                            (("--cache", "always"), 3600, 1 << 63),
                            (("--cache", "auto", "--attr-timeout", "5"), 5, 5)):
        w, fs, _ = world(*options)
        valid = fs.lookup("file").attr_valid
        check(lo <= valid <= hi, f"attr_valid {valid} with {options}")
        w.close()


@case("CREATE, WRITE, READ, FSYNC, RELEASE: the host sees the data")
def data():
    w, fs, root = world()
    entry, fh = fs.create("new", mode=0o100640)
    blob = os.urandom(300_000)
    fs.write(entry.nodeid, fh, 0, blob)
    fs.write(entry.nodeid, fh, 1_000_000, b"tail")
    fs.good("FSYNC", entry.nodeid, struct.pack("<QII", fh, 0, 0))
    with open(os.path.join(root, "new"), "rb") as f:
        want = f.read()
    equal(want[:300_000] == blob and want[1_000_000:] == b"tail", True, "contents on the host")
    for off, size in ((0, 10), (299_990, 20), (999_999, 100), (1_000_004, 10), (5_000_000, 10)):
        equal(fs.read(entry.nodeid, fh, off, size), want[off:off + size], f"READ at {off}")
    equal(os.stat(os.path.join(root, "new")).st_mode & 0o7777, 0o640, "mode")
    fs.fails(EEXIST, "CREATE", ROOT, struct.pack("<4I", 0o302, 0o644, 0, 0) + name("new"))
    fs.release(entry.nodeid, fh)
    w.check()


@case("READ of 1 MiB and beyond in one request")
def large():
    w, fs, root = world()
    with open(os.path.join(root, "large"), "wb") as f:
        f.write(os.urandom(4 << 20))
    with open(os.path.join(root, "large"), "rb") as f:
        want = f.read()
    node = fs.lookup("large").nodeid
    fh = fs.open(node, 2)
    for size in (1 << 20, (1 << 20) + 4096, 4 << 20):
        check(fs.read(node, fh, 0, size) == want[:size], "READ of", size)
    for size in (1 << 20, 2 << 20):
        fs.write(node, fh, 4096, want[:size])
    with open(os.path.join(root, "large"), "rb") as f:
        check(f.read()[4096:4096 + (2 << 20)] == want[:2 << 20], "contents on the host")
    w.check()


@case("SETATTR: size, mode, times")
def setattr_():
    w, fs, root = world()
    node = fs.lookup("file").nodeid
    path = os.path.join(root, "file")
    r = fs.good("SETATTR", node, setattr_in(FATTR_SIZE, size=5))
    equal(parse_attr(r[16:]).size, 5, "size in the reply")
    with open(path, "rb") as f:
        equal(f.read(), b"hello")
    fs.good("SETATTR", node, setattr_in(FATTR_MODE, mode=0o600))
    equal(os.stat(path).st_mode & 0o7777, 0o600, "mode")
    fs.good("SETATTR", node, setattr_in(FATTR_MTIME, mtime=1234567890))
    equal(int(os.stat(path).st_mtime), 1234567890, "mtime")
    fs.good("SETATTR", node, setattr_in(FATTR_ATIME))
    equal(int(os.stat(path).st_atime), 0, "atime")
    equal(int(os.stat(path).st_mtime), 1234567890, "mtime")
    with open(path, "wb") as f:
        f.write(b"hello, world\n")
    w.check()


@case("directories, links, renames")
def tree():
    w, fs, root = world()
    at = os.path.join
    d = parse_entry(fs.good("MKDIR", ROOT, struct.pack("<II", 0o40750, 0) + name("made")))
    equal(stat.S_IMODE(os.stat(at(root, "made")).st_mode), 0o750, "mode of the directory")
    fs.fails(EEXIST, "MKDIR", ROOT, struct.pack("<II", 0o755, 0) + name("made"))
    s = parse_entry(fs.good("SYMLINK", d.nodeid, name("sym", "../else/where")))
    equal(os.readlink(at(root, "made", "sym")), "../else/where", "target on the host")
    equal(fs.good("READLINK", s.nodeid), b"../else/where", "READLINK")
    fs.fails(EINVAL, "READLINK", d.nodeid)
    f = fs.lookup("file")
    linked = parse_entry(fs.good("LINK", d.nodeid, struct.pack("<Q", f.nodeid) + name("hard")))
    equal((linked.nodeid, linked.attr.nlink), (f.nodeid, 2), "a hard link")
    fs.fails(ENOTEMPTY, "RMDIR", ROOT, name("made"))
    fs.fails(ENOTDIR, "RMDIR", ROOT, name("file"))
    fs.fails((-errno.EISDIR, -errno.EPERM), "UNLINK", ROOT, name("made"))
    fs.good("RENAME", ROOT, struct.pack("<Q", d.nodeid) + name("empty", "moved"))
    check(os.path.exists(at(root, "made", "moved")), "RENAME")
    fs.fails(EEXIST, "RENAME2", d.nodeid, struct.pack("<QII", d.nodeid, 1, 0) + name("sym", "hard"))
    fs.good("RENAME2", d.nodeid, struct.pack("<QII", d.nodeid, 2, 0) + name("sym", "hard"))
    equal(os.readlink(at(root, "made", "hard")), "../else/where", "after the exchange")
    fs.fails(EINVAL, "RENAME2", d.nodeid, struct.pack("<QII", d.nodeid, 0xF0, 0) + name("a", "b"))
    fs.fails(EINVAL, "RENAME2", d.nodeid, struct.pack("<QII", d.nodeid, 3, 0) + name("sym", "hard"))
    equal(fs.names(d.nodeid), sorted(os.listdir(at(root, "made")) + [".", ".."]), "READDIR")
    for text in ("sym", "hard", "moved"):
        fs.good("UNLINK", d.nodeid, name(text))
    fs.good("RMDIR", ROOT, name("made"))
    check(not os.path.exists(at(root, "made")), "RMDIR")
    fs.good("MKNOD", ROOT, struct.pack("<4I", 0o010600, 0, 0, 0) + name("pipe"))
    check(stat.S_ISFIFO(os.stat(at(root, "pipe")).st_mode), "MKNOD")
    w.check()


@case("a file that was unlinked still serves its node and handle")
def unlinked():
    w, fs, root = world()
    entry, fh = fs.create("gone")
    fs.good("UNLINK", ROOT, name("gone"))
    fs.write(entry.nodeid, fh, 0, b"still here")
    equal(fs.read(entry.nodeid, fh, 0, 100), b"still here")
    equal((fs.getattr(entry.nodeid).size, fs.getattr(entry.nodeid).nlink), (10, 0))
    fs.release(entry.nodeid, fh)
    w.check()


@case("READDIR in small steps, from every offset, and again from the start")
def readdir():
    w, fs, root = world()
    fill(root, 50)
    node = fs.lookup("dir").nodeid
    fh = fs.opendir(node)
    whole = fs.readdir(node, fh, 0, 16384)
    equal(sorted(d.name for d in whole), sorted(os.listdir(os.path.join(root, "dir")) + [".", ".."]))
    for i, d in enumerate(whole):
        rest = fs.readdir(node, fh, d.off, 16384)
        equal([x.name for x in rest], [x.name for x in whole[i + 1:]], f"from {d.off}")
    for d in whole:
        if d.name not in (".", ".."):
            equal(d.ino, os.lstat(os.path.join(root, "dir", d.name)).st_ino, "inode number")
            equal(d.type, 8 if d.name not in ("sub",) else 4, f"type of {d.name}")
    equal(sorted(fs.names(node, 64)), sorted(d.name for d in whole), "64 bytes at a time")
    fs.fails(EINVAL, "READDIR", node, read_in(fh, 0, 16))  # no entry fits
    w.check()


@case("STATFS, ACCESS, FALLOCATE, LSEEK, COPY_FILE_RANGE, SYNCFS")
def others():
    w, fs, root = world()
    c = Context(w)
    blocks, _, _, files, _, bsize, namelen, frsize = struct.unpack_from("<5Q3I",
                                                                        fs.good("STATFS"))
    v = os.statvfs(root)
    equal((blocks, files, bsize, namelen, frsize), (v.f_blocks, v.f_files, v.f_bsize, v.f_namemax,
                                                    v.f_frsize), "STATFS")
    for mask in range(8):
        among(fs.call("ACCESS", c.file, struct.pack("<II", mask, 0)).error, (0, -errno.EACCES))
    fs.good("FALLOCATE", c.work, struct.pack("<QQQII", c.work_fh, 0, 1000, 0, 0))
    equal(fs.getattr(c.work).size, 1000, "size after FALLOCATE")
    fs.good("FALLOCATE", c.work, struct.pack("<QQQII", c.work_fh, 0, 2000, 1, 0))
    equal(fs.getattr(c.work).size, 1000, "size after FALLOCATE with KEEP_SIZE")
    for whence, off, want in ((3, 0, 0), (4, 0, 1000)):
        got = fs.good("LSEEK", c.work, struct.pack("<QQII", c.work_fh, off, whence, 0))
        equal(struct.unpack("<Q", got)[0], want, f"LSEEK {whence}")
    fs.fails(-errno.ENXIO, "LSEEK", c.work, struct.pack("<QQII", c.work_fh, 5000, 3, 0))
    got = fs.good("COPY_FILE_RANGE", c.file, struct.pack("<7Q", c.file_fh, 7, c.work, c.work_fh,
                                                         500, 100, 0))
    equal(struct.unpack("<II", got)[0], 6, "bytes copied")
    equal(fs.read(c.work, c.work_fh, 500, 6), b"world\n", "copied data")
    fs.good("SYNCFS", ROOT, bytes(8))
    w.check()


@case("--readonly: every change is -EROFS, reading is as ever")
def readonly():
    w, fs, root = world("--readonly")
    c = type("Tree", (), {})()
    c.fs, c.root, c.n = fs, root, 0
    c.fresh = lambda: "fresh"
    c.fresh_file, c.fresh_dir = (lambda: "empty"), (lambda: "dir")
    c.file = c.work = fs.lookup("file").nodeid
    c.dir = fs.lookup("dir").nodeid
    c.file_fh = c.work_fh = fs.open(c.file)
    before = sorted(os.listdir(root))
    for op in ("SETATTR", "SYMLINK", "MKNOD", "MKDIR", "UNLINK", "RMDIR", "RENAME", "RENAME2", "LINK",
               "CREATE"):
        node, args, out = OPS[op](c)
        fs.fails(EROFS, op, node, args, 16 + out)
    for op in ("WRITE", "FALLOCATE", "COPY_FILE_RANGE"):
        node, args, out = OPS[op](c)
        fs.fails((EROFS, -errno.EBADF), op, node, args, 16 + out)
    for flags in (1, 2, 0o1000, 0o1001):
        fs.fails(EROFS, "OPEN", c.file, struct.pack("<II", flags, 0))
    fs.fails(EROFS, "ACCESS", c.file, struct.pack("<II", 2, 0))
    equal(sorted(os.listdir(root)), before, "the directory")
    w.check()


@case("--no-readdirplus: not granted, not served")
def no_readdirplus():
    w = World("--no-readdirplus", init=False)
    flags = w.fs.init()[3]
    equal(flags & (1 << 13 | 1 << 14), 0, "READDIRPLUS flags")
    w.check()


check(ATTR.size == 88, "size of fuse_attr")
main()
