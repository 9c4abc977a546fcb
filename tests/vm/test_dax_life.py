# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=900
"""Guests that have files mapped come and go: a reboot, a reset of the machine, a guest that is
killed and another at the same daemon; nothing is left mapped, and nothing is lost."""
import os
import signal
import subprocess

from dax import PIECE, QEMU, content, dax_daemon, dax_guest, make, qemu_of
from guest import BOOT_SECONDS, CAUSEWAY, END_SECONDS, Monitor, check, same
from mapper import PROGRAM, There, pattern

# Whole pages and the copy of a last one, stored and not synced.
SIZE = PIECE + 5000


def reboot():
    """One machine, two boots. The first maps a file, stores into it and unmounts; the second finds
    that, and does the same."""
    daemon = dax_daemon("shared", name="reboot")
    make("shared/reboot", pattern(0, SIZE, 1))
    first = (f"open 0 /mnt/reboot/reboot rw\\nmap 0 0 {SIZE} rw\\ntouch 0 0 {SIZE}\\n"
             f"store 0 100 STORED\\nstore 0 {SIZE - 50} STORED\\n")
    second = (f"open 0 /mnt/reboot/reboot rw\\nmap 0 0 {SIZE} rw\\ntext 0 100 6\\n"
              f"text 0 {SIZE - 50} 6\\nstore 0 200 SECOND\\n")
    script = (f"cd /; if [ -e /mnt/reboot/booted ]; then printf '{second}' | {PROGRAM}; exit 3; fi; "
              f"printf '{first}' | {PROGRAM} >/dev/null; echo once > /mnt/reboot/booted; "
              "umount /mnt/reboot; reboot -f; sleep 1000")
    with subprocess.Popen(
            [CAUSEWAY, "vm", "--dax", "64M", "--qemu", QEMU, "--socket",
             f"{daemon.socket}:reboot", "--", "sh", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True) as vm:
        try:
            out, err = vm.communicate(timeout=2 * BOOT_SECONDS + END_SECONDS)
        except subprocess.TimeoutExpired:
            vm.kill()
            raise
    same(f"status of the second boot ({err})", vm.returncode, 3)
    same("what it read", out.split(), ["0", "0", "STORED", "STORED", "0"])
    same("status of the daemon", daemon.wait(), 0)
    data = content("shared/reboot")
    same("on the host", (data[200:206], len(data)), (b"SECOND", SIZE))


def hard_reset():
    """While a file is mapped: QEMU 11.1 dies of that when the driver comes back. What was stored is
    there, and the daemon, which serves the next one."""
    daemon = dax_daemon("shared", "--keep-listening", name="reset")
    for n in range(2):
        monitor = Monitor(f"reset{n}.qmp")
        guest = dax_guest(daemon, options=monitor.options)
        make("shared/reset", pattern(0, SIZE, n))
        mapper = There(guest)
        mapper.do("open 0 /mnt/reset/reset rw")
        mapper.do(f"map 0 0 {SIZE} rw")
        mapper.has(f"load 0 0 {SIZE}", pattern(0, SIZE, n))
        mapper.do("store 0 100 STORED")
        mapper.do(f"store 0 {SIZE - 50} STORED")
        try:
            guest.reset(lambda: monitor.command("system_reset"))
            same("in the guest", guest.run(f"dd if=/mnt/reset/reset bs=1 skip=100 count=6 "
                                           "2>/dev/null"), "STORED")
            print("QEMU goes on")
            guest.close()
        except (AssertionError, BrokenPipeError):
            check(guest.process.wait(END_SECONDS) == 125 and "signal 11" in guest.text(),
                  f"it did not end as QEMU 11.1 does:\n{guest.text()}")
            print("QEMU has died")
        daemon.wait_log("front-end disconnected", n + 1)
        data = content("shared/reset")
        same("stored before", (data[100:106], data[-50:-44]), (b"STORED", b"STORED"))
    check(daemon.stop() in (0, -signal.SIGTERM), f"status after SIGTERM: {daemon.text()}")


def killed():
    daemon = dax_daemon("shared", "--keep-listening", name="killed")
    for n in range(2):
        guest = dax_guest(daemon)
        make("shared/killed", pattern(0, SIZE, n))
        mapper = There(guest)
        mapper.do("open 0 /mnt/killed/killed rw")
        mapper.do(f"map 0 0 {SIZE} rw")
        mapper.has(f"load 0 0 {SIZE}", pattern(0, SIZE, n))
        mapper.do("store 0 100 STORED")
        # In the copy of the last page too, which the daemon writes back when nobody can ask it to.
        mapper.do(f"store 0 {SIZE - 50} STORED")
        os.kill(qemu_of(guest), signal.SIGKILL)
        daemon.wait_log("front-end disconnected", n + 1)
        check(guest.process.wait(END_SECONDS) != 0, "the tool does not notice that its guest died")
        data = content("shared/killed")
        same("stored before", (data[100:106], data[-50:-44]), (b"STORED", b"STORED"))
    check(daemon.stop() in (0, -signal.SIGTERM), f"status after SIGTERM: {daemon.text()}")


for test in (reboot, hard_reset, killed):
    print(test.__name__, flush=True)
    test()
