# SPDX-License-Identifier: BSD-2-Clause
"""Guests with DAX windows: QEMU 11.1 and daemons that have one."""
import os
import re

from guest import Daemon, Guest, check, same, setup_path, wait_for

PAGE = 4096
PIECE = 2 << 20  # what Linux maps at once
WINDOW = 64 << 20
QEMU = setup_path("qemu-sid")[0]


def dax_daemon(directory, *options, name="s", window=WINDOW, dax="always"):
    """A daemon whose tag is its name. Attributes are asked for each time: what the host has made of
    a file is seen at once. Names are kept, which closes of Linux depend on: test_dax_release.py."""
    os.makedirs(directory, exist_ok=True)
    daemon = Daemon(directory, "--tag", name, "--dax-window", str(window), "--dax", dax,
                  "--attr-timeout", "0", "--entry-timeout", "3600", *options, name=name)
    daemon.has_window = dax != "never"
    return daemon


def dax_guest(*daemons, kernel=None, options=()):
    """A guest that has each daemon's share at /mnt/NAME."""
    more = ("--kernel", setup_path(kernel)[0]) if kernel else ()
    shares = [o for d in daemons for o in ("--socket", f"{d.socket}:{d.name}")]
    guest = Guest("--dax", "64M", "--qemu", QEMU, *more, *shares, *options)
    same("windows", int(guest.run("dmesg | grep -c 'virtiofs.*Cache len'")),
         sum(d.has_window for d in daemons))
    return guest


def requests(daemon):
    return sum(q["requests"] for q in daemon.statistics()[0].values())


def all_closed(daemon):
    """Until the guest has closed all files of the share, which the end of a program does not wait
    for."""
    wait_for("end of all handles", lambda: daemon.statistics()[2] == 0)


def qemu_of(guest):
    """The process of a guest's QEMU."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                name, _, rest = f.read().rpartition(") ")
        except OSError:
            continue
        # Run by its own loader, it is called after that.
        if int(rest.split()[1]) == guest.process.pid and "causewayd" not in name:
            return int(pid)
    raise AssertionError("the guest has no QEMU")


def mapped_files(guest, directory):
    """{name: bytes} of the files in the directory that the guest's QEMU has mapped. Told by their
    numbers: a path in a sandbox is another one."""
    names = {os.stat(os.path.join(directory, n)).st_ino: n for n in os.listdir(directory)}
    found = {}
    with open(f"/proc/{qemu_of(guest)}/maps", encoding="utf-8", errors="replace") as f:
        for line in f:
            m = re.match(r"(\w+)-(\w+) \S+ \S+ \S+ (\d+)", line)
            name = names.get(int(m.group(3)))
            if name:
                found[name] = found.get(name, 0) + int(m.group(2), 16) - int(m.group(1), 16)
    return found


def make(path, data):
    with open(path, "wb") as f:
        f.write(data)


def content(path):
    with open(path, "rb") as f:
        return f.read()


def unmapped(guest, daemon):
    """The guest gives back what it has of the window: unmounts and mounts again."""
    guest.run(f"cd /; umount /mnt/{daemon.name} && mount -t virtiofs {daemon.name} "
              f"/mnt/{daemon.name}")


def lively(guest):
    """The guest, and what runs it, are there."""
    check(guest.run("echo alive") == "alive\n", "the guest does not answer")
