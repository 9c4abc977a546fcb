# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=300 jobs=2 needs=make,gcc-12,unshare
"""Dirty pages of causeway.ko, option writeback: what the server cannot write is told once to each who
has the file open, and to syncfs(2); a server that stands still holds up who writes to it after a few
of them, and nobody else; and a group of processes that has less memory than it writes goes on. A guest
of each kernel at the same time."""
import concurrent.futures
import os
import signal
import sys
import time

import kmod
from guest import COMMAND_SECONDS, Daemon, check, host, same, skip, warnings_of

# All happens in a mount namespace of its own, so that no mount outlives the test.
if "CAUSEWAY_OWN_MOUNTS" not in os.environ:
    if os.getuid() != 0:
        skip("needs root, to mount")
    os.environ["CAUSEWAY_OWN_MOUNTS"] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable,
                          *sys.argv])

MIB = 1 << 20
ROOM = 4 * MIB  # of the share that is full soon
# May be dirty where the server does not answer: 1 % of what all may, of 512 MiB, and what is
# under way; far less than all may.
FEW = 4 * MIB
MUCH = 16 * MIB
# A task that waits for so long ends the guest.
HUNG = 60
APPEND = (f"sysctl.kernel.hung_task_timeout_secs={HUNG}", "sysctl.kernel.hung_task_panic=1")

# Who has opened it before the error, whatever for, hears of it; who does so when it is known does not.
ERRORS = r"""
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
path = sys.argv[1] + "/f"
def told(call, fd):
    return errno.errorcode[ctypes.get_errno()] if call(fd) < 0 else "-"
one = os.open(path, os.O_RDWR | os.O_CREAT)
two, closed, reader = (os.open(path, how) for how in (os.O_RDWR, os.O_RDWR, os.O_RDONLY))
top = os.open(sys.argv[1], os.O_RDONLY)
def all(*fds):
    print(*(told(libc.fsync, fd) for fd in fds))
all(one, two, reader)
os.pwrite(one, b"x" * int(sys.argv[2]), 0)
all(one, one, two, two, reader, reader)
print(told(libc.close, closed))
late = os.open(path, os.O_RDWR)
all(late)
print(told(libc.syncfs, top), told(libc.syncfs, top))
os.ftruncate(one, 0)
os.pwrite(one, b"small", 0)
all(one, two, reader, late)
print(os.pread(late, 10, 0).decode())
"""


class Share:
    """A daemon's, with what file system below it."""

    def __init__(self, name, size):
        os.mkdir(name)
        host(f"mount -t tmpfs -o size={size} tmpfs {name}")
        self.daemon = Daemon(name, "--writeback", name=name)


def tell_errors(guest, daemon):
    tag = daemon.name
    got = guest.run(f"cat > /tmp/errors.py <<'END'\n{ERRORS}\nEND\n"
                    f"python3 /tmp/errors.py /mnt/{tag} {2 * ROOM}", 2 * COMMAND_SECONDS).splitlines()
    same("what they are told", got, [
        "- - -", "ENOSPC - ENOSPC - ENOSPC -", "ENOSPC", "-", "ENOSPC -", "- - - -", "small"])
    same("on the host", host(f"cat {tag}/f"), "small")


def dirty(guest):
    """Bytes, of all file systems; of which only ours writes."""
    return 1024 * sum(map(int, guest.run(
        "awk '/^(Dirty|Writeback):/ {print $2}' /proc/meminfo").split()))


def stalled(guest):
    """Whether the writer waits, when it writes no more: it has not come to its end. It writes page by
    page: at first there may be room for a few only."""
    was, now = -1, 0
    while was != now or now <= 1 << 12:  # before that dd has not begun
        was, now = now, int(guest.run("exec 9>&-; sleep 1; awk '/wchar/ {print $2}' /proc/$writer/io"))
    return 0 < now < MUCH and guest.run("cut -d' ' -f3 /proc/$writer/stat").strip() in "DS"


def limit(guest, daemon):
    """The writer waits for pages to go out; another file system's does not."""
    tag = daemon.name
    guest.run(f"""mkfifo /tmp/go
        (echo; read -r x </tmp/go; exec dd if=/dev/zero bs=4k count={MUCH >> 12} status=none) >/mnt/{tag}/much &
        writer=$!; exec 9>/tmp/go; sync -f /mnt/{tag}""")
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        same("the writer", stalled(guest), True)
        most = dirty(guest)
        print(f"{tag}: {most >> 10} KiB are dirty", flush=True)
        check(most < FEW, f"{most} bytes are dirty")
        guest.run("mkdir -p /tmp/other; mount -t tmpfs tmpfs /tmp/other; "
                  "dd if=/dev/zero of=/tmp/other/f bs=64k count=64 status=none; umount /tmp/other")
        same("the writer later", stalled(guest), True)
    finally:
        os.kill(daemon.pid, signal.SIGCONT)
    guest.run(f"wait $writer && sync -f /mnt/{tag}", 2 * COMMAND_SECONDS)
    same("size on the host", os.path.getsize(f"{tag}/much"), MUCH + 1)


def reclaim(guest, daemon):
    """16 MiB for programs, their pages and ours; four write together twice as much, read it and
    compare."""
    tag = daemon.name
    guest.run(f"""mkdir -p /tmp/cg; mount -t cgroup2 none /tmp/cg
        echo +memory > /tmp/cg/cgroup.subtree_control; mkdir /tmp/cg/few
        echo 12M > /tmp/cg/few/memory.high; echo 16M > /tmp/cg/few/memory.max
        head -c 1M /dev/urandom > /tmp/bytes""")
    guest.run(f"""(echo 0 > /tmp/cg/few/cgroup.procs; for n in 1 2 3 4; do
            (for i in $(seq 8); do cat /tmp/bytes; done > /mnt/{tag}/r$n) & done; wait
        for n in 1 2 3 4; do (for i in $(seq 8); do cat /tmp/bytes; done) | cmp - /mnt/{tag}/r$n || exit 1; done)""",
              3 * COMMAND_SECONDS)
    check("\nhigh 0\n" not in guest.run("cat /tmp/cg/few/memory.events"), "memory was never scarce")
    guest.run("rmdir /tmp/cg/few; umount /tmp/cg")


def one_kernel(kernel):
    full, wide = Share(f"full-{kernel}", ROOM), Share(f"wide-{kernel}", 8 * MUCH)
    daemons = full.daemon, wide.daemon
    guest = kmod.KmodGuest(kernel, "--memory", "512M", *(
        w for d in daemons for w in kmod.share(d, "writeback,server_timeout=600")), *(
        w for a in APPEND for w in ("--append", a)))
    began = time.monotonic()
    for part, share in ((tell_errors, full), (limit, wide), (reclaim, wide)):
        part(guest, share.daemon)
        print(f"{kernel}: {part.__name__}: {time.monotonic() - began:.0f} s", flush=True)
    for d in daemons:
        guest.run(f"umount /mnt/{d.name}")
    guest.unload()
    same("kernel warnings", warnings_of(guest), [])
    same("status", [guest.close(), *(d.wait() for d in daemons)], [0, 0, 0])


with concurrent.futures.ThreadPoolExecutor() as threads:
    list(threads.map(one_kernel, kmod.KERNELS))
