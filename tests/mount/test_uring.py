# SPDX-License-Identifier: BSD-2-Clause
# check: builds=plain full-builds=asan,tsan timeout=900 needs=fio alone
"""FUSE over io_uring, where the kernel has it: requests come by it, but not where they are not to;
and the tests of replies that lie, of a mount's life and of programs, with the file semantics cases,
give what they give over /dev/fuse. (alone: what the kernel is told here is so for all mounts.)"""
import atexit
import os
import re
import runpy
import signal
import sys

import guest
from guest import SRC, check, host, same, skip, wait_for
from mounted import Mount, Virtiofsd, VIRTIOFSD

SWITCH = "/sys/module/fuse/parameters/enable_uring"
PLAIN = os.environ["CAUSEWAY_BUILD"] == os.environ["CAUSEWAY_PLAIN_BUILD"]
VERIFY = "--verify=crc32c --verify_fatal=1 --do_verify=1 --minimal --randrepeat=0 --fallocate=none"
JOBS = {
    "direct": "--ioengine=libaio --iodepth=32 --direct=1 --rw=randwrite --bs=4k",
    "large": "--ioengine=libaio --iodepth=8 --direct=1 --rw=write --bs=1m",
    "buffered": "--ioengine=psync --rw=randrw --bsrange=512-128k --bs_unaligned=1",
    "many": "--ioengine=psync --rw=randwrite --bs=8k --numjobs=100 --thread --filesize=256k",
}


def turn_on():
    """The kernel's switch, until the end of the test; it decides when a mount begins."""
    try:
        with open(SWITCH, encoding="ascii") as f:
            before = f.read().strip()
        put_switch("Y")
    except OSError as e:
        skip(f"no FUSE over io_uring: {SWITCH}: {e.strerror}")
    atexit.register(put_switch, before)
    try:
        with open("/proc/sys/kernel/io_uring_disabled", encoding="ascii") as f:
            disabled = f.read().strip()
    except OSError:
        disabled = "0"
    if disabled == "2":
        skip("no io_uring: kernel.io_uring_disabled")


def put_switch(value):
    with open(SWITCH, "w", encoding="ascii") as f:
        f.write(value)


def completions(mount):
    """What the kernel counted on the io_urings of a mount."""
    total = 0
    where = f"/proc/{mount.process.pid}"
    for fd in os.listdir(f"{where}/fd"):
        try:
            if "io_uring" in os.readlink(f"{where}/fd/{fd}"):
                with open(f"{where}/fdinfo/{fd}", encoding="ascii") as f:
                    total += int(re.search(r"CqTail:\s*(\d+)", f.read()).group(1))
        except FileNotFoundError:
            pass
    return total


def said(mount):
    """What the mount says itself: requests by /dev/fuse, by io_uring."""
    before = mount.text()
    mount.process.send_signal(signal.SIGUSR1)
    wait_for("counters", lambda: mount.text()[len(before):].endswith("\n"))
    found = re.search(r"(\d+) requests by /dev/fuse, (\d+) by io_uring\n", mount.text()[len(before):])
    check(found, f"said: {mount.text()}")
    return int(found.group(1)), int(found.group(2))


def use(mount):
    for i in range(50):
        with open(mount.path(f"f{i}"), "w", encoding="ascii") as f:
            f.write("text" * i)
    same("names", len(os.listdir(mount.point)), 50)
    for i in range(50):
        with open(mount.path(f"f{i}"), encoding="ascii") as f:
            same("text", f.read(), "text" * i)
        os.unlink(mount.path(f"f{i}"))


def by_uring():
    """Everything but FORGETs."""
    mount = Mount("share", "queues=3", options=("--cache=none",))
    use(mount)
    device, uring = said(mount)
    check(uring >= 250, f"{uring} requests by io_uring, {device} by /dev/fuse")
    check(uring > 2 * device, f"{uring} requests by io_uring, {device} by /dev/fuse")
    check(completions(mount) >= 250, "the kernel counted fewer")
    mount.unmount()


def by_device():
    """Told not to; with locks that may be waited for."""
    for words, options in (("no_io_uring",), ()), ((), ("--posix-lock",)), ((), ("--flock",)):
        mount = Mount("share", *words, options=options)
        use(mount)
        device, uring = said(mount)
        same(f"{words} {options}: by io_uring", uring, 0)
        check(device >= 250, f"{words} {options}: {device} by /dev/fuse")
        same(f"{words} {options}: io_urings", completions(mount), 0)
        mount.unmount()


def switched_off():
    """While it is mounted: what began with it goes on with it."""
    mount = Mount("share")
    use(mount)
    before = completions(mount)
    put_switch("N")
    use(mount)
    check(completions(mount) >= before + 100, "it stopped")
    other = Mount("share")
    use(other)
    same("by io_uring", said(other)[1], 0)
    other.unmount()
    put_switch("Y")
    mount.unmount()


def more_queues():
    """More lanes than processors, and a back-end that knows nothing of later flags."""
    mounts = [Mount("share", "queues=16")]
    if os.access(VIRTIOFSD, os.X_OK):
        mounts.append(Mount(Virtiofsd("share").socket))
    for mount in mounts:
        use(mount)
        check(completions(mount) >= 250, f"{completions(mount)} requests by io_uring")
        mount.unmount()


def attributes():
    """What is read and what is answered in one buffer: names before values, the largest too."""
    mount = Mount("share", options=("--xattr",))
    path = mount.path("file")
    with open(path, "w", encoding="ascii"):
        pass
    for size in (0, 1, 100, 4095, 4096, 4097, 65536):
        value = os.urandom(size)
        try:
            os.setxattr("share/file", "user." + "n" * 200, value)
        except OSError:
            continue  # the host's file system has no room
        same(f"{size} bytes", os.getxattr(path, "user." + "n" * 200), value)
        os.removexattr(path, "user." + "n" * 200)
        os.setxattr(path, "user.other", value)
        same(f"{size} bytes set", os.getxattr("share/file", "user.other"), value)
        same("names", os.listxattr(path), ["user.other"])
    os.symlink("t" * 4095, mount.path("link"))
    same("link", os.readlink(mount.path("link")), "t" * 4095)
    os.unlink(mount.path("link"))
    os.unlink(path)
    check(completions(mount) > 0, "not by io_uring")
    mount.unmount()


def fio():
    for queues in (1, 2):
        mount = Mount("share", f"queues={queues}", options=("--cache=none",))
        for job, options in JOBS.items():
            where = f"{mount.point}/fio"
            host(f"mkdir {where}; cd {where}; fio --name={job} --size=8m {VERIFY} {options}")
            same(f"{job}: sums", host(f"cd {where}; cksum *"), host("cd share/fio; cksum *"))
            host(f"rm -r {where}")
        check(completions(mount) > 2000, f"{completions(mount)} requests by io_uring")
        mount.unmount()


def run_other(name, least):
    """Another test, whose mounts use io_uring, but those that something hostile keeps from it; as
    without --full, whose modes of caching have nothing to do with the way that requests come."""
    used = []
    plain = Mount.__init__

    def init(self, *args, **more):
        plain(self, *args, **more)
        used.append(completions(self) > 0)
    top = os.getcwd()
    os.mkdir(name)
    os.chdir(name)
    Mount.__init__, guest.FULL = init, False
    try:
        runpy.run_path(os.path.join(SRC, f"tests/mount/test_{name}.py"), run_name="__main__")
    except SystemExit as e:
        same(f"{name}: status", e.code, 0)
    finally:
        Mount.__init__ = plain
        os.chdir(top)
    check(used.count(True) >= least, f"{name}: {used.count(True)} of {len(used)} by io_uring")


def hostile():
    run_other("hostile", 4)


def life():
    run_other("life", 8)


def cases():
    run_other("cases", 2)


turn_on()
os.mkdir("share")
tests = [by_uring, by_device, switched_off, more_queues, attributes, hostile, life]
for test in tests + ([fio, cases] if PLAIN else []):
    print(test.__name__, flush=True)
    test()
same("left on the host", os.listdir("share"), [])
sys.exit(0)
