# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=600 needs=make,gcc-12
"""One file through causeway.ko, read, written, mapped, truncated and punched by chance, past the page
cache too, against a model of it in memory (tests/vm/mapper_model.c); on each kernel, with --full in each
mode with pages. With cache=shared nothing is stored into mappings. In the end the host has what the model has, by a checksum that the guest is asked
for once its caches are empty."""
import os

import kmod
from guest import FULL, Daemon, host, same, warnings_of
from mapper import There
from versions import tmpfs

STEPS = 600 if FULL else 400
MOST = (2 << 20) + 40 * 4096
LIMIT = 200
TABLE = os.path.join(tmpfs(), "table")
MODES = {
    "auto": ((), ()),
    "writeback": (("writeback",), ("--writeback",)),
    "always-writeback": (("cache=always", "writeback"), ("--cache=always", "--writeback")),
    "shared": (("cache=shared",), ("--version-table", TABLE)),
}
HOW = {"shared": ("loaded",)}
SEED = int(os.environ.get("MODEL_SEED", "1"))
# Modes that are run with this kernel.
WHERE = {"6.1": ("auto", "writeback", "shared"), "6.12": ("writeback", "always-writeback", "shared")} if FULL else \
    {"6.1": ("writeback",), "6.12": ("auto", "shared")}


def one_kernel(kernel):
    daemons, words = {}, []
    for mode in WHERE[kernel]:
        options, more = MODES[mode]
        name = f"{mode}-{kernel}".replace(".", "-")
        os.mkdir(name)
        daemons[mode] = Daemon(name, "--allow-direct-io", *more, name=name)
        words += kmod.share(daemons[mode], *options)
    guest = kmod.KmodGuest(kernel, *words, "--version-table", TABLE)
    mapper = There(guest)
    for mode, daemon in daemons.items():
        for how in HOW.get(mode, ("cached", "direct")):
            path = f"/mnt/{daemon.name}/{how}"
            mapper.do(f"open 0 {path} empty")
            mapper.do(f"model 0 {STEPS} {MOST} {SEED} {how}", seconds=LIMIT)
            mapper.do("close 0")
            seen = guest.run(f"cksum < {path}")
            guest.run(f"sync -f {path}; echo 3 > /proc/sys/vm/drop_caches")
            same(f"{path} anew", guest.run(f"cksum < {path}"), seen)
            same(f"{path} on the host", host(f"cksum < {daemon.name}/{how}"), seen)
            print(f"{kernel}: {path}: {STEPS} steps", flush=True)
    mapper.end()
    same("kernel warnings", warnings_of(guest), [])
    same("status", [guest.close(), *[d.wait() for d in daemons.values()]], [0] * (1 + len(daemons)))


print(f"seed {SEED}")
for version in kmod.KERNELS:
    one_kernel(version)
