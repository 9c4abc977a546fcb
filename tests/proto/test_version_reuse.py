# SPDX-License-Identifier: BSD-2-Clause
"""An inode's number goes to another file: what a guest of another server holds of the one before is
good no more, and leads nowhere. On ext4, which gives the lowest number that is free."""

import os
import struct
import time

from daemon import Daemon
from disks import disk, private
from fuse import name
from harness import case, check, equal, main, until
from versions import KEEP, Guest, Table, folder
from world import World

TRIES = 200
YOUNG_NS = 100 << 20  # more than a server takes for too young to be told from the next one


def worlds(share):
    """Two servers of one directory and table, with a guest each that has agreed; and the table."""
    path = os.path.join(folder(), "table")
    both = [World(init=False, daemon=Daemon("--version-table", path, share=share))
            for _ in range(2)]
    for w in both:
        w.fs = Guest(w.fe)
        w.fs.init()
        w.fs.begin()
    return *both, Table(path)


def grow_old(path):
    """Until a server need not hold the file to know it again."""
    made = os.stat(path).st_ctime_ns
    until("the file is old", lambda: time.time_ns() - made > YOUNG_NS)


def make_old(path):
    with open(path, "w", encoding="ascii") as f:
        f.write("old")
    grow_old(path)


def make_with_number(fs, number):
    """A guest makes files until one has a number."""
    for i in range(TRIES):
        entry, fh = fs.create(f"new{i}")
        fs.release(entry.nodeid, fh)
        if entry.attr.ino == number:
            return f"new{i}"
    return None


def replace(fs, number):
    """The guest removes f, and puts in its place what has its number then; whether it could."""
    fs.good("UNLINK", 1, name("f"), 16)
    new = make_with_number(fs, number)
    if new:
        fs.good("RENAME", 1, struct.pack("<Q", 1) + name(new, "f"), 16)
    return new is not None


private()


def reuse(look_later):
    """Another server's guest looks at the new file at once, or when it is held no more either."""
    share, _ = disk("ext4")
    make_old(os.path.join(share, "f"))
    a, b, table = worlds(share)
    number = os.stat(os.path.join(share, "f")).st_ino
    before = b.fs.lookup("f")
    kept = b.fs.words.looks
    check(all(kept[bit].flags == KEEP for bit in ("NAME", "CHILD_ATTR")), "all may be kept", kept)
    equal(before.attr.ino, number, "the number")
    check(replace(a.fs, number), "the number is free, as nobody holds the file")
    for bit in ("NAME", "CHILD_ATTR"):
        check(table.word(kept[bit].slot) != kept[bit].word, f"{bit}: the word has moved")
    if look_later:
        grow_old(os.path.join(share, "f"))
    now = b.fs.lookup("f")
    equal(now.attr.ino, number, "the number again")
    equal(now.attr.size, 0, "the size of the new one")
    check(now.nodeid != before.nodeid, "another node")
    b.fs.stale(before.nodeid)
    equal(b.fs.getattr(now.nodeid).size, 0, "the size, by the node")


@case("a number that another file has since a moment ago")
def _():
    reuse(look_later=False)


@case("a number that another file has had for a while")
def _():
    reuse(look_later=True)


@case("it is not free while a guest has the file open")
def _():
    share, _ = disk("ext4")
    make_old(os.path.join(share, "f"))
    a, b, _table = worlds(share)
    before = b.fs.lookup("f")
    fh = b.fs.open(before.nodeid)
    check(not replace(a.fs, before.attr.ino), "the number is not given away")
    equal(b.fs.read(before.nodeid, fh, 0, 10), b"old", "what was in the file")
    equal(b.fs.getattr(before.nodeid).nlink, 0, "links of the file")


main()
