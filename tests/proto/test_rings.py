# SPDX-License-Identifier: BSD-2-Clause
# builds: plain asan tsan
"""Split rings: forged chains, tables and indices break one queue; every honest shape serves."""

import os
import random
import struct

import vu
from fuse import Fs, init_in, name, parse_dirents, parse_entry, read_in
from harness import add, among, case, check, equal, main, until
from mem import MIB, PAGE
from ring import INDIRECT, NEXT, WRITE, wait_fd
from vu import F_ALL, F_EVENT_IDX, F_INDIRECT, Closed
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


# chains that break the queue

def loop_self(w, q, a):
    q.desc(3, a[0], 40, NEXT, 3)
    offer(q, 3)


def loop_two(w, q, a):
    q.desc(3, a[0], 40, NEXT, 4)
    q.desc(4, a[1], 16, NEXT, 3)
    offer(q, 3)


def loop_to_head(w, q, a):
    for i, flags in enumerate((0, 0, WRITE, WRITE)):
        q.desc(i, a[i], (40, 16, 16, 104)[i], flags | NEXT, (i + 1) % 4)
    offer(q, 0)


def loop_whole_ring(w, q, a):
    for i in range(q.size):
        q.desc(i, a[0], 1, NEXT, (i + 1) % q.size)
    offer(q, 0)


def next_at_size(w, q, a):
    q.desc(0, a[0], 40, NEXT, q.size)
    offer(q, 0)


def next_huge(w, q, a):
    q.desc(0, a[0], 40, NEXT, 0xFFFF)
    offer(q, 0)


def readable_after_writable(w, q, a):
    q.desc(0, a[0], 40, NEXT, 1)
    q.desc(1, a[2], 16, WRITE | NEXT, 2)
    q.desc(2, a[1], 16, NEXT, 3)
    q.desc(3, a[3], 104, WRITE)
    offer(q, 0)


def readable_last(w, q, a):
    q.desc(0, a[2], 120, WRITE | NEXT, 1)
    q.desc(1, a[0], 56, 0)
    offer(q, 0)


def head_at_size(w, q, a):
    offer(q, q.size)


def head_huge(w, q, a):
    offer(q, 0xFFFF)


def honest(w, q):
    """One good chain, so that a jump does not only meet garbage."""
    readable, _ = w.fs.frame("GETATTR", 1, GETATTR)
    return q.link(w.fs.pieces(readable, 120)[0])


def jump(by):
    def build(w, q, a):
        q.put_avail(honest(w, q))
        q.set_avail_idx((q.avail_idx + by) & 0xFFFF)
    return build


def indirect_len(length):
    def build(w, q, a):
        at = table(w.fe.mem, [(a[0], 56, NEXT, 1), (a[2], 120, WRITE, 0)] + [(a[2], 1, WRITE, 0)] * 8)
        q.desc(0, at, length, INDIRECT)
        offer(q, 0)
    return build


def indirect_table(entries):
    """The entries' address is an index into the honest parts or an address."""
    def build(w, q, a):
        real = [(a[e[0]] if e[0] < 4 else e[0], *e[1:]) for e in entries]
        q.desc(0, table(w.fe.mem, real), 16 * len(real), INDIRECT)
        offer(q, 0)
    return build


def indirect_at(addr):
    def build(w, q, a):
        q.desc(0, addr, 64, INDIRECT)
        offer(q, 0)
    return build


def nested(depth):
    def build(w, q, a):
        mem = w.fe.mem
        at, n = table(mem, [(a[0], 56, NEXT, 1), (a[2], 120, WRITE, 0)]), 32
        for _ in range(depth):
            at, n = table(mem, [(at, n, INDIRECT, 0)]), 16
        q.desc(0, at, n, INDIRECT)
        offer(q, 0)
    return build


def nested_itself(w, q, a):
    at = w.fe.mem.alloc(16, 16)
    w.fe.mem.write(at, struct.pack("<QIHH", at, 16, INDIRECT, 0))
    q.desc(0, at, 16, INDIRECT)
    offer(q, 0)


def indirect_and_next(w, q, a):
    q.desc(0, table(w.fe.mem, [(a[0], 56, 0, 0)]), 16, INDIRECT | NEXT, 1)
    q.desc(1, a[2], 120, WRITE)
    offer(q, 0)


BREAKING = {
    "a descriptor that follows itself": loop_self,
    "a loop of two": loop_two,
    "a loop back to the head": loop_to_head,
    "a loop through the whole ring": loop_whole_ring,
    "next equal to the ring's size": next_at_size,
    "next 0xffff": next_huge,
    "a readable descriptor after a writable one": readable_after_writable,
    "only the last descriptor readable": readable_last,
    "head equal to the ring's size": head_at_size,
    "head 0xffff": head_huge,
    "avail index jumps by more than the ring": jump(128),
    "avail index jumps by half its range": jump(0x8000),
    "avail index jumps back": jump(-2),
    "avail index jumps far back": jump(-1000),
    "indirect table of length zero": indirect_len(0),
    "indirect table of length 8": indirect_len(8),
    "indirect table of length 17": indirect_len(17),
    "indirect table of length 40": indirect_len(40),
    "indirect table of length 0xffffffff": indirect_len(0xFFFFFFFF),
    "indirect table of length 0xfffffff0": indirect_len(0xFFFFFFF0),
    "indirect in indirect": nested(1),
    "indirect in indirect in indirect": nested(2),
    "an indirect table that holds itself": nested_itself,
    "an indirect descriptor with a next": indirect_and_next,
    "indirect table outside memory": indirect_at(0x2000_0000),
    "indirect table at the end of memory": indirect_at(0x1_0100_0000 - 16),
    "indirect table at the top of the address space": indirect_at((1 << 64) - 16),
    "loop in an indirect table": indirect_table([(0, 40, NEXT, 1), (1, 16, NEXT, 0)]),
    "an indirect entry that follows itself": indirect_table([(0, 40, NEXT, 0)]),
    "next outside the indirect table": indirect_table([(0, 56, NEXT, 2), (2, 120, WRITE, 0)]),
    "next 0xffff in the indirect table": indirect_table([(0, 56, NEXT, 0xFFFF), (2, 120, WRITE, 0)]),
    "readable after writable in the indirect table":
        indirect_table([(2, 120, WRITE | NEXT, 1), (0, 56, 0, 0)]),
    "a bad address in the indirect table":
        indirect_table([(0, 56, NEXT, 1), (0x2000_0000, 120, WRITE, 0)]),
}


def breaking(build):
    w = World(requests=2)
    build(w, w.fe.queues[1], parts(w)[0])
    w.must_break()


for text, forge in BREAKING.items():
    add(f"breaks the queue: {text}", breaking, forge)


@case("breaks the queue: indirect that was not negotiated")
def no_indirect():
    w = World(requests=2, features=F_ALL & ~F_INDIRECT)
    a = parts(w)[0]
    at = table(w.fe.mem, [(a[0], 56, NEXT, 1), (a[2], 120, WRITE, 0)])
    w.fe.queues[1].desc(0, at, 32, INDIRECT)
    offer(w.fe.queues[1], 0)
    w.must_break()


@case("breaks the queue: the high-priority queue too, alone")
def hiprio():
    w = World(requests=2)
    q = w.fe.queues[0]
    q.desc(0, 0xDEAD_0000_0000, 48, 0)
    offer(q, 0)
    q.kick()
    q.wait_error()
    w.fs.queue = 1
    for i in (1, 2):
        data = w.fs.good("GETATTR", 1, GETATTR, queue=i)
        equal(len(data), 104)
    w.restart(0)
    w.check([1, 2])


@case("breaks the queue: every queue at once, then all are mended")
def all_queues():
    w = World(requests=4)
    for i in range(5):
        q = w.fe.queues[i]
        q.desc(0, 0, 1, NEXT, 0)
        offer(q, 0)
        q.kick()
    for i in range(5):
        w.fe.queues[i].wait_error()
    w.fe.answers()
    for i in range(5):
        w.restart(i)
    w.check(range(1, 5))


@case("chains before the bad one are served, those after it are not")
def order():
    w = World(requests=2)
    q = w.fe.queues[1]
    tokens = [w.fs.start("GETATTR", 1, GETATTR, 120, publish=False) for _ in range(3)]
    q.put_avail(0xFFF0)
    late = w.fs.start("GETATTR", 1, GETATTR, 120, publish=False)
    q.set_avail_idx()
    q.kick()
    q.wait_error()
    until("chains before the bad one", lambda: q.collect() and False or len(q.done) == 3)
    for t in tokens:
        check(t[1] in q.done, "a good chain before the bad one")
    w.check([2])
    q.collect()
    check(late[1] not in q.done, "a broken queue serves nothing")
    w.restart(1)
    w.check([1, 2])


@case("the broken queue stays broken until it is stopped")
def stays():
    w = World(requests=2)
    q = w.fe.queues[1]
    offer(q, 0xFFFF)
    q.kick()
    q.wait_error()
    used = q.used_idx()
    w.fs.start("GETATTR", 1, GETATTR, 120)
    q.kick()
    w.check([2])
    equal(q.used_idx(), used, "used index of a broken queue")
    w.restart(1)
    w.check([1, 2])


# what the device may bear or refuse

def bearable(build):
    w = World(requests=2)
    q = w.fe.queues[1]
    a, places, unique = parts(w)
    head = build(w, q, a)
    q.chains[head] = []
    w.breaks_or_serves((q, head, places, unique))


def unknown_flags(w, q, a):
    q.desc(0, a[0], 56, NEXT | 0xFFF8, 1)
    q.desc(1, a[2], 120, WRITE | 0x8000)
    offer(q, 0)
    return 0


def table_longer_than_ring(w, q, a):
    n = 4 * q.size
    entries = [(a[0] + i, 1, NEXT, i + 1) for i in range(56)]
    entries += [(a[2], 120, WRITE | NEXT, 57)]
    spare = w.fe.mem.alloc(n)
    entries += [(spare + i, 1, WRITE | (NEXT if i < n - 1 else 0), 58 + i) for i in range(n)]
    q.desc(0, table(w.fe.mem, entries), 16 * len(entries), INDIRECT)
    offer(q, 0)
    return 0


def table_unaligned(w, q, a):
    at = table(w.fe.mem, [(0, 0, 0, 0)] * 3) + 5
    w.fe.mem.write(at, struct.pack("<QIHHQIHH", a[0], 56, NEXT, 1, a[2], 120, WRITE, 0))
    q.desc(0, at, 32, INDIRECT)
    offer(q, 0)
    return 0


def reply_over_request(w, q, a):
    q.desc(0, a[0], 56, NEXT, 1)
    q.desc(1, a[0], 56, WRITE | NEXT, 2)
    q.desc(2, a[3], 104, WRITE)
    offer(q, 0)
    return 0


def table_in_reply(w, q, a):
    at = w.fe.mem.alloc(4096, 16)
    w.fe.mem.write(at, struct.pack("<QIHHQIHH", a[0], 56, NEXT, 1, at, 120, WRITE, 0))
    q.desc(0, at, 32, INDIRECT)
    offer(q, 0)
    return 0


def reply_over_ring(w, q, a):
    q.desc(0, a[0], 56, NEXT, 1)
    q.desc(1, q.desc_at, 120, WRITE)
    offer(q, 0)
    return 0


for text, forge in {"unknown descriptor flags": unknown_flags,
                    "an indirect table longer than the ring": table_longer_than_ring,
                    "an unaligned indirect table": table_unaligned}.items():
    add(f"served or broken: {text}", bearable, forge)


def overlapping(build):
    """The reply overwrites what described it: read once, so it is served all the same."""
    w = World(requests=2)
    q = w.fe.queues[1]
    a, _, _ = parts(w)
    q.chains[build(w, q, a)] = []
    q.kick()
    until("served or broken", lambda: q.used_idx() != q.last_used or q.broken())
    w.check([2])
    w.restart(1)
    w.check([1, 2])


for text, forge in {"the reply overwrites the request": reply_over_request,
                    "the reply overwrites its indirect table": table_in_reply,
                    "the reply overwrites the descriptor table": reply_over_ring}.items():
    add(f"served or broken: {text}", overlapping, forge)


@case("the same head twice in one batch")
def twice():
    w = World(requests=2)
    q = w.fe.queues[1]
    head = honest(w, q)
    q.put_avail(head)
    q.put_avail(head)
    q.set_avail_idx()
    q.kick()
    until("served or broken", lambda: (q.used_idx() - q.last_used) & 0xFFFF == 2 or q.broken())
    w.check([2])
    w.restart(1)
    w.check([1, 2])


@case("kicks without entries")
def idle_kicks():
    w = World()
    for _ in range(1000):
        w.fe.queues[1].kick()
    w.check()


# honest chains

@case("serves: direct descriptors followed by an indirect one")
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


@case("serves: WRITE on an indirect descriptor is ignored")
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


@case("serves: an indirect table that spans two adjacent regions")
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
    for sizes in ((1,), (2,), (3,), (7,), (39, 1), (40, 40, 1), (41, 1), (80, 1), (81, 333), (999,)):
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

def ring_size(size, base):
    """Goes round a ring of this size more than twice, or past 0xffff where base is near it."""
    w = World(requests=0, init=False)
    w.fe.start_queue(1, size, base)
    w.fs.good("INIT", 0, init_in(), 80, indirect=True)
    q = w.fe.queues[1]
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
    equal(w.fe.stop_queue(1), q.avail_idx, "GET_VRING_BASE")
    equal(q.used_idx(), q.avail_idx, "used index")


for log in range(1, 16):
    add(f"ring of {1 << log}", ring_size, 1 << log, 0)
    add(f"ring of {1 << log} from base 65530", ring_size, 1 << log, 65530)


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
    equal(w.fe.stop_queue(1), q.avail_idx, "GET_VRING_BASE")
    w.restart(1, q.avail_idx)
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
    q.publish(0)
    for head in heads:
        equal(q.wait(head), 120, "used length")
    w.check()


# notifications

@case("event index: no call before the element that was asked for")
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
            q.done.pop(head)
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
        q.done.pop(head)
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
    check(q.kicks <= 2 + 50 * 184, "kicks", q.kicks)
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
        q.done.pop(head)
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


OUTSIDE = {"outside memory": 0x1234_0000, "at the top": (1 << 64) - 4096,
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


main()
