# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=400 needs=make,gcc-12
"""causeway.ko beside a virtiofs that is built into the kernel and so has all devices first. Both ways
that docs/guest-module.md gives: a device is moved through sysfs, there and back; or the kernel is
told not to start its own driver. On the oldest kernel, where both are modules, the first way too."""
import os

import kmod
from guest import Daemon, check, same, warnings_of


def mounted_as(guest, share, kind):
    """What a share holds, mounted as a type for a moment."""
    got = guest.run(f"mount -t {kind} {share} /mnt/{share} && cat /mnt/{share}/f; "
                    f"s=$?; umount /mnt/{share}; (exit $s)")
    same(f"{share} as {kind}", got, f"of {share}\n")


def move(guest, device, share):
    for driver, other in (("virtiofs", "causeway"), ("causeway", "virtiofs")) * 2:
        guest.unbind(device)
        same("driver of a device that is unbound", guest.driver(device), "")
        for kind in (driver, other):
            check(guest.try_run(f"mount -t {kind} {share} /mnt/{share}")[0] != 0,
                  f"{share} is mounted as {kind} without a driver")
        guest.bind(device, driver)
        same("driver of a device that is bound", guest.driver(device), driver)
        mounted_as(guest, share, driver)


def serve(name):
    os.mkdir(name)
    with open(f"{name}/f", "w", encoding="ascii") as f:
        f.write(f"of {name}\n")
    return Daemon(name, name=name)


def through_sysfs(kernel):
    one, two = (serve(f"{part}{kernel.replace('.', '-')}") for part in ("one", "two"))
    guest = kmod.KmodGuest(kernel, *kmod.share(one), "--socket", f"{two.socket}:{two.name}")
    device = guest.device(0)
    same("driver at first", guest.driver(device), "causeway")
    guest.run(f"umount /mnt/{one.name}")
    move(guest, device, one.name)
    # What the other driver has was not touched: not this share, nor the root, which this runs from.
    same("the other share", guest.run(f"cat /mnt/{two.name}/f"), f"of {two.name}\n")
    same("kernel warnings", warnings_of(guest), [])
    same("status", (guest.close(), one.wait(), two.wait()), (0, 0, 0))


def not_started(kernel):
    daemon = serve("alone")
    guest = kmod.KmodGuest(kernel, "--root", "minimal", "--append",
                           "initcall_blacklist=virtio_fs_init", *kmod.share(daemon))
    same("the driver that was not to start",
         guest.try_run("test -e /sys/bus/virtio/drivers/virtiofs")[0], 1)
    same("driver", guest.run(f"basename $(readlink /sys/bus/virtio/devices/{guest.device(0)}/driver)"),
         "causeway\n")
    same("content", guest.run("cat /mnt/alone/f"), "of alone\n")
    guest.run("umount /mnt/alone")
    mounted_as(guest, "alone", "causeway")
    same("kernel warnings", warnings_of(guest), [])
    same("status", (guest.close(), daemon.wait()), (0, 0))


for version in kmod.KERNELS:
    print(version, flush=True)
    through_sysfs(version)
not_started(kmod.KERNELS[-1])
