# SPDX-License-Identifier: BSD-2-Clause
"""File systems that are mounted below the share: announced or not, nodes of their own, SYNCFS, and what is mounted and
unmounted while the daemon serves."""

import errno
import os
import struct
import subprocess

from disks import private, tmpfs
from fuse import INIT_FLAGS, ROOT, name, parse_entry
from harness import case, check, equal, main
from world import World

SUBMOUNTS, ATTR_SUBMOUNT = 1 << 27, 1


def umount(path):
    return subprocess.run(["umount", path], check=False, stderr=subprocess.DEVNULL).returncode == 0


def world(*options, flags=INIT_FLAGS | SUBMOUNTS):
    """A share with two mounts below it, each with a file of the same inode number."""
    w = World(*options, init=False)
    for mounted in ("m1", "m2"):
        path = os.path.join(w.daemon.share, mounted)
        os.mkdir(path)
        tmpfs(path)
        with open(os.path.join(path, "f"), "w", encoding="ascii") as f:
            f.write(mounted)
        os.mkdir(os.path.join(path, "d"))
    w.granted = w.fs.init(flags=flags)[3]
    return w, w.fs, w.daemon.share


def flags_of(entry):
    return entry.attr.flags


@case("roots of mounts are announced, in LOOKUP and READDIRPLUS, and nothing else is")
def announced():
    w, fs, _ = world()
    check(w.granted & SUBMOUNTS, "not granted")
    for text, want in (("m1", 1), ("m2", 1), ("dir", 0), ("file", 0)):
        equal(flags_of(fs.lookup(text)), want * ATTR_SUBMOUNT, f"LOOKUP {text}")
    m1 = fs.lookup("m1").nodeid
    for text in ("d", "f"):
        equal(flags_of(fs.lookup(text, m1)), 0, f"LOOKUP {text}")
    fh = fs.opendir(ROOT)
    listed = {d.name: d.entry.attr.flags for d in fs.readdir(ROOT, fh, 0, 16384, plus=True)}
    equal({k: v for k, v in listed.items() if v}, {"m1": 1, "m2": 1}, "READDIRPLUS")
    # The way back from below is one that the guest has gone before.
    d = fs.lookup("d", m1).nodeid
    equal(flags_of(parse_entry(fs.good("LOOKUP", d, name("..")))), 0, "LOOKUP ..")
    w.check()


@case("not announced: to a guest that does not know of them, and with --no-announce-submounts")
def not_announced():
    for options, flags in (((), INIT_FLAGS), (("--no-announce-submounts",), INIT_FLAGS | SUBMOUNTS),
                           (("--announce-submounts", "--no-announce-submounts"), 0xFFFFFFFF)):
        w, fs, _ = world(*options, flags=flags)
        check(not w.granted & SUBMOUNTS, "granted")
        equal(flags_of(fs.lookup("m1")), 0, "LOOKUP")
        # One number, two files: nodes tell them apart, and handles.
        a, b = (fs.lookup("f", fs.lookup(m).nodeid) for m in ("m1", "m2"))
        equal(a.attr.ino, b.attr.ino, "inode numbers")
        check(a.nodeid != b.nodeid, "one node for two files")
        for m, entry in (("m1", a), ("m2", b)):
            equal(fs.read(entry.nodeid, fs.open(entry.nodeid), 0, 10), m.encode(), f"data of {m}")
        fs.good("SYNCFS", ROOT, bytes(8))
        w.check()


@case("SYNCFS on each mount, on what is gone, and on what cannot be opened")
def syncfs():
    for options in ((), ("--no-announce-submounts",), ("--inode-file-handles=never",)):
        w, fs, root = world(*options)
        nodes = [ROOT] + [fs.lookup(m).nodeid for m in ("m1", "m2")]
        for node in nodes:
            fs.good("SYNCFS", node, bytes(8))
        fs.fails(-errno.ESTALE, "SYNCFS", 0x4242, bytes(8))
        equal(subprocess.run(["umount", "-l", os.path.join(root, "m1")], check=False).returncode, 0)
        for node in nodes:
            fs.good("SYNCFS", node, bytes(8))
        w.check()


@case("what is mounted later is seen at the next look; what is forgotten can be unmounted")
def while_served():
    for options in ((), ("--inode-file-handles=never",)):
        w, fs, root = world(*options)
        path = os.path.join(root, "m3")
        os.mkdir(path)
        below = fs.lookup("m3")
        equal(flags_of(below), 0, "before the mount")
        tmpfs(path)
        m3 = fs.lookup("m3")
        equal(flags_of(m3), ATTR_SUBMOUNT, "after it")
        check(m3.nodeid != below.nodeid, "one node for the mount and what it hides")
        entry, fh = fs.create("new", parent=m3.nodeid)
        fs.write(entry.nodeid, fh, 0, b"x")
        check(not umount(path), "unmounted while the guest has it open")
        fs.release(entry.nodeid, fh)
        fs.forget(entry.nodeid)
        fs.forget(m3.nodeid)
        check(umount(path), "the daemon keeps a mount that nobody knows any more")
        after = fs.lookup("m3")
        equal((after.nodeid, flags_of(after)), (below.nodeid, 0), "after unmounting")
        for text in ("m1", "m2"):
            check(umount(os.path.join(root, text)), text, "is kept though it was never seen")
        w.check()


@case("mounted and forgotten many times: no descriptor is left")
def many():
    w, fs, root = world()
    m1 = os.path.join(root, "m1")
    fs.forget(fs.lookup("m1").nodeid)
    before = w.daemon.fds()
    for _ in range(30):
        entry = fs.lookup("m1")
        again = fs.lookup("m1")
        equal(again.nodeid, entry.nodeid)
        fs.forget(entry.nodeid, 2)
        check(umount(m1), "unmount")
        tmpfs(m1)
    equal(w.daemon.fds(), before, "descriptors")
    w.check()


private()
main()
