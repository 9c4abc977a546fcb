# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=900 needs=git,sqlite3,make,gcc
"""Programs that people run in a guest: git, SQLite with WAL, a compiler under make. Plain runs use
the default mode and always with writeback; --full all that differ."""
import os

from guest import FULL, Daemon, Guest, fast_qemu, same, warnings_of
from programs import compile_project, git, make_repository, sqlite

MODES = {
    "auto": ("--cache", "auto"),
    "always-writeback": ("--cache", "always", "--writeback"),
}
if FULL:
    MODES.update({
        "none": ("--cache", "none"),
        "auto-writeback": ("--cache", "auto", "--writeback"),
        "metadata": ("--cache", "metadata"),
    })
NO_SHARED_MAPS = ("none", "metadata")
UNITS = 6
COMMITS = 4

make_repository(COMMITS)
daemons = []
for name, options in MODES.items():
    os.mkdir(name)
    daemons.append(Daemon(name, *options, name=name))
vm = Guest(*fast_qemu(), *[o for d in daemons for o in ("--socket", f"{d.socket}:{d.name}")], "--cpus", "2",
           "--memory", "2G")
vm.run("export HOME=/tmp")
for name in MODES:
    print(name, flush=True)
    git(vm, f"/mnt/{name}", COMMITS)
    sqlite(vm, f"/mnt/{name}", name not in NO_SHARED_MAPS, name != "auto")
    vm.run(f"rm -rf /mnt/{name}/origin /mnt/{name}/clone", 120)
    compile_project(vm, f"/mnt/{name}", UNITS)
same("kernel warnings", warnings_of(vm), [])
same("status", vm.close(), 0)
for d in daemons:
    same(f"{d.name}: status", d.wait(), 0)
