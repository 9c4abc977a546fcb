# SPDX-License-Identifier: BSD-2-Clause
"""--allow-direct-io: O_DIRECT reaches the host, and whatever is aligned otherwise than its disks
want is read and written all the same; on file systems whose disks have sectors of 512 bytes and of
4 KiB, and on one without direct I/O."""

import os
import random
import struct

from daemon import Daemon
from disks import disk, private
from fuse import ROOT, name, read_in
from harness import case, check, equal, main
from ring import WRITE
from world import World

O_RDWR, O_TRUNC, O_APPEND, O_DIRECT = 2, 0o1000, 0o2000, 0o40000
WRITE_CACHE = 1
SIZE = 64 * 1024 + 777  # a file that ends within a block


def opened(w, text, flags=0):
    """A file of the share, opened with O_DIRECT; (node, handle)."""
    node = w.fs.lookup(text).nodeid
    data = w.fs.good("OPEN", node, struct.pack("<II", O_RDWR | flags | O_DIRECT, 0))
    return node, struct.unpack("<QII", data)[0]


def is_direct(w, share, text):
    """Whether the daemon has this file open with O_DIRECT."""
    base = f"/proc/{w.daemon.pid}"
    for fd in os.listdir(f"{base}/fd"):
        if os.readlink(f"{base}/fd/{fd}").endswith(f"/{text}"):
            with open(f"{base}/fdinfo/{fd}", encoding="ascii") as f:
                flags = int(f.read().split("flags:")[1].split()[0], 8)
            if flags & 3 == O_RDWR:
                return bool(flags & O_DIRECT)
    raise AssertionError(f"{text} is not open")


class Buffer:
    """Guest memory that starts on a page: addresses within it have the alignment they say."""

    def __init__(self, w):
        self.w, self.mem = w, w.fe.mem
        self.at = self.mem.regions[1].gpa

    def read(self, node, fh, offset, size, shift):
        """READ into memory shift bytes beyond a page."""
        q, at = self.w.fe.queues[1], self.at + shift
        readable, unique = self.w.fs.frame("READ", node, read_in(fh, offset, size))
        self.mem.write(at, b"\xa5" * size)
        places = [(self.mem.alloc(16), 16), (at, size)]
        head = q.submit([(self.mem.put(readable), len(readable), 0)] + [(*p, WRITE) for p in places])
        r = self.w.fs.finish((q, head, places, unique))
        equal(r.error, 0, f"READ of {size} at {offset} to {shift}")
        return r.data

    def write(self, node, fh, offset, data, shift, flags=0, write_flags=0):
        q, at = self.w.fe.queues[1], self.at + shift
        args = struct.pack("<QQIIQII", fh, offset, len(data), write_flags, 0, flags, 0)
        readable, unique = self.w.fs.frame("WRITE", node, args, hlen=40 + len(args) + len(data))
        self.mem.write(at, data)
        places = [(self.mem.alloc(16 + 8), 16 + 8)]
        head = q.submit([(self.mem.put(readable), len(readable), 0), (at, len(data), 0)] +
                        [(*p, WRITE) for p in places])
        r = self.w.fs.finish((q, head, places, unique))
        equal(r.error, 0, f"WRITE of {len(data)} at {offset} from {shift}")
        equal(struct.unpack("<II", r.data)[0], len(data), "bytes written")


    def read_pieces(self, node, fh, offset, pieces):
        """READ into pieces of memory (distance from a page, length)."""
        q = self.w.fe.queues[1]
        places = [(self.mem.alloc(16), 16)] + [(self.at + a, n) for a, n in pieces]
        readable, unique = self.w.fs.frame("READ", node,
                                           read_in(fh, offset, sum(n for _, n in pieces)))
        head = q.submit([(self.mem.put(readable), len(readable), 0)] + [(*p, WRITE) for p in places])
        r = self.w.fs.finish((q, head, places, unique))
        equal(r.error, 0, f"READ at {offset} to {pieces}")
        return r.data


EDGES = (0, 1, 3, 4, 16, 511, 512, 513, 1024, 4095, 4096, 4097, 8192)


def alignments(rng, count):
    """(offset, size, shift): all that is on an edge of some sector with something, and some more."""
    out = [(a, b, c) for a in (0, 512, 4096, 100) for b in (512, 4096, 8192, 777) for c in EDGES]
    out += [(a, 4096, 0) for a in EDGES] + [(0, b, 512) for b in EDGES if b]
    out += [(SIZE - a, b, c) for a in (1, 777, 4096 + 777) for b in (512, 4096, 70000) for c in (0, 7)]
    return out + [(rng.randrange(SIZE), rng.randrange(1, 20000), rng.randrange(5000))
                  for _ in range(count)]


def every_alignment(kind, sector, direct):
    share, _ = disk(kind, sector)
    rng = random.Random(7)
    want = bytearray(rng.randbytes(SIZE))
    with open(os.path.join(share, "f"), "wb") as f:
        f.write(want)
    w = World(daemon=make_daemon(share))
    node, fh = opened(w, "f")
    equal(is_direct(w, share, "f"), direct, "O_DIRECT on the host")
    buffer = Buffer(w)
    for offset, size, shift in alignments(rng, 50):
        got = buffer.read(node, fh, offset, size, shift)
        check(got == want[offset:offset + size], "READ of", size, "at", offset, "to", shift, ":",
              len(got), "bytes")
    # What begins aligned and does not go on so.
    for pieces in (((0, 4096), (4104, 4096), (9000, 50)), ((0, 8192), (8192, 1), (12288, 8192)),
                   ((0, 512), (512, 512), (4096, 4095), (8192, 4097)), ((0, 65536), (65541, 9000))):
        for offset in (0, 512, 4096, 4097, SIZE - 5000, SIZE - 100):
            got = buffer.read_pieces(node, fh, offset, pieces)
            size = sum(n for _, n in pieces)
            check(got == want[offset:offset + size], "READ at", offset, "to", pieces, ":", len(got))
    for i, (offset, size, shift) in enumerate(alignments(rng, 50)):
        data = rng.randbytes(size)
        end = max(len(want), offset + size)
        want[offset:offset + size] = data
        buffer.write(node, fh, offset, data, shift, write_flags=WRITE_CACHE * (i % 2))
        equal((w.fs.getattr(node).size, len(want)), (end, end), "size")
    for _ in range(10):
        data = rng.randbytes(rng.randrange(1, 9000))
        buffer.write(node, fh, 0, data, rng.randrange(600), flags=O_APPEND)
        want += data
    equal(is_direct(w, share, "f"), direct, "O_DIRECT afterwards")
    with open(os.path.join(share, "f"), "rb") as f:
        check(f.read() == want, "contents on the host")
    w.fs.release(node, fh)
    w.daemon.alive()
    w.close()


def make_daemon(share, *options):
    """A daemon on a share of one's own."""
    return Daemon("--allow-direct-io", *options, share=share)


@case("every alignment, ext4 on sectors of 512 bytes")
def ext4_512():
    every_alignment("ext4", 512, True)


@case("every alignment, ext4 on sectors of 4 KiB")
def ext4_4k():
    every_alignment("ext4", 4096, True)


@case("every alignment, xfs on sectors of 4 KiB")
def xfs_4k():
    every_alignment("xfs", 4096, True)


@case("a new file, one that is there, one without a name: all direct")
def create():
    share, _ = disk("ext4")
    w = World(daemon=make_daemon(share))
    flags = struct.pack("<4I", O_RDWR | O_DIRECT | 0o100, 0o644, 0, 0)
    for _ in range(2):
        data = w.fs.good("CREATE", ROOT, flags + name("new"))
        equal(is_direct(w, share, "new"), True, "CREATE")
        w.fs.release(w.fs.lookup("new").nodeid, struct.unpack("<QII", data[128:])[0])
    w.daemon.alive()


@case("without the option nothing is direct")
def without():
    w = World()
    with open(os.path.join(w.daemon.share, "f"), "wb") as f:
        f.write(b"x" * 5000)
    node, fh = opened(w, "f")
    equal(is_direct(w, w.daemon.share, "f"), False, "O_DIRECT on the host")
    equal(Buffer(w).read(node, fh, 1, 5000, 3), b"x" * 4999)
    w.check()


@case("a file system without direct I/O is opened without, and nothing is left behind")
def tmpfs():
    share, _ = disk("tmpfs")
    fd = os.open(os.path.join(share, "probe"), os.O_CREAT | os.O_RDWR)
    try:
        os.close(os.open(os.path.join(share, "probe"), os.O_RDONLY | O_DIRECT))
        direct = True
    except OSError:
        direct = False
    os.close(fd)
    w = World(daemon=make_daemon(share))
    data = w.fs.good("CREATE", ROOT, struct.pack("<4I", O_RDWR | O_DIRECT | 0o300, 0o644, 0, 0) +
                     name("new"))
    equal(is_direct(w, share, "new"), direct, "O_DIRECT on tmpfs")
    fh, node = struct.unpack("<QII", data[128:])[0], w.fs.lookup("new").nodeid
    Buffer(w).write(node, fh, 3, b"abc", 5)
    equal(Buffer(w).read(node, fh, 0, 100, 1), b"\0\0\0abc")
    w.daemon.alive()


private()
main()
