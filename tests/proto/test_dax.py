# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan,tsan
"""Which files are mapped in a DAX window, and what becomes of a map when a process of the host, another
request or the window's limits are in its way (--dax auto unless a case says otherwise)."""

import errno
import os
import struct
import threading

import vu
from daemon import Daemon
from fuse import (ATTR_DAX, FATTR_SIZE, HAS_INODE_DAX, INIT_FLAGS, MAP_ALIGNMENT, MAP_READ, map_in, name,
                  parse_dirents, parse_entry, read_in, setattr_in, unmap_in, write_in)
from harness import HANG, at_end, case, check, equal, main, until
from mem import MIB, PAGE, Region
from window import WindowFrontend
from world import World

O_RDONLY, O_RDWR, O_TRUNC = 0, 2, 0o1000
LEAST = 64 << 10
PIECES = 100  # beyond which files that are not open are unmapped
REGIONS = 448  # of a VM, beyond which nothing is mapped


class Mapper:
    """A guest that maps files."""

    def __init__(self, *options, policy="auto", share=None):
        daemon = Daemon("--dax-window", "1G", "--dax", policy, *options, share=share)
        self.w = World(daemon=daemon, front_end=WindowFrontend, init=False,
                       protocol=vu.P_ALL | vu.P_WINDOW)
        self.fs, self.window = self.w.fs, self.w.fe.window
        self.fs.init(flags=INIT_FLAGS | MAP_ALIGNMENT, flags2=HAS_INODE_DAX)

    def host(self, text):
        return os.path.join(self.w.daemon.share, text)

    def make(self, text, size, byte=b"h"):
        with open(self.host(text), "wb") as f:
            f.write(byte * size)

    def content(self, text):
        with open(self.host(text), "rb") as f:
            return f.read()

    def lookup(self, text):
        return self.fs.lookup(text)

    def open(self, node, flags=O_RDWR):
        data = self.fs.good("OPEN", node, struct.pack("<II", flags, 0))
        return struct.unpack("<QII", data)[0]

    def map(self, node, offset, length, at, **kw):
        return self.fs.finish(self.fs.start("SETUPMAPPING", node,
                                            map_in(-1, offset, length, at, **kw), 16)).error

    def mapped_file(self, text, at):
        """Whether the file itself is at a place, and not a copy."""
        inode = os.stat(self.host(text)).st_ino
        piece = self.window._find(at)
        return os.fstat(piece.fd).st_ino == inode and os.fstat(piece.fd).st_nlink > 0

    def release(self, node, handle):
        self.fs.good("RELEASE", node, struct.pack("<QIIQ", handle, 0, 0, 0))

    def opened(self, text, size, at, flags=O_RDWR):
        """A file that is made, opened and mapped whole."""
        self.make(text, size)
        node = self.lookup(text).nodeid
        handle = self.open(node, flags)
        equal(self.map(node, 0, size, at), 0, f"map of {text}")
        return node, handle


def beside(fn, *args):
    """Runs fn beside us, which must end by itself; its result."""
    result = []
    thread = threading.Thread(target=lambda: result.append(fn(*args)), daemon=True)
    thread.start()
    thread.join(HANG)
    check(not thread.is_alive(), "hangs:", fn)
    check(result, "failed:", fn)
    return result[0]


def is_dax(entry):
    return bool(entry.attr.flags & ATTR_DAX)


@case("auto: which files guests are told to map")
def _():
    m = Mapper()
    for size in (0, 1, PAGE, LEAST - PAGE, LEAST - 1, LEAST, LEAST + 1, LEAST + PAGE, MIB):
        m.make("f", size)
        os.rename(m.host("f"), m.host(f"f{size}"))
        equal(is_dax(m.lookup(f"f{size}")), size >= LEAST and size % PAGE == 0, f"{size} bytes")
    check(not is_dax(m.lookup("dir")), "a directory")
    check(not is_dax(m.lookup("fifo")), "a FIFO")
    m.w.check((1,))


@case("always: every regular file; readonly: none")
def _():
    m = Mapper(policy="always")
    m.make("small", 1)
    check(is_dax(m.lookup("small")), "a small file")
    check(not is_dax(m.lookup("dir")), "a directory")
    m = Mapper("--readonly", policy="always")
    m.make("big2", MIB)
    check(not is_dax(m.lookup("big2")), "of a read-only share")


@case("what a guest was told of a file stays, whatever its size becomes")
def _():
    m = Mapper()
    m.make("f", LEAST)
    m.make("g", LEAST + 1)
    f, g = m.lookup("f"), m.lookup("g")
    handle = m.open(f.nodeid)
    m.fs.good("WRITE", f.nodeid, write_in(handle, LEAST, 10) + b"0123456789")
    os.truncate(m.host("g"), LEAST)
    check(is_dax(m.lookup("f")), "one that has a part of a page now")
    check(not is_dax(m.lookup("g")), "one that has whole pages now")
    check(m.fs.getattr(f.nodeid).flags & ATTR_DAX, "GETATTR")


@case("a process of the host opens a file that the guest has open: a copy takes its place")
def _():
    m = Mapper()
    node, handle = m.opened("f", LEAST, 0)
    check(m.mapped_file("f", 0), "the file itself is mapped")
    beside(m.content, "f")
    until("the file is mapped still", lambda: not m.mapped_file("f", 0))
    equal(m.window.load(0, LEAST), b"h" * LEAST, "what the guest sees")
    # Truncation cannot take that away.
    beside(os.truncate, m.host("f"), 0)
    m.window.load(0, LEAST)
    m.w.check((1,))
    m.release(node, handle)


@case("what a guest stores into a copy is written back when it closes, and only that")
def _():
    m = Mapper()
    node, handle = m.opened("f", LEAST, 0)
    with beside(open, m.host("f"), "r+b") as f:
        f.write(b"HOST")
        f.flush()
        m.window.store(8000, b"guest")
        f.seek(9000)
        f.write(b"HOST")
    m.release(node, handle)
    want = bytearray(b"h" * LEAST)
    want[:4] = want[9000:9004] = b"HOST"
    want[8000:8005] = b"guest"
    equal(m.content("f"), bytes(want), "the file")


@case("... and when it flushes, syncs, or gives the range back")
def _():
    for op, args in (("FLUSH", lambda fh: struct.pack("<QIIQ", fh, 0, 0, 0)),
                     ("FSYNC", lambda fh: struct.pack("<QII", fh, 0, 0)),
                     ("SYNCFS", lambda fh: bytes(8)),
                     ("REMOVEMAPPING", lambda fh: unmap_in((0, LEAST)))):
        m = Mapper()
        node, handle = m.opened("f", LEAST, 0)
        beside(m.content, "f")
        m.window.store(5000, op.encode())
        m.fs.good(op, node, args(handle))
        equal(m.content("f")[5000:5000 + len(op)], op.encode(), f"the file after {op}")


@case("a copy is what requests read and write, too")
def _():
    m = Mapper()
    node, handle = m.opened("f", LEAST, 0)
    beside(m.content, "f")
    m.window.store(5000, b"stored")
    equal(m.fs.good("READ", node, read_in(handle, 4998, 10), 26), b"hhstoredhh", "READ")
    m.fs.good("WRITE", node, write_in(handle, 6000, 7) + b"written")
    equal(m.window.load(5998, 11), b"hhwrittenhh", "what the guest sees of a WRITE")


@case("after the host has closed the file, the next open maps the file itself again")
def _():
    m = Mapper()
    node, handle = m.opened("f", LEAST, 0)
    with beside(open, m.host("f"), "r+b") as f:
        m.release(node, handle)
        f.seek(100)
        f.write(b"changed")
    handle = m.open(node)
    check(m.mapped_file("f", 0), "the file itself is mapped")
    equal(m.window.load(98, 11), b"hhchangedhh", "what the guest sees")
    m.release(node, handle)


@case("a file that the guest has not open is unmapped for the host, and mapped for the next open")
def _():
    m = Mapper()
    node, handle = m.opened("f", LEAST, 0)
    m.release(node, handle)
    check(m.mapped_file("f", 0), "closed, it stays mapped")
    with beside(open, m.host("f"), "r+b") as f:
        equal(m.window.mapped(), [], "while the host has it")
        f.write(b"changed")
        # The guest gets a copy meanwhile.
        handle = m.open(node)
        check(not m.mapped_file("f", 0), "the host has it open still")
        equal(m.window.load(0, 1), b"c" if f.flush() else m.window.load(0, 1), "a copy")
        m.release(node, handle)
    handle = m.open(node)
    equal(m.window.load(0, 7), b"changed", "what the guest sees")
    check(m.mapped_file("f", 0), "the file itself")


@case("a file that the host has open already is copied into the window")
def _():
    m = Mapper()
    m.make("f", LEAST)
    with open(m.host("f"), "rb"):
        node = m.lookup("f").nodeid
        handle = m.open(node)
        equal(m.map(node, 0, LEAST, 0), 0, "map")
        check(not m.mapped_file("f", 0), "a copy")
        equal(m.window.load(0, LEAST), b"h" * LEAST, "its content")
    m.release(node, handle)


@case("all opens of a leased file share its description: none ends the lease")
def _():
    m = Mapper()
    node, handle = m.opened("f", LEAST, 0)
    more = [m.open(node, flags) for flags in (O_RDONLY, 1, O_RDWR)]
    check(m.mapped_file("f", 0), "the file itself is mapped")
    equal(m.fs.good("READ", node, read_in(more[0], 0, 3), 19), b"hhh", "READ")
    # CREATE of what is there, as of a guest that lost a race.
    data = m.fs.good("CREATE", 1, struct.pack("<4I", O_RDWR, 0o644, 0, 0) + name("f"))
    equal(parse_entry(data[:128]).nodeid, node, "the node of CREATE")
    check(m.mapped_file("f", 0), "the file itself is mapped")
    truncating = m.fs.call("CREATE", 1, struct.pack("<4I", O_RDWR | O_TRUNC, 0o644, 0, 0) +
                           name("f"), 160)
    equal(truncating.error, -errno.ESTALE, "CREATE that would truncate")
    for fh in (handle, *more):
        m.release(node, fh)


@case("truncation by the guest: its own lease is not in its way, and the pages go first")
def _():
    m = Mapper()
    node, handle = m.opened("f", LEAST, 0)
    sizes = []

    def watch(kind, at, length):
        sizes.append((kind, os.stat(m.host("f")).st_size))
        return False
    m.window.refuse = watch
    m.fs.good("SETATTR", node, setattr_in(FATTR_SIZE, size=3 * PAGE))
    equal(sizes[0], ("unmap", LEAST), "first request, and the file's size then")
    equal(m.window.mapped(), [(0, 3 * PAGE)], "what is mapped")
    m.open(node, O_RDWR | O_TRUNC)
    equal(m.window.mapped(), [], "after O_TRUNC")
    equal(os.stat(m.host("f")).st_size, 0, "size after O_TRUNC")
    m.fs.good("WRITE", node, write_in(handle, 0, 2 * PAGE) + b"n" * 2 * PAGE)
    equal(m.window.load(0, 2 * PAGE), b"n" * 2 * PAGE, "written anew")
    check(m.mapped_file("f", 0), "the file itself")


@case("a file that grows by a request is mapped before its size is told")
def _():
    m = Mapper()
    m.make("f", LEAST)
    node = m.lookup("f").nodeid
    handle = m.open(node)
    equal(m.map(node, 0, 2 * MIB, 0), 0, "map")
    equal(m.window.mapped(), [(0, LEAST)], "what there is")
    m.fs.good("WRITE", node, write_in(handle, LEAST, PAGE + 5) + b"n" * (PAGE + 5))
    equal(m.window.load(LEAST, PAGE + 5), b"n" * (PAGE + 5), "what was appended")
    equal(m.window.load(LEAST + PAGE + 5, 3), b"\0\0\0", "what is behind it")
    m.window.store(LEAST + PAGE, b"tail")
    m.fs.good("FSYNC", node, struct.pack("<QII", handle, 0, 0))
    m.fs.good("SETATTR", node, setattr_in(FATTR_SIZE, size=MIB))
    equal(m.window.load(LEAST + PAGE, 4), b"tail", "the tail's store")
    equal(m.window.mapped(), [(0, MIB)], "after it grew to whole pages")
    check(m.mapped_file("f", LEAST + PAGE), "which are its own")


@case("always: a file that the host lets grow is mapped before its size is told")
def _():
    m = Mapper(policy="always")
    m.make("f", LEAST)
    node = m.lookup("f").nodeid
    m.open(node)
    equal(m.map(node, 0, 2 * MIB, 0), 0, "map")
    with open(m.host("f"), "ab") as f:
        f.write(b"n" * 2 * PAGE)
    equal(m.fs.getattr(node).size, LEAST + 2 * PAGE, "size")
    equal(m.window.load(LEAST, 2 * PAGE), b"n" * 2 * PAGE, "what the host appended")
    # A listing cannot wait: it does not tell the size.
    with open(m.host("f"), "ab") as f:
        f.write(b"m" * PAGE)
    fh = struct.unpack("<QII", m.fs.good("OPENDIR", 1, struct.pack("<II", 0, 0)))[0]
    data = m.fs.good("READDIRPLUS", 1, read_in(fh, 0, 16384), 16384)
    nodes = {d.name: d.entry.nodeid for d in parse_dirents(data, plus=True)}
    equal(nodes["f"], 0, "the node in a listing")
    equal(parse_entry(m.fs.good("LOOKUP", 1, name("f"))).attr.size, LEAST + 3 * PAGE, "LOOKUP")
    equal(m.window.load(LEAST + 2 * PAGE, PAGE), b"m" * PAGE, "what LOOKUP told of")


@case("always: the host's changes are seen at once, and its opens end nothing")
def _():
    m = Mapper(policy="always")
    m.opened("f", LEAST, 0)
    with open(m.host("f"), "r+b", buffering=0) as f:
        f.write(b"at once")
    equal(m.window.load(0, 7), b"at once", "what the guest sees")
    check(m.mapped_file("f", 0), "the file itself")


@case("two daemons with auto: one has the file, the other a copy")
def _():
    a = Mapper()
    b = Mapper(share=a.w.daemon.share)
    node_a, _fa = a.opened("f", LEAST, 0)
    check(a.mapped_file("f", 0), "the first one's map")
    node_b = b.lookup("f").nodeid
    fb = b.open(node_b)
    equal(b.map(node_b, 0, LEAST, 0), 0, "the second one's map")
    check(not (a.mapped_file("f", 0) and b.mapped_file("f", 0)), "both cannot")
    b.window.store(0, b"from b")
    b.release(node_b, fb)
    again = a.open(node_a)
    equal(a.window.load(0, 6), b"from b", "what the first sees after it opened the file")
    a.release(node_a, again)


@case("many files: those that are not open make room")
def _():
    m = Mapper()
    nodes = []
    for i in range(PIECES + 60):
        m.make(f"f{i}", LEAST, bytes([i % 251]))
        node = m.lookup(f"f{i}").nodeid
        handle = m.open(node)
        equal(m.map(node, 0, LEAST, i * 2 * MIB), 0, f"map of file {i}")
        equal(m.window.load(i * 2 * MIB, 1), bytes([i % 251]), f"file {i}")
        m.release(node, handle)
        nodes.append(node)
    check(len(m.window.pieces) <= PIECES + 2, len(m.window.pieces), "pieces")
    gone = [i for i in range(len(nodes)) if i * 2 * MIB not in m.window.pieces]
    check(len(gone) >= 50, len(gone), "files were unmapped")
    for i in gone:
        handle = m.open(nodes[i])
        equal(m.window.load(i * 2 * MIB, 1), bytes([i % 251]), f"file {i} after it was opened")
        m.release(nodes[i], handle)
    check(len(m.window.pieces) <= PIECES + 2, len(m.window.pieces), "pieces after opens")


@case("many files: those that are open stay, to the last piece, and then ENOSPC")
def _():
    m = Mapper()
    opened = []
    for i in range(512):
        m.make(f"f{i}", LEAST, bytes([i % 251]))
        node = m.lookup(f"f{i}").nodeid
        handle = m.open(node)
        r = m.map(node, 0, LEAST, i * 2 * MIB)
        if r != 0:
            equal(r, -errno.ENOSPC, f"map of file {i}")
            break
        opened.append((node, handle))
    check(PIECES < len(opened) < 512, len(opened), "files were mapped")
    for i in range(0, len(opened), 37):
        equal(m.window.load(i * 2 * MIB, 1), bytes([i % 251]), f"file {i}")
    m.release(*opened[0])
    equal(m.map(node, 0, LEAST, len(opened) * 2 * MIB), 0, "a map when another is closed")


@case("memory regions that other devices of the VM take leave fewer for the window")
def _():
    m = Mapper()
    others = [Region(0x40_0000_0000 + i * MIB, PAGE) for i in range(REGIONS - 8)]
    for r in others:
        at_end(r.close)
        m.w.fe.do(vu.ADD_MEM_REG, vu.mem_reg(r), [r.fd])
    opened = []
    for i in range(8):
        m.make(f"f{i}", LEAST, bytes([i]))
        node = m.lookup(f"f{i}").nodeid
        opened.append((node, m.open(node)))
        r = m.map(node, 0, LEAST, i * 2 * MIB)
        if r != 0:
            equal(r, -errno.ENOSPC, f"map of file {i}")
            break
    # The guest's own memory has regions too.
    equal(len(opened), 8 - len(m.w.fe.mem.regions) + len(m.window.pieces) + 1, "files")
    last, at = opened[-1][0], (len(opened) - 1) * 2 * MIB
    r = others.pop()
    m.w.fe.do(vu.REM_MEM_REG, vu.mem_reg(r))
    equal(m.map(last, 0, LEAST, at), 0, "a map when another device has given one back")
    equal(m.window.load(at, 1), bytes([len(opened) - 1]), "the file")


@case("what the daemon may only read is copied where the front-end wants to write")
def _():
    m = Mapper("--readonly")
    m.make("f", LEAST)
    node = m.lookup("f").nodeid
    handle = m.open(node, O_RDONLY)
    equal(m.map(node, 0, LEAST, 0), -errno.EROFS, "a map to write")
    equal(m.map(node, 0, LEAST, 0, flags=MAP_READ), 0, "a map to read")
    check(not m.mapped_file("f", 0), "the file itself")
    m.window.store(0, b"nothing")
    m.release(node, handle)
    equal(m.content("f")[:7], b"h" * 7, "the file")


@case("what cannot be mapped is refused")
def _():
    m = Mapper()
    m.make("f", LEAST)
    node = m.lookup("f").nodeid
    for what, args, error in (
            ("beyond the window", (0, PAGE, 1 << 30), errno.EINVAL),
            ("across its end", (0, 2 * PAGE, (1 << 30) - PAGE), errno.EINVAL),
            ("at half a page", (0, PAGE, 100), errno.EINVAL),
            ("from half a page", (100, PAGE, 0), errno.EINVAL),
            ("half a page", (0, 100, 0), errno.EINVAL),
            ("nothing", (0, 0, 0), errno.EINVAL),
            ("beyond all files", ((1 << 63) - PAGE, PAGE, 0), errno.EINVAL),
            ("around the end of numbers", ((1 << 64) - PAGE, 2 * PAGE, 0), errno.EINVAL)):
        equal(m.map(node, *args), -error, what)
    equal(m.map(m.lookup("dir").nodeid, 0, PAGE, 0), -errno.EISDIR, "a directory")
    equal(m.map(m.lookup("fifo").nodeid, 0, PAGE, 0), -errno.EINVAL, "a FIFO")
    equal(m.map(0x7777, 0, PAGE, 0), -errno.ESTALE, "no node")
    equal(m.window.mapped(), [], "what is mapped")
    m.w.check((1,))


@case("the log says what is to be mapped where")
def _():
    m = Mapper("--log-level", "trace")
    node, _fh = m.opened("f", LEAST, 2 * MIB)
    m.fs.good("REMOVEMAPPING", node, unmap_in((2 * MIB, LEAST)))
    text = m.w.daemon.stderr_lines()
    check(any("SETUPMAPPING" in line and f"len {LEAST:#x}" in line and "moffset 0x200000" in line
              for line in text), "no line tells of SETUPMAPPING")
    check(any("REMOVEMAPPING" in line and "count 1" in line for line in text),
          "no line tells of REMOVEMAPPING")


@case("when DESTROY is answered, nothing is mapped")
def _():
    m = Mapper()
    m.opened("f", LEAST, 0)
    m.fs.good("DESTROY", 0)
    equal(m.window.mapped(), [], "after DESTROY")


@case("the guest starts over: nothing is mapped for it, and the files are free")
def _():
    m = Mapper()
    m.opened("f", LEAST, 0)
    m.fs.init(flags=INIT_FLAGS | MAP_ALIGNMENT, flags2=HAS_INODE_DAX)
    equal(m.window.mapped(), [], "after INIT")
    beside(os.truncate, m.host("f"), 0)
    m.opened("g", LEAST, 0)
    equal(m.window.load(0, 1), b"h", "the next one's map")


main()
