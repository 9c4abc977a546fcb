# SPDX-License-Identifier: BSD-2-Clause
"""The DAX window of a front-end: memory into which the daemon has files mapped.

A thread serves the channel for the daemon's requests. It maps as QEMU 11.1 does: nothing over what
is mapped, away only what was mapped in one request, no descriptor that is not open for writing,
nothing beyond a file's end; and it tells the daemon of each map as of a region of guest memory, over
the connection, before or after it answers. A case can have it refuse, wait, or answer with anything.
"""

import array
import fcntl
import mmap
import os
import select
import socket
import struct
import threading

import vu
from harness import HANG, Failure, at_end, check, equal
from mem import PAGE
from vu import NEED_REPLY, REPLY, VERSION, Frontend, u64

OBJECT_REMOVE, MAP, UNMAP = 7, 9, 10
NAMES = {OBJECT_REMOVE: "barrier", MAP: "map", UNMAP: "unmap"}
CHANGE = struct.Struct("<B7x4Q")
GPA = 0x80_0000_0000  # where the guest has the window
UVA = 0x6F00_0000_0000


class Piece:
    """What is mapped at one place; a region of guest memory (mem.GuestMemory) as well."""

    def __init__(self, at, size, fd, offset):
        self.at, self.size, self.fd, self.offset = at, size, fd, offset
        self.map = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE,
                             offset=offset)
        self.gpa, self.uva, self.mmap_offset = GPA + at, UVA + at, 0
        self.told = False  # the daemon has it as a region

    def describe(self):
        return struct.pack("<4Q", self.gpa, self.size, self.uva, self.offset)

    def close(self):
        self.map.close()
        os.close(self.fd)


class Window:
    """The window and its channel. While a change is under way nothing else may use the connection
    where regions are told (tell=True)."""

    def __init__(self, fe, tell=True):
        self.fe, self.tell = fe, tell
        config = fe.ask(vu.GET_SHMEM_CONFIG)
        equal(len(config), 8 + 8 * 256, "size of GET_SHMEM_CONFIG's reply")
        self.regions = struct.unpack_from("<I", config)[0]
        self.size = struct.unpack_from("<Q", config, 8)[0]
        self.pieces = {}  # place → Piece
        self.log = []     # (name, place, length) of each request, in order
        self.refuse = lambda name, at, length: False
        self.lie = None   # bytes to send instead of an answer
        self.over = False # maps over what is mapped, as a better front-end
        self.went = threading.Event()  # set: requests are served
        self.went.set()
        self.waiting = False           # one has come that is not
        self.failed = None
        self.lock = threading.Lock()
        self.open()
        at_end(self.close)

    def open(self):
        """Gives the daemon a channel, in place of the one before."""
        self.sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.fe.tell(vu.SET_BACKEND_REQ_FD, b"", [theirs.fileno()])
        theirs.close()
        self.thread = threading.Thread(target=self._serve, args=(self.sock,), daemon=True)
        self.thread.start()

    def hang_up(self):
        """Closes the channel, from this end."""
        self.went.set()
        if self.sock.fileno() < 0:
            return
        self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(HANG)
        check(not self.thread.is_alive(), "the window's thread goes on")
        self.sock.close()

    def close(self):
        self.fe.close()
        self.hang_up()
        self.drop()
        if self.failed:
            raise self.failed

    def drop(self):
        """Forgets all maps without a word, as QEMU does when the guest resets the device."""
        for piece in self.pieces.values():
            if piece in self.fe.mem.regions:
                self.fe.mem.regions.remove(piece)
            piece.close()
        self.pieces.clear()

    # what the guest does

    def _find(self, at):
        for piece in self.pieces.values():
            if piece.at <= at < piece.at + piece.size:
                return piece
        raise Failure(f"nothing is mapped at {at:#x} of the window")

    def load(self, at, n):
        out = b""
        with self.lock:
            while n > 0:
                piece = self._find(at)
                part = min(n, piece.at + piece.size - at)
                out += piece.map[at - piece.at:at - piece.at + part]
                at, n = at + part, n - part
        return out

    def store(self, at, data):
        with self.lock:
            while data:
                piece = self._find(at)
                part = min(len(data), piece.at + piece.size - at)
                piece.map[at - piece.at:at - piece.at + part] = data[:part]
                at, data = at + part, data[part:]

    def mapped(self):
        """The ranges that have something, neighbours joined."""
        out = []
        with self.lock:
            for at in sorted(self.pieces):
                if out and out[-1][0] + out[-1][1] == at:
                    out[-1] = (out[-1][0], out[-1][1] + self.pieces[at].size)
                else:
                    out.append((at, self.pieces[at].size))
        return out

    # what the daemon asks

    def _receive(self, sock):
        data, anc, _flags, _addr = sock.recvmsg(12, 256)
        fds = array.array("i")
        for _level, _kind, got in anc:
            fds.frombytes(got)
        if not data:
            return None
        equal(len(data), 12, "header of a request of the daemon")
        number, flags, size = struct.unpack("<III", data)
        equal(flags, VERSION | NEED_REPLY, "flags of a request of the daemon")
        body = sock.recv(size, socket.MSG_WAITALL)
        equal(len(body), size, "body of a request of the daemon")
        return number, body, list(fds)

    def _map(self, at, length, fd, offset):
        ends_at = os.fstat(fd).st_size
        if length == 0 or at + length > self.size or offset + length > -(-ends_at // PAGE) * PAGE:
            return None
        if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDWR:
            return None
        inside = [p for p in self.pieces.values() if p.at < at + length and at < p.at + p.size]
        if any(not (self.over and at <= p.at and p.at + p.size <= at + length) for p in inside):
            return None
        for piece in inside:
            self._forget(piece)
        self.pieces[at] = piece = Piece(at, length, os.dup(fd), offset)
        self.fe.mem.regions.append(piece)
        return piece

    def _forget(self, piece):
        del self.pieces[piece.at]
        self.fe.mem.regions.remove(piece)
        if piece.told:
            self.fe.do(vu.REM_MEM_REG, vu.mem_reg(piece))
        piece.close()

    def _change(self, number, body, fds):
        """Carries a request out; what it answers."""
        equal(len(body), CHANGE.size, "size of a request for a change")
        shmid, offset, at, length, _flags = CHANGE.unpack(body)
        equal(shmid, 0, "region of a change")
        equal(len(fds), number == MAP, f"descriptors with {NAMES[number]}")
        self.log.append((NAMES[number], at, length))
        if self.refuse(NAMES[number], at, length):
            return 1
        if number == MAP:
            with self.lock:
                piece = self._map(at, length, fds[0], offset)
            if piece and self.tell:
                self.fe.do(vu.ADD_MEM_REG, vu.mem_reg(piece), [fds[0]])
                piece.told = True
            return int(piece is None)
        piece = self.pieces.get(at)
        if not piece or piece.size != length:
            return 1
        with self.lock:
            self._forget(piece)
        return 0

    def _serve(self, sock):
        try:
            while (request := self._receive(sock)) is not None:
                number, body, fds = request
                self.waiting = not self.went.is_set()
                self.went.wait(HANG)
                self.waiting = False
                check(number in NAMES, "the daemon asks for", number)
                answer = self._change(number, body, fds) if number != OBJECT_REMOVE else 1
                if number == OBJECT_REMOVE:
                    self.log.append(("barrier", 0, 0))
                for fd in fds:
                    os.close(fd)
                sock.sendall(self.lie or struct.pack("<III", number, VERSION | REPLY, 8) +
                             u64(answer))
        except (BrokenPipeError, ConnectionResetError, vu.Closed):
            pass
        except Exception as e:  # told when the case ends
            self.failed = e
            sock.close()


class WindowFrontend(Frontend):
    """A front-end with a window: up() opens it before the queues run."""

    tells = True
    window = None

    def negotiate(self, features=vu.F_ALL, protocol=vu.P_ALL | vu.P_WINDOW):
        super().negotiate(features, protocol)
        equal(self.protocol & vu.P_WINDOW, protocol & vu.P_WINDOW, "features of the window")
        self.window = Window(self, self.tells)
        return self
