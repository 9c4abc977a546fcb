# SPDX-License-Identifier: BSD-2-Clause
"""Addresses in descriptors: outside memory, at its edges, across regions."""

import os
import struct

from harness import add, case, equal, main
from mem import MIB
from ring import WRITE
from world import World

TOP = 1 << 64


# addresses in descriptors


HOLE = 0x2000_0000
ADDRESSES = {
    "in the hole": (HOLE, 64), "zero": (0, 64), "just below the first region": (0x10_0000 - 64, 64),
    "into the first region from below": (0x10_0000 - 32, 64),
    "out of a region into the hole": (0xD0_0000 - 32, 64),
    "at the end of a region": (0xD0_0000, 64), "last byte of the address space": (TOP - 1, 1),
    "wraps to zero": (TOP - 32, 64), "wraps into memory": (TOP - 0x10, 0x10_0100),
    "negative": (1 << 63, 64), "too long by one": (0x1_0000_0000, 16 * MIB + 1),
    "length all ones": (0x1_0000_0000, 0xFFFF_FFFF), "a front-end address": (0x7F00_0010_0000, 64),
}


def address(what, place, indirect):
    """The bad piece as the request's header, its arguments, or its reply space."""
    w = World(requests=2)
    q = w.fe.queues[1]
    addr, length = ADDRESSES[what]
    readable, _ = w.fs.frame("GETATTR", 1, bytes(16))
    pieces, _ = w.fs.pieces(readable, 120)  # header, arguments, out header, out data
    flag = WRITE if place >= 2 else 0
    pieces[place] = (addr, length, flag)
    q.submit(q.indirect(pieces) if indirect else pieces)
    w.must_break()


for text in ADDRESSES:
    for spot, label in enumerate(("header", "arguments", "reply header", "reply data")):
        add(f"address {text}: {label}", address, text, spot, bool(spot & 1))


@case("a request and its reply at the very edges of regions")
def edges():
    w = World()
    for lo, hi in ((0x10_0000 + 7 * MIB, 0xD0_0000), (0x1_0000_0000, 0x1_0100_0000)):
        w.fs.good("GETATTR", 1, bytes(16), 120, addr=lo)
        w.fs.good("GETATTR", 1, bytes(16), 120, addr=hi - 56 - 120)
    w.check()


@case("a request that spans two adjacent regions, at every byte")
def spanning():
    w = World()
    want = w.fs.getattr()
    for shift in range(0, 56 + 120 + 1):
        for sizes in ((1 << 30,), (40, 1 << 30)):
            data = w.fs.good("GETATTR", 1, bytes(16), 120, addr=0x90_0000 - shift, rsizes=sizes,
                             wsizes=sizes)
            equal(struct.unpack_from("<Q", data, 16)[0], want.ino, f"shift {shift}")
    w.check()


@case("data of READ and WRITE that spans two adjacent regions")
def spanning_data():
    w = World()
    entry, fh = w.fs.create("span")
    data = os.urandom(100_000)
    for at in (0x90_0000 - 1, 0x90_0000 - 50_000, 0x90_0000 - 80 - 99_999):
        w.fs.write(entry.nodeid, fh, 0, data, addr=at)
        equal(w.fs.read(entry.nodeid, fh, 0, len(data), addr=at), data, "read back")
    w.check()


@case("pieces of length zero: served or broken, never a crash")
def empty_pieces():
    for where in range(5):
        w = World(requests=2)
        q = w.fe.queues[1]
        readable, unique = w.fs.frame("GETATTR", 1, bytes(16))
        pieces, places = w.fs.pieces(readable, 120)
        flag = WRITE if where > 2 or (where == 2 and where % 2) else 0
        pieces.insert(where, (0x1_0000_0000, 0, flag))
        token = (q, q.submit(pieces), places, unique)
        w.breaks_or_serves(token)


main()
