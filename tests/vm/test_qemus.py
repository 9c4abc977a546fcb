# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=1500
"""Other QEMUs and kernels: the file semantics cases under each pair that can be had."""
import os
import subprocess
import sys

import fscompare
from guest import FSCASES, SRC, Daemon, Guest, same, skip, warnings_of

PAIRS = (("qemu-backports", "kernel-6.1"), ("qemu-backports", "kernel-6.12"),
         ("qemu-sid", "kernel-6.1"), ("qemu-sid", "kernel-sid"))


def path_of(what):
    done = subprocess.run([os.path.join(SRC, "tools/setup"), "--path", what],
                          stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.split()[0] if done.returncode == 0 else None


def one(qemu, kernel, oracle, name):
    os.mkdir(name)
    daemon = Daemon(name, name=name)
    guest = Guest("--qemu", qemu, "--kernel", kernel, "--socket", f"{daemon.socket}:s")
    release = guest.run("uname -r").strip()
    status, text = guest.try_run(f"{FSCASES} /mnt/s", 250)
    same("status of the cases", status, 0)
    version = tuple(int(n) for n in release.split(".")[:2])
    wrong = fscompare.differences(oracle, fscompare.read(text), "auto",
                                  fscompare.explained_for(*version))
    wrong += warnings_of(guest)
    same("status", (guest.close(), daemon.wait()), (0, 0))
    print(f"{name}: kernel {release}, {len(wrong)} differences", flush=True)
    return [f"{name}: {line}" for line in wrong]


os.mkdir("host")
cases = fscompare.run_here("host")
failed, ran = [], 0
for n, pair in enumerate(PAIRS):
    paths = [path_of(p) for p in pair]
    if None in paths:
        print(f"{pair}: can't be had")
        continue
    ran += 1
    failed += one(*paths, cases, f"pair{n}")
if not ran:
    skip("no other QEMU can be had")
print("\n".join(failed))
sys.exit(1 if failed else 0)
