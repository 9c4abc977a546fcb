# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600
"""Options of the daemon that a guest notices: --readonly, --entry-timeout, --attr-timeout, and
`causeway vm`'s own --cache, --writeback, --daemon-option and read-only shares."""
import os

from guest import Daemon, Guest, host, same

MARKS = {"no": "No such file", "readonly": "Read-only file system"}


def tree(name):
    os.mkdir(name)
    host(f"mkdir {name}/d; echo text > {name}/f; ln -s f {name}/s; mknod {name}/p p; "
         f"chmod 600 {name}/f; cp -a {name} {name}.before")


def refused(guest, base):
    """Each way to change something is refused, and nothing changes."""
    for command in ("echo x > B/new", "echo x >> B/f", "echo x > B/f", "rm B/f", "rmdir B/d",
                    "mkdir B/e", "mv B/f B/g", "ln B/f B/g", "ln -s x B/t", "chmod 644 B/f",
                    "chown 1 B/f", "touch B/f", "truncate -s 1 B/f", "mknod B/q p",
                    "fallocate -l 10 B/f", "cp /bin/true B/d/"):
        status, text = guest.try_run(command.replace("B/", base + "/"))
        same(f"refused: {command}: {text}", (status != 0, MARKS["readonly"] in text),
             (True, True))
    same("content", guest.run(f"cat {base}/f {base}/s"), "text\ntext\n")
    same("sync", guest.try_run(f"sync -f {base}/f")[0], 0)


def readonly():
    """By the daemon's option alone: the guest's mount is an ordinary one."""
    for name in ("ro", "share-ro"):
        tree(name)
    # A guest that was told nothing: the refusal is the daemon's.
    daemon = Daemon("ro", "--readonly")
    guest = Guest("--socket", f"{daemon.socket}:ro", "--share", "share-ro:sro:ro",
                  "--root", "host")
    refused(guest, "/mnt/ro")
    refused(guest, "/mnt/sro")
    guest.close()
    same("the daemon's status", daemon.wait(), 0)
    for name in ("ro", "share-ro"):
        same(f"{name} changed", host(f"diff -r {name} {name}.before 2>&1 | grep -v fifo || :"), "")


def timeouts():
    """Each timeout does what it says, independently of the mode's own."""
    rows = {
        # (entry, attr): (removed name is still there, old mode is still shown)
        ("3600", "3600"): (True, True),
        ("3600", "0"): (True, False),
        ("0", "0"): (False, False),
        ("0.3", "0.3"): (False, False),
    }
    daemons = {}
    for i, key in enumerate(rows):
        os.mkdir(f"t{i}")
        host(f"touch t{i}/gone t{i}/f; chmod 600 t{i}/f")
        daemons[key] = Daemon(f"t{i}", "--entry-timeout", key[0], "--attr-timeout", key[1],
                              name=f"t{i}")
    os.mkdir("vm")
    guest = Guest(*[o for d in daemons.values() for o in ("--socket", f"{d.socket}:{d.name}")],
                  "--share", "vm:vm", "--cache", "auto", "--writeback",
                  "--daemon-option", "--entry-timeout=3600",
                  "--daemon-option", "--attr-timeout=3600")
    for d in daemons.values():
        guest.run(f"stat -c %a /mnt/{d.name}/gone /mnt/{d.name}/f")
        host(f"rm {d.name}/gone; chmod 640 {d.name}/f")
    guest.run("sleep 1.2")
    for key, (still, old) in rows.items():
        name = daemons[key].name
        same(f"timeouts {key}: the removed name",
             guest.try_run(f"test -e /mnt/{name}/gone")[0] == 0, still)
        same(f"timeouts {key}: the mode", guest.run(f"stat -c %a /mnt/{name}/f"),
             "600\n" if old else "640\n")
    # The tool hands its options on: writeback holds data back, the timeouts keep names.
    guest.run("echo text > /mnt/vm/f; touch /mnt/vm/g")
    guest.hold_written("/mnt/vm/g", "held")
    same("written back by `vm --writeback`", host("cat vm/g"), "")
    guest.release()
    same("written back after close", host("cat vm/g"), "held")
    host("rm vm/f")
    guest.run("sleep 1.2; test -e /mnt/vm/f")
    guest.close()


readonly()
timeouts()
