# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan,tsan
"""The DAX window over the wire: what a guest asks for, what the daemon asks of the front-end for it,
and front-ends that refuse, stop, go away or answer nonsense in between."""

import os
import struct

import vu
from fuse import (ATTR_DAX, FATTR_SIZE, HAS_INODE_DAX, INIT_FLAGS, MAP_ALIGNMENT, map_in, read_in,
                  setattr_in, unmap_in, write_in)
from harness import case, check, equal, main, until
from mem import MIB, PAGE
from ring import WRITE
from window import GPA, UVA, WindowFrontend
from world import World

O_RDWR = 2
SIZE = 64 * MIB
BIG = 1 * MIB  # of the share's file of that name


class Silent(WindowFrontend):
    """Maps without saying that they are memory of the guest."""

    tells = False


def world(*options, front_end=WindowFrontend, policy="always", **kw):
    w = World("--dax-window", "64M", "--dax", policy, *options, front_end=front_end, init=False,
              protocol=vu.P_ALL | vu.P_WINDOW, **kw)
    w.window = w.fe.window
    w.fs.init(flags=INIT_FLAGS | MAP_ALIGNMENT, flags2=HAS_INODE_DAX)
    w.window.log.clear()
    return w


def opened(w, text="big", flags=O_RDWR):
    entry = w.fs.lookup(text)
    data = w.fs.good("OPEN", entry.nodeid, struct.pack("<II", flags, 0))
    return entry, struct.unpack("<QII", data)[0]


def start_map(w, node, offset, length, at, **kw):
    return w.fs.start("SETUPMAPPING", node, map_in(-1, offset, length, at, **kw), 16)


def set_map(w, node, offset, length, at, **kw):
    return w.fs.finish(start_map(w, node, offset, length, at, **kw)).error


def good_map(w, node, offset, length, at, **kw):
    equal(set_map(w, node, offset, length, at, **kw), 0, f"SETUPMAPPING at {at:#x}")


def host(w, text="big"):
    return os.path.join(w.daemon.share, text)


def bytes_of(path, offset, n):
    with open(path, "rb") as f:
        f.seek(offset)
        return f.read(n)


@case("the window is what the option says")
def _():
    w = world()
    equal((w.window.regions, w.window.size), (1, SIZE), "regions and size")
    check(w.fs.lookup("big").attr.flags & ATTR_DAX, "a file of whole pages is given DAX")
    w.check((1,))


@case("without a window nothing of it is offered")
def _():
    w = World(protocol=vu.P_ALL | vu.P_WINDOW)
    equal(w.fe.protocol & vu.P_WINDOW, 0, "features of the window")
    equal(w.fe.verdict(vu.GET_SHMEM_CONFIG), "closed", "GET_SHMEM_CONFIG")


@case("a map is the file's own memory, in both directions")
def _():
    w = world()
    entry, _fh = opened(w)
    good_map(w, entry.nodeid, 0, BIG, 2 * MIB)
    equal(w.window.log, [("map", 2 * MIB, BIG), ("barrier", 0, 0)], "requests for one map")
    equal(w.window.load(2 * MIB, BIG), bytes_of(host(w), 0, BIG), "the file through the window")
    w.window.store(2 * MIB + 12345, b"stored by the guest")
    equal(bytes_of(host(w), 12345, 19), b"stored by the guest", "the host's view of it")
    with open(host(w), "r+b") as f:
        f.seek(54321)
        f.write(b"written by the host")
    equal(w.window.load(2 * MIB + 54321, 19), b"written by the host", "the guest's view of it")
    w.check((1,))


@case("the map is a region of guest memory when the guest is told of it")
def _():
    w = world()
    entry, fh = opened(w)
    good_map(w, entry.nodeid, 0, BIG, 0)
    check(all(p.told for p in w.window.pieces.values()), "told")
    # A guest's direct read from one file into a mapping of another.
    node = w.fs.lookup("file").nodeid
    other = w.fs.open(node)
    readable, unique = w.fs.frame("READ", node, read_in(other, 0, 13))
    head = w.fe.mem.alloc(16)
    q = w.fe.queues[1]
    token = q.submit([(w.fe.mem.put(readable), len(readable), 0), (head, 16, WRITE),
                      (GPA + 777, 13, WRITE)])
    reply = w.fs.reply(q.wait(token), [(head, 16), (GPA + 777, 13)], unique)
    equal(reply.data, b"hello, world\n", "read into the window")
    equal(bytes_of(host(w), 777, 13), b"hello, world\n", "and so into the file")
    # And a direct write out of it.
    data = w.window.load(3 * PAGE, 100)
    readable, unique = w.fs.frame("WRITE", entry.nodeid, write_in(fh, 9 * PAGE, 100), hlen=180)
    token = q.submit([(w.fe.mem.put(readable), len(readable), 0), (GPA + 3 * PAGE, 100, 0),
                      (head, 24, WRITE)])
    equal(w.fs.reply(q.wait(token), [(head, 24)], unique).error, 0, "WRITE out of the window")
    equal(bytes_of(host(w), 9 * PAGE, 100), data, "what was written")
    w.check((1,))


def break_with(w, pieces):
    """A chain that must break queue 1, and nothing else."""
    w.fe.queues[1].submit(pieces)
    w.must_break(others=(2,))


@case("headers and arguments in a mapped file break the queue")
def _():
    w = world(requests=2)
    entry, _fh = opened(w)
    good_map(w, entry.nodeid, 0, BIG, 0)
    mem, into = w.fe.mem, w.fe.mem.alloc(4096)
    request, _unique = w.fs.frame("GETATTR", 1, bytes(16))
    # A header, arguments, the header of a reply, the reply behind it.
    w.window.store(0, request)
    break_with(w, [(GPA, 56, 0), (into, 120, WRITE)])
    w.window.store(0, request[40:])
    break_with(w, [(mem.put(request[:40]), 40, 0), (GPA, 16, 0), (into, 120, WRITE)])
    before = bytes_of(host(w), 0, BIG)
    break_with(w, [(mem.put(request), 56, 0), (GPA, 120, WRITE)])
    break_with(w, [(mem.put(request), 56, 0), (into, 16, WRITE), (GPA, 104, WRITE)])
    equal(bytes_of(host(w), 0, BIG), before, "the file")
    # A name that is there removes nothing.
    request, _unique = w.fs.frame("UNLINK", 1, b"file\0")
    w.window.store(0, b"file\0")
    break_with(w, [(mem.put(request[:40]), 40, 0), (GPA, 5, 0), (into, 16, WRITE)])
    check(os.path.exists(host(w, "file")), "the file is there")


@case("rings in a mapped file are not found")
def _():
    w = world(requests=2)
    entry, _fh = opened(w)
    good_map(w, entry.nodeid, 0, BIG, 0)
    q = w.fe.queues[1]
    for area in ("desc_at", "avail_at", "used_at"):
        w.fe.stop_queue(1)
        q.reset(None)
        kept = getattr(q, area)
        setattr(q, area, GPA + 64 * PAGE)
        w.fe.start_queue(1, ring=q)
        q.wait_error()
        setattr(q, area, kept)
        w.restart(1)
        w.check((1, 2))
    equal(w.fe.mem.uva(GPA), UVA, "test error: not the window's address")


@case("an unmap takes away exactly what was mapped")
def _():
    w = world()
    entry, _fh = opened(w)
    good_map(w, entry.nodeid, 0, BIG, 0)
    w.window.log.clear()
    w.fs.good("REMOVEMAPPING", entry.nodeid, unmap_in((0, BIG)), 16)
    equal(w.window.log, [("unmap", 0, BIG), ("barrier", 0, 0)], "requests for one unmap")
    equal(w.window.mapped(), [], "mapped")
    # What is left of a part is mapped anew; at no time is there more than asked for.
    good_map(w, entry.nodeid, 0, BIG, 0)
    w.fs.good("REMOVEMAPPING", entry.nodeid, unmap_in((PAGE, 3 * PAGE)), 16)
    equal(w.window.mapped(), [(0, PAGE), (4 * PAGE, BIG - 4 * PAGE)], "mapped around a hole")
    equal(w.window.load(4 * PAGE, PAGE), bytes_of(host(w), 4 * PAGE, PAGE), "behind the hole")
    # Another map over all of it.
    good_map(w, entry.nodeid, BIG // 2, BIG // 2, 0)
    equal(w.window.load(0, BIG // 2), bytes_of(host(w), BIG // 2, BIG // 2), "mapped over")


@case("a front-end that maps over what is mapped leaves no gap")
def _():
    w = world()
    entry, _fh = opened(w)
    w.window.over = True
    good_map(w, entry.nodeid, 0, BIG, 0)
    w.window.log.clear()
    good_map(w, entry.nodeid, BIG // 2, BIG // 2, 0)
    names = [name for name, at, _length in w.window.log if at == 0]
    equal(names[0], "map", "the first change in the place")
    equal(w.window.load(0, BIG // 2), bytes_of(host(w), BIG // 2, BIG // 2), "mapped over")


@case("a refusal is the guest's error, and the next one is served")
def _():
    w = world()
    entry, _fh = opened(w)
    w.window.refuse = lambda name, at, length: name == "map"
    check(set_map(w, entry.nodeid, 0, BIG, 0) < 0, "SETUPMAPPING succeeds")
    equal(w.window.mapped(), [], "mapped")
    w.window.refuse = lambda name, at, length: False
    good_map(w, entry.nodeid, 0, BIG, 0)
    w.check((1,))


@case("the page at a file's end that is not whole")
def _():
    w = world()
    with open(host(w, "odd"), "wb") as f:
        f.write(b"o" * (PAGE + 100))
    entry, _fh = opened(w, "odd")
    good_map(w, entry.nodeid, 0, 2 * MIB, 0)
    equal(w.window.mapped(), [(0, 2 * PAGE)], "mapped")
    equal(w.window.load(PAGE, PAGE), b"o" * 100 + bytes(PAGE - 100), "the last page")


@case("truncation by a request: the pages go first")
def _():
    w = world()
    entry, fh = opened(w)
    good_map(w, entry.nodeid, 0, BIG, 0)
    w.window.log.clear()
    sizes = []

    def watch(name, at, length):
        sizes.append((name, os.path.getsize(host(w))))
        return False
    w.window.refuse = watch
    w.fs.good("SETATTR", entry.nodeid, setattr_in(FATTR_SIZE, fh, 5 * PAGE), 120)
    equal(os.path.getsize(host(w)), 5 * PAGE, "size")
    check(("unmap", BIG) in sizes, "no unmap before the file was cut", sizes)
    equal(w.window.mapped(), [(0, 5 * PAGE)], "mapped")


@case("rings stop while a map waits, and start again")
def _():
    w = world(front_end=Silent)
    entry, _fh = opened(w)
    w.window.went.clear()
    start_map(w, entry.nodeid, 0, BIG, 0)
    until("the request for a map", lambda: w.window.waiting)
    for index in (0, 1):
        w.fe.stop_queue(index)
    for index in (0, 1):
        q = w.fe.queues[index]
        q.reset(None)
        w.fe.start_queue(index, ring=q)
    # The answers that come now are nobody's; the next request is served all the same.
    w.window.went.set()
    good_map(w, entry.nodeid, 0, BIG, 4 * MIB)
    equal(w.window.load(4 * MIB, BIG), bytes_of(host(w), 0, BIG), "the file")
    good_map(w, entry.nodeid, 0, BIG, 0)
    equal(w.window.load(0, BIG), bytes_of(host(w), 0, BIG), "the file where it was in doubt")
    w.check((1,))


@case("a front-end goes away while a map waits")
def _():
    w = world(front_end=Silent)
    entry, _fh = opened(w)
    w.window.went.clear()
    start_map(w, entry.nodeid, 0, BIG, 0)
    until("the request for a map", lambda: w.window.waiting)
    w.fe.close()
    w.daemon.wait()
    w.window.went.set()


@case("a front-end closes the channel: no maps, and all else")
def _():
    w = world()
    entry, fh = opened(w)
    good_map(w, entry.nodeid, 0, BIG, 0)
    w.window.hang_up()
    check(set_map(w, entry.nodeid, 0, BIG, 4 * MIB) < 0, "SETUPMAPPING succeeds")
    equal(w.fs.read(entry.nodeid, fh, 0, 100), bytes_of(host(w), 0, 100), "READ")
    w.check((1,))


LIES = {
    "another request": struct.pack("<IIIQ", 10, 5, 8, 0),
    "no reply": struct.pack("<IIIQ", 9, 1, 8, 0),
    "a version that there is not": struct.pack("<IIIQ", 9, 6, 8, 0),
    "no payload": struct.pack("<III", 9, 5, 0),
    "a large payload": struct.pack("<III", 9, 5, 0xFFFFFFFF),
    "all ones": b"\xff" * 20,
}


def lie(words):
    w = world(front_end=Silent)
    entry, _fh = opened(w)
    before = len(w.daemon.stderr_lines())
    w.window.lie = words
    start_map(w, entry.nodeid, 0, BIG, 0)
    w.fe.expect_closed("after a bad answer")
    w.daemon.wait()
    lines = [line for line in w.daemon.stderr_lines()[before:] if "answers our requests" in line]
    equal(len(lines), 1, "lines of the log")


for what, words in LIES.items():
    case(f"an answer that is {what} ends the connection")(lambda words=words: lie(words))


@case("maps are forgotten when the guest begins anew")
def _():
    w = world()
    entry, _fh = opened(w)
    good_map(w, entry.nodeid, 0, BIG, 0)
    for index in (0, 1):
        w.fe.stop_queue(index)
    # As QEMU does: regions go with the maps.
    for piece in list(w.window.pieces.values()):
        w.fe.do(vu.REM_MEM_REG, vu.mem_reg(piece))
    w.window.drop()
    for index in (0, 1):
        q = w.fe.queues[index]
        q.reset(None)
        w.fe.start_queue(index, ring=q)
    w.fs.init(flags=INIT_FLAGS | MAP_ALIGNMENT, flags2=HAS_INODE_DAX)
    entry, _fh = opened(w)
    good_map(w, entry.nodeid, 0, BIG, 0)
    equal(w.window.load(0, BIG), bytes_of(host(w), 0, BIG), "the file")
    w.check((1,))


main()
