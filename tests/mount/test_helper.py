# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=120 needs=mount,unshare
"""mount(8) and fstab: `mount -t fuse.causeway` finds the helper in /sbin, passes options, and tells
failures in its way. In a mount namespace of its own, where /sbin has the helper on top."""
import os
import subprocess
import sys

from guest import check, same, skip
from mounted import ENVIRONMENT, PROGRAM

if "inside" not in sys.argv:
    sys.exit(subprocess.run(["unshare", "-m", sys.executable, __file__, "inside"],
                            check=False).returncode)


def run(command):
    done = subprocess.run(command, shell=True, env=ENVIRONMENT, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    return done.returncode, done.stdout


def options_of(point):
    with open("/proc/self/mounts", encoding="ascii") as f:
        return next((w[:4] for w in map(str.split, f) if w[1] == os.path.abspath(point)), None)


def fine(command):
    status, said = run(command)
    same(f"{command}: status (it said {said!r})", status, 0)
    return said


def fails(command, status, words):
    got, said = run(command)
    same(f"{command}: status (it said {said!r})", got, status)
    check(words in said, f"{command}: said {said!r}, without {words!r}")


os.makedirs("sbin")
os.makedirs("share")
os.makedirs("m")
share, point = os.path.abspath("share"), os.path.abspath("m")
os.symlink(PROGRAM, "sbin/mount.fuse.causeway")
where = os.path.realpath("/sbin")
if run(f"mount -t overlay overlay -o lowerdir={os.path.abspath('sbin')}:{where} {where}")[0]:
    skip("no overlay can be mounted over /sbin")
with open("share/file", "w", encoding="ascii") as f:
    f.write("content")

fine(f"mount -t fuse.causeway {share} m -o ro,allow_other,nofail,x-any=1")
source, _, kind, words = options_of("m")
same("source and type", (source, kind), (share, "fuse.causeway"))
check({"ro", "allow_other"} <= set(words.split(",")), f"options: {words}")
same("file", fine("cat m/file"), "content")
fails("mount -o remount,rw m", 1, "remount: options are part of")
fine("umount m")
with open("fstab", "w", encoding="ascii") as f:
    f.write(f"{share} {point} fuse.causeway daemon_option=--xattr,noauto,user,_netdev 0 0\n")
fine("mount -T fstab m")
same("file", fine("cat m/file"), "content")
fine("umount m")
check(options_of("m") is None, "it is mounted still")
fails(f"mount -t fuse.causeway {share} m -o wonder", 1, "no mount option 'wonder'")
fine(f"mount -s -t fuse.causeway {share} m -o wonder")
fine("umount m")
fails(f"mount -t fuse.causeway {share}/file m", 32, "neither a directory nor")
fine(f"mount -f -t fuse.causeway {share} m")
check(options_of("m") is None, "a fake mount is one")
fails(f"sbin/mount.fuse.causeway {share} m -N /proc/1/ns/mnt", 1, "run mount in that namespace")
