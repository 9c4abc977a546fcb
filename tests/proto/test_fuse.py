# SPDX-License-Identifier: BSD-2-Clause
# builds: plain asan tsan
"""Forged FUSE requests: wrong lengths, nodes, handles, names, sizes, reply space."""

import errno
import os
import random
import struct

from fuse import (FATTR_FH, FATTR_MODE, FATTR_SIZE, GETATTR_FH, MAX64, NO_REPLY, OPCODES, ROOT, name,
                  parse_dirents, parse_entry, read_in, setattr_in, write_in)
from harness import add, among, case, check, equal, errname, main
from ops import BY_NODE, HANDLES, NAMED, NODES, OPS, UNSUPPORTED, Context
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
            elif op in ("READ", "READDIR", "READDIRPLUS"):
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
    wrong = c.file_fh if "DIR" in op else c.dir_fh
    w.fs.fails(EBADF, op, node, struct.pack("<Q", wrong) + args[8:], 16 + out)
    w.check()
    equal(w.fs.read(c.file, c.file_fh, 0, 5), b"hello", "the handle that was not released")


for opcode in HANDLES:
    add(f"unknown handle: {opcode}", unknown_handle, opcode)


@case("unknown handle: the target of COPY_FILE_RANGE, GETATTR and SETATTR by handle")
def other_handles():
    w, c = world()
    for fh in (0xDEAD, MAX64, c.dir_fh, c.work_fh ^ 1 << 40):
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


# names

BAD_NAMES = {b"a/b\0": (EINVAL,), b"/\0": (EINVAL,), b"/etc\0": (EINVAL,), b"a/\0": (EINVAL,),
             b"../x\0": (EINVAL,), b"dir/inner\0": (EINVAL,), b"\0": (EINVAL,), b"": (EINVAL, EIO),
             b"noend": (EINVAL, EIO), b"x" * 256 + b"\0": (-errno.ENAMETOOLONG,),
             b"x" * 4000 + b"\0": (-errno.ENAMETOOLONG,), b"x" * 4000: (EINVAL, EIO,
                                                                       -errno.ENAMETOOLONG)}
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
            size = {"MKNOD": 16, "MKDIR": 8, "RENAME": 8, "RENAME2": 16, "LINK": 8, "CREATE": 16}[op]
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


main()
