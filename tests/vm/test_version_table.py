# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=900
"""`causeway vm --version-table`: guests of each QEMU have the file as the memory of a device, see
its words as they are, and cannot store in it; and find it by its id among others."""
import fcntl
import os
import struct
import subprocess

from guest import CAUSEWAY, Daemon, Guest, check, same, setup_path, wait_for, warnings_of
from versions import CHANGE, EPOCH, POISON, PROGRAM, Table, ask, device, tables_of, tmpfs

SLOT = 77
LAST = (1 << 20) - 1
NO_TABLE = 2  # of enum vt_fault
F_OFD_GETLK = 36
FLOCK = "hh4xqqi4x"  # type, whence, start, len, pid


def refused(status, words, *options):
    """What ends before a guest starts, and is told why."""
    done = subprocess.run([CAUSEWAY, "vm", "--share", "refused", *options, "--", "true"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    same(f"status of {options}: {done.stdout}", done.returncode, status)
    for word in words:
        check(word in done.stdout, f"no '{word}' in: {done.stdout}")


def sees(guest, table, slot):
    """The word of a guest is the table's, which those who watch the host may move meanwhile."""
    before = table.word(slot)
    seen = ask(guest, "word", table.id, slot)
    after = table.word(slot)
    check(before <= seen <= after, f"slot {slot}: {before:x}, {seen:x} in the guest, {after:x}")


def sees_changes(guest, table):
    """Words of the guest are the table's, at the first slot, in between and at the last one, and
    move with them while somebody waits for that. Nobody but us writes to the table."""
    for slot in (0, SLOT, LAST):
        table.change(slot)
        same(f"slot {slot}", ask(guest, "word", table.id, slot), table.word(slot))
    before = table.word(SLOT)
    guest.send(f"{PROGRAM} wait {table.id} {SLOT} {before:x} > /tmp/seen &\n")
    guest.run("until [ -s /tmp/seen ]; do sleep 0.1; done")
    after = table.change(SLOT)
    same("the words of who waits", guest.run("wait; cat /tmp/seen"), f"{before:x}\n{after:x}\n")
    table.put(EPOCH, table.get(EPOCH) + 1)
    same("the words of the head", ask(guest, "head", table.id),
         [table.get(at) for at in range(EPOCH, 88, 8)] + [0])


def cannot_store(guest, table):
    before = table.map[:]
    same("what a store has left", ask(guest, "store", table.id, SLOT, "badbadbad"), table.word(SLOT))
    check(table.map[:] == before, "a guest's store has reached the table")
    same("behind the slots", guest.run(f"{PROGRAM} rest {table.id}"), "nothing\n")


def sees_each_other(guests, table):
    """What one of them changes moves words that all of them have."""
    before = table.map[:]
    guests[0].run("echo text > /mnt/s/made")
    moved = table.moved_since(before)
    # At least: the name, the new file's attributes, the directory's and its listing.
    check(len(moved) >= 4, f"moved by a new file: {moved}")
    for slot in moved[:8]:
        for guest in guests:
            sees(guest, table, slot)
    wait_for("end of the changes", lambda: all(table.word(s) % CHANGE == 0 for s in moved))


def find_by_id(guest, own, other):
    """Among devices that have other tables, or none."""
    same("tables", tables_of(guest), [[own.id, str(own.slots)], ["fault", str(NO_TABLE)],
                                      [other.id, str(other.slots)]])
    for table in (own, other):
        table.change(SLOT)
        sees(guest, table, SLOT)
    status, text = guest.try_run(f"{PROGRAM} word {'1' * 32} 0")
    same("a table that nobody has", (status, "no device" in text), (1, True))


def start(name, *options):
    """A guest with a share of its own."""
    os.mkdir(name)
    return Guest("--share", f"{name}:s", *options)


def is_attached(path):
    """Whether a server has the lock that says so."""
    with open(path + ".key", "r+b") as f:
        answer = fcntl.fcntl(f, F_OFD_GETLK, struct.pack(FLOCK, fcntl.F_WRLCK, 0, 0, 1, 0))
    return struct.unpack(FLOCK, answer)[0] != fcntl.F_UNLCK


def each_qemu():
    """Two guests at once, of both QEMUs, on one table that the first one makes. Their back-ends know
    nothing of it."""
    path, guests = os.path.join(place, "alone"), []
    for name, qemu in (("old", ()), ("new", ("--qemu", setup_path("qemu-sid")[0]))):
        os.mkdir(name)
        daemon = Daemon(name, name=name)
        guests.append(Guest("--socket", f"{daemon.socket}:s", "--version-table", path, *qemu))
    table = Table(path)
    same("who may use the files", [os.stat(path + end).st_mode & 0o777 for end in ("", ".key")],
         [0o600, 0o600])
    same("somebody is attached", is_attached(path), False)
    for guest in guests:
        same("tables", tables_of(guest), [[table.id, str(table.slots)]])
        sees_changes(guest, table)
        cannot_store(guest, table)
        same("warnings", warnings_of(guest), [])
        same("status", guest.close(), 0)


def with_daemons():
    """Two guests whose daemons attach to the table; then to the one that takes its place."""
    path = os.path.join(place, "versions")
    guests = [start(name, "--version-table", path) for name in ("one", "two")]
    table = Table(path)
    same("the daemons are attached", is_attached(path), True)
    sees_each_other(guests, table)
    table.put(POISON, 1)
    same("poison", [ask(g, "head", table.id)[1] for g in guests], [1, 1])
    wait_for("another table", lambda: Table(path).id != table.id)
    follower = Table(path)
    # One that has files in a window as well, beside which its daemon offers the table once more.
    guests.append(start("three", "--version-table", path, "--dax", "64M"))
    same("tables", [tables_of(g) for g in guests],
         [[[t.id, str(t.slots)]] for t in (table, table, follower)])
    sees_each_other(guests[2:], follower)
    for guest in guests:
        same("status", guest.close(), 0)
    same("daemons that have ended are attached", is_attached(path), False)


def of_the_user():
    """auto: the same one for each guest; and it is found beside devices that have something else."""
    versions, rubbish = (os.path.join(place, name) for name in ("versions", "rubbish"))
    with open(rubbish, "wb") as f:
        f.write(bytes(8192))
    guest = start("auto", "--version-table", "auto", *device("rubbish", rubbish),
                  *device("other", versions))
    table = Table(AUTO)
    find_by_id(guest, table, Table(versions))
    same("status", guest.close(), 0)
    guest = start("again", "--version-table", "auto")
    same("tables", tables_of(guest), [[table.id, str(table.slots)]])
    same("status", guest.close(), 0)


def refusals():
    folder, away = os.path.dirname(AUTO), os.path.join(place, "away")
    os.chmod(folder, 0o755)
    refused(125, ("--version-table", folder), "--version-table", "auto")
    os.chmod(folder, 0o700)
    os.rename(folder, away)
    os.symlink(away, folder)
    refused(125, ("--version-table", folder), "--version-table", "auto")
    refused(125, ("rubbish", "not a version table"), "--version-table", f"{place}/rubbish")
    refused(125, ("tmpfs",), "--version-table", "/proc/versions")
    refused(2, ("--version-table", "--writeback"), "--version-table", "auto", "--writeback")


place = tmpfs()
os.environ["XDG_RUNTIME_DIR"] = place
AUTO = os.path.join(place, "causeway", "versions")
os.mkdir("refused")
each_qemu()
with_daemons()
of_the_user()
refusals()
