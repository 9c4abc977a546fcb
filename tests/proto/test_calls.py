# SPDX-License-Identifier: BSD-2-Clause
"""Well-formed FUSE requests: right results."""

import errno
import os
import stat
import struct

from fuse import (FATTR_ATIME, FATTR_MODE, FATTR_MTIME, FATTR_SIZE, ROOT, name, parse_attr,
                  parse_entry, read_in, setattr_in)
from harness import Skip, among, case, check, equal, main
from ops import OPS, Context
from world import World, fill

EINVAL, EROFS = -errno.EINVAL, -errno.EROFS
EEXIST, ENOENT, ENOTEMPTY, ENOTDIR = (-errno.EEXIST, -errno.ENOENT, -errno.ENOTEMPTY,
                                      -errno.ENOTDIR)


def world(*options):
    w = World(*options)
    return w, w.fs, w.daemon.share


def same_attr(attr, path, what):
    st = os.lstat(path)
    equal((attr.ino, attr.size, attr.mode, attr.nlink, attr.uid, attr.gid, attr.blocks,
           attr.mtime, attr.mtimensec, attr.ctime),
          (st.st_ino, st.st_size, st.st_mode, st.st_nlink, st.st_uid, st.st_gid, st.st_blocks,
           int(st.st_mtime_ns // 10**9), st.st_mtime_ns % 10**9, int(st.st_ctime_ns // 10**9)),
          what)


# results


@case("LOOKUP, GETATTR and STATX say what the host says")
def attributes():
    w, fs, root = world()
    for text in ("file", "big", "empty", "dir", "link", "fifo"):
        entry = fs.lookup(text)
        same_attr(entry.attr, os.path.join(root, text), f"LOOKUP {text}")
        same_attr(fs.getattr(entry.nodeid), os.path.join(root, text), f"GETATTR {text}")
        check(entry.nodeid not in (0, ROOT), "node id", entry.nodeid)
        data = fs.good("STATX", entry.nodeid, struct.pack("<IIQII", 0, 0, 0, 0, 0x7FF), 304)
        equal(len(data), 288, "size of statx_out")
        st = os.lstat(os.path.join(root, text))
        _, blksize, _, nlink, uid, gid, mode, ino, size = struct.unpack_from("<IIQIIIH2xQQ",
                                                                             data, 32)
        equal((nlink, uid, gid, mode, ino, size), (st.st_nlink, st.st_uid, st.st_gid, st.st_mode,
                                                   st.st_ino, st.st_size), f"STATX {text}")
    same_attr(fs.getattr(ROOT), root, "root")
    r = fs.call("LOOKUP", ROOT, name("missing"))
    check(r.error == ENOENT or parse_entry(r.data).nodeid == 0, "LOOKUP of a name that is missing")
    fs.fails(ENOTDIR, "LOOKUP", fs.lookup("file").nodeid, name("x"))
    w.check()


@case("timeouts of the caching modes stand in entries and attributes")
def timeouts():
    for options, lo, hi in ((("--cache", "none"), 0, 0), (("--cache", "auto"), 1, 1),
                            (("--cache", "always"), 3600, 1 << 63),
                            (("--cache", "auto", "--attr-timeout", "5"), 5, 5)):
        w, fs, _ = world(*options)
        valid = fs.lookup("file").attr_valid
        check(lo <= valid <= hi, f"attr_valid {valid} with {options}")
        w.close()


@case("CREATE, WRITE, READ, FSYNC, RELEASE: the host sees the data")
def data():
    w, fs, root = world()
    entry, fh = fs.create("new", mode=0o100640)
    blob = os.urandom(300_000)
    fs.write(entry.nodeid, fh, 0, blob)
    fs.write(entry.nodeid, fh, 1_000_000, b"tail")
    fs.good("FSYNC", entry.nodeid, struct.pack("<QII", fh, 0, 0))
    with open(os.path.join(root, "new"), "rb") as f:
        want = f.read()
    equal(want[:300_000] == blob and want[1_000_000:] == b"tail", True, "contents on the host")
    for off, size in ((0, 10), (299_990, 20), (999_999, 100), (1_000_004, 10), (5_000_000, 10)):
        equal(fs.read(entry.nodeid, fh, off, size), want[off:off + size], f"READ at {off}")
    equal(os.stat(os.path.join(root, "new")).st_mode & 0o7777, 0o640, "mode")
    fs.fails(EEXIST, "CREATE", ROOT, struct.pack("<4I", 0o302, 0o644, 0, 0) + name("new"))
    fs.release(entry.nodeid, fh)
    w.check()


@case("READ of 1 MiB and beyond in one request")
def large():
    w, fs, root = world()
    with open(os.path.join(root, "large"), "wb") as f:
        f.write(os.urandom(4 << 20))
    with open(os.path.join(root, "large"), "rb") as f:
        want = f.read()
    node = fs.lookup("large").nodeid
    fh = fs.open(node, 2)
    for size in (1 << 20, (1 << 20) + 4096, 4 << 20):
        check(fs.read(node, fh, 0, size) == want[:size], "READ of", size)
    for size in (1 << 20, 2 << 20):
        fs.write(node, fh, 4096, want[:size])
    with open(os.path.join(root, "large"), "rb") as f:
        check(f.read()[4096:4096 + (2 << 20)] == want[:2 << 20], "contents on the host")
    w.check()


@case("SETATTR: size, mode, times")
def setattr_():
    w, fs, root = world()
    node = fs.lookup("file").nodeid
    path = os.path.join(root, "file")
    r = fs.good("SETATTR", node, setattr_in(FATTR_SIZE, size=5))
    equal(parse_attr(r[16:]).size, 5, "size in the reply")
    with open(path, "rb") as f:
        equal(f.read(), b"hello")
    fs.good("SETATTR", node, setattr_in(FATTR_MODE, mode=0o600))
    equal(os.stat(path).st_mode & 0o7777, 0o600, "mode")
    fs.good("SETATTR", node, setattr_in(FATTR_MTIME, mtime=1234567890))
    equal(int(os.stat(path).st_mtime), 1234567890, "mtime")
    fs.good("SETATTR", node, setattr_in(FATTR_ATIME))
    equal(int(os.stat(path).st_atime), 0, "atime")
    equal(int(os.stat(path).st_mtime), 1234567890, "mtime")
    with open(path, "wb") as f:
        f.write(b"hello, world\n")
    w.check()


@case("directories, links, renames")
def tree():
    w, fs, root = world()
    at = os.path.join
    d = parse_entry(fs.good("MKDIR", ROOT, struct.pack("<II", 0o40750, 0) + name("made")))
    equal(stat.S_IMODE(os.stat(at(root, "made")).st_mode), 0o750, "mode of the directory")
    fs.fails(EEXIST, "MKDIR", ROOT, struct.pack("<II", 0o755, 0) + name("made"))
    s = parse_entry(fs.good("SYMLINK", d.nodeid, name("sym", "../else/where")))
    equal(os.readlink(at(root, "made", "sym")), "../else/where", "target on the host")
    equal(fs.good("READLINK", s.nodeid), b"../else/where", "READLINK")
    fs.fails((EINVAL, ENOENT), "READLINK", d.nodeid)
    f = fs.lookup("file")
    linked = parse_entry(fs.good("LINK", d.nodeid, struct.pack("<Q", f.nodeid) + name("hard")))
    equal((linked.nodeid, linked.attr.nlink), (f.nodeid, 2), "a hard link")
    fs.fails(ENOTEMPTY, "RMDIR", ROOT, name("made"))
    fs.fails(ENOTDIR, "RMDIR", ROOT, name("file"))
    fs.fails((-errno.EISDIR, -errno.EPERM), "UNLINK", ROOT, name("made"))
    fs.good("RENAME", ROOT, struct.pack("<Q", d.nodeid) + name("empty", "moved"))
    check(os.path.exists(at(root, "made", "moved")), "RENAME")
    fs.fails(EEXIST, "RENAME2", d.nodeid,
             struct.pack("<QII", d.nodeid, 1, 0) + name("sym", "hard"))
    fs.good("RENAME2", d.nodeid, struct.pack("<QII", d.nodeid, 2, 0) + name("sym", "hard"))
    equal(os.readlink(at(root, "made", "hard")), "../else/where", "after the exchange")
    fs.fails(EINVAL, "RENAME2", d.nodeid, struct.pack("<QII", d.nodeid, 0xF0, 0) + name("a", "b"))
    fs.fails(EINVAL, "RENAME2", d.nodeid,
             struct.pack("<QII", d.nodeid, 3, 0) + name("sym", "hard"))
    equal(fs.names(d.nodeid), sorted(os.listdir(at(root, "made")) + [".", ".."]), "READDIR")
    for text in ("sym", "hard", "moved"):
        fs.good("UNLINK", d.nodeid, name(text))
    fs.good("RMDIR", ROOT, name("made"))
    check(not os.path.exists(at(root, "made")), "RMDIR")
    fs.good("MKNOD", ROOT, struct.pack("<4I", 0o010600, 0, 0, 0) + name("pipe"))
    check(stat.S_ISFIFO(os.stat(at(root, "pipe")).st_mode), "MKNOD")
    w.check()


@case("a file that was unlinked still serves its node and handle")
def unlinked():
    w, fs, root = world()
    entry, fh = fs.create("gone")
    fs.good("UNLINK", ROOT, name("gone"))
    fs.write(entry.nodeid, fh, 0, b"still here")
    equal(fs.read(entry.nodeid, fh, 0, 100), b"still here")
    equal((fs.getattr(entry.nodeid).size, fs.getattr(entry.nodeid).nlink), (10, 0))
    fs.release(entry.nodeid, fh)
    w.check()


@case("READDIR in small steps, from every offset, and again from the start")
def readdir():
    w, fs, root = world()
    fill(root, 50)
    node = fs.lookup("dir").nodeid
    fh = fs.opendir(node)
    whole = fs.readdir(node, fh, 0, 16384)
    equal(sorted(d.name for d in whole),
          sorted(os.listdir(os.path.join(root, "dir")) + [".", ".."]), "names")
    for i, d in enumerate(whole):
        rest = fs.readdir(node, fh, d.off, 16384)
        equal([x.name for x in rest], [x.name for x in whole[i + 1:]], f"from {d.off}")
    for d in whole:
        if d.name not in (".", ".."):
            equal(d.ino, os.lstat(os.path.join(root, "dir", d.name)).st_ino, "inode number")
            equal(d.type, 8 if d.name not in ("sub",) else 4, f"type of {d.name}")
    equal(sorted(fs.names(node, 64)), sorted(d.name for d in whole), "64 bytes at a time")
    fs.fails(EINVAL, "READDIR", node, read_in(fh, 0, 16))  # no entry fits
    w.check()


@case("a READDIR that failed does not spoil the next")
def readdir_after_error():
    w, fs, root = world()
    fill(root, 20)
    node = fs.lookup("dir").nodeid
    whole = [d.name for d in fs.readdir(node, fs.opendir(node), 0, 8192)]
    fh = fs.opendir(node)
    first = fs.readdir(node, fh, 0, 40)
    for offset in (1 << 63, (1 << 64) - 1, (1 << 62) + 12345):
        fs.call("READDIR", node, read_in(fh, offset, 4096))
        fs.call("READDIRPLUS", node, read_in(fh, first[-1].off, 8), 24)  # no entry fits
        rest = [d.name for d in fs.readdir(node, fh, first[-1].off, 8192)]
        equal([d.name for d in first] + rest, whole, f"after offset {offset:#x}")
    w.check()


@case("ACCESS as one user after a failed request of another")
def access_users():
    if os.getuid():
        raise Skip("needs root to serve several users")
    w, fs, root = world()
    os.chmod(os.path.join(root, "file"), 0o600)
    os.chmod(root, 0o755)
    node = fs.lookup("file").nodeid
    read = struct.pack("<II", 4, 0)
    for before in range(3):
        if before:  # as 1000, which leaves that user's rights behind or not
            fs.fails(EEXIST, "MKDIR", ROOT, struct.pack("<II", 0o755, 0) + name("dir"), uid=1000,
                     gid=1000)
        fs.fails(-errno.EACCES, "ACCESS", node, read, uid=1000 + before, gid=1000 + before)
        fs.good("ACCESS", node, read)
        fs.fails(-errno.EACCES, "ACCESS", node, read, uid=1000, gid=1000)
        fs.fails(-errno.EACCES, "CREATE", ROOT,
                 struct.pack("<4I", 2, 0o644, 0, 0) + name("file"), uid=1001, gid=1001)
        if before == 2:
            fs.fails(-errno.EACCES, "ACCESS", node, read, uid=1002, gid=1002)
    w.check()


@case("STATFS, ACCESS, FALLOCATE, LSEEK, COPY_FILE_RANGE with 32 and 64 bits, SYNCFS")
def others():
    w, fs, root = world()
    c = Context(w)
    blocks, _, _, files, _, bsize, namelen, frsize = struct.unpack_from("<5Q3I",
                                                                        fs.good("STATFS"))
    v = os.statvfs(root)
    equal((blocks, files, bsize, namelen, frsize), (v.f_blocks, v.f_files, v.f_bsize, v.f_namemax,
                                                    v.f_frsize), "STATFS")
    for mask in range(8):
        among(fs.call("ACCESS", c.file, struct.pack("<II", mask, 0)).error, (0, -errno.EACCES))
    fs.good("FALLOCATE", c.work, struct.pack("<QQQII", c.work_fh, 0, 1000, 0, 0))
    equal(fs.getattr(c.work).size, 1000, "size after FALLOCATE")
    fs.good("FALLOCATE", c.work, struct.pack("<QQQII", c.work_fh, 0, 2000, 1, 0))
    equal(fs.getattr(c.work).size, 1000, "size after FALLOCATE with KEEP_SIZE")
    for whence, off, want in ((3, 0, 0), (4, 0, 1000)):
        got = fs.good("LSEEK", c.work, struct.pack("<QQII", c.work_fh, off, whence, 0))
        equal(struct.unpack("<Q", got)[0], want, f"LSEEK {whence}")
    fs.fails(-errno.ENXIO, "LSEEK", c.work, struct.pack("<QQII", c.work_fh, 5000, 3, 0))
    got = fs.good("COPY_FILE_RANGE", c.file, struct.pack("<7Q", c.file_fh, 7, c.work, c.work_fh,
                                                         500, 100, 0))
    equal(struct.unpack("<II", got)[0], 6, "bytes copied")
    equal(fs.read(c.work, c.work_fh, 500, 6), b"world\n", "copied data")
    got = fs.good("COPY_FILE_RANGE_64", c.file, struct.pack("<7Q", c.file_fh, 0, c.work, c.work_fh,
                                                            800, (1 << 63) - 4096, 0))
    equal(struct.unpack("<Q", got)[0], 13, "bytes copied")
    equal(fs.read(c.work, c.work_fh, 800, 13), b"hello, world\n", "copied data")
    fs.good("SYNCFS", ROOT, bytes(8))
    w.check()


@case("--readonly: every change is -EROFS, reading is as ever")
def readonly():
    w, fs, root = world("--readonly")
    c = type("Tree", (), {})()
    c.fs, c.root, c.n = fs, root, 0
    c.fresh = lambda: "fresh"
    c.fresh_file, c.fresh_dir = (lambda: "empty"), (lambda: "dir")
    c.file = c.work = fs.lookup("file").nodeid
    c.dir = fs.lookup("dir").nodeid
    c.file_fh = c.work_fh = fs.open(c.file)
    before = sorted(os.listdir(root))
    fs.fails(EROFS, "SETXATTR", c.file, struct.pack("<II", 1, 0) + name("user.a") + b"v")
    fs.fails(EROFS, "REMOVEXATTR", c.file, name("user.a"))
    for op in ("SETATTR", "SYMLINK", "MKNOD", "MKDIR", "UNLINK", "RMDIR", "RENAME", "RENAME2",
               "LINK", "CREATE"):
        node, args, out = OPS[op](c)
        fs.fails(EROFS, op, node, args, 16 + out)
    for op in ("WRITE", "FALLOCATE", "COPY_FILE_RANGE", "COPY_FILE_RANGE_64"):
        node, args, out = OPS[op](c)
        fs.fails((EROFS, -errno.EBADF), op, node, args, 16 + out)
    for flags in (1, 2, 0o1000, 0o1001):
        fs.fails(EROFS, "OPEN", c.file, struct.pack("<II", flags, 0))
    fs.fails(EROFS, "ACCESS", c.file, struct.pack("<II", 2, 0))
    equal(sorted(os.listdir(root)), before, "the directory")
    w.check()


@case("--no-readdirplus: not granted, not served")
def no_readdirplus():
    w = World("--no-readdirplus", init=False)
    flags = w.fs.init()[3]
    equal(flags & (1 << 13 | 1 << 14), 0, "READDIRPLUS flags")
    w.check()


if __name__ == "__main__":
    main()
