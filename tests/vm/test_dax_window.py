# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=900
"""Windows that are too small: files larger than the window, more files mapped and held than it has
places, programs that compete for them. Slower, but right. Words name the cases to run."""
import os
import sys

from dax import PAGE, PIECE, content, dax_daemon, dax_guest, make, mapped_files, unmapped
from guest import check, host, same, wait_for, warnings_of
from mapper import There, checksum, pattern

SMALL = 8 << 20  # four of Linux's pieces
FILES = 24
MANY = 250
LIMIT = 300


def larger_than_the_window(guest):
    """Read and written through, in order and not, by read(2) and in memory."""
    size = 3 * SMALL
    make("small/large", pattern(0, size, 1))
    same("md5", guest.run("md5sum < /mnt/small/large", LIMIT), host("md5sum < small/large"))
    mapper = There(guest)
    mapper.do("open 0 /mnt/small/large rw")
    mapper.do(f"map 0 0 {size} rw")
    mapper.has(f"load 0 0 {size}", pattern(0, size, 1), LIMIT)
    want = bytearray(pattern(0, size, 1))
    # 5 goes through all the pieces in another order than theirs.
    pieces = size // PIECE
    for i in range(2 * pieces):
        at = i * 5 % pieces * PIECE + i * PAGE
        mapper.do(f"fill 0 {at} {PAGE + 100} {i}")
        want[at:at + PAGE + 100] = pattern(at, PAGE + 100, i)
    mapper.has(f"load 0 0 {size}", bytes(want), LIMIT)
    same("on the host", content("small/large") == bytes(want), True)
    check(sum(mapped_files(guest, "small").values()) <= SMALL, "more is mapped than the window has")
    mapper.end()


def held_by_many(guest):
    """Each file mapped and held, so that all places are taken at all times."""
    for n in range(FILES):
        make(f"small/held{n}", pattern(0, PIECE, n))
    mapper = There(guest)
    mapper.ask(*[f"open {n} /mnt/small/held{n} rw" for n in range(FILES)],
               *[f"map {n} 0 {PIECE} rw" for n in range(FILES)])
    for step in range(3):
        for n in range(FILES):
            slot = n * 7 % FILES
            mapper.has(f"load {slot} {step} {PIECE - step}", pattern(step, PIECE - step, slot))
    mapper.end()


def programs_compete(guest):
    """Several at once, each with its own file, by read(2) and in memory."""
    script = "for i in 1 2; do for f in /mnt/small/held*; do md5sum < $f; cmp $f $f; done; done"
    one = "".join(host(f"md5sum < small/{n}") for n in sorted(
        n for n in os.listdir("small") if n.startswith("held")))
    for n in range(3):
        guest.send(f"({script}) > /tmp/sums{n} 2>&1 &\n")
    guest.run("wait", LIMIT)
    for n in range(3):
        same(f"sums of program {n}", guest.run(f"cat /tmp/sums{n}"), one * 2)


def one_by_one(mapper, numbers):
    """Each file opened, mapped, loaded and closed; what was loaded."""
    got = mapper.ask(*[c for n in numbers for c in (
        f"open 0 /mnt/large/f{n} r", f"map 0 0 {16 * PAGE + n} r", f"load 0 0 {16 * PAGE + n}",
        "unmap 0", "close 0")], seconds=LIMIT)
    return got[2::5]


def more_than_is_kept(guest):
    """A large window and small files, two pieces each: more than the daemon keeps mapped while they are
    closed. Opened one after the other, all are right, again and again. (What becomes of more files
    than QEMU has room for, held at once, is in proto/dax: that many take QEMU minutes.)"""
    mapper = There(guest)
    for n in range(MANY):
        make(f"large/f{n}", pattern(0, 16 * PAGE + n, n))
    want = [checksum(pattern(0, 16 * PAGE + n, n)) for n in range(MANY)]
    for turn in ("first", "second"):
        same(turn, one_by_one(mapper, range(MANY)), want)
    mapper.end()


def model(guest):
    """A file that is larger than the window against a model of it."""
    mapper = There(guest)
    for seed in (1, 2):
        mapper.do(f"open 0 /mnt/small/model{seed} empty")
        mapper.do(f"model 0 800 {SMALL + 5 * PAGE} {seed} cached", seconds=LIMIT)
        mapper.do("close 0")
        same("sums", guest.run(f"md5sum < /mnt/small/model{seed}"),
             host(f"md5sum < small/model{seed}"))
    mapper.end()


def smallest(guest):
    """One with two places."""
    make("least/large", pattern(0, 6 * PIECE + 5, 1))
    same("md5", guest.run("md5sum < /mnt/least/large", LIMIT), host("md5sum < least/large"))
    mapper = There(guest)
    mapper.do("open 0 /mnt/least/large r")
    mapper.do(f"map 0 0 {6 * PIECE + 5} r")
    mapper.has(f"load 0 0 {6 * PIECE + 5}", pattern(0, 6 * PIECE + 5, 1), LIMIT)
    mapper.end()


shares = [dax_daemon("small", name="small", window=SMALL),
          dax_daemon("least", name="least", window=2 * PIECE),
          dax_daemon("large", name="large", window=2 << 30)]
vm = dax_guest(*shares, options=("--cpus", "2"))
for test in (larger_than_the_window, held_by_many, programs_compete, model, smallest,
             more_than_is_kept):
    if sys.argv[1:] and test.__name__ not in sys.argv[1:]:
        continue
    print(test.__name__, flush=True)
    test(vm)
unmapped(vm, shares[0])
wait_for("end of all maps", lambda: not mapped_files(vm, "small"))
same("kernel warnings", warnings_of(vm), [])
same("status", (vm.close(), *(d.wait() for d in shares)), (0,) * 4)
