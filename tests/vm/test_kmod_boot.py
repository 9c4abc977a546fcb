# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=300 needs=make,gcc-12
"""causeway.ko in a guest of the oldest kernel that it is for: it takes a device from Linux's own
driver and leaves it the others, does what programs do first, and is unloaded and loaded again."""
import os

import kmod
from guest import Daemon, host, same, warnings_of

FIRST = r"""set -e; cd DIR; mkdir -p d/e; echo one > f; echo two >> f; ln f d/hard; ln -s ../f d/e/soft
mv d/e/soft d/soft; mkfifo p; truncate -s 70000 big; printf end | dd of=big bs=1 seek=200000 conv=notrunc status=none
cp big copy; chmod 640 f; touch -d 2001-02-03T04:05:06.789 copy; chown 12:34 d; rm p; rmdir d/e; : > empty"""
# What both sides shall say of it. Sizes of directories are the file system's own business.
SHOW = r"""cd DIR; find . ! -type d -printf '%y %m %n %U:%G %s %T@ %p -> %l\n' | LC_ALL=C sort
find . -type d -printf '%y %m %U:%G %T@ %p\n' | LC_ALL=C sort; cat f; find . -type f | LC_ALL=C sort | xargs cksum"""


def sides(guest, name, when):
    same(f"{name}, {when}", guest.run(f"({SHOW.replace('DIR', '/mnt/' + name)})"),
         host(SHOW.replace("DIR", name)))


def main():
    os.mkdir("ours")
    os.mkdir("stock")
    ours, stock = Daemon("ours", name="ours"), Daemon("stock", name="stock")
    guest = kmod.KmodGuest("6.1", *kmod.share(ours), "--socket", f"{stock.socket}:stock")
    same("types", guest.run("awk '$2 ~ \"^/mnt/\" {print $1, $3}' /proc/mounts").split(),
         ["ours", "causeway", "stock", "virtiofs"])
    devices = [guest.device(n) for n in (0, 1)]
    same("drivers", [guest.driver(d) for d in devices], ["causeway", "virtiofs"])
    for name in ("ours", "stock"):
        guest.run(f"({FIRST.replace('DIR', '/mnt/' + name)})")
        sides(guest, name, "as written")
    host("cd ours; echo three >> f; mv copy copied; rm empty")
    guest.run("umount /mnt/ours; mount -t causeway ours /mnt/ours")
    sides(guest, "ours", "mounted again")
    # A module that is in use stays.
    status, said = guest.try_run("rmmod causeway")
    same(f"unloading while it is mounted ({said})", status != 0, True)
    guest.run("umount /mnt/ours")
    guest.unload()
    same("drivers without the module", [guest.driver(d) for d in devices], ["", "virtiofs"])
    guest.run(f"insmod {guest.module}; mount -t causeway ours /mnt/ours")
    sides(guest, "ours", "loaded again")
    same("kernel warnings", warnings_of(guest), [])
    same("status", (guest.close(), ours.wait(), stock.wait()), (0, 0, 0))


main()
