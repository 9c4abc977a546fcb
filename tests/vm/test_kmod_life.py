# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600 jobs=2 needs=make,gcc-12
"""What can happen to a mount of causeway.ko while programs are busy on it: they are killed, and
the module is unloaded and loaded; the mount is aborted; its server is killed; the device goes, by
the driver's hand, by the bus, or unplugged; a hibernation is refused. No task hangs, each finds
what it should, all memory is given back, and what is mounted anew works. A guest of each kernel at
the same time."""
import os
import random
import re
import signal
import subprocess
import sys
import time

import busy
import kmod
from guest import BOOT_SECONDS, FULL, Daemon, check, same, wait_for

# After the first rounds the kernel has what it keeps for the next ones.
WARM, ROUNDS = (20, 100) if FULL else (10, 50)
UNBINDS = 6 if FULL else 2
KILLS = 8 if FULL else 3
# A server that is dead is given up after so many seconds.
SERVER = 2


def serve(name):
    os.makedirs(name, exist_ok=True)
    with open(f"{name}/f", "w", encoding="ascii") as f:
        f.write("text\n")
    return Daemon(name, "--keep-listening", name=name)


class LifeGuest(busy.BusyGuest):
    """There is a port for one more device."""

    PORT = "/sys/bus/pci/devices/0000:00:10.0"

    def __init__(self, kernel, daemon):
        super().__init__(kernel, daemon, *kmod.share(daemon, f"server_timeout={SERVER}"),
                         "--qemu-option", "-device", "--qemu-option",
                         "pcie-root-port,id=hotport,bus=pcie.0,addr=0x10,chassis=9")

    def mount(self, where, options=""):
        self.run(f"mkdir -p /mnt/{where}; mount -t causeway -o server_timeout={SERVER}{options} "
                 f"{where} /mnt/{where}")
        same("content", self.run(f"cat /mnt/{where}/f"), "text\n")

    def umount_gone(self, where, what):
        """It answers that it is gone, and can be taken off."""
        self.end_busy(4, what)
        status, said = self.try_run(f"cat /mnt/{where}/f; s=$?; ls /mnt/{where} && s=0; (exit $s)")
        check(status and re.search("not connected|Input/output|I/O error", said), f"{what}: {said}")
        self.run(f"umount /mnt/{where}")

    def take(self, place):
        """Our driver's, which Linux's own may have been faster to take. Its name."""
        self.run(f"until test -e {place}/virtio*/driver; do sleep 0.02; done")
        device = self.run(f"cd {place} && echo virtio*; cd /").strip()
        if self.driver(device) != "causeway":
            self.unbind(device)
            self.bind(device)
        return device

    def plug(self, daemon):
        self.monitor.command("chardev-add", id=daemon.name, backend={"type": "socket", "data": {
            "addr": {"type": "unix", "data": {"path": daemon.socket}}, "server": False}})
        self.monitor.command("device_add", driver="vhost-user-fs-pci", id=f"hot-{daemon.name}",
                             chardev=daemon.name, tag=daemon.name, bus="hotport")
        self.run(f"until test -e {self.PORT}/*:*:*.0/virtio*; do sleep 0.02; done")
        self.take(f"{self.PORT}/*:*:*.0")

    def unplug(self, daemon):
        self.monitor.command("device_del", id=f"hot-{daemon.name}")
        self.run(f"while test -e {self.PORT}/*:*:*.0/virtio*; do sleep 0.02; done")

    def when_due(self, what, refusal, name, **arguments):
        """A command of the monitor, which refuses it before something has come about."""
        def done():
            try:
                self.monitor.command(name, **arguments)
            except AssertionError as e:
                check(refusal in str(e), str(e))
                return False
            return True
        wait_for(what, done, BOOT_SECONDS)

    def unplugged(self, daemon):
        """QEMU has let go of its socket."""
        self.when_due("end of the device", "busy", "chardev-remove", id=daemon.name)


def kill_at_work(guest, daemon):
    """What a reply gives to a task that has gone is given back: no handle stays, nor a node."""
    for calls in range(200, 700, 60):
        guest.run(f"/tmp/busy /mnt/s 4 {calls} && cat /mnt/s/f")

    def given_back():
        guest.run("echo 3 > /proc/sys/vm/drop_caches")
        _, nodes, handles = daemon.statistics()
        return nodes <= 1 and handles == 0
    wait_for("return of what the killed had", given_back)
    guest.start_busy("s")
    guest.stop_busy("after tasks were killed")


def numbers_of(text):
    """What is in use by each slab cache, in objects, and other memory, in pages."""
    objects = {m[1]: int(m[2])
               for m in re.finditer(r"^(\S+) +(\d+)(?: +\d+){4} :", text, re.M)}
    kib = {m[1]: int(m[2]) for m in re.finditer(r"^(\w+): +(\d+) kB", text, re.M)}
    known = sum(kib[word] for word in ("MemFree", "Slab", "Active", "Inactive", "PageTables",
                                       "KernelStack")) // 4
    # Free too, but kept by the processors.
    known += sum(int(n) for n in re.findall(r"^ +count: +(\d+)", text, re.M))
    return objects | {"pages": kib["MemTotal"] // 4 - known, "of vmalloc": kib["VmallocUsed"] // 4,
                      "per processor": kib["Percpu"] // 4}


def load_and_unload(guest, _daemon):
    """Requests are under way whenever their tasks are killed, and the module goes at once. All in
    one command, for speed."""
    guest.run("umount /mnt/s; rmmod causeway")
    text = guest.run(f"""for i in $(seq {ROUNDS}); do
            insmod /tmp/causeway.ko || exit 1
            mount -t causeway s /mnt/s || exit 2
            /tmp/busy /mnt/s 4 $((i * 7)) >/tmp/said || exit 3
            umount /mnt/s || exit 4
            rmmod causeway || exit 5
            if grep '^causeway' /proc/slabinfo; then exit 6; fi
            if [ $i = {WARM} ] || [ $i = {ROUNDS} ]; then
                # What is freed a grace period later.
                for again in 1 2 3; do echo 3 > /proc/sys/vm/drop_caches; sleep 0.3; done
                echo "round $i"; cat /proc/meminfo /proc/zoneinfo /proc/slabinfo
            fi
        done""", 4 * BOOT_SECONDS)
    _, warm, last = text.split("round ")
    warm, last = numbers_of(warm), numbers_of(last)
    grown = {what: n - warm.get(what, 0) for what, n in last.items() if n != warm.get(what, 0)}
    print(f"grown: {grown}")
    # One for each round would be a leak; pages are counted as what is left, and vary by twenty.
    leaks = {what: n for what, n in grown.items()
             if n >= (ROUNDS - WARM) * (3 if what == "pages" else 2) // 3}
    same("what has grown by one for most rounds", leaks, {})
    guest.run("insmod /tmp/causeway.ko")
    guest.mount("s")


def abort(guest, _daemon):
    guest.start_busy("s")
    guest.run("echo 1 > /sys/fs/causeway/s/abort")
    guest.umount_gone("s", "aborted")
    guest.mount("s")


def unbind(guest, _daemon):
    """The driver lets go of a device that is mounted, at different moments, and takes it again."""
    device = guest.device(0)
    for n in range(UNBINDS):
        guest.start_busy("s")
        guest.let_requests("s", 37 * n)
        guest.unbind(device)
        guest.umount_gone("s", "unbound")
        guest.bind(device)
        guest.mount("s", ("", ",writeback", ",cache=none")[n % 3])


def remove(guest, _daemon):
    """The bus takes the device away, and finds it again."""
    place = guest.run(f"readlink -f /sys/bus/virtio/devices/{guest.device(0)}/..").strip()
    guest.start_busy("s")
    guest.run(f"echo 1 > {place}/remove")
    guest.umount_gone("s", "removed")
    guest.run(f"echo 1 > /sys/bus/pci/rescan; until test -e {place}/virtio*; do sleep 0.02; done")
    guest.take(place)
    guest.mount("s")


def kill_servers(guest, _daemon):
    """Without its server a device takes nothing more, and says nothing; the mount's watchdog does.
    QEMU connects to another server when the device is plugged again."""
    for n in range(KILLS):
        daemon = serve(f"k{n}")
        guest.plug(daemon)
        guest.mount(daemon.name, ("", ",writeback", ",cache=none")[n % 3])
        guest.start_busy(daemon.name)
        requests = random.randrange(400)
        guest.let_requests(daemon.name, requests)
        os.kill(daemon.pid, signal.SIGKILL)
        guest.umount_gone(daemon.name, f"its server killed after {requests} requests")
        check(guest.try_run(f"mount -t causeway -o server_timeout=1 {daemon.name} "
                            f"/mnt/{daemon.name}")[0], "without a server it is mounted")
        guest.unplug(daemon)
        guest.unplugged(daemon)


def unplug(guest, _daemon):
    daemon = serve("hot")
    for _ in range(2):
        guest.plug(daemon)
        guest.mount("hot")
        guest.start_busy("hot")
        guest.unplug(daemon)
        guest.umount_gone("hot", "unplugged")
        guest.unplugged(daemon)


def refuse_hibernation(guest, _daemon):
    """The server's state would not be in what is written to the disk."""
    guest.start_busy("s")
    status, said = guest.try_run("echo disk > /sys/power/state")
    check(status, f"hibernation is not refused: {said}")
    same("what is said of that", guest.run("dmesg | grep -c 'is mounted: no hibernation'"), "1\n")
    guest.stop_busy("hibernation refused")


def one_kernel(kernel):
    daemon = serve("s")
    guest = LifeGuest(kernel, daemon)
    began = time.monotonic()
    for part in (kill_at_work, load_and_unload, abort, unbind, remove, kill_servers, unplug,
                 refuse_hibernation):
        part(guest, daemon)
        print(f"{kernel}: {part.__name__}: {time.monotonic() - began:.0f} s", flush=True)
    guest.run("umount /mnt/s")
    _, nodes, handles = daemon.statistics()
    check(nodes <= 1 and handles == 0, f"{nodes} nodes and {handles} handles are left")
    guest.unload()
    same("kernel warnings", guest.complaints(), [])
    same("status", guest.close(), 0)


def main():
    """Each kernel by a process of its own, in a directory of its own, where names are the same."""
    runs = []
    for kernel in kmod.KERNELS:
        os.mkdir(kernel)
        runs.append(subprocess.Popen([sys.executable, __file__, kernel], cwd=kernel))
    same("status of each kernel", [r.wait() for r in runs], [0] * len(runs))


if len(sys.argv) > 1:
    one_kernel(sys.argv[1])
else:
    main()
