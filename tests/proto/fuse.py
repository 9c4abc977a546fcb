# SPDX-License-Identifier: BSD-2-Clause
"""FUSE over a ring: numbers and structures of the kernel's uapi, requests, replies.

Fs.call() sends one request and checks what holds for every reply; the small functions below it
are the honest operations. Requests carry their segmentation, so that a case can cut them up.
"""

import struct
from collections import namedtuple

from harness import Failure, check, equal, errname
from ring import WRITE

OPCODES = dict(
    LOOKUP=1, FORGET=2, GETATTR=3, SETATTR=4, READLINK=5, SYMLINK=6, MKNOD=8, MKDIR=9, UNLINK=10,
    RMDIR=11, RENAME=12, LINK=13, OPEN=14, READ=15, WRITE=16, STATFS=17, RELEASE=18, FSYNC=20,
    SETXATTR=21, GETXATTR=22, LISTXATTR=23, REMOVEXATTR=24, FLUSH=25, INIT=26, OPENDIR=27,
    READDIR=28, RELEASEDIR=29, FSYNCDIR=30, GETLK=31, SETLK=32, SETLKW=33, ACCESS=34, CREATE=35,
    INTERRUPT=36, BMAP=37, DESTROY=38, IOCTL=39, POLL=40, NOTIFY_REPLY=41, BATCH_FORGET=42,
    FALLOCATE=43, READDIRPLUS=44, RENAME2=45, LSEEK=46, COPY_FILE_RANGE=47, SETUPMAPPING=48,
    REMOVEMAPPING=49, SYNCFS=50, TMPFILE=51, STATX=52,
    COPY_FILE_RANGE_64=53)
NO_REPLY = ("FORGET", "BATCH_FORGET", "INTERRUPT", "NOTIFY_REPLY")

ROOT = 1
MAX64 = (1 << 64) - 1

# INIT flags
ASYNC_READ, ATOMIC_O_TRUNC, EXPORT, BIG_WRITES, DONT_MASK = 1 << 0, 1 << 3, 1 << 4, 1 << 5, 1 << 6
AUTO_INVAL, DO_RDPLUS, RDPLUS_AUTO, ASYNC_DIO = 1 << 12, 1 << 13, 1 << 14, 1 << 15
PARALLEL_DIROPS, MAX_PAGES, INIT_EXT = 1 << 18, 1 << 22, 1 << 30
MAP_ALIGNMENT = 1 << 26
HAS_INODE_DAX = 1 << 33 - 32  # in flags2
ATTR_DAX = 2
MAP_WRITE, MAP_READ = 1, 2
INIT_FLAGS = (ASYNC_READ | ATOMIC_O_TRUNC | EXPORT | BIG_WRITES | DONT_MASK | AUTO_INVAL |
              DO_RDPLUS | RDPLUS_AUTO | ASYNC_DIO | PARALLEL_DIROPS | MAX_PAGES | INIT_EXT)

GETATTR_FH = 1
(FATTR_MODE, FATTR_UID, FATTR_GID, FATTR_SIZE, FATTR_ATIME, FATTR_MTIME,
 FATTR_FH) = (1 << i for i in range(7))

Attr = namedtuple("Attr", "ino size blocks atime mtime ctime atimensec mtimensec ctimensec mode "
                  "nlink uid gid rdev blksize flags")
Entry = namedtuple("Entry", "nodeid generation entry_valid attr_valid entry_nsec attr_nsec attr")
Dirent = namedtuple("Dirent", "ino off type name entry")
Reply = namedtuple("Reply", "error data used")

ATTR = struct.Struct("<6Q10I")
ENTRY = struct.Struct("<4QII")
INIT_OUT = struct.Struct("<4I2HII2HI28x")


def header(length, opcode, unique, nodeid, uid=0, gid=0, pid=1, extlen=0):
    return struct.pack("<IIQQIIIHH", length & 0xFFFFFFFF, opcode, unique, nodeid & MAX64, uid, gid,
                       pid, extlen, 0)


def groups_ext(*gids):
    """The extension that names supplementary groups."""
    data = struct.pack(f"<I{len(gids)}I", len(gids), *gids)
    return struct.pack("<II", 8 + -(-len(data) // 8) * 8, 32) + data + bytes(-len(data) % 8)


def labels_ext(*labels):
    """The extension of (name, value) pairs that a security module gives."""
    data = b""
    for key, value in labels:
        one = struct.pack("<II", len(value), 0) + name(key) + value
        data += one + bytes(-len(one) % 8)
    return struct.pack("<II", 8 + len(data), len(labels)) + data


def name(*parts):
    return b"".join((p.encode() if isinstance(p, str) else p) + b"\0" for p in parts)


def parse_attr(data):
    return Attr(*ATTR.unpack(data))


def parse_entry(data):
    check(len(data) == 128, "entry_out of", len(data), "bytes")
    return Entry(*ENTRY.unpack(data[:40]), parse_attr(data[40:]))


def parse_dirents(data, plus=False):
    """All entries; fails on one that is cut or not aligned."""
    out, at, lead = [], 0, 128 if plus else 0
    while at < len(data):
        check(at + lead + 24 <= len(data), "directory entry header is cut")
        entry = parse_entry(data[at:at + 128]) if plus else None
        ino, off, n, kind = struct.unpack_from("<QQII", data, at + lead)
        check(at + lead + 24 + n <= len(data), "directory entry name is cut")
        text = data[at + lead + 24:at + lead + 24 + n]
        check(text and b"\0" not in text and b"/" not in text, "name in directory", text)
        out.append(Dirent(ino, off, kind, text.decode(errors="surrogateescape"), entry))
        at += (lead + 24 + n + 7) & ~7
    check(at == len(data), "directory data not a multiple of entries")
    return out


def init_in(major=7, minor=38, readahead=131072, flags=INIT_FLAGS, flags2=0, short=False):
    head = struct.pack("<4I", major, minor, readahead, flags & 0xFFFFFFFF)
    return head if short else head + struct.pack("<I44x", flags2)


def setattr_in(valid, fh=0, size=0, mode=0, uid=0, gid=0, mtime=0):
    return struct.pack("<II6Q8I", valid, 0, fh, size, 0, 0, mtime, 0, 0, 0, 0, mode, 0, uid, gid, 0)


def read_in(fh, offset, size, flags=0):
    return struct.pack("<QQIIQII", fh, offset & MAX64, size & 0xFFFFFFFF, 0, 0, flags, 0)


def write_in(fh, offset, size, flags=0):
    return read_in(fh, offset, size, flags)


def map_in(fh, offset, length, at, flags=MAP_WRITE | MAP_READ):
    return struct.pack("<5Q", fh & MAX64, offset, length, flags, at)


def unmap_in(*ranges):
    return struct.pack("<I", len(ranges)) + b"".join(struct.pack("<QQ", *r) for r in ranges)


def cut(total, sizes):
    """Splits total bytes into pieces of the given sizes, the last one repeated."""
    out = []
    while total > 0:
        n = sizes[min(len(out), len(sizes) - 1)]
        out.append(min(n, total))
        total -= n
    return out


class Fs:
    """FUSE requests on the queues of one front-end."""

    def __init__(self, fe, queue=1):
        self.fe, self.queue = fe, queue
        self.unique = 2

    # one request, in steps

    def frame(self, op, nodeid=ROOT, args=b"", hlen=None, unique=None, uid=0, gid=0, extlen=0):
        """The readable bytes of a request and its unique."""
        if unique is None:
            unique = self.unique
            self.unique += 2
        number = OPCODES[op] if isinstance(op, str) else op
        length = 40 + len(args) if hlen is None else hlen
        return header(length, number, unique, nodeid, uid, gid, extlen=extlen) + args, unique

    def pieces(self, readable, out, rsizes=(40, 1 << 30), wsizes=(16, 1 << 30), addr=None):
        """Descriptors for these readable bytes and out writable ones; with the reply's places."""
        mem = self.fe.mem
        at = mem.alloc(len(readable) + out) if addr is None else addr
        mem.write(at, readable)
        mem.write(at + len(readable), b"\xa5" * out)
        pieces, places = [], []
        for n in cut(len(readable), rsizes):
            pieces.append((at, n, 0))
            at += n
        for n in cut(out, wsizes):
            pieces.append((at, n, WRITE))
            places.append((at, n))
            at += n
        return pieces, places

    def reply(self, used, places, unique):
        """Parses what came back; checks length, unique and that nothing beyond was touched."""
        total = sum(n for _, n in places)
        check(used <= total, f"used length {used} of {total} writable bytes")
        data = b"".join(self.fe.mem.read(at, n) for at, n in places)
        if used == 0:
            return Reply(None, b"", 0)
        check(used >= 16, f"used length {used}: shorter than a header")
        length, error, got = struct.unpack("<IiQ", data[:16])
        equal(length, used, "out_header.len against the used length")
        if unique is not None:
            equal(got, unique, "unique of the reply")
        check(-4096 < error <= 0, "error of the reply", error)
        check(error == 0 or used == 16, f"{errname(error)} with {used} bytes")
        return Reply(error, data[16:used], used)

    def start(self, op, nodeid=ROOT, args=b"", out=4096, queue=None, indirect=False,
              publish=True, rsizes=(40, 1 << 30), wsizes=(16, 1 << 30), addr=None, **frame):
        """Submits; a token for finish()."""
        q = self.fe.queues[self.queue if queue is None else queue]
        readable, unique = self.frame(op, nodeid, args, **frame)
        pieces, places = self.pieces(readable, out, rsizes, wsizes, addr)
        if indirect:
            pieces = q.indirect(pieces)
        return q, q.submit(pieces, publish), places, unique

    def finish(self, token):
        q, head, places, unique = token
        return self.reply(q.wait(head), places, unique)

    def call(self, op, nodeid=ROOT, args=b"", out=4096, **kw):
        """One request, start to end: Reply, whose error is None when the used length was 0."""
        return self.finish(self.start(op, nodeid, args, out, **kw))

    def good(self, op, nodeid=ROOT, args=b"", out=4096, **kw):
        """A request that must succeed; its data."""
        r = self.call(op, nodeid, args, out, **kw)
        equal(errname(r.error), "0", f"{op} on {nodeid:#x}")
        return r.data

    def fails(self, want, op, nodeid=ROOT, args=b"", out=4096, **kw):
        """A request that must fail with this -errno (or one of several)."""
        r = self.call(op, nodeid, args, out, **kw)
        want = want if isinstance(want, (tuple, list, set)) else (want,)
        if r.error not in want:
            raise Failure(f"{op} on {nodeid:#x}: got {errname(r.error)}, "
                          f"want {' or '.join(errname(w) for w in want)}")

    # honest operations

    def init(self, **kw):
        data = self.good("INIT", 0, init_in(**kw), 80)
        equal(len(data), 64, "size of init_out")
        return INIT_OUT.unpack(data)

    def lookup(self, text, parent=ROOT):
        return parse_entry(self.good("LOOKUP", parent, name(text), 128 + 16))

    def forget(self, nodeid, n=1):
        r = self.call("FORGET", nodeid, struct.pack("<Q", n), 0, queue=0)
        equal(r.used, 0, "used length of FORGET")

    def getattr(self, nodeid=ROOT):
        data = self.good("GETATTR", nodeid, struct.pack("<IIQ", 0, 0, 0), 104 + 16)
        equal(len(data), 104, "size of attr_out")
        return parse_attr(data[16:])

    def stale(self, nodeid):
        """The node must be unknown."""
        self.fails(-116, "GETATTR", nodeid, struct.pack("<IIQ", 0, 0, 0))

    def open(self, nodeid, flags=0):
        return struct.unpack("<QII", self.good("OPEN", nodeid, struct.pack("<II", flags, 0)))[0]

    def opendir(self, nodeid=ROOT):
        data = self.good("OPENDIR", nodeid, struct.pack("<II", 0o200000, 0))
        return struct.unpack("<QII", data)[0]

    def release(self, nodeid, fh, op="RELEASE"):
        self.good(op, nodeid, struct.pack("<QIIQ", fh, 0, 0, 0), 16)

    def create(self, text, parent=ROOT, flags=0o102, mode=0o644):
        data = self.good("CREATE", parent, struct.pack("<IIII", flags, mode, 0, 0) + name(text))
        equal(len(data), 144, "size of CREATE's reply")
        return parse_entry(data[:128]), struct.unpack("<QII", data[128:])[0]

    def read(self, nodeid, fh, offset, size, **kw):
        return self.good("READ", nodeid, read_in(fh, offset, size), size + 16, **kw)

    def write(self, nodeid, fh, offset, data, **kw):
        r = self.good("WRITE", nodeid, write_in(fh, offset, len(data)) + data, 24, **kw)
        equal(struct.unpack("<II", r)[0], len(data), "bytes written")

    def readdir(self, nodeid, fh, offset=0, size=4096, plus=False):
        op = "READDIRPLUS" if plus else "READDIR"
        return parse_dirents(self.good(op, nodeid, read_in(fh, offset, size), size + 16), plus)

    def names(self, nodeid=ROOT, size=4096):
        """All names of a directory, read to its end."""
        fh = self.opendir(nodeid)
        out, offset = [], 0
        while part := self.readdir(nodeid, fh, offset, size):
            out += [d.name for d in part]
            offset = part[-1].off
        self.release(nodeid, fh, "RELEASEDIR")
        return sorted(out)

    def alive(self, queue=None):
        """A well-formed request is served well on this queue."""
        q = self.queue if queue is None else queue
        data = self.good("GETATTR", ROOT, struct.pack("<IIQ", 0, 0, 0), 120, queue=q)
        equal(parse_attr(data[16:]).mode & 0o170000, 0o040000, "type of the root")
        data = self.good("LOOKUP", ROOT, name("file"), 144, queue=q)
        entry = parse_entry(data)
        equal(entry.attr.size, 13, "size of the known file")
        fh = struct.unpack("<QII", self.good("OPEN", entry.nodeid, bytes(8), 32, queue=q))[0]
        equal(self.read(entry.nodeid, fh, 0, 64, queue=q), b"hello, world\n", "known contents")
        self.good("RELEASE", entry.nodeid, struct.pack("<QIIQ", fh, 0, 0, 0), 16, queue=q)
        self.good("STATFS", ROOT, b"", 96, queue=q)
        r = self.call("FORGET", entry.nodeid, struct.pack("<Q", 1), 0, queue=q)
        equal(r.used, 0, "used length of FORGET")
