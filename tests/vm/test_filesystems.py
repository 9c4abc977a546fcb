# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=900 needs=mkfs.xfs,mkfs.btrfs,bindfs,unshare
"""Shares of file systems of many kinds: tmpfs, overlayfs, FUSE (bindfs), xfs and btrfs. On each the
file semantics cases give in a stock guest what they give on the host, but for what fscompare and
the tables here explain. One guest has all shares."""
import os
import sys
import time

import fscompare
from guest import FSCASES, FULL, Daemon, Guest, check, fast_qemu, host, same, skip, warnings_of

# All happens in a mount namespace of its own, so that no mount outlives the test.
if os.environ.get("CAUSEWAY_OWN_MOUNTS") != "1":
    if os.getuid() != 0:
        skip("needs root, to mount")
    os.environ["CAUSEWAY_OWN_MOUNTS"] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable,
                          *sys.argv])

# Name → how to mount it on the directory of that name.
KINDS = {
    "tmpfs": "mount -t tmpfs -o size=300m none tmpfs",
    "overlay": "mkdir lower upper work; mount -t overlay none overlay "
               "-o lowerdir=lower,upperdir=upper,workdir=work",
    "bindfs": "mkdir below; bindfs -o allow_other below bindfs",
    "xfs": "truncate -s 400m xfs.img; mkfs.xfs -q xfs.img; mount -o loop xfs.img xfs",
    "btrfs": "truncate -s 300m btrfs.img; mkfs.btrfs -q btrfs.img; mount -o loop btrfs.img btrfs",
}
# Without --full: what the file system below has a say in.
FEW = ("truncate", "holes", "seek", "allocate", "large-offsets", "map-shared-write", "append",
       "unlinked", "rename-exchange", "rename-open", "hard-links", "long-names", "odd-names",
       "list-types", "list-changing", "set-times", "modes", "drop-suid", "make-nodes", "statfs")

# Cases that a kind cannot do right, and why: docs/filesystems.md says what that means for users.
BY_PATH = ("bindfs knows a file by one of its names: what is done through it fails when that name "
           "is gone, though the file has others, or is open")
NOT_ON = {"bindfs": {"hard-links": BY_PATH}}
# These know no more modes of fallocate() than a guest does.
PLAIN_FALLOCATE = ("tmpfs", "bindfs", "btrfs")


ALL_CASES = host(f"{FSCASES} --list").split()


def mount():
    """The kinds that this machine can mount."""
    done = []
    for name, command in KINDS.items():
        os.mkdir(name)
        text = host(f"{{ {command}; }} 2>&1 || echo failed", check_status=False)
        if "failed" in text:
            check("unknown filesystem" in text, f"{name}: {text}")
            print(f"{name}: this kernel has none")
        else:
            host(f"chmod 755 {name}")
            done.append(name)
    return done


def explained(name):
    """fscompare's table, without what is on this kind as on the host."""
    return [e for e in fscompare.EXPLAINED
            if e.reason != fscompare.FALLOCATE or name not in PLAIN_FALLOCATE]


def compare(guest, name):
    begin = time.monotonic()
    # What bindfs does otherwise than a file system of its own is not for all cases to find out.
    some = ALL_CASES if FULL and name != "bindfs" else FEW
    only = ",".join(c for c in some if c not in NOT_ON.get(name, ()))
    # In a directory, not at the root: a file system may treat that differently.
    host(f"mkdir {name}/host {name}/guest")
    oracle = fscompare.run_here(f"{name}/host", only)
    middle = time.monotonic()
    status, text = guest.try_run(f"{FSCASES} /mnt/{name}/guest --only {only}", 300)
    same(f"{name}: status", status, 0)
    wrong = fscompare.differences(oracle, fscompare.read(text), "auto", explained(name))
    left = host(f"ls -A {name}/host {name}/guest")
    if left.split() != [f"{name}/guest:", f"{name}/host:"]:
        wrong.append(f"left on the host: {left}")
    print(f"{name}: {len(wrong)} differences, host {middle - begin:.1f} s, "
          f"guest {time.monotonic() - middle:.1f} s", flush=True)
    return [f"{name}: {line}" for line in wrong]


def main():
    kinds = mount()
    daemons = [Daemon(name, name=name) for name in kinds]
    guest = Guest(*fast_qemu(), *[o for d in daemons for o in ("--socket", f"{d.socket}:{d.name}")],
                  "--memory", "2G")
    failed = []
    for name in kinds:
        failed += compare(guest, name)
    failed += warnings_of(guest)
    same("status of the guest", guest.close(), 0)
    for d in daemons:
        same(f"exit status of {d.name}'s daemon", d.wait(), 0)
        queues, _, _ = d.last_statistics()
        same(f"{d.name}: ring errors", sum(q["errors"] for q in queues.values()), 0)
    if "bindfs" in kinds:
        host("umount bindfs")  # ends its process
    print("\n".join(failed))
    sys.exit(1 if failed else 0)


main()
