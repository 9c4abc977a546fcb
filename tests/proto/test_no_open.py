# SPDX-License-Identifier: BSD-2-Clause
"""Opens without a message: who says that it can do without OPEN and OPENDIR is told to, and reads
and lists with handle 0 from then on."""

import errno
import os
import struct

from fuse import INIT_FLAGS, ROOT, name, parse_dirents, read_in
from harness import case, check, equal, main
from world import World, fill

NO_OPEN, NO_OPENDIR, ATOMIC_O_TRUNC = 1 << 17, 1 << 24, 1 << 3
FLAGS = INIT_FLAGS | NO_OPEN | NO_OPENDIR
ENOSYS, EROFS, EBADF, ESTALE = -errno.ENOSYS, -errno.EROFS, -errno.EBADF, -errno.ESTALE
ALWAYS = ("--cache", "always")


def world(*options, flags=FLAGS):
    w = World(*options, init=False)
    w.granted = w.fs.init(flags=flags)[3]
    return w, w.fs, w.daemon.share


def names(fs, node, op, size):
    """All names of a directory by READDIR or READDIRPLUS with handle 0."""
    out, offset = [], 0
    while data := fs.good(op, node, read_in(0, offset, size), size + 16):
        part = parse_dirents(data, op == "READDIRPLUS")
        out += [d.name for d in part]
        offset = part[-1].off
    return out


def same_names(got, want, what):
    """The same names, each once."""
    equal((len(got), sorted(set(got) ^ set(want))), (len(set(want)), []), what)


@case("what is granted in which mode; O_TRUNC stays with SETATTR where OPEN is not sent")
def granted():
    for options, want in (((), 0), (("--cache", "none", "--readonly"), 0),
                          (("--cache", "metadata"), NO_OPENDIR), (ALWAYS, NO_OPENDIR),
                          ((*ALWAYS, "--readonly"), NO_OPEN | NO_OPENDIR)):
        w, fs, _ = world(*options)
        equal(w.granted & (NO_OPEN | NO_OPENDIR), want, f"flags with {options}")
        equal(bool(w.granted & ATOMIC_O_TRUNC), not want & NO_OPEN, f"O_TRUNC with {options}")
        node, d = fs.lookup("file").nodeid, fs.lookup("dir").nodeid
        equal(fs.call("OPEN", node, bytes(8)).error, ENOSYS if want & NO_OPEN else 0, "OPEN")
        equal(fs.call("OPENDIR", d, bytes(8)).error, ENOSYS if want & NO_OPENDIR else 0, "OPENDIR")
        if not want & NO_OPEN:
            fs.fails(EBADF, "READ", node, read_in(0, 0, 10))
        if not want & NO_OPENDIR:
            fs.fails(EBADF, "READDIR", d, read_in(0, 0, 1000))
        w.daemon.alive()


@case("a guest that does not know of it opens as ever")
def old_guest():
    w, fs, _ = world(*ALWAYS, "--readonly", flags=INIT_FLAGS)
    w.check()
    node = fs.lookup("file").nodeid
    fs.fails(EBADF, "READ", node, read_in(0, 0, 10))
    fs.fails(EBADF, "READDIR", ROOT, read_in(0, 0, 1000))


@case("files are read without a handle, and nothing is written")
def read():
    w, fs, root = world(*ALWAYS, "--readonly")
    before = w.daemon.fds()
    for text, want in (("file", b"hello, world\n"), ("empty", b"")):
        node = fs.lookup(text).nodeid
        fs.fails(ENOSYS, "FLUSH", node, bytes(24))
        equal(fs.read(node, 0, 0, 100), want, text)
        equal(fs.read(node, 0, 7, 100), want[7:], text)
        fs.good("FSYNC", node, bytes(16))
        fs.fails(EROFS, "WRITE", node, read_in(0, 0, 1) + b"x")
        fs.fails(EROFS, "SETATTR", node, struct.pack("<II", 8, 0) + bytes(80))
    file = fs.lookup("file").nodeid
    equal(w.daemon.fds(), before + 2, "descriptors of two nodes")
    for op, args in (("OPEN", struct.pack("<II", 1, 0)), ("OPEN", struct.pack("<II", 0o1000, 0))):
        fs.fails(EROFS, op, file, args)
    fs.fails(-errno.EISDIR, "READ", fs.lookup("dir").nodeid, read_in(0, 0, 10))
    fs.fails(-errno.ELOOP, "READ", fs.lookup("link").nodeid, read_in(0, 0, 10))
    fs.fails(-errno.ENXIO, "READ", fs.lookup("fifo").nodeid, read_in(0, 0, 10))
    fs.fails(EBADF, "READ", file, read_in(77, 0, 10))
    fs.fails(ESTALE, "READ", 0x4242, read_in(0, 0, 10))
    # Who removes it does not take it from those who know it.
    os.unlink(os.path.join(root, "file"))
    equal(fs.read(file, 0, 0, 100), b"hello, world\n", "after its removal")
    fs.forget(file, 2)
    fs.fails(ESTALE, "READ", file, read_in(0, 0, 10))
    w.daemon.alive()


@case("directories are listed without a handle, by several readers, to the end")
def listing():
    w, fs, root = world(*ALWAYS, "--without", "cold-nodes")
    fill(root, 300)
    d = fs.lookup("dir").nodeid
    want = sorted(os.listdir(os.path.join(root, "dir")) + [".", ".."])
    before = w.daemon.fds()
    for op in ("READDIR", "READDIRPLUS"):
        for size in (512, 1000, 4096, 65536):
            same_names(names(fs, d, op, size), want, f"{op} by {size} bytes")
    # READDIRPLUS made nodes of them; a listing that has come to its end keeps nothing more.
    after = w.daemon.fds()
    equal(after - before, len(want) - 2, "descriptors")
    offset = parse_dirents(fs.good("READDIR", d, read_in(0, 0, 512)), False)[-1].off
    for _ in range(3):
        fs.good("READDIR", d, read_in(0, offset, 512))
    for bad in (1 << 63, (1 << 64) - 1):
        fs.call("READDIR", d, read_in(0, bad, 512))
    for _ in range(200):
        fs.good("READDIR", d, read_in(0, 0, 512))
    check(w.daemon.fds() <= after + 64, "descriptors of listings that nobody goes on with")
    fs.good("FSYNCDIR", d, bytes(16))
    fs.fails(-errno.ENOTDIR, "READDIR", fs.lookup("file").nodeid, read_in(0, 0, 512))
    fs.fails(ESTALE, "READDIR", 0x4242, read_in(0, 0, 512))
    # The guest may write here: it does, and sees what it did.
    entry, fh = fs.create("new", parent=d)
    fs.write(entry.nodeid, fh, 0, b"x")
    fs.release(entry.nodeid, fh)
    fs.good("UNLINK", d, name("entry0000"))
    same_names(names(fs, d, "READDIR", 4096), set(want) - {"entry0000"} | {"new"}, "after changes")
    # Those who left a listing at the very place where this one goes on know an older directory.
    for size in (512, 4096):
        fs.good("READDIR", d, read_in(0, 0, size))
        fs.good("UNLINK", d, name("entry0299" if size == 512 else "entry0298"))
        want = os.listdir(os.path.join(root, "dir")) + [".", ".."]
        same_names(names(fs, d, "READDIR", size), want, "after a listing that was left")
    w.daemon.alive()


main()
