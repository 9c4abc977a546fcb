# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=900
"""One case for each way in which DAX under QEMU 11.1 goes wrong, named after it, with stock 6.1; the
cases that need no other machine. Words name the cases to run."""
import os
import sys

from dax import (PAGE, PIECE, content, dax_daemon, dax_guest, lively, make, mapped_files, requests,
                 unmapped)
from guest import Monitor, check, host, same, wait_for, warnings_of
from mapper import Here, There, pattern

FILES = 40


def partial_page_reads(guest, mapper):
    """QEMU maps whole pages of a file only, and the guest does not ask for the rest by READ."""
    for size in (1, PAGE - 1, PAGE + 1, 3 * PAGE + 7):
        make(f"always/partial{size}", pattern(0, size, 5))
        mapper.do(f"open 1 /mnt/always/partial{size} r")
        mapper.do(f"map 1 0 {size} r")
        mapper.has(f"load 1 0 {size}", pattern(0, size, 5))
        mapper.has(f"read 1 0 {size}", pattern(0, size, 5))
        mapper.do("unmap 1")
        mapper.do("close 1")


def grown_file_is_mapped_anew(guest, mapper):
    """The guest believes to have mapped 2 MiB of a file that was shorter, and never asks again."""
    size = 5 * PAGE
    make("always/grows", pattern(0, size, 1))
    mapper.do("open 1 /mnt/always/grows rw")
    mapper.do(f"map 1 0 {2 * PIECE} rw")
    mapper.has(f"load 1 0 {size}", pattern(0, size, 1))
    # By the guest's write, within a page and over its end, by its truncate and fallocate.
    mapper.do(f"write 1 {size} 100 2")
    mapper.has(f"load 1 0 {size + PAGE}", pattern(0, size, 1) + pattern(size, 100, 2) +
               bytes(PAGE - 100))
    mapper.do(f"write 1 {size + 100} {PAGE} 2")
    mapper.has(f"load 1 {size} {PAGE + 100}", pattern(size, PAGE + 100, 2))
    mapper.do(f"truncate 1 {20 * PAGE}")
    mapper.do(f"store 1 {19 * PAGE} far")
    mapper.do(f"allocate 1 0 {PIECE + 3 * PAGE}")
    mapper.do(f"store 1 {PIECE + 2 * PAGE} further")
    mapper.do("fsync 1")
    data = content("always/grows")
    same("size", len(data), PIECE + 3 * PAGE)
    same("far", (data[19 * PAGE:][:3], data[PIECE + 2 * PAGE:][:7]), (b"far", b"further"))
    # By the host.
    os.truncate("always/grows", PIECE + 7 * PAGE)
    with open("always/grows", "r+b") as f:
        f.seek(PIECE + 6 * PAGE)
        f.write(b"from the host")
    mapper.do("size 1", str(PIECE + 7 * PAGE))
    mapper.do(f"text 1 {PIECE + 6 * PAGE} 13", "from.the.host".replace(".", " "))
    mapper.do("unmap 1")
    mapper.do("close 1")


def empty_file_is_not_mapped(guest, mapper):
    """QEMU makes an empty file as long as its map."""
    make("always/empty", b"")
    mapper.do("open 1 /mnt/always/empty rw")
    mapper.do("read 1 0 100", "00000000")
    mapper.do(f"map 1 0 {PIECE} rw")
    mapper.do("touch 1 0 1", "SIGBUS")
    same("size", os.path.getsize("always/empty"), 0)
    mapper.do("put 1 0 text", "4")
    mapper.do("text 1 0 6", "text..")
    same("size", os.path.getsize("always/empty"), 4)
    mapper.do("truncate 1 0")
    mapper.do("touch 1 0 1", "SIGBUS")
    same("size", os.path.getsize("always/empty"), 0)
    mapper.do("unmap 1")
    mapper.do("close 1")


def readonly_descriptor(guest, mapper):
    """QEMU maps nothing that it could not write, and cannot keep a guest from writing what it has
    mapped: an export that is read-only has other ways."""
    data = pattern(0, PIECE + 100, 4)
    make("fixed/file", data)
    mapper.do("open 1 /mnt/fixed/file r")
    mapper.do(f"map 1 0 {len(data)} r")
    mapper.has(f"load 1 0 {len(data)}", data)
    mapper.has(f"read 1 0 {len(data)}", data)
    check("file" not in mapped_files(guest, "fixed"), "QEMU has a read-only export's file mapped")
    mapper.do("unmap 1")
    mapper.do("close 1")
    mapper.do("open 1 /mnt/fixed/file rw", "EROFS")
    # For a file that the guest opens for reading, the guest's kernel refuses to store.
    mapper.do("open 1 /mnt/always/page r")
    mapper.do(f"map 1 0 {PAGE} rw", "EACCES")
    mapper.do("close 1")


def upgrade_to_writable(guest, mapper):
    """What was mapped for reading is asked for again, at its place, for writing."""
    make("always/upgraded", pattern(0, PIECE, 6))
    mapper.do("open 1 /mnt/always/upgraded r")
    mapper.do(f"map 1 0 {PIECE} r")
    mapper.has(f"load 1 0 {PIECE}", pattern(0, PIECE, 6))
    mapper.do("open 2 /mnt/always/upgraded rw")
    mapper.do(f"map 2 0 {PIECE} rw")
    mapper.do(f"store 2 {PAGE} stored")
    mapper.do(f"text 1 {PAGE} 6", "stored")
    same("on the host", content("always/upgraded")[PAGE:PAGE + 6], b"stored")
    mapper.ask("unmap 1", "unmap 2", "close 1", "close 2")


def truncate_on_host_does_not_kill_qemu(guest, mapper):
    """Under auto, whoever truncates a mapped file on the host waits until it is mapped no more."""
    for name, opened in (("open", True), ("closed", False)):
        make(f"auto/cut-{name}", pattern(0, PIECE, 7))
        mapper.do(f"open 1 /mnt/auto/cut-{name} rw")
        mapper.do(f"map 1 0 {PIECE} rw")
        mapper.do("isdax 1", "1")
        mapper.has(f"load 1 0 {PIECE}", pattern(0, PIECE, 7))
        mapper.do("store 1 100 by-the-guest")
        check(mapped_files(guest, "auto").get(f"cut-{name}"), "it was not mapped")
        if not opened:
            mapper.ask("unmap 1", "close 1")
        os.truncate(f"auto/cut-{name}", PAGE)
        # Out of the guest's sight by now; QEMU itself lets go a moment later.
        wait_for("end of the map", lambda: not mapped_files(guest, "auto").get(f"cut-{name}"))
        if opened:
            # By whatever is there now; QEMU and the guest go on.
            answers = mapper.ask(f"touch 1 0 {PIECE}", "size 1", "text 1 100 12",
                                 f"touch 1 {PAGE} 1")
            same("after it", answers[1:], [str(PAGE), "by-the-guest", "SIGBUS"])
            mapper.ask("unmap 1", "close 1")
        same("on the host", content(f"auto/cut-{name}")[100:112], b"by-the-guest")
        lively(guest)


def host_writers_under_auto(guest, mapper):
    """A host process that opens a mapped file for writing sees what the guest stored, and the guest,
    which opens it again, what the host wrote; and so does one that reads."""
    make("auto/both", pattern(0, PIECE, 8))
    mapper.do("open 1 /mnt/auto/both rw")
    mapper.do(f"map 1 0 {PIECE} rw")
    mapper.do("store 1 5000 by-the-guest")
    same("on the host", content("auto/both")[5000:5012], b"by-the-guest")
    with open("auto/both", "r+b", buffering=0) as f:
        f.seek(9000)
        f.write(b"by-the-host")
        mapper.do("store 1 100 once-more")
        mapper.ask("unmap 1", "close 1")
        f.seek(100)
        same("after close", f.read(9), b"once-more")
    mapper.do("open 1 /mnt/auto/both rw")
    mapper.do(f"map 1 0 {PIECE} rw")
    mapper.do("text 1 9000 11", "by-the-host")
    mapper.do("text 1 100 9", "once-more")
    mapper.ask("unmap 1", "close 1")


def guest_truncates_what_it_has_mapped(guest, mapper):
    """The daemon truncates only what QEMU has not mapped any more."""
    for share in ("always", "auto"):
        make(f"{share}/shrunk", pattern(0, 2 * PIECE, 9))
        mapper.do(f"open 1 /mnt/{share}/shrunk rw")
        mapper.do(f"map 1 0 {2 * PIECE + PAGE} rw")
        for size in (2 * PIECE - 1, PIECE + PAGE, PIECE, PIECE - PAGE + 1, 100, 0):
            before = pattern(0, size, 9)
            if size:
                mapper.do(f"touch 1 0 {size}", str(sum(before[::PAGE])))
            mapper.do(f"truncate 1 {size}")
            if size:
                mapper.has(f"load 1 0 {size}", before)
            mapper.do(f"touch 1 {-(-size // PAGE) * PAGE} 1", "SIGBUS")
            same(f"{share}: at {size}", content(f"{share}/shrunk") == before, True)
        mapper.ask("unmap 1", "close 1")
        # Also where an open does it.
        make(f"{share}/shrunk", pattern(0, 2 * PIECE, 9))
        mapper.do(f"open 1 /mnt/{share}/shrunk rw")
        mapper.do(f"map 1 0 {2 * PIECE} rw")
        mapper.has(f"load 1 0 {2 * PIECE}", pattern(0, 2 * PIECE, 9))
        mapper.do(f"open 2 /mnt/{share}/shrunk empty")
        mapper.do("touch 1 0 1", "SIGBUS")
        mapper.ask("unmap 1", "close 1", "close 2")
    lively(guest)


def unmap_matches_map(guest, mapper):
    """What the guest gives back is taken from QEMU exactly as it was mapped: nothing is left."""
    for i in range(3):
        for n in range(FILES):
            make(f"always/f{n}", pattern(0, n * PAGE * 13 + n, n + i))
        commands = [c for n in range(1, FILES) for c in (
            f"open {n} /mnt/always/f{n} r", f"map {n} 0 {n * PAGE * 13 + n} r",
            f"load {n} 0 {n * PAGE * 13 + n}", f"unmap {n}", f"close {n}")]
        mapper.ask(*commands)
        guest.run("echo 2 > /proc/sys/vm/drop_caches; rm /mnt/always/f*")
    mapper.do("open 1 /mnt/always/page r")
    mapper.ask("close 1")


def more_than_8_regions(guest, mapper):
    """Each thing mapped comes back to the daemon as memory of the guest."""
    for n in range(FILES // 2):
        make(f"always/region{n}", pattern(0, 16 * PAGE, n))
    for n in range(FILES // 2):
        mapper.do(f"open {n} /mnt/always/region{n} r")
        mapper.do(f"map {n} 0 {16 * PAGE} r")
        mapper.has(f"load {n} 0 {16 * PAGE}", pattern(0, 16 * PAGE, n))
    there = [n for n in mapped_files(guest, "always") if n.startswith("region")]
    same("mapped at once", len(there), FILES // 2)
    for n in range(FILES // 2):
        mapper.has(f"load {n} 0 {16 * PAGE}", pattern(0, 16 * PAGE, n))
    mapper.ask(*[f"{c} {n}" for n in range(FILES // 2) for c in ("unmap", "close")])


def map_is_live_before_reply(guest, mapper):
    """The answer of QEMU comes before the guest can see what was mapped. Places of the window are
    used again and again, so that a load that comes too early sees what was there before."""
    for n in range(4 * FILES):
        make(f"always/live{n}", pattern(0, 16 * PAGE, 1000 + n))
    for _ in range(3):
        for n in range(4 * FILES):
            answers = mapper.ask(f"open 1 /mnt/always/live{n} r", f"map 1 0 {16 * PAGE} r",
                                 f"text 1 {15 * PAGE} 16", "unmap 1", "close 1")
            same(f"first load of file {n}", answers[2],
                 pattern(15 * PAGE, 16, 1000 + n).decode())
        guest.run("echo 2 > /proc/sys/vm/drop_caches")
    guest.run("rm /mnt/always/live*")


def direct_io_of_mapped_memory(guest, mapper):
    """A request whose bytes are in the window: the daemon of another share reads and writes them
    there."""
    make("always/buffer", pattern(0, PIECE, 1))
    make("plain/disk", pattern(0, PIECE, 2))
    mapper.do("open 1 /mnt/always/buffer rw")
    mapper.do(f"map 1 0 {PIECE} rw")
    mapper.do("open 2 /mnt/plain/disk direct")
    mapper.do(f"writefrom 1 0 {16 * PAGE} 2", str(16 * PAGE))
    same("written", content("plain/disk"),
         pattern(0, 16 * PAGE, 1) + pattern(16 * PAGE, PIECE - 16 * PAGE, 2))
    mapper.do(f"readinto 1 {32 * PAGE} {16 * PAGE} 2", str(16 * PAGE))
    same("read", content("always/buffer"), pattern(0, 32 * PAGE, 1) + pattern(
        32 * PAGE, 16 * PAGE, 2) + pattern(48 * PAGE, PIECE - 48 * PAGE, 1))
    # And where it is the same file.
    mapper.do("open 3 /mnt/always/buffer direct")
    mapper.do(f"writefrom 1 0 {PAGE} 3", str(PAGE))
    mapper.ask("unmap 1", "close 1", "close 2", "close 3")


def stop_and_cont(guest, mapper):
    """A machine that stops and goes on keeps what it has mapped."""
    make("always/held", pattern(0, PIECE, 3))
    mapper.do("open 1 /mnt/always/held rw")
    mapper.do(f"map 1 0 {PIECE} rw")
    mapper.has(f"load 1 0 {PIECE}", pattern(0, PIECE, 3))
    for n in range(3):
        monitor.pause()
        mapper.has(f"load 1 8 {PIECE - 8}", pattern(8, PIECE - 8, 3))
        mapper.do(f"store 1 0 pause{n}")
        same("on the host", content("always/held")[:6], b"pause%d" % n)
        make(f"always/after{n}", pattern(0, PIECE, n))
        mapper.do(f"open 2 /mnt/always/after{n} r")
        mapper.do(f"map 2 0 {PIECE} r")
        mapper.has(f"load 2 0 {PIECE}", pattern(0, PIECE, n))
        mapper.ask("unmap 2", "close 2")
    mapper.ask("unmap 1", "close 1")


def reset_drops_maps(guest, mapper):
    """A device that is reset has nothing mapped, and QEMU says nothing of it."""
    make("always/before", pattern(0, PIECE, 3))
    mapper.do("open 1 /mnt/always/before rw")
    mapper.do(f"map 1 0 {PIECE} rw")
    mapper.has(f"load 1 0 {PIECE}", pattern(0, PIECE, 3))
    mapper.ask("unmap 1", "close 1")
    driver = "/sys/bus/virtio/drivers/virtiofs"
    # The first device is the first share.
    device = guest.run(f"cd {driver}; set -- virtio*; echo $1; cd /").strip()
    for _ in range(3):
        guest.run(f"cd /; umount /mnt/always; echo {device} > {driver}/unbind; "
                  f"echo {device} > {driver}/bind; mount -t virtiofs always /mnt/always")
        wait_for("end of what was mapped", lambda: not mapped_files(guest, "always"))
        mapper.do("open 1 /mnt/always/before rw")
        mapper.do(f"map 1 0 {PIECE} rw")
        mapper.has(f"load 1 0 {PIECE}", pattern(0, PIECE, 3))
        mapper.ask("unmap 1", "close 1")


TRAPS = (partial_page_reads, grown_file_is_mapped_anew, empty_file_is_not_mapped,
         readonly_descriptor, upgrade_to_writable, truncate_on_host_does_not_kill_qemu,
         host_writers_under_auto, guest_truncates_what_it_has_mapped, unmap_matches_map,
         more_than_8_regions, map_is_live_before_reply, direct_io_of_mapped_memory, stop_and_cont,
         reset_drops_maps)

shares = [dax_daemon("always", name="always"), dax_daemon("auto", name="auto", dax="auto"),
          dax_daemon("fixed", "--readonly", name="fixed"),
          dax_daemon("plain", "--allow-direct-io", name="plain", dax="never")]
make("always/page", pattern(0, PAGE, 1))
monitor = Monitor("qmp")
vm = dax_guest(*shares, options=monitor.options)
there = There(vm)
for trap in TRAPS:
    if sys.argv[1:] and trap.__name__ not in sys.argv[1:]:
        continue
    print(trap.__name__, flush=True)
    trap(vm, there)
there.end()
unmapped(vm, shares[0])
wait_for("end of all maps", lambda: not mapped_files(vm, "always"))
same("kernel warnings", warnings_of(vm), [])
same("status", (vm.close(), *(d.wait() for d in shares)), (0,) * 5)
