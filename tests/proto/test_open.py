# SPDX-License-Identifier: BSD-2-Clause
"""Opening: files without a name, and which opens need no FLUSH."""

import errno
import os
import struct

from fuse import ROOT, name, parse_entry
from harness import Skip, case, check, equal, main
from world import World

O_TMPFILE, O_EXCL, O_RDWR = 0o20200000, 0o200, 2
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


main()
