# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=900
"""Packed rings under QEMU 7.2 and Linux 6.1: the file semantics cases, the machine stopped and
continued, the driver unbound and bound, a reboot; all without a broken ring."""
import os
import re
import subprocess

import fscompare
from guest import BOOT_SECONDS, CAUSEWAY, END_SECONDS, FSCASES, Daemon, Guest, Monitor
from guest import check, host, same, warnings_of

DRIVER = "/sys/bus/virtio/drivers/virtiofs"
PACKED = ("--qemu-option", "-global", "--qemu-option", "vhost-user-fs-pci.packed=on")
# Replies of all sizes, long listings, many requests at once; what files mean has nothing to do with
# the format of rings.
FEW = ("append", "holes", "large-offsets", "list-small", "list-changing", "rename-files",
       "race-churn", "raw-names", "map-shared-write")
STARTS = re.compile(r"queue (\d+) starts: a (\w+) ring of \d+")


def all_packed(daemon, queues):
    starts = STARTS.findall(daemon.text())
    same("formats of the rings", {kind for _, kind in starts}, {"packed"})
    check({q for q, _ in starts} >= queues, f"rings that started: {starts}")


def requests_and_errors(daemon, least):
    queues, _, _ = daemon.last_statistics()
    check(queues[1]["requests"] >= least and queues[1]["kicks"] and queues[1]["calls"],
          f"counters: {queues}")
    same("ring errors", [q for q in queues.values() if q["errors"]], [])


def use(guest, word):
    same(word, guest.run(f"echo {word} > /mnt/s/{word} && cat /mnt/s/{word}"), word + "\n")


def pause(guest, daemon, monitor):
    """The machine stops and goes on, in the middle of something: rings go on where they were, and
    the guest's files are open as before."""
    guest.run("exec 5</mnt/s/p1/7; head -c 30M /dev/zero > /mnt/s/zeros & ")
    for _ in range(4):
        before = daemon.text().count("queue 1 starts")
        monitor.pause()
        daemon.wait_log("queue 1 starts", before + 1)
        guest.run("cat /mnt/s/p2/9 > /dev/null")
    same("the open file", guest.run("cat <&5"), "1 7\n")
    guest.run("wait; exec 5<&-")
    same("zeros", host("stat -c %s shared/zeros"), f"{30 << 20}\n")


def cases():
    os.mkdir("shared")
    os.mkdir("host")
    host("dd if=/dev/urandom of=host/big bs=1M count=16 status=none; cp host/big shared/big")
    daemon = Daemon("shared", "--log-level=debug")
    monitor = Monitor("monitor")
    guest = Guest("--socket", f"{daemon.socket}:s", *PACKED, *monitor.options)
    # Bit 34 of the features that the driver took.
    features = guest.run(f"cat {DRIVER}/virtio*/features").split()
    check(features and all(f[34] == "1" for f in features), f"features of the devices: {features}")
    # Many requests in flight, replies of many sizes, more slots than the ring has.
    same("big", guest.run("cksum < /mnt/s/big"), host("cksum < host/big"))
    guest.run("for p in 1 2 3 4; do (mkdir /mnt/s/p$p; for i in $(seq 150); do "
              "echo $p $i > /mnt/s/p$p/$i; stat /mnt/s/p$p/$i /mnt/s/p$p >/dev/null; done) & done; "
              "wait", 200)
    for p in range(1, 5):
        same(f"sums of p{p}", guest.run(f"cd /mnt/s/p{p}; cat $(seq 150) | cksum; cd /"),
             host(f"cd shared/p{p}; cat $(seq 150) | cksum"))
    pause(guest, daemon, monitor)
    guest.run("rm -r /mnt/s/*")
    host("rm host/big")
    oracle = fscompare.run_here("host")
    status, text = guest.try_run(f"{FSCASES} /mnt/s --only {','.join(FEW)}", 250)
    same("status of the cases", status, 0)
    wrong = fscompare.differences(fscompare.cases_of(oracle, FEW), fscompare.read(text), "auto",
                                  fscompare.explained_for(6, 1))
    same("differences", wrong, [])
    # The driver leaves and comes back: the device is reset, the rings begin anew.
    device = guest.run(f"basename {DRIVER}/virtio*").strip()
    for turn in range(3):
        guest.run(f"umount /mnt/s; echo {device} > {DRIVER}/unbind; "
                  f"echo {device} > {DRIVER}/bind; mount -t virtiofs s /mnt/s")
        use(guest, f"bound{turn}")
    same("kernel warnings", warnings_of(guest), [])
    same("status", (guest.close(), daemon.wait()), (0, 0))
    all_packed(daemon, {"0", "1"})
    requests_and_errors(daemon, 5000)


def reboot():
    """One machine, two boots, and only the second ends."""
    os.mkdir("boots")
    daemon = Daemon("boots", "--log-level=debug")
    script = ("if [ -e /mnt/s/booted ]; then cat /mnt/s/booted; exit 3; fi; "
              "echo once > /mnt/s/booted; sync; reboot -f; sleep 1000")
    done = subprocess.run(
        [CAUSEWAY, "vm", "--socket", f"{daemon.socket}:s", "--root", "minimal", *PACKED, "--",
         "sh", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, timeout=2 * BOOT_SECONDS + END_SECONDS, check=False)
    same(f"status and output of the second boot ({done.stderr})", (done.returncode, done.stdout),
         (3, "once\n"))
    same("status of the daemon", daemon.wait(), 0)
    all_packed(daemon, {"1"})
    requests_and_errors(daemon, 5)


cases()
reboot()
