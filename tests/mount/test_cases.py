# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=900
"""The file semantics cases on a mount give what they give on the host directory, but for what
fscompare explains: without a cache and with the default, and under --full in every caching mode,
with and without writeback, and with QEMU's C virtiofsd behind the mount."""
import os
import subprocess
import sys
import time

import fscompare
from guest import FULL, FSCASES, check, same
from mounted import VIRTIOFSD, Mount, Virtiofsd

MODES = {
    "none": ("--cache=none",),
    "auto": (),
}
if FULL:
    MODES.update({
        "never+writeback": ("--cache=never", "--writeback"),
        "auto+writeback": ("--writeback",),
        "always": ("--cache=always",),
        "always+writeback": ("--cache=always", "--writeback"),
        "metadata": ("--cache=metadata",),
        "metadata+writeback": ("--cache=metadata", "--writeback"),
        "no-readdirplus": ("--no-readdirplus",),
    })
# The C daemon's modes, by their names here.
THEIRS = {
    "none": ("cache=none",),
    "auto": ("cache=auto",),
    "auto+writeback": ("cache=auto", "writeback"),
    "always": ("cache=always",),
    "always+writeback": ("cache=always", "writeback"),
}
# As in a guest: everybody may come in, and modes mean what they say.
WORDS = ("allow_other", "suid", "dev")


class Run:
    """The cases on a mount, as a process."""

    def __init__(self, name, mode, mount, explained, server=None):
        self.name, self.mode, self.mount, self.server = name, mode, mount, server
        self.explained = explained
        self.begin = time.monotonic()
        self.process = subprocess.Popen([FSCASES, mount.point], stdout=subprocess.PIPE)

    def finish(self):
        """What differs from the oracle."""
        text = self.process.communicate()[0].decode(errors="surrogateescape")
        same(f"{self.name}: status of the cases", self.process.returncode, 0)
        wrong = fscompare.differences(oracle, fscompare.read(text),
                                      fscompare.canonical(self.mode), self.explained)
        print(f"{self.name}: {len(wrong)} differences, {time.monotonic() - self.begin:.1f} s",
              flush=True)
        self.mount.unmount()
        if self.server:
            self.server.wait()
        same(f"{self.name}: left on the host", os.listdir(self.name), [])
        # (The daemon may say that writeback has no effect.)
        check("causeway:" not in self.mount.text(), f"{self.name}: said: {self.mount.text()}")
        return [f"{self.name}: {line}" for line in wrong]


def ours(mode):
    os.mkdir(mode)
    return Run(mode, mode, Mount(mode, *WORDS, options=MODES[mode]),
               fscompare.explained_here())


def theirs(mode):
    name = f"virtiofsd-{mode}"
    os.mkdir(name)
    server = Virtiofsd(name, *THEIRS[mode])
    return Run(name, mode, Mount(server.socket, *WORDS), fscompare.explained_here(virtiofsd=True),
               server)


os.mkdir("host")
oracle = fscompare.run_here("host")
todo = [(ours, mode) for mode in MODES]
if FULL and os.access(VIRTIOFSD, os.X_OK):
    todo += [(theirs, mode) for mode in THEIRS]
failed = []
# Two at a time: most of it is waiting.
while todo:
    now, todo = todo[:2], todo[2:]
    for run in [start(mode) for start, mode in now]:
        failed += run.finish()
print("\n".join(failed))
sys.exit(1 if failed else 0)
