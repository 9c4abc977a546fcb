# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain
"""What the host says no to, the guest hears as the host said it: full and read-only file systems,
quotas, files and links beyond what a file system has."""

import errno
import os
import struct

from daemon import Daemon
from disks import disk, mount, private, run, tmpfs
from fuse import ROOT, name, setattr_in, write_in
from harness import case, check, equal, main
from world import World

ENOSPC, EROFS, EFBIG, EMLINK, EDQUOT = (-errno.ENOSPC, -errno.EROFS, -errno.EFBIG, -errno.EMLINK,
                                        -errno.EDQUOT)
CREATE = struct.pack("<4I", 2, 0o100644, 0, 0)
MIB = 1 << 20


def world(share, *options):
    return World(daemon=Daemon(*options, share=share))


def write(fs, node, fh, offset, size, uid=0):
    """(error, bytes) of a WRITE."""
    r = fs.call("WRITE", node, write_in(fh, offset, size) + b"x" * size, 24, uid=uid, gid=uid)
    return r.error, struct.unpack("<II", r.data)[0] if r.error == 0 else 0


def fill_up(fs, node, fh, want, uid=0):
    """Writes until the host refuses, which it must as wanted."""
    offset = 0
    for _ in range(100):
        error, n = write(fs, node, fh, offset, MIB // 4, uid)
        if error:
            equal(error, want, f"WRITE at {offset}")
            return offset
        offset += n
    raise AssertionError(f"{offset} bytes were written without end")


@case("ENOSPC, for data and for names")
def full():
    share, _ = disk("tmpfs")
    tmpfs(share, "size=1M,nr_inodes=8")
    w = world(share)
    entry, fh = w.fs.create("f")
    end = fill_up(w.fs, entry.nodeid, fh, ENOSPC)
    equal(os.stat(os.path.join(share, "f")).st_size, end, "size")
    w.fs.fails(ENOSPC, "FALLOCATE", entry.nodeid, struct.pack("<QQQII", fh, 0, 8 * MIB, 0, 0))
    more, more_fh = w.fs.create("g")
    w.fs.fails(ENOSPC, "COPY_FILE_RANGE", entry.nodeid,
               struct.pack("<7Q", fh, 0, more.nodeid, more_fh, 0, MIB, 0))
    for i in range(8):
        r = w.fs.call("MKDIR", ROOT, struct.pack("<II", 0o755, 0) + name(f"d{i}"))
        if r.error:
            break
    equal(r.error, ENOSPC, "MKDIR")
    for op, args in (("CREATE", CREATE + name("h")), ("SYMLINK", name("s", "target")),
                     ("MKNOD", struct.pack("<4I", 0o010644, 0, 0, 0) + name("p"))):
        w.fs.fails(ENOSPC, op, ROOT, args)
    w.fs.good("UNLINK", ROOT, name("f"))
    w.daemon.alive()


@case("EROFS of a file system that is mounted read-only below the share")
def read_only():
    w = World()
    w.close()
    share = w.daemon.share
    os.mkdir(os.path.join(share, "ro"))
    source = os.path.join(share, "source")
    os.mkdir(source)
    for text in ("f", "g"):
        with open(os.path.join(source, text), "w", encoding="ascii") as f:
            f.write("text")
    mount(os.path.join(share, "ro"), "--bind", source)
    run("mount", "-o", "remount,bind,ro", os.path.join(share, "ro"))
    w = world(share)
    ro = w.fs.lookup("ro").nodeid
    f = w.fs.lookup("f", ro).nodeid
    mkdir, rename = struct.pack("<II", 0o755, 0), struct.pack("<Q", ro)
    for op, node, args in (
            ("CREATE", ro, CREATE + name("new")), ("MKDIR", ro, mkdir + name("new")),
            ("UNLINK", ro, name("f")), ("RENAME", ro, rename + name("f", "h")),
            ("SYMLINK", ro, name("new", "x")), ("LINK", ro, struct.pack("<Q", f) + name("new")),
            ("SETATTR", f, setattr_in(1, mode=0o600)), ("SETATTR", f, setattr_in(8, size=1)),
            ("OPEN", f, struct.pack("<II", 1, 0)), ("OPEN", f, struct.pack("<II", 0o1000, 0)),
            ("TMPFILE", ro, struct.pack("<4I", 0o20200002, 0o644, 0, 0) + name("/"))):
        w.fs.fails(EROFS, op, node, args)
    equal(w.fs.read(f, w.fs.open(f), 0, 10), b"text")
    w.daemon.alive()


@case("EFBIG and EMLINK of ext4")
def too_much():
    share, _ = disk("ext4", make=("-I", "128"))
    w = world(share)
    entry, fh = w.fs.create("f")
    for offset in (1 << 45, (1 << 63) - 8192):
        equal(write(w.fs, entry.nodeid, fh, offset, 4096)[0], EFBIG, f"WRITE at {offset}")
    w.fs.fails(EFBIG, "SETATTR", entry.nodeid, setattr_in(8, size=1 << 45))
    w.fs.fails(EFBIG, "SETATTR", entry.nodeid, setattr_in(8, size=1 << 63))
    path = os.path.join(share, "f")
    os.mkdir(os.path.join(share, "links"))
    for i in range(65000 - 1):
        os.link(path, os.path.join(share, "links", str(i)))
    w.fs.fails(EMLINK, "LINK", ROOT, struct.pack("<Q", entry.nodeid) + name("one-more"))
    w.daemon.alive()


@case("EDQUOT, where a quota is met")
def quota():
    base, _ = disk("btrfs")
    share = os.path.join(base, "limited")
    run("btrfs", "subvolume", "create", share)
    run("btrfs", "quota", "enable", base)
    run("btrfs", "qgroup", "limit", "1M", share)
    w = world(share)
    entry, fh = w.fs.create("f")
    end = fill_up(w.fs, entry.nodeid, fh, EDQUOT)
    check(end <= MIB, end, "bytes were written within a quota of 1 MiB")
    w.fs.fails(EDQUOT, "FALLOCATE", entry.nodeid, struct.pack("<QQQII", fh, 0, 8 * MIB, 0, 0))
    w.daemon.alive()


private()
main()
