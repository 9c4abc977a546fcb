# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=1500 needs=stress-ng
"""stress-ng's file system stressors in a guest, on a share in the default mode with --xattr, and
under --full with writeback, and those that lock with locks on the host too: each verifies what it
did. One that fails counts if it passes on the host's own directory. Plain runs take the quick
ones; the share with writeback those to which it makes a difference."""
import os
import re
import time

from guest import FULL, Daemon, Guest, check, fast_qemu, host, same, warnings_of

# (stressor, operations): few, where one operation is many calls or waits for the disk.
FEW = (("access", 20), ("chmod", 20), ("dentry", 100), ("flock", 200), ("fstat", 50),
       ("getdent", 50), ("locka", 200), ("lockf", 200), ("rename", 200), ("seek", 30),
       ("utime", 200), ("xattr", 3), *((name, 5) for name in (
           "chown", "copy-file", "dir", "dirdeep", "dirmany", "dup", "fallocate", "fault", "fcntl",
           "file-ioctl", "fsize", "hdd", "io", "iomix", "lease", "lockofd", "mknod", "open",
           "sendfile", "sync-file", "touch")))
# Those that --full adds: events of changes, asynchronous and mapped writes, flags, handles.
MORE = (("aio", 20), ("aiol", 20), ("chattr", 5), ("dnotify", 20), ("fanotify", 5),
        ("handle", 50), ("inotify", 5), ("msync", 20), ("revio", 20))
# An operation of these makes and removes thousands of names, or maps all of a file. (Not here: fiemap,
# which Linux's FUSE client does not have; readahead and fpunch, whose files take longer to write than
# they may; verity, which no file system below has.)
REST = (("link", 1), ("symlink", 1), ("mmap", 1), ("filename", 5))
# Linux asks for holes without writing back first (docs/semantics.md); the others neither write nor
# look at what was written.
NOT_ON = {"writeback": (
    "seek", "access", "chattr", "dentry", "dir", "dirdeep", "dirmany", "dnotify", "dup", "fanotify",
    "fcntl", "filename", "flock", "getdent", "handle", "inotify", "lease", "link", "locka", "lockf",
    "lockofd", "mknod", "symlink")}
# lockf kills who waits for a lock that it holds, and waits for its end; Linux's virtio_fs lets such a
# process end only when it has the lock: docs/semantics.md.
LOCKING = (("flock", 200), ("locka", 200), ("lockofd", 5), ("fcntl", 5), ("lease", 5))
STRESSORS = {"locks": LOCKING}
# It maps memory unless it is told, which no file system sees.
OPTIONS = {"mmap": "--mmap-file --mmap-bytes 256k"}
ALL = FEW + MORE + REST if FULL else FEW


def command(name, count, where):
    # Most end with their operations, and have time on a busy machine; one operation of these two
    # is as long as they may run.
    seconds = 2 if name in ("link", "symlink") else 60
    return (f"mkdir -p {where}; stress-ng --temp-path {where} --{name} 1 --{name}-ops {count} "
            f"{OPTIONS.get(name, '')} --timeout {seconds} --verify --metrics-brief 2>&1")


def done(name, text):
    """How many operations a run did."""
    found = re.search(rf"metrc:.*\] {re.escape(name)} +(\d+) ", text)
    return int(found.group(1)) if found else 0


def run_all(guest, tag):
    """What failed on this share, and not on the host."""
    for name, count in STRESSORS.get(tag, ALL):
        if name in NOT_ON.get(tag, ()):
            continue
        begin = time.monotonic()
        status, text = guest.try_run(command(name, count, f"/mnt/{tag}/t"), 150)
        print(f"{tag}: {name}: {done(name, text)} in {time.monotonic() - begin:.1f} s", flush=True)
        if status == 0 and done(name, text) > 0:
            continue
        ours = host(command(name, count, "own") + "; echo status $?", check_status=False)
        if "status 0" not in ours or done(name, ours) == 0:
            print(f"{tag}: {name} fails on the host too:\n{ours}")
            continue
        yield f"{tag}: {name}: status {status}\n{text}"


shares = {"plain": ("--xattr",)}
if FULL:
    shares["writeback"] = ("--xattr", "--cache", "always", "--writeback")
    shares["locks"] = ("--xattr", "--posix-lock", "--flock")
daemons = []
for tag, options in shares.items():
    os.mkdir(tag)
    daemons.append(Daemon(tag, *options, name=tag))
vm = Guest(*fast_qemu(), *[o for d in daemons for o in ("--socket", f"{d.socket}:{d.name}")], "--cpus", "2",
           "--memory", "1G")
failed = []
for tag in shares:
    failed += run_all(vm, tag)
    same(f"left in {tag}", vm.run(f"ls -A /mnt/{tag}/t"), "")
failed += warnings_of(vm)
same("status", vm.close(), 0)
for d in daemons:
    same(f"{d.name}: status", d.wait(), 0)
    queues, _, _ = d.last_statistics()
    same(f"{d.name}: ring errors", sum(q["errors"] for q in queues.values()), 0)
check(not failed, "\n".join(failed))
