# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain full-builds=asan,tsan timeout=240
"""Packed rings: what the other files hold for honest split rings, and forged chains of their own."""

import os

os.environ["PROTO_PACKED"] = "1"

import test_lifecycle  # noqa: E402,F401 (their cases register themselves)
import test_memory  # noqa: E402,F401
import test_ring_shapes  # noqa: E402,F401
import test_session  # noqa: E402,F401
import test_status  # noqa: E402,F401
import vu  # noqa: E402
from harness import add, among, case, check, equal, main, until  # noqa: E402
from messages import BAD  # noqa: E402
from packed import AVAIL, USED, WRAP, available  # noqa: E402
from ring import INDIRECT, NEXT, WRITE  # noqa: E402
from vu import vring_state  # noqa: E402
from world import Site, World  # noqa: E402

GETATTR = bytes(16)


def parts(w):
    """A GETATTR: the addresses of request and reply."""
    readable, _ = w.fs.frame("GETATTR", 1, GETATTR)
    pieces, _ = w.fs.pieces(readable, 120)
    return pieces[0][0], pieces[2][0]


# Each writes slots from the next one on: (addr, len, id, flags) without those that make available,
# which are added; in entries of None nothing is written. "in" and "out" are a request's buffers.
FORGED = {
    "an id equal to the ring's size": [("in", 56, 0, NEXT), ("out", 120, 128, WRITE)],
    "id 0xffff": [("in", 56, 0, NEXT), ("out", 120, 0xFFFF, WRITE)],
    "a chain that ends in a slot that is not available": [("in", 56, 0, NEXT), None],
    "a chain through the whole ring": [("in", 1, 0, NEXT)] * 128,
    "a readable descriptor after a writable one": [("out", 120, 0, NEXT | WRITE), ("in", 56, 0, 0)],
    "outside memory": [(0xDEAD_0000_0000, 56, 0, NEXT), ("out", 120, 0, WRITE)],
    "at the top of the address space": [((1 << 64) - 1, 2, 0, 0)],
    "an indirect descriptor with a next": [("table", 32, 0, INDIRECT | NEXT), ("out", 1, 0, WRITE)],
    "an indirect descriptor behind another": [("in", 56, 0, NEXT), ("table", 32, 0, INDIRECT)],
    "an indirect table of length zero": [("table", 0, 0, INDIRECT)],
    "an indirect table of length 17": [("table", 17, 0, INDIRECT)],
    "an indirect table of length 0xfffffff0": [("table", 0xFFFFFFF0, 0, INDIRECT)],
    "an indirect table outside memory": [(0x2000_0000, 32, 0, INDIRECT)],
    "indirect in indirect": [("nested", 16, 0, INDIRECT)],
}


def forge(w, q, slots):
    request, reply = parts(w)
    table = q.indirect([(request, 56, 0), (reply, 120, WRITE)])[0][0]
    places = {"in": request, "out": reply, "table": table,
              "nested": q.indirect([(table, 32, 0)])[0][0]}
    w.fe.mem.put16(places["nested"] + 14, INDIRECT)
    at = q.avail_idx
    for k, slot in reversed(list(enumerate(slots))):
        if slot:
            addr, length, ident, flags = slot
            here = q.step(at, k)
            q.slot(here & ~WRAP, places.get(addr, addr), length, ident, flags | available(here))


def breaking(slots):
    w = World(requests=2)
    q = w.fe.queues[1]
    forge(w, q, slots)
    w.must_break()


for text, forged in FORGED.items():
    add(f"breaks the queue: {text}", breaking, forged)


@case("breaks the queue: an id that is in flight")
def twice():
    w = World(requests=2)
    q = w.fe.queues[1]
    tokens = [w.fs.start("GETATTR", 1, GETATTR, 120, publish=False) for _ in range(2)]
    q.mem.write(q.desc_at + 16 * (q.step(q.linked, -1) & ~WRAP) + 12,
                tokens[0][1].to_bytes(2, "little"))
    q.set_avail_idx()
    q.kick()
    # The first may have been answered before the second is taken.
    until("served or broken", lambda: q.broken() or q.flags(q.last_used) & USED)
    w.check((2,))
    w.restart(1)
    w.check((1, 2))


def wrap_tricks(flags):
    """Flags that are neither available nor used in this round: not ours, not an error."""
    w = World(requests=2)
    q = w.fe.queues[1]
    at = q.avail_idx
    q.slot(at & ~WRAP, 0xDEAD_0000_0000, 64, 0, flags)
    q.kick()
    w.check((2,))
    check(not q.broken(), "a descriptor that was not available is looked at")
    w.check((1, 2))


for flags in (0, USED, AVAIL | USED, NEXT | WRITE | USED):
    add(f"not available in this round: flags {flags:#x}", wrap_tricks, flags)


def bad_base(value):
    site = Site()
    fe = site.attempt("memory")
    fe.do(vu.SET_VRING_NUM, vring_state(1, 128))
    among(fe.verdict(vu.SET_VRING_BASE, vring_state(1, value)), BAD, f"base {value:#x}")
    fe.close()
    site.finish()


for n in (0x80808080, 0x00800080, 0x7FFF7FFF, 0x80018000, 0x00050004, 0xFFFFFFFF, 0x00050085):
    add(f"wrong value: SET_VRING_BASE {n:#x}", bad_base, n)


@case("a base beyond a size that comes later breaks the queue")
def base_before_size():
    w = World(requests=2)
    q = w.fe.add_queue(3, 16)
    w.fe.do(vu.SET_VRING_BASE, vring_state(3, 0x80108010))
    w.fe.do(vu.SET_VRING_NUM, vring_state(3, 16))
    w.fe.set_addr(q)
    for request, fd in ((vu.SET_VRING_ERR, q.err_fd), (vu.SET_VRING_CALL, q.call_fd),
                        (vu.SET_VRING_KICK, q.kick_fd)):
        w.fe.do(request, vu.u64(3), [fd])
    w.fe.do(vu.SET_VRING_ENABLE, vring_state(3, 1))
    q.kick()
    q.wait_error()
    w.check((1, 2))
    w.fe.start_queue(3, ring=q)
    w.check((1, 2, 3))


@case("a front-end that changes the format gets new rings")
def change_format():
    w = World(requests=1)
    for features in (w.fe.features & ~vu.F_PACKED, w.fe.features):
        w.fe.do(vu.SET_FEATURES, vu.u64(features))
        w.fe.features = features
        for i in (0, 1):
            equal(w.fe.stop_queue(i), 0x80008000 if features & vu.F_PACKED else 0, "base")
            w.fe.start_queue(i)
        w.check()


if __name__ == "__main__":
    main()
