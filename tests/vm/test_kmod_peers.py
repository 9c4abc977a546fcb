# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600 jobs=2 needs=make,gcc-12
"""causeway.ko with servers that are not causewayd: QEMU's C virtiofsd and virtiofsd 1.14. The file
semantics cases give what they give on the host directory, but for what is the servers' own. What only
causewayd knows is asked for once, and not used after that; cache=shared is refused, and says why.

Each server on one kernel, and with --full on both."""
import concurrent.futures
import os
import sys
import time

import fscompare
import kmod
from guest import FSCASES, FULL, check, same, setup_path, warnings_of
from mounted import RustVirtiofsd, Virtiofsd

INTERRUPT, COPY_FILE_RANGE, COPY_FILE_RANGE_64 = 36, 47, 53
# Many files, and races that the server decides: they take an emulated guest long.
LONG = ("list-many", "list-removing", "list-changing", "many-handles", "race-churn", "race-replace",
        "race-winners", "race-stripes", "race-append")


def c_daemon(directory):
    return Virtiofsd(directory, "cache=auto", "xattr")


def rust_daemon(directory):
    return RustVirtiofsd(directory, "--cache=auto", "--xattr")


SERVERS = {"c": c_daemon, "rust": rust_daemon}
RUNS = [(k, s) for k in kmod.KERNELS for s in SERVERS] if FULL else [("6.1", "c"), ("6.12", "rust")]


def compare(guest, oracle, name):
    begin = time.monotonic()
    cases = sorted(fscompare.names_of(oracle) - set(() if FULL else LONG))
    status, text = guest.try_run(f"{FSCASES} /mnt/{name} --only {','.join(cases)}", 400)
    same(f"{name}: status of the cases:\n{text[-2000:]}", status, 0)
    wrong = fscompare.differences(fscompare.cases_of(oracle, cases), fscompare.read(text), "auto",
                                  fscompare.KMOD_VIRTIOFSD)
    print(f"{name}: {len(wrong)} differences, {time.monotonic() - begin:.1f} s", flush=True)
    return [f"{name}: {line}" for line in wrong]


def without_the_extension(guest, name):
    """Of requests that FUSE does not have there was one, CW_HELLO, and no INTERRUPT."""
    sent = guest.sent(name)
    same(f"{name}: requests that are not FUSE's, INTERRUPT", (sent[0], sent[INTERRUPT]), (1, 0))
    # The newer one is asked for once.
    check(sent[COPY_FILE_RANGE] and sent[COPY_FILE_RANGE_64] <= 1, f"{name}: requests to copy: {sent}")


def refused(guest, name):
    """A version table, by name; the mount without one is none the worse."""
    guest.run(f"umount /mnt/{name}; dmesg -C")
    status, text = guest.try_run(f"mount -t causeway -o cache=shared {name} /mnt/{name}")
    log = guest.run("dmesg")
    check(status != 0 and "the server has no version table" in log + text,
          f"{name}: cache=shared: status {status}\n{text}\n{log}")
    guest.run(f"mount -t causeway {name} /mnt/{name} && ls /mnt/{name}")


def one(kernel, server, oracle):
    name = f"{server}-{kernel}".replace(".", "-")
    os.mkdir(name)
    daemon = SERVERS[server](name)
    guest = kmod.KmodGuest(kernel, *kmod.share(daemon), "--memory", "1G")
    wrong = compare(guest, oracle, name)
    without_the_extension(guest, name)
    refused(guest, name)
    guest.run(f"umount /mnt/{name}")
    same(f"{name}: left on the host", os.listdir(name), [])
    wrong += warnings_of(guest)
    guest.unload()
    same("status of the guest", guest.close(), 0)
    daemon.wait()
    return wrong


os.mkdir("host")
host_lines = fscompare.run_here("host")
# What can't be had is known before a guest runs: a skip in a thread would hide what others found.
setup_path("virtiofsd-sid")
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    failed = [line for lines in pool.map(lambda r: one(*r, host_lines), RUNS) for line in lines]
print("\n".join(failed))
sys.exit(1 if failed else 0)
