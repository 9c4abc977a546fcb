# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=120 builds=plain,asan,tsan
"""Locks that are waited for: a signal ends the wait with EINTR, and with it the request; more may
wait than there are slots, and the unlock still gets through; killed processes wait no more."""
import errno
import fcntl
import os
import signal
import struct
import subprocess
import sys
import threading

from guest import END_SECONDS, SRC, check, same, wait_for
from mounted import Mount, asking_threads, asks, stop

F_OFD_SETLK, F_OFD_SETLKW = 37, 38
LOCK_PY = os.path.join(SRC, "tests/lib/lock.py")
WAITERS = 150
# Waits for a lock until a signal comes.
INTERRUPTED = """
import errno, fcntl, os, signal, sys
def stop(*args):
    raise InterruptedError(errno.EINTR, "stop")
signal.signal(signal.SIGUSR1, stop)
fd = os.open(sys.argv[2], os.O_RDWR)
print("waiting", flush=True)
try:
    (fcntl.flock if sys.argv[1] == "flock" else fcntl.lockf)(fd, fcntl.LOCK_EX)
    print("got it", flush=True)
except OSError as e:
    print(errno.errorcode[e.errno], flush=True)
sys.stdin.read()
"""


def lock(fd, kind, wait):
    whole = struct.pack("hhqqi4x", kind, os.SEEK_SET, 0, 0, 0)
    fcntl.fcntl(fd, F_OFD_SETLKW if wait else F_OFD_SETLK, whole)


def open_locked(path):
    fd = os.open(path, os.O_RDWR)
    lock(fd, fcntl.F_WRLCK, False)
    return fd


def try_lock(kind, path):
    """Whether it can be had."""
    return subprocess.run([sys.executable, LOCK_PY, "try", kind, path], check=False).returncode == 0


def interrupted(path, kind):
    holder = subprocess.Popen([sys.executable, LOCK_PY, "hold", kind, path],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    same("holder", holder.stdout.readline(), "held\n")
    waiter = subprocess.Popen([sys.executable, "-c", INTERRUPTED, kind, path],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    same("waiter", waiter.stdout.readline(), "waiting\n")
    wait_for("waiting lock", lambda: asks(waiter.pid))
    waiter.send_signal(signal.SIGUSR1)
    same(f"{kind}: the wait", waiter.stdout.readline(), "EINTR\n")
    holder.communicate()
    # What was ended does not take the lock later: its process is still there.
    check(try_lock(kind, path), f"{kind}: the lock is taken")
    waiter.communicate()


def killed(path, kind):
    holder = subprocess.Popen([sys.executable, LOCK_PY, "hold", kind, path],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    same("holder", holder.stdout.readline(), "held\n")
    waiter = subprocess.Popen([sys.executable, LOCK_PY, "wait", kind, path],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    same("waiter", waiter.stdout.readline(), "waiting\n")
    wait_for("waiting lock", lambda: asks(waiter.pid))
    waiter.kill()
    same(f"{kind}: status of the killed", waiter.wait(END_SECONDS), -signal.SIGKILL)
    holder.communicate()
    check(try_lock(kind, path), f"{kind}: the lock is taken")


def many(path):
    """Open files that all wait for one lock; each has it once."""
    got = []
    holder = open_locked(path)

    def wait():
        fd = os.open(path, os.O_RDWR)
        lock(fd, fcntl.F_WRLCK, True)
        got.append(fd)
        lock(fd, fcntl.F_UNLCK, False)
        os.close(fd)
    threads = [threading.Thread(target=wait, daemon=True) for _ in range(WAITERS)]
    for t in threads:
        t.start()
    wait_for(f"{WAITERS} waiting locks", lambda: asking_threads() == WAITERS)
    # Others are served beside them.
    with open(path + "-other", "w", encoding="ascii") as f:
        f.write("text")
    same("had it early", got, [])
    os.close(holder)
    for t in threads:
        t.join(END_SECONDS)
    same("had it", len(got), WAITERS)
    os.unlink(path + "-other")


def too_many(mount, path):
    """With a daemon that stands still: more than there is room for are told so at once, the others
    have their turn when it goes on."""
    holder = open_locked(path)
    files = [os.open(path, os.O_RDWR) for _ in range(600)]
    results = []

    def wait(fd):
        try:
            lock(fd, fcntl.F_WRLCK, True)
            results.append("got it")
            lock(fd, fcntl.F_UNLCK, False)
        except OSError as e:
            results.append(errno.errorcode[e.errno])
    server = mount.daemon()
    stop(server)
    threads = [threading.Thread(target=wait, args=(fd,), daemon=True) for fd in files]
    for t in threads:
        t.start()
    wait_for("all to ask", lambda: len(results) + asking_threads() == len(threads))
    same("refused", set(results), {"ENOLCK"})
    os.kill(server, signal.SIGCONT)
    os.close(holder)
    for t in threads:
        t.join(END_SECONDS)
    same("ended", len(results), len(threads))
    same("results", set(results), {"got it", "ENOLCK"})
    for fd in files:
        os.close(fd)


os.mkdir("share")
with open("share/file", "w", encoding="ascii"):
    pass
for queues in (1, 3):
    mount = Mount("share", f"queues={queues}", options=("--posix-lock", "--flock"))
    for kind in ("posix", "flock"):
        interrupted(mount.path("file"), kind)
        killed(mount.path("file"), kind)
    many(mount.path("file"))
    if queues == 1:
        too_many(mount, mount.path("file"))
    mount.unmount()
    same("said", mount.text(), "")
