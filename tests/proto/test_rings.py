# SPDX-License-Identifier: BSD-2-Clause
"""Split rings: forged chains, tables and indices break one queue; every honest shape serves."""

import struct

from harness import add, case, check, equal, main, until
from ring import INDIRECT, NEXT, WRITE
from vu import F_ALL, F_INDIRECT
from world import World

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


def loop_empty(w, q, a):
    q.desc(3, a[0], 0, NEXT, 3)  # nothing that could fill up ends this one
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
        good = [(a[0], 56, NEXT, 1), (a[2], 120, WRITE, 0)]
        at = table(w.fe.mem, good + [(a[2], 1, WRITE, 0)] * 8)
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
    "an empty descriptor that follows itself": loop_empty,
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
    "an empty indirect entry that follows itself": indirect_table([(0, 0, NEXT, 0)]),
    "next outside the indirect table": indirect_table([(0, 56, NEXT, 2), (2, 120, WRITE, 0)]),
    "next 0xffff in the indirect table":
        indirect_table([(0, 56, NEXT, 0xFFFF), (2, 120, WRITE, 0)]),
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


def bearable(build, features=F_ALL):
    w = World(requests=2, features=features)
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


def plain_indirect(w, q, a):
    at = table(w.fe.mem, [(a[0], 56, NEXT, 1), (a[2], 120, WRITE, 0)])
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
add("served or broken: indirect that was not negotiated", bearable, plain_indirect,
    F_ALL & ~F_INDIRECT)


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


main()
