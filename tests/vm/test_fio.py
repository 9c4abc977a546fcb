# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=900 needs=fio
"""fio writes at random and verifies what it reads back: buffered, direct, mapped, several jobs on
one file, several modes."""
import os

from guest import FULL, Daemon, Guest, fast_qemu, host, same

MODES = {
    "auto": (),
    "none": ("--cache", "none"),
    "always-writeback": ("--cache", "always", "--writeback"),
}
if FULL:
    MODES["auto-writeback"] = ("--writeback",)
COMMON = ("--verify=crc32c --verify_fatal=1 --do_verify=1 --minimal --randrepeat=0 "
          "--group_reporting --fallocate=none")
SIZE = "4m"
JOBS = {
    "buffered": f"--ioengine=psync --rw=randrw --bsrange=512-128k --bs_unaligned=1 --size={SIZE}",
    "direct": f"--ioengine=libaio --iodepth=16 --direct=1 --rw=randwrite --bs=4k --size={SIZE}",
    "large": f"--ioengine=psync --rw=write --bs=1m --size={SIZE} --end_fsync=1",
    "mapped": f"--ioengine=mmap --rw=randwrite --bs=4k --size={SIZE}",
    "four": f"--ioengine=psync --rw=randwrite --bs=8k --size={SIZE} --numjobs=4",
}

daemons = []
for name, options in MODES.items():
    os.mkdir(name)
    daemons.append(Daemon(name, *options, name=name))
vm = Guest(*fast_qemu(), *[o for d in daemons for o in ("--socket", f"{d.socket}:{d.name}")], "--cpus", "2",
           "--memory", "2G")
for name in MODES:
    for job, options in JOBS.items():
        if job == "mapped" and name == "none":
            continue
        text = vm.run(f"cd /mnt/{name} && fio --name={job} {COMMON} {options}; s=$?; cd /; "
                      "(exit $s)", 280)
        print(f"{name} {job}: {text.split(';')[4] if ';' in text else text}", flush=True)
    # What lies on the host is what the guest reads.
    vm.run(f"sync; echo 3 > /proc/sys/vm/drop_caches")
    same(f"{name}: sums", vm.run(f"cd /mnt/{name}; cksum *; cd /", 280),
         host(f"cd {name}; cksum *"))
same("status", vm.close(), 0)
