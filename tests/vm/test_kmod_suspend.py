# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600 jobs=2 needs=make,gcc-12
"""Guests with causeway.ko suspend to memory and wake up, each of its kernels in a QEMU that does not
tell the server of the resets that belong to it, and in one that does, while programs are at work on a
mount, and on another one files are open, one of them without a name, pages are dirty, and somebody
waits for a lock. All of it goes on, and the pages have not gone out.

Servers that do not know of sleeps keep what is open in the first QEMU; in the other one the guest does not
suspend while it has one of them."""
import concurrent.futures
import fcntl
import itertools
import os

import busy
import kmod
import mounted
from backend import BackEnd
from guest import Daemon, check, host, same, warnings_of

TEXT = "not yet on the host\n"


class SleepyGuest(busy.BusyGuest):
    QEMU = staticmethod(busy.in_turns)  # the machine's own is older than RESET_DEVICE

    def __init__(self, kernel, daemons):
        shares = [w for d in daemons for w in kmod.share(d, "writeback")]
        # QEMU puts an uncompressed kernel into memory anew when the machine wakes up, too.
        super().__init__(kernel, daemons[0], *shares, "--qemu-option", "-kernel",
                         "--qemu-option", kmod.image(kernel))
        # What is dirty stays so, until somebody asks for it: no thread looks for it within an hour.
        self.run("echo 0 > /sys/power/sync_on_suspend; "
                 "echo 360000 > /proc/sys/vm/dirty_writeback_centisecs")


class ToldGuest(SleepyGuest):
    QEMU = staticmethod(lambda: busy.in_turns(kmod.fast_qemu()))


QEMUS = {"old": SleepyGuest, "new": ToldGuest}


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


def one_guest(pair):
    qemu, kernel = pair
    daemons = []
    for name in (f"busy-{qemu}-{kernel}", f"quiet-{qemu}-{kernel}"):
        os.mkdir(name)
        daemons.append(Daemon(name, "--writeback", "--posix-lock", "--log-level", "debug", name=name))
    guest = QEMUS[qemu](kernel, daemons)
    sleep(guest, *(d.name for d in daemons))
    for d in daemons:
        same("what the server was told",
             [d.text().count(w) for w in ("falls asleep", "is awake")], [1, 1])
        # One for the driver's, and one or more for the machine's.
        check(("its session goes on" in d.text()) == (qemu == "new"), f"{qemu}: {d.text()[-3000:]}")
    end(guest, daemons)


def served(name):
    os.mkdir(name)
    with open(f"{name}/file", "w", encoding="ascii") as f:
        f.write("text\n")
    return name


def other_servers(qemu):
    """Two that do not know of sleeps, and, by what it says, a causewayd that is too old for them."""
    daemon = Daemon(served(f"ways-{qemu}"), name=f"ways-{qemu}")
    liar = BackEnd("tests/vm/liar", f"liar-{qemu}")
    others = [mounted.Virtiofsd(served(f"c-{qemu}"), "cache=auto"),
              mounted.RustVirtiofsd(served(f"rust-{qemu}"), "--cache=auto")]
    guest = QEMUS[qemu](kmod.KERNELS[-1], [daemon, *others, liar])
    guest.run(f"umount /mnt/{liar.name}")
    liar.set("pins-of-other-wire")
    if qemu == "old":
        keep_all(guest, *others, liar)
    else:
        guest.run("umount " + " ".join(f"/mnt/{o.name}" for o in others))
        for d in (liar, *others):
            refuse(guest, d.name)
    end(guest, [daemon])
    liar.end()
    for d in others:
        d.wait()


def keep_all(guest, c, rust, liar):
    guest.run(f"mount -t causeway {liar.name} /mnt/{liar.name}; "
              f"exec 6</mnt/{c.name}/file 7</mnt/{rust.name}/file")
    guest.sleep()
    same("files that were open", guest.run("cat <&6; cat <&7"), "text\ntext\n")
    guest.run(f"exec 6<&- 7<&-; test -e /mnt/{liar.name}/file; "
              f"umount /mnt/{liar.name} /mnt/{c.name} /mnt/{rust.name}")


def refuse(guest, name):
    guest.run(f"mount -t causeway {name} /mnt/{name} && dmesg -c >/dev/null")
    status, said = guest.try_run("echo mem > /sys/power/state")
    check(status and "busy" in said, f"{name}: it was not refused: {status} {said}")
    why = f"causeway: '{name}': its server may lose what is open in a sleep: no suspend"
    check(why in guest.run("dmesg"), f"{name}: nobody said why")
    guest.run(f"test -e /mnt/{name}/file; umount /mnt/{name}")


def main():
    pairs = list(itertools.product(QEMUS, kmod.KERNELS))
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        tasks = [pool.submit(one_guest, p) for p in pairs]
        tasks += [pool.submit(other_servers, q) for q in QEMUS]
        for task in tasks:
            task.result()


main()
