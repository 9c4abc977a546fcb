# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain
"""What Landlock refuses to a daemon, and what it must leave alone. vm/landlock runs this in a guest
whose kernel has it, since not every host's has."""

import ctypes
import errno
import os
import struct
import subprocess

from daemon import Daemon, make_share
from fuse import ROOT, name, parse_entry, read_in
from harness import Skip, add, check, equal, main
from world import World

NOBODY = 65534
# With file handles there is no Landlock: the daemon's own care is all there is.
WITH = {"names": ("--sandbox", "none", "--inode-file-handles", "never"),
        "user": ("--sandbox", "none")}
WITHOUT = {"handles": ("--sandbox", "none")}


def has_landlock():
    """Version 2 of its interface, with which directories can be renamed between."""
    create_ruleset, ask_version = 444, 1
    return ctypes.CDLL(None).syscall(create_ruleset, None, 0, ask_version) >= 2


def world(how):
    if os.getuid() or not has_landlock():
        raise Skip("needs root, and a kernel with Landlock")
    user = NOBODY if how == "user" else None
    share = make_share(public=True)
    os.mkdir(f"{os.path.dirname(share)}/outside")
    os.mkdir(f"{share}/leaves")
    with open(f"{share}/leaves/known", "w", encoding="ascii") as f:
        f.write("known\n")
    if user:
        subprocess.run(["chown", "-hR", f"{NOBODY}:{NOBODY}", share], check=True)
    return World(daemon=Daemon(*{**WITH, **WITHOUT}[how], share=share, user=user)), share


def content(fs, node):
    """What can be read of a node, or the error."""
    r = fs.call("OPEN", node, bytes(8))
    if r.error:
        return r.error
    fh = struct.unpack("<QII", r.data)[0]
    data = fs.call("READ", node, read_in(fh, 0, 100), 116)
    fs.release(node, fh)
    return data.error or data.data


def moved(how):
    """A file that the guest knew before its directory left the share."""
    w, share = world(how)
    leaves = w.fs.lookup("leaves").nodeid
    known = w.fs.lookup("known", leaves).nodeid
    equal(content(w.fs, known), b"known\n", "inside")
    os.rename(f"{share}/leaves", f"{os.path.dirname(share)}/outside/leaves")
    equal(content(w.fs, known), b"known\n" if how in WITHOUT else -errno.EACCES, "outside")
    os.rename(f"{os.path.dirname(share)}/outside/leaves", f"{share}/back")
    equal(content(w.fs, known), b"known\n", "inside again")
    w.check()


def works(how):
    """All that makes, moves and removes names, and changes contents, inside."""
    w, share = world(how)
    below = parse_entry(w.fs.good("MKDIR", ROOT, struct.pack("<II", 0o755, 0) + name("d"),
                                  144)).nodeid
    made = w.fs.good("CREATE", below, struct.pack("<IIII", 0o102, 0o644, 0, 0) + name("f"), 160)
    node, fh = parse_entry(made[:128]).nodeid, struct.unpack_from("<Q", made, 128)[0]
    w.fs.good("WRITE", node, struct.pack("<QQIIQII", fh, 0, 4, 0, 0, 0, 0) + b"text", 24)
    w.fs.release(node, fh)
    w.fs.good("SYMLINK", below, name("l", "f"), 144)
    w.fs.good("MKNOD", below, struct.pack("<IIII", 0o010644, 0, 0, 0) + name("p"), 144)
    w.fs.good("LINK", ROOT, struct.pack("<Q", node) + name("h"), 144)
    # From one directory to another, which old Landlocks refuse altogether.
    w.fs.good("RENAME", below, struct.pack("<Q", ROOT) + name("f", "g"), 16)
    size = struct.pack("<IIQQQQQQIIIIIIII", 1 << 3, 0, 0, 2, *(0,) * 12)
    w.fs.good("SETATTR", node, size, 120)
    equal(content(w.fs, node), b"te", "after truncate(2)")
    for text in ("l", "p"):
        w.fs.good("UNLINK", below, name(text), 16)
    w.fs.good("UNLINK", ROOT, name("h"), 16)
    w.fs.good("RMDIR", ROOT, name("d"), 16)
    check("g" in os.listdir(share), "the file is not there")
    w.check()


for key in (*WITH, *WITHOUT):
    add(f"a known file in a directory that was moved out ({key})", moved, key)
    add(f"everything inside ({key})", works, key)
main()
