# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600 needs=make,gcc-12
"""cache=shared of causeway.ko with the version table in shared memory region 1 of its own device, beside the
DAX window (region 0); and no other device has it. What the host and another client change is seen, and
looks at what nobody has changed cost no request, also when another table has taken the first one's place.
A region that has another table, or one of fewer slots, is not taken. QEMU 11.1 maps such a table only by
way of tests/lib/relay.py, and crashes when a guest resets a device that has one: so the guest ends as it
is."""
import os

import kmod
from dax import PAGE, PIECE, QEMU, content, dax_daemon, make
from guest import END_SECONDS, Daemon, check, same, wait_for
from mapper import There, pattern
from mounted import Mount
from relay import Relay
from versions import HEADER, POISON, SLOTS, Table, tmpfs

READ = 15
WINDOW = 16 << 20  # as large as the table
PLACE = tmpfs()
TABLE = os.path.join(PLACE, "table")
TREE = "tree"


def false_table(name, change):
    """A copy of the table's head, with something else in it."""
    path = os.path.join(PLACE, name)
    with open(TABLE, "rb") as f:
        data = f.read(HEADER)
    with open(path, "wb") as f:
        f.truncate(os.path.getsize(TABLE))
        f.write(data)
    change(Table(path))
    return path


def other_id(table):
    table.put(16, table.get(16) + 1)


def fewer_slots(table):
    table.put(SLOTS, table.slots // 2)


def server(name, instead=None):
    daemon = dax_daemon(TREE, "--version-table", TABLE, "--xattr", name=name, window=WINDOW)
    return daemon, Relay(daemon, instead and false_table(name, instead))


def inside(name):
    return f"/mnt/right/{name}"


def requests(guest):
    return int(guest.run("cat /sys/fs/causeway/right/requests"))


def look(guest, *names):
    """What a guest sees of files, and how many requests that costs."""
    words = " ".join(map(inside, names))
    before = requests(guest)
    text = guest.run(f"for f in {words}; do stat -c '%n %s %a' $f 2>/dev/null || echo $f none; done")
    return [line.rsplit("/", 1)[1] for line in text.splitlines()], requests(guest) - before


def is_known(guest, names, want):
    """Nobody has changed anything."""
    def costs_nothing():
        seen, cost = look(guest, *names)
        same("what is seen", seen, want)
        return cost == 0

    # The word of what was asked for first may be of a change that is just ending.
    wait_for("looks without a request", costs_nothing)


def refuses(guest, relay):
    guest.run("dmesg -C")
    status, text = guest.try_run(f"mount -t causeway -o cache=shared {relay.name} /mnt/{relay.name}")
    check(status and "has not the server's version table" in guest.run("dmesg") + text,
          f"{relay.name}: {status} {text}")
    same(f"{relay.name}: tables that were mapped", relay.mapped, 1)


def changes_are_seen(guest, who, root):
    """By the host, or through another server: by whom nothing is said to this guest's."""
    names = ("file", "gone", "none")
    make(os.path.join(root, "file"), b"text")
    make(os.path.join(root, "gone"), b"")
    is_known(guest, names, ["file 4 644", "gone 0 644", "none none"])
    os.chmod(os.path.join(root, "file"), 0o600)
    with open(os.path.join(root, "file"), "ab") as f:
        f.write(b" more")
    os.unlink(os.path.join(root, "gone"))
    make(os.path.join(root, "none"), b"1")
    want = ["file 9 600", "gone none", "none 1 644"]
    if who == "host":
        # It is not held up until all know.
        wait_for("changes of the host", lambda: look(guest, *names)[0] == want)
    same(f"after changes by the {who}", look(guest, *names)[0], want)
    same("text", guest.run(f"cat {inside('file')}"), "text more")
    is_known(guest, names, want)
    for name in ("file", "none"):
        os.unlink(os.path.join(root, name))


def with_a_window(guest, mapper, other):
    """A file in the window, whose size another client changes."""
    path = os.path.join(TREE, "mapped")
    make(path, pattern(0, PIECE, 1))
    mapper.do(f"open 0 {inside('mapped')} rw")
    mapper.do("isdax 0", "1")
    mapper.do(f"map 0 0 {PIECE + PAGE} rw")
    before = guest.sent("right")[READ]
    mapper.has(f"load 0 0 {PIECE}", pattern(0, PIECE, 1))
    mapper.do("store 0 100 by-the-guest")
    mapper.do("text 0 100 12", "by-the-guest")
    same("READs", guest.sent("right")[READ], before)
    same("on the host", content(path)[100:112], b"by-the-guest")
    mapper.do("size 0", str(PIECE))
    with open(other.path("mapped"), "ab") as f:
        f.write(b"from another".ljust(PAGE))
    mapper.do("size 0", str(PIECE + PAGE))
    mapper.do(f"text 0 {PIECE} 12", "from another")
    mapper.ask("unmap 0", "close 0")


def another_table(guest):
    """It is mapped in the first one's place, and found there."""
    make(os.path.join(TREE, "kept"), b"kept")
    is_known(guest, ["kept"], ["kept 4 644"])
    table = Table(TABLE)
    table.put(POISON, 1)
    wait_for("another table", lambda: Table(TABLE).id != table.id)
    is_known(guest, ["kept"], ["kept 4 644"])


def main():
    os.mkdir(TREE)
    # It makes the table.
    plain = Daemon(TREE, "--version-table", TABLE, "--xattr", name="other")
    servers = [server("right"), server("id", other_id), server("slots", fewer_slots)]
    relays = [relay for _, relay in servers]
    guest = kmod.KmodGuest("6.1", "--dax", "16M", "--qemu", QEMU, "--memory", "1G",
                           *(word for relay in relays for word in kmod.share(relay)))
    wait_for("the tables", lambda: all(relay.mapped for relay in relays))
    guest.run("umount /mnt/right /mnt/id /mnt/slots")
    for relay in relays[1:]:
        refuses(guest, relay)
    guest.run("mount -t causeway -o cache=shared,dax=always right /mnt/right")
    mapper, other = There(guest), Mount(plain.socket)
    for who, root in (("host", TREE), ("other client", other.point)):
        changes_are_seen(guest, who, root)
    with_a_window(guest, mapper, other)
    another_table(guest)
    changes_are_seen(guest, "other client", other.point)
    mapper.end()
    other.unmount()
    same("kernel warnings", guest.complaints(), [])
    same("status", guest.close(), 0)
    same("statuses", [d.wait(END_SECONDS) for d in (plain, *(daemon for daemon, _ in servers))], [0] * 4)


main()
