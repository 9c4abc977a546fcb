# SPDX-License-Identifier: BSD-2-Clause
"""One well-formed request per FUSE opcode, to be sent as it is or spoilt.

OPS maps a name to a function of a Context; it returns nodeid, arguments and the bytes of reply
data that belong to success.
"""

import os
import struct

from fuse import FATTR_MODE, ROOT, name, read_in, setattr_in, write_in


class Context:
    """Nodes and handles of the known tree, and a supply of fresh ones."""

    def __init__(self, world):
        self.w, self.fs, self.root = world, world.fs, world.daemon.share
        fs = self.fs
        self.file = fs.lookup("file").nodeid
        self.file_fh = fs.open(self.file)
        entry, self.work_fh = fs.create("work")
        self.work = entry.nodeid
        fs.write(self.work, self.work_fh, 0, b"0123456789" * 10)
        self.dir = fs.lookup("dir").nodeid
        self.dir_fh = fs.opendir(self.dir)
        self.link = fs.lookup("link").nodeid
        self.count = 0

    def fresh(self):
        """A name that is not in use, 6 characters. A spoilt request may have made one of them."""
        while True:
            self.count += 1
            text = f"n{self.count:05}"
            if not os.path.lexists(os.path.join(self.root, text)):
                return text

    def fresh_file(self):
        """The name of a file that exists on the host."""
        text = self.fresh()
        with open(os.path.join(self.root, text), "w") as f:
            f.write(text)
        return text

    def fresh_dir(self):
        text = self.fresh()
        os.mkdir(os.path.join(self.root, text))
        return text


def release(c, opened):
    return struct.pack("<QIIQ", opened, 0, 0, 0)


OPS = {
    "LOOKUP": lambda c: (ROOT, name("file"), 128),
    "FORGET": lambda c: (c.file, struct.pack("<Q", 0), 0),
    "GETATTR": lambda c: (c.file, struct.pack("<IIQ", 0, 0, 0), 104),
    "SETATTR": lambda c: (c.work, setattr_in(FATTR_MODE, mode=0o100600), 104),
    "READLINK": lambda c: (c.link, b"", 4),
    "SYMLINK": lambda c: (ROOT, name(c.fresh(), "target"), 128),
    "MKNOD": lambda c: (ROOT, struct.pack("<4I", 0o100644, 0, 0, 0) + name(c.fresh()), 128),
    "MKDIR": lambda c: (ROOT, struct.pack("<II", 0o755, 0) + name(c.fresh()), 128),
    "UNLINK": lambda c: (ROOT, name(c.fresh_file()), 0),
    "RMDIR": lambda c: (ROOT, name(c.fresh_dir()), 0),
    "RENAME": lambda c: (ROOT, struct.pack("<Q", c.dir) + name(c.fresh_file(), c.fresh()), 0),
    "RENAME2": lambda c: (ROOT, struct.pack("<QII", c.dir, 1, 0) +
                          name(c.fresh_file(), c.fresh()), 0),
    "LINK": lambda c: (ROOT, struct.pack("<Q", c.work) + name(c.fresh()), 128),
    "OPEN": lambda c: (c.file, struct.pack("<II", 0, 0), 16),
    "CREATE": lambda c: (ROOT, struct.pack("<4I", 0o102, 0o644, 0, 0) + name(c.fresh()), 144),
    "READ": lambda c: (c.file, read_in(c.file_fh, 0, 13), 13),
    "WRITE": lambda c: (c.work, write_in(c.work_fh, 0, 10) + b"abcdefghij", 8),
    "STATFS": lambda c: (ROOT, b"", 80),
    "RELEASE": lambda c: (c.file, release(c, c.fs.open(c.file)), 0),
    "FSYNC": lambda c: (c.work, struct.pack("<QII", c.work_fh, 1, 0), 0),
    "FLUSH": lambda c: (c.work, struct.pack("<QIIQ", c.work_fh, 0, 0, 0), 0),
    "OPENDIR": lambda c: (c.dir, struct.pack("<II", 0o200000, 0), 16),
    "READDIR": lambda c: (c.dir, read_in(c.dir_fh, 0, 4096), 4096),
    "READDIRPLUS": lambda c: (c.dir, read_in(c.dir_fh, 0, 4096), 4096),
    "RELEASEDIR": lambda c: (c.dir, release(c, c.fs.opendir(c.dir)), 0),
    "FSYNCDIR": lambda c: (c.dir, struct.pack("<QII", c.dir_fh, 0, 0), 0),
    "ACCESS": lambda c: (c.file, struct.pack("<II", 4, 0), 0),
    "INTERRUPT": lambda c: (0, struct.pack("<Q", 0x1234), 0),
    "BATCH_FORGET": lambda c: (0, struct.pack("<IIQQQQ", 2, 0, c.file, 0, c.dir, 0), 0),
    "FALLOCATE": lambda c: (c.work, struct.pack("<QQQII", c.work_fh, 0, 200, 0, 0), 0),
    "LSEEK": lambda c: (c.work, struct.pack("<QQII", c.work_fh, 3, 3, 0), 8),
    "COPY_FILE_RANGE": lambda c: (c.file, struct.pack("<7Q", c.file_fh, 0, c.work, c.work_fh, 50,
                                                      5, 0), 8),
    "COPY_FILE_RANGE_64": lambda c: (c.file, struct.pack("<7Q", c.file_fh, 0, c.work, c.work_fh,
                                                         50, 5, 0), 8),
    "TMPFILE": lambda c: (ROOT, struct.pack("<4I", 0o20200002, 0o644, 0, 0) + name("/"), 144),
    "IOCTL": lambda c: (c.work, struct.pack("<QIIQII", c.work_fh, 0, 0x801C581F, 0, 0, 28), 44),
    "SYNCFS": lambda c: (ROOT, struct.pack("<Q", 0), 0),
    "STATX": lambda c: (c.file, struct.pack("<IIQII", 0, 0, 0, 0, 0x7FF), 288),
}

# Requests that this daemon does not serve without further options: all answered with -ENOSYS. Arguments as in the uapi.
UNSUPPORTED = {
    "SETXATTR": lambda c: struct.pack("<II", 1, 0) + name("user.a") + b"v",
    "GETXATTR": lambda c: struct.pack("<II", 100, 0) + name("user.a"),
    "LISTXATTR": lambda c: struct.pack("<II", 100, 0),
    "REMOVEXATTR": lambda c: name("user.a"),
    "GETLK": lambda c: struct.pack("<QQQQIIII", c.work_fh, 1, 0, 9, 1, 1, 0, 0),
    "SETLK": lambda c: struct.pack("<QQQQIIII", c.work_fh, 1, 0, 9, 1, 1, 0, 0),
    "SETLKW": lambda c: struct.pack("<QQQQIIII", c.work_fh, 1, 0, 9, 1, 1, 0, 0),
    "BMAP": lambda c: struct.pack("<QII", 0, 4096, 0),
    "POLL": lambda c: struct.pack("<QQII", c.work_fh, 0, 0, 1),
    "SETUPMAPPING": lambda c: struct.pack("<5Q", c.work_fh, 0, 4096, 3, 0),
    "REMOVEMAPPING": lambda c: struct.pack("<IQQ", 1, 0, 4096),
}

# Where in the arguments a handle stands.
HANDLES = {"READ": 0, "WRITE": 0, "RELEASE": 0, "FSYNC": 0, "FLUSH": 0, "READDIR": 0,
           "READDIRPLUS": 0, "RELEASEDIR": 0, "FSYNCDIR": 0, "FALLOCATE": 0, "LSEEK": 0,
           "COPY_FILE_RANGE": 0, "COPY_FILE_RANGE_64": 0, "IOCTL": 0}
# Where in the arguments a second node stands.
NODES = {"RENAME": 0, "RENAME2": 0, "LINK": 0}
# Requests on a node by its id alone.
BY_NODE = ("LOOKUP", "GETATTR", "SETATTR", "READLINK", "SYMLINK", "MKNOD", "MKDIR", "UNLINK",
           "RMDIR", "RENAME", "RENAME2", "LINK", "OPEN", "CREATE", "TMPFILE", "OPENDIR", "ACCESS", "STATX")
# How many names each takes, at the end of its arguments.
NAMED = {"LOOKUP": 1, "SYMLINK": 2, "MKNOD": 1, "MKDIR": 1, "UNLINK": 1, "RMDIR": 1, "RENAME": 2,
         "RENAME2": 2, "LINK": 1, "CREATE": 1}
