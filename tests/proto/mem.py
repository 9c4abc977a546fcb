# SPDX-License-Identifier: BSD-2-Clause
"""Guest memory: memfds mapped here and described to the daemon, with holes and adjacent regions.

Three address spaces meet: guest addresses (what descriptors hold), front-end addresses (what
SET_VRING_ADDR holds: uva) and offsets in the memfd (mmap_offset).
"""

import mmap
import os
import struct

from harness import Failure

PAGE = 4096
MIB = 1 << 20


class Region:
    """size bytes at guest address gpa, backed by a memfd from mmap_offset on."""

    def __init__(self, gpa, size, uva=None, mmap_offset=0):
        self.gpa, self.size, self.mmap_offset = gpa, size, mmap_offset
        self.uva = 0x7F00_0000_0000 + gpa if uva is None else uva
        self.fd = os.memfd_create("cw-proto")
        os.ftruncate(self.fd, mmap_offset + size)
        self.map = mmap.mmap(self.fd, mmap_offset + size)
        # 16-bit indices must be stored and loaded whole; struct's "<H" goes byte by byte.
        self.u16 = memoryview(self.map).cast("H")

    def describe(self):
        """The 32 bytes of SET_MEM_TABLE and ADD_MEM_REG."""
        return struct.pack("<QQQQ", self.gpa, self.size, self.uva, self.mmap_offset)

    def close(self):
        if self.fd >= 0:
            self.u16.release()
            self.map.close()
            os.close(self.fd)
            self.fd = -1


class GuestMemory:
    """The regions of one front-end, read and written by guest address.

    Rings are allocated in the first region (ring_alloc), buffers go round and round in the
    others (alloc): nobody frees, a buffer is overwritten after some MiB of later ones.
    """

    def __init__(self, regions):
        self.regions = sorted(regions, key=lambda r: r.gpa)
        self.use_for_rings(self.regions[0])
        self.arena = self.regions[-1]
        self.next = self.arena.gpa

    @classmethod
    def standard(cls):
        """Rings at 1 MiB, two adjacent regions that meet at 9 MiB, a hole, 16 MiB above 4 GiB."""
        return cls([Region(0x10_0000, 8 * MIB), Region(0x90_0000, 4 * MIB, mmap_offset=3 * PAGE),
                    Region(0x1_0000_0000, 16 * MIB, uva=0x5500_0000_0000)])

    def close(self):
        for r in self.regions:
            r.close()

    def use_for_rings(self, region):
        self.ring_region, self.ring_next = region, region.gpa

    def find(self, gpa):
        for r in self.regions:
            if r.gpa <= gpa < r.gpa + r.size:
                return r
        raise Failure(f"test error: {gpa:#x} is not guest memory")

    def uva(self, gpa):
        r = self.find(gpa)
        return r.uva + gpa - r.gpa

    def read(self, gpa, n):
        out = b""
        while n:
            r = self.find(gpa)
            off = gpa - r.gpa + r.mmap_offset
            part = min(n, r.gpa + r.size - gpa)
            out += r.map[off:off + part]
            gpa, n = gpa + part, n - part
        return out

    def write(self, gpa, data):
        data = memoryview(data)
        while data:
            r = self.find(gpa)
            off = gpa - r.gpa + r.mmap_offset
            part = min(len(data), r.gpa + r.size - gpa)
            r.map[off:off + part] = data[:part]
            gpa, data = gpa + part, data[part:]

    def get16(self, gpa):
        r = self.find(gpa)
        return r.u16[(gpa - r.gpa + r.mmap_offset) // 2]

    def put16(self, gpa, value):
        r = self.find(gpa)
        r.u16[(gpa - r.gpa + r.mmap_offset) // 2] = value & 0xFFFF

    def ring_alloc(self, n, align=PAGE):
        r = self.ring_region
        at = -(-self.ring_next // align) * align
        if at + n > r.gpa + r.size:
            raise Failure("test error: no room for rings")
        self.ring_next = at + n
        return at

    def alloc(self, n, align=1):
        r = self.arena
        at = -(-self.next // align) * align
        if at + n > r.gpa + r.size:
            at = r.gpa
            if n > r.size:
                raise Failure("test error: buffer larger than the arena")
        self.next = at + n
        return at

    def put(self, data, align=1):
        """Allocates and fills; the guest address."""
        at = self.alloc(max(1, len(data)), align)
        self.write(at, data)
        return at
