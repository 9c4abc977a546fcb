# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=900 jobs=2 needs=make,gcc-12
"""Files in the DAX window by causeway.ko, on each kernel: what is read, written and mapped of them is
what the host has, also in the partial last page, which is served in another way; files that grow
and shrink under mappings; huge pages; a window that is smaller than the files, whose ranges are taken
from programs that use them; memory of the window in others' direct I/O; a host that truncates, also
in the middle of faults; and no window at all. Words name the cases to run."""
import concurrent.futures
import os
import sys
import time

import fscompare
import kmod
from dax import PAGE, PIECE, QEMU, WINDOW, content, dax_daemon, make, mapped_files
from guest import FSCASES, FULL, check, host, same, wait_for, warnings_of
from mapper import There, checksum, pattern, words

READ, WRITE, SETUPMAPPING = 15, 16, 48
SMALL = 4 * PIECE
SIZES = sorted({1, 100 * PAGE + 9} | {e + d for e in (PAGE, PIECE, 2 * PIECE) for d in (-1, 0, 1)})
STEPS = 600 if FULL else 150
CUTS = 24 if FULL else 8
LEAVES = PIECE - 8 * PAGE + 100  # within a page
LIMIT = 300
SEED = int(os.environ.get("MODEL_SEED", "1"))
# Many files, or races that the server decides; and how much of a hole is filled is the file system's
# business: docs/dax.md.
LEFT_OUT = ("holes", "list-many", "list-removing", "list-changing", "many-handles", "race-churn", "race-replace",
        "race-winners", "race-stripes", "race-append")


class Case:
    """A guest with shares, and a program that maps."""

    def __init__(self, kernel):
        self.kernel = kernel
        self.daemons = {}
        # Where requests are counted there is always a free range.
        for what, options, *more in (
                ("always", {"window": 4 * WINDOW}, "--xattr", "--posix-lock", "--flock"),
                ("auto", {"dax": "auto"}), ("small", {"window": SMALL}), ("none", {"dax": "never"})):
            name = self.tag(what)
            self.daemons[what] = dax_daemon(name, "--allow-direct-io", *more, name=name,
                                            **{"window": WINDOW, **options})
        shares = [w for what, d in self.daemons.items()
                  for w in kmod.share(d, *(("dax=always",) if what in ("always", "small") else ()))]
        self.guest = kmod.KmodGuest(kernel, "--dax", "64M", "--qemu", QEMU, "--cpus", "2", *shares)
        self.mappers = [There(self.guest) for _ in range(3)]
        self.mapper = self.mappers[0]

    def tag(self, what):
        return f"{what}{self.kernel.replace('.', '-')}"

    def inside(self, what, name):
        return f"/mnt/{self.tag(what)}/{name}"

    def outside(self, what, name):
        return f"{self.tag(what)}/{name}"

    def costs(self, what, work, *opcodes):
        """How many of these requests something costs."""
        before = self.guest.sent(self.tag(what))
        work()
        after = self.guest.sent(self.tag(what))
        return [after[op] - before[op] for op in opcodes]

    def open(self, slot, what, name, mode, size, access="rw"):
        self.mapper.do(f"open {slot} {self.inside(what, name)} {mode}")
        self.mapper.do(f"map {slot} 0 {size} {access}")

    def close(self, *slots):
        self.mapper.ask(*(f"{c} {slot}" for slot in slots for c in ("unmap", "close")))


def semantics(case):
    """The file semantics cases, where each file is in the window; without --full the kernels share them."""
    cases = sorted(fscompare.names_of(ORACLE) - set(LEFT_OUT))
    if not FULL:
        cases = cases[kmod.KERNELS.index(case.kernel)::len(kmod.KERNELS)]
    status, text = case.guest.try_run(
        f"{FSCASES} {case.inside('always', '')} --only {','.join(cases)}", LIMIT)
    same(f"status of the cases:\n{text[-2000:]}", status, 0)
    same("differences", fscompare.differences(
        fscompare.cases_of(ORACLE, cases), fscompare.read(text), "auto", fscompare.KMOD), [])


def read_and_mapped(case):
    """Files of every size: their whole pages by the window, what is left by READ; in memory what is left
    is a page of the cache, with zeros after the end, and nothing after that."""
    mapper = case.mapper
    for size in SIZES:
        name, data, whole = f"size{size}", os.urandom(size), size // PAGE * PAGE
        make(case.outside("always", name), data)
        mapper.do(f"open 0 {case.inside('always', name)} r")
        mapper.do("isdax 0", "1")
        same(f"{size}: READ and SETUPMAPPING for read(2)", case.costs(
            "always", lambda: mapper.has(f"read 0 0 {size + 1}", data), READ, SETUPMAPPING),
            [int(size > whole), -(-whole // PIECE)])
        mapper.do(f"map 0 0 {whole + 2 * PAGE} r")
        same(f"{size}: READ for memory", case.costs(
            "always", lambda: mapper.has(f"load 0 0 {whole}", data[:whole]), READ), [0])
        if size > whole:
            check(case.costs("always", lambda: mapper.has(
                f"load 0 0 {whole + PAGE}", data.ljust(whole + PAGE, b"\0")), READ) > [0],
                  f"{size}: the partial page was mapped")
        mapper.do(f"touch 0 {-(-size // PAGE) * PAGE} 1", "SIGBUS")
        case.close(0)


def huge(case):
    """2 MiB come with one fault."""
    def faults():
        return int(case.guest.run("awk '{print $10}' /proc/$(pidof -s mapper)/stat"))

    make(case.outside("always", "huge"), pattern(0, 2 * PIECE, 1))
    case.mappers[1].end()
    case.mappers[2].end()
    case.open(0, "always", "huge", "rw", 2 * PIECE)
    before = faults()
    case.mapper.has(f"load 0 0 {2 * PIECE}", pattern(0, 2 * PIECE, 1))
    case.mapper.do(f"fill 0 0 {2 * PIECE} 2")
    check(faults() - before < 100, f"{faults() - before} faults for twice 2 MiB")
    same("on the host", content(case.outside("always", "huge")) == pattern(0, 2 * PIECE, 2), True)
    case.close(0)
    case.mappers[1:] = [There(case.guest) for _ in range(2)]


def tails(case):
    """A partial last page is read and written by requests, what is before it by none. Where a program has
    it in memory, the file is in the page cache until the guest forgets it: stored there, it is on the host
    after fsync(2) and after close(2)."""
    mapper = case.mapper
    for size in (5000, PIECE - 1, PIECE + 1):
        name, want, whole = f"tail{size}", bytearray(pattern(0, size, 3)), size // PAGE * PAGE
        path = case.outside("always", name)
        make(path, want)
        mapper.do(f"open 0 {case.inside('always', name)} rw")

        def in_window():
            mapper.do(f"write 0 0 {whole} 4")
            mapper.has(f"read 0 0 {whole}", pattern(0, whole, 4))

        same(f"{size}: requests for whole pages", case.costs("always", in_window, READ, WRITE), [0, 0])
        same(f"{size}: requests for the rest", case.costs(
            "always", lambda: mapper.do(f"write 0 {whole} {size - whole} 4"), READ, WRITE), [0, 1])
        want[:] = pattern(0, size, 4)
        same(f"{size}: written", content(path) == want, True)
        mapper.do(f"map 0 0 {whole} rw")
        mapper.do(f"store 0 {whole - 3} abc")
        want[whole - 3:whole] = b"abc"
        same(f"{size}: stored in the window", content(path) == want, True)
        mapper.do("unmap 0")
        mapper.do(f"map 0 0 {size} rw")
        mapper.do(f"store 0 {size - 1} 1")
        mapper.do(f"store 0 {whole - 1} C")
        want[size - 1:], want[whole - 1:whole] = b"1", b"C"
        mapper.has(f"load 0 0 {size}", want)
        mapper.do("fsync 0")
        same(f"{size}: after fsync", content(path) == want, True)
        mapper.do(f"store 0 {size - 1} 2")
        case.close(0)
        want[size - 1:] = b"2"
        same(f"{size}: after close", content(path) == want, True)
        # Somebody may hold the inode in the moment that caches are dropped.
        mapper.do(f"open 0 {case.inside('always', name)} rw")

        def is_back():
            mapper.do("close 0")
            case.guest.run("echo 3 > /proc/sys/vm/drop_caches")
            mapper.do(f"open 0 {case.inside('always', name)} rw")
            return case.costs("always", in_window, READ, WRITE) == [0, 0]

        wait_for("file in the window again", is_back)
        mapper.do("close 0")


def growing(case):
    """What is mapped of a file stays there while another program appends to it; what came is there."""
    guest, mapper = case.guest, case.mapper
    path, size = case.inside("always", "growing"), 2 * PAGE
    make(case.outside("always", "growing"), words(size // 8) + b"rest")
    case.open(0, "always", "growing", "rw", size)
    guest.run(f"cp {path} /tmp/grown; (until [ -e /tmp/enough ]; do for i in 1 2 3 4 5 6; do "
              f"head -c {PAGE} /dev/zero >> {path}; done; truncate -s {size + 4} {path}; "
              "echo >> /tmp/rounds; done) </dev/null >/dev/null 2>&1 & true")
    while int(guest.run("cat /tmp/rounds 2>/dev/null | wc -l")) < 4:
        mapper.do("hammer 0 0 1 20 1")
    guest.run(": > /tmp/enough; wait $!")
    case.close(0)
    # By the guest's own write(2), truncate(2) and fallocate(2), and by the host.
    make(case.outside("always", "grows"), pattern(0, 5 * PAGE, 1))
    case.open(0, "always", "grows", "rw", 2 * PIECE)
    mapper.has(f"load 0 0 {5 * PAGE}", pattern(0, 5 * PAGE, 1))
    mapper.do(f"write 0 {5 * PAGE} 100 1")
    mapper.do(f"write 0 {5 * PAGE + 100} {PIECE} 1")
    mapper.has(f"load 0 0 {5 * PAGE + PIECE}", pattern(0, 5 * PAGE + PIECE, 1))
    mapper.do(f"truncate 0 {PIECE + 20 * PAGE}")
    mapper.do(f"store 0 {PIECE + 19 * PAGE} far")
    mapper.do(f"allocate 0 0 {PIECE + 30 * PAGE}")
    mapper.do(f"store 0 {PIECE + 29 * PAGE} further")
    with open(case.outside("always", "grows"), "ab") as f:
        f.write(b"from the host".ljust(PAGE))
    mapper.do("size 0", str(PIECE + 31 * PAGE))
    mapper.do(f"text 0 {PIECE + 30 * PAGE} 13", "from the host")
    data = content(case.outside("always", "grows"))
    same("far", (data[PIECE + 19 * PAGE:][:3], data[PIECE + 29 * PAGE:][:7]), (b"far", b"further"))
    case.close(0)


def shrinking(case):
    """What the guest cuts off is memory no more."""
    mapper = case.mapper
    for what in ("always", "auto"):
        data = pattern(0, 2 * PIECE, 9)
        path = case.outside(what, "shrunk")
        make(path, data)
        case.open(0, what, "shrunk", "rw", 2 * PIECE + PAGE)
        for size in (2 * PIECE, PIECE + PAGE, PIECE, PIECE - PAGE, PIECE - PAGE - 7, 100, 0):
            mapper.do(f"truncate 0 {size}")
            mapper.has(f"load 0 0 {size // PAGE * PAGE}", data[:size // PAGE * PAGE])
            mapper.do(f"touch 0 {-(-size // PAGE) * PAGE} 1", "SIGBUS")
            mapper.has(f"load 0 0 {size}", data[:size])
            same(f"{what}: at {size}", content(path) == data[:size], True)
            if size == PIECE - PAGE - 7:
                # The page that was mapped whole is one of the page cache now.
                mapper.do(f"store 0 {size - 1} X")
                mapper.has(f"read 0 {size - 1} 1", b"X")
        case.close(0)
        # Where an open does it.
        make(path, data)
        case.open(0, what, "shrunk", "rw", 2 * PIECE)
        mapper.has(f"load 0 0 {2 * PIECE}", data)
        mapper.do(f"open 1 {case.inside(what, 'shrunk')} empty")
        mapper.do("touch 0 0 1", "SIGBUS")
        case.close(0)
        mapper.do("close 1")


def truncated_by_the_host(case):
    """A host that truncates waits until the file is mapped no more: the guest and its machine go on; where it
    ends within a page that the guest has in memory, that is as any partial page."""
    mapper, path = case.mapper, case.outside("auto", "cut")
    for size in (PAGE, PAGE + 100):
        make(path, pattern(0, PIECE, 7))
        case.open(0, "auto", "cut", "rw", PIECE)
        mapper.do("isdax 0", "1")
        mapper.has(f"load 0 0 {PIECE}", pattern(0, PIECE, 7))
        mapper.do("store 0 100 by-the-guest")
        check(mapped_files(case.guest, case.tag("auto")).get("cut"), "it was not mapped")
        os.truncate(path, size)
        wait_for("end of the map", lambda: not mapped_files(case.guest, case.tag("auto")).get("cut"))
        same(f"after it, {size}", mapper.ask(f"touch 0 0 {PIECE}", "size 0", "text 0 100 12",
                                             f"touch 0 {-(-size // PAGE) * PAGE} 1")[1:],
             [str(size), "by-the-guest", "SIGBUS"])
        if size % PAGE:
            check(case.costs("auto", lambda: mapper.do(f"store 0 {PAGE} more"), READ) > [0],
                  "the partial page is still mapped")
            mapper.do(f"text 0 {PAGE + 98} 4", pattern(PAGE + 98, 2, 7).decode() + "..")
        case.close(0)
        data = content(path)
        same("on the host", (data[100:112], data[PAGE:PAGE + 4], len(data)),
             (b"by-the-guest", b"more" if size > PAGE else b"", size))


def cut_under_a_fault(case):
    """A host that truncates a file again and again, while two programs fault a page at its end and a third
    learns the size: once that is known, nobody has memory behind the end, and a partial page is as the file
    is, whatever a fault has met. Where it first ends within a page, the file leaves the window."""
    case.guest.run(f"head -c {PAGE} /dev/zero > /tmp/known")
    for mapper in case.mappers:
        mapper.do("open 1 /tmp/known rw")
        mapper.do(f"map 1 0 {PAGE} rw")
    for turn in range(CUTS):
        name, size = f"chased{turn}", PIECE + 16 * PAGE
        path = case.outside("auto", name)
        make(path, pattern(0, size, 1))
        for mapper in case.mappers:
            same("start", mapper.ask(f"open 0 {case.inside('auto', name)} rw", f"map 0 0 {size} rw",
                                     f"load 0 0 {size}", "isdax 0")[2:],
                 [checksum(pattern(0, size, 1)), "1"])
        for cut in (PIECE + 8 * PAGE, PIECE, PIECE - 4 * PAGE, LEAVES,
                    PIECE - 8 * PAGE + 60, PIECE - 9 * PAGE + 2000):
            last = cut // PAGE * PAGE
            for me, mapper in enumerate(case.mappers[1:]):
                # Half of them store, as long as the file is in the window: a page of the cache that is
                # written back just when the host has cut the file would make it longer again.
                stores = (me + turn) % 2 if cut >= LEAVES else 0
                mapper.tell([f"chase 0 1 {cut} {last + PAGE * (me if cut % PAGE else 0)} {stores}"])
            case.mapper.tell([f"learn 0 1 {cut}"])
            os.truncate(path, cut)
            want = ["0", "0", "SIGBUS"] if cut % PAGE else ["0", "SIGBUS", "SIGBUS"]
            same(f"{name} at {cut}", [m.answers(1, LIMIT)[0] for m in case.mappers], want)
            case.mapper.do("fsync 0")
        got = case.mapper.ask(f"load 0 0 {cut}", f"read 0 0 {cut}", "fsync 0")
        same(f"{name}: in memory and in the file", (got, len(content(path))),
             ([checksum(content(path))] * 2 + ["0"], cut))
        for mapper in case.mappers:
            same("end", mapper.ask("unmap 0", "close 0"), ["0", "0"])
        same(f"{name}: on the host", len(content(path)), cut)
    for mapper in case.mappers:
        mapper.ask("unmap 1", "close 1")


def by_inode(case):
    """Without an option the server says which files; with dax=never there are none."""
    mapper, name = case.mapper, case.tag("auto")
    for size in (PAGE, 16 * PAGE, 16 * PAGE + 1):
        make(case.outside("auto", f"says{size}"), pattern(0, size, 1))
    for options, want in (("dax=inode", "010"), ("dax=never", "000"), ("dax", "111")):
        case.guest.run(f"umount /mnt/{name} && mount -t causeway -o {options} {name} /mnt/{name}")
        for size, dax in zip((PAGE, 16 * PAGE, 16 * PAGE + 1), want):
            mapper.do(f"open 0 {case.inside('auto', f'says{size}')} r")
            mapper.do("isdax 0", dax)
            mapper.has(f"read 0 0 {size}", pattern(0, size, 1))
            mapper.do("close 0")
    case.guest.run(f"umount /mnt/{name} && mount -t causeway {name} /mnt/{name}")


def without_a_window(case):
    """dax=always says what it wants; other mounts have none, and need none."""
    name = case.tag("none")
    make(case.outside("none", "file"), pattern(0, PIECE, 1))
    case.open(0, "none", "file", "rw", PIECE)
    case.mapper.do("isdax 0", "0")
    case.mapper.has(f"load 0 0 {PIECE}", pattern(0, PIECE, 1))
    case.close(0)
    case.guest.run(f"umount /mnt/{name}; dmesg -C")
    status, text = case.guest.try_run(f"mount -t causeway -o dax=always {name} /mnt/{name}")
    check(status and "dax=always wants a window: the device has none" in
          case.guest.run("dmesg") + text, f"dax=always: {status} {text}")
    case.guest.run(f"mount -t causeway -o dax=inode {name} /mnt/{name}")


def direct_io(case):
    """Memory of the window that another share's requests read and write: it stays where it is meanwhile."""
    mapper, data = case.mapper, pattern(0, PIECE, 2)
    make(case.outside("always", "buffer"), pattern(0, PIECE, 1))
    make(case.outside("none", "disk"), data)
    case.open(0, "always", "buffer", "rw", PIECE)
    mapper.do(f"open 1 {case.inside('none', 'disk')} direct")
    mapper.do(f"writefrom 0 0 {16 * PAGE} 1", str(16 * PAGE))
    same("written", content(case.outside("none", "disk")),
         pattern(0, 16 * PAGE, 1) + data[16 * PAGE:])
    mapper.do(f"readinto 0 {32 * PAGE} {16 * PAGE} 1", str(16 * PAGE))
    same("read", content(case.outside("always", "buffer"))[32 * PAGE:48 * PAGE],
         data[32 * PAGE:48 * PAGE])
    # And where it is the same file.
    mapper.do(f"open 2 {case.inside('always', 'buffer')} direct")
    mapper.do(f"writefrom 0 {32 * PAGE} {PAGE} 2", str(PAGE))
    mapper.ask("close 1", "close 2")
    case.close(0)


def without_a_page_cache(case):
    """cache=none has none to go to: the partial page is mapped as the server has it."""
    name, path = case.tag("always"), case.inside("always", "uncached")
    for options in ("cache=none,dax", "dax"):
        case.guest.run(f"umount /mnt/{name} && mount -t causeway -o {options} {name} /mnt/{name}")
        case.mapper.do(f"open 0 {path} empty")
        case.mapper.do(f"model 0 {STEPS} {12 * PAGE} {SEED} cached", seconds=LIMIT)
        case.mapper.do("close 0")
        same(options, case.guest.run(f"cksum < {path}"), host(f"cksum < {case.outside('always', 'uncached')}"))


def larger_than_the_window(case):
    """Read and written through, in another order than theirs, by read(2) and in memory."""
    mapper, size = case.mapper, 2 * SMALL
    want = bytearray(pattern(0, size, 1))
    path = case.outside("small", "large")
    make(path, want)
    same("md5", case.guest.run(f"md5sum < {case.inside('small', 'large')}", LIMIT),
         host(f"md5sum < {path}"))
    case.open(0, "small", "large", "rw", size)
    for i in range(size // PIECE):
        at = i * 5 % (size // PIECE) * PIECE + i * PAGE
        mapper.do(f"fill 0 {at} {PAGE + 100} {i}")
        want[at:at + PAGE + 100] = pattern(at, PAGE + 100, i)
    mapper.has(f"load 0 0 {size}", want, LIMIT)
    same("on the host", content(path) == want, True)
    check(sum(mapped_files(case.guest, case.tag("small")).values()) <= SMALL,
          "more is mapped than the window has")
    case.close(0)


def model(case):
    """A file against a model of it: mapped in whole pages only, so that it stays in the window; and mapped
    to its end, so that it leaves."""
    for how in ("whole", "cached"):
        path = case.inside("always", how)
        case.mapper.do(f"open 0 {path} empty")
        case.mapper.do(f"model 0 {STEPS} {PIECE + 40 * PAGE} {SEED} {how}", seconds=LIMIT)
        case.mapper.do(f"truncate 0 {PIECE}")
        by_request = case.costs("always", lambda: case.mapper.ask(f"read 0 0 {PIECE}"), READ)
        check(how == "cached" or by_request == [0], f"{how}: it has left the window")
        case.mapper.do("close 0")
        same(how, case.guest.run(f"cksum < {path}"), host(f"cksum < {case.outside('always', how)}"))


def competing(case):
    """Three programs, each with a file larger than the window, against models of them, while a fourth
    reads another file: all of them have their ranges taken from them."""
    make(case.outside("small", "read"), pattern(0, SMALL, 5))
    files = [case.inside("small", f"model{n}") for n in range(len(case.mappers))]
    for n, mapper in enumerate(case.mappers):
        mapper.do(f"open 0 {files[n]} empty")
        mapper.tell([f"model 0 {STEPS} {SMALL + 5 * PAGE} {SEED + n + 1} whole"])
    want = host(f"md5sum < {case.outside('small', 'read')}")
    for _ in range(2):
        same("md5", case.guest.run(f"md5sum < {case.inside('small', 'read')}", LIMIT), want)
    for n, mapper in enumerate(case.mappers):
        same(files[n], mapper.answers(1, LIMIT), ["0"])
        mapper.do("close 0")
        same(f"sum of {files[n]}", case.guest.run(f"cksum < {files[n]}", LIMIT),
             host(f"cksum < {case.outside('small', f'model{n}')}"))


CASES = (semantics, read_and_mapped, huge, tails, growing, shrinking, truncated_by_the_host, cut_under_a_fault,
         by_inode, without_a_window, direct_io, model, without_a_page_cache, larger_than_the_window, competing)


def one_kernel(kernel):
    case = Case(kernel)
    guest = case.guest
    for test in CASES:
        if not sys.argv[1:] or test.__name__ in sys.argv[1:]:
            begin = time.monotonic()
            test(case)
            print(f"{kernel}: {test.__name__}, {time.monotonic() - begin:.1f} s", flush=True)
    for mapper in case.mappers:
        mapper.end()
    # What could not be written back is told here for all files, once.
    guest.run("; ".join(f"sync -f /mnt/{daemon.name}" for daemon in case.daemons.values()))
    for daemon in case.daemons.values():
        guest.run(f"umount /mnt/{daemon.name}")
        wait_for("end of all maps", lambda d=daemon: not mapped_files(guest, d.name))
    same("kernel warnings", warnings_of(guest), [])
    guest.unload()
    same("status", [guest.close(), *(d.wait() for d in case.daemons.values())], [0] * 5)


os.mkdir("host")
ORACLE = fscompare.run_here("host")
print(f"seed {SEED}")
with concurrent.futures.ThreadPoolExecutor(len(kmod.KERNELS)) as pool:
    for run in [pool.submit(one_kernel, k) for k in kmod.KERNELS]:
        run.result()
