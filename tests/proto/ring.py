# SPDX-License-Identifier: BSD-2-Clause
"""The driver's side of a split virtqueue, built by hand so that every field can be wrong.

submit() is the honest way in; desc(), put_avail(), set_avail_idx() and kick() are the raw one.
"""

import os
import select
import struct
import threading
import time

from harness import HANG, Failure

NEXT, WRITE, INDIRECT = 1, 2, 4

_fence = threading.Lock()


def fence():
    """A full barrier: taking a lock is a locked instruction."""
    with _fence:
        pass


def wait_fd(fd, limit=HANG, also=None):
    """True when fd became readable within the limit, False also when the socket `also` hung up."""
    p = select.poll()
    p.register(fd, select.POLLIN)
    if also is not None:
        p.register(also, 0)
    return any(got == fd for got, _ in p.poll(limit * 1000))


class Ring:
    """Memory and eventfds of one queue; set up with the daemon by vu.Frontend.start_queue."""

    FRESH = 0  # the base of a new ring

    def __init__(self, mem, index, size, event_idx=True, base=None, sock=None):
        self.mem, self.index, self.size, self.event_idx = mem, index, size, event_idx
        self.sock = sock  # the connection: when it hangs up, nothing will come back
        self.place()
        self.kick_fd, self.call_fd, self.err_fd = (os.eventfd(0, os.EFD_NONBLOCK)
                                                   for _ in range(3))
        self.calls = 0
        self.kicks = 0
        self.reset(base)

    def place(self):
        self.desc_at = self.mem.ring_alloc(16 * self.size, 16)
        self.avail_at = self.mem.ring_alloc(6 + 2 * self.size, 2)
        self.used_at = self.mem.ring_alloc(6 + 8 * self.size, 4)

    def late(self):
        """A base that is about to wrap around."""
        return 65530

    def position(self):
        """What GET_VRING_BASE says."""
        return self.avail_idx

    def used_base(self):
        """The same, where what is used now is all that was taken."""
        return self.used_idx()

    def close(self):
        for fd in (self.kick_fd, self.call_fd, self.err_fd):
            os.close(fd)

    def reset(self, base=None):
        """Empty rings whose indices begin at base, as after a device reset."""
        base = self.FRESH if base is None else base
        self.avail_idx = self.last_used = base & 0xFFFF
        self.free = list(range(self.size - 1, -1, -1))
        self.chains = {}
        self.done = {}
        self.mem.write(self.desc_at, bytes(16 * self.size))
        self.mem.write(self.avail_at, bytes(6 + 2 * self.size))
        self.mem.write(self.used_at, bytes(6 + 8 * self.size))
        self.mem.put16(self.avail_at + 2, self.avail_idx)
        self.mem.put16(self.used_at + 2, self.last_used)
        self.arm()

    # raw access

    def desc(self, i, addr, length, flags=0, following=0):
        self.mem.write(self.desc_at + 16 * i, struct.pack("<QIHH", addr & (1 << 64) - 1,
                                                          length, flags, following))

    def put_avail(self, head):
        """Writes one avail entry, not yet visible."""
        self.mem.put16(self.avail_at + 4 + 2 * (self.avail_idx % self.size), head)
        self.avail_idx = (self.avail_idx + 1) & 0xFFFF

    def set_avail_idx(self, value=None):
        """Makes entries visible; another value than the true one is a forgery."""
        fence()
        self.mem.put16(self.avail_at + 2, self.avail_idx if value is None else value)
        fence()

    def kick(self):
        self.kicks += 1
        os.eventfd_write(self.kick_fd, 1)

    def kick_if_wanted(self, old):
        """Kicks unless the device suppresses it; old is avail_idx before the entries."""
        fence()
        if self.event_idx:
            event = self.mem.get16(self.used_at + 4 + 8 * self.size)
            if (self.avail_idx - event - 1) & 0xFFFF >= (self.avail_idx - old) & 0xFFFF:
                return
        elif self.mem.get16(self.used_at) & 1:
            return
        self.kick()

    def arm(self):
        """Asks for a call at the next used element."""
        if self.event_idx:
            self.mem.put16(self.avail_at + 4 + 2 * self.size, self.last_used)
        else:
            self.mem.put16(self.avail_at, 0)
        fence()

    def disarm(self):
        if self.event_idx:
            self.mem.put16(self.avail_at + 4 + 2 * self.size, self.last_used - 1)
        else:
            self.mem.put16(self.avail_at, 1)
        fence()

    def used_idx(self):
        return self.mem.get16(self.used_at + 2)

    # the honest way

    def link(self, pieces):
        """Builds a chain of (addr, len, flags) and returns its head."""
        if len(pieces) > len(self.free):
            raise Failure(f"test error: {len(pieces)} descriptors, {len(self.free)} free")
        ids = [self.free.pop() for _ in pieces]
        for k, (addr, length, flags) in enumerate(pieces):
            last = k == len(pieces) - 1
            self.desc(ids[k], addr, length, flags | (0 if last else NEXT),
                      0 if last else ids[k + 1])
        self.chains[ids[0]] = ids
        return ids[0]

    def indirect(self, pieces, align=16):
        """Builds the same chain in an indirect table; the single piece that refers to it."""
        table = b"".join(
            struct.pack("<QIHH", addr, length, flags | (0 if k == len(pieces) - 1 else NEXT), k + 1)
            for k, (addr, length, flags) in enumerate(pieces))
        return [(self.mem.put(table, align), len(table), INDIRECT)]

    def submit(self, pieces, publish=True):
        """Queues a chain; its head. With publish=False the caller publishes several at once."""
        head = self.link(pieces)
        old = self.avail_idx
        self.put_avail(head)
        if publish:
            self.publish(old)
        return head

    def publish(self, old):
        self.set_avail_idx()
        self.kick_if_wanted(old)

    def collect(self):
        """Takes what is in the used ring into self.done; the number of elements."""
        count = 0
        idx = self.used_idx()
        fence()
        while self.last_used != idx:
            at = self.used_at + 4 + 8 * (self.last_used % self.size)
            head, length = struct.unpack("<II", self.mem.read(at, 8))
            if head not in self.chains:
                raise Failure(f"queue {self.index}: used element names {head}, not in flight")
            self.done[head] = (length, self.chains.pop(head))
            self.last_used = (self.last_used + 1) & 0xFFFF
            count += 1
        return count

    def take(self, head):
        """The used length of a chain that came back. Only now are its descriptors free: a head
        that is used again before anybody asked would be taken for the first."""
        length, ids = self.done.pop(head)
        self.free.extend(reversed(ids))
        return length

    def wait(self, head, limit=HANG):
        """Waits for the call that announces this chain; the used length."""
        end = time.monotonic() + limit
        while head not in self.done:
            if self.collect():
                continue
            self.arm()
            if self.collect():
                continue
            left = end - time.monotonic()
            if left <= 0 or not wait_fd(self.call_fd, left, self.sock):
                broken = wait_fd(self.err_fd, 0)
                raise Failure(f"queue {self.index} did not return chain {head} "
                              f"(used idx {self.used_idx()}, we saw {self.last_used}, "
                              f"{'VRING_ERR is signalled' if broken else 'no VRING_ERR'})")
            self.calls += os.eventfd_read(self.call_fd)
        return self.take(head)

    def wait_error(self, limit=HANG):
        """Waits for the device to declare the queue broken."""
        if not wait_fd(self.err_fd, limit, self.sock):
            raise Failure(f"queue {self.index}: no VRING_ERR (used idx {self.used_idx()})")
        os.eventfd_read(self.err_fd)

    def broken(self):
        return wait_fd(self.err_fd, 0)
