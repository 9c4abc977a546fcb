# SPDX-License-Identifier: BSD-2-Clause
"""Extended attributes: right results, and forged requests."""

import errno
import os
import struct

from fuse import MAX64, ROOT, init_in, name
from harness import Skip, case, check, equal, main
from world import World

(EINVAL, ERANGE, E2BIG, ENODATA, EROFS, ESTALE, EOPNOTSUPP, EPERM, EEXIST) = (
    -getattr(errno, n) for n in ("EINVAL", "ERANGE", "E2BIG", "ENODATA", "EROFS", "ESTALE",
                                 "EOPNOTSUPP", "EPERM", "EEXIST"))
LIMIT = 65536
SETXATTR_EXT, KILL_SGID = 1 << 29, 1


def world(*options):
    w = World("--xattr", *options)
    try:
        os.setxattr(w.daemon.share, "user.probe", b"x")
        os.removexattr(w.daemon.share, "user.probe")
    except OSError:
        raise Skip("no user attributes in the directory for temporary files") from None
    return w, w.fs, w.daemon.share


def setx(key, value, flags=0, size=None):
    return struct.pack("<II", len(value) if size is None else size, flags) + name(key) + value


def ask(size):
    return struct.pack("<II", size, 0)


@case("what is set is on the host, and what is on the host is got")
def values():
    w, fs, root = world()
    path = os.path.join(root, "file")
    node = fs.lookup("file").nodeid
    value = bytes(range(256)) * 8
    fs.good("SETXATTR", node, setx("user.one", value))
    equal(os.getxattr(path, "user.one"), value, "on the host")
    os.setxattr(path, "user.two", b"")
    equal(fs.good("GETXATTR", node, ask(4000) + name("user.one")), value, "GETXATTR")
    equal(fs.good("GETXATTR", node, ask(100) + name("user.two")), b"", "an empty value")
    equal(fs.good("GETXATTR", node, ask(0) + name("user.one")), struct.pack("<II", 2048, 0))
    fs.fails(ERANGE, "GETXATTR", node, ask(2047) + name("user.one"))
    fs.fails(ERANGE, "GETXATTR", node, ask(2048) + name("user.one"), out=16 + 2047)
    fs.fails(ERANGE, "GETXATTR", node, ask(2048) + name("user.one"), out=16)
    listed = fs.good("LISTXATTR", node, ask(4000))
    equal(sorted(n for n in listed.split(b"\0") if n.startswith(b"user.")),
          [b"user.one", b"user.two"], "LISTXATTR")
    equal(struct.unpack("<II", fs.good("LISTXATTR", node, ask(0)))[0], len(listed), "its length")
    fs.fails(ERANGE, "LISTXATTR", node, ask(len(listed) - 1))
    fs.fails(EEXIST, "SETXATTR", node, setx("user.one", b"", 1))
    fs.fails(ENODATA, "SETXATTR", node, setx("user.none", b"", 2))
    fs.good("REMOVEXATTR", node, name("user.one"))
    fs.fails(ENODATA, "REMOVEXATTR", node, name("user.one"))
    fs.fails(ENODATA, "GETXATTR", node, ask(9) + name("user.one"))
    equal(sorted(n for n in os.listxattr(path) if n.startswith("user.")), ["user.two"])
    w.check()


@case("each kind of node has its own attributes: nothing is followed, nothing is opened")
def kinds():
    w, fs, root = world("--modcaps", "+sys_admin")
    if os.getuid():
        raise Skip("needs root for trusted attributes")
    outside = os.path.join(os.path.dirname(root), "outside")
    with open(outside, "w", encoding="utf-8") as f:
        f.write("")
    os.symlink(outside, os.path.join(root, "out"))
    os.mknod(os.path.join(root, "null"), 0o20600, os.makedev(1, 3))
    for text in ("file", "dir", "link", "escape", "out", "fifo", "null"):
        node = fs.lookup(text).nodeid
        path = os.path.join(root, text)
        fs.good("SETXATTR", node, setx("trusted.t", text.encode()))
        equal(os.getxattr(path, "trusted.t", follow_symlinks=False), text.encode(), text)
        equal(fs.good("GETXATTR", node, ask(20) + name("trusted.t")), text.encode(), text)
        check(b"trusted.t\0" in fs.good("LISTXATTR", node, ask(4000)), "LISTXATTR", text)
        # Only files and directories have user attributes.
        if text not in ("file", "dir"):
            fs.fails(EPERM, "SETXATTR", node, setx("user.u", b"x"))
    # Each symlink got its own, its target none.
    equal(os.getxattr(os.path.join(root, "file"), "trusted.t"), b"file", "the target of a link")
    equal([n for n in os.listxattr(outside) if n.startswith("trusted.")], [], "outside")
    for text in ("file", "dir", "link", "escape", "out", "fifo", "null"):
        fs.good("REMOVEXATTR", fs.lookup(text).nodeid, name("trusted.t"))
    check("trusted.t" not in os.listxattr("/etc"), "the link's target got an attribute")
    # A file that was removed keeps them.
    entry, fh = fs.create("gone")
    fs.good("UNLINK", ROOT, name("gone"))
    fs.good("SETXATTR", entry.nodeid, setx("user.u", b"x"))
    equal(fs.good("GETXATTR", entry.nodeid, ask(9) + name("user.u")), b"x", "of a removed file")
    fs.release(entry.nodeid, fh)
    w.check()


@case("ACLs are neither shown, got, set nor removed")
def acls():
    w, fs, root = world()
    path = os.path.join(root, "file")
    acl = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *e) for e in (
        (1, 6, 0xFFFFFFFF), (2, 6, 1000), (4, 4, 0xFFFFFFFF), (16, 6, 0xFFFFFFFF),
        (32, 0, 0xFFFFFFFF)))
    key = "system.posix_acl_access"
    try:
        os.setxattr(path, key, acl)
    except OSError:
        raise Skip("no ACLs in the directory for temporary files") from None
    os.setxattr(path, "user.a", b"1")
    node = fs.lookup("file").nodeid
    listed = fs.good("LISTXATTR", node, ask(4000))
    check(b"user.a\0" in listed and key.encode() not in listed, "LISTXATTR", listed)
    equal(struct.unpack("<II", fs.good("LISTXATTR", node, ask(0)))[0], len(listed), "its length")
    for text in (key, "system.posix_acl_default"):
        fs.fails(EOPNOTSUPP, "GETXATTR", node, ask(4000) + name(text))
        fs.fails(EOPNOTSUPP, "SETXATTR", node, setx(text, acl))
        fs.fails(EOPNOTSUPP, "REMOVEXATTR", node, name(text))
    equal(os.getxattr(path, key), acl, "on the host")
    w.check()


@case("SETXATTR with and without the extension of its structure, as INIT settled")
def extension():
    w, fs, root = world()
    path = os.path.join(root, "file")
    for flags, more in ((0, b""), (SETXATTR_EXT, bytes(8))):
        data = fs.good("INIT", 0, init_in(flags=flags), 80)
        equal(struct.unpack_from("<4I", data)[3], flags, "flags")
        node = fs.lookup("file").nodeid
        for wrong in (b"", bytes(8)):
            if wrong != more:
                args = struct.pack("<II", 3, 0) + wrong + name("user.x") + b"abc"
                fs.fails(EINVAL, "SETXATTR", node, args)
        fs.good("SETXATTR", node, struct.pack("<II", 3, 0) + more + name("user.x") + b"abc")
        equal(os.getxattr(path, "user.x"), b"abc", "the value")
        os.removexattr(path, "user.x")
    # KILL_SGID clears the bit, and only where it is asked for.
    os.chmod(path, 0o2755)
    for ask_for, want in ((0, 0o2755), (KILL_SGID, 0o755)):
        args = struct.pack("<4I", 1, 0, ask_for, 0) + name("user.x") + b"v"
        fs.good("SETXATTR", node, args)
        equal(os.stat(path).st_mode & 0o7777, want, f"mode after flags {ask_for}")
    w.check()


@case("--xattrmap: set under another name, got and listed under its own")
def mapped():
    w, fs, root = world("--xattrmap", ":map:trusted.:user.vm.:")
    path = os.path.join(root, "file")
    node = fs.lookup("file").nodeid
    fs.good("SETXATTR", node, setx("trusted.a", b"value"))
    fs.good("SETXATTR", node, setx("user.b", b"other"))
    equal(os.getxattr(path, "user.vm.trusted.a"), b"value", "on the host")
    equal(os.getxattr(path, "user.b"), b"other", "on the host")
    equal(fs.good("GETXATTR", node, ask(9) + name("trusted.a")), b"value", "GETXATTR")
    mine = sorted(x for x in fs.good("LISTXATTR", node, ask(4000)).split(b"\0")
                  if x.startswith((b"user.", b"trusted.")))
    equal(mine, [b"trusted.a", b"user.b"], "LISTXATTR")
    length = len(fs.good("LISTXATTR", node, ask(4000)))
    equal(struct.unpack("<II", fs.good("LISTXATTR", node, ask(0)))[0], length, "its length")
    for op, args in (("GETXATTR", ask(9) + name("user.vm.trusted.a")),
                     ("SETXATTR", setx("user.vm.x", b"")),
                     ("REMOVEXATTR", name("user.vm.trusted.a"))):
        fs.fails(EPERM, op, node, args)
    fs.fails(ERANGE, "SETXATTR", node, setx("trusted." + "x" * 245, b""))
    fs.good("REMOVEXATTR", node, name("trusted.a"))
    check("user.vm.trusted.a" not in os.listxattr(path), "REMOVEXATTR left it on the host")
    w.check()


@case("forged: sizes, names without end, unknown nodes")
def forged():
    w, fs, _ = world()
    node = fs.lookup("file").nodeid
    before = fs.good("LISTXATTR", node, ask(4000))
    for size in (0, 1, 2, 4, 1000, LIMIT, LIMIT + 1, 1 << 31, 0xFFFFFFFF):
        fs.fails((EINVAL, E2BIG), "SETXATTR", node, setx("user.a", b"abc", size=size))
    fs.fails(EINVAL, "SETXATTR", node, struct.pack("<II", 0, 0) + b"user.a")
    fs.fails(EINVAL, "SETXATTR", node, struct.pack("<II", 6, 0) + b"user.a")
    fs.fails(EINVAL, "SETXATTR", node, struct.pack("<II", 0, 0))
    fs.fails(EINVAL, "SETXATTR", node, b"\0\0\0\0")
    fs.fails(EINVAL, "SETXATTR", node, setx("user.a", b"", flags=0xFFFFFFFF))
    fs.fails(E2BIG, "SETXATTR", node, setx("user.a", bytes(LIMIT + 1)))
    for text in ("", "x" * 256, "user.", "nothing", "user." + "x" * 251, "/etc/passwd", ".."):
        bad = (ERANGE, EOPNOTSUPP, EINVAL)
        fs.fails(bad, "SETXATTR", node, setx(text, b"v"))
        fs.fails(bad + (ENODATA,), "GETXATTR", node, ask(100) + name(text))
        fs.fails(bad + (ENODATA,), "REMOVEXATTR", node, name(text))
    for size in (LIMIT + 1, 1 << 31, 0xFFFFFFFF):
        fs.good("LISTXATTR", node, ask(size), out=16 + LIMIT + 100)
        fs.fails(ENODATA, "GETXATTR", node, ask(size) + name("user.a"))
    fs.fails(EINVAL, "GETXATTR", node, ask(100) + b"user.a")
    fs.fails(EINVAL, "GETXATTR", node, ask(100) + name("user.a", "more"))
    fs.fails(EINVAL, "LISTXATTR", node, ask(100) + b"x")
    fs.fails(EINVAL, "REMOVEXATTR", node, b"user.a")
    for unknown in (0, 2, 1 << 40, MAX64):
        fs.fails(ESTALE, "SETXATTR", unknown, setx("user.a", b"v"))
        fs.fails(ESTALE, "GETXATTR", unknown, ask(100) + name("user.a"))
        fs.fails(ESTALE, "LISTXATTR", unknown, ask(100))
        fs.fails(ESTALE, "REMOVEXATTR", unknown, name("user.a"))
    equal(fs.good("LISTXATTR", node, ask(4000)), before, "the list after all that")
    w.check()


@case("a read-only export shows them and changes none")
def readonly():
    w, fs, root = world("--readonly")
    path = os.path.join(root, "file")
    os.setxattr(path, "user.a", b"value")
    node = fs.lookup("file").nodeid
    equal(fs.good("GETXATTR", node, ask(100) + name("user.a")), b"value", "GETXATTR")
    check(b"user.a\0" in fs.good("LISTXATTR", node, ask(4000)), "LISTXATTR")
    fs.fails(EROFS, "SETXATTR", node, setx("user.a", b"v"))
    fs.fails(EROFS, "REMOVEXATTR", node, name("user.a"))
    equal(os.getxattr(path, "user.a"), b"value", "on the host")
    w.check()


main()
