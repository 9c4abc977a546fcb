# SPDX-License-Identifier: BSD-2-Clause
"""Guest memory: forged regions, forged addresses, regions that come and go under load."""

import os
import select
import struct

import vu
from fuse import Fs, read_in, write_in
from harness import HANG, add, among, at_end, case, check, equal, main
from mem import MIB, PAGE, GuestMemory, Region
from ring import INDIRECT, WRITE
from vu import Closed
from world import Site, World

BAD = ("closed", "refused")
TOP = 1 << 64


def region(gpa, size, **kw):
    r = Region(gpa, size, **kw)
    at_end(r.close)
    return r


class Forged:
    """A region whose description is a lie about a memfd of the given length."""

    def __init__(self, gpa, size, uva, offset, length=MIB):
        self.fields = (gpa, size, uva, offset)
        self.fd = os.memfd_create("cw-proto-forged")
        os.ftruncate(self.fd, length)
        at_end(os.close, self.fd)

    def describe(self):
        return struct.pack("<QQQQ", *self.fields)


LIES = {
    # what: (gpa, size, uva, mmap_offset)
    "size zero": (0x4000_0000, 0, 0x6000_0000, 0),
    "beyond the file": (0x4000_0000, 2 * MIB, 0x6000_0000, 0),
    "offset beyond the file": (0x4000_0000, PAGE, 0x6000_0000, 2 * MIB),
    "offset and size beyond the file": (0x4000_0000, MIB, 0x6000_0000, PAGE),
    "guest address wraps": (TOP - PAGE, 2 * PAGE, 0x6000_0000, 0),
    "front-end address wraps": (0x4000_0000, 2 * PAGE, TOP - PAGE, 0),
    "offset and size wrap": (0x4000_0000, 2 * PAGE, 0x6000_0000, TOP - PAGE),
    "offset negative": (0x4000_0000, PAGE, 0x6000_0000, 1 << 63),
    "size huge": (0x4000_0000, 1 << 63, 0x6000_0000, 0),
    "size all ones": (0x4000_0000, TOP - 1, 0x6000_0000, 0),
    "everything all ones": (TOP - 1, TOP - 1, TOP - 1, TOP - 1),
    "overlaps the start of a region": (0x10_0000 - PAGE, 2 * PAGE, 0x6000_0000, 0),
    "overlaps the end of a region": (0xD0_0000 - PAGE, 2 * PAGE, 0x6000_0000, 0),
    "inside a region": (0x20_0000, PAGE, 0x6000_0000, 0),
    "around a region": (0x8F_F000, 5 * MIB, 0x6000_0000, 0),
    "same as a region": (0x90_0000, 4 * MIB, 0x7F00_0090_0000, 0),
    "front-end address overlaps": (0x4000_0000, MIB, 0x7F00_0020_0000, 0),
}


def lie_in_table(what):
    site = Site()
    fe = site.attempt("negotiated")
    good = fe.mem.regions
    forged = Forged(*LIES[what], length=16 * MIB if "region" in what else MIB)
    state = fe.verdict(vu.SET_MEM_TABLE, vu.mem_table([*good, forged]),
                       [r.fd for r in good] + [forged.fd])
    among(state, BAD, what)
    fe.close()
    site.finish()


def lie_added(what):
    """Refused, and if the connection goes on, the memory that was there still serves."""
    site = Site()
    fe = site.attempt("running")
    forged = Forged(*LIES[what], length=16 * MIB if "region" in what else MIB)
    state = fe.verdict(vu.ADD_MEM_REG, vu.mem_reg(forged), [forged.fd])
    among(state, BAD, what)
    if state == "refused":
        Fs(fe).alive()
    fe.close()
    site.finish()


for text in LIES:
    add(f"SET_MEM_TABLE: {text}", lie_in_table, text)
    add(f"ADD_MEM_REG: {text}", lie_added, text)


def table_count(count):
    site = Site()
    fe = site.attempt("negotiated")
    fe.send(vu.SET_MEM_TABLE, vu.mem_table(fe.mem.regions, count), [r.fd for r in fe.mem.regions])
    fe.expect_closed(f"after a table of 3 that claims {count}")
    fe.close()
    site.finish()


for n in (0, 1, 2, 4, 8, 9, 0x8000_0000, 0xFFFF_FFFF, 0x0800_0003):
    add(f"SET_MEM_TABLE: three regions, count says {n}", table_count, n)


def fitted(what, offset, size):
    """Odd but honest geometry: either refused, or it works."""
    r = region(0x1_0000_0000, size, mmap_offset=offset)
    mem = GuestMemory([Region(0x10_0000, 8 * MIB), r])
    site = Site()
    fe = vu.Frontend(site.daemon.connect(), mem).negotiate()
    state = fe.verdict(vu.SET_MEM_TABLE, vu.mem_table(mem.regions), [x.fd for x in mem.regions])
    among(state, ("ok",) + BAD, what)
    if state == "ok":
        fe.start_queue(0)
        fe.start_queue(1)
        fs = Fs(fe)
        fs.init()
        fs.alive()
        data = struct.pack("<IIQ", 0, 0, 0)
        fs.good("GETATTR", 1, data, 120, addr=r.gpa + size - 56 - 120)  # to the last byte
    fe.close()
    site.finish()


add("unaligned mmap offset", fitted, "unaligned mmap offset", 0x1238, MIB)
add("unaligned size", fitted, "unaligned size", 0, MIB - 0x238)
add("mmap offset in pages", fitted, "mmap offset", 64 * PAGE, MIB)


@case("mmap offset in pages must work")
def offsets():
    w = World()  # the standard memory has one
    w.fs.good("GETATTR", 1, bytes(16), 120, addr=0x90_0000)
    w.check()


@case("eight regions in one table")
def eight():
    mem = GuestMemory([Region(0x10_0000, 8 * MIB)] +
                      [Region(0x1000_0000 * (i + 1), MIB) for i in range(7)])
    w = World(mem=mem)
    for r in mem.regions[1:]:
        w.fs.good("GETATTR", 1, bytes(16), 120, addr=r.gpa + r.size - 176)
    w.check()


@case("as many regions as GET_MAX_MEM_SLOTS says, and one more is refused")
def slots():
    w = World()
    n = w.fe.ask64(vu.GET_MAX_MEM_SLOTS)
    check(n >= 8, "slots", n)
    if n > 600:
        n = 600
    added = []
    for i in range(n - 3):
        r = region(0x10_0000_0000 + 0x10_0000 * i, PAGE)
        w.fe.do(vu.ADD_MEM_REG, vu.mem_reg(r), [r.fd])
        added.append(r)
    w.check()
    w.fe.mem.regions += added
    for r in added[:: max(1, len(added) // 7)]:
        w.fs.good("GETATTR", 1, bytes(16), 120, addr=r.gpa)
    if n < 600:
        r = region(0x80_0000_0000, PAGE)
        state = w.fe.verdict(vu.ADD_MEM_REG, vu.mem_reg(r), [r.fd])
        among(state, BAD, "one region too many")
        if state == "closed":
            return
        w.check()
    for r in added:
        w.fe.do(vu.REM_MEM_REG, vu.mem_reg(r))
        w.fe.mem.regions.remove(r)
    w.check()
    equal(w.daemon.maps(), 3, "mappings after the removals")


@case("nine regions in one table: accepted whole or refused whole")
def nine():
    site = Site()
    fe = site.attempt("negotiated")
    regions = [region(0x1000_0000 * (i + 1), MIB) for i in range(9)]
    among(fe.verdict(vu.SET_MEM_TABLE, vu.mem_table(regions), [r.fd for r in regions]),
          BAD + ("ok",))
    fe.close()
    site.finish()


# regions come and go


@case("REM_MEM_REG: unknown, wrong size, twice")
def removing():
    w = World()
    r = region(0x2_0000_0000, MIB)
    other = region(0x3_0000_0000, MIB)
    smaller = Forged(r.gpa, PAGE, r.uva, 0)
    moved = Forged(r.gpa, MIB, r.uva + PAGE, 0)
    w.fe.do(vu.ADD_MEM_REG, vu.mem_reg(r), [r.fd])
    for what, x in (("unknown", other), ("smaller", smaller), ("other front-end address", moved)):
        state = w.fe.verdict(vu.REM_MEM_REG, vu.mem_reg(x))
        among(state, BAD, what)
        if state == "closed":
            return
        w.check()
    # The offset in the file is not part of a region's name.
    w.fe.do(vu.REM_MEM_REG, vu.mem_reg(Forged(r.gpa, r.size, r.uva, 0x5000)))
    among(w.fe.verdict(vu.REM_MEM_REG, vu.mem_reg(r)), BAD, "twice")


@case("ADD_MEM_REG: twice the same is refused, after removal it is welcome")
def adding():
    w = World()
    r = region(0x2_0000_0000, MIB)
    for _ in range(3):
        w.fe.do(vu.ADD_MEM_REG, vu.mem_reg(r), [r.fd])
        w.fe.do(vu.REM_MEM_REG, vu.mem_reg(r))
    w.fe.do(vu.ADD_MEM_REG, vu.mem_reg(r), [r.fd])
    w.fe.mem.regions.append(r)
    w.fs.good("GETATTR", 1, bytes(16), 120, addr=r.gpa)
    among(w.fe.verdict(vu.ADD_MEM_REG, vu.mem_reg(r), [r.fd]), BAD, "twice")


@case("a new table while the queues run")
def new_table():
    w = World()
    for _ in range(20):
        w.fe.set_memory()
        w.fs.alive()
    equal(w.daemon.maps(), 3, "mappings")
    w.check()


def under_load(change):
    """Reads of 1 MiB are in flight while change(w, extra region) is done and answered."""
    w = World(requests=2, size=256)
    extra = region(0x2_0000_0000, 16 * MIB)
    w.fe.do(vu.ADD_MEM_REG, vu.mem_reg(extra), [extra.fd])
    w.fe.mem.regions.append(extra)
    entry = w.fs.lookup("big")
    fh = w.fs.open(entry.nodeid)
    want = bytes(range(256)) * 4096
    for turn in range(4):
        tokens = []
        for i in range(12):
            at = extra.gpa + i * (MIB + PAGE)
            tokens.append(w.fs.start("READ", entry.nodeid, vu_read(fh), MIB + 16, addr=at))
        change(w, extra)
        # Each request was served before the change, or its address was no longer memory.
        q = w.fe.queues[1]
        served = 0
        for t in tokens:
            _, head, places, unique = t
            while head not in q.done and not q.broken():
                q.arm()
                if q.collect() == 0:
                    wait_either(q)
            if head in q.done:
                r = w.fs.reply(q.take(head), places, unique)
                equal(r.error, 0, "READ")
                equal(r.data, want, "contents")
                served += 1
        w.check([2])
        if q.broken():
            check(served < len(tokens), "broken although all was served")
            w.restart(1)
            os.eventfd_read(q.err_fd)
        if extra not in w.fe.mem.regions:
            w.fe.do(vu.ADD_MEM_REG, vu.mem_reg(extra), [extra.fd])
            w.fe.mem.regions.append(extra)
    w.check([1, 2])


def vu_read(fh):
    return read_in(fh, 0, MIB)


def wait_either(q):
    p = select.poll()
    for fd in (q.call_fd, q.err_fd):
        p.register(fd, select.POLLIN)

    check(p.poll(HANG * 1000), "hang: neither a call nor VRING_ERR")
    try:
        os.eventfd_read(q.call_fd)
    except BlockingIOError:
        pass


def remove_extra(w, extra):
    w.fe.do(vu.REM_MEM_REG, vu.mem_reg(extra))
    # Kept in the list: replies that came before are still read there.
    if extra in w.fe.mem.regions:
        left = [r for r in w.fe.mem.regions if r is not extra]
        equal(w.daemon.maps(), len(left), "mappings after REM_MEM_REG was answered")
        w.fe.do(vu.ADD_MEM_REG, vu.mem_reg(extra), [extra.fd])


def shrink_table(w, extra):
    left = [r for r in w.fe.mem.regions if r is not extra]
    w.fe.do(vu.SET_MEM_TABLE, vu.mem_table(left), [r.fd for r in left])
    equal(w.daemon.maps(), len(left), "mappings after SET_MEM_TABLE was answered")
    w.fe.do(vu.ADD_MEM_REG, vu.mem_reg(extra), [extra.fd])


add("a region is removed while requests use it", under_load, remove_extra)
add("a new table drops a region while requests use it", under_load, shrink_table)


def ring_region(features):
    w = World(requests=2, features=features)
    r = region(0x2_0000_0000, MIB)
    w.fe.do(vu.ADD_MEM_REG, vu.mem_reg(r), [r.fd])
    w.fe.mem.regions.append(r)
    w.fe.mem.use_for_rings(r)
    q = w.fe.start_queue(3)
    w.check([1, 2, 3])
    state = w.fe.verdict(vu.REM_MEM_REG, vu.mem_reg(r))
    among(state, ("ok",) + BAD)
    if state == "closed":
        return
    q.kick()
    if state == "ok":
        equal(w.daemon.maps(), 3, "mappings")
        w.check([1, 2])
        w.fe.do(vu.ADD_MEM_REG, vu.mem_reg(r), [r.fd])
        w.restart(3)
    w.check([1, 2, 3])


for flags, label in ((vu.F_ALL, ""), (vu.F_ALL & ~vu.F_EVENT_IDX, ", without event index")):
    add(f"a ring's region is removed: that queue breaks or it is refused{label}", ring_region,
        flags)


def vanished(place):
    """The file behind a region is cut to nothing: its requests fail, all else is served."""
    w = World(requests=2)
    r = region(0x2_0000_0000, MIB)
    w.fe.do(vu.ADD_MEM_REG, vu.mem_reg(r), [r.fd])
    w.fe.mem.regions.append(r)
    entry, fh = w.fs.create("victim")
    if place == "ring":
        w.fe.mem.use_for_rings(r)
        q = w.fe.start_queue(3)
        w.fs.alive(3)
        w.fs.start("STATFS", 1, b"", 96, queue=3, publish=False)
        q.set_avail_idx()
    else:
        q = w.fe.queues[1]
        readable, _ = w.fs.frame("WRITE", entry.nodeid, write_in(fh, 0, 4096) + bytes(4096))
        head = w.fe.mem.put(readable)
        q.submit({"header": [(r.gpa, 80, 0), (head + 80, 4096, 0), (head, 24, WRITE)],
                  "data": [(head, 80, 0), (r.gpa, 4096, 0), (head, 24, WRITE)],
                  "table": [(r.gpa, 32, INDIRECT)],
                  "reply": [(head, 80 + 4096, 0), (r.gpa, 24, WRITE)]}[place], publish=False)
        q.arm()
    os.ftruncate(r.fd, 0)  # from here on we must not touch it either
    if place == "ring":
        q.kick()
    else:
        q.set_avail_idx()
        q.kick()
        wait_either(q)
    w.fe.mem.regions.remove(r)
    w.check([2])
    w.fe.do(vu.REM_MEM_REG, vu.mem_reg(r))
    equal(w.daemon.maps(), 3, "mappings")
    if place == "ring":
        w.fe.stop_queue(3)
    else:
        w.restart(1)
    w.check([1, 2])


for where in ("header", "data", "table", "reply", "ring"):
    add(f"guest memory is taken away by the front-end: {where}", vanished, where)


@case("memory that is never given: rings can't start, nothing crashes")
def no_memory():
    site = Site()
    fe = site.attempt("negotiated")
    q = fe.add_queue(1)
    try:
        fe.send(vu.SET_VRING_NUM, vu.vring_state(1, 128))
        fe.send(vu.SET_VRING_ADDR, vu.vring_addr(1, fe.mem.uva(q.desc_at), fe.mem.uva(q.used_at),
                                                 fe.mem.uva(q.avail_at)))
        fe.send(vu.SET_VRING_KICK, vu.u64(1), [q.kick_fd])
        fe.send(vu.SET_VRING_ENABLE, vu.vring_state(1, 1))
        q.kick()
        fe.answers()
    except Closed:
        pass
    fe.close()
    site.finish()


if __name__ == "__main__":
    main()
