# SPDX-License-Identifier: BSD-2-Clause
"""Who creates, and what comes with it: ids, supplementary groups, labels."""

import errno
import os
import struct

from fuse import (INIT_FLAGS, ROOT, groups_ext, labels_ext, name, parse_attr, parse_entry,
                  setattr_in, write_in)
from harness import Skip, case, check, equal, main
from world import World

EINVAL, EPERM, EOPNOTSUPP = -errno.EINVAL, -errno.EPERM, -errno.EOPNOTSUPP
USER, GROUP, OTHER, NOBODY = 1234, 1235, 1236, 0xFFFFFFFF
UID, GID = 1 << 1, 1 << 2  # FATTR_*
# INIT flags, upper half
SECURITY_CTX, CREATE_SUPP_GROUP = 1 << 0, 1 << 2
LABEL = "security.selinux"


def world(*options, flags2=CREATE_SUPP_GROUP, **kw):
    if os.getuid():
        raise Skip("needs root")
    # For trusted and security attributes.
    w = World("--modcaps", "+sys_admin", *options, init=False, **kw)
    got = w.fs.init(minor=45, flags=INIT_FLAGS, flags2=flags2)
    return w, w.fs, w.daemon.share, got


def creating(text, mode=0o755):
    """Each request that creates: (opcode, arguments, readable bytes of its entry)."""
    return (("CREATE", struct.pack("<IIII", 0o101, 0o100000 | mode, 0, 0) + name(text)),
            ("MKDIR", struct.pack("<II", mode, 0) + name(text)),
            ("MKNOD", struct.pack("<IIII", 0o010000 | mode, 0, 0, 0) + name(text)),
            ("SYMLINK", name(text, "to")))


def make(fs, op, args, ext=b"", told=True, **kw):
    """Sends it with extensions; those before Linux 6.3 are not told of in the header."""
    return fs.call(op, kw.pop("parent", ROOT), args + ext, extlen=len(ext) // 8 if told else 0,
                   **kw)


def host_mode(directory, mode, gids):
    """What a file of this mode has that a user in these groups creates on the host."""
    fd = os.open(directory, os.O_PATH)
    pid = os.fork()
    if pid == 0:
        try:
            os.umask(0)
            os.setgroups(gids)
            os.setresgid(USER, USER, USER)
            os.setresuid(USER, USER, USER)
            os.open("by-host", os.O_CREAT | os.O_EXCL, mode, dir_fd=fd)
        finally:
            os._exit(os.path.lexists(f"/proc/self/fd/{fd}/by-host") - 1)
    equal(os.waitpid(pid, 0)[1], 0, "the child's status")
    got = os.stat("by-host", dir_fd=fd).st_mode
    os.unlink("by-host", dir_fd=fd)
    os.close(fd)
    return got


@case("supplementary groups count for what is created, in that request alone")
def groups():
    w, fs, root, _ = world()
    directory = os.path.join(root, "shared")
    os.mkdir(directory)
    os.chown(directory, 0, GROUP)
    os.chmod(directory, 0o2777)
    parent = fs.lookup("shared").nodeid
    wanted = {gids: host_mode(directory, 0o2755, gids) for gids in ((), (GROUP,), (OTHER,))}
    check(wanted[()] != wanted[(GROUP,)], "the host makes no difference of the group")
    for n, gids in enumerate(((), (GROUP,), (), (OTHER,), (GROUP, OTHER), (GROUP,), ())):
        text = f"f{n}"
        args = creating(text, 0o2755)[0][1]
        r = make(fs, "CREATE", args, groups_ext(*gids) if gids else b"", parent=parent, uid=USER,
                 gid=USER)
        equal(r.error, 0, text)
        st = os.stat(os.path.join(directory, text))
        equal((st.st_uid, st.st_gid), (USER, GROUP), f"{text}: owner")
        want = wanted[()] if GROUP not in gids else wanted[(GROUP,)]
        equal(oct(st.st_mode), oct(want), f"{text} with groups {gids}")
        equal(parse_entry(r.data[:128]).attr.mode, st.st_mode, f"{text}: mode in the reply")
    w.check()


@case("a guest that did not agree to extensions may not send any")
def not_agreed():
    w, fs, root, _ = world(flags2=0)
    for op, args in creating("new"):
        for ext in (groups_ext(GROUP), labels_ext((LABEL, b"a"))):
            for told in (True, False):
                equal(make(fs, op, args, ext, told).error, EINVAL, op)
    check(not os.path.lexists(os.path.join(root, "new")), "something was created")
    w.check()


def probe(root):
    try:
        os.setxattr(root, "trusted.probe", b"x")
        os.removexattr(root, "trusted.probe")
    except OSError:
        raise Skip("no trusted attributes in the directory for temporary files") from None


@case("--security-label: what is created has its labels, under --xattrmap's names")
def labels():
    w, fs, root, got = world("--security-label", "--xattrmap", ":map:security.:trusted.vm.:",
                             flags2=SECURITY_CTX | CREATE_SUPP_GROUP)
    probe(root)
    check(got[10] & SECURITY_CTX, "INIT does not offer labels", got)
    value = b"system_u:object_r:file_t:s0\0"
    for told in (True, False):
        for op, args in creating(f"new{told}"):
            path = os.path.join(root, f"new{told}")
            r = make(fs, op, args, labels_ext((LABEL, value), ("security.b", b"2")), told,
                     uid=USER, gid=GROUP)
            equal(r.error, 0, op)
            for key, want in ((LABEL, value), ("security.b", b"2")):
                equal(os.getxattr(path, f"trusted.vm.{key}", follow_symlinks=False), want, op)
            st = os.lstat(path)
            equal((st.st_uid, st.st_gid), (USER, GROUP), f"{op}: owner")
            os.rmdir(path) if op == "MKDIR" else os.unlink(path)
            # No label is a label too, and what follows has none.
            r = make(fs, op, args, labels_ext(), told, uid=USER, gid=GROUP)
            equal(r.error, 0, op)
            equal([x for x in os.listxattr(path, follow_symlinks=False)
                   if x.startswith("trusted.")], [], op)
            os.rmdir(path) if op == "MKDIR" else os.unlink(path)
    # A file without a name has its label too.
    r = make(fs, "TMPFILE", creating("x")[0][1], labels_ext((LABEL, value)), uid=USER, gid=GROUP)
    equal(r.error, 0, "TMPFILE")
    node = parse_entry(r.data[:128]).nodeid
    equal(fs.good("GETXATTR", node, struct.pack("<II", 100, 0) + name(LABEL)), value, "TMPFILE")
    # Somebody else's file stays as it is.
    r = make(fs, "CREATE", creating("file")[0][1], labels_ext((LABEL, value)))
    equal(r.error, 0, "CREATE of a file that is there")
    equal([x for x in os.listxattr(os.path.join(root, "file")) if x.startswith("trusted.")], [],
          "a file that was there")
    w.check()


@case("where a label cannot be set, nothing is left")
def no_label():
    for rules, error, fails in (
            (":bad:all:security.:security.: :ok:all:::", EPERM, range(4)),
            (":unsupported:all:security.:security.: :ok:all:::", EOPNOTSUPP, range(4)),
            # Only files and directories have user attributes.
            (":map:security.:user.vm.:", EPERM, (2, 3))):
        w, fs, root, _ = world("--security-label", "--xattrmap", rules, flags2=SECURITY_CTX)
        probe(root)
        before = sorted(os.listdir(root))
        for n, (op, args) in enumerate(creating("new")):
            r = make(fs, op, args, labels_ext((LABEL, b"a")), uid=USER, gid=USER)
            equal(r.error, error if n in fails else 0, f"{op} with {rules}")
            if n not in fails:
                path = os.path.join(root, "new")
                equal(os.getxattr(path, f"user.vm.{LABEL}"), b"a", op)
                os.rmdir(path) if op == "MKDIR" else os.unlink(path)
            equal(sorted(os.listdir(root)), before, f"after {op} with {rules}")
        if 0 in fails:
            r = make(fs, "TMPFILE", creating("x")[0][1], labels_ext((LABEL, b"a")))
            equal(r.error, error, f"TMPFILE with {rules}")
        # Descriptors do not stay either.
        fds = w.daemon.fds()
        for _ in range(20):
            make(fs, "SYMLINK", name("new", "to"), labels_ext((LABEL, b"a")))
        equal(w.daemon.fds(), fds, "descriptors after 20 refusals")
        w.check()


@case("an id of -1 is nobody: it creates nothing, as whoever the daemon runs")
def no_id():
    w, fs, root, _ = world()
    before = sorted(os.listdir(root))
    for op, args in creating("new"):
        for uid, gid in ((NOBODY, NOBODY), (NOBODY, USER), (USER, NOBODY)):
            equal(make(fs, op, args, uid=uid, gid=gid).error, EINVAL, f"{op} by {uid}:{gid}")
            equal(sorted(os.listdir(root)), before, f"{op} by {uid}:{gid}")
        # A group of -1 is not set either.
        r = make(fs, op, args, groups_ext(NOBODY), uid=USER, gid=USER)
        equal(r.error, EPERM, f"{op} with a group of -1")
        equal(sorted(os.listdir(root)), before, f"{op} with a group of -1")
    known = fs.lookup("file").nodeid
    owned = owner(f"{root}/file")
    for uid, gid in ((NOBODY, NOBODY), (NOBODY, USER), (USER, NOBODY)):
        who = {"uid": uid, "gid": gid}
        fs.fails(EINVAL, "TMPFILE", ROOT, struct.pack("<IIII", os.O_TMPFILE | 2, 0o644, 0, 0) +
                 name("t"), **who)
        fs.fails(EINVAL, "ACCESS", known, struct.pack("<II", 4, 0), **who)
        fs.fails(EINVAL, "CREATE", ROOT, struct.pack("<IIII", 0o102, 0o644, 0, 0) + name("file"),
                 **who)
    fs.fails(EINVAL, "SETATTR", known, setattr_in(UID, uid=NOBODY), 120)
    fs.fails(EINVAL, "SETATTR", known, setattr_in(GID, gid=NOBODY), 120)
    equal(owner(f"{root}/file"), owned, "the owner")
    # What needs no id is served.
    fs.good("GETATTR", ROOT, bytes(16), uid=NOBODY, gid=NOBODY)
    # The next one that is somebody is that one.
    equal(make(fs, "MKDIR", creating("new")[1][1], uid=USER, gid=GROUP).error, 0, "MKDIR")
    st = os.stat(os.path.join(root, "new"))
    equal((st.st_uid, st.st_gid), (USER, GROUP), "owner")
    w.check()


@case("the umask of one queue's requests is not that of another's")
def umasks():
    w, fs, root, _ = world(requests=2)
    for i in range(20):
        tokens = [fs.start("CREATE", ROOT, struct.pack("<IIII", 0o101, 0o100666, umask, 0) +
                           name(f"f{i}-{umask:o}"), 160, queue=queue)
                  for queue, umask in ((1, 0), (2, 0o077))]
        for token in tokens:
            equal(fs.finish(token).error, 0, "CREATE")
    for umask in (0, 0o077):
        modes = {os.stat(f"{root}/f{i}-{umask:o}").st_mode & 0o777 for i in range(20)}
        equal(modes, {0o666 & ~umask}, f"modes under umask {umask:03o}")
    w.check((1, 2))


RULES = ("--translate-uid=map:0:2000:10", "--translate-uid=squash-guest:10:3000:90",
         "--translate-uid=squash-host:3000:77:5", "--translate-uid=forbid-guest:100:50",
         "--translate-gid=guest:0:4000:10", "--translate-gid=host:5000:5:10",
         "--translate-gid=forbid-guest:100:50")


def owner(path):
    st = os.lstat(path)
    return st.st_uid, st.st_gid


@case("--translate-uid, --translate-gid: what is created, given away and shown")
def translated():
    w, fs, root, _ = world(*RULES)
    os.chmod(root, 0o777)
    for i, (uid, gid, host, guest) in enumerate((
            (3, 4, (2003, 4004), (3, 4004)),      # back by uid only
            (50, 11, (3000, 11), (77, 11)),
            (200, 200, (200, 200), (200, 200)))):
        for op, args in creating(f"by{i}"):
            r = make(fs, op, args, uid=uid, gid=gid)
            equal(r.error, 0, f"{op} by {uid}")
            entry = parse_entry(r.data[:128])
            equal(owner(f"{root}/by{i}"), host, f"{op} by {uid}: on the host")
            equal((entry.attr.uid, entry.attr.gid), guest, f"{op} by {uid}: in the entry")
            got = fs.getattr(entry.nodeid)
            equal((got.uid, got.gid), guest, f"{op} by {uid}: in GETATTR")
            os.rmdir(f"{root}/by{i}") if op == "MKDIR" else os.unlink(f"{root}/by{i}")
    os.chown(f"{root}/file", 2009, 5009)
    fs_file = fs.lookup("file")
    equal((fs_file.attr.uid, fs_file.attr.gid), (9, 14), "LOOKUP")
    fh = fs.opendir(ROOT)
    plus = {d.name: d.entry for d in fs.readdir(ROOT, fh, plus=True)}
    equal((plus["file"].attr.uid, plus["file"].attr.gid), (9, 14), "READDIRPLUS")
    statx = fs.good("STATX", fs_file.nodeid, struct.pack("<IIQII", 0, 0, 0, 0, 0x7ff), 16 + 288)
    equal(struct.unpack_from("<II", statx, 32 + 20), (9, 14), "STATX")
    data = fs.good("SETATTR", fs_file.nodeid, setattr_in(UID | GID, uid=5, gid=6), 120)
    equal(owner(f"{root}/file"), (2005, 4006), "SETATTR: on the host")
    equal((parse_attr(data[16:]).uid, parse_attr(data[16:]).gid), (5, 4006), "SETATTR's reply")
    w.check()


@case("ids that are forbidden own nothing")
def forbidden():
    w, fs, root, _ = world(*RULES)
    before = sorted(os.listdir(root))
    for op, args in creating("new"):
        for uid, gid, ext in ((100, 0, b""), (149, 200, b""), (0, 120, b""),
                              (200, 200, groups_ext(120))):
            r = make(fs, op, args, ext, uid=uid, gid=gid)
            equal(r.error, EPERM, f"{op} by {uid}, {gid}")
    equal(sorted(os.listdir(root)), before, "what was created")
    entry = fs.lookup("file")
    for change in ({"uid": 100}, {"gid": 149}):
        valid = UID if "uid" in change else GID
        fs.fails(EPERM, "SETATTR", entry.nodeid, setattr_in(valid, **change), 120)
    # What creates nothing is the guest's affair, whoever asks.
    fs.good("GETATTR", entry.nodeid, bytes(16), 120, uid=100, gid=100)
    fs.fails(-errno.EINVAL, "SETATTR", entry.nodeid, setattr_in(UID, uid=NOBODY), 120)
    w.check()


def set_id(path, uid):
    """A file with set-id bits, of this owner."""
    with open(path, "wb") as f:
        f.write(b"text")
    os.chown(path, uid, uid)
    os.chmod(path, 0o6777)


@case("O_TRUNC at an OPEN clears set-id bits, whether or not the guest says so")
def truncation():
    trunc, kill, v2 = 0o1001, 1, 1 << 28
    for flags, ways in ((v2, ((USER, kill, 0o777), (USER, 0, 0o6777), (0, 0, 0o6777))),
                        (0, ((USER, 0, 0o777), (0, 0, 0o6777), (NOBODY, 0, 0o777)))):
        w, fs, root, _ = world()
        fs.init(minor=45, flags=INIT_FLAGS | flags)
        for n, (uid, open_flags, want) in enumerate(ways):
            path = os.path.join(root, f"f{n}")
            set_id(path, USER)
            fs.good("OPEN", fs.lookup(f"f{n}").nodeid, struct.pack("<II", trunc, open_flags),
                    uid=uid, gid=uid)
            st = os.stat(path)
            equal((st.st_size, oct(st.st_mode & 0o7777)), (0, oct(want)),
                  f"by {uid} with flags {open_flags}, INIT flags {flags:#x}")
        w.check()


@case("a write takes file capabilities away, also where --xattrmap has them under another name")
def capabilities():
    key, value = "security.capability", bytes.fromhex("01000002002000000000000000000000") + bytes(4)
    for options, kept in ((("--xattr",), key),
                          (("--xattrmap", ":map:security.:trusted.vm.:"), f"trusted.vm.{key}"),
                          (("--xattrmap", ":map:security.:user.vm.:"), f"user.vm.{key}")):
        w, fs, root, _ = world("--cache=none", *options)
        probe(root)
        for uid in (USER, 0):
            path = os.path.join(root, f"by{uid}")
            set_id(path, USER)
            os.setxattr(path, "user.other", b"x")
            node = fs.lookup(f"by{uid}").nodeid
            fs.good("SETXATTR", node, struct.pack("<II", 20, 0) + name(key) + value)
            equal(os.getxattr(path, kept), value, f"{kept} on the host")
            fh = fs.open(node, os.O_WRONLY)
            fs.good("WRITE", node, write_in(fh, 0, 1) + b"x", uid=uid, gid=uid)
            equal([a for a in os.listxattr(path) if "capability" in a], [], f"{kept} by {uid}")
            equal(os.getxattr(path, "user.other"), b"x", "another attribute")
            # A file that has none is written all the same.
            fs.good("WRITE", node, write_in(fh, 0, 1) + b"y", uid=uid, gid=uid)
            fs.release(node, fh)
        w.check()
    # Where the daemon may not see them, neither does the guest, and files are written.
    w = World("--cache=none", "--xattrmap", ":map:security.:trusted.vm.:")
    node = w.fs.lookup("empty").nodeid
    w.fs.fails(EPERM, "SETXATTR", node, struct.pack("<II", 20, 0) + name(key) + value)
    fh = w.fs.open(node, os.O_WRONLY)
    w.fs.write(node, fh, 0, b"x")
    w.check()


main()
