# SPDX-License-Identifier: BSD-2-Clause
"""A file system in memory through /dev/fuse that misbehaves as it is told, for daemons to share.

Run as a program: fuseserver.py MOUNTPOINT. It serves until the file system is unmounted. The root
has files whose names say what happens to them:

    fail-ENOSPC      WRITE fails with this error     broken-EIO      READ fails with it
    slow             READ and FSYNC are answered when a line comes on standard input
    mortal           when it is unlinked, "heir" takes its place, and its inode number
    twin-a, twin-b   two inodes with one number, as some servers have the names of one file
    everything else  holds what is written

Directory "many" has MANY files, listed without types, by position: unlinking one moves those after
it. Inode numbers are stable. There are no birth times and no file handles.
"""
import ctypes
import errno
import os
import select
import struct
import sys

MANY = 600
ROOT, DIR, FIRST = 1, 2, 3
ATTR = struct.Struct("<6Q10I")
LOOKUP, FORGET, GETATTR, SETATTR, UNLINK, OPEN, READ, WRITE = 1, 2, 3, 4, 10, 14, 15, 16
STATFS, RELEASE, FSYNC, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR = 17, 18, 20, 25, 26, 27, 28, 29
DESTROY, BATCH_FORGET, INTERRUPT = 38, 42, 36


def mount(where):
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={fd},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()},allow_other"
    if libc.mount(b"odd", os.fsencode(where), b"fuse.odd", 0, options.encode()) < 0:
        raise OSError(ctypes.get_errno(), "mount")
    return fd


class Failed(Exception):
    pass


class Server:
    def __init__(self, fd):
        self.fd = fd
        self.slow = []
        names = ["fail-ENOSPC", "fail-EDQUOT", "broken-EIO", "slow", "plain", "mortal", "heir",
                 "twin-a", "twin-b"]
        self.tree = {ROOT: {"many": DIR}, DIR: {}}
        self.data, self.names = {}, {}
        for ino, name in enumerate(names + [f"m{i}" for i in range(MANY)], FIRST):
            self.tree[ROOT if ino < FIRST + len(names) else DIR][name] = ino
            self.data[ino], self.names[ino] = b"data of " + name.encode(), name
        root = self.tree[ROOT]
        self.heir = root.pop("heir")
        self.numbers = {self.heir: root["mortal"], root["twin-b"]: root["twin-a"]}

    def attr(self, ino):
        mode = 0o040755 if ino in self.tree else 0o100644
        links = sum(ino in d.values() for d in self.tree.values())
        if links == 0 and self.names.get(ino) == "mortal":
            raise Failed(errno.ENOENT)
        return ATTR.pack(self.numbers.get(ino, ino), len(self.data.get(ino, b"")), 0,
                         *3 * [1000], *3 * [0], mode,
                         links or (2 if ino in self.tree else 0), 0, 0, 0, 4096, 0)

    def reply(self, unique, data=b"", error=0):
        os.write(self.fd, struct.pack("<IiQ", 16 + len(data), -error, unique) + data)

    def readdir(self, node, offset, size):
        out = b""
        for at, (name, ino) in enumerate(list(self.tree[node].items())[offset:], offset + 1):
            entry = struct.pack("<QQII", ino, at, len(name), 0) + name.encode()
            entry += bytes(-len(entry) % 8)
            if len(out) + len(entry) > size:
                break
            out += entry
        return out

    def fails(self, node, word):
        name = self.names.get(node, "")
        if name.startswith(word):
            raise Failed(getattr(errno, name[len(word):]))

    def handle(self, op, node, body):
        if op == INIT:
            return struct.pack("<4I2HII2HI28x", 7, 31, 65536, 1 << 5, 12, 9, 65536, 1, 0, 0, 0)
        if op == LOOKUP:
            name = body[:-1].decode()
            if name not in self.tree.get(node, {}):
                raise Failed(errno.ENOENT)
            ino = self.tree[node][name]
            return struct.pack("<4QII", ino, 0, 0, 0, 0, 0) + self.attr(ino)
        if op in (GETATTR, SETATTR):
            return struct.pack("<QII", 0, 0, 0) + self.attr(node)
        if op in (OPEN, OPENDIR):
            return struct.pack("<QII", node, 1, 0)  # direct I/O: each read comes here
        if op in (READDIR, READ):
            _, offset, size = struct.unpack_from("<QQI", body)
            if op == READDIR:
                return self.readdir(node, offset, size)
            self.fails(node, "broken-")
            return self.data[node][offset:offset + size]
        if op == WRITE:
            self.fails(node, "fail-")
            _, offset, size = struct.unpack_from("<QQI", body)
            old = self.data[node].ljust(offset, b"\0")
            self.data[node] = old[:offset] + body[40:40 + size] + old[offset + size:]
            return struct.pack("<II", size, 0)
        if op == UNLINK:
            name = body[:-1].decode()
            del self.tree[node][name]
            if name == "mortal":
                self.tree[node]["heir"] = self.heir
            return b""
        if op == STATFS:
            return struct.pack("<5Q4I24x", 1000, 500, 500, 100, 50, 4096, 255, 4096, 0)
        if op in (RELEASE, RELEASEDIR, FSYNC, FLUSH, DESTROY):
            return b""
        raise Failed(errno.ENOSYS)

    def serve_one(self):
        request = os.read(self.fd, 1 << 20)
        _, op, unique, node = struct.unpack_from("<IIQQ", request)
        if op in (FORGET, BATCH_FORGET, INTERRUPT):
            return
        if op in (READ, FSYNC) and self.names.get(node) == "slow":
            self.slow.append((op, unique, node, request))
            print("slow", flush=True)
            return
        self.answer(op, unique, node, request)

    def answer(self, op, unique, node, request):
        try:
            self.reply(unique, self.handle(op, node, request[40:]))
        except Failed as e:
            self.reply(unique, b"", e.args[0])

    def serve(self):
        p = select.poll()
        p.register(self.fd, select.POLLIN)
        p.register(0, select.POLLIN)
        while True:
            for fd, _ in p.poll():
                if fd == self.fd:
                    self.serve_one()
                elif sys.stdin.readline():
                    while self.slow:
                        self.answer(*self.slow.pop())
                else:
                    return


if __name__ == "__main__":
    server = Server(mount(sys.argv[1]))
    print("mounted", flush=True)
    try:
        server.serve()
    except OSError as e:
        if e.errno != errno.ENODEV:  # unmounted
            raise
