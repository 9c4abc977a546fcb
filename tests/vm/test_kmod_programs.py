# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=1300 needs=git,sqlite3,make,gcc,gcc-12,fio,stress-ng
"""Programs on causeway.ko: git, SQLite, a compiler under make, fio that verifies what it wrote, and
stress-ng's file system stressors. With writes that wait, and without an option, on the newer kernel; and
with caches that are coherent by a version table, on the older one, whose guest is alone at the table."""
import os
import re

import kmod
from guest import Daemon, check, host, same, warnings_of
from programs import compile_project, git, make_repository, sqlite
from versions import tmpfs

UNITS, COMMITS = 4, 3
FIO = ("--verify=crc32c --verify_fatal=1 --do_verify=1 --minimal --randrepeat=0 --group_reporting "
       "--fallocate=none --size=2m")
FIO_JOBS = {
    "buffered": "--ioengine=psync --rw=randrw --bsrange=512-128k --bs_unaligned=1",
    "direct": "--ioengine=libaio --iodepth=16 --direct=1 --rw=randwrite --bs=4k",
    "uring": "--ioengine=io_uring --iodepth=8 --direct=1 --rw=randwrite --bs=8k",
    "mapped": "--ioengine=mmap --rw=randwrite --bs=4k",
    "four": "--ioengine=psync --rw=randwrite --bs=8k --numjobs=4",
}
# (stressor, operations)
STRESSORS = (("dentry", 100), ("getdent", 50), ("lockf", 100), ("flock", 100), ("rename", 200),
             ("seek", 30), ("utime", 200), ("xattr", 3), ("aio", 20), ("handle", 50), ("inotify", 5),
             ("chmod", 20), ("copy-file", 5), ("dirdeep", 5), ("fallocate", 5), ("fcntl", 5),
             ("iomix", 5), ("chattr", 5), ("link", 1), ("open", 5), ("sendfile", 5), ("sync-file", 5), ("touch", 5))
TABLE = os.path.join(tmpfs(), "table")


def fio(guest, tag, shared_maps):
    for job, options in FIO_JOBS.items():
        if job == "mapped" and not shared_maps:
            continue
        guest.run(f"cd /mnt/{tag} && fio --name={job} {FIO} {options}; s=$?; cd /; (exit $s)", 200)
    guest.run("sync; echo 3 > /proc/sys/vm/drop_caches")
    same("sums", guest.run(f"cd /mnt/{tag}; cksum *.0; cd /", 100), host(f"cd {tag}; cksum *.0"))


def stress(guest, tag):
    """What fails on the share, and not on the host."""
    for name, count in STRESSORS:
        words = (f"--{name} 1 --{name}-ops {count} --timeout {2 if name == 'link' else 60} --verify "
                 "--metrics-brief 2>&1")
        status, text = guest.try_run(f"mkdir -p /mnt/{tag}/t; stress-ng --temp-path /mnt/{tag}/t {words}",
                                     150)
        if status == 0 and re.search(rf"metrc:.*\] {name} +[1-9]", text):
            continue
        ours = host(f"mkdir -p own; stress-ng --temp-path own {words}; echo status $?",
                    check_status=False)
        if "status 0" in ours:
            yield f"{tag}: {name}: status {status}\n{text}"
    same(f"left in {tag}/t", guest.run(f"ls -A /mnt/{tag}/t"), "")


def one(kernel, tag, options, daemon_options, *words, shared_maps=True):
    os.mkdir(tag)
    daemon = Daemon(tag, "--xattr", "--allow-direct-io", "--posix-lock", "--flock", *daemon_options,
                    name=tag)
    guest = kmod.KmodGuest(kernel, *kmod.share(daemon, *options), "--cpus", "2", "--memory", "2G",
                           *words)
    guest.run("export HOME=/tmp")
    base = f"/mnt/{tag}"
    git(guest, base, COMMITS)
    sqlite(guest, base, shared_maps)
    guest.run(f"rm -rf {base}/origin {base}/clone", 120)
    compile_project(guest, base, UNITS)
    fio(guest, tag, shared_maps)
    failed = list(stress(guest, tag))
    same("kernel warnings", warnings_of(guest), [])
    guest.run(f"umount {base}")
    guest.unload()
    same("status", (guest.close(), daemon.wait()), (0, 0))
    queues, _, _ = daemon.last_statistics()
    same("ring errors", sum(q["errors"] for q in queues.values()), 0)
    check(not failed, "\n".join(failed))


make_repository(COMMITS)
one("6.12", "writeback", ("writeback",), ("--writeback",))
one("6.12", "auto", (), ())
one("6.1", "shared", ("cache=shared",), ("--version-table", TABLE), "--version-table", TABLE,
    shared_maps=False)
