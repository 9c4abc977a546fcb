# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain full-builds=asan,tsan
"""Random mutations of valid traffic: the daemon may refuse anything, and must serve afterwards.

A fixed seed unless PROTO_SEED names another; under --full a fresh one as well. Each case prints
its seed when it fails; PROTO_ROUNDS multiplies the work.
"""

import os
import random
import select
import struct

import vu
from fuse import OPCODES, init_in
from harness import HANG, Failure, add, check, main
from ops import OPS, UNSUPPORTED, Context
from ring import INDIRECT, NEXT, WRITE, fence
from vu import Closed
from world import Site, World

ROUNDS = float(os.environ.get("PROTO_ROUNDS", "6" if os.environ.get("CAUSEWAY_FULL") else "1"))
EDGES = (0, 1, 2, 7, 8, 15, 16, 39, 40, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFF, 0x10000,
         0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
         (1 << 64) - 4096)


def seeds():
    if "PROTO_SEED" in os.environ:
        return [int(os.environ["PROTO_SEED"], 0)]
    return [20261122] + ([int.from_bytes(os.urandom(4), "little")]
                         if os.environ.get("CAUSEWAY_FULL") else [])


def mutate(rng, data, keep=0):
    """Changes bytes from keep on: bits, words, length."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if len(data) <= keep:
            data += rng.randbytes(rng.randint(1, 16))
            continue
        at = rng.randrange(keep, len(data))
        how = rng.randrange(7)
        if how == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[at] = rng.randrange(256)
        elif how in (2, 3):
            width = rng.choice((2, 4, 8))
            at = at // width * width
            value = rng.choice(EDGES) & ((1 << 8 * width) - 1)
            if at >= keep:
                data[at:at + width] = value.to_bytes(width, "little")[:max(0, len(data) - at)]
        elif how == 4:
            del data[at:]
        elif how == 5:
            data += rng.randbytes(rng.choice((1, 3, 8, 100)))
        else:
            data[at:at] = rng.randbytes(rng.choice((1, 4, 8)))
    return bytes(data)


def seeded(case):
    def run(seed):
        try:
            case(random.Random(seed))
        except Exception as e:
            raise Failure(f"seed {seed}: {type(e).__name__}: {e}") from e
    return run


# messages


def random_message(rng, fe):
    """One message of a valid shape for a random queue: number, payload, descriptors."""
    i = rng.choice((0, 1, 1, 2, 3, 64, 65))
    q = fe.queues.get(i) or fe.queues[1]
    at = fe.mem.uva
    regions = rng.sample(fe.mem.regions, rng.randint(1, 3))
    r = rng.choice(fe.mem.regions)
    state = vu.vring_state
    return rng.choice((
        ("GET_FEATURES", b"", []), ("SET_FEATURES", vu.u64(vu.F_ALL), []), ("SET_OWNER", b"", []),
        ("SET_MEM_TABLE", vu.mem_table(regions), [x.fd for x in regions]),
        ("SET_MEM_TABLE", vu.mem_table(fe.mem.regions), [x.fd for x in fe.mem.regions]),
        ("ADD_MEM_REG", vu.mem_reg(r), [r.fd]), ("REM_MEM_REG", vu.mem_reg(r), []),
        ("GET_MAX_MEM_SLOTS", b"", []), ("GET_QUEUE_NUM", b"", []),
        ("GET_CONFIG", vu.config_request(), []), ("GET_PROTOCOL_FEATURES", b"", []),
        ("SET_PROTOCOL_FEATURES", vu.u64(vu.P_ALL), []), ("RESET_OWNER", b"", []),
        ("RESET_DEVICE", b"", []), ("GET_STATUS", b"", []),
        ("SET_STATUS", vu.u64(rng.choice((0, 11, 15, 256))), []),
        ("SET_VRING_NUM", state(i, rng.choice((2, 64, q.size, q.size, 32768))), []),
        ("SET_VRING_BASE", state(i, rng.choice((0, q.avail_idx))), []),
        ("GET_VRING_BASE", state(i, 0), []),
        ("SET_VRING_ADDR", vu.vring_addr(i, at(q.desc_at), at(q.used_at), at(q.avail_at)), []),
        ("SET_VRING_KICK", vu.u64(i), [q.kick_fd]), ("SET_VRING_CALL", vu.u64(i), [q.call_fd]),
        ("SET_VRING_ERR", vu.u64(i), [q.err_fd]),
        ("SET_VRING_ENABLE", state(i, rng.choice((0, 1, 1))), [])))


@seeded
def messages(rng):
    """Sequences in any order, mostly well formed; rings are kicked in between."""
    site = Site()
    for _ in range(int(60 * ROUNDS)):
        fe = site.attempt(rng.choice(("negotiated", "memory", "running", "running")))
        for i in (0, 1, 2, 3):
            if i not in fe.queues:
                fe.add_queue(i, 16)
        spoil = rng.choice((0, 0, 0.02, 0.3))
        try:
            for _ in range(rng.randint(1, 40)):
                name, payload, fds = random_message(rng, fe)
                flags, size = vu.VERSION, None
                if rng.random() < spoil:
                    payload = mutate(rng, payload)
                if rng.random() < spoil:
                    fds = rng.choice(([], fds * 2, [fe.mem.regions[0].fd]))
                if rng.random() < spoil:
                    flags = rng.choice((0, 2, 5, 9, 0xFFFFFFFF))
                if rng.random() < spoil / 2:
                    size = rng.choice(EDGES) & 0xFFFFFFFF
                if rng.random() < 0.2:
                    q = rng.choice(list(fe.queues.values()))
                    idx = fe.mem.get16(q.avail_at + 2) + rng.choice((0, 1, 1, 2))
                    fe.mem.put16(q.avail_at + 2, idx)
                    q.kick()
                fe.send(vu.NAMES[name], payload, fds, flags, size)
        except Closed:
            pass
        fe.close()
        site.daemon.alive()
    site.finish()


# rings


def wait_settled(w, q, heads):
    """Until the queue has returned these chains or is broken."""
    p = select.poll()
    p.register(q.call_fd, select.POLLIN)
    p.register(q.err_fd, select.POLLIN)
    p.register(q.sock, 0)
    while not q.broken():
        idx = q.used_idx()
        if (idx - q.last_used) & 0xFFFF >= heads:
            return
        w.fe.mem.put16(q.avail_at + 4 + 2 * q.size, idx)  # a call at the next one
        fence()
        if q.used_idx() != idx:
            continue
        events = [fd for fd, _ in p.poll(HANG * 1000)]
        check(events and q.sock.fileno() not in events, f"hang: {(idx - q.last_used) & 0xFFFF} of {heads} chains, "
              "and no VRING_ERR")
        try:
            os.eventfd_read(q.call_fd)
        except BlockingIOError:
            pass


def random_piece(rng, w, piece):
    """One descriptor's fields, one of them spoilt."""
    addr, length, flags = piece
    how = rng.randrange(6)
    if how == 0:
        addr = rng.choice(EDGES)
    elif how == 1:
        addr += rng.choice((-1, 1, 8, 1 << 20, 1 << 32, -(1 << 32)))
    elif how == 2:
        length = rng.choice(EDGES) & 0xFFFFFFFF
    elif how == 3:
        flags ^= 1 << rng.randrange(16)
    elif how == 4:
        flags ^= rng.choice((NEXT, WRITE, INDIRECT))
    else:
        addr = rng.choice(w.fe.mem.regions).gpa + rng.randrange(1 << 23)
    return addr & ((1 << 64) - 1), length, flags


@seeded
def rings(rng):
    """Chains with spoilt descriptors, tables and indices; the queue next door goes on."""
    w = World(requests=2, size=32)
    q = w.fe.queues[1]
    for turn in range(int(250 * ROUNDS)):
        count = rng.randint(1, 4)
        for _ in range(count):
            readable, _ = w.fs.frame("GETATTR", 1, bytes(16))
            sizes = [rng.choice((8, 20, 40, 100)) for _ in range(3)]
            pieces, _ = w.fs.pieces(readable, 120, sizes, sizes)
            spoil = rng.random()
            if spoil < 0.5:
                k = rng.randrange(len(pieces))
                pieces[k] = random_piece(rng, w, pieces[k])
            if rng.random() < 0.5:
                pieces = q.indirect(pieces)
                if spoil > 0.8:
                    pieces = [random_piece(rng, w, pieces[0])]
            if len(pieces) > len(q.free):
                break
            head = q.link(pieces)
            if rng.random() < 0.1:  # a link between descriptors
                i = rng.randrange(q.size)
                w.fe.mem.put16(q.desc_at + 16 * i + 14, rng.choice((0, i, 31, 32, 0xFFFF)))
            q.put_avail(head if rng.random() < 0.95 else rng.choice((0, 31, 32, 0x8000, 0xFFFF)))
        wild = rng.random() < 0.05
        base = q.last_used
        q.set_avail_idx(rng.randrange(0x10000) if wild else None)
        q.kick()
        if wild:
            w.fs.alive(2)
        else:
            wait_settled(w, q, (q.avail_idx - base) & 0xFFFF)
        if turn % 10 == 0:
            w.fs.alive(2)
        w.restart(1, rng.choice((0, 65530, rng.randrange(0x10000))))
        while q.broken():
            os.eventfd_read(q.err_fd)
    w.fs.init()  # a spoilt request may have been an INIT or DESTROY
    w.check((1, 2))


# FUSE

TAME = [op for op in OPS if op != "FALLOCATE"]  # a wild length would fill the disk


@seeded
def requests(rng):
    """Valid requests with spoilt headers, arguments and room, on two queues at once."""
    w = World(requests=3)
    c = Context(w)
    for turn in range(int(80 * ROUNDS)):
        tokens = []
        for _ in range(20):
            op = rng.choice(TAME)
            try:
                node, args, out = OPS[op](c)
            except Failure:  # a spoilt FORGET or RENAME has taken what this one opens first
                continue
            if rng.random() < 0.1:
                op, args = rng.choice([(k, f(c)) for k, f in UNSUPPORTED.items()])
            number = OPCODES[op]
            if rng.random() < 0.7:
                args = mutate(rng, args)
            readable, unique = w.fs.frame(number, node, args)
            if rng.random() < 0.3:  # the header, but not an opcode that could fill the disk
                readable = mutate(rng, readable[:40])[:40].ljust(40, b"\0") + readable[40:]
                if struct.unpack_from("<I", readable, 4)[0] == OPCODES["FALLOCATE"]:
                    continue
                if rng.random() < 0.8:
                    readable = struct.pack("<I", len(readable)) + readable[4:]
            room = rng.choice((16 + out, 16 + out, 16 + out, 0, 8, 16, 17, 16 + out // 2, 9000))
            sizes = rng.choice(((40, 1 << 30), (1 << 30,), (1 << 30,), (7, 50, 1 << 30)))
            pieces, places = w.fs.pieces(readable, room, sizes, sizes)
            q = w.fe.queues[rng.choice((1, 2))]
            tokens.append((q, q.submit(q.indirect(pieces)), places, None))
        for t in tokens:
            w.fs.finish(t)
        if turn % 8 == 0:
            w.daemon.alive()
            w.fs.good("INIT", 0, init_in(), 80, queue=3)
            restore(c.root)
            w.fs.alive(3)
            c = refill(w, c)
    w.fs.init()
    restore(c.root)
    w.check((1, 2, 3))


def restore(root):
    """What the cases know of the share: honest requests may have changed it."""
    with open(os.path.join(root, "fixed"), "wb") as f:
        f.write(b"hello, world\n")
    os.replace(os.path.join(root, "fixed"), os.path.join(root, "file"))
    for text, make in (("dir", os.mkdir), ("link", lambda p: os.symlink("file", p))):
        if not os.path.lexists(os.path.join(root, text)):
            make(os.path.join(root, text))


def refill(w, old):
    """A new context after INIT; names go on where the old one was."""
    try:
        os.unlink(os.path.join(old.root, "work"))
    except FileNotFoundError:
        pass
    c = Context(w)
    c.count = old.count
    return c


for number in seeds():
    add(f"random messages, seed {number}", messages, number)
    add(f"random rings, seed {number}", rings, number)
    add(f"random requests, seed {number}", requests, number)
main()
