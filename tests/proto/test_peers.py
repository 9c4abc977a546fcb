# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain timeout=300
"""Random sequences of honest requests to this daemon and to another, each on a tree of its own:
QEMU's C virtiofsd, and with --full virtiofsd 1.14. The replies must say the same, and the trees on
the host must be the same in the end; a difference that is meant is in EXPLAINED, with who is right.

The seeds are fixed unless PROTO_SEED names one; PROTO_ROUNDS multiplies the work."""

import errno
import os
import random
import re
import stat
import struct
import subprocess

from daemon import Daemon
from differ import Pair
from fuse import (FATTR_FH, FATTR_GID, FATTR_MODE, FATTR_MTIME, FATTR_SIZE, FATTR_UID, name,
                  parse_attr, read_in, setattr_in, write_in)
from harness import Failure, Skip, add, check, equal, main
from world import World

FULL = bool(os.environ.get("CAUSEWAY_FULL"))
ROUNDS = float(os.environ.get("PROTO_ROUNDS", "4" if FULL else "1"))
REQUESTS = 1500
C_DAEMON = "/usr/lib/qemu/virtiofsd"

# (peer or "", operation, field, ours, theirs: patterns for all of the text; who is right, and why).
EXPLAINED = (
    ("C", "ACCESS", "error|data", ".*", "-ENOSYS|None", "ours: the C daemon leaves it to the "
     "guest, whose kernel asks only where it does not check by itself (no default_permissions)"),
    ("", "LOOKUP", "error|entry", "0|none", "-ENOENT|None", "both: without a node the guest "
     "keeps the missing name for the time of entries, with an error it asks each time"),
    ("C", "READDIR|READDIRPLUS", "error|names", "-ENOENT", "0|{}", "ours: getdents of a removed "
     "directory fails with ENOENT, which the C daemon's readdir() hides"),
    ("Rust", "ACCESS", "error", "0", "-EACCES", "ours: to root a directory is open that nobody may "
     "search; virtiofsd asks for one of the x bits, as for a file"),
)

READ_MOST = 1 << 20  # bytes that one READ can ask for
NAMES = [b"a", b"b", b"c", b"d", b"e", b"f", b"\xff\xfe\x80", b"n" * 255]
ATTRS = ["user.a", "user.b", "user.longer"]
MODES = (0o644, 0o600, 0o755, 0o777, 0o1777, 0o2755, 0o4755, 0o2770)


def check_seek(offset, whence, reply, content):
    """A reply to LSEEK may be so, by what one READ tells of the file."""
    if reply.error == -errno.ENXIO:
        check(not content[offset:].strip(b"\0") if whence == os.SEEK_DATA else
              offset >= len(content), "ENXIO is so", offset, whence, len(content))
        return
    equal(reply.error, 0, "error of LSEEK")
    at, = struct.unpack("<Q", reply.data)
    check(offset <= at and (at <= len(content) or len(content) == READ_MOST),
          "it is inside the file", offset, at, len(content))
    if whence == os.SEEK_DATA:
        check(not content[offset:at].strip(b"\0"), "no data was skipped", offset, at)
    else:
        check(not content[at:at + 1].strip(b"\0"), "a hole reads as zeros", offset, at)


class Sequence:
    """One run. Each method that begins with do_ is an operation that a guest's kernel could send
    in the state that the model is in."""

    def __init__(self, rng, pair):
        self.rng, self.pair = rng, pair
        self.operations = [getattr(self, n) for n in dir(self) if n.startswith("do_")]

    # choices

    def any(self, wanted=lambda n: True):
        """A node; the younger ones oftener, for things to happen near each other."""
        nodes = [n for n in self.pair.nodes if wanted(n)]
        return self.choose(nodes[-6:] if self.rng.random() < 0.6 else nodes)

    def choose(self, of):
        return self.rng.choice(of) if of else None

    def dir(self):
        return self.pair.root if self.rng.random() < 0.4 else self.any(lambda n: n.is_dir())

    def file(self):
        return self.any(lambda n: n.is_file())

    def handle(self, wanted):
        return self.choose([h for h in self.pair.handles if wanted(h)])

    def name(self):
        return self.rng.choice(NAMES)

    def owner(self, parent):
        """Who creates something: another than root only where the guest would let it."""
        free = parent.mode & 0o007 == 0o007
        return self.rng.choice(({}, {"uid": 1000, "gid": 1000} if free else {}))

    def length(self):
        return self.rng.choice((0, 1, 100, 4095, 4096, 10000, self.rng.randrange(100000)))

    # names

    def do_lookup(self):
        text = self.name()
        self.pair.call("LOOKUP", self.dir(), name(text), 128, text)

    def do_mkdir(self):
        text, mode, parent = self.name(), self.rng.choice(MODES), self.dir()
        self.pair.call("MKDIR", parent, struct.pack("<II", mode, 0) + name(text), 128,
                       f"{text} {mode:o}", **self.owner(parent))

    def do_mknod(self):
        text, kind = self.name(), self.rng.choice((stat.S_IFIFO, stat.S_IFREG, stat.S_IFSOCK,
                                                   stat.S_IFCHR))
        parent, dev = self.dir(), 0x105 if kind == stat.S_IFCHR else 0
        mode = kind | self.rng.choice(MODES)
        self.pair.call("MKNOD", parent, struct.pack("<4I", mode, dev, 0, 0) + name(text), 128,
                       f"{text} {mode:o}", **self.owner(parent))

    def do_symlink(self):
        text, parent = self.name(), self.dir()
        self.pair.call("SYMLINK", parent, name(text, self.name()), 128, text,
                       **self.owner(parent))

    def do_link(self):
        node, text = self.any(lambda n: not n.is_dir()), self.name()
        if node:
            self.pair.call("LINK", self.dir(), lambda i: struct.pack("<Q", node.ids[i]) + name(text), 128,
                           f"{text} to {self.pair.nodes.index(node)}")

    def do_create(self):
        text, mode, parent = self.name(), self.rng.choice(MODES), self.dir()
        flags = os.O_CREAT | self.rng.choice((os.O_RDWR, os.O_WRONLY)) | self.rng.choice(
            (0, 0, os.O_EXCL, os.O_TRUNC, os.O_APPEND))
        # Linux creates what it has found missing. (The C daemon is aborted by its C library for a
        # CREATE of what is there: it opens that with O_CREAT and without a mode.)
        if self.pair.find(parent, text):
            return
        r = self.pair.call("CREATE", parent, struct.pack("<4I", flags, mode, 0, 0) + name(text),
                           144, f"{text} {mode:o} {flags:#o}", **self.owner(parent))
        if r:
            self.pair.opened(self.pair.node_of(r), r, flags, 128)

    # Linux looks names up before it removes or renames them, and sends what makes sense only.

    def do_unlink(self):
        text, parent = self.name(), self.dir()
        node = self.pair.find(parent, text)
        if node:
            self.pair.call("RMDIR" if node.is_dir() else "UNLINK", parent, name(text), 0, text)

    do_unlink_more = do_unlink

    def do_rename(self):
        old, new, parent, to = self.name(), self.name(), self.dir(), self.dir()
        node, victim = self.pair.find(parent, old), self.pair.find(to, new)
        flags = self.rng.choice((0, 2) if victim else (0, 1))
        if not node or (victim and not flags and victim.is_dir() != node.is_dir()):
            return
        op = "RENAME2" if flags or self.rng.random() < 0.5 else "RENAME"
        self.pair.call(op, parent, lambda i: (
            struct.pack("<QII", to.ids[i], flags, 0) if op == "RENAME2" else
            struct.pack("<Q", to.ids[i])) + name(old, new), 0,
            f"{old} to {new} in {self.pair.nodes.index(to)} {flags}")

    def do_forget(self):
        if len(self.pair.nodes) > 12:
            node = self.rng.choice(self.pair.nodes[1:])
            if not any(h.node is node for h in self.pair.handles):
                self.pair.forget(node, self.rng.randint(1, node.count))

    # attributes

    def do_getattr(self):
        self.pair.call("GETATTR", self.any(), struct.pack("<IIQ", 0, 0, 0), 104)

    def do_getattr_of_handle(self):
        h = self.handle(lambda h: h.node.is_file())
        if h:
            self.pair.call("GETATTR", h.node, lambda i: struct.pack("<IIQ", 1, 0, h.fhs[i]), 104)

    def do_setattr(self):
        node, valid = self.any(lambda n: not stat.S_ISLNK(n.mode)), 0
        valid |= self.rng.choice((FATTR_MODE, FATTR_UID, FATTR_GID, FATTR_UID | FATTR_GID,
                                  FATTR_MTIME, FATTR_SIZE if node.is_file() else 0))
        given = {"mode": stat.S_IFMT(node.mode) | self.rng.choice(MODES),
                 "uid": self.rng.choice((0, 1000)), "gid": self.rng.choice((0, 1000, 2000)),
                 "size": self.length(), "mtime": self.rng.randrange(1 << 31)}
        h = self.handle(lambda h: h.node is node and h.flags & 3)
        if h and valid == FATTR_SIZE:
            valid |= FATTR_FH
        r = self.pair.call("SETATTR", node, lambda i: setattr_in(
            valid, fh=h.fhs[i] if valid & FATTR_FH else 0, **given), 104, f"{valid:#x} {given}")
        if r and valid & FATTR_MTIME:
            equal([parse_attr(x.data[16:]).mtime for x in r], [given["mtime"]] * 2, "mtime")

    def do_readlink(self):
        node = self.any(lambda n: stat.S_ISLNK(n.mode))
        if node:
            self.pair.call("READLINK", node, b"", 4096)

    def do_access(self):
        node, mask = self.any(), self.rng.randrange(8)
        self.pair.call("ACCESS", node, struct.pack("<II", mask, 0), 0, f"{mask} of {node.mode:o}")

    def do_statfs(self):
        self.pair.call("STATFS", self.any(), b"", 80)

    # extended attributes

    def attr_node(self):
        return self.any(lambda n: n.is_dir() or n.is_file())

    def do_setxattr(self):
        value, flags = self.rng.randbytes(self.rng.choice((0, 1, 20))), self.rng.choice((0, 1, 2))
        attr = self.rng.choice(ATTRS)
        self.pair.call("SETXATTR", self.attr_node(), struct.pack("<II", len(value), flags) +
                       name(attr) + value, 0, f"{attr} {flags}")

    def do_getxattr(self):
        size = self.rng.choice((0, 10, 1000))
        self.pair.call("GETXATTR", self.attr_node(), struct.pack("<II", size, 0) +
                       name(self.rng.choice(ATTRS)), max(size, 8))

    def do_listxattr(self):
        size = self.rng.choice((0, 10, 1000))
        self.pair.call("LISTXATTR", self.attr_node(), struct.pack("<II", size, 0), max(size, 8))

    def do_removexattr(self):
        self.pair.call("REMOVEXATTR", self.attr_node(), name(self.rng.choice(ATTRS)), 0)

    # files

    def do_open(self):
        node = self.file()
        if node and len(self.pair.handles) < 40:
            flags = self.rng.choice((os.O_RDONLY, os.O_RDWR, os.O_WRONLY,
                                     os.O_WRONLY | os.O_APPEND, os.O_RDWR | os.O_TRUNC))
            r = self.pair.call("OPEN", node, struct.pack("<II", flags, 0), 16, f"{flags:#o}")
            self.pair.opened(node, r, flags)

    def do_release(self):
        h = self.handle(lambda h: True)
        if h:
            self.pair.release(h)

    def do_read(self):
        h = self.handle(lambda h: h.node.is_file() and h.flags & 3 != os.O_WRONLY)
        if h:
            offset, size = self.length(), self.length()
            self.pair.call("READ", h.node, lambda i: read_in(h.fhs[i], offset, size), size,
                           f"{offset} {size}")

    do_read_more = do_read

    def do_write(self):
        h = self.handle(lambda h: h.node.is_file() and h.flags & 3)
        if h and not h.flags & os.O_APPEND:
            offset, data = self.length(), self.rng.randbytes(self.length())
            self.pair.call("WRITE", h.node, lambda i: write_in(h.fhs[i], offset, len(data)) + data,
                           8, f"{offset} {len(data)}")

    do_write_more = do_write

    def do_append(self):
        """At the end, as a kernel that keeps the size does."""
        h = self.handle(lambda h: h.node.is_file() and h.flags & os.O_APPEND)
        r = h and self.pair.call("GETATTR", h.node, struct.pack("<IIQ", 0, 0, 0), 104)
        if r:
            size, data = struct.unpack_from("<Q", r[0].data, 24)[0], self.rng.randbytes(100)
            self.pair.call("WRITE", h.node, lambda i: write_in(h.fhs[i], size, 100) + data, 8)

    def do_flush(self):
        h = self.handle(lambda h: h.node.is_file())
        if h:
            self.pair.call("FLUSH", h.node, lambda i: struct.pack("<QIIQ", h.fhs[i], 0, 0, 0), 0)

    def do_fsync(self):
        h = self.handle(lambda h: True)
        if h and self.rng.random() < 0.1:
            op = "FSYNCDIR" if h.node.is_dir() else "FSYNC"
            self.pair.call(op, h.node, lambda i: struct.pack("<QII", h.fhs[i], 1, 0), 0)

    def do_fallocate(self):
        h = self.handle(lambda h: h.node.is_file() and h.flags & 3)
        if h:
            # Preallocate, keep the size, punch a hole, zero.
            mode, offset, length = self.rng.choice((0, 1, 3, 0x10)), self.length(), self.length()
            self.pair.call("FALLOCATE", h.node, lambda i: struct.pack(
                "<QQQII", h.fhs[i], offset, length + 1, mode, 0), 0, f"{mode} {offset} {length}")

    def do_lseek(self):
        """Where zeros are a hole is the host file system's affair, which says so for each of the
        two files, and otherwise once it has written one of them back. Data must not be skipped."""
        h = self.handle(lambda h: h.node.is_file() and h.flags & 3 != os.O_WRONLY)
        if not h:
            return
        offset, whence = self.length(), self.rng.choice((os.SEEK_DATA, os.SEEK_HOLE))
        r = self.pair.ask("LSEEK", h.node, lambda i: struct.pack("<QQII", h.fhs[i], offset,
                                                                 whence, 0), 8, f"{offset} {whence}")
        whole = self.pair.call("READ", h.node, lambda i: read_in(h.fhs[i], 0, READ_MOST), READ_MOST)
        if whole:
            for side in range(2):
                check_seek(offset, whence, r[side], whole[side].data)

    def do_copy(self):
        a = self.handle(lambda h: h.node.is_file() and h.flags & 3 != os.O_WRONLY)
        b = self.handle(lambda h: h.node.is_file() and h.flags & 3 and not h.flags & os.O_APPEND)
        if a and b:
            at, to, size = self.length(), self.length(), self.length()
            self.pair.call("COPY_FILE_RANGE", a.node, lambda i: struct.pack(
                "<7Q", a.fhs[i], at, b.node.ids[i], b.fhs[i], to, size, 0), 8,
                f"{at} {to} {size}")

    # directories

    def do_list(self):
        self.pair.names(self.dir())

    def do_readdirplus(self):
        node = self.dir()
        r = self.pair.call("OPENDIR", node, struct.pack("<II", 0o200000, 0), 16)
        h = self.pair.opened(node, r, 0)
        if h:
            self.pair.call("READDIRPLUS", node, lambda i: read_in(h.fhs[i], 0, 16384), 16384)
            self.pair.release(h)

    def run(self, requests):
        while self.pair.requests < requests:
            self.rng.choice(self.operations)()
        while self.pair.handles:
            self.pair.release(self.pair.handles[0])
        self.pair.compare_trees()


def rust_daemon():
    """virtiofsd 1.14, run with its own loader."""
    setup = os.path.join(os.environ["CAUSEWAY_SRC"], "tools/setup")
    done = subprocess.run([setup, "--path", "virtiofsd-sid"], stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise Skip("tools/setup can't get virtiofsd-sid")
    return done.stdout.split()[0]


def start(peer):
    """The other daemon, as near to ours as its options allow."""
    if os.getuid() != 0:
        raise Skip("needs root")
    if peer == "C":
        if not os.access(C_DAEMON, os.X_OK):
            raise Skip(f"there is no {C_DAEMON}")
        return Daemon(listen=True, command=lambda fd, share: [
            C_DAEMON, f"--fd={fd}", "-o", f"source={share},sandbox=chroot,xattr,cache=auto"])
    program = rust_daemon()
    # With file handles it forgets a file with its last name, as stale, also where the guest knows
    # it; ours and the C daemon keep a descriptor of it.
    return Daemon(listen=True, command=lambda fd, share: [
        program, f"--fd={fd}", f"--shared-dir={share}", "--sandbox=chroot", "--seccomp=none",
        "--xattr", "--cache=auto", "--inode-file-handles=never"])


USED = set()


def explainer(peer):
    def explain(op, field, ours, theirs):
        for entry in EXPLAINED:
            if entry[0] in ("", peer) and all(re.fullmatch(p, str(v), re.S) for p, v in
                                              zip(entry[1:5], (op, field, ours, theirs))):
                USED.add(entry)
                return
        raise Failure(f"{op}: {field} is {ours}, with {peer}'s daemon {theirs}")
    return explain


def compare(peer, seed):
    worlds = [World("--xattr"), World(daemon=start(peer))]
    for w in worlds:
        os.chmod(w.daemon.share, 0o777)
    pair = Pair(worlds, explainer(peer))
    try:
        Sequence(random.Random(seed), pair).run(int(REQUESTS * ROUNDS))
    except Failure as e:
        raise Failure(f"seed {seed}, request {pair.requests}: {e}\n    after:\n    "
                      + "\n    ".join(pair.log[-12:])) from None
    for w in worlds:
        w.daemon.alive()


def needed(peers):
    """What no seed needed does not have to be explained."""
    if not USED:
        raise Skip("there was nothing to compare with")
    for entry in EXPLAINED:
        check(entry in USED or entry[0] not in peers + ("",), "explained, but not needed:", entry)


FIXED = "PROTO_SEED" not in os.environ
SEEDS = (1, 2, 3, 4) if FIXED else (int(os.environ["PROTO_SEED"], 0),)
PEERS = ("C", "Rust") if FULL else ("C",)
for p in PEERS:
    for s in SEEDS:
        add(f"{p}, seed {s}", compare, p, s)
if FIXED:
    add("every explanation is needed", needed, PEERS)
main()
