# SPDX-License-Identifier: BSD-2-Clause
"""Opening: files without a name, which opens need no FLUSH, and what stays open for the next."""

import errno
import os
import struct

from daemon import Daemon, make_share, sanitizer
from fuse import ROOT, name, parse_entry, read_in
from harness import Skip, case, check, equal, main, until
from opened import open_modes
from world import World

O_TMPFILE, O_EXCL, O_WRONLY, O_RDWR, O_DSYNC, O_NOATIME = (
    0o20200000, 0o200, 1, 2, 0o10000, 0o1000000)
NOBODY = 65534
FOPEN_NOFLUSH = 1 << 5
EINVAL, ENOENT, EROFS = -errno.EINVAL, -errno.ENOENT, -errno.EROFS


def tmpfile(flags=O_TMPFILE | O_RDWR, mode=0o100666, umask=0o022, text="/"):
    return struct.pack("<4I", flags, mode, umask, 0) + name(text)


def opened(data):
    """(entry, handle, FOPEN flags) of what CREATE and TMPFILE answer."""
    return (parse_entry(data[:128]), *struct.unpack("<QII", data[128:])[:2])


def nameless(w, **kw):
    r = w.fs.call("TMPFILE", ROOT, tmpfile(**kw))
    if r.error == -errno.EOPNOTSUPP:
        raise Skip("the file system has no O_TMPFILE")
    equal(r.error, 0, "TMPFILE")
    return opened(r.data)


def link(entry, text):
    return "LINK", ROOT, struct.pack("<Q", entry.nodeid) + name(text)


@case("TMPFILE: a file in no directory, until LINK gives it a name")
def tmpfile_linked():
    w = World()
    before = sorted(os.listdir(w.daemon.share))
    for text in ("/", "#123", "..", "file", "x" * 300):  # whatever the name, it means nothing
        entry, fh, _ = nameless(w, text=text)
        equal((entry.attr.nlink, entry.attr.mode, entry.attr.size), (0, 0o100644, 0), "attributes")
        w.fs.write(entry.nodeid, fh, 0, b"contents")
        equal(sorted(os.listdir(w.daemon.share)), before, "names")
        w.fs.fails(-errno.EEXIST, *link(entry, "file"))
        made = parse_entry(w.fs.good(*link(entry, "named")))
        equal((made.nodeid, made.attr.nlink, made.attr.size), (entry.nodeid, 1, 8), "linked")
        with open(os.path.join(w.daemon.share, "named"), "rb") as f:
            equal(f.read(), b"contents", "on the host")
        w.fs.good("UNLINK", ROOT, name("named"))
        equal(w.fs.read(entry.nodeid, fh, 0, 100), b"contents", "after UNLINK")
        w.fs.release(entry.nodeid, fh)
        w.fs.forget(entry.nodeid, 2)
    w.check()


@case("TMPFILE: refused where it must be; O_EXCL keeps it without a name")
def tmpfile_refused():
    w = World()
    entry, fh, _ = nameless(w, flags=O_TMPFILE | O_EXCL | O_RDWR)
    w.fs.fails(ENOENT, *link(entry, "named"))
    w.fs.release(entry.nodeid, fh)
    w.fs.fails(EINVAL, "TMPFILE", ROOT, tmpfile(flags=O_TMPFILE))
    w.fs.fails(-errno.ENOTDIR, "TMPFILE", w.fs.lookup("file").nodeid, tmpfile())
    w.fs.fails(-errno.ESTALE, "TMPFILE", 0x1234, tmpfile())
    w.fs.fails(EINVAL, "TMPFILE", ROOT, tmpfile()[:-2])
    check(not os.path.exists(os.path.join(w.daemon.share, "named")), "a name")
    w.check()
    w = World("--readonly")
    w.fs.fails(EROFS, "TMPFILE", ROOT, tmpfile())
    w.check()


@case("FOPEN_NOFLUSH: on every file that is only read; else where the host holds nothing back")
def noflush():
    for options, granted in ((), True), (("--cache", "none"), True), (("--writeback",), False):
        w = World(*options)
        entry = w.fs.lookup("file")
        flags = struct.unpack("<QII", w.fs.good("OPEN", entry.nodeid, struct.pack("<II", 0, 0)))[1]
        equal(bool(flags & FOPEN_NOFLUSH), granted, f"read only, {options}")
        _, _, created = opened(w.fs.good("CREATE", ROOT, struct.pack("<4I", 2, 0o644, 0, 0) +
                                         name("new")))
        flags = struct.unpack("<QII", w.fs.good("OPEN", entry.nodeid, struct.pack("<II", 2, 0)))[1]
        equal(flags & FOPEN_NOFLUSH, created & FOPEN_NOFLUSH, f"written, {options}")
        check(granted or not flags & FOPEN_NOFLUSH, "with", options)
        w.check()


def held(w, text="file"):
    return open_modes(w.daemon.pid, text)


@case("a file that was read stays open on the host for the next OPEN, until FORGET or a reset")
def left_open():
    if os.getuid():
        raise Skip("needs root")
    w = World()
    path = os.path.join(w.daemon.share, "mine")
    with open(path, "wb") as f:
        f.write(b"once")
    node = w.fs.lookup("mine").nodeid
    for flags in O_RDWR, O_WRONLY, O_NOATIME, O_DSYNC:
        w.fs.release(node, w.fs.open(node, flags))
        equal(held(w, "mine"), [], f"opened with {flags:#o}")
    handles = [w.fs.open(node) for _ in range(3)]
    for fh in handles:
        w.fs.release(node, fh)
    equal(held(w, "mine"), [os.O_RDONLY], "one for the next")
    for fh in handles:
        w.fs.fails(-errno.EBADF, "READ", node, read_in(fh, 0, 10), 16 + 10)
    # Written in place by the host: the file is the same, and shows it.
    with open(path, "wb") as f:
        f.write(b"again")
    fh = w.fs.open(node)
    equal((w.fs.read(node, fh, 0, 100), held(w, "mine")), (b"again", [os.O_RDONLY]), "read, and open")
    w.fs.release(node, fh)
    w.fs.forget(node)
    until("it is open still", lambda: w.fs.alive() or not held(w, "mine"))
    node = w.fs.lookup("mine").nodeid
    w.fs.release(node, w.fs.open(node))
    equal(held(w, "mine"), [os.O_RDONLY], "before the guest starts over")
    w.fs.init()
    equal(held(w, "mine"), [], "after")
    w.check()


@case("no file stays open where it is not to, or the host says who may open what")
def left_nowhere():
    ways = [("--without", "open-cache"), ("--inode-file-handles", "never"),
            ("--modcaps", "-dac_read_search")]
    if not os.getuid():
        ways += [None] if sanitizer() else [None, ("--uid-map", ":0:100000:65536:")]
    for options in ways:
        user, share = None if options else NOBODY, make_share(public=True)
        w = World(daemon=Daemon(*options or (), share=share, user=user))
        node = w.fs.lookup("file").nodeid
        w.fs.release(node, w.fs.open(node))
        equal(held(w), [], f"with {options}, user {user}")
        w.check()


main()
