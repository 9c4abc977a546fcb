# SPDX-License-Identifier: BSD-2-Clause
"""Forged FUSE requests: names, links, sizes, offsets, flags, owners, queues."""

import errno
import os
import random
import struct

from fuse import (FATTR_FH, FATTR_MODE, FATTR_SIZE, MAX64, ROOT, name, parse_dirents, parse_entry,
                  read_in, setattr_in, write_in)
from harness import add, among, case, check, equal, main
from ops import NAMED, OPS, Context
from ring import WRITE
from world import World

EIO, EINVAL, ESTALE, EBADF = -errno.EIO, -errno.EINVAL, -errno.ESTALE, -errno.EBADF
BAD_SIZE = (EINVAL, EIO)


def world():
    w = World()
    return w, Context(w)


# names

BAD_NAMES = {b"a/b\0": (EINVAL,), b"/\0": (EINVAL,), b"/etc\0": (EINVAL,), b"a/\0": (EINVAL,),
             b"../x\0": (EINVAL,), b"dir/inner\0": (EINVAL,), b"\0": (EINVAL,), b"": (EINVAL, EIO),
             b"noend": (EINVAL, EIO), b"x" * 256 + b"\0": (-errno.ENAMETOOLONG,),
             b"x" * 4000 + b"\0": (-errno.ENAMETOOLONG,),
             b"x" * 4000: (EINVAL, EIO, -errno.ENAMETOOLONG)}
DOTS = {b".\0": (EINVAL,), b"..\0": (EINVAL,)}


def bad_name(op, position):
    w, c = world()
    before = sorted(os.listdir(c.root))
    for bad, want in (BAD_NAMES | (DOTS if op != "LOOKUP" else {})).items():
        if position == 0 and not bad.endswith(b"\0") and NAMED[op] == 2:
            continue  # would run into the second name
        if op == "SYMLINK" and position == 1:
            continue  # the target is not a name
        node, args, out = OPS[op](c)
        parts = args[:-1].split(b"\0")
        if op in ("LOOKUP", "SYMLINK", "UNLINK", "RMDIR"):
            lead, names = b"", parts
        else:
            size = {"MKNOD": 16, "CREATE": 16, "RENAME2": 16}.get(op, 8)
            lead, names = args[:size], args[size:-1].split(b"\0")
        names = [x + b"\0" for x in names]
        names[position] = bad
        w.fs.fails(want, op, node, lead + b"".join(names), 16 + out)
    after = [x for x in sorted(os.listdir(c.root)) if not x.startswith("n0")]
    equal(after, [x for x in before if not x.startswith("n0")], "names in the directory")
    w.check()


for opcode, count in NAMED.items():
    for which in range(count):
        add(f"bad names: {opcode}, name {which + 1}", bad_name, opcode, which)


@case("LOOKUP of . and .. never leaves the share")
def dots():
    w, c = world()
    root = w.fs.getattr(ROOT)
    for node, text in ((ROOT, ".."), (ROOT, "."), (c.dir, ".."), (c.dir, ".")):
        r = w.fs.call("LOOKUP", node, name(text), 144)
        if r.error == 0:
            entry = parse_entry(r.data)
            check(entry.attr.ino in (root.ino, w.fs.getattr(c.dir).ino), text, "led outside")
            w.fs.forget(entry.nodeid)
        else:
            among(r.error, (EINVAL, -errno.ENOENT, ESTALE), f"LOOKUP {text}")
    w.check()


@case("symbolic links are never followed on the host")
def escapes():
    w, c = world()
    link = w.fs.lookup("escape")
    equal(link.attr.mode & 0o170000, 0o120000, "type of a link")
    bad = (-errno.ELOOP, -errno.ENOTDIR, EINVAL, -errno.EPERM, EBADF, -errno.EACCES,
           -errno.EOPNOTSUPP)
    for op, args in (("LOOKUP", name("passwd")), ("OPENDIR", struct.pack("<II", 0o200000, 0)),
                     ("OPEN", bytes(8)), ("MKDIR", struct.pack("<II", 0o755, 0) + name("x")),
                     ("UNLINK", name("passwd")),
                     ("CREATE", struct.pack("<4I", 0o102, 0o644, 0, 0) + name("x")),
                     ("SETATTR", setattr_in(FATTR_SIZE, size=0)),
                     ("SETATTR", setattr_in(FATTR_MODE, mode=0o777))):
        mode = os.stat("/etc").st_mode
        w.fs.fails(bad, op, link.nodeid, args)
        equal(os.stat("/etc").st_mode, mode, "mode of the link's target")
    # A file is replaced by a link between LOOKUP and OPEN.
    text = c.fresh_file()
    node = w.fs.lookup(text).nodeid
    path = os.path.join(c.root, text)
    os.unlink(path)
    os.symlink("/etc/passwd", path)
    r = w.fs.call("OPEN", node, bytes(8), 32)
    if r.error == 0:
        fh = struct.unpack("<QII", r.data)[0]
        equal(w.fs.read(node, fh, 0, 100), text.encode(), "contents of the file that was looked up")
    # A CREATE where a link stands must not create its target.
    os.symlink("/tmp/cw-proto-must-not-exist", os.path.join(c.root, "dangling"))
    r = w.fs.call("CREATE", ROOT, struct.pack("<4I", 0o102, 0o644, 0, 0) + name("dangling"), 160)
    check(r.error, "CREATE through a link succeeded")
    check(not os.path.lexists("/tmp/cw-proto-must-not-exist"), "CREATE followed a link")
    w.check()


@case("opening a FIFO or a device neither hangs nor succeeds")
def special():
    w, c = world()
    fifo = w.fs.lookup("fifo").nodeid
    for flags in (0, 1, 2, 0o4000):
        w.fs.fails((EINVAL, -errno.ENXIO, -errno.EACCES, -errno.EPERM, -errno.EOPNOTSUPP,
                    -errno.ENOSYS, -errno.ELOOP), "OPEN", fifo, struct.pack("<II", flags, 0))
    r = w.fs.call("CREATE", ROOT, struct.pack("<4I", 0o102, 0o644, 0, 0) + name("fifo"), 160)
    check(r.error, "CREATE opened a FIFO")
    w.check()


# sizes and offsets

OFFSETS = (0, 1, 12, 13, 14, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, MAX64 - 4095, MAX64)
SIZES = (0, 1, 13, 4096, 1 << 20, (1 << 20) + 1, 1 << 31, 0xFFFFFFFF)


@case("READ at any offset with any size")
def reads():
    w, c = world()
    for offset in OFFSETS:
        for size in SIZES:
            for room in (16, 17, 100, 5000):
                r = w.fs.call("READ", c.file, read_in(c.file_fh, offset, size), room)
                check(r.error is not None, "READ has a reply")
                if r.error == 0:
                    want = b"hello, world\n"[offset:] if offset < 13 else b""
                    equal(r.data, want[:min(size, room - 16)], f"READ {size} at {offset:#x}")
                else:
                    among(r.error, (EINVAL, EIO, -errno.EOVERFLOW, -errno.ENOMEM), "READ")
    w.check()


@case("READ into more than 2 GiB of room, all of it the same memory")
def huge_room():
    w = World(size=4096)
    path = os.path.join(w.daemon.share, "sparse")
    with open(path, "wb") as f:
        f.truncate(3 << 30)
    node = w.fs.lookup("sparse").nodeid
    fh = w.fs.open(node)
    readable, unique = w.fs.frame("READ", node, read_in(fh, 0, 0xFFFFFFFF))
    pieces, places = w.fs.pieces(readable, 16)
    at = w.fe.mem.arena.gpa + (8 << 20)
    pieces += [(at, 1 << 20, WRITE)] * 2200
    q = w.fe.queues[1]
    used = q.wait(q.submit(q.indirect(pieces)))
    length, error, got = struct.unpack("<IiQ", w.fe.mem.read(places[0][0], 16))
    equal((length, got), (used, unique), "length and unique")
    check(error == 0 or (-4096 < error < 0 and used == 16), "error of the reply", error)
    w.check()


@case("WRITE at any offset, and with a size that is not its data's")
def writes():
    w, c = world()
    for offset in OFFSETS:
        r = w.fs.call("WRITE", c.work, write_in(c.work_fh, offset, 10) + bytes(10))
        if offset >= 1 << 62:
            among(r.error, (EINVAL, -errno.EFBIG, -errno.EOVERFLOW), f"WRITE at {offset:#x}")
        w.fs.good("SETATTR", c.work, setattr_in(FATTR_SIZE, size=0))
    for size in (0, 1, 9, 11, 1000, 1 << 20, 0xFFFFFFFF):
        r = w.fs.call("WRITE", c.work, write_in(c.work_fh, 0, size) + b"x" * 10)
        if size > 10:
            among(r.error, BAD_SIZE, f"WRITE of {size} with 10 bytes of data")
        equal(w.fs.getattr(c.work).size, size if r.error == 0 else 0, "size after WRITE")
        w.fs.good("SETATTR", c.work, setattr_in(FATTR_SIZE, size=0))
    w.check()


@case("FALLOCATE, LSEEK, COPY_FILE_RANGE and SETATTR with wild numbers")
def wild():
    w, c = world()
    rng = random.Random(4)
    numbers = OFFSETS + (rng.getrandbits(64), rng.getrandbits(63))
    # The file system's own limits decide; modes without KEEP_SIZE could fill the disk.
    for a in numbers:
        for b in numbers:
            if max(a, b) > 1 << 62 or b == 0:
                w.fs.fails((EINVAL, -errno.EFBIG, -errno.EOVERFLOW), "FALLOCATE", c.work,
                           struct.pack("<QQQII", c.work_fh, a, b, 0, 0))
            r = w.fs.call("COPY_FILE_RANGE", c.file, struct.pack(
                "<7Q", c.file_fh, a, c.work, c.work_fh, b, rng.choice(numbers), 0))
            check(r.error is not None, "COPY_FILE_RANGE has a reply")
            w.fs.call("SETATTR", c.work, setattr_in(FATTR_SIZE, size=0))
        for whence in (0, 1, 2, 3, 4, 5, 99, 0xFFFFFFFF):
            r = w.fs.call("LSEEK", c.work, struct.pack("<QQII", c.work_fh, a, whence, 0))
            check(r.error is not None, "LSEEK has a reply")
    for mode in (4, 0x40, 0x80, 0xFFFFFFFF, 1 << 31):
        w.fs.fails((EINVAL, -errno.EOPNOTSUPP), "FALLOCATE", c.work,
                   struct.pack("<QQQII", c.work_fh, 0, 10, mode, 0))
    w.fs.fails((EINVAL,), "COPY_FILE_RANGE", c.file,
               struct.pack("<7Q", c.file_fh, 0, c.work, c.work_fh, 0, 5, 1 << 20))
    for size in (1 << 63, MAX64):
        w.fs.fails((EINVAL, -errno.EFBIG), "SETATTR", c.work, setattr_in(FATTR_SIZE, size=size))
    w.check()


@case("READDIR and READDIRPLUS from any offset with any size")
def readdirs():
    w, c = world()
    for op in ("READDIR", "READDIRPLUS"):
        for offset in (0, 1, 2, 3, 100, 1 << 31, 1 << 62, (1 << 63) - 1, 1 << 63, MAX64):
            for size, room in ((0, 16), (1, 17), (24, 40), (300, 316), (4096, 4112), (4096, 100),
                               (0xFFFFFFFF, 4112), (0xFFFFFFFF, 16)):
                r = w.fs.call(op, c.dir, read_in(c.dir_fh, offset, size), room)
                check(r.error is not None, op, "has a reply")
                if r.error == 0:
                    check(len(r.data) <= size, op, "returned more than was asked for")
                    parse_dirents(r.data, op == "READDIRPLUS")
    w.check()
    again = [d.name for d in w.fs.readdir(c.dir, c.dir_fh)]
    equal(sorted(again), [".", "..", "inner", "sub"], "the directory after all that")


@case("OPEN, CREATE, MKNOD, ACCESS, STATX with wild flags and modes")
def wild_flags():
    w, c = world()
    rng = random.Random(5)
    words = [0xFFFFFFFF, 0o20000000, 0o40000000, 0o10000, 3, 0x80000000] + \
        [rng.getrandbits(32) for _ in range(60)]
    for v in words:
        for op in ("OPEN", "OPENDIR", "ACCESS"):
            for node in (c.file, c.dir, c.link):
                r = w.fs.call(op, node, struct.pack("<II", v, rng.choice(words)), 160)
                check(r.error is not None, op, "has a reply")
                if op != "ACCESS" and r.error == 0:
                    fh = struct.unpack("<QII", r.data)[0]
                    w.fs.release(node, fh, "RELEASEDIR" if op == "OPENDIR" else "RELEASE")
        for op, lead in (("CREATE", struct.pack("<4I", v, rng.choice(words), 0, v)),
                         ("MKNOD", struct.pack("<4I", v, v, 0, 0)),
                         ("MKDIR", struct.pack("<II", v, v))):
            r = w.fs.call(op, ROOT, lead + name(c.fresh()), 160)
            check(r.error is not None, op, "has a reply")
        r = w.fs.call("STATX", c.file, struct.pack("<IIQII", v & ~1, 0, 0, v, v), 304)
        check(r.error is not None, "STATX has a reply")
        r = w.fs.call("SETATTR", c.dir, setattr_in(v & ~(FATTR_SIZE | FATTR_FH), mode=v, mtime=v))
        check(r.error is not None, "SETATTR has a reply")
    with open(os.path.join(c.root, "file"), "wb") as f:
        f.write(b"hello, world\n")  # wild OPEN flags hold O_TRUNC
    w.check()


@case("wild uids leave no trace on the next request")
def uids():
    w, c = world()
    for uid in (1, 1000, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF):
        for op in ("CREATE", "MKDIR", "LOOKUP", "MKNOD"):
            node, args, out = OPS[op](c)
            w.fs.call(op, node, args, 16 + out, uid=uid, gid=uid)
        entry, _ = w.fs.create(c.fresh())
        equal((entry.attr.uid, entry.attr.gid), (os.getuid(), os.getgid()), "owner of a new file")
    w.check()


@case("requests on the high-priority queue, FORGET on a request queue")
def wrong_queue():
    w, c = world()
    for op in ("LOOKUP", "GETATTR", "READ", "STATFS", "INTERRUPT"):
        node, args, out = OPS[op](c)
        w.fs.call(op, node, args, 16 + out, queue=0)
    text = c.fresh_file()
    node = w.fs.lookup(text).nodeid
    equal(w.fs.call("FORGET", node, struct.pack("<Q", 1), 0, queue=1).used, 0)
    w.fs.stale(node)
    equal(w.fs.call("FORGET", node, struct.pack("<Q", 1), 64, queue=1).error, None,
          "FORGET has no reply even with room for one")
    w.check()


if __name__ == "__main__":
    main()
