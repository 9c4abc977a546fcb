# SPDX-License-Identifier: BSD-2-Clause
"""IOCTL: inode flags in both forms, and no ioctl but these."""

import errno
import fcntl
import os
import struct

from harness import Skip, at_end, case, equal, main
from ops import Context
from world import World

GETFLAGS, SETFLAGS = 0x80086601, 0x40086602
GETFLAGS32, SETFLAGS32 = 0x80046601, 0x40046602
FSGETXATTR, FSSETXATTR = 0x801C581F, 0x401C5820
IMMUTABLE, APPEND, NODUMP, NOATIME, PROJINHERIT = 0x10, 0x20, 0x40, 0x80, 0x20000000
X_NODUMP, X_PROJINHERIT = 0x80, 0x200
IOCTL_DIR, IOCTL_UNRESTRICTED = 1 << 4, 1 << 1
WRITE_CACHE = 1
EINVAL, ENOTTY, EBADF, EROFS = -errno.EINVAL, -errno.ENOTTY, -errno.EBADF, -errno.EROFS


def ioctl(fh, cmd, data=b"", out=0, flags=0, in_size=None):
    return struct.pack("<QIIQII", fh, flags, cmd, 0, len(data) if in_size is None else in_size,
                       out) + data


def value(reply, fmt):
    equal(reply[:16], bytes(16), "ioctl_out")
    return struct.unpack(fmt, reply[16:])


def on_host(path, cmd, size, *values):
    """The same ioctl by this process."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return fcntl.ioctl(fd, cmd, struct.pack(size, *values) if values else bytes(28))
    except OSError as e:
        raise Skip(f"no inode flags on this file system: {e}") from None
    finally:
        os.close(fd)


def flags_of(path):
    return struct.unpack("<I", on_host(path, GETFLAGS, "<I")[:4])[0]


def world(*options):
    w = World(*options)
    c = Context(w) if not options else None
    flags_of(w.daemon.share)
    return w, w.fs, c


@case("flags are the host's; what is set, the host has")
def flags():
    w, fs, c = world()
    for node, fh, name, extra in ((c.work, c.work_fh, "work", 0), (c.dir, c.dir_fh, "dir", IOCTL_DIR)):
        path = os.path.join(c.root, name)
        for get, put in ((GETFLAGS, SETFLAGS), (GETFLAGS32, SETFLAGS32)):
            for size in (4, 8):
                before = value(fs.good("IOCTL", node, ioctl(fh, get, out=size, flags=extra)),
                               "<I")[0]
                equal(before, flags_of(path), f"flags of {name}")
                wanted = before ^ NODUMP
                data = struct.pack("<I", wanted) + b"\xff" * (size - 4)
                equal(fs.good("IOCTL", node, ioctl(fh, put, data, flags=extra)), bytes(16), "set")
                equal(flags_of(path), wanted, f"flags of {name} on the host")
        x = fs.good("IOCTL", node, ioctl(fh, FSGETXATTR, out=28, flags=extra))[16:]
        equal(x, on_host(path, FSGETXATTR, "<I"), "the extended form")
        xflags, *rest = struct.unpack("<5I8x", x)
        changed = struct.pack("<5I8x", xflags ^ X_NODUMP, *rest)
        fs.good("IOCTL", node, ioctl(fh, FSSETXATTR, changed, flags=extra))
        equal(on_host(path, FSGETXATTR, "<I"), changed, "the extended form on the host")
    w.check()


@case("the project, which quotas go by, is not a guest's to change")
def project():
    w, fs, c = world()
    path = os.path.join(c.root, "work")
    before = on_host(path, FSGETXATTR, "<I")
    xflags, extsize, nextents, projid, cow = struct.unpack("<5I8x", before)
    for bad in ((xflags, extsize, nextents, projid + 1, cow),
                (xflags ^ X_PROJINHERIT, extsize, nextents, projid, cow)):
        fs.fails(EINVAL, "IOCTL", c.work, ioctl(c.work_fh, FSSETXATTR, struct.pack("<5I8x", *bad)))
    for bits in (PROJINHERIT, PROJINHERIT | NODUMP):
        fs.fails(EINVAL, "IOCTL", c.work,
                 ioctl(c.work_fh, SETFLAGS, struct.pack("<I", flags_of(path) ^ bits)))
    equal(on_host(path, FSGETXATTR, "<I"), before, "attributes on the host")
    w.check()


@case("immutable and append-only: as the daemon's capabilities are")
def immutable():
    w, fs, c = world()
    with open(f"/proc/{w.daemon.proc.pid}/status", encoding="ascii") as f:
        caps = next(int(x.split()[1], 16) for x in f if x.startswith("CapEff:"))
    may = bool(caps & 1 << 9)  # CAP_LINUX_IMMUTABLE
    path = os.path.join(c.root, "work")
    plain = flags_of(path)
    at_end(lambda: os.path.exists(path) and on_host(path, SETFLAGS, "<I", plain))
    for bit in (IMMUTABLE, APPEND):
        data = struct.pack("<I", plain | bit)
        r = fs.call("IOCTL", c.work, ioctl(c.work_fh, SETFLAGS, data))
        equal(r.error, 0 if may else -errno.EPERM, "SETFLAGS")
        equal(flags_of(path), plain | (bit if may else 0), "flags on the host")
        if may:
            fs.good("IOCTL", c.work, ioctl(c.work_fh, SETFLAGS, struct.pack("<I", plain)))
    w.check()


def write_to(fs, node, fh, data, open_flags=0, write_flags=0):
    """WRITE at the beginning, through a handle that the guest's program opened with such flags."""
    return fs.call("WRITE", node, struct.pack("<QQIIQII", fh, 0, len(data), write_flags, 0,
                                              open_flags, 0) + data, 16 + 8)


@case("what is for appending only is appended to by who opens it so, and by no page of a mapping")
def append_only():
    w, fs, c = world()
    path, before = os.path.join(c.root, "log"), b"begun"
    with open(path, "wb") as f:
        f.write(before)
    node = fs.lookup("log").nodeid
    plain = flags_of(path)
    try:
        on_host(path, SETFLAGS, "<I", plain | APPEND)
    except Skip as e:
        raise Skip(f"may not be set here: {e}") from None
    at_end(on_host, path, SETFLAGS, "<I", plain)
    for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND | os.O_TRUNC):
        fs.fails(-errno.EPERM, "OPEN", node, struct.pack("<II", flags, 0))
    for flags in (os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_APPEND):
        fh = fs.open(node, flags)
        equal(write_to(fs, node, fh, b"more", flags).error, 0, "WRITE")
        before += b"more"
        equal(write_to(fs, node, fh, b"lost", flags, WRITE_CACHE).error, -errno.EPERM,
              "what is written back")
        equal(write_to(fs, node, fh, b"lost").error, -errno.EPERM, "a handle that says otherwise")
        with open(path, "rb") as f:
            equal(f.read(), before, "the file")
        fs.release(node, fh)
    w.check()


@case("no other ioctl, no ioctl of other sizes, none on what is not open")
def others():
    w, fs, c = world()
    before = flags_of(os.path.join(c.root, "work"))
    for cmd in (0, 0x5401, 0xC0045877, 0xC0045878, 0xC020660B, 0x40049409, 0x80087601,
                SETFLAGS & 0xFFFF, 0xFFFFFFFF, 0x40046604):
        for out in (0, 8, 64, 4000):
            fs.fails(ENOTTY, "IOCTL", c.work, ioctl(c.work_fh, cmd, bytes(64), out))
    fs.fails(ENOTTY, "IOCTL", c.work, ioctl(c.work_fh, GETFLAGS, out=4, flags=IOCTL_UNRESTRICTED))
    for out in range(4):
        fs.fails(EINVAL, "IOCTL", c.work, ioctl(c.work_fh, GETFLAGS, out=out))
        fs.fails(EINVAL, "IOCTL", c.work, ioctl(c.work_fh, SETFLAGS, bytes(out)))
        # More is promised than there is.
        fs.fails(EINVAL, "IOCTL", c.work, ioctl(c.work_fh, SETFLAGS, bytes(out), in_size=4))
    fs.fails(EINVAL, "IOCTL", c.work, ioctl(c.work_fh, FSGETXATTR, out=27))
    fs.fails(EINVAL, "IOCTL", c.work, ioctl(c.work_fh, FSSETXATTR, bytes(27), in_size=28))
    # Room for the answer, not only its promise.
    for room in (16, 16 + 16, 16 + 16 + 3):
        fs.fails(EINVAL, "IOCTL", c.work, ioctl(c.work_fh, GETFLAGS, out=4), out=room)
    fs.fails(EBADF, "IOCTL", c.work, ioctl(0, GETFLAGS, out=4))
    fs.fails(EBADF, "IOCTL", c.file, ioctl(c.work_fh, GETFLAGS, out=4))
    equal(flags_of(os.path.join(c.root, "work")), before, "flags")
    w.check()


@case("--readonly: flags are read and not set")
def readonly():
    w, fs, _ = world("--readonly")
    node = fs.lookup("file").nodeid
    fh = fs.open(node)
    data = fs.good("IOCTL", node, ioctl(fh, GETFLAGS, out=4))[16:]
    fs.fails(EROFS, "IOCTL", node, ioctl(fh, SETFLAGS, data))
    x = fs.good("IOCTL", node, ioctl(fh, FSGETXATTR, out=28))[16:]
    fs.fails(EROFS, "IOCTL", node, ioctl(fh, FSSETXATTR, x))
    w.check()


main()
