# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=900
"""A guest's last close() of a file that has mappings, where nothing else holds its inode. Kernels
since October 2025 do not wait for RELEASE; where that holds the last reference, they give back the
mappings in the work that takes replies off the ring: the answer never reaches them, and the share
stands still. The daemon keeps those from it whose names it has given; the others need a newer kernel,
which this is."""
import os
import sys

from dax import PIECE, dax_daemon, dax_guest, make
from guest import same, warnings_of
from mapper import There, pattern

ROUNDS = 3


def opened(mapper, slot, share, name):
    mapper.do(f"open {slot} /mnt/{share}/{name} rw")
    mapper.do(f"map {slot} 0 {PIECE} rw")
    mapper.do(f"text {slot} 0 16", pattern(0, 16, 1).decode())
    mapper.do(f"unmap {slot}")


def expired_name(guest, mapper, share):
    """No name is kept beyond its time, which is over when the file is closed."""
    for _ in range(ROUNDS):
        opened(mapper, 0, share, "file")
        guest.run("sleep 1.2" if share == "usual" else ":")
        mapper.do("close 0")
        guest.run(f"ls -l /mnt/{share}")


def removed(guest, mapper, share, name, command):
    """By the guest itself, while it has the file open."""
    for _ in range(ROUNDS):
        make(f"{share}/{name}", pattern(0, PIECE, 1))
        opened(mapper, 0, share, name)
        guest.run(command)
        mapper.do("close 0")
        guest.run(f"ls -l /mnt/{share}")


def unlinked(guest, mapper, share):
    removed(guest, mapper, share, "gone", f"rm /mnt/{share}/gone")


def replaced(guest, mapper, share):
    removed(guest, mapper, share, "old",
            f"cp /mnt/{share}/file /mnt/{share}/new; mv /mnt/{share}/new /mnt/{share}/old")


def replaced_on_the_host(guest, mapper, share):
    for _ in range(ROUNDS):
        make(f"{share}/old", pattern(0, PIECE, 1))
        opened(mapper, 0, share, "old")
        make(f"{share}/new", pattern(0, PIECE, 1))
        os.rename(f"{share}/new", f"{share}/old")
        guest.run(f"sleep 1.2; cksum /mnt/{share}/old")
        mapper.do("close 0")
        guest.run(f"ls -l /mnt/{share}")


shares = {"usual": dax_daemon("usual", "--entry-timeout", "1", "--attr-timeout", "1", name="usual"),
          "never": dax_daemon("never", "--entry-timeout", "0", name="never"),
          "auto": dax_daemon("auto", "--entry-timeout", "0", name="auto", dax="auto")}
vm = dax_guest(*shares.values(), kernel="kernel-sid")
there = There(vm)
for which in shares:
    make(f"{which}/file", pattern(0, PIECE, 1))
    for test in (expired_name, unlinked, replaced, replaced_on_the_host):
        if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
            continue
        print(which, test.__name__, flush=True)
        test(vm, there, which)
there.end()
same("kernel warnings", warnings_of(vm), [])
same("status", (vm.close(), *(d.wait() for d in shares.values())), (0,) * 4)
