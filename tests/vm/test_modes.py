# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=900
"""A stock guest mounts a share in every caching mode, with and without writeback; in each the file
semantics cases give what they give on the host directory, but for what fscompare explains.

One guest has all shares; each has a daemon of its own."""
import os
import sys
import time

import fscompare
from guest import FSCASES, FULL, Daemon, Guest, check, same, warnings_of

MODES = {
    "none": ("--cache", "none"),
    "never+writeback": ("--cache", "never", "--writeback"),
    "auto": (),
    "auto+writeback": ("--cache", "auto", "--writeback"),
    "always": ("--cache", "always"),
    "always+writeback": ("--cache", "always", "--writeback"),
    "metadata": ("--cache", "metadata"),
    "metadata+writeback": ("--cache", "metadata", "--writeback"),
    "no-readdirplus": ("--no-readdirplus",),
}
# These have all cases, the others those in which modes differ.
ALL_CASES = ("none", "auto", "auto+writeback", "always", "always+writeback", "metadata") \
    if FULL else ("none", "auto", "always+writeback")
# In those with all cases, but in these two, without what takes an emulated guest long: many files,
# and races that the server decides.
LONG_IN = ("auto", "always+writeback")
LONG = ("list-many", "list-removing", "list-changing", "many-handles", "race-churn",
        "race-replace", "race-winners", "race-stripes", "race-append")
FEW = ("append", "map-shared-write", "sizes-seen", "list-small", "seek-directory", "rename-open",
       "drop-suid", "times-now")


def tag(mode):
    return mode.replace("+", "-")


def start():
    daemons = {}
    for mode, options in MODES.items():
        os.mkdir(tag(mode))
        daemons[mode] = Daemon(tag(mode), *options, name=tag(mode))
    sockets = [o for m in MODES for o in ("--socket", f"{daemons[m].socket}:{tag(m)}")]
    return daemons, Guest(*sockets, "--memory", "2G")


def compare(guest, oracle, mode):
    begin = time.monotonic()
    cases = sorted(set(fscompare.names_of(oracle)) - set(LONG)) if mode in ALL_CASES else FEW
    only = "" if mode in LONG_IN else " --only " + ",".join(cases)
    status, text = guest.try_run(f"{FSCASES} /mnt/{tag(mode)}{only}", 200)
    ended = [line for line in text.splitlines() if "status 0x" in line]
    same(f"{mode}: status, of cases that ended early: {ended}", status, 0)
    if only:
        oracle = fscompare.cases_of(oracle, cases)
    wrong = fscompare.differences(oracle, fscompare.read(text), fscompare.canonical(mode))
    print(f"{mode}: {len(wrong)} differences, {time.monotonic() - begin:.1f} s", flush=True)
    return [f"{mode}: {line}" for line in wrong]


daemons, guest = start()
os.mkdir("host")
oracle = fscompare.run_here("host")
failed = []
for name, daemon in daemons.items():
    failed += compare(guest, oracle, name)
    check(("writeback" in name and "writeback" in daemon.text()) or
          name not in ("never+writeback", "metadata+writeback"),
          f"{name}: no warning that writeback does nothing:\n{daemon.text()}")
    guest.run(f"umount /mnt/{tag(name)}", 200)  # writes back what is held back
    same(f"{name}: left on the host", os.listdir(tag(name)), [])
failed += warnings_of(guest)
same("status of the guest", guest.close(), 0)
for name, daemon in daemons.items():
    same(f"exit status of {name}'s daemon", daemon.wait(), 0)
    queues, _, _ = daemon.last_statistics()
    same(f"{name}: ring errors", sum(q["errors"] for q in queues.values()), 0)
print("\n".join(failed))
sys.exit(1 if failed else 0)
