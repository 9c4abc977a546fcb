# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=1800 needs=make,gcc-12
"""causeway.ko and a server that lies about its DAX window, and about files that are mapped there
(tests/vm/liar_window.c): it does not map what it says, or refuses; unmaps nothing; its files change their
sizes, or become something else, under a program that has them mapped. Whatever comes, each call and each
load and store ends, if by a SIGBUS; the kernel neither warns nor crashes, which would end the guest; and
once the server is good again, so is the mount. Words name the lies to try."""
import os
import shutil
import subprocess
import sys

import kmod
from backend import BackEnd
from dax import PAGE, PIECE, QEMU
from guest import COMMAND_SECONDS, check, same
from mapper import There, checksum

BUILD = os.environ["CAUSEWAY_PLAIN_BUILD"]
PROBE = os.path.abspath("probe")
# As many calls as probe makes, each with time.
PROBE_SECONDS = 3 * COMMAND_SECONDS
READ, SETUPMAPPING = 15, 48
SIZE = 2 * PAGE         # of each file, if nobody lies
SPAN = 10 * PIECE       # more than the window has
WINDOW = 4 * PIECE
MOUNTS = ("dax=always", "dax=always,cache=none")
LARGE = ("file-is-large", "unmap-refused", "unmap-in-vain", "all-in-vain")
# Of the others' lies (liar_nodes.c, liar_data.c) those about what is mapped.
OTHERS = ("file-is-directory", "attr-is-directory", "attr-is-device", "attr-garbage", "attr-shrinks",
          "setattr-is-device", "create-directory", "create-no-node", "entry-size", "read-more", "read-odd",
          "written-more", "open-all-flags", "create-all-flags", "not-known", "interrupted")
# Nothing is mapped: the page cache has it, or where there is none, nobody; and read(2) asks the server.
STORED = b"by-guest"
UNMAPPED = {"dax=always": {"late text": "text", "late store": "0",
                           "late read": checksum((b"text".ljust(100, b"\0") + STORED).ljust(SIZE, b"\0"))},
            "dax=always,cache=none": {"late text": "SIGBUS", "late store": "SIGBUS",
                                      "late read": checksum(b"text".ljust(SIZE, b"\0"))}}
REFUSED = ("map-eio", "map-enosys", "map-einval", "map-enomem", "map-eagain", "map-erange", "map-ehwpoison",
           "map-each-error", "map-longer", "map-shorter")
T = str(ord("t"))  # the first byte, by touch
# What else lies must come to, in every mode; and what comes of none.
MUST = {
    "none": {"after collapse": T, "after insert": T, "after mode": T, "far": "SIGBUS", "after create": T},
    "size-beyond": {"size": "EIO"},
    "size-beyond-set": {"mode": "EIO"},
    "size-is-nothing": {"size": "0", "after size": "SIGBUS"},
    "size-set-to-nothing": {"after mode": "SIGBUS"},
    "attr-is-directory": {"size": "EIO", "late open": "0"},
    "file-is-large": {"far": "0", "far store": "0"},
    "create-mapped": {"create": "0", "created store": "0"},
}
NO_MOUNT = ("init-alignment", "init-no-alignment")


def lies_of(*words):
    return subprocess.run([os.path.join(BUILD, "tests/vm/liar"), "--list", *words], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.split()


class Case:
    """A guest with a mount of the liar, and a program that maps files there."""

    def __init__(self, kernel):
        self.liar = BackEnd("tests/vm/liar", "l", "--window", str(WINDOW), "l")
        self.guest = kmod.KmodGuest(kernel, "--dax", "64M", "--qemu", QEMU, "--memory", "1G", "--cpus", "2",
                                    *kmod.share(self.liar))
        self.mapper = There(self.guest)
        self.usual = {}  # what comes of no lie
        self.guest.run("umount /mnt/l")

    def mount(self, options):
        return self.guest.try_run(f"mount -t causeway -o {options} l /mnt/l")[0] == 0

    def ask(self, calls):
        """{what: answer} of [(what, command)]."""
        return dict(zip((what for what, _ in calls), self.mapper.ask(*(c for _, c in calls))))

    def open(self, slot, path, what):
        """Opened and mapped; whether it is both. Else it is neither."""
        got = self.ask([(f"{what} open", f"open {slot} /mnt/l/{path} rw")])
        if got[f"{what} open"] == "0":
            got.update(self.ask([(f"{what} map", f"map {slot} 0 {SPAN} rw")]))
            if got[f"{what} map"] != "0":
                self.mapper.do(f"close {slot}")
        return got

    def close(self, slot):
        """What close(2) says of it is the server's business."""
        self.mapper.ask(f"unmap {slot}", f"close {slot}")

    def good(self, options, what):
        """Nobody lies: it goes through the window, by one range that is mapped for loads and then for stores, too."""
        check(self.mount(options), f"{what}: it can't be mounted")
        before = self.guest.sent("l")
        same(f"{what}: open", self.open(0, "file", "good"), {"good open": "0", "good map": "0"})
        got = self.mapper.ask("isdax 0", "text 0 0 4", "store 0 100 by-guest", "text 0 100 8", "put 0 5000 put",
                              "text 0 5000 3", f"touch 0 {SIZE} 1", "size 0", "msync 0", "fsync 0")
        same(f"{what}: a good server", got, ["1", "text", "0", "by-guest", "3", "put", "SIGBUS", str(SIZE), "0", "0"])
        sent = self.guest.sent("l")
        same(f"{what}: SETUPMAPPING and READ", [sent[op] - before[op] for op in (SETUPMAPPING, READ)], [2, 0])
        self.close(0)
        self.guest.run("umount /mnt/l")


def in_turn(slot):
    """What one program does with a file that it has mapped; what it hears of it depends on nobody else."""
    return [("touch", f"touch {slot} 0 {SIZE}"), ("text", f"text {slot} 0 4"), ("store", f"store {slot} 100 by-guest"),
            ("read", f"read {slot} 0 {SIZE}"), ("size", f"size {slot}"), ("after size", f"touch {slot} 0 {SIZE}"),
            ("far", f"touch {slot} {6 * PIECE} 1"), ("mode", f"mode {slot} 420"),
            ("after mode", f"touch {slot} 0 {SIZE}"), ("size again", f"size {slot}"),
            ("put", f"put {slot} 5000 put"), ("msync", f"msync {slot}"), ("fsync", f"fsync {slot}"),
            # Offsets are those that a server may refuse; this one never does.
            ("collapse", f"collapse {slot} {PAGE} {16 * PAGE}"), ("after collapse", f"touch {slot} 0 {PAGE}"),
            ("insert", f"insert {slot} {PAGE} {1 << 40}"), ("after insert", f"touch {slot} 0 {PAGE}"),
            ("truncate", f"truncate {slot} {3 * PAGE}"), ("allocate", f"allocate {slot} 0 {5 * PAGE}"),
            ("punch", f"punch {slot} 0 {PAGE}"), ("put again", f"put {slot} 0 text")]


def far(slot):
    """More than the window has, twice."""
    return [(what, f"{command} {slot} {i * PIECE + 100} {word}") for _ in range(2) for i in range(SPAN // PIECE)
            for what, command, word in (("far touch", "touch", 1), ("far store", "store", "by-guest"))]


def create(case):
    """A name that is not there, with O_CREAT and O_TRUNC, while something else is mapped."""
    got = case.ask([("before create", f"touch 0 0 {SIZE}"), ("create", "open 2 /mnt/l/new empty"),
                    ("after create", f"touch 0 0 {SIZE}")])
    if got["create"] == "0":
        case.mapper.do(f"map 2 0 {SPAN} rw")
        got.update(case.ask([("created", f"touch 2 0 {SIZE}"), ("created store", "store 2 100 by-guest")]))
        case.close(2)
    return got


def at_once(case):
    """While others ask for what may be something else each time, and change it."""
    case.guest.run("""rm -f /tmp/stop; cd /; others=; for what in 'stat' 'chmod 644' 'truncate -s 8192'; do
        (until [ -e /tmp/stop ]; do $what /mnt/l/file; done) </dev/null >/dev/null 2>&1 & others="$others $!"
        done""")
    calls = [c for n in range(20) for c in (f"touch 0 0 {SIZE}", f"store 0 {200 + n * 10} by-guest",
                                            f"touch 0 {n % 10 * PIECE} 1", f"read 0 0 {SIZE}")]
    case.mapper.ask(*calls)
    case.guest.run("touch /tmp/stop; wait $others; true")


def tell(case, lie, options):
    """What comes of a lie: a file was mapped before it, and one is opened when it is told already."""
    check(case.mount(options), f"{lie}: it can't be mounted")
    same(f"{lie}: before", case.open(0, "file", "early"), {"early open": "0", "early map": "0"})
    case.mapper.do("text 0 0 4", "text")
    case.liar.set(lie)
    got = case.ask(in_turn(0))
    if lie in LARGE:
        got.update(case.ask(far(0)))
    got.update(create(case))
    got.update(case.open(1, "dir/inner", "late"))
    if got.get("late map") == "0":
        got.update((f"late {what}", answer) for what, answer in case.ask(in_turn(1)).items())
        case.close(1)
    at_once(case)
    status, text = case.guest.try_run(f"{PROBE} /mnt/l", PROBE_SECONDS)
    same(f"{lie}: status of the calls, of which the last did not end:\n{text}", status, 0)
    # It is mapped, or not, as it was; the calls end all the same.
    case.liar.set("none")
    case.ask(in_turn(0))
    case.close(0)
    case.guest.run("umount /mnt/l")
    case.usual = case.usual or got
    print(f"{options}: {lie}: " + ", ".join(f"{k} {v}" for k, v in got.items() if case.usual.get(k) != v), flush=True)
    for what, want in {**(UNMAPPED[options] if lie in REFUSED else {}), **MUST.get(lie, {})}.items():
        same(f"{options}: {lie}: {what}", got.get(what), want)


def on_kernel(kernel):
    case = Case(kernel)
    known = lies_of("window")
    check({*MUST, *REFUSED, *LARGE, *NO_MOUNT, *OTHERS} <= {"none", *known, *lies_of()}, "there are no such lies")
    for options in MOUNTS:
        case.good(options, "at first")
        case.usual = {}
        tell(case, "none", options)
        for lie in sys.argv[1:] or (*known, *OTHERS):
            if lie in NO_MOUNT:
                case.liar.set(lie)
                check(not case.mount(options), f"{lie}: it is mounted")
                case.liar.set("none")
            else:
                tell(case, lie, options)
            case.good(options, lie)
    case.mapper.end()
    same("kernel warnings", case.guest.complaints(), [])
    case.guest.unload()
    same("status", case.guest.close(), 0)
    case.liar.end()
    print(f"{kernel}: passed", flush=True)


def main():
    shutil.copy(os.path.join(BUILD, "tests/vm/probe"), PROBE)
    for kernel in kmod.KERNELS:
        on_kernel(kernel)


main()
