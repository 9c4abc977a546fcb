# SPDX-License-Identifier: BSD-2-Clause
"""The file semantics cases through libcauseway (tests/client/posix): what is left out, what differs
from the host directory, and which requests they never make; each with the reason that docs/ways.md
gives. (What differs in guests is in fscompare.)

Where: in "all" runs, in those with "cached" data and names, with the "oldest" protocol that the
library speaks, with QEMU's C "virtiofsd".
"""
import collections
import glob
import os
import re

from fscompare import Explained

Excluded = collections.namedtuple("Excluded", "case where reason")

# Each run's places in the tables.
RUNS = {
    "none": ("all",),
    "auto": ("all", "cached"),
    "auto+writeback": ("all", "cached"),
    "always": ("all", "cached"),
    "always+writeback": ("all", "cached"),
    "shared": ("all",),
    "oldest": ("all", "oldest"),
    "virtiofsd": ("all", "virtiofsd"),
}

MAP = "a mapping needs a kernel"
PIPE = "a pipe is the kernel's, which knows nothing of the library's files"
LOCAL = "what devices, FIFOs and sockets do is of one machine: the library opens none"
PERMISSIONS = "the library checks no permissions: in a guest its kernel does, and nobody else is here"
GUESTS = "processes are guests here, and a guest that caches sees late what another changes (docs/caching.md)"
LOCKS = "virtiofsd takes locks, but waits for none"
NAMELESS = "virtiofsd makes no nameless files"

EXCLUDED = [
    *[Excluded(case, "all", MAP)
      for case in ("map-private", "map-shared-read", "map-shared-write", "map-modes", "execute")],
    Excluded("splice", "all", PIPE),
    *[Excluded(case, "all", LOCAL) for case in ("use-device", "use-fifo", "use-socket")],
    *[Excluded(case, "all", PERMISSIONS) for case in ("another-user", "sticky")],
    *[Excluded(case, "cached", GUESTS)
      for case in ("race-append", "race-churn", "race-replace", "race-stripes", "race-winners")],
    *[Excluded(case, "virtiofsd", LOCKS) for case in ("flock", "lock-waiting")],
    Excluded("nameless", "virtiofsd", NAMELESS),
]

HANDLES = "a handle of O_PATH will do for causeway_fchmod(), as causeway(3) says"
ONE_TREE = "an export is one tree, without /proc"
NAMES_FIRST = "of two errors the other: the library looks at both paths before it looks for the file"
STRANGERS = "the lock is another guest's, of whose processes nothing is known"
BIRTH = "the time of birth came with FUSE 7.39"
APPEND = "virtiofsd appends if the file was opened so, whatever a write says"
REMOVED = "virtiofsd lists a removed directory as an empty one"

# Lines of lock-ranges about a lock of the parent's: the number, the type, the start and the length.
HELD = ((3, 1, 10, 10), (4, 1, 10, 10), (5, 1, 10, 10), (6, 1, 10, 10), (8, 0, 20, 10),
        (9, 1, 10, 10), (10, 1, 10, 10), (15, 1, 10, 2), (16, 1, 10, 2), (20, 0, 20, 10),
        (21, 1, 10, 2), (22, 1, 10, 2))

EXPLAINED = [
    Explained("path-only: fchmod(fd, 0600)", "0", ("all",), HANDLES),
    Explained("path-only: fstat after unlink", "file 0600 links 0 owner 0:0 size 4", ("all",),
              HANDLES),
    Explained('errors: rename("f", "/proc/self/x")', "ENOENT", ("all",), ONE_TREE),
    *[Explained(f'long-names: rename("short", name) #{n}', "ENAMETOOLONG", ("all",), NAMES_FIRST)
      for n in (4, 5)],
    *[Explained(f"lock-ranges: held by #{n}",
                f"type {kind} from {start} for {length}, parent 0", ("all",), STRANGERS)
      for n, kind, start, length in HELD],
    Explained("statx: birth time", "0", ("oldest", "virtiofsd"), BIRTH),
    Explained("append: content of f", "7 bytes 'One,six'", ("virtiofsd",), APPEND),
    Explained("vectors: sum #2", "6d147e1866a776cc", ("virtiofsd",), APPEND),
    Explained("vectors: preadv(fd, v, 5, 50001)", "7433", ("virtiofsd",), APPEND),
    Explained("vectors: content of f", "57434 bytes sum 7785b497d7965df5", ("virtiofsd",), APPEND),
    Explained("removed-directory: syscall(SYS_getdents64, fd, buf, sizeof(buf))", "0",
              ("virtiofsd",), REMOVED),
]

# Requests that the library never makes for the cases, and the test that sends them.
UNSENT = {
    "FORGET": "unit/test_fuse_calls.c",
    "INTERRUPT": "unit/test_client_locks.c",
    "IOCTL": "proto/test_ioctl.py",
    "REMOVEMAPPING": "proto/test_dax.py",
    "SETUPMAPPING": "proto/test_dax.py",
}

# Requests that causeway.ko does not make for the cases, and why, or for what else it makes them.
KMOD_UNSENT = {
    "ACCESS": "the guest's kernel checks permissions; Linux's driver for virtio-fs sends none either",
    "COPY_FILE_RANGE": "only to servers without COPY_FILE_RANGE_64: vm/test_kmod_peers.py",
    "DESTROY": "by an unmount, when nothing counts any more: vm/test_kmod_requests.py",
    "FORGET": "only to see whether a server is alive; else it is BATCH_FORGET: vm/test_kmod_life.py",
    "INTERRUPT": "where a signal ends a wait: vm/test_kmod_opens.py",
    "IOCTL": "vm/test_kmod_features.py",
    "REMOVEMAPPING": "with a DAX window: vm/test_kmod_dax.py",
    "SETUPMAPPING": "with a DAX window: vm/test_kmod_dax.py",
}


def case_names(root):
    """Names in the tables at the ends of tests/fs/cases_*.c."""
    found = set()
    for path in glob.glob(os.path.join(root, "tests/fs/cases_*.c")):
        with open(path, encoding="utf-8") as f:
            table = re.search(r"const struct fs_case \w+_cases\[\] = \{(.*?)\};", f.read(), re.S)
        found.update(re.findall(r'\{"([^"]+)",', table.group(1)))
    return found


def served_opcodes(root):
    """Names of the operations that causewayd serves."""
    with open(os.path.join(root, "proto/fuse_ops.h"), encoding="utf-8") as f:
        return set(re.findall(r"^\s*X\((\w+),", f.read(), re.M))


def opcode_numbers(root):
    """{number: name} of these; the headers of the kernel's name those that are not new."""
    text = ""
    for path in ("/usr/include/linux/fuse.h", os.path.join(root, "proto/fuse_new.h")):
        with open(path, encoding="utf-8") as f:
            text += f.read()
    numbers = {}
    for name in served_opcodes(root):
        number = re.search(rf"\bFUSE_{name}\b(?:\s*=\s*|\s+)(\d+)", text)
        numbers[int(number.group(1))] = name
    return numbers


def excluded(run):
    """Cases that a run leaves out."""
    return {e.case for e in EXCLUDED if e.where in RUNS[run]}


def explained(run):
    """What fscompare shall take as explained in a run."""
    return [e for e in EXPLAINED if set(e.modes) & set(RUNS[run])]
