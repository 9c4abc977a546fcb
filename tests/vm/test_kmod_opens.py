# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=300 needs=make,gcc-12
"""What causeway.ko does with a server that answers CW_HELLO, counted by the requests that it sends: files
that are pinned are opened without one, and mean what they did with one; others are not, nor any where
the server gives no pins or knows nothing of them. A signal ends a wait for a lock."""
import os
import re
import subprocess

import kmod
from guest import CAUSEWAY, FULL, Daemon, check, host, same, wait_for, warnings_of
from mounted import Virtiofsd
from opened import open_modes

OPCODES = {"OPEN": 14, "READ": 15, "WRITE": 16, "RELEASE": 18, "INTERRUPT": 36}

# Whoever waits is told to stop until it does: the first signal may come before it waits. What is left of
# the lock then is looked at while it still lives.
LOCKS = r"""
import ctypes, fcntl, os, select, signal, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def result(r):
    return ctypes.get_errno() if r < 0 else 0
def posix(fd, kind, wait):
    what = struct.pack("hhqqi0q", kind, 0, 0, 0, 0)
    return result(libc.fcntl(fd, fcntl.F_SETLKW if wait else fcntl.F_SETLK, what))
def flock(fd, kind, wait):
    how = {fcntl.F_WRLCK: fcntl.LOCK_EX, fcntl.F_UNLCK: fcntl.LOCK_UN}[kind]
    return result(libc.flock(fd, how | (0 if wait else fcntl.LOCK_NB)))
def another(lock):
    pid = os.fork()
    if not pid:
        os._exit(lock(os.open(sys.argv[1], os.O_RDWR), fcntl.F_WRLCK, False))
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.siginterrupt(signal.SIGUSR1, True)
for lock in posix, flock:
    fd = os.open(sys.argv[1], os.O_RDWR)
    assert lock(fd, fcntl.F_WRLCK, False) == 0
    said, say = os.pipe()
    stay, go = os.pipe()
    waiter = os.fork()
    if not waiter:
        os.close(go)
        os.write(say, b"%d" % lock(os.open(sys.argv[1], os.O_RDWR), fcntl.F_WRLCK, True))
        os.read(stay, 1)
        os._exit(0)
    while not select.select([said], [], [], 0.2)[0]:
        os.kill(waiter, signal.SIGUSR1)
    print(lock.__name__, os.read(said, 10).decode(), another(lock), end=" ")
    lock(fd, fcntl.F_UNLCK, False)
    print(another(lock))
    os.close(go)
    os.waitpid(waiter, 0)
    os.close(fd)
"""


def sent(guest, tag):
    numbers = guest.sent(tag)
    return {name: numbers[opcode] for name, opcode in OPCODES.items()}


def costs(guest, tag, command, *names):
    """How many of these requests a command costs, by name."""
    before = sent(guest, tag)
    guest.run(command)
    after = sent(guest, tag)
    return [after[name] - before[name] for name in names]


def opens(guest, tag, pinned):
    """Reads and writes by several opens: the first of each kind is sent, and the others where nothing
    is pinned. On both sides the file is changed in between."""
    path = f"/mnt/{tag}/f"
    host(f"printf 1 > {tag}/f")
    n = 0 if pinned else 3
    same(f"{tag}: the first open", costs(guest, tag, f"cat {path}", "OPEN"), [1])
    same(f"{tag}: reading", costs(guest, tag, f"for i in 1 2 3; do cat {path}; done", "OPEN", "READ")[0], n)
    host(f"printf 23 > {tag}/f")
    same(f"{tag}: what the host wrote", guest.run(f"cat {path}"), "23")
    check(costs(guest, tag, f"cat {path}", "READ")[0] > 0, f"{tag}: nothing was read from the server")
    same(f"{tag}: the first open to append", costs(guest, tag, f"printf 4 >> {path}", "OPEN"), [1])
    for more in "57":
        host(f"printf {more} >> {tag}/f")
        same(f"{tag}: appending", costs(guest, tag, f"printf {int(more) + 1} >> {path}", "OPEN", "WRITE"),
             [n // 3, 1])
    same(f"{tag}: what all have written", (host(f"cat {tag}/f"), guest.run(f"cat {path}")),
         ("2345678", "2345678"))
    # Truncating is a request's to do, and O_NOATIME is of an open file.
    same(f"{tag}: truncating", costs(guest, tag, f"printf new > {path}", "OPEN"), [1])
    same(f"{tag}: O_NOATIME", costs(guest, tag, f"dd if={path} iflag=noatime status=none", "OPEN"), [1])
    same(f"{tag}: others", costs(guest, tag, f"cat {path} {path} {path}", "OPEN"), [n])
    # Whoever may not open it, may not with a pin.
    somebody = f"setpriv --reuid 1000 --clear-groups cat {path}"
    guest.run(f"{somebody}; chmod 600 {path}")
    status, _ = guest.try_run(somebody)
    check(status != 0, f"{tag}: somebody else has read a file of mode 600")


def synced(guest, tag):
    """What is to be on the disk, and at the end, is so without an open file to say it."""
    path = f"/mnt/{tag}/f"
    same(f"{tag}: O_SYNC and O_APPEND",
         costs(guest, tag, f"printf 9 | dd of={path} oflag=sync,append conv=notrunc status=none",
               "OPEN", "WRITE"), [0, 1])


def says_synced(record):
    """Whether one WRITE of a recording did both."""
    done = subprocess.run([CAUSEWAY, "decode", record], stdout=subprocess.PIPE, text=True, check=True)
    flags = [int(m, 8) for m in re.findall(r"(?m)WRITE .*\bflags (0[0-7]*)", done.stdout)]
    both = os.O_SYNC | os.O_APPEND
    check([f for f in flags if f & both == both], f"flags of WRITEs: {sorted(set(map(oct, flags)))}\n"
          f"{done.stdout[-500:]}")


def forgotten(guest, daemon, tag):
    """The server has the file open until the guest forgets it, and for writing not when it may be
    executed; then it is opened again."""
    path = f"/mnt/{tag}/f"
    same(f"{tag}: is open", open_modes(daemon.pid, "f"), [os.O_RDONLY, os.O_WRONLY])
    guest.run(f"chmod 700 {path}")
    same(f"{tag}: an executable is open", open_modes(daemon.pid, "f"), [os.O_RDONLY])
    same(f"{tag}: writing to it", costs(guest, tag, f"printf '#!/bin/true\n' >> {path}", "OPEN"), [0])
    host(f"printf '#!/bin/true\n' > {tag}/f; {tag}/f")
    # Somebody may hold the inode in the moment that caches are dropped.
    wait_for("the file is closed", lambda: guest.run("echo 2 > /proc/sys/vm/drop_caches") or
             open_modes(daemon.pid, "f") == [])
    same(f"{tag}: opens of what was forgotten", costs(guest, tag, f"cat {path} {path}", "OPEN"), [1])


def locks(guest, daemon, tag):
    before = sent(guest, tag)["INTERRUPT"]
    got = guest.run(f"cat > /tmp/locks.py <<'END'\n{LOCKS}\nEND\n"
                    f": > /mnt/{tag}/lock; python3 /tmp/locks.py /mnt/{tag}/lock")
    # EINTR; another one is refused as long as the first holder is there, and then is not.
    same("waits", got.splitlines(), ["posix 4 11 0", "flock 4 11 0"])
    check(sent(guest, tag)["INTERRUPT"] - before >= 2, "the server was told of no signal")
    daemon.statistics()
    check(", 0 waits" in daemon.text().splitlines()[-1], daemon.text()[-400:])


def one_kernel(kernel):
    names = [f"{what}{kernel.replace('.', '-')}" for what in ("ours", "none", "theirs")]
    for name in names:
        os.mkdir(name)
    record = os.path.abspath(f"{names[0]}.record")
    ours = Daemon(names[0], "--posix-lock", "--flock", "--record", record, name=names[0])
    none = Daemon(names[1], "--pins", "0", name=names[1])
    theirs = Virtiofsd(names[2])
    guest = kmod.KmodGuest(kernel, *(w for d in (ours, none, theirs) for w in kmod.share(d, "cache=none")))
    for name in names:
        opens(guest, name, name == names[0])
    synced(guest, names[0])
    forgotten(guest, ours, names[0])
    locks(guest, ours, names[0])
    same("kernel warnings", warnings_of(guest), [])
    guest.run(f"umount {' '.join(f'/mnt/{name}' for name in names)}")
    wait_for("all files are closed", lambda: open_modes(ours.pid, "f") == [])
    guest.unload()
    same("status", (guest.close(), ours.wait(), none.wait()), (0, 0, 0))
    theirs.wait()
    says_synced(record)


for version in kmod.KERNELS if FULL else ("6.12",):
    one_kernel(version)
