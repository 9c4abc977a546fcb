# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=900 jobs=2
"""Two guests and a process of the host share a file through memory alone, with --dax=always: a
word that goes round, and words that each has to see in the order in which they were written. No
message is sent for it; the daemons' counters tell."""
from dax import PAGE, PIECE, content, dax_daemon, dax_guest, make, requests
from guest import same, warnings_of
from mapper import Here, There, words

PARTIES = 3
ROUNDS = 900
WORDS = 3 * PAGE  # of eight bytes
RAISES = 12
LIMIT = 400


def everybody(mappers, commands):
    """All at once; the answers."""
    for mapper, command in zip(mappers, commands):
        mapper.tell([command])
    return [mapper.answers(1, LIMIT)[0] for mapper in mappers]


def count(daemons):
    return [requests(d) for d in daemons]


def turns(mappers, daemons):
    """On both sides of the end of a piece, and in the file's last word."""
    make("shared/turns", bytes(2 * PIECE))
    for m, directory in zip(mappers, ("/mnt/a", "/mnt/b", "shared")):
        m.do(f"open 0 {directory}/turns rw")
        m.do(f"map 0 0 {2 * PIECE} rw")
        m.do(f"touch 0 0 {2 * PIECE}", "0")
        # For writing too, each with what was there.
        m.do("store 0 8 x")
        m.do(f"store 0 {2 * PIECE - 16} x")
    for at in (0, PIECE - 8, PIECE, 2 * PIECE - 8):
        before = count(daemons)
        did = everybody(mappers, [f"turns 0 {at} {n} {PARTIES} {ROUNDS}" for n in range(PARTIES)])
        same(f"turns at {at}", did, [str(ROUNDS // PARTIES)] * PARTIES)
        same("requests for that", count(daemons), before)
        same("the word", int.from_bytes(content("shared/turns")[at:at + 8], "little"), ROUNDS)


def hammer(mappers, daemons):
    make("shared/words", words(WORDS))
    for m, directory in zip(mappers, ("/mnt/a", "/mnt/b", "shared")):
        m.do(f"open 1 {directory}/words rw")
        m.do(f"map 1 0 {8 * WORDS} rw")
    did = everybody(mappers,
                    [f"hammer 1 {n} {PARTIES} {RAISES} {n + 1}" for n in range(PARTIES)])
    same("what went wrong", did, ["0"] * PARTIES)
    want = b"".join((i << 8 | RAISES).to_bytes(8, "little") for i in range(WORDS))
    same("the words on the host", content("shared/words") == want, True)
    for m in mappers:
        m.has(f"load 1 0 {8 * WORDS}", want)


sharing = [dax_daemon("shared", name=n) for n in "ab"]
guests = [dax_guest(d) for d in sharing]
all_of_them = [There(g) for g in guests] + [Here()]
for test in (turns, hammer):
    print(test.__name__, flush=True)
    test(all_of_them, sharing)
for m in all_of_them:
    m.end()
same("kernel warnings", [w for g in guests for w in warnings_of(g)], [])
same("status", [g.close() for g in guests] + [d.wait() for d in sharing], [0] * 4)
