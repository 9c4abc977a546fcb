# SPDX-License-Identifier: BSD-2-Clause
"""Honest rings: every segmentation, size, wrap-around, notification; rings' addresses."""

import os
import random
import struct

import vu
from fuse import Fs, init_in, name, parse_dirents, parse_entry, read_in
from harness import add, among, case, check, equal, main, until
from mem import MIB, PAGE
from ring import INDIRECT, NEXT, WRITE, wait_fd
from vu import F_ALL, F_EVENT_IDX, PACKED, Closed
from world import Site, World

BAD = ("closed", "refused")
GETATTR = bytes(16)


def table(mem, entries, align=16):
    """An indirect table of (addr, len, flags, next); its guest address."""
    return mem.put(b"".join(struct.pack("<QIHH", *e) for e in entries), align)


def parts(w):
    """A GETATTR cut in four: the addresses of header, arguments, reply header, reply data."""
    readable, unique = w.fs.frame("GETATTR", 1, GETATTR)
    pieces, places = w.fs.pieces(readable, 120)
    return [p[0] for p in pieces], places, unique


def offer(q, head):
    q.put_avail(head)
    q.set_avail_idx()


def split_case(text):
    """A case that writes a split ring by hand."""
    return (lambda fn: fn) if PACKED else case(text)


# honest chains


@split_case("serves: direct descriptors followed by an indirect one")
def direct_then_indirect():
    w = World()
    q = w.fe.queues[1]
    a, places, unique = parts(w)
    at = table(w.fe.mem, [(a[1], 16, NEXT, 1), (a[2], 120, WRITE, 0)])
    q.desc(0, a[0], 40, NEXT, 9)
    q.desc(9, at, 32, INDIRECT)
    q.chains[0] = []
    offer(q, 0)
    q.kick()
    equal(w.fs.finish((q, 0, places, unique)).error, 0)
    w.check()


@split_case("serves: WRITE on an indirect descriptor is ignored")
def indirect_write():
    w = World()
    q = w.fe.queues[1]
    a, places, unique = parts(w)
    at = table(w.fe.mem, [(a[0], 56, NEXT, 1), (a[2], 120, WRITE, 0)])
    q.desc(0, at, 32, INDIRECT | WRITE)
    q.chains[0] = []
    offer(q, 0)
    q.kick()
    equal(w.fs.finish((q, 0, places, unique)).error, 0)
    w.check()


@split_case("serves: an indirect table that spans two adjacent regions")
def spanning_table():
    w = World()
    q = w.fe.queues[1]
    for at in (0x90_0000 - 16, 0x90_0000 - 32, 0x90_0000 - 8):
        a, places, unique = parts(w)
        w.fe.mem.write(at, struct.pack("<QIHHQIHHQIHH", a[0], 56, NEXT, 2, 0, 0, 0, 0,
                                       a[2], 120, WRITE, 0))
        head = q.submit([(at, 48, INDIRECT)])
        equal(w.fs.finish((q, head, places, unique)).error, 0, f"table at {at:#x}")
    w.check()


def segments(indirect):
    """Every cut of a request in two, of its reply in two, and equal pieces of every size."""
    w = World(size=256)
    args = name("file")
    want = w.fs.lookup("file")
    shapes = [((k, 1 << 30), (16, 1 << 30)) for k in range(1, 45)]
    shapes += [((40, 1 << 30), (k, 1 << 30)) for k in range(1, 144)]
    shapes += [((k,), (m,)) for k in range(1, 46) for m in (1, 3, 16, 200)]
    shapes += [((1,), (k,)) for k in range(1, 60)]
    count = 1
    for rsizes, wsizes in shapes:
        data = w.fs.good("LOOKUP", 1, args, 144, indirect=indirect, rsizes=rsizes, wsizes=wsizes)
        equal(parse_entry(data).nodeid, want.nodeid, f"pieces {rsizes} {wsizes}")
        count += 1
    w.fs.forget(want.nodeid, count)
    w.fs.stale(want.nodeid)
    w.check()


add("serves: every segmentation of LOOKUP, direct", segments, False)
add("serves: every segmentation of LOOKUP, indirect", segments, True)


@case("serves: READ and WRITE in pieces, down to one byte")
def data_pieces():
    w = World(size=2048)
    entry, fh = w.fs.create("pieces")
    data = bytes(random.Random(1).randbytes(700))
    for sizes in ((1,), (2,), (3,), (7,), (39, 1), (40, 40, 1), (41, 1), (80, 1), (81, 333),
                  (999,)):
        for indirect in (False, True):
            data = data[1:] + data[:1]
            w.fs.write(entry.nodeid, fh, 0, data, rsizes=sizes, wsizes=sizes, indirect=indirect)
            got = w.fs.read(entry.nodeid, fh, 0, 700, rsizes=sizes, wsizes=sizes, indirect=indirect)
            equal(got, data, f"pieces {sizes}")
    w.check()


@case("serves: 1 MiB in pages, scattered, through an indirect table")
def scattered():
    w = World(size=1024)
    entry, fh = w.fs.create("scattered")
    rng = random.Random(2)
    data = rng.randbytes(MIB)
    q, mem = w.fe.queues[1], w.fe.mem
    pages = [mem.arena.gpa + 2 * MIB + i * PAGE for i in range(MIB // PAGE)]
    rng.shuffle(pages)
    for op in ("WRITE", "READ"):
        args = read_in(fh, 0, MIB)
        hlen = 40 + 40 + (MIB if op == "WRITE" else 0)
        readable, unique = w.fs.frame(op, entry.nodeid, args, hlen=hlen)
        for p, at in enumerate(pages):
            mem.write(at, data[p * PAGE:(p + 1) * PAGE] if op == "WRITE" else bytes(PAGE))
        out = mem.alloc(24)
        pieces = [(mem.put(readable), 80, 0)]
        if op == "WRITE":
            pieces += [(at, PAGE, 0) for at in pages] + [(out, 24, WRITE)]
            places = [(out, 24)]
        else:
            pieces += [(out, 16, WRITE)] + [(at, PAGE, WRITE) for at in pages]
            places = [(out, 16)] + [(at, PAGE) for at in pages]
        r = w.fs.finish((q, q.submit(q.indirect(pieces)), places, unique))
        equal(r.error, 0, op)
    check(r.data == data, "contents")
    w.check()


@case("serves: READDIRPLUS into one-byte pieces")
def readdir_pieces():
    w = World(size=4096)
    fh = w.fs.opendir()
    whole = w.fs.readdir(1, fh, 0, 2048, plus=True)
    data = w.fs.good("READDIRPLUS", 1, read_in(fh, 0, 2048), 2064, rsizes=(1,), wsizes=(1,))
    equal([d.name for d in parse_dirents(data, True)], [d.name for d in whole])
    w.check()


@case("serves: random segmentations")
def random_pieces():
    w = World(size=1024)
    rng = random.Random(3)
    entry, fh = w.fs.create("random")
    for _ in range(300):
        data = rng.randbytes(rng.randint(1, 400))
        kw = {"indirect": rng.random() < 0.5}
        for key in ("rsizes", "wsizes"):
            kw[key] = [rng.choice((1, 2, 5, 16, 40, 100)) for _ in range(rng.randint(1, 12))]
        at = rng.randrange(10000)
        w.fs.write(entry.nodeid, fh, at, data, **kw)
        equal(w.fs.read(entry.nodeid, fh, at, len(data), **kw), data)
    w.check()


# sizes and indices


def ring_size(size, late):
    """Goes round a ring of this size more than twice, or past a wrap that is near."""
    w = World(requests=0, init=False)
    q = w.fe.add_queue(1, size)
    base = q.late() if late else q.FRESH
    q.reset(base)
    w.fe.start_queue(1, base=base, ring=q)
    w.fs.good("INIT", 0, init_in(), 80, indirect=True)
    left = min(2 * size + 5, 600) if size < 1024 else 300
    while left > 0:
        n = min(size, 128, left)
        old = q.avail_idx
        tokens = [w.fs.start("GETATTR", 1, GETATTR, 120, indirect=True, publish=False)
                  for _ in range(n)]
        q.publish(old)
        for t in tokens:
            equal(w.fs.finish(t).error, 0, "GETATTR")
        left -= n
    equal(w.fe.stop_queue(1), q.position(), "GET_VRING_BASE")
    equal(q.used_idx(), q.avail_idx, "used index")


for log in range(1, 16):
    add(f"ring of {1 << log}", ring_size, 1 << log, False)
    add(f"ring of {1 << log}, about to wrap around", ring_size, 1 << log, True)
for n in (3, 5, 100, 1000, 32767) if PACKED else ():
    add(f"ring of {n}", ring_size, n, False)
    add(f"ring of {n}, about to wrap around", ring_size, n, True)


def wrap(size, indirect):
    """70,000 requests: the 16-bit indices wrap around."""
    w = World(requests=0, init=False)
    q = w.fe.start_queue(1, size)
    w.fs.init()
    total, batch = int(os.environ.get("PROTO_WRAP", "70000")), min(size // 4, 256)
    readable, unique = w.fs.frame("GETATTR", 1, GETATTR)
    pieces, places = w.fs.pieces(readable, 120)  # all share one buffer: same request, same reply
    pieces = [(pieces[0][0], 56, 0), (pieces[2][0], 120, WRITE)]
    if indirect:
        pieces = q.indirect(pieces)
    for _ in range(total // batch + 1):
        old = q.avail_idx
        heads = [q.submit(pieces, False) for _ in range(batch)]
        q.publish(old)
        for head in heads:
            equal(q.wait(head), 120, "used length")
    equal(w.fe.stop_queue(1), q.position(), "GET_VRING_BASE")
    w.restart(1, q.position())
    w.check()


add("indices wrap around, ring of 128", wrap, 128, False)
add("indices wrap around, ring of 1024, indirect", wrap, 1024, True)


@case("a ring of 32768 filled to its last descriptor")
def full_ring():
    w = World(requests=0, init=False)
    q = w.fe.start_queue(1, 32768)
    w.fs.init()
    readable, _ = w.fs.frame("GETATTR", 1, GETATTR)
    pieces, _ = w.fs.pieces(readable, 120)
    pieces = [(pieces[0][0], 56, 0), (pieces[2][0], 120, WRITE)]
    heads = [q.submit(pieces, False) for _ in range(16384)]
    check(not q.free, "ring is full")
    q.set_avail_idx()
    q.kick()
    for head in heads:
        equal(q.wait(head), 120, "used length")
    w.check()


# notifications


@split_case("event index: no call before the element that was asked for")
def used_event():
    w = World()
    q = w.fe.queues[1]
    for ahead in (0, 1, 5, 31):
        event = (q.last_used + ahead) & 0xFFFF
        os.eventfd_write(q.call_fd, 1)
        os.eventfd_read(q.call_fd)
        w.fe.mem.put16(q.avail_at + 4 + 2 * q.size, event)
        heads = []
        for i in range(ahead + 1):
            check(not wait_fd(q.call_fd, 0), f"a call {ahead - i} elements early")
            before = q.used_idx()
            heads.append(w.fs.start("GETATTR", 1, GETATTR, 120)[1])
            until("the element", lambda: q.used_idx() != before)
        check(wait_fd(q.call_fd), f"hang: no call after {ahead + 1} elements")
        q.collect()
        for head in heads:
            q.take(head)
    w.check()


@case("event index: a driver that wants no calls gets few")
def suppressed():
    w = World()
    q = w.fe.queues[1]
    q.disarm()
    try:
        os.eventfd_read(q.call_fd)
    except BlockingIOError:
        pass
    for _ in range(200):
        before = q.used_idx()
        head = w.fs.start("GETATTR", 1, GETATTR, 120)[1]
        until("the element", lambda: q.used_idx() != before, 0)
        q.collect()
        q.take(head)
    check(not wait_fd(q.call_fd, 0), "calls although none was wanted")
    w.check()


@case("event index: kicks that the device suppresses are not needed")
def avail_event():
    w = World(size=512)
    q = w.fe.queues[1]
    for burst in (1, 2, 17, 64, 100) * 10:
        tokens = [w.fs.start("GETATTR", 1, GETATTR, 120) for _ in range(burst)]
        for t in tokens:
            equal(w.fs.finish(t).error, 0)
    w.check()


@case("without event index: NO_INTERRUPT is honoured")
def no_interrupt():
    w = World(features=F_ALL & ~F_EVENT_IDX)
    q = w.fe.queues[1]
    q.disarm()
    try:
        os.eventfd_read(q.call_fd)
    except BlockingIOError:
        pass
    for _ in range(50):
        before = q.used_idx()
        head = w.fs.start("GETATTR", 1, GETATTR, 120)[1]
        until("the element", lambda: q.used_idx() != before, 0)
        q.collect()
        q.take(head)
    check(not wait_fd(q.call_fd, 0), "calls although NO_INTERRUPT is set")
    q.arm()
    w.check()


# ring addresses


def addresses(what, desc, used, avail):
    """Refused when set, or the queue can't start; never believed."""
    site = Site()
    fe = site.attempt("running")
    q = fe.add_queue(2)
    at = fe.mem.uva
    good = [at(q.desc_at), at(q.used_at), at(q.avail_at)]
    real = [(g + b if 0 < abs(b) < PAGE else b) if b else g
            for g, b in zip(good, (desc, used, avail))]
    state = fe.verdict(vu.SET_VRING_NUM, vu.vring_state(2, q.size))
    state = fe.verdict(vu.SET_VRING_ADDR, vu.vring_addr(2, real[0], real[1], real[2]))
    among(state, ("ok",) + BAD)
    if state != "closed":
        try:
            for request, fd in ((vu.SET_VRING_ERR, q.err_fd), (vu.SET_VRING_CALL, q.call_fd),
                                (vu.SET_VRING_KICK, q.kick_fd)):
                fe.send(request, vu.u64(2), [fd])
            fe.send(vu.SET_VRING_ENABLE, vu.vring_state(2, 1))
            q.set_avail_idx(1)
            q.kick()
            Fs(fe).alive()
            fe.answers()
            if state == "ok":
                q.wait_error()
            fe.stop_queue(2)
            Fs(fe).alive()
        except Closed:
            pass
    fe.close()
    site.finish()


OUTSIDE = {} if PACKED else {"outside memory": 0x1234_0000, "at the top": (1 << 64) - 4096,
           "one past the end": 0x7F00_0000_0000 + 0xD0_0000,
           "out of the end": 0x7F00_0000_0000 + 0xD0_0000 - 16,
           "a guest address": 0x10_0000, "all ones": (1 << 64) - 1}
for text, forged in OUTSIDE.items():
    add(f"ring address {text}: descriptors", addresses, text, forged & ~15, 0, 0)
    add(f"ring address {text}: used", addresses, text, 0, forged & ~3, 0)
    add(f"ring address {text}: avail", addresses, text, 0, 0, forged & ~1)
for off in (1, 8, 15):
    add(f"ring address misaligned by {off}: descriptors", addresses, "", off, 0, 0)
for off in (1, 2, 3):
    add(f"ring address misaligned by {off}: used", addresses, "", 0, off, 0)
add("ring address misaligned by 1: avail", addresses, "", 0, 0, 1)


@case("all three parts of a ring at the same address")
def same_place():
    site = Site()
    fe = site.attempt("running")
    q = fe.add_queue(2)
    at = fe.mem.uva(q.desc_at)
    try:
        fe.send(vu.SET_VRING_NUM, vu.vring_state(2, q.size))
        fe.send(vu.SET_VRING_ADDR, vu.vring_addr(2, at, at, at))
        for request, fd in ((vu.SET_VRING_ERR, q.err_fd), (vu.SET_VRING_CALL, q.call_fd),
                            (vu.SET_VRING_KICK, q.kick_fd)):
            fe.send(request, vu.u64(2), [fd])
        fe.send(vu.SET_VRING_ENABLE, vu.vring_state(2, 1))
        for i in range(5):
            fe.mem.put16(q.desc_at + 2, fe.mem.get16(q.desc_at + 2) + 3)
            q.kick()
        fe.answers()
        fe.stop_queue(2)
    except Closed:
        pass
    fe.close()
    site.finish()


if __name__ == "__main__":
    main()
