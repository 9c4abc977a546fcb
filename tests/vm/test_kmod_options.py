# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=600 needs=make,gcc-12
"""Mount options of causeway.ko: each is taken and shown in /proc/mounts, where what is shown mounts the
same again; what is unknown, or makes no sense, is refused by its name; a remount changes what can be
changed, and nothing else; on each kernel. mount.causeway(8) and the module have the same words."""
import os
import re

import kmod
from dax import QEMU, dax_daemon
from guest import SRC, Daemon, check, same, warnings_of
from versions import tmpfs

TABLE = os.path.join(tmpfs(), "table")
# What is given → what is shown of it besides `cache`: of any share, of one with a version table, and of
# one with a DAX window.
TAKEN = {
    "": "cache=auto",
    "cache=none": "cache=none",
    "cache=never": "cache=none",
    "cache=auto": "cache=auto",
    "cache=always": "cache=always",
    "cache=always,writeback": "cache=always,writeback",
    "writeback": "cache=auto,writeback",
    "no_writeback": "cache=auto,no_writeback",
    "writeback,no_writeback": "cache=auto,no_writeback",
    "dax=never": "cache=auto,dax=never",
    "dax=inode": "cache=auto,dax=inode",
    "attr_timeout=5": "cache=auto,attr_timeout=5",
    "attr_timeout=0": "cache=auto,attr_timeout=0",
    "attr_timeout=0.5,entry_timeout=1.25,negative_timeout=0.001":
        "cache=auto,attr_timeout=0.500,entry_timeout=1.250,negative_timeout=0.001",
    "server_timeout=10": "cache=auto,server_timeout=10",
    "server_timeout=0": "cache=auto,server_timeout=0",
    "max_read=4096": "cache=auto,max_read=4096",
    "max_read=70000": "cache=auto,max_read=69632",
}
TAKEN_TABLE = {"cache=shared": "cache=shared", "cache=shared,attr_timeout=3": "cache=shared,attr_timeout=3"}
TAKEN_WINDOW = {
    "": "cache=auto",
    "dax": "cache=auto,dax=always",
    "dax=always": "cache=auto,dax=always",
    "dax=always,cache=none": "cache=none,dax=always",
    "dax=inode": "cache=auto,dax=inode",
    "dax=never": "cache=auto,dax=never",
}
# What is given → what the kernel's log says.
REFUSED = {
    "colour=red": "colour",
    "cache=some": "cache",
    "cache": "cache",
    "writeback=1": "writeback",
    "attr_timeout=fast": "attr_timeout",
    "attr_timeout=-1": "attr_timeout",
    "entry_timeout=1.2.3": "entry_timeout",
    "negative_timeout=99999999999": "negative_timeout",
    "server_timeout=": "server_timeout",
    "max_read=100": "max_read",
    "max_read=many": "max_read",
    "dax=sometimes": "dax",
    "cache=none,writeback": "writeback and cache=none",
    "cache=shared,writeback": "writeback and cache=shared",
    # There is neither a window nor a table.
    "dax=always": "dax",
    "dax": "dax",
    "cache=shared": "cache=shared",
}
# Of a mount with `cache=auto,attr_timeout=5`: what a remount is told → what is shown then, or what of it is refused.
CHANGED = (
    ("attr_timeout=7", "cache=auto,attr_timeout=7", None),
    ("entry_timeout=1.5,server_timeout=9",
     "cache=auto,attr_timeout=7,entry_timeout=1.500,server_timeout=9", None),
    ("negative_timeout=0.25",
     "cache=auto,attr_timeout=7,entry_timeout=1.500,negative_timeout=0.250,server_timeout=9", None),
    ("cache=none", None, "cache"),
    ("writeback", None, "writeback"),
    ("dax=inode", None, "dax"),
    ("max_read=8192", None, "max_read"),
    ("colour=red", None, "colour"),
)
# Of all file systems.
COMMON = ("rw", "ro", "relatime", "noatime", "seclabel")


def shown(guest, tag="s"):
    words = guest.run(f"awk '$2 == \"/mnt/{tag}\" {{print $4}}' /proc/mounts").strip().split(",")
    return ",".join(w for w in words if w not in COMMON)


def said_of(guest, command, word):
    """A mount that is refused, and the log says why."""
    guest.run("dmesg -C")
    status, text = guest.try_run(command)
    log = guest.run("dmesg")
    check(status != 0, f"{command} succeeds")
    check(word in log + text, f"{command}: nothing says {word!r}:\n{text}\n{log}")


def taken(guest, tag, table):
    for words, want in table.items():
        option = f"-o {words}" if words else ""
        guest.run(f"mount -t causeway {option} {tag} /mnt/{tag}")
        same(f"shown of {words}", shown(guest, tag), want)
        guest.run(f"cat /mnt/{tag}/file; umount /mnt/{tag}")
        if want not in table:
            guest.run(f"mount -t causeway -o {want} {tag} /mnt/{tag}")
            same(f"shown of {want}", shown(guest, tag), want)
            guest.run(f"umount /mnt/{tag}")


def refused(guest):
    for words, want in REFUSED.items():
        said_of(guest, f"mount -t causeway -o {words} s /mnt/s", want)
        same(f"mounted with {words}", shown(guest), "")
    said_of(guest, "mount -t causeway nothing /mnt/s", "nothing")


def again(guest):
    """What is mounted already: the same once more, with the same options only."""
    guest.run("mkdir -p /tmp/again; mount -t causeway -o cache=always,writeback s /mnt/s")
    said_of(guest, "mount -t causeway s /tmp/again", "with other options")
    guest.run("mount -t causeway -o cache=always,writeback s /tmp/again")
    one, two = guest.run("stat -c %d /mnt/s /tmp/again").split()
    same("device numbers", two, one)
    guest.run("umount /mnt/s; cat /tmp/again/file; umount /tmp/again")


def changed(guest):
    guest.run("mount -t causeway -o cache=auto,attr_timeout=5 s /mnt/s")
    was = shown(guest)
    for words, want, refusal in CHANGED:
        command = f"mount -i -t causeway -o remount,{words} s /mnt/s"
        if refusal:
            said_of(guest, command, refusal)
        else:
            guest.run(command)
            was = want
        same(f"shown after {words}", shown(guest), was)
    guest.run("mount -o remount,ro /mnt/s; ! touch /mnt/s/x 2>/dev/null; mount -o remount,rw /mnt/s; "
              "touch /mnt/s/x; umount /mnt/s")


def documented():
    """The words of the table of the module and at the head of the page's paragraphs."""
    with open(os.path.join(SRC, "kmod/options.c"), encoding="utf-8") as f:
        known = set(re.findall(r'fsparam_\w+\("(\w+)"', f.read())) - {"source"}
    with open(os.path.join(SRC, "man/mount.causeway.8.scd"), encoding="utf-8") as f:
        options = f.read().partition("# MOUNT OPTIONS")[2].partition("\n# ")[0]
    told = {w.replace("\\", "") for line in options.splitlines() if line.startswith("*")
            for w in re.findall(r"\*([a-z_\\]+)\*", line)}
    values = {"auto", "none", "always", "shared", "never", "inode"}
    same("words of mount.causeway(8)", told - values, known)


def one_kernel(kernel):
    os.mkdir(kernel)
    for tag in "stw":
        os.mkdir(f"{kernel}/{tag}")
        with open(f"{kernel}/{tag}/file", "w", encoding="ascii") as f:
            f.write("text\n")
    daemons = [Daemon(f"{kernel}/s", "--tag", "s", "--writeback", name="s"),
               Daemon(f"{kernel}/t", "--tag", "t", "--version-table", TABLE, name="t"),
               dax_daemon(f"{kernel}/w", name="w")]
    guest = kmod.KmodGuest(kernel, "--dax", "64M", "--qemu", QEMU, "--version-table", TABLE,
                           *(w for d in daemons for w in kmod.share(d)))
    guest.run("umount /mnt/s /mnt/t /mnt/w")
    taken(guest, "s", TAKEN)
    taken(guest, "t", TAKEN_TABLE)
    taken(guest, "w", TAKEN_WINDOW)
    refused(guest)
    again(guest)
    changed(guest)
    same("kernel warnings", warnings_of(guest), [])
    same("status", (guest.close(), *(d.wait() for d in daemons)), (0,) * 4)


documented()
for version in kmod.KERNELS:
    print(version, flush=True)
    one_kernel(version)
