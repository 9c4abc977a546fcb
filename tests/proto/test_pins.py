# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan,tsan
"""Pins: what a guest that has agreed to them may do to files by their nodes, and for how long."""

import errno
import fcntl
import os
import struct

from daemon import Daemon
from fuse import FATTR_MODE, MAX64, ROOT, name, parse_entry, read_in, setattr_in, write_in
from harness import Skip, at_end, case, check, equal, main, tempdir, until
from opened import open_modes
from metrics import ask, parse, value
from world import World

HELLO, PINS, SLEEPS = 0x43570002, 1, 2
NODE = MAX64 - 1
READ, WRITE = 1 << 30, 1 << 31
BOTH = READ | WRITE
O_WRONLY, O_RDWR, O_CREAT, O_APPEND, O_DSYNC, O_DIRECT, O_NOATIME = (
    1, 2, 0o100, 0o2000, 0o10000, 0o40000, 0o1000000)
GETFLAGS, SETFLAGS, APPEND, IMMUTABLE = 0x80086601, 0x40086602, 0x20, 0x10
EBADF, EINVAL, ESTALE = -errno.EBADF, -errno.EINVAL, -errno.ESTALE


def hello(fs, extensions=PINS, wire=1, **kw):
    return fs.call(HELLO, ROOT, struct.pack("<II", wire, extensions), 16 + 32, **kw)


def agreed(fs, extensions=PINS, **kw):
    r = hello(fs, extensions, **kw)
    equal(r.error, 0, "CW_HELLO")
    return struct.unpack("<II24x", r.data)


def world(*options, agree=True, **kw):
    w = World(*options, **kw)
    if agree:
        equal(agreed(w.fs), (1, PINS), "what is on")
    return w


def opened(fs, node, flags=0, **kw):
    """(handle, pins) of an OPEN."""
    fh, got, _ = struct.unpack("<QII", fs.good("OPEN", node, struct.pack("<II", flags, 0), **kw))
    return fh, got & BOTH


def pinned(fs, node, flags=0):
    """The pins that an open brings; the file is closed again."""
    fh, pins = opened(fs, node, flags)
    fs.release(node, fh)
    return pins


def created(fs, text, flags=O_RDWR, mode=0o644):
    data = fs.good("CREATE", ROOT, struct.pack("<4I", flags | O_CREAT, mode, 0, 0) + name(text))
    fh, got, _ = struct.unpack("<QII", data[128:])
    return parse_entry(data[:128]).nodeid, fh, got & BOTH


def write(fs, node, offset, data, flags=O_WRONLY, fh=NODE):
    return fs.call("WRITE", node, write_in(fh, offset, len(data), flags) + data, 24).error


def read(fs, node, fh=NODE, size=100):
    return fs.call("READ", node, read_in(fh, 0, size), 16 + size)


def held(w, text):
    """The access modes that the daemon has a file of the share open with."""
    return open_modes(w.daemon.pid, text)


def on_host(path, request, data):
    fd = os.open(path, os.O_RDONLY)
    try:
        return fcntl.ioctl(fd, request, data)
    finally:
        os.close(fd)


def contents(w, text):
    with open(os.path.join(w.daemon.share, text), "rb") as f:
        return f.read()


@case("CW_HELLO: what is asked for and known is on; what makes no sense is refused")
def agreement():
    w = World(init=False)
    equal(hello(w.fs).error, -errno.EIO, "before INIT")
    w.fs.init()
    equal(hello(w.fs, wire=0).error, EINVAL, "no wire")
    equal(w.fs.call(HELLO, ROOT, bytes(4), 48).error, EINVAL, "short")
    equal(w.fs.call(HELLO, ROOT, struct.pack("<II", 1, PINS), 16 + 31).error, EINVAL, "no room")
    equal(agreed(w.fs, wire=9), (1, PINS), "a newer guest")
    equal(agreed(w.fs, extensions=0xFFFFFFFF), (1, PINS | SLEEPS), "extensions of later times")
    equal(agreed(w.fs, extensions=0), (1, 0), "none")
    equal(pinned(w.fs, w.fs.lookup("file").nodeid), 0, "pins without agreement")
    w.check()
    for options in ("--pins", "0"), ("--allow-direct-io",), ("--without", "pins"):
        w = world(*options, agree=False)
        equal(agreed(w.fs), (1, 0), f"with {options}")
        equal(pinned(w.fs, w.fs.lookup("file").nodeid), 0, f"pins with {options}")
        w.check()


@case("without agreement the number is a handle that nobody has")
def no_agreement():
    w = world(agree=False)
    node = w.fs.lookup("file").nodeid
    equal(pinned(w.fs, node), 0, "pins")
    equal(read(w.fs, node).error, EBADF, "READ")
    w.check()


@case("a pin is for what the open was for, and lasts until the last FORGET")
def lifetime():
    w = world()
    with open(os.path.join(w.daemon.share, "mine"), "wb") as f:
        f.write(b"nobody else's")
    node = w.fs.lookup("mine").nodeid
    whole = contents(w, "mine")
    equal(read(w.fs, node).error, EBADF, "READ before an OPEN")
    equal(pinned(w.fs, node), READ, "pins of O_RDONLY")
    equal(held(w, "mine"), [os.O_RDONLY], "descriptors")
    equal(read(w.fs, node).data, whole, "READ")
    equal(write(w.fs, node, 0, b"x"), EBADF, "WRITE")
    equal(pinned(w.fs, node, O_WRONLY), BOTH, "pins of O_WRONLY besides")
    equal(held(w, "mine"), [os.O_RDONLY, os.O_WRONLY], "descriptors")
    equal(write(w.fs, node, 0, b"XY"), 0, "WRITE")
    equal(read(w.fs, node).data, b"XY" + whole[2:], "READ")
    equal(pinned(w.fs, node, O_RDWR), BOTH, "pins of another open")
    equal(held(w, "mine"), [os.O_RDONLY, os.O_WRONLY], "descriptors")
    w.fs.lookup("mine")
    w.fs.forget(node)
    equal(read(w.fs, node).error, 0, "READ with a lookup left")
    w.fs.forget(node)
    equal(read(w.fs, node).error, ESTALE, "READ of a node that is forgotten")
    equal(held(w, "mine"), [], "descriptors")
    again = w.fs.lookup("mine").nodeid
    equal(read(w.fs, again).error, EBADF, "READ of the next node")
    w.check()


@case("a handle and a pin of one open do not need each other")
def independent():
    w = world()
    node, fh, pins = created(w.fs, "new")
    equal(pins, BOTH, "pins of CREATE")
    equal(held(w, "new"), [os.O_RDWR], "descriptors")
    equal(write(w.fs, node, 0, b"by node"), 0, "WRITE")
    equal(read(w.fs, node, fh).data, b"by node", "READ of the handle")
    w.fs.forget(node)
    equal(held(w, "new"), [os.O_RDWR], "descriptors after FORGET")
    equal(w.fs.call("RELEASE", node, struct.pack("<QIIQ", fh, 0, 0, 0), 16).error, 0, "RELEASE")
    equal(held(w, "new"), [], "descriptors after RELEASE")
    node = w.fs.lookup("new").nodeid
    fh, _ = opened(w.fs, node)
    w.fs.release(node, fh)
    equal(w.fs.call("RELEASE", node, struct.pack("<QIIQ", fh, 0, 0, 0), 16).error, EBADF, "twice")
    equal(read(w.fs, node, fh).error, EBADF, "READ of the handle that was released")
    equal(read(w.fs, node).data, b"by node", "READ")
    w.check()


@case("how many there are, and what they are used for, is counted")
def counted():
    path = os.path.join(tempdir(), "control")
    w = world("--control-path", path)
    node, fh, _ = created(w.fs, "new")
    w.fs.release(node, fh)
    for _ in range(3):
        equal(write(w.fs, node, 0, b"x"), 0, "WRITE")
    equal(read(w.fs, node).error, 0, "READ")
    w.fs.good("SETATTR", node, setattr_in(FATTR_MODE, mode=0o100755))
    equal(write(w.fs, node, 0, b"x"), 0, "WRITE")
    said = parse(ask(path))
    equal(value(said, "pin_uses_total", descriptor="kept"), 4, "requests by what is open")
    equal(value(said, "pin_uses_total", descriptor="opened"), 1, "and by what was opened for them")
    equal(value(said, "pins"), 2, "pins")
    w.fs.forget(node)
    until("a pin of a node that is forgotten is counted",
          lambda: value(parse(ask(path)), "pins") == 0)
    w.check()
    w.close()


@case("which requests take it: also FSYNC, LSEEK, FALLOCATE and copies; no other")
def requests():
    w = world()
    fs, node = w.fs, w.fs.lookup("file").nodeid
    equal(pinned(fs, node), READ, "pins")
    to, fh, _ = created(fs, "copy")
    fs.release(to, fh)
    whole = contents(w, "file")
    for op in "COPY_FILE_RANGE", "COPY_FILE_RANGE_64":
        copy = struct.pack("<7Q", NODE, 0, to, NODE, 0, len(whole), 0)
        equal(struct.unpack_from("<I", fs.good(op, node, copy))[0], len(whole), op)
        fs.fails(EBADF, op, to, struct.pack("<7Q", NODE, 0, node, NODE, 0, 1, 0))
    equal(contents(w, "copy"), whole, "what was copied")
    fs.good("FALLOCATE", to, struct.pack("<QQQII", NODE, 0, 5000, 0, 0))
    equal(len(contents(w, "copy")), 5000, "size")
    fs.fails(EBADF, "FALLOCATE", node, struct.pack("<QQQII", NODE, 0, 5000, 0, 0))
    for n in node, to:
        fs.good("FSYNC", n, struct.pack("<QII", NODE, 0, 0))
        equal(struct.unpack("<Q", fs.good("LSEEK", n, struct.pack("<QQII", NODE, 0, 3, 0)))[0], 0,
              "SEEK_DATA")
    for op, args in (("FLUSH", struct.pack("<QIIQ", NODE, 0, 0, 0)),
                     ("RELEASE", struct.pack("<QIIQ", NODE, 0, 0, 0)),
                     ("IOCTL", struct.pack("<QIIQII", NODE, 0, 0x801C581F, 0, 0, 28)),
                     ("SETATTR", setattr_in(FATTR_MODE | 1 << 6, fh=NODE, mode=0o100600))):
        fs.fails(EBADF, op, node, args)
    fs.fails(-errno.ENOTDIR, "OPENDIR", node, bytes(8))
    equal(read(fs, fs.lookup("dir").nodeid).error, EBADF, "READ of a directory")
    w.check()


@case("WRITE means O_APPEND and O_DSYNC, and set-id bits that are to go")
def flags():
    w = world()
    node, fh, _ = created(w.fs, "log", mode=0o4644)
    w.fs.release(node, fh)
    equal(write(w.fs, node, 0, b"one"), 0, "WRITE")
    with open(os.path.join(w.daemon.share, "log"), "ab") as f:
        f.write(b"two")
    equal(write(w.fs, node, 0, b"three", O_WRONLY | O_APPEND | O_DSYNC), 0, "O_APPEND")
    equal(contents(w, "log"), b"onetwothree", "contents")
    args = struct.pack("<QQIIQII", NODE, 0, 1, 1 << 2, 0, O_WRONLY, 0) + b"X"
    w.fs.good("WRITE", node, args, 24)
    equal(w.fs.getattr(node).mode & 0o7777, 0o644, "mode")
    w.check()


@case("an open whose flags do more is not kept, nor one of a directory")
def not_kept():
    w = world()
    node = w.fs.lookup("file").nodeid
    for f in O_DSYNC, O_NOATIME:
        equal(pinned(w.fs, node, O_RDWR | f), 0, f"pins of {f:o}")
    equal(held(w, "file"), [], "descriptors")
    equal(pinned(w.fs, node, O_RDWR | O_DIRECT), BOTH, "pins of O_DIRECT, which is the guest's")
    d = w.fs.lookup("dir").nodeid
    _fh, got, _ = struct.unpack("<QII", w.fs.good("OPENDIR", d, struct.pack("<II", 0o200000, 0)))
    equal(got & BOTH, 0, "pins of a directory")
    w.check()


@case("there are so many, and no more until a node is forgotten")
def bounded():
    w = world("--pins", "3")
    nodes = []
    for i in range(5):
        node, fh, pins = created(w.fs, f"n{i}", O_WRONLY)
        w.fs.release(node, fh)
        equal(pins, WRITE if i < 3 else 0, f"pins of file {i}")
        nodes.append(node)
    equal(pinned(w.fs, nodes[0], O_RDWR), WRITE, "what a pinned one has")
    equal(write(w.fs, nodes[3], 0, b"x"), EBADF, "WRITE without a pin")
    w.fs.forget(nodes[0])
    equal(pinned(w.fs, nodes[3]), READ, "one more")
    equal(pinned(w.fs, nodes[4]), 0, "and one too many")
    w.check()


@case("what may be executed is not kept open for writing, and can still be written to")
def executables():
    w = world()
    node, fh, pins = created(w.fs, "tool", mode=0o755)
    w.fs.release(node, fh)
    equal((pins, held(w, "tool")), (0, []), "pins and descriptors of an executable")
    equal(pinned(w.fs, node), READ, "pins of reading it")
    node, fh, pins = created(w.fs, "built")
    equal(pins, BOTH, "pins")
    equal(write(w.fs, node, 0, b"#!"), 0, "WRITE")
    w.fs.release(node, fh)
    equal(held(w, "built"), [os.O_RDWR], "descriptors")
    w.fs.good("SETATTR", node, setattr_in(FATTR_MODE, mode=0o100755))
    equal(held(w, "built"), [], "descriptors of what became executable")
    equal(write(w.fs, node, 2, b"/bin/true\n"), 0, "WRITE")
    equal(read(w.fs, node).data, b"#!/bin/true\n", "READ")
    w.fs.good("FSYNC", node, struct.pack("<QII", NODE, 0, 0))
    equal(held(w, "built"), [], "descriptors after that")
    equal(pinned(w.fs, node), BOTH, "what is promised still")
    w.fs.forget(node)
    equal(read(w.fs, node).error, ESTALE, "READ after FORGET")
    w.check()


def bar(w, fs, node, fh, flags):
    """SETFLAGS."""
    args = struct.pack("<QIIQII", fh, 0, SETFLAGS, 0, 4, 0) + struct.pack("<I", flags)
    fs.good("IOCTL", node, args, 16 + 16)


@case("what becomes immutable or append-only is read by its pin, and not written to, but appended to")
def barred():
    if os.getuid():
        raise Skip("needs root")
    for flag in IMMUTABLE, APPEND:
        w = world("--modcaps", "+linux_immutable")
        path = os.path.join(w.daemon.share, "ends")
        node, fh, pins = created(w.fs, "ends")
        equal((pins, write(w.fs, node, 0, b"as it is")), (BOTH, 0), "pins, and WRITE")
        plain = struct.unpack("<I", on_host(path, GETFLAGS, bytes(4)))[0]
        at_end(lambda: os.path.exists(path) and on_host(path, SETFLAGS, struct.pack("<I", plain)))
        bar(w, w.fs, node, fh, plain | flag)
        w.fs.release(node, fh)
        equal(held(w, "ends"), [], "descriptors")
        equal(write(w.fs, node, 0, b"not"), -errno.EPERM, "WRITE by the pin")
        w.fs.fails(-errno.EPERM, "OPEN", node, struct.pack("<II", O_WRONLY, 0))
        equal(read(w.fs, node).data, b"as it is", "READ by the pin")
        more = b"" if flag == IMMUTABLE else b", and more"
        equal(write(w.fs, node, 0, b", and more", O_WRONLY | O_APPEND),
              0 if more else -errno.EPERM, "WRITE that appends")
        equal(contents(w, "ends"), b"as it is" + more, "what is there, or appended")
        on_host(path, SETFLAGS, struct.pack("<I", plain))
        equal(write(w.fs, node, 0, b"AS"), 0, "WRITE when that is over")
        equal(contents(w, "ends"), b"AS it is" + more, "contents")
        w.check()


@case("who may open a file is for the guest's kernel to say, of OPEN and of a pin")
def modes():
    if os.getuid():
        raise Skip("needs root")
    w = world()
    node, fh, pins = created(w.fs, "secret", mode=0o600)
    w.fs.release(node, fh)
    equal((pins, write(w.fs, node, 0, b"x")), (BOTH, 0), "pins, and WRITE")
    w.fs.good("SETATTR", node, setattr_in(FATTR_MODE, mode=0o100000))
    for uid in 0, 12345:
        r = w.fs.call("READ", node, read_in(NODE, 0, 100), 16 + 100, uid=uid)
        equal((r.error, r.data), (0, b"x"), f"READ by the pin, of {uid}")
        fh, pins = opened(w.fs, node, uid=uid)
        equal(pins, BOTH, f"pins of {uid}")
        w.fs.release(node, fh)
    w.check()


@case("INIT, DESTROY and the end of a connection end all of them")
def starting_over():
    w = world("--pins", "2")
    for again in range(2):
        node = w.fs.lookup("file").nodeid
        equal(pinned(w.fs, node, O_RDWR), BOTH, "pins")
        if again:
            w.fs.good("DESTROY", 0)
        w.fs.init()
        equal(held(w, "file"), [], "descriptors")
        equal(pinned(w.fs, w.fs.lookup("file").nodeid, O_RDWR), 0, "pins until it is agreed again")
        agreed(w.fs)
    w.check()
    daemon = Daemon("--keep-listening", "--pins", "2", listen=True)
    for _ in range(2):
        w = World(daemon=daemon)
        agreed(w.fs)
        equal(pinned(w.fs, w.fs.lookup("file").nodeid, O_RDWR), BOTH, "pins of a connection")
        w.fe.close()
    daemon.terminate()


@case("a read-only export is only read")
def readonly():
    w = world("--readonly")
    node = w.fs.lookup("file").nodeid
    equal(pinned(w.fs, node), READ, "pins")
    equal(write(w.fs, node, 0, b"x"), -errno.EROFS, "WRITE")
    check(read(w.fs, node).data, "nothing was read")
    w.check()


main()
