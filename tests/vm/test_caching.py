# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=900 jobs=2 needs=make,gcc-12
"""docs/caching.md, cell by cell: the tables are read from the page, and each cell is tried with a
change made by the host and with one made by a second guest; without --full the second guest
changes things in some modes only.

For each mode all rows go together: the guest looks at everything, the other side changes
everything, the guest looks again at once, after the second, and after a new mount. Of the guests'
kernels one is 6.1 and the other 6.12; both have causeway.ko, for the mode `shared`.
"""
import os
import re
import sys

import kmod
from guest import FULL, SRC, Daemon, Guest, check, host, same
from versions import tmpfs

TABLE = os.path.join(tmpfs(), "table")
SHARED = "shared"
OPTIONS = {
    "none": ("--cache", "none"),
    "auto": ("--cache", "auto"),
    "auto, writeback": ("--cache", "auto", "--writeback"),
    "always": ("--cache", "always"),
    "always, writeback": ("--cache", "always", "--writeback"),
    "metadata": ("--cache", "metadata"),
    SHARED: ("--version-table", TABLE),
}
# In which a second guest makes the changes, too, without --full.
BY_GUEST = ("auto", "always, writeback", SHARED)
# row → (what is there before, how the guest looks, how another changes it, old and new look).
# D is the row's directory.
OTHERS = {
    "data, of a file opened afterwards": (
        "echo before > D/f", "cat D/f", "printf after. > D/f.x && dd if=D/f.x of=D/f conv=notrunc "
        "status=none", "before", "after."),
    "data, of a file held open": (
        "echo before > D/f", Guest.READ_HELD,
        "printf after. | dd of=D/f conv=notrunc status=none", "before", "after."),
    "data, at the end of a file that grew": (
        "printf before > D/f", "cat D/f; echo", "printf /more >> D/f", "before", "before/more"),
    "size in `stat`": ("printf before > D/f", "stat -c %s D/f", "printf /more >> D/f", "6", "11"),
    "time of change in `stat`": (
        "touch -d @1000 D/f", "stat -c %Y D/f", "touch -d @2000 D/f", "1000", "2000"),
    "mode in `stat`": (
        "touch D/f; chmod 600 D/f", "stat -c %a D/f", "chmod 640 D/f", "600", "640"),
    "a new name, never looked for": (
        "true", "test -e D/$n && echo there || echo no", "touch D/f", None, "there"),
    "a new name, looked for in vain before": (
        "true", "test -e D/f && echo there || echo no", "touch D/f", "no", "there"),
    "a name that was removed": (
        "touch D/f", "test -e D/f && echo there || echo no", "rm D/f", "there", "no"),
    "a name that is another file now": (
        "printf 1 > D/f; printf 22 > D/g", "stat -c %s D/f", "mv D/g D/f", "1", "2"),
    "the listing of a directory": (
        "touch D/a D/b D/c", "ls D | tr '\\n' ' '; echo", "rm D/b; touch D/d", "a b c ", "a c d "),
    "the target of a symlink": (
        "ln -s before D/s", "readlink D/s", "ln -sfn after D/s", "before", "after"),
}
# row → (before, what the guest does, how the host looks, old, new); WRITES: hold it open, written.
WRITES = None
GUESTS = {
    "data": ("printf before > D/f", WRITES, "cat D/f", "before", "after."),
    "size by writing": ("touch D/f", WRITES, "stat -c %s D/f", "0", "6"),
    "mode": ("touch D/f; chmod 600 D/f", "chmod 640 D/f", "stat -c %a D/f", "600", "640"),
    "a new name": ("true", "touch D/f", "ls D", "", "f"),
    "a removed name": ("touch D/f", "rm D/f", "ls D", "f", ""),
    "a renamed file": ("touch D/f", "mv D/f D/g", "ls D", "f", "g"),
    "the target of a symlink": ("ln -s a D/s", "ln -sfn b D/s", "readlink D/s", "a", "b"),
}
HELD = "data, of a file held open"
NEW = "a new name, never looked for"


def tables():
    """The page's tables: {first head: {(row, mode): cell}}."""
    found, head = {}, None
    with open(os.path.join(SRC, "docs/caching.md"), encoding="utf-8") as f:
        for line in f:
            cells = [c.strip() for c in line.strip().strip("|").split("|")]
            if not line.startswith("|"):
                head = None
            elif head is None:
                head = cells
                found[head[0]] = {}
            elif not re.match(r"^[-|\s]+$", line):
                for mode, cell in zip(head[1:], cells[1:]):
                    found[head[0]][cells[0], mode] = cell
    return found


def expect_rows(what, table, rows):
    same(f"rows of the page: {what}", {r for r, _ in table}, set(rows))
    same(f"modes of the page: {what}", {m for _, m in table}, set(OPTIONS))


class Mode:
    """One mode: a directory with one folder for each row, mounted in the guest as /mnt/TAG."""

    def __init__(self, name, who):
        self.name = name
        self.by_guest = who == "guest"
        self.type, self.options = ("causeway", "cache=shared") if name == SHARED else ("virtiofs", "rw")
        self.tag = re.sub(r"\W+", "-", name) + "-" + who
        self.other = f"/mnt/{self.tag}-2" if who == "guest" else None
        os.mkdir(self.tag)
        self.daemons = [Daemon(self.tag, *OPTIONS[name], name=self.tag)]
        if self.other:
            self.daemons.append(Daemon(self.tag, *OPTIONS[name], name=f"{self.tag}-2"))

    def folder(self, row, base=None):
        return f"{base or '/mnt/' + self.tag}/{list(OTHERS).index(row)}"

    def socket(self, i):
        daemon = self.daemons[i]
        return ("--socket", f"{daemon.socket}:{daemon.name}:fstype={self.type},{self.options}")

    def mount_anew(self, guest):
        guest.run(f"umount /mnt/{self.tag}; "
                  f"mount -t {self.type} -o {self.options} {self.tag} /mnt/{self.tag}")


def prepare(mode):
    for row, (before, *_) in OTHERS.items():
        folder = mode.folder(row, mode.tag)
        os.mkdir(folder)
        host(before.replace("D/", folder + "/"))


def look(guest, mode, rows, fresh=0):
    """What the guest sees: {row: text}. The name never looked for is another one each time."""
    script = [f"n={'f' if fresh else 'none'}"]
    for row in rows:
        how = OTHERS[row][1].replace("D/", mode.folder(row) + "/")
        how = re.sub(r"\bD\b", mode.folder(row), how)
        script.append(f"echo '<{row}>'; {{ {how}; }}")
    text = guest.run("\n".join(script))
    seen = dict(re.findall(r"<(.*)>\n([^<\n]*)", text))
    check(list(seen) == list(rows), f"looked at {list(rows)}, saw {text}")
    return seen


def change(mode, second):
    commands = [c.replace("D/", mode.folder(row, mode.other or mode.tag) + "/")
                for row, (_, _, c, _, _) in OTHERS.items()]
    script = "set -e\n" + "\n".join(commands)
    if second:
        second.run(f"( {script}\n)")
    else:
        host(script)


def verdicts(mode, table, first, later, after, reopened):
    """Compare what was seen with the page; lines of text for what differs."""
    wrong = []

    def expect(row, when, seen, want):
        if seen[row] != want:
            wrong.append(f"{mode.tag}: {row}: {when} {seen[row]!r}, not {want!r}")

    for row, (_, _, _, old, new) in OTHERS.items():
        cell = table[row, mode.name]
        if cell == "at once":
            expect(row, "at once", first, new)
        elif cell == "1 s":
            expect(row, "after the second", later, new)
        elif cell == "told":
            if mode.by_guest:
                expect(row, "at once", first, new)
            expect(row, "within the second", later, new)
        elif cell in ("dropped", "next open"):
            expect(row, "still", first, old)
            expect(row, "after the second", later, old)
        else:
            wrong.append(f"the page says {cell!r}")
        if cell == "next open":
            same(f"{mode.tag}: {row}: opened again", reopened, new)
        expect(row, "after a new mount", after, new)
    return wrong


def one_mode(mode, table, guest, second):
    prepare(mode)
    guest.hold_read(mode.folder(HELD) + "/f", 6)
    primed = [r for r in OTHERS if r != NEW]
    for _ in range(2):
        seen = look(guest, mode, primed)
        for row in primed:
            same(f"{mode.tag}: {row}: before", seen[row], OTHERS[row][3])
    change(mode, second)
    first = look(guest, mode, OTHERS, fresh=1)
    guest.run("sleep 1.3")
    later = look(guest, mode, OTHERS, fresh=1)
    reopened = guest.run(f"head -c 6 {mode.folder(HELD)}/f")
    guest.release()
    mode.mount_anew(guest)
    guest.hold_read(mode.folder(HELD) + "/f", 6)
    after = look(guest, mode, OTHERS, fresh=1)
    guest.release()
    return verdicts(mode, table, first, later, after, reopened)


def own_changes(mode, table, guest):
    """What the host sees of the guest's changes, and what the guest sees of its own."""
    wrong = []
    for i, (row, (before, act, looks, old, new)) in enumerate(GUESTS.items()):
        here, there = f"{mode.tag}/own{i}", f"/mnt/{mode.tag}/own{i}"

        def seen(run, base):
            return run(re.sub(r"\bD\b", base, looks)).strip()

        os.mkdir(here)
        host(before.replace("D/", here + "/"))
        same(f"{mode.tag}: {row}: before", seen(guest.run, there), old)
        if act is WRITES:
            guest.hold_written(f"{there}/f", "after.")
        else:
            guest.run(act.replace("D/", there + "/"))
        cell = table[row, mode.name]
        # The host first: that the guest opens the file again may write it back.
        for what, got, want in (("from the host", seen(host, here),
                                 old if cell == "close" else new),
                                ("its own", seen(guest.run, there), new)):
            if got != want:
                wrong.append(f"{mode.tag}: the guest changes {row}: {what}: {got!r}, not {want!r}")
        if act is WRITES:
            guest.release()
        if seen(host, here) != new:
            wrong.append(f"{mode.tag}: the guest changes {row}: not on the host after close")
        if cell not in ("at once", "close"):
            wrong.append(f"the page says {cell!r}")
    return wrong


def main():
    pages = tables()
    others, mine = pages["others change"], pages["the guest changes"]
    expect_rows("others change", others, OTHERS)
    expect_rows("the guest changes", mine, GUESTS)
    by_host = [Mode(m, "host") for m in OPTIONS]
    by_guest = [Mode(m, "guest") for m in (OPTIONS if FULL else BY_GUEST)]
    guest, second = (kmod.KmodGuest(kernel, "--version-table", TABLE, *words) for kernel, words in zip(
        kmod.KERNELS, ([o for m in by_host + by_guest for o in m.socket(0)],
                       [o for m in by_guest for o in m.socket(1)])))
    wrong = []
    for mode in by_host:
        wrong += one_mode(mode, others, guest, None)
        wrong += own_changes(mode, mine, guest)
    for mode in by_guest:
        wrong += one_mode(mode, others, guest, second)
    guest.close()
    second.close()
    print("\n".join(wrong))
    cells = len(others) + len(mine) + len(OTHERS) * len(by_guest)
    print(f"{cells} cells, {len(wrong)} wrong")
    sys.exit(1 if wrong else 0)


main()
