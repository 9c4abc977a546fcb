# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan,tsan
"""What the words of replies are of: each bit of an operation stands for a slot that docs/coherence.md
computes, with the word that the table has, and a change has moved it by one."""

import os
import re
import struct
import time

from daemon import Daemon
from fuse import FATTR_SIZE, name, parse_dirents, parse_entry, read_in, setattr_in, write_in
from harness import case, check, equal, main, until
from versions import ALONE, KEEP, ROWS, Guest, Table, folder, looks_of_entry, names
from world import World

ATTR, DATA, LIST = range(3)
SLOTS = 1 << 20  # what others do on the same file system meets none of ours
FATTR_MODE = 1


def world(beside=None):
    """A server and a guest of it that has agreed; beside another one: of the same directory."""
    path = where(beside) if beside else os.path.join(folder(), "table")
    w = World(init=False, daemon=Daemon("--version-table", path, "--version-slots", str(SLOTS),
                                        "--xattr", share=beside and beside.daemon.share))
    w.fs = Guest(w.fe)
    w.fs.init()
    w.fs.begin()
    table = Table(path)
    until("the watcher leaves our changes out", lambda: is_ours_alone(w, table))
    return w, table


def is_ours_alone(w, table):
    """Whether a change of ours moves a word only once. The watcher knows the server when it has read
    what happened before; until then it passes on what the server does, soon after it."""
    slot = table.slot(ATTR, os.stat(w.daemon.share))
    w.fs.good("SETATTR", 1, setattr_in(FATTR_MODE, mode=0o755))
    word = w.fs.words.moves["NODE_ATTR"].after
    time.sleep(0.05)
    return table.word(slot) == word


def where(w):
    args = w.daemon.proc.args
    return args[args.index("--version-table") + 1]


class Checker:
    """Compares the words of the last reply with the table, by what the bits stand for."""

    def __init__(self, w, table):
        self.w, self.table = w, table

    def stat(self, path):
        return os.lstat(os.path.join(self.w.daemon.share, path))

    def slot_of(self, bit, node, text, child, to, to_text, to_child):
        of = {"NODE": node, "CHILD": child, "TO": to, "TO_CHILD": to_child}
        if bit in ("NAME", "TO_NAME"):
            return self.table.slot(None, node if bit == "NAME" else to,
                                   text if bit == "NAME" else to_text)
        who, kind = bit.rsplit("_", 1)
        return self.table.slot({"ATTR": ATTR, "DATA": DATA, "LIST": LIST}[kind], of[who])

    def check(self, op, node, text=None, child=None, to=None, to_text=None, to_child=None,
              without=(), kept=True):
        """without: bits that this one had nothing to do with."""
        words, (looks, marks, more, _) = self.w.fs.words, ROWS[op]
        where = (node, text, child, to, to_text, to_child)
        equal(words.epoch, self.table.epoch, f"{op}: epoch")
        for bit in names(looks):
            if bit in without:
                continue
            look, slot = words.looks[bit], self.slot_of(bit, *where)
            equal((look.slot, look.word), (slot, self.table.word(slot)), f"{op}: look at {bit}")
            equal(look.flags & KEEP, KEEP if kept else 0, f"{op}: flags of {bit}")
        for bit in names(marks | more):
            move = words.moves[bit]
            if bit in without:
                equal(move, (0, 0, 0, 0), f"{op}: {bit}, which was not changed")
                continue
            slot = self.slot_of(bit, *where)
            equal((move.slot, move.after), (slot, self.table.word(slot)), f"{op}: change of {bit}")
            equal((move.flags, move.after), (ALONE, move.before + (1 << 16)), f"{op}: {bit}, alone")


def mapped(pid, path):
    """KiB of a file's pages that a process has at hand."""
    with open(f"/proc/{pid}/smaps") as f:
        maps = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", f.read())
    return sum(int(re.search(r"(?m)^Rss:\s+(\d+)", m).group(1)) for m in maps
               if m.splitlines()[:1] and m.splitlines()[0].endswith(path))


@case("no request waits for a page of the table")
def _():
    w, _ = world()
    check(mapped(w.daemon.pid, where(w)) >= SLOTS * 8 // 1024, "pages are not mapped")


@case("what is looked at")
def _():
    w, t = world()
    c, fs = Checker(w, t), w.fs
    root, file = c.stat("."), c.stat("file")
    fs.getattr()
    c.check("GETATTR", root)
    entry = fs.lookup("file")
    c.check("LOOKUP", root, "file", file)
    equal(parse_entry(fs.good("LOOKUP", 1, name("missing"))).nodeid, 0, "a missing name")
    c.check("LOOKUP", root, "missing", without=("CHILD_ATTR",))
    fh = fs.open(entry.nodeid)
    fs.read(entry.nodeid, fh, 0, 100)
    c.check("READ", file)
    fs.good("LSEEK", entry.nodeid, struct.pack("<QQII", fh, 0, 4, 0))
    c.check("LSEEK", file)
    fs.good("READLINK", fs.lookup("link").nodeid)
    c.check("READLINK", c.stat("link"))
    fs.good("LISTXATTR", entry.nodeid, struct.pack("<II", 0, 0))
    c.check("LISTXATTR", file)
    fs.good("ACCESS", entry.nodeid, struct.pack("<II", 4, 0))
    c.check("ACCESS", file)
    equal(t.moving(), [], "changes in flight")


@case("what is listed, entry by entry")
def _():
    w, t = world()
    c, fs = Checker(w, t), w.fs
    root, dh = c.stat("."), fs.opendir()
    fs.readdir(1, dh)
    c.check("READDIR", root)
    data = fs.good("READDIRPLUS", 1, read_in(dh, 0, 4096), 4096 + 16)
    c.check("READDIRPLUS", root, without=("NAME", "CHILD_ATTR"))
    n = 0
    for d in parse_dirents(data, plus=True):
        if not d.entry.nodeid:
            continue
        slots = t.slot(None, root, d.name), t.slot(ATTR, c.stat(d.name))
        equal(looks_of_entry(d.entry), tuple((t.word(slot), slot, KEEP) for slot in slots),
              f"looks of {d.name}")
        n += 1
    check(n >= 5, "entries with nodes", n)


@case("what is changed")
def _():
    w, t = world()
    c, fs = Checker(w, t), w.fs
    root = c.stat(".")
    made, fh = fs.create("made")
    c.check("CREATE", root, "made", c.stat("made"), without=("CHILD_DATA",))
    st = c.stat("made")
    fs.write(made.nodeid, fh, 0, b"data")
    c.check("WRITE", st)
    fs.good("SETATTR", made.nodeid, setattr_in(FATTR_MODE, mode=0o600))
    c.check("SETATTR", st, without=("NODE_DATA",))
    fs.good("SETATTR", made.nodeid, setattr_in(FATTR_SIZE, size=2))
    c.check("SETATTR", st)
    fs.good("OPEN", made.nodeid, struct.pack("<II", os.O_WRONLY | os.O_TRUNC, 0))
    c.check("OPEN", st)
    fs.good("SETXATTR", made.nodeid, struct.pack("<II", 1, 0) + name("user.a") + b"v", 16)
    c.check("SETXATTR", st)
    fs.good("LINK", 1, struct.pack("<Q", made.nodeid) + name("hard"))
    c.check("LINK", root, "hard", st)
    fs.good("UNLINK", 1, name("hard"), 16)
    c.check("UNLINK", root, "hard", st)
    fs.good("MKDIR", 1, struct.pack("<II", 0o755, 0) + name("new"))
    new = c.stat("new")
    c.check("MKDIR", root, "new", new)
    node = fs.lookup("new").nodeid
    fs.good("RENAME", 1, struct.pack("<Q", node) + name("made", "moved"), 16)
    c.check("RENAME", root, "made", st, new, "moved",
            without=("CHILD_LIST", "TO_CHILD_ATTR", "TO_CHILD_LIST"))
    equal(t.moving(), [], "changes in flight")


@case("what another server's guest changes is seen, and nothing else")
def _():
    a, t = world()
    b, _t = world(beside=a)
    kept = {}
    for text in ("file", "big"):
        entry = b.fs.lookup(text)
        kept[text, "name"] = b.fs.words.looks["NAME"]
        kept[text, "attributes"] = b.fs.words.looks["CHILD_ATTR"]
        b.fs.read(entry.nodeid, b.fs.open(entry.nodeid), 0, 10)
        kept[text, "data"] = b.fs.words.looks["NODE_DATA"]
    check(all(look.flags == KEEP for look in kept.values()), "all may be kept", kept)

    def gone():
        return {what for what, look in kept.items() if t.word(look.slot) != look.word}

    epoch = t.epoch
    equal(gone(), set(), "nothing has changed")
    node = a.fs.lookup("file").nodeid
    a.fs.good("SETATTR", node, setattr_in(FATTR_MODE, mode=0o600))
    equal(gone(), {("file", "attributes")}, "a mode")
    fh = a.fs.open(node, os.O_RDWR)
    a.fs.write(node, fh, 0, b"x")
    equal(gone(), {("file", "attributes"), ("file", "data")}, "data")
    a.fs.good("UNLINK", 1, name("big"), 16)
    equal(gone(), {("file", "attributes"), ("file", "data"), ("big", "name"),
                   ("big", "attributes")}, "a name")
    equal(t.epoch, epoch, "epoch")


main()
