# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=300 jobs=2 needs=make,gcc-12
"""Guests with causeway.ko suspend to memory and wake up, one of each of its kernels at the same time,
while programs are at work on a mount, and on another one files are open, one of them without a name,
pages are dirty, and somebody waits for a lock. All of it goes on, and the pages have not gone out."""
import concurrent.futures
import fcntl
import os

import busy
import kmod
from guest import Daemon, host, same, warnings_of

TEXT = "not yet on the host\n"


class SleepyGuest(busy.BusyGuest):
    # In 10.0 one of Linux 6.1 woke up, and was served no more.
    QEMU = tuple

    def __init__(self, kernel, daemons):
        shares = [w for d in daemons for w in kmod.share(d, "writeback")]
        # QEMU puts an uncompressed kernel into memory anew when the machine wakes up, too.
        super().__init__(kernel, daemons[0], *shares, "--qemu-option", "-kernel",
                         "--qemu-option", kmod.image(kernel))
        # What is dirty stays so, until somebody asks for it: no thread looks for it within an hour.
        self.run("echo 0 > /sys/power/sync_on_suspend; "
                 "echo 360000 > /proc/sys/vm/dirty_writeback_centisecs")


def open_files(guest, tag):
    """A pipe's other end is written to the file: nothing is closed, which would send the pages."""
    guest.run(f"""cd /mnt/{tag}; echo text > unnamed; exec 6<unnamed; rm unnamed
        mkfifo /tmp/pipe; cat /tmp/pipe > dirty & exec 7>/tmp/pipe; printf '{TEXT}' >&7
        until [ -s dirty ]; do sleep 0.02; done; cd /""")


def wait_for_lock(guest, tag):
    """For one that the host has, and keeps while the file that this returns is open."""
    held = open(f"{tag}/lock", "w", encoding="ascii")
    fcntl.lockf(held, fcntl.LOCK_EX)
    guest.run(f"""/tmp/locker /mnt/{tag}/lock >/tmp/locked 2>&1 & waiter=$!
        until [ $(cat /sys/fs/causeway/{tag}/waiting) -gt 0 ]; do sleep 0.02; done""")
    return held


def still_waits(guest, tag, held):
    guest.run(f"until [ $(cat /sys/fs/causeway/{tag}/waiting) -gt 0 ]; do sleep 0.02; done; "
              "test ! -s /tmp/locked")
    held.close()
    same("the lock", guest.run("wait $waiter; cat /tmp/locked"), "locked\n")


def check_files(guest, tag):
    same("what the guest reads", guest.run(f"cat /mnt/{tag}/dirty"), TEXT)
    same("what the host has before it is synced", host(f"cat {tag}/dirty"), "")
    guest.run(f"sync -f /mnt/{tag}")
    same("what the host has", host(f"cat {tag}/dirty"), TEXT)
    same("the file without a name", guest.run("cat <&6"), "text\n")
    guest.run("exec 7>&- 6<&-; wait")


def sleep(guest, busy_one, quiet):
    """Once: the firmware leaves this machine without its registers of power management then."""
    open_files(guest, quiet)
    held = wait_for_lock(guest, quiet)
    guest.start_busy(busy_one)
    guest.let_requests(busy_one, 37)
    guest.sleep(lambda: same("while it sleeps", host(f"cat {quiet}/dirty"), ""))
    guest.let_requests(busy_one, 100)
    guest.stop_busy("awake")
    still_waits(guest, quiet, held)
    check_files(guest, quiet)


def end(guest, daemons):
    for d in daemons:
        guest.run(f"umount /mnt/{d.name}")
    guest.unload()
    same("kernel warnings", warnings_of(guest), [])
    same("status", [guest.close(), *(d.wait() for d in daemons)], [0] * (1 + len(daemons)))


def one_kernel(kernel):
    daemons = []
    for name in (f"busy-{kernel}", f"quiet-{kernel}"):
        os.mkdir(name)
        daemons.append(Daemon(name, "--writeback", "--posix-lock", name=name))
    guest = SleepyGuest(kernel, daemons)
    sleep(guest, *(d.name for d in daemons))
    end(guest, daemons)


def main():
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(one_kernel, kmod.KERNELS))


main()
