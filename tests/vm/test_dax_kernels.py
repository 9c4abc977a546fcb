# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=900 needs=fio,git,make,gcc
"""A newer stock kernel through a DAX window (the other tests have 6.1): the file semantics cases,
fio that verifies what it wrote, a build with git whose program then runs; and fio again by the
guest's own choice of what to map. Words name other kernels; those that wait for themselves at
RELEASE (docs/dax.md) do not come through the cases."""
import os
import sys

import fscompare
from dax import all_closed, dax_daemon, dax_guest
from guest import FSCASES, Monitor, host, same, warnings_of

KERNELS = sys.argv[1:] or ("kernel-sid",)
LIMIT = 500
FIO = ("fio --verify=crc32c --verify_fatal=1 --do_verify=1 --minimal --randrepeat=0 "
       "--group_reporting --fallocate=none --size=2m ")
JOBS = {
    "read-write": "--ioengine=psync --rw=randrw --bsrange=512-128k --bs_unaligned=1",
    "mapped": "--ioengine=mmap --rw=randwrite --bs=4k",
    "four": "--ioengine=psync --rw=randwrite --bs=8k --numjobs=4",
}
BUILD = r"""set -e; mkdir DIR/work; cd DIR/work; git init -q .; for i in $(seq 20); do
echo "int f$i(void) { return $i; }" > f$i.c; done
echo 'int f7(void); int main(void) { return f7(); }' > main.c
printf 'all: prog\nprog: $(patsubst %%.c,%%.o,$(wildcard *.c))\n\tgcc -o $@ $^\n' > Makefile
git add .; git -c user.name=x -c user.email=x@x commit -qm first; make -s -j2
git status --porcelain | wc -l; git fsck --strict 2>&1 | grep -v notice || true; cd /; sync"""


def cases(guest, share, oracle, release):
    """What differs from the host."""
    status, text = guest.try_run(f"{FSCASES} /mnt/{share}", LIMIT)
    same("status of the cases", status, 0)
    version = tuple(int(n) for n in release.split(".")[:2])
    return fscompare.differences(oracle, fscompare.read(text), "auto",
                                 fscompare.explained_for(*version))


def fio(guest, share):
    for job, options in JOBS.items():
        guest.run(f"cd /mnt/{share} && {FIO} --name={job} {options}; s=$?; cd /; (exit $s)", LIMIT)
    guest.run("sync; echo 3 > /proc/sys/vm/drop_caches")
    same_sums(guest, share, "fio")


def same_sums(guest, share, when):
    same(f"{share}: sums, {when}", guest.run(f"cd /mnt/{share}; cksum *.0; cd /", LIMIT),
         host(f"cd {share}; cksum *.0"))


def build(guest, monitor, daemon):
    share = daemon.name
    script = BUILD.replace("DIR", f"/mnt/{share}")
    # What was built is not in git.
    same("build", guest.run(f"({script})", LIMIT).split(), ["22"])
    # Files that were removed while open are unmapped then; QEMU must not be stopped in that.
    all_closed(daemon)
    same("sum of the program", guest.run(f"cksum < /mnt/{share}/work/prog"),
         host(f"cksum < {share}/work/prog"))
    # The cases have run one that is no more.
    monitor.forget_translations()
    same("status of the program", guest.try_run(f"/mnt/{share}/work/prog")[0], 7)


def one(kernel, oracle):
    always, auto = (dax_daemon(f"{kernel}-{dax}", name=f"{kernel}-{dax}", dax=dax, window=32 << 20)
                    for dax in ("always", "auto"))
    monitor = Monitor(f"{kernel}.qmp")
    guest = dax_guest(always, auto, kernel=kernel, options=("--cpus", "2", *monitor.options))
    release = guest.run("uname -r").strip()
    print(release, flush=True)
    wrong = cases(guest, always.name, oracle, release)
    build(guest, monitor, always)
    for daemon in always, auto:
        fio(guest, daemon.name)
    # Whatever a mount asks for, the files are the same.
    for how in ("dax=never", "dax=always", "dax=inode"):
        name = always.name
        guest.run(f"umount /mnt/{name}; mount -t virtiofs -o {how} {name} /mnt/{name}")
        same_sums(guest, name, how)
    wrong += warnings_of(guest)
    same("status", (guest.close(), always.wait(), auto.wait()), (0, 0, 0))
    return [f"{kernel}: {line}" for line in wrong]


os.mkdir("host")
transcript = fscompare.run_here("host")
failed = [line for k in KERNELS for line in one(k, transcript)]
print("\n".join(failed))
sys.exit(1 if failed else 0)
