# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=400
"""A stock guest and what it does with less: opens without a message (requests are counted), file
systems below the share, inode flags, O_DIRECT."""
import ctypes
import os
import subprocess

from guest import Daemon, Guest, fast_qemu, host, same, skip, wait_for, warnings_of

CLONE_NEWNS = 0x20000
DIRS, FILES = 10, 20
ENTRIES = 100000
MODES = {
    "auto": (),
    "kept": ("--cache", "always"),
    "fixed": ("--cache", "always", "--readonly"),
}
READ_ALL = "find . -type f -exec cat {} + | cksum"


def private():
    """Mounts from here on are this test's and its daemons' alone, and reach these later too."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.getuid() or libc.unshare(CLONE_NEWNS):
        skip("may not mount here")
    for how in ("--make-rprivate", "--make-rshared"):
        subprocess.run(["mount", how, "/"], check=True)


def tree(directory):
    for i in range(DIRS):
        os.makedirs(f"{directory}/d{i}")
        for j in range(FILES):
            with open(f"{directory}/d{i}/f{j}", "w", encoding="ascii") as f:
                f.write(f"{i} {j}\n" * 100)


def requests(daemon):
    return sum(q["requests"] for q in daemon.statistics()[0].values())


def counted(guest, daemon, command):
    """(output, requests) of a command in the guest."""
    before = requests(daemon)
    return guest.run(command), requests(daemon) - before


def few_requests(guest, shares):
    """Requests of passes over 200 files in 10 directories, in each mode. The second pass still asks
    for what the first made stale itself: times of access."""
    want = host(f"cd auto; {READ_ALL}")
    for name, daemon in shares.items():
        for what, command, most in (
                ("find", f"cd /mnt/{name}; find . | wc -l; cd /", {"kept": 3, "fixed": 3}),
                ("read", f"cd /mnt/{name}; {READ_ALL}; cd /", {"fixed": 3})):
            first, cold = counted(guest, daemon, command)
            second, _ = counted(guest, daemon, command)
            third, warm = counted(guest, daemon, command)
            same(f"{name}: {what}", (second, third), (first, first))
            if what == "read":
                same(f"{name}: what was read", first, want)
            print(f"{name}: {what}: {cold} requests, then {warm}")
            if name in most and warm > most[name]:
                raise AssertionError(f"{name}: {what} took {warm} requests once more")
    # Nothing is open, however much was read.
    same("handles", shares["fixed"].statistics()[2], 0)


def read_only(guest):
    """What a guest may not write stays as it is, though no OPEN asks."""
    for command in (": > /mnt/fixed/d0/f0", "cat /proc/version >> /mnt/fixed/d0/f0", "truncate -s 1 /mnt/fixed/d0/f0",
                    "echo x > /mnt/fixed/new", "mkdir /mnt/fixed/dir", "rm /mnt/fixed/d0/f0"):
        status, text = guest.try_run(f"({command})")
        same(f"{command}: {text}", (status != 0, "Read-only file system" in text), (True, True))
    same("size", guest.run("stat -c %s /mnt/fixed/d0/f0"), host("stat -c %s fixed/d0/f0"))
    same("text", guest.run("cat /mnt/fixed/d0/f0"), host("cat fixed/d0/f0"))
    guest.run("echo 3 > /proc/sys/vm/drop_caches")
    same("text once more", guest.run("cat /mnt/fixed/d0/f0"), host("cat fixed/d0/f0"))


def changes_seen(guest):
    """Listings without OPENDIR: what the guest changes it sees, and rm -r leaves nothing."""
    guest.run("cd /mnt/kept; mkdir -p many/sub; cd many; "
              "perl -e 'for (1..3000) { open F, \">\", \"f$_\"; close F }'; cd /")
    same("made", guest.run("ls /mnt/kept/many | wc -l"), "3001\n")
    guest.run("rm /mnt/kept/many/f*7")
    same("removed", guest.run("ls /mnt/kept/many | sort"), host("ls kept/many | sort"))
    guest.run("rm -r /mnt/kept/many")
    same("gone", os.path.exists("kept/many"), False)


def many_entries(guest):
    """A directory of 100,000 entries, with OPENDIR and without: each is listed, once."""
    for i in range(ENTRIES):
        os.mknod(f"auto/many/{i:x}")
    host("mv auto/many kept/many")
    want = host("ls -U kept/many | sort | cksum")
    same("without OPENDIR", guest.run("ls -U /mnt/kept/many | sort | cksum"), want)
    host("mv kept/many auto/many")
    same("with it", guest.run("ls -U /mnt/auto/many | sort | cksum"), want)


def submounts(guest, daemon):
    """A mount below the share is a file system of its own, and may go again."""
    device = "stat -c %d"
    same("before", guest.run(f"{device} /mnt/auto/below"), guest.run(f"{device} /mnt/auto"))
    host("mount -t tmpfs -o size=1M none auto/below; echo below > auto/below/f; mkdir auto/below/d")
    guest.run("sleep 1.1")  # as long as names are trusted
    same("contents", guest.run("cat /mnt/auto/below/f"), "below\n")
    same("a device of its own", guest.run(f"{device} /mnt/auto/below/d") ==
         guest.run(f"{device} /mnt/auto"), False)
    same("one device", guest.run(f"{device} /mnt/auto/below/d"), guest.run(f"{device} /mnt/auto/below/f"))
    same("find -xdev", guest.run("cd /mnt/auto; find . -xdev -path './below/*'; cd /"), "")
    guest.run("echo new > /mnt/auto/below/d/new; sync -f /mnt/auto/below/d/new; sync")
    same("from the guest", host("cat auto/below/d/new"), "new\n")
    same("in the guest's table", "/mnt/auto/below " in guest.run("cat /proc/mounts"), True)
    guest.run("umount /mnt/auto/below; echo 2 > /proc/sys/vm/drop_caches")
    # The guest's forgets may be on their way still.
    wait_for("end of the mount's use",
             lambda: subprocess.run(["umount", "auto/below"], check=False).returncode == 0)
    guest.run("sleep 1.1")
    same("after", guest.run("ls -A /mnt/auto/below"), "")
    same("errors", [q["errors"] for q in daemon.statistics()[0].values() if q["errors"]], [])


def inode_flags(guest):
    for path in ("d0", "d0/f0"):
        guest.run(f"chattr +d /mnt/auto/{path}")
        same(f"{path} on the host", "d" in host(f"lsattr -d auto/{path}").split()[0], True)
        same(f"{path} in the guest", guest.run(f"lsattr -d /mnt/auto/{path}").split()[0],
             host(f"lsattr -d auto/{path}").split()[0])
        guest.run(f"chattr -d /mnt/auto/{path}")
        same(f"{path} without", "d" in host(f"lsattr -d auto/{path}").split()[0], False)


def direct(guest):
    """O_DIRECT, with lengths that disks have and others."""
    text = "0123456789abcdef" * 5000 + "end\n"
    with open("direct/in", "w", encoding="ascii") as f:
        f.write(text)
    for size in (512, 4096, 1000, 65536):
        guest.run(f"dd if=/mnt/direct/in of=/mnt/direct/out bs={size} iflag=direct oflag=direct status=none")
        same(f"copied by {size}", host("cmp direct/in direct/out && echo same"), "same\n")
    # A length that no disk has, by a program that does not care.
    guest.run("perl -e 'use Fcntl; sysopen F, $ARGV[0], O_RDWR | O_CREAT | 040000 or die $!; "
              "syswrite F, \"x\" x 777 or die $!; close F' /mnt/direct/odd")
    same("an odd end", os.stat("direct/odd").st_size, 777)
    same("its text", host("cat direct/odd"), "x" * 777)


private()
for directory in MODES:
    tree(directory)
for directory in ("auto/below", "auto/many", "direct"):
    os.mkdir(directory)
daemons = {name: Daemon(name, *options, name=name) for name, options in MODES.items()}
daemons["direct"] = Daemon("direct", "--allow-direct-io", name="direct")
vm = Guest(*fast_qemu(), *[o for d in daemons.values() for o in ("--socket", f"{d.socket}:{d.name}")])
few_requests(vm, {name: daemons[name] for name in MODES})
read_only(vm)
changes_seen(vm)
many_entries(vm)
submounts(vm, daemons["auto"])
inode_flags(vm)
direct(vm)
same("kernel warnings", warnings_of(vm), [])
same("status", vm.close(), 0)
for d in daemons.values():
    same(f"{d.name}: status", d.wait(), 0)
