# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=1500
"""Other QEMUs and kernels: the file semantics cases under each pair that can be had (where the kernel
is that of other tests, which have them all, those that ask much of the device), and shared mappings
of what is not cached, with --allow-mmap, where the kernel has them."""
import os
import subprocess
import sys

import fscompare
from guest import FSCASES, SRC, Daemon, Guest, Monitor, check, same, skip, warnings_of

DRIVER = "/sys/bus/virtio/drivers/virtiofs"

# Replies of all sizes, long listings, many requests at once.
FEW = ("append", "holes", "large-offsets", "list-small", "list-changing", "rename-files",
       "race-churn", "raw-names", "map-shared-write")
OF_OTHERS = "kernel-6.1"
MAPS = ("map-shared-read", "map-shared-write")
PAIRS = (("qemu-backports", "kernel-6.1"), ("qemu-backports", "kernel-6.12"),
         ("qemu-sid", "kernel-6.1"), ("qemu-sid", "kernel-sid"))


def path_of(what):
    done = subprocess.run([os.path.join(SRC, "tools/setup"), "--path", what],
                          stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.split()[0] if done.returncode == 0 else None


def resets(guest, daemon, monitor):
    """A pause keeps an open file, a driver that goes drops what its guest held: QEMU since 8.2 says
    which is which."""
    guest.run("rm -rf /mnt/s/*; echo kept > /mnt/s/file; exec 5</mnt/s/file")
    before = daemon.text().count("RESET_DEVICE")
    started = daemon.text().count("queue 1 starts")
    monitor.pause()
    daemon.wait_log("queue 1 starts", started + 1)
    same("the open file", guest.run("cat <&5; exec 5<&-"), "kept\n")
    same("resets", daemon.text().count("RESET_DEVICE"), before)
    # The first device is the first share.
    device = guest.run(f"cd {DRIVER}; set -- virtio*; echo $1; cd /").strip()
    guest.run(f"umount /mnt/s; echo {device} > {DRIVER}/unbind; echo {device} > {DRIVER}/bind; "
              "mount -t virtiofs s /mnt/s")
    check(daemon.text().count("RESET_DEVICE") > before, "no RESET_DEVICE of a driver that went")
    same("after it", guest.run("cat /mnt/s/file"), "kept\n")


def maps(guest, version):
    """What differs from the host where files that are not cached are mapped."""
    oracle = fscompare.cases_of(cases, MAPS)
    for share, allowed in (("refused", False), ("mapped", version >= (6, 6))):
        status, text = guest.try_run(f"{FSCASES} /mnt/{share} --only {','.join(MAPS)}")
        same(f"status of the cases on {share}", status, 0)
        yield from fscompare.differences(oracle, fscompare.read(text),
                                         "auto" if allowed else "none",
                                         fscompare.explained_for(*version))


def one(qemu, kernel, names, name, *more):
    os.mkdir(name)
    daemon = Daemon(name, "--log-level=debug", name=name)
    for share in ("refused", "mapped"):
        os.makedirs(f"{name}-{share}")
    direct = [Daemon(f"{name}-{share}", "--cache=never", *options, name=f"{name}-{share}")
              for share, options in (("refused", ()), ("mapped", ("--allow-mmap",)))]
    monitor = Monitor(f"{name}.qmp")
    guest = Guest("--qemu", qemu, "--kernel", kernel, "--socket", f"{daemon.socket}:s",
                  *(o for d in direct for o in ("--socket", f"{d.socket}:{d.name[len(name) + 1:]}")),
                  *monitor.options, *more)
    release = guest.run("uname -r").strip()
    status, text = guest.try_run(f"{FSCASES} /mnt/s --only {','.join(names)}", 250)
    same("status of the cases", status, 0)
    version = tuple(int(n) for n in release.split(".")[:2])
    wrong = fscompare.differences(fscompare.cases_of(cases, names), fscompare.read(text), "auto",
                                  fscompare.explained_for(*version))
    wrong += maps(guest, version)
    resets(guest, daemon, monitor)
    wrong += warnings_of(guest)
    same("status", (guest.close(), *(d.wait() for d in (daemon, *direct))), (0, 0, 0, 0))
    print(f"{name}: kernel {release}, {len(wrong)} differences", flush=True)
    return [f"{name}: {line}" for line in wrong]


os.mkdir("host")
cases = fscompare.run_here("host")
failed, ran = [], 0
for n, pair in enumerate(PAIRS):
    paths = [path_of(p) for p in pair]
    if None in paths:
        print(f"{pair}: can't be had")
        continue
    ran += 1
    # Every other pair with packed rings.
    more = ("--qemu-option", "-global", "--qemu-option", "vhost-user-fs-pci.packed=on")
    names = FEW if pair[1] == OF_OTHERS else sorted(fscompare.names_of(cases))
    failed += one(*paths, names, f"pair{n}", *(more if n % 2 else ()))
if not ran:
    skip("no other QEMU can be had")
print("\n".join(failed))
sys.exit(1 if failed else 0)
