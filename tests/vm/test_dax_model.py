# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=1200
"""A file that two guests and a process of the host change by turns, in every way there is, against a
model of it: whoever opens it after another closed it has all of what that one did. With --dax=auto
and always; then one guest alone, for many more steps."""
import os
import random

from dax import PAGE, PIECE, content, dax_daemon, dax_guest
from guest import FULL, check, same, warnings_of
from mapper import Here, There, checksum, pattern

STEPS = 100 if FULL else 60
ALONE = 2500 if FULL else 1500
MOST = PIECE + 40 * PAGE
LONGEST = 40 * PAGE
LIMIT = 500


def place(chance, most):
    """Somewhere up to `most`, mostly near the end of a page or of a piece."""
    if chance.random() < 0.3:
        return chance.randint(0, most)
    edge = chance.choice((PAGE, PAGE, PIECE))
    at = chance.randint(0, most // edge) * edge + chance.randint(-3, 3)
    return min(max(at, 0), most)


def span(chance, most):
    at, end = sorted((place(chance, most), place(chance, most)))
    return at, min(end, at + LONGEST) - at


class Model:
    """What the file has to be; each step gives commands, and what they have to answer."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.data = bytearray()
        self.said = []

    def set(self, at, length, seed):
        if at + length > len(self.data) and length:
            self.data.extend(bytes(at + length - len(self.data)))
        self.data[at:at + length] = pattern(at, length, seed)

    def write(self):
        at, length = span(self.chance, MOST)
        seed = self.chance.getrandbits(32)
        self.set(at, length, seed)
        return [(f"write 0 {at} {length} {seed}", "0")]

    def fill(self):
        at, length = span(self.chance, len(self.data))
        if not length:
            return []
        seed = self.chance.getrandbits(32)
        self.set(at, length, seed)
        return [(f"map 0 0 {MOST} rw", "0"), (f"fill 0 {at} {length} {seed}", "0"),
                ("unmap 0", "0")]

    def truncate(self):
        size = place(self.chance, MOST)
        self.data = self.data[:size] + bytes(max(0, size - len(self.data)))
        return [(f"truncate 0 {size}", "0")]

    def punch(self):
        at, length = span(self.chance, len(self.data))
        if not length:
            return []
        self.data[at:at + length] = bytes(length)
        return [(f"punch 0 {at} {length}", "0")]

    def fsync(self):
        return [("fsync 0", "0")]

    def step(self):
        """Of one party: it opens the file, looks at it, changes it, looks again, and closes it."""
        commands = [("open 0 PATH rw", "0"), ("size 0", str(len(self.data))), *self.look()]
        for _ in range(self.chance.randint(1, 3)):
            change = self.chance.choice((self.write, self.write, self.fill, self.fill, self.truncate,
                                         self.punch, self.fsync))
            commands += change() + (self.look() if self.chance.random() < 0.5 else [])
        return commands + [("close 0", "0")]

    def look(self):
        at, length = span(self.chance, len(self.data))
        want = checksum(self.data[at:at + length])
        if self.chance.random() < 0.4 or not length:
            return [(f"read 0 {at} {length}", want)]
        return [(f"map 0 0 {MOST} r", "0"), (f"load 0 {at} {length}", want), ("unmap 0", "0")]


def by_turns(share, parties, seed):
    """parties: {name: (mapper, path)}."""
    model = Model(seed)
    with open(f"{share}/turns", "wb"):
        pass
    history = []
    for n in range(STEPS):
        name = model.chance.choice(sorted(parties))
        mapper, path = parties[name]
        commands = [(c.replace("PATH", path), want) for c, want in model.step()]
        history.append((name, commands))
        got = mapper.ask(*[c for c, _ in commands])
        for (command, want), answer in zip(commands, got):
            check(answer == want, f"{share}, seed {seed}, step {n}: {name}: {command}: {answer}, not "
                  f"{want}; the last steps:\n" + "\n".join(map(str, history[-6:])))
        if name == "host":
            same(f"{share}: step {n}: the file", content(f"{share}/turns") == model.data, True)
    print(f"{share}: {STEPS} steps", flush=True)


def alone(share, mapper, seed):
    mapper.do(f"open 0 /mnt/{share}/alone empty")
    mapper.do(f"model 0 {ALONE} {MOST} {seed} cached", seconds=LIMIT)
    mapper.do("close 0")


SHARES = ("always", "auto")
# A name is a tag: the daemons of one directory have different ones.
daemons = [[dax_daemon(share, name=f"{share}-{guest}", dax=share) for share in SHARES]
           for guest in "ab"]
guests = [dax_guest(*mine) for mine in daemons]
mappers = [There(g) for g in guests]
here = Here()
seed = int(os.environ.get("DAX_SEED", "1"))
print(f"seed {seed}")
for s in SHARES:
    by_turns(s, {"host": (here, os.path.abspath(f"{s}/turns")),
                 **{g: (m, f"/mnt/{s}-{g}/turns") for g, m in zip("ab", mappers)}}, seed)
    alone(f"{s}-a", mappers[0], seed)
for m in (*mappers, here):
    m.end()
same("kernel warnings", [w for g in guests for w in warnings_of(g)], [])
same("status", [g.close() for g in guests] + [d.wait() for mine in daemons for d in mine], [0] * 6)
