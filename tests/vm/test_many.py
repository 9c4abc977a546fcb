# SPDX-License-Identifier: BSD-2-Clause
# check: full timeout=900
"""Many files and few descriptors: a guest finds 200,000 files while the daemon may have 1024
descriptors, and each known file costs little memory; a guest that opens files without end is
refused, with ENFILE, and goes on when it has closed some."""
import atexit
import os
import shutil
import tempfile

from guest import Daemon, Guest, check, fast_qemu, same, warnings_of

FILES = 200_000
FOLDERS = 200
DESCRIPTORS = 1024
NODE_BYTES = 256


def make_tree():
    """On tmpfs, where files can be made fast."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    tree = tempfile.mkdtemp(prefix="cw-many-", dir=memory)
    atexit.register(shutil.rmtree, tree, True)
    for d in range(FOLDERS):
        os.mkdir(f"{tree}/{d}")
        for n in range(FILES // FOLDERS):
            os.close(os.open(f"{tree}/{d}/{n}", os.O_CREAT | os.O_WRONLY))
    return tree


def resident(daemon):
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) << 10 for line in f if line.startswith("RssAnon"))


def descriptors(daemon):
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def find_all(guest, daemon, tree):
    before = resident(daemon)
    # The size makes it look at each file, not at names alone.
    found = guest.run("find /mnt/s -type f -size 0 | wc -l", 600)
    same("files found", int(found), FILES)
    _, nodes, _ = daemon.statistics()
    per_node = (resident(daemon) - before) / nodes
    print(f"{nodes} nodes, {per_node:.0f} bytes each, {descriptors(daemon)} descriptors")
    check(nodes >= FILES // 2, f"the daemon knows {nodes} nodes only: the guest forgot them")
    check(per_node < NODE_BYTES, f"{per_node:.0f} bytes for each node")
    check(descriptors(daemon) <= DESCRIPTORS, "more descriptors than allowed")
    # Those that have no descriptor any more serve as before, in any order.
    same("found in no order", guest.run(
        "cd /mnt/s; perl -e 'for my $i (0 .. 5999) { my $n = $i * 99991 % 200000; "
        "$m++ if -e int($n / 1000) . \"/\" . $n % 1000 } print $m'; cd /", 300), "6000")
    check(descriptors(daemon) <= DESCRIPTORS * 2 // 3, f"{descriptors(daemon)} descriptors")
    with open(f"{tree}/7/7", "w", encoding="ascii") as f:
        f.write("seven")
    guest.run("sleep 1.1")  # until attributes are not trusted any more
    same("content", guest.run("cat /mnt/s/7/7"), "seven")


def open_without_end(guest):
    text = guest.run("""perl -e '
        my @held;
        for my $n (0 .. 2999) {
            if (open my $f, "<", "/mnt/s/" . ($n % 200) . "/" . int($n / 200)) { push @held, $f }
            else { print "refused after ", scalar @held, ": ", $! + 0, "\\n"; last }
        }
        splice @held, 0, 100;
        my $more = 0;
        for my $n (0 .. 49) { open my $f, "<", "/mnt/s/9/$n" and push @held, $f and $more++ }
        print "then $more\\n"'""", 300)
    lines = text.splitlines()
    check(lines[0].startswith("refused after ") and lines[0].endswith(": 23"), f"opens: {text}")
    check(450 <= int(lines[0].split()[2][:-1]) < DESCRIPTORS, f"opens: {text}")
    same("after closing some", lines[1], "then 50")


share = make_tree()
d = Daemon(share, "--rlimit-nofile", str(DESCRIPTORS))
vm = Guest(*fast_qemu(), "--socket", f"{d.socket}:s", "--memory", "3G")
vm.run("ulimit -n 4096")
find_all(vm, d, share)
open_without_end(vm)
same("still served", vm.run("find /mnt/s/5 -type f | wc -l").strip(), str(FILES // FOLDERS))
same("kernel warnings", warnings_of(vm), [])
same("status", (vm.close(), d.wait()), (0, 0))
