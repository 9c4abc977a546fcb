# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600 needs=git,sqlite3,fio,stress-ng
"""Programs that people run: git, SQLite with a log, fio that verifies what it wrote, and some
stressors of stress-ng, on a mount in the default mode, and one that caches most; under --full in
other modes too, and for longer. And who reads what was written, sees it (reread.c)."""
import os
import re
import time

from guest import FULL, check, host, same
from mounted import Mount

MODES = {
    "auto": (),
    "always-writeback": ("--cache=always", "--writeback"),
}
if FULL:
    MODES.update({
        "none": ("--cache=none",),
        "auto-writeback": ("--writeback",),
        "always": ("--cache=always",),
        "metadata": ("--cache=metadata",),
    })
NO_SHARED_MAPS = ("none", "metadata")
# Linux may show what a file had before another process wrote there: docs/caching.md.
SHOWS_STALE = ("auto",)
REREAD = os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "tests/mount/reread")
GIT = ("git -c user.name=n -c user.email=e@example.org -c gc.auto=0 -c init.defaultBranch=main "
       "-c safe.directory=*")
COMMITS = 5 if FULL else 3
SIZE = "8m" if FULL else "4m"
VERIFY = "--verify=crc32c --verify_fatal=1 --do_verify=1 --minimal --randrepeat=0 --fallocate=none"
JOBS = {
    "buffered": "--ioengine=psync --rw=randrw --bsrange=512-128k --bs_unaligned=1",
    "direct": "--ioengine=libaio --iodepth=32 --direct=1 --rw=randwrite --bs=4k",
    "large": "--ioengine=libaio --iodepth=8 --direct=1 --rw=write --bs=1m",
    "mapped": "--ioengine=mmap --rw=randwrite --bs=4k",
    "four": "--ioengine=psync --rw=randwrite --bs=8k --numjobs=4 --group_reporting",
}
STRESSORS = (("access", 20), ("dentry", 100), ("flock", 200), ("rename", 200), ("seek", 30),
             ("dir", 5), ("hdd", 5), ("mmap", 1), ("open", 5), ("fallocate", 5), ("copy-file", 5),
             ("sendfile", 5))
if FULL:
    STRESSORS += (("iomix", 5), ("link", 1))
# Linux asks for holes without writing back first: docs/semantics.md.
NOT_WITH_WRITEBACK = ("seek",)


def sync(directory):
    """File by file: since Linux 6.18, sync -f only begins to write what FUSE holds back."""
    host(f"find {directory} -type f -exec sync {{}} +")


def git(share, base):
    host(f"""set -e; mkdir {base}/origin; cd {base}/origin; {GIT} init -q
        for i in $(seq {COMMITS}); do
            mkdir -p dir$i; for f in 1 2 3 4 5; do seq $i$f 20$i > dir$i/file$f; done
            ln -s dir$i link$i; echo $i > top; {GIT} add -A; {GIT} commit -q -m "commit $i"
        done
        cd ..; {GIT} clone -q origin clone; cd clone
        {GIT} checkout -q -b topic; echo more >> top; rm dir1/file1; mkdir new; echo x > new/file
        mv link1 new/; {GIT} add -A; {GIT} commit -q -m topic; {GIT} checkout -q main
        {GIT} merge -q topic; {GIT} gc -q; {GIT} fsck --full --strict""")
    same("status", host(f"cd {base}/clone; {GIT} status --porcelain"), "")
    sync(f"{base}/clone")
    same("commits", host(f"cd {share}/clone; {GIT} rev-list --count main").strip(),
         str(COMMITS + 1))
    host(f"cd {share}/clone; {GIT} fsck --full --strict")


def sqlite(share, base, mode):
    journal = "delete" if mode in NO_SHARED_MAPS else "wal"
    same("journal", host(f"sqlite3 {base}/db 'pragma journal_mode={journal}'").strip(), journal)
    insert = ("pragma busy_timeout=60000; "
              "with recursive n(i) as (select 1 union all select i+1 from n where i<200) "
              "insert into t(b) select hex(randomblob(50)) from n;")
    host(f"sqlite3 {base}/db 'create table t(a integer primary key, b text)'")
    each = f"(for i in 1 2 3; do sqlite3 {base}/db '{insert}' || exit 1; done >/dev/null)"
    if mode in SHOWS_STALE:
        host(f"{each} && {each}")
    else:
        host(f"{each} & p1=$!; {each} & p2=$!; wait $p1 && wait $p2")
    host(f"sqlite3 {base}/db 'delete from t where a % 3 = 0; vacuum;'")
    for where in (base, share):
        same(f"{where}: integrity", host(f"sqlite3 {where}/db 'pragma integrity_check'"), "ok\n")
        same(f"{where}: rows", host(f"sqlite3 {where}/db 'select count(*) from t'"), "800\n")


def reread(base, mode):
    if mode not in SHOWS_STALE:
        print(host(f"{REREAD} {base}/reread 2"), end="")


def fio(share, base, mode):
    for job, options in JOBS.items():
        if job == "mapped" and mode in NO_SHARED_MAPS:
            continue
        host(f"cd {base}; mkdir fio; cd fio; fio --name={job} --size={SIZE} {VERIFY} {options}")
        sync(f"{base}/fio")
        # What lies on the host is what the mount shows.
        same(f"{job}: sums", host(f"cd {base}/fio; cksum *"), host(f"cd {share}/fio; cksum *"))
        host(f"rm -r {base}/fio")


def stress(base, mode):
    """What fails on the mount, and not beside it, is ours."""
    for name, count in STRESSORS:
        if "writeback" in mode and name in NOT_WITH_WRITEBACK:
            continue
        seconds = 2 if name == "link" else 20
        outputs = []
        for where in (f"{base}/stress", "stress"):
            outputs.append(host(
                f"mkdir -p {where}; stress-ng --temp-path {where} --{name} 1 --{name}-ops {count} "
                f"--timeout {seconds} --verify --metrics-brief 2>&1; echo status $?; "
                f"ls -A {where}; rm -r {where}"))
            done = re.search(rf"metrc:.*\] {name} +[1-9]", outputs[-1])
            if "status 0" in outputs[-1] and done:
                break
        else:
            print(f"{name} fails on the host too:\n{outputs[-1]}")
        check(len(outputs) == 1 or "status 0" not in outputs[-1], f"{mode}: {name}: {outputs[0]}")


for mode, options in MODES.items():
    host(f"mkdir {mode}")
    mount = Mount(mode, "queues=2", options=options)
    for what, run in (("git", lambda: git(mode, mount.point)),
                      ("SQLite", lambda: sqlite(mode, mount.point, mode)),
                      ("what was written", lambda: reread(mount.point, mode)),
                      ("fio", lambda: fio(mode, mount.point, mode)),
                      ("stress-ng", lambda: stress(mount.point, mode))):
        begin = time.monotonic()
        run()
        print(f"{mode}: {what}: {time.monotonic() - begin:.1f} s", flush=True)
    mount.unmount()
    same("said", mount.text(), "")
