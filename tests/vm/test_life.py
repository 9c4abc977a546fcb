# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=900
"""Connections come and go: the driver is unbound and bound, the machine reboots, the front-end is
killed and another comes; what a connection had is gone with it, and what it wrote is not."""
import os
import signal
import subprocess

from guest import BOOT_SECONDS, CAUSEWAY, END_SECONDS, Daemon, Guest, check, same

DRIVER = "/sys/bus/virtio/drivers/virtiofs"
MANY = 300


def use(guest, word):
    """The share works, both ways."""
    text = guest.run(f"echo {word} > /mnt/s/{word} && cat /mnt/s/{word} && ls /mnt/s >/dev/null")
    same(f"{word}: content", text, word + "\n")
    with open(f"shared/{word}", encoding="utf-8") as f:
        same(f"{word}: on the host", f.read(), word + "\n")


def hold_many(guest, daemon):
    """So that what a connection leaves behind would be seen: known nodes and an open handle."""
    guest.run(f"exec 5</mnt/s/many/1; cd /mnt/s/many; stat $(seq {MANY}) >/dev/null; cd /", 120)
    _, nodes, handles = daemon.statistics()
    check(nodes >= MANY and handles >= 1, f"{nodes} nodes and {handles} handles, before")


def forgotten(what, statistics):
    _, nodes, handles = statistics
    check(nodes <= 3 and handles == 0, f"{what}: {nodes} nodes, {handles} handles are left")


def rebind(guest, daemon):
    """The driver leaves: first in order, then with the share mounted and a file open."""
    device = guest.run(f"basename {DRIVER}/virtio*").strip()
    hold_many(guest, daemon)
    guest.run("exec 5<&-; umount /mnt/s")
    forgotten("unmounted", daemon.statistics())
    for mounted in (False, True):
        guest.run(f"echo {device} > {DRIVER}/unbind")
        check(guest.try_run("mount -t virtiofs s /mnt/s")[0] != 0 or mounted,
              "mounted without a driver")
        guest.try_run("exec 5<&-; umount /mnt/s")
        guest.run(f"echo {device} > {DRIVER}/bind; mount -t virtiofs s /mnt/s")
        forgotten("bound again", daemon.statistics())
        same("content", guest.run("cat /mnt/s/many/7"), "7\n")
        hold_many(guest, daemon)
    use(guest, "rebound")


def keep_listening():
    daemon = Daemon("shared", "--keep-listening")
    first = Guest("--socket", f"{daemon.socket}:s", "--root", "minimal")
    use(first, "first")
    rebind(first, daemon)
    qemu = [int(p) for p in os.listdir("/proc") if p.isdigit() and child_of(p, first.process.pid)]
    check(len(qemu) == 1, f"front-ends: {qemu}")
    os.kill(qemu[0], signal.SIGKILL)
    daemon.wait_log("front-end disconnected")
    check(first.process.wait(END_SECONDS) != 0, "the tool does not notice that its guest died")
    second = Guest("--socket", f"{daemon.socket}:s", "--root", "minimal")
    forgotten("a front-end after one that was killed", daemon.statistics())
    use(second, "second")
    same("status of the second guest", second.close(), 0)
    daemon.wait_log("front-end disconnected", 2)
    check(daemon.process.poll() is None, "the daemon ended although it keeps listening")
    check(daemon.stop() in (0, -signal.SIGTERM), f"status after SIGTERM: {daemon.text()}")


def child_of(pid, parent):
    """Whether the process is QEMU and a child of the parent."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            name, _, rest = f.read().rpartition(") ")
    except OSError:
        return False
    return "qemu" in name and int(rest.split()[1]) == parent


def ends_alone():
    """Without --keep-listening the daemon lives as long as its front-end."""
    daemon = Daemon("shared")
    guest = Guest("--socket", f"{daemon.socket}:s", "--root", "minimal")
    use(guest, "third")
    hold_many(guest, daemon)
    guest.process.send_signal(signal.SIGKILL)
    same("status of the daemon", daemon.wait(), 0)
    queues, _, _ = daemon.last_statistics()
    check(queues[1]["requests"] >= MANY and queues[1]["kicks"] and queues[1]["calls"],
          f"counters: {queues}")
    same("ring errors", [q["errors"] for q in queues.values() if q["errors"]], [])


def reboot():
    """One machine, two boots: the second finds the share as the first left it."""
    daemon = Daemon("shared")
    script = ("if [ -e /mnt/s/booted ]; then cat /mnt/s/booted; exit 3; fi; "
              f"cd /mnt/s/many; stat $(seq {MANY}) >/dev/null; exec 5<7; "
              "echo once > /mnt/s/booted; sync; reboot -f; sleep 1000")
    with subprocess.Popen(
            [CAUSEWAY, "vm", "--socket", f"{daemon.socket}:s", "--root", "minimal", "--",
             "sh", "-c", script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True) as vm:
        try:
            out, err = vm.communicate(timeout=2 * BOOT_SECONDS + END_SECONDS)
        except subprocess.TimeoutExpired:
            vm.kill()
            raise
    same(f"status and output of the second boot ({err})", (vm.returncode, out), (3, "once\n"))
    same("status of the daemon", daemon.wait(), 0)
    check(daemon.text().count("front-end connected") == 1, "the front-end came back")
    _, nodes, _ = daemon.last_statistics()
    check(nodes < MANY, f"{nodes} nodes: those of the first boot are still known")


os.makedirs("shared/many")
for i in range(1, MANY + 1):
    with open(f"shared/many/{i}", "w", encoding="utf-8") as f:
        f.write(f"{i}\n")
keep_listening()
ends_alone()
reboot()
