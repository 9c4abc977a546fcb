# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600 jobs=2 needs=make,gcc-12
"""Guests with causeway.ko, one of each of its kernels, whose programs are busy in a DAX window (mapped
stores and loads, read(2) and write(2)) suspend to memory and wake up, several times. The programs
find what they put there, so does the host in the end, nothing is mapped while the machine sleeps, and
all files are after that; QEMU lives."""
import concurrent.futures
import os

import busy
import kmod
from dax import PIECE, QEMU, content, dax_daemon, mapped_files
from guest import BOOT_SECONDS, FULL, check, same, wait_for, warnings_of

PROGRAMS = 4
WINDOW = 16 * PIECE  # more than they map: on a busy host a smaller one is all that they fight for
SLEEPS = 8 if FULL else 4


class DozyGuest(busy.BusyGuest):
    QEMU = staticmethod(lambda: busy.in_turns(("--qemu", QEMU)))

    def __init__(self, kernel, daemon):
        super().__init__(kernel, daemon, *kmod.share(daemon, "dax=always"), "--dax", "64M",
                         "--qemu-option", "-kernel", "--qemu-option", kmod.image(kernel))
        self.run("echo 0 > /sys/power/sync_on_suspend")


def let_map(guest, name):
    """Until all programs have asked where their files are: what they surely do after a sleep, while an
    fsync(2) of theirs is seldom."""
    files = {str(n) for n in range(PROGRAMS)}
    wait_for("maps of all files", lambda: files <= mapped_files(guest, name).keys(), BOOT_SECONDS)


def one_kernel(kernel):
    name = f"window-{kernel}"
    daemon = dax_daemon(name, "--log-level", "debug", name=name, window=WINDOW)
    guest = DozyGuest(kernel, daemon)
    guest.run(f"/tmp/dozer /mnt/{name} {PROGRAMS} >/tmp/dozed 2>&1 & dozer=$!; "
              "until grep -q running /tmp/dozed; do sleep 0.02; done")
    for _ in range(SLEEPS):
        let_map(guest, name)
        guest.sleep(lambda: wait_for("end of all maps", lambda: not mapped_files(guest, name)))
    let_map(guest, name)
    status, said = guest.try_run("kill $dozer; wait $dozer; s=$?; cat /tmp/dozed; (exit $s)", BOOT_SECONDS)
    check(status == 0 and "rounds" in said, f"the programs: status {status}: {said}")
    for i in range(PROGRAMS):
        check(content(f"{name}/{i}") == content(f"{name}/{i}.want"), f"file {i} is not what was put there")
    same("sleeps that the server was told of",
         [daemon.text().count(w) for w in ("falls asleep", "is awake")], [SLEEPS, SLEEPS])
    guest.run(f"umount /mnt/{name}")
    guest.unload()
    same("kernel warnings", warnings_of(guest), [])
    same("status", [guest.close(), daemon.wait()], [0, 0])


with concurrent.futures.ThreadPoolExecutor() as pool:
    list(pool.map(one_kernel, kmod.KERNELS))
