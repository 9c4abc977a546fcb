# SPDX-License-Identifier: BSD-2-Clause
"""Version tables (docs/coherence.md) as files, read and written as a server does, and tests/vm/tables
in guests, which looks at the devices that have them."""
import atexit
import mmap
import os
import shutil
import struct
import tempfile

from guest import COMMAND_SECONDS

# A copy in the test's directory: a guest sees that one, wherever the build is.
PROGRAM = os.path.abspath("tables")
shutil.copy(os.path.join(os.environ["CAUSEWAY_PLAIN_BUILD"], "tests/vm/tables"), PROGRAM)
MAGIC, LAYOUT, HEADER = 0x454c424154565743, 1, 4096
SLOTS, EPOCH, POISON = 32, 64, 72
CHANGE = 1 << 16  # begun and ended


def tmpfs():
    """A directory on a tmpfs, where tables have to be; it ends with the test."""
    path = tempfile.mkdtemp(dir="/dev/shm", prefix="causeway-test-")
    atexit.register(shutil.rmtree, path, True)
    return path


def device(name, path, how=",readonly=on"):
    """QEMU's options for one more device, that has a file as memory."""
    backend = f"memory-backend-file,id={name},mem-path={path},size={os.path.getsize(path)}"
    return [o for word in ("-object", f"{backend},share=on{how}",
                           "-device", f"ivshmem-plain,memdev={name}")
            for o in ("--qemu-option", word)]


def make_table(path, slots=1024):
    """One that no server keeps up."""
    with open(path, "wb") as f:
        f.truncate(slots * 16)
        f.write(struct.pack("<QII16sQ", MAGIC, LAYOUT, HEADER, os.urandom(16), slots))
    return Table(path)


class Table:
    """A table that somebody has made."""

    def __init__(self, path):
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 0)
        self.id = self.map[16:32].hex()
        self.slots = self.get(SLOTS)

    def get(self, at):
        return struct.unpack_from("<Q", self.map, at)[0]

    def put(self, at, value):
        struct.pack_into("<Q", self.map, at, value % (1 << 64))

    def word(self, slot):
        return self.get(HEADER + 8 * slot)

    def moved_since(self, before):
        """Slots whose words are not what they were in a copy of the whole table."""
        moved, page = [], mmap.PAGESIZE
        for at in range(HEADER, HEADER + 8 * self.slots, page):
            new, old = self.map[at:at + page], before[at:at + page]
            if new != old:
                moved += [(at - HEADER + i) // 8 for i in range(0, page, 8)
                          if new[i:i + 8] != old[i:i + 8]]
        return moved

    def change(self, slot):
        """A change in a slot, as of somebody who is alone there; the word after it."""
        self.put(HEADER + 8 * slot, self.word(slot) + CHANGE)
        return self.word(slot)


def tables_of(guest):
    """What each ivshmem device of the guest has, in the order of their addresses."""
    return [line.split()[1:] for line in sorted(guest.run(f"{PROGRAM} list").splitlines())]


def ask(guest, *words, seconds=COMMAND_SECONDS):
    """A number, or several, that the program in the guest answers."""
    text = guest.run(" ".join((PROGRAM, *map(str, words))), seconds)
    numbers = [int(word, 16) for word in text.split()]
    return numbers[0] if len(numbers) == 1 else numbers
