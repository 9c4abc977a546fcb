# SPDX-License-Identifier: BSD-2-Clause
"""Every vhost-user message: right use, wrong queues and values, unknown numbers, any stage."""

import os
import signal
import struct

import vu
from daemon import Daemon
from harness import add, among, case, check, equal, main, until
from messages import BAD, HANDLED, INDEXED, eventfd, example
from vu import NAMES, NEED_REPLY, NOFD, VERSION, Closed, u64, vring_state
from world import Site, World


# right use


@case("right use: the replies of every GET message")
def replies():
    w = World()
    fe = w.fe
    offered = vu.F_ALL | vu.F_PACKED
    equal(fe.ask64(vu.GET_FEATURES) & offered, offered, "features offered")
    check(fe.ask64(vu.GET_FEATURES) & ((1 << 24) - 1) == 0, "no device bits are offered")
    equal(fe.ask64(vu.GET_PROTOCOL_FEATURES) & vu.P_ALL, vu.P_ALL, "protocol features offered")
    check(fe.ask64(vu.GET_PROTOCOL_FEATURES) & (1 << 21) == 0, "GPA_ADDRESSES is not offered")
    equal(fe.ask64(vu.GET_QUEUE_NUM), vu.MAX_QUEUES, "GET_QUEUE_NUM")
    check(fe.ask64(vu.GET_MAX_MEM_SLOTS) >= 32, "GET_MAX_MEM_SLOTS of at least 32")
    equal(struct.unpack("<II", fe.ask(vu.GET_VRING_BASE, vring_state(5, 0))), (5, 0),
          "GET_VRING_BASE of a queue that never ran")
    w.check()


@case("right use: GET_CONFIG, whole and in parts")
def config():
    w = World(daemon=Daemon(tag="my-tag"))
    fe = w.fe
    whole = fe.ask(vu.GET_CONFIG, vu.config_request())
    equal(whole[:12], struct.pack("<III", 0, 40, 0), "head of GET_CONFIG's reply")
    equal(whole[12:48], b"my-tag".ljust(36, b"\0"), "tag")
    queues = struct.unpack("<I", whole[48:52])[0]
    check(1 <= queues <= 64, "num_request_queues", queues)
    for offset, size in ((0, 36), (36, 4), (0, 1), (39, 1), (5, 20)):
        part = fe.ask(vu.GET_CONFIG, vu.config_request(offset, size))
        equal(part, struct.pack("<III", offset, size, 0) + whole[12 + offset:12 + offset + size],
              f"GET_CONFIG {offset}+{size}")
    w.check()


@case("right use: without a tag there is no configuration space")
def no_config():
    d = Daemon(tag=None)
    w = World(daemon=d)
    equal(w.fe.ask64(vu.GET_PROTOCOL_FEATURES) & vu.P_CONFIG, 0, "CONFIG is not offered")
    w.check()
    w.fe.send(vu.GET_CONFIG, vu.config_request())
    w.fe.expect_closed("after GET_CONFIG, which was not negotiated")


def config_bad(offset, size, flags, data):
    """A failed GET_CONFIG is answered with an empty payload, or ends the connection."""
    site = Site()
    fe = site.attempt("negotiated")
    try:
        got = fe.ask(vu.GET_CONFIG, vu.config_request(offset, size, flags, data))
        equal(got, b"", "reply to a bad GET_CONFIG")
    except Closed:
        pass
    fe.close()
    site.finish()


for args in ((0, 41, 0, None), (40, 1, 0, None), (36, 8, 0, None), (0xFFFFFFFF, 2, 0, bytes(2)),
             (0xFFFFFFFE, 4, 0, bytes(4)), (0, 0xFFFFFFFF, 0, bytes(40)), (0, 40, 0, bytes(39)),
             (0, 39, 0, bytes(40)), (0, 256, 0, None), (100, 0, 0, b"")):
    add(f"GET_CONFIG offset {args[0]:#x} size {args[1]:#x} with "
        f"{args[1] if args[3] is None else len(args[3])} bytes", config_bad, *args)


def acknowledged(name):
    """Each message that changes state is answered 0 when asked, and things go on working."""
    w = World()
    payload, fds = example(w.fe, name, queue=2)
    if HANDLED[name][0]:
        w.fe.ask(NAMES[name], payload, fds)
        w.fe.ask(NAMES[name], payload, fds, need_reply=True)
    else:
        w.fe.do(NAMES[name], payload, fds)
    if name not in ("RESET_OWNER", "RESET_DEVICE", "SET_FEATURES", "SET_MEM_TABLE"):
        w.check()  # the queues that run were not touched
    w.fe.answers()


for name in HANDLED:
    add(f"right use: {name} is answered", acknowledged, name)


@case("right use: without REPLY_ACK a NEED_REPLY flag is ignored")
def no_ack():
    w = World(protocol=vu.P_ALL & ~vu.P_REPLY_ACK)
    w.fe.send(vu.SET_VRING_NUM, vring_state(9, 64), need_reply=True)
    w.check()  # an answer to SET_VRING_NUM would be taken for the one to GET_FEATURES


@case("right use: without PROTOCOL_FEATURES the rings start enabled")
def old_style():
    World(features=vu.F_ALL & ~vu.F_PROTOCOL).check()


@case("right use: plain rings, no indirect, no event index")
def plain_rings():
    w = World(features=vu.F_VERSION_1 | vu.F_PROTOCOL)
    w.check()
    w.fs.alive(0)


@case("right use: SET_VRING_ENABLE 0 stops a queue, 1 starts it again")
def enable():
    w = World(requests=2)
    w.fe.do(vu.SET_VRING_ENABLE, vring_state(1, 0))
    q, head, *_ = token = w.fs.start("GETATTR", 1, bytes(16), 120)
    w.check([2])
    equal(q.collect(), 0, "a disabled queue serves nothing")
    w.fe.do(vu.SET_VRING_ENABLE, vring_state(1, 1))
    equal(w.fs.finish(token).error, 0, "the request that waited")
    w.check([1, 2])


@case("right use: call and kick descriptors replaced while the queue runs")
def replaced():
    w = World()
    q = w.fe.queues[1]
    for _ in range(5):
        for request, attr in ((vu.SET_VRING_CALL, "call_fd"), (vu.SET_VRING_KICK, "kick_fd"),
                              (vu.SET_VRING_ERR, "err_fd")):
            new = os.eventfd(0, os.EFD_NONBLOCK)
            os.close(getattr(q, attr))
            setattr(q, attr, new)
            w.fe.do(request, u64(1), [new])
        w.check()


@case("right use: NOFD for call and err")
def nofd():
    w = World()
    q = w.fe.queues[1]
    w.fe.do(vu.SET_VRING_ERR, u64(1 | NOFD))
    w.check()
    w.fe.do(vu.SET_VRING_CALL, u64(1 | NOFD))
    _, head, places, unique = w.fs.start("GETATTR", 1, bytes(16), 120)
    until("request without a call descriptor", lambda: q.collect() or head in q.done)
    w.fe.do(vu.SET_VRING_CALL, u64(1), [q.call_fd])
    w.check()


# wrong index and values


def index(name):
    site = Site()
    for stage in ("negotiated", "running"):
        for queue in (65, 66, 127, 255):
            fe = site.attempt(stage)
            payload, fds = example(fe, name)
            width = 8 if name in ("SET_VRING_KICK", "SET_VRING_CALL", "SET_VRING_ERR") else 4
            payload = queue.to_bytes(width, "little") + payload[width:]
            among(fe.verdict(NAMES[name], payload, fds), BAD, f"{name} for queue {queue}")
            fe.close()
        if name not in ("SET_VRING_KICK", "SET_VRING_CALL", "SET_VRING_ERR"):
            for queue in (1 << 16, 0x80000001, 0xFFFFFFFF):
                fe = site.attempt(stage)
                payload, fds = example(fe, name)
                among(fe.verdict(NAMES[name], struct.pack("<I", queue) + payload[4:], fds), BAD,
                      f"{name} for queue {queue:#x}")
                fe.close()
    site.finish()


for name in INDEXED:
    add(f"wrong queue: {name}", index, name)


def value(name, payload, want=BAD, stage="memory"):
    site = Site()
    fe = site.attempt(stage)
    among(fe.verdict(NAMES[name], payload), want, name)
    fe.close()
    site.finish()


for n in (0, 1, 3, 5, 100, 127, 32767, 32769, 65535, 65536, 0x80000000, 0xFFFFFFFF, 0x10080):
    add(f"wrong value: SET_VRING_NUM {n}", value, "SET_VRING_NUM", vring_state(1, n))
for n in (0x10000, 0x80000000, 0xFFFFFFFF):
    add(f"wrong value: SET_VRING_BASE {n:#x}", value, "SET_VRING_BASE", vring_state(1, n))
for n in (2, 0xFFFFFFFF):
    add(f"wrong value: SET_VRING_ENABLE {n:#x}", value, "SET_VRING_ENABLE", vring_state(1, n),
        BAD + ("ok",))
for bit in (0, 24, 26, 31, 33, 35, 36, 63):
    add(f"wrong value: SET_FEATURES with bit {bit}", value, "SET_FEATURES",
        u64(vu.F_ALL | 1 << bit), BAD, "negotiated")
for bit in (2, 4, 6, 8, 14, 17, 21, 22, 40, 63):
    add(f"wrong value: SET_PROTOCOL_FEATURES with bit {bit}", value, "SET_PROTOCOL_FEATURES",
        u64(vu.P_REPLY_ACK | 1 << bit), BAD, "negotiated")
for req in ("SET_VRING_KICK", "SET_VRING_CALL", "SET_VRING_ERR"):
    add(f"wrong value: {req} with high bits", value, req, u64(1 | NOFD | 0xFFFF_FFFF_0000_0000),
        BAD + ("ok",), "running")


# unknown messages and stages


def unknown(number):
    """A message that was never offered ends the connection, whatever it carries."""
    site = Site()
    for stage in site.STAGES:
        for payload, n in ((b"", 0), (bytes(8), 1), (b"\xff" * 40, 8)):
            fe = site.attempt(stage)
            try:
                fe.send(number, payload, [eventfd() for _ in range(n)])
                fe.expect_closed(f"after message {number}, {stage}")
            except Closed:
                pass
            fe.close()
    site.finish()


for number in [*range(0, 51), 1000, 0x7FFFFFFF, 0xFFFFFFFF]:
    if vu.NUMBERS.get(number) not in HANDLED:
        add(f"unknown message: {vu.NUMBERS.get(number, number)}", unknown, number)


def stages(name):
    """A valid message at any stage, once and twice: any verdict, then still a good back-end."""
    site = Site()
    for stage in site.STAGES:
        fe = site.attempt(stage)
        payload, fds = example(fe, name)
        try:
            for _ in range(2):
                fe.send(NAMES[name], payload, fds)
            fe.send(vu.GET_QUEUE_NUM)
            for _ in range(3 if HANDLED[name][0] else 1):
                fe.recv()
        except Closed:
            pass
        fe.close()
    site.finish()


for name in HANDLED:
    add(f"any stage: {name}", stages, name)


@case("one line on stderr for a bad message")
def one_line():
    site = Site()
    for size in (7, 9, 12):
        fe = site.attempt("running")
        before = len(site.daemon.stderr_lines())
        fe.send(vu.SET_FEATURES, bytes(size))
        fe.expect_closed()
        fe.close()
        site.daemon.wait_quiet(site.fds)
        new = site.daemon.stderr_lines()[before:]
        equal(len([line for line in new if "error:" in line]), 1, f"error lines in {new}")
        check(any("SET_FEATURES" in line for line in new), "the message is named in", new)
    site.finish()


@case("without --keep-listening a bad message ends the daemon, status 0 or 1, one line")
def ends():
    w = World()
    before = len(w.daemon.stderr_lines())
    w.fe.send(vu.SET_VRING_NUM, bytes(3))
    w.fe.expect_closed()
    w.daemon.wait((0, 1), "after a bad message")
    new = w.daemon.stderr_lines()[before:]
    equal(len([line for line in new if "error:" in line]), 1, f"error lines in {new}")


@case("a message that arrives byte by byte")
def slowly():
    w = World()
    q = w.fe.queues[1]
    data = struct.pack("<III", vu.SET_VRING_CALL, VERSION | NEED_REPLY, 8) + u64(1)
    for i in range(len(data)):
        w.fe.send_bytes(data[i:i + 1], [q.call_fd] if i == 0 else [])
    equal(w.fe.recv()[2], bytes(8), "acknowledged")
    w.check()


@case("many messages in one write")
def pipelined():
    w = World()
    one = struct.pack("<III", vu.GET_FEATURES, VERSION, 0)
    w.fe.send_bytes(one * 100)
    for _ in range(100):
        equal(w.fe.recv()[0], vu.GET_FEATURES)
    w.check()


@case("replies that nobody reads: the daemon goes on or ends, but does not hang")
def unread():
    w = World()
    one = struct.pack("<III", vu.GET_FEATURES, VERSION, 0)
    w.fe.sock.setblocking(False)
    try:
        for _ in range(2000):
            w.fe.sock.send(one * 50)
    except (BlockingIOError, BrokenPipeError, ConnectionResetError):
        pass
    w.fe.sock.setblocking(True)
    w.daemon.proc.send_signal(signal.SIGTERM)
    w.daemon.wait((0, 1), "after SIGTERM")


@case("right use: NOFD for kick, the ring is polled")
def polled():
    w = World()
    w.fe.stop_queue(1)
    q = w.fe.queues[1]
    q.reset()
    w.fe.start_queue(1, ring=q, kick=False)
    w.fe.do(vu.SET_VRING_KICK, u64(1 | NOFD))
    token = w.fs.start("GETATTR", 1, bytes(16), 120)
    try:
        os.eventfd_read(q.kick_fd)  # whatever was kicked went nowhere
    except BlockingIOError:
        pass
    equal(w.fs.finish(token).error, 0)
    w.check()


def polled_last(last):
    w = World()
    q = w.fe.add_queue(2)
    w.fe.do(vu.SET_VRING_CALL, u64(2), [q.call_fd])
    steps = {
        "SET_VRING_NUM": lambda: w.fe.do(vu.SET_VRING_NUM, vring_state(2, q.size)),
        "SET_VRING_ADDR": lambda: w.fe.set_addr(q),
        "SET_VRING_KICK": lambda: w.fe.do(vu.SET_VRING_KICK, u64(2 | NOFD)),
        "SET_VRING_ENABLE": lambda: w.fe.do(vu.SET_VRING_ENABLE, vring_state(2, 1)),
    }
    for name in sorted(steps, key=lambda name: name == last):
        steps[name]()
    w.check((1, 2))  # its kick descriptor is not known to the daemon


for step in ("SET_VRING_NUM", "SET_VRING_ADDR", "SET_VRING_KICK", "SET_VRING_ENABLE"):
    add(f"right use: a polled ring starts where {step} comes last", polled_last, step)


main()
