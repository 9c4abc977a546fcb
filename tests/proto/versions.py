# SPDX-License-Identifier: BSD-2-Clause
"""The version table as a guest has it: the rows of proto/version_ops.h, a table that is mapped, the
words of replies. Slots are computed here a second time, from docs/coherence.md."""

import ctypes
import mmap
import os
import re
import shutil
import struct
import tempfile
from collections import namedtuple

from fuse import ROOT, Fs, Reply
from harness import at_end, check, equal

SRC = os.environ["CAUSEWAY_SRC"]
HELLO, BEGIN = 0x43570001, 1
KEEP, TIMED, ALONE = 1, 2, 1
HEADER, ID = 4096, 16
EPOCH, POISON = 64, 72
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 1 << 14, 1 << 18

Look = namedtuple("Look", "word slot flags")
Move = namedtuple("Move", "before after slot flags")
Words = namedtuple("Words", "epoch looks moves")  # the latter two by the names of bits


def table():
    """{operation: (looks, marks, more, when)}, and the names of the bits."""
    with open(f"{SRC}/proto/version_ops.h", encoding="utf-8") as f:
        text = f.read().replace("\\\n", " ")
    values = {}
    for word, expression in re.findall(r"(?m)^#define (VT_\w+)[ \t]+(.+?)(?:/\*.*)?$", text):
        if re.fullmatch(r"[\w\s|()<]+", expression):
            values[word] = eval(re.sub(r"\b(\d+)u\b", r"\1", expression), {}, dict(values))
    rows = {}
    for op, looks, marks, more, when in re.findall(
            r"X\((\w+),\s*([\w |]+),\s*([\w |]+),\s*([\w |]+),\s*([A-Z]+)\)", text):
        check(op not in rows, f"{op} has two rows")
        rows[op] = (*(eval(e, {}, dict(values)) for e in (looks, marks, more)), when)
    bits = {v: k[3:] for k, v in values.items()
            if re.search(r"_(ATTR|DATA|LIST|NAME)$|^VT_NAME$", k) and v & (v - 1) == 0}
    equal(len(bits), values["VT_TOUCH_BITS"], "bits")
    return rows, bits


ROWS, BITS = table()


def names(value):
    """The names of the bits of a value, in their order."""
    return [BITS[bit] for bit in sorted(BITS) if bit & value]


def words_size(op):
    looks, marks, more, _ = ROWS.get(op, (0, 0, 0, None))
    if not looks | marks | more:
        return 0
    return 16 + 16 * len(names(looks)) + 24 * len(names(marks | more))


def looks_of_entry(entry):
    """Of the name and of the attributes, from where an entry of a listing has times else."""
    return tuple(Look(word, packed & (1 << 28) - 1, packed >> 28)
                 for word, packed in ((entry.entry_valid, entry.entry_nsec),
                                      (entry.attr_valid, entry.attr_nsec)))


def parse_words(op, data):
    """What stands before the payload of a reply, and the payload."""
    looks, marks, more, _ = ROWS[op]
    size = words_size(op)
    check(len(data) >= size, f"{op}: {len(data)} bytes where {size} are words")
    epoch, zero = struct.unpack_from("<QQ", data)
    equal(zero, 0, "what is zero in words")
    at, got = 16, Words(epoch, {}, {})
    for bit in names(looks):
        got.looks[bit] = Look(*struct.unpack_from("<QII", data, at))
        at += 16
    for bit in names(marks | more):
        got.moves[bit] = Move(*struct.unpack_from("<QQII", data, at))
        at += 24
    equal(at, size, "bytes of words")
    return got, data[size:]


def siphash(key, data):
    """SipHash-2-4, a number."""
    mask = (1 << 64) - 1
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
         k1 ^ 0x7465646279746573]

    def turn(x, by):
        return (x << by | x >> (64 - by)) & mask

    def rounds(n):
        for _ in range(n):
            v[0], v[2] = v[0] + v[1] & mask, v[2] + v[3] & mask
            v[1], v[3] = turn(v[1], 13) ^ v[0], turn(v[3], 16) ^ v[2]
            v[0] = turn(v[0], 32)
            v[2], v[0] = v[2] + v[1] & mask, v[0] + v[3] & mask
            v[1], v[3] = turn(v[1], 17) ^ v[2], turn(v[3], 21) ^ v[0]
            v[2] = turn(v[2], 32)

    whole = len(data) & ~7
    last = data[whole:] + bytes(7 - len(data) % 8) + bytes([len(data) & 255])
    for (word,) in struct.iter_unpack("<Q", data[:whole] + last):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xff
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


class Guest(Fs):
    """Fs that may agree to the table; words has what stood in the last good reply."""

    agreed = False
    words = None

    def hello(self, flags=0, which=bytes(ID), wire=1, out=16 + 64):
        return self.call(HELLO, ROOT, struct.pack("<II16s", wire, flags, which), out)

    def ask(self):
        """(id, slots) of the server's table."""
        r = self.hello()
        equal(r.error, 0, "VT_HELLO")
        wire, layout, which, slots = struct.unpack("<II16sQ32x", r.data)
        equal((wire, layout), (1, 1), "wire and layout")
        return which, slots

    def begin(self):
        which, slots = self.ask()
        equal(self.hello(BEGIN, which).error, 0, "VT_HELLO_BEGIN")
        self.agreed = True
        return which, slots

    def start(self, op, nodeid=ROOT, args=b"", out=4096, **kw):
        size = words_size(op) if self.agreed else 0
        token = super().start(op, nodeid, args, out + size, **kw)
        return (*token, op, size)

    def finish(self, token):
        *token, op, size = token
        r = super().finish(tuple(token))
        self.words = None
        if size == 0 or r.error != 0:
            return r
        self.words, data = parse_words(op, r.data)
        return Reply(r.error, data, r.used)


def folder():
    """A new folder on a tmpfs."""
    path = tempfile.mkdtemp(prefix="cw-versions-", dir="/dev/shm")
    at_end(shutil.rmtree, path, True)
    return path


def alone_with_mounts():
    """Mounts of other tests move the epoch of all tables that are watched in their namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) == 0:
        libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)


alone_with_mounts()


class Table:
    """A mapped table, from a path or a descriptor."""

    def __init__(self, path=None, fd=None):
        own = os.open(path, os.O_RDWR) if fd is None else fd
        self.size = os.fstat(own).st_size
        access = mmap.PROT_READ | (mmap.PROT_WRITE if fd is None else 0)
        self.map = mmap.mmap(own, self.size, mmap.MAP_SHARED, access)
        if fd is None:
            os.close(own)
        magic, layout, header = struct.unpack_from("<8sII", self.map)
        equal((magic, layout, header), (b"CWVTABLE", 1, HEADER), "header of a table")
        if path and os.path.exists(path + ".key"):
            with open(path + ".key", "rb") as f:
                self.key = f.read()[8:]
        self.id = bytes(self.map[16:32])
        self.slots = struct.unpack_from("<Q", self.map, 32)[0]
        at_end(self.map.close)

    def slot(self, kind, of, text=None):
        """Of attributes, data, listing (0, 1, 2) of what stat(2) says, or of a name in it."""
        if text is None:
            group, at = divmod(of.st_ino, 16)
            return (siphash(self.key, struct.pack("<3Q", 0, of.st_dev, group)) ^ at * 4 ^ kind) & (self.slots - 1)
        data = struct.pack("<3Q", 1, of.st_dev, of.st_ino)
        return siphash(self.key, data + text.encode()) & (self.slots - 1)

    def word(self, slot):
        return struct.unpack_from("<Q", self.map, HEADER + 8 * slot)[0]

    def set_word(self, slot, value):
        struct.pack_into("<Q", self.map, HEADER + 8 * slot, value)

    @property
    def epoch(self):
        return struct.unpack_from("<Q", self.map, EPOCH)[0]

    @property
    def poisoned(self):
        return struct.unpack_from("<Q", self.map, POISON)[0] != 0

    def poison(self):
        struct.pack_into("<Q", self.map, POISON, 1)

    def moving(self):
        """Slots with changes in flight."""
        return [s for s in range(self.slots) if self.word(s) & 0xffff]
