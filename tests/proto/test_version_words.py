# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan,tsan
"""The version table over the wire: how a guest agrees to it, where words stand in replies, and what
becomes of guests and files when the table is replaced, cannot be, or is not one."""

import errno
import fcntl
import os
import signal
import struct

import vu
from daemon import Daemon, run_options, sanitizer
from fuse import (INIT_FLAGS, name, parse_attr, parse_dirents, parse_entry, read_in, setattr_in,
                  write_in)
from harness import Skip, case, check, equal, main, until
from mem import PAGE
from versions import (BEGIN, HELLO, KEEP, POISON, Guest, Table, folder, looks_of_entry,
                      words_size)
from vu import VERSION
from window import MAP, NAMES, Window, WindowFrontend
from world import World

SLOTS = 1024
WRITEBACK = 1 << 16
GETATTR = struct.pack("<IIQ", 0, 0, 0)
FATTR_MODE = 1
F_OFD_GETLK = 36


def world(*options, table=None, init=True, **kw):
    """A daemon with a table, and a guest of it that may agree."""
    if "daemon" not in kw:
        options = ("--version-table", table or os.path.join(folder(), "table"), *options)
        if table is None or not os.path.exists(table):
            options += ("--version-slots", str(SLOTS))
    w = World(*options, init=False, **kw)
    w.fs = Guest(w.fe)
    if init:
        w.fs.init()
    return w


def is_attached(path):
    """Whether anybody has the lock of a table."""
    with open(path + ".key", "rb") as f:
        lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 1, 0)
        return struct.unpack("hhqqi4x", fcntl.fcntl(f, F_OFD_GETLK, lock))[0] != fcntl.F_UNLCK


def where(w):
    args = w.daemon.proc.args
    return args[args.index("--version-table") + 1]


@case("a guest asks for the table, and agrees to it by its id")
def _():
    w = world()
    t = Table(where(w))
    equal(t.slots, SLOTS, "slots")
    equal(w.fs.ask(), (t.id, SLOTS), "what the server says of it")
    equal(len(w.fs.getattr().__class__._fields), 16, "no words unless it agrees")
    equal(w.fs.begin(), (t.id, SLOTS), "what the server says when it agrees")
    w.fs.getattr()
    equal(w.fs.words.epoch, t.epoch, "epoch")
    w.check()


@case("without a table there is no such request")
def _():
    w = World()
    w.fs = Guest(w.fe)
    equal(w.fs.hello().error, -errno.ENOSYS, "VT_HELLO")
    equal(w.fs.hello(BEGIN, b"x" * 16).error, -errno.ENOSYS, "VT_HELLO_BEGIN")
    w.check()


@case("what makes no sense is refused, and agrees to nothing")
def _():
    w = world(init=False)
    equal(w.fs.hello().error, -errno.EIO, "before INIT")
    w.fs.init()
    which, _slots = w.fs.ask()
    equal(w.fs.hello(wire=0).error, -errno.EINVAL, "no wire")
    equal(w.fs.hello(flags=2).error, -errno.EINVAL, "unknown flags")
    equal(w.fs.hello(BEGIN, bytes(16)).error, -errno.ESTALE, "another table")
    equal(w.fs.hello(BEGIN, which, out=16 + 63).error, -errno.EINVAL, "no room for the answer")
    equal(w.fs.call(HELLO, 1, struct.pack("<II", 1, BEGIN), 80).error, -errno.EINVAL, "short")
    w.check()
    equal(w.fs.hello(BEGIN, which, wire=7).error, 0, "a newer wire")
    w.fs.agreed = True
    w.fs.getattr()


@case("who holds back writes cannot agree")
def _():
    w = world("--cache", "always", "--writeback", init=False)
    w.fs.init(flags=INIT_FLAGS | WRITEBACK)
    which, _slots = w.fs.ask()
    equal(w.fs.hello(BEGIN, which).error, -errno.EBUSY, "VT_HELLO_BEGIN")
    w.check()
    w.fs.init()
    w.fs.begin()
    w.check()


@case("INIT and DESTROY end it")
def _():
    w = world()
    for op in ("INIT", "DESTROY"):
        w.fs.begin()
        w.fs.getattr()
        if op == "DESTROY":
            w.fs.good("DESTROY", 0, b"", 16)
        w.fs.agreed = False
        w.fs.init()
        w.fs.getattr()


def every_reply(fs):
    """Replies to requests of all shapes, their words taken off; what they are of."""
    root = parse_attr(fs.good("GETATTR", 1, GETATTR)[16:])
    entry = parse_entry(fs.good("LOOKUP", 1, name("file")))
    fh = fs.open(entry.nodeid)
    data = fs.read(entry.nodeid, fh, 0, 64)
    fs.release(entry.nodeid, fh)
    link = fs.good("READLINK", fs.lookup("link").nodeid)
    dh = fs.opendir()
    plain = {d.name for d in fs.readdir(1, dh)}
    fs.release(1, dh, "RELEASEDIR")
    fs.good("STATFS", 1, b"", 96)
    made, fh = fs.create("made")
    fs.write(made.nodeid, fh, 0, b"twelve bytes")
    fs.good("FSYNC", made.nodeid, struct.pack("<QII", fh, 0, 0), 16)
    fs.release(made.nodeid, fh)
    mode = parse_attr(fs.good("SETATTR", made.nodeid, setattr_in(FATTR_MODE, mode=0o600))[16:]).mode
    fs.good("RENAME", 1, struct.pack("<Q", 1) + name("made", "moved"), 16)
    fs.good("UNLINK", 1, name("moved"), 16)
    return (root.ino, entry.attr.ino, data, link, plain, mode)


@case("replies are what they are without words, behind them")
def _():
    w = world("--xattr")
    without = every_reply(w.fs)
    w.fs.begin()
    equal(every_reply(w.fs), without, "replies")
    # Each has the words of its row: nothing else fits the payload that was compared.
    w.check()


@case("a reply with words has exactly the room that it needs, or is not begun")
def _():
    w = world(size=256)
    w.fs.begin()
    w.fs.agreed = False  # sizes as they are
    for op, args, payload, gone in (("GETATTR", GETATTR, 104, None),
                                    ("UNLINK", name("empty"), 0, "empty"),
                                    ("RMDIR", name("dir"), 0, "dir/sub"),
                                    ("MKDIR", struct.pack("<II", 0o755, 0) + name("new"), 128,
                                     "new")):
        path = os.path.join(w.daemon.share, gone or "")
        before = os.path.exists(path)
        least = 16 + words_size(op) + payload
        for room in (16, 17, least - 1):
            r = w.fs.call(op, 1, args, room)
            equal(r.error, -errno.EINVAL, f"{op} with room for {room}")
            equal(os.path.exists(path), before, f"{op}: nothing was done")
        if op != "RMDIR":
            r = w.fs.call(op, 1, args, least)
            equal((r.error, r.used), (0, least), f"{op} with just enough room")
    # Any cut of the reply is as good as another.
    for sizes in ((1,), (16, 1), (20, 7, 1 << 20)):
        r = w.fs.call("GETATTR", 1, GETATTR, 16 + words_size("GETATTR") + 104, wsizes=sizes)
        equal(parse_attr(r.data[words_size("GETATTR") + 16:]).mode >> 12, 4, f"cut as {sizes}")


@case("errors have no words, and a missing name is none")
def _():
    w = world("--cache", "none")
    equal(w.fs.call("LOOKUP", 1, name("missing")).error, -errno.ENOENT, "before")
    w.fs.begin()
    w.fs.fails(-errno.EEXIST, "MKDIR", 1, struct.pack("<II", 0o755, 0) + name("dir"), 16 + 128)
    entry = parse_entry(w.fs.good("LOOKUP", 1, name("missing")))
    equal(entry.nodeid, 0, "node of a name that is not there")
    check(w.fs.words, "with words")


@case("each entry of a listing has looks of its own")
def _():
    w = world()
    dh = w.fs.opendir()
    plain = w.fs.good("READDIRPLUS", 1, read_in(dh, 0, 4096), 4096)
    w.fs.begin()
    data = w.fs.good("READDIRPLUS", 1, read_in(dh, 0, 4096), 4096 + 16)
    equal(len(data), len(plain), "bytes")
    for d, before in zip(parse_dirents(data, plus=True), parse_dirents(plain, plus=True)):
        looks = looks_of_entry(d.entry)
        times = dict(entry_valid=0, entry_nsec=0, attr_valid=0, attr_nsec=0)
        equal((d.name, d.entry._replace(**times)),
              (before.name, before.entry._replace(**times)), "all but the times")
        check(all(x.slot < SLOTS for x in looks), "slots", looks)
        equal([x.flags for x in looks], [KEEP if d.entry.nodeid else 0] * 2,
              f"flags of {d.name}: without a node there is nothing to keep")
        check(not d.entry.nodeid or looks[0].slot != looks[1].slot, "looks at two things", looks)
    first = 128 + 32
    w.fs.fails(-errno.EINVAL, "READDIRPLUS", 1, read_in(dh, 0, first - 1), 4096)
    equal(len(w.fs.good("READDIRPLUS", 1, read_in(dh, 0, first), 4096)), first, "one entry")


@case("replies that are kept for the window have their words too")
def _():
    w = world("--dax-window", "64M", "--dax", "always", init=False, front_end=ReadOnly,
              protocol=vu.P_ALL | vu.P_WINDOW)
    w.fs.init()
    without = every_reply(w.fs)
    w.fs.begin()
    equal(every_reply(w.fs), without, "replies")
    w.check()


class ReadOnlyWindow(Window):
    """A window, and beside it region 1, which is mapped for reading."""

    def __init__(self, fe, tell=True):
        config = fe.ask(vu.GET_SHMEM_CONFIG)
        self.sizes = struct.unpack_from("<8Q", config, 8)
        self.table = None
        super().__init__(fe, tell)

    def _change(self, number, body, fds):
        shmid, offset, at, length, flags = struct.unpack("<B7x4Q", body)
        if shmid == 0:
            return super()._change(number, body, fds)
        equal((shmid, offset, at, flags), (1, 0, 0, 0), "a change of region 1")
        check(length % PAGE == 0 and length <= self.sizes[1], "length", length)
        equal(len(fds), number == MAP, f"descriptors with {NAMES[number]}")
        check(number != MAP or self.table is None, "a map over another one")
        # The daemon takes away what may be there, where it was held off before it knew.
        if self.refuse(NAMES[number], at, length) or (number != MAP and self.table is None):
            return 1
        self.table = Table(fd=fds[0]) if number == MAP else None
        for fd in fds:
            equal(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE, os.O_RDONLY, "of a descriptor")
        return 0


class RefusingWindow(ReadOnlyWindow):
    """Refuses from the first change on, which comes as soon as there is a channel."""
    maps = 0

    def _change(self, number, body, fds):
        self.maps += number == MAP
        return 1


class ReadOnly(WindowFrontend):
    kind = ReadOnlyWindow

    def negotiate(self, features=vu.F_ALL, protocol=vu.P_ALL | vu.P_WINDOW):
        vu.Frontend.negotiate(self, features, protocol)
        self.window = self.kind(self)
        return self


class Refusing(ReadOnly):
    kind = RefusingWindow


def mapped(w, which=None):
    """The table that is mapped; the one with this id."""
    def is_there():
        t = w.fe.window.table
        return t is not None and which in (None, t.id)

    until("the table is not mapped", is_there)
    return w.fe.window.table


@case("front-ends are shown the table as region 1")
def _():
    # One BAR has both: QEMU wants its size to be a power of two.
    for options, first, second in ((("--dax-window", "64M"), 64 << 20, 64 << 20), ((), 0, 16384)):
        w = world(*options, front_end=ReadOnly, protocol=vu.P_ALL | vu.P_WINDOW)
        equal((w.fe.window.regions, w.fe.window.sizes[:3]), (2, (first, second, 0)), "regions")
        t = mapped(w)
        equal((t.id, t.slots), w.fs.begin(), "the table that is mapped")
        w.check()


def renewed(t, w):
    """The table that took the place of a poisoned one, when a server says so."""
    until("no other table", lambda: w.fs.hello().error == 0 and w.fs.ask()[0] != t.id)
    new = Table(where(w))
    equal(w.fs.ask(), (new.id, new.slots), "the table of the file")
    return new


def poison_memory(w):
    """Nobody but its server can write to sealed memory; and who looks after the machine."""
    with open(f"/proc/{w.daemon.pid}/maps") as f:
        lines = [line for line in f if "memfd:causeway-versions" in line]
    equal(len(lines), 1, "maps of the table")
    try:
        with open(f"/proc/{w.daemon.pid}/mem", "r+b", buffering=0) as f:
            f.seek(int(lines[0].split("-")[0], 16) + POISON)
            f.write(struct.pack("<Q", 1))
    except PermissionError as e:
        raise Skip(f"memory of another process: {e}") from None


@case("a front-end that refuses a table is not asked for it again, and served")
def _():
    w = world(init=False, front_end=Refusing, protocol=vu.P_ALL | vu.P_WINDOW)
    # While its rings are set up it may be asked and held off, and is asked anew then.
    until("no answer is taken", lambda: b"does not map the version table" in w.daemon.stderr())
    asked = w.fe.window.maps
    check(asked, "it is asked")
    w.restart(1)
    w.fs.init()
    t = Table(where(w))
    w.fs.begin()
    w.check()
    # For another one it is, and what comes before that would have come by then.
    t.poison()
    renewed(t, w)
    until("it is not asked for the next one", lambda: w.fe.window.maps > asked)
    equal(w.fe.window.maps, asked + 1, "times that it was asked")
    w.check()


@case("a poisoned table is replaced; replies keep their words, and of the new one")
def _():
    w = world(front_end=ReadOnly, protocol=vu.P_ALL | vu.P_WINDOW)
    mapped(w)
    t = Table(where(w))
    w.fs.begin()
    t.poison()
    new = renewed(t, w)
    equal(new.slots, t.slots, "slots")
    w.fs.getattr()
    equal(w.fs.words.epoch, new.epoch, "epoch")
    equal(w.fs.hello(BEGIN, t.id).error, -errno.ESTALE, "the old one")
    w.fs.getattr()
    equal(w.fs.hello(BEGIN, new.id).error, 0, "the new one")
    w.check()
    mapped(w, new.id)


@case("memory of one server is made anew as well")
def _():
    w = world(table="memfd", front_end=ReadOnly, protocol=vu.P_ALL | vu.P_WINDOW)
    t = mapped(w)
    equal((t.id, SLOTS), w.fs.begin(), "the table that is mapped")
    poison_memory(w)
    until("no other table", lambda: w.fs.ask()[0] != t.id)
    mapped(w, w.fs.ask()[0])
    w.check()


@case("servers of one file have one table, and change to one together")
def _():
    a = world()
    b = world(table=where(a))
    t = Table(where(a))
    equal((a.fs.begin(), b.fs.begin()), ((t.id, SLOTS),) * 2, "tables")
    t.poison()
    new = renewed(t, a)
    until("two tables", lambda: b.fs.ask()[0] == new.id)
    a.check()
    b.check()


@case("a server that is killed leaves the table to others")
def _():
    a = world()
    t = Table(where(a))
    epoch = t.epoch
    t.set_word(5, (7 << 16) + 3)  # as if it died in three changes
    os.kill(a.daemon.pid, signal.SIGKILL)
    a.daemon.wait((-signal.SIGKILL,), "when killed")
    # Its watcher is attached too, and ends when it finds that the server has.
    until("nobody to be attached", lambda: not is_attached(where(a)))
    b = world(table=where(a))
    equal(b.fs.ask(), (t.id, SLOTS), "table")
    # What the host does here (the share is made) may move any word, by whole versions.
    equal(t.word(5) & 0xffff, 0, "its marks")
    check(t.word(5) >= 10 << 16, "its changes have ended", t.word(5))
    check(t.epoch != epoch, "the epoch moves")
    b.check()
    # Beside another, marks stay.
    t.set_word(6, t.word(6) + 1)
    world(table=where(a)).check()
    equal(t.word(6) & 0xffff, 1, "marks of whoever")


def spoil(path, at, data):
    with open(path, "r+b") as f:
        f.seek(at)
        f.write(data)


@case("where no table is to be had, nothing changes until one is")
def _():
    w = world(requests=1)
    made, fh = w.fs.create("made")
    w.fs.begin()
    t = Table(where(w))
    key = where(w) + ".key"
    spoil(key, 0, b"whatever")
    t.poison()
    until("it is found out", lambda: w.fs.hello().error == -errno.ENOSYS)
    for op, node, args in (("WRITE", made.nodeid, write_in(fh, 0, 1) + b"x"),
                           ("MKDIR", 1, struct.pack("<II", 0o755, 0) + name("new")),
                           ("UNLINK", 1, name("empty")),
                           ("OPEN", made.nodeid, struct.pack("<II", os.O_RDWR | os.O_TRUNC, 0)),
                           ("SETATTR", made.nodeid, setattr_in(FATTR_MODE, mode=0))):
        w.fs.fails(-errno.EIO, op, node, args)
    w.check()
    w.fs.release(made.nodeid, fh)
    spoil(key, 0, b"CWVTKEY1")
    renewed(t, w)
    w.fs.good("UNLINK", 1, name("empty"), 16)
    lines = [line for line in w.daemon.stderr_lines() if "something else" in line]
    equal(len(lines), 1, "lines of the log that say why")


@case("a file that is no table is left alone")
def _():
    path = os.path.join(folder(), "table")
    with open(path, "wb") as f:
        f.write(b"somebody's data")
    command = ["--shared-dir", folder(), "--socket-path", folder() + "/s", "--sandbox", "none",
               "--seccomp", "none", "--version-table", path]
    for what in (b"somebody's data", b"CWVTABLE" + bytes(4096)):
        with open(path, "wb") as f:
            f.write(what)
        status, _out, err = run_options(*command)
        equal(status, 2, "exit status")
        check(path in err, "named", err)
        with open(path, "rb") as f:
            equal(f.read(), what, "the file")
    os.unlink(path)
    os.chmod(os.path.dirname(path), 0o755)
    status, _out, err = run_options(*command[:-1], "/etc/passwd.table")
    check(status == 2 and "tmpfs" in err, "not on a tmpfs", err)


@case("the table is renewed in each sandbox")
def _():
    if sanitizer():
        raise Skip("sanitizers run without one")
    for options in (("--sandbox", "namespace"), ("--sandbox", "chroot"), ("--sandbox", "none"),
                    ("--sandbox", "none", "--inode-file-handles", "never")):
        w = world(*options)
        t = Table(where(w))
        w.fs.begin()
        t.poison()
        renewed(t, w)
        w.check()
        w.close()
        w = world(*options, table="memfd")
        which = w.fs.begin()
        poison_memory(w)
        until("no other table", lambda: w.fs.ask() != which)
        w.check()
        w.close()


main()
