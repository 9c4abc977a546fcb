# SPDX-License-Identifier: BSD-2-Clause
# check: timeout=900
"""What a guest reads and writes through a DAX window is what the host has: files of every size near
the ends of pages and of what Linux maps at once, by read(2) and in memory; changes of the host and
of the guest, which the other sees at once; programs; which files are mapped at all."""
import os
import shutil
import struct

from dax import (PAGE, PIECE, all_closed, content, dax_daemon, dax_guest, lively, make,
                 mapped_files, requests, unmapped)
from guest import Monitor, host, same, wait_for, warnings_of
from mapper import There, checksum, pattern, words

EDGES = (PAGE, 2 * PAGE, 16 * PAGE, PIECE, 2 * PIECE)
SIZES = sorted({0, 1, 15} | {e + d for e in EDGES for d in (-PAGE, -1, 0, 1, PAGE - 1, PAGE)})
WORTH_IT = 64 << 10


def every_size(guest, share, dax):
    """md5 of what read(2) has, checksums of what is in memory, and that only what should is
    mapped."""
    names = [f"size{n}" for n in SIZES]
    for name, size in zip(names, SIZES):
        make(f"{share}/{name}", os.urandom(size))
    same("md5", guest.run(f"cd /mnt/{share}; md5sum {' '.join(names)}; cd /", 120),
         host(f"cd {share}; md5sum {' '.join(names)}"))
    mapper = There(guest)
    for slot, (name, size) in enumerate(zip(names, SIZES)):
        data = content(f"{share}/{name}")
        whole = size % PAGE == 0 and size >= WORTH_IT
        mapper.do(f"open {slot} /mnt/{share}/{name} r")
        mapper.do(f"isdax {slot}", "1" if dax == "always" or whole else "0")
        mapper.has(f"read {slot} 0 {size + 1}", data)
        if not size:
            continue
        mapper.do(f"map {slot} 0 {size} r")
        mapper.has(f"load {slot} 0 {size}", data)
        # Zeros up to the end of the last page, nothing after it.
        if size % PAGE:
            mapper.do(f"unmap {slot}")
            rounded = -(-size // PAGE) * PAGE
            mapper.do(f"map {slot} 0 {rounded + PAGE} r")
            mapper.has(f"load {slot} 0 {rounded}", data + bytes(rounded - size))
            mapper.do(f"touch {slot} {rounded} 1", "SIGBUS")
    mapper.end()
    print(f"{share}: {len(mapped_files(guest, share))} files mapped")
    unmapped(guest, shares[share])
    wait_for("end of all maps", lambda: not mapped_files(guest, share))


def exits(status):
    """A program for x86-64 that ends with a status, of whole pages; all differ in one byte."""
    base, start = 0x400000, 64 + 56
    code = bytes((0xbf, status, 0, 0, 0, 0xb8, 60, 0, 0, 0, 0x0f, 0x05))  # exit(status)
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, 62, 1, base + start, 64, 0, 0,
                       64, 56, 1, 64, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, start + len(code), start + len(code),
                       PAGE)
    return (head + load + code).ljust(WORTH_IT, b"\0")


def replaced_programs(guest, share):
    """A program that others have changed, or that came in another's place, in the file, in the
    window and in QEMU's memory, is what runs."""
    path, inside = f"{share}/changing", f"/mnt/{share}/changing"

    def runs(status, how):
        same(f"{share}: md5, {how}", guest.run(f"md5sum < {inside}"), host(f"md5sum < {path}"))
        monitor.forget_translations()
        same(f"{share}: status, {how}", guest.try_run(inside)[0], status)
        # A file that is removed before that is done makes some kernels hang: docs/dax.md.
        all_closed(shares[share])

    make(path, exits(1))
    os.chmod(path, 0o755)
    runs(1, "new")
    with open(path, "r+b") as f:
        f.write(exits(2))
    runs(2, "written over by the host")
    make(f"{share}/other", exits(3))
    guest.run(f"dd if=/mnt/{share}/other of={inside} bs=64k conv=notrunc 2>&1")
    runs(3, "written over by the guest")
    guest.run(f"rm {inside}")
    make(path, exits(4))
    os.chmod(path, 0o755)
    runs(4, "removed by the guest, made by the host")
    guest.run(f"rm {inside}; cp /mnt/{share}/other {inside}; chmod +x {inside}")
    runs(3, "removed and made by the guest")


def host_change_is_seen_at_once(guest, share):
    """In a mapping that is not touched, without a message."""
    make(f"{share}/changing", pattern(0, 2 * PIECE, 1))
    mapper = There(guest)
    mapper.do(f"open 0 /mnt/{share}/changing r")
    mapper.do(f"map 0 0 {2 * PIECE} r")
    mapper.has(f"load 0 0 {2 * PIECE}", content(f"{share}/changing"))
    before = requests(shares[share])
    with open(f"{share}/changing", "r+b", buffering=0) as f:
        for n, at in enumerate((0, 100, PAGE - 3, PIECE - 3, 2 * PIECE - 6)):
            f.seek(at)
            f.write(b"host%02d" % n)
            mapper.do(f"text 0 {at} 6", f"host{n:02}")
    mapper.has(f"load 0 0 {2 * PIECE}", content(f"{share}/changing"))
    mapper.has(f"read 0 0 {2 * PIECE}", content(f"{share}/changing"))
    same("requests for that", requests(shares[share]) - before, 0)
    mapper.end()


def guest_store_is_seen_on_the_host(guest, share):
    """Without msync, and without a message once it is mapped."""
    make(f"{share}/stored", bytes(2 * PIECE))
    mapper = There(guest)
    mapper.do(f"open 0 /mnt/{share}/stored rw")
    mapper.do(f"map 0 0 {2 * PIECE} rw")
    mapper.do("store 0 0 first")
    mapper.do(f"store 0 {PIECE} first")
    before = requests(shares[share])
    want = bytearray(2 * PIECE)
    want[0:5] = want[PIECE:PIECE + 5] = b"first"
    for n, at in enumerate((7, PAGE - 3, PIECE - 3, 2 * PIECE - 7)):
        mapper.do(f"store 0 {at} guest{n:02}")
        want[at:at + 7] = b"guest%02d" % n
        same(f"the store at {at}", content(f"{share}/stored") == bytes(want), True)
    # So does write(2) where the file does not grow.
    mapper.do("write 0 1000 200000 9")
    want[1000:201000] = pattern(1000, 200000, 9)
    same("the write", content(f"{share}/stored") == bytes(want), True)
    same("requests for that", requests(shares[share]) - before, 0)
    mapper.end()


def tails(guest, share):
    """The page at the end, which is a copy: what the guest stores there is on the host after fsync,
    and after close; what is beyond the end of the file never is."""
    for size in (5000, PIECE + 1):
        make(f"{share}/tail", pattern(0, size, 3))
        want = bytearray(pattern(0, size, 3))
        mapper = There(guest)
        mapper.do(f"open 0 /mnt/{share}/tail rw")
        mapper.do(f"map 0 0 {size + PAGE} rw")
        mapper.has(f"load 0 0 {size}", bytes(want))
        mapper.do(f"store 0 {size - 1} 12345")
        want[size - 1:] = b"1"
        mapper.do("fsync 0")
        same(f"{size}: after fsync", content(f"{share}/tail") == bytes(want), True)
        mapper.do(f"store 0 {size - 1} 2")
        mapper.do("unmap 0")
        mapper.do("close 0")
        want[size - 1:] = b"2"
        same(f"{size}: after close", content(f"{share}/tail") == bytes(want), True)
        mapper.end()


def growing(guest, share):
    """What is mapped of a file stays there while another program of the guest appends to it, apart
    from the page where it ends."""
    path = f"/mnt/{share}/growing"
    size = 2 * PAGE
    make(f"{share}/growing", words(size // 8) + b"rest")
    mapper = There(guest)
    mapper.do(f"open 0 {path} rw")
    mapper.do(f"map 0 0 {size} rw")
    guest.run("echo 0 > /tmp/grown; (n=0; until [ -e /tmp/grown-enough ]; do for i in 1 2 3 4 5 6; "
              f"do head -c {PAGE} /dev/zero >> {path}; done; truncate -s {size + 4} {path}; "
              "n=$((n + 1)); echo $n > /tmp/grown.new; mv /tmp/grown.new /tmp/grown; done; "
              "echo end > /tmp/grown) </dev/null >/dev/null 2>&1 & true")
    while int(guest.run("cat /tmp/grown")) < 12:
        mapper.do("hammer 0 0 1 20 1")
    guest.run(": > /tmp/grown-enough; until [ \"$(cat /tmp/grown)\" = end ]; do sleep 0.1; done")
    mapper.end()


def programs(guest, share):
    """Static and dynamic, run from the window, while their files are mapped by others too."""
    for program in ("/bin/busybox", "/usr/bin/perl"):
        path = f"{share}/{os.path.basename(program)}"
        shutil.copy(program, path)
        os.truncate(path, -(-os.path.getsize(path) // PAGE) * PAGE)
    for _ in range(3):
        same("busybox", guest.run(f"/mnt/{share}/busybox sh -c 'echo $((6 * 7))'"), "42\n")
        same("perl", guest.run(f"/mnt/{share}/perl -e 'print join(\",\", map {{ $_ ** 2 }} 1..9)'"),
             "1,4,9,16,25,36,49,64,81")
    print(f"{share}: mapped of programs: {mapped_files(guest, share).keys()}")


shares = {dax: dax_daemon(dax, name=dax, dax=dax) for dax in ("always", "auto")}
monitor = Monitor("data.qmp")
vm = dax_guest(*shares.values(), options=monitor.options)
for which in shares:
    print(which, flush=True)
    every_size(vm, which, which)
    tails(vm, which)
    programs(vm, which)
    replaced_programs(vm, which)
for test in (growing, host_change_is_seen_at_once, guest_store_is_seen_on_the_host):
    print(test.__name__, flush=True)
    test(vm, "always")
lively(vm)
same("kernel warnings", warnings_of(vm), [])
same("status", (vm.close(), *(d.wait() for d in shares.values())), (0, 0, 0))
