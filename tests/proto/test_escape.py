# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain timeout=180
"""A guest that sends whatever it likes stays inside the shared directory: each attempt in each
sandbox, and by an ordinary user's daemon. The daemon's own care has to do with --sandbox none what
the sandbox would stop too."""

import ctypes
import errno
import os
import struct
import subprocess
import threading

from daemon import Daemon, make_share
from fuse import ROOT, name, parse_entry, read_in
from harness import Skip, add, at_end, check, equal, main, until
from world import World

NOBODY = 65534
SECRET = b"not for guests\n"
ENOENT, EINVAL, ENOTDIR, ELOOP, ENXIO, EISDIR, ESTALE, EACCES, EPERM = (
    -getattr(errno, n) for n in ("ENOENT", "EINVAL", "ENOTDIR", "ELOOP", "ENXIO", "EISDIR",
                                 "ESTALE", "EACCES", "EPERM"))
RENAME_EXCHANGE = 2
HOW = {"none": ("--sandbox", "none"), "chroot": ("--sandbox", "chroot"),
       "namespace": (), "names": ("--inode-file-handles", "never"),
       "user": (), "user, none": ("--sandbox", "none")}


class Prison:
    """A share with a secret beside it, and a daemon in one of the ways."""

    def __init__(self, how, share=None, *options):
        if os.getuid():
            raise Skip("needs root")
        user = NOBODY if how.startswith("user") else None
        self.share = share or make_share(public=bool(user))
        self.out = os.path.dirname(self.share)
        if not share:
            os.mkdir(f"{self.out}/outside")
            for path in ("outside/secret", "secret"):
                with open(f"{self.out}/{path}", "wb") as f:
                    f.write(SECRET)
            if user:
                subprocess.run(["chown", "-hR", f"{NOBODY}:{NOBODY}", self.share], check=True)
        self.w = World(daemon=Daemon(*HOW[how], *options, share=self.share, user=user), size=512)
        self.fs = self.w.fs

    def find(self, node, text):
        """LOOKUP that may fail: the entry, or the error."""
        r = self.fs.call("LOOKUP", node, name(text))
        if r.error:
            return r.error
        entry = parse_entry(r.data)
        return entry if entry.nodeid else ENOENT

    def content(self, node):
        """What can be read of a node, or the error."""
        r = self.fs.call("OPEN", node, bytes(8))
        if r.error:
            return r.error
        fh = struct.unpack("<QII", r.data)[0]
        data = self.fs.call("READ", node, read_in(fh, 0, 100), 116)
        self.fs.release(node, fh)
        return data.error or data.data


def everywhere(text, ways=tuple(HOW)):
    def register(fn):
        for how in ways:
            add(f"{text} ({how})", fn, how)
        return fn
    return register


@everywhere("names: dots, slashes, absolute, empty")
def names(how):
    p = Prison(how)
    sub = p.fs.lookup("sub", p.fs.lookup("dir").nodeid).nodeid
    equal(p.find(ROOT, "..").attr.ino, os.stat(p.share).st_ino, "'..' of the root")
    equal(p.find(sub, "..").attr.ino, os.stat(f"{p.share}/dir").st_ino, "'..' below")
    for node in (ROOT, sub):
        for text in ("/", "/etc/passwd", "../secret", "dir/../../secret", "./file", "dir/sub", "",
                     "../..", "..//"):
            equal(p.find(node, text), EINVAL, f"LOOKUP {text!r}")
            for op, args in (("MKDIR", struct.pack("<II", 0o755, 0)), ("UNLINK", b""),
                             ("RMDIR", b""), ("CREATE", struct.pack("<IIII", 0o102, 0o644, 0, 0))):
                p.fs.fails(EINVAL, op, node, args + name(text))
    for text in ("..", "."):
        p.fs.fails(EINVAL, "MKDIR", sub, struct.pack("<II", 0o755, 0) + name(text))
        p.fs.fails((EINVAL, -errno.EEXIST), "RENAME", ROOT,
                   struct.pack("<Q", sub) + name("file", text))
    equal(sorted(os.listdir(p.out)), ["outside", "secret", "share"], "beside the share")
    p.w.check()


@everywhere("symlinks and magic links are nodes, and lead nowhere")
def links(how):
    p = Prison(how)
    for i, target in enumerate(("/etc", "../outside", f"{p.out}/secret", "/proc/self/root",
                                "/proc/self/fd/0", "..")):
        entry = parse_entry(p.fs.good("SYMLINK", ROOT, name(f"l{i}", target), 144))
        equal(p.find(entry.nodeid, "secret"), ENOTDIR, f"through {target}")
        equal(p.find(entry.nodeid, "passwd"), ENOTDIR, f"through {target}")
        equal(p.content(entry.nodeid), ELOOP, f"OPEN of a link to {target}")
        p.fs.fails((ENOTDIR, ELOOP), "OPENDIR", entry.nodeid, bytes(8))
        r = p.fs.call("CREATE", ROOT, struct.pack("<IIII", 0o102, 0o644, 0, 0) + name(f"l{i}"))
        check(r.error in (ELOOP, -errno.EEXIST), f"CREATE on a link to {target}: {r.error}")
    with open(f"{p.out}/secret", "rb") as f:
        equal(f.read(), SECRET, "the secret")
    p.w.check()


@everywhere("a symlink put in a directory's place while it is looked up")
def swapped(how):
    p = Prison(how)
    os.mkdir(f"{p.share}/d")
    os.symlink("../outside", f"{p.share}/s")
    os.mkdir(f"{p.share}/d/in")
    libc = ctypes.CDLL(None, use_errno=True)
    a, b = f"{p.share}/d".encode(), f"{p.share}/s".encode()
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            libc.renameat2(-100, a, -100, b, RENAME_EXCHANGE)

    thread = threading.Thread(target=swap)
    thread.start()
    at_end(stop.set)
    outside = os.stat(f"{p.out}/outside").st_ino
    try:
        for _ in range(150):
            entry = p.find(ROOT, "d")
            if isinstance(entry, int):
                continue
            check(entry.attr.ino != outside, "LOOKUP went through the link")
            got = p.find(entry.nodeid, "secret")
            check(got in (ENOENT, ENOTDIR, ESTALE), f"the secret was found: {got}")
            p.fs.forget(entry.nodeid)
    finally:
        stop.set()
        thread.join()
    p.w.check()


@everywhere("a directory that the host moves out of the share while the guest has it")
def moved_out(how):
    p = Prison(how)
    node = p.fs.lookup("sub", p.fs.lookup("dir").nodeid).nodeid
    os.rename(f"{p.share}/dir/sub", f"{p.out}/outside/sub")
    got = p.find(node, "..")
    check(got in (ESTALE, ENOENT, EACCES), f"'..' leads to {got}")
    equal(p.find(node, "../secret"), EINVAL, "above it")
    p.w.check()


@everywhere("... and what the host puts there, or the guest")
def moved_with(how):
    p = Prison(how)
    node = p.fs.lookup("sub", p.fs.lookup("dir").nodeid).nodeid
    fh = p.fs.opendir(node)
    os.rename(f"{p.share}/dir/sub", f"{p.out}/outside/sub")
    os.link(f"{p.out}/secret", f"{p.out}/outside/sub/secret")
    before = sorted(os.listdir(f"{p.out}/outside/sub"))
    # It was looked at up to 30 ms ago; a second, where the share is no mount of its own.
    until("what was moved out to be found no more", lambda: p.find(node, "secret") == ESTALE, 0.05)
    equal(p.find(node, "secret"), ESTALE, "LOOKUP")
    for op, args in (("MKDIR", struct.pack("<II", 0o755, 0) + name("x")),
                     ("SYMLINK", name("x", "y")), ("UNLINK", name("secret")),
                     ("MKNOD", struct.pack("<IIII", 0o100644, 0, 0, 0) + name("x")),
                     ("CREATE", struct.pack("<IIII", 0o102, 0o644, 0, 0) + name("x")),
                     ("CREATE", struct.pack("<IIII", 2, 0o644, 0, 0) + name("secret")),
                     ("TMPFILE", struct.pack("<IIII", os.O_TMPFILE | 2, 0o644, 0, 0) + name("x")),
                     ("LINK", struct.pack("<Q", p.fs.lookup("file").nodeid) + name("x")),
                     ("RENAME", struct.pack("<Q", ROOT) + name("secret", "x")),
                     ("OPENDIR", bytes(8))):
        p.fs.fails(ESTALE, op, node, args)
    p.fs.fails(ESTALE, "RENAME", ROOT, struct.pack("<Q", node) + name("file", "x"))
    for op in ("READDIR", "READDIRPLUS"):
        p.fs.fails(ESTALE, op, node, read_in(fh, 0, 4096), 4112)
    equal(sorted(os.listdir(f"{p.out}/outside/sub")), before, "what is there")
    os.rename(f"{p.out}/outside/sub", f"{p.share}/sub")
    equal(p.content(p.find(node, "secret").nodeid), SECRET, "once it is back")
    p.w.check()


@everywhere("FIFOs and devices are not opened")
def special(how):
    p = Prison(how)
    fifo = p.fs.lookup("fifo")
    equal(p.content(fifo.nodeid), ENXIO, "a FIFO")
    for text, mode in (("null", 0o020666), ("disk", 0o060666)):
        r = p.fs.call("MKNOD", ROOT, struct.pack("<IIII", mode, 0x103, 0, 0) + name(text))
        if r.error:
            equal(r.error, EPERM, f"MKNOD {text}")
            os.mknod(f"{p.share}/{text}", mode, os.makedev(1, 3))
        equal(p.content(p.fs.lookup(text).nodeid), ENXIO, text)
    p.w.check()


@everywhere("set-id files of an ordinary user's daemon are that user's", ("user", "user, none"))
def set_id(how):
    p = Prison(how)
    r = p.fs.call("CREATE", ROOT, struct.pack("<IIII", 0o102, 0o104755, 0, 0) + name("x"), uid=0,
                  gid=0)
    if r.error:
        check(r.error in (EPERM, EINVAL), f"CREATE: {r.error}")
    else:
        equal(os.stat(f"{p.share}/x").st_uid, NOBODY, "owner of a set-id file")
    p.w.check()


@everywhere("proc below the share is an empty directory", ("none", "chroot", "namespace", "names"))
def proc_below(how):
    share = make_share()
    os.mkdir(f"{share}/proc")
    subprocess.run(["mount", "-t", "proc", "proc", f"{share}/proc"], check=True)
    at_end(subprocess.run, ["umount", "-l", f"{share}/proc"])
    barred(Prison(how, share))


@everywhere("a share of / does not give away proc and sysfs", ("none", "chroot", "namespace"))
def whole_host(how):
    p = Prison(how, "/")
    for text in ("proc", "sys"):
        barred(p, text, ("1", "self", "kernel", "kcore", "sys"))


def barred(p, text="proc", inside=("1", "self", "sys", "kcore", "thread-self", "sysrq-trigger")):
    entry = p.fs.lookup(text)
    for below in inside:
        equal(p.find(entry.nodeid, below), ENOENT, f"{text}/{below}")
    for op in ("READDIR", "READDIRPLUS"):
        fh = p.fs.opendir(entry.nodeid)
        got = p.fs.readdir(entry.nodeid, fh, plus=op == "READDIRPLUS")
        equal(sorted(d.name for d in got), [".", ".."], f"{op} of {text}")
        p.fs.release(entry.nodeid, fh, "RELEASEDIR")
    p.fs.fails((-errno.EROFS, EACCES), "MKDIR", entry.nodeid,
               struct.pack("<II", 0o755, 0) + name("x"))
    p.w.daemon.alive()


@everywhere("storms of FSYNC and SYNCFS hold up nobody", ("namespace",))
def storm(how):
    p = Prison(how)
    entry = p.fs.lookup("big")
    fh = p.fs.open(entry.nodeid, 2)
    tokens = []
    for i in range(24):
        tokens.append(p.fs.start("FSYNC", entry.nodeid, struct.pack("<QII", fh, 0, 0), 16))
        tokens.append(p.fs.start("SYNCFS", ROOT, bytes(8), 16))
    for token in tokens:
        equal(p.fs.finish(token).error, 0, "an answer")
    p.w.check()


@everywhere("FORGET of too much forgets one node", ("namespace",))
def forget(how):
    p = Prison(how)
    entry = p.fs.lookup("file")
    for count in (1 << 63, (1 << 64) - 1):
        p.fs.forget(entry.nodeid, count)
        p.fs.forget(ROOT, count)
    p.fs.stale(entry.nodeid)
    equal(p.fs.lookup("file").attr.ino, os.stat(f"{p.share}/file").st_ino, "found again")
    p.w.check()


main()
