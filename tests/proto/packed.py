# SPDX-License-Identifier: BSD-2-Clause
"""The driver's side of a packed virtqueue, with the honest interface of ring.Ring.

The raw way in is slot(). Positions are a slot, and in bit 15 its wrap counter. A chain's first
flags, which make it available, are kept back until set_avail_idx().
"""

import struct

from harness import Failure
from ring import INDIRECT, NEXT, WRITE, Ring, fence

AVAIL, USED, WRAP = 1 << 7, 1 << 15, 1 << 15
ENABLE, DISABLE, DESC = 0, 1, 2


def available(position):
    """The flags of an available descriptor at this position."""
    return AVAIL if position & WRAP else USED


class PackedRing(Ring):
    FRESH = WRAP | WRAP << 16

    def place(self):
        self.desc_at = self.mem.ring_alloc(16 * self.size, 16)
        self.avail_at = self.mem.ring_alloc(4, 4)
        self.used_at = self.mem.ring_alloc(4, 4)

    def late(self):
        """A base that is about to wrap."""
        return (self.size - 1) | (self.size - 1) << 16

    def position(self):
        """What GET_VRING_BASE says once everything was answered and collected."""
        return self.avail_idx | self.avail_idx << 16

    def used_base(self):
        return self.used_idx() | self.used_idx() << 16

    def reset(self, base=None):
        base = self.FRESH if base is None else base
        self.avail_idx = self.linked = base & 0xFFFF
        self.last_used = base >> 16
        self.free = list(range(self.size - 1, -1, -1))
        self.chains, self.done, self.lengths, self.hidden = {}, {}, {}, []
        self.mem.write(self.desc_at, bytes(16 * self.size))
        start = base & ~WRAP & 0xFFFF
        for i in range(self.size):  # as if used: before start in this round, else in the last
            if (i < start) == bool(base & WRAP):
                self.mem.put16(self.desc_at + 16 * i + 14, AVAIL | USED)
        self.mem.write(self.avail_at, bytes(4))
        self.mem.write(self.used_at, bytes(4))
        self.arm()

    def step(self, position, n=1):
        slot = (position & ~WRAP) + n
        return slot | position & WRAP if slot < self.size else slot - self.size | ~position & WRAP

    # raw access

    def slot(self, i, addr, length, id=0, flags=0):
        at = self.desc_at + 16 * (i % self.size)
        self.mem.write(at, struct.pack("<QIH", addr & (1 << 64) - 1, length, id & 0xFFFF))
        fence()
        self.mem.put16(at + 14, flags)

    def flags(self, position):
        return self.mem.get16(self.desc_at + 16 * (position & ~WRAP) + 14)

    def put_avail(self, head):
        self.avail_idx = self.step(self.avail_idx, self.lengths[head])

    def set_avail_idx(self, value=None):
        fence()
        for at, flags in reversed(self.hidden):
            self.mem.put16(at, flags)
        self.hidden = []
        fence()

    def kick_if_wanted(self, old):
        fence()
        flags = self.mem.get16(self.used_at + 2) & 3
        event = self.mem.get16(self.used_at)
        while flags == DESC and old != self.avail_idx and old != event:
            old = self.step(old)
        if flags != DISABLE and old != self.avail_idx:
            self.kick()

    def arm(self):
        if self.event_idx:
            self.mem.put16(self.avail_at, self.last_used)
        fence()
        self.mem.put16(self.avail_at + 2, DESC if self.event_idx else ENABLE)
        fence()

    def disarm(self):
        self.mem.put16(self.avail_at + 2, DISABLE)
        fence()

    def used(self, position):
        """Whether the device has used the descriptor here."""
        both = AVAIL | USED
        return position != self.avail_idx and \
            self.flags(position) & both == (both if position & WRAP else 0)

    def used_idx(self):
        """The position up to which the device has used what it was given."""
        at = self.last_used
        fence()
        while self.used(at):
            at = self.step(at, self.lengths[self.used_element(at)[1]])
        return at

    def used_element(self, position):
        length, head = struct.unpack("<IH", self.mem.read(
            self.desc_at + 16 * (position & ~WRAP) + 8, 6))
        if head not in self.chains:
            raise Failure(f"queue {self.index}: a used descriptor names {head}, not in flight")
        return length, head

    # the honest way

    def link(self, pieces):
        """Writes a chain into the next slots, its first flags kept back; its id."""
        if len(pieces) > len(self.free):
            raise Failure(f"test error: {len(pieces)} descriptors, {len(self.free)} free")
        ids = [self.free.pop() for _ in pieces]
        for k, (addr, length, flags) in enumerate(pieces):
            at = self.desc_at + 16 * (self.linked & ~WRAP)
            last = k == len(pieces) - 1
            flags |= available(self.linked) | (0 if last else NEXT)
            # Only the last descriptor's id counts.
            self.mem.write(at, struct.pack("<QIH", addr, length, ids[0] if last else 0xFFFF))
            if k == 0:
                self.hidden.append((at + 14, flags))
            else:
                self.mem.put16(at + 14, flags)
            self.linked = self.step(self.linked)
        self.chains[ids[0]] = ids
        self.lengths[ids[0]] = len(pieces)
        return ids[0]

    def indirect(self, pieces, align=16):
        table = b"".join(struct.pack("<QIHH", addr, length, 0xFFFF, flags & WRITE)
                         for addr, length, flags in pieces)
        return [(self.mem.put(table, align), len(table), INDIRECT)]

    def collect(self):
        count = 0
        while self.used(self.last_used):
            fence()
            length, head = self.used_element(self.last_used)
            self.done[head] = (length, self.chains.pop(head))
            self.last_used = self.step(self.last_used, self.lengths[head])
            count += 1
        return count
