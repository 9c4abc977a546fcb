# SPDX-License-Identifier: BSD-2-Clause
"""Device status and resets: what a pause keeps, what a reset of the device drops, and what neither
may touch."""

import vu
from fuse import ROOT, init_in
from harness import add, among, case, check, equal, main
from messages import BAD
from vu import u64, vring_state
from world import Site, World

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, FAILED = 1, 2, 4, 8, 128


def start_as_qemu(fe, index, ring, base=None):
    """As QEMU starts a ring again: call and error descriptors were sent at the very beginning."""
    fe.do(vu.SET_VRING_NUM, vring_state(index, ring.size))
    fe.do(vu.SET_VRING_BASE, vring_state(index, ring.FRESH if base is None else base))
    fe.set_addr(ring)
    fe.do(vu.SET_VRING_KICK, u64(index), [ring.kick_fd])
    fe.do(vu.SET_VRING_ENABLE, vring_state(index, 1))


def features_again(fe):
    """SET_FEATURES as QEMU does it with STATUS: the bit added to what is read."""
    fe.do(vu.SET_FEATURES, u64(fe.features))
    status = fe.ask64(vu.GET_STATUS)
    fe.do(vu.SET_STATUS, u64(status | FEATURES_OK))


@case("status: each step of a driver is read back")
def steps():
    w = World(init=False)
    status = 0
    for bit in (ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK, FAILED):
        status |= bit
        w.fe.do(vu.SET_STATUS, u64(status))
        equal(w.fe.ask64(vu.GET_STATUS), status, "status")
    w.fs.init()
    w.check()


@case("status: FEATURES_OK is not kept without VERSION_1")
def features_ok():
    w = World()
    w.fe.do(vu.SET_FEATURES, u64(w.fe.features & ~vu.F_VERSION_1))
    w.fe.do(vu.SET_STATUS, u64(ACKNOWLEDGE | DRIVER | FEATURES_OK))
    equal(w.fe.ask64(vu.GET_STATUS), ACKNOWLEDGE | DRIVER, "status")


def bad_status(value):
    site = Site()
    fe = site.attempt()
    among(fe.verdict(vu.SET_STATUS, u64(value)), BAD, f"status {value:#x}")
    fe.close()
    site.finish()


for n in (0x100, 0x10F, 1 << 32, (1 << 64) - 1):
    add(f"status {n:#x} is none", bad_status, n)


def pause(order):
    """A machine stops and goes on: the guest's nodes, handles and requests are as before, whether
    the status is reset before or after the rings are stopped."""
    w = World(requests=2)
    node = w.fs.lookup("file").nodeid
    fh = w.fs.open(node)
    for turn in range(5):
        bases = {}
        if order == "first":
            w.fe.do(vu.SET_STATUS, u64(0))
        for i in range(3):
            w.fe.do(vu.SET_VRING_ENABLE, vring_state(i, 0))
        for i in range(3):
            bases[i] = w.fe.stop_queue(i)
            equal(bases[i], w.fe.queues[i].position(), f"base of ring {i}, turn {turn}")
        if order == "last":
            w.fe.do(vu.SET_STATUS, u64(0))
        equal(w.fe.ask64(vu.GET_STATUS), 0, "status")
        token = w.fs.start("GETATTR", ROOT, bytes(16), 120)
        features_again(w.fe)
        for i in range(3):
            start_as_qemu(w.fe, i, w.fe.queues[i], bases[i])
        equal(w.fs.finish(token).error, 0, "a request from the time of the pause")
        equal(w.fs.read(node, fh, 0, 5), b"hello")
        w.check((1, 2))


add("SET_STATUS 0 before the rings stop keeps the guest's state", pause, "first")
add("SET_STATUS 0 after the rings stopped keeps the guest's state", pause, "last")


@case("SET_STATUS 0 alone: rings stop, nothing of them is lost")
def alone():
    w = World()
    q = w.fe.queues[1]
    w.fe.do(vu.SET_STATUS, u64(0))
    token = w.fs.start("GETATTR", ROOT, bytes(16), 120)
    q.kick()
    w.fe.answers()
    check(q.used_idx() == q.last_used, "a stopped ring is served")
    for i in (0, 1):
        w.fe.do(vu.SET_VRING_KICK, u64(i), [w.fe.queues[i].kick_fd])
        w.fe.do(vu.SET_VRING_ENABLE, vring_state(i, 1))
    equal(w.fs.finish(token).error, 0)
    w.check()


@case("RESET_DEVICE: the guest's state goes; memory, call and error descriptors stay")
def reset_device():
    w = World(requests=2)
    for _ in range(3):
        node = w.fs.lookup("file").nodeid
        w.fs.open(node)
        w.fe.do(vu.RESET_DEVICE)
        equal(w.fe.ask64(vu.GET_STATUS), 0, "status")
        features_again(w.fe)
        for i in range(3):
            w.fe.queues[i].reset()
            start_as_qemu(w.fe, i, w.fe.queues[i])
        equal(w.fs.call("GETATTR", node, bytes(16), 104).error, -5, "before INIT")
        w.fs.good("INIT", 0, init_in(), 80)
        w.fs.stale(node)
        # The error descriptor from the beginning still is the one.
        q = w.fe.queues[1]
        q.submit([(0xDEAD_0000_0000, 64, 0)])
        q.kick()
        q.wait_error()
        w.check((2,))
        w.fe.do(vu.RESET_DEVICE)
        features_again(w.fe)
        for i in range(3):
            w.fe.queues[i].reset()
            start_as_qemu(w.fe, i, w.fe.queues[i])
        w.fs.init()
        w.check((1, 2))


@case("RESET_DEVICE before anything was set up, and twice")
def reset_early():
    w = World(requests=0, init=False)
    w.fe.stop_queue(0)
    for _ in range(2):
        w.fe.do(vu.RESET_DEVICE)
    features_again(w.fe)
    w.fe.queues[0].reset()
    for i in (0, 1):
        q = w.fe.queues.get(i) or w.fe.add_queue(i)
        w.fe.do(vu.SET_VRING_CALL, u64(i), [q.call_fd])
        start_as_qemu(w.fe, i, q)
    w.fs.init()
    w.check()


@case("RESET_DEVICE: features have to be set again before rings can be enabled")
def reset_features():
    w = World()
    w.fe.do(vu.RESET_DEVICE)
    among(w.fe.verdict(vu.SET_VRING_ENABLE, vring_state(0, 1)), BAD, "SET_VRING_ENABLE")


if __name__ == "__main__":
    main()
