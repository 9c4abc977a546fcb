# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain,asan,tsan
"""CW_SLEEP: what a guest that has said that it sleeps finds when its device was reset, and what ends its
session all the same."""

import errno
import fcntl
import struct

import vu
from daemon import Daemon
from fuse import INIT_FLAGS, ROOT, init_in, read_in
from harness import case, equal, main
from vu import u64, vring_state
from world import World

HELLO, SLEEP = 0x43570002, 0x43570003
PINS, SLEEPS = 1, 2
NODE = (1 << 64) - 2
FEATURES_OK = 8
LOCKS = INIT_FLAGS | 1 << 1  # POSIX_LOCKS
EIO, EINVAL, ENOSYS = -errno.EIO, -errno.EINVAL, -errno.ENOSYS


def agree(fs, extensions=PINS | SLEEPS):
    r = fs.call(HELLO, ROOT, struct.pack("<II", 1, extensions), 16 + 32)
    equal((r.error, r.data[4:8]), (0, struct.pack("<I", extensions)), "CW_HELLO")


def say(fs, asleep, zero=0, **kw):
    """The error that CW_SLEEP brings."""
    return fs.call(SLEEP, ROOT, struct.pack("<II", asleep, zero), 16, **kw).error


def lk(fh, owner):
    return struct.pack("<4Q4I", fh, owner, 0, (1 << 63) - 1, fcntl.F_WRLCK, 77, 0, 0)


def reset(w, times=1):
    """As QEMU does where a driver resets its device, and then the machine."""
    for i in w.fe.queues:
        w.fe.stop_queue(i)
    for _ in range(times):
        w.fe.do(vu.RESET_DEVICE)
    w.fe.do(vu.SET_FEATURES, u64(w.fe.features))
    w.fe.do(vu.SET_STATUS, u64(w.fe.ask64(vu.GET_STATUS) | FEATURES_OK))
    for i, q in w.fe.queues.items():
        q.reset()
        w.fe.do(vu.SET_VRING_NUM, vring_state(i, q.size))
        w.fe.do(vu.SET_VRING_BASE, vring_state(i, q.FRESH))
        w.fe.set_addr(q)
        w.fe.do(vu.SET_VRING_KICK, u64(i), [q.kick_fd])
        w.fe.do(vu.SET_VRING_ENABLE, vring_state(i, 1))


class Held:
    """What a guest has: a handle, a lock, and a file that is kept open for it."""

    def __init__(self, w):
        self.w = w
        self.node = w.fs.lookup("file").nodeid
        self.fh, got, _ = struct.unpack(
            "<QII", w.fs.good("OPEN", self.node, struct.pack("<II", 2, 0)))
        equal(got >> 30, 3, "pins")
        self.lock(1, 0)

    def lock(self, owner, want, what=""):
        equal(self.w.fs.call("SETLK", self.node, lk(self.fh, owner)).error, want, what)

    def check(self, what):
        fs = self.w.fs
        equal(fs.read(self.node, self.fh, 0, 5), b"hello", what)
        equal(fs.call("READ", self.node, read_in(NODE, 0, 5), 16 + 5).data, b"hello", what)
        self.lock(2, -errno.EAGAIN, what)

    def check_gone(self, what):
        fs = self.w.fs
        equal(fs.call("GETATTR", self.node, bytes(16), 104).error, EIO, f"{what}, before INIT")
        equal(say(fs, 0), EIO, f"{what}: CW_SLEEP")
        fs.good("INIT", 0, init_in(), 80)
        fs.stale(self.node)
        equal(say(fs, 1), ENOSYS, f"{what}: after INIT")


def world(**more):
    w = World("--posix-lock", requests=2, init=False, **more)
    w.fs.init(flags=LOCKS)
    agree(w.fs)
    return w, Held(w)


@case("CW_SLEEP without agreement, malformed, and before INIT")
def forms():
    w = World(init=False)
    equal(say(w.fs, 1), EIO, "before INIT")
    w.fs.init()
    equal(say(w.fs, 1), ENOSYS, "before CW_HELLO")
    agree(w.fs, PINS)
    equal(say(w.fs, 1), ENOSYS, "not agreed to")
    agree(w.fs, SLEEPS)
    for asleep, zero in ((2, 0), (0xFFFFFFFF, 0), (1, 1), (0, 1)):
        equal(say(w.fs, asleep, zero), EINVAL, f"{asleep} {zero}")
    equal(w.fs.call(SLEEP, ROOT, bytes(4), 16).error, EINVAL, "short")
    equal(w.fs.call(SLEEP, ROOT, bytes(12), 16).error, EINVAL, "long")
    for asleep in (0, 1, 1, 0, 0):
        equal(say(w.fs, asleep), 0, f"{asleep}")
    w.check()


@case("a guest that sleeps keeps nodes, handles, locks and pins, whatever resets its device")
def keeps():
    w, held = world()
    for times in (1, 2, 3):
        equal(say(w.fs, 1), 0, "asleep")
        reset(w, times)
        equal(say(w.fs, 0), 0, "awake")
        held.check(f"after {times} resets")
    # The next one is that of a guest that is booted anew.
    reset(w)
    held.check_gone("a reset when it was awake")
    w.check((1, 2))


@case("the sleep of a guest that does not come back: INIT is another one's, DESTROY ends it")
def ends():
    for end in ("INIT", "DESTROY"):
        w, held = world()
        equal(say(w.fs, 1), 0, "asleep")
        reset(w)
        if end == "DESTROY":
            w.fs.good("DESTROY", 0)
        w.fs.init(flags=LOCKS)
        w.fs.stale(held.node)
        agree(w.fs)
        Held(w)
        reset(w)
        equal(w.fs.call("GETATTR", ROOT, bytes(16), 104).error, EIO, f"{end}, and a reset")
        w.fs.good("INIT", 0, init_in(), 80)
        w.check()


@case("the sleep ends with the connection")
def disconnect():
    w, held = world(daemon=Daemon("--posix-lock", "--keep-listening", listen=True))
    equal(say(w.fs, 1), 0, "asleep")
    w.fe.close()
    again = World(daemon=w.daemon, init=False)
    held.w = again
    held.check_gone("a new connection")
    again.check()


@case("a guest that says that it sleeps and goes on is served as ever")
def goes_on():
    w, held = world()
    equal(say(w.fs, 1), 0, "asleep")
    held.check("asleep")
    w.fs.lookup("file")
    reset(w)
    held.check("asleep, after a reset")
    equal(say(w.fs, 0), 0, "awake")
    w.check((1, 2))


@case("a lock that is waited for is refused when the device is reset, asleep or not")
def waits():
    w, held = world()
    token = w.fs.start("SETLKW", held.node, lk(held.fh, 2), 16, queue=2)
    w.fs.call("GETATTR", ROOT, bytes(16), 104, queue=2)  # the one before has been taken
    equal(say(w.fs, 1), 0, "asleep")
    for i in w.fe.queues:
        w.fe.stop_queue(i)
    equal(w.fs.finish(token).error, -errno.EINTR, "who waits")
    reset(w)
    equal(say(w.fs, 0), 0, "awake")
    held.check("after it")
    w.check((1, 2))


main()
