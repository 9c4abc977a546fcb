#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Writes the seeds in corpus/: well-formed inputs for each fuzzer to start from.

Run it again after an input format changed; inputs that once found a bug stay beside the seeds.
"""
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


def write(target, name, data):
    directory = os.path.join(HERE, "corpus", target)
    os.makedirs(directory, exist_ok=True)
    with open(os.path.join(directory, "seed-" + name), "wb") as f:
        f.write(data)


# ---- fuzz_virtq ------------------------------------------------------------------------------

NEXT, WRITE, INDIRECT = 1, 2, 4


def desc(addr, length, flags=0, following=0):
    return struct.pack("<QIHH", addr, length, flags, following)


def ring_offsets(size):
    avail = size * 16
    used = (avail + 4 + 2 * (size + 1) + 3) // 4 * 4
    return avail, used, used + 4 + size * 8 + 2


def ring(log_size, descs, heads, start=0, flags=0, idx=None, more=b"", commands=b""):
    """An input: descs in the table, heads available, more bytes behind the rings."""
    size = 2 << log_size
    avail, _, end = ring_offsets(size)
    image = bytearray(end)
    image[:16 * len(descs)] = b"".join(descs)
    struct.pack_into("<HH", image, avail, 0, (start + len(heads)) % 65536 if idx is None else idx)
    for i, head in enumerate(heads):
        struct.pack_into("<H", image, avail + 4 + 2 * ((start + i) % size), head)
    image += more
    return struct.pack("<BBHHH", log_size, flags, start, start, len(image)) + image + commands


AVAIL, USED = 1 << 7, 1 << 15
PACKED, ODD_SIZE = 8, 16


def slot(addr, length, ident=0, flags=AVAIL):
    return struct.pack("<QIHH", addr, length, ident, flags)


def packed(log_size, slots, at=0x8000, flags=0, more=b"", commands=b"", event=(0, 0)):
    """An input: slots from the first one on, the driver's event area, more bytes behind."""
    size = (2 << log_size) - (1 if flags & ODD_SIZE else 0)
    image = b"".join(slots).ljust(16 * size, b"\0") + struct.pack("<HHHH", *event, 0, 0) + more
    return struct.pack("<BBHHH", log_size, flags | PACKED, at, at, len(image)) + image + commands


def packed_seeds():
    data, table_at = 0x4000, 16 * 8 + 8
    pair = [slot(data, 40, 0xFFFF, AVAIL | NEXT), slot(data + 64, 100, 0, AVAIL | WRITE)]
    second = [slot(data, 40, 0xFFFF, AVAIL | NEXT), slot(data + 64, 100, 1, AVAIL | WRITE)]
    table = slot(data, 40, 0, 0) + slot(data + 64, 100, 0, WRITE)
    write("fuzz_virtq", "packed-pair", packed(2, pair, commands=b"\x28"))
    write("fuzz_virtq", "packed-out-of-order",
          packed(2, pair + second + [slot(data, 40, i + 2) for i in range(4)],
                 commands=b"\x28\x29\x28\x27\x28\x28"))
    write("fuzz_virtq", "packed-indirect",
          packed(2, [slot(table_at, 32, 3, AVAIL | INDIRECT)], more=table, commands=b"\x28"))
    write("fuzz_virtq", "packed-indirect-in-indirect",
          packed(2, [slot(table_at, 16, 3, AVAIL | INDIRECT)], more=slot(table_at, 16, 0, INDIRECT)))
    write("fuzz_virtq", "packed-event-index",
          packed(2, pair + second, flags=1, event=(0x8002, 2), commands=b"\x28\x28"))
    # From the last slot of an odd size over the end, where the wrap counter turns.
    write("fuzz_virtq", "packed-wrap",
          packed(1, [slot(data, 9, 1, AVAIL | WRITE), slot(0, 0), slot(data, 40, 0, USED | NEXT)],
                 at=2, flags=ODD_SIZE | 1, commands=b"\x28"))
    write("fuzz_virtq", "packed-loop", packed(2, [slot(data, 1, 0, AVAIL | NEXT)] * 8))
    write("fuzz_virtq", "packed-writes-into-ring",
          packed(2, [slot(data, 200, 0, AVAIL | NEXT), slot(0, 200, 0, AVAIL | WRITE)],
                 commands=b"\xc8" * 3))
    write("fuzz_virtq", "packed-memory-goes",
          packed(2, pair + second, commands=b"\xff\xf1\xf8"))


def virtq_seeds():
    data = 0x4000
    pair = [desc(data, 40, NEXT, 1), desc(data + 64, 100, WRITE)]
    table_at = ring_offsets(8)[2]
    table = desc(data, 40, NEXT, 1) + desc(data + 64, 100, WRITE)
    write("fuzz_virtq", "pair", ring(2, pair, [0], commands=b"\x28"))
    write("fuzz_virtq", "event-index-wrap",
          ring(2, pair, [0, 0, 0, 0], start=65534, flags=1, commands=b"\x28\x10\x00\xff"))
    write("fuzz_virtq", "indirect",
          ring(2, [desc(table_at, 32, INDIRECT)], [0], more=table, commands=b"\x28"))
    write("fuzz_virtq", "direct-and-indirect",
          ring(2, [desc(data, 8, NEXT, 1), desc(table_at, 32, INDIRECT)], [0], more=table))
    write("fuzz_virtq", "indirect-in-indirect",
          ring(2, [desc(table_at, 16, INDIRECT)], [0], more=desc(table_at, 16, INDIRECT)))
    write("fuzz_virtq", "loop", ring(2, [desc(data, 1, NEXT, 0)], [0]))
    write("fuzz_virtq", "over-regions",
          ring(2, [desc(0xff00, 0x1100, NEXT, 1), desc(0x12000, 0x1000, WRITE)], [0, 0, 0],
               commands=b"\xff\xf1\xf2"))
    write("fuzz_virtq", "writes-into-rings",
          ring(2, [desc(data, 200, NEXT, 1), desc(0, 200, WRITE)], [0, 0, 0], commands=b"\xc8" * 3))
    write("fuzz_virtq", "jump", ring(2, pair, [0], idx=9))
    write("fuzz_virtq", "many", ring(8, pair, [0] * 512, commands=b"\x10" * 512))


# ---- fuzz_vhost ------------------------------------------------------------------------------

MEMORY, KICKED, SIGNAL, EMPTY, NULL, READ_END, WRITE_END, SOCKET = range(8)
REPLY, PAUSE, FINISH = 0x40, 0x20, 0x10
TRACE, DEFERS = 1, 2


def message(request, body=b"", fds=(), flags=0):
    return struct.pack("<BBH", request, flags | len(fds), len(body)) + bytes(fds) + body


def u64(value):
    return struct.pack("<Q", value)


def state(index, num):
    return struct.pack("<II", index, num)


FEATURES = message(2, u64(1 << 32 | 1 << 30 | 1 << 28))
EVENT_FEATURES = message(2, u64(1 << 32 | 1 << 30 | 1 << 28 | 1 << 29))
PACKED_FEATURES = message(2, u64(1 << 32 | 1 << 30 | 1 << 28 | 1 << 29 | 1 << 34))
PROTOCOL = message(16, u64(1 << 0 | 1 << 3 | 1 << 5 | 1 << 9 | 1 << 13 | 1 << 15 | 1 << 16))
RESET, ZERO_STATUS = message(34), message(39, u64(0))
TABLE = message(5, struct.pack("<IIQQQQ", 1, 0, 0, 0x8000, 0, 0), [MEMORY])
ADD = message(37, struct.pack("<QQQQQ", 0, 0, 0x8000, 0, 0), [MEMORY], REPLY)
REMOVE = message(38, struct.pack("<QQQQQ", 0, 0, 0x8000, 0, 0), [], REPLY)


def set_ring(index, size, kick, base=0, areas=None):
    avail, used = areas or ring_offsets(size)[:2]
    return b"".join([
        message(8, state(index, size)),
        message(10, state(index, base)),
        message(9, struct.pack("<IIQQQQ", index, 0, 0, used, avail, 0)),
        message(12, u64(index), [kick]),
        message(13, u64(index), [SIGNAL]),
        message(14, u64(index), [SIGNAL]),
        message(18, state(index, 1)),
    ])


def guest(descs, heads, size=8):
    avail, _, end = ring_offsets(size)
    image = bytearray(end)
    image[:16 * len(descs)] = b"".join(descs)
    struct.pack_into("<HH", image, avail, 0, len(heads))
    for i, head in enumerate(heads):
        struct.pack_into("<H", image, avail + 4 + 2 * i, head)
    return bytes(image)


def connection(messages, image=b"", trace=False, flags=0):
    flags |= TRACE if trace else 0
    return struct.pack("<BH", flags, len(image)) + image + b"".join(messages)


def later(message_bytes, flags=PAUSE):
    """The same message, sent when the rings have run, or deferred chains were finished."""
    return message_bytes[:1] + bytes([message_bytes[1] | flags]) + message_bytes[2:]


def vhost_seeds():
    image = guest([desc(0x4000, 40, NEXT, 1), desc(0x4100, 100, WRITE)], [0, 0, 0])
    loop = guest([desc(0x4000, 1, NEXT, 0)], [0])
    ask = [message(n) for n in (1, 15, 17, 36)]
    config = message(24, struct.pack("<III", 0, 40, 0) + bytes(40))
    write("fuzz_vhost", "negotiate", connection(
        [message(3), *ask[:2], FEATURES, PROTOCOL, *ask[2:], config, message(3, flags=REPLY),
         message(21, b"", [SOCKET]), message(4)], trace=True))
    write("fuzz_vhost", "requests", connection(
        [FEATURES, PROTOCOL, TABLE, set_ring(1, 8, KICKED), message(11, state(1, 0))], image))
    write("fuzz_vhost", "event-index", connection(
        [EVENT_FEATURES, PROTOCOL, TABLE, set_ring(0, 8, KICKED)], image, trace=True))
    write("fuzz_vhost", "regions", connection(
        [FEATURES, PROTOCOL, ADD, ADD, set_ring(2, 8, KICKED), REMOVE, ADD, REMOVE], image))
    write("fuzz_vhost", "poll", connection(
        [FEATURES, PROTOCOL, TABLE, set_ring(1, 8, KICKED), message(12, u64(1 | 1 << 8)),
         message(18, state(1, 0)), message(18, state(1, 1))], image))
    write("fuzz_vhost", "broken-ring", connection(
        [FEATURES, PROTOCOL, TABLE, set_ring(1, 8, KICKED), message(10, state(1, 0)),
         message(18, state(1, 1))], loop))
    write("fuzz_vhost", "odd-kicks", connection(
        [FEATURES, PROTOCOL, TABLE] +
        [set_ring(i, 8, kind) for i, kind in enumerate((MEMORY, NULL, READ_END, WRITE_END,
                                                         SOCKET, EMPTY))], image))
    write("fuzz_vhost", "no-worker", connection(
        [FEATURES, PROTOCOL, TABLE, set_ring(7, 8, KICKED), set_ring(64, 8, KICKED)], image))
    write("fuzz_vhost", "memory-goes", connection(
        [FEATURES, PROTOCOL, TABLE, set_ring(1, 8, KICKED), message(5, struct.pack("<II", 0, 0)),
         message(12, u64(1), [KICKED]), TABLE], image))
    write("fuzz_vhost", "packed", connection(
        [PACKED_FEATURES, PROTOCOL, TABLE,
         set_ring(1, 8, KICKED, 0x80008000, (16 * 8, 16 * 8 + 4)), message(11, state(1, 0)),
         FEATURES, set_ring(1, 8, KICKED)],
        slot(0x4000, 40, 0, AVAIL | NEXT) + slot(0x4100, 100, 0, AVAIL | WRITE), trace=True))
    write("fuzz_vhost", "resets", connection(
        [FEATURES, PROTOCOL, TABLE, message(39, u64(11)), set_ring(1, 8, KICKED),
         message(39, u64(15)), message(40), ZERO_STATUS, message(11, state(1, 0)),
         set_ring(1, 8, KICKED), RESET, FEATURES, set_ring(1, 8, KICKED), RESET, RESET], image,
        trace=True))
    stop = message(11, state(1, 0))
    write("fuzz_vhost", "served", connection(
        [FEATURES, PROTOCOL, TABLE, set_ring(1, 8, KICKED), later(stop), set_ring(1, 8, KICKED),
         later(message(5, struct.pack("<II", 0, 0)))], image))
    for name, how in (("finished", PAUSE | FINISH), ("stopped", PAUSE)):
        write("fuzz_vhost", "deferred-" + name, connection(
            [EVENT_FEATURES, PROTOCOL, TABLE, set_ring(1, 8, KICKED), set_ring(0, 8, KICKED),
             later(ask[0], how), later(stop), set_ring(1, 8, KICKED), later(RESET, how)], image,
            flags=DEFERS))
    write("fuzz_vhost", "deferred-memory-goes", connection(
        [FEATURES, PROTOCOL, ADD, set_ring(1, 8, KICKED), later(REMOVE), later(ask[0], FINISH),
         later(stop)], image, flags=DEFERS))
    write("fuzz_vhost", "raw-header", connection(
        [struct.pack("<BBH", 0, 0x80, 8) + struct.pack("<III", 1, 9, 8) + u64(0)]))


# ---- fuzz_fuse -------------------------------------------------------------------------------

KNOWN_FH, KNOWN_NODE, WRONG_LEN, NO_INIT, PIECES = 2, 4, 8, 16, 0xe0
ROOT = 250


def request(opcode, args=b"", node=ROOT, handle=0, flags=0, room=4096):
    return struct.pack("<BBBBHH", opcode, flags, node, handle, len(args), room) + args


def fh(args_len):
    """Arguments that begin with a handle, which is filled in."""
    return bytes(args_len)


def read_in(size, offset=0):
    return struct.pack("<QQIIQII", 0, offset, size, 0, 0, 0, 0)


def write_in(data, flags=1):
    return struct.pack("<QQIIQII", 0, 0, len(data), 0, 0, flags, 0) + data


def lookup(name, node=ROOT):
    return request(1, name + b"\0", node)


POSIX_LOCK, FLOCK, POOL, LATER, STOPPED = 1, 2, 4, 8, 16
DAX, DAX_FAILS, DAX_ALWAYS = 32, 64, 128


def lock(opcode, kind, owner, start=0, end=99, flags=0):
    return request(opcode, struct.pack("<QQQQIIII", 0, owner, start, end, kind, 0, flags, 0), 1,
                   flags=KNOWN_FH)


def lock_seeds(opened):
    """Requests are numbered 2, 4, ...: the first ones open the file."""
    read, write_, drop, GETLK, SETLK, SETLKW = 0, 1, 2, 31, 32, 33
    release = request(18, struct.pack("<QIIQ", 0, 0, 1, 1), 1, flags=KNOWN_FH)
    waits = [lock(SETLK, write_, 1), lock(SETLK, read, 2), lock(GETLK, read, 2),
             lock(SETLKW, write_, 2), lock(SETLKW, read, 3, 50, 150)]
    for name, more, requests in (
            ("locks", 0, [*waits, lock(SETLK, drop, 1), lock(SETLK, drop, 2)]),
            ("locks-interrupted", 0, [*waits, request(36, u64(12)), request(36, u64(14))]),
            ("locks-stopped", STOPPED, [*waits, lock(SETLK, drop, 1, 0, 10)]),
            ("locks-released", 0, [*waits, request(25, struct.pack("<QIIQ", 0, 0, 0, 1), 1,
                                                   flags=KNOWN_FH), release]),
            ("locks-destroyed", 0, [*waits, request(38), lookup(b"a")]),
            ("locks-deadlock", 0, [
                lock(SETLK, write_, 1, 0, 9), lock(SETLK, write_, 2, 10, 19),
                lock(SETLKW, write_, 1, 10, 19), lock(SETLKW, write_, 2, 0, 9)]),
            ("flock", 0, [opened[1], lock(SETLK, write_, 0, 0, 2**63 - 1, 1),
                          lock(SETLKW, read, 0, 0, 2**63 - 1, 1), release])):
        write("fuzz_fuse", name, bytes([16, POSIX_LOCK | FLOCK | LATER | more]) +
              b"".join(opened + requests))


def pool_seeds(opened):
    sleeps = [request(20, fh(16), 1, flags=KNOWN_FH), request(50, bytes(8), 1),
              request(43, struct.pack("<QQQII", 0, 0, 100, 0, 0), 1, flags=KNOWN_FH),
              request(47, struct.pack("<QQQQQQQ", 0, 0, 1, 0, 5, 10, 0), 1, flags=KNOWN_FH),
              request(30, fh(16), flags=KNOWN_FH)]
    for name, more in (("pool", LATER), ("pool-stopped", LATER | STOPPED)):
        write("fuzz_fuse", name, bytes([16, POOL | more]) + b"".join(opened + sleeps * 3))
    write("fuzz_fuse", "pool-destroyed", bytes([16, POOL | LATER]) +
          b"".join(opened + sleeps + [request(38)] + opened + sleeps))


def setup_mapping(offset, length, at, flags=3):
    return request(48, struct.pack("<QQQQQ", (1 << 64) - 1, offset, length, flags, at), 1)


def dax_seeds(opened):
    size = lambda n: request(4, struct.pack("<IIQQQQQQIIIIIIII", 8, 0, 0, n, *[0] * 12), 1)
    maps = [size(200000), setup_mapping(0, 2 << 20, 0), setup_mapping(4096, 8192, 4 << 20),
            setup_mapping(0, 2 << 20, 0), request(16, write_in(b"x" * 100), 1, flags=KNOWN_FH),
            request(15, read_in(100), 1, flags=KNOWN_FH), size(5000), request(3, bytes(16), 1),
            request(43, struct.pack("<QQQII", 0, 0, 300000, 0, 0), 1, flags=KNOWN_FH),
            request(25, fh(24), 1, flags=KNOWN_FH), request(20, fh(16), 1, flags=KNOWN_FH),
            request(18, fh(24), 1, flags=KNOWN_FH)] + opened + [
            setup_mapping(0, 1 << 20, 3 << 20), request(14, struct.pack("<II", 0o1002, 0), 1),
            setup_mapping(100, 1, 1), setup_mapping(0, 16 << 20, 0),
            request(49, struct.pack("<IQQQQ", 2, 0, 2 << 20, 4 << 20, 4096), 1),
            request(49, struct.pack("<IQQ", 2, 0, 4096), 1), request(38)] + opened
    for name, more in (("dax", 0), ("dax-refused", DAX_FAILS), ("dax-always", DAX_ALWAYS)):
        write("fuzz_fuse", name, bytes([16, DAX | POOL | LATER | more]) + b"".join(opened + maps))


def table_seeds(tree):
    """A guest that agrees to the version table, at once or late, and what it does then."""
    def hello(wire, flags):
        return request(63, struct.pack("<II", wire, flags) + bytes(16), flags=KNOWN_NODE)

    for name in ("file", "list", "attributes", "names"):
        write("fuzz_fuse", "table-" + name, bytes([128 | 16, POOL | LATER]) + b"".join(
            [hello(1, 0), hello(1, 1), *tree[name]]))
    write("fuzz_fuse", "table-dax", bytes([128 | 16, DAX | POOL | LATER]) + b"".join(
        [hello(1, 1), *tree["file"], *tree["attributes"]]))
    write("fuzz_fuse", "table-null", bytes([128 | 64 | 16, 0]) + b"".join(
        [hello(1, 1), lookup(b"file"), *tree["file"][1:], *tree["list"][1:]]))
    write("fuzz_fuse", "table-odd", bytes([128 | 16, 0]) + b"".join(
        [hello(0, 1), hello(9, 0), hello(1, 2), request(63), *tree["list"][:3], hello(1, 1),
         request(44, read_in(100), flags=KNOWN_FH), request(3, bytes(16), 1, room=40),
         request(10, b"a\0", room=20), request(38), request(3, bytes(16), 1)]))
    write("fuzz_fuse", "table-writeback", bytes([128 | 16 | 4 | 1, 0]) + b"".join(
        [hello(1, 1), *tree["file"]]))


def pin_seeds(opened, tree):
    """A guest that asks for pins, and uses them: also without having opened, of what it has forgotten,
    of a directory, for what they are not, and with operations that do not take them."""
    def hello(wire, extensions):
        return request(63, struct.pack("<II", wire, extensions), handle=1)

    def by_node(opcode, args, node=1):
        return request(opcode, args, node, handle=0x7f, flags=KNOWN_FH)

    uses = [by_node(16, write_in(b"hello")), by_node(16, write_in(b"x", 0o2001)),
            by_node(15, read_in(100)), by_node(20, fh(16)), by_node(46, fh(24)),
            by_node(43, struct.pack("<QQQII", 0, 0, 100, 0, 0)),
            by_node(47, struct.pack("<QQQQQQQ", 0, 0, 0, 2**64 - 2, 5, 10, 0))]
    closed = request(18, fh(24), 1, flags=KNOWN_FH)
    executable = request(4, struct.pack("<IIQQQQQQIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                        0o755, 0, 0, 0, 0), 1)
    others = [by_node(18, fh(24)), by_node(25, fh(24)), by_node(31, fh(48)), by_node(39, fh(32)),
              by_node(15, read_in(100), 0), by_node(28, read_in(100), 0)]
    for name, requests in (("used", [*opened, closed, *uses]),
                           ("executable", [*opened, closed, executable, *uses]),
                           ("forgotten", [*opened, *uses, request(2, u64(1), 1), *uses, closed]),
                           ("read", [opened[0], request(14, bytes(8), 1), closed, *uses]),
                           ("odd", [*uses, *others, *opened, *others, hello(9, 0), *uses]),
                           ("again", [*opened, closed, tree["init-again"][1], *uses, hello(1, 1),
                                      *opened, *uses, request(38), *uses])):
        write("fuzz_fuse", "pins-" + name, bytes([16, 0]) + hello(1, 1) + b"".join(requests))
    write("fuzz_fuse", "pins-readonly", bytes([8 | 16, 0]) + hello(1, 1) + b"".join(opened + uses))
    write("fuzz_fuse", "pins-writeback", bytes([16 | 4 | 1, 0]) + hello(1, 1) +
          request(14, struct.pack("<II", 1, 0), 1) + b"".join(opened + uses))
    write("fuzz_fuse", "pins-dax", bytes([16, DAX | DAX_ALWAYS]) + hello(1, 1) + b"".join(opened + uses))


def sleep_seeds(opened, tree):
    """A guest whose device is reset after it has said that it sleeps, and when it has not; also one that
    has not agreed, is another one by then, goes on, and has mapped files."""
    def hello(extensions):
        return request(63, struct.pack("<II", 1, extensions), handle=1)

    def sleep(asleep, reset=True):
        return request(63, struct.pack("<II", asleep, 0), handle=3, flags=KNOWN_NODE * reset)

    uses, init = tree["file"][2:], tree["init-again"][1]
    for name, requests in (("agreed", [hello(3), *opened, sleep(1), sleep(0, False), *uses,
                                       sleep(0), *uses]),
                           ("not", [sleep(1), *opened, *uses, hello(1), *opened, sleep(1), *uses]),
                           ("twice", [hello(2), *opened, sleep(1), sleep(1), *uses, sleep(2),
                                      sleep(0, False), *uses]),
                           ("another", [hello(2), *opened, sleep(1), init, *uses, hello(2), sleep(1),
                                        request(38), *uses, sleep(1), init, *opened, *uses])):
        write("fuzz_fuse", "sleep-" + name, bytes([16, POSIX_LOCK]) + b"".join(requests))
    write("fuzz_fuse", "sleep-dax", bytes([16, DAX | DAX_ALWAYS | POOL | LATER]) + b"".join(
        [hello(2), *tree["file"], sleep(1), sleep(0, False), *uses, sleep(0)]))


def fuse_seeds():
    opened = [lookup(b"a"), request(14, struct.pack("<II", 2, 0), node=1)]
    tree = {
        "file": opened + [
            request(15, read_in(100), 1, flags=KNOWN_FH),
            request(16, write_in(b"hello"), 1, flags=KNOWN_FH),
            request(16, write_in(b"hello", 0o2001), 1, flags=KNOWN_FH | 0x20),
            request(15, read_in(100, 3), 1, flags=KNOWN_FH | 0x60),
            request(43, struct.pack("<QQQII", 0, 0, 100, 0, 0), 1, flags=KNOWN_FH),
            request(46, struct.pack("<QQII", 0, 0, 4, 0), 1, flags=KNOWN_FH),
            request(25, fh(24), 1, flags=KNOWN_FH), request(20, fh(16), 1, flags=KNOWN_FH),
            request(2, u64(1), 1), request(18, fh(24), 1, flags=KNOWN_FH),
            request(15, read_in(100), 1, flags=KNOWN_FH)],
        "copy": opened + [
            request(47, struct.pack("<QQQQQQQ", 0, 0, 0, 0, 5, 10, 0), 1, flags=KNOWN_FH)],
        "list": [
            lookup(b"d"), request(27, struct.pack("<II", 0, 0)),
            request(28, read_in(4096), flags=KNOWN_FH),
            request(28, read_in(64), flags=KNOWN_FH),
            request(44, read_in(4096), flags=KNOWN_FH),
            request(44, read_in(200, 1 << 63), flags=KNOWN_FH), request(44, read_in(200), flags=2),
            request(30, fh(16), flags=KNOWN_FH), request(29, fh(24), flags=KNOWN_FH)],
        "attributes": [
            lookup(b"a"), request(3, bytes(16), 1), request(52, bytes(24), 1),
            request(4, struct.pack("<IIQQQQQQIIIIIIII", 0x1ff & ~64, 0, 0, 10, 0, 1, 2, 3, 4, 5, 6,
                                   0o644, 0, 1000, 1000, 0), 1),
            request(34, struct.pack("<II", 7, 0), 1, handle=0x81), request(17, b"", 1),
            request(50, bytes(8), 1), request(3, bytes(16), 7), request(3, bytes(16), 255)],
        "names": [
            request(9, struct.pack("<II", 0o755, 0) + b"new\0"),
            request(8, struct.pack("<IIII", 0o10644, 0, 0o22, 0) + b"fifo\0"),
            request(6, b"link\0/etc/passwd\0"), lookup(b"link"), request(5, b"", 3),
            request(35, struct.pack("<IIII", 0o102, 0o600, 0, 0) + b"file\0", handle=0x90),
            request(13, u64(0) + b"hard\0", handle=4, flags=KNOWN_NODE),
            request(12, u64(1) + b"file\0other\0"),
            request(45, struct.pack("<QII", 0, 2, 0) + b"a\0d\0", flags=KNOWN_NODE),
            request(45, struct.pack("<QII", 1, 1, 0) + b"other\0x\0"),
            request(10, b"hard\0"), request(11, b"new\0"), request(10, b"d\0")],
        "escapes": [
            lookup(b".."), lookup(b"."), lookup(b"d"), lookup(b"..", 1), lookup(b"l"),
            lookup(b"x", 4), lookup(b"../secret"), lookup(b"/etc"), lookup(b"l/x"),
            request(14, struct.pack("<II", 0, 0), 4), request(27, struct.pack("<II", 0, 0), 4),
            request(12, u64(1) + b"d\0../d\0"), request(6, b"..\0x\0"), lookup(b"p"),
            request(14, struct.pack("<II", 0, 0), 5)],
        "forgets": [
            lookup(b"a"), lookup(b"a"), request(2, u64(1), 1), request(2, u64(99), 1),
            lookup(b"a"), request(42, struct.pack("<IIQQQQ", 2, 0, 0, 1, 77, 1), flags=0),
            request(36, u64(1)), request(38), lookup(b"a")],
        "init-again": [
            lookup(b"a"), request(26, struct.pack("<IIII", 7, 31, 0, 0)), lookup(b"a"),
            request(26, struct.pack("<IIII", 7, 26, 0, 0)),
            request(26, struct.pack("<IIII", 8, 0, 0, 0))],
        "odd": [
            lookup(b"a"), request(3, bytes(16), 1, flags=WRONG_LEN), request(1, b"no end"),
            request(62), request(0), request(3, bytes(16), 1, room=15),
            request(1, b"a\0b\0", flags=0x20)],
    }
    for i, (name, requests) in enumerate(tree.items()):
        write("fuzz_fuse", name, bytes([16 | i % 4, 0]) + b"".join(requests))
    write("fuzz_fuse", "writeback", bytes([16 | 4 | 1, 0]) + b"".join(tree["file"]))
    write("fuzz_fuse", "readonly", bytes([8 | 1, 0]) + b"".join(tree["names"][:4] + tree["file"]))
    write("fuzz_fuse", "trace", bytes([32 | 1, 0]) + b"".join(tree["escapes"][:6]))
    write("fuzz_fuse", "null", bytes([64 | 16 | 2, 0]) + b"".join(
        [lookup(b"file")] + tree["file"][1:] + tree["list"][1:]))
    write("fuzz_fuse", "before-init", bytes([64, 0]) + request(3, bytes(16), flags=NO_INIT) +
          request(26, struct.pack("<IIII", 7, 31, 0, 0)) + lookup(b"file"))
    lock_seeds(opened)
    pool_seeds(opened)
    dax_seeds(opened)
    table_seeds(tree)
    pin_seeds(opened, tree)
    sleep_seeds(opened, tree)


# ---- fuzz_client -----------------------------------------------------------------------------

OPEN, CLOSE, DATA, LIST, ATTR, NAMES, XATTR, SPACE, LOCK, ASYNC, MAP, CHANGE = range(12)
CHANGED, LONGER, IS_ERROR, HEADER, CUT, LOST, INTERRUPTS, CHANGES = (1 << n for n in range(8))
FILE, DIRECTORY, LINK = range(3)  # kinds of node
RDWR, DIRECTORY_ROOT = 1 << 3, 4 << 3 | 2
ENOSYS = 38


def call(which, how=0, handle=0):
    return bytes([which | handle << 4, how])


def reply(kind=FILE, flags=0, change=b""):
    if change:
        return bytes([flags | CHANGED, kind, len(change)]) + change
    return bytes([flags, kind])


# Words of the table: 16 slots, then of the header; other tables. Which byte of them: << 5.
EPOCH, POISON, TIMED, BEAT, ID, SLOTS, MAGIC, ZERO, TABLE_0, TABLE_1, TABLE_64, TABLE_OPEN = \
    range(16, 28)
SHARED = 0x30


def table(where, by=1, byte=0):
    """The table changes, between calls."""
    return call(CHANGE, where | byte << 5) + bytes([by])


def changing(where, by=1, byte=0, kind=FILE):
    """A reply before which it does, after its words were looked at."""
    return bytes([CHANGES, kind, where | byte << 5, by])


def shared_seeds(listed):
    """cache=shared: INIT, and VT_HELLO twice. A first walk asks ACCESS before each LOOKUP."""
    ok = reply()
    begin = bytes([14 | SHARED]) + ok * 3
    opened = call(OPEN, RDWR) + ok * 3
    stat = call(ATTR, 0)
    read, write_two, write_more = call(DATA, 16), call(DATA, 1 << 5 | 3), call(DATA, 5 << 5 | 3)
    get, setx = call(XATTR, 0x80), call(XATTR, 2 << 3)
    readlink, end = call(NAMES, 6 << 3), reply(0, IS_ERROR)
    file_attr, file_data = 4 * 2, 4 * 2 + 1  # of node 2 (words.c)
    rows = {
        "kept": [opened, stat, table(file_attr, 1, 2), stat, ok, table(file_attr, 1), stat, ok,
                 stat, ok, table(EPOCH), stat, ok * 2, stat],
        "beat": [opened, table(BEAT, 3), stat, table(BEAT, 3), table(TIMED), stat, table(TIMED),
                 stat],
        "own": [opened, read, ok, write_two, ok, read, ok, write_more, changing(file_data, 1, 2),
                read, ok, call(ATTR, 2 << 3), ok, stat, call(ATTR, 4 << 3), ok, read, ok],
        "next": [opened, read, ok, table(POISON), table(TABLE_1), stat, ok * 4, stat, read, ok,
                 table(POISON), table(TABLE_64), stat, ok * 4, read, ok, read],
        "next-bad": [opened, table(POISON), table(TABLE_1), table(MAGIC), stat, ok * 3,
                     table(TABLE_64), table(SLOTS, 0x7f), stat, ok * 3, table(TABLE_OPEN), stat,
                     ok * 3, table(TABLE_0), table(ID, 9), stat, ok * 3],
        "words": [opened, table(file_attr, 1, 2), stat, reply(change=b"\x01"), stat,
                  reply(change=bytes(16 + 8) + b"\xff" * 4), stat,
                  reply(change=bytes(16 + 12) + b"\x03"), stat, reply(change=bytes(16) + b"\x01"),
                  stat, ok],
        "moves": [opened, read, ok, write_two, reply(change=bytes(16 + 24 + 16) + b"\xff" * 4),
                  read, ok, write_two, reply(change=bytes(16 + 24 + 8) + b"\x01"), read, ok,
                  write_two, reply(change=bytes(16 + 20) + b"\x01"), read, ok],
        "short": [opened, table(file_attr, 1, 2), stat, reply(80, CUT), stat, reply(120, CUT), stat,
                  reply(0, LONGER, bytes(40))],
        "names": [call(NAMES, 0), ok, stat, ok, call(NAMES, 2 << 3), ok, call(NAMES, 3 << 3), ok,
                  stat, ok, call(NAMES, 4 << 3), ok, call(NAMES, 1 << 3), ok * 2,
                  stat, ok],
        "missing": [call(ATTR, 1), reply(2, IS_ERROR), reply(2, IS_ERROR), stat, ok * 2,
                    call(NAMES, 1 << 3), ok, stat, reply(2, IS_ERROR), stat],
        "denied": [opened, table(4, 1, 2), stat, reply(13, IS_ERROR), ok * 2, stat, table(4, 2, 2),
                   stat, reply(13, IS_ERROR), ok, reply(13, IS_ERROR), table(4, 4, 2), stat,
                   reply(38, IS_ERROR), ok, stat, ok],
        "symlinks": [readlink, ok, reply(LINK), ok, readlink, table(file_data, 1, 2), readlink,
                     ok],
        "xattrs": [opened, get, ok, get, setx, ok, get, ok, table(file_attr, 1, 2), get,
                   reply(61, IS_ERROR), get, call(XATTR, 1 << 3 | 0x80), ok,
                   call(XATTR, 1 << 3 | 0x80)],
        "list": [listed, call(LIST, 1), ok, *[call(LIST, 1)] * 3, end, call(CLOSE), ok, listed,
                 *[call(LIST, 1)] * 4, call(CLOSE), ok, table(4 + 2, 1, 2), listed,
                 call(LIST, 1), ok, *[call(LIST, 1)] * 3, changing(4 + 2, 1, 2), call(LIST, 1)],
        "plus": [listed, call(LIST), ok * 3, *[call(LIST)] * 3, end, call(CLOSE), ok,
                 table(4 + 2, 1, 2), listed, call(LIST), reply(change=bytes(64 + 160) + b"\xff" * 31), ok * 2,
                 *[call(LIST)] * 2, stat, ok],
        "changes": [opened, read, changing(file_data, 1, 2), read, changing(POISON), stat,
                    changing(EPOCH), stat, changing(TABLE_1), stat, ok * 3],
        "async": [opened, read, ok, call(ASYNC, 1 << 5 | 3), ok, call(ASYNC, 5 << 5), read, ok,
                  call(ASYNC, 3), changing(file_data), call(ASYNC, 5 << 5)],
        "space": [opened, read, ok, *(call(SPACE, way) + ok for way in range(4)), read, ok],
        "lost": [opened, stat, table(file_attr, 1, 2), stat, reply(0, LOST), stat],
    }
    for name, parts in rows.items():
        write("fuzz_client", f"shared-{name}", begin + b"".join(parts))
    write("fuzz_client", "shared-window", bytes([14 | SHARED | 0x80]) + ok * 3 + opened + b"".join(
        [call(MAP, 16), ok * 2, read, ok, write_two, ok, read, table(file_data, 1, 2), read]))
    for name, hello in (("no", reply(ENOSYS, IS_ERROR)), ("wire", reply(change=b"\x03")),
                        ("layout", reply(change=bytes(4) + b"\x02")),
                        ("other", reply(change=bytes(8) + b"\xff")),
                        ("slots", reply(change=bytes(24) + b"\xff"))):
        write("fuzz_client", f"shared-hello-{name}", bytes([14 | SHARED]) + ok + hello + stat)
    write("fuzz_client", "shared-hello-moves", bytes([14 | SHARED]) + ok + changing(TABLE_1) +
          ok * 2 + stat + ok)


def client_seeds():
    init, ok = reply(), reply()
    opened = call(OPEN, RDWR) + reply() + ok
    listed = call(OPEN, DIRECTORY_ROOT) + ok
    rows = {
        "data": [opened, *(call(DATA, way << 5 | 16) + reply() * 3 for way in range(8))],
        "map": [opened, *[call(MAP, how) + reply() * 3 for how in (16, 17, 58, 95, 16, 30)],
                *(call(DATA, way << 5 | 16) + reply() * 3 for way in range(8))],
        "write-more": [opened, call(DATA, 1 << 5 | 3), reply(change=b"\xff")],
        "list": [listed, call(LIST), ok, *[call(LIST), call(LIST, 1)] * 3, ok * 2,
                 call(LIST, 0x80), ok],
        "list-long-name": [listed, call(LIST, 1), reply(change=bytes(16) + b"\x7f")],
        "list-plus-cut": [listed, call(LIST), ok, call(LIST), reply(9, CUT)],
        "attributes": [opened, *(call(ATTR, way << 3) + reply() * 2 for way in range(8))],
        "other-type": [opened, call(ATTR, 1 << 3), reply(), reply(DIRECTORY)],
        "names": [*(call(NAMES, way << 3) + reply() * 3 for way in range(7))],
        "symlinks": [call(ATTR, 1), reply(LINK) + ok, reply(LINK) + ok, reply(FILE)],
        "xattr": [*(call(XATTR, way << 3 | 0x80) + reply() * 2 for way in range(4))],
        "xattr-open-list": [call(XATTR, 1 << 3 | 0x80), ok, reply(0, LONGER, b"no end")],
        "space": [opened, *(call(SPACE, way) + ok for way in range(4))],
        "old-requests": [opened, call(SPACE, 1), reply(ENOSYS, IS_ERROR), ok,
                         call(ATTR, 1 << 3), reply(), reply(ENOSYS, IS_ERROR), ok],
        "locks": [opened, *(call(LOCK, way << 6 | 1) + ok for way in range(4)), call(CLOSE)],
        "interrupted": [opened, call(LOCK, 2 << 6 | 1), reply(4, IS_ERROR | INTERRUPTS),
                        call(LOCK, 2 << 6 | 1)],
        "header": [call(ATTR), reply(0, HEADER, b"\x01"), call(ATTR), reply(0, HEADER, bytes(9) + b"1"),
                   call(ATTR), reply(200, CUT)],
        "async": [opened, *(call(ASYNC, way << 5 | 12) + ok for way in range(5)),
                  call(ASYNC, 5 << 5), call(ASYNC, 7 << 5 | 10), ok],
        "async-lost": [opened, call(ASYNC, 12), ok, call(ASYNC, 3 << 5), reply(0, LOST),
                       call(ASYNC, 4 << 5), call(CLOSE)],
        "lost": [opened, call(DATA), reply(0, LOST), call(DATA), call(CLOSE)],
    }
    for name, parts in rows.items():
        write("fuzz_client", name, bytes([14]) + init + b"".join(parts))
    for name in ("data", "list", "names", "map"):
        for way, how in (("kept", 0x10), ("none", 0x20), ("behind", 0x40), ("window", 0x80)):
            write("fuzz_client", f"{name}-{way}", bytes([14 | how]) + init + b"".join(rows[name]))
    shared_seeds(listed)
    write("fuzz_client", "oldest", bytes([0]) + init + b"".join(rows["xattr"]))
    write("fuzz_client", "bad-init", bytes([14]) + reply(0, 0, b"\x0f"))


virtq_seeds()
packed_seeds()
vhost_seeds()
fuse_seeds()
client_seeds()
