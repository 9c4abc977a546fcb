# SPDX-License-Identifier: BSD-2-Clause
"""A vhost-user front-end that can be told to misbehave.

Conn speaks raw messages; Frontend holds guest memory and queues over it and does the sequence
that an honest front-end does, in steps that a case can leave out, repeat or reorder.
"""

import array
import os
import select
import socket
import struct
import time

from harness import HANG, Failure, at_end, check, equal
from mem import GuestMemory
from packed import PackedRing
from ring import Ring

NAMES = dict(
    GET_FEATURES=1, SET_FEATURES=2, SET_OWNER=3, RESET_OWNER=4, SET_MEM_TABLE=5, SET_LOG_BASE=6,
    SET_LOG_FD=7, SET_VRING_NUM=8, SET_VRING_ADDR=9, SET_VRING_BASE=10, GET_VRING_BASE=11,
    SET_VRING_KICK=12, SET_VRING_CALL=13, SET_VRING_ERR=14, GET_PROTOCOL_FEATURES=15,
    SET_PROTOCOL_FEATURES=16, GET_QUEUE_NUM=17, SET_VRING_ENABLE=18, SEND_RARP=19,
    NET_SET_MTU=20, SET_BACKEND_REQ_FD=21, IOTLB_MSG=22, SET_VRING_ENDIAN=23, GET_CONFIG=24,
    SET_CONFIG=25, CREATE_CRYPTO_SESSION=26, CLOSE_CRYPTO_SESSION=27, POSTCOPY_ADVISE=28,
    POSTCOPY_LISTEN=29, POSTCOPY_END=30, GET_INFLIGHT_FD=31, SET_INFLIGHT_FD=32,
    GPU_SET_SOCKET=33, RESET_DEVICE=34, VRING_KICK=35, GET_MAX_MEM_SLOTS=36, ADD_MEM_REG=37,
    REM_MEM_REG=38, SET_STATUS=39, GET_STATUS=40, GET_SHARED_OBJECT=41, SET_DEVICE_STATE_FD=42,
    CHECK_DEVICE_STATE=43, GET_SHMEM_CONFIG=44)
globals().update(NAMES)
NUMBERS = {v: k for k, v in NAMES.items()}

VERSION, REPLY, NEED_REPLY = 1, 4, 8
NOFD = 1 << 8  # in the u64 of KICK, CALL and ERR

F_INDIRECT, F_EVENT_IDX, F_PROTOCOL, F_VERSION_1 = 1 << 28, 1 << 29, 1 << 30, 1 << 32
F_PACKED = 1 << 34
# Cases of the other files run over packed rings too: test_packed.py says so before it loads them.
PACKED = bool(os.environ.get("PROTO_PACKED"))
F_ALL = F_INDIRECT | F_EVENT_IDX | F_PROTOCOL | F_VERSION_1 | (F_PACKED if PACKED else 0)
P_MQ, P_REPLY_ACK, P_BACKEND_REQ, P_CONFIG, P_MEM_SLOTS = 1 << 0, 1 << 3, 1 << 5, 1 << 9, 1 << 15
P_RESET_DEVICE, P_STATUS = 1 << 13, 1 << 16
P_SEND_FD, P_SHARED_OBJECT, P_SHMEM = 1 << 10, 1 << 18, 1 << 22
P_WINDOW = P_SEND_FD | P_SHARED_OBJECT | P_SHMEM
P_ALL = (P_MQ | P_REPLY_ACK | P_BACKEND_REQ | P_CONFIG | P_MEM_SLOTS | P_RESET_DEVICE |
         P_STATUS)

MAX_QUEUES = 65


class Closed(Exception):
    """The daemon has ended the connection."""


class Conn:
    """Messages over one socket, with nothing checked that a case might want to forge."""

    def __init__(self, sock):
        self.sock = sock
        at_end(self.close)

    def close(self):
        self.sock.close()

    def send_bytes(self, data, fds=()):
        anc = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            sent = self.sock.sendmsg([data], anc)
            if sent < len(data):
                self.sock.sendall(data[sent:])
        except (BrokenPipeError, ConnectionResetError):
            raise Closed("while sending") from None

    def send(self, request, payload=b"", fds=(), flags=VERSION, size=None, need_reply=False):
        flags |= NEED_REPLY if need_reply else 0
        size = len(payload) if size is None else size
        self.send_bytes(struct.pack("<III", request, flags, size) + payload, fds)

    def _read(self, n, end):
        data = b""
        while len(data) < n:
            p = select.poll()
            p.register(self.sock, select.POLLIN)
            if not p.poll(max(0, end - time.monotonic()) * 1000):
                raise Failure(f"hang: {len(data)} of {n} bytes of a message")
            try:
                part, anc, _flags, _addr = self.sock.recvmsg(n - len(data), 256)
            except ConnectionResetError:
                part, anc = b"", []
            if anc:
                raise Failure("the daemon sent descriptors")
            if not part:
                raise Closed(f"after {len(data)} bytes of a message")
            data += part
        return data

    def recv(self, limit=HANG):
        """The next message: request, flags, payload."""
        end = time.monotonic() + limit
        request, flags, size = struct.unpack("<III", self._read(12, end))
        if size > 65536:
            raise Failure(f"reply to {request} claims {size} bytes")
        return request, flags, self._read(size, end)

    def ask(self, request, payload=b"", fds=(), **kw):
        """Sends a message that has a reply; its payload."""
        self.send(request, payload, fds, **kw)
        got, flags, data = self.recv()
        equal(got, request, "reply's request")
        equal(flags & 7, VERSION | REPLY, f"flags of the reply to {NUMBERS.get(request, request)}")
        return data

    def ask64(self, request, payload=b"", fds=(), **kw):
        data = self.ask(request, payload, fds, **kw)
        equal(len(data), 8, f"size of the reply to {NUMBERS.get(request, request)}")
        return struct.unpack("<Q", data)[0]

    def ack(self, request, payload=b"", fds=()):
        """Sends with NEED_REPLY: 0 or the failure's number."""
        return self.ask64(request, payload, fds, need_reply=True)

    def do(self, request, payload=b"", fds=()):
        """Sends with NEED_REPLY and insists on success."""
        equal(self.ack(request, payload, fds), 0, f"{NUMBERS[request]} acknowledged")

    def verdict(self, request, payload=b"", fds=(), **kw):
        """What became of a message with NEED_REPLY: "ok", "refused", "reply" or "closed"."""
        try:
            self.send(request, payload, fds, need_reply=True, **kw)
            got, _flags, data = self.recv()
        except Closed:
            return "closed"
        equal(got, request, "reply's request")
        if len(data) == 8:
            return "refused" if struct.unpack("<Q", data)[0] else "ok"
        return "reply"

    def expect_closed(self, why=""):
        """The daemon must end this connection; what it still sends is thrown away."""
        try:
            while True:
                self.recv()
        except Closed:
            pass
        except Failure as e:
            raise Failure(f"connection still open {why}: {e}") from None


def u64(value):
    return struct.pack("<Q", value)


def vring_state(index, value):
    return struct.pack("<II", index, value & 0xFFFFFFFF)


def vring_addr(index, desc, used, avail, flags=0, log=0):
    return struct.pack("<IIQQQQ", index, flags, desc, used, avail, log)


def config_request(offset=0, size=40, flags=0, data=None):
    return struct.pack("<III", offset, size, flags) + (bytes(size) if data is None else data)


def mem_table(regions, count=None):
    return (struct.pack("<II", len(regions) if count is None else count, 0) +
            b"".join(r.describe() for r in regions))


def mem_reg(region):
    return bytes(8) + region.describe()


class Frontend(Conn):
    """A connection with guest memory and queues."""

    def __init__(self, sock, mem=None):
        super().__init__(sock)
        self.mem = mem or GuestMemory.standard()
        at_end(self.mem.close)
        self.features = self.protocol = 0
        self.queues = {}
        self.unique = 0

    def negotiate(self, features=F_ALL, protocol=P_ALL):
        """Owner and features; takes of both what is wanted and offered."""
        self.send(SET_OWNER)
        offered = self.ask64(GET_FEATURES)
        self.features = offered & features
        if self.features & F_PROTOCOL:
            self.protocol = self.ask64(GET_PROTOCOL_FEATURES) & protocol
            self.send(SET_PROTOCOL_FEATURES, u64(self.protocol))
        self.send(SET_FEATURES, u64(self.features))
        return self

    def tell(self, request, payload=b"", fds=()):
        """A message that changes state: acknowledged where that was negotiated."""
        if self.protocol & P_REPLY_ACK:
            self.do(request, payload, fds)
        else:
            self.send(request, payload, fds)

    def set_memory(self):
        regions = self.mem.regions
        self.tell(SET_MEM_TABLE, mem_table(regions), [r.fd for r in regions])
        return self

    def add_queue(self, index, size=128, base=None):
        kind = PackedRing if self.features & F_PACKED else Ring
        ring = kind(self.mem, index, size, bool(self.features & F_EVENT_IDX), base, self.sock)
        at_end(ring.close)
        self.queues[index] = ring
        return ring

    def set_addr(self, ring):
        at = self.mem.uva
        self.tell(SET_VRING_ADDR, vring_addr(ring.index, at(ring.desc_at), at(ring.used_at),
                                             at(ring.avail_at)))

    def start_queue(self, index, size=128, base=None, ring=None, kick=True, enable=True):
        """Everything that QEMU sends for a queue, in its order."""
        q = ring or self.add_queue(index, size, base)
        base = q.FRESH if base is None else base
        self.tell(SET_VRING_NUM, vring_state(index, q.size))
        self.tell(SET_VRING_BASE, vring_state(index, base))
        self.set_addr(q)
        self.tell(SET_VRING_ERR, u64(index), [q.err_fd])
        self.tell(SET_VRING_CALL, u64(index), [q.call_fd])
        self.tell(SET_VRING_KICK, u64(index), [q.kick_fd])
        if enable and self.features & F_PROTOCOL:
            self.tell(SET_VRING_ENABLE, vring_state(index, 1))
        if kick:
            q.kick()
        return q

    def stop_queue(self, index):
        """GET_VRING_BASE; the index from which the queue can be started again."""
        data = self.ask(GET_VRING_BASE, vring_state(index, 0))
        equal(len(data), 8, "size of GET_VRING_BASE's reply")
        got, base = struct.unpack("<II", data)
        equal(got, index, "queue in GET_VRING_BASE's reply")
        check(self.features & F_PACKED or base <= 0xFFFF, "base", base)
        return base

    def up(self, queues=2, size=128, features=F_ALL, protocol=P_ALL):
        """All of it: negotiated, memory set, this many queues running."""
        self.negotiate(features, protocol).set_memory()
        for i in range(queues):
            self.start_queue(i, size)
        return self

    def answers(self):
        """The connection still works."""
        check(self.ask64(GET_FEATURES) & F_VERSION_1, "GET_FEATURES offers VERSION_1")
