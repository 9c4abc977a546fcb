# SPDX-License-Identifier: BSD-2-Clause
"""proto/version_ops.h by experiment: each operation is done by the daemon, on a tree of its own, and
what has changed is looked up on the host. Nothing changes that the table does not mark, in no inode
nearby either, and nothing is marked that never changes."""

import ctypes
import fcntl
import os
import re
import struct
import time

from fuse import (FATTR_ATIME, FATTR_GID, FATTR_MODE, FATTR_MTIME, FATTR_SIZE, FATTR_UID, name, setattr_in,
                  write_in)
from harness import Skip, case, check, equal, main
from versions import table
from world import World

SRC = os.environ["CAUSEWAY_SRC"]
COARSE = 5  # CLOCK_REALTIME_COARSE: what file times are taken from
GETFLAGS, SETFLAGS, NODUMP = 0x80086601, 0x40086602, 0x40
O_RDWR, O_TRUNC, O_TMPFILE = 0o2, 0o1000, 0o20200000
EXCHANGE, WHITEOUT = 2, 4
AT_FDCWD = -100
# Whom a file can be given to.
OWNER = (1, 1) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
# Only with a window is there anything to map, or to be written back.
FOR_A_WINDOW = {"SETUPMAPPING", "REMOVEMAPPING"}


def touched(bits, value):
    return {n for bit, n in bits.items() if bit & value}


@case("every operation has its row, and what changes something marks something")
def complete():
    rows, _ = table()
    with open(f"{SRC}/proto/fuse_ops.h", encoding="utf-8") as f:
        served = dict(re.findall(r"(?m)^\tX\((\w+),.*,\s*([\w |]+)\)", f.read()))
    check(len(served) > 40, f"only {len(served)} operations found")
    equal(set(served) - set(rows), set(), "operations without a row")
    equal(set(rows) - set(served), set(), "rows of no operation")
    for op, flags in served.items():
        _, marks, more, when = rows[op]
        equal("FUSE_OP_CHANGES" in flags, bool(marks), f"{op} changes always")
        equal(when != "NEVER", bool(more), f"{op} has a condition and something under it")


class Scene:
    """A fresh tree, and everything in it held open: it is looked at also where it has no name."""

    FILES = {"a/f": "one", "a/g": "two", "b/f": "three"}
    FOLDERS = ("a", "b", "a/sub", "b/sub")
    count = 0

    def __init__(self, w):
        self.fs = w.fs
        Scene.count += 1
        self.top = f"scene{Scene.count}"
        self.path = os.path.join(w.daemon.share, self.top)
        for folder in ("", *self.FOLDERS):
            os.mkdir(os.path.join(self.path, folder))
        for path, text in self.FILES.items():
            with open(os.path.join(self.path, path), "w", encoding="utf-8") as f:
                f.write(text)
            os.setxattr(os.path.join(self.path, path), "user.old", b"old")
        self.fds = {p: os.open(os.path.join(self.path, p), os.O_RDONLY)
                    for p in (*self.FOLDERS, *self.FILES)}

    def close(self):
        for fd in self.fds.values():
            os.close(fd)

    def node(self, path):
        at = self.fs.lookup(self.top).nodeid
        for part in path.split("/"):
            at = self.fs.lookup(part, at).nodeid
        return at

    def open(self, path, flags=O_RDWR):
        return self.fs.open(self.node(path), flags)

    def flags(self, path):
        """Inode flags: those that are not to change have to stay."""
        return struct.unpack("<II", fcntl.ioctl(self.fds[path], GETFLAGS, bytes(8)))[0]

    def inodes(self):
        return {os.lstat(os.path.join(top, n)).st_ino
                for top, folders, files in os.walk(self.path) for n in folders + files}

    def look(self):
        """{(path, kind): what it is now}; of names {(folder, name): inode}."""
        seen, names = {}, {}
        for path, fd in self.fds.items():
            st = os.fstat(fd)
            seen[path, "ATTR"] = (st.st_mode, st.st_uid, st.st_gid, st.st_nlink, st.st_size, st.st_mtime_ns,
                                  st.st_ctime_ns, {n: os.getxattr(fd, n) for n in os.listxattr(fd)})
            if path in self.FILES:
                seen[path, "DATA"] = os.pread(fd, 1 << 20, 0)
                continue
            found = {e.name: e.inode() for e in os.scandir(fd)}
            # One that is gone does not list itself any more, nor the one above it.
            itself = st.st_nlink and os.stat("..", dir_fd=fd).st_ino
            seen[path, "LIST"] = (found, itself)
            names.update({(path, n): ino for n, ino in found.items()})
        return seen, names

    def wait(self):
        """Until a change now has another time than what has been changed."""
        newest = max(os.fstat(fd).st_ctime_ns for fd in self.fds.values())
        while time.clock_gettime_ns(COARSE) <= newest:
            time.sleep(0.001)


def changes(scene, act):
    """What an act changes: {(path, kind)}, {(folder, name)}, and whether an inode is made."""
    scene.wait()
    before, names, inodes = *scene.look(), scene.inodes()
    made = act()
    after, names_after = scene.look()
    return ({k for k in before if before[k] != after[k]},
            {k for k in {**names, **names_after} if names.get(k) != names_after.get(k)},
            bool(made) or bool(scene.inodes() - inodes))


def roles_of(roles, things, names, made):
    """The bits' names for what has changed; what has none is given as it is."""
    for path, kind in things:
        bits = [f"{role}_{kind}" for role, p in roles.items() if p == path]
        yield bits or [f"{kind} of {path}"]
    for at in names:
        yield [role for role, p in roles.items() if p == at] or [f"the name {at}"]
    if made:
        yield ["CHILD_ATTR"]



def setx(key, value):
    return struct.pack("<II", len(value), 0) + name(key) + value


def copy_range(s):
    return struct.pack("<7Q", s.open("a/f"), 0, s.node("b/f"), s.open("b/f"), 0, 3, 0)


IN_A = {"NODE": "a", "NAME": ("a", "new")}
FILE = {"NODE": "a/f"}
# operation, where `when` holds, {role: path, or of a name folder and name}, the request
EXPERIMENTS = (
    ("SETATTR", False, FILE, lambda s: ("a/f", setattr_in(FATTR_MODE, mode=0o100600))),
    ("SETATTR", True, FILE, lambda s: ("a/f", setattr_in(FATTR_SIZE, size=1))),
    ("SETATTR", False, FILE, lambda s: ("a/f", setattr_in(FATTR_UID | FATTR_GID, uid=OWNER[0],
                                                          gid=OWNER[1]))),
    ("SETATTR", False, FILE, lambda s: ("a/f", setattr_in(FATTR_ATIME | FATTR_MTIME, mtime=12345))),
    ("SYMLINK", False, IN_A, lambda s: ("a", name("new", "target"))),
    ("MKNOD", False, IN_A, lambda s: ("a", struct.pack("<4I", 0o10644, 0, 0, 0) + name("new"))),
    ("MKDIR", False, IN_A, lambda s: ("a", struct.pack("<II", 0o755, 0) + name("new"))),
    ("LINK", False, {**IN_A, "CHILD": "b/f"},
     lambda s: ("a", struct.pack("<Q", s.node("b/f")) + name("new"))),
    ("CREATE", False, IN_A, lambda s: ("a", struct.pack("<4I", O_RDWR, 0o644, 0, 0) + name("new"))),
    ("CREATE", True, {**IN_A, "NAME": ("a", "f"), "CHILD": "a/f"},
     lambda s: ("a", struct.pack("<4I", O_RDWR | O_TRUNC, 0o644, 0, 0) + name("f"))),
    ("UNLINK", False, {"NODE": "a", "NAME": ("a", "f"), "CHILD": "a/f"}, lambda s: ("a", name("f"))),
    ("RMDIR", False, {"NODE": "a", "NAME": ("a", "sub"), "CHILD": "a/sub"},
     lambda s: ("a", name("sub"))),
    ("OPEN", False, FILE, lambda s: ("a/f", struct.pack("<II", O_RDWR, 0))),
    ("OPEN", True, FILE, lambda s: ("a/f", struct.pack("<II", O_RDWR | O_TRUNC, 0))),
    ("WRITE", False, FILE, lambda s: ("a/f", write_in(s.open("a/f"), 1, 4) + b"more")),
    ("FALLOCATE", False, FILE, lambda s: ("a/f", struct.pack("<QQQII", s.open("a/f"), 0, 99, 0, 0))),
    ("SETXATTR", False, FILE, lambda s: ("a/f", setx("user.new", b"x"))),
    ("REMOVEXATTR", False, FILE, lambda s: ("a/f", name("user.old"))),
    ("COPY_FILE_RANGE", False, {"NODE": "a/f", "TO": "b/f"}, lambda s: ("a/f", copy_range(s))),
    ("COPY_FILE_RANGE_64", False, {"NODE": "a/f", "TO": "b/f"}, lambda s: ("a/f", copy_range(s))),
    *((op, one == "sub", {"NODE": "a", "NAME": ("a", one), "CHILD": f"a/{one}",
                   "TO": "b", "TO_NAME": ("b", one), "TO_CHILD": f"b/{one}"},
       lambda s, op=op, one=one, flags=flags: (
           "a", struct.pack("<Q", s.node("b")) + flags + name(one, one)))
      for op, flags in (("RENAME", b""), ("RENAME2", struct.pack("<II", EXCHANGE, 0)),
                        ("RENAME2", struct.pack("<II", WHITEOUT, 0)))
      for one in ("f", "sub")),
    ("TMPFILE", False, {"NODE": "a"},
     lambda s: ("a", struct.pack("<4I", O_RDWR | O_TMPFILE, 0o644, 0, 0) + name("/"))),
    ("IOCTL", True, FILE, lambda s: ("a/f", struct.pack("<QIIQII", s.open("a/f"), 0, SETFLAGS, 0, 4, 0) +
                                     struct.pack("<I", s.flags("a/f") | NODUMP))),
    # What shows something changes nothing but times of access.
    ("GETATTR", False, FILE, lambda s: ("a/f", struct.pack("<IIQ", 0, 0, 0))),
    ("READ", False, FILE, lambda s: ("a/f", struct.pack("<QQIIQII", s.open("a/f"), 0, 9, 0, 0, 0, 0))),
    ("LISTXATTR", False, FILE, lambda s: ("a/f", struct.pack("<II", 999, 0))),
    ("READDIRPLUS", False, {"NODE": "a"},
     lambda s: ("a", struct.pack("<QQIIQII", s.fs.opendir(s.node("a")), 0, 4096, 0, 0, 0, 0))),
    ("FSYNC", False, FILE, lambda s: ("a/f", struct.pack("<QII", s.open("a/f"), 0, 0))),
    ("FLUSH", False, FILE, lambda s: ("a/f", struct.pack("<QIIQ", s.open("a/f"), 0, 0, 0))),
)


def has_flags(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, GETFLAGS, bytes(8))
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def has_whiteouts(path):
    one, other = (os.path.join(path, n).encode() for n in ("one", "other"))
    with open(one, "w", encoding="utf-8"):
        pass
    done = ctypes.CDLL(None).renameat2(AT_FDCWD, one, AT_FDCWD, other, WHITEOUT) == 0
    for p in (one, other):
        if os.path.lexists(p):
            os.unlink(p)
    return done


@case("each operation changes what its row says, all of it and nothing else")
def effects():
    rows, bits = table()
    w = World("--xattr")
    try:
        os.setxattr(w.daemon.share, "user.probe", b"x")
    except OSError:
        raise Skip("no user attributes in the directory for temporary files") from None
    seen = {}
    untried = {"RELEASE", "FLUSH", "FSYNC", *FOR_A_WINDOW}  # what a window's copies do
    if not has_flags(w.daemon.share):
        untried.add("IOCTL")
    whiteouts = has_whiteouts(w.daemon.share)
    for op, when, roles, request in EXPERIMENTS:
        if op == "IOCTL" and op in untried:
            continue
        s = Scene(w)
        node, args = request(s)
        if op == "RENAME2" and not whiteouts and args[8:12] == struct.pack("<I", WHITEOUT):
            s.close()
            continue
        node = s.node(node)
        things, names, made = changes(s, lambda: w.fs.good(op, node, args) and op == "TMPFILE")
        _, marks, more, _ = rows[op]
        may = touched(bits, marks | (more if when else 0))
        for bit in roles_of(roles, things, names, made):
            check(may & set(bit), f"{op} changes {' or '.join(bit)}, and marks only {sorted(may)}")
            seen.setdefault(op, set()).update(may & set(bit))
        s.close()
    for op, (_, marks, more, _) in rows.items():
        if op not in untried:
            equal(seen.get(op, set()), touched(bits, marks | more), f"what {op} was seen to change")
    w.check()


main()
