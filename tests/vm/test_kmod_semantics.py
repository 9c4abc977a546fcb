# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=1500 needs=make,gcc-12
"""The file semantics cases through causeway.ko: they give what they give on the host directory, but for what
fscompare explains of this module. On each kernel that it is for, and with --full in each of its modes. And
all requests that causewayd serves are sent, but for those of which lib/ways.py says why not.

One guest has all shares; each has a daemon of its own, and those of cache=shared one table."""
import collections
import os
import sys
import time

import fscompare
import kmod
import ways
from guest import FSCASES, FULL, SRC, Daemon, same, warnings_of
from versions import tmpfs

TABLE = os.path.join(tmpfs(), "table")
# mode → (options of the mount, of the daemon)
MODES = {
    "none": (("cache=none",), ("--cache", "none")),
    "auto": ((), ()),
    "auto+writeback": (("writeback",), ("--writeback",)),
    "always": (("cache=always",), ("--cache", "always")),
    "always+writeback": (("cache=always", "writeback"), ("--cache", "always", "--writeback")),
    "shared": (("cache=shared",), ("--version-table", TABLE)),
}
# These have all cases on a kernel, the others those in which modes differ; those that take an emulated
# guest long, many files and races that the server decides, with --full only.
ALL_CASES = {"6.1": ("auto",), "6.12": ("auto+writeback", "shared")} if FULL else \
    {"6.1": ("auto",), "6.12": ("shared",)}
FEW_CASES = {kernel: [m for m in MODES if m not in ALL_CASES[kernel]] if FULL else few
             for kernel, few in (("6.1", ["none", "shared"]), ("6.12", ["always+writeback"]))}
LONG = ("list-many", "list-removing", "list-changing", "many-handles", "race-churn", "race-replace",
        "race-winners", "race-stripes", "race-append")
FEW = ("append", "map-shared-write", "sizes-seen", "list-small", "seek-directory", "rename-open",
       "drop-suid", "times-now", "holes", "vectors")


def tag(kernel, mode):
    return f"{mode}-{kernel}".replace("+", "-").replace(".", "-")


def compare(guest, oracle, kernel, mode):
    begin = time.monotonic()
    cases = FEW if mode in FEW_CASES[kernel] else \
        sorted(fscompare.names_of(oracle) - set(() if FULL else LONG))
    status, text = guest.try_run(
        f"{FSCASES} /mnt/{tag(kernel, mode)} --only {','.join(cases)}", 400)
    same(f"{kernel}, {mode}: status of the cases:\n{text[-2000:]}", status, 0)
    oracle = fscompare.cases_of(oracle, cases)
    wrong = fscompare.differences(oracle, fscompare.read(text), mode, fscompare.KMOD)
    print(f"{kernel}, {mode}: {len(wrong)} differences, {time.monotonic() - begin:.1f} s", flush=True)
    return [f"{kernel}, {mode}: {line}" for line in wrong]


def unsent(numbers):
    """What is wrong with the requests that were sent, by their numbers."""
    names = ways.opcode_numbers(SRC)
    missing = ways.served_opcodes(SRC) - {names.get(n) for n in numbers}
    return [] if missing == set(ways.KMOD_UNSENT) else \
        [f"not sent: {sorted(missing)}, in ways.py: {sorted(ways.KMOD_UNSENT)}"]


def one_kernel(kernel, oracle, sent):
    daemons, words = {}, []
    for mode in (*ALL_CASES[kernel], *FEW_CASES[kernel]):
        options, more = MODES[mode]
        os.mkdir(tag(kernel, mode))
        # Extended attributes, locks: as a host has them.
        daemons[mode] = Daemon(tag(kernel, mode), "--xattr", "--posix-lock", "--flock", *more,
                               name=tag(kernel, mode))
        words += kmod.share(daemons[mode], *options)
    guest = kmod.KmodGuest(kernel, *words, "--version-table", TABLE, "--memory", "2G")
    wrong = []
    for mode, daemon in daemons.items():
        wrong += compare(guest, oracle, kernel, mode)
        sent.update(guest.sent(daemon.name))
        guest.run(f"umount /mnt/{daemon.name}", 200)  # writes back what is held back
        same(f"{daemon.name}: left on the host", os.listdir(daemon.name), [])
    wrong += warnings_of(guest)
    guest.unload()
    same("status of the guest", guest.close(), 0)
    for daemon in daemons.values():
        same(f"exit status of {daemon.name}", daemon.wait(), 0)
        queues, _, _ = daemon.last_statistics()
        same(f"{daemon.name}: ring errors", sum(q["errors"] for q in queues.values()), 0)
    return wrong


os.mkdir("host")
host_lines = fscompare.run_here("host")
requests = collections.Counter()
failed = [line for k in kmod.KERNELS for line in one_kernel(k, host_lines, requests)]
failed += unsent(requests)
print("\n".join(failed))
sys.exit(1 if failed else 0)
