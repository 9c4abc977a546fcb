# SPDX-License-Identifier: BSD-2-Clause
"""Guests of causeway.ko with programs at work on a mount (tests/vm/busy.c), however that ends, or is
interrupted."""
import os
import re
import shutil
import subprocess
import tempfile

import kmod
from guest import BOOT_SECONDS, Monitor, check, same, wait_for

PROGRAMS = [os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "tests/vm", name)
            for name in ("busy", "dozer", "locker")]
# A task that waits for so long ends the guest.
HUNG = 20
# The bridge with the registers of power management: where these are is at 0x40, and lost in a sleep,
# for this machine's firmware does not set it up again when it wakes up.
BRIDGE = "/sys/bus/pci/devices/0000:00:1f.0/config"
# Each slab cache is its own and counts exactly; objects of ours are not used after their end.
APPEND = (f"sysctl.kernel.hung_task_timeout_secs={HUNG}", "sysctl.kernel.hung_task_panic=1",
          "slab_nomerge", "slub_debug=F;FZP,causeway_*,kmalloc*")

# Runs a QEMU so that the processors that it emulates take turns in one thread.
IN_TURNS = """#!/bin/sh
for word; do
    shift
    case $word in
    q35,accel=tcg,*) set -- "$@" "q35,${{word#q35,accel=tcg,}}" -accel tcg,thread=single ;;
    *) set -- "$@" "$word" ;;
    esac
done
exec {} "$@"
"""


def in_turns(options=()):
    """Options for a guest that sleeps, instead of those that choose its QEMU. With a thread for each
    emulated processor, the second one of a machine that wakes up is often found by its kernel only after
    ten seconds, and now and then runs from address 0 instead, over what the firmware has there. With one
    thread that is seldom (sleep() says so)."""
    with tempfile.NamedTemporaryFile("w", dir=".", prefix="qemu-", delete=False) as f:
        f.write(IN_TURNS.format(options[1] if options else "qemu-system-x86_64"))
    os.chmod(f.name, 0o755)
    return ("--qemu", os.path.abspath(f.name))


class BusyGuest(kmod.KmodGuest):
    """Its root is no device, which might refuse to sleep. The first daemon's share, which is mounted
    at the start, is the way in for programs."""

    def __init__(self, kernel, daemon, *words):
        self.monitor = Monitor(f"{daemon.name}.qmp")
        super().__init__(kernel, "--root", "minimal", "--cpus", "2", "--memory", "512M",
                         *self.monitor.options, *words,
                         *(w for a in APPEND for w in ("--append", a)))
        for program in PROGRAMS:
            shutil.copy(program, daemon.name)
        subprocess.run(["strip", "--strip-debug", "-o", f"{daemon.name}/causeway.ko", self.module],
                       check=True)
        self.run(f"cd /mnt/{daemon.name}; cp busy dozer locker causeway.ko /tmp; cd /")

    def start_busy(self, where, count=4):
        """Processes at work on a mount."""
        self.run(f"/tmp/busy /mnt/{where} {count} >/tmp/said 2>&1 & busy=$!; "
                 "until grep -q running /tmp/said; do sleep 0.02; done")

    def end_busy(self, gone, what, before="true"):
        """They end, so many of them because it is gone; what they read was right."""
        status, said = self.try_run(f"{before}; wait $busy; s=$?; cat /tmp/said; (exit $s)",
                                    BOOT_SECONDS)
        check(status == 0 and f" {gone} gone" in said, f"{what}: status {status}: {said}")

    def stop_busy(self, what):
        self.end_busy(0, what, "kill $busy")

    def let_requests(self, where, number):
        """Until so many more requests were sent."""
        path = f"/sys/fs/causeway/{where}/requests"
        self.run(f"n=$(($(cat {path}) + {number})); until [ $(cat {path}) -gt $n ]; do "
                 "sleep 0.02; done")

    def start_sleep(self, how="mem"):
        self.send(f"{{ echo {how} > /sys/power/state; }} 2>/tmp/slept; echo $? >>/tmp/slept\n")

    def sleep(self, then=lambda: None):
        """Suspends to memory, and wakes up; then() is called in between. Nobody looks for tasks that
        hang meanwhile: the clock jumps."""
        self.run("echo 0 > /proc/sys/kernel/hung_task_timeout_secs; "
                 f"dd if={BRIDGE} of=/tmp/power bs=1 skip=64 count=8 2>/dev/null")
        self.start_sleep()
        try:
            wait_for("sleep", lambda: self.monitor.command("query-status")["status"] == "suspended",
                     BOOT_SECONDS)
        except AssertionError:
            print(*self.try_run("cat /tmp/slept; dmesg | tail -n 30"))
            raise
        then()
        self.monitor.command("system_wakeup")
        try:
            same("what the suspend came to", self.run("cat /tmp/slept", BOOT_SECONDS), "0\n")
        except AssertionError:
            registers = self.monitor.human("info registers -a")
            print(self.monitor.command("query-status"), registers)
            # Linux has paging on from its first moments.
            if not int(re.search(r"CR0=(\w+)", registers).group(1), 16) >> 31:
                print("the machine is still in its firmware")
            raise
        self.run(f"dd if=/tmp/power of={BRIDGE} bs=1 seek=64 conv=notrunc 2>/dev/null; "
                 f"echo {HUNG} > /proc/sys/kernel/hung_task_timeout_secs")
