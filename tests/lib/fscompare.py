# SPDX-License-Identifier: BSD-2-Clause
"""Transcripts of fscases: run, read, compare with the host's, and the table of explained
differences.

An entry of the table says: in these modes this line reads so on a share, and why that is right or
cannot be had otherwise. An entry whose line reads as on the host fails the comparison too: a
difference that is gone must leave the table.
"""
import collections
import os
import re
import subprocess

Explained = collections.namedtuple("Explained", "line result modes reason")

# Modes are "none", "auto", "auto+writeback", "always", "always+writeback" and "metadata"; ALL
# stands for every one of them.
ALL = None
NOT_CACHED = ("none", "metadata")

XATTR = "extended attributes are served with --xattr only"
BTIME = "FUSE_STATX came with Linux 6.6; guests before it never ask"
FALLOCATE = "Linux's FUSE client knows no such mode"
SHARED_MAP = "FOPEN_DIRECT_IO: Linux before 6.6 refuses a shared mapping of what it does not cache"

# Of a shared mapping for writing that is refused.
MAP_SHARED_WRITE = (("shared", "ENODEV"), ("pread(fd, buf, 8, 4090)", None), ("read()", None),
                    ("msync(p, LEN, MS_SYNC)", None), ("munmap(p, LEN)", None), ("lstat f", None),
                    ("content of f", None))
EXPLAINED = [
    Explained('xattr: setxattr("f", "user.one", "value", 5, 0)', "EOPNOTSUPP", ALL, XATTR),
    Explained('xattr: getxattr("f", "user.one", buf, sizeof(buf))', "EOPNOTSUPP", ALL, XATTR),
    Explained('xattr: getxattr("f", "user.missing", buf, sizeof(buf))', "EOPNOTSUPP", ALL, XATTR),
    Explained('xattr: listxattr("f", buf, sizeof(buf)) >= 0', "0", ALL, XATTR),
    Explained('xattr: removexattr("f", "user.one")', "EOPNOTSUPP", ALL, XATTR),
    Explained("statx: birth time", "0", ALL, BTIME),
    Explained("allocate: fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, K64)", "EOPNOTSUPP", ALL,
              FALLOCATE),
    Explained("allocate: fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, K64)", "EOPNOTSUPP", ALL,
              FALLOCATE),
    *[Explained(f"{case}: {label}", result, NOT_CACHED, SHARED_MAP)
      for case, label, result in (
          ("map-shared-read", "shared", "ENODEV"),
          ("map-shared-read", "sum", None),
          ("map-shared-read", 'pwrite(fd, "changed", 7, 5000)', None),
          ("map-shared-read", "after write()", None),
          ("map-shared-read", "ftruncate(fd, 20000)", None),
          ("map-shared-read", 'pwrite(fd, "y", 1, 10001)', None),
          ("map-shared-read", "after growing", None),
          *(("map-shared-write", label, result) for label, result in MAP_SHARED_WRITE))],
]


# What QEMU's C virtiofsd does in another way.
NO_TMPFILE = "virtiofsd does not know TMPFILE, a newer opcode; nor does 1.14"
NO_STATX = "virtiofsd does not know STATX, a newer opcode; nor does 1.14"
KEEPS_SUID = "QEMU's virtiofsd leaves set-id bits where OPEN truncates"
VIRTIOFSD = [
    Explained('nameless: open(".", O_TMPFILE | O_RDWR, 0644)', "EOPNOTSUPP", ALL, NO_TMPFILE),
    *[Explained(f"nameless: {label}", None, ALL, NO_TMPFILE)
      for label in (
          'write(fd, "text", 4)',
          "fstat",
          'linkat(fd, "", AT_FDCWD, "named", AT_EMPTY_PATH)',
          "content of named",
          "lstat named",
          'unlink("named")',
          'write(fd, " and more", 9)',
          "fstat after unlink",
          'linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH)',
          "close(fd)",
          'open(".", O_TMPFILE | O_WRONLY, 0666)',
          "with a umask",
          'linkat(AT_FDCWD, link, AT_FDCWD, "d", AT_SYMLINK_FOLLOW)',
          "lstat d",
          'linkat(AT_FDCWD, link, AT_FDCWD, "d", AT_SYMLINK_FOLLOW) #2',
          'open(".", O_TMPFILE | O_EXCL | O_RDWR, 0644)',
          'linkat(fd, "", AT_FDCWD, "excluded", AT_EMPTY_PATH)',
          "ftruncate(fd, 100)",
          "for ever",
          'open(".", O_TMPFILE | O_RDONLY, 0644)',
          'open("d", O_TMPFILE | O_RDWR, 0644)')],
    Explained("statx: birth time", "0", ALL, NO_STATX),
    Explained("drop-suid: lstat trunc-open", "file 6775 links 1 owner 1234:1235 size 0", ALL,
              KEEPS_SUID),
]


# What causeway.ko does in another way; it has the extended attributes and the times of birth that
# the host has, on each kernel.
NOT_SHARED = "cache=shared: a store into a shared mapping tells nobody, so there is none"
KMOD = [
    *[Explained(f"map-shared-write: {label}", result, ("shared",), NOT_SHARED)
      for label, result in MAP_SHARED_WRITE],
    *[Explained(e.line, e.result, ("none",), e.reason) for e in EXPLAINED if e.reason == SHARED_MAP],
]

# With both virtiofsds, which leave the set-id bits to it.
KMOD_VIRTIOFSD = [e for e in VIRTIOFSD if e.reason != KEEPS_SUID]


def explained_for(major, minor):
    """The table for a guest whose kernel is not the stock 6.1."""
    gone = set()
    if (major, minor) >= (6, 6):
        gone.add(BTIME)
    return [e for e in EXPLAINED if e.reason not in gone]


def explained_here(virtiofsd=False):
    """The table for a mount on this machine, with our daemon or QEMU's."""
    version = os.uname().release.split(".")
    table = explained_for(int(version[0]), int(re.match(r"\d+", version[1]).group()))
    if virtiofsd:
        theirs = {e.line for e in VIRTIOFSD}
        table = [e for e in table if e.line not in theirs] + VIRTIOFSD
    return table


def canonical(mode):
    """The mode that a name of a run stands for: writeback needs a cache of data."""
    mode = {"never": "none", "no-readdirplus": "auto"}.get(mode, mode)
    base = mode.split("+")[0].replace("never", "none")
    return base if base in NOT_CACHED else mode


def read(text):
    """`CASE: LABEL = RESULT` lines as an ordered mapping; the second line of one label gets #2."""
    lines, seen = {}, collections.Counter()
    for line in text.splitlines():
        key, _, result = line.rpartition(" = ") if " = " in line else (line, "", "")
        # The result never holds " = "; a label may.
        seen[key] += 1
        lines[key if seen[key] == 1 else f"{key} #{seen[key]}"] = result
    return lines


def run_here(directory, only=None):
    """The transcript of a directory of this machine."""
    program = os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "tests/fs/fscases")
    argv = [program, directory] + (["--only", only] if only else [])
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=False)
    text = done.stdout.decode(errors="surrogateescape")
    if done.returncode:
        raise AssertionError(f"fscases ended with {done.returncode}:\n{text[-2000:]}")
    return read(text)


def names_of(lines):
    """The cases that a transcript is of."""
    return {k.split(": ")[0] for k in lines}


def cases_of(lines, names):
    """Those lines of a transcript that belong to the cases."""
    return {k: v for k, v in lines.items() if k.split(": ")[0] in names}


def differences(oracle, share, mode, explained=None):
    """What is wrong with a share's transcript, as lines of text; empty when nothing is."""
    cases = names_of(oracle)
    table = {e.line: e for e in (EXPLAINED if explained is None else explained)
             if (e.modes is ALL or mode in e.modes) and e.line.split(": ")[0] in cases}
    wrong = []
    for key in list(oracle) + [k for k in share if k not in oracle]:
        want, got = oracle.get(key), share.get(key)
        if key in table:
            if want == got:
                wrong.append(f"explained, yet as on the host: {key} = {got}"
                             f"  ({table[key].reason})")
            elif got != table[key].result:
                wrong.append(f"{key} = {got}, explained is {table[key].result}")
        elif want != got:
            wrong.append(f"{key} = {got}, on the host {want}")
    wrong += [f"explained, but no such line: {k}" for k in table
              if k not in oracle and k not in share]
    return [line.encode(errors="backslashreplace").decode() for line in wrong]
