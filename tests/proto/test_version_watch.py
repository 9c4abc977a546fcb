# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan,tsan
"""What processes of the host change, in the version table of a daemon: told from what the daemon
changes itself, through the sandbox, on file systems that are mounted later, and by another daemon's
watcher when one dies. And what stock guests have of it."""

import os
import select
import signal
import socket
import struct
import subprocess

from daemon import Daemon, make_share, sanitizer
from fuse import name, parse_entry
from harness import HANG, Skip, case, check, equal, main, until
from versions import ALONE, KEEP, TIMED, Guest, Table, folder
from world import World

NOBODY = 65534
POISON = 72
WATCHER = 128
GETATTR = struct.pack("<IIQ", 0, 0, 0)
UNWATCHED = "host processes are not watched"


def world(*options, table=None, begin=True, **kw):
    """A daemon whose watcher watches, a guest, and the table."""
    table = table or os.path.join(folder(), "table")
    w = World("--version-table", table, *options, **kw)
    w.table = Table(table)
    w.path = table
    w.fs.__class__ = Guest
    if begin:
        w.fs.begin()
    lines = [line for line in w.daemon.stderr_lines() if UNWATCHED in line]
    if lines:
        raise Skip(lines[0])
    wait_for_beat(w)
    return w


def beat(w):
    return struct.unpack_from("<Q", w.table.map, WATCHER)[0]


def wait_for_beat(w):
    last = beat(w)
    until("nobody watches", lambda: beat(w) not in (0, last))


def look(w, what):
    """The look of a name, and of what it stands for."""
    w.fs.good("LOOKUP", 1, name(what))
    return w.fs.words.looks["NAME"], w.fs.words.looks["CHILD_ATTR"]


def pass_on(w, word):
    """Waits until a stranger's change that moves this look has been passed on."""
    until("a change of the host is not passed on",
          lambda: w.table.word(word.slot) != word.word)


def flush(w):
    """Waits for all that happened before."""
    path = os.path.join(w.daemon.share, "flush")
    with open(path, "w") as f:
        f.write("1")
    _, attr = look(w, "flush")
    os.chmod(path, 0o700)
    pass_on(w, attr)
    attr = look(w, "flush")[1]
    os.chmod(path, 0o600)
    pass_on(w, attr)


def check_strangers(w):
    path = os.path.join(w.daemon.share, "file")
    for _ in range(2):
        flush(w)
        entry, attr = look(w, "file")
        equal((entry.flags, attr.flags), (KEEP, KEEP), "flags of looks")
        os.chmod(path, 0o640)
        pass_on(w, attr)
        equal(w.table.word(entry.slot), entry.word, "the name's word")
    os.rename(path, path + "-away")
    pass_on(w, entry)
    os.rename(path + "-away", path)


@case("what the host changes moves words; in each sandbox")
def _():
    for sandbox in ("namespace", "chroot", "none"):
        if sandbox != "none" and sanitizer():
            continue
        w = world("--sandbox", sandbox)
        check_strangers(w)
        w.check()


@case("what the daemon changes for its guests does not, beyond its marks")
def _():
    w = world()
    flush(w)
    w.fs.create("made")
    moves = w.fs.words.moves
    flush(w)
    for bit in ("NAME", "CHILD_ATTR"):
        equal(moves[bit].flags, ALONE, f"{bit} of CREATE")
        equal(w.table.word(moves[bit].slot), moves[bit].after, f"{bit} after CREATE")
    w.check()


@case("so do two daemons, whose watchers follow each other; one takes over")
def _():
    a = world()
    b = world(table=a.path)
    # b's share is another directory: both are watched.
    for w in (a, b):
        check_strangers(w)
    b.fs.create("made")
    moved = b.fs.words.moves["CHILD_ATTR"]
    flush(b)
    equal(b.table.word(moved.slot), moved.after, "what the other daemon did")
    epoch = b.table.epoch
    os.kill(a.daemon.proc.pid, signal.SIGKILL)
    a.daemon.proc.wait()
    a.daemon.ended = True
    until("nobody takes over", lambda: b.table.epoch != epoch)
    wait_for_beat(b)
    check_strangers(b)
    b.check()


def watcher_of(w):
    """The process that leads the watchers of a table."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(w.path + ".watch")
        cred = s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return struct.unpack("iII", cred)[0]


@case("a daemon that loses its watcher says so, and shows all by time only")
def _():
    w = world()
    flush(w)
    equal(look(w, "file")[1].flags, KEEP, "flags before")
    epoch = w.table.epoch
    os.kill(watcher_of(w), signal.SIGKILL)
    until("the epoch does not move", lambda: w.table.epoch != epoch)
    equal([x.flags for x in look(w, "file")], [KEEP | TIMED] * 2, "flags after")
    w.fs.getattr()
    equal(w.fs.words.looks["NODE_ATTR"].flags, KEEP | TIMED, "flags of GETATTR")
    check(any("watcher" in line for line in w.daemon.stderr_lines()), "a line in the log")
    w.check()


@case("the watcher ends with its daemon, and leaves nothing")
def _():
    w = world()
    pid = watcher_of(w)
    fd = os.pidfd_open(pid)
    w.fe.close()
    w.daemon.stop()
    check(select.select([fd], [], [], HANG)[0], "the watcher stays")
    os.close(fd)
    equal(beat(w), 0, "the watcher's word")
    check(not os.path.exists(w.path + ".watch"), "its socket is still there")


@case("what is mounted later is watched when it is shown")
def _():
    w = world("--sandbox", "none")
    at = os.path.join(w.daemon.share, "dir", "sub")
    epoch = w.table.epoch
    if subprocess.run(["mount", "-t", "tmpfs", "none", at], check=False).returncode:
        raise Skip("nothing can be mounted here")
    try:
        until("the epoch does not move", lambda: w.table.epoch != epoch)
        with open(os.path.join(at, "below"), "w") as f:
            f.write("1")
        directory = w.fs.lookup("dir").nodeid
        # What was read before it was watched is good for a time.
        mounted = parse_entry(w.fs.good("LOOKUP", directory, name("sub"))).nodeid
        flags = w.fs.words.looks["CHILD_ATTR"].flags
        equal(flags & TIMED, TIMED, "flags of a new mount")
        flush(w)
        w.fs.good("LOOKUP", mounted, name("below"))
        attr = w.fs.words.looks["CHILD_ATTR"]
        equal(attr.flags, KEEP, "flags below")
        os.chmod(os.path.join(at, "below"), 0o600)
        pass_on(w, attr)
    finally:
        subprocess.run(["umount", "-l", at], check=True)
    w.check()


def memory(w):
    """The table in the daemon's memory: where that is mapped, its inode, a descriptor for reading;
    None while it is replaced."""
    fds = f"/proc/{w.daemon.pid}/fd"
    with open(f"/proc/{w.daemon.pid}/maps") as f:
        lines = [line for line in f if "memfd:causeway-versions" in line and " rw-s " in line]
    for path in (os.path.join(fds, fd) for fd in os.listdir(fds)):
        try:
            inode = os.stat(path).st_ino
            if lines and int(lines[0].split()[4]) == inode and "versions" in os.readlink(path):
                return int(lines[0].split("-")[0], 16), inode, os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue  # closed meanwhile
    return None


@case("a daemon's own memory is replaced, and is watched as the one before")
def _():
    w = World("--version-table", "memfd")
    w.fs.__class__ = Guest
    w.fs.begin()
    lines = [line for line in w.daemon.stderr_lines() if UNWATCHED in line]
    if lines:
        raise Skip(lines[0])
    for _ in range(2):
        found = []
        until("no table is there", lambda: found.append(memory(w)) or found[-1])
        at, inode, fd = found[-1]
        w.table = Table(fd=fd)
        os.close(fd)
        wait_for_beat(w)
        check_strangers(w)
        # As a word in which too many changes are in flight would.
        with open(f"/proc/{w.daemon.pid}/mem", "r+b", buffering=0) as f:
            f.seek(at + POISON)
            f.write(struct.pack("<Q", 1))

        def replaced():
            new = memory(w)
            if new:
                os.close(new[2])
            return new and new[1] != inode
        until("no other table", replaced)
    w.check()


@case("without the privileges it says so once, and all is by time only")
def _():
    if os.geteuid() != 0:
        raise Skip("root can give privileges up")
    share = make_share(public=True)
    os.chown(share, NOBODY, NOBODY)
    d = Daemon("--version-table", "memfd", user=NOBODY, share=share)
    w = World(daemon=d)
    w.fs.__class__ = Guest
    w.fs.begin()
    w.fs.getattr()
    equal(w.fs.words.looks["NODE_ATTR"].flags & TIMED, TIMED, "flags")
    lines = [line for line in d.stderr_lines() if UNWATCHED in line]
    equal(len(lines), 1, "lines of the log")
    check("CAP_SYS_ADMIN" in lines[0], "what is missing", lines[0])
    w.check()


def validity(w):
    """Seconds that a stock guest is told to trust a name, attributes, and attributes of GETATTR."""
    e = parse_entry(w.fs.good("LOOKUP", 1, name("file")))
    again = struct.unpack_from("<Q", w.fs.good("GETATTR", e.nodeid, GETATTR))[0]
    return e.entry_valid, e.attr_valid, again


@case("stock guests are told no time of what the host is changing, with --cache auto")
def _():
    for cache, rest in (("auto", 1), ("always", 86400)):
        w = world("--cache", cache, begin=False)
        path = os.path.join(w.daemon.share, "file")
        # Others on the same file system may be in the same place of what is remembered.
        until(f"no rest with {cache}", lambda: validity(w) == (rest,) * 3)

        def restless():
            os.chmod(path, 0o600)
            return validity(w) == (0,) * 3
        if cache == "auto":
            until("a file that changes is trusted", restless)
        else:
            table = bytes(w.table.map[4096:])
            os.chmod(path, 0o600)
            until("a change is not passed on", lambda: bytes(w.table.map[4096:]) != table)
            equal(validity(w), (rest,) * 3, "validity of what changes")
        # It comes to rest.
        until("a file that nobody changes is not trusted", lambda: validity(w) == (rest,) * 3)
        w.check()


main()
