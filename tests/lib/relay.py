# SPDX-License-Identifier: BSD-2-Clause
"""Between a VMM and a Daemon: passes vhost-user messages and their descriptors on, and has QEMU 11.1 map the
version table in shared memory region 1. By itself that refuses what is not open for writing, as a table never
is (docs/coherence.md); here it gets a descriptor that is, of the same file, or of another one. And it crashes
when a guest resets a device that has the table there: so the first driver of the guest, from which ours takes
the device, gets none: its map is not answered until it has gone."""
import array
import functools
import os
import socket
import struct
import threading

GET_VRING_BASE, SET_BACKEND_REQ_FD = 11, 21
SHMEM_MAP = 9  # of the back-end, on its own channel
TABLE_REGION, WRITABLE = 1, 1
VERSION, REPLY = 1, 4
HEADER = struct.Struct("<III")       # request, flags, size
MAP = struct.Struct("<B7xQQQQ")      # region, offset in the file, offset there, length, flags
NO = struct.Struct("<IIIQ")
MOST_FDS = 8


def receive(sock):
    """A message: (header and payload, its descriptors); b"" at the end."""
    data, fds = b"", array.array("i")
    want = HEADER.size
    while len(data) < want:
        part, more, _, _ = sock.recvmsg(want - len(data), socket.CMSG_LEN(MOST_FDS * fds.itemsize))
        for level, kind, content in more:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(content[:len(content) // fds.itemsize * fds.itemsize])
        if not part:
            return b"", []
        data += part
        if len(data) == HEADER.size:
            want += HEADER.unpack(data)[2]
    return data, list(fds)


def pump(source, sink, change):
    """Passes on what comes until one side has gone, and then says so to the other."""
    try:
        while (message := receive(source))[0]:
            data, fds = change(*message)
            sent = sink.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                          array.array("i", fds))] if fds else []) if data else 0
            sink.sendall(data[sent:])
            for fd in fds:
                os.close(fd)
    except OSError:
        pass
    for sock in (source, sink):
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def start(*words):
    threading.Thread(target=pump, args=words, daemon=True).start()


def as_it_is(data, fds):
    return data, fds


class Relay:
    """For one VMM. instead: the path of a file that is mapped in the table's place."""

    def __init__(self, daemon, instead=None):
        self.name = daemon.name
        self.socket = os.path.abspath(f"{daemon.name}.relay")
        self.instead = instead
        self.stopped = threading.Event()  # by the first driver
        self.mapped = 0  # tables, so far
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.socket)
        listener.listen(1)
        threading.Thread(target=self.serve, args=(listener, daemon.socket), daemon=True).start()

    def serve(self, listener, path):
        vmm = listener.accept()[0]
        daemon = socket.socket(socket.AF_UNIX)
        daemon.connect(path)
        start(daemon, vmm, as_it_is)
        pump(vmm, daemon, self.from_vmm)

    def from_vmm(self, data, fds):
        """The back-end's own channel goes through us, too."""
        request = HEADER.unpack_from(data)[0]
        if request == GET_VRING_BASE:
            self.stopped.set()
        if request != SET_BACKEND_REQ_FD:
            return data, fds
        vmm = socket.socket(fileno=fds[0])
        ours, theirs = socket.socketpair()
        start(ours, vmm, functools.partial(self.from_daemon, ours))
        start(vmm, ours, as_it_is)
        return data, [theirs.detach()]

    def from_daemon(self, ours, data, fds):
        if HEADER.unpack_from(data)[0] != SHMEM_MAP:
            return data, fds
        region, *places, flags = MAP.unpack_from(data, HEADER.size)
        if region != TABLE_REGION:
            return data, fds
        if not self.stopped.is_set():
            self.stopped.wait()
            ours.sendall(NO.pack(SHMEM_MAP, VERSION | REPLY, 8, 1))
            return b"", fds
        again = os.open(self.instead or f"/proc/self/fd/{fds[0]}", os.O_RDWR)
        os.close(fds[0])
        self.mapped += 1
        return data[:HEADER.size] + MAP.pack(region, *places, flags | WRITABLE), [again]
